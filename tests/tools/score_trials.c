/* score_trials.c - error rates of a model on a list of trials.
 * Usage:  score_trials TRIALS.tsv [--json OUT] [--expect REPORT.json] [--seed N] < EMBEDDINGS
 *         TRIALS has a heading line and the columns same (1 or 0), source, enroll, test; EMBEDDINGS are the lines of
 *         `voxlock embed --json` for every file that TRIALS names, under the same names.
 * Owns:   cosine scores, rates of each source and of all, their 95 % intervals, the comparison with a report.
 *         Does not: compute embeddings; the rates themselves are tests/support/scores.c.
 *
 * Intervals are a bootstrap over speakers, not over trials: trials of one speaker are not independent, and drawing
 * them as if they were makes intervals several times too narrow. The speaker is the folder that a recording lies in.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/embedding.h"
#include "tests/support/scores.h"
#include "tests/support/stats.h"

enum { REPLICATES = 1000, MAX_SOURCES = 32, MAX_LINE = 4096 };
#define MAX_EMBEDDINGS_BYTES ((size_t)1 << 30)
/* Two programs that compute the same features and network differ by float rounding: a trial or two at the threshold. */
#define EXPECTED_EER_WITHIN  0.005

typedef struct {
    char *file;
    size_t speaker;
    vx_embedding embedding;
} recording;

typedef struct {
    scored_trial scored;
    size_t enroll, test; /* speakers */
    size_t source;
} trial;

typedef struct {
    recording *recordings; /* by file name */
    size_t n_recordings, n_speakers;
    trial *trials;
    size_t n_trials;
    char *sources[MAX_SOURCES];
    size_t n_sources;
} data_set;

/* The rates of one source, and what the bootstrap says of them. */
typedef struct {
    const char *name;
    size_t n_speakers;
    score_rates rates;
    double eer_low, eer_high, dcf_low, dcf_high;
    double expected_eer; /* negative: none */
} row;

static int complain(const char *where, const char *what)
{
    fprintf(stderr, "score_trials: %s: %s\n", where, what);
    return -1;
}

static int by_file(const void *a, const void *b)
{
    return strcmp(((const recording *)a)->file, ((const recording *)b)->file);
}

/* One line of `voxlock embed --json`. */
static int read_embedding(const json_t *line, recording *ret)
{
    vx_errinfo info = {0};
    const char *file = NULL, *digest = NULL, *error = NULL;
    recording r = {0};
    float raw[VX_EMBEDDING_MAX_DIM];
    vx_model_digest model;
    vx_err err = vx_json_text(line, "file", true, &file, NULL, &info);
    if (!err)
        err = vx_json_text(line, "error", false, &error, NULL, &info);
    if (!err && error)
        return complain(file, error);
    if (!err)
        err = vx_json_text(line, "model", true, &digest, NULL, &info);
    if (!err)
        err = vx_model_digest_parse(digest, &model);
    const json_t *values = json_object_get(line, "embedding");
    const size_t dim = json_array_size(values);
    if (!err && (dim == 0 || dim > VX_EMBEDDING_MAX_DIM))
        return complain(file, "no embedding in its line");
    if (!err)
        err = vx_json_floats(values, "embedding", dim, raw, &info);
    if (!err)
        err = vx_embedding_from_raw(&model, raw, (int)dim, &r.embedding);
    if (err)
        return complain(file ? file : "embeddings", vx_errinfo_text(&info, err));
    r.file = strdup(file);
    if (!r.file)
        return complain(file, "out of memory");
    *ret = r;
    return 0;
}

static int read_embeddings(data_set *set)
{
    const vx_json_limits limits = {.max_depth = 4, .max_values = 2 * VX_EMBEDDING_MAX_DIM};
    vx_errinfo info = {0};
    vx_buf text = {0};
    size_t cap = 0;
    int status = vx_file_read("-", MAX_EMBEDDINGS_BYTES, &text, &info) ? complain("embeddings", info.text) : 0;
    for (size_t at = 0, len; status == 0 && at < text.len; at += len + 1) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        len = end ? (size_t)(end - (text.data + at)) : text.len - at;
        if (set->n_recordings == cap) {
            cap = cap ? 2 * cap : 256;
            recording *grown = realloc(set->recordings, cap * sizeof *grown);
            if (!grown) {
                status = complain("embeddings", "out of memory");
                break;
            }
            set->recordings = grown;
        }
        json_t *line = NULL;
        if (vx_json_parse((const char *)text.data + at, len, limits, &line, &info))
            status = complain("embeddings", info.text);
        else
            status = read_embedding(line, &set->recordings[set->n_recordings]);
        json_decref(line);
        set->n_recordings += status == 0;
    }
    vx_buf_wipe_done(&text);
    if (status == 0 && set->n_recordings == 0)
        return complain("embeddings", "standard input is empty");
    if (status == 0)
        qsort(set->recordings, set->n_recordings, sizeof *set->recordings, by_file);
    return status;
}

static size_t folder_len(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? (size_t)(slash - file) : 0;
}

/* Numbers speakers by folder. */
static void find_speakers(data_set *set)
{
    for (size_t i = 0; i < set->n_recordings; i++) {
        recording *r = &set->recordings[i];
        const size_t len = folder_len(r->file);
        size_t k = 0;
        while (k < i &&
               (folder_len(set->recordings[k].file) != len || strncmp(set->recordings[k].file, r->file, len) != 0))
            k++;
        r->speaker = k < i ? set->recordings[k].speaker : set->n_speakers++;
    }
}

static const recording *find_recording(const data_set *set, char *file)
{
    const recording key = {.file = file};
    return bsearch(&key, set->recordings, set->n_recordings, sizeof key, by_file);
}

static int find_source(data_set *set, const char *name, size_t *ret)
{
    size_t k = 0;
    while (k < set->n_sources && strcmp(set->sources[k], name) != 0)
        k++;
    if (k == set->n_sources) {
        if (k == MAX_SOURCES || !(set->sources[k] = strdup(name)))
            return complain(name, "too many sources");
        set->n_sources++;
    }
    *ret = k;
    return 0;
}

/* "1\tsource\tenroll\ttest" */
static int read_trial(data_set *set, char *line, trial *ret)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *fields[4] = {0}, *rest = line;
    for (int i = 0; i < 4 && rest; i++) {
        fields[i] = rest;
        rest = strchr(rest, '\t');
        if (rest)
            *rest++ = '\0';
    }
    if (!fields[3] || rest || (strcmp(fields[0], "0") != 0 && strcmp(fields[0], "1") != 0))
        return complain("trials", "a line does not read: same (1 or 0), source, enroll, test");
    const recording *enroll = find_recording(set, fields[2]), *test = find_recording(set, fields[3]);
    if (!enroll || !test)
        return complain(enroll ? fields[3] : fields[2], "named in the trials, but there is no embedding of it");
    trial t = {.enroll = enroll->speaker, .test = test->speaker};
    t.scored = (scored_trial){.is_target = fields[0][0] == '1', .weight = 1};
    if (t.scored.is_target != (t.enroll == t.test))
        return complain(fields[3], "recordings of one speaker must lie in one folder, those of two in two");
    if (vx_embedding_cosine(&enroll->embedding, &test->embedding, &t.scored.score))
        return complain(fields[3], "its embedding comes from another model");
    if (find_source(set, fields[1], &t.source))
        return -1;
    *ret = t;
    return 0;
}

static int read_trials(const char *path, data_set *set)
{
    char line[MAX_LINE];
    size_t cap = 0;
    int status = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return complain(path, strerror(errno));
    if (!fgets(line, sizeof line, file))
        status = complain(path, "empty");
    while (status == 0 && fgets(line, sizeof line, file)) {
        if (set->n_trials == cap) {
            cap = cap ? 2 * cap : 1024;
            trial *grown = realloc(set->trials, cap * sizeof *grown);
            if (!grown) {
                status = complain(path, "out of memory");
                break;
            }
            set->trials = grown;
        }
        status = read_trial(set, line, &set->trials[set->n_trials]);
        set->n_trials += status == 0;
    }
    fclose(file);
    return status;
}

static int by_trial_score(const void *a, const void *b)
{
    const double x = ((const trial *)a)->scored.score, y = ((const trial *)b)->scored.score;
    return (x > y) - (x < y);
}

/* Draws as many speakers as there are, with replacement: a target trial counts as often as its speaker was drawn, a
 * non-target trial as often as its pair was. */
static void draw(const trial *trials, size_t n, const size_t *speakers, size_t n_speakers, double *times,
                 uint64_t *seed, scored_trial *ret)
{
    for (size_t i = 0; i < n_speakers; i++)
        times[speakers[i]] = 0;
    for (size_t i = 0; i < n_speakers; i++)
        times[speakers[stats_random(seed) % n_speakers]]++;
    for (size_t i = 0; i < n; i++) {
        ret[i] = trials[i].scored;
        ret[i].weight = times[trials[i].enroll] * (ret[i].is_target ? 1 : times[trials[i].test]);
    }
}

static void interval(double *values, size_t n, double *ret_low, double *ret_high)
{
    stats_sort(values, n);
    *ret_low = stats_quantile(values, n, 0.025);
    *ret_high = stats_quantile(values, n, 0.975);
}

/* trials [in] in rising order of score. */
static int rate(const trial *trials, size_t n, size_t all_speakers, uint64_t *seed, row *ret)
{
    int status = -1;
    size_t n_drawn = 0, *speakers = calloc(all_speakers, sizeof *speakers);
    double *times = calloc(all_speakers, sizeof *times);
    double *eers = calloc(REPLICATES, sizeof *eers), *dcfs = calloc(REPLICATES, sizeof *dcfs);
    scored_trial *scored = calloc(n, sizeof *scored);
    if (!speakers || !times || !eers || !dcfs || !scored) {
        complain(ret->name, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        scored[i] = trials[i].scored;
        times[trials[i].enroll] = times[trials[i].test] = 1;
    }
    if (!scores_rates(scored, n, &ret->rates)) {
        complain(ret->name, "needs trials of one speaker and of two");
        goto out;
    }
    ret->n_speakers = 0;
    for (size_t i = 0; i < all_speakers; i++)
        if (times[i] > 0)
            speakers[ret->n_speakers++] = i;
    for (int i = 0; i < REPLICATES; i++) {
        score_rates rates;
        draw(trials, n, speakers, ret->n_speakers, times, seed, scored);
        /* A draw of one speaker only has no pairs. */
        if (!scores_rates(scored, n, &rates))
            continue;
        eers[n_drawn] = rates.eer;
        dcfs[n_drawn++] = rates.min_dcf;
    }
    interval(eers, n_drawn, &ret->eer_low, &ret->eer_high);
    interval(dcfs, n_drawn, &ret->dcf_low, &ret->dcf_high);
    status = 0;
out:
    free(speakers);
    free(times);
    free(eers);
    free(dcfs);
    free(scored);
    return status;
}

/* The last row is of all trials together. */
static int rate_all(data_set *set, uint64_t seed, row *rows)
{
    qsort(set->trials, set->n_trials, sizeof *set->trials, by_trial_score);
    trial *some = calloc(set->n_trials, sizeof *some);
    if (!some)
        return complain("trials", "out of memory");
    int status = 0;
    for (size_t s = 0; s < set->n_sources && status == 0; s++) {
        size_t n = 0;
        for (size_t i = 0; i < set->n_trials; i++)
            if (set->trials[i].source == s)
                some[n++] = set->trials[i];
        rows[s] = (row){.name = set->sources[s], .expected_eer = -1};
        status = rate(some, n, set->n_speakers, &seed, &rows[s]);
    }
    free(some);
    row *all = &rows[set->n_sources];
    *all = (row){.name = "all", .expected_eer = -1};
    return status ? status : rate(set->trials, set->n_trials, set->n_speakers, &seed, all);
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
        snprintf(eer, sizeof eer, "%.2f (%.2f .. %.2f)", 100 * r->rates.eer, 100 * r->eer_low, 100 * r->eer_high);
        snprintf(dcf, sizeof dcf, "%.3f (%.3f .. %.3f)", r->rates.min_dcf, r->dcf_low, r->dcf_high);
        if (r->expected_eer >= 0)
            snprintf(expected, sizeof expected, "%.2f", 100 * r->expected_eer);
        printf("%-24s %8zu %7.0f %11.0f  %-22s %-22s %9.4f %9s\n", r->name, r->n_speakers, r->rates.targets,
               r->rates.nontargets, eer, dcf, r->rates.threshold, expected);
    }
    printf("Intervals: bootstrap over speakers, %d replicates, seed %" PRIu64 ". minDCF: target prior %g, both errors "
           "cost 1, normalised.\n",
           REPLICATES, seed, SCORES_TARGET_PRIOR);
}

static int write_json(const char *path, const data_set *set, const row *rows, size_t n, uint64_t seed)
{
    char model[VX_DIGEST_TEXT];
    vx_model_digest_text(&set->recordings[0].embedding.model, model);
    json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:I}", "bench", "accuracy", "model", model, "bootstrap", "speakers",
                             "replicates", REPLICATES, "seed", (json_int_t)seed);
    json_t *sources = json_object();
    for (size_t i = 0; i < n; i++) {
        const row *r = &rows[i];
        json_object_set_new(sources, r->name,
                            json_pack("{s:f, s:[f, f], s:f, s:[f, f], s:f, s:f, s:f, s:I}", "eer", r->rates.eer,
                                      "eer_95", r->eer_low, r->eer_high, "mindcf_p01", r->rates.min_dcf,
                                      "mindcf_p01_95", r->dcf_low, r->dcf_high, "threshold", r->rates.threshold,
                                      "target", r->rates.targets, "nontarget", r->rates.nontargets, "speakers",
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
        if (rows[i].expected_eer < 0 || fabs(rows[i].rates.eer - rows[i].expected_eer) <= EXPECTED_EER_WITHIN)
            continue;
        fprintf(stderr, "score_trials: %s: EER %.2f %% where the report says %.2f %%\n", rows[i].name,
                100 * rows[i].rates.eer, 100 * rows[i].expected_eer);
        strays++;
    }
    return strays;
}

static void data_done(data_set *set)
{
    for (size_t i = 0; i < set->n_recordings; i++) {
        free(set->recordings[i].file);
        vx_embedding_wipe(&set->recordings[i].embedding);
    }
    for (size_t i = 0; i < set->n_sources; i++)
        free(set->sources[i]);
    free(set->recordings);
    free(set->trials);
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
    data_set set = {0};
    row rows[MAX_SOURCES + 1];
    int status = read_embeddings(&set);
    if (status == 0) {
        find_speakers(&set);
        status = read_trials(argv[optind], &set);
    }
    if (status == 0)
        status = rate_all(&set, seed, rows);
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
    data_done(&set);
    return status == 0 ? 0 : 1;
}
