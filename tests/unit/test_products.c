/* test_products.c - bf16 and int8 products of every instruction set of this machine, and of AMX on a model of it, and the
 * bytes they are packed to, against oracles in double and in integers, with derived bounds. f32 is in test_kernels.c.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/engine/kernels.h"
#include "tests/support/amx_emulated.h"
#include "tests/support/amx_trap.h"
#include "tests/support/guard.h"

enum { MAX_PRODUCTS = 32, SEED = 90210 };
static const vx_product *products[MAX_PRODUCTS]; /* of bf16 and int8, each once */
static size_t n_products;

static uint64_t rng = SEED;
static uint32_t draw(void)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 32);
}
static float uniform(void) /* [-1, 1) */
{
    return (float)(int32_t)draw() / 2147483648.0f;
}
static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- oracles ----------------------------------------------------------------------------------------------------- */

static float bf16_value(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint16_t bf16_bits(float x)
{
    const float rounded = bf16_value(x);
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return (uint16_t)(bits >> 16);
}
static float bf16_float(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The contract's words, with rint for round: to the nearest, ties to even. */
static int quantised(const vx_conv *c, size_t channel, float x)
{
    const float q = rintf(x * c->input_scale[channel] + c->input_zero[channel]);
    return q < 0 ? 0 : q > VX_INT8_TOP ? VX_INT8_TOP : (int)q;
}

static ptrdiff_t reflect(ptrdiff_t t, ptrdiff_t n)
{
    return t < 0 ? -t : t >= n ? 2 * (n - 1) - t : t;
}

/* A convolution, its input, and everything on pages that end where the data ends. */
typedef struct {
    vx_conv conv;
    size_t n, ld;
    guard weights, input, added, vectors, sums;
    bool with_add;
} problem;

static float input_at(const problem *p, size_t channel, size_t frame, size_t tap)
{
    const vx_conv *c = &p->conv;
    const ptrdiff_t shift = ((ptrdiff_t)tap - (ptrdiff_t)(c->taps / 2)) * (ptrdiff_t)c->dilation;
    const size_t at = channel * p->ld + (size_t)reflect((ptrdiff_t)frame + shift, (ptrdiff_t)p->n);
    return ((const float *)p->input.data)[at] + (p->with_add ? ((const float *)p->added.data)[at] : 0.0f);
}

/* The sum behind one output, and the sum of magnitudes that its rounding error is proportional to: exact for int8. */
static double sum_oracle(const problem *p, size_t row, size_t frame, double *ret_magnitude)
{
    const vx_conv *c = &p->conv;
    double sum = 0, magnitude = 0;
    int64_t exact = 0;
    for (size_t k = 0; k < c->n_in * c->taps; k++) {
        const float x = input_at(p, k / c->taps, frame, k % c->taps);
        if (c->number == VX_NUMBER_INT8) {
            const int q = quantised(c, k / c->taps, x);
            exact += ((const int8_t *)c->weight)[row * c->weight_ld + k] * q;
        } else {
            const double w = (double)bf16_float(((const uint16_t *)c->weight)[row * c->weight_ld + k]);
            sum += w * (double)bf16_value(x);
            magnitude += fabs(w * (double)bf16_value(x));
        }
    }
    if (c->number == VX_NUMBER_INT8) {
        const double zero = (double)c->zero_sum[row], scale = (double)c->weight_scale[row];
        sum = ((double)exact - zero) * scale;
        magnitude = (fabs((double)exact) + fabs(zero)) * fabs(scale);
    }
    *ret_magnitude = magnitude;
    return sum;
}

static double output_oracle(const problem *p, size_t row, size_t frame, double *ret_bound)
{
    const vx_conv *c = &p->conv;
    double magnitude, y = sum_oracle(p, row, frame, &magnitude);
    /* int8: the integer, its scale; bf16: a rounding for each product and each addition. Then bias, scale and shift. */
    const double roundings = c->number == VX_NUMBER_INT8 ? 6 : (double)(2 * c->n_in * c->taps + 6);
    y += (double)c->bias[row];
    magnitude += fabs((double)c->bias[row]);
    if (c->relu)
        y = fmax(y, 0);
    if (c->scale) {
        magnitude = magnitude * fabs((double)c->scale[row]) + fabs((double)c->shift[row]);
        y = y * (double)c->scale[row] + (double)c->shift[row];
    }
    *ret_bound = roundings * (double)FLT_EPSILON * magnitude + (c->tanh ? 4e-7 : 0);
    return c->tanh ? tanh(y) : y;
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = uniform();
}

/* Rows of n floats, ld apart, and NaN behind each of them: packing may read there, and no output may show it. */
static void fill_rows(float *x, size_t rows, size_t n, size_t ld)
{
    for (size_t i = 0; i < rows * ld; i++)
        x[i] = i % ld < n ? uniform() : NAN;
}

static void make_weights(problem *p)
{
    vx_conv *c = &p->conv;
    const size_t depth = c->n_in * c->taps, group = VX_GROUP(c->number), row = round_up(depth, group);
    const size_t bytes = 4 / group;
    c->weight_ld = row + 2 * group; /* rows need not be packed against each other */
    p->weights = guard_alloc(((c->n_out - 1) * c->weight_ld + row) * bytes);
    memset(p->weights.data, 0x7f, ((c->n_out - 1) * c->weight_ld + row) * bytes);
    for (size_t r = 0; r < c->n_out; r++)
        for (size_t k = 0; k < row; k++)
            if (c->number == VX_NUMBER_INT8)
                ((int8_t *)p->weights.data)[r * c->weight_ld + k] = k < depth ? (int8_t)((int32_t)draw() >> 25) : 0;
            else
                ((uint16_t *)p->weights.data)[r * c->weight_ld + k] = k < depth ? bf16_bits(uniform()) : 0;
    c->weight = p->weights.data;
}

static void sum_weights(problem *p)
{
    vx_conv *c = &p->conv;
    float *zero_sum = p->sums.data;
    for (size_t r = 0; r < c->n_out; r++) {
        zero_sum[r] = 0;
        for (size_t k = 0; k < c->n_in * c->taps && c->number == VX_NUMBER_INT8; k++) {
            const float w = ((const int8_t *)c->weight)[r * c->weight_ld + k];
            zero_sum[r] += w * c->input_zero[k / c->taps];
        }
    }
    c->zero_sum = zero_sum;
}

/* c.scale other than NULL: with batch norm. */
static problem make(const vx_product *product, vx_conv c, size_t n, bool with_add)
{
    problem p = {.conv = c, .n = n, .ld = round_up(n, VX_ROW_FLOATS), .with_add = with_add};
    p.conv.number = product->number;
    make_weights(&p);
    p.input = guard_alloc(c.n_in * p.ld * sizeof(float));
    p.added = guard_alloc(c.n_in * p.ld * sizeof(float));
    fill_rows(p.input.data, c.n_in, n, p.ld);
    fill_rows(p.added.data, c.n_in, n, p.ld);
    p.vectors = guard_alloc((4 * c.n_out + 2 * c.n_in) * sizeof(float));
    float *v = p.vectors.data;
    fill(v, 4 * c.n_out);
    p.conv.bias = v;
    p.conv.scale = c.scale ? v + c.n_out : NULL;
    p.conv.shift = c.scale ? v + 2 * c.n_out : NULL;
    p.conv.weight_scale = v + 3 * c.n_out;
    float *scale = v + 4 * c.n_out, *zero = scale + c.n_in;
    for (size_t i = 0; i < c.n_in; i++) {
        scale[i] = 20 + 75 * fabsf(uniform()); /* some inputs beyond the range at either end */
        zero[i] = 64 + 80 * uniform();         /* no whole numbers, and some below 0 or above the range */
    }
    p.conv.input_scale = scale;
    p.conv.input_zero = zero;
    p.sums = guard_alloc(c.n_out * sizeof(float));
    sum_weights(&p);
    return p;
}

static void drop(problem *p)
{
    guard_free(&p->weights);
    guard_free(&p->input);
    guard_free(&p->added);
    guard_free(&p->vectors);
    guard_free(&p->sums);
}

/* Packs and multiplies as the network does, at most capacity_frames at once, rows from row0.
 * Returns the outputs, row stride p->ld. */
static guard run(const vx_product *product, const problem *p, size_t row0, size_t capacity_frames)
{
    const vx_conv *c = &p->conv;
    const size_t groups = (c->n_in * c->taps + VX_GROUP(c->number) - 1) / VX_GROUP(c->number);
    const size_t capacity = groups * round_up(capacity_frames, product->panel_width);
    guard packed = guard_alloc(capacity * 4), output = guard_alloc((c->n_out - row0) * p->ld * sizeof(float));
    const size_t step = product->panels_fit(c, capacity);
    assert_true(step >= capacity_frames && step % product->panel_width == 0);
    assert_int_equal(product->panels_fit(c, groups * product->panel_width - 1), 0);
    for (vx_panels panels = {.data = packed.data, .capacity = capacity}; panels.first < p->n; panels.first += step) {
        panels.n = p->n - panels.first < step ? p->n - panels.first : step;
        product->pack(c, p->input.data, p->with_add ? p->added.data : NULL, p->ld, p->n, &panels);
        product->multiply(c, &panels, row0, c->n_out, output.data, p->ld);
    }
    guard_free(&packed);
    return output;
}

static void check(const vx_product *product, const problem *p, size_t row0, size_t capacity_frames)
{
    const vx_conv *c = &p->conv;
    guard output = run(product, p, row0, capacity_frames);
    for (size_t row = row0; row < c->n_out; row++)
        for (size_t t = 0; t < p->n; t++) {
            double bound;
            const double want = output_oracle(p, row, t, &bound);
            const double got = (double)((const float *)output.data)[(row - row0) * p->ld + t];
            if (!(fabs(got - want) <= bound))
                fail_msg("%s number %d %zux%zux%zu d%zu n %zu row %zu t %zu: %.9g, expected %.9g +- %.3g",
                         product->name, product->number, c->n_out, c->n_in, c->taps, c->dilation, p->n, row, t, got,
                         want, bound);
        }
    guard_free(&output);
}

static void make_and_check(const vx_product *product, vx_conv c, size_t n, bool with_add, size_t row0, size_t capacity)
{
    problem p = make(product, c, n, with_add);
    check(product, &p, row0, capacity);
    drop(&p);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Depths of every remainder by a group of four, fewer rows than a tile and more, all that can follow the product. */
static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        size_t n_out, n_in, taps, dilation;
    } shapes[] = {{1, 1, 1, 1},   {8, 3, 1, 1},  {9, 18, 1, 1}, {33, 200, 1, 1}, {16, 80, 5, 1},
                  {12, 32, 3, 2}, {8, 70, 3, 4}, {5, 5, 3, 3},  {17, 7, 5, 2}};
    for (size_t s = 0; s < n_products; s++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int variant = 0; variant < 8; variant++) {
                const vx_conv c = {.n_out = shapes[i].n_out,
                                   .n_in = shapes[i].n_in,
                                   .taps = shapes[i].taps,
                                   .dilation = shapes[i].dilation,
                                   .relu = variant & 1,
                                   .scale = variant & 2 ? &(float){0} : NULL,
                                   .tanh = variant == 7};
                make_and_check(products[s], c, 37 + (size_t)variant, variant & 4, 0, 200);
            }
}

/* Every frame count from the least that reflects to past three panels: all tails of panels and vectors. */
static void test_lengths(void **state)
{
    (void)state;
    const vx_conv c = {.n_out = 9, .n_in = 5, .taps = 3, .dilation = 2, .relu = true, .scale = &(float){0}};
    for (size_t s = 0; s < n_products; s++)
        for (size_t n = 3; n <= 3 * products[s]->panel_width + 1; n++)
            make_and_check(products[s], c, n, n % 2, 0, n);
}

/* More rows than a row block, deeper than several k blocks, more frames than fit at once. */
static void test_row_ranges_and_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_products; s++) {
        make_and_check(products[s], (vx_conv){.n_out = 600, .n_in = 3, .taps = 1, .dilation = 1}, 50, false, 8, 50);
        make_and_check(products[s], (vx_conv){.n_out = 3, .n_in = 2403, .taps = 1, .dilation = 1}, 20, true, 0, 20);
        make_and_check(products[s], (vx_conv){.n_out = 10, .n_in = 7, .taps = 3, .dilation = 3}, 301, true, 0,
                       products[s]->panel_width);
    }
}

/* Layers of the networks of 20.8 M parameters and of the bundled one, for more frames than two tiles: the last rows, which
 * see all of the depth. */
static void test_layers_of_networks(void **state)
{
    (void)state;
    static const struct {
        size_t n_out, n_in, taps, dilation;
    } layers[] = {{1024, 80, 5, 1},  {1024, 1024, 1, 1}, {128, 128, 3, 2}, {128, 128, 3, 4}, {3072, 3072, 1, 1},
                  {128, 3072, 1, 1}, {3072, 128, 1, 1},  {256, 80, 5, 1},  {256, 256, 1, 1}, {32, 32, 3, 3},
                  {768, 768, 1, 1},  {128, 768, 1, 1},   {768, 128, 1, 1}};
    for (size_t s = 0; s < n_products; s++)
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
            const vx_conv c = {.n_out = layers[i].n_out,
                               .n_in = layers[i].n_in,
                               .taps = layers[i].taps,
                               .dilation = layers[i].dilation,
                               .relu = true,
                               .scale = &(float){0}};
            make_and_check(products[s], c, 41, c.taps > 1, c.n_out > 40 ? c.n_out - 40 : 0, 41);
        }
}

/* Nothing that a multiple of anything would hide. */
static void test_random_shapes(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_products; s++)
        for (int round = 0; round < 150; round++) {
            const vx_conv c = {.n_out = 1 + draw() % (round % 10 ? 80 : 560),
                               .n_in = 1 + draw() % (round % 5 ? 60 : 900),
                               .taps = 1 + 2 * (draw() % 3),
                               .dilation = 1 + draw() % 4,
                               .relu = draw() % 2,
                               .scale = draw() % 2 ? &(float){0} : NULL,
                               .tanh = draw() % 4 == 0};
            const size_t n = c.taps / 2 * c.dilation + 1 + draw() % (round % 5 ? 100 : 20);
            make_and_check(products[s], c, n, draw() % 2, draw() % c.n_out, 1 + draw() % n);
        }
}

/* Packing and what follows a sum round alike everywhere, and the sums have no rounding: so outputs are the same bytes as
 * those of the first. */
static void test_int8_outputs_are_the_same_bytes(void **state)
{
    (void)state;
    const vx_product *first = NULL;
    for (size_t s = 0; s < n_products; s++) {
        if (products[s]->number != VX_NUMBER_INT8)
            continue;
        first = first ? first : products[s];
        for (int round = 0; round < 30; round++) {
            const vx_conv c = {.n_out = 1 + draw() % 70,
                               .n_in = 1 + draw() % 1500,
                               .taps = 1,
                               .dilation = 1,
                               .relu = draw() % 2,
                               .scale = draw() % 2 ? &(float){0} : NULL,
                               .tanh = draw() % 2};
            problem p = make(products[s], c, 1 + draw() % 50, false);
            guard want = run(first, &p, 0, p.n), got = run(products[s], &p, 0, p.n);
            for (size_t row = 0; row < c.n_out; row++)
                assert_memory_equal((const float *)got.data + row * p.ld, (const float *)want.data + row * p.ld,
                                    p.n * sizeof(float));
            guard_free(&want);
            guard_free(&got);
            drop(&p);
        }
    }
}

/* The largest weights of either sign on the largest activations: 16-bit sums of more than four such products would not
 * fit. And all levels agree to the bit. */
static void test_int8_sums_are_exact(void **state)
{
    (void)state;
    static const int8_t extremes[] = {63, -64, 63, 63, -64, -64, 1, -1};
    for (size_t s = 0; s < n_products; s++) {
        if (products[s]->number != VX_NUMBER_INT8)
            continue;
        problem p = make(products[s], (vx_conv){.n_out = 8, .n_in = 130, .taps = 1, .dilation = 1}, 50, false);
        int8_t *w = p.weights.data;
        for (size_t row = 0; row < 8; row++)
            for (size_t k = 0; k < 130; k++)
                w[row * p.conv.weight_ld + k] = extremes[row < 4 ? row : (k + row) % 8];
        float *v = p.vectors.data, *scale = v + 4 * 8, *zero = scale + 130;
        for (size_t i = 0; i < 130; i++) {
            scale[i] = 1000;
            zero[i] = (float)(i % 3 == 0 ? 127 : i % 3 == 1 ? 0 : 64);
        }
        for (size_t row = 0; row < 8; row++) {
            v[row] = 0;
            v[3 * 8 + row] = 1;
        }
        sum_weights(&p);
        guard output = run(products[s], &p, 0, 50);
        for (size_t row = 0; row < 8; row++)
            for (size_t t = 0; t < 50; t++) {
                /* 130 * 64 * 127 < 2^24: the float is the integer. */
                double magnitude;
                assert_true((double)((const float *)output.data)[row * p.ld + t] == sum_oracle(&p, row, t, &magnitude));
            }
        guard_free(&output);
        drop(&p);
    }
}

/* One channel, one weight of 1: an output shows what its input was packed to. */
static void test_int8_rounding_and_range(void **state)
{
    (void)state;
    static const struct {
        float x, scale, zero;
        int want, idle; /* what x becomes, and what 0 becomes */
    } cases[] = {
        {0, 1, 0, 0, 0},
        {0, 1, 127, 127, 127},
        {0.5f, 1, 0, 0, 0},
        {1.5f, 1, 0, 2, 0},
        {2.5f, 1, 0, 2, 0},
        {2.5f, 1, 0.25f, 3, 0},
        {-0.5f, 1, 1, 0, 1},
        {-1, 1, 0, 0, 0},
        {126.5f, 1, 0, 126, 0},
        {127.5f, 1, 0, 127, 0},
        {1e30f, 1, 0, 127, 0},
        {-1e30f, 1, 127, 0, 127},
        {INFINITY, 1, 7, 127, 7},
        {-INFINITY, 1, 7, 0, 7},
        {NAN, 1, 7, 127, 7},
        {1e-42f, 1, 9, 9, 9},
        {FLT_MAX, FLT_MAX, 3, 127, 3},
        {-FLT_MAX, FLT_MAX, 3, 0, 3},
        {0.25f, 100, 64, 89, 64},
        {-0.25f, 100, 64, 39, 64},
        {5, 100, -450, 50, 0},
        {-5, 100, 600, 100, 127},
        {1, 1, -FLT_MAX, 0, 0},
        {1, 1, FLT_MAX, 127, 127},
    };
    for (size_t s = 0; s < n_products; s++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (products[s]->number != VX_NUMBER_INT8)
                continue;
            const int8_t weight[4] __attribute__((aligned(4))) = {1};
            const float zero = 0, one = 1;
            const float none = 0;
            float x[64] = {0}, y[64];
            int32_t packed[256];
            x[5] = cases[i].x;
            const vx_conv c = {.number = VX_NUMBER_INT8,
                               .n_out = 1,
                               .n_in = 1,
                               .taps = 1,
                               .dilation = 1,
                               .weight = weight,
                               .weight_ld = 4,
                               .bias = &zero,
                               .input_scale = &cases[i].scale,
                               .input_zero = &cases[i].zero,
                               .weight_scale = &one,
                               .zero_sum = &none};
            vx_panels p = {.data = packed, .capacity = 256, .n = 20};
            products[s]->pack(&c, x, NULL, 64, 20, &p);
            products[s]->multiply(&c, &p, 0, 1, y, 64);
            if (y[5] != (float)cases[i].want || y[4] != (float)cases[i].idle)
                fail_msg("%s case %zu: %g, expected %d", products[s]->name, i, (double)y[5], cases[i].want);
        }
}

/* The same for bf16: nearest, ties to even, Inf where it overflows, NaN kept; denormals are 0. */
static void test_bf16_rounding_and_range(void **state)
{
    (void)state;
    static const struct {
        float x, want;
    } cases[] = {
        {0, 0},
        {1, 1},
        {-3.140625f, -3.140625f},
        {1.00390625f, 1},
        {1.01171875f, 1.015625f},
        {1.005f, 1.0078125f},
        {INFINITY, INFINITY},
        {-INFINITY, -INFINITY},
        {FLT_MAX, INFINITY},
        {1e-42f, 0},
    };
    const uint16_t weight[2] __attribute__((aligned(4))) = {0x3f80};
    const float zero = 0;
    const vx_conv c = {.number = VX_NUMBER_BF16,
                       .n_out = 1,
                       .n_in = 1,
                       .taps = 1,
                       .dilation = 1,
                       .weight = weight,
                       .weight_ld = 2,
                       .bias = &zero};
    for (size_t s = 0; s < n_products; s++) {
        if (products[s]->number != VX_NUMBER_BF16)
            continue;
        float x[64] = {0}, y[64];
        int32_t packed[256];
        vx_panels p = {.data = packed, .capacity = 256, .n = 20};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            x[5] = cases[i].x;
            products[s]->pack(&c, x, NULL, 64, 20, &p);
            products[s]->multiply(&c, &p, 0, 1, y, 64);
            /* Inf times the zero beside it in the lane's pair is of another k, so nothing becomes NaN. */
            if (y[5] != cases[i].want || y[4] != 0)
                fail_msg("%s: %g became %g, expected %g", products[s]->name, (double)x[5], (double)y[5],
                         (double)cases[i].want);
        }
        for (uint32_t bits = 0x7f800001; bits >= 0x7f800001 && bits <= 0x7fffffff; bits += 0x7ffff) {
            memcpy(&x[5], &bits, sizeof bits);
            products[s]->pack(&c, x, NULL, 64, 20, &p);
            products[s]->multiply(&c, &p, 0, 1, y, 64);
            assert_true(isnan(y[5]));
        }
    }
}

static void add(const vx_product *p, const char *how)
{
    for (size_t i = 0; i < n_products; i++)
        if (products[i] == p)
            return;
    products[n_products++] = p;
    printf("# product: %s of %s%s\n", p->name, p->number == VX_NUMBER_BF16 ? "bf16" : "int8", how);
}

static int collect(void **state)
{
    (void)state;
    const vx_kernels *sets[16];
    const size_t n_sets = vx_kernels_all(sets, 16);
    for (int number = VX_NUMBER_BF16; number < VX_NUMBERS; number++)
        for (size_t i = 0; i < n_sets; i++)
            if (sets[i]->product[number])
                add(sets[i]->product[number], "");
#ifdef AMX_EMULATED
    add(&vx_bf16_amx_emulated, ", emulated");
    add(&vx_int8_amx_emulated, ", emulated");
#endif
    for (int number = VX_NUMBER_BF16; number < VX_NUMBERS; number++)
        if (amx_trapped((vx_number)number))
            add(amx_trapped((vx_number)number), ", trapped");
    return n_products > 0 ? 0 : -1;
}

/* Of the products that trap each instruction was one. */
static int tear_down(void **state)
{
    (void)state;
    printf("# instructions trapped: %zu\n", amx_trap_count());
    return amx_trapped(VX_NUMBER_BF16) && amx_trap_count() == 0 ? -1 : 0;
}

/* What a set offers fits its level, and every level has int8. */
static void test_sets_offer_what_their_level_has(void **state)
{
    (void)state;
    const vx_kernels *sets[16];
    const size_t n_sets = vx_kernels_all(sets, 16);
    for (size_t i = 0; i < n_sets; i++) {
        assert_non_null(sets[i]->product[VX_NUMBER_F32]);
        assert_non_null(sets[i]->product[VX_NUMBER_INT8]);
        for (int number = 0; number < VX_NUMBERS; number++) {
            const vx_product *p = sets[i]->product[number];
            assert_true(!p || ((int)p->number == number && p->isa <= sets[i]->isa && vx_isa_available(p->isa)));
            assert_true(!p || strcmp(p->name, vx_isa_name(p->isa)) == 0);
        }
    }
}

int main(void)
{
    printf("# seed %d\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_offer_what_their_level_has),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_row_ranges_and_blocks),
        cmocka_unit_test(test_layers_of_networks),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_int8_outputs_are_the_same_bytes),
        cmocka_unit_test(test_int8_sums_are_exact),
        cmocka_unit_test(test_int8_rounding_and_range),
        cmocka_unit_test(test_bf16_rounding_and_range),
    };
    return cmocka_run_group_tests(tests, collect, tear_down);
}
