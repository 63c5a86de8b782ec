/* synth_voice.h - a voice made of glottal pulses and formants, of which everything is known.
 * Owns:   pulses with jitter and shimmer, vowels that move, words and pauses, noise, a telephone's band. Does not: sound
 *         like a person.
 */
#ifndef VX_TESTS_SYNTH_VOICE_H
#define VX_TESTS_SYNTH_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYNTH_RATE = 16000, SYNTH_HOP = 160 };

typedef enum {
    SYNTH_FLAT,    /* hz all the time */
    SYNTH_RISE,    /* from hz to end_hz, evenly in octaves */
    SYNTH_VIBRATO, /* hz, a semitone up and down, 5.5 times a second */
    SYNTH_SPOKEN,  /* around hz, falling over the recording, with an accent on each word */
} synth_contour;

typedef struct {
    synth_contour contour;
    double hz, end_hz;
    double jitter, shimmer; /* aimed at, as the mean difference of neighbours over the mean: 0.01 is 1 % */
    bool words; /* words of 180 to 420 ms, between them silence and friction; else one sound with silence around */
    bool still; /* one vowel; else a new one every 160 ms. F1 is never below the pitch, as no singer's is */
    bool bare;  /* the pulses alone, without a mouth */
    bool noisy; /* white noise at snr_db under the voiced parts, everywhere */
    double snr_db;
    bool telephone; /* 300 to 3400 Hz */
    uint64_t seed;
} synth_params;

/* What came out, measured on the cycles themselves. */
typedef struct {
    double jitter, jitter_rap, shimmer, shimmer_apq;
    size_t n_cycles;
} synth_truth;

/* n samples; peaks below 1.
 * ret_f0    [out] n / SYNTH_HOP frames, Hz in the middle of each, 0 where the glottis rests
 * ret_truth [out] may be NULL */
void synth_voice(const synth_params *params, size_t n, float *ret_samples, float *ret_f0, synth_truth *ret_truth);

/* A telephone's band, 300 to 3400 Hz, in place. */
void synth_telephone(float *samples, size_t n);

/* Uniform in [-1, 1), and normal with variance 1. */
double synth_uniform(uint64_t *state);
double synth_normal(uint64_t *state);

#endif
