/* plugin_sphinx.c - PocketSphinx, 5prealpha (Debian) or 5.0, as a recogniser.
 * Owns:   a decoder, and living with a library that prints and ends the process. Does not: know words (phrase.c).
 * A shared object of its own, which links nothing of voxlock.
 *
 * The library reports errors through one callback for the whole process, and ends the process after a fatal one or when
 * memory is out. Every call into it is therefore made under one lock, with a way back by longjmp out of the report. What
 * the library held at that moment leaks, and the decoder is not touched again.
 */
#include <math.h>
#include <pocketsphinx.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/challenge/phrase_plugin.h"

#if __has_include(<pocketsphinx/err.h>) /* 5.0 */
#include <pocketsphinx/err.h>
#define set_grammar ps_add_jsgf_string
#define set_phrase  ps_add_keyphrase
#define set_search  ps_activate_search
#else
#include <sphinxbase/ckd_alloc.h>
#include <sphinxbase/err.h>
#include <sphinxbase/jsgf.h>
#define set_phrase ps_set_keyphrase
#define set_search ps_set_search
#define PREALPHA
#endif

/* Scores of frames are kept shifted right by this many bits (SENSCR_SHIFT in the library's acmod.h). */
enum { SCORE_SHIFT = 10 };

/* Settings of the library that are not its own, each measured (docs/challenge.md).
 * BEAM       how far below the best path another is still followed: with 1e-48 phrases that were said are lost
 * THRESHOLD  from where on a phrase is told: from anywhere, for it is judged by its ratio per frame (phrase.c), which does
 *            not depend on how long a phrase is
 * the rest   grammars only: by default silence costs so much that pauses are heard as words */
#define BEAM       "1e-120"
#define THRESHOLD  "1e-200"
#define PHONE_BEAM "1e-100"
#define WORD_BEAM  "1e-80"
#define WEIGHT     "1"
#define INSERTION  "1"
#define SILENCE    "0.3"
#define SEARCH     "voxlock"

struct vx_recogniser {
    ps_decoder_t *decoder;
    bool gave_up; /* the library did, in the middle of a call */
};

/* ---- calls into the library -------------------------------------------------------------------------------------------- */

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

typedef struct {
    jmp_buf back;
    char *why; /* [VX_PHRASE_WHY_CAP], "" before the first error */
} call;

/* The library gives "ERROR: \"file\", line 12: text\n" in parts, the format first. */
static void __attribute__((format(printf, 3, 4))) told(void *arg, err_lvl_t level, const char *fmt, ...)
{
    call *c = arg;
    if (level < ERR_ERROR)
        return;
    if (c->why[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(c->why, VX_PHRASE_WHY_CAP, fmt, args);
        va_end(args);
        c->why[strcspn(c->why, "\r\n")] = '\0';
    }
    if (level == ERR_FATAL)
        longjmp(c->back, 1);
}

static void silent(void *arg, err_lvl_t level, const char *fmt, ...)
{
    (void)arg, (void)level, (void)fmt;
}

static void enter(call *c)
{
    err_set_callback(told, c);
    err_set_logfp(NULL); /* or its configuration is printed all the same */
#ifdef PREALPHA
    (void)ckd_set_jump(&c->back, 0);
#else
    (void)c;
#endif
}

static void leave(void)
{
#ifdef PREALPHA
    (void)ckd_set_jump(NULL, 0);
#endif
    err_set_callback(silent, NULL);
}

/* Runs a body with the library to itself. A body that fails gives less than 0. */
static vx_err guarded(int (*body)(vx_recogniser *r, void *arg), vx_recogniser *r, void *arg, char *why)
{
    call c = {.why = why};
    why[0] = '\0';
    if (r->gave_up) {
        (void)snprintf(why, VX_PHRASE_WHY_CAP, "it gave up earlier");
        return VX_ERR_ENGINE;
    }
    (void)pthread_mutex_lock(&library);
    vx_err err = VX_ERR_ENGINE;
    if (setjmp(c.back) == 0) {
        enter(&c);
        err = body(r, arg) < 0 ? VX_ERR_ENGINE : VX_OK;
    } else {
        r->gave_up = true;
    }
    leave();
    (void)pthread_mutex_unlock(&library);
    if (err != VX_OK && why[0] == '\0')
        (void)snprintf(why, VX_PHRASE_WHY_CAP, "it gives no reason");
    return err;
}

/* ---- decoder ------------------------------------------------------------------------------------------------------------ */

#ifdef PREALPHA
static ps_decoder_t *make_decoder(const char *folder)
{
    cmd_ln_t *config = cmd_ln_init(NULL, ps_args(), 1, "-hmm", folder, "-beam", BEAM, "-pbeam", PHONE_BEAM, "-wbeam",
                                   WORD_BEAM, "-lw", WEIGHT, "-wip", INSERTION, "-silprob", SILENCE, "-kws_threshold",
                                   THRESHOLD, "-remove_silence", "no", NULL);
    ps_decoder_t *decoder = config ? ps_init(config) : NULL;
    (void)cmd_ln_free_r(config); /* the decoder holds it */
    return decoder;
}
#else
static ps_decoder_t *make_decoder(const char *folder)
{
    const char *const settings[][2] = {
        {"hmm", folder}, {"beam", BEAM},     {"pbeam", PHONE_BEAM}, {"wbeam", WORD_BEAM},
        {"lw", WEIGHT},  {"wip", INSERTION}, {"silprob", SILENCE},  {"kws_threshold", THRESHOLD}};
    ps_config_t *config = ps_config_init(NULL);
    bool set = config != NULL;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        set = set && ps_config_set_str(config, settings[i][0], settings[i][1]);
    ps_decoder_t *decoder = set ? ps_init(config) : NULL;
    (void)ps_config_free(config);
    return decoder;
}
#endif

static int do_open(vx_recogniser *r, void *folder)
{
    r->decoder = make_decoder(folder);
    return r->decoder ? 0 : -1;
}

static int do_close(vx_recogniser *r, void *unused)
{
    (void)unused;
    (void)ps_free(r->decoder);
    return 0;
}

static void close_recogniser(vx_recogniser *r)
{
    char why[VX_PHRASE_WHY_CAP];
    if (r && r->decoder)
        (void)guarded(do_close, r, NULL, why);
    free(r);
}

static vx_err open_recogniser(const char *acoustic_folder, vx_recogniser **ret_recogniser,
                              char ret_why[VX_PHRASE_WHY_CAP])
{
    vx_recogniser *r = calloc(1, sizeof *r);
    if (!r)
        return VX_ERR_NOMEM;
    char folder[1024];
    vx_err err = VX_ERR_ENGINE;
    if ((size_t)snprintf(folder, sizeof folder, "%s", acoustic_folder) < sizeof folder)
        err = guarded(do_open, r, folder, ret_why);
    else
        (void)snprintf(ret_why, VX_PHRASE_WHY_CAP, "the path of the model is too long");
    if (err != VX_OK) {
        close_recogniser(r);
        return err;
    }
    *ret_recogniser = r;
    return VX_OK;
}

typedef struct {
    const char *word, *phones;
} entry;

static int do_add_word(vx_recogniser *r, void *arg)
{
    const entry *e = arg;
    char *known = ps_lookup_word(r->decoder, e->word);
    if (known) {
        free(known);
        return 0;
    }
    return ps_add_word(r->decoder, e->word, e->phones, 0);
}

static vx_err add_word(vx_recogniser *r, const char *word, const char *phones, char ret_why[VX_PHRASE_WHY_CAP])
{
    entry e = {word, phones};
    return guarded(do_add_word, r, &e, ret_why);
}

/* ---- recognition --------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *search; /* grammar or phrase */
    const int16_t *samples;
    size_t n;
    char *words; /* recognise only */
    size_t cap;
    vx_spotting best; /* spot only */
} request;

/* The whole recording at once, by the search of that name: means are taken over all of it, nothing is kept from before. */
static int decode(ps_decoder_t *decoder, const request *q)
{
    if (set_search(decoder, SEARCH) < 0 || ps_start_stream(decoder) < 0 || ps_start_utt(decoder) < 0)
        return -1;
    const int n_frames = ps_process_raw(decoder, q->samples, q->n, 0, 1);
    return ps_end_utt(decoder) < 0 ? -1 : n_frames;
}

#ifdef PREALPHA
/* The library's own ps_set_jsgf_string forgets to free what it parsed, 7 KB each time. */
static int set_grammar(ps_decoder_t *decoder, const char *name, const char *text)
{
    jsgf_t *grammar = jsgf_parse_string(text, NULL);
    jsgf_rule_t *rule = grammar ? jsgf_get_public_rule(grammar) : NULL;
    fsg_model_t *model = rule ? jsgf_build_fsg(grammar, rule, ps_get_logmath(decoder), strtof(WEIGHT, NULL)) : NULL;
    const int status = model ? ps_set_fsg(decoder, name, model) : -1;
    (void)fsg_model_free(model);
    if (grammar)
        jsgf_grammar_free(grammar);
    return status;
}
#endif

static int do_recognise(vx_recogniser *r, void *arg)
{
    request *q = arg;
    if (set_grammar(r->decoder, SEARCH, q->search) < 0 || decode(r->decoder, q) < 0)
        return -1;
    int32 score = 0;
    const char *words = ps_get_hyp(r->decoder, &score);
    (void)snprintf(q->words, q->cap, "%s", words ? words : "");
    return 0;
}

static vx_err recognise(vx_recogniser *r, const char *grammar, const int16_t *samples, size_t n, char *ret_words,
                        size_t cap, char ret_why[VX_PHRASE_WHY_CAP])
{
    request q = {.search = grammar, .samples = samples, .n = n, .words = ret_words, .cap = cap};
    return guarded(do_recognise, r, &q, ret_why);
}

static int do_spot(vx_recogniser *r, void *arg)
{
    request *q = arg;
    if (set_phrase(r->decoder, SEARCH, q->search) < 0 || decode(r->decoder, q) < 0)
        return -1;
    logmath_t *logs = ps_get_logmath(r->decoder);
    for (ps_seg_t *found = ps_seg_iter(r->decoder); found; found = ps_seg_next(found)) {
        int first = 0, last = 0;
        ps_seg_frames(found, &first, &last);
        const double ratio = logmath_log_to_ln(logs, ps_seg_prob(found, NULL, NULL, NULL)) * (1 << SCORE_SHIFT);
        const int n = last - first + 1;
        if (n > 0 && ratio / n > q->best.log_ratio)
            q->best = (vx_spotting){ratio / n, n};
    }
    return 0;
}

static vx_err spot(vx_recogniser *r, const char *phrase, const int16_t *samples, size_t n, vx_spotting *ret_spotting,
                   char ret_why[VX_PHRASE_WHY_CAP])
{
    request q = {.search = phrase, .samples = samples, .n = n, .best.log_ratio = -HUGE_VAL};
    const vx_err err = guarded(do_spot, r, &q, ret_why);
    if (err == VX_OK)
        *ret_spotting = q.best;
    return err;
}

VX_PHRASE_PLUGIN_EXPORT = {
    .abi = VX_PHRASE_ABI,
    .library = "PocketSphinx",
    .open = open_recogniser,
    .add_word = add_word,
    .recognise = recognise,
    .spot = spot,
    .close = close_recogniser,
};
