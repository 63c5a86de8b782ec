/* help.h - what the program says of itself, from the tables of commands, settings and exit codes.
 * Owns:   help on the terminal, the man page (manual.c), the completion of bash and zsh (completion.c).
 */
#ifndef VX_EDGE_HELP_H
#define VX_EDGE_HELP_H

#include <stdio.h>

#include "edge/cmd.h"
#include "shared/base/bytes.h"

/* The list of commands. */
void vx_help_commands(FILE *out);
/* One command with its flags and all settings, on standard output. Returns the exit code. */
int vx_help_command(const vx_cmd *cmd);

/* voxlock(1) in man's language. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_manual(vx_buf *out);
/* A script for the shell to source. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_completion_bash(vx_buf *out);
VX_MUST_CHECK vx_err vx_completion_zsh(vx_buf *out);

#endif
