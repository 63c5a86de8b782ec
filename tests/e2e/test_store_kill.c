/* test_store_kill.c - a program that writes to the store is killed at random moments, 200 times.
 * What must hold after each: nothing that it reported as saved is missing, nothing is there that it did not set out to
 * write, the audit chain verifies, and the store's own check passes.
 *
 * The program is this one, started again with "--write": it says what it is about to write ("will ..."), writes it, and
 * says so ("saved ..."). Both are lines in a pipe, which outlives it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/child.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"
#include "tests/support/store_fixture.h"

enum { ROUNDS = SANITIZED ? 40 : 200, KINDS = 3, SPEAKERS = 6, NAME_CAP = 32, DELAY_MAX_US = 25000 };

/* ---- the program that is killed ----------------------------------------------------------------------------------- */

/* One write: a line is short enough to be one piece in the pipe. */
static void say(const char *what, const char *kind, long long number)
{
    char line[64];
    const int n = snprintf(line, sizeof line, "%s %s %lld\n", what, kind, number);
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(3);
}

/* An attempt's verdict and detail follow from its number, so that a row can be told from an invented one. */
static vx_attempt_record record_of(long long number)
{
    static const vx_verdict verdicts[] = {VX_AUTHENTICATE, VX_CHALLENGE, VX_REJECT, VX_ESCALATE, VX_NO_AUDIO};
    vx_attempt_record r = {.ended_ms = 1700000000000 + number,
                           .speaker = "ada",
                           .verdict = verdicts[number % 5],
                           .has_probability = true,
                           .probability = (double)(number % 100) / 100};
    (void)snprintf(r.detail, sizeof r.detail, "{\"number\":%lld}", number);
    return r;
}

static vx_err write_attempt(vx_store *store, long long number)
{
    const vx_attempt_record r = record_of(number);
    int64_t id;
    say("will", "begin", number);
    vx_err err = vx_attempt_begin(store, "verify", "ada", number, &id, NULL);
    if (err != VX_OK)
        return err;
    say("saved", "begin", number);
    say("will", "end", number);
    err = vx_attempt_end(store, id, &r, NULL);
    if (err == VX_OK)
        say("saved", "end", number);
    return err;
}

static vx_err write_value(vx_store *store, long long number)
{
    say("will", "value", number);
    vx_err err = vx_store_put(store, "calibration/of the writer", &number, sizeof number, NULL);
    if (err == VX_OK)
        say("saved", "value", number);
    return err;
}

/* The speaker's one recording follows from the number. */
static vx_err write_enrolment(vx_store *store, long long number)
{
    char name[NAME_CAP];
    vx_enrolled enrolled;
    const vx_new_sample s = fixture_sample((uint64_t)number, 1, 0.5, "");
    (void)snprintf(name, sizeof name, "speaker %lld", number % SPEAKERS);
    say("will", "enrol", number);
    vx_err err = vx_store_enrol(store, name, &s, 1, true, &enrolled, NULL);
    if (err == VX_OK)
        say("saved", "enrol", number);
    return err;
}

static int write_until_killed(const char *folder, long long number)
{
    static vx_err (*const writes[KINDS])(vx_store *, long long) = {write_attempt, write_value, write_enrolment};
    vx_store *store = NULL;
    if (store_try(folder, NULL, &store, NULL) != VX_OK)
        return 4;
    for (;; number++)
        if (writes[number % KINDS](store, number) != VX_OK)
            return 5;
}

/* ---- what is known of the store ----------------------------------------------------------------------------------- */

/* Of attempts: by number, which is when they began. Of the others the last: saved, and the one set out for after it. */
typedef struct {
    char folder[STORE_FIXTURE_CAP], *self;
    long long next;      /* number of the next write */
    vx_buf begun, ended; /* a byte a number: 's'aved, 'w'ill or 0 */
    long long value, value_will;
    long long enrolled[SPEAKERS], enrol_will[SPEAKERS];
    size_t n_enrolled, n_ended; /* that the audit log must tell of */
    size_t n_saved, n_ahead;
} known;

static void mark(vx_buf *marks, long long number, char what)
{
    while (marks->len <= (size_t)number)
        assert_int_equal(vx_buf_append(marks, "", 1), VX_OK);
    marks->data[number] = (uint8_t)what;
}

static char mark_at(const vx_buf *marks, long long number)
{
    return number >= 0 && (size_t)number < marks->len ? (char)marks->data[number] : '\0';
}

static void take_line(known *k, const char *line)
{
    char what[8], kind[8];
    long long number;
    if (sscanf(line, "%7s %7s %lld", what, kind, &number) != 3)
        fail_msg("the writer says '%s'", line);
    const bool saved = strcmp(what, "saved") == 0;
    k->n_saved += saved;
    if (number >= k->next)
        k->next = number + 1;
    if (strcmp(kind, "begin") == 0)
        mark(&k->begun, number, saved ? 's' : 'w');
    else if (strcmp(kind, "end") == 0)
        mark(&k->ended, number, saved ? 's' : 'w');
    else if (strcmp(kind, "value") == 0)
        *(saved ? &k->value : &k->value_will) = number;
    else {
        (saved ? k->enrolled : k->enrol_will)[number % SPEAKERS] = number;
        k->n_enrolled += saved;
    }
}

/* ---- what the store must be --------------------------------------------------------------------------------------- */

static vx_err check_attempt(void *arg, const vx_attempt_record *r)
{
    known *k = arg;
    const long long number = r->begun_ms;
    const vx_attempt_record want = record_of(number);
    if (!mark_at(&k->begun, number))
        fail_msg("attempt %lld was invented", number);
    k->n_ahead += mark_at(&k->begun, number) == 'w';
    mark(&k->begun, number, 'f');
    if (r->ended_ms == 0)
        return VX_OK;
    if (!mark_at(&k->ended, number))
        fail_msg("the end of attempt %lld was invented", number);
    k->n_ahead += mark_at(&k->ended, number) == 'w';
    mark(&k->ended, number, 'f');
    k->n_ended++;
    assert_int_equal(r->ended_ms, want.ended_ms);
    assert_int_equal(r->verdict, want.verdict);
    assert_true(r->probability == want.probability);
    assert_string_equal(r->detail, want.detail);
    assert_string_equal(r->speaker, "ada");
    return VX_OK;
}

/* Every attempt that was saved has been found. What is found stays: it counts as saved in the rounds that follow. */
static void settle_marks(vx_buf *marks, const char *what)
{
    for (size_t i = 0; i < marks->len; i++) {
        if (marks->data[i] == 's')
            fail_msg("the %s of attempt %zu was reported as saved and is lost", what, i);
        marks->data[i] = marks->data[i] == 'f' ? 's' : 0;
    }
}

static void check_value(known *k, vx_store *store)
{
    vx_buf value = {0};
    long long number = 0;
    vx_err err = vx_store_get(store, "calibration/of the writer", &value, NULL);
    if (err == VX_OK && value.len == sizeof number)
        memcpy(&number, value.data, sizeof number);
    if (number != k->value && (number == 0 || number != k->value_will))
        fail_msg("the value is %lld, saved was %lld", number, k->value);
    k->n_ahead += number != k->value;
    k->value = number;
    vx_buf_wipe_done(&value);
}

/* The recording of a speaker is all of the one enrolment or all of the other. */
static bool holds(vx_store *store, const vx_speaker *speaker, long long number)
{
    const vx_new_sample want = fixture_sample((uint64_t)number, 1, 0.5, "");
    vx_exemplar *list = NULL;
    float *pcm = NULL;
    size_t n = 0, n_pcm = 0;
    assert_int_equal(vx_store_exemplars(store, speaker->id, &want.embedding->model, &list, &n, NULL), VX_OK);
    assert_int_equal(n, 1);
    assert_int_equal(vx_store_sample_audio(store, list[0].sample, &pcm, &n_pcm, NULL), VX_OK);
    const bool audio = n_pcm == want.n && memcmp(pcm, want.samples, n_pcm * sizeof *pcm) == 0;
    const bool vector = memcmp(&list[0].embedding, want.embedding, sizeof *want.embedding) == 0;
    assert_int_equal(audio, vector);
    free(list);
    free(pcm);
    return audio;
}

static void check_speaker(known *k, vx_store *store, int i)
{
    char name[NAME_CAP];
    vx_speaker speaker;
    (void)snprintf(name, sizeof name, "speaker %d", i);
    vx_err err = vx_store_speaker(store, name, &speaker, NULL);
    if (err == VX_ERR_NOT_ENROLLED && k->enrolled[i] == 0)
        return;
    if (err != VX_OK)
        fail_msg("%s was enrolled and is lost", name);
    assert_int_equal(speaker.n_samples, 1);
    if (k->enrolled[i] != 0 && holds(store, &speaker, k->enrolled[i]))
        return;
    if (k->enrol_will[i] == 0 || !holds(store, &speaker, k->enrol_will[i]))
        fail_msg("%s is not as enrolled last, in write %lld", name, k->enrolled[i]);
    k->enrolled[i] = k->enrol_will[i];
    k->n_enrolled++;
    k->n_ahead++;
}

typedef struct {
    size_t n_enrolled, n_ended;
} told;

static vx_err count_entry(void *arg, const vx_audit_entry *e)
{
    told *t = arg;
    t->n_enrolled += strcmp(e->kind, "enrolled") == 0;
    t->n_ended += strcmp(e->kind, "attempt") == 0 || strcmp(e->kind, "alert") == 0;
    return VX_OK;
}

/* Each entry was written with what it tells of, or not at all. */
static void check_audit(const known *k, vx_store *store)
{
    told t = {0};
    assert_int_equal(vx_audit_walk(store, 0, count_entry, &t, NULL), VX_OK);
    assert_int_equal(t.n_enrolled, k->n_enrolled);
    assert_int_equal(t.n_ended, k->n_ended);
}

static void check_store(known *k)
{
    vx_store *store = store_start(k->folder);
    vx_speaker *speakers = NULL;
    size_t n = 0, n_ahead = k->n_ahead;
    store_assert_whole(store);
    k->n_ended = 0;
    assert_int_equal(vx_attempt_walk(store, NULL, 0, check_attempt, k, NULL), VX_OK);
    settle_marks(&k->begun, "begin");
    settle_marks(&k->ended, "end");
    check_value(k, store);
    for (int i = 0; i < SPEAKERS; i++)
        check_speaker(k, store, i);
    check_audit(k, store);
    assert_int_equal(vx_store_speakers(store, &speakers, &n, NULL), VX_OK);
    assert_true(n <= SPEAKERS);
    free(speakers);
    assert_true(k->n_ahead - n_ahead <= 1); /* one writer: one write under way */
    vx_store_close(store);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------- */

static void wait_us(uint64_t us)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)us * 1000};
    (void)nanosleep(&pause, NULL);
}

/* Kills at a moment that is not tied to what the writer says: after so many lines, and a random while. */
static void run_round(known *k, uint64_t *random)
{
    char number[32];
    const char *line;
    child writer = {.pid = 0};
    (void)snprintf(number, sizeof number, "%lld", k->next);
    char *argv[] = {k->self, "--write", k->folder, number, NULL};
    if (!child_start(argv, CHILD_STDOUT, &writer))
        fail_msg("cannot start %s", k->self);
    for (uint64_t lines = stats_random(random) % 12; lines > 0; lines--) {
        if (!child_hear(&writer, PATIENCE_MS, &line))
            fail_msg("the writer fell silent");
        take_line(k, line);
    }
    wait_us(stats_random(random) % DELAY_MAX_US);
    (void)kill(writer.pid, SIGKILL);
    while (child_hear(&writer, PATIENCE_MS, &line))
        take_line(k, line);
    assert_int_equal(child_end(&writer, PATIENCE_MS), 128 + SIGKILL);
    check_store(k);
}

static void a_killed_writer_loses_nothing_that_it_reported(void **state)
{
    known *k = *state;
    uint64_t random = vx_now_ns(), first = random;
    (void)printf("# seed %llu\n", (unsigned long long)first);
    for (int round = 0; round < ROUNDS; round++)
        run_round(k, &random);
    (void)printf("# %d rounds: %zu writes reported, %zu saved without having been reported\n", ROUNDS, k->n_saved,
                 k->n_ahead);
    assert_true(k->n_saved > ROUNDS);
}

int main(int argc, char **argv)
{
    static known k = {.next = 1};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_killed_writer_loses_nothing_that_it_reported, &k),
    };
    if (argc == 4 && strcmp(argv[1], "--write") == 0)
        return write_until_killed(argv[2], strtoll(argv[3], NULL, 10));
    k.self = argv[0];
    store_folder_make(k.folder);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    store_folder_clear(k.folder, true);
    vx_buf_done(&k.begun);
    vx_buf_done(&k.ended);
    return failed;
}
