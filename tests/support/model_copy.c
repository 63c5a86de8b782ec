/* model_copy.c - model folders to spoil. */
#include "tests/support/model_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/file.h"

enum { FILE_MAX = 256 << 20, PATH_CAP = 256 };

static vx_buf read_file(const char *folder, const char *name)
{
    char path[PATH_CAP];
    vx_buf file = {0};
    if (vx_path_join(folder, name, path, sizeof path) || vx_file_read(path, FILE_MAX, &file, NULL))
        fail_msg("cannot read %s/%s", folder, name);
    return file;
}

model_copy model_copy_empty(void)
{
    model_copy copy = {.path = "/tmp/voxlock-model-XXXXXX"};
    if (!mkdtemp(copy.path))
        fail_msg("cannot make a folder in /tmp");
    return copy;
}

model_copy model_copy_of(const char *folder)
{
    model_copy copy = model_copy_empty();
    model_copy_take(&copy, folder, MODEL_WEIGHTS);
    model_copy_take(&copy, folder, MODEL_MANIFEST);
    char path[PATH_CAP];
    if (!vx_path_join(folder, MODEL_COHORT, path, sizeof path) && access(path, F_OK) == 0)
        model_copy_take(&copy, folder, MODEL_COHORT);
    return copy;
}

void model_copy_take(const model_copy *copy, const char *folder, const char *name)
{
    vx_buf file = read_file(folder, name);
    model_copy_put(copy, name, file.data, file.len);
    vx_buf_done(&file);
}

void model_copy_put(const model_copy *copy, const char *name, const void *data, size_t len)
{
    char path[PATH_CAP], beside[PATH_CAP];
    snprintf(path, sizeof path, "%s/%s", copy->path, name);
    snprintf(beside, sizeof beside, "%s/new", copy->path);
    FILE *file = fopen(beside, "wb");
    const size_t written = file ? fwrite(data, 1, len, file) : 0;
    if (!file || fclose(file) != 0 || written != len || rename(beside, path) != 0)
        fail_msg("cannot write %s", path);
}

void model_copy_drop(const model_copy *copy, const char *name)
{
    char path[PATH_CAP];
    snprintf(path, sizeof path, "%s/%s", copy->path, name);
    unlink(path);
}

void model_copy_cut(const model_copy *copy, const char *name, size_t n)
{
    vx_buf file = read_file(copy->path, name);
    assert_true(n < file.len);
    model_copy_put(copy, name, file.data, n);
    vx_buf_done(&file);
}

void model_copy_flip(const model_copy *copy, const char *name, size_t at)
{
    vx_buf file = read_file(copy->path, name);
    assert_true(at < file.len);
    file.data[at] ^= 1;
    model_copy_put(copy, name, file.data, file.len);
    vx_buf_done(&file);
}

json_t *model_copy_manifest(const model_copy *copy)
{
    char path[PATH_CAP];
    snprintf(path, sizeof path, "%s/%s", copy->path, MODEL_MANIFEST);
    json_t *manifest = json_load_file(path, 0, NULL);
    if (!manifest)
        fail_msg("cannot read %s", path);
    return manifest;
}

void model_copy_set_manifest(const model_copy *copy, json_t *manifest)
{
    char *text = json_dumps(manifest, JSON_INDENT(1));
    if (!text)
        fail_msg("out of memory");
    else
        model_copy_put(copy, MODEL_MANIFEST, text, strlen(text));
    free(text);
    json_decref(manifest);
}

void model_copy_done(model_copy *copy)
{
    model_copy_drop(copy, MODEL_MANIFEST);
    model_copy_drop(copy, MODEL_WEIGHTS);
    model_copy_drop(copy, MODEL_COHORT);
    rmdir(copy->path);
}
