/* test_sha256.c - known answers (FIPS 180-4 examples), and that pieces give what one call gives. */
#include "shared/base/sha256.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "tests/support/alloc_fail.h"

static const struct {
    const char *text;
    size_t repeat;
    const char *digest;
} cases[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vx_buf data = {0};
        vx_sha256 *hash = NULL;
        assert_int_equal(vx_sha256_create(&hash), VX_OK);
        for (size_t k = 0; k < cases[i].repeat; k++) {
            assert_int_equal(vx_buf_append(&data, cases[i].text, strlen(cases[i].text)), VX_OK);
            assert_int_equal(vx_sha256_update(hash, cases[i].text, strlen(cases[i].text)), VX_OK);
        }
        uint8_t digest[VX_SHA256_BYTES];
        char hex[VX_SHA256_HEX];
        assert_int_equal(vx_sha256_of(data.data, data.len, digest), VX_OK);
        vx_hex(digest, sizeof digest, hex);
        assert_string_equal(hex, cases[i].digest);
        assert_int_equal(vx_sha256_final(hash, digest), VX_OK);
        vx_hex(digest, sizeof digest, hex);
        assert_string_equal(hex, cases[i].digest);
        vx_sha256_destroy(hash);
        vx_buf_done(&data);
    }
}

/* Two hashes side by side, cut at every position around the 64-byte block. */
static void pieces_equal_the_whole(void **state)
{
    (void)state;
    uint8_t data[150], whole[VX_SHA256_BYTES], other[VX_SHA256_BYTES], got[VX_SHA256_BYTES];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    assert_int_equal(vx_sha256_of(data, sizeof data, whole), VX_OK);
    assert_int_equal(vx_sha256_of(data, 10, other), VX_OK);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        vx_sha256 *a = NULL, *b = NULL;
        assert_int_equal(vx_sha256_create(&a), VX_OK);
        assert_int_equal(vx_sha256_create(&b), VX_OK);
        assert_int_equal(vx_sha256_update(a, data, cut), VX_OK);
        assert_int_equal(vx_sha256_update(b, data, 10), VX_OK);
        assert_int_equal(vx_sha256_update(a, data + cut, sizeof data - cut), VX_OK);
        assert_int_equal(vx_sha256_final(a, got), VX_OK);
        assert_memory_equal(got, whole, sizeof got);
        assert_int_equal(vx_sha256_final(b, got), VX_OK);
        assert_memory_equal(got, other, sizeof got);
        vx_sha256_destroy(a);
        vx_sha256_destroy(b);
    }
    vx_sha256_destroy(NULL);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_sha256 *const untouched = (vx_sha256 *)&untouched;
    vx_sha256 *hash = untouched;
    vx_err err = vx_sha256_create(&hash);
    if (err == VX_OK)
        vx_sha256_destroy(hash);
    else
        assert_ptr_equal(hash, untouched);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
