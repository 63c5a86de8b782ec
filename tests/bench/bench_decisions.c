/* bench_decisions.c - the whole program against the spoof laboratory: profiles enrolled from living recordings, then every
 * kind of clip of that speaker, once as a command and once as an answer to the spoken challenge, and what became of it.
 * Usage:  bench_decisions LAB_FOLDER [CLIPS], in the repository root; LAB_FOLDER is spoof_lab's, CLIPS of each kind and speaker (4)
 * Owns:   which clips, two tables on stdout. Does not: judge, or recognise digits.
 *
 * The command goes through `voxlock verify`. The answer goes where a live attempt puts it (live.c): the speech alone, with
 * the digits taken as right. No program lets anybody claim that, so an attempt is made here. Each meets a copy of the
 * profile as enrolment left it: with one store for all, the pause after three rejections would answer instead. Clips of the
 * group "repeat" are made from recordings that were enrolled, all others from those that were not.
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

#include "edge/attempt.h"
#include "edge/capture/quality.h"
#include "edge/cmd.h"
#include "edge/enrol.h"
#include "edge/spoof_set.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "tests/support/cli.h"
#include "tests/support/scratch.h"

enum { ENROLLED = VX_ENROL_MIN_CLIPS, MAX_ROWS = 128, USUAL_CLIPS = 4 };
#define OWNER    "owner"
#define DATA     "data"
#define PROFILES DATA "/" VX_STORE_FILE

/* A kind of clips, a group of kinds, or all living clips of a source. */
typedef struct {
    const char *name, *group;
    bool spoof, held_out;
    int n_here;                        /* of the speaker under attack */
    int n, verdicts[VX_N_VERDICTS];    /* on the command */
    int voice;                         /* accepted by the voice alone */
    int asked;                         /* CHALLENGE, and the voice accepted: then digits are asked for */
    int answers;                       /* with the digits taken as right, would be let in as an answer */
    int after;                         /* in by the command alone, or asked and then in by the answer */
    int n_speakers, speakers_in, last; /* with clips here; of whom one got in; who was counted last */
} tally;

typedef struct {
    tally rows[MAX_ROWS];
    size_t n;
} table;

typedef struct {
    const vx_spoof_set *set;
    table kinds, groups;
    int most; /* clips of a kind and speaker */
    int n_speakers, n_enrolled;
} bench;

typedef struct {
    vx_verdict verdict; /* on the command */
    bool voice, answer;
} finding;

/* A runtime on the profiles of a scratch folder, as the program opens it. */
typedef struct {
    vx_options *settings;
    vx_runtime runtime;
} lock;

static void lock_open(lock *l, const scratch *home)
{
    char data[128];
    const char *operands[1];
    int n = 0;
    vx_errinfo info = {0};
    (void)snprintf(data, sizeof data, "VOXLOCK_DATA_DIR=%s/" DATA, home->path);
    char *const environment[] = {data, (char *)"VOXLOCK_KEYRING=file", (char *)"ECAPA_CACHE_DIR=models/starter", NULL};
    if (vx_options_load(VX_FOR_EDGE, environment, 0, NULL, NULL, operands, &n, &l->settings, &info) != VX_OK ||
        vx_runtime_open(l->settings, environment, VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL, &l->runtime,
                        &info) != VX_OK)
        fail_msg("%s", info.text);
}

static void lock_close(lock *l)
{
    vx_runtime_close(&l->runtime);
    vx_options_destroy(l->settings);
}

/* ---- the clips ------------------------------------------------------------------------------------------------------ */

static bool same_speaker(const vx_spoof_clip *a, const vx_spoof_clip *b)
{
    return strcmp(a->speaker, b->speaker) == 0 && strcmp(a->source, b->source) == 0;
}

static bool is_first_of_speaker(const bench *b, size_t clip)
{
    for (size_t i = 0; i < clip; i++)
        if (same_speaker(&b->set->clips[i], &b->set->clips[clip]))
            return false;
    return true;
}

/* The plain clip of the same speaker at or behind `from`; the set's n: none is left. */
static size_t next_plain(const bench *b, size_t speaker, size_t from)
{
    while (from < b->set->n && !(same_speaker(&b->set->clips[from], &b->set->clips[speaker]) &&
                                 strcmp(b->set->clips[from].kind, "plain") == 0))
        from++;
    return from;
}

static bool is_of(const bench *b, size_t clip, const size_t enrolled[ENROLLED])
{
    for (int i = 0; i < ENROLLED; i++)
        if (strcmp(b->set->clips[clip].original, b->set->clips[enrolled[i]].original) == 0)
            return true;
    return false;
}

static void path_of(const bench *b, size_t clip, char ret_path[PATH_MAX])
{
    if (vx_path_join(b->set->folder, b->set->clips[clip].path, ret_path, PATH_MAX) != VX_OK)
        fail_msg("the path of %s is too long", b->set->clips[clip].path);
}

static vx_audio audio_of(const bench *b, size_t clip)
{
    char path[PATH_MAX];
    vx_audio audio;
    vx_errinfo info = {0};
    path_of(b, clip, path);
    if (vx_cmd_read_audio(path, &audio, &info) != VX_OK)
        fail_msg("%s: %s", path, info.text);
    return audio;
}

/* ---- enrolment ------------------------------------------------------------------------------------------------------ */

static vx_err enrol(const bench *b, vx_runtime *runtime, const size_t clips[ENROLLED],
                    vx_enrol_result ret_results[ENROLLED], vx_errinfo *info)
{
    vx_audio audio[ENROLLED];
    vx_enrol_clip asked[ENROLLED];
    int kept;
    for (int i = 0; i < ENROLLED; i++) {
        audio[i] = audio_of(b, clips[i]);
        asked[i] = (vx_enrol_clip){"it", audio[i].samples, audio[i].n, audio[i].clipped_share, ""};
    }
    const vx_err err = vx_enrol(runtime, OWNER, asked, ENROLLED, &(vx_enrol_options){0}, ret_results, &kept, info);
    for (int i = 0; i < ENROLLED; i++)
        vx_audio_done(&audio[i]);
    return err;
}

/* As a person does it: what is refused is said again, until ENROLLED recordings are taken or none is left. */
static bool enrol_speaker(const bench *b, size_t speaker, const scratch *home, size_t ret_clips[ENROLLED])
{
    lock l;
    vx_errinfo info = {0};
    vx_enrol_result results[ENROLLED];
    vx_err err = VX_ERR_NOT_FOUND;
    int n_clips = 0;
    size_t next = speaker;
    for (int i = 0; i < ENROLLED; i++, n_clips++) {
        ret_clips[i] = next_plain(b, speaker, next);
        if (ret_clips[i] == b->set->n)
            fail_msg("%s has fewer than %d plain clips", b->set->clips[speaker].speaker, ENROLLED);
        next = ret_clips[i] + 1;
    }
    lock_open(&l, home);
    for (;;) {
        int refused = 0;
        info = (vx_errinfo){0};
        err = enrol(b, &l.runtime, ret_clips, results, &info);
        while (refused < ENROLLED && results[refused].err == VX_OK)
            refused++;
        if (err == VX_OK || refused == ENROLLED)
            break;
        printf("  refused: %s: %s\n", b->set->clips[ret_clips[refused]].path, results[refused].text);
        ret_clips[refused] = next_plain(b, speaker, next);
        if (ret_clips[refused] == b->set->n)
            break;
        next = ret_clips[refused] + 1;
        n_clips++;
    }
    lock_close(&l);
    printf("%s/%s: %s after %d recordings%s%s\n", b->set->clips[speaker].source, b->set->clips[speaker].speaker,
           err == VX_OK ? "enrolled" : "not enrolled", n_clips, err == VX_OK ? "" : ": ",
           err == VX_OK ? "" : vx_errinfo_text(&info, err));
    return err == VX_OK;
}

/* ---- a clip as a command, and as an answer -------------------------------------------------------------------------- */

static void command(const bench *b, size_t clip, const scratch *home, finding *ret)
{
    char path[PATH_MAX], data[128];
    ret->verdict = VX_N_VERDICTS;
    path_of(b, clip, path);
    scratch_copy(home, "enrolled", PROFILES);
    cli_result r = cli_run(CLI_ARGS("verify", OWNER, path, "--json", "--data",
                                    scratch_path(home, DATA, data, sizeof data), "--keyring", "file"));
    json_t *answer = json_loads(cli_text(&r.out), 0, NULL);
    const char *name = json_string_value(json_object_get(answer, "verdict"));
    for (int v = 0; name && v < VX_N_VERDICTS; v++)
        if (strcmp(name, vx_verdict_name((vx_verdict)v)) == 0)
            ret->verdict = (vx_verdict)v;
    if (ret->verdict == VX_N_VERDICTS)
        fail_msg("verify %s: status %d, %s", path, r.status, cli_text(&r.err));
    ret->voice = json_is_true(json_object_get(json_object_get(answer, "voice"), "accepted"));
    json_decref(answer);
    cli_result_done(&r);
}

/* Would it be let in, if it held the digits that were asked for? */
static bool answers(const bench *b, size_t clip, const scratch *home)
{
    lock l;
    vx_span voice;
    vx_quality quality;
    vx_attempt_outcome out;
    vx_errinfo info = {0};
    vx_audio audio = audio_of(b, clip);
    scratch_copy(home, "enrolled", PROFILES);
    lock_open(&l, home);
    assert_int_equal(vx_quality_measure(audio.samples, audio.n, &voice, &quality), VX_OK);
    const vx_attempt_request request = {.command = "unlock",
                                        .speaker = OWNER,
                                        .samples = audio.samples + voice.begin,
                                        .n = voice.end - voice.begin,
                                        .clipped_share = -1,
                                        .answered = true};
    if (vx_attempt_run(&l.runtime, &request, &out, &info) != VX_OK)
        fail_msg("%s: %s", b->set->clips[clip].path, info.text);
    lock_close(&l);
    vx_audio_done(&audio);
    return out.verdict == VX_AUTHENTICATE;
}

/* The row of that name, a new one where there is none. */
static tally *row_of(table *t, const char *name, const vx_spoof_clip *clip)
{
    size_t i = 0;
    while (i < t->n && strcmp(t->rows[i].name, name) != 0)
        i++;
    if (i == MAX_ROWS)
        fail_msg("more than %d kinds", MAX_ROWS);
    if (i == t->n)
        t->rows[t->n++] = (tally){.name = name, .group = clip->group, .spoof = clip->spoof};
    return &t->rows[i];
}

static void count(tally *t, const finding *f, int speaker)
{
    const bool asked = f->verdict == VX_CHALLENGE && f->voice;
    const bool in = f->verdict == VX_AUTHENTICATE || (asked && f->answer);
    t->n_speakers += t->n_here == 0;
    t->n_here++;
    t->n++;
    t->verdicts[f->verdict]++;
    t->voice += f->voice;
    t->asked += asked;
    t->answers += f->answer;
    t->after += in;
    if (in && t->last != speaker) {
        t->last = speaker;
        t->speakers_in++;
    }
}

static void try_clip(bench *b, size_t clip, const scratch *home)
{
    finding f;
    const vx_spoof_clip *c = &b->set->clips[clip];
    tally *kind = row_of(&b->kinds, c->kind, c);
    kind->held_out = c->held_out;
    if (kind->n_here >= b->most)
        return;
    command(b, clip, home, &f);
    f.answer = answers(b, clip, home);
    count(kind, &f, b->n_speakers);
    count(row_of(&b->groups, c->spoof ? c->group : c->source, c), &f, b->n_speakers);
}

static void attack_speaker(bench *b, size_t first)
{
    size_t enrolled[ENROLLED];
    for (size_t i = 0; i < MAX_ROWS; i++)
        b->kinds.rows[i].n_here = b->groups.rows[i].n_here = 0;
    scratch home = scratch_make();
    b->n_speakers++;
    if (enrol_speaker(b, first, &home, enrolled)) {
        b->n_enrolled++;
        scratch_copy(&home, PROFILES, "enrolled");
        for (size_t i = 0; i < b->set->n; i++)
            if (same_speaker(&b->set->clips[i], &b->set->clips[first]) &&
                is_of(b, i, enrolled) == (strcmp(b->set->clips[i].group, "repeat") == 0))
                try_clip(b, i, &home);
    }
    scratch_done(&home);
}

/* ---- the tables ----------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const tally *x = a, *y = b;
    if (x->spoof != y->spoof)
        return x->spoof - y->spoof;
    return strcmp(x->group, y->group) ? strcmp(x->group, y->group) : strcmp(x->name, y->name);
}

static void show_row(const tally *t)
{
    char name[64];
    const int *v = t->verdicts;
    const double each = t->n ? 100.0 / t->n : 0;
    (void)snprintf(name, sizeof name, "%s%.50s%s", t->spoof ? "" : "(living) ", t->name, t->held_out ? " *" : "");
    printf("| %-34s | %5d | %5.1f | %12.1f | %9.1f | %6.1f | %8.1f | %5.1f | %5.1f | %7.1f | %5.1f | %2d of %2d |\n",
           name, t->n, each * t->voice, each * v[VX_AUTHENTICATE], each * v[VX_CHALLENGE], each * v[VX_REJECT],
           each * v[VX_ESCALATE], each * (t->n - v[VX_AUTHENTICATE] - v[VX_CHALLENGE] - v[VX_REJECT] - v[VX_ESCALATE]),
           each * t->asked, each * t->answers, each * t->after, t->speakers_in, t->n_speakers);
}

static void show(table *t, const char *what)
{
    qsort(t->rows, t->n, sizeof *t->rows, by_name);
    printf(
        "\n| %-34s | clips | voice | AUTHENTICATE | CHALLENGE | REJECT | ESCALATE | other | asked | answers | after | "
        "speakers |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        what);
    for (size_t i = 0; i < t->n; i++)
        show_row(&t->rows[i]);
}

static void explain(void)
{
    puts(
        "\nShares of clips in %. voice: accepted by the voice alone. AUTHENTICATE to other: of the command, so that "
        "the\n"
        "first is who is in before any challenge. asked: CHALLENGE with the voice accepted, and so asked for digits.\n"
        "answers: in as an answer, asked or not, with its digits taken as right. after: in by the command, or asked "
        "and\n"
        "answered; what the living lack to 100 there are false rejects. speakers: of whom one clip was in after, of "
        "those\n"
        "with clips. A recording holds no digits that are drawn later: for replay and repeat, answers and after are a\n"
        "bound that no recording reaches.");
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
    printf("\n%d of %d speakers enrolled\n", b.n_enrolled, b.n_speakers);
    show(&b.kinds, "kind (* held out)");
    show(&b.groups, "group, or source of the living");
    explain();
    vx_spoof_set_done(&set);
    return 0;
}
