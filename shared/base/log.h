/* log.h - leveled, structured logging: text for people, one JSON object a line for log collectors.
 * Owns:   formatting and the one write per line. Does not: rotate, filter by module, or hold a global logger;
 *         library code does not log, programs do.
 * Never put audio, embeddings, tokens, keys or passwords in a field.
 */
#ifndef VX_BASE_LOG_H
#define VX_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef enum { VX_LOG_DEBUG, VX_LOG_INFO, VX_LOG_WARNING, VX_LOG_ERROR } vx_log_level;
typedef enum {
    VX_LOG_TEXT, /* "12:34:56.789 INFO  message  key=value key=\"two words\"" */
    VX_LOG_JSON, /* Cloud Logging: severity, time, message, then the fields */
} vx_log_style;

typedef struct vx_log vx_log;

typedef struct {
    const char *key; /* a dot nests in JSON style: "httpRequest.status" */
    enum { VX_FIELD_STR, VX_FIELD_INT, VX_FIELD_REAL, VX_FIELD_BOOL } kind;
    const char *str;
    int64_t num;
    double real;
} vx_log_field;

static inline vx_log_field vx_f_str(const char *key, const char *value)
{
    return (vx_log_field){.key = key, .kind = VX_FIELD_STR, .str = value ? value : ""};
}
static inline vx_log_field vx_f_int(const char *key, int64_t value)
{
    return (vx_log_field){.key = key, .kind = VX_FIELD_INT, .num = value};
}
static inline vx_log_field vx_f_real(const char *key, double value)
{
    return (vx_log_field){.key = key, .kind = VX_FIELD_REAL, .real = value};
}
static inline vx_log_field vx_f_bool(const char *key, bool value)
{
    return (vx_log_field){.key = key, .kind = VX_FIELD_BOOL, .num = value};
}

/* fd is borrowed and written with one write(2) a line, so that lines of several threads do not mix.
 * Errors: NOMEM. Threads: every function below may be called from any thread. */
VX_MUST_CHECK vx_err vx_log_create(int fd, vx_log_style style, vx_log_level least, vx_log **ret_log);
void vx_log_destroy(vx_log *log);

/* One line. log may be NULL (then nothing happens). Control characters and invalid UTF-8 from outside are escaped, so
 * that a client cannot forge a line; a line over 16 KiB is cut, and says so. */
void vx_log_write(vx_log *log, vx_log_level level, const char *message, const vx_log_field *fields, size_t n_fields);

/* VX_LOG(log, VX_LOG_INFO, "listening", vx_f_int("port", port)); at least one field. */
#define VX_LOG(log, level, message, ...)                                                                               \
    vx_log_write(log, level, message, (const vx_log_field[]){__VA_ARGS__},                                             \
                 sizeof((const vx_log_field[]){__VA_ARGS__}) / sizeof(vx_log_field))

#endif
