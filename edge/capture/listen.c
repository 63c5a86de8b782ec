/* listen.c - reads, asks the detector, keeps what may belong to the utterance.
 * Owns:   the samples and their bookkeeping. Positions are samples since vx_hear began, which is where the detector is
 *         reset; the buffer holds those from `base` on.
 */
#include "edge/capture/listen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

/* An utterance is told of later than it begins: the detector waits, and its padding lies before. */
#define LATE_S      2.0
/* Sound that stops coming for so long ends an utterance. */
#define STALL_S     1.0
/* Sound comes later than it is heard; only when none comes at all does the clock end the waiting. */
#define GRACE_S     0.5
/* Of the room behind a command that a pause ended, so much is taken along where it has been heard meanwhile. */
#define ROOM_S      0.2
/* So often whoever listens is asked whether to go on, where no sound comes to ask with. */
#define ASK_S       0.1
#define LONG_S      1e9
/* The end of a word is speech by its level: above the noise, for so long at most. */
#define FADING_DB   8.0
#define SILENT_DBFS (-120.0)
#define NS_PER_S    1e9
enum {
    FADING_FRAMES = 25,
    PAUSE_FRAMES = VX_LISTEN_PAUSE_MS / 10,
    MAX_HANG_FRAMES = 1000 + VX_VAD_DELAY, /* that pushing silence takes to end an utterance */
};

typedef struct {
    vx_capture *capture;
    vx_vad *vad;
    const vx_listen_options *options;
    double threshold;
    float *samples; /* [cap], n of them */
    size_t cap, n, base;
    size_t before, most; /* samples */
    size_t n_heard;      /* samples of the source, without silence that was put behind its end */
    size_t n_pushed;     /* frames */
    uint64_t n_earlier;  /* samples that the source gave before */
    bool zeros, stopped; /* nothing but zeros came; the meter has had enough */
    bool inside, over;
    bool by_pause;     /* over, since whoever listens had heard enough */
    size_t begin, end; /* of the utterance */
    size_t quiet;      /* where the speaker fell silent last */
    size_t played;     /* where the computer's own loudspeaker was last heard of; 0: nowhere */
    double room_dbfs;  /* level of the noise; 0: none was heard */
    int n_fading;      /* frames before it that are speech by their level only */
    int n_silent;      /* frames since the last that is speech */
} ear;

void vx_heard_done(vx_heard *heard)
{
    if (heard->samples != NULL)
        vx_wipe(heard->samples, heard->n * sizeof *heard->samples);
    free(heard->samples);
    *heard = (vx_heard){0};
}

static size_t samples_of(double seconds)
{
    return seconds > 0 ? (size_t)(fmin(seconds, LONG_S) * VX_AUDIO_RATE) : 0;
}

static uint64_t due_in(double seconds)
{
    return vx_now_ns() + (uint64_t)(fmin(fmax(seconds, 0), LONG_S) * NS_PER_S);
}

/* What lies before `position` goes, and nothing of it stays behind. */
static void forget_before(ear *e, size_t position)
{
    const size_t drop = position > e->base ? position - e->base : 0;
    if (drop == 0 || drop > e->n)
        return;
    memmove(e->samples, e->samples + drop, (e->n - drop) * sizeof *e->samples);
    vx_wipe(e->samples + e->n - drop, drop * sizeof *e->samples);
    e->n -= drop;
    e->base += drop;
}

static size_t back_from(size_t position, size_t n)
{
    return position > n ? position - n : 0;
}

/* When did the speaker fall silent? With the last frame that sounds like speech, and what goes on from it without a break,
 * above the noise: of the last consonant of a sentence the detector is not sure any more. Hang-over and padding, which are
 * in `end`, come later. */
static void follow_voice(ear *e, const vx_vad_frame *frame)
{
    if (e->n_pushed <= VX_VAD_DELAY)
        return;
    const size_t begin = (e->n_pushed - VX_VAD_DELAY - 1) * VX_VAD_FRAME;
    /* The quietest estimate of the noise: weak consonants are part of the newest. */
    if (frame->noise_dbfs > SILENT_DBFS)
        e->room_dbfs = fmin(e->room_dbfs, frame->noise_dbfs);
    if (frame->probability >= e->threshold)
        e->n_fading = 0;
    else if (e->quiet == begin && frame->level_dbfs > e->room_dbfs + FADING_DB && e->n_fading < FADING_FRAMES)
        e->n_fading++;
    else
        return;
    e->quiet = begin + VX_VAD_FRAME;
}

/* In a pause: was that all? */
static void ask_in_pause(ear *e, const vx_vad_frame *frame)
{
    e->n_silent = frame->probability >= e->threshold ? 0 : e->n_silent + 1;
    if (!e->inside || e->over || !e->options->pause || e->n_silent != PAUSE_FRAMES)
        return;
    const size_t begin = back_from(e->begin, e->base), end = e->n_heard > e->base ? e->n_heard - e->base : 0;
    if (begin < end && e->options->pause(e->options->pause_arg, e->samples + begin, end - begin)) {
        e->over = e->by_pause = true;
        e->end = e->base + end;
    }
}

/* What a frame says of the utterance. */
static void follow(ear *e, const vx_vad_frame *frame)
{
    follow_voice(e, frame);
    if (frame->event == VX_VAD_START) {
        e->inside = true;
        e->begin = frame->begin;
        forget_before(e, back_from(e->begin, e->before));
    }
    if (frame->event == VX_VAD_END) {
        e->over = true;
        e->begin = frame->begin;
        e->end = frame->end;
    }
    ask_in_pause(e, frame);
    /* Also where a detector with long pauses never says END. */
    if (e->inside && !e->over && e->base + e->n - e->begin >= e->most) {
        e->over = true;
        e->end = e->begin + e->most;
    }
}

static vx_err push(ear *e, const float *samples, vx_errinfo *info)
{
    vx_vad_frame frame;
    vx_vad_push(e->vad, samples, &frame);
    e->n_pushed++;
    follow(e, &frame);
    if (e->options->meter == NULL || e->options->meter(e->options->meter_arg, &frame))
        return VX_OK;
    e->stopped = true;
    return vx_errinfo_set(info, VX_ERR_CLOSED, "listening was stopped");
}

/* The source gives no more: what the detector still holds is got by silence, which ends an utterance. */
static vx_err push_silence(ear *e, vx_errinfo *info)
{
    static const float silence[VX_VAD_FRAME];
    vx_err err = VX_OK;
    for (int i = 0; i < (e->inside ? MAX_HANG_FRAMES : VX_VAD_DELAY) && !e->over && err == VX_OK; i++)
        err = push(e, silence, info);
    return err;
}

/* Samples until the deadline, asking meanwhile whether they are still wanted: a device that hangs must not hold its
 * listener. */
static vx_err read_some(ear *e, float *samples, size_t n, uint64_t deadline_ns, size_t *ret_n, vx_errinfo *info)
{
    for (;;) {
        const uint64_t soon_ns = due_in(ASK_S);
        const bool last = deadline_ns <= soon_ns;
        const vx_err err = vx_capture_read(e->capture, samples, n, last ? deadline_ns : soon_ns, ret_n, info);
        if (err != VX_ERR_DEADLINE || last)
            return err;
        *info = (vx_errinfo){0};
        if (e->options->meter != NULL && !e->options->meter(e->options->meter_arg, NULL)) {
            e->stopped = true;
            return vx_errinfo_set(info, VX_ERR_CLOSED, "listening was stopped");
        }
    }
}

/* The next frame, and the detector's word on it. Half a frame, before a pause of the source, is filled up with silence. */
static vx_err hear_frame(ear *e, uint64_t deadline_ns, vx_errinfo *info)
{
    if (e->cap - e->n < VX_VAD_FRAME)
        forget_before(e, back_from(e->base + e->n, e->before + samples_of(LATE_S)));
    float *frame = e->samples + e->n;
    size_t got = 0;
    vx_err err = VX_OK;
    while (got < VX_VAD_FRAME && err == VX_OK) {
        size_t n = 0;
        err = read_some(e, frame + got, VX_VAD_FRAME - got, deadline_ns, &n, info);
        got += n;
    }
    if (got == 0)
        return err;
    memset(frame + got, 0, (VX_VAD_FRAME - got) * sizeof *frame);
    for (size_t i = 0; i < got && e->zeros; i++)
        e->zeros = frame[i] == 0;
    e->n += VX_VAD_FRAME;
    e->n_heard += got;
    const vx_err pushed = push(e, frame, info);
    return pushed != VX_OK ? pushed : err;
}

/* Until an utterance is over, or there is none. */
static vx_err hear(ear *e, vx_errinfo *info)
{
    const size_t wait = samples_of(e->options->wait_s) + VX_VAD_DELAY * VX_VAD_FRAME;
    const uint64_t wait_due_ns = due_in(e->options->wait_s + GRACE_S);
    while (!e->over) {
        vx_errinfo cause = {0};
        if (!e->inside && e->n_pushed * VX_VAD_FRAME >= wait)
            return vx_errinfo_set(info, VX_ERR_DEADLINE, "nobody spoke within %g seconds", e->options->wait_s);
        vx_err err = hear_frame(e, e->inside ? due_in(STALL_S) : wait_due_ns, &cause);
        vx_capture_state state;
        vx_capture_get_state(e->capture, &state);
        if (state.has_playback && state.playback)
            e->played = e->base + e->n;
        /* A device has no end: it was stopped, and what it was about to say is nobody's. */
        const bool ends = err == VX_ERR_CLOSED && !e->stopped && strcmp(state.source, "file") == 0;
        if (ends || (err == VX_ERR_DEADLINE && e->inside)) {
            const vx_err pushed = push_silence(e, info);
            err = e->over || pushed != VX_OK ? pushed : err;
        }
        if (err != VX_OK)
            return vx_errinfo_set(info, err, "%s", vx_errinfo_text(&cause, err));
    }
    return VX_OK;
}

/* To ask in a pause took its time: what came in during that tells of the room. Nothing is waited for. */
static void take_room_behind(ear *e)
{
    const size_t most = e->n + samples_of(ROOM_S);
    for (size_t n = 1; n > 0 && e->n < most && e->cap - e->n >= VX_VAD_FRAME;) {
        if (vx_capture_read(e->capture, e->samples + e->n, VX_VAD_FRAME, 0, &n, NULL) != VX_OK)
            return;
        e->n += n;
        e->n_heard += n;
    }
}

static vx_err explain_silence(const ear *e, vx_err err, vx_errinfo *info)
{
    vx_capture_state state;
    if ((err != VX_ERR_DEADLINE && err != VX_ERR_CLOSED) || e->stopped || !e->zeros || e->n_heard == 0)
        return err;
    vx_capture_get_state(e->capture, &state);
    if (info != NULL)
        *info = (vx_errinfo){0};
    return vx_errinfo_set(info, VX_ERR_AUDIO_SILENT, "%s",
                          state.advice[0] != '\0' ? state.advice : vx_err_sentence(VX_ERR_AUDIO_SILENT));
}

vx_err vx_hear(vx_capture *capture, vx_vad *vad, const vx_listen_options *options, vx_heard *ret_heard,
               vx_errinfo *info)
{
    vx_capture_state state;
    vx_capture_get_state(capture, &state);
    const double before_s = fmin(fmax(options->before_s, 0), VX_AUDIO_MAX_S / 2);
    ear e = {
        .capture = capture,
        .vad = vad,
        .options = options,
        /* The detector's own is not told; where speech ends its probability falls within a frame or two. */
        .threshold = vx_vad_params_default().threshold,
        .before = samples_of(before_s),
        .most = samples_of(fmin(options->most_s, VX_AUDIO_MAX_S - before_s - LATE_S)),
        .n_earlier = state.n_samples,
        .zeros = true,
    };
    e.cap = e.before + e.most + (size_t)(2 * LATE_S * VX_AUDIO_RATE);
    e.samples = calloc(e.cap, sizeof *e.samples);
    if (e.samples == NULL)
        return VX_ERR_NOMEM;
    vx_vad_reset(vad);
    vx_errinfo cause = {0};
    vx_err err = hear(&e, &cause);
    if (err == VX_OK) {
        if (e.by_pause)
            take_room_behind(&e);
        const size_t n = e.base + e.n < e.n_heard ? e.n : e.n_heard - e.base;
        const size_t begin = back_from(e.begin, e.base), end = back_from(e.end, e.base);
        const size_t quiet = e.quiet < e.n_heard ? e.quiet : e.n_heard;
        *ret_heard = (vx_heard){.samples = e.samples,
                                .n = n,
                                .begin = begin < n ? begin : n,
                                .end = end < n ? end : n,
                                .playback = e.played > e.begin,
                                .ended_ns = vx_capture_time_ns(capture, e.n_earlier + quiet)};
        return VX_OK;
    }
    err = explain_silence(&e, err, &cause);
    if (info != NULL && info->code == VX_OK)
        *info = cause;
    vx_wipe(e.samples, e.n * sizeof *e.samples);
    free(e.samples);
    return err;
}
