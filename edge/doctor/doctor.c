/* doctor.c - the list of checks, and one round of look, mend, look again. */
#include "edge/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/runtime.h"
#include "shared/base/cpu.h"
#include "shared/engine/engine_settings.h"

/* What enrolment and verdict stand on, then what a live unlock adds. The data folder before the store, since a descriptor of the store's file that is closed after SQLite has locked it
 * drops the lock; the token before the cloud, which says less of a token that is missing. */
const vx_check vx_checks[] = {
    {"settings", vx_check_settings, NULL},
    {"model", vx_check_model, NULL},
    {"model_files", vx_check_model_files, NULL},
    {"engine", vx_check_engine, NULL},
    {"data_folder", vx_check_data_folder, vx_fix_data_folder},
    {"store", vx_check_store, NULL},
    {"integrity", vx_check_integrity, NULL},
    {"audit_log", vx_check_audit, NULL},
    {"profiles", vx_check_profiles, NULL},
    {"token", vx_check_token, vx_fix_key_file},
    {"cloud", vx_check_cloud, NULL},
    {"clock", vx_check_clock, NULL},
    {"disk", vx_check_disk, NULL},
    {"memory", vx_check_memory, NULL},
    {"microphone", vx_check_microphone, NULL},
    {"phrase", vx_check_phrase, NULL},
    {"speech", vx_check_speech, NULL},
    {"desktop", vx_check_desktop, NULL},
    {"keyring", vx_check_keyring, NULL},
    {"pam", vx_check_pam, NULL},
    {"agent", vx_check_agent, NULL},
};
const size_t vx_n_checks = sizeof vx_checks / sizeof *vx_checks;

const char *vx_check_result_name(vx_check_result result)
{
    static const char *const names[] = {"ok", "warning", "failed", "skipped"};
    return (unsigned)result < sizeof names / sizeof *names ? names[result] : "unknown";
}

/* ---- findings --------------------------------------------------------------------------------------------------- */

void vx_found(vx_finding *finding, vx_check_result result, const char *advice, const char *fmt, ...)
{
    va_list args;
    finding->result = result;
    finding->advice = advice;
    va_start(args, fmt);
    (void)vsnprintf(finding->sentence, sizeof finding->sentence, fmt, args);
    va_end(args);
}

void vx_found_error(vx_finding *finding, vx_check_result result, const char *advice, vx_err err, const vx_errinfo *info)
{
    finding->result = result;
    finding->advice = advice;
    vx_errinfo_line(info, err, finding->sentence, sizeof finding->sentence);
}

vx_finding vx_doctor_look(const vx_check *check, vx_patient *patient, bool may_fix)
{
    vx_finding finding = {0}, again = {0};
    vx_errinfo info = {0};
    check->run(patient, &finding);
    finding.fixable = finding.fixable && check->fix;
    if (!finding.fixable || !may_fix)
        return finding;
    const vx_err err = check->fix(patient, &info);
    if (err != VX_OK) {
        vx_found_error(&finding, VX_CHECK_FAILED, finding.advice, err, &info);
        return finding;
    }
    check->run(patient, &again);
    again.fixed = !again.fixable;
    return again;
}

/* ---- the patient ------------------------------------------------------------------------------------------------ */

vx_err vx_patient_init(const vx_options *options, char *const *environment, vx_patient *ret_patient, vx_errinfo *info)
{
    vx_patient *p = ret_patient;
    memset(p, 0, sizeof *p);
    p->options = options;
    p->environment = environment;
    p->root = "";
    vx_err err = vx_runtime_data_folder(options, environment, p->data_folder, sizeof p->data_folder, info);
    if (err == VX_OK)
        err = vx_engine_settings(options, &p->engine, p->model_folder, sizeof p->model_folder, info);
    if (err != VX_OK)
        return err;
    p->engine.threads = vx_cpu_count();
    return VX_OK;
}

void vx_patient_done(vx_patient *patient)
{
    vx_store_close(patient->store);
    patient->store = NULL;
}

/* ---- mending ---------------------------------------------------------------------------------------------------- */

/* Not through a link, and only what is the user's own: a doctor that runs as root must not open what others planted. */
vx_err vx_fix_mode(const char *path, vx_errinfo *info)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return vx_errinfo_set_at(info, errno == ENOENT ? VX_ERR_NOT_FOUND : VX_ERR_PERMISSION, path, -1, 0,
                                 "it cannot be opened to change its mode");
    const bool ours = fstat(fd, &st) == 0 && st.st_uid == geteuid() && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    const bool done = ours && fchmod(fd, st.st_mode & (mode_t)(S_ISDIR(st.st_mode) ? 0700 : 0600)) == 0;
    close(fd);
    if (done)
        return VX_OK;
    return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0,
                             ours ? "its mode cannot be changed" : "it belongs to another user, or is no file");
}
