/* fuzz_habits.c - stored habits and places, told apart by their first bytes: what is read back is written again as it was,
 * and whatever it holds, judging and learning stay within their bounds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/evidence/behaviour.h"
#include "edge/evidence/context.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_evidence(const vx_evidence *evidence)
{
    require(evidence->status == VX_EVIDENCE_VALID || evidence->status == VX_EVIDENCE_NEUTRAL);
    require(evidence->status != VX_EVIDENCE_VALID ||
            (evidence->confidence >= 0 && evidence->confidence <= 0.95 + 1e-9));
    require(memchr(evidence->reason, '\0', sizeof evidence->reason) != NULL && evidence->reason[0] != '\0');
}

static void check_same(const vx_buf *form, const uint8_t *data, size_t size)
{
    require(form->len == size && memcmp(form->data, data, size) == 0);
}

static void check_habits(const uint8_t *data, size_t size)
{
    /* A working day, a weekend's last second, and the ends of the calendar. */
    static const vx_moment moments[] = {
        {.when_ms = 1767603600000, .local = {20458, 32400}, .failures = 2},
        {.when_ms = INT64_MAX, .local = {20464, 86399}, .failures = INT32_MAX},
        {.when_ms = INT64_MIN, .local = {-25567, 0}},
    };
    vx_habits habits, again;
    vx_evidence evidence;
    vx_buf form = {0};
    if (vx_habits_decode(data, size, &habits, NULL) != VX_OK)
        return;
    require(vx_habits_encode(&habits, &form) == VX_OK);
    check_same(&form, data, size);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        vx_behaviour_judge(&habits, &moments[i], &evidence);
        check_evidence(&evidence);
        vx_habits_learn(&habits, &moments[i]);
    }
    form.len = 0;
    require(vx_habits_encode(&habits, &form) == VX_OK);
    require(vx_habits_decode(form.data, form.len, &again, NULL) == VX_OK);
    vx_buf_done(&form);
}

static void check_places(const uint8_t *data, size_t size)
{
    const vx_surroundings seen[] = {
        {.has_network = true,
         .network = "home",
         .has_device = true,
         .device = "built-in",
         .displays = 1,
         .since_lock_s = 60},
        {.displays = -1, .since_lock_s = NAN},
        {.has_network = true, .displays = INT32_MAX, .since_lock_s = INFINITY},
    };
    vx_places places, again;
    vx_evidence evidence;
    vx_buf form = {0};
    if (vx_places_decode(data, size, &places, NULL) != VX_OK)
        return;
    require(vx_places_encode(&places, &form) == VX_OK);
    check_same(&form, data, size);
    for (int round = 0; round < 40; round++) /* enough to forget */
        for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
            vx_context_judge(&places, &seen[i], &evidence);
            check_evidence(&evidence);
            vx_places_learn(&places, &seen[i]);
        }
    form.len = 0;
    require(vx_places_encode(&places, &form) == VX_OK);
    require(vx_places_decode(form.data, form.len, &again, NULL) == VX_OK);
    vx_buf_done(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_habits(data, size);
    check_places(data, size);
    return 0;
}
