/* cmd_verify.c - voxlock verify: one recording, or one live utterance, against one profile, with all the evidence, as an
 * attempt on record.
 */
#include <stdio.h>

#include "edge/attempt.h"
#include "edge/cmd.h"
#include "edge/guide.h"

enum { FLAG_JSON = 1 << 0, MICROPHONE = 1, GUIDE = 2 };

/* What is judged, however it was come by. */
typedef struct {
    vx_audio audio; /* of a file */
    vx_heard heard; /* of a microphone */
    char microphone[VX_MICROPHONE_CAP];
    char unheard[VX_ERRINFO_LINE]; /* why there is nothing to judge */
} subject;

static vx_err show(const vx_attempt_outcome *outcome)
{
    vx_buf text = {0};
    vx_err err = vx_attempt_show(outcome, &text);
    if (err == VX_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        err = VX_ERR_IO;
    vx_buf_done(&text);
    return err;
}

/* A recording that cannot be used is an attempt like another; a file that is not there is none. */
static vx_err read_file(const char *path, subject *s, vx_errinfo *info)
{
    const vx_err err = vx_cmd_read_audio(path, &s->audio, info);
    if (vx_exit_code(err) != VX_EXIT_AUDIO)
        return err;
    vx_errinfo_line(info, err, s->unheard, sizeof s->unheard);
    *info = (vx_errinfo){0};
    return VX_OK;
}

/* The same for a microphone: that nobody spoke, or that it gives nothing but zeros, is on record; that there is none, or
 * that whoever asked has changed their mind, is not. */
static vx_err listen(const vx_cmd_call *call, subject *s, vx_errinfo *info)
{
    vx_guide guide;
    vx_err err = vx_guide_open(call, GUIDE, 0, &guide, info);
    if (err != VX_OK)
        return err;
    vx_guide_prompt(&guide, "", "Speak now.");
    err = vx_guide_hear(&guide, &s->heard, s->microphone, info);
    const bool a_file = guide.a_file;
    vx_guide_close(&guide);
    if (vx_guide_interrupted()) {
        *info = (vx_errinfo){0};
        return vx_errinfo_set(info, VX_ERR_CLOSED, "stopped: nothing was judged");
    }
    if (err != VX_ERR_DEADLINE && !(err == VX_ERR_CLOSED && a_file) && vx_exit_code(err) != VX_EXIT_AUDIO)
        return err;
    if (err == VX_ERR_CLOSED)
        (void)snprintf(s->unheard, sizeof s->unheard, "nobody speaks in this recording");
    else
        vx_errinfo_line(info, err, s->unheard, sizeof s->unheard);
    *info = (vx_errinfo){0};
    return VX_OK;
}

/* Nothing is learned from it, spoken or not: somebody who tries voxlock out is no habit. */
static vx_err judge(vx_runtime *runtime, const vx_cmd_call *call, const subject *s, vx_attempt_outcome *ret_outcome,
                    vx_errinfo *info)
{
    const bool heard = s->heard.samples != NULL;
    const vx_attempt_request request = {.command = "verify",
                                        .speaker = call->operands[0],
                                        .samples = heard ? s->heard.samples : s->audio.samples,
                                        .n = heard ? s->heard.n : s->audio.n,
                                        .unheard = s->unheard,
                                        .clipped_share = heard ? -1 : s->audio.clipped_share,
                                        .own_speaker = s->heard.playback,
                                        .microphone =
                                            call->values[MICROPHONE] ? call->values[MICROPHONE] : s->microphone};
    return vx_attempt_run(runtime, &request, ret_outcome, info);
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    subject s = {0};
    vx_attempt_outcome outcome = {.verdict = VX_NO_EVIDENCE};
    vx_errinfo info = {0};
    const char *file = call->n_operands > 1 ? call->operands[1] : NULL, *what = file;
    for (int i = 0; file && i < VX_GUIDE_N_FLAGS; i++)
        if (call->values[GUIDE + i])
            return vx_cmd_misused("a file is judged in place of a microphone: leave out one of the two");
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    err = file ? read_file(file, &s, &info) : listen(call, &s, &info);
    if (err == VX_OK) {
        what = NULL;
        err = judge(&runtime, call, &s, &outcome, &info);
    }
    vx_audio_done(&s.audio);
    vx_heard_done(&s.heard);
    int code = VX_EXIT_OK;
    if (err == VX_OK && call->flags & FLAG_JSON)
        code = vx_cmd_print(vx_attempt_json(&outcome), true);
    else if (err == VX_OK)
        err = show(&outcome);
    if (err != VX_OK)
        code = vx_cmd_fail(what, err, &info);
    vx_runtime_close(&runtime);
    return code == VX_EXIT_OK ? vx_exit_of_verdict(outcome.verdict) : code;
}

const vx_cmd vx_cmd_verify = {
    .name = "verify",
    .usage = "NAME [FILE | --source NAME --device NAME | --file PATH] [--json]",
    .help = "Judge whether a recording, or without one what is spoken now, is NAME's living voice: the evidence, the "
            "verdict, and what to do; nothing is unlocked.",
    .flags = {{"--json", "one JSON object: verdict, sentence, voice, decision with its evidence, quality, route", NULL},
              {"--microphone", "what it was recorded with; a microphone says so itself", "TEXT"},
              VX_GUIDE_FLAGS},
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};
