/* desk.c - opens a runtime over a scratch folder. */
#include "tests/support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/clip.h"

enum { MAX_FILES = 8 };

static void set_physics(void *arg, const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                        vx_pava_report *ret_report, vx_evidence *ret_evidence)
{
    const desk *d = arg;
    (void)known, (void)deadline_ns;
    *ret_report = (vx_pava_report){.analysed = d->measured != 0, .measured = d->measured};
    for (int i = 0; i < VX_N_LAYERS; i++)
        ret_report->layers[i].status =
            d->abstained && i != VX_LAYER_REPLAY ? VX_EVIDENCE_INCONCLUSIVE : VX_EVIDENCE_VALID;
    if (d->late)
        ret_report->layers[VX_LAYER_SYNTHETIC].status = VX_EVIDENCE_UNAVAILABLE;
    if (d->delay_ms > 0)
        nanosleep(&(struct timespec){d->delay_ms / 1000, d->delay_ms % 1000 * 1000000L}, NULL);
    *ret_evidence = samples && n > 0 ? d->physics : (vx_evidence){0};
}

void desk_open(desk *d, const char *model, const char *setting)
{
    const char *operands[1];
    int n = 0;
    vx_errinfo info = {0};
    memset(d, 0, sizeof *d);
    d->folder = scratch_make();
    snprintf(d->entries[0], sizeof d->entries[0], "ECAPA_CACHE_DIR=%s", model ? model : "models/starter");
    snprintf(d->entries[1], sizeof d->entries[1], "VOXLOCK_DATA_DIR=%s/data", d->folder.path);
    snprintf(d->entries[2], sizeof d->entries[2], "VOXLOCK_KEYRING=file");
    snprintf(d->entries[3], sizeof d->entries[3], "%s", setting ? setting : "VOXLOCK_THREADS=1");
    /* Of the whole process, in which sanitizers keep for a while what earlier tests have freed. */
    snprintf(d->entries[4], sizeof d->entries[4], "VOICE_UNLOCK_MAX_MEMORY=2000MB");
    char *const environment[] = {d->entries[0], d->entries[1], d->entries[2], d->entries[3], d->entries[4], NULL};
    if (vx_options_load(VX_FOR_EDGE, environment, 0, NULL, NULL, operands, &n, &d->settings, &info) != VX_OK)
        fail_msg("%s", info.text);
    if (vx_runtime_open(d->settings, environment, VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL, &d->runtime,
                        &info) != VX_OK)
        fail_msg("%s", info.text);
    d->physics = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = 0.98};
    d->runtime.physics = set_physics;
    d->runtime.physics_arg = d;
}

void desk_close(desk *d)
{
    vx_runtime_close(&d->runtime);
    vx_options_destroy(d->settings);
    scratch_done(&d->folder);
}

vx_err desk_enrol(desk *d, const char *name, const char *const files[], vx_enrol_result *ret_results, vx_errinfo *info)
{
    vx_audio audio[MAX_FILES];
    vx_enrol_clip clips[MAX_FILES];
    vx_enrol_result results[MAX_FILES];
    size_t n = 0;
    int kept = 0;
    for (; n < MAX_FILES && files[n]; n++) {
        audio[n] = clip_audio(files[n]);
        clips[n] = (vx_enrol_clip){files[n], audio[n].samples, audio[n].n, -1, ""};
    }
    const vx_err err =
        vx_enrol(&d->runtime, name, clips, n, &(vx_enrol_options){0}, ret_results ? ret_results : results, &kept, info);
    for (size_t i = 0; i < n; i++)
        vx_audio_done(&audio[i]);
    return err;
}
