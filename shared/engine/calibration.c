/* calibration.c - logistic regression by Newton's method.
 * Owns:   the arithmetic of calibration.h. Does not: read a manifest or a store.
 * Source: N. Bruemmer and J. du Preez, Application-independent evaluation of speaker detection, 2006: both kinds of
 *         trial weigh the same, so that the result is a likelihood ratio whatever the mixture it was fitted on.
 */
#include "shared/engine/calibration.h"

#include <math.h>
#include <string.h>

enum { F = VX_SCORE_FEATURES, MAX_STEPS = 100, MAX_HALVINGS = 40 };

/* Of the loss; its sum has lost about as much to rounding. */
#define CONVERGED  1e-12
/* Against a singular matrix where a feature is the same in all trials, or 0; far below what a trial weighs. */
#define TINY_RIDGE 1e-9

double vx_calibration_llr(const vx_calibration *calibration, const double features[VX_SCORE_FEATURES])
{
    double llr = 0.0;
    for (int i = 0; i < F; i++)
        llr += calibration->weights[i] * features[i];
    return llr;
}

double vx_calibration_probability(double llr)
{
    return 1.0 / (1.0 + exp(-llr));
}

/* What is fitted: trials, how much one of each kind weighs, and the quadratic that pulls towards the start. */
typedef struct {
    const double *features;
    const bool *same;
    size_t n;
    double weight[2]; /* of a trial: other, same */
    double ridge[F][F];
    double start[F];
    bool fixed[F];
} problem;

/* ln(1 + exp(x)) that neither overflows nor loses small values. */
static double softplus(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double dot(const double *a, const double *b)
{
    double sum = 0.0;
    for (int i = 0; i < F; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Cross entropy of the trials and the ridge. */
static double loss(const problem *p, const double w[F])
{
    double sum = 0.0, away[F];
    for (size_t t = 0; t < p->n; t++) {
        const double llr = dot(w, p->features + t * F);
        sum += p->weight[p->same[t]] * softplus(p->same[t] ? -llr : llr);
    }
    for (int i = 0; i < F; i++)
        away[i] = w[i] - p->start[i];
    for (int i = 0; i < F; i++)
        sum += 0.5 * away[i] * dot(p->ridge[i], away);
    return sum;
}

/* Downhill: the gradient's opposite, and the matrix of second derivatives. */
static void slopes(const problem *p, const double w[F], double ret_down[F], double ret_curvature[F][F])
{
    double away[F];
    for (int i = 0; i < F; i++)
        away[i] = w[i] - p->start[i];
    memcpy(ret_curvature, p->ridge, sizeof p->ridge);
    for (int i = 0; i < F; i++)
        ret_down[i] = -dot(p->ridge[i], away);
    for (size_t t = 0; t < p->n; t++) {
        const double *x = p->features + t * F;
        const double probability = vx_calibration_probability(dot(w, x)), weight = p->weight[p->same[t]];
        const double residual = weight * ((p->same[t] ? 1.0 : 0.0) - probability);
        const double information = weight * probability * (1.0 - probability);
        for (int i = 0; i < F; i++) {
            ret_down[i] += residual * x[i];
            for (int j = 0; j < F; j++)
                ret_curvature[i][j] += information * x[i] * x[j];
        }
    }
    for (int i = 0; i < F; i++) {
        ret_down[i] = p->fixed[i] ? 0.0 : ret_down[i];
        for (int j = 0; j < F; j++)
            if (p->fixed[i] || p->fixed[j])
                ret_curvature[i][j] = i == j ? 1.0 : 0.0;
    }
}

/* Solves a x = b by Cholesky's factors, which take a's place; false unless a is positive definite. */
static bool solve(double a[F][F], const double b[F], double ret_x[F])
{
    double x[F];
    for (int i = 0; i < F; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++)
                sum -= a[i][k] * a[j][k];
            if (i == j && !(sum > 0.0))
                return false;
            a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
        }
    }
    for (int i = 0; i < F; i++) {
        x[i] = b[i];
        for (int k = 0; k < i; k++)
            x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
    for (int i = F - 1; i >= 0; i--) {
        for (int k = i + 1; k < F; k++)
            x[i] -= a[k][i] * x[k];
        x[i] /= a[i][i];
    }
    memcpy(ret_x, x, sizeof x);
    return true;
}

/* ret = w + step / 2^halvings */
static void walk(const double w[F], const double step[F], int halvings, double ret[F])
{
    for (int i = 0; i < F; i++)
        ret[i] = w[i] + ldexp(step[i], -halvings);
}

/* Newton's steps, halved until they lead down: far from the optimum a whole one may lead up. */
static bool descend(const problem *p, double w[F])
{
    double down[F], curvature[F][F], step[F], next[F], at = loss(p, w);
    for (int i = 0; i < MAX_STEPS; i++) {
        int halvings = 0;
        slopes(p, w, down, curvature);
        if (!solve(curvature, down, step))
            return false;
        walk(w, step, 0, next);
        /* Twice what the step will gain. Each step squares the distance: behind this one there is nothing left. */
        if (dot(down, step) <= CONVERGED * (1.0 + at)) {
            memcpy(w, next, sizeof next);
            return true;
        }
        while (!(loss(p, next) < at) && ++halvings < MAX_HALVINGS)
            walk(w, step, halvings, next);
        memcpy(w, next, sizeof next);
        at = loss(p, w);
    }
    return false;
}

/* Both kinds weigh as much as there are of the rarer one: five trials of the same speaker say no more for being set
 * against five hundred of others. The ridge is that of so many trials in doubt (p = 1/2) with features like these: it
 * needs no scale of its own, and holds also where the trials are so clear that they bound nothing. */
static void pose(problem *p, const vx_calibration *start, size_t n_same)
{
    const double n_other = (double)(p->n - n_same), rarer = fmin((double)n_same, n_other);
    p->weight[0] = rarer / n_other;
    p->weight[1] = rarer / (double)n_same;
    for (size_t t = 0; t < p->n; t++) {
        const double *x = p->features + t * F;
        const double share = p->weight[p->same[t]] / (2.0 * rarer) * VX_CALIBRATION_RIDGE / 4.0;
        for (int i = 0; i < F; i++)
            for (int j = 0; j < F; j++)
                p->ridge[i][j] += share * x[i] * x[j];
    }
    for (int i = 0; i < F; i++) {
        p->ridge[i][i] += TINY_RIDGE;
        p->start[i] = start ? start->weights[i] : 0.0;
        p->fixed[i] = i != VX_FEATURE_ONE && i != VX_FEATURE_SCORE && fpclassify(p->start[i]) == FP_ZERO;
    }
}

vx_err vx_calibration_fit(const double *features, const bool *same, size_t n, const vx_calibration *start,
                          vx_calibration *ret, vx_errinfo *info)
{
    problem p = {.features = features, .same = same, .n = n};
    vx_calibration fitted = {.threshold = start ? start->threshold : 0.5};
    size_t n_same = 0;
    for (size_t i = 0; i < n * F; i++)
        if (!isfinite(features[i]))
            return vx_errinfo_set(info, VX_ERR_RANGE, "a trial holds a number that is not finite");
    for (size_t t = 0; t < n; t++)
        n_same += same[t];
    if (n_same == 0 || n_same == n)
        return vx_errinfo_set(info, VX_ERR_ARG, "calibration needs trials of the same and of other speakers");
    pose(&p, start, n_same);
    memcpy(fitted.weights, p.start, sizeof fitted.weights);
    if (!descend(&p, fitted.weights))
        return vx_errinfo_set(info, VX_ERR_RANGE, "calibration does not converge on these trials");
    if (!(fitted.weights[VX_FEATURE_SCORE] > 0.0))
        return vx_errinfo_set(info, VX_ERR_RANGE, "in these trials other speakers are more alike than the same one");
    fitted.n_same = (int)n_same;
    fitted.n_other = (int)(n - n_same);
    *ret = fitted;
    return VX_OK;
}
