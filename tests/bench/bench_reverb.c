/* bench_reverb.c - decay times read from speech, beside those of the rooms that it was played in.
 * Usage:  bench_reverb SPEECH [--split dev] [--per-source N] [--seed N] [--features]
 *         SPEECH is a folder of tests/support/recordings.h. --features writes what models/fit_reverb.py fits, and no more.
 * Owns:   relative errors by decay time and noise, one room against two in a row, CPU time; tables on stdout and
 *         build/bench/reverb.json. Does not: make rooms (tests/support/room.h).
 *
 * The truth is the T30 of the room's own response between 500 and 2,500 Hz. What a recording brings of the room it was
 * made in is unknown, and counts as error.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/pava/reverb.h"
#include "shared/base/clock.h"
#include "tests/support/recordings.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"

#define JSON_PATH  "build/bench/reverb.json"
#define PAD_S      0.4 /* of silence behind the words, for the room to fade in */
#define LONGEST_S  5.0 /* taken of a recording */
#define NEAR_M     0.3 /* distances */
#define FAR_M      2.0
#define ONE_LOW_S  0.2 /* decay times in the comparison of one room with two */
#define ONE_HIGH_S 0.7
#define ONE_FAR_M  1.5
enum { N_BANDS = 8, N_SNRS = 3, N_MEASURES = 5, MATCH_BINS = 8 };

static const double BANDS_S[N_BANDS + 1] = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
static const double SNRS_DB[N_SNRS] = {INFINITY, 20, 10};
static const char *const MEASURES[N_MEASURES] = {"rt60_s", "early_s", "early_s / rt60_s", "late_early", "double_slope"};

/* Relative errors of one cell, and how often there was an answer. */
typedef struct {
    double *errors;
    size_t n, found, tried;
} cell;

typedef struct {
    double value[N_MEASURES];
    bool two;
} compared;

typedef struct {
    cell cells[N_BANDS][N_SNRS];
    compared *compared;
    size_t n_compared;
    double cpu_ns, seconds;
} results;

/* ---- making ---------------------------------------------------------------------------------------------------------- */

static double between(double low, double high, uint64_t *state)
{
    return low + (high - low) * (double)(stats_random(state) >> 11) * 0x1p-53;
}

/* Distances as people choose them: as often between 0.3 and 0.6 m as between 1 and 2. */
static double distance(double far, uint64_t *state)
{
    return NEAR_M * pow(far / NEAR_M, between(0, 1, state));
}

/* Noise of a quiet machine: -3 dB an octave (P. Kellet's filter), at snr_db below the mean of the signal. */
static void add_noise(float *samples, size_t n, double snr_db, uint64_t *state)
{
    double power = 0, low = 0, mid = 0, high = 0;
    for (size_t i = 0; i < n; i++)
        power += (double)samples[i] * (double)samples[i];
    const double level = sqrt(power / (double)n * pow(10, -snr_db / 10)) / 2.1; /* what follows has 2.1 rms */
    for (size_t i = 0; i < n && isfinite(snr_db); i++) {
        const double white = sqrt(3) * between(-1, 1, state);
        low = 0.99765 * low + 0.0990460 * white;
        mid = 0.96300 * mid + 0.2965164 * white;
        high = 0.57000 * high + 1.0526913 * white;
        samples[i] += (float)(level * (low + mid + high + 0.1848 * white));
    }
}

/* Plays in place. Returns the decay time of the room. */
static double play(float *samples, size_t n, double rt60_s, double far, uint64_t *state)
{
    const room_plan plan = room_draw(rt60_s, distance(far, state), state);
    size_t m = 0;
    float *response = room_response(&plan, &m);
    if (response == NULL || !room_convolve(samples, n, response, m, samples))
        abort();
    const double truth = room_rt60(response, m, ROOM_MID, -5, -35);
    free(response);
    return truth;
}

/* The recording with silence behind it. */
static float *padded(const recording *row, size_t *ret_n)
{
    vx_audio audio;
    if (!recording_load(row, &audio))
        return NULL;
    const size_t most = (size_t)(LONGEST_S * VX_AUDIO_RATE), used = audio.n < most ? audio.n : most;
    *ret_n = used + (size_t)(PAD_S * VX_AUDIO_RATE);
    float *samples = calloc(*ret_n, sizeof *samples);
    if (samples == NULL)
        abort();
    memcpy(samples, audio.samples, used * sizeof *samples);
    vx_audio_done(&audio);
    return samples;
}

static float *copy_of(const float *samples, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    if (copy == NULL)
        abort();
    memcpy(copy, samples, n * sizeof *copy);
    return copy;
}

static vx_err measure(const float *samples, size_t n, results *r, vx_reverb *ret)
{
    vx_spectrogram spectrogram;
    if (vx_spectrogram_compute(samples, n, &spectrogram) != VX_OK)
        abort();
    const uint64_t start = vx_cpu_ns();
    const vx_err err = vx_reverb_measure(&spectrogram, ret, NULL);
    r->cpu_ns += (double)(vx_cpu_ns() - start);
    r->seconds += (double)n / VX_AUDIO_RATE;
    vx_spectrogram_done(&spectrogram);
    return err;
}

/* ---- run ------------------------------------------------------------------------------------------------------------- */

static void note(cell *c, vx_err err, double measured, double truth)
{
    c->tried++;
    if (err == VX_OK)
        c->errors[c->found++] = fabs(measured - truth) / truth;
}

static void in_one_room(const float *samples, size_t n, int band, uint64_t *state, results *r)
{
    float *wet = copy_of(samples, n);
    const double truth = play(wet, n, between(BANDS_S[band], BANDS_S[band + 1], state), FAR_M, state);
    for (int s = 0; s < N_SNRS; s++) {
        float *noisy = copy_of(wet, n);
        vx_reverb reverb = {0};
        add_noise(noisy, n, SNRS_DB[s], state);
        const vx_err err = measure(noisy, n, r, &reverb);
        note(&r->cells[band][s], err, reverb.rt60_s, truth);
        free(noisy);
    }
    free(wet);
}

static void one_or_two(const float *samples, size_t n, bool two, uint64_t *state, results *r)
{
    float *wet = copy_of(samples, n);
    vx_reverb v;
    for (int rooms = two ? 2 : 1; rooms > 0; rooms--)
        (void)play(wet, n, between(ONE_LOW_S, ONE_HIGH_S, state), ONE_FAR_M, state);
    if (measure(wet, n, r, &v) == VX_OK)
        r->compared[r->n_compared++] =
            (compared){{v.rt60_s, v.early_s, v.early_s / v.rt60_s, v.late_early, v.double_slope}, two};
    free(wet);
}

/* Of recordings in rooms of any decay time, with any noise: what the regression is fitted on. */
static void write_features(const recordings *list, uint64_t seed)
{
    results r = {0};
    printf("speaker\trt60_s\tfall_50\tfall_80\tfall_95\n");
    for (size_t i = 0; i < list->n; i++) {
        size_t n;
        float *samples = padded(&list->rows[i], &n);
        for (int take = 0; take < 3 && samples != NULL; take++) {
            float *wet = copy_of(samples, n);
            vx_reverb v;
            const double truth = play(wet, n, between(0.15, 1.1, &seed), FAR_M, &seed);
            add_noise(wet, n, take == 0 ? INFINITY : between(10, 35, &seed), &seed);
            if (measure(wet, n, &r, &v) == VX_OK)
                printf("%s\t%.4f\t%.3f\t%.3f\t%.3f\n", list->rows[i].speaker, truth, v.fall_db_s[0], v.fall_db_s[1],
                       v.fall_db_s[2]);
            free(wet);
        }
        free(samples);
    }
}

static bool run(const recordings *list, uint64_t seed, results *r)
{
    r->compared = calloc(2 * list->n + 1, sizeof *r->compared);
    bool ok = r->compared != NULL;
    for (int b = 0; b < N_BANDS; b++)
        for (int s = 0; s < N_SNRS; s++)
            ok = (r->cells[b][s].errors = calloc(list->n + 1, sizeof(double))) != NULL && ok;
    for (size_t i = 0; i < list->n && ok; i++) {
        size_t n;
        float *samples = padded(&list->rows[i], &n);
        ok = samples != NULL;
        for (int b = 0; b < N_BANDS && ok; b++)
            in_one_room(samples, n, b, &seed, r);
        for (int two = 0; two < 2 && ok; two++)
            one_or_two(samples, n, two == 1, &seed, r);
        free(samples);
    }
    return ok;
}

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

static void print_cell(const cell *c, FILE *json, const char *name, double low, double high, double snr_db)
{
    const double share = c->tried > 0 ? (double)c->found / (double)c->tried : 0;
    stats_sort(c->errors, c->found);
    const double middle = stats_quantile(c->errors, c->found, 0.5), tail = stats_quantile(c->errors, c->found, 0.9);
    printf(" | %5zu %5.1f %6.1f %6.1f", c->tried, 100 * share, 100 * middle, 100 * tail);
    fprintf(json, "%s\n  {\"from_s\": %.2f, \"to_s\": %.2f, \"snr_db\": %.0f, \"n\": %zu, \"found\": %.4f, ", name, low,
            high, isfinite(snr_db) ? snr_db : 99, c->tried, share);
    fprintf(json, "\"median_error\": %.4f, \"p90_error\": %.4f}", middle, tail);
}

/* Every band of one SNR. */
static cell all_of(const results *r, int snr)
{
    cell all = {0};
    for (int b = 0; b < N_BANDS; b++)
        all.n += r->cells[b][snr].found;
    all.errors = calloc(all.n + 1, sizeof(double));
    if (all.errors == NULL)
        abort();
    for (int b = 0; b < N_BANDS; b++) {
        const cell *c = &r->cells[b][snr];
        memcpy(all.errors + all.found, c->errors, c->found * sizeof(double));
        all.found += c->found;
        all.tried += c->tried;
    }
    return all;
}

static void print_rooms(const results *r, FILE *json)
{
    printf("\n%-12s", "RT60, s");
    for (int s = 0; s < N_SNRS; s++)
        printf(isfinite(SNRS_DB[s]) ? " | with noise, %2.0f dB SNR  " : " | as recorded             ", SNRS_DB[s]);
    printf("\n%-12s", "");
    for (int s = 0; s < N_SNRS; s++)
        printf(" | %5s %5s %6s %6s", "rooms", "found", "median", "90 %");
    fprintf(json, "\"rooms\": [");
    for (int b = 0; b < N_BANDS; b++) {
        printf("\n%.1f to %.1f  ", BANDS_S[b], BANDS_S[b + 1]);
        for (int s = 0; s < N_SNRS; s++)
            print_cell(&r->cells[b][s], json, b + s > 0 ? "," : "", BANDS_S[b], BANDS_S[b + 1], SNRS_DB[s]);
    }
    printf("\n%-12s", "all");
    for (int s = 0; s < N_SNRS; s++) {
        const cell all = all_of(r, s);
        print_cell(&all, json, ",", BANDS_S[0], BANDS_S[N_BANDS], SNRS_DB[s]);
        free(all.errors);
    }
    printf("\n(found and errors in %%; errors relative to the room's T30)\n");
    fprintf(json, "\n]");
}

/* Probability that two rooms measure more than one. */
static double area(const compared *c, size_t n, int measure_index, double *ret_pairs)
{
    double more = 0, pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && c[i].two; k++)
            if (!c[k].two) {
                const double a = c[i].value[measure_index], b = c[k].value[measure_index];
                more += a > b ? 1 : a == b ? 0.5 : 0;
                pairs++;
            }
    *ret_pairs = pairs;
    return pairs > 0 ? more / pairs : 0.5;
}

static int by_rt60(const void *a, const void *b)
{
    const double x = ((const compared *)a)->value[0], y = ((const compared *)b)->value[0];
    return (x > y) - (x < y);
}

/* The same among recordings that measure about the same decay time: what a measure adds to it. */
static double area_matched(const results *r, int measure_index)
{
    double sum = 0, total = 0;
    for (size_t bin = 0; bin < MATCH_BINS; bin++) {
        const size_t from = r->n_compared * bin / MATCH_BINS, to = r->n_compared * (bin + 1) / MATCH_BINS;
        double pairs;
        const double part = area(r->compared + from, to - from, measure_index, &pairs);
        sum += part * pairs;
        total += pairs;
    }
    return total > 0 ? sum / total : 0.5;
}

static double median_of(const results *r, int measure_index, bool two)
{
    double *values = calloc(r->n_compared + 1, sizeof *values);
    size_t n = 0;
    if (values == NULL)
        abort();
    for (size_t i = 0; i < r->n_compared; i++)
        if (r->compared[i].two == two)
            values[n++] = r->compared[i].value[measure_index];
    stats_sort(values, n);
    const double middle = stats_quantile(values, n, 0.5);
    free(values);
    return middle;
}

static void print_compared(results *r, FILE *json)
{
    qsort(r->compared, r->n_compared, sizeof *r->compared, by_rt60);
    printf("\n%-18s %10s %10s %8s %28s\n", "one room or two", "one", "two", "area", "area at equal decay time");
    fprintf(json, ",\n\"rooms_in_rooms\": [");
    for (int m = 0; m < N_MEASURES; m++) {
        double pairs;
        const double one = median_of(r, m, false), two = median_of(r, m, true);
        const double whole = area(r->compared, r->n_compared, m, &pairs), matched = area_matched(r, m);
        printf("%-18s %10.3f %10.3f %8.3f %28.3f\n", MEASURES[m], one, two, whole, matched);
        fprintf(json, "%s\n  {\"measure\": \"%s\", \"one\": %.4f, \"two\": %.4f, \"area\": %.4f, \"matched\": %.4f}",
                m > 0 ? "," : "", MEASURES[m], one, two, whole, matched);
    }
    printf("(medians of %zu recordings; RT60 of each room %.1f to %.1f s, 0.5: tells nothing)\n", r->n_compared,
           ONE_LOW_S, ONE_HIGH_S);
    fprintf(json, "\n]");
}

static bool report(results *r, uint64_t seed)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return false;
    FILE *json = fopen(JSON_PATH, "w");
    if (json == NULL)
        return false;
    fprintf(json, "{\"bench\": \"reverb\", \"seed\": %" PRIu64 ",\n", seed);
    print_rooms(r, json);
    print_compared(r, json);
    const double ms = r->cpu_ns / 1e6 / (r->seconds / 3);
    printf("\n%.2f ms of CPU for 3 s of sound, the spectrogram not counted\n", ms);
    fprintf(json, ",\n\"ms_for_3_s\": %.4f}\n", ms);
    const bool failed = ferror(json) != 0;
    return fclose(json) == 0 && !failed;
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
    static const struct option options[] = {{"split", required_argument, NULL, 'p'},
                                            {"per-source", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"features", no_argument, NULL, 'f'},
                                            {0}};
    const char *split = "dev";
    size_t per_source = 0;
    uint64_t seed = 1;
    bool features = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'p': split = optarg; break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 'f': features = true; break;
        default: optind = argc; break;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "Usage: bench_reverb SPEECH [--split dev] [--per-source N] [--seed N] [--features]\n");
        return 2;
    }
    recordings list;
    if (!recordings_read(argv[optind], split, per_source, seed, &list))
        return 1;
    int status = 0;
    results r = {0};
    if (features) {
        write_features(&list, seed);
    } else {
        printf("%zu recordings, split %s, %.1f to %.1f m from the microphone, seed %" PRIu64 "\n", list.n, split,
               NEAR_M, FAR_M, seed);
        status = !(run(&list, seed, &r) && report(&r, seed));
        if (status != 0)
            fprintf(stderr, "bench_reverb: cannot write " JSON_PATH ", or out of memory\n");
    }
    for (int b = 0; b < N_BANDS; b++)
        for (int s = 0; s < N_SNRS; s++)
            free(r.cells[b][s].errors);
    free(r.compared);
    recordings_done(&list);
    return status;
}
