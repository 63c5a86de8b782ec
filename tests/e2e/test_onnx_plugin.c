/* test_onnx_plugin.c - the ONNX Runtime plugin by its own interface, on forged networks that are right or wrong in one
 * way. test_onnx.c has it inside the engine, on a real network.
 */
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/plugin.h"
#include "shared/engine/network_plugin.h"
#include "tests/support/onnx_forge.h"

enum { BANDS = 8, DIM = 5, MAX_FRAMES = 700, MAX_CLIPS = 40, TEXT_CAP = 200 };

static const vx_network_plugin *plugin;
static char home[] = "/tmp/voxlock-home-XXXXXX";

/* A home where it would show what the library leaves behind, and none of the variables of automatic builds, under which
 * it would be on its best behaviour. */
static int move_out(void)
{
    static const char *const of_builds[] = {
        "CI", "TF_BUILD", "GITHUB_ACTIONS", "XDG_CACHE_HOME", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY"};
    for (size_t i = 0; i < sizeof of_builds / sizeof *of_builds; i++)
        unsetenv(of_builds[i]);
    return mkdtemp(home) ? setenv("HOME", home, 1) : -1;
}

static int leave(void **state)
{
    (void)state;
    return rmdir(home);
}

static int load_plugin(void **state)
{
    (void)state;
    vx_errinfo info = {0};
    const void *table = NULL;
    if (move_out() != 0)
        return -1;
    vx_err err = vx_plugin_load("vx_network_onnx", VX_NETWORK_PLUGIN_SYMBOL, &table, &info);
    if (err != VX_OK)
        fprintf(stderr, "%s: %s\n", info.path, vx_errinfo_text(&info, err));
    plugin = table;
    return plugin ? 0 : -1;
}

static vx_network_request request_for(const vx_buf *file)
{
    return (vx_network_request){
        .data = file->data, .len = file->len, .device = "cpu", .threads = 1, .bands = BANDS, .dim = DIM};
}

static vx_network *open_forged(const onnx_forge *forge, int threads)
{
    vx_buf file = {0};
    char text[TEXT_CAP] = "";
    vx_network *network = NULL;
    onnx_forge_write(forge, &file);
    vx_network_request request = request_for(&file);
    request.threads = threads;
    vx_err err = plugin->open(&request, &network, text, sizeof text);
    memset(file.data, 0xff, file.len); /* what open kept of it would show now */
    vx_buf_done(&file);
    if (err != VX_OK)
        fail_msg("%s: %s", vx_err_code(err), text);
    return network;
}

/* Features in [-1, 1), another clip for another seed. */
static void fill(float *features, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        features[i] = (float)(((uint32_t)i * 2246822519u + seed * 3266489917u) >> 8) / 8388608.0f - 1.0f;
}

static void run_and_compare(vx_network *network, const onnx_forge *forge, size_t n_clips, size_t n_frames)
{
    static float features[MAX_CLIPS * 64 * BANDS + MAX_FRAMES * BANDS];
    float raw[MAX_CLIPS * DIM], expected[DIM];
    char text[TEXT_CAP] = "";
    assert_true(n_clips * n_frames * BANDS <= sizeof features / sizeof *features);
    fill(features, n_clips * n_frames * BANDS, (unsigned)n_frames);
    vx_err err = plugin->run(network, features, n_clips, n_frames, raw, text, sizeof text);
    if (err != VX_OK)
        fail_msg("%zu clips of %zu frames: %s", n_clips, n_frames, text);
    for (size_t i = 0; i < n_clips; i++) {
        onnx_forge_expected(forge, features + i * n_frames * BANDS, n_frames, expected);
        for (size_t j = 0; j < DIM; j++)
            /* Eight products of numbers up to 1, in any order of summation. */
            if (!(fabsf(raw[i * DIM + j] - expected[j]) <= 64 * 1.2e-7f))
                fail_msg("clip %zu of %zu, %zu frames, number %zu: %g instead of %g", i, n_clips, n_frames, j,
                         (double)raw[i * DIM + j], (double)expected[j]);
    }
}

static void test_computes_the_network(void **state)
{
    (void)state;
    static const onnx_forge right = {.bands = BANDS, .dim = DIM}, one_clip = {.bands = BANDS, .dim = DIM, .clips = 1},
                            named = {.bands = BANDS, .dim = DIM, .input = "x y", .output = "\xc3\xa4/1"};
    static const onnx_forge *const forges[] = {&right, &one_clip, &named};
    /* Batches below, at and above what goes through the library together, and clips longer than that. */
    static const size_t sizes[][2] = {{1, 1}, {1, 31}, {2, 31}, {16, 32}, {17, 32}, {40, 31}, {3, 200}, {1, 700}};
    for (size_t f = 0; f < 3; f++)
        for (int threads = 1; threads <= 2; threads++) {
            vx_network *network = open_forged(forges[f], threads);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                run_and_compare(network, forges[f], sizes[i][0], sizes[i][1]);
            plugin->close(network);
        }
}

static void test_says_which_library(void **state)
{
    (void)state;
    int major = 0, minor = 0;
    assert_int_equal(plugin->abi, VX_NETWORK_PLUGIN_ABI);
    assert_int_equal(sscanf(plugin->library, "ONNX Runtime %d.%d", &major, &minor), 2);
    plugin->close(NULL);
}

/* ---- refused at open ---- */

static const struct {
    const char *name;
    onnx_forge forge;
    vx_err err;
    const char *says;
} wrong[] = {
    {"two inputs", {.two_inputs = true}, VX_ERR_MODEL_SHAPE, "takes 2 inputs where one, features alone, is wanted"},
    {"two outputs", {.two_outputs = true}, VX_ERR_MODEL_SHAPE, "gives 2 outputs where one, an embedding alone"},
    {"other bands", {.bands = 7}, VX_ERR_MODEL_SHAPE, "takes [?, ?, 7] where [clips, frames, 8] is given"},
    {"other dimension", {.dim = 6}, VX_ERR_MODEL_SHAPE, "gives [?, 6] where [clips, 5] is wanted"},
    {"no clips", {.flat = true}, VX_ERR_MODEL_SHAPE, "takes [?, 8] where [clips, frames, 8] is given"},
    {"doubles", {.type = ONNX_DOUBLE}, VX_ERR_MODEL_SHAPE, "input is not of float32"},
    {"four clips at once", {.clips = 4}, VX_ERR_MODEL_SHAPE, "takes 4 clips at once only"},
    {"one length", {.frames = 301}, VX_ERR_MODEL_SHAPE, "takes clips of 301 frames only"},
    {"one clip burnt in", {.burnt_in = true}, VX_ERR_ENGINE, "cannot be reshaped"},
    {"unknown operation", {.operation = "Guess"}, VX_ERR_MODEL_CORRUPT, "Guess"},
    {"a name that forges lines", {.operation = "x\nERROR\x1b[31m\xc3"}, VX_ERR_MODEL_CORRUPT, "ERROR"},
    {"ONNX of the future", {.opset = 9999}, VX_ERR_MODEL_CORRUPT, "ONNX Runtime only *guarantees* support"},
    /* The file is there, and large enough. */
    {"weights elsewhere", {.elsewhere = "tests/data/golden/a.wav"}, VX_ERR_MODEL_CORRUPT, "a.wav"},
};

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static void test_refuses_other_networks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        onnx_forge forge = wrong[i].forge;
        vx_buf file = {0};
        char text[TEXT_CAP] = "";
        vx_network *network = NULL;
        if (forge.bands == 0)
            forge.bands = BANDS;
        if (forge.dim == 0)
            forge.dim = DIM;
        onnx_forge_write(&forge, &file);
        vx_network_request request = request_for(&file);
        vx_err err = plugin->open(&request, &network, text, sizeof text);
        vx_buf_done(&file);
        if (err != wrong[i].err || !strstr(text, wrong[i].says) || !is_one_line(text) || network)
            fail_msg("%s: %s: %s", wrong[i].name, vx_err_code(err), text);
    }
}

static void test_refuses_other_requests(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        bool bf16;
        const char *says;
    } cases[] = {{"cuda", false, "on the CPU only, not on cuda"}, {"cpu", true, "no bfloat16"}};
    vx_buf file = {0};
    onnx_forge_write(&(onnx_forge){.bands = BANDS, .dim = DIM}, &file);
    for (size_t i = 0; i < 2; i++) {
        vx_network_request request = request_for(&file);
        char text[TEXT_CAP] = "";
        vx_network *network = NULL;
        request.device = cases[i].device;
        request.bf16 = cases[i].bf16;
        assert_int_equal(plugin->open(&request, &network, text, sizeof text), VX_ERR_UNSUPPORTED);
        assert_non_null(strstr(text, cases[i].says));
        assert_null(network);
    }
    vx_buf_done(&file);
}

static void test_refuses_what_is_cut_off(void **state)
{
    (void)state;
    vx_buf file = {0};
    onnx_forge_write(&(onnx_forge){.bands = BANDS, .dim = DIM}, &file);
    for (size_t len = 0; len < file.len; len += 7) {
        vx_network_request request = request_for(&file);
        char text[TEXT_CAP] = "";
        vx_network *network = NULL;
        request.len = len;
        vx_err err = plugin->open(&request, &network, text, sizeof text);
        if (err != VX_ERR_MODEL_CORRUPT || !text[0] || network)
            fail_msg("%zu of %zu bytes: %s: %s", len, file.len, vx_err_code(err), text);
    }
    vx_buf_done(&file);
}

/* The sentence is cut to what the caller has room for, and never inside a character. */
static void test_cuts_its_sentence(void **state)
{
    (void)state;
    vx_buf file = {0};
    /* "\xc3\xa4" is one character; each cut falls before, inside or behind one. */
    onnx_forge_write(&(onnx_forge){.bands = BANDS,
                                   .dim = DIM,
                                   .operation = "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"},
                     &file);
    const vx_network_request request = request_for(&file);
    for (size_t cap = 1; cap <= TEXT_CAP; cap++) {
        char text[TEXT_CAP + 1];
        vx_network *network = NULL;
        memset(text, '#', sizeof text);
        assert_int_equal(plugin->open(&request, &network, text, cap), VX_ERR_MODEL_CORRUPT);
        const size_t len = strnlen(text, cap);
        assert_true(len < cap && text[cap] == '#');
        assert_true(len == 0 || (unsigned char)text[len - 1] != 0xc3);
    }
    vx_buf_done(&file);
}

/* ---- running ---- */

static void test_failure_leaves_the_result(void **state)
{
    (void)state;
    static const onnx_forge forge = {.bands = BANDS, .dim = DIM, .looks_at_31st = true};
    float features[30 * BANDS], raw[DIM];
    char text[TEXT_CAP] = "";
    vx_network *network = open_forged(&forge, 1);
    fill(features, 30 * BANDS, 1);
    memset(raw, 0x55, sizeof raw);
    assert_int_equal(plugin->run(network, features, 1, 30, raw, text, sizeof text), VX_ERR_ENGINE);
    assert_non_null(strstr(text, "out of"));
    assert_true(is_one_line(text));
    for (size_t i = 0; i < sizeof raw; i++)
        assert_int_equal(((const unsigned char *)raw)[i], 0x55);
    plugin->close(network);
}

enum { CALLERS = 4, RUNS = 50 };

struct caller {
    vx_network *network;
    size_t n_frames;
    unsigned seed;
    int wrong;
};

static void *call_often(void *argument)
{
    static const onnx_forge forge = {.bands = BANDS, .dim = DIM};
    struct caller *c = argument;
    float features[64 * BANDS], raw[DIM], expected[DIM];
    char text[TEXT_CAP];
    for (unsigned run = 0; run < RUNS; run++) {
        fill(features, c->n_frames * BANDS, c->seed + run);
        onnx_forge_expected(&forge, features, c->n_frames, expected);
        bool right = plugin->run(c->network, features, 1, c->n_frames, raw, text, sizeof text) == VX_OK;
        for (size_t j = 0; j < DIM; j++)
            right = right && fabsf(raw[j] - expected[j]) <= 64 * 1.2e-7f;
        c->wrong += !right;
    }
    return NULL;
}

static void test_serves_callers_at_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        vx_network *network = open_forged(&(onnx_forge){.bands = BANDS, .dim = DIM}, threads);
        struct caller callers[CALLERS];
        pthread_t ids[CALLERS];
        for (unsigned i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){.network = network, .n_frames = 31 + 10 * i, .seed = 1000 * i};
            assert_int_equal(pthread_create(&ids[i], NULL, call_often, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(ids[i], NULL);
            assert_int_equal(callers[i].wrong, 0);
        }
        plugin->close(network);
    }
}

/* The library's environment is shared: the last one to leave takes it along, and the next one finds another. */
static void test_closes_and_opens_again(void **state)
{
    (void)state;
    static const onnx_forge forge = {.bands = BANDS, .dim = DIM};
    for (int round = 0; round < 10; round++) {
        vx_network *first = open_forged(&forge, 2), *second = open_forged(&forge, 1);
        plugin->close(first);
        run_and_compare(second, &forge, 2, 40);
        plugin->close(second);
    }
}

static int entries_in(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.' || (entry->d_name[1] != '\0' && entry->d_name[1] != '.');
    if (dir)
        closedir(dir);
    return n;
}

/* A voice key tells nobody that it is used: no file, no thread that would send one. */
static void test_leaves_no_trace(void **state)
{
    (void)state;
    static const onnx_forge forge = {.bands = BANDS, .dim = DIM};
    vx_network *network = open_forged(&forge, 1);
    run_and_compare(network, &forge, 1, 40);
    assert_int_equal(entries_in(home), 0);
#if defined(__linux__)
    assert_int_equal(entries_in("/proc/self/task"), 1);
#endif
    plugin->close(network);
    assert_int_equal(entries_in(home), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_computes_the_network),      cmocka_unit_test(test_says_which_library),
        cmocka_unit_test(test_refuses_other_networks),    cmocka_unit_test(test_refuses_other_requests),
        cmocka_unit_test(test_refuses_what_is_cut_off),   cmocka_unit_test(test_cuts_its_sentence),
        cmocka_unit_test(test_failure_leaves_the_result), cmocka_unit_test(test_serves_callers_at_once),
        cmocka_unit_test(test_closes_and_opens_again),    cmocka_unit_test(test_leaves_no_trace),
    };
    if (access(VX_BUILD_DIR "/vx_network_onnx.so", F_OK) != 0) {
        puts("1..1\nok 1 - plugin onnx # SKIP ONNX Runtime is not installed: set ONNXRUNTIME_DIR");
        return 0;
    }
    return cmocka_run_group_tests(tests, load_plugin, leave);
}
