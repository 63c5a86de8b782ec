/* fingerprint_match.c - do two sets of landmarks agree on one delay?
 * Owns:   the votes for delays, and what chance makes of them. Does not: choose landmarks (fingerprint.c).
 *
 * Every pair of landmarks of one frequency votes for the delay between them. Of two recordings of one sound, some of the
 * landmarks are the same, and their votes fall on one delay; all others scatter. How many fall together by chance is read
 * off the delays around: two vowels of one pitch agree on 100 ms of delays, and so on none.
 *
 * What agrees by accident agrees together: one harmonic of a vowel, and all of them do; a click is at all frequencies; the
 * beeps of a telephone exchange, and a radio's tone that pulses, are in thousands of recordings. So no 60 ms and no 63 Hz
 * count more than a few.
 */
#include <math.h>
#include <string.h>

#include "edge/pava/fingerprint.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

enum {
    TIMES = VX_LANDMARK_STEPS * VX_LANDMARK_FRAMES,
    FREQUENCIES = VX_LANDMARK_STEPS * VX_PAVA_BINS,
    NEAR = 2,     /* steps: 16 Hz */
    TOGETHER = 1, /* steps on either side: votes for delays within 7.5 ms are for one */
    SPAN = 2 * TOGETHER + 1,
    AROUND = 20, /* spans on each side of a delay that say what chance does there: 150 ms */
    SHADOW = 3,  /* those next to it do not: a landmark that lies a little off */
    STRETCH = 24,
    PER_STRETCH = 3, /* landmarks that count of 60 ms */
    ZONE = 8,
    PER_ZONE = 4, /* and of 63 Hz */
    CHUNK = 128,  /* delays that are counted at once */
    SLOTS = 2,
    ELSEWHERE = TIMES + CHUNK + 2, /* behind all that is counted */
    BETWEEN_LOOKS = 16,            /* comparisons: some 10 us */
};

/* Deviations above chance that make a replay: two utterances of one person get there once in ten million pairs or so, and
 * a lock compares with thousands at each attempt. */
static const double SAME_DEVIATIONS = 5.0;

/* A recording that is played 1 % faster or slower shares no peak with itself any more, and whoever replays can turn that
 * knob. So other speeds are tried, close enough that those in between are found: from 6 % slower to 6 % faster, where
 * a voice begins to sound like another's. Nine tries find more by chance than one: evidence at another speed counts less,
 * and below a bound is not looked at. */
enum { SPEEDS = 4 }; /* on either side */
static const double SPEED_STEP = 0.015, OTHER_SPEED = 0.85, WORTH_A_LOOK = 0.75, BEYOND_DOUBT = 1.5;

/* The landmarks of one recording, to be found by frequency: those near frequency f have the times times[first[f]] up to
 * times[first[f + 2 * NEAR + 1]]. How many those are changes from frequency to frequency, and no processor guesses it: half
 * the time of a comparison went there. So SLOTS of them, fewer or not, vote without being counted first. */
typedef struct {
    uint16_t first[FREQUENCIES + 2 * NEAR + 1];
    uint16_t times[VX_FINGERPRINT_LANDMARKS];
    int16_t slots[FREQUENCIES][SLOTS]; /* minus the first times near a frequency; ELSEWHERE: there is none */
    int end;                           /* behind the last time */
} by_frequency;

/* Votes for the delays from -asked->end on. Landmarks differ, so one gives a delay at most a vote for each of the
 * frequencies around it: 16 bits hold them. */
typedef struct {
    int16_t votes[2 * TIMES + ELSEWHERE];
} ballot;

static void arrange(const vx_fingerprint *f, by_frequency *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->end = f->end;
    for (size_t i = 0; i < f->n; i++) {
        ret->first[NEAR + f->landmarks[i].frequency + 1]++;
        ret->times[i] = f->landmarks[i].time;
    }
    for (int i = 1; i <= FREQUENCIES + 2 * NEAR; i++)
        ret->first[i] = (uint16_t)(ret->first[i] + ret->first[i - 1]);
    for (int i = 0; i < FREQUENCIES; i++)
        for (int k = 0; k < SLOTS; k++) {
            const int at = ret->first[i] + k;
            ret->slots[i][k] = at < ret->first[i + 2 * NEAR + 1] ? (int16_t)-ret->times[at] : ELSEWHERE;
        }
}

/* Returns the number of votes. */
static int vote(const by_frequency *asked, const vx_fingerprint *heard, int n_delays, ballot *b)
{
    int n = 0;
    memset(b->votes, 0, (size_t)(n_delays + CHUNK + 2) * sizeof b->votes[0]);
    for (size_t i = 0; i < heard->n; i++) {
        const vx_landmark l = heard->landmarks[i];
        const int from = asked->first[l.frequency], to = asked->first[l.frequency + 2 * NEAR + 1];
        int16_t *at = b->votes + asked->end + l.time;
        for (int k = 0; k < SLOTS; k++)
            at[asked->slots[l.frequency][k]]++;
        for (int j = from + SLOTS; j < to; j++)
            at[-asked->times[j]]++;
        n += to - from;
    }
    return n;
}

/* Votes for the delay behind v with those next to it. */
static int16_t together(const int16_t *v)
{
    return (int16_t)(v[0] + v[1] + v[2]);
}

/* Of a fixed number of delays, and only how many: so that compilers make vector code of it. */
static int16_t most_of(const int16_t *v)
{
    int16_t most = 0;
    for (int i = 0; i < CHUNK; i++) {
        const int16_t n = together(v + i);
        most = n > most ? n : most;
    }
    return most;
}

/* The most votes, and for which delay: the first of equals. */
static int count(const ballot *b, int n_delays, int *ret_best)
{
    int16_t most = 0;
    int best = 0;
    for (int d = 0; d < n_delays; d += CHUNK) {
        const int16_t n = most_of(b->votes + d);
        if (n > most) {
            most = n;
            best = d;
        }
    }
    while (together(b->votes + best) != most)
        best++;
    *ret_best = best + TOGETHER;
    return most;
}

/* Counts scatter with their root; the roots of counts by one half, whatever is expected. */
static double deviations(double found, double expected)
{
    return 2 * (sqrt(found) - sqrt(expected));
}

/* What any delay would get on average if votes fell blindly. */
static double blind(const by_frequency *asked, const vx_fingerprint *heard, int delay, int n_votes)
{
    const int from = delay > 0 ? delay : 0, to = heard->end < asked->end + delay ? heard->end : asked->end + delay;
    return to > from ? (double)n_votes * SPAN * (to - from) / ((double)asked->end * heard->end) : 0;
}

/* Landmarks that agree on a delay and, on average, on those around, where no stretch and no zone counts more than it
 * may. */
static int agree(const by_frequency *asked, const vx_fingerprint *heard, int delay, double *ret_around)
{
    enum { SPANS = 2 * AROUND + 1, HALF = AROUND * SPAN + TOGETHER };
    uint8_t of_stretch[TIMES / STRETCH][SPANS];
    uint8_t of_zone[SPANS];
    int sums[SPANS] = {0}, around = 0, zone = -1;
    memset(of_stretch, 0, (size_t)((heard->end + STRETCH - 1) / STRETCH) * sizeof of_stretch[0]);
    for (size_t i = 0; i < heard->n; i++) {
        const vx_landmark l = heard->landmarks[i];
        if (l.frequency / ZONE != zone) {
            zone = l.frequency / ZONE;
            memset(of_zone, 0, sizeof of_zone);
        }
        for (int j = asked->first[l.frequency]; j < asked->first[l.frequency + 2 * NEAR + 1]; j++) {
            const int off = l.time - asked->times[j] - delay + HALF;
            if (off < 0 || off > 2 * HALF)
                continue;
            uint8_t *when = &of_stretch[l.time / STRETCH][off / SPAN], *where = &of_zone[off / SPAN];
            if (*when == PER_STRETCH || *where == PER_ZONE)
                continue;
            ++*when;
            ++*where;
            sums[off / SPAN]++;
        }
    }
    for (int i = 0; i < SPANS; i++)
        around += i < AROUND - SHADOW || i > AROUND + SHADOW ? sums[i] : 0;
    *ret_around = around / (double)(SPANS - 2 * SHADOW - 1);
    return sums[AROUND];
}

/* Replaces *best if heard agrees better. */
static bool improve(const by_frequency *asked, const vx_fingerprint *heard, ballot *b, vx_fingerprint_match *best)
{
    const int n_delays = asked->end + heard->end, n_votes = vote(asked, heard, n_delays, b);
    int place;
    if (n_votes == 0)
        return false;
    const int most = count(b, n_delays, &place), delay = place - asked->end;
    const double chance = blind(asked, heard, delay, n_votes);
    /* With everything counted it cannot be less. */
    if (deviations(most, chance) <= best->evidence * SAME_DEVIATIONS)
        return false;
    double around;
    const int n = agree(asked, heard, delay, &around);
    const double evidence = deviations(n, fmax(around, chance)) / SAME_DEVIATIONS;
    if (evidence <= best->evidence)
        return false;
    *best = (vx_fingerprint_match){evidence, n, (int)lrint((double)delay / VX_LANDMARK_STEPS)};
    return true;
}

/* Replaces *best and *which where one of heard agrees better. False where the time was over before the last of them. */
static bool improve_any(const vx_fingerprint *asked, const vx_fingerprint *heard, size_t n, uint64_t deadline_ns,
                        vx_fingerprint_match *best, size_t *which)
{
    by_frequency arranged;
    ballot b;
    arrange(asked, &arranged);
    for (size_t i = 0; i < n; i++) {
        if (deadline_ns != 0 && i % BETWEEN_LOOKS == 0 && vx_now_ns() >= deadline_ns)
            return false;
        if (improve(&arranged, &heard[i], &b, best))
            *which = i;
    }
    return true;
}

/* Played faster, as a tape would be: everything comes sooner and lies higher. What falls off the edges is left out.
 * ret [out] borrows room, [VX_FINGERPRINT_LANDMARKS] */
static void play_faster(const vx_fingerprint *f, double speed, vx_landmark *room, vx_fingerprint *ret)
{
    *ret = (vx_fingerprint){.landmarks = room};
    for (size_t i = 0; i < f->n; i++) {
        const long time = lrint(f->landmarks[i].time / speed), frequency = lrint(f->landmarks[i].frequency * speed);
        if (time >= TIMES || frequency >= FREQUENCIES)
            continue;
        room[ret->n++] = (vx_landmark){(uint16_t)time, (uint16_t)frequency};
        ret->end = time >= ret->end ? (int)time + 1 : ret->end;
    }
}

bool vx_fingerprint_search(const vx_fingerprint *asked, const vx_fingerprint *heard, size_t n, uint64_t deadline_ns,
                           vx_fingerprint_match *ret_best, size_t *ret_which)
{
    vx_landmark room[VX_FINGERPRINT_LANDMARKS];
    vx_fingerprint_match best = {0};
    size_t which = 0;
    bool in_time = improve_any(asked, heard, n, deadline_ns, &best, &which);
    /* At a neighbour of its own speed a recording may just be known, and known better at its own. */
    for (int i = -SPEEDS; i <= SPEEDS && in_time && best.evidence < BEYOND_DOUBT; i++) {
        vx_fingerprint other;
        const double bar = fmax(best.evidence / OTHER_SPEED, WORTH_A_LOOK);
        vx_fingerprint_match found = {.evidence = bar};
        if (i == 0)
            continue;
        play_faster(asked, 1 + SPEED_STEP * i, room, &other);
        in_time = improve_any(&other, heard, n, deadline_ns, &found, &which);
        if (found.evidence > bar) {
            best = found;
            best.evidence *= OTHER_SPEED;
        }
    }
    vx_wipe(room, sizeof room);
    *ret_best = best;
    *ret_which = which;
    return in_time;
}

void vx_fingerprint_find(const vx_fingerprint *asked, const vx_fingerprint *heard, size_t n,
                         vx_fingerprint_match *ret_best, size_t *ret_which)
{
    (void)vx_fingerprint_search(asked, heard, n, 0, ret_best, ret_which);
}

void vx_fingerprint_compare(const vx_fingerprint *a, const vx_fingerprint *b, vx_fingerprint_match *ret)
{
    size_t which;
    vx_fingerprint_find(a, b, 1, ret, &which);
}
