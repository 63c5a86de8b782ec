/* fuzz_fingerprint.c - stored fingerprints and baselines, told apart by their length: what is read back is written again as
 * it was, and whatever it holds, comparing and learning stay within their bounds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/fingerprint.h"
#include "edge/pava/pava.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_match(const vx_fingerprint *a, const vx_fingerprint *b)
{
    vx_fingerprint_match match;
    size_t which = 1;
    vx_fingerprint_find(a, b, 1, &match, &which);
    require(which == 0);
    require(match.evidence >= 0 && match.evidence < 1000);
    require(match.n_agreeing >= 0 && (size_t)match.n_agreeing <= 5 * b->n);
    require(abs(match.delay_frames) <= VX_LANDMARK_FRAMES);
}

static void check_fingerprint(const uint8_t *data, size_t size)
{
    vx_landmark few[] = {{0, 0}, {9, 100}, {40, 100}, {23999, 1027}};
    const vx_fingerprint other = {few, 4, 24000};
    vx_fingerprint f = {0};
    if (vx_fingerprint_unpack(data, size, &f) != VX_OK) {
        require(f.landmarks == NULL);
        return;
    }
    require(vx_fingerprint_size(&f) == size);
    uint8_t *again = malloc(size);
    require(again != NULL);
    vx_fingerprint_pack(&f, again);
    require(memcmp(again, data, size) == 0);
    free(again);
    check_match(&f, &f);
    check_match(&f, &other);
    check_match(&other, &f);
    vx_fingerprint_done(&f);
}

static void check_baseline(const uint8_t *data, size_t size)
{
    const vx_pava_report report = {
        .has_tract = true, .has_pitch = true, .has_room = true, .tract_cm = 16.5, .pitch_ln_hz = 5, .rt60_s = 0.4};
    vx_pava_baseline b, again;
    uint8_t bytes[VX_PAVA_BASELINE_BYTES];
    if (vx_pava_baseline_unpack(data, size, &b) != VX_OK)
        return;
    for (int round = 0; round < 20; round++)
        vx_pava_baseline_learn(&b, &report);
    require(b.n_rooms <= VX_PAVA_ROOMS && isfinite(b.tract_cm) && isfinite(b.pitch_spread));
    vx_pava_baseline_pack(&b, bytes);
    require(vx_pava_baseline_unpack(bytes, sizeof bytes, &again) == VX_OK);
    require(memcmp(&again, &b, sizeof b) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == VX_PAVA_BASELINE_BYTES)
        check_baseline(data, size);
    check_fingerprint(data, size);
    return 0;
}
