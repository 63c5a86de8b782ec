/* types.c - the names of what types.h lists, as JSON, tables and the log write them. */
#include "edge/types.h"

const char *vx_source_name(vx_source source)
{
    static const char *const names[VX_N_SOURCES] = {"ml", "physics", "behavior", "context"};
    return (unsigned)source < VX_N_SOURCES ? names[source] : "unknown";
}

const char *vx_evidence_status_name(vx_evidence_status status)
{
    static const char *const names[] = {"unavailable", "inconclusive", "neutral", "valid"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

const char *vx_verdict_name(vx_verdict verdict)
{
    static const char *const names[VX_N_VERDICTS] = {
        "AUTHENTICATE", "CHALLENGE", "REJECT",      "ESCALATE", "NOT_ENROLLED",
        "NOT_READY",    "NO_AUDIO",  "UNAVAILABLE", "WAIT",
    };
    return (unsigned)verdict < VX_N_VERDICTS ? names[verdict] : "UNFINISHED";
}
