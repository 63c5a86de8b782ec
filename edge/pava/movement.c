/* movement.c - see movement.h.
 * The comb of a reflection is a ripple over frequency: a cosine transform of the log spectrum shows it at its delay. Words
 * change the log spectrum too, but mostly in broader strokes (below 1 ms) and, with the pitch of men, in finer ones.
 */
#include "edge/pava/movement.h"

#include <math.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

enum {
    LOW_BIN = 64, /* 2 kHz: below, a centimetre is no part of a wave */
    HIGH_BIN = 225,
    N_BINS = HIGH_BIN - LOW_BIN,
    FIRST = 21, /* ripples of 2 to 4 ms: 2 * 5,031 Hz * delay */
    LAST = 40,
    N_RIPPLES = LAST - FIRST + 1,
    PIECE = 40, /* frames of speech */
    MIN_PIECES = 3,
};
#define TINY 1e-12F

static const double PI = 3.14159265358979323846;

/* Room for one measurement; holds what was said. */
typedef struct {
    float cosine[N_RIPPLES][N_BINS];
    double sum[N_RIPPLES], squares[N_RIPPLES];                              /* of the piece under way */
    double mean_sum[N_RIPPLES], mean_squares[N_RIPPLES], within[N_RIPPLES]; /* of the pieces so far */
    size_t n_frames, n_pieces;
} work;

static void fill_cosine(work *w)
{
    for (int r = 0; r < N_RIPPLES; r++)
        for (int i = 0; i < N_BINS; i++)
            w->cosine[r][i] = (float)(cos(PI * (i + 0.5) * (FIRST + r) / N_BINS) * 2 / N_BINS);
}

/* A whole piece: its mean goes to the means, its scatter says how exact that mean is. */
static void end_piece(work *w)
{
    for (int r = 0; r < N_RIPPLES; r++) {
        const double mean = w->sum[r] / PIECE;
        w->within[r] += fmax(w->squares[r] / PIECE - mean * mean, 0) / PIECE;
        w->mean_sum[r] += mean;
        w->mean_squares[r] += mean * mean;
        w->sum[r] = w->squares[r] = 0;
    }
    w->n_frames = 0;
    w->n_pieces++;
}

static void add_frame(work *w, const float *power)
{
    float level[N_BINS];
    for (int i = 0; i < N_BINS; i++)
        level[i] = 10 * log10f(power[LOW_BIN + i] + TINY);
    for (int r = 0; r < N_RIPPLES; r++) {
        float sum = 0;
        for (int i = 0; i < N_BINS; i++)
            sum += w->cosine[r][i] * level[i];
        w->sum[r] += (double)sum;
        w->squares[r] += (double)sum * (double)sum;
    }
    if (++w->n_frames == PIECE)
        end_piece(w);
    vx_wipe(level, sizeof level);
}

/* Variance between the pieces' means over the variance that means of so few frames have anyhow. */
static double drift_of(const work *w)
{
    double ratio = 0;
    const double n = (double)w->n_pieces;
    for (int r = 0; r < N_RIPPLES; r++) {
        const double between = (w->mean_squares[r] - w->mean_sum[r] * w->mean_sum[r] / n) / (n - 1);
        ratio += fmax(between, 0) / (w->within[r] / n + 1e-9) / N_RIPPLES;
    }
    return log(ratio + 1e-3);
}

vx_err vx_movement_measure(const vx_spectrogram *spectrogram, vx_movement *ret, vx_errinfo *info)
{
    if (spectrogram->n_speech < (size_t)MIN_PIECES * PIECE)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "%.1f s of speech are too short to see anybody move",
                              (double)spectrogram->n_speech / 100);
    work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory to look for movement");
    fill_cosine(w);
    for (size_t i = 0; i < spectrogram->n_frames; i++)
        if (spectrogram->speech[i])
            add_frame(w, spectrogram->power + i * VX_PAVA_BINS);
    *ret = (vx_movement){drift_of(w), w->n_pieces};
    vx_wipe(w, sizeof *w);
    free(w);
    return VX_OK;
}
