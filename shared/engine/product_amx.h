/* product_amx.h - the matrix product on Intel's tile registers (AMX), for the numbers that they multiply. Included once by
 * each product_<number>_amx.c, behind product_<number>.h and
 *   K_BLOCK, ROW_BLOCK         as in product_simd.h; K_BLOCK is a multiple of TILE
 *   add_products(sum, w, x)    the instruction that adds the product of two tiles to a third
 *   what product_panels.h wants
 *
 * A tile is up to 16 rows of up to 64 bytes. What an instruction multiplies is what already lies in memory: 16 rows of
 * weights, 16 groups wide, where they are; and 16 groups of a panel that is 16 frames wide. So nothing is copied, and no
 * tile is padded: the shapes of the tiles are set to what is left of rows and groups, and nothing behind those is read
 * or written. Only frames are always 16, which pack and the rows of y allow for.
 *
 * Never run on a processor that has it, only on a model of one: tests/support/amx_emulated.h.
 */
#include <immintrin.h>

#include "shared/engine/product_panels.h"

enum { TILE = 16 };
_Static_assert((int)PANEL == TILE && K_BLOCK % TILE == 0, "a panel's groups are rows of tiles");

/* The eight tiles. Two by two sums take four loads for four multiplications, as many as tiles allow. They are macros
 * because intrinsics make them part of an instruction's name. */
#define SUM00 0
#define SUM01 1
#define SUM10 2
#define SUM11 3
#define W0    4
#define W1    5
#define X0    6
#define X1    7

/* What LDTILECFG reads. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;
_Static_assert(sizeof(tile_shapes) == 64, "by the manual");

/* Shapes for 1 .. 2 * TILE rows of weights and 1 .. TILE groups. With no more than TILE rows the lower tiles stay unused. */
static void shape_tiles(size_t rows, size_t depth_here)
{
    const size_t upper = rows < TILE ? rows : TILE, lower = rows - upper;
    const struct {
        size_t rows, lanes;
    } shape[] = {
        [SUM00] = {upper, TILE},    [SUM01] = {upper, TILE},    [SUM10] = {lower, TILE},   [SUM11] = {lower, TILE},
        [W0] = {upper, depth_here}, [W1] = {lower, depth_here}, [X0] = {depth_here, TILE}, [X1] = {depth_here, TILE},
    };
    tile_shapes tiles = {.palette = 1};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        if (shape[i].rows > 0) {
            tiles.rows[i] = (uint8_t)shape[i].rows;
            tiles.row_bytes[i] = (uint16_t)(shape[i].lanes * sizeof(lane_any));
        }
    /* gcc's intrinsics do not tell the compiler what they read: of tiles nothing, and of the shapes 8 bytes, so that gcc 12
     * never writes the others (only a stack protector keeps it from that). This says that all is read; what is written
     * between here and the next are tiles, whose stores do tell, and finished rows, which no tile is loaded from. */
    __asm__ volatile("" : : "r"(&tiles) : "memory");
    _tile_loadconfig(&tiles);
}

/* A range of groups of one k block: whole tiles, or less than one. */
typedef struct {
    size_t first, count;
    const lane_any *panels; /* its first group in the first panel */
    size_t panel_lanes;     /* from panel to panel */
} span;

/* down x across tiles of sums; both are constants after inlining. Sums between spans wait in y, as bits. Each step of the
 * loop is 4 loads and 4 multiplications at 2 x 2, all addresses in registers (gcc 12, clang 14). */
INLINE void block(const vx_conv *c, const span *s, size_t row, int down, const lane_any *panel, int across, float *y,
                  size_t ld)
{
    const size_t weight_ld = c->weight_ld / GROUP, w_stride = weight_ld * sizeof(lane_any);
    const size_t y_stride = ld * sizeof *y;
    const lane_any *w0 = (const lane_any *)c->weight + row * weight_ld + s->first, *w1 = w0 + TILE * weight_ld;
    const lane_any *x0 = panel, *x1 = panel + s->panel_lanes;
    float *lower = y + TILE * ld;
    if (s->first == 0) {
        _tile_zero(SUM00);
        if (across > 1)
            _tile_zero(SUM01);
        if (down > 1)
            _tile_zero(SUM10);
        if (down > 1 && across > 1)
            _tile_zero(SUM11);
    } else {
        _tile_loadd(SUM00, y, y_stride);
        if (across > 1)
            _tile_loadd(SUM01, y + TILE, y_stride);
        if (down > 1)
            _tile_loadd(SUM10, lower, y_stride);
        if (down > 1 && across > 1)
            _tile_loadd(SUM11, lower + TILE, y_stride);
    }
    for (size_t g = 0; g < s->count; g += TILE) {
        _tile_loadd(X0, x0 + g * PANEL, PANEL * sizeof *x0);
        _tile_loadd(W0, w0 + g, w_stride);
        add_products(SUM00, W0, X0);
        if (across > 1) {
            _tile_loadd(X1, x1 + g * PANEL, PANEL * sizeof *x1);
            add_products(SUM01, W0, X1);
        }
        if (down > 1) {
            _tile_loadd(W1, w1 + g, w_stride);
            add_products(SUM10, W1, X0);
        }
        if (down > 1 && across > 1)
            add_products(SUM11, W1, X1);
    }
    _tile_stored(SUM00, y, y_stride);
    if (across > 1)
        _tile_stored(SUM01, y + TILE, y_stride);
    if (down > 1)
        _tile_stored(SUM10, lower, y_stride);
    if (down > 1 && across > 1)
        _tile_stored(SUM11, lower + TILE, y_stride);
}

/* Sums, whose bits lie in y, to outputs. */
static void finish_tile(const vx_conv *c, size_t row, int rows, int vecs, float *y, size_t ld)
{
    for (int r = 0; r < rows; r++) {
        const row_output o = output_of(c, row + (size_t)r);
        for (int j = 0; j < vecs; j++) {
            float *at = y + (size_t)r * ld + (size_t)j * LANES;
            store(at, output(&o, (vsum)load(at)));
        }
    }
    if (c->tanh)
        tanh_tile(rows, vecs, y, ld);
}

/* Rows [row, row_end), a multiple of `step` rows, of all panels. */
static void strips(const vx_conv *c, const span *s, size_t n_panels, size_t row, size_t row_end, size_t step, float *y,
                   size_t ld)
{
    const bool done = s->first + s->count == groups(c);
    shape_tiles(step, s->count < TILE ? s->count : TILE);
    for (size_t i = 0; i < n_panels; i += 2) {
        const lane_any *panel = s->panels + i * s->panel_lanes;
        const int across = n_panels - i > 1 ? 2 : 1;
        float *out = y + i * PANEL;
        for (size_t r = row; r < row_end; r += step, out += step * ld) {
            if (step > TILE && across > 1)
                block(c, s, r, 2, panel, 2, out, ld);
            else if (step > TILE)
                block(c, s, r, 2, panel, 1, out, ld);
            else if (across > 1)
                block(c, s, r, 1, panel, 2, out, ld);
            else
                block(c, s, r, 1, panel, 1, out, ld);
            if (done)
                finish_tile(c, r, (int)step, across, out, ld);
        }
    }
}

static void multiply(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    const size_t n_panels = panels_of(p->n), end = groups(c);
    for (size_t block0 = row0; block0 < row1; block0 += ROW_BLOCK) {
        const size_t n_rows = row1 - block0 < ROW_BLOCK ? row1 - block0 : ROW_BLOCK;
        const size_t pairs_end = block0 + n_rows / (2 * TILE) * (2 * TILE), row_end = block0 + n_rows;
        float *out = y + (block0 - row0) * ld + p->first, *out_rest = out + (pairs_end - block0) * ld;
        for (size_t g = 0; g < end;) {
            /* To the end of the k block in whole tiles, then what is left of one. */
            const size_t in_block = g % K_BLOCK, start_of_block = g - in_block;
            const size_t lanes = end - start_of_block < K_BLOCK ? end - start_of_block : K_BLOCK;
            const size_t left = lanes - in_block;
            const span s = {.first = g,
                            .count = left < TILE ? left : left / TILE * TILE,
                            .panels = (const lane_any *)p->data + start_of_block * n_panels * PANEL + in_block * PANEL,
                            .panel_lanes = lanes * PANEL};
            if (pairs_end > block0)
                strips(c, &s, n_panels, block0, pairs_end, 2 * TILE, out, ld);
            if (row_end > pairs_end)
                strips(c, &s, n_panels, pairs_end, row_end, row_end - pairs_end, out_rest, ld);
            g += s.count;
        }
    }
    /* The tiles hold what was said; and a thread without any is switched faster. */
    _tile_release();
}
