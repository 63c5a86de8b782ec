/* cmd_calibrate.c - voxlock calibrate: scores fitted to the recordings at hand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "edge/calibrate.h"
#include "edge/cmd.h"
#include "edge/learned.h"
#include "edge/likeness.h"
#include "edge/store/audit.h"
#include "shared/base/bytes.h"

enum { FLAG_JSON = 1 << 0, FLAG_DRY = 1 << 1, FLAG_FORGET = 1 << 2 };

/* The voice in a stranger's recording. */
static vx_err embed_stranger(vx_runtime *runtime, const char *path, vx_embedding *ret, vx_quality *ret_quality,
                             vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_err err = vx_cmd_read_audio(path, &audio, info);
    if (err == VX_OK)
        err = vx_voice_embed(runtime, &audio, ret, ret_quality, info);
    vx_audio_done(&audio);
    return err;
}

/* Both measured on recordings that the fit had not seen; 1 is what a coin gives. */
static bool is_better(const vx_calibrated *c)
{
    return c->fitted && c->cllr_after < 1 && c->cllr_after <= c->cllr_before;
}

static json_t *rate_json(const vx_error_rate *r)
{
    return r->trials ? json_pack("{s:i, s:i, s:f, s:f, s:f}", "errors", r->errors, "trials", r->trials, "rate", r->rate,
                                 "low", r->low, "high", r->high)
                     : json_null();
}

static json_t *document(const vx_calibrated *c, bool saved)
{
    return json_pack("{s:{s:b, s:b, s:i, s:i, s:f, s:o, s:o}, s:o, s:o}", "calibration", "fitted", c->fitted, "saved",
                     saved, "same_speaker_trials", c->n_same, "other_speaker_trials", c->n_other, "threshold",
                     c->calibration.threshold, "cllr_before",
                     isnan(c->cllr_before) ? json_null() : json_real(c->cllr_before), "cllr_after",
                     isnan(c->cllr_after) ? json_null() : json_real(c->cllr_after), "false_rejects",
                     rate_json(&c->false_rejects), "false_accepts", rate_json(&c->false_accepts));
}

static void show_rate(const char *what, const vx_error_rate *r)
{
    printf("%s: %d of %d trials, %.1f %% (95 %%: %.1f to %.1f %%)\n", what, r->errors, r->trials, 100 * r->rate,
           100 * r->low, 100 * r->high);
}

static void show(const vx_calibrated *c, bool saved)
{
    printf("%d trials of one voice, %d of two\n", c->n_same, c->n_other);
    show_rate("false rejects", &c->false_rejects);
    if (c->n_other > 0)
        show_rate("false accepts", &c->false_accepts);
    else
        puts("false accepts: cannot be stated without recordings of other people");
    if (c->fitted)
        printf("cost of the scores (Cllr): %.3f before, %.3f after; 1 is a coin's\n", c->cllr_before, c->cllr_after);
    if (saved)
        puts("The new calibration is in force.");
    else if (!c->fitted)
        puts("Nothing was fitted: name recordings of other people, voxlock calibrate FILE...");
    else if (!is_better(c))
        puts("Nothing was changed: the fit is no better than what is in force. Are the recordings of whom they should "
             "be?");
    else
        puts("Nothing was changed (--dry-run).");
    puts("Trials that share a recording are not independent: the true intervals are wider.");
}

static vx_err calibrate(const vx_cmd_call *call, vx_runtime *runtime, vx_calibrated *ret, bool *ret_saved,
                        const char **ret_what, vx_errinfo *info)
{
    const size_t n = (size_t)call->n_operands;
    vx_embedding *strangers = calloc(n + 1, sizeof *strangers);
    vx_quality *measures = calloc(n + 1, sizeof *measures);
    vx_err err = strangers && measures ? VX_OK : VX_ERR_NOMEM;
    for (size_t i = 0; i < n && err == VX_OK; i++) {
        *ret_what = call->operands[i];
        err = embed_stranger(runtime, *ret_what, &strangers[i], &measures[i], info);
    }
    if (err == VX_OK) {
        *ret_what = NULL;
        err = vx_calibrate(runtime, strangers, measures, n, ret, info);
    }
    /* Recordings under the wrong name would teach the opposite: then it says so, and nothing changes. */
    *ret_saved = err == VX_OK && is_better(ret) && !(call->flags & FLAG_DRY);
    if (*ret_saved)
        err = vx_learned_save_calibration(runtime->store, &runtime->manifest.digest, &ret->calibration, info);
    if (err == VX_OK && *ret_saved)
        err = vx_audit_add(runtime->store, "calibrated", "", "{}", info);
    if (strangers)
        vx_wipe(strangers, (n + 1) * sizeof *strangers);
    free(strangers);
    free(measures);
    return err;
}

static vx_err forget(vx_runtime *runtime, vx_errinfo *info)
{
    vx_err err = vx_learned_save_calibration(runtime->store, &runtime->manifest.digest, NULL, info);
    return err == VX_OK ? vx_audit_add(runtime->store, "calibrated", "", "{\"forgotten\":true}", info) : err;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_calibrated made = {0};
    vx_errinfo info = {0};
    bool saved = false;
    const char *what = NULL;
    const bool forgets = call->flags & FLAG_FORGET, json = call->flags & FLAG_JSON;
    if (forgets && (call->flags & FLAG_DRY || call->n_operands > 0))
        return vx_cmd_misused("--forget goes alone: it takes back what was fitted");
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    err = forgets ? forget(&runtime, &info) : calibrate(call, &runtime, &made, &saved, &what, &info);
    int code = VX_EXIT_OK;
    if (err != VX_OK)
        code = vx_cmd_fail(what, err, &info);
    else if (forgets)
        code = vx_cmd_print(json_pack("{s:{s:b}}", "calibration", "forgotten", 1), json);
    else if (json)
        code = vx_cmd_print(document(&made, saved), true);
    else
        show(&made, saved);
    vx_runtime_close(&runtime);
    const bool refused = err == VX_OK && made.fitted && !saved && !(call->flags & FLAG_DRY);
    return code == VX_EXIT_OK && refused ? VX_EXIT_FAILED : code;
}

const vx_cmd vx_cmd_calibrate = {
    .name = "calibrate",
    .usage = "[FILE...] [--dry-run | --forget] [--json]",
    .help = "Fit scores to the recordings kept and to FILEs of other people, and state the error rates that follow.",
    .flags = {{"--json", "one JSON object: calibration, false_rejects, false_accepts", NULL},
              {"--dry-run", "change nothing", NULL},
              {"--forget", "go back to the model's own calibration", NULL}},
    .max_operands = -1,
    .run = run,
};
