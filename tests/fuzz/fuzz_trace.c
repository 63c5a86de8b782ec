/* fuzz_trace.c - two lines, traceparent and X-Cloud-Trace-Context: what is accepted is a trace that reads back as itself
 * and can go into a log line as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/trace.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static int is_lower_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len && strspn(text, "0") < len;
}

static void check(const char *traceparent, const char *cloud_context)
{
    vx_trace trace, again;
    char name[VX_TRACE_NAME_CAP], header[64];
    if (!vx_trace_read(traceparent, cloud_context, &trace))
        return;
    require(is_lower_hex(trace.trace_id, 32) && (trace.span_id[0] == '\0' || is_lower_hex(trace.span_id, 16)));
    vx_trace_name(&trace, "my-project", name);
    require(strncmp(name, "projects/my-project/traces/", 27) == 0 && strcmp(name + 27, trace.trace_id) == 0);
    if (trace.span_id[0] == '\0')
        return;
    (void)snprintf(header, sizeof header, "00-%s-%s-%02x", trace.trace_id, trace.span_id, (unsigned)trace.sampled);
    require(vx_trace_read(header, NULL, &again) && strcmp(again.trace_id, trace.trace_id) == 0);
    require(strcmp(again.span_id, trace.span_id) == 0 && again.sampled == trace.sampled);
}

/* A copy of exactly its size, so that ASan sees the first byte read too far. */
static char *copy(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    require(text != NULL);
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t first = line ? (size_t)(line - data) : size;
    char *traceparent = copy(data, first);
    char *cloud_context = line ? copy(line + 1, size - first - 1) : NULL;
    check(traceparent, cloud_context);
    check(NULL, traceparent);
    check(cloud_context, NULL);
    free(traceparent);
    free(cloud_context);
    return 0;
}
