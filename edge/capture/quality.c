/* quality.c - measures of a recording, the bounds on them, and what to say of a bound missed.
 * Owns:   how speech and background are told apart in a whole recording, and the bounds; docs/vad.md has the experiments
 *         behind each. Does not: find speech; vad.c does.
 */
#include "edge/capture/quality.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "edge/capture/vad.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"

#define LOWEST_DBFS (-120.0)
#define SNR_MAX_DB  60.0

enum {
    FRAMES_PER_S = VX_AUDIO_RATE / VX_VAD_FRAME,
    /* Sound this close to speech is its breath and its echo, not the background. */
    GUARD_FRAMES = 5,
    /* Less background than this says little of it: then the quietest of all frames have to do. */
    BACKGROUND_FRAMES = 10,
};
/* Of frames that are all speech or beside it, the background is the mean of this share, the quietest. */
#define QUIET_SHARE 0.05

typedef struct {
    double power;
    bool speaks;
} frame;

typedef struct {
    frame *frames; /* [n] */
    size_t n;
    vx_span span; /* samples: first to last utterance, with padding */
    bool found;
} heard;

static double dbfs(double power)
{
    return power > 1e-12 ? 10 * log10(power) : LOWEST_DBFS;
}

static double clipped_share(const float *samples, size_t n)
{
    size_t clipped = 0;
    for (size_t i = 0; i < n; i++)
        clipped += fabsf(samples[i]) >= 32767.0F / 32768.0F;
    return n > 0 ? (double)clipped / (double)n : 0;
}

/* Joins one utterance to those before; one that is not over when the recording ends goes up to there. */
static void join(heard *h, const vx_vad_frame *told, size_t n)
{
    if (told->event == VX_VAD_START) {
        h->span = (vx_span){h->found ? h->span.begin : told->begin, n};
        h->found = true;
    } else if (told->event == VX_VAD_END)
        h->span.end = told->end; /* within the recording: an END comes later than its padding is long */
}

static void listen(vx_vad *vad, double threshold, const float *samples, size_t n, heard *h)
{
    for (size_t i = 0; i < h->n + VX_VAD_DELAY; i++) {
        float block[VX_VAD_FRAME] = {0};
        const size_t at = i * VX_VAD_FRAME;
        if (at < n)
            memcpy(block, samples + at, (n - at < VX_VAD_FRAME ? n - at : VX_VAD_FRAME) * sizeof *block);
        vx_vad_frame told;
        vx_vad_push(vad, block, &told);
        vx_wipe(block, sizeof block);
        join(h, &told, n);
        if (i >= VX_VAD_DELAY)
            h->frames[i - VX_VAD_DELAY] = (frame){pow(10, told.level_dbfs / 10), told.probability >= threshold};
    }
    /* What was too short to begin an utterance is no speech. */
    for (size_t i = 0; i < h->n; i++)
        if (!h->found || (i + 1) * VX_VAD_FRAME <= h->span.begin || i * VX_VAD_FRAME >= h->span.end)
            h->frames[i].speaks = false;
}

static int rising(const void *a, const void *b)
{
    const double x = ((const frame *)a)->power, y = ((const frame *)b)->power;
    return (x > y) - (x < y);
}

/* Mean power of what is not speech; sorts the frames where it must, so it comes last. */
static double background_of(heard *h)
{
    double sum = 0;
    size_t n = 0, since = GUARD_FRAMES;
    for (size_t i = 0; i < h->n; i++) {
        since = h->frames[i].speaks ? 0 : since + 1;
        bool near = since <= GUARD_FRAMES && h->found;
        for (size_t k = i; k < h->n && k <= i + GUARD_FRAMES && !near; k++)
            near = h->frames[k].speaks;
        if (!near) {
            sum += h->frames[i].power;
            n++;
        }
    }
    if (n >= BACKGROUND_FRAMES || n == h->n)
        return n > 0 ? sum / (double)n : 0;
    qsort(h->frames, h->n, sizeof *h->frames, rising);
    n = 1 + (size_t)(QUIET_SHARE * (double)h->n);
    sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += h->frames[i].power;
    return sum / (double)n;
}

/* Which of two recordings to keep: more speech helps ever less, noise and overdrive spoil what there is. Of 36 forms like
 * this one, among those that follow best how near a damaged recording's embedding stays to its speaker's others. */
static double score_of(const vx_quality *q)
{
    const double length = 1 - exp(-q->speech_s / 2);
    const double clean = fmin(1, fmax(0, (q->snr_db + 10) / 40));
    const double whole = fmax(0, 1 - 10 * q->clipped_share);
    return length * clean * whole;
}

static vx_quality measure(heard *h, const float *samples, size_t n)
{
    size_t n_speech = 0, first = 0, last = 0;
    double speech = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->frames[i].speaks) {
            first = n_speech > 0 ? first : i;
            last = i;
            speech += h->frames[i].power;
            n_speech++;
        }
    vx_quality q = {
        .seconds = (double)n / VX_AUDIO_RATE,
        .speech_s = (double)n_speech / FRAMES_PER_S,
        .speech_share = n_speech > 0 ? (double)n_speech / (double)(last - first + 1) : 0,
        .clipped_share = clipped_share(samples, n),
    };
    speech /= n_speech > 0 ? (double)n_speech : 1;
    const double background = background_of(h);
    q.speech_dbfs = dbfs(speech);
    q.noise_dbfs = dbfs(background);
    /* At most 20 dB below nothing: speech that does not stand out has no ratio worth a number. */
    if (n_speech > 0)
        q.snr_db = fmin(SNR_MAX_DB, dbfs(fmax(speech - background, 0.01 * background)) - q.noise_dbfs);
    q.score = score_of(&q);
    return q;
}

vx_err vx_quality_measure(const float *samples, size_t n, vx_span *ret_utterance, vx_quality *ret_quality)
{
    if (n > VX_AUDIO_MAX_SAMPLES)
        return VX_ERR_RANGE;
    const vx_vad_params params = vx_vad_params_default();
    vx_vad *vad = NULL;
    heard h = {.n = (n + VX_VAD_FRAME - 1) / VX_VAD_FRAME, .span = {0, n}};
    vx_err err = VX_ERR_NOMEM;
    h.frames = calloc(h.n + 1, sizeof *h.frames);
    if (h.frames == NULL)
        goto out;
    err = vx_vad_create(&params, &vad);
    if (err != VX_OK)
        goto out;
    listen(vad, params.threshold, samples, n, &h);
    *ret_quality = measure(&h, samples, n);
    *ret_utterance = h.span;
out:
    if (h.frames != NULL)
        vx_wipe(h.frames, (h.n + 1) * sizeof *h.frames);
    free(h.frames);
    vx_vad_destroy(vad);
    return err;
}

/* A bound stands where one of the two recordings, damaged so far, raises the equal error rate of comparisons to about
 * 1.1 to 1.3 times what it was (enrolment) and to 1.3 to 1.8 times (comparison). */
typedef struct {
    double speech_s, speech_dbfs, clipped_share, snr_db;
} bounds;

static const bounds BOUNDS[] = {
    [VX_FOR_ENROLMENT] = {.speech_s = 1.0, .speech_dbfs = -50, .clipped_share = 0.01, .snr_db = 10},
    [VX_FOR_COMPARISON] = {.speech_s = 0.4, .speech_dbfs = -60, .clipped_share = 0.05, .snr_db = 3},
};

/* Written so that what is not a number passes no bound. */
vx_err vx_quality_judge(const vx_quality *quality, vx_quality_use use, vx_errinfo *info)
{
    const bounds *b = &BOUNDS[use == VX_FOR_COMPARISON ? VX_FOR_COMPARISON : VX_FOR_ENROLMENT];
    if (!(quality->speech_s > 0))
        return vx_errinfo_set(info, VX_ERR_AUDIO_NO_SPEECH,
                              "nobody speaks in this recording; check which microphone is in use, then speak");
    if (!(quality->speech_s >= b->speech_s))
        return vx_errinfo_set(info, VX_ERR_AUDIO_SHORT,
                              "only %.1f s of speech where %.1f s are needed; say a longer sentence", quality->speech_s,
                              b->speech_s);
    if (!(quality->speech_dbfs >= b->speech_dbfs))
        return vx_errinfo_set(
            info, VX_ERR_AUDIO_QUIET,
            "the voice is too quiet (%.0f dBFS, at least %.0f); speak closer to the microphone or turn it up",
            quality->speech_dbfs, b->speech_dbfs);
    if (!(quality->clipped_share <= b->clipped_share))
        return vx_errinfo_set(
            info, VX_ERR_AUDIO_CLIPPED,
            "the recording is overdriven (%.1f %% of it, at most %.0f %%); turn the microphone down or "
            "speak from farther away",
            100 * quality->clipped_share, 100 * b->clipped_share);
    if (!(quality->snr_db >= b->snr_db))
        return vx_errinfo_set(
            info, VX_ERR_AUDIO_NOISY,
            "the background is too loud (voice %.0f dB above it, at least %.0f); find a quieter place or "
            "speak closer to the microphone",
            quality->snr_db, b->snr_db);
    return VX_OK;
}
