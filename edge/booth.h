/* booth.h - where one person at a time speaks: microphone, detector, recogniser, and the desktop that may open.
 * Owns:   opening them, in a way that lacks only what this computer lacks. Does not: judge (live.h).
 */
#ifndef VX_EDGE_BOOTH_H
#define VX_EDGE_BOOTH_H

#include "edge/live.h"

typedef struct {
    vx_capture *capture;
    vx_vad *vad, *answer_vad;
    vx_phrase *phrase; /* NULL: no digits can be asked for; no_phrase says why */
    char no_phrase[256];
    vx_phrase_list
        phrases; /* of the settings; none where the recogniser does not know their words; no_phrases says why */
    char no_phrases[256];
    vx_desktop desktop;
    bool has_desktop; /* false: no_desktop says why */
    char no_desktop[256];
} vx_booth;

typedef struct {
    const vx_options *settings; /* for the phrases */
    vx_capture_options microphone;
    bool desktop; /* something is to be opened here */
    bool phrase;  /* without phrases that are recognised there is no point */
} vx_booth_wish;

/* Without a microphone or a detector there is no booth; a recogniser or a desktop that is missing is said in the struct. The
 * microphone is opened last.
 * Errors: those of vx_capture_open, OPTION_VALUE (the phrases' form), UNSUPPORTED (no phrases, and there must be), NOMEM */
VX_MUST_CHECK vx_err vx_booth_open(const vx_booth_wish *wish, vx_booth *ret_booth, vx_errinfo *info);
/* All-zero is fine. */
void vx_booth_close(vx_booth *booth);
/* The live attempt of it, with VOXLOCK_SPEAK; the rest of the struct is the caller's to set.
 * somebody_reads [in] what is asked for can be read, too */
vx_live vx_booth_live(vx_booth *booth, vx_runtime *runtime, bool somebody_reads);

/* Whose screen it is: `named`, or the only profile there is, or the only one that is armed. Errors: NOT_ENROLLED (none, or several), those of the store. */
VX_MUST_CHECK vx_err vx_booth_speaker(vx_store *store, const char *named, char ret_name[VX_NAME_CAP], vx_errinfo *info);

#endif
