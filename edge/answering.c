/* answering.c - the agent's side of every question. */
#include "edge/answering.h"

#include <stdio.h>
#include <string.h>

#include "edge/booth.h"
#include "edge/doctor/doctor.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

static const double WAIT_S = 10;
/* The wake loop looks up every 0.1 s, but opening a microphone that does not answer holds it for 3 s. */
static const uint64_t TURN_NS = 5000000000u;

const char *vx_wake_state_name(vx_wake_state state)
{
    static const char *const names[] = {"off", "waiting", "listening", "judging", "failed"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

void vx_answering_tell_wake(vx_answering *a, vx_wake_state state, const char *why)
{
    (void)pthread_mutex_lock(&a->lock);
    a->wake.state = state;
    (void)snprintf(a->wake.why, sizeof a->wake.why, "%s", why);
    (void)pthread_mutex_unlock(&a->lock);
}

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
    const vx_booth_wish wish = {.settings = a->settings, .desktop = strcmp(purpose, "screen") == 0};
    vx_err err = vx_booth_speaker(a->runtime.store, NULL, speaker, &info);
    if (err == VX_ERR_NOT_ENROLLED)
        return undecided(VX_NOT_ENROLLED, vx_errinfo_text(&info, err));
    if (err == VX_OK)
        err = vx_booth_open(&wish, &booth, &info);
    if (err == VX_OK) {
        const vx_live_asker waiting = {asker, say, gone};
        vx_live live = vx_booth_live(&booth, &a->runtime, true);
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
    const uint64_t due_ns = vx_now_ns() + TURN_NS;
    if (!vx_turn_take(&a->turn, due_ns < asker->deadline_ns ? due_ns : asker->deadline_ns))
        return undecided(VX_NOT_READY, "somebody else is being listened to: try again in a moment");
    set_state(a, "listening");
    vx_keeper_preload(a->runtime.keeper);
    json_t *answer = listen_for(a, purpose, asker);
    set_state(a, "idle");
    vx_turn_give(&a->turn);
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
    const vx_wake_view wake = a->wake;
    (void)pthread_mutex_unlock(&a->lock);
    if (wake.state == VX_WAKE_LISTENING || wake.state == VX_WAKE_JUDGING)
        state = vx_wake_state_name(wake.state);
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:o}, s:{s:s, s:s, s:I, s:b, s:o}}", "version", VX_VERSION, "state",
                     state, "locked", locked_or_null(), "wake", "state", vx_wake_state_name(wake.state), "why",
                     vx_json_shown(wake.why), "model", "state", vx_keeper_state_name(model.state), "strategy",
                     model.strategy ? model.strategy : "", "loads", (json_int_t)model.n_loads, "degraded",
                     model.degraded, "reason", vx_json_shown(model.reason));
}

/* The wake loop as one more component. */
static vx_finding look_at_wake(vx_answering *a)
{
    vx_finding finding = {0};
    (void)pthread_mutex_lock(&a->lock);
    const vx_wake_view wake = a->wake;
    (void)pthread_mutex_unlock(&a->lock);
    vx_found(&finding,
             wake.state == VX_WAKE_OFF      ? VX_CHECK_SKIPPED
             : wake.state == VX_WAKE_FAILED ? VX_CHECK_WARNING
                                            : VX_CHECK_OK,
             NULL, "%s%s%s", vx_wake_state_name(wake.state), *wake.why ? ": " : "", wake.why);
    return finding;
}

/* The report under way, in the shape that clients of the older system know. */
typedef struct {
    json_t *components, *causes, *actions;
    int n_run, n_fine;
    vx_check_result worst;
    bool ok; /* memory did not run out */
} report;

static void add(report *r, const char *name, const vx_finding *finding)
{
    const bool failed = finding->result == VX_CHECK_FAILED, bad = failed || finding->result == VX_CHECK_WARNING;
    r->n_run += finding->result != VX_CHECK_SKIPPED;
    r->n_fine += finding->result == VX_CHECK_OK;
    r->worst = failed || (bad && r->worst == VX_CHECK_OK) ? finding->result : r->worst;
    r->ok = r->ok && json_array_append_new(r->components, json_pack("{s:s, s:s, s:o}", "name", name, "status",
                                                                    vx_check_result_name(finding->result), "detail",
                                                                    vx_json_shown(finding->sentence))) == 0;
    if (bad && r->ok)
        r->ok = json_array_append_new(r->causes, vx_json_shown(finding->sentence)) == 0 &&
                (!finding->advice || json_array_append_new(r->actions, json_string(finding->advice)) == 0);
}

/* What doctor finds, and how the wake loop is. */
static json_t *diagnostics(void *arg)
{
    vx_answering *a = arg;
    vx_patient patient;
    report r = {json_array(), json_array(), json_array(), .worst = VX_CHECK_OK};
    const bool has_patient = vx_patient_init(a->settings, a->environment, &patient, NULL) == VX_OK;
    r.ok = has_patient;
    for (size_t i = 0; i < vx_n_checks && r.ok; i++) {
        const vx_finding finding = vx_doctor_look(&vx_checks[i], &patient, false);
        add(&r, vx_checks[i].name, &finding);
    }
    if (has_patient)
        vx_patient_done(&patient);
    const vx_finding wake = look_at_wake(a);
    add(&r, "wake", &wake);
    json_t *root = json_pack("{s:s, s:f, s:o, s:o, s:o}", "status",
                             r.worst == VX_CHECK_OK        ? "healthy"
                             : r.worst == VX_CHECK_WARNING ? "degraded"
                                                           : "unhealthy",
                             "confidence", r.n_run ? (double)r.n_fine / r.n_run : 0, "components", r.components,
                             "root_causes", r.causes, "recommended_actions", r.actions);
    if (!r.ok) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* Profiles are read at each attempt; what is kept between them is the user's own calibration. A source that is late still
 * reads it, so it is read anew only when nothing runs: now, or when vx_answering_tend next looks. */
static void reload_if_quiet(vx_answering *a)
{
    if (!vx_turn_take(&a->turn, vx_now_ns() + TURN_NS))
        return;
    if (vx_pool_running(a->runtime.pool) + vx_pool_waiting(a->runtime.pool) == 0) {
        vx_runtime_reload(&a->runtime);
        (void)pthread_mutex_lock(&a->lock);
        a->reload_due = false;
        (void)pthread_mutex_unlock(&a->lock);
    }
    vx_turn_give(&a->turn);
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
    (void)snprintf(a->wake.why, sizeof a->wake.why, "it was not started");
    vx_err err = vx_runtime_open(settings, environment, VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL,
                                 &a->runtime, info);
    if (err != VX_OK)
        return err;
    if (!vx_turn_init(&a->turn)) {
        vx_runtime_close(&a->runtime);
        return VX_ERR_NOMEM;
    }
    if (pthread_mutex_init(&a->lock, NULL) != 0) {
        vx_turn_done(&a->turn);
        vx_runtime_close(&a->runtime);
        return VX_ERR_NOMEM;
    }
    return VX_OK;
}

void vx_answering_close(vx_answering *answering)
{
    vx_runtime_close(&answering->runtime);
    vx_turn_done(&answering->turn);
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
    vx_runtime_tend(&answering->runtime, &memory);
}
