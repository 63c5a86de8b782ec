/* child.h - a program started beside the test, and the lines it says.
 * Owns:   the process, a pipe to its standard input, one from its standard output or standard error.
 *         Does not: understand the lines. Only children of its own are ever signalled.
 */
#ifndef VX_TESTS_CHILD_H
#define VX_TESTS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "shared/base/bytes.h"

enum { CHILD_STDOUT = 1, CHILD_STDERR = 2 };

typedef struct {
    pid_t pid; /* 0: none */
    int to;    /* its standard input; -1 once closed */
    int from;  /* the stream that is read, non-blocking; -1 at its end */
    vx_buf heard;
    double peak_rss_mb; /* known after child_end */
} child;

/* Starts argv[0] (looked up in PATH). stream: the one to read; the other stays this program's.
 * False, with errno set, when the pipe or the process cannot be made. */
bool child_start(char *const argv[], int stream, child *ret);
/* Writes text and a newline. False when the child has gone. */
bool child_say(child *c, const char *text);
/* The next line, without its newline. False at the end of the stream or after timeout_ms.
 * ret_line [out] owned by the child's buffer, until the next call */
bool child_hear(child *c, int timeout_ms, const char **ret_line);
/* Reads and forgets what there is, so that a talkative child never waits for its reader. Does not wait. */
void child_ignore(child *c);
/* Closes its standard input, waits up to timeout_ms while ignoring what it says, and kills it after that.
 * Returns its exit status, or 128 and the signal's number. All-zero is fine: 0. */
int child_end(child *c, int timeout_ms);

#endif
