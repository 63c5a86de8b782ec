/* test_enrol.c - what may enter a profile: real recordings, the starter model, a store of its own. */
#include "edge/enrol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/lessons.h"
#include "edge/store/profiles.h"
#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/desk.h"
#include "tests/support/store_watch.h"

#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

static int kept_of(desk *d, const char *name)
{
    vx_speaker speaker;
    return vx_store_speaker(d->runtime.store, name, &speaker, NULL) == VX_OK ? speaker.n_samples : -1;
}

static void three_recordings_of_one_voice_make_a_profile(void **state)
{
    (void)state;
    desk d;
    vx_enrol_result results[8];
    vx_sample *samples = NULL;
    vx_speaker speaker;
    size_t n = 0;
    desk_open(&d, NULL, NULL);
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader1_a.flac", "reader1_b.flac", "reader1_c.flac"), results, NULL),
                     VX_OK);
    for (int i = 0; i < 3; i++)
        assert_true(results[i].taken && results[i].agreement > 0.5 && results[i].quality.speech_s > 1);
    assert_int_equal(vx_store_speaker(d.runtime.store, "anna", &speaker, NULL), VX_OK);
    assert_true(speaker.n_samples == 3 && !speaker.armed && !speaker.legacy);
    assert_true(vx_model_digest_equal(&speaker.model, &d.runtime.manifest.digest));
    assert_int_equal(vx_store_samples(d.runtime.store, speaker.id, &speaker.model, &samples, &n, NULL), VX_OK);
    for (size_t i = 0; i < n; i++)
        assert_true(samples[i].has_audio && samples[i].has_embedding);
    free(samples);

    /* One more of the same voice is welcome alone. */
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader1_d.flac"), results, NULL), VX_OK);
    assert_int_equal(kept_of(&d, "anna"), 4);
    desk_close(&d);
}

/* What is refused is refused whole: the store is as it was. */
static void refusals_leave_nothing_behind(void **state)
{
    (void)state;
    static const struct {
        const char *name, *files[6];
        vx_err err;
        const char *says;
    } cases[] = {
        {"anna", {"reader1_a.flac", "reader1_b.flac"}, VX_ERR_AUDIO_SHORT, "3 recordings"},
        {"anna", {"reader1_a.flac", "reader1_b.flac", "reader3_a.flac"}, VX_ERR_ENROL_VOICE, "reader3_a.flac"},
        {"anna",
         {"reader3_a.flac", "reader1_a.flac", "reader1_b.flac", "reader1_c.flac"},
         VX_ERR_ENROL_VOICE,
         "reader3_a"},
        /* Two recordings of a stranger must not vouch for each other. */
        {"anna",
         {"reader1_a.flac", "reader1_b.flac", "reader3_a.flac", "reader3_b.flac"},
         VX_ERR_ENROL_VOICE,
         "not hold"},
        {"bad\nname", {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac"}, VX_ERR_RANGE, ""},
        {"anna", {"reader1_a.flac", "reader1_a.wav", "reader1_b.flac"}, VX_ERR_EXISTS, "already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        desk d;
        vx_errinfo info = {0};
        desk_open(&d, NULL, NULL);
        const vx_err err = desk_enrol(&d, cases[i].name, cases[i].files, NULL, &info);
        if (err != cases[i].err || !strstr(info.text, cases[i].says))
            fail_msg("case %zu: %s, '%s'", i, vx_err_code(err), info.text);
        assert_int_equal(kept_of(&d, "anna"), -1);
        desk_close(&d);
    }
}

static void a_profile_keeps_to_its_voice(void **state)
{
    (void)state;
    desk d;
    vx_errinfo info = {0}, taken = {0};
    vx_enrol_result results[8];
    desk_open(&d, NULL, NULL);
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader1_a.flac", "reader1_b.flac", "reader1_c.flac"), NULL, NULL),
                     VX_OK);
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader3_a.flac"), NULL, &info), VX_ERR_ENROL_VOICE);
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader3_a.flac", "reader3_b.flac"), NULL, NULL), VX_ERR_ENROL_VOICE);
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader4_a.flac", "reader4_b.flac"), NULL, NULL), VX_ERR_ENROL_VOICE);
    assert_int_equal(kept_of(&d, "anna"), 3);

    /* The same voice under another name would open the first one's lock too. */
    assert_int_equal(desk_enrol(&d, "zoe", FILES("reader1_d.flac", "reader1_b.flac", "reader1_a.flac"), NULL, &taken),
                     VX_ERR_ENROL_TAKEN);
    assert_non_null(strstr(taken.text, "anna"));
    assert_int_equal(kept_of(&d, "zoe"), -1);

    /* A copy is left out, what is new enters. */
    assert_int_equal(desk_enrol(&d, "anna", FILES("reader1_a.flac", "reader1_d.flac"), results, NULL), VX_OK);
    assert_true(!results[0].taken && results[0].err == VX_ERR_EXISTS && results[1].taken);
    assert_int_equal(kept_of(&d, "anna"), 4);
    desk_close(&d);
}

static void poor_recordings_are_named_and_left_out(void **state)
{
    (void)state;
    desk d;
    vx_errinfo info = {0};
    vx_enrol_result results[4];
    int kept = 0;
    static float silence[48000];
    vx_audio a = clip_audio("reader1_a.flac"), b = clip_audio("reader1_b.flac"), c = clip_audio("reader1_c.flac");
    desk_open(&d, NULL, NULL);
    const vx_enrol_clip clips[] = {{"a", a.samples, a.n, -1, ""},
                                   {"b", b.samples, b.n, -1, ""},
                                   {"silence", silence, 48000, -1, ""},
                                   {"c, overdriven", c.samples, c.n, 0.2, ""}};
    const vx_err err = vx_enrol(&d.runtime, "anna", clips, 4, &(vx_enrol_options){0}, results, &kept, &info);
    assert_true(err == results[2].err || err == results[3].err);
    assert_int_equal(results[2].err, VX_ERR_AUDIO_NO_SPEECH);
    assert_int_equal(results[3].err, VX_ERR_AUDIO_CLIPPED);
    assert_non_null(strstr(info.text, "2 of 4"));
    assert_int_equal(kept_of(&d, "anna"), -1);

    /* Asked for by name, the overdriven one is taken; silence never is. */
    assert_int_equal(vx_enrol(&d.runtime, "anna", clips, 4, &(vx_enrol_options){.anyway = true}, results, &kept, &info),
                     VX_OK);
    assert_int_equal(kept, 3);
    assert_true(results[3].taken && !results[2].taken);
    assert_int_equal(vx_enrol(&d.runtime, "anna", clips, 0, &(vx_enrol_options){0}, results, &kept, NULL), VX_ERR_ARG);
    vx_audio_done(&a);
    vx_audio_done(&b);
    vx_audio_done(&c);
    desk_close(&d);
}

static int refuse_prints(void *ctx, int action, const char *table, const char *b, const char *c, const char *d)
{
    (void)ctx, (void)b, (void)c, (void)d;
    return action == SQLITE_INSERT && table && strcmp(table, "utterances") == 0 ? SQLITE_DENY : SQLITE_OK;
}

/* A profile without what its recordings teach would look like one that has learned. */
static void what_cannot_be_learned_is_not_enrolled(void **state)
{
    (void)state;
    desk d;
    vx_enrol_result results[8];
    desk_open(&d, NULL, NULL);
    vx_store *store = d.runtime.store;
    for (int again = 0; again < 2; again++) {
        const char *const *more =
            again ? FILES("reader1_d.flac") : FILES("reader1_a.flac", "reader1_b.flac", "reader1_c.flac");
        assert_int_equal(sqlite3_set_authorizer(store->db, refuse_prints, NULL), SQLITE_OK);
        assert_int_not_equal(desk_enrol(&d, "anna", more, results, NULL), VX_OK);
        assert_false(results[0].taken);
        assert_int_equal(kept_of(&d, "anna"), again ? 3 : -1);
        assert_int_equal(sqlite3_set_authorizer(store->db, NULL, NULL), SQLITE_OK);
        assert_int_equal(desk_enrol(&d, "anna", more, results, NULL), VX_OK);
        assert_int_equal(kept_of(&d, "anna"), again ? 4 : 3);
    }
    vx_speaker anna;
    vx_lessons known = {0};
    assert_int_equal(vx_store_speaker(store, "anna", &anna, NULL), VX_OK);
    assert_int_equal(vx_lessons_load(store, anna.id, &known, NULL), VX_OK);
    assert_int_equal(known.mark.ends[VX_UTTERANCE_OWN].last, 4);
    vx_lessons_done(&known);
    desk_close(&d);
}

/* An attempt that begins meanwhile must not find the store taken. */
static void an_enrolment_holds_the_store_to_write_alone(void **state)
{
    (void)state;
    desk d;
    store_held held = {.n = 0};
    uint64_t judging_ns = 0;
    static const char *const names[] = {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac", NULL};
    desk_open(&d, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        vx_audio clip = clip_audio(names[i]);
        vx_taught taught = {0};
        const uint64_t start = vx_cpu_ns();
        assert_int_equal(vx_lessons_judge(clip.samples, clip.n, 1, &taught), VX_OK);
        judging_ns += vx_cpu_ns() - start;
        vx_taught_done(&taught);
        vx_audio_done(&clip);
    }
    store_watch(d.runtime.store, &held);
    assert_int_equal(desk_enrol(&d, "anna", names, NULL, NULL), VX_OK);
    store_watch(d.runtime.store, NULL);
    print_message("# judging %.1f ms, holding the store %.1f ms\n", (double)judging_ns / 1e6,
                  (double)held.most_ns / 1e6);
    assert_int_equal(held.n, 1);
    assert_true(held.most_ns < judging_ns / 2);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_recordings_of_one_voice_make_a_profile),
        cmocka_unit_test(refusals_leave_nothing_behind),
        cmocka_unit_test(a_profile_keeps_to_its_voice),
        cmocka_unit_test(poor_recordings_are_named_and_left_out),
        cmocka_unit_test(what_cannot_be_learned_is_not_enrolled),
        cmocka_unit_test(an_enrolment_holds_the_store_to_write_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
