/* room.h - shoebox rooms: their impulse responses, sound played in them, a head that moves in them.
 * Owns:   image sources, absorption, the diffuse tail, convolution, decay times read off a response. Does not: know
 *         loudspeakers or microphones; both are points, alike in all directions.
 * Source: J. Allen, D. Berkley, Image method for efficiently simulating small-room acoustics, 1979; E. De Sena et al., On
 *         the modeling of rectangular geometries in room acoustic simulations, 2015 (images displaced at random, since
 *         those of a perfect box meet in sweeping echoes that no furnished room has).
 *
 * A seed fixes everything; machines differ by the rounding of their libm only. All signals are 16 kHz mono.
 */
#ifndef VX_TESTS_ROOM_H
#define VX_TESTS_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROOM_BASS, /* below 500 Hz */
    ROOM_MID,  /* 500 to 2,500 Hz: what people mean by the decay time of a room */
    ROOM_TREBLE,
    ROOM_BANDS,
    ROOM_ALL = ROOM_BANDS, /* for room_rt60: the response as it is */
    ROOM_MAX = 19200,      /* longest response, samples: 1.2 s */
};

typedef struct {
    double size_m[3], source_m[3], mic_m[3]; /* length, width, height; from one corner */
    double rt60_s[ROOM_BANDS];               /* wanted; walls absorb what Eyring's formula says */
    double jitter_m;                         /* how far an image may lie from its place in a perfect box */
    uint64_t seed;                           /* of displacements and tail */
} room_plan;

/* A room of a home or an office for one decay time (bass up to a fifth longer, treble a tenth to a third shorter), the
 * source at a distance from the microphone. 0.05 <= rt60_s <= 1.2; 0.05 <= distance_m <= 4; state of stats_random. */
room_plan room_draw(double rt60_s, double distance_m, uint64_t *state);

/* The impulse response: a direct sound of 1 at one metre, at distance / c; the whole above 50 Hz.
 * Returns *ret_m samples, at most ROOM_MAX, freed by the caller; NULL when memory is out. */
float *room_response(const room_plan *plan, size_t *ret_m);

/* The first n samples of the convolution; pad with zeros to hear the room fade. ret may be samples itself.
 * False when memory is out, or m is 0 or above 32,768. */
bool room_convolve(const float *samples, size_t n, const float *response, size_t m, float *ret);

/* A speaker's head sways around the plan's source: three sinusoids of random phase an axis, 0.5 to 2 times `hz`. The
 * direct sound and the six reflections off one wall follow it (delay and 1 / distance), the rest of the room stays. */
typedef struct {
    double sway_m; /* root mean square of each axis; 0: stands still */
    double hz;
    uint64_t seed;
} room_motion;
/* ret may be samples itself. False when memory is out. */
bool room_move(const float *samples, size_t n, const room_plan *plan, const room_motion *motion, float *ret);

/* Time to fall by 60 dB, from the slope of Schroeder's backward integral between two levels: T30 is -5, -35; T20 is
 * -5, -25; early decay is 0, -10. NAN when the response does not fall that far, or memory is out.
 * band: ROOM_BASS .. ROOM_ALL */
double room_rt60(const float *response, size_t m, int band, double from_db, double to_db);
/* Energy of the first 2.5 ms from the largest sample on over that of the rest, dB. */
double room_direct_to_reverberant_db(const float *response, size_t m);

#endif
