/* bench_memory.c - resident memory of an engine over its life: opened, on clips of 1, 3, 10 and 60 s, closed, trimmed, and
 * all of it a second time in the same process.
 * Usage:  bench_memory [--json FILE] NAME=FOLDER...
 *         Every artefact of each folder's manifest that this build can run, in processes of its own: with one thread and
 *         with two. The clips are noise: memory does not depend on what is said.
 * Owns:   the processes, the table. Does not: judge the estimate that VOICE_UNLOCK_MAX_MEMORY is held against; it stands
 *         in the last column, and the peak up to 10 s less what the process had before should stay below it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/audio/audio.h"
#include "shared/base/cpu.h"
#include "shared/engine/strategy.h"
#include "tests/support/stats.h"

static const int clip_seconds[] = {1, 3, 10, 60};
enum { N_CLIPS = 4, CLIP_3S = 1, CLIP_10S = 2, CLIP_60S = 3, ROUNDS = 2, MAX_THREADS = 2 };

/* Of one round, megabytes. */
typedef struct {
    double opened, after[N_CLIPS], peak[N_CLIPS], closed, trimmed;
} round_memory;

/* What a child tells. */
typedef struct {
    double before;
    round_memory rounds[ROUNDS];
    vx_err err;
    char text[VX_ERRINFO_LINE];
} life;

static double resident_mb(void)
{
    return (double)vx_rss_bytes() / 1e6;
}

/* The peak counts anew, where the system can do that (Linux): a second round has peaks of its own then. */
static void forget_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "5", 1) != 1)
        fputs("bench_memory: the second round's peaks are those of both\n", stderr);
    close(fd);
}

static vx_err live_once(const char *folder, const vx_engine_options *options, const float *noise, round_memory *ret,
                        vx_errinfo *info)
{
    vx_engine *engine = NULL;
    vx_err err = vx_engine_open(folder, options, &engine, info);
    ret->opened = resident_mb();
    for (int i = 0; i < N_CLIPS && err == VX_OK; i++) {
        vx_embedding embedding;
        err = vx_engine_embed(engine, noise, (size_t)clip_seconds[i] * VX_AUDIO_RATE, &embedding, NULL, info);
        ret->after[i] = resident_mb();
        ret->peak[i] = (double)vx_rss_peak_bytes() / 1e6;
    }
    vx_engine_close(engine);
    ret->closed = resident_mb();
    vx_heap_trim();
    ret->trimmed = resident_mb();
    return err;
}

/* In the child. */
static void live(const char *folder, const char *strategy, int threads, life *ret)
{
    vx_errinfo info = {0};
    vx_engine_options options = vx_engine_options_default();
    options.strategy = strategy;
    options.threads = threads;
    const size_t n = VX_AUDIO_MAX_SAMPLES;
    float *noise = malloc(n * sizeof *noise);
    if (!noise) {
        ret->err = VX_ERR_NOMEM;
        return;
    }
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++)
        noise[i] = ((float)(stats_random(&seed) >> 40) / 16777216.0f - 0.5f) * 0.2f;
    ret->before = resident_mb();
    for (int round = 0; round < ROUNDS && ret->err == VX_OK; round++) {
        forget_peak();
        ret->err = live_once(folder, &options, noise, &ret->rounds[round], &info);
    }
    if (ret->err != VX_OK)
        vx_errinfo_line(&info, ret->err, ret->text, sizeof ret->text);
    free(noise);
}

/* False when the process did not live to tell. */
static bool live_in_a_process(const char *folder, const char *strategy, int threads, life *ret)
{
    int ends[2], status;
    memset(ret, 0, sizeof *ret);
    fflush(stdout);
    if (pipe(ends) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0) {
        static life own;
        live(folder, strategy, threads, &own);
        const bool told = write(ends[1], &own, sizeof own) == (ssize_t)sizeof own;
        _exit(told ? 0 : 1); /* without the exit handlers of libraries */
    }
    close(ends[1]);
    const bool told = child > 0 && read(ends[0], ret, sizeof *ret) == (ssize_t)sizeof *ret;
    close(ends[0]);
    return child > 0 && waitpid(child, &status, 0) == child && told;
}

static double worst_peak(const life lives[MAX_THREADS], int clip)
{
    double worst = 0;
    for (int t = 0; t < MAX_THREADS; t++)
        for (int r = 0; r < ROUNDS; r++)
            if (lives[t].rounds[r].peak[clip] > worst)
                worst = lives[t].rounds[r].peak[clip];
    return worst;
}

/* One row, of the first round on one thread; in brackets the worst of all four where it is more. */
static json_t *report(const char *model, const vx_artefact *artefact, const life lives[MAX_THREADS])
{
    const round_memory *first = &lives[0].rounds[0];
    const vx_strategy *strategy = vx_strategy_find(artefact->strategy);
    const double estimate = ((double)strategy->fixed_bytes + strategy->bytes_per_byte * (double)artefact->bytes) / 1e6;
    const double peak = first->peak[CLIP_10S], worst = worst_peak(lives, CLIP_10S);
    char bracket[24] = "";
    if (worst >= peak + 1)
        snprintf(bracket, sizeof bracket, " (%.0f)", worst);
    printf("| %s, %.1f MB | %s | %.0f | %.0f | %.0f | %.0f%s | %.0f | %.0f | %.0f | %.0f |\n", model,
           (double)artefact->bytes / 1e6, artefact->strategy, first->opened, first->after[CLIP_3S],
           first->after[CLIP_10S], peak, bracket, first->peak[CLIP_60S], first->closed, first->trimmed, estimate);
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "model", model, "strategy",
                     artefact->strategy, "before_mb", lives[0].before, "open_mb", first->opened, "after_3s_mb",
                     first->after[CLIP_3S], "after_10s_mb", first->after[CLIP_10S], "peak_10s_mb", peak,
                     "worst_peak_10s_mb", worst, "peak_60s_mb", first->peak[CLIP_60S], "closed_mb", first->closed,
                     "trimmed_mb", first->trimmed, "estimate_mb", estimate);
}

/* False when something that could be opened failed. */
static bool measure(const char *model, const char *folder, json_t *results, double *ret_before)
{
    vx_manifest manifest;
    vx_errinfo info = {0};
    bool good = vx_manifest_read(folder, &manifest, &info) == VX_OK;
    if (!good)
        fprintf(stderr, "bench_memory: %s: %s\n", folder, info.text);
    for (int i = 0; good && i < manifest.n_artefacts; i++) {
        const vx_artefact *artefact = &manifest.artefacts[i];
        life lives[MAX_THREADS];
        if (!vx_strategy_find(artefact->strategy))
            continue;
        bool told = true;
        for (int t = 0; t < MAX_THREADS && told; t++)
            told = live_in_a_process(folder, artefact->strategy, t + 1, &lives[t]);
        if (told && lives[0].err == VX_OK && lives[1].err == VX_OK) {
            *ret_before = lives[0].before;
            json_array_append_new(results, report(model, artefact, lives));
        } else {
            /* A library that is not there is said and is no fault. */
            const bool absent = told && (lives[0].err == VX_ERR_OPTION_VALUE || lives[0].err == VX_ERR_UNSUPPORTED);
            printf("| %s | %s | %s |\n", model, artefact->strategy, told ? lives[0].text : "the process died");
            good = absent;
        }
    }
    return good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", required_argument, NULL, 'j'}, {0}};
    const char *json = NULL;
    bool usage = false, good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'j')
            json = optarg;
        else
            usage = true;
    }
    for (int i = optind; i < argc; i++)
        usage |= !strchr(argv[i], '=');
    if (usage || optind == argc) {
        fputs("usage: bench_memory [--json FILE] NAME=FOLDER...\n", stderr);
        return 2;
    }
    puts("resident memory, MB\n");
    puts("| model | strategy | open | 3 s | 10 s | peak until then | peak, 60 s | closed | trimmed | estimate |");
    puts("|---|---|---|---|---|---|---|---|---|---|");
    json_t *results = json_array();
    double before = 0;
    for (int i = optind; i < argc; i++) {
        char *folder = strchr(argv[i], '=');
        *folder++ = '\0';
        good &= measure(argv[i], folder, results, &before);
    }
    printf("\nbefore the engine: %.1f, the minute of noise included\n", before);
    if (json && json_dump_file(results, json, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) != 0) {
        fprintf(stderr, "bench_memory: %s: cannot be written\n", json);
        good = false;
    }
    json_decref(results);
    return good ? 0 : 1;
}
