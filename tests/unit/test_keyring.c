/* test_keyring.c - where the key is looked for and kept, against keyrings that answer, refuse, lie and never answer. The
 * real Secret Service is tested in tests/e2e/test_secret_service.c.
 */
#include "edge/store/keyring.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/keyring_private.h"
#include "shared/base/bytes.h"
#include "shared/base/plugin.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/gate.h"
#include "tests/support/scratch.h"

static const char id_a[] = "00112233445566778899aabbccddeeff", id_b[] = "ffeeddccbbaa99887766554433221100";

/* ---- a keyring that does as it is told ---------------------------------------------------------------------------- */

typedef enum { WORKS, LOCKED, ABSENT, SILENT, PUT_IS_REFUSED, FORGETS, GARBLES } manner;

/* The functions of a backend have no context. One entry is enough. */
static struct {
    manner manner;
    char id[VX_KEY_ID_CAP], secret[VX_KEYRING_SECRET_CAP];
    atomic_int n_asked, n_late; /* questions, and those answered too late */
    gate silence;
} fake;

static vx_err answer(char *ret_why)
{
    fake.n_asked++;
    if (fake.manner == LOCKED)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "it is locked"), VX_ERR_STORE_KEY;
    if (fake.manner == ABSENT)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "nobody answers the bus"), VX_ERR_UNSUPPORTED;
    if (fake.manner == SILENT) {
        wait_at_gate(&fake.silence, 0);
        fake.n_late++; /* the next test may begin */
        return VX_ERR_CLOSED;
    }
    return VX_OK;
}

static vx_err fake_get(const char *key_id, char *ret_secret, char *ret_why)
{
    vx_err err = answer(ret_why);
    if (err == VX_OK && (strcmp(fake.id, key_id) != 0 || fake.manner == FORGETS))
        err = VX_ERR_NOT_FOUND;
    if (err == VX_OK)
        memcpy(ret_secret, fake.secret, sizeof fake.secret);
    if (err == VX_OK && fake.manner == GARBLES)
        ret_secret[0] = ret_secret[0] == '0' ? '1' : '0';
    return err;
}

static vx_err fake_put(const char *key_id, const char *secret, char *ret_why)
{
    vx_err err = answer(ret_why);
    if (err == VX_OK && fake.manner == PUT_IS_REFUSED)
        return snprintf(ret_why, VX_KEYRING_WHY_CAP, "it is read-only"), VX_ERR_STORE_KEY;
    if (err == VX_OK) {
        snprintf(fake.id, sizeof fake.id, "%s", key_id);
        snprintf(fake.secret, sizeof fake.secret, "%s", secret);
    }
    return err;
}

static vx_err fake_drop(const char *key_id, char *ret_why)
{
    vx_err err = answer(ret_why);
    if (err == VX_OK && strcmp(fake.id, key_id) != 0)
        return VX_ERR_NOT_FOUND;
    if (err == VX_OK)
        fake.id[0] = '\0';
    return err;
}

static const vx_keyring_backend backend = {
    .abi = VX_KEYRING_ABI, .name = "Test Keyring", .get = fake_get, .put = fake_put, .drop = fake_drop};
static const vx_keyring_system ring = {.backend = &backend, .wait_ms = 2000};
static const vx_keyring_system no_ring = {.wait_ms = 2000, .why = "this build has none"};

static int prepare(void **state)
{
    (void)state;
    fake.manner = WORKS;
    fake.id[0] = fake.secret[0] = '\0';
    fake.n_asked = fake.n_late = 0;
    fake.silence = (gate)GATE_CLOSED;
    return 0;
}

static void hold(const char *id, const char *secret_byte)
{
    snprintf(fake.id, sizeof fake.id, "%s", id);
    for (int i = 0; i < VX_KEY_BYTES; i++)
        memcpy(fake.secret + 2 * i, secret_byte, 3);
}

/* ---- where it is looked for --------------------------------------------------------------------------------------- */

static void settings_name_the_kinds(void **state)
{
    (void)state;
    assert_int_equal(vx_keyring_kind_of("auto"), VX_KEYRING_AUTO);
    assert_int_equal(vx_keyring_kind_of("system"), VX_KEYRING_SYSTEM);
    assert_int_equal(vx_keyring_kind_of("file"), VX_KEYRING_FILE);
}

/* Every kind against every keyring, and a file with the key or without: byte 0xaa is the keyring's key, 0xbb the file's. */
static void finds_it_where_the_kind_allows(void **state)
{
    (void)state;
    static const struct {
        vx_keyring_kind kind;
        manner manner;
        bool in_ring, in_file;
        vx_err err;
        int key;          /* first byte, when VX_OK */
        const char *word; /* of the warning, or of the error */
    } cases[] = {
        {VX_KEYRING_AUTO, WORKS, true, true, VX_OK, 0xaa, ""},
        {VX_KEYRING_AUTO, WORKS, true, false, VX_OK, 0xaa, ""},
        {VX_KEYRING_AUTO, WORKS, false, true, VX_OK, 0xbb, "copies the folder"},
        {VX_KEYRING_AUTO, WORKS, false, false, VX_ERR_STORE_KEY, 0, "neither in the keyring nor in the file"},
        {VX_KEYRING_AUTO, LOCKED, true, true, VX_OK, 0xbb, "it is locked"},
        {VX_KEYRING_AUTO, LOCKED, true, false, VX_ERR_STORE_KEY, 0, "it is locked"},
        {VX_KEYRING_AUTO, ABSENT, false, true, VX_OK, 0xbb, "nobody answers"},
        {VX_KEYRING_AUTO, ABSENT, false, false, VX_ERR_STORE_KEY, 0, "nobody answers"},
        {VX_KEYRING_SYSTEM, WORKS, true, true, VX_OK, 0xaa, ""},
        {VX_KEYRING_SYSTEM, WORKS, false, true, VX_ERR_STORE_KEY, 0, "not in the keyring"},
        {VX_KEYRING_SYSTEM, LOCKED, true, true, VX_ERR_STORE_KEY, 0, "Test Keyring: it is locked"},
        {VX_KEYRING_SYSTEM, ABSENT, false, true, VX_ERR_STORE_KEY, 0, "Test Keyring: nobody answers"},
        {VX_KEYRING_FILE, WORKS, true, true, VX_OK, 0xbb, "copies the folder"},
        {VX_KEYRING_FILE, WORKS, true, false, VX_ERR_STORE_KEY, 0, "not in the file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store_key key = {0};
        vx_errinfo info = {0};
        char secret[VX_KEYRING_SECRET_CAP];
        prepare(NULL);
        fake.manner = cases[i].manner;
        if (cases[i].in_ring)
            hold(id_a, "aa");
        memset(secret, 'b', sizeof secret - 1);
        secret[sizeof secret - 1] = '\0';
        if (cases[i].in_file)
            assert_int_equal(vx_key_file_put(folder.path, id_a, secret, NULL), VX_OK);

        vx_err err = vx_keyring_get_in(&ring, cases[i].kind, id_a, folder.path, false, &key, &info);
        const char *said = err == VX_OK ? key.warning : info.text;
        if (err != cases[i].err || !strstr(said, cases[i].word) || (cases[i].word[0] == '\0' && said[0]))
            fail_msg("case %zu: %s, '%s'", i, vx_err_code(err), said);
        if (err == VX_OK) {
            assert_int_equal(key.key[0], cases[i].key);
            assert_int_equal(key.key[VX_KEY_BYTES - 1], cases[i].key);
            assert_false(key.made);
            assert_string_equal(key.source, cases[i].key == 0xaa ? "Test Keyring" : "file");
        } else {
            assert_null(key.source); /* untouched */
        }
        assert_int_equal(fake.n_asked, cases[i].kind == VX_KEYRING_FILE ? 0 : 1);
        scratch_done(&folder);
    }
}

static void is_made_where_it_stays(void **state)
{
    (void)state;
    static const struct {
        vx_keyring_kind kind;
        const vx_keyring_system *system;
        manner manner;
        vx_err err;
        bool in_ring, in_file;
        const char *word;
    } cases[] = {
        {VX_KEYRING_AUTO, &ring, WORKS, VX_OK, true, false, ""},
        {VX_KEYRING_AUTO, &ring, LOCKED, VX_OK, false, true, "it is locked"},
        {VX_KEYRING_AUTO, &ring, ABSENT, VX_OK, false, true, "nobody answers"},
        {VX_KEYRING_AUTO, &ring, PUT_IS_REFUSED, VX_OK, false, true, "read-only"},
        {VX_KEYRING_AUTO, &ring, FORGETS, VX_OK, false, true, "does not give back"},
        {VX_KEYRING_AUTO, &ring, GARBLES, VX_OK, false, true, "does not give back"},
        {VX_KEYRING_AUTO, &no_ring, WORKS, VX_OK, false, true, "this build has none"},
        {VX_KEYRING_SYSTEM, &ring, WORKS, VX_OK, true, false, ""},
        {VX_KEYRING_SYSTEM, &ring, LOCKED, VX_ERR_STORE_KEY, false, false, "it is locked"},
        {VX_KEYRING_SYSTEM, &ring, PUT_IS_REFUSED, VX_ERR_STORE_KEY, false, false, "read-only"},
        {VX_KEYRING_SYSTEM, &ring, FORGETS, VX_ERR_STORE_KEY, false, false, "does not give back"},
        {VX_KEYRING_SYSTEM, &no_ring, WORKS, VX_ERR_STORE_KEY, false, false, "this build has none"},
        {VX_KEYRING_FILE, &ring, WORKS, VX_OK, false, true, "copies the folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store_key key = {0}, again = {0};
        vx_errinfo info = {0};
        prepare(NULL);
        fake.manner = cases[i].manner;
        vx_err err = vx_keyring_get_in(cases[i].system, cases[i].kind, id_a, folder.path, true, &key, &info);
        const char *said = err == VX_OK ? key.warning : info.text;
        if (err != cases[i].err || !strstr(said, cases[i].word) || (cases[i].word[0] == '\0' && said[0]))
            fail_msg("case %zu: %s, '%s'", i, vx_err_code(err), said);
        assert_int_equal(fake.id[0] != '\0', cases[i].in_ring);
        assert_int_equal(scratch_has(&folder, VX_KEY_FILE), cases[i].in_file);
        if (cases[i].manner == LOCKED || cases[i].manner == ABSENT)
            assert_int_equal(fake.n_asked, 1); /* who refused is not asked again */
        if (err == VX_OK) {
            assert_true(key.made);
            assert_int_equal(vx_keyring_get_in(cases[i].system, cases[i].kind, id_a, folder.path, false, &again, NULL),
                             VX_OK);
            assert_false(again.made);
            assert_memory_equal(again.key, key.key, sizeof key.key);
        }
        scratch_done(&folder);
    }
}

static void made_keys_differ(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store_key a = {0}, b = {0};
    assert_int_equal(vx_keyring_get_in(&ring, VX_KEYRING_FILE, id_a, folder.path, true, &a, NULL), VX_OK);
    assert_int_equal(vx_keyring_get_in(&ring, VX_KEYRING_FILE, id_b, folder.path, true, &b, NULL), VX_OK);
    assert_memory_not_equal(a.key, b.key, sizeof a.key);
    scratch_done(&folder);
}

static void a_known_key_can_be_kept(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store_key key = {.key = {1, 2, 3}}, found = {0};
    assert_int_equal(vx_keyring_put_in(&ring, VX_KEYRING_AUTO, id_a, folder.path, &key, NULL), VX_OK);
    assert_string_equal(key.source, "Test Keyring");
    assert_int_equal(vx_keyring_get_in(&ring, VX_KEYRING_AUTO, id_a, folder.path, false, &found, NULL), VX_OK);
    assert_memory_equal(found.key, key.key, sizeof key.key);
    assert_int_equal(vx_keyring_put_in(&ring, VX_KEYRING_FILE, id_a, folder.path, &key, NULL), VX_OK);
    assert_string_equal(key.source, "file");
    assert_true(key.warning[0]);
    scratch_done(&folder);
}

static void is_forgotten_everywhere(void **state)
{
    (void)state;
    static const struct {
        vx_keyring_kind kind;
        manner manner;
        vx_err err;
        bool in_ring, in_file; /* still */
    } cases[] = {
        {VX_KEYRING_AUTO, WORKS, VX_OK, false, false},
        {VX_KEYRING_SYSTEM, WORKS, VX_OK, false, true},
        {VX_KEYRING_FILE, WORKS, VX_OK, true, false},
        {VX_KEYRING_AUTO, ABSENT, VX_OK, true, false}, /* none is there, so none holds it */
        {VX_KEYRING_AUTO, LOCKED, VX_ERR_STORE_KEY, true, false},
        {VX_KEYRING_SYSTEM, ABSENT, VX_ERR_STORE_KEY, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        prepare(NULL);
        hold(id_a, "aa");
        assert_int_equal(vx_key_file_put(folder.path, id_a, fake.secret, NULL), VX_OK);
        fake.manner = cases[i].manner;
        assert_int_equal(vx_keyring_forget_in(&ring, cases[i].kind, id_a, folder.path, NULL), cases[i].err);
        assert_int_equal(fake.id[0] != '\0', cases[i].in_ring);
        assert_int_equal(scratch_has(&folder, VX_KEY_FILE), cases[i].in_file);
        fake.manner = WORKS; /* and what is not there any more is no error */
        assert_int_equal(vx_keyring_forget_in(&ring, VX_KEYRING_AUTO, id_a, folder.path, NULL), VX_OK);
        assert_int_equal(vx_keyring_forget_in(&ring, VX_KEYRING_AUTO, id_a, folder.path, NULL), VX_OK);
        scratch_done(&folder);
    }
}

/* ---- a keyring that never answers --------------------------------------------------------------------------------- */

static void is_not_waited_for_for_ever(void **state)
{
    (void)state;
    const vx_keyring_system slow = {.backend = &backend, .wait_ms = 30};
    scratch folder = scratch_make();
    vx_store_key key = {0};
    vx_errinfo info = {0};
    fake.manner = SILENT;
    assert_int_equal(vx_keyring_get_in(&slow, VX_KEYRING_SYSTEM, id_a, folder.path, true, &key, &info),
                     VX_ERR_STORE_KEY);
    assert_string_equal(info.text, "Test Keyring: it does not answer");
    assert_int_equal(vx_keyring_get_in(&slow, VX_KEYRING_AUTO, id_a, folder.path, true, &key, NULL), VX_OK);
    assert_string_equal(key.source, "file");
    assert_non_null(strstr(key.warning, "it does not answer"));
    /* The late answers find nobody, and free what is theirs. */
    await_inside(&fake.silence, 2);
    open_gate(&fake.silence);
    while (fake.n_late < 2)
        sched_yield();
    scratch_done(&folder);
}

/* The real thing: a session bus that accepts a connection and says nothing. */
static void a_silent_bus_is_not_waited_for(void **state)
{
    (void)state;
    vx_errinfo cause = {0};
    const void *plugin = NULL;
    if (vx_plugin_load("vx_keyring_secret", VX_KEYRING_PLUGIN_SYMBOL, &plugin, &cause) != VX_OK) {
        print_message("# %s\n", cause.text);
        skip();
    }
    const vx_keyring_system system = {.backend = plugin, .wait_ms = 300};
    scratch folder = scratch_make();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char bus[160];
    snprintf(address.sun_path, sizeof address.sun_path, "%s/bus", folder.path);
    snprintf(bus, sizeof bus, "unix:path=%s", address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    setenv("DBUS_SESSION_BUS_ADDRESS", bus, 1);

    vx_store_key key = {0};
    assert_int_equal(vx_keyring_get_in(&system, VX_KEYRING_AUTO, id_a, folder.path, true, &key, NULL), VX_OK);
    assert_string_equal(key.source, "file");
    assert_non_null(strstr(key.warning, "Secret Service: it does not answer"));
    close(fd);
    scratch_done(&folder);
}

/* ---- the file ----------------------------------------------------------------------------------------------------- */

static void a_file_holds_keys_of_several_stores(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    char a[VX_KEYRING_SECRET_CAP], b[VX_KEYRING_SECRET_CAP], got[VX_KEYRING_SECRET_CAP];
    memset(a, 'a', sizeof a - 1), a[sizeof a - 1] = '\0';
    memset(b, 'b', sizeof b - 1), b[sizeof b - 1] = '\0';
    assert_int_equal(vx_key_file_get(folder.path, id_a, got, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_key_file_put(folder.path, id_a, b, NULL), VX_OK);
    assert_int_equal(vx_key_file_put(folder.path, id_b, b, NULL), VX_OK);
    assert_int_equal(vx_key_file_put(folder.path, id_a, a, NULL), VX_OK); /* in its place */
    assert_int_equal(scratch_mode(&folder, VX_KEY_FILE), 0600);
    assert_false(scratch_has(&folder, VX_KEY_FILE ".new"));
    vx_buf file = scratch_read(&folder, VX_KEY_FILE);
    assert_int_equal(file.len, 2 * (32 + 1 + 64 + 1));
    vx_buf_done(&file);
    assert_int_equal(vx_key_file_get(folder.path, id_a, got, NULL), VX_OK);
    assert_string_equal(got, a);
    assert_int_equal(vx_key_file_get(folder.path, id_b, got, NULL), VX_OK);
    assert_string_equal(got, b);
    assert_int_equal(vx_key_file_drop(folder.path, id_b, NULL), VX_OK);
    assert_int_equal(vx_key_file_get(folder.path, id_b, got, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_key_file_get(folder.path, id_a, got, NULL), VX_OK);
    scratch_done(&folder);
}

static void a_writer_that_was_cut_off_is_no_hindrance(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store_key key = {0};
    scratch_write(&folder, VX_KEY_FILE ".new", "half a li", 9);
    assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_FILE, id_a, folder.path, true, &key, NULL), VX_OK);
    assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_FILE, id_a, folder.path, false, &key, NULL), VX_OK);
    assert_false(scratch_has(&folder, VX_KEY_FILE ".new"));
    scratch_done(&folder);
}

static void a_damaged_file_is_neither_read_nor_replaced(void **state)
{
    (void)state;
    static const char line[] = "00112233445566778899aabbccddeeff "
                               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    static const struct {
        size_t at; /* byte that is changed; or the length it is cut to */
        char to;   /* 0: cut */
    } cases[] = {{1, 0}, {97, 0}, {0, 'g'}, {32, '\t'}, {33, ' '}, {96, 'x'}, {97, ' '}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store_key key = {0};
        vx_errinfo info = {0};
        char file[2 * sizeof line];
        size_t n = sizeof line - 1, len = 2 * n;
        memcpy(file, line, n);
        memcpy(file + n, line, n); /* the second is the damaged one */
        if (cases[i].to)
            file[n + cases[i].at] = cases[i].to;
        else
            len = n + cases[i].at;
        scratch_write(&folder, VX_KEY_FILE, file, len);
        assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_AUTO, id_b, folder.path, true, &key, &info),
                         VX_ERR_STORE_KEY);
        assert_int_equal(info.line, 2);
        assert_non_null(strstr(info.text, "damaged"));
        vx_buf after = scratch_read(&folder, VX_KEY_FILE);
        assert_int_equal(after.len, len);
        assert_memory_equal(after.data, file, len);
        vx_buf_done(&after);
        scratch_done(&folder);
    }
}

static void a_file_that_others_reach_is_refused(void **state)
{
    (void)state;
    static const int modes[] = {0640, 0604, 0620, 0602, 0601};
    scratch folder = scratch_make();
    vx_store_key key = {0};
    char path[256];
    assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_FILE, id_a, folder.path, true, &key, NULL), VX_OK);
    scratch_path(&folder, VX_KEY_FILE, path, sizeof path);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        vx_errinfo info = {0};
        assert_int_equal(chmod(path, (mode_t)modes[i]), 0);
        assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_FILE, id_a, folder.path, true, &key, &info),
                         VX_ERR_STORE_KEY);
        assert_non_null(strstr(info.text, "chmod 600"));
        assert_string_equal(info.path, path);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(vx_keyring_get_in(&no_ring, VX_KEYRING_FILE, id_a, folder.path, true, &key, NULL),
                     VX_ERR_STORE_KEY);
    scratch_done(&folder);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static vx_err make_and_find(void *ctx)
{
    const vx_keyring_system *system = ctx;
    scratch folder = scratch_make();
    vx_store_key key = {0};
    fake.id[0] = '\0';
    vx_err err = vx_keyring_get_in(system, VX_KEYRING_AUTO, id_a, folder.path, true, &key, NULL);
    if (err == VX_OK)
        err = vx_keyring_get_in(system, VX_KEYRING_AUTO, id_a, folder.path, false, &key, NULL);
    if (err == VX_OK)
        err = vx_keyring_forget_in(system, VX_KEYRING_AUTO, id_a, folder.path, NULL);
    scratch_done(&folder);
    return err;
}

/* Want of memory is not mistaken for a keyring that refuses: the key would land in the file. */
static void survives_want_of_memory(void **state)
{
    (void)state;
    vx_alloc_fail_each(make_and_find, (void *)(uintptr_t)&ring);
    vx_alloc_fail_each(make_and_find, (void *)(uintptr_t)&no_ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_name_the_kinds),
        cmocka_unit_test_setup(finds_it_where_the_kind_allows, prepare),
        cmocka_unit_test_setup(is_made_where_it_stays, prepare),
        cmocka_unit_test_setup(made_keys_differ, prepare),
        cmocka_unit_test_setup(a_known_key_can_be_kept, prepare),
        cmocka_unit_test_setup(is_forgotten_everywhere, prepare),
        cmocka_unit_test_setup(is_not_waited_for_for_ever, prepare),
        cmocka_unit_test(a_silent_bus_is_not_waited_for),
        cmocka_unit_test_setup(a_file_holds_keys_of_several_stores, prepare),
        cmocka_unit_test_setup(a_writer_that_was_cut_off_is_no_hindrance, prepare),
        cmocka_unit_test_setup(a_damaged_file_is_neither_read_nor_replaced, prepare),
        cmocka_unit_test_setup(a_file_that_others_reach_is_refused, prepare),
        cmocka_unit_test_setup(survives_want_of_memory, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
