/* test_secret_service.c - the store's key and the login password in a real Secret Service: GNOME Keyring on a session bus of
 * the test's own, with a home folder of the test's own. Locked, and with its bus gone, it must be told from a keyring
 * without them.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/keyring_private.h"
#include "edge/store/password.h"
#include "edge/store/store.h"
#include "shared/base/plugin.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"
#include "tests/support/service.h"

static const char id_a[] = "00112233445566778899aabbccddeeff", id_b[] = "ffeeddccbbaa99887766554433221100";

/* One bus and one keyring for all tests: libsecret's connection is the process's. */
static struct {
    scratch home;
    child bus, keyring;
    char why_not[300]; /* nothing is tested, because of this */
} here;

static bool start(child *c, const char *what, char *const argv[], const char **ret_line)
{
    if (child_start(argv, CHILD_STDOUT, c) && child_hear(c, PATIENCE_MS, ret_line))
        return true;
    snprintf(here.why_not, sizeof here.why_not, "%s does not start: is it installed?", what);
    return false;
}

static bool start_bus(void)
{
    char *const argv[] = {"dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", NULL};
    const char *address = NULL;
    if (!start(&here.bus, "dbus-daemon", argv, &address))
        return false;
    setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
    return true;
}

/* It reads the password of its login keyring, an empty line, to the end of its standard input, and says where it can be
 * reached once it runs. */
static bool start_keyring(void)
{
    char *const argv[] = {"gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets", NULL};
    const char *line = NULL;
    if (!child_start(argv, CHILD_STDOUT, &here.keyring)) {
        snprintf(here.why_not, sizeof here.why_not, "gnome-keyring-daemon is not installed");
        return false;
    }
    (void)child_say(&here.keyring, "");
    close(here.keyring.to);
    here.keyring.to = -1;
    (void)child_hear(&here.keyring, PATIENCE_MS, &line);
    return true;
}

static int begin(void **state)
{
    (void)state;
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    here.home = scratch_make();
    setenv("HOME", here.home.path, 1);
    setenv("XDG_DATA_HOME", here.home.path, 1);
    setenv("XDG_RUNTIME_DIR", here.home.path, 1);
    unsetenv("DISPLAY");
    unsetenv("WAYLAND_DISPLAY");
    if (vx_plugin_load("vx_keyring_secret", VX_KEYRING_PLUGIN_SYMBOL, &symbol, &cause) != VX_OK)
        snprintf(here.why_not, sizeof here.why_not, "%s", cause.text);
    else if (start_bus())
        (void)start_keyring();
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)child_end(&here.keyring, 100);
    (void)child_end(&here.bus, 100);
    scratch_done(&here.home);
    return 0;
}

static void need_service(void)
{
    if (here.why_not[0]) {
        print_message("# %s\n", here.why_not);
        skip();
    }
}

/* ---- tests, in the order in which they leave the keyring ------------------------------------------------------------ */

static void a_key_is_made_found_and_forgotten(void **state)
{
    (void)state;
    need_service();
    scratch folder = scratch_make();
    vx_store_key made = {0}, found = {0};
    vx_errinfo info = {0};
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_a, folder.path, false, &found, NULL), VX_ERR_STORE_KEY);
    if (vx_keyring_get(VX_KEYRING_SYSTEM, id_a, folder.path, true, &made, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_true(made.made);
    assert_string_equal(made.source, "Secret Service");
    assert_string_equal(made.warning, "");
    static const vx_keyring_kind kinds[] = {VX_KEYRING_SYSTEM, VX_KEYRING_AUTO};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vx_keyring_get(kinds[i], id_a, folder.path, false, &found, NULL), VX_OK);
        assert_false(found.made);
        assert_memory_equal(found.key, made.key, sizeof made.key);
    }
    assert_false(scratch_has(&folder, VX_KEY_FILE));

    /* Another store's is another, and replacing leaves one. */
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_b, folder.path, true, &found, NULL), VX_OK);
    assert_memory_not_equal(found.key, made.key, sizeof made.key);
    assert_int_equal(vx_keyring_put(VX_KEYRING_SYSTEM, id_b, folder.path, &made, NULL), VX_OK);
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_b, folder.path, false, &found, NULL), VX_OK);
    assert_memory_equal(found.key, made.key, sizeof made.key);

    assert_int_equal(vx_keyring_forget(VX_KEYRING_AUTO, id_a, folder.path, NULL), VX_OK);
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_a, folder.path, false, &found, NULL), VX_ERR_STORE_KEY);
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_b, folder.path, false, &found, NULL), VX_OK);
    assert_int_equal(vx_keyring_forget(VX_KEYRING_SYSTEM, id_b, folder.path, NULL), VX_OK);
    assert_int_equal(vx_keyring_forget(VX_KEYRING_SYSTEM, id_b, folder.path, NULL), VX_OK);
    scratch_done(&folder);
}

static void a_store_opens_with_it_and_not_without(void **state)
{
    (void)state;
    need_service();
    scratch folder = scratch_make();
    vx_store *store = NULL;
    vx_store_view view;
    vx_buf value = {0};
    vx_store_options options = {.folder = folder.path, .keyring = VX_KEYRING_AUTO, .create = true, .busy_ms = 1000};
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "prior/1", "0.85", 4, NULL), VX_OK);
    vx_store_close(store);
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
    assert_int_equal(vx_store_get(store, "prior/1", &value, NULL), VX_OK);
    assert_int_equal(vx_store_get_view(store, &view, NULL), VX_OK);
    assert_string_equal(view.key_source, "Secret Service");
    assert_false(scratch_has(&folder, VX_KEY_FILE));
    vx_store_close(store);
    options.keyring = VX_KEYRING_FILE;
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_ERR_STORE_KEY);
    vx_buf_done(&value);
    scratch_done(&folder);
}

/* An entry of its own beside the key, of any length. */
static void a_login_password_is_kept_too(void **state)
{
    (void)state;
    need_service();
    static const char *const passwords[] = {
        "p\xc3\xa4ss word", "x", "a password that is longer than the key of a store, with spaces and a full stop."};
    vx_errinfo info = {0};
    vx_buf got = {0};
    assert_int_equal(vx_password_get(&got, NULL), VX_ERR_NOT_FOUND);
    for (size_t i = 0; i < 3; i++) {
        if (vx_password_put(passwords[i], &info) != VX_OK)
            fail_msg("%s", info.text);
        assert_int_equal(vx_password_test(NULL), VX_OK);
        assert_int_equal(vx_password_get(&got, NULL), VX_OK);
        assert_int_equal(got.len, strlen(passwords[i]));
        assert_string_equal((const char *)got.data, passwords[i]);
        vx_buf_wipe_done(&got);
    }
    assert_int_equal(vx_password_forget(NULL), VX_OK);
    assert_int_equal(vx_password_forget(NULL), VX_OK);
    assert_int_equal(vx_password_test(NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_password_put(passwords[0], NULL), VX_OK); /* for the test that locks it up */
}

static void lock_it(void)
{
    char *const argv[] = {"dbus-send",
                          "--session",
                          "--print-reply",
                          "--dest=org.freedesktop.secrets",
                          "/org/freedesktop/secrets",
                          "org.freedesktop.Secret.Service.Lock",
                          "array:objpath:/org/freedesktop/secrets/collection/login",
                          NULL};
    child lock = {0};
    assert_true(child_start(argv, CHILD_STDOUT, &lock));
    assert_int_equal(child_end(&lock, PATIENCE_MS), 0);
}

static void a_locked_keyring_says_so(void **state)
{
    (void)state;
    need_service();
    scratch folder = scratch_make();
    vx_store_key key = {0};
    vx_errinfo info = {0};
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_a, folder.path, true, &key, NULL), VX_OK);
    lock_it();
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_a, folder.path, false, &key, &info), VX_ERR_STORE_KEY);
    assert_non_null(strstr(info.text, "Secret Service: it is locked"));
    info = (vx_errinfo){0};
    assert_int_equal(vx_keyring_get(VX_KEYRING_SYSTEM, id_b, folder.path, true, &key, &info), VX_ERR_STORE_KEY);
    assert_non_null(strstr(info.text, "it is locked"));
    assert_int_equal(vx_keyring_get(VX_KEYRING_AUTO, id_b, folder.path, true, &key, NULL), VX_OK);
    assert_string_equal(key.source, "file");
    assert_non_null(strstr(key.warning, "it is locked"));
    info = (vx_errinfo){0};
    assert_int_equal(vx_password_test(&info), VX_ERR_STORE_KEY);
    assert_non_null(strstr(info.text, "it is locked"));
    scratch_done(&folder);
}

/* What a program with GLib's main loop does, of which a window or a sound library makes one. */
static void run_main_loop(void)
{
    void *glib = dlopen("libglib-2.0.so.0", RTLD_NOW), *iterate = glib ? dlsym(glib, "g_main_context_iteration") : NULL;
    int (*turn)(void *context, int may_block) = NULL;
    assert_non_null(iterate);
    memcpy(&turn, &iterate, sizeof turn); /* C has no cast from object to function */
    for (int i = 0; i < 10; i++)
        (void)turn(NULL, 0);
}

/* GLib would end the program by a signal here, were it not told otherwise. */
static void the_program_outlives_the_bus(void **state)
{
    (void)state;
    need_service();
    scratch folder = scratch_make();
    vx_store_key key = {0};
    (void)child_end(&here.bus, 50);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vx_keyring_get(VX_KEYRING_AUTO, id_b, folder.path, i == 0, &key, NULL), VX_OK);
        assert_string_equal(key.source, "file");
        assert_non_null(strstr(key.warning, "Secret Service: "));
        run_main_loop();
    }
    print_message("# %s\n", key.warning);
    scratch_done(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_found_and_forgotten), cmocka_unit_test(a_store_opens_with_it_and_not_without),
        cmocka_unit_test(a_login_password_is_kept_too),      cmocka_unit_test(a_locked_keyring_says_so),
        cmocka_unit_test(the_program_outlives_the_bus),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
