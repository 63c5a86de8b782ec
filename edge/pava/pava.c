/* pava.c - the combination of the layers. None is built yet, and what is not measured is not claimed. */
#include "edge/pava/pava.h"

#include <stdio.h>
#include <string.h>

void vx_pava_judge(const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                   vx_pava_report *ret_report, vx_evidence *ret_evidence)
{
    (void)samples, (void)n, (void)known, (void)deadline_ns;
    memset(ret_report, 0, sizeof *ret_report);
    *ret_evidence = (vx_evidence){.status = VX_EVIDENCE_INCONCLUSIVE};
    (void)snprintf(ret_evidence->reason, sizeof ret_evidence->reason,
                   "this version has no layer that tells a living voice from a recording");
}

void vx_pava_report_done(vx_pava_report *report)
{
    memset(report, 0, sizeof *report);
}
