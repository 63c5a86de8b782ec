/* metrics.c - the registry of time series and its Prometheus text.
 * Owns:   names, help, labels and values; creation order is the order of output. Does not: serve HTTP or run timers.
 *
 * Updates are single relaxed atomics: a series is a number of its own, nothing is published through it. Creation and
 * writing take the registry's lock; nothing is ever removed, so a series pointer stays good until destroy.
 */
#include "shared/base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A label value that should have been constant but was not would grow memory and the scrape without end. */
#define MAX_SERIES 2000

/* 1, 2.5 and 5 a decade around what the service promises: 10 ms an embedding, 30 s the longest deadline. */
static const double bucket_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                       0.25,   0.5,   1.0,    2.5,   5.0,  10.0,  30.0};
enum { N_BOUNDS = sizeof bucket_bounds / sizeof bucket_bounds[0] };

typedef enum { KIND_COUNTER, KIND_GAUGE, KIND_LATENCY } metric_kind;
static const char *const kind_names[] = {"counter", "gauge", "histogram"};

/* The sum is whole nanoseconds: adding is one instruction that cannot fail, where a double needs a compare-and-swap
 * loop and drops small terms. 64 bits hold 584 years. */
typedef struct {
    _Atomic uint64_t counts[N_BOUNDS + 1]; /* not cumulative; the last is above every bound */
    _Atomic uint64_t sum_ns;
} latency;

struct vx_metric {
    vx_metric *next; /* of the same name; guarded by the registry's lock */
    metric_kind kind;
    union {
        _Atomic uint64_t count;
        _Atomic uint64_t gauge_bits; /* a double, as its bits */
        latency latency;
    } u;
    char labels[]; /* without braces */
};

/* All series of one name. */
typedef struct family {
    struct family *next;
    vx_metric *first, **last;
    metric_kind kind;
    const char *help; /* behind name, in the same block */
    char name[];
} family;

struct vx_metrics {
    pthread_mutex_t lock; /* guards the lists and n_series */
    family *first, **last;
    size_t n_series;
};

/* ---- registry ------------------------------------------------------------------------------------------------- */

vx_err vx_metrics_create(vx_metrics **ret_metrics)
{
    vx_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&metrics->lock, NULL) != 0) {
        free(metrics);
        return VX_ERR_NOMEM;
    }
    metrics->last = &metrics->first;
    *ret_metrics = metrics;
    return VX_OK;
}

void vx_metrics_destroy(vx_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (family *fam = metrics->first, *next_fam; fam != NULL; fam = next_fam) {
        next_fam = fam->next;
        for (vx_metric *series = fam->first, *next; series != NULL; series = next) {
            next = series->next;
            free(series);
        }
        free(fam);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static bool valid_name(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

/* Steps over name="value" and returns what follows, NULL where the text is malformed. */
static const char *skip_label(const char *at)
{
    size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    if (n == 0 || (at[0] >= '0' && at[0] <= '9') || at[n] != '=' || at[n + 1] != '"')
        return NULL;
    for (at += n + 2; *at != '"'; at++) {
        if (*at == '\0' || *at == '\n')
            return NULL;
        if (*at == '\\' && *++at != '\\' && *at != '"' && *at != 'n')
            return NULL;
    }
    return at + 1;
}

/* One malformed series would make a scraper drop the whole page, so it is refused at the door. */
static bool valid_labels(const char *labels)
{
    if (labels[0] == '\0')
        return true;
    for (const char *at = labels;; at++) {
        at = skip_label(at);
        if (at == NULL || (*at != ',' && *at != '\0'))
            return false;
        if (*at == '\0')
            return true;
    }
}

/* Called with the lock held, like get_series. NULL when memory or room for series is out. */
static family *get_family(vx_metrics *metrics, metric_kind kind, const char *name, const char *help)
{
    for (family *fam = metrics->first; fam != NULL; fam = fam->next)
        if (strcmp(fam->name, name) == 0)
            return fam;
    if (metrics->n_series == MAX_SERIES)
        return NULL;
    size_t n_name = strlen(name) + 1, n_help = strlen(help) + 1;
    family *fam = malloc(sizeof *fam + n_name + n_help);
    if (fam == NULL)
        return NULL;
    *fam = (family){.last = &fam->first, .kind = kind, .help = fam->name + n_name};
    memcpy(fam->name, name, n_name);
    memcpy(fam->name + n_name, help, n_help);
    *metrics->last = fam;
    metrics->last = &fam->next;
    return fam;
}

static vx_metric *get_series(vx_metrics *metrics, family *fam, const char *labels)
{
    for (vx_metric *series = fam->first; series != NULL; series = series->next)
        if (strcmp(series->labels, labels) == 0)
            return series;
    if (metrics->n_series == MAX_SERIES)
        return NULL;
    size_t n_labels = strlen(labels) + 1;
    vx_metric *series = calloc(1, sizeof *series + n_labels); /* all-zero bits are the number 0 of every kind */
    if (series == NULL)
        return NULL;
    series->kind = fam->kind;
    memcpy(series->labels, labels, n_labels);
    *fam->last = series;
    fam->last = &series->next;
    metrics->n_series++;
    return series;
}

static vx_metric *find_or_make(vx_metrics *metrics, metric_kind kind, const char *name, const char *help,
                               const char *labels)
{
    if (!valid_name(name) || !valid_labels(labels))
        return NULL;
    pthread_mutex_lock(&metrics->lock);
    family *fam = get_family(metrics, kind, name, help);
    vx_metric *series = fam != NULL && fam->kind == kind ? get_series(metrics, fam, labels) : NULL;
    pthread_mutex_unlock(&metrics->lock);
    return series;
}

vx_metric *vx_metrics_counter(vx_metrics *metrics, const char *name, const char *help, const char *labels)
{
    return find_or_make(metrics, KIND_COUNTER, name, help, labels);
}

vx_metric *vx_metrics_gauge(vx_metrics *metrics, const char *name, const char *help, const char *labels)
{
    return find_or_make(metrics, KIND_GAUGE, name, help, labels);
}

vx_metric *vx_metrics_latency(vx_metrics *metrics, const char *name, const char *help, const char *labels)
{
    return find_or_make(metrics, KIND_LATENCY, name, help, labels);
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void add(_Atomic uint64_t *value, uint64_t n)
{
    atomic_fetch_add_explicit(value, n, memory_order_relaxed);
}

static double load_gauge(const vx_metric *gauge)
{
    uint64_t bits = load(&gauge->u.gauge_bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void vx_metric_add(vx_metric *counter, uint64_t n)
{
    if (counter != NULL && counter->kind == KIND_COUNTER)
        add(&counter->u.count, n);
}

void vx_metric_set(vx_metric *gauge, double value)
{
    if (gauge == NULL || gauge->kind != KIND_GAUGE)
        return;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(&gauge->u.gauge_bits, bits, memory_order_relaxed);
}

void vx_metric_observe(vx_metric *histogram, double seconds)
{
    /* NaN and negative times are faults of a caller's clock; counting them would spoil the sum for good. */
    if (histogram == NULL || histogram->kind != KIND_LATENCY || !(seconds >= 0))
        return;
    size_t bucket = 0;
    while (bucket < N_BOUNDS && seconds > bucket_bounds[bucket])
        bucket++;
    add(&histogram->u.latency.counts[bucket], 1);
    add(&histogram->u.latency.sum_ns, (uint64_t)llround(fmin(seconds, 1e6) * 1e9)); /* 1e6 s: the product stays exact */
}

double vx_metric_value(const vx_metric *metric)
{
    if (metric == NULL)
        return 0;
    if (metric->kind == KIND_GAUGE)
        return load_gauge(metric);
    if (metric->kind == KIND_COUNTER)
        return (double)load(&metric->u.count);
    uint64_t count = 0;
    for (size_t i = 0; i <= N_BOUNDS; i++)
        count += load(&metric->u.latency.counts[i]);
    return (double)count;
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

/* Text with the escapes of the format: backslash and line feed everywhere, the quote within a label value. */
static vx_err write_escaped(vx_buf *out, const char *text, bool quoted)
{
    vx_err err = VX_OK;
    for (; *text != '\0' && err == VX_OK; text++) {
        if (*text == '\n')
            err = vx_buf_append(out, "\\n", 2);
        else if (*text == '\\' || (quoted && *text == '"'))
            err = vx_buf_append(out, (const char[]){'\\', *text}, 2);
        else
            err = vx_buf_append(out, text, 1);
    }
    return err;
}

vx_err vx_metrics_label(vx_buf *labels, const char *name, const char *value)
{
    if (!valid_name(name))
        return VX_ERR_ARG;
    size_t before = labels->len;
    vx_err err = vx_buf_printf(labels, "%s%s=\"", before > 0 ? "," : "", name);
    if (err == VX_OK)
        err = write_escaped(labels, value, true);
    if (err == VX_OK)
        err = vx_buf_printf(labels, "\""); /* leaves a zero behind the text */
    if (err != VX_OK)
        labels->len = before;
    return err;
}

/* name, suffix and {labels,le="bound"}, without braces where there is no label at all. */
static vx_err write_key(vx_buf *out, const family *fam, const vx_metric *series, const char *suffix, const char *le)
{
    bool labels = series->labels[0] != '\0';
    if (le == NULL)
        return vx_buf_printf(out, "%s%s%s%s%s ", fam->name, suffix, labels ? "{" : "", series->labels,
                             labels ? "}" : "");
    return vx_buf_printf(out, "%s%s{%s%sle=\"%s\"} ", fam->name, suffix, series->labels, labels ? "," : "", le);
}

static vx_err write_count(vx_buf *out, const family *fam, const vx_metric *series, const char *suffix, const char *le,
                          uint64_t count)
{
    vx_err err = write_key(out, fam, series, suffix, le);
    return err != VX_OK ? err : vx_buf_printf(out, "%" PRIu64 "\n", count);
}

/* The shortest text that reads back as the same number: 0.1, not 0.10000000000000001. */
static vx_err write_real(vx_buf *out, double value)
{
    if (isnan(value))
        return vx_buf_printf(out, "NaN\n");
    if (isinf(value))
        return vx_buf_printf(out, "%sInf\n", value > 0 ? "+" : "-");
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return vx_buf_printf(out, "%s\n", text);
}

/* The total is the sum of the buckets as just read, so that it equals the +Inf bucket while others observe. */
static vx_err write_latency(vx_buf *out, const family *fam, const vx_metric *series)
{
    const latency *lat = &series->u.latency;
    uint64_t total = 0;
    vx_err err = VX_OK;
    for (size_t i = 0; i <= N_BOUNDS && err == VX_OK; i++) {
        char le[16] = "+Inf";
        if (i < N_BOUNDS)
            snprintf(le, sizeof le, "%g", bucket_bounds[i]);
        total += load(&lat->counts[i]);
        err = write_count(out, fam, series, "_bucket", le, total);
    }
    uint64_t sum_ns = load(&lat->sum_ns);
    if (err == VX_OK)
        err = write_key(out, fam, series, "_sum", NULL);
    if (err == VX_OK)
        err = vx_buf_printf(out, "%" PRIu64 ".%09" PRIu64 "\n", sum_ns / 1000000000u, sum_ns % 1000000000u);
    return err != VX_OK ? err : write_count(out, fam, series, "_count", NULL, total);
}

static vx_err write_series(vx_buf *out, const family *fam, const vx_metric *series)
{
    if (fam->kind == KIND_LATENCY)
        return write_latency(out, fam, series);
    if (fam->kind == KIND_COUNTER)
        return write_count(out, fam, series, "", NULL, load(&series->u.count));
    vx_err err = write_key(out, fam, series, "", NULL);
    return err != VX_OK ? err : write_real(out, load_gauge(series));
}

static vx_err write_family(vx_buf *out, const family *fam)
{
    if (fam->first == NULL)
        return VX_OK; /* memory ran out between the name and its first series */
    vx_err err = vx_buf_printf(out, "# HELP %s ", fam->name);
    if (err == VX_OK)
        err = write_escaped(out, fam->help, false);
    if (err == VX_OK)
        err = vx_buf_printf(out, "\n# TYPE %s %s\n", fam->name, kind_names[fam->kind]);
    for (const vx_metric *series = fam->first; series != NULL && err == VX_OK; series = series->next)
        err = write_series(out, fam, series);
    return err;
}

vx_err vx_metrics_write(vx_metrics *metrics, vx_buf *out)
{
    size_t before = out->len;
    vx_err err = VX_OK;
    pthread_mutex_lock(&metrics->lock);
    for (const family *fam = metrics->first; fam != NULL && err == VX_OK; fam = fam->next)
        err = write_family(out, fam);
    pthread_mutex_unlock(&metrics->lock);
    if (err != VX_OK)
        out->len = before;
    return err;
}
