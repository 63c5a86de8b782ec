/* fault_vfs.c - a SQLite VFS that forwards to the system's and strikes one call. */
#include "tests/support/fault_vfs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "tests/support/stats.h"

enum { FILES_MAX = 8, PATH_CAP = 512, SECTOR = 512, CONTENT_MAX = 64 << 20 };
#define NAME "voxlock-fault"

/* A file, as it would be after a power cut that loses all that was not synced. */
typedef struct {
    char path[PATH_CAP];
    bool exists;
    vx_buf content;
} durable_file;

/* One of SQLite's open files; the system's own lies behind it. */
typedef struct {
    sqlite3_file base;
    durable_file *durable; /* NULL: a temporary file, or shared memory */
} fault_file;
/* The system's file needs the alignment of malloc. */
#define REAL_AT ((sizeof(fault_file) + 15) / 16 * 16)

/* A VFS is registered for the process, so this is its one state. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *system;
    fault_kind kind;
    size_t k, count;
    bool struck;
    durable_file files[FILES_MAX];
    size_t n_files;
} disk;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((char *)file + REAL_AT);
}

static bool is_dead(void)
{
    return disk.struck && disk.kind == FAULT_POWER;
}

static bool is_full(void)
{
    return disk.struck && (disk.kind == FAULT_FULL || disk.kind == FAULT_TORN);
}

/* Counts a call that changes a file; true if it is the one to strike. */
static bool strikes(void)
{
    if (disk.kind == FAULT_NONE || !disk.struck)
        disk.count++;
    if (disk.kind == FAULT_NONE || disk.struck || disk.count != disk.k)
        return false;
    disk.struck = true;
    return true;
}

/* ---- what is durable ---------------------------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
    if (!good)
        fail_msg("fault_vfs: %s", what);
}

/* Plain reads and writes by path. Never while SQLite has the file open: closing any descriptor of a file drops the
 * process's POSIX locks on it. */
static bool read_path(const char *path, vx_buf *ret)
{
    if (access(path, F_OK) != 0)
        return false;
    must(vx_file_read(path, CONTENT_MAX, ret, NULL) == VX_OK, path);
    return true;
}

static void write_path(const char *path, const uint8_t *data, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && (len == 0 || write(fd, data, len) == (ssize_t)len) && close(fd) == 0, path);
}

/* Finds a file, and at first sight takes what it holds for durable. */
static durable_file *durable_of(const char *path)
{
    for (size_t i = 0; i < disk.n_files; i++)
        if (strcmp(disk.files[i].path, path) == 0)
            return &disk.files[i];
    must(disk.n_files < FILES_MAX && strlen(path) < PATH_CAP, "too many files");
    durable_file *d = &disk.files[disk.n_files++];
    *d = (durable_file){.exists = false};
    (void)snprintf(d->path, sizeof d->path, "%s", path);
    d->exists = read_path(path, &d->content);
    return d;
}

static void make_durable(fault_file *file, sqlite3_file *real)
{
    sqlite3_int64 size = 0;
    vx_buf *content = &file->durable->content;
    must(real->pMethods->xFileSize(real, &size) == SQLITE_OK, "no size");
    content->len = 0;
    must(vx_buf_reserve(content, (size_t)size + 1) == VX_OK, "no memory");
    must(size == 0 || real->pMethods->xRead(real, content->data, (int)size, 0) == SQLITE_OK, "no content");
    content->len = (size_t)size;
    file->durable->exists = true;
}

/* ---- methods of a file -------------------------------------------------------------------------------------------- */

static int do_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int do_read(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
    return is_dead() ? SQLITE_IOERR_READ : real_of(file)->pMethods->xRead(real_of(file), data, n, at);
}

static int do_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    sqlite3_file *real = real_of(file);
    if (is_dead())
        return SQLITE_IOERR_WRITE;
    const bool struck = strikes();
    if (struck && disk.kind == FAULT_IOERR)
        return SQLITE_IOERR_WRITE;
    if (struck && disk.kind == FAULT_TORN && n > 1)
        (void)real->pMethods->xWrite(real, data, n / 2, at);
    if (is_full())
        return SQLITE_FULL;
    const int code = real->pMethods->xWrite(real, data, n, at);
    return is_dead() ? SQLITE_IOERR_WRITE : code;
}

static int do_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (is_dead())
        return SQLITE_IOERR_TRUNCATE;
    if (strikes() && disk.kind != FAULT_POWER)
        return disk.kind == FAULT_IOERR ? SQLITE_IOERR_TRUNCATE : SQLITE_FULL;
    const int code = real_of(file)->pMethods->xTruncate(real_of(file), size);
    return is_dead() ? SQLITE_IOERR_TRUNCATE : code;
}

/* The system's sync is not called: a power cut of this machine is not what is tested, and it takes milliseconds. */
static int do_sync(sqlite3_file *file, int flags)
{
    fault_file *f = (fault_file *)(void *)file;
    (void)flags;
    if (is_dead())
        return SQLITE_IOERR_FSYNC;
    if (strikes() && disk.kind != FAULT_FULL && disk.kind != FAULT_TORN)
        return SQLITE_IOERR_FSYNC;
    if (is_full())
        return SQLITE_FULL;
    if (f->durable)
        make_durable(f, real_of(file));
    return SQLITE_OK;
}

static int do_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return is_dead() ? SQLITE_IOERR_FSTAT : real_of(file)->pMethods->xFileSize(real_of(file), ret);
}

static int do_lock(sqlite3_file *file, int level)
{
    return is_dead() ? SQLITE_IOERR_LOCK : real_of(file)->pMethods->xLock(real_of(file), level);
}

static int do_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int do_check_lock(sqlite3_file *file, int *ret)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}

static int do_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int do_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

/* Of what a real disk promises only that a write leaves the bytes beside it alone. */
static int do_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int do_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    if (is_dead())
        return SQLITE_IOERR_SHMMAP;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret);
}

static int do_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), at, n, flags);
}

static void do_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int do_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove && !is_dead());
}

/* Version 2: no mapping of the file itself, which would write past these methods. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = do_close,
    .xRead = do_read,
    .xWrite = do_write,
    .xTruncate = do_truncate,
    .xSync = do_sync,
    .xFileSize = do_file_size,
    .xLock = do_lock,
    .xUnlock = do_unlock,
    .xCheckReservedLock = do_check_lock,
    .xFileControl = do_control,
    .xSectorSize = do_sector_size,
    .xDeviceCharacteristics = do_characteristics,
    .xShmMap = do_shm_map,
    .xShmLock = do_shm_lock,
    .xShmBarrier = do_shm_barrier,
    .xShmUnmap = do_shm_unmap,
};

/* ---- methods of the VFS that differ from the system's -------------------------------------------------------------- */

static int do_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    fault_file *f = (fault_file *)(void *)file;
    (void)vfs;
    *f = (fault_file){.base.pMethods = NULL};
    if (is_dead())
        return SQLITE_CANTOPEN;
    f->durable = path ? durable_of(path) : NULL;
    const int code = disk.system->xOpen(disk.system, path, real_of(file), flags, ret_flags);
    if (real_of(file)->pMethods)
        f->base.pMethods = &methods;
    return code;
}

/* Until the folder is synced, a power cut brings a removed file back. */
static int do_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    (void)vfs;
    if (is_dead())
        return SQLITE_IOERR_DELETE;
    durable_file *d = durable_of(path);
    if (strikes())
        return SQLITE_IOERR_DELETE;
    const int code = disk.system->xDelete(disk.system, path, 0);
    if (code == SQLITE_OK && sync_folder)
        d->exists = false;
    return code;
}

static int do_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    (void)vfs;
    return is_dead() ? SQLITE_IOERR_ACCESS : disk.system->xAccess(disk.system, path, flags, ret);
}

const char *fault_vfs(void)
{
    if (!disk.system) {
        disk.system = sqlite3_vfs_find(NULL);
        must(disk.system != NULL, "no VFS to forward to");
        disk.vfs = *disk.system;
        disk.vfs.zName = NAME;
        disk.vfs.szOsFile = (int)REAL_AT + disk.system->szOsFile;
        disk.vfs.pNext = NULL;
        disk.vfs.xOpen = do_open;
        disk.vfs.xDelete = do_delete;
        disk.vfs.xAccess = do_access;
        must(sqlite3_vfs_register(&disk.vfs, 0) == SQLITE_OK, "cannot register");
    }
    return NAME;
}

void fault_vfs_arm(fault_kind kind, size_t k)
{
    disk.kind = kind;
    disk.k = k;
    disk.count = 0;
    disk.struck = kind != FAULT_NONE && k == 0;
}

size_t fault_vfs_count(void)
{
    return disk.count;
}

bool fault_vfs_struck(void)
{
    return disk.struck;
}

/* ---- after the power cut ------------------------------------------------------------------------------------------ */

static bool coin(uint64_t *random)
{
    return (stats_random(random) >> 32) & 1;
}

/* Any mix of sectors of both, of the length of either; a sector that its version does not have is zeros. */
static void mix(const durable_file *d, const vx_buf *now, uint64_t *random)
{
    vx_buf out = {0};
    const size_t len = coin(random) ? now->len : d->content.len;
    must(vx_buf_reserve(&out, len + SECTOR) == VX_OK, "no memory");
    memset(out.data, 0, len + SECTOR);
    for (size_t at = 0; at < len; at += SECTOR) {
        const vx_buf *from = coin(random) ? now : &d->content;
        if (at < from->len)
            memcpy(out.data + at, from->data + at, from->len - at < SECTOR ? from->len - at : SECTOR);
    }
    write_path(d->path, out.data, len);
    vx_buf_done(&out);
}

static void settle_file(durable_file *d, fault_rest rest, uint64_t *random)
{
    vx_buf now = {0};
    const bool exists = read_path(d->path, &now);
    if (rest == FAULT_MIX && exists && d->exists)
        mix(d, &now, random);
    else if (rest == FAULT_DROP || (rest == FAULT_MIX && coin(random))) {
        if (d->exists)
            write_path(d->path, d->content.data, d->content.len);
        else
            (void)unlink(d->path);
    } else if (rest == FAULT_MIX && exists)
        mix(d, &now, random); /* a new file whose name reached the disk */
    vx_buf_done(&now);
}

/* Shared memory is a file too, and nothing ever syncs it. */
static void spoil_shared_memory(const char *path, uint64_t *random)
{
    char shm[PATH_CAP + 8];
    vx_buf content = {0};
    (void)snprintf(shm, sizeof shm, "%s-shm", path);
    if (!read_path(shm, &content))
        return;
    for (size_t i = 0; i < content.len; i++)
        content.data[i] = (uint8_t)stats_random(random);
    write_path(shm, content.data, content.len);
    vx_buf_done(&content);
}

void fault_vfs_settle(fault_rest rest, uint64_t seed)
{
    for (size_t i = 0; i < disk.n_files; i++) {
        settle_file(&disk.files[i], rest, &seed);
        spoil_shared_memory(disk.files[i].path, &seed);
    }
    fault_vfs_forget();
}

void fault_vfs_forget(void)
{
    for (size_t i = 0; i < disk.n_files; i++)
        vx_buf_done(&disk.files[i].content);
    disk.n_files = 0;
    fault_vfs_arm(FAULT_NONE, 0);
}
