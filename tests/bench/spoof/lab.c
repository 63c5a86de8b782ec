/* lab.c - the spoof laboratory's program: a folder of clips of every kind, and a list of them.
 * Usage:  spoof_lab SPEECH NOISE OUT [--split train|dev] [--per-kind N] [--per-speaker N] [--kinds A,B] [--seed N] [--jobs N]
 *         SPEECH and NOISE as lab_data.h says. Writes OUT/KIND/NAME.wav (16 kHz mono 16 bit) and OUT/manifest.tsv.
 * Owns:   arguments, threads, files. Does not: make clips.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/file.h"
#include "shared/base/pool.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_data.h"
#include "tests/support/encode.h"

#define USAGE                                                                                                          \
    "Usage: spoof_lab SPEECH NOISE OUT [--split train|dev] [--per-kind N] [--per-speaker N] [--kinds A,B] [--seed N] " \
    "[--jobs N]\n"

enum { MAX_KINDS = 256, PATH_CAP = 1024 };

typedef struct {
    bool made;
    char path[PATH_CAP], parameters[LAB_PARAMETERS];
} made_clip;

typedef struct {
    const char *out;
    uint64_t seed;
    lab_data data;
    const lab_kind *kinds[MAX_KINDS];
    size_t n_kinds, *rows, n_rows;
    made_clip *clips; /* [n_rows][n_kinds]; each written by one thread */
    atomic_bool failed;
    atomic_size_t n_done; /* originals */
} run;

typedef struct {
    run *r;
    size_t row; /* of r->rows */
} task;

/* ---- kinds ----------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const char *wanted, const char *kind)
{
    const size_t len = strlen(kind);
    for (const char *at = wanted; at != NULL && (at = strstr(at, kind)) != NULL; at += len)
        if ((at == wanted || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return wanted == NULL;
}

/* A name in the list that is no kind is a mistake, not a wish for nothing. */
static bool check_wanted(const char *wanted)
{
    for (const char *at = wanted; at != NULL && *at != '\0';) {
        char name[128];
        const size_t len = strcspn(at, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, at);
        if (lab_kind_named(name) == NULL) {
            fprintf(stderr, "spoof_lab: no kind is named '%s'\n", name);
            return false;
        }
        at += len + (at[len] == ',');
    }
    return true;
}

static bool choose_kinds(const char *wanted, run *r)
{
    for (size_t t = 0; lab_kinds[t] != NULL; t++)
        for (const lab_kind *k = lab_kinds[t]; k->kind != NULL; k++) {
            char why[LAB_PARAMETERS] = "";
            if (!is_wanted(wanted, k->kind) || r->n_kinds == MAX_KINDS)
                continue;
            if (k->ready != NULL && !k->ready(why))
                fprintf(stderr, "spoof_lab: %s is left out: %s\n", k->kind, why);
            else
                r->kinds[r->n_kinds++] = k;
        }
    return check_wanted(wanted) && r->n_kinds > 0;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

static bool make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return true;
    fprintf(stderr, "spoof_lab: %s: %s\n", path, strerror(errno));
    return false;
}

static bool make_folders(const run *r)
{
    char path[PATH_CAP];
    bool ok = make_folder(r->out);
    for (size_t k = 0; ok && k < r->n_kinds; k++)
        ok = vx_path_join(r->out, r->kinds[k]->kind, path, sizeof path) == VX_OK && make_folder(path);
    return ok;
}

static bool write_wav(const char *out, const char *name, const lab_clip *clip)
{
    char path[PATH_CAP];
    vx_buf file = {0};
    bool ok = vx_path_join(out, name, path, sizeof path) == VX_OK &&
              encode_audio(ENCODE_WAV16, clip->samples, clip->n, LAB_RATE, 1, &file) == 0;
    FILE *to = ok ? fopen(path, "wb") : NULL;
    ok = to != NULL && fwrite(file.data, 1, file.len, to) == file.len;
    if (to != NULL)
        ok = fclose(to) == 0 && ok;
    vx_buf_done(&file);
    if (!ok)
        fprintf(stderr, "spoof_lab: %s/%s: cannot be written\n", out, name);
    return ok;
}

/* "KIND/dev_speaker_recording.wav" */
static void name_of(const char *kind, const char *original, char ret_name[PATH_CAP])
{
    const char *dot = strrchr(original, '.');
    (void)snprintf(ret_name, PATH_CAP, "%s/%.*s.wav", kind,
                   (int)(dot != NULL ? dot - original : (long)strlen(original)), original);
    for (char *at = ret_name + strlen(kind) + 1; (at = strchr(at, '/')) != NULL;)
        *at = '_';
}

static bool write_manifest(const run *r)
{
    char path[PATH_CAP];
    FILE *to = vx_path_join(r->out, "manifest.tsv", path, sizeof path) == VX_OK ? fopen(path, "w") : NULL;
    if (to == NULL) {
        fprintf(stderr, "spoof_lab: %s: cannot be written\n", path);
        return false;
    }
    fprintf(to, "path\tspoof\tgroup\tkind\theld_out\tsplit\tsource\tspeaker\toriginal\tparameters\n");
    for (size_t k = 0; k < r->n_kinds; k++) {
        const lab_kind *kind = r->kinds[k];
        size_t n_made = 0;
        for (size_t i = 0; i < r->n_rows; i++) {
            const made_clip *clip = &r->clips[i * r->n_kinds + k];
            const recording *row = &r->data.speech.rows[r->rows[i]];
            n_made += clip->made;
            if (clip->made)
                fprintf(to, "%s\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", clip->path, kind->spoof, kind->group,
                        kind->kind, kind->held_out, r->data.split, row->source, row->speaker,
                        lab_data_name(&r->data, r->rows[i]), clip->parameters);
        }
        printf("%-24s %-12s %5zu clips%s\n", kind->kind, kind->group, n_made, kind->held_out ? ", held out" : "");
    }
    const bool failed = ferror(to) != 0;
    return fclose(to) == 0 && !failed;
}

/* ---- run ------------------------------------------------------------------------------------------------------------- */

/* Every kind of clip of one original. */
static void work(void *arg, int worker)
{
    const task *t = arg;
    run *r = t->r;
    lab_original original;
    (void)worker;
    if (!lab_original_read(&r->data, r->rows[t->row], r->seed, &original)) {
        atomic_store(&r->failed, true);
        return;
    }
    for (size_t k = 0; k < r->n_kinds; k++) {
        made_clip *made = &r->clips[t->row * r->n_kinds + k];
        lab_clip clip = {0};
        if (!lab_make(r->kinds[k], &original, &clip))
            continue;
        name_of(r->kinds[k]->kind, original.voice.path, made->path);
        memcpy(made->parameters, clip.parameters, sizeof made->parameters);
        made->made = write_wav(r->out, made->path, &clip);
        if (!made->made)
            atomic_store(&r->failed, true);
        lab_clip_done(&clip);
    }
    lab_original_done(&original);
    const size_t n_done = atomic_fetch_add(&r->n_done, 1) + 1;
    if (n_done % 20 == 0)
        fprintf(stderr, "spoof_lab: %zu of %zu originals\n", n_done, r->n_rows);
}

static bool work_all(run *r, int jobs)
{
    task *tasks = lab_alloc(r->n_rows + 1, sizeof *tasks);
    vx_pool *pool = NULL;
    bool ok = vx_pool_create(jobs, r->n_rows, &pool) == VX_OK;
    for (size_t i = 0; ok && i < r->n_rows; i++) {
        tasks[i] = (task){r, i};
        ok = vx_pool_submit(pool, work, &tasks[i]) == VX_OK;
    }
    vx_pool_destroy(pool);
    free(tasks);
    return ok && !atomic_load(&r->failed);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"split", required_argument, NULL, 's'},
                                            {"per-kind", required_argument, NULL, 'n'},
                                            {"per-speaker", required_argument, NULL, 'p'},
                                            {"kinds", required_argument, NULL, 'k'},
                                            {"seed", required_argument, NULL, 'r'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {0}};
    const char *split = "train", *wanted = NULL;
    size_t per_kind = 0, per_speaker = 0;
    int jobs = 1, option, status = 1;
    run r = {.seed = 1};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 's': split = optarg; break;
        case 'n': per_kind = strtoul(optarg, NULL, 10); break;
        case 'p': per_speaker = strtoul(optarg, NULL, 10); break;
        case 'k': wanted = optarg; break;
        case 'r': r.seed = strtoull(optarg, NULL, 10); break;
        case 'j': jobs = atoi(optarg); break;
        default: argc = 0; break;
        }
    if (argc - optind != 3 || jobs < 1 || !choose_kinds(wanted, &r)) {
        fprintf(stderr, USAGE);
        return 2;
    }
    r.out = argv[optind + 2];
    if (make_folders(&r) && lab_data_read(argv[optind], argv[optind + 1], split, &r.data)) {
        r.rows = lab_data_choose(&r.data, per_speaker, per_kind, r.seed, &r.n_rows);
        r.clips = lab_alloc(r.n_rows * r.n_kinds + 1, sizeof *r.clips);
        printf("%zu originals of split %s, %zu noises, %zu kinds, seed %" PRIu64 "\n", r.n_rows, split, r.data.n_noises,
               r.n_kinds, r.seed);
        const bool worked = work_all(&r, jobs);
        status = !(write_manifest(&r) && worked);
    }
    free(r.clips);
    free(r.rows);
    lab_data_done(&r.data);
    return status;
}
