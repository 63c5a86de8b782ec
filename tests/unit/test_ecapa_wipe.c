/* test_ecapa_wipe.c - after a pass nothing of the features is left in the scratch, which is kept for the next caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "shared/engine/ecapa.h"
#include "tests/support/model_copy.h"
#include "tests/support/quantise.h"

enum { BANDS = 80, FRAMES = 203, PIECE = 8 };
static float features[BANDS][FRAMES];

/* Pieces of the features that stand somewhere in n floats. */
static size_t found_in(const float *scratch, size_t n)
{
    size_t found = 0;
    for (size_t b = 0; b < BANDS; b++)
        for (size_t t = 0; t + PIECE <= FRAMES; t += PIECE)
            for (size_t i = 0; i + PIECE <= n; i++)
                if (scratch[i] == features[b][t] && memcmp(scratch + i, &features[b][t], PIECE * sizeof(float)) == 0) {
                    found++;
                    break;
                }
    return found;
}

static void check_file(const char *path, const vx_kernels *kernels, int team_size)
{
    vx_map map = {0};
    vx_safetensors *file = NULL;
    vx_ecapa net = {0};
    vx_team *team = NULL;
    vx_arena arena = {0};
    assert_int_equal(vx_map_open(path, &map, NULL), VX_OK);
    assert_int_equal(vx_safetensors_open(map.data, map.len, &file, NULL), VX_OK);
    assert_int_equal(vx_ecapa_bind(file, BANDS, &net, NULL), VX_OK);
    assert_int_equal(vx_team_create(team_size, &team), VX_OK);
    const size_t floats = vx_ecapa_scratch_floats(&net, kernels, team_size, FRAMES, FRAMES);
    assert_int_equal(vx_arena_reserve(floats * sizeof(float), &arena), VX_OK);
    const vx_ecapa_runner run = {
        .net = &net, .kernels = kernels, .team = team, .max_frames = FRAMES, .scratch = arena.data};

    size_t ld;
    float *in = vx_ecapa_input(&run, FRAMES, &ld);
    for (size_t b = 0; b < BANDS; b++)
        memcpy(in + b * ld, features[b], sizeof features[b]);
    assert_int_equal(found_in(arena.data, floats), (size_t)BANDS * (FRAMES / PIECE)); /* what is sought can be found */
    float *raw = malloc(net.dim * sizeof *raw);
    assert_non_null(raw);
    assert_int_equal(vx_ecapa_run(&run, FRAMES, raw), VX_OK);
    const size_t left = found_in(arena.data, floats);
    if (left > 0)
        fail_msg("%s, %s, %d members: %zu pieces of features are left", path, kernels->name, team_size, left);

    free(raw);
    vx_arena_release(&arena);
    vx_team_destroy(team);
    vx_ecapa_done(&net);
    vx_safetensors_close(file);
    vx_map_close(&map);
}

static void test_no_features_are_left(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (size_t b = 0; b < BANDS; b++)
        for (size_t t = 0; t < FRAMES; t++) {
            seed = seed * 1664525u + 1013904223u;
            features[b][t] = (float)(seed >> 8) / 419430.4f - 20.0f;
        }
    vx_buf wav = {0};
    vx_audio audio = {0};
    assert_int_equal(vx_file_read("tests/data/golden/a.wav", 1 << 24, &wav, NULL), VX_OK);
    assert_int_equal(vx_audio_decode(wav.data, wav.len, VX_FORMAT_WAV, 0, &audio, NULL), VX_OK);
    const vx_clip clip = {audio.samples, audio.n};
    model_copy folder = model_copy_of("tests/data/golden/model");
    assert_true(quantise_folder(folder.path, &clip, 1, NULL));

    char f32[512], int8[512];
    snprintf(f32, sizeof f32, "%s/%s", folder.path, MODEL_WEIGHTS);
    snprintf(int8, sizeof int8, "%s/%s", folder.path, QUANTISED_WEIGHTS);
    for (int team_size = 1; team_size <= 2; team_size++) {
        check_file(f32, vx_kernels_for(vx_isa_best()), team_size);
        check_file(int8, vx_kernels_for(vx_isa_best()), team_size);
    }
    model_copy_drop(&folder, QUANTISED_WEIGHTS);
    model_copy_done(&folder);
    vx_audio_done(&audio);
    vx_buf_done(&wav);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_features_are_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
