/* identity_token.c - what can be told of a token and of an endpoint's answer without trusting either.
 * Source: RFC 7519 (JSON Web Token), RFC 6750 (bearer tokens), RFC 6749 section 5.2 (refusals).
 */
#include <stdio.h>
#include <string.h>

#include "edge/route/identity_private.h"
#include "shared/base/base64.h"
#include "shared/base/json.h"

/* A longer word in what a program says is rather a secret than a word. */
enum { LONGEST_WORD = 60 };

/* An answer is an object with a handful of fields, and so is a token's payload. */
static const vx_json_limits limits = {.max_depth = 8, .max_values = 200};

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~+/", c));
}

/* ---- what others say -------------------------------------------------------------------------------------------- */

static bool may_hold_token(const char *text, size_t len)
{
    size_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word = is_token_char(text[i]) ? word + 1 : 0;
        /* Every JSON Web Token begins with the base64 form of "{\"". */
        if (word > LONGEST_WORD || (word >= 3 && memcmp(text + i - 2, "eyJ", 3) == 0))
            return true;
    }
    return false;
}

void vx_identity_shown(const char *text, size_t len, char ret[VX_IDENTITY_SHOWN_CAP])
{
    size_t n = 0, i = 0;
    while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
        i++;
    const size_t start = i;
    while (i < len && text[i] != '\n' && text[i] != '\r' && text[i] != '\0')
        i++;
    if (may_hold_token(text + start, i - start))
        i = start;
    for (size_t k = start; k < i && n + 1 < VX_IDENTITY_SHOWN_CAP; k++)
        ret[n++] = text[k] < 0x20 || text[k] > 0x7e ? '?' : text[k];
    ret[n] = '\0';
}

void vx_json_wipe_text(const char *text)
{
    if (text)
        vx_wipe((char *)(uintptr_t)text, strlen(text));
}

/* ---- base64url -------------------------------------------------------------------------------------------------- */

vx_err vx_base64url_encode(const void *data, size_t len, vx_buf *ret_text)
{
    const size_t padded = vx_base64_encoded_len(len);
    const vx_err err = vx_buf_reserve(ret_text, padded + 1);
    if (err != VX_OK)
        return err;
    char *text = (char *)ret_text->data + ret_text->len;
    vx_base64_encode(data, len, text);
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    ret_text->len += strcspn(text, "=");
    return VX_OK;
}

vx_err vx_base64url_decode(const char *text, size_t len, vx_buf *ret_data)
{
    vx_buf standard = {0};
    size_t n;
    if (len == 0)
        return VX_OK;
    vx_err err = vx_buf_append(&standard, text, len);
    if (err == VX_OK)
        err = vx_buf_append(&standard, "===", (4 - len % 4) % 4);
    for (size_t i = 0; i < len && err == VX_OK; i++) {
        uint8_t *c = &standard.data[i];
        if (*c == '+' || *c == '/' || *c == '=')
            err = VX_ERR_BASE64;
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    }
    if (err == VX_OK)
        err = vx_buf_reserve(ret_data, vx_base64_decoded_cap(standard.len));
    if (err == VX_OK)
        err = vx_base64_decode((const char *)standard.data, standard.len, ret_data->data + ret_data->len, &n, NULL);
    if (err == VX_OK)
        ret_data->len += n;
    vx_buf_wipe_done(&standard);
    return err;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

bool vx_token_well_formed(const char *token, size_t len)
{
    size_t n = 0;
    while (n < len && is_token_char(token[n]))
        n++;
    size_t padded = n;
    while (padded < len && token[padded] == '=')
        padded++;
    return n > 0 && padded == len && len <= VX_TOKEN_MAX;
}

bool vx_token_expiry(const char *token, size_t len, int64_t *ret_expiry_s)
{
    const char *payload = len ? memchr(token, '.', len) : NULL;
    if (!payload)
        return false;
    payload++;
    const char *end = memchr(payload, '.', len - (size_t)(payload - token));
    vx_buf json = {0};
    json_t *claims = NULL;
    int64_t expiry_s;
    const bool known = end && vx_base64url_decode(payload, (size_t)(end - payload), &json) == VX_OK && json.len > 0 &&
                       vx_json_parse((const char *)json.data, json.len, limits, &claims, NULL) == VX_OK &&
                       vx_json_int(claims, "exp", true, 0, INT64_MAX / 2, &expiry_s, NULL) == VX_OK;
    json_decref(claims);
    vx_buf_wipe_done(&json);
    if (known)
        *ret_expiry_s = expiry_s;
    return known;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

vx_err vx_token_from_answer(const char *json, size_t len, vx_buf *ret_token, vx_errinfo *info)
{
    json_t *root = NULL;
    const char *token = NULL;
    size_t n = 0;
    vx_err err = vx_json_parse(json, len, limits, &root, NULL);
    if (err == VX_OK)
        err = vx_json_text(root, "id_token", true, &token, &n, NULL);
    if (err == VX_OK && !vx_token_well_formed(token, n))
        err = VX_ERR_TOKEN;
    if (err == VX_OK)
        err = vx_buf_append(ret_token, token, n);
    vx_json_wipe_text(token);
    json_decref(root);
    if (err == VX_OK || err == VX_ERR_NOMEM)
        return err;
    return vx_errinfo_set(info, VX_ERR_TOKEN, "the token endpoint's answer holds no identity token");
}

void vx_token_refusal(const char *json, size_t len, char ret_why[VX_IDENTITY_SHOWN_CAP])
{
    json_t *root = NULL;
    const char *code = NULL, *description = "";
    size_t n;
    char text[2 * VX_IDENTITY_SHOWN_CAP];
    ret_why[0] = '\0';
    if (vx_json_parse(json, len, limits, &root, NULL) == VX_OK &&
        vx_json_text(root, "error", true, &code, &n, NULL) == VX_OK) {
        if (vx_json_text(root, "error_description", false, &description, &n, NULL) != VX_OK)
            description = "";
        snprintf(text, sizeof text, "%s%s%s", code, description[0] ? ": " : "", description);
        vx_identity_shown(text, strlen(text), ret_why);
    }
    json_decref(root);
}
