/* vad.c - utterances in a stream: frames, levels, and the rules for start and end.
 * Owns:   what is decided from one probability each 10 ms, and where in the stream that was.
 * Does not: compute the probability; vad_net.c does.
 */
#include "edge/capture/vad.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "edge/capture/vad_net.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"

enum {
    FRAME_MS = 10,
    /* A window of 400 samples that ends with push i lies around frame i - 1, so levels wait one push less. */
    LEVELS = VX_VAD_DELAY,
    TIME_MAX_MS = 10000,
};
#define SILENT_DBFS (-120.0)
/* Share of each new silent frame in the noise floor: a time constant of 0.5 s. */
#define NOISE_STEP  0.02f

struct vx_vad {
    double threshold;
    size_t start, hang; /* frames */
    size_t padding;     /* samples */
    vx_vad_net *net;    /* owned */
    float window[VX_VAD_WINDOW];
    float powers[LEVELS]; /* of the last windows, by push modulo LEVELS */
    float noise;          /* power; negative: none heard yet */
    size_t n_pushed;      /* frames */

    bool inside;
    size_t first;   /* frame in which the run or utterance began */
    size_t run;     /* outside: frames with speech since then, less those without */
    size_t last;    /* inside: the last frame with speech */
    size_t earlier; /* samples: end of the utterance before */
};

vx_vad_params vx_vad_params_default(void)
{
    return (vx_vad_params){.threshold = 0.5, .start_ms = 100, .hang_ms = 500, .padding_ms = 200};
}

static bool within(int value, int low, int high)
{
    return value >= low && value <= high;
}

vx_err vx_vad_create(const vx_vad_params *params, vx_vad **ret_vad)
{
    if (!(params->threshold > 0 && params->threshold < 1) || !within(params->start_ms, FRAME_MS, TIME_MAX_MS) ||
        !within(params->hang_ms, FRAME_MS, TIME_MAX_MS) || !within(params->padding_ms, 0, TIME_MAX_MS))
        return VX_ERR_RANGE;
    vx_vad *vad = calloc(1, sizeof *vad);
    if (vad == NULL)
        return VX_ERR_NOMEM;
    vx_err err = vx_vad_net_create(&vad->net);
    if (err != VX_OK)
        goto out;
    vad->threshold = params->threshold;
    vad->start = (size_t)params->start_ms / FRAME_MS;
    vad->hang = (size_t)params->hang_ms / FRAME_MS;
    vad->padding = (size_t)params->padding_ms * (VX_AUDIO_RATE / 1000);
    vx_vad_reset(vad);
    *ret_vad = vad;
    vad = NULL;
out:
    vx_vad_destroy(vad);
    return err;
}

void vx_vad_destroy(vx_vad *vad)
{
    if (vad == NULL)
        return;
    vx_vad_net_destroy(vad->net);
    vx_wipe(vad, sizeof *vad);
    free(vad);
}

void vx_vad_reset(vx_vad *vad)
{
    vx_vad_net_reset(vad->net);
    vx_wipe(vad->window, sizeof vad->window);
    vx_wipe(vad->powers, sizeof vad->powers);
    vad->noise = -1;
    vad->n_pushed = 0;
    vad->inside = false;
    vad->first = vad->run = vad->last = vad->earlier = 0;
}

static double dbfs(float power)
{
    return power > 1e-12f ? 10 * log10((double)power) : SILENT_DBFS;
}

/* The window moves on by one frame. A sample that no microphone gives (NaN, 1e30) must not stay in the state. */
static void take(vx_vad *vad, const float *samples)
{
    memmove(vad->window, vad->window + VX_VAD_FRAME, (VX_VAD_WINDOW - VX_VAD_FRAME) * sizeof *vad->window);
    float *fresh = vad->window + VX_VAD_WINDOW - VX_VAD_FRAME;
    for (size_t i = 0; i < VX_VAD_FRAME; i++)
        fresh[i] = !isfinite(samples[i]) ? 0 : fmaxf(-VX_AUDIO_PEAK_MAX, fminf(VX_AUDIO_PEAK_MAX, samples[i]));
}

static size_t begin_of(const vx_vad *vad)
{
    const size_t begin = vad->first * VX_VAD_FRAME;
    return begin > vad->earlier + vad->padding ? begin - vad->padding : vad->earlier;
}

static size_t end_of(const vx_vad *vad)
{
    const size_t end = (vad->last + 1) * VX_VAD_FRAME + vad->padding, heard = vad->n_pushed * VX_VAD_FRAME;
    return end < heard ? end : heard;
}

/* Outside an utterance: a run counts up with speech and down without, so that neither a click begins an utterance nor a
 * stop consonant delays it. */
static void listen(vx_vad *vad, size_t frame, bool speaks, vx_vad_frame *ret_frame)
{
    if (!speaks) {
        vad->run -= vad->run > 0;
        return;
    }
    if (vad->run++ == 0)
        vad->first = frame;
    if (vad->run < vad->start)
        return;
    vad->inside = true;
    vad->last = frame;
    ret_frame->event = VX_VAD_START;
    ret_frame->begin = begin_of(vad);
}

static void follow(vx_vad *vad, size_t frame, bool speaks, vx_vad_frame *ret_frame)
{
    if (speaks)
        vad->last = frame;
    ret_frame->event = VX_VAD_SPEECH;
    if (frame - vad->last < vad->hang)
        return;
    ret_frame->event = VX_VAD_END;
    ret_frame->begin = begin_of(vad);
    ret_frame->end = end_of(vad);
    vad->earlier = ret_frame->end;
    vad->inside = false;
    vad->run = 0;
}

void vx_vad_push(vx_vad *vad, const float *samples, vx_vad_frame *ret_frame)
{
    take(vad, samples);
    const float probability = vx_vad_net_push(vad->net, vad->window, &vad->powers[vad->n_pushed % LEVELS]);
    vad->n_pushed++;
    *ret_frame = (vx_vad_frame){.level_dbfs = SILENT_DBFS, .noise_dbfs = SILENT_DBFS};
    if (vad->n_pushed <= VX_VAD_DELAY)
        return;

    const size_t frame = vad->n_pushed - 1 - VX_VAD_DELAY;
    const float power = vad->powers[vad->n_pushed % LEVELS];
    const bool speaks = (double)probability >= vad->threshold;
    if (!speaks)
        vad->noise = vad->noise < 0 ? power : vad->noise + NOISE_STEP * (power - vad->noise);
    ret_frame->probability = (double)probability;
    ret_frame->level_dbfs = dbfs(power);
    ret_frame->noise_dbfs = dbfs(vad->noise);
    if (vad->inside)
        follow(vad, frame, speaks, ret_frame);
    else
        listen(vad, frame, speaks, ret_frame);
    ret_frame->speech = vad->inside;
}
