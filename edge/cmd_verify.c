/* cmd_verify.c - voxlock verify: one recording against one profile, with all the evidence, as an attempt on record. */
#include <stdio.h>

#include "edge/attempt.h"
#include "edge/cmd.h"

enum { FLAG_JSON = 1 << 0, MICROPHONE = 1 };

static vx_err show(const vx_attempt_outcome *outcome)
{
    vx_buf text = {0};
    vx_err err = vx_attempt_show(outcome, &text);
    if (err == VX_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        err = VX_ERR_IO;
    vx_buf_done(&text);
    return err;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_audio audio = {0};
    vx_attempt_outcome outcome = {.verdict = VX_NO_EVIDENCE};
    vx_errinfo info = {0};
    const char *what = NULL;
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    what = call->operands[1];
    err = vx_cmd_read_audio(what, &audio, &info);
    /* A recording that cannot be used is an attempt like another; a file that is not there is none. */
    if (err == VX_OK || vx_exit_code(err) == VX_EXIT_AUDIO) {
        char unheard[VX_ERRINFO_LINE];
        vx_errinfo_line(&info, err, unheard, sizeof unheard);
        info = (vx_errinfo){0};
        what = NULL;
        const vx_attempt_request request = {.command = "verify",
                                            .speaker = call->operands[0],
                                            .samples = audio.samples,
                                            .n = audio.n,
                                            .unheard = unheard,
                                            .clipped_share = audio.clipped_share,
                                            .microphone = call->values[MICROPHONE] ? call->values[MICROPHONE] : ""};
        err = vx_attempt_run(&runtime, &request, &outcome, &info);
    }
    vx_audio_done(&audio);
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
    .usage = "NAME FILE [--json]",
    .help = "Judge whether a recording is NAME's living voice: the evidence, the verdict, and what to do; nothing is "
            "unlocked.",
    .flags = {{"--json", "one JSON object: verdict, sentence, voice, decision with its evidence, quality, route", NULL},
              {"--microphone", "what it was recorded with", "TEXT"}},
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
