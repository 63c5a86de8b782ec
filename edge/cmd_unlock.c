/* cmd_unlock.c - voxlock unlock: listen once, judge, ask for digits if need be, open this screen. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/cmd.h"
#include "edge/live.h"
#include "edge/store/password.h"
#include "edge/store/profiles.h"

enum { FLAG_JSON = 1 << 0, SOURCE = 1, DEVICE = 2, RECORDING = 3, FLAG_DRY = 1 << 4 };
static const double WAIT_S = 10;

/* Everything that one live attempt is made of. */
typedef struct {
    vx_runtime runtime;
    vx_capture *capture;
    vx_vad *vad;
    vx_phrase *phrase;
    vx_desktop desktop;
    bool has_desktop;
} booth;

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

static vx_err secret(void *arg, vx_buf *ret, vx_errinfo *info)
{
    (void)arg;
    return vx_password_get(ret, info);
}

/* The one whose screen it is: the profile named, or the only one there is. */
static vx_err find_speaker(const vx_cmd_call *call, vx_store *store, char ret_name[VX_NAME_CAP], vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    if (call->n_operands == 1) {
        (void)snprintf(ret_name, VX_NAME_CAP, "%s", call->operands[0]);
        return VX_OK;
    }
    vx_err err = vx_store_speakers(store, &speakers, &n, info);
    if (err == VX_OK && n == 1)
        (void)snprintf(ret_name, VX_NAME_CAP, "%s", speakers[0].name);
    else if (err == VX_OK)
        err = vx_errinfo_set(info, VX_ERR_NOT_ENROLLED,
                             n ? "several are enrolled: name one, voxlock unlock NAME"
                               : "nobody is enrolled yet: voxlock enroll NAME FILE...");
    free(speakers);
    return err;
}

static vx_err enter(const vx_cmd_call *call, booth *b, vx_errinfo *info)
{
    const vx_vad_params vad = vx_vad_params_default();
    const vx_capture_options options = {.source = call->values[RECORDING] ? "file" : call->values[SOURCE],
                                        .device = call->values[DEVICE],
                                        .path = call->values[RECORDING]};
    vx_errinfo why = {0};
    vx_err err = vx_capture_open(&options, &b->capture, info);
    if (err == VX_OK)
        err = vx_vad_create(&vad, &b->vad);
    /* Without a recogniser there is no challenge, without a desktop nothing opens: the verdict is told all the same. */
    if (err == VX_OK && vx_phrase_open(NULL, &b->phrase, &why) != VX_OK)
        dprintf(STDERR_FILENO, "voxlock: no digits can be asked for: %s\n", vx_errinfo_text(&why, VX_ERR_UNSUPPORTED));
    why = (vx_errinfo){0};
    if (err == VX_OK && !(call->flags & FLAG_DRY) && !call->values[RECORDING]) {
        b->has_desktop = vx_desktop_open(&b->desktop, &why) == VX_OK;
        if (!b->has_desktop)
            dprintf(STDERR_FILENO, "voxlock: no screen can be opened: %s\n", vx_errinfo_text(&why, VX_ERR_UNSUPPORTED));
    }
    return err;
}

static void leave(booth *b)
{
    if (b->has_desktop && b->desktop.close)
        b->desktop.close(b->desktop.arg);
    vx_phrase_close(b->phrase);
    vx_vad_destroy(b->vad);
    vx_capture_close(b->capture);
}

static int answer(const vx_live_outcome *out, bool json)
{
    if (json) {
        json_t *root = vx_attempt_json(&out->attempt);
        json_t *unlock = out->tried_to_open
                             ? json_pack("{s:s, s:s, s:f}", "result", vx_unlock_result_name(out->unlock.result),
                                         "sentence", out->unlock.sentence, "elapsed_ms", out->unlock.elapsed_ms)
                             : json_null();
        if (root && (json_object_set_new(root, "challenged", json_boolean(out->challenged)) != 0 ||
                     json_object_set_new(root, "digits_right", json_boolean(out->digits_right)) != 0 ||
                     json_object_set_new(root, "speech_to_verdict_ms", json_real(out->speech_to_verdict_ms)) != 0 ||
                     json_object_set_new(root, "unlock", unlock) != 0)) {
            json_decref(root);
            root = NULL;
        }
        return vx_cmd_print(root, true);
    }
    printf("%s: %s\n", vx_verdict_name(out->attempt.verdict), out->attempt.sentence);
    if (out->tried_to_open)
        printf("screen: %s\n", out->unlock.sentence);
    else if (out->attempt.verdict == VX_AUTHENTICATE && !out->attempt.may_unlock)
        puts("nothing was opened: the profile is not armed (voxlock profiles arm NAME)");
    return VX_EXIT_OK;
}

static int run(const vx_cmd_call *call)
{
    booth b = {0};
    char speaker[VX_NAME_CAP];
    vx_live_outcome out;
    vx_errinfo info = {0};
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &b.runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    struct sigaction stop = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    err = find_speaker(call, b.runtime.store, speaker, &info);
    if (err == VX_OK)
        err = enter(call, &b, &info);
    if (err == VX_OK) {
        const vx_live live = {.runtime = &b.runtime,
                              .capture = b.capture,
                              .vad = b.vad,
                              .phrase = b.phrase,
                              .desktop = b.has_desktop ? &b.desktop : NULL,
                              .unlock = vx_unlock_options_default(),
                              .secret = secret,
                              .wait_s = WAIT_S,
                              .from_file = call->values[RECORDING]};
        const vx_live_asker asker = {NULL, say, gone};
        if (!call->values[RECORDING])
            say(NULL, "Speak now.");
        err = vx_live_run(&live, "unlock", speaker, &asker, &out, &info);
    }
    int code = err == VX_OK ? answer(&out, call->flags & FLAG_JSON) : vx_cmd_fail(NULL, err, &info);
    if (err == VX_OK && out.unlock_err != VX_OK)
        (void)vx_cmd_fail("the unlock could not be written to the audit log", out.unlock_err, NULL);
    if (err == VX_OK && code == VX_EXIT_OK)
        code = vx_exit_of_verdict(out.attempt.verdict);
    leave(&b);
    vx_runtime_close(&b.runtime);
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
