/* conversion.c - kinds of the group "conversion": a recording made to sound like somebody else.
 * Owns:   settings drawn for each conversion. Does not: convert (convert.c, stretch.c).
 */
#include <math.h>
#include <stdlib.h>

#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* Between low and high, or its inverse. */
static double either_way(uint64_t *seed, double low, double high)
{
    const double factor = lab_log_uniform(seed, low, high);
    return lab_chance(seed, 0.5) ? factor : 1 / factor;
}

static bool deliver(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    lab_deliver(original, seed, clip);
    return true;
}

static bool make_pitch(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double factor = either_way(seed, exp2(2 / 12.0), exp2(6 / 12.0));
    const bool formants_too = lab_chance(seed, 0.5);
    lab_start(original, clip);
    lab_note(clip, "semitones=%+.1f formants=%s", 12 * log2(factor), formants_too ? "moved" : "kept");
    if (formants_too) {
        shift_all(original->voice.samples, clip->n, factor, clip->samples);
        return deliver(original, seed, clip);
    }
    voice v;
    if (!voice_of(original->voice.samples, clip->n, &v))
        return false;
    shift_pitch(&v, factor, clip->samples);
    voice_done(&v);
    return deliver(original, seed, clip);
}

static bool make_formant(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double factor = either_way(seed, 1.08, 1.2);
    lab_start(original, clip);
    lab_note(clip, "formants=%.2f", factor);
    warp_formants(original->voice.samples, clip->n, factor, clip->samples);
    return deliver(original, seed, clip);
}

static bool make_speaker(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const lab_recording *target = &original->another;
    const double share = lab_uniform(seed, 0.6, 1);
    voice v = {0}, other = {0};
    const bool ok =
        voice_of(original->voice.samples, original->voice.n, &v) && voice_of(target->samples, target->n, &other);
    if (ok) {
        lab_start(original, clip);
        lab_note(clip, "towards=%s share=%.2f semitones=%+.1f formants=%.2f", target->speaker, share,
                 12 * share * log2(voice_mean_f0(&other) / voice_mean_f0(&v)), pow(formant_ratio(&v, &other), share));
        convert_voice(&v, &other, share, clip->samples);
    }
    voice_done(&v);
    voice_done(&other);
    return ok && deliver(original, seed, clip);
}

/* At low frequencies the all-pass moves by (1 + alpha) / (1 - alpha): 6 to 20 %. */
static bool make_warp(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double alpha = lab_uniform(seed, 0.03, 0.09) * (lab_chance(seed, 0.5) ? 1 : -1);
    voice v;
    if (!voice_of(original->voice.samples, original->voice.n, &v))
        return false;
    lab_start(original, clip);
    lab_note(clip, "alpha=%+.3f", alpha);
    warp_cycles(&v, alpha, clip->samples);
    voice_done(&v);
    return deliver(original, seed, clip);
}

static bool make_timescale(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double factor = either_way(seed, 1.06, 1.25);
    const size_t n = stretched_length(original->voice.n, factor);
    float *samples = lab_alloc(n, sizeof *samples);
    stretch_waveform(original->voice.samples, original->voice.n, factor, samples);
    lab_take(clip, samples, n);
    lab_note(clip, "slower=%.2f", factor);
    return deliver(original, seed, clip);
}

const lab_kind lab_conversion_kinds[] = {
    {.kind = "convert_pitch", .group = "conversion", .spoof = true, .make = make_pitch},
    {.kind = "convert_formant", .group = "conversion", .spoof = true, .make = make_formant},
    {.kind = "convert_speaker", .group = "conversion", .spoof = true, .make = make_speaker},
    {.kind = "convert_warp", .group = "conversion", .spoof = true, .held_out = true, .make = make_warp},
    {.kind = "convert_timescale", .group = "conversion", .spoof = true, .held_out = true, .make = make_timescale},
    {0},
};
