/* cmd.h - what a command of the program voxlock is, and what its commands share.
 * Each command is one file that exports one const struct; main.c lists them.
 * Standard output is data, standard error is talk; an error is one line that says what to do next.
 */
#ifndef VX_EDGE_CMD_H
#define VX_EDGE_CMD_H

#include <stdbool.h>

#include "shared/audio/audio.h"
#include "shared/base/err.h"
#include "shared/base/options.h"
#include "shared/engine/engine.h"

enum { VX_CMD_MAX_FLAGS = 8 };

typedef struct {
    const char *name;
    const char *usage; /* "FILE... [--json | --npy]" */
    const char *help;  /* one sentence */
    /* Switches of this command alone, besides the settings: "--json"; the i-th sets bit i of `flags` in run. */
    struct {
        const char *name, *help;
    } flags[VX_CMD_MAX_FLAGS];
    int min_operands, max_operands; /* max -1: any number */
    int (*run)(const vx_options *options, unsigned flags, const char *const *operands, int n_operands);
} vx_cmd;

extern const vx_cmd vx_cmd_embed, vx_cmd_compare, vx_cmd_status;

/* Exit codes. docs/cli.md lists them. */
enum {
    VX_EXIT_OK = 0,
    VX_EXIT_FAILED = 1, /* anything without a code of its own */
    VX_EXIT_USAGE = 2,  /* command line or settings */
    VX_EXIT_AUDIO = 3,  /* the recording cannot be used */
    VX_EXIT_MODEL = 4,  /* the model folder cannot be used */
    VX_EXIT_IO = 5,     /* a file cannot be read or written */
};
/* The one table from error to exit code. */
int vx_exit_code(vx_err err);

/* "voxlock: <what>: <sentence>" on standard error; returns the exit code. what may be NULL. */
int vx_cmd_fail(const char *what, vx_err err, const vx_errinfo *info);

/* The engine as the settings ask for it, on all cores unless they say otherwise: a command has the machine for its one
 * clip. Errors: those of vx_engine_settings. */
VX_MUST_CHECK vx_err vx_cmd_engine_options(const vx_options *options, vx_engine_options *ret_engine, char *ret_folder,
                                           size_t folder_cap, vx_errinfo *info);
/* Opens it. What is not the way that was asked for is said in one line on standard error. */
VX_MUST_CHECK vx_err vx_cmd_open_engine(const vx_options *options, vx_engine **ret_engine, vx_errinfo *info);
/* Reads, decodes and embeds one recording ("-" is standard input).
 * ret_audio [out] the recording's measures; its samples are wiped and NULL already */
VX_MUST_CHECK vx_err vx_cmd_embed_file(vx_engine *engine, const char *path, vx_embedding *ret_embedding,
                                       vx_audio *ret_audio, vx_errinfo *info);

#endif
