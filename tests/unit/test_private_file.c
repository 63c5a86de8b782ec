/* test_private_file.c - what is made for one user, and what is refused as not his alone. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/file.h"
#include "shared/base/private_file.h"
#include "tests/support/scratch.h"

static void a_folder_is_made_with_those_above_it_and_closed(void **state)
{
    (void)state;
    scratch place = scratch_make();
    char path[PATH_MAX];
    struct stat st;
    scratch_path(&place, "a/b/c", path, sizeof path);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(vx_private_folder_make(path, NULL), VX_OK);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_int_equal(vx_private_check(&st, path, NULL), VX_OK);
    }
    scratch_done(&place);
}

static void a_folder_that_cannot_be_is_an_error_with_its_path(void **state)
{
    (void)state;
    scratch place = scratch_make();
    char path[PATH_MAX], *too_long = malloc(PATH_MAX + 1);
    vx_errinfo info = {0};
    scratch_path(&place, "file", path, sizeof path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    scratch_path(&place, "file/below", path, sizeof path);
    assert_int_equal(vx_private_folder_make(path, &info), VX_ERR_NOT_FOUND);
    assert_string_equal(info.path, path);
    assert_int_equal(vx_private_folder_make("", NULL), VX_ERR_RANGE);
    assert_non_null(too_long);
    memset(too_long, 'x', PATH_MAX);
    too_long[PATH_MAX] = '\0';
    assert_int_equal(vx_private_folder_make(too_long, NULL), VX_ERR_RANGE);
    free(too_long);
    scratch_done(&place);
}

static void what_others_can_reach_is_refused(void **state)
{
    static const struct {
        mode_t mode;
        uid_t more; /* added to the user's own */
        vx_err err;
        const char *says;
    } cases[] = {
        {S_IFDIR | 0700, 0, VX_OK, ""},
        {S_IFREG | 0600, 0, VX_OK, ""},
        {S_IFREG | 0400, 0, VX_OK, ""},
        {S_IFDIR | 0750, 0, VX_ERR_PERMISSION, "mode 750); run: chmod 700 "},
        {S_IFDIR | 0701, 0, VX_ERR_PERMISSION, "mode 701); run: chmod 700 "},
        {S_IFREG | 0640, 0, VX_ERR_PERMISSION, "mode 640); run: chmod 600 "},
        {S_IFREG | 0602, 0, VX_ERR_PERMISSION, "mode 602); run: chmod 600 "},
        {S_IFREG | 0600, 1, VX_ERR_PERMISSION, "another user"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        const struct stat st = {.st_mode = cases[i].mode, .st_uid = geteuid() + cases[i].more};
        assert_int_equal(vx_private_check(&st, "/x", &info), cases[i].err);
        assert_non_null(strstr(info.text, cases[i].says));
    }
}

static void what_the_system_says_becomes_an_error_of_ours(void **state)
{
    static const struct {
        int errnum;
        vx_err err;
    } cases[] = {{ENOENT, VX_ERR_NOT_FOUND},  {ENOTDIR, VX_ERR_NOT_FOUND}, {EEXIST, VX_ERR_EXISTS},
                 {EACCES, VX_ERR_PERMISSION}, {EROFS, VX_ERR_PERMISSION},  {ELOOP, VX_ERR_PERMISSION},
                 {ENOMEM, VX_ERR_NOMEM},      {ENOSPC, VX_ERR_IO}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        errno = cases[i].errnum;
        assert_int_equal(vx_file_failed("/x", "open", &info), cases[i].err);
        assert_non_null(strstr(info.text, "cannot open: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_made_with_those_above_it_and_closed),
        cmocka_unit_test(a_folder_that_cannot_be_is_an_error_with_its_path),
        cmocka_unit_test(what_others_can_reach_is_refused),
        cmocka_unit_test(what_the_system_says_becomes_an_error_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
