/* cmd_unlock.c - voxlock unlock: listen once, judge, ask for digits if need be, open this screen. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "edge/booth.h"
#include "edge/cmd.h"
#include "edge/turn.h"

enum { FLAG_JSON = 1 << 0, SOURCE = 1, DEVICE = 2, RECORDING = 3, FLAG_DRY = 1 << 4 };
static const double WAIT_S = 10;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void say(void *arg, const char *sentence)
{
    (void)arg;
    dprintf(STDERR_FILENO, "%s\n", sentence);
}

static bool gone(void *arg)
{
    (void)arg;
    return interrupted;
}

static int answer(const vx_live_outcome *out, bool json)
{
    if (json)
        return vx_cmd_print(vx_live_json(out), true);
    printf("%s: %s\n", vx_verdict_name(out->attempt.verdict), out->attempt.sentence);
    if (out->tried_to_open)
        printf("screen: %s\n", out->unlock.sentence);
    else if (out->attempt.verdict == VX_AUTHENTICATE && !out->attempt.may_unlock)
        puts("nothing was opened: the profile is not armed (voxlock profiles arm NAME)");
    return VX_EXIT_OK;
}

/* What cannot be had is said before anybody speaks; the verdict is told all the same. */
static void say_what_lacks(const vx_booth *booth, bool wants_desktop)
{
    if (*booth->no_phrase)
        dprintf(STDERR_FILENO, "voxlock: no digits can be asked for: %s\n", booth->no_phrase);
    if (wants_desktop && *booth->no_desktop)
        dprintf(STDERR_FILENO, "voxlock: no screen can be opened: %s\n", booth->no_desktop);
}

/* An agent that waits for a phrase closes its microphone for as long. */
static vx_err hold_sign(const vx_cmd_call *call, const vx_runtime *runtime, int *ret_fd, vx_errinfo *info)
{
    char folder[1024];
    if (vx_agent_folder(call->environment, runtime->data_folder, folder, sizeof folder, NULL) != VX_OK)
        return VX_OK;
    return vx_sign_hold(folder, ret_fd, info);
}

static vx_err unlock(const vx_cmd_call *call, vx_runtime *runtime, vx_live_outcome *ret_outcome, vx_errinfo *info)
{
    vx_booth booth = {0};
    int sign = -1;
    char speaker[VX_NAME_CAP];
    const char *recording = call->values[RECORDING];
    const bool wants_desktop = !(call->flags & FLAG_DRY) && !recording;
    const vx_booth_wish wish = {.settings = call->options,
                                .microphone = {.source = recording ? "file" : call->values[SOURCE],
                                               .device = call->values[DEVICE],
                                               .path = recording},
                                .desktop = wants_desktop};
    vx_err err = vx_booth_speaker(runtime->store, call->n_operands == 1 ? call->operands[0] : NULL, speaker, info);
    if (err == VX_OK && !recording)
        err = hold_sign(call, runtime, &sign, info);
    if (err == VX_OK)
        err = vx_booth_open(&wish, &booth, info);
    if (err == VX_OK) {
        const vx_live_asker asker = {NULL, say, gone};
        vx_live live = vx_booth_live(&booth, runtime, true);
        live.wait_s = WAIT_S;
        live.from_file = recording != NULL;
        say_what_lacks(&booth, wants_desktop);
        if (!recording)
            say(NULL, "Speak now.");
        err = vx_live_run(&live, "unlock", speaker, &asker, ret_outcome, info);
    }
    vx_booth_close(&booth);
    if (sign >= 0)
        (void)close(sign);
    return err;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_live_outcome out;
    vx_errinfo info = {0};
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    struct sigaction stop = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    err = unlock(call, &runtime, &out, &info);
    int code = err == VX_OK ? answer(&out, call->flags & FLAG_JSON) : vx_cmd_fail(NULL, err, &info);
    if (err == VX_OK && out.unlock_err != VX_OK)
        (void)vx_cmd_fail("the unlock could not be written to the audit log", out.unlock_err, NULL);
    if (err == VX_OK && code == VX_EXIT_OK)
        code = vx_exit_of_verdict(out.attempt.verdict);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_unlock = {
    .name = "unlock",
    .usage = "[NAME] [--source NAME] [--device NAME] [--dry-run] [--json]",
    .help = "Listen for one utterance, judge it, ask for digits if that is not enough, and open the screen if it is "
            "locked.",
    .flags = {{"--json", "one JSON object: verdict, evidence, challenge, unlock", NULL},
              {"--source", "sound system: auto, pulse, alsa, coreaudio", "NAME"},
              {"--device", "microphone, as voxlock listen --devices names it", "NAME"},
              {"--recording", "a file in place of the microphone; opens and teaches nothing", "PATH"},
              {"--dry-run", "open nothing", NULL}},
    .max_operands = 1,
    .run = run,
};
