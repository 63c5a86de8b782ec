/* context.c - places: what is usual, and the form in which it is kept.
 * Owns:   weights, decay and the mapping to a confidence (context.h states it). Does not: see anything (surroundings.c).
 */
#include "edge/evidence/context.h"

#include <math.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "edge/evidence/behaviour.h"
#include "shared/base/packed.h"

/* ---- what the numbers decide ---- */

/* A new place costs as much as it can without stopping the owner on a journey: with voice and signs of life at 0.92 and
 * 0.88, a good hour and everything new, P is still 0.86. */
#define NEW             0.50
#define ALWAYS          0.95
#define LOCKED_NOW      0.85
#define LOCKED_RECENT_S 3600.0
#define LOCKED_LONG_S   (72 * 3600.0)
/* Per later acceptance of the kind; below FORGOTTEN, after 99 of them, a place that was seen once is none. */
#define DECAY           0.97
#define FORGOTTEN       0.05

static const double WEIGHTS[VX_N_PLACE_KINDS] = {
    [VX_PLACE_NETWORK] = 0.50, [VX_PLACE_DEVICE] = 0.25, [VX_PLACE_DISPLAYS] = 0.15};
#define LOCK_WEIGHT 0.10

static double logit(double p)
{
    return log(p / (1 - p));
}

/* ---- places ---- */

vx_err vx_places_init(vx_places *places)
{
    uint8_t salt[VX_PLACE_KEY];
    if (RAND_bytes(salt, sizeof salt) != 1)
        return VX_ERR_INTERNAL;
    *places = (vx_places){0};
    memcpy(places->salt, salt, sizeof salt);
    return VX_OK;
}

/* The key of what is seen of one kind; false when nothing is. */
static bool key_of(const vx_surroundings *now, vx_place_kind kind, uint8_t ret_key[VX_PLACE_KEY])
{
    memset(ret_key, 0, VX_PLACE_KEY);
    switch (kind) {
    case VX_PLACE_NETWORK: memcpy(ret_key, now->network, VX_PLACE_KEY); return now->has_network;
    case VX_PLACE_DEVICE: memcpy(ret_key, now->device, VX_PLACE_KEY); return now->has_device;
    case VX_PLACE_DISPLAYS:
        /* How many there are identifies nobody. */
        (void)vx_put_le32(ret_key, (uint32_t)now->displays);
        return now->displays >= 0;
    default: return false;
    }
}

/* Its index, or -1. */
static int find(const vx_places *places, vx_place_kind kind, const uint8_t key[VX_PLACE_KEY])
{
    for (int i = 0; i < VX_PLACES_MAX; i++)
        if (places->places[i].kind == kind && memcmp(places->places[i].key, key, VX_PLACE_KEY) == 0)
            return i;
    return -1;
}

static double weight_of_kind(const vx_places *places, vx_place_kind kind)
{
    double sum = 0;
    for (int i = 0; i < VX_PLACES_MAX; i++)
        sum += places->places[i].kind == kind ? places->places[i].weight : 0;
    return sum;
}

/* ---- judging ---- */

/* What one kind of thing says. */
struct view {
    bool seen;
    double confidence;
};

static struct view view_of(const vx_places *places, const vx_surroundings *now, vx_place_kind kind)
{
    uint8_t key[VX_PLACE_KEY];
    if (!key_of(now, kind, key) || weight_of_kind(places, kind) < VX_PLACE_KIND_MIN)
        return (struct view){0};
    const int i = find(places, kind, key);
    const double weight = i < 0 ? 0 : places->places[i].weight;
    return (struct view){true, NEW + (ALWAYS - NEW) * weight / (weight + 1)};
}

/* Straight in the logarithm of time, as nights and weekends are to minutes. NaN compares as unknown. */
static struct view view_of_lock(double since_lock_s)
{
    if (!(since_lock_s >= 0))
        return (struct view){0};
    const double age =
        log(fmax(since_lock_s, LOCKED_RECENT_S) / LOCKED_RECENT_S) / log(LOCKED_LONG_S / LOCKED_RECENT_S);
    return (struct view){true, LOCKED_NOW - (LOCKED_NOW - NEW) * fmin(age, 1)};
}

static void explain(const struct view views[VX_N_PLACE_KINDS], const struct view *lock, vx_evidence *evidence)
{
    static const char *const names[VX_N_PLACE_KINDS] = {
        [VX_PLACE_NETWORK] = "network", [VX_PLACE_DEVICE] = "microphone", [VX_PLACE_DISPLAYS] = "number of displays"};
    char *reason = evidence->reason;
    size_t len = 0;
    for (int k = VX_PLACE_NETWORK; k < VX_N_PLACE_KINDS; k++)
        if (views[k].seen)
            len += (size_t)snprintf(reason + len, sizeof evidence->reason - len, "%s%s %s", len > 0 ? ", " : "",
                                    views[k].confidence <= NEW                ? "a new"
                                    : views[k].confidence < VX_HABITS_NEUTRAL ? "a rare"
                                                                              : "a known",
                                    names[k]);
    if (lock->seen && lock->confidence < VX_HABITS_NEUTRAL)
        len += (size_t)snprintf(reason + len, sizeof evidence->reason - len, "%sthe screen was locked for long",
                                len > 0 ? ", " : "");
    if (len == 0) /* only a lock, and a recent one */
        (void)snprintf(reason, sizeof evidence->reason, "the screen was locked a short time ago");
}

void vx_context_judge(const vx_places *places, const vx_surroundings *now, vx_evidence *ret_evidence)
{
    const struct view lock = view_of_lock(now->since_lock_s);
    struct view views[VX_N_PLACE_KINDS] = {{0}};
    vx_evidence evidence = {.status = VX_EVIDENCE_NEUTRAL};
    double odds = logit(VX_HABITS_NEUTRAL);
    bool seen = lock.seen;
    if (places->n < VX_HABITS_MIN) {
        (void)snprintf(evidence.reason, sizeof evidence.reason,
                       "no places known yet: %u of the %d unlocks they are learned from", places->n, VX_HABITS_MIN);
        *ret_evidence = evidence;
        return;
    }
    for (int k = VX_PLACE_NETWORK; k < VX_N_PLACE_KINDS; k++) {
        views[k] = view_of(places, now, (vx_place_kind)k);
        seen |= views[k].seen;
        if (views[k].seen)
            odds += WEIGHTS[k] * (logit(views[k].confidence) - logit(VX_HABITS_NEUTRAL));
    }
    if (lock.seen)
        odds += LOCK_WEIGHT * (logit(lock.confidence) - logit(VX_HABITS_NEUTRAL));
    if (seen) {
        evidence.status = VX_EVIDENCE_VALID;
        evidence.confidence = 1 / (1 + exp(-odds));
        explain(views, &lock, &evidence);
    } else {
        (void)snprintf(evidence.reason, sizeof evidence.reason,
                       "nothing that was learned of the place can be seen now");
    }
    *ret_evidence = evidence;
}

/* ---- learning ---- */

/* Used places stay in front: the last one fills the hole. */
static void forget(vx_places *places, int i)
{
    int last = VX_PLACES_MAX - 1;
    while (last > i && places->places[last].kind == VX_PLACE_FREE)
        last--;
    places->places[i] = places->places[last];
    memset(&places->places[last], 0, sizeof places->places[last]);
}

static void fade(vx_places *places, vx_place_kind kind)
{
    for (int i = VX_PLACES_MAX - 1; i >= 0; i--) {
        if (places->places[i].kind != kind)
            continue;
        places->places[i].weight *= DECAY;
        if (places->places[i].weight < FORGOTTEN)
            forget(places, i);
    }
}

/* A free one, or the one of least weight made free. */
static int make_room(vx_places *places)
{
    int least = 0;
    for (int i = 0; i < VX_PLACES_MAX; i++) {
        if (places->places[i].kind == VX_PLACE_FREE)
            return i;
        if (places->places[i].weight < places->places[least].weight)
            least = i;
    }
    forget(places, least);
    return VX_PLACES_MAX - 1;
}

void vx_places_learn(vx_places *places, const vx_surroundings *now)
{
    for (int k = VX_PLACE_NETWORK; k < VX_N_PLACE_KINDS; k++) {
        uint8_t key[VX_PLACE_KEY];
        if (!key_of(now, (vx_place_kind)k, key))
            continue; /* what was not seen did not change */
        fade(places, (vx_place_kind)k);
        int i = find(places, (vx_place_kind)k, key);
        if (i < 0) {
            i = make_room(places);
            memcpy(places->places[i].key, key, VX_PLACE_KEY);
            places->places[i].kind = (uint8_t)k;
        }
        places->places[i].weight += 1;
    }
    places->n += places->n < UINT32_MAX;
}

/* ---- the form in which places are kept ----
 * "vxp1" | n 4 | salt 16 | number of places 4 | places, each kind 1, key 16, weight 8 */

static const char MAGIC[4] = {'v', 'x', 'p', '1'};
enum { FIXED_BYTES = 4 + 4 + VX_PLACE_KEY + 4, PLACE_BYTES = 1 + VX_PLACE_KEY + 8 };

static uint32_t count(const vx_places *places)
{
    uint32_t n = 0;
    while (n < VX_PLACES_MAX && places->places[n].kind != VX_PLACE_FREE)
        n++;
    return n;
}

vx_err vx_places_encode(const vx_places *places, vx_buf *out)
{
    const uint32_t n = count(places);
    const size_t len = FIXED_BYTES + (size_t)PLACE_BYTES * n;
    vx_err err = vx_buf_reserve(out, len);
    if (err != VX_OK)
        return err;
    uint8_t *p = vx_put_bytes(out->data + out->len, MAGIC, sizeof MAGIC);
    p = vx_put_le32(p, places->n);
    p = vx_put_bytes(p, places->salt, VX_PLACE_KEY);
    p = vx_put_le32(p, n);
    for (uint32_t i = 0; i < n; i++) {
        *p++ = places->places[i].kind;
        p = vx_put_bytes(p, places->places[i].key, VX_PLACE_KEY);
        p = vx_put_real(p, places->places[i].weight);
    }
    out->len += len;
    return VX_OK;
}

static vx_err corrupt(vx_errinfo *info, const char *what)
{
    return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the stored places cannot be read: %s", what);
}

vx_err vx_places_decode(const void *data, size_t len, vx_places *ret, vx_errinfo *info)
{
    /* The sum of all DECAY^i, and room for rounding. */
    const double weight_max = 1 / (1 - DECAY) + 1;
    const uint8_t *p = data;
    vx_places places = {0};
    if (len < FIXED_BYTES || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return corrupt(info, "they are not of a form that this version writes");
    places.n = vx_le32(p + 4);
    memcpy(places.salt, p + 8, VX_PLACE_KEY);
    const uint32_t n = vx_le32(p + 8 + VX_PLACE_KEY);
    if (n > VX_PLACES_MAX || len != FIXED_BYTES + (size_t)PLACE_BYTES * n)
        return corrupt(info, "their length is wrong");
    p += FIXED_BYTES;
    for (uint32_t i = 0; i < n; i++, p += PLACE_BYTES) {
        const uint8_t kind = p[0];
        const double weight = vx_get_real(p + 1 + VX_PLACE_KEY);
        if (kind == VX_PLACE_FREE || kind >= VX_N_PLACE_KINDS)
            return corrupt(info, "a place is of no known kind");
        if (!(weight >= FORGOTTEN && weight <= weight_max))
            return corrupt(info, "the weight of a place is out of range");
        if (find(&places, (vx_place_kind)kind, p + 1) >= 0)
            return corrupt(info, "a place is there twice");
        memcpy(places.places[i].key, p + 1, VX_PLACE_KEY);
        places.places[i].kind = kind;
        places.places[i].weight = weight;
    }
    *ret = places;
    return VX_OK;
}
