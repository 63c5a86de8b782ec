/* password.c - the login password as one entry of the system's keyring.
 * Owns:   what may be kept, that it was kept, and what its owner is told. Does not: talk to a keyring (keyring_call.c and
 *         the backends behind it), check that it is the right one: only the lock screen knows.
 */
#include "edge/store/password.h"

#include <stdio.h>
#include <string.h>

#include "edge/store/keyring_private.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/utf8.h"

/* All that one call asks of the keyring is answered by one time. */
typedef struct {
    const vx_keyring_system *system;
    uint64_t due_ns;
    vx_errinfo *info;
} errand;

static errand errand_of(const vx_keyring_system *system, vx_errinfo *info)
{
    return (errand){system, vx_now_ns() + (uint64_t)system->wait_ms * 1000000u, info};
}

static const char *name_of(const errand *e)
{
    return e->system->backend ? e->system->backend->name : "system's keyring";
}

/* Errors: NOT_FOUND, STORE_KEY, NOMEM; info says which. */
static vx_err ask(const errand *e, vx_keyring_verb verb, char text[VX_KEYRING_TEXT_CAP])
{
    char why[VX_KEYRING_WHY_CAP] = "";
    if (!e->system->backend)
        return vx_errinfo_set(e->info, VX_ERR_STORE_KEY,
                              "the login password is kept by a keyring of the system only, and there is none: %s",
                              e->system->why);
    const vx_err err =
        vx_keyring_call(e->system->backend, verb, VX_KEYRING_PASSWORD_ID, e->due_ns, text, VX_KEYRING_TEXT_CAP, why);
    switch (err) {
    case VX_OK:
    case VX_ERR_NOMEM: return err;
    case VX_ERR_NOT_FOUND: return vx_errinfo_set(e->info, err, "the %s keeps no login password of yours", name_of(e));
    default: return vx_errinfo_set(e->info, VX_ERR_STORE_KEY, "%s: %s", name_of(e), why);
    }
}

vx_err vx_password_put_in(const vx_keyring_system *system, const char *password, vx_errinfo *info)
{
    const size_t n = strlen(password);
    if (n >= VX_KEYRING_TEXT_CAP || !vx_utf8_is_plain((const uint8_t *)password, n))
        return vx_errinfo_set(info, VX_ERR_RANGE,
                              "a login password to be typed has 1 to %d bytes of UTF-8 and no control characters",
                              VX_KEYRING_TEXT_CAP - 1);
    const errand e = errand_of(system, info);
    char given[VX_KEYRING_TEXT_CAP] = "", again[VX_KEYRING_TEXT_CAP] = "";
    memcpy(given, password, n);
    vx_err err = ask(&e, VX_KEYRING_PUT, given);
    if (err == VX_OK) {
        /* Some keep secrets no longer than the session, some not at all. */
        const errand silent = {system, e.due_ns, NULL};
        err = ask(&silent, VX_KEYRING_GET, again);
        if (err != VX_OK || !vx_equal_ct(again, given, sizeof again)) {
            (void)ask(&silent, VX_KEYRING_DROP, again);
            if (err != VX_ERR_NOMEM)
                err =
                    vx_errinfo_set(info, VX_ERR_STORE_KEY, "%s: it does not give back what it was given", name_of(&e));
        }
    }
    vx_wipe(given, sizeof given);
    vx_wipe(again, sizeof again);
    return err;
}

vx_err vx_password_get_in(const vx_keyring_system *system, vx_buf *ret, vx_errinfo *info)
{
    const errand e = errand_of(system, info);
    char text[VX_KEYRING_TEXT_CAP] = "";
    vx_err err = ask(&e, VX_KEYRING_GET, text);
    if (err == VX_OK && text[0] == '\0')
        err = vx_errinfo_set(info, VX_ERR_STORE_KEY, "%s: what is kept as the login password is none", name_of(&e));
    if (err == VX_OK)
        err = vx_buf_reserve(ret, strlen(text) + 1);
    if (err == VX_OK) {
        memcpy(ret->data + ret->len, text, strlen(text) + 1);
        ret->len += strlen(text);
    }
    vx_wipe(text, sizeof text);
    return err;
}

vx_err vx_password_forget_in(const vx_keyring_system *system, vx_errinfo *info)
{
    vx_errinfo why = {0};
    const errand e = errand_of(system, &why);
    char unused[VX_KEYRING_TEXT_CAP] = "";
    const vx_err err = ask(&e, VX_KEYRING_DROP, unused);
    if (err == VX_OK || err == VX_ERR_NOT_FOUND)
        return VX_OK;
    return why.code != VX_OK ? vx_errinfo_set(info, err, "%s", why.text) : err;
}

/* ---- of this computer ------------------------------------------------------------------------------------------------ */

vx_err vx_password_put(const char *password, vx_errinfo *info)
{
    const vx_keyring_system system = vx_keyring_system_of(VX_KEYRING_SYSTEM);
    return vx_password_put_in(&system, password, info);
}

vx_err vx_password_get(vx_buf *ret, vx_errinfo *info)
{
    const vx_keyring_system system = vx_keyring_system_of(VX_KEYRING_SYSTEM);
    return vx_password_get_in(&system, ret, info);
}

vx_err vx_password_test(vx_errinfo *info)
{
    vx_buf password = {0};
    const vx_err err = vx_password_get(&password, info);
    vx_buf_wipe_done(&password);
    return err;
}

vx_err vx_password_forget(vx_errinfo *info)
{
    const vx_keyring_system system = vx_keyring_system_of(VX_KEYRING_SYSTEM);
    return vx_password_forget_in(&system, info);
}
