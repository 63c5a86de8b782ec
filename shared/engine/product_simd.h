/* product_simd.h - one matrix product for all kinds of numbers, on generic vectors. Included once by each
 * product_<number>_<isa>.c, which sets
 *   LANES                    32-bit lanes in a vector
 *   TILE_ROWS, TILE_VECS     register tile: TILE_ROWS * TILE_VECS sums, TILE_VECS inputs, one broadcast
 *   K_BLOCK                  groups of a panel that stay in L1 while weights stream past (K_BLOCK * panel * 4 bytes)
 *   ROW_BLOCK                rows whose K_BLOCK groups of weights stay in L2 while panels stream past
 *   PRODUCT_TABLE, PRODUCT_NAME, PRODUCT_ISA  the table and what it says
 * and after product_<number>.h, which says what a lane holds,
 *   step(sum, x, w)          adds the products of a lane's numbers to each sum
 *
 * It is Goto's algorithm with the roles swapped to fit the layout: the activations are the packed side, and the weights
 * are read in place, TILE_ROWS rows at a time, each 32-bit group broadcast to a vector of frames. Whether a group is one
 * float, two bf16 or four 8-bit numbers, only step(), encode() and value() see.
 */
#include <string.h>

enum { PANEL = TILE_VECS * LANES };

/* ---- packing -------------------------------------------------------------------------------------------------- */

static size_t panels_of(size_t n)
{
    return (n + PANEL - 1) / PANEL;
}
static size_t depth(const vx_conv *c)
{
    return c->n_in * c->taps;
}
static size_t groups(const vx_conv *c)
{
    return (depth(c) + GROUP - 1) / GROUP;
}

static size_t panels_fit(const vx_conv *c, size_t capacity)
{
    return capacity / (groups(c) * PANEL) * PANEL;
}

/* Frames first .. first + n of a row, then zeros: in place where all of a panel lies inside, else a copy in `edge`,
 * reflected at both ends. */
INLINE const float *window(const float *row, ptrdiff_t first, ptrdiff_t n, ptrdiff_t n_frames, float *edge)
{
    if (n == PANEL && first >= 0 && first + PANEL <= n_frames)
        return row + first;
    const ptrdiff_t inside = first < 0 ? -first : 0, stop = n_frames - first < n ? n_frames - first : n;
    ptrdiff_t i = 0;
    for (; i < inside && i < n; i++)
        edge[i] = row[-(first + i)];
    if (i < stop) {
        memcpy(edge + i, row + first + i, (size_t)(stop - i) * sizeof *edge);
        i = stop;
    }
    for (; i < n; i++)
        edge[i] = row[2 * (n_frames - 1) - (first + i)];
    memset(edge + n, 0, (size_t)(PANEL - n) * sizeof *edge);
    return edge;
}

/* What one k of a convolution sees: a row, shifted. */
typedef struct {
    const float *x, *x_add;
    size_t channel;
    ptrdiff_t shift;
} input_row;

/* The lanes of one group for the n frames from `first`. Without a row the lanes stay 0, like the weights there. */
INLINE void pack_group(const vx_conv *c, const input_row rows[GROUP], ptrdiff_t first, ptrdiff_t n, ptrdiff_t n_frames,
                       lane_any *out)
{
    vi lanes[TILE_VECS] = {{0}};
#pragma GCC unroll 4
    for (int i = 0; i < GROUP; i++) {
        if (!rows[i].x)
            break;
        const ptrdiff_t from = first + rows[i].shift;
        float edge[PANEL], edge_add[PANEL];
        const float *x = window(rows[i].x, from, n, n_frames, edge);
        const float *add = rows[i].x_add ? window(rows[i].x_add, from, n, n_frames, edge_add) : NULL;
        for (int j = 0; j < TILE_VECS; j++) {
            vf v = load(x + j * LANES);
            if (add)
                v += load(add + j * LANES);
            lanes[j] |= encode(c, rows[i].channel, v) << (i * (32 / GROUP));
        }
    }
    for (int j = 0; j < TILE_VECS; j++)
        store_lanes(out + j * LANES, lanes[j]);
}

static void pack(const vx_conv *c, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p)
{
    const size_t n_panels = panels_of(p->n), end = groups(c), k_end = depth(c);
    for (size_t g = 0; g < end; g++) {
        input_row rows[GROUP] = {{0}};
        for (size_t k = g * GROUP, i = 0; i < GROUP && k < k_end; i++, k++) {
            const size_t channel = k / c->taps, tap = k % c->taps;
            rows[i].x = x + channel * ld;
            rows[i].x_add = x_add ? x_add + channel * ld : NULL;
            rows[i].channel = channel;
            rows[i].shift = ((ptrdiff_t)tap - (ptrdiff_t)(c->taps / 2)) * (ptrdiff_t)c->dilation;
        }
        const size_t block = g - g % K_BLOCK, depth_here = end - block < K_BLOCK ? end - block : K_BLOCK;
        lane_any *out = (lane_any *)p->data + block * n_panels * PANEL + (g - block) * PANEL;
        for (size_t i = 0; i < n_panels; i++, out += depth_here * PANEL) {
            const size_t left = p->n - i * PANEL;
            pack_group(c, rows, (ptrdiff_t)(p->first + i * PANEL), (ptrdiff_t)(left < PANEL ? left : PANEL),
                       (ptrdiff_t)n_frames, out);
        }
    }
}

/* ---- the product ---------------------------------------------------------------------------------------------- */

/* Sums, whose bits lie in y, to outputs. Apart from the tile, whose sums compilers keep in registers only while little
 * is done with them. */
static void finish_tile(const vx_conv *c, size_t row, int rows, int vecs, float *y, size_t ld)
{
    for (int r = 0; r < rows; r++, row++, y += ld)
        for (int j = 0; j < vecs; j++)
            store(y + j * LANES, finish_sum(c, row, value(c, row, (vsum)load(y + j * LANES))));
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
            sum[r][j] = g0 ? (vsum)load(y + (size_t)r * ld + (size_t)j * LANES) : start(c, row + (size_t)r);
    for (size_t g = 0; g < count; g++) {
        vi x[TILE_VECS];
        for (int j = 0; j < vecs; j++)
            x[j] = load_lanes(panel + g * PANEL + (size_t)j * LANES);
        for (int r = 0; r < rows; r++) {
            const vi b = splat_lane(w[(size_t)r * weight_ld + g]);
            for (int j = 0; j < vecs; j++)
                sum[r][j] = step(sum[r][j], x[j], b);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++)
            store(y + (size_t)r * ld + (size_t)j * LANES, (vf)sum[r][j]);
    if (g0 + count == groups(c))
        finish_tile(c, row, rows, vecs, y, ld);
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

/* Read only: the one thing a product_<number>_<isa>.c exports. */
const vx_product PRODUCT_TABLE = {
    .name = PRODUCT_NAME,
    .isa = PRODUCT_ISA,
    .number = NUMBER,
    .panel_width = PANEL,
    .panels_fit = panels_fit,
    .pack = pack,
    .multiply = multiply,
};
