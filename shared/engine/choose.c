/* choose.c - the order of `auto`. */
#include "shared/engine/choose.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_reference(const vx_artefact *a)
{
    return strcmp(a->strategy, "native") == 0;
}

static bool is_measured(const vx_artefact *a)
{
    return a->cosine_min >= 0 && a->inference_ms >= 0;
}

const char *vx_choose_verdict_name(vx_choose_verdict verdict)
{
    static const char *const names[] = {"allowed", "not measured", "strays"};
    return names[verdict];
}

vx_choose_verdict vx_choose_judge(const vx_artefact *a)
{
    if (is_reference(a))
        return VX_CHOOSE_ALLOWED;
    if (!is_measured(a))
        return VX_CHOOSE_UNMEASURED;
    return a->cosine_min >= VX_CHOOSE_COSINE ? VX_CHOOSE_ALLOWED : VX_CHOOSE_STRAYING;
}

/* What orders: the reference first when nothing optimised is wanted; unmeasured last. The time of a precision that strays
 * is not the time of the reference, which then runs in f32. */
static double rank(const vx_artefact *a, bool optimized)
{
    if (!optimized && is_reference(a))
        return -1;
    if (a->precision == VX_PRECISION_BF16 && a->cosine_min < VX_CHOOSE_COSINE)
        return HUGE_VAL;
    return is_measured(a) ? a->inference_ms : HUGE_VAL;
}

int vx_choose(const vx_manifest *manifest, bool optimized, const vx_artefact *ret_order[VX_MANIFEST_MAX_ARTEFACTS])
{
    int n = 0;
    for (int i = 0; i < manifest->n_artefacts; i++) {
        const vx_artefact *a = &manifest->artefacts[i];
        if (vx_choose_judge(a) != VX_CHOOSE_ALLOWED)
            continue;
        int at = n++;
        while (at > 0 && rank(ret_order[at - 1], optimized) > rank(a, optimized)) {
            ret_order[at] = ret_order[at - 1];
            at--;
        }
        ret_order[at] = a;
    }
    return n;
}

void vx_choose_reason(const vx_artefact *const *order, int n, bool optimized, char *ret_text, size_t cap)
{
    if (!optimized) {
        snprintf(ret_text, cap, "auto: the f32 reference, since ECAPA_USE_OPTIMIZED is false");
        return;
    }
    if (!is_measured(order[0])) {
        snprintf(ret_text, cap, "auto: the manifest has no measurement that would favour another strategy");
        return;
    }
    int len = snprintf(ret_text, cap, "auto: fastest by the manifest (");
    for (int i = 0; i < n && len > 0 && (size_t)len < cap; i++) {
        const char *between = i > 0 ? ", " : "";
        if (is_measured(order[i]))
            len += snprintf(ret_text + len, cap - (size_t)len, "%s%s %.1f ms", between, order[i]->strategy,
                            order[i]->inference_ms);
        else
            len += snprintf(ret_text + len, cap - (size_t)len, "%s%s not measured", between, order[i]->strategy);
    }
    if (len > 0 && (size_t)len < cap)
        snprintf(ret_text + len, cap - (size_t)len, ")");
}
