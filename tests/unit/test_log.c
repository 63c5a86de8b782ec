/* test_log.c - what lands on the file descriptor: nesting, escaping, the cut, whole lines from many threads. */
#include "shared/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/comma_locale.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LINE_CAP     16384

typedef struct {
    FILE *file;
    vx_log *log;
} capture;

static void begin(capture *c, vx_log_style style, vx_log_level least)
{
    c->file = tmpfile();
    assert_non_null(c->file);
    assert_int_equal(vx_log_create(fileno(c->file), style, least, &c->log), VX_OK);
}

/* Everything written since begin, zero-terminated; the caller frees. */
static char *finish(capture *c)
{
    off_t size = lseek(fileno(c->file), 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);

    assert_non_null(text);
    assert_true(pread(fileno(c->file), text, (size_t)size, 0) == size);
    vx_log_destroy(c->log);
    (void)fclose(c->file);
    return text;
}

static char *one_line(vx_log_style style, vx_log_level level, const char *message, const vx_log_field *fields, size_t n)
{
    capture c;

    begin(&c, style, VX_LOG_DEBUG);
    vx_log_write(c.log, level, message, fields, n);
    return finish(&c);
}

/* The part of a JSON line behind the time, which is checked for its form and then skipped. */
static const char *behind_json_time(const char *line)
{
    const char *time = strstr(line, "\"time\":\"");

    assert_non_null(time);
    time += strlen("\"time\":\"");
    assert_true(strspn(time, "0123456789-T:.") == strlen("2026-01-31T12:34:56.789"));
    return time + strlen("2026-01-31T12:34:56.789Z\",");
}

static void json_lines(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        vx_log_field fields[6];
        const char *want;
    } cases[] = {
        {"listening", {{0}}, "\"message\":\"listening\"}\n"},
        {"x",
         {{.key = "port", .kind = VX_FIELD_INT, .num = 8010}, {.key = "ok", .kind = VX_FIELD_BOOL, .num = 1}},
         "\"message\":\"x\",\"port\":8010,\"ok\":true}\n"},
        {"x",
         {{.key = "a", .kind = VX_FIELD_REAL, .real = 0.25},
          {.key = "b", .kind = VX_FIELD_REAL, .real = -1e-30},
          {.key = "c", .kind = VX_FIELD_REAL, .real = (double)NAN},
          {.key = "d", .kind = VX_FIELD_REAL, .real = (double)INFINITY},
          {.key = "e", .kind = VX_FIELD_INT, .num = INT64_MIN}},
         "\"message\":\"x\",\"a\":0.25,\"b\":-1e-30,\"c\":null,\"d\":null,\"e\":-9223372036854775808}\n"},
        {"x",
         {{.key = "httpRequest.requestMethod", .str = "POST"},
          {.key = "httpRequest.status", .kind = VX_FIELD_INT, .num = 200},
          {.key = "logging.googleapis.com/trace", .str = "projects/p/traces/t"},
          {.key = "httpRequest2.status", .kind = VX_FIELD_INT, .num = 1}},
         "\"message\":\"x\",\"httpRequest\":{\"requestMethod\":\"POST\",\"status\":200},"
         "\"logging.googleapis.com/trace\":\"projects/p/traces/t\",\"httpRequest2\":{\"status\":1}}\n"},
        {"x",
         {{.key = "a.b.c", .str = "1"},
          {.key = "a.b.d", .str = "2"},
          {.key = "a.e", .str = "3"},
          {.key = "a.bb.f", .str = "4"},
          {.key = "g", .str = "5"}},
         "\"message\":\"x\",\"a\":{\"b\":{\"c\":\"1\",\"d\":\"2\"},\"e\":\"3\",\"bb\":{\"f\":\"4\"}},\"g\":\"5\"}\n"},
        {"a\"b\\c\n\r\t\x01\x1b[31m\x7f", {{0}}, "\"message\":\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001b[31m\\u007f\"}\n"},
        {"\xc3\xa4 \xf0\x9d\x84\x9e \xc2\x85 \xe2\x80\xa8 \xe2\x80\xae \xe2\x81\xa6",
         {{0}},
         "\"message\":\"\xc3\xa4 \xf0\x9d\x84\x9e \\u0085 \\u2028 \\u202e \\u2066\"}\n"},
        {"\xff \xc3( \xed\xa0\x80 \xe2\x82",
         {{0}},
         "\"message\":\"\\ufffd \\ufffd( \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\"}\n"},
        {"x", {{.key = "k\"\n", .str = "v"}}, "\"message\":\"x\",\"k\\\"\\n\":\"v\"}\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = 0;
        while (n < COUNT(cases[i].fields) && cases[i].fields[n].key)
            n++;
        char *line = one_line(VX_LOG_JSON, VX_LOG_INFO, cases[i].message, cases[i].fields, n);
        assert_string_equal(behind_json_time(line), cases[i].want);
        json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        json_decref(root);
        free(line);
    }
}

static void text_lines(void **state)
{
    (void)state;
    static const struct {
        vx_log_level level;
        const char *message;
        vx_log_field fields[4];
        const char *want;
    } cases[] = {
        {VX_LOG_INFO, "ready", {{0}}, " INFO  ready\n"},
        {VX_LOG_DEBUG, "d", {{0}}, " DEBUG d\n"},
        {VX_LOG_WARNING, "w", {{0}}, " WARN  w\n"},
        {VX_LOG_ERROR, "say \"no\"", {{0}}, " ERROR say \"no\"\n"},
        {VX_LOG_INFO,
         "message",
         {{.key = "key", .str = "value"},
          {.key = "key", .str = "two words"},
          {.key = "n", .kind = VX_FIELD_INT, .num = 7}},
         " INFO  message  key=value key=\"two words\" n=7\n"},
        {VX_LOG_INFO,
         "x",
         {{.key = "a", .str = ""},
          {.key = "b", .str = "k=v"},
          {.key = "c", .str = "q\"q"},
          {.key = "d", .str = "\xc3\xa4"}},
         " INFO  x  a=\"\" b=\"k=v\" c=\"q\\\"q\" d=\"\xc3\xa4\"\n"},
        {VX_LOG_INFO, "forged\n12:00:00.000 INFO  line", {{0}}, " INFO  forged\\n12:00:00.000 INFO  line\n"},
        {VX_LOG_INFO, "x", {{.key = "r", .kind = VX_FIELD_REAL, .real = 0.5}}, " INFO  x  r=0.5\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = 0;
        while (n < COUNT(cases[i].fields) && cases[i].fields[n].key)
            n++;
        char *line = one_line(VX_LOG_TEXT, cases[i].level, cases[i].message, cases[i].fields, n);
        assert_true(strspn(line, "0123456789:.") == strlen("12:34:56.789"));
        assert_string_equal(line + strlen("12:34:56.789"), cases[i].want);
        free(line);
    }
}

static void severities(void **state)
{
    (void)state;
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

    for (int level = VX_LOG_DEBUG; level <= VX_LOG_ERROR; level++) {
        char want[64];
        char *line = one_line(VX_LOG_JSON, (vx_log_level)level, "x", NULL, 0);
        (void)snprintf(want, sizeof want, "{\"severity\":\"%s\",\"time\":\"", names[level]);
        assert_memory_equal(line, want, strlen(want));
        free(line);
    }
}

static void lesser_levels_and_no_log_write_nothing(void **state)
{
    (void)state;
    capture c;

    begin(&c, VX_LOG_TEXT, VX_LOG_WARNING);
    vx_log_write(c.log, VX_LOG_DEBUG, "no", NULL, 0);
    VX_LOG(c.log, VX_LOG_INFO, "no", vx_f_int("n", 1));
    VX_LOG(c.log, VX_LOG_WARNING, "yes", vx_f_str("s", NULL));
    VX_LOG(NULL, VX_LOG_ERROR, "no", vx_f_int("n", 1));
    char *text = finish(&c);
    assert_string_equal(text + strlen("12:34:56.789"), " WARN  yes  s=\"\"\n");
    free(text);
}

/* Long lines of every length around the limit: whole JSON, whole characters, at most 16 KiB, and marked. */
static void long_lines_are_cut_and_say_so(void **state)
{
    (void)state;
    static char message[LINE_CAP + 64];

    for (size_t len = LINE_CAP - 1400; len < sizeof message; len += 37) {
        static const vx_log_field fields[] = {{.key = "a.b.c.d", .str = "\x01\x02\x03"},
                                              {.key = "a.b.n", .kind = VX_FIELD_INT, .num = 7}};
        for (size_t i = 0; i < len; i++)
            message[i] = "a\xc3\xa4\"\x01"[i % 5];
        message[len - 1] = '\0';

        char *line = one_line(VX_LOG_JSON, VX_LOG_INFO, message, fields, COUNT(fields));
        json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        assert_true(strlen(line) <= LINE_CAP);
        assert_true(strchr(line, '\n') == line + strlen(line) - 1);
        assert_true(json_is_true(json_object_get(root, "truncated")));
        json_decref(root);
        free(line);

        line = one_line(VX_LOG_TEXT, VX_LOG_INFO, message, NULL, 0);
        assert_true(strlen(line) <= LINE_CAP);
        assert_string_equal(line + strlen(line) - strlen(" [cut]\n"), " [cut]\n");
        free(line);
    }
}

static void many_or_endless_fields_are_cut(void **state)
{
    (void)state;
    enum { N = 3000 };
    static vx_log_field fields[N];
    char long_key[200];

    for (size_t i = 0; i < N; i++)
        fields[i] = vx_f_int("x.y.count", (int64_t)i);
    char *line = one_line(VX_LOG_JSON, VX_LOG_INFO, "x", fields, N);
    assert_true(strlen(line) > LINE_CAP - 2048 && strlen(line) <= LINE_CAP);
    assert_string_equal(line + strlen(line) - strlen("}},\"truncated\":true}\n"), "}},\"truncated\":true}\n");
    free(line);

    memset(long_key, '.', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    fields[0] = vx_f_int(long_key, 1);
    line = one_line(VX_LOG_JSON, VX_LOG_INFO, "x", fields, 1);
    assert_string_equal(behind_json_time(line), "\"message\":\"x\",\"truncated\":true}\n");
    free(line);
}

static void locale_does_not_matter(void **state)
{
    (void)state;
    if (!vx_comma_locale_enter())
        skip();
    const vx_log_field field = vx_f_real("r", -1234.5);
    char *line = one_line(VX_LOG_JSON, VX_LOG_INFO, "x", &field, 1);
    vx_comma_locale_leave();
    assert_string_equal(behind_json_time(line), "\"message\":\"x\",\"r\":-1234.5}\n");
    free(line);
}

static void errno_survives_a_closed_descriptor(void **state)
{
    (void)state;
    vx_log *log;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(vx_log_create(fds[1], VX_LOG_JSON, VX_LOG_DEBUG, &log), VX_OK);
    errno = ENOENT;
    vx_log_write(log, VX_LOG_ERROR, "nobody reads this", NULL, 0);
    assert_int_equal(errno, ENOENT);
    vx_log_destroy(log);
    vx_log_destroy(NULL);
}

enum { N_THREADS = 4, N_LINES = 200 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < N_LINES; i++)
        VX_LOG(arg, VX_LOG_INFO, "a line of one thread", vx_f_int("i", i), vx_f_str("text", "and some more of it"));
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    char path[] = "/tmp/vx-test-log-XXXXXX";
    int fd = mkstemp(path), n_lines = 0;
    vx_log *log;

    assert_true(fd >= 0);
    /* Append mode, as a program's standard error usually is: each write lands whole at the end. */
    int append = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(vx_log_create(append, VX_LOG_JSON, VX_LOG_DEBUG, &log), VX_OK);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    vx_log_destroy(log);
    close(append);

    FILE *file = fdopen(fd, "r");
    char line[512];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        json_decref(root);
        n_lines++;
    }
    assert_int_equal(n_lines, N_THREADS * N_LINES);
    (void)fclose(file);
    (void)unlink(path);
}

static vx_err attempt_create(void *ctx)
{
    vx_log *log = NULL;
    vx_err err = vx_log_create(2, VX_LOG_TEXT, VX_LOG_INFO, &log);

    (void)ctx;
    assert_true((err == VX_OK) == (log != NULL));
    vx_log_destroy(log);
    return err;
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(attempt_create, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(text_lines),
        cmocka_unit_test(severities),
        cmocka_unit_test(lesser_levels_and_no_log_write_nothing),
        cmocka_unit_test(long_lines_are_cut_and_say_so),
        cmocka_unit_test(many_or_endless_fields_are_cut),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(errno_survives_a_closed_descriptor),
        cmocka_unit_test(threads_do_not_mix_lines),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
