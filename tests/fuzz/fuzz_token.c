/* fuzz_token.c - key files, endpoints' answers, tokens and what programs say: whatever comes, what is taken from it fits
 * a header, and no secret gets into an error.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/route/identity_private.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void try_key(const char *text, size_t len)
{
    vx_service_key key = {0};
    vx_errinfo info = {0};
    vx_buf assertion = {0};
    const vx_err err = vx_service_key_parse(text, len, &key, &info);
    require(info.code == err && (err == VX_OK || err == VX_ERR_TOKEN));
    require((err == VX_OK) == (key.key != NULL));
    require(!strstr(info.text, "BEGIN") && !strstr(info.text, "MII"));
    if (err == VX_OK) {
        require(key.email[0] != '\0' && vx_http_check_url("token_uri", key.token_uri, NULL) == VX_OK);
        const vx_err signing = vx_service_key_sign(&key, "https://a.run.app", 1700000000, &assertion);
        /* A key that a mutation has broken cannot sign; one that can gives a token. */
        require(signing == VX_ERR_INTERNAL ||
                (signing == VX_OK && vx_token_well_formed((const char *)assertion.data, assertion.len)));
    }
    vx_buf_wipe_done(&assertion);
    vx_service_key_done(&key);
}

static void try_answer(const char *text, size_t len)
{
    vx_buf token = {0};
    vx_errinfo info = {0};
    const vx_err err = vx_token_from_answer(text, len, &token, &info);
    require(info.code == err && (err == VX_OK || err == VX_ERR_TOKEN));
    require((err == VX_OK) == (token.len > 0));
    require(err != VX_OK || vx_token_well_formed((const char *)token.data, token.len));
    vx_buf_wipe_done(&token);
}

static void check_shown(const char *shown)
{
    require(strlen(shown) < VX_IDENTITY_SHOWN_CAP && !strstr(shown, "eyJ"));
    for (; *shown; shown++)
        require(*shown >= 0x20 && *shown < 0x7f);
}

/* What can be read as base64url is read in one way only. */
static void try_base64url(const char *text, size_t len)
{
    vx_buf data = {0}, again = {0};
    if (vx_base64url_decode(text, len, &data) == VX_OK) {
        require(vx_base64url_encode(data.data, data.len, &again) == VX_OK);
        require(again.len == len && (len == 0 || memcmp(again.data, text, len) == 0));
    }
    vx_buf_done(&data);
    vx_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    char shown[VX_IDENTITY_SHOWN_CAP];
    int64_t expiry_s = -1;

    try_key(text, size);
    try_answer(text, size);
    try_base64url(text, size);
    vx_token_refusal(text, size, shown);
    check_shown(shown);
    vx_identity_shown(text, size, shown);
    check_shown(shown);
    require(vx_token_expiry(text, size, &expiry_s) == (expiry_s >= 0));
    if (vx_token_well_formed(text, size))
        require(!memchr(text, '\r', size) && !memchr(text, '\n', size) && !memchr(text, ' ', size));
    return 0;
}
