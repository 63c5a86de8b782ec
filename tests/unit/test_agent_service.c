/* test_agent_service.c - the unit and the plist: what they say, how paths are quoted, what the system is told. */
#include "edge/agent/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a system that writes down what it is told ------------------------------------------------------------------ */

typedef struct {
    char told[8][256]; /* one command a line, words with blanks between */
    int n;
    int status;     /* of every command */
    bool is_absent; /* there is no such program */
} system_double;

static vx_err write_down(void *arg, char *const argv[], int *ret_status, vx_errinfo *info)
{
    system_double *d = arg;
    char *line = d->told[d->n];
    size_t len = 0;
    (void)info;
    assert_true(d->n < (int)COUNT(d->told));
    for (int i = 0; argv[i]; i++)
        len += (size_t)snprintf(line + len, sizeof d->told[0] - len, "%s%s", i ? " " : "", argv[i]);
    d->n++;
    *ret_status = d->status;
    return d->is_absent ? VX_ERR_NOT_FOUND : VX_OK;
}

static vx_service make(vx_service_kind kind, const scratch *place, system_double *d)
{
    vx_service s = {.kind = kind, .uid = 501, .run = write_down, .run_arg = d};
    scratch_path(place, kind == VX_SERVICE_SYSTEMD ? "conf/systemd/user/" VX_SERVICE_UNIT : "Lib/Agents/v.plist",
                 s.file, sizeof s.file);
    snprintf(s.program, sizeof s.program, "/usr/bin/voxlock");
    return s;
}

static const char *file_of(vx_service_kind kind)
{
    return kind == VX_SERVICE_SYSTEMD ? "conf/systemd/user/" VX_SERVICE_UNIT : "Lib/Agents/v.plist";
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

static char *text_of(vx_service_kind kind, const char *program, const char *config)
{
    vx_service s = {.kind = kind};
    vx_buf text = {0};
    snprintf(s.program, sizeof s.program, "%s", program);
    snprintf(s.config, sizeof s.config, "%s", config);
    assert_int_equal(vx_service_text(&s, &text, NULL), VX_OK);
    assert_int_equal(vx_buf_append(&text, "", 1), VX_OK);
    return (char *)text.data;
}

static const struct {
    vx_service_kind kind;
    const char *program, *config, *holds;
} texts[] = {
    {VX_SERVICE_SYSTEMD, "/usr/bin/voxlock", "", "\nExecStart=\"/usr/bin/voxlock\" agent run\n"},
    {VX_SERVICE_SYSTEMD, "/a b/v", "/c d/e.conf", "\nExecStart=\"/a b/v\" agent run --config \"/c d/e.conf\"\n"},
    {VX_SERVICE_SYSTEMD, "/100%/$x", "/100%/$x/\"\\",
     "\nExecStart=\"/100%%/$x\" agent run --config \"/100%%/$$x/\\\"\\\\\"\n"},
    {VX_SERVICE_SYSTEMD, "/v", "", "\nNoNewPrivileges=yes\n"},
    {VX_SERVICE_SYSTEMD, "/v", "", "\nUMask=0077\n"},
    {VX_SERVICE_SYSTEMD, "/v", "", "\nSystemCallFilter=@system-service\n"},
    {VX_SERVICE_SYSTEMD, "/v", "", "\nExecReload=/bin/kill -HUP $MAINPID\n"},
    {VX_SERVICE_LAUNCHD, "/usr/local/bin/voxlock", "",
     "<array>\n        <string>/usr/local/bin/voxlock</string>\n        <string>agent</string>\n"
     "        <string>run</string>\n    </array>"},
    {VX_SERVICE_LAUNCHD, "/v", "/a&b<c>", "<string>--config</string>\n        <string>/a&amp;b&lt;c&gt;</string>\n"},
    {VX_SERVICE_LAUNCHD, "/v", "", "<key>LimitLoadToSessionType</key>\n    <string>Aqua</string>"},
    {VX_SERVICE_LAUNCHD, "/v", "", "<key>ProcessType</key>\n    <string>Interactive</string>"},
    {VX_SERVICE_LAUNCHD, "/v", "", "<key>KeepAlive</key>"},
    {VX_SERVICE_LAUNCHD, "/v", "", "<key>Umask</key>\n    <integer>63</integer>"},
};

static void paths_are_quoted_as_each_system_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *text = text_of(texts[i].kind, texts[i].program, texts[i].config);
        if (!strstr(text, texts[i].holds))
            fail_msg("'%s' is not in:\n%s", texts[i].holds, text);
        free(text);
    }
}

static void a_path_cannot_add_a_setting(void **state)
{
    (void)state;
    static const char *const bad[] = {"/a\nExecStartPre=/bin/evil", "/a\rb", "/a\x1b", "/a\x7f", "/\xff\xfe"};
    for (size_t i = 0; i < 2 * COUNT(bad); i++) {
        vx_service s = {.kind = i % 2 ? VX_SERVICE_SYSTEMD : VX_SERVICE_LAUNCHD, .program = "/v"};
        vx_buf text = {0};
        vx_errinfo info = {0};
        snprintf(s.config, sizeof s.config, "%s", bad[i / 2]);
        assert_int_equal(vx_service_text(&s, &text, &info), VX_ERR_ARG);
        assert_int_equal(text.len, 0);
    }
    const vx_service s = {.kind = VX_SERVICE_SYSTEMD, .program = "/a \"b\""};
    vx_buf text = {0};
    assert_int_equal(vx_service_text(&s, &text, NULL), VX_ERR_ARG);
}

/* Runs a program; skips the test where the machine has none such. */
static int run(const char *const argv[])
{
    child c = {0};
    if (!child_start((char *const *)(uintptr_t)argv, CHILD_STDERR, &c)) {
        skip();
        return 0;
    }
    const char *line = NULL;
    while (child_hear(&c, 20000, &line))
        print_message("%s\n", line);
    return child_end(&c, 20000);
}

/* systemd's own reader, on a path that holds everything that it treats in some special way. */
static void systemd_understands_the_unit(void **state)
{
    (void)state;
    if (access("/usr/bin/systemd-analyze", X_OK) != 0) {
        skip();
        return;
    }
    scratch s = scratch_make();
    char program[256], unit[256];
    scratch_write(&s, "vox %h $USER \xc3\xbc", "#!/bin/sh\n", 10);
    scratch_path(&s, "vox %h $USER \xc3\xbc", program, sizeof program);
    assert_int_equal(chmod(program, 0700), 0);
    char *text = text_of(VX_SERVICE_SYSTEMD, program, "/tmp/$a %b \"c\" \\");
    scratch_write(&s, VX_SERVICE_UNIT, text, strlen(text));
    scratch_path(&s, VX_SERVICE_UNIT, unit, sizeof unit);
    const char *const argv[] = {"systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, NULL};
    assert_int_equal(run(argv), 0);
    /* And it does say so when a program is not there. */
    assert_int_equal(unlink(program), 0);
    assert_int_not_equal(run(argv), 0);
    free(text);
    scratch_done(&s);
}

/* xmllint knows XML, not the grammar of property lists; Apple's own is tried on a Mac. */
static void the_plist_is_well_formed(void **state)
{
    (void)state;
    const bool apple = access("/usr/bin/plutil", X_OK) == 0;
    if (!apple && access("/usr/bin/xmllint", X_OK) != 0) {
        skip();
        return;
    }
    scratch s = scratch_make();
    char path[256];
    char *text = text_of(VX_SERVICE_LAUNCHD, "/a <b> & \"c\" ]]> '", "/\xc3\xbc");
    scratch_write(&s, "agent.plist", text, strlen(text));
    scratch_path(&s, "agent.plist", path, sizeof path);
    const char *const files[] = {path, "edge/agent/Info.plist"};
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *const argv[] = {apple ? "plutil" : "xmllint", apple ? "-lint" : "--nonet", apple ? "-s" : "--noout",
                                    files[i], NULL};
        assert_int_equal(run(argv), 0);
    }
    free(text);
    scratch_done(&s);
}

/* ---- install, remove, look -------------------------------------------------------------------------------------- */

static void systemd_is_told_to_read_enable_and_start(void **state)
{
    (void)state;
    scratch place = scratch_make();
    system_double d = {0};
    const vx_service s = make(VX_SERVICE_SYSTEMD, &place, &d);
    bool changed = false;
    assert_int_equal(vx_service_install(&s, &changed, NULL), VX_OK);
    assert_true(changed);
    assert_true(scratch_has(&place, file_of(s.kind)));
    assert_false(scratch_has(&place, "conf/systemd/user/" VX_SERVICE_UNIT ".new"));
    assert_int_equal(d.n, 3);
    assert_string_equal(d.told[0], "systemctl --user daemon-reload");
    assert_string_equal(d.told[1], "systemctl --user enable voxlock-agent.service");
    assert_string_equal(d.told[2], "systemctl --user restart voxlock-agent.service");

    d.n = 0;
    assert_int_equal(vx_service_remove(&s, &changed, NULL), VX_OK);
    assert_true(changed);
    assert_false(scratch_has(&place, file_of(s.kind)));
    assert_int_equal(d.n, 2);
    assert_string_equal(d.told[0], "systemctl --user disable --now voxlock-agent.service");
    assert_string_equal(d.told[1], "systemctl --user daemon-reload");
    assert_int_equal(vx_service_remove(&s, &changed, NULL), VX_OK);
    assert_false(changed);
    scratch_done(&place);
}

static void launchd_is_told_to_take_the_new_in_the_olds_place(void **state)
{
    (void)state;
    scratch place = scratch_make();
    system_double d = {0};
    const vx_service s = make(VX_SERVICE_LAUNCHD, &place, &d);
    char load[PATH_MAX + 64];
    bool changed = false;
    assert_int_equal(vx_service_install(&s, &changed, NULL), VX_OK);
    assert_int_equal(d.n, 2);
    assert_string_equal(d.told[0], "launchctl bootout gui/501/" VX_SERVICE_LABEL);
    snprintf(load, sizeof load, "launchctl bootstrap gui/501 %s", s.file);
    assert_string_equal(d.told[1], load);
    d.n = 0;
    assert_int_equal(vx_service_remove(&s, &changed, NULL), VX_OK);
    assert_int_equal(d.n, 1);
    assert_string_equal(d.told[0], "launchctl bootout gui/501/" VX_SERVICE_LABEL);
    scratch_done(&place);
}

static void what_is_there_is_compared(void **state)
{
    (void)state;
    static const vx_service_kind kinds[] = {VX_SERVICE_SYSTEMD, VX_SERVICE_LAUNCHD};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        scratch place = scratch_make();
        system_double d = {.status = 3};
        vx_service s = make(kinds[i], &place, &d);
        vx_service_state look = {.installed = true};
        bool changed = false;
        assert_int_equal(vx_service_look(&s, &look, NULL), VX_OK);
        assert_false(look.installed || look.current || look.running);
        d.status = 0;
        assert_int_equal(vx_service_install(&s, &changed, NULL), VX_OK);
        assert_int_equal(vx_service_install(&s, &changed, NULL), VX_OK);
        assert_false(changed);
        d.n = 0;
        assert_int_equal(vx_service_look(&s, &look, NULL), VX_OK);
        assert_true(look.installed && look.current && look.running);
        assert_string_equal(d.told[0], kinds[i] == VX_SERVICE_SYSTEMD
                                           ? "systemctl --user is-active voxlock-agent.service"
                                           : "launchctl print gui/501/" VX_SERVICE_LABEL);
        snprintf(s.program, sizeof s.program, "/opt/other/voxlock");
        assert_int_equal(vx_service_look(&s, &look, NULL), VX_OK);
        assert_true(look.installed && !look.current);
        d.n = 0;
        assert_int_equal(vx_service_install(&s, &changed, NULL), VX_OK);
        assert_true(changed);
        assert_true(scratch_holds(&place, file_of(kinds[i]), "/opt/other/voxlock", 18));
        scratch_done(&place);
    }
}

static void a_system_that_refuses_is_told_of_and_the_file_stays(void **state)
{
    (void)state;
    static const vx_service_kind kinds[] = {VX_SERVICE_SYSTEMD, VX_SERVICE_LAUNCHD};
    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        scratch place = scratch_make();
        system_double d = {.status = i % 2 ? 1 : 0, .is_absent = i % 2 == 0};
        const vx_service s = make(kinds[i / 2], &place, &d);
        vx_errinfo info = {0};
        vx_service_state look;
        bool changed = false;
        assert_int_equal(vx_service_install(&s, &changed, &info), VX_ERR_UNSUPPORTED);
        assert_non_null(strstr(info.text, s.kind == VX_SERVICE_SYSTEMD ? "systemctl --user enable" : "launchctl"));
        assert_true(scratch_has(&place, file_of(s.kind)));
        assert_int_equal(vx_service_look(&s, &look, NULL), VX_OK);
        assert_true(look.installed && look.current && !look.running);
        d.n = 0;
        assert_int_equal(vx_service_remove(&s, &changed, NULL), VX_OK);
        assert_true(changed);
        scratch_done(&place);
    }
}

static void a_file_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    scratch place = scratch_make();
    system_double d = {0};
    const vx_service s = make(VX_SERVICE_SYSTEMD, &place, &d);
    vx_errinfo info = {0};
    bool changed = false;
    scratch_write(&place, "conf", "x", 1); /* where a folder is to be */
    assert_int_not_equal(vx_service_install(&s, &changed, &info), VX_OK);
    assert_non_null(strstr(info.path, "conf"));
    assert_int_equal(d.n, 0);
    scratch_done(&place);
}

static void the_service_is_this_users(void **state)
{
    (void)state;
    char home[] = "HOME=/home/anna", config[] = "XDG_CONFIG_HOME=/cfg";
    char *env[] = {home, NULL, NULL};
    vx_service s;
    vx_errinfo info = {0};
    assert_int_equal(vx_service_here(env, NULL, &s, NULL), VX_OK);
    assert_true(s.run && s.program[0] == '/' && s.config[0] == '\0' && s.uid == getuid());
#ifdef __APPLE__
    assert_string_equal(s.file, "/home/anna/Library/LaunchAgents/" VX_SERVICE_LABEL ".plist");
#else
    assert_string_equal(s.file, "/home/anna/.config/systemd/user/" VX_SERVICE_UNIT);
    env[1] = config;
    assert_int_equal(vx_service_here(env, "tests/run.sh", &s, NULL), VX_OK);
    assert_string_equal(s.file, "/cfg/systemd/user/" VX_SERVICE_UNIT);
    assert_true(s.config[0] == '/' && strstr(s.config, "/tests/run.sh"));
#endif
    (void)config;
    assert_int_equal(vx_service_here(env, "no/such/file", &s, &info), VX_ERR_IO);
    assert_string_equal(info.path, "no/such/file");
}

/* The one that a real service is given: no shell, no output, a status. */
static void programs_are_run_without_a_shell(void **state)
{
    (void)state;
    char home[] = "HOME=/";
    char *env[] = {home, NULL};
    char no[] = "false", yes[] = "true", none[] = "no-such-program-as-this", operand[] = "; true";
    char *const failing[] = {no, operand, NULL}, *const good[] = {yes, NULL}, *const absent[] = {none, NULL};
    vx_service s;
    int status = -1;
    assert_int_equal(vx_service_here(env, NULL, &s, NULL), VX_OK);
    assert_int_equal(s.run(s.run_arg, good, &status, NULL), VX_OK);
    assert_int_equal(status, 0);
    assert_int_equal(s.run(s.run_arg, failing, &status, NULL), VX_OK);
    assert_int_equal(status, 1);
    assert_int_not_equal(s.run(s.run_arg, absent, &status, NULL), VX_OK);
}

static vx_err write_text(void *ctx)
{
    vx_buf text = {0};
    const vx_err err = vx_service_text(ctx, &text, NULL);
    vx_buf_done(&text);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    vx_service s = {.kind = VX_SERVICE_SYSTEMD, .program = "/v", .config = "/c"};
    vx_alloc_fail_each(write_text, &s);
    s.kind = VX_SERVICE_LAUNCHD;
    vx_alloc_fail_each(write_text, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_quoted_as_each_system_reads_them),
        cmocka_unit_test(a_path_cannot_add_a_setting),
        cmocka_unit_test(systemd_understands_the_unit),
        cmocka_unit_test(the_plist_is_well_formed),
        cmocka_unit_test(systemd_is_told_to_read_enable_and_start),
        cmocka_unit_test(launchd_is_told_to_take_the_new_in_the_olds_place),
        cmocka_unit_test(what_is_there_is_compared),
        cmocka_unit_test(a_system_that_refuses_is_told_of_and_the_file_stays),
        cmocka_unit_test(a_file_that_cannot_be_written_is_named),
        cmocka_unit_test(the_service_is_this_users),
        cmocka_unit_test(programs_are_run_without_a_shell),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
