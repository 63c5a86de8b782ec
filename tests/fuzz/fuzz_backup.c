/* fuzz_backup.c - any bytes either are refused as a backup, with a sentence, before they cost memory or time; and any
 * bytes that are sealed come back as they were, and not after a change.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/store/backup_private.h"
#include "tests/fuzz/fuzz.h"

/* The cheapest passphrase there is: what is looked for lies around it. */
enum { CHEAP = 1, WORK = 1 << 12 };
#define PASSPHRASE "correct horse"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_hostile(const uint8_t *data, size_t size)
{
    vx_backup_cost cost = {.log2_n = -1};
    vx_backup backup = {.key_id = ""};
    vx_errinfo info = {0};
    vx_err err = vx_backup_read_head(data, size, &cost, &info);
    require(info.code == err && (err == VX_OK || (info.text[0] != '\0' && cost.log2_n == -1)));
    require(err == VX_OK || err == VX_ERR_STORE_CORRUPT || err == VX_ERR_STORE_VERSION);
    if (err != VX_OK)
        return;
    require(((uint64_t)128 * (uint64_t)cost.r << cost.log2_n) <= (256u << 20));
    if ((uint64_t)cost.r * (uint64_t)cost.p << cost.log2_n > WORK)
        return; /* in bounds, and too long for a fuzzer */
    err = vx_backup_open(data, size, PASSPHRASE, &backup, &info);
    require(info.code == err);
    if (err == VX_OK)
        require(backup.database.len + VX_BACKUP_HEAD + VX_BACKUP_KEY + VX_BACKUP_TAG == size);
    vx_backup_done(&backup);
}

static void seal_and_open(const uint8_t *data, size_t size)
{
    vx_backup in = {.key_id = "0123456789abcdef0123456789abcdef"}, out = {.key_id = ""};
    vx_buf file = {0};
    memset(in.key, 7, sizeof in.key);
    require(vx_buf_append(&in.database, data, size) == VX_OK);
    require(vx_backup_seal(&in, PASSPHRASE, CHEAP, &file, NULL) == VX_OK);
    require(vx_backup_open(file.data, file.len, PASSPHRASE, &out, NULL) == VX_OK);
    require(out.database.len == size && (size == 0 || memcmp(out.database.data, data, size) == 0));
    require(memcmp(out.key, in.key, sizeof in.key) == 0 && strcmp(out.key_id, in.key_id) == 0);
    vx_backup_done(&out);

    /* Anywhere behind the magic, the version and the cost, as the data has it. */
    const size_t at = 12 + (size > 0 ? data[size / 2] : 0) % (file.len - 12);
    file.data[at] ^= 1;
    require(vx_backup_open(file.data, file.len, PASSPHRASE, &out, NULL) == VX_ERR_STORE_CORRUPT);
    vx_buf_done(&file);
    vx_backup_done(&in);
    vx_backup_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_hostile(data, size);
    seal_and_open(data, size);
    return 0;
}
