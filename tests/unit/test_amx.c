/* test_amx.c - the model of AMX that its kernels are tested on, and whole networks through those kernels on it, compiled for
 * the model and, where the machine has AVX-512, as they are in the program. The products by themselves are in
 * test_products.c.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/audio/fbank.h"
#include "shared/base/arena.h"
#include "shared/base/file.h"
#include "shared/engine/ecapa.h"
#include "shared/engine/manifest.h"
#include "tests/support/amx_emulated.h"
#include "tests/support/amx_trap.h"
#include "tests/support/golden.h"
#include "tests/support/guard.h"
#include "tests/support/model_copy.h"
#include "tests/support/quantise.h"

/* ---- the model ---------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} shapes;

/* Tile 0 is sums of 3 x 5, tile 1 is 3 rows of 2 lanes, tile 2 is 2 rows of 5 lanes. */
static shapes some_shapes(void)
{
    return (shapes){.palette = 1, .rows = {3, 3, 2}, .row_bytes = {20, 8, 20}};
}

static void configure(shapes s)
{
    amx_emulated_loadconfig(&s);
}

static void palette_0(shapes s)
{
    s.palette = 0;
    configure(s);
}
static void palette_2(shapes s)
{
    s.palette = 2;
    configure(s);
}
static void start_row(shapes s)
{
    s.start_row = 1;
    configure(s);
}
static void reserved_byte(shapes s)
{
    s.reserved[13] = 1;
    configure(s);
}
static void seventeen_rows(shapes s)
{
    s.rows[0] = 17;
    configure(s);
}
static void row_of_65_bytes(shapes s)
{
    s.row_bytes[7] = 65;
    s.rows[7] = 1;
    configure(s);
}
static void rows_without_bytes(shapes s)
{
    s.rows[3] = 4;
    configure(s);
}
static void bytes_without_rows(shapes s)
{
    s.row_bytes[3] = 4;
    configure(s);
}
static void ninth_tile(shapes s)
{
    s.rows[8] = 1;
    s.row_bytes[8] = 4;
    configure(s);
}
static void zero_before_shapes(shapes s)
{
    (void)s;
    amx_emulated_zero(0);
}
static void product_after_release(shapes s)
{
    configure(s);
    amx_emulated_release();
    amx_emulated_dpbf16ps(0, 1, 2);
}
static void load_without_shape(shapes s)
{
    static const char zeros[1024];
    configure(s);
    amx_emulated_loadd(3, zeros, 64);
}
static void store_of_tile_8(shapes s)
{
    char bytes[1024];
    configure(s);
    amx_emulated_stored(8, bytes, 64);
}
static void product_of_one_tile_twice(shapes s)
{
    configure(s);
    amx_emulated_dpbf16ps(0, 0, 2);
}
static void other_rows(shapes s)
{
    s.rows[1] = 4;
    configure(s);
    amx_emulated_dpb(0, 1, 2, true, true);
}
static void other_columns(shapes s)
{
    s.row_bytes[2] = 16;
    configure(s);
    amx_emulated_dpbf16ps(0, 1, 2);
}
static void other_depth(shapes s)
{
    s.rows[2] = 3;
    configure(s);
    amx_emulated_dpb(0, 1, 2, true, false);
}
static void half_a_lane(shapes s)
{
    s.row_bytes[1] = 10;
    configure(s);
    amx_emulated_dpbf16ps(0, 1, 2);
}
static void load_behind_the_end(shapes s)
{
    guard g = guard_alloc(2 * 32 + 19); /* the last of 3 rows of 20 bytes lacks one */
    configure(s);
    amx_emulated_loadd(0, g.data, 32);
}
static void store_behind_the_end(shapes s)
{
    guard g = guard_alloc(2 * 32 + 19);
    configure(s);
    amx_emulated_stored(0, g.data, 32);
}

/* What a processor would refuse ends the program, and what it would read or write is touched. */
static void test_model_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        void (*run)(shapes s);
    } cases[] = {
#define CASE(name) {#name, name}
        CASE(palette_0),
        CASE(palette_2),
        CASE(start_row),
        CASE(reserved_byte),
        CASE(seventeen_rows),
        CASE(row_of_65_bytes),
        CASE(rows_without_bytes),
        CASE(bytes_without_rows),
        CASE(ninth_tile),
        CASE(zero_before_shapes),
        CASE(product_after_release),
        CASE(load_without_shape),
        CASE(store_of_tile_8),
        CASE(product_of_one_tile_twice),
        CASE(other_rows),
        CASE(other_columns),
        CASE(other_depth),
        CASE(half_a_lane),
        CASE(load_behind_the_end),
        CASE(store_behind_the_end),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGABRT, SIG_DFL); /* cmocka would report these as a failure of the test */
            signal(SIGSEGV, SIG_DFL);
            signal(SIGBUS, SIG_DFL);
            if (freopen("/dev/null", "w", stderr))
                cases[i].run(some_shapes());
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status))
            fail_msg("%s was let through", cases[i].label);
    }
}

static void test_model_moves_what_shapes_say(void **state)
{
    (void)state;
    unsigned char from[3 * 32], to[3 * 32], want[3 * 32];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i + 1);
    memset(to, 0xee, sizeof to);
    memset(want, 0xee, sizeof want);
    for (size_t row = 0; row < 3; row++)
        memcpy(want + row * 32, from + row * 24, 20);
    configure(some_shapes());
    assert_true(amx_emulated_configured());
    amx_emulated_loadd(0, from, 24);
    amx_emulated_stored(0, to, 32);
    assert_memory_equal(to, want, sizeof to);
    amx_emulated_zero(0);
    amx_emulated_stored(0, to, 32);
    assert_int_equal(to[0] | to[19] | to[64 + 19], 0);
    configure(some_shapes()); /* new shapes, and nothing in them */
    amx_emulated_stored(0, to, 32);
    assert_int_equal(to[0], 0);
    amx_emulated_release();
    assert_false(amx_emulated_configured());
}

static float one_bf16_sum(float had, const uint16_t w[4], const uint16_t x[4])
{
    shapes s = {.palette = 1, .rows = {1, 1, 2}, .row_bytes = {4, 8, 4}};
    float sum = 0;
    configure(s);
    amx_emulated_loadd(0, &had, 4);
    amx_emulated_loadd(1, w, 8);
    amx_emulated_loadd(2, x, 4);
    amx_emulated_dpbf16ps(0, 1, 2);
    amx_emulated_stored(0, &sum, 4);
    amx_emulated_release();
    return sum;
}

/* Worked by hand from the manual's loops. 0x3f80 is 1, 0x4000 2, 0x3380 2^-24, 0x0d80 2^-100, 0x3080 2^-30, 0x0001 a
 * denormal, 0x7e80 2^126, 0x7f00 2^127, 0x3f81 1 + 2^-7, 0xbf80 -1. */
static void test_model_adds_as_the_manual_says(void **state)
{
    (void)state;
    static const struct {
        float had;
        uint16_t w[4], x[4];
        float want;
    } cases[] = {
        {0, {0}, {0}, 0},
        {3, {0x3f80, 0x4000, 0x4000, 0xbf80}, {0x4000, 0x4000, 0x3f80, 0x3f80}, 3 + 2 + 4 + 2 - 1},
        /* 2^-24 in both places of a pair: added to 1 one after the other they are lost. */
        {1, {0x3f80, 0x3f80}, {0x3380, 0x3380}, 1 + FLT_EPSILON},
        /* Both in even places: they are summed before 1 is reached, too. */
        {1, {0x3f80, 0, 0x3f80, 0}, {0x3380, 0, 0x3380, 0}, 1 + FLT_EPSILON},
        /* One alone is half a place: to even. */
        {1, {0x3f80}, {0x3380}, 1},
        {1 + FLT_EPSILON, {0x3f80}, {0x3380}, 1 + 2 * FLT_EPSILON},
        /* 1 in the even sum swallows 2^-24, the odd sum does not. */
        {0, {0x3f80, 0, 0x3f80, 0}, {0x3f80, 0, 0x3380, 0}, 1},
        {0, {0x3f80, 0, 0, 0x3f80}, {0x3f80, 0, 0, 0x3380}, 1},
        {0, {0x3f81}, {0x3f81}, 1 + 0x1p-6f + 0x1p-14f},
        {0, {0x0001}, {0x7e80}, 0},
        {0, {0x7e80}, {0x0001}, 0},
        {0, {0x0d80}, {0x3080}, 0},
        {0x1p-130f, {0}, {0}, 0},
        {0x1p-126f, {0xbf80}, {0x0080}, 0},
        {0x1.8p-126f, {0xbf80}, {0x0080}, 0},
        {0, {0x7f00}, {0x4000}, INFINITY},
        /* One rounding: no product is Inf by itself, whose sum with Inf of the other sign would be NaN. */
        {0, {0x7f00, 0, 0x7f00, 0}, {0x4000, 0, 0xc000, 0}, INFINITY},
        {0, {0x7f00, 0, 0x7f00, 0}, {0x3f80, 0, 0xbf80, 0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float got = one_bf16_sum(cases[i].had, cases[i].w, cases[i].x);
        if (got != cases[i].want)
            fail_msg("case %zu: %.9g, expected %.9g", i, (double)got, (double)cases[i].want);
    }
}

static void test_model_knows_signs(void **state)
{
    (void)state;
    static const uint8_t a[4] = {0x80, 0xff, 0x7f, 1}, b[4] = {0xff, 0x80, 0x7f, 2};
    static const struct {
        bool a_is_signed, b_is_signed;
        int32_t want;
    } cases[] = {{true, true, 128 + 128 + 127 * 127 + 2},
                 {true, false, -128 * 255 - 128 + 127 * 127 + 2},
                 {false, true, -128 - 255 * 128 + 127 * 127 + 2},
                 {false, false, 128 * 255 + 255 * 128 + 127 * 127 + 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t had = -1000;
        int32_t sum = 0;
        configure((shapes){.palette = 1, .rows = {1, 1, 1}, .row_bytes = {4, 4, 4}});
        amx_emulated_loadd(0, &had, 4);
        amx_emulated_loadd(1, a, 4);
        amx_emulated_loadd(2, b, 4);
        amx_emulated_dpb(0, 1, 2, cases[i].a_is_signed, cases[i].b_is_signed);
        amx_emulated_stored(0, &sum, 4);
        amx_emulated_release();
        assert_int_equal(sum, cases[i].want - 1000);
    }
}

/* ---- networks ----------------------------------------------------------------------------------------------------- */

#ifdef AMX_EMULATED
/* bf16 keeps 8 bits of each factor; the bar of the product. */
#define COSINE_BF16 0.9995

static golden_clip clips[GOLDEN_CLIPS];
/* Of 3 and 0.62 s; the larger network hears the first. */
static const struct {
    const char *folder;
    size_t n_clips;
} networks[] = {{"tests/data/golden/model", 2}, {"models/starter", 1}};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

/* All that a pass needs, as far as it can be kept from clip to clip. */
typedef struct {
    vx_manifest manifest;
    vx_map map;
    vx_safetensors *file;
    vx_ecapa net;
    vx_fbank *fbank;
} network;

static network open_network(const char *folder, const char *weights)
{
    network n = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, weights);
    assert_int_equal(vx_manifest_read(folder, &n.manifest, NULL), VX_OK);
    assert_int_equal(vx_map_open(path, &n.map, NULL), VX_OK);
    assert_int_equal(vx_safetensors_open(n.map.data, n.map.len, &n.file, NULL), VX_OK);
    assert_int_equal(vx_ecapa_bind(n.file, (size_t)n.manifest.fbank.n_bands, &n.net, NULL), VX_OK);
    assert_int_equal(vx_fbank_create(&n.manifest.fbank, vx_isa_best(), &n.fbank, NULL), VX_OK);
    return n;
}

static void close_network(network *n)
{
    vx_fbank_destroy(n->fbank);
    vx_ecapa_done(&n->net);
    vx_safetensors_close(n->file);
    vx_map_close(&n->map);
}

/* The network's own output for a clip. */
static void pass(const network *n, const vx_kernels *kernels, const golden_clip *clip, int team_size, float *ret_raw)
{
    const size_t frames = vx_fbank_frames(n->fbank, clip->audio.n);
    vx_team *team = NULL;
    vx_arena arena = {0};
    assert_int_equal(vx_team_create(team_size, &team), VX_OK);
    const size_t floats = vx_ecapa_scratch_floats(&n->net, kernels, team_size, frames, frames);
    assert_int_equal(vx_arena_reserve(floats * sizeof(float), &arena), VX_OK);
    const vx_ecapa_runner run = {
        .net = &n->net, .kernels = kernels, .team = team, .max_frames = frames, .scratch = arena.data};
    size_t ld;
    float *features = vx_ecapa_input(&run, frames, &ld);
    assert_int_equal(vx_fbank_compute(n->fbank, clip->audio.samples, clip->audio.n, features, ld), VX_OK);
    assert_int_equal(vx_ecapa_run(&run, frames, ret_raw), VX_OK);
    vx_arena_release(&arena);
    vx_team_destroy(team);
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* The best level's kernels with these products of bf16 and int8. */
static vx_kernels with(const vx_product *bf16, const vx_product *int8)
{
    vx_kernels kernels = *vx_kernels_for(vx_isa_best());
    kernels.product[VX_NUMBER_BF16] = bf16;
    kernels.product[VX_NUMBER_INT8] = int8;
    return kernels;
}

static void test_bf16_networks_are_close(void **state)
{
    (void)state;
    const vx_kernels *best = vx_kernels_for(vx_isa_best());
    const vx_kernels amx = with(&vx_bf16_amx_emulated, &vx_int8_amx_emulated);
    for (size_t f = 0; f < N_NETWORKS; f++) {
        network plain = open_network(networks[f].folder, MODEL_WEIGHTS),
                low = open_network(networks[f].folder, MODEL_WEIGHTS);
        assert_int_equal(vx_ecapa_to_bf16(&low.net, best->row), VX_OK);
        for (size_t i = 0; i < networks[f].n_clips; i++) {
            float want[VX_EMBEDDING_MAX_DIM], got[VX_EMBEDDING_MAX_DIM], team[VX_EMBEDDING_MAX_DIM];
            const size_t before = amx_emulated_products();
            pass(&plain, best, &clips[i], 1, want);
            assert_int_equal(amx_emulated_products(), before);
            pass(&low, &amx, &clips[i], 1, got);
            assert_true(amx_emulated_products() > before);
            assert_false(amx_emulated_configured());
            const double same = cosine(got, want, plain.net.dim);
            printf("# %s, clip %s, bf16 on tiles: cosine %.7f to f32\n", networks[f].folder, clips[i].name, same);
            assert_true(same >= COSINE_BF16 && same < 0.99999999); /* else it was not bf16 */
            /* Other shares of rows and other tiles, the same sums. */
            pass(&low, &amx, &clips[i], 3, team);
            assert_memory_equal(team, got, low.net.dim * sizeof *got);
            if (amx_trapped(VX_NUMBER_BF16)) {
                /* Batch norms are fused multiply-adds there. */
                const vx_kernels machine = with(amx_trapped(VX_NUMBER_BF16), NULL);
                pass(&low, &machine, &clips[i], 1, got);
                assert_true(cosine(got, team, low.net.dim) >= 0.999999);
            }
        }
        close_network(&plain);
        close_network(&low);
    }
}

/* Sums of bytes are exact and all else is the same code, so the network's output is the same to the bit as by the scalar
 * product. */
static void test_int8_networks_are_the_same(void **state)
{
    (void)state;
    const vx_product *plain = vx_kernels_for(VX_ISA_SCALAR)->product[VX_NUMBER_INT8];
    const vx_kernels scalar = with(NULL, plain), amx = with(NULL, &vx_int8_amx_emulated);
    for (size_t f = 0; f < N_NETWORKS; f++) {
        const vx_clip calibrate = {clips[0].audio.samples, clips[0].audio.n};
        model_copy copy = model_copy_of(networks[f].folder);
        assert_true(quantise_folder(copy.path, &calibrate, 1, NULL));
        network net = open_network(copy.path, QUANTISED_WEIGHTS);
        assert_int_equal(vx_ecapa_number(&net.net), VX_NUMBER_INT8);
        for (size_t i = 0; i < networks[f].n_clips; i++) {
            float want[VX_EMBEDDING_MAX_DIM], got[VX_EMBEDDING_MAX_DIM];
            pass(&net, &scalar, &clips[i], 1, want);
            pass(&net, &amx, &clips[i], 2, got);
            assert_memory_equal(got, want, net.net.dim * sizeof *got);
            if (amx_trapped(VX_NUMBER_INT8)) {
                const vx_kernels machine = with(NULL, amx_trapped(VX_NUMBER_INT8));
                pass(&net, &machine, &clips[i], 1, got);
                assert_memory_equal(got, want, net.net.dim * sizeof *got);
            }
        }
        close_network(&net);
        model_copy_drop(&copy, QUANTISED_WEIGHTS);
        model_copy_done(&copy);
    }
}

static int set_up(void **state)
{
    (void)state;
    return golden_load(clips) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    golden_done(clips);
    return 0;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_refuses),
        cmocka_unit_test(test_model_moves_what_shapes_say),
        cmocka_unit_test(test_model_adds_as_the_manual_says),
        cmocka_unit_test(test_model_knows_signs),
#ifdef AMX_EMULATED
        cmocka_unit_test_setup_teardown(test_bf16_networks_are_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_int8_networks_are_the_same, set_up, tear_down),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
