/* check_store.c - the data folder, the profile store in it, and the profiles in that. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/doctor/doctor.h"
#include "edge/lessons.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "shared/base/file.h"
#include "shared/base/private_file.h"

#define ADVICE_FIX "run voxlock doctor --fix"

static const char *const private_files[] = {VX_STORE_FILE, VX_STORE_FILE "-wal", VX_STORE_FILE "-shm",
                                            VX_KEY_FILE,   "api-token",          "agent.log"};
enum { N_PRIVATE = sizeof private_files / sizeof *private_files };

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static bool is_open_to_others(const struct stat *st)
{
    return (st->st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

/* False, with the finding made, where a file is not the user's alone. One that is not there is fine. */
static bool file_is_private(const vx_patient *patient, const char *name, vx_finding *finding)
{
    char path[PATH_MAX];
    struct stat st;
    if (vx_path_join(patient->data_folder, name, path, sizeof path) != VX_OK || lstat(path, &st) != 0)
        return true;
    if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && !is_open_to_others(&st))
        return true;
    finding->fixable = S_ISREG(st.st_mode) && st.st_uid == geteuid();
    vx_found(finding, VX_CHECK_FAILED, finding->fixable ? ADVICE_FIX : "move it away and find out how it came there",
             "%s %s", path,
             !S_ISREG(st.st_mode)     ? "is not a regular file"
             : st.st_uid != geteuid() ? "belongs to another user"
                                      : "is open to other users");
    return false;
}

void vx_check_data_folder(vx_patient *patient, vx_finding *finding)
{
    struct stat st;
    const char *folder = patient->data_folder;
    if (stat(folder, &st) != 0) {
        finding->fixable = errno == ENOENT;
        vx_found(finding, finding->fixable ? VX_CHECK_WARNING : VX_CHECK_FAILED,
                 finding->fixable ? "voxlock enroll NAME makes it, or voxlock doctor --fix"
                                  : "name another one with --data",
                 finding->fixable ? "%s does not exist yet: nobody has enrolled" : "%s cannot be examined", folder);
    } else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        vx_found(finding, VX_CHECK_FAILED, "name another one with --data", "%s %s", folder,
                 S_ISDIR(st.st_mode) ? "belongs to another user" : "is not a folder");
    } else if (is_open_to_others(&st)) {
        finding->fixable = true;
        vx_found(finding, VX_CHECK_FAILED, ADVICE_FIX, "%s is open to other users", folder);
    } else {
        for (int i = 0; i < N_PRIVATE; i++)
            if (!file_is_private(patient, private_files[i], finding))
                return;
        vx_found(finding, VX_CHECK_OK, NULL, "%s is its owner's alone", folder);
    }
}

vx_err vx_fix_data_folder(vx_patient *patient, vx_errinfo *info)
{
    char path[PATH_MAX];
    struct stat st;
    if (stat(patient->data_folder, &st) != 0)
        return vx_private_folder_make(patient->data_folder, info);
    vx_err err = is_open_to_others(&st) ? vx_fix_mode(patient->data_folder, info) : VX_OK;
    for (int i = 0; i < N_PRIVATE && err == VX_OK; i++) {
        err = vx_path_join(patient->data_folder, private_files[i], path, sizeof path);
        if (err == VX_OK && lstat(path, &st) == 0 && is_open_to_others(&st))
            err = vx_fix_mode(path, info);
    }
    return err;
}

/* ---- the store -------------------------------------------------------------------------------------------------- */

/* An older form is migrated by opening it, as by every command; the store keeps a copy of what was there. */
void vx_check_store(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    vx_store_view view;
    const vx_store_options options = {.folder = patient->data_folder,
                                      .keyring =
                                          vx_keyring_kind_of(vx_option_text(patient->options, "VOXLOCK_KEYRING")),
                                      .busy_ms = VX_STORE_BUSY_MS};
    vx_err err = vx_store_open(&options, &patient->store, &info);
    if (err == VX_ERR_NOT_FOUND) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "nobody has enrolled yet");
        return;
    }
    if (err == VX_OK)
        err = vx_store_get_view(patient->store, &view, &info);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, NULL, err, &info);
    else if (view.key_warning[0] != '\0')
        vx_found(finding, VX_CHECK_WARNING, NULL, "%s", view.key_warning);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%.1f MB, form %d, its key in %s", (double)view.bytes / 1e6, view.schema,
                 view.key_source);
}

static bool has_store(const vx_patient *patient, vx_finding *finding)
{
    if (!patient->store)
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "there is no store to look into");
    return patient->store != NULL;
}

void vx_check_integrity(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    if (!has_store(patient, finding))
        return;
    const vx_err err = vx_store_check(patient->store, &info);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED,
                       "restore a backup (voxlock restore), or remove the profile and enrol it", err, &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "the database is whole and everything sealed opens");
}

void vx_check_audit(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    int64_t n = 0;
    if (!has_store(patient, finding))
        return;
    const vx_err err = vx_audit_verify(patient->store, &n, &info);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, "find out who wrote in it before you trust a profile again", err,
                       &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%lld entries, each proven", (long long)n);
}

/* ---- profiles --------------------------------------------------------------------------------------------------- */

/* The worst that can be said of a profile, OK when nothing. */
static void judge_profile(const vx_patient *patient, const vx_speaker *s, vx_finding *finding)
{
    const bool fits = patient->has_manifest && vx_model_digest_equal(&s->model, &patient->manifest.digest);
    if (!patient->has_manifest || (fits && !(s->armed && patient->manifest.starter)))
        return;
    if (fits)
        vx_found(finding, VX_CHECK_WARNING, "take a larger model (docs/models.md) and run voxlock migrate",
                 "%s can unlock with the starter model, which its owner has accepted: %s", s->name,
                 patient->manifest.accuracy);
    else if (s->legacy)
        vx_found(finding, VX_CHECK_WARNING, "enrol anew: voxlock enroll NAME --replace",
                 "%s was made with another model and holds no audio", s->name);
    else
        vx_found(finding, VX_CHECK_WARNING, "run voxlock migrate", "%s was made with another model", s->name);
}

/* A replay of what cannot be compared with is found by none of it. */
static void judge_memory(const vx_patient *patient, const vx_speaker *s, vx_finding *finding)
{
    vx_lessons lessons = {0};
    vx_errinfo info = {0};
    const vx_err err = vx_lessons_load(patient->store, s->id, &lessons, &info);
    const size_t n_unread = vx_lessons_unread(&lessons), n = vx_lessons_known(&lessons).n_heard + n_unread;
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED,
                       "restore a backup (voxlock restore), or remove the profile and enrol it", err, &info);
    else if (n_unread > 0)
        vx_found(finding, VX_CHECK_WARNING,
                 "nothing: use replaces them; the voxlock that took them can still compare with them",
                 "%zu of the %zu fingerprints of what %s said were taken by another version, and are not compared with",
                 n_unread, n, s->name);
    vx_lessons_done(&lessons);
}

void vx_check_profiles(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    vx_speaker *speakers = NULL;
    size_t n = 0, n_armed = 0;
    if (!has_store(patient, finding))
        return;
    const vx_err err = vx_store_speakers(patient->store, &speakers, &n, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_FAILED, NULL, err, &info);
        return;
    }
    for (size_t i = 0; i < n; i++)
        n_armed += speakers[i].armed;
    vx_found(finding, VX_CHECK_OK, n ? NULL : "voxlock enroll NAME makes one", "%zu profiles, %zu of them armed", n,
             n_armed);
    for (size_t i = 0; i < n && finding->result == VX_CHECK_OK; i++)
        judge_memory(patient, &speakers[i], finding);
    for (size_t i = 0; i < n && finding->result == VX_CHECK_OK; i++)
        judge_profile(patient, &speakers[i], finding);
    free(speakers);
}
