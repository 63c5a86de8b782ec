/* enrol.h - recordings of one person become a profile.
 * Owns:   what may enter one: good enough, one voice, nobody else's. Does not: capture, store (profiles.h), decide.
 */
#ifndef VX_EDGE_ENROL_H
#define VX_EDGE_ENROL_H

#include "edge/runtime.h"
#include "edge/types.h"

typedef struct {
    const char *name;     /* of the file, for sentences */
    const float *samples; /* borrowed; 16 kHz mono, full scale 1.0 */
    size_t n;
    double clipped_share;   /* as the decoder counted; negative: count here */
    const char *microphone; /* "" when unknown */
} vx_enrol_clip;

typedef struct {
    vx_quality quality;
    bool taken;       /* good enough and of the voice */
    double agreement; /* probability that it is the same voice as the others and the profile; -1: not compared */
    vx_err err;       /* why it was not taken */
    char text[256];
} vx_enrol_result;

/* Called after each clip was measured and embedded: progress. */
typedef void vx_enrol_progress_fn(void *arg, size_t i, size_t n, const vx_enrol_result *result);

typedef struct {
    bool replace; /* drop what the profile held */
    bool anyway;  /* take recordings that miss a bound of quality (never those of another voice) */
    vx_enrol_progress_fn *progress;
    void *progress_arg;
} vx_enrol_options;

enum { VX_ENROL_MAX_CLIPS = 50, VX_ENROL_MIN_CLIPS = 3 /* for a new profile */ };

/* Measures, embeds, compares, and stores what is good, all or nothing. A new profile wants VX_ENROL_MIN_CLIPS good ones.
 * ret_results [out] [n], also on failure
 * Errors  ARG (n), those of vx_quality_judge (the first one, where too few are good), ENROL_VOICE (a second voice; text
 *         names the recording), ENROL_TAKEN (text names the profile), EXISTS (too few are
 *         left without copies), UNCALIBRATED, those of model, cloud and store */
VX_MUST_CHECK vx_err vx_enrol(vx_runtime *runtime, const char *name, const vx_enrol_clip *clips, size_t n,
                              const vx_enrol_options *options, vx_enrol_result *ret_results, int *ret_kept,
                              vx_errinfo *info);

#endif
