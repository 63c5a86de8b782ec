/* test_contract.c - what every field of every answer says, held against the engine and the manifest; that each answer is
 * of the documented form, openapi_check says.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define VERIFY    "/api/ml/speaker_verify"
#define BATCH     "/api/ml/batch_embedding"

/* Answers round times and levels to three places. */
#define ROUNDING  0.0006

typedef struct {
    service *s;
    json_t *document, *manifest;
    float reader1_a[CLIP_DIM], reader1_b[CLIP_DIM], reader3_a[CLIP_DIM];
} fixture;

static void expected_of(const char *name, float ret_values[CLIP_DIM])
{
    vx_audio audio = clip_audio(name);
    clip_expected(&audio, ret_values);
    vx_audio_done(&audio);
}

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    /* Without its cache, so that every request is computed and timed; with a warm-up, so that it has a time to tell. */
    static const char *const settings[] = {"ECAPA_CACHE_SIZE=0", "ECAPA_WARMUP_ON_START=true", NULL};
    f.s = service_start_ready(settings);
    f.document = openapi_load();
    f.manifest = json_load_file("models/starter/.optimization_manifest.json", 0, NULL);
    expected_of("reader1_a.flac", f.reader1_a);
    expected_of("reader1_b.flac", f.reader1_b);
    expected_of("reader3_a.flac", f.reader3_a);
    return f.manifest ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    json_decref(f->manifest);
    return service_reap(state);
}

/* "model.name": a value deep in an object. */
static const json_t *at(const json_t *root, const char *path)
{
    char copy[128], *rest = copy, *step;
    snprintf(copy, sizeof copy, "%s", path);
    while (root && (step = strsep(&rest, ".")))
        root = json_object_get(root, step);
    if (!root)
        fail_msg("there is no '%s'", path);
    return root;
}

static double number(const json_t *root, const char *path)
{
    assert_true(json_is_number(at(root, path)));
    return json_number_value(at(root, path));
}

static const char *text(const json_t *root, const char *path)
{
    assert_true(json_is_string(at(root, path)));
    return json_string_value(at(root, path));
}

static void check_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g instead of %.9g", got, expected);
}

/* Posts, checks the form, and returns the answer of a 200. */
static json_t *post(const fixture *f, const char *path, const char *body)
{
    http_reply reply = http_post(f->s->port, path, body);
    openapi_check(f->document, path, "POST", &reply);
    json_t *root = http_json(&reply);
    if (reply.status != 200)
        fail_msg("%s is answered %d: %s", path, reply.status, text(root, "detail"));
    char id[128];
    assert_true(http_header(&reply, "X-Request-Id", id, sizeof id));
    assert_string_equal(text(root, "request_id"), id);
    http_reply_done(&reply);
    return root;
}

static json_t *post_clip(const fixture *f, const char *path, const char *name, const char *more)
{
    char *body = clip_file_json(name, more);
    json_t *root = post(f, path, body);
    free(body);
    return root;
}

static void check_model(const fixture *f, const json_t *root)
{
    char digest[128];
    snprintf(digest, sizeof digest, "sha256:%s", text(f->manifest, "artefacts.native.sha256"));
    assert_string_equal(text(root, "model"), digest);
    assert_string_equal(text(root, "model_name"), text(f->manifest, "model.name"));
}

static void check_engine(const json_t *root)
{
    assert_string_equal(text(root, "engine.strategy"), "native");
    assert_string_equal(text(root, "engine.precision"), "f32");
    assert_true(strlen(text(root, "engine.gemm")) > 0 && strlen(text(root, "engine.isa")) > 0);
}

/* The parts are inside the whole. n_clips: how often features and inference ran. */
static void check_timing(const json_t *root, int n_clips)
{
    const double total = number(root, "timing_ms.total"), inference = number(root, "timing_ms.inference");
    const double parts = number(root, "timing_ms.decode") + number(root, "timing_ms.features") + inference +
                         number(root, "timing_ms.queue");
    check_near(number(root, "processing_time_ms"), total, ROUNDING);
    assert_true(parts <= total + 5 * ROUNDING);
    assert_true(n_clips == 0 || inference > 0);
    assert_true(total < PATIENCE_MS);
}

static void check_audio(const json_t *part, const char *name)
{
    vx_audio audio = clip_audio(name);
    check_near(number(part, "seconds"), audio.seconds, ROUNDING);
    check_near(number(part, "level_dbfs"), audio.level_dbfs, ROUNDING);
    check_near(number(part, "clipped_share"), audio.clipped_share, 1e-9);
    assert_int_equal(number(part, "sample_rate"), audio.source_rate);
    assert_int_equal(number(part, "channels"), audio.source_channels);
    assert_string_equal(text(part, "format"), audio.format);
    vx_audio_done(&audio);
}

static void check_embedding(const json_t *array, const float expected[CLIP_DIM])
{
    float got[CLIP_DIM];
    double sum = 0;
    clip_values(array, got);
    assert_memory_equal(got, expected, sizeof got);
    for (int i = 0; i < CLIP_DIM; i++)
        sum += (double)got[i] * (double)got[i];
    check_near(sum, 1, 1e-5);
}

/* ---- embedding -------------------------------------------------------------------------------------------------- */

static void an_embedding_says_where_it_comes_from(void **state)
{
    const fixture *f = *state;
    json_t *root = post_clip(f, EMBEDDING, "reader1_a.flac", "");
    assert_true(json_is_true(at(root, "success")));
    check_embedding(at(root, "embedding"), f->reader1_a);
    assert_int_equal(number(root, "embedding_size"), CLIP_DIM);
    assert_true(json_is_null(at(root, "error")));
    check_model(f, root);
    check_engine(root);
    check_audio(at(root, "audio"), "reader1_a.flac");
    check_timing(root, 1);
    json_decref(root);

    root = post_clip(f, EMBEDDING, "reader1_a_44k_stereo.wav", "");
    check_audio(at(root, "audio"), "reader1_a_44k_stereo.wav");
    assert_int_equal(number(root, "audio.sample_rate"), 44100);
    assert_int_equal(number(root, "audio.channels"), 2);
    json_decref(root);
}

/* 9 digits are enough to tell every float32 from its neighbours; fewer are not. */
static void embeddings_are_written_so_that_floats_round_trip(void **state)
{
    const fixture *f = *state;
    char *body = clip_file_json("reader1_a.flac", "");
    http_reply reply = http_post(f->s->port, EMBEDDING, body);
    assert_int_equal(reply.status, 200);
    char *at_number = strstr((char *)reply.body.data, "\"embedding\":[");
    assert_non_null(at_number);
    at_number += strlen("\"embedding\":[");
    for (int i = 0; i < CLIP_DIM; i++) {
        char *end;
        const float got = strtof(at_number, &end);
        assert_memory_equal(&got, &f->reader1_a[i], sizeof got);
        assert_true(end - at_number <= 16);
        assert_int_equal(*end, i + 1 < CLIP_DIM ? ',' : ']');
        at_number = end + 1;
    }
    http_reply_done(&reply);
    free(body);
}

static void bare_vectors_say_the_rest_in_headers(void **state)
{
    const fixture *f = *state;
    static const char *const headers[] = {"Content-Type: audio/flac", "Accept: application/octet-stream, */*;q=0.1",
                                          "X-Request-Id: bare-1", NULL};
    vx_buf file = clip_file("reader1_a.flac"), bytes = clip_f32(f->reader1_a, CLIP_DIM);
    http_reply reply = http_call(
        f->s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = file.data, .len = file.len});
    openapi_check(f->document, EMBEDDING, "POST", &reply);
    assert_int_equal(reply.status, 200);
    assert_true(http_header_is(&reply, "Content-Type", "application/octet-stream"));
    assert_int_equal(reply.body.len, bytes.len);
    assert_memory_equal(reply.body.data, bytes.data, bytes.len);

    char value[256];
    assert_true(http_header(&reply, "Voxlock-Model", value, sizeof value));
    assert_string_equal(value + strlen("sha256:"), text(f->manifest, "artefacts.native.sha256"));
    assert_true(http_header_is(&reply, "Voxlock-Model-Name", text(f->manifest, "model.name")));
    assert_true(http_header_is(&reply, "Voxlock-Embedding-Size", "192"));
    assert_true(http_header_is(&reply, "Voxlock-Cached", ""));
    assert_true(http_header_is(&reply, "Voxlock-Engine", "strategy=native; gemm="));
    assert_true(http_header_is(&reply, "X-Request-Id", "bare-1"));
    assert_true(http_header(&reply, "Voxlock-Audio", value, sizeof value));
    assert_non_null(
        strstr(value, "seconds=3.535; sample_rate=16000; channels=1; format=flac; clipped_share=0; level_dbfs=-"));
    assert_true(http_header(&reply, "Server-Timing", value, sizeof value));
    static const char *const stages[] = {"decode;dur=", "features;dur=", "inference;dur=", "queue;dur=", "total;dur="};
    for (size_t i = 0; i < 5; i++) {
        const char *stage = strstr(value, stages[i]);
        assert_non_null(stage);
        assert_true(strtod(stage + strlen(stages[i]), NULL) >= 0);
    }
    http_reply_done(&reply);
    vx_buf_done(&bytes);
    vx_buf_done(&file);
}

/* JSON is what a client gets that does not ask for bytes first. */
static void json_is_the_default(void **state)
{
    const fixture *f = *state;
    static const char *const accepts[] = {"Accept:",
                                          "Accept: */*",
                                          "Accept: application/json",
                                          "Accept: application/json, application/octet-stream",
                                          "Accept: audio/x",
                                          "Accept: application/octet-streams",
                                          "Accept: ;;;,"};
    char *body = clip_file_json("reader1_a.flac", "");
    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        const char *const headers[] = {"Content-Type: application/json", "Expect:", accepts[i], NULL};
        http_reply reply = http_call(
            f->s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = body, .len = strlen(body)});
        if (reply.status != 200 || !http_header_is(&reply, "Content-Type", "application/json"))
            fail_msg("%s: %d", accepts[i], reply.status);
        http_reply_done(&reply);
    }
    free(body);
}

/* ---- verify ----------------------------------------------------------------------------------------------------- */

/* An embedding as a further member of a request, and more behind it; freed by the caller. */
static char *with_reference(const float values[CLIP_DIM], double scale, const char *more)
{
    vx_buf out = {0};
    vx_err err = vx_buf_printf(&out, ", \"reference_embedding\": [");
    for (int i = 0; i < CLIP_DIM && !err; i++)
        err = vx_buf_printf(&out, "%s%.9g", i ? "," : "", (double)values[i] * scale);
    if (!err)
        err = vx_buf_printf(&out, "]%s", more);
    assert_int_equal(err, VX_OK);
    return (char *)out.data;
}

static void check_verdict(const fixture *f, const json_t *root, double cosine, double threshold)
{
    const double slope = number(f->manifest, "scores.calibration.slope");
    const double offset = number(f->manifest, "scores.calibration.offset");
    const double similarity = number(root, "similarity");
    assert_true(json_is_true(at(root, "success")));
    assert_true(json_is_null(at(root, "error")));
    check_near(similarity, cosine, 1e-6);
    check_near(number(root, "confidence"), (similarity + 1) / 2, 1e-8);
    check_near(number(root, "threshold"), threshold, 1e-9);
    assert_int_equal(json_is_true(at(root, "verified")), similarity >= threshold);
    check_near(number(root, "probability"), 1 / (1 + exp(-(slope * similarity + offset))), 1e-6);
    check_model(f, root);
    check_audio(at(root, "audio"), "reader1_a.flac");
}

static void verify_compares_with_a_stored_embedding(void **state)
{
    const fixture *f = *state;
    const double own = number(f->manifest, "scores.threshold");
    const struct {
        const float *reference;
        double scale;
        const char *more;
        double threshold;
    } cases[] = {
        {f->reader1_a, 1, "", own},
        {f->reader1_b, 1, "", own},
        {f->reader3_a, 1, "", own},
        {f->reader3_a, 1, ", \"threshold\": -1", -1},
        {f->reader1_a, 1, ", \"threshold\": 1", 1},
        {f->reader1_b, 1, ", \"threshold\": null", own},
        {f->reader1_b, 1, ", \"threshold\": 0", 0},
        {f->reader1_b, 1000, ", \"threshold\": 0.25, \"sample_rate\": 16000, \"format\": \"flac\"", 0.25},
        {f->reader1_b, 1e-4, "", own},
        {f->reader1_b, -1, "", own},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *more = with_reference(cases[i].reference, cases[i].scale, cases[i].more);
        json_t *root = post_clip(f, VERIFY, "reader1_a.flac", more);
        const double sign = cases[i].scale < 0 ? -1 : 1;
        check_verdict(f, root, sign * clip_cosine(f->reader1_a, cases[i].reference), cases[i].threshold);
        check_timing(root, 1);
        json_decref(root);
        free(more);
    }
}

static void verify_compares_with_a_second_recording(void **state)
{
    const fixture *f = *state;
    vx_audio audio = clip_audio("reader1_b.flac");
    vx_buf file = clip_file("reader1_b.flac"), raw = clip_s16(audio.samples, audio.n);
    char *flac = clip_base64(file.data, file.len), *s16 = clip_base64(raw.data, raw.len);
    const size_t cap = strlen(s16) + 128;
    char *more = malloc(cap);
    assert_non_null(more);
    const double cosine = clip_cosine(f->reader1_a, f->reader1_b), own = number(f->manifest, "scores.threshold");
    for (int form = 0; form < 3; form++) {
        snprintf(more, cap, ", \"reference_audio\": \"%s\"%s", form == 2 ? s16 : flac,
                 form == 0   ? ""
                 : form == 1 ? ", \"reference_format\": \"flac\", \"format\": \"flac\""
                             : ", \"reference_format\": \"int16\", \"reference_sample_rate\": 16000");
        json_t *root = post_clip(f, VERIFY, "reader1_a.flac", more);
        check_verdict(f, root, cosine, own);
        check_timing(root, 2);
        json_decref(root);
    }
    free(more);
    free(flac);
    free(s16);
    vx_buf_done(&file);
    vx_buf_done(&raw);
    vx_audio_done(&audio);
}

static void verify_takes_a_reference_of_its_own_model_only(void **state)
{
    const fixture *f = *state;
    char model[256];
    snprintf(model, sizeof model, ", \"reference_model\": \"sha256:%s\"", text(f->manifest, "artefacts.native.sha256"));
    char *more = with_reference(f->reader1_b, 1, model);
    json_t *root = post_clip(f, VERIFY, "reader1_a.flac", more);
    check_near(number(root, "similarity"), clip_cosine(f->reader1_a, f->reader1_b), 1e-6);
    json_decref(root);
    free(more);

    more = with_reference(f->reader1_b, 1,
                          ", \"reference_model\": \"sha256:"
                          "0000000000000000000000000000000000000000000000000000000000000000\"");
    char *body = clip_file_json("reader1_a.flac", more);
    http_reply reply = http_post(f->s->port, VERIFY, body);
    openapi_expect_problem(f->document, VERIFY, &reply, 409, "model_mismatch");
    free(body);
    free(more);
}

/* ---- batch ------------------------------------------------------------------------------------------------------ */

static void a_batch_answers_each_item_on_its_own(void **state)
{
    const fixture *f = *state;
    vx_buf a = clip_file("reader1_a.flac"), b = clip_file("reader1_b.flac");
    char *a64 = clip_base64(a.data, a.len), *b64 = clip_base64(b.data, b.len);
    json_t *body = json_pack("{s:[s,s,s,s,n,i,s]}", "audio_samples", a64, "!", b64, "", 7, a64);
    static const char *const codes[] = {NULL, "bad_base64", NULL, "empty_audio", "bad_field", "bad_field", NULL};
    const float *const expected[] = {f->reader1_a, NULL, f->reader1_b, NULL, NULL, NULL, f->reader1_a};
    char *json = json_dumps(body, 0);
    json_t *root = post(f, BATCH, json);
    assert_true(json_is_true(at(root, "success")));
    assert_int_equal(json_array_size(at(root, "embeddings")), 7);
    assert_int_equal(json_array_size(at(root, "errors")), 7);
    for (size_t i = 0; i < 7; i++) {
        const json_t *values = json_array_get(at(root, "embeddings"), i),
                     *error = json_array_get(at(root, "errors"), i);
        if (expected[i]) {
            check_embedding(values, expected[i]);
            assert_true(json_is_null(error));
        } else {
            assert_true(json_is_null(values));
            assert_string_equal(text(error, "code"), codes[i]);
            assert_true(strlen(text(error, "detail")) > 10);
        }
    }
    assert_int_equal(number(root, "embedding_size"), CLIP_DIM);
    check_model(f, root);
    check_engine(root);
    check_timing(root, 3);
    json_decref(root);
    json_decref(body);
    free(json);
    free(a64);
    free(b64);
    vx_buf_done(&a);
    vx_buf_done(&b);
}

static void a_rich_batch_gives_ids_back(void **state)
{
    const fixture *f = *state;
    vx_audio audio = clip_audio("reader1_b.flac");
    vx_buf a = clip_file("reader1_a.flac"), b = clip_s16(audio.samples, audio.n);
    char *a64 = clip_base64(a.data, a.len), *b64 = clip_base64(b.data, b.len);
    json_t *body = json_pack("{s:s, s:[{s:s,s:s,s:s},{s:i,s:s},{s:n,s:s,s:s},{s:s},{s:s,s:s,s:s},{s:s,s:s,s:i}]}",
                             "format", "int16", "items", "id", "first", "audio_data", a64, "format", "auto", "id", 2,
                             "audio_data", b64, "id", "audio_data", a64, "format", "wav", "id", "no audio", "id", "",
                             "audio_data", a64, "format", "aiff", "id", "rate", "audio_data", b64, "sample_rate", 7999);
    assert_non_null(body);
    static const struct {
        const char *id, *code;
    } answers[] = {{"\"first\"", NULL},
                   {"2", NULL},
                   {"null", "unknown_audio_format"},
                   {"\"no audio\"", "bad_field"},
                   {"\"\"", "unknown_audio_format"},
                   {"\"rate\"", "sample_rate_out_of_range"}};
    char *json = json_dumps(body, 0);
    json_t *root = post(f, BATCH, json);
    const json_t *items = at(root, "items");
    assert_int_equal(json_array_size(items), 6);
    for (size_t i = 0; i < 6; i++) {
        const json_t *item = json_array_get(items, i);
        json_t *id = json_loads(answers[i].id, JSON_DECODE_ANY, NULL);
        assert_true(json_equal(at(item, "id"), id));
        json_decref(id);
        assert_int_equal(json_is_true(at(item, "success")), !answers[i].code);
        if (answers[i].code) {
            assert_string_equal(text(item, "code"), answers[i].code);
            assert_true(strlen(text(item, "error")) > 10);
        } else {
            check_embedding(at(item, "embedding"), i == 0 ? f->reader1_a : f->reader1_b);
            assert_int_equal(number(item, "embedding_size"), CLIP_DIM);
        }
    }
    check_audio(at(json_array_get(items, 0), "audio"), "reader1_a.flac");
    check_timing(root, 2);
    json_decref(root);
    json_decref(body);
    free(json);
    free(a64);
    free(b64);
    vx_buf_done(&a);
    vx_buf_done(&b);
    vx_audio_done(&audio);
}

/* ---- health, status, metrics ------------------------------------------------------------------------------------ */

static json_t *get(const fixture *f, const char *path)
{
    http_reply reply = http_get(f->s->port, path);
    openapi_check(f->document, path, "GET", &reply);
    assert_int_equal(reply.status, 200);
    json_t *root = http_json(&reply);
    http_reply_done(&reply);
    return root;
}

/* "2026-01-31T12:34:56.789Z" */
static void check_timestamp(const char *stamp)
{
    assert_int_equal(strlen(stamp), 24);
    for (size_t i = 0; i < 24; i++) {
        const char *shape = "dddd-dd-ddTdd:dd:dd.dddZ";
        assert_true(shape[i] == 'd' ? stamp[i] >= '0' && stamp[i] <= '9' : stamp[i] == shape[i]);
    }
}

static void health_says_that_it_is_ready(void **state)
{
    const fixture *f = *state;
    json_t *root = get(f, "/health");
    assert_string_equal(text(root, "status"), "healthy");
    assert_true(json_is_true(at(root, "ecapa_ready")));
    assert_string_equal(text(root, "startup_state"), "READY");
    assert_string_equal(text(root, "load_source"), "prebaked_native");
    assert_true(json_is_true(at(root, "using_prebaked_cache")));
    assert_true(number(root, "load_time_ms") > 0);
    assert_true(number(root, "startup_duration_ms") >= number(root, "load_time_ms") - ROUNDING);
    assert_string_equal(text(root, "version"), VX_VERSION);
    check_timestamp(text(root, "timestamp"));
    assert_true(json_is_null(at(root, "error")));
    json_decref(root);
    root = get(f, "/api/ml/health");
    assert_string_equal(text(root, "status"), "healthy");
    assert_true(json_is_true(at(root, "ecapa_ready")));
    json_decref(root);
    root = get(f, "/health/live");
    assert_string_equal(text(root, "status"), "alive");
    json_decref(root);
}

static void status_describes_the_service(void **state)
{
    const fixture *f = *state;
    json_t *root = get(f, "/status");
    assert_string_equal(text(root, "service"), "voxlock-cloud");
    assert_string_equal(text(root, "version"), VX_VERSION);
    assert_string_equal(text(root, "startup_state"), "READY");
    assert_true(number(root, "uptime_seconds") * 1e3 >= number(root, "startup_duration_ms") - 1);
    check_engine(root);
    assert_true(number(root, "engine.threads_per_clip") >= 1);
    assert_true(strlen(text(root, "engine.reason")) > 10);
    assert_string_equal(text(root, "model.digest") + strlen("sha256:"), text(f->manifest, "artefacts.native.sha256"));
    static const char *const same[] = {"name", "source", "licence", "accuracy"};
    for (size_t i = 0; i < 4; i++) {
        char path[32];
        snprintf(path, sizeof path, "model.%s", same[i]);
        assert_string_equal(text(root, path), text(f->manifest, path));
    }
    check_near(number(root, "model.threshold"), number(f->manifest, "scores.threshold"), 1e-9);
    assert_true(json_is_true(at(root, "model.calibrated")));
    assert_true(number(root, "model.weights_bytes") > 1e6);
    assert_true(number(root, "model.load_ms") > 0 && number(root, "model.warmup_ms") > 0);
    assert_true(number(root, "queue.workers") >= 1);
    assert_int_equal(number(root, "queue.limit"), 64);
    assert_int_equal(number(root, "queue.waiting"), 0);
    const double resident = number(root, "memory.resident_bytes"), peak = number(root, "memory.resident_peak_bytes");
    assert_true(resident > 1e6 && peak >= resident * 0.99);
    check_timestamp(text(root, "timestamp"));
    json_decref(root);
}

/* A sample's value; -1 when there is no such series. */
static double metric(const http_reply *reply, const char *series)
{
    const size_t len = strlen(series);
    for (const char *line = (const char *)reply->body.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    return -1;
}

/* Every line is a comment of the format or a series with a number, and every documented name is there. */
static void check_exposition(const fixture *f, const http_reply *reply)
{
    char *copy = strdup((const char *)reply->body.data), *rest = copy, *line;
    assert_int_equal(reply->body.data[reply->body.len - 1], '\n');
    while ((line = strsep(&rest, "\n"))) {
        char *end, *value = strrchr(line, ' ');
        if (!*line || strncmp(line, "# HELP voxlock_", 15) == 0 || strncmp(line, "# TYPE voxlock_", 15) == 0)
            continue;
        if (strncmp(line, "voxlock_", 8) != 0 || !value || (strtod(value + 1, &end), *end))
            fail_msg("not a line of the Prometheus format: %s", line);
    }
    free(copy);
    const json_t *operation = openapi_operation(f->document, "/metrics", "GET");
    char names[1024], *name;
    snprintf(names, sizeof names, "%s", text(operation, "responses.200.description"));
    for (rest = names; (name = strsep(&rest, ", "));) {
        char type[128];
        snprintf(type, sizeof type, "# TYPE %s ", name);
        if (*name && !strstr((const char *)reply->body.data, type))
            fail_msg("the metric %s is documented and not there", name);
    }
}

static void metrics_count_what_happens(void **state)
{
    const fixture *f = *state;
    const char *const counted[] = {"voxlock_requests_total{route=\"" EMBEDDING "\",status=\"200\"}",
                                   "voxlock_requests_total{route=\"" EMBEDDING "\",status=\"422\"}",
                                   "voxlock_requests_total{route=\"other\",status=\"404\"}",
                                   "voxlock_request_seconds_count{route=\"" EMBEDDING "\"}",
                                   "voxlock_stage_seconds_count{stage=\"decode\"}",
                                   "voxlock_stage_seconds_count{stage=\"network\"}",
                                   "voxlock_audio_seconds_total"};
    /* Two clips of 3.535 s, one request without audio, one unknown path. */
    static const double least[] = {2, 1, 1, 3, 2, 2, 6}, most[] = {2, 1, 1, 3, 2, 2, 9};
    double before[7];
    char *body = clip_file_json("reader1_a.flac", "");
    /* Every series exists before it is looked at. */
    for (int round = 0; round < 2; round++) {
        http_reply reply = http_get(f->s->port, "/metrics");
        openapi_check(f->document, "/metrics", "GET", &reply);
        assert_true(http_header_is(&reply, "Content-Type", "text/plain; version=0.0.4"));
        check_exposition(f, &reply);
        for (size_t i = 0; i < 7; i++)
            before[i] = fmax(metric(&reply, counted[i]), 0);
        http_reply_done(&reply);
        for (int i = 0; i < 2; i++)
            json_decref(post(f, EMBEDDING, body));
        reply = http_post(f->s->port, EMBEDDING, "{}");
        http_reply_done(&reply);
        reply = http_get(f->s->port, "/nowhere/in/particular?of=no&importance");
        http_reply_done(&reply);
    }
    free(body);
    http_reply reply = http_get(f->s->port, "/metrics");
    for (size_t i = 0; i < 7; i++) {
        const double more = metric(&reply, counted[i]) - before[i];
        if (more < least[i] || more > most[i])
            fail_msg("%s rose by %g instead of %g", counted[i], more, least[i]);
    }
    assert_true(metric(&reply, "voxlock_ready") == 1);
    assert_true(metric(&reply, "voxlock_build_info{version=\"" VX_VERSION "\"}") == 1);
    assert_true(metric(&reply, "voxlock_in_flight") == 1); /* this one */
    assert_true(metric(&reply, "voxlock_workers") >= 1);
    assert_true(metric(&reply, "voxlock_resident_bytes") > 1e6);
    /* A path that a client invents is no series of its own. */
    assert_null(strstr((const char *)reply.body.data, "nowhere"));
    http_reply_done(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_embedding_says_where_it_comes_from),
        cmocka_unit_test(embeddings_are_written_so_that_floats_round_trip),
        cmocka_unit_test(bare_vectors_say_the_rest_in_headers),
        cmocka_unit_test(json_is_the_default),
        cmocka_unit_test(verify_compares_with_a_stored_embedding),
        cmocka_unit_test(verify_compares_with_a_second_recording),
        cmocka_unit_test(verify_takes_a_reference_of_its_own_model_only),
        cmocka_unit_test(a_batch_answers_each_item_on_its_own),
        cmocka_unit_test(a_rich_batch_gives_ids_back),
        cmocka_unit_test(health_says_that_it_is_ready),
        cmocka_unit_test(status_describes_the_service),
        cmocka_unit_test(metrics_count_what_happens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
