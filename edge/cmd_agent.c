/* cmd_agent.c - voxlock agent: the process that answers and wakes by itself, and its service.
 * run listens when it is asked (by PAM, by a program with the API's token, by its user), and while the screen is locked.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/agent/api.h"
#include "edge/agent/client.h"
#include "edge/agent/log_file.h"
#include "edge/agent/place.h"
#include "edge/agent/service.h"
#include "edge/agent/socket.h"
#include "edge/answering.h"
#include "edge/cmd.h"
#include "edge/wake.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0, TEND_S = 5, ASK_S = 5 };

/* ---- run ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    char data[1000], folder[1024];
    vx_log_file *file;
    vx_log *log;
    int held; /* lock of the folder; -1: none */
    vx_answering answering;
    bool answers;
    vx_agent_calls calls;
    vx_agent_socket *socket;
    vx_api *api;
    vx_wake *wake;
} agent;

static vx_err open_log(const vx_cmd_call *call, agent *a, vx_errinfo *info)
{
    char path[1024];
    vx_err err = vx_path_join(a->data, "agent.log", path, sizeof path);
    if (err == VX_OK)
        err = vx_log_file_open(path, 0, &a->file, info);
    if (err == VX_OK)
        err = vx_log_create(vx_log_file_fd(a->file),
                            strcmp(vx_option_text(call->options, "VOXLOCK_LOG_FORMAT"), "json") == 0 ? VX_LOG_JSON
                                                                                                     : VX_LOG_TEXT,
                            VX_LOG_INFO, &a->log);
    return err;
}

static vx_err start(const vx_cmd_call *call, agent *a, vx_errinfo *info)
{
    const int port = (int)vx_option_int(call->options, "VOXLOCK_AGENT_PORT");
    int bound = 0;
    vx_err err = vx_runtime_data_folder(call->options, call->environment, a->data, sizeof a->data, info);
    if (err == VX_OK)
        err = vx_agent_take_folder(a->data, info);
    if (err == VX_OK)
        err = vx_agent_folder(call->environment, a->data, a->folder, sizeof a->folder, info);
    if (err == VX_OK)
        err = vx_agent_take_folder(a->folder, info);
    if (err == VX_OK)
        err = vx_agent_take_lock(a->folder, &a->held, info);
    if (err == VX_OK)
        err = open_log(call, a, info);
    if (err == VX_OK)
        err = vx_answering_open(call->options, call->environment, a->log, &a->answering, info);
    if (err != VX_OK)
        return err;
    a->answers = true;
    a->calls = vx_answering_calls(&a->answering);
    err = vx_agent_socket_create(a->folder, &a->calls, (vx_agent_socket_options){0}, &a->socket, info);
    if (err == VX_OK && port > 0)
        err = vx_api_create(a->data, &a->calls, &(vx_api_options){.port = port}, &a->api, &bound, info);
    if (err == VX_OK)
        err = vx_wake_create(&a->answering, a->folder, &a->wake, info);
    if (err == VX_OK)
        VX_LOG(a->log, VX_LOG_INFO, "listening", vx_f_str("socket", a->folder), vx_f_int("port", bound));
    return err;
}

static void stop(agent *a)
{
    vx_wake_destroy(a->wake); /* first: who was asked last is not kept from the microphone */
    vx_api_destroy(a->api);
    vx_agent_socket_destroy(a->socket);
    if (a->answers)
        vx_answering_close(&a->answering);
    if (a->held >= 0)
        (void)close(a->held);
    vx_log_destroy(a->log);
    vx_log_file_close(a->file);
}

/* The next of these signals, or 0 after TEND_S. */
static int next_signal(const sigset_t *signals)
{
#ifdef __APPLE__ /* has no sigtimedwait */
    for (int i = 0; i < 5 * TEND_S; i++) {
        sigset_t pending;
        int number = 0;
        (void)sigpending(&pending);
        for (int s = 1; s < NSIG; s++)
            if (sigismember(&pending, s) == 1 && sigismember(signals, s) == 1)
                return sigwait(signals, &number) == 0 ? number : 0;
        (void)usleep(200000);
    }
    return 0;
#else
    const struct timespec patience = {.tv_sec = TEND_S};
    const int number = sigtimedwait(signals, NULL, &patience);
    return number > 0 ? number : 0;
#endif
}

/* Until SIGTERM or SIGINT; SIGHUP reloads. Signals were blocked before the first thread, and wait here. */
static void serve(agent *a, const sigset_t *signals)
{
    for (;;) {
        const int number = next_signal(signals);
        if (number == SIGTERM || number == SIGINT)
            return;
        if (number == SIGHUP)
            a->calls.reload(a->calls.arg);
        vx_answering_tend(&a->answering);
        if (vx_log_file_tend(a->file, NULL) != VX_OK)
            VX_LOG(a->log, VX_LOG_WARNING, "the log cannot be put away", vx_f_str("file", "agent.log"));
    }
}

static int run_agent(const vx_cmd_call *call)
{
    agent a = {.held = -1};
    vx_errinfo info = {0};
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    const vx_err err = start(call, &a, &info);
    const int code = err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, &info);
    if (err == VX_OK)
        serve(&a, &signals);
    stop(&a);
    return code;
}

/* ---- its service, and how it is --------------------------------------------------------------------------------------- */

static vx_err here(const vx_cmd_call *call, vx_service *ret_service, vx_errinfo *info)
{
    const char *config = vx_option_text(call->options, "VOXLOCK_CONFIG");
    return vx_service_here(call->environment, *config ? config : NULL, ret_service, info);
}

static int change(const vx_cmd_call *call, vx_err (*act)(const vx_service *, bool *, vx_errinfo *), const char *done)
{
    vx_service service;
    vx_errinfo info = {0};
    bool changed = false;
    vx_err err = here(call, &service, &info);
    if (err == VX_OK)
        err = act(&service, &changed, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    return vx_cmd_print(json_pack("{s:{s:s, s:b, s:o}}", "agent", "done", done, "changed", changed, "file",
                                  vx_json_shown(service.file)),
                        call->flags & FLAG_JSON);
}

/* What the agent says of itself; NULL when none answers. */
static json_t *ask_status(const vx_cmd_call *call)
{
    char data[1000], folder[1024], path[1100];
    static vx_agent_answer answer;
    if (vx_runtime_data_folder(call->options, call->environment, data, sizeof data, NULL) != VX_OK ||
        vx_agent_folder(call->environment, data, folder, sizeof folder, NULL) != VX_OK ||
        vx_path_join(folder, VX_AGENT_SOCKET, path, sizeof path) != VX_OK)
        return NULL;
    const vx_agent_question question = {
        .socket_path = path, .owner = getuid(), .op = "status", .deadline_ns = vx_now_ns() + ASK_S * 1000000000ull};
    json_t *root = NULL;
    if (vx_agent_ask(&question, &answer, NULL) != VX_OK ||
        vx_json_parse(answer.json, answer.len, (vx_json_limits){8, 256}, &root, NULL) != VX_OK)
        return NULL;
    return root;
}

static int show(const vx_cmd_call *call)
{
    vx_service service;
    vx_service_state state;
    vx_errinfo info = {0};
    vx_err err = here(call, &service, &info);
    if (err == VX_OK)
        err = vx_service_look(&service, &state, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    json_t *said = ask_status(call);
    const bool answers = said != NULL;
    const int code =
        vx_cmd_print(json_pack("{s:{s:b, s:b, s:b, s:b, s:o}, s:o}", "service", "installed", state.installed,
                               "up_to_date", state.current, "running", state.running, "answers", answers, "file",
                               vx_json_shown(service.file), "agent", said ? said : json_object()),
                     call->flags & FLAG_JSON);
    return code == VX_EXIT_OK && !answers ? VX_EXIT_FAILED : code;
}

static int run(const vx_cmd_call *call)
{
    const char *action = call->operands[0];
    if (strcmp(action, "run") == 0)
        return run_agent(call);
    if (strcmp(action, "install") == 0)
        return change(call, vx_service_install, "installed");
    if (strcmp(action, "remove") == 0)
        return change(call, vx_service_remove, "removed");
    if (strcmp(action, "status") == 0)
        return show(call);
    return vx_cmd_misused("usage: voxlock agent run | install | remove | status");
}

const vx_cmd vx_cmd_agent = {
    .name = "agent",
    .usage = "run | install | remove | status [--json]",
    .help =
        "Run the process that waits for a command phrase while the screen is locked, and that PAM and other programs "
        "ask to listen and unlock; or manage it as a service of your session.",
    .flags = {{"--json", "one JSON object", NULL}},
    .actions = "run|install|remove|status",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
