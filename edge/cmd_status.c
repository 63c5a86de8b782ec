/* cmd_status.c - voxlock status: what runs here, why, and with which settings.
 * Owns:   one section for each part of the system; a part that comes later adds its own to the list.
 *         Does not: mend anything.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "edge/cmd.h"
#include "edge/route/router.h"
#include "edge/runtime.h"
#include "shared/base/json.h"
#include "shared/engine/choose.h"

enum { FLAG_JSON = 1 };

/* What the sections tell of. */
typedef struct {
    const vx_options *options;
    char folder[PATH_MAX];
    vx_engine *engine; /* NULL when none could be opened */
    vx_err err;        /* of opening it */
    vx_errinfo info;
    vx_engine_trials trials;
    vx_manifest manifest;
    vx_err manifest_err;
    vx_errinfo manifest_info;
    char data_folder[PATH_MAX];
    vx_store_view store;
    vx_err store_err;
    vx_errinfo store_info;
} facts;

static json_t *said(vx_err err, const vx_errinfo *info)
{
    char line[VX_ERRINFO_LINE];
    vx_errinfo_line(info, err, line, sizeof line);
    return vx_json_shown(line);
}

/* What bake measured; negative: nothing. */
static json_t *measure(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

static json_t *program_section(const facts *f)
{
    (void)f;
    return json_pack("{s:s}", "version", VX_VERSION);
}

static json_t *engine_section(const facts *f)
{
    vx_engine_info about;
    if (!f->engine)
        return json_pack("{s:b, s:s, s:o}", "opened", 0, "code", vx_err_code(f->err), "reason", said(f->err, &f->info));
    vx_engine_get_info(f->engine, &about);
    return json_pack("{s:b, s:s, s:o, s:b, s:s, s:s, s:s, s:s, s:i, s:f, s:o}", "opened", 1, "strategy", about.strategy,
                     "reason", vx_json_shown(about.reason), "degraded", about.degraded, "gemm", about.gemm, "isa",
                     about.isa, "device", about.device, "precision", about.precision, "threads_per_clip", about.threads,
                     "load_ms", about.load_ms, "self_test_cosine",
                     about.self_test >= -1 ? json_real(about.self_test) : json_null());
}

/* What each strategy said, in the order in which they were tried. */
static json_t *strategies_section(const facts *f)
{
    json_t *list = json_array();
    for (int i = 0; i < f->trials.n; i++) {
        const vx_engine_trial *trial = &f->trials.list[i];
        if (json_array_append_new(list, json_pack("{s:o, s:b, s:o, s:o}", "strategy", vx_json_shown(trial->strategy),
                                                  "opened", trial->err == VX_OK, "code",
                                                  trial->err ? json_string(vx_err_code(trial->err)) : json_null(),
                                                  "reason", vx_json_shown(trial->text))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *model_section(const facts *f)
{
    const vx_manifest *m = &f->manifest;
    char digest[VX_DIGEST_TEXT];
    if (f->manifest_err)
        return json_pack("{s:o, s:o}", "folder", vx_json_shown(f->folder), "reason",
                         said(f->manifest_err, &f->manifest_info));
    vx_model_digest_text(&m->digest, digest);
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:i, s:f, s:b}", "folder", vx_json_shown(f->folder), "name",
                     m->name, "accuracy", m->accuracy, "source", m->source, "licence", m->licence, "digest", digest,
                     "embedding_size", m->dim, "threshold", m->threshold, "calibrated", m->calibrated);
}

static json_t *artefacts_section(const facts *f)
{
    json_t *list = json_array();
    for (int i = 0; !f->manifest_err && i < f->manifest.n_artefacts; i++) {
        const vx_artefact *a = &f->manifest.artefacts[i];
        if (json_array_append_new(
                list, json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:s}", "strategy", a->strategy, "file", a->file,
                                "bytes", (json_int_t)a->bytes, "precision", vx_precision_name(a->precision),
                                "cosine_min", measure(a->cosine_min), "load_ms", measure(a->load_ms), "inference_ms",
                                measure(a->inference_ms), "auto", vx_choose_verdict_name(vx_choose_judge(a)))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* A computer on which nobody has enrolled yet has no store, and that is no fault. */
static json_t *store_section(const facts *f)
{
    const vx_store_view *v = &f->store;
    if (f->store_err)
        return json_pack("{s:b, s:o, s:s, s:o}", "opened", 0, "folder", vx_json_shown(f->data_folder), "code",
                         vx_err_code(f->store_err), "reason", said(f->store_err, &f->store_info));
    return json_pack("{s:b, s:o, s:s, s:o, s:i, s:i, s:I, s:I, s:I}", "opened", 1, "file", vx_json_shown(v->path),
                     "key_in", v->key_source, "warning", *v->key_warning ? vx_json_shown(v->key_warning) : json_null(),
                     "profiles", v->n_speakers, "recordings", v->n_samples, "attempts", (json_int_t)v->n_attempts,
                     "audit_entries", (json_int_t)v->n_audit, "bytes", (json_int_t)v->bytes);
}

/* Where the next embedding would be computed, and why. */
static json_t *route_section(const facts *f)
{
    vx_memory memory;
    vx_errinfo info = {0};
    const vx_err err = vx_memory_read(&memory, &info);
    const char *endpoint = vx_option_text(f->options, "VOXLOCK_CLOUD_ENDPOINT");
    const double most = vx_option_real(f->options, "VOXLOCK_CLOUD_PRESSURE");
    const bool cloud_first = *endpoint && !err && memory.pressure >= most;
    return json_pack("{s:s, s:o, s:f, s:o}", "first", vx_route_name(cloud_first ? VX_ROUTE_CLOUD : VX_ROUTE_DEVICE),
                     "memory_in_use", err ? said(err, &info) : json_real(memory.pressure), "cloud_from", most, "cloud",
                     *endpoint ? vx_json_shown(endpoint) : json_null());
}

static json_t *memory_section(const facts *f)
{
    vx_engine_info about = {0};
    if (f->engine)
        vx_engine_get_info(f->engine, &about);
    return json_pack("{s:I, s:I, s:I}", "resident_bytes", (json_int_t)vx_rss_bytes(), "resident_peak_bytes",
                     (json_int_t)vx_rss_peak_bytes(), "weights_bytes", (json_int_t)about.weights_bytes);
}

/* Those that somebody changed; secrets are masked by the table. */
static json_t *settings_section(const facts *f)
{
    const vx_option *option;
    const char *value, *origin;
    json_t *list = json_array();
    for (size_t i = 0; (option = vx_option_at(f->options, i, &value, &origin)); i++) {
        if (strcmp(origin, "default") == 0)
            continue;
        if (json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name", option->name, "value",
                                                  vx_json_shown(value), "origin", vx_json_shown(origin))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const struct {
    const char *name;
    json_t *(*gather)(const facts *f);
} sections[] = {
    {"voxlock", program_section}, {"engine", engine_section},       {"strategies", strategies_section},
    {"model", model_section},     {"artefacts", artefacts_section}, {"store", store_section},
    {"route", route_section},     {"memory", memory_section},       {"settings", settings_section},
};

static json_t *gather(const facts *f)
{
    json_t *root = json_object();
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (json_object_set_new(root, sections[i].name, sections[i].gather(f)) != 0) {
            json_decref(root);
            return NULL;
        }
    return root;
}

/* Opens what embed would open, and proves it. */
static void look(facts *f, const vx_engine_options *wanted)
{
    vx_engine_options engine = *wanted;
    engine.self_test = true;
    engine.ret_trials = &f->trials;
    f->manifest_err = vx_manifest_read(f->folder, &f->manifest, &f->manifest_info);
    f->err = vx_engine_open(f->folder, &engine, &f->engine, &f->info);
}

static void look_at_store(facts *f, char *const *environment)
{
    const vx_store_options options = {.folder = f->data_folder,
                                      .keyring = vx_keyring_kind_of(vx_option_text(f->options, "VOXLOCK_KEYRING")),
                                      .busy_ms = VX_STORE_BUSY_MS};
    vx_store *store = NULL;
    f->store_err =
        vx_runtime_data_folder(f->options, environment, f->data_folder, sizeof f->data_folder, &f->store_info);
    if (f->store_err == VX_OK)
        f->store_err = vx_store_open(&options, &store, &f->store_info);
    if (f->store_err == VX_OK)
        f->store_err = vx_store_get_view(store, &f->store, &f->store_info);
    vx_store_close(store);
}

static int run(const vx_cmd_call *call)
{
    facts f = {.options = call->options};
    vx_engine_options engine;
    vx_err err = vx_cmd_engine_options(call->options, &engine, f.folder, sizeof f.folder, &f.info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &f.info);
    look(&f, &engine);
    look_at_store(&f, call->environment);
    const int code = vx_cmd_print(gather(&f), call->flags & FLAG_JSON);
    vx_engine_close(f.engine);
    if (code != VX_EXIT_OK)
        return code;
    if (f.store_err != VX_OK && f.store_err != VX_ERR_NOT_FOUND)
        return vx_cmd_fail("the profile store", f.store_err, &f.store_info);
    if (f.err == VX_OK)
        return VX_EXIT_OK;
    (void)vx_cmd_fail(NULL, f.err, &f.info);
    return VX_EXIT_MODEL;
}

const vx_cmd vx_cmd_status = {
    .name = "status",
    .usage = "[--json]",
    .help = "Say what computes embeddings here and why, what the model is, and which settings were changed.",
    .flags = {{"--json",
               "one JSON object: voxlock, engine, strategies, model, artefacts, store, route, memory, settings", NULL}},
    .max_operands = 0,
    .run = run,
};
