/* phrase_plugin.h - speech recognition as somebody else's library does it: what the plugin on PocketSphinx exports.
 * Owns:   the one C interface that phrase.c and the plugin include; the plugin links its library and nothing of ours.
 *         Does not: know phrases, digits or dictionaries: phrase.c does.
 */
#ifndef VX_EDGE_CHALLENGE_PHRASE_PLUGIN_H
#define VX_EDGE_CHALLENGE_PHRASE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

enum { VX_PHRASE_ABI = 2, VX_PHRASE_WHY_CAP = 160 };

typedef struct vx_recogniser vx_recogniser;

/* Where a recording sounds most like a phrase. */
typedef struct {
    double
        log_ratio; /* logarithm of how much more likely the phrase is than any other phones, per frame of 10 ms; at most
                         about 0, -HUGE_VAL when it is nowhere */
    int n_frames;  /* so long it is there */
} vx_spotting;

/* Samples are 16 kHz mono and borrowed for the call. ret_why [out] on ENGINE, what the library said.
 * Threads  any; calls wait for each other, for the library has settings that all its users share
 * Errors   ENGINE (a recogniser is of no more use when the library gave up in the middle), NOMEM */
typedef struct {
    int abi;
    const char *library; /* "PocketSphinx" */
    /* Knows no word yet. */
    vx_err (*open)(const char *acoustic_folder, vx_recogniser **ret_recogniser, char ret_why[VX_PHRASE_WHY_CAP]);
    /* word(2), word(3) are other ways to say it. A word that is there already is no error. */
    vx_err (*add_word)(vx_recogniser *r, const char *word, const char *phones, char ret_why[VX_PHRASE_WHY_CAP]);
    /* The words of a grammar (JSGF) that were spoken, separated by spaces; "" when none of its sentences fits. */
    vx_err (*recognise)(vx_recogniser *r, const char *grammar, const int16_t *samples, size_t n, char *ret_words,
                        size_t cap, char ret_why[VX_PHRASE_WHY_CAP]);
    vx_err (*spot)(vx_recogniser *r, const char *phrase, const int16_t *samples, size_t n, vx_spotting *ret_spotting,
                   char ret_why[VX_PHRASE_WHY_CAP]);
    /* NULL is fine. */
    void (*close)(vx_recogniser *r);
} vx_phrase_plugin;

/* Exported by vx_phrase_sphinx.so: VX_PHRASE_PLUGIN_EXPORT = { ... }; */
#define VX_PHRASE_PLUGIN_SYMBOL "vx_phrase_plugin_table"
#define VX_PHRASE_PLUGIN_EXPORT                                                                                        \
    extern const vx_phrase_plugin vx_phrase_plugin_table __attribute__((visibility("default")));                       \
    const vx_phrase_plugin vx_phrase_plugin_table

#endif
