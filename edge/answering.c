/* answering.c - the agent's side of every question. */
#include "edge/answering.h"

#include <string.h>

#include "edge/booth.h"
#include "edge/doctor/doctor.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

static const double WAIT_S = 10;

static void set_state(vx_answering *a, const char *state)
{
    (void)pthread_mutex_lock(&a->lock);
    a->state = state;
    (void)pthread_mutex_unlock(&a->lock);
}

static void say(void *arg, const char *sentence)
{
    vx_asker *asker = arg;
    asker->say(asker, sentence);
}

static bool gone(void *arg)
{
    vx_asker *asker = arg;
    return asker->gone(asker) || vx_now_ns() >= asker->deadline_ns;
}

/* Nothing was decided, and why. */
static json_t *undecided(vx_verdict verdict, const char *sentence)
{
    return json_pack("{s:s, s:o, s:s, s:b, s:n}", "verdict", vx_verdict_name(verdict), "sentence",
                     vx_json_shown(sentence), "speaker", "", "may_unlock", 0, "result");
}

static json_t *decided(const vx_live_outcome *out)
{
    const bool idle = out->attempt.verdict == VX_AUTHENTICATE && !out->attempt.may_unlock;
    const char *sentence =
        idle ? "It is your voice, but this profile is not armed: voxlock profiles arm NAME." : out->attempt.sentence;
    return json_pack("{s:s, s:o, s:o, s:b, s:o, s:I}", "verdict", vx_verdict_name(out->attempt.verdict), "sentence",
                     vx_json_shown(sentence), "speaker", vx_json_shown(out->attempt.speaker), "may_unlock",
                     out->attempt.may_unlock, "result",
                     out->tried_to_open ? json_string(vx_unlock_result_name(out->unlock.result)) : json_null(),
                     "attempt", (json_int_t)out->attempt.id);
}

static json_t *listen_for(vx_answering *a, const char *purpose, vx_asker *asker)
{
    vx_booth booth = {0};
    vx_live_outcome out;
    vx_errinfo info = {0};
    char speaker[VX_NAME_CAP];
    const vx_capture_options microphone = {0};
    const bool screen = strcmp(purpose, "screen") == 0;
    vx_err err = vx_booth_speaker(a->runtime.store, NULL, speaker, &info);
    if (err == VX_ERR_NOT_ENROLLED)
        return undecided(VX_NOT_ENROLLED, vx_errinfo_text(&info, err));
    if (err == VX_OK)
        err = vx_booth_open(&microphone, screen, &booth, &info);
    if (err == VX_OK) {
        const vx_live_asker waiting = {asker, say, gone};
        vx_live live = vx_booth_live(&booth, &a->runtime);
        live.wait_s = WAIT_S;
        live.memory = &a->memory;
        asker->say(asker, "Speak now.");
        err = vx_live_run(&live, "unlock", speaker, &waiting, &out, &info);
    }
    vx_booth_close(&booth);
    if (err == VX_OK) {
        VX_LOG(a->log, VX_LOG_INFO, "attempt", vx_f_int("attempt", out.attempt.id),
               vx_f_str("verdict", vx_verdict_name(out.attempt.verdict)), vx_f_str("purpose", purpose),
               vx_f_str("unlock", out.tried_to_open ? vx_unlock_result_name(out.unlock.result) : ""));
        return decided(&out);
    }
    VX_LOG(a->log, VX_LOG_WARNING, "nothing was decided", vx_f_str("code", vx_err_code(err)),
           vx_f_str("purpose", purpose));
    if (err == VX_ERR_CLOSED && vx_now_ns() >= asker->deadline_ns)
        return undecided(VX_NO_AUDIO, "it took too long: try again, or type your password");
    return undecided(err == VX_ERR_DEADLINE || err == VX_ERR_AUDIO_SILENT ? VX_NO_AUDIO : VX_NOT_READY,
                     vx_errinfo_text(&info, err));
}

static json_t *unlock(void *arg, const char *purpose, vx_asker *asker)
{
    vx_answering *a = arg;
    if (pthread_mutex_trylock(&a->booth) != 0)
        return undecided(VX_NOT_READY, "somebody else is being listened to: try again in a moment");
    set_state(a, "listening");
    vx_keeper_preload(a->runtime.keeper);
    json_t *answer = listen_for(a, purpose, asker);
    set_state(a, "idle");
    (void)pthread_mutex_unlock(&a->booth);
    return answer;
}

static json_t *locked_or_null(void)
{
    vx_desktop desktop;
    vx_lock_state state = VX_LOCK_UNKNOWN;
    if (vx_desktop_open(&desktop, NULL) == VX_OK) {
        state = desktop.state(desktop.arg);
        if (desktop.close)
            desktop.close(desktop.arg);
    }
    return state == VX_LOCK_UNKNOWN ? json_null() : json_boolean(state == VX_LOCK_LOCKED);
}

static json_t *status(void *arg)
{
    vx_answering *a = arg;
    vx_keeper_view model;
    vx_keeper_get_view(a->runtime.keeper, &model);
    (void)pthread_mutex_lock(&a->lock);
    const char *state = a->state;
    (void)pthread_mutex_unlock(&a->lock);
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:I, s:b, s:o}}", "version", VX_VERSION, "state", state, "locked",
                     locked_or_null(), "model", "state", vx_keeper_state_name(model.state), "strategy",
                     model.strategy ? model.strategy : "", "loads", (json_int_t)model.n_loads, "degraded",
                     model.degraded, "reason", vx_json_shown(model.reason));
}

/* What doctor finds, in the shape that clients of the older system know. */
static json_t *diagnostics(void *arg)
{
    const vx_answering *a = arg;
    vx_patient patient;
    int worst = VX_CHECK_OK, n_fine = 0, n_run = 0;
    json_t *components = json_array(), *causes = json_array(), *actions = json_array();
    bool ok = vx_patient_init(a->settings, a->environment, &patient, NULL) == VX_OK;
    for (size_t i = 0; i < vx_n_checks && ok; i++) {
        const vx_finding finding = vx_doctor_look(&vx_checks[i], &patient, false);
        const bool bad = finding.result == VX_CHECK_WARNING || finding.result == VX_CHECK_FAILED;
        n_run += finding.result != VX_CHECK_SKIPPED;
        n_fine += finding.result == VX_CHECK_OK;
        worst = finding.result == VX_CHECK_FAILED || (bad && worst == VX_CHECK_OK) ? (int)finding.result : worst;
        ok = json_array_append_new(components, json_pack("{s:s, s:s, s:o}", "name", vx_checks[i].name, "status",
                                                         vx_check_result_name(finding.result), "detail",
                                                         vx_json_shown(finding.sentence))) == 0;
        if (bad && ok)
            ok = json_array_append_new(causes, vx_json_shown(finding.sentence)) == 0 &&
                 (!finding.advice || json_array_append_new(actions, json_string(finding.advice)) == 0);
    }
    if (ok)
        vx_patient_done(&patient);
    json_t *root = json_pack("{s:s, s:f, s:o, s:o, s:o}", "status",
                             worst == VX_CHECK_OK        ? "healthy"
                             : worst == VX_CHECK_WARNING ? "degraded"
                                                         : "unhealthy",
                             "confidence", n_run ? (double)n_fine / n_run : 0, "components", components, "root_causes",
                             causes, "recommended_actions", actions);
    if (!ok) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* Profiles are read at each attempt; what is kept between them is the user's own calibration. A source that is late still
 * reads it, so it is read anew only when nothing runs: now, or when vx_answering_tend next looks. */
static void reload_if_quiet(vx_answering *a)
{
    if (pthread_mutex_trylock(&a->booth) != 0)
        return;
    if (vx_pool_running(a->runtime.pool) + vx_pool_waiting(a->runtime.pool) == 0) {
        vx_runtime_reload(&a->runtime);
        (void)pthread_mutex_lock(&a->lock);
        a->reload_due = false;
        (void)pthread_mutex_unlock(&a->lock);
    }
    (void)pthread_mutex_unlock(&a->booth);
}

static void reload(void *arg)
{
    vx_answering *a = arg;
    (void)pthread_mutex_lock(&a->lock);
    a->reload_due = true;
    (void)pthread_mutex_unlock(&a->lock);
    reload_if_quiet(a);
}

vx_err vx_answering_open(const vx_options *settings, char *const *environment, vx_log *log, vx_answering *ret_answering,
                         vx_errinfo *info)
{
    vx_answering *a = ret_answering;
    *a = (vx_answering){.settings = settings, .environment = environment, .log = log, .state = "idle"};
    vx_err err = vx_runtime_open(settings, environment, VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL,
                                 &a->runtime, info);
    if (err != VX_OK)
        return err;
    if (pthread_mutex_init(&a->booth, NULL) != 0 || pthread_mutex_init(&a->lock, NULL) != 0) {
        vx_runtime_close(&a->runtime);
        return VX_ERR_NOMEM;
    }
    return VX_OK;
}

void vx_answering_close(vx_answering *answering)
{
    vx_runtime_close(&answering->runtime);
    (void)pthread_mutex_destroy(&answering->booth);
    (void)pthread_mutex_destroy(&answering->lock);
}

vx_agent_calls vx_answering_calls(vx_answering *answering)
{
    return (vx_agent_calls){
        .arg = answering, .unlock = unlock, .status = status, .diagnostics = diagnostics, .reload = reload};
}

void vx_answering_tend(vx_answering *answering)
{
    vx_memory read;
    (void)pthread_mutex_lock(&answering->lock);
    const bool due = answering->reload_due;
    (void)pthread_mutex_unlock(&answering->lock);
    if (due)
        reload_if_quiet(answering);
    vx_keeper_memory memory = {.pressure = 0, .free_bytes = SIZE_MAX};
    if (vx_memory_read(&read, NULL) == VX_OK)
        memory = (vx_keeper_memory){.pressure = read.pressure, .free_bytes = (size_t)read.available_bytes};
    (void)vx_keeper_tend(answering->runtime.keeper, &memory);
}
