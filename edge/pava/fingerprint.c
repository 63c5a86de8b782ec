/* fingerprint.c - landmarks: the peaks of a recording's spectrum that would survive noise, filters and codecs.
 * Owns:   choosing them, their bytes. Does not: compare (fingerprint_match.c).
 *
 * A peak is the highest of its neighbourhood and well above what its frequency has on average: a hum, a fan, a whistle
 * then have none, and noise added later brings few. Of the peaks of three bands the strongest of each quarter of a second
 * stay, so that no filter takes all, and none that a codec or a noise of the same level would cover. Gain moves
 * nothing; nor does an equaliser that is smooth over 100 Hz.
 */
#include "edge/pava/fingerprint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

/* Tuned on the training half of the speech with bench_fingerprint --split train, towards noise as loud as the speech. */
enum {
    REACH = 2,       /* bins and frames on each side that a peak overtops */
    SPREAD = 1,      /* bins on each side over which the average of a frequency is taken */
    NEIGHBOURS = 25, /* frames on each side in which peaks of a band compete */
    PER_BAND = 18,   /* peaks of a band that overtop all but so many of their competitors */
    N_BANDS = 3,
    MOMENT = 6,
    PER_MOMENT = 3, /* peaks that tell something, of 60 ms */
    LEAST = 12,     /* of them: fewer cannot agree on anything beyond chance */
};
/* Bins: 250, 1125, 3438 and 6250 Hz. Inside of what telephones and codecs let through, and what differs between rooms. */
static const int band_edges[N_BANDS + 1] = {8, 36, 110, 200};
enum { LOW = 2, HIGH = 206, WIDTH = HIGH - LOW }; /* bins that are looked at: the bands and around */

#define OVER_AVERAGE 5.0f  /* 7 dB over the average of the logarithms */
#define UNDER_PEAK   1e-8f /* of the recording's peak: below is digital silence, dither, and what a codec made of it */

enum { FORMAT = 1, PACKED_HEAD = 4, PACKED = 4 };

typedef struct {
    float power;
    int frame, bin, band;
    int rank; /* competitors that overtop it */
} peak;

typedef struct {
    size_t n_frames;
    float *power;   /* [n_frames][WIDTH] smoothed over time */
    float *highest; /* [n_frames][WIDTH] of the bins around, in the same frame */
    float bar[WIDTH];
    peak *peaks;
    size_t n, cap;
} picker;

/* ---- the surface --------------------------------------------------------------------------------------------------- */

/* Half of either neighbour is added: 25 ms windows of a low voice hold two or three of its cycles, and flicker. */
static void smooth(const vx_spectrogram *s, picker *p)
{
    for (size_t t = 0; t < p->n_frames; t++) {
        const float *now = s->power + t * VX_PAVA_BINS + LOW;
        const float *before = t > 0 ? now - VX_PAVA_BINS : now, *after = t + 1 < p->n_frames ? now + VX_PAVA_BINS : now;
        float *out = p->power + t * WIDTH;
        for (int k = 0; k < WIDTH; k++)
            out[k] = now[k] + 0.5f * (before[k] + after[k]);
    }
}

static void overtop(picker *p)
{
    for (size_t t = 0; t < p->n_frames; t++) {
        const float *in = p->power + t * WIDTH;
        float *out = p->highest + t * WIDTH;
        for (int k = REACH; k < WIDTH - REACH; k++) {
            const float a = in[k - 2] > in[k - 1] ? in[k - 2] : in[k - 1],
                        b = in[k + 1] > in[k + 2] ? in[k + 1] : in[k + 2];
            const float sides = a > b ? a : b;
            out[k] = sides > in[k] ? sides : in[k];
        }
    }
}

/* The bits of a float rise nearly with its logarithm, by 2^23 for a factor of 2 and off by 0.3 dB at most: the average of
 * 60,000 logarithms costs no logarithm. The lowest 12 bits are left out so that sums fit. */
enum { LOG_SHIFT = 12, LOG_ONE = 127 << (23 - LOG_SHIFT) };

static int32_t log_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits >> LOG_SHIFT) - LOG_ONE;
}

static float of_log_bits(int32_t log)
{
    const int32_t bits = (log + LOG_ONE) << LOG_SHIFT;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Fills bar: what a peak of each bin has to reach. */
static void raise_bar(picker *p)
{
    int32_t sums[WIDTH] = {0}; /* |log| < 2^18 a frame, and a minute has fewer than 2^13 frames */
    float loudest = 0;
    for (size_t i = 0; i < p->n_frames * WIDTH; i++)
        loudest = p->power[i] > loudest ? p->power[i] : loudest;
    const float least = fmaxf(UNDER_PEAK * loudest, 1e-30f);
    for (size_t t = 0; t < p->n_frames; t++)
        for (int k = 0; k < WIDTH; k++) {
            const float x = p->power[t * WIDTH + (size_t)k];
            sums[k] += log_bits(x > least ? x : least);
        }
    for (int k = SPREAD; k < WIDTH - SPREAD; k++) {
        int64_t sum = 0;
        for (int i = k - SPREAD; i <= k + SPREAD; i++)
            sum += sums[i];
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): there is a frame, or nothing is taken */
        p->bar[k] = OVER_AVERAGE * of_log_bits((int32_t)(sum / (2 * SPREAD + 1) / (int64_t)p->n_frames));
    }
}

/* ---- peaks --------------------------------------------------------------------------------------------------------- */

/* Of equals in a row the first is the peak. */
static bool overtops(const picker *p, size_t t, int k)
{
    const float *at = p->power + t * WIDTH + k, x = *at;
    if (!(x > p->bar[k]) || x < p->highest[t * WIDTH + (size_t)k] || !(x > at[-1]) || !(x > at[-WIDTH]))
        return false;
    const size_t end = t + REACH < p->n_frames ? t + REACH : p->n_frames - 1;
    for (size_t u = t > REACH ? t - REACH : 0; u <= end; u++)
        if (p->highest[u * WIDTH + (size_t)k] > x)
            return false;
    return true;
}

static void find_peaks(picker *p)
{
    for (size_t t = 1; t + 1 < p->n_frames; t++)
        for (int band = 0; band < N_BANDS; band++)
            for (int bin = band_edges[band]; bin < band_edges[band + 1] && p->n < p->cap; bin++)
                if (overtops(p, t, bin - LOW))
                    p->peaks[p->n++] = (peak){p->power[t * WIDTH + (size_t)(bin - LOW)], (int)t, bin, band, 0};
}

/* Counts for each peak those around that overtop it. Of equals the earlier does. */
static void rank_peaks(picker *p)
{
    for (size_t i = 0; i < p->n; i++) {
        peak *a = &p->peaks[i];
        for (size_t j = i + 1; j < p->n && p->peaks[j].frame - a->frame <= NEIGHBOURS; j++) {
            peak *b = &p->peaks[j];
            if (a->band != b->band)
                continue;
            if (b->power > a->power)
                a->rank++;
            else
                b->rank++;
        }
    }
}

/* The rank below which peaks stay: PER_BAND, or less where that would be more landmarks than there may be. */
static int least_rank(const picker *p)
{
    size_t of_rank[PER_BAND] = {0}, n = 0;
    int rank = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->peaks[i].rank < PER_BAND)
            of_rank[p->peaks[i].rank]++;
    while (rank < PER_BAND && n + of_rank[rank] <= VX_FINGERPRINT_LANDMARKS)
        n += of_rank[rank++];
    return rank;
}

/* Where between its neighbours the top of a parabola through the logarithms of three lies: -0.5 to 0.5. */
static double vertex(float before, float at, float after)
{
    const double a = log((double)before + 1e-30), b = log((double)at + 1e-30), c = log((double)after + 1e-30);
    const double bend = a - 2 * b + c;
    return bend < 0 ? fmax(-0.5, fmin(0.5, 0.5 * (a - c) / bend)) : 0;
}

static vx_landmark landmark_of(const picker *p, const peak *a)
{
    const float *at = p->power + (size_t)a->frame * WIDTH + (a->bin - LOW);
    const double time = a->frame + vertex(at[-WIDTH], *at, at[WIDTH]), bin = a->bin + vertex(at[-1], *at, at[1]);
    return (vx_landmark){(uint16_t)lrint(VX_LANDMARK_STEPS * time), (uint16_t)lrint(VX_LANDMARK_STEPS * bin)};
}

static int in_order(const void *a, const void *b)
{
    const vx_landmark *x = a, *y = b;
    return x->frequency != y->frequency ? (int)x->frequency - y->frequency : (int)x->time - y->time;
}

static int end_of(const vx_landmark *list, size_t n)
{
    int end = 0;
    for (size_t i = 0; i < n; i++)
        end = list[i].time >= end ? list[i].time + 1 : end;
    return end;
}

/* What agreement is counted of (fingerprint_match.c): a click has peaks at all frequencies, and they are one event. */
static size_t count_telling(const picker *p, int rank)
{
    size_t n = 0, of_moment = 0;
    for (size_t i = 0, moment = 0; i < p->n; i++) {
        const size_t now = (size_t)p->peaks[i].frame / MOMENT;
        if (p->peaks[i].rank >= rank)
            continue;
        of_moment = now == moment ? of_moment : 0;
        moment = now;
        n += of_moment++ < PER_MOMENT;
    }
    return n;
}

static vx_err choose(const picker *p, vx_fingerprint *ret, vx_errinfo *info)
{
    const int rank = least_rank(p);
    const size_t n_telling = count_telling(p, rank);
    size_t n = 0;
    if (n_telling < LEAST)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "%zu peaks stand out of its spectrum; %d tell recordings apart",
                              n_telling, LEAST);
    for (size_t i = 0; i < p->n; i++)
        n += p->peaks[i].rank < rank;
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): n is n_telling at least */
    vx_landmark *list = malloc(n * sizeof *list);
    if (!list)
        return VX_ERR_NOMEM;
    n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->peaks[i].rank < rank)
            list[n++] = landmark_of(p, &p->peaks[i]);
    qsort(list, n, sizeof *list, in_order);
    *ret = (vx_fingerprint){list, n, end_of(list, n)};
    return VX_OK;
}

vx_err vx_fingerprint_take(const vx_spectrogram *spectrogram, vx_fingerprint *ret, vx_errinfo *info)
{
    picker p = {.n_frames = spectrogram->n_frames < VX_LANDMARK_FRAMES ? spectrogram->n_frames : VX_LANDMARK_FRAMES};
    const size_t cells = p.n_frames * WIDTH;
    if (p.n_frames == 0)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "there is nothing to take a fingerprint of");
    p.cap = (p.n_frames / (REACH + 1) + 1) * (WIDTH / (REACH + 1) + 1); /* no two closer than REACH + 1 */
    p.power = malloc(2 * cells * sizeof *p.power);
    p.peaks = malloc(p.cap * sizeof *p.peaks);
    vx_err err = VX_ERR_NOMEM;
    if (p.power && p.peaks) {
        p.highest = p.power + cells;
        smooth(spectrogram, &p);
        overtop(&p);
        raise_bar(&p);
        find_peaks(&p);
        rank_peaks(&p);
        err = choose(&p, ret, info);
    }
    if (p.power)
        vx_wipe(p.power, 2 * cells * sizeof *p.power);
    if (p.peaks)
        vx_wipe(p.peaks, p.n * sizeof *p.peaks);
    free(p.power);
    free(p.peaks);
    return err;
}

void vx_fingerprint_done(vx_fingerprint *fingerprint)
{
    if (fingerprint->landmarks)
        vx_wipe(fingerprint->landmarks, fingerprint->n * sizeof *fingerprint->landmarks);
    free(fingerprint->landmarks);
    *fingerprint = (vx_fingerprint){0};
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

/* "FP", version, 0; then time and frequency of each. What another version took is not comparable. */
static const uint8_t head[PACKED_HEAD] = {'F', 'P', FORMAT, 0};

size_t vx_fingerprint_size(const vx_fingerprint *fingerprint)
{
    return PACKED_HEAD + PACKED * fingerprint->n;
}

void vx_fingerprint_pack(const vx_fingerprint *fingerprint, uint8_t *ret_bytes)
{
    memcpy(ret_bytes, head, PACKED_HEAD);
    uint8_t *to = ret_bytes + PACKED_HEAD;
    for (size_t i = 0; i < fingerprint->n; i++, to += PACKED) {
        const vx_landmark *l = &fingerprint->landmarks[i];
        to[0] = (uint8_t)l->time;
        to[1] = (uint8_t)(l->time >> 8);
        to[2] = (uint8_t)l->frequency;
        to[3] = (uint8_t)(l->frequency >> 8);
    }
}

static bool is_possible(const vx_landmark *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].time >= VX_LANDMARK_STEPS * VX_LANDMARK_FRAMES ||
            list[i].frequency >= VX_LANDMARK_STEPS * VX_PAVA_BINS || (i > 0 && in_order(&list[i - 1], &list[i]) >= 0))
            return false;
    return true;
}

vx_err vx_fingerprint_unpack(const uint8_t *bytes, size_t n, vx_fingerprint *ret)
{
    if (n < PACKED_HEAD || memcmp(bytes, head, 2) != 0)
        return VX_ERR_STORE_CORRUPT;
    if (memcmp(bytes, head, PACKED_HEAD) != 0)
        return VX_ERR_STORE_VERSION;
    if (n == PACKED_HEAD || (n - PACKED_HEAD) % PACKED != 0 || (n - PACKED_HEAD) / PACKED > VX_FINGERPRINT_LANDMARKS)
        return VX_ERR_STORE_CORRUPT;
    vx_fingerprint f = {.n = (n - PACKED_HEAD) / PACKED};
    f.landmarks = malloc(f.n * sizeof *f.landmarks);
    if (!f.landmarks)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < f.n; i++) {
        const uint8_t *from = bytes + PACKED_HEAD + PACKED * i;
        f.landmarks[i] = (vx_landmark){vx_le16(from), vx_le16(from + 2)};
    }
    if (!is_possible(f.landmarks, f.n)) {
        vx_fingerprint_done(&f);
        return VX_ERR_STORE_CORRUPT;
    }
    f.end = end_of(f.landmarks, f.n);
    *ret = f;
    return VX_OK;
}
