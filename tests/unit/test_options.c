/* test_options.c - sources and their order, syntax of values and of the file, unknown names, help. */
#include "shared/base/options.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/options_private.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/comma_locale.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_ARGS     8

/* Every type and property that an option can have, also those that no setting has at the moment. */
static const vx_option rows[] = {
    {"PORT", "--port", VX_FOR_CLOUD, VX_OPT_INT, "", 0, 65535, NULL, "8010", false, "Port."},
    {"VOXLOCK_OFFSET", "--offset", VX_FOR_BOTH, VX_OPT_INT, "", -20, 20, NULL, "-1", false, "Offset."},
    {"VOXLOCK_MAX_BODY", "--max-body", VX_FOR_BOTH, VX_OPT_INT, "bytes", 65536, 1 << 30, NULL, "16MiB", false, "Body."},
    {"VOXLOCK_WEIGHT", "--weight", VX_FOR_BOTH, VX_OPT_REAL, "", -1, 1, NULL, "0.40", false, "Weight."},
    {"VOXLOCK_WARM", "--warm", VX_FOR_BOTH, VX_OPT_BOOL, "", 0, 0, NULL, "false", false, "Warm."},
    {"VOXLOCK_ISA", "--isa", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "auto|avx2|avx512", "auto", false, "Set."},
    {"VOXLOCK_KEY", "--key", VX_FOR_BOTH, VX_OPT_TEXT, "", 0, 0, NULL, "", true, "Key."},
    {"VOXLOCK_PIN", "--pin", VX_FOR_BOTH, VX_OPT_INT, "", 0, 9999, NULL, "0", true, "Pin."},
    {"ECAPA_DIR", "--dir", VX_FOR_BOTH, VX_OPT_PATH, "", 0, 0, NULL, "", false, "Folder."},
    {"VOXLOCK_MIC", "--mic", VX_FOR_EDGE, VX_OPT_TEXT, "", 0, 0, NULL, "default", false, "Microphone."},
    {"VOXLOCK_BEEPS", "--beeps", VX_FOR_EDGE, VX_OPT_INT, "", 0, 9, NULL, "1", false, "Beeps."},
    {"VOXLOCK_CONFIG", "--config", VX_FOR_BOTH, VX_OPT_PATH, "", 0, 0, NULL, "", false, "File."},
};
static const vx_option_table table = {rows, COUNT(rows)};

static char *const nothing[] = {NULL};

typedef struct {
    vx_options *options;
    const char *operands[MAX_ARGS];
    int n_operands;
    vx_errinfo info;
} loaded;

/* Casts away const: the loader takes argv and environ as main gets them, and changes neither. */
static vx_err load(int program, const char *const *environ_, const char *const *argv, const char *config, loaded *ret)
{
    int argc = 0;

    *ret = (loaded){0};
    while (argv && argv[argc])
        argc++;
    return vx_options_load_from(table, program, environ_ ? (char *const *)(uintptr_t)environ_ : nothing, argc,
                                (char *const *)(uintptr_t)argv, config, ret->operands, &ret->n_operands, &ret->options,
                                &ret->info);
}

/* A config file that lives as long as the test. */
typedef struct {
    char path[32];
} temp_file;

static temp_file write_file(const char *text, size_t len)
{
    temp_file file = {"/tmp/vx-test-options-XXXXXX"};
    int fd = mkstemp(file.path);

    assert_true(fd >= 0);
    assert_true(write(fd, text, len) == (ssize_t)len);
    close(fd);
    return file;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static void values_of_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        const char *want; /* canonical text, or NULL: refused */
    } cases[] = {
        {"PORT", "0", "0"},
        {"PORT", "65535", "65535"},
        {"PORT", "0080", "80"},
        {"PORT", "65536", NULL},
        {"PORT", "-1", NULL},
        {"PORT", "+1", NULL},
        {"PORT", " 1", NULL},
        {"PORT", "1 ", NULL},
        {"PORT", "0x10", NULL},
        {"PORT", "80.0", NULL},
        {"PORT", "1e3", NULL},
        {"PORT", "-", NULL},
        {"PORT", "1KiB", NULL},
        {"PORT", "18446744073709551617", NULL},
        {"VOXLOCK_OFFSET", "-20", "-20"},
        {"VOXLOCK_OFFSET", "-21", NULL},
        {"VOXLOCK_MAX_BODY", "65536", "65536"},
        {"VOXLOCK_MAX_BODY", "64KiB", "65536"},
        {"VOXLOCK_MAX_BODY", "1GiB", "1073741824"},
        {"VOXLOCK_MAX_BODY", "400MB", "400000000"},
        {"VOXLOCK_MAX_BODY", "400mb", NULL},
        {"VOXLOCK_MAX_BODY", "63KiB", NULL},
        {"VOXLOCK_MAX_BODY", "1025MiB", NULL},
        {"VOXLOCK_MAX_BODY", "16MB", "16000000"},
        {"VOXLOCK_MAX_BODY", "16 MiB", NULL},
        {"VOXLOCK_MAX_BODY", "MiB", NULL},
        {"VOXLOCK_MAX_BODY", "9223372036854775807GiB", NULL},
        {"VOXLOCK_MAX_BODY", "17179869185GiB", NULL}, /* 1 GiB, if 64 bits are let overflow */
        {"VOXLOCK_WEIGHT", "0.25", "0.25"},
        {"VOXLOCK_WEIGHT", "-.5", "-.5"},
        {"VOXLOCK_WEIGHT", "1.", "1."},
        {"VOXLOCK_WEIGHT", "1.000001", NULL},
        {"VOXLOCK_WEIGHT", "0,5", NULL},
        {"VOXLOCK_WEIGHT", ".", NULL},
        {"VOXLOCK_WEIGHT", "1e-1", NULL},
        {"VOXLOCK_WEIGHT", "nan", NULL},
        {"VOXLOCK_WEIGHT", "inf", NULL},
        {"VOXLOCK_WEIGHT", "0.1.1", NULL},
        {"VOXLOCK_WEIGHT", "0.1234567890123456", NULL},
        {"VOXLOCK_WEIGHT", "0.00000000000000000000001", NULL},
        {"VOXLOCK_WARM", "true", "true"},
        {"VOXLOCK_WARM", "TRUE", "true"},
        {"VOXLOCK_WARM", "1", "true"},
        {"VOXLOCK_WARM", "Yes", "true"},
        {"VOXLOCK_WARM", "on", "true"},
        {"VOXLOCK_WARM", "false", "false"},
        {"VOXLOCK_WARM", "0", "false"},
        {"VOXLOCK_WARM", "no", "false"},
        {"VOXLOCK_WARM", "OFF", "false"},
        {"VOXLOCK_WARM", "2", NULL},
        {"VOXLOCK_WARM", "y", NULL},
        {"VOXLOCK_ISA", "AVX512", "avx512"},
        {"VOXLOCK_ISA", "avx2", "avx2"},
        {"VOXLOCK_ISA", "auto", "auto"},
        {"VOXLOCK_ISA", "avx", NULL},
        {"VOXLOCK_ISA", "avx5122", NULL},
        {"VOXLOCK_ISA", "auto|avx2", NULL},
        {"ECAPA_DIR", "/a b/#c", "/a b/#c"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char variable[64];
        const char *const environ_[] = {variable, NULL};
        loaded got;
        (void)snprintf(variable, sizeof variable, "%s=%s", cases[i].name, cases[i].text);
        vx_err err = load(VX_FOR_CLOUD, environ_, NULL, NULL, &got);
        if (err != (cases[i].want ? VX_OK : VX_ERR_OPTION_VALUE))
            fail_msg("%s: %s, %s", variable, vx_err_code(err), got.info.text);
        if (!cases[i].want) {
            assert_non_null(strstr(got.info.text, cases[i].name));
            assert_non_null(strstr(got.info.text, cases[i].text));
            assert_non_null(strstr(got.info.text, "(environment)"));
            continue;
        }
        const char *value, *origin;
        const vx_option *option;
        for (size_t at = 0; (option = vx_option_at(got.options, at, &value, &origin)) != NULL; at++) {
            if (strcmp(option->name, cases[i].name) == 0)
                assert_string_equal(value, cases[i].want);
        }
        vx_options_destroy(got.options);
    }
}

static void numbers_are_read_exactly(void **state)
{
    (void)state;
    static const char *const environ_[] = {"VOXLOCK_WEIGHT=0.123456789012345", "VOXLOCK_MAX_BODY=3MiB", NULL};
    loaded got;

    bool comma = vx_comma_locale_enter();
    vx_err err = load(VX_FOR_EDGE, environ_, NULL, NULL, &got);
    if (comma)
        vx_comma_locale_leave();
    assert_int_equal(err, VX_OK);
    assert_true(vx_option_real(got.options, "VOXLOCK_WEIGHT") == 0.123456789012345);
    assert_int_equal(vx_option_int(got.options, "VOXLOCK_MAX_BODY"), 3 << 20);
    assert_int_equal(vx_option_int(got.options, "VOXLOCK_OFFSET"), -1);
    assert_false(vx_option_bool(got.options, "VOXLOCK_WARM"));
    vx_options_destroy(got.options);
}

static void secrets_are_masked(void **state)
{
    (void)state;
    static const char *const environ_[] = {"VOXLOCK_KEY=hunter2", NULL};
    static const char *const bad[] = {"VOXLOCK_PIN=hunter2", NULL};
    const char *value, *origin;
    size_t n = 0;
    loaded got;

    assert_int_equal(load(VX_FOR_EDGE, environ_, NULL, NULL, &got), VX_OK);
    assert_string_equal(vx_option_text(got.options, "VOXLOCK_KEY"), "hunter2");
    for (const vx_option *option; (option = vx_option_at(got.options, n, &value, &origin)) != NULL; n++)
        assert_string_equal(value, strcmp(option->name, "VOXLOCK_KEY") == 0   ? "********"
                                   : strcmp(option->name, "VOXLOCK_PIN") == 0 ? "********"
                                                                              : value);
    assert_int_equal(n, COUNT(rows) - 1); /* all but PORT */
    vx_options_destroy(got.options);

    assert_int_equal(load(VX_FOR_EDGE, bad, NULL, NULL, &got), VX_ERR_OPTION_VALUE);
    assert_null(strstr(got.info.text, "hunter2"));
    assert_non_null(strstr(got.info.text, "VOXLOCK_PIN must be a whole number from 0 to 9999"));
}

/* ---- flags ---------------------------------------------------------------------------------------------------- */

static void flags_and_operands(void **state)
{
    (void)state;
    static const struct {
        const char *argv[MAX_ARGS];
        vx_err want;
        const char *port, *warm, *operands, *says;
    } cases[] = {
        {{NULL}, VX_OK, "8010", "false", "", NULL},
        {{"--port", "1"}, VX_OK, "1", "false", "", NULL},
        {{"--port=2", "--port=3"}, VX_OK, "3", "false", "", NULL},
        {{"--warm"}, VX_OK, "8010", "true", "", NULL},
        {{"--warm", "--no-warm"}, VX_OK, "8010", "false", "", NULL},
        {{"a", "--port", "1", "b", "-", "c"}, VX_OK, "1", "false", "a,b,-,c,", NULL},
        {{"--", "--port", "1"}, VX_OK, "8010", "false", "--port,1,", NULL},
        {{"--offset", "-3", "x"}, VX_OK, "8010", "false", "x,", NULL},
        {{"--port"}, VX_ERR_OPTION_VALUE, NULL, NULL, NULL, "--port needs a value"},
        {{"--port", "--warm"}, VX_ERR_OPTION_VALUE, NULL, NULL, NULL, "--port needs a value"},
        {{"--port="}, VX_ERR_OPTION_VALUE, NULL, NULL, NULL, "not '' (flag --port)"},
        {{"--port", "x"},
         VX_ERR_OPTION_VALUE,
         NULL,
         NULL,
         NULL,
         "PORT must be a whole number from 0 to 65535, not 'x'"},
        {{"--warm=true"}, VX_ERR_OPTION_VALUE, NULL, NULL, NULL, "--warm takes no value"},
        {{"--no-warm=1"}, VX_ERR_OPTION_VALUE, NULL, NULL, NULL, "--no-warm takes no value"},
        {{"--no-port"}, VX_ERR_OPTION_UNKNOWN, NULL, NULL, NULL, "unknown flag --no-port"},
        {{"--prot", "1"},
         VX_ERR_OPTION_UNKNOWN,
         NULL,
         NULL,
         NULL,
         "unknown flag --prot; the nearest known one is --port"},
        {{"--mic", "x"}, VX_ERR_OPTION_UNKNOWN, NULL, NULL, NULL, "unknown flag --mic"},
        {{"-p"}, VX_ERR_OPTION_UNKNOWN, NULL, NULL, NULL, "unknown flag -p"},
        {{"--=x"}, VX_ERR_OPTION_UNKNOWN, NULL, NULL, NULL, "unknown flag --;"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        loaded got;
        vx_err err = load(VX_FOR_CLOUD, NULL, cases[i].argv, NULL, &got);
        if (err != cases[i].want || (cases[i].says && !strstr(got.info.text, cases[i].says)))
            fail_msg("case %zu: %s, %s", i, vx_err_code(err), got.info.text);
        if (err != VX_OK) {
            assert_null(got.options);
            assert_null(got.operands[0]);
            continue;
        }
        char operands[64] = "";
        for (int n = 0, at = 0; n < got.n_operands; n++)
            at += snprintf(operands + at, sizeof operands - (size_t)at, "%s,", got.operands[n]);
        assert_string_equal(operands, cases[i].operands);
        assert_int_equal(vx_option_int(got.options, "PORT"), atoi(cases[i].port));
        assert_int_equal(vx_option_bool(got.options, "VOXLOCK_WARM"), strcmp(cases[i].warm, "true") == 0);
        vx_options_destroy(got.options);
    }
}

/* ---- environment ---------------------------------------------------------------------------------------------- */

static void unknown_variables(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *nearest; /* NULL: no error */
    } cases[] = {
        {"HOME=/root", NULL},
        {"PATH", NULL},
        {"PORTS=1", NULL},
        {"VOXLOCK=1", NULL},
        {"VOXLOCK_BEEPS=other program", NULL},
        {"VOXLOCK_TYPO=", NULL},
        {"VOXLOCK_ISAA=x", "VOXLOCK_ISA"},
        {"VOXLOCK_PORT=8010", "PORT"},
        {"VOXLOCK_DIR=/x", "ECAPA_DIR"},
        {"ECAPA_DIRS=/x", "ECAPA_DIR"},
        {"ECAPA_=x", "ECAPA_DIR"},
        {"VOXLOCK_WIEGHT=1", "VOXLOCK_WEIGHT"},
        {"VOXLOCK_SERVICE_HOST=10.0.0.1", NULL},
        {"VOXLOCK_SERVICE_PORT=8010", NULL},
        {"VOXLOCK_SERVICE_PORT_HTTP=8010", NULL},
        {"VOXLOCK_PORT=tcp://10.0.0.1:8010", NULL},
        {"VOXLOCK_PORT_8010_TCP=tcp://10.0.0.1:8010", NULL},
        {"VOXLOCK_PORT_8010_TCP_ADDR=10.0.0.1", NULL},
        {"VOXLOCK_PORT_8010_TCP_PORT=8010", NULL},
        {"VOXLOCK_PORT_8010_TCP_PROTO=tcp", NULL},
        {"VOXLOCK_ML_PORT_53_UDP_ADDR=10.0.0.1", NULL},
        {"ECAPA_API_SERVICE_HOST=10.0.0.1", NULL},
        {"VOXLOCK_SERVICE_PORT_=1", "PORT"},
        {"VOXLOCK_PORT_TCP=1", "PORT"},
        {"VOXLOCK_PORT__TCP=1", "PORT"},
        {"VOXLOCK_PORT_8010_TCP_X=1", "PORT"},
        {"VOXLOCK_PORT_8010_XCP=1", "PORT"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environ_[] = {cases[i].variable, NULL};
        loaded got;
        vx_err err = load(VX_FOR_CLOUD, environ_, NULL, NULL, &got);
        if (err != (cases[i].nearest ? VX_ERR_OPTION_UNKNOWN : VX_OK))
            fail_msg("%s: %s, %s", cases[i].variable, vx_err_code(err), got.info.text);
        if (cases[i].nearest && i < 12) { /* further on, several are equally far */
            char says[96];
            (void)snprintf(says, sizeof says, "unknown setting %.*s (environment); the nearest known one is %s",
                           (int)strcspn(cases[i].variable, "="), cases[i].variable, cases[i].nearest);
            assert_string_equal(got.info.text, says);
        }
        vx_options_destroy(got.options);
    }
}

static void stronger_sources_win_and_are_named(void **state)
{
    (void)state;
    static const char text[] = "PORT = 2\nVOXLOCK_OFFSET = 2\nVOXLOCK_PIN = 2\n";
    static const char *const environ_[] = {"PORT=3", "VOXLOCK_OFFSET=3", NULL};
    static const char *const argv[] = {"--port=4", NULL};
    temp_file file = write_file(text, strlen(text));
    char origin[64];
    loaded got;

    assert_int_equal(load(VX_FOR_CLOUD, environ_, argv, file.path, &got), VX_OK);
    assert_int_equal(vx_option_int(got.options, "PORT"), 4);
    assert_string_equal(vx_option_origin(got.options, "PORT"), "flag --port");
    assert_int_equal(vx_option_int(got.options, "VOXLOCK_OFFSET"), 3);
    assert_string_equal(vx_option_origin(got.options, "VOXLOCK_OFFSET"), "environment");
    assert_int_equal(vx_option_int(got.options, "VOXLOCK_PIN"), 2);
    (void)snprintf(origin, sizeof origin, "file %s:3", file.path);
    assert_string_equal(vx_option_origin(got.options, "VOXLOCK_PIN"), origin);
    assert_string_equal(vx_option_text(got.options, "VOXLOCK_ISA"), "auto");
    assert_string_equal(vx_option_origin(got.options, "VOXLOCK_ISA"), "default");
    vx_options_destroy(got.options);

    /* A bad value is an error also where a stronger source overrides it. */
    static const char *const bad[] = {"PORT=none", NULL};
    assert_int_equal(load(VX_FOR_CLOUD, bad, argv, NULL, &got), VX_ERR_OPTION_VALUE);
    (void)unlink(file.path);
}

/* ---- file ----------------------------------------------------------------------------------------------------- */

static void file_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want; /* ECAPA_DIR, or NULL: an error */
        int line;
        const char *says;
    } cases[] = {
        {"", "", 0, NULL},
        {"\n\n# comment\n  # another\n\t\n", "", 0, NULL},
        {"ECAPA_DIR=/a", "/a", 0, NULL},
        {"ECAPA_DIR = /a\r\n", "/a", 0, NULL},
        {"\xef\xbb\xbf  ECAPA_DIR\t=\t/a b  \n", "/a b", 0, NULL},
        {"ECAPA_DIR = /a # comment", "/a", 0, NULL},
        {"ECAPA_DIR = /a#b", "/a#b", 0, NULL},
        {"ECAPA_DIR = # nothing", "", 0, NULL},
        {"ECAPA_DIR =", "", 0, NULL},
        {"ECAPA_DIR = a=b \"c\"", "a=b \"c\"", 0, NULL},
        {"ECAPA_DIR = \" # a \"  # comment", " # a ", 0, NULL},
        {"ECAPA_DIR = \"a\\\"b\\\\c\\d\"", "a\"b\\c\\d", 0, NULL},
        {"ECAPA_DIR = \"\"", "", 0, NULL},
        {"VOXLOCK_BEEPS = for the other program\nECAPA_DIR = /a", "/a", 0, NULL},
        {"ECAPA_DIR = \"a", NULL, 1, "must end with a quote"},
        {"ECAPA_DIR = \"a\\\"", NULL, 1, "must end with a quote"},
        {"ECAPA_DIR = \"a\\", NULL, 1, "must end with a quote"},
        {"ECAPA_DIR = \"a\" b", NULL, 1, "must end with a quote"},
        {"\nECAPA_DIR", NULL, 2, "NAME = value"},
        {"= x", NULL, 1, "NAME = value"},
        {"ECAPA DIR = x", NULL, 1, "NAME = value"},
        {"#\nECAPA_DRI = x", NULL, 2, "unknown setting ECAPA_DRI"},
        {"HOME = x", NULL, 1, "unknown setting HOME"},
        {"ecapa_dir = x", NULL, 1, "the nearest known one is ECAPA_DIR"},
        {"ECAPA_DIR = a\n\nECAPA_DIR = b", NULL, 3, "ECAPA_DIR is already set in line 1"},
        {"VOXLOCK_MIC = a\nVOXLOCK_MIC = b", NULL, 2, "VOXLOCK_MIC is already set in line 1"},
        {"VOXLOCK_CONFIG = other", NULL, 1, "cannot be set in a config file"},
        {"ECAPA_DIR = a\x01", NULL, 1, "control character"},
        {"ECAPA_DIR = \x1b[2J", NULL, 1, "control character"},
        {"PORT = 70000", NULL, 1, "PORT must be a whole number from 0 to 65535, not '70000'"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        temp_file file = write_file(cases[i].text, strlen(cases[i].text));
        loaded got;
        char place[64];
        vx_err err = load(VX_FOR_CLOUD, NULL, NULL, file.path, &got);
        (void)snprintf(place, sizeof place, "(file %s:%d)", file.path, cases[i].line);
        if ((err == VX_OK) != (cases[i].want != NULL))
            fail_msg("case %zu: %s, %s", i, vx_err_code(err), got.info.text);
        if (err == VX_OK) {
            assert_string_equal(vx_option_text(got.options, "ECAPA_DIR"), cases[i].want);
            vx_options_destroy(got.options);
        } else if (!strstr(got.info.text, cases[i].says) || !strstr(got.info.text, place) ||
                   got.info.line != cases[i].line || strcmp(got.info.path, file.path) != 0) {
            fail_msg("case %zu: line %d, %s", i, got.info.line, got.info.text);
        }
        (void)unlink(file.path);
    }
    temp_file file = write_file("ECAPA_DIR = a\0b", 15);
    loaded got;
    assert_int_equal(load(VX_FOR_CLOUD, NULL, NULL, file.path, &got), VX_ERR_OPTION_VALUE);
    (void)unlink(file.path);
}

static void which_file_is_read(void **state)
{
    (void)state;
    temp_file one = write_file("ECAPA_DIR = one", 15), two = write_file("ECAPA_DIR = two", 15);
    char variable[64];
    (void)snprintf(variable, sizeof variable, "VOXLOCK_CONFIG=%s", two.path);
    const struct {
        const char *variable, *argv[3], *config;
        vx_err err;
        const char *want;
    } cases[] = {
        {"A=", {NULL}, one.path, VX_OK, "one"},
        {"A=", {NULL}, "/nowhere/voxlock.conf", VX_OK, ""},
        {variable, {NULL}, one.path, VX_OK, "two"},
        {variable, {"--config", one.path}, NULL, VX_OK, "one"},
        {variable, {"--config="}, one.path, VX_OK, ""},
        {"A=", {"--config", "/nowhere/voxlock.conf"}, one.path, VX_ERR_NOT_FOUND, NULL},
        {"VOXLOCK_CONFIG=/nowhere/voxlock.conf", {NULL}, one.path, VX_ERR_NOT_FOUND, NULL},
        {"A=", {"--config", "/"}, NULL, VX_ERR_IO, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environ_[] = {cases[i].variable, NULL};
        loaded got;
        vx_err err = load(VX_FOR_CLOUD, environ_, cases[i].argv, cases[i].config, &got);
        assert_int_equal(err, cases[i].err);
        assert_int_equal(got.info.code, cases[i].err);
        if (err == VX_OK)
            assert_string_equal(vx_option_text(got.options, "ECAPA_DIR"), cases[i].want);
        vx_options_destroy(got.options);
    }
    (void)unlink(one.path);
    (void)unlink(two.path);
}

/* ---- table and help ------------------------------------------------------------------------------------------- */

/* Each default stands in its own range; names and flags are unique; what a program may not ask stops it. */
static void the_real_table_is_sound(void **state)
{
    (void)state;
    size_t count;
    const vx_option *all = vx_settings_table(&count);
    const char *operands[1];
    int n_operands;

    for (size_t i = 0; i < count; i++) {
        assert_true(all[i].help[0] && all[i].help[strlen(all[i].help) - 1] == '.');
        assert_non_null(all[i].unit);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(all[i].name, all[j].name);
            if (all[i].flag && all[j].flag)
                assert_string_not_equal(all[i].flag, all[j].flag);
        }
    }
    for (int program = VX_FOR_CLOUD; program <= VX_FOR_EDGE; program++) {
        vx_options *o;
        vx_errinfo info = {0};
        if (vx_options_load(program, nothing, 0, nothing, NULL, operands, &n_operands, &o, &info) != VX_OK)
            fail_msg("%s", info.text);
        assert_string_equal(vx_option_text(o, "ECAPA_PREFERRED_STRATEGY"), "auto");
        assert_string_equal(vx_option_text(o, "ECAPA_STRICT_OFFLINE"), "true");
        if (program == VX_FOR_CLOUD) {
            assert_int_equal(vx_option_int(o, "PORT"), 8010);
            assert_int_equal(vx_option_int(o, "VOXLOCK_MAX_BODY"), 16 << 20);
            assert_false(vx_option_bool(o, "ECAPA_WARMUP_ON_START"));
        }
        vx_options_destroy(o);
    }
    char *const online[] = {(char[]){"ECAPA_STRICT_OFFLINE=false"}, NULL};
    vx_options *o;
    vx_errinfo info = {0};
    assert_int_equal(vx_options_load(VX_FOR_EDGE, online, 0, nothing, NULL, operands, &n_operands, &o, &info),
                     VX_ERR_OPTION_VALUE);
    assert_string_equal(info.text, "ECAPA_STRICT_OFFLINE must be true, not 'false' (environment)");
}

static int ask_in_child(const vx_options *options, const char *name)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        (void)signal(SIGABRT, SIG_DFL);
        (void)vx_option_int(options, name);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void wrong_questions_stop_the_program(void **state)
{
    (void)state;
    loaded got;

    assert_int_equal(load(VX_FOR_EDGE, NULL, NULL, NULL, &got), VX_OK);
    assert_int_equal(ask_in_child(got.options, "VOXLOCK_OFFSET"), 0);
    assert_int_equal(ask_in_child(got.options, "VOXLOCK_OFSET"), SIGABRT);
    assert_int_equal(ask_in_child(got.options, "VOXLOCK_WEIGHT"), SIGABRT);
    assert_int_equal(ask_in_child(got.options, "PORT"), SIGABRT);
    vx_options_destroy(got.options);
}

static void help_lists_the_program_only(void **state)
{
    (void)state;
    vx_buf out = {0};

    assert_int_equal(vx_options_help_from(table, VX_FOR_CLOUD, &out), VX_OK);
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);
    const char *text = (const char *)out.data;
    assert_memory_equal(
        text, "  PORT, --port VALUE\n      Port.\n      Takes a whole number from 0 to 65535; default: 8010.\n",
        strlen("  PORT, --port VALUE\n"));
    assert_non_null(strstr(text, "  VOXLOCK_WARM, --warm, --no-warm\n      Warm.\n      Takes true or false; default: "
                                 "false.\n"));
    assert_non_null(strstr(text, "Takes one of auto|avx2|avx512; default: auto.\n"));
    assert_non_null(strstr(
        text, "Takes a whole number from 65536 to 1073741824 bytes (KB, MB, GB, KiB, MiB, GiB allowed); default: "
              "16MiB.\n"));
    assert_null(strstr(text, "VOXLOCK_MIC"));
    vx_buf_done(&out);

    out.limit = 100;
    assert_int_equal(vx_options_help(VX_FOR_EDGE, &out), VX_ERR_OVERFLOW);
    vx_buf_done(&out);
}

/* ---- out of memory -------------------------------------------------------------------------------------------- */

static vx_err attempt_load(void *ctx)
{
    static const char *const environ_[] = {"PORT=1", NULL};
    static const char *const argv[] = {"--port", "2", "operand", NULL};
    loaded got;
    vx_err err = load(VX_FOR_CLOUD, environ_, argv, ctx, &got);

    assert_true((err == VX_OK) == (got.options != NULL));
    assert_int_equal(got.info.code, err);
    vx_options_destroy(got.options);
    return err;
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    temp_file file = write_file("ECAPA_DIR = x\n", 14);

    vx_alloc_fail_each(attempt_load, file.path);
    (void)unlink(file.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(numbers_are_read_exactly),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(flags_and_operands),
        cmocka_unit_test(unknown_variables),
        cmocka_unit_test(stronger_sources_win_and_are_named),
        cmocka_unit_test(file_syntax),
        cmocka_unit_test(which_file_is_read),
        cmocka_unit_test(the_real_table_is_sound),
        cmocka_unit_test(wrong_questions_stop_the_program),
        cmocka_unit_test(help_lists_the_program_only),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
