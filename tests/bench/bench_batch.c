/* bench_batch.c - what several clips at once gain. First through the engine: a batch, which gives each core a clip of its
 * own, against one clip after the other on all cores. Then what one pass over several clips could gain: the network's time
 * a frame, short to long, and how it divides into matrix products, packing and the rest, on one thread. The best kernels
 * of this machine.
 * Usage:  bench_batch [NAME=FOLDER...], in the repository root; without, the starter model and what tests/bench/run.sh
 *         made
 * Owns:   two tables on stdout and build/bench/batch.json. Does not: judge; docs/measurements.md draws the conclusion.
 *
 * A batch of k clips of n frames is at best one pass over k * n frames: the weights are read once instead of k times,
 * and the edges of tiles are met once. So a longer clip shows the most that a batch could gain, without one being built.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/arena.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/ecapa.h"
#include "shared/engine/engine.h"
#include "tests/support/stats.h"

enum { BANDS = 80, ROUNDS = 11, WARM_UP = 2, MAX_FRAMES = 3001 };
#define JSON_PATH "build/bench/batch.json"

static const struct {
    int seconds;
    size_t frames;
} lengths[] = {{1, 101}, {3, 301}, {10, 1001}, {30, 3001}};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, ONE_CLIP = 1 /* 3 s, what the service mostly gets */ };

/* ---- a clock around two kernels --------------------------------------------------------------------------------- */

/* Kernels take no context, so the clock cannot be handed to them. */
static const vx_product *timed;
static uint64_t multiply_ns, pack_ns;

static void timed_multiply(const vx_conv *conv, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    const uint64_t start = vx_now_ns();
    timed->multiply(conv, p, row0, row1, y, ld);
    multiply_ns += vx_now_ns() - start;
}

static void timed_pack(const vx_conv *conv, const float *x, const float *x_add, size_t ld, size_t n, vx_panels *p)
{
    const uint64_t start = vx_now_ns();
    timed->pack(conv, x, x_add, ld, n, p);
    pack_ns += vx_now_ns() - start;
}

/* ---- one model -------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_map map;
    vx_safetensors *file;
    vx_ecapa net;
    vx_kernels kernels;
    vx_product product; /* the kernels' own, with the clock around it */
    vx_team *team;
    vx_arena arena;
} model;

static void close_model(model *m)
{
    vx_arena_release(&m->arena);
    vx_team_destroy(m->team);
    vx_ecapa_done(&m->net);
    vx_safetensors_close(m->file);
    vx_map_close(&m->map);
}

static vx_err open_model(const char *folder, model *ret, vx_errinfo *info)
{
    char path[512];
    model m = {.kernels = *vx_kernels_for(vx_isa_best())};
    timed = m.kernels.product[VX_NUMBER_F32];
    m.product = *timed;
    m.product.multiply = timed_multiply;
    m.product.pack = timed_pack;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    vx_err err = vx_map_open(path, &m.map, info);
    if (!err)
        err = vx_safetensors_open(m.map.data, m.map.len, &m.file, info);
    if (!err)
        err = vx_ecapa_bind(m.file, BANDS, &m.net, info);
    if (!err)
        err = vx_team_create(1, &m.team);
    if (!err) {
        const size_t floats = vx_ecapa_scratch_floats(&m.net, &m.kernels, 1, MAX_FRAMES, MAX_FRAMES);
        err = vx_arena_reserve(floats * sizeof(float), &m.arena);
    }
    if (err) {
        close_model(&m);
        return err;
    }
    *ret = m;
    ret->kernels.product[VX_NUMBER_F32] = &ret->product;
    return VX_OK;
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

typedef struct {
    double total_ms[ROUNDS], multiply_ms[ROUNDS], pack_ms[ROUNDS];
    spread total, multiply, pack;
} times;

static vx_err run_once(const model *m, size_t n_frames, int round, times *t)
{
    const vx_ecapa_runner runner = {
        .net = &m->net, .kernels = &m->kernels, .team = m->team, .max_frames = MAX_FRAMES, .scratch = m->arena.data};
    float raw[512];
    size_t ld;
    uint64_t seed = 1;
    float *features = vx_ecapa_input(&runner, n_frames, &ld);
    for (size_t i = 0; i < BANDS * ld; i++)
        features[i] = 40.0f * ((float)(stats_random(&seed) >> 40) / (float)(1 << 24) - 0.5f);
    multiply_ns = pack_ns = 0;
    const uint64_t start = vx_now_ns();
    const vx_err err = vx_ecapa_run(&runner, n_frames, raw);
    if (round >= 0) {
        t->total_ms[round] = vx_ms_since(start);
        t->multiply_ms[round] = (double)multiply_ns / 1e6;
        t->pack_ms[round] = (double)pack_ns / 1e6;
    }
    return err;
}

/* In turns, so that whatever else the machine does hits all lengths alike. */
static vx_err measure(const model *m, times ret[N_LENGTHS])
{
    vx_err err = VX_OK;
    for (int round = -WARM_UP; !err && round < ROUNDS; round++)
        for (int i = 0; !err && i < N_LENGTHS; i++)
            err = run_once(m, lengths[i].frames, round, &ret[i]);
    for (int i = 0; i < N_LENGTHS; i++) {
        ret[i].total = stats_spread(ret[i].total_ms, ROUNDS);
        ret[i].multiply = stats_spread(ret[i].multiply_ms, ROUNDS);
        ret[i].pack = stats_spread(ret[i].pack_ms, ROUNDS);
    }
    return err;
}

static void report(const char *name, const times t[N_LENGTHS], json_t *rows)
{
    const double one = t[ONE_CLIP].total.median / (double)lengths[ONE_CLIP].frames;
    for (int i = 0; i < N_LENGTHS; i++) {
        const double ms = t[i].total.median, frames = (double)lengths[i].frames;
        const double products = 100 * t[i].multiply.median / ms, packing = 100 * t[i].pack.median / ms;
        char range[32];
        snprintf(range, sizeof range, "%.2f .. %.2f", t[i].total.p10, t[i].total.p90);
        printf("%-8s %7d %8zu %10.2f  %-18s %9.2f %12.2f %10.1f %9.1f %6.1f\n", name, lengths[i].seconds,
               lengths[i].frames, ms, range, 1e3 * ms / frames, ms / frames / one, products, packing,
               100 - products - packing);
        json_array_append_new(rows, json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f}", "model", name, "seconds",
                                              lengths[i].seconds, "network_ms", ms, "us_per_frame", 1e3 * ms / frames,
                                              "times_3_s", ms / frames / one, "products_percent", products,
                                              "packing_percent", packing));
    }
}

/* ---- through the engine ----------------------------------------------------------------------------------------- */

enum { CLIPS = 16, CLIP_SAMPLES = 48000 };

/* A round of one after the other, and a round of all at once. */
static vx_err both_ways(vx_engine *engine, const vx_clip *clips, double *ret_single_ms, double *ret_batch_ms,
                        vx_errinfo *info)
{
    vx_embedding embeddings[CLIPS];
    vx_err errs[CLIPS], err = VX_OK;
    uint64_t start = vx_now_ns();
    for (int i = 0; i < CLIPS && !err; i++)
        err = vx_engine_embed(engine, clips[i].samples, clips[i].n, &embeddings[i], NULL, info);
    *ret_single_ms = vx_ms_since(start) / CLIPS;
    start = vx_now_ns();
    if (!err)
        err = vx_engine_embed_batch(engine, clips, CLIPS, embeddings, errs, info);
    *ret_batch_ms = vx_ms_since(start) / CLIPS;
    for (int i = 0; i < CLIPS && !err; i++)
        err = errs[i];
    return err;
}

static vx_err measure_engine(const char *name, const char *folder, json_t *rows, vx_errinfo *info)
{
    static float samples[CLIP_SAMPLES + CLIPS];
    double single[ROUNDS], batch[ROUNDS];
    vx_clip clips[CLIPS];
    uint64_t seed = 2;
    vx_engine *engine = NULL;
    vx_engine_options options = vx_engine_options_default();
    options.strategy = "native";
    options.threads = vx_cpu_count();
    for (int i = 0; i < CLIP_SAMPLES + CLIPS; i++)
        samples[i] = (float)(stats_random(&seed) >> 40) / (float)(1 << 25);
    for (int i = 0; i < CLIPS; i++)
        clips[i] = (vx_clip){samples + i, CLIP_SAMPLES};
    vx_err err = vx_engine_open(folder, &options, &engine, info);
    for (int round = -WARM_UP; !err && round < ROUNDS; round++)
        err = both_ways(engine, clips, &single[round < 0 ? 0 : round], &batch[round < 0 ? 0 : round], info);
    vx_engine_close(engine);
    if (err)
        return err;
    const spread s = stats_spread(single, ROUNDS), b = stats_spread(batch, ROUNDS);
    printf("%-8s %7d %14.2f  %6.2f .. %-8.2f %12.2f  %6.2f .. %-8.2f %9.2f\n", name, options.threads, s.median, s.p10,
           s.p90, b.median, b.p10, b.p90, s.median / b.median);
    json_array_append_new(rows, json_pack("{s:s, s:i, s:i, s:f, s:f, s:f}", "model", name, "threads", options.threads,
                                          "clips", CLIPS, "single_ms_per_clip", s.median, "batch_ms_per_clip", b.median,
                                          "batch_times_faster", s.median / b.median));
    return VX_OK;
}

static int run_engine(const char *name, const char *folder, json_t *rows)
{
    vx_errinfo info = {0};
    const vx_err err = measure_engine(name, folder, rows, &info);
    if (err)
        fprintf(stderr, "bench_batch: %s: %s\n", folder, vx_errinfo_text(&info, err));
    return err ? -1 : 0;
}

/* ---- both tables ------------------------------------------------------------------------------------------------ */

static int run(const char *name, const char *folder, json_t *rows)
{
    static times t[N_LENGTHS];
    model m;
    vx_errinfo info = {0};
    vx_err err = open_model(folder, &m, &info);
    if (!err) {
        err = measure(&m, t);
        close_model(&m);
    }
    if (err) {
        fprintf(stderr, "bench_batch: %s: %s\n", folder, vx_errinfo_text(&info, err));
        return -1;
    }
    report(name, t, rows);
    return 0;
}

static int write_json(json_t *rows)
{
    if ((mkdir("build", 0777) == 0 || errno == EEXIST) && (mkdir("build/bench", 0777) == 0 || errno == EEXIST) &&
        json_dump_file(rows, JSON_PATH, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) == 0)
        return 0;
    fprintf(stderr, "bench_batch: %s: cannot be written\n", JSON_PATH);
    return -1;
}

/* Every model of the command line, or the usual ones. */
static int for_each_model(int argc, char **argv, int (*fn)(const char *name, const char *folder, json_t *rows),
                          json_t *rows)
{
    static const char *const usual[][2] = {{"starter", "models/starter"}, {"20.8M", "build/bench/model-20.8M"}};
    int status = 0;
    for (int i = 1; i < argc && status == 0; i++) {
        char name[64];
        const char *folder = strchr(argv[i], '=');
        if (!folder || folder - argv[i] >= (long)sizeof name) {
            fputs("usage: bench_batch [NAME=FOLDER...]\n", stderr);
            return -1;
        }
        snprintf(name, sizeof name, "%.*s", (int)(folder - argv[i]), argv[i]);
        status = fn(name, folder + 1, rows);
    }
    for (size_t i = 0; argc == 1 && i < sizeof usual / sizeof *usual && status == 0; i++) {
        struct stat there;
        if (stat(usual[i][1], &there) == 0)
            status = fn(usual[i][0], usual[i][1], rows);
        else
            printf("%-8s not made yet: tests/bench/run.sh makes it\n", usual[i][0]);
    }
    return status;
}

int main(int argc, char **argv)
{
    json_t *rows = json_array();
    printf("%-8s %7s %14s  %-18s %12s  %-18s %9s\n", "model", "threads", "single ms/clip", "10 % .. 90 %",
           "batch ms/clip", "10 % .. 90 %", "x faster");
    int status = for_each_model(argc, argv, run_engine, rows);
    printf("\n%-8s %7s %8s %10s  %-18s %9s %12s %10s %9s %6s\n", "model", "seconds", "frames", "network ms",
           "10 % .. 90 %", "us/frame", "x us at 3 s", "products %", "packing %", "rest %");
    if (status == 0)
        status = for_each_model(argc, argv, run, rows);
    if (status == 0)
        status = write_json(rows);
    json_decref(rows);
    return status == 0 ? 0 : 1;
}
