/* ecapa_convert.c - the network's convolutions as a list, and their weights as bf16. */
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/engine/ecapa.h"

/* Rows of bf16 weights start on cache lines. */
enum { ROW_VALUES = 32 };

size_t vx_ecapa_convs(vx_ecapa *net, vx_conv *ret_convs[VX_ECAPA_MAX_CONVS])
{
    size_t n = 0;
    ret_convs[n++] = &net->input;
    for (size_t i = 0; i < VX_ECAPA_BLOCKS; i++) {
        vx_ecapa_block *block = &net->blocks[i];
        ret_convs[n++] = &block->tdnn1;
        for (size_t j = 0; j + 1 < net->scale; j++)
            ret_convs[n++] = &block->res2[j];
        ret_convs[n++] = &block->tdnn2;
    }
    ret_convs[n++] = &net->mfa;
    ret_convs[n++] = &net->attention_in;
    ret_convs[n++] = &net->attention_out;
    return n;
}

vx_number vx_ecapa_number(const vx_ecapa *net)
{
    return net->mfa.number;
}

static size_t row_values(const vx_conv *c)
{
    return (c->n_in * c->taps + ROW_VALUES - 1) / ROW_VALUES * ROW_VALUES;
}

static void convert(const vx_row_kernels *row_kernels, vx_conv *c, uint16_t *to)
{
    const float *from = c->weight;
    const size_t depth = c->n_in * c->taps, ld = row_values(c);
    for (size_t row = 0; row < c->n_out; row++)
        row_kernels->to_bf16(from + row * c->weight_ld, depth, to + row * ld); /* behind it the arena's zeros */
    c->number = VX_NUMBER_BF16;
    c->weight = to;
    c->weight_ld = ld;
}

vx_err vx_ecapa_to_bf16(vx_ecapa *net, const vx_row_kernels *row)
{
    vx_conv *convs[VX_ECAPA_MAX_CONVS];
    const size_t n = vx_ecapa_convs(net, convs);
    size_t values = ROW_VALUES, bytes;
    for (size_t i = 0; i < n; i++) {
        size_t own;
        if (convs[i]->number == VX_NUMBER_F32 &&
            (!vx_size_mul(convs[i]->n_out, row_values(convs[i]), &own) || !vx_size_add(values, own, &values)))
            return VX_ERR_OVERFLOW;
    }
    if (!vx_size_mul(values, sizeof(uint16_t), &bytes))
        return VX_ERR_OVERFLOW;
    vx_err err = vx_arena_reserve(bytes, &net->converted);
    if (err != VX_OK)
        return err;
    uint16_t *at = net->converted.data;
    for (size_t i = 0; i < n; i++)
        if (convs[i]->number == VX_NUMBER_F32) {
            convert(row, convs[i], at);
            at += convs[i]->n_out * convs[i]->weight_ld;
        }
    return VX_OK;
}
