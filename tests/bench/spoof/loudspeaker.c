/* loudspeaker.c - see loudspeaker.h.
 *
 * Amplifier (compressor of the device) -> driver -> resonances of the box -> hiss. The driver distorts in two ways: its
 * stiffness and force bend with the voltage, which gives harmonics of everything, and with the excursion of the cone,
 * which is large only below the resonance and then modulates all that is played above it.
 * Source of the shape: W. Klippel, Loudspeaker nonlinearities: causes, parameters, symptoms, AES 2005. Numbers: what
 * makers and reviewers measure of such devices; they are ranges, for no one knows the attacker's.
 */
#include "tests/bench/spoof/loudspeaker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/lab_audio.h"

enum { OVERSAMPLED = 2 * LAB_RATE /* the third harmonic of 5 kHz does not fold into the band */ };

typedef struct {
    const char *name;
    double low_hz[2], high_hz[2]; /* where its response ends; above 7,600 Hz: not within the band */
    int low_order;
    int n_resonances;
    double resonance_db;
    double second[2], third[2]; /* harmonics of a tone at full drive, % */
    double excursion[2];        /* change of gain at the excursion of full drive below the resonance, % */
    double squeeze[2];          /* ratio of the compressor */
    double hiss_db[2];
} model;

static const model models[LAB_N_LOUDSPEAKERS] = {
    [LAB_PHONE] = {"phone", {350, 700}, {6000, 9000}, 4, 5, 8, {1, 5}, {1, 6}, {10, 40}, {2, 5}, {-65, -50}},
    [LAB_LAPTOP] = {"laptop", {180, 350}, {7000, 12000}, 4, 5, 6, {0.4, 2}, {0.4, 3}, {5, 20}, {1.5, 4}, {-65, -50}},
    [LAB_BLUETOOTH] =
        {"bluetooth", {80, 170}, {7000, 14000}, 4, 3, 5, {0.3, 1.5}, {0.3, 2}, {5, 25}, {2, 6}, {-65, -50}},
    [LAB_TV] = {"tv", {100, 220}, {7000, 14000}, 4, 4, 6, {0.3, 1.5}, {0.3, 1.5}, {3, 15}, {1.5, 3}, {-65, -50}},
    [LAB_STUDIO] = {"studio", {40, 60}, {8000, 16000}, 2, 2, 2, {0.05, 0.2}, {0.05, 0.2}, {0, 2}, {1, 1}, {-75, -60}},
    [LAB_HEADSET] = {"headset", {60, 300}, {7000, 12000}, 2, 4, 6, {0.1, 0.8}, {0.1, 0.8}, {2, 10}, {1, 2}, {-70, -55}},
    [LAB_IDEAL] = {"ideal", {20, 20}, {16000, 16000}, 2, 0, 0, {0, 0}, {0, 0}, {0, 0}, {1, 1}, {-90, -90}},
};

const char *lab_loudspeaker_name(lab_loudspeaker which)
{
    return models[which].name;
}

static double within(uint64_t *seed, const double range[2])
{
    return lab_uniform(seed, range[0], range[1]);
}

/* Attack 5 ms, release 150 ms, from 15 dB below the peak on. */
static void compress(double ratio, float *samples, size_t n)
{
    const double attack = exp(-1 / (0.005 * LAB_RATE)), release = exp(-1 / (0.15 * LAB_RATE));
    const double threshold = lab_db_to_gain(-15) * (double)lab_peak(samples, n);
    double envelope = 0;
    for (size_t i = 0; i < n && ratio > 1; i++) {
        const double x = fabs((double)samples[i]), pole = x > envelope ? attack : release;
        envelope = pole * envelope + (1 - pole) * x;
        if (envelope > threshold)
            samples[i] = (float)((double)samples[i] * pow(envelope / threshold, 1 / ratio - 1));
    }
}

/* What the driver adds: a sine of amplitude A gets harmonics of second * A and third * A^2. The cone follows the voltage
 * below the resonance, and less and less above.
 * ret [out] [n], the distortion alone */
static void distort(const model *m, double resonance_hz, uint64_t *seed, const float *voltage, size_t n, float *ret)
{
    const double second = 0.02 * within(seed, m->second), third = 0.04 * within(seed, m->third);
    const double bend = 0.01 * within(seed, m->excursion);
    const lab_biquad cone = lab_low_pass(OVERSAMPLED, resonance_hz, 0.8);
    memcpy(ret, voltage, n * sizeof *ret);
    lab_filter(&cone, ret, n);
    for (size_t i = 0; i < n; i++) {
        const double v = (double)voltage[i], x = (double)ret[i];
        ret[i] = (float)(v * (0.5 * bend * x - bend * x * x) + second * v * v - third * v * v * v);
    }
}

/* Only the distortion goes through other rates and back: the band edge of a resampler must not tell who was played. */
static void drive_cone(const model *m, double resonance_hz, uint64_t *seed, float *samples, size_t n)
{
    size_t n_fast = 0, n_back = 0;
    float *fast = lab_resample(samples, n, LAB_RATE, OVERSAMPLED, &n_fast);
    float *added = lab_alloc(n_fast + 1, sizeof *added);
    distort(m, resonance_hz, seed, fast, n_fast, added);
    float *back = lab_resample(added, n_fast, OVERSAMPLED, LAB_RATE, &n_back);
    for (size_t i = 0; i < n && i < n_back; i++)
        samples[i] += back[i];
    free(fast);
    free(added);
    free(back);
}

static void resound(const model *m, double low_hz, double high_hz, uint64_t *seed, float *samples, size_t n)
{
    lab_cut_below(low_hz, m->low_order, samples, n);
    if (high_hz < 7600)
        lab_cut_above(high_hz, 4, samples, n);
    for (int i = 0; i < m->n_resonances; i++) {
        const double hz = lab_log_uniform(seed, low_hz, 7500), q = lab_log_uniform(seed, 1, 8);
        const lab_biquad f = lab_peak_filter(LAB_RATE, hz, q, lab_uniform(seed, -m->resonance_db, m->resonance_db));
        lab_filter(&f, samples, n);
    }
}

void lab_play(lab_loudspeaker which, uint64_t *seed, lab_clip *clip)
{
    const model *m = &models[which];
    const double low_hz = within(seed, m->low_hz), high_hz = within(seed, m->high_hz);
    const double drive = lab_uniform(seed, 0.3, 1), ratio = within(seed, m->squeeze);
    compress(ratio, clip->samples, clip->n);
    lab_scale(clip->samples, clip->n, drive / fmax(1e-9, (double)lab_peak(clip->samples, clip->n)));
    drive_cone(m, low_hz, seed, clip->samples, clip->n);
    resound(m, low_hz, high_hz, seed, clip->samples, clip->n);
    lab_hiss(seed, lab_speech_db(clip->samples, clip->n) + within(seed, m->hiss_db), clip->samples, clip->n);
    lab_note(clip, "loudspeaker=%s low_hz=%.0f high_hz=%.0f drive=%.2f ratio=%.1f", m->name, low_hz,
             fmin(high_hz, 8000), drive, ratio);
}
