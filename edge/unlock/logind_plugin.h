/* logind_plugin.h - what vx_desktop_logind.so offers: the caller's graphical session, as systemd-logind tells it.
 * Owns:   the contract between plugin_logind.c (which talks) and desktop_logind.c (which judges).
 */
#ifndef VX_EDGE_UNLOCK_LOGIND_PLUGIN_H
#define VX_EDGE_UNLOCK_LOGIND_PLUGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "edge/unlock/desktop.h"

enum { VX_LOGIND_ABI = 1, VX_LOGIND_WAIT_MS = 1000 /* for each answer */ };

/* One session, all of it read at one moment. Texts that do not fit are cut. */
typedef struct {
    char id[64];
    char seat[32];  /* "seat0"; "" for a session without screen and keyboard */
    char type[16];  /* "x11", "wayland", "mir", "tty", "unspecified" */
    char class[16]; /* "user", "greeter", "lock-screen", "background" */
    char state[16]; /* "active", "online", "closing" */
    uint32_t uid;
    bool active, remote, locked_hint;
} vx_logind_session;

typedef struct vx_logind vx_logind;
typedef struct {
    int abi;
    /* Opens no connection yet. Errors: NOMEM. */
    vx_err (*open)(vx_logind **ret);
    /* The session that logind takes for the user's display (User.Display); connects anew where a connection was lost.
     * ret_why [out] on failure, one clause
     * Errors  NOT_FOUND (no such session), DEADLINE, IO (no bus, no logind) */
    vx_err (*read)(vx_logind *logind, uint32_t uid, vx_logind_session *ret_session, char ret_why[VX_DESKTOP_WHY_CAP]);
    /* Manager.UnlockSession. Errors: as read, and PERMISSION. */
    vx_err (*unlock)(vx_logind *logind, const char *id, char ret_why[VX_DESKTOP_WHY_CAP]);
    void (*close)(vx_logind *logind);
} vx_logind_plugin;

/* Exported by the plugin: VX_LOGIND_PLUGIN_EXPORT = { ... }; */
#define VX_LOGIND_PLUGIN_SYMBOL "vx_logind_plugin_table"
#define VX_LOGIND_PLUGIN_EXPORT                                                                                        \
    extern const vx_logind_plugin vx_logind_plugin_table __attribute__((visibility("default")));                       \
    const vx_logind_plugin vx_logind_plugin_table

/* What a session says about its lock, and in ret_why ("" when LOCKED or UNLOCKED) why it is UNKNOWN: it is another user's,
 * remote, without a screen, not in front, ending. uid [in] the caller's */
vx_lock_state vx_logind_judge(const vx_logind_session *session, uint32_t uid, char ret_why[VX_DESKTOP_WHY_CAP]);

#endif
