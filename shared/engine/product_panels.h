/* product_panels.h - what every matrix product does before and behind its sums: it packs the activations as panels, and
 * turns sums into outputs. For product_simd.h and product_amx.h, which hold multiply(), behind
 *   LANES      32-bit lanes in a vector
 *   TILE_VECS  vectors in a panel
 *   K_BLOCK    groups of a panel that lie together
 *   PRODUCT_TABLE, PRODUCT_NAME, PRODUCT_ISA  the table and what it says
 * and behind product_<number>.h, which says what a lane holds.
 */
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

/* What one k of a convolution sees: a row, shifted. */
typedef struct {
    const float *x, *x_add;
    size_t channel;
    ptrdiff_t shift;
} input_row;

/* The frames from t, reflected at both ends of the row. Lanes past what reflects hold the row's first. */
static void reflect(const float *row, ptrdiff_t t, ptrdiff_t n_frames, float lanes[LANES])
{
    for (ptrdiff_t i = 0; i < LANES; i++) {
        const ptrdiff_t from = t + i < 0 ? -(t + i) : t + i, back = 2 * (n_frames - 1) - from;
        lanes[i] = row[from < back ? from : back > 0 ? back : 0];
    }
}

/* What a vector of output frames from t sees of a shifted row. Lanes of no frame may read what lies behind the row, so
 * that only a shift forward can want a frame that is not there. */
INLINE vf window(const float *row, ptrdiff_t t, ptrdiff_t shift, ptrdiff_t n_frames)
{
    if (t + shift >= 0 && (shift <= 0 || t + shift + LANES <= n_frames))
        return load(row + t + shift);
    float lanes[LANES];
    reflect(row, t + shift, n_frames, lanes);
    return load(lanes);
}

/* The lanes of one group for `vecs` vectors of frames from t; without a row they stay 0, like the weights there.
 * Inside, where nothing is reflected, n_rows and vecs are constants after inlining: packing takes its time not for
 * conversion but for what is decided in between. */
INLINE void pack_group(const vx_conv *c, const input_row *rows, int n_rows, ptrdiff_t t, int vecs, bool inside,
                       ptrdiff_t n_frames, lane_any *out)
{
    for (int j = 0; j < vecs; j++, t += LANES) {
        vi lanes = {0};
        for (int i = 0; i < n_rows; i++) {
            const input_row *r = &rows[i];
            vf v = inside ? load(r->x + t + r->shift) : window(r->x, t, r->shift, n_frames);
            if (r->x_add)
                v += inside ? load(r->x_add + t + r->shift) : window(r->x_add, t, r->shift, n_frames);
            lanes |= encode(c, r->channel, v) << (i * (32 / GROUP));
        }
        store_lanes(out + j * LANES, lanes);
    }
}

static void pack(const vx_conv *c, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p)
{
    const size_t n_panels = panels_of(p->n), end = groups(c), k_end = depth(c), reach = c->taps / 2 * c->dilation;
    for (size_t g = 0; g < end; g++) {
        input_row rows[GROUP];
        int n_rows = 0;
        for (size_t k = g * GROUP; n_rows < GROUP && k < k_end; n_rows++, k++) {
            const size_t channel = k / c->taps, tap = k % c->taps;
            rows[n_rows] = (input_row){.x = x + channel * ld,
                                       .x_add = x_add ? x_add + channel * ld : NULL,
                                       .channel = channel,
                                       .shift = (ptrdiff_t)(tap * c->dilation) - (ptrdiff_t)reach};
        }
        const size_t block = g - g % K_BLOCK, depth_here = end - block < K_BLOCK ? end - block : K_BLOCK;
        lane_any *out = (lane_any *)p->data + block * n_panels * PANEL + (g - block) * PANEL;
        for (size_t i = 0; i < p->n; i += PANEL, out += depth_here * PANEL) {
            const size_t t = p->first + i, vecs = (p->n - i + LANES - 1) / LANES;
            if (n_rows == GROUP && vecs >= TILE_VECS && t >= reach && t + PANEL + reach <= n_frames)
                pack_group(c, rows, GROUP, (ptrdiff_t)t, TILE_VECS, true, 0, out);
            else
                pack_group(c, rows, n_rows, (ptrdiff_t)t, vecs < TILE_VECS ? (int)vecs : TILE_VECS, false,
                           (ptrdiff_t)n_frames, out);
        }
    }
}

/* ---- outputs --------------------------------------------------------------------------------------------------- */

/* Sums of a row to outputs. */
typedef struct {
    row_sum sum;
    row_tail tail;
} row_output;

INLINE row_output output_of(const vx_conv *c, size_t row)
{
    return (row_output){.sum = sum_of(c, row), .tail = tail_of(c, row)};
}
INLINE vf output(const row_output *o, vsum sum)
{
    return finish_sum(&o->tail, value(&o->sum, sum));
}

/* In place on rows x vecs outputs. Apart from the others and from the tile, because its constants would take registers
 * that the sums of every layer need, and one layer has it. */
static void tanh_tile(int rows, int vecs, float *y, size_t ld)
{
    for (int r = 0; r < rows; r++, y += ld)
        for (int j = 0; j < vecs; j++)
            store(y + j * LANES, vtanh(load(y + j * LANES)));
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
