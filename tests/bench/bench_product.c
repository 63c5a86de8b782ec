/* bench_product.c - the matrix products of the 20.8 M-parameter network over 3 s, by every kernel of this machine, beside
 * what the machine's multiply-add instruction reaches on registers alone. One thread.
 * Usage:  bench_product, no arguments
 * Owns:   one table on stdout: time for the network's products, its ratio to the best f32 kernel in the same rounds,
 *         billions of multiply-adds a second, and the share of the instruction's peak.
 *
 * Kernels take turns, shape by shape, and the least of many rounds counts: on a machine shared with others a median
 * says more about them.
 */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/engine/kernels.h"
#include "tests/support/stats.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { FRAMES = 301, LD = 304, MAX_PRODUCTS = 32, ROUNDS = 25, LANES = 4096 * 384 };

/* Every convolution of the network, and how often it occurs. */
static const struct {
    size_t n_out, n_in, taps, dilation, times;
} shapes[] = {
    {1024, 80, 5, 1, 1},   {1024, 1024, 1, 1, 6}, {128, 128, 3, 3, 21},
    {3072, 3072, 1, 1, 1}, {128, 3072, 1, 1, 1},  {3072, 128, 1, 1, 1},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* ---- peaks ------------------------------------------------------------------------------------------------------ */

/* 12 sums in registers, which is no less than latency times instructions a cycle on any machine so far. The empty
 * statement keeps the compiler from folding the additions. */
enum { CHAINS = 12, PEAK_STEPS = 20000 };
#define PEAK(name, isa, type, zero, step)                                                                              \
    __attribute__((target(isa), noinline)) static void name(void)                                                      \
    {                                                                                                                  \
        type s[CHAINS], x = zero, w = zero;                                                                            \
        __asm__ volatile("" : "+v"(x), "+v"(w));                                                                       \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) s[i] = zero;                                         \
        for (int n = 0; n < PEAK_STEPS; n++)                                                                           \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)                                                  \
            {                                                                                                          \
                __asm__ volatile("" : "+v"(x));                                                                        \
                s[i] = step;                                                                                           \
                __asm__ volatile("" : "+v"(s[i]));                                                                     \
            }                                                                                                          \
    }
#if defined(__x86_64__)
PEAK(peak_f32_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(x, w, s[i]))
PEAK(peak_f32_avx512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(x, w, s[i]))
PEAK(peak_bf16, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), _mm512_dpbf16_ps(s[i], (__m512bh)x, (__m512bh)w))
PEAK(peak_vnni512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(s[i], x, w))
PEAK(peak_vnni256, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), _mm256_dpbusd_avx_epi32(s[i], x, w))
PEAK(peak_madd256, "avx2", __m256i, _mm256_setzero_si256(),
     _mm256_add_epi32(s[i],
                      _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(x, w), _mm256_maddubs_epi16(w, x)), w)))
PEAK(peak_madd512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512(),
     _mm512_add_epi32(s[i],
                      _mm512_madd_epi16(_mm512_add_epi16(_mm512_maddubs_epi16(x, w), _mm512_maddubs_epi16(w, x)), w)))
#endif

/* Multiply-adds of one step. */
static const struct {
    vx_number number;
    const char *name;
    void (*loop)(void);
    double products;
} peaks[] = {
#if defined(__x86_64__)
    {VX_NUMBER_F32, "avx2", peak_f32_avx2, 8},
    {VX_NUMBER_F32, "avx512", peak_f32_avx512, 16},
    {VX_NUMBER_BF16, "avx512bf16", peak_bf16, 32},
    {VX_NUMBER_INT8, "avx2", peak_madd256, 64},
    {VX_NUMBER_INT8, "avx512", peak_madd512, 128},
    {VX_NUMBER_INT8, "avxvnni", peak_vnni256, 32},
    {VX_NUMBER_INT8, "avx512vnni", peak_vnni512, 64},
#endif
    {VX_NUMBERS, "", NULL, 0},
};

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* Billions of multiply-adds a second; 0 where nothing is known. */
static double peak_of(const vx_product *p)
{
    for (size_t i = 0; peaks[i].loop; i++) {
        if (peaks[i].number != p->number || strcmp(peaks[i].name, p->name) != 0)
            continue;
        double best = DBL_MAX;
        for (int round = 0; round < ROUNDS; round++) {
            const uint64_t start = vx_now_ns();
            peaks[i].loop();
            best = least(best, (double)(vx_now_ns() - start));
        }
        return peaks[i].products * CHAINS * PEAK_STEPS / best;
    }
    return 0;
}

/* ---- products --------------------------------------------------------------------------------------------------- */

typedef struct {
    const vx_product *product;
    double best_ns[N_SHAPES], pack_ns[N_SHAPES];
} contender;

static const vx_product *entered(const contender *c, size_t n, const vx_product *p)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].product == p)
            return p;
    return NULL;
}

static void time_one(contender *c, size_t shape, const void *weights, const float *vectors, const float *x,
                     void *panels, float *y)
{
    const vx_product *p = c->product;
    vx_conv conv = {.number = p->number,
                    .n_out = shapes[shape].n_out,
                    .n_in = shapes[shape].n_in,
                    .taps = shapes[shape].taps,
                    .dilation = shapes[shape].dilation,
                    .weight = weights,
                    .weight_ld = shapes[shape].n_in * shapes[shape].taps,
                    .bias = vectors,
                    .relu = true,
                    .scale = vectors,
                    .shift = vectors,
                    .input_scale = vectors,
                    .input_zero = vectors,
                    .weight_scale = vectors,
                    .zero_sum = vectors};
    vx_panels packed = {.data = panels, .capacity = LANES, .n = FRAMES};
    uint64_t start = vx_now_ns();
    p->pack(&conv, x, NULL, LD, FRAMES, &packed);
    c->pack_ns[shape] = least(c->pack_ns[shape], (double)(vx_now_ns() - start));
    start = vx_now_ns();
    p->multiply(&conv, &packed, 0, conv.n_out, y, LD);
    c->best_ns[shape] = least(c->best_ns[shape], (double)(vx_now_ns() - start));
}

static double total(const double ns[N_SHAPES])
{
    double sum = 0;
    for (size_t i = 0; i < N_SHAPES; i++)
        sum += ns[i] * (double)shapes[i].times;
    return sum;
}

int main(void)
{
    static const char *const numbers[VX_NUMBERS] = {"f32", "bf16", "int8"};
    static contender c[MAX_PRODUCTS];
    const vx_kernels *sets[16];
    size_t n = 0, n_sets = vx_kernels_all(sets, 16);
    for (size_t number = 0; number < VX_NUMBERS; number++)
        for (size_t i = 0; i < n_sets; i++)
            if (sets[i]->product[number] && !entered(c, n, sets[i]->product[number]))
                c[n++].product = sets[i]->product[number];
    /* Weights and activations of small numbers in any of the three kinds. */
    uint16_t *weights = calloc((size_t)3072 * 3072 * 2, sizeof *weights);
    float *x = calloc((size_t)3072 * LD, sizeof *x), *y = calloc((size_t)3072 * LD, sizeof *y);
    float *vectors = calloc(3072, sizeof *vectors), *panels = aligned_alloc(64, LANES * sizeof *panels);
    if (!weights || !x || !y || !vectors || !panels)
        return 1;
    uint64_t seed = 1;
    for (size_t i = 0; i < (size_t)3072 * 3072 * 2; i++)
        weights[i] = (uint16_t)(0x3c00 | (stats_random(&seed) >> 58));
    for (size_t i = 0; i < (size_t)3072 * LD; i++)
        x[i] = (float)(stats_random(&seed) >> 40) * 1e-6f;
    for (size_t i = 0; i < 3072; i++)
        vectors[i] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t s = 0; s < N_SHAPES; s++)
            c[i].best_ns[s] = c[i].pack_ns[s] = DBL_MAX;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t s = 0; s < N_SHAPES; s++)
            for (size_t i = 0; i < n; i++)
                if (strcmp(c[i].product->name, "scalar") != 0 || round < 2)
                    time_one(&c[i], s, weights, vectors, x, panels, y);

    double products = 0;
    for (size_t s = 0; s < N_SHAPES; s++)
        products += (double)(shapes[s].times * shapes[s].n_out * shapes[s].n_in * shapes[s].taps * FRAMES);
    printf("%-5s %-11s %9s %9s %7s %9s %7s  %s\n", "", "", "multiply", "pack ms", "x f32", "GMAC/s", "peak %",
           "share of peak by shape");
    for (size_t i = 0; i < n; i++) {
        const double ns = total(c[i].best_ns), peak = peak_of(c[i].product);
        printf("%-5s %-11s %9.2f %9.2f %7.3f %9.1f %7.1f ", numbers[c[i].product->number], c[i].product->name, ns / 1e6,
               total(c[i].pack_ns) / 1e6, ns / total(c[0].best_ns), products / ns,
               peak > 0 ? 100 * products / ns / peak : 0);
        for (size_t s = 0; s < N_SHAPES && peak > 0; s++)
            printf(" %zux%zux%zu: %.0f", shapes[s].n_out, shapes[s].n_in, shapes[s].taps,
                   100 * (double)(shapes[s].n_out * shapes[s].n_in * shapes[s].taps * FRAMES) / c[i].best_ns[s] / peak);
        printf("\n");
    }
    free(weights);
    free(x);
    free(y);
    free(vectors);
    free(panels);
    return 0;
}
