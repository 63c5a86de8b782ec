/* kinds.c - all kinds, and the way that every clip of the laboratory goes.
 * Owns:   the list of tables, seeds, what a finished clip is (cut, telephone leg, noise floor, level, rounding).
 *         Does not: know any kind.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/codec.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/support/stats.h"

const lab_kind *const lab_kinds[] = {
    lab_living_kinds,     lab_replay_kinds,    lab_codec_kinds,
    lab_repeat_kinds,     lab_synthetic_kinds, lab_vocoder_kinds,
    lab_conversion_kinds, lab_splice_kinds,    NULL,
};

const lab_kind *lab_kind_named(const char *name)
{
    for (size_t t = 0; lab_kinds[t] != NULL; t++)
        for (const lab_kind *k = lab_kinds[t]; k->kind != NULL; k++)
            if (strcmp(k->kind, name) == 0)
                return k;
    return NULL;
}

/* ---- clips ----------------------------------------------------------------------------------------------------------- */

void *lab_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        abort();
    return memory;
}

void lab_clip_done(lab_clip *clip)
{
    free(clip->samples);
    *clip = (lab_clip){0};
}

void lab_take(lab_clip *clip, float *samples, size_t n)
{
    free(clip->samples);
    clip->samples = samples;
    clip->n = n;
}

void lab_start(const lab_original *original, lab_clip *ret_clip)
{
    float *samples = lab_alloc(original->voice.n + 1, sizeof *samples);
    memcpy(samples, original->voice.samples, original->voice.n * sizeof *samples);
    lab_take(ret_clip, samples, original->voice.n);
}

void lab_note(lab_clip *clip, const char *format, ...)
{
    const size_t used = strlen(clip->parameters);
    char *at = clip->parameters + used;
    size_t room = sizeof clip->parameters - used;
    if (used > 0 && room > 1) {
        *at++ = ' ';
        room--;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(at, room, format, args);
    va_end(args);
}

/* FNV-1a of the text, stirred. */
uint64_t lab_seed(uint64_t seed, const char *text)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return stats_random(&hash);
}

/* ---- finishing ------------------------------------------------------------------------------------------------------- */

/* What is in step with the original loses its margins. Speech of a length of its own gets no longer than that. */
static void cut(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const size_t all = original->voice.n, n = all > 2 * (size_t)LAB_MARGIN ? all - 2 * (size_t)LAB_MARGIN : all;
    if (clip->n <= n)
        return;
    const size_t from = clip->n == all ? LAB_MARGIN : lab_pick(seed, clip->n - n + 1);
    memmove(clip->samples, clip->samples + from, n * sizeof *clip->samples);
    clip->n = n;
}

/* What is below the voice on every desk. Recordings have it, what is computed has not. */
static void rumble(double db, uint64_t *seed, lab_clip *clip)
{
    float *low = lab_alloc(clip->n + 1, sizeof *low);
    for (size_t i = 0; i < clip->n; i++)
        low[i] = (float)lab_gauss(seed);
    lab_cut_above(lab_log_uniform(seed, 30, 120), 2, low, clip->n);
    const double gain = lab_db_to_gain(db - lab_speech_db(low, clip->n));
    for (size_t i = 0; i < clip->n; i++)
        clip->samples[i] += (float)(gain * (double)low[i]);
    free(low);
}

/* What every microphone and its converter do, so that nothing else is told by it: without a noise floor, digital silence
 * tells what was computed from what was recorded; without rumble and offset, what went through the high-pass filter of a
 * loudspeaker or a simulated room; and where the band ends tells what was resampled. */
static void finish(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    const double speech_db = lab_speech_db(clip->samples, clip->n), level_db = lab_uniform(seed, -36, -18);
    const double offset = lab_db_to_gain(speech_db + lab_uniform(seed, -80, -40)) * (lab_chance(seed, 0.5) ? 1 : -1);
    lab_hiss(seed, speech_db + lab_uniform(seed, -65, -40), clip->samples, clip->n);
    rumble(speech_db + lab_uniform(seed, -55, -20), seed, clip);
    lab_cut_above(lab_uniform(seed, 7000, 7800), 8, clip->samples, clip->n);
    if (original->narrow)
        lab_cut_above(lab_uniform(seed, 3200, 3500), 12, clip->samples, clip->n);
    for (size_t i = 0; i < clip->n; i++)
        clip->samples[i] += (float)offset;
    lab_scale(clip->samples, clip->n, lab_db_to_gain(level_db - speech_db));
    const float peak = lab_peak(clip->samples, clip->n);
    if (peak > 0.97F)
        lab_scale(clip->samples, clip->n, 0.97 / (double)peak);
    if (original->narrow)
        lab_telephone(LAB_CODEC_ULAW, clip->samples, clip->n);
}

static void round_to_pcm16(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = fmaxf(-32768, fminf(32767, rintf(samples[i] * 32768))) / 32768;
}

bool lab_make(const lab_kind *kind, const lab_original *original, lab_clip *ret_clip)
{
    uint64_t seed = lab_seed(original->seed, kind->kind);
    lab_clip clip = {0};
    if (!kind->make(original, &seed, &clip) || clip.n == 0) {
        lab_clip_done(&clip);
        return false;
    }
    if (!kind->as_is) {
        cut(original, &seed, &clip);
        finish(original, &seed, &clip);
    }
    round_to_pcm16(clip.samples, clip.n);
    *ret_clip = clip;
    return true;
}
