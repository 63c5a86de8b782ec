/* desktop_fake.c - the simulated desktop. */
#include "tests/support/desktop_fake.h"

#include <stdio.h>
#include <string.h>

#define MS 1000000u
enum { CALL_US = 100, SLOW_MS = 200, STALL_MS = 2000 };

/* ---- the world ------------------------------------------------------------------------------------------------------ */

vx_lock_state fake_truth(const desktop_fake *f)
{
    if (f->away || f->silent)
        return VX_LOCK_UNKNOWN;
    return f->unlocked ? VX_LOCK_UNLOCKED : VX_LOCK_LOCKED;
}

static void open_screen(desktop_fake *f)
{
    f->unlocked = true;
    f->opens_at_ns = 0;
    f->n_field = 0;
}

static void pass(desktop_fake *f, uint64_t ns)
{
    f->now_ns += ns;
    if (f->opens_at_ns && f->now_ns >= f->opens_at_ns)
        open_screen(f);
}

void fake_happen(desktop_fake *f, fake_event event)
{
    switch (event) {
    case FAKE_LOCK:
        f->unlocked = false;
        f->opens_at_ns = 0;
        f->n_field = 0;
        break;
    case FAKE_UNLOCK: open_screen(f); break;
    case FAKE_SLEEP: f->asleep = true; break;
    case FAKE_WAKE:
        if (f->asleep)
            f->awake_since_ns = f->now_ns;
        f->asleep = false;
        break;
    case FAKE_SWITCH_AWAY: f->away = true; break;
    case FAKE_SWITCH_BACK: f->away = false; break;
    case FAKE_SILENT: f->silent = true; break;
    case FAKE_SPEAKS: f->silent = false; break;
    case FAKE_SLOW: f->slow = true; break;
    case FAKE_QUICK: f->slow = false; break;
    case FAKE_STALL: pass(f, (uint64_t)STALL_MS * MS); break;
    case FAKE_N_EVENTS: break;
    }
}

/* A point at which something may happen. */
static void point(desktop_fake *f)
{
    f->n_points++;
    if (f->meanwhile)
        f->meanwhile(f);
}

/* ---- its calls ------------------------------------------------------------------------------------------------------ */

static vx_err call(desktop_fake *f, vx_errinfo *info)
{
    f->just_read = false;
    pass(f, CALL_US * 1000u);
    if (++f->n_calls == f->fail_call)
        return vx_errinfo_set(info, f->fail_with, "a failure on purpose");
    return VX_OK;
}

static vx_unlock_method method(void *arg, char ret_why[VX_DESKTOP_WHY_CAP])
{
    desktop_fake *f = arg;
    point(f);
    f->just_read = false;
    snprintf(ret_why, VX_DESKTOP_WHY_CAP, "%s", f->method == VX_UNLOCK_NONE ? "allow voxlock to send keys" : "");
    return f->method;
}

static vx_lock_state state(void *arg)
{
    desktop_fake *f = arg;
    point(f);
    pass(f, CALL_US * 1000u);
    const vx_lock_state seen = fake_truth(f);
    if (f->slow) {
        pass(f, (uint64_t)SLOW_MS * MS);
        point(f);
    }
    f->just_read = seen == VX_LOCK_LOCKED;
    f->told_otherwise = f->told_otherwise || seen != VX_LOCK_LOCKED;
    return seen;
}

static vx_err wake(void *arg, vx_errinfo *info)
{
    desktop_fake *f = arg;
    point(f);
    vx_err err = call(f, info);
    f->n_wakes++;
    if (err == VX_OK)
        fake_happen(f, FAKE_WAKE);
    point(f);
    return err;
}

static vx_err request(void *arg, vx_errinfo *info)
{
    desktop_fake *f = arg;
    vx_err err = call(f, info);
    f->n_requests++;
    /* Not answered in time is heard all the same. */
    if ((err == VX_OK || err == VX_ERR_DEADLINE) && !f->ignores_us && fake_truth(f) == VX_LOCK_LOCKED)
        f->opens_at_ns = f->now_ns + (uint64_t)f->opens_after_ms * MS;
    pass(f, 0);
    point(f);
    return err;
}

static void sent(desktop_fake *f, fake_key_kind kind, uint32_t code)
{
    if (f->n_keys < FAKE_MAX_KEYS)
        f->keys[f->n_keys] = (fake_key){
            .kind = kind, .code = code, .truth = fake_truth(f), .just_read = f->just_read, .at_ns = f->now_ns};
    f->n_keys++;
    f->n_late += f->told_otherwise;
}

/* Whether the lock screen gets what is sent now. */
static bool listens(const desktop_fake *f)
{
    return fake_truth(f) == VX_LOCK_LOCKED && !f->asleep &&
           f->now_ns - f->awake_since_ns >= (uint64_t)f->swallow_ms * MS;
}

static void entered(desktop_fake *f)
{
    f->n_returns++;
    if (f->ignores_us)
        return;
    bool right = f->n_field == strlen(f->password);
    for (size_t i = 0; right && i < f->n_field; i++)
        right = f->field[i] == (uint32_t)(unsigned char)f->password[i];
    f->n_field = 0;
    if (right)
        f->opens_at_ns = f->now_ns + (uint64_t)f->opens_after_ms * MS;
}

/* It lands where the world stands when it is sent; what the call takes comes after. */
static vx_err key(desktop_fake *f, fake_key_kind kind, uint32_t code, vx_errinfo *info)
{
    if (f->in_window)
        point(f);
    const bool heard = listens(f);
    sent(f, kind, code);
    vx_err err = call(f, info);
    if (err == VX_OK && heard) {
        if (kind == FAKE_ENTER)
            entered(f);
        else if (kind == FAKE_TYPE && f->n_field < FAKE_FIELD)
            f->field[f->n_field++] = code;
        else if (kind == FAKE_ERASE && f->n_field > 0)
            f->n_field--;
    }
    pass(f, 0);
    point(f);
    return err;
}

static vx_err erase(void *arg, vx_errinfo *info)
{
    return key(arg, FAKE_ERASE, 0, info);
}

static vx_err type(void *arg, uint32_t code_point, vx_errinfo *info)
{
    return key(arg, FAKE_TYPE, code_point, info);
}

static vx_err enter(void *arg, vx_errinfo *info)
{
    return key(arg, FAKE_ENTER, 0, info);
}

static void sleep_ms(void *arg, int ms)
{
    desktop_fake *f = arg;
    f->just_read = false;
    point(f);
    pass(f, (uint64_t)ms * MS);
    point(f);
}

static uint64_t now_ns(void *arg)
{
    return ((const desktop_fake *)arg)->now_ns;
}

static void close_desktop(void *arg)
{
    (void)arg;
}

/* ---- for tests ------------------------------------------------------------------------------------------------------ */

void fake_init(desktop_fake *f)
{
    memset(f, 0, sizeof *f);
    f->method = VX_UNLOCK_TYPE;
    f->password = f->kept = "pass word";
    f->opens_after_ms = 200;
    f->swallow_ms = FAKE_SETTLE_MS;
    f->asleep = true;
    f->fail_with = VX_ERR_IO;
    f->now_ns = 3600u * (uint64_t)1000 * MS;
}

vx_desktop fake_desktop(desktop_fake *f)
{
    return (vx_desktop){.name = "simulated",
                        .system = "simulated 1.0",
                        .arg = f,
                        .method = method,
                        .state = state,
                        .wake = wake,
                        .unlock = request,
                        .erase = erase,
                        .type = type,
                        .enter = enter,
                        .sleep_ms = sleep_ms,
                        .now_ns = now_ns,
                        .close = close_desktop};
}

vx_err fake_secret(void *arg, vx_buf *ret, vx_errinfo *info)
{
    desktop_fake *f = arg;
    f->n_secrets++;
    point(f);
    vx_err err = call(f, info);
    /* A keyring that fails half-way has written already. */
    const vx_err put = f->kept ? vx_buf_append(ret, f->kept, strlen(f->kept)) : VX_ERR_NOT_FOUND;
    f->secret = ret->data;
    f->secret_cap = ret->cap;
    return err != VX_OK ? err : put;
}

vx_unlock_outcome fake_run(desktop_fake *f, vx_unlock_memory *memory)
{
    const vx_desktop desktop = fake_desktop(f);
    const vx_unlock_options options = vx_unlock_options_default();
    vx_unlock_outcome outcome;
    vx_unlock_run(&desktop, &options, fake_secret, f, memory, &outcome);
    return outcome;
}

int fake_strays(const desktop_fake *f)
{
    int n = 0;
    for (int i = 0; i < f->n_keys && i < FAKE_MAX_KEYS; i++)
        n += f->keys[i].truth != VX_LOCK_LOCKED;
    return n;
}
