/* codec.h - what a voice goes through between two devices: telephone, headset, compressed files.
 * Owns:   codecs there and back, in step with what went in. Does not: choose.
 */
#ifndef VX_TESTS_BENCH_SPOOF_CODEC_H
#define VX_TESTS_BENCH_SPOOF_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/spoof/lab.h"

typedef enum {
    LAB_CODEC_ULAW, /* G.711, the telephone */
    LAB_CODEC_CVSD, /* the narrow band of Bluetooth headsets */
    LAB_CODEC_OPUS, /* calls over the network */
    LAB_CODEC_MP3,
    LAB_CODEC_VORBIS,
} lab_codec;

/* The telephone there and back, 8 kHz; ULAW or CVSD. */
void lab_telephone(lab_codec codec, float *samples, size_t n);
/* A compressed file there and back, at about so many kbit/s: OPUS 8 to 64, MP3 16 to 128, VORBIS 32 to 96. False when this
 * build of libsndfile lacks the codec. */
bool lab_recode(lab_codec codec, double kbps, float *samples, size_t n);
/* 300 to 3,400 Hz, by a draw of ULAW, CVSD or narrow OPUS. */
bool lab_narrow_band(uint64_t *seed, lab_clip *clip);
bool lab_codec_ready(char ret_why[LAB_PARAMETERS]);

#endif
