/* quantise.c - f32 model to int8 and bf16 artefacts. */
#include "tests/support/quantise.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fbank.h"
#include "shared/base/bytes.h"
#include "shared/engine/ecapa.h"

enum { PADDING = 64, MAX_ENTRIES = 1024, NAME_CAP = 96 };

typedef struct {
    char name[NAME_CAP];
    const char *dtype;
    size_t shape[3];
    int n_dims;
    const void *data; /* owned where `own` */
    size_t bytes;
    bool own;
} entry;

typedef struct {
    vx_manifest manifest;
    vx_map map;
    vx_safetensors *file;
    vx_ecapa net;
    vx_conv *convs[VX_ECAPA_MAX_CONVS];
    char names[VX_ECAPA_MAX_CONVS][NAME_CAP];
    size_t n_convs;
    float *low[VX_ECAPA_MAX_CONVS], *high[VX_ECAPA_MAX_CONVS]; /* range of each input channel, 0 included */
    entry entries[MAX_ENTRIES];
    size_t n_entries;
} work;

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

/* Kernels take no context. */
static work *recording;
static const vx_product *plain;

static void record(const vx_conv *conv, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p)
{
    /* The pass copies a convolution to change its bias; its weights stay where they are. */
    for (size_t i = 0; i < recording->n_convs; i++) {
        if (recording->convs[i]->weight != conv->weight)
            continue;
        for (size_t c = 0; c < conv->n_in; c++)
            for (size_t t = 0; t < n_frames; t++) {
                const float v = x[c * ld + t] + (x_add ? x_add[c * ld + t] : 0.0f);
                recording->low[i][c] = fminf(recording->low[i][c], v);
                recording->high[i][c] = fmaxf(recording->high[i][c], v);
            }
    }
    plain->pack(conv, x, x_add, ld, n_frames, p);
}

static vx_err run_clips(work *w, const vx_clip *clips, size_t n_clips)
{
    const vx_kernels *best = vx_kernels_for(vx_isa_best());
    vx_product product = *best->product[VX_NUMBER_F32];
    vx_kernels kernels = *best;
    plain = best->product[VX_NUMBER_F32];
    product.pack = record;
    kernels.product[VX_NUMBER_F32] = &product;
    recording = w;

    vx_fbank *fbank = NULL;
    vx_team *team = NULL;
    float raw[VX_EMBEDDING_MAX_DIM];
    vx_err err = vx_fbank_create(&w->manifest.fbank, vx_isa_best(), &fbank, NULL);
    if (err == VX_OK)
        err = vx_team_create(1, &team);
    for (size_t i = 0; i < n_clips && err == VX_OK; i++) {
        const size_t frames = vx_fbank_frames(fbank, clips[i].n);
        vx_arena arena = {0};
        err = vx_arena_reserve(sizeof(float) * vx_ecapa_scratch_floats(&w->net, &kernels, 1, frames, frames), &arena);
        vx_ecapa_runner run = {
            .net = &w->net, .kernels = &kernels, .team = team, .max_frames = frames, .scratch = arena.data};
        size_t ld;
        if (err == VX_OK) {
            float *features = vx_ecapa_input(&run, frames, &ld);
            err = vx_fbank_compute(fbank, clips[i].samples, clips[i].n, features, ld);
        }
        if (err == VX_OK)
            err = vx_ecapa_run(&run, frames, raw);
        vx_arena_release(&arena);
    }
    vx_team_destroy(team);
    vx_fbank_destroy(fbank);
    return err;
}

static void name_convs(work *w)
{
    size_t n = 0;
#define NAME(...) snprintf(w->names[n++], NAME_CAP, __VA_ARGS__)
    NAME("blocks.0.conv.conv");
    for (int i = 1; i <= VX_ECAPA_BLOCKS; i++) {
        NAME("blocks.%d.tdnn1.conv.conv", i);
        for (size_t j = 0; j + 1 < w->net.scale; j++)
            NAME("blocks.%d.res2net_block.blocks.%zu.conv.conv", i, j);
        NAME("blocks.%d.tdnn2.conv.conv", i);
    }
    NAME("mfa.conv.conv");
    NAME("asp.tdnn.conv.conv");
    NAME("asp.conv.conv");
#undef NAME
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* A d2 of 0: two dimensions, a d1 of 0: one. */
static void *add(work *w, const char *name, const char *suffix, const char *dtype, size_t value_bytes, size_t d0,
                 size_t d1, size_t d2)
{
    entry *e = &w->entries[w->n_entries++];
    snprintf(e->name, sizeof e->name, "%s.%s", name, suffix);
    e->dtype = dtype;
    e->n_dims = d1 == 0 ? 1 : d2 == 0 ? 2 : 3;
    e->shape[0] = d0;
    e->shape[1] = d1;
    e->shape[2] = d2;
    e->bytes = d0 * (d1 ? d1 : 1) * (d2 ? d2 : 1) * value_bytes;
    e->own = true;
    return (void *)(uintptr_t)(e->data = calloc(1, e->bytes));
}

/* The attention's first layer is rounded in one part only; the other is a tensor of its own. */
static void add_context(work *w, size_t index)
{
    const vx_dense *d = &w->net.attention_context;
    if (w->convs[index] != &w->net.attention_in)
        return;
    float *context = add(w, w->names[index], "context", "F32", 4, d->n_out, d->n_in, 0);
    for (size_t row = 0; row < d->n_out; row++)
        memcpy(context + row * d->n_in, d->weight + row * d->weight_ld, d->n_in * sizeof *context);
}

static void halve(work *w, size_t index)
{
    const vx_conv *c = w->convs[index];
    const size_t depth = c->n_in * c->taps;
    uint16_t *weight = add(w, w->names[index], "weight", "BF16", 2, c->n_out, c->n_in, c->taps);
    for (size_t row = 0; row < c->n_out; row++)
        for (size_t k = 0; k < depth; k++) {
            uint32_t bits;
            memcpy(&bits, (const float *)c->weight + row * c->weight_ld + k, sizeof bits);
            weight[row * depth + k] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
        }
    add_context(w, index);
}

static void quantise(work *w, size_t index)
{
    const vx_conv *c = w->convs[index];
    const char *name = w->names[index];
    const size_t depth = c->n_in * c->taps, padded = (depth + PADDING - 1) / PADDING * PADDING;
    int8_t *weight = add(w, name, "weight", "I8", 1, c->n_out, padded, 0);
    float *weight_scale = add(w, name, "weight_scale", "F32", 4, c->n_out, 0, 0);
    float *input_scale = add(w, name, "input_scale", "F32", 4, c->n_in, 0, 0);
    float *input_zero = add(w, name, "input_zero", "F32", 4, c->n_in, 0, 0);
    for (size_t i = 0; i < c->n_in; i++) {
        const float span = fmaxf(w->high[index][i] - w->low[index][i], 1e-6f);
        input_scale[i] = VX_INT8_TOP / span;
        input_zero[i] = -w->low[index][i] * input_scale[i];
    }
    for (size_t row = 0; row < c->n_out; row++) {
        const float *from = (const float *)c->weight + row * c->weight_ld;
        float most = 1e-30f;
        for (size_t k = 0; k < depth; k++)
            most = fmaxf(most, fabsf(from[k] / input_scale[k / c->taps]));
        weight_scale[row] = most / VX_INT8_WEIGHT_TOP;
        for (size_t k = 0; k < depth; k++)
            weight[row * padded + k] = (int8_t)lrintf(from[k] / input_scale[k / c->taps] / weight_scale[row]);
    }
    add_context(w, index);
}

static bool is_rounded(const work *w, const char *tensor)
{
    for (size_t i = 0; i < w->n_entries; i++)
        if (w->entries[i].own && strcmp(w->entries[i].name, tensor) == 0)
            return true;
    return false;
}

static void copy_others(work *w)
{
    for (size_t i = 0; i < vx_safetensors_count(w->file); i++) {
        const vx_tensor *t = vx_safetensors_at(w->file, i);
        if (is_rounded(w, t->name))
            continue;
        entry *e = &w->entries[w->n_entries++];
        snprintf(e->name, sizeof e->name, "%s", t->name);
        e->dtype = "F32";
        e->n_dims = t->n_dims;
        memcpy(e->shape, t->shape, sizeof e->shape);
        e->data = t->data;
        e->bytes = t->bytes;
    }
}

static bool write_file(const work *w, const char *path)
{
    json_t *header = json_object();
    size_t at = 0;
    for (size_t i = 0; i < w->n_entries; i++) {
        const entry *e = &w->entries[i];
        json_t *shape = json_array();
        for (int d = 0; d < e->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)e->shape[d]));
        json_object_set_new(header, e->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", e->dtype, "shape", shape, "data_offsets",
                                      (json_int_t)at, (json_int_t)(at + e->bytes)));
        at += e->bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    const size_t len = strlen(text), padded = (len + 8 + PADDING - 1) / PADDING * PADDING - 8;
    uint8_t length[8] = {0};
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(padded >> (8 * i));
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(length, 1, 8, file) == 8 && fwrite(text, 1, len, file) == len &&
              fprintf(file, "%*s", (int)(padded - len), "") == (int)(padded - len);
    for (size_t i = 0; i < w->n_entries && ok; i++)
        ok = fwrite(w->entries[i].data, 1, w->entries[i].bytes, file) == w->entries[i].bytes;
    free(text);
    return file && fclose(file) == 0 && ok;
}

/* What an artefact is to be. */
typedef struct {
    const char *strategy, *file, *precision;
    void (*round)(work *w, size_t index);
} target;

static bool name_in_manifest(const char *folder, const char *path, const target *to)
{
    char manifest_path[512], hex[VX_SHA256_HEX];
    uint8_t digest[VX_SHA256_BYTES];
    vx_map map = {0};
    snprintf(manifest_path, sizeof manifest_path, "%s/%s", folder, VX_MANIFEST_NAME);
    json_t *manifest = json_load_file(manifest_path, 0, NULL);
    bool ok = manifest && vx_map_open(path, &map, NULL) == VX_OK && vx_sha256_of(map.data, map.len, digest) == VX_OK;
    if (ok) {
        vx_hex(digest, sizeof digest, hex);
        json_object_set_new(json_object_get(manifest, "artefacts"), to->strategy,
                            json_pack("{s:s, s:I, s:s, s:s}", "file", to->file, "bytes", (json_int_t)map.len, "sha256",
                                      hex, "precision", to->precision));
        ok = json_dump_file(manifest, manifest_path, JSON_INDENT(1)) == 0;
    }
    vx_map_close(&map);
    json_decref(manifest);
    return ok;
}

static bool round_folder(const char *folder, const target *to, const vx_clip *clips, size_t n_clips, const char *keep)
{
    char path[512];
    vx_errinfo info = {0};
    work *w = calloc(1, sizeof *w);
    vx_err err = w ? vx_manifest_read(folder, &w->manifest, &info) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_manifest_open_artefact(folder, vx_manifest_artefact(&w->manifest, "native"), &w->map, &info);
    if (err == VX_OK)
        err = vx_safetensors_open(w->map.data, w->map.len, &w->file, &info);
    if (err == VX_OK)
        err = vx_ecapa_bind(w->file, (size_t)w->manifest.fbank.n_bands, &w->net, &info);
    if (err == VX_OK) {
        w->n_convs = vx_ecapa_convs(&w->net, w->convs);
        name_convs(w);
        for (size_t i = 0; i < w->n_convs; i++) {
            w->low[i] = calloc(w->convs[i]->n_in, sizeof(float));
            w->high[i] = calloc(w->convs[i]->n_in, sizeof(float));
        }
        err = run_clips(w, clips, n_clips);
    }
    bool ok = err == VX_OK;
    if (ok) {
        for (size_t i = 0; i < w->n_convs; i++)
            if (!keep || !strstr(w->names[i], keep))
                to->round(w, i);
        copy_others(w);
        snprintf(path, sizeof path, "%s/%s", folder, to->file);
        ok = write_file(w, path) && name_in_manifest(folder, path, to);
    }
    if (!ok)
        fprintf(stderr, "quantise: %s: %s\n", folder, vx_errinfo_text(&info, err));
    for (size_t i = 0; w && i < w->n_entries; i++)
        if (w->entries[i].own)
            free((void *)(uintptr_t)w->entries[i].data);
    for (size_t i = 0; w && i < w->n_convs; i++) {
        free(w->low[i]);
        free(w->high[i]);
    }
    if (w) {
        vx_ecapa_done(&w->net);
        vx_safetensors_close(w->file);
        vx_map_close(&w->map);
    }
    free(w);
    return ok;
}

bool quantise_folder(const char *folder, const vx_clip *clips, size_t n_clips, const char *keep)
{
    static const target int8 = {"quantized", QUANTISED_WEIGHTS, "int8", quantise};
    return round_folder(folder, &int8, clips, n_clips, keep);
}

bool halve_folder(const char *folder, const char *keep)
{
    static const target bf16 = {"half", HALVED_WEIGHTS, "bf16", halve};
    return round_folder(folder, &bf16, NULL, 0, keep);
}
