/* countermeasure.c - the trained network: layers over time, attentive statistics, one logit a trace.
 * Owns:   its memory and the order of its computation. Does not: measure (countermeasure_features.c), multiply
 *         (shared/engine/kernels.h), train; countermeasure_weights.inc is what models/train_countermeasure.py wrote.
 *
 * 106 thousand parameters in eight bits, spread to floats at each call: that takes some 20 microseconds, and nobody has to
 * keep them.
 */
#include "edge/pava/countermeasure.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "edge/pava/countermeasure_features.h"
#include "shared/base/bytes.h"
#include "shared/engine/kernels.h"

/* A layer: y = relu?(W x + biases) * norm_scales + norm_shifts. Weights [n_out][n_in][taps]. */
typedef struct {
    size_t n_out, n_in, taps, dilation;
    const int8_t *weights;
    const float *scales, *biases;           /* [n_out] */
    const float *norm_scales, *norm_shifts; /* [n_out] or NULL */
} matrix;

/* The convolutions in order, then attention's two, then the dense two; WIDEST rows go in or out at most. */
#include "edge/pava/countermeasure_weights.inc"

enum {
    ATTEND_IN = CONVOLUTIONS,
    ATTEND_OUT,
    HIDDEN,
    OUTPUT,
    /* Whose input to the deepest convolution is kept packed at once: 150 KB, within a level-2 cache. */
    PACK_FRAMES = 192,
    ALIGN = 64,
};
static const float STD_FLOOR = 1e-4F; /* of a variance */

_Static_assert(MATRICES == CONVOLUTIONS + 4 && (int)WIDEST >= (int)VX_TRACE_ROWS,
               "the weights are those of another network");

typedef struct {
    const vx_kernels *kernels;
    size_t n, ld;   /* frames, row stride */
    float *block;   /* all of what follows; holds speech */
    size_t bytes;   /* of block */
    float *weights; /* of the matrix at hand */
    float *x, *y;   /* [WIDEST][ld] */
    float *z;       /* [WIDEST][ld] what attention weighs */
    vx_panels panels;
} pass;

static size_t round_up(size_t n)
{
    return (n + VX_ROW_FLOATS - 1) / VX_ROW_FLOATS * VX_ROW_FLOATS;
}

static size_t depth(const matrix *m)
{
    return m->n_in * m->taps;
}

static vx_err pass_init(pass *p, size_t n)
{
    size_t most_weights = 0, deepest = 0;
    for (size_t i = 0; i < MATRICES; i++) {
        const size_t d = depth(&matrices[i]);
        deepest = d > deepest ? d : deepest;
        most_weights = d * matrices[i].n_out > most_weights ? d * matrices[i].n_out : most_weights;
    }
    *p = (pass){.kernels = vx_kernels_for(vx_isa_best()), .n = n, .ld = round_up(n)};
    const size_t weights = round_up(most_weights), rows = WIDEST * p->ld;
    p->panels.capacity = round_up(deepest * PACK_FRAMES);
    p->bytes = (weights + 3 * rows + p->panels.capacity) * sizeof(float);
    p->block = aligned_alloc(ALIGN, p->bytes);
    if (p->block == NULL)
        return VX_ERR_NOMEM;
    p->weights = p->block;
    p->x = p->weights + weights;
    p->y = p->x + rows;
    p->z = p->y + rows;
    p->panels.data = p->z + rows;
    return VX_OK;
}

static void pass_done(pass *p)
{
    if (p->block != NULL)
        vx_wipe(p->block, p->bytes);
    free(p->block);
}

/* A matrix with its weights spread to floats, until the next one's. */
static vx_conv spread(pass *p, const matrix *m)
{
    const size_t d = depth(m);
    for (size_t row = 0; row < m->n_out; row++)
        for (size_t k = 0; k < d; k++)
            p->weights[row * d + k] = (float)m->weights[row * d + k] * m->scales[row];
    return (vx_conv){
        .number = VX_NUMBER_F32,
        .n_out = m->n_out,
        .n_in = m->n_in,
        .taps = m->taps,
        .dilation = m->dilation,
        .weight = p->weights,
        .weight_ld = d,
        .bias = m->biases,
        .relu = m->norm_scales != NULL,
        .scale = m->norm_scales,
        .shift = m->norm_shifts,
    };
}

/* conv over all frames, x to y, both [rows][ld]. */
static void convolve(pass *p, const vx_conv *conv, const float *x, float *y)
{
    const vx_product *product = p->kernels->product[VX_NUMBER_F32];
    const size_t step = product->panels_fit(conv, p->panels.capacity);
    for (size_t first = 0; first < p->n; first += step) {
        p->panels.first = first;
        p->panels.n = p->n - first < step ? p->n - first : step;
        product->pack(conv, x, NULL, p->ld, p->n, &p->panels);
        product->multiply(conv, &p->panels, 0, conv->n_out, y, p->ld);
    }
}

/* One column. */
static void multiply(pass *p, const matrix *m, const float *x, float *y)
{
    const vx_conv dense = spread(p, m);
    for (size_t row = 0; row < m->n_out; row++)
        y[row] = p->kernels->row->dot(p->weights + row * m->n_in, x, m->n_in) + dense.bias[row];
}

/* From the rows in p->x to the logits. */
static void judge(pass *p, float ret_logits[VX_N_TRACES])
{
    float *x = p->x, *y = p->y;
    for (size_t i = 0; i < CONVOLUTIONS; i++) {
        const vx_conv conv = spread(p, &matrices[i]);
        float *to = i + 1 == CONVOLUTIONS ? p->z : y;
        convolve(p, &conv, x, to);
        y = x;
        x = to;
    }
    vx_conv attention = spread(p, &matrices[ATTEND_IN]);
    attention.tanh = true;
    convolve(p, &attention, p->z, p->x);
    attention = spread(p, &matrices[ATTEND_OUT]);
    convolve(p, &attention, p->x, p->y);

    const size_t pooled = matrices[ATTEND_OUT].n_out;
    float statistics[2 * WIDEST], hidden[WIDEST];
    for (size_t row = 0; row < pooled; row++)
        p->kernels->row->attend(p->y + row * p->ld, p->z + row * p->ld, p->n, STD_FLOOR, &statistics[row],
                                &statistics[pooled + row]);
    multiply(p, &matrices[HIDDEN], statistics, hidden);
    for (size_t row = 0; row < matrices[HIDDEN].n_out; row++)
        hidden[row] = fmaxf(hidden[row], 0);
    multiply(p, &matrices[OUTPUT], hidden, ret_logits);
    vx_wipe(statistics, sizeof statistics);
    vx_wipe(hidden, sizeof hidden);
}

vx_err vx_countermeasure_run(const float *samples, size_t n, const vx_spectrogram *spectrogram,
                             double ret_logits[VX_N_TRACES])
{
    vx_trace_stretch stretch;
    vx_err err = vx_trace_choose(spectrogram, &stretch);
    if (err != VX_OK)
        return err;
    pass p;
    err = pass_init(&p, stretch.n);
    if (err == VX_OK)
        err = vx_trace_measure(samples, n, spectrogram, &stretch, p.x, p.ld);
    if (err == VX_OK) {
        float logits[VX_N_TRACES];
        vx_trace_level_bands(spectrogram, &stretch, p.x, p.ld);
        judge(&p, logits);
        for (int i = 0; i < VX_N_TRACES; i++)
            ret_logits[i] = (double)logits[i];
    }
    pass_done(&p);
    return err;
}
