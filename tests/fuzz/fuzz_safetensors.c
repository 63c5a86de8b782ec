/* fuzz_safetensors.c - any bytes either are refused with a sentence, or give an index whose every byte can be read. */
#include <stdlib.h>
#include <string.h>

#include "shared/engine/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Reads all tensors in order: they must lie inside the file, side by side, up to its last byte. */
static void walk(const vx_safetensors *st, const uint8_t *file, size_t size)
{
    const uint8_t *next = NULL;
    volatile uint8_t sink = 0;

    for (size_t i = 0; i < vx_safetensors_count(st); i++) {
        const vx_tensor *t = vx_safetensors_at(st, i);
        const uint8_t *data = t->data;
        size_t product = 1;

        require(vx_safetensors_find(st, t->name) == t);
        require(data >= file && t->bytes <= size && (size_t)(data - file) <= size - t->bytes);
        require(!next || data == next);
        for (int d = 0; d < t->n_dims; d++)
            product *= t->shape[d];
        require(product == t->n_values && t->n_values <= t->bytes);
        for (size_t k = 0; k < t->bytes; k++)
            sink = (uint8_t)(sink ^ data[k]);
        next = data + t->bytes;
    }
    require(!next || next == file + size);
    require(vx_safetensors_at(st, vx_safetensors_count(st)) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly that size, aligned as a mapping is, so that ASan sees the first byte read too far. */
    uint8_t *file = malloc(size ? size : 1);
    vx_safetensors *st = NULL;
    vx_errinfo info = {0};

    require(file != NULL);
    if (size)
        memcpy(file, data, size);
    vx_err err = vx_safetensors_open(file, size, &st, &info);
    require((err == VX_OK) == (st != NULL) && info.code == err);
    if (st)
        walk(st, file, size);
    else
        require(info.text[0] != '\0');
    vx_safetensors_close(st);
    free(file);
    return 0;
}
