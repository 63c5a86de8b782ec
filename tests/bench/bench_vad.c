/* bench_vad.c - the voice activity detector beside three others, on recordings mixed with noise.
 * Usage:  bench_vad SPEECH NOISE [--peer LIBFVAD] [--unseen KINDS] [--per-source N] [--seed N]
 *         The folders are those of tests/support/speech_mix.h. LIBFVAD is a shared library of libfvad, WebRTC's detector;
 *         without it those rows are left out.
 * Owns:   ROC curves, frame errors, CPU time; tables on stdout and build/bench/vad.json. Does not: label or mix.
 *
 * What needs a threshold gets the best that there is for it on these mixtures; only voxlock is held to the one it ships.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/capture/vad.h"
#include "shared/base/clock.h"
#include "tests/support/speech_mix.h"
#include "tests/support/stats.h"
#include "tests/support/vad_peers.h"

#define JSON_PATH   "build/bench/vad.json"
#define UNSEEN      "dog_bark,helicopter"
#define SPEECH_DBFS (-26.0)
enum { LEVELS = 4096, MODES = 4, MAX_KINDS = 32 };

static const double SNRS_DB[] = {20, 10, 5, 0};
enum { N_SNRS = 4, AT_5_DB = 2 };

typedef enum { OURS, ENERGY, SOHN, N_SCORED } scored;
static const char *const SCORED_NAMES[N_SCORED] = {"voxlock", "energy", "likelihood ratio"};
static const char *const GROUP_NAMES[2] = {"kinds of noise heard in training", "kinds not heard in training"};

/* Frames by score, without and with speech. */
typedef struct {
    uint32_t frames[2][LEVELS];
    uint32_t total[2];
} roc;

typedef struct {
    uint32_t yes[2], total[2]; /* without and with speech */
} hits;

typedef struct {
    roc by_snr[2][N_SNRS][N_SCORED];
    hits webrtc[2][N_SNRS][MODES];
    const char *kinds[MAX_KINDS], *sources[MAX_KINDS]; /* borrowed from the data; at 5 dB, voxlock only */
    roc by_kind[MAX_KINDS], by_source[MAX_KINDS];
    double cpu_ns[N_SCORED + 1], seconds[N_SCORED + 1]; /* the last: WebRTC, one mode */
} results;

typedef struct {
    vx_vad *ours;
    vad_peer *energy, *sohn, *webrtc[MODES];
} detectors;

/* ---- rates ----------------------------------------------------------------------------------------------------------- */

/* Scores of any scale onto LEVELS steps, keeping their order. */
static size_t level_of(double score, double scale)
{
    const double x = 0.5 + atan(score / scale) / 3.14159265358979323846;
    return (size_t)fmin(LEVELS - 1, fmax(0, x * LEVELS));
}

static void count(roc *r, size_t level, bool speech)
{
    r->frames[speech][level]++;
    r->total[speech]++;
}

static void add(roc *to, const roc *from)
{
    for (int s = 0; s < 2; s++) {
        to->total[s] += from->total[s];
        for (size_t i = 0; i < LEVELS; i++)
            to->frames[s][i] += from->frames[s][i];
    }
}

static double area(const roc *r)
{
    double sum = 0, below = 0;
    for (size_t i = 0; i < LEVELS; i++) {
        sum += r->frames[1][i] * (below + 0.5 * r->frames[0][i]);
        below += r->frames[0][i];
    }
    return sum / ((double)r->total[0] * (double)r->total[1]);
}

/* Share of frames that are wrong with `level` and all above called speech. */
static double wrong_at(const roc *r, size_t level)
{
    double wrong = 0;
    for (size_t i = 0; i < LEVELS; i++)
        wrong += i >= level ? r->frames[0][i] : r->frames[1][i];
    return wrong / ((double)r->total[0] + (double)r->total[1]);
}

static double least_wrong(const roc *r)
{
    double best = 1;
    for (size_t i = 0; i <= LEVELS; i += 8)
        best = fmin(best, wrong_at(r, i));
    return best;
}

/* Share of speech that is found where this share of the rest is called speech too, between neighbouring steps. */
static double found_at(const roc *r, double false_share)
{
    double falses = 0, found = 0;
    const double allowed = false_share * r->total[0];
    for (size_t i = LEVELS; i-- > 0; found += r->frames[1][i], falses += r->frames[0][i])
        if (falses + r->frames[0][i] > allowed)
            return (found + r->frames[1][i] * (allowed - falses) / r->frames[0][i]) / r->total[1];
    return 1;
}

/* ---- run ------------------------------------------------------------------------------------------------------------- */

static void our_scores(vx_vad *vad, const mixture *m, double *ret_scores)
{
    vx_vad_reset(vad);
    for (size_t t = 0; t < m->n_frames + VX_VAD_DELAY; t++) {
        float block[VX_VAD_FRAME] = {0};
        for (size_t i = 0; i < VX_VAD_FRAME && t < m->n_frames; i++)
            block[i] = (float)m->samples[t * VX_VAD_FRAME + i] / 32768.0F;
        vx_vad_frame frame;
        vx_vad_push(vad, block, &frame);
        if (t >= VX_VAD_DELAY)
            ret_scores[t - VX_VAD_DELAY] =
                log(frame.probability + 1e-9) - log(1 - frame.probability + 1e-9); /* no step of the scale is crowded */
    }
}

static size_t place_of(const char **names, const char *name)
{
    size_t i = 0;
    while (i < MAX_KINDS - 1 && names[i] != NULL && strcmp(names[i], name) != 0)
        i++;
    names[i] = name;
    return i;
}

static void tally(results *r, detectors *d, const mixture *m, const mix_clip *clip, const mix_noise *noise, size_t snr,
                  double *scores)
{
    static const double scales[N_SCORED] = {3, 15, 3};
    for (int which = 0; which < N_SCORED; which++) {
        const uint64_t start = vx_cpu_ns();
        if (which == OURS)
            our_scores(d->ours, m, scores);
        else
            vad_peer_score(which == ENERGY ? d->energy : d->sohn, m->samples, m->n_frames, scores);
        r->cpu_ns[which] += (double)(vx_cpu_ns() - start);
        r->seconds[which] += (double)m->n_frames / 100;
        for (size_t t = 0; t < m->n_frames; t++) {
            const size_t level = level_of(scores[t], scales[which]);
            count(&r->by_snr[noise->unseen][snr][which], level, m->speech[t]);
            if (which == OURS && snr == AT_5_DB) {
                count(&r->by_kind[place_of(r->kinds, noise->kind)], level, m->speech[t]);
                count(&r->by_source[place_of(r->sources, clip->source)], level, m->speech[t]);
            }
        }
    }
    for (int mode = 0; mode < MODES && d->webrtc[mode] != NULL; mode++) {
        hits *h = &r->webrtc[noise->unseen][snr][mode];
        const uint64_t start = vx_cpu_ns();
        vad_peer_score(d->webrtc[mode], m->samples, m->n_frames, scores);
        r->cpu_ns[N_SCORED] += (double)(vx_cpu_ns() - start);
        r->seconds[N_SCORED] += (double)m->n_frames / 100;
        for (size_t t = 0; t < m->n_frames; t++) {
            h->total[m->speech[t]]++;
            h->yes[m->speech[t]] += scores[t] > 0.5;
        }
    }
}

/* Each recording once with a kind of noise heard in training and once with another, at every ratio. */
static int run(const mix_data *data, detectors *d, uint64_t seed, results *r)
{
    for (size_t c = 0; c < data->n_clips; c++)
        for (int unseen = 0; unseen < 2; unseen++) {
            const mix_noise *noise;
            do
                noise = &data->noises[stats_random(&seed) % data->n_noises];
            while (noise->unseen != unseen);
            for (size_t snr = 0; snr < N_SNRS; snr++) {
                mixture m;
                if (!mix_make(&data->clips[c], noise, SNRS_DB[snr], SPEECH_DBFS, &seed, &m))
                    return -1;
                double *scores = calloc(m.n_frames, sizeof *scores);
                if (scores != NULL)
                    tally(r, d, &m, &data->clips[c], noise, snr, scores);
                mixture_done(&m);
                if (scores == NULL)
                    return -1;
                free(scores);
            }
        }
    return 0;
}

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

static void print_groups(const results *r, FILE *json)
{
    const size_t threshold = level_of(0, 3);
    printf("\n%-34s %6s | %8s %8s %8s | %8s %8s %8s\n", "area under the ROC | frames wrong, %", "SNR", "voxlock",
           "energy", "ratio", "voxlock", "energy", "ratio");
    fprintf(json, "\"mixtures\": [");
    for (int g = 0; g < 2; g++)
        for (int s = 0; s < N_SNRS; s++) {
            const roc *cell = r->by_snr[g][s];
            const double wrong = wrong_at(&cell[OURS], threshold);
            printf("%-34s %3.0f dB | %8.4f %8.4f %8.4f | %8.1f %8.1f %8.1f\n", s == 0 ? GROUP_NAMES[g] : "", SNRS_DB[s],
                   area(&cell[OURS]), area(&cell[ENERGY]), area(&cell[SOHN]), 100 * wrong,
                   100 * least_wrong(&cell[ENERGY]), 100 * least_wrong(&cell[SOHN]));
            fprintf(json, "%s\n  {\"unseen\": %s, \"snr_db\": %.0f, \"frames\": %" PRIu32, g + s > 0 ? "," : "",
                    g ? "true" : "false", SNRS_DB[s], cell->total[0] + cell->total[1]);
            for (int which = 0; which < N_SCORED; which++)
                fprintf(json, ", \"%s\": {\"auc\": %.4f, \"wrong\": %.4f}", SCORED_NAMES[which], area(&cell[which]),
                        which == OURS ? wrong : least_wrong(&cell[which]));
            fprintf(json, "}");
        }
    fprintf(json, "\n]");
}

static void print_webrtc(const results *r, FILE *json)
{
    printf("\n%-6s %5s | %14s %14s | %21s\n", "SNR", "mode", "WebRTC false", "WebRTC found", "voxlock at same false");
    fprintf(json, ",\n\"webrtc\": [");
    for (int s = 0; s < N_SNRS; s++) {
        static roc both;
        both = r->by_snr[0][s][OURS];
        add(&both, &r->by_snr[1][s][OURS]);
        for (int mode = 0; mode < MODES; mode++) {
            const hits *a = &r->webrtc[0][s][mode], *b = &r->webrtc[1][s][mode];
            const double falses = (double)(a->yes[0] + b->yes[0]) / (double)(a->total[0] + b->total[0]);
            const double found = (double)(a->yes[1] + b->yes[1]) / (double)(a->total[1] + b->total[1]);
            printf("%3.0f dB %5d | %12.1f %% %12.1f %% | %19.1f %%\n", SNRS_DB[s], mode, 100 * falses, 100 * found,
                   100 * found_at(&both, falses));
            fprintf(json,
                    "%s\n  {\"snr_db\": %.0f, \"mode\": %d, \"false\": %.4f, \"found\": %.4f, \"voxlock_found\": %.4f}",
                    s + mode > 0 ? "," : "", SNRS_DB[s], mode, falses, found, found_at(&both, falses));
        }
    }
    fprintf(json, "\n]");
}

static void print_parts(const char *what, const char *const *names, const roc *parts, FILE *json)
{
    const size_t threshold = level_of(0, 3);
    printf("\n%-24s %8s %16s\n", what, "area", "frames wrong, %");
    fprintf(json, ",\n\"%s\": {", what);
    for (size_t i = 0; i < MAX_KINDS && names[i] != NULL; i++) {
        printf("%-24s %8.4f %16.1f\n", names[i], area(&parts[i]), 100 * wrong_at(&parts[i], threshold));
        fprintf(json, "%s\"%s\": %.4f", i > 0 ? ", " : "", names[i], area(&parts[i]));
    }
    fprintf(json, "}");
}

static void print_cpu(const results *r, bool webrtc, FILE *json)
{
    printf("\n%-24s %22s\n", "CPU", "of a core, real time");
    fprintf(json, ",\n\"cpu_share\": {");
    for (int which = 0; which < N_SCORED + (int)webrtc; which++) {
        const char *name = which < N_SCORED ? SCORED_NAMES[which] : "WebRTC";
        const double share = r->cpu_ns[which] / (r->seconds[which] * 1e9);
        printf("%-24s %20.3f %%\n", name, 100 * share);
        fprintf(json, "%s\"%s\": %.6f", which > 0 ? ", " : "", name, share);
    }
    fprintf(json, "}}\n");
}

static int report(const results *r, bool webrtc, uint64_t seed)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return -1;
    FILE *json = fopen(JSON_PATH, "w");
    if (json == NULL)
        return -1;
    fprintf(json, "{\"bench\": \"vad\", \"seed\": %" PRIu64 ",\n", seed);
    print_groups(r, json);
    if (webrtc)
        print_webrtc(r, json);
    print_parts("noise, 5 dB", r->kinds, r->by_kind, json);
    print_parts("speech, 5 dB", r->sources, r->by_source, json);
    print_cpu(r, webrtc, json);
    const int failed = ferror(json);
    return fclose(json) != 0 || failed ? -1 : 0;
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

static void close_detectors(detectors *d)
{
    vx_vad_destroy(d->ours);
    vad_peer_destroy(d->energy);
    vad_peer_destroy(d->sohn);
    for (int mode = 0; mode < MODES; mode++)
        vad_peer_destroy(d->webrtc[mode]);
}

static bool open_detectors(const char *library, detectors *ret)
{
    const vx_vad_params params = vx_vad_params_default();
    detectors d = {.energy = vad_peer_create(VAD_PEER_ENERGY, 0, NULL),
                   .sohn = vad_peer_create(VAD_PEER_SOHN, 0, NULL)};
    bool ok = vx_vad_create(&params, &d.ours) == VX_OK && d.energy != NULL && d.sohn != NULL;
    for (int mode = 0; mode < MODES && library != NULL; mode++)
        ok = (d.webrtc[mode] = vad_peer_create(VAD_PEER_WEBRTC, mode, library)) != NULL && ok;
    *ret = d;
    return ok;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"peer", required_argument, NULL, 'p'},
                                            {"unseen", required_argument, NULL, 'u'},
                                            {"per-source", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    const char *library = NULL, *unseen = UNSEEN;
    size_t per_source = 40;
    uint64_t seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'p': library = optarg; break;
        case 'u': unseen = optarg; break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        default: optind = argc; break;
        }
    if (argc - optind != 2) {
        fprintf(stderr,
                "Usage: bench_vad SPEECH NOISE [--peer LIBFVAD] [--unseen KINDS] [--per-source N] [--seed N]\n");
        return 2;
    }
    mix_data data = {0};
    detectors d = {0};
    results *r = calloc(1, sizeof *r);
    int status = 1;
    if (!open_detectors(library, &d))
        fprintf(stderr, "bench_vad: %s: not a library of WebRTC's detector, or out of memory\n",
                library ? library : "-");
    else if (r != NULL && mix_load(argv[optind], argv[optind + 1], unseen, per_source, seed, &data)) {
        printf("%zu recordings, %zu noises, %d frames of noise alone around each, speech at %.0f dBFS, seed %" PRIu64
               "\n",
               data.n_clips, data.n_noises, MIX_PAUSE, SPEECH_DBFS, seed);
        status = run(&data, &d, seed, r) != 0 || report(r, library != NULL, seed) != 0;
        if (status != 0)
            fprintf(stderr, "bench_vad: cannot write " JSON_PATH ", or out of memory\n");
    }
    mix_done(&data);
    close_detectors(&d);
    free(r);
    return status;
}
