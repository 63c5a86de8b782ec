/* test_log_rotation.c - the agent's log: its bounds, its modes, and that no line is lost while it is put away. */
#include "edge/agent/log_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/scratch.h"

enum { CAP = 1000, LINES = 5000, WRITERS = 2 };

typedef struct {
    scratch place;
    char path[128];
    vx_log_file *file;
} fixture;

static void begin(fixture *f, size_t max_bytes)
{
    *f = (fixture){.place = scratch_make()};
    scratch_path(&f->place, "agent.log", f->path, sizeof f->path);
    assert_int_equal(vx_log_file_open(f->path, max_bytes, &f->file, NULL), VX_OK);
}

static void end(fixture *f)
{
    vx_log_file_close(f->file);
    scratch_done(&f->place);
}

static void put(const fixture *f, const char *text)
{
    const size_t n = strlen(text);
    assert_int_equal(write(vx_log_file_fd(f->file), text, n), n);
}

static void three_are_kept_and_the_fourth_goes(void **state)
{
    (void)state;
    fixture f;
    char line[32], name[32];
    begin(&f, 10);
    const int fd = vx_log_file_fd(f.file);
    for (int i = 1; i <= 6; i++) {
        snprintf(line, sizeof line, "generation %d\n", i);
        put(&f, line);
        assert_int_equal(vx_log_file_tend(f.file, NULL), VX_OK);
        assert_int_equal(vx_log_file_fd(f.file), fd);
    }
    assert_true(scratch_has(&f.place, "agent.log"));
    for (int i = 1; i <= VX_LOG_FILES_KEPT; i++) {
        snprintf(name, sizeof name, "agent.log.%d", i);
        snprintf(line, sizeof line, "generation %d\n", 7 - i);
        vx_buf text = scratch_read(&f.place, name);
        assert_int_equal(text.len, strlen(line));
        assert_memory_equal(text.data, line, text.len);
        assert_int_equal(scratch_mode(&f.place, name) & 0777, 0600);
        vx_buf_done(&text);
    }
    assert_false(scratch_has(&f.place, "agent.log.4"));
    assert_int_equal(scratch_mode(&f.place, "agent.log") & 0777, 0600);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    end(&f);
}

static void below_the_size_nothing_happens(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 10);
    put(&f, "123456789");
    assert_int_equal(vx_log_file_tend(f.file, NULL), VX_OK);
    assert_false(scratch_has(&f.place, "agent.log.1"));
    put(&f, "0");
    assert_int_equal(vx_log_file_tend(f.file, NULL), VX_OK);
    assert_true(scratch_has(&f.place, "agent.log.1"));
    end(&f);
}

static void a_log_is_gone_on_with_after_a_restart(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 0);
    put(&f, "one\n");
    vx_log_file_close(f.file);
    assert_int_equal(vx_log_file_open(f.path, 0, &f.file, NULL), VX_OK);
    put(&f, "two\n");
    assert_true(scratch_holds(&f.place, "agent.log", "one\ntwo\n", 8));
    end(&f);
}

static void a_file_that_somebody_took_away_is_made_anew(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 0);
    put(&f, "one\n");
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(vx_log_file_tend(f.file, NULL), VX_OK);
    put(&f, "two\n");
    assert_true(scratch_holds(&f.place, "agent.log", "two\n", 4));
    assert_false(scratch_holds(&f.place, "agent.log", "one", 3));
    end(&f);
}

static void a_file_that_others_can_reach_is_refused(void **state)
{
    (void)state;
    fixture f;
    vx_log_file *second = NULL;
    begin(&f, 0);
    assert_int_equal(chmod(f.path, 0640), 0);
    assert_int_equal(vx_log_file_open(f.path, 0, &second, NULL), VX_ERR_PERMISSION);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(symlink("/etc/passwd", f.path), 0);
    assert_int_equal(vx_log_file_open(f.path, 0, &second, NULL), VX_ERR_PERMISSION);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    assert_int_not_equal(vx_log_file_open(f.path, 0, &second, NULL), VX_OK);
    assert_null(second);
    end(&f);
}

/* A link in the log's place: the lines go on to where they went, and nothing is written through the link. */
static void a_failure_leaves_the_open_file(void **state)
{
    (void)state;
    fixture f;
    char target[128];
    begin(&f, 0);
    scratch_write(&f.place, "victim", "x", 1);
    scratch_path(&f.place, "victim", target, sizeof target);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(symlink(target, f.path), 0);
    assert_int_equal(vx_log_file_tend(f.file, NULL), VX_ERR_PERMISSION);
    put(&f, "line\n");
    assert_false(scratch_holds(&f.place, "victim", "line", 4));
    end(&f);
}

/* ---- writers at the same time ----------------------------------------------------------------------------------- */

typedef struct {
    int fd, number;
    atomic_int *n_ended, *n_moved;
} writer;

static void *write_lines(void *arg)
{
    const writer *w = arg;
    char line[32];
    for (int i = 0; i < LINES; i++) {
        const int n = snprintf(line, sizeof line, "%d %06d\n", w->number, i);
        if (write(w->fd, line, (size_t)n) != n)
            break;
        /* However the threads are scheduled, the file is put away at least twice while they write. */
        while (i % (LINES / 3) == LINES / 3 - 1 && atomic_load(w->n_moved) < i / (LINES / 3))
            sched_yield();
    }
    atomic_fetch_add(w->n_ended, 1);
    return NULL;
}

/* Kept files are taken away as they appear, so that every line can be counted. */
static size_t collect(const fixture *f, const char *name, bool seen[WRITERS][LINES])
{
    vx_buf text = scratch_read(&f->place, name);
    size_t n = 0;
    for (size_t at = 0; at < text.len; at += 9, n++) {
        int who = -1, number = -1;
        char line[10] = "";
        assert_true(text.len - at >= 9);
        memcpy(line, text.data + at, 9);
        assert_int_equal(sscanf(line, "%d %6d", &who, &number), 2);
        assert_true(who >= 0 && who < WRITERS && number >= 0 && number < LINES && line[8] == '\n');
        assert_false(seen[who][number]);
        seen[who][number] = true;
    }
    vx_buf_done(&text);
    return n;
}

static void no_line_is_lost_or_torn(void **state)
{
    (void)state;
    static bool seen[WRITERS][LINES];
    fixture f;
    atomic_int n_ended = 0;
    pthread_t threads[WRITERS];
    writer writers[WRITERS];
    char kept[128], moved[128], name[32];
    size_t total = 0;
    atomic_int n_moved = 0;
    begin(&f, CAP);
    scratch_path(&f.place, "agent.log.1", kept, sizeof kept);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.fd = vx_log_file_fd(f.file), .number = i, .n_ended = &n_ended, .n_moved = &n_moved};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
    }
    while (atomic_load(&n_ended) < WRITERS) {
        assert_int_equal(vx_log_file_tend(f.file, NULL), VX_OK);
        snprintf(name, sizeof name, "moved.%d", atomic_load(&n_moved));
        scratch_path(&f.place, name, moved, sizeof moved);
        if (rename(kept, moved) == 0)
            atomic_fetch_add(&n_moved, 1);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < atomic_load(&n_moved); i++) {
        snprintf(name, sizeof name, "moved.%d", i);
        total += collect(&f, name, seen);
    }
    total += collect(&f, "agent.log", seen);
    assert_int_equal(total, WRITERS * LINES);
    assert_true(atomic_load(&n_moved) >= 2);
    end(&f);
}

static vx_err open_and_close(void *ctx)
{
    const fixture *f = ctx;
    vx_log_file *file = NULL;
    const vx_err err = vx_log_file_open(f->path, 0, &file, NULL);
    vx_log_file_close(file);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fixture f;
    begin(&f, 0);
    vx_alloc_fail_each(open_and_close, &f);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_are_kept_and_the_fourth_goes),
        cmocka_unit_test(below_the_size_nothing_happens),
        cmocka_unit_test(a_log_is_gone_on_with_after_a_restart),
        cmocka_unit_test(a_file_that_somebody_took_away_is_made_anew),
        cmocka_unit_test(a_file_that_others_can_reach_is_refused),
        cmocka_unit_test(a_failure_leaves_the_open_file),
        cmocka_unit_test(no_line_is_lost_or_torn),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
