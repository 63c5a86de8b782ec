/* plugin_logind.c - systemd-logind over the system bus, through libsystemd's sd-bus.
 * Owns:   the connection. Does not: judge what it hears (desktop_logind.c). Linux only.
 * Source: org.freedesktop.login1(5).
 * A shared object of its own, which links nothing of voxlock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "edge/unlock/logind_plugin.h"

#define LOGIND  "org.freedesktop.login1"
#define OBJECT  "/org/freedesktop/login1"
#define MANAGER "org.freedesktop.login1.Manager"
#define SESSION "org.freedesktop.login1.Session"

struct vx_logind {
    sd_bus *bus; /* NULL: not connected */
};

/* ---- connection ----------------------------------------------------------------------------------------------------- */

static vx_err logind_open(vx_logind **ret)
{
    vx_logind *logind = calloc(1, sizeof *logind);
    if (!logind)
        return VX_ERR_NOMEM;
    *ret = logind;
    return VX_OK;
}

static void disconnect(vx_logind *logind)
{
    logind->bus = sd_bus_close_unref(logind->bus);
}

static void logind_close(vx_logind *logind)
{
    disconnect(logind);
    free(logind);
}

static vx_err code_of(int status, const sd_bus_error *error)
{
    if (sd_bus_error_has_name(error, LOGIND ".NoSuchSession") || sd_bus_error_has_name(error, LOGIND ".NoSuchUser") ||
        sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT))
        return VX_ERR_NOT_FOUND;
    if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
        return VX_ERR_DEADLINE;
    switch (status) {
    case -ENOMEM: return VX_ERR_NOMEM;
    case -ETIMEDOUT: return VX_ERR_DEADLINE;
    case -EACCES:
    case -EPERM: return VX_ERR_PERMISSION;
    default: return VX_ERR_IO;
    }
}

/* After a failure the connection is not used again: a late answer could be taken for the next one's, and one that was lost
 * does not come back. Connecting costs half a millisecond. */
static vx_err failed(vx_logind *logind, int status, const sd_bus_error *error, char *ret_why)
{
    const vx_err err = code_of(status, error);
    const char *said = error && error->message ? error->message : strerror(-status);
    snprintf(ret_why, VX_DESKTOP_WHY_CAP, "%s", err == VX_ERR_DEADLINE ? "it does not answer" : said);
    disconnect(logind);
    return err;
}

static vx_err connect_bus(vx_logind *logind, char *ret_why)
{
    if (logind->bus)
        return VX_OK;
    int status = sd_bus_open_system(&logind->bus);
    if (status >= 0)
        status = sd_bus_set_method_call_timeout(logind->bus, (uint64_t)VX_LOGIND_WAIT_MS * 1000);
    return status < 0 ? failed(logind, status, NULL, ret_why) : VX_OK;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* Path and id of the session on the user's display. ret_id [64], ret_path [256] */
static vx_err find_display(vx_logind *logind, uint32_t uid, char *ret_id, char *ret_path, char *ret_why)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *user = NULL, *display = NULL;
    const char *path = NULL, *id = NULL;
    vx_err err = VX_OK;
    int status = sd_bus_call_method(logind->bus, LOGIND, OBJECT, MANAGER, "GetUser", &error, &user, "u", uid);
    if (status >= 0)
        status = sd_bus_message_read(user, "o", &path);
    if (status >= 0)
        status = sd_bus_get_property(logind->bus, LOGIND, path, "org.freedesktop.login1.User", "Display", &error,
                                     &display, "(so)");
    if (status >= 0)
        status = sd_bus_message_read(display, "(so)", &id, &path);
    if (status < 0) {
        err = failed(logind, status, &error, ret_why);
    } else if (id[0] == '\0' || snprintf(ret_id, 64, "%s", id) >= 64 || snprintf(ret_path, 256, "%s", path) >= 256) {
        snprintf(ret_why, VX_DESKTOP_WHY_CAP, "you have no graphical session");
        err = VX_ERR_NOT_FOUND;
    }
    sd_bus_error_free(&error);
    sd_bus_message_unref(user);
    sd_bus_message_unref(display);
    return err;
}

/* Takes what interests of one property; the rest is skipped. */
static int read_property(sd_bus_message *m, const char *name, vx_logind_session *s)
{
    const struct {
        const char *name;
        bool *flag;
        char *text;
        size_t cap;
    } wanted[] = {
        {"Active", &s->active, NULL, 0},
        {"Remote", &s->remote, NULL, 0},
        {"LockedHint", &s->locked_hint, NULL, 0},
        {"Type", NULL, s->type, sizeof s->type},
        {"Class", NULL, s->class, sizeof s->class},
        {"State", NULL, s->state, sizeof s->state},
    };
    if (strcmp(name, "Seat") == 0) {
        const char *seat = NULL;
        int status = sd_bus_message_read(m, "v", "(so)", &seat, NULL);
        if (status >= 0)
            snprintf(s->seat, sizeof s->seat, "%s", seat);
        return status;
    }
    if (strcmp(name, "User") == 0)
        return sd_bus_message_read(m, "v", "(uo)", &s->uid, NULL);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (strcmp(name, wanted[i].name) != 0)
            continue;
        int flag = 0;
        const char *text = NULL;
        int status = wanted[i].flag ? sd_bus_message_read(m, "v", "b", &flag) : sd_bus_message_read(m, "v", "s", &text);
        if (status >= 0 && wanted[i].flag)
            *wanted[i].flag = flag;
        else if (status >= 0)
            snprintf(wanted[i].text, wanted[i].cap, "%s", text);
        return status;
    }
    return sd_bus_message_skip(m, "v");
}

/* All properties in one answer: read one by one they could be of different moments. */
static int read_properties(sd_bus_message *m, vx_logind_session *s)
{
    int status = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (status >= 0 && (status = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        const char *name = NULL;
        status = sd_bus_message_read(m, "s", &name);
        if (status >= 0)
            status = read_property(m, name, s);
        if (status >= 0)
            status = sd_bus_message_exit_container(m);
    }
    return status;
}

static vx_err logind_read(vx_logind *logind, uint32_t uid, vx_logind_session *ret_session, char *ret_why)
{
    vx_logind_session session = {.uid = UINT32_MAX, .remote = true}; /* what is not said is not in our favour */
    char path[256];
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *answer = NULL;
    vx_err err = connect_bus(logind, ret_why);
    if (err == VX_OK)
        err = find_display(logind, uid, session.id, path, ret_why);
    if (err != VX_OK)
        return err;
    int status = sd_bus_call_method(logind->bus, LOGIND, path, "org.freedesktop.DBus.Properties", "GetAll", &error,
                                    &answer, "s", SESSION);
    if (status >= 0)
        status = read_properties(answer, &session);
    if (status < 0)
        err = failed(logind, status, &error, ret_why);
    else
        *ret_session = session;
    sd_bus_error_free(&error);
    sd_bus_message_unref(answer);
    return err;
}

/* ---- unlocking ------------------------------------------------------------------------------------------------------ */

/* Never asks for a password in a window of its own: logind lets a user unlock their own sessions, and no others. */
static vx_err logind_unlock(vx_logind *logind, const char *id, char *ret_why)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    vx_err err = connect_bus(logind, ret_why);
    if (err != VX_OK)
        return err;
    int status = sd_bus_call_method(logind->bus, LOGIND, OBJECT, MANAGER, "UnlockSession", &error, NULL, "s", id);
    if (status < 0)
        err = failed(logind, status, &error, ret_why);
    sd_bus_error_free(&error);
    return err;
}

VX_LOGIND_PLUGIN_EXPORT = {
    .abi = VX_LOGIND_ABI,
    .open = logind_open,
    .read = logind_read,
    .unlock = logind_unlock,
    .close = logind_close,
};
