/* cmd_doctor.c - voxlock doctor: what is wrong, and what to do about it; and what to try on a Mac. */
#include <stdio.h>
#include <unistd.h>

#include "edge/cmd.h"
#include "edge/doctor/doctor.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0, FLAG_FIX = 1 << 1, SOURCE = 2, DEVICE = 3, FLAG_MACOS = 1 << 4 };

/* For a program: everything. */
static json_t *as_object(const vx_check *check, const vx_finding *f)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:b, s:b}", "name", check->name, "result", vx_check_result_name(f->result),
                     "sentence", vx_json_shown(f->sentence), "advice", f->advice ? json_string(f->advice) : json_null(),
                     "fixable", f->fixable, "fixed", f->fixed);
}

/* For a person: one line. */
static json_t *as_line(const vx_finding *f)
{
    char line[VX_ERRINFO_LINE + 256];
    (void)snprintf(line, sizeof line, "%-8s %s%s%s%s", vx_check_result_name(f->result), f->fixed ? "mended: " : "",
                   f->sentence, f->advice ? "; " : "", f->advice ? f->advice : "");
    return vx_json_shown(line);
}

/* The report, and how many checks failed; NULL when memory is out. */
static json_t *examine(vx_patient *patient, unsigned flags, int *ret_n_failed)
{
    const bool json = flags & FLAG_JSON;
    json_t *checks = json ? json_array() : json_object();
    int n_failed = 0, bad = !checks;
    for (size_t i = 0; i < vx_n_checks && !bad; i++) {
        const vx_check *check = &vx_checks[i];
        const vx_finding f = vx_doctor_look(check, patient, flags & FLAG_FIX);
        n_failed += f.result == VX_CHECK_FAILED;
        bad = json ? json_array_append_new(checks, as_object(check, &f))
                   : json_object_set_new(checks, check->name, as_line(&f));
    }
    *ret_n_failed = n_failed;
    if (bad) {
        json_decref(checks);
        return NULL;
    }
    return json ? json_pack("{s:o, s:b}", "checks", checks, "ok", n_failed == 0) : json_pack("{s:o}", "checks", checks);
}

/* The list for a Mac's owner, to be read anywhere. */
static int show_mac_steps(bool json)
{
    json_t *steps = json ? json_array() : NULL;
    if (!json)
        printf("%s\n", vx_mac_before);
    for (size_t i = 0; i < vx_n_mac_steps; i++) {
        const vx_mac_step *step = &vx_mac_steps[i];
        if (!json)
            printf("%2zu. %s\n    -> %s\n", i + 1, step->act, step->expect);
        else if (json_array_append_new(steps, json_pack("{s:i, s:s, s:s}", "step", (int)i + 1, "act", step->act,
                                                        "expect", step->expect)) != 0) {
            json_decref(steps);
            return vx_cmd_print(NULL, true);
        }
    }
    if (json)
        return vx_cmd_print(json_pack("{s:o}", "steps", steps), true);
    printf("\n%s", vx_mac_after);
    return VX_EXIT_OK;
}

static int run(const vx_cmd_call *call)
{
    vx_patient patient;
    vx_errinfo info = {0};
    int n_failed = 0;
    if (call->flags & FLAG_MACOS)
        return show_mac_steps(call->flags & FLAG_JSON);
    const vx_err err = vx_patient_init(call->options, call->environment, &patient, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    patient.by_hand = true;
    patient.microphone = (vx_capture_options){.source = call->values[SOURCE], .device = call->values[DEVICE]};
    const int code = vx_cmd_print(examine(&patient, call->flags, &n_failed), call->flags & FLAG_JSON);
    vx_patient_done(&patient);
    if (code != VX_EXIT_OK || n_failed == 0)
        return code;
    dprintf(STDERR_FILENO, "voxlock: %d of %zu checks failed\n", n_failed, vx_n_checks);
    return VX_EXIT_FAILED;
}

const vx_cmd vx_cmd_doctor = {
    .name = "doctor",
    .usage = "[--fix] [--source NAME] [--device NAME] [--json] | --macos [--json]",
    .help = "Check settings, model, store, profiles, cloud, clock and resources, and what a live unlock needs: "
            "microphone, recogniser, speech, desktop, keyring, PAM and agent; and say what to do about each fault.",
    .flags = {{"--json", "one JSON object: checks (name, result, sentence, advice, fixable, fixed) and ok", NULL},
              {"--fix", "make the data folder, and close files to other users", NULL},
              {"--source", "sound system of the microphone: auto, pulse, alsa, coreaudio", "NAME"},
              {"--device", "microphone, as voxlock listen --devices names it", "NAME"},
              {"--macos", "print the ten-minute list of what to try on a Mac, and how to report it", NULL}},
    .max_operands = 0,
    .run = run,
};
