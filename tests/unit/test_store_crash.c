/* test_store_crash.c - power cuts, full disks and failing writes at every single call that changes a file.
 * What must hold: what a function reported as saved is there; what it did not is there whole or not at all; the audit
 * chain and SQLite's own check pass; the store goes on working once the disk does.
 *
 * Each scenario is a list of steps over a store that holds something already. A clean run takes a picture of the store
 * before and after each step; a struck run must end in one of these pictures, and says by how many steps were reported
 * in which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "edge/store/binding.h"
#include "edge/store/utterances.h"
#include "shared/base/file.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/service.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* Sanitizers look at the code, which is the same at every call; that every call is survived, the release build shows. */
enum { STEPS_MAX = 4, FILE_MAX = 8 << 20, SEED = 20260131, STRIDE = SANITIZED ? 5 : 1 };

/* ---- scenarios ---------------------------------------------------------------------------------------------------- */

typedef vx_err step(vx_store *store);

static vx_err enrol_new(vx_store *store)
{
    const vx_new_sample s[] = {fixture_sample(11, 1, 0.7, "Headset"), fixture_sample(12, 1, 0.6, "")};
    vx_enrolled enrolled;
    return vx_store_enrol(store, "bob", s, COUNT(s), false, &enrolled, NULL);
}

static vx_err enrol_again(vx_store *store)
{
    const vx_new_sample s = fixture_sample(13, 1, 0.9, "Headset");
    vx_enrolled enrolled;
    return vx_store_enrol(store, "ada", &s, 1, true, &enrolled, NULL);
}

static vx_err begin_attempt(vx_store *store)
{
    int64_t id;
    return vx_attempt_begin(store, "verify", "ada", 1700000000000, &id, NULL);
}

/* The seed holds attempt 1, so the one begun here is 2. */
static vx_err end_attempt(vx_store *store)
{
    const vx_attempt_record r = {.ended_ms = 1700000000900,
                                 .speaker = "ada",
                                 .verdict = VX_REJECT,
                                 .has_probability = true,
                                 .probability = 0.125,
                                 .detail = "{\"why\":\"not the voice\"}"};
    return vx_attempt_end(store, 2, &r, NULL);
}

static vx_err remember(vx_store *store)
{
    return vx_store_remember(store, 1, VX_UTTERANCE_OWN, 1700000000000, "landmarks", 9, NULL);
}

/* Of those before only the last stays. */
static vx_err remember_one(vx_store *store)
{
    return vx_store_remember_most(store, 1, VX_UTTERANCE_OWN, 1700000001000, "others", 6, 1, NULL);
}

static vx_err put_value(vx_store *store)
{
    return vx_store_put(store, "prior/1", "other", 5, NULL);
}

static vx_err arm(vx_store *store)
{
    return vx_store_arm(store, "ada", true, false, NULL);
}

static vx_err remove_ada(vx_store *store)
{
    return vx_store_remove(store, "ada", NULL);
}

static vx_err migrate_model(vx_store *store)
{
    const int64_t samples[] = {1, 2};
    const vx_embedding anew[] = {fixture_embedding(21, 2, FIXTURE_DIM), fixture_embedding(22, 2, FIXTURE_DIM)};
    return vx_store_put_embeddings(store, 1, samples, anew, COUNT(samples), NULL);
}

typedef struct {
    const char *name;
    step *steps[STEPS_MAX];
    int checkpoint; /* pages in the log after which SQLite brings them to the file; 0: SQLite's own 1000 */
} scenario;

static const scenario scenarios[] = {
    {"an enrolment", {enrol_new}, 0},
    {"an attempt", {begin_attempt, end_attempt}, 0},
    {"an attempt with checkpoints", {begin_attempt, end_attempt, put_value}, 1},
    {"an enrolment in place of another, with checkpoints", {enrol_again, arm}, 4},
    {"what was heard", {remember, remember_one, put_value}, 2},
    {"a model's migration", {migrate_model, put_value}, 2},
    {"a removal", {remove_ada}, 0},
};

/* ---- runs --------------------------------------------------------------------------------------------------------- */

typedef struct {
    char folder[STORE_FIXTURE_CAP];
    vx_buf database, key;          /* of the store that every run starts with */
    char *pictures[STEPS_MAX + 1]; /* after so many steps */
    size_t n_steps, n_calls;
    size_t runs, ahead; /* ahead: saved, though not reported */
} crash;

static crash c;

static void put_file(const char *name, const vx_buf *content)
{
    const char *path = store_folder_path(c.folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(content->data, 1, content->len, file) != content->len || fclose(file) != 0 ||
        chmod(path, 0600) != 0)
        fail_msg("cannot write %s", path);
}

/* The store as it was before the first step. */
static void rewind_store(void)
{
    store_folder_clear(c.folder, false);
    put_file(VX_STORE_FILE, &c.database);
    put_file(VX_KEY_FILE, &c.key);
}

static vx_err open_on_fault(vx_store **ret_store, const scenario *s)
{
    vx_err err = store_try(c.folder, fault_vfs(), ret_store, NULL);
    if (err == VX_OK && s->checkpoint > 0)
        sqlite3_wal_autocheckpoint((*ret_store)->db, s->checkpoint);
    return err;
}

/* Runs the steps from `done` on; how many are reported done in the end. */
static size_t run_steps(vx_store *store, const scenario *s, size_t done)
{
    while (done < c.n_steps && s->steps[done](store) == VX_OK)
        done++;
    return done;
}

static char *picture_of(vx_store *store)
{
    vx_errinfo info = {0};
    char *picture = store_picture(store, &info);
    if (!picture)
        fail_msg("the store cannot be read: %s", info.text);
    return picture;
}

/* Which picture the store shows; fails the test when it is none of them. */
static size_t find_picture(vx_store *store, const scenario *s, const char *when)
{
    char *now = picture_of(store);
    size_t at = 0;
    while (at <= c.n_steps && strcmp(now, c.pictures[at]) != 0)
        at++;
    if (at > c.n_steps)
        fail_msg("%s, %s: the store holds what nobody saved:\n%s\nbefore:\n%s", s->name, when, now, c.pictures[0]);
    free(now);
    return at;
}

/* A clean run: its pictures, and how many calls there are to strike, those of opening and closing included. */
static void run_clean(const scenario *s)
{
    vx_store *store = NULL;
    c.n_steps = 0;
    while (c.n_steps < STEPS_MAX && s->steps[c.n_steps])
        c.n_steps++;
    rewind_store();
    fault_vfs_arm(FAULT_NONE, 0);
    assert_int_equal(open_on_fault(&store, s), VX_OK);
    c.pictures[0] = picture_of(store);
    for (size_t i = 0; i < c.n_steps; i++) {
        assert_int_equal(s->steps[i](store), VX_OK);
        c.pictures[i + 1] = picture_of(store);
        assert_string_not_equal(c.pictures[i], c.pictures[i + 1]);
    }
    vx_store_close(store);
    c.n_calls = fault_vfs_count();
    fault_vfs_forget();
    c.runs = c.ahead = 0;
    assert_true(c.n_calls > 10);
}

static void end_clean(const scenario *s, const char *what)
{
    (void)printf("# %s, %s: %zu calls, %zu runs, %zu saved without having been reported\n", s->name, what, c.n_calls,
                 c.runs, c.ahead);
    for (size_t i = 0; i <= c.n_steps; i++)
        free(c.pictures[i]);
}

/* On the mended disk. Not by the system's VFS: its syncs would make minutes of these thousands of runs. */
static vx_store *start_again(void)
{
    vx_store *store = NULL;
    vx_errinfo info = {0};
    if (store_try(c.folder, fault_vfs(), &store, &info) != VX_OK)
        fail_msg("the store does not open: %s", info.text);
    return store;
}

static void close_again(vx_store *store)
{
    vx_store_close(store);
    fault_vfs_forget();
}

/* After the computer is on again: everything reported is there, at most the step under way besides, and it works. */
static void expect_whole(const scenario *s, size_t done, size_t most, const char *when)
{
    vx_store *store = start_again();
    store_assert_whole(store);
    const size_t found = find_picture(store, s, when);
    if (found < done || found > most)
        fail_msg("%s, %s: %zu steps reported, %zu saved", s->name, when, done, found);
    c.runs++;
    c.ahead += found > done;
    assert_int_equal(run_steps(store, s, found), c.n_steps);
    assert_int_equal(find_picture(store, s, when), c.n_steps);
    store_assert_whole(store);
    close_again(store);
}

static size_t next_of(size_t done)
{
    return done < c.n_steps ? done + 1 : done;
}

static void cut_power_at(const scenario *s, size_t k, fault_rest rest, uint64_t seed)
{
    char when[64];
    vx_store *store = NULL;
    size_t done = 0;
    (void)snprintf(when, sizeof when, "power cut at call %zu, rest %d, seed %llu", k, (int)rest,
                   (unsigned long long)seed);
    rewind_store();
    fault_vfs_arm(FAULT_POWER, k);
    if (open_on_fault(&store, s) == VX_OK)
        done = run_steps(store, s, 0);
    vx_store_close(store);
    assert_true(fault_vfs_struck());
    fault_vfs_settle(rest, seed);
    expect_whole(s, done, next_of(done), when);
}

static void power_cuts_lose_nothing_that_was_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        run_clean(&scenarios[i]);
        for (size_t k = 1; k <= c.n_calls; k += STRIDE) {
            cut_power_at(&scenarios[i], k, FAULT_DROP, 0);
            cut_power_at(&scenarios[i], k, FAULT_KEEP, 0);
            cut_power_at(&scenarios[i], k, FAULT_MIX, SEED + k);
            cut_power_at(&scenarios[i], k, FAULT_MIX, SEED + 1000 + k);
        }
        end_clean(&scenarios[i], "power cuts");
    }
}

/* The disk fills up, half a write may reach it; then there is room again. The same process goes on, and so does the next. */
static void fill_disk_at(const scenario *s, fault_kind kind, size_t k)
{
    char when[64];
    vx_store *store = NULL;
    size_t done = 0;
    (void)snprintf(when, sizeof when, "fault %d at call %zu", (int)kind, k);
    rewind_store();
    fault_vfs_arm(kind, k);
    if (open_on_fault(&store, s) == VX_OK) {
        done = run_steps(store, s, 0);
        /* What was refused is not to be seen, though the disk is still full. */
        assert_int_equal(find_picture(store, s, when), done);
    }
    fault_vfs_arm(FAULT_NONE, 0);
    if (store) {
        assert_int_equal(find_picture(store, s, when), done);
        done = run_steps(store, s, done);
        assert_int_equal(done, c.n_steps);
        store_assert_whole(store);
    }
    vx_store_close(store);
    fault_vfs_forget();
    expect_whole(s, done, done, when);
}

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    static const fault_kind kinds[] = {FAULT_FULL, FAULT_TORN, FAULT_IOERR};
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        run_clean(&scenarios[i]);
        for (size_t k = 1; k <= c.n_calls; k += STRIDE)
            for (size_t j = 0; j < COUNT(kinds); j++)
                fill_disk_at(&scenarios[i], kinds[j], k);
        end_clean(&scenarios[i], "full disks and failing calls");
    }
}

/* A call fails, and before anything else is written the power goes. What was reported as failed may then be there: after a
 * failed sync nobody knows what the disk kept, and a log whose commit reached it counts. It is there whole, if so. */
static void fail_then_cut(const scenario *s, fault_kind kind, size_t k, fault_rest rest)
{
    char when[64];
    vx_store *store = NULL;
    size_t done = 0;
    (void)snprintf(when, sizeof when, "fault %d at call %zu, then a power cut", (int)kind, k);
    rewind_store();
    fault_vfs_arm(kind, k);
    if (open_on_fault(&store, s) == VX_OK)
        done = run_steps(store, s, 0);
    fault_vfs_arm(FAULT_POWER, 0);
    vx_store_close(store);
    fault_vfs_settle(rest, SEED + k);
    expect_whole(s, done, next_of(done), when);
}

static void a_failure_before_a_power_cut_is_whole_or_nothing(void **state)
{
    (void)state;
    static const fault_kind kinds[] = {FAULT_IOERR, FAULT_TORN};
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        run_clean(&scenarios[i]);
        for (size_t k = 1; k <= c.n_calls; k += STRIDE)
            for (size_t j = 0; j < COUNT(kinds); j++) {
                fail_then_cut(&scenarios[i], kinds[j], k, FAULT_DROP);
                fail_then_cut(&scenarios[i], kinds[j], k, FAULT_KEEP);
                fail_then_cut(&scenarios[i], kinds[j], k, FAULT_MIX);
            }
        end_clean(&scenarios[i], "failures, then power cuts");
    }
}

/* ---- the first opening -------------------------------------------------------------------------------------------- */

/* Cut off while it is made, a store is made at the next opening; it is never left with a key that does not open it. */
static void making_a_store_can_be_cut_off_anywhere(void **state)
{
    (void)state;
    static const fault_rest rests[] = {FAULT_DROP, FAULT_KEEP, FAULT_MIX};
    size_t n_calls = 1;
    for (size_t k = 0; k <= n_calls; k++)
        for (size_t i = 0; i < COUNT(rests); i++) {
            vx_store *store = NULL;
            store_folder_clear(c.folder, false);
            fault_vfs_arm(k > 0 ? FAULT_POWER : FAULT_NONE, k);
            vx_err err = store_try(c.folder, fault_vfs(), &store, NULL);
            vx_store_close(store);
            if (k == 0) {
                assert_int_equal(err, VX_OK);
                n_calls = fault_vfs_count();
                fault_vfs_forget();
                continue;
            }
            assert_true(fault_vfs_struck());
            fault_vfs_settle(rests[i], SEED + k);
            store = start_again();
            store_assert_whole(store);
            assert_int_equal(begin_attempt(store), VX_OK);
            close_again(store);
        }
    (void)printf("# making a store: %zu calls\n", n_calls);
}

/* ---- the instrument ----------------------------------------------------------------------------------------------- */

/* A disk that loses synced writes must be caught, or the tests above prove nothing: with syncs left out, reported steps
 * get lost. */
static void a_store_that_does_not_sync_is_caught(void **state)
{
    (void)state;
    const scenario *s = &scenarios[1];
    size_t lost = 0;
    run_clean(s);
    for (size_t k = 1; k <= c.n_calls; k += STRIDE) {
        vx_store *store = NULL;
        size_t done = 0;
        rewind_store();
        fault_vfs_arm(FAULT_POWER, k);
        if (open_on_fault(&store, s) == VX_OK) {
            (void)sqlite3_exec(store->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
            done = run_steps(store, s, 0);
        }
        vx_store_close(store);
        const bool struck = fault_vfs_struck(); /* without syncs there are fewer calls */
        fault_vfs_settle(FAULT_DROP, 0);
        store = start_again();
        char *now = picture_of(store);
        lost += struck && strcmp(now, c.pictures[done]) != 0;
        free(now);
        close_again(store);
    }
    end_clean(s, "without syncs");
    assert_true(lost > 0);
}

/* ---- the store that every run starts with ------------------------------------------------------------------------- */

static int make_seed(void **state)
{
    (void)state;
    const vx_new_sample s[] = {fixture_sample(1, 1, 0.8, "Built-in"), fixture_sample(2, 1, 0.5, "")};
    const vx_attempt_record r = {
        .ended_ms = 1600000000900, .speaker = "ada", .verdict = VX_AUTHENTICATE, .detail = "{}"};
    vx_enrolled enrolled;
    int64_t id;
    store_folder_make(c.folder);
    vx_store *store = store_start(c.folder);
    if (vx_store_enrol(store, "ada", s, COUNT(s), false, &enrolled, NULL) != VX_OK ||
        vx_attempt_begin(store, "verify", "ada", 1600000000000, &id, NULL) != VX_OK ||
        vx_attempt_end(store, id, &r, NULL) != VX_OK || vx_store_put(store, "prior/1", "value", 5, NULL) != VX_OK)
        return -1;
    vx_store_close(store);
    (void)printf("# seed %d\n", SEED);
    return vx_file_read(store_folder_path(c.folder, VX_STORE_FILE), FILE_MAX, &c.database, NULL) != VX_OK ||
           vx_file_read(store_folder_path(c.folder, VX_KEY_FILE), FILE_MAX, &c.key, NULL) != VX_OK;
}

static int drop_seed(void **state)
{
    (void)state;
    vx_buf_done(&c.database);
    vx_buf_wipe_done(&c.key);
    store_folder_clear(c.folder, true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_does_not_sync_is_caught),
        cmocka_unit_test(power_cuts_lose_nothing_that_was_reported),
        cmocka_unit_test(a_full_disk_loses_nothing),
        cmocka_unit_test(a_failure_before_a_power_cut_is_whole_or_nothing),
        cmocka_unit_test(making_a_store_can_be_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, make_seed, drop_seed);
}
