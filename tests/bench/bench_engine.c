/* bench_engine.c - races engines against each other on the same clips, in turns, and checks that all agree.
 * Usage:  bench_engine --model NAME --threads N --clips FOLDER [--rounds N] [--json FILE] LABEL=COMMAND...
 *         The first contender is the one the others are compared with.
 * Owns:   the turns, the statistics, the table, the check of every embedding. Does not: compute embeddings.
 *
 * Every contender, voxlock included, is a process of its own (tests/tools/contender.c, models/peer_torch.py,
 * onnx_peer.mjs, sherpa_peer.mjs), so that none shares threads, caches or an allocator with another. It speaks lines:
 *   first       {"engine": "what it is, with version", "precision": "f32"}, as soon as the model is loaded; "comparable":
 *               false where it computes features of its own, so that only its times say something
 *   on "PATH"   {"decode_ms", "features_ms", "network_ms", "cpu_ms", "embedding"}: PATH.wav is the clip, PATH.f32 its
 *               features [frames, 80] for one that has no front end and answers null for the times it does not know;
 *               cpu_ms is the CPU time of the whole process over the timed parts
 * One clip goes to each in turn, round after round (A B C A B C), so that whatever else the machine does hits all.
 */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/json.h"
#include "tests/support/child.h"
#include "tests/support/stats.h"

enum { MAX_CONTENDERS = 16, MAX_ROUNDS = 200, WARM_UP = 3, MAX_DIM = 512 };
enum { LOAD_TIMEOUT_MS = 60000, ANSWER_TIMEOUT_MS = 30000, END_TIMEOUT_MS = 5000 };
/* Between two turns, so that the system has settled. */
#define PAUSE_NS    10000000
/* A fast wrong engine is no peer: f32 sums in another order stay above this, bf16 keeps 8 bits of each factor. */
#define COSINE_F32  0.9999
#define COSINE_BF16 0.999
/* Random weights, as in the 20.8 M model, have none of the slack that training leaves: 0.99 there, above 0.9995 in the
 * starter. */
#define COSINE_INT8 0.98

static const struct {
    int seconds, rounds;
} clips[] = {{1, 21}, {3, 21}, {10, 11}, {30, 5}};
enum { N_CLIPS = sizeof clips / sizeof *clips };

enum { DECODE, FEATURES, NETWORK, TOTAL, CPU, N_TIMES };
static const char *const time_names[N_TIMES] = {"decode_ms", "features_ms", "network_ms", "total_ms", "cpu_ms"};

typedef struct {
    char label[32];
    char engine[96];
    double cosine_needed;
    child process;
    const char *fault; /* why it takes no further part; NULL: none */
    /* Of the clip at hand: */
    double times[N_TIMES][MAX_ROUNDS]; /* NAN where it does not do that part */
    double worst_cosine;
    spread spreads[N_TIMES];
    double cpu_per_wall;
} contender;

typedef struct {
    contender contenders[MAX_CONTENDERS];
    int n;
    const char *model, *clips_folder;
    int threads, rounds; /* rounds 0: as the table says */
    json_t *results;
    bool faulty;
} race;

static void drop(race *r, contender *c, const char *fault)
{
    fprintf(stderr, "bench_engine: %s: %s\n", c->label, fault);
    c->fault = fault;
    r->faulty = true;
}

static json_t *hear(contender *c, int timeout_ms)
{
    const char *line;
    return child_hear(&c->process, timeout_ms, &line) ? json_loads(line, 0, NULL) : NULL;
}

static void enter(race *r, char *argument)
{
    contender *c = &r->contenders[r->n++];
    char *command = strchr(argument, '=');
    if (!command) {
        snprintf(c->label, sizeof c->label, "%s", argument);
        drop(r, c, "no command: expected LABEL=COMMAND");
        return;
    }
    *command++ = '\0';
    snprintf(c->label, sizeof c->label, "%s", argument);
    if (!child_start((char *[]){(char *)"sh", (char *)"-c", command, NULL}, CHILD_STDOUT, &c->process)) {
        drop(r, c, "cannot be started");
        return;
    }
    json_t *hello = hear(c, LOAD_TIMEOUT_MS);
    kill(c->process.pid, SIGSTOP); /* until its turn */
    const char *engine = json_string_value(json_object_get(hello, "engine"));
    const char *precision = json_string_value(json_object_get(hello, "precision"));
    if (engine && precision) {
        snprintf(c->engine, sizeof c->engine, "%s", engine);
        c->cosine_needed = strcmp(precision, "f32") == 0    ? COSINE_F32
                           : strcmp(precision, "int8") == 0 ? COSINE_INT8
                                                            : COSINE_BF16;
        if (json_is_false(json_object_get(hello, "comparable")))
            c->cosine_needed = -1;
    } else {
        drop(r, c, "did not come up");
    }
    json_decref(hello);
}

/* Reads one answer; round < 0 is warm-up and only checked for being one.
 * embedding [out] dim values */
static bool take(contender *c, int round, float *embedding, size_t *ret_dim)
{
    json_t *answer = hear(c, ANSWER_TIMEOUT_MS);
    const json_t *values = json_object_get(answer, "embedding");
    const size_t dim = json_array_size(values);
    bool ok = dim > 0 && dim <= MAX_DIM && vx_json_floats(values, "embedding", dim, embedding, NULL) == VX_OK &&
              json_is_number(json_object_get(answer, time_names[NETWORK]));
    if (ok && round >= 0) {
        double total = 0;
        for (int t = DECODE; t < N_TIMES; t++) {
            const json_t *ms = json_object_get(answer, time_names[t]);
            c->times[t][round] = json_is_number(ms) ? json_number_value(ms) : NAN;
            if (t < TOTAL)
                total += c->times[t][round];
        }
        c->times[TOTAL][round] = total;
    }
    json_decref(answer);
    *ret_dim = dim;
    return ok;
}

static double cosine(const float *a, const float *b, size_t dim)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < dim; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* One turn of each contender. The others are stopped: threads that spin after their work (OpenMP's, ONNX Runtime's)
 * would hold a core in the next one's turn, which made two threads of ours take 55 ms in place of 32. */
static void run_round(race *r, const char *clip, int round)
{
    static float first[MAX_DIM], own[MAX_DIM];
    size_t first_dim = 0, dim;
    for (int i = 0; i < r->n; i++) {
        contender *c = &r->contenders[i];
        if (c->fault)
            continue;
        kill(c->process.pid, SIGCONT);
        const bool answered = child_say(&c->process, clip) && take(c, round, own, &dim);
        kill(c->process.pid, SIGSTOP);
        if (!answered) {
            drop(r, c, "gave no usable answer");
            continue;
        }
        if (first_dim == 0) {
            memcpy(first, own, sizeof first);
            first_dim = dim;
        }
        const double agreement = dim == first_dim ? cosine(first, own, dim) : -1;
        c->worst_cosine = fmin(c->worst_cosine, agreement);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

static void summarise(contender *c, int rounds)
{
    double ratios[MAX_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        const double total = c->times[TOTAL][i];
        ratios[i] = c->times[CPU][i] / (isnan(total) ? c->times[NETWORK][i] : total);
    }
    c->cpu_per_wall = stats_spread(ratios, (size_t)rounds).median;
    for (int t = DECODE; t < N_TIMES; t++) {
        const bool known = !isnan(c->times[t][0]);
        c->spreads[t] = known ? stats_spread(c->times[t], (size_t)rounds) : (spread){NAN, NAN, NAN};
    }
}

static const char *number(char text[16], double value)
{
    snprintf(text, 16, "%.2f", value);
    return isnan(value) ? "-" : text;
}

static void print_row(const contender *c, const contender *first)
{
    char decode[16], features[16], total[16], range[32];
    const spread *s = c->spreads;
    snprintf(range, sizeof range, "%.1f .. %.1f", s[NETWORK].p10, s[NETWORK].p90);
    printf("  %-18s %7s %7s %8.2f  %-16s %8s %8.2f %9.2f %10.2f  %.6f%s\n", c->label, number(decode, s[DECODE].median),
           number(features, s[FEATURES].median), s[NETWORK].median, range, number(total, s[TOTAL].median),
           s[CPU].median, c->cpu_per_wall, s[NETWORK].median / first->spreads[NETWORK].median, c->worst_cosine,
           c->worst_cosine < c->cosine_needed ? "  WRONG" : "");
}

static json_t *row_json(const race *r, const contender *c, const contender *first, int seconds, int rounds)
{
    json_t *row = json_pack("{s:s, s:i, s:i, s:s, s:s, s:i, s:f, s:f, s:f}", "model", r->model, "seconds", seconds,
                            "threads", r->threads, "contender", c->label, "engine", c->engine, "rounds", rounds,
                            "cpu_per_wall", c->cpu_per_wall, "cosine_min", c->worst_cosine, "network_ratio",
                            c->spreads[NETWORK].median / first->spreads[NETWORK].median);
    for (int t = DECODE; t < N_TIMES; t++) {
        const spread *s = &c->spreads[t];
        json_object_set_new(row, time_names[t],
                            isnan(s->median)
                                ? json_null()
                                : json_pack("{s:f, s:f, s:f}", "median", s->median, "p10", s->p10, "p90", s->p90));
    }
    return row;
}

static void run_clip(race *r, int seconds, int rounds)
{
    char clip[256];
    snprintf(clip, sizeof clip, "%s/%ds", r->clips_folder, seconds);
    for (int i = 0; i < r->n; i++)
        r->contenders[i].worst_cosine = 1;
    for (int round = -WARM_UP; round < rounds; round++)
        run_round(r, clip, round);

    const contender *first = NULL;
    printf("\nmodel %s, %d s of speech, %d thread%s, median of %d turns, ms\n", r->model, seconds, r->threads,
           r->threads > 1 ? "s" : "", rounds);
    printf("  %-18s %7s %7s %8s  %-16s %8s %8s %9s %10s  %s\n", "", "decode", "fbank", "network", "10 % .. 90 %",
           "total", "CPU", "CPU/wall", "x network", "cosine");
    for (int i = 0; i < r->n; i++) {
        contender *c = &r->contenders[i];
        if (c->fault) {
            printf("  %-18s %s\n", c->label, c->fault);
            continue;
        }
        summarise(c, rounds);
        first = first ? first : c;
        print_row(c, first);
        json_array_append_new(r->results, row_json(r, c, first, seconds, rounds));
        r->faulty |= c->worst_cosine < c->cosine_needed;
    }
    fflush(stdout);
}

static int write_results(const race *r, const char *path)
{
    if (!path || json_dump_file(r->results, path, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) == 0)
        return 0;
    fprintf(stderr, "bench_engine: %s: cannot be written\n", path);
    return -1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"model", required_argument, NULL, 'm'},  {"threads", required_argument, NULL, 't'},
        {"clips", required_argument, NULL, 'c'},  {"json", required_argument, NULL, 'j'},
        {"rounds", required_argument, NULL, 'r'}, {0}};
    static race r = {.model = "?", .clips_folder = ".", .threads = 1};
    const char *json = NULL;
    bool usage = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'm': r.model = optarg; break;
        case 't': r.threads = atoi(optarg); break;
        case 'c': r.clips_folder = optarg; break;
        case 'j': json = optarg; break;
        case 'r': r.rounds = atoi(optarg); break;
        default: usage = true;
        }
    }
    if (usage || optind == argc || argc - optind > MAX_CONTENDERS || r.rounds < 0 || r.rounds > MAX_ROUNDS) {
        fputs("usage: bench_engine --model NAME --threads N --clips FOLDER [--rounds N] [--json FILE] "
              "LABEL=COMMAND...\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* a contender that died is dropped, not followed */
    r.results = json_array();
    for (int i = optind; i < argc; i++)
        enter(&r, argv[i]);
    for (int i = 0; i < N_CLIPS; i++)
        run_clip(&r, clips[i].seconds, r.rounds ? r.rounds : clips[i].rounds);
    for (int i = 0; i < r.n; i++) {
        if (r.contenders[i].process.pid > 0)
            kill(r.contenders[i].process.pid, SIGCONT);
        child_end(&r.contenders[i].process, END_TIMEOUT_MS);
    }
    const int status = write_results(&r, json);
    json_decref(r.results);
    return status == 0 && !r.faulty ? 0 : 1;
}
