/* metrics.h - counters, gauges and latency histograms, written as Prometheus text.
 * Owns:   the registry and its atomics. Does not: serve HTTP.
 */
#ifndef VX_BASE_METRICS_H
#define VX_BASE_METRICS_H

#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef struct vx_metrics vx_metrics;
typedef struct vx_metric vx_metric; /* one time series; owned by the registry */

VX_MUST_CHECK vx_err vx_metrics_create(vx_metrics **ret_metrics);
void vx_metrics_destroy(vx_metrics *metrics);

/* Finds or makes a series. name: [a-z_]+, counters end in _total, times in _seconds. labels: Prometheus label text
 * without braces ("route=\"/health\",status=\"200\"") built from values of this program, never from clients; "" for none.
 * All series of one name share type and help; the first help stays. Returns NULL when memory is out, 2,000 series
 * exist, the name has another type, or name or labels are malformed: a NULL series may be passed to the update
 * functions and does nothing, so that metrics never fail a request.
 * Threads: any. Lookup takes a lock; keep the pointer where it matters. */
vx_metric *vx_metrics_counter(vx_metrics *metrics, const char *name, const char *help, const char *labels);
vx_metric *vx_metrics_gauge(vx_metrics *metrics, const char *name, const char *help, const char *labels);
/* Buckets from 0.5 ms to 30 s, for latencies in seconds. */
vx_metric *vx_metrics_latency(vx_metrics *metrics, const char *name, const char *help, const char *labels);

/* Appends name="value" to a label text, with the format's escapes, and a comma where the text is not empty. A zero
 * follows the text, so that labels->data can be passed above. Errors: ARG (name), NOMEM, OVERFLOW; unchanged then. */
VX_MUST_CHECK vx_err vx_metrics_label(vx_buf *labels, const char *name, const char *value);

/* Each does nothing to a series of another type; observe takes no NaN and no negative time. */
void vx_metric_add(vx_metric *counter, uint64_t n);
void vx_metric_set(vx_metric *gauge, double value);
void vx_metric_observe(vx_metric *histogram, double seconds);
/* Current value of a counter or gauge; a histogram's count. 0 for NULL. */
double vx_metric_value(const vx_metric *metric);

/* Appends the exposition (text format 0.0.4), series grouped by name, in order of creation.
 * Errors: NOMEM, OVERFLOW (the limit of out); out is then unchanged. */
VX_MUST_CHECK vx_err vx_metrics_write(vx_metrics *metrics, vx_buf *out);

#endif
