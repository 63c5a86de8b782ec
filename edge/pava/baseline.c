/* baseline.c - what is known of a speaker's throat and rooms: learned one recording at a time, kept as bytes.
 * Layout, little-endian: version (4); of tract and of pitch: count (4), mean (8), spread (8); number of rooms (4) and
 * VX_PAVA_ROOMS times their RT60 (8); zeros.
 */
#include <math.h>
#include <string.h>

#include "edge/pava/pava.h"
#include "shared/base/bytes.h"
#include "shared/base/packed.h"

enum { VERSION = 1, COUNT_MAX = 200 /* from here on the mean follows slowly: voices age */ };

/* Wider than any measurement gives: cm, ln Hz, s. What is learned must be what is read back. */
static const double TRACT[] = {5, 50}, PITCH[] = {2, 8}, ROOM[] = {0.001, 60};

static bool within(double x, const double range[2])
{
    return x >= range[0] && x <= range[1];
}

static void add(int *n, double *mean, double *spread, double x)
{
    *n += *n < COUNT_MAX;
    const double squares = *spread * *spread * (*n - 1), off = x - *mean; /* the new one counts 1 of n */
    *mean += off / *n;
    *spread = sqrt(fmax(squares + off * (x - *mean), 0) / *n);
}

void vx_pava_baseline_learn(vx_pava_baseline *baseline, const vx_pava_report *report)
{
    vx_pava_baseline *b = baseline;
    if (report->has_tract && within(report->tract_cm, TRACT))
        add(&b->n_tract, &b->tract_cm, &b->tract_spread_cm, report->tract_cm);
    if (report->has_pitch && within(report->pitch_ln_hz, PITCH))
        add(&b->n_pitch, &b->pitch_mean, &b->pitch_spread, report->pitch_ln_hz);
    if (!report->has_room || !within(report->rt60_s, ROOM))
        return;
    if (b->n_rooms == VX_PAVA_ROOMS) {
        memmove(b->room_rt60_s, b->room_rt60_s + 1, (VX_PAVA_ROOMS - 1) * sizeof *b->room_rt60_s);
        b->n_rooms--;
    }
    b->room_rt60_s[b->n_rooms++] = report->rt60_s;
}

void vx_pava_baseline_pack(const vx_pava_baseline *baseline, uint8_t ret_bytes[VX_PAVA_BASELINE_BYTES])
{
    memset(ret_bytes, 0, VX_PAVA_BASELINE_BYTES);
    uint8_t *p = vx_put_le32(ret_bytes, VERSION);
    p = vx_put_le32(p, (uint32_t)baseline->n_tract);
    p = vx_put_real(vx_put_real(p, baseline->tract_cm), baseline->tract_spread_cm);
    p = vx_put_le32(p, (uint32_t)baseline->n_pitch);
    p = vx_put_real(vx_put_real(p, baseline->pitch_mean), baseline->pitch_spread);
    p = vx_put_le32(p, (uint32_t)baseline->n_rooms);
    for (int i = 0; i < VX_PAVA_ROOMS; i++)
        p = vx_put_real(p, baseline->room_rt60_s[i]);
}

/* Reads count, mean and spread; false where they are nobody's. */
static bool read_mean(const uint8_t **p, const double range[2], int *ret_n, double *ret_mean, double *ret_spread)
{
    const uint32_t n = vx_le32(*p);
    const double mean = vx_get_real(*p + 4), spread = vx_get_real(*p + 12);
    *p += 20;
    if (n > COUNT_MAX || !(spread >= 0 && spread <= range[1]) || (n > 0 && !within(mean, range)))
        return false;
    *ret_n = (int)n;
    *ret_mean = n ? mean : 0, *ret_spread = n ? spread : 0;
    return true;
}

vx_err vx_pava_baseline_unpack(const uint8_t *bytes, size_t n, vx_pava_baseline *ret)
{
    vx_pava_baseline b = {0};
    const uint8_t *p = bytes + 4;
    if (n != VX_PAVA_BASELINE_BYTES || vx_le32(bytes) != VERSION ||
        !read_mean(&p, TRACT, &b.n_tract, &b.tract_cm, &b.tract_spread_cm) ||
        !read_mean(&p, PITCH, &b.n_pitch, &b.pitch_mean, &b.pitch_spread))
        return VX_ERR_STORE_CORRUPT;
    const uint32_t n_rooms = vx_le32(p);
    if (n_rooms > VX_PAVA_ROOMS)
        return VX_ERR_STORE_CORRUPT;
    b.n_rooms = (int)n_rooms;
    for (int i = 0; i < b.n_rooms; i++) {
        b.room_rt60_s[i] = vx_get_real(p + 4 + 8 * i);
        if (!within(b.room_rt60_s[i], ROOM))
            return VX_ERR_STORE_CORRUPT;
    }
    *ret = b;
    return VX_OK;
}
