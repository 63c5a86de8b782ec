/* backup_seal.c - a database and its key, sealed under a passphrase.
 * Owns:   the format of backup_private.h. Does not: read or write files (backup.c), choose the passphrase.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "edge/store/backup_private.h"

enum {
    VERSION = 1,
    AT_VERSION = 8,
    AT_COST = 9,
    AT_SALT = 12,
    SALT = 16,
    AT_NONCE = 28,
    NONCE = 12,
    ID_LEN = VX_KEY_ID_CAP - 1,
    PASSPHRASE_MIN = 8,
    PASSPHRASE_MAX = 1024,
};
static const uint8_t MAGIC[AT_VERSION] = {'V', 'X', 'B', 'A', 'C', 'K', 'U', 'P'};
/* Twice the memory and four times the work of what this version writes: room for a later choice, none for an attack. */
static const uint64_t MEMORY_MAX = 256u << 20, WORK_MAX = 1u << 22;

void vx_backup_done(vx_backup *backup)
{
    vx_buf_wipe_done(&backup->database);
    vx_wipe(backup, sizeof *backup);
}

static uint64_t memory_of(const vx_backup_cost *cost)
{
    return (uint64_t)128 * (uint64_t)cost->r << cost->log2_n;
}

static vx_err check_passphrase(const char *passphrase, vx_errinfo *info)
{
    const size_t len = strlen(passphrase);
    if (len < PASSPHRASE_MIN || len > PASSPHRASE_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the passphrase of a backup has %d to %d bytes", PASSPHRASE_MIN,
                              PASSPHRASE_MAX);
    return VX_OK;
}

static vx_err derive(const char *passphrase, const uint8_t *salt, const vx_backup_cost *cost,
                     uint8_t ret_key[VX_KEY_BYTES], vx_errinfo *info)
{
    /* OpenSSL counts a little more than the table itself. */
    const uint64_t memory = memory_of(cost) + (1u << 20);
    if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, SALT, (uint64_t)1 << cost->log2_n, (uint64_t)cost->r,
                       (uint64_t)cost->p, memory, ret_key, VX_KEY_BYTES) == 1)
        return VX_OK;
    ERR_clear_error();
    /* The parameters are in bounds, so what can fail is its memory. */
    return vx_errinfo_set(info, VX_ERR_NOMEM, "a passphrase takes %llu MiB to turn into a key",
                          (unsigned long long)(memory >> 20));
}

/* One GCM message: the header goes in as it is, parts are sealed one behind the other into out. */
static bool encrypt(const uint8_t *key, const uint8_t *head, const vx_backup *b, uint8_t *out)
{
    int n = 0;
    const int len = (int)b->database.len;
    uint8_t *body = out + VX_BACKUP_KEY, *tag = body + len;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, head + AT_NONCE) == 1 &&
                    EVP_EncryptUpdate(ctx, NULL, &n, head, VX_BACKUP_HEAD) == 1 &&
                    EVP_EncryptUpdate(ctx, out, &n, (const uint8_t *)b->key_id, ID_LEN) == 1 &&
                    EVP_EncryptUpdate(ctx, out + ID_LEN, &n, b->key, VX_KEY_BYTES) == 1 &&
                    EVP_EncryptUpdate(ctx, body, &n, b->database.data, len) == 1 &&
                    EVP_EncryptFinal_ex(ctx, tag, &n) == 1 &&
                    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, VX_BACKUP_TAG, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static bool make_head(int log2_n, uint8_t ret_head[VX_BACKUP_HEAD])
{
    memcpy(ret_head, MAGIC, sizeof MAGIC);
    ret_head[AT_VERSION] = VERSION;
    ret_head[AT_COST] = (uint8_t)log2_n;
    ret_head[AT_COST + 1] = 8;
    ret_head[AT_COST + 2] = 1;
    return RAND_bytes(ret_head + AT_SALT, SALT) == 1 && RAND_bytes(ret_head + AT_NONCE, NONCE) == 1;
}

vx_err vx_backup_seal(const vx_backup *backup, const char *passphrase, int log2_n, vx_buf *ret_file, vx_errinfo *info)
{
    uint8_t head[VX_BACKUP_HEAD], key[VX_KEY_BYTES] = {0};
    const vx_backup_cost cost = {.log2_n = log2_n, .r = 8, .p = 1};
    const size_t size = VX_BACKUP_HEAD + VX_BACKUP_KEY + backup->database.len + VX_BACKUP_TAG;
    vx_err err = check_passphrase(passphrase, info);

    if (err == VX_OK && size > VX_BACKUP_FILE_MAX)
        err = vx_errinfo_set(info, VX_ERR_RANGE, "the profiles are larger than the %d MiB of a backup",
                             VX_BACKUP_FILE_MAX >> 20);
    if (err == VX_OK && !make_head(log2_n, head))
        err = VX_ERR_INTERNAL;
    if (err == VX_OK)
        err = derive(passphrase, head + AT_SALT, &cost, key, info);
    if (err == VX_OK)
        err = vx_buf_reserve(ret_file, size);
    if (err != VX_OK)
        goto out;
    uint8_t *file = ret_file->data + ret_file->len;
    memcpy(file, head, sizeof head);
    if (encrypt(key, head, backup, file + VX_BACKUP_HEAD))
        ret_file->len += size;
    else
        err = VX_ERR_INTERNAL;
out:
    vx_wipe(key, sizeof key);
    return err;
}

vx_err vx_backup_read_head(const void *file, size_t len, vx_backup_cost *ret_cost, vx_errinfo *info)
{
    const uint8_t *head = file;
    if (len < sizeof MAGIC || memcmp(head, MAGIC, sizeof MAGIC) != 0)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "this is no backup of voxlock");
    if (len > AT_VERSION && head[AT_VERSION] > VERSION)
        return vx_errinfo_set(info, VX_ERR_STORE_VERSION, "a newer version of voxlock made this backup");
    if (len < VX_BACKUP_HEAD + VX_BACKUP_KEY + VX_BACKUP_TAG || head[AT_VERSION] != VERSION)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the backup is cut off");

    const vx_backup_cost cost = {.log2_n = head[AT_COST], .r = head[AT_COST + 1], .p = head[AT_COST + 2]};
    /* The single bounds come first: they keep the products from overflowing. scrypt wants N < 2^(16 r). */
    if (cost.log2_n < 1 || cost.log2_n > 22 || cost.r < 1 || cost.p < 1 || cost.log2_n >= 16 * cost.r ||
        memory_of(&cost) > MEMORY_MAX || (uint64_t)cost.r * (uint64_t)cost.p << cost.log2_n > WORK_MAX)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT,
                              "the backup asks for more work on its passphrase than any that voxlock makes");
    *ret_cost = cost;
    return VX_OK;
}

/* sealed [in] without the tag. False: the tag does not fit; ret_plain then holds what nobody vouches for. */
static bool decrypt(const uint8_t *key, const uint8_t *head, const uint8_t *sealed, size_t len, uint8_t *ret_plain)
{
    int n = 0;
    uint8_t tag[VX_BACKUP_TAG];
    memcpy(tag, sealed + len, sizeof tag);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, head + AT_NONCE) == 1 &&
                    EVP_DecryptUpdate(ctx, NULL, &n, head, VX_BACKUP_HEAD) == 1 &&
                    EVP_DecryptUpdate(ctx, ret_plain, &n, sealed, (int)len) == 1 &&
                    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, VX_BACKUP_TAG, tag) == 1 &&
                    EVP_DecryptFinal_ex(ctx, ret_plain + len, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* The plain bytes, taken apart: the key is cut off the front of the database's buffer. */
static vx_err split(vx_buf *plain, vx_backup *ret, vx_errinfo *info)
{
    uint8_t id[ID_LEN / 2];
    char hex[VX_KEY_ID_CAP];
    if (!vx_unhex((const char *)plain->data, sizeof id, id))
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the backup names no store");
    vx_hex(id, sizeof id, hex);
    memcpy(ret->key_id, hex, sizeof hex);
    memcpy(ret->key, plain->data + ID_LEN, VX_KEY_BYTES);
    plain->len -= VX_BACKUP_KEY;
    memmove(plain->data, plain->data + VX_BACKUP_KEY, plain->len);
    ret->database = *plain;
    *plain = (vx_buf){0};
    return VX_OK;
}

vx_err vx_backup_open(const void *file, size_t len, const char *passphrase, vx_backup *ret_backup, vx_errinfo *info)
{
    const uint8_t *head = file;
    uint8_t key[VX_KEY_BYTES] = {0};
    vx_backup_cost cost = {.log2_n = 0};
    vx_buf plain = {0};
    vx_err err = vx_backup_read_head(file, len, &cost, info);
    if (err == VX_OK && len > (size_t)VX_BACKUP_FILE_MAX)
        err = vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the backup is larger than any that voxlock makes");
    if (err == VX_OK)
        err = derive(passphrase, head + AT_SALT, &cost, key, info);
    const size_t n = err == VX_OK ? len - VX_BACKUP_HEAD - VX_BACKUP_TAG : 0;
    if (err == VX_OK)
        err = vx_buf_reserve(&plain, n);
    if (err == VX_OK && !decrypt(key, head, head + VX_BACKUP_HEAD, n, plain.data)) {
        ERR_clear_error();
        err = vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the passphrase is wrong, or the backup is damaged");
    }
    if (err == VX_OK) {
        plain.len = n;
        err = split(&plain, ret_backup, info);
    }
    vx_wipe(key, sizeof key);
    vx_buf_wipe_done(&plain);
    return err;
}
