/* native.c - the strategies "native", "half" and "quantized": features and network by our own kernels, on weights mapped
 * from the file. They differ in the file, and in what its convolutions are.
 * Owns:   the mapping, and one scratch (front end, team of threads, arena) for each concurrent caller.
 * Does not: know HTTP, queues or caches.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/audio/fbank.h"
#include "shared/base/arena.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/engine/choose.h"
#include "shared/engine/ecapa.h"
#include "shared/engine/gemm.h"
#include "shared/engine/proof.h"
#include "shared/engine/strategy.h"

/* Scratch kept after a clip: a service answers mostly short ones and should not stay as large as the longest made it. */
#define KEEP_SECONDS 10.0

struct scratch {
    struct scratch *next; /* on the shelf */
    vx_fbank *fbank;
    vx_team *team;
    vx_arena arena;
};

/* Scratches of one team size that nobody uses just now. */
struct shelf {
    int team_size;
    struct scratch *free; /* guarded by the state's lock */
};

struct vx_strategy_state {
    const vx_manifest *manifest;
    vx_map map;
    vx_proof *proof; /* of the map; NULL once it was waited for */
    vx_safetensors *file;
    vx_ecapa net;
    bool is_copied; /* of the file's weights only those of dense layers are still read */
    const vx_kernels *kernels;
    const vx_gemm_plugin *gemm; /* NULL: our own kernels */
    int threads;
    vx_isa isa;
    size_t max_frames;

    bool shared;
    atomic_int n_running;
    _Atomic uint64_t crowded_ns; /* when several were last running at once */

    pthread_mutex_t lock;
    struct shelf whole;  /* one clip on all cores */
    struct shelf single; /* one clip on one core, for batches and for callers that are not alone */
};

static void scratch_destroy(struct scratch *s)
{
    if (!s)
        return;
    vx_arena_release(&s->arena);
    vx_team_destroy(s->team);
    vx_fbank_destroy(s->fbank);
    free(s);
}

static vx_err scratch_create(const vx_strategy_state *state, int team_size, struct scratch **ret_scratch,
                             vx_errinfo *info)
{
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return VX_ERR_NOMEM;
    vx_err err = vx_fbank_create(&state->manifest->fbank, state->isa, &s->fbank, info);
    if (err == VX_OK)
        err = vx_team_create(team_size, &s->team);
    if (err == VX_OK) {
        size_t floats =
            vx_ecapa_scratch_floats(&state->net, state->kernels, team_size, state->max_frames, state->max_frames);
        err = vx_arena_reserve(floats * sizeof(float), &s->arena);
    }
    if (err != VX_OK) {
        scratch_destroy(s);
        return err;
    }
    *ret_scratch = s;
    return VX_OK;
}

static vx_err take_scratch(vx_strategy_state *state, struct shelf *shelf, struct scratch **ret_scratch)
{
    pthread_mutex_lock(&state->lock);
    struct scratch *s = shelf->free;
    if (s)
        shelf->free = s->next;
    pthread_mutex_unlock(&state->lock);
    if (s) {
        *ret_scratch = s;
        return VX_OK;
    }
    return scratch_create(state, shelf->team_size, ret_scratch, NULL);
}

static void give_scratch(vx_strategy_state *state, struct shelf *shelf, struct scratch *s)
{
    pthread_mutex_lock(&state->lock);
    s->next = shelf->free;
    shelf->free = s;
    pthread_mutex_unlock(&state->lock);
}

static void empty_shelf(struct shelf *shelf)
{
    while (shelf->free) {
        struct scratch *s = shelf->free;
        shelf->free = s->next;
        scratch_destroy(s);
    }
}

/* The verdict on the file, once. */
static vx_err native_prove(vx_strategy_state *state, vx_errinfo *info)
{
    vx_proof *proof = state->proof;
    vx_err err = vx_proof_end(proof, info);
    state->proof = NULL;
    if (state->whole.team_size > 1)
        empty_shelf(&state->single); /* what native_embed took meanwhile */
    /* Not before: the proof reads every page. */
    if (err == VX_OK && state->is_copied)
        vx_map_relax(&state->map);
    return err;
}

static void native_close(vx_strategy_state *state)
{
    if (!state)
        return;
    if (state->proof) /* nobody asked for the verdict, so nothing rests on it */
        (void)!vx_proof_end(state->proof, NULL);
    empty_shelf(&state->whole);
    empty_shelf(&state->single);
    vx_ecapa_done(&state->net);
    vx_safetensors_close(state->file);
    vx_map_close(&state->map);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

static vx_err choose_gemm(vx_strategy_state *state, const char *name, vx_precision precision, vx_errinfo *info)
{
    const bool named = name && strcmp(name, "auto") != 0 && strcmp(name, "simd") != 0;
    if (named && precision != VX_PRECISION_F32)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_GEMM=%s computes in f32 only; %s needs simd", name,
                              vx_precision_name(precision));
    if (precision != VX_PRECISION_F32)
        return VX_OK;
    if (!name || strcmp(name, "auto") == 0) {
#if defined(__APPLE__)
        /* Accelerate reaches the matrix unit that no public instruction set does. */
        vx_errinfo ignored = {0};
        (void)!vx_gemm_plugin_load("blas", &state->gemm, &ignored);
#endif
        return VX_OK;
    }
    if (strcmp(name, "simd") == 0)
        return VX_OK;
    return vx_gemm_plugin_load(name, &state->gemm, info);
}

/* Only the strategy whose file may hold them reckons with such weights. */
static vx_err check_numbers(vx_ecapa *net, const vx_artefact *artefact, vx_errinfo *info)
{
    static const struct {
        const char *name, *owner;
    } numbers[VX_NUMBERS] = {{"f32", "native"}, {"bf16", "half"}, {"int8", "quantized"}};
    vx_conv *convs[VX_ECAPA_MAX_CONVS];
    for (size_t n = vx_ecapa_convs(net, convs); n-- > 0;) {
        const vx_number number = convs[n]->number;
        if (number != VX_NUMBER_F32 && strcmp(numbers[number].owner, artefact->strategy) != 0)
            return vx_errinfo_set(info, VX_ERR_MODEL_SHAPE,
                                  "the weights of strategy '%s' are %s, which is an artefact of '%s'",
                                  artefact->strategy, numbers[number].name, numbers[number].owner);
    }
    return VX_OK;
}

/* From the mapped file to a network, on bytes that are perhaps not yet proven. */
static vx_err build_network(vx_strategy_state *state, const vx_artefact *artefact, vx_precision precision,
                            vx_errinfo *info)
{
    const vx_manifest *manifest = state->manifest;
    vx_err err = vx_safetensors_open(state->map.data, state->map.len, &state->file, info);
    if (err == VX_OK)
        err = vx_ecapa_bind(state->file, (size_t)manifest->fbank.n_bands, &state->net, info);
    if (err == VX_OK && state->net.dim != (size_t)manifest->dim)
        err = vx_errinfo_set(info, VX_ERR_MODEL_SHAPE, "the weights give %zu numbers, the manifest says %d",
                             state->net.dim, manifest->dim);
    if (err == VX_OK)
        err = check_numbers(&state->net, artefact, info);
    /* Also what int8 left alone: its first layer and the attention's last took a seventh of the time in f32, and bf16 is
     * far more exact than the rest. */
    if (err == VX_OK && precision != VX_PRECISION_F32 && state->kernels->product[VX_NUMBER_BF16])
        err = vx_ecapa_to_bf16(&state->net, state->kernels->row);
    state->is_copied = precision == VX_PRECISION_BF16 && strcmp(artefact->strategy, "native") == 0;
    return err;
}

static vx_err open_artefact(const char *folder, const vx_manifest *manifest, const vx_artefact *artefact,
                            vx_precision precision, const vx_engine_options *options, vx_strategy_state **ret_state,
                            vx_errinfo *info)
{
    vx_strategy_state *state = calloc(1, sizeof *state);
    if (!state)
        return VX_ERR_NOMEM;
    pthread_mutex_init(&state->lock, NULL);
    state->manifest = manifest;
    state->threads = options->threads;
    state->shared = options->shared;
    state->isa = options->isa;
    state->kernels = vx_kernels_for(options->isa);

    struct scratch *first = NULL;
    /* Without its instruction bf16 would only be slower and less exact than f32; native_info says what it came to. */
    if (precision == VX_PRECISION_BF16 && !state->kernels->product[VX_NUMBER_BF16])
        precision = VX_PRECISION_F32;
    vx_err err = choose_gemm(state, options->gemm, precision, info);
    /* A library brings threads of its own. */
    if (state->gemm && state->shared)
        state->threads = 1;
    state->whole.team_size = state->gemm ? 1 : state->threads;
    state->single.team_size = 1;
    if (err == VX_OK)
        err = vx_manifest_map_artefact(folder, artefact, &state->map, &state->proof, info);
    vx_errinfo cause = {0};
    if (err == VX_OK)
        err = build_network(state, artefact, precision, &cause);
    state->max_frames = VX_AUDIO_MAX_SAMPLES / (size_t)manifest->fbank.hop + 1;
    /* The first caller's scratch now, so that what cannot work fails here and not at the first request. */
    if (err == VX_OK)
        err = scratch_create(state, state->whole.team_size, &first, &cause);
    if (err != VX_OK) {
        /* What ails the content of a wrong file is no news. */
        vx_err proven = state->proof ? native_prove(state, info) : VX_OK;
        if (proven != VX_OK)
            err = proven;
        else if (info && info->code == VX_OK)
            *info = cause;
        native_close(state);
        return err;
    }
    give_scratch(state, &state->whole, first);
    *ret_state = state;
    return VX_OK;
}

static vx_err open_native(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                          vx_strategy_state **ret_state, vx_errinfo *info)
{
    const vx_artefact *artefact = vx_manifest_artefact(manifest, "native");
    vx_precision precision = options->precision;
    /* What nobody proved does not lower the reference's precision. */
    if (precision == VX_PRECISION_AUTO && !options->reference_first && artefact->cosine_min >= VX_CHOOSE_COSINE)
        precision = artefact->precision;
    if (precision == VX_PRECISION_AUTO)
        precision = VX_PRECISION_F32;
    return open_artefact(folder, manifest, artefact, precision, options, ret_state, info);
}

static bool half_runs_on(vx_isa isa)
{
    return vx_kernels_for(isa)->product[VX_NUMBER_BF16] != NULL;
}

static vx_err open_half(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                        vx_strategy_state **ret_state, vx_errinfo *info)
{
    /* Widened it would take the memory of f32 and not be as exact. */
    if (!half_runs_on(options->isa))
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED,
                              "strategy 'half' multiplies in bf16, which %s does not; take native",
                              vx_isa_name(options->isa));
    return open_artefact(folder, manifest, vx_manifest_artefact(manifest, "half"), VX_PRECISION_BF16, options,
                         ret_state, info);
}

static vx_err open_quantized(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                             vx_strategy_state **ret_state, vx_errinfo *info)
{
    return open_artefact(folder, manifest, vx_manifest_artefact(manifest, "quantized"), VX_PRECISION_INT8, options,
                         ret_state, info);
}

static vx_err run_clip(vx_strategy_state *state, struct scratch *s, const vx_clip *clip, float *ret_raw,
                       vx_engine_timing *ret_timing)
{
    vx_err err = VX_OK;
    const size_t n_frames = vx_fbank_frames(s->fbank, clip->n);
    vx_ecapa_runner run = {
        .net = &state->net,
        .kernels = state->kernels,
        .gemm = state->gemm,
        .team = s->team,
        .max_frames = state->max_frames,
        .scratch = s->arena.data,
    };
    size_t ld;
    uint64_t start = vx_now_ns();
    float *features = vx_ecapa_input(&run, n_frames, &ld);
    if (n_frames < vx_ecapa_min_frames(&state->net))
        err = VX_ERR_AUDIO_SHORT;
    if (err == VX_OK)
        err = vx_fbank_compute(s->fbank, clip->samples, clip->n, features, ld);
    ret_timing->features_ms = vx_ms_since(start);
    start = vx_now_ns();
    if (state->gemm)
        state->gemm->set_threads(state->threads); /* OpenMP keeps this number for each calling thread */
    if (err == VX_OK)
        err = vx_ecapa_run(&run, n_frames, ret_raw);
    ret_timing->network_ms = vx_ms_since(start);

    const size_t keep = vx_fbank_frames(s->fbank, (size_t)(KEEP_SECONDS * VX_AUDIO_RATE));
    if (n_frames > keep)
        vx_arena_trim(&s->arena,
                      sizeof(float) * vx_ecapa_scratch_floats(&state->net, state->kernels, vx_team_size(s->team), keep,
                                                              state->max_frames));
    return err;
}

/* Bytes of weights times frames from which a team is faster than one core: 7 ms of work. Below that its members wake too late:
 * 3 s of the starter (2.5e9, 4.4 ms) took as long by two as by one. */
static const double TEAM_WORK = 4e9;

static bool gains_by_team(const vx_strategy_state *state, size_t n)
{
    return (double)state->map.len * (double)n / state->manifest->fbank.hop >= TEAM_WORK;
}

/* Between two clips of a queue one worker is alone for a moment: a clip is alone when none was in company for so long. */
enum { COMPANY_MS = 200 };

/* n_running [in] callers, with this one. A second one that comes while a team is at work competes with it, for as long as that
 * one clip takes; those after them have a core each. */
static bool is_alone(vx_strategy_state *state, int n_running)
{
    const uint64_t now_ns = vx_now_ns(), crowded_ns = atomic_load(&state->crowded_ns);
    if (n_running > 1)
        atomic_store(&state->crowded_ns, now_ns);
    return n_running == 1 && (crowded_ns == 0 || now_ns > crowded_ns + COMPANY_MS * UINT64_C(1000000));
}

static struct shelf *shelf_for(vx_strategy_state *state, size_t n, int n_running)
{
    if (state->whole.team_size == 1)
        return &state->whole;
    /* The proof has a core of its own: a team as large as the machine would spin at its barriers for a member that waits
     * for it. It takes as long as 3 s of speech on one core, so nothing is lost. */
    if (state->proof)
        return &state->single;
    const bool alone = is_alone(state, n_running);
    return !state->shared || (alone && gains_by_team(state, n)) ? &state->whole : &state->single;
}

static vx_err native_embed(vx_strategy_state *state, const float *samples, size_t n, float *ret_raw,
                           vx_engine_timing *ret_timing, vx_errinfo *info)
{
    (void)info; /* nothing here can say more than its code does */
    const vx_clip clip = {samples, n};
    struct shelf *shelf = shelf_for(state, n, atomic_fetch_add(&state->n_running, 1) + 1);
    struct scratch *s;
    vx_err err = take_scratch(state, shelf, &s);
    if (err == VX_OK) {
        err = run_clip(state, s, &clip, ret_raw, ret_timing);
        give_scratch(state, shelf, s);
    }
    atomic_fetch_sub(&state->n_running, 1);
    return err;
}

/* What the members of a team share while they empty one batch. */
struct batch {
    vx_strategy_state *state;
    const vx_clip *clips;
    size_t n;
    float *raw; /* [n, dim] */
    vx_err *errs;
    atomic_size_t next;
};

/* Each member takes the next clip until there is none: clips differ in length, so equal shares would not be fair. A
 * member without memory leaves the clips to the others. */
static void empty_batch(void *arg, int rank)
{
    (void)rank;
    struct batch *b = arg;
    struct shelf *shelf = b->state->whole.team_size == 1 ? &b->state->whole : &b->state->single;
    struct scratch *s = NULL;
    vx_engine_timing ignored;
    if (take_scratch(b->state, shelf, &s) != VX_OK)
        return;
    for (size_t i; (i = atomic_fetch_add(&b->next, 1)) < b->n;)
        b->errs[i] = run_clip(b->state, s, &b->clips[i], b->raw + i * b->state->net.dim, &ignored);
    give_scratch(b->state, shelf, s);
}

/* One clip a core beats one clip on all cores: no barriers, and the short layers do not wait for each other. */
static void native_embed_batch(vx_strategy_state *state, const vx_clip *clips, size_t n, float *ret_raw,
                               vx_err *ret_errs, vx_errinfo *info)
{
    (void)info;
    struct batch batch = {.state = state, .clips = clips, .n = n, .raw = ret_raw, .errs = ret_errs};
    struct scratch *s = NULL;
    for (size_t i = 0; i < n; i++)
        ret_errs[i] = VX_ERR_NOMEM; /* what stays with a clip that no member could take */
    if (n == 1) {
        vx_engine_timing ignored;
        ret_errs[0] = native_embed(state, clips[0].samples, clips[0].n, ret_raw, &ignored, NULL);
    } else if (state->whole.team_size == 1 || take_scratch(state, &state->whole, &s) != VX_OK) {
        empty_batch(&batch, 0);
    } else {
        vx_team_run(s->team, empty_batch, &batch);
        give_scratch(state, &state->whole, s);
    }
}

static void native_info(const vx_strategy_state *state, vx_engine_info *ret_info)
{
    ret_info->gemm = state->gemm ? state->gemm->library : "simd";
    ret_info->isa = state->kernels->name;
    ret_info->device = "cpu";
    static const vx_precision precisions[VX_NUMBERS] = {VX_PRECISION_F32, VX_PRECISION_BF16, VX_PRECISION_INT8};
    ret_info->precision = vx_precision_name(precisions[vx_ecapa_number(&state->net)]);
    ret_info->threads = state->threads;
    ret_info->weights_bytes = state->map.len;
}

const vx_strategy vx_strategy_native = {
    .name = "native",
    .on_cpu_only = true,
    .precisions = 1u << VX_PRECISION_F32 | 1u << VX_PRECISION_BF16,
    .fixed_bytes = (size_t)20 * 1000000,
    .bytes_per_byte = 1.4, /* the mapped file, and wide activations, or bf16 weights beside it until it is proven */
    .open = open_native,
    .prove = native_prove,
    .embed = native_embed,
    .embed_batch = native_embed_batch,
    .info = native_info,
    .close = native_close,
};

const vx_strategy vx_strategy_half = {
    .name = "half",
    .on_cpu_only = true,
    .precisions = 1u << VX_PRECISION_BF16,
    .fixed_bytes = (size_t)20 * 1000000,
    .bytes_per_byte = 1.6, /* activations are as wide as those of f32, over a smaller file */
    .runs_on = half_runs_on,
    .open = open_half,
    .prove = native_prove,
    .embed = native_embed,
    .embed_batch = native_embed_batch,
    .info = native_info,
    .close = native_close,
};

const vx_strategy vx_strategy_quantized = {
    .name = "quantized",
    .on_cpu_only = true,
    .precisions = 1u << VX_PRECISION_INT8,
    .fixed_bytes = (size_t)20 * 1000000,
    .bytes_per_byte = 1.6, /* activations are as wide as those of f32, over a smaller file */
    .open = open_quantized,
    .prove = native_prove,
    .embed = native_embed,
    .embed_batch = native_embed_batch,
    .info = native_info,
    .close = native_close,
};
