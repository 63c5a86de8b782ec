/* test_model_faults.c - the model folder is missing, damaged, late, or not what was asked for: what clients, probes and
 * the operator see.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/model_copy.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define STARTER   "models/starter"

static json_t *get_json(const service *s, const char *path, int status)
{
    http_reply reply = http_get(s->port, path);
    if (reply.status != status)
        fail_msg("%s is answered %d", path, reply.status);
    json_t *root = http_json(&reply);
    http_reply_done(&reply);
    return root;
}

static const char *text(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));
    return value ? value : "";
}

static void expect_text(const service *s, const char *path, int status, const char *key, const char *value)
{
    json_t *root = get_json(s, path, status);
    assert_string_equal(text(root, key), value);
    json_decref(root);
}

static void expect_refusal(const service *s, const char *path, const char *body)
{
    http_reply reply = http_post(s->port, path, body);
    assert_int_equal(reply.status, 503);
    assert_true(http_header_is(&reply, "Retry-After", "2"));
    json_t *root = http_json(&reply);
    assert_string_equal(text(root, "code"), "not_ready");
    assert_non_null(strstr(text(root, "detail"), "/startup-diagnostics"));
    json_decref(root);
    http_reply_done(&reply);
}

static void expect_right_vector(const http_reply *reply, const char *name)
{
    float expected[CLIP_DIM], got[CLIP_DIM];
    vx_audio audio = clip_audio(name);
    clip_expected(&audio, expected);
    assert_int_equal(reply->status, 200);
    json_t *root = http_json(reply);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, expected, sizeof got);
    json_decref(root);
    vx_audio_done(&audio);
}

/* ---- damaged --------------------------------------------------------------------------------------------------- */

static void spoil_folder(const model_copy *copy)
{
    model_copy_drop(copy, MODEL_WEIGHTS);
    model_copy_drop(copy, MODEL_MANIFEST);
}

static void spoil_weights_gone(const model_copy *copy)
{
    model_copy_drop(copy, MODEL_WEIGHTS);
}

#if defined(__linux__)
/* A file that opens and then fails to read: the first page of a process's own memory is never mapped, and reading it is
 * an input/output error, as from a broken disk. */
static void spoil_disk(const model_copy *copy)
{
    char path[128];
    model_copy_drop(copy, MODEL_MANIFEST);
    snprintf(path, sizeof path, "%s/%s", copy->path, MODEL_MANIFEST);
    assert_int_equal(symlink("/proc/self/mem", path), 0);
}
#endif

static void spoil_weights_cut(const model_copy *copy)
{
    model_copy_cut(copy, MODEL_WEIGHTS, 4096);
}

static void spoil_weights_empty(const model_copy *copy)
{
    model_copy_cut(copy, MODEL_WEIGHTS, 0);
}

static void spoil_one_byte(const model_copy *copy)
{
    model_copy_flip(copy, MODEL_WEIGHTS, 5000000);
}

static void spoil_manifest_cut(const model_copy *copy)
{
    model_copy_cut(copy, MODEL_MANIFEST, 1000);
}

static void spoil_manifest_key(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_object_set_new(json_object_get(manifest, "frontend"), "hop_sample", json_integer(160));
    model_copy_set_manifest(copy, manifest);
}

/* Another front end than the model was trained with: all files are sound, and every vector would be wrong. */
static void spoil_front_end(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_object_set_new(json_object_get(manifest, "frontend"), "mean_normalise", json_false());
    model_copy_set_manifest(copy, manifest);
}

static void spoil_self_test(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_t *values = json_object_get(json_object_get(manifest, "self_test"), "embedding");
    for (size_t i = 0; i < json_array_size(values); i += 3)
        json_array_set_new(values, i, json_real(0));
    model_copy_set_manifest(copy, manifest);
}

static void await_failure(service *s)
{
    if (!service_says(s, "the model cannot be loaded"))
        fail_msg("the service does not give up");
    /* The line is written when the state is there. */
    expect_text(s, "/health", 503, "startup_state", "FAILED");
}

/* What each strategy said in the last attempt: the first refused; the last opened, or refused where nothing serves. */
static void expect_strategies(const json_t *root, const char *first, const char *code, bool serves)
{
    const json_t *list = json_object_get(root, "strategies");
    const size_t n = json_array_size(list);
    const json_t *refused = json_array_get(list, 0), *last = json_array_get(list, n - 1);
    assert_true(n >= 1);
    assert_string_equal(text(refused, "strategy"), first);
    assert_string_equal(text(refused, "code"), code);
    assert_true(json_is_false(json_object_get(refused, "opened")) && text(refused, "reason")[0]);
    assert_string_equal(text(last, "strategy"), "native");
    assert_int_equal(json_is_true(json_object_get(last, "opened")), serves);
    assert_int_equal(json_is_null(json_object_get(last, "code")), serves);
    assert_int_equal(text(last, "reason")[0] == '\0', serves);
}

/* Every attempt and its reason. */
static void expect_diagnostics(const service *s, const char *code, const char *says)
{
    json_t *root = get_json(s, "/startup-diagnostics", 200);
    const json_t *history = json_object_get(root, "history");
    assert_string_equal(text(root, "startup_state"), "FAILED");
    assert_int_equal(json_integer_value(json_object_get(root, "retries")), 1);
    assert_int_equal(json_array_size(history), 5);
    assert_true(json_is_null(json_object_get(root, "engine")));
    for (size_t i = 2; i < 5; i += 2) {
        const json_t *event = json_array_get(history, i);
        const char *reason = text(event, "reason");
        assert_string_equal(text(event, "state"), i == 2 ? "RETRYING" : "FAILED");
        if (strncmp(reason, code, strlen(code)) != 0 || !strstr(reason, says))
            fail_msg("'%s' does not say %s, '%s'", reason, code, says);
    }
    /* A manifest that cannot be read names no strategy. */
    if (strstr(text(json_array_get(history, 4), "reason"), MODEL_MANIFEST))
        assert_int_equal(json_array_size(json_object_get(root, "strategies")), 0);
    else if (code[0])
        expect_strategies(root, "native", code, false);
    json_decref(root);
}

/* It stays up, so that its logs and diagnostics can be read; it is not healthy, so that nobody is sent there; and who
 * comes all the same is told so. Nothing is ever computed with such a model. */
static void a_damaged_model_is_never_used(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(const model_copy *copy);
        const char *code, *says;
    } rows[] = {
        {spoil_folder, "model_missing", "voxlock-model-"},
        {spoil_weights_gone, "model_missing", MODEL_WEIGHTS},
        {spoil_weights_cut, "model_hash_mismatch", MODEL_WEIGHTS},
        {spoil_weights_empty, "", MODEL_WEIGHTS},
        {spoil_one_byte, "model_hash_mismatch", MODEL_WEIGHTS},
        {spoil_manifest_cut, "model_corrupt", MODEL_MANIFEST},
#if defined(__linux__)
        {spoil_disk, "io", "cannot read"},
#endif
        {spoil_manifest_key, "model_corrupt", "hop_sample"},
        {spoil_front_end, "engine_failed", "self-test"},
        {spoil_self_test, "engine_failed", "self-test"},
    };
    char *body = clip_file_json("reader1_a.flac", "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char folder[96];
        model_copy copy = model_copy_of(STARTER);
        rows[i].spoil(&copy);
        snprintf(folder, sizeof folder, "ECAPA_CACHE_DIR=%s", copy.path);
        const char *const settings[] = {folder, "VOXLOCK_LOAD_ATTEMPTS=2", "VOXLOCK_LOAD_BACKOFF_MS=1", NULL};
        service *s = service_start(settings);
        await_failure(s);
        expect_diagnostics(s, rows[i].code, rows[i].says);
        expect_text(s, "/health/live", 200, "status", "alive");
        expect_text(s, "/health", 503, "status", "unhealthy");
        expect_text(s, "/api/ml/health", 503, "status", "unhealthy");
        expect_refusal(s, EMBEDDING, body);
        expect_refusal(s, "/api/ml/prewarm", "");
        http_reply reply = http_get(s->port, "/metrics");
        assert_non_null(strstr((const char *)reply.body.data, "\nvoxlock_ready 0\n"));
        assert_non_null(strstr((const char *)reply.body.data, "\nvoxlock_startup_state{state=\"FAILED\"} 1\n"));
        http_reply_done(&reply);
        /* Health needs no key: where the files lie is not told there. */
        reply = http_get(s->port, "/health");
        assert_null(strstr((const char *)reply.body.data, copy.path));
        http_reply_done(&reply);
        assert_int_equal(service_stop(s), 0);
        service_check_log(s);
        model_copy_done(&copy);
        assert_int_equal(service_reap(state), 0);
    }
    free(body);
}

/* ---- late ------------------------------------------------------------------------------------------------------ */

static service *start_without_model(const char *folder, const char *more)
{
    char setting[96];
    snprintf(setting, sizeof setting, "ECAPA_CACHE_DIR=%s", folder);
    const char *const settings[] = {setting, "VOXLOCK_LOAD_ATTEMPTS=20", more, NULL};
    return service_start(settings);
}

static void await_state(service *s, const char *wanted)
{
    const uint64_t start = vx_now_ns();
    for (bool there = false; !there;) {
        http_reply reply = http_get(s->port, "/health");
        json_t *root = http_json(&reply);
        there = strcmp(text(root, "startup_state"), wanted) == 0;
        json_decref(root);
        http_reply_done(&reply);
        assert_true(vx_ms_since(start) < PATIENCE_MS);
    }
}

/* The request that came too early is answered when the model is there. */
static void a_model_that_comes_late_serves_who_waited(void **state)
{
    (void)state;
    model_copy copy = model_copy_empty();
    char *body = clip_file_json("reader1_a.flac", "");
    service *s = start_without_model(copy.path, "VOXLOCK_LOAD_BACKOFF_MS=100");
    await_state(s, "RETRYING");
    expect_text(s, "/health/live", 200, "status", "alive");
    int early = raw_post(s->port, EMBEDDING, body);
    model_copy_take(&copy, STARTER, MODEL_MANIFEST);
    model_copy_take(&copy, STARTER, MODEL_WEIGHTS);
    http_reply reply = {0};
    assert_true(raw_reply(early, true, &reply));
    raw_close(&early);
    expect_right_vector(&reply, "reader1_a.flac");
    http_reply_done(&reply);
    expect_text(s, "/health", 200, "startup_state", "READY");
    json_t *root = get_json(s, "/startup-diagnostics", 200);
    assert_true(json_integer_value(json_object_get(root, "retries")) >= 1);
    json_decref(root);
    assert_int_equal(service_stop(s), 0);
    service_check_log(s);
    model_copy_done(&copy);
    free(body);
}

/* Nobody waits for ever, and a signal does not wait for the next attempt. */
static void while_it_retries_the_deadline_and_signals_count(void **state)
{
    (void)state;
    static const char *const more[] = {"VOXLOCK_LOAD_BACKOFF_MS=60000", "VOXLOCK_DEADLINE_MS=100"};
    model_copy copy = model_copy_empty();
    char folder[96], *body = clip_file_json("reader1_a.flac", "");
    snprintf(folder, sizeof folder, "ECAPA_CACHE_DIR=%s", copy.path);
    const char *const settings[] = {folder, more[0], more[1], NULL};
    service *s = service_start(settings);
    await_state(s, "RETRYING");
    expect_text(s, "/health", 503, "status", "initializing");
    http_reply reply = http_post(s->port, EMBEDDING, body);
    assert_int_equal(reply.status, 503);
    json_t *root = http_json(&reply);
    assert_string_equal(text(root, "code"), "not_ready");
    assert_non_null(strstr(text(root, "detail"), "still loading"));
    json_decref(root);
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
    model_copy_done(&copy);
    free(body);
}

/* Who waits for the model when the end comes is told to go elsewhere. */
static void who_waits_for_the_model_hears_of_the_end(void **state)
{
    (void)state;
    char *body = clip_file_json("reader1_a.flac", "");
    static const char *const settings[] = {"ECAPA_CACHE_DIR=/nonexistent", "VOXLOCK_LOAD_BACKOFF_MS=60000",
                                           "VOXLOCK_DRAIN_MS=100", NULL};
    service *s = service_start(settings);
    int fd = raw_post(s->port, EMBEDDING, body);
    await_state(s, "RETRYING");
    service_signal(s, SIGTERM);
    http_reply reply = {0};
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 503);
    json_t *root = http_json(&reply);
    assert_string_equal(text(root, "code"), "shutting_down");
    json_decref(root);
    http_reply_done(&reply);
    raw_close(&fd);
    assert_int_equal(service_wait(s), 0);
    free(body);
}

/* ---- not what was asked for ------------------------------------------------------------------------------------ */

static void a_strategy_that_is_not_there_is_replaced_and_told(void **state)
{
    (void)state;
    static const char *const strategies[] = {"jit", "quantized", "onnx"};
    char *body = clip_file_json("reader1_a.flac", "");
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        char setting[64], quoted[32];
        snprintf(setting, sizeof setting, "ECAPA_PREFERRED_STRATEGY=%s", strategies[i]);
        snprintf(quoted, sizeof quoted, "'%s'", strategies[i]);
        const char *const settings[] = {setting, NULL};
        service *s = service_start_ready(settings);
        await_state(s, "DEGRADED");
        expect_text(s, "/health", 200, "status", "degraded");
        expect_text(s, "/api/ml/health", 200, "status", "degraded");
        expect_text(s, "/api/ml/prewarm", 200, "startup_state", "DEGRADED");
        static const char *const pages[] = {"/status", "/startup-diagnostics"};
        for (int k = 0; k < 2; k++) {
            json_t *root = get_json(s, pages[k], 200);
            const json_t *engine = json_object_get(root, "engine");
            assert_true(json_is_true(json_object_get(engine, "degraded")));
            assert_string_equal(text(engine, "strategy"), "native");
            assert_string_equal(text(engine, "device"), "cpu");
            assert_string_equal(text(engine, "precision"), "f32");
            assert_non_null(strstr(text(engine, "reason"), quoted));
            if (k == 1)
                expect_strategies(root, strategies[i], "model_missing", true);
            json_decref(root);
        }
        http_reply reply = http_post(s->port, EMBEDDING, body);
        expect_right_vector(&reply, "reader1_a.flac");
        http_reply_done(&reply);
        reply = http_get(s->port, "/metrics");
        assert_non_null(strstr((const char *)reply.body.data, "\nvoxlock_startup_state{state=\"DEGRADED\"} 1\n"));
        assert_non_null(strstr((const char *)reply.body.data, "\nvoxlock_ready 1\n"));
        http_reply_done(&reply);
        assert_true(service_says(s, "\"severity\":\"WARNING\""));
        assert_int_equal(service_stop(s), 0);
    }
    free(body);
}

/* The folder's fastest artefact is damaged, or the setting asks for what the machine lacks: the next one serves. */
static void what_cannot_be_opened_is_told_and_the_next_serves(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *first, *code, *says;
    } rows[] = {
        {NULL, "jit", "model_missing", "/gone.pt"},
        {"ECAPA_DEVICE=cuda", "jit", "model_missing", "/gone.pt"},
        {"VOXLOCK_PRECISION=bf16", "jit", "model_missing", "/gone.pt"},
        {"VOXLOCK_GEMM=onednn", "jit", "model_missing", "/gone.pt"},
    };
    char folder[96], *body = clip_file_json("reader1_a.flac", "");
    model_copy copy = model_copy_of(STARTER);
    json_t *manifest = model_copy_manifest(&copy);
    json_object_set_new(json_object_get(manifest, "artefacts"), "jit",
                        json_pack("{s:s, s:i, s:s, s:f, s:f}", "file", "gone.pt", "bytes", 5, "sha256",
                                  "0000000000000000000000000000000000000000000000000000000000000000", "cosine_min", 1.0,
                                  "inference_ms", 4.5));
    model_copy_set_manifest(&copy, manifest);
    snprintf(folder, sizeof folder, "ECAPA_CACHE_DIR=%s", copy.path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const settings[] = {folder, rows[i].setting, NULL};
        service *s = service_start_ready(settings);
        await_state(s, "DEGRADED");
        json_t *root = get_json(s, "/startup-diagnostics", 200);
        const json_t *engine = json_object_get(root, "engine");
        assert_non_null(strstr(text(engine, "reason"), rows[i].says));
        assert_string_equal(text(engine, "device"), "cpu");
        expect_strategies(root, rows[i].first, rows[i].code, true);
        const json_t *history = json_object_get(root, "history");
        assert_string_equal(text(json_array_get(history, 2), "reason"), text(engine, "reason"));
        json_decref(root);
        if (!rows[i].setting) {
            http_reply reply = http_post(s->port, EMBEDDING, body);
            expect_right_vector(&reply, "reader1_a.flac");
            http_reply_done(&reply);
        }
        assert_int_equal(service_stop(s), 0);
        service_check_log(s);
    }
    model_copy_done(&copy);
    free(body);
}

/* A name of bytes that are no UTF-8 is no reason to answer nothing. */
static void diagnostics_survive_any_name_of_a_folder(void **state)
{
    (void)state;
    static const char *const settings[] = {"ECAPA_CACHE_DIR=/tmp/voxlock-\xff\xfe", "VOXLOCK_LOAD_ATTEMPTS=1", NULL};
    service *s = service_start(settings);
    await_failure(s);
    json_t *root = get_json(s, "/startup-diagnostics", 200);
    assert_string_equal(text(root, "startup_state"), "FAILED");
    json_decref(root);
    assert_int_equal(service_stop(s), 0);
    service_check_log(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_damaged_model_is_never_used, service_reap),
        cmocka_unit_test_teardown(a_model_that_comes_late_serves_who_waited, service_reap),
        cmocka_unit_test_teardown(while_it_retries_the_deadline_and_signals_count, service_reap),
        cmocka_unit_test_teardown(who_waits_for_the_model_hears_of_the_end, service_reap),
        cmocka_unit_test_teardown(a_strategy_that_is_not_there_is_replaced_and_told, service_reap),
        cmocka_unit_test_teardown(what_cannot_be_opened_is_told_and_the_next_serves, service_reap),
        cmocka_unit_test_teardown(diagnostics_survive_any_name_of_a_folder, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
