/* enrol.c - recordings of one person become a profile.
 * Every recording is measured and embedded first; then those that are good enough are compared with each other and with
 * every profile there is; then all of them are stored with what they teach, or none.
 */
#include "edge/enrol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "edge/capture/quality.h"
#include "edge/lessons.h"
#include "edge/likeness.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"

/* Two embeddings of one recording. In a throw-away measurement, which no program here repeats, two recordings of one speaker
 * that share nothing came to 0.9945 at most (462 dev recordings), those made of the same words cut from one take to 0.9996
 * and more. */
static const double COPY_COSINE = 0.998;
/* A long enrolment by the cloud takes minutes; who waits is told after one. */
enum { TURN_WAIT_MS = 60000, TURN_STEP_MS = 20 };
/* All recordings together tell whose voice they hold; a single one only when a stranger's would hardly come so near. */
static const double BEYOND_CHANCE = 0.97;

typedef struct {
    vx_span voice;
    vx_embedding embedding; /* set when results[i].err is VX_OK, or the bound was waived */
    bool usable;
    vx_taught taught; /* owned; of what is stored */
} enrol_clip;

typedef struct {
    vx_runtime *runtime;
    const char *name;
    const vx_enrol_clip *clips;
    size_t n;
    const vx_enrol_options *options;
    vx_enrol_result *results;
    enrol_clip *work;    /* [n] */
    vx_voiceprints old;  /* the profile's, where they are kept */
    vx_voiceprints rest; /* room for old and new ones */
} enrolment;

static void refuse(vx_enrol_result *result, vx_err err, const vx_errinfo *info)
{
    result->err = err;
    (void)snprintf(result->text, sizeof result->text, "%s", vx_errinfo_text(info, err));
}

/* Quality, then the embedding of the voice in it. An error is the engine's, which fails every recording alike. */
static vx_err measure(enrolment *e, size_t i, vx_errinfo *info)
{
    const vx_enrol_clip *clip = &e->clips[i];
    vx_enrol_result *result = &e->results[i];
    vx_errinfo said = {0};
    vx_err err = vx_quality_measure(clip->samples, clip->n, &e->work[i].voice, &result->quality);
    if (err == VX_OK && clip->clipped_share >= 0)
        result->quality.clipped_share = clip->clipped_share;
    if (err == VX_OK)
        err = vx_quality_judge(&result->quality, VX_FOR_ENROLMENT, &said);
    if (err != VX_OK) {
        refuse(result, err, &said);
        /* Waived or not: without speech there is nothing to embed. */
        if (!e->options->anyway || err == VX_ERR_AUDIO_NO_SPEECH)
            return VX_OK;
    }
    err = vx_runtime_embed_patiently(e->runtime, clip->samples + e->work[i].voice.begin,
                                     e->work[i].voice.end - e->work[i].voice.begin, &e->work[i].embedding, info);
    e->work[i].usable = err == VX_OK;
    return err;
}

/* Probability that recording i is of a voice. */
static vx_err agree(const enrolment *e, const vx_voiceprints *voice, size_t i, double *ret, vx_errinfo *info)
{
    vx_score score;
    vx_err err = vx_voiceprints_compare(e->runtime, voice, &e->work[i].embedding, &e->results[i].quality, &score, info);
    if (err == VX_OK)
        *ret = score.probability;
    return err;
}

/* The profile's voiceprints, and all usable recordings but one, into e->rest. */
static void gather_rest(enrolment *e, size_t but)
{
    e->rest.n = 0;
    for (size_t i = 0; i < e->old.n; i++)
        vx_voiceprints_add(&e->rest, &e->old.embeddings[i], e->old.speech_s[i]);
    for (size_t i = 0; i < e->n; i++)
        if (i != but && e->work[i].usable)
            vx_voiceprints_add(&e->rest, &e->work[i].embedding, e->results[i].quality.speech_s);
}

/* How well recording i fits: a profile that exists is the judge alone, since two recordings of a stranger would vouch for
 * each other; a new one is judged by all its pairs, on average, for the same reason. In a throw-away measurement among dev
 * speakers, which no program here repeats, that refused 4 % of true trios (read English; 16 % by telephone) and let a
 * stranger's one or two among two others in with 10 % (15 %); the best of the others as judge let 15 % in. */
static vx_err measure_agreement(enrolment *e, size_t i, double *ret, vx_errinfo *info)
{
    double sum = 0;
    size_t n = 0;
    if (e->old.n > 0)
        return agree(e, &e->old, i, ret, info);
    vx_err err = VX_OK;
    for (size_t k = 0; k < e->n && err == VX_OK; k++) {
        double pair = 0;
        if (k == i || !e->work[k].usable)
            continue;
        e->rest.n = 0;
        vx_voiceprints_add(&e->rest, &e->work[k].embedding, e->results[k].quality.speech_s);
        err = agree(e, &e->rest, i, &pair, info);
        sum += pair;
        n++;
    }
    if (err == VX_OK)
        *ret = n > 0 ? sum / (double)n : -1;
    return err;
}

/* One voice? A recording that does not fit ends the enrolment: nobody can tell which of two voices is the owner's. */
static vx_err check_one_voice(enrolment *e, vx_errinfo *info)
{
    const double least = vx_voiceprints_threshold(e->runtime);
    vx_err err = VX_OK;
    size_t odd = e->n;
    for (size_t i = 0; i < e->n && err == VX_OK; i++) {
        e->results[i].agreement = -1;
        if (!e->work[i].usable)
            continue;
        err = measure_agreement(e, i, &e->results[i].agreement, info);
        const double agreement = e->results[i].agreement;
        if (err == VX_OK && agreement >= 0 && agreement < least &&
            (odd == e->n || agreement < e->results[odd].agreement))
            odd = i;
    }
    if (err != VX_OK || odd == e->n)
        return err;
    err = vx_errinfo_set(info, VX_ERR_ENROL_VOICE,
                         "%.100s does not hold the voice of the others (probability %.2f): record it again, alone",
                         e->clips[odd].name, e->results[odd].agreement);
    refuse(&e->results[odd], err, info);
    return err;
}

/* The same recording twice teaches nothing and looks like agreement: a copy is left out, whatever it is copied from. */
static vx_err leave_out_copies(enrolment *e)
{
    vx_err err = VX_OK;
    for (size_t i = 0; i < e->n && err == VX_OK; i++) {
        if (!e->work[i].usable)
            continue;
        gather_rest(e, i);
        /* Of two copies among the new ones the first stays. */
        for (size_t k = 0; k < e->old.n + i && k < e->rest.n && err == VX_OK && e->work[i].usable; k++) {
            double cosine = 0;
            err = vx_embedding_cosine(&e->rest.embeddings[k], &e->work[i].embedding, &cosine);
            if (err != VX_OK || cosine < COPY_COSINE)
                continue;
            e->work[i].usable = false;
            e->results[i].err = VX_ERR_EXISTS;
            (void)snprintf(e->results[i].text, sizeof e->results[i].text,
                           "the profile has this recording already: record the voice once more");
        }
    }
    return err;
}

/* Is the voice enrolled under another name? Two profiles of one voice would each open the other's lock. */
static vx_err check_profile(enrolment *e, const vx_speaker *speaker, vx_errinfo *info)
{
    vx_voiceprints profile = {0};
    size_t n = 0;
    double sum = 0, surest = 0;
    vx_err err = vx_voiceprints_load(e->runtime, speaker->id, &profile, NULL);
    if (err == VX_ERR_NOT_FOUND) /* of another model: nothing that could be compared */
        return VX_OK;
    for (size_t i = 0; i < e->n && err == VX_OK; i++) {
        double probability = 0;
        if (!e->work[i].usable)
            continue;
        err = agree(e, &profile, i, &probability, info);
        sum += probability;
        surest = probability > surest ? probability : surest;
        n++;
    }
    const double mean = n > 0 ? sum / (double)n : 0;
    if (err == VX_OK && (mean >= vx_voiceprints_threshold(e->runtime) || surest >= BEYOND_CHANCE))
        err = vx_errinfo_set(info, VX_ERR_ENROL_TAKEN,
                             "this voice is enrolled as %.64s (probability %.2f): remove that profile, or add to it",
                             speaker->name, mean > surest ? mean : surest);
    vx_voiceprints_done(&profile);
    return err;
}

static vx_err check_not_taken(enrolment *e, vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_err err = vx_store_speakers(e->runtime->store, &speakers, &n, info);
    for (size_t i = 0; i < n && err == VX_OK; i++)
        if (strcmp(speakers[i].name, e->name) != 0)
            err = check_profile(e, &speakers[i], info);
    free(speakers);
    return err;
}

/* The profile's own voiceprints, unless they are to be replaced. */
static vx_err read_profile(enrolment *e, bool *ret_new, vx_errinfo *info)
{
    vx_speaker speaker;
    vx_err err = vx_store_speaker(e->runtime->store, e->name, &speaker, NULL);
    *ret_new = err == VX_ERR_NOT_ENROLLED || e->options->replace;
    if (err == VX_ERR_NOT_ENROLLED || (err == VX_OK && e->options->replace))
        return VX_OK;
    if (err == VX_OK)
        err = vx_voiceprints_load(e->runtime, speaker.id, &e->old, info);
    return err;
}

static vx_err check_enough(const enrolment *e, bool is_new, vx_errinfo *info)
{
    int n_usable = 0;
    const vx_enrol_result *worst = NULL;
    for (size_t i = 0; i < e->n; i++) {
        n_usable += e->work[i].usable;
        if (!e->work[i].usable && !worst)
            worst = &e->results[i];
    }
    if (n_usable >= (is_new ? VX_ENROL_MIN_CLIPS : 1))
        return VX_OK;
    if (worst)
        return vx_errinfo_set(info, worst->err, "%d of %zu recordings are good enough, %d are needed; %.150s", n_usable,
                              e->n, is_new ? VX_ENROL_MIN_CLIPS : 1, worst->text);
    return vx_errinfo_set(info, VX_ERR_AUDIO_SHORT,
                          "a new profile wants %d recordings, not %zu: add more of the same voice", VX_ENROL_MIN_CLIPS,
                          e->n);
}

/* Throat, rooms, fingerprints: of fifty long recordings many seconds, in which nobody else may be kept from the store. */
static vx_err judge(enrolment *e)
{
    vx_err err = VX_OK;
    for (size_t i = 0; i < e->n && err == VX_OK; i++)
        if (e->work[i].usable)
            err = vx_lessons_judge(e->clips[i].samples, e->clips[i].n, vx_wall_ms(), &e->work[i].taught);
    return err;
}

/* A profile and what it teaches are one change: of one without the other nobody could tell later what is missing. */
static vx_err write_all(const enrolment *e, const vx_new_sample *samples, size_t n, vx_enrolled *ret, vx_errinfo *info)
{
    vx_enrolled enrolled;
    vx_store *store = e->runtime->store;
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_enrol(store, e->name, samples, n, e->options->replace, &enrolled, info);
    for (size_t i = 0; i < e->n && err == VX_OK; i++)
        if (e->work[i].usable)
            err = vx_lessons_write(store, enrolled.speaker, &e->work[i].taught, info);
    err = vx_store_end(store, err, info);
    if (err == VX_OK)
        *ret = enrolled;
    return err;
}

static vx_err store_clips(enrolment *e, int *ret_kept, vx_errinfo *info)
{
    vx_enrolled enrolled;
    size_t n = 0;
    vx_new_sample *samples = calloc(e->n, sizeof *samples);
    if (!samples)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < e->n; i++) {
        if (!e->work[i].usable)
            continue;
        samples[n] = (vx_new_sample){.samples = e->clips[i].samples + e->work[i].voice.begin,
                                     .n = e->work[i].voice.end - e->work[i].voice.begin,
                                     .quality = e->results[i].quality,
                                     .microphone = e->clips[i].microphone ? e->clips[i].microphone : "",
                                     .taken_ms = vx_wall_ms(),
                                     .embedding = &e->work[i].embedding};
        n++;
    }
    vx_err err = judge(e);
    if (err == VX_OK)
        err = write_all(e, samples, n, &enrolled, info);
    free(samples);
    if (err != VX_OK)
        return err;
    for (size_t i = 0; i < e->n; i++)
        e->results[i].taken = e->work[i].usable;
    *ret_kept = enrolled.n_kept;
    return VX_OK;
}

static vx_err enrol(enrolment *e, int *ret_kept, vx_errinfo *info)
{
    bool is_new = true;
    vx_err err = vx_runtime_has_model(e->runtime, info);
    if (err == VX_OK)
        err = vx_speaker_check_name(e->name, info);
    if (err == VX_OK)
        err = read_profile(e, &is_new, info);
    for (size_t i = 0; i < e->n && err == VX_OK; i++) {
        err = measure(e, i, info);
        if (err == VX_OK && e->options->progress)
            e->options->progress(e->options->progress_arg, i, e->n, &e->results[i]);
    }
    if (err == VX_OK)
        err = vx_voiceprints_reserve(e->old.n + e->n, &e->rest);
    if (err == VX_OK)
        err = leave_out_copies(e);
    if (err == VX_OK)
        err = check_enough(e, is_new, info);
    if (err == VX_OK)
        err = check_one_voice(e, info);
    if (err == VX_OK)
        err = check_not_taken(e, info);
    return err == VX_OK ? store_clips(e, ret_kept, info) : err;
}

/* One enrolment at a time on this computer: two that read the same profiles and then write would merge two voices.
 * ret_fd [out] its close ends it */
static vx_err take_turn(const vx_runtime *runtime, int *ret_fd, vx_errinfo *info)
{
    char path[1100];
    vx_err err = vx_path_join(runtime->data_folder, "enrol.lock", path, sizeof path);
    if (err != VX_OK)
        return err;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vx_errinfo_set_at(info, errno == EACCES ? VX_ERR_PERMISSION : VX_ERR_IO, path, -1, 0, "cannot open: %s",
                                 strerror(errno));
    for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += TURN_STEP_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            err = vx_errinfo_set_at(info, VX_ERR_IO, path, -1, 0, "cannot lock: %s", strerror(errno));
            (void)close(fd);
            return err;
        }
        if (waited_ms >= TURN_WAIT_MS) {
            (void)close(fd);
            return vx_errinfo_set(info, VX_ERR_STORE_LOCKED,
                                  "another enrolment is under way: try again when it has ended");
        }
        (void)nanosleep(&(struct timespec){0, TURN_STEP_MS * 1000000L}, NULL);
    }
    *ret_fd = fd;
    return VX_OK;
}

vx_err vx_enrol(vx_runtime *runtime, const char *name, const vx_enrol_clip *clips, size_t n,
                const vx_enrol_options *options, vx_enrol_result *ret_results, int *ret_kept, vx_errinfo *info)
{
    if (n == 0 || n > VX_ENROL_MAX_CLIPS)
        return vx_errinfo_set(info, VX_ERR_ARG, "1 to %d recordings can be enrolled at once, not %zu",
                              VX_ENROL_MAX_CLIPS, n);
    enrolment e = {
        .runtime = runtime, .name = name, .clips = clips, .n = n, .options = options, .results = ret_results};
    memset(ret_results, 0, n * sizeof *ret_results);
    int turn = -1;
    e.work = calloc(n, sizeof *e.work);
    vx_err err = e.work ? take_turn(runtime, &turn, info) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = enrol(&e, ret_kept, info);
    if (turn >= 0)
        (void)close(turn);
    for (size_t i = 0; e.work && i < n; i++)
        vx_taught_done(&e.work[i].taught);
    if (e.work)
        vx_wipe(e.work, n * sizeof *e.work);
    free(e.work);
    vx_voiceprints_done(&e.old);
    vx_voiceprints_done(&e.rest);
    return err;
}
