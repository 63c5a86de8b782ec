/* test_base64.c - RFC 4648 vectors, every kernel against the scalar code, places of errors, ends of memory. */
#include "shared/base/base64.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/cpu.h"
#include "tests/support/guard.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
/* A literal and its length, so that zero bytes can stand in it. */
#define TEXT(literal) literal, sizeof(literal) - 1
/* Three steps of the widest kernel and a little more. */
#define MAX_BYTES     (3 * 64 + 5)
#define UNTOUCHED     0x5a5a

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Each test runs over every kernel of this machine. */
#define FOR_EACH_IMPL(impl)                                                                                            \
    size_t n_impls_;                                                                                                   \
    for (const vx_base64_impl *impl = vx_base64_impls(&n_impls_), *end_ = impl + n_impls_; impl < end_; impl++)

static uint64_t random_state;

static uint8_t random_byte(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(random_state >> 56);
}

static int seed_random(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    random_state = seed;
    print_message("# seed %u\n", seed);
    return 0;
}

static void vectors(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {TEXT(""), ""},
        {TEXT("f"), "Zg=="},
        {TEXT("fo"), "Zm8="},
        {TEXT("foo"), "Zm9v"},
        {TEXT("foob"), "Zm9vYg=="},
        {TEXT("fooba"), "Zm9vYmE="},
        {TEXT("foobar"), "Zm9vYmFy"},
        {TEXT("\0"), "AA=="},
        {TEXT("\xff\xff\xff\xff"), "/////w=="},
        {TEXT("\xfb\xef\xbe"), "++++"},
        {TEXT("\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96\x9b\x71\xd7\x9f"
              "\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf"),
         alphabet},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[80];
        memset(text, '#', sizeof text);
        vx_base64_encode((const uint8_t *)cases[i].bytes, cases[i].n, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(strlen(text), vx_base64_encoded_len(cases[i].n));
        assert_int_equal(text[strlen(text) + 1], '#');

        uint8_t bytes[80];
        size_t len = UNTOUCHED, bad = UNTOUCHED;
        assert_int_equal(vx_base64_decode(text, strlen(text), bytes, &len, &bad), VX_OK);
        assert_int_equal(len, cases[i].n);
        assert_memory_equal(bytes, cases[i].bytes, len);
        assert_int_equal(bad, UNTOUCHED);
    }
}

static void faults_are_placed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n, bad;
    } cases[] = {
        {TEXT("A"), 1},        {TEXT("AA"), 2},    {TEXT("AAA"), 3},      {TEXT("AAAAA"), 5},      {TEXT("="), 0},
        {TEXT("===="), 0},     {TEXT("A==="), 1},  {TEXT("A=AA"), 1},     {TEXT("AA="), 3},        {TEXT("AA=A"), 3},
        {TEXT("AAA=="), 3},    {TEXT("AA==="), 2}, {TEXT("AA==AAAA"), 2}, {TEXT("AAA=AAAA"), 3},   {TEXT("AAAA="), 4},
        {TEXT("AAAA===="), 4}, {TEXT("AB=="), 1},  {TEXT("AI=="), 1},     {TEXT("AAC="), 2},       {TEXT("AAB="), 2},
        {TEXT("AAAAAP=="), 5}, {TEXT("AAA\n"), 3}, {TEXT("AAAA\n"), 4},   {TEXT(" AAA"), 0},       {TEXT("AA-_"), 2},
        {TEXT("AA\0="), 2},    {TEXT("AA*="), 2},  {TEXT("AA=*"), 3},     {TEXT("AAAAAA\x80"), 6},
    };
    FOR_EACH_IMPL(impl)
    {
        for (size_t i = 0; i < COUNT(cases); i++) {
            uint8_t bytes[16];
            size_t len = UNTOUCHED, bad = UNTOUCHED;
            vx_err err = vx_base64_decode_with(impl, cases[i].text, cases[i].n, bytes, &len, &bad);
            if (err != VX_ERR_BASE64 || bad != cases[i].bad || len != UNTOUCHED)
                fail_msg("%s, case %zu '%s': %s at %zu", impl->name, i, cases[i].text, vx_err_code(err), bad);
            assert_int_equal(vx_base64_decode_with(impl, cases[i].text, cases[i].n, bytes, &len, NULL), VX_ERR_BASE64);
        }
    }
}

/* Text and result each end where memory ends, and start at every alignment that the length gives. */
static void every_length_and_no_byte_too_far(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MAX_BYTES; n++) {
        uint8_t bytes[MAX_BYTES];
        char text[MAX_BYTES * 2];
        size_t n_text = vx_base64_encoded_len(n);
        for (size_t i = 0; i < n; i++)
            bytes[i] = random_byte();
        vx_base64_encode(bytes, n, text);
        guard in = guard_alloc(n_text), out = guard_alloc(vx_base64_decoded_cap(n_text));
        memcpy(in.data, text, n_text);
        FOR_EACH_IMPL(impl)
        {
            size_t len = UNTOUCHED;
            memset(out.data, 0xee, vx_base64_decoded_cap(n_text));
            vx_err err = vx_base64_decode_with(impl, in.data, n_text, out.data, &len, NULL);
            if (err != VX_OK || len != n || memcmp(out.data, bytes, n) != 0)
                fail_msg("%s: %zu bytes: %s, %zu decoded", impl->name, n, vx_err_code(err), len);
        }
        guard_free(&in);
        guard_free(&out);
    }
}

static void odd_places(void **state)
{
    (void)state;
    uint8_t bytes[MAX_BYTES], got[MAX_BYTES * 2];
    char text[MAX_BYTES * 2];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = random_byte();
    for (size_t at = 0; at < 64; at++) {
        vx_base64_encode(bytes, sizeof bytes, text + at);
        FOR_EACH_IMPL(impl)
        {
            size_t len = 0;
            assert_int_equal(
                vx_base64_decode_with(impl, text + at, vx_base64_encoded_len(sizeof bytes), got + 63 - at, &len, NULL),
                VX_OK);
            assert_int_equal(len, sizeof bytes);
            assert_memory_equal(got + 63 - at, bytes, len);
        }
    }
}

/* Each of the 256 byte values at each place of a text that fills whole vectors and leaves a rest. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    enum { N = 2 * 64 + 44 };
    char text[N];
    uint8_t got[N], want[N];
    size_t n_impls;
    const vx_base64_impl *scalar = vx_base64_impls(&n_impls) + n_impls - 1;

    for (size_t at = 0; at < N; at++) {
        for (size_t i = 0; i < N; i++)
            text[i] = alphabet[random_byte() & 63];
        for (int byte = 0; byte < 256; byte++) {
            size_t want_len = UNTOUCHED, want_bad = UNTOUCHED;
            bool good = byte != 0 && strchr(alphabet, byte) != NULL;
            text[at] = (char)byte;
            vx_err want_err = vx_base64_decode_with(scalar, text, N, want, &want_len, &want_bad);
            /* Padding at the very end is judged by the bits before it: faults_are_placed has those cases. */
            if (byte != '=' || at < N - 1) {
                assert_int_equal(want_err, good ? VX_OK : VX_ERR_BASE64);
                if (!good)
                    assert_int_equal(want_bad, byte == '=' && at == N - 2 ? N - 1 : at);
            }
            FOR_EACH_IMPL(impl)
            {
                size_t len = UNTOUCHED, bad = UNTOUCHED;
                vx_err err = vx_base64_decode_with(impl, text, N, got, &len, &bad);
                if (err != want_err || len != want_len || bad != want_bad ||
                    (err == VX_OK && memcmp(got, want, len) != 0))
                    fail_msg("%s: byte 0x%02x at %zu: %s at %zu", impl->name, (unsigned)byte, at, vx_err_code(err),
                             bad);
            }
        }
    }
}

/* The bare kernel: whole groups only, none past the first fault, and most of a good text. */
static void kernels_keep_their_contract(void **state)
{
    (void)state;
    enum { N = 4 * 64 };
    char text[N];
    uint8_t got[N];

    FOR_EACH_IMPL(impl)
    {
        for (size_t i = 0; i < N; i++)
            text[i] = alphabet[i & 63];
        assert_int_equal(impl->decode(text, 0, got), 0);
        assert_true(impl->decode(text, N, got) >= N - 64);
        for (size_t at = 0; at < N; at++) {
            text[at] = '=';
            size_t used = impl->decode(text, N, got);
            assert_true(used % 4 == 0 && used <= at / 4 * 4 && used + 64 + 4 > at);
            text[at] = alphabet[at & 63];
        }
    }
}

static void the_list_fits_the_machine(void **state)
{
    (void)state;
    size_t count = 0, at = 0;
    const vx_base64_impl *impls = vx_base64_impls(&count);

    for (size_t i = 0; i < count; i++)
        print_message("# kernel %s\n", impls[i].name);
    if (vx_isa_available(VX_ISA_AVX512) && vx_cpu_has_avx512vbmi())
        assert_string_equal(impls[at++].name, "avx512vbmi");
    if (vx_isa_available(VX_ISA_AVX2))
        assert_string_equal(impls[at++].name, "avx2");
    if (vx_isa_available(VX_ISA_NEON))
        assert_string_equal(impls[at++].name, "neon");
    assert_string_equal(impls[at++].name, "scalar");
    assert_int_equal(count, at);
    assert_ptr_equal(vx_base64_impls(&count), impls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(faults_are_placed),
        cmocka_unit_test(every_length_and_no_byte_too_far),
        cmocka_unit_test(odd_places),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(kernels_keep_their_contract),
        cmocka_unit_test(the_list_fits_the_machine),
    };
    return cmocka_run_group_tests_name("base64", tests, seed_random, NULL);
}
