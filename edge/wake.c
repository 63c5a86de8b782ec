/* wake.c - watches the lock; opens the microphone while it is on; hears phrases; carries them through.
 *
 * The lock is polled: one look is three questions to logind, 0.3 ms of the agent's time. Signals would spare a second's
 * delay and cost a second way to learn the same, since a signal that is lost (a bus that is restarted) must not leave a
 * microphone open.
 */
#include "edge/wake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/booth.h"
#include "edge/store/profiles.h"
#include "shared/base/clock.h"
#include "shared/base/cond.h"

#define NS_PER_MS UINT64_C(1000000)
enum {
    POLL_MS = 1000,   /* between two looks with the microphone closed ... */
    LOOK_MS = 500,    /* ... and open: so long it stays open behind an unlock */
    OWNER_MS = 10000, /* between two looks at the profiles */
    FIRST_RETRY_MS = 1000,
    LONGEST_RETRY_MS = 8000,
};
/* Then the detector begins anew, and a microphone that gives nothing but zeros is noticed. */
static const double PATIENCE_S = 60;

struct vx_wake {
    vx_answering *answering;
    char folder[1024];
    pthread_t thread;
    bool has_thread;
    vx_desktop desk;
    bool has_desk;

    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t changed;
    bool stopping;

    /* The thread's own. */
    vx_wake_facts facts;
    char no_lock[VX_DESKTOP_WHY_CAP], no_owner[256], rest[256];
    uint64_t look_ns, owner_ns; /* when to look again */
    uint64_t rest_ns;           /* until then the microphone stays closed */
    int n_failures;             /* of the microphone, in a row */
};

bool vx_wake_may_listen(const vx_wake_facts *facts, const char **ret_why)
{
    const char *why = "";
    if (facts->lock == VX_LOCK_UNLOCKED)
        why = "the screen is not locked";
    else if (facts->lock != VX_LOCK_LOCKED)
        why = facts->no_lock;
    else if (!facts->has_owner)
        why = facts->no_owner;
    else if (facts->command)
        why = "a command of yours listens";
    else if (facts->resting)
        why = facts->rest;
    *ret_why = why;
    return facts->lock == VX_LOCK_LOCKED && facts->has_owner && !facts->command && !facts->resting;
}

int vx_wake_retry_ms(int n_failures)
{
    int ms = FIRST_RETRY_MS;
    for (int i = 1; i < n_failures && ms < LONGEST_RETRY_MS; i++)
        ms *= 2;
    return ms;
}

/* ---- looking -------------------------------------------------------------------------------------------------------- */

static bool is_stopping(vx_wake *w)
{
    (void)pthread_mutex_lock(&w->lock);
    const bool stopping = w->stopping;
    (void)pthread_mutex_unlock(&w->lock);
    return stopping;
}

/* False when it is to stop. */
static bool pause_ms(vx_wake *w, int ms)
{
    const uint64_t due_ns = vx_now_ns() + (uint64_t)ms * NS_PER_MS;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->stopping && vx_cond_wait_until(&w->changed, &w->lock, due_ns))
        continue;
    const bool goes_on = !w->stopping;
    (void)pthread_mutex_unlock(&w->lock);
    return goes_on;
}

/* Whose voice would open the screen. */
static void look_for_owner(vx_wake *w)
{
    vx_speaker speaker;
    vx_errinfo info = {0};
    char name[VX_NAME_CAP];
    const vx_runtime *r = &w->answering->runtime;
    vx_err err = r->model_err;
    if (err != VX_OK)
        info = r->model_info;
    else
        err = vx_booth_speaker(r->store, NULL, name, &info);
    if (err == VX_OK)
        err = vx_store_speaker(r->store, name, &speaker, &info);
    if (err != VX_OK)
        (void)snprintf(w->no_owner, sizeof w->no_owner, "%s", vx_errinfo_text(&info, err));
    else if (!speaker.armed || (r->manifest.starter && !speaker.starter_accepted))
        (void)snprintf(w->no_owner, sizeof w->no_owner, "no profile is armed: voxlock profiles arm NAME");
    w->facts.has_owner = err == VX_OK && speaker.armed && (!r->manifest.starter || speaker.starter_accepted);
}

static void look(vx_wake *w)
{
    const uint64_t now = vx_now_ns();
    vx_wake_facts *f = &w->facts;
    f->lock = w->desk.state(w->desk.arg);
    if (f->lock == VX_LOCK_UNKNOWN)
        (void)w->desk.method(w->desk.arg, w->no_lock);
    if (f->lock == VX_LOCK_LOCKED) {
        f->command = vx_sign_held(w->folder);
        if (now >= w->owner_ns) {
            look_for_owner(w);
            w->owner_ns = now + OWNER_MS * NS_PER_MS;
        }
    } else {
        /* The next lock begins anew; a pause after rejections is the store's to keep. */
        w->owner_ns = w->rest_ns = 0;
        w->n_failures = 0;
    }
    f->resting = now < w->rest_ns;
    w->look_ns = now + LOOK_MS * NS_PER_MS;
}

/* Asked every 10 ms while the microphone is open. */
static bool goes_on(vx_wake *w)
{
    const char *why;
    if (is_stopping(w) || vx_turn_wanted(&w->answering->turn))
        return false;
    if (vx_now_ns() >= w->look_ns)
        look(w);
    return vx_wake_may_listen(&w->facts, &why);
}

static bool gone(void *arg)
{
    return !goes_on(arg);
}

static void rest_for(vx_wake *w, int64_t ms, const char *why)
{
    w->rest_ns = vx_now_ns() + (uint64_t)ms * NS_PER_MS;
    (void)snprintf(w->rest, sizeof w->rest, "%s", why);
}

/* ---- listening ------------------------------------------------------------------------------------------------------ */

static void log_attempt(vx_wake *w, const vx_live_outcome *out)
{
    VX_LOG(w->answering->log, VX_LOG_INFO, "attempt", vx_f_int("attempt", out->attempt.id),
           vx_f_str("verdict", vx_verdict_name(out->attempt.verdict)), vx_f_str("purpose", "wake"),
           vx_f_str("unlock", out->tried_to_open ? vx_unlock_result_name(out->unlock.result) : ""),
           vx_f_int("speech_to_verdict_ms", (int64_t)out->command.speech),
           vx_f_int("end_to_verdict_ms", (int64_t)out->command.end), vx_f_bool("challenged", out->challenged));
}

/* A phrase was said: from here on it is what voxlock unlock does, with nobody to show anything to. */
static void attend(vx_wake *w, vx_live *live, const vx_live_command *heard)
{
    vx_live_outcome out;
    vx_errinfo info = {0};
    char speaker[VX_NAME_CAP];
    const vx_live_asker asker = {.arg = w, .gone = gone};
    vx_answering *a = w->answering;
    vx_answering_tell_wake(a, VX_WAKE_JUDGING, "");
    vx_err err = vx_booth_speaker(a->runtime.store, NULL, speaker, &info);
    if (err == VX_OK)
        err = vx_live_follow(live, heard, "wake", speaker, &asker, &out, &info);
    if (err != VX_OK) {
        VX_LOG(a->log, VX_LOG_WARNING, "nothing was decided", vx_f_str("code", vx_err_code(err)),
               vx_f_str("purpose", "wake"));
    } else {
        log_attempt(w, &out);
        /* Who was asked for digits is told how it ended; whoever else says the phrase hears nothing. */
        if (out.challenged && !out.attempt.may_unlock && live->aloud)
            err = vx_live_say(live, out.attempt.sentence, &asker, NULL);
        if (err != VX_OK && err != VX_ERR_CLOSED)
            VX_LOG(a->log, VX_LOG_WARNING, "the verdict could not be said", vx_f_str("code", vx_err_code(err)));
        if (out.attempt.verdict == VX_WAIT)
            rest_for(w, out.attempt.wait_ms, "too many attempts were rejected");
    }
    w->look_ns = 0;
    vx_answering_tell_wake(a, VX_WAKE_LISTENING, "");
}

static vx_err hear_once(vx_wake *w, vx_booth *booth, vx_errinfo *info)
{
    vx_live live = vx_booth_live(booth, &w->answering->runtime, false);
    const vx_live_asker asker = {.arg = w, .gone = gone};
    vx_live_command heard = {0};
    live.wait_s = PATIENCE_S;
    live.memory = &w->answering->memory;
    vx_err err = vx_live_hear(&live, &asker, &heard, info);
    if (err == VX_ERR_AUDIO_SILENT)
        vx_answering_tell_wake(w->answering, VX_WAKE_LISTENING, vx_errinfo_text(info, err));
    if (err == VX_ERR_DEADLINE || err == VX_ERR_AUDIO_SILENT)
        return VX_OK; /* nobody spoke */
    if (err == VX_OK)
        err = heard.phrase_err;
    w->look_ns = 0; /* somebody may have opened the screen while they spoke */
    if (err == VX_OK && heard.phrase >= 0 && goes_on(w))
        attend(w, &live, &heard);
    vx_live_command_done(&heard);
    return err;
}

/* A microphone that cannot be had, or is lost, is tried again, less and less often. */
static void fail(vx_wake *w, vx_err err, const vx_errinfo *info)
{
    char why[256];
    (void)snprintf(why, sizeof why, "%s", vx_errinfo_text(info, err));
    rest_for(w, vx_wake_retry_ms(++w->n_failures), why);
    vx_answering_tell_wake(w->answering, VX_WAKE_FAILED, why);
    if (w->n_failures == 1)
        VX_LOG(w->answering->log, VX_LOG_WARNING, "the agent cannot listen", vx_f_str("code", vx_err_code(err)),
               vx_f_str("why", why));
}

/* While the screen is locked and nobody asks for the microphone. */
static void listen(vx_wake *w)
{
    vx_booth booth = {0};
    vx_errinfo info = {0};
    vx_capture_state microphone;
    const char *why;
    vx_answering *a = w->answering;
    const vx_booth_wish wish = {.settings = a->settings, .desktop = true, .phrase = true};
    if (!vx_turn_take_free(&a->turn))
        return;
    vx_err err = vx_booth_open(&wish, &booth, &info);
    if (err == VX_OK) {
        vx_answering_tell_wake(a, VX_WAKE_LISTENING, "");
        vx_capture_get_state(booth.capture, &microphone);
        VX_LOG(a->log, VX_LOG_INFO, "listening for a phrase", vx_f_str("source", microphone.source));
    }
    while (err == VX_OK && goes_on(w)) {
        info = (vx_errinfo){0};
        err = hear_once(w, &booth, &info);
        w->n_failures = err == VX_OK ? 0 : w->n_failures;
    }
    vx_booth_close(&booth);
    (void)vx_wake_may_listen(&w->facts, &why);
    vx_answering_tell_wake(a, VX_WAKE_WAITING, *why ? why : "somebody else is being listened to");
    vx_turn_give(&a->turn);
    if (err != VX_OK && err != VX_ERR_CLOSED)
        fail(w, err, &info);
}

static void *wake_thread(void *arg)
{
    vx_wake *w = arg;
    const char *why;
    do {
        look(w);
        if (vx_wake_may_listen(&w->facts, &why))
            listen(w);
        else if (!w->facts.resting || w->n_failures == 0)
            vx_answering_tell_wake(w->answering, VX_WAKE_WAITING, why);
    } while (pause_ms(w, POLL_MS));
    return NULL;
}

/* ---- create and destroy --------------------------------------------------------------------------------------------- */

/* Why there is nothing to start; VX_OK: there is. */
static vx_err find_reason(vx_wake *w, vx_errinfo *info)
{
    vx_phrase_list phrases;
    const vx_options *settings = w->answering->settings;
    if (!vx_option_bool(settings, "VOXLOCK_WAKE"))
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "VOXLOCK_WAKE is false");
    const vx_err err = vx_phrase_list_read(vx_option_text(settings, "VOXLOCK_PHRASES"), &phrases, info);
    return err == VX_OK ? vx_desktop_open(&w->desk, info) : err;
}

static vx_err start(vx_wake *w, vx_errinfo *info)
{
    vx_errinfo reason = {0};
    vx_err err = find_reason(w, &reason);
    w->has_desk = err == VX_OK;
    if (err == VX_ERR_NOMEM)
        return err;
    if (err == VX_ERR_OPTION_VALUE)
        return vx_errinfo_set(info, err, "VOXLOCK_PHRASES: %s", vx_errinfo_text(&reason, err));
    if (err != VX_OK) {
        vx_answering_tell_wake(w->answering, VX_WAKE_OFF, vx_errinfo_text(&reason, err));
        return VX_OK;
    }
    if (pthread_create(&w->thread, NULL, wake_thread, w) != 0)
        return vx_errinfo_set(info, VX_ERR_INTERNAL, "no thread can be started");
    w->has_thread = true;
    return VX_OK;
}

vx_err vx_wake_create(vx_answering *answering, const char *folder, vx_wake **ret_wake, vx_errinfo *info)
{
    vx_wake *w = calloc(1, sizeof *w);
    if (!w)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&w->lock, NULL) != 0) {
        free(w);
        return VX_ERR_NOMEM;
    }
    if (!vx_cond_init(&w->changed)) {
        (void)pthread_mutex_destroy(&w->lock);
        free(w);
        return VX_ERR_NOMEM;
    }
    w->answering = answering;
    (void)snprintf(w->folder, sizeof w->folder, "%s", folder);
    w->facts = (vx_wake_facts){.no_lock = w->no_lock, .no_owner = w->no_owner, .rest = w->rest};
    const vx_err err = start(w, info);
    if (err != VX_OK) {
        vx_wake_destroy(w);
        return err;
    }
    *ret_wake = w;
    return VX_OK;
}

void vx_wake_destroy(vx_wake *w)
{
    if (!w)
        return;
    if (w->has_thread) {
        (void)pthread_mutex_lock(&w->lock);
        w->stopping = true;
        (void)pthread_cond_broadcast(&w->changed);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
        vx_answering_tell_wake(w->answering, VX_WAKE_OFF, "the agent ends");
    }
    if (w->has_desk && w->desk.close)
        w->desk.close(w->desk.arg);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}
