/* kernels_simd.h - the native engine's kernels on generic vectors. Included once by each kernels_<isa>.c, which sets
 *   VX_SIMD_NAME, VX_SIMD_ISA   what the table says
 *   LANES                       floats in a vector
 *   TILE_ROWS, TILE_VECS        register tile: TILE_ROWS * TILE_VECS accumulators, TILE_VECS inputs, one broadcast
 *   K_BLOCK                     k's of a panel that stay in L1 while weights stream past (K_BLOCK * panel * 4 bytes)
 *   ROW_BLOCK                   rows whose K_BLOCK weights stay in L2 while panels stream past
 * The compiler's vector extensions keep it one source; the instruction set comes from the file's compiler flags.
 *
 * The product is Goto's algorithm with the roles swapped to fit the layout: the activations are the packed side, and
 * the weights are read in place, eight rows at a time, each float broadcast to a vector of frames.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/lanes.h"
#include "shared/engine/kernels.h"

enum { PANEL = TILE_VECS * LANES };

INLINE float sum_lanes(vf v)
{
    float s = 0;
    for (int i = 0; i < LANES; i++)
        s += v[i];
    return s;
}
INLINE float max_lanes(vf v)
{
    float m = v[0];
    for (int i = 1; i < LANES; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}
/* The last n < LANES floats of a row; the other lanes hold `fill`. */
INLINE vf load_part(const float *p, size_t n, float fill)
{
    float lanes[LANES];
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = i < n ? p[i] : fill;
    return load(lanes);
}
INLINE void store_part(float *p, vf v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = v[i];
}

/* exp with a relative error below 3e-7; arguments are clamped to where the result is a normal float.
 * Source: Cephes expf (range reduction by ln 2 in two parts, degree-5 polynomial). */
INLINE vf vexp(vf x)
{
    x = vmin(vmax(x, splat(-87.0f)), splat(88.0f));
    const vf round = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, left in the low bits */
    vf t = x * splat(1.44269504089f) + round;
    vf n = t - round;
    vf r = x - n * splat(0.693359375f) + n * splat(2.12194440e-4f);
    vf p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    return (vf)((vi)p + ((vi)t << 23));
}
INLINE vf vtanh(vf x)
{
    /* Beyond 9 the result is 1 in float; the clamp keeps exp finite. Absolute error below 3e-7. */
    vf e = vexp(vmin(vmax(x, splat(-9.0f)), splat(9.0f)) * splat(2.0f));
    return (e - splat(1.0f)) / (e + splat(1.0f));
}

/* ---- packing -------------------------------------------------------------------------------------------------- */

static size_t panels_of(size_t n)
{
    return (n + PANEL - 1) / PANEL;
}
static size_t depth(const vx_conv *c)
{
    return c->n_in * c->taps;
}

static size_t panels_fit(const vx_conv *c, size_t capacity)
{
    return capacity / (depth(c) * PANEL) * PANEL;
}

/* One panel row: frames first .. first + n of x (+ add), shifted, reflected at both ends, zero behind n. */
INLINE void pack_row(const float *x, const float *add, ptrdiff_t first, ptrdiff_t n, ptrdiff_t n_frames, float *out)
{
    if (n == PANEL && first >= 0 && first + n <= n_frames) {
        for (int j = 0; j < TILE_VECS; j++) {
            vf v = load(x + first + j * LANES);
            if (add)
                v += load(add + first + j * LANES);
            store(out + j * LANES, v);
        }
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t t = first + i;
        t = t < 0 ? -t : t;
        t = t >= n_frames ? 2 * (n_frames - 1) - t : t;
        out[i] = add ? x[t] + add[t] : x[t];
    }
    memset(out + n, 0, (size_t)(PANEL - n) * sizeof *out);
}

static void pack(const vx_conv *c, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p)
{
    const size_t n_panels = panels_of(p->n), k_end = depth(c);
    const ptrdiff_t half = (ptrdiff_t)(c->taps / 2);
    for (size_t k = 0; k < k_end; k++) {
        size_t k0 = k - k % K_BLOCK, kc = k_end - k0 < K_BLOCK ? k_end - k0 : K_BLOCK;
        size_t channel = k / c->taps;
        ptrdiff_t shift = ((ptrdiff_t)(k % c->taps) - half) * (ptrdiff_t)c->dilation;
        float *out = p->data + k0 * n_panels * PANEL + (k - k0) * PANEL;
        for (size_t i = 0; i < n_panels; i++, out += kc * PANEL) {
            size_t left = p->n - i * PANEL;
            pack_row(x + channel * ld, x_add ? x_add + channel * ld : NULL, (ptrdiff_t)(p->first + i * PANEL) + shift,
                     (ptrdiff_t)(left < PANEL ? left : PANEL), (ptrdiff_t)n_frames, out);
        }
    }
}

/* ---- the product ---------------------------------------------------------------------------------------------- */

INLINE vf finish(const vx_conv *c, size_t row, vf v)
{
    v += splat(c->bias[row]);
    if (c->relu)
        v = vmax(v, splat(0));
    if (c->scale)
        v = v * splat(c->scale[row]) + splat(c->shift[row]);
    if (c->tanh)
        v = vtanh(v);
    return v;
}

/* rows x vecs outputs over kc products; rows and vecs are constants after inlining, so acc lives in registers. */
INLINE void tile(const vx_conv *c, size_t row, int rows, const float *panel, int vecs, size_t k0, size_t kc, float *y,
                 size_t ld)
{
    const float *w = c->weight + row * c->weight_ld + k0;
    vf acc[TILE_ROWS][TILE_VECS];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++)
            acc[r][j] = k0 ? load(y + (size_t)r * ld + (size_t)j * LANES) : splat(0);
    for (size_t k = 0; k < kc; k++) {
        vf x[TILE_VECS];
        for (int j = 0; j < vecs; j++)
            x[j] = load(panel + k * PANEL + (size_t)j * LANES);
        for (int r = 0; r < rows; r++) {
            vf b = splat(w[(size_t)r * c->weight_ld + k]);
            for (int j = 0; j < vecs; j++)
                acc[r][j] += b * x[j];
        }
    }
    bool last = k0 + kc == depth(c);
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++) {
            vf v = last ? finish(c, row + (size_t)r, acc[r][j]) : acc[r][j];
            store(y + (size_t)r * ld + (size_t)j * LANES, v);
        }
}

/* Rows [row, row_end) of one panel and one k block. */
INLINE void strips(const vx_conv *c, size_t row, size_t row_end, const float *panel, int vecs, size_t k0, size_t kc,
                   float *y, size_t ld)
{
    for (; row + TILE_ROWS <= row_end; row += TILE_ROWS, y += TILE_ROWS * ld)
        tile(c, row, TILE_ROWS, panel, vecs, k0, kc, y, ld);
    for (; row < row_end; row++, y += ld)
        tile(c, row, 1, panel, vecs, k0, kc, y, ld);
}

static void multiply(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    const size_t n_panels = panels_of(p->n), k_end = depth(c);
    for (size_t block = row0; block < row1; block += ROW_BLOCK) {
        size_t block_end = row1 - block < ROW_BLOCK ? row1 : block + ROW_BLOCK;
        for (size_t k0 = 0; k0 < k_end; k0 += K_BLOCK) {
            size_t kc = k_end - k0 < K_BLOCK ? k_end - k0 : K_BLOCK;
            const float *panel = p->data + k0 * n_panels * PANEL;
            for (size_t i = 0; i < n_panels; i++, panel += kc * PANEL) {
                float *out = y + (block - row0) * ld + p->first + i * PANEL;
                /* A last panel with few frames computes only the vectors that hold some. */
                size_t vecs = (p->n - i * PANEL + LANES - 1) / LANES;
                if (vecs >= TILE_VECS)
                    strips(c, block, block_end, panel, TILE_VECS, k0, kc, out, ld);
                else if (vecs == 2 && TILE_VECS > 2)
                    strips(c, block, block_end, panel, 2, k0, kc, out, ld);
                else
                    strips(c, block, block_end, panel, 1, k0, kc, out, ld);
            }
        }
    }
}

/* ---- rows over time ------------------------------------------------------------------------------------------- */

static void finish_row(const vx_conv *c, size_t row, float *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, finish(c, row, load(y + i)));
    if (i < n)
        store_part(y + i, finish(c, row, load_part(y + i, n - i, 0)), n - i);
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

static void mean_std(const float *x, size_t n, float floor, float *ret_mean, float *ret_std)
{
    vf sum = splat(0);
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES)
        sum += load(x + i);
    if (whole < n)
        sum += load_part(x + whole, n - whole, 0);
    float mean = sum_lanes(sum) / (float)n;

    /* A second pass over a row that is in cache, because sum of squares minus square of sums cancels. */
    vf squares = splat(0);
    for (size_t i = 0; i < whole; i += LANES) {
        vf d = load(x + i) - splat(mean);
        squares += d * d;
    }
    if (whole < n) {
        vf d = load_part(x + whole, n - whole, mean) - splat(mean);
        squares += d * d;
    }
    *ret_mean = mean;
    *ret_std = sqrtf(fmaxf(sum_lanes(squares) / (float)n, floor));
}

static void add_scaled(const float *a, float gate, const float *b, size_t n, float *ret_y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(ret_y + i, load(a + i) + splat(gate) * load(b + i));
    if (i < n)
        store_part(ret_y + i, load_part(a + i, n - i, 0) + splat(gate) * load_part(b + i, n - i, 0), n - i);
}

static void attend(float *logits, const float *x, size_t n, float floor, float *ret_mean, float *ret_std)
{
    const size_t whole = n - n % LANES, rest = n - whole;
    vf top = splat(logits[0]);
    for (size_t i = 0; i < whole; i += LANES)
        top = vmax(top, load(logits + i));
    if (rest)
        top = vmax(top, load_part(logits + whole, rest, logits[0]));
    vf max = splat(max_lanes(top)), total = splat(0), weighted = splat(0);

    for (size_t i = 0; i < whole; i += LANES) {
        vf e = vexp(load(logits + i) - max);
        store(logits + i, e);
        total += e;
        weighted += e * load(x + i);
    }
    if (rest) {
        vf e = vexp(load_part(logits + whole, rest, 0) - max);
        store_part(logits + whole, e, rest);
        e = load_part(logits + whole, rest, 0);
        total += e;
        weighted += e * load_part(x + whole, rest, 0);
    }
    float sum = sum_lanes(total), mean = sum_lanes(weighted) / sum;

    vf squares = splat(0);
    for (size_t i = 0; i < whole; i += LANES) {
        vf d = load(x + i) - splat(mean);
        squares += load(logits + i) * (d * d);
    }
    if (rest) {
        vf d = load_part(x + whole, rest, mean) - splat(mean);
        squares += load_part(logits + whole, rest, 0) * (d * d);
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

/* Read only: the one thing a kernels_<isa>.c exports. */
const vx_kernels VX_SIMD_TABLE = {
    .name = VX_SIMD_NAME,
    .isa = VX_SIMD_ISA,
    .panel_width = PANEL,
    .panels_fit = panels_fit,
    .pack = pack,
    .multiply = multiply,
    .finish_row = finish_row,
    .dot = dot,
    .mean_std = mean_std,
    .add_scaled = add_scaled,
    .attend = attend,
    .sigmoid = sigmoid,
};
