/* nuisance.c - living voices, and what they go through: rooms, noise, microphones, bands, a cold.
 * Owns:   the bona fide kinds. Does not: know attacks. All but the cold are the ear alone.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/lpc.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"

enum { ORDER = 18, WINDOW = 512, HOP = WINDOW / 4, RING = 256 /* of a frame's filter, behind its end */ };

/* ---- a cold ---------------------------------------------------------------------------------------------------------- */

/* The frame with its formants where they are, each wider: the zeros of the predictor move inwards by `inwards`. */
static void widen_frame(const double *frame, double inwards, double ret[WINDOW + RING])
{
    double r[ORDER + 1] = {0}, a[ORDER + 1], error, wide[ORDER + 1], shrink = 1;
    for (size_t k = 0; k <= ORDER; k++)
        for (size_t i = k; i < WINDOW; i++)
            r[k] += frame[i] * frame[i - k];
    r[0] *= 1.0001; /* of bands that hold nothing, no filter may be made */
    memset(ret, 0, (WINDOW + RING) * sizeof *ret);
    memcpy(ret, frame, WINDOW * sizeof *ret);
    if (!vx_lpc_solve(r, ORDER, a, &error))
        return;
    for (size_t k = 0; k <= ORDER; k++, shrink *= inwards)
        wide[k] = a[k] * shrink;
    for (size_t i = 0; i < WINDOW + RING; i++) {
        double sum = 0;
        for (size_t k = 0; k <= ORDER && k <= i; k++)
            sum += i - k < WINDOW ? a[k] * frame[i - k] : 0;
        for (size_t k = 1; k <= ORDER && k <= i; k++)
            sum -= wide[k] * ret[i - k];
        ret[i] = sum;
    }
}

static void widen_formants(double inwards, float *samples, size_t n)
{
    double *sum = lab_alloc(n + WINDOW + RING, sizeof *sum);
    for (size_t start = 0; start < n + WINDOW; start += HOP) {
        double frame[WINDOW], wide[WINDOW + RING];
        for (size_t i = 0; i < WINDOW; i++) {
            const size_t at = start + i; /* behind WINDOW - 1 zeros */
            const bool inside = at >= WINDOW && at - WINDOW < n;
            /* Hann windows at a quarter of their length add up to 2. */
            frame[i] = inside ? 0.25 * (1 - cos(2 * LAB_PI * (double)i / WINDOW)) * (double)samples[at - WINDOW] : 0;
        }
        widen_frame(frame, inwards, wide);
        for (size_t i = 0; i < WINDOW + RING; i++)
            if (start + i >= WINDOW)
                sum[start + i - WINDOW] += wide[i];
    }
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)sum[i];
    free(sum);
}

/* Noise of a throat that does not close: as loud as the voice is at the moment, above 1.5 kHz. */
static void breathe(double db, uint64_t *seed, float *samples, size_t n)
{
    float *noise = lab_alloc(n + 1, sizeof *noise);
    const double pole = exp(-1 / (0.01 * LAB_RATE)), gain = lab_db_to_gain(db);
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        power = pole * power + (1 - pole) * (double)samples[i] * (double)samples[i];
        noise[i] = (float)(gain * sqrt(power) * lab_gauss(seed));
    }
    lab_cut_below(1500, 2, noise, n);
    for (size_t i = 0; i < n; i++)
        samples[i] += noise[i];
    free(noise);
}

/* A swollen, closed nose: formants up to some 100 Hz wider, no nasal resonance, less treble, a little breath. Pitch and
 * the places of the formants stay: what moves them is an attack (conversion). */
static bool cold(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    lab_start(original, clip);
    const double inwards = lab_uniform(seed, 0.98, 0.995), treble_db = lab_uniform(seed, -5, -1);
    const double nose_db = lab_uniform(seed, -6, -2), breath_db = lab_uniform(seed, -36, -26);
    widen_formants(inwards, clip->samples, clip->n);
    const lab_biquad treble = lab_high_shelf(LAB_RATE, 2500, treble_db);
    const lab_biquad nose = lab_peak_filter(LAB_RATE, lab_uniform(seed, 800, 1200), 2, nose_db);
    lab_filter(&treble, clip->samples, clip->n);
    lab_filter(&nose, clip->samples, clip->n);
    breathe(breath_db, seed, clip->samples, clip->n);
    lab_note(clip, "widen_hz=%.0f treble_db=%.1f nose_db=%.1f breath_db=%.0f", -log(inwards) * LAB_RATE / LAB_PI,
             treble_db, nose_db, breath_db);
    lab_hear_any(original, LAB_AS_LIVING, seed, clip);
    return true;
}

/* ---- the ear alone ---------------------------------------------------------------------------------------------------- */

static bool heard(const lab_original *original, lab_ear ear, uint64_t *seed, lab_clip *clip)
{
    lab_start(original, clip);
    lab_hear(original, ear, LAB_AS_LIVING, seed, clip);
    return true;
}

static bool plain(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return heard(original, LAB_EAR_PLAIN, seed, clip);
}

static bool room(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return heard(original, LAB_EAR_ROOM, seed, clip);
}

static bool noise(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return original->n_noises > 0 && heard(original, LAB_EAR_NOISE, seed, clip);
}

static bool microphone(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return heard(original, LAB_EAR_MICROPHONE, seed, clip);
}

static bool band(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return heard(original, LAB_EAR_BAND, seed, clip);
}

static bool mixed(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return heard(original, LAB_EAR_MIXED, seed, clip);
}

const lab_kind lab_living_kinds[] = {
    {.kind = "plain", .group = "bonafide", .make = plain},
    {.kind = "nuisance_room", .group = "bonafide", .make = room},
    {.kind = "nuisance_noise", .group = "bonafide", .make = noise},
    {.kind = "nuisance_microphone", .group = "bonafide", .make = microphone},
    {.kind = "nuisance_band", .group = "bonafide", .make = band},
    {.kind = "nuisance_cold", .group = "bonafide", .make = cold},
    {.kind = "nuisance_mixed", .group = "bonafide", .make = mixed},
    {0},
};
