/* voice.h - what vocoders and converters know of a voice: its melody, its glottal cycles, what of it repeats.
 * Owns:   pitch marks, the share of each band that repeats from cycle to cycle, sounds at places between samples.
 *         Does not: know envelopes (envelope.h), or synthesise.
 */
#ifndef VX_TESTS_BENCH_SPOOF_VOICE_H
#define VX_TESTS_BENCH_SPOOF_VOICE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    VOICE_HOP = 160,     /* samples from frame to frame; frame t is around sample 160 t + 80 */
    VOICE_UNVOICED = 80, /* from mark to mark where no voice is */
    VOICE_BANDS = 7,     /* below 1, 2, 3, 4, 5, 6.5 and 8 kHz */
};

/* A place that grains are cut around. */
typedef struct {
    double at;    /* sample */
    bool voiced;  /* marks are one glottal cycle apart here */
    double left;  /* distance of the mark before, samples */
    double right; /* of the one behind */
} voice_mark;

typedef struct {
    const float *samples; /* borrowed */
    size_t n, n_frames;
    float *f0;                      /* [n_frames] Hz, 0 where no voice is */
    float (*harmonic)[VOICE_BANDS]; /* [n_frames] share of the band's power that repeats after a period */
    voice_mark *marks;              /* by place */
    size_t n_marks;
} voice;

/* False when there is no voice in it, or it is shorter than a tenth of a second. */
bool voice_of(const float *samples, size_t n, voice *ret);
void voice_done(voice *v);

/* Hz at a sample, linear between voiced frames; 0 where no voice is. */
double voice_f0(const voice *v, double at);
/* Its geometric mean. */
double voice_mean_f0(const voice *v);
/* The share that repeats at a sample and a frequency. */
double voice_harmonic(const voice *v, double at, double hz);
/* The mark nearest to a sample. */
size_t voice_mark_at(const voice *v, double at);

/* The signal between its samples, by a windowed sinc; 0 outside. */
double voice_read(const float *samples, size_t n, double at);
/* Adds an impulse between samples, limited to the band in the same way. */
void voice_pulse(float *samples, size_t n, double at, double height);
/* Makes the root mean square that of `like`. */
void voice_level(float *samples, const float *like, size_t n);

#endif
