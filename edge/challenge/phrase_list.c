/* phrase_list.c - command phrases, as a person writes them and as a recogniser wants them. */
#include "edge/challenge/phrase_list.h"

#include <stdbool.h>
#include <string.h>

/* ASCII, whatever the locale: the dictionary is. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_of_word(char c)
{
    return (c >= 'a' && c <= 'z') || c == '\'';
}

/* One phrase, up to a comma or the end. */
static vx_err read_one(const char *text, size_t len, char ret_phrase[VX_PHRASE_CAP], vx_errinfo *info)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = lower(text[i]);
        const bool blank = c == ' ' || c == '\t';
        if (blank && (n == 0 || ret_phrase[n - 1] == ' '))
            continue;
        if (!blank && !is_of_word(c))
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                                  "a phrase is made of English words: letters, apostrophes and blanks");
        if (n == VX_PHRASE_CAP - 1)
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "a phrase has at most %d letters", VX_PHRASE_CAP - 1);
        ret_phrase[n++] = blank ? ' ' : c;
    }
    n -= n > 0 && ret_phrase[n - 1] == ' ';
    ret_phrase[n] = '\0';
    return n > 0 ? VX_OK : vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "a phrase is empty");
}

vx_err vx_phrase_list_read(const char *text, vx_phrase_list *ret_list, vx_errinfo *info)
{
    vx_phrase_list list = {0};
    for (const char *at = text;; at++) {
        const size_t len = strcspn(at, ",");
        if (list.n == VX_PHRASES_MAX)
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "there are more than %d phrases", VX_PHRASES_MAX);
        const vx_err err = read_one(at, len, list.texts[list.n++], info);
        if (err != VX_OK)
            return err;
        at += len;
        if (*at == '\0')
            break;
    }
    *ret_list = list;
    return VX_OK;
}

vx_err vx_phrase_list_spot(vx_phrase *phrase, const vx_phrase_list *list, const float *samples, size_t n,
                           int *ret_found, double *ret_score, vx_errinfo *info)
{
    const char *at[VX_PHRASES_MAX];
    for (size_t i = 0; i < list->n; i++)
        at[i] = list->texts[i];
    return vx_phrase_spot(phrase, at, list->n, samples, n, ret_found, ret_score, info);
}
