/* desktop_fake.h - a lock screen in memory, with people and a system around it that do as they like.
 * Owns:   the world (lock, sleep, users, the password field), its clock, and a record of what was sent into it.
 *         Does not: know the unlock's order, or judge it: tests do.
 *
 * When the world changes. A state reading is true at the moment it is taken; a key lands in whatever is there when it is
 * sent. Between the two lies the one window that no program can close. Events come at every other point: before a
 * reading, within a slow one, during sleeps, wakes and the question for the password, after a key. With in_window they come
 * inside it as well.
 */
#ifndef VX_TESTS_DESKTOP_FAKE_H
#define VX_TESTS_DESKTOP_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/unlock/unlock.h"

enum { FAKE_MAX_KEYS = 4096, FAKE_FIELD = 256, FAKE_SETTLE_MS = 300 };

typedef enum {
    FAKE_LOCK,
    FAKE_UNLOCK, /* by other means: a watch, a finger, the keyboard */
    FAKE_SLEEP,
    FAKE_WAKE,
    FAKE_SWITCH_AWAY, /* another user comes to the front: the state is unknown */
    FAKE_SWITCH_BACK,
    FAKE_SILENT, /* the system does not say */
    FAKE_SPEAKS,
    FAKE_SLOW, /* readings take 200 ms, the world going on meanwhile */
    FAKE_QUICK,
    FAKE_STALL, /* the computer stands still for two seconds */
    FAKE_N_EVENTS
} fake_event;

typedef enum { FAKE_ERASE, FAKE_TYPE, FAKE_ENTER } fake_key_kind;
typedef struct {
    fake_key_kind kind;
    uint32_t code;
    vx_lock_state truth; /* where it landed: not LOCKED is in somebody's application */
    bool just_read;      /* the call before was a reading, and it said LOCKED */
    uint64_t at_ns;
} fake_key;

typedef struct desktop_fake desktop_fake;
struct desktop_fake {
    /* Set up by the test; all-zero but these is an awake, locked screen that behaves. */
    vx_unlock_method method;
    const char *password; /* that opens it; ASCII */
    const char *kept;     /* that the unlock is given; NULL: none */
    int swallow_ms;       /* after waking, keys are lost for so long */
    int opens_after_ms;   /* the right password or the request opens it so much later */
    bool ignores_us;      /* Return and requests do nothing */
    int fail_call;        /* this call of those that can fail, from 1; 0: none */
    vx_err fail_with;
    bool in_window; /* see above */
    /* What happens, asked at every point at which something can; NULL: nothing ever. Uses fake_happen. */
    void (*meanwhile)(desktop_fake *f);
    void *arg;

    /* The world. */
    bool unlocked, asleep, away, silent, slow;
    uint64_t now_ns, awake_since_ns, opens_at_ns;
    uint32_t field[FAKE_FIELD];
    size_t n_field;

    /* The record. */
    int n_points, n_calls, n_wakes, n_requests, n_returns, n_secrets;
    fake_key keys[FAKE_MAX_KEYS];
    int n_keys;
    bool just_read, told_otherwise; /* a reading said anything but LOCKED */
    int n_late;                     /* keys after such a reading: there must be none */
    const uint8_t *secret;          /* where the password was put, and how much room there was */
    size_t secret_cap;
};

void fake_init(desktop_fake *f); /* locked, asleep, TYPE, "pass word" kept and right */
vx_desktop fake_desktop(desktop_fake *f);
void fake_happen(desktop_fake *f, fake_event event);
vx_lock_state fake_truth(const desktop_fake *f);
vx_secret_fn fake_secret; /* arg: the desktop_fake */
/* Runs an unlock in it, with default options. */
vx_unlock_outcome fake_run(desktop_fake *f, vx_unlock_memory *memory);
/* Keys that landed elsewhere than in the lock screen. */
int fake_strays(const desktop_fake *f);

#endif
