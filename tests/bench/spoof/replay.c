/* replay.c - a recording of the owner, played to the lock.
 * Owns:   the attacker's recording, the ways to play it, delivery of speech that an attacker made. Does not: model
 *         loudspeakers (loudspeaker.c) or the lock's end (ear.c).
 *
 * recording room and microphone -> perhaps a file or a call -> loudspeaker -> the lock's room -> the ear.
 */
#include "tests/bench/spoof/codec.h"
#include "tests/bench/spoof/ear.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/loudspeaker.h"

/* One in four is stolen clean, as from a voice message; the others are made with a device in the owner's room. */
static void record(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    if (lab_chance(seed, 0.25)) {
        lab_note(clip, "record=clean");
        return;
    }
    const double rt60_s = lab_log_uniform(seed, 0.15, 0.7);
    lab_in_room("record", rt60_s, lab_log_uniform(seed, 0.3, 2), seed, clip);
    lab_in_noise(original, lab_uniform(seed, 25, 45), seed, clip);
    lab_by_microphone(seed, clip);
}

/* place: of the loudspeaker. */
static bool replay(const lab_original *original, lab_loudspeaker which, lab_place place, uint64_t *seed, lab_clip *clip)
{
    lab_start(original, clip);
    record(original, seed, clip);
    lab_play(which, seed, clip);
    lab_hear_any(original, place, seed, clip);
    return true;
}

void lab_deliver(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const bool injected = lab_chance(seed, 0.5);
    const lab_loudspeaker which = (lab_loudspeaker)lab_pick(seed, LAB_N_COMMON);
    lab_note(clip, "delivery=%s", injected ? "injected" : lab_loudspeaker_name(which));
    if (!injected)
        lab_play(which, seed, clip);
    lab_hear_any(original, injected ? LAB_AS_LIVING : LAB_IN_ROOM, seed, clip);
}

/* ---- loudspeakers ----------------------------------------------------------------------------------------------------- */

static bool phone(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_PHONE, LAB_IN_ROOM, seed, clip);
}

static bool laptop(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_LAPTOP, LAB_IN_ROOM, seed, clip);
}

static bool bluetooth(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_BLUETOOTH, LAB_IN_ROOM, seed, clip);
}

static bool tv(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_TV, LAB_IN_ROOM, seed, clip);
}

static bool studio(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_STUDIO, LAB_IN_ROOM, seed, clip);
}

static bool headset(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return replay(original, LAB_HEADSET, LAB_DRY, seed, clip);
}

/* The worst that can be: a clean recording, nothing lost by the loudspeaker, next to no room. */
static bool ideal(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    lab_start(original, clip);
    lab_play(LAB_IDEAL, seed, clip);
    const double rt60_s = lab_uniform(seed, 0.05, 0.1);
    lab_in_room("booth", rt60_s, lab_uniform(seed, 0.1, 0.3), seed, clip);
    lab_hear_any(original, LAB_AS_LIVING, seed, clip);
    return true;
}

/* A replay that was recorded and is played again. */
static bool twice(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    lab_start(original, clip);
    record(original, seed, clip);
    lab_play((lab_loudspeaker)lab_pick(seed, LAB_N_COMMON), seed, clip);
    record(original, seed, clip);
    lab_play((lab_loudspeaker)lab_pick(seed, LAB_N_COMMON), seed, clip);
    lab_hear_any(original, LAB_IN_ROOM, seed, clip);
    return true;
}

const lab_kind lab_replay_kinds[] = {
    {.kind = "replay_phone", .group = "replay", .spoof = true, .make = phone},
    {.kind = "replay_laptop", .group = "replay", .spoof = true, .make = laptop},
    {.kind = "replay_bluetooth", .group = "replay", .spoof = true, .make = bluetooth},
    {.kind = "replay_tv", .group = "replay", .spoof = true, .make = tv},
    {.kind = "replay_headset", .group = "replay", .spoof = true, .make = headset},
    {.kind = "replay_studio", .group = "replay", .spoof = true, .held_out = true, .make = studio},
    {.kind = "replay_double", .group = "replay", .spoof = true, .held_out = true, .make = twice},
    {.kind = "replay_ideal", .group = "replay", .spoof = true, .held_out = true, .make = ideal},
    {0},
};

/* ---- recordings that were sent --------------------------------------------------------------------------------------- */

static bool sent(const lab_original *original, bool (*send)(uint64_t *seed, lab_clip *clip), uint64_t *seed,
                 lab_clip *clip)
{
    lab_start(original, clip);
    record(original, seed, clip);
    if (!send(seed, clip))
        return false;
    lab_play((lab_loudspeaker)lab_pick(seed, LAB_N_COMMON), seed, clip);
    lab_hear_any(original, LAB_IN_ROOM, seed, clip);
    return true;
}

static bool as_mp3(uint64_t *seed, lab_clip *clip)
{
    const double kbps = lab_log_uniform(seed, 16, 96);
    lab_note(clip, "sent=mp3 kbps=%.0f", kbps);
    return lab_recode(LAB_CODEC_MP3, kbps, clip->samples, clip->n);
}

static bool as_opus(uint64_t *seed, lab_clip *clip)
{
    const double kbps = lab_log_uniform(seed, 8, 40);
    lab_note(clip, "sent=opus kbps=%.0f", kbps);
    return lab_recode(LAB_CODEC_OPUS, kbps, clip->samples, clip->n);
}

static bool mp3(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return sent(original, as_mp3, seed, clip);
}

static bool opus(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return sent(original, as_opus, seed, clip);
}

static bool narrowband(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return sent(original, lab_narrow_band, seed, clip);
}

const lab_kind lab_codec_kinds[] = {
    {.kind = "replay_mp3", .group = "replay", .spoof = true, .make = mp3, .ready = lab_codec_ready},
    {.kind = "replay_opus", .group = "replay", .spoof = true, .held_out = true, .make = opus, .ready = lab_codec_ready},
    {.kind = "replay_narrowband",
     .group = "replay",
     .spoof = true,
     .held_out = true,
     .make = narrowband,
     .ready = lab_codec_ready},
    {0},
};
