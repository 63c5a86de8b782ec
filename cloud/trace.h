/* trace.h - which distributed trace a request belongs to, from the headers traceparent (W3C Trace Context) and
 * X-Cloud-Trace-Context (Google Cloud).
 * Owns:   reading the two forms, and the name that Cloud Logging wants. Does not: make spans, or pass a trace on.
 */
#ifndef VX_CLOUD_TRACE_H
#define VX_CLOUD_TRACE_H

#include <stdbool.h>

#include "shared/base/err.h"

#define VX_TRACE_ID_CAP   33
#define VX_SPAN_ID_CAP    17
#define VX_PROJECT_CAP    101
#define VX_TRACE_NAME_CAP 160 /* "projects/" 100 "/traces/" 32 */

typedef struct {
    char trace_id[VX_TRACE_ID_CAP]; /* 32 lower-case hex digits, not all zero */
    char span_id[VX_SPAN_ID_CAP];   /* the caller's span: 16 of them, or "" when it did not say */
    bool sampled;                   /* somebody up the line records this trace */
} vx_trace;

/* Either header may be NULL. traceparent goes first, since it is what a caller's tracing library wrote itself; a header
 * that is not exactly of its form counts as absent.
 * ret_trace [out] untouched when the result is false: no trace */
VX_MUST_CHECK bool vx_trace_read(const char *traceparent, const char *cloud_context, vx_trace *ret_trace);

/* Checks a value of VOXLOCK_GCP_PROJECT: "", or a project's id or number. Errors: OPTION_VALUE. */
VX_MUST_CHECK vx_err vx_trace_check_project(const char *project, vx_errinfo *info);
/* The text for the log field logging.googleapis.com/trace: "projects/PROJECT/traces/ID", which Cloud Logging links to
 * the trace, or the bare id where project (checked as above) is "". */
void vx_trace_name(const vx_trace *trace, const char *project, char ret_name[VX_TRACE_NAME_CAP]);

#endif
