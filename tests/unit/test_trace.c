/* test_trace.c - trace headers as the W3C's and Google's documents have them, and everything beside. */
#include "cloud/trace.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID           "0af7651916cd43dd8448eb211c80319c"
#define SPAN         "b7ad6b7169203331"
#define OTHER        "105445aa7843bc8bf206b12000100000"
#define ZEROS        "00000000000000000000000000000000"

typedef struct {
    const char *header;
    const char *trace_id; /* NULL: not accepted */
    const char *span_id;
    bool sampled;
} trace_case;

static void check(const trace_case *c, const char *traceparent, const char *cloud_context)
{
    vx_trace trace = {.trace_id = "untouched"};
    if (vx_trace_read(traceparent, cloud_context, &trace) != (c->trace_id != NULL))
        fail_msg("'%s' should%s be accepted", c->header, c->trace_id ? "" : " not");
    if (!c->trace_id) {
        assert_string_equal(trace.trace_id, "untouched");
        return;
    }
    assert_string_equal(trace.trace_id, c->trace_id);
    assert_string_equal(trace.span_id, c->span_id);
    assert_int_equal(trace.sampled, c->sampled);
}

static void w3c(void **state)
{
    (void)state;
    static const trace_case cases[] = {
        {"00-" ID "-" SPAN "-01", ID, SPAN, true},
        {"00-" ID "-" SPAN "-00", ID, SPAN, false},
        {"00-" ID "-" SPAN "-ff", ID, SPAN, true},
        {"00-" ID "-" SPAN "-02", ID, SPAN, false},
        {"00-" ID "-" SPAN "-0b", ID, SPAN, true},
        {"00-" ID "-" SPAN "-01 \t", ID, SPAN, true},
        {"01-" ID "-" SPAN "-01", ID, SPAN, true},
        {"cc-" ID "-" SPAN "-01-what-the-future-brings", ID, SPAN, true},
        {"fe-" ID "-" SPAN "-01-", ID, SPAN, true},
        {"00-00000000000000000000000000000001-0000000000000001-01", "00000000000000000000000000000001",
         "0000000000000001", true},
        {"", NULL, NULL, false},
        {"00", NULL, NULL, false},
        {"00-" ID "-" SPAN "-0", NULL, NULL, false},
        {"00-" ID "-" SPAN "-01-more", NULL, NULL, false},
        {"00-" ID "-" SPAN "-01-", NULL, NULL, false},
        {"00-" ID "-" SPAN "-011", NULL, NULL, false},
        {"01-" ID "-" SPAN "-01.more", NULL, NULL, false},
        {"01-" ID "-" SPAN "-011", NULL, NULL, false},
        {"ff-" ID "-" SPAN "-01", NULL, NULL, false},
        {"0G-" ID "-" SPAN "-01", NULL, NULL, false},
        {"0A-" ID "-" SPAN "-01", NULL, NULL, false},
        {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", NULL, NULL, false},
        {"00-" ID "-B7AD6B7169203331-01", NULL, NULL, false},
        {"00-" ID "-" SPAN "-0A", NULL, NULL, false},
        {"00-" ZEROS "-" SPAN "-01", NULL, NULL, false},
        {"00-" ID "-0000000000000000-01", NULL, NULL, false},
        {"00_" ID "-" SPAN "-01", NULL, NULL, false},
        {"00-" ID "_" SPAN "-01", NULL, NULL, false},
        {"00-" ID "-" SPAN "_01", NULL, NULL, false},
        {"00-0af7651916cd43dd8448eb211c80319-" SPAN "--01", NULL, NULL, false},
        {" 00-" ID "-" SPAN "-01", NULL, NULL, false},
        {"00-" ID "-" SPAN "-01\n", NULL, NULL, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i], cases[i].header, NULL);
}

static void google(void **state)
{
    (void)state;
    static const trace_case cases[] = {
        {OTHER "/1;o=1", OTHER, "0000000000000001", true},
        {OTHER "/1;o=0", OTHER, "0000000000000001", false},
        {OTHER "/1;o=3", OTHER, "0000000000000001", true},
        {OTHER "/1", OTHER, "0000000000000001", false},
        {OTHER, OTHER, "", false},
        {OTHER ";o=1", OTHER, "", true},
        {OTHER "/0;o=1", OTHER, "", true},
        {OTHER "/18446744073709551615;o=1 ", OTHER, "ffffffffffffffff", true},
        {"105445AA7843BC8BF206B12000100000/9;o=1", OTHER, "0000000000000009", true},
        {"", NULL, NULL, false},
        {ZEROS "/1;o=1", NULL, NULL, false},
        {OTHER "0/1;o=1", NULL, NULL, false},
        {"105445aa7843bc8bf206b1200010000/1;o=1", NULL, NULL, false},
        {"g05445aa7843bc8bf206b12000100000/1;o=1", NULL, NULL, false},
        {OTHER "/;o=1", NULL, NULL, false},
        {OTHER "/18446744073709551616;o=1", NULL, NULL, false},
        {OTHER "/99999999999999999999999;o=1", NULL, NULL, false},
        {OTHER "/1;o=", NULL, NULL, false},
        {OTHER "/1;o=x", NULL, NULL, false},
        {OTHER "/1;p=1", NULL, NULL, false},
        {OTHER "/1;o=1;x", NULL, NULL, false},
        {OTHER "/-1;o=1", NULL, NULL, false},
        {OTHER "/1 2", NULL, NULL, false},
        {OTHER "\"/1", NULL, NULL, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i], NULL, cases[i].header);
}

static void which_one_counts(void **state)
{
    (void)state;
    static const struct {
        const char *traceparent, *cloud_context;
        trace_case expected;
    } cases[] = {
        {NULL, NULL, {"neither", NULL, NULL, false}},
        {"00-" ID "-" SPAN "-00", OTHER "/1;o=1", {"both", ID, SPAN, false}},
        {"00-" ID "-" SPAN "-xx", OTHER "/0;o=1", {"the first is malformed", OTHER, "", true}},
        {"00-" ID "-" SPAN "-01", "nonsense", {"the second is malformed", ID, SPAN, true}},
        {"nonsense", "nonsense", {"both are malformed", NULL, NULL, false}},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i].expected, cases[i].traceparent, cases[i].cloud_context);
}

static void names(void **state)
{
    (void)state;
    char longest[VX_PROJECT_CAP], name[VX_TRACE_NAME_CAP];
    const vx_trace trace = {.trace_id = ID};
    vx_trace_name(&trace, "", name);
    assert_string_equal(name, ID);
    vx_trace_name(&trace, "my-project-1", name);
    assert_string_equal(name, "projects/my-project-1/traces/" ID);

    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(vx_trace_check_project(longest, NULL), VX_OK);
    vx_trace_name(&trace, longest, name);
    assert_int_equal(strlen(name), 9 + 100 + 8 + 32);
    assert_string_equal(name + strlen(name) - 32, ID);
}

static void projects(void **state)
{
    (void)state;
    static const struct {
        const char *project;
        vx_err err;
    } cases[] = {
        {"", VX_OK},
        {"my-project-1", VX_OK},
        {"example.com:my-project", VX_OK},
        {"123456789012", VX_OK},
        {"My Project", VX_ERR_OPTION_VALUE},
        {"projects/my-project-1", VX_ERR_OPTION_VALUE},
        {"my-project-1\n", VX_ERR_OPTION_VALUE},
        {"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
         VX_ERR_OPTION_VALUE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_errinfo info = {0};
        assert_int_equal(vx_trace_check_project(cases[i].project, &info), cases[i].err);
        assert_int_equal(info.code, cases[i].err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w3c),   cmocka_unit_test(google),   cmocka_unit_test(which_one_counts),
        cmocka_unit_test(names), cmocka_unit_test(projects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
