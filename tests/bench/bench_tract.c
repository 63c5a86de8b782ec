/* bench_tract.c - lengths of vocal tracts: of tubes whose length is known, and of people from one recording to the next.
 * Usage:  bench_tract SPEECH [--split dev] [--per-source N]
 *         SPEECH is a folder of tests/support/recordings.h.
 * Owns:   errors on tubes, deviation within and between speakers for each source, the error that was announced beside the
 *         one that came, time; tables on stdout. Does not: know how long the tract of a person is.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/coupling.h"
#include "edge/pava/formants.h"
#include "edge/pava/tract.h"
#include "shared/base/clock.h"
#include "tests/support/recordings.h"
#include "tests/support/stats.h"
#include "tests/support/tube.h"

enum { CLIP_S = 3, N_F0 = 5 };

static const double PITCHES_HZ[N_F0] = {90, 130, 170, 210, 250};

/* ---- tubes ------------------------------------------------------------------------------------------------------------ */

static vx_pitch pitch_of(const tube_voice *voice, float *probability)
{
    for (size_t i = 0; i < voice->n_frames; i++)
        probability[i] = 1;
    return (vx_pitch){voice->n_frames, voice->f0_hz, probability, voice->n_frames};
}

/* The length, or NAN where there is none. */
static double length_of(const tube_params *params)
{
    static float probability[CLIP_S * 100];
    tube_voice voice;
    vx_spectrogram spectrogram;
    vx_formants formants;
    vx_tract tract = {.length_cm = NAN};
    if (!tube_speak(params, &voice))
        return NAN;
    if (vx_spectrogram_compute(voice.samples, voice.n, &spectrogram) == VX_OK) {
        const vx_pitch pitch = pitch_of(&voice, probability);
        if (vx_formants_track(&spectrogram, &pitch, &formants) == VX_OK) {
            if (vx_tract_measure(&formants, &tract, NULL) != VX_OK)
                tract.length_cm = NAN;
            vx_formants_done(&formants);
        }
        vx_spectrogram_done(&spectrogram);
    }
    tube_voice_done(&voice);
    return tract.length_cm;
}

static void measure_tubes(const char *name, const tube_vowel *vowels, size_t n_vowels, const double band[2])
{
    printf("\n%s, error in cm at a pitch of\n%10s", name, "length");
    for (int i = 0; i < N_F0; i++)
        printf(" %5.0f Hz", PITCHES_HZ[i]);
    for (int cm = 12; cm <= 20; cm++) {
        /* Errors of a tube of the shortest and longest length would lead out of what is possible. */
        const double length = fmin(fmax(cm, VX_TRACT_MIN_CM + 0.3), VX_TRACT_MAX_CM - 0.3);
        printf("\n%7.1f cm", length);
        for (int i = 0; i < N_F0; i++) {
            const tube_params params = {vowels, n_vowels, length, PITCHES_HZ[i], {band[0], band[1]}, CLIP_S - 1, 1};
            printf(" %8.2f", length_of(&params) - length);
        }
    }
    printf("\n");
}

/* ---- people ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *source, *speaker;
    double cm, spread_cm;
    vx_err err;
} measured;

/* Of this process, so that a busy machine tells the same. */
typedef struct {
    uint64_t formants_ns, tract_ns, coupling_ns;
    double seconds;
} cost;

static bool measure_one(const vx_audio *audio, measured *m, cost *c)
{
    vx_spectrogram spectrogram = {0};
    vx_pitch pitch = {0};
    vx_formants formants = {0};
    bool ok = false;
    if (vx_spectrogram_compute(audio->samples, audio->n, &spectrogram) != VX_OK ||
        vx_pitch_track(audio->samples, audio->n, &spectrogram, &pitch) != VX_OK)
        goto out;
    const uint64_t start = vx_cpu_ns();
    if (vx_formants_track(&spectrogram, &pitch, &formants) != VX_OK)
        goto out;
    const uint64_t tracked = vx_cpu_ns();
    vx_tract tract = {0};
    vx_coupling coupling;
    m->err = vx_tract_measure(&formants, &tract, NULL);
    const uint64_t measured_tract = vx_cpu_ns();
    (void)!vx_coupling_measure(&pitch, &formants, &coupling, NULL);
    c->formants_ns += tracked - start;
    c->tract_ns += measured_tract - tracked;
    c->coupling_ns += vx_cpu_ns() - measured_tract;
    c->seconds += audio->seconds;
    m->cm = tract.length_cm;
    m->spread_cm = tract.spread_cm;
    ok = true;
out:
    vx_formants_done(&formants);
    vx_pitch_done(&pitch);
    vx_spectrogram_done(&spectrogram);
    return ok;
}

static int by_speaker(const void *a, const void *b)
{
    const measured *x = a, *y = b;
    const int source = strcmp(x->source, y->source);
    return source != 0 ? source : strcmp(x->speaker, y->speaker);
}

/* Sums over the speakers of one source. */
typedef struct {
    size_t n, found, speakers, freedom;
    double within, announced; /* squares */
    double sum, square;       /* of the speakers' means */
} table;

static void add_speaker(const measured *m, size_t n, table *t)
{
    double sum = 0, squares = 0, announced = 0;
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (m[i].err == VX_OK) {
            sum += m[i].cm;
            announced += m[i].spread_cm * m[i].spread_cm;
            found++;
        }
    t->n += n;
    if (found == 0)
        return;
    const double mean = sum / (double)found;
    for (size_t i = 0; i < n; i++)
        squares += m[i].err == VX_OK ? (m[i].cm - mean) * (m[i].cm - mean) : 0;
    t->found += found;
    t->speakers++;
    t->freedom += found - 1;
    t->within += squares;
    t->announced += announced;
    t->sum += mean;
    t->square += mean * mean;
}

static void print_table(const char *source, const table *t)
{
    const double k = (double)t->speakers, mean = t->sum / k;
    const double between = sqrt(fmax(0, t->square / k - mean * mean) * k / fmax(1, k - 1));
    const double within = sqrt(t->within / fmax(1, (double)t->freedom));
    printf("%-24s %6zu %9.1f %% %9zu %8.1f %8.2f %9.2f %9.2f\n", source, t->n,
           100 * (double)(t->n - t->found) / (double)t->n, t->speakers, mean, within, between,
           sqrt(t->announced / (double)t->found));
}

static void print_people(measured *m, size_t n)
{
    qsort(m, n, sizeof *m, by_speaker);
    printf("\n%-24s %6s %11s %9s %8s %8s %9s %9s\n", "people, cm", "clips", "no answer", "speakers", "mean", "within",
           "between", "announced");
    for (size_t from = 0, source_end; from < n; from = source_end) {
        table t = {0};
        for (source_end = from; source_end < n && strcmp(m[source_end].source, m[from].source) == 0; source_end++)
            ;
        for (size_t i = from, end; i < source_end; i = end) {
            for (end = i; end < source_end && strcmp(m[end].speaker, m[i].speaker) == 0; end++)
                ;
            add_speaker(m + i, end - i, &t);
        }
        if (t.speakers > 0)
            print_table(m[from].source, &t);
    }
}

static bool measure_people(const recordings *list)
{
    measured *m = calloc(list->n, sizeof *m);
    cost c = {0};
    bool ok = m != NULL;
    for (size_t i = 0; i < list->n && ok; i++) {
        vx_audio audio;
        m[i].source = list->rows[i].source;
        m[i].speaker = list->rows[i].speaker;
        ok = recording_load(&list->rows[i], &audio);
        if (ok) {
            ok = measure_one(&audio, &m[i], &c);
            vx_audio_done(&audio);
        }
    }
    if (ok) {
        print_people(m, list->n);
        const double clips = 1e6 * c.seconds / CLIP_S;
        printf("\nCPU time for %d s: formants %.2f ms, tract %.2f ms, coupling %.2f ms\n", CLIP_S,
               (double)c.formants_ns / clips, (double)c.tract_ns / clips, (double)c.coupling_ns / clips);
    } else
        fprintf(stderr, "bench_tract: a recording cannot be measured, or out of memory\n");
    free(m);
    return ok;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"split", required_argument, NULL, 's'}, {"per-source", required_argument, NULL, 'n'}, {0}};
    static const tube_vowel ALL[] = {TUBE_A, TUBE_I, TUBE_U, TUBE_AE, TUBE_E, TUBE_UNIFORM}, ONE[] = {TUBE_UNIFORM};
    static const double WIDE[2] = {0, 8000}, TELEPHONE[2] = {300, 3400};
    const char *split = "dev";
    size_t per_source = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 's': split = optarg; break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        default: optind = argc; break;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "Usage: bench_tract SPEECH [--split dev] [--per-source N]\n");
        return 2;
    }
    measure_tubes("uniform tubes", ONE, 1, WIDE);
    measure_tubes("six vowels in turn", ALL, 6, WIDE);
    measure_tubes("uniform tubes over the telephone", ONE, 1, TELEPHONE);
    measure_tubes("six vowels in turn over the telephone", ALL, 6, TELEPHONE);
    recordings list = {0};
    const bool ok = recordings_read(argv[optind], split, per_source, 1, &list) && measure_people(&list);
    recordings_done(&list);
    return ok ? 0 : 1;
}
