/* cli.h - the real program voxlock, run to its end: what it printed where, and how it ended.
 * Owns:   its settings, its streams. Does not: judge.
 * The program is the one of this build mode, so that a sanitizer sees what a test does to it; a sanitizer's report fails
 * the test.
 */
#ifndef VX_TESTS_CLI_H
#define VX_TESTS_CLI_H

#include "shared/base/bytes.h"

/* Exit codes, as docs/cli.md lists them: the test's own copy. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_BAD_AUDIO = 3,
    CLI_BAD_MODEL = 4,
    CLI_BAD_FILE = 5,
    CLI_BAD_STORE = 6,
    CLI_BAD_CLOUD = 7,
    CLI_CHALLENGE = 10,
    CLI_REJECT = 11,
    CLI_ESCALATE = 12,
    CLI_UNDECIDED = 13
};

typedef struct {
    int status;      /* of its end; 128 and the signal's number after a signal */
    vx_buf out, err; /* each with a zero behind it */
} cli_result;

#define CLI_ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Runs voxlock with the starter model.
 * args     [in] up to 64 behind the program's name, NULL at the end
 * env      [in] one more entry of its environment; the test's own settings do not count; may be NULL
 * input    [in] file for its standard input; NULL: /dev/null
 * out_path [in] file for its standard output, which is then not read; may be NULL */
cli_result cli_run_with(const char *const args[], const char *env, const char *input, const char *out_path);
/* The home folder of the runs to come, in which the profile store lies; NULL: none, as at first. */
void cli_set_home(const char *folder);
cli_result cli_run(const char *const args[]);
void cli_result_done(cli_result *r);

const char *cli_text(const vx_buf *stream);
size_t cli_count_lines(const vx_buf *stream);

#endif
