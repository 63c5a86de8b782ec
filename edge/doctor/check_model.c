/* check_model.c - settings that fit each other, the model folder, its files, and whether they compute. */
#include <string.h>

#include "edge/decide/decide.h"
#include "edge/doctor/doctor.h"
#include "shared/engine/score.h"

#define ADVICE_MODEL "install the model folder again, or name another one with --model"

/* Each alone was checked when the command began. */
void vx_check_settings(vx_patient *patient, vx_finding *finding)
{
    vx_decide_options decide;
    vx_errinfo info = {0};
    const char *value, *origin;
    size_t n = 0, n_changed = 0;
    const vx_err err = vx_decide_settings(patient->options, &decide, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_FAILED, "voxlock config shows where each setting comes from", err, &info);
        return;
    }
    for (; vx_option_at(patient->options, n, &value, &origin); n++)
        n_changed += strcmp(origin, "default") != 0;
    vx_found(finding, VX_CHECK_OK, NULL, "%zu settings, %zu of them changed", n, n_changed);
}

void vx_check_model(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    const vx_manifest *m = &patient->manifest;
    const vx_err err = vx_manifest_read(patient->model_folder, &patient->manifest, &info);
    patient->has_manifest = err == VX_OK;
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, ADVICE_MODEL, err, &info);
    else if (m->starter)
        vx_found(finding, VX_CHECK_WARNING, "take a larger model before it locks a screen (docs/models.md)",
                 "%s is a starter model, to try things out: %s", m->name, m->accuracy);
    else if (!m->score_calibrated)
        vx_found(finding, VX_CHECK_WARNING, "run voxlock calibrate, or bake the folder again",
                 "%s has no calibration, so that its scores are no probabilities", m->name);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s%s%s", m->name, m->accuracy[0] ? ": " : "", m->accuracy);
}

void vx_check_model_files(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    vx_map map;
    vx_cohort cohort = {0};
    const vx_manifest *m = &patient->manifest;
    if (!patient->has_manifest) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "the manifest cannot be read");
        return;
    }
    size_t bytes = 0;
    vx_err err = vx_cohort_open(patient->model_folder, m, &cohort, &info);
    vx_cohort_close(&cohort);
    for (int i = 0; i < m->n_artefacts && err == VX_OK; i++) {
        err = vx_manifest_open_artefact(patient->model_folder, &m->artefacts[i], &map, &info);
        if (err == VX_OK) {
            bytes += map.len;
            vx_map_close(&map);
        }
    }
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, ADVICE_MODEL, err, &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%d of the strategies' files, %.1f MB, have the digests of the manifest",
                 m->n_artefacts, (double)bytes / 1e6);
}

/* As every command opens it, and proven by its self-test. */
void vx_check_engine(vx_patient *patient, vx_finding *finding)
{
    vx_errinfo info = {0};
    vx_engine_info about;
    vx_engine *engine = NULL;
    vx_engine_options options = patient->engine;
    options.self_test = true;
    const vx_err err = vx_engine_open(patient->model_folder, &options, &engine, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_FAILED, "voxlock status lists what each strategy said", err, &info);
        return;
    }
    vx_engine_get_info(engine, &about);
    if (about.degraded)
        vx_found(finding, VX_CHECK_WARNING, "voxlock status lists what each strategy said", "%s", about.reason);
    else if (about.self_test < -1)
        vx_found(finding, VX_CHECK_WARNING, "bake the model folder again: its manifest has no self-test",
                 "%s (%s) opened, but nothing proves what it computes", about.strategy, about.precision);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s (%s, %s) loaded in %.0f ms; its self-test agrees to %.5f",
                 about.strategy, about.precision, about.isa, about.load_ms, about.self_test);
    vx_engine_close(engine);
}
