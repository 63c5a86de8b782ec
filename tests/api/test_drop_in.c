/* test_drop_in.c - clients of the Python service that this one replaces, request by request as they send them: raw
 * samples, the old fields, the old answers, the old habits of polling.
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
#include "tests/support/service.h"

typedef struct {
    service *s;
    char *f32, *s16; /* base64 of one clip as raw samples */
    float expected[CLIP_DIM];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    vx_audio audio = clip_audio("reader2_a.flac");
    vx_buf f32 = clip_f32(audio.samples, audio.n), s16 = clip_s16(audio.samples, audio.n);
    f.f32 = clip_base64(f32.data, f32.len);
    f.s16 = clip_base64(s16.data, s16.len);
    clip_expected(&audio, f.expected);
    vx_buf_done(&f32);
    vx_buf_done(&s16);
    vx_audio_done(&audio);
    f.s = service_start_ready(NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    free(f->f32);
    free(f->s16);
    return service_reap(state);
}

/* Byte for byte what Python's aiohttp writes for `session.post(url, json=...)`, whose json.dumps puts a blank behind
 * each comma and colon. */
static json_t *post_as_python(const fixture *f, const char *path, const char *body)
{
    char head[512];
    http_reply reply = {0};
    int fd = raw_open(f->s->port);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\n"
             "Host: 127.0.0.1:%d\r\n"
             "Accept: */*\r\n"
             "Accept-Encoding: identity\r\n"
             "User-Agent: Python/3.11 aiohttp/3.9.5\r\n"
             "Content-Length: %zu\r\n"
             "Content-Type: application/json\r\n\r\n",
             path, f->s->port, strlen(body));
    assert_true(raw_say(fd, head) && raw_say(fd, body));
    assert_true(raw_reply(fd, true, &reply));
    raw_close(&fd);
    json_t *root = http_json(&reply);
    if (reply.status != 200)
        fail_msg("%s is answered %d: %.300s", path, reply.status, (const char *)reply.body.data);
    http_reply_done(&reply);
    return root;
}

static char *text(const char *format, const char *a, const char *b)
{
    vx_buf out = {0};
    for (const char *c = format; *c; c++) {
        const char *part = *c == '@' ? a : *c == '#' ? b : c;
        assert_int_equal(vx_buf_append(&out, part, part == c ? 1 : strlen(part)), VX_OK);
    }
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);
    return (char *)out.data;
}

/* The members that the old client reads, each of the type that it expects. */
static void check_types(const json_t *root, const char *const *members)
{
    for (; *members; members += 2) {
        const json_t *value = json_object_get(root, members[0]);
        const char type = members[1][0];
        const bool ok = type == 'b'   ? json_is_boolean(value)
                        : type == 'n' ? json_is_number(value)
                        : type == 'a' ? json_is_array(value)
                        : type == 's' ? json_is_string(value)
                        : type == '0' ? json_is_null(value)
                                      : false;
        if (!ok)
            fail_msg("'%s' is missing or of another type", members[0]);
    }
}

static void check_embedding(const fixture *f, const json_t *array)
{
    float got[CLIP_DIM];
    clip_values(array, got);
    assert_memory_equal(got, f->expected, sizeof got);
}

static void embeddings_of_raw_samples(void **state)
{
    static const struct {
        const char *body; /* @ is the clip as float32, # as int16 */
    } cases[] = {
        {"{\"audio_data\": \"@\", \"sample_rate\": 16000, \"format\": \"float32\", \"test_mode\": false}"},
        {"{\"audio_data\": \"#\", \"sample_rate\": 16000, \"format\": \"int16\", \"test_mode\": false}"},
        {"{\"audio_data\": \"@\", \"sample_rate\": 16000, \"format\": \"float32\", \"test_mode\": true}"},
        {"{\"audio_data\": \"@\", \"sample_rate\": 16000, \"format\": \"float32\"}"},
        {"{\"audio_data\": \"@\", \"sample_rate\": 16000}"},
        {"{\"audio_data\": \"@\"}"},
        {"{\"audio_data\": \"@\", \"test_mode\": true}"},
        {"{\"audio_data\": \"#\", \"format\": \"int16\"}"},
        /* Fields of a client of another age are not looked at. */
        {"{\"audio_data\": \"@\", \"speaker_name\": \"Derek\", \"metadata\": {\"a\": [1, 2]}}"},
    };
    static const char *const members[] = {
        "success", "b", "embedding", "a", "embedding_size", "n", "processing_time_ms", "n", "cached", "b",
        "error",   "0", NULL,        NULL};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *body = text(cases[i].body, f->f32, f->s16);
        json_t *root = post_as_python(f, "/api/ml/speaker_embedding", body);
        check_types(root, members);
        assert_true(json_is_true(json_object_get(root, "success")));
        assert_int_equal(json_integer_value(json_object_get(root, "embedding_size")), CLIP_DIM);
        check_embedding(f, json_object_get(root, "embedding"));
        json_decref(root);
        free(body);
    }
}

/* A missing format means raw float32 unless the bytes carry a known header. */
static void a_missing_format_is_found_out(void **state)
{
    static const char *const names[] = {"reader2_a.flac", "reader1_a.wav", "reader1_a.ogg", "reader1_a.mp3",
                                        "reader1_a.opus"};
    static const char *const formats[] = {"flac", "wav", "ogg", "mp3", "ogg"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *body = clip_file_json(names[i], ", \"sample_rate\": 16000, \"test_mode\": false");
        json_t *root = post_as_python(f, "/api/ml/speaker_embedding", body);
        const json_t *audio = json_object_get(root, "audio");
        assert_string_equal(json_string_value(json_object_get(audio, "format")), formats[i]);
        if (i == 0)
            check_embedding(f, json_object_get(root, "embedding"));
        json_decref(root);
        free(body);
    }
}

static void verification_against_a_stored_voiceprint(void **state)
{
    static const char *const members[] = {"success",    "b", "verified",  "b", "similarity",         "n",
                                          "confidence", "n", "threshold", "n", "processing_time_ms", "n",
                                          NULL,         NULL};
    const fixture *f = *state;
    vx_buf list = {0};
    for (int i = 0; i < CLIP_DIM; i++)
        assert_int_equal(vx_buf_printf(&list, "%s%.17g", i ? ", " : "", (double)f->expected[i]), VX_OK);
    for (int form = 0; form < 2; form++) {
        char *body = text(form ? "{\"audio_data\": \"@\", \"reference_embedding\": [#], \"sample_rate\": 16000, "
                                 "\"format\": \"int16\", \"threshold\": 0.85}"
                               : "{\"audio_data\": \"@\", \"reference_embedding\": [#], \"sample_rate\": 16000, "
                                 "\"format\": \"float32\"}",
                          form ? f->s16 : f->f32, (const char *)list.data);
        json_t *root = post_as_python(f, "/api/ml/speaker_verify", body);
        check_types(root, members);
        const double similarity = json_real_value(json_object_get(root, "similarity"));
        assert_true(fabs(similarity - 1) < 1e-6);
        assert_true(fabs(json_real_value(json_object_get(root, "confidence")) - (similarity + 1) / 2) < 1e-8);
        assert_true(json_is_true(json_object_get(root, "verified")));
        if (form)
            assert_true(json_number_value(json_object_get(root, "threshold")) == 0.85);
        json_decref(root);
        free(body);
    }
    vx_buf_done(&list);
}

static void batches_with_a_broken_item(void **state)
{
    static const char *const members[] = {"success", "b", "embeddings", "a", "processing_time_ms", "n", NULL, NULL};
    static const char *const bodies[] = {
        "{\"audio_samples\": [\"@\", \"broken!\", \"@\"], \"sample_rate\": 16000, \"format\": \"float32\"}",
        "{\"audio_samples\": [\"#\", \"AAAA\", \"#\"], \"sample_rate\": 16000, \"format\": \"int16\"}",
        "{\"audio_samples\": [\"@\", null, \"@\"]}",
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char *body = text(bodies[i], f->f32, f->s16);
        json_t *root = post_as_python(f, "/api/ml/batch_embedding", body);
        check_types(root, members);
        assert_true(json_is_true(json_object_get(root, "success")));
        const json_t *embeddings = json_object_get(root, "embeddings");
        assert_int_equal(json_array_size(embeddings), 3);
        check_embedding(f, json_array_get(embeddings, 0));
        assert_true(json_is_null(json_array_get(embeddings, 1)));
        check_embedding(f, json_array_get(embeddings, 2));
        json_decref(root);
        free(body);
    }
}

/* The old client shows `error` of whatever it gets that is no success. */
static void failures_carry_the_old_members(void **state)
{
    const fixture *f = *state;
    static const char *const bodies[] = {"{", "{}", "{\"audio_data\": \"x\"}", "{\"audio_data\": \"\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        http_reply reply = http_post(f->s->port, "/api/ml/speaker_embedding", bodies[i]);
        assert_in_range(reply.status, 400, 499);
        json_t *root = http_json(&reply);
        assert_true(json_is_false(json_object_get(root, "success")));
        assert_true(strlen(json_string_value(json_object_get(root, "error"))) > 10);
        json_decref(root);
        http_reply_done(&reply);
    }
}

/* The old client starts the service and polls until it is healthy. Whatever it sees comes in this order, and each word
 * with its status. */
static void health_is_polled_while_the_model_loads(void **state)
{
    static const char *const words[] = {"pending", "initializing", "healthy"};
    static const char *const paths[] = {"/health", "/api/ml/health"};
    (void)state;
    service *s = service_start(NULL);
    size_t reached = 0;
    for (int polls = 0; reached < 2; polls++) {
        assert_true(polls < 100000);
        http_reply reply = http_get(s->port, paths[polls % 2]);
        json_t *root = http_json(&reply);
        const char *word = json_string_value(json_object_get(root, "status"));
        size_t now = 0;
        while (now < 2 && strcmp(word, words[now]) != 0)
            now++;
        assert_string_equal(word, words[now]);
        assert_true(now >= reached);
        assert_int_equal(reply.status, now == 2 ? 200 : 503);
        assert_int_equal(json_is_true(json_object_get(root, "ecapa_ready")), now == 2);
        reached = now;
        json_decref(root);
        http_reply_done(&reply);
    }
    assert_int_equal(service_stop(s), 0);
}

/* A request that comes while the model loads waits for it. */
static void early_requests_wait_for_the_model(void **state)
{
    const fixture *f = *state;
    enum { N = 4 };
    char *body = text("{\"audio_data\": \"@\", \"sample_rate\": 16000, \"format\": \"float32\"}", f->f32, "");
    service *s = service_start(NULL);
    int fds[N];
    for (int i = 0; i < N; i++)
        fds[i] = raw_post(s->port, "/api/ml/speaker_embedding", body);
    for (int i = 0; i < N; i++) {
        http_reply reply = {0};
        assert_true(raw_reply(fds[i], true, &reply));
        assert_int_equal(reply.status, 200);
        json_t *root = http_json(&reply);
        check_embedding(f, json_object_get(root, "embedding"));
        json_decref(root);
        http_reply_done(&reply);
        raw_close(&fds[i]);
    }
    free(body);
    assert_int_equal(service_stop(s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_of_raw_samples),
        cmocka_unit_test(a_missing_format_is_found_out),
        cmocka_unit_test(verification_against_a_stored_voiceprint),
        cmocka_unit_test(batches_with_a_broken_item),
        cmocka_unit_test(failures_carry_the_old_members),
        cmocka_unit_test(health_is_polled_while_the_model_loads),
        cmocka_unit_test(early_requests_wait_for_the_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
