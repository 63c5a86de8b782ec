/* tube.h - vowels of a vocal tract whose length is known: a lossy tube behind a glottis whose pitch moves.
 * Owns:   area functions, the transmission line, the resonances and the sound of it. Does not: know consonants.
 * Source: the line as in L. Rabiner and R. Schafer, Digital Processing of Speech Signals, 1978, chapter 3, whose two-tube
 *         areas are three of the vowels; bandwidths after G. Fant, Acoustic Theory of Speech Production, 1960.
 *
 * The glottis is closed and the lips have no load, so that a uniform tube resonates at (2n - 1) c / 4L exactly, and the
 * length is the acoustic one.
 */
#ifndef VX_TESTS_TUBE_H
#define VX_TESTS_TUBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TUBE_SECTIONS = 16, TUBE_HOP = 160 /* samples between shapes */ };
#define TUBE_C 34300.0 /* cm/s */

typedef enum { TUBE_UNIFORM, TUBE_A, TUBE_AE, TUBE_I, TUBE_U, TUBE_E, TUBE_VOWELS } tube_vowel;

/* Sections of equal length, glottis first. */
typedef struct {
    double length_cm;
    double area_cm2[TUBE_SECTIONS];
} tube;

tube tube_of(tube_vowel vowel, double length_cm);
/* Between two shapes, 0 to 1 of the way from a to b. */
tube tube_between(const tube *a, const tube *b, double way);

/* The lowest n resonances, to 2 Hz; 0 of those above 16 kHz. */
void tube_resonances(const tube *t, int n, double *ret_hz);

typedef struct {
    tube *shapes;   /* [n_frames + 1] one each TUBE_HOP samples */
    float *f0_hz;   /* [n_frames + 1] the pitch there */
    float *samples; /* [n] peak 0.5; noise 50 dB below it */
    size_t n, n_frames;
} tube_voice;

typedef struct {
    const tube_vowel *vowels; /* n_vowels, over and over; each stays 200 ms and takes 130 ms to become the next */
    size_t n_vowels;
    double length_cm;
    double f0_hz;   /* goes 8 % up and down about once a second, less than in speech */
    double band[2]; /* Hz: harmonics between them only; {0, 8000} for all, {300, 3400} for a telephone */
    double seconds;
    uint64_t seed; /* of the noise */
} tube_params;

/* 16 kHz. The harmonics of the glottis fall by 12 dB an octave and the lips' radiation gives back 6. False when memory
 * is out. */
bool tube_speak(const tube_params *params, tube_voice *ret);
/* All-zero is fine. */
void tube_voice_done(tube_voice *voice);

#endif
