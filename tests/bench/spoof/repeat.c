/* repeat.c - the very recording that the lock heard before, given to it again.
 * Owns:   copies of a finished "plain" clip: louder, later, compressed. Does not: leave traces to learn from: nothing but
 *         a memory of the first can tell, so nothing is fitted to them (held_out).
 */
#include <math.h>

#include "tests/bench/spoof/codec.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"

static bool heard_before(const lab_original *original, lab_clip *ret_clip)
{
    return lab_make(lab_kind_named("plain"), original, ret_clip);
}

static bool gain(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double db = lab_uniform(seed, -12, 6);
    if (!heard_before(original, clip))
        return false;
    lab_scale(clip->samples, clip->n, lab_db_to_gain(db));
    lab_note(clip, "gain_db=%.1f", db);
    return true;
}

/* Begun later by 5 to 500 ms and a fraction of a sample; before it, what a microphone gives of a silent room. */
static bool offset(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double by = lab_uniform(seed, 0.005, 0.5) * LAB_RATE, floor_db = lab_uniform(seed, -55, -45);
    if (!heard_before(original, clip))
        return false;
    const double level_db = lab_speech_db(clip->samples, clip->n);
    lab_delay(clip->samples, clip->n, by);
    lab_hiss(seed, fmax(-80, level_db + floor_db), clip->samples, clip->n);
    if (original->narrow)
        lab_cut_above(3700, 8, clip->samples, clip->n);
    lab_note(clip, "offset_ms=%.1f", 1000 * by / LAB_RATE);
    return true;
}

static bool recode(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    static const struct {
        const char *name;
        lab_codec codec;
        double kbps[2];
    } codecs[] = {
        {"mp3", LAB_CODEC_MP3, {16, 64}}, {"opus", LAB_CODEC_OPUS, {8, 40}}, {"vorbis", LAB_CODEC_VORBIS, {30, 70}}};
    const size_t c = lab_pick(seed, sizeof codecs / sizeof *codecs);
    const double kbps = lab_uniform(seed, codecs[c].kbps[0], codecs[c].kbps[1]);
    if (!heard_before(original, clip))
        return false;
    lab_note(clip, "recode=%s kbps=%.0f", codecs[c].name, kbps);
    return lab_recode(codecs[c].codec, kbps, clip->samples, clip->n);
}

const lab_kind lab_repeat_kinds[] = {
    {.kind = "repeat_gain", .group = "repeat", .spoof = true, .as_is = true, .make = gain},
    {.kind = "repeat_offset", .group = "repeat", .spoof = true, .as_is = true, .make = offset},
    {.kind = "repeat_recode",
     .group = "repeat",
     .spoof = true,
     .as_is = true,
     .make = recode,
     .ready = lab_codec_ready},
    {0},
};
