/* phrase.c - phrases and digits as a recogniser wants them: its words, their sounds, its grammar, its samples.
 * Owns:   the dictionary, the grammar of digits, from which score on a phrase counts as found, and its opposite.
 *         Does not: recognise; a plugin does (phrase_plugin.h).
 *
 * The recogniser is given only the words that are used, out of the mapped dictionary: with all 134,723 of them it takes
 * 300 ms and 33 MB to open, with the digits 40 ms and 11 MB.
 */
#include "edge/challenge/phrase.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/challenge/phrase_plugin.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/base/plugin.h"

static const char *const model_folders[] = {
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
    "/opt/homebrew/share/pocketsphinx/model/en-us",
};
/* Without "oh": it is part of "four" and "zero", and with it more digits of others are wrong (docs/challenge.md). */
static const char *const digit_words[] = {"zero", "one", "two",   "three", "four",
                                          "five", "six", "seven", "eight", "nine"};
enum { N_DIGIT_WORDS = sizeof digit_words / sizeof *digit_words };

enum {
    SAMPLE_RATE = 16000,
    MIN_SAMPLES = SAMPLE_RATE / 10, /* less holds no word */
    MAX_SAMPLES = VX_PHRASE_MAX_SECONDS * SAMPLE_RATE,
    MAX_VARIANTS = 9, /* ways to say one word; the dictionary's most are 5 */
    PHONES_CAP = 256, /* of one word */
    WORDS_CAP = 512,  /* that were recognised */
    GRAMMAR_CAP = 512,
    N_KNOWN = 64,   /* words of phrases; more are looked up each time */
    MIN_PHONES = 8, /* docs/challenge.md, "False alarms" */
};

/* Logarithm, per frame, of how much likelier other sounds than the phrase may be (docs/challenge.md, "False alarms"). */
#define FOUND_LOG_RATIO    (-3.0)
/* Logarithm of how much likelier other sounds than "un" may be in front of "lock my screen" (docs/challenge.md, "Lock and
 * unlock"). */
#define OPPOSITE_LOG_RATIO (-24.0)
/* Score of a phrase of which only the opposite was said. */
#define OPPOSITE_SCORE     0.49

/* A word that the recogniser has. */
typedef struct {
    char text[VX_PHRASE_CAP];
    size_t n_phones;
} known_word;

struct vx_phrase {
    const vx_phrase_plugin *plugin;
    vx_recogniser *recogniser;
    /* Mapped while a word is looked up that is not among the known ones: it is 3 MB that would else stay in memory. */
    char dictionary[PATH_MAX];
    known_word known[N_KNOWN];
    size_t n_known;
};

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

static vx_err say_engine(vx_err err, const char *why, vx_errinfo *info)
{
    if (err != VX_ERR_ENGINE)
        return err;
    return vx_errinfo_set(info, err, "the speech recogniser failed: %s", why);
}

static vx_err load(const vx_phrase_plugin **ret_plugin, vx_errinfo *info)
{
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    const vx_err err = vx_plugin_load("vx_phrase_sphinx", VX_PHRASE_PLUGIN_SYMBOL, &symbol, &cause);
    if (err != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, cause.path, -1, 0, "no speech is recognised: %s",
                                 vx_errinfo_text(&cause, err));
    const vx_phrase_plugin *plugin = symbol;
    if (plugin->abi != VX_PHRASE_ABI)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "vx_phrase_sphinx.so is of another version");
    *ret_plugin = plugin;
    return VX_OK;
}

/* ret_phones of one entry of the dictionary: "unlock AH N L AA K" is a line of it. */
static bool look_up(const vx_map *dictionary, const char *word, char ret_phones[PHONES_CAP])
{
    char line[VX_PHRASE_CAP + 8];
    const int n = snprintf(line, sizeof line, "\n%s ", word);
    if (n < 0 || (size_t)n >= sizeof line)
        return false;
    const char *text = (const char *)dictionary->data, *at = NULL;
    const size_t n_word = (size_t)n - 1;
    if (dictionary->len >= n_word && memcmp(text, line + 1, n_word) == 0)
        at = text + n_word;
    else if ((at = memmem(text, dictionary->len, line, n_word + 1)) != NULL)
        at += n_word + 1;
    if (!at)
        return false;
    const size_t left = dictionary->len - (size_t)(at - text);
    const char *end = memchr(at, '\n', left);
    const size_t n_phones = end ? (size_t)(end - at) : left;
    if (n_phones == 0 || n_phones >= PHONES_CAP)
        return false;
    memcpy(ret_phones, at, n_phones);
    ret_phones[n_phones] = '\0';
    return true;
}

static size_t count_words(const char *text)
{
    size_t n = 0;
    for (const char *at = text; *at; at++)
        n += *at != ' ' && (at == text || at[-1] == ' ');
    return n;
}

/* ret_phones [out] how many sounds the first way to say it has; 0: the dictionary does not know it */
static vx_err learn_from(vx_phrase *p, const vx_map *dictionary, const char *word, size_t *ret_phones, vx_errinfo *info)
{
    char name[VX_PHRASE_CAP + 4], phones[PHONES_CAP], why[VX_PHRASE_WHY_CAP] = "";
    size_t n_phones = 0;
    for (int k = 1; k <= MAX_VARIANTS; k++) {
        (void)snprintf(name, sizeof name, k == 1 ? "%s" : "%s(%d)", word, k);
        if (!look_up(dictionary, name, phones))
            break;
        const vx_err err = p->plugin->add_word(p->recogniser, name, phones, why);
        if (err != VX_OK)
            return say_engine(err, why, info);
        if (k == 1)
            n_phones = count_words(phones);
    }
    *ret_phones = n_phones;
    return VX_OK;
}

/* Teaches the recogniser a word, in all the ways in which it is said. ret_phones [out] as above */
static vx_err learn(vx_phrase *p, const char *word, size_t *ret_phones, vx_errinfo *info)
{
    vx_map dictionary = {0};
    for (size_t i = 0; i < p->n_known; i++)
        if (strcmp(p->known[i].text, word) == 0) {
            *ret_phones = p->known[i].n_phones;
            return VX_OK;
        }
    vx_err err = vx_map_open(p->dictionary, &dictionary, info);
    if (err != VX_OK)
        return err;
    err = learn_from(p, &dictionary, word, ret_phones, info);
    vx_map_close(&dictionary);
    if (err == VX_OK && p->n_known < N_KNOWN) {
        known_word *known = &p->known[p->n_known++];
        (void)snprintf(known->text, sizeof known->text, "%s", word);
        known->n_phones = *ret_phones;
    }
    return err;
}

static vx_err learn_digits(vx_phrase *p, const char *folder, vx_errinfo *info)
{
    for (size_t i = 0; i < N_DIGIT_WORDS; i++) {
        size_t n_phones = 0;
        const vx_err err = learn(p, digit_words[i], &n_phones, info);
        if (err != VX_OK)
            return err;
        if (n_phones == 0)
            return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, folder, -1, 0, "the dictionary does not know '%s'",
                                     digit_words[i]);
    }
    return VX_OK;
}

static vx_err open_model(vx_phrase *p, const char *folder, vx_errinfo *info)
{
    char path[PATH_MAX], why[VX_PHRASE_WHY_CAP] = "";
    vx_err err = vx_path_join(folder, "cmudict-en-us.dict", p->dictionary, sizeof p->dictionary);
    if (err == VX_OK)
        err = vx_path_join(folder, "en-us", path, sizeof path);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "the path of the speech model is too long");
    if (access(p->dictionary, R_OK) != 0)
        return vx_errinfo_set_at(info, VX_ERR_NOT_FOUND, p->dictionary, -1, 0, "there is no dictionary");
    if (access(path, R_OK | X_OK) != 0)
        return vx_errinfo_set_at(info, VX_ERR_NOT_FOUND, path, -1, 0, "there is no acoustic model");
    err = say_engine(p->plugin->open(path, &p->recogniser, why), why, info);
    return err == VX_OK ? learn_digits(p, folder, info) : err;
}

static const char *installed_model(void)
{
    for (size_t i = 0; i < sizeof model_folders / sizeof *model_folders; i++)
        if (access(model_folders[i], R_OK | X_OK) == 0)
            return model_folders[i];
    return NULL;
}

vx_err vx_phrase_open(const char *model_folder, vx_phrase **ret_phrase, vx_errinfo *info)
{
    const vx_phrase_plugin *plugin = NULL;
    vx_err err = load(&plugin, info);
    if (err != VX_OK)
        return err;
    const char *folder = model_folder ? model_folder : installed_model();
    if (!folder)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                              "no speech model is installed: install the package pocketsphinx-en-us");
    vx_phrase *p = calloc(1, sizeof *p);
    if (!p)
        return VX_ERR_NOMEM;
    p->plugin = plugin;
    err = open_model(p, folder, info);
    if (err != VX_OK) {
        vx_phrase_close(p);
        return err;
    }
    *ret_phrase = p;
    return VX_OK;
}

void vx_phrase_close(vx_phrase *phrase)
{
    if (!phrase)
        return;
    if (phrase->plugin)
        phrase->plugin->close(phrase->recogniser);
    free(phrase);
}

/* ---- samples ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    int16_t *samples; /* NULL: too few to hold a word */
    size_t n;
} recording;

static vx_err record(const float *samples, size_t n, recording *ret_recording, vx_errinfo *info)
{
    if (n > MAX_SAMPLES)
        return vx_errinfo_set(info, VX_ERR_RANGE, "words are looked for in at most %d seconds", VX_PHRASE_MAX_SECONDS);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(samples[i]))
            return vx_errinfo_set(info, VX_ERR_RANGE, "the recording holds NaN or infinite samples");
    recording r = {.n = n};
    if (n >= MIN_SAMPLES) {
        r.samples = malloc(n * sizeof *r.samples);
        if (!r.samples)
            return VX_ERR_NOMEM;
        for (size_t i = 0; i < n; i++)
            r.samples[i] = (int16_t)lrintf(fmaxf(-32768, fminf(32767, samples[i] * 32768)));
    }
    *ret_recording = r;
    return VX_OK;
}

static void recording_done(recording *r)
{
    if (r->samples)
        vx_wipe(r->samples, r->n * sizeof *r->samples);
    free(r->samples);
}

/* ---- phrases ------------------------------------------------------------------------------------------------------------ */

/* Learns the words of a phrase. */
static vx_err check_phrase(vx_phrase *p, const char *phrase, vx_errinfo *info)
{
    char word[VX_PHRASE_CAP];
    size_t n_phones = 0;
    if (strnlen(phrase, VX_PHRASE_CAP) == VX_PHRASE_CAP)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "a phrase has at most %d letters", VX_PHRASE_CAP - 1);
    for (const char *at = phrase; *at; at++)
        if (!(*at >= 'a' && *at <= 'z') && *at != '\'' && *at != ' ')
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                                  "a phrase has lower-case letters, apostrophes and spaces only");
    for (const char *at = phrase; *at;) {
        const size_t n = strcspn(at, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, at);
        at += n + strspn(at + n, " ");
        size_t n_of_word = 0;
        const vx_err err = n > 0 ? learn(p, word, &n_of_word, info) : VX_OK;
        if (err != VX_OK)
            return err;
        if (n > 0 && n_of_word == 0)
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                                  "the dictionary does not know the word '%s': choose another", word);
        n_phones += n_of_word;
    }
    if (n_phones < MIN_PHONES)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "the phrase '%s' is too short to be told from other speech: take a longer one", phrase);
    return VX_OK;
}

/* 0.5 at the bound; the slope has no meaning but to keep the order. */
static double score_of(double log_ratio)
{
    return 1 / (1 + exp(FOUND_LOG_RATIO - log_ratio));
}

/* Of "unlock my screen" "lock my screen", within it: the same but for two sounds, and the opposite.
 * ret_opposite [out] NULL where the dictionary knows no such word */
static vx_err opposite_of(vx_phrase *p, const char *phrase, const char **ret_opposite, vx_errinfo *info)
{
    static const char prefix[] = "un";
    const size_t n_prefix = sizeof prefix - 1;
    char word[VX_PHRASE_CAP];
    size_t n_phones = 0;
    *ret_opposite = NULL;
    if (strncmp(phrase, prefix, n_prefix) != 0)
        return VX_OK;
    (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(phrase + n_prefix, " "), phrase + n_prefix);
    const vx_err err = *word ? learn(p, word, &n_phones, info) : VX_OK;
    if (n_phones > 0)
        *ret_opposite = phrase + n_prefix;
    return err;
}

static vx_err spot(vx_phrase *p, const char *phrase, const recording *r, vx_spotting *ret, vx_errinfo *info)
{
    char why[VX_PHRASE_WHY_CAP] = "";
    return say_engine(p->plugin->spot(p->recogniser, phrase, r->samples, r->n, ret, why), why, info);
}

static double whole_log_ratio(const vx_spotting *s)
{
    return s->n_frames > 0 ? s->log_ratio * s->n_frames : -HUGE_VAL;
}

/* A phrase is found by its sounds on average, to which two that are missing matter little: "lock my screen" would be
 * "unlock my screen". So what is found is held against its opposite. */
static vx_err spot_one(vx_phrase *p, const char *phrase, const recording *r, double *ret_score, vx_errinfo *info)
{
    const char *opposite = NULL;
    vx_spotting found = {0}, other = {0};
    vx_err err = spot(p, phrase, r, &found, info);
    double score = err == VX_OK ? score_of(found.log_ratio) : 0;
    if (err == VX_OK && score >= 0.5)
        err = opposite_of(p, phrase, &opposite, info);
    if (err == VX_OK && opposite) {
        err = spot(p, opposite, r, &other, info);
        if (err == VX_OK && whole_log_ratio(&found) < whole_log_ratio(&other) + OPPOSITE_LOG_RATIO)
            score = OPPOSITE_SCORE;
    }
    if (err == VX_OK)
        *ret_score = score;
    return err;
}

static vx_err spot_each(vx_phrase *p, const char *const *phrases, size_t n_phrases, const recording *r, int *ret_best,
                        double *ret_score, vx_errinfo *info)
{
    for (size_t i = 0; i < n_phrases; i++) {
        double score = 0;
        const vx_err err = spot_one(p, phrases[i], r, &score, info);
        if (err != VX_OK)
            return err;
        if (score > *ret_score) {
            *ret_score = score;
            *ret_best = (int)i;
        }
    }
    return VX_OK;
}

vx_err vx_phrase_spot(vx_phrase *phrase, const char *const *phrases, size_t n_phrases, const float *samples, size_t n,
                      int *ret_found, double *ret_score, vx_errinfo *info)
{
    if (n_phrases == 0 || n_phrases > VX_PHRASES_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "there must be 1 to %d phrases", VX_PHRASES_MAX);
    for (size_t i = 0; i < n_phrases; i++) {
        const vx_err err = check_phrase(phrase, phrases[i], info);
        if (err != VX_OK)
            return err;
    }
    recording r = {0};
    vx_err err = record(samples, n, &r, info);
    int best = -1;
    double score = 0;
    if (err == VX_OK && r.samples)
        err = spot_each(phrase, phrases, n_phrases, &r, &best, &score, info);
    recording_done(&r);
    if (err == VX_OK) {
        *ret_found = score >= 0.5 ? best : -1;
        *ret_score = score;
    }
    return err;
}

/* ---- digits ------------------------------------------------------------------------------------------------------------- */

static void write_grammar(size_t n_digits, char ret_grammar[GRAMMAR_CAP])
{
    size_t at = (size_t)snprintf(ret_grammar, GRAMMAR_CAP, "#JSGF V1.0;\ngrammar digits;\n<digit> = ");
    for (size_t i = 0; i < N_DIGIT_WORDS; i++)
        at += (size_t)snprintf(ret_grammar + at, GRAMMAR_CAP - at, "%s%s", i > 0 ? " | " : "", digit_words[i]);
    at += (size_t)snprintf(ret_grammar + at, GRAMMAR_CAP - at, ";\npublic <digits> = <digit>");
    for (size_t i = 1; i < n_digits; i++)
        at += (size_t)snprintf(ret_grammar + at, GRAMMAR_CAP - at, " <digit>");
    (void)snprintf(ret_grammar + at, GRAMMAR_CAP - at, n_digits == 0 ? "*;\n" : ";\n");
}

/* "four zero one" as "401"; what is no digit is left out. */
static void read_digits(const char *words, char ret_digits[VX_DIGITS_CAP])
{
    size_t n_digits = 0;
    while (*words && n_digits < VX_DIGITS_CAP - 1) {
        const size_t n = strcspn(words, " ");
        for (size_t i = 0; i < N_DIGIT_WORDS; i++)
            if (strlen(digit_words[i]) == n && memcmp(digit_words[i], words, n) == 0)
                ret_digits[n_digits++] = (char)('0' + i);
        words += n + strspn(words + n, " ");
    }
    ret_digits[n_digits] = '\0';
}

vx_err vx_phrase_digits(vx_phrase *phrase, size_t n_digits, const float *samples, size_t n,
                        char ret_digits[VX_DIGITS_CAP], vx_errinfo *info)
{
    char grammar[GRAMMAR_CAP], words[WORDS_CAP] = "", why[VX_PHRASE_WHY_CAP] = "";
    if (n_digits > VX_DIGITS_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "at most %d digits can be asked for", VX_DIGITS_MAX);
    recording r = {0};
    vx_err err = record(samples, n, &r, info);
    if (err == VX_OK && r.samples) {
        write_grammar(n_digits, grammar);
        err =
            say_engine(phrase->plugin->recognise(phrase->recogniser, grammar, r.samples, r.n, words, sizeof words, why),
                       why, info);
    }
    recording_done(&r);
    if (err == VX_OK)
        read_digits(words, ret_digits);
    vx_wipe(words, sizeof words);
    return err;
}
