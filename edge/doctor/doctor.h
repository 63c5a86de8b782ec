/* doctor.h - checks of everything that voxlock stands on, and the mending of what a program can mend safely.
 * Owns:   the list of checks and their order. Does not: print (cmd_doctor.c).
 */
#ifndef VX_EDGE_DOCTOR_DOCTOR_H
#define VX_EDGE_DOCTOR_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "edge/capture/capture.h"
#include "edge/route/cloud_client.h"
#include "edge/store/store.h"
#include "shared/base/err.h"
#include "shared/base/options.h"
#include "shared/engine/engine.h"

/* What the checks share. Each finds what those before it in the list have set. */
typedef struct {
    const vx_options *options;
    char *const *environment;
    char model_folder[PATH_MAX], data_folder[1000];
    vx_engine_options engine;
    bool has_manifest;
    vx_manifest manifest;
    vx_store *store; /* NULL: there is none, or it cannot be opened */
    /* A person asked: the microphone may be heard for a second, and the agent be spoken to. The agent itself, asked for
     * the same report, does neither. */
    bool by_hand;
    vx_capture_options microphone; /* with by_hand; all-zero is the default one */
    const char *root;              /* of the system's folders that are looked into: ""; tests have their own */
} vx_patient;

/* Errors: those of the folders' settings. ret_patient [out] caller's memory; vx_patient_done. */
VX_MUST_CHECK vx_err vx_patient_init(const vx_options *options, char *const *environment, vx_patient *ret_patient,
                                     vx_errinfo *info);
void vx_patient_done(vx_patient *patient);

typedef enum { VX_CHECK_OK, VX_CHECK_WARNING, VX_CHECK_FAILED, VX_CHECK_SKIPPED } vx_check_result;
/* "ok", "warning", "failed", "skipped". */
const char *vx_check_result_name(vx_check_result result);

typedef struct {
    vx_check_result result;
    char sentence[VX_ERRINFO_LINE];
    const char *advice; /* what to do about it; static; NULL: nothing, or the sentence says it */
    bool fixable;       /* the check's fix could mend it */
    bool fixed;         /* it has */
} vx_finding;

typedef struct {
    const char *name; /* "data_folder" */
    void (*run)(vx_patient *patient, vx_finding *finding);
    /* Mends what run called fixable, without touching what anybody wrote. NULL: only people can mend this. */
    vx_err (*fix)(vx_patient *patient, vx_errinfo *info);
} vx_check;

/* In the order in which they are run. */
extern const vx_check vx_checks[];
extern const size_t vx_n_checks;

/* Runs one check; where it finds something fixable and may, mends it and looks again. */
vx_finding vx_doctor_look(const vx_check *check, vx_patient *patient, bool may_fix);

/* For checks. */
void vx_found(vx_finding *finding, vx_check_result result, const char *advice, const char *fmt, ...) VX_PRINTF(4, 5);
/* An error as a finding: its line. */
void vx_found_error(vx_finding *finding, vx_check_result result, const char *advice, vx_err err,
                    const vx_errinfo *info);

void vx_check_settings(vx_patient *patient, vx_finding *finding);
void vx_check_model(vx_patient *patient, vx_finding *finding);
void vx_check_model_files(vx_patient *patient, vx_finding *finding);
void vx_check_engine(vx_patient *patient, vx_finding *finding);
void vx_check_data_folder(vx_patient *patient, vx_finding *finding);
vx_err vx_fix_data_folder(vx_patient *patient, vx_errinfo *info);
void vx_check_store(vx_patient *patient, vx_finding *finding);
void vx_check_integrity(vx_patient *patient, vx_finding *finding);
void vx_check_audit(vx_patient *patient, vx_finding *finding);
void vx_check_profiles(vx_patient *patient, vx_finding *finding);
void vx_check_token(vx_patient *patient, vx_finding *finding);
vx_err vx_fix_key_file(vx_patient *patient, vx_errinfo *info);
void vx_check_cloud(vx_patient *patient, vx_finding *finding);
void vx_check_clock(vx_patient *patient, vx_finding *finding);
void vx_check_disk(vx_patient *patient, vx_finding *finding);
void vx_check_memory(vx_patient *patient, vx_finding *finding);
void vx_check_microphone(vx_patient *patient, vx_finding *finding);
void vx_check_phrase(vx_patient *patient, vx_finding *finding);
void vx_check_speech(vx_patient *patient, vx_finding *finding);
void vx_check_desktop(vx_patient *patient, vx_finding *finding);
void vx_check_keyring(vx_patient *patient, vx_finding *finding);
void vx_check_pam(vx_patient *patient, vx_finding *finding);
void vx_check_agent(vx_patient *patient, vx_finding *finding);
/* Takes from a file or folder of the user's what others may do with it. Errors: PERMISSION, NOT_FOUND, IO. */
VX_MUST_CHECK vx_err vx_fix_mode(const char *path, vx_errinfo *info);

/* What a Mac's owner runs to find out whether voxlock works there: the parts that no test of this project has reached. */
typedef struct {
    const char *act;    /* what to type or to click */
    const char *expect; /* what should be seen */
} vx_mac_step;
extern const vx_mac_step vx_mac_steps[];
extern const size_t vx_n_mac_steps;
/* Before the first step, and what to do with what was seen. */
extern const char vx_mac_before[], vx_mac_after[];

#endif
