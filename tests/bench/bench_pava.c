/* bench_pava.c - what each analysis of PAVA and all of it take on three seconds of speech, one core.
 * Usage:  bench_pava [CLIP [RUNS]], in the repository root
 * Owns:   one table on stdout: medians and the last tenth, in milliseconds of the processor's time. Does not: judge.
 *
 * The whole twice: with nothing known, and with a full store of utterances, none of which is repeated, so that all speeds
 * are tried. Those utterances have the landmarks of bundled recordings, each at a time that is drawn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/scene.h"
#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"

enum { N_STEPS = 15, MAX_RUNS = 500, HEARD = 5000 /* a full store */, SEED = 7 };

static const char *const names[N_STEPS] = {"spectrogram", "pitch",   "cycles",     "formants",    "tract",
                                           "coupling",    "channel", "modulation", "phase",       "joints",
                                           "reverb",      "breath",  "movement",   "fingerprint", "countermeasure"};
static double times[N_STEPS][MAX_RUNS], whole[MAX_RUNS], whole_of_many[MAX_RUNS];

/* One run of every analysis in turn; the order is that of `names`. */
static void measure(const float *samples, size_t n, int run)
{
    vx_scene s = {.samples = samples, .n = n};
    uint64_t start_ns = vx_cpu_ns();
    int step = 0;
#define STEP(call)                                                                                                     \
    do {                                                                                                               \
        const vx_err err_ = (call);                                                                                    \
        (void)err_;                                                                                                    \
        times[step++][run] = (double)(vx_cpu_ns() - start_ns) / 1e6;                                                   \
        start_ns = vx_cpu_ns();                                                                                        \
    } while (0)
    STEP(vx_spectrogram_compute(samples, n, &s.spectrogram));
    STEP(vx_pitch_track(samples, n, &s.spectrogram, &s.pitch));
    STEP(vx_cycles_measure(samples, n, &s.pitch, &s.cycles));
    STEP(vx_formants_track(&s.spectrogram, &s.pitch, &s.formants));
    STEP(vx_tract_measure(&s.formants, &s.tract, NULL));
    STEP(vx_coupling_measure(&s.pitch, &s.formants, &s.coupling, NULL));
    STEP(vx_channel_measure(&s.spectrogram, &s.pitch, &s.channel, NULL));
    STEP(vx_modulation_measure(&s.spectrogram, &s.modulation, NULL));
    STEP(vx_phase_measure(samples, n, &s.pitch, &s.phase, NULL));
    STEP(vx_joints_measure(&s.spectrogram, &s.pitch, &s.joints, NULL));
    STEP(vx_reverb_measure(&s.spectrogram, &s.reverb, NULL));
    STEP(vx_breath_measure(&s.spectrogram, &s.pitch, &s.breath, NULL));
    STEP(vx_movement_measure(&s.spectrogram, &s.movement, NULL));
    STEP(vx_fingerprint_take(&s.spectrogram, &s.fingerprint, NULL));
    STEP(vx_countermeasure_run(samples, n, &s.spectrogram, s.traces));
#undef STEP
    vx_scene_done(&s);
}

static double measure_whole(const float *samples, size_t n, const vx_pava_known *known)
{
    vx_pava_report report;
    vx_evidence evidence;
    const uint64_t start_ns = vx_cpu_ns();
    vx_pava_judge(samples, n, known, 0, &report, &evidence);
    const double ms = (double)(vx_cpu_ns() - start_ns) / 1e6;
    vx_pava_report_done(&report);
    return ms;
}

static int by_frequency(const void *a, const void *b)
{
    const vx_landmark *x = a, *y = b;
    return x->frequency != y->frequency ? x->frequency - y->frequency : x->time - y->time;
}

/* ret [out] [HEARD], vx_fingerprint_done each */
static void hear(vx_fingerprint *ret)
{
    static const char *const clips[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac"};
    enum { N_CLIPS = sizeof clips / sizeof *clips };
    vx_fingerprint own[N_CLIPS];
    uint64_t seed = SEED;
    for (int i = 0; i < N_CLIPS; i++) {
        vx_audio audio = clip_audio(clips[i]);
        if (vx_pava_fingerprint(audio.samples, audio.n < 48000 ? audio.n : 48000, &own[i], NULL) != VX_OK)
            exit(1);
        vx_audio_done(&audio);
    }
    for (int k = 0; k < HEARD; k++) {
        const vx_fingerprint *of = &own[k % N_CLIPS];
        vx_landmark *landmarks = malloc(of->n * sizeof *landmarks);
        if (!landmarks)
            exit(1);
        for (size_t i = 0; i < of->n; i++)
            landmarks[i] =
                (vx_landmark){(uint16_t)(stats_random(&seed) % (uint64_t)of->end), of->landmarks[i].frequency};
        qsort(landmarks, of->n, sizeof *landmarks, by_frequency);
        ret[k] = (vx_fingerprint){landmarks, of->n, of->end};
    }
    for (int i = 0; i < N_CLIPS; i++)
        vx_fingerprint_done(&own[i]);
}

int main(int argc, char **argv)
{
    static const vx_pava_known nothing;
    static vx_fingerprint heard[HEARD];
    const vx_pava_known many = {.heard = heard, .n_heard = HEARD};
    vx_audio clip = clip_audio(argc > 1 ? argv[1] : "reader1_b.flac");
    const int runs = argc > 2 ? atoi(argv[2]) : 100;
    const size_t n = clip.n < 48000 ? clip.n : 48000;
    if (runs < 1 || runs > MAX_RUNS) {
        (void)fprintf(stderr, "bench_pava: 1 to %d runs\n", MAX_RUNS);
        return 2;
    }
    hear(heard);
    for (int i = 0; i < runs; i++) {
        measure(clip.samples, n, i);
        whole[i] = measure_whole(clip.samples, n, &nothing);
        whole_of_many[i] = measure_whole(clip.samples, n, &many);
    }
    printf("PAVA on %.2f s, %d runs    median     p90 ms\n", (double)n / 16000, runs);
    double sum = 0;
    for (int i = 0; i < N_STEPS; i++) {
        const spread s = stats_spread(times[i], (size_t)runs);
        printf("%-24s %9.2f %9.2f\n", names[i], s.median, s.p90);
        sum += s.median;
    }
    const spread all = stats_spread(whole, (size_t)runs), of_many = stats_spread(whole_of_many, (size_t)runs);
    printf("%-24s %9.2f\n%-24s %9.2f %9.2f\n", "sum", sum, "whole, nothing known", all.median, all.p90);
    printf("whole, %d utterances   %9.2f %9.2f\n", HEARD, of_many.median, of_many.p90);
    for (int k = 0; k < HEARD; k++)
        vx_fingerprint_done(&heard[k]);
    vx_audio_done(&clip);
    return 0;
}
