/* problem.c - the table from failures to answers. */
#include "cloud/problem.h"

#include <stdio.h>

typedef struct {
    vx_err err;
    int status;
    int retry_after_s; /* 0: trying the same again would not help, or nobody knows when */
} err_row;

/* What is not in this table is a failure of ours: 500. A client's mistake is never one, so every error that bytes from
 * outside can cause has a row. */
static const err_row ERRORS[] = {
    {VX_ERR_BASE64, 400, 0},         {VX_ERR_JSON_SYNTAX, 400, 0},   {VX_ERR_JSON_LIMIT, 400, 0},
    {VX_ERR_GZIP, 400, 0},           {VX_ERR_AUTH_MISSING, 401, 0},  {VX_ERR_AUTH_DENIED, 401, 0},
    {VX_ERR_MODEL_MISMATCH, 409, 0}, {VX_ERR_AUDIO_FORMAT, 415, 0},  {VX_ERR_JSON_FIELD, 422, 0},
    {VX_ERR_AUDIO_CORRUPT, 422, 0},  {VX_ERR_AUDIO_EMPTY, 422, 0},   {VX_ERR_AUDIO_SHORT, 422, 0},
    {VX_ERR_AUDIO_LONG, 422, 0},     {VX_ERR_AUDIO_SILENT, 422, 0},  {VX_ERR_AUDIO_NOT_FINITE, 422, 0},
    {VX_ERR_AUDIO_SCALE, 422, 0},    {VX_ERR_AUDIO_RATE, 422, 0},    {VX_ERR_AUDIO_NO_SPEECH, 422, 0},
    {VX_ERR_AUDIO_QUIET, 422, 0},    {VX_ERR_AUDIO_CLIPPED, 422, 0}, {VX_ERR_AUDIO_NOISY, 422, 0},
    {VX_ERR_BUSY, 429, 1},           {VX_ERR_LIMIT, 429, 1},         {VX_ERR_CIRCUIT_OPEN, 503, 30},
    {VX_ERR_NOT_READY, 503, 2},      {VX_ERR_CLOSED, 503, 2},        {VX_ERR_DEADLINE, 504, 0},
};

typedef struct {
    int status;
    const char *code;
    const char *title;
} fault_row;

static const fault_row FAULTS[] = {
    [VX_FAULT_PATH] = {404, "unknown_path", "there is nothing at this path; /openapi.json lists what there is"},
    [VX_FAULT_METHOD] = {405, "method_not_allowed", "this path does not take this method; see the Allow header"},
    [VX_FAULT_SLOW_BODY] = {408, "body_timeout",
                            "the request did not arrive in time; send it faster or make it smaller"},
    [VX_FAULT_BODY_SIZE] = {413, "body_too_large",
                            "the body is over the limit; send shorter audio or a compressed format"},
    [VX_FAULT_CONTENT_TYPE] = {415, "unsupported_content_type",
                               "send application/json, or where the path takes bare audio audio/* or "
                               "application/octet-stream"},
    [VX_FAULT_CONTENT_ENCODING] = {415, "unsupported_content_encoding",
                                   "send the body as it is, or with Content-Encoding: gzip"},
    [VX_FAULT_FRAMING] = {400, "bad_framing", "send either Content-Length or Transfer-Encoding: chunked"},
};

static const err_row *row_of(vx_err err)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        if (ERRORS[i].err == err)
            return &ERRORS[i];
    }
    return NULL;
}

int vx_problem_status(vx_err err)
{
    const err_row *row = row_of(err);
    return row ? row->status : 500;
}

/* The error a client is told of: the case's own where one was noted. */
static vx_err told(vx_err err, const vx_errinfo *info)
{
    return info && info->code ? info->code : err;
}

const char *vx_problem_code(vx_err err, const vx_errinfo *info)
{
    return row_of(err) ? vx_err_code(told(err, info)) : vx_err_code(VX_ERR_INTERNAL);
}

const char *vx_problem_detail(vx_err err, const vx_errinfo *info)
{
    return row_of(err) ? vx_errinfo_text(info, err) : vx_err_sentence(VX_ERR_INTERNAL);
}

/* A detail may quote a client's bytes, and is cut at a fixed size: either can end inside a UTF-8 sequence. */
static json_t *utf8(const char *text, const char *otherwise)
{
    json_t *string = json_string(text);
    return string ? string : json_string(otherwise);
}

/* Clients of the service this one replaces read `success` and `error`; RFC 9457 allows members beside its own. */
static json_t *problem_json(const char *request_id, int status, const char *code, const char *title, const char *detail)
{
    char type[96];
    snprintf(type, sizeof type, "/problems/%s", code);
    json_t *root = json_object();
    int bad = json_object_set_new(root, "type", json_string(type));
    bad |= json_object_set_new(root, "title", json_string(title));
    bad |= json_object_set_new(root, "status", json_integer(status));
    bad |= json_object_set_new(root, "detail", utf8(detail, title));
    bad |= json_object_set_new(root, "code", json_string(code));
    bad |= json_object_set_new(root, "request_id", json_string(request_id));
    bad |= json_object_set_new(root, "success", json_false());
    bad |= json_object_set_new(root, "error", utf8(detail, title));
    if (bad) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static void fill(vx_reply *reply, int status, json_t *root)
{
    vx_reply_done(reply);
    if (vx_reply_json(reply, status, "application/problem+json", root))
        reply->status = status;
}

void vx_problem_reply(vx_reply *reply, const char *request_id, vx_err err, const vx_errinfo *info)
{
    const err_row *row = row_of(err);
    int status = row ? row->status : 500;
    const char *title = vx_err_sentence(row ? told(err, info) : VX_ERR_INTERNAL);
    const char *code = vx_problem_code(err, info);
    fill(reply, status, problem_json(request_id, status, code, title, vx_problem_detail(err, info)));
    reply->code = code;
    reply->retry_after_s = !row ? 0 : info && info->retry_s > 0 ? info->retry_s : row->retry_after_s;
}

void vx_problem_fault(vx_reply *reply, const char *request_id, vx_fault fault, const char *detail)
{
    const fault_row *row = &FAULTS[fault];
    fill(reply, row->status,
         problem_json(request_id, row->status, row->code, row->title, detail ? detail : row->title));
}
