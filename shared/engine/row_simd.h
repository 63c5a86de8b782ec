/* row_simd.h - the row kernels on generic vectors. Included once by each row_<isa>.c, which sets
 *   ROW_TABLE, ROW_ISA   the table's name and what it says
 *   LANES                floats in a vector
 * The compiler's vector extensions keep it one source; the instruction set comes from the file's compiler flags.
 */
#include <math.h>
#include <string.h>

#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

_Static_assert(VX_ROW_FLOATS % LANES == 0, "vectors may reach behind a row only as far as rows are padded");

static void finish(const vx_conv *c, size_t row, float *y, size_t n)
{
    const row_tail tail = tail_of(c, row);
    for (size_t i = 0; i < n; i += LANES) {
        const vf v = finish_sum(&tail, load(y + i));
        store(y + i, c->tanh ? vtanh(v) : v);
    }
}

static float dot(const float *a, const float *b, size_t n)
{
    /* Four chains, because one would wait for the latency of each addition. */
    vf s[4] = {splat(0), splat(0), splat(0), splat(0)};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            s[j] += load(a + i + j * LANES) * load(b + i + j * LANES);
    for (; i < n; i += LANES) {
        size_t left = n - i;
        if (left >= LANES)
            s[0] += load(a + i) * load(b + i);
        else
            s[0] += load_part(a + i, left, 0) * load_part(b + i, left, 0);
    }
    return sum_lanes((s[0] + s[1]) + (s[2] + s[3]));
}

static float mean(const float *x, size_t n)
{
    vf sum = splat(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum += load(x + i);
    if (i < n)
        sum += load_end(x + i, n - i, 0);
    return sum_lanes(sum) / (float)n;
}

static void mean_std(const float *x, size_t n, float floor, float *ret_mean, float *ret_std)
{
    const float m = mean(x, n);
    /* A second pass over a row that is in cache, because sum of squares minus square of sums cancels. */
    vf squares = splat(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf d = load(x + i) - splat(m);
        squares += d * d;
    }
    if (i < n) {
        const vf d = load_end(x + i, n - i, m) - splat(m);
        squares += d * d;
    }
    *ret_mean = m;
    *ret_std = sqrtf(fmaxf(sum_lanes(squares) / (float)n, floor));
}

static void add_scaled(const float *a, float gate, const float *b, size_t n, float *ret_y)
{
    for (size_t i = 0; i < n; i += LANES)
        store(ret_y + i, load(a + i) + splat(gate) * load(b + i));
}

static void attend(float *logits, const float *x, size_t n, float floor, float *ret_mean, float *ret_std)
{
    const size_t whole = n - n % LANES, rest = n - whole;
    vf top = splat(logits[0]);
    for (size_t i = 0; i < whole; i += LANES)
        top = vmax(top, load(logits + i));
    if (rest)
        top = vmax(top, load_end(logits + whole, rest, logits[0]));
    vf max = splat(max_lanes(top)), total = splat(0), weighted = splat(0);

    for (size_t i = 0; i < whole; i += LANES) {
        vf e = vexp(load(logits + i) - max);
        store(logits + i, e);
        total += e;
        weighted += e * load(x + i);
    }
    if (rest) {
        vf e = first_lanes(vexp(load(logits + whole) - max), rest, 0);
        store(logits + whole, e);
        total += e;
        weighted += e * load_end(x + whole, rest, 0);
    }
    float sum = sum_lanes(total), mean = sum_lanes(weighted) / sum;

    vf squares = splat(0);
    for (size_t i = 0; i < whole; i += LANES) {
        vf d = load(x + i) - splat(mean);
        squares += load(logits + i) * (d * d);
    }
    if (rest) {
        vf d = load_end(x + whole, rest, mean) - splat(mean);
        squares += load(logits + whole) * (d * d);
    }
    *ret_mean = mean;
    *ret_std = sqrtf(fmaxf(sum_lanes(squares) / sum, floor));
}

static void sigmoid(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i;
        vf v = left >= LANES ? load(x + i) : load_part(x + i, left, 0);
        v = splat(1.0f) / (splat(1.0f) + vexp(-v));
        if (left >= LANES)
            store(x + i, v);
        else
            store_part(x + i, v, left);
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *ret_y)
{
    typedef uint16_t vh __attribute__((vector_size(LANES * 2)));
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vh y = __builtin_convertvector(round_bf16(load(x + i)), vh);
        memcpy(ret_y + i, &y, sizeof y);
    }
    if (i < n) {
        const vu y = round_bf16(load_part(x + i, n - i, 0));
        for (size_t j = 0; i + j < n; j++)
            ret_y[i + j] = (uint16_t)y[j];
    }
}

/* Read only: the one thing a row_<isa>.c exports. */
const vx_row_kernels ROW_TABLE = {
    .isa = ROW_ISA,
    .finish = finish,
    .dot = dot,
    .mean = mean,
    .mean_std = mean_std,
    .add_scaled = add_scaled,
    .attend = attend,
    .sigmoid = sigmoid,
    .to_bf16 = to_bf16,
};
