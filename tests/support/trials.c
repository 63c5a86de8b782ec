/* trials.c - reads embeddings and trials, and draws speakers. */
#include "tests/support/trials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/file.h"
#include "shared/base/json.h"
#include "tests/support/stats.h"

enum { MAX_LINE = 1 << 16 };
#define MAX_EMBEDDINGS_BYTES ((size_t)1 << 30)

static bool complain(const char *where, const char *what)
{
    fprintf(stderr, "trials: %s: %s\n", where, what);
    return false;
}

/* Room for one more of n values of `size` bytes in *list; NULL when memory is out. */
static void *grow(void **list, size_t n, size_t size)
{
    if (n == 0 || (n >= 256 && (n & (n - 1)) == 0)) {
        void *grown = realloc(*list, (n ? 2 * n : 256) * size);
        if (!grown) {
            complain("reading", "out of memory");
            return NULL;
        }
        *list = grown;
    }
    return (char *)*list + n * size;
}

/* ---- recordings ---- */

static int by_file(const void *a, const void *b)
{
    return strcmp(((const recording *)a)->file, ((const recording *)b)->file);
}

/* One line of `voxlock embed --json`. */
static bool read_embedding(const json_t *line, recording *ret)
{
    vx_errinfo info = {0};
    const char *file = NULL, *digest = NULL, *error = NULL;
    recording r = {.speech_s = 1, .snr_db = 20};
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
    if (!err)
        err = vx_json_real(line, "speech_s", false, 0, 1e6, &r.speech_s, &info);
    if (!err)
        err = vx_json_real(line, "snr_db", false, -1000, 1000, &r.snr_db, &info);
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
    return true;
}

static bool read_embeddings(const char *path, trial_set *set)
{
    const vx_json_limits limits = {.max_depth = 4, .max_values = 2 * VX_EMBEDDING_MAX_DIM};
    vx_errinfo info = {0};
    vx_buf text = {0};
    bool ok = !vx_file_read(path, MAX_EMBEDDINGS_BYTES, &text, &info) || complain(path, info.text);
    for (size_t at = 0, len; ok && at < text.len; at += len + 1) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        len = end ? (size_t)(end - (text.data + at)) : text.len - at;
        recording *r = grow((void **)&set->recordings, set->n_recordings, sizeof *r);
        json_t *line = NULL;
        ok = r != NULL;
        if (ok && vx_json_parse((const char *)text.data + at, len, limits, &line, &info))
            ok = complain(path, info.text);
        else
            ok = ok && read_embedding(line, r);
        json_decref(line);
        set->n_recordings += ok;
    }
    vx_buf_wipe_done(&text);
    if (ok && set->n_recordings == 0)
        return complain(path, "no embeddings");
    if (ok)
        qsort(set->recordings, set->n_recordings, sizeof *set->recordings, by_file);
    return ok;
}

static size_t folder_len(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? (size_t)(slash - file) : 0;
}

/* Numbers speakers by folder. */
static void find_speakers(trial_set *set)
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

static bool find_recording(const trial_set *set, char *file, size_t *ret)
{
    const recording key = {.file = file};
    const recording *found = bsearch(&key, set->recordings, set->n_recordings, sizeof key, by_file);
    if (!found)
        return complain(file, "named in the trials, but there is no embedding of it");
    *ret = (size_t)(found - set->recordings);
    return true;
}

/* ---- trials ---- */

static bool find_source(trial_set *set, const char *name, size_t *ret)
{
    size_t k = 0;
    while (k < set->n_sources && strcmp(set->sources[k], name) != 0)
        k++;
    if (k == set->n_sources) {
        if (k == TRIALS_MAX_SOURCES || !(set->sources[k] = strdup(name)))
            return complain(name, "too many sources");
        set->n_sources++;
    }
    *ret = k;
    return true;
}

/* "file,file,..." */
static bool read_exemplars(trial_set *set, char *files, trial *t)
{
    t->exemplars = set->n_exemplars;
    for (char *rest = files; rest;) {
        char *file = rest;
        rest = strchr(file, ',');
        if (rest)
            *rest++ = '\0';
        size_t *exemplar = grow((void **)&set->exemplars, set->n_exemplars, sizeof *exemplar);
        if (!exemplar || !find_recording(set, file, exemplar))
            return false;
        if (t->n_exemplars > 0 && set->recordings[*exemplar].speaker != t->enrolled)
            return complain(file, "enrolled together with another speaker");
        t->enrolled = set->recordings[*exemplar].speaker;
        set->n_exemplars++;
        t->n_exemplars++;
    }
    return true;
}

/* "1\tsource\tenroll\ttest" */
static bool read_trial(trial_set *set, char *line, trial *ret)
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
    trial t = {.is_target = fields[0][0] == '1'};
    if (!read_exemplars(set, fields[2], &t) || !find_recording(set, fields[3], &t.test))
        return false;
    t.speaking = set->recordings[t.test].speaker;
    if (t.is_target != (t.enrolled == t.speaking))
        return complain(fields[3], "recordings of one speaker must lie in one folder, those of two in two");
    if (!find_source(set, fields[1], &t.source))
        return false;
    *ret = t;
    return true;
}

static bool read_trials(const char *path, trial_set *set)
{
    bool ok = true;
    FILE *file = fopen(path, "r");
    char *line = malloc(MAX_LINE);
    if (!file || !line)
        ok = complain(path, file ? "out of memory" : strerror(errno));
    else if (!fgets(line, MAX_LINE, file))
        ok = complain(path, "empty");
    while (ok && fgets(line, MAX_LINE, file)) {
        trial *t = grow((void **)&set->trials, set->n_trials, sizeof *t);
        ok = t && read_trial(set, line, t);
        set->n_trials += ok;
    }
    free(line);
    if (file)
        fclose(file);
    return ok;
}

bool trials_read(const char *embeddings, const char *trials, trial_set *set)
{
    if (!read_embeddings(embeddings, set))
        return false;
    find_speakers(set);
    return read_trials(trials, set);
}

void trials_done(trial_set *set)
{
    for (size_t i = 0; i < set->n_recordings; i++) {
        free(set->recordings[i].file);
        vx_embedding_wipe(&set->recordings[i].embedding);
    }
    for (size_t i = 0; i < set->n_sources; i++)
        free(set->sources[i]);
    free(set->recordings);
    free(set->trials);
    free(set->exemplars);
}

/* ---- the bootstrap ---- */

static int by_score(const void *a, const void *b)
{
    const double x = ((const spoken_trial *)a)->scored.score, y = ((const spoken_trial *)b)->scored.score;
    return (x > y) - (x < y);
}

void trials_sort(spoken_trial *trials, size_t n)
{
    if (n > 0)
        qsort(trials, n, sizeof *trials, by_score);
}

static size_t find_present(const spoken_trial *trials, size_t n, size_t n_speakers, size_t *ret_present)
{
    size_t found = 0;
    for (size_t s = 0; s < n_speakers; s++) {
        size_t i = 0;
        while (i < n && trials[i].enrolled != s && trials[i].speaking != s)
            i++;
        if (i < n)
            ret_present[found++] = s;
    }
    return found;
}

size_t trials_count_speakers(const spoken_trial *trials, size_t n, size_t n_speakers)
{
    size_t *present = calloc(n_speakers, sizeof *present);
    const size_t found = present ? find_present(trials, n, n_speakers, present) : 0;
    free(present);
    return found;
}

/* Draws as many speakers as there are, with replacement: a target trial counts as often as its speaker was drawn, a
 * non-target trial as often as its pair was. */
static void draw(const spoken_trial *trials, size_t n, const size_t *present, size_t n_present, double *times,
                 uint64_t *seed, vx_scored_trial *ret)
{
    for (size_t i = 0; i < n_present; i++)
        times[present[i]] = 0;
    for (size_t i = 0; i < n_present; i++)
        times[present[stats_random(seed) % n_present]]++;
    for (size_t i = 0; i < n; i++) {
        ret[i] = trials[i].scored;
        ret[i].weight = times[trials[i].enrolled] * (ret[i].is_target ? 1 : times[trials[i].speaking]);
    }
}

bool trials_estimate(const spoken_trial *trials, size_t n, size_t n_speakers, trials_statistic *statistic, void *ctx,
                     size_t n_values, uint64_t *seed, estimate *ret_estimates)
{
    bool ok = false;
    double values[TRIALS_MAX_VALUES];
    size_t n_drawn = 0, *present = calloc(n_speakers, sizeof *present);
    double *times = calloc(n_speakers, sizeof *times);
    double *drawn = calloc(TRIALS_REPLICATES * n_values, sizeof *drawn);
    vx_scored_trial *scored = calloc(n ? n : 1, sizeof *scored);
    if (!present || !times || !drawn || !scored) {
        complain("bootstrap", "out of memory");
        goto out;
    }
    const size_t n_present = find_present(trials, n, n_speakers, present);
    for (size_t i = 0; i < n; i++)
        scored[i] = trials[i].scored;
    if (!statistic(scored, n, ctx, values))
        goto out;
    for (size_t v = 0; v < n_values; v++)
        ret_estimates[v].value = values[v];
    for (int i = 0; i < TRIALS_REPLICATES; i++) {
        draw(trials, n, present, n_present, times, seed, scored);
        /* A draw of one speaker only has no pairs. */
        if (!statistic(scored, n, ctx, values))
            continue;
        for (size_t v = 0; v < n_values; v++)
            drawn[v * TRIALS_REPLICATES + n_drawn] = values[v];
        n_drawn++;
    }
    for (size_t v = 0; v < n_values; v++) {
        double *column = drawn + v * TRIALS_REPLICATES;
        stats_sort(column, n_drawn);
        ret_estimates[v].low = stats_quantile(column, n_drawn, 0.025);
        ret_estimates[v].high = stats_quantile(column, n_drawn, 0.975);
    }
    ok = true;
out:
    free(present);
    free(times);
    free(drawn);
    free(scored);
    return ok;
}
