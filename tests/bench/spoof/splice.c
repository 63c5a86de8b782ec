/* splice.c - kinds of the group "splice": a sentence the victim never said, out of pieces of what he said.
 * Owns:   cutting at quiet places, the new order, joints. Does not: choose pieces by what is said in them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/ear.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* Levels every 10 ms; pieces of a syllable to a short phrase. */
enum { HOP = LAB_RATE / 100, SHORTEST = LAB_RATE / 4, LONGEST = 4 * LAB_RATE / 5, MOST = 512 };

typedef struct {
    const float *samples; /* of its recording */
    size_t begin, end;
    size_t place; /* among the pieces as they were said */
} piece;

static double power(const float *samples, size_t begin, size_t end)
{
    double sum = 0;
    for (size_t i = begin; i < end; i++)
        sum += (double)samples[i] * (double)samples[i];
    return sum;
}

/* Cuts a recording into pieces; appends them. quiet: at the quietest place within reach; else anywhere. */
static size_t cut(const float *samples, size_t n, bool quiet, uint64_t *seed, piece pieces[MOST], size_t n_pieces)
{
    n_pieces++; /* one place left out: the last piece of one recording is not followed by the first of the next */
    for (size_t begin = 0; begin < n && n_pieces < MOST;) {
        size_t end = begin + LONGEST < n ? begin + SHORTEST + lab_pick(seed, LONGEST - SHORTEST) : n;
        double least = INFINITY;
        for (size_t at = begin + SHORTEST; quiet && end < n && at + HOP <= begin + LONGEST; at += HOP) {
            const double here = power(samples, at - HOP, at + HOP);
            if (here < least) {
                least = here;
                end = at;
            }
        }
        end = n - end < SHORTEST ? n : end; /* nothing shorter is left over */
        pieces[n_pieces] = (piece){samples, begin, end, n_pieces};
        n_pieces++;
        begin = end;
    }
    return n_pieces;
}

static void shuffle(piece *pieces, size_t n, uint64_t *seed)
{
    for (size_t i = n; i > 1; i--) {
        const size_t k = lab_pick(seed, i);
        const piece drawn = pieces[k];
        pieces[k] = pieces[i - 1];
        pieces[i - 1] = drawn;
    }
}

/* Joins pieces, each faded over `fade` samples into the next, until n samples are there or no piece is left.
 * Returns how many samples there are. */
static size_t join(const piece *pieces, size_t n_pieces, size_t fade, float *ret, size_t n, size_t *ret_joints)
{
    size_t used = 0, joints = 0, last = 0;
    for (size_t p = 0; p < n_pieces && used < n; p++) {
        const piece *now = &pieces[p];
        if (now->samples == NULL) /* a place that was left out */
            continue;
        const bool joint = used > 0 && now->place != last + 1; /* else it goes on as it was said */
        const size_t over = joint ? (fade < used ? fade : used) : 0, start = used - over;
        for (size_t i = 0; i < now->end - now->begin && start + i < n; i++) {
            const float in = i < over ? (float)(i + 1) / (float)(over + 1) : 1, x = now->samples[now->begin + i];
            ret[start + i] = i < over ? (1 - in) * ret[start + i] + in * x : x;
        }
        joints += joint;
        used = start + (now->end - now->begin);
        last = now->place;
    }
    *ret_joints = joints;
    return used < n ? used : n;
}

size_t splice_pieces(const float *first, size_t n_first, const float *second, size_t n_second, bool quiet, size_t fade,
                     uint64_t *state, float *ret, size_t *ret_joints)
{
    piece *pieces = lab_alloc(MOST, sizeof *pieces);
    size_t n_pieces = cut(first, n_first, quiet, state, pieces, 0);
    if (second != NULL)
        n_pieces = cut(second, n_second, quiet, state, pieces, n_pieces);
    shuffle(pieces, n_pieces, state);
    const size_t n = join(pieces, n_pieces, fade, ret, n_first, ret_joints);
    free(pieces);
    return n;
}

/* The kinds' way: splices, notes, delivers. */
static bool make_of(const lab_original *original, const float *first, const float *second, size_t n_second, bool quiet,
                    size_t fade, uint64_t *seed, lab_clip *clip)
{
    size_t joints = 0;
    float *joined = lab_alloc(original->voice.n, sizeof *joined);
    lab_take(clip, joined,
             splice_pieces(first, original->voice.n, second, n_second, quiet, fade, seed, joined, &joints));
    if (joints == 0)
        return false;
    lab_note(clip, "joints=%zu fade=%zums at=%s recordings=%d", joints, fade * 1000 / LAB_RATE,
             quiet ? "quiet" : "random", second != NULL ? 2 : 1);
    lab_deliver(original, seed, clip);
    return true;
}

/* The second recording at the level of the first, as anybody would make it who joins them; NULL: there is none. */
static float *second_of(const lab_original *original)
{
    const lab_recording *again = &original->again;
    if (again->n == 0)
        return NULL;
    float *copy = lab_alloc(again->n, sizeof *copy);
    memcpy(copy, again->samples, again->n * sizeof *copy);
    lab_scale(
        copy, again->n,
        lab_db_to_gain(lab_speech_db(original->voice.samples, original->voice.n) - lab_speech_db(copy, again->n)));
    return copy;
}

static bool make(const lab_original *original, bool quiet, size_t fade, uint64_t *seed, lab_clip *clip)
{
    float *second = second_of(original);
    const bool ok = make_of(original, original->voice.samples, second, original->again.n, quiet, fade, seed, clip);
    free(second);
    return ok;
}

static bool make_words(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return make(original, true, (size_t)lab_uniform(seed, 0.005 * LAB_RATE, 0.015 * LAB_RATE), seed, clip);
}

static bool make_hard(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    return make(original, lab_chance(seed, 0.5), 0, seed, clip);
}

static float *in_room(const char *name, const float *samples, size_t n, uint64_t *seed, lab_clip *notes)
{
    lab_clip room = {0};
    lab_take(&room, lab_alloc(n, sizeof *room.samples), n);
    memcpy(room.samples, samples, n * sizeof *room.samples);
    const double before = lab_speech_db(samples, n), rt60_s = lab_log_uniform(seed, 0.15, 0.7);
    lab_in_room(name, rt60_s, lab_log_uniform(seed, 0.2, 1.5), seed, &room);
    lab_scale(room.samples, n, lab_db_to_gain(before - lab_speech_db(room.samples, n)));
    lab_note(notes, "%s", room.parameters);
    return room.samples;
}

static bool make_other_room(const lab_original *original, uint64_t *seed, lab_clip *clip)
{
    float *again = second_of(original);
    const float *source = again != NULL ? again : original->voice.samples;
    const size_t n_second = again != NULL ? original->again.n : original->voice.n;
    float *first = in_room("first", original->voice.samples, original->voice.n, seed, clip);
    float *second = in_room("second", source, n_second, seed, clip);
    const bool ok = make_of(original, first, second, n_second, true, LAB_RATE / 100, seed, clip);
    free(again);
    free(first);
    free(second);
    return ok;
}

const lab_kind lab_splice_kinds[] = {
    {.kind = "splice_words", .group = "splice", .spoof = true, .make = make_words},
    {.kind = "splice_hard", .group = "splice", .spoof = true, .held_out = true, .make = make_hard},
    {.kind = "splice_other_room", .group = "splice", .spoof = true, .held_out = true, .make = make_other_room},
    {0},
};
