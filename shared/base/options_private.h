/* options_private.h - the parts of options.c that are shared inside shared/base and with its tests. */
#ifndef VX_BASE_OPTIONS_PRIVATE_H
#define VX_BASE_OPTIONS_PRIVATE_H

#include "shared/base/options.h"

typedef struct {
    const vx_option *options;
    size_t count;
} vx_option_table;

/* One value in force. Text is canonical: numbers in decimal, true or false, the choice as the table spells it. */
typedef struct {
    char *text;
    char *origin;
    int64_t num;
    double real;
    int rank;      /* of the source that gave it */
    int file_line; /* where the config file sets it, or 0; kept when a stronger source wins */
} vx_setting;

/* Checks text against the option and fills ret (text, num, real; the rest untouched). `origin` is for the sentence.
 * Errors: OPTION_VALUE, NOMEM. option_value.c. */
VX_MUST_CHECK vx_err vx_option_parse(const vx_option *option, const char *text, const char *origin, vx_setting *ret,
                                     vx_errinfo *info);
/* A heap copy with a zero behind it, or NULL when memory is out. option_value.c. */
char *vx_option_copy(const char *text, size_t len);
/* What the option takes, for help and errors: "a whole number from 0 to 65535". Cut at cap. */
void vx_option_describe(const vx_option *option, char *ret_text, size_t cap);

/* Walks the lines of a config file in memory, which it changes. option_file.c. */
typedef struct {
    char *at;
    char *end; /* text[len] must exist, and is overwritten */
    int line;
} vx_config_reader;

vx_config_reader vx_config_reader_init(char *text, size_t len);
/* The next setting: true and both strings, good as long as the text. False at the end (*ret_fault NULL) and at a line
 * that cannot be understood (*ret_fault a sentence); reader->line then is that line. */
bool vx_config_next(vx_config_reader *reader, const char **ret_name, const char **ret_value, const char **ret_fault);

/* The known name most like a mistyped one. flags: among flags, else among names. option_nearest.c. */
const char *vx_option_nearest(vx_option_table table, int program, const char *name, bool flags);
/* True for a variable that Kubernetes sets in every container for a Service, here one called voxlock or ecapa
 * something. Tells VOXLOCK_PORT=tcp://10.0.0.1:80 from a person's VOXLOCK_PORT=80. option_nearest.c. */
bool vx_option_from_kubernetes(const char *name, const char *value);

/* vx_options_load and vx_options_help over a given table. */
VX_MUST_CHECK vx_err vx_options_load_from(vx_option_table table, int program, char *const *environ_, int argc,
                                          char *const *argv, const char *config_path, const char **ret_operands,
                                          int *ret_n_operands, vx_options **ret_options, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_options_help_from(vx_option_table table, int program, vx_buf *out);

#endif
