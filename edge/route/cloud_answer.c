/* cloud_answer.c - reads answers of the cloud service.
 * Embeddings come as bare float32: their length says at once whether they are whole, and nothing has to be parsed.
 */
#include "edge/route/cloud_answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/json.h"

static const vx_json_limits LIMITS = {.max_depth = 8, .max_values = 1000};

/* Rounding to float32 moves a vector's length by about 1e-7; what is further off was not normalised. */
#define LENGTH_TOLERANCE 1e-4
enum { LONGEST_PAUSE_S = 3600, DIGEST_SHOWN = 19 /* "sha256:" and 12 digits */ };

/* Text from outside ends on a terminal and in the log: only printable ASCII may. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

static bool is_type(const vx_http_answer *answer, const char *type)
{
    char value[128];
    return vx_http_header(answer, "Content-Type", value, sizeof value) && strncasecmp(value, type, strlen(type)) == 0 &&
           strchr("; \t", value[strlen(type)]) != NULL;
}

static vx_err bad_type(const vx_http_answer *answer, vx_errinfo *info)
{
    char type[64] = "bytes of no type";
    (void)vx_http_header(answer, "Content-Type", type, sizeof type);
    make_printable(type);
    return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER,
                          "the endpoint answered with %s; is there a voxlock-cloud behind VOXLOCK_CLOUD_ENDPOINT?",
                          type);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

typedef struct {
    char code[48], detail[160]; /* "" when the answer is no problem+json */
} problem;

static void copy_text(const json_t *root, const char *key, char *ret, size_t cap)
{
    const char *text = json_string_value(json_object_get(root, key));
    snprintf(ret, cap, "%s", text ? text : "");
    make_printable(ret);
}

static problem read_problem(const vx_http_answer *answer)
{
    problem p = {0};
    json_t *root = NULL;
    if (is_type(answer, "application/problem+json") &&
        vx_json_parse((const char *)answer->body.data, answer->body.len, LIMITS, &root, NULL) == VX_OK) {
        copy_text(root, "code", p.code, sizeof p.code);
        copy_text(root, "detail", p.detail, sizeof p.detail);
        json_decref(root);
    }
    return p;
}

/* What the service says of the recording, in this program's own codes; all else is CLOUD_REFUSED. */
static vx_err refusal_of(int status, const char *code)
{
    static const vx_err about_audio[] = {
        VX_ERR_AUDIO_FORMAT, VX_ERR_AUDIO_CORRUPT, VX_ERR_AUDIO_EMPTY,      VX_ERR_AUDIO_SHORT,
        VX_ERR_AUDIO_LONG,   VX_ERR_AUDIO_SILENT,  VX_ERR_AUDIO_NOT_FINITE, VX_ERR_AUDIO_SCALE,
    };
    for (size_t i = 0; status / 100 == 4 && i < sizeof about_audio / sizeof *about_audio; i++) {
        if (strcmp(code, vx_err_code(about_audio[i])) == 0)
            return about_audio[i];
    }
    return VX_ERR_CLOUD_REFUSED;
}

/* Retry-After in seconds; 0 where it is missing, a date, or senseless. */
static int retry_after_s(const vx_http_answer *answer)
{
    char value[16], *end;
    if (!vx_http_header(answer, "Retry-After", value, sizeof value))
        return 0;
    const long seconds = strtol(value, &end, 10);
    return end != value && *end == '\0' && seconds > 0 && seconds <= LONGEST_PAUSE_S ? (int)seconds : 0;
}

static vx_err refused(const vx_http_answer *answer, vx_errinfo *info)
{
    const problem p = read_problem(answer);
    const vx_err err = refusal_of(answer->status, p.code);
    if (info && info->code == VX_OK)
        info->retry_s = retry_after_s(answer);
    if (p.code[0])
        return vx_errinfo_set(info, err, "the service answered %d %s: %s", answer->status, p.code, p.detail);
    if (answer->status / 100 == 3)
        return vx_errinfo_set(info, err, "the endpoint answered %d and points elsewhere, where nothing is sent",
                              answer->status);
    if (answer->status == 401 || answer->status == 403)
        return vx_errinfo_set(info, err, "the endpoint answered %d: it does not let this identity in%s", answer->status,
                              "; see VOXLOCK_CLOUD_AUTH");
    return vx_errinfo_set(info, err, "the endpoint answered %d", answer->status);
}

/* ---- embeddings ------------------------------------------------------------------------------------------------- */

static vx_err check_model(const char *text, const vx_model_digest *model, vx_errinfo *info)
{
    char own[VX_DIGEST_TEXT];
    vx_model_digest digest;
    if (vx_model_digest_parse(text, &digest) != VX_OK)
        return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the answer does not say which model it is of");
    if (vx_model_digest_equal(&digest, model))
        return VX_OK;
    vx_model_digest_text(model, own);
    return vx_errinfo_set(info, VX_ERR_MODEL_MISMATCH,
                          "the service runs model %.*s, this device %.*s; give both the same model folder",
                          DIGEST_SHOWN, text, DIGEST_SHOWN, own);
}

static vx_err check_header(const vx_http_answer *answer, const vx_model_digest *model, vx_errinfo *info)
{
    char text[VX_DIGEST_TEXT + 1];
    if (!vx_http_header(answer, "Voxlock-Model", text, sizeof text))
        text[0] = '\0';
    return check_model(text, model, info);
}

/* Little-endian float32. Returns the sum of squares; not finite when a number is not. */
static double unpack(const vx_buf *body, float *ret_values)
{
    double sum = 0;
    for (size_t i = 0; i < body->len / 4; i++) {
        const uint32_t bits = vx_le32(body->data + 4 * i);
        memcpy(&ret_values[i], &bits, sizeof bits);
        sum += (double)ret_values[i] * ret_values[i];
    }
    return sum;
}

vx_err vx_cloud_read_embedding(const vx_http_answer *answer, const vx_model_digest *model, int dim,
                               vx_embedding *ret_embedding, vx_errinfo *info)
{
    float values[VX_EMBEDDING_MAX_DIM];
    if (answer->status != 200)
        return refused(answer, info);
    if (!is_type(answer, "application/octet-stream"))
        return bad_type(answer, info);
    vx_err err = check_header(answer, model, info);
    if (err != VX_OK)
        return err;
    if (answer->body.len != (size_t)dim * 4)
        return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the answer holds %zu bytes; %d numbers are %d",
                              answer->body.len, dim, dim * 4);
    const double sum = unpack(&answer->body, values);
    if (!isfinite(sum))
        err = vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the embedding holds numbers that are not finite");
    else if (fabs(sqrt(sum) - 1) > LENGTH_TOLERANCE)
        err = vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the embedding has length %.4g instead of 1", sqrt(sum));
    else if (vx_embedding_from_raw(model, values, dim, ret_embedding) != VX_OK)
        err = vx_errinfo_set(info, VX_ERR_INTERNAL, "an embedding of %d numbers cannot be kept", dim);
    vx_wipe(values, sizeof values);
    return err;
}

/* ---- status ----------------------------------------------------------------------------------------------------- */

/* A service that starts or has failed has no model to name. */
static vx_err judge_status(const json_t *root, const vx_model_digest *model, vx_errinfo *info)
{
    char state[32];
    const char *digest = json_string_value(json_object_get(json_object_get(root, "model"), "digest"));
    copy_text(root, "startup_state", state, sizeof state);
    if (!state[0])
        return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the answer is not the status of a voxlock-cloud");
    if (!digest)
        return vx_errinfo_set(info, VX_ERR_NOT_READY, "the service is %s: its model is not loaded", state);
    return check_model(digest, model, info);
}

vx_err vx_cloud_read_status(const vx_http_answer *answer, const vx_model_digest *model, vx_errinfo *info)
{
    json_t *root = NULL;
    vx_errinfo cause = {0};
    if (answer->status != 200)
        return refused(answer, info);
    if (!is_type(answer, "application/json"))
        return bad_type(answer, info);
    vx_err err = vx_json_parse((const char *)answer->body.data, answer->body.len, LIMITS, &root, &cause);
    if (err == VX_ERR_NOMEM)
        return err;
    if (err != VX_OK)
        return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "the status cannot be read: %s", cause.text);
    err = judge_status(root, model, info);
    json_decref(root);
    return err;
}
