/* options.h - every setting of both programs, in one table, from environment, file and flags.
 * Owns:   reading, checking and remembering where each value came from; the only getenv of the project.
 *         The table itself is settings.c. Does not: act on a value.
 * Order of force: flag, then environment, then config file, then default.
 */
#ifndef VX_BASE_OPTIONS_H
#define VX_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef enum { VX_OPT_INT, VX_OPT_REAL, VX_OPT_BOOL, VX_OPT_CHOICE, VX_OPT_TEXT, VX_OPT_PATH } vx_option_type;
enum { VX_FOR_CLOUD = 1, VX_FOR_EDGE = 2, VX_FOR_BOTH = 3 };

typedef struct {
    const char *name; /* "ECAPA_CACHE_DIR": the environment variable and the key in the file */
    const char *flag; /* "--model", or NULL */
    int programs;     /* VX_FOR_* */
    vx_option_type type;
    const char *unit;    /* "ms", "bytes", or "" */
    double min, max;     /* inclusive, for INT and REAL */
    const char *choices; /* "auto|jit|native", for CHOICE */
    const char *def;     /* default as text */
    bool secret;         /* masked wherever settings are shown */
    const char *help;    /* one sentence */
} vx_option;

/* The table, and its length. settings.c. */
const vx_option *vx_settings_table(size_t *ret_count);

typedef struct vx_options vx_options;

/* Reads everything for one program.
 * program      VX_FOR_CLOUD or VX_FOR_EDGE
 * environ_     NULL-terminated "NAME=value" array (the process environment in programs, a made one in tests)
 * argc, argv   flags and operands after the program's or command's name; "--flag value", "--flag=value", "--" ends
 *              flags; a BOOL flag takes no value, and "--no-flag" turns it off
 * ret_operands [out] what is left, in order, borrowed from argv; room for argc pointers
 * config_path  file to read, or NULL for none; "--config FILE" and VOXLOCK_CONFIG override it, and must then exist
 * Errors       OPTION_UNKNOWN (flag; name in the file; environment name that starts with VOXLOCK_ or ECAPA_, apart from
 *              what Kubernetes sets for a service of that name), OPTION_VALUE, NOT_FOUND, NOMEM; info names flag,
 *              variable, or file and line, and the nearest known name */
VX_MUST_CHECK vx_err vx_options_load(int program, char *const *environ_, int argc, char *const *argv,
                                     const char *config_path, const char **ret_operands, int *ret_n_operands,
                                     vx_options **ret_options, vx_errinfo *info);
void vx_options_destroy(vx_options *options);

/* Values by name. The name must be in the table with that type: anything else is a defect and stops the program in
 * every build (assert-like, with the name on standard error). Text stays owned by options. */
int64_t vx_option_int(const vx_options *options, const char *name);
double vx_option_real(const vx_options *options, const char *name);
bool vx_option_bool(const vx_options *options, const char *name);
const char *vx_option_text(const vx_options *options, const char *name); /* TEXT, PATH, CHOICE */
/* Where the value came from: "default", "environment", "flag --port", "file voxlock.conf:12". */
const char *vx_option_origin(const vx_options *options, const char *name);
/* The i-th setting of the loaded program, NULL past the last; ret_value is masked ("********") when it is a secret. */
const vx_option *vx_option_at(const vx_options *options, size_t i, const char **ret_value, const char **ret_origin);

/* Appends the settings of a program as help text: name, flag, range, default, sentence. */
VX_MUST_CHECK vx_err vx_options_help(int program, vx_buf *out);

#endif
