/* phrase_list.h - the command phrases of a setting.
 * Owns:   their form: words of lower case with single blanks. Does not: know which words a dictionary has (phrase.h).
 */
#ifndef VX_EDGE_CHALLENGE_PHRASE_LIST_H
#define VX_EDGE_CHALLENGE_PHRASE_LIST_H

#include "edge/challenge/phrase.h"

typedef struct {
    size_t n;
    char texts[VX_PHRASES_MAX][VX_PHRASE_CAP];
} vx_phrase_list;

/* Reads "Unlock my screen, open sesame": separated by commas, blanks around and between words as you like.
 * Errors: OPTION_VALUE (none, one that is empty, too many, too long, or a character that no word of a dictionary has). */
VX_MUST_CHECK vx_err vx_phrase_list_read(const char *text, vx_phrase_list *ret_list, vx_errinfo *info);

/* vx_phrase_spot with a list. n = 0 checks its words. */
VX_MUST_CHECK vx_err vx_phrase_list_spot(vx_phrase *phrase, const vx_phrase_list *list, const float *samples, size_t n,
                                         int *ret_found, double *ret_score, vx_errinfo *info);

#endif
