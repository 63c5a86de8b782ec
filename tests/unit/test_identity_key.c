/* test_identity_key.c - key files, assertions, tokens and answers, right and wrong in every way. */
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/route/identity_private.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/token_endpoint.h"

/* ---- key files -------------------------------------------------------------------------------------------------- */

/* A private key as PEM. curve NULL: RSA of so many bits. Freed by the caller. */
static char *make_pem(int bits, const char *curve, const char *passphrase)
{
    EVP_PKEY *key =
        curve ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve) : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    assert_true(key && bio);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                                   passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    const long len = BIO_get_mem_data(bio, &pem);
    char *copy = strndup(pem, (size_t)len);
    assert_non_null(copy);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return copy;
}

/* The good key file with one field changed (value NULL: left out), as text. Freed by the caller. */
static char *changed(const token_endpoint *google, const char *field, json_t *value)
{
    char *good = token_endpoint_key_json(google);
    json_t *root = json_loads(good, 0, NULL);
    if (value)
        assert_int_equal(json_object_set_new(root, field, value), 0);
    else
        assert_int_equal(json_object_del(root, field), 0);
    char *text = json_dumps(root, 0);
    assert_non_null(text);
    json_decref(root);
    free(good);
    return text;
}

static void expect_no_key(const char *text, size_t len, const char *part)
{
    vx_service_key key = {.email = "untouched"};
    vx_errinfo info = {0};
    const vx_err err = vx_service_key_parse(text, len, &key, &info);
    if (err != VX_ERR_TOKEN || info.code != VX_ERR_TOKEN || !strstr(info.text, part))
        fail_msg("%s, '%s', where '%s' was expected", vx_err_code(err), info.text, part);
    assert_null(strstr(info.text, "MII")); /* how every private key begins */
    assert_string_equal(key.email, "untouched");
}

static void a_key_file_without_a_usable_key_is_refused(void **state)
{
    const token_endpoint *google = *state;
    static const struct {
        const char *field, *value; /* value NULL: left out */
        const char *part;
    } cases[] = {
        {"type", NULL, "field 'type' is required"},
        {"type", "authorized_user", "another kind of key"},
        {"client_email", NULL, "field 'client_email' is required"},
        {"client_email", "", "field 'client_email' is empty"},
        {"token_uri", NULL, "field 'token_uri' is required"},
        {"token_uri", "oauth2.googleapis.com/token", "must start with https"},
        {"token_uri", "http://oauth2.googleapis.com/token", "must start with https"},
        {"token_uri", "http://127.0.0.1.example.com/token", "must start with https"},
        {"token_uri", "file:///etc/passwd", "must start with https"},
        {"token_uri", "https://user:word@oauth2.googleapis.com/token", "may not hold a user"},
        {"private_key", NULL, "field 'private_key' is required"},
        {"private_key", "", "no private key in PEM form"},
        {"private_key", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "no private key in PEM form"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = changed(google, cases[i].field, cases[i].value ? json_string(cases[i].value) : NULL);
        expect_no_key(text, strlen(text), cases[i].part);
        free(text);
    }
    static const struct {
        int bits;
        const char *curve, *passphrase, *part;
    } keys[] = {
        {1024, NULL, NULL, "no RSA key of 2048 bits"},
        {0, "P-256", NULL, "no RSA key of 2048 bits"},
        {2048, NULL, "passphrase", "no private key in PEM form"}, /* and nobody is asked for it */
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *pem = make_pem(keys[i].bits, keys[i].curve, keys[i].passphrase);
        char *text = changed(google, "private_key", json_string(pem));
        expect_no_key(text, strlen(text), keys[i].part);
        free(text);
        free(pem);
    }
}

static void what_is_no_key_file_at_all_is_refused(void **state)
{
    const token_endpoint *google = *state;
    char *good = token_endpoint_key_json(google);
    char *huge = calloc(1, 17000);
    assert_non_null(huge);
    memset(huge, ' ', 16999);
    expect_no_key("", 0, "");
    expect_no_key("[]", 2, "object");
    expect_no_key("{", 1, "");
    expect_no_key("-----BEGIN PRIVATE KEY-----", 27, "");
    expect_no_key(huge, 16999, "longer than 16384 bytes");
    expect_no_key(good, strlen(good) - 2, "");
    char *number = changed(google, "private_key", json_integer(7));
    expect_no_key(number, strlen(number), "private_key");
    free(number);
    free(huge);
    free(good);
}

static void a_key_that_others_may_read_is_not_used(void **state)
{
    const token_endpoint *google = *state;
    static const struct {
        mode_t mode;
        vx_err code;
    } cases[] = {{0600, VX_OK},
                 {0400, VX_OK},
                 {0640, VX_ERR_PERMISSION},
                 {0604, VX_ERR_PERMISSION},
                 {0620, VX_ERR_PERMISSION},
                 {0644, VX_ERR_PERMISSION}};
    char path[] = "/tmp/voxlock-key-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    token_endpoint_write_key(google, path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_service_key key = {0};
        vx_errinfo info = {0};
        assert_int_equal(chmod(path, cases[i].mode), 0);
        assert_int_equal(vx_service_key_read(path, &key, &info), cases[i].code);
        assert_string_equal(info.path, cases[i].code ? path : "");
        vx_service_key_done(&key);
    }
    unlink(path);
    vx_service_key key;
    assert_int_equal(vx_service_key_read(path, &key, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_service_key_read("/tmp", &key, NULL), VX_ERR_IO);
}

static vx_err parse_and_sign(void *arg)
{
    vx_service_key key = {0};
    vx_buf jwt = {0};
    vx_err err = vx_service_key_parse(arg, strlen(arg), &key, NULL);
    if (err == VX_OK)
        err = vx_service_key_sign(&key, TOKEN_AUDIENCE, 1700000000, &jwt);
    assert_true(err == VX_OK || jwt.len == 0);
    vx_service_key_done(&key);
    vx_buf_wipe_done(&jwt);
    return err;
}

static vx_err take_answer(void *arg)
{
    vx_buf token = {0};
    const vx_err err = vx_token_from_answer(arg, strlen(arg), &token, NULL);
    vx_buf_wipe_done(&token);
    return err;
}

static void memory_that_runs_out_is_told(void **state)
{
    char *good = token_endpoint_key_json(*state);
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(parse_and_sign, good);
    vx_alloc_fail_each(take_answer, "{\"id_token\": \"a.b.c\"}");
    json_set_alloc_funcs(malloc, free);
    free(good);
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static void base64url_is_rfc_4648s(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } cases[] = {{"", ""},           {"f", "Zg"},        {"fo", "Zm8"},
                 {"foo", "Zm9v"},    {"foob", "Zm9vYg"}, {"\xfb\xff\xbf", "-_-_"},
                 {"\xff\xff", "__8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_buf coded = {0}, plain = {0};
        assert_int_equal(vx_base64url_encode(cases[i].plain, strlen(cases[i].plain), &coded), VX_OK);
        assert_int_equal(coded.len, strlen(cases[i].coded));
        assert_memory_equal(coded.data, cases[i].coded, coded.len);
        assert_int_equal(vx_base64url_decode(cases[i].coded, coded.len, &plain), VX_OK);
        assert_int_equal(plain.len, strlen(cases[i].plain));
        if (plain.len)
            assert_memory_equal(plain.data, cases[i].plain, plain.len);
        vx_buf_done(&coded);
        vx_buf_done(&plain);
    }
    static const char *const bad[] = {"Zg==", "+w", "/w", "Zh", "Z", "Zm 9", "Zm9v\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vx_buf plain = {0};
        assert_int_equal(vx_base64url_decode(bad[i], strlen(bad[i]), &plain), VX_ERR_BASE64);
        assert_int_equal(plain.len, 0);
        vx_buf_done(&plain);
    }
}

/* A token with these claims; freed by the caller. */
static char *token_of(const char *claims)
{
    vx_buf text = {0};
    assert_int_equal(vx_buf_append(&text, "eyJhbGciOiJSUzI1NiJ9.", 21), VX_OK);
    assert_int_equal(vx_base64url_encode(claims, strlen(claims), &text), VX_OK);
    assert_int_equal(vx_buf_append(&text, ".c2ln", 6), VX_OK);
    return (char *)text.data;
}

static void the_expiry_is_read_from_the_token_where_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        int64_t expiry_s; /* -1: there is none to be read */
    } cases[] = {
        {"{\"exp\":1700003600}", 1700003600},
        {"{\"iss\":\"https://accounts.google.com\",\"exp\":0,\"aud\":\"x\"}", 0},
        {"{}", -1},
        {"{\"exp\":-1}", -1},
        {"{\"exp\":\"1700003600\"}", -1},
        {"{\"exp\":1e300}", -1},
        {"{\"exp\":9223372036854775807}", -1},
        {"{\"exp\":99999999999999999999}", -1},
        {"[1700003600]", -1},
        {"no JSON", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t expiry_s = -1;
        char *token = token_of(cases[i].claims);
        assert_int_equal(vx_token_expiry(token, strlen(token), &expiry_s), cases[i].expiry_s >= 0);
        assert_int_equal(expiry_s, cases[i].expiry_s);
        free(token);
    }
    static const char *const none[] = {"", ".", "..", "opaque", "a.b", "a.!!.c", "a.eyJleHAiOjF9"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        int64_t expiry_s = 77;
        assert_false(vx_token_expiry(none[i], strlen(none[i]), &expiry_s));
        assert_int_equal(expiry_s, 77);
    }
}

static void only_what_fits_a_header_is_a_token(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {{"a", true},      {"aZ09-._~+/", true}, {"ab==", true}, {"eyJ.eyJ.c2ln", true}, {"", false},
                 {"=", false},     {"a=b", false},       {"a b", false}, {"a\n", false},         {"a\r\nX: 1", false},
                 {"\"a\"", false}, {"a\xc3\xa4", false}, {"a,b", false}, {" a", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (vx_token_well_formed(cases[i].text, strlen(cases[i].text)) != cases[i].good)
            fail_msg("'%s'", cases[i].text);
    assert_false(vx_token_well_formed("a\0b", 3));
    char longest[VX_TOKEN_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_true(vx_token_well_formed(longest, VX_TOKEN_MAX));
    assert_false(vx_token_well_formed(longest, VX_TOKEN_MAX + 1));
}

static void what_others_say_is_tamed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"\n  ERROR: no account\nmore", "ERROR: no account"},
        {"one\r\ntwo", "one"},
        {"red \x1b[31m", "red ?[31m"},
        {"caf\xc3\xa9", "caf??"},
        {"see eyJhbGciOiJSUzI1NiJ9", ""},
        {"Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
        {"The secret is on the next line\neyJhbGciOiJSUzI1NiJ9", "The secret is on the next line"},
        {"a sentence of more words than an error has room for, which is why its end is cut off: here, no, here, no",
         "a sentence of more words than an error has room for, which is why its end is cut off: here, no,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char shown[VX_IDENTITY_SHOWN_CAP];
        vx_identity_shown(cases[i].text, strlen(cases[i].text), shown);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void a_refusal_is_shown_as_code_and_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"{\"error\":\"invalid_grant\",\"error_description\":\"Bad\"}", "invalid_grant: Bad"},
        {"{\"error\":\"invalid_grant\"}", "invalid_grant"},
        {"{\"error\":{\"code\":400}}", ""},
        {"{\"error\":\"x\",\"error_description\":[]}", "x"},
        {"{\"error_description\":\"Bad\"}", ""},
        {"{\"error\":\"eyJhbGciOiJSUzI1NiJ9\"}", ""},
        {"<html>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[VX_IDENTITY_SHOWN_CAP];
        vx_token_refusal(cases[i].json, strlen(cases[i].json), why);
        assert_string_equal(why, cases[i].why);
    }
}

static int set_up(void **state)
{
    *state = token_endpoint_start();
    return 0;
}

static int tear_down(void **state)
{
    token_endpoint_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_without_a_usable_key_is_refused),
        cmocka_unit_test(what_is_no_key_file_at_all_is_refused),
        cmocka_unit_test(a_key_that_others_may_read_is_not_used),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(base64url_is_rfc_4648s),
        cmocka_unit_test(the_expiry_is_read_from_the_token_where_it_stands),
        cmocka_unit_test(only_what_fits_a_header_is_a_token),
        cmocka_unit_test(what_others_say_is_tamed),
        cmocka_unit_test(a_refusal_is_shown_as_code_and_sentence),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
