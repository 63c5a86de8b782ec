/* lab.h - the spoof laboratory: attacks of every kind, and what living voices go through, made from recorded speech.
 * Owns:   what a kind is, what it is given, and the ear at the end that attacks and living voices share. Does not: judge.
 *
 * A detector learns from whatever differs. So that it can only learn the attack, a clip of every kind, living or not, ends
 * in the same chain: the lock's ear (room, microphone, noise, band: ear.c draws them for all kinds alike), and then, in
 * lab_make, the same cut, telephone leg, level and rounding. What a kind adds before that is its attack.
 *
 * A kind is a function in a table; kinds.c lists the tables. Clips are fixed by seed, kind and original: order and number
 * of threads change nothing. (Bit for bit only with the same libm and codecs.) Out of memory ends the program: this is
 * a tool, and half a laboratory is none.
 */
#ifndef VX_TESTS_BENCH_SPOOF_LAB_H
#define VX_TESTS_BENCH_SPOOF_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

enum {
    LAB_RATE = 16000,
    LAB_MARGIN = LAB_RATE / 4,   /* of an original on each side of what a clip keeps: filters and rooms settle in it */
    LAB_SHORTEST = 3 * LAB_RATE, /* samples kept, where the original has them; drawn by original, not by kind */
    LAB_LONGEST = 5 * LAB_RATE,
    LAB_PARAMETERS = 256
};

/* A recording, at its own level. */
typedef struct {
    const char *path, *source, *speaker; /* of the manifest */
    const float *samples;
    size_t n;
} lab_recording;

typedef struct {
    const char *path;
    const float *samples;
    size_t n;
} lab_noise;

/* What a clip is made from; everything is borrowed. */
typedef struct {
    uint64_t seed;       /* of run and original, the same for all kinds: lab_seed(seed, "kind") is the seed of a clip */
    lab_recording voice; /* margins included */
    lab_recording again; /* another recording of the same speaker, whole; n = 0: there is none */
    lab_recording another; /* one of another speaker of that source, whole; n = 0: there is none */
    bool narrow;           /* a telephone call: nothing above 4 kHz, and every clip made from it ends the same way */
    const lab_noise *noises;
    size_t n_noises;
} lab_original;

/* What a kind makes. All-zero is empty. */
typedef struct {
    float *samples; /* from lab_alloc; owned */
    size_t n;
    char parameters[LAB_PARAMETERS]; /* "room_rt60=0.43 loudspeaker=phone", by lab_note */
} lab_clip;

/* One kind of clip. A table of them ends with an all-zero row. */
typedef struct {
    const char *kind;  /* "replay_phone"; unique */
    const char *group; /* "bonafide", "replay", "repeat", "synthetic", "vocoder", "conversion", "splice" */
    bool spoof;
    bool held_out; /* for the report only: nothing is fitted to it */
    /* ret_clip [out] all-zero before. As many samples as original->voice, in step with it, and lab_make takes the margins
     * off; or another number (speech of a length of its own), and lab_make cuts it where it is longer than that leaves.
     * seed     [in,out] of this clip alone, for stats_random and what builds on it
     * False    this original cannot be made into this kind; ret_clip is freed by the caller */
    bool (*make)(const lab_original *original, uint64_t *seed, lab_clip *ret_clip);
    bool as_is; /* the clip is a file that was already finished: it is neither cut nor changed but for rounding */
    /* NULL: always. Else whether what the kind needs is there (a program, a voice); asked once, before the threads. */
    bool (*ready)(char ret_why[LAB_PARAMETERS]);
} lab_kind;

extern const lab_kind lab_living_kinds[], lab_replay_kinds[], lab_codec_kinds[], lab_repeat_kinds[],
    lab_synthetic_kinds[], lab_vocoder_kinds[], lab_conversion_kinds[], lab_splice_kinds[];
/* All tables; NULL after the last. */
extern const lab_kind *const lab_kinds[];

/* The row of a kind; NULL: there is none. */
const lab_kind *lab_kind_named(const char *name);

/* ---- making ---------------------------------------------------------------------------------------------------------- */

/* Makes one clip: seed, make, cut, telephone leg, level, PCM16 (in float, multiples of 1/32768). False: see make. */
bool lab_make(const lab_kind *kind, const lab_original *original, lab_clip *ret_clip);
void lab_clip_done(lab_clip *clip);

uint64_t lab_seed(uint64_t seed, const char *text);
/* Zeroed. */
void *lab_alloc(size_t count, size_t size);
/* Replaces the samples of a clip; takes them. */
void lab_take(lab_clip *clip, float *samples, size_t n);
/* The samples of the voice as a clip to work on. */
void lab_start(const lab_original *original, lab_clip *ret_clip);
/* Appends "format" to the parameters, after a space. */
void lab_note(lab_clip *clip, const char *format, ...) VX_PRINTF(2, 3);

/* ---- the ear --------------------------------------------------------------------------------------------------------- */

/* What stands between a mouth and the lock. MIXED: noise and microphone at once. */
typedef enum {
    LAB_EAR_PLAIN,
    LAB_EAR_ROOM,
    LAB_EAR_NOISE,
    LAB_EAR_MICROPHONE,
    LAB_EAR_BAND,
    LAB_EAR_MIXED,
    LAB_N_EARS
} lab_ear;
/* Whether a room is among it. AS_LIVING: as with a living speaker, half of the time (always with ROOM and MIXED, never
 * with PLAIN: the recording brings the room it was made in). IN_ROOM: always: a loudspeaker stands somewhere. */
typedef enum { LAB_DRY, LAB_AS_LIVING, LAB_IN_ROOM } lab_place;

/* The clip as the lock hears it. */
void lab_hear(const lab_original *original, lab_ear ear, lab_place place, uint64_t *seed, lab_clip *clip);
/* The same with an ear drawn as those of the living are: what every attack ends with. */
void lab_hear_any(const lab_original *original, lab_place place, uint64_t *seed, lab_clip *clip);
/* For speech that an attacker made: half of the clips are injected behind the microphone (lab_hear_any, AS_LIVING), half
 * are played by a loudspeaker of the training kinds in a room. Notes delivery=injected, or delivery=phone and the like. */
void lab_deliver(const lab_original *original, uint64_t *seed, lab_clip *clip);

#endif
