/* hosted.c - the strategies "jit" and "onnx": our features, somebody else's library for the network.
 * Owns:   proving the artefact, the front end of each concurrent caller, batches of one length.
 * Does not: know a library; network_plugin.h is all it sees of one.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fbank.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/base/plugin.h"
#include "shared/engine/network_plugin.h"
#include "shared/engine/strategy.h"

/* Frames of one batch: 256 clips of 5 s. Activations of the 20.8 M network take 26 kB a frame. */
#define MAX_BATCH_FRAMES ((size_t)128 * 1024)

/* A library takes and frees each activation anew, and of what clips of ever other lengths leave behind the C library
 * reuses little: 80 lengths of 1 to 2.6 s through libtorch in bf16 grew a process from 264 to 1,067 MB. Given back
 * whenever it has grown by this much, it stays below 433 MB for 3 % more time. */
#define SLACK_BYTES      ((unsigned long long)128 << 20)

struct front {
    struct front *next; /* in the free list */
    vx_fbank *fbank;
};

struct vx_strategy_state {
    const vx_manifest *manifest;
    const vx_network_plugin *plugin;
    vx_network *network;
    const char *device;
    vx_precision precision;
    int threads;
    vx_isa isa;
    size_t artefact_bytes;
    atomic_ullong settled_bytes; /* resident, when memory was last given back */

    pthread_mutex_t lock; /* guards free */
    struct front *free;
};

/* ---- front ends: one for each caller at a time ---- */

static vx_err take_front(vx_strategy_state *state, struct front **ret_front)
{
    pthread_mutex_lock(&state->lock);
    struct front *f = state->free;
    if (f)
        state->free = f->next;
    pthread_mutex_unlock(&state->lock);
    if (!f) {
        f = calloc(1, sizeof *f);
        if (!f)
            return VX_ERR_NOMEM;
        vx_err err = vx_fbank_create(&state->manifest->fbank, state->isa, &f->fbank, NULL);
        if (err != VX_OK) {
            free(f);
            return err;
        }
    }
    *ret_front = f;
    return VX_OK;
}

static void give_front(vx_strategy_state *state, struct front *f)
{
    pthread_mutex_lock(&state->lock);
    f->next = state->free;
    state->free = f;
    pthread_mutex_unlock(&state->lock);
}

static size_t frames_of(const vx_strategy_state *state, size_t n)
{
    return 1 + n / (size_t)state->manifest->fbank.hop;
}

/* Features as libraries want them, [frames, bands]; band_major is scratch of the same size. */
static vx_err features_of(struct front *f, const vx_clip *clip, float *band_major, float *ret_features)
{
    const size_t frames = vx_fbank_frames(f->fbank, clip->n), bands = (size_t)vx_fbank_bands(f->fbank);
    vx_err err = vx_fbank_compute(f->fbank, clip->samples, clip->n, band_major, frames);
    if (err != VX_OK)
        return err;
    for (size_t b = 0; b < bands; b++)
        for (size_t t = 0; t < frames; t++)
            ret_features[t * bands + b] = band_major[b * frames + t];
    return VX_OK;
}

/* ---- opening ---- */

static void hosted_close(vx_strategy_state *state)
{
    if (!state)
        return;
    while (state->free) {
        struct front *f = state->free;
        state->free = f->next;
        vx_fbank_destroy(f->fbank);
        free(f);
    }
    if (state->network)
        state->plugin->close(state->network);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

/* vx_network_torch or vx_network_onnx. A library that is not there is a setting nobody can serve, as with VOXLOCK_GEMM. */
static vx_err load_plugin(const char *file, const char *strategy, const vx_network_plugin **ret_plugin,
                          vx_errinfo *info)
{
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    vx_err err = vx_plugin_load(file, VX_NETWORK_PLUGIN_SYMBOL, &symbol, &cause);
    if (err != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, cause.path, -1, 0, "strategy '%s': %s", strategy,
                                 vx_errinfo_text(&cause, err));
    const vx_network_plugin *plugin = symbol;
    if (plugin->abi != VX_NETWORK_PLUGIN_ABI)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "strategy '%s': %s.so is of another version", strategy, file);
    *ret_plugin = plugin;
    return VX_OK;
}

static vx_precision precision_for(const vx_engine_options *options, const vx_artefact *artefact)
{
    if (options->precision != VX_PRECISION_AUTO)
        return options->precision;
    return artefact->precision == VX_PRECISION_AUTO ? VX_PRECISION_F32 : artefact->precision;
}

/* What the plugin says, with the file it says it of. */
static vx_err plugin_error(vx_errinfo *info, vx_err err, const char *folder, const vx_artefact *artefact,
                           const vx_strategy_state *state, const char *text)
{
    char path[4096]; /* cut to what info holds by errinfo, which knows where characters end */
    snprintf(path, sizeof path, "%s/%s", folder, artefact->file);
    return vx_errinfo_set_at(info, err, path, -1, 0, "%s: %s", state->plugin->library,
                             text[0] ? text : vx_err_sentence(err));
}

static const char *static_device(const char *device)
{
    static const char *const devices[] = {"cuda", "mps"};
    for (size_t i = 0; device && i < sizeof devices / sizeof *devices; i++)
        if (strcmp(device, devices[i]) == 0)
            return devices[i];
    return "cpu";
}

/* The artefact before the library: a library stays mapped for good, and one that has nothing to run would be a waste. */
static vx_err open_network(vx_strategy_state *state, const char *plugin_file, const char *folder,
                           const vx_artefact *artefact, vx_errinfo *info)
{
    vx_map map = {0};
    char text[200] = "";
    vx_err err = vx_manifest_open_artefact(folder, artefact, &map, info);
    if (err == VX_OK)
        err = load_plugin(plugin_file, artefact->strategy, &state->plugin, info);
    if (err == VX_OK) {
        const vx_network_request request = {
            .data = map.data,
            .len = map.len,
            .device = state->device,
            .bf16 = state->precision == VX_PRECISION_BF16,
            .threads = state->threads,
            .bands = (size_t)state->manifest->fbank.n_bands,
            .dim = (size_t)state->manifest->dim,
        };
        err = state->plugin->open(&request, &state->network, text, sizeof text);
        if (err != VX_OK)
            plugin_error(info, err, folder, artefact, state, text);
    }
    vx_map_close(&map);
    return err;
}

static vx_err hosted_open(const char *strategy, const char *plugin_file, const char *folder,
                          const vx_manifest *manifest, const vx_engine_options *options, vx_strategy_state **ret_state,
                          vx_errinfo *info)
{
    const vx_artefact *artefact = vx_manifest_artefact(manifest, strategy);
    vx_strategy_state *state = calloc(1, sizeof *state);
    if (!state)
        return VX_ERR_NOMEM;
    pthread_mutex_init(&state->lock, NULL);
    state->manifest = manifest;
    state->device = static_device(options->device);
    state->precision = precision_for(options, artefact);
    state->threads = options->shared ? 1 : options->threads;
    state->isa = options->isa;
    state->artefact_bytes = artefact->bytes;

    struct front *first = NULL;
    vx_err err = open_network(state, plugin_file, folder, artefact, info);
    /* The first caller's front end now, so that what cannot work fails here and not at the first request. */
    if (err == VX_OK)
        err = take_front(state, &first);
    if (err != VX_OK) {
        hosted_close(state);
        return err;
    }
    give_front(state, first);
    atomic_init(&state->settled_bytes, vx_rss_bytes());
    *ret_state = state;
    return VX_OK;
}

static vx_err jit_open(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                       vx_strategy_state **ret_state, vx_errinfo *info)
{
    return hosted_open("jit", "vx_network_torch", folder, manifest, options, ret_state, info);
}

static vx_err onnx_open(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                        vx_strategy_state **ret_state, vx_errinfo *info)
{
    return hosted_open("onnx", "vx_network_onnx", folder, manifest, options, ret_state, info);
}

/* ---- running ---- */

static void give_back_memory(vx_strategy_state *state)
{
    if (vx_rss_bytes() <= atomic_load(&state->settled_bytes) + SLACK_BYTES)
        return;
    vx_heap_trim();
    atomic_store(&state->settled_bytes, vx_rss_bytes());
}

/* Clips of one length: features of each, then one call of the library. A clip whose features cannot be had is left out
 * of the call. ret_raw and ret_errs of clip i are at place[i]. */
static void run_group(vx_strategy_state *state, const vx_clip *clips, const size_t *place, size_t n, float *ret_raw,
                      vx_err *ret_errs, vx_engine_timing *ret_timing, vx_errinfo *info)
{
    const size_t frames = frames_of(state, clips[place[0]].n), bands = (size_t)state->manifest->fbank.n_bands,
                 dim = (size_t)state->manifest->dim, one = frames * bands;
    struct front *front = NULL;
    size_t n_in = 0;
    char text[200] = "";
    float *features = malloc((n + 1) * one * sizeof *features); /* the last is the transposition's scratch */
    float *raw = malloc(n * dim * sizeof *raw);
    size_t *in = malloc(n * sizeof *in);
    vx_err err = features && raw && in ? take_front(state, &front) : VX_ERR_NOMEM;
    uint64_t start = vx_now_ns();
    for (size_t i = 0; i < n; i++) {
        vx_err *clip_err = &ret_errs[place[i]];
        *clip_err = err;
        if (err == VX_OK)
            *clip_err = features_of(front, &clips[place[i]], features + n * one, features + n_in * one);
        if (*clip_err == VX_OK)
            in[n_in++] = place[i];
    }
    ret_timing->features_ms = vx_ms_since(start);
    start = vx_now_ns();
    if (n_in > 0)
        err = state->plugin->run(state->network, features, n_in, frames, raw, text, sizeof text);
    ret_timing->network_ms = vx_ms_since(start);
    if (err != VX_OK && n_in > 0)
        vx_errinfo_set(info, err, "%s: %s", state->plugin->library, text[0] ? text : vx_err_sentence(err));
    for (size_t i = 0; i < n_in; i++) {
        ret_errs[in[i]] = err;
        if (err == VX_OK)
            memcpy(ret_raw + in[i] * dim, raw + i * dim, dim * sizeof *raw);
    }
    if (features)
        vx_wipe(features, (n + 1) * one * sizeof *features);
    if (raw)
        vx_wipe(raw, n * dim * sizeof *raw);
    if (front)
        give_front(state, front);
    free(features);
    free(raw);
    free(in);
    give_back_memory(state);
}

static vx_err hosted_embed(vx_strategy_state *state, const float *samples, size_t n, float *ret_raw,
                           vx_engine_timing *ret_timing, vx_errinfo *info)
{
    const vx_clip clip = {samples, n};
    const size_t place = 0;
    vx_err err = VX_ERR_INTERNAL;
    run_group(state, &clip, &place, 1, ret_raw, &err, ret_timing, info);
    return err;
}

static void hosted_embed_batch(vx_strategy_state *state, const vx_clip *clips, size_t n, float *ret_raw,
                               vx_err *ret_errs, vx_errinfo *info)
{
    size_t *place = malloc(n * sizeof *place);
    bool *done = calloc(n, sizeof *done);
    if (!place || !done) {
        for (size_t i = 0; i < n; i++)
            ret_errs[i] = VX_ERR_NOMEM;
        goto out;
    }
    /* Quadratic in the clips of a batch, and a millionth of what the network costs. */
    for (size_t first = 0; first < n; first++) {
        const size_t frames = frames_of(state, clips[first].n);
        size_t n_group = 0;
        for (size_t i = first; i < n && (n_group == 0 || (n_group + 1) * frames <= MAX_BATCH_FRAMES); i++)
            if (!done[i] && frames_of(state, clips[i].n) == frames) {
                done[i] = true;
                place[n_group++] = i;
            }
        vx_engine_timing ignored;
        if (n_group > 0)
            run_group(state, clips, place, n_group, ret_raw, ret_errs, &ignored, info);
    }
out:
    free(place);
    free(done);
}

static void hosted_info(const vx_strategy_state *state, vx_engine_info *ret_info)
{
    ret_info->gemm = state->plugin->library;
    ret_info->isa = vx_isa_name(state->isa);
    ret_info->device = state->device;
    ret_info->precision = vx_precision_name(state->precision);
    ret_info->threads = state->threads;
    ret_info->weights_bytes = state->artefact_bytes;
}

const vx_strategy vx_strategy_jit = {
    .name = "jit",
    .precisions = 1u << VX_PRECISION_F32 | 1u << VX_PRECISION_BF16,
    .fixed_bytes = (size_t)220 * 1000000,
    .bytes_per_byte = 2.4,
    .open = jit_open,
    .embed = hosted_embed,
    .embed_batch = hosted_embed_batch,
    .info = hosted_info,
    .close = hosted_close,
};
const vx_strategy vx_strategy_onnx = {
    .name = "onnx",
    .on_cpu_only = true,
    .precisions = 1u << VX_PRECISION_F32,
    .fixed_bytes = (size_t)64 * 1000000,
    .bytes_per_byte = 2.3,
    .open = onnx_open,
    .embed = hosted_embed,
    .embed_batch = hosted_embed_batch,
    .info = hosted_info,
    .close = hosted_close,
};
