/* spoof_set.c - two passes: what the lock knew, then what it made of each recording. */
#include "edge/spoof_set.h"

#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/base/team.h"

enum { BASELINE = 5, HEARD = 64 /* fingerprints of a speaker that are compared with, at most */ };
static const size_t MANIFEST_MAX = 64u << 20;
static const char PLAIN[] = "plain", REPEAT[] = "repeat";

/* ---- the list ------------------------------------------------------------------------------------------------------- */

typedef enum { PATH, SPOOF, GROUP, KIND, HELD_OUT, SOURCE, SPEAKER, ORIGINAL, N_COLUMNS } column;
static const char *const column_names[N_COLUMNS] = {"path",     "spoof",  "group",   "kind",
                                                    "held_out", "source", "speaker", "original"};
enum { FIELDS_MAX = 64 };

/* Cuts a line at its tabs. Returns the number of fields, FIELDS_MAX at the most. */
static int split(char *line, char *fields[FIELDS_MAX])
{
    int n = 0;
    fields[n++] = line;
    for (char *p = line; *p && n < FIELDS_MAX; p++)
        if (*p == '\t') {
            *p = '\0';
            fields[n++] = p + 1;
        }
    return n;
}

static vx_err refuse(const vx_spoof_set *set, size_t line, const char *what, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, VX_ERR_BAD_LIST, set->folder, -1, (int)line, "manifest.tsv: %s", what);
}

static bool read_flag(const char *text, bool *ret)
{
    *ret = *text == '1';
    return (*text == '0' || *text == '1') && text[1] == '\0';
}

static vx_err read_line(vx_spoof_set *set, char *line, size_t number, const int where[N_COLUMNS], vx_errinfo *info)
{
    char *f[FIELDS_MAX];
    const int n = split(line, f);
    vx_spoof_clip *clip = &set->clips[set->n];
    for (int c = 0; c < N_COLUMNS; c++)
        if (where[c] >= n)
            return refuse(set, number, "the line has too few columns", info);
    clip->path = f[where[PATH]], clip->group = f[where[GROUP]], clip->kind = f[where[KIND]];
    clip->source = f[where[SOURCE]], clip->speaker = f[where[SPEAKER]], clip->original = f[where[ORIGINAL]];
    if (!read_flag(f[where[SPOOF]], &clip->spoof) || !read_flag(f[where[HELD_OUT]], &clip->held_out))
        return refuse(set, number, "spoof and held_out are 0 or 1", info);
    if (!*clip->path || *clip->path == '/' || strstr(clip->path, ".."))
        return refuse(set, number, "the path does not lie below the folder", info);
    set->n++;
    return VX_OK;
}

static vx_err read_heading(vx_spoof_set *set, char *line, int ret_where[N_COLUMNS], vx_errinfo *info)
{
    char *f[FIELDS_MAX];
    const int n = split(line, f);
    for (int c = 0; c < N_COLUMNS; c++) {
        int i = 0;
        while (i < n && strcmp(f[i], column_names[c]) != 0)
            i++;
        if (i == n)
            return vx_errinfo_set_at(info, VX_ERR_BAD_LIST, set->folder, -1, 1, "manifest.tsv has no column %s",
                                     column_names[c]);
        ret_where[c] = i;
    }
    return VX_OK;
}

static vx_err read_lines(vx_spoof_set *set, vx_errinfo *info)
{
    int where[N_COLUMNS];
    size_t number = 0, n_lines = 1;
    vx_err err = VX_OK;
    for (const char *p = set->text; *p; p++)
        n_lines += *p == '\n';
    set->clips = calloc(n_lines, sizeof *set->clips);
    if (!set->clips)
        return VX_ERR_NOMEM;
    for (char *line = set->text; err == VX_OK && line && *line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        err = number == 0 ? read_heading(set, line, where, info) : read_line(set, line, number + 1, where, info);
        line = end ? end + 1 : NULL;
    }
    return err == VX_OK && set->n == 0 ? refuse(set, number, "it lists no recording", info) : err;
}

vx_err vx_spoof_set_read(const char *folder, vx_spoof_set *ret_set, vx_errinfo *info)
{
    char path[PATH_MAX];
    vx_buf text = {0};
    vx_spoof_set set = {.folder = strdup(folder)};
    vx_err err = set.folder ? vx_path_join(folder, "manifest.tsv", path, sizeof path) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_file_read(path, MANIFEST_MAX, &text, info);
    if (err == VX_OK)
        err = vx_buf_append(&text, "", 1);
    set.text = (char *)text.data;
    if (err == VX_OK)
        err = read_lines(&set, info);
    if (err != VX_OK) {
        vx_spoof_set_done(&set);
        return err;
    }
    *ret_set = set;
    return VX_OK;
}

void vx_spoof_set_done(vx_spoof_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        vx_pava_report_done(&set->clips[i].report);
    free(set->clips);
    free(set->text);
    free(set->folder);
    memset(set, 0, sizeof *set);
}

/* ---- judging -------------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_spoof_set *set;
    vx_pava_report *lessons; /* [set->n] of plain clips, from the first pass; constant in the second */
    bool first;
    atomic_size_t next, done;
    void (*progress)(size_t done, size_t n);
} judging;

static bool is_plain(const vx_spoof_clip *clip)
{
    return strcmp(clip->kind, PLAIN) == 0;
}

/* What the lock knew of the speaker before this clip. ret_heard [out] room for HEARD, borrowed */
static void recall(const judging *j, const vx_spoof_clip *clip, vx_fingerprint ret_heard[HEARD],
                   vx_pava_known *ret_known)
{
    int n_baseline = 0;
    memset(ret_known, 0, sizeof *ret_known);
    ret_known->heard = ret_heard;
    for (size_t i = 0; i < j->set->n; i++) {
        const vx_spoof_clip *other = &j->set->clips[i];
        if (other == clip || !is_plain(other) || strcmp(other->speaker, clip->speaker) != 0 ||
            strcmp(other->source, clip->source) != 0)
            continue;
        const bool same = strcmp(other->original, clip->original) == 0;
        if (!same && n_baseline < BASELINE) {
            vx_pava_baseline_learn(&ret_known->baseline, &j->lessons[i]);
            n_baseline++;
        }
        if ((!same || strcmp(clip->group, REPEAT) == 0) && j->lessons[i].has_fingerprint && ret_known->n_heard < HEARD)
            ret_heard[ret_known->n_heard++] = j->lessons[i].fingerprint;
    }
}

static void judge_clip(const judging *j, size_t i)
{
    char path[PATH_MAX];
    vx_audio audio = {0};
    vx_pava_known known = {0};
    vx_fingerprint heard[HEARD];
    vx_spoof_clip *clip = &j->set->clips[i];
    clip->err = vx_path_join(j->set->folder, clip->path, path, sizeof path);
    if (clip->err == VX_OK)
        clip->err = vx_cmd_read_audio(path, &audio, NULL);
    if (clip->err != VX_OK)
        return;
    if (!j->first)
        recall(j, clip, heard, &known);
    vx_pava_judge(audio.samples, audio.n, &known, 0, j->first ? &j->lessons[i] : &clip->report, &clip->physics);
    if (!j->first) {
        vx_fingerprint_done(&clip->report.fingerprint);
        clip->report.has_fingerprint = false;
    }
    vx_audio_done(&audio);
}

static void judge_some(void *arg, int rank)
{
    judging *j = arg;
    for (;;) {
        const size_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->set->n)
            return;
        if (!j->first || is_plain(&j->set->clips[i]))
            judge_clip(j, i);
        const size_t done = atomic_fetch_add(&j->done, 1) + 1;
        if (rank == 0 && j->progress)
            j->progress(done + (j->first ? 0 : j->set->n), 2 * j->set->n);
    }
}

vx_err vx_spoof_set_judge(vx_spoof_set *set, int threads, void (*progress)(size_t done, size_t n), vx_errinfo *info)
{
    vx_team *team = NULL;
    judging j = {.set = set, .lessons = calloc(set->n + 1, sizeof *j.lessons), .progress = progress};
    vx_err err = j.lessons ? vx_team_create(threads, &team) : VX_ERR_NOMEM;
    for (int pass = 0; pass < 2 && err == VX_OK; pass++) {
        j.first = pass == 0;
        atomic_store(&j.next, 0);
        atomic_store(&j.done, 0);
        vx_team_run(team, judge_some, &j);
    }
    vx_team_destroy(team);
    for (size_t i = 0; j.lessons && i < set->n; i++)
        vx_pava_report_done(&j.lessons[i]);
    free(j.lessons);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "the recordings cannot be judged");
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static void write_heading(FILE *f)
{
    (void)fputs("kind\tgroup\tspoof\theld_out\tsource\tspeaker\toriginal\tpath", f);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        const char *layer = vx_pava_layer_name((vx_pava_layer)l);
        for (const char *const *m = vx_pava_measure_names((vx_pava_layer)l); *m; m++)
            (void)fprintf(f, "\t%s.%s", layer, *m);
        (void)fprintf(f, "\t%s.llr", layer);
    }
    (void)fputs("\tstatus\trisk\n", f);
}

static void write_clip(FILE *f, const vx_spoof_clip *c)
{
    (void)fprintf(f, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s", c->kind, c->group, c->spoof, c->held_out, c->source, c->speaker,
                  c->original, c->path);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        const vx_layer_finding *finding = &c->report.layers[l];
        const bool valid = finding->status == VX_EVIDENCE_VALID;
        const char *const *names = vx_pava_measure_names((vx_pava_layer)l);
        for (int m = 0; names[m]; m++)
            if (valid && isfinite(finding->measures[m]))
                (void)fprintf(f, "\t%.9g", finding->measures[m]);
            else
                (void)fputc('\t', f);
        if (valid)
            (void)fprintf(f, "\t%.6g", finding->llr);
        else
            (void)fputc('\t', f);
    }
    (void)fprintf(f, "\t%s\t%.6g\n", vx_evidence_status_name(c->physics.status), c->report.risk);
}

vx_err vx_spoof_set_write(const vx_spoof_set *set, const char *out, vx_errinfo *info)
{
    FILE *f = fopen(out, "w");
    if (!f)
        return vx_file_failed(out, "open", info);
    write_heading(f);
    for (size_t i = 0; i < set->n; i++)
        if (set->clips[i].err == VX_OK)
            write_clip(f, &set->clips[i]);
    const bool written = !ferror(f);
    return fclose(f) == 0 && written ? VX_OK : vx_file_failed(out, "write", info);
}
