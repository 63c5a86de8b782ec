/* keyring.c - which keyring is asked for the key, in what order, and what its owner is told.
 * Owns:   that choice. Does not: talk to a keyring (plugin_secret.c, keyring_macos.c, keyring_file.c).
 */
#include "edge/store/keyring.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "edge/store/keyring_private.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/plugin.h"

#define IN_FILE "a file beside the profiles holds their key: that keeps out other users, not whoever copies the folder"

/* One call of keyring.h: everything it asks of the keyring has to be answered by the same time. */
typedef struct {
    const vx_keyring_system *system;
    vx_keyring_kind kind;
    const char *key_id, *folder;
    uint64_t due_ns;
    vx_err refused;               /* what the keyring refused with: it is not asked again */
    char why[VX_KEYRING_WHY_CAP]; /* its words, or "" */
} errand;

vx_keyring_kind vx_keyring_kind_of(const char *setting)
{
    if (strcmp(setting, "system") == 0)
        return VX_KEYRING_SYSTEM;
    return strcmp(setting, "file") == 0 ? VX_KEYRING_FILE : VX_KEYRING_AUTO;
}

vx_keyring_system vx_keyring_system_of(vx_keyring_kind kind)
{
    vx_keyring_system system = {.wait_ms = VX_KEYRING_WAIT_MS};
    if (kind == VX_KEYRING_FILE)
        return system;
    system.backend = vx_keyring_keychain();
    if (system.backend)
        return system;

    const void *symbol = NULL;
    vx_errinfo cause = {0};
    if (vx_plugin_load("vx_keyring_secret", VX_KEYRING_PLUGIN_SYMBOL, &symbol, &cause) != VX_OK) {
        snprintf(system.why, sizeof system.why, "%.*s", (int)sizeof system.why - 1, cause.text);
        return system;
    }
    const vx_keyring_backend *backend = symbol;
    if (backend->abi == VX_KEYRING_ABI)
        system.backend = backend;
    else
        snprintf(system.why, sizeof system.why, "vx_keyring_secret.so is of another version");
    return system;
}

static errand errand_of(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id, const char *folder)
{
    return (errand){.system = system,
                    .kind = kind,
                    .key_id = key_id,
                    .folder = folder,
                    .due_ns = vx_now_ns() + (uint64_t)system->wait_ms * 1000000u};
}

static const char *name_of(const errand *e)
{
    return e->system->backend ? e->system->backend->name : "system's keyring";
}

/* UNSUPPORTED where there is no keyring, or none is to be asked. */
static vx_err ask(errand *e, vx_keyring_verb verb, char secret[VX_KEYRING_SECRET_CAP])
{
    if (e->kind == VX_KEYRING_FILE)
        return VX_ERR_UNSUPPORTED;
    if (e->refused != VX_OK)
        return e->refused;
    vx_err err = VX_ERR_UNSUPPORTED;
    if (e->system->backend)
        err = vx_keyring_call(e->system->backend, verb, e->key_id, e->due_ns, secret, VX_KEYRING_SECRET_CAP, e->why);
    else
        memcpy(e->why, e->system->why, sizeof e->why);
    if (err != VX_OK && err != VX_ERR_NOT_FOUND)
        e->refused = err;
    return err;
}

/* What a file holds the key for: because it was asked for, or because the keyring (why) would not. */
static void found_in_file(const errand *e, vx_store_key *ret_key)
{
    ret_key->source = "file";
    if (e->why[0])
        snprintf(ret_key->warning, sizeof ret_key->warning, IN_FILE " (%s: %.90s)", name_of(e), e->why);
    else
        snprintf(ret_key->warning, sizeof ret_key->warning, IN_FILE);
}

/* ret_key is as it was on failure. */
static vx_err take(const char *secret, const char *source, vx_store_key *ret_key, vx_errinfo *info)
{
    vx_store_key key = {.source = source};
    if (strlen(secret) != VX_KEYRING_SECRET_CAP - 1 || !vx_unhex(secret, VX_KEY_BYTES, key.key)) {
        vx_wipe(&key, sizeof key);
        return vx_errinfo_set(info, VX_ERR_STORE_KEY, "%s: what is kept as the key of the profiles is no key", source);
    }
    *ret_key = key;
    vx_wipe(&key, sizeof key);
    return VX_OK;
}

/* The keyring's refusal as an error; NOMEM is no refusal. */
static vx_err refusal(const errand *e, vx_err err, vx_errinfo *info)
{
    if (err == VX_ERR_NOMEM)
        return err;
    return vx_errinfo_set(info, VX_ERR_STORE_KEY, "%s: %s", name_of(e), e->why);
}

/* Looks wherever the kind allows. NOT_FOUND, info untouched: whoever answered has none. */
static vx_err look(errand *e, vx_store_key *ret_key, vx_errinfo *info)
{
    char secret[VX_KEYRING_SECRET_CAP] = "";
    vx_err err = ask(e, VX_KEYRING_GET, secret);
    if (err == VX_OK) {
        err = take(secret, name_of(e), ret_key, info);
    } else if (err == VX_ERR_NOMEM || (e->kind == VX_KEYRING_SYSTEM && err != VX_ERR_NOT_FOUND)) {
        err = refusal(e, err, info);
    } else if (e->kind != VX_KEYRING_SYSTEM) {
        err = vx_key_file_get(e->folder, e->key_id, secret, info);
        if (err == VX_OK)
            err = take(secret, "file", ret_key, info);
        if (err == VX_OK)
            found_in_file(e, ret_key);
    }
    vx_wipe(secret, sizeof secret);
    return err;
}

/* Puts it into the keyring and reads it back: some keep secrets no longer than the session, some not at all. */
static vx_err keep_in_system(errand *e, const char *secret)
{
    char again[VX_KEYRING_SECRET_CAP] = "", given[VX_KEYRING_SECRET_CAP];
    memcpy(given, secret, sizeof given);
    vx_err err = ask(e, VX_KEYRING_PUT, given);
    if (err == VX_OK)
        err = ask(e, VX_KEYRING_GET, again);
    if (err == VX_ERR_NOT_FOUND || (err == VX_OK && !vx_equal_ct(again, secret, sizeof again))) {
        /* What it holds now would be found first the next time. */
        err = ask(e, VX_KEYRING_DROP, again);
        if (err != VX_ERR_NOMEM)
            err = e->refused = VX_ERR_STORE_KEY;
        snprintf(e->why, sizeof e->why, "it does not give back what it was given");
    }
    vx_wipe(again, sizeof again);
    vx_wipe(given, sizeof given);
    return err;
}

/* The same key goes to the file when the keyring was too slow: should it have kept it after all, both hold one key. */
static vx_err keep(errand *e, vx_store_key *key, vx_errinfo *info)
{
    char secret[VX_KEYRING_SECRET_CAP];
    vx_hex(key->key, VX_KEY_BYTES, secret);
    vx_err err = keep_in_system(e, secret);
    if (err == VX_OK) {
        key->source = name_of(e);
        key->warning[0] = '\0';
    } else if (err == VX_ERR_NOMEM || e->kind == VX_KEYRING_SYSTEM) {
        err = refusal(e, err, info);
    } else {
        err = vx_key_file_put(e->folder, e->key_id, secret, info);
        if (err == VX_OK)
            found_in_file(e, key);
    }
    vx_wipe(secret, sizeof secret);
    return err;
}

static vx_err missing(const errand *e, vx_errinfo *info)
{
    static const char *const places[] = {
        [VX_KEYRING_AUTO] = "neither in the keyring nor in the file beside them",
        [VX_KEYRING_SYSTEM] = "not in the keyring",
        [VX_KEYRING_FILE] = "not in the file beside them",
    };
    return vx_errinfo_set_at(info, VX_ERR_STORE_KEY, e->folder, -1, 0,
                             "the key of the profiles is %s%s%.100s; restore a backup, or move %s away and enrol anew",
                             places[e->kind], e->why[0] ? ": " : "", e->why, "voxlock.db");
}

vx_err vx_keyring_get_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id, const char *folder,
                         bool make, vx_store_key *ret_key, vx_errinfo *info)
{
    errand e = errand_of(system, kind, key_id, folder);
    vx_store_key key = {0};
    vx_err err = look(&e, &key, info);
    if (err == VX_ERR_NOT_FOUND && make) {
        key.made = true;
        err = RAND_priv_bytes(key.key, VX_KEY_BYTES) == 1 ? keep(&e, &key, info) : VX_ERR_INTERNAL;
    } else if (err == VX_ERR_NOT_FOUND) {
        err = missing(&e, info);
    }
    if (err == VX_OK)
        *ret_key = key;
    vx_wipe(&key, sizeof key);
    return err;
}

vx_err vx_keyring_put_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id, const char *folder,
                         vx_store_key *key, vx_errinfo *info)
{
    errand e = errand_of(system, kind, key_id, folder);
    return keep(&e, key, info);
}

/* A keyring that is not there holds nothing; one that is locked might. */
vx_err vx_keyring_forget_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id,
                            const char *folder, vx_errinfo *info)
{
    errand e = errand_of(system, kind, key_id, folder);
    char unused[VX_KEYRING_SECRET_CAP] = "";
    vx_err err = VX_OK, err_file = VX_OK;
    if (kind != VX_KEYRING_FILE)
        err = ask(&e, VX_KEYRING_DROP, unused);
    if (err == VX_ERR_NOT_FOUND || (err == VX_ERR_UNSUPPORTED && kind == VX_KEYRING_AUTO))
        err = VX_OK;
    if (kind != VX_KEYRING_SYSTEM)
        err_file = vx_key_file_drop(folder, key_id, info);
    return err != VX_OK ? refusal(&e, err, info) : err_file;
}

vx_err vx_keyring_get(vx_keyring_kind kind, const char *key_id, const char *folder, bool make, vx_store_key *ret_key,
                      vx_errinfo *info)
{
    vx_keyring_system system = vx_keyring_system_of(kind);
    return vx_keyring_get_in(&system, kind, key_id, folder, make, ret_key, info);
}

vx_err vx_keyring_put(vx_keyring_kind kind, const char *key_id, const char *folder, vx_store_key *key, vx_errinfo *info)
{
    vx_keyring_system system = vx_keyring_system_of(kind);
    return vx_keyring_put_in(&system, kind, key_id, folder, key, info);
}

vx_err vx_keyring_forget(vx_keyring_kind kind, const char *key_id, const char *folder, vx_errinfo *info)
{
    vx_keyring_system system = vx_keyring_system_of(kind);
    return vx_keyring_forget_in(&system, kind, key_id, folder, info);
}
