/* bench_cuda.c - strategy jit on a CUDA device: batches of 1 to 256 clips of 3 s, f32 and bf16, and how far the vectors
 * are from the CPU's. Without a device it says so and succeeds.
 * Usage:  bench_cuda [FOLDER [DEVICE]], in the repository root; FOLDER as models/bake.py writes it, by default the one
 *         that tests/bench/run.sh makes. DEVICE cpu shows what batches gain there, up to 16 clips.
 * Owns:   one table on stdout and build/bench/cuda.json. Does not: judge.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/clock.h"
#include "shared/base/json.h"
#include "shared/engine/engine.h"
#include "shared/engine/self_test.h"
#include "tests/support/stats.h"

enum { CLIP_SAMPLES = 3 * 16000, MAX_BATCH = 256, MAX_BATCH_CPU = 16, N_COMPARED = 8, ROUNDS = 7, WARM_UP = 2 };
#define USUAL_FOLDER "build/bench/peers-20.8M"
#define JSON_PATH    "build/bench/cuda.json"

typedef struct {
    vx_clip clips[MAX_BATCH];
    float *samples;                  /* [MAX_BATCH, CLIP_SAMPLES] */
    vx_embedding by_cpu[N_COMPARED]; /* f32 */
    vx_embedding by_device[MAX_BATCH];
    vx_err errs[MAX_BATCH];
    json_t *rows;
} bench;

/* ---- clips ------------------------------------------------------------------------------------------------------ */

/* The self-test's signal three times over, each clip with noise of its own. */
static void make_clips(bench *b)
{
    float signal[VX_SELF_TEST_SAMPLES];
    uint64_t seed = 1;
    vx_self_test_signal(signal);
    for (size_t i = 0; i < MAX_BATCH; i++) {
        float *clip = b->samples + i * CLIP_SAMPLES;
        for (size_t n = 0; n < CLIP_SAMPLES; n++)
            clip[n] = 0.5f * signal[n % VX_SELF_TEST_SAMPLES] +
                      0.2f * ((float)(stats_random(&seed) >> 40) / (float)(1 << 24) - 0.5f);
        b->clips[i] = (vx_clip){clip, CLIP_SAMPLES};
    }
}

/* ---- engines ---------------------------------------------------------------------------------------------------- */

static vx_err open_jit(const char *folder, const char *device, vx_precision precision, vx_engine **ret,
                       vx_errinfo *info)
{
    vx_engine_options options = vx_engine_options_default();
    options.strategy = "jit";
    options.device = device;
    options.precision = precision;
    return vx_engine_open(folder, &options, ret, info);
}

static vx_err embed_on_cpu(bench *b, const char *folder, vx_errinfo *info)
{
    vx_engine *engine = NULL;
    vx_err err = open_jit(folder, "cpu", VX_PRECISION_F32, &engine, info);
    for (size_t i = 0; err == VX_OK && i < N_COMPARED; i++)
        err = vx_engine_embed(engine, b->clips[i].samples, b->clips[i].n, &b->by_cpu[i], NULL, info);
    vx_engine_close(engine);
    return err;
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

static double worst_cosine(const bench *b, size_t n)
{
    double worst = 1, cosine;
    for (size_t i = 0; i < n && i < N_COMPARED; i++)
        if (b->errs[i] != VX_OK || vx_embedding_cosine(&b->by_cpu[i], &b->by_device[i], &cosine) != VX_OK)
            worst = -1;
        else
            worst = fmin(worst, cosine);
    return worst;
}

/* What of a batch is the front end, on one core of the CPU: one clip's, often enough to be warm. */
static vx_err features_ms(bench *b, vx_engine *engine, double *ret, vx_errinfo *info)
{
    vx_engine_timing timing = {0};
    vx_err err = VX_OK;
    for (int i = 0; err == VX_OK && i < ROUNDS; i++)
        err = vx_engine_embed(engine, b->clips[0].samples, b->clips[0].n, &b->by_device[0], &timing, info);
    if (err == VX_OK)
        *ret = timing.features_ms;
    return err;
}

static vx_err run_batches(bench *b, vx_engine *engine, size_t max_batch, vx_errinfo *info)
{
    vx_engine_info about;
    double one_front_end = 0;
    vx_engine_get_info(engine, &about);
    vx_err err = features_ms(b, engine, &one_front_end, info);
    for (size_t n = 1; err == VX_OK && n <= max_batch; n *= 2) {
        double ms[ROUNDS];
        for (int round = -WARM_UP; err == VX_OK && round < ROUNDS; round++) {
            const uint64_t start = vx_now_ns();
            err = vx_engine_embed_batch(engine, b->clips, n, b->by_device, b->errs, info);
            if (round >= 0)
                ms[round] = vx_ms_since(start);
        }
        for (size_t i = 0; err == VX_OK && i < n; i++)
            err = b->errs[i];
        if (err != VX_OK)
            return err;
        const spread time = stats_spread(ms, ROUNDS);
        const double cosine = worst_cosine(b, n), front_end = one_front_end * (double)n;
        printf("%-6s %-5s %6zu %10.2f %14.2f %10.1f %12.7f\n", about.device, about.precision, n, time.median, front_end,
               1e3 * (double)n / time.median, cosine);
        json_array_append_new(b->rows, json_pack("{s:s, s:s, s:I, s:f, s:f, s:f}", "device", about.device, "precision",
                                                 about.precision, "batch", (json_int_t)n, "ms", time.median,
                                                 "front_end_ms", front_end, "cosine", cosine));
    }
    return err;
}

static vx_err run(bench *b, const char *folder, const char *device, vx_errinfo *info)
{
    static const vx_precision precisions[] = {VX_PRECISION_F32, VX_PRECISION_BF16};
    const size_t max_batch = strcmp(device, "cpu") == 0 ? MAX_BATCH_CPU : MAX_BATCH;
    vx_err err = VX_OK;
    for (size_t p = 0; err == VX_OK && p < sizeof precisions / sizeof *precisions; p++) {
        vx_engine *engine = NULL;
        err = open_jit(folder, device, precisions[p], &engine, info);
        if (err == VX_OK && p == 0) {
            err = embed_on_cpu(b, folder, info);
            printf("%-6s %-5s %6s %10s %14s %10s %12s\n", "device", "", "clips", "ms", "front end ms", "clips/s",
                   "cosine >=");
        }
        if (err == VX_OK)
            err = run_batches(b, engine, max_batch, info);
        vx_engine_close(engine);
    }
    return err;
}

static int write_json(json_t *rows)
{
    if ((mkdir("build", 0777) == 0 || errno == EEXIST) && (mkdir("build/bench", 0777) == 0 || errno == EEXIST) &&
        json_dump_file(rows, JSON_PATH, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0)
        return 0;
    fprintf(stderr, "bench_cuda: %s: cannot be written\n", JSON_PATH);
    return 1;
}

int main(int argc, char **argv)
{
    static bench b;
    const char *folder = argc > 1 ? argv[1] : USUAL_FOLDER, *device = argc > 2 ? argv[2] : "cuda";
    struct stat there;
    if (argc == 1 && stat(USUAL_FOLDER "/" VX_MANIFEST_NAME, &there) != 0) {
        printf("%s is not made yet: tests/bench/run.sh makes it\n", folder);
        return 0;
    }
    vx_errinfo info = {0};
    b.rows = json_array();
    b.samples = malloc(sizeof(float) * MAX_BATCH * CLIP_SAMPLES);
    vx_err err = b.samples ? VX_OK : VX_ERR_NOMEM;
    if (err == VX_OK) {
        make_clips(&b);
        err = run(&b, folder, device, &info);
    }
    int status = 0;
    /* No such device, or no libtorch: nothing is wrong, and nothing was measured. */
    if (err == VX_ERR_UNSUPPORTED || err == VX_ERR_OPTION_VALUE) {
        printf("%s: not measured: %s\n", device, vx_errinfo_text(&info, err));
    } else if (err != VX_OK) {
        fprintf(stderr, "bench_cuda: %s: %s\n", folder, vx_errinfo_text(&info, err));
        status = 1;
    } else {
        status = write_json(b.rows);
    }
    json_decref(b.rows);
    free(b.samples);
    return status;
}
