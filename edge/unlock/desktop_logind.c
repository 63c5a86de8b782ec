/* desktop_logind.c - a Linux desktop: systemd-logind is asked whether the session is locked, and to unlock it.
 * Owns:   what a session's properties mean. Does not: talk D-Bus (plugin_logind.c).
 *
 * No key is ever sent here. The lock screen listens to logind or it does not: GNOME's and KDE's do, and also report in
 * LockedHint whether they are on. A desktop that does neither looks unlocked for ever, and nothing is done.
 */
#if !defined(__APPLE__)

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "edge/unlock/logind_plugin.h"
#include "shared/base/clock.h"
#include "shared/base/plugin.h"

typedef struct {
    const vx_logind_plugin *plugin;
    vx_logind *logind;
} desk;

static vx_lock_state unknown(char *ret_why, const char *why)
{
    snprintf(ret_why, VX_DESKTOP_WHY_CAP, "%s", why);
    return VX_LOCK_UNKNOWN;
}

vx_lock_state vx_logind_judge(const vx_logind_session *s, uint32_t uid, char ret_why[VX_DESKTOP_WHY_CAP])
{
    if (s->uid != uid)
        return unknown(ret_why, "the session on the display is another user's");
    if (s->remote)
        return unknown(ret_why, "your session is a remote one: it is opened by its password only");
    if (strcmp(s->class, "user") != 0 ||
        (strcmp(s->type, "x11") != 0 && strcmp(s->type, "wayland") != 0 && strcmp(s->type, "mir") != 0))
        return unknown(ret_why, "your session is not a graphical one");
    if (s->seat[0] == '\0')
        return unknown(ret_why, "your session has no screen and keyboard of its own");
    /* A session in the background would be found open by whoever comes back to it. */
    if (!s->active || strcmp(s->state, "active") != 0)
        return unknown(ret_why, "your session is not the one in front, or it is ending");
    ret_why[0] = '\0';
    return s->locked_hint ? VX_LOCK_LOCKED : VX_LOCK_UNLOCKED;
}

static vx_err read_session(const desk *d, vx_logind_session *ret_session, vx_lock_state *ret_state, char *ret_why)
{
    char why[VX_DESKTOP_WHY_CAP] = "";
    const uint32_t uid = (uint32_t)getuid();
    const vx_err err = d->plugin->read(d->logind, uid, ret_session, why);
    if (err == VX_OK)
        *ret_state = vx_logind_judge(ret_session, uid, ret_why);
    else
        snprintf(ret_why, VX_DESKTOP_WHY_CAP, "systemd-logind: %.200s", why);
    return err;
}

static vx_unlock_method method(void *arg, char ret_why[VX_DESKTOP_WHY_CAP])
{
    vx_logind_session session;
    vx_lock_state state = VX_LOCK_UNKNOWN;
    const vx_err err = read_session(arg, &session, &state, ret_why);
    return err == VX_OK && state != VX_LOCK_UNKNOWN ? VX_UNLOCK_ASK : VX_UNLOCK_NONE;
}

static vx_lock_state state_of(void *arg)
{
    char why[VX_DESKTOP_WHY_CAP];
    vx_logind_session session;
    vx_lock_state state = VX_LOCK_UNKNOWN;
    return read_session(arg, &session, &state, why) == VX_OK ? state : VX_LOCK_UNKNOWN;
}

/* There is no one way to light a display that X11 and every Wayland compositor know; the unlock itself lights it. */
static vx_err wake(void *arg, vx_errinfo *info)
{
    (void)arg;
    (void)info;
    return VX_OK;
}

/* The session is looked up again: a number that was freed may be somebody else's by now. */
static vx_err unlock(void *arg, vx_errinfo *info)
{
    const desk *d = arg;
    char why[VX_DESKTOP_WHY_CAP] = "";
    vx_logind_session session;
    vx_lock_state state = VX_LOCK_UNKNOWN;
    const vx_err read = read_session(d, &session, &state, why);
    if (read != VX_OK)
        return vx_errinfo_set(info, read == VX_ERR_DEADLINE ? VX_ERR_IO : read, "%s",
                              why); /* not asked: not DEADLINE */
    if (state == VX_LOCK_UNKNOWN)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "%s", why);
    const vx_err err = d->plugin->unlock(d->logind, session.id, why);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "systemd-logind: %.200s", why);
}

static void sleep_ms(void *arg, int ms)
{
    (void)arg;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static uint64_t now_ns(void *arg)
{
    (void)arg;
    return vx_now_ns();
}

static void close_desk(void *arg)
{
    desk *d = arg;
    d->plugin->close(d->logind);
    free(d);
}

vx_err vx_desktop_open(vx_desktop *ret_desktop, vx_errinfo *info)
{
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    if (vx_plugin_load("vx_desktop_logind", VX_LOGIND_PLUGIN_SYMBOL, &symbol, &cause) != VX_OK)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "this desktop cannot be unlocked: %.180s", cause.text);
    const vx_logind_plugin *plugin = symbol;
    if (plugin->abi != VX_LOGIND_ABI)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "vx_desktop_logind.so is of another version");
    desk *d = calloc(1, sizeof *d);
    if (!d)
        return VX_ERR_NOMEM;
    d->plugin = plugin;
    const vx_err err = plugin->open(&d->logind);
    if (err != VX_OK) {
        free(d);
        return err;
    }
    *ret_desktop = (vx_desktop){.name = "logind",
                                .system = "systemd-logind",
                                .arg = d,
                                .method = method,
                                .state = state_of,
                                .wake = wake,
                                .unlock = unlock,
                                .sleep_ms = sleep_ms,
                                .now_ns = now_ns,
                                .close = close_desk};
    return VX_OK;
}

#endif
