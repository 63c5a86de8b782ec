/* loader.c - loading the model. */
#include "cloud/loader.h"

#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/engine/self_test.h"

/* The second that the self-test uses, three times: the length of a usual clip. */
static vx_err warm_up(vx_engine *engine, double *ret_ms, vx_errinfo *info)
{
    float *samples = malloc(3 * VX_SELF_TEST_SAMPLES * sizeof *samples);
    if (!samples)
        return VX_ERR_NOMEM;
    for (int i = 0; i < 3; i++)
        vx_self_test_signal(samples + i * VX_SELF_TEST_SAMPLES);
    uint64_t start = vx_now_ns();
    vx_embedding embedding;
    vx_err err = vx_engine_embed(engine, samples, 3 * VX_SELF_TEST_SAMPLES, &embedding, NULL, info);
    if (err == VX_OK)
        *ret_ms = vx_ms_since(start);
    free(samples);
    return err;
}

static vx_err attempt(const vx_load_plan *plan, vx_startup *startup, vx_loaded *ret_loaded, vx_errinfo *info)
{
    vx_loaded loaded = {0};
    vx_engine_trials trials;
    vx_engine_options options = plan->engine;
    options.self_test = true;
    options.ret_trials = &trials;
    vx_err err = vx_engine_open(plan->folder, &options, &loaded.engine, info);
    vx_startup_tell(startup, &trials);
    if (err == VX_OK && plan->warm_up)
        err = warm_up(loaded.engine, &loaded.warmup_ms, info);
    if (err != VX_OK) {
        vx_engine_close(loaded.engine);
        return err;
    }
    *ret_loaded = loaded;
    return VX_OK;
}

/* What a moment can mend: a volume that is still being mounted, a file still being copied, memory. A setting cannot. */
static bool may_pass(vx_err err)
{
    return err != VX_ERR_OPTION_VALUE && err != VX_ERR_UNSUPPORTED && err != VX_ERR_ARG && err != VX_ERR_MODEL_SHAPE;
}

vx_err vx_load(const vx_load_plan *plan, vx_startup *startup, vx_loaded *ret_loaded, vx_errinfo *info)
{
    uint64_t backoff_ms = plan->backoff_ms;
    for (int n = 1;; n++) {
        vx_errinfo cause = {0};
        char line[VX_ERRINFO_LINE];
        vx_startup_move(startup, VX_STARTUP_INITIALIZING, "attempt %d of %d", n, plan->attempts);
        vx_err err = attempt(plan, startup, ret_loaded, &cause);
        if (err == VX_OK)
            return VX_OK;
        vx_errinfo_line(&cause, err, line, sizeof line);
        if (n == plan->attempts || !may_pass(err)) {
            vx_startup_move(startup, VX_STARTUP_FAILED, "%s: %s", vx_err_code(err), line);
            if (info && info->code == VX_OK)
                *info = cause;
            return err;
        }
        vx_startup_move(startup, VX_STARTUP_RETRYING, "%s: %s; again in %llu ms", vx_err_code(err), line,
                        (unsigned long long)backoff_ms);
        if (!vx_startup_pause(startup, backoff_ms))
            return VX_ERR_CLOSED;
        backoff_ms *= 2;
    }
}
