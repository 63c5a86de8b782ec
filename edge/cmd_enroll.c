/* cmd_enroll.c - voxlock enroll: recordings of one person, or what they say now, become a profile.
 * Owns:   the sentences that are asked for, and asking again. Does not: hear (guide.h), judge what enters (enrol.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "edge/capture/quality.h"
#include "edge/challenge/phrase_list.h"
#include "edge/cmd.h"
#include "edge/enrol.h"
#include "edge/guide.h"
#include "edge/store/profiles.h"
#include "shared/base/json.h"

enum {
    FLAG_JSON = 1 << 0,
    FLAG_REPLACE = 1 << 1,
    FLAG_ANYWAY = 1 << 2,
    MICROPHONE = 3,
    FLAG_ARM = 1 << 4,
    FLAG_STARTER = 1 << 5,
    GUIDE = 6,
    UTTERANCES = GUIDE + VX_GUIDE_N_FLAGS,
};

extern const vx_cmd vx_cmd_enroll;

/* Said besides the command phrase: all sounds of English between them. No digits: whoever came to read the store would
 * have what an answer to a challenge can be cut together from. */
static const char *const sentences[] = {
    "The quick brown fox jumps over the lazy dog while we measure the treasure.",
    "Which young child chose that bright yellow kite for the voyage south?",
    "She saw thick feathers fall beside the old garage at noon.",
    "Joyful geese usually vanish behind the church when thunder is near.",
    "Both of our good cooks enjoyed the music though the kitchen was warm.",
    "A huge red ship passed the quiet harbour while the boys were asleep.",
    "Put the sharp knife down and watch those clouds move towards us.",
    "My father thought the path through the woods would lead us home.",
    "Every morning Joyce buys fresh bread and a cup of strong tea.",
};
enum {
    MOST_UTTERANCES = 1 + sizeof sentences / sizeof *sentences, /* as many as a profile keeps */
    USUAL_UTTERANCES = 5,
    TRIES = 4,      /* for one sentence */
    SECOND_ASK = 2, /* sentences that are asked for anew, because their voice is not that of the others */
    /* Who reads a sentence out pauses in it for longer than who says a command. */
    HANG_MS = 1000,
    LABEL_CAP = 32,
};

typedef struct {
    vx_audio audio[VX_ENROL_MAX_CLIPS]; /* of files */
    vx_heard heard[MOST_UTTERANCES];    /* of a microphone */
    char names[MOST_UTTERANCES][LABEL_CAP];
    char microphones[MOST_UTTERANCES][VX_MICROPHONE_CAP];
    vx_enrol_clip clips[VX_ENROL_MAX_CLIPS];
    vx_enrol_result results[VX_ENROL_MAX_CLIPS];
    size_t n;
} recordings;

static void recordings_free(recordings *r)
{
    for (size_t i = 0; r && i < VX_ENROL_MAX_CLIPS; i++)
        vx_audio_done(&r->audio[i]);
    for (size_t i = 0; r && i < MOST_UTTERANCES; i++)
        vx_heard_done(&r->heard[i]);
    free(r);
}

/* ---- from files ------------------------------------------------------------------------------------------------------ */

/* One line a recording, on standard error: standard output is for the answer. */
static void show_progress(void *arg, size_t i, size_t n, const vx_enrol_result *result)
{
    const recordings *r = arg;
    if (result->err != VX_OK)
        dprintf(STDERR_FILENO, "[%zu/%zu] %s: %s\n", i + 1, n, r->clips[i].name, result->text);
    else
        dprintf(STDERR_FILENO, "[%zu/%zu] %s: good: %.1f s of speech, %.0f dB above the noise\n", i + 1, n,
                r->clips[i].name, result->quality.speech_s, result->quality.snr_db);
}

static vx_err read_all(const vx_cmd_call *call, recordings *r, const char **ret_what, vx_errinfo *info)
{
    for (int i = 1; i < call->n_operands; i++) {
        vx_audio *audio = &r->audio[r->n];
        *ret_what = call->operands[i];
        vx_err err = vx_cmd_read_audio(*ret_what, audio, info);
        if (err != VX_OK)
            return err;
        r->clips[r->n++] = (vx_enrol_clip){.name = *ret_what,
                                           .samples = audio->samples,
                                           .n = audio->n,
                                           .clipped_share = audio->clipped_share,
                                           .microphone = call->values[MICROPHONE]};
    }
    *ret_what = NULL;
    return VX_OK;
}

static vx_err enrol(const vx_cmd_call *call, vx_runtime *runtime, recordings *r, vx_enrol_progress_fn *progress,
                    int *ret_kept, vx_errinfo *info)
{
    const vx_enrol_options options = {.replace = call->flags & FLAG_REPLACE,
                                      .anyway = call->flags & FLAG_ANYWAY,
                                      .progress = progress,
                                      .progress_arg = r};
    return vx_enrol(runtime, call->operands[0], r->clips, r->n, &options, r->results, ret_kept, info);
}

static vx_err enrol_files(const vx_cmd_call *call, vx_runtime *runtime, recordings *r, const char **ret_what,
                          int *ret_kept, vx_errinfo *info)
{
    const vx_err err = read_all(call, r, ret_what, info);
    return err == VX_OK ? enrol(call, runtime, r, call->flags & FLAG_JSON ? NULL : show_progress, ret_kept, info) : err;
}

/* ---- spoken now ------------------------------------------------------------------------------------------------------ */

/* The i-th thing to say. The command phrase alone is too short for a template, so it is said twice. */
static void sentence_of(const vx_cmd_call *call, size_t i, char *ret, size_t cap)
{
    vx_phrase_list phrases = {0};
    if (i > 0)
        (void)snprintf(ret, cap, "%s", sentences[i - 1]);
    else if (vx_phrase_list_read(vx_option_text(call->options, "VOXLOCK_PHRASES"), &phrases, NULL) == VX_OK)
        (void)snprintf(ret, cap, "%s please, %s.", phrases.texts[0], phrases.texts[0]);
    else
        (void)snprintf(ret, cap, VX_PHRASE_DEFAULT " please, " VX_PHRASE_DEFAULT ".");
}

/* Is it good enough? What is waived by --anyway is said all the same. */
static vx_err judge(const vx_cmd_call *call, const vx_heard *heard, vx_enrol_result *result, vx_errinfo *info)
{
    vx_quality quality = {0};
    vx_span voice;
    vx_err err = vx_quality_measure(heard->samples, heard->n, &voice, &quality);
    *result = (vx_enrol_result){.quality = quality, .agreement = -1};
    if (err == VX_OK)
        err = vx_quality_judge(&quality, VX_FOR_ENROLMENT, info);
    if (err == VX_OK)
        dprintf(STDERR_FILENO, "      good: %.1f s of speech, %.0f dB above the noise\n", quality.speech_s,
                quality.snr_db);
    if (vx_exit_code(err) != VX_EXIT_AUDIO || !(call->flags & FLAG_ANYWAY) || err == VX_ERR_AUDIO_NO_SPEECH)
        return err;
    dprintf(STDERR_FILENO, "      taken, though %s\n", vx_errinfo_text(info, err));
    *info = (vx_errinfo){0};
    return VX_OK;
}

/* That the source is at its end, or that nobody wants to go on, in words of this command. */
static vx_err explain_end(const vx_guide *guide, const recordings *r, vx_err err, vx_errinfo *info)
{
    if (err != VX_ERR_CLOSED)
        return err;
    *info = (vx_errinfo){0};
    if (vx_guide_interrupted() || !guide->a_file)
        return vx_errinfo_set(info, VX_ERR_CLOSED, "stopped: nothing was enrolled");
    return vx_errinfo_set(info, VX_ERR_AUDIO_SHORT,
                          "the recording ends after %zu good utterances: record more, or ask for fewer (--utterances)",
                          r->n);
}

/* Utterance i, until it is good, in place of what there was. Errors: that of the last try; CLOSED; those of vx_guide_hear. */
static vx_err ask(const vx_cmd_call *call, vx_guide *guide, recordings *r, size_t i, size_t n, vx_errinfo *info)
{
    char label[LABEL_CAP], text[2 * VX_PHRASE_CAP + 128];
    vx_err err = VX_ERR_AUDIO_NO_SPEECH;
    (void)snprintf(label, sizeof label, "[%zu/%zu] Please say: ", i + 1, n);
    sentence_of(call, i, text, sizeof text);
    vx_heard_done(&r->heard[i]);
    for (int tries = 0; tries < TRIES && err != VX_OK; tries++) {
        if (tries > 0)
            dprintf(STDERR_FILENO, "      %s\n", vx_errinfo_text(info, err));
        *info = (vx_errinfo){0};
        vx_guide_prompt(guide, label, text);
        err = vx_guide_hear(guide, &r->heard[i], r->microphones[i], info);
        if (err == VX_OK) {
            err = judge(call, &r->heard[i], &r->results[i], info);
            if (err != VX_OK)
                vx_heard_done(&r->heard[i]);
        } else if (err != VX_ERR_DEADLINE)
            return explain_end(guide, r, err, info);
    }
    if (err != VX_OK)
        return err;
    (void)snprintf(r->names[i], LABEL_CAP, "utterance %zu", i + 1);
    r->clips[i] =
        (vx_enrol_clip){.name = r->names[i],
                        .samples = r->heard[i].samples,
                        .n = r->heard[i].n,
                        .clipped_share = -1,
                        .microphone = call->values[MICROPHONE] ? call->values[MICROPHONE] : r->microphones[i]};
    r->n = i < r->n ? r->n : i + 1;
    return VX_OK;
}

/* The one that is asked for anew, since its voice is not that of the others. r->n: none. */
static size_t odd_one(const recordings *r)
{
    size_t i = 0;
    while (i < r->n && r->results[i].err != VX_ERR_ENROL_VOICE)
        i++;
    return i;
}

static vx_err talk(const vx_cmd_call *call, vx_runtime *runtime, vx_guide *guide, recordings *r, size_t n,
                   int *ret_kept, vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (size_t i = 0; i < n && err == VX_OK; i++)
        err = ask(call, guide, r, i, n, info);
    for (int asked = 0; err == VX_OK; asked++) {
        /* From here on it is one transaction, which a signal no longer stops half-way. */
        if (vx_guide_interrupted())
            return explain_end(guide, r, VX_ERR_CLOSED, info);
        err = enrol(call, runtime, r, NULL, ret_kept, info);
        const size_t odd = odd_one(r);
        if (err != VX_ERR_ENROL_VOICE || odd == r->n || asked == SECOND_ASK || guide->a_file)
            return err;
        dprintf(STDERR_FILENO, "      %s\n", vx_errinfo_text(info, err));
        *info = (vx_errinfo){0};
        err = ask(call, guide, r, odd, n, info);
    }
    return err;
}

/* How many; a profile that is new wants its least number. Errors: OPTION_VALUE. */
static vx_err count_of(const vx_cmd_call *call, bool is_new, size_t *ret_n, vx_errinfo *info)
{
    const char *text = call->values[UTTERANCES];
    const size_t least = is_new ? VX_ENROL_MIN_CLIPS : 1;
    size_t n = text ? 0 : USUAL_UTTERANCES;
    for (const char *c = text; c && *c; c++)
        n = *c >= '0' && *c <= '9' && n <= MOST_UTTERANCES ? 10 * n + (size_t)(*c - '0') : MOST_UTTERANCES + 1;
    if (n < least || n > MOST_UTTERANCES)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "--utterances takes %zu to %d%s, not '%.20s'", least,
                              (int)MOST_UTTERANCES, is_new ? " for a new profile" : "", text ? text : "");
    *ret_n = n;
    return VX_OK;
}

/* What would refuse the enrolment in any case is found before anybody speaks. */
static vx_err enrol_spoken(const vx_cmd_call *call, vx_runtime *runtime, recordings *r, int *ret_kept, vx_errinfo *info)
{
    vx_guide guide;
    vx_speaker speaker;
    vx_capture_state state;
    size_t n = 0;
    const char *name = call->operands[0];
    vx_err err = vx_runtime_has_model(runtime, info);
    if (err == VX_OK)
        err = vx_speaker_check_name(name, info);
    if (err != VX_OK)
        return err;
    const bool is_new = call->flags & FLAG_REPLACE || vx_store_speaker(runtime->store, name, &speaker, NULL) != VX_OK;
    err = count_of(call, is_new, &n, info);
    if (err == VX_OK)
        err = vx_guide_open(call, GUIDE, HANG_MS, &guide, info);
    if (err != VX_OK)
        return err;
    vx_capture_get_state(guide.capture, &state);
    dprintf(STDERR_FILENO,
            "Enrolling %s through %s. Say each of %zu sentences as you talk every day; Ctrl-C ends it, and nothing is "
            "kept.\n",
            name, state.device[0] ? state.device : "the microphone", n);
    err = talk(call, runtime, &guide, r, n, ret_kept, info);
    vx_guide_close(&guide);
    return err;
}

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

static json_t *list_of(const recordings *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const vx_enrol_result *result = &r->results[i];
        const char *microphone = r->clips[i].microphone;
        if (json_array_append_new(
                list, json_pack("{s:o, s:b, s:f, s:f, s:o, s:o, s:o}", "file", vx_json_shown(r->clips[i].name), "taken",
                                result->taken, "speech_s", result->quality.speech_s, "snr_db", result->quality.snr_db,
                                "agreement", result->agreement >= 0 ? json_real(result->agreement) : json_null(),
                                "microphone", vx_json_shown(microphone ? microphone : ""), "reason",
                                result->err ? vx_json_shown(result->text) : json_null())) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *answer(const char *name, const recordings *r, int kept, bool armed, const vx_manifest *manifest)
{
    return json_pack("{s:{s:s, s:i, s:b, s:s, s:s}, s:o}", "profile", "name", name, "recordings_kept", kept, "armed",
                     armed, "model", manifest->name, "accuracy", manifest->accuracy, "recordings", list_of(r));
}

/* As the store has it: it may have been armed before. */
static bool is_armed(vx_store *store, const char *name)
{
    vx_speaker speaker;
    return vx_store_speaker(store, name, &speaker, NULL) == VX_OK && speaker.armed;
}

/* May an AUTHENTICATE for this profile unlock? The starter's error rate is no lock's, so its owner must say so. */
static vx_err arm(const vx_cmd_call *call, vx_runtime *runtime, vx_errinfo *info)
{
    if (!(call->flags & FLAG_ARM))
        return VX_OK;
    const bool accepted = call->flags & FLAG_STARTER;
    if (runtime->manifest.starter && !accepted)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "enrolled, but not armed: this is the starter model (%.100s). Import a better one "
                              "(docs/models.md), or say --accept-starter-model",
                              runtime->manifest.accuracy);
    return vx_store_arm(runtime->store, call->operands[0], true, accepted, info);
}

/* That the key lies beside what it protects must be known before a voice is entrusted to it. */
static void warn_of_key(vx_store *store)
{
    vx_store_view view;
    if (vx_store_get_view(store, &view, NULL) == VX_OK && *view.key_warning)
        dprintf(STDERR_FILENO, "voxlock: warning: %s\n", view.key_warning);
}

static int tell(const vx_cmd_call *call, vx_runtime *runtime, const recordings *r, int kept)
{
    const char *name = call->operands[0];
    return vx_cmd_print(answer(name, r, kept, is_armed(runtime->store, name), &runtime->manifest),
                        call->flags & FLAG_JSON);
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    const char *what = NULL;
    int kept = 0, code = VX_EXIT_OK;
    const bool spoken = call->n_operands == 1;
    if (call->n_operands - 1 > VX_ENROL_MAX_CLIPS)
        return vx_cmd_misused("at most %d recordings can be enrolled at once", VX_ENROL_MAX_CLIPS);
    for (int i = GUIDE; i <= UTTERANCES && !spoken; i++)
        if (call->values[i])
            return vx_cmd_misused("%s is for speech; leave it out, or the files", vx_cmd_enroll.flags[i].name);
    vx_err err = vx_runtime_open(call->options, call->environment,
                                 VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    warn_of_key(runtime.store);
    recordings *r = calloc(1, sizeof *r);
    err = !r       ? VX_ERR_NOMEM
          : spoken ? enrol_spoken(call, &runtime, r, &kept, &info)
                   : enrol_files(call, &runtime, r, &what, &kept, &info);
    const vx_err arm_err = err == VX_OK ? arm(call, &runtime, &info) : VX_OK;
    if (err != VX_OK && r && r->n > 0 && call->flags & FLAG_JSON)
        (void)vx_cmd_print(json_pack("{s:n, s:s, s:o}", "profile", "code", vx_err_code(err), "recordings", list_of(r)),
                           true);
    if (err == VX_OK)
        code = tell(call, &runtime, r, kept);
    if (err != VX_OK || arm_err != VX_OK)
        code = vx_cmd_fail(what, err ? err : arm_err, &info);
    recordings_free(r);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_enroll = {
    .name = "enroll",
    .usage = "NAME [FILE... | --source NAME --device NAME | --file PATH] [--replace] [--arm]",
    .help =
        "Make a profile of what one person says to the microphone, sentence by sentence, or of recordings (three at "
        "least); or add to it.",
    .flags = {{"--json", "one JSON object: profile, recordings with their measures and reasons", NULL},
              {"--replace", "drop what the profile held before", NULL},
              {"--anyway", "take recordings that are not good enough; never those of another voice", NULL},
              {"--microphone",
               "what they were recorded with, as a profile keeps a variant for each; a microphone says "
               "so itself",
               "TEXT"},
              {"--arm", "let an accepted attempt unlock the screen", NULL},
              {"--accept-starter-model", "arm although the model is the starter, whose error rate is no lock's", NULL},
              VX_GUIDE_FLAGS,
              {"--utterances", "sentences to say: 3 to 10 for a new profile, 5 without this flag", "N"}},
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
