/* err.h - the project's error codes, and the detail that travels with one.
 * Owns:   the one list of codes. Does not: print, exit, or know HTTP statuses and exit codes
 *         (cloud/problem.c and edge/cmd.c each map this list once).
 */
#ifndef VX_BASE_ERR_H
#define VX_BASE_ERR_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define VX_MUST_CHECK         __attribute__((warn_unused_result))
#define VX_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define VX_MUST_CHECK
#define VX_PRINTF(fmt, first)
#endif

/* X(name, value, stable text code, sentence). Values are negative and never reused; text codes are part of the
 * HTTP contract. The sentence says what is wrong in general; vx_errinfo.text says it of this case. */
#define VX_ERR_LIST(X)                                                                                                 \
    X(NOMEM, -1, "out_of_memory", "not enough memory for this operation")                                              \
    X(INTERNAL, -2, "internal", "an internal check failed")                                                            \
    X(ARG, -3, "bad_argument", "a function was called with an argument outside its contract")                          \
    X(OVERFLOW, -4, "size_overflow", "a size does not fit in memory arithmetic")                                       \
    X(RANGE, -5, "out_of_range", "a number is outside the allowed range")                                              \
    X(IO, -6, "io", "reading or writing failed")                                                                       \
    X(NOT_FOUND, -7, "not_found", "the named thing does not exist")                                                    \
    X(PERMISSION, -8, "permission", "access was denied by the operating system")                                       \
    X(UNSUPPORTED, -9, "unsupported", "this build or machine cannot do that")                                          \
    X(BUSY, -10, "busy", "the queue is full; try again shortly")                                                       \
    X(LIMIT, -14, "client_limit", "this client has as many requests under way as it may")                              \
    X(CIRCUIT_OPEN, -15, "circuit_open", "the engine failed repeatedly and is given a pause")                          \
    X(CLOSED, -11, "shutting_down", "the service is shutting down")                                                    \
    X(DEADLINE, -12, "deadline_exceeded", "the deadline passed before an answer was ready")                            \
    X(NOT_READY, -13, "not_ready", "the model is still loading")                                                       \
    X(BASE64, -20, "bad_base64", "the text is not canonical base64")                                                   \
    X(JSON_SYNTAX, -21, "bad_json", "the text is not JSON")                                                            \
    X(JSON_LIMIT, -22, "json_too_complex", "the JSON nests too deeply or holds too many values")                       \
    X(JSON_FIELD, -23, "bad_field", "a field is missing or has the wrong type or value")                               \
    X(GZIP, -24, "bad_gzip", "the data is not complete and intact gzip")                                               \
    X(AUDIO_FORMAT, -30, "unknown_audio_format", "the audio format was not recognised or is not in the list")          \
    X(AUDIO_CORRUPT, -31, "corrupt_audio", "the audio data is damaged or cut off")                                     \
    X(AUDIO_EMPTY, -32, "empty_audio", "the audio holds no samples")                                                   \
    X(AUDIO_SHORT, -33, "audio_too_short", "the audio is shorter than 0.3 seconds")                                    \
    X(AUDIO_LONG, -34, "audio_too_long", "the audio is longer than 60 seconds")                                        \
    X(AUDIO_SILENT, -35, "silent_audio", "the audio is silent")                                                        \
    X(AUDIO_NOT_FINITE, -36, "audio_not_finite", "the audio holds NaN or infinite samples")                            \
    X(AUDIO_SCALE, -37, "audio_over_scale", "float samples are far beyond full scale 1.0")                             \
    X(AUDIO_RATE, -38, "sample_rate_out_of_range", "the sample rate is outside 8000 to 192000 Hz")                     \
    X(AUDIO_NO_SPEECH, -39, "no_speech", "the recording holds too little speech")                                      \
    X(AUDIO_QUIET, -40, "too_quiet", "the voice is too quiet")                                                         \
    X(AUDIO_CLIPPED, -41, "clipped", "the recording is overdriven")                                                    \
    X(AUDIO_NOISY, -42, "too_noisy", "the background is too loud for the voice")                                       \
    X(MODEL_MISSING, -50, "model_missing", "the model folder or one of its files does not exist")                      \
    X(MODEL_CORRUPT, -51, "model_corrupt", "a model file is damaged or not what its name says")                        \
    X(MODEL_HASH, -52, "model_hash_mismatch", "a model file does not have the digest its manifest states")             \
    X(MODEL_SHAPE, -53, "model_shape", "the weights do not form an ECAPA-TDNN this engine can run")                    \
    X(MODEL_MISMATCH, -54, "model_mismatch", "the embeddings come from different models")                              \
    X(ENGINE, -55, "engine_failed", "the embedding engine produced no usable result")                                  \
    X(OPTION_UNKNOWN, -60, "unknown_setting", "a setting is not known")                                                \
    X(OPTION_VALUE, -61, "bad_setting", "a setting has an unusable value")                                             \
    X(AUTH_MISSING, -70, "unauthorized", "the request needs an Authorization header with a bearer token")              \
    X(AUTH_DENIED, -71, "invalid_token", "the bearer token is not one that this service knows")                        \
    X(STORE_CORRUPT, -80, "store_corrupt", "the profile store is damaged")                                             \
    X(STORE_KEY, -81, "store_key", "the key of the profile store cannot be had, or is not the one it was made with")   \
    X(STORE_VERSION, -82, "store_version", "the profile store was written by a newer version of voxlock")              \
    X(STORE_LOCKED, -83, "store_locked", "another program keeps the profile store busy")                               \
    X(AUDIT_BROKEN, -84, "audit_broken", "the audit log was changed by somebody else than voxlock")                    \
    X(EXISTS, -85, "exists", "something of that name is there already")                                                \
    X(NOT_ENROLLED, -86, "not_enrolled", "nobody of that name is enrolled")                                            \
    X(LEGACY_PROFILE, -87, "legacy_profile", "the profile was made with another model and holds no audio")             \
    X(ENROL_VOICE, -88, "another_voice", "the recordings do not hold one voice")                                       \
    X(ENROL_TAKEN, -89, "voice_taken", "the voice is enrolled under another name")                                     \
    X(NETWORK, -90, "network", "the cloud service could not be reached")                                               \
    X(CLOUD_REFUSED, -91, "cloud_refused", "the cloud service refused the request")                                    \
    X(CLOUD_ANSWER, -92, "cloud_answer", "the cloud service sent an answer that cannot be used")                       \
    X(TOKEN, -93, "no_identity_token", "no identity token for the cloud service could be had")                         \
    X(UNCALIBRATED, -94, "uncalibrated", "the model has no calibration, so a score is no probability")                 \
    X(BAD_LIST, -95, "bad_list", "a list of recordings is damaged, or lacks a column")

typedef enum {
    VX_OK = 0,
#define VX_ERR_ENUM(name, value, code, sentence) VX_ERR_##name = (value),
    VX_ERR_LIST(VX_ERR_ENUM)
#undef VX_ERR_ENUM
} vx_err;

/* What went wrong in one case. All-zero is "nothing yet". Caller's memory; plain data, safe to copy.
 * The first error wins: filling an info that already holds a code changes nothing. */
typedef struct {
    vx_err code;
    int64_t offset; /* byte offset in the input, or -1 */
    int line;       /* line in a text file, or 0 */
    int retry_s;    /* seconds after which trying again makes sense, or 0 when nobody knows */
    char path[256]; /* file concerned, or "" */
    char text[256]; /* one sentence for the person who must mend it; never holds a secret */
} vx_errinfo;

/* Stable text code ("audio_too_short"), "ok" for VX_OK, "internal" for a value not in the list. Static storage. */
const char *vx_err_code(vx_err err);
/* General sentence for a code. Static storage. */
const char *vx_err_sentence(vx_err err);

/* Fills an info and returns `code`, so that a failing function can `return vx_errinfo_set(...)`.
 * info [in,out] may be NULL; untouched when it already holds an error
 * fmt  printf format of the sentence; cut at the field's size */
vx_err vx_errinfo_set(vx_errinfo *info, vx_err code, const char *fmt, ...) VX_PRINTF(3, 4);
/* The same, with the file and the place in it. path may be NULL; offset -1 and line 0 mean unknown. */
vx_err vx_errinfo_set_at(vx_errinfo *info, vx_err code, const char *path, int64_t offset, int line, const char *fmt,
                         ...) VX_PRINTF(6, 7);
/* The best sentence at hand: info->text if it was filled, else the general sentence of err. Borrowed from info. */
const char *vx_errinfo_text(const vx_errinfo *info, vx_err err);
/* One line for a person: "path:line: sentence", without what is not known. Cut at cap. */
#define VX_ERRINFO_LINE 640
void vx_errinfo_line(const vx_errinfo *info, vx_err err, char *ret_line, size_t cap);

#endif
