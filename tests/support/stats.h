/* stats.h - what the benchmarks say of repeated measurements, and seeded random numbers.
 * Owns:   order statistics, a least-squares slope, one small generator. Does not: measure or print.
 */
#ifndef VX_TESTS_STATS_H
#define VX_TESTS_STATS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double median, p10, p90;
} spread;

/* Quantile q in [0, 1] of n values in rising order, linear between neighbours; 0 for n = 0. */
double stats_quantile(const double *sorted, size_t n, double q);
void stats_sort(double *values, size_t n);
/* Sorts values, then reads median and both tenths off. */
spread stats_spread(double *values, size_t n);
/* Slope of the least-squares line through n values at 0, 1, 2, ...; 0 for fewer than two. */
double stats_slope(const double *values, size_t n);

/* splitmix64: the next number of a sequence that its seed fixes on every machine. */
uint64_t stats_random(uint64_t *state);

#endif
