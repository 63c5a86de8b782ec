/* bench_fbank.c - how long the front end takes: 1, 3 and 10 s of noise, every instruction set of this machine.
 * Owns:   one table on stdout and build/bench/fbank.json. Does not: judge; docs/measurements.md keeps the results.
 * Usage:  bench_fbank, in the repository root. One thread; times are of a warm cache.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/audio/fbank.h"
#include "shared/base/clock.h"

#define RATE      16000
#define MAX_S     10
#define RUNS      401
#define WARM_UP   20
#define JSON_PATH "build/bench/fbank.json"

typedef struct {
    vx_isa isa;
    int seconds;
    size_t frames;
    double median_us, low_us, high_us; /* 50th, 10th and 90th percentile */
} result;

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static vx_err measure(vx_fbank *fbank, const float *pcm, float *feat, result *r)
{
    static double us[RUNS];
    const size_t n = (size_t)r->seconds * RATE;
    r->frames = vx_fbank_frames(fbank, n);
    for (int run = -WARM_UP; run < RUNS; run++) {
        const uint64_t start = vx_now_ns();
        const vx_err err = vx_fbank_compute(fbank, pcm, n, feat, r->frames);
        if (err != VX_OK)
            return err;
        if (run >= 0)
            us[run] = vx_ms_since(start) * 1e3;
    }
    qsort(us, RUNS, sizeof *us, compare);
    r->median_us = us[RUNS / 2];
    r->low_us = us[RUNS / 10];
    r->high_us = us[RUNS - 1 - RUNS / 10];
    return VX_OK;
}

static int write_json(const result *results, int count)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return -1;
    FILE *file = fopen(JSON_PATH, "w");
    if (file == NULL)
        return -1;
    fprintf(file, "{\"bench\": \"fbank\", \"threads\": 1, \"runs\": %d, \"results\": [", RUNS);
    for (int i = 0; i < count; i++) {
        const result *r = &results[i];
        fprintf(file,
                "%s\n  {\"isa\": \"%s\", \"seconds\": %d, \"frames\": %zu, \"median_us\": %.1f, \"p10_us\": %.1f, ",
                i > 0 ? "," : "", vx_isa_name(r->isa), r->seconds, r->frames, r->median_us, r->low_us);
        fprintf(file, "\"p90_us\": %.1f}", r->high_us);
    }
    fprintf(file, "\n]}\n");
    const int failed = ferror(file);
    return fclose(file) != 0 || failed ? -1 : 0;
}

int main(void)
{
    static const int seconds[] = {1, 3, MAX_S};
    static float pcm[MAX_S * RATE];
    static float feat[80 * (1 + MAX_S * RATE / 160)];
    result results[16];
    int count = 0;
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof pcm / sizeof *pcm; i++) {
        state = state * 1664525u + 1013904223u;
        pcm[i] = (float)(int32_t)state / 2147483648.0f;
    }

    const vx_fbank_params params = vx_fbank_params_default();
    printf("%-8s %8s %8s %12s %22s %16s\n", "isa", "seconds", "frames", "median us", "10 % .. 90 %", "times real time");
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_AVX512; isa++) {
        vx_fbank *fbank = NULL;
        if (!vx_isa_available((vx_isa)isa))
            continue;
        vx_err err = vx_fbank_create(&params, (vx_isa)isa, &fbank, NULL);
        for (size_t i = 0; i < sizeof seconds / sizeof *seconds && err == VX_OK; i++) {
            result *r = &results[count++];
            *r = (result){.isa = (vx_isa)isa, .seconds = seconds[i]};
            err = measure(fbank, pcm, feat, r);
            printf("%-8s %8d %8zu %12.1f %10.1f .. %8.1f %16.0f\n", vx_isa_name(r->isa), r->seconds, r->frames,
                   r->median_us, r->low_us, r->high_us, r->seconds * 1e6 / r->median_us);
        }
        vx_fbank_destroy(fbank);
        if (err != VX_OK) {
            fprintf(stderr, "bench_fbank: %s\n", vx_err_sentence(err));
            return 1;
        }
    }
    if (write_json(results, count) != 0) {
        fprintf(stderr, "bench_fbank: cannot write " JSON_PATH ": %s\n", strerror(errno));
        return 1;
    }
    printf("written: " JSON_PATH "\n");
    return 0;
}
