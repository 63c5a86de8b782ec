/* fuzz_sealed.c - any bytes either are refused with a sentence and leave nothing behind, or were sealed with the key for
 * the place: of the corpus, two values.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/store/vault.h"
#include "tests/fuzz/fuzz.h"

static const char genuine[] = "hello, vault";

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t key[VX_KEY_BYTES];
    vx_vault *vault = NULL;
    vx_buf plain = {0};
    vx_errinfo info = {0};
    for (int i = 0; i < VX_KEY_BYTES; i++)
        key[i] = (uint8_t)i;
    require(vx_vault_create(key, &vault) == VX_OK);
    require(vx_buf_append(&plain, "x", 1) == VX_OK);

    vx_err err = vx_vault_open(vault, "value/greeting", data, size, &plain, &info);
    require(err == VX_OK || err == VX_ERR_STORE_CORRUPT);
    require(info.code == err && (err == VX_OK || info.text[0] != '\0'));
    if (err == VX_OK) {
        require(plain.len - 1 + VX_SEAL_OVERHEAD == size);
        require(plain.len == 1 || (plain.len == sizeof genuine && memcmp(plain.data + 1, genuine, plain.len - 1) == 0));
    } else {
        require(plain.len == 1);
    }
    vx_buf_wipe_done(&plain);
    vx_vault_destroy(vault);
    return 0;
}
