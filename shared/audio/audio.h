/* audio.h - what the project calls audio: 16 kHz mono float samples, and what is known of their source.
 * Owns:   the type, its limits and its measures. Decoding is decode.h, resampling resample.h.
 */
#ifndef VX_AUDIO_AUDIO_H
#define VX_AUDIO_AUDIO_H

#include <stddef.h>

#include "shared/base/err.h"

#define VX_AUDIO_RATE        16000 /* Hz, of every canonical signal */
#define VX_AUDIO_MIN_S       0.3   /* shortest utterance accepted, seconds */
#define VX_AUDIO_MAX_S       60.0  /* longest */
#define VX_AUDIO_RATE_MIN    8000  /* source rates accepted, Hz */
#define VX_AUDIO_RATE_MAX    192000
#define VX_AUDIO_MAX_SAMPLES ((size_t)(VX_AUDIO_MAX_S * VX_AUDIO_RATE))
/* Float input beyond this is not speech at full scale 1.0 but another scale (int16 numbers sent as floats). Lossy
 * decoders overshoot 1.0 by a few dB, which stays allowed. */
#define VX_AUDIO_PEAK_MAX    8.0f
/* An utterance whose RMS is below this holds no voice: 16-bit dither is near -96 dBFS, a whisper near -55. */
#define VX_AUDIO_SILENT_DBFS (-75.0)

typedef struct {
    float *samples; /* [n] 16 kHz mono, full scale 1.0; owned; NULL where only the measures are kept */
    size_t n;
    int source_rate; /* Hz, before resampling */
    int source_channels;
    const char *format;   /* "wav", "flac", "ogg", "mp3", "pcm_s16le", "pcm_f32le"; static */
    double seconds;       /* n / 16000 */
    double level_dbfs;    /* RMS of the samples, dB re full scale 1.0; -120 at the lowest */
    double clipped_share; /* share of source samples (before down-mix) at |x| >= 32767/32768 */
} vx_audio;

/* Wipes and frees the samples and zeroes the struct; all-zero is fine. */
void vx_audio_done(vx_audio *audio);

/* RMS level of n samples in dBFS, -120 at the lowest (and for n = 0). */
double vx_audio_level_dbfs(const float *samples, size_t n);
/* True if every sample is finite. */
int vx_audio_is_finite(const float *samples, size_t n);

#endif
