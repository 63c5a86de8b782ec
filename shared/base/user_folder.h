/* user_folder.h - where a user's own files of this program lie.
 * Owns:   the rules of each system. Does not: make folders.
 */
#ifndef VX_BASE_USER_FOLDER_H
#define VX_BASE_USER_FOLDER_H

#include <stddef.h>

#include "shared/base/err.h"

/* Data: ~/Library/Application Support/voxlock on macOS, else $XDG_DATA_HOME/voxlock or ~/.local/share/voxlock.
 * Settings: the file voxlock.conf in the same folder on macOS, else in $XDG_CONFIG_HOME/voxlock or ~/.config/voxlock.
 * environ_ [in] as main's; HOME goes before the system's record of the user. A variable that is no absolute path is as
 *               good as unset, as the XDG specification says
 * Errors   NOT_FOUND (neither HOME nor a record tells where home is), RANGE (longer than cap) */
VX_MUST_CHECK vx_err vx_user_data_folder(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_user_config_file(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info);
/* A variable's value when it is an absolute path, else NULL. */
const char *vx_user_path_variable(char *const *environ_, const char *name);

#endif
