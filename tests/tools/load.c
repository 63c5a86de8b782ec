/* load.c - load on a voxlock-cloud that it starts itself, every answer checked.
 * Usage:  load --service PROGRAM --model FOLDER [switches] [-- SETTINGS OF THE SERVICE...]
 *   --body json|raw    base64 in JSON, or bare samples in and bare floats out (default: json)
 *   --clients N        connections that ask and ask again (default: 1)
 *   --seconds S        how long (default: 5, unless --requests)
 *   --requests N       how many requests in all
 *   --unique           no two requests alike: nothing can come from a cache
 *   --terminate        SIGTERM while requests are in flight; each must still be answered, and the service must exit 0
 *   --json FILE        the numbers
 * Owns:   start and end of the service, the expected embeddings (computed here by the library), the report.
 *         Does not: judge speed. Exit status 1 when an answer was wrong, missing or lost.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/engine.h"
#include "tests/support/load_clients.h"
#include "tests/support/stats.h"

enum { CLIP_S = 3, MAX_SETTINGS = 32, START_TIMEOUT_MS = 30000, END_TIMEOUT_MS = 30000 };
#define MAX_FILE_BYTES ((size_t)16 << 20)
/* Different voices, so that an answer which reaches the wrong client is seen. */
static const char *const recordings[] = {"tests/data/audio/reader1_a.flac", "tests/data/audio/reader2_a.flac",
                                         "tests/data/audio/reader3_a.flac", "tests/data/audio/reader4_a.flac"};
enum { N_CLIPS = sizeof recordings / sizeof *recordings };

typedef struct {
    const char *program, *model, *json;
    load_plan plan;
    char **settings;
    int n_settings;
} arguments;

typedef struct {
    double listening_ms, first_answer_ms; /* since the service was started */
    double first_rss_mb, last_rss_mb;     /* after the first answer, and after the last */
    int exit_status;
    double end_ms; /* from the last answer to its exit */
} service_life;

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    return -1;
}

/* ---- clips ------------------------------------------------------------------------------------------------------ */

/* The first CLIP_S seconds of a recording as int16 samples, and their embedding. */
static vx_err make_clip(vx_engine *engine, const char *path, load_clip *ret, vx_errinfo *info)
{
    vx_buf file = {0};
    vx_audio audio = {0}, sent = {0};
    const size_t n = (size_t)CLIP_S * VX_AUDIO_RATE;
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, info);
    if (!err)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, info);
    if (!err && audio.n < n)
        err = vx_errinfo_set(info, VX_ERR_AUDIO_SHORT, "%s is shorter than %d s", path, CLIP_S);
    for (size_t i = 0; !err && i < n; i++) {
        /* Exact: the recordings have 16 bits. */
        const int value = (int)(audio.samples[i] * 32768.0f);
        const uint8_t le[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
        err = vx_buf_append(&ret->pcm, le, sizeof le);
    }
    if (!err)
        err = vx_audio_decode(ret->pcm.data, ret->pcm.len, VX_FORMAT_S16LE, VX_AUDIO_RATE, &sent, info);
    if (!err)
        err = vx_engine_embed(engine, sent.samples, sent.n, &ret->expected, NULL);
    vx_audio_done(&audio);
    vx_audio_done(&sent);
    vx_buf_wipe_done(&file);
    return err;
}

static int make_clips(const char *model, load_clip clips[N_CLIPS])
{
    const vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_engine_open(model, &options, &engine, &info);
    for (int i = 0; !err && i < N_CLIPS; i++)
        err = make_clip(engine, recordings[i], &clips[i], &info);
    vx_engine_close(engine);
    return err ? complain(model, vx_errinfo_text(&info, err)) : 0;
}

static void wipe_clips(load_clip clips[N_CLIPS])
{
    for (int i = 0; i < N_CLIPS; i++) {
        vx_buf_wipe_done(&clips[i].pcm);
        vx_embedding_wipe(&clips[i].expected);
    }
}

/* ---- the service ------------------------------------------------------------------------------------------------ */

/* Returns the port, or -1. */
static int start_service(const arguments *a, child *ret)
{
    char *argv[MAX_SETTINGS + 12] = {(char *)a->program, (char *)"--port",       (char *)"0",
                                     (char *)"--bind",   (char *)"127.0.0.1",    (char *)"--model",
                                     (char *)a->model,   (char *)"--log-format", (char *)"json"};
    int n = 9;
    const char *line;
    if (a->n_settings > MAX_SETTINGS)
        return complain("settings", "too many");
    for (int i = 0; i < a->n_settings; i++)
        argv[n++] = a->settings[i];
    if (!child_start(argv, CHILD_STDERR, ret))
        return complain(a->program, strerror(errno));
    while (child_hear(ret, START_TIMEOUT_MS, &line)) {
        json_t *said = json_loads(line, 0, NULL);
        const char *message = json_string_value(json_object_get(said, "message"));
        const int port = (int)json_integer_value(json_object_get(said, "port"));
        const bool listens = message && strcmp(message, "listening") == 0 && port > 0;
        json_decref(said);
        if (listens)
            return port;
        fprintf(stderr, "load: the service says: %s\n", line);
    }
    return complain(a->program, "did not start to listen");
}

/* One request as soon as the service listens, which shows how long a cold start takes; then the load. */
static int run(arguments *a, const load_clip *clips, service_life *ret_life, load_result *ret)
{
    child service = {0};
    load_result first = {0};
    int status = 0;
    const uint64_t start = vx_now_ns();
    a->plan.port = start_service(a, &service);
    ret_life->listening_ms = vx_ms_since(start);
    a->plan.service = &service;
    a->plan.clips = clips;
    a->plan.n_clips = N_CLIPS;
    if (a->plan.port < 0) {
        child_end(&service, 0);
        return -1;
    }
    load_plan one = a->plan;
    one.clients = 1;
    one.requests = 1;
    one.until_s = 0;
    one.terminate = false;
    if (!load_run(&one, &first) || first.answered != 1)
        status = complain("the first request", first.first_fault[0] ? first.first_fault : "out of memory");
    ret_life->first_answer_ms = vx_ms_since(start);
    ret_life->first_rss_mb = load_rss_mb(service.pid);
    load_result_done(&first);

    if (status == 0 && !load_run(&a->plan, ret))
        status = complain("load", "out of memory");
    /* After SIGTERM it may be gone already; its last sample is from just before. */
    ret_life->last_rss_mb = !a->plan.terminate ? load_rss_mb(service.pid)
                            : ret->n_rss       ? ret->rss_mb[ret->n_rss - 1]
                                               : 0;
    const uint64_t end = vx_now_ns();
    if (!a->plan.terminate || status != 0)
        kill(service.pid, SIGTERM);
    ret_life->exit_status = child_end(&service, END_TIMEOUT_MS);
    ret_life->end_ms = vx_ms_since(end);
    return status;
}

/* ---- report ----------------------------------------------------------------------------------------------------- */

static double latency(const load_result *r, double q)
{
    return stats_quantile(r->latencies_ms, r->answered, q);
}

static double rate(const load_result *r)
{
    return r->seconds > 0 ? (double)r->answered / r->seconds : 0;
}

/* Of the second half: until each client had its first answer, its connection's buffers still grow to what they need. */
static double rss_slope(const load_result *r)
{
    return stats_slope(r->rss_mb + r->n_rss / 2, r->n_rss - r->n_rss / 2);
}

static void print(const arguments *a, const service_life *life, const load_result *r)
{
    printf("%-4s %-8s %3d clients %6zu answers %8.1f/s  p50 %8.2f  p90 %8.2f  p99 %8.2f ms  busy %zu  wrong %zu  "
           "failed %zu\n",
           a->plan.json ? "json" : "raw", a->plan.unique ? "uncached" : "repeated", a->plan.clients, r->answered,
           rate(r), latency(r, 0.5), latency(r, 0.9), latency(r, 0.99), r->busy, r->wrong, r->failed);
    if (a->plan.terminate) {
        printf("     SIGTERM under load: %zu in flight, %zu answered, %zu refused, %zu lost; exit status %d "
               "%.0f ms after the last answer\n",
               r->in_flight, r->in_flight_answered, r->in_flight_refused, r->in_flight_lost, life->exit_status,
               life->end_ms);
        printf("     resident memory: %.1f MB after the first answer, %.1f MB at the end, slope %+.3f MB/s over "
               "the last %zu s\n",
               life->first_rss_mb, life->last_rss_mb, rss_slope(r), r->n_rss - r->n_rss / 2);
    }
    if (r->first_fault[0])
        printf("     first fault: %s\n", r->first_fault);
}

static int write_json(const arguments *a, const service_life *life, const load_result *r)
{
    json_t *root =
        json_pack("{s:s, s:s, s:b, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "bench", "http", "body",
                  a->plan.json ? "json" : "raw", "unique", (int)a->plan.unique, "clients", a->plan.clients, "answered",
                  (json_int_t)r->answered, "seconds", r->seconds, "per_second", rate(r), "p50_ms", latency(r, 0.5),
                  "p90_ms", latency(r, 0.9), "p99_ms", latency(r, 0.99), "busy", (json_int_t)r->busy, "wrong",
                  (json_int_t)r->wrong, "failed", (json_int_t)r->failed);
    json_t *more =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:f}", "listening_ms", life->listening_ms, "first_answer_ms",
                  life->first_answer_ms, "first_rss_mb", life->first_rss_mb, "last_rss_mb", life->last_rss_mb,
                  "rss_slope_mb_per_s", rss_slope(r), "exit_status", life->exit_status, "end_ms", life->end_ms);
    json_t *samples = json_array();
    for (size_t i = 0; i < r->n_rss; i++)
        json_array_append_new(samples, json_real(r->rss_mb[i]));
    json_object_update(root, more);
    json_object_set_new(root, "rss_mb", samples);
    if (a->plan.terminate)
        json_object_set_new(root, "terminate",
                            json_pack("{s:I, s:I, s:I, s:I}", "in_flight", (json_int_t)r->in_flight, "answered",
                                      (json_int_t)r->in_flight_answered, "refused", (json_int_t)r->in_flight_refused,
                                      "lost", (json_int_t)r->in_flight_lost));
    const int failed = json_dump_file(root, a->json, JSON_COMPACT | JSON_REAL_PRECISION(7));
    json_decref(root);
    json_decref(more);
    return failed ? complain(a->json, "cannot be written") : 0;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int read_arguments(int argc, char **argv, arguments *ret)
{
    static const struct option options[] = {
        {"service", required_argument, NULL, 'p'}, {"model", required_argument, NULL, 'm'},
        {"body", required_argument, NULL, 'b'},    {"clients", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"requests", required_argument, NULL, 'r'},
        {"unique", no_argument, NULL, 'u'},        {"terminate", no_argument, NULL, 't'},
        {"json", required_argument, NULL, 'j'},    {0}};
    arguments a = {.plan = {.json = true, .clients = 1}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'p': a.program = optarg; break;
        case 'm': a.model = optarg; break;
        case 'b':
            a.plan.json = strcmp(optarg, "json") == 0;
            if (!a.plan.json && strcmp(optarg, "raw") != 0)
                return -1;
            break;
        case 'c': a.plan.clients = atoi(optarg); break;
        case 's': a.plan.until_s = atof(optarg); break;
        case 'r': a.plan.requests = strtoul(optarg, NULL, 10); break;
        case 'u': a.plan.unique = true; break;
        case 't': a.plan.terminate = true; break;
        case 'j': a.json = optarg; break;
        default: return -1;
        }
    }
    if (a.plan.requests == 0 && a.plan.until_s <= 0)
        a.plan.until_s = 5;
    a.settings = argv + optind;
    a.n_settings = argc - optind;
    if (!a.program || !a.model || a.plan.clients < 1 || a.plan.clients > 10000)
        return -1;
    *ret = a;
    return 0;
}

int main(int argc, char **argv)
{
    arguments a;
    load_clip clips[N_CLIPS] = {0};
    service_life life = {0};
    load_result result = {0};
    if (read_arguments(argc, argv, &a) != 0) {
        fputs("usage: load --service PROGRAM --model FOLDER [--body json|raw] [--clients N] [--seconds S] "
              "[--requests N] [--unique] [--terminate] [--json FILE] [-- SETTINGS...]\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int status = make_clips(a.model, clips);
    if (status == 0)
        status = run(&a, clips, &life, &result);
    if (status == 0) {
        stats_sort(result.latencies_ms, result.answered);
        print(&a, &life, &result);
        if (a.json)
            status = write_json(&a, &life, &result);
    }
    if (result.wrong || result.failed || result.in_flight_lost || result.answered == 0 || life.exit_status != 0)
        status = -1;
    load_result_done(&result);
    wipe_clips(clips);
    return status == 0 ? 0 : 1;
}
