/* test_file.c - mapping and reading whole files, with everything a path can turn out to be. */
#include "shared/base/file.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A folder of this run; every file in it is named in clean_up. */
static char folder[] = "/tmp/vx_test_file_XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 256);
}

static void put_file(const char *name, size_t n_bytes)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    for (size_t i = 0; i < n_bytes; i++)
        assert_true(fputc(pattern(i), file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void assert_pattern(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(data[i], pattern(i));
}

/* The lowest free descriptor: moves up when one leaks. */
static int next_fd(void)
{
    int fd = dup(STDOUT_FILENO);
    close(fd);
    return fd;
}

static int make_files(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    put_file("empty", 0);
    put_file("one", 1);
    put_file("page", 4096);
    put_file("large", 200000);
    put_file("closed", 10);
    return chmod(path_of("closed"), 0) != 0 || mkfifo(path_of("fifo"), 0600) != 0 ||
           symlink("page", path_of("link")) != 0 || symlink("loop", path_of("loop")) != 0;
}

static int clean_up(void **state)
{
    (void)state;
    static const char *const names[] = {"empty", "one", "page", "large", "closed", "fifo", "link", "loop"};
    for (size_t i = 0; i < COUNT(names); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

/* What a path can be, its size where it can be read, and what each way of opening says. */
static const struct {
    const char *name;
    size_t size;
    vx_err map_err, read_err;
} cases[] = {
    {"one", 1, VX_OK, VX_OK},
    {"page", 4096, VX_OK, VX_OK},
    {"large", 200000, VX_OK, VX_OK},
    {"link", 4096, VX_OK, VX_OK},
    {"empty", 0, VX_ERR_IO, VX_OK},
    {".", 0, VX_ERR_IO, VX_ERR_IO},
    {"loop", 0, VX_ERR_PERMISSION, VX_ERR_PERMISSION},
    {"absent", 0, VX_ERR_NOT_FOUND, VX_ERR_NOT_FOUND},
    {"one/inside", 0, VX_ERR_NOT_FOUND, VX_ERR_NOT_FOUND},
};

static void maps_regular_files_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint8_t mark = 0;
        vx_map map = {.data = &mark, .len = 77};
        vx_errinfo info = {0};
        int fd = next_fd();
        assert_int_equal(vx_map_open(path_of(cases[i].name), &map, &info), cases[i].map_err);
        assert_int_equal(next_fd(), fd);
        assert_int_equal(info.code, cases[i].map_err);
        if (cases[i].map_err == VX_OK) {
            assert_int_equal(map.len, cases[i].size);
            assert_pattern(map.data, map.len);
            vx_map_close(&map);
            assert_null(map.data);
            vx_map_close(&map);
        } else {
            assert_ptr_equal(map.data, &mark);
            assert_int_equal(map.len, 77);
            assert_string_equal(info.path, path_of(cases[i].name));
            assert_true(info.text[0] != '\0' && !strstr(info.text, info.path)); /* a line names it once */
        }
    }
    vx_map_close(NULL);
}

/* Opening a FIFO that nobody writes must be refused, not waited for; a device has no content to map. */
static void special_files_do_not_hang(void **state)
{
    (void)state;
    vx_map map = {0};
    assert_int_equal(vx_map_open(path_of("fifo"), &map, NULL), VX_ERR_IO);
    assert_int_equal(vx_map_open("/dev/zero", &map, NULL), VX_ERR_IO);
    assert_null(map.data);
}

static void access_is_denied_as_such(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* root may read everything */
    vx_map map = {0};
    vx_buf buf = {0};
    vx_errinfo info = {0};
    assert_int_equal(vx_map_open(path_of("closed"), &map, &info), VX_ERR_PERMISSION);
    assert_int_equal(vx_file_read(path_of("closed"), 100, &buf, NULL), VX_ERR_PERMISSION);
    assert_int_equal(info.code, VX_ERR_PERMISSION);
}

static void reads_whole_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_buf buf = {0};
        vx_errinfo info = {0};
        int fd = next_fd();
        assert_int_equal(vx_buf_append(&buf, "abc", 3), VX_OK);
        assert_int_equal(vx_file_read(path_of(cases[i].name), 1 << 20, &buf, &info), cases[i].read_err);
        assert_int_equal(next_fd(), fd);
        assert_int_equal(info.code, cases[i].read_err);
        assert_int_equal(buf.len, 3 + cases[i].size);
        assert_memory_equal(buf.data, "abc", 3);
        assert_pattern(buf.data + 3, cases[i].size);
        vx_buf_done(&buf);
    }
}

static void bound_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t max_bytes, limit;
        vx_err err;
        size_t size;
    } bounds[] = {
        {"page", 4096, 0, VX_OK, 4096},
        {"page", 4095, 0, VX_ERR_RANGE, 0},
        {"page", 0, 0, VX_ERR_RANGE, 0},
        {"page", SIZE_MAX, 0, VX_OK, 4096},
        {"page", 9999, 4096, VX_OK, 4096},
        {"page", 9999, 4095, VX_ERR_RANGE, 0},
        {"empty", 0, 0, VX_OK, 0},
        {"large", 200000, 0, VX_OK, 200000},
        {"large", 199999, 0, VX_ERR_RANGE, 0},
        {"large", SIZE_MAX, 1, VX_ERR_RANGE, 0},
    };
    for (size_t i = 0; i < COUNT(bounds); i++) {
        vx_buf buf = {.limit = bounds[i].limit};
        vx_errinfo info = {0};
        assert_int_equal(vx_file_read(path_of(bounds[i].name), bounds[i].max_bytes, &buf, &info), bounds[i].err);
        assert_int_equal(buf.len, bounds[i].size);
        assert_int_equal(info.code, bounds[i].err);
        vx_buf_done(&buf);
    }
}

/* A refused file leaves nothing of its content in the buffer's spare room. */
static void refused_content_is_wiped(void **state)
{
    (void)state;
    vx_buf buf = {0};
    assert_int_equal(vx_buf_append(&buf, "abc", 3), VX_OK);
    assert_int_equal(vx_file_read(path_of("page"), 1000, &buf, NULL), VX_ERR_RANGE);
    assert_true(buf.cap >= 1003);
    assert_memory_equal(buf.data, "abc", 3);
    for (size_t i = 3; i < buf.cap; i++)
        assert_int_equal(buf.data[i], 0);
    vx_buf_done(&buf);
}

/* Standard input is a pipe: no size to go by, and it stays open. */
static void reads_standard_input(void **state)
{
    (void)state;
    int pipe_fds[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], "from a pipe", 11), 11);
    close(pipe_fds[1]);
    assert_int_equal(dup2(pipe_fds[0], STDIN_FILENO), STDIN_FILENO);
    close(pipe_fds[0]);

    vx_buf buf = {0};
    vx_err exact = vx_file_read("-", 11, &buf, NULL);
    bool open_still = fcntl(STDIN_FILENO, F_GETFD) != -1;
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_int_equal(exact, VX_OK);
    assert_true(open_still);
    assert_int_equal(buf.len, 11);
    assert_memory_equal(buf.data, "from a pipe", 11);
    vx_buf_done(&buf);
}

/* Files that say 0 bytes and hold some. */
static void size_zero_is_not_believed(void **state)
{
    (void)state;
    if (access("/proc/self/stat", R_OK) != 0)
        skip();
    vx_buf buf = {0};
    assert_int_equal(vx_file_read("/proc/self/stat", 100000, &buf, NULL), VX_OK);
    assert_true(buf.len > 50);
    assert_int_equal(buf.data[buf.len - 1], '\n');
    vx_buf_done(&buf);
}

static vx_err read_large(void *ctx)
{
    (void)ctx;
    vx_buf buf = {0};
    vx_errinfo info = {0};
    int fd = next_fd();
    vx_err err = vx_file_read(path_of("large"), 1 << 20, &buf, &info);
    assert_int_equal(next_fd(), fd);
    assert_int_equal(info.code, err);
    vx_buf_wipe_done(&buf);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(read_large, NULL);
}

static void paths_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *name, *want;
    } joins[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"},        {"/", "b", "/b"},
        {"", "b", "b"},    {"a/b", "c.d", "a/b/c.d"}, {".", "", "./"},
    };
    for (size_t i = 0; i < COUNT(joins); i++) {
        size_t need = strlen(joins[i].want) + 1;
        for (size_t cap = 0; cap <= need + 1; cap++) {
            char path[32] = "untouched";
            vx_err err = vx_path_join(joins[i].folder, joins[i].name, path, cap);
            assert_int_equal(err, cap < need ? VX_ERR_RANGE : VX_OK);
            assert_string_equal(path, cap < need ? "untouched" : joins[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_regular_files_only),
        cmocka_unit_test(special_files_do_not_hang),
        cmocka_unit_test(access_is_denied_as_such),
        cmocka_unit_test(reads_whole_files),
        cmocka_unit_test(bound_is_exact),
        cmocka_unit_test(refused_content_is_wiped),
        cmocka_unit_test(reads_standard_input),
        cmocka_unit_test(size_zero_is_not_believed),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(paths_are_joined),
    };
    return cmocka_run_group_tests(tests, make_files, clean_up);
}
