/* score_trials.c - error rates of a model on a list of trials.
 * Usage:  score_trials TRIALS.tsv [--json OUT] [--expect REPORT.json] [--seed N] < EMBEDDINGS
 *         TRIALS with one enrolment each, and EMBEDDINGS, as tests/support/trials.h reads them.
 * Owns:   cosine scores, rates of each source and of all, their 95 % intervals, the comparison with a report.
 *         Does not: compute embeddings, or score voiceprints as the device does (score_edge.c).
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/measure/scores.h"
#include "tests/support/trials.h"

enum { MAX_ROWS = TRIALS_MAX_SOURCES + 1 };
/* Two programs that compute the same features and network differ by float rounding: a trial or two at the threshold. */
#define EXPECTED_EER_WITHIN 0.005

/* The rates of one source, and what the bootstrap says of them. */
typedef struct {
    const char *name;
    size_t n_speakers;
    vx_score_rates rates;
    estimate eer, dcf;
    double expected_eer; /* negative: none */
} row;

static int complain(const char *where, const char *what)
{
    fprintf(stderr, "score_trials: %s: %s\n", where, what);
    return -1;
}

static bool eer_and_dcf(const vx_scored_trial *trials, size_t n, void *ctx, double *ret_values)
{
    vx_score_rates rates;
    if (!vx_scores_rates(trials, n, &rates))
        return false;
    if (ctx)
        *(vx_score_rates *)ctx = rates;
    ret_values[0] = rates.eer;
    ret_values[1] = rates.min_dcf;
    return true;
}

/* trials [in] in rising order of score. */
static int rate(const spoken_trial *trials, size_t n, size_t n_speakers, uint64_t *seed, row *ret)
{
    estimate estimates[2];
    vx_scored_trial *scored = calloc(n ? n : 1, sizeof *scored);
    double values[2];
    for (size_t i = 0; scored && i < n; i++)
        scored[i] = trials[i].scored;
    const bool ok = scored && eer_and_dcf(scored, n, &ret->rates, values) &&
                    trials_estimate(trials, n, n_speakers, eer_and_dcf, NULL, 2, seed, estimates);
    free(scored);
    if (!ok)
        return complain(ret->name, "needs trials of one speaker and of two");
    ret->n_speakers = trials_count_speakers(trials, n, n_speakers);
    ret->eer = estimates[0];
    ret->dcf = estimates[1];
    return 0;
}

/* Cosines of the trials of one source, or of all; the number of trials, 0 when one cannot be scored. */
static size_t score(const trial_set *set, size_t source, bool all, spoken_trial *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n_trials; i++) {
        const trial *t = &set->trials[i];
        if (!all && t->source != source)
            continue;
        const recording *enroll = &set->recordings[set->exemplars[t->exemplars]], *test = &set->recordings[t->test];
        spoken_trial s = {{.is_target = t->is_target, .weight = 1}, t->enrolled, t->speaking};
        if (t->n_exemplars != 1 || vx_embedding_cosine(&enroll->embedding, &test->embedding, &s.scored.score)) {
            complain(test->file, t->n_exemplars != 1 ? "tried against several recordings; score_edge takes those"
                                                     : "its embedding comes from another model");
            return 0;
        }
        ret[n++] = s;
    }
    trials_sort(ret, n);
    return n;
}

/* The last row is of all trials together. */
static int rate_all(const trial_set *set, uint64_t seed, row *rows)
{
    spoken_trial *some = calloc(set->n_trials ? set->n_trials : 1, sizeof *some);
    if (!some)
        return complain("trials", "out of memory");
    int status = 0;
    for (size_t s = 0; s <= set->n_sources && status == 0; s++) {
        const bool all = s == set->n_sources;
        rows[s] = (row){.name = all ? "all" : set->sources[s], .expected_eer = -1};
        const size_t n = score(set, s, all, some);
        status = rate(some, n, set->n_speakers, &seed, &rows[s]);
    }
    free(some);
    return status;
}

static int read_report(const char *path, row *rows, size_t n)
{
    const vx_json_limits limits = {.max_depth = 16, .max_values = 100000};
    vx_errinfo info = {0};
    vx_buf text = {0};
    json_t *root = NULL;
    vx_err err = vx_file_read(path, (size_t)1 << 20, &text, &info);
    if (!err)
        err = vx_json_parse((const char *)text.data, text.len, limits, &root, &info);
    const json_t *report = json_object_get(root, "trials_dev");
    for (size_t i = 0; !err && i < n; i++)
        err = vx_json_real(json_object_get(report, rows[i].name), "eer", true, 0, 1, &rows[i].expected_eer, &info);
    json_decref(root);
    vx_buf_done(&text);
    return err ? complain(path, vx_errinfo_text(&info, err)) : 0;
}

static void print_table(const row *rows, size_t n, uint64_t seed)
{
    printf("%-24s %8s %7s %11s  %-22s %-22s %9s %9s\n", "source", "speakers", "targets", "non-targets",
           "EER % (95 % interval)", "minDCF (95 %)", "threshold", "expected");
    for (size_t i = 0; i < n; i++) {
        const row *r = &rows[i];
        char eer[32], dcf[32], expected[16] = "-";
        snprintf(eer, sizeof eer, "%.2f (%.2f .. %.2f)", 100 * r->eer.value, 100 * r->eer.low, 100 * r->eer.high);
        snprintf(dcf, sizeof dcf, "%.3f (%.3f .. %.3f)", r->dcf.value, r->dcf.low, r->dcf.high);
        if (r->expected_eer >= 0)
            snprintf(expected, sizeof expected, "%.2f", 100 * r->expected_eer);
        printf("%-24s %8zu %7.0f %11.0f  %-22s %-22s %9.4f %9s\n", r->name, r->n_speakers, r->rates.targets,
               r->rates.nontargets, eer, dcf, r->rates.threshold, expected);
    }
    printf("Intervals: bootstrap over speakers, %d replicates, seed %" PRIu64 ". minDCF: target prior %g, both errors "
           "cost 1, normalised.\n",
           TRIALS_REPLICATES, seed, VX_SCORES_TARGET_PRIOR);
}

static int write_json(const char *path, const trial_set *set, const row *rows, size_t n, uint64_t seed)
{
    char model[VX_DIGEST_TEXT];
    vx_model_digest_text(&set->recordings[0].embedding.model, model);
    json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:I}", "bench", "accuracy", "model", model, "bootstrap", "speakers",
                             "replicates", TRIALS_REPLICATES, "seed", (json_int_t)seed);
    json_t *sources = json_object();
    for (size_t i = 0; i < n; i++) {
        const row *r = &rows[i];
        json_object_set_new(sources, r->name,
                            json_pack("{s:f, s:[f, f], s:f, s:[f, f], s:f, s:f, s:f, s:I}", "eer", r->eer.value,
                                      "eer_95", r->eer.low, r->eer.high, "mindcf_p01", r->dcf.value, "mindcf_p01_95",
                                      r->dcf.low, r->dcf.high, "threshold", r->rates.threshold, "target",
                                      r->rates.targets, "nontarget", r->rates.nontargets, "speakers",
                                      (json_int_t)r->n_speakers));
    }
    json_object_set_new(root, "sources", sources);
    const int failed = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
    json_decref(root);
    return failed ? complain(path, "cannot be written") : 0;
}

/* How many rows are further from the report than rounding explains. */
static int count_strays(const row *rows, size_t n)
{
    int strays = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].expected_eer < 0 || fabs(rows[i].eer.value - rows[i].expected_eer) <= EXPECTED_EER_WITHIN)
            continue;
        fprintf(stderr, "score_trials: %s: EER %.2f %% where the report says %.2f %%\n", rows[i].name,
                100 * rows[i].eer.value, 100 * rows[i].expected_eer);
        strays++;
    }
    return strays;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", required_argument, NULL, 'j'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    const char *json = NULL, *expect = NULL;
    uint64_t seed = 1;
    bool usage = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'j': json = optarg; break;
        case 'e': expect = optarg; break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        default: usage = true;
        }
    }
    if (usage || optind + 1 != argc) {
        fputs("usage: score_trials TRIALS.tsv [--json OUT] [--expect REPORT.json] [--seed N] < EMBEDDINGS\n", stderr);
        return 2;
    }
    trial_set set = {0};
    row rows[MAX_ROWS];
    int status = trials_read("-", argv[optind], &set) ? rate_all(&set, seed, rows) : -1;
    const size_t n_rows = set.n_sources + 1;
    if (status == 0 && expect)
        status = read_report(expect, rows, n_rows);
    if (status == 0) {
        print_table(rows, n_rows, seed);
        if (json)
            status = write_json(json, &set, rows, n_rows, seed);
    }
    if (status == 0)
        status = count_strays(rows, n_rows);
    trials_done(&set);
    return status == 0 ? 0 : 1;
}
