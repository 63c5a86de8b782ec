/* product_panels.h - what every matrix product does before and behind its sums: it packs the activations as panels, and
 * turns sums into outputs. For product_simd.h and product_amx.h, which hold multiply(), behind
 *   LANES      32-bit lanes in a vector
 *   TILE_VECS  vectors in a panel
 *   K_BLOCK    groups of a panel that lie together
 *   PRODUCT_TABLE, PRODUCT_NAME, PRODUCT_ISA  the table and what it says
 * and behind product_<number>.h, which says what a lane holds.
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

/* ---- outputs --------------------------------------------------------------------------------------------------- */

/* Sums, whose bits lie in y, to outputs. Apart from the tile, whose sums compilers keep in registers only while little
 * is done with them. */
static void finish_tile(const vx_conv *c, size_t row, int rows, int vecs, float *y, size_t ld)
{
    for (int r = 0; r < rows; r++, row++, y += ld)
        for (int j = 0; j < vecs; j++)
            store(y + j * LANES, finish_sum(c, row, value(c, row, (vsum)load(y + j * LANES))));
}

static void multiply(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld);

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
