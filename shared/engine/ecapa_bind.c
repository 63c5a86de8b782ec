/* ecapa_bind.c - finds the network's tensors by SpeechBrain's names and proves their shapes.
 * Channels, scale, bottlenecks and dimension come from the weights; only the dilations (2, 3, 4) are the paper's.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/engine/ecapa.h"

/* A pass reserves memory in proportion to these, so a hostile file must not choose them freely. */
enum { MAX_CHANNELS = 8192, MAX_TAPS = 15 };
/* The paper's kernel sizes. A row of int8 weights is padded, so its length does not say how many taps it has. */
enum { INPUT_TAPS = 5, RES2_TAPS = 3 };
/* Values that a row of int8 weights is padded to a multiple of: a cache line. */
enum { INT8_PADDING = 64 };
#define NORM_EPS 1e-5f

struct binder {
    const vx_safetensors *file;
    float *folded; /* next free float */
    vx_errinfo *info;
    vx_err err; /* the first error; everything after it is skipped */
};

static const vx_tensor *fail(struct binder *b, const char *name, const char *expected, const vx_tensor *found)
{
    char shape[96] = "missing";
    if (found) {
        size_t at = 0;
        shape[0] = 0;
        for (int i = 0; i < found->n_dims && at < sizeof shape - 24; i++)
            at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%zu", i ? " x " : "", found->shape[i]);
    }
    b->err = vx_errinfo_set(b->info, VX_ERR_MODEL_SHAPE, "tensor %s: expected %s, found %s", name, expected, shape);
    return NULL;
}

static const vx_tensor *find(const struct binder *b, const char *prefix, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", prefix, suffix);
    return vx_safetensors_find(b->file, name);
}

/* The tensor "prefix.suffix" with n_dims dimensions; a given shape of 0 accepts any size up to the limit. */
static const vx_tensor *tensor(struct binder *b, const char *prefix, const char *suffix, vx_dtype dtype, int n_dims,
                               const size_t shape[3])
{
    if (b->err != VX_OK)
        return NULL;
    char name[128], expected[96];
    snprintf(name, sizeof name, "%s.%s", prefix, suffix);
    size_t at = (size_t)snprintf(expected, sizeof expected, "%s",
                                 dtype == VX_DTYPE_I8     ? "i8"
                                 : dtype == VX_DTYPE_BF16 ? "bf16"
                                                          : "f32");
    for (int i = 0; i < n_dims; i++)
        at += (size_t)(shape[i] ? snprintf(expected + at, sizeof expected - at, "%s%zu", i ? " x " : " ", shape[i])
                                : snprintf(expected + at, sizeof expected - at, "%sn", i ? " x " : " "));
    const vx_tensor *t = vx_safetensors_find(b->file, name);
    if (!t || t->dtype != dtype || t->n_dims != n_dims)
        return fail(b, name, expected, t);
    for (int i = 0; i < n_dims; i++)
        if (shape[i] ? t->shape[i] != shape[i] : (t->shape[i] == 0 || t->shape[i] > 4 * MAX_CHANNELS))
            return fail(b, name, expected, t);
    return t;
}

static const float *vector(struct binder *b, const char *prefix, const char *suffix, size_t n)
{
    const vx_tensor *t = tensor(b, prefix, suffix, VX_DTYPE_F32, 1, (const size_t[3]){n});
    return t ? t->data : NULL;
}

/* Batch norm in inference as one scale and one shift a channel. */
static void norm(struct binder *b, const char *prefix, size_t n, const float **ret_scale, const float **ret_shift)
{
    const float *gamma = vector(b, prefix, "norm.weight", n), *beta = vector(b, prefix, "norm.bias", n);
    const float *mean = vector(b, prefix, "norm.running_mean", n), *var = vector(b, prefix, "norm.running_var", n);
    if (b->err != VX_OK)
        return;
    float *scale = b->folded, *shift = b->folded + n;
    b->folded += 2 * n;
    for (size_t i = 0; i < n; i++) {
        scale[i] = gamma[i] / sqrtf(var[i] + NORM_EPS);
        shift[i] = beta[i] - mean[i] * scale[i];
    }
    *ret_scale = scale;
    *ret_shift = shift;
}

/* What a convolution should be; 0: taken from the weights. int8 weights do not state taps. */
typedef struct {
    size_t n_out, n_in, taps, dilation, int8_taps;
} wanted;

/* Proves the weights' range, which kernels count on, and sums what the zero points add to every row, in one reading. */
static void prove_and_sum_rows(struct binder *b, const char *prefix, vx_conv *c)
{
    float *zeros = calloc(c->weight_ld, sizeof *zeros), *sums = b->folded;
    if (!zeros) {
        b->err = VX_ERR_NOMEM;
        return;
    }
    for (size_t k = 0; k < c->n_in * c->taps; k++)
        zeros[k] = c->input_zero[k / c->taps];
    b->folded += c->n_out;
    const int8_t *w = c->weight;
    int bits = 0; /* of weights raised by 64: more than 7 where one is out of range */
    for (size_t row = 0; row < c->n_out && b->err == VX_OK; row++) {
        /* Many sums side by side, which is what compilers vectorise: 18 million weights. */
        float parts[INT8_PADDING] = {0};
        double sum = 0;
        for (size_t k = 0; k < c->weight_ld; k += INT8_PADDING, w += INT8_PADDING)
            for (size_t i = 0; i < INT8_PADDING; i++) {
                parts[i] += (float)w[i] * zeros[k + i];
                bits |= w[i] + VX_INT8_WEIGHT_TOP + 1;
            }
        for (size_t i = 0; i < INT8_PADDING; i++)
            sum += (double)parts[i];
        sums[row] = (float)sum;
        if (!isfinite(sums[row]))
            b->err = vx_errinfo_set(b->info, VX_ERR_MODEL_SHAPE, "tensor %s.conv.input_zero: its sums are not finite",
                                    prefix);
    }
    if (b->err == VX_OK && (bits & ~(2 * VX_INT8_WEIGHT_TOP + 1)))
        b->err = vx_errinfo_set(b->info, VX_ERR_MODEL_SHAPE,
                                "tensor %s.conv.weight: expected values of %d to %d; bake the model again", prefix,
                                -VX_INT8_WEIGHT_TOP - 1, VX_INT8_WEIGHT_TOP);
    free(zeros);
    c->zero_sum = sums;
}

/* A vector of finite numbers, none below `least`. */
static const float *bounded(struct binder *b, const char *prefix, const char *suffix, size_t n, float least)
{
    const float *v = vector(b, prefix, suffix, n);
    for (size_t i = 0; v && i < n; i++)
        if (!(v[i] >= least && v[i] <= FLT_MAX)) {
            b->err =
                vx_errinfo_set(b->info, VX_ERR_MODEL_SHAPE, "tensor %s.%s: value %zu is %g, expected a finite number%s",
                               prefix, suffix, i, (double)v[i], least > 0 ? " above 0" : "");
            return NULL;
        }
    return v;
}

static vx_conv conv_int8(struct binder *b, const char *prefix, wanted want)
{
    vx_conv c = {.number = VX_NUMBER_INT8, .taps = want.taps ? want.taps : want.int8_taps, .dilation = want.dilation};
    const vx_tensor *in = tensor(b, prefix, "conv.input_scale", VX_DTYPE_F32, 1, (const size_t[3]){want.n_in});
    if (!in)
        return c;
    c.n_in = in->n_values;
    const size_t depth = c.n_in * c.taps;
    c.weight_ld = (depth + INT8_PADDING - 1) / INT8_PADDING * INT8_PADDING;
    const vx_tensor *w = tensor(b, prefix, "conv.weight", VX_DTYPE_I8, 2, (const size_t[3]){want.n_out, c.weight_ld});
    if (!w)
        return c;
    if (depth > VX_INT8_MAX_DEPTH || (uintptr_t)w->data % VX_GROUP(VX_NUMBER_INT8) != 0) {
        fail(b, prefix, "4-byte aligned rows of at most 65536 weights", w);
        return c;
    }
    c.n_out = w->shape[0];
    c.weight = w->data;
    c.input_scale = bounded(b, prefix, "conv.input_scale", c.n_in, FLT_MIN);
    c.input_zero = bounded(b, prefix, "conv.input_zero", c.n_in, -FLT_MAX);
    c.weight_scale = bounded(b, prefix, "conv.weight_scale", c.n_out, FLT_MIN);
    c.bias = bounded(b, prefix, "conv.bias", c.n_out, -FLT_MAX);
    if (b->err == VX_OK)
        prove_and_sum_rows(b, prefix, &c);
    return c;
}

/* A convolution "prefix.conv". */
static vx_conv conv(struct binder *b, const char *prefix, wanted want)
{
    vx_conv c = {.dilation = want.dilation};
    const vx_tensor *w = b->err == VX_OK ? find(b, prefix, "conv.weight") : NULL;
    if (w && w->dtype == VX_DTYPE_I8)
        return conv_int8(b, prefix, want);
    const bool bf16 = w && w->dtype == VX_DTYPE_BF16;
    w = tensor(b, prefix, "conv.weight", bf16 ? VX_DTYPE_BF16 : VX_DTYPE_F32, 3,
               (const size_t[3]){want.n_out, want.n_in, want.taps});
    if (!w)
        return c;
    if (w->shape[2] % 2 == 0 || w->shape[2] > MAX_TAPS) {
        fail(b, prefix, "an odd kernel of at most 15 taps", w);
        return c;
    }
    c.n_out = w->shape[0];
    c.n_in = w->shape[1];
    c.taps = w->shape[2];
    c.weight = w->data;
    c.weight_ld = c.n_in * c.taps;
    if (bf16) {
        c.number = VX_NUMBER_BF16;
        if (c.weight_ld % VX_GROUP(c.number) != 0 || (uintptr_t)w->data % sizeof(float) != 0)
            fail(b, prefix, "4-byte aligned rows of an even number of weights", w);
    }
    c.bias = vector(b, prefix, "conv.bias", c.n_out);
    return c;
}

/* Convolution, ReLU, batch norm: SpeechBrain's TDNNBlock. */
static vx_conv tdnn(struct binder *b, const char *prefix, wanted want)
{
    char name[96];
    snprintf(name, sizeof name, "%s.conv", prefix);
    vx_conv c = conv(b, name, want);
    c.relu = true;
    snprintf(name, sizeof name, "%s.norm", prefix);
    norm(b, name, c.n_out, &c.scale, &c.shift);
    return c;
}

static vx_dense dense(struct binder *b, const char *prefix, size_t n_out, size_t n_in)
{
    const vx_tensor *w = tensor(b, prefix, "conv.weight", VX_DTYPE_F32, 3, (const size_t[3]){n_out, n_in, 1});
    if (!w)
        return (vx_dense){0};
    const float *bias = vector(b, prefix, "conv.bias", w->shape[0]);
    return (vx_dense){
        .n_out = w->shape[0], .n_in = w->shape[1], .weight = w->data, .weight_ld = w->shape[1], .bias = bias};
}

static void bind_block(struct binder *b, vx_ecapa *net, size_t index)
{
    vx_ecapa_block *block = &net->blocks[index];
    const size_t n = net->channels, part = n / net->scale;
    char name[64];
    snprintf(name, sizeof name, "blocks.%zu.tdnn1", index + 1);
    block->tdnn1 = tdnn(b, name, (wanted){n, n, 1, 1, 1});
    for (size_t i = 0; i + 1 < net->scale; i++) {
        snprintf(name, sizeof name, "blocks.%zu.res2net_block.blocks.%zu", index + 1, i);
        /* One kernel size throughout: scratch is sized by the first. */
        block->res2[i] = tdnn(b, name, (wanted){part, part, net->blocks[0].res2[0].taps, index + 2, RES2_TAPS});
    }
    snprintf(name, sizeof name, "blocks.%zu.tdnn2", index + 1);
    block->tdnn2 = tdnn(b, name, (wanted){n, n, 1, 1, 1});
    snprintf(name, sizeof name, "blocks.%zu.se_block.conv1", index + 1);
    block->se_squeeze = dense(b, name, net->se, n); /* the first block decides: net->se is 0 then */
    net->se = block->se_squeeze.n_out;
    snprintf(name, sizeof name, "blocks.%zu.se_block.conv2", index + 1);
    block->se_excite = dense(b, name, n, net->se);
}

/* How many parts a Res2Net block has: one more than it has convolutions. */
static size_t count_scale(const vx_safetensors *file)
{
    size_t n = 0;
    char name[96];
    do
        snprintf(name, sizeof name, "blocks.1.res2net_block.blocks.%zu.conv.conv.weight", n);
    while (vx_safetensors_find(file, name) && ++n < VX_ECAPA_MAX_SCALE);
    return n + 1;
}

/* The attention's first layer sees frames, mean and deviation on top of each other. The last two are the same in every
 * frame, so their product is computed once an utterance and takes the place of the bias. In int8 and bf16 the two parts are
 * tensors of their own, because only what sees frames is rounded. */
static void bind_attention(struct binder *b, vx_ecapa *net)
{
    const size_t m = net->mfa_channels;
    const vx_tensor *w = b->err == VX_OK ? find(b, "asp.tdnn.conv", "conv.weight") : NULL;
    const bool apart = w && w->dtype != VX_DTYPE_F32;
    net->attention_in = tdnn(b, "asp.tdnn", (wanted){0, apart ? m : 3 * m, 1, 1, 1});
    if (b->err != VX_OK)
        return;
    vx_conv *in = &net->attention_in;
    in->tanh = true;
    net->attention = in->n_out;
    net->attention_context = (vx_dense){.n_out = in->n_out, .n_in = 2 * m, .bias = in->bias};
    if (apart) {
        const vx_tensor *context =
            tensor(b, "asp.tdnn.conv", "conv.context", VX_DTYPE_F32, 2, (const size_t[3]){in->n_out, 2 * m});
        net->attention_context.weight = context ? context->data : NULL;
        net->attention_context.weight_ld = 2 * m;
    } else {
        in->n_in = m;
        net->attention_context.weight = (const float *)in->weight + m;
        net->attention_context.weight_ld = in->weight_ld;
    }
}

static void bind_all(struct binder *b, vx_ecapa *net)
{
    net->input = tdnn(b, "blocks.0", (wanted){0, net->bands, 0, 1, INPUT_TAPS});
    net->channels = net->input.n_out;
    net->scale = count_scale(b->file);
    if (b->err == VX_OK && (net->channels > MAX_CHANNELS || net->scale < 2 || net->scale > VX_ECAPA_MAX_SCALE ||
                            net->channels % net->scale != 0)) {
        b->err =
            vx_errinfo_set(b->info, VX_ERR_MODEL_SHAPE,
                           "%zu channels in %zu Res2Net parts: expected at most %d channels in 2 to %d equal parts",
                           net->channels, net->scale, MAX_CHANNELS, VX_ECAPA_MAX_SCALE);
        return;
    }
    for (size_t i = 0; i < VX_ECAPA_BLOCKS && b->err == VX_OK; i++)
        bind_block(b, net, i);

    net->mfa = tdnn(b, "mfa", (wanted){0, VX_ECAPA_BLOCKS * net->channels, 1, 1, 1});
    const size_t m = net->mfa_channels = net->mfa.n_out;
    bind_attention(b, net);
    net->attention_out = conv(b, "asp.conv", (wanted){m, net->attention, 1, 1, 1});
    norm(b, "asp_bn", 2 * m, &net->pool_scale, &net->pool_shift);
    net->embedding = dense(b, "fc", 0, 2 * m);
    net->dim = net->embedding.n_out;
}

vx_err vx_ecapa_bind(const vx_safetensors *weights, size_t bands, vx_ecapa *ret_net, vx_errinfo *info)
{
    /* Every batch norm has four vectors in the file and becomes two, and an int8 convolution has two of the length of its
     * sums: the file's vectors bound the folded floats. */
    size_t floats = 0;
    for (size_t i = 0; i < vx_safetensors_count(weights); i++) {
        const vx_tensor *t = vx_safetensors_at(weights, i);
        if (t->n_dims == 1 && !vx_size_add(floats, t->n_values, &floats))
            return VX_ERR_OVERFLOW;
    }
    size_t bytes;
    if (!vx_size_mul(floats + 1, sizeof(float), &bytes))
        return VX_ERR_OVERFLOW;
    vx_ecapa net = {.bands = bands, .folded = malloc(bytes)};
    if (!net.folded)
        return VX_ERR_NOMEM;
    struct binder b = {.file = weights, .folded = net.folded, .info = info};
    bind_all(&b, &net);
    if (b.err != VX_OK) {
        vx_ecapa_done(&net);
        return b.err;
    }
    *ret_net = net;
    return VX_OK;
}

void vx_ecapa_done(vx_ecapa *net)
{
    free(net->folded);
    vx_arena_release(&net->converted);
    *net = (vx_ecapa){0};
}
