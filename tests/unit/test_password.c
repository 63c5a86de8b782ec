/* test_password.c - the login password in a keyring that misbehaves. A real Secret Service is test_secret_service.c's. */
#include "edge/store/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/cmd.h"
#include "edge/store/keyring_private.h"
#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef enum { WORKS, LOCKED, ABSENT, PUT_IS_REFUSED, FORGETS, GARBLES, CUTS } manner;

/* The functions of a backend have no context. */
static struct {
    manner manner;
    char kept[VX_KEYRING_TEXT_CAP]; /* "": nothing */
    char last_id[VX_KEY_ID_CAP];
} fake;

static vx_err answer(const char *id, char *ret_why)
{
    snprintf(fake.last_id, sizeof fake.last_id, "%s", id);
    if (fake.manner == LOCKED)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "it is locked"), VX_ERR_STORE_KEY;
    if (fake.manner == ABSENT)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "nobody answers the bus"), VX_ERR_UNSUPPORTED;
    return VX_OK;
}

static vx_err fake_get(const char *id, char *ret_secret, char *ret_why)
{
    vx_err err = answer(id, ret_why);
    if (err == VX_OK && (fake.kept[0] == '\0' || fake.manner == FORGETS))
        err = VX_ERR_NOT_FOUND;
    if (err == VX_OK)
        snprintf(ret_secret, VX_KEYRING_TEXT_CAP, "%s", fake.kept);
    if (err == VX_OK && fake.manner == GARBLES)
        ret_secret[0] ^= 1;
    if (err == VX_OK && fake.manner == CUTS)
        ret_secret[strlen(ret_secret) - 1] = '\0';
    return err;
}

static vx_err fake_put(const char *id, const char *secret, char *ret_why)
{
    vx_err err = answer(id, ret_why);
    if (err == VX_OK && fake.manner == PUT_IS_REFUSED)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "it is read-only"), VX_ERR_STORE_KEY;
    if (err == VX_OK)
        snprintf(fake.kept, sizeof fake.kept, "%s", secret);
    return err;
}

static vx_err fake_drop(const char *id, char *ret_why)
{
    vx_err err = answer(id, ret_why);
    if (err == VX_OK && fake.kept[0] == '\0')
        return VX_ERR_NOT_FOUND;
    if (err == VX_OK)
        fake.kept[0] = '\0';
    return err;
}

static const vx_keyring_backend backend = {
    .abi = VX_KEYRING_ABI, .name = "Test Keyring", .get = fake_get, .put = fake_put, .drop = fake_drop};
static const vx_keyring_system ring = {.backend = &backend, .wait_ms = 2000};
static const vx_keyring_system no_ring = {.wait_ms = 2000, .why = "this build has none"};

static int prepare(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    return 0;
}

static void is_kept_replaced_and_forgotten(void **state)
{
    (void)state;
    char longest[VX_KEYRING_TEXT_CAP];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const passwords[] = {"x", "pass word", "p\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", longest};
    for (size_t i = 0; i < COUNT(passwords); i++) {
        vx_buf got = {0};
        assert_int_equal(vx_buf_append(&got, "before:", 7), VX_OK);
        assert_int_equal(vx_password_put_in(&ring, passwords[i], NULL), VX_OK);
        assert_string_equal(fake.last_id, VX_KEYRING_PASSWORD_ID);
        assert_int_equal(vx_password_get_in(&ring, &got, NULL), VX_OK);
        assert_int_equal(got.len, 7 + strlen(passwords[i]));
        assert_string_equal((const char *)got.data + 7, passwords[i]);
        vx_buf_wipe_done(&got);
    }
    vx_buf got = {0};
    vx_errinfo info = {0};
    assert_int_equal(vx_password_forget_in(&ring, NULL), VX_OK);
    assert_int_equal(vx_password_forget_in(&ring, NULL), VX_OK);
    assert_int_equal(vx_password_get_in(&ring, &got, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "Test Keyring keeps no login password"));
    assert_null(got.data);
}

static void what_cannot_be_typed_is_not_kept(void **state)
{
    (void)state;
    char too_long[VX_KEYRING_TEXT_CAP + 1];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const char *const passwords[] = {"",      "a\n",      "\ra",  "a\tb",     "\x1b",
                                     "a\x7f", "\xc2\x85", "\xff", "\xe2\x82", too_long};
    for (size_t i = 0; i < COUNT(passwords); i++) {
        vx_errinfo info = {0};
        assert_int_equal(vx_password_put_in(&ring, passwords[i], &info), VX_ERR_RANGE);
        assert_null(strstr(info.text, i == 0 ? "\x01" : passwords[i]));
        assert_string_equal(fake.last_id, ""); /* the keyring was not even asked */
    }
}

static void a_keyring_that_does_not_keep_is_told(void **state)
{
    (void)state;
    static const struct {
        const vx_keyring_system *system;
        manner manner;
        vx_err put, get, forget; /* get, forget: of one that was kept before */
        const char *says;
    } cases[] = {
        {&ring, LOCKED, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, "Test Keyring: it is locked"},
        {&ring, ABSENT, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, "nobody answers"},
        {&ring, PUT_IS_REFUSED, VX_ERR_STORE_KEY, VX_OK, VX_OK, "read-only"},
        {&ring, FORGETS, VX_ERR_STORE_KEY, VX_ERR_NOT_FOUND, VX_OK, "does not give back"},
        {&ring, GARBLES, VX_ERR_STORE_KEY, VX_OK, VX_OK, "does not give back"},
        {&ring, CUTS, VX_ERR_STORE_KEY, VX_OK, VX_OK, "does not give back"},
        {&no_ring, WORKS, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, VX_ERR_STORE_KEY, "this build has none"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_errinfo info = {0}, info_forget = {0};
        vx_buf got = {0};
        memset(&fake, 0, sizeof fake);
        fake.manner = cases[i].manner;
        assert_int_equal(vx_password_put_in(cases[i].system, "secret!", &info), cases[i].put);
        if (!strstr(info.text, cases[i].says))
            fail_msg("case %zu: %s", i, info.text);
        assert_null(strstr(info.text, "secret!"));
        assert_string_equal(fake.kept, "");

        snprintf(fake.kept, sizeof fake.kept, "earlier");
        assert_int_equal(vx_password_get_in(cases[i].system, &got, NULL), cases[i].get);
        vx_buf_wipe_done(&got);
        assert_int_equal(vx_password_forget_in(cases[i].system, &info_forget), cases[i].forget);
        assert_int_equal(info_forget.code, cases[i].forget);
    }
}

/* ret is as it was. */
static void a_password_that_has_no_room_is_not_given(void **state)
{
    (void)state;
    vx_buf small = {.limit = 10};
    assert_int_equal(vx_buf_append(&small, "abc", 3), VX_OK);
    assert_int_equal(vx_password_put_in(&ring, "12345678", NULL), VX_OK);
    assert_int_equal(vx_password_get_in(&ring, &small, NULL), VX_ERR_OVERFLOW);
    assert_int_equal(small.len, 3);
    assert_memory_equal(small.data, "abc", 3);
    vx_buf_wipe_done(&small);
}

static vx_err put_and_get(void *ctx)
{
    (void)ctx;
    vx_buf got = {0};
    vx_err err = vx_password_put_in(&ring, "pass word", NULL);
    if (err == VX_OK)
        err = vx_password_get_in(&ring, &got, NULL);
    vx_buf_wipe_done(&got);
    return err;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(put_and_get, NULL);
}

extern const vx_cmd vx_cmd_password;

/* Standard input is empty here; and on Linux a password is refused before it is read, since no desktop needs one. */
static void the_command_keeps_nothing_that_is_not_given(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        int exit;
    } cases[] = {{"keep", -1}, {"nonsense", VX_EXIT_USAGE}, {"", VX_EXIT_USAGE}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const operands[] = {cases[i].action, NULL};
        const vx_cmd_call call = {.operands = operands, .n_operands = 1};
        const int code = vx_cmd_password.run(&call);
        if (cases[i].exit >= 0 ? code != cases[i].exit : code == VX_EXIT_OK)
            fail_msg("'%s' ends with %d", cases[i].action, code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_kept_replaced_and_forgotten, prepare),
        cmocka_unit_test_setup(what_cannot_be_typed_is_not_kept, prepare),
        cmocka_unit_test_setup(a_keyring_that_does_not_keep_is_told, prepare),
        cmocka_unit_test_setup(a_password_that_has_no_room_is_not_given, prepare),
        cmocka_unit_test_setup(any_allocation_may_fail, prepare),
        cmocka_unit_test(the_command_keeps_nothing_that_is_not_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
