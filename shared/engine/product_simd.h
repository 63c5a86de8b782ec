/* product_simd.h - one matrix product for all kinds of numbers, on generic vectors. Included once by each
 * product_<number>_<isa>.c, which sets
 *   LANES                    32-bit lanes in a vector
 *   TILE_ROWS, TILE_VECS     register tile: TILE_ROWS * TILE_VECS sums, TILE_VECS inputs, one broadcast
 *   K_BLOCK                  groups of a panel that weights stream past: K_BLOCK * panel * 4 bytes, about L1
 *   ROW_BLOCK                rows whose K_BLOCK groups of weights stay in L2 while panels stream past
 *   PRODUCT_TABLE, PRODUCT_NAME, PRODUCT_ISA  the table and what it says
 * and after product_<number>.h, which says what a lane holds,
 *   step(sum, x, w)          adds the products of a lane's numbers to each sum
 *   STEPS_IN_PAIRS           defined where two groups at once take less than twice as long, by
 *   step_pair(sum, x0, w0, x1, w1)
 *
 * It is Goto's algorithm with the roles swapped to fit the layout: the activations are the packed side, and the weights
 * are read in place, TILE_ROWS rows at a time, each 32-bit group broadcast to a vector of frames. Whether a group is one
 * float, two bf16 or four 8-bit numbers, only step(), encode() and value() see.
 */
#include "shared/engine/product_panels.h"

/* Groups in a cache line of 64 bytes. */
enum { LINE_GROUPS = 16 };

/* The next strip's weights lie too far apart for the processor to foresee. Asking for them gained 3 % of int8 by VNNI and
 * 2 % of bf16; f32 and steps in pairs take long enough without. */
#ifdef STEPS_IN_PAIRS
enum { ASKS_AHEAD = false };
#else
enum { ASKS_AHEAD = GROUP > 1 };
#endif

/* Behind the last strip lies nothing to ask for, hence addresses and not pointers. */
INLINE void ask_ahead(const lane_any *w, int rows, size_t weight_ld)
{
    const uintptr_t next = (uintptr_t)w + (size_t)rows * weight_ld * sizeof *w;
    for (int r = 0; r < rows; r++)
        __builtin_prefetch((const void *)(next + (size_t)r * weight_ld * sizeof *w));
}

/* rows x vecs outputs over `count` groups from g0; rows and vecs are constants after inlining, so that the sums live in
 * registers. */
INLINE void tile(const vx_conv *c, size_t row, int rows, const lane_any *panel, int vecs, size_t g0, size_t count,
                 float *y, size_t ld)
{
    const size_t weight_ld = c->weight_ld / GROUP;
    const lane_any *w = (const lane_any *)c->weight + row * weight_ld + g0;
    vsum sum[TILE_ROWS][TILE_VECS];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++)
            sum[r][j] = g0 ? (vsum)load(y + (size_t)r * ld + (size_t)j * LANES) : (vsum){0};
    size_t g = 0;
#ifdef STEPS_IN_PAIRS
    for (; g + 2 <= count; g += 2) {
        const lane_any *x = panel + g * PANEL;
        for (int r = 0; r < rows; r++) {
            const vi b0 = splat_lane(w[(size_t)r * weight_ld + g]), b1 = splat_lane(w[(size_t)r * weight_ld + g + 1]);
            for (int j = 0; j < vecs; j++)
                sum[r][j] = step_pair(sum[r][j], load_lanes(x + j * LANES), b0, load_lanes(x + PANEL + j * LANES), b1);
        }
    }
#endif
    for (; g < count; g++) {
        if (ASKS_AHEAD && g % LINE_GROUPS == 0)
            ask_ahead(w + g, rows, weight_ld);
        vi x[TILE_VECS];
        for (int j = 0; j < vecs; j++)
            x[j] = load_lanes(panel + g * PANEL + (size_t)j * LANES);
        for (int r = 0; r < rows; r++) {
            const vi b = splat_lane(w[(size_t)r * weight_ld + g]);
            for (int j = 0; j < vecs; j++)
                sum[r][j] = step(sum[r][j], x[j], b);
        }
    }
    if (g0 + count < groups(c)) {
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < vecs; j++)
                store(y + (size_t)r * ld + (size_t)j * LANES, (vf)sum[r][j]);
        return;
    }
    for (int r = 0; r < rows; r++) {
        const row_output o = output_of(c, row + (size_t)r);
        for (int j = 0; j < vecs; j++)
            store(y + (size_t)r * ld + (size_t)j * LANES, output(&o, sum[r][j]));
    }
    if (c->tanh)
        tanh_tile(rows, vecs, y, ld);
}

/* Rows [row, row_end) of one panel and one k block. */
INLINE void strips(const vx_conv *c, size_t row, size_t row_end, const lane_any *panel, int vecs, size_t g0,
                   size_t count, float *y, size_t ld)
{
    for (; row + TILE_ROWS <= row_end; row += TILE_ROWS, y += TILE_ROWS * ld)
        tile(c, row, TILE_ROWS, panel, vecs, g0, count, y, ld);
    for (; row < row_end; row++, y += ld)
        tile(c, row, 1, panel, vecs, g0, count, y, ld);
}

static void multiply(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    const size_t n_panels = panels_of(p->n), end = groups(c);
    for (size_t block = row0; block < row1; block += ROW_BLOCK) {
        size_t block_end = row1 - block < ROW_BLOCK ? row1 : block + ROW_BLOCK;
        for (size_t g0 = 0; g0 < end; g0 += K_BLOCK) {
            size_t count = end - g0 < K_BLOCK ? end - g0 : K_BLOCK;
            const lane_any *panel = (const lane_any *)p->data + g0 * n_panels * PANEL;
            for (size_t i = 0; i < n_panels; i++, panel += count * PANEL) {
                float *out = y + (block - row0) * ld + p->first + i * PANEL;
                /* A last panel with few frames computes only the vectors that hold some. */
                size_t vecs = (p->n - i * PANEL + LANES - 1) / LANES;
                if (vecs >= TILE_VECS)
                    strips(c, block, block_end, panel, TILE_VECS, g0, count, out, ld);
                else if (vecs == 2 && TILE_VECS > 2)
                    strips(c, block, block_end, panel, 2, g0, count, out, ld);
                else
                    strips(c, block, block_end, panel, 1, g0, count, out, ld);
            }
        }
    }
}
