/* commands.c - the list of commands. A new one is a file with its struct, and a line in each of the two lists below. */
#include "edge/cmd.h"

extern const vx_cmd vx_cmd_embed, vx_cmd_compare, vx_cmd_status, vx_cmd_help;

const vx_cmd *const vx_commands[] = {
    &vx_cmd_embed, &vx_cmd_compare, &vx_cmd_status, &vx_cmd_help, NULL,
};
