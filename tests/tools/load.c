/* load.c - load on a voxlock-cloud that it starts itself, every answer checked.
 * Usage:  load --service PROGRAM --model FOLDER [switches] [-- SETTINGS OF THE SERVICE...]
 *   --body json|raw    base64 in JSON, or bare samples in and bare floats out (default: json)
 *   --clients N        connections that ask and ask again (default: 1)
 *   --seconds S        how long (default: 5, unless --requests)
 *   --requests N       how many requests in all
 *   --mix PERCENT      so many of the requests repeat a clip, no two of the others are alike (default: 100)
 *   --unique           the same as --mix 0: nothing can come from a cache
 *   --per-second R     requests begin at this pace, however fast the answers come (default: as soon as a client can)
 *   --impatient        a client that got 429 does not wait as long as Retry-After says
 *   --idle N           connections beside the clients that stay silent
 *   --slow N           connections beside the clients that send a request a byte every 500 ms
 *   --terminate        SIGTERM while requests are in flight; each must still be answered, and the service must exit 0
 *   --kill             SIGKILL while requests are in flight, then start on the same port until the first answer
 *   --engine THREADS   before and after, the engine alone on the same clips, for 3 s each
 *   --cosine LEAST     what an embedding must have with the expected one (default: what rounding leaves)
 *   --json FILE        the numbers
 * Owns:   start and end of the service, the expected embeddings (computed here by the library), the report.
 *         Does not: judge speed. Exit status 1 when an answer was wrong, missing or lost.
 * The service may be any program that takes voxlock-cloud's switches and says in JSON on standard error that it listens.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/engine.h"
#include "tests/support/engine_rate.h"
#include "tests/support/load_clients.h"
#include "tests/support/stats.h"

enum { CLIP_S = 3, MAX_SETTINGS = 32, START_TIMEOUT_MS = 30000, END_TIMEOUT_MS = 30000, ENGINE_S = 3 };
/* Seconds of a run from which on its memory says something. */
enum { RSS_FROM_S = 5 };
enum { MAX_CONNECTIONS = 10000, MAX_FILES = 10240 /* macOS refuses more */ };
#define MAX_FILE_BYTES ((size_t)16 << 20)
/* Different voices, so that an answer which reaches the wrong client is seen. */
static const char *const recordings[] = {"tests/data/audio/reader1_a.flac", "tests/data/audio/reader2_a.flac",
                                         "tests/data/audio/reader3_a.flac", "tests/data/audio/reader4_a.flac"};
enum { N_CLIPS = sizeof recordings / sizeof *recordings };

typedef struct {
    const char *program, *model, *json;
    load_plan plan;
    int engine_threads; /* 0: the engine alone is not measured */
    char **settings;
    int n_settings;
} arguments;

typedef struct {
    double listening_ms, first_answer_ms; /* since the service was started */
    double first_rss_mb, last_rss_mb;     /* after the first answer, and after the last */
    double again_ms;                      /* killed: from its start on the same port to its first answer */
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
        err = vx_engine_embed(engine, sent.samples, sent.n, &ret->expected, NULL, NULL);
    vx_audio_done(&audio);
    vx_audio_done(&sent);
    vx_buf_wipe_done(&file);
    return err;
}

/* The engine stays open: it is measured beside the service. */
static int make_clips(const char *model, load_clip clips[N_CLIPS], vx_engine **ret_engine)
{
    const vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_engine_open(model, &options, &engine, &info);
    for (int i = 0; !err && i < N_CLIPS; i++)
        err = make_clip(engine, recordings[i], &clips[i], &info);
    if (!err) {
        *ret_engine = engine;
        return 0;
    }
    vx_engine_close(engine);
    return complain(model, vx_errinfo_text(&info, err));
}

static void wipe_clips(load_clip clips[N_CLIPS])
{
    for (int i = 0; i < N_CLIPS; i++) {
        vx_buf_wipe_done(&clips[i].pcm);
        vx_embedding_wipe(&clips[i].expected);
    }
}

/* ---- the service ------------------------------------------------------------------------------------------------ */

/* port: 0 lets the system choose. Returns the port, or -1. */
static int start_service(const arguments *a, int port, child *ret)
{
    char number[16];
    snprintf(number, sizeof number, "%d", port);
    char *argv[MAX_SETTINGS + 12] = {(char *)a->program, (char *)"--port",       number,
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
        const int heard = (int)json_integer_value(json_object_get(said, "port"));
        const bool listens = message && strcmp(message, "listening") == 0 && heard > 0;
        json_decref(said);
        if (listens)
            return heard;
        fprintf(stderr, "load: the service says: %s\n", line);
    }
    return complain(a->program, "did not start to listen");
}

/* Starts the service and sends one request as soon as it listens, which shows how long a cold start takes. */
static int start_and_ask(arguments *a, child *ret_service, double *ret_listening_ms, double *ret_answer_ms)
{
    load_result first = {0};
    int status = 0;
    const uint64_t start = vx_now_ns();
    a->plan.port = start_service(a, a->plan.port, ret_service);
    *ret_listening_ms = vx_ms_since(start);
    a->plan.service = ret_service;
    if (a->plan.port < 0)
        return -1;
    load_plan one = {.port = a->plan.port,
                     .service = ret_service,
                     .clips = a->plan.clips,
                     .n_clips = a->plan.n_clips,
                     .json = a->plan.json,
                     .cosine_min = a->plan.cosine_min,
                     .repeated = 100,
                     .clients = 1,
                     .requests = 1};
    if (!load_run(&one, &first) || first.answers.n != 1)
        status = complain("the first request", first.first_fault[0] ? first.first_fault : "out of memory");
    *ret_answer_ms = vx_ms_since(start);
    load_result_done(&first);
    return status;
}

/* A service that was killed is started again, where its clients would look for it. */
static int start_again(arguments *a, child *service, service_life *life)
{
    double listening_ms;
    if (a->plan.end_signal != SIGKILL)
        return 0;
    const int killed = child_end(service, END_TIMEOUT_MS);
    *service = (child){0};
    if (killed != 128 + SIGKILL)
        return complain(a->program, "ended before it was killed");
    return start_and_ask(a, service, &listening_ms, &life->again_ms);
}

static int run(arguments *a, service_life *ret_life, load_result *ret)
{
    child service = {0};
    service_life life = {0};
    int status = start_and_ask(a, &service, &life.listening_ms, &life.first_answer_ms);
    if (status == 0)
        life.first_rss_mb = load_rss_mb(service.pid);
    if (status == 0 && !load_run(&a->plan, ret))
        status = complain("load", "out of memory");
    /* After a signal it may be gone already; its last sample is from just before. */
    life.last_rss_mb = !a->plan.end_signal && status == 0 ? load_rss_mb(service.pid)
                       : ret->n_rss                       ? ret->rss_mb[ret->n_rss - 1]
                                                          : 0;
    if (status == 0)
        status = start_again(a, &service, &life);
    const uint64_t end = vx_now_ns();
    if (service.pid > 0 && (a->plan.end_signal != SIGTERM || status != 0))
        kill(service.pid, SIGTERM);
    life.exit_status = child_end(&service, END_TIMEOUT_MS);
    life.end_ms = vx_ms_since(end);
    *ret_life = life;
    return status;
}

/* The mean of before and after: what else the machine does changes meanwhile.
 * ret_per_second [out] adds to what is there */
static int engine_alone(const arguments *a, vx_engine *engine, double *ret_per_second)
{
    double per_second = 0;
    if (a->engine_threads == 0)
        return 0;
    const vx_err err = engine_rate(engine, a->plan.clips, a->plan.n_clips, a->engine_threads, ENGINE_S, &per_second);
    *ret_per_second += per_second / 2;
    return err ? complain("the engine alone", vx_err_code(err)) : 0;
}

/* ---- report ----------------------------------------------------------------------------------------------------- */

static double at(const load_times *times, double q)
{
    return stats_quantile(times->ms, times->n, q);
}

static double per_second(size_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

/* Of the second half: until each client had its first answer, its connection's buffers still grow to what they need. */
static double rss_slope(const load_result *r)
{
    return stats_slope(r->rss_mb + r->n_rss / 2, r->n_rss - r->n_rss / 2);
}

static const char *kind(const load_plan *plan, char text[16])
{
    if (plan->repeated == 0 || plan->repeated == 100)
        return plan->repeated == 0 ? "uncached" : "repeated";
    snprintf(text, 16, "mixed %d", plan->repeated);
    return text;
}

static void print_crowd(const char *name, const load_crowd_count *count)
{
    if (count->open + count->cut_off > 0)
        printf("     %s connections beside: %zu at the end; cut off %zu, %zu of them with 408\n", name, count->open,
               count->cut_off, count->told);
}

static void print_end(const service_life *life, const load_result *r, int end_signal)
{
    if (end_signal == SIGTERM)
        printf("     SIGTERM under load: %zu in flight, %zu answered, %zu refused, %zu lost; exit status %d "
               "%.0f ms after the last answer\n",
               r->in_flight, r->in_flight_answered, r->in_flight_refused, r->in_flight_lost, life->exit_status,
               life->end_ms);
    if (end_signal == SIGKILL)
        printf("     SIGKILL under load: %zu in flight; started again on the same port, first answer after %.1f ms\n",
               r->in_flight, life->again_ms);
}

static void print(const arguments *a, double engine_per_second, const service_life *life, const load_result *r)
{
    const load_times *answers = &r->answers, *refusals = &r->refusals;
    char text[16];
    printf("%-4s %-8s %3d clients %6zu answers %8.1f/s  p50 %8.2f  p90 %8.2f  p99 %8.2f ms  busy %zu  wrong %zu  "
           "failed %zu\n",
           a->plan.json ? "json" : "raw", kind(&a->plan, text), a->plan.clients, answers->n,
           per_second(answers->n, r->seconds), at(answers, 0.5), at(answers, 0.9), at(answers, 0.99), refusals->n,
           r->wrong, r->failed);
    if (engine_per_second > 0)
        printf("     the engine alone, %d threads: %.1f/s; the service reaches %.1f %% of it\n", a->engine_threads,
               engine_per_second, 100 * per_second(answers->n, r->seconds) / engine_per_second);
    if (a->plan.per_second > 0)
        printf("     offered: %.1f/s\n", per_second(r->begun, r->asking_s));
    if (refusals->n > 0)
        printf("     refused: %.1f/s  p50 %8.2f  p90 %8.2f  p99 %8.2f  max %8.2f ms\n",
               per_second(refusals->n, r->asking_s), at(refusals, 0.5), at(refusals, 0.9), at(refusals, 0.99),
               at(refusals, 1));
    print_crowd("silent", &r->silent);
    print_crowd("slow", &r->slow);
    print_end(life, r, a->plan.end_signal);
    if (r->n_rss >= RSS_FROM_S)
        printf("     resident memory: %.1f MB after the first answer, %.1f MB at the end, slope %+.3f MB/s over "
               "the last %zu s\n",
               life->first_rss_mb, life->last_rss_mb, rss_slope(r), r->n_rss - r->n_rss / 2);
    if (r->first_fault[0])
        printf("     first fault: %s\n", r->first_fault);
}

/* Joins b to a and forgets it. */
static void add_all(json_t *a, json_t *b)
{
    json_object_update(a, b);
    json_decref(b);
}

static json_t *crowd_json(const load_crowd_count *count)
{
    return json_pack("{s:I, s:I, s:I}", "open", (json_int_t)count->open, "cut_off", (json_int_t)count->cut_off, "told",
                     (json_int_t)count->told);
}

static int write_json(const arguments *a, double engine_per_second, const service_life *life, const load_result *r)
{
    const load_times *answers = &r->answers, *refusals = &r->refusals;
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "bench", "http",
                  "service", a->program, "model", a->model, "body", a->plan.json ? "json" : "raw", "repeated_percent",
                  a->plan.repeated, "clients", a->plan.clients, "answered", (json_int_t)answers->n, "seconds",
                  r->seconds, "per_second", per_second(answers->n, r->seconds), "p50_ms", at(answers, 0.5), "p90_ms",
                  at(answers, 0.9), "p99_ms", at(answers, 0.99), "busy", (json_int_t)refusals->n, "wrong",
                  (json_int_t)r->wrong, "failed", (json_int_t)r->failed);
    add_all(root, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:f}", "listening_ms", life->listening_ms,
                            "first_answer_ms", life->first_answer_ms, "again_ms", life->again_ms, "first_rss_mb",
                            life->first_rss_mb, "last_rss_mb", life->last_rss_mb, "rss_slope_mb_per_s", rss_slope(r),
                            "engine_per_second", engine_per_second, "exit_status", life->exit_status, "end_ms",
                            life->end_ms));
    add_all(root, json_pack("{s:f, s:f, s:f, s:f, s:o, s:o}", "offered_per_second", per_second(r->begun, r->asking_s),
                            "refused_p50_ms", at(refusals, 0.5), "refused_p99_ms", at(refusals, 0.99), "refused_max_ms",
                            at(refusals, 1), "silent", crowd_json(&r->silent), "slow", crowd_json(&r->slow)));
    json_t *settings = json_array();
    for (int i = 0; i < a->n_settings; i++)
        json_array_append_new(settings, json_string(a->settings[i]));
    json_object_set_new(root, "settings", settings);
    json_t *samples = json_array();
    for (size_t i = 0; i < r->n_rss; i++)
        json_array_append_new(samples, json_real(r->rss_mb[i]));
    json_object_set_new(root, "rss_mb", samples);
    if (a->plan.end_signal)
        json_object_set_new(root, a->plan.end_signal == SIGTERM ? "terminate" : "kill",
                            json_pack("{s:I, s:I, s:I, s:I}", "in_flight", (json_int_t)r->in_flight, "answered",
                                      (json_int_t)r->in_flight_answered, "refused", (json_int_t)r->in_flight_refused,
                                      "lost", (json_int_t)r->in_flight_lost));
    const int failed = json_dump_file(root, a->json, JSON_COMPACT | JSON_REAL_PRECISION(7));
    json_decref(root);
    return failed ? complain(a->json, "cannot be written") : 0;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int read_arguments(int argc, char **argv, arguments *ret)
{
    static const struct option options[] = {
        {"service", required_argument, NULL, 'p'},    {"model", required_argument, NULL, 'm'},
        {"body", required_argument, NULL, 'b'},       {"clients", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},    {"requests", required_argument, NULL, 'r'},
        {"mix", required_argument, NULL, 'x'},        {"unique", no_argument, NULL, 'u'},
        {"per-second", required_argument, NULL, 'P'}, {"impatient", no_argument, NULL, 'i'},
        {"idle", required_argument, NULL, 'I'},       {"slow", required_argument, NULL, 'S'},
        {"terminate", no_argument, NULL, 't'},        {"kill", no_argument, NULL, 'k'},
        {"engine", required_argument, NULL, 'e'},     {"cosine", required_argument, NULL, 'C'},
        {"json", required_argument, NULL, 'j'},       {0}};
    arguments a = {.plan = {.json = true, .clients = 1, .repeated = 100}};
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
        case 'x': a.plan.repeated = atoi(optarg); break;
        case 'u': a.plan.repeated = 0; break;
        case 'P': a.plan.per_second = atof(optarg); break;
        case 'i': a.plan.impatient = true; break;
        case 'I': a.plan.n_silent = strtoul(optarg, NULL, 10); break;
        case 'S': a.plan.n_slow = strtoul(optarg, NULL, 10); break;
        case 't': a.plan.end_signal = SIGTERM; break;
        case 'k': a.plan.end_signal = SIGKILL; break;
        case 'e': a.engine_threads = atoi(optarg); break;
        case 'C': a.plan.cosine_min = atof(optarg); break;
        case 'j': a.json = optarg; break;
        default: return -1;
        }
    }
    if (a.plan.requests == 0 && a.plan.until_s <= 0)
        a.plan.until_s = 5;
    a.settings = argv + optind;
    a.n_settings = argc - optind;
    if (!a.program || !a.model || a.plan.clients < 1 || a.plan.clients > MAX_CONNECTIONS || a.plan.repeated < 0 ||
        a.plan.repeated > 100 || a.plan.n_silent > MAX_CONNECTIONS || a.plan.n_slow > MAX_CONNECTIONS)
        return -1;
    *ret = a;
    return 0;
}

/* As many files as there can be: shells start programs with 256 or 1024. The service inherits it. */
static void allow_many_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < MAX_FILES ? limit.rlim_max : MAX_FILES;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    arguments a;
    load_clip clips[N_CLIPS] = {0};
    vx_engine *engine = NULL;
    double engine_per_second = 0;
    service_life life = {0};
    load_result result = {0};
    if (read_arguments(argc, argv, &a) != 0) {
        fputs("usage: load --service PROGRAM --model FOLDER [--body json|raw] [--clients N] [--seconds S] "
              "[--requests N] [--mix PERCENT] [--unique] [--per-second R] [--impatient] [--idle N] [--slow N] "
              "[--terminate] [--kill] [--engine THREADS] [--cosine LEAST] [--json FILE] [-- SETTINGS...]\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    allow_many_connections();
    int status = make_clips(a.model, clips, &engine);
    a.plan.clips = clips;
    a.plan.n_clips = N_CLIPS;
    if (status == 0)
        status = engine_alone(&a, engine, &engine_per_second);
    if (status == 0)
        status = run(&a, &life, &result);
    if (status == 0)
        status = engine_alone(&a, engine, &engine_per_second);
    if (status == 0) {
        print(&a, engine_per_second, &life, &result);
        if (a.json)
            status = write_json(&a, engine_per_second, &life, &result);
    }
    if (result.wrong || result.failed || (result.in_flight_lost && a.plan.end_signal != SIGKILL) ||
        result.answers.n == 0 || life.exit_status != 0)
        status = -1;
    load_result_done(&result);
    wipe_clips(clips);
    vx_engine_close(engine);
    return status == 0 ? 0 : 1;
}
