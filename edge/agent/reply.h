/* reply.h - reads the lines that the agent answers with, without memory of its own and without a library.
 * Owns:   a strict reader of one JSON object a line. Does not: build values: text is looked up where it stands.
 *
 * Why not jansson: this file is part of the PAM module, which runs inside programs that are not ours. Some of them bring
 * json-c, whose functions have the same names as jansson's.
 */
#ifndef VX_EDGE_AGENT_REPLY_H
#define VX_EDGE_AGENT_REPLY_H

#include <stdbool.h>
#include <stddef.h>

enum { VX_AGENT_LINE_CAP = 4096, VX_AGENT_SENTENCE_CAP = 512 };

typedef enum {
    VX_REPLY_BAD, /* not a line of this protocol */
    VX_REPLY_SAY,
    VX_REPLY_ANSWER,
    VX_REPLY_ERROR,
} vx_reply_kind;

/* What a line is: a JSON object with exactly one member.
 * ret_value [out] the member's value, {...} or "...", borrowed from line; untouched for BAD */
vx_reply_kind vx_agent_reply_kind(const char *line, size_t len, const char **ret_value, size_t *ret_len);

/* Text of a JSON string, for people: control characters become blanks, so that an agent cannot move a terminal's cursor.
 * ret [out] zero-terminated, cut at a character's end when it does not fit
 * False when it is no string. */
bool vx_agent_reply_text(const char *value, size_t len, char *ret, size_t cap);
/* A member of a JSON object. False, and ret untouched, when it is not there exactly once or is of another type. */
bool vx_agent_reply_field(const char *object, size_t len, const char *key, char *ret, size_t cap);
bool vx_agent_reply_flag(const char *object, size_t len, const char *key, bool *ret);

#endif
