/* test_metrics.c - series, their values, and the exposition line by line. */
#include "shared/base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static vx_metrics *new_registry(void)
{
    vx_metrics *metrics = NULL;
    assert_int_equal(vx_metrics_create(&metrics), VX_OK);
    return metrics;
}

/* Compares the exposition with `want`; reports the first line that differs. */
static void assert_exposition(vx_metrics *metrics, const char *const *want, size_t n_want)
{
    vx_buf out = {0};
    assert_int_equal(vx_buf_printf(&out, "kept\n"), VX_OK);
    assert_int_equal(vx_metrics_write(metrics, &out), VX_OK);
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);

    char *rest = (char *)out.data, *line = strsep(&rest, "\n");
    assert_string_equal(line, "kept");
    for (size_t i = 0; i < n_want; i++) {
        line = strsep(&rest, "\n");
        assert_non_null(line);
        assert_string_equal(line, want[i]);
    }
    assert_string_equal(rest, "");
    vx_buf_done(&out);
}

static void empty_registry_writes_nothing(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    assert_exposition(metrics, NULL, 0);
    vx_metrics_destroy(metrics);
    vx_metrics_destroy(NULL);
}

static void series_are_grouped_in_order_of_creation(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    vx_metric *health = vx_metrics_counter(metrics, "requests_total", "Requests answered.", "route=\"/health\"");
    vx_metric *queue = vx_metrics_gauge(metrics, "queue_length", "Tasks waiting.", "");
    vx_metric *embed =
        vx_metrics_counter(metrics, "requests_total", "another help, not used", "route=\"/e\",status=\"200\"");
    vx_metric_add(health, 1);
    vx_metric_add(health, 2);
    vx_metric_add(embed, UINT64_MAX);
    vx_metric_set(queue, 5);
    vx_metric_set(queue, 0.1);
    assert_ptr_equal(vx_metrics_counter(metrics, "requests_total", "", "route=\"/health\""), health);
    assert_true(vx_metric_value(health) == 3);
    assert_true(vx_metric_value(queue) == 0.1);

    static const char *const want[] = {
        "# HELP requests_total Requests answered.",
        "# TYPE requests_total counter",
        "requests_total{route=\"/health\"} 3",
        "requests_total{route=\"/e\",status=\"200\"} 18446744073709551615",
        "# HELP queue_length Tasks waiting.",
        "# TYPE queue_length gauge",
        "queue_length 0.1",
    };
    assert_exposition(metrics, want, COUNT(want));
    vx_metrics_destroy(metrics);
}

static void histogram_buckets_are_cumulative_and_inclusive(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    vx_metric *wait = vx_metrics_latency(metrics, "wait_seconds", "Time in the queue.", "");
    vx_metric *run = vx_metrics_latency(metrics, "wait_seconds", "", "step=\"run\"");
    static const double times[] = {0, 0.0005, 0.00050001, 0.01, 30, 30.5, 1e300, INFINITY};
    for (size_t i = 0; i < COUNT(times); i++)
        vx_metric_observe(wait, times[i]);
    vx_metric_observe(wait, NAN);
    vx_metric_observe(wait, -1e-9);
    vx_metric_observe(run, 1.0);
    assert_true(vx_metric_value(wait) == 8);

    static const char *const want[] = {
        "# HELP wait_seconds Time in the queue.",
        "# TYPE wait_seconds histogram",
        "wait_seconds_bucket{le=\"0.0005\"} 2",
        "wait_seconds_bucket{le=\"0.001\"} 3",
        "wait_seconds_bucket{le=\"0.0025\"} 3",
        "wait_seconds_bucket{le=\"0.005\"} 3",
        "wait_seconds_bucket{le=\"0.01\"} 4",
        "wait_seconds_bucket{le=\"0.025\"} 4",
        "wait_seconds_bucket{le=\"0.05\"} 4",
        "wait_seconds_bucket{le=\"0.1\"} 4",
        "wait_seconds_bucket{le=\"0.25\"} 4",
        "wait_seconds_bucket{le=\"0.5\"} 4",
        "wait_seconds_bucket{le=\"1\"} 4",
        "wait_seconds_bucket{le=\"2.5\"} 4",
        "wait_seconds_bucket{le=\"5\"} 4",
        "wait_seconds_bucket{le=\"10\"} 4",
        "wait_seconds_bucket{le=\"30\"} 5",
        "wait_seconds_bucket{le=\"+Inf\"} 8",
        "wait_seconds_sum 2000060.511000010",
        "wait_seconds_count 8",
        "wait_seconds_bucket{step=\"run\",le=\"0.0005\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.001\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.0025\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.005\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.01\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.025\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.05\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.1\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.25\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"0.5\"} 0",
        "wait_seconds_bucket{step=\"run\",le=\"1\"} 1",
        "wait_seconds_bucket{step=\"run\",le=\"2.5\"} 1",
        "wait_seconds_bucket{step=\"run\",le=\"5\"} 1",
        "wait_seconds_bucket{step=\"run\",le=\"10\"} 1",
        "wait_seconds_bucket{step=\"run\",le=\"30\"} 1",
        "wait_seconds_bucket{step=\"run\",le=\"+Inf\"} 1",
        "wait_seconds_sum{step=\"run\"} 1.000000000",
        "wait_seconds_count{step=\"run\"} 1",
    };
    assert_exposition(metrics, want, COUNT(want));
    vx_metrics_destroy(metrics);
}

static void gauges_print_the_number_they_hold(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *line;
    } cases[] = {
        {0, "g 0"},
        {-0.0, "g -0"},
        {0.1, "g 0.1"},
        {-1.5, "g -1.5"},
        {1.0 / 3.0, "g 0.3333333333333333"},
        {419430400, "g 419430400"},
        {9007199254740993.0, "g 9007199254740992"},
        {1.7976931348623157e308, "g 1.7976931348623157e+308"},
        {INFINITY, "g +Inf"},
        {-INFINITY, "g -Inf"},
        {NAN, "g NaN"},
    };
    vx_metrics *metrics = new_registry();
    vx_metric *gauge = vx_metrics_gauge(metrics, "g", "", "");
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_metric_set(gauge, cases[i].value);
        const char *const want[] = {"# HELP g ", "# TYPE g gauge", cases[i].line};
        assert_exposition(metrics, want, COUNT(want));
    }
    vx_metrics_destroy(metrics);
}

static void help_and_labels_are_escaped(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    vx_buf labels = {0};
    assert_int_equal(vx_metrics_label(&labels, "model", "a\"b\\c\nd"), VX_OK);
    assert_int_equal(vx_metrics_label(&labels, "strategy", ""), VX_OK);
    vx_buf before = labels;
    assert_int_equal(vx_metrics_label(&labels, "Bad-name", "x"), VX_ERR_ARG);
    assert_int_equal(vx_metrics_label(&labels, "", "x"), VX_ERR_ARG);
    assert_memory_equal(&labels, &before, sizeof labels);
    vx_metric *info = vx_metrics_gauge(metrics, "model_info", "one\ntwo \\ \"three\"", (const char *)labels.data);
    vx_buf_done(&labels);
    vx_metric_set(info, 1);

    static const char *const want[] = {
        "# HELP model_info one\\ntwo \\\\ \"three\"",
        "# TYPE model_info gauge",
        "model_info{model=\"a\\\"b\\\\c\\nd\",strategy=\"\"} 1",
    };
    assert_exposition(metrics, want, COUNT(want));
    vx_metrics_destroy(metrics);
}

/* What would make a scraper drop the whole page never becomes a series. */
static void malformed_series_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a b", "a-b", "A", "a1", "a\n", "\xC3\xA4"};
    static const char *const labels[] = {
        "a",         "a=",        "a=\"",     "a=\"b",          "a=b",      "=\"b\"",    "1a=\"b\"",
        "a-b=\"c\"", "a=\"b\",",  ",a=\"b\"", "a=\"b\"c",       "a=\"b\" ", " a=\"b\"",  "a=\"\n\"",
        "a=\"b\\\"", "a=\"\\x\"", "a=\"b\"}", "a=\"b\"b=\"c\"", "a=\"\\",   "{a=\"b\"}",
    };
    vx_metrics *metrics = new_registry();
    for (size_t i = 0; i < COUNT(names); i++)
        assert_null(vx_metrics_counter(metrics, names[i], "", ""));
    for (size_t i = 0; i < COUNT(labels); i++)
        if (vx_metrics_counter(metrics, "a", "", labels[i]) != NULL)
            fail_msg("taken: %s", labels[i]);
    assert_exposition(metrics, NULL, 0);
    assert_non_null(vx_metrics_counter(metrics, "a", "", "_A1=\",={}\\\\\\\"\\n\",b=\"\""));
    vx_metrics_destroy(metrics);
}

static void a_name_has_one_type(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    vx_metric *counter = vx_metrics_counter(metrics, "a", "", "");
    vx_metric *gauge = vx_metrics_gauge(metrics, "b", "", "");
    vx_metric *histogram = vx_metrics_latency(metrics, "c", "", "");
    assert_null(vx_metrics_gauge(metrics, "a", "", ""));
    assert_null(vx_metrics_latency(metrics, "a", "", "x=\"y\""));
    assert_null(vx_metrics_counter(metrics, "b", "", ""));

    /* Updates of the wrong kind, or of no series, change nothing. */
    vx_metric *const all[] = {counter, gauge, histogram, NULL};
    for (size_t i = 0; i < COUNT(all); i++) {
        if (all[i] != counter)
            vx_metric_add(all[i], 3);
        if (all[i] != gauge)
            vx_metric_set(all[i], 3);
        if (all[i] != histogram)
            vx_metric_observe(all[i], 3);
        assert_true(vx_metric_value(all[i]) == 0);
    }
    vx_metrics_destroy(metrics);
}

static void series_are_bounded(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    char label[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(label, sizeof label, "i=\"%d\"", i);
        assert_non_null(vx_metrics_counter(metrics, i % 2 ? "odd" : "even", "", label));
    }
    assert_null(vx_metrics_counter(metrics, "odd", "", "i=\"2000\""));
    assert_null(vx_metrics_counter(metrics, "new", "", ""));
    assert_non_null(vx_metrics_counter(metrics, "odd", "", "i=\"1999\""));
    vx_metrics_destroy(metrics);
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

enum { N_THREADS = 8, N_ROUNDS = 2000 };

/* Each thread looks its series up anew now and then, so that lookup, update and writing all overlap. */
static void *hammer(void *arg)
{
    vx_metrics *metrics = arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        char label[32];
        snprintf(label, sizeof label, "i=\"%d\"", i % 10);
        vx_metric_add(vx_metrics_counter(metrics, "n_total", "", label), 1);
        vx_metric_observe(vx_metrics_latency(metrics, "t_seconds", "", ""), 0.001);
        vx_metric_set(vx_metrics_gauge(metrics, "g", "", ""), i);
    }
    return NULL;
}

static void no_update_is_lost_between_threads(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, metrics), 0);
    for (int i = 0; i < 20; i++) {
        vx_buf out = {0};
        assert_int_equal(vx_metrics_write(metrics, &out), VX_OK);
        vx_buf_done(&out);
    }
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    double sum = 0;
    for (int i = 0; i < 10; i++) {
        char label[32];
        snprintf(label, sizeof label, "i=\"%d\"", i);
        sum += vx_metric_value(vx_metrics_counter(metrics, "n_total", "", label));
    }
    assert_true(sum == N_THREADS * N_ROUNDS);
    assert_true(vx_metric_value(vx_metrics_latency(metrics, "t_seconds", "", "")) == N_THREADS * N_ROUNDS);
    assert_true(vx_metric_value(vx_metrics_gauge(metrics, "g", "", "")) == N_ROUNDS - 1);
    vx_buf out = {0};
    assert_int_equal(vx_metrics_write(metrics, &out), VX_OK);
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);
    assert_non_null(strstr((const char *)out.data, "\nt_seconds_sum 16.000000000\n"));
    vx_buf_done(&out);
    vx_metrics_destroy(metrics);
}

/* ---- failures -------------------------------------------------------------------------------------------------- */

static vx_err make_and_write(void *ctx)
{
    (void)ctx;
    vx_metrics *metrics = NULL;
    vx_buf out = {0};
    vx_err err = vx_metrics_create(&metrics);
    if (err != VX_OK)
        return err;
    vx_metric *counter = vx_metrics_counter(metrics, "a", "help", "b=\"c\"");
    vx_metric *histogram = vx_metrics_latency(metrics, "t_seconds", "help", "");
    vx_metric_add(counter, 1);
    vx_metric_observe(histogram, 1);
    err = vx_metrics_write(metrics, &out);
    if (err != VX_OK)
        assert_int_equal(out.len, 0);
    else if (counter == NULL || histogram == NULL)
        err = VX_ERR_NOMEM;
    vx_buf_done(&out);
    vx_metrics_destroy(metrics);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(make_and_write, NULL);
}

/* A page that does not fit leaves what was in the buffer, for every size it could fail at. */
static void a_page_is_whole_or_absent(void **state)
{
    (void)state;
    vx_metrics *metrics = new_registry();
    vx_metric_add(vx_metrics_counter(metrics, "a", "x\\y", "b=\"c\""), 1);
    vx_metric_observe(vx_metrics_latency(metrics, "t_seconds", "", ""), 1);
    vx_buf whole = {0};
    assert_int_equal(vx_metrics_write(metrics, &whole), VX_OK);
    for (size_t limit = 1; limit <= whole.len; limit++) {
        vx_buf out = {.limit = limit};
        vx_err err = vx_metrics_write(metrics, &out);
        assert_int_equal(err, limit < whole.len ? VX_ERR_OVERFLOW : VX_OK);
        assert_int_equal(out.len, limit < whole.len ? 0 : whole.len);
        vx_buf_done(&out);
    }
    vx_buf_done(&whole);
    vx_metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_registry_writes_nothing),
        cmocka_unit_test(series_are_grouped_in_order_of_creation),
        cmocka_unit_test(histogram_buckets_are_cumulative_and_inclusive),
        cmocka_unit_test(gauges_print_the_number_they_hold),
        cmocka_unit_test(help_and_labels_are_escaped),
        cmocka_unit_test(malformed_series_are_refused),
        cmocka_unit_test(a_name_has_one_type),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(no_update_is_lost_between_threads),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(a_page_is_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
