/* log_file.h - the agent's own log: bounded in size, readable by the user alone.
 * Owns:   the file, the three before it, the descriptor that lines go to. Does not: format lines (shared/base/log.h writes to
 *         the descriptor and knows nothing of this).
 */
#ifndef VX_EDGE_AGENT_LOG_FILE_H
#define VX_EDGE_AGENT_LOG_FILE_H

#include <stddef.h>

#include "shared/base/err.h"

enum { VX_LOG_FILES_KEPT = 3, VX_LOG_FILE_BYTES = 1 << 20 };

typedef struct vx_log_file vx_log_file;

/* Opens "<path>" to append to, mode 0600, in a folder that is there already.
 * max_bytes [in] size from which it is put away; 0: VX_LOG_FILE_BYTES
 * Errors    PERMISSION (a link, somebody else's, or open to others), IO, NOMEM, RANGE */
VX_MUST_CHECK vx_err vx_log_file_open(const char *path, size_t max_bytes, vx_log_file **ret_file, vx_errinfo *info);
/* NULL is fine. */
void vx_log_file_close(vx_log_file *file);
/* The same number for the file's whole life, whatever is behind it. Borrowed. */
int vx_log_file_fd(const vx_log_file *file);

/* Looks at the size, and puts the file away when it has reached the most: it becomes "<path>.1", that one ".2", that one
 * ".3", which is removed. Also begins anew when somebody has moved or removed the file. The agent calls this after what it
 * logs and every minute, so that the log is at most four times the size and what is written between two calls.
 * On failure lines go on to the file that is open.
 * Threads  one at a time; others may write to the descriptor meanwhile, and no line is lost or torn */
VX_MUST_CHECK vx_err vx_log_file_tend(vx_log_file *file, vx_errinfo *info);

#endif
