/* ecapa_run.c - one pass through the network, by all members of a team together.
 * Every member computes its own share of each layer's rows (channels) over all frames, so that statistics along a row
 * need no one else; members meet where a layer reads rows that others wrote.
 */
#include <math.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/engine/ecapa.h"

/* Frames whose packed input a member keeps at once: 384 frames of 3,072 channels are 4.7 MB, and the weights then
 * stream from memory once per 384 frames, which is far below what the arithmetic takes. */
enum { PACK_FRAMES = 384, ATTEND_ROWS = 32 };

struct pass {
    const vx_ecapa_runner *run;
    const vx_ecapa *net;
    size_t n, ld; /* frames, row stride */
    /* Vectors, and a pack buffer a member. */
    float *se_mean, *se_hidden, *gates, *stats, *context, *pooled, *raw;
    float *panels;
    size_t panel_floats;
    bool failed; /* a library refused a product; only rank 0 uses a library */
    /* Rows of ld floats. */
    float *features, *x0, *t1, *t2, *cat, *mfa, *hidden, *logits;
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}
static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t row_stride(size_t n_frames)
{
    size_t ld = round_up(n_frames, VX_ROW_FLOATS);
    /* Rows a multiple of 1 KiB apart would fall on a quarter of the cache's sets and less. */
    return ld % 256 == 0 ? ld + VX_ROW_FLOATS : ld;
}

/* Lanes that n_frames of a convolution's packed input take. */
static size_t panel_lanes(const vx_kernels *kernels, const vx_conv *c, size_t n_frames)
{
    const size_t group = VX_GROUP(c->number);
    return (c->n_in * c->taps + group - 1) / group * round_up(n_frames, kernels->product[c->number]->panel_width);
}

/* Lanes that a member's pack buffer needs. */
static size_t pack_lanes(const vx_ecapa *net, const vx_kernels *kernels, size_t max_frames)
{
    /* The attention's hidden rows are packed whole, however long the clip. */
    size_t most = panel_lanes(kernels, &net->attention_out, max_frames);
    const vx_conv *const deep[] = {&net->input, &net->mfa, &net->attention_in};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++)
        most = max_size(most, panel_lanes(kernels, deep[i], PACK_FRAMES));
    for (size_t i = 0; i < VX_ECAPA_BLOCKS; i++) {
        const vx_ecapa_block *block = &net->blocks[i];
        most = max_size(most, panel_lanes(kernels, &block->tdnn1, PACK_FRAMES));
        most = max_size(most, panel_lanes(kernels, &block->tdnn2, PACK_FRAMES));
        for (size_t j = 0; j + 1 < net->scale; j++)
            most = max_size(most, panel_lanes(kernels, &block->res2[j], PACK_FRAMES));
    }
    return most;
}

/* Lays the pass out on scratch (NULL to measure only); returns the floats used. Vectors come first and frames last, so
 * that a short clip touches a short front. */
static size_t lay_out(struct pass *p, const vx_ecapa *net, const vx_kernels *kernels, int team_size, size_t n_frames,
                      size_t max_frames, float *scratch)
{
    const size_t c = net->channels, m = net->mfa_channels;
    size_t at = 0;
    p->net = net;
    p->n = n_frames;
    p->ld = row_stride(n_frames);
#define TAKE(field, floats) ((field) = scratch ? scratch + at : NULL, at += round_up((floats), VX_ROW_FLOATS))
    TAKE(p->se_mean, c);
    TAKE(p->se_hidden, net->se);
    TAKE(p->gates, c);
    TAKE(p->stats, 2 * m);
    TAKE(p->context, net->attention);
    TAKE(p->pooled, 2 * m);
    TAKE(p->raw, net->dim);
    p->panel_floats = pack_lanes(net, kernels, max_frames);
    TAKE(p->panels, (size_t)team_size * p->panel_floats);

    TAKE(p->features, net->bands * p->ld);
    TAKE(p->hidden, net->attention * p->ld);
    TAKE(p->logits, (size_t)team_size * ATTEND_ROWS * p->ld);
    TAKE(p->cat, VX_ECAPA_BLOCKS * c * p->ld);
    /* x0, t1 and t2 are done with when mfa is written: it takes their place. */
    TAKE(p->x0, max_size(3 * c, m) * p->ld);
#undef TAKE
    p->t1 = scratch ? p->x0 + c * p->ld : NULL;
    p->t2 = scratch ? p->t1 + c * p->ld : NULL;
    p->mfa = p->x0;
    return at;
}

static void meet(struct pass *p)
{
    vx_team_barrier(p->run->team);
}

/* A member's share of n rows, in whole register tiles. */
static void share(const struct pass *p, int rank, size_t n, size_t *ret_first, size_t *ret_end)
{
    const size_t size = (size_t)vx_team_size(p->run->team), me = (size_t)rank, tiles = (n + 7) / 8;
    size_t first = tiles * me / size * 8, end = tiles * (me + 1) / size * 8;
    *ret_first = first < n ? first : n;
    *ret_end = end < n ? end : n;
}

/* The library's way: taps unrolled into rows, one product, then the rest of the layer row by row. */
static void conv_by_library(struct pass *p, const vx_conv *c, const float *x, const float *x_add, size_t row0,
                            size_t row1, float *y)
{
    const vx_gemm_plugin *gemm = p->run->gemm;
    const size_t depth = c->n_in * c->taps, n_max = p->panel_floats / depth;
    const bool in_place = c->taps == 1 && !x_add;
    for (size_t first = 0; first < p->n && row0 < row1; first += n_max) {
        size_t n = p->n - first < n_max ? p->n - first : n_max;
        const float *b = x + first;
        size_t ldb = p->ld;
        if (!in_place) {
            for (size_t k = 0; k < depth; k++) {
                ptrdiff_t shift = ((ptrdiff_t)(k % c->taps) - (ptrdiff_t)(c->taps / 2)) * (ptrdiff_t)c->dilation;
                const size_t row = k / c->taps * p->ld;
                for (size_t i = 0; i < n; i++) {
                    ptrdiff_t t = (ptrdiff_t)(first + i) + shift, last = (ptrdiff_t)p->n - 1;
                    t = t < 0 ? -t : t > last ? 2 * last - t : t;
                    p->panels[k * n + i] = x[row + (size_t)t] + (x_add ? x_add[row + (size_t)t] : 0.0f);
                }
            }
            b = p->panels;
            ldb = n;
        }
        if (gemm->sgemm(row1 - row0, n, depth, (const float *)c->weight + row0 * c->weight_ld, c->weight_ld, b, ldb,
                        y + first, p->ld) != 0)
            p->failed = true;
    }
    for (size_t row = row0; row < row1; row++)
        p->run->kernels->row->finish(c, row, y + (row - row0) * p->ld, p->n);
}

/* A layer whose first n_head rows go to head and the others to y, each to its own row there. */
static void conv_split(struct pass *p, int rank, const vx_conv *c, const float *x, const float *x_add, size_t n_head,
                       float *head, float *y)
{
    const vx_product *product = p->run->kernels->product[c->number];
    vx_panels panels = {.data = p->panels + (size_t)rank * p->panel_floats, .capacity = p->panel_floats};
    size_t row0, row1;
    share(p, rank, c->n_out, &row0, &row1);
    const size_t split = n_head < row0 ? row0 : n_head < row1 ? n_head : row1;
    head += row0 * p->ld;
    y += split * p->ld;
    if (p->run->gemm) {
        conv_by_library(p, c, x, x_add, row0, split, head);
        conv_by_library(p, c, x, x_add, split, row1, y);
    } else if (row0 < row1) {
        const size_t step = product->panels_fit(c, panels.capacity);
        for (; panels.first < p->n; panels.first += step) {
            panels.n = p->n - panels.first < step ? p->n - panels.first : step;
            product->pack(c, x, x_add, p->ld, p->n, &panels);
            product->multiply(c, &panels, row0, split, head, p->ld);
            product->multiply(c, &panels, split, row1, y, p->ld);
        }
    }
    meet(p);
}

static void conv(struct pass *p, int rank, const vx_conv *c, const float *x, const float *x_add, float *y)
{
    conv_split(p, rank, c, x, x_add, 0, y, y);
}

static float dense_row(const struct pass *p, const vx_dense *d, size_t row, const float *x)
{
    return p->run->kernels->row->dot(d->weight + row * d->weight_ld, x, d->n_in) + d->bias[row];
}

/* Squeeze and excitation, and the block's residual: y = x + gate * t1. */
static void excite(struct pass *p, int rank, const vx_ecapa_block *block, const float *x, float *y)
{
    const vx_row_kernels *k = p->run->kernels->row;
    size_t row0, row1, hidden0, hidden1;
    share(p, rank, p->net->channels, &row0, &row1);
    share(p, rank, p->net->se, &hidden0, &hidden1);
    for (size_t r = row0; r < row1; r++)
        p->se_mean[r] = k->mean(p->t1 + r * p->ld, p->n);
    meet(p);
    for (size_t r = hidden0; r < hidden1; r++)
        p->se_hidden[r] = fmaxf(dense_row(p, &block->se_squeeze, r, p->se_mean), 0.0f);
    meet(p);
    for (size_t r = row0; r < row1; r++)
        p->gates[r] = dense_row(p, &block->se_excite, r, p->se_hidden);
    k->sigmoid(p->gates + row0, row1 - row0);
    for (size_t r = row0; r < row1; r++)
        k->add_scaled(x + r * p->ld, p->gates[r], p->t1 + r * p->ld, p->n, y + r * p->ld);
    meet(p);
}

static void se_res2_block(struct pass *p, int rank, const vx_ecapa_block *block, const float *x, float *y)
{
    const size_t width = p->net->channels / p->net->scale, part = width * p->ld;
    /* The first part passes through, so it is written where the others' outputs go; each later one sees its own
     * input plus the part before it. */
    conv_split(p, rank, &block->tdnn1, x, NULL, width, p->t2, p->t1);
    for (size_t i = 1; i < p->net->scale; i++)
        conv(p, rank, &block->res2[i - 1], p->t1 + i * part, i > 1 ? p->t2 + (i - 1) * part : NULL, p->t2 + i * part);
    conv(p, rank, &block->tdnn2, p->t2, NULL, p->t1);
    excite(p, rank, block, x, y);
}

/* Attentive statistics pooling with global context, and the batch norm behind it. */
static void pool(struct pass *p, int rank)
{
    const vx_row_kernels *k = p->run->kernels->row;
    const vx_product *product = p->run->kernels->product[p->net->attention_out.number];
    const vx_ecapa *net = p->net;
    const size_t m = net->mfa_channels;
    size_t row0, row1, first, end;
    share(p, rank, m, &row0, &row1);
    for (size_t r = row0; r < row1; r++)
        k->mean_std(p->mfa + r * p->ld, p->n, 1e-12f, &p->stats[r], &p->stats[m + r]);
    meet(p);
    share(p, rank, net->attention, &first, &end);
    for (size_t r = first; r < end; r++)
        p->context[r] = dense_row(p, &net->attention_context, r, p->stats);
    meet(p);
    vx_conv attention_in = net->attention_in;
    attention_in.bias = p->context;
    conv(p, rank, &attention_in, p->mfa, NULL, p->hidden);

    /* A few rows of attention at a time: written, turned into weights, used, and forgotten while in cache. */
    float *logits = p->logits + (size_t)rank * ATTEND_ROWS * p->ld;
    vx_panels panels = {.data = p->panels + (size_t)rank * p->panel_floats, .capacity = p->panel_floats, .n = p->n};
    if (!p->run->gemm)
        product->pack(&net->attention_out, p->hidden, NULL, p->ld, p->n, &panels);
    for (size_t r = row0; r < row1; r += ATTEND_ROWS) {
        size_t stop = row1 - r < ATTEND_ROWS ? row1 : r + ATTEND_ROWS;
        if (p->run->gemm)
            conv_by_library(p, &net->attention_out, p->hidden, NULL, r, stop, logits);
        else
            product->multiply(&net->attention_out, &panels, r, stop, logits, p->ld);
        for (size_t i = r; i < stop; i++) {
            k->attend(logits + (i - r) * p->ld, p->mfa + i * p->ld, p->n, 1e-12f, &p->pooled[i], &p->pooled[m + i]);
            p->pooled[i] = p->pooled[i] * net->pool_scale[i] + net->pool_shift[i];
            p->pooled[m + i] = p->pooled[m + i] * net->pool_scale[m + i] + net->pool_shift[m + i];
        }
    }
    meet(p);
}

static void pass(void *arg, int rank)
{
    struct pass *p = arg;
    const vx_ecapa *net = p->net;
    const float *x = p->x0;
    conv(p, rank, &net->input, p->features, NULL, p->x0);
    for (size_t i = 0; i < VX_ECAPA_BLOCKS; i++) {
        float *y = p->cat + i * net->channels * p->ld;
        se_res2_block(p, rank, &net->blocks[i], x, y);
        x = y;
    }
    conv(p, rank, &net->mfa, p->cat, NULL, p->mfa);
    pool(p, rank);
    size_t first, end;
    share(p, rank, net->dim, &first, &end);
    for (size_t r = first; r < end; r++)
        p->raw[r] = dense_row(p, &net->embedding, r, p->pooled);
}

size_t vx_ecapa_min_frames(const vx_ecapa *net)
{
    size_t reach = net->input.taps / 2 * net->input.dilation;
    for (size_t i = 0; i < VX_ECAPA_BLOCKS; i++)
        reach = max_size(reach, net->blocks[i].res2[0].taps / 2 * net->blocks[i].res2[0].dilation);
    return reach + 1;
}

size_t vx_ecapa_scratch_floats(const vx_ecapa *net, const vx_kernels *kernels, int team_size, size_t n_frames,
                               size_t max_frames)
{
    struct pass p = {0};
    return lay_out(&p, net, kernels, team_size, n_frames, max_frames, NULL);
}

static struct pass begin(const vx_ecapa_runner *runner, size_t n_frames)
{
    struct pass p = {.run = runner};
    lay_out(&p, runner->net, runner->kernels, vx_team_size(runner->team), n_frames, runner->max_frames,
            runner->scratch);
    return p;
}

float *vx_ecapa_input(const vx_ecapa_runner *runner, size_t n_frames, size_t *ret_ld)
{
    struct pass p = begin(runner, n_frames);
    *ret_ld = p.ld;
    return p.features;
}

/* Copies of the features that members packed. In f32 deeper layers overwrite them; 8-bit layers of a small model need
 * less room than the features took. */
static void wipe_packed_features(const struct pass *p)
{
    const vx_conv *c = &p->net->input;
    const vx_kernels *k = p->run->kernels;
    const size_t most = p->run->gemm ? p->panel_floats / (c->n_in * c->taps)
                                     : k->product[c->number]->panels_fit(c, p->panel_floats),
                 n = p->n < most ? p->n : most, floats = p->run->gemm ? c->n_in * c->taps * n : panel_lanes(k, c, n);
    for (int member = 0; member < vx_team_size(p->run->team); member++)
        vx_wipe(p->panels + (size_t)member * p->panel_floats, floats * sizeof *p->panels);
}

vx_err vx_ecapa_run(const vx_ecapa_runner *runner, size_t n_frames, float *ret_raw)
{
    struct pass p = begin(runner, n_frames);
    vx_team_run(runner->team, pass, &p);
    if (!p.failed)
        memcpy(ret_raw, p.raw, p.net->dim * sizeof *ret_raw);
    /* What speaks of the voice most directly. The layers between are overwritten by the next clip. */
    wipe_packed_features(&p);
    vx_wipe(p.features, p.net->bands * p.ld * sizeof *p.features);
    vx_wipe(p.stats, 2 * p.net->mfa_channels * sizeof *p.stats);
    vx_wipe(p.pooled, 2 * p.net->mfa_channels * sizeof *p.pooled);
    vx_wipe(p.raw, p.net->dim * sizeof *p.raw);
    return p.failed ? VX_ERR_ENGINE : VX_OK;
}
