/* cmd.h - what a command of the program voxlock is, and what its commands share.
 * Each command is one file that exports one const struct; commands.c lists them, and from that list come the help, the man
 * page and the completion of shells. Standard output is data, standard error is talk; an error is one line that says what
 * to do next.
 */
#ifndef VX_EDGE_CMD_H
#define VX_EDGE_CMD_H

#include <jansson.h>
#include <stdbool.h>

#include "edge/types.h"
#include "shared/audio/audio.h"
#include "shared/base/err.h"
#include "shared/base/options.h"
#include "shared/engine/engine.h"

enum { VX_CMD_MAX_FLAGS = 16 };

/* One run of a command: what its command line said. */
typedef struct {
    const vx_options *options;
    char *const *environment;             /* main's, for the user's folders */
    unsigned flags;                       /* bit i: the command's i-th flag was given */
    const char *values[VX_CMD_MAX_FLAGS]; /* what was given with it, for flags that take a value; borrowed from argv */
    const char *const *operands;
    int n_operands;
} vx_cmd_call;

typedef struct {
    const char *name;
    const char *usage; /* "FILE... [--json | --npy]" */
    const char *help;  /* one sentence */
    /* Flags of this command alone, besides the settings. */
    struct {
        const char *name; /* "--json" */
        const char *help;
        const char *value; /* what it takes, "NAME"; NULL: it is a switch */
    } flags[VX_CMD_MAX_FLAGS];
    const char *actions;            /* what the first operand may be, "list|show|remove"; NULL: anything */
    int min_operands, max_operands; /* max -1: any number */
    int (*run)(const vx_cmd_call *call);
} vx_cmd;

/* Every command, in the order in which help lists them; NULL ends the list. */
extern const vx_cmd *const vx_commands[];

/* Exit codes, and what they mean; docs/cli.md lists them. X(name, value, meaning) */
#define VX_EXIT_LIST(X)                                                                                                \
    X(OK, 0, "done; for decisions: AUTHENTICATE")                                                                      \
    X(FAILED, 1, "anything without a code of its own")                                                                 \
    X(USAGE, 2, "the command line or a setting is wrong")                                                              \
    X(AUDIO, 3, "a recording cannot be used")                                                                          \
    X(MODEL, 4, "the model folder cannot be used")                                                                     \
    X(IO, 5, "a file cannot be read or written")                                                                       \
    X(STORE, 6, "the profile store cannot be used: damaged, locked, or its key is missing")                            \
    X(CLOUD, 7, "the cloud service cannot be used")                                                                    \
    X(CHALLENGE, 10, "decision CHALLENGE: more proof is needed")                                                       \
    X(REJECT, 11, "decision REJECT: another voice")                                                                    \
    X(ESCALATE, 12, "decision ESCALATE: the evidence contradicts itself")                                              \
    X(UNDECIDED, 13, "nothing was decided: not enrolled, not ready, no audio, no evidence, or a pause")
enum {
#define VX_EXIT_ENUM(name, value, meaning) VX_EXIT_##name = (value),
    VX_EXIT_LIST(VX_EXIT_ENUM)
#undef VX_EXIT_ENUM
};
/* The one table from error to exit code. */
int vx_exit_code(vx_err err);
/* The one table from verdict to exit code. */
int vx_exit_of_verdict(vx_verdict verdict);

/* "voxlock: <what>: <sentence>" on standard error; returns the exit code. what may be NULL. */
int vx_cmd_fail(const char *what, vx_err err, const vx_errinfo *info);
/* "voxlock: <sentence>" on standard error; returns VX_EXIT_USAGE. */
int vx_cmd_misused(const char *fmt, ...) VX_PRINTF(1, 2);
/* Prints a JSON document, as one line or as vx_show shows it, and gives it back (NULL is out of memory). Returns the exit
 * code. */
int vx_cmd_print(json_t *root, bool json);
/* A number from 0 to 1 that a flag was given; the decimal point is a point everywhere. Errors: OPTION_VALUE. */
VX_MUST_CHECK vx_err vx_cmd_share(const char *flag, const char *text, double *ret, vx_errinfo *info);

/* The engine as the settings ask for it, on all cores unless they say otherwise: a command has the machine for its one
 * clip. Errors: those of vx_engine_settings. */
VX_MUST_CHECK vx_err vx_cmd_engine_options(const vx_options *options, vx_engine_options *ret_engine, char *ret_folder,
                                           size_t folder_cap, vx_errinfo *info);
/* Opens it. What is not the way that was asked for is said in one line on standard error.
 * first [in, out] a recording to embed meanwhile (engine.h), or NULL */
VX_MUST_CHECK vx_err vx_cmd_open_engine(const vx_options *options, vx_engine_first *first, vx_engine **ret_engine,
                                        vx_errinfo *info);
/* Reads and decodes one recording ("-" is standard input). The caller calls vx_audio_done. */
VX_MUST_CHECK vx_err vx_cmd_read_audio(const char *path, vx_audio *ret_audio, vx_errinfo *info);
/* The same, embedded whole.
 * ret_audio [out] the recording's measures; its samples are wiped and NULL already */
VX_MUST_CHECK vx_err vx_cmd_embed_file(vx_engine *engine, const char *path, vx_embedding *ret_embedding,
                                       vx_audio *ret_audio, vx_errinfo *info);

#endif
