/* agent_double.c - a scripted agent. */
#include "tests/support/agent_double.h"

#include <string.h>
#include <time.h>

#include "shared/base/clock.h"

/* A wait that never ends would hang the test instead of failing it. */
enum { LOOK_MS = 10, PATIENCE_S = 20 };

static void wait_until_gone(agent_double *d, vx_asker *asker)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    const uint64_t due_ns = vx_now_ns() + PATIENCE_S * 1000000000ull;
    atomic_fetch_add(&d->n_waiting, 1);
    while (!asker->gone(asker) && vx_now_ns() < due_ns)
        (void)nanosleep(&pause, NULL);
    atomic_fetch_sub(&d->n_waiting, 1);
    if (asker->gone(asker))
        atomic_fetch_add(&d->n_gone, 1);
}

static json_t *unlock(void *arg, const char *purpose, vx_asker *asker)
{
    agent_double *d = arg;
    const agent_script *s = &d->script;
    atomic_fetch_add(&d->n_unlocks, 1);
    if (strcmp(purpose, "pam") == 0)
        atomic_fetch_add(&d->n_for_pam, 1);
    for (size_t i = 0; i < sizeof s->says / sizeof *s->says && s->says[i]; i++)
        asker->say(asker, s->says[i]);
    if (s->waits)
        wait_until_gone(d, asker);
    if (s->no_memory)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:b, s:n}", "verdict", s->verdict ? s->verdict : "REJECT", "sentence",
                     s->sentence ? s->sentence : "Not you.", "speaker", "anna", "may_unlock", s->may_unlock, "result");
}

static json_t *status(void *arg)
{
    agent_double *d = arg;
    atomic_fetch_add(&d->n_status, 1);
    return d->script.no_memory ? NULL : json_pack("{s:s, s:s, s:b}", "version", "1", "state", "idle", "locked", 1);
}

static json_t *diagnostics(void *arg)
{
    (void)arg;
    return json_pack("{s:s, s:f, s:[], s:[], s:[]}", "status", "healthy", "confidence", 1.0, "components",
                     "root_causes", "recommended_actions");
}

static void reload(void *arg)
{
    agent_double *d = arg;
    atomic_fetch_add(&d->n_reloads, 1);
}

vx_agent_calls agent_double_calls(agent_double *d)
{
    return (vx_agent_calls){.arg = d, .unlock = unlock, .status = status, .diagnostics = diagnostics, .reload = reload};
}
