/* pitch.c - normalised cross-correlation of each frame, and the cheapest path through its peaks.
 * Owns:   the band that is correlated, candidates, the costs of the path. Does not: transform (shared/audio/fft.h).
 * Source: D. Talkin, A robust algorithm for pitch tracking (RAPT), 1995. Different here: one pass over all lags by
 *         Fourier transform instead of a coarse and a fine one, and costs as log-odds, so that the costs of the best
 *         paths with and without voice in a frame give the probability of voice.
 */
#include "edge/pava/pitch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fft.h"
#include "shared/base/bytes.h"

enum {
    /* Every second sample of the speech below 2 kHz. There are harmonics enough within a telephone's band, and what lies
     * above is the less periodic the higher: breath, friction, noise. */
    STEP = 2,
    RATE = 16000 / STEP,
    FILTER_HALF = 24, /* taps on either side; falls by 40 dB from 1.5 to 2.5 kHz */
    HOP = VX_PAVA_HOP / STEP,
    WINDOW = RATE / 80,       /* 12.5 ms; a frame sees so much twice, a period apart */
    LAG_MIN = RATE / 450,     /* 17 */
    LAG_MAX = RATE / 60 + 1,  /* 134 */
    REACH = WINDOW + LAG_MAX, /* samples a frame looks at */
    N_FFT = 288,              /* at least REACH, so that no lag wraps around, and twice LAG_MAX: the rest mirrors */
    /* A lag of 5 ms is measured symmetrically around the middle of the frame, others nearly so. */
    LEAD = (WINDOW + RATE / 200 - HOP) / 2,
    CANDIDATES = 6,
    STATES = CANDIDATES + 1, /* the last: no voice */
};
_Static_assert(N_FFT >= REACH && N_FFT >= 2 * LAG_MAX, "not every lag comes out");

#define BAND_HZ      2000.0
#define BLOCKER      0.97f /* pole of the filter against offset and rumble: 3 dB at 39 Hz */

/* Log-odds of voice in a frame whose best peak is c: GAIN (c - HALF_WAY), less the costs of the path. Tuned on synthetic
 * voices, and on how far recordings give the same path again with noise and in a telephone's band (tests/bench/bench_pitch.c).
 * A window of 20 ms followed the formants of creak in a telephone's band in 41 % of its frames, one of 12.5 ms in none. */
#define GAIN         12.0
#define HALF_WAY     0.42
/* In log-odds: against voice where the level says that nobody speaks; of onset or end of voice; of each octave between
 * frames, and at most, for creak does jump. */
#define NO_SPEECH    1.0
#define SWITCH       3.5
#define GLIDE        24.0
#define JUMP         8.0
/* In c, for each octave down: two periods repeat as well as one. With less, a hoarse voice falls an octave where F1 lies
 * between harmonics (0.02: 30 % of the frames of such a vowel, 0.03: 21 %); with more, people in a telephone's band rise
 * one, H2 for H1 (0.02: 1.1 % of the frames, 0.03: 1.3 %, 0.05: 1.9 %). */
#define OCTAVE       0.03
#define LEAST_PEAK   0.25
/* Energy that is added to a window's, so that hum in a pause is no voice: that of the quietest tenth of the windows. It is
 * at most 15 dB below the loud, for where no window is quiet that would be a voice itself; and at least 35 dB, below which
 * lies what a room leaves of a voice. Then 8-bit silence. */
#define FLOOR_MAX    0.03
#define FLOOR_MIN    3e-4
#define LEAST_ENERGY (2 * WINDOW * 1e-9)

static const double PI = 3.14159265358979323846;

typedef struct {
    float correlation;
    float log2_lag;
} candidate;

typedef struct {
    candidate candidates[CANDIDATES]; /* falling by correlation less the cost of its octave */
    int n;
    float silence; /* log-odds against voice that do not depend on the candidate */
} frame;

typedef struct {
    size_t n_frames;
    size_t n_band;
    float *band;            /* [n_band] band[LEAD + i] is of sample STEP * i */
    double *energy;         /* [n_band + 1] of the band up to there */
    double *sorted;         /* [n_frames] scratch */
    frame *frames;          /* [n_frames] */
    double (*cost)[STATES]; /* [n_frames] of the cheapest path up to and with each state */
    vx_fft *fft;
    const vx_fft_kernel *kernel;
    float *buffers[4];
    size_t buffer_bytes; /* of one; they are one block */
} tracker;

/* ---- the band -------------------------------------------------------------------------------------------------------- */

static void fill_filter(float filter[2 * FILTER_HALF + 1])
{
    const double cut = 2 * BAND_HZ / 16000;
    double sum = 0, taps[2 * FILTER_HALF + 1];
    for (int i = -FILTER_HALF; i <= FILTER_HALF; i++) {
        const double sinc = i == 0 ? cut : sin(PI * cut * i) / (PI * i);
        taps[i + FILTER_HALF] = sinc * (0.5 + 0.5 * cos(PI * i / (FILTER_HALF + 1)));
        sum += taps[i + FILTER_HALF];
    }
    for (int i = 0; i <= 2 * FILTER_HALF; i++)
        filter[i] = (float)(taps[i] / sum);
}

static void fill_band(tracker *t, const float *samples, size_t n)
{
    float filter[2 * FILTER_HALF + 1];
    fill_filter(filter);
    for (size_t at = 0; at < n && LEAD + at / STEP < t->n_band; at += STEP) {
        const size_t first = at < FILTER_HALF ? 0 : at - FILTER_HALF;
        const size_t end = n - at <= FILTER_HALF ? n : at + FILTER_HALF + 1;
        const float *tap = filter + (first + FILTER_HALF - at);
        float sum = 0;
        for (size_t i = first; i < end; i++)
            sum += *tap++ * samples[i];
        t->band[LEAD + at / STEP] = sum;
    }
    float before = 0, out = 0;
    for (size_t i = 0; i < t->n_band; i++) {
        out = t->band[i] - before + BLOCKER * out;
        before = t->band[i];
        t->band[i] = out;
        t->energy[i + 1] = t->energy[i] + (double)out * (double)out;
    }
}

/* ---- correlation ------------------------------------------------------------------------------------------------------ */

/* Spectra of the first `length` samples of each frame, zeros behind. Returns the buffer that holds them. */
static float *spectra_of(const tracker *t, size_t index, size_t length, float *data, float *work)
{
    const size_t lanes = (size_t)t->kernel->lanes;
    memset(data, 0, N_FFT * lanes * sizeof *data);
    for (size_t lane = 0; lane < lanes && index + lane < t->n_frames; lane++) {
        const float *from = t->band + (index + lane) * HOP;
        for (size_t i = 0; i < length; i++)
            data[i * lanes + lane] = from[i];
    }
    return t->kernel->forward(t->fft, data, work);
}

/* Products of each frame's window with itself `lag` later, for all lags: [lag][lane] in the returned buffer, real and
 * imaginary rows whose difference they are. The inverse transform is a forward one: c[n] is Re - Im of the transform of Re C - Im C
 * (Hartley's), which is real. */
static const float *correlate(const tracker *t, size_t index)
{
    const size_t lanes = (size_t)t->kernel->lanes;
    float *a = spectra_of(t, index, WINDOW, t->buffers[0], t->buffers[1]);
    float *b = spectra_of(t, index, REACH, t->buffers[2], t->buffers[3]);
    float *data = a == t->buffers[0] ? t->buffers[1] : t->buffers[0];
    float *work = b == t->buffers[2] ? t->buffers[3] : t->buffers[2];
    for (size_t k = 0; k <= N_FFT / 2; k++) {
        const float *ak = a + 2 * k * lanes, *bk = b + 2 * k * lanes;
        float *low = data + k * lanes, *high = data + (N_FFT - k) % N_FFT * lanes;
        for (size_t lane = 0; lane < lanes; lane++) {
            const float re = ak[lane] * bk[lane] + ak[lanes + lane] * bk[lanes + lane];
            const float im = ak[lane] * bk[lanes + lane] - ak[lanes + lane] * bk[lane];
            high[lane] = re + im;
            low[lane] = re - im;
        }
    }
    return t->kernel->forward(t->fft, data, work);
}

static double energy_at(const tracker *t, size_t first)
{
    return t->energy[first + WINDOW] - t->energy[first];
}

static float rank(const candidate *c)
{
    return c->correlation - (float)OCTAVE * c->log2_lag;
}

static void insert(frame *f, candidate c)
{
    if (f->n == CANDIDATES && rank(&c) <= rank(&f->candidates[CANDIDATES - 1]))
        return;
    int at = f->n < CANDIDATES ? f->n++ : CANDIDATES - 1;
    for (; at > 0 && rank(&c) > rank(&f->candidates[at - 1]); at--)
        f->candidates[at] = f->candidates[at - 1];
    f->candidates[at] = c;
}

/* The peaks of one frame. products [in] [lag][re, im][lanes] */
static void find_candidates(const tracker *t, size_t index, const float *products, double extra, frame *ret)
{
    const size_t lanes = (size_t)t->kernel->lanes, first = index * HOP;
    const double own = energy_at(t, first) + extra;
    double c[LAG_MAX + 2];
    for (size_t lag = LAG_MIN - 1; lag <= LAG_MAX; lag++) {
        const double sum = (double)products[2 * lag * lanes] - (double)products[(2 * lag + 1) * lanes];
        c[lag] = 2 * sum / N_FFT / (own + energy_at(t, first + lag) + extra);
    }
    for (size_t lag = LAG_MIN; lag < LAG_MAX; lag++) {
        if (!(c[lag] > LEAST_PEAK && c[lag] > c[lag - 1] && c[lag] >= c[lag + 1]))
            continue;
        const double slope = (c[lag + 1] - c[lag - 1]) / 2, bend = 2 * c[lag] - c[lag - 1] - c[lag + 1];
        const double exact = (double)lag + slope / bend; /* bend > 0 at a peak */
        if (exact * VX_PITCH_MAX_HZ < RATE || exact * VX_PITCH_MIN_HZ > RATE)
            continue;
        insert(ret,
               (candidate){.correlation = (float)(c[lag] + slope * slope / bend / 2), .log2_lag = (float)log2(exact)});
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double floor_energy(tracker *t)
{
    for (size_t i = 0; i < t->n_frames; i++)
        t->sorted[i] = energy_at(t, i * HOP) + energy_at(t, i * HOP + HOP / 2);
    qsort(t->sorted, t->n_frames, sizeof *t->sorted, by_value);
    const double quiet = t->sorted[t->n_frames / 10], loud = t->sorted[t->n_frames - 1 - t->n_frames / 50];
    return fmin(fmax(quiet, FLOOR_MIN * loud), FLOOR_MAX * loud);
}

static void find_all(tracker *t, const vx_spectrogram *s)
{
    const double extra = floor_energy(t) + LEAST_ENERGY;
    for (size_t i = 0; i < t->n_frames; i += (size_t)t->kernel->lanes) {
        const float *products = correlate(t, i);
        for (size_t lane = 0; lane < (size_t)t->kernel->lanes && i + lane < t->n_frames; lane++) {
            t->frames[i + lane].silence = s->speech[i + lane] ? 0 : (float)NO_SPEECH;
            find_candidates(t, i + lane, products + lane, extra, &t->frames[i + lane]);
        }
    }
}

/* ---- the path ----------------------------------------------------------------------------------------------------------- */

static bool has_state(const frame *f, int state)
{
    return state < f->n || state == CANDIDATES;
}

static double own_cost(const frame *f, int state)
{
    if (state == CANDIDATES)
        return 0;
    const candidate *c = &f->candidates[state];
    return (double)f->silence - GAIN * ((double)rank(c) + OCTAVE * log2(LAG_MIN) - HALF_WAY);
}

static double step_cost(const frame *a, int from, const frame *b, int to)
{
    if (from == CANDIDATES || to == CANDIDATES)
        return from == to ? 0 : SWITCH;
    const double octaves = fabs((double)(a->candidates[from].log2_lag - b->candidates[to].log2_lag));
    return fmin(GLIDE * octaves, JUMP);
}

static void cost_before(tracker *t)
{
    for (size_t i = 0; i < t->n_frames; i++) {
        const frame *f = &t->frames[i], *before = f - 1;
        for (int to = 0; to < STATES; to++) {
            double best = i == 0 ? 0 : HUGE_VAL;
            for (int from = 0; i > 0 && from < STATES; from++)
                if (has_state(before, from) && has_state(f, to))
                    best = fmin(best, t->cost[i - 1][from] + step_cost(before, from, f, to));
            t->cost[i][to] = has_state(f, to) ? best + own_cost(f, to) : HUGE_VAL;
        }
    }
}

/* Of the cheapest path from each state of frame i to the end, without that state's own; after: the same of frame i + 1. */
static void cost_after(const tracker *t, size_t i, double after[STATES])
{
    double now[STATES] = {0};
    const frame *f = &t->frames[i], *next = f + 1;
    for (int from = 0; i + 1 < t->n_frames && from < STATES; from++) {
        now[from] = HUGE_VAL;
        for (int to = 0; to < STATES; to++)
            if (has_state(f, from) && has_state(next, to))
                now[from] = fmin(now[from], step_cost(f, from, next, to) + own_cost(next, to) + after[to]);
    }
    memcpy(after, now, sizeof now);
}

/* The cheapest path through all frames goes through the cheaper of a frame's two: with voice and without. */
static void read_path(const tracker *t, vx_pitch *ret)
{
    double after[STATES] = {0};
    for (size_t i = t->n_frames; i-- > 0;) {
        const frame *f = &t->frames[i];
        cost_after(t, i, after);
        int best = 0;
        double voice = HUGE_VAL;
        for (int state = 0; state < f->n; state++)
            if (t->cost[i][state] + after[state] < voice) {
                voice = t->cost[i][state] + after[state];
                best = state;
            }
        const double none = t->cost[i][CANDIDATES] + after[CANDIDATES];
        ret->voiced[i] = (float)(1 / (1 + exp(voice - none)));
        if (ret->voiced[i] < 0.5f)
            continue;
        ret->f0_hz[i] = RATE * exp2f(-f->candidates[best].log2_lag);
        ret->n_voiced++;
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------------- */

static vx_err tracker_init(tracker *t, size_t n_frames)
{
    *t = (tracker){.n_frames = n_frames, .n_band = (n_frames - 1) * HOP + REACH};
    t->kernel = vx_fft_kernel_for(vx_isa_best());
    const size_t bytes = VX_FFT_BUFFER_FLOATS(N_FFT, t->kernel->lanes) * sizeof(float);
    t->buffer_bytes = (bytes + VX_FFT_ALIGN - 1) / VX_FFT_ALIGN * VX_FFT_ALIGN;
    t->band = calloc(t->n_band, sizeof *t->band);
    t->energy = calloc(t->n_band + 1, sizeof *t->energy);
    t->frames = calloc(n_frames, sizeof *t->frames);
    t->sorted = calloc(n_frames, sizeof *t->sorted);
    t->cost = calloc(n_frames, sizeof *t->cost);
    t->buffers[0] = aligned_alloc(VX_FFT_ALIGN, 4 * t->buffer_bytes);
    if (t->band == NULL || t->energy == NULL || t->frames == NULL || t->cost == NULL || t->sorted == NULL ||
        t->buffers[0] == NULL)
        return VX_ERR_NOMEM;
    for (size_t i = 1; i < 4; i++)
        t->buffers[i] = t->buffers[0] + i * t->buffer_bytes / sizeof(float);
    return vx_fft_create(N_FFT, &t->fft);
}

static void wipe_free(void *data, size_t bytes)
{
    if (data != NULL)
        vx_wipe(data, bytes);
    free(data);
}

static void tracker_done(tracker *t)
{
    wipe_free(t->band, t->n_band * sizeof *t->band);
    wipe_free(t->energy, (t->n_band + 1) * sizeof *t->energy);
    wipe_free(t->frames, t->n_frames * sizeof *t->frames);
    wipe_free(t->sorted, t->n_frames * sizeof *t->sorted);
    wipe_free(t->cost, t->n_frames * sizeof *t->cost);
    wipe_free(t->buffers[0], 4 * t->buffer_bytes);
    vx_fft_destroy(t->fft);
}

vx_err vx_pitch_track(const float *samples, size_t n, const vx_spectrogram *spectrogram, vx_pitch *ret)
{
    vx_pitch pitch = {.n_frames = spectrogram->n_frames};
    tracker t;
    vx_err err = tracker_init(&t, spectrogram->n_frames);
    pitch.f0_hz = calloc(pitch.n_frames, sizeof *pitch.f0_hz);
    pitch.voiced = calloc(pitch.n_frames, sizeof *pitch.voiced);
    if (err == VX_OK && (pitch.f0_hz == NULL || pitch.voiced == NULL))
        err = VX_ERR_NOMEM;
    if (err != VX_OK)
        goto out;
    fill_band(&t, samples, n);
    find_all(&t, spectrogram);
    cost_before(&t);
    read_path(&t, &pitch);
    *ret = pitch;
    pitch = (vx_pitch){0};
out:
    tracker_done(&t);
    vx_pitch_done(&pitch);
    return err;
}

void vx_pitch_done(vx_pitch *pitch)
{
    wipe_free(pitch->f0_hz, pitch->n_frames * sizeof *pitch->f0_hz);
    wipe_free(pitch->voiced, pitch->n_frames * sizeof *pitch->voiced);
    *pitch = (vx_pitch){0};
}
