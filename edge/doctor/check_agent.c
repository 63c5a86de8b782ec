/* check_agent.c - whether the agent runs, and is of this version; whether PAM asks it, and in a stack that may. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/agent/client.h"
#include "edge/agent/place.h"
#include "edge/agent/service.h"
#include "edge/doctor/doctor.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"

/* ---- agent ----------------------------------------------------------------------------------------------------------- */

enum { ASK_S = 5 };

static bool is_installed(const vx_patient *patient)
{
    vx_service service;
    vx_service_state state = {0};
    return vx_service_here(patient->environment, NULL, &service, NULL) == VX_OK &&
           vx_service_look(&service, &state, NULL) == VX_OK && state.installed;
}

static void judge_answer(const vx_agent_answer *answer, vx_finding *finding)
{
    char version[32] = "unknown", state[64] = "unknown";
    (void)vx_agent_reply_field(answer->json, answer->len, "version", version, sizeof version);
    (void)vx_agent_reply_field(answer->json, answer->len, "state", state, sizeof state);
    if (strcmp(version, VX_VERSION) != 0)
        vx_found(finding, VX_CHECK_WARNING, "run voxlock agent install: it starts the agent anew",
                 "the agent that runs is version %s, this program is " VX_VERSION, version);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "version %s answers; its state is %s", version, state);
}

void vx_check_agent(vx_patient *patient, vx_finding *finding)
{
    char folder[1024], path[1100];
    vx_agent_answer answer;
    vx_errinfo info = {0};
    if (!patient->by_hand) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "it is the agent that answers here");
        return;
    }
    vx_err err = vx_agent_folder(patient->environment, patient->data_folder, folder, sizeof folder, &info);
    if (err == VX_OK)
        err = vx_path_join(folder, VX_AGENT_SOCKET, path, sizeof path);
    if (err == VX_OK) {
        const vx_agent_question question = {.socket_path = path,
                                            .owner = geteuid(),
                                            .op = "status",
                                            .deadline_ns = vx_now_ns() + ASK_S * UINT64_C(1000000000)};
        err = vx_agent_ask(&question, &answer, &info);
    }
    if (err == VX_OK)
        judge_answer(&answer, finding);
    else if (err != VX_ERR_NOT_FOUND)
        vx_found_error(finding, VX_CHECK_FAILED, "voxlock agent status, and agent.log in the data folder, say more",
                       err, &info);
    else if (is_installed(patient))
        vx_found(finding, VX_CHECK_WARNING, "run voxlock agent install: it starts the agent",
                 "the agent is installed, and does not run");
    else
        vx_found(finding, VX_CHECK_SKIPPED, "voxlock agent install makes one that waits for your voice",
                 "no agent is installed");
}

/* ---- PAM ------------------------------------------------------------------------------------------------------------- */

#define MODULE "pam_voxlock.so"
/* A stack is some lines long; more is read of none. */
enum { MAX_STACK_BYTES = 64 * 1024 };

static const char *const module_folders[] = {
    "/usr/lib/security",
    "/usr/lib64/security",
    "/lib/security",
    "/lib64/security",
    "/usr/local/lib/security",
    "/usr/lib/x86_64-linux-gnu/security",
    "/usr/lib/pam",
    "/usr/lib/aarch64-linux-gnu/security",
};
/* Programs that guard more than the user's own session (docs/agent.md, "Not for sudo"). */
static const char *const guarded[] = {"sudo", "sudo-i", "su", "su-l", "runuser", "runuser-l", "doas", "polkit-1"};

typedef struct {
    bool module, open_to_others; /* it is there; others than root may write to it */
    char path[PATH_MAX];
    int n_stacks; /* that name it */
    char stack[64];
    bool guards; /* stack is one of guarded */
} pam_view;

static void look_for_module(const char *root, pam_view *view)
{
    for (size_t i = 0; i < sizeof module_folders / sizeof *module_folders && !view->module; i++) {
        struct stat st;
        const int n = snprintf(view->path, sizeof view->path, "%s%s/" MODULE, root, module_folders[i]);
        view->module = n > 0 && (size_t)n < sizeof view->path && stat(view->path, &st) == 0;
        view->open_to_others = view->module && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    }
}

/* A line that is no comment names the module. */
static bool names_module(const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *first = line + strspn(line, " \t"), *at = strstr(line, MODULE);
        if (*first != '#' && at && at < line + strcspn(line, "\n"))
            return true;
    }
    return false;
}

static bool is_guarded(const char *stack)
{
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
        if (strcmp(stack, guarded[i]) == 0)
            return true;
    return false;
}

static void look_into_stack(const char *folder, const char *name, pam_view *view)
{
    char path[PATH_MAX];
    struct stat st;
    vx_buf text = {0};
    if (vx_path_join(folder, name, path, sizeof path) == VX_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        vx_file_read(path, MAX_STACK_BYTES, &text, NULL) == VX_OK && vx_buf_append(&text, "", 1) == VX_OK &&
        names_module((const char *)text.data)) {
        view->n_stacks++;
        if (!view->guards)
            (void)snprintf(view->stack, sizeof view->stack, "%.63s", name);
        view->guards = view->guards || is_guarded(name);
    }
    vx_buf_done(&text);
}

static void look_into_stacks(const char *root, pam_view *view)
{
    char folder[PATH_MAX];
    const int n = snprintf(folder, sizeof folder, "%s/etc/pam.d", root);
    DIR *dir = n > 0 && (size_t)n < sizeof folder ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            look_into_stack(folder, entry->d_name, view);
    if (dir)
        (void)closedir(dir);
}

/* On a Mac, for which there is no such module, none is installed. */
void vx_check_pam(vx_patient *patient, vx_finding *finding)
{
    pam_view view = {0};
    look_for_module(patient->root, &view);
    look_into_stacks(patient->root, &view);
    if (!view.module && view.n_stacks > 0)
        vx_found(finding, VX_CHECK_FAILED, "install the module (docs/agent.md), or take its line out of the stack",
                 "/etc/pam.d/%s names " MODULE ", which is in no folder of PAM's modules", view.stack);
    else if (!view.module)
        vx_found(finding, VX_CHECK_SKIPPED, NULL,
                 MODULE " is not installed: no lock screen asks for your voice by PAM");
    else if (view.open_to_others)
        vx_found(finding, VX_CHECK_FAILED, "as root: chmod 0644", "others than root may write to %s", view.path);
    else if (view.guards)
        vx_found(finding, VX_CHECK_WARNING, "take it out: docs/agent.md, \"Not for sudo\"",
                 "/etc/pam.d/%s names " MODULE ": any program of yours could answer for you there", view.stack);
    else if (view.n_stacks == 0)
        vx_found(finding, VX_CHECK_OK, "docs/agent.md has the line for a lock screen's stack",
                 "%s is installed, and no stack names it", view.path);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s is named by %d stack%s: %s", view.path, view.n_stacks,
                 view.n_stacks == 1 ? "" : "s", view.stack);
}
