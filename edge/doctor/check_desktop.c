/* check_desktop.c - whether this screen's lock can be seen and opened, and whether the system keeps secrets. */
#include <string.h>

#include "edge/doctor/doctor.h"
#include "edge/store/keyring.h"
#include "edge/store/password.h"
#include "edge/unlock/desktop.h"

/* What unlock would do right now; nothing is sent. */
static void judge(const vx_desktop *desktop, vx_finding *finding)
{
    static const char *const states[] = {"unknown", "locked", "open"};
    char why[VX_DESKTOP_WHY_CAP] = "";
    vx_errinfo info = {0};
    const vx_unlock_method method = desktop->method(desktop->arg, why);
    if (method == VX_UNLOCK_NONE) {
        vx_found(finding, VX_CHECK_WARNING, "docs/unlock.md says what is needed; verify and PAM do without",
                 "%s: nothing can be unlocked from here: %s", desktop->system, why);
        return;
    }
    const vx_err err = method == VX_UNLOCK_TYPE ? vx_password_test(&info) : VX_OK;
    const vx_lock_state state = desktop->state(desktop->arg);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_WARNING, "voxlock password keep, if you want it typed for you", err, &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s %s; the screen is %s now", desktop->system,
                 method == VX_UNLOCK_ASK ? "unlocks when it is asked, without a password"
                                         : "takes the password that the keychain keeps",
                 (unsigned)state < sizeof states / sizeof *states ? states[state] : states[0]);
}

void vx_check_desktop(vx_patient *patient, vx_finding *finding)
{
    vx_desktop desktop = {0};
    vx_errinfo info = {0};
    (void)patient;
    const vx_err err = vx_desktop_open(&desktop, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_WARNING, "docs/unlock.md says what is needed; verify and PAM do without", err,
                       &info);
        return;
    }
    judge(&desktop, finding);
    if (desktop.close)
        desktop.close(desktop.arg);
}

/* Asked for an entry that need not be there: that it answers is what counts. */
void vx_check_keyring(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    const vx_keyring_kind kind = vx_keyring_kind_of(vx_option_text(patient->options, "VOXLOCK_KEYRING"));
    if (kind == VX_KEYRING_FILE) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "the store's key is to lie in a file (VOXLOCK_KEYRING=file)");
        return;
    }
    const vx_err err = vx_password_test(&info);
    if (err == VX_OK || err == VX_ERR_NOT_FOUND)
        vx_found(finding, VX_CHECK_OK, NULL, "the system's keyring answers, and keeps %s login password",
                 err == VX_OK ? "your" : "no");
    else
        vx_found_error(finding, kind == VX_KEYRING_SYSTEM ? VX_CHECK_FAILED : VX_CHECK_WARNING,
                       kind == VX_KEYRING_SYSTEM ? "unlock it, or set VOXLOCK_KEYRING=auto"
                                                 : "a new store's key would lie in a file beside it",
                       err, &info);
}
