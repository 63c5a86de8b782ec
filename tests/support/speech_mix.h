/* speech_mix.h - recorded speech, recorded noise, and mixtures of which is known where in them is speech and how loud.
 * Owns:   reading the folders, the rule that says which frame is speech, mixing. Does not: judge a detector.
 */
#ifndef VX_TESTS_SPEECH_MIX_H
#define VX_TESTS_SPEECH_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MIX_FRAME = 160, MIX_PAUSE = 100 /* frames without speech before and behind each recording of a mixture */ };

typedef struct {
    char *path, *source;
    float *samples; /* n, at its own level */
    size_t n, n_frames;
    bool *speech; /* [n_frames] */
    double power; /* mean square of the frames with speech, above 80 Hz */
    float clipped_share;
} mix_clip;

typedef struct {
    char *kind;  /* name of its folder */
    bool unseen; /* no recording of that kind was used in training */
    float *samples;
    size_t n;
} mix_noise;

typedef struct {
    mix_clip *clips;
    size_t n_clips;
    mix_noise *noises;
    size_t n_noises;
} mix_data;

/* Reads what models/train_vad.py has not seen.
 * speech     [in] folder with manifest.tsv (a heading line with split, source, path among its columns); split "dev"
 * noise      [in] folder with KIND/FOLD-RECORDING-TAKE.flac: fold 5, and every fold of the kinds of `unseen`
 * unseen     [in] kinds, separated by commas
 * per_source [in] recordings taken of each source, drawn by seed; 0: all
 * False, with a sentence on stderr, when something cannot be read. */
bool mix_load(const char *speech, const char *noise, const char *unseen, size_t per_source, uint64_t seed,
              mix_data *ret_data);
void mix_done(mix_data *data);

/* The rule of docs/vad.md, the same as in models/train_vad.py: within 30 dB of the 95th percentile of the levels and 6 dB
 * above the 10th (which is taken as at most 20 dB below the loud); then pauses up to 80 ms belong to the speech around
 * them, and bursts up to 40 ms are none. powers [in] n_frames, mean squares. */
void mix_label(const double *powers, size_t n_frames, bool *ret_speech);
/* Mean square above 80 Hz of the 25 ms around each frame. */
void mix_powers(const float *samples, size_t n_frames, double *ret_powers);

typedef struct {
    int16_t *samples;
    bool *speech;
    size_t n_frames;
} mixture;

/* A pause, the recording, a pause; noise over all of it.
 * noise   [in] NULL: none, and digital silence in the pauses
 * snr_db  [in] mean power of the frames with speech over that of the noise in all frames, both above 80 Hz
 * dbfs    [in] level of the speech
 * state   [in,out] of stats_random: draws the place in the noise */
bool mix_make(const mix_clip *clip, const mix_noise *noise, double snr_db, double dbfs, uint64_t *state,
              mixture *ret_mixture);
void mixture_done(mixture *m);

#endif
