/* unlock.c - the order of an unlock, and every way in which it stops.
 * Owns:   see unlock.h; docs/unlock.md shows it as a table.
 */
#include "edge/unlock/unlock.h"

#include <stdarg.h>
#include <stdio.h>

#include "shared/base/utf8.h"

enum { MAX_TRIES = 2, MAX_READINGS = 3, FIRST_PAUSE_S = 30, LONGEST_PAUSE_S = 15 * 60 };

typedef enum { KEY_ERASE, KEY_CHARACTER, KEY_ENTER } key_kind;

typedef struct {
    const vx_desktop *desk;
    const vx_unlock_options *options;
    vx_unlock_outcome *out;
    vx_buf secret;
    int in_field;         /* characters that were typed and not erased since */
    uint64_t last_key_ns; /* when the last key was sent */
    bool sent;            /* a key or the request: what fails now counts for the back-off */
    bool complete;        /* Return or the request was the last thing sent: an open screen is our doing */
} unlocking;

const char *vx_unlock_result_name(vx_unlock_result result)
{
    switch (result) {
    case VX_UNLOCKED: return "unlocked";
    case VX_WAS_UNLOCKED: return "was_unlocked";
    case VX_OPENED_OTHERWISE: return "opened_otherwise";
    case VX_STAYED_LOCKED: return "stayed_locked";
    case VX_STATE_UNKNOWN: return "state_unknown";
    case VX_CANNOT: return "cannot";
    case VX_BACKED_OFF: return "backed_off";
    }
    return "cannot";
}

vx_unlock_options vx_unlock_options_default(void)
{
    return (vx_unlock_options){.settle_ms = 400,
                               .key_gap_ms = 8,
                               .erase_keys = 32,
                               .fresh_ms = 50,
                               .stall_ms = 1000,
                               .verify_ms = 3000,
                               .poll_ms = 50};
}

/* ---- time and the end ---------------------------------------------------------------------------------------------- */

static uint64_t now(const unlocking *u)
{
    return u->desk->now_ns(u->desk->arg);
}

static bool longer_than(const unlocking *u, uint64_t since_ns, int ms)
{
    return now(u) - since_ns > (uint64_t)ms * 1000000u;
}

static void rest(const unlocking *u, int ms)
{
    u->desk->sleep_ms(u->desk->arg, ms);
}

/* Returns false, for callers that go on only while true. */
static bool stop(unlocking *u, vx_unlock_result result, const char *fmt, ...) VX_PRINTF(3, 4);
static bool stop(unlocking *u, vx_unlock_result result, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(u->out->sentence, sizeof u->out->sentence, fmt, args);
    va_end(args);
    u->out->result = result;
    return false;
}

/* True while there is something to unlock; else the reason is that the screen is open, or that nobody knows. */
static bool goes_on(unlocking *u, vx_lock_state state)
{
    switch (state) {
    case VX_LOCK_LOCKED: return true;
    case VX_LOCK_UNLOCKED:
        if (u->complete)
            return stop(u, VX_UNLOCKED, "the screen is open");
        return stop(u, VX_OPENED_OTHERWISE, "the screen was opened by other means: nothing more was sent");
    case VX_LOCK_UNKNOWN: break;
    }
    return stop(u, VX_STATE_UNKNOWN, "it cannot be told any more whether your screen is locked: nothing more was sent");
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

/* The state; LOCKED only by a reading that was quick: during a slow one somebody may have opened the screen. */
static vx_lock_state look(const unlocking *u)
{
    for (int i = 0; i < MAX_READINGS; i++) {
        const uint64_t begun_ns = now(u);
        const vx_lock_state state = u->desk->state(u->desk->arg);
        if (state != VX_LOCK_LOCKED || !longer_than(u, begun_ns, u->options->fresh_ms))
            return state;
    }
    return VX_LOCK_UNKNOWN;
}

/* What may have arrived counts as sent, whatever the call says. */
static vx_err post(unlocking *u, key_kind key, uint32_t code, vx_errinfo *info)
{
    const vx_desktop *desk = u->desk;
    vx_err err = VX_ERR_INTERNAL;
    switch (key) {
    case KEY_ERASE: err = desk->erase(desk->arg, info); break;
    case KEY_CHARACTER:
        err = desk->type(desk->arg, code, info);
        u->in_field++;
        break;
    case KEY_ENTER: err = desk->enter(desk->arg, info); break;
    }
    u->out->n_keys++;
    u->sent = true;
    u->complete = key == KEY_ENTER && err == VX_OK;
    u->last_key_ns = now(u);
    return err;
}

static bool press(unlocking *u, key_kind key, uint32_t code)
{
    vx_errinfo info = {0};
    const bool within_password = key != KEY_ERASE && u->in_field > 0;
    if (within_password && longer_than(u, u->last_key_ns, u->options->stall_ms))
        return stop(u, VX_CANNOT, "the computer slept or stood still while the password was typed: say it again");
    if (!goes_on(u, look(u)))
        return false;
    const vx_err err = post(u, key, code, &info);
    if (err != VX_OK)
        return stop(u, VX_CANNOT, "a key could not be sent: %s", vx_errinfo_text(&info, err));
    return true;
}

/* Plain backspaces: of all the ways to empty a field the one that does least harm where it should go astray. Select-all
 * and delete is two keys, and empties a document. */
static bool clear_field(unlocking *u)
{
    const int n = u->in_field > u->options->erase_keys ? u->in_field : u->options->erase_keys;
    for (int i = 0; i < n; i++) {
        if (!press(u, KEY_ERASE, 0))
            return false;
        rest(u, u->options->key_gap_ms);
    }
    u->in_field = 0;
    return true;
}

static bool type_secret(unlocking *u)
{
    uint32_t code = 0;
    for (size_t at = 0; at < u->secret.len;) {
        at += vx_utf8_next(u->secret.data + at, u->secret.len - at, &code);
        if (!press(u, KEY_CHARACTER, code))
            return false;
        rest(u, u->options->key_gap_ms);
    }
    return true;
}

/* Nothing of a password stays behind in a field that is still locked. The outcome is known already. */
static void erase_rest(unlocking *u)
{
    for (; u->in_field > 0 && look(u) == VX_LOCK_LOCKED; u->in_field--) {
        if (post(u, KEY_ERASE, 0, NULL) != VX_OK)
            return;
        rest(u, u->options->key_gap_ms);
    }
}

/* ---- one try of either method --------------------------------------------------------------------------------------- */

static bool wake(unlocking *u)
{
    vx_errinfo info = {0};
    const vx_err err = u->desk->wake(u->desk->arg, &info);
    return err == VX_OK || stop(u, VX_CANNOT, "the display does not wake: %s", vx_errinfo_text(&info, err));
}

static bool try_by_typing(unlocking *u)
{
    if (!wake(u))
        return false;
    rest(u, u->options->settle_ms);
    u->out->n_tries++;
    return clear_field(u) && type_secret(u) && press(u, KEY_ENTER, 0);
}

static bool try_by_asking(unlocking *u)
{
    vx_errinfo info = {0};
    if (!wake(u) || !goes_on(u, u->desk->state(u->desk->arg)))
        return false;
    u->out->n_tries++;
    const vx_err err = u->desk->unlock(u->desk->arg, &info);
    /* A request that was not answered in time may have been heard. */
    u->complete = err == VX_OK || err == VX_ERR_DEADLINE;
    u->sent = true;
    if (!u->complete)
        return stop(u, VX_CANNOT, "the session could not be unlocked: %s", vx_errinfo_text(&info, err));
    return true;
}

/* Nothing is sent meanwhile, so an unknown state is waited out, but not tried again. */
static vx_lock_state await_open(const unlocking *u)
{
    const uint64_t begun_ns = now(u);
    bool lost = false;
    for (;;) {
        const vx_lock_state state = u->desk->state(u->desk->arg);
        lost = lost || state == VX_LOCK_UNKNOWN;
        if (state == VX_LOCK_UNLOCKED)
            return state;
        if (longer_than(u, begun_ns, u->options->verify_ms))
            return lost ? VX_LOCK_UNKNOWN : VX_LOCK_LOCKED;
        rest(u, u->options->poll_ms > 0 ? u->options->poll_ms : 1);
    }
}

static void try_all(unlocking *u, vx_unlock_method method)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        if (!(method == VX_UNLOCK_TYPE ? try_by_typing(u) : try_by_asking(u)) || !goes_on(u, await_open(u)))
            return;
    }
    if (method == VX_UNLOCK_TYPE)
        stop(u, VX_STAYED_LOCKED,
             "the password was typed twice and the screen stayed locked: either the kept password is not right, or "
             "%s does not let programs type at its lock screen",
             u->desk->system);
    else
        stop(u, VX_STAYED_LOCKED,
             "the session was asked twice to unlock and stayed locked: its lock screen does not listen to %s",
             u->desk->system);
}

/* ---- before and after ----------------------------------------------------------------------------------------------- */

static bool is_wanted(unlocking *u, const vx_unlock_memory *memory, vx_unlock_method *ret_method)
{
    char why[VX_DESKTOP_WHY_CAP] = "";
    const vx_lock_state state = u->desk->state(u->desk->arg);
    if (state == VX_LOCK_UNLOCKED)
        return stop(u, VX_WAS_UNLOCKED, "the screen was not locked");
    *ret_method = u->desk->method(u->desk->arg, why);
    if (*ret_method == VX_UNLOCK_NONE)
        return stop(u, VX_CANNOT, "%s", why);
    if (state == VX_LOCK_UNKNOWN)
        return stop(u, VX_STATE_UNKNOWN, "it cannot be told whether your screen is locked: nothing was sent");
    const uint64_t now_ns = now(u);
    if (memory && now_ns < memory->not_before)
        return stop(u, VX_BACKED_OFF, "the last unlock failed: try again in %d s, or type your password",
                    (int)((memory->not_before - now_ns + 999999999u) / 1000000000u));
    return true;
}

static bool have_secret(unlocking *u, vx_secret_fn *secret, void *secret_arg)
{
    vx_errinfo info = {0};
    const vx_err err = secret ? secret(secret_arg, &u->secret, &info) : VX_ERR_NOT_FOUND;
    if (err != VX_OK)
        return stop(u, VX_CANNOT, "there is no password to type: %s", vx_errinfo_text(&info, err));
    /* A newline would be Return. */
    if (!vx_utf8_is_plain(u->secret.data, u->secret.len))
        return stop(u, VX_CANNOT, "the password that is kept cannot be typed: keep it anew");
    return true;
}

static void remember(const unlocking *u, vx_unlock_memory *memory)
{
    const vx_unlock_result result = u->out->result;
    if (result == VX_UNLOCKED || result == VX_WAS_UNLOCKED || result == VX_OPENED_OTHERWISE) {
        *memory = (vx_unlock_memory){0};
    } else if (u->sent) {
        int pause_s = FIRST_PAUSE_S;
        for (int i = 0; i < memory->failures && pause_s < LONGEST_PAUSE_S; i++)
            pause_s *= 2;
        pause_s = pause_s < LONGEST_PAUSE_S ? pause_s : LONGEST_PAUSE_S;
        memory->not_before = now(u) + (uint64_t)pause_s * 1000000000u;
        memory->failures += memory->failures < 1000; /* more would tell nobody anything */
    }
}

void vx_unlock_run(const vx_desktop *desktop, const vx_unlock_options *options, vx_secret_fn *secret, void *secret_arg,
                   vx_unlock_memory *memory, vx_unlock_outcome *ret_outcome)
{
    *ret_outcome = (vx_unlock_outcome){.result = VX_CANNOT};
    unlocking u = {.desk = desktop, .options = options, .out = ret_outcome};
    const uint64_t begun_ns = now(&u);
    vx_unlock_method method = VX_UNLOCK_NONE;

    if (is_wanted(&u, memory, &method) && (method != VX_UNLOCK_TYPE || have_secret(&u, secret, secret_arg)))
        try_all(&u, method);
    if (ret_outcome->result == VX_CANNOT || ret_outcome->result == VX_STAYED_LOCKED)
        erase_rest(&u);
    vx_buf_wipe_done(&u.secret);
    if (memory)
        remember(&u, memory);
    ret_outcome->elapsed_ms = (double)(now(&u) - begun_ns) / 1e6;
}
