/* score_edge.c - error rates of voiceprints as the device scores them.
 * Usage:  score_edge TRIALS.tsv MODEL_FOLDER [--json OUT] [--seed N] < EMBEDDINGS
 *         TRIALS and EMBEDDINGS as tests/support/trials.h reads them; embeddings by tests/tools/utterances.
 * Owns:   every trial through vx_score_compare with the folder's cohort; rates before and after normalisation and
 *         calibration, by source and by number of exemplars; the calibration that these trials would give.
 *         Does not: compute embeddings, or change the folder (models/calibrate.py).
 *
 * What is said of calibration is cross-validated: a trial's likelihood ratio comes from a logistic that was fitted
 * without either of its two speakers.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/engine/score.h"
#include "shared/measure/scores.h"
#include "tests/support/trials.h"

enum { MAX_SIZES = 16, BINS = 10 };

/* How a trial can be judged. */
typedef enum {
    BY_COSINE,     /* best exemplar; ratio by the manifest's calibration of cosines, fitted on speakers like these */
    BY_CENTROID,   /* the same of the mean of all */
    BY_NORMALISED, /* ratio cross-validated */
    BY_FEATURES,   /* the same, also of speech and noise */
    BY_MANIFEST,   /* what the device says: the folder's calibration, perhaps fitted on these very speakers */
    N_WAYS
} way;
static const char *const way_names[N_WAYS] = {"cosine", "centroid", "normalised", "speech and noise too", "manifest"};

typedef struct {
    double score[N_WAYS], llr[N_WAYS];
} judged;

typedef struct {
    trial_set set;
    vx_manifest manifest;
    vx_cohort cohort;
    double *features; /* [n_trials, VX_SCORE_FEATURES] */
    bool *same;
    judged *judged;
    spoken_trial *room;               /* [n_trials] */
    size_t sizes[MAX_SIZES], n_sizes; /* numbers of exemplars */
    vx_calibration fitted;
    uint64_t seed;
} study;

static bool complain(const char *where, const char *what)
{
    fprintf(stderr, "score_edge: %s: %s\n", where, what);
    return false;
}

/* ---- scores ---- */

static bool note_size(study *s, size_t size)
{
    size_t i = 0;
    while (i < s->n_sizes && s->sizes[i] < size)
        i++;
    if (i < s->n_sizes && s->sizes[i] == size)
        return true;
    if (s->n_sizes == MAX_SIZES)
        return complain("trials", "too many different numbers of exemplars");
    memmove(s->sizes + i + 1, s->sizes + i, (s->n_sizes - i) * sizeof *s->sizes);
    s->sizes[i] = size;
    s->n_sizes++;
    return true;
}

static bool compare(study *s, size_t i)
{
    const trial *t = &s->set.trials[i];
    const recording *test = &s->set.recordings[t->test];
    vx_embedding *exemplars = calloc(t->n_exemplars, sizeof *exemplars);
    double *speech_s = calloc(t->n_exemplars, sizeof *speech_s);
    bool ok = exemplars && speech_s;
    vx_score score;
    for (size_t e = 0; ok && e < t->n_exemplars; e++) {
        const recording *r = &s->set.recordings[s->set.exemplars[t->exemplars + e]];
        exemplars[e] = r->embedding;
        speech_s[e] = r->speech_s;
    }
    if (ok) {
        const vx_template enrolled = {exemplars, speech_s, t->n_exemplars};
        const vx_score_conditions conditions = {test->speech_s, test->snr_db};
        const vx_err err =
            vx_score_compare(&s->manifest, &s->cohort, NULL, &enrolled, &test->embedding, &conditions, &score);
        ok = !err || complain(test->file, vx_err_sentence(err));
        if (ok)
            vx_score_features(&score, speech_s[score.best], &conditions, s->features + i * VX_SCORE_FEATURES);
    } else
        complain(test->file, "out of memory");
    if (ok) {
        judged *j = &s->judged[i];
        j->score[BY_COSINE] = score.cosine;
        j->score[BY_CENTROID] = score.cosine_centroid;
        j->score[BY_NORMALISED] = j->score[BY_MANIFEST] = score.normalised;
        for (way w = BY_COSINE; w <= BY_CENTROID; w++)
            j->llr[w] = s->manifest.calibration_slope * j->score[w] + s->manifest.calibration_offset;
        j->llr[BY_MANIFEST] = score.llr;
        s->same[i] = t->is_target;
        ok = note_size(s, t->n_exemplars);
    }
    free(exemplars);
    free(speech_s);
    return ok;
}

/* ---- cross-validation ---- */

static bool is_of(const trial *t, size_t a, size_t b)
{
    return (t->enrolled == a && t->speaking == b) || (t->enrolled == b && t->speaking == a);
}

static bool touches(const trial *t, size_t a, size_t b)
{
    return t->enrolled == a || t->enrolled == b || t->speaking == a || t->speaking == b;
}

/* Ratios of the trials between two speakers, from all trials with neither. */
static bool judge_pair(study *s, size_t a, size_t b, const vx_calibration *start, way w, double *features, bool *same)
{
    const size_t row = VX_SCORE_FEATURES * sizeof *features;
    vx_calibration fitted;
    vx_errinfo info = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->set.n_trials; i++) {
        if (touches(&s->set.trials[i], a, b))
            continue;
        memcpy(features + n * VX_SCORE_FEATURES, s->features + i * VX_SCORE_FEATURES, row);
        same[n++] = s->same[i];
    }
    const vx_err err = vx_calibration_fit(features, same, n, start, &fitted, &info);
    if (err)
        return complain("cross-validation", vx_errinfo_text(&info, err));
    for (size_t i = 0; i < s->set.n_trials; i++)
        if (is_of(&s->set.trials[i], a, b))
            s->judged[i].llr[w] = vx_calibration_llr(&fitted, s->features + i * VX_SCORE_FEATURES);
    return true;
}

static bool cross_validate(study *s, const vx_calibration *start, way w)
{
    bool ok = true;
    double *features = calloc(s->set.n_trials * VX_SCORE_FEATURES, sizeof *features);
    bool *same = calloc(s->set.n_trials, sizeof *same);
    if (!features || !same)
        ok = complain("cross-validation", "out of memory");
    for (size_t a = 0; ok && a < s->set.n_speakers; a++) {
        for (size_t b = a; ok && b < s->set.n_speakers; b++) {
            size_t i = 0;
            while (i < s->set.n_trials && !is_of(&s->set.trials[i], a, b))
                i++;
            if (i < s->set.n_trials)
                ok = judge_pair(s, a, b, start, w, features, same);
        }
    }
    free(features);
    free(same);
    return ok;
}

static bool judge(study *s)
{
    /* Weights that are 0 stay 0 (calibration.h); these are as good as 0 and free. */
    const vx_calibration free_weights = {.weights = {0, 0, 1e-9, 1e-9, 1e-9}, .threshold = 0.5};
    vx_errinfo info = {0};
    const size_t n = s->set.n_trials;
    s->features = calloc(n * VX_SCORE_FEATURES, sizeof *s->features);
    s->same = calloc(n, sizeof *s->same);
    s->judged = calloc(n, sizeof *s->judged);
    s->room = calloc(n, sizeof *s->room);
    if (n == 0 || !s->features || !s->same || !s->judged || !s->room)
        return complain("trials", n == 0 ? "none" : "out of memory");
    for (size_t i = 0; i < n; i++)
        if (!compare(s, i))
            return false;
    const vx_err err = vx_calibration_fit(s->features, s->same, n, NULL, &s->fitted, &info);
    if (err)
        return complain("calibration", vx_errinfo_text(&info, err));
    if (!cross_validate(s, NULL, BY_NORMALISED) || !cross_validate(s, &free_weights, BY_FEATURES))
        return false;
    for (size_t i = 0; i < n; i++)
        s->judged[i].score[BY_FEATURES] = s->judged[i].llr[BY_FEATURES];
    return true;
}

/* ---- rates ---- */

typedef struct {
    size_t source, size; /* SIZE_MAX, 0: any */
} selection;

static size_t take(study *s, selection which, way w, bool llr)
{
    size_t n = 0;
    for (size_t i = 0; i < s->set.n_trials; i++) {
        const trial *t = &s->set.trials[i];
        if ((which.source != SIZE_MAX && t->source != which.source) || (which.size && t->n_exemplars != which.size))
            continue;
        const double score = llr ? s->judged[i].llr[w] : s->judged[i].score[w];
        s->room[n++] = (spoken_trial){{score, t->is_target, 1}, t->enrolled, t->speaking};
    }
    trials_sort(s->room, n);
    return n;
}

static bool separation(const vx_scored_trial *trials, size_t n, void *ctx, double *ret)
{
    vx_score_rates rates;
    (void)ctx;
    if (!vx_scores_rates(trials, n, &rates) || !vx_scores_min_cllr(trials, n, &ret[2]))
        return false;
    ret[0] = rates.eer;
    ret[1] = rates.min_dcf;
    return true;
}

static bool cost(const vx_scored_trial *trials, size_t n, void *ctx, double *ret)
{
    (void)ctx;
    return vx_scores_cllr(trials, n, ret);
}

/* False accepts and false rejects at the score ctx points to; either is 0 where there is nobody to count. */
static bool errors(const vx_scored_trial *trials, size_t n, void *ctx, double *ret)
{
    const vx_score_errors e = vx_scores_errors_at(trials, n, *(const double *)ctx);
    ret[0] = isnan(e.false_alarms) ? 0 : e.false_alarms;
    ret[1] = isnan(e.missed) ? 0 : e.missed;
    return true;
}

static json_t *json_of(const estimate *e)
{
    return json_pack("[f, f, f]", e->value, e->low, e->high);
}

/* One source, or all, judged in one way. */
static json_t *rate(study *s, selection which, way w, const char *name)
{
    estimate e[3], c;
    char text[4][40];
    uint64_t seed = s->seed; /* the same draws for every way, so that ways compare */
    size_t n = take(s, which, w, false);
    const size_t speakers = trials_count_speakers(s->room, n, s->set.n_speakers);
    if (!trials_estimate(s->room, n, s->set.n_speakers, separation, NULL, 3, &seed, e))
        return NULL;
    n = take(s, which, w, true);
    seed = s->seed;
    if (!trials_estimate(s->room, n, s->set.n_speakers, cost, NULL, 1, &seed, &c))
        return NULL;
    snprintf(text[0], sizeof text[0], "%.2f (%.2f .. %.2f)", 100 * e[0].value, 100 * e[0].low, 100 * e[0].high);
    snprintf(text[1], sizeof text[1], "%.3f (%.3f .. %.3f)", e[1].value, e[1].low, e[1].high);
    snprintf(text[2], sizeof text[2], "%.3f (%.3f .. %.3f)", c.value, c.low, c.high);
    snprintf(text[3], sizeof text[3], "%.3f (%.3f .. %.3f)", e[2].value, e[2].low, e[2].high);
    printf("%-22s %-20s %3zu %6zu  %-22s %-24s %-24s %s\n", name, way_names[w], speakers, n, text[0], text[1], text[2],
           text[3]);
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "source", name, "way", way_names[w], "speakers",
                     (json_int_t)speakers, "trials", (json_int_t)n, "eer", json_of(&e[0]), "mindcf_p01", json_of(&e[1]),
                     "cllr", json_of(&c), "min_cllr", json_of(&e[2]));
}

/* By source: the last is all. */
static json_t *rate_sources(study *s)
{
    json_t *rows = json_array();
    printf("%-22s %-20s %3s %6s  %-22s %-24s %-24s %s\n", "source", "judged by", "spk", "trials", "EER % (95 %)",
           "minDCF 0.01 (95 %)", "Cllr (95 %)", "min Cllr (95 %)");
    for (size_t source = 0; source <= s->set.n_sources; source++) {
        const bool all = source == s->set.n_sources;
        for (way w = 0; w < N_WAYS; w++) {
            if ((w == BY_CENTROID && s->n_sizes == 1 && s->sizes[0] == 1) ||
                (w == BY_MANIFEST && !s->manifest.score_calibrated))
                continue;
            json_array_append_new(
                rows, rate(s, (selection){all ? SIZE_MAX : source, 0}, w, all ? "all" : s->set.sources[source]));
        }
    }
    return rows;
}

/* Where the errors of templates of the smallest size meet. */
static double meeting_point(study *s, way w)
{
    vx_score_rates rates = {0};
    const size_t n = take(s, (selection){SIZE_MAX, s->sizes[0]}, w, false);
    vx_scored_trial *scored = calloc(n ? n : 1, sizeof *scored);
    for (size_t i = 0; scored && i < n; i++)
        scored[i] = s->room[i].scored;
    if (scored)
        (void)vx_scores_rates(scored, n, &rates);
    free(scored);
    /* The threshold is the highest score refused. */
    return nextafter(rates.threshold, INFINITY);
}

static json_t *errors_of(study *s, size_t size, way w, bool llr, double threshold, const char *what)
{
    estimate e[2];
    uint64_t seed = s->seed;
    const size_t n = take(s, (selection){SIZE_MAX, size}, w, llr);
    if (!trials_estimate(s->room, n, s->set.n_speakers, errors, &threshold, 2, &seed, e))
        return NULL;
    printf("%9zu  %-34s %9.3f  %6.2f (%.2f .. %.2f)%*s %6.2f (%.2f .. %.2f)\n", size, what, threshold, 100 * e[0].value,
           100 * e[0].low, 100 * e[0].high, 2, "", 100 * e[1].value, 100 * e[1].low, 100 * e[1].high);
    return json_pack("{s:I, s:s, s:f, s:o, s:o}", "exemplars", (json_int_t)size, "judged", what, "threshold", threshold,
                     "false_accepts", json_of(&e[0]), "false_rejects", json_of(&e[1]));
}

/* At one threshold for all sizes: more exemplars must not let more strangers in. */
static json_t *rate_sizes(study *s)
{
    static const struct {
        way way;
        const char *what;
    } fixed[] = {{BY_COSINE, "cosine of the best exemplar"},
                 {BY_CENTROID, "cosine of the centroid"},
                 {BY_NORMALISED, "normalised score"}};
    static const struct {
        double probability;
        const char *what;
    } points[] = {{0.5, "probability 0.5, cross-validated"}, {0.85, "probability 0.85, cross-validated"}};
    json_t *rows = json_array();
    printf("\n%9s  %-34s %9s  %-24s %s\n", "exemplars", "judged by", "threshold", "false accepts % (95 %)",
           "false rejects % (95 %)");
    for (size_t f = 0; f < sizeof fixed / sizeof *fixed; f++) {
        const double threshold = meeting_point(s, fixed[f].way);
        for (size_t i = 0; i < s->n_sizes; i++)
            json_array_append_new(rows, errors_of(s, s->sizes[i], fixed[f].way, false, threshold, fixed[f].what));
    }
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        const double threshold = log(points[p].probability / (1 - points[p].probability));
        for (size_t i = 0; i < s->n_sizes; i++)
            json_array_append_new(rows, errors_of(s, s->sizes[i], BY_NORMALISED, true, threshold, points[p].what));
    }
    return rows;
}

/* ---- calibration ---- */

/* Of the trials that get a probability within a tenth: how many are of one speaker, where there are as many of each. */
static json_t *reliability(study *s, way w)
{
    double said[BINS] = {0}, weight[BINS][2] = {{0}};
    json_t *rows = json_array();
    for (size_t i = 0; i < s->set.n_trials; i++) {
        const double p = vx_calibration_probability(s->judged[i].llr[w]);
        const double one = 0.5 / (s->same[i] ? s->fitted.n_same : s->fitted.n_other);
        const int bin = p < 1 ? (int)(p * BINS) : BINS - 1;
        said[bin] += one * p;
        weight[bin][s->same[i]] += one;
    }
    for (int b = 0; b < BINS; b++) {
        const double all = weight[b][0] + weight[b][1];
        if (all > 0)
            json_array_append_new(
                rows, json_pack("{s:f, s:f, s:f}", "said", said[b] / all, "same", weight[b][1] / all, "share", all));
    }
    return rows;
}

static json_t *fitted_json(const vx_calibration *c)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "offset", c->weights[VX_FEATURE_ONE], "slope",
                     c->weights[VX_FEATURE_SCORE], "enrolled_speech", c->weights[VX_FEATURE_ENROLLED],
                     "utterance_speech", c->weights[VX_FEATURE_UTTERANCE], "snr", c->weights[VX_FEATURE_SNR],
                     "threshold", c->threshold, "same", c->n_same, "other", c->n_other);
}

static bool report(study *s, const char *path)
{
    json_t *sources = rate_sources(s), *sizes = rate_sizes(s);
    const vx_calibration *c = &s->fitted;
    printf("\nfitted to all %d + %d trials: llr = %.3f x score %+.3f\n", c->n_same, c->n_other,
           c->weights[VX_FEATURE_SCORE], c->weights[VX_FEATURE_ONE]);
    printf("Intervals: bootstrap over speakers, %d replicates, seed %" PRIu64 ".\n", TRIALS_REPLICATES, s->seed);
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "bench", "scores", "model", s->manifest.name, "seed",
                  (json_int_t)s->seed, "sources", sources, "sizes", sizes, "fitted", fitted_json(c), "reliability",
                  reliability(s, BY_NORMALISED), "reliability_cosine", reliability(s, BY_COSINE));
    bool ok = root && (!path || json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) == 0);
    json_decref(root);
    return ok || complain(path ? path : "report", "cannot be written");
}

static bool open_model(study *s, const char *folder)
{
    vx_errinfo info = {0};
    vx_err err = vx_manifest_read(folder, &s->manifest, &info);
    if (!err)
        err = vx_cohort_open(folder, &s->manifest, &s->cohort, &info);
    return !err || complain(folder, vx_errinfo_text(&info, err));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, 'j'}, {"seed", required_argument, NULL, 's'}, {0}};
    const char *json = NULL;
    study s = {.seed = 1};
    bool usage = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'j': json = optarg; break;
        case 's': s.seed = strtoull(optarg, NULL, 10); break;
        default: usage = true;
        }
    }
    if (usage || optind + 2 != argc) {
        fputs("usage: score_edge TRIALS.tsv MODEL_FOLDER [--json OUT] [--seed N] < EMBEDDINGS\n", stderr);
        return 2;
    }
    const bool ok =
        open_model(&s, argv[optind + 1]) && trials_read("-", argv[optind], &s.set) && judge(&s) && report(&s, json);
    vx_cohort_close(&s.cohort);
    trials_done(&s.set);
    free(s.features);
    free(s.same);
    free(s.judged);
    free(s.room);
    return ok ? 0 : 1;
}
