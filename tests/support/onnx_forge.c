/* onnx_forge.c - writes ONNX files. Field numbers are those of onnx.proto3. */
#include "tests/support/onnx_forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };

/* ---- protobuf ---- */

static void put_bytes(vx_buf *to, const void *data, size_t len)
{
    if (vx_buf_append(to, data, len) != VX_OK)
        fail_msg("out of memory");
}

static void put_varint(vx_buf *to, uint64_t value)
{
    do {
        const uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put_bytes(to, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_int(vx_buf *to, unsigned field, int64_t value)
{
    put_varint(to, field << 3 | WIRE_VARINT);
    put_varint(to, (uint64_t)value);
}

static void put_block(vx_buf *to, unsigned field, const void *data, size_t len)
{
    put_varint(to, field << 3 | WIRE_BYTES);
    put_varint(to, len);
    put_bytes(to, data, len);
}

static void put_text(vx_buf *to, unsigned field, const char *text)
{
    put_block(to, field, text, strlen(text));
}

/* Takes the message. */
static void put_message(vx_buf *to, unsigned field, vx_buf *message)
{
    put_block(to, field, message->data, message->len);
    vx_buf_done(message);
}

/* ---- ONNX ---- */

static void put_attribute(vx_buf *node, const char *name, int type, int64_t value)
{
    vx_buf a = {0};
    put_text(&a, 1, name);
    put_int(&a, type == ATTRIBUTE_INT ? 3 : 8, value);
    put_int(&a, 20, type);
    put_message(node, 5, &a);
}

/* A node with one output. second: another input, or NULL; node [out] for attributes, then put_message(graph, 1, node) */
static void begin_node(vx_buf *node, const char *operation, const char *first, const char *second, const char *output)
{
    put_text(node, 1, first);
    if (second)
        put_text(node, 1, second);
    put_text(node, 2, output);
    put_text(node, 4, operation);
}

static void put_node(vx_buf *graph, const char *operation, const char *first, const char *second, const char *output)
{
    vx_buf node = {0};
    begin_node(&node, operation, first, second, output);
    put_message(graph, 1, &node);
}

/* sizes: -1 is any */
static void put_value(vx_buf *graph, unsigned field, const char *name, int type, const int64_t *sizes, size_t rank)
{
    vx_buf value = {0}, kind = {0}, tensor = {0}, shape = {0};
    for (size_t i = 0; i < rank; i++) {
        vx_buf size = {0};
        if (sizes[i] < 0)
            put_text(&size, 2, i == 0 ? "clips" : "frames");
        else
            put_int(&size, 1, sizes[i]);
        put_message(&shape, 1, &size);
    }
    put_int(&tensor, 1, type);
    put_message(&tensor, 2, &shape);
    put_message(&kind, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &kind);
    put_message(graph, field, &value);
}

static void put_integers(vx_buf *graph, const char *name, const int64_t *values, size_t n)
{
    vx_buf tensor = {0};
    put_int(&tensor, 1, (int64_t)n);
    put_int(&tensor, 2, ONNX_INT64);
    for (size_t i = 0; i < n; i++)
        put_int(&tensor, 7, values[i]);
    put_text(&tensor, 8, name);
    put_message(graph, 5, &tensor);
}

static void put_entry(vx_buf *tensor, const char *key, const char *value)
{
    vx_buf entry = {0};
    put_text(&entry, 1, key);
    put_text(&entry, 2, value);
    put_message(tensor, 13, &entry);
}

static void put_weights(vx_buf *graph, const onnx_forge *f, int type)
{
    vx_buf tensor = {0}, values = {0};
    put_int(&tensor, 1, (int64_t)f->bands);
    put_int(&tensor, 1, (int64_t)f->dim);
    put_int(&tensor, 2, type);
    put_text(&tensor, 8, "weights");
    for (size_t i = 0; i < f->bands * f->dim; i++) {
        const float single = onnx_forge_weight(f, i / f->dim, i % f->dim);
        const double twice = (double)single;
        if (type == ONNX_DOUBLE)
            put_bytes(&values, &twice, sizeof twice);
        else
            put_bytes(&values, &single, sizeof single);
    }
    if (f->elsewhere) {
        char length[24];
        snprintf(length, sizeof length, "%zu", values.len);
        put_entry(&tensor, "location", f->elsewhere);
        put_entry(&tensor, "length", length);
        put_int(&tensor, 14, 1);
        vx_buf_done(&values);
    } else {
        put_message(&tensor, 9, &values);
    }
    put_message(graph, 5, &tensor);
}

static void put_inputs(vx_buf *graph, const onnx_forge *f, int type, const char *input)
{
    const int64_t sizes[] = {f->clips ? f->clips : -1, f->frames ? f->frames : -1, (int64_t)f->bands};
    put_value(graph, 11, input, type, f->flat ? sizes + 1 : sizes, f->flat ? 2 : 3);
    if (f->two_inputs)
        put_value(graph, 11, "lengths", type, sizes, 1);
}

static void put_outputs(vx_buf *graph, const onnx_forge *f, int type, const char *output)
{
    const int64_t sizes[] = {f->flat ? 1 : f->clips ? f->clips : -1, (int64_t)f->dim};
    put_value(graph, 12, output, type, sizes, 2);
    if (f->two_outputs)
        put_value(graph, 12, "loudest", type, (const int64_t[]){sizes[0], (int64_t)f->bands}, 2);
}

/* One tensor after the other: features, picked, loudest, one, embedding. */
static void put_graph(vx_buf *model, const onnx_forge *f)
{
    const int type = f->type ? f->type : ONNX_FLOAT;
    const char *input = f->input ? f->input : "features", *output = f->output ? f->output : "embedding";
    const char *now = input;
    vx_buf graph = {0}, node = {0};
    if (f->looks_at_31st) {
        put_integers(&graph, "thirty_first", (const int64_t[]){30}, 1);
        begin_node(&node, "Gather", now, "thirty_first", "picked");
        put_attribute(&node, "axis", ATTRIBUTE_INT, 1);
        put_message(&graph, 1, &node);
        now = "picked";
    }
    begin_node(&node, "ReduceMax", now, NULL, "loudest");
    put_attribute(&node, "axes", ATTRIBUTE_INTS, f->flat ? 0 : 1);
    put_attribute(&node, "keepdims", ATTRIBUTE_INT, f->flat);
    put_message(&graph, 1, &node);
    now = "loudest";
    if (f->burnt_in) {
        put_integers(&graph, "one_clip", (const int64_t[]){1, (int64_t)f->bands}, 2);
        put_node(&graph, "Reshape", now, "one_clip", "one");
        now = "one";
    }
    put_node(&graph, f->operation ? f->operation : "MatMul", now, "weights", output);
    put_text(&graph, 2, "forged");
    put_weights(&graph, f, type);
    put_inputs(&graph, f, type, input);
    put_outputs(&graph, f, type, output);
    put_message(model, 7, &graph);
}

void onnx_forge_write(const onnx_forge *f, vx_buf *ret_file)
{
    vx_buf opset = {0};
    put_int(ret_file, 1, 7); /* version of the file format: ONNX 1.7 */
    put_graph(ret_file, f);
    put_text(&opset, 1, "");
    put_int(&opset, 2, f->opset ? f->opset : 13);
    put_message(ret_file, 8, &opset);
}

float onnx_forge_weight(const onnx_forge *f, size_t band, size_t j)
{
    const uint32_t hash = (uint32_t)(band * f->dim + j) * 2654435761u;
    return (float)(hash >> 22) / 512.0f - 1.0f;
}

void onnx_forge_expected(const onnx_forge *f, const float *features, size_t n_frames, float *ret)
{
    memset(ret, 0, f->dim * sizeof *ret);
    for (size_t b = 0; b < f->bands; b++) {
        float most = features[b];
        for (size_t t = 1; t < n_frames; t++)
            most = features[t * f->bands + b] > most ? features[t * f->bands + b] : most;
        for (size_t j = 0; j < f->dim; j++)
            ret[j] += most * onnx_forge_weight(f, b, j);
    }
}
