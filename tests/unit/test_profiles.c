/* test_profiles.c - who is enrolled with what: retention, refusals, models, and what reaches the disk. */
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
#include "tests/support/alloc_fail.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void expect_err(vx_err got, vx_err want, const vx_errinfo *info, const char *text)
{
    assert_int_equal(got, want);
    assert_int_equal(info->code, want);
    if (!strstr(info->text, text))
        fail_msg("'%s' does not hold '%s'", info->text, text);
}

/* Entries of the audit log, and whether the last is of this kind, subject and detail. */
typedef struct {
    const char *kind, *subject, *detail;
    int64_t n;
} last_entry;

static vx_err see_last(void *arg, const vx_audit_entry *e)
{
    last_entry *want = arg;
    want->n = e->n;
    if (want->kind) {
        assert_string_equal(e->kind, want->kind);
        assert_string_equal(e->subject, want->subject);
        assert_string_equal(e->detail, want->detail);
    }
    return VX_OK;
}

static void expect_entry(vx_store *store, const char *kind, const char *subject, const char *detail)
{
    last_entry want = {.kind = kind, .subject = subject, .detail = detail};
    assert_int_equal(vx_audit_walk(store, 1, see_last, &want, NULL), VX_OK);
    assert_true(want.n > 0);
}

static int64_t n_entries(vx_store *store)
{
    last_entry last = {.n = 0};
    assert_int_equal(vx_audit_walk(store, 1, see_last, &last, NULL), VX_OK);
    return last.n;
}

/* ---- names -------------------------------------------------------------------------------------------------------- */

static void names_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *fault; /* NULL: none */
    } cases[] = {
        {"a", NULL},
        {"Jos\xc3\xa9 d'Ar\xc3\xa7", NULL},
        {"\xe6\x9d\x8e\xe5\x9b\x9b", NULL},
        {"../etc/passwd", NULL}, /* a name is never a path */
        {"'; DROP TABLE speakers; --", NULL},
        {"0123456789012345678901234567890123456789012345678901234567890123", NULL},
        {"", "needs a name"},
        {"01234567890123456789012345678901234567890123456789012345678901234", "at most 64"},
        {"tab\there", "control"},
        {"line\n", "control"},
        {"\x7f", "control"},
        {"c1 \xc2\x85", "control"},
        {"\xff", "byte 1"},
        {"ok\xc3", "byte 3"},
        {"\xc0\xaf", "byte 1"},
        {"\xed\xa0\x80", "byte 1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_errinfo info = {0};
        vx_err err = vx_speaker_check_name(cases[i].name, &info);
        if (!cases[i].fault)
            assert_int_equal(err, VX_OK);
        else
            expect_err(err, VX_ERR_RANGE, &info, cases[i].fault);
    }
}

static void any_good_name_is_enrolled(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static const char *const names[] = {"'; DROP TABLE speakers; --", "../etc/passwd", "\xe6\x9d\x8e", "%", "*"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const vx_new_sample s = fixture_sample(i, 1, 0.5, "");
        fixture_enrol(store, names[i], &s, 1, false, 1, 0);
    }
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(fixture_speaker(store, names[i]).name, names[i]);
}

/* ---- enrolment ---------------------------------------------------------------------------------------------------- */

static void what_is_enrolled_is_read_back(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample new[] = {fixture_sample(1, 1, 0.5, "Built-in"), fixture_sample(2, 1, 0.9, "Headset"),
                                 fixture_sample(3, 1, 0.7, "")};
    fixture_enrol(store, "ada", new, COUNT(new), false, 3, 0);
    expect_entry(store, "enrolled", "ada", "{\"recordings\":3,\"kept\":3,\"dropped\":0,\"replaced\":false}");

    const vx_speaker ada = fixture_speaker(store, "ada");
    assert_int_equal(ada.n_samples, 3);
    assert_int_equal(ada.n_microphones, 3);
    assert_false(ada.armed || ada.starter_accepted || ada.legacy);
    assert_true(vx_model_digest_equal(&ada.model, &new[0].embedding->model));
    assert_true(ada.created_ms > 0 && ada.updated_ms >= ada.created_ms);

    static const size_t best_first[] = {1, 2, 0};
    vx_sample *samples = NULL;
    vx_exemplar *exemplars = NULL;
    size_t n = 0, n_exemplars = 0;
    const vx_model_digest model = fixture_model(1);
    assert_int_equal(vx_store_samples(store, ada.id, &model, &samples, &n, NULL), VX_OK);
    assert_int_equal(vx_store_exemplars(store, ada.id, &model, &exemplars, &n_exemplars, NULL), VX_OK);
    assert_int_equal(n, 3);
    assert_int_equal(n_exemplars, 3);
    for (size_t i = 0; i < n; i++) {
        const vx_new_sample *want = &new[best_first[i]];
        float *pcm = NULL;
        size_t n_pcm = 0;
        assert_memory_equal(&samples[i].quality, &want->quality, sizeof want->quality);
        assert_string_equal(samples[i].microphone, want->microphone);
        assert_int_equal(samples[i].taken_ms, want->taken_ms);
        assert_true(samples[i].has_audio && samples[i].has_embedding);
        assert_int_equal(vx_store_sample_audio(store, samples[i].id, &pcm, &n_pcm, NULL), VX_OK);
        assert_int_equal(n_pcm, want->n);
        assert_memory_equal(pcm, want->samples, n_pcm * sizeof *pcm);
        assert_memory_equal(&exemplars[i].embedding, want->embedding, sizeof *want->embedding);
        assert_int_equal(exemplars[i].sample, samples[i].id);
        assert_string_equal(exemplars[i].microphone, want->microphone);
        assert_true(exemplars[i].quality == want->quality.score && exemplars[i].speech_s == want->quality.speech_s);
        free(pcm);
    }
    free(samples);
    free(exemplars);
}

/* Audio that 16 bits do not hold is rounded and bounded, and what is no number is refused with all that came with it. */
static void samples_become_16_bits(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static const struct {
        float in, out;
    } values[] = {
        {0, 0},         {1, 32767 / 32768.0f}, {-1, -1}, {1e9f, 32767 / 32768.0f}, {-1e9f, -1}, {1e-6f, 0},
        {0.25f, 0.25f}, {2e-5f, 1 / 32768.0f}, /* 0.66 of a step */
    };
    float clip[COUNT(values)];
    vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    vx_enrolled enrolled = {.speaker = -7};
    vx_errinfo info = {0};
    float *pcm = NULL;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(values); i++)
        clip[i] = values[i].in;
    s.samples = clip;
    s.n = COUNT(values);
    fixture_enrol(store, "ada", &s, 1, false, 1, 0);
    assert_int_equal(vx_store_sample_audio(store, 1, &pcm, &n, NULL), VX_OK);
    assert_int_equal(n, COUNT(values));
    for (size_t i = 0; i < n; i++)
        assert_true(pcm[i] == values[i].out);
    free(pcm);

    clip[3] = NAN;
    expect_err(vx_store_enrol(store, "bob", &s, 1, false, &enrolled, &info), VX_ERR_RANGE, &info, "not numbers");
    assert_int_equal(enrolled.speaker, -7);
    vx_speaker bob;
    assert_int_equal(vx_store_speaker(store, "bob", &bob, NULL), VX_ERR_NOT_ENROLLED);
}

static void unusable_recordings_are_refused(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    char long_name[VX_MICROPHONE_CAP + 1];
    memset(long_name, 'm', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    vx_embedding half = fixture_embedding(1, 1, FIXTURE_DIM), none = half, wide = half, nan = half;
    for (int i = 0; i < FIXTURE_DIM; i++)
        half.values[i] /= 2;
    none.dim = 0;
    wide.dim = VX_EMBEDDING_MAX_DIM + 1;
    nan.values[5] = NAN;

    vx_new_sample good = fixture_sample(1, 1, 0.5, ""), bad[9];
    for (size_t i = 0; i < COUNT(bad); i++)
        bad[i] = good;
    bad[0].samples = NULL, bad[0].embedding = NULL;
    bad[1].n = 0;
    bad[2].n = 60 * 16000 + 1;
    bad[3].microphone = long_name;
    bad[4].quality.snr_db = NAN;
    bad[5].embedding = &half;
    bad[6].embedding = &none;
    bad[7].embedding = &wide;
    bad[8].embedding = &nan;
    const int64_t before = n_entries(store);
    for (size_t i = 0; i < COUNT(bad); i++) {
        const vx_new_sample pair[] = {good, bad[i]};
        vx_enrolled enrolled;
        vx_errinfo info = {0};
        assert_int_equal(vx_store_enrol(store, "ada", pair, 2, false, &enrolled, &info), VX_ERR_RANGE);
        assert_true(info.code == VX_ERR_RANGE && info.text[0]);
    }
    vx_enrolled enrolled;
    assert_int_equal(vx_store_enrol(store, "ada", &good, 0, false, &enrolled, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_enrol(store, "", &good, 1, false, &enrolled, NULL), VX_ERR_RANGE);
    vx_speaker *list = (void *)&good;
    size_t n = 77;
    assert_int_equal(vx_store_speakers(store, &list, &n, NULL), VX_OK);
    assert_null(list);
    assert_int_equal(n, 0);
    assert_int_equal(n_entries(store), before);
}

/* ---- retention ---------------------------------------------------------------------------------------------------- */

/* Which of these recordings (score and microphone of each) stay; the rule in words of its own. */
static void keep_by_hand(const double *scores, const char *const *microphones, size_t n, bool *ret_kept)
{
    size_t left = VX_STORE_SAMPLES;
    for (int round = 0; round < 2; round++) /* the best of each microphone, then the best of all that is left */
        while (left > 0) {
            size_t best = n;
            for (size_t i = 0; i < n; i++) {
                bool first = !ret_kept[i];
                for (size_t j = 0; round == 0 && j < n; j++)
                    first = first && (strcmp(microphones[i], microphones[j]) != 0 || j == i || scores[j] < scores[i]);
                if (first && (best == n || scores[i] > scores[best]))
                    best = i;
            }
            if (best == n)
                break;
            ret_kept[best] = true;
            left--;
        }
}

static void the_best_stay_and_one_of_each_microphone(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"};
    static const int n_microphones[] = {1, 2, 3, 5, 13};
    for (size_t run = 0; run < COUNT(n_microphones); run++) {
        char who[8];
        double scores[26];
        const char *microphones[26];
        vx_new_sample new[26];
        bool want[26] = {false};
        (void)snprintf(who, sizeof who, "p%zu", run);
        for (size_t i = 0; i < COUNT(new); i++) {
            /* Scores without ties, in an order that has nothing to do with the microphones. */
            scores[i] = (double)((i * 11 + run * 5) % 26) / 26;
            microphones[i] = names[(i * i) % (size_t)n_microphones[run]];
            new[i] = fixture_sample(100 * run + i, 1, scores[i], microphones[i]);
        }
        keep_by_hand(scores, microphones, COUNT(new), want);
        /* In two enrolments: the second is held against what the first left. */
        fixture_enrol(store, who, new, 13, false, 10, 3);
        fixture_enrol(store, who, new + 13, 13, false, 10, 13);

        vx_sample *left = NULL;
        size_t n = 0;
        assert_int_equal(vx_store_samples(store, fixture_speaker(store, who).id, NULL, &left, &n, NULL), VX_OK);
        assert_int_equal(n, VX_STORE_SAMPLES);
        for (size_t i = 0; i < COUNT(new); i++) {
            bool found = false;
            for (size_t j = 0; j < n; j++)
                found = found || left[j].quality.score == scores[i];
            assert_int_equal(found, want[i]);
        }
        free(left);
    }
}

/* Of equals the newest: a voice is what it sounds like now. */
static void of_equal_recordings_the_newest_stay(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    vx_new_sample new[12];
    for (size_t i = 0; i < COUNT(new); i++)
        new[i] = fixture_sample(i, 1, 0.5, "m");
    fixture_enrol(store, "ada", new, COUNT(new), false, 10, 2);
    vx_sample *left = NULL;
    size_t n = 0;
    assert_int_equal(vx_store_samples(store, fixture_speaker(store, "ada").id, NULL, &left, &n, NULL), VX_OK);
    assert_int_equal(left[0].id, 12);
    assert_int_equal(left[9].id, 3);
    free(left);
}

static void replace_drops_what_was_there(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample old[] = {fixture_sample(1, 1, 0.9, "m"), fixture_sample(2, 1, 0.8, "m")};
    const vx_new_sample new = fixture_sample(3, 1, 0.1, "m");
    fixture_enrol(store, "ada", old, 2, false, 2, 0);
    assert_int_equal(vx_store_arm(store, "ada", true, false, NULL), VX_OK);
    const int64_t id = fixture_speaker(store, "ada").id;
    fixture_enrol(store, "ada", &new, 1, true, 1, 0);
    assert_int_equal(fixture_speaker(store, "ada").id, id);
    float *pcm = NULL;
    size_t n = 0;
    vx_errinfo info = {0};
    expect_err(vx_store_sample_audio(store, 1, &pcm, &n, &info), VX_ERR_NOT_FOUND, &info, "no recording 1");
    expect_entry(store, "enrolled", "ada", "{\"recordings\":1,\"kept\":1,\"dropped\":0,\"replaced\":true}");
}

/* ---- speakers ----------------------------------------------------------------------------------------------------- */

static void unknown_names_are_answered_with_known_ones(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    vx_speaker speaker;
    vx_errinfo info = {0}, again = {0}, many = {0};
    expect_err(vx_store_speaker(store, "ada", &speaker, &info), VX_ERR_NOT_ENROLLED, &info, "nobody is enrolled yet");
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    fixture_enrol(store, "bob", &s, 1, false, 1, 0);
    fixture_enrol(store, "ada", &s, 1, false, 1, 0);
    expect_err(vx_store_speaker(store, "Ada", &speaker, &again), VX_ERR_NOT_ENROLLED, &again,
               "'Ada' (enrolled: ada, bob)");
    for (int i = 0; i < 3; i++) {
        char name[VX_NAME_CAP];
        (void)snprintf(name, sizeof name, "%064d", i);
        fixture_enrol(store, name, &s, 1, false, 1, 0);
    }
    expect_err(vx_store_speaker(store, "Ada", &speaker, &many), VX_ERR_NOT_ENROLLED, &many, "voxlock profiles");
}

static void speakers_are_listed_by_name(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    static const char *const names[] = {"carol", "ada", "bob"}, *const sorted[] = {"ada", "bob", "carol"};
    for (size_t i = 0; i < COUNT(names); i++)
        fixture_enrol(store, names[i], &s, 1, false, 1, 0);
    vx_speaker *list = NULL;
    size_t n = 0;
    assert_int_equal(vx_store_speakers(store, &list, &n, NULL), VX_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(list[i].name, sorted[i]);
    free(list);
}

static void arming_is_recorded(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    fixture_enrol(store, "ada", &s, 1, false, 1, 0);
    assert_int_equal(vx_store_arm(store, "ada", true, true, NULL), VX_OK);
    assert_true(fixture_speaker(store, "ada").armed && fixture_speaker(store, "ada").starter_accepted);
    expect_entry(store, "armed", "ada", "{\"starter_accepted\":true}");
    assert_int_equal(vx_store_arm(store, "ada", false, false, NULL), VX_OK);
    assert_false(fixture_speaker(store, "ada").armed || fixture_speaker(store, "ada").starter_accepted);
    expect_entry(store, "disarmed", "ada", "{\"starter_accepted\":false}");
    const int64_t before = n_entries(store);
    assert_int_equal(vx_store_arm(store, "eve", true, true, NULL), VX_ERR_NOT_ENROLLED);
    assert_int_equal(n_entries(store), before);
}

static void removal_takes_all_but_the_record(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s[] = {fixture_sample(1, 1, 0.5, ""), fixture_sample(2, 1, 0.6, "")};
    vx_buf value = {0};
    int64_t attempt;
    fixture_enrol(store, "ada", s, 2, false, 2, 0); /* speaker 1 */
    fixture_enrol(store, "bob", s, 1, false, 1, 0); /* speaker 2 */
    assert_int_equal(vx_store_put(store, "prior/1", "x", 1, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "habits/1", "x", 1, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "prior/2", "x", 1, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "prior/11", "x", 1, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "calibration/1a", "x", 1, NULL), VX_OK);
    assert_int_equal(vx_attempt_begin(store, "verify", "ada", 5, &attempt, NULL), VX_OK);

    assert_int_equal(vx_store_remove(store, "ada", NULL), VX_OK);
    expect_entry(store, "removed", "ada", "{\"recordings\":2}");
    vx_store_view view;
    assert_int_equal(vx_store_get_view(store, &view, NULL), VX_OK);
    assert_int_equal(view.n_speakers, 1);
    assert_int_equal(view.n_samples, 1);
    assert_int_equal(view.n_attempts, 1);
    assert_int_equal(vx_store_get(store, "prior/1", &value, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_store_get(store, "habits/1", &value, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_store_get(store, "prior/2", &value, NULL), VX_OK);
    assert_int_equal(vx_store_get(store, "prior/11", &value, NULL), VX_OK);
    assert_int_equal(vx_store_get(store, "calibration/1a", &value, NULL), VX_OK);
    vx_buf_wipe_done(&value);
    assert_int_equal(vx_store_remove(store, "ada", NULL), VX_ERR_NOT_ENROLLED);
    /* The number is not given again: what was learned of one is never another's. */
    fixture_enrol(store, "ada", s, 1, false, 1, 0);
    assert_int_equal(fixture_speaker(store, "ada").id, 3);
}

/* The sealed bytes of a removed recording are neither in the file nor in its log. */
static void removed_recordings_are_overwritten(void **state)
{
    store_fixture *f = *state;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    sqlite3_stmt *row = NULL;
    uint8_t piece[64];
    bool found = false;
    fixture_enrol(f->store, "ada", &s, 1, false, 1, 0);
    assert_int_equal(vx_store_prepare(f->store, &row, NULL, "SELECT substr(audio, 1000, 64) FROM samples", ""), VX_OK);
    assert_int_equal(vx_store_step(f->store, row, &found, NULL), VX_OK);
    assert_int_equal(sqlite3_column_bytes(row, 0), sizeof piece);
    memcpy(piece, sqlite3_column_blob(row, 0), sizeof piece);
    sqlite3_finalize(row);
    for (int after = 0; after < 2; after++) {
        vx_buf all = {0};
        assert_int_equal(vx_file_read(store_folder_path(f->folder, VX_STORE_FILE), 64 << 20, &all, NULL), VX_OK);
        (void)!vx_file_read(store_folder_path(f->folder, VX_STORE_FILE "-wal"), 64 << 20, &all, NULL);
        assert_int_equal(memmem(all.data, all.len, piece, sizeof piece) != NULL, !after);
        vx_buf_done(&all);
        if (!after)
            assert_int_equal(vx_store_remove(f->store, "ada", NULL), VX_OK);
    }
}

static void renaming_takes_the_history_along(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    const vx_new_sample s = fixture_sample(1, 1, 0.5, "");
    int64_t attempt;
    vx_errinfo info = {0};
    fixture_enrol(store, "ada", &s, 1, false, 1, 0);
    fixture_enrol(store, "bob", &s, 1, false, 1, 0);
    assert_int_equal(vx_attempt_begin(store, "verify", "ada", 1000, &attempt, NULL), VX_OK);
    expect_err(vx_store_rename(store, "ada", "bob", &info), VX_ERR_EXISTS, &info, "'bob' already");
    assert_int_equal(vx_store_rename(store, "eve", "mallory", NULL), VX_ERR_NOT_ENROLLED);
    assert_int_equal(vx_store_rename(store, "ada", "", NULL), VX_ERR_RANGE);

    const int64_t id = fixture_speaker(store, "ada").id;
    assert_int_equal(vx_store_rename(store, "ada", "Ada \"L.\"", NULL), VX_OK);
    assert_int_equal(fixture_speaker(store, "Ada \"L.\"").id, id);
    expect_entry(store, "renamed", "ada", "{\"to\":\"Ada \\\"L.\\\"\"}");
    int64_t when[4];
    size_t n = 9;
    assert_int_equal(vx_attempt_rejections(store, "ada", 0, when, COUNT(when), &n, NULL), VX_OK);
    assert_int_equal(n, 0);
    assert_int_equal(vx_attempt_rejections(store, "Ada \"L.\"", 0, when, COUNT(when), &n, NULL), VX_OK);
    assert_int_equal(n, 1);
}

/* ---- failed allocations ------------------------------------------------------------------------------------------- */

static vx_err enrol_and_read(void *ctx)
{
    vx_store *store = ctx;
    const vx_new_sample s[] = {fixture_sample(1, 1, 0.5, ""), fixture_sample(2, 1, 0.6, "")};
    const vx_model_digest model = fixture_model(1);
    vx_enrolled enrolled;
    vx_exemplar *exemplars = NULL;
    vx_speaker *speakers = NULL;
    vx_sample *samples = NULL;
    float *pcm = NULL;
    size_t n = 0;
    vx_err err = vx_store_remove(store, "bob", NULL); /* whom the run before may have left */
    if (err == VX_OK || err == VX_ERR_NOT_ENROLLED)
        err = vx_store_enrol(store, "ada", s, 2, true, &enrolled, NULL);
    if (err == VX_OK)
        err = vx_store_speakers(store, &speakers, &n, NULL);
    if (err == VX_OK)
        err = vx_store_samples(store, enrolled.speaker, NULL, &samples, &n, NULL);
    if (err == VX_OK)
        err = vx_store_sample_audio(store, samples[0].id, &pcm, &n, NULL);
    if (err == VX_OK)
        err = vx_store_exemplars(store, enrolled.speaker, &model, &exemplars, &n, NULL);
    if (err == VX_OK)
        err = vx_store_rename(store, "ada", "bob", NULL);
    free(speakers);
    free(samples);
    free(pcm);
    free(exemplars);
    return err;
}

static void failed_allocations_change_nothing(void **state)
{
    vx_alloc_fail_each(enrol_and_read, ((store_fixture *)*state)->store);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        STORE_TEST(any_good_name_is_enrolled),
        STORE_TEST(what_is_enrolled_is_read_back),
        STORE_TEST(samples_become_16_bits),
        STORE_TEST(unusable_recordings_are_refused),
        STORE_TEST(the_best_stay_and_one_of_each_microphone),
        STORE_TEST(of_equal_recordings_the_newest_stay),
        STORE_TEST(replace_drops_what_was_there),
        STORE_TEST(unknown_names_are_answered_with_known_ones),
        STORE_TEST(speakers_are_listed_by_name),
        STORE_TEST(arming_is_recorded),
        STORE_TEST(removal_takes_all_but_the_record),
        STORE_TEST(removed_recordings_are_overwritten),
        STORE_TEST(renaming_takes_the_history_along),
        STORE_TEST(failed_allocations_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
