/* bench_base64.c - decoding speed of every kernel of this machine, beside OpenSSL's decoder and a plain copy.
 * Owns:   one table on stdout and build/bench/base64.json. Does not: judge; docs/measurements.md keeps the results.
 * Usage:  bench_base64, in the repository root. One thread; text and result stay in the cache.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "shared/base/base64.h"
#include "shared/base/clock.h"

/* A 3 s clip at 16 kHz as int16, the body that the service sees most. */
#define N_BYTES   96000
#define N_TEXT    (N_BYTES / 3 * 4)
#define RUNS      401
#define WARM_UP   20
#define JSON_PATH "build/bench/base64.json"

typedef struct {
    const char *name;
    double median_us, low_us, high_us; /* 50th, 10th and 90th percentile */
} result;

static char text[N_TEXT + 1];
static uint8_t bytes[N_BYTES], decoded[N_TEXT + 4];

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* impl NULL: the peer of that name. */
static int decode_once(const vx_base64_impl *impl, const char *name)
{
    size_t len = 0;

    if (impl)
        return vx_base64_decode_with(impl, text, N_TEXT, decoded, &len, NULL) == VX_OK && len == N_BYTES;
    if (strcmp(name, "memcpy") == 0)
        return memcpy(decoded, text, N_TEXT) == decoded;
    return EVP_DecodeBlock(decoded, (const unsigned char *)text, N_TEXT) == N_BYTES;
}

static int measure(const vx_base64_impl *impl, const char *name, result *ret)
{
    static double us[RUNS];

    for (int run = -WARM_UP; run < RUNS; run++) {
        uint64_t start = vx_now_ns();
        if (!decode_once(impl, name))
            return 0;
        if (run >= 0)
            us[run] = vx_ms_since(start) * 1e3;
    }
    qsort(us, RUNS, sizeof *us, compare);
    *ret = (result){name, us[RUNS / 2], us[RUNS / 10], us[RUNS - 1 - RUNS / 10]};
    return 1;
}

static int write_json(const result *results, size_t n)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return 0;
    FILE *file = fopen(JSON_PATH, "w");
    if (!file)
        return 0;
    (void)fprintf(file, "{\"bench\": \"base64\", \"threads\": 1, \"runs\": %d, \"characters\": %d, \"results\": [",
                  RUNS, N_TEXT);
    for (size_t i = 0; i < n; i++) {
        const result *r = &results[i];
        (void)fprintf(file, "%s\n  {\"name\": \"%s\", \"median_us\": %.2f, \"p10_us\": %.2f, \"p90_us\": %.2f, ",
                      i > 0 ? "," : "", r->name, r->median_us, r->low_us, r->high_us);
        (void)fprintf(file, "\"mb_per_s\": %.0f}", N_TEXT / r->median_us);
    }
    (void)fprintf(file, "\n]}\n");
    int failed = ferror(file);
    return fclose(file) == 0 && !failed;
}

int main(void)
{
    static const char *const peers[] = {"openssl", "memcpy"};
    result results[8];
    size_t n_impls, n = 0;
    const vx_base64_impl *impls = vx_base64_impls(&n_impls);

    for (size_t i = 0; i < N_BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    vx_base64_encode(bytes, N_BYTES, text);
    for (size_t i = 0; i < n_impls + 2; i++, n++) {
        const vx_base64_impl *impl = i < n_impls ? &impls[i] : NULL;
        if (!measure(impl, impl ? impl->name : peers[i - n_impls], &results[n])) {
            (void)fprintf(stderr, "bench_base64: a decoder failed\n");
            return 1;
        }
    }
    const double peer_us = results[n_impls].median_us;
    (void)printf("base64 decoding, %d characters, one thread, %d runs\n", N_TEXT, RUNS);
    (void)printf("%-12s %10s %10s %10s %10s %10s\n", "kernel", "median us", "p10 us", "p90 us", "MB/s", "x openssl");
    for (size_t i = 0; i < n; i++)
        (void)printf("%-12s %10.2f %10.2f %10.2f %10.0f %10.1f\n", results[i].name, results[i].median_us,
                     results[i].low_us, results[i].high_us, N_TEXT / results[i].median_us,
                     peer_us / results[i].median_us);
    if (!write_json(results, n)) {
        (void)fprintf(stderr, "bench_base64: cannot write " JSON_PATH "\n");
        return 1;
    }
    return 0;
}
