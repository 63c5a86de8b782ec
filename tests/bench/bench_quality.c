/* bench_quality.c - how true the measures of a recording are, what the bounds let through, and what measuring costs.
 * Usage:  bench_quality SPEECH NOISE [--unseen KINDS] [--per-source N] [--seed N]
 *         The folders are those of tests/support/speech_mix.h. --per-source is of the mixtures; the bounds are tried on
 *         every recording.
 * Owns:   three tables on stdout and build/bench/quality.json. Does not: label or mix.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/capture/quality.h"
#include "edge/capture/vad.h"
#include "shared/audio/audio.h"
#include "shared/base/clock.h"
#include "tests/support/speech_mix.h"
#include "tests/support/stats.h"

#define JSON_PATH   "build/bench/quality.json"
#define UNSEEN      "dog_bark,helicopter"
#define SPEECH_DBFS (-26.0)
/* Noise alone around a recording: as little as one has who speaks at once and stops the recording behind the last word. */
enum { PAUSE = 20, CLIP_S = 3, RUNS = 51, MAX_SOURCES = 16 };

static const double SNRS_DB[] = {30, 20, 10, 5, 0};
enum { N_SNRS = 5 };

typedef struct {
    double *snr, *begin, *end; /* errors, one a mixture with an utterance: dB, ms, ms */
    size_t n, missed;          /* missed: nothing was found */
    size_t cut;                /* more than 50 ms of labelled speech left outside */
} errors;

/* ---- bounds on clean recordings -------------------------------------------------------------------------------------- */

typedef struct {
    const char *source;
    size_t n, passed[2];
    size_t refused[2][5]; /* by NO_SPEECH, SHORT, QUIET, CLIPPED, NOISY */
} gate;

static const vx_err CODES[5] = {VX_ERR_AUDIO_NO_SPEECH, VX_ERR_AUDIO_SHORT, VX_ERR_AUDIO_QUIET, VX_ERR_AUDIO_CLIPPED,
                                VX_ERR_AUDIO_NOISY};

static gate *gate_of(gate *gates, const char *source)
{
    gate *g = gates;
    while (g->source != NULL && strcmp(g->source, source) != 0 && g < gates + MAX_SOURCES - 1)
        g++;
    g->source = source;
    return g;
}

static int try_bounds(const mix_data *data, FILE *json)
{
    gate gates[MAX_SOURCES] = {0};
    for (size_t c = 0; c < data->n_clips; c++) {
        const mix_clip *clip = &data->clips[c];
        gate *g = gate_of(gates, clip->source);
        vx_span utterance;
        vx_quality quality;
        if (vx_quality_measure(clip->samples, clip->n, &utterance, &quality) != VX_OK)
            return -1;
        quality.clipped_share = (double)clip->clipped_share;
        g->n++;
        for (int use = 0; use < 2; use++) {
            const vx_err err = vx_quality_judge(&quality, (vx_quality_use)use, NULL);
            g->passed[use] += err == VX_OK;
            for (int k = 0; k < 5; k++)
                g->refused[use][k] += err == CODES[k];
        }
    }
    printf("\n%-24s %-12s %6s %8s | refused: %10s %6s %6s %8s %6s\n", "recordings as they are", "for", "all", "passed",
           "no speech", "short", "quiet", "clipped", "noisy");
    fprintf(json, "\"bounds\": [");
    for (gate *g = gates; g->source != NULL; g++)
        for (int use = 0; use < 2; use++) {
            const size_t *r = g->refused[use];
            printf("%-24s %-12s %6zu %6.1f %% | %19zu %6zu %6zu %8zu %6zu\n", use == 0 ? g->source : "",
                   use == VX_FOR_ENROLMENT ? "enrolment" : "comparison", g->n,
                   100 * (double)g->passed[use] / (double)g->n, r[0], r[1], r[2], r[3], r[4]);
            fprintf(json, "%s\n  {\"source\": \"%s\", \"use\": \"%s\", \"recordings\": %zu, \"passed\": %zu}",
                    g == gates && use == 0 ? "" : ",", g->source, use == VX_FOR_ENROLMENT ? "enrolment" : "comparison",
                    g->n, g->passed[use]);
        }
    fprintf(json, "\n]");
    return 0;
}

/* ---- measures of mixtures -------------------------------------------------------------------------------------------- */

/* mix [in] of which only PAUSE frames of noise alone are kept at both ends. */
static int compare(const mixture *mix, double snr_db, float *samples, errors *e)
{
    const size_t skip = MIX_PAUSE - PAUSE, n_frames = mix->n_frames - 2 * skip;
    for (size_t i = 0; i < n_frames * MIX_FRAME; i++)
        samples[i] = (float)mix->samples[skip * MIX_FRAME + i] / 32768.0F;
    size_t first = n_frames, last = 0;
    for (size_t t = 0; t < n_frames; t++)
        if (mix->speech[skip + t]) {
            first = first < t ? first : t;
            last = t;
        }
    vx_span utterance;
    vx_quality quality;
    if (vx_quality_measure(samples, n_frames * MIX_FRAME, &utterance, &quality) != VX_OK)
        return -1;
    if (!(quality.speech_s > 0)) {
        e->missed++;
        return 0;
    }
    e->snr[e->n] = quality.snr_db - snr_db;
    e->begin[e->n] = ((double)utterance.begin - (double)(first * MIX_FRAME)) / 16;
    e->end[e->n] = ((double)utterance.end - (double)((last + 1) * MIX_FRAME)) / 16;
    e->cut += e->begin[e->n] > 50 || e->end[e->n] < -50;
    e->n++;
    return 0;
}

static int measure_mixtures(const mix_data *data, uint64_t seed, errors *all)
{
    int status = 0;
    for (size_t c = 0; c < data->n_clips && status == 0; c++)
        for (size_t s = 0; s < N_SNRS && status == 0; s++) {
            const mix_noise *noise = &data->noises[stats_random(&seed) % data->n_noises];
            mixture m = {0};
            float *samples = NULL;
            if (!mix_make(&data->clips[c], noise, SNRS_DB[s], SPEECH_DBFS, &seed, &m) ||
                (samples = calloc(m.n_frames * MIX_FRAME, sizeof *samples)) == NULL)
                status = -1;
            else
                status = compare(&m, SNRS_DB[s], samples, &all[s]);
            free(samples);
            mixture_done(&m);
        }
    return status;
}

static void print_errors(errors *all, FILE *json)
{
    printf("\n%-8s %5s %7s | %-28s | %-24s %-24s %6s\n", "SNR", "n", "missed", "SNR error, dB: median, 10-90 %",
           "begin, ms: 10, 50, 90 %", "end, ms: 10, 50, 90 %", "cut");
    fprintf(json, ",\n\"mixtures\": [");
    for (int s = 0; s < N_SNRS; s++) {
        errors *e = &all[s];
        const spread snr = stats_spread(e->snr, e->n), begin = stats_spread(e->begin, e->n),
                     end = stats_spread(e->end, e->n);
        printf(
            "%5.0f dB %5zu %7zu | %8.1f   %6.1f .. %5.1f     | %6.0f %6.0f %6.0f     %6.0f %6.0f %6.0f     %4.1f %%\n",
            SNRS_DB[s], e->n + e->missed, e->missed, snr.median, snr.p10, snr.p90, begin.p10, begin.median, begin.p90,
            end.p10, end.median, end.p90, 100 * (double)e->cut / (double)(e->n > 0 ? e->n : 1));
        fprintf(json,
                "%s\n  {\"snr_db\": %.0f, \"n\": %zu, \"missed\": %zu, \"snr_error_db\": [%.2f, %.2f, %.2f], "
                "\"begin_ms\": [%.0f, %.0f, %.0f], \"end_ms\": [%.0f, %.0f, %.0f], \"cut\": %zu}",
                s > 0 ? "," : "", SNRS_DB[s], e->n + e->missed, e->missed, snr.p10, snr.median, snr.p90, begin.p10,
                begin.median, begin.p90, end.p10, end.median, end.p90, e->cut);
    }
    fprintf(json, "\n]");
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

static int print_time(const mix_data *data, FILE *json)
{
    static float samples[CLIP_S * VX_AUDIO_RATE];
    double ms[RUNS];
    size_t n = 0;
    for (size_t c = 0; n < CLIP_S * VX_AUDIO_RATE; c = (c + 1) % data->n_clips)
        for (size_t i = 0; i < data->clips[c].n && n < CLIP_S * VX_AUDIO_RATE; i++)
            samples[n++] = data->clips[c].samples[i];
    for (int run = 0; run < RUNS; run++) {
        vx_span utterance;
        vx_quality quality;
        const uint64_t start = vx_now_ns();
        if (vx_quality_measure(samples, n, &utterance, &quality) != VX_OK)
            return -1;
        ms[run] = vx_ms_since(start);
    }
    const spread s = stats_spread(ms, RUNS);
    printf("\nmeasuring %d s takes %.2f ms (10 to 90 %%: %.2f to %.2f)\n", CLIP_S, s.median, s.p10, s.p90);
    fprintf(json, ",\n\"measure_3_s_ms\": [%.3f, %.3f, %.3f]}\n", s.p10, s.median, s.p90);
    return 0;
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

static int run(const mix_data *all, const mix_data *some, uint64_t seed)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return -1;
    FILE *json = fopen(JSON_PATH, "w");
    if (json == NULL)
        return -1;
    errors e[N_SNRS] = {0};
    bool ok = true;
    for (int s = 0; s < N_SNRS; s++) {
        e[s].snr = calloc(some->n_clips, sizeof(double));
        e[s].begin = calloc(some->n_clips, sizeof(double));
        e[s].end = calloc(some->n_clips, sizeof(double));
        ok = ok && e[s].snr != NULL && e[s].begin != NULL && e[s].end != NULL;
    }
    fprintf(json, "{\"bench\": \"quality\", \"seed\": %" PRIu64 ",\n", seed);
    ok = ok && try_bounds(all, json) == 0 && measure_mixtures(some, seed, e) == 0;
    if (ok)
        print_errors(e, json);
    ok = ok && print_time(some, json) == 0;
    for (int s = 0; s < N_SNRS; s++) {
        free(e[s].snr);
        free(e[s].begin);
        free(e[s].end);
    }
    ok = !ferror(json) && ok;
    return fclose(json) != 0 || !ok ? -1 : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"unseen", required_argument, NULL, 'u'},
                                            {"per-source", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    const char *unseen = UNSEEN;
    size_t per_source = 40;
    uint64_t seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'u': unseen = optarg; break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        default: optind = argc; break;
        }
    if (argc - optind != 2) {
        fprintf(stderr, "Usage: bench_quality SPEECH NOISE [--unseen KINDS] [--per-source N] [--seed N]\n");
        return 2;
    }
    mix_data all = {0}, some = {0};
    int status = 1;
    if (mix_load(argv[optind], argv[optind + 1], unseen, 0, seed, &all) &&
        mix_load(argv[optind], argv[optind + 1], unseen, per_source, seed, &some)) {
        printf("%zu recordings, mixtures of %zu, %d ms of noise alone around each, speech at %.0f dBFS, seed %" PRIu64
               "\n",
               all.n_clips, some.n_clips, PAUSE * 10, SPEECH_DBFS, seed);
        status = run(&all, &some, seed) != 0;
        if (status != 0)
            fprintf(stderr, "bench_quality: cannot write " JSON_PATH ", or out of memory\n");
    }
    mix_done(&all);
    mix_done(&some);
    return status;
}
