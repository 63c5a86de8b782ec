/* engine.c - chooses a strategy, and guards what goes in and what comes out of it. */
#include "shared/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/engine/choose.h"
#include "shared/engine/self_test.h"
#include "shared/engine/strategy.h"

static const vx_strategy *const strategies[] = {&vx_strategy_native, &vx_strategy_jit, &vx_strategy_onnx};

struct vx_engine {
    vx_manifest manifest;
    const vx_strategy *strategy;
    vx_strategy_state *state;
    double load_ms, self_test;
    bool degraded;
    char reason[256];
};

vx_engine_options vx_engine_options_default(void)
{
    return (vx_engine_options){.strategy = "auto", .device = "cpu", .gemm = "auto", .threads = 1, .isa = vx_isa_best()};
}

const vx_strategy *vx_strategy_find(const char *name)
{
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++)
        if (strcmp(strategies[i]->name, name) == 0)
            return strategies[i];
    return NULL;
}

static bool is_auto(const char *name)
{
    return !name || strcmp(name, "auto") == 0;
}

static bool is_cpu(const char *device)
{
    return !device || strcmp(device, "cpu") == 0;
}

/* ---- opening ---- */

/* One strategy, opened and proven, or nothing. */
static vx_err open_strategy(vx_engine *engine, const char *folder, const char *name, const vx_engine_options *options,
                            vx_errinfo *info)
{
    const vx_strategy *strategy = vx_strategy_find(name);
    if (!strategy)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "this build has no strategy '%s'; use auto or native", name);
    if (strategy->on_cpu_only && !is_cpu(options->device))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "strategy '%s' runs on the CPU only; ECAPA_DEVICE=%s needs jit", name, options->device);
    if (!vx_manifest_artefact(&engine->manifest, name))
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISSING, folder, -1, 0,
                                 "the manifest lists no artefact for strategy '%s'", name);
    vx_err err = strategy->open(folder, &engine->manifest, options, &engine->state, info);
    if (err != VX_OK)
        return err;
    engine->strategy = strategy;
    /* What was written down once about a library's network says little of this library, device and machine. */
    if (options->self_test || strategy != &vx_strategy_native)
        err = vx_engine_self_test(engine, &engine->self_test, info);
    if (err != VX_OK) {
        strategy->close(engine->state);
        engine->strategy = NULL;
        engine->state = NULL;
    }
    return err;
}

/* The way asked for; with auto, the first in order. */
static vx_err open_wanted(vx_engine *engine, const char *folder, const vx_engine_options *options,
                          const vx_artefact *const *order, int n_order, vx_errinfo *info)
{
    const char *name = options->strategy;
    if (!is_auto(name)) {
        snprintf(engine->reason, sizeof engine->reason, "asked for by ECAPA_PREFERRED_STRATEGY");
    } else if (is_cpu(options->device)) {
        name = order[0]->strategy;
        vx_choose_reason(order, n_order, !options->reference_first, engine->reason, sizeof engine->reason);
    } else {
        name = "jit";
        snprintf(engine->reason, sizeof engine->reason, "auto: the strategy that runs on %s", options->device);
    }
    return open_strategy(engine, folder, name, options, info);
}

/* Whatever opens, in order. why: what was wrong with the way asked for. When nothing opens the error is the last one's,
 * since that keeps the service down, and may pass where a setting does not. */
static vx_err open_other(vx_engine *engine, const char *folder, const vx_engine_options *options,
                         const vx_artefact *const *order, int n_order, const char *why, vx_errinfo *info)
{
    vx_err err = VX_ERR_INTERNAL;
    vx_errinfo last = {0};
    for (int i = 0; i < n_order; i++) {
        last = (vx_errinfo){0};
        err = open_strategy(engine, folder, order[i]->strategy, options, &last);
        if (err != VX_OK)
            continue;
        engine->degraded = true;
        snprintf(engine->reason, sizeof engine->reason, "fell back to %s: %.200s", engine->strategy->name, why);
        return VX_OK;
    }
    *info = last;
    return err;
}

static vx_err open_any(vx_engine *engine, const char *folder, const vx_engine_options *options, vx_errinfo *info)
{
    const vx_artefact *order[VX_MANIFEST_MAX_ARTEFACTS];
    const int n_order = vx_choose(&engine->manifest, !options->reference_first, order);
    vx_errinfo wanted = {0};
    vx_err err = open_wanted(engine, folder, options, order, n_order, &wanted);
    vx_engine_options rest = *options;
    bool has_rest = is_auto(options->strategy) && is_cpu(options->device) && n_order > 1;
    if (options->fall_back) {
        has_rest |= !is_auto(options->strategy) || !is_auto(options->gemm) || !is_cpu(options->device);
        rest.gemm = "auto";
        rest.device = "cpu";
        rest.precision = VX_PRECISION_AUTO;
    }
    vx_errinfo last = wanted;
    if (err != VX_OK && has_rest) {
        char why[VX_ERRINFO_LINE];
        vx_errinfo_line(&wanted, err, why, sizeof why);
        err = open_other(engine, folder, &rest, order, n_order, why, &last);
    }
    if (err != VX_OK && info && info->code == VX_OK)
        *info = last;
    return err;
}

vx_err vx_engine_open(const char *folder, const vx_engine_options *options, vx_engine **ret_engine, vx_errinfo *info)
{
    uint64_t start = vx_now_ns();
    if (options->threads < 1 || options->threads > 256)
        return vx_errinfo_set(info, VX_ERR_ARG, "%d threads: expected 1 to 256", options->threads);
    if (!vx_isa_available(options->isa))
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "this machine has no %s", vx_isa_name(options->isa));
    vx_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return VX_ERR_NOMEM;
    engine->self_test = -2;
    vx_err err = vx_manifest_read(folder, &engine->manifest, info);
    if (err == VX_OK && engine->manifest.dim > VX_EMBEDDING_MAX_DIM)
        err = vx_errinfo_set(info, VX_ERR_MODEL_SHAPE, "%d-dimensional embeddings: at most %d are supported",
                             engine->manifest.dim, VX_EMBEDDING_MAX_DIM);
    if (err == VX_OK)
        err = open_any(engine, folder, options, info);
    if (err != VX_OK) {
        free(engine);
        return err;
    }
    engine->load_ms = vx_ms_since(start);
    *ret_engine = engine;
    return VX_OK;
}

void vx_engine_close(vx_engine *engine)
{
    if (!engine)
        return;
    engine->strategy->close(engine->state);
    free(engine);
}

/* ---- running ---- */

static vx_err check_length(size_t n)
{
    if (n < (size_t)(VX_AUDIO_MIN_S * VX_AUDIO_RATE))
        return VX_ERR_AUDIO_SHORT;
    return n > VX_AUDIO_MAX_SAMPLES ? VX_ERR_AUDIO_LONG : VX_OK;
}

vx_err vx_engine_embed(vx_engine *engine, const float *samples, size_t n, vx_embedding *ret_embedding,
                       vx_engine_timing *ret_timing, vx_errinfo *info)
{
    float raw[VX_EMBEDDING_MAX_DIM];
    vx_engine_timing timing = {0};
    vx_err err = check_length(n);
    if (err == VX_OK)
        err = engine->strategy->embed(engine->state, samples, n, raw, &timing, info);
    if (err == VX_OK)
        err = vx_embedding_from_raw(&engine->manifest.digest, raw, engine->manifest.dim, ret_embedding);
    vx_wipe(raw, sizeof raw);
    if (err == VX_OK && ret_timing)
        *ret_timing = timing;
    return err;
}

vx_err vx_engine_embed_batch(vx_engine *engine, const vx_clip *clips, size_t n, vx_embedding *ret_embeddings,
                             vx_err *ret_errs, vx_errinfo *info)
{
    const size_t dim = (size_t)engine->manifest.dim;
    if (n < 1 || n > VX_ENGINE_MAX_BATCH)
        return vx_errinfo_set(info, VX_ERR_ARG, "a batch of %zu clips: expected 1 to %d", n, VX_ENGINE_MAX_BATCH);
    /* Only clips within the limits reach the strategy; `place` remembers where they came from. */
    float *raw = malloc(n * dim * sizeof *raw);
    vx_clip *good = malloc(n * sizeof *good);
    vx_err *errs = malloc(n * sizeof *errs);
    size_t *place = malloc(n * sizeof *place);
    vx_err err = raw && good && errs && place ? VX_OK : VX_ERR_NOMEM;
    size_t n_good = 0;
    if (err != VX_OK)
        goto out;
    for (size_t i = 0; i < n; i++) {
        ret_errs[i] = check_length(clips[i].n);
        if (ret_errs[i] == VX_OK) {
            good[n_good] = clips[i];
            place[n_good++] = i;
        }
    }
    if (n_good > 0)
        engine->strategy->embed_batch(engine->state, good, n_good, raw, errs, info);
    for (size_t i = 0; i < n_good; i++) {
        if (errs[i] == VX_OK)
            errs[i] =
                vx_embedding_from_raw(&engine->manifest.digest, raw + i * dim, (int)dim, &ret_embeddings[place[i]]);
        ret_errs[place[i]] = errs[i];
    }
    vx_wipe(raw, n * dim * sizeof *raw);
out:
    free(raw);
    free(good);
    free(errs);
    free(place);
    return err;
}

void vx_engine_get_info(const vx_engine *engine, vx_engine_info *ret_info)
{
    *ret_info = (vx_engine_info){
        .strategy = engine->strategy->name,
        .reason = engine->reason,
        .degraded = engine->degraded,
        .dim = engine->manifest.dim,
        .load_ms = engine->load_ms,
        .self_test = engine->self_test,
        .manifest = &engine->manifest,
    };
    engine->strategy->info(engine->state, ret_info);
}
