/* test_gzip.c - round trips, RFC 1952's header fields, every cut and many flips, bombs, and what failure leaves. */
#include "shared/base/gzip.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
/* A literal and its length, so that zero bytes can stand in it. */
#define TEXT(literal) literal, sizeof(literal) - 1
#define MIB           ((size_t)1 << 20)

/* "hello\n", without name or time; made by gzip(1) -n. */
#define HEADER        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
#define BODY          "\xcb\x48\xcd\xc9\xc9\xe7\x02\x00"
#define TRAILER       "\x20\x30\x3a\x36\x06\x00\x00\x00"
#define HELLO         HEADER BODY TRAILER
#define EMPTY         HEADER "\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

static unsigned seed;
static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static int seed_random(void **state)
{
    (void)state;
    seed = (unsigned)time(NULL);
    random_state = seed;
    print_message("# seed %u\n", seed);
    return 0;
}

/* Bytes of few values, so that there is something to compress. */
static uint8_t *make_data(size_t n, uint32_t values)
{
    uint8_t *data = malloc(n + 1);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)random_below(values);
    return data;
}

static void check_round_trip(size_t n, uint32_t values, int level)
{
    uint8_t *data = make_data(n, values);
    vx_buf packed = {0}, back = {0};
    vx_errinfo info = {0};

    assert_int_equal(vx_gzip_deflate(data, n, level, &packed), VX_OK);
    assert_memory_equal(packed.data, "\x1f\x8b\x08\x00\x00\x00\x00\x00", 8); /* no name, no time */
    assert_int_equal(vx_gzip_inflate(packed.data, packed.len, n, &back, &info), VX_OK);
    assert_int_equal(back.len, n);
    if (n > 0)
        assert_memory_equal(back.data, data, n);
    if (n > 64) { /* the smallest block of a vx_buf */
        assert_int_equal(back.cap, n);
        assert_int_equal(vx_gzip_inflate(packed.data, packed.len, n - 1, &back, &info), VX_ERR_RANGE);
    }
    vx_buf_done(&packed);
    vx_buf_done(&back);
    free(data);
}

static void round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 1000, 65535, 65536, 200000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        check_round_trip(sizes[i], 256, 1);
        check_round_trip(sizes[i], 4, 6);
        check_round_trip(sizes[i], 1, 9);
    }
    check_round_trip(3 * MIB, 16, 1);
}

static void foreign_headers(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } cases[] = {
        {TEXT(HELLO), "hello\n"},
        {TEXT("\x1f\x8b\x08\x08\x00\x01\x02\x03\x02\xff"
              "name.json\0" BODY TRAILER),
         "hello\n"},
        {TEXT("\x1f\x8b\x08\x1d\x00\x00\x00\x00\x00\x03\x04\x00"
              "ab\x00\x01"
              "n\0"
              "comment\0" BODY TRAILER),
         "hello\n"},
        {TEXT(EMPTY), ""},
        {TEXT(HELLO HELLO), "hello\nhello\n"},
        {TEXT(EMPTY HELLO EMPTY EMPTY HELLO), "hello\nhello\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_buf out = {0};
        vx_errinfo info = {0};
        if (vx_gzip_inflate(cases[i].in, cases[i].n, 100, &out, &info) != VX_OK)
            fail_msg("case %zu: %s", i, info.text);
        assert_int_equal(out.len, strlen(cases[i].out));
        assert_true(out.len == 0 || memcmp(out.data, cases[i].out, out.len) == 0);
        vx_buf_done(&out);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        int64_t offset;
        const char *text; /* in the sentence */
    } cases[] = {
        {TEXT(""), 0, "cut off"},
        {TEXT("\x1f"), 1, "cut off"},
        {TEXT("hello"), 2, "incorrect header check"},
        {TEXT("\x78\x9c\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x08\x4b\x02\x1f"), 2,
         "incorrect header check"},                                              /* zlib's form */
        {TEXT("\xcb\x48\xcd\xc9\xc9\xe7\x02\x00"), 2, "incorrect header check"}, /* raw deflate */
        {TEXT("\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x03" BODY TRAILER), 4, "unknown compression method"},
        {TEXT("\x1f\x8b\x08\x20\x00\x00\x00\x00\x00\x03" BODY TRAILER), 4, "unknown header flags"},
        {TEXT("\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\x03\x00\x00" BODY TRAILER), 12, "header crc mismatch"},
        {TEXT(HEADER "\x07" TRAILER), 11, "invalid block type"},
        {TEXT(HEADER BODY "\x21\x30\x3a\x36\x06\x00\x00\x00"), 22, "incorrect data check"},
        {TEXT(HEADER BODY "\x20\x30\x3a\x36\x07\x00\x00\x00"), 26, "incorrect length check"},
        {TEXT(HELLO "\0"), 27, "cut off"},
        {TEXT(HELLO "\0\0\0\0"), 28, "followed by something else"},
        {TEXT(HELLO "more text"), 28, "followed by something else"},
        {TEXT(HELLO "\x1f\x8b"), 28, "cut off"},
        {TEXT(HELLO HEADER BODY), 44, "cut off"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_buf out = {0};
        vx_errinfo info = {0};
        assert_int_equal(vx_gzip_inflate(cases[i].in, cases[i].n, 100, &out, &info), VX_ERR_GZIP);
        if (info.code != VX_ERR_GZIP || info.offset != cases[i].offset || !strstr(info.text, cases[i].text))
            fail_msg("case %zu: '%s' at %lld", i, info.text, (long long)info.offset);
        assert_int_equal(out.len, 0);
        vx_buf_done(&out);
    }
}

/* A file that ends early is never taken for a shorter one. */
static void every_cut_is_seen(void **state)
{
    (void)state;
    uint8_t *data = make_data(3000, 7);
    vx_buf packed = {0}, out = {0};
    assert_int_equal(vx_gzip_deflate(data, 3000, 6, &packed), VX_OK);
    for (size_t n = 0; n < packed.len; n++) {
        uint8_t *exact = malloc(n + 1); /* so that ASan sees a byte read too far */
        vx_errinfo info = {0};
        assert_non_null(exact);
        memcpy(exact, packed.data, n);
        assert_int_equal(vx_gzip_inflate(exact, n, 3000, &out, &info), VX_ERR_GZIP);
        assert_int_equal(out.len, 0);
        assert_int_equal(info.offset, n);
        free(exact);
    }
    vx_buf_done(&packed);
    vx_buf_done(&out);
    free(data);
}

/* A flipped bit gives an error or, where the format leaves a choice (padding, one match or another), the same bytes. */
static void flips_are_seen(void **state)
{
    (void)state;
    enum { N = 3000, FIXED = 10 };
    uint8_t *data = make_data(N, 7);
    vx_buf packed = {0}, out = {0};
    int n_same = 0;
    assert_int_equal(vx_gzip_deflate(data, N, 6, &packed), VX_OK);
    for (int i = 0; i < 2000; i++) {
        size_t at = FIXED + random_below((uint32_t)(packed.len - FIXED));
        uint8_t bit = (uint8_t)(1u << random_below(8));
        packed.data[at] ^= bit;
        vx_err err = vx_gzip_inflate(packed.data, packed.len, 2 * N, &out, NULL);
        if (err == VX_OK)
            assert_true(out.len == N && memcmp(out.data, data, N) == 0 && n_same++ < 100);
        else
            assert_true((err == VX_ERR_GZIP || err == VX_ERR_RANGE) && out.len == 0);
        out.len = 0;
        packed.data[at] ^= bit;
    }
    vx_buf_done(&packed);
    vx_buf_done(&out);
    free(data);
}

/* 16 MiB of zeros in 16 KiB: refused as soon as the bound is passed, with no more memory than the bound. */
static void bombs_are_refused(void **state)
{
    (void)state;
    static const size_t bounds[] = {0, 1, 63, 64, 65, 4096, 100000, MIB};
    uint8_t *zeros = calloc(1, 16 * MIB);
    vx_buf bomb = {0};
    assert_non_null(zeros);
    assert_int_equal(vx_gzip_deflate(zeros, 16 * MIB, 9, &bomb), VX_OK);
    assert_true(bomb.len < 17 * 1024);
    for (size_t i = 0; i < COUNT(bounds); i++) {
        for (int lies = 0; lies < 2; lies++) { /* the trailer may claim less than there is */
            vx_buf out = {0}, copy = {0};
            vx_errinfo info = {0};
            assert_int_equal(vx_buf_append(&copy, bomb.data, bomb.len), VX_OK);
            if (lies)
                memcpy(copy.data + copy.len - 4, "\x01\x00\x00\x00", 4);
            assert_int_equal(vx_gzip_inflate(copy.data, copy.len, bounds[i], &out, &info), VX_ERR_RANGE);
            assert_non_null(strstr(info.text, "more than is allowed"));
            assert_true(out.cap <= bounds[i]);
            assert_int_equal(out.limit, 0);
            vx_buf_done(&out);
            vx_buf_done(&copy);
        }
    }
    vx_buf_done(&bomb);
    free(zeros);
}

/* 26 bytes that claim 4 GiB get no more than 26 bytes could ever become. */
static void a_claimed_length_reserves_little(void **state)
{
    (void)state;
    vx_buf out = {0};
    assert_int_equal(
        vx_gzip_inflate(HEADER BODY "\x20\x30\x3a\x36\xff\xff\xff\xff", sizeof HELLO - 1, SIZE_MAX, &out, NULL),
        VX_ERR_GZIP);
    assert_true(out.cap <= 26 * 1032);
    vx_buf_done(&out);
}

static void results_are_appended(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, "before ", 7), VX_OK);
    assert_int_equal(vx_gzip_inflate(TEXT(HELLO), 6, &buf, NULL), VX_OK);
    assert_int_equal(buf.len, 13);
    assert_memory_equal(buf.data, "before hello\n", 13);
    assert_int_equal(vx_gzip_deflate("x", 1, 1, &buf), VX_OK);
    assert_memory_equal(buf.data, "before hello\n\x1f\x8b", 15);
    vx_buf_done(&buf);
}

static void limits_of_the_buffer_hold(void **state)
{
    (void)state;
    vx_buf buf = {.limit = 10};
    assert_int_equal(vx_buf_append(&buf, "12345", 5), VX_OK);
    assert_int_equal(vx_gzip_inflate(TEXT(HELLO), 100, &buf, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_gzip_deflate("x", 1, 1, &buf), VX_ERR_OVERFLOW);
    assert_int_equal(buf.len, 5);
    assert_int_equal(buf.limit, 10);
    buf.limit = 11;
    assert_int_equal(vx_gzip_inflate(TEXT(HELLO), 100, &buf, NULL), VX_OK);
    assert_int_equal(buf.limit, 11);
    assert_memory_equal(buf.data, "12345hello\n", 11);
    vx_buf_done(&buf);
}

/* What came out before the fault may be a recording. */
static void failure_wipes(void **state)
{
    (void)state;
    static const char bad_check[] = HEADER BODY "\x21\x30\x3a\x36\x06\x00\x00\x00";
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, "kept", 4), VX_OK);
    memset(buf.data + 4, '#', buf.cap - 4);
    assert_int_equal(vx_gzip_inflate(bad_check, sizeof bad_check - 1, 100, &buf, NULL), VX_ERR_GZIP);
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    for (size_t i = 4; i < buf.cap; i++)
        assert_int_equal(buf.data[i], 0);
    vx_buf_done(&buf);
}

static void levels(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_gzip_deflate("x", 1, 0, &buf), VX_ERR_ARG);
    assert_int_equal(vx_gzip_deflate("x", 1, 10, &buf), VX_ERR_ARG);
    assert_int_equal(vx_gzip_deflate("x", 1, -1, &buf), VX_ERR_ARG);
    assert_null(buf.data);
    assert_int_equal(vx_gzip_deflate(NULL, 0, 9, &buf), VX_OK);
    assert_int_equal(vx_gzip_inflate(buf.data, buf.len, 0, &buf, NULL), VX_OK);
    vx_buf_done(&buf);
}

static vx_err inflate_once(void *ctx)
{
    const vx_buf *packed = ctx;
    vx_buf out = {0};
    vx_err err = vx_gzip_inflate(packed->data, packed->len, 3 * MIB, &out, NULL);
    assert_int_equal(out.len, err ? 0 : 300000);
    vx_buf_done(&out);
    return err;
}

static vx_err deflate_once(void *ctx)
{
    vx_buf out = {0};
    vx_err err = vx_gzip_deflate(ctx, 1000, 6, &out);
    assert_true(err ? out.len == 0 : out.len > 18);
    vx_buf_done(&out);
    return err;
}

static void memory_runs_out(void **state)
{
    (void)state;
    uint8_t *data = make_data(300000, 5);
    vx_buf packed = {0};
    assert_int_equal(vx_gzip_deflate(data, 300000, 6, &packed), VX_OK);
    /* A last member that is empty says 0, so that the buffer has to grow, and zlib to keep a window. */
    assert_int_equal(vx_gzip_deflate("", 0, 6, &packed), VX_OK);
    vx_alloc_fail_each(inflate_once, &packed);
    vx_alloc_fail_each(deflate_once, data);
    vx_buf_done(&packed);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(foreign_headers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(flips_are_seen),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(results_are_appended),
        cmocka_unit_test(a_claimed_length_reserves_little),
        cmocka_unit_test(failure_wipes),
        cmocka_unit_test(limits_of_the_buffer_hold),
        cmocka_unit_test(levels),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, seed_random, NULL);
}
