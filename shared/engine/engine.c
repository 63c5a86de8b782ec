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

static const vx_strategy *const strategies[] = {&vx_strategy_native, &vx_strategy_half, &vx_strategy_quantized,
                                                &vx_strategy_jit, &vx_strategy_onnx};

struct vx_engine {
    vx_manifest manifest;
    const vx_strategy *strategy;
    vx_strategy_state *state;
    double load_ms, self_test;
    bool degraded;
    char reason[VX_ERRINFO_LINE + 32]; /* an error's whole line, and what came of it */
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

static bool is_device(const char *device)
{
    return is_cpu(device) || strcmp(device, "cuda") == 0 || strcmp(device, "mps") == 0;
}

/* ---- opening ---- */

/* What the options ask that not every strategy can do. */
/* Who has it. */
static const char *const precision_needs[] = {[VX_PRECISION_AUTO] = "any strategy",
                                              [VX_PRECISION_F32] = "native, jit or onnx",
                                              [VX_PRECISION_BF16] = "native, half or jit",
                                              [VX_PRECISION_INT8] = "quantized"};

static bool has_precision(const vx_strategy *strategy, vx_precision precision)
{
    return precision == VX_PRECISION_AUTO || (strategy->precisions >> precision & 1) != 0;
}

static bool can_serve(const vx_strategy *strategy, const vx_engine_options *options)
{
    return (is_cpu(options->device) || !strategy->on_cpu_only) && has_precision(strategy, options->precision);
}

static vx_err check_wishes(const vx_strategy *strategy, const vx_engine_options *options, vx_errinfo *info)
{
    if (can_serve(strategy, options))
        return VX_OK;
    if (!is_cpu(options->device) && strategy->on_cpu_only)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "strategy '%s' runs on the CPU only; ECAPA_DEVICE=%s needs jit", strategy->name,
                              options->device);
    const char *precision = vx_precision_name(options->precision);
    return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "strategy '%s' has no %s; VOXLOCK_PRECISION=%s needs %s",
                          strategy->name, precision, precision, precision_needs[options->precision]);
}

static vx_err check_memory(const vx_strategy *strategy, const vx_artefact *artefact, const vx_engine_options *options,
                           vx_errinfo *info)
{
    const double bytes = (double)strategy->fixed_bytes + strategy->bytes_per_byte * (double)artefact->bytes;
    double limit = (double)options->max_bytes;
    if (options->mapped_strategy && strcmp(options->mapped_strategy, strategy->name) == 0)
        limit = (double)options->max_bytes_mapped;
    if (options->max_bytes == 0 || bytes <= limit)
        return VX_OK;
    return vx_errinfo_set(info, VX_ERR_NOMEM, "strategy '%s' takes about %.0f MB of memory and may take %.0f MB: %s",
                          strategy->name, bytes / 1e6, limit / 1e6, options->max_bytes_from);
}

/* A longer clip takes longer than the proof, and has all cores behind it. */
#define FIRST_SECONDS 4.0

static void embed_first(vx_engine *engine, vx_engine_first *first)
{
    first->err = vx_engine_embed(engine, first->clip.samples, first->clip.n, &first->embedding, NULL, &first->info);
}

/* Self-test and first utterance, and the verdict on the file, which may come last: nothing of the rest gets out before. */
static vx_err try_out(vx_engine *engine, const vx_engine_options *options, vx_errinfo *info)
{
    const vx_strategy *strategy = engine->strategy;
    vx_engine_first first = {0};
    vx_errinfo cause = {0};
    vx_err err = VX_OK;
    /* What was written down once about a library's network says little of this library, device and machine. */
    if (options->self_test || strategy != &vx_strategy_native || options->isa == VX_ISA_AMX)
        err = vx_engine_self_test(engine, &engine->self_test, &cause);
    const bool short_first = options->first && (double)options->first->clip.n <= FIRST_SECONDS * VX_AUDIO_RATE;
    if (options->first)
        first.clip = options->first->clip;
    if (err == VX_OK && short_first)
        embed_first(engine, &first);
    /* What a wrong file made of the self-test is no news. */
    vx_err proven = strategy->prove ? strategy->prove(engine->state, info) : VX_OK;
    if (proven != VX_OK)
        err = proven;
    else if (err != VX_OK && info && info->code == VX_OK)
        *info = cause;
    if (err == VX_OK && options->first) {
        if (!short_first)
            embed_first(engine, &first);
        *options->first = first;
    }
    vx_embedding_wipe(&first.embedding);
    return err;
}

static vx_err open_level(vx_engine *engine, const char *folder, const vx_strategy *strategy,
                         const vx_engine_options *options, vx_errinfo *info)
{
    vx_err err = strategy->open(folder, &engine->manifest, options, &engine->state, info);
    if (err != VX_OK)
        return err;
    engine->strategy = strategy;
    err = try_out(engine, options, info);
    if (err != VX_OK) {
        strategy->close(engine->state);
        engine->strategy = NULL;
        engine->state = NULL;
    }
    return err;
}

/* The tiles of AMX ran in emulation only before the first machine that has them, so that each machine proves them for
 * itself; where they are wrong, or nothing is there to prove them by, the level below does the work. */
static vx_err open_best_level(vx_engine *engine, const char *folder, const vx_strategy *strategy,
                              const vx_engine_options *options, vx_errinfo *info)
{
    vx_engine_options below = *options;
    vx_errinfo why = {0};
    below.isa = VX_ISA_AVX512_BF16;
    if (options->isa != VX_ISA_AMX)
        return open_level(engine, folder, strategy, options, info);
    if (engine->manifest.self_test_dim == 0)
        return open_level(engine, folder, strategy, &below, info);
    vx_err err = open_level(engine, folder, strategy, options, &why);
    if (err == VX_ERR_ENGINE && open_level(engine, folder, strategy, &below, NULL) == VX_OK) {
        engine->degraded = true;
        (void)snprintf(engine->reason, sizeof engine->reason, "fell back to %s: %s", vx_isa_name(below.isa),
                       vx_errinfo_text(&why, err));
        return VX_OK;
    }
    if (err != VX_OK && info)
        *info = why;
    return err;
}

/* One strategy, opened and proven, or nothing. */
static vx_err open_strategy(vx_engine *engine, const char *folder, const char *name, const vx_engine_options *options,
                            vx_errinfo *info)
{
    const vx_strategy *strategy = vx_strategy_find(name);
    if (!strategy)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "this build has no strategy '%s'; use auto or native", name);
    vx_err err = check_wishes(strategy, options, info);
    if (err != VX_OK)
        return err;
    const vx_artefact *artefact = vx_manifest_artefact(&engine->manifest, name);
    if (!artefact)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISSING, folder, -1, 0,
                                 "the manifest lists no artefact for strategy '%s'", name);
    if (!has_precision(strategy, artefact->precision))
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, folder, -1, 0,
                                 "the manifest states %s for strategy '%s', which has none",
                                 vx_precision_name(artefact->precision), name);
    err = check_memory(strategy, artefact, options, info);
    if (err != VX_OK)
        return err;
    return open_best_level(engine, folder, strategy, options, info);
}

/* Names in the order in which they are tried. */
struct names {
    int n;
    const char *list[VX_MANIFEST_MAX_ARTEFACTS];
};

static bool is_listed(const struct names *names, const char *name)
{
    for (int i = 0; i < names->n; i++)
        if (strcmp(names->list[i], name) == 0)
            return true;
    return false;
}

/* An open on its way. */
struct search {
    vx_engine *engine;
    const char *folder;
    char first_why[VX_ERRINFO_LINE]; /* what was wrong with the first that was tried, or "" */
    vx_err err;                      /* of the last that was tried, and what it said */
    vx_errinfo last;
};

static void refuse(struct search *s, vx_err err)
{
    s->err = err;
    if (!s->first_why[0])
        vx_errinfo_line(&s->last, err, s->first_why, sizeof s->first_why);
}

static void note_trial(vx_engine_trials *trials, const char *name, vx_err err, const vx_errinfo *info)
{
    if (!trials || trials->n == VX_ENGINE_MAX_TRIALS)
        return;
    vx_engine_trial *trial = &trials->list[trials->n++];
    *trial = (vx_engine_trial){.err = err};
    snprintf(trial->strategy, sizeof trial->strategy, "%s", name);
    if (err != VX_OK)
        vx_errinfo_line(info, err, trial->text, sizeof trial->text);
}

/* True when one of the names is open. */
static bool open_one_of(struct search *s, const struct names *names, const vx_engine_options *options)
{
    vx_engine *engine = s->engine;
    for (int i = 0; i < names->n; i++) {
        s->last = (vx_errinfo){0};
        vx_err err = open_strategy(engine, s->folder, names->list[i], options, &s->last);
        note_trial(options->ret_trials, names->list[i], err, &s->last);
        if (err != VX_OK) {
            refuse(s, err);
            continue;
        }
        if (s->first_why[0]) {
            engine->degraded = true;
            snprintf(engine->reason, sizeof engine->reason, "fell back to %s: %s", engine->strategy->name,
                     s->first_why);
        }
        return true;
    }
    return false;
}

/* Takes out what the level has no instructions for: no fault of the folder, and no step down. Returns how many stay. */
static int keep_runnable(const vx_artefact **order, int n_order, const vx_engine_options *options)
{
    int n = 0;
    for (int i = 0; i < n_order; i++) {
        const vx_strategy *strategy = vx_strategy_find(order[i]->strategy);
        if (!strategy || !strategy->runs_on || strategy->runs_on(options->isa)) {
            order[n++] = order[i];
            continue;
        }
        vx_errinfo why = {0};
        vx_err err = vx_errinfo_set(&why, VX_ERR_UNSUPPORTED, "passed over: %s has no instructions for it",
                                    vx_isa_name(options->isa));
        if (is_auto(options->strategy))
            note_trial(options->ret_trials, strategy->name, err, &why);
    }
    return n;
}

/* The strategies that can do what only some can. One that nobody measured is taken when there is no better: the self-test
 * proves it, and the wish for the device or the precision was somebody's own. */
static void list_capable(const vx_manifest *manifest, const vx_artefact *const *order, int n_order,
                         const vx_engine_options *options, struct names *ret)
{
    struct names names = {0};
    for (int i = 0; i < n_order; i++) {
        const vx_strategy *strategy = vx_strategy_find(order[i]->strategy);
        if (strategy && can_serve(strategy, options))
            names.list[names.n++] = strategy->name;
    }
    for (int i = 0; names.n == 0 && i < manifest->n_artefacts; i++) {
        const vx_artefact *a = &manifest->artefacts[i];
        const vx_strategy *strategy = vx_strategy_find(a->strategy);
        if (strategy && can_serve(strategy, options) && vx_choose_judge(a) == VX_CHOOSE_UNMEASURED)
            names.list[names.n++] = strategy->name;
    }
    *ret = names;
}

/* What the options ask for, best first, and the reason if the first of them opens. */
static void list_wanted(vx_engine *engine, const vx_artefact *const *order, int n_order,
                        const vx_engine_options *options, struct names *ret)
{
    const size_t cap = sizeof engine->reason;
    *ret = (struct names){0};
    if (!is_auto(options->strategy)) {
        ret->list[ret->n++] = options->strategy;
        snprintf(engine->reason, cap, "asked for by ECAPA_PREFERRED_STRATEGY");
    } else if (!is_cpu(options->device) || options->precision != VX_PRECISION_AUTO) {
        list_capable(&engine->manifest, order, n_order, options, ret);
        if (is_cpu(options->device))
            snprintf(engine->reason, cap, "auto: the best strategy that computes in %s",
                     vx_precision_name(options->precision));
        else
            snprintf(engine->reason, cap, "auto: the strategy that runs on %s", options->device);
    } else {
        while (ret->n < n_order) {
            ret->list[ret->n] = order[ret->n]->strategy;
            ret->n++;
        }
        vx_choose_reason(order, n_order, !options->reference_first, engine->reason, cap);
    }
}

static vx_err open_any(vx_engine *engine, const char *folder, const vx_engine_options *options, vx_errinfo *info)
{
    const vx_artefact *order[VX_MANIFEST_MAX_ARTEFACTS];
    int n_order = vx_choose(&engine->manifest, !options->reference_first, order);
    n_order = keep_runnable(order, n_order, options);
    struct search s = {.engine = engine, .folder = folder};
    struct names wanted, rest = {0};
    list_wanted(engine, order, n_order, options, &wanted);
    if (wanted.n == 0) {
        const bool cpu = is_cpu(options->device);
        refuse(&s, vx_errinfo_set_at(&s.last, VX_ERR_OPTION_VALUE, folder, -1, 0,
                                     "nothing that auto may take here %s %s; that needs an artefact for %s",
                                     cpu ? "computes in" : "runs on",
                                     cpu ? vx_precision_name(options->precision) : options->device,
                                     cpu ? precision_needs[options->precision] : "jit"));
    }
    if (open_one_of(&s, &wanted, options))
        return VX_OK;
    if (options->fall_back) {
        vx_engine_options plain = *options;
        plain.gemm = plain.device = NULL;
        plain.precision = VX_PRECISION_AUTO;
        const bool same = is_auto(options->gemm) && is_cpu(options->device) && options->precision == plain.precision;
        for (int i = 0; i < n_order; i++)
            if (!same || !is_listed(&wanted, order[i]->strategy))
                rest.list[rest.n++] = order[i]->strategy;
        if (open_one_of(&s, &rest, &plain))
            return VX_OK;
    }
    if (info && info->code == VX_OK)
        *info = s.last;
    return s.err;
}

vx_err vx_engine_open(const char *folder, const vx_engine_options *options, vx_engine **ret_engine, vx_errinfo *info)
{
    uint64_t start = vx_now_ns();
    if (options->ret_trials)
        options->ret_trials->n = 0;
    if (options->threads < 1 || options->threads > 256)
        return vx_errinfo_set(info, VX_ERR_ARG, "%d threads: expected 1 to 256", options->threads);
    if (!vx_isa_available(options->isa))
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "this machine has no %s", vx_isa_name(options->isa));
    if (!is_device(options->device))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "no device '%s': expected cpu, cuda or mps", options->device);
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
