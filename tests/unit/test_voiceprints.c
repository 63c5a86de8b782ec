/* test_voiceprints.c - embeddings by model, legacy profiles, and what of a voice lies on the disk. */
#include "edge/store/profiles.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/store/store_private.h"
#include "shared/base/file.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void expect_model(vx_store *store, const char *name, const vx_model_digest *model)
{
    const vx_speaker speaker = fixture_speaker(store, name);
    assert_true(vx_model_digest_equal(&speaker.model, model));
}

static void expect_err(vx_err got, vx_err want, const vx_errinfo *info, const char *text)
{
    assert_int_equal(got, want);
    assert_int_equal(info->code, want);
    if (!strstr(info->text, text))
        fail_msg("'%s' does not hold '%s'", info->text, text);
}

static vx_err see_last(void *arg, const vx_audit_entry *e)
{
    *(int64_t *)arg = e->n;
    return VX_OK;
}

static int64_t n_entries(vx_store *store)
{
    int64_t n = 0;
    assert_int_equal(vx_audit_walk(store, 1, see_last, &n, NULL), VX_OK);
    return n;
}

/* ---- models ------------------------------------------------------------------------------------------------------- */

static size_t n_exemplars(vx_store *store, int64_t speaker, uint8_t model)
{
    const vx_model_digest digest = fixture_model(model);
    vx_exemplar *list = NULL;
    size_t n = 0;
    vx_err err = vx_store_exemplars(store, speaker, &digest, &list, &n, NULL);
    assert_true(err == VX_OK || (err == VX_ERR_NOT_FOUND && list == NULL));
    free(list);
    return n;
}

static void voiceprints_of_models_lie_side_by_side(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s[] = {fixture_sample(1, 1, 0.5, ""), fixture_sample(2, 1, 0.6, "")};
    const int64_t ids[] = {1, 2};
    const vx_embedding anew[] = {fixture_embedding(11, 2, 128), fixture_embedding(12, 2, 128)};
    const vx_model_digest two = fixture_model(2), three = fixture_model(3);
    vx_new_sample unmeasured = fixture_sample(3, 1, 0.5, "");
    unmeasured.embedding = NULL;
    fixture_enrol(store, "ada", s, 2, false, 2, 0);
    fixture_enrol(store, "bob", &unmeasured, 1, false, 1, 0);
    const int64_t ada = fixture_speaker(store, "ada").id, bob = fixture_speaker(store, "bob").id;

    vx_exemplar *list = (void *)&ids;
    size_t n = 5;
    vx_errinfo info = {0}, none = {0}, nobody = {0};
    expect_err(vx_store_exemplars(store, ada, &two, &list, &n, &info), VX_ERR_NOT_FOUND, &info,
               "of model 015a00000000, not of 025a00000000: voxlock migrate");
    assert_true((void *)list == (void *)&ids && n == 5);
    expect_err(vx_store_exemplars(store, bob, &two, &list, &n, &none), VX_ERR_NOT_FOUND, &none, "no voiceprint yet");
    expect_err(vx_store_exemplars(store, 99, &two, &list, &n, &nobody), VX_ERR_NOT_ENROLLED, &nobody, "speaker 99");

    assert_int_equal(vx_store_put_embeddings(store, ada, ids, anew, 2, NULL), VX_OK);
    expect_model(store, "ada", &two);
    assert_int_equal(n_exemplars(store, ada, 1), 2);
    assert_int_equal(n_exemplars(store, ada, 2), 2);
    assert_int_equal(vx_store_exemplars(store, ada, &two, &list, &n, NULL), VX_OK);
    assert_memory_equal(&list[0].embedding, &anew[1], sizeof anew[1]); /* best first */
    free(list);

    /* Written again they replace, and the model written last is the one of before. */
    const vx_embedding back[] = {fixture_embedding(21, 1, FIXTURE_DIM)};
    assert_int_equal(vx_store_put_embeddings(store, ada, ids, back, 1, NULL), VX_OK);
    assert_int_equal(n_exemplars(store, ada, 1), 2);
    expect_model(store, "ada", &back[0].model);

    vx_sample *samples = NULL;
    assert_int_equal(vx_store_samples(store, ada, &three, &samples, &n, NULL), VX_OK);
    assert_false(samples[0].has_embedding);
    free(samples);

    assert_int_equal(vx_store_forget_models(store, &two, NULL), VX_OK);
    assert_int_equal(n_exemplars(store, ada, 1), 0);
    assert_int_equal(n_exemplars(store, ada, 2), 2);
    const int64_t before = n_entries(store);
    assert_int_equal(vx_store_forget_models(store, &two, NULL), VX_OK); /* nothing left to forget, or to tell */
    assert_int_equal(n_entries(store), before);
}

static void voiceprints_are_written_together_or_not_at_all(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    fixture_enrol(store, "ada", &s, 1, false, 1, 0);
    fixture_enrol(store, "bob", &s, 1, false, 1, 0);
    const int64_t mixed[] = {1, 2}; /* the second is bob's */
    const vx_embedding anew[] = {fixture_embedding(11, 2, 128), fixture_embedding(12, 2, 128)};
    vx_errinfo info = {0};
    expect_err(vx_store_put_embeddings(store, 1, mixed, anew, 2, &info), VX_ERR_NOT_FOUND, &info, "recording 2");
    assert_int_equal(n_exemplars(store, 1, 2), 0);
    assert_int_equal(vx_store_put_embeddings(store, 99, mixed, anew, 1, NULL), VX_ERR_NOT_ENROLLED);
    assert_int_equal(vx_store_put_embeddings(store, 1, mixed, anew, 0, NULL), VX_ERR_RANGE);
}

/* ---- legacy profiles ---------------------------------------------------------------------------------------------- */

static void enrol_legacy(vx_store *store, const char *name)
{
    vx_new_sample s[] = {fixture_sample(1, 1, 0.5, ""), fixture_sample(2, 1, 0.6, "")};
    for (size_t i = 0; i < COUNT(s); i++)
        s[i].samples = NULL, s[i].n = 0;
    fixture_enrol(store, name, s, COUNT(s), false, 2, 0);
}

static void a_legacy_profile_asks_for_new_recordings(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s = fixture_sample(3, 2, 0.5, "");
    const vx_model_digest two = fixture_model(2);
    vx_enrolled enrolled;
    vx_errinfo info = {0}, audio = {0};
    float *pcm;
    size_t n;
    enrol_legacy(store, "ada");
    assert_true(fixture_speaker(store, "ada").legacy);
    expect_err(vx_store_sample_audio(store, 1, &pcm, &n, &audio), VX_ERR_NOT_FOUND, &audio, "no audio");
    expect_err(vx_store_enrol(store, "ada", &s, 1, false, &enrolled, &info), VX_ERR_LEGACY_PROFILE, &info, "--replace");
    /* Nothing could compute its voiceprints again, so they are not forgotten. */
    assert_int_equal(vx_store_forget_models(store, &two, NULL), VX_OK);
    assert_int_equal(n_exemplars(store, 1, 1), 2);
    fixture_enrol(store, "ada", &s, 1, true, 1, 0);
    assert_false(fixture_speaker(store, "ada").legacy);
}

static void padding_keeps_what_fits(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static const int dims[] = {FIXTURE_DIM - 64, FIXTURE_DIM, FIXTURE_DIM + 64, 1};
    vx_errinfo info = {0};
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    const vx_model_digest two = fixture_model(2);
    fixture_enrol(store, "audio", &s, 1, false, 1, 0);
    expect_err(vx_store_pad_legacy(store, "audio", &two, FIXTURE_DIM, &info), VX_ERR_LEGACY_PROFILE, &info,
               "no legacy profile");
    assert_int_equal(vx_store_pad_legacy(store, "audio", &two, 0, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_pad_legacy(store, "audio", &two, VX_EMBEDDING_MAX_DIM + 1, NULL), VX_ERR_RANGE);
    for (size_t i = 0; i < COUNT(dims); i++) {
        char name[8];
        const vx_model_digest model = fixture_model((uint8_t)(10 + i));
        const vx_embedding old = fixture_embedding(2, 1, FIXTURE_DIM); /* of the better recording */
        (void)snprintf(name, sizeof name, "p%zu", i);
        enrol_legacy(store, name);
        const int64_t id = fixture_speaker(store, name).id;
        assert_int_equal(vx_store_pad_legacy(store, name, &model, dims[i], NULL), VX_OK);
        assert_true(fixture_speaker(store, name).legacy); /* it still is no measure of likeness */

        vx_exemplar *list = NULL;
        size_t n = 0;
        assert_int_equal(vx_store_exemplars(store, id, &model, &list, &n, NULL), VX_OK);
        assert_int_equal(n, 2);
        assert_int_equal(list[0].embedding.dim, dims[i]);
        double dot = 0, cut = 0;
        for (int j = 0; j < FIXTURE_DIM && j < dims[i]; j++) {
            dot += (double)list[0].embedding.values[j] * old.values[j];
            cut += (double)old.values[j] * old.values[j];
        }
        assert_true(fabs(dot - sqrt(cut)) < 1e-6);
        free(list);
        const int64_t before = n_entries(store);
        assert_int_equal(vx_store_pad_legacy(store, name, &model, dims[i], NULL), VX_OK); /* nothing is left to pad */
        assert_int_equal(n_entries(store), before);
    }
}

/* ---- at rest ------------------------------------------------------------------------------------------------------ */

static void voices_do_not_lie_open(void **state)
{
    store_fixture *f = *state;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    int16_t words[64];
    vx_buf all = {0};
    for (size_t i = 0; i < COUNT(words); i++)
        words[i] = (int16_t)(s.samples[500 + i] * 32768);
    fixture_enrol(f->store, "ada", &s, 1, false, 1, 0);
    assert_int_equal(vx_file_read(store_folder_path(f->folder, VX_STORE_FILE "-wal"), 64 << 20, &all, NULL), VX_OK);
    assert_int_equal(vx_file_read(store_folder_path(f->folder, VX_STORE_FILE), 64 << 20, &all, NULL), VX_OK);
    assert_non_null(memmem(all.data, all.len, "ada", 3));
    assert_null(memmem(all.data, all.len, words, sizeof words));
    assert_null(memmem(all.data, all.len, s.samples + 500, 64 * sizeof(float)));
    assert_null(memmem(all.data, all.len, s.embedding->values, 16 * sizeof(float)));
    vx_buf_done(&all);
}

/* A recording or voiceprint moved to another row, or damaged, is refused and named. */
static void moved_values_do_not_open(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s[] = {fixture_sample(1, 1, 0.5, ""), fixture_sample(2, 1, 0.6, "")};
    const vx_model_digest model = fixture_model(1);
    float *pcm = NULL;
    vx_exemplar *list = NULL;
    size_t n;
    fixture_enrol(store, "ada", s, 2, false, 2, 0);
    assert_int_equal(vx_store_sample_audio(store, 1, &pcm, &n, NULL), VX_OK);
    free(pcm);
    /* Kept aside, so that the store is whole again at the end. */
    assert_int_equal(sqlite3_exec(store->db,
                                  "CREATE TEMP TABLE a AS SELECT id, audio FROM samples;"
                                  "CREATE TEMP TABLE v AS SELECT sample, vector FROM embeddings;"
                                  "UPDATE samples SET audio = (SELECT audio FROM a WHERE a.id = 3 - samples.id);"
                                  "UPDATE embeddings SET vector = (SELECT vector FROM v WHERE v.sample = 3 - "
                                  "embeddings.sample)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(vx_store_sample_audio(store, 1, &pcm, &n, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_exemplars(store, 1, &model, &list, &n, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(sqlite3_exec(store->db,
                                  "UPDATE samples SET audio = (SELECT audio FROM a WHERE a.id = samples.id);"
                                  "UPDATE embeddings SET vector = (SELECT vector FROM v WHERE v.sample = "
                                  "embeddings.sample)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        STORE_TEST(voiceprints_of_models_lie_side_by_side),
        STORE_TEST(voiceprints_are_written_together_or_not_at_all),
        STORE_TEST(a_legacy_profile_asks_for_new_recordings),
        STORE_TEST(padding_keeps_what_fits),
        STORE_TEST(voices_do_not_lie_open),
        STORE_TEST(moved_values_do_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
