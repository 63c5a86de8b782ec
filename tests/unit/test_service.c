/* test_service.c - start-up states, the way to the engine, the end; and reading audio out of requests. */
#include "cloud/service.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cloud/audio_input.h"
#include "shared/base/base64.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"

#define STARTER   "models/starter"
#define FOR_EVER  UINT64_MAX
#define N_SAMPLES VX_AUDIO_RATE

static vx_options *load_options(char *const *settings)
{
    const char *operands[1];
    int n_operands;
    vx_options *options = NULL;
    vx_errinfo info = {0};
    if (vx_options_load(VX_FOR_CLOUD, settings, 0, NULL, NULL, operands, &n_operands, &options, &info))
        fail_msg("%s", info.text);
    return options;
}

/* A service of its own for each test. */
typedef struct {
    vx_options *options;
    vx_service *service;
} fixture;

/* model NULL: the starter; extra: one more setting, or NULL. */
static fixture open_service_with(const char *model, char *extra)
{
    char folder[128];
    snprintf(folder, sizeof folder, "ECAPA_CACHE_DIR=%s", model ? model : STARTER);
    char threads[] = "VOXLOCK_THREADS=1", queue[] = "VOXLOCK_QUEUE=1", backoff[] = "VOXLOCK_LOAD_BACKOFF_MS=1";
    char *settings[] = {folder, threads, queue, backoff, extra, NULL};
    fixture f = {.options = load_options(settings)};
    vx_errinfo info = {0};
    if (vx_service_create(f.options, NULL, &f.service, &info))
        fail_msg("%s", info.text);
    return f;
}

static fixture open_service(const char *model)
{
    return open_service_with(model, NULL);
}

static void close_service(fixture *f)
{
    vx_service_destroy(f->service);
    vx_options_destroy(f->options);
}

/* Something with a level and no meaning. */
static vx_audio make_audio(void)
{
    vx_audio audio = {.samples = malloc(N_SAMPLES * sizeof(float)), .n = N_SAMPLES, .seconds = 1};
    assert_non_null(audio.samples);
    uint32_t state = 1;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        state = state * 1664525u + 1013904223u;
        audio.samples[i] = (float)(state >> 8) / 16777216.0f - 0.5f;
    }
    return audio;
}

/* ---- start-up -------------------------------------------------------------------------------------------------- */

static void a_request_waits_for_the_model(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_service_view view;
    vx_service_view_get(f.service, &view);
    assert_int_equal(view.state, VX_STARTUP_PENDING);
    assert_int_equal(vx_service_wait_ready(f.service, vx_now_ns() + 1000000, NULL), VX_ERR_NOT_READY);
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_wait_ready(f.service, FOR_EVER, NULL), VX_OK);
    vx_service_view_get(f.service, &view);
    assert_int_equal(view.state, VX_STARTUP_READY);
    assert_true(view.load_ms > 0);
    assert_true(view.warmup_ms == 0); /* off unless asked for */
    assert_true(view.startup_ms >= view.load_ms);
    assert_int_equal(view.info.threads, 1);
    assert_false(view.info.degraded);
    assert_true(view.self_test > 0.999); /* the starter's manifest holds the reference's embedding */
    assert_true(vx_service_uptime_s(f.service) > 0);
    close_service(&f);
}

static void a_missing_model_fails_in_the_end_and_says_so(void **state)
{
    (void)state;
    char attempts[] = "VOXLOCK_LOAD_ATTEMPTS=3";
    fixture f = open_service_with("tests/data/no-such-model", attempts);
    vx_service_view view;
    vx_startup_event events[VX_STARTUP_EVENTS];
    vx_errinfo info = {0};
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_wait_ready(f.service, FOR_EVER, &info), VX_ERR_NOT_READY);
    assert_non_null(strstr(info.text, "could not be loaded"));
    vx_service_view_get(f.service, &view);
    assert_int_equal(view.state, VX_STARTUP_FAILED);
    assert_string_equal(view.folder, "tests/data/no-such-model");
    assert_true(view.load_ms == 0);
    assert_int_equal(vx_service_history(f.service, events), 7); /* PENDING, and two for each attempt */
    assert_int_equal(events[6].attempt, 3);
    assert_non_null(strstr(events[6].reason, vx_err_code(VX_ERR_MODEL_MISSING)));
    assert_non_null(strstr(events[6].reason, "tests/data/no-such-model"));
    close_service(&f);
}

static void what_cannot_be_had_is_replaced_and_told(void **state)
{
    (void)state;
    char strategy[] = "ECAPA_PREFERRED_STRATEGY=jit";
    fixture f = open_service_with(NULL, strategy);
    vx_service_view view;
    vx_startup_event events[VX_STARTUP_EVENTS];
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_wait_ready(f.service, FOR_EVER, NULL), VX_OK);
    vx_service_view_get(f.service, &view);
    assert_int_equal(view.state, VX_STARTUP_DEGRADED);
    assert_true(view.info.degraded);
    assert_string_equal(view.info.strategy, "native");
    assert_non_null(strstr(view.info.reason, "'jit'"));
    int n = vx_service_history(f.service, events);
    assert_int_equal(events[n - 1].state, VX_STARTUP_DEGRADED);
    assert_string_equal(events[n - 1].reason, view.info.reason);
    close_service(&f);
}

static void a_service_may_end_before_it_started(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    close_service(&f);
    f = open_service(NULL);
    assert_int_equal(vx_service_start(f.service), VX_OK);
    close_service(&f);
}

static void an_instruction_set_of_another_machine_is_refused(void **state)
{
    (void)state;
    char isa[32];
    snprintf(isa, sizeof isa, "VOXLOCK_ISA=%s", vx_isa_available(VX_ISA_NEON) ? "avx2" : "neon");
    char *settings[] = {isa, NULL};
    vx_options *options = load_options(settings);
    vx_service *service = NULL;
    vx_errinfo info = {0};
    assert_int_equal(vx_service_create(options, NULL, &service, &info), VX_ERR_OPTION_VALUE);
    assert_null(service);
    assert_non_null(strstr(info.text, isa));
    vx_options_destroy(options);
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

static void embedding_goes_through_the_engine(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_engine_options engine_options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_audio audio = make_audio();
    vx_embedding ours, again, expected;
    vx_stage_times times = {0}, none = {0};
    double cosine = 0;
    bool cached = true;
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_embed(f.service, &audio, FOR_EVER, NULL, &ours, &times, &cached, NULL), VX_OK);
    assert_false(cached);
    assert_true(times.inference_ms > 0);
    assert_int_equal(vx_service_embed(f.service, &audio, FOR_EVER, NULL, &again, &none, &cached, NULL), VX_OK);
    assert_true(cached);
    assert_true(none.inference_ms == 0 && none.features_ms == 0);
    assert_memory_equal(again.values, ours.values, (size_t)ours.dim * sizeof *ours.values);
    assert_true(vx_model_digest_equal(&again.model, &ours.model));
    assert_int_equal(vx_engine_open(STARTER, &engine_options, &engine, NULL), VX_OK);
    assert_int_equal(vx_engine_embed(engine, audio.samples, audio.n, &expected, NULL, NULL), VX_OK);
    assert_int_equal(vx_embedding_cosine(&ours, &expected, &cosine), VX_OK);
    assert_true(cosine > 0.999999);
    vx_engine_close(engine);
    vx_audio_done(&audio);
    close_service(&f);
}

static void a_deadline_that_has_passed_costs_nothing(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_audio audio = make_audio();
    vx_embedding embedding;
    vx_stage_times times = {0};
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_wait_ready(f.service, FOR_EVER, NULL), VX_OK);
    bool cached;
    assert_int_equal(vx_service_embed(f.service, &audio, vx_now_ns(), NULL, &embedding, &times, &cached, NULL),
                     VX_ERR_DEADLINE);
    assert_true(times.inference_ms == 0);
    vx_audio_done(&audio);
    close_service(&f);
}

static void wait_for_close(void *arg, int worker)
{
    (void)worker;
    vx_service *service = arg;
    /* The model is never started: only closing ends this wait. */
    if (vx_service_wait_ready(service, FOR_EVER, NULL) != VX_ERR_CLOSED)
        abort();
}

static void the_queue_is_bounded_and_closing_empties_it(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    size_t waiting, running;
    int workers;
    int taken = 0;
    vx_err err;
    while ((err = vx_service_submit(f.service, (uint64_t)taken, wait_for_close, NULL, f.service)) == VX_OK)
        taken++;
    assert_int_equal(err, VX_ERR_BUSY);
    /* One for the worker and one to wait, whether or not the worker has woken up yet. */
    assert_int_equal(taken, 2);
    vx_service_queue(f.service, &waiting, &running, &workers);
    assert_int_equal(waiting + running, 2);
    assert_int_equal(workers, 1);
    vx_service_close(f.service);
    assert_int_equal(vx_service_submit(f.service, 0, wait_for_close, NULL, f.service), VX_ERR_CLOSED);
    vx_service_queue(f.service, &waiting, &running, &workers);
    assert_int_equal(waiting + running, 0);
    close_service(&f);
}

static void one_client_cannot_take_every_place(void **state)
{
    (void)state;
    char limit[] = "VOXLOCK_CLIENT_LIMIT=1";
    fixture f = open_service_with(NULL, limit);
    assert_int_equal(vx_service_submit(f.service, 1, wait_for_close, NULL, f.service), VX_OK);
    assert_int_equal(vx_service_submit(f.service, 1, wait_for_close, NULL, f.service), VX_ERR_LIMIT);
    assert_int_equal(vx_service_submit(f.service, 2, wait_for_close, NULL, f.service), VX_OK);
    close_service(&f);
}

/* Nothing is known before there is a model, and nothing of an unknown request. */
static void requests_are_recalled_once_the_model_serves(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_audio audio = make_audio(), known = {0};
    vx_cache_key request = {{1}}, other = {{2}}, key;
    vx_embedding embedding, recalled;
    vx_stage_times times = {0};
    int note = 0;
    bool cached;
    assert_false(vx_service_recall(f.service, &request, &recalled, &known, &note));
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_embed(f.service, &audio, FOR_EVER, &key, &embedding, &times, &cached, NULL), VX_OK);
    vx_service_remember(f.service, &request, &key, &audio, 3);
    assert_false(vx_service_recall(f.service, &other, &recalled, &known, &note));
    assert_true(vx_service_recall(f.service, &request, &recalled, &known, &note));
    assert_int_equal(note, 3);
    assert_null(known.samples);
    assert_int_equal(known.n, audio.n);
    assert_memory_equal(recalled.values, embedding.values, (size_t)embedding.dim * sizeof *embedding.values);
    vx_audio_done(&audio);
    close_service(&f);
}

static void audio_is_counted_in_whole_seconds_without_loss(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_audio audio = make_audio();
    vx_embedding embedding;
    vx_stage_times times = {0};
    audio.n = N_SAMPLES * 2 / 5;
    assert_int_equal(vx_service_start(f.service), VX_OK);
    bool cached;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(vx_service_embed(f.service, &audio, FOR_EVER, NULL, &embedding, &times, &cached, NULL), VX_OK);
        assert_int_equal(cached, i > 0);
    }
    vx_metric *counter =
        vx_metrics_counter(vx_service_metrics(f.service), "voxlock_audio_seconds_total", "Audio embedded.", "");
    assert_true(vx_metric_value(counter) == 2);
    vx_audio_done(&audio);
    close_service(&f);
}

/* What is read when asked for shows the state of the moment. */
static void gauges_follow_the_state(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_metrics *m = vx_service_metrics(f.service);
    vx_metric *pending = vx_metrics_gauge(m, "voxlock_startup_state", "", "state=\"PENDING\""),
              *ready = vx_metrics_gauge(m, "voxlock_startup_state", "", "state=\"READY\""),
              *serves = vx_metrics_gauge(m, "voxlock_ready", "", "");
    vx_service_refresh_gauges(f.service);
    assert_true(vx_metric_value(pending) == 1 && vx_metric_value(ready) == 0 && vx_metric_value(serves) == 0);
    assert_int_equal(vx_service_start(f.service), VX_OK);
    assert_int_equal(vx_service_wait_ready(f.service, FOR_EVER, NULL), VX_OK);
    vx_service_refresh_gauges(f.service);
    assert_true(vx_metric_value(pending) == 0 && vx_metric_value(ready) == 1 && vx_metric_value(serves) == 1);
    assert_true(vx_metric_value(vx_metrics_gauge(m, "voxlock_workers", "", "")) == 1);
    close_service(&f);
}

/* Every failed allocation is NOMEM, or a metric that stays away: those never fail anything. */
static void failed_allocations_are_survived(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    char folder[] = "ECAPA_CACHE_DIR=" STARTER, threads[] = "VOXLOCK_THREADS=1";
    char *settings[] = {folder, threads, NULL};
    vx_options *options = load_options(settings);
    size_t n_refused = 0, n = SIZE_MAX;
    for (size_t k = 1; n >= k - 1; k++) {
        vx_service *service = NULL;
        vx_alloc_fail_at(k);
        vx_err err = vx_service_create(options, NULL, &service, NULL);
        n = vx_alloc_count();
        vx_alloc_fail_at(0);
        n_refused += err != VX_OK;
        assert_true(err == VX_OK || (err == VX_ERR_NOMEM && !service));
        vx_service_destroy(service);
    }
    /* The service, its registry, two caches with two tables each, its breaker, its pools and threads. */
    assert_true(n_refused >= 12);
    vx_options_destroy(options);
}

/* ---- audio of requests ----------------------------------------------------------------------------------------- */

static void format_and_rate_of_json(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        vx_err err, told;
        vx_audio_format format;
        int rate;
    } rows[] = {
        {"{}", VX_OK, VX_OK, VX_FORMAT_DROP_IN, 16000},
        {"{\"format\":null,\"sample_rate\":null}", VX_OK, VX_OK, VX_FORMAT_DROP_IN, 16000},
        {"{\"format\":\"auto\"}", VX_OK, VX_OK, VX_FORMAT_AUTO, 16000},
        {"{\"format\":\"int16\",\"sample_rate\":8000}", VX_OK, VX_OK, VX_FORMAT_S16LE, 8000},
        {"{\"format\":\"pcm_f32le\",\"sample_rate\":192000}", VX_OK, VX_OK, VX_FORMAT_F32LE, 192000},
        {"{\"sample_rate\":44100.0}", VX_OK, VX_OK, VX_FORMAT_DROP_IN, 44100},
        {"{\"format\":\"m4a\"}", VX_ERR_JSON_FIELD, VX_ERR_AUDIO_FORMAT, 0, 0},
        {"{\"format\":1}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"sample_rate\":7999}", VX_ERR_AUDIO_RATE, VX_ERR_AUDIO_RATE, 0, 0},
        {"{\"sample_rate\":192001}", VX_ERR_AUDIO_RATE, VX_ERR_AUDIO_RATE, 0, 0},
        {"{\"sample_rate\":-16000}", VX_ERR_AUDIO_RATE, VX_ERR_AUDIO_RATE, 0, 0},
        {"{\"sample_rate\":1e300}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"sample_rate\":\"16000\"}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *root = json_loads(rows[i].json, 0, NULL);
        vx_audio_hint hint = {.format = VX_FORMAT_WAV, .rate = -1};
        vx_errinfo info = {0};
        vx_err err = vx_audio_hint_json(root, "format", "sample_rate", vx_audio_hint_default(), &hint, &info);
        if (err != rows[i].err || info.code != rows[i].told)
            fail_msg("%s: %s, told %s", rows[i].json, vx_err_code(err), vx_err_code(info.code));
        assert_int_equal(hint.format, err ? VX_FORMAT_WAV : rows[i].format);
        assert_int_equal(hint.rate, err ? -1 : rows[i].rate);
        json_decref(root);
    }
}

static void format_and_rate_of_a_query(void **state)
{
    (void)state;
    static const struct {
        const char *format, *rate;
        vx_err err;
        vx_audio_format expected_format;
        int expected_rate;
    } rows[] = {
        {NULL, NULL, VX_OK, VX_FORMAT_AUTO, 16000},
        {"wav", NULL, VX_OK, VX_FORMAT_WAV, 16000},
        {"int16", "48000", VX_OK, VX_FORMAT_S16LE, 48000},
        {"", NULL, VX_ERR_JSON_FIELD, 0, 0},
        {"int16", "", VX_ERR_JSON_FIELD, 0, 0},
        {"int16", "16k", VX_ERR_JSON_FIELD, 0, 0},
        {"int16", "99999999999999999999", VX_ERR_JSON_FIELD, 0, 0},
        {"int16", "0", VX_ERR_AUDIO_RATE, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vx_request request = {.format = rows[i].format, .sample_rate = rows[i].rate};
        vx_audio_hint hint = {0};
        vx_errinfo info = {0};
        assert_int_equal(vx_audio_hint_query(&request, &hint, &info), rows[i].err);
        if (!rows[i].err) {
            assert_int_equal(hint.format, rows[i].expected_format);
            assert_int_equal(hint.rate, rows[i].expected_rate);
        }
    }
}

static void a_body_must_be_a_json_object(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        vx_err err;
    } rows[] = {
        {"", VX_ERR_JSON_SYNTAX},  {"{", VX_ERR_JSON_SYNTAX},
        {"[]", VX_ERR_JSON_FIELD}, {"1", VX_ERR_JSON_FIELD},
        {"{\"a\":1}", VX_OK},      {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", VX_ERR_JSON_LIMIT},
        {" {} ", VX_OK},           {"{}{}", VX_ERR_JSON_SYNTAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vx_request request = {.kind = VX_BODY_JSON};
        json_t *root = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_buf_append(&request.body, rows[i].body, strlen(rows[i].body)), VX_OK);
        vx_err err = vx_input_json(&request, &root, &info);
        if (err != rows[i].err)
            fail_msg("'%s' is %s", rows[i].body, vx_err_code(err));
        assert_int_equal(root != NULL, err == VX_OK);
        json_decref(root);
        vx_buf_done(&request.body);
    }
}

/* The same samples as bytes and as base64 are the same audio; a wrong character is named. */
static void base64_and_bytes_agree(void **state)
{
    (void)state;
    fixture f = open_service(NULL);
    vx_audio source = make_audio(), plain = {0}, coded = {0}, none = {0};
    size_t n_bytes = source.n * sizeof(float), len = vx_base64_encoded_len(n_bytes);
    char *text = malloc(len + 1);
    vx_stage_times times = {0};
    vx_errinfo info = {0};
    assert_non_null(text);
    vx_base64_encode((const uint8_t *)source.samples, n_bytes, text);
    vx_audio_hint hint = {.format = VX_FORMAT_F32LE, .rate = VX_AUDIO_RATE};
    assert_int_equal(vx_audio_from_bytes(f.service, source.samples, n_bytes, hint, &plain, &times, NULL), VX_OK);
    assert_int_equal(vx_audio_from_base64(f.service, "x", text, len, hint, &coded, &times, NULL), VX_OK);
    assert_int_equal(plain.n, source.n);
    assert_int_equal(coded.n, source.n);
    assert_memory_equal(plain.samples, source.samples, n_bytes);
    assert_memory_equal(coded.samples, source.samples, n_bytes);
    assert_true(times.decode_ms > 0);
    text[8] = '!';
    assert_int_equal(vx_audio_from_base64(f.service, "x", text, len, hint, &none, &times, &info), VX_ERR_BASE64);
    assert_non_null(strstr(info.text, "character 9 "));
    assert_null(none.samples);
    free(text);
    vx_audio_done(&source);
    vx_audio_done(&plain);
    vx_audio_done(&coded);
    close_service(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_waits_for_the_model),
        cmocka_unit_test(a_missing_model_fails_in_the_end_and_says_so),
        cmocka_unit_test(what_cannot_be_had_is_replaced_and_told),
        cmocka_unit_test(a_service_may_end_before_it_started),
        cmocka_unit_test(an_instruction_set_of_another_machine_is_refused),
        cmocka_unit_test(embedding_goes_through_the_engine),
        cmocka_unit_test(a_deadline_that_has_passed_costs_nothing),
        cmocka_unit_test(the_queue_is_bounded_and_closing_empties_it),
        cmocka_unit_test(one_client_cannot_take_every_place),
        cmocka_unit_test(requests_are_recalled_once_the_model_serves),
        cmocka_unit_test(audio_is_counted_in_whole_seconds_without_loss),
        cmocka_unit_test(gauges_follow_the_state),
        cmocka_unit_test(failed_allocations_are_survived),
        cmocka_unit_test(format_and_rate_of_json),
        cmocka_unit_test(format_and_rate_of_a_query),
        cmocka_unit_test(a_body_must_be_a_json_object),
        cmocka_unit_test(base64_and_bytes_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
