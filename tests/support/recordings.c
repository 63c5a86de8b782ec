/* recordings.c - see recordings.h. */
#include "tests/support/recordings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "tests/support/stats.h"

enum { COLUMNS = 8, LINE = 1024, MAX_FILE = 1 << 26 };
typedef enum { SPLIT, SOURCE, SPEAKER, PATH, N_FIELDS } field;
static const char *const FIELDS[N_FIELDS] = {"split", "source", "speaker", "path"};

static bool complain(const char *where, const char *what)
{
    fprintf(stderr, "recordings: %s: %s\n", where, what);
    return false;
}

/* Cuts a line at its tabs, in place; returns the number of columns. */
static size_t cut(char *line, char *ret_columns[COLUMNS])
{
    size_t n = 0;
    line[strcspn(line, "\r\n")] = 0;
    for (char *at = line; at != NULL && n < COLUMNS; n++) {
        ret_columns[n] = at;
        at = strchr(at, '\t');
        if (at != NULL)
            *at++ = 0;
    }
    return n;
}

static bool find_columns(char *heading, size_t ret_column[N_FIELDS])
{
    char *columns[COLUMNS];
    const size_t n = cut(heading, columns);
    for (int f = 0; f < N_FIELDS; f++) {
        size_t i = 0;
        while (i < n && strcmp(columns[i], FIELDS[f]) != 0)
            i++;
        if (i == n)
            return false;
        ret_column[f] = i;
    }
    return true;
}

static bool add_row(recordings *list, const char *folder, char *const columns[COLUMNS], const size_t column[N_FIELDS])
{
    char path[LINE];
    recording *rows = realloc(list->rows, (list->n + 1) * sizeof *rows);
    if (rows == NULL || vx_path_join(folder, columns[column[PATH]], path, sizeof path) != VX_OK)
        return false;
    list->rows = rows;
    recording *row = &rows[list->n++];
    *row = (recording){strdup(path), strdup(columns[column[SOURCE]]), strdup(columns[column[SPEAKER]])};
    return row->path != NULL && row->source != NULL && row->speaker != NULL;
}

static bool read_rows(FILE *file, const char *folder, const char *split, recordings *list)
{
    char line[LINE], *columns[COLUMNS];
    size_t column[N_FIELDS], most = 0;
    if (fgets(line, sizeof line, file) == NULL || !find_columns(line, column))
        return false;
    for (int f = 0; f < N_FIELDS; f++)
        most = column[f] > most ? column[f] : most;
    while (fgets(line, sizeof line, file) != NULL)
        if (cut(line, columns) > most && strcmp(columns[column[SPLIT]], split) == 0 &&
            !add_row(list, folder, columns, column))
            return false;
    return !ferror(file) && list->n > 0;
}

static void free_row(recording *row)
{
    free(row->path);
    free(row->source);
    free(row->speaker);
}

static void shuffle(recordings *list, uint64_t seed)
{
    for (size_t i = list->n; i > 1; i--) {
        const size_t k = (size_t)(stats_random(&seed) % i);
        const recording other = list->rows[i - 1];
        list->rows[i - 1] = list->rows[k];
        list->rows[k] = other;
    }
}

/* Keeps the first per_source rows of each source. */
static void thin(recordings *list, size_t per_source)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        size_t same = 0;
        for (size_t k = 0; k < kept; k++)
            same += strcmp(list->rows[k].source, list->rows[i].source) == 0;
        if (same < per_source)
            list->rows[kept++] = list->rows[i];
        else
            free_row(&list->rows[i]);
    }
    list->n = kept;
}

bool recordings_read(const char *folder, const char *split, size_t per_source, uint64_t seed, recordings *ret)
{
    char path[LINE];
    *ret = (recordings){0};
    FILE *file = vx_path_join(folder, "manifest.tsv", path, sizeof path) == VX_OK ? fopen(path, "r") : NULL;
    if (file == NULL)
        return complain(folder, "holds no manifest.tsv");
    const bool ok = read_rows(file, folder, split, ret);
    fclose(file);
    if (!ok) {
        recordings_done(ret);
        return complain(path, "cannot be read, or lists nothing of this split");
    }
    shuffle(ret, seed);
    if (per_source > 0)
        thin(ret, per_source);
    return true;
}

void recordings_done(recordings *list)
{
    for (size_t i = 0; i < list->n; i++)
        free_row(&list->rows[i]);
    free(list->rows);
    *list = (recordings){0};
}

bool recording_load(const recording *row, vx_audio *ret_audio)
{
    vx_buf bytes = {0};
    vx_errinfo info = {0};
    vx_err err = vx_file_read(row->path, MAX_FILE, &bytes, &info);
    if (err == VX_OK)
        err = vx_audio_decode(bytes.data, bytes.len, VX_FORMAT_AUTO, 0, ret_audio, &info);
    vx_buf_wipe_done(&bytes);
    return err == VX_OK || complain(row->path, vx_errinfo_text(&info, err));
}
