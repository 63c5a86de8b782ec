/* place.h - the agent's own folders and files: checked to be the user's alone before anything is put there or trusted.
 * Owns:   where the socket lies, private folders, the lock that one agent a user holds. Does not: listen, write logs.
 */
#ifndef VX_EDGE_AGENT_PLACE_H
#define VX_EDGE_AGENT_PLACE_H

#include <stddef.h>
#include <sys/types.h>

#include "shared/base/err.h"

#define VX_AGENT_SOCKET "agent.sock"
#define VX_AGENT_LOCK   "agent.lock"

/* The folder of socket and lock: $XDG_RUNTIME_DIR/voxlock where the variable is an absolute path, else the data folder;
 * on macOS, which has no such folder, always the data folder.
 * environ_ [in] as main's
 * Errors   RANGE (longer than cap) */
VX_MUST_CHECK vx_err vx_agent_folder(char *const *environ_, const char *data_folder, char *ret_path, size_t cap,
                                     vx_errinfo *info);

/* Makes a folder of mode 0700, with the folders above it, and refuses what is there already unless it is a folder (no
 * link) of the user's own that nobody else may enter. Errors: PERMISSION, IO, RANGE. */
VX_MUST_CHECK vx_err vx_agent_take_folder(const char *folder, vx_errinfo *info);

/* Holds the folder for this process until the descriptor is closed, or the process ends in whatever way.
 * ret_fd [out] close-on-exec; the file holds the process id for people to read, the lock is what counts
 * Errors EXISTS (another agent holds it; info names its process), PERMISSION, IO, RANGE */
VX_MUST_CHECK vx_err vx_agent_take_lock(const char *folder, int *ret_fd, vx_errinfo *info);
/* Process id of the agent that holds the folder; 0 when none does. */
pid_t vx_agent_holder(const char *folder);

/* A private file of the user's own: opened without following a link, mode 0600, made when `flags` hold O_CREAT.
 * Errors: NOT_FOUND, EXISTS, PERMISSION (a link, somebody else's, or open to others), IO. */
VX_MUST_CHECK vx_err vx_agent_open(const char *path, int flags, int *ret_fd, vx_errinfo *info);

#endif
