/* identity_key.c - a Google service account's key, and what is signed with it.
 * Source: https://developers.google.com/identity/protocols/oauth2/service-account (HTTP/REST), with target_audience in
 *         place of scope, as Cloud Run's documents say; RFC 7523.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/route/identity_private.h"
#include "shared/base/file.h"
#include "shared/base/json.h"

/* A key file has some 2,400 bytes. LIFETIME_S is the most that Google takes. */
enum { MAX_FILE = 16 * 1024, MAX_FIELD = 512, LEAST_BITS = 2048, LIFETIME_S = 3600 };

static const vx_json_limits limits = {.max_depth = 4, .max_values = 100};

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* A locked key gets no passphrase: libcrypto would otherwise ask at the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static vx_err read_pem(const char *pem, size_t len, EVP_PKEY **ret_key, vx_errinfo *info)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len); /* at most MAX_FILE */
    if (!bio)
        return VX_ERR_NOMEM;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error(); /* its queue belongs to the thread, and libcurl reads it too */
    if (!key)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "field 'private_key' holds no private key in PEM form");
    if (EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < LEAST_BITS) {
        EVP_PKEY_free(key);
        return vx_errinfo_set(info, VX_ERR_TOKEN, "field 'private_key' holds no RSA key of %d bits or more",
                              (int)LEAST_BITS);
    }
    *ret_key = key;
    return VX_OK;
}

static vx_err take_text(const json_t *root, const char *field, bool required, char **ret, vx_errinfo *info)
{
    const char *text = "";
    size_t len = 0;
    vx_err err = vx_json_text(root, field, required, &text, &len, info);
    if (err == VX_OK && (len > MAX_FIELD || (required && len == 0)))
        err = vx_errinfo_set(info, VX_ERR_TOKEN, "field '%s' is empty or longer than %d bytes", field, (int)MAX_FIELD);
    if (err != VX_OK)
        return err;
    *ret = strdup(text);
    return *ret ? VX_OK : VX_ERR_NOMEM;
}

static vx_err check_type(const json_t *root, vx_errinfo *info)
{
    const char *type = "";
    size_t len;
    const vx_err err = vx_json_text(root, "type", true, &type, &len, info);
    if (err == VX_OK && strcmp(type, "service_account") != 0)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "field 'type' is not service_account: this is another kind of key");
    return err;
}

static vx_err take_fields(const json_t *root, vx_service_key *key, vx_errinfo *info)
{
    const char *pem = NULL;
    size_t len = 0;
    vx_err err = check_type(root, info);
    if (err == VX_OK)
        err = take_text(root, "client_email", true, &key->email, info);
    if (err == VX_OK)
        err = take_text(root, "private_key_id", false, &key->key_id, info);
    if (err == VX_OK)
        err = take_text(root, "token_uri", true, &key->token_uri, info);
    if (err == VX_OK)
        err = vx_http_check_url("field 'token_uri'", key->token_uri, info);
    if (err == VX_OK)
        err = vx_json_text(root, "private_key", true, &pem, &len, info);
    if (err == VX_OK)
        err = read_pem(pem, len, &key->key, info);
    return err;
}

vx_err vx_service_key_parse(const char *json, size_t len, vx_service_key *ret_key, vx_errinfo *info)
{
    json_t *root = NULL;
    vx_service_key key = {0};
    vx_errinfo why = {0};
    if (len > MAX_FILE)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "this is no service account's key: it is longer than %d bytes",
                              (int)MAX_FILE);
    vx_err err = vx_json_parse(json, len, limits, &root, &why);
    if (err == VX_OK)
        err = take_fields(root, &key, &why);
    vx_json_wipe_text(json_string_value(json_object_get(root, "private_key")));
    json_decref(root);
    if (err == VX_OK) {
        *ret_key = key;
        return VX_OK;
    }
    vx_service_key_done(&key);
    if (err == VX_ERR_NOMEM)
        return err;
    return vx_errinfo_set(info, VX_ERR_TOKEN, "%s", vx_errinfo_text(&why, err));
}

vx_err vx_service_key_read(const char *path, vx_service_key *ret_key, vx_errinfo *info)
{
    struct stat st;
    vx_buf file = {0};
    vx_errinfo why = {0};
    /* What cannot be examined is left to the read, which says why. */
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return vx_errinfo_set_at(info, VX_ERR_IO, path, -1, 0, "not a regular file");
        if (st.st_mode & (S_IRWXG | S_IRWXO))
            return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0,
                                     "others than its owner can use this key; run: chmod 600 on it");
    }
    vx_err err = vx_file_read(path, MAX_FILE, &file, info);
    if (err == VX_OK) {
        err = vx_service_key_parse(file.len ? (const char *)file.data : "", file.len, ret_key, &why);
        if (err != VX_OK && err != VX_ERR_NOMEM)
            (void)vx_errinfo_set_at(info, err, path, -1, 0, "%s", why.text);
    }
    vx_buf_wipe_done(&file);
    return err;
}

void vx_service_key_done(vx_service_key *key)
{
    free(key->email);
    free(key->key_id);
    free(key->token_uri);
    EVP_PKEY_free(key->key); /* clears the private numbers */
    *key = (vx_service_key){0};
}

/* ---- signing ---------------------------------------------------------------------------------------------------- */

/* The JSON as base64url, appended. Takes the reference. */
static vx_err append_part(json_t *part, vx_buf *out)
{
    vx_buf text = {0};
    vx_err err = part ? vx_json_write(part, &text) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_base64url_encode(text.data, text.len, out);
    json_decref(part);
    vx_buf_done(&text);
    return err;
}

static vx_err append_signature(EVP_PKEY *key, const void *data, size_t len, vx_buf *out)
{
    uint8_t signature[1024]; /* an RSA key of 8192 bits */
    size_t n = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        return VX_ERR_NOMEM;
    const bool good = (size_t)EVP_PKEY_size(key) <= sizeof signature &&
                      EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                      EVP_DigestSign(ctx, signature, &n, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good ? vx_base64url_encode(signature, n, out) : VX_ERR_INTERNAL;
}

vx_err vx_service_key_sign(const vx_service_key *key, const char *audience, int64_t now_s, vx_buf *ret_assertion)
{
    vx_buf jwt = {0}, signature = {0};
    json_t *head = json_pack("{s:s, s:s}", "alg", "RS256", "typ", "JWT");
    if (head && key->key_id[0] != '\0' && json_object_set_new(head, "kid", json_string(key->key_id)) != 0) {
        json_decref(head);
        head = NULL;
    }
    vx_err err = append_part(head, &jwt);
    if (err == VX_OK)
        err = vx_buf_append(&jwt, ".", 1);
    if (err == VX_OK)
        err = append_part(json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", key->email, "aud", key->token_uri,
                                    "target_audience", audience, "iat", (json_int_t)now_s, "exp",
                                    (json_int_t)now_s + LIFETIME_S),
                          &jwt);
    if (err == VX_OK)
        err = append_signature(key->key, jwt.data, jwt.len, &signature);
    if (err == VX_OK)
        err = vx_buf_append(&jwt, ".", 1);
    if (err == VX_OK)
        err = vx_buf_append(&jwt, signature.data, signature.len);
    if (err == VX_OK)
        err = vx_buf_append(ret_assertion, jwt.data, jwt.len);
    vx_buf_wipe_done(&jwt);
    vx_buf_wipe_done(&signature);
    return err;
}
