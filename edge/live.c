/* live.c - microphone to open screen. vx_live_run, at the end, reads as the path. */
#include "edge/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/enrol.h"
#include "edge/store/attempts.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

/* An answer must be long enough for five digits said slowly, and too short for much else. */
static const double ANSWER_WAIT_S = 8, ANSWER_MOST_S = 7, UTTERANCE_MOST_S = 15, ROOM_BEFORE_S = 0.5;

typedef struct {
    const vx_live *live;
    const char *command, *speaker;
    const vx_live_asker *asker;
} run_state;

static void say(const run_state *r, const char *sentence)
{
    if (r->asker && r->asker->say)
        r->asker->say(r->asker->arg, sentence);
}

static bool somebody_waits(void *arg, const vx_vad_frame *frame)
{
    const run_state *r = arg;
    (void)frame;
    return !(r->asker && r->asker->gone && r->asker->gone(r->asker->arg));
}

static vx_err hear(run_state *r, double wait_s, double most_s, vx_heard *ret_heard, vx_errinfo *info)
{
    const vx_listen_options options = {
        .wait_s = wait_s, .most_s = most_s, .before_s = ROOM_BEFORE_S, .meter = somebody_waits, .meter_arg = r};
    vx_vad_reset(r->live->vad);
    return vx_hear(r->live->capture, r->live->vad, &options, ret_heard, info);
}

static vx_err judge(run_state *r, const vx_heard *heard, bool answered, vx_live_outcome *out, vx_errinfo *info)
{
    vx_capture_state microphone;
    vx_capture_get_state(r->live->capture, &microphone);
    const vx_attempt_request request = {
        .command = r->command,
        .speaker = r->speaker,
        /* An answer's voice is that of its digits, not of what was played around them. */
        .samples = heard->samples + (answered ? heard->begin : 0),
        .n = answered ? heard->end - heard->begin : heard->n,
        .clipped_share = -1,
        .microphone = microphone.device,
        .live = !r->live->from_file,
        .answered = answered};
    vx_err err = vx_attempt_run(r->live->runtime, &request, &out->attempt, info);
    if (err == VX_OK)
        out->speech_to_verdict_ms = vx_ms_since(heard->ended_ns);
    return err;
}

/* A microphone that the profile does not know yet: what was just proved is kept as its variant. That it cannot be kept
 * (too noisy for a template, a full disk) changes nothing now. */
static void keep_variant(const run_state *r, const vx_heard *heard)
{
    vx_speaker speaker;
    vx_sample *samples = NULL;
    size_t n = 0;
    bool known = false;
    int kept;
    vx_capture_state microphone;
    vx_enrol_result result;
    vx_store *store = r->live->runtime->store;
    vx_capture_get_state(r->live->capture, &microphone);
    if (!*microphone.device || vx_store_speaker(store, r->speaker, &speaker, NULL) != VX_OK ||
        vx_store_samples(store, speaker.id, NULL, &samples, &n, NULL) != VX_OK)
        return;
    for (size_t i = 0; i < n; i++)
        known = known || strcmp(samples[i].microphone, microphone.device) == 0;
    free(samples);
    const vx_enrol_clip clip = {"the answer", heard->samples, heard->n, -1, microphone.device};
    if (!known &&
        vx_enrol(r->live->runtime, r->speaker, &clip, 1, &(vx_enrol_options){0}, &result, &kept, NULL) != VX_OK)
        return;
}

/* A challenge that was begun and not passed is a rejection, however it ended: wrong digits, another voice, silence, a hang-up.
 * It counts towards the pause, or guessing, and fishing for digits that a recording happens to hold, would be free. */
static vx_err reject_answer(const run_state *r, vx_live_outcome *out, vx_errinfo *info)
{
    vx_store *store = r->live->runtime->store;
    vx_attempt_record record = {.verdict = VX_REJECT, .detail = "{\"challenge\":\"failed\"}"};
    vx_err err = vx_attempt_begin(store, r->command, r->speaker, vx_wall_ms(), &record.id, info);
    if (err != VX_OK)
        return err;
    record.ended_ms = vx_wall_ms();
    (void)snprintf(record.speaker, sizeof record.speaker, "%s", r->speaker);
    err = vx_attempt_end(store, record.id, &record, info);
    if (err == VX_OK) {
        out->attempt.id = record.id;
        out->attempt.verdict = VX_REJECT;
        out->attempt.may_unlock = false;
        (void)snprintf(out->attempt.sentence, sizeof out->attempt.sentence, "%s",
                       out->digits_right ? "The digits were right, the voice was not: try again, or type your password."
                                         : "Those were not the digits asked for: try again, or type your password.");
    }
    return err;
}

/* What was said before the digits were shown answers nothing. */
static void forget_the_past(vx_capture *capture)
{
    float samples[VX_AUDIO_RATE / 10];
    size_t n = 0;
    vx_err err = VX_OK;
    for (int i = 0; i < 200 && err == VX_OK; i++) /* 20 s: more than any source keeps */
        err = vx_capture_read(capture, samples, sizeof samples / sizeof *samples, 0, &n, NULL);
    vx_wipe(samples, sizeof samples);
}

/* One answer: heard, recognised, and where the digits are right judged. The same recording must hold the voice.
 * ret_heard [out] the recording, when it passed; the caller's then */
static vx_err take_answer(run_state *r, vx_challenge *asked, vx_challenge_result *ret_result, vx_live_outcome *out,
                          vx_heard *ret_heard, vx_errinfo *info)
{
    vx_heard heard = {0};
    char said[VX_DIGITS_CAP] = "";
    if (!r->live->from_file)
        forget_the_past(r->live->capture);
    vx_err err = hear(r, ANSWER_WAIT_S, ANSWER_MOST_S, &heard, info);
    if (err == VX_OK)
        err = vx_phrase_digits(r->live->phrase, VX_CHALLENGE_DIGITS, heard.samples + heard.begin,
                               heard.end - heard.begin, said, info);
    if (err == VX_OK) {
        *ret_result = vx_challenge_answer(asked, said);
        out->digits_right = *ret_result == VX_CHALLENGE_PASSED;
    }
    vx_wipe(said, sizeof said);
    if (err == VX_OK && out->digits_right)
        err = judge(r, &heard, true, out, info);
    if (err == VX_OK && out->attempt.challenge_passed)
        *ret_heard = heard;
    else
        vx_heard_done(&heard);
    return err;
}

/* Digits, asked for and heard. Returns VX_OK also when they were wrong: out says how it ended.
 * ret_heard [out] the answer that passed, or nothing */
static vx_err challenge(run_state *r, vx_live_outcome *out, vx_heard *ret_heard, vx_errinfo *info)
{
    vx_challenge *asked = NULL;
    char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT], sentence[2 * VX_CHALLENGE_TEXT];
    vx_err err = vx_challenge_create(0, vx_clock_monotonic(), &asked);
    if (err != VX_OK)
        return err;
    vx_challenge_text(asked, digits, words);
    (void)snprintf(sentence, sizeof sentence, "Please say: %s", digits);
    out->challenged = true;
    for (vx_challenge_result result = VX_CHALLENGE_WRONG; result == VX_CHALLENGE_WRONG && err == VX_OK;) {
        say(r, sentence);
        err = take_answer(r, asked, &result, out, ret_heard, info);
    }
    vx_challenge_destroy(asked);
    /* REJECT and ESCALATE of the answer are on record already. */
    if (out->attempt.verdict != VX_CHALLENGE)
        return err;
    const vx_err rejected = reject_answer(r, out, err == VX_OK ? info : NULL);
    return err == VX_OK ? rejected : err;
}

static void open_screen(run_state *r, vx_live_outcome *out)
{
    const vx_live *l = r->live;
    if (!l->desktop || !out->attempt.may_unlock)
        return;
    vx_unlock_run(l->desktop, &l->unlock, l->secret, l->secret_arg, l->memory, &out->unlock);
    out->tried_to_open = true;
    char detail[128];
    (void)snprintf(detail, sizeof detail, "{\"attempt\":%lld,\"result\":\"%s\"}", (long long)out->attempt.id,
                   vx_unlock_result_name(out->unlock.result));
    /* The screen is as it is, also when that cannot be written down: the caller is told. */
    out->unlock_err = vx_audit_add(l->runtime->store, "unlock", r->speaker, detail, NULL);
}

/* A challenge that nobody asks is an end: the sentence must not promise digits. */
static void explain_end(vx_live_outcome *out, bool can_ask)
{
    (void)snprintf(out->attempt.sentence, sizeof out->attempt.sentence, "%s",
                   can_ask ? "More proof is needed than the voice gives: try again, or type your password."
                           : "More proof is needed, and this computer cannot ask for digits: type your password.");
}

vx_err vx_live_run(const vx_live *live, const char *command, const char *speaker, const vx_live_asker *asker,
                   vx_live_outcome *ret_outcome, vx_errinfo *info)
{
    run_state r = {live, command, speaker, asker};
    vx_live_outcome out = {0};
    vx_heard heard = {0}, answer = {0};
    vx_err err = hear(&r, live->wait_s, UTTERANCE_MOST_S, &heard, info);
    if (err == VX_OK)
        err = judge(&r, &heard, false, &out, info);
    vx_heard_done(&heard);
    if (err == VX_OK && out.attempt.verdict == VX_CHALLENGE && out.attempt.voice_accepted && live->phrase)
        err = challenge(&r, &out, &answer, info);
    else if (err == VX_OK && out.attempt.verdict == VX_CHALLENGE)
        explain_end(&out, live->phrase != NULL);
    /* Whoever went away is let in no more: somebody else may stand there now. */
    if (err == VX_OK && !somebody_waits(&r, NULL))
        err = vx_errinfo_set(info, VX_ERR_CLOSED, "nobody waited for the verdict any more");
    if (err == VX_OK) {
        open_screen(&r, &out);
        if (answer.samples && !live->from_file)
            keep_variant(&r, &answer);
        *ret_outcome = out;
    }
    vx_heard_done(&answer);
    return err;
}

json_t *vx_live_json(const vx_live_outcome *out)
{
    json_t *root = vx_attempt_json(&out->attempt);
    json_t *unlock = out->tried_to_open
                         ? json_pack("{s:s, s:o, s:f}", "result", vx_unlock_result_name(out->unlock.result), "sentence",
                                     vx_json_shown(out->unlock.sentence), "elapsed_ms", out->unlock.elapsed_ms)
                         : json_null();
    json_t *more = json_pack("{s:b, s:b, s:f, s:o}", "challenged", out->challenged, "digits_right", out->digits_right,
                             "speech_to_verdict_ms", out->speech_to_verdict_ms, "unlock", unlock);
    if (!root || !more || json_object_update(root, more) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(more);
    return root;
}
