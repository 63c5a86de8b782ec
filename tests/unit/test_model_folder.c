/* test_model_folder.c - where the model is looked for when nobody says. */
#include "shared/engine/model_folder.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>

#include <cmocka.h>

static void a_configured_folder_is_taken_as_it_is(void **state)
{
    (void)state;
    char folder[PATH_MAX];
    assert_int_equal(vx_model_folder("some/where", folder, sizeof folder, NULL), VX_OK);
    assert_string_equal(folder, "some/where");
}

/* This program lies in build/<mode>/tests, one folder deeper than the real ones. */
static void the_default_is_the_image_or_the_checkout(void **state)
{
    (void)state;
    char folder[PATH_MAX];
    struct stat st;
    assert_int_equal(vx_model_folder("", folder, sizeof folder, NULL), VX_OK);
    if (stat(VX_MODEL_FOLDER_IMAGE, &st) == 0) {
        assert_string_equal(folder, VX_MODEL_FOLDER_IMAGE);
        return;
    }
    const char *tail = "/models/starter";
    assert_true(strlen(folder) > strlen(tail));
    assert_string_equal(folder + strlen(folder) - strlen(tail), tail);
    char again[PATH_MAX];
    assert_int_equal(vx_model_folder(NULL, again, sizeof again, NULL), VX_OK);
    assert_string_equal(again, folder);
}

static void a_path_that_does_not_fit_is_refused_untouched(void **state)
{
    (void)state;
    char folder[8] = "before";
    vx_errinfo info = {0};
    assert_int_equal(vx_model_folder("12345678", folder, sizeof folder, &info), VX_ERR_RANGE);
    assert_string_equal(folder, "before");
    assert_true(info.text[0] != '\0');
    assert_int_equal(vx_model_folder("1234567", folder, sizeof folder, NULL), VX_OK);
    assert_string_equal(folder, "1234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configured_folder_is_taken_as_it_is),
        cmocka_unit_test(the_default_is_the_image_or_the_checkout),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
