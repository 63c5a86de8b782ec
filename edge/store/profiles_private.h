/* profiles_private.h - what speakers.c, samples.c, voiceprints.c and profiles.c share. */
#ifndef VX_EDGE_STORE_PROFILES_PRIVATE_H
#define VX_EDGE_STORE_PROFILES_PRIVATE_H

#include "edge/store/binding.h"
#include "edge/store/profiles.h"

/* A speaker's profile, proven (binding.h); in a transaction or under vx_store_hold. Where nobody has that name every
 * profile is proven, for one of them may have been given another name. speakers.c
 * Errors: STORE_*, AUDIT_BROKEN, IO, NOMEM */
VX_MUST_CHECK vx_err vx_speaker_look(vx_store *store, const char *name, bool *ret_found, vx_speaker *ret_speaker,
                                     vx_errinfo *info);
/* The same; absent is an error. Errors: NOT_ENROLLED (info names the speakers there are, if few) too. */
VX_MUST_CHECK vx_err vx_speaker_find(vx_store *store, const char *name, vx_speaker *ret_speaker, vx_errinfo *info);

/* A recording to and from the bytes that are sealed: 16-bit PCM, little-endian. samples.c
 * ret_pcm [in,out] appended to; wiped by the caller. Errors: NOMEM, OVERFLOW, RANGE (not finite). */
VX_MUST_CHECK vx_err vx_pcm_pack(const float *samples, size_t n, vx_buf *ret_pcm);
/* Text of a row, cut at cap; "" for NULL. */
void vx_row_text(sqlite3_stmt *row, int column, char *ret_text, size_t cap);

/* Adds an embedding to a sample, in the place of one of the same model; inside a transaction of the caller, who binds the
 * profile. voiceprints.c. Errors: RANGE (not a unit vector), STORE_*, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_voiceprint_write(vx_store *store, int64_t speaker, int64_t sample,
                                         const vx_embedding *embedding, vx_errinfo *info);

/* Drops what was learned of a speaker: habits, places, prior. In a transaction of the caller. */
VX_MUST_CHECK vx_err vx_learned_drop(vx_store *store, int64_t speaker, vx_errinfo *info);

#endif
