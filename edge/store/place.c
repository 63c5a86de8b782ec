/* place.c - the folder and the file of the store: made, and refused when others can get at them.
 * Owns:   modes, owners, and the lock that tells who has the file open. Does not: look into it (store.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/store/durable.h"
#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/private_file.h"

vx_err vx_store_no_profiles(const char *folder, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, VX_ERR_NOT_FOUND, folder, -1, 0,
                             "there are no profiles here yet; voxlock enroll NAME makes them");
}

/* flock has no timeout of its own. */
vx_err vx_store_lock_folder(int fd, bool alone, int busy_ms, const char *folder, vx_errinfo *info)
{
    int how = alone ? LOCK_EX : LOCK_SH;
    uint64_t due_ns = vx_now_ns() + (uint64_t)busy_ms * 1000000u;
    while (flock(fd, how | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return vx_file_failed(folder, "lock", info);
        if (vx_now_ns() >= due_ns)
            return vx_errinfo_set_at(info, VX_ERR_STORE_LOCKED, folder, -1, 0,
                                     "another voxlock has the profiles open; end it and try again");
        sqlite3_sleep(VX_STORE_POLL_MS);
    }
    return VX_OK;
}

vx_err vx_store_claim(const char *folder, bool alone, int busy_ms, int *ret_fd, vx_errinfo *info)
{
    struct stat st;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return vx_store_no_profiles(folder, info);
    if (fd < 0)
        return vx_file_failed(folder, "open", info);
    vx_err err = fstat(fd, &st) == 0 ? vx_private_check(&st, folder, info) : vx_file_failed(folder, "examine", info);
    if (err == VX_OK)
        err = vx_store_lock_folder(fd, alone, busy_ms, folder, info);
    if (err != VX_OK) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return VX_OK;
}

/* By path and not by descriptor: closing any descriptor of a file drops the locks that another connection of this
 * process holds on it. */
static vx_err check_file(const char *path, vx_errinfo *info)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? VX_ERR_NOT_FOUND : vx_file_failed(path, "examine", info);
    if (!S_ISREG(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it is not a regular file");
    return vx_private_check(&st, path, info);
}

static vx_err make_file(const vx_store *store, vx_errinfo *info)
{
    int fd = -1;
    vx_errinfo cause = {0};
    vx_err err = vx_durable_create(store->path, &fd, &cause);
    if (err == VX_ERR_EXISTS) /* by another process, just now */
        return VX_OK;
    if (err != VX_OK) {
        if (info && info->code == VX_OK)
            *info = cause;
        return err;
    }
    close(fd);
    return vx_durable_sync(store->folder, info);
}

vx_err vx_store_take_place(vx_store *store, const vx_store_options *options, vx_errinfo *info)
{
    char path[PATH_MAX];
    vx_err err = options->create ? vx_private_folder_make(options->folder, info) : VX_OK;
    if (err == VX_OK)
        err = vx_store_claim(options->folder, false, options->busy_ms, &store->claim, info);
    if (err != VX_OK)
        return err;
    /* Absolute: the program may change its folder later, and SQLite reads "file:..." as a URL. */
    if (!realpath(options->folder, path))
        return vx_file_failed(options->folder, "find", info);
    if (strlen(path) >= sizeof store->folder)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0, "the folder's path is too long");
    memcpy(store->folder, path, strlen(path) + 1);
    if (vx_path_join(store->folder, VX_STORE_FILE, store->path, sizeof store->path) != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0, "the folder's path is too long");

    err = check_file(store->path, info);
    if (err == VX_ERR_NOT_FOUND)
        err = options->create ? make_file(store, info) : vx_store_no_profiles(store->folder, info);
    /* SQLite gives its log and index the mode of the file; somebody may have changed it since. */
    static const char *const beside[] = {"-wal", "-shm"};
    for (size_t i = 0; err == VX_OK && i < sizeof beside / sizeof *beside; i++) {
        snprintf(path, sizeof path, "%s%s", store->path, beside[i]);
        err = check_file(path, info);
        if (err == VX_ERR_NOT_FOUND)
            err = VX_OK;
    }
    return err;
}
