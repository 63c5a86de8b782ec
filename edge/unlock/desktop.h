/* desktop.h - a lock screen as the unlock sees it: one table of calls for each system, and one that is simulated.
 * Owns:   nothing but the contract. desktop_macos.c, desktop_logind.c; tests/support/desktop_fake.c.
 *
 * Every call may be slow, fail, or be overtaken by the person at the keyboard: nothing that a call once said still holds at
 * the next one. What cannot be known is UNKNOWN, and with UNKNOWN nothing is ever typed.
 */
#ifndef VX_EDGE_UNLOCK_DESKTOP_H
#define VX_EDGE_UNLOCK_DESKTOP_H

#include <stdint.h>

#include "shared/base/err.h"

typedef enum {
    VX_LOCK_UNKNOWN, /* the system does not say: no session dictionary, not on the console, another user's session */
    VX_LOCK_LOCKED,
    VX_LOCK_UNLOCKED,
} vx_lock_state;

/* How this desktop is unlocked. */
typedef enum {
    VX_UNLOCK_NONE, /* not at all: the method's sentence says why */
    VX_UNLOCK_ASK,  /* the session manager is asked (loginctl unlock-session): no password is needed or sent */
    VX_UNLOCK_TYPE, /* the password is typed into the lock screen (macOS) */
} vx_unlock_method;

enum { VX_DESKTOP_WHY_CAP = 256 };

typedef struct vx_desktop vx_desktop;
struct vx_desktop {
    const char *name; /* "macos", "logind", "simulated" */
    char system[96];  /* for reports: "macOS 14.5 (23F79)"; what works may differ from one build to the next */
    void *arg;        /* first argument of every call */
    /* Probed, never assumed. ret_why [out] one sentence, "" when it can. */
    vx_unlock_method (*method)(void *arg, char ret_why[VX_DESKTOP_WHY_CAP]);
    vx_lock_state (*state)(void *arg);
    vx_err (*wake)(void *arg, vx_errinfo *info); /* lights the display; no key is sent for it */
    /* Method ASK, else NULL. DEADLINE: asked, and not answered in time. */
    vx_err (*unlock)(void *arg, vx_errinfo *info);
    /* Method TYPE, else NULL. Each is one key, with the modifier flags cleared. */
    vx_err (*erase)(void *arg, vx_errinfo *info); /* the character before the cursor; none in an empty field */
    vx_err (*type)(void *arg, uint32_t code_point, vx_errinfo *info);
    vx_err (*enter)(void *arg, vx_errinfo *info);
    void (*sleep_ms)(void *arg, int ms); /* so that tests need not wait */
    uint64_t (*now_ns)(void *arg);
    void (*close)(void *arg);
};

/* This system's; close gives it back. It opens also where nothing can be unlocked now: method says why.
 * Errors: UNSUPPORTED (this build knows no way to ask; info says what was looked for), NOMEM. */
VX_MUST_CHECK vx_err vx_desktop_open(vx_desktop *ret_desktop, vx_errinfo *info);

#endif
