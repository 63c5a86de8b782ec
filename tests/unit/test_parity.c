/* test_parity.c - the clips of a baked folder: the native engine computes on them what SpeechBrain did, the worst clip
 * is found, and no file is believed that bake did not write for this model.
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
#include <jansson.h>

#include "shared/audio/decode.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/base/sha256.h"
#include "shared/engine/parity.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"
#include "tests/support/npy.h"

#define GOLDEN  "tests/data/golden/model"
#define STARTER "models/starter"
#define FILE_   "parity.safetensors"
enum { CLIPS = 3, DIM = 192, MAX_FILE = 1 << 20 };

/* ---- a file as bake writes it, and what spoils it ------------------------------------------------------------------ */

/* The golden recordings and what SpeechBrain made of them. */
typedef struct {
    float embeddings[CLIPS * DIM];
    int32_t lengths[CLIPS + 1];
    uint8_t model[VX_SHA256_BYTES];
    int16_t samples[CLIPS * 8 * VX_AUDIO_RATE];
    size_t n_samples, n_clips, dim, further_lengths;
    int stated_clips;
    const char *lengths_dtype, *model_name;
    bool is_cut;
} spec;

static void add_golden(spec *s, size_t clip, const char *name)
{
    char path[64];
    vx_buf file = {0};
    vx_audio audio = {0};
    npy embedding = {0};
    snprintf(path, sizeof path, "tests/data/golden/%s.wav", name);
    assert_int_equal(vx_file_read(path, MAX_FILE, &file, NULL), VX_OK);
    assert_int_equal(vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &audio, NULL), VX_OK);
    snprintf(path, sizeof path, "tests/data/golden/%s.embedding.npy", name);
    assert_true(npy_load(path, &embedding) && embedding.n_values == DIM);
    assert_true(s->n_samples + audio.n <= sizeof s->samples / sizeof *s->samples);
    for (size_t i = 0; i < audio.n; i++)
        s->samples[s->n_samples++] = (int16_t)lrintf(audio.samples[i] * 32768.0f);
    s->lengths[clip] = (int32_t)audio.n;
    memcpy(s->embeddings + clip * DIM, embedding.data, DIM * sizeof(float));
    npy_done(&embedding);
    vx_audio_done(&audio);
    vx_buf_done(&file);
}

static spec golden(void)
{
    static spec s;
    vx_manifest m;
    assert_int_equal(vx_manifest_read(GOLDEN, &m, NULL), VX_OK);
    s = (spec){.n_clips = CLIPS, .dim = DIM, .stated_clips = CLIPS, .lengths_dtype = "I32", .model_name = "model"};
    memcpy(s.model, m.digest.bytes, sizeof s.model);
    add_golden(&s, 0, "a");
    add_golden(&s, 1, "b");
    add_golden(&s, 2, "c");
    return s;
}

static void append(vx_buf *out, const void *data, size_t n)
{
    assert_int_equal(vx_buf_append(out, data, n), VX_OK);
}

static vx_buf file_of(const spec *s)
{
    char header[1024];
    vx_buf out = {0};
    const size_t n_lengths = s->n_clips + s->further_lengths, embeddings = s->n_clips * s->dim * sizeof *s->embeddings,
                 lengths = embeddings + n_lengths * sizeof *s->lengths, model = lengths + sizeof s->model,
                 samples = model + s->n_samples * sizeof *s->samples;
    int n = snprintf(header, sizeof header,
                     "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]},"
                     "\"lengths\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]},"
                     "\"%s\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[%zu,%zu]},"
                     "\"samples\":{\"dtype\":\"I16\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}}",
                     s->n_clips, s->dim, embeddings, s->lengths_dtype, n_lengths, embeddings, lengths, s->model_name,
                     lengths, model, s->n_samples, model, samples);
    const size_t padded = ((size_t)n + 7) / 8 * 8;
    const uint8_t length[8] = {(uint8_t)padded, (uint8_t)(padded >> 8)};
    memset(header + n, ' ', padded - (size_t)n);
    append(&out, length, sizeof length);
    append(&out, header, padded);
    append(&out, s->embeddings, embeddings);
    append(&out, s->lengths, n_lengths * sizeof *s->lengths);
    append(&out, s->model, sizeof s->model);
    append(&out, s->samples, s->n_samples * sizeof *s->samples);
    if (s->is_cut)
        out.len -= 2;
    return out;
}

/* A copy of a model folder that names these clips. */
static model_copy folder_with(const char *model, const spec *s)
{
    model_copy copy = model_copy_of(model);
    vx_buf file = file_of(s);
    uint8_t digest[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX];
    assert_int_equal(vx_sha256_of(file.data, file.len, digest), VX_OK);
    vx_hex(digest, sizeof digest, hex);
    json_t *manifest = model_copy_manifest(&copy);
    json_object_set_new(manifest, "parity",
                        json_pack("{s:s, s:I, s:s, s:i}", "file", FILE_, "bytes", (json_int_t)file.len, "sha256", hex,
                                  "clips", s->stated_clips));
    model_copy_set_manifest(&copy, manifest);
    model_copy_put(&copy, FILE_, file.data, file.len);
    vx_buf_done(&file);
    return copy;
}

static void folder_done(model_copy *copy)
{
    model_copy_drop(copy, FILE_);
    model_copy_done(copy);
}

static vx_err open_clips(const char *folder, vx_parity **ret_parity, vx_errinfo *info)
{
    vx_manifest m;
    vx_err err = vx_manifest_read(folder, &m, info);
    return err ? err : vx_parity_open(folder, &m, ret_parity, info);
}

static vx_parity *must_open(const char *folder)
{
    vx_parity *parity = NULL;
    vx_errinfo info = {0};
    vx_err err = open_clips(folder, &parity, &info);
    if (err)
        fail_msg("%s", vx_errinfo_text(&info, err));
    return parity;
}

static vx_engine *must_open_engine(const char *folder)
{
    const vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_engine_open(folder, &options, &engine, &info);
    if (err)
        fail_msg("%s", vx_errinfo_text(&info, err));
    return engine;
}

/* ---- cosines and times --------------------------------------------------------------------------------------------- */

static void native_computes_what_speechbrain_did(void **state)
{
    (void)state;
    spec s = golden();
    model_copy copy = folder_with(GOLDEN, &s);
    vx_parity *parity = must_open(copy.path);
    vx_engine *engine = must_open_engine(copy.path);
    vx_parity_cosines cosines;
    assert_int_equal(vx_parity_clips(parity), CLIPS);
    assert_true(fabs(vx_parity_seconds(parity) - (double)s.n_samples / 16000) < 1e-9);
    assert_int_equal(vx_parity_compare(parity, engine, &cosines, NULL), VX_OK);
    assert_true(cosines.min >= 0.99999 && cosines.median >= cosines.min && cosines.median <= 1.000001);
    vx_engine_close(engine);
    vx_parity_close(parity);
    folder_done(&copy);
}

/* Turns a clip's embedding in the plane of itself and another direction, to a known cosine. */
static void turn(spec *s, size_t clip, double cosine)
{
    float *e = s->embeddings + clip * DIM;
    double other[DIM], dot = 0, length = 0, other_length = 0;
    for (int i = 0; i < DIM; i++) {
        dot += (double)e[i] * (i % 2 ? 1 : -1);
        length += (double)e[i] * e[i];
    }
    for (int i = 0; i < DIM; i++) {
        other[i] = (i % 2 ? 1 : -1) - dot / length * e[i];
        other_length += other[i] * other[i];
    }
    for (int i = 0; i < DIM; i++)
        e[i] = (float)(cosine * e[i] + sqrt(1 - cosine * cosine) * sqrt(length / other_length) * other[i]);
}

static void the_worst_clip_is_found(void **state)
{
    static const struct {
        double cosines[CLIPS];
        size_t worst;
        double min, median;
    } cases[] = {
        {{1, 0.9, 1}, 1, 0.9, 1},
        {{0.5, 0.9, 0.7}, 0, 0.5, 0.7},
        {{0.9, 0.8, -0.25}, 2, -0.25, 0.8},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        spec s = golden();
        for (size_t i = 0; i < CLIPS; i++)
            turn(&s, i, cases[c].cosines[i]);
        model_copy copy = folder_with(GOLDEN, &s);
        vx_parity *parity = must_open(copy.path);
        vx_engine *engine = must_open_engine(copy.path);
        vx_parity_cosines cosines;
        assert_int_equal(vx_parity_compare(parity, engine, &cosines, NULL), VX_OK);
        assert_int_equal(cosines.worst, cases[c].worst);
        assert_true(fabs(cosines.min - cases[c].min) < 1e-4 && fabs(cosines.median - cases[c].median) < 1e-4);
        vx_engine_close(engine);
        vx_parity_close(parity);
        folder_done(&copy);
    }
}

/* The middle of two lies between them. */
static void an_even_number_of_clips_has_a_median(void **state)
{
    (void)state;
    spec s = golden();
    s.n_clips = 2;
    s.stated_clips = 2;
    s.n_samples = (size_t)(s.lengths[0] + s.lengths[1]);
    turn(&s, 0, 0.5);
    turn(&s, 1, 0.9);
    model_copy copy = folder_with(GOLDEN, &s);
    vx_parity *parity = must_open(copy.path);
    vx_engine *engine = must_open_engine(copy.path);
    vx_parity_cosines cosines;
    assert_int_equal(vx_parity_compare(parity, engine, &cosines, NULL), VX_OK);
    assert_true(fabs(cosines.median - 0.7) < 1e-4);
    vx_engine_close(engine);
    vx_parity_close(parity);
    folder_done(&copy);
}

static void an_engine_of_another_model_is_refused(void **state)
{
    (void)state;
    spec s = golden();
    model_copy copy = folder_with(GOLDEN, &s);
    vx_parity *parity = must_open(copy.path);
    vx_engine *engine = must_open_engine(STARTER);
    vx_parity_cosines cosines = {.min = 7};
    vx_errinfo info = {0};
    assert_int_equal(vx_parity_compare(parity, engine, &cosines, &info), VX_ERR_MODEL_MISMATCH);
    assert_non_null(strstr(info.text, "clip 1 of 3: "));
    assert_true(cosines.min == 7);
    vx_engine_close(engine);
    vx_parity_close(parity);
    folder_done(&copy);
}

/* Clips of 11 s, and one of 0.62 s that has to be repeated. */
static void a_clip_of_three_seconds_is_timed(void **state)
{
    (void)state;
    for (int is_short = 0; is_short < 2; is_short++) {
        spec s = golden();
        if (is_short) {
            memmove(s.samples, s.samples + s.lengths[0], (size_t)s.lengths[1] * sizeof *s.samples);
            s.lengths[0] = s.lengths[1];
            s.n_samples = (size_t)s.lengths[1];
            s.n_clips = 1;
            s.stated_clips = 1;
        }
        model_copy copy = folder_with(GOLDEN, &s);
        vx_parity *parity = must_open(copy.path);
        vx_engine *engine = must_open_engine(copy.path);
        double ms = -1;
        assert_int_equal(vx_parity_time(parity, engine, &ms, NULL), VX_OK);
        assert_true(ms > 0 && ms < 60000);
        vx_engine_close(engine);
        vx_parity_close(parity);
        folder_done(&copy);
    }
}

/* ---- what is not believed ------------------------------------------------------------------------------------------ */

static void other_model(spec *s)
{
    s->model[31] ^= 1;
}
static void stated_one_more(spec *s)
{
    s->stated_clips++;
}
static void one_clip_less(spec *s)
{
    s->n_clips--;
}
static void one_length_more(spec *s)
{
    s->further_lengths = 1;
}
static void one_number_less(spec *s)
{
    s->dim--;
}
static void zero_embedding(spec *s)
{
    memset(s->embeddings + DIM, 0, DIM * sizeof *s->embeddings);
}
static void infinite_embedding(spec *s)
{
    s->embeddings[2 * DIM + 5] = INFINITY;
}
static void negative_length(spec *s)
{
    s->lengths[0] = -s->lengths[0];
}
static void short_clip(spec *s)
{
    s->lengths[1] = 4799;
}
static void long_clip(spec *s)
{
    s->lengths[2] = (int32_t)VX_AUDIO_MAX_SAMPLES + 1;
}
static void lengths_beyond_samples(spec *s)
{
    s->lengths[2]++;
}
static void lengths_before_the_end(spec *s)
{
    s->lengths[0]--;
}
static void lengths_are_floats(spec *s)
{
    s->lengths_dtype = "F32";
}
static void no_model(spec *s)
{
    s->model_name = "modem";
}
static void cut_off(spec *s)
{
    s->is_cut = true;
}

static void wrong_files_are_refused(void **state)
{
    static const struct {
        void (*spoil)(spec *s);
        vx_err expected;
        const char *says;
    } cases[] = {
        {other_model, VX_ERR_MODEL_MISMATCH, "another model"},
        {stated_one_more, VX_ERR_MODEL_CORRUPT, "another number of clips"},
        {one_clip_less, VX_ERR_MODEL_CORRUPT, "another number of clips"},
        {one_length_more, VX_ERR_MODEL_CORRUPT, "another number of clips"},
        {one_number_less, VX_ERR_MODEL_CORRUPT, "another number of clips, or other embeddings"},
        {zero_embedding, VX_ERR_MODEL_CORRUPT, "not finite, or zero"},
        {infinite_embedding, VX_ERR_MODEL_CORRUPT, "not finite, or zero"},
        {negative_length, VX_ERR_MODEL_CORRUPT, "shorter than 0.3 s or longer"},
        {short_clip, VX_ERR_MODEL_CORRUPT, "shorter than 0.3 s or longer"},
        {long_clip, VX_ERR_MODEL_CORRUPT, "shorter than 0.3 s or longer"},
        {lengths_beyond_samples, VX_ERR_MODEL_CORRUPT, "do not add up"},
        {lengths_before_the_end, VX_ERR_MODEL_CORRUPT, "do not add up"},
        {lengths_are_floats, VX_ERR_MODEL_CORRUPT, "another form"},
        {no_model, VX_ERR_MODEL_CORRUPT, "lacks"},
        {cut_off, VX_ERR_MODEL_CORRUPT, "outside the file"},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        spec s = golden();
        cases[c].spoil(&s);
        model_copy copy = folder_with(GOLDEN, &s);
        vx_parity *parity = NULL;
        vx_errinfo info = {0};
        vx_err err = open_clips(copy.path, &parity, &info);
        if (err != cases[c].expected || !strstr(info.text, cases[c].says) || !strstr(info.path, FILE_) || parity)
            fail_msg("case %zu: %s: %s: %s", c, vx_err_code(err), info.path, info.text);
        folder_done(&copy);
    }
}

static void what_the_manifest_does_not_state_is_refused(void **state)
{
    (void)state;
    spec s = golden();
    model_copy copy = folder_with(GOLDEN, &s);
    vx_parity *parity = NULL;
    vx_errinfo info = {0};
    model_copy_flip(&copy, FILE_, 5000);
    assert_int_equal(open_clips(copy.path, &parity, &info), VX_ERR_MODEL_HASH);
    assert_non_null(strstr(info.text, "SHA-256"));
    model_copy_drop(&copy, FILE_);
    assert_int_equal(open_clips(copy.path, &parity, NULL), VX_ERR_MODEL_MISSING);
    json_t *manifest = model_copy_manifest(&copy);
    json_object_del(manifest, "parity");
    model_copy_set_manifest(&copy, manifest);
    info = (vx_errinfo){0};
    assert_int_equal(open_clips(copy.path, &parity, &info), VX_ERR_MODEL_MISSING);
    assert_non_null(strstr(info.text, "bake.py"));
    assert_null(parity);
    folder_done(&copy);
}

/* The manifest's own entry: each value read, each fault named. */
static void the_manifest_entry_is_checked(void **state)
{
    static const struct {
        const char *key;
        const char *value; /* JSON; NULL removes the key */
        const char *says;  /* NULL: accepted */
    } cases[] = {
        {"clips", "100000", NULL},
        {"_source", "\"a comment\"", NULL},
        {"clips", "0", "parity: field 'clips'"},
        {"clips", "100001", "parity: field 'clips'"},
        {"clips", NULL, "parity: field 'clips'"},
        {"file", "\"../parity\"", "parity: field 'file' must be a plain file name"},
        {"file", NULL, "parity: field 'file'"},
        {"bytes", "0", "parity: field 'bytes'"},
        {"bytes", NULL, "parity: field 'bytes'"},
        {"sha256", "\"00\"", "parity: field 'sha256'"},
        {"sha256", NULL, "parity: field 'sha256'"},
        {"clip", "3", "parity: field 'clip' is not known"},
    };
    (void)state;
    spec s = golden();
    model_copy copy = folder_with(GOLDEN, &s);
    json_t *good = model_copy_manifest(&copy);
    vx_manifest m;
    assert_int_equal(vx_manifest_read(copy.path, &m, NULL), VX_OK);
    assert_int_equal(m.parity_clips, CLIPS);
    assert_string_equal(m.parity.file, FILE_);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        json_t *manifest = json_deep_copy(good), *entry = json_object_get(manifest, "parity");
        if (cases[c].value)
            json_object_set_new(entry, cases[c].key, json_loads(cases[c].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(entry, cases[c].key);
        model_copy_set_manifest(&copy, manifest);
        vx_errinfo info = {0};
        vx_err err = vx_manifest_read(copy.path, &m, &info);
        if ((err == VX_OK) != !cases[c].says || (cases[c].says && !strstr(info.text, cases[c].says)))
            fail_msg("case %zu: %s: %s", c, vx_err_code(err), info.text);
    }
    json_decref(good);
    folder_done(&copy);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static vx_err attempt_open(void *ctx)
{
    const model_copy *copy = ctx;
    vx_parity *parity = NULL;
    vx_err err = open_clips(copy->path, &parity, NULL);
    vx_parity_close(parity);
    return err;
}

typedef struct {
    vx_parity *parity;
    vx_engine *engine;
} opened;

static vx_err attempt_run(void *ctx)
{
    opened *o = ctx;
    vx_parity_cosines cosines;
    double ms;
    vx_err err = vx_parity_compare(o->parity, o->engine, &cosines, NULL);
    return err ? err : vx_parity_time(o->parity, o->engine, &ms, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    spec s = golden();
    model_copy copy = folder_with(GOLDEN, &s);
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(attempt_open, &copy);
    opened o = {must_open(copy.path), must_open_engine(copy.path)};
    vx_alloc_fail_each(attempt_run, &o);
    vx_engine_close(o.engine);
    vx_parity_close(o.parity);
    folder_done(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_computes_what_speechbrain_did),
        cmocka_unit_test(the_worst_clip_is_found),
        cmocka_unit_test(an_even_number_of_clips_has_a_median),
        cmocka_unit_test(an_engine_of_another_model_is_refused),
        cmocka_unit_test(a_clip_of_three_seconds_is_timed),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(what_the_manifest_does_not_state_is_refused),
        cmocka_unit_test(the_manifest_entry_is_checked),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
