/* file.c - a whole file, read with a bound or mapped read-only.
 * Owns:   file descriptors while a call runs, and the mapping until vx_map_close. Does not: interpret content, give
 *         paging advice (the caller knows its access pattern).
 */
#include "shared/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* One read of a pipe or of a file whose size is not known: the capacity of a Linux pipe. */
#define READ_STEP 65536

static vx_err err_of(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR: return VX_ERR_NOT_FOUND;
    case EEXIST: return VX_ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: return VX_ERR_PERMISSION;
    case ENOMEM: return VX_ERR_NOMEM;
    default: return VX_ERR_IO;
    }
}

/* strerror_r comes in two shapes (GNU returns the text, POSIX a status), strerror is not thread-safe everywhere. */
static const char *posix_text(int status, const char *text)
{
    return status == 0 ? text : "unknown error";
}
static const char *gnu_text(const char *text, const char *unused)
{
    (void)unused;
    return text;
}

vx_err vx_file_failed(const char *path, const char *doing, vx_errinfo *info)
{
    const int errnum = errno;
    char buf[128] = "";
    const char *text = _Generic(strerror_r(errnum, buf, sizeof buf), int: posix_text, char *: gnu_text)(
        strerror_r(errnum, buf, sizeof buf), buf);
    return vx_errinfo_set_at(info, err_of(errnum), path, -1, 0, "cannot %s: %s", doing, text);
}

/* -1 with errno set. FUSE and network file systems can interrupt even the open of a regular file. */
static int open_read(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static vx_err map_fd(int fd, const char *path, vx_map *ret_map, vx_errinfo *info)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return vx_file_failed(path, "examine", info);
    if (!S_ISREG(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_IO, path, -1, 0, "not a regular file");
    if (st.st_size <= 0)
        return vx_errinfo_set_at(info, VX_ERR_IO, path, -1, 0, "the file is empty");
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return vx_errinfo_set_at(info, VX_ERR_NOMEM, path, -1, 0, "larger than the address space");

    size_t len = (size_t)st.st_size;
    void *data = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return vx_file_failed(path, "map", info);
    *ret_map = (vx_map){.data = data, .len = len};
    return VX_OK;
}

vx_err vx_map_open(const char *path, vx_map *ret_map, vx_errinfo *info)
{
    /* O_NONBLOCK: opening a FIFO without a writer would hang before fstat can refuse it. Checking the path before
     * opening would be a race. */
    int fd = open_read(path, O_NONBLOCK);
    if (fd < 0)
        return vx_file_failed(path, "open", info);
    vx_err err = map_fd(fd, path, ret_map, info);
    close(fd);
    return err;
}

void vx_map_relax(const vx_map *map)
{
    /* Advice: a refusal only means that the memory stays in use. posix_madvise would do nothing in glibc. */
    (void)madvise((void *)(uintptr_t)map->data, map->len, MADV_DONTNEED);
}

void vx_map_close(vx_map *map)
{
    if (map == NULL || map->data == NULL)
        return;
    munmap((void *)(uintptr_t)map->data, map->len);
    *map = (vx_map){0};
}

/* Bytes to ask for next: the rest of a regular file, a step where the size is not known (0) or was not true. 0 where
 * the input should end: one probing byte then tells, without growing the buffer past what the file needs. */
static size_t next_step(size_t size_hint, size_t got, size_t max_bytes)
{
    size_t step = size_hint > 0 && got <= size_hint ? size_hint - got : READ_STEP;
    size_t left = max_bytes - got;
    return step < left ? step : left;
}

static vx_err read_fd(int fd, const char *path, size_t max_bytes, vx_buf *buf, vx_errinfo *info)
{
    struct stat st;
    size_t hint = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (uintmax_t)st.st_size <= SIZE_MAX)
        hint = (size_t)st.st_size;

    for (size_t got = 0;;) {
        size_t step = next_step(hint, got, max_bytes);
        vx_err err = vx_buf_reserve(buf, step);
        if (err != VX_OK)
            return vx_errinfo_set_at(info, err, path, -1, 0, "no memory to read it");
        uint8_t probe;
        ssize_t n = step > 0 ? read(fd, buf->data + buf->len, step) : read(fd, &probe, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vx_file_failed(path, "read", info);
        if (n == 0)
            return VX_OK;
        if (got == max_bytes)
            return vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0, "larger than %zu bytes", max_bytes);
        got += (size_t)n;
        if (step > 0)
            buf->len += (size_t)n;
        else if ((err = vx_buf_append(buf, &probe, 1)) != VX_OK)
            return vx_errinfo_set_at(info, err, path, -1, 0, "no memory to read it");
    }
}

vx_err vx_file_read(const char *path, size_t max_bytes, vx_buf *ret_buf, vx_errinfo *info)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open_read(path, 0);
    if (fd < 0)
        return vx_file_failed(path, "open", info);

    size_t before = ret_buf->len;
    if (ret_buf->limit != 0 && max_bytes > ret_buf->limit - before)
        max_bytes = ret_buf->limit - before;
    vx_err err = read_fd(fd, is_stdin ? "standard input" : path, max_bytes, ret_buf, info);
    if (err != VX_OK) {
        /* What was read may be a key or a recording. */
        if (ret_buf->data != NULL)
            vx_wipe(ret_buf->data + before, ret_buf->cap - before);
        ret_buf->len = before;
    }
    if (!is_stdin)
        close(fd);
    return err;
}

vx_err vx_path_join(const char *folder, const char *name, char *ret_path, size_t cap)
{
    size_t n_folder = strlen(folder), n_name = strlen(name);
    bool slash = n_folder > 0 && folder[n_folder - 1] != '/';
    size_t len;
    if (!vx_size_add(n_folder, n_name, &len) || !vx_size_add(len, slash ? 2 : 1, &len) || len > cap)
        return VX_ERR_RANGE;
    snprintf(ret_path, cap, "%s%s%s", folder, slash ? "/" : "", name);
    return VX_OK;
}
