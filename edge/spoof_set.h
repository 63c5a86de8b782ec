/* spoof_set.h - recordings of which is known how they were made, judged one by one as an attempt would.
 * Owns:   reading their list, what the lock would know of each speaker by then, the judging. Does not: count errors
 *         (report/rates.h).
 *
 * The list is FOLDER/manifest.tsv: a heading line, then a line a recording, separated by tabs. Columns by name: path (below
 * FOLDER), spoof (0 or 1), group, kind, held_out (0 or 1), source, speaker, original; others are passed over.
 */
#ifndef VX_EDGE_SPOOF_SET_H
#define VX_EDGE_SPOOF_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "edge/pava/pava.h"

typedef struct {
    char *path, *group, *kind, *source, *speaker, *original; /* owned by the set, in one block */
    bool spoof, held_out;
    /* With vx_spoof_set_judge: */
    vx_err err; /* of reading the file */
    vx_evidence physics;
    vx_pava_report report; /* without its fingerprint */
} vx_spoof_clip;

typedef struct {
    char *folder, *text; /* owned: the manifest's bytes, which the clips point into */
    vx_spoof_clip *clips;
    size_t n;
} vx_spoof_set;

/* Errors: NOT_FOUND, PERMISSION, IO, RANGE (too large), BAD_LIST (info: which line, what is wrong), NOMEM. */
VX_MUST_CHECK vx_err vx_spoof_set_read(const char *folder, vx_spoof_set *ret_set, vx_errinfo *info);
void vx_spoof_set_done(vx_spoof_set *set);

/* Judges every clip. What the lock knows of a speaker are his clips of the kind "plain" made from other originals: their
 * fingerprints, and a baseline from BASELINE of them. A clip of the group "repeat" is one that was heard: there the plain
 * clip of the same original is known as well.
 * threads  [in] 1 or more
 * progress [in] called now and then from one thread; may be NULL
 * Errors   NOMEM, INTERNAL. A file that cannot be read is its clip's err. */
VX_MUST_CHECK vx_err vx_spoof_set_judge(vx_spoof_set *set, int threads, void (*progress)(size_t done, size_t n),
                                        vx_errinfo *info);

/* The measures of every clip as a table: kind, group, spoof, held_out, source, speaker, original, path, then a column a
 * measure ("playback.low_edge_hz"; empty where there is none), status and llr of each layer ("playback.llr"), risk.
 * out [in] a path. Errors: IO, PERMISSION, NOMEM. */
VX_MUST_CHECK vx_err vx_spoof_set_write(const vx_spoof_set *set, const char *out, vx_errinfo *info);

#endif
