/* test_plugin.c - a plugin is found, or the error says what is missing and where it was looked for. */
#include "shared/base/plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/exe.h"
#include "shared/engine/gemm.h"

/* A file beside this program, where plugins are looked for first. */
static void beside(const char *name, char ret_path[512])
{
    char folder[400];
    assert_int_equal(vx_exe_folder(folder, sizeof folder), VX_OK);
    snprintf(ret_path, 512, "%s/%s.so", folder, name);
}

static bool put(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return false;
    const bool written = fwrite(text, 1, len, file) == len;
    return fclose(file) == 0 && written;
}

static void one_that_is_not_there_is_named(void **state)
{
    (void)state;
    int untouched;
    const void *symbol = &untouched;
    vx_errinfo info = {0};
    assert_int_equal(vx_plugin_load("vx_gemm_abacus", "table", &symbol, &info), VX_ERR_NOT_FOUND);
    assert_string_equal(info.text, "this build has no vx_gemm_abacus.so");
    assert_ptr_equal(symbol, &untouched);
    assert_int_equal(vx_plugin_load("vx_gemm_abacus", "table", &symbol, NULL), VX_ERR_NOT_FOUND);
}

/* Half copied, of another machine, or no shared object at all: the file is named, with what the system says of it. */
static void one_that_cannot_be_loaded_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        size_t len;
    } cases[] = {{"", 0}, {"not a shared object\n", 20}, {"\177ELF\2\1\1", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64], path[512];
        int untouched;
        const void *symbol = &untouched;
        vx_errinfo info = {0};
        snprintf(name, sizeof name, "vx_test_%ld_%zu", (long)getpid(), i);
        beside(name, path);
        if (!put(path, cases[i].content, cases[i].len)) {
            print_message("# %s cannot be written\n", path);
            skip();
        }
        const vx_err err = vx_plugin_load(name, "table", &symbol, &info);
        unlink(path);
        assert_int_equal(err, VX_ERR_UNSUPPORTED);
        assert_string_equal(info.path, path);
        assert_true(strlen(info.text) > 5);
        assert_ptr_equal(symbol, &untouched);
    }
}

/* What others may write is not run, whatever it holds. */
static void one_that_others_may_write_is_refused(void **state)
{
    (void)state;
    char name[64], path[512];
    const void *symbol = NULL;
    vx_errinfo info = {0};
    snprintf(name, sizeof name, "vx_test_%ld_open", (long)getpid());
    beside(name, path);
    if (!put(path, "x", 1) || chmod(path, 0666) != 0)
        skip();
    const vx_err err = vx_plugin_load(name, "table", &symbol, &info);
    unlink(path);
    assert_int_equal(err, VX_ERR_PERMISSION);
    assert_string_equal(info.path, path);
    assert_null(symbol);
}

/* A name longer than any path is only not found. */
static void a_name_without_end_is_not_found(void **state)
{
    (void)state;
    static char name[20000];
    const void *symbol = NULL;
    vx_errinfo info = {0};
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(vx_plugin_load(name, "table", &symbol, &info), VX_ERR_NOT_FOUND);
    assert_true(strlen(info.text) < sizeof info.text);
}

static void the_same_twice_is_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {"vx_gemm_blas", "vx_gemm_onednn"};
    for (size_t i = 0; i < 2; i++) {
        const void *first = NULL, *second = NULL;
        vx_errinfo info = {0};
        if (vx_plugin_load(names[i], VX_GEMM_PLUGIN_SYMBOL, &first, &info) == VX_ERR_NOT_FOUND)
            continue;
        assert_int_equal(info.code, VX_OK);
        assert_non_null(first);
        assert_int_equal(vx_plugin_load(names[i], VX_GEMM_PLUGIN_SYMBOL, &second, NULL), VX_OK);
        assert_ptr_equal(first, second);
        /* A plugin of another kind or time does not have the table that is looked for. */
        assert_int_equal(vx_plugin_load(names[i], "vx_gemm_plugin_table_of_old", &second, &info), VX_ERR_UNSUPPORTED);
        assert_string_equal(info.text, "not a plugin of this version");
        assert_non_null(strstr(info.path, names[i]));
        assert_ptr_equal(first, second);
        return;
    }
    print_message("# this build has neither %s nor %s\n", names[0], names[1]);
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_not_there_is_named),       cmocka_unit_test(one_that_cannot_be_loaded_is_told),
        cmocka_unit_test(one_that_others_may_write_is_refused), cmocka_unit_test(a_name_without_end_is_not_found),
        cmocka_unit_test(the_same_twice_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
