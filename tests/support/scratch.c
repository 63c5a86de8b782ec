/* scratch.c - temporary folders. */
#include "tests/support/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/file.h"

enum { FILE_MAX = 64 << 20, PATH_CAP = 512, OPEN_FOLDERS = 16 };

/* In memory where the system has a folder there: a test that opens a store a thousand times would wait for a thousand
 * syncs of a disk. */
scratch scratch_make(void)
{
    scratch s = {.path = "/dev/shm/voxlock-scratch-XXXXXX"};
    if (!mkdtemp(s.path)) {
        s = (scratch){.path = "/tmp/voxlock-scratch-XXXXXX"};
        if (!mkdtemp(s.path))
            fail_msg("cannot make a folder in /tmp");
    }
    return s;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void scratch_done(scratch *s)
{
    if (s->path[0])
        (void)nftw(s->path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    *s = (scratch){0};
}

const char *scratch_path(const scratch *s, const char *name, char *ret_path, size_t cap)
{
    if (vx_path_join(s->path, name, ret_path, cap) != VX_OK)
        fail_msg("%s: the path is too long", name);
    return ret_path;
}

bool scratch_has(const scratch *s, const char *name)
{
    char path[PATH_CAP];
    return access(scratch_path(s, name, path, sizeof path), F_OK) == 0;
}

int scratch_mode(const scratch *s, const char *name)
{
    char path[PATH_CAP];
    struct stat st = {0};
    if (stat(scratch_path(s, name, path, sizeof path), &st) != 0)
        fail_msg("%s is not there", path);
    return (int)st.st_mode & 0777;
}

vx_buf scratch_read(const scratch *s, const char *name)
{
    char path[PATH_CAP];
    vx_buf file = {0};
    if (scratch_has(s, name) && vx_file_read(scratch_path(s, name, path, sizeof path), FILE_MAX, &file, NULL) != VX_OK)
        fail_msg("cannot read %s", path);
    return file;
}

void scratch_write(const scratch *s, const char *name, const void *data, size_t len)
{
    char path[PATH_CAP];
    int fd = open(scratch_path(s, name, path, sizeof path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    const size_t written = file ? fwrite(data, 1, len, file) : 0;
    if (!file || fclose(file) != 0 || written != len)
        fail_msg("cannot write %s", path);
}

void scratch_copy(const scratch *s, const char *from, const char *to)
{
    vx_buf file = scratch_read(s, from);
    scratch_write(s, to, file.data, file.len);
    vx_buf_done(&file);
}

bool scratch_holds(const scratch *s, const char *name, const void *data, size_t len)
{
    vx_buf file = scratch_read(s, name);
    bool found = false;
    for (size_t i = 0; !found && i + len <= file.len; i++)
        found = file.data[i] == *(const uint8_t *)data && memcmp(file.data + i, data, len) == 0;
    vx_buf_done(&file);
    return found;
}
