/* test_unlock.c - the unlock's order and every way in which it stops, in a simulated desktop.
 * Every order of two and more events is test_unlock_random.c's.
 */
#include "edge/unlock/unlock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "shared/base/utf8.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/desktop_fake.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S            ((uint64_t)1000000000)

/* The record is large: one for all tests. */
static desktop_fake f;

/* ---- results -------------------------------------------------------------------------------------------------------- */

/* What is not said is as fake_init has it. */
static const struct result_case {
    const char *what;
    struct {
        bool asks, no_method, nothing_kept, ignores_us;
        const char *kept;
        fake_event event; /* before it all */
        int swallow_ms, opens_after_ms, fail_call;
        vx_err fail_with;
    } with;
    vx_unlock_result result;
    int n_tries, n_sent; /* Returns, or requests */
    const char *says;
} result_cases[] = {
    {"right", {0}, VX_UNLOCKED, 1, 1, "is open"},
    {"right, at once", {.swallow_ms = 1, .opens_after_ms = 1}, VX_UNLOCKED, 1, 1, "is open"},
    {"right, late", {.opens_after_ms = 2900}, VX_UNLOCKED, 1, 1, "is open"},
    /* The second wake finds it open: nothing more is sent. */
    {"right, very late", {.opens_after_ms = 3200}, VX_UNLOCKED, 2, 1, "is open"},
    {"half swallowed", {.swallow_ms = 700}, VX_UNLOCKED, 2, 2, "is open"},
    {"wrong", {.kept = "password"}, VX_STAYED_LOCKED, 2, 2, "simulated 1.0"},
    {"ignored", {.ignores_us = true}, VX_STAYED_LOCKED, 2, 2, "typed twice"},
    {"open", {.event = FAKE_UNLOCK}, VX_WAS_UNLOCKED, 0, 0, "not locked"},
    {"other user", {.event = FAKE_SWITCH_AWAY}, VX_STATE_UNKNOWN, 0, 0, "nothing was sent"},
    {"silent", {.event = FAKE_SILENT}, VX_STATE_UNKNOWN, 0, 0, "cannot be told"},
    {"slow", {.event = FAKE_SLOW}, VX_STATE_UNKNOWN, 1, 0, "cannot be told"},
    {"no password", {.nothing_kept = true}, VX_CANNOT, 0, 0, "no password"},
    {"empty", {.kept = ""}, VX_CANNOT, 0, 0, "cannot be typed"},
    {"with Return", {.kept = "pass\nword"}, VX_CANNOT, 0, 0, "cannot be typed"},
    {"no keyring", {.fail_call = 1, .fail_with = VX_ERR_STORE_KEY}, VX_CANNOT, 0, 0, "on purpose"},
    {"no wake", {.fail_call = 2, .fail_with = VX_ERR_IO}, VX_CANNOT, 0, 0, "not wake"},
    {"no method", {.no_method = true}, VX_CANNOT, 0, 0, "allow voxlock"},
    {"no method, unknown", {.no_method = true, .event = FAKE_SILENT}, VX_CANNOT, 0, 0, "allow voxlock"},
    {"no method, open", {.no_method = true, .event = FAKE_UNLOCK}, VX_WAS_UNLOCKED, 0, 0, "not locked"},
    {"asked", {.asks = true}, VX_UNLOCKED, 1, 1, "is open"},
    {"asked, no password", {.asks = true, .nothing_kept = true}, VX_UNLOCKED, 1, 1, "is open"},
    {"asked, slow", {.asks = true, .event = FAKE_SLOW}, VX_UNLOCKED, 1, 1, "is open"},
    {"asked, deaf", {.asks = true, .ignores_us = true}, VX_STAYED_LOCKED, 2, 2, "asked twice"},
    {"asked, open", {.asks = true, .event = FAKE_UNLOCK}, VX_WAS_UNLOCKED, 0, 0, "not locked"},
    {"asked, other user", {.asks = true, .event = FAKE_SWITCH_AWAY}, VX_STATE_UNKNOWN, 0, 0, "nothing was sent"},
    {"asked, no answer", {.asks = true, .fail_call = 2, .fail_with = VX_ERR_DEADLINE}, VX_UNLOCKED, 1, 1, "is open"},
    {"asked, refused", {.asks = true, .fail_call = 2, .fail_with = VX_ERR_PERMISSION}, VX_CANNOT, 1, 1, "on purpose"},
};

static void set_up(const struct result_case *c)
{
    fake_init(&f);
    if (c->with.asks || c->with.no_method)
        f.method = c->with.asks ? VX_UNLOCK_ASK : VX_UNLOCK_NONE;
    if (c->with.kept || c->with.nothing_kept)
        f.kept = c->with.kept;
    if (c->with.swallow_ms)
        f.swallow_ms = c->with.swallow_ms;
    if (c->with.opens_after_ms)
        f.opens_after_ms = c->with.opens_after_ms;
    f.ignores_us = c->with.ignores_us;
    f.fail_call = c->with.fail_call;
    f.fail_with = c->with.fail_with;
    fake_happen(&f, c->with.event);
}

static void results(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(result_cases); i++) {
        const struct result_case *c = &result_cases[i];
        set_up(c);
        const vx_unlock_outcome o = fake_run(&f, NULL);
        if (o.result != c->result || o.n_tries != c->n_tries || f.n_returns + f.n_requests != c->n_sent ||
            !strstr(o.sentence, c->says))
            fail_msg("%s: %s after %d tries, %d returns, %d requests: %s", c->what, vx_unlock_result_name(o.result),
                     o.n_tries, f.n_returns, f.n_requests, o.sentence);
        assert_int_equal(o.n_keys, f.n_keys);
        assert_true(f.n_keys == 0 || f.n_returns > 0); /* no case stops among the keys */
        assert_int_equal(fake_strays(&f), 0);
        assert_true(!c->with.asks || (f.n_secrets == 0 && f.n_keys == 0));
        assert_int_equal(o.result == VX_UNLOCKED || o.result == VX_WAS_UNLOCKED, f.unlocked);
        assert_null(strstr(o.sentence, "pass word"));
    }
}

static void results_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"unlocked",      "was_unlocked", "opened_otherwise", "stayed_locked",
                                        "state_unknown", "cannot",       "backed_off"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(vx_unlock_result_name((vx_unlock_result)i), names[i]);
}

/* ---- the order ------------------------------------------------------------------------------------------------------ */

static void keys_come_in_their_order(void **state)
{
    (void)state;
    static const uint32_t typed[] = {'p', 0xe4, 0x20ac, 0x1f600};
    const vx_unlock_options options = vx_unlock_options_default();
    fake_init(&f);
    f.kept = "p\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
    (void)fake_run(&f, NULL);
    const int n_try = options.erase_keys + (int)COUNT(typed) + 1;
    assert_int_equal(f.n_wakes, 2);
    /* It is not this desktop's password; what of it may stand in the field goes in the end. */
    assert_int_equal(f.n_keys, 2 * n_try + (int)COUNT(typed));
    for (int i = 2 * n_try; i < f.n_keys; i++)
        assert_true(f.keys[i].kind == FAKE_ERASE && f.keys[i].just_read);
    for (int i = 0; i < 2 * n_try; i++) {
        const fake_key *key = &f.keys[i];
        const int at = i % n_try - options.erase_keys;
        assert_int_equal(key->kind, at < 0 ? FAKE_ERASE : at < (int)COUNT(typed) ? FAKE_TYPE : FAKE_ENTER);
        if (key->kind == FAKE_TYPE)
            assert_int_equal(key->code, typed[at]);
        assert_true(key->just_read);
        const uint64_t before_ns = i == 0 ? f.awake_since_ns : f.keys[i - 1].at_ns;
        const int least_ms = i % n_try == 0 ? options.settle_ms : options.key_gap_ms;
        assert_true(key->at_ns - before_ns >= (uint64_t)least_ms * 1000000u);
    }
}

static void what_stood_in_the_field_is_cleared(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 32; n += 31) {
        fake_init(&f);
        for (f.n_field = 0; f.n_field < n; f.n_field++)
            f.field[f.n_field] = 'x';
        const vx_unlock_outcome o = fake_run(&f, NULL);
        assert_int_equal(o.result, VX_UNLOCKED);
        assert_int_equal(o.n_tries, 1);
    }
}

/* A lock screen that takes keys and not Return: the second try has its own characters to clear, as many as they are. */
static void a_long_password_is_cleared_whole(void **state)
{
    (void)state;
    char password[101];
    memset(password, 'a', 100);
    password[100] = '\0';
    fake_init(&f);
    f.password = f.kept = password;
    f.ignores_us = true;
    const vx_unlock_outcome o = fake_run(&f, NULL);
    assert_int_equal(o.result, VX_STAYED_LOCKED);
    assert_int_equal(o.n_keys, 32 + 100 + 1 + 100 + 100 + 1 + 100);
    assert_int_equal(f.n_field, 0);
}

/* ---- one thing happens, at each point at which it can ---------------------------------------------------------------- */

typedef struct {
    int at;
    fake_event event;
    int keys_at_event; /* how many had been sent */
} one_event;

static void once(desktop_fake *fake)
{
    one_event *one = fake->arg;
    if (fake->n_points == one->at) {
        one->keys_at_event = fake->n_keys;
        fake_happen(fake, one->event);
    }
}

static void one_event_anywhere(void **state)
{
    (void)state;
    static const struct {
        fake_event event;
        bool ends; /* not one key after it */
        unsigned seen;
    } cases[] = {
        {FAKE_LOCK, false, 1u << VX_UNLOCKED},
        {FAKE_UNLOCK, true, 1u << VX_UNLOCKED | 1u << VX_WAS_UNLOCKED | 1u << VX_OPENED_OTHERWISE},
        {FAKE_SLEEP, false, 1u << VX_UNLOCKED},
        {FAKE_SWITCH_AWAY, true, 1u << VX_STATE_UNKNOWN},
        {FAKE_SILENT, true, 1u << VX_STATE_UNKNOWN},
        {FAKE_SLOW, true, 1u << VX_STATE_UNKNOWN | 1u << VX_UNLOCKED},
        {FAKE_STALL, false, 1u << VX_UNLOCKED | 1u << VX_CANNOT},
    };
    fake_init(&f);
    assert_int_equal(fake_run(&f, NULL).result, VX_UNLOCKED);
    const int n_points = f.n_points;
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned seen = 0;
        for (one_event one = {.at = 1, .event = cases[i].event}; one.at <= n_points; one.at++) {
            fake_init(&f);
            f.meanwhile = once;
            f.arg = &one;
            const vx_unlock_outcome o = fake_run(&f, NULL);
            seen |= 1u << o.result;
            if (fake_strays(&f) > 0 || (cases[i].ends && f.n_keys != one.keys_at_event))
                fail_msg("event %d at %d: %s, %d strays, %d keys of %d: %s", (int)one.event, one.at,
                         vx_unlock_result_name(o.result), fake_strays(&f), one.keys_at_event, f.n_keys, o.sentence);
            assert_true(f.n_returns <= 2 && o.n_tries <= 2);
            assert_true(o.result != VX_CANNOT || f.n_field == 0);
        }
        if (seen != cases[i].seen)
            fail_msg("event %d came to 0x%x, not 0x%x", (int)cases[i].event, seen, cases[i].seen);
    }
}

static void away_for_a_while(desktop_fake *fake)
{
    int *n = fake->arg; /* points since Return */
    *n += fake->n_returns > 0;
    if (*n == 10)
        fake_happen(fake, FAKE_SWITCH_AWAY);
    else if (*n == 20)
        fake_happen(fake, FAKE_SWITCH_BACK);
}

/* Somebody else was in front while we waited: whether the field that came back is the one we left, nobody knows. */
static void after_a_user_switch_nothing_is_tried_again(void **state)
{
    (void)state;
    int n = 0;
    fake_init(&f);
    f.kept = "wrong";
    f.meanwhile = away_for_a_while;
    f.arg = &n;
    assert_int_equal(fake_run(&f, NULL).result, VX_STATE_UNKNOWN);
    assert_true(n > 20);
    assert_int_equal(f.n_returns, 1);
    assert_int_equal(f.keys[f.n_keys - 1].kind, FAKE_ENTER);
    assert_int_equal(fake_truth(&f), VX_LOCK_LOCKED);
}

/* A request, unlike a key, may be overtaken: one for an open session does nothing. */
static void one_event_anywhere_while_asking(void **state)
{
    (void)state;
    for (fake_event event = 0; event < FAKE_N_EVENTS; event++) {
        for (one_event one = {.at = 1, .event = event}; one.at <= 20; one.at++) {
            fake_init(&f);
            f.method = VX_UNLOCK_ASK;
            f.meanwhile = once;
            f.arg = &one;
            const vx_unlock_outcome o = fake_run(&f, NULL);
            assert_int_equal(f.n_keys, 0);
            assert_true(f.n_requests <= 2);
            assert_true(o.result != VX_UNLOCKED || f.unlocked);
            assert_true(o.result != VX_STAYED_LOCKED || event == FAKE_LOCK);
        }
    }
}

static void one_call_fails(void **state)
{
    (void)state;
    int k = 1;
    for (;; k++) {
        fake_init(&f);
        f.fail_call = k;
        vx_unlock_memory memory = {0};
        const vx_unlock_outcome o = fake_run(&f, &memory);
        assert_int_equal(fake_strays(&f), 0);
        if (f.n_calls < k) {
            assert_int_equal(o.result, VX_UNLOCKED);
            break;
        }
        assert_int_equal(o.result, VX_CANNOT);
        assert_non_null(strstr(o.sentence, "on purpose"));
        assert_int_equal(f.n_field, 0); /* nothing of the password stays */
        assert_int_equal(memory.failures, f.n_keys > 0);
    }
    assert_true(k > 32 + 9 + 1);
}

/* ---- afterwards ----------------------------------------------------------------------------------------------------- */

static void failures_back_off(void **state)
{
    (void)state;
    static const int pauses_s[] = {30, 60, 120, 240, 480, 900, 900, 900};
    vx_unlock_memory memory = {0};
    fake_init(&f);
    f.kept = "wrong";
    for (size_t i = 0; i < COUNT(pauses_s); i++) {
        assert_int_equal(fake_run(&f, &memory).result, VX_STAYED_LOCKED);
        assert_int_equal(memory.not_before - f.now_ns, (uint64_t)pauses_s[i] * S);
        assert_int_equal(memory.failures, (int)i + 1);
        const vx_unlock_memory before = memory;
        f.n_keys = 0;
        f.now_ns = memory.not_before - S;
        const vx_unlock_outcome o = fake_run(&f, &memory);
        assert_int_equal(o.result, VX_BACKED_OFF);
        assert_non_null(strstr(o.sentence, "in 1 s"));
        assert_int_equal(f.n_keys, 0);
        assert_memory_equal(&memory, &before, sizeof memory);
        f.now_ns = memory.not_before;
    }
    memory.failures = INT32_MAX;
    assert_int_equal(fake_run(&f, &memory).result, VX_STAYED_LOCKED);
    assert_int_equal(memory.failures, INT32_MAX);
    assert_int_equal(memory.not_before - f.now_ns, 900 * S);
}

static void what_opens_it_ends_the_back_off(void **state)
{
    (void)state;
    static const vx_unlock_memory waiting = {3, UINT64_MAX}, over = {3, 1};
    static const struct {
        const vx_unlock_memory *before;
        fake_event event;
        const char *kept;
        bool forgotten;
    } cases[] = {
        {&waiting, FAKE_UNLOCK, "pass word", true}, /* by hand */
        {&over, FAKE_LOCK, "pass word", true},      /* by voice */
        {&waiting, FAKE_LOCK, "pass word", false},
        {&over, FAKE_SILENT, "pass word", false}, /* nothing was sent: neither better nor worse */
        {&over, FAKE_LOCK, NULL, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        static const vx_unlock_memory none = {0};
        vx_unlock_memory memory = *cases[i].before;
        fake_init(&f);
        f.kept = cases[i].kept;
        fake_happen(&f, cases[i].event);
        (void)fake_run(&f, &memory);
        assert_memory_equal(&memory, cases[i].forgotten ? &none : cases[i].before, sizeof memory);
    }
}

static void passwords_that_can_be_typed(void **state)
{
    (void)state;
    static const struct {
        const char *password;
        bool can;
    } cases[] = {
        {"a", true},
        {"pass word", true},
        {"\xc3\xa4\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"", false},
        {"a\n", false},
        {"\ra", false},
        {"a\tb", false},
        {"\x1b", false},
        {"a\x7f", false},
        {"\xc2\x85", false},
        {"a\xc2\x9f", false},
        {"\xc2\xa0", true},
        {"\xe2\x82", false},
        {"\xff", false},
        {"\xc0\x80", false},
        {"a\x80", false},
        {"\xed\xa0\x80", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (vx_utf8_is_plain((const uint8_t *)cases[i].password, strlen(cases[i].password)) != cases[i].can)
            fail_msg("case %zu", i);
    assert_false(vx_utf8_is_plain((const uint8_t *)"a\0b", 3));
    assert_false(vx_utf8_is_plain(NULL, 0));
}

/* ---- the password is wiped ------------------------------------------------------------------------------------------- */

/* What was wiped. In place of libcrypto's in this program, on systems where a program's own function comes first. */
static const uint8_t *wiped;
static size_t n_wiped;

void OPENSSL_cleanse(void *data, size_t len)
{
    volatile uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        bytes[i] = 0;
    if (data == f.secret && len >= n_wiped) {
        wiped = data;
        n_wiped = len;
    }
}

static void the_password_is_wiped_on_every_path(void **state)
{
    (void)state;
    int n_asked = 0;
    for (fake_event event = 0; event < FAKE_N_EVENTS; event++) {
        for (int at = 1; at < 250; at++) {
            one_event one = {.at = at, .event = event};
            fake_init(&f);
            f.meanwhile = once;
            f.arg = &one;
            f.kept = at % 3 == 0 ? "wrong" : at % 7 == 0 ? "control\x01" : "pass word";
            f.fail_call = at % 5 == 0 ? at / 5 : 0;
            wiped = NULL;
            n_wiped = 0;
            (void)fake_run(&f, NULL);
            assert_ptr_equal(wiped, f.secret);
            assert_int_equal(n_wiped, f.secret_cap);
            n_asked += f.secret != NULL;
        }
    }
    assert_true(n_asked > 1000);
}

/* ---- this system's --------------------------------------------------------------------------------------------------- */

static vx_err open_and_close(void *ctx)
{
    (void)ctx;
    vx_desktop desktop;
    vx_err err = vx_desktop_open(&desktop, NULL);
    if (err == VX_OK)
        desktop.close(desktop.arg);
    return err;
}

static void this_system_opens_or_says_why(void **state)
{
    (void)state;
    vx_desktop desktop = {.name = "untouched"};
    vx_errinfo info = {0};
    const vx_err err = vx_desktop_open(&desktop, &info);
    if (err != VX_OK) {
        assert_int_equal(err, VX_ERR_UNSUPPORTED);
        assert_string_not_equal(info.text, "");
        assert_string_equal(desktop.name, "untouched");
        print_message("# %s\n", info.text);
        skip();
    }
    char why[VX_DESKTOP_WHY_CAP] = "untouched";
    const vx_unlock_method method = desktop.method(desktop.arg, why);
    assert_int_equal(method == VX_UNLOCK_NONE, why[0] != '\0');
    assert_true(method != VX_UNLOCK_ASK || desktop.unlock);
    assert_true(method != VX_UNLOCK_TYPE || (desktop.erase && desktop.type && desktop.enter));
    assert_string_not_equal(desktop.system, "");
    desktop.close(desktop.arg);
    if (vx_alloc_fail_works())
        vx_alloc_fail_each(open_and_close, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results),
        cmocka_unit_test(results_have_names),
        cmocka_unit_test(keys_come_in_their_order),
        cmocka_unit_test(what_stood_in_the_field_is_cleared),
        cmocka_unit_test(a_long_password_is_cleared_whole),
        cmocka_unit_test(one_event_anywhere),
        cmocka_unit_test(after_a_user_switch_nothing_is_tried_again),
        cmocka_unit_test(one_event_anywhere_while_asking),
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(failures_back_off),
        cmocka_unit_test(what_opens_it_ends_the_back_off),
        cmocka_unit_test(passwords_that_can_be_typed),
        cmocka_unit_test(the_password_is_wiped_on_every_path),
        cmocka_unit_test(this_system_opens_or_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
