/* fuzz_ecapa.c - any safetensors file either is refused with a sentence, or is a network that can be run in the numbers it
 * holds, where the machine multiplies those, and, what of it is f32, in bf16.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/engine/ecapa.h"
#include "tests/fuzz/fuzz.h"

enum { BANDS = 80, FRAMES = 40 };

static void require(int condition)
{
    if (!condition)
        abort();
}

/* One pass on features of both signs. What comes out is no matter: weights may be NaN. */
static void run(const vx_ecapa *net, const vx_kernels *kernels)
{
    vx_team *team = NULL;
    vx_arena arena = {0};
    float *raw = malloc(net->dim * sizeof *raw);
    require(raw && vx_team_create(1, &team) == VX_OK);
    require(vx_arena_reserve(sizeof(float) * vx_ecapa_scratch_floats(net, kernels, 1, FRAMES, FRAMES), &arena) ==
            VX_OK);
    const vx_ecapa_runner runner = {
        .net = net, .kernels = kernels, .team = team, .max_frames = FRAMES, .scratch = arena.data};
    size_t ld;
    float *features = vx_ecapa_input(&runner, FRAMES, &ld);
    for (size_t i = 0; i < BANDS * ld; i++)
        features[i] = (float)(i % 41) - 20;
    if (vx_ecapa_min_frames(net) <= FRAMES)
        require(vx_ecapa_run(&runner, FRAMES, raw) == VX_OK);
    vx_arena_release(&arena);
    vx_team_destroy(team);
    free(raw);
}

static bool has_products(vx_ecapa *net, const vx_kernels *kernels)
{
    vx_conv *convs[VX_ECAPA_MAX_CONVS];
    for (size_t n = vx_ecapa_convs(net, convs); n-- > 0;)
        if (!kernels->product[convs[n]->number])
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly that size, aligned as a mapping is, so that ASan sees the first byte read too far. */
    uint8_t *file = malloc(size ? size : 1);
    vx_safetensors *st = NULL;
    vx_ecapa net = {0};
    vx_errinfo info = {0};

    require(file != NULL);
    if (size)
        memcpy(file, data, size);
    if (vx_safetensors_open(file, size, &st, NULL) == VX_OK) {
        const vx_err err = vx_ecapa_bind(st, BANDS, &net, &info);
        require(err == VX_OK || info.text[0] != '\0' || err == VX_ERR_NOMEM);
        if (err == VX_OK) {
            const vx_kernels *kernels = vx_kernels_for(vx_isa_best());
            if (has_products(&net, kernels))
                run(&net, kernels);
            require(vx_ecapa_to_bf16(&net, kernels->row) == VX_OK);
            if (kernels->product[VX_NUMBER_BF16])
                run(&net, kernels);
        }
    }
    vx_ecapa_done(&net);
    vx_safetensors_close(st);
    free(file);
    return 0;
}
