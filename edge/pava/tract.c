/* tract.c - one length a frame, and what most frames agree on.
 * Owns:   the weights of the formants, the robust mean, its error. Does not: find formants (formants.h).
 */
#include "edge/pava/tract.h"

#include <math.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

enum { FRAMES_MIN = 30, HUBER_STEPS = 5 };

#define SOUND_CM_S 34300.0

/* Each formant gives ln L = ln(c / 4) - ln(F[n] / (2n - 1)). What their errors have in common is known: the covariance
 * within recordings, of 92,000 frames of 251 speakers with microphones (deviations 27, 20, 9 and 6.5 %) and 72,000 of 134
 * at telephones. These are the weights of least variance, row sums of its inverse: 5.5 % a frame, 6.5 % without F4. */
static const double WEIGHTS[VX_FORMANTS] = {0.08, 0.05, 0.23, 0.64};
static const double WEIGHTS_F3[VX_FORMANTS] = {0.13, 0.15, 0.72, 0};

/* Below this the poles fit tracts of two lengths (formants.h). It refuses 4 of 100 recordings with microphones and none of
 * telephones; of those it keeps the deviation within speakers falls from 0.56 to 0.47 cm. */
#define MARGIN_MIN    0.3

/* The error of a recording, fitted to pieces of 0.4 s to 3 s of speakers whose other recordings are known: vowels follow
 * each other, so that one in 20 frames is news; frames of few vowels agree and yet are off, so their scatter is taken as
 * at least 6 %. What changes from day to day is a little more than those pieces show, as half of them come from one
 * reading. */
#define NEWS          20.0
#define LEAST_SCATTER 0.06
#define DAILY_CM      0.45

#define HUBER         1.5 /* deviations beyond which a frame counts for less */
#define MAD_TO_SIGMA  1.4826

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts; 0 of none. */
static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, rising);
    return n > 0 ? 0.5 * (values[n / 2] + values[(n - 1) / 2]) : 0;
}

/* Huber's mean, from the median on. values [in,out] [n] sorted on return; scratch [n] */
static double robust_mean(double *values, size_t n, double *scratch, double *ret_scatter)
{
    double mean = median(values, n);
    for (size_t i = 0; i < n; i++)
        scratch[i] = fabs(values[i] - mean);
    const double scatter = MAD_TO_SIGMA * median(scratch, n);
    for (int step = 0; step < HUBER_STEPS; step++) {
        double sum = 0, weights = 0;
        for (size_t i = 0; i < n; i++) {
            const double off = fabs(values[i] - mean), w = off > HUBER * scatter ? HUBER * scatter / off : 1;
            sum += w * values[i];
            weights += w;
        }
        if (!(weights > 0)) /* frames without scatter, but for some: the median stands */
            break;
        mean = sum / weights;
    }
    *ret_scatter = scatter;
    return mean;
}

static void fill_medians(const vx_formants *formants, double *scratch, double ret_hz[VX_FORMANTS])
{
    for (int f = 0; f < VX_FORMANTS; f++) {
        size_t n = 0;
        for (size_t t = 0; t < formants->n_frames; t++)
            if (formants->hz[t][f] > 0)
                scratch[n++] = (double)formants->hz[t][f];
        ret_hz[f] = median(scratch, n);
    }
}

static vx_err measure(const vx_formants *formants, double *values, double *scratch, vx_tract *ret, vx_errinfo *info)
{
    vx_tract t = {0};
    for (size_t i = 0; i < formants->n_frames; i++)
        t.n_frames += vx_tract_of_frame(formants->hz[i], &values[t.n_frames]);
    if (t.n_frames < FRAMES_MIN)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "%zu frames with three formants; the tract needs %d", t.n_frames,
                              FRAMES_MIN);
    if (!(formants->margin >= MARGIN_MIN))
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the formants fit vocal tracts of two lengths alike");
    double scatter;
    t.length_cm = exp(robust_mean(values, t.n_frames, scratch, &scatter));
    if (!(t.length_cm >= VX_TRACT_MIN_CM && t.length_cm <= VX_TRACT_MAX_CM))
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the formants would be those of a tract of %.1f cm, no adult's",
                              t.length_cm);
    const double frame_cm = t.length_cm * fmax(scatter, LEAST_SCATTER);
    t.spread_cm = sqrt(DAILY_CM * DAILY_CM + frame_cm * frame_cm * NEWS / (double)t.n_frames);
    fill_medians(formants, scratch, t.formant_hz);
    *ret = t;
    return VX_OK;
}

bool vx_tract_of_frame(const float hz[VX_FORMANTS], double *ret_log_cm)
{
    const double *weights = hz[3] > 0 ? WEIGHTS : WEIGHTS_F3;
    double sum = log(SOUND_CM_S / 4);
    for (int f = 0; f < VX_FORMANTS; f++) {
        if (!(hz[f] > 0) && f < 3)
            return false;
        if (hz[f] > 0)
            sum -= weights[f] * log((double)hz[f] / (2 * f + 1));
    }
    *ret_log_cm = sum;
    return true;
}

vx_err vx_tract_measure(const vx_formants *formants, vx_tract *ret, vx_errinfo *info)
{
    const size_t n = formants->n_frames, bytes = (2 * n + 1) * sizeof(double); /* one more: the slot behind the last */
    double *values = malloc(bytes);
    if (values == NULL)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory to measure the vocal tract");
    const vx_err err = measure(formants, values, values + n + 1, ret, info);
    vx_wipe(values, bytes);
    free(values);
    return err;
}
