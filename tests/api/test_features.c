/* test_features.c - identification, the forms of an embedding, prewarm, diagnostics, traces, timings, CORS, and the
 * bound on all bodies together, each as a client meets it.
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

#include "shared/base/base64.h"
#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define IDENTIFY  "/api/ml/speaker_identify"
#define BATCH     "/api/ml/batch_embedding"

enum { READERS = 4 };

typedef struct {
    service *s;
    char *probe;                    /* base64 of reader1_a */
    float probe_values[CLIP_DIM];   /* its embedding */
    float known[READERS][CLIP_DIM]; /* embeddings of reader1_b, reader2_b, ... */
    char model[80];                 /* the model's digest */
} fixture;

static void embedding_of(const char *name, float ret_values[CLIP_DIM])
{
    vx_audio audio = clip_audio(name);
    clip_expected(&audio, ret_values);
    vx_audio_done(&audio);
}

static int set_up(void **state)
{
    static const char *const names[READERS] = {"reader1_b.flac", "reader2_b.flac", "reader3_b.flac", "reader4_b.flac"};
    static const char *const settings[] = {"VOXLOCK_GCP_PROJECT=my-project", NULL};
    static fixture f;
    *state = &f;
    vx_buf file = clip_file("reader1_a.flac");
    f.probe = clip_base64(file.data, file.len);
    vx_buf_done(&file);
    embedding_of("reader1_a.flac", f.probe_values);
    for (int i = 0; i < READERS; i++)
        embedding_of(names[i], f.known[i]);
    f.s = service_start_ready(settings);
    http_reply reply = http_get(f.s->port, "/status");
    json_t *root = http_json(&reply);
    snprintf(f.model, sizeof f.model, "%s",
             json_string_value(json_object_get(json_object_get(root, "model"), "digest")));
    json_decref(root);
    http_reply_done(&reply);
    return 0;
}

static int tear_down(void **state)
{
    free(((fixture *)*state)->probe);
    return service_reap(state);
}

static const char *text(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));
    return value ? value : "";
}

static double real(const json_t *root, const char *key)
{
    assert_true(json_is_number(json_object_get(root, key)));
    return json_number_value(json_object_get(root, key));
}

/* Takes the body. */
static http_reply post(const fixture *f, const char *path, json_t *body)
{
    char *dumped = json_dumps(body, 0);
    assert_non_null(dumped);
    http_reply reply = http_post(f->s->port, path, dumped);
    free(dumped);
    json_decref(body);
    return reply;
}

static json_t *post_ok(const fixture *f, const char *path, json_t *body)
{
    http_reply reply = post(f, path, body);
    if (reply.status != 200)
        fail_msg("%s is answered %d: %s", path, reply.status, (const char *)reply.body.data);
    json_t *root = http_json(&reply);
    http_reply_done(&reply);
    return root;
}

static void expect_problem(const fixture *f, const char *path, json_t *body, int status, const char *code,
                           const char *says)
{
    http_reply reply = post(f, path, body);
    json_t *root = http_json(&reply);
    if (reply.status != status || strcmp(text(root, "code"), code) != 0 || !strstr(text(root, "detail"), says))
        fail_msg("%s is answered %d: %s; not %d %s '%s'", path, reply.status, (const char *)reply.body.data, status,
                 code, says);
    json_decref(root);
    http_reply_done(&reply);
}

/* ---- identify -------------------------------------------------------------------------------------------------- */

static json_t *numbers(const float *values, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_real((double)values[i]));
    return array;
}

static json_t *candidate(json_t *id, const float values[CLIP_DIM])
{
    return json_pack("{s:o, s:o}", "id", id, "embedding", numbers(values, CLIP_DIM));
}

/* Takes the candidates. */
static json_t *question(const fixture *f, json_t *candidates)
{
    return json_pack("{s:s, s:o}", "audio_data", f->probe, "candidates", candidates);
}

/* The four readers, in the order of the digits: "4123". */
static json_t *readers(const fixture *f, const char *order)
{
    json_t *list = json_array();
    for (; *order; order++)
        json_array_append_new(list, candidate(json_sprintf("reader%c", *order), f->known[*order - '1']));
    return list;
}

static const json_t *result(const json_t *answer, size_t i)
{
    return json_array_get(json_object_get(answer, "results"), i);
}

/* Ranked by cosine as the engine's own vectors give it, whatever the order of the question. */
static void identify_ranks_by_similarity(void **state)
{
    const fixture *f = *state;
    static const char *const orders[] = {"1234", "4321", "2341"};
    for (size_t k = 0; k < 3; k++) {
        json_t *answer = post_ok(f, IDENTIFY, question(f, readers(f, orders[k])));
        assert_int_equal(json_array_size(json_object_get(answer, "results")), READERS);
        assert_int_equal(json_integer_value(json_object_get(answer, "candidates")), READERS);
        assert_string_equal(text(result(answer, 0), "id"), "reader1");
        assert_string_equal(text(answer, "model"), f->model);
        const double threshold = real(answer, "threshold");
        for (size_t i = 0; i < READERS; i++) {
            const json_t *r = result(answer, i);
            const double similarity = real(r, "similarity");
            const int reader = text(r, "id")[6] - '1';
            assert_true(fabs(similarity - clip_cosine(f->probe_values, f->known[reader])) < 1e-5);
            assert_true(fabs(real(r, "confidence") - (similarity + 1) / 2) < 1e-8);
            assert_true(real(r, "probability") > 0 && real(r, "probability") < 1);
            assert_int_equal(json_is_true(json_object_get(r, "verified")), similarity >= threshold);
            assert_true(i == 0 || similarity <= real(result(answer, i - 1), "similarity"));
        }
        const bool found = real(result(answer, 0), "similarity") >= threshold;
        assert_int_equal(json_is_true(json_object_get(answer, "identified")), found);
        assert_int_equal(strcmp(text(answer, "speaker"), "reader1") == 0, found);
        json_decref(answer);
    }
}

static void identify_obeys_threshold_and_top_k(void **state)
{
    const fixture *f = *state;
    static const struct {
        double threshold;
        int top_k, shown;
        bool found;
    } rows[] = {{-1, 2, 2, true}, {1, 1, 1, false}, {0.2, 4, 4, true}, {-1, 1000, 4, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *body = question(f, readers(f, "3214"));
        json_object_set_new(body, "threshold", json_real(rows[i].threshold));
        json_object_set_new(body, "top_k", json_integer(rows[i].top_k));
        json_t *answer = post_ok(f, IDENTIFY, body);
        assert_int_equal(json_array_size(json_object_get(answer, "results")), rows[i].shown);
        assert_int_equal(json_integer_value(json_object_get(answer, "candidates")), READERS);
        assert_string_equal(text(result(answer, 0), "id"), "reader1");
        assert_int_equal(json_is_true(json_object_get(answer, "identified")), rows[i].found);
        if (!rows[i].found)
            assert_true(json_is_null(json_object_get(answer, "speaker")));
        assert_true(real(answer, "threshold") == rows[i].threshold);
        json_decref(answer);
    }
}

/* Equal scores keep the order of the question; an id comes back as it was sent; a vector's length does not count. */
static void identify_returns_ids_as_they_came(void **state)
{
    const fixture *f = *state;
    static const char *const ids[] = {"\"b\"", "7", "\"\"", "\"\\u00e4\\ud83d\\ude00\"", "-9007199254740993", "\"b\""};
    enum { N = sizeof ids / sizeof *ids };
    json_t *list = json_array();
    for (size_t i = 0; i < N; i++) {
        float scaled[CLIP_DIM];
        for (int k = 0; k < CLIP_DIM; k++)
            scaled[k] = f->known[1][k] * (float)(1 << i); /* exact, so the same direction to the last bit */
        json_array_append_new(list, candidate(json_loads(ids[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL), scaled));
    }
    json_t *answer = post_ok(f, IDENTIFY, question(f, list));
    for (size_t i = 0; i < N; i++) {
        json_t *id = json_loads(ids[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(json_equal(json_object_get(result(answer, i), "id"), id));
        json_decref(id);
    }
    json_decref(answer);
}

/* A thousand strangers and the speaker somewhere among them; one more is refused. */
static void identify_takes_a_thousand(void **state)
{
    const fixture *f = *state;
    enum { MOST = 1000, PLACE = 617 };
    const uint64_t seed = vx_now_ns();
    print_message("# seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    json_t *list = json_array();
    for (int i = 0; i < MOST; i++) {
        float values[CLIP_DIM];
        for (int k = 0; k < CLIP_DIM; k++)
            values[k] = (float)(int64_t)(stats_random(&random) >> 40) / 8388608.0f - 1;
        json_array_append_new(list, candidate(json_integer(i), i == PLACE ? f->known[0] : values));
    }
    json_t *body = question(f, json_incref(list));
    json_object_set_new(body, "top_k", json_integer(3));
    json_t *answer = post_ok(f, IDENTIFY, body);
    assert_int_equal(json_integer_value(json_object_get(answer, "candidates")), MOST);
    assert_int_equal(json_integer_value(json_object_get(result(answer, 0), "id")), PLACE);
    assert_true(real(result(answer, 1), "similarity") < real(result(answer, 0), "similarity"));
    json_decref(answer);
    json_array_append_new(list, candidate(json_integer(MOST), f->known[1]));
    expect_problem(f, IDENTIFY, question(f, list), 422, "bad_field", "1 to 1000");
}

/* Each failure names the candidate that is to be mended. */
static void identify_says_what_is_wrong_with_a_candidate(void **state)
{
    const fixture *f = *state;
    static const float zeros[CLIP_DIM];
    static const char other[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const struct {
        json_t *second; /* the first is sound */
        int status;
        const char *code, *says;
    } rows[] = {
        {json_pack("{s:s, s:o}", "id", "x", "embedding", numbers(zeros, CLIP_DIM)), 422, "bad_field", "candidates[1]"},
        {json_pack("{s:s, s:o}", "id", "x", "embedding", numbers(f->known[0], CLIP_DIM - 1)), 422, "bad_field",
         "candidates[1]"},
        {json_pack("{s:s, s:[]}", "id", "x", "embedding"), 422, "bad_field", "candidates[1]"},
        {json_pack("{s:s, s:s}", "id", "x", "embedding", "AAAA"), 422, "bad_field", "candidates[1]"},
        {json_pack("{s:s}", "id", "x"), 422, "bad_field", "candidates[1]"},
        {json_pack("{s:o}", "embedding", numbers(f->known[0], CLIP_DIM)), 422, "bad_field", "candidates[1].id"},
        {json_pack("{s:n, s:o}", "id", "embedding", numbers(f->known[0], CLIP_DIM)), 422, "bad_field", "[1].id"},
        {json_pack("{s:f, s:o}", "id", 1.5, "embedding", numbers(f->known[0], CLIP_DIM)), 422, "bad_field", "[1].id"},
        {json_pack("s", "not an object"), 422, "bad_field", "candidates[1]"},
        {json_null(), 422, "bad_field", "candidates[1]"},
        {json_pack("{s:s, s:o, s:s}", "id", "x", "embedding", numbers(f->known[0], CLIP_DIM), "model", other), 409,
         "model_mismatch", "enrol"},
        {json_pack("{s:s, s:o, s:s}", "id", "x", "embedding", numbers(f->known[0], CLIP_DIM), "model", "tiny"), 422,
         "bad_field", "model"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *list = json_pack("[o, o]", candidate(json_string("sound"), f->known[0]), rows[i].second);
        assert_non_null(list);
        expect_problem(f, IDENTIFY, question(f, list), rows[i].status, rows[i].code, rows[i].says);
    }
    /* And a candidate that says our own model is compared. */
    json_t *own = candidate(json_string("own"), f->known[0]);
    json_object_set_new(own, "model", json_string(f->model));
    json_decref(post_ok(f, IDENTIFY, question(f, json_pack("[o]", own))));
}

static void identify_says_what_is_wrong_with_the_question(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *key, *value; /* set in a sound question */
        const char *says;
    } rows[] = {
        {"candidates", "[]", "candidates"},
        {"candidates", "{}", "candidates"},
        {"candidates", "null", "candidates"},
        {"threshold", "1.5", "threshold"},
        {"threshold", "\"0.5\"", "threshold"},
        {"top_k", "0", "top_k"},
        {"top_k", "1001", "top_k"},
        {"top_k", "1.5", "top_k"},
        {"sample_rate", "7", "sample rate"},
        {"audio_data", "null", "audio_data"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *body = question(f, readers(f, "12"));
        json_object_set_new(body, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        http_reply reply = post(f, IDENTIFY, body);
        json_t *root = http_json(&reply);
        if (reply.status != 422 || !strstr(text(root, "detail"), rows[i].says))
            fail_msg("%s: %s: %d %s", rows[i].key, rows[i].value, reply.status, text(root, "detail"));
        json_decref(root);
        http_reply_done(&reply);
    }
}

/* ---- forms of an embedding ------------------------------------------------------------------------------------- */

static void expect_coded(const fixture *f, const json_t *value)
{
    const char *coded = json_string_value(value);
    assert_non_null(coded);
    vx_buf octets = clip_f32(f->probe_values, CLIP_DIM);
    uint8_t got[CLIP_DIM * 4 + 4];
    size_t n = 0, bad;
    assert_true(vx_base64_decoded_cap(strlen(coded)) <= sizeof got);
    assert_int_equal(vx_base64_decode(coded, strlen(coded), got, &n, &bad), VX_OK);
    assert_int_equal(n, octets.len);
    assert_memory_equal(got, octets.data, n);
    vx_buf_done(&octets);
}

/* The same bits as numbers, as base64 and as bytes; in batches of both forms too. */
static void an_embedding_has_the_same_bits_in_every_form(void **state)
{
    const fixture *f = *state;
    float got[CLIP_DIM];
    json_t *answer = post_ok(f, EMBEDDING, json_pack("{s:s}", "audio_data", f->probe));
    clip_values(json_object_get(answer, "embedding"), got);
    assert_memory_equal(got, f->probe_values, sizeof got);
    json_decref(answer);
    for (int i = 0; i < 2; i++) {
        static const char *const forms[] = {"float", "base64"};
        answer = post_ok(f, EMBEDDING, json_pack("{s:s, s:s}", "audio_data", f->probe, "encoding_format", forms[i]));
        const json_t *value = json_object_get(answer, "embedding");
        assert_int_equal(json_integer_value(json_object_get(answer, "embedding_size")), CLIP_DIM);
        if (i == 0)
            assert_true(json_is_array(value));
        else
            expect_coded(f, value);
        json_decref(answer);
    }
    answer =
        post_ok(f, BATCH, json_pack("{s:[{s:s}], s:s}", "items", "audio_data", f->probe, "encoding_format", "base64"));
    expect_coded(f, json_object_get(json_array_get(json_object_get(answer, "items"), 0), "embedding"));
    json_decref(answer);
    answer = post_ok(f, BATCH, json_pack("{s:[s], s:s}", "audio_samples", f->probe, "encoding_format", "base64"));
    expect_coded(f, json_array_get(json_object_get(answer, "embeddings"), 0));
    json_decref(answer);
}

static void another_form_is_refused(void **state)
{
    const fixture *f = *state;
    static const char *const values[] = {"\"\"", "\"FLOAT\"", "\"hex\"", "1", "[]", "true"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *form = json_loads(values[i], JSON_DECODE_ANY, NULL);
        expect_problem(f, EMBEDDING, json_pack("{s:s, s:O}", "audio_data", f->probe, "encoding_format", form), 422,
                       "bad_field", "encoding_format");
        expect_problem(f, BATCH, json_pack("{s:[s], s:o}", "audio_samples", f->probe, "encoding_format", form), 422,
                       "bad_field", "encoding_format");
    }
    json_decref(post_ok(f, EMBEDDING, json_pack("{s:s, s:n}", "audio_data", f->probe, "encoding_format")));
}

/* The bare vector, and beside it in headers what JSON says. */
static void bytes_come_with_headers(void **state)
{
    const fixture *f = *state;
    static const char *const asks[] = {"Content-Type: application/json", "Accept: application/octet-stream", NULL};
    static const char *const names[] = {"Voxlock-Model-Name", "Voxlock-Engine", "Voxlock-Audio", "X-Request-Id",
                                        "Server-Timing"};
    json_t *body = json_pack("{s:s}", "audio_data", f->probe);
    char *dumped = json_dumps(body, 0), value[256];
    http_reply reply = http_call(
        f->s->port, (http_request){.path = EMBEDDING, .headers = asks, .body = dumped, .len = strlen(dumped)});
    vx_buf octets = clip_f32(f->probe_values, CLIP_DIM);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, octets.len);
    assert_memory_equal(reply.body.data, octets.data, octets.len);
    assert_true(http_header_is(&reply, "Content-Type", "application/octet-stream"));
    assert_true(http_header_is(&reply, "Voxlock-Model", f->model));
    assert_true(http_header_is(&reply, "Voxlock-Embedding-Size", "192"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(http_header(&reply, names[i], value, sizeof value) && value[0]);
    vx_buf_done(&octets);
    http_reply_done(&reply);
    free(dumped);
    json_decref(body);
}

/* ---- timings --------------------------------------------------------------------------------------------------- */

/* "decode;dur=1.234, features;dur=..., ...", each the number that the body says, to its three decimals. */
static void server_timing_says_what_the_body_says(void **state)
{
    const fixture *f = *state;
    static const char *const stages[] = {"decode", "features", "inference", "queue", "total"};
    struct {
        const char *path;
        json_t *body;
    } rows[] = {
        {EMBEDDING, json_pack("{s:s}", "audio_data", f->probe)},
        {"/api/ml/speaker_verify",
         json_pack("{s:s, s:o}", "audio_data", f->probe, "reference_embedding", numbers(f->known[0], CLIP_DIM))},
        {BATCH, json_pack("{s:[s]}", "audio_samples", f->probe)},
        {IDENTIFY, question(f, readers(f, "12"))},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char header[256];
        http_reply reply = post(f, rows[i].path, rows[i].body);
        assert_int_equal(reply.status, 200);
        assert_true(http_header(&reply, "Server-Timing", header, sizeof header));
        json_t *root = http_json(&reply);
        const char *at = header;
        for (size_t k = 0; k < 5; k++) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "%s%s;dur=", k ? ", " : "", stages[k]);
            assert_true(strncmp(at, wanted, strlen(wanted)) == 0);
            char *end;
            const double told = strtod(at + strlen(wanted), &end);
            assert_true(fabs(told - real(json_object_get(root, "timing_ms"), stages[k])) < 0.0011);
            at = end;
        }
        assert_string_equal(at, "");
        json_decref(root);
        http_reply_done(&reply);
    }
}

/* ---- prewarm, diagnostics -------------------------------------------------------------------------------------- */

static void prewarm_answers_when_warm(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST", "POST", "HEAD"};
    static const char *const bodies[] = {NULL, "", "{\"ignored\": [1, 2, 3]", NULL};
    static const char *const settings[] = {"ECAPA_WARMUP_ON_START=true", NULL};
    service *s = service_start(settings); /* still loading: it waits */
    for (size_t i = 0; i < 4; i++) {
        http_reply reply = http_call(s->port, (http_request){.method = methods[i],
                                                             .path = "/api/ml/prewarm",
                                                             .body = bodies[i],
                                                             .len = bodies[i] ? strlen(bodies[i]) : 0});
        assert_int_equal(reply.status, 200);
        if (strcmp(methods[i], "HEAD") != 0) {
            json_t *root = http_json(&reply);
            assert_true(json_is_true(json_object_get(root, "success")));
            assert_true(json_is_true(json_object_get(root, "ecapa_ready")));
            assert_string_equal(text(root, "status"), "warm");
            assert_string_equal(text(root, "startup_state"), "READY");
            assert_true(real(root, "load_time_ms") > 0);
            assert_true(real(root, "warmup_ms") > 0);
            json_decref(root);
        }
        http_reply_done(&reply);
    }
    http_reply reply = http_get(s->port, "/health");
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
}

/* History, every setting with its value and where it came from; of a secret only that it is set. */
static void diagnostics_tell_all_but_secrets(void **state)
{
    (void)state;
    static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const char *const settings[] = {
        "VOXLOCK_API_KEYS=ops:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "VOXLOCK_QUEUE=7",
        NULL};
    service *s = service_start_ready(settings);
    http_reply reply = http_get(s->port, "/startup-diagnostics");
    assert_int_equal(reply.status, 401); /* it tells paths and limits */
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);

    const char *const open[] = {settings[1], NULL}, *const args[] = {"--threads=3", NULL};
    s = service_start_with(open, args);
    assert_true(service_says(s, "model ready"));
    reply = http_get(s->port, "/startup-diagnostics");
    json_t *root = http_json(&reply);
    const json_t *history = json_object_get(root, "history"), *in_force = json_object_get(root, "settings");
    static const char *const states[] = {"PENDING", "INITIALIZING", "READY"};
    assert_int_equal(json_array_size(history), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text(json_array_get(history, i), "state"), states[i]);
    assert_int_equal(json_integer_value(json_object_get(root, "retries")), 0);
    assert_string_equal(text(root, "model_folder"), "models/starter");
    static const struct {
        const char *name, *value, *origin;
    } rows[] = {
        {"VOXLOCK_QUEUE", "7", "environment"},
        {"VOXLOCK_THREADS", "3", "flag --threads"},
        {"ECAPA_CACHE_TTL", "3600", "default"},
        {"VOXLOCK_API_KEYS", "", "default"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *setting = json_object_get(in_force, rows[i].name);
        if (rows[i].value[0])
            assert_string_equal(text(setting, "value"), rows[i].value);
        assert_string_equal(text(setting, "origin"), rows[i].origin);
    }
    assert_null(json_object_get(in_force, "VOXLOCK_TEST_FAULTS")); /* not in the product */
    assert_null(strstr((const char *)reply.body.data, digest));
    json_decref(root);
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
}

/* ---- traces ---------------------------------------------------------------------------------------------------- */

/* headers: of one request; trace: what its line must hold, NULL for none. */
static void log_lines_name_their_trace(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *headers[3];
        const char *trace;
    } rows[] = {
        {{"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "4bf92f3577b34da6a3ce929d0e0e4736"},
        {{"X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1"}, "105445aa7843bc8bf206b12000100000"},
        {{"X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1",
          "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
         "4bf92f3577b34da6a3ce929d0e0e4736"},
        {{"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, NULL},
        {{"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"}, NULL},
        {{"traceparent: \"}, \"severity\": \"ERROR"}, NULL},
        {{"X-Cloud-Trace-Context: projects/evil"}, NULL},
        {{NULL}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[64], wanted[128];
        snprintf(id, sizeof id, "X-Request-Id: trace-row-%zu", i);
        const char *const headers[] = {id, rows[i].headers[0] ? rows[i].headers[0] : "Accept: a/b", rows[i].headers[1],
                                       NULL};
        http_reply reply = http_call(f->s->port, (http_request){.path = "/status", .headers = headers});
        assert_int_equal(reply.status, 200);
        assert_true(http_header_is(&reply, "X-Request-Id", strchr(id, ' ') + 1));
        http_reply_done(&reply);
        assert_true(service_says(f->s, strchr(id, ' ') + 1));
        char *log = service_log(f->s), *line = strstr(log, strchr(id, ' ') + 1);
        while (line > log && line[-1] != '\n')
            line--;
        line[strcspn(line, "\n")] = '\0';
        snprintf(wanted, sizeof wanted, "\"logging.googleapis.com/trace\":\"projects/my-project/traces/%s\"",
                 rows[i].trace ? rows[i].trace : "");
        if (rows[i].trace ? !strstr(line, wanted) : strstr(line, "googleapis.com/trace") != NULL)
            fail_msg("row %zu: %s", i, line);
        free(log);
    }
    service_check_log(f->s);
}

/* ---- CORS ------------------------------------------------------------------------------------------------------ */

static http_reply preflight(const service *s, const char *path, const char *origin, const char *wants)
{
    const char *const headers[] = {origin, wants, NULL};
    return http_call(s->port, (http_request){.method = "OPTIONS", .path = path, .headers = headers});
}

static void without_origins_no_page_is_let_in(void **state)
{
    const fixture *f = *state;
    char value[64];
    static const char *const origin[] = {"Origin: https://app.example", NULL};
    http_reply reply = http_call(f->s->port, (http_request){.path = "/health", .headers = origin});
    assert_int_equal(reply.status, 200);
    assert_false(http_header(&reply, "Access-Control-Allow-Origin", value, sizeof value));
    assert_false(http_header(&reply, "Access-Control-Expose-Headers", value, sizeof value));
    http_reply_done(&reply);
    reply = preflight(f->s, EMBEDDING, origin[0], "Access-Control-Request-Method: POST");
    assert_int_equal(reply.status, 405);
    assert_false(http_header(&reply, "Access-Control-Allow-Origin", value, sizeof value));
    http_reply_done(&reply);
}

/* A page needs leave for what it sends, for what it reads, and also to read why it was refused. */
static void pages_of_a_listed_origin_may_call(void **state)
{
    const fixture *f = *state;
    static const char *const lists[] = {"VOXLOCK_CORS_ORIGINS=https://one.example, https://app.example",
                                        "VOXLOCK_CORS_ORIGINS=*"};
    static const char app[] = "Origin: https://app.example";
    for (int i = 0; i < 2; i++) {
        char value[256];
        const char *const settings[] = {
            lists[i], "VOXLOCK_API_KEYS=ops:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL};
        service *s = service_start(settings);
        http_reply reply = preflight(s, EMBEDDING, app, "Access-Control-Request-Method: POST"); /* never with a key */
        assert_int_equal(reply.status, 204);
        assert_int_equal(reply.body.len, 0);
        assert_true(http_header_is(&reply, "Access-Control-Allow-Origin", "https://app.example"));
        assert_true(http_header_is(&reply, "Access-Control-Allow-Methods", "GET, POST"));
        assert_true(http_header(&reply, "Access-Control-Allow-Headers", value, sizeof value));
        assert_non_null(strstr(value, "Authorization"));
        assert_non_null(strstr(value, "Content-Type"));
        assert_true(http_header_is(&reply, "Access-Control-Max-Age", ""));
        assert_true(http_header_is(&reply, "Vary", "Origin"));
        http_reply_done(&reply);

        const char *const headers[] = {app, "Content-Type: application/json", NULL};
        reply = http_call(s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = "{}", .len = 2});
        assert_int_equal(reply.status, 401);
        assert_true(http_header_is(&reply, "Access-Control-Allow-Origin", "https://app.example"));
        assert_true(http_header_is(&reply, "Access-Control-Expose-Headers", "*"));
        assert_false(http_header(&reply, "Access-Control-Allow-Credentials", value, sizeof value));
        http_reply_done(&reply);

        reply = preflight(s, EMBEDDING, app, "Accept: a/b"); /* OPTIONS that asks nothing of CORS */
        assert_int_equal(reply.status, 405);
        http_reply_done(&reply);
        assert_int_equal(service_stop(s), 0);
    }
    (void)f;
}

/* ---- all bodies together --------------------------------------------------------------------------------------- */

enum { LARGE = 600000 };

/* A POST that announces LARGE bytes and sends n of them. */
static int begin_upload(const service *s, const char *body, size_t n)
{
    static const char head[] = "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: audio/wav\r\n"
                               "Content-Length: 600000\r\nX-Request-Id: unfinished\r\n\r\n";
    int fd = raw_open(s->port);
    assert_true(raw_say(fd, head) && raw_send(fd, body, n));
    return fd;
}

/* Uploads LARGE bytes that are no audio; true when it is answered so. */
static bool upload(const service *s, const char *body, int status, http_reply *ret_reply)
{
    http_reply reply = {0};
    int fd = raw_post_with(s->port, EMBEDDING, "Content-Type: audio/wav\r\n", body, LARGE);
    assert_true(raw_reply(fd, true, &reply));
    raw_close(&fd);
    assert_true(reply.status == 415 || reply.status == 429);
    if (reply.status == status)
        *ret_reply = reply;
    else
        http_reply_done(&reply);
    return reply.status == status;
}

/* What bodies under way take is bounded over all clients, and comes back when one of them goes. What is only announced
 * takes nothing. */
static void bodies_of_all_requests_have_a_bound(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_MAX_BUFFERED=1MiB", "VOXLOCK_BODY_TIMEOUT_MS=600000", NULL};
    enum { ANNOUNCED = 8 };
    int idle[ANNOUNCED];
    char *body = calloc(1, LARGE);
    assert_non_null(body);
    service *s = service_start_ready(settings);
    for (int i = 0; i < ANNOUNCED; i++)
        idle[i] = begin_upload(s, body, 1);
    http_reply reply = {0};
    int fd = raw_post_with(s->port, EMBEDDING, "Content-Type: audio/wav\r\n", body, LARGE);
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 415);
    http_reply_done(&reply);
    raw_close(&fd);

    /* Of two at once either may be the one too many: a new one is begun until it is the second. */
    uint64_t start = vx_now_ns();
    int stalled = begin_upload(s, body, LARGE - 1);
    while (!upload(s, body, 429, &reply)) {
        raw_close(&stalled);
        stalled = begin_upload(s, body, LARGE - 1);
        assert_true(vx_ms_since(start) < PATIENCE_MS);
    }
    json_t *root = http_json(&reply);
    assert_string_equal(text(root, "code"), "busy");
    assert_true(http_header_is(&reply, "Retry-After", "1"));
    json_decref(root);
    http_reply_done(&reply);
    fd = raw_post_with(s->port, EMBEDDING, "Content-Type: audio/wav\r\n", body, 1000); /* a small one fits beside */
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 415);
    http_reply_done(&reply);
    raw_close(&fd);

    raw_close(&stalled);
    start = vx_now_ns();
    while (!upload(s, body, 415, &reply)) /* until its end is noticed */
        assert_true(vx_ms_since(start) < PATIENCE_MS);
    http_reply_done(&reply);
    for (int i = 0; i < ANNOUNCED; i++)
        raw_close(&idle[i]);
    free(body);
    assert_int_equal(service_stop(s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identify_ranks_by_similarity),
        cmocka_unit_test(identify_obeys_threshold_and_top_k),
        cmocka_unit_test(identify_returns_ids_as_they_came),
        cmocka_unit_test(identify_takes_a_thousand),
        cmocka_unit_test(identify_says_what_is_wrong_with_a_candidate),
        cmocka_unit_test(identify_says_what_is_wrong_with_the_question),
        cmocka_unit_test(an_embedding_has_the_same_bits_in_every_form),
        cmocka_unit_test(another_form_is_refused),
        cmocka_unit_test(bytes_come_with_headers),
        cmocka_unit_test(server_timing_says_what_the_body_says),
        cmocka_unit_test(prewarm_answers_when_warm),
        cmocka_unit_test(diagnostics_tell_all_but_secrets),
        cmocka_unit_test(log_lines_name_their_trace),
        cmocka_unit_test(without_origins_no_page_is_let_in),
        cmocka_unit_test(pages_of_a_listed_origin_may_call),
        cmocka_unit_test(bodies_of_all_requests_have_a_bound),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
