/* test_store_memory.c - the store when memory runs out, SQLite's included; and what it leaves in memory when it is closed.
 * Owns:   SQLite's allocator in this program, so that its allocations are counted and fail like ours.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/audit.h"
#include "edge/store/keyring_private.h"
#include "edge/store/store_private.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/scratch.h"
#include "tests/support/service.h"

/* ---- SQLite's allocator ------------------------------------------------------------------------------------------- */

/* The size stands before the block; 16 bytes keep its alignment. */
enum { AHEAD = 16 };

static void *block_of(void *raw, int size)
{
    if (!raw)
        return NULL;
    *(int *)raw = size;
    return (char *)raw + AHEAD;
}

static bool starved; /* SQLite gets nothing at all */

static void *take(int size)
{
    if (starved)
        return NULL;
    return block_of(malloc((size_t)size + AHEAD), size);
}

static void give(void *block)
{
    if (block)
        free((char *)block - AHEAD);
}

static void *retake(void *block, int size)
{
    if (starved)
        return NULL;
    return block_of(realloc((char *)block - AHEAD, (size_t)size + AHEAD), size);
}

static int size_of(void *block)
{
    return block ? *(int *)(void *)((char *)block - AHEAD) : 0;
}

static int round_up(int size)
{
    return (size + 7) & ~7;
}

static int allocator_begin(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void allocator_end(void *unused)
{
    (void)unused;
}

static int use_counted_allocator(void **state)
{
    (void)state;
    static sqlite3_mem_methods methods = {take, give, retake, size_of, round_up, allocator_begin, allocator_end, NULL};
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK ? 0 : -1;
}

/* ---- want of memory ----------------------------------------------------------------------------------------------- */

static const char text[] = "what was put";

static vx_store_options options_of(const scratch *folder)
{
    return (vx_store_options){.folder = folder->path, .keyring = VX_KEYRING_FILE, .create = true, .busy_ms = 1000};
}

/* Opens, writes, reads and closes; what it reads must be right when all of it is reported as done. */
static vx_err use(const scratch *folder, vx_errinfo *info)
{
    vx_store *store = NULL;
    vx_buf value = {0};
    int64_t proven = 0;
    vx_store_options options = options_of(folder);
    vx_err err = vx_store_open(&options, &store, info);
    if (err == VX_OK)
        err = vx_store_put(store, "value", text, sizeof text, info);
    if (err == VX_OK)
        err = vx_store_get(store, "value", &value, info);
    if (err == VX_OK && (value.len != sizeof text || memcmp(value.data, text, sizeof text) != 0))
        err = VX_ERR_INTERNAL;
    if (err == VX_OK)
        err = vx_audit_add(store, "attempt", "Ada", "{}", info);
    if (err == VX_OK)
        err = vx_audit_verify(store, &proven, info);
    vx_buf_done(&value);
    vx_store_close(store);
    return err;
}

/* SQLite can do without some allocations, so a run in which one failed may succeed; but nothing else than NOMEM may come
 * of it, and the file is whole afterwards. Every step-th allocation, for a run is slow under a sanitizer. */
static void walk(bool anew, size_t step)
{
    scratch folder = scratch_make();
    size_t k = 1, n_failed = 0;
    if (!anew)
        assert_int_equal(use(&folder, NULL), VX_OK);
    for (;; k += step) {
        if (anew) {
            scratch_done(&folder);
            folder = scratch_make();
        }
        vx_alloc_fail_at(k);
        vx_errinfo info = {0};
        vx_err err = use(&folder, &info);
        size_t n = vx_alloc_count();
        vx_alloc_fail_at(0);
        if (n < k)
            break;
        if (err != VX_OK && err != VX_ERR_NOMEM)
            fail_msg("allocation %zu failed, and the result is %s: %s", k, vx_err_code(err), info.text);
        n_failed += err == VX_ERR_NOMEM;
    }
    print_message("# %zu of %zu failed allocations were fatal\n", n_failed, k / step);
    assert_true(n_failed > 50 / step);
    vx_store *store = NULL;
    int64_t proven = 0;
    vx_store_options options = options_of(&folder);
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
    assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
    vx_store_close(store);
    scratch_done(&folder);
}

static void a_new_store_survives_want_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    walk(true, SANITIZED ? 7 : 1);
}

static void an_old_store_survives_want_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    walk(false, SANITIZED ? 7 : 1);
}

/* SQLite needs memory to roll back. Without any, what failed is still there, and must neither be read nor saved. */
static void what_could_not_be_undone_is_undone_later(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *store = NULL;
    vx_buf value = {0};
    vx_store_options options = options_of(&folder);
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "undone", text, sizeof text, NULL), VX_OK);
    starved = true;
    assert_int_equal(vx_store_put(store, "value", text, sizeof text, NULL), VX_ERR_NOMEM);
    assert_int_equal(vx_store_end(store, VX_ERR_NOMEM, NULL), VX_ERR_NOMEM);
    assert_int_equal(vx_store_get(store, "undone", &value, NULL), VX_ERR_NOMEM);
    assert_int_equal(sqlite3_get_autocommit(store->db), 0); /* this is the case that is tested */
    starved = false;
    assert_int_equal(vx_store_get(store, "undone", &value, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_store_put(store, "after", text, sizeof text, NULL), VX_OK);
    vx_store_close(store);
    scratch_done(&folder);
}

/* ---- what is left ------------------------------------------------------------------------------------------------- */

enum { NEEDLE = 32, MASK = 0x5a, CHUNK = 1 << 16, REGION_MAX = 256 << 20 };

static void need_memory(void)
{
    if (SANITIZED || access("/proc/self/mem", R_OK) != 0) {
        print_message("# needs /proc, and memory without a sanitizer's shadow\n");
        skip();
    }
}

/* What is sought is held masked: or it would be found where it is held. */
static void mask(uint8_t ret_masked[NEEDLE], const void *plain)
{
    for (int i = 0; i < NEEDLE; i++)
        ret_masked[i] = (uint8_t)(((const uint8_t *)plain)[i] ^ MASK);
}

static bool is_at(const uint8_t *memory, const uint8_t masked[NEEDLE])
{
    for (int i = 0; i < NEEDLE; i++)
        if ((memory[i] ^ MASK) != masked[i])
            return false;
    return true;
}

static size_t find_in_region(FILE *mem, unsigned long from, unsigned long to, const uint8_t masked[NEEDLE])
{
    static uint8_t chunk[CHUNK + NEEDLE];
    size_t found = 0;
    for (unsigned long at = from; at < to; at += CHUNK) {
        if (fseek(mem, (long)at, SEEK_SET) != 0)
            break;
        size_t n = fread(chunk, 1, to - at < sizeof chunk ? to - at : sizeof chunk, mem);
        for (size_t i = 0; i + NEEDLE <= n && i < CHUNK; i++)
            found += is_at(chunk + i, masked);
        memset(chunk, 0, sizeof chunk);
    }
    return found;
}

/* Copies in all memory that this process can write to. Linux alone tells where that is. */
static size_t find_in_memory(const uint8_t masked[NEEDLE])
{
    FILE *maps = fopen("/proc/self/maps", "r"), *mem = fopen("/proc/self/mem", "r");
    char line[512];
    size_t found = 0;
    assert_true(maps && mem);
    (void)setvbuf(mem, NULL, _IONBF, 0); /* its buffer would hold copies */
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && rights[1] == 'w' && to - from <= REGION_MAX)
            found += find_in_region(mem, from, to, masked);
    }
    (void)fclose(maps);
    (void)fclose(mem);
    return found;
}

static void unmask(const uint8_t masked[NEEDLE], uint8_t ret_plain[NEEDLE])
{
    for (int i = 0; i < NEEDLE; i++)
        ret_plain[i] = (uint8_t)(masked[i] ^ MASK);
}

/* The key as it lies in its file: raw and as hex. */
static void read_key(const scratch *folder, uint8_t ret_raw[NEEDLE], uint8_t ret_hex[NEEDLE])
{
    vx_buf line = scratch_read(folder, VX_KEY_FILE);
    uint8_t raw[VX_KEY_BYTES];
    assert_true(line.len == 98 && vx_unhex((const char *)line.data + 33, VX_KEY_BYTES, raw));
    mask(ret_raw, raw);
    mask(ret_hex, line.data + 33);
    vx_wipe(raw, sizeof raw);
    vx_buf_wipe_done(&line);
}

/* HKDF by hand, as RFC 5869 has it for a salt of zeros and one block. */
static void derive(const uint8_t masked_key[NEEDLE], const char *use, uint8_t ret_masked[NEEDLE])
{
    static const uint8_t salt[NEEDLE];
    uint8_t key[NEEDLE], extracted[NEEDLE], derived[NEEDLE], info[64];
    size_t len = strlen(use);
    memcpy(info, use, len);
    info[len] = 1;
    unmask(masked_key, key);
    assert_non_null(HMAC(EVP_sha256(), salt, NEEDLE, key, NEEDLE, extracted, NULL));
    assert_non_null(HMAC(EVP_sha256(), extracted, NEEDLE, info, len + 1, derived, NULL));
    mask(ret_masked, derived);
    vx_wipe(key, sizeof key);
    vx_wipe(extracted, sizeof extracted);
    vx_wipe(derived, sizeof derived);
}

/* A keyring that keeps one key: as hex, masked. */
static uint8_t kept_masked[2][NEEDLE];

static vx_err masked_get(const char *key_id, char *ret_secret, char *ret_why)
{
    (void)key_id, (void)ret_why;
    unmask(kept_masked[0], (uint8_t *)ret_secret);
    unmask(kept_masked[1], (uint8_t *)ret_secret + NEEDLE);
    return VX_OK;
}

/* A key that was given: one that is made lies on the stack of OpenSSL's generator until that is used again. */
static void keep_key(const scratch *folder, const char *id, const uint8_t masked[NEEDLE])
{
    vx_store_key key = {0};
    char hex[2 * VX_KEY_BYTES + 1];
    unmask(masked, key.key);
    vx_hex(key.key, VX_KEY_BYTES, hex);
    mask(kept_masked[0], hex);
    mask(kept_masked[1], hex + NEEDLE);
    assert_int_equal(vx_keyring_put(VX_KEYRING_FILE, id, folder->path, &key, NULL), VX_OK);
    vx_wipe(hex, sizeof hex);
    vx_wipe(&key, sizeof key);
}

static void a_key_is_left_with_its_holder_alone(void **state)
{
    (void)state;
    static const char id[] = "00112233445566778899aabbccddeeff";
    static const vx_keyring_kind kinds[] = {VX_KEYRING_FILE, VX_KEYRING_SYSTEM};
    static const vx_keyring_backend backend = {.abi = VX_KEYRING_ABI, .name = "Masked", .get = masked_get};
    const vx_keyring_system ring = {.backend = &backend, .wait_ms = PATIENCE_MS};
    need_memory();
    scratch folder = scratch_make();
    uint8_t masked[NEEDLE];
    for (int i = 0; i < NEEDLE; i++)
        masked[i] = (uint8_t)(i * 53 + 7);
    keep_key(&folder, id, masked);
    for (size_t i = 0; i < 2; i++) {
        vx_store_key key = {0};
        assert_int_equal(vx_keyring_get_in(&ring, kinds[i], id, folder.path, false, &key, NULL), VX_OK);
        assert_int_equal(find_in_memory(masked), 1);
        vx_wipe(&key, sizeof key);
        assert_int_equal(find_in_memory(masked), 0);
        assert_int_equal(find_in_memory(kept_masked[0]), 0);
        assert_int_equal(find_in_memory(kept_masked[1]), 0);
    }
    scratch_done(&folder);
}

static void nothing_secret_is_left(void **state)
{
    (void)state;
    need_memory();
    scratch folder = scratch_make();
    vx_store_options options = options_of(&folder);
    uint8_t masked[NEEDLE], raw_key[NEEDLE], hex_key[NEEDLE], seal_key[NEEDLE], audit_key[NEEDLE], plain[NEEDLE];
    for (int i = 0; i < NEEDLE; i++)
        masked[i] = (uint8_t)(i * 37 + 11);
    unmask(masked, plain);
    assert_int_equal(find_in_memory(masked), 1); /* what is sought can be found */

    for (int again = 0; again < 2; again++) { /* made, then found */
        vx_store *store = NULL;
        vx_buf value = {0};
        unmask(masked, plain);
        assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
        assert_int_equal(vx_store_put(store, "value", plain, NEEDLE, NULL), VX_OK);
        vx_wipe(plain, sizeof plain);
        assert_int_equal(vx_store_get(store, "value", &value, NULL), VX_OK);
        assert_int_equal(value.len, NEEDLE);
        vx_buf_wipe_done(&value);
        assert_int_equal(vx_store_check(store, NULL), VX_OK);
        assert_int_equal(find_in_memory(masked), 0);
        read_key(&folder, raw_key, hex_key);
        derive(raw_key, "voxlock seal 1", seal_key);
        derive(raw_key, "voxlock audit 1", audit_key);
        assert_int_equal(find_in_memory(raw_key), 0); /* the vault has what was derived of it */
        assert_int_equal(find_in_memory(seal_key), 1);
        assert_int_equal(find_in_memory(audit_key), 1);
        vx_store_close(store);
        assert_int_equal(find_in_memory(masked), 0);
        assert_int_equal(find_in_memory(raw_key), 0);
        assert_int_equal(find_in_memory(hex_key), 0);
        assert_int_equal(find_in_memory(seal_key), 0);
        assert_int_equal(find_in_memory(audit_key), 0);
    }
    scratch_done(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_left_with_its_holder_alone),
        cmocka_unit_test(nothing_secret_is_left),
        cmocka_unit_test(what_could_not_be_undone_is_undone_later),
        cmocka_unit_test(a_new_store_survives_want_of_memory),
        cmocka_unit_test(an_old_store_survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, use_counted_allocator, NULL);
}
