/* test_caching.c - what the service remembers: the same recording however it is sent, computed once however many ask,
 * and never a vector for bytes that mean something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define RAW_LINES "Content-Type: application/octet-stream\r\n"

/* ---- asking ---------------------------------------------------------------------------------------------------- */

/* An answer of 200, as JSON. Closes the socket. */
static json_t *take_json(int fd)
{
    http_reply reply = {0};
    if (!raw_reply(fd, true, &reply))
        fail_msg("a request is lost");
    raw_close(&fd);
    if (reply.status != 200)
        fail_msg("answered %d: %s", reply.status, (const char *)reply.body.data);
    json_t *root = http_json(&reply);
    http_reply_done(&reply);
    return root;
}

static json_t *post_json(const service *s, const char *path, const char *body)
{
    return take_json(raw_post(s->port, path, body));
}

static json_t *post_raw(const service *s, const char *query, const vx_buf *body)
{
    char path[128];
    snprintf(path, sizeof path, EMBEDDING "%s", query);
    return take_json(raw_post_with(s->port, path, RAW_LINES, body->data, body->len));
}

static bool is_cached(const json_t *answer)
{
    const json_t *cached = json_object_get(answer, "cached");
    assert_true(json_is_boolean(cached));
    return json_is_true(cached);
}

/* Takes the answer: what it holds beside the vector must fit what it says of the cache. */
static bool take_cached(json_t *answer, const float expected[CLIP_DIM])
{
    float got[CLIP_DIM];
    const bool cached = is_cached(answer);
    clip_values(json_object_get(answer, "embedding"), got);
    assert_memory_equal(got, expected, sizeof got);
    const double inference = json_real_value(json_object_get(json_object_get(answer, "timing_ms"), "inference"));
    assert_int_equal(inference > 0, !cached);
    json_decref(answer);
    return cached;
}

static long long cache_number(const service *s, const char *key)
{
    http_reply reply = http_get(s->port, "/status");
    json_t *root = http_json(&reply);
    const json_t *number = json_object_get(json_object_get(root, "cache"), key);
    assert_true(json_is_integer(number));
    const long long value = json_integer_value(number);
    json_decref(root);
    http_reply_done(&reply);
    return value;
}

/* ---- one recording --------------------------------------------------------------------------------------------- */

typedef struct {
    vx_audio audio;
    vx_buf flac, wav, s16, f32;
    char *flac_json, *wav_json, *f32_json;
    float expected[CLIP_DIM];
} clip;

static int set_up(void **state)
{
    static clip c;
    *state = &c;
    c.audio = clip_audio("reader1_a.flac");
    c.flac = clip_file("reader1_a.flac");
    c.wav = clip_file("reader1_a.wav");
    c.s16 = clip_s16(c.audio.samples, c.audio.n);
    c.f32 = clip_f32(c.audio.samples, c.audio.n);
    c.flac_json = clip_json(c.flac.data, c.flac.len, "");
    c.wav_json = clip_json(c.wav.data, c.wav.len, "");
    c.f32_json = clip_json(c.f32.data, c.f32.len, ", \"sample_rate\": 16000, \"format\": \"float32\"");
    clip_expected(&c.audio, c.expected);
    return 0;
}

static int tear_down(void **state)
{
    clip *c = *state;
    vx_audio_done(&c->audio);
    vx_buf_done(&c->flac);
    vx_buf_done(&c->wav);
    vx_buf_done(&c->s16);
    vx_buf_done(&c->f32);
    free(c->flac_json);
    free(c->wav_json);
    free(c->f32_json);
    return service_reap(state);
}

/* The first is computed; every other way to send the same samples finds it, and so does the same request again. */
static void one_recording_is_computed_once_however_it_is_sent(void **state)
{
    const clip *c = *state;
    service *s = service_start_ready(NULL);
    assert_false(take_cached(post_json(s, EMBEDDING, c->wav_json), c->expected));
    for (int round = 0; round < 2; round++) {
        assert_true(take_cached(post_json(s, EMBEDDING, c->wav_json), c->expected));
        assert_true(take_cached(post_json(s, EMBEDDING, c->flac_json), c->expected));
        assert_true(take_cached(post_json(s, EMBEDDING, c->f32_json), c->expected));
        assert_true(take_cached(post_raw(s, "", &c->flac), c->expected));
        assert_true(take_cached(post_raw(s, "?format=int16&sample_rate=16000", &c->s16), c->expected));
        assert_true(take_cached(post_raw(s, "?format=int16", &c->s16), c->expected));
    }
    assert_int_equal(cache_number(s, "entries"), 1);
    assert_int_equal(cache_number(s, "misses"), 1);
    assert_int_equal(cache_number(s, "hits"), 12);
    assert_int_equal(service_stop(s), 0);
}

/* An answer from memory says of the recording what the first answer said. */
static void a_remembered_answer_says_the_same(void **state)
{
    const clip *c = *state;
    static const char *const same[] = {"embedding",  "embedding_size", "audio", "model",
                                       "model_name", "engine",         "error"};
    service *s = service_start_ready(NULL);
    json_t *first = post_json(s, EMBEDDING, c->flac_json), *again = post_json(s, EMBEDDING, c->flac_json);
    assert_false(is_cached(first));
    assert_true(is_cached(again));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(json_equal(json_object_get(first, same[i]), json_object_get(again, same[i])));
    assert_int_equal(json_object_size(first), json_object_size(again));
    assert_false(json_equal(json_object_get(first, "request_id"), json_object_get(again, "request_id")));
    json_decref(first);
    json_decref(again);
    assert_int_equal(service_stop(s), 0);
}

/* The same bytes read another way are another recording; the same body wanted another way is answered that way. */
static void the_same_bytes_meaning_something_else_are_told_apart(void **state)
{
    const clip *c = *state;
    service *s = service_start_ready(NULL);
    static const char *const queries[] = {"?format=int16", "?format=int16&sample_rate=8000", "?format=float32",
                                          "?format=int16&sample_rate=48000"};
    json_t *answers[4];
    vx_buf even = {0}; /* whole float32 samples within full scale: int16 pairs whose exponent is small */
    assert_int_equal(vx_buf_append(&even, c->f32.data, c->f32.len / 2), VX_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            json_t *answer = post_raw(s, queries[i], &even);
            assert_int_equal(is_cached(answer), round);
            if (round == 0) {
                answers[i] = answer;
                for (int k = 0; k < i; k++)
                    assert_false(
                        json_equal(json_object_get(answer, "embedding"), json_object_get(answers[k], "embedding")));
                continue;
            }
            assert_true(json_equal(json_object_get(answer, "embedding"), json_object_get(answers[i], "embedding")));
            json_decref(answer);
        }
    }
    for (int i = 0; i < 4; i++)
        json_decref(answers[i]);
    vx_buf_done(&even);

    /* As numbers, as base64, as bytes: each twice, in turn. */
    char *numbers = clip_json(c->flac.data, c->flac.len, ", \"encoding_format\": \"float\"");
    char *coded = clip_json(c->flac.data, c->flac.len, ", \"encoding_format\": \"base64\"");
    vx_buf octets = clip_f32(c->expected, CLIP_DIM);
    char *expected = clip_base64(octets.data, octets.len);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(take_cached(post_json(s, EMBEDDING, numbers), c->expected), round);
        json_t *answer = post_json(s, EMBEDDING, coded);
        assert_string_equal(json_string_value(json_object_get(answer, "embedding")), expected);
        json_decref(answer);
        http_reply reply = {0};
        int fd =
            raw_post_with(s->port, EMBEDDING, "Content-Type: application/json\r\nAccept: application/octet-stream\r\n",
                          coded, strlen(coded));
        assert_true(raw_reply(fd, true, &reply));
        assert_true(http_header_is(&reply, "Voxlock-Cached", "true"));
        assert_int_equal(reply.body.len, octets.len);
        assert_memory_equal(reply.body.data, octets.data, octets.len);
        http_reply_done(&reply);
        raw_close(&fd);
    }
    free(numbers);
    free(coded);
    free(expected);
    vx_buf_done(&octets);
    assert_int_equal(service_stop(s), 0);
}

/* Only what was answered is remembered. */
static void failures_are_not_remembered(void **state)
{
    (void)state;
    service *s = service_start_ready(NULL);
    for (int i = 0; i < 3; i++) {
        http_reply reply = http_post(s->port, EMBEDDING, "{\"audio_data\": \"AAAA\"}");
        assert_int_equal(reply.status, 422);
        http_reply_done(&reply);
    }
    assert_int_equal(cache_number(s, "entries"), 0);
    assert_int_equal(cache_number(s, "hits"), 0);
    assert_int_equal(service_stop(s), 0);
}

/* ---- many at once ---------------------------------------------------------------------------------------------- */

static void expect_metric(const service *s, const char *name, long long value)
{
    char line[96];
    snprintf(line, sizeof line, "\n%s %lld\n", name, value);
    http_reply reply = http_get(s->port, "/metrics");
    if (!strstr((const char *)reply.body.data, line))
        fail_msg("/metrics does not hold '%s %lld'", name, value);
    http_reply_done(&reply);
}

/* The engine takes its time, so that all who ask for one recording meet: it is computed for one of them. */
static void identical_requests_at_once_are_computed_once(void **state)
{
    const clip *c = *state;
    enum { N = 12 };
    char path[] = "/tmp/voxlock-slow-XXXXXX", setting[64];
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "slow", 4), 4);
    close(file);
    snprintf(setting, sizeof setting, "VOXLOCK_TEST_FAULTS=%s", path);
    const char *const settings[] = {setting, "VOXLOCK_THREADS=4", NULL};
    service *s = service_start_ready(settings);
    int fds[N], n_computed = 0;
    for (int i = 0; i < N; i++)
        fds[i] = raw_post(s->port, EMBEDDING, i % 2 ? c->flac_json : c->f32_json);
    for (int i = 0; i < N; i++)
        n_computed += !take_cached(take_json(fds[i]), c->expected);
    assert_int_equal(n_computed, 1);
    const long long joined = cache_number(s, "joined");
    assert_true(joined >= 1);
    expect_metric(s, "voxlock_cache_misses_total", 1);
    expect_metric(s, "voxlock_cache_joined_total", joined);
    expect_metric(s, "voxlock_cache_hits_total", N - 1 - joined);
    expect_metric(s, "voxlock_cache_entries", 1);
    assert_int_equal(service_stop(s), 0);
    unlink(path);
}

/* ---- batches, verification, prepopulate ------------------------------------------------------------------------ */

static char *format3(const char *format, const char *a, const char *b, const char *c)
{
    const size_t cap = strlen(format) + strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(cap), *at = text;
    const char *const parts[] = {a, b, c};
    assert_non_null(text);
    int n = 0;
    for (; *format; format++) {
        if (*format == '@')
            at += snprintf(at, cap - (size_t)(at - text), "%s", parts[n++]);
        else
            *at++ = *format;
    }
    *at = '\0';
    return text;
}

static json_t *item(const json_t *answer, size_t i)
{
    return json_array_get(json_object_get(answer, "items"), i);
}

static long long number(const json_t *answer, const char *key)
{
    return json_integer_value(json_object_get(answer, key));
}

/* Counts what it did, answers no vectors, and what it computed is found by whoever asks next. */
static void prepopulated_recordings_are_found(void **state)
{
    const clip *c = *state;
    static const char *const names[] = {"reader1_a.flac", "reader1_a.wav", "reader2_a.flac"};
    char *text[3];
    for (int i = 0; i < 3; i++) {
        vx_buf file = clip_file(names[i]);
        text[i] = clip_base64(file.data, file.len);
        vx_buf_done(&file);
    }
    char *rich = format3("{\"items\": [{\"id\": \"a\", \"audio_data\": \"@\"}, {\"id\": 2, \"audio_data\": \"@\"}, "
                         "{\"id\": \"b\", \"audio_data\": \"@\"}, {\"id\": \"bad\", \"audio_data\": \"AAAA\"}]}",
                         text[0], text[1], text[2]);
    char *plain = format3("{\"audio_samples\": [\"@\", \"@\", \"@\"]}", text[0], text[1], text[2]);
    service *s = service_start_ready(NULL);
    json_t *answer = post_json(s, "/api/ml/prepopulate", rich);
    assert_int_equal(number(answer, "computed"), 2);
    assert_int_equal(number(answer, "cached"), 1); /* the same recording twice */
    assert_int_equal(number(answer, "failed"), 1);
    assert_string_equal(json_string_value(json_object_get(item(answer, 0), "id")), "a");
    assert_int_equal(number(item(answer, 1), "id"), 2);
    assert_true(is_cached(item(answer, 1)));
    assert_true(json_is_false(json_object_get(item(answer, 3), "success")));
    for (size_t i = 0; i < 4; i++)
        assert_null(json_object_get(item(answer, i), "embedding"));
    json_decref(answer);
    assert_true(take_cached(post_json(s, EMBEDDING, c->flac_json), c->expected));
    answer = post_json(s, "/api/ml/prepopulate", plain);
    assert_int_equal(number(answer, "computed"), 0);
    assert_int_equal(number(answer, "cached"), 3);
    json_decref(answer);
    assert_int_equal(cache_number(s, "misses"), 2);
    assert_int_equal(service_stop(s), 0);
    free(rich);
    free(plain);
    for (int i = 0; i < 3; i++)
        free(text[i]);
}

/* It takes audio, never somebody's word for what the audio's embedding is. */
static void nobody_can_choose_what_others_are_told(void **state)
{
    const clip *c = *state;
    char *audio = clip_base64(c->flac.data, c->flac.len);
    char *poison = format3("{\"items\": [{\"audio_data\": \"@\", \"embedding\": [1, 0, 0], \"hash\": \"00\", "
                           "\"key\": \"@\"}], \"embedding\": [1], \"embeddings\": {\"@\": [1, 0]}}",
                           audio, "00", "00");
    service *s = service_start_ready(NULL);
    json_decref(post_json(s, "/api/ml/prepopulate", poison));
    assert_true(take_cached(post_json(s, EMBEDDING, c->flac_json), c->expected));
    http_reply reply =
        http_post(s->port, "/api/ml/prepopulate", "{\"items\": [{\"hash\": \"00\", \"embedding\": [1]}]}");
    assert_int_equal(reply.status, 200);
    json_t *answer = http_json(&reply);
    assert_int_equal(number(answer, "failed"), 1);
    json_decref(answer);
    http_reply_done(&reply);
    assert_int_equal(cache_number(s, "entries"), 1);
    assert_int_equal(service_stop(s), 0);
    free(poison);
    free(audio);
}

static void every_route_uses_the_same_memory(void **state)
{
    const clip *c = *state;
    char *audio = clip_base64(c->flac.data, c->flac.len);
    char *verify = format3("{\"audio_data\": \"@\", \"reference_audio\": \"@\"@}", audio, audio, "");
    char *batch = format3("{\"items\": [{\"audio_data\": \"@\"}, {\"audio_data\": \"@\"}]@}", audio, audio, "");
    service *s = service_start_ready(NULL);
    json_t *answer = post_json(s, "/api/ml/speaker_verify", verify);
    assert_true(json_real_value(json_object_get(answer, "similarity")) > 0.999999);
    json_decref(answer);
    assert_int_equal(cache_number(s, "misses"), 1);
    answer = post_json(s, "/api/ml/batch_embedding", batch);
    assert_true(is_cached(item(answer, 0)) && is_cached(item(answer, 1)));
    json_decref(answer);
    assert_true(take_cached(post_json(s, EMBEDDING, c->flac_json), c->expected));
    assert_int_equal(cache_number(s, "misses"), 1);
    assert_int_equal(service_stop(s), 0);
    free(verify);
    free(batch);
    free(audio);
}

/* ---- bounds ---------------------------------------------------------------------------------------------------- */

/* A digit asks for that reader's clip; "+": from memory, "-": computed. */
static void memory_is_bounded_by_settings(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *script;
        int evicted;
    } rows[] = {
        {"ECAPA_CACHE_SIZE=2", "1-2-1+3-1+2-3-1-", 4},
        {"ECAPA_CACHE_SIZE=0", "1-1-1-", 0},
        {"ECAPA_CACHE_SIZE=1000", "1-2-3-4-1+2+3+4+", 0},
    };
    char *bodies[4];
    float expected[4][CLIP_DIM];
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "reader%d_a.flac", i + 1);
        bodies[i] = clip_file_json(name, "");
        vx_audio audio = clip_audio(name);
        clip_expected(&audio, expected[i]);
        vx_audio_done(&audio);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const settings[] = {rows[i].setting, NULL};
        service *s = service_start_ready(settings);
        for (const char *step = rows[i].script; *step; step += 2) {
            const int reader = *step - '1';
            const bool cached = take_cached(post_json(s, EMBEDDING, bodies[reader]), expected[reader]);
            if (cached != (step[1] == '+'))
                fail_msg("%s: %s at %d", rows[i].setting, rows[i].script, (int)(step - rows[i].script));
        }
        assert_int_equal(cache_number(s, "evicted"), rows[i].evicted);
        assert_int_equal(service_stop(s), 0);
    }
    for (int i = 0; i < 4; i++)
        free(bodies[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_recording_is_computed_once_however_it_is_sent),
        cmocka_unit_test(a_remembered_answer_says_the_same),
        cmocka_unit_test(the_same_bytes_meaning_something_else_are_told_apart),
        cmocka_unit_test(failures_are_not_remembered),
        cmocka_unit_test(identical_requests_at_once_are_computed_once),
        cmocka_unit_test(prepopulated_recordings_are_found),
        cmocka_unit_test(nobody_can_choose_what_others_are_told),
        cmocka_unit_test(every_route_uses_the_same_memory),
        cmocka_unit_test(memory_is_bounded_by_settings),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
