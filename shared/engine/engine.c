/* engine.c - chooses a strategy, and guards what goes in and what comes out of it. */
#include "shared/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/engine/strategy.h"

/* Every strategy of this build, in the order in which it falls back. */
static const vx_strategy *const strategies[] = {&vx_strategy_native};
enum { N_STRATEGIES = sizeof strategies / sizeof *strategies };

struct vx_engine {
    vx_manifest manifest;
    const vx_strategy *strategy;
    vx_strategy_state *state;
    double load_ms;
    bool degraded;
    char reason[256];
};

vx_engine_options vx_engine_options_default(void)
{
    return (vx_engine_options){.strategy = "auto", .gemm = "auto", .threads = 1, .isa = vx_isa_best()};
}

static bool is_auto(const char *name)
{
    return !name || strcmp(name, "auto") == 0;
}

static const vx_strategy *find_strategy(const char *name)
{
    for (size_t i = 0; i < N_STRATEGIES; i++)
        if (strcmp(strategies[i]->name, name) == 0)
            return strategies[i];
    return NULL;
}

static vx_err open_strategy(vx_engine *engine, const char *folder, const char *name, const vx_engine_options *options,
                            vx_errinfo *info)
{
    const vx_strategy *strategy = find_strategy(name);
    if (!strategy)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "this build has no strategy '%s'; use auto or native", name);
    if (!vx_manifest_artefact(&engine->manifest, name))
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISSING, folder, -1, 0,
                                 "the manifest lists no artefact for strategy '%s'", name);
    vx_err err = strategy->open(folder, &engine->manifest, options, &engine->state, info);
    if (err == VX_OK)
        engine->strategy = strategy;
    return err;
}

/* What was asked for, and nothing else. */
static vx_err open_wanted(vx_engine *engine, const char *folder, const vx_engine_options *options, vx_errinfo *info)
{
    const bool automatic = is_auto(options->strategy);
    snprintf(engine->reason, sizeof engine->reason, "%s",
             automatic ? "auto: the first strategy of this build that the folder has"
                       : "asked for by ECAPA_PREFERRED_STRATEGY");
    return open_strategy(engine, folder, automatic ? strategies[0]->name : options->strategy, options, info);
}

/* Whatever opens: each strategy in turn, with the built-in products. why: what was wrong with the way asked for. When
 * nothing opens the error is the last one's, since that keeps the service down, and may pass where a setting does not. */
static vx_err open_other(vx_engine *engine, const char *folder, const vx_engine_options *options, const char *why,
                         vx_errinfo *info)
{
    vx_engine_options plain = *options;
    plain.gemm = "auto";
    vx_err err = VX_ERR_INTERNAL;
    vx_errinfo last;
    for (size_t i = 0; i < N_STRATEGIES; i++) {
        last = (vx_errinfo){0};
        err = open_strategy(engine, folder, strategies[i]->name, &plain, &last);
        if (err != VX_OK)
            continue;
        engine->degraded = true;
        snprintf(engine->reason, sizeof engine->reason, "fell back to %s: %.200s", engine->strategy->name, why);
        return VX_OK;
    }
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
    vx_err err = vx_manifest_read(folder, &engine->manifest, info);
    if (err == VX_OK && engine->manifest.dim > VX_EMBEDDING_MAX_DIM)
        err = vx_errinfo_set(info, VX_ERR_MODEL_SHAPE, "%d-dimensional embeddings: at most %d are supported",
                             engine->manifest.dim, VX_EMBEDDING_MAX_DIM);
    if (err == VX_OK) {
        vx_errinfo wanted = {0}, last;
        err = open_wanted(engine, folder, options, &wanted);
        last = wanted;
        if (err != VX_OK && options->fall_back && !(is_auto(options->strategy) && is_auto(options->gemm)))
            err = open_other(engine, folder, options, vx_errinfo_text(&wanted, err), &last);
        if (err != VX_OK && info && info->code == VX_OK)
            *info = last;
    }
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

vx_err vx_engine_embed(vx_engine *engine, const float *samples, size_t n, vx_embedding *ret_embedding,
                       vx_engine_timing *ret_timing)
{
    if (n < (size_t)(VX_AUDIO_MIN_S * VX_AUDIO_RATE))
        return VX_ERR_AUDIO_SHORT;
    if (n > VX_AUDIO_MAX_SAMPLES)
        return VX_ERR_AUDIO_LONG;
    float raw[VX_EMBEDDING_MAX_DIM];
    vx_engine_timing timing = {0};
    vx_err err = engine->strategy->embed(engine->state, samples, n, raw, &timing);
    if (err == VX_OK)
        err = vx_embedding_from_raw(&engine->manifest.digest, raw, engine->manifest.dim, ret_embedding);
    vx_wipe(raw, sizeof raw);
    if (err == VX_OK && ret_timing)
        *ret_timing = timing;
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
        .manifest = &engine->manifest,
    };
    engine->strategy->info(engine->state, ret_info);
}
