/* service.h - the agent as a service of the user's session: a systemd user unit, or a LaunchAgent of macOS.
 * Owns:   both texts, where they lie, writing and removing them, what the system's own program is told. Does not: run the
 *         agent, print, need root.
 */
#ifndef VX_EDGE_AGENT_SERVICE_H
#define VX_EDGE_AGENT_SERVICE_H

#include <limits.h>
#include <stdbool.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

#define VX_SERVICE_UNIT  "voxlock-agent.service"
#define VX_SERVICE_LABEL "io.github.voxlock.agent"

typedef enum { VX_SERVICE_SYSTEMD, VX_SERVICE_LAUNCHD } vx_service_kind;

/* Runs a program to its end, without a shell, its output thrown away. argv [in] NULL at the end
 * ret_status [out] what it exited with. Errors: NOT_FOUND (no such program), IO. */
typedef vx_err vx_service_run(void *arg, char *const argv[], int *ret_status, vx_errinfo *info);

typedef struct {
    vx_service_kind kind;
    char file[PATH_MAX];    /* the unit or plist */
    char program[PATH_MAX]; /* voxlock, absolute */
    char config[PATH_MAX];  /* settings that the agent is told to read; "": the usual place */
    unsigned uid;           /* whose session, for launchd */
    vx_service_run *run;
    void *run_arg;
} vx_service;

/* The service of this user on this system, for the program that runs.
 * environ_ [in] as main's
 * config   [in] a settings file, or NULL
 * Errors   UNSUPPORTED (the program's own place cannot be found), NOT_FOUND (no home), RANGE */
VX_MUST_CHECK vx_err vx_service_here(char *const *environ_, const char *config, vx_service *ret, vx_errinfo *info);

/* The text of the unit or plist, appended. Errors: ARG (a path that such a text cannot hold), NOMEM. */
VX_MUST_CHECK vx_err vx_service_text(const vx_service *service, vx_buf *out, vx_errinfo *info);

/* Writes the file, whole or not at all, and has the system start the agent now and at every login. Doing it again brings
 * both up to date.
 * ret_changed [out] whether the file was not there or said something else
 * Errors IO, PERMISSION, and UNSUPPORTED when the file is written but the system did not take it: info says what to run */
VX_MUST_CHECK vx_err vx_service_install(const vx_service *service, bool *ret_changed, vx_errinfo *info);
/* Has the system stop the agent, and removes the file. ret_changed [out] whether there was one. Errors: IO, PERMISSION. */
VX_MUST_CHECK vx_err vx_service_remove(const vx_service *service, bool *ret_changed, vx_errinfo *info);

typedef struct {
    bool installed; /* the file is there */
    bool current;   /* and is what install would write */
    bool running;   /* the system says so */
} vx_service_state;
/* Errors: IO, PERMISSION (the file cannot be read), NOMEM, ARG. A system that does not answer counts as not running. */
VX_MUST_CHECK vx_err vx_service_look(const vx_service *service, vx_service_state *ret, vx_errinfo *info);

#endif
