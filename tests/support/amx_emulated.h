/* amx_emulated.h - AMX in plain C, so that its kernels run, and are checked, on machines that do not have it.
 * Owns:   the tiles of each thread, and the intrinsics' names: a product_<number>_amx.c that is included behind this header
 *         is the same source on this model. Does not: know what is multiplied.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: LDTILECFG, TILELOADD, TILESTORED,
 *         TILEZERO, TILERELEASE, TDPBF16PS, TDPB[SU][SU]D, with palette 1.
 *
 * Stricter than the processor: what raises an exception there, or is only defined for programs unlike ours (start_row,
 * palette 0, unused bytes), says so on stderr and aborts. Reads and writes exactly the bytes that the shapes say, so that
 * guard pages and AddressSanitizer see one too many.
 */
#ifndef VX_TESTS_AMX_EMULATED_H
#define VX_TESTS_AMX_EMULATED_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/engine/kernels.h"

#if defined(__x86_64__)
#define AMX_EMULATED
/* product_bf16_amx.c and product_int8_amx.c on the model; any x86-64 processor runs them. */
extern const vx_product vx_bf16_amx_emulated, vx_int8_amx_emulated;
#endif

/* Whether this thread's tiles have shapes. */
bool amx_emulated_configured(void);
/* Multiplications of tiles by this thread so far. */
size_t amx_emulated_products(void);

void amx_emulated_loadconfig(const void *shapes);
void amx_emulated_release(void);
void amx_emulated_zero(int tile);
void amx_emulated_loadd(int tile, const void *base, size_t stride);
void amx_emulated_stored(int tile, void *base, size_t stride);
/* sum += a * b. */
void amx_emulated_dpbf16ps(int sum, int a, int b);
void amx_emulated_dpb(int sum, int a, int b, bool a_is_signed, bool b_is_signed);

#ifdef AMX_EMULATED_INTRINSICS
/* First the real ones, which then cannot come back: their header has a guard. */
#include <immintrin.h>
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_dpbusd
#undef _tile_dpbuud
#define _tile_loadconfig                 amx_emulated_loadconfig
#define _tile_release                    amx_emulated_release
#define _tile_loadd(tile, base, stride)  amx_emulated_loadd(tile, base, stride)
#define _tile_stored(tile, base, stride) amx_emulated_stored(tile, base, stride)
#define _tile_zero(tile)                 amx_emulated_zero(tile)
#define _tile_dpbf16ps(sum, a, b)        amx_emulated_dpbf16ps(sum, a, b)
#define _tile_dpbssd(sum, a, b)          amx_emulated_dpb(sum, a, b, true, true)
#define _tile_dpbsud(sum, a, b)          amx_emulated_dpb(sum, a, b, true, false)
#define _tile_dpbusd(sum, a, b)          amx_emulated_dpb(sum, a, b, false, true)
#define _tile_dpbuud(sum, a, b)          amx_emulated_dpb(sum, a, b, false, false)
#endif

#endif
