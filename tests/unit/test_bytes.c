/* test_bytes.c - size arithmetic, the growable buffer, hex, comparison, wiping. */
#include "shared/base/bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void sizes_are_checked(void **state)
{
    (void)state;
    static const struct {
        char op;
        size_t a, b;
        bool ok;
        size_t want;
    } cases[] = {
        {'+', 0, 0, true, 0},
        {'+', SIZE_MAX, 0, true, SIZE_MAX},
        {'+', SIZE_MAX - 1, 1, true, SIZE_MAX},
        {'+', SIZE_MAX, 1, false, 0},
        {'+', SIZE_MAX, SIZE_MAX, false, 0},
        {'*', SIZE_MAX, 0, true, 0},
        {'*', 0, SIZE_MAX, true, 0},
        {'*', SIZE_MAX, 1, true, SIZE_MAX},
        {'*', SIZE_MAX / 2, 2, true, SIZE_MAX - 1},
        {'*', SIZE_MAX / 2 + 1, 2, false, 0},
        {'*', SIZE_MAX, SIZE_MAX, false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t got = 77;
        bool ok =
            cases[i].op == '+' ? vx_size_add(cases[i].a, cases[i].b, &got) : vx_size_mul(cases[i].a, cases[i].b, &got);
        assert_int_equal(ok, cases[i].ok);
        assert_int_equal(got, cases[i].ok ? cases[i].want : 77);
    }
}

static void appends_add_up(void **state)
{
    (void)state;
    uint8_t want[5000];
    for (size_t i = 0; i < sizeof want; i++)
        want[i] = (uint8_t)(i * 31 + i / 256);
    vx_buf buf = {0};
    for (size_t piece = 0; buf.len < sizeof want; piece++) {
        size_t n = piece * 7 % 97;
        if (n > sizeof want - buf.len)
            n = sizeof want - buf.len;
        assert_int_equal(vx_buf_append(&buf, want + buf.len, n), VX_OK);
        assert_true(buf.cap >= buf.len);
    }
    assert_memory_equal(buf.data, want, sizeof want);
    vx_buf_done(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.len + buf.cap, 0);
}

static void empty_appends_need_no_memory(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, NULL, 0), VX_OK);
    assert_null(buf.data);
    vx_buf_done(&buf);
    vx_buf_done(NULL);
    vx_buf_wipe_done(&buf);
    vx_buf_wipe_done(NULL);
}

static void reserve_gives_what_it_says(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, "abc", 3), VX_OK);
    assert_int_equal(vx_buf_reserve(&buf, 1000), VX_OK);
    assert_true(buf.cap >= 1003);
    const uint8_t *data = buf.data;
    memset(buf.data + buf.len, 'x', 1000); /* ASan judges */
    assert_int_equal(vx_buf_reserve(&buf, 1000), VX_OK);
    assert_ptr_equal(buf.data, data);
    assert_int_equal(buf.len, 3);
    vx_buf_wipe_done(&buf);
}

static void limit_bounds_len_exactly(void **state)
{
    (void)state;
    static const size_t limits[] = {1, 5, 64, 65, 1000};
    for (size_t i = 0; i < COUNT(limits); i++) {
        vx_buf buf = {.limit = limits[i]};
        while (buf.len < limits[i])
            assert_int_equal(vx_buf_append(&buf, "x", 1), VX_OK);
        assert_true(buf.cap <= limits[i]);
        vx_buf before = buf;
        assert_int_equal(vx_buf_append(&buf, "x", 1), VX_ERR_OVERFLOW);
        assert_int_equal(vx_buf_reserve(&buf, 1), VX_ERR_OVERFLOW);
        assert_int_equal(vx_buf_printf(&buf, "%c", 'x'), VX_ERR_OVERFLOW);
        assert_memory_equal(&buf, &before, sizeof buf);
        vx_buf_done(&buf);
    }
}

static void hostile_sizes_are_refused(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, "abc", 3), VX_OK);
    vx_buf before = buf;
    assert_int_equal(vx_buf_reserve(&buf, SIZE_MAX), VX_ERR_OVERFLOW);
    assert_int_equal(vx_buf_reserve(&buf, SIZE_MAX - 2), VX_ERR_OVERFLOW);
    assert_memory_equal(&buf, &before, sizeof buf);
    vx_buf_done(&buf);
}

static void printf_appends_and_ends_with_zero(void **state)
{
    (void)state;
    vx_buf buf = {.limit = 300};
    assert_int_equal(vx_buf_printf(&buf, "%s=%d", "a", 1), VX_OK);
    assert_int_equal(vx_buf_printf(&buf, "%s", ""), VX_OK);
    assert_int_equal(vx_buf_printf(&buf, ",%0*d", 296, 7), VX_OK);
    assert_int_equal(buf.len, 300);
    assert_memory_equal(buf.data, "a=1,0000", 8);
    assert_int_equal(buf.data[299], '7');
    assert_int_equal(buf.data[300], '\0');
    vx_buf_done(&buf);
}

static vx_err fill_buffer(void *ctx)
{
    (void)ctx;
    vx_buf buf = {0};
    vx_err err = vx_buf_append(&buf, "0123456789", 10);
    for (int i = 0; i < 100 && err == VX_OK; i++) {
        vx_buf before = buf;
        err = vx_buf_printf(&buf, "%d:%s", i, "some text");
        if (err != VX_OK)
            assert_memory_equal(&buf, &before, sizeof buf);
    }
    if (buf.len > 0)
        assert_memory_equal(buf.data, "0123456789", 10);
    vx_buf_wipe_done(&buf);
    return err;
}

static void failed_allocations_change_nothing(void **state)
{
    (void)state;
    vx_alloc_fail_each(fill_buffer, NULL);
}

static void hex_round_trips(void **state)
{
    (void)state;
    uint8_t all[256], back[256];
    char hex[2 * sizeof all + 1];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    vx_hex(all, sizeof all, hex);
    assert_int_equal(strlen(hex), 512);
    assert_memory_equal(hex, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(vx_unhex(hex, sizeof back, back));
    assert_memory_equal(back, all, sizeof all);
    vx_hex(NULL, 0, hex);
    assert_string_equal(hex, "");
}

static void bad_hex_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        size_t len;
        bool ok;
    } cases[] = {
        {"", 0, true},    {"aF09", 2, true}, {"af0", 2, false}, {"", 1, false},   {"g0", 1, false},
        {"0g", 1, false}, {" 1", 1, false},  {"0x", 1, false},  {"-1", 1, false}, {"\xff\xff", 1, false},
        {"/0", 1, false}, {":0", 1, false},  {"@0", 1, false},  {"G0", 1, false}, {"`0", 1, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t got[3] = {0xEE, 0xEE, 0xEE};
        char *exact = strdup(cases[i].hex); /* so that ASan sees a read past the zero */
        assert_non_null(exact);
        assert_int_equal(vx_unhex(exact, cases[i].len, got), cases[i].ok);
        assert_int_equal(got[cases[i].len], 0xEE);
        free(exact);
    }
}

static void comparison_sees_every_bit(void **state)
{
    (void)state;
    uint8_t a[33] = {1, 2, 3}, b[33] = {1, 2, 3};
    assert_true(vx_equal_ct(a, b, sizeof a));
    assert_true(vx_equal_ct(a, b, 0));
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(vx_equal_ct(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void wipe_clears_exactly(void **state)
{
    (void)state;
    uint8_t data[40];
    memset(data, 0xAA, sizeof data);
    vx_wipe(data + 3, 30);
    for (size_t i = 0; i < sizeof data; i++)
        assert_int_equal(data[i], i >= 3 && i < 33 ? 0 : 0xAA);
    vx_wipe(NULL, 0);
}

static void little_endian_reads(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x81, 0x92, 0xA3, 0xB4, 0xC5, 0xD6, 0xE7, 0xF8};
    assert_true(vx_le16(bytes) == 0x9281u);
    assert_true(vx_le32(bytes) == 0xB4A39281u);
    assert_true(vx_le64(bytes) == 0xF8E7D6C5B4A39281u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(empty_appends_need_no_memory),
        cmocka_unit_test(reserve_gives_what_it_says),
        cmocka_unit_test(limit_bounds_len_exactly),
        cmocka_unit_test(hostile_sizes_are_refused),
        cmocka_unit_test(printf_appends_and_ends_with_zero),
        cmocka_unit_test(failed_allocations_change_nothing),
        cmocka_unit_test(hex_round_trips),
        cmocka_unit_test(bad_hex_is_refused),
        cmocka_unit_test(comparison_sees_every_bit),
        cmocka_unit_test(wipe_clears_exactly),
        cmocka_unit_test(little_endian_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
