/* cmd_spoof_report.c - voxlock spoof-report: how well PAVA tells living voices from machines, on recordings of known
 * truth.
 *
 * Three tables. What scores could do: every kind of attack is held against all living recordings there are, nuisances
 * included (a detector that takes every room for a loudspeaker shows it here), at thresholds that were chosen afterwards.
 * What the lock does: the bound is its own (VX_PAVA_ACCUSED), and who gets no answer, of whom the lock knows nothing and
 * asks for digits, is counted as that. And how sure it is: the confidence that enters the fusion.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "edge/pava/likelihood.h"
#include "edge/report/rates.h"
#include "edge/report/svg.h"
#include "edge/spoof_set.h"
#include "shared/base/cpu.h"
#include "shared/base/file.h"
#include "shared/base/json.h"

enum {
    FLAG_JSON = 1 << 0,
    PLOTS = 1,
    MEASURES = 2,
    KINDS_MAX = 128,
    GROUPS_MAX = 12, /* the living and 11 of attacks, as many as the plots have colours */
    CURVE = 400,
    LABEL = 64,
    WHOLE = VX_N_LAYERS
};
static const uint64_t SEED = 1;
/* As likely living as not; and the verdict AUTHENTICATE's own bound. */
static const double EVEN = 0.5, SURE = 0.85;

/* One kind of attack, or of living recordings. */
typedef struct {
    const char *kind, *group;
    bool spoof, held_out;
    size_t n, n_judged, n_unread;
    size_t told_with; /* index of its group among the report's */
} row;

typedef struct {
    vx_spoof_set set;
    row rows[KINDS_MAX];
    size_t n_rows;
    const char *groups[GROUPS_MAX]; /* the living are the first; then groups of attacks */
    size_t n_groups;
    int *speakers; /* [set.n] numbered */
    int n_speakers;
    vx_presented *presented; /* [set.n] room to work in, as the next */
    vx_answered *answered;
} report;

/* ---- gathering ------------------------------------------------------------------------------------------------------ */

static int by_kind(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->spoof != y->spoof)
        return x->spoof - y->spoof;
    const int group = strcmp(x->group, y->group);
    return group ? group : strcmp(x->kind, y->kind);
}

static row *row_of(report *r, const vx_spoof_clip *clip)
{
    size_t i = 0;
    while (i < r->n_rows && strcmp(r->rows[i].kind, clip->kind) != 0)
        i++;
    if (i == KINDS_MAX)
        return NULL;
    if (i == r->n_rows)
        r->rows[r->n_rows++] =
            (row){.kind = clip->kind, .group = clip->group, .spoof = clip->spoof, .held_out = clip->held_out};
    return &r->rows[i];
}

static vx_err count_kinds(report *r, vx_errinfo *info)
{
    for (size_t i = 0; i < r->set.n; i++) {
        const vx_spoof_clip *clip = &r->set.clips[i];
        row *of = row_of(r, clip);
        if (!of)
            return vx_errinfo_set(info, VX_ERR_BAD_LIST, "more than %d kinds of recordings", KINDS_MAX);
        of->n++;
        of->n_unread += clip->err != VX_OK;
        of->n_judged += clip->err == VX_OK && clip->physics.status == VX_EVIDENCE_VALID;
    }
    qsort(r->rows, r->n_rows, sizeof *r->rows, by_kind);
    return VX_OK;
}

static vx_err name_groups(report *r, vx_errinfo *info)
{
    int n_attacks = 0;
    for (size_t k = 0; k < r->n_rows; k++) {
        row *of = &r->rows[k];
        const char *name = of->spoof ? of->group : "living";
        while (of->told_with < r->n_groups && strcmp(r->groups[of->told_with], name) != 0)
            of->told_with++;
        if (of->told_with < r->n_groups)
            continue;
        n_attacks += of->spoof;
        if (n_attacks == GROUPS_MAX)
            return vx_errinfo_set(info, VX_ERR_BAD_LIST, "more than %d groups of attacks", GROUPS_MAX - 1);
        r->groups[r->n_groups++] = name;
    }
    return VX_OK;
}

static vx_err number_speakers(report *r)
{
    r->speakers = calloc(r->set.n, sizeof *r->speakers);
    r->presented = calloc(r->set.n, sizeof *r->presented);
    r->answered = calloc(r->set.n, sizeof *r->answered);
    if (!r->speakers || !r->presented || !r->answered)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < r->set.n; i++) {
        size_t k = 0;
        while (k < i && (strcmp(r->set.clips[k].speaker, r->set.clips[i].speaker) != 0 ||
                         strcmp(r->set.clips[k].source, r->set.clips[i].source) != 0))
            k++;
        r->speakers[i] = k < i ? r->speakers[k] : r->n_speakers++;
    }
    return VX_OK;
}

/* A clip's score by one layer, or (WHOLE) by all; NAN where it was not judged. Higher is more likely living. */
static double score_of(const vx_spoof_clip *clip, int layer)
{
    if (clip->err != VX_OK)
        return NAN;
    if (layer == WHOLE)
        return clip->report.analysed ? -clip->report.risk : NAN;
    return clip->report.layers[layer].status == VX_EVIDENCE_VALID ? -clip->report.layers[layer].llr : NAN;
}

/* The living, and one kind of attack (NULL: all that are held out, or were used in fitting). Returns their number. */
static size_t present(report *r, const char *kind, bool held_out, int layer)
{
    size_t n = 0;
    for (size_t i = 0; i < r->set.n; i++) {
        const vx_spoof_clip *clip = &r->set.clips[i];
        const double score = score_of(clip, layer);
        const bool wanted = !clip->spoof || (kind ? strcmp(clip->kind, kind) == 0 : clip->held_out == held_out);
        if (wanted && isfinite(score))
            r->presented[n++] = (vx_presented){score, !clip->spoof, r->speakers[i]};
    }
    return n;
}

static bool rates(report *r, const char *kind, bool held_out, int layer, vx_attack_rates *ret)
{
    const size_t n = present(r, kind, held_out, layer);
    return vx_attack_rates_of(r->presented, n, r->n_speakers, SEED, ret);
}

/* Recordings that are told of together. */
typedef struct {
    bool spoof, held_out;
    const char *kind; /* NULL: all attacks that are held out, or were used in fitting; all the living */
} selection;

static bool is_selected(const vx_spoof_clip *clip, selection of)
{
    if (clip->err != VX_OK || clip->spoof != of.spoof)
        return false;
    return of.kind ? strcmp(clip->kind, of.kind) == 0 : !of.spoof || clip->held_out == of.held_out;
}

static vx_answer answer_of(const vx_spoof_clip *clip)
{
    if (clip->physics.status != VX_EVIDENCE_VALID)
        return VX_NO_ANSWER;
    return clip->report.risk > VX_PAVA_ACCUSED ? VX_ANSWER_ATTACK : VX_ANSWER_LIVING;
}

/* ret_silent [out] recordings that each layer did not judge. False where nothing is selected, or memory is out. */
static bool answers(report *r, selection of, vx_answer_rates *ret, size_t ret_silent[VX_N_LAYERS])
{
    size_t n = 0;
    memset(ret_silent, 0, VX_N_LAYERS * sizeof *ret_silent);
    for (size_t i = 0; i < r->set.n; i++) {
        const vx_spoof_clip *clip = &r->set.clips[i];
        if (!is_selected(clip, of))
            continue;
        r->answered[n++] = (vx_answered){answer_of(clip), r->speakers[i]};
        for (int l = 0; l < VX_N_LAYERS; l++)
            ret_silent[l] += clip->report.layers[l].status != VX_EVIDENCE_VALID;
    }
    return vx_answer_rates_of(r->answered, n, r->n_speakers, SEED, ret);
}

/* The answer that is an error. */
static vx_answer wrong_of(selection of)
{
    return of.spoof ? VX_ANSWER_LIVING : VX_ANSWER_ATTACK;
}

/* The living, or a group of attacks: how many of them the lock is so sure of. */
typedef struct {
    const char *name;
    size_t n, even, sure;
} confident;

/* ret [out] one of each of the report's groups */
static void count_confident(const report *r, confident ret[GROUPS_MAX])
{
    for (size_t g = 0; g < r->n_groups; g++)
        ret[g] = (confident){.name = r->groups[g]};
    for (size_t k = 0; k < r->n_rows; k++) {
        confident *group = &ret[r->rows[k].told_with];
        for (size_t i = 0; i < r->set.n; i++) {
            const vx_spoof_clip *clip = &r->set.clips[i];
            if (clip->err != VX_OK || strcmp(clip->kind, r->rows[k].kind) != 0)
                continue;
            const double confidence = clip->physics.status == VX_EVIDENCE_VALID ? clip->physics.confidence : 0;
            group->n++;
            group->even += confidence >= EVEN;
            group->sure += confidence >= SURE;
        }
    }
}

/* ---- telling -------------------------------------------------------------------------------------------------------- */

static json_t *estimate_json(vx_estimate e)
{
    return json_pack("[f, f, f]", e.value, e.low, e.high);
}

static json_t *rates_json(report *r, const char *kind, bool held_out, int layer)
{
    vx_attack_rates found;
    if (!rates(r, kind, held_out, layer, &found))
        return json_null();
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "living", (json_int_t)found.n_living, "attacks",
                     (json_int_t)found.n_attacks, "eer", estimate_json(found.eer), "apcer_at_bpcer_1",
                     estimate_json(found.apcer_1), "apcer_at_bpcer_5", estimate_json(found.apcer_5));
}

static json_t *whole_and_layers(report *r, const char *kind, bool held_out)
{
    json_t *layers = json_object();
    for (int l = 0; l < VX_N_LAYERS; l++)
        (void)json_object_set_new(layers, vx_pava_layer_name((vx_pava_layer)l), rates_json(r, kind, held_out, l));
    return json_pack("{s:o, s:o}", "whole", rates_json(r, kind, held_out, WHOLE), "layers", layers);
}

static json_t *share_json(const vx_answer_rates *rates, vx_answer answer)
{
    return json_pack("{s:I, s:o}", "count", (json_int_t)rates->counts[answer], "share",
                     estimate_json(rates->shares[answer]));
}

/* As the lock decides: error and non-response rates of ISO/IEC 30107-3 under their names, and of each layer on how many
 * recordings it abstained. */
static json_t *decided_json(report *r, selection of)
{
    vx_answer_rates found;
    size_t silent[VX_N_LAYERS];
    if (!answers(r, of, &found, silent))
        return json_null();
    json_t *layers = json_object();
    for (int l = 0; l < VX_N_LAYERS; l++)
        (void)json_object_set_new(layers, vx_pava_layer_name((vx_pava_layer)l), json_integer((json_int_t)silent[l]));
    return json_pack("{s:I, s:o, s:o, s:o}", "recordings", (json_int_t)found.n, of.spoof ? "apcer" : "bpcer",
                     share_json(&found, wrong_of(of)), of.spoof ? "apnrr" : "bpnrr", share_json(&found, VX_NO_ANSWER),
                     "layers_abstained", layers);
}

static json_t *attacks_json(report *r, bool held_out)
{
    json_t *entry = whole_and_layers(r, NULL, held_out);
    if (entry)
        (void)json_object_set_new(entry, "decided", decided_json(r, (selection){true, held_out, NULL}));
    return entry;
}

static json_t *confidence_json(const report *r)
{
    confident groups[GROUPS_MAX];
    json_t *all = json_object();
    count_confident(r, groups);
    for (size_t g = 0; g < r->n_groups; g++)
        (void)json_object_set_new(all, groups[g].name,
                                  json_pack("{s:I, s:I, s:I}", "recordings", (json_int_t)groups[g].n, "even_or_more",
                                            (json_int_t)groups[g].even, "sure", (json_int_t)groups[g].sure));
    return all;
}

static json_t *report_json(report *r)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n_rows; i++) {
        const row *of = &r->rows[i];
        json_t *entry = json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:I}", "kind", of->kind, "group", of->group, "spoof",
                                  of->spoof, "held_out", of->held_out, "recordings", (json_int_t)of->n, "judged",
                                  (json_int_t)of->n_judged, "unread", (json_int_t)of->n_unread);
        if (entry && of->spoof)
            (void)json_object_update_new(entry, whole_and_layers(r, of->kind, false));
        if (entry)
            (void)json_object_set_new(entry, "decided",
                                      decided_json(r, (selection){of->spoof, of->held_out, of->kind}));
        (void)json_array_append_new(rows, entry);
    }
    return json_pack("{s:i, s:f, s:o, s:{s:o}, s:o, s:o, s:o}", "speakers", r->n_speakers, "accused_above",
                     VX_PAVA_ACCUSED, "kinds", rows, "living", "decided",
                     decided_json(r, (selection){false, false, NULL}), "fitted", attacks_json(r, false), "held_out",
                     attacks_json(r, true), "confidence", confidence_json(r));
}

static void show_rates(report *r, const char *label, const char *kind, bool held_out)
{
    vx_attack_rates whole;
    if (!rates(r, kind, held_out, WHOLE, &whole)) {
        printf("%-26s    -\n", label);
        return;
    }
    printf("%-26s %5zu  %5.1f (%4.1f-%5.1f)  %5.1f (%4.1f-%5.1f)  %5.1f (%4.1f-%5.1f) |", label, whole.n_attacks,
           100 * whole.eer.value, 100 * whole.eer.low, 100 * whole.eer.high, 100 * whole.apcer_1.value,
           100 * whole.apcer_1.low, 100 * whole.apcer_1.high, 100 * whole.apcer_5.value, 100 * whole.apcer_5.low,
           100 * whole.apcer_5.high);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        vx_attack_rates one;
        if (rates(r, kind, held_out, l, &one))
            printf(" %6.1f", 100 * one.eer.value);
        else
            printf("      -");
    }
    printf("\n");
}

static void show_share(const vx_answer_rates *rates, vx_answer answer)
{
    const vx_estimate *share = &rates->shares[answer];
    printf(" %5zu %5.1f (%4.1f-%5.1f) ", rates->counts[answer], 100 * share->value, 100 * share->low,
           100 * share->high);
}

static void show_decided(report *r, const char *label, selection of)
{
    vx_answer_rates found;
    size_t silent[VX_N_LAYERS];
    if (!answers(r, of, &found, silent)) {
        printf("%-26s    -\n", label);
        return;
    }
    printf("%-26s %5zu ", label, found.n);
    show_share(&found, wrong_of(of));
    show_share(&found, VX_NO_ANSWER);
    printf("|");
    for (int l = 0; l < VX_N_LAYERS; l++)
        printf(" %6.1f", 100 * (double)silent[l] / (double)found.n);
    printf("\n");
}

static void show_layer_names(void)
{
    for (int l = 0; l < VX_N_LAYERS; l++)
        printf(" %6.6s", vx_pava_layer_name((vx_pava_layer)l));
    printf("\n");
}

static void label_of(const row *of, char ret_label[LABEL])
{
    (void)snprintf(ret_label, LABEL, "%.50s%s", of->kind, of->held_out ? " *" : "");
}

/* What the lock does. */
static void show_decisions(report *r)
{
    char label[LABEL];
    printf("\nas the lock decides: a risk above %.2f accuses; who gets no answer is asked for digits. Number, %%\n",
           VX_PAVA_ACCUSED);
    printf("%-26s %5s  %-25s%-25s| %% on which each layer abstained\n", "", "n", "wrong (BPCER, APCER)",
           "no answer (BPNRR, APNRR)");
    printf("%-84s|", "");
    show_layer_names();
    for (size_t i = 0; i < r->n_rows; i++) {
        label_of(&r->rows[i], label);
        show_decided(r, label, (selection){r->rows[i].spoof, r->rows[i].held_out, r->rows[i].kind});
    }
    show_decided(r, "all the living", (selection){false, false, NULL});
    show_decided(r, "all that were fitted to", (selection){true, false, NULL});
    show_decided(r, "all that are held out *", (selection){true, true, NULL});
}

/* Who has no answer has no confidence, and is below both. */
static void show_confidence(const report *r)
{
    confident groups[GROUPS_MAX];
    count_confident(r, groups);
    printf("\nphysics confidence, %% of recordings\n%-26s %5s  at %.2f and more  at %.2f and more\n", "", "n", EVEN,
           SURE);
    for (size_t g = 0; g < r->n_groups; g++)
        printf("%-26s %5zu  %16.1f  %16.1f\n", groups[g].name, groups[g].n,
               100 * (double)groups[g].even / fmax((double)groups[g].n, 1),
               100 * (double)groups[g].sure / fmax((double)groups[g].n, 1));
}

static void show(report *r)
{
    char label[LABEL];
    printf("%% with 95 %% intervals (bootstrap over %d speakers); * held out; last: EER of each layer alone\n",
           r->n_speakers);
    printf("%-26s %5s  %-19s  %-19s  %-19s |", "attack", "n", "EER", "APCER at BPCER 1", "APCER at BPCER 5");
    show_layer_names();
    for (size_t i = 0; i < r->n_rows; i++) {
        label_of(&r->rows[i], label);
        if (r->rows[i].spoof)
            show_rates(r, label, r->rows[i].kind, false);
    }
    show_rates(r, "all that were fitted to", NULL, false);
    show_rates(r, "all that are held out *", NULL, true);
    show_decisions(r);
    show_confidence(r);
    printf("\nlayers, and how far each is relied on:");
    for (int l = 0; l < VX_N_LAYERS; l++)
        printf(" %s %.2f%s", vx_pava_layer_name((vx_pava_layer)l), vx_pava_layer_reliability((vx_pava_layer)l),
               vx_pava_layer_has_say((vx_pava_layer)l) ? "" : " (no weight)");
    printf("\n");
}

/* ---- plots ---------------------------------------------------------------------------------------------------------- */

static vx_err write_file(const char *folder, const char *name, const vx_buf *text, vx_errinfo *info)
{
    char path[PATH_MAX];
    if (vx_path_join(folder, name, path, sizeof path) != VX_OK)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the path of the plots is too long");
    FILE *f = fopen(path, "w");
    if (!f)
        return vx_file_failed(path, "open", info);
    const bool written = fwrite(text->data, 1, text->len, f) == text->len;
    return fclose(f) == 0 && written ? VX_OK : vx_file_failed(path, "write", info);
}

/* A group of attacks: its clips, as every kind of it. */
typedef struct {
    const char *name;
    double *values;
    size_t n;
} grouped;

/* Scores by group. ret_groups [out] one of each of the report's, their values in one block that is returned. */
static double *by_group(report *r, grouped ret_groups[GROUPS_MAX])
{
    double *block = malloc((r->set.n + 1) * sizeof *block), *next = block;
    for (size_t g = 0; block && g < r->n_groups; g++) {
        const char *name = r->groups[g];
        ret_groups[g] = (grouped){name, next, 0};
        for (size_t i = 0; i < r->set.n; i++) {
            const vx_spoof_clip *clip = &r->set.clips[i];
            if (strcmp(clip->spoof ? clip->group : "living", name) == 0)
                ret_groups[g].values[ret_groups[g].n++] = 1 + score_of(clip, WHOLE);
        }
        next += ret_groups[g].n;
    }
    return block;
}

static vx_err plot_histogram(const grouped *groups, size_t n, const char *folder, vx_errinfo *info)
{
    vx_svg_series series[GROUPS_MAX];
    vx_buf out = {0};
    for (size_t g = 0; g < n; g++)
        series[g] = (vx_svg_series){groups[g].name, groups[g].values, groups[g].n};
    vx_err err = vx_svg_histogram("Physics confidence by kind of recording", "confidence that the voice is living", 0,
                                  1, series, n, &out);
    if (err == VX_OK)
        err = write_file(folder, "pava_scores.svg", &out, info);
    vx_buf_done(&out);
    return err;
}

static vx_err plot_det(report *r, const grouped *groups, size_t n, const char *folder, vx_errinfo *info)
{
    vx_svg_curve curves[GROUPS_MAX];
    vx_buf out = {0};
    size_t n_curves = 0;
    vx_det_point *points = malloc(GROUPS_MAX * CURVE * sizeof *points);
    vx_err err = points ? VX_OK : VX_ERR_NOMEM;
    for (size_t g = 1; g < n && err == VX_OK; g++) {
        size_t n_presented = 0;
        for (int living = 0; living < 2; living++)
            for (size_t i = 0; i < groups[living ? 0 : g].n; i++)
                if (isfinite(groups[living ? 0 : g].values[i]))
                    r->presented[n_presented++] = (vx_presented){groups[living ? 0 : g].values[i], living, 0};
        vx_det_point *own = points + n_curves * CURVE;
        const size_t n_points = vx_det_curve(r->presented, n_presented, own, CURVE);
        if (n_points > 0)
            curves[n_curves++] = (vx_svg_curve){groups[g].name, own, n_points};
    }
    if (err == VX_OK)
        err = vx_svg_det("Living voices against each group of attacks", curves, n_curves, &out);
    if (err == VX_OK)
        err = write_file(folder, "pava_det.svg", &out, info);
    vx_buf_done(&out);
    free(points);
    return err;
}

static vx_err plot(report *r, const char *folder, vx_errinfo *info)
{
    grouped groups[GROUPS_MAX];
    double *block = by_group(r, groups);
    vx_err err = block ? plot_histogram(groups, r->n_groups, folder, info) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = plot_det(r, groups, r->n_groups, folder, info);
    free(block);
    return err;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static void tell_progress(size_t done, size_t n)
{
    if (done % 100 == 0 || done == n)
        (void)fprintf(stderr, "\r%zu of %zu", done, n);
}

static int run(const vx_cmd_call *call)
{
    report r = {0};
    vx_errinfo info = {0};
    vx_err err = vx_spoof_set_read(call->operands[0], &r.set, &info);
    if (err == VX_OK)
        err = vx_spoof_set_judge(&r.set, vx_cpu_count(), tell_progress, &info);
    if (err == VX_OK)
        (void)fputc('\n', stderr);
    if (err == VX_OK)
        err = number_speakers(&r);
    if (err == VX_OK)
        err = count_kinds(&r, &info);
    if (err == VX_OK)
        err = name_groups(&r, &info);
    if (err == VX_OK && call->values[MEASURES])
        err = vx_spoof_set_write(&r.set, call->values[MEASURES], &info);
    if (err == VX_OK && call->values[PLOTS])
        err = plot(&r, call->values[PLOTS], &info);
    int code = VX_EXIT_OK;
    if (err != VX_OK)
        code = vx_cmd_fail(NULL, err, &info);
    else if (call->flags & FLAG_JSON)
        code = vx_cmd_print(report_json(&r), true);
    else
        show(&r);
    free(r.presented);
    free(r.answered);
    free(r.speakers);
    vx_spoof_set_done(&r.set);
    return code;
}

const vx_cmd vx_cmd_spoof_report = {
    .name = "spoof-report",
    .usage = "FOLDER [--plots FOLDER] [--measures FILE.tsv] [--json]",
    .help = "Say how well PAVA tells living voices from machines, on the recordings of FOLDER/manifest.tsv.",
    .flags = {{"--json",
               "one JSON object: kinds, with rates of the whole and of each layer, as the lock decides, and how sure",
               NULL},
              {"--plots", "draw pava_det.svg and pava_scores.svg there", "FOLDER"},
              {"--measures", "write what every layer measured as a table", "FILE"}},
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
