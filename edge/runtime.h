/* runtime.h - everything an attempt needs, opened as the settings say: store, model, cloud, threads.
 * Owns:   opening in the right order and closing in the reverse. Does not: decide anything.
 */
#ifndef VX_EDGE_RUNTIME_H
#define VX_EDGE_RUNTIME_H

#include <limits.h>
#include <pthread.h>

#include "edge/decide/decide.h"
#include "edge/lessons.h"
#include "edge/pava/pava.h"
#include "edge/route/router.h"
#include "edge/store/store.h"
#include "shared/base/options.h"
#include "shared/base/pool.h"
#include "shared/engine/engine.h"
#include "shared/engine/keeper.h"
#include "shared/engine/score.h"
#include "shared/resilience/timeouts.h"

/* Judges a recording's physics; vx_pava_judge in the programs, whose contract it has. */
typedef void vx_physics_fn(void *arg, const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                           vx_pava_report *ret_report, vx_evidence *ret_evidence);

typedef struct {
    const vx_options *settings; /* borrowed */
    char model_folder[PATH_MAX], data_folder[1000];
    vx_engine_options engine; /* as the keeper opens it */

    /* The model, as far as its folder can be read without running it. */
    vx_manifest manifest;
    vx_err model_err; /* of reading manifest and cohort; those are set only with VX_OK */
    vx_errinfo model_info;
    vx_cohort cohort;
    vx_calibration own_calibration; /* voxlock calibrate's, of this model */
    bool has_own_calibration;
    vx_err own_calibration_err; /* there is one, and it cannot be read */

    vx_store *store;
    vx_keeper *keeper;
    vx_cloud *cloud; /* NULL: none is set up */
    vx_router router;
    vx_pool *pool;

    vx_decide_options decide;
    double early_exit; /* VBI_EARLY_EXIT_THRESHOLD */
    double strong;     /* VBI_CONFIDENT_THRESHOLD */
    bool physics_on;
    double tract_threshold_cm, double_reverb_threshold;
    vx_physics_fn *physics;
    void *physics_arg;

    pthread_mutex_t lock;               /* guards timeouts, lessons */
    vx_timeouts timeouts[VX_N_SOURCES]; /* learned while the program runs */
    vx_lessons lessons;                 /* of whom was examined last, between attempts */
} vx_runtime;

/* What of it a command needs: opening a model or making a folder that nobody uses costs time and trust. */
enum { VX_RUNTIME_STORE = 1, VX_RUNTIME_CREATE = 2 /* a store that is not there is made */, VX_RUNTIME_MODEL = 4 };

/* Opens. A model folder that cannot be read is no error: it is an attempt that is NOT_READY, and model_err says why.
 * settings     [in] outlive the runtime
 * environment  [in] main's, for the user's folders
 * ret_runtime  [out] caller's memory; vx_runtime_close
 * Errors       OPTION_VALUE, those of vx_store_open, NOMEM, INTERNAL */
VX_MUST_CHECK vx_err vx_runtime_open(const vx_options *settings, char *const *environment, unsigned needs,
                                     vx_runtime *ret_runtime, vx_errinfo *info);
/* Waits for work under way. All-zero is fine. */
void vx_runtime_close(vx_runtime *runtime);

/* What was read of a speaker's past for the attempt before, to be brought up to date (vx_lessons_load): thousands of
 * utterances are not opened anew for each attempt. Who takes it has it alone, and gives it back; an attempt that overlaps
 * finds none, and reads all. Threads: any. */
void vx_runtime_take_lessons(vx_runtime *runtime, vx_lessons *ret_lessons);
/* Takes *lessons, which then is all-zero. */
void vx_runtime_keep_lessons(vx_runtime *runtime, vx_lessons *lessons);

/* Does what time and memory ask for, as vx_keeper_tend; with the model what was read for it is wiped. */
void vx_runtime_tend(vx_runtime *runtime, const vx_keeper_memory *memory);

/* Reads the user's own calibration anew. No attempt may be under way. */
void vx_runtime_reload(vx_runtime *runtime);

/* The data folder as settings and environment say. */
VX_MUST_CHECK vx_err vx_runtime_data_folder(const vx_options *settings, char *const *environment, char *ret_folder,
                                            size_t cap, vx_errinfo *info);
/* The calibration in force: the user's own, or the model's (NULL stands for it). */
const vx_calibration *vx_runtime_calibration(const vx_runtime *runtime);
/* Whether the model's folder could be read; info says why it could not. */
VX_MUST_CHECK vx_err vx_runtime_has_model(const vx_runtime *runtime, vx_errinfo *info);
/* The computer's memory pressure, 0 to 1; negative when the system does not tell. */
double vx_runtime_pressure(void);
/* Computes an embedding where the router says.
 * pressure [in] as above */
VX_MUST_CHECK vx_err vx_runtime_embed(vx_runtime *runtime, double pressure, const float *samples, size_t n,
                                      uint64_t deadline_ns, vx_embedding *ret_embedding, vx_route_report *ret_report,
                                      vx_errinfo *info);
/* The same for recordings that nobody waits for within seconds: enrolment, migration, calibration. */
VX_MUST_CHECK vx_err vx_runtime_embed_patiently(vx_runtime *runtime, const float *samples, size_t n,
                                                vx_embedding *ret_embedding, vx_errinfo *info);

#endif
