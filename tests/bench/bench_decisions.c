/* bench_decisions.c - the whole program against the spoof laboratory: profiles enrolled from living recordings, then
 * `voxlock verify` on every kind of clip of that speaker, and what became of it.
 * Usage:  bench_decisions LAB_FOLDER [CLIPS], in the repository root; LAB_FOLDER is spoof_lab's, CLIPS of each kind and speaker (4)
 * Owns:   which clips, one table on stdout. Does not: judge.
 *
 * Each clip meets a copy of the profile as enrolment left it: with one store for all, the pause after three rejections
 * would answer instead. Clips of the group "repeat" are made from recordings that were enrolled, all others from those that
 * were not.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/spoof_set.h"
#include "edge/store/store.h"
#include "edge/types.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "tests/support/cli.h"
#include "tests/support/scratch.h"

enum { ENROLLED = 3, MAX_KINDS = 128, USUAL_CLIPS = 4 };

typedef struct {
    const char *kind, *group;
    bool spoof, held_out;
    int n_here; /* of the speaker under attack */
    int n, verdicts[VX_N_VERDICTS];
    int voice;   /* accepted by the voice alone */
    int answers; /* CHALLENGE, and the voice accepted: whoever can say the digits in this voice is in */
    int physics; /* judged at all */
} tally;

typedef struct {
    const vx_spoof_set *set;
    tally tallies[MAX_KINDS];
    size_t n_tallies;
    int most; /* clips of a kind and speaker */
    int n_speakers, n_refused;
} bench;

static tally *tally_of(bench *b, const vx_spoof_clip *clip)
{
    size_t i = 0;
    while (i < b->n_tallies && strcmp(b->tallies[i].kind, clip->kind) != 0)
        i++;
    if (i == MAX_KINDS)
        return NULL;
    if (i == b->n_tallies)
        b->tallies[b->n_tallies++] = (tally){clip->kind, clip->group, clip->spoof, clip->held_out, 0, 0, {0}, 0, 0, 0};
    return &b->tallies[i];
}

static bool same_speaker(const vx_spoof_clip *a, const vx_spoof_clip *b)
{
    return strcmp(a->speaker, b->speaker) == 0 && strcmp(a->source, b->source) == 0;
}

/* Up to ENROLLED plain clips of the speaker of clip `first`. Returns their number. */
static size_t choose(const bench *b, size_t first, size_t ret_clips[ENROLLED])
{
    size_t n = 0;
    for (size_t i = first; i < b->set->n && n < ENROLLED; i++)
        if (same_speaker(&b->set->clips[i], &b->set->clips[first]) && strcmp(b->set->clips[i].kind, "plain") == 0)
            ret_clips[n++] = i;
    return n;
}

static void path_of(const bench *b, size_t clip, char ret_path[PATH_MAX])
{
    if (vx_path_join(b->set->folder, b->set->clips[clip].path, ret_path, PATH_MAX) != VX_OK)
        fail_msg("the path of %s is too long", b->set->clips[clip].path);
}

static bool enrol(const bench *b, const size_t clips[ENROLLED])
{
    char paths[ENROLLED][PATH_MAX];
    for (int i = 0; i < ENROLLED; i++)
        path_of(b, clips[i], paths[i]);
    cli_result r = cli_run(CLI_ARGS("enroll", "owner", paths[0], paths[1], paths[2]));
    const bool ok = r.status == CLI_OK;
    cli_result_done(&r);
    return ok;
}

static void count_answer(tally *t, const json_t *answer)
{
    const char *verdict = json_string_value(json_object_get(answer, "verdict"));
    const json_t *voice = json_object_get(answer, "voice"), *physics = json_object_get(answer, "physics");
    const bool accepted = json_is_true(json_object_get(voice, "accepted"));
    for (int v = 0; verdict && v < VX_N_VERDICTS; v++)
        if (strcmp(verdict, vx_verdict_name((vx_verdict)v)) == 0) {
            t->verdicts[v]++;
            t->answers += v == VX_CHALLENGE && accepted;
        }
    t->voice += accepted;
    t->physics += json_is_object(physics);
    t->n++;
}

#define DATA     ".local/share/voxlock/"
#define PROFILES DATA VX_STORE_FILE

/* One clip, with the profile as it was enrolled. */
static void verify(bench *b, size_t clip, const scratch *home)
{
    char path[PATH_MAX];
    tally *t = tally_of(b, &b->set->clips[clip]);
    if (!t || t->n_here >= b->most)
        return;
    t->n_here++;
    scratch_copy(home, "enrolled", PROFILES);
    path_of(b, clip, path);
    cli_result r = cli_run(CLI_ARGS("verify", "owner", path, "--json"));
    json_t *answer = json_loads(cli_text(&r.out), 0, NULL);
    if (!answer)
        fail_msg("verify %s: status %d, %s", path, r.status, cli_text(&r.err));
    count_answer(t, answer);
    json_decref(answer);
    cli_result_done(&r);
}

static bool is_of(const bench *b, size_t clip, const size_t enrolled[ENROLLED])
{
    for (int i = 0; i < ENROLLED; i++)
        if (strcmp(b->set->clips[clip].original, b->set->clips[enrolled[i]].original) == 0)
            return true;
    return false;
}

static void attack_speaker(bench *b, size_t first)
{
    size_t enrolled[ENROLLED];
    if (choose(b, first, enrolled) < ENROLLED)
        return;
    for (size_t i = 0; i < b->n_tallies; i++)
        b->tallies[i].n_here = 0;
    scratch home = scratch_make();
    cli_set_home(home.path);
    b->n_speakers++;
    if (!enrol(b, enrolled)) {
        b->n_refused++;
        scratch_done(&home);
        return;
    }
    scratch_copy(&home, PROFILES, "enrolled");
    for (size_t i = 0; i < b->set->n; i++)
        if (same_speaker(&b->set->clips[i], &b->set->clips[first]) &&
            is_of(b, i, enrolled) == (strcmp(b->set->clips[i].group, "repeat") == 0))
            verify(b, i, &home);
    cli_set_home(NULL);
    scratch_done(&home);
}

static bool is_first_of_speaker(const bench *b, size_t clip)
{
    for (size_t i = 0; i < clip; i++)
        if (same_speaker(&b->set->clips[i], &b->set->clips[clip]))
            return false;
    return true;
}

static int by_kind(const void *a, const void *b)
{
    const tally *x = a, *y = b;
    if (x->spoof != y->spoof)
        return x->spoof - y->spoof;
    return strcmp(x->group, y->group) ? strcmp(x->group, y->group) : strcmp(x->kind, y->kind);
}

static void show(bench *b)
{
    qsort(b->tallies, b->n_tallies, sizeof *b->tallies, by_kind);
    printf("%d speakers, %d of them not enrolled (their recordings were refused); shares of clips in %%\n\n",
           b->n_speakers, b->n_refused);
    printf("%-24s %5s  %6s %9s %6s %8s %5s   %7s %8s\n", "kind (* held out)", "clips", "AUTHEN", "CHALLENGE", "REJECT",
           "ESCALATE", "other", "voice", "answers");
    for (size_t i = 0; i < b->n_tallies; i++) {
        const tally *t = &b->tallies[i];
        const int *v = t->verdicts;
        const double each = t->n ? 100.0 / t->n : 0;
        char name[64];
        (void)snprintf(name, sizeof name, "%s%.50s%s", t->spoof ? "" : "(living) ", t->kind, t->held_out ? " *" : "");
        printf("%-24s %5d  %6.1f %9.1f %6.1f %8.1f %5.1f   %7.1f %8.1f\n", name, t->n, each * v[VX_AUTHENTICATE],
               each * v[VX_CHALLENGE], each * v[VX_REJECT], each * v[VX_ESCALATE],
               each * (t->n - v[VX_AUTHENTICATE] - v[VX_CHALLENGE] - v[VX_REJECT] - v[VX_ESCALATE]), each * t->voice,
               each * t->answers);
    }
    printf(
        "\nvoice: accepted by the voice alone. answers: CHALLENGE with the voice accepted: in, if the digits that are "
        "then asked\nfor are said in that voice, which a recording cannot and a synthesiser can.\n");
}

int main(int argc, char **argv)
{
    vx_spoof_set set;
    vx_errinfo info = {0};
    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "Usage: bench_decisions LAB_FOLDER [CLIPS]\n");
        return 2;
    }
    bench b = {.set = &set, .most = argc > 2 ? atoi(argv[2]) : USUAL_CLIPS};
    const vx_err err = vx_spoof_set_read(argv[1], &set, &info);
    if (err != VX_OK) {
        (void)fprintf(stderr, "bench_decisions: %s\n", vx_errinfo_text(&info, err));
        return 1;
    }
    for (size_t i = 0; i < set.n; i++)
        if (is_first_of_speaker(&b, i))
            attack_speaker(&b, i);
    show(&b);
    vx_spoof_set_done(&set);
    return 0;
}
