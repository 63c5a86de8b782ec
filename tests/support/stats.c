/* stats.c - order statistics and a slope. */
#include "tests/support/stats.h"

#include <stdlib.h>

#include "shared/base/random.h"

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t n)
{
    if (n > 0)
        qsort(values, n, sizeof *values, rising);
}

double stats_quantile(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return 0;
    const double at = q * (double)(n - 1);
    const size_t below = (size_t)at;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

spread stats_spread(double *values, size_t n)
{
    stats_sort(values, n);
    return (spread){stats_quantile(values, n, 0.5), stats_quantile(values, n, 0.1), stats_quantile(values, n, 0.9)};
}

double stats_slope(const double *values, size_t n)
{
    if (n < 2)
        return 0;
    const double middle = (double)(n - 1) / 2;
    double above = 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)i - middle;
        above += x * values[i];
        below += x * x;
    }
    return above / below;
}

uint64_t stats_random(uint64_t *state)
{
    return vx_random_next(state);
}
