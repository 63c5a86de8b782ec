/* lanes.h - the vector type that kernels are written in, in shared/audio and shared/engine.
 * Owns:   loads, stores and the few operations they need, for LANES floats. Does not: know what is computed.
 *
 * Included only for the files named *_<isa>.c, which define LANES (a power of 2) first. The compiler's
 * vector extensions keep the kernels one source; the instruction set comes from the file's compiler flags.
 */
#ifndef VX_BASE_LANES_H
#define VX_BASE_LANES_H

#include <stdint.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef float vf_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p)
{
    return *(const vf_any *)p;
}
INLINE void store(float *p, vf v)
{
    *(vf_any *)p = v;
}
INLINE vf splat(float x)
{
    return x - (vf){0};
}
/* a > b ? a : b and a < b ? a : b, so b where one is NaN. That is what maxps and minps do, which compilers do not find
 * in the general form. */
#if defined(__AVX512F__) && LANES == 16
INLINE vf vmax(vf a, vf b)
{
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}
INLINE vf vmin(vf a, vf b)
{
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}
#elif defined(__AVX2__) && LANES == 8
INLINE vf vmax(vf a, vf b)
{
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}
INLINE vf vmin(vf a, vf b)
{
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}
#else
INLINE vf vmax(vf a, vf b)
{
    vi take_a = a > b;
    return (vf)((take_a & (vi)a) | (~take_a & (vi)b));
}
INLINE vf vmin(vf a, vf b)
{
    vi take_a = a < b;
    return (vf)((take_a & (vi)a) | (~take_a & (vi)b));
}
#endif

/* Lanes of a and b in turn, from their lower halves (a0 b0 a1 b1 ...) and from their upper ones. Older gcc knows only
 * __builtin_shuffle, clang only the other; both count the lanes of b on from those of a. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif
#if LANES == 16
#define LOW_LANES  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_LANES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW_LANES  0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_LANES 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOW_LANES  0, 4, 1, 5
#define HIGH_LANES 2, 6, 3, 7
#endif
INLINE vf interleave_low(vf a, vf b)
{
    return SHUFFLE(a, b, LOW_LANES);
}
INLINE vf interleave_high(vf a, vf b)
{
    return SHUFFLE(a, b, HIGH_LANES);
}

/* Transposes LANES rows of LANES floats: each round is one perfect shuffle of the whole square, which rotates the bits
 * of an element's address by one; log2(LANES) rounds swap row and column. */
INLINE void transpose(vf rows[LANES])
{
#pragma GCC unroll 4
    for (int round = 1; round < LANES; round *= 2) {
        vf next[LANES];
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = interleave_low(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = interleave_high(rows[i], rows[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            rows[i] = next[i];
    }
}

#endif
