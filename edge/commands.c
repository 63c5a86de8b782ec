/* commands.c - the list of commands. A new one is a file with its struct, and a line in each of the two lists below. */
#include "edge/cmd.h"

extern const vx_cmd vx_cmd_enroll, vx_cmd_verify, vx_cmd_identify, vx_cmd_profiles, vx_cmd_history, vx_cmd_decide,
    vx_cmd_status, vx_cmd_doctor, vx_cmd_config, vx_cmd_calibrate, vx_cmd_migrate, vx_cmd_audit, vx_cmd_backup,
    vx_cmd_restore, vx_cmd_embed, vx_cmd_compare, vx_cmd_help, vx_cmd_password, vx_cmd_unlock, vx_cmd_agent,
    vx_cmd_listen, vx_cmd_spoof_report;

const vx_cmd *const vx_commands[] = {
    &vx_cmd_enroll,
    &vx_cmd_verify,
    &vx_cmd_identify,
    &vx_cmd_profiles,
    &vx_cmd_history,
    &vx_cmd_decide,
    &vx_cmd_status,
    &vx_cmd_doctor,
    &vx_cmd_config,
    &vx_cmd_calibrate,
    &vx_cmd_migrate,
    &vx_cmd_audit,
    &vx_cmd_unlock,
    &vx_cmd_agent,
    &vx_cmd_listen,
    &vx_cmd_password,
    &vx_cmd_backup,
    &vx_cmd_restore,
    &vx_cmd_embed,
    &vx_cmd_compare,
    &vx_cmd_spoof_report,
    &vx_cmd_help,
    NULL, /* the end */
};
