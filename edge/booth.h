/* booth.h - where one person at a time speaks: microphone, detector, recogniser, and the desktop that may open.
 * Owns:   opening them, in a way that lacks only what this computer lacks. Does not: judge (live.h).
 */
#ifndef VX_EDGE_BOOTH_H
#define VX_EDGE_BOOTH_H

#include "edge/live.h"

typedef struct {
    vx_capture *capture;
    vx_vad *vad;
    vx_phrase *phrase; /* NULL: no digits can be asked for; no_phrase says why */
    char no_phrase[256];
    vx_desktop desktop;
    bool has_desktop; /* false: no_desktop says why */
    char no_desktop[256];
} vx_booth;

/* Without a microphone or a detector there is no booth; a recogniser or a desktop that is missing is said in the struct.
 * with_desktop [in] false: nothing is to be opened here
 * Errors       those of vx_capture_open, NOMEM */
VX_MUST_CHECK vx_err vx_booth_open(const vx_capture_options *microphone, bool with_desktop, vx_booth *ret_booth,
                                   vx_errinfo *info);
/* All-zero is fine. */
void vx_booth_close(vx_booth *booth);
/* The live attempt of it; the rest of the struct is the caller's to set. */
vx_live vx_booth_live(vx_booth *booth, vx_runtime *runtime);

/* Whose screen it is: `named`, or the only profile there is, or the only one that is armed. Errors: NOT_ENROLLED (none, or several), those of the store. */
VX_MUST_CHECK vx_err vx_booth_speaker(vx_store *store, const char *named, char ret_name[VX_NAME_CAP], vx_errinfo *info);

#endif
