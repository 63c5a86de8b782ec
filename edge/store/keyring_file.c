/* keyring_file.c - keys in a file of mode 0600: lines "key_id key", both in hex.
 * Owns:   that file. Does not: choose it (keyring.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/store/durable.h"
#include "edge/store/keyring_private.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"

enum {
    PATH_CAP = 1024,
    ID_LEN = VX_KEY_ID_CAP - 1,
    SECRET_LEN = VX_KEYRING_SECRET_CAP - 1,
    LINE_LEN = ID_LEN + 1 + SECRET_LEN + 1, /* every line has it: the file is an array */
    FILE_MAX = 1000 * LINE_LEN,
};

/* Between this look and the reading nobody else can change the file: its folder is the owner's alone. */
static vx_err check_owner(const char *path, vx_errinfo *info)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? VX_ERR_NOT_FOUND : vx_file_failed(path, "examine", info);
    if (!S_ISREG(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, path, -1, 0, "not a regular file");
    if (st.st_uid != geteuid())
        return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, path, -1, 0, "the key belongs to another user");
    if ((st.st_mode & 077) != 0)
        return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, path, -1, 0,
                                 "others can read the key; if nobody has, run: chmod 600 %.160s", path);
    return VX_OK;
}

static bool is_line(const uint8_t *line)
{
    uint8_t bytes[VX_KEY_BYTES];
    bool good = vx_unhex((const char *)line, ID_LEN / 2, bytes) && line[ID_LEN] == ' ' &&
                vx_unhex((const char *)line + ID_LEN + 1, VX_KEY_BYTES, bytes) && line[LINE_LEN - 1] == '\n';
    vx_wipe(bytes, sizeof bytes);
    return good;
}

/* All lines; ret_lines is empty and the result NOT_FOUND where there is no file. */
static vx_err read_lines(const char *path, vx_buf *ret_lines, vx_errinfo *info)
{
    vx_err err = check_owner(path, info);
    if (err == VX_OK)
        err = vx_file_read(path, FILE_MAX, ret_lines, info);
    if (err != VX_OK)
        return err;
    for (size_t at = 0; at < ret_lines->len; at += LINE_LEN) {
        if (ret_lines->len - at < LINE_LEN || !is_line(ret_lines->data + at))
            return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, path, -1, (int)(at / LINE_LEN) + 1,
                                     "damaged: a line is a store's number and its key, in hex");
    }
    return VX_OK;
}

/* Offset of the line of key_id; lines->len where there is none. */
static size_t find(const vx_buf *lines, const char *key_id)
{
    size_t at = 0;
    while (at < lines->len && memcmp(lines->data + at, key_id, ID_LEN) != 0)
        at += LINE_LEN;
    return at;
}

static vx_err key_path(const char *folder, char ret_path[PATH_CAP], vx_errinfo *info)
{
    if (vx_path_join(folder, VX_KEY_FILE, ret_path, PATH_CAP) != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, folder, -1, 0, "the path is too long");
    return VX_OK;
}

vx_err vx_key_file_get(const char *folder, const char *key_id, char ret_secret[VX_KEYRING_SECRET_CAP], vx_errinfo *info)
{
    char path[PATH_CAP];
    vx_buf lines = {0};
    vx_err err = key_path(folder, path, info);
    if (err == VX_OK)
        err = read_lines(path, &lines, info);
    if (err == VX_OK) {
        size_t at = find(&lines, key_id);
        if (at == lines.len) {
            err = VX_ERR_NOT_FOUND;
        } else {
            memcpy(ret_secret, lines.data + at + ID_LEN + 1, SECRET_LEN);
            ret_secret[SECRET_LEN] = '\0';
        }
    }
    vx_buf_wipe_done(&lines);
    return err;
}

/* Takes the line of key_id out. */
static void cut(vx_buf *lines, const char *key_id)
{
    size_t at = find(lines, key_id);
    if (at >= lines->len)
        return;
    memmove(lines->data + at, lines->data + at + LINE_LEN, lines->len - at - LINE_LEN);
    lines->len -= LINE_LEN;
}

vx_err vx_key_file_put(const char *folder, const char *key_id, const char *secret, vx_errinfo *info)
{
    char path[PATH_CAP];
    vx_buf lines = {0};
    vx_err err = key_path(folder, path, info);
    if (err == VX_OK)
        err = read_lines(path, &lines, info);
    if (err == VX_OK)
        cut(&lines, key_id);
    if (err == VX_OK || err == VX_ERR_NOT_FOUND)
        err = vx_buf_printf(&lines, "%s %s\n", key_id, secret);
    if (err == VX_OK)
        err = vx_durable_write(path, lines.data, lines.len, info);
    vx_buf_wipe_done(&lines);
    return err;
}

vx_err vx_key_file_drop(const char *folder, const char *key_id, vx_errinfo *info)
{
    char path[PATH_CAP];
    vx_buf lines = {0};
    vx_err err = key_path(folder, path, info);
    if (err == VX_OK)
        err = read_lines(path, &lines, info);
    if (err == VX_OK) {
        size_t before = lines.len;
        cut(&lines, key_id);
        if (lines.len == 0)
            err = unlink(path) == 0 ? VX_OK : vx_file_failed(path, "remove", info);
        else if (lines.len != before)
            err = vx_durable_write(path, lines.data, lines.len, info);
    }
    vx_buf_wipe_done(&lines);
    return err == VX_ERR_NOT_FOUND ? VX_OK : err;
}
