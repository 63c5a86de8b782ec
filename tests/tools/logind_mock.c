/* logind_mock.c - the part of systemd-logind that an unlock talks to, on whatever bus DBUS_SYSTEM_BUS_ADDRESS names.
 * Owns:   one user with one session, whose properties are told on standard input. Does not: check who asks.
 * Usage:  logind_mock UID. Says "ready", then for each line it is told "ok":
 *   NAME VALUE    sets a property of the session: Active, Remote, LockedHint (0 or 1), Type, Class, State, Seat, Id, User
 *   hush | speak  leaves every call unanswered, for now
 *   deaf | listen what the desktop does with an unlock: nothing, or it opens
 *   refuse | allow whether UnlockSession is denied
 *   requests      says "requests N", the unlocks it heard
 * Ends with its standard input.
 */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ROOT    "/org/freedesktop/login1"
#define USER    ROOT "/user/_1"
#define SESSION ROOT "/session/_32"
#define NAME    "org.freedesktop.login1"

enum { TEXT_CAP = 64 };

typedef struct {
    uint32_t known_uid;              /* whom GetUser knows */
    int32_t active, remote, locked;  /* sd-bus reads a boolean from an int */
    char *type, *class, *state, *id; /* point into texts */
    char texts[5][TEXT_CAP];         /* type, class, state, id, seat */
    uint32_t uid;                    /* whose session it is */
    bool hushed, deaf, refuses;
    int n_requests;
} world;

/* ---- what it answers ------------------------------------------------------------------------------------------------- */

static int get_user(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    const world *w = arg;
    uint32_t uid = 0;
    int status = sd_bus_message_read(m, "u", &uid);
    if (status < 0)
        return status;
    if (uid != w->known_uid)
        return sd_bus_error_set(error, NAME ".NoSuchUser", "User ID is not logged in or lingering");
    return sd_bus_reply_method_return(m, "o", USER);
}

static int unlock_session(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    world *w = arg;
    const char *id = NULL;
    int status = sd_bus_message_read(m, "s", &id);
    if (status < 0)
        return status;
    w->n_requests++;
    if (w->refuses)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Permission denied");
    if (strcmp(id, w->id) != 0)
        return sd_bus_error_set(error, NAME ".NoSuchSession", "No session with that name known");
    if (!w->deaf)
        w->locked = 0;
    return sd_bus_reply_method_return(m, "");
}

static int get_display(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *arg, sd_bus_error *error)
{
    const world *w = arg;
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "(so)", w->id, w->id[0] ? SESSION : "/");
}

static int get_seat(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *arg, sd_bus_error *error)
{
    const world *w = arg;
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "(so)", w->texts[4], "/");
}

static int get_owner(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *arg, sd_bus_error *error)
{
    const world *w = arg;
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "(uo)", w->uid, USER);
}

static const sd_bus_vtable manager[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("GetUser", "u", "o", get_user, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UnlockSession", "s", "", unlock_session, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};
static const sd_bus_vtable user[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Display", "(so)", get_display, 0, 0),
    SD_BUS_VTABLE_END,
};
static const sd_bus_vtable session[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Id", "s", NULL, offsetof(world, id), 0),
    SD_BUS_PROPERTY("User", "(uo)", get_owner, 0, 0),
    SD_BUS_PROPERTY("Seat", "(so)", get_seat, 0, 0),
    SD_BUS_PROPERTY("Active", "b", NULL, offsetof(world, active), 0),
    SD_BUS_PROPERTY("Remote", "b", NULL, offsetof(world, remote), 0),
    SD_BUS_PROPERTY("LockedHint", "b", NULL, offsetof(world, locked), 0),
    SD_BUS_PROPERTY("Type", "s", NULL, offsetof(world, type), 0),
    SD_BUS_PROPERTY("Class", "s", NULL, offsetof(world, class), 0),
    SD_BUS_PROPERTY("State", "s", NULL, offsetof(world, state), 0),
    SD_BUS_VTABLE_END,
};

/* ---- what it is told ------------------------------------------------------------------------------------------------- */

static bool set(world *w, const char *name, const char *value)
{
    const struct {
        const char *name;
        int32_t *flag;
        char *text;
    } settable[] = {
        {"Active", &w->active, NULL}, {"Remote", &w->remote, NULL}, {"LockedHint", &w->locked, NULL},
        {"Type", NULL, w->texts[0]},  {"Class", NULL, w->texts[1]}, {"State", NULL, w->texts[2]},
        {"Id", NULL, w->texts[3]},    {"Seat", NULL, w->texts[4]},
    };
    for (size_t i = 0; i < sizeof settable / sizeof *settable; i++) {
        if (strcmp(name, settable[i].name) != 0)
            continue;
        if (settable[i].flag)
            *settable[i].flag = value[0] == '1';
        else
            snprintf(settable[i].text, TEXT_CAP, "%s", value);
        return true;
    }
    if (strcmp(name, "User") == 0)
        w->uid = (uint32_t)strtoul(value, NULL, 10);
    return strcmp(name, "User") == 0;
}

static void obey(world *w, char *line)
{
    char *value = strchr(line, ' ');
    if (value)
        *value++ = '\0';
    if (strcmp(line, "hush") == 0 || strcmp(line, "speak") == 0)
        w->hushed = line[0] == 'h';
    else if (strcmp(line, "deaf") == 0 || strcmp(line, "listen") == 0)
        w->deaf = line[0] == 'd';
    else if (strcmp(line, "refuse") == 0 || strcmp(line, "allow") == 0)
        w->refuses = line[0] == 'r';
    else if (strcmp(line, "requests") == 0)
        printf("requests %d\n", w->n_requests);
    else if (!set(w, line, value ? value : ""))
        printf("no such thing: ");
    printf("ok\n");
    fflush(stdout);
}

/* Lines of standard input that are whole. False at its end. */
static bool listen_to(world *w, char *buffer, size_t cap, size_t *len)
{
    const ssize_t n = read(STDIN_FILENO, buffer + *len, cap - 1 - *len);
    if (n <= 0)
        return false;
    *len += (size_t)n;
    buffer[*len] = '\0';
    for (char *end; (end = strchr(buffer, '\n'));) {
        *end = '\0';
        obey(w, buffer);
        *len -= (size_t)(end + 1 - buffer);
        memmove(buffer, end + 1, *len + 1);
    }
    return *len < cap - 1;
}

static int serve(sd_bus *bus, world *w)
{
    char buffer[512];
    size_t len = 0;
    for (;;) {
        struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {sd_bus_get_fd(bus), POLLIN, 0}};
        /* A bus with something in its queue is readable no more: so it is emptied before waiting. */
        for (int status = 1; status > 0 && !w->hushed;)
            if ((status = sd_bus_process(bus, NULL)) < 0)
                return status;
        if (poll(fds, w->hushed ? 1 : 2, -1) < 0 || (fds[0].revents && !listen_to(w, buffer, sizeof buffer, &len)))
            return 0;
    }
}

int main(int argc, char **argv)
{
    world w = {.active = 1, .texts = {"wayland", "user", "active", "2", "seat0"}};
    w.type = w.texts[0], w.class = w.texts[1], w.state = w.texts[2], w.id = w.texts[3];
    w.known_uid = w.uid = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    sd_bus *bus = NULL;
    int status = sd_bus_open_system(&bus);
    if (status >= 0)
        status = sd_bus_add_object_vtable(bus, NULL, ROOT, NAME ".Manager", manager, &w);
    if (status >= 0)
        status = sd_bus_add_object_vtable(bus, NULL, USER, NAME ".User", user, &w);
    if (status >= 0)
        status = sd_bus_add_object_vtable(bus, NULL, SESSION, NAME ".Session", session, &w);
    if (status >= 0)
        status = sd_bus_request_name(bus, NAME, 0);
    if (status >= 0) {
        printf("ready\n");
        fflush(stdout);
        status = serve(bus, &w);
    }
    if (status < 0)
        fprintf(stderr, "logind_mock: %s\n", strerror(-status));
    sd_bus_flush_close_unref(bus);
    return status < 0;
}
