/* durable.c - create, sync, rename, in the order that a power cut forgives. */
#include "edge/store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/file.h"

enum { PATH_CAP = 1024 };

vx_err vx_durable_create(const char *path, int *ret_fd, vx_errinfo *info)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return vx_file_failed(path, "make", info);
    /* A umask may have taken from the owner's own bits. */
    if (fchmod(fd, 0600) != 0) {
        vx_err err = vx_file_failed(path, "protect", info);
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return VX_OK;
}

/* On macOS fsync leaves the data in the drive's cache; F_FULLFSYNC does not, and some file systems refuse it. */
static int flush(int fd)
{
#if defined(F_FULLFSYNC)
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0;
#endif
    return fsync(fd);
}

vx_err vx_durable_sync(const char *path, vx_errinfo *info)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vx_file_failed(path, "open", info);
    vx_err err = flush(fd) == 0 ? VX_OK : vx_file_failed(path, "save", info);
    close(fd);
    return err;
}

static vx_err write_all(int fd, const char *path, const uint8_t *data, size_t len, vx_errinfo *info)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vx_file_failed(path, "write", info);
        data += n;
        len -= (size_t)n;
    }
    return flush(fd) == 0 ? VX_OK : vx_file_failed(path, "save", info);
}

vx_err vx_durable_write(const char *path, const void *data, size_t len, vx_errinfo *info)
{
    char beside[PATH_CAP];
    int n = snprintf(beside, sizeof beside, "%s.new", path), fd = -1;
    if (n < 0 || (size_t)n >= sizeof beside)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0, "the path is too long");
    unlink(beside); /* left by a writer that was cut off */
    vx_err err = vx_durable_create(beside, &fd, info);
    if (err != VX_OK)
        return err;
    err = write_all(fd, beside, data, len, info);
    close(fd);
    if (err == VX_OK)
        err = vx_durable_rename(beside, path, info);
    if (err != VX_OK)
        unlink(beside);
    return err;
}

vx_err vx_durable_rename(const char *from, const char *to, vx_errinfo *info)
{
    char folder[PATH_CAP];
    const char *slash = strrchr(to, '/');
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash == to ? 1 : (int)(slash - to), to);
    else
        snprintf(folder, sizeof folder, ".");
    if (rename(from, to) != 0)
        return vx_file_failed(to, "put in place", info);
    return vx_durable_sync(folder, info);
}
