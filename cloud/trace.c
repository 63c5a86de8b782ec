/* trace.c - trace headers. Sources: W3C Trace Context (Recommendation, 2021), sections 3.2 and 4; Google Cloud, "Trace
 * context"; hostile values are ignored, since a trace id ends up in logs.
 */
#include "cloud/trace.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/bytes.h"

#define TRACE_DIGITS (VX_TRACE_ID_CAP - 1)
#define SPAN_DIGITS  (VX_SPAN_ID_CAP - 1)
#define LOWER_HEX    "0123456789abcdef"
#define ANY_HEX      LOWER_HEX "ABCDEF"

/* Places in "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01". */
enum { AT_TRACE = 3, AT_SPAN = 36, AT_FLAGS = 53, PARENT_LEN = 55 };

static bool is_hex(const char *text, size_t n)
{
    return strspn(text, LOWER_HEX) >= n;
}

/* All zero means "no such thing" in both forms. */
static bool is_id(const char *text, size_t n)
{
    return is_hex(text, n) && strspn(text, "0") < n;
}

/* True if nothing is left but the blanks that may surround a header's value. */
static bool is_end(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

/* Later versions may only add fields at the end, so the four known ones are read from those too; ff is no version. */
static bool has_form(const char *text)
{
    if (strlen(text) < PARENT_LEN || !is_hex(text, 2) || strncmp(text, "ff", 2) == 0)
        return false;
    if (text[AT_TRACE - 1] != '-' || text[AT_SPAN - 1] != '-' || text[AT_FLAGS - 1] != '-')
        return false;
    bool later = strncmp(text, "00", 2) != 0;
    return is_end(text + PARENT_LEN) || (later && text[PARENT_LEN] == '-');
}

static bool read_traceparent(const char *text, vx_trace *ret)
{
    uint8_t flags;
    if (!has_form(text) || !is_id(text + AT_TRACE, TRACE_DIGITS) || !is_id(text + AT_SPAN, SPAN_DIGITS) ||
        !is_hex(text + AT_FLAGS, 2) || !vx_unhex(text + AT_FLAGS, 1, &flags))
        return false;
    memcpy(ret->trace_id, text + AT_TRACE, TRACE_DIGITS);
    memcpy(ret->span_id, text + AT_SPAN, SPAN_DIGITS);
    ret->sampled = flags & 1;
    return true;
}

/* A decimal number of 64 bits at *at, which is moved behind it. */
static bool take_number(const char **at, uint64_t *ret)
{
    uint64_t number = 0;
    const char *p = *at;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (p == *at)
        return false;
    *at = p;
    *ret = number;
    return true;
}

/* TRACE_ID[/SPAN_ID][;o=OPTIONS]: the trace in hex, the span in decimal, where 0 is none, bit 0 of the options set when
 * the trace is recorded. */
static bool read_cloud_context(const char *text, vx_trace *ret)
{
    uint64_t span = 0, options = 0;
    const char *at = text + TRACE_DIGITS;
    if (strspn(text, ANY_HEX) != TRACE_DIGITS || strspn(text, "0") == TRACE_DIGITS)
        return false;
    if (*at == '/' && (at++, !take_number(&at, &span)))
        return false;
    if (strncmp(at, ";o=", 3) == 0 && (at += 3, !take_number(&at, &options)))
        return false;
    if (!is_end(at))
        return false;
    for (size_t i = 0; i < TRACE_DIGITS; i++) {
        bool upper = text[i] >= 'A' && text[i] <= 'F';
        ret->trace_id[i] = (char)(upper ? text[i] - 'A' + 'a' : text[i]);
    }
    if (span != 0)
        (void)snprintf(ret->span_id, sizeof ret->span_id, "%016" PRIx64, span);
    ret->sampled = options & 1;
    return true;
}

bool vx_trace_read(const char *traceparent, const char *cloud_context, vx_trace *ret_trace)
{
    vx_trace trace = {0};
    if (!(traceparent && read_traceparent(traceparent, &trace)) &&
        !(cloud_context && read_cloud_context(cloud_context, &trace)))
        return false;
    *ret_trace = trace;
    return true;
}

/* Ids are "my-project-1", "example.com:my-project" in old organisations, or a number. */
vx_err vx_trace_check_project(const char *project, vx_errinfo *info)
{
    size_t len = strlen(project);
    if (len == 0)
        return VX_OK;
    if (len >= VX_PROJECT_CAP || strspn(project, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != len)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "VOXLOCK_GCP_PROJECT must be a project's id, such as my-project-1, not its display name");
    return VX_OK;
}

void vx_trace_name(const vx_trace *trace, const char *project, char ret_name[VX_TRACE_NAME_CAP])
{
    if (project[0])
        (void)snprintf(ret_name, VX_TRACE_NAME_CAP, "projects/%s/traces/%s", project, trace->trace_id);
    else
        (void)snprintf(ret_name, VX_TRACE_NAME_CAP, "%s", trace->trace_id);
}
