/* parity.c - clips and reference embeddings of a baked folder.
 * The file is safetensors with four tensors, so that one proven parser reads weights and clips alike:
 *   embeddings F32 [clips, dim]   by PyTorch in f32, of any length
 *   lengths    I32 [clips]        samples of each clip
 *   model      U8  [32]           digest of the weights that the embeddings belong to
 *   samples    I16 [sum(lengths)] 16 kHz mono, clip after clip
 */
#include "shared/engine/parity.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/engine/safetensors.h"

#define MIN_SAMPLES   ((size_t)(VX_AUDIO_MIN_S * VX_AUDIO_RATE))
#define TIMED_SAMPLES ((size_t)VX_PARITY_TIMED_S * VX_AUDIO_RATE)

struct vx_parity {
    vx_map map;
    vx_safetensors *file;
    vx_model_digest model;
    size_t n_clips, n_samples, longest;
    int dim;
    const float *embeddings; /* [n_clips, dim], in the mapping like all that follows */
    const int32_t *lengths;  /* [n_clips] */
    const int16_t *samples;  /* [n_samples] */
};

/* ---- opening ---- */

static vx_err corrupt(const vx_manifest *manifest, const char *what, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, manifest->parity.file, -1, 0, "%s", what);
}

/* NULL unless there is such a tensor. */
static const vx_tensor *find(const vx_safetensors *file, const char *name, vx_dtype dtype, int n_dims)
{
    const vx_tensor *t = vx_safetensors_find(file, name);
    return t && t->dtype == dtype && t->n_dims == n_dims ? t : NULL;
}

static vx_err check_clips(vx_parity *p, const vx_manifest *manifest, vx_errinfo *info)
{
    vx_embedding reference;
    size_t sum = 0;
    for (size_t i = 0; i < p->n_clips; i++) {
        const size_t n = p->lengths[i] > 0 ? (size_t)p->lengths[i] : 0;
        if (n < MIN_SAMPLES || n > VX_AUDIO_MAX_SAMPLES)
            return corrupt(manifest, "a clip is shorter than 0.3 s or longer than 60 s", info);
        if (vx_embedding_from_raw(&p->model, p->embeddings + i * (size_t)p->dim, p->dim, &reference))
            return corrupt(manifest, "an embedding is not finite, or zero", info);
        sum += n; /* at most 100,000 clips of 960,000 samples */
        p->longest = n > p->longest ? n : p->longest;
    }
    return sum == p->n_samples ? VX_OK : corrupt(manifest, "'lengths' do not add up to 'samples'", info);
}

static vx_err bind_tensors(vx_parity *p, const vx_manifest *manifest, vx_errinfo *info)
{
    const vx_tensor *embeddings = find(p->file, "embeddings", VX_DTYPE_F32, 2);
    const vx_tensor *lengths = find(p->file, "lengths", VX_DTYPE_I32, 1);
    const vx_tensor *model = find(p->file, "model", VX_DTYPE_U8, 1);
    const vx_tensor *samples = find(p->file, "samples", VX_DTYPE_I16, 1);
    if (!embeddings || !lengths || !model || !samples || model->n_values != sizeof p->model.bytes)
        return corrupt(manifest, "lacks 'embeddings', 'lengths', 'model' or 'samples', or one has another form", info);
    memcpy(p->model.bytes, model->data, sizeof p->model.bytes);
    if (!vx_model_digest_equal(&p->model, &manifest->digest))
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISMATCH, manifest->parity.file, -1, 0,
                                 "its embeddings are those of another model");
    p->n_clips = (size_t)manifest->parity_clips;
    p->dim = manifest->dim;
    if (lengths->n_values != p->n_clips || embeddings->shape[0] != p->n_clips || embeddings->shape[1] != (size_t)p->dim)
        return corrupt(manifest, "holds another number of clips, or other embeddings, than the manifest states", info);
    p->embeddings = embeddings->data;
    p->lengths = lengths->data;
    p->samples = samples->data;
    p->n_samples = samples->n_values;
    return check_clips(p, manifest, info);
}

vx_err vx_parity_open(const char *folder, const vx_manifest *manifest, vx_parity **ret_parity, vx_errinfo *info)
{
    if (manifest->parity_clips == 0)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_MISSING, folder, -1, 0,
                                 "the manifest names no clips to compare with; models/bake.py adds them");
    vx_parity *p = calloc(1, sizeof *p);
    if (!p)
        return VX_ERR_NOMEM;
    vx_err err = vx_manifest_open_artefact(folder, &manifest->parity, &p->map, info);
    if (err == VX_OK) {
        vx_errinfo cause = {0};
        err = vx_safetensors_open(p->map.data, p->map.len, &p->file, &cause);
        if (err != VX_OK)
            vx_errinfo_set_at(info, err, manifest->parity.file, cause.offset, 0, "%s", vx_errinfo_text(&cause, err));
    }
    if (err == VX_OK)
        err = bind_tensors(p, manifest, info);
    if (err != VX_OK) {
        vx_parity_close(p);
        return err;
    }
    *ret_parity = p;
    return VX_OK;
}

void vx_parity_close(vx_parity *parity)
{
    if (!parity)
        return;
    vx_safetensors_close(parity->file);
    vx_map_close(&parity->map);
    free(parity);
}

size_t vx_parity_clips(const vx_parity *parity)
{
    return parity->n_clips;
}

double vx_parity_seconds(const vx_parity *parity)
{
    return (double)parity->n_samples / VX_AUDIO_RATE;
}

/* ---- cosines ---- */

static void to_float(const int16_t *from, size_t n, float *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = (float)from[i] / 32768.0f;
}

/* offset: samples of the clips before it; room: p->longest floats. */
static vx_err clip_cosine(const vx_parity *p, vx_engine *engine, size_t clip, size_t offset, float *room,
                          double *ret_cosine, vx_errinfo *info)
{
    vx_embedding got, expected;
    vx_errinfo cause = {0};
    const size_t n = (size_t)p->lengths[clip];
    to_float(p->samples + offset, n, room);
    vx_err err = vx_engine_embed(engine, room, n, &got, NULL, &cause);
    if (err == VX_OK)
        err = vx_embedding_from_raw(&p->model, p->embeddings + clip * (size_t)p->dim, p->dim, &expected);
    if (err == VX_OK)
        err = vx_embedding_cosine(&got, &expected, ret_cosine);
    if (err != VX_OK)
        vx_errinfo_set(info, err, "clip %zu of %zu: %s", clip + 1, p->n_clips, vx_errinfo_text(&cause, err));
    vx_embedding_wipe(&got);
    return err;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

vx_err vx_parity_compare(const vx_parity *parity, vx_engine *engine, vx_parity_cosines *ret_cosines, vx_errinfo *info)
{
    float *room = malloc(parity->longest * sizeof *room);
    double *cosines = malloc(parity->n_clips * sizeof *cosines);
    vx_err err = room && cosines ? VX_OK : VX_ERR_NOMEM;
    size_t worst = 0, offset = 0;
    for (size_t i = 0; i < parity->n_clips && err == VX_OK; i++) {
        err = clip_cosine(parity, engine, i, offset, room, &cosines[i], info);
        offset += (size_t)parity->lengths[i];
        if (err == VX_OK && cosines[i] < cosines[worst])
            worst = i;
    }
    if (err == VX_OK) {
        const double min = cosines[worst];
        *ret_cosines = (vx_parity_cosines){.min = min, .median = median(cosines, parity->n_clips), .worst = worst};
    }
    if (room)
        vx_wipe(room, parity->longest * sizeof *room);
    free(room);
    free(cosines);
    return err;
}

/* ---- time ---- */

vx_err vx_parity_time(const vx_parity *parity, vx_engine *engine, double *ret_ms, vx_errinfo *info)
{
    double ms[VX_PARITY_RUNS];
    float *clip = malloc(TIMED_SAMPLES * sizeof *clip);
    vx_err err = clip ? VX_OK : VX_ERR_NOMEM;
    for (size_t i = 0; i < TIMED_SAMPLES && clip; i++)
        to_float(&parity->samples[i % parity->n_samples], 1, &clip[i]);
    for (int run = -VX_PARITY_WARM_UPS; run < VX_PARITY_RUNS && err == VX_OK; run++) {
        vx_embedding got;
        const uint64_t start = vx_now_ns();
        err = vx_engine_embed(engine, clip, TIMED_SAMPLES, &got, NULL, info);
        if (run >= 0)
            ms[run] = vx_ms_since(start);
        vx_embedding_wipe(&got);
    }
    if (err == VX_OK)
        *ret_ms = median(ms, VX_PARITY_RUNS);
    if (clip)
        vx_wipe(clip, TIMED_SAMPLES * sizeof *clip);
    free(clip);
    return err;
}
