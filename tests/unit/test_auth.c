/* test_auth.c - the setting and its file, every refusal without an echo, and which headers get in. */
#include "cloud/auth.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ANNA_TOKEN   "anna-4f9c1e77ab20d3/+~._=="
/* SHA-256 of "abcdefghijklmnopqrstuvwxyz", from FIPS 180's usual vectors. */
#define ABC_TOKEN    "abcdefghijklmnopqrstuvwxyz"
#define ABC_DIGEST   "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73"
#define ONES         "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS         "2222222222222222222222222222222222222222222222222222222222222222"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    int fd;
    (void)snprintf(path, sizeof path, "/tmp/vx-test-auth-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static const char *at_path(void)
{
    static char setting[sizeof path + 1];
    (void)snprintf(setting, sizeof setting, "@%s", path);
    return setting;
}

static void expect_name(const vx_auth *auth, const char *header, const char *name)
{
    const char *got = NULL;
    assert_int_equal(vx_auth_check(auth, header, &got), VX_OK);
    assert_string_equal(got, name);
}

static void pair_of(const char *name, const char *token, char ret_pair[VX_AUTH_PAIR_CAP])
{
    assert_int_equal(vx_auth_pair(name, token, ret_pair, NULL), VX_OK);
}

static void pairs(void **state)
{
    (void)state;
    char pair[VX_AUTH_PAIR_CAP] = "untouched";
    static const struct {
        const char *name, *token;
        const char *text; /* in the sentence */
    } refused[] = {
        {"", ABC_TOKEN, "name"},
        {"two words", ABC_TOKEN, "name"},
        {"a:b", ABC_TOKEN, "name"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ABC_TOKEN, "name"},
        {"anna", "", "openssl rand -hex 32"},
        {"anna", "abcdefghijklmnopqrs", "shorter than 20"},
        {"anna", "abcdefghij klmnopqrstuvwxyz", "characters"},
        {"anna", "abcdefghij=klmnopqrstuvwxyz", "characters"},
        {"anna", "====================", "characters"},
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        vx_errinfo info = {0};
        assert_int_equal(vx_auth_pair(refused[i].name, refused[i].token, pair, &info), VX_ERR_ARG);
        assert_non_null(strstr(info.text, refused[i].text));
        assert_true(refused[i].token[0] == '\0' || !strstr(info.text, refused[i].token));
        assert_string_equal(pair, "untouched");
    }
    pair_of("abc", ABC_TOKEN, pair);
    assert_string_equal(pair, "abc:" ABC_DIGEST);
    pair_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcdefghijklmnopqrs=", pair);
    assert_int_equal(strlen(pair), 64 + 1 + 64);
}

static void headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        vx_err err;
        const char *name;
    } cases[] = {
        {"Bearer " ABC_TOKEN, VX_OK, "abc"},
        {"bearer " ABC_TOKEN, VX_OK, "abc"},
        {"BEARER   " ABC_TOKEN " \t", VX_OK, "abc"},
        {"Bearer " ANNA_TOKEN, VX_OK, "anna"},
        {NULL, VX_ERR_AUTH_MISSING, NULL},
        {"", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer ", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer =", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer" ABC_TOKEN, VX_ERR_AUTH_MISSING, NULL},
        {"Basic " ABC_TOKEN, VX_ERR_AUTH_MISSING, NULL},
        {ABC_TOKEN, VX_ERR_AUTH_MISSING, NULL},
        {"Bearer " ABC_TOKEN " " ABC_TOKEN, VX_ERR_AUTH_MISSING, NULL},
        {"Bearer " ABC_TOKEN ",", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer \"" ABC_TOKEN "\"", VX_ERR_AUTH_MISSING, NULL},
        {"Bearer abcdefghijklmnopqrstuvwxy", VX_ERR_AUTH_DENIED, NULL},
        {"Bearer " ABC_TOKEN "a", VX_ERR_AUTH_DENIED, NULL},
        {"Bearer " ABC_TOKEN "=", VX_ERR_AUTH_DENIED, NULL},
        {"Bearer Abcdefghijklmnopqrstuvwxyz", VX_ERR_AUTH_DENIED, NULL},
        {"Bearer a", VX_ERR_AUTH_DENIED, NULL},
        {"Bearer " ABC_DIGEST, VX_ERR_AUTH_DENIED, NULL}, /* the digest is no token */
    };
    char anna[VX_AUTH_PAIR_CAP], setting[4 * VX_AUTH_PAIR_CAP];
    vx_auth *auth = NULL;
    pair_of("anna", ANNA_TOKEN, anna);
    (void)snprintf(setting, sizeof setting, "ones:%s, %s ,abc:%s,twos:%s", ONES, anna, ABC_DIGEST, TWOS);
    assert_int_equal(vx_auth_create(setting, &auth, NULL), VX_OK);
    assert_true(vx_auth_is_on(auth));
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = NULL;
        vx_err err = vx_auth_check(auth, cases[i].header, &name);
        if (err != cases[i].err)
            fail_msg("'%s' gives %s", cases[i].header ? cases[i].header : "(none)", vx_err_code(err));
        assert_true(cases[i].name ? strcmp(name, cases[i].name) == 0 : name == NULL);
    }
    vx_auth_destroy(auth);
}

/* The first, the last and those between are all looked at. */
static void every_key_opens(void **state)
{
    (void)state;
    enum { N = 40 };
    char setting[N * VX_AUTH_PAIR_CAP] = "", pair[VX_AUTH_PAIR_CAP], token[64], name[16], header[80];
    vx_auth *auth = NULL;
    size_t len = 0;
    for (int i = 0; i < N; i++) {
        (void)snprintf(token, sizeof token, "the-token-of-number-%d", i);
        (void)snprintf(name, sizeof name, "n%d", i);
        pair_of(name, token, pair);
        len += (size_t)snprintf(setting + len, sizeof setting - len, "%s%s", i ? "," : "", pair);
    }
    assert_int_equal(vx_auth_create(setting, &auth, NULL), VX_OK);
    for (int i = 0; i < N; i++) {
        (void)snprintf(header, sizeof header, "Bearer the-token-of-number-%d", i);
        (void)snprintf(name, sizeof name, "n%d", i);
        expect_name(auth, header, name);
    }
    vx_auth_destroy(auth);
}

static void empty_is_off(void **state)
{
    (void)state;
    vx_auth *auth = NULL;
    assert_int_equal(vx_auth_create("", &auth, NULL), VX_OK);
    assert_false(vx_auth_is_on(auth));
    expect_name(auth, NULL, "");
    expect_name(auth, "Bearer whatever", "");
    vx_auth_destroy(auth);
    vx_auth_destroy(NULL);
}

/* The second half of each value is what may not be repeated in the error. */
static void bad_settings(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *text;   /* in the sentence */
        const char *secret; /* not in it */
    } cases[] = {
        {" ", "key 1 is not of the form name:digest", NULL},
        {",", "key 1 is not of the form name:digest", NULL},
        {"abc:" ABC_DIGEST ",", "key 2 is not of the form", NULL},
        {"hunter2", "key 1 is not of the form", "hunter2"},
        {ABC_DIGEST, "key 1 is not of the form", "71c480"},
        {":" ABC_DIGEST, "key 1 has a name", "71c480"},
        {"a b:" ABC_DIGEST, "key 1 has a name", "71c480"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:" ABC_DIGEST, "key 1 has a name", "aaa"},
        {"anna:hunter2", "key 1 has a digest that is not SHA-256", "hunter2"},
        {"anna:", "key 1 has a digest", NULL},
        {"anna:" ABC_DIGEST "0", "key 1 has a digest", "71c480"},
        {"anna:x1c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73", "key 1 has a digest", "93d6ae"},
        {"anna: " ABC_DIGEST, "key 1 has a digest", "71c480"},
        {"anna:" ABC_DIGEST ";bob:" ONES, "key 1 has a digest", "71c480"},
        {"anna:" ABC_DIGEST ",anna:" ONES, "key 2 has the name of an earlier one", "anna"},
        {"anna:" ABC_DIGEST ",bob:71C480DF93D6AE2F1EFAD1447C66C9525E316218CF51FC8D9ED832F2DAF18B73",
         "key 2 has the digest of an earlier one", "71C480"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_auth *auth = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_auth_create(cases[i].setting, &auth, &info), VX_ERR_OPTION_VALUE);
        assert_null(auth);
        if (!strstr(info.text, cases[i].text) || strncmp(info.text, "VOXLOCK_API_KEYS: ", 18) != 0)
            fail_msg("'%s' gives '%s'", cases[i].setting, info.text);
        assert_true(!cases[i].secret || !strstr(info.text, cases[i].secret));
    }
}

static void files(void **state)
{
    (void)state;
    static const char text[] = "# who may call\r\n\r\n  abc:" ABC_DIGEST " \r\n\n\tones:" ONES "\n";
    vx_auth *auth = NULL;
    static const mode_t good[] = {0600, 0400, 0640, 0440};
    for (size_t i = 0; i < COUNT(good); i++) {
        write_file(text, sizeof text - 1, 0600);
        assert_int_equal(chmod(path, good[i]), 0);
        assert_int_equal(vx_auth_create(at_path(), &auth, NULL), VX_OK);
        assert_true(vx_auth_is_on(auth));
        expect_name(auth, "Bearer " ABC_TOKEN, "abc");
        vx_auth_destroy(auth);
        assert_int_equal(chmod(path, 0600), 0);
    }
    static const mode_t bad[] = {0644, 0604, 0602, 0601, 0620, 0660, 0666};
    for (size_t i = 0; i < COUNT(bad); i++) {
        vx_errinfo info = {0};
        write_file(text, sizeof text - 1, bad[i]);
        assert_int_equal(vx_auth_create(at_path(), &auth, &info), VX_ERR_OPTION_VALUE);
        assert_non_null(strstr(info.text, "chmod 600"));
        assert_string_equal(info.path, path);
        assert_int_equal(chmod(path, 0600), 0);
    }
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        int line;
        const char *sentence;
    } cases[] = {
#define FILE_TEXT(literal) literal, sizeof(literal) - 1
        {FILE_TEXT(""), 0, "the file holds no key"},
        {FILE_TEXT("\n# anna:" ABC_DIGEST "\n"), 0, "the file holds no key"},
        {FILE_TEXT("abc:" ABC_DIGEST "\nhunter2\n"), 2, "this key is not of the form name:digest"},
        {FILE_TEXT("# x\n\nanna:hunter2"), 3, "this key has a digest"},
        {FILE_TEXT("abc:" ABC_DIGEST ",ones:" ONES), 1, "this key has a digest"},
        {FILE_TEXT("abc:" ABC_DIGEST "\nabc:" ONES), 2, "this key has the name of an earlier one"},
        {FILE_TEXT("ab\0:" ABC_DIGEST), 1, "this key has a name"},
        {FILE_TEXT("abc:\0" ABC_DIGEST), 1, "this key has a digest"},
        {FILE_TEXT("\0"), 1, "this key is not of the form name:digest"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_auth *auth = NULL;
        vx_errinfo info = {0};
        write_file(cases[i].text, cases[i].len, 0600);
        assert_int_equal(vx_auth_create(at_path(), &auth, &info), VX_ERR_OPTION_VALUE);
        if (!strstr(info.text, cases[i].sentence) || info.line != cases[i].line)
            fail_msg("case %zu: line %d: '%s'", i, info.line, info.text);
        assert_string_equal(info.path, path);
        assert_null(strstr(info.text, "hunter2"));
    }
    vx_auth *auth = NULL;
    vx_errinfo missing = {0}, folder = {0};
    assert_int_equal(vx_auth_create("@/nowhere/keys", &auth, &missing), VX_ERR_NOT_FOUND);
    assert_string_equal(missing.path, "/nowhere/keys");
    assert_int_equal(vx_auth_create("@/tmp", &auth, &folder), VX_ERR_OPTION_VALUE);
    assert_non_null(strstr(folder.text, "not a regular file"));
}

static void large_files_are_refused(void **state)
{
    (void)state;
    enum { N = 256 * 1024 + 1 };
    char *text = malloc(N);
    vx_auth *auth = NULL;
    assert_non_null(text);
    memset(text, '#', N);
    write_file(text, N, 0600);
    assert_int_equal(vx_auth_create(at_path(), &auth, NULL), VX_ERR_RANGE);
    free(text);
}

static void challenges(void **state)
{
    (void)state;
    assert_string_equal(vx_auth_challenge(VX_ERR_AUTH_MISSING), "Bearer realm=\"voxlock\"");
    assert_string_equal(vx_auth_challenge(VX_ERR_AUTH_DENIED), "Bearer realm=\"voxlock\", error=\"invalid_token\"");
    assert_null(vx_auth_challenge(VX_ERR_INTERNAL));
    assert_null(vx_auth_challenge(VX_OK));
}

static vx_err create_once(void *setting)
{
    vx_auth *auth = NULL;
    vx_err err = vx_auth_create(setting, &auth, NULL);
    assert_true((err == VX_OK) == (auth != NULL));
    vx_auth_destroy(auth);
    return err;
}

static void memory_runs_out(void **state)
{
    (void)state;
    char off[] = "", keys[] = "abc:" ABC_DIGEST ",ones:" ONES, file[sizeof path + 1];
    vx_alloc_fail_each(create_once, off);
    vx_alloc_fail_each(create_once, keys);
    write_file(keys, sizeof "abc:" ABC_DIGEST - 1, 0600);
    (void)snprintf(file, sizeof file, "%s", at_path());
    vx_alloc_fail_each(create_once, file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),           cmocka_unit_test(headers),      cmocka_unit_test(every_key_opens),
        cmocka_unit_test(empty_is_off),    cmocka_unit_test(bad_settings), cmocka_unit_test(files),
        cmocka_unit_test(bad_files),       cmocka_unit_test(challenges),   cmocka_unit_test(large_files_are_refused),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
