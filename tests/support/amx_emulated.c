#include "tests/support/amx_emulated.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Palette 1. */
enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

/* Each thread has its own, as each core does. */
static _Thread_local struct {
    bool configured;
    size_t rows[TILES], row_bytes[TILES]; /* both 0: a tile that may not be used */
    unsigned char data[TILES][ROWS][ROW_BYTES];
    size_t products;
} amx;

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "AMX: %s\n", what);
    abort();
}

static void demand_tile(int tile)
{
    demand(amx.configured, "a tile before ldtilecfg");
    demand(tile >= 0 && tile < TILES, "no such tile");
    demand(amx.rows[tile] > 0, "a tile without a shape");
}

bool amx_emulated_configured(void)
{
    return amx.configured;
}

size_t amx_emulated_products(void)
{
    return amx.products;
}

/* ---- shapes and memory ------------------------------------------------------------------------------------------- */

void amx_emulated_loadconfig(const void *shapes)
{
    /* Byte 0 is the palette, 1 the row to go on from after a fault; 16 words from byte 16 are bytes in a row, 16 bytes from
     * byte 48 are rows. */
    unsigned char bytes[64];
    memcpy(bytes, shapes, sizeof bytes);
    demand(bytes[0] == 1, "ldtilecfg of another palette than 1");
    for (size_t i = 1; i < 16; i++)
        demand(bytes[i] == 0, "ldtilecfg with reserved bytes");
    for (size_t i = 0; i < 16; i++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, bytes + 16 + 2 * i, sizeof row_bytes);
        const size_t rows = bytes[48 + i];
        demand(i < TILES || (rows == 0 && row_bytes == 0), "ldtilecfg of a tile that is none");
        demand(rows <= ROWS && row_bytes <= ROW_BYTES, "ldtilecfg of too large a tile");
        demand((rows == 0) == (row_bytes == 0), "ldtilecfg of rows without bytes or bytes without rows");
        if (i < TILES) {
            amx.rows[i] = rows;
            amx.row_bytes[i] = row_bytes;
        }
    }
    memset(amx.data, 0, sizeof amx.data);
    amx.configured = true;
}

void amx_emulated_release(void)
{
    memset(amx.rows, 0, sizeof amx.rows);
    memset(amx.row_bytes, 0, sizeof amx.row_bytes);
    memset(amx.data, 0, sizeof amx.data);
    amx.configured = false;
}

void amx_emulated_zero(int tile)
{
    demand_tile(tile);
    memset(amx.data[tile], 0, sizeof amx.data[tile]);
}

void amx_emulated_loadd(int tile, const void *base, size_t stride)
{
    amx_emulated_zero(tile);
    for (size_t row = 0; row < amx.rows[tile]; row++)
        memcpy(amx.data[tile][row], (const char *)base + row * stride, amx.row_bytes[tile]);
}

void amx_emulated_stored(int tile, void *base, size_t stride)
{
    demand_tile(tile);
    for (size_t row = 0; row < amx.rows[tile]; row++)
        memcpy((char *)base + row * stride, amx.data[tile][row], amx.row_bytes[tile]);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* sum is m x n, a is m x k, b is k x n, in lanes of 4 bytes. */
static void demand_product(int sum, int a, int b)
{
    demand_tile(sum);
    demand_tile(a);
    demand_tile(b);
    demand(sum != a && sum != b && a != b, "a product with one tile twice");
    demand(amx.row_bytes[sum] % 4 == 0 && amx.row_bytes[a] % 4 == 0 && amx.row_bytes[b] % 4 == 0,
           "a product of parts of lanes");
    demand(amx.rows[sum] == amx.rows[a], "a product whose sums have other rows than a");
    demand(amx.row_bytes[sum] == amx.row_bytes[b], "a product whose sums have other columns than b");
    demand(amx.row_bytes[a] / 4 == amx.rows[b], "a product of shapes that do not meet");
    amx.products++;
}

/* Denormals are zero on the way in and on the way out, whatever the thread's mode is. */
static float flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}
static float from_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return flushed(value);
}
/* a * b + sum, rounded once: two bf16 have an exact product in double, and rounding the sum to 53 bits before 24 changes
 * nothing, since 53 >= 2 * 24 + 2 (Figueroa). */
static float fused(float a, float b, float sum)
{
    return flushed((float)((double)a * (double)b + (double)sum));
}

/* Even and odd places of the pairs are summed apart, then with each other, then with what was there. */
void amx_emulated_dpbf16ps(int sum, int a, int b)
{
    demand_product(sum, a, b);
    const size_t columns = amx.row_bytes[sum] / 4, depth = amx.rows[b];
    for (size_t m = 0; m < amx.rows[sum]; m++) {
        float even[ROWS] = {0}, odd[ROWS] = {0}, had[ROWS];
        for (size_t k = 0; k < depth; k++) {
            uint16_t w[2], x[2 * ROWS];
            memcpy(w, amx.data[a][m] + 4 * k, sizeof w);
            memcpy(x, amx.data[b][k], sizeof x);
            const float w0 = from_bf16(w[0]), w1 = from_bf16(w[1]);
            for (size_t n = 0; n < columns; n++) {
                even[n] = fused(w0, from_bf16(x[2 * n]), even[n]);
                odd[n] = fused(w1, from_bf16(x[2 * n + 1]), odd[n]);
            }
        }
        memcpy(had, amx.data[sum][m], sizeof had);
        for (size_t n = 0; n < columns; n++)
            had[n] = flushed(flushed(had[n]) + flushed(even[n] + odd[n]));
        memcpy(amx.data[sum][m], had, columns * sizeof *had);
    }
}

void amx_emulated_dpb(int sum, int a, int b, bool a_is_signed, bool b_is_signed)
{
    demand_product(sum, a, b);
    const size_t columns = amx.row_bytes[sum] / 4, depth = amx.rows[b];
    for (size_t m = 0; m < amx.rows[sum]; m++) {
        uint32_t sums[ROWS]; /* they wrap */
        memcpy(sums, amx.data[sum][m], sizeof sums);
        for (size_t k = 0; k < depth; k++)
            for (size_t n = 0; n < columns; n++)
                for (size_t i = 0; i < 4; i++) {
                    const unsigned char w = amx.data[a][m][4 * k + i], x = amx.data[b][k][4 * n + i];
                    sums[n] += (uint32_t)((a_is_signed ? (int8_t)w : w) * (b_is_signed ? (int8_t)x : x));
                }
        memcpy(amx.data[sum][m], sums, columns * sizeof *sums);
    }
}
