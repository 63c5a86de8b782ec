/* bench_pitch.c - errors of pitch, voicing, jitter, shimmer and noise on voices of which they are known, and what they cost.
 * Usage:  bench_pitch [RECORDING...]
 *         With recordings: how far the track of each, as it is, agrees with that with noise and in a telephone's band.
 * Owns:   tables on stdout. Does not: make the voices (tests/support/synth_voice.h), judge (tests/unit/test_pava_pitch.c).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/breath.h"
#include "edge/pava/cycles.h"
#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/base/file.h"
#include "tests/support/pitch_score.h"
#include "tests/support/stats.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 3 * RATE, VOICES = 10, RUNS = 51, FILE_BYTES = 1 << 26 };
#define SEED 2024u

static float sound[N], f0[N / SYNTH_HOP];

static void die(const char *what)
{
    fprintf(stderr, "bench_pitch: %s\n", what);
    exit(1);
}

static vx_pitch track(const float *samples, size_t n)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    if (vx_spectrogram_compute(samples, n, &s) != VX_OK || vx_pitch_track(samples, n, &s, &p) != VX_OK)
        die("a recording cannot be tracked");
    vx_spectrogram_done(&s);
    return p;
}

static void print_score(const char *name, const char *how, pitch_score *s)
{
    printf("%-18s %-16s %7.2f %8.1f %8.1f %8.2f %8.2f\n", name, how, 100 * pitch_score_gross(s),
           pitch_score_cents(s, 0.5), pitch_score_cents(s, 0.95), 100 * (double)s->missed / (double)s->n,
           100 * (double)s->invented / (double)s->n);
}

static void add_trust(pitch_score *to, const pitch_score *from)
{
    for (int i = 0; i < 10; i++) {
        to->trusted[i] += from->trusted[i];
        to->right[i] += from->right[i];
    }
}

static void print_pitch(void)
{
    static const struct {
        const char *name;
        synth_params voice;
    } voices[] = {
        {"glide 70 to 400", {SYNTH_RISE, 70, 400, .jitter = 0.005, .shimmer = 0.02}},
        {"glide 400 to 70", {SYNTH_RISE, 400, 70, .jitter = 0.005, .shimmer = 0.02}},
        {"vibrato 200", {SYNTH_VIBRATO, 200, 0, .jitter = 0.005, .shimmer = 0.02}},
        {"creak 75", {SYNTH_FLAT, 75, 0, .jitter = 0.05, .shimmer = 0.1}},
        {"spoken 110", {SYNTH_SPOKEN, 110, 0, .jitter = 0.01, .shimmer = 0.03, .words = true}},
        {"spoken 210", {SYNTH_SPOKEN, 210, 0, .jitter = 0.01, .shimmer = 0.03, .words = true}},
        {"spoken 300", {SYNTH_SPOKEN, 300, 0, .jitter = 0.01, .shimmer = 0.03, .words = true}},
        {"hoarse 210, still", {SYNTH_FLAT, 210, 0, .jitter = 0.03, .shimmer = 0.09, .still = true}},
    };
    static const struct {
        const char *name;
        bool noisy, telephone;
        double snr_db;
    } ways[] = {{"clean", false, false, 0},
                {"10 dB", true, false, 10},
                {"0 dB", true, false, 0},
                {"telephone", false, true, 0},
                {"telephone, 10 dB", true, true, 10}};
    pitch_score trust = {0};
    printf("%-18s %-16s %7s %8s %8s %8s %8s\n", "voice", "", "gross %", "cents", "95 %", "missed %", "false %");
    for (size_t v = 0; v < sizeof voices / sizeof *voices; v++)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            pitch_score score = {0};
            for (uint64_t i = 0; i < VOICES; i++) {
                synth_params params = voices[v].voice;
                params.noisy = ways[w].noisy;
                params.snr_db = ways[w].snr_db;
                params.telephone = ways[w].telephone;
                params.seed = SEED + i;
                synth_voice(&params, N, sound, f0, NULL);
                vx_pitch p = track(sound, N);
                pitch_score_add(&score, &p, f0);
                vx_pitch_done(&p);
            }
            print_score(voices[v].name, ways[w].name, &score);
            add_trust(&trust, &score);
            pitch_score_done(&score);
        }
    printf("\nprobability of voice, of all the above: frames in each tenth, and the share that was voiced\n");
    for (int i = 0; i < 10; i++)
        printf("  %.1f to %.1f: %6.0f, %5.1f %%\n", i / 10.0, (i + 1) / 10.0, trust.trusted[i],
               100 * trust.right[i] / fmax(1, trust.trusted[i]));
}

static void print_cycles(void)
{
    static const double HZ[] = {90, 120, 210, 300}, SIZE[] = {0.002, 0.01, 0.03};
    printf("\n%-8s %5s  %-15s %-15s %-15s %-15s %s\n", "voice", "Hz", "jitter %", "rap %", "shimmer %", "apq %",
           "(measured / true)");
    for (int bare = 1; bare >= 0; bare--)
        for (size_t h = 0; h < sizeof HZ / sizeof *HZ; h++)
            for (size_t s = 0; s < sizeof SIZE / sizeof *SIZE; s++) {
                const synth_params params = {.contour = SYNTH_FLAT,
                                             .hz = HZ[h],
                                             .jitter = SIZE[s],
                                             .shimmer = 2 * SIZE[s],
                                             .still = true,
                                             .bare = bare != 0,
                                             .seed = SEED};
                synth_truth t;
                synth_voice(&params, N, sound, f0, &t);
                vx_pitch p = track(sound, N);
                vx_cycles c;
                if (vx_cycles_measure(sound, N, &p, &c) != VX_OK)
                    die("out of memory");
                printf("%-8s %5.0f  %6.3f / %-6.3f %6.3f / %-6.3f %6.2f / %-6.2f %6.2f / %-6.2f\n",
                       bare ? "pulses" : "vowel", HZ[h], 100 * c.jitter, 100 * t.jitter, 100 * c.jitter_rap,
                       100 * t.jitter_rap, 100 * c.shimmer, 100 * t.shimmer, 100 * c.shimmer_apq, 100 * t.shimmer_apq);
                vx_pitch_done(&p);
            }
    printf("\nnoise below a vowel, dB: true");
    for (double snr = 5; snr <= 30; snr += 5)
        printf(" %6.0f", snr);
    for (size_t h = 0; h < sizeof HZ / sizeof *HZ; h++) {
        printf("\n%15.0f Hz: measured", HZ[h]);
        for (double snr = 5; snr <= 30; snr += 5) {
            const synth_params params = {
                .contour = SYNTH_FLAT, .hz = HZ[h], .still = true, .noisy = true, .snr_db = snr, .seed = SEED};
            synth_voice(&params, N, sound, f0, NULL);
            vx_pitch p = track(sound, N);
            vx_cycles c;
            if (vx_cycles_measure(sound, N, &p, &c) != VX_OK)
                die("out of memory");
            printf(" %6.1f", c.hnr_db);
            vx_pitch_done(&p);
        }
    }
    printf("\n");
}

/* Adds noise 10 dB below the recording's mean power. */
static void add_noise(float *samples, size_t n)
{
    uint64_t state = SEED;
    double power = 0;
    for (size_t i = 0; i < n; i++)
        power += (double)(samples[i] * samples[i]) / (double)n;
    for (size_t i = 0; i < n; i++)
        samples[i] += (float)(sqrt(power / 10) * synth_normal(&state));
}

static void add_recording(const char *path, pitch_score scores[3])
{
    vx_buf file = {0};
    vx_audio audio = {0};
    if (vx_file_read(path, FILE_BYTES, &file, NULL) != VX_OK ||
        vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL) != VX_OK)
        die(path);
    float *changed = calloc(audio.n, sizeof *changed);
    if (changed == NULL)
        die("out of memory");
    vx_pitch clean = track(audio.samples, audio.n);
    for (int way = 0; way < 3; way++) {
        memcpy(changed, audio.samples, audio.n * sizeof *changed);
        if (way != 1)
            add_noise(changed, audio.n);
        if (way != 0)
            synth_telephone(changed, audio.n);
        vx_pitch again = track(changed, audio.n);
        pitch_score_add(&scores[way], &again, clean.f0_hz);
        vx_pitch_done(&again);
    }
    vx_pitch_done(&clean);
    free(changed);
    vx_audio_done(&audio);
    vx_buf_done(&file);
}

static void print_recordings(int n, char **paths)
{
    static const char *const NAMES[3] = {"10 dB", "telephone", "telephone, 10 dB"};
    pitch_score scores[3] = {{0}};
    for (int i = 0; i < n; i++)
        add_recording(paths[i], scores);
    printf("\n%d recordings, against their own tracks\n", n);
    for (int i = 0; i < 3; i++) {
        print_score("people", NAMES[i], &scores[i]);
        pitch_score_done(&scores[i]);
    }
}

static void print_times(void)
{
    static double ms[4][RUNS];
    const synth_params params = {.contour = SYNTH_SPOKEN,
                                 .hz = 130,
                                 .jitter = 0.01,
                                 .shimmer = 0.03,
                                 .words = true,
                                 .noisy = true,
                                 .snr_db = 20,
                                 .seed = SEED};
    synth_voice(&params, N, sound, f0, NULL);
    for (int r = 0; r < RUNS; r++) {
        vx_spectrogram s = {0};
        vx_pitch p = {0};
        vx_cycles c;
        vx_breath b;
        const double start = (double)vx_cpu_ns();
        if (vx_spectrogram_compute(sound, N, &s) != VX_OK)
            die("out of memory");
        const double spectrogram = (double)vx_cpu_ns();
        if (vx_pitch_track(sound, N, &s, &p) != VX_OK)
            die("out of memory");
        const double pitch = (double)vx_cpu_ns();
        if (vx_cycles_measure(sound, N, &p, &c) != VX_OK)
            die("out of memory");
        const double cycles = (double)vx_cpu_ns();
        (void)!vx_breath_measure(&s, &p, &b, NULL);
        ms[0][r] = (spectrogram - start) / 1e6;
        ms[1][r] = (pitch - spectrogram) / 1e6;
        ms[2][r] = (cycles - pitch) / 1e6;
        ms[3][r] = ((double)vx_cpu_ns() - cycles) / 1e6;
        vx_pitch_done(&p);
        vx_spectrogram_done(&s);
    }
    static const char *const NAMES[4] = {"spectrogram", "pitch", "cycles", "breath"};
    printf("\n3 s of speech, %s, one core, median (tenths)\n", vx_isa_name(vx_isa_best()));
    for (int i = 0; i < 4; i++) {
        const spread t = stats_spread(ms[i], RUNS);
        printf("  %-12s %6.3f ms (%.3f to %.3f)\n", NAMES[i], t.median, t.p10, t.p90);
    }
}

int main(int argc, char **argv)
{
    print_pitch();
    print_cycles();
    if (argc > 1)
        print_recordings(argc - 1, argv + 1);
    print_times();
    return 0;
}
