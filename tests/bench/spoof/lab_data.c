/* lab_data.c - see lab_data.h. */
#include "tests/bench/spoof/lab_data.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/file.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/support/recordings.h"

static bool complain(const char *where, const char *what)
{
    fprintf(stderr, "spoof_lab: %s: %s\n", where, what);
    return false;
}

static char *copied(const char *text)
{
    char *copy = lab_alloc(strlen(text) + 1, 1);
    memcpy(copy, text, strlen(text));
    return copy;
}

/* ---- the folders ------------------------------------------------------------------------------------------------------ */

static int by_path(const void *a, const void *b)
{
    const recording *x = a, *y = b;
    return strcmp(x->path, y->path);
}

const char *lab_data_name(const lab_data *data, size_t row)
{
    return data->speech.rows[row].path + data->name_at;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool read_noise(const char *folder, const char *name, lab_data *data)
{
    char path[1024];
    vx_audio audio = {0};
    if (vx_path_join(folder, name, path, sizeof path) != VX_OK || !recording_load(&(recording){.path = path}, &audio))
        return false;
    size_t n = audio.n; /* the clips are filled up with digital silence */
    while (n > 0 && !(fabsf(audio.samples[n - 1]) > 0))
        n--;
    data->noises = realloc(data->noises, (data->n_noises + 1) * sizeof *data->noises);
    if (data->noises == NULL)
        abort();
    data->noises[data->n_noises++] = (lab_noise){copied(name), audio.samples, n};
    return true;
}

static bool read_noises(const char *folder, lab_data *data)
{
    const bool train = strcmp(data->split, "train") == 0;
    struct dirent **kinds = NULL, **files = NULL;
    const int n_kinds = scandir(folder, &kinds, visible, alphasort);
    bool ok = true;
    for (int k = 0; k < n_kinds; k++) {
        char path[1024];
        ok = ok && vx_path_join(folder, kinds[k]->d_name, path, sizeof path) == VX_OK;
        const int n_files = ok ? scandir(path, &files, visible, alphasort) : 0;
        for (int i = 0; i < n_files; i++) {
            const char *name = files[i]->d_name, *dot = strrchr(name, '.');
            if (ok && dot != NULL && strcmp(dot, ".flac") == 0 && (name[0] == '5') != train)
                ok = read_noise(path, name, data);
            free(files[i]);
        }
        if (n_files >= 0)
            free(files);
        files = NULL;
        free(kinds[k]);
    }
    free(kinds);
    return ok && (data->n_noises > 0 || complain(folder, "holds no KIND/FOLD-*.flac"));
}

bool lab_data_read(const char *speech, const char *noise, const char *split, lab_data *ret_data)
{
    lab_data data = {.split = copied(split)};
    if (!recordings_read(speech, split, 0, 0, &data.speech) || !read_noises(noise, &data)) {
        lab_data_done(&data);
        return false;
    }
    qsort(data.speech.rows, data.speech.n, sizeof *data.speech.rows, by_path);
    data.name_at = strlen(speech) + strspn(data.speech.rows[0].path + strlen(speech), "/");
    *ret_data = data;
    return true;
}

void lab_data_done(lab_data *data)
{
    for (size_t i = 0; i < data->n_noises; i++) {
        free((void *)(uintptr_t)data->noises[i].path);
        free((void *)(uintptr_t)data->noises[i].samples);
    }
    recordings_done(&data->speech);
    free(data->noises);
    free(data->split);
    *data = (lab_data){0};
}

/* ---- choosing --------------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t row, rank; /* rank: among what comes from the same speaker, then from the same source */
    uint64_t key;
} candidate;

static int by_rank(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

/* Numbers the candidates that `same` groups, in their order. */
static void rank(const lab_data *data, candidate *c, size_t n, bool (*same)(const recording *, const recording *))
{
    for (size_t i = 0; i < n; i++) {
        c[i].rank = 0;
        for (size_t k = 0; k < i; k++)
            c[i].rank += same(&data->speech.rows[c[i].row], &data->speech.rows[c[k].row]);
    }
}

static bool same_source(const recording *a, const recording *b)
{
    return strcmp(a->source, b->source) == 0;
}

static bool same_speaker(const recording *a, const recording *b)
{
    return same_source(a, b) && strcmp(a->speaker, b->speaker) == 0;
}

size_t *lab_data_choose(const lab_data *data, size_t per_speaker, size_t in_all, uint64_t seed, size_t *ret_n)
{
    candidate *c = lab_alloc(data->speech.n, sizeof *c);
    size_t *rows = lab_alloc(data->speech.n, sizeof *rows), n = 0;
    for (size_t i = 0; i < data->speech.n; i++)
        c[i] = (candidate){.row = i, .key = lab_seed(seed, lab_data_name(data, i))};
    qsort(c, data->speech.n, sizeof *c, by_rank);
    rank(data, c, data->speech.n, same_speaker);
    qsort(c, data->speech.n, sizeof *c, by_rank);
    for (size_t i = 0; i < data->speech.n; i++)
        if (per_speaker == 0 || c[i].rank < per_speaker)
            c[n++] = c[i];
    rank(data, c, n, same_source);
    qsort(c, n, sizeof *c, by_rank);
    n = in_all > 0 && in_all < n ? in_all : n;
    for (size_t i = 0; i < n; i++)
        rows[i] = c[i].row;
    free(c);
    *ret_n = n;
    return rows;
}

/* ---- originals -------------------------------------------------------------------------------------------------------- */

/* Start of the loudest n of all samples, in steps of a tenth of a second. */
static size_t loudest(const float *samples, size_t all, size_t n)
{
    double best = -1;
    size_t best_at = 0;
    for (size_t at = 0; at + n <= all; at += LAB_RATE / 10) {
        double power = 0;
        for (size_t i = at; i < at + n; i++)
            power += (double)samples[i] * (double)samples[i];
        if (power > best) {
            best = power;
            best_at = at;
        }
    }
    return best_at;
}

/* Speech of a telephone that was resampled has 60 dB and more of nothing above 4.4 kHz; the dullest of other voices 45. */
static bool is_narrow(const float *samples, size_t n)
{
    float *treble = lab_alloc(n + 1, sizeof *treble);
    memcpy(treble, samples, n * sizeof *treble);
    lab_cut_below(4600, 12, treble, n);
    const bool narrow = lab_speech_db(treble, n) < lab_speech_db(samples, n) - 55;
    free(treble);
    return narrow;
}

void lab_original_cut(float *samples, size_t n, uint64_t seed, lab_original *original)
{
    uint64_t state = seed;
    const size_t wanted = LAB_SHORTEST + lab_pick(&state, LAB_LONGEST - LAB_SHORTEST) + 2 * (size_t)LAB_MARGIN;
    const size_t kept = n < wanted ? n : wanted, at = loudest(samples, n, kept);
    memmove(samples, samples + at, kept * sizeof *samples);
    original->seed = seed;
    original->voice.samples = samples;
    original->voice.n = kept;
    original->narrow = is_narrow(samples, kept);
}

/* A row drawn from those that fit; as many as there are rows: there is none. */
static size_t companion(const lab_data *data, size_t row, bool same, uint64_t seed)
{
    size_t found = data->speech.n, n = 0;
    for (size_t i = 0; i < data->speech.n; i++) {
        const recording *a = &data->speech.rows[row], *b = &data->speech.rows[i];
        if (i != row && same_source(a, b) && same_speaker(a, b) == same && lab_pick(&seed, ++n) == 0)
            found = i;
    }
    return found;
}

static bool read_recording(const lab_data *data, size_t row, lab_recording *ret)
{
    vx_audio audio = {0};
    if (row == data->speech.n)
        return true;
    const recording *r = &data->speech.rows[row];
    if (!recording_load(r, &audio))
        return false;
    *ret = (lab_recording){lab_data_name(data, row), r->source, r->speaker, audio.samples, audio.n};
    return true;
}

bool lab_original_read(const lab_data *data, size_t row, uint64_t seed, lab_original *ret_original)
{
    lab_original o = {.noises = data->noises, .n_noises = data->n_noises};
    const uint64_t own = lab_seed(seed, lab_data_name(data, row));
    if (!read_recording(data, row, &o.voice) ||
        !read_recording(data, companion(data, row, true, lab_seed(own, "again")), &o.again) ||
        !read_recording(data, companion(data, row, false, lab_seed(own, "another")), &o.another)) {
        lab_original_done(&o);
        return false;
    }
    lab_original_cut((float *)(uintptr_t)o.voice.samples, o.voice.n, own, &o);
    *ret_original = o;
    return true;
}

void lab_original_done(lab_original *original)
{
    free((void *)(uintptr_t)original->voice.samples);
    free((void *)(uintptr_t)original->again.samples);
    free((void *)(uintptr_t)original->another.samples);
    *original = (lab_original){0};
}
