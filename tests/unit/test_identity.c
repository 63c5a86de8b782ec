/* test_identity.c - tokens from a key, a metadata server and a program: which come, how long they serve, who waits. */
#include "edge/route/identity.h"

#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/service.h"
#include "tests/support/token_endpoint.h"

typedef struct {
    token_endpoint *google;
    char folder[64], key_file[128];
} stage;

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

static vx_identity *new_identity(vx_identity_options options)
{
    vx_identity *id = NULL;
    vx_errinfo info = {0};
    options.audience = TOKEN_AUDIENCE;
    const vx_err err = vx_identity_create(&options, &id, &info);
    if (err != VX_OK)
        fail_msg("%s", info.text);
    return id;
}

static vx_identity *by_key(const stage *st)
{
    return new_identity((vx_identity_options){.kind = VX_IDENTITY_KEY_FILE, .key_file = st->key_file});
}

static vx_identity *by_metadata(const stage *st)
{
    return new_identity(
        (vx_identity_options){.kind = VX_IDENTITY_METADATA, .metadata_url = token_endpoint_url(st->google)});
}

/* The number of the token that comes. */
static int ask(vx_identity *id, bool fresh)
{
    vx_buf header = {0};
    vx_errinfo info = {0};
    if (vx_identity_header(id, fresh, in_ms(PATIENCE_MS), &header, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_int_equal(strlen((const char *)header.data), header.len);
    const int number = token_endpoint_number((const char *)header.data);
    vx_buf_wipe_done(&header);
    return number;
}

/* Asks, is refused, and holds what is said against: the code, a part of the sentence, and no secret. */
static void expect_failure(vx_identity *id, uint64_t timeout_ms, vx_err code, const char *part)
{
    vx_buf header = {.limit = 77};
    vx_errinfo info = {0};
    const vx_err err = vx_identity_header(id, false, in_ms(timeout_ms), &header, &info);
    if (err != code || info.code != code)
        fail_msg("%s, where %s was expected: %s", vx_err_code(err), vx_err_code(code), info.text);
    if (!strstr(info.text, part))
        fail_msg("'%s' does not hold '%s'", info.text, part);
    assert_null(strstr(info.text, "eyJ"));
    assert_null(strstr(info.text, "PRIVATE"));
    assert_true(header.len == 0 && header.limit == 77);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static void options_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const struct {
        vx_identity_options options;
        const char *part;
    } cases[] = {
        {{.kind = VX_IDENTITY_API_KEY}, "VOXLOCK_CLOUD_API_KEY"},
        {{.kind = VX_IDENTITY_API_KEY, .api_key = ""}, "VOXLOCK_CLOUD_API_KEY"},
        {{.kind = VX_IDENTITY_API_KEY, .api_key = "two words"}, "VOXLOCK_CLOUD_API_KEY"},
        {{.kind = VX_IDENTITY_API_KEY, .api_key = "a\r\nX-Evil: 1"}, "VOXLOCK_CLOUD_API_KEY"},
        {{.kind = VX_IDENTITY_KEY_FILE, .audience = "https://a.app"}, "VOXLOCK_CLOUD_KEY_FILE"},
        {{.kind = VX_IDENTITY_KEY_FILE, .key_file = "key.json"}, "VOXLOCK_CLOUD_AUDIENCE"},
        {{.kind = VX_IDENTITY_METADATA, .audience = "a b"}, "VOXLOCK_CLOUD_AUDIENCE"},
        {{.kind = VX_IDENTITY_METADATA, .audience = "\xc3\xa4"}, "VOXLOCK_CLOUD_AUDIENCE"},
        {{.kind = VX_IDENTITY_COMMAND, .command = ""}, "VOXLOCK_CLOUD_COMMAND"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_identity *id = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_identity_create(&cases[i].options, &id, &info), VX_ERR_OPTION_VALUE);
        if (!strstr(info.text, cases[i].part))
            fail_msg("case %zu: %s", i, info.text);
        assert_null(id);
    }
    vx_identity_destroy(NULL);
}

static void a_fixed_key_is_handed_out_and_no_key_is_an_empty_header(void **state)
{
    (void)state;
    vx_buf header = {0};
    vx_identity *id = new_identity((vx_identity_options){.kind = VX_IDENTITY_API_KEY, .api_key = "s3cret-key=="});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vx_identity_header(id, i == 1, 0, &header, NULL), VX_OK);
        assert_string_equal((const char *)header.data, "Bearer s3cret-key==");
    }
    vx_identity_destroy(id);
    id = new_identity((vx_identity_options){.kind = VX_IDENTITY_NONE});
    assert_int_equal(vx_identity_header(id, false, 0, &header, NULL), VX_OK);
    assert_int_equal(header.len, 0);
    vx_identity_destroy(id);
    vx_buf_wipe_done(&header);
}

/* ---- what comes, and how long it is used ------------------------------------------------------------------------ */

static vx_identity *by(const stage *st, vx_identity_kind kind)
{
    return kind == VX_IDENTITY_KEY_FILE ? by_key(st) : by_metadata(st);
}

static void a_token_is_kept_until_shortly_before_it_expires(void **state)
{
    const stage *st = *state;
    static const struct {
        const char *what;
        token_rules rules;
        int second; /* number of the token that the second caller gets */
    } cases[] = {
        {"an hour", {.life_s = 3600}, 1},
        {"more than five minutes", {.life_s = 310}, 1},
        {"less than five minutes: only who asked for it", {.life_s = 290}, 2},
        {"a day: whatever a token says, it is trusted no longer", {.life_s = 999999999}, 1},
        {"nobody knows: only who asked for it", {.opaque = true}, 2},
        {"an hour by a clock that is two behind ours", {.clock_off_s = -7200}, 1},
        {"less than five minutes by a clock that is ahead", {.clock_off_s = 7200, .life_s = 290}, 2},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        vx_identity *id = by(st, i % 2 ? VX_IDENTITY_KEY_FILE : VX_IDENTITY_METADATA);
        token_endpoint_rule(st->google, cases[i / 2].rules);
        const int first = ask(id, false), second = ask(id, false);
        if (first == 0 || second - first != cases[i / 2].second - 1)
            fail_msg("%s: token %d, then %d", cases[i / 2].what, first, second);
        vx_identity_destroy(id);
    }
}

/* Google takes an assertion only from who knows the time. */
static void a_wrong_clock_here_is_learned_from_the_refusal(void **state)
{
    const stage *st = *state;
    static const int64_t off_s[] = {-86400, 7200};
    for (size_t i = 0; i < 2; i++) {
        char complaint[128];
        vx_identity *id = by_key(st);
        token_endpoint_rule(st->google, (token_rules){.clock_off_s = off_s[i], .opaque = true});
        const int before = token_endpoint_asked(st->google);
        assert_int_not_equal(ask(id, false), 0);
        assert_int_equal(token_endpoint_asked(st->google) - before, 2);
        token_endpoint_complaint(st->google, complaint);
        assert_non_null(strstr(complaint, "short-lived"));
        assert_int_not_equal(ask(id, false), 0);
        assert_int_equal(token_endpoint_asked(st->google) - before, 3); /* the difference is remembered */
        vx_identity_destroy(id);
    }
}

static void what_the_endpoint_answers_is_told(void **state)
{
    const stage *st = *state;
    static const struct {
        vx_identity_kind kind;
        token_rules rules;
        vx_err code;
        const char *part;
    } cases[] = {
        {VX_IDENTITY_KEY_FILE, {.revoked = true}, VX_ERR_TOKEN, "refused (400, invalid_grant: Invalid JWT Signature.)"},
        {VX_IDENTITY_KEY_FILE, {.life_s = -10}, VX_ERR_TOKEN, "had expired already"},
        {VX_IDENTITY_KEY_FILE, {.hangs_up = true}, VX_ERR_NETWORK, "127.0.0.1"},
        {VX_IDENTITY_KEY_FILE, {.status = 403}, VX_ERR_TOKEN, "the key of " TOKEN_EMAIL " was refused (403)"},
        {VX_IDENTITY_KEY_FILE, {.status = 503}, VX_ERR_NETWORK, "answered 503"},
        {VX_IDENTITY_KEY_FILE, {.status = 429}, VX_ERR_NETWORK, "answered 429"},
        {VX_IDENTITY_KEY_FILE, {.status = 302}, VX_ERR_TOKEN, "refused (302)"},
        {VX_IDENTITY_KEY_FILE, {.body = ""}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE, {.body = "<html>"}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE, {.body = "{\"access_token\":\"eyJ\"}"}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE, {.body = "{\"id_token\":7}"}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE, {.body = "{\"id_token\":\"eyJ a\"}"}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE, {.body = "{\"id_token\":\"a\\r\\nb\"}"}, VX_ERR_TOKEN, "holds no identity token"},
        {VX_IDENTITY_KEY_FILE,
         {.status = 400, .body = "{\"error\":\"eyJhbGciOi\"}"},
         VX_ERR_TOKEN,
         "was refused (400)"},
        {VX_IDENTITY_METADATA, {.no_flavor = true}, VX_ERR_TOKEN, "is not Google's"},
        {VX_IDENTITY_METADATA, {.life_s = -10}, VX_ERR_TOKEN, "had expired already"},
        {VX_IDENTITY_METADATA, {.hangs_up = true}, VX_ERR_NETWORK, "works on Google Cloud alone"},
        {VX_IDENTITY_METADATA, {.delay_ms = 5000}, VX_ERR_NETWORK, "works on Google Cloud alone"},
        {VX_IDENTITY_METADATA, {.status = 404}, VX_ERR_TOKEN, "give this machine a service account"},
        {VX_IDENTITY_METADATA, {.status = 500}, VX_ERR_NETWORK, "answered 500"},
        {VX_IDENTITY_METADATA, {.body = ""}, VX_ERR_TOKEN, "sent no token"},
        {VX_IDENTITY_METADATA, {.body = "eyJ\n"}, VX_ERR_TOKEN, "sent no token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_identity *id = by(st, cases[i].kind);
        token_endpoint_rule(st->google, cases[i].rules);
        expect_failure(id, PATIENCE_MS, cases[i].code, cases[i].part);
        vx_identity_destroy(id);
    }
}

static void a_deadline_ends_the_wait(void **state)
{
    const stage *st = *state;
    token_endpoint_rule(st->google, (token_rules){.delay_ms = 5000});
    for (int i = 0; i < 2; i++) {
        vx_identity *id = by(st, i ? VX_IDENTITY_KEY_FILE : VX_IDENTITY_METADATA);
        expect_failure(id, 100, VX_ERR_DEADLINE, "127.0.0.1");
        expect_failure(id, 0, VX_ERR_DEADLINE, "127.0.0.1"); /* nor is it the next caller's failure */
        vx_identity_destroy(id);
    }
}

static void nobody_listening_is_the_networks_failure(void **state)
{
    (void)state;
    stage alone = {.google = token_endpoint_start(), .key_file = "/tmp/voxlock-key-XXXXXX"};
    const int fd = mkstemp(alone.key_file);
    assert_true(fd >= 0 && close(fd) == 0);
    token_endpoint_write_key(alone.google, alone.key_file);
    vx_identity *key = by_key(&alone), *metadata = by_metadata(&alone);
    token_endpoint_stop(alone.google);
    expect_failure(key, PATIENCE_MS, VX_ERR_NETWORK, "127.0.0.1");
    expect_failure(metadata, PATIENCE_MS, VX_ERR_NETWORK, "works on Google Cloud alone");
    vx_identity_destroy(key);
    vx_identity_destroy(metadata);
    unlink(alone.key_file);
}

/* ---- after a refusal, after a failure --------------------------------------------------------------------------- */

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void a_refused_token_is_replaced_once_a_second(void **state)
{
    const stage *st = *state;
    vx_identity *id = by_key(st);
    const int first = ask(id, false), before = token_endpoint_asked(st->google);
    const uint64_t start = vx_now_ns();
    int number = first, n = 0;
    for (; number == first && vx_ms_since(start) < PATIENCE_MS; n++, pause_ms(20))
        number = ask(id, true);
    assert_int_equal(number, first + 1);
    assert_int_equal(token_endpoint_asked(st->google) - before, 1);
    assert_true(n > 1 && vx_ms_since(start) >= 900);
    assert_int_equal(ask(id, false), first + 1);
    vx_identity_destroy(id);
}

static void a_failure_is_told_for_a_second_and_then_tried_again(void **state)
{
    const stage *st = *state;
    vx_identity *id = by_key(st);
    vx_buf header = {0};
    vx_err err = VX_ERR_TOKEN;
    token_endpoint_rule(st->google, (token_rules){.revoked = true});
    expect_failure(id, PATIENCE_MS, VX_ERR_TOKEN, "refused");
    const uint64_t start = vx_now_ns();
    token_endpoint_rule(st->google, (token_rules){0});
    for (; err == VX_ERR_TOKEN && vx_ms_since(start) < PATIENCE_MS; pause_ms(20))
        err = vx_identity_header(id, false, in_ms(PATIENCE_MS), &header, NULL);
    assert_int_equal(err, VX_OK);
    assert_true(vx_ms_since(start) >= 900);
    vx_buf_wipe_done(&header);
    vx_identity_destroy(id);
}

/* ---- many callers ----------------------------------------------------------------------------------------------- */

typedef struct {
    vx_identity *id;
    uint64_t timeout_ms;
    vx_err err;
    int number;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    vx_buf header = {0};
    c->err = vx_identity_header(c->id, false, in_ms(c->timeout_ms), &header, NULL);
    c->number = c->err == VX_OK ? token_endpoint_number((const char *)header.data) : 0;
    vx_buf_wipe_done(&header);
    return NULL;
}

static void await_asked(const stage *st, int n)
{
    const uint64_t start = vx_now_ns();
    while (token_endpoint_asked(st->google) < n && vx_ms_since(start) < PATIENCE_MS)
        pause_ms(1);
}

static void one_fetches_and_the_others_wait(void **state)
{
    const stage *st = *state;
    static const token_rules rules[] = {{.delay_ms = 300}, {.delay_ms = 300, .opaque = true}};
    for (size_t r = 0; r < 2; r++) {
        enum { CALLERS = 8 };
        caller callers[CALLERS];
        pthread_t threads[CALLERS];
        vx_identity *id = by_key(st);
        token_endpoint_rule(st->google, rules[r]);
        const int before = token_endpoint_asked(st->google);
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (caller){.id = id, .timeout_ms = PATIENCE_MS};
            assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(callers[i].err, VX_OK);
            assert_int_equal(callers[i].number, callers[0].number);
        }
        assert_int_equal(token_endpoint_asked(st->google) - before, 1);
        vx_identity_destroy(id);
    }
}

/* Who fetches may have less time than who waits, and the other way round. */
static void each_waits_to_a_deadline_of_its_own(void **state)
{
    const stage *st = *state;
    static const uint64_t timeouts_ms[2][2] = {{200, PATIENCE_MS}, {PATIENCE_MS, 100}};
    for (size_t i = 0; i < 2; i++) {
        vx_identity *id = by_key(st);
        token_endpoint_rule(st->google, (token_rules){.delay_ms = 400});
        const int before = token_endpoint_asked(st->google);
        caller first = {.id = id, .timeout_ms = timeouts_ms[i][0]},
               second = {.id = id, .timeout_ms = timeouts_ms[i][1]};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, call, &first), 0);
        await_asked(st, before + 1);
        call(&second);
        pthread_join(thread, NULL);
        assert_int_equal(first.err, i == 0 ? VX_ERR_DEADLINE : VX_OK);
        assert_int_equal(second.err, i == 0 ? VX_OK : VX_ERR_DEADLINE);
        vx_identity_destroy(id);
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static vx_err create_and_destroy(void *arg)
{
    vx_identity *id = NULL;
    const vx_identity_options options = *(const vx_identity_options *)arg;
    const vx_err err = vx_identity_create(&options, &id, NULL);
    assert_true((err == VX_OK) == (id != NULL));
    vx_identity_destroy(id);
    return err;
}

static vx_err create_and_ask(void *arg)
{
    vx_identity *id = NULL;
    vx_buf header = {0};
    vx_err err = vx_identity_create(arg, &id, NULL);
    if (err == VX_OK)
        err = vx_identity_header(id, false, in_ms(PATIENCE_MS), &header, NULL);
    vx_buf_wipe_done(&header);
    vx_identity_destroy(id);
    return err;
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    vx_identity_options key = {
        .kind = VX_IDENTITY_KEY_FILE, .audience = TOKEN_AUDIENCE, .key_file = "key.json", .ca_file = "ca.pem"};
    vx_identity_options command = {.kind = VX_IDENTITY_COMMAND, .command = "echo opaque"};
    vx_alloc_fail_each(create_and_destroy, &key);
    vx_alloc_fail_each(create_and_ask, &command);
}

/* ---- stage ------------------------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    static stage st;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    st = (stage){.google = token_endpoint_start(), .folder = "/tmp/voxlock-identity-XXXXXX"};
    assert_non_null(mkdtemp(st.folder));
    snprintf(st.key_file, sizeof st.key_file, "%s/key.json", st.folder);
    token_endpoint_write_key(st.google, st.key_file);
    *state = &st;
    return 0;
}

static int tear_down(void **state)
{
    const stage *st = *state;
    token_endpoint_stop(st->google);
    unlink(st->key_file);
    rmdir(st->folder);
    return 0;
}

static int usual_rules(void **state)
{
    token_endpoint_rule(((stage *)*state)->google, (token_rules){0});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_cannot_work_are_refused),
        cmocka_unit_test(a_fixed_key_is_handed_out_and_no_key_is_an_empty_header),
        cmocka_unit_test_setup(a_token_is_kept_until_shortly_before_it_expires, usual_rules),
        cmocka_unit_test_setup(a_wrong_clock_here_is_learned_from_the_refusal, usual_rules),
        cmocka_unit_test_setup(what_the_endpoint_answers_is_told, usual_rules),
        cmocka_unit_test_setup(a_deadline_ends_the_wait, usual_rules),
        cmocka_unit_test(nobody_listening_is_the_networks_failure),
        cmocka_unit_test_setup(a_refused_token_is_replaced_once_a_second, usual_rules),
        cmocka_unit_test_setup(a_failure_is_told_for_a_second_and_then_tried_again, usual_rules),
        cmocka_unit_test_setup(one_fetches_and_the_others_wait, usual_rules),
        cmocka_unit_test_setup(each_waits_to_a_deadline_of_its_own, usual_rules),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
