/* test_safetensors.c - the index of a safetensors file: what is read, and every way a hostile file is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/engine/safetensors.h"
#include "tests/support/alloc_fail.h"

/* A file in memory: header padded to 8 bytes as writers do, then n_data bytes 0, 1, 2, ... */
static vx_buf make_file(const char *header, size_t n_data)
{
    vx_buf file = {0};
    size_t n_header = (strlen(header) + 7) / 8 * 8;
    uint8_t length[8] = {(uint8_t)n_header, (uint8_t)(n_header >> 8), (uint8_t)(n_header >> 16)};

    assert_int_equal(vx_buf_append(&file, length, sizeof length), VX_OK);
    assert_int_equal(vx_buf_printf(&file, "%-*s", (int)n_header, header), VX_OK);
    for (size_t i = 0; i < n_data; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(vx_buf_append(&file, &byte, 1), VX_OK);
    }
    return file;
}

static vx_err open_header(const char *header, size_t n_data, vx_errinfo *info)
{
    vx_buf file = make_file(header, n_data);
    vx_safetensors *st = NULL;
    vx_err err = vx_safetensors_open(file.data, file.len, &st, info);

    assert_true((err == VX_OK) == (st != NULL));
    vx_safetensors_close(st);
    vx_buf_done(&file);
    return err;
}

/* Out of order by name and by data, every dtype, a scalar, an empty tensor, 4 dimensions, metadata. */
static const char good_header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,1,1,3],\"data_offsets\":[16,40]},"
                                  "\"__metadata__\":{\"format\":\"pt\"},"
                                  "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                  "\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[14,16]},"
                                  "\"empty\":{\"dtype\":\"I32\",\"shape\":[0,4],\"data_offsets\":[8,8]},"
                                  "\"i32\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                                  "\"half\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[12,14]},"
                                  "\"i16\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[44,48]},"
                                  "\"i8\":{\"shape\":[1],\"data_offsets\":[40,41],\"dtype\":\"I8\"},"
                                  "\"u8\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[41,44]}}";
#define GOOD_DATA 48

static void test_reads_every_tensor(void **state)
{
    static const struct {
        const char *name;
        vx_dtype dtype;
        int n_dims;
        size_t shape[VX_TENSOR_MAX_DIMS];
        size_t n_values, offset, bytes;
    } expected[] = {
        {"scalar", VX_DTYPE_I64, 0, {0}, 1, 0, 8}, {"empty", VX_DTYPE_I32, 2, {0, 4}, 0, 8, 0},
        {"i32", VX_DTYPE_I32, 1, {1}, 1, 8, 4},    {"half", VX_DTYPE_F16, 2, {1, 1}, 1, 12, 2},
        {"a", VX_DTYPE_BF16, 1, {1}, 1, 14, 2},    {"w", VX_DTYPE_F32, 4, {2, 1, 1, 3}, 6, 16, 24},
        {"i8", VX_DTYPE_I8, 1, {1}, 1, 40, 1},     {"u8", VX_DTYPE_U8, 1, {3}, 3, 41, 3},
        {"i16", VX_DTYPE_I16, 1, {2}, 2, 44, 4},
    };
    vx_buf file = make_file(good_header, GOOD_DATA);
    const uint8_t *data = file.data + file.len - GOOD_DATA;
    vx_safetensors *st = NULL;
    vx_errinfo info = {0};

    (void)state;
    assert_int_equal(vx_safetensors_open(file.data, file.len, &st, &info), VX_OK);
    assert_int_equal(vx_safetensors_count(st), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < vx_safetensors_count(st); i++) {
        const vx_tensor *t = vx_safetensors_at(st, i);

        assert_string_equal(t->name, expected[i].name);
        assert_int_equal(t->dtype, expected[i].dtype);
        assert_int_equal(t->n_dims, expected[i].n_dims);
        assert_memory_equal(t->shape, expected[i].shape, sizeof t->shape);
        assert_int_equal(t->n_values, expected[i].n_values);
        assert_int_equal(t->bytes, expected[i].bytes);
        assert_ptr_equal(t->data, data + expected[i].offset);
        assert_ptr_equal(vx_safetensors_find(st, t->name), t);
    }
    assert_null(vx_safetensors_at(st, vx_safetensors_count(st)));
    assert_null(vx_safetensors_find(st, "__metadata__"));
    assert_null(vx_safetensors_find(st, "scala"));
    assert_null(vx_safetensors_find(st, ""));
    vx_safetensors_close(st);
    vx_buf_done(&file);
}

static void test_reads_a_real_file(void **state)
{
    vx_map map = {0};
    vx_safetensors *st = NULL;
    vx_errinfo info = {0};
    const vx_tensor *t;
    size_t bytes = 0;

    (void)state;
    assert_int_equal(vx_map_open("tests/data/golden/model/model.safetensors", &map, &info), VX_OK);
    assert_int_equal(vx_safetensors_open(map.data, map.len, &st, &info), VX_OK);
    assert_int_equal(vx_safetensors_count(st), 200);
    t = vx_safetensors_find(st, "blocks.0.conv.conv.weight");
    assert_non_null(t);
    assert_int_equal(t->dtype, VX_DTYPE_F32);
    assert_true(t->n_dims == 3 && t->shape[0] == 64 && t->shape[1] == 80 && t->shape[2] == 5);
    for (size_t i = 0; i < vx_safetensors_count(st); i++)
        bytes += vx_safetensors_at(st, i)->bytes;
    /* The importer's promise: data from a 64-byte boundary to the end. */
    assert_int_equal((map.len - bytes) % 64, 0);
    vx_safetensors_close(st);
    vx_map_close(&map);
}

#define T(dtype, shape, offsets) "{\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_hostile_headers(void **state)
{
    static const struct {
        const char *header;
        size_t n_data;
        const char *says;
    } cases[] = {
        {"", 0, "header"},
        {"[]", 0, "not an object"},
        {"null", 0, "not an object"},
        {"{\"t\":", 0, "header"},
        {"{} x", 0, "header"},
        {"{\"\\u0000\":1}", 0, "header"},
        {"{\"t\":[[[[[[]]]]]]}", 0, "header"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"{\"__metadata__\":null}", 0, "not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not text"},
        {"{\"t\":null}", 0, "not an object of"},
        {"{\"t\":[\"F32\",[1],[0,4]]}", 4, "not an object of"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "not an object of"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "not an object of"},
        {"{\"t\":{\"dtype\":\"F32\",\"shapes\":[1],\"data_offsets\":[0,4]}}", 4, "not an array"},
        {"{\"t\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "not an object of"},
        {T("F33", "[1]", "[0,4]"), 4, "unknown dtype"},
        {T("f32", "[1]", "[0,4]"), 4, "unknown dtype"},
        {T("F64", "[1]", "[0,8]"), 8, "unknown dtype"},
        {T("F32", "1", "[0,4]"), 4, "not an array"},
        {T("F32", "[1,1,1,1,1]", "[0,4]"), 4, "more than 4"},
        {T("F32", "[-1]", "[0,4]"), 4, "whole number"},
        {T("F32", "[1.0]", "[0,4]"), 4, "whole number"},
        {T("F32", "[\"1\"]", "[0,4]"), 4, "whole number"},
        {T("F32", "[99999999999999999999]", "[0,4]"), 4, "header"},
        /* 2^32 * 2^32 = 2^64 is 0 in 64 bits, and 2^62 * 4 bytes likewise. */
        {T("F32", "[4294967296,4294967296]", "[0,0]"), 0, "overflows"},
        {T("F32", "[4611686018427387904]", "[0,0]"), 0, "overflows"},
        {T("F32", "[1]", "[0]"), 4, "not an object of"},
        {T("F32", "[1]", "[0,4,4]"), 4, "not an object of"},
        {T("F32", "[1]", "{\"0\":0}"), 4, "not an object of"},
        {T("F32", "[1]", "[-4,0]"), 4, "data offset"},
        {T("F32", "[1]", "[0,4.0]"), 4, "data offset"},
        {T("F32", "[1]", "[4,0]"), 4, "outside"},
        {T("F32", "[2]", "[0,8]"), 4, "outside"},
        {T("F32", "[1]", "[9223372036854775803,9223372036854775807]"), 4, "outside"},
        {T("F32", "[1]", "[0,8]"), 8, "do not fit"},
        {T("F32", "[2]", "[0,4]"), 4, "do not fit"},
        {T("F32", "[0]", "[0,4]"), 4, "do not fit"},
        {T("F32", "[]", "[0,0]"), 0, "do not fit"},
        {T("F32", "[1]", "[2,6]"), 6, "not aligned"},
        {T("I64", "[1]", "[4,12]"), 12, "not aligned"},
        {T("F32", "[1]", "[4,8]"), 8, "hole"},
        {T("F32", "[1]", "[0,4]"), 8, "belong to no tensor"},
        {"{}", 1, "belong to no tensor"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "header"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         4, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         4, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
         4, "overlaps"},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_errinfo info = {0};

        if (open_header(cases[c].header, cases[c].n_data, &info) != VX_ERR_MODEL_CORRUPT)
            fail_msg("not refused: %s", cases[c].header);
        assert_int_equal(info.code, VX_ERR_MODEL_CORRUPT);
        if (!strstr(info.text, cases[c].says))
            fail_msg("%s: '%s' does not say '%s'", cases[c].header, info.text, cases[c].says);
    }
}

static void test_hostile_lengths(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t n;
    } cases[] = {
        {{0}, 0},
        {{2, 0, 0, 0, 0, 0, 0}, 7},
        {{0, 0, 0, 0, 0, 0, 0, 0}, 8},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10},
        {{0, 0, 0, 1, 0, 0, 0, 0, '{', '}'}, 10},
        {{2, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'}, 10},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, 10},
        {{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, 10},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        /* On the heap and no longer than said, so that ASan sees a read past the end. */
        uint8_t *file = malloc(cases[c].n > 0 ? cases[c].n : 1);
        vx_safetensors *st = NULL;
        vx_errinfo info = {0};

        assert_non_null(file);
        memcpy(file, cases[c].bytes, cases[c].n);
        assert_int_equal(vx_safetensors_open(file, cases[c].n, &st, &info), VX_ERR_MODEL_CORRUPT);
        assert_null(st);
        assert_true(info.text[0] != '\0');
        free(file);
    }
}

static void test_header_over_sixteen_mebibytes(void **state)
{
    const size_t longest = (size_t)16 << 20;

    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        size_t n = 8 + longest + over;
        uint8_t *file = malloc(n);
        vx_safetensors *st = NULL;

        assert_non_null(file);
        memset(file, ' ', n);
        memcpy(file, (const uint8_t[10]){(uint8_t)over, 0, 0, 1, 0, 0, 0, 0, '{', '}'}, 10);
        assert_int_equal(vx_safetensors_open(file, n, &st, NULL), over ? VX_ERR_MODEL_CORRUPT : VX_OK);
        vx_safetensors_close(st);
        free(file);
    }
}

static void test_smallest_file(void **state)
{
    const uint8_t file[10] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    vx_safetensors *st = NULL;

    (void)state;
    assert_int_equal(vx_safetensors_open(file, sizeof file, &st, NULL), VX_OK);
    assert_int_equal(vx_safetensors_count(st), 0);
    assert_null(vx_safetensors_find(st, "t"));
    assert_null(vx_safetensors_at(st, 0));
    vx_safetensors_close(st);
}

/* n tensors of one byte, in reverse order of their data. */
static vx_err open_many(size_t n, vx_safetensors **ret_st, vx_buf *ret_file, vx_errinfo *info)
{
    vx_buf header = {0};

    for (size_t i = n; i-- > 0;)
        assert_int_equal(vx_buf_printf(&header,
                                       "%c\"t%zu\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1],\"data_offsets\":[%zu,%zu]}",
                                       i == n - 1 ? '{' : ',', i, i, i + 1),
                         VX_OK);
    assert_int_equal(vx_buf_append(&header, "}", 2), VX_OK);
    *ret_file = make_file((const char *)header.data, n);
    vx_buf_done(&header);
    return vx_safetensors_open(ret_file->data, ret_file->len, ret_st, info);
}

static void test_most_tensors(void **state)
{
    vx_safetensors *st = NULL;
    vx_errinfo info = {0};
    vx_buf file;

    (void)state;
    assert_int_equal(open_many(16384, &st, &file, &info), VX_OK);
    for (size_t i = 0; i < 16384; i += 61) {
        char name[16];
        const vx_tensor *t;

        snprintf(name, sizeof name, "t%zu", i);
        t = vx_safetensors_find(st, name);
        assert_non_null(t);
        assert_int_equal(*(const uint8_t *)t->data, i % 256);
        assert_ptr_equal(t, vx_safetensors_at(st, i));
    }
    vx_safetensors_close(st);
    vx_buf_done(&file);

    st = NULL;
    assert_int_equal(open_many(16385, &st, &file, &info), VX_ERR_MODEL_CORRUPT);
    assert_null(st);
    vx_buf_done(&file);
}

static vx_err attempt_open(void *ctx)
{
    const vx_buf *file = ctx;
    vx_safetensors *st = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_safetensors_open(file->data, file->len, &st, &info);

    assert_true((err == VX_OK) == (st != NULL));
    vx_safetensors_close(st);
    return err;
}

static void test_every_allocation_may_fail(void **state)
{
    vx_buf file = make_file(good_header, GOOD_DATA);

    (void)state;
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(attempt_open, &file);
    vx_buf_done(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_tensor),
        cmocka_unit_test(test_reads_a_real_file),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_header_over_sixteen_mebibytes),
        cmocka_unit_test(test_smallest_file),
        cmocka_unit_test(test_most_tensors),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
