/* desk.h - a runtime of its own: a new store, a model, and physics that the test sets.
 * Owns:   the folder, the settings, the runtime. Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_DESK_H
#define VX_TESTS_DESK_H

#include "edge/enrol.h"
#include "edge/runtime.h"
#include "tests/support/scratch.h"

enum { DESK_SETTINGS = 5 };

typedef struct {
    scratch folder;
    char entries[DESK_SETTINGS][300];
    vx_options *settings;
    vx_runtime runtime;
    /* What the physics say, and after how long; set before an attempt. */
    vx_evidence physics;
    double measured; /* the risk by what could be measured; not 0: the layers were asked */
    bool late;       /* one of the layers was not there in time */
    bool abstained;  /* all layers but that of replays abstained */
    int delay_ms;
} desk;

/* model:   its folder; NULL: the starter
 * setting: one more entry of the environment, or NULL */
void desk_open(desk *d, const char *model, const char *setting);
void desk_close(desk *d);
/* Enrols up to 8 recordings of tests/data/audio, NULL at the end. Returns what vx_enrol does; ret_results [8] and info may
 * be NULL. */
vx_err desk_enrol(desk *d, const char *name, const char *const files[], vx_enrol_result *ret_results, vx_errinfo *info);

#endif
