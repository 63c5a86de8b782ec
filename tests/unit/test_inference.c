/* test_inference.c - cache, single flight and breaker around a real engine, the golden model's. */
#include "cloud/inference.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/sha256.h"
#include "shared/base/team.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"
#include "tests/support/stats.h"

#define GOLDEN   "tests/data/golden/model"
#define FOR_EVER UINT64_MAX

enum { N_SAMPLES = VX_AUDIO_RATE / 2, PATIENCE_S = 30 };

typedef struct {
    vx_engine *engine, *broken;
    vx_options *options;
    vx_metrics *metrics;
    vx_inference *inference;
} fixture;

static vx_engine *open_engine(const char *folder)
{
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    if (vx_engine_open(folder, &options, &engine, &info))
        fail_msg("%s", info.text);
    return engine;
}

/* An engine that fails on every clip: with the last of its weights at the end of what a float holds, its results
 * are no numbers. */
static vx_engine *open_broken_engine(void)
{
    model_copy copy = model_copy_of(GOLDEN);
    char path[128], digest[VX_SHA256_HEX];
    uint8_t hash[VX_SHA256_BYTES];
    vx_buf weights = {0};
    snprintf(path, sizeof path, "%s/%s", copy.path, MODEL_WEIGHTS);
    assert_int_equal(vx_file_read(path, 16 << 20, &weights, NULL), VX_OK);
    const float huge = FLT_MAX;
    for (size_t at = weights.len - 4096; at < weights.len; at += sizeof huge)
        memcpy(weights.data + at, &huge, sizeof huge);
    model_copy_put(&copy, MODEL_WEIGHTS, weights.data, weights.len);
    assert_int_equal(vx_sha256_of(weights.data, weights.len, hash), VX_OK);
    vx_hex(hash, sizeof hash, digest);
    json_t *manifest = model_copy_manifest(&copy);
    json_t *native = json_object_get(json_object_get(manifest, "artefacts"), "native");
    json_object_set_new(native, "sha256", json_string(digest));
    model_copy_set_manifest(&copy, manifest);
    vx_engine *engine = open_engine(copy.path);
    vx_buf_done(&weights);
    model_copy_done(&copy); /* what is mapped stays */
    return engine;
}

/* settings: "NAME=value", NULL at the end; may be NULL. */
static fixture open_with(char *const *settings)
{
    static char *const none[] = {NULL};
    fixture f = {0};
    const char *operands[1];
    int n_operands;
    vx_errinfo info = {0};
    if (vx_options_load(VX_FOR_CLOUD, settings ? settings : none, 0, NULL, NULL, operands, &n_operands, &f.options,
                        &info))
        fail_msg("%s", info.text);
    f.engine = open_engine(GOLDEN);
    assert_int_equal(vx_metrics_create(&f.metrics), VX_OK);
    assert_int_equal(vx_inference_create(f.options, f.metrics, &f.inference), VX_OK);
    return f;
}

static void close_all(fixture *f)
{
    vx_inference_destroy(f->inference);
    vx_metrics_destroy(f->metrics);
    vx_options_destroy(f->options);
    vx_engine_close(f->engine);
    vx_engine_close(f->broken);
}

/* Noise that a seed fixes. */
static vx_audio make_audio(uint64_t seed)
{
    vx_audio audio = {.samples = malloc(N_SAMPLES * sizeof(float)), .n = N_SAMPLES, .seconds = 0.5, .format = "wav"};
    assert_non_null(audio.samples);
    for (size_t i = 0; i < N_SAMPLES; i++)
        audio.samples[i] = (float)(stats_random(&seed) >> 40) / 16777216.0f - 0.5f;
    return audio;
}

/* One embedding, for what is told of it. */
static vx_err embed(const fixture *f, const vx_audio *audio, bool *ret_cached)
{
    vx_embedding embedding;
    vx_inference_trace trace = {0};
    vx_err err = vx_inference_embed(f->inference, f->engine, audio, FOR_EVER, NULL, &embedding, &trace, NULL);
    *ret_cached = trace.cached;
    return err;
}

static bool is_cached(const fixture *f, uint64_t seed)
{
    bool cached;
    vx_audio audio = make_audio(seed);
    assert_int_equal(embed(f, &audio, &cached), VX_OK);
    vx_audio_done(&audio);
    return cached;
}

static vx_cache_stats stats(const fixture *f)
{
    vx_cache_stats stats;
    vx_inference_cache_stats(f->inference, &stats);
    return stats;
}

/* ---- cache ----------------------------------------------------------------------------------------------------- */

static void the_same_samples_are_computed_once(void **state)
{
    (void)state;
    fixture f = open_with(NULL);
    vx_audio audio = make_audio(1), copy = make_audio(1);
    vx_embedding computed, cached, expected;
    vx_inference_trace first, second;
    vx_cache_key key, key_again, key_other;
    copy.format = "flac"; /* where the samples came from does not count */
    copy.source_rate = 48000;
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &audio, FOR_EVER, &key, &computed, &first, NULL), VX_OK);
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &copy, FOR_EVER, &key_again, &cached, &second, NULL),
                     VX_OK);
    assert_false(first.cached);
    assert_true(first.features_ms > 0 && first.network_ms > 0);
    assert_true(second.cached);
    assert_true(second.features_ms == 0 && second.network_ms == 0);
    assert_memory_equal(&key, &key_again, sizeof key);

    assert_int_equal(vx_engine_embed(f.engine, audio.samples, audio.n, &expected, NULL, NULL), VX_OK);
    assert_int_equal(cached.dim, expected.dim);
    assert_memory_equal(cached.values, computed.values, (size_t)expected.dim * sizeof *expected.values);
    assert_memory_equal(cached.values, expected.values, (size_t)expected.dim * sizeof *expected.values);
    assert_true(vx_model_digest_equal(&cached.model, &expected.model));

    copy.samples[N_SAMPLES - 1] += 1e-6f; /* one bit of one sample makes another recording */
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &copy, FOR_EVER, &key_other, &cached, &second, NULL),
                     VX_OK);
    assert_false(second.cached);
    assert_memory_not_equal(&key, &key_other, sizeof key);
    copy.n--;
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &copy, FOR_EVER, NULL, &cached, &second, NULL), VX_OK);
    assert_false(second.cached);
    assert_int_equal(stats(&f).hits, 1);
    assert_int_equal(stats(&f).misses, 3);
    assert_int_equal(stats(&f).entries, 3);
    vx_audio_done(&audio);
    vx_audio_done(&copy);
    close_all(&f);
}

/* A letter asks for its clip; "+" that it is remembered, "-" that it is not. */
static void settings_bound_the_memory(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *script;
        uint64_t evicted;
    } rows[] = {
        {"ECAPA_CACHE_SIZE=0", "a-a-a-", 0},
        {"ECAPA_CACHE_SIZE=1", "a-a+b-a-", 2},
        {"ECAPA_CACHE_SIZE=2", "a-b-a+c-a+b-", 2},
        {"ECAPA_CACHE_SIZE=1000", "a-b-c-d-a+b+c+d+", 0},
        {"VOXLOCK_CACHE_BYTES=64KiB", "a-b-c-d-a+b+c+d+", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char setting[64];
        snprintf(setting, sizeof setting, "%s", rows[i].setting);
        char *settings[] = {setting, NULL};
        fixture f = open_with(settings);
        for (const char *c = rows[i].script; *c; c += 2) {
            if (is_cached(&f, (uint64_t)*c) != (c[1] == '+'))
                fail_msg("%s: %s at %zu", setting, rows[i].script, (size_t)(c - rows[i].script));
        }
        assert_int_equal(stats(&f).evicted, rows[i].evicted);
        close_all(&f);
    }
}

/* The least memory that can be set holds some of many clips, never more than its share, and never a wrong one. */
static void bytes_are_bounded(void **state)
{
    (void)state;
    enum { CLIPS = 80 };
    char bytes[] = "VOXLOCK_CACHE_BYTES=64KiB", size[] = "ECAPA_CACHE_SIZE=1000000";
    char *settings[] = {bytes, size, NULL};
    fixture f = open_with(settings);
    for (uint64_t i = 0; i < CLIPS; i++)
        assert_false(is_cached(&f, i));
    assert_true(stats(&f).evicted > 0);
    assert_true(stats(&f).bytes <= 65536);
    assert_true(is_cached(&f, CLIPS - 1));
    assert_false(is_cached(&f, 0));
    close_all(&f);
}

static void embeddings_are_forgotten_with_age(void **state)
{
    (void)state;
    char ttl[] = "ECAPA_CACHE_TTL=1";
    char *settings[] = {ttl, NULL};
    fixture f = open_with(settings);
    const uint64_t start = vx_now_ns();
    assert_false(is_cached(&f, 1));
    while (is_cached(&f, 1)) /* being asked for does not make it younger */
        assert_true(vx_now_ns() - start < (uint64_t)PATIENCE_S * 1000000000u);
    assert_true(vx_now_ns() - start >= 1000000000u);
    assert_int_equal(stats(&f).expired, 1);
    close_all(&f);
}

/* ---- requests seen before -------------------------------------------------------------------------------------- */

static void request_keys_tell_parts_apart(void **state)
{
    (void)state;
    static const struct {
        vx_bytes parts[3];
        size_t n;
    } rows[] = {
        {{{"ab", 2}, {"c", 1}}, 2}, {{{"a", 1}, {"bc", 2}}, 2}, {{{"abc", 3}, {"", 0}}, 2},
        {{{"", 0}, {"abc", 3}}, 2}, {{{"abc", 3}}, 1},          {{{"abc", 3}, {NULL, 0}, {NULL, 0}}, 3},
        {{{"a", 1}, {"c", 1}}, 2},  {{{"c", 1}, {"ab", 2}}, 2},
    };
    enum { N = sizeof rows / sizeof *rows };
    vx_cache_key keys[N], again;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(vx_inference_request_key(rows[i].parts, rows[i].n, &keys[i]), VX_OK);
        assert_int_equal(vx_inference_request_key(rows[i].parts, rows[i].n, &again), VX_OK);
        assert_memory_equal(&keys[i], &again, sizeof again);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(&keys[i], &keys[k], sizeof again);
    }
}

static void remember(const fixture *f, uint64_t request, uint64_t seed, int note)
{
    vx_audio audio = make_audio(seed);
    vx_cache_key request_key = {0}, key;
    vx_embedding embedding;
    vx_inference_trace trace;
    memcpy(request_key.bytes, &request, sizeof request);
    assert_int_equal(vx_inference_embed(f->inference, f->engine, &audio, FOR_EVER, &key, &embedding, &trace, NULL),
                     VX_OK);
    vx_inference_remember(f->inference, &request_key, &key, &audio, note);
    vx_audio_done(&audio);
}

static bool recall(const fixture *f, uint64_t request, vx_embedding *ret_embedding, vx_audio *ret_audio, int *ret_note)
{
    vx_cache_key key = {0};
    memcpy(key.bytes, &request, sizeof request);
    return vx_inference_recall(f->inference, f->engine, &key, ret_embedding, ret_audio, ret_note);
}

static void a_request_is_recalled_with_all_that_its_answer_says(void **state)
{
    (void)state;
    fixture f = open_with(NULL);
    vx_audio audio = make_audio(5), known = {0};
    vx_embedding expected, got;
    int note = 0;
    assert_false(recall(&f, 1, &got, &known, &note));
    remember(&f, 1, 5, 42);
    remember(&f, 1, 5, 42); /* again is nothing new */
    remember(&f, 2, 5, 43); /* other bytes that hold the same recording */
    assert_false(recall(&f, 3, &got, &known, &note));
    assert_int_equal(vx_engine_embed(f.engine, audio.samples, audio.n, &expected, NULL, NULL), VX_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(recall(&f, (uint64_t)i + 1, &got, &known, &note));
        assert_int_equal(note, 42 + i);
        assert_null(known.samples);
        assert_int_equal(known.n, N_SAMPLES);
        assert_true(known.seconds == audio.seconds);
        assert_string_equal(known.format, "wav");
        assert_memory_equal(got.values, expected.values, (size_t)expected.dim * sizeof *expected.values);
        assert_true(vx_model_digest_equal(&got.model, &expected.model));
    }
    vx_audio_done(&audio);
    close_all(&f);
}

/* Bytes that are known though their embedding is not: no answer, and one computation is one miss. */
static void a_recall_without_an_embedding_is_none(void **state)
{
    (void)state;
    char size[] = "ECAPA_CACHE_SIZE=1";
    char *settings[] = {size, NULL};
    fixture f = open_with(settings);
    vx_audio known = {.format = "untouched"};
    vx_embedding got;
    int note = 7;
    remember(&f, 1, 1, 0);
    assert_false(is_cached(&f, 2)); /* takes the only place of an embedding, and no place of a request */
    assert_false(recall(&f, 1, &got, &known, &note));
    assert_string_equal(known.format, "untouched");
    assert_int_equal(note, 7);
    assert_false(is_cached(&f, 1));
    assert_int_equal(stats(&f).misses, 3);
    assert_int_equal(stats(&f).hits, 0);
    assert_true(recall(&f, 1, &got, &known, &note));
    assert_int_equal(stats(&f).hits, 1);
    close_all(&f);
}

/* ---- many callers ---------------------------------------------------------------------------------------------- */

enum { CALLERS = 8, CLIPS = 3, ROUNDS = 4 };

typedef struct {
    fixture f;
    vx_team *team;
    vx_audio clips[CLIPS];
    vx_embedding expected[CLIPS];
    int wrong[CALLERS];
} crowd;

static void ask_all(void *arg, int rank)
{
    crowd *c = arg;
    for (int round = 0; round < ROUNDS; round++) {
        vx_team_barrier(c->team); /* so that they meet */
        for (int i = 0; i < CLIPS; i++) {
            const int clip = round % 2 ? (i + rank) % CLIPS : i;
            vx_embedding got;
            vx_inference_trace trace;
            if (vx_inference_embed(c->f.inference, c->f.engine, &c->clips[clip], FOR_EVER, NULL, &got, &trace, NULL) ||
                memcmp(got.values, c->expected[clip].values, (size_t)got.dim * sizeof *got.values) != 0)
                c->wrong[rank]++;
            vx_inference_refresh_metrics(c->f.inference);
        }
    }
}

/* With and without room to remember: whoever comes while a clip is computed gets that result. */
static void many_callers_at_once_share_one_computation(void **state)
{
    (void)state;
    for (int keeps = 0; keeps < 2; keeps++) {
        char size[] = "ECAPA_CACHE_SIZE=0";
        char *settings[] = {size, NULL};
        crowd c = {.f = open_with(keeps ? NULL : settings)};
        assert_int_equal(vx_team_create(CALLERS, &c.team), VX_OK);
        for (int i = 0; i < CLIPS; i++) {
            c.clips[i] = make_audio((uint64_t)i);
            assert_int_equal(vx_engine_embed(c.f.engine, c.clips[i].samples, c.clips[i].n, &c.expected[i], NULL, NULL),
                             VX_OK);
        }
        vx_team_run(c.team, ask_all, &c);
        for (int i = 0; i < CALLERS; i++)
            assert_int_equal(c.wrong[i], 0);
        vx_cache_stats s = stats(&c.f);
        assert_int_equal(s.hits + s.joined + s.misses, CALLERS * CLIPS * ROUNDS);
        if (keeps)
            assert_int_equal(s.misses, CLIPS);
        else
            assert_int_equal(s.hits, 0);
        vx_inference_refresh_metrics(c.f.inference);
        assert_true(vx_metric_value(vx_metrics_counter(c.f.metrics, "voxlock_cache_misses_total", "", "")) ==
                    (double)s.misses);
        assert_true(vx_metric_value(vx_metrics_counter(c.f.metrics, "voxlock_cache_joined_total", "", "")) ==
                    (double)s.joined);
        vx_team_destroy(c.team);
        for (int i = 0; i < CLIPS; i++)
            vx_audio_done(&c.clips[i]);
        close_all(&c.f);
    }
}

/* ---- breaker --------------------------------------------------------------------------------------------------- */

static vx_breaker_view breaker(const fixture *f)
{
    vx_breaker_view view;
    vx_inference_breaker_view(f->inference, &view);
    return view;
}

static void fail_times(fixture *f, int n)
{
    if (!f->broken)
        f->broken = open_broken_engine();
    for (int i = 0; i < n; i++) {
        vx_embedding embedding = {.dim = 77};
        vx_inference_trace trace;
        vx_audio audio = make_audio(1000); /* the same one: a failure is not remembered */
        assert_int_equal(vx_inference_embed(f->inference, f->broken, &audio, FOR_EVER, NULL, &embedding, &trace, NULL),
                         VX_ERR_ENGINE);
        assert_int_equal(embedding.dim, 77);
        vx_audio_done(&audio);
    }
}

static void failures_in_a_row_open_the_breaker(void **state)
{
    (void)state;
    fixture f = open_with(NULL);
    vx_audio audio = make_audio(1), fresh = make_audio(2);
    vx_embedding embedding;
    vx_inference_trace trace;
    vx_errinfo info = {0};
    bool cached;
    fail_times(&f, 4);
    assert_int_equal(embed(&f, &audio, &cached), VX_OK); /* in between: the count starts anew */
    fail_times(&f, 4);
    assert_int_equal(breaker(&f).state, VX_BREAKER_CLOSED);
    fail_times(&f, 1);
    assert_int_equal(breaker(&f).state, VX_BREAKER_OPEN);
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &fresh, FOR_EVER, NULL, &embedding, &trace, &info),
                     VX_ERR_CIRCUIT_OPEN);
    assert_int_equal(info.code, VX_ERR_CIRCUIT_OPEN);
    assert_in_range(info.retry_s, 1, 30);
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &fresh, FOR_EVER, NULL, &embedding, &trace, NULL),
                     VX_ERR_CIRCUIT_OPEN);
    assert_int_equal(embed(&f, &audio, &cached), VX_OK); /* what is remembered needs no engine */
    assert_true(cached);
    vx_inference_refresh_metrics(f.inference);
    assert_true(vx_metric_value(vx_metrics_gauge(f.metrics, "voxlock_breaker_state", "", "")) == 2);
    assert_true(vx_metric_value(vx_metrics_counter(f.metrics, "voxlock_breaker_opened_total", "", "")) == 1);
    vx_audio_done(&audio);
    vx_audio_done(&fresh);
    close_all(&f);
}

static void a_breaker_lets_one_try_and_closes(void **state)
{
    (void)state;
    char failures[] = "VOXLOCK_BREAKER_FAILURES=2", open_ms[] = "VOXLOCK_BREAKER_OPEN_MS=30";
    char *settings[] = {failures, open_ms, NULL};
    fixture f = open_with(settings);
    vx_audio audio = make_audio(1);
    bool cached;
    const uint64_t start = vx_now_ns();
    vx_err err;
    fail_times(&f, 2);
    while ((err = embed(&f, &audio, &cached)) == VX_ERR_CIRCUIT_OPEN)
        assert_true(vx_now_ns() - start < (uint64_t)PATIENCE_S * 1000000000u);
    assert_int_equal(err, VX_OK);
    assert_true(vx_now_ns() - start >= 30000000u);
    assert_int_equal(breaker(&f).state, VX_BREAKER_CLOSED);
    assert_int_equal(breaker(&f).failures_in_row, 0);
    assert_int_equal(breaker(&f).opened_count, 1);
    vx_audio_done(&audio);
    close_all(&f);
}

/* A recording that cannot be used says nothing of the engine. */
static void unusable_recordings_never_open_it(void **state)
{
    (void)state;
    fixture f = open_with(NULL);
    for (int i = 0; i < 20; i++) {
        bool cached;
        vx_audio audio = make_audio((uint64_t)i);
        if (i % 2)
            audio.samples[100] = NAN;
        else
            audio.n = 100;
        assert_int_equal(embed(&f, &audio, &cached), i % 2 ? VX_ERR_AUDIO_NOT_FINITE : VX_ERR_AUDIO_SHORT);
        vx_audio_done(&audio);
    }
    assert_int_equal(breaker(&f).state, VX_BREAKER_CLOSED);
    assert_int_equal(breaker(&f).failures_in_row, 0);
    assert_int_equal(stats(&f).entries, 0); /* a failure is not remembered */
    close_all(&f);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Every failed allocation is NOMEM, or a metric that stays away: those never fail anything. */
static void failed_allocations_of_create_are_survived(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    fixture f = open_with(NULL);
    size_t n_refused = 0, n = SIZE_MAX;
    for (size_t k = 1; n >= k - 1; k++) {
        vx_inference *inference = NULL;
        vx_metrics *metrics = NULL;
        assert_int_equal(vx_metrics_create(&metrics), VX_OK);
        vx_alloc_fail_at(k);
        vx_err err = vx_inference_create(f.options, metrics, &inference);
        n = vx_alloc_count();
        vx_alloc_fail_at(0);
        n_refused += err != VX_OK;
        assert_true(err == VX_OK || (err == VX_ERR_NOMEM && !inference));
        vx_inference_destroy(inference);
        vx_metrics_destroy(metrics);
    }
    assert_int_equal(n_refused, 8); /* itself, the breaker, and two caches with two tables each */
    close_all(&f);
}

/* Without memory an embedding fails or is only not kept; what is told is never wrong, and nothing stays under way. */
static void failed_allocations_of_embed_are_survived(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    fixture f = open_with(NULL);
    vx_audio audio = make_audio(1);
    vx_embedding expected, got;
    vx_inference_trace trace;
    assert_int_equal(vx_engine_embed(f.engine, audio.samples, audio.n, &expected, NULL, NULL), VX_OK);
    size_t n = SIZE_MAX;
    for (size_t k = 1; n >= k - 1; k++) {
        vx_alloc_fail_at(k);
        vx_err err = vx_inference_embed(f.inference, f.engine, &audio, FOR_EVER, NULL, &got, &trace, NULL);
        n = vx_alloc_count();
        vx_alloc_fail_at(0);
        assert_true(err == VX_OK || err == VX_ERR_NOMEM);
        if (err == VX_OK)
            assert_memory_equal(got.values, expected.values, (size_t)got.dim * sizeof *got.values);
    }
    assert_int_equal(vx_inference_embed(f.inference, f.engine, &audio, FOR_EVER, NULL, &got, &trace, NULL), VX_OK);
    assert_true(trace.cached);
    vx_audio_done(&audio);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_samples_are_computed_once),
        cmocka_unit_test(settings_bound_the_memory),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(embeddings_are_forgotten_with_age),
        cmocka_unit_test(request_keys_tell_parts_apart),
        cmocka_unit_test(a_request_is_recalled_with_all_that_its_answer_says),
        cmocka_unit_test(a_recall_without_an_embedding_is_none),
        cmocka_unit_test(many_callers_at_once_share_one_computation),
        cmocka_unit_test(failures_in_a_row_open_the_breaker),
        cmocka_unit_test(a_breaker_lets_one_try_and_closes),
        cmocka_unit_test(unusable_recordings_never_open_it),
        cmocka_unit_test(failed_allocations_of_create_are_survived),
        cmocka_unit_test(failed_allocations_of_embed_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
