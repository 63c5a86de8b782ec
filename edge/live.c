/* live.c - microphone to open screen. vx_live_run and vx_live_follow, at the end, read as the path. */
#include "edge/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/challenge/speak.h"
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
/* In every pause the end of what was said is searched for a phrase, which takes 3 to 5 % of its length on one core: as much
 * as slow people need for the longest. */
static const double PHRASE_AROUND_S = 1.5, PHRASE_LETTER_S = 0.1;
/* A row of digits is good for so long, whether or not it has to be listened to first. */
static const uint64_t SHOWN_NS = 20000000000u, SPOKEN_NS = 35000000000u;
/* Our own voice is still on its way from the loudspeaker when the synthesiser has ended. */
enum { ECHO_MS = 300 };

typedef struct {
    const vx_live *live;
    const char *command, *speaker;
    const vx_live_asker *asker;
} run_state;

typedef struct {
    run_state run;
    vx_live_command command;
} hearing;

static bool somebody_waits(void *arg, const vx_vad_frame *frame)
{
    const run_state *r = arg;
    (void)frame;
    return !(r->asker && r->asker->gone && r->asker->gone(r->asker->arg));
}

static size_t longest_phrase(const vx_phrase_list *phrases)
{
    size_t longest = 0;
    for (size_t i = 0; i < phrases->n; i++) {
        const size_t n = strlen(phrases->texts[i]);
        longest = n > longest ? n : longest;
    }
    return (size_t)((PHRASE_AROUND_S + PHRASE_LETTER_S * (double)longest) * VX_AUDIO_RATE);
}

/* In a pause: with a phrase said, there is nothing more to wait for. */
static bool all_is_said(void *arg, const float *samples, size_t n)
{
    hearing *h = arg;
    const vx_live *l = h->run.live;
    const size_t most = longest_phrase(l->phrases), from = n > most ? n - most : 0;
    double score;
    h->command.phrase = -1;
    h->command.phrase_err =
        vx_phrase_list_spot(l->phrase, l->phrases, samples + from, n - from, &h->command.phrase, &score, NULL);
    return h->command.phrase >= 0;
}

void vx_live_command_done(vx_live_command *command)
{
    vx_heard_done(&command->heard);
}

vx_err vx_live_hear(const vx_live *live, const vx_live_asker *asker, vx_live_command *ret_command, vx_errinfo *info)
{
    hearing h = {.run = {.live = live, .asker = asker}, .command = {.phrase = -1}};
    const bool asks = live->phrase && live->phrases && live->phrases->n > 0;
    const vx_listen_options options = {.wait_s = live->wait_s,
                                       .most_s = UTTERANCE_MOST_S,
                                       .before_s = ROOM_BEFORE_S,
                                       .meter = somebody_waits,
                                       .meter_arg = &h.run,
                                       .pause = asks ? all_is_said : NULL,
                                       .pause_arg = &h};
    const vx_err err = vx_hear(live->capture, live->vad, &options, &h.command.heard, info);
    h.command.known_ns = vx_now_ns();
    if (err == VX_OK)
        *ret_command = h.command;
    return err;
}

static vx_err hear_answer(run_state *r, vx_heard *ret_heard, uint64_t *ret_known_ns, vx_errinfo *info)
{
    const vx_listen_options options = {.wait_s = ANSWER_WAIT_S,
                                       .most_s = ANSWER_MOST_S,
                                       .before_s = ROOM_BEFORE_S,
                                       .meter = somebody_waits,
                                       .meter_arg = r};
    const vx_err err = vx_hear(r->live->capture, r->live->answer_vad, &options, ret_heard, info);
    *ret_known_ns = vx_now_ns();
    return err;
}

static vx_err judge(run_state *r, const vx_heard *heard, uint64_t known_ns, bool answered, vx_live_outcome *out,
                    vx_errinfo *info)
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
        .own_speaker = heard->playback,
        .live = !r->live->from_file,
        .answered = answered};
    vx_err err = vx_attempt_run(r->live->runtime, &request, &out->attempt, info);
    if (err == VX_OK) {
        vx_live_times *times = answered ? &out->answer : &out->command;
        *times = (vx_live_times){.speech = vx_ms_since(heard->ended_ns), .end = vx_ms_since(known_ns)};
    }
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
        /* An answer that was judged has said what was lacking. */
        if (!out->digits_right)
            (void)snprintf(out->attempt.sentence, sizeof out->attempt.sentence,
                           "Those were not the digits asked for: try again, or type your password.");
        else if (out->attempt.verdict == VX_CHALLENGE && !out->attempt.voice_accepted)
            (void)snprintf(out->attempt.sentence, sizeof out->attempt.sentence,
                           "The digits were right, the voice was not: try again, or type your password.");
        out->attempt.verdict = VX_REJECT;
        out->attempt.may_unlock = false;
    }
    return err;
}

static void forget_until(vx_capture *capture, uint64_t due_ns)
{
    float samples[VX_AUDIO_RATE / 10];
    size_t n = 0;
    vx_err err = VX_OK;
    /* 20 s: more than any source keeps. */
    for (int i = 0; i < 200 && (err == VX_OK || (err == VX_ERR_DEADLINE && vx_now_ns() < due_ns)); i++)
        err = vx_capture_read(capture, samples, sizeof samples / sizeof *samples, due_ns, &n, NULL);
    vx_wipe(samples, sizeof samples);
}

/* While we speak ourselves. */
static bool hears_nothing(void *arg)
{
    const run_state *r = arg;
    forget_until(r->live->capture, 0);
    return somebody_waits(arg, NULL);
}

vx_err vx_live_say(const vx_live *live, const char *sentence, const vx_live_asker *asker, vx_errinfo *info)
{
    run_state r = {.live = live, .asker = asker};
    const vx_err err = vx_speak(sentence, hears_nothing, &r, info);
    forget_until(live->capture, vx_now_ns() + ECHO_MS * UINT64_C(1000000));
    return err;
}

/* Asks for the digits. What was heard up to the end of the question answers nothing.
 * Errors: NOT_FOUND, DEADLINE (nobody was told), CLOSED, NOMEM */
static vx_err ask(run_state *r, const vx_challenge *asked, vx_errinfo *info)
{
    char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT], sentence[2 * VX_CHALLENGE_TEXT];
    const vx_live *l = r->live;
    const bool shown = r->asker && r->asker->say;
    vx_err err = VX_OK;
    vx_challenge_text(asked, digits, words);
    (void)snprintf(sentence, sizeof sentence, "Please say: %s", digits);
    if (shown)
        r->asker->say(r->asker->arg, sentence);
    if (l->aloud) {
        /* Digit by digit: without commas synthesisers read a number. */
        size_t at = (size_t)snprintf(sentence, sizeof sentence, "Please say: ");
        for (const char *w = words; *w; w++)
            at += (size_t)snprintf(sentence + at, sizeof sentence - at, *w == ' ' ? ", " : "%c", *w);
        err = vx_live_say(l, sentence, r->asker, info);
    } else if (!l->from_file) {
        forget_until(l->capture, 0);
    }
    vx_wipe(digits, sizeof digits);
    vx_wipe(words, sizeof words);
    vx_wipe(sentence, sizeof sentence);
    /* Who can read need not be told. */
    return shown && (err == VX_ERR_NOT_FOUND || err == VX_ERR_DEADLINE) ? VX_OK : err;
}

/* One answer: heard, recognised, and where the digits are right judged. The same recording must hold the voice.
 * ret_heard [out] the recording, when it passed; the caller's then */
static vx_err take_answer(run_state *r, vx_challenge *asked, vx_challenge_result *ret_result, vx_live_outcome *out,
                          vx_heard *ret_heard, vx_errinfo *info)
{
    vx_heard heard = {0};
    char said[VX_DIGITS_CAP] = "";
    uint64_t known_ns = 0;
    vx_err err = hear_answer(r, &heard, &known_ns, info);
    if (err == VX_OK)
        err = vx_phrase_digits(r->live->phrase, VX_CHALLENGE_DIGITS, heard.samples + heard.begin,
                               heard.end - heard.begin, said, info);
    if (err == VX_OK) {
        *ret_result = vx_challenge_answer(asked, said);
        out->digits_right = *ret_result == VX_CHALLENGE_PASSED;
    }
    vx_wipe(said, sizeof said);
    if (err == VX_OK && out->digits_right)
        err = judge(r, &heard, known_ns, true, out, info);
    if (err == VX_OK && out->attempt.challenge_passed)
        *ret_heard = heard;
    else
        vx_heard_done(&heard);
    return err;
}

/* A challenge that nobody asks is an end: the sentence must not promise digits. */
static void explain_end(vx_live_outcome *out, bool can_ask)
{
    (void)snprintf(out->attempt.sentence, sizeof out->attempt.sentence, "%s",
                   can_ask ? "More proof is needed than the voice gives: try again, or type your password."
                           : "More proof is needed, and this computer cannot ask for digits: type your password.");
}

/* Digits, asked for and heard. Returns VX_OK also when they were wrong: out says how it ended.
 * ret_heard [out] the answer that passed, or nothing */
static vx_err challenge(run_state *r, vx_live_outcome *out, vx_heard *ret_heard, vx_errinfo *info)
{
    vx_challenge *asked = NULL;
    vx_challenge_result result = VX_CHALLENGE_WRONG;
    vx_errinfo why = {0};
    vx_err err = vx_challenge_create(r->live->aloud ? SPOKEN_NS : SHOWN_NS, vx_clock_monotonic(), &asked);
    if (err != VX_OK)
        return err;
    while (result == VX_CHALLENGE_WRONG && err == VX_OK) {
        err = ask(r, asked, &why);
        /* To walk off while they are being told is an answer, too. */
        out->challenged = out->challenged || err == VX_OK || err == VX_ERR_CLOSED;
        if (err == VX_OK)
            err = take_answer(r, asked, &result, out, ret_heard, &why);
    }
    vx_challenge_destroy(asked);
    if (!out->challenged && (err == VX_ERR_NOT_FOUND || err == VX_ERR_DEADLINE)) {
        explain_end(out, false); /* digits that nobody was told are no challenge */
        return VX_OK;
    }
    if (err != VX_OK)
        (void)vx_errinfo_set(info, err, "%s", vx_errinfo_text(&why, err));
    if (!out->challenged)
        return err;
    /* These verdicts on the answer are on record already. Whatever else became of it, such as being too loud to be judged, is
     * no pass. */
    const vx_verdict verdict = out->attempt.verdict;
    if (verdict == VX_AUTHENTICATE || verdict == VX_REJECT || verdict == VX_ESCALATE)
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

vx_err vx_live_follow(const vx_live *live, const vx_live_command *heard, const char *command, const char *speaker,
                      const vx_live_asker *asker, vx_live_outcome *ret_outcome, vx_errinfo *info)
{
    run_state r = {live, command, speaker, asker};
    vx_live_outcome out = {0};
    vx_heard answer = {0};
    const bool can_ask = live->phrase && (live->aloud || (asker && asker->say) || live->from_file);
    vx_err err = judge(&r, &heard->heard, heard->known_ns, false, &out, info);
    if (err == VX_OK && out.attempt.verdict == VX_CHALLENGE && out.attempt.voice_accepted && can_ask)
        err = challenge(&r, &out, &answer, info);
    else if (err == VX_OK && out.attempt.verdict == VX_CHALLENGE)
        explain_end(&out, can_ask);
    /* Whoever went away is let in no more: somebody else may stand there now. */
    if (err == VX_OK && !somebody_waits(&r, NULL))
        err = vx_errinfo_set(info, VX_ERR_CLOSED, "nobody waited for the verdict any more");
    if (err == VX_OK) {
        open_screen(&r, &out);
        /* A profile takes a recording of nothing less than a voice that was found living, where that is looked for. */
        if (answer.samples && !live->from_file && vx_attempt_is_proved(live->runtime, &out.attempt))
            keep_variant(&r, &answer);
        *ret_outcome = out;
    }
    vx_heard_done(&answer);
    return err;
}

vx_err vx_live_run(const vx_live *live, const char *command, const char *speaker, const vx_live_asker *asker,
                   vx_live_outcome *ret_outcome, vx_errinfo *info)
{
    vx_live_command heard = {0};
    vx_err err = vx_live_hear(live, asker, &heard, info);
    if (err == VX_OK)
        err = vx_live_follow(live, &heard, command, speaker, asker, ret_outcome, info);
    vx_live_command_done(&heard);
    return err;
}

static json_t *times_json(const vx_live_times *times)
{
    return json_pack("{s:f, s:f}", "speech", times->speech, "end", times->end);
}

json_t *vx_live_json(const vx_live_outcome *out)
{
    json_t *root = vx_attempt_json(&out->attempt);
    json_t *unlock = out->tried_to_open
                         ? json_pack("{s:s, s:o, s:f}", "result", vx_unlock_result_name(out->unlock.result), "sentence",
                                     vx_json_shown(out->unlock.sentence), "elapsed_ms", out->unlock.elapsed_ms)
                         : json_null();
    json_t *more = json_pack("{s:b, s:b, s:o, s:o, s:o}", "challenged", out->challenged, "digits_right",
                             out->digits_right, "command_ms", times_json(&out->command), "answer_ms",
                             out->answer.speech > 0 ? times_json(&out->answer) : json_null(), "unlock", unlock);
    if (!root || !more || json_object_update(root, more) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(more);
    return root;
}
