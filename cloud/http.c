/* http.c - filling replies, and request ids. */
#include "cloud/http.h"

#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/json.h"

size_t vx_reply_len(const vx_reply *reply)
{
    return reply->fixed ? reply->fixed_len : reply->body.len;
}

void vx_reply_done(vx_reply *reply)
{
    vx_buf_wipe_done(&reply->body);
    *reply = (vx_reply){0};
}

vx_err vx_reply_header(vx_reply *reply, const char *name, const char *fmt, ...)
{
    if (reply->n_headers == VX_REPLY_HEADERS)
        return VX_ERR_INTERNAL;
    vx_header *header = &reply->headers[reply->n_headers];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(header->value, sizeof header->value, fmt, args);
    va_end(args);
    if (len < 0)
        return VX_ERR_INTERNAL;
    header->name = name;
    reply->n_headers++;
    return VX_OK;
}

vx_err vx_reply_json(vx_reply *reply, int status, const char *content_type, json_t *root)
{
    if (!root)
        return VX_ERR_NOMEM;
    vx_buf body = {0};
    vx_err err = vx_json_write(root, &body);
    json_decref(root);
    if (err) {
        vx_buf_wipe_done(&body);
        return err;
    }
    reply->status = status;
    reply->content_type = content_type;
    reply->body = body;
    return VX_OK;
}

void vx_request_id_make(char ret_id[VX_REQUEST_ID_CAP])
{
    uint8_t bits[16];
    /* An id names a line in a log and guards nothing: without randomness it is zeros, and the request goes on. */
    if (RAND_bytes(bits, sizeof bits) != 1)
        memset(bits, 0, sizeof bits);
    vx_hex(bits, sizeof bits, ret_id);
}

void vx_request_id_take(const char *from_client, char ret_id[VX_REQUEST_ID_CAP])
{
    if (!from_client)
        return;
    size_t len = strspn(from_client, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (len > 0 && len < VX_REQUEST_ID_CAP && from_client[len] == '\0')
        memcpy(ret_id, from_client, len + 1);
}
