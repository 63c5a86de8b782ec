/* audio_input.h - from what a request carries to canonical audio.
 * Owns:   the rules of `format` and `sample_rate`, base64, wiping what lay in between. Does not: decode (shared/audio).
 */
#ifndef VX_CLOUD_AUDIO_INPUT_H
#define VX_CLOUD_AUDIO_INPUT_H

#include <jansson.h>

#include "cloud/http.h"
#include "cloud/service.h"
#include "shared/audio/audio.h"
#include "shared/audio/decode.h"

/* How the bytes are to be read. */
typedef struct {
    vx_audio_format format;
    int rate; /* Hz, of raw samples */
} vx_audio_hint;

/* What JSON without `format` and `sample_rate` means: containers by their first bytes, else float32 at 16 kHz. */
vx_audio_hint vx_audio_hint_default(void);

/* Reads two fields; absent or null keeps the fallback. Every error is about a field, so the status is that of
 * JSON_FIELD or AUDIO_RATE, while info->code of a name outside the list is AUDIO_FORMAT.
 * Errors JSON_FIELD, AUDIO_RATE */
VX_MUST_CHECK vx_err vx_audio_hint_json(const json_t *obj, const char *format_key, const char *rate_key,
                                        vx_audio_hint fallback, vx_audio_hint *ret_hint, vx_errinfo *info);
/* The same from the query of a request with a bare body; `auto` when absent. */
VX_MUST_CHECK vx_err vx_audio_hint_query(const vx_request *request, vx_audio_hint *ret_hint, vx_errinfo *info);

/* The JSON object of a request's body. ret_root [out] new reference. Errors: those of vx_json_parse, JSON_FIELD. */
VX_MUST_CHECK vx_err vx_input_json(const vx_request *request, json_t **ret_root, vx_errinfo *info);

/* Decodes base64 text of the field `what`, then the audio in it; times both as decoding.
 * ret_audio [out] owned by the caller; untouched on failure. Errors: BASE64, NOMEM, those of vx_audio_decode. */
VX_MUST_CHECK vx_err vx_audio_from_base64(vx_service *service, const char *what, const char *text, size_t len,
                                          vx_audio_hint hint, vx_audio *ret_audio, vx_stage_times *times,
                                          vx_errinfo *info);
/* The same for bytes as they are. */
VX_MUST_CHECK vx_err vx_audio_from_bytes(vx_service *service, const void *data, size_t len, vx_audio_hint hint,
                                         vx_audio *ret_audio, vx_stage_times *times, vx_errinfo *info);
/* The required base64 text in obj[key]. */
VX_MUST_CHECK vx_err vx_audio_from_field(vx_service *service, const json_t *obj, const char *key, vx_audio_hint hint,
                                         vx_audio *ret_audio, vx_stage_times *times, vx_errinfo *info);

#endif
