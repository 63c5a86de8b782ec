/* audio.c - measures and release of canonical audio.
 * Owns:   level, finiteness, wiping. Does not: decode (decode.c) or resample (resample.c).
 */
#include "shared/audio/audio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

#define DBFS_LOWEST (-120.0)

void vx_audio_done(vx_audio *audio)
{
    if (!audio)
        return;
    if (audio->samples) /* measures alone have none */
        vx_wipe(audio->samples, audio->n * sizeof *audio->samples);
    free(audio->samples);
    *audio = (vx_audio){0};
}

double vx_audio_level_dbfs(const float *samples, size_t n)
{
    /* In double: a float sum over 60 s loses the low bits that separate a quiet room from digital silence. Four sums,
     * because a single one waits for the adder at every sample: 8 us instead of 27 for 3 s. */
    double a = 0, b = 0, c = 0, d = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        a += (double)samples[i] * (double)samples[i];
        b += (double)samples[i + 1] * (double)samples[i + 1];
        c += (double)samples[i + 2] * (double)samples[i + 2];
        d += (double)samples[i + 3] * (double)samples[i + 3];
    }
    for (; i < n; i++)
        a += (double)samples[i] * (double)samples[i];
    const double sum = (a + b) + (c + d);
    if (n == 0 || sum <= 0)
        return DBFS_LOWEST;
    return fmax(10 * log10(sum / (double)n), DBFS_LOWEST);
}

int vx_audio_is_finite(const float *samples, size_t n)
{
    /* The exponent bits, not isfinite(): the answer must not depend on how a caller's compiler treats NaN. No early
     * exit, so that the loop vectorises; a signal is nearly always finite to its end. */
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &samples[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}
