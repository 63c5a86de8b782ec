/* test_kernels.c - every kernel set of this machine against a double-precision oracle, with derived bounds. */
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
#include "tests/support/guard.h"

enum { MAX_SETS = 16, SEED = 20201 };
static const vx_kernels *sets[MAX_SETS];
static size_t n_sets;

static uint64_t rng = SEED;
static float uniform(void) /* [-1, 1) */
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(rng >> 32) / 2147483648.0f;
}
static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = uniform();
}
/* Rows of n floats, ld apart, and behind each of them what kernels may read and must not show: NaN, and numbers that would
 * outweigh all others. */
static void fill_rows(float *x, size_t rows, size_t n, size_t ld)
{
    for (size_t i = 0; i < rows * ld; i++)
        x[i] = i % ld < n ? uniform() : i % 2 ? NAN : 1e30f;
}
static const vx_product *f32(const vx_kernels *set)
{
    return set->product[VX_NUMBER_F32];
}
static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- convolution ---- */

static ptrdiff_t reflect(ptrdiff_t t, ptrdiff_t n)
{
    return t < 0 ? -t : t >= n ? 2 * (n - 1) - t : t;
}

/* One output in double, and the sum of magnitudes that its rounding error is proportional to. */
static double conv_oracle(const vx_conv *c, const float *x, const float *add, size_t ld, size_t n, size_t row, size_t t,
                          double *ret_magnitude)
{
    double sum = 0, magnitude = 0;
    for (size_t in = 0; in < c->n_in; in++)
        for (size_t tap = 0; tap < c->taps; tap++) {
            ptrdiff_t at = reflect((ptrdiff_t)t + ((ptrdiff_t)tap - (ptrdiff_t)(c->taps / 2)) * (ptrdiff_t)c->dilation,
                                   (ptrdiff_t)n);
            double v = x[in * ld + (size_t)at] + (add ? (double)add[in * ld + (size_t)at] : 0.0);
            double w = ((const float *)c->weight)[row * c->weight_ld + in * c->taps + tap];
            sum += w * v;
            magnitude += fabs(w * v);
        }
    sum += c->bias[row];
    magnitude += fabs(c->bias[row]);
    if (c->relu)
        sum = fmax(sum, 0);
    if (c->scale) {
        magnitude = magnitude * fabs(c->scale[row]) + fabs(c->shift[row]);
        sum = sum * c->scale[row] + c->shift[row];
    }
    *ret_magnitude = magnitude;
    return c->tanh ? tanh(sum) : sum;
}

static void check_conv(const vx_product *k, vx_conv c, size_t n, bool with_add, size_t row0, size_t capacity_frames)
{
    const size_t depth = c.n_in * c.taps, ld = round_up(n, VX_ROW_FLOATS);
    c.weight_ld = depth + 3; /* rows need not be packed against each other */
    /* Inputs and weights end where memory ends: the kernel may not read past them. */
    guard weights = guard_alloc(((c.n_out - 1) * c.weight_ld + depth) * sizeof(float));
    guard input = guard_alloc(c.n_in * ld * sizeof(float));
    guard added = guard_alloc(c.n_in * ld * sizeof(float));
    guard output = guard_alloc((c.n_out - row0) * ld * sizeof(float));
    float *vectors = malloc(3 * c.n_out * sizeof *vectors);
    assert_non_null(vectors);
    fill(weights.data, (c.n_out - 1) * c.weight_ld + depth);
    fill_rows(input.data, c.n_in, n, ld);
    fill_rows(added.data, c.n_in, n, ld);
    fill(vectors, 3 * c.n_out);
    c.weight = weights.data;
    c.bias = vectors;
    c.scale = c.scale ? vectors + c.n_out : NULL;
    c.shift = c.scale ? vectors + 2 * c.n_out : NULL;

    size_t capacity = depth * round_up(capacity_frames, k->panel_width);
    guard packed = guard_alloc(capacity * sizeof(float));
    const float *add = with_add ? added.data : NULL;
    size_t step = k->panels_fit(&c, capacity);
    assert_true(step >= capacity_frames && step % k->panel_width == 0);
    float *y = output.data;
    for (vx_panels p = {.data = packed.data, .capacity = capacity}; p.first < n; p.first += step) {
        p.n = n - p.first < step ? n - p.first : step;
        k->pack(&c, input.data, add, ld, n, &p);
        k->multiply(&c, &p, row0, c.n_out, y, ld);
    }
    for (size_t row = row0; row < c.n_out; row++)
        for (size_t t = 0; t < n; t++) {
            double magnitude, want = conv_oracle(&c, input.data, add, ld, n, row, t, &magnitude);
            /* depth products and additions, the rounding of x + add, bias, scale and shift; tanh adds its own 3e-7. */
            double bound = (double)(depth + 6) * FLT_EPSILON * magnitude + (c.tanh ? 4e-7 : 0);
            double got = y[(row - row0) * ld + t];
            if (!(fabs(got - want) <= bound))
                fail_msg("%s %zux%zux%zu d%zu n %zu row %zu t %zu: %.9g, expected %.9g +- %.3g", k->name, c.n_out,
                         c.n_in, c.taps, c.dilation, n, row, t, got, want, bound);
        }
    free(vectors);
    guard_free(&packed);
    guard_free(&output);
    guard_free(&added);
    guard_free(&input);
    guard_free(&weights);
}

static void test_conv_shapes(void **state)
{
    (void)state;
    static const struct {
        size_t n_out, n_in, taps, dilation;
    } shapes[] = {{1, 1, 1, 1},   {8, 3, 1, 1},   {9, 17, 1, 1}, {33, 200, 1, 1},
                  {16, 80, 5, 1}, {12, 32, 3, 2}, {8, 70, 3, 4}};
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int variant = 0; variant < 8; variant++) {
                vx_conv c = {.n_out = shapes[i].n_out,
                             .n_in = shapes[i].n_in,
                             .taps = shapes[i].taps,
                             .dilation = shapes[i].dilation,
                             .relu = variant & 1,
                             .scale = variant & 2 ? &(float){0} : NULL,
                             .tanh = variant == 7};
                check_conv(f32(sets[s]), c, 37 + (size_t)variant, variant & 4, 0, 200);
            }
}

/* Every frame count from the least that reflects to past three tiles: all tails of panels and vectors. */
static void test_conv_lengths(void **state)
{
    (void)state;
    vx_conv c = {.n_out = 9, .n_in = 5, .taps = 3, .dilation = 2, .relu = true, .scale = &(float){0}};
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 3; n <= 3 * f32(sets[s])->panel_width + 1; n++)
            check_conv(f32(sets[s]), c, n, n % 2, 0, n);
}

static void test_conv_row_ranges_and_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++) {
        /* More rows than a row block, deeper than several k blocks, more frames than fit at once. */
        vx_conv c = {.n_out = 600, .n_in = 3, .taps = 1, .dilation = 1};
        check_conv(f32(sets[s]), c, 50, false, 8, 50);
        c = (vx_conv){.n_out = 3, .n_in = 600, .taps = 1, .dilation = 1};
        check_conv(f32(sets[s]), c, 20, true, 0, 20);
        c = (vx_conv){.n_out = 10, .n_in = 7, .taps = 3, .dilation = 3};
        check_conv(f32(sets[s]), c, 301, true, 0, f32(sets[s])->panel_width);
    }
}

static void test_conv_keeps_nan_and_inf(void **state)
{
    (void)state;
    const float one = 1, zero = 0, inputs[] = {NAN, INFINITY, 1e-42f};
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < 3; i++) {
            float x[64] = {0}, y[64], packed[256];
            x[5] = inputs[i];
            vx_conv c = {.n_out = 1,
                         .n_in = 1,
                         .taps = 1,
                         .dilation = 1,
                         .weight = &one,
                         .weight_ld = 1,
                         .bias = &zero,
                         .relu = s % 2 == 0};
            vx_panels p = {.data = packed, .capacity = 256, .n = 20};
            f32(sets[s])->pack(&c, x, NULL, 64, 20, &p);
            f32(sets[s])->multiply(&c, &p, 0, 1, y, 64);
            if (i == 0)
                assert_true(isnan(y[5]));
            else
                assert_true(y[5] == inputs[i]);
            assert_true(y[4] == 0 && y[6] == 0);
        }
}

/* ---- rows ---- */

/* A row of n floats, and NaN behind them as far as kernels may read. */
static guard make_row(size_t n)
{
    const size_t ld = round_up(n, VX_ROW_FLOATS);
    guard row = guard_alloc(ld * sizeof(float));
    fill_rows(row.data, 1, n, ld);
    return row;
}

static void test_dot(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 0; n <= 200; n++) {
            guard a = guard_alloc(n * sizeof(float)), b = guard_alloc(n * sizeof(float));
            fill(a.data, n);
            fill(b.data, n);
            double want = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                double p = (double)((float *)a.data)[i] * ((float *)b.data)[i];
                want += p;
                magnitude += fabs(p);
            }
            assert_true(fabs(sets[s]->row->dot(a.data, b.data, n) - want) <= (double)(n + 1) * FLT_EPSILON * magnitude);
            guard_free(&a);
            guard_free(&b);
        }
}

/* What follows a product, on a row that holds one: a convolution with a weight of 1. */
static void test_finish(void **state)
{
    (void)state;
    static const float one[3] = {1, 1, 1};
    enum { ROW = 2 };
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 1; n <= 50; n++)
            for (int variant = 0; variant < 8; variant++) {
                float vectors[9];
                fill(vectors, 9);
                const vx_conv c = {.n_out = 3,
                                   .n_in = 1,
                                   .taps = 1,
                                   .dilation = 1,
                                   .weight = one,
                                   .weight_ld = 1,
                                   .bias = vectors,
                                   .relu = variant & 1,
                                   .scale = variant & 2 ? vectors + 3 : NULL,
                                   .shift = variant & 2 ? vectors + 6 : NULL,
                                   .tanh = variant & 4};
                guard x = make_row(n), y = make_row(n);
                memcpy(y.data, x.data, n * sizeof(float));
                sets[s]->row->finish(&c, ROW, y.data, n);
                for (size_t t = 0; t < n; t++) {
                    double magnitude, want = conv_oracle(&c, x.data, NULL, n, n, ROW, t, &magnitude);
                    const double bound = 4 * (double)FLT_EPSILON * magnitude + (c.tanh ? 4e-7 : 0);
                    assert_true(fabs((double)((float *)y.data)[t] - want) <= bound);
                }
                guard_free(&x);
                guard_free(&y);
            }
}

static void test_mean_std(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 1; n <= 100; n++) {
            guard x = make_row(n);
            float *v = x.data, mean, std;
            double sum = 0, squares = 0;
            for (size_t i = 0; i < n; i++)
                sum += v[i] += 100; /* an offset that the textbook one-pass formula would drown in */
            for (size_t i = 0; i < n; i++)
                squares += (v[i] - sum / (double)n) * (v[i] - sum / (double)n);
            double want = sqrt(fmax(squares / (double)n, 1e-12));
            sets[s]->row->mean_std(v, n, 1e-12f, &mean, &std);
            /* The mean is off by n ulps of 101 at most, and the deviation by that much where it is small. */
            double bound = (double)(n + 2) * FLT_EPSILON * 101;
            assert_true(fabs(mean - sum / (double)n) <= bound);
            assert_true(fabs(std - want) <= bound);
            assert_true(sets[s]->row->mean(v, n) == mean);
            guard_free(&x);
        }
}

static void test_attend(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 1; n <= 100; n++) {
            guard logits = make_row(n), x = make_row(n);
            float *a = logits.data, *v = x.data, mean, std;
            double top = -1e30, total = 0, weighted = 0, squares = 0;
            for (size_t i = 0; i < n; i++)
                top = fmax(top, a[i] = a[i] * (n % 3 ? 5 : 60) - (n % 7 ? 0 : 1000)); /* any offset is as good */
            for (size_t i = 0; i < n; i++) {
                total += exp(a[i] - top);
                weighted += exp(a[i] - top) * v[i];
            }
            double want = weighted / total;
            for (size_t i = 0; i < n; i++)
                squares += exp(a[i] - top) * (v[i] - want) * (v[i] - want);
            double deviation = sqrt(fmax(squares / total, 1e-12));
            sets[s]->row->attend(a, v, n, 1e-12f, &mean, &std);
            /* exp is within 3e-7 relative plus its argument's rounding (up to 120 * eps / 2); sums of n like signs. */
            double bound = 1e-5 + (double)n * FLT_EPSILON;
            assert_true(fabs(mean - want) <= bound);
            /* A square root near zero turns an error e into sqrt(e). */
            assert_true(fabs(std - deviation) <= fmin(sqrt(bound), bound / deviation));
            guard_free(&logits);
            guard_free(&x);
        }
}

static void test_sigmoid_and_add_scaled(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 0; n <= 70; n++) {
            guard a = make_row(n), b = make_row(n), y = make_row(n), z = guard_alloc(n * sizeof(float));
            float *x = a.data, *v = b.data, *out = y.data;
            sets[s]->row->add_scaled(x, 0.37f, v, n, out);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs(out[i] - ((double)x[i] + (double)0.37f * v[i])) <= 2 * FLT_EPSILON);
            out = z.data;
            for (size_t i = 0; i < n; i++)
                out[i] = x[i] * (i % 2 ? 8.0f : 200.0f);
            memcpy(x, out, n * sizeof *x);
            sets[s]->row->sigmoid(out, n);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs(out[i] - 1 / (1 + exp(-(double)x[i]))) <= 1e-6);
            guard_free(&a);
            guard_free(&b);
            guard_free(&y);
            guard_free(&z);
        }
}

static void test_to_bf16(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t want;
    } cases[] = {{0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80},
                 {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82}, {0xbf818000, 0xbf82},
                 {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x00008000, 0x0000},
                 {0x00018000, 0x0002}, {0x7f800001, 0x7fc0}, {0x7fffffff, 0x7fff}, {0xffffffff, 0xffff}};
    enum { N_CASES = sizeof cases / sizeof *cases };
    for (size_t s = 0; s < n_sets; s++)
        for (size_t n = 0; n <= 3 * N_CASES + 1; n++) {
            guard x = guard_alloc(n * sizeof(float)), y = guard_alloc(n * sizeof(uint16_t));
            for (size_t i = 0; i < n; i++)
                memcpy((float *)x.data + i, &cases[i % N_CASES].bits, sizeof(float));
            sets[s]->row->to_bf16(x.data, n, y.data);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(((uint16_t *)y.data)[i], cases[i % N_CASES].want);
            guard_free(&x);
            guard_free(&y);
        }
}

static void test_sets_are_what_they_say(void **state)
{
    (void)state;
    assert_true(n_sets >= 1);
    assert_int_equal(sets[n_sets - 1]->isa, VX_ISA_SCALAR);
    for (size_t i = 0; i < n_sets; i++) {
        assert_string_equal(sets[i]->name, vx_isa_name(sets[i]->isa));
        assert_ptr_equal(vx_kernels_for(sets[i]->isa), sets[i]);
        printf("# kernels: %s\n", sets[i]->name);
    }
    assert_ptr_equal(vx_kernels_for(vx_isa_best()), sets[0]);
}

int main(void)
{
    n_sets = vx_kernels_all(sets, MAX_SETS);
    printf("# seed %d\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_are_what_they_say),
        cmocka_unit_test(test_conv_shapes),
        cmocka_unit_test(test_conv_lengths),
        cmocka_unit_test(test_conv_row_ranges_and_blocks),
        cmocka_unit_test(test_conv_keeps_nan_and_inf),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_dot),
        cmocka_unit_test(test_mean_std),
        cmocka_unit_test(test_attend),
        cmocka_unit_test(test_sigmoid_and_add_scaled),
        cmocka_unit_test(test_to_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
