/* test_attempt.c - the one path: real store, real model, real recordings; only the physics are set by the test. */
#include "edge/attempt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/learned.h"
#include "edge/lessons.h"
#include "edge/store/attempts.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/desk.h"
#include "tests/support/model_copy.h"

static void enrol_reader1(desk *d, const char *name)
{
    static const char *const files[] = {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac", NULL};
    vx_errinfo info = {0};
    if (desk_enrol(d, name, files, NULL, &info) != VX_OK)
        fail_msg("%s", info.text);
}

static vx_attempt_outcome attempt_with(desk *d, const float *samples, size_t n, bool live)
{
    vx_attempt_outcome out;
    vx_errinfo info = {0};
    const vx_attempt_request request = {
        .command = "unlock", .speaker = "anna", .samples = samples, .n = n, .clipped_share = -1, .live = live};
    if (vx_attempt_run(&d->runtime, &request, &out, &info) != VX_OK)
        fail_msg("%s", info.text);
    return out;
}

static vx_attempt_outcome attempt(desk *d, const char *file)
{
    vx_audio audio = clip_audio(file);
    const vx_attempt_outcome out = attempt_with(d, audio.samples, audio.n, false);
    vx_audio_done(&audio);
    return out;
}

/* The record that the store has of the newest attempt. */
static vx_err copy_record(void *arg, const vx_attempt_record *record)
{
    *(vx_attempt_record *)arg = *record;
    return VX_OK;
}
static vx_attempt_record last_record(desk *d)
{
    static vx_attempt_record record;
    assert_int_equal(vx_attempt_walk(d->runtime.store, NULL, 1, copy_record, &record, NULL), VX_OK);
    return record;
}

static const char *OWNER = "reader1_d.flac", *STRANGER = "reader3_a.flac";

/* ---- verdicts ------------------------------------------------------------------------------------------------------- */

static void the_owner_is_let_in_and_a_stranger_is_not(void **state)
{
    (void)state;
    desk d;
    desk_open(&d, NULL, "BAYESIAN_AUTH_THRESHOLD=0.80");
    enrol_reader1(&d, "anna");
    vx_attempt_outcome out = attempt(&d, OWNER);
    assert_int_equal(out.verdict, VX_AUTHENTICATE);
    assert_true(out.voice_compared && out.voice_accepted && out.starter);
    assert_false(out.may_unlock); /* not armed */
    assert_int_equal(out.route.by, VX_ROUTE_DEVICE);
    assert_int_equal(last_record(&d).id, out.id);
    assert_int_equal(last_record(&d).verdict, VX_AUTHENTICATE);

    assert_int_equal(vx_store_arm(d.runtime.store, "anna", true, false, NULL), VX_OK);
    assert_false(attempt(&d, OWNER).may_unlock); /* armed, but nobody accepted the starter */
    assert_int_equal(vx_store_arm(d.runtime.store, "anna", true, true, NULL), VX_OK);
    assert_true(attempt(&d, OWNER).may_unlock);

    out = attempt(&d, STRANGER);
    assert_int_not_equal(out.verdict, VX_AUTHENTICATE);
    assert_false(out.may_unlock || out.voice_accepted);
    assert_true(out.voice_compared);
    desk_close(&d);
}

/* The same recording and profile; what the physics say decides how far it gets. */
static void physics_bound_the_verdict(void **state)
{
    (void)state;
    static const struct {
        vx_evidence_status status;
        double confidence;
        vx_verdict verdict;
        const char *setting;
    } cases[] = {
        {VX_EVIDENCE_VALID, 0.98, VX_AUTHENTICATE, NULL},
        {VX_EVIDENCE_VALID, 0.10, VX_ESCALATE, NULL},
        {VX_EVIDENCE_INCONCLUSIVE, 0.99, VX_CHALLENGE, NULL},
        {VX_EVIDENCE_UNAVAILABLE, 0.99, VX_CHALLENGE, NULL},
        {VX_EVIDENCE_VALID, 0.98, VX_CHALLENGE, "VBI_PHYSICS_SPOOFING=false"},
        {VX_EVIDENCE_VALID, 0.98, VX_CHALLENGE, "ANTISPOOFING_PHYSICS_ENABLED=false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        desk d;
        desk_open(&d, NULL, cases[i].setting ? cases[i].setting : "BAYESIAN_AUTH_THRESHOLD=0.80");
        enrol_reader1(&d, "anna");
        d.physics = (vx_evidence){.status = cases[i].status, .confidence = cases[i].confidence};
        const vx_attempt_outcome out = attempt(&d, OWNER);
        if (out.verdict != cases[i].verdict)
            fail_msg("case %zu: %s, not %s: %s", i, vx_verdict_name(out.verdict), vx_verdict_name(cases[i].verdict),
                     out.sentence);
        desk_close(&d);
    }
}

/* Late is unavailable, whatever it would have said; and what comes late harms nobody (sanitizers look). */
static void a_late_source_is_unavailable(void **state)
{
    (void)state;
    desk d;
    desk_open(&d, NULL, "VBI_FAST_VERIFY_TIMEOUT=0.1");
    enrol_reader1(&d, "anna");
    d.delay_ms = 900; /* its time is 200 to 300 ms */
    const vx_attempt_outcome out = attempt(&d, OWNER);
    assert_int_not_equal(out.evidence[VX_SOURCE_PHYSICS].status, VX_EVIDENCE_VALID);
    assert_non_null(strstr(out.evidence[VX_SOURCE_PHYSICS].reason, "too long"));
    assert_int_not_equal(out.verdict, VX_AUTHENTICATE);
    desk_close(&d); /* waits for the late one */
}

/* A voice that came too late entered no verdict, so it may neither answer a challenge nor show as accepted: or a slow
 * computer would open to a replay that an anomaly rule would have caught. */
static void a_late_voice_answers_nothing(void **state)
{
    (void)state;
    static const double physics[] = {0.28, 0.31, 0.36, 0.9};
    desk d;
    vx_audio owner = clip_audio(OWNER);
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    assert_int_equal(vx_store_arm(d.runtime.store, "anna", true, true, NULL), VX_OK);
    d.delay_ms = 400; /* long enough for the voice to be there when physics are */
    for (size_t i = 0; i < sizeof physics / sizeof *physics; i++) {
        vx_attempt_outcome out;
        const vx_attempt_request request = {.command = "unlock",
                                            .speaker = "anna",
                                            .samples = owner.samples,
                                            .n = owner.n,
                                            .clipped_share = -1,
                                            .answered = true};
        d.physics.confidence = physics[i];
        d.runtime.timeouts[VX_SOURCE_ML] = (vx_timeouts){.base_ms = 0.01, .floor_ms = 0.01};
        d.runtime.timeouts[VX_SOURCE_PHYSICS] = (vx_timeouts){.base_ms = 60000, .floor_ms = 60000};
        /* Where other work holds the cores, the voice may be there before anybody looks. */
        int tries = 0;
        do
            assert_int_equal(vx_attempt_run(&d.runtime, &request, &out, NULL), VX_OK);
        while (out.evidence[VX_SOURCE_ML].status == VX_EVIDENCE_VALID && ++tries < 20);
        assert_int_equal(out.evidence[VX_SOURCE_ML].status, VX_EVIDENCE_UNAVAILABLE);
        assert_false(out.voice_compared || out.voice_accepted || out.challenge_passed || out.may_unlock);
        assert_int_not_equal(out.verdict, VX_AUTHENTICATE);
    }
    vx_audio_done(&owner);
    desk_close(&d);
}

/* Weights that do not load are no voice of 0 %. */
static void without_a_model_the_voice_is_unavailable(void **state)
{
    (void)state;
    desk d;
    model_copy copy = model_copy_of("models/starter");
    desk_open(&d, copy.path, NULL);
    enrol_reader1(&d, "anna");
    vx_keeper_destroy(d.runtime.keeper);
    model_copy_flip(&copy, MODEL_WEIGHTS, 100000);
    const vx_keeper_limits limits = {0};
    assert_int_equal(vx_keeper_create(copy.path, &d.runtime.engine, &limits, vx_clock_monotonic(), &d.runtime.keeper),
                     VX_OK);
    vx_attempt_outcome out = attempt(&d, OWNER);
    assert_int_equal(out.evidence[VX_SOURCE_ML].status, VX_EVIDENCE_UNAVAILABLE);
    assert_false(out.voice_compared);
    assert_true(out.decision.degraded);
    assert_int_not_equal(out.verdict, VX_AUTHENTICATE); /* degraded verdicts unlock nothing unless a setting says so */
    d.physics.status = VX_EVIDENCE_INCONCLUSIVE;
    out = attempt(&d, OWNER);
    assert_int_equal(out.verdict, VX_NO_EVIDENCE);
    json_t *root = vx_attempt_json(&out);
    assert_true(json_is_null(json_object_get(root, "voice")));
    assert_true(json_is_null(json_object_get(root, "decision")));
    json_decref(root);
    desk_close(&d);
    model_copy_done(&copy);
}

/* ---- states in which nothing is decided ----------------------------------------------------------------------------- */

static void nothing_compared_is_a_state_of_its_own(void **state)
{
    (void)state;
    desk d;
    float silence[16000] = {0};
    desk_open(&d, NULL, NULL);
    assert_int_equal(attempt(&d, OWNER).verdict, VX_NOT_ENROLLED);
    /* What is no name is recorded as an attempt on nobody. */
    vx_attempt_outcome nobody;
    const vx_attempt_request unnamed = {
        .command = "verify", .speaker = "\xff\n", .unheard = "nothing", .clipped_share = -1};
    assert_int_equal(vx_attempt_run(&d.runtime, &unnamed, &nobody, NULL), VX_OK);
    assert_int_equal(nobody.verdict, VX_NOT_ENROLLED);
    assert_string_equal(last_record(&d).speaker, "");
    enrol_reader1(&d, "anna");
    vx_attempt_outcome out = attempt_with(&d, silence, 16000, false);
    assert_int_equal(out.verdict, VX_NO_AUDIO);
    assert_false(out.voice_compared);
    assert_int_equal(last_record(&d).verdict, VX_NO_AUDIO);
    assert_false(last_record(&d).has_probability);

    /* The profile stays, the model is another: nothing to compare with. */
    d.runtime.manifest.digest.bytes[0] ^= 1;
    out = attempt(&d, OWNER);
    assert_int_equal(out.verdict, VX_NOT_READY);
    assert_non_null(strstr(out.sentence, "migrate"));
    d.runtime.model_err = VX_ERR_MODEL_MISSING;
    assert_int_equal(attempt(&d, OWNER).verdict, VX_NOT_READY);
    desk_close(&d);
}

static void rejections_make_the_next_one_wait(void **state)
{
    (void)state;
    desk d;
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    for (int i = 0; i < 3; i++) {
        d.physics.confidence = 0.5;
        const vx_attempt_outcome out = attempt(&d, STRANGER);
        assert_true(out.verdict == VX_REJECT || out.verdict == VX_ESCALATE);
    }
    vx_attempt_outcome out = attempt(&d, OWNER);
    assert_int_equal(out.verdict, VX_WAIT);
    assert_true(out.wait_ms > 20000 && out.wait_ms <= 30000);
    assert_false(out.voice_compared);
    assert_non_null(strstr(out.sentence, "password"));
    assert_int_equal(attempt(&d, OWNER).verdict, VX_WAIT); /* waiting is no rejection, and does not lengthen it */
    assert_true(attempt(&d, OWNER).wait_ms <= 30000);
    desk_close(&d);
}

/* ---- the record ----------------------------------------------------------------------------------------------------- */

static void every_attempt_is_on_record_with_its_evidence(void **state)
{
    (void)state;
    desk d;
    int64_t proven = 0;
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    d.physics.confidence = 0.1;
    const vx_attempt_outcome out = attempt(&d, OWNER);
    assert_int_equal(out.verdict, VX_ESCALATE);
    const vx_attempt_record record = last_record(&d);
    assert_string_equal(record.command, "unlock");
    assert_string_equal(record.speaker, "anna");
    assert_true(record.ended_ms >= record.begun_ms);
    json_t *detail = json_loads(record.detail, 0, NULL);
    const json_t *evidence = json_object_get(json_object_get(detail, "decision"), "evidence");
    assert_int_equal(json_array_size(evidence), VX_N_SOURCES);
    assert_string_equal(json_string_value(json_object_get(json_array_get(evidence, 1), "source")), "physics");
    json_decref(detail);
    assert_int_equal(vx_audit_verify(d.runtime.store, &proven, NULL), VX_OK);
    assert_int_equal(proven, 2); /* enrolled, alert */
    desk_close(&d);
}

/* Habits and places come from strong acceptances that were live, and from nothing else. */
static void only_strong_live_acceptances_teach(void **state)
{
    (void)state;
    desk d;
    vx_habits habits;
    vx_speaker anna;
    desk_open(&d, NULL, "VBI_CONFIDENT_THRESHOLD=0.5");
    d.runtime.decide.authenticate = 0.80;
    enrol_reader1(&d, "anna");
    assert_int_equal(vx_store_speaker(d.runtime.store, "anna", &anna, NULL), VX_OK);
    vx_audio owner = clip_audio(OWNER), stranger = clip_audio(STRANGER);

    assert_int_equal(attempt_with(&d, owner.samples, owner.n, false).verdict, VX_AUTHENTICATE);
    assert_int_not_equal(attempt_with(&d, stranger.samples, stranger.n, true).verdict, VX_AUTHENTICATE);
    d.runtime.strong = 0.999;
    assert_int_equal(attempt_with(&d, owner.samples, owner.n, true).verdict, VX_AUTHENTICATE);
    assert_int_equal(vx_learned_habits(d.runtime.store, anna.id, &habits, NULL), VX_OK);
    assert_int_equal(habits.n, 0);

    d.runtime.strong = 0.5;
    const vx_attempt_outcome out = attempt_with(&d, owner.samples, owner.n, true);
    assert_int_equal(out.verdict, VX_AUTHENTICATE);
    assert_int_equal(out.learn_err, VX_OK);
    assert_int_equal(vx_learned_habits(d.runtime.store, anna.id, &habits, NULL), VX_OK);
    assert_int_equal(habits.n, 1);
    vx_audio_done(&owner);
    vx_audio_done(&stranger);
    desk_close(&d);
}

/* What is known of anna's past, of each kind, and whether this recording is. */
static bool heard_before(desk *d, const vx_audio *audio, int64_t own, int64_t other)
{
    vx_speaker anna;
    vx_lessons known = {0};
    vx_fingerprint asked = {0};
    vx_fingerprint_match best;
    size_t which;
    assert_int_equal(vx_store_speaker(d->runtime.store, "anna", &anna, NULL), VX_OK);
    assert_int_equal(vx_lessons_load(d->runtime.store, anna.id, &known, NULL), VX_OK);
    assert_int_equal(known.mark.ends[VX_UTTERANCE_OWN].last, own);
    assert_int_equal(known.mark.ends[VX_UTTERANCE_OTHER].last, other);
    const vx_pava_known past = vx_lessons_known(&known);
    assert_int_equal(vx_pava_fingerprint(audio->samples, audio->n, &asked, NULL), VX_OK);
    vx_fingerprint_find(&asked, past.heard, past.n_heard, &best, &which);
    vx_fingerprint_done(&asked);
    vx_lessons_done(&known);
    return best.evidence >= VX_FINGERPRINT_SAME;
}

/* What was read of the past stays for the next attempt while the model does. */
static void the_past_is_kept_with_the_model(void **state)
{
    (void)state;
    desk d;
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    vx_audio owner = clip_audio(OWNER);
    const vx_keeper_memory plenty = {.free_bytes = SIZE_MAX}, none = {.pressure = 0.99, .free_bytes = SIZE_MAX};
    for (int i = 0; i < 2; i++) {
        for (size_t heard = 3; heard < 6; heard++) {
            for (int s = 0; s < VX_N_SOURCES; s++)
                d.runtime.timeouts[s] = (vx_timeouts){.base_ms = 60000, .floor_ms = 60000};
            (void)attempt_with(&d, owner.samples, owner.n, true);
            vx_runtime_tend(&d.runtime, &plenty);
            assert_int_equal(vx_lessons_known(&d.runtime.lessons).n_heard, heard + 3 * (size_t)i);
        }
        vx_runtime_tend(&d.runtime, &none);
        assert_int_equal(d.runtime.lessons.speaker, 0);
        assert_null(d.runtime.lessons.heard.data);
    }
    vx_audio_done(&owner);
    desk_close(&d);
}

static void clip_hard(vx_audio *audio)
{
    for (size_t i = 0; i < audio->n; i++)
        audio->samples[i] = fmaxf(-1, fminf(1, 40 * audio->samples[i]));
}

/* What comes too late to be judged is known the next time. */
static void a_late_utterance_is_remembered(void **state)
{
    (void)state;
    desk d;
    desk_open(&d, NULL, "VBI_FAST_VERIFY_TIMEOUT=0.1");
    enrol_reader1(&d, "anna");
    d.delay_ms = 700; /* its time is 200 to 300 ms */
    vx_audio owner = clip_audio(OWNER);
    assert_false(heard_before(&d, &owner, 3, 0));
    const vx_attempt_outcome out = attempt_with(&d, owner.samples, owner.n, true);
    assert_int_not_equal(out.evidence[VX_SOURCE_PHYSICS].status, VX_EVIDENCE_VALID);
    assert_int_equal(out.learn_err, VX_OK);
    assert_true(heard_before(&d, &owner, 3, 1));
    vx_audio_done(&owner);
    desk_close(&d);
}

/* However an attempt ends: a replay of it is found. What was not let in is kept apart. */
static void every_utterance_is_remembered(void **state)
{
    (void)state;
    enum { ENROLLED = 3 };
    desk d;
    vx_audio owner = clip_audio(OWNER), stranger = clip_audio(STRANGER), loud = clip_audio("reader2_a.flac"),
             waiting = clip_audio("reader2_b.flac");
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    vx_audio enrolled = clip_audio("reader1_a.flac");
    assert_true(heard_before(&d, &enrolled, ENROLLED, 0));

    d.physics = (vx_evidence){.status = VX_EVIDENCE_INCONCLUSIVE};
    assert_false(heard_before(&d, &stranger, ENROLLED, 0));
    (void)attempt_with(&d, stranger.samples, stranger.n, false); /* not spoken here and now */
    assert_false(heard_before(&d, &stranger, ENROLLED, 0));
    (void)attempt_with(&d, stranger.samples, stranger.n, true);
    assert_true(heard_before(&d, &stranger, ENROLLED, 1));

    clip_hard(&loud);
    assert_int_equal(attempt_with(&d, loud.samples, loud.n, true).verdict, VX_NO_AUDIO);
    assert_true(heard_before(&d, &loud, ENROLLED, 2));

    d.runtime.physics_on = false;
    for (int i = 0; i < 2; i++) {
        vx_attempt_outcome let_in;
        const vx_attempt_request request = {.command = "unlock",
                                            .speaker = "anna",
                                            .samples = owner.samples,
                                            .n = owner.n,
                                            .clipped_share = -1,
                                            .live = true,
                                            .answered = i == 1};
        for (int s = 0; s < VX_N_SOURCES; s++)
            d.runtime.timeouts[s] = (vx_timeouts){.base_ms = 60000, .floor_ms = 60000};
        assert_int_equal(vx_attempt_run(&d.runtime, &request, &let_in, NULL), VX_OK);
        assert_int_equal(let_in.verdict, i == 1 ? VX_AUTHENTICATE : VX_CHALLENGE);
        assert_true(heard_before(&d, &owner, ENROLLED + i, 3));
    }

    d.runtime.physics_on = true;
    d.physics = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = 0.05};
    for (int i = 0; i < 3; i++)
        (void)attempt_with(&d, owner.samples, owner.n, true);
    assert_int_equal(attempt_with(&d, waiting.samples, waiting.n, true).verdict, VX_WAIT);
    assert_true(heard_before(&d, &waiting, ENROLLED + 1, 7));
    vx_audio *const all[] = {&owner, &stranger, &loud, &waiting, &enrolled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vx_audio_done(all[i]);
    desk_close(&d);
}

/* Digits open what nothing else was lacking for; they do not make another voice the owner's, and no anomaly good. */
static void digits_answer_a_challenge_and_nothing_else(void **state)
{
    (void)state;
    enum { JUDGED, LATE, ABSTAINED }; /* the layers */
    static const struct {
        const char *file;
        vx_evidence physics;
        double measured; /* 0: nothing was */
        int layers;
        bool passes;
    } cases[] = {
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0, JUDGED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_UNAVAILABLE}, 0, JUDGED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_UNAVAILABLE}, 0.45, JUDGED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.45, JUDGED, true},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.45, LATE, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.05, ABSTAINED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.5, JUDGED, true},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.55, JUDGED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, NAN, JUDGED, false},
        {"reader1_d.flac", {.status = VX_EVIDENCE_VALID, .confidence = 0.5}, 0.5, JUDGED, true},
        {"reader1_d.flac", {.status = VX_EVIDENCE_VALID, .confidence = 0.1}, 0.9, JUDGED, false},
        {"reader2_a.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0, JUDGED, false},
        {"reader2_a.flac", {.status = VX_EVIDENCE_INCONCLUSIVE}, 0.1, JUDGED, false},
        {"reader2_a.flac", {.status = VX_EVIDENCE_VALID, .confidence = 0.84}, 0.16, JUDGED, false},
    };
    desk d;
    vx_habits habits;
    vx_speaker anna;
    double prior = 0;
    desk_open(&d, NULL, NULL);
    enrol_reader1(&d, "anna");
    assert_int_equal(vx_store_speaker(d.runtime.store, "anna", &anna, NULL), VX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_attempt_outcome out;
        vx_audio audio = clip_audio(cases[i].file);
        const vx_attempt_request request = {.command = "unlock",
                                            .speaker = "anna",
                                            .samples = audio.samples,
                                            .n = audio.n,
                                            .clipped_share = -1,
                                            .live = true,
                                            .answered = true};
        d.physics = cases[i].physics;
        d.measured = cases[i].measured;
        d.late = cases[i].layers == LATE;
        d.abstained = cases[i].layers == ABSTAINED;
        assert_int_equal(vx_attempt_run(&d.runtime, &request, &out, NULL), VX_OK);
        if (out.challenge_passed != cases[i].passes || (out.verdict == VX_AUTHENTICATE) != cases[i].passes)
            fail_msg("case %zu: %s, %s", i, vx_verdict_name(out.verdict), out.sentence);
        vx_audio_done(&audio);
    }
    /* What was proved teaches. */
    assert_int_equal(vx_learned_habits(d.runtime.store, anna.id, &habits, NULL), VX_OK);
    assert_int_equal(habits.n, 3);
    assert_int_equal(vx_learned_prior(d.runtime.store, anna.id, 0.85, &prior, NULL), VX_OK);
    assert_true(prior > 0.85);
    desk_close(&d);
}

/* Whoever switches physics off has digits prove what they prove without it. */
static void digits_without_physics(void **state)
{
    (void)state;
    desk d;
    vx_attempt_outcome out;
    vx_audio audio = clip_audio("reader1_d.flac");
    desk_open(&d, NULL, "ANTISPOOFING_PHYSICS_ENABLED=false");
    enrol_reader1(&d, "anna");
    const vx_attempt_request request = {.command = "unlock",
                                        .speaker = "anna",
                                        .samples = audio.samples,
                                        .n = audio.n,
                                        .clipped_share = -1,
                                        .answered = true};
    assert_int_equal(vx_attempt_run(&d.runtime, &request, &out, NULL), VX_OK);
    assert_int_not_equal(out.evidence[VX_SOURCE_PHYSICS].status, VX_EVIDENCE_VALID);
    assert_true(out.challenge_passed && !vx_attempt_is_alive(&out));
    vx_audio_done(&audio);
    desk_close(&d);
}

/* ---- many at once --------------------------------------------------------------------------------------------------- */

typedef struct {
    desk *d;
    const vx_audio *audio;
    vx_verdict verdicts[4];
} crowd_member;

static void *try_often(void *arg)
{
    crowd_member *m = arg;
    for (int i = 0; i < 4; i++) {
        vx_attempt_outcome out = {.verdict = VX_N_VERDICTS};
        const vx_attempt_request request = {.command = "verify",
                                            .speaker = "anna",
                                            .samples = m->audio->samples,
                                            .n = m->audio->n,
                                            .clipped_share = -1,
                                            .live = true};
        m->verdicts[i] = vx_attempt_run(&m->d->runtime, &request, &out, NULL) == VX_OK ? out.verdict : VX_N_VERDICTS;
    }
    return NULL;
}

static vx_err count(void *arg, const vx_attempt_record *record)
{
    *(int *)arg += record->ended_ms > 0;
    return VX_OK;
}

static void attempts_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    desk d;
    pthread_t threads[THREADS];
    crowd_member members[THREADS];
    int ended = 0;
    desk_open(&d, NULL, "BAYESIAN_AUTH_THRESHOLD=0.80");
    d.runtime.strong = 0.5;
    /* A machine with little to do: nobody is to be late. */
    for (int s = 0; s < VX_N_SOURCES; s++)
        d.runtime.timeouts[s] = (vx_timeouts){.base_ms = 60000, .floor_ms = 60000};
    enrol_reader1(&d, "anna");
    vx_audio owner = clip_audio(OWNER);
    for (int t = 0; t < THREADS; t++) {
        members[t] = (crowd_member){&d, &owner, {0}};
        assert_int_equal(pthread_create(&threads[t], NULL, try_often, &members[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        for (int i = 0; i < 4; i++) /* others under way may make one wait; none is decided otherwise */
            assert_true(members[t].verdicts[i] == VX_AUTHENTICATE || members[t].verdicts[i] == VX_WAIT);
    }
    assert_int_equal(vx_attempt_walk(d.runtime.store, "anna", 0, count, &ended, NULL), VX_OK);
    assert_int_equal(ended, 4 * THREADS);
    /* None was forgotten because another was learned at the same time. */
    vx_habits habits;
    vx_speaker anna;
    int64_t let_in = 0;
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < 4; i++)
            let_in += members[t].verdicts[i] == VX_AUTHENTICATE;
    assert_true(heard_before(&d, &owner, 3 + let_in, 4 * THREADS - let_in));
    assert_int_equal(vx_store_speaker(d.runtime.store, "anna", &anna, NULL), VX_OK);
    assert_int_equal(vx_learned_habits(d.runtime.store, anna.id, &habits, NULL), VX_OK);
    assert_int_equal(habits.n, let_in);
    vx_audio_done(&owner);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_let_in_and_a_stranger_is_not),
        cmocka_unit_test(physics_bound_the_verdict),
        cmocka_unit_test(a_late_source_is_unavailable),
        cmocka_unit_test(a_late_voice_answers_nothing),
        cmocka_unit_test(without_a_model_the_voice_is_unavailable),
        cmocka_unit_test(nothing_compared_is_a_state_of_its_own),
        cmocka_unit_test(rejections_make_the_next_one_wait),
        cmocka_unit_test(every_attempt_is_on_record_with_its_evidence),
        cmocka_unit_test(only_strong_live_acceptances_teach),
        cmocka_unit_test(a_late_utterance_is_remembered),
        cmocka_unit_test(every_utterance_is_remembered),
        cmocka_unit_test(the_past_is_kept_with_the_model),
        cmocka_unit_test(digits_answer_a_challenge_and_nothing_else),
        cmocka_unit_test(digits_without_physics),
        cmocka_unit_test(attempts_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
