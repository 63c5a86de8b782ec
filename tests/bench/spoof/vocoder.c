/* vocoder.c - kinds of the group "vocoder": the victim's own recording, taken to parameters and back.
 * Owns:   settings drawn for each vocoder. Does not: resynthesise (vocoder_*.c).
 */
#include <stdlib.h>

#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* A vocoder that wants the voice analysed; it notes what it drew. */
typedef void resynthesis(const voice *v, uint64_t *seed, lab_clip *clip);

static bool resynthesise(resynthesis *by, const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    voice v;
    if (!voice_of(original->voice.samples, original->voice.n, &v))
        return false;
    lab_start(original, clip);
    by(&v, seed, clip);
    voice_level(clip->samples, v.samples, v.n);
    voice_done(&v);
    lab_deliver(original, seed, clip);
    return true;
}

static void by_lpc(const voice *v, uint64_t *seed, lab_clip *clip)
{
    const int order = 12 + 2 * (int)lab_pick(seed, 6);
    const double breath = lab_uniform(seed, 0, 0.3);
    lab_note(clip, "order=%d breath=%.2f", order, breath);
    vocode_lpc(v, order, breath, seed, clip->samples);
}

static void by_hnm(const voice *v, uint64_t *seed, lab_clip *clip)
{
    const bool own = lab_chance(seed, 0.5);
    lab_note(clip, "phases=%s", own ? "own" : "model");
    vocode_hnm(v, own, seed, clip->samples);
}

static void by_world(const voice *v, uint64_t *seed, lab_clip *clip)
{
    vocode_world(v, seed, clip->samples);
}

static bool make_lpc(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return resynthesise(by_lpc, original, seed, clip);
}

static bool make_hnm(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return resynthesise(by_hnm, original, seed, clip);
}

static bool make_world(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return resynthesise(by_world, original, seed, clip);
}

static bool make_griffin_lim(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    static const int windows[] = {512, 640, 800, 1024};
    const int window = windows[lab_pick(seed, sizeof windows / sizeof *windows)];
    const int bands = lab_chance(seed, 0.5) ? 80 : 0, rounds = 32 + (int)lab_pick(seed, 29);
    lab_start(original, clip);
    lab_note(clip, "window=%d mel=%d rounds=%d", window, bands, rounds);
    vocode_griffin_lim(original->voice.samples, clip->n, window, bands, rounds, seed, clip->samples);
    voice_level(clip->samples, original->voice.samples, clip->n);
    lab_deliver(original, seed, clip);
    return true;
}

const lab_kind lab_vocoder_kinds[] = {
    {.kind = "vocoder_lpc", .group = "vocoder", .spoof = true, .make = make_lpc},
    {.kind = "vocoder_hnm", .group = "vocoder", .spoof = true, .make = make_hnm},
    {.kind = "vocoder_world", .group = "vocoder", .spoof = true, .make = make_world},
    {.kind = "vocoder_griffin_lim", .group = "vocoder", .spoof = true, .held_out = true, .make = make_griffin_lim},
    {0},
};
