/* rates.c - one pass over the recordings in rising order of score, each distinct score a threshold. */
#include "edge/report/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/random.h"

enum { N_RATES = 3 };
_Static_assert((int)VX_N_ANSWERS == N_RATES, "as many rates are drawn of either");

static int by_score(const void *a, const void *b)
{
    const double x = ((const vx_presented *)a)->score, y = ((const vx_presented *)b)->score;
    return (x > y) - (x < y);
}

/* Sorted, on the heap; NULL when memory is out or either kind is missing. */
static vx_presented *sorted(const vx_presented *presented, size_t n, size_t *ret_living)
{
    size_t n_living = 0;
    for (size_t i = 0; i < n; i++)
        n_living += presented[i].living;
    if (n_living == 0 || n_living == n)
        return NULL;
    vx_presented *copy = malloc(n * sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, presented, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_score);
    *ret_living = n_living;
    return copy;
}

/* Where a threshold lies above recording i, what is refused is 0 to i. `visit` is told of every threshold, from refusing
 * nothing to refusing everything. weights [in] of speakers, NULL: 1 each. */
typedef void visit_fn(void *arg, double apcer, double bpcer);
static bool sweep(const vx_presented *p, size_t n, const double *weights, visit_fn *visit, void *arg)
{
    double living = 0, attacks = 0, living_refused = 0, attacks_refused = 0;
    for (size_t i = 0; i < n; i++)
        *(p[i].living ? &living : &attacks) += weights ? weights[p[i].speaker] : 1;
    if (!(living > 0) || !(attacks > 0))
        return false;
    visit(arg, 1, 0);
    for (size_t i = 0; i < n; i++) {
        *(p[i].living ? &living_refused : &attacks_refused) += weights ? weights[p[i].speaker] : 1;
        if (i + 1 < n && !(p[i + 1].score > p[i].score))
            continue;
        visit(arg, 1 - attacks_refused / attacks, living_refused / living);
    }
    return true;
}

typedef struct {
    double before_apcer, before_bpcer; /* of the threshold before */
    double eer, apcer_1, apcer_5;      /* eer: NAN until the curves have crossed */
} summary;

static void summarise(void *arg, double apcer, double bpcer)
{
    static const double ROUNDING = 1e-9;
    summary *s = arg;
    /* Where the line from the point before to this one meets that of equal errors: between two thresholds that many
     * recordings tie at there is no third, but any mixture of the two. */
    if (isnan(s->eer) && apcer <= bpcer) {
        const double above = s->before_apcer - s->before_bpcer, below = bpcer - apcer;
        s->eer = above + below > 0 ? s->before_bpcer + above / (above + below) * (bpcer - s->before_bpcer) : bpcer;
    }
    s->before_apcer = apcer, s->before_bpcer = bpcer;
    if (bpcer <= 0.01 + ROUNDING)
        s->apcer_1 = fmin(s->apcer_1, apcer);
    if (bpcer <= 0.05 + ROUNDING)
        s->apcer_5 = fmin(s->apcer_5, apcer);
}

/* What rates are of. */
typedef struct {
    const void *recordings; /* [n] of what `rates_of` takes */
    size_t n;
} material;
/* weights [in] of speakers, NULL: 1 each. False where the speakers that have weight have no rates. */
typedef bool rates_of(const material *of, const double *weights, double ret[N_RATES]);

/* recordings: vx_presented, sorted */
static bool score_rates(const material *of, const double *weights, double ret[N_RATES])
{
    summary s = {1, 0, NAN, 1, 1};
    if (!sweep(of->recordings, of->n, weights, summarise, &s))
        return false;
    ret[0] = s.eer, ret[1] = s.apcer_1, ret[2] = s.apcer_5;
    return true;
}

/* recordings: vx_answered */
static bool answer_shares(const material *of, const double *weights, double ret[N_RATES])
{
    const vx_answered *a = of->recordings;
    double all = 0, sums[N_RATES] = {0};
    for (size_t i = 0; i < of->n; i++) {
        const double weight = weights ? weights[a[i].speaker] : 1;
        sums[a[i].answer] += weight;
        all += weight;
    }
    for (int r = 0; r < N_RATES && all > 0; r++)
        ret[r] = sums[r] / all;
    return all > 0;
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Draws as many speakers as there are, with replacement, and counts each as often as it was drawn. A draw that leaves out
 * one kind altogether is drawn again. values [out] [N_RATES][VX_RATES_DRAWS] */
static bool draw(rates_of *rates, const material *of, int n_speakers, uint64_t seed, double *values)
{
    double *weights = malloc((size_t)n_speakers * sizeof *weights);
    int made = 0;
    for (int tries = 0; weights && made < VX_RATES_DRAWS && tries < 2 * VX_RATES_DRAWS; tries++) {
        double drawn[N_RATES] = {0};
        memset(weights, 0, (size_t)n_speakers * sizeof *weights);
        for (int i = 0; i < n_speakers; i++)
            weights[vx_random_next(&seed) % (uint64_t)n_speakers] += 1;
        if (!rates(of, weights, drawn))
            continue;
        for (int r = 0; r < N_RATES; r++)
            values[r * VX_RATES_DRAWS + made] = drawn[r];
        made++;
    }
    free(weights);
    return made == VX_RATES_DRAWS;
}

/* values [in,out] VX_RATES_DRAWS of them; NULL: no interval could be drawn, and it is everything */
static vx_estimate estimate(double value, double *values)
{
    if (!values)
        return (vx_estimate){value, 0, 1};
    qsort(values, VX_RATES_DRAWS, sizeof *values, rising);
    return (vx_estimate){value, values[VX_RATES_DRAWS / 40], values[VX_RATES_DRAWS - 1 - VX_RATES_DRAWS / 40]};
}

/* False where there are no rates, or memory is out. */
static bool estimate_all(rates_of *rates, const material *of, int n_speakers, uint64_t seed, vx_estimate ret[N_RATES])
{
    double found[N_RATES] = {0};
    double *values = malloc(N_RATES * VX_RATES_DRAWS * sizeof *values);
    const bool ok = values && rates(of, NULL, found);
    if (ok) {
        const bool drawn = n_speakers > 1 && draw(rates, of, n_speakers, seed, values);
        for (int r = 0; r < N_RATES; r++)
            ret[r] = estimate(found[r], drawn ? values + r * VX_RATES_DRAWS : NULL);
    }
    free(values);
    return ok;
}

bool vx_attack_rates_of(const vx_presented *presented, size_t n, int n_speakers, uint64_t seed,
                        vx_attack_rates *ret_rates)
{
    size_t n_living = 0;
    vx_estimate e[N_RATES];
    vx_presented *p = sorted(presented, n, &n_living);
    const bool ok = p && estimate_all(score_rates, &(material){p, n}, n_speakers, seed, e);
    if (ok)
        *ret_rates = (vx_attack_rates){n_living, n - n_living, e[0], e[1], e[2]};
    free(p);
    return ok;
}

/* Widens an interval to that of E. B. Wilson, 1927, for `count` of n independent recordings. */
static void widen(size_t count, size_t n, vx_estimate *e)
{
    static const double DEVIATE = 1.959964; /* of a normal distribution, 95 % within */
    const double square = DEVIATE * DEVIATE, all = (double)n, share = (double)count / all;
    const double middle = (share + square / (2 * all)) / (1 + square / all);
    const double half = DEVIATE * sqrt(share * (1 - share) / all + square / (4 * all * all)) / (1 + square / all);
    e->low = count > 0 ? fmin(e->low, middle - half) : 0;
    e->high = count < n ? fmax(e->high, middle + half) : 1;
}

bool vx_answer_rates_of(const vx_answered *answered, size_t n, int n_speakers, uint64_t seed,
                        vx_answer_rates *ret_rates)
{
    vx_answer_rates rates = {.n = n};
    if (!estimate_all(answer_shares, &(material){answered, n}, n_speakers, seed, rates.shares))
        return false;
    for (size_t i = 0; i < n; i++)
        rates.counts[answered[i].answer]++;
    for (int a = 0; a < VX_N_ANSWERS; a++)
        widen(rates.counts[a], n, &rates.shares[a]);
    *ret_rates = rates;
    return true;
}

typedef struct {
    vx_det_point *points;
    size_t n;
} curve;

static void add_point(void *arg, double apcer, double bpcer)
{
    curve *c = arg;
    c->points[c->n++] = (vx_det_point){apcer, bpcer};
}

size_t vx_det_curve(const vx_presented *presented, size_t n, vx_det_point *ret_points, size_t cap)
{
    size_t n_living = 0, kept = 0;
    vx_presented *p = sorted(presented, n, &n_living);
    curve all = {p ? malloc((n + 1) * sizeof *all.points) : NULL, 0};
    if (all.points && cap > 1 && sweep(p, n, NULL, add_point, &all)) {
        kept = all.n < cap ? all.n : cap;
        for (size_t i = 0; i < kept; i++)
            ret_points[i] = all.points[all.n - 1 - i * (all.n - 1) / (kept > 1 ? kept - 1 : 1)];
    }
    free(all.points);
    free(p);
    return kept;
}
