/* bake_check.c - a baked model folder, artefact by artefact. */
#include "cloud/bake_check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/cpu.h"
#include "shared/base/json.h"
#include "shared/engine/choose.h"
#include "shared/engine/engine.h"
#include "shared/engine/engine_settings.h"
#include "shared/engine/parity.h"
#include "shared/engine/score.h"

typedef enum {
    VERDICT_OK,
    VERDICT_STRAYS, /* it runs, but below VX_CHOOSE_COSINE; auto leaves it out, so nothing is wrong with the folder */
    VERDICT_UNAVAILABLE, /* this build or machine cannot run it */
    VERDICT_FAILED
} verdict;

static const char *const verdict_names[] = {"ok", "strays", "unavailable", "failed"};

typedef struct {
    const vx_artefact *artefact;
    verdict verdict;
    char reason[VX_ERRINFO_LINE]; /* "" when ok */
    bool was_run;                 /* all below is known */
    char library[64];
    const char *isa, *device, *precision; /* static */
    vx_parity_cosines cosines;
    double load_ms, inference_ms;
    double memory_mb; /* growth of resident memory, from before the open to after the runs */
} row;

/* What auto takes; strategy is "" when nothing could be opened, and reason then says why. */
typedef struct {
    char strategy[16], reason[VX_ERRINFO_LINE];
    const char *device, *precision; /* static */
    bool degraded;
} choice;

typedef struct {
    const char *folder;
    vx_engine_options engine;
    bool is_auto;
    vx_manifest manifest;
    vx_parity *parity;
    row rows[VX_MANIFEST_MAX_ARTEFACTS];
    int n_rows;
    choice choice; /* where is_auto */
} check;

/* ---- checking ---- */

static void give_verdict(row *r, verdict given, vx_err err, const vx_errinfo *cause)
{
    r->verdict = given;
    vx_errinfo_line(cause, err, r->reason, sizeof r->reason);
}

/* How far off its embeddings are, against what auto makes of the manifest's statement. */
static void judge(const check *c, row *r)
{
    if (r->cosines.min >= VX_CHOOSE_COSINE)
        return;
    r->verdict = vx_choose_judge(r->artefact) == VX_CHOOSE_ALLOWED ? VERDICT_FAILED : VERDICT_STRAYS;
    snprintf(r->reason, sizeof r->reason, "clip %zu of %zu has cosine %.6f to the reference, %s needs %.3f",
             r->cosines.worst + 1, vx_parity_clips(c->parity), r->cosines.min,
             r->verdict == VERDICT_FAILED ? "and auto, which takes it," : "auto", VX_CHOOSE_COSINE);
}

static vx_err measure(const check *c, vx_engine *engine, unsigned long long before, row *r, vx_errinfo *info)
{
    vx_engine_info about;
    vx_engine_get_info(engine, &about);
    snprintf(r->library, sizeof r->library, "%s", about.gemm);
    r->isa = about.isa;
    r->device = about.device;
    r->precision = about.precision;
    r->load_ms = about.load_ms;
    vx_err err = vx_parity_compare(c->parity, engine, &r->cosines, info);
    if (err == VX_OK)
        err = vx_parity_time(c->parity, engine, &r->inference_ms, info);
    r->memory_mb = ((double)vx_rss_bytes() - (double)before) / 1e6;
    return err;
}

static void check_artefact(const check *c, row *r)
{
    vx_errinfo cause = {0};
    vx_map map = {0};
    vx_engine *engine = NULL;
    vx_engine_options options = c->engine;
    const unsigned long long before = vx_rss_bytes();
    /* Also where nothing here can run it: the folder may be meant for another machine. */
    vx_err err = vx_manifest_open_artefact(c->folder, r->artefact, &map, &cause);
    vx_map_close(&map);
    if (err != VX_OK) {
        give_verdict(r, VERDICT_FAILED, err, &cause);
        return;
    }
    options.strategy = r->artefact->strategy;
    err = vx_engine_open(c->folder, &options, &engine, &cause);
    if (err != VX_OK) {
        const bool is_absent = err == VX_ERR_OPTION_VALUE || err == VX_ERR_UNSUPPORTED;
        give_verdict(r, is_absent ? VERDICT_UNAVAILABLE : VERDICT_FAILED, err, &cause);
        return;
    }
    err = measure(c, engine, before, r, &cause);
    vx_engine_close(engine);
    if (err != VX_OK) {
        give_verdict(r, VERDICT_FAILED, err, &cause);
        return;
    }
    r->was_run = true;
    judge(c, r);
}

/* By opening, as the service does: what the manifest favours may not be there. */
static void find_choice(check *c)
{
    vx_errinfo cause = {0};
    vx_engine *engine = NULL;
    vx_engine_options options = c->engine;
    options.fall_back = true;
    vx_err err = vx_engine_open(c->folder, &options, &engine, &cause);
    if (err != VX_OK) {
        vx_errinfo_line(&cause, err, c->choice.reason, sizeof c->choice.reason);
        return;
    }
    vx_engine_info about;
    vx_engine_get_info(engine, &about);
    snprintf(c->choice.strategy, sizeof c->choice.strategy, "%s", about.strategy);
    snprintf(c->choice.reason, sizeof c->choice.reason, "%s", about.reason);
    c->choice.device = about.device;
    c->choice.precision = about.precision;
    c->choice.degraded = about.degraded;
    vx_engine_close(engine);
}

static vx_err check_folder(const char *strategy, check *c, vx_errinfo *info)
{
    for (int i = 0; i < c->manifest.n_artefacts; i++)
        if (c->is_auto || strcmp(c->manifest.artefacts[i].strategy, strategy) == 0)
            c->rows[c->n_rows++].artefact = &c->manifest.artefacts[i];
    if (c->n_rows == 0)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISSING, c->folder, -1, 0,
                                 "the manifest lists no artefact for strategy '%s'", strategy);
    for (int i = 0; i < c->n_rows; i++)
        check_artefact(c, &c->rows[i]);
    if (c->is_auto)
        find_choice(c);
    return VX_OK;
}

static bool holds(const check *c)
{
    int n_run = 0;
    for (int i = 0; i < c->n_rows; i++) {
        if (c->rows[i].verdict == VERDICT_FAILED)
            return false;
        n_run += c->rows[i].was_run;
    }
    return n_run > 0 && (!c->is_auto || c->choice.strategy[0]);
}

/* ---- telling ---- */

/* What the manifest states, or null where bake did not measure. */
static json_t *stated_json(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

static json_t *row_json(const row *r)
{
    const vx_artefact *a = r->artefact;
    json_t *stated = json_pack("{s:s, s:o, s:o, s:o}", "precision", vx_precision_name(a->precision), "cosine_min",
                               stated_json(a->cosine_min), "load_ms", stated_json(a->load_ms), "inference_ms",
                               stated_json(a->inference_ms));
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:o}", "strategy", a->strategy, "file", a->file, "verdict",
                             verdict_names[r->verdict], "reason", vx_json_shown(r->reason), "stated", stated);
    if (!root || !r->was_run)
        return root;
    json_t *run =
        json_pack("{s:o, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "library", vx_json_shown(r->library), "isa", r->isa,
                  "device", r->device, "precision", r->precision, "cosine_min", r->cosines.min, "cosine_median",
                  r->cosines.median, "load_ms", r->load_ms, "inference_ms", r->inference_ms, "memory_mb", r->memory_mb);
    if (!run || json_object_update(root, run) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(run);
    return root;
}

static json_t *choice_json(const check *c)
{
    const choice *auto_ = &c->choice;
    if (!c->is_auto)
        return json_null();
    if (!auto_->strategy[0])
        return json_pack("{s:n, s:o}", "strategy", "reason", vx_json_shown(auto_->reason));
    return json_pack("{s:s, s:s, s:s, s:o, s:b}", "strategy", auto_->strategy, "device", auto_->device, "precision",
                     auto_->precision, "reason", vx_json_shown(auto_->reason), "degraded", auto_->degraded);
}

static vx_err write_json(const check *c, vx_buf *out)
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&c->manifest.digest, digest);
    json_t *rows = json_array();
    vx_err err = rows ? VX_OK : VX_ERR_NOMEM;
    for (int i = 0; i < c->n_rows && err == VX_OK; i++)
        if (json_array_append_new(rows, row_json(&c->rows[i])) != 0)
            err = VX_ERR_NOMEM;
    json_t *root =
        json_pack("{s:o, s:s, s:s, s:i, s:f, s:o, s:o, s:b}", "folder", vx_json_shown(c->folder), "model",
                  c->manifest.name, "digest", digest, "clips", (int)vx_parity_clips(c->parity), "seconds",
                  vx_parity_seconds(c->parity), "artefacts", rows, "auto", choice_json(c), "holds", holds(c));
    if (err == VX_OK)
        err = root ? vx_json_write(root, out) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_buf_append(out, "\n", 1);
    json_decref(root);
    return err;
}

/* A measured time with the manifest's beside: "4.8 (4.7)". */
static const char *time_text(double measured, double stated, char room[32])
{
    if (stated < 0)
        snprintf(room, 32, "%.1f (-)", measured);
    else
        snprintf(room, 32, "%.1f (%.1f)", measured, stated);
    return room;
}

static vx_err write_row(const row *r, vx_buf *out)
{
    const vx_artefact *a = r->artefact;
    char load[32], inference[32];
    vx_err err = vx_buf_printf(out, "%-10s %-22s %-12s", a->strategy, a->file, verdict_names[r->verdict]);
    if (err == VX_OK && r->was_run)
        err = vx_buf_printf(out, "%-10s %-10.6f %-10.6f %-17s %-17s %9.1f  %s, %s, %s", r->precision, r->cosines.min,
                            r->cosines.median, time_text(r->load_ms, a->load_ms, load),
                            time_text(r->inference_ms, a->inference_ms, inference), r->memory_mb, r->library, r->isa,
                            r->device);
    if (err == VX_OK)
        err = vx_buf_printf(out, r->was_run && r->reason[0] ? "\n           %s\n" : "%s\n", r->reason);
    return err;
}

static vx_err write_text(const check *c, vx_buf *out)
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&c->manifest.digest, digest);
    vx_err err = vx_buf_printf(out,
                               "model      %s, %s\n"
                               "clips      %zu, %.1f s together; embed: a clip of %d s, one thread, median of %d\n\n"
                               "%-10s %-22s %-12s%-10s %-10s %-10s %-17s %-17s %9s\n",
                               c->manifest.name, digest, vx_parity_clips(c->parity), vx_parity_seconds(c->parity),
                               VX_PARITY_TIMED_S, VX_PARITY_RUNS, "strategy", "file", "verdict", "precision",
                               "cosine min", "median", "load ms (stated)", "embed ms (stated)", "memory MB");
    for (int i = 0; i < c->n_rows && err == VX_OK; i++)
        err = write_row(&c->rows[i], out);
    if (err == VX_OK && c->is_auto && c->choice.strategy[0])
        err = vx_buf_printf(out, "\nauto       takes %s in %s on %s%s: %s\n", c->choice.strategy, c->choice.precision,
                            c->choice.device, c->choice.degraded ? ", degraded" : "", c->choice.reason);
    else if (err == VX_OK && c->is_auto)
        err = vx_buf_printf(out, "\nauto       can open nothing: %s\n", c->choice.reason);
    if (err == VX_OK)
        err = vx_buf_printf(out, "%s\n", holds(c) ? "the folder holds" : "the folder does NOT hold");
    return err;
}

vx_err vx_bake_check(const vx_options *options, const char *folder, bool json, bool *ret_holds, vx_errinfo *info)
{
    char ignored[PATH_MAX];
    vx_buf text = {0};
    vx_cohort cohort = {0};
    check *c = calloc(1, sizeof *c);
    if (!c)
        return VX_ERR_NOMEM;
    c->folder = folder;
    vx_err err = vx_engine_settings(options, &c->engine, ignored, sizeof ignored, info);
    if (err != VX_OK)
        goto out;
    const char *strategy = c->engine.strategy;
    c->is_auto = strcmp(strategy, "auto") == 0;
    c->engine.self_test = true;
    err = vx_manifest_read(folder, &c->manifest, info);
    if (err == VX_OK)
        err = vx_parity_open(folder, &c->manifest, &c->parity, info);
    /* No strategy needs it, and who enrols a voice does. */
    if (err == VX_OK)
        err = vx_cohort_open(folder, &c->manifest, &cohort, info);
    if (err == VX_OK)
        err = check_folder(strategy, c, info);
    if (err == VX_OK)
        err = json ? write_json(c, &text) : write_text(c, &text);
    if (err == VX_OK && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        err = vx_errinfo_set(info, VX_ERR_IO, "standard output cannot be written");
    if (err == VX_OK)
        *ret_holds = holds(c);
out:
    vx_buf_done(&text);
    vx_cohort_close(&cohort);
    vx_parity_close(c->parity);
    free(c);
    return err;
}
