/* test_lessons.c - between PAVA and the store: what a recording teaches, and what is known of the past when the next comes. */
#include "edge/lessons.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/doctor/doctor.h"
#include "edge/learned.h"
#include "edge/store/binding.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"
#include "tests/support/store_fixture.h"
#include "tests/support/store_watch.h"

static int64_t enrol(vx_store *store, const char *name)
{
    const vx_new_sample sample = fixture_sample(7, 1, 0.5, "");
    fixture_enrol(store, name, &sample, 1, false, 1, 0);
    return fixture_speaker(store, name).id;
}

/* Landmarks of nothing, that the seed fixes. */
static vx_fingerprint print_of(uint64_t seed, size_t n)
{
    vx_fingerprint f = {.landmarks = malloc(n * sizeof *f.landmarks), .n = n};
    assert_non_null(f.landmarks);
    for (size_t i = 0; i < n; i++) {
        const uint16_t time = (uint16_t)(stats_random(&seed) >> 54);
        f.landmarks[i] = (vx_landmark){time, (uint16_t)(40 + 3 * i)};
        f.end = time >= f.end ? time + 1 : f.end;
    }
    return f;
}

static vx_err remember(vx_store *store, int64_t speaker, vx_utterance_kind kind, uint64_t seed, int64_t most)
{
    vx_fingerprint f = print_of(seed, 200);
    uint8_t bytes[1024];
    assert_true(vx_fingerprint_size(&f) <= sizeof bytes);
    vx_fingerprint_pack(&f, bytes);
    const vx_err err =
        vx_store_remember_most(store, speaker, kind, (int64_t)seed, bytes, vx_fingerprint_size(&f), most, NULL);
    vx_fingerprint_done(&f);
    return err;
}

static bool knows(const vx_lessons *lessons, const vx_fingerprint *asked)
{
    const vx_pava_known known = vx_lessons_known(lessons);
    vx_fingerprint_match best;
    size_t which;
    vx_fingerprint_find(asked, known.heard, known.n_heard, &best, &which);
    return best.evidence >= VX_FINGERPRINT_SAME;
}

static bool knows_seed(const vx_lessons *lessons, uint64_t seed)
{
    vx_fingerprint f = print_of(seed, 200);
    const bool known = knows(lessons, &f);
    vx_fingerprint_done(&f);
    return known;
}

static void load(vx_store *store, int64_t speaker, vx_lessons *lessons, size_t n_heard)
{
    vx_errinfo info = {0};
    if (vx_lessons_load(store, speaker, lessons, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_int_equal(vx_lessons_known(lessons).n_heard, n_heard);
}

/* ---- what a recording teaches -------------------------------------------------------------------------------------- */

/* Owner and stranger, examined or not, in time or too late: the recording is known the next time. */
static void a_recording_is_known_again_whatever_came_of_it(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_audio clip = clip_audio("reader1_a.flac"), other = clip_audio("reader1_b.flac");
    static const vx_pava_known nothing;
    vx_pava_report report;
    vx_evidence evidence;
    vx_fingerprint again = {0}, never = {0};
    vx_pava_judge(clip.samples, clip.n, &nothing, 0, &report, &evidence);
    assert_true(report.has_fingerprint);
    assert_int_equal(vx_pava_fingerprint(clip.samples + 4000, clip.n - 8000, &again, NULL), VX_OK);
    assert_int_equal(vx_pava_fingerprint(other.samples, other.n, &never, NULL), VX_OK);
    for (int i = 0; i < 4; i++) {
        const vx_lesson lesson = {
            .samples = clip.samples, .n = clip.n, .report = i & 1 ? &report : NULL, .when_ms = 17, .accepted = i & 2};
        vx_lessons known = {0};
        const int64_t whose = i == 0 ? a : enrol(f->store, (const char *[]){"", "Bo", "Cid", "Dea"}[i]);
        assert_int_equal(vx_lessons_take(f->store, whose, &lesson, NULL), VX_OK);
        load(f->store, whose, &known, 1);
        assert_true(knows(&known, &again));
        assert_false(knows(&known, &never));
        const vx_utterance_kind kind = i & 2 ? VX_UTTERANCE_OWN : VX_UTTERANCE_OTHER;
        assert_int_equal(known.mark.ends[kind].last, 1);
        assert_int_equal(known.baseline.n_tract, 0); /* nothing but that was learned */
        vx_lessons_done(&known);
    }
    vx_fingerprint_done(&again);
    vx_fingerprint_done(&never);
    vx_pava_report_done(&report);
    vx_audio_done(&clip);
    vx_audio_done(&other);
}

static void scale(float *samples, size_t n, float gain)
{
    for (size_t i = 0; i < n; i++) {
        const float x = samples[i] * gain;
        samples[i] = x > 1 ? 1 : x < -1 ? -1 : x;
    }
}

/* What PAVA refuses to judge is the same recording to who plays it again, undistorted this time. */
static void what_is_clipped_is_known_again(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    static const vx_pava_known nothing;
    vx_audio clean = clip_audio("reader1_a.flac"), clipped = clip_audio("reader1_a.flac");
    vx_pava_report report;
    vx_evidence evidence;
    vx_fingerprint again = {0};
    vx_lessons known = {0};
    float peak = 0;
    for (size_t i = 0; i < clean.n; i++)
        peak = clean.samples[i] > peak ? clean.samples[i] : peak;
    scale(clipped.samples, clipped.n, 6 / peak);
    vx_pava_judge(clipped.samples, clipped.n, &nothing, 0, &report, &evidence);
    assert_int_equal(evidence.status, VX_EVIDENCE_INCONCLUSIVE);
    assert_non_null(strstr(evidence.reason, "clipped"));
    const vx_lesson lesson = {.samples = clipped.samples, .n = clipped.n, .report = &report};
    assert_int_equal(vx_lessons_take(f->store, a, &lesson, NULL), VX_OK);
    load(f->store, a, &known, 1);
    assert_int_equal(vx_pava_fingerprint(clean.samples, clean.n, &again, NULL), VX_OK);
    assert_true(knows(&known, &again));
    vx_fingerprint_done(&again);
    vx_lessons_done(&known);
    vx_pava_report_done(&report);
    vx_audio_done(&clean);
    vx_audio_done(&clipped);
}

/* No sound, no numbers, nothing: no fingerprint, and no error. */
static void what_is_no_sound_teaches_nothing(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    static float silence[16000], broken[16000];
    broken[9] = (float)(0.0 * strtod("inf", NULL));
    const vx_lesson lessons[] = {{.samples = NULL},
                                 {.samples = silence, .n = 16000},
                                 {.samples = silence, .n = 3},
                                 {.samples = broken, .n = 16000}};
    vx_lessons known = {0};
    for (size_t i = 0; i < sizeof lessons / sizeof *lessons; i++)
        assert_int_equal(vx_lessons_take(f->store, a, &lessons[i], NULL), VX_OK);
    load(f->store, a, &known, 0);
    vx_lessons_done(&known);
    assert_int_equal(vx_lessons_take(f->store, a + 7, &lessons[1], NULL), VX_OK);
}

static const vx_pava_report of_a_throat = {.has_tract = true, .tract_cm = 17, .has_room = true, .rt60_s = 0.4};

static void only_what_was_surely_the_owners_teaches_of_the_throat(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_pava_baseline baseline;
    static const struct {
        vx_lesson lesson;
        int n_tract;
    } cases[] = {
        {{.report = &of_a_throat, .strong = false, .accepted = true}, 0},
        {{.report = NULL, .strong = true, .accepted = true}, 0},
        {{.report = &of_a_throat, .strong = true, .accepted = true}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(vx_lessons_take(f->store, a, &cases[i].lesson, NULL), VX_OK);
        assert_int_equal(vx_learned_baseline(f->store, a, &baseline, NULL), VX_OK);
        assert_int_equal(baseline.n_tract, cases[i].n_tract);
    }
    assert_int_equal(vx_lessons_take(f->store, a + 7, &cases[0].lesson, NULL), VX_OK); /* nothing was to be written */
    const vx_fingerprint print = print_of(1, 50);
    vx_pava_report report = {.has_fingerprint = true, .fingerprint = print};
    const vx_lesson of_nobody = {.report = &report};
    assert_int_equal(vx_lessons_take(f->store, a + 7, &of_nobody, NULL), VX_ERR_NOT_ENROLLED);
    vx_pava_report_done(&report);
}

typedef struct {
    vx_store *store;
    int64_t speaker;
    int n_learned;
    vx_err err;
} learner;

enum { LEARNERS = 4, LESSONS = 12 };

static void *learn_often(void *arg)
{
    learner *l = arg;
    const vx_lesson lesson = {.report = &of_a_throat, .strong = true, .accepted = true};
    for (int i = 0; i < LESSONS; i++) {
        const vx_err err = vx_lessons_take(l->store, l->speaker, &lesson, NULL);
        l->n_learned += err == VX_OK;
        if (err != VX_OK && err != VX_ERR_STORE_LOCKED) /* the store's own patience is not in question here */
            l->err = err;
    }
    return NULL;
}

/* Half of them by a connection of their own, as another program has it. */
static void lessons_at_once_are_all_learned(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_store *theirs = NULL;
    const vx_store_options options = {
        .folder = f->folder, .keyring = VX_KEYRING_FILE, .busy_ms = VX_STORE_BUSY_MS}; /* of a program */
    assert_int_equal(vx_store_open(&options, &theirs, NULL), VX_OK);
    pthread_t threads[LEARNERS];
    learner learners[LEARNERS];
    vx_pava_baseline baseline;
    for (int i = 0; i < LEARNERS; i++) {
        learners[i] = (learner){.store = i % 2 ? f->store : theirs, .speaker = a};
        assert_int_equal(pthread_create(&threads[i], NULL, learn_often, &learners[i]), 0);
    }
    for (int i = 0; i < LEARNERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    int n_learned = 0;
    for (int i = 0; i < LEARNERS; i++) {
        assert_int_equal(learners[i].err, VX_OK);
        n_learned += learners[i].n_learned;
    }
    assert_true(n_learned >= LESSONS);
    assert_int_equal(vx_learned_baseline(f->store, a, &baseline, NULL), VX_OK);
    assert_int_equal(baseline.n_tract, n_learned);
    vx_store_close(theirs);
}

/* ---- what is known ------------------------------------------------------------------------------------------------- */

/* What is kept between attempts and brought up to date is what is read anew. */
static void what_is_kept_is_what_is_read_anew(void **state)
{
    const store_fixture *f = *state;
    enum { ROUNDS = 40, MOST = 5 };
    const int64_t a = enrol(f->store, "Aino");
    uint64_t seed = 20261121;
    vx_lessons kept = {0};
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 1, next = 1; round <= ROUNDS; round++) {
        vx_lessons anew = {0};
        for (uint64_t n = stats_random(&seed) % 4; n > 0; n--, next++) {
            const vx_utterance_kind kind = stats_random(&seed) % 3 == 0;
            assert_int_equal(remember(f->store, a, kind, next, MOST), VX_OK);
        }
        assert_int_equal(vx_lessons_load(f->store, a, &anew, NULL), VX_OK);
        load(f->store, a, &kept, vx_lessons_known(&anew).n_heard);
        assert_memory_equal(&kept.mark, &anew.mark, sizeof anew.mark);
        for (uint64_t i = next > 14 ? next - 14 : 1; i < next; i++)
            assert_int_equal(knows_seed(&kept, i), knows_seed(&anew, i));
        vx_lessons_done(&anew);
    }
    vx_lessons_done(&kept);
}

static void what_is_kept_is_of_one_speaker(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino"), b = enrol(f->store, "Bo");
    vx_lessons kept = {0};
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 1, 9), VX_OK);
    assert_int_equal(remember(f->store, b, VX_UTTERANCE_OWN, 2, 9), VX_OK);
    assert_int_equal(remember(f->store, b, VX_UTTERANCE_OTHER, 3, 9), VX_OK);
    load(f->store, a, &kept, 1);
    assert_true(knows_seed(&kept, 1));
    load(f->store, b, &kept, 2);
    assert_false(knows_seed(&kept, 1));
    assert_true(knows_seed(&kept, 2) && knows_seed(&kept, 3));
    assert_int_equal(vx_store_remove(f->store, "Bo", NULL), VX_OK);
    assert_int_equal(vx_lessons_load(f->store, b, &kept, NULL), VX_ERR_NOT_ENROLLED);
    assert_int_equal(kept.speaker, 0);
    assert_int_equal(vx_lessons_known(&kept).n_heard, 0);
}

/* What was read in a transaction that was undone, or of a file that somebody changed. */
static void what_does_not_fit_is_read_anew(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_lessons kept = {0};
    vx_errinfo info = {0};
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 1, 9), VX_OK);
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK);
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 2, 9), VX_OK);
    load(f->store, a, &kept, 2);
    assert_int_equal(vx_store_end(f->store, VX_ERR_IO, NULL), VX_ERR_IO);
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 3, 9), VX_OK);
    load(f->store, a, &kept, 2);
    assert_true(knows_seed(&kept, 1) && knows_seed(&kept, 3));
    assert_false(knows_seed(&kept, 2));
    assert_int_equal(
        sqlite3_exec(f->store->db, "CREATE TABLE aside AS SELECT * FROM heard; DELETE FROM heard", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(vx_lessons_load(f->store, a, &kept, &info), VX_ERR_STORE_CORRUPT);
    assert_non_null(strstr(info.text, "not as voxlock left it"));
    assert_int_equal(vx_lessons_known(&kept).n_heard, 0);
    assert_int_equal(
        sqlite3_exec(f->store->db, "INSERT INTO heard SELECT * FROM aside; DROP TABLE aside", NULL, NULL, NULL),
        SQLITE_OK);
}

static vx_finding doctor_says(vx_store *store)
{
    static vx_patient patient;
    vx_finding finding = {.result = VX_CHECK_OK};
    patient.store = store;
    vx_check_profiles(&patient, &finding);
    return finding;
}

/* A row that another version wrote is skipped, counted and told; it is no utterance that this one can be held against, so
 * alone it is no memory. One that nobody can have written is an error, as ever. */
static void what_another_version_took_is_counted(void **state)
{
    const store_fixture *f = *state;
    static const uint8_t newer[] = {'F', 'P', 9, 0, 1, 2, 3}, garbled[] = {'F', 'P', 1, 0, 1, 2, 3};
    const int64_t a = enrol(f->store, "Aino");
    vx_lessons known = {0}, kept = {0};
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, 1, newer, sizeof newer, NULL), VX_OK);
    load(f->store, a, &known, 0);
    assert_int_equal(vx_lessons_unread(&known), 1);
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 5, 2), VX_OK);
    load(f->store, a, &known, 1);
    load(f->store, a, &kept, 1);
    assert_int_equal(vx_lessons_unread(&known), 1);
    assert_true(knows_seed(&known, 5));
    const vx_finding warned = doctor_says(f->store);
    assert_int_equal(warned.result, VX_CHECK_WARNING);
    assert_non_null(strstr(warned.sentence, "1 of the 2 fingerprints of what Aino said"));
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 6, 2), VX_OK);
    load(f->store, a, &known, 2); /* it was the oldest */
    assert_int_equal(vx_lessons_unread(&known), 0);
    assert_int_equal(doctor_says(f->store).result, VX_CHECK_OK);
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OTHER, 1, garbled, sizeof garbled, NULL), VX_OK);
    assert_int_equal(vx_lessons_load(f->store, a, &known, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_lessons_load(f->store, a, &kept, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(doctor_says(f->store).result, VX_CHECK_FAILED);
}

/* A profile that has not learned yet, and one failed attempt: of what was not said before it tells nothing, and what repeats
 * it is a replay. With one utterance of the owner's the layer judges both. */
static void others_accuse_and_acquit_nobody(void **state)
{
    const store_fixture *f = *state;
    static const char *const heard[] = {"reader2_a.flac", "reader1_b.flac"};
    const int64_t a = enrol(f->store, "Aino");
    for (int own = 0; own < 2; own++) {
        vx_audio before = clip_audio(heard[own]), unheard = clip_audio("reader1_a.flac");
        vx_audio repeated = clip_audio("reader2_a.flac");
        const vx_lesson lesson = {.samples = before.samples, .n = before.n, .accepted = own};
        const struct {
            const vx_audio *clip;
            vx_evidence_status status;
            bool accuses;
        } cases[] = {{&unheard, own ? VX_EVIDENCE_VALID : VX_EVIDENCE_INCONCLUSIVE, false},
                     {&repeated, VX_EVIDENCE_VALID, true}};
        vx_lessons known = {0};
        assert_int_equal(vx_lessons_take(f->store, a, &lesson, NULL), VX_OK);
        load(f->store, a, &known, (size_t)own + 1);
        assert_int_equal(vx_lessons_known(&known).n_other, 1);
        const vx_pava_known past = vx_lessons_known(&known);
        for (int i = 0; i < 2; i++) {
            vx_pava_report report;
            vx_evidence evidence;
            vx_pava_judge(cases[i].clip->samples, cases[i].clip->n, &past, 0, &report, &evidence);
            const vx_layer_finding *layer = &report.layers[VX_LAYER_REPLAY];
            assert_int_equal(layer->status, cases[i].status);
            assert_int_equal(layer->spoof > 0.5, cases[i].accuses);
            if (layer->status != VX_EVIDENCE_VALID)
                assert_non_null(strstr(layer->reason, "nothing of the speaker was heard"));
            vx_pava_report_done(&report);
        }
        vx_lessons_done(&known);
        vx_audio_done(&before);
        vx_audio_done(&unheard);
        vx_audio_done(&repeated);
    }
}

/* ---- profiles that were made before there was anything to learn ---------------------------------------------------- */

static int64_t enrol_clip(vx_store *store, const char *name, const vx_audio *clip)
{
    vx_new_sample sample = fixture_sample(7, 1, 0.5, "");
    sample.samples = clip->samples, sample.n = clip->n;
    fixture_enrol(store, name, &sample, 1, false, 1, 0);
    return fixture_speaker(store, name).id;
}

static void an_older_profile_learns_from_its_recordings(void **state)
{
    const store_fixture *f = *state;
    vx_audio clip = clip_audio("reader1_a.flac");
    const int64_t a = enrol_clip(f->store, "Aino", &clip);
    vx_lessons known = {0};
    for (int again = 0; again < 2; again++) {
        assert_int_equal(vx_lessons_from_profile(f->store, a, NULL), VX_OK);
        load(f->store, a, &known, 1);
        assert_int_equal(known.mark.ends[VX_UTTERANCE_OWN].last, 1);
        assert_int_equal(known.baseline.n_tract, 1);
        assert_int_equal(known.baseline.n_rooms, 0); /* what is kept has no room around the voice */
    }
    vx_lessons_done(&known);
    vx_audio_done(&clip);
}

/* What a stranger said in vain is nothing that the profile has learned. */
static void an_older_profile_learns_though_others_tried(void **state)
{
    const store_fixture *f = *state;
    vx_audio clip = clip_audio("reader1_a.flac");
    const int64_t a = enrol_clip(f->store, "Aino", &clip);
    vx_lessons known = {0};
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OTHER, 7, 9), VX_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(vx_lessons_from_profile(f->store, a, NULL), VX_OK);
        load(f->store, a, &known, 2);
        assert_int_equal(known.mark.ends[VX_UTTERANCE_OWN].last, 1);
        assert_int_equal(known.baseline.n_tract, 1);
    }
    vx_lessons_done(&known);
    vx_audio_done(&clip);
}

/* Nobody is kept waiting while recordings are judged. */
static void nothing_is_judged_while_the_store_is_held(void **state)
{
    const store_fixture *f = *state;
    vx_audio clip = clip_audio("reader1_a.flac");
    const int64_t a = enrol_clip(f->store, "Aino", &clip);
    vx_taught taught = {0};
    uint64_t start = vx_cpu_ns();
    assert_int_equal(vx_lessons_judge(clip.samples, clip.n, 1, &taught), VX_OK);
    const uint64_t judging_ns = vx_cpu_ns() - start;
    store_held held = {.n = 0};
    store_watch(f->store, &held);
    assert_int_equal(vx_lessons_from_profile(f->store, a, NULL), VX_OK);
    store_watch(f->store, NULL);
    print_message("# judging %.1f ms, holding the store %.1f ms\n", (double)judging_ns / 1e6,
                  (double)held.most_ns / 1e6);
    assert_int_equal(held.n, 1);
    assert_true(held.most_ns < judging_ns / 2);
    vx_taught_done(&taught);
    vx_audio_done(&clip);
}

static void an_enrolment_teaches(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_audio clip = clip_audio("reader1_a.flac");
    vx_lessons known = {0};
    vx_taught taught = {0};
    assert_int_equal(vx_lessons_judge(clip.samples, clip.n, 5, &taught), VX_OK);
    load(f->store, a, &known, 0);
    assert_int_equal(vx_lessons_write(f->store, a, &taught, NULL), VX_OK);
    assert_int_equal(vx_lessons_write(f->store, a + 7, &taught, NULL), VX_ERR_NOT_ENROLLED);
    vx_taught_done(&taught);
    load(f->store, a, &known, 1);
    assert_int_equal(known.mark.ends[VX_UTTERANCE_OWN].last, 1);
    assert_int_equal(known.baseline.n_tract, 1);
    vx_lessons_done(&known);
    vx_audio_done(&clip);
}

/* Not half of them: the next try would take a profile of which something is known for one that has learned. */
static void an_older_profile_learns_all_or_nothing(void **state)
{
    const store_fixture *f = *state;
    vx_audio clip = clip_audio("reader1_a.flac");
    const int64_t a = enrol_clip(f->store, "Aino", &clip);
    vx_lessons known = {0};
    vx_err err = VX_ERR_NOMEM;
    if (!vx_alloc_fail_works())
        skip();
    for (size_t k = 1; err == VX_ERR_NOMEM; k += 1 + k / 4) {
        load(f->store, a, &known, 0);
        assert_int_equal(known.baseline.n_tract, 0);
        vx_alloc_fail_at(k);
        err = vx_lessons_from_profile(f->store, a, NULL);
        vx_alloc_fail_at(0);
    }
    assert_int_equal(err, VX_OK);
    load(f->store, a, &known, 1);
    assert_int_equal(known.baseline.n_tract, 1);
    vx_lessons_done(&known);
    vx_audio_done(&clip);
}

/* ---- cost and memory ----------------------------------------------------------------------------------------------- */

static void reading_on_costs_little(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_lessons kept = {0};
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK); /* one sync for all */
    for (uint64_t i = 0; i < VX_STORE_UTTERANCES_OWN + VX_STORE_UTTERANCES_OTHER; i++)
        assert_int_equal(remember(f->store, a, i >= VX_STORE_UTTERANCES_OWN, i, VX_STORE_UTTERANCES_OWN), VX_OK);
    assert_int_equal(vx_store_end(f->store, VX_OK, NULL), VX_OK);
    store_rows all = {.n = 0}, rest = {.n = 0};
    uint64_t start = vx_cpu_ns();
    store_count(f->store, &all);
    load(f->store, a, &kept, VX_STORE_UTTERANCES_OWN + VX_STORE_UTTERANCES_OTHER);
    store_count(f->store, NULL);
    const double all_ms = (double)(vx_cpu_ns() - start) / 1e6;
    assert_true(all.n > VX_STORE_UTTERANCES_OWN + VX_STORE_UTTERANCES_OTHER);
    assert_int_equal(remember(f->store, a, VX_UTTERANCE_OWN, 1, VX_STORE_UTTERANCES_OWN), VX_OK);
    store_count(f->store, &rest);
    start = vx_cpu_ns();
    load(f->store, a, &kept, VX_STORE_UTTERANCES_OWN + VX_STORE_UTTERANCES_OTHER);
    store_count(f->store, NULL);
    print_message("# all that is remembered: read in %.2f ms (%d rows), brought up to date in %.3f ms (%d rows)\n",
                  all_ms, all.n, (double)(vx_cpu_ns() - start) / 1e6, rest.n);
    /* What proves is read as before, of the utterances the new one alone. */
    assert_int_equal(rest.n, all.n - (VX_STORE_UTTERANCES_OWN + VX_STORE_UTTERANCES_OTHER) + 1);
    vx_lessons_done(&kept);
}

typedef struct {
    vx_store *store;
    const vx_audio *clip;
} memory;

static vx_err take(void *ctx)
{
    const memory *m = ctx;
    const vx_lesson lesson = {
        .samples = m->clip->samples, .n = 32000, .report = &of_a_throat, .accepted = true, .strong = true};
    return vx_lessons_take(m->store, 1, &lesson, NULL);
}

static vx_err judge_one(void *ctx)
{
    const memory *m = ctx;
    vx_taught taught = {0};
    vx_err err = vx_lessons_judge(m->clip->samples, 32000, 1, &taught);
    vx_taught_done(&taught);
    return err;
}

static vx_err load_twice(void *ctx)
{
    const memory *m = ctx;
    vx_lessons known = {0};
    vx_err err = vx_lessons_load(m->store, 1, &known, NULL);
    if (err == VX_OK)
        err = vx_lessons_load(m->store, 1, &known, NULL);
    vx_lessons_done(&known);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    const store_fixture *f = *state;
    vx_audio clip = clip_audio("reader1_a.flac");
    const int64_t a = enrol(f->store, "Aino");
    memory m = {f->store, &clip};
    assert_int_equal(a, 1);
    vx_alloc_fail_each(take, &m);
    vx_alloc_fail_each(judge_one, &m);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(remember(f->store, a, VX_UTTERANCE_OTHER, i, 9), VX_OK);
    vx_alloc_fail_each(load_twice, &m);
    vx_audio_done(&clip);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_recording_is_known_again_whatever_came_of_it),
        WITH_STORE(what_is_clipped_is_known_again),
        WITH_STORE(what_is_no_sound_teaches_nothing),
        WITH_STORE(only_what_was_surely_the_owners_teaches_of_the_throat),
        WITH_STORE(lessons_at_once_are_all_learned),
        WITH_STORE(what_is_kept_is_what_is_read_anew),
        WITH_STORE(what_is_kept_is_of_one_speaker),
        WITH_STORE(what_does_not_fit_is_read_anew),
        WITH_STORE(what_another_version_took_is_counted),
        WITH_STORE(others_accuse_and_acquit_nobody),
        WITH_STORE(an_older_profile_learns_from_its_recordings),
        WITH_STORE(an_older_profile_learns_though_others_tried),
        WITH_STORE(nothing_is_judged_while_the_store_is_held),
        WITH_STORE(an_enrolment_teaches),
        WITH_STORE(an_older_profile_learns_all_or_nothing),
        WITH_STORE(reading_on_costs_little),
        WITH_STORE(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
