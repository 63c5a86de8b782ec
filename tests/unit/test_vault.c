/* test_vault.c - what is sealed opens with the same key at the same place, and in no other way. */
#include "edge/store/vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

static const char place[] = "sample/17/audio";

static vx_vault *vault_of(uint8_t seed)
{
    uint8_t key[VX_KEY_BYTES];
    vx_vault *vault = NULL;
    memset(key, seed, sizeof key);
    assert_int_equal(vx_vault_create(key, &vault), VX_OK);
    return vault;
}

static vx_buf seal(const vx_vault *vault, const char *at, const void *plain, size_t len)
{
    vx_buf sealed = {0};
    assert_int_equal(vx_vault_seal(vault, at, plain, len, &sealed), VX_OK);
    return sealed;
}

/* Bytes behind the length of a buffer that are not zero. */
static size_t left_behind(const vx_buf *buf)
{
    size_t n = 0;
    for (size_t i = buf->len; i < buf->cap; i++)
        n += buf->data[i] != 0;
    return n;
}

static void gives_back_what_was_sealed(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, 17, 799, 65536, 1 << 20};
    vx_vault *vault = vault_of(1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        uint8_t *plain = malloc(n + 1);
        assert_non_null(plain);
        for (size_t b = 0; b < n; b++)
            plain[b] = (uint8_t)(b * 7 + i);
        vx_buf sealed = seal(vault, place, plain, n), opened = {0};
        assert_int_equal(sealed.len, n + VX_SEAL_OVERHEAD);
        assert_int_equal(vx_vault_open(vault, place, sealed.data, sealed.len, &opened, NULL), VX_OK);
        assert_int_equal(opened.len, n);
        assert_memory_equal(opened.data, plain, n);
        vx_buf_done(&sealed);
        vx_buf_wipe_done(&opened);
        free(plain);
    }
    vx_vault_destroy(vault);
    vx_vault_destroy(NULL);
}

/* Both results are appended, and what was there stays. */
static void appends(void **state)
{
    (void)state;
    vx_vault *vault = vault_of(1);
    vx_buf sealed = {0}, opened = {0};
    assert_int_equal(vx_buf_append(&sealed, "ab", 2), VX_OK);
    assert_int_equal(vx_buf_append(&opened, "cd", 2), VX_OK);
    assert_int_equal(vx_vault_seal(vault, place, "xyz", 3, &sealed), VX_OK);
    assert_int_equal(sealed.len, 2 + 3 + VX_SEAL_OVERHEAD);
    assert_memory_equal(sealed.data, "abVX\1", 5);
    assert_int_equal(vx_vault_open(vault, place, sealed.data + 2, sealed.len - 2, &opened, NULL), VX_OK);
    assert_int_equal(opened.len, 5);
    assert_memory_equal(opened.data, "cdxyz", 5);
    vx_buf_done(&sealed);
    vx_buf_done(&opened);
    vx_vault_destroy(vault);
}

/* Computed by Python's cryptography package: HKDF-SHA-256 without salt, AES-256-GCM, HMAC-SHA-256. */
static void agrees_with_another_implementation(void **state)
{
    (void)state;
    static const char sealed_hex[] =
        "565801a0a1a2a3a4a5a6a7a8a9aaabc0fbe47df738af606005a8b179f4ecbc14632db41af2d7fff9c891f0";
    static const char mac_hex[] = "11ba300cf9f00c8831521b6ffe79d93a6fee8fcd19995f811143c8ed6c750df0";
    uint8_t key[VX_KEY_BYTES], sealed[sizeof sealed_hex / 2], mac[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX];
    vx_vault *vault = NULL;
    vx_buf opened = {0};
    for (int i = 0; i < VX_KEY_BYTES; i++)
        key[i] = (uint8_t)i;
    assert_int_equal(vx_vault_create(key, &vault), VX_OK);
    assert_true(vx_unhex(sealed_hex, sizeof sealed, sealed));
    assert_int_equal(vx_vault_open(vault, "value/greeting", sealed, sizeof sealed, &opened, NULL), VX_OK);
    assert_int_equal(opened.len, 12);
    assert_memory_equal(opened.data, "hello, vault", 12);
    assert_int_equal(vx_vault_mac(vault, "abc", 3, mac), VX_OK);
    vx_hex(mac, sizeof mac, hex);
    assert_string_equal(hex, mac_hex);
    vx_buf_done(&opened);
    vx_vault_destroy(vault);
}

static void never_seals_alike_twice(void **state)
{
    (void)state;
    vx_vault *vault = vault_of(1);
    vx_buf a = seal(vault, place, "same", 4), b = seal(vault, place, "same", 4);
    assert_memory_not_equal(a.data + 3, b.data + 3, 12); /* nonces */
    assert_memory_not_equal(a.data + 15, b.data + 15, 4);
    vx_buf_done(&a);
    vx_buf_done(&b);
    vx_vault_destroy(vault);
}

static void expect_refused(const vx_vault *vault, const char *at, const uint8_t *sealed, size_t len)
{
    vx_buf opened = {0};
    vx_errinfo info = {0};
    assert_int_equal(vx_buf_append(&opened, "before", 6), VX_OK);
    assert_int_equal(vx_vault_open(vault, at, sealed, len, &opened, &info), VX_ERR_STORE_CORRUPT);
    assert_int_equal(info.code, VX_ERR_STORE_CORRUPT);
    assert_non_null(strstr(info.text, at));
    assert_int_equal(opened.len, 6);
    vx_buf_done(&opened);
}

static void another_key_or_place_does_not_open(void **state)
{
    (void)state;
    static const char *const others[] = {"", "sample/18/audio", "sample/17/audi", "sample/17/audio ",
                                         "Sample/17/audio"};
    vx_vault *vault = vault_of(1), *other = vault_of(2);
    vx_buf sealed = seal(vault, place, "hello", 5);
    expect_refused(other, place, sealed.data, sealed.len);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect_refused(vault, others[i], sealed.data, sealed.len);
    vx_buf_done(&sealed);
    vx_vault_destroy(vault);
    vx_vault_destroy(other);
}

static void every_cut_and_every_turned_bit_is_refused(void **state)
{
    (void)state;
    vx_vault *vault = vault_of(1);
    vx_buf sealed = seal(vault, place, "hello, world", 12);
    for (size_t n = 0; n < sealed.len; n++)
        expect_refused(vault, place, sealed.data, n);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_refused(vault, place, sealed.data, sealed.len);
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(vx_buf_append(&sealed, "", 1), VX_OK);
    expect_refused(vault, place, sealed.data, sealed.len);
    vx_buf_done(&sealed);
    vx_vault_destroy(vault);
}

/* With only the tag wrong, decryption gives the very text before the tag is compared. */
static void a_refused_text_is_wiped(void **state)
{
    (void)state;
    char text[500];
    vx_vault *vault = vault_of(1);
    memset(text, 'x', sizeof text);
    vx_buf sealed = seal(vault, place, text, sizeof text), opened = {0};
    assert_int_equal(vx_buf_reserve(&opened, sizeof text), VX_OK);
    memset(opened.data, 0, opened.cap);
    sealed.data[sealed.len - 1] ^= 1;
    assert_int_equal(vx_vault_open(vault, place, sealed.data, sealed.len, &opened, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(opened.len, 0);
    assert_int_equal(left_behind(&opened), 0);
    vx_buf_done(&opened);
    vx_buf_done(&sealed);
    vx_vault_destroy(vault);
}

static void macs_depend_on_key_and_data(void **state)
{
    (void)state;
    vx_vault *vault = vault_of(1), *other = vault_of(2);
    uint8_t mac[VX_SHA256_BYTES], again[VX_SHA256_BYTES];
    assert_int_equal(vx_vault_mac(vault, "entry", 5, mac), VX_OK);
    assert_int_equal(vx_vault_mac(vault, "entry", 5, again), VX_OK);
    assert_memory_equal(mac, again, sizeof mac);
    assert_int_equal(vx_vault_mac(vault, "Entry", 5, again), VX_OK);
    assert_memory_not_equal(mac, again, sizeof mac);
    assert_int_equal(vx_vault_mac(other, "entry", 5, again), VX_OK);
    assert_memory_not_equal(mac, again, sizeof mac);
    vx_vault_destroy(vault);
    vx_vault_destroy(other);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static vx_err round_trip(void *ctx)
{
    (void)ctx;
    static const uint8_t key[VX_KEY_BYTES] = {1};
    vx_vault *vault = NULL;
    vx_buf sealed = {0}, opened = {0};
    vx_err err = vx_vault_create(key, &vault);
    if (err == VX_OK)
        err = vx_vault_seal(vault, place, "hello", 5, &sealed);
    if (err == VX_OK)
        err = vx_vault_open(vault, place, sealed.data, sealed.len, &opened, NULL);
    vx_buf_done(&sealed);
    vx_buf_wipe_done(&opened);
    vx_vault_destroy(vault);
    return err;
}

static void survives_want_of_memory(void **state)
{
    (void)state;
    vx_alloc_fail_each(round_trip, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_sealed),
        cmocka_unit_test(appends),
        cmocka_unit_test(agrees_with_another_implementation),
        cmocka_unit_test(never_seals_alike_twice),
        cmocka_unit_test(another_key_or_place_does_not_open),
        cmocka_unit_test(every_cut_and_every_turned_bit_is_refused),
        cmocka_unit_test(a_refused_text_is_wiped),
        cmocka_unit_test(macs_depend_on_key_and_data),
        cmocka_unit_test(survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
