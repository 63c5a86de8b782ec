/* json.h - jansson with the bounds and the number formats this project needs.
 * Owns:   limits on hostile JSON, checked field access, float32 round trip. Does not: hide jansson's types.
 */
#ifndef VX_BASE_JSON_H
#define VX_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef struct {
    size_t max_depth;  /* arrays and objects inside each other; more than 512 counts as 512 */
    size_t max_values; /* numbers, strings, literals, containers and keys together: bounds the parser's memory */
} vx_json_limits;

/* Parses one UTF-8 JSON text (any value may be the root). Depth and count are checked before each value is allocated;
 * duplicate keys, \u0000 and numbers beyond 64 bits or double are refused.
 * ret_root [out] a new reference, owned by the caller
 * Errors   JSON_SYNTAX (info: offset, line, what was expected), JSON_LIMIT, NOMEM */
VX_MUST_CHECK vx_err vx_json_parse(const char *text, size_t len, vx_json_limits limits, json_t **ret_root,
                                   vx_errinfo *info);

/* Field access with one sentence per failure (JSON_FIELD, naming the field). `required` false: absent or null leaves
 * the result untouched and returns VX_OK. Text is borrowed from obj. */
VX_MUST_CHECK vx_err vx_json_text(const json_t *obj, const char *key, bool required, const char **ret, size_t *ret_len,
                                  vx_errinfo *info);
VX_MUST_CHECK vx_err vx_json_int(const json_t *obj, const char *key, bool required, int64_t min, int64_t max,
                                 int64_t *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_json_real(const json_t *obj, const char *key, bool required, double min, double max,
                                  double *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_json_bool(const json_t *obj, const char *key, bool required, bool *ret, vx_errinfo *info);
/* An array of exactly n finite numbers into ret[n]. */
VX_MUST_CHECK vx_err vx_json_floats(const json_t *array, const char *what, size_t n, float *ret, vx_errinfo *info);

/* Text for people that comes from the system, a file's name or a library: what is not UTF-8 becomes "(not UTF-8)". New
 * reference; NULL when memory is out. */
json_t *vx_json_shown(const char *text);

/* A wall time as RFC 3339, UTC; null for 0, a time that has not come. New reference; NULL when memory is out. */
json_t *vx_json_time(int64_t wall_ms);

/* Compact UTF-8 text, numbers with 9 significant digits (float32 round-trips; 0.1 stays 0.1), keys in the order they
 * were set. Appended to out. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_json_write(const json_t *root, vx_buf *out);
/* A JSON array of n floats that round-trip; NULL when memory is out. New reference. */
json_t *vx_json_from_floats(const float *values, size_t n);

#endif
