/* auth.c - bearer tokens. Source: RFC 6750, sections 2.1 and 3. */
#include "cloud/auth.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "shared/base/bytes.h"
#include "shared/base/file.h"

#define SETTING     "VOXLOCK_API_KEYS"
/* Some 3,000 keys; more than that is a wrong path, or a case for a gateway. */
#define MAX_FILE    (256 * 1024)
#define DIGEST_HEX  (VX_SHA256_HEX - 1)
#define LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define NAME_CHARS  LETTERS "._-"
#define TOKEN_CHARS LETTERS "-._~+/" /* and '=' at the end */

typedef struct {
    char name[VX_AUTH_NAME_CAP];
    uint8_t digest[VX_SHA256_BYTES];
} key;

struct vx_auth {
    size_t n, cap;
    key keys[]; /* [cap] */
};

/* ---- reading the setting --------------------------------------------------------------------------------------- */

/* Where an entry stands, for the error about it. */
typedef struct {
    const char *path; /* NULL: in the setting itself */
    int number;       /* line of the file, or entry of the setting; from 1 */
    vx_errinfo *info;
} place;

/* Says what is wrong with an entry but not what it holds: people paste tokens where digests belong. */
static vx_err refuse(const place *at, const char *what)
{
    if (at->path)
        return vx_errinfo_set_at(at->info, VX_ERR_OPTION_VALUE, at->path, -1, at->number, SETTING ": this key %s",
                                 what);
    return vx_errinfo_set(at->info, VX_ERR_OPTION_VALUE, SETTING ": key %d %s", at->number, what);
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && (**text == ' ' || **text == '\t'))
        ++*text, --*len;
    while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t' || (*text)[*len - 1] == '\r'))
        --*len;
}

/* Length of a name at the front, 0 if there is none of the right form before the character `end`. */
static size_t name_len(const char *text, char end)
{
    size_t len = strspn(text, NAME_CHARS);
    return len < VX_AUTH_NAME_CAP && text[len] == end ? len : 0;
}

static vx_err add_key(vx_auth *auth, const char *text, size_t len, const place *at)
{
    key new = {0};
    size_t n = name_len(text, ':');
    if (memchr(text, ':', len) == NULL)
        return refuse(at, "is not of the form name:digest");
    if (n == 0)
        return refuse(at, "has a name that is not 1 to 64 letters, digits, '.', '_' or '-'");
    if (len != n + 1 + DIGEST_HEX || !vx_unhex(text + n + 1, VX_SHA256_BYTES, new.digest))
        return refuse(at, "has a digest that is not SHA-256 in 64 hexadecimal digits");
    memcpy(new.name, text, n);
    for (size_t i = 0; i < auth->n; i++) {
        if (strcmp(auth->keys[i].name, new.name) == 0)
            return refuse(at, "has the name of an earlier one");
        if (memcmp(auth->keys[i].digest, new.digest, sizeof new.digest) == 0)
            return refuse(at, "has the digest of an earlier one");
    }
    auth->keys[auth->n++] = new;
    return VX_OK;
}

/* Entries between separators. text is zero-terminated, so that looking one character past an entry is safe. */
static vx_err add_keys(vx_auth *auth, const char *text, size_t len, char separator, place at)
{
    const char *end = text + len;
    for (;; text++) {
        const char *stop = memchr(text, separator, (size_t)(end - text));
        const char *entry = text;
        size_t n = (size_t)((stop ? stop : end) - text);
        trim(&entry, &n);
        at.number++;
        bool nothing = at.path && (n == 0 || entry[0] == '#');
        vx_err err = nothing ? VX_OK : add_key(auth, entry, n, &at);
        if (err || !stop)
            return err;
        text = stop;
    }
}

static vx_err parse(const char *text, size_t len, const char *path, vx_auth **ret_auth, vx_errinfo *info)
{
    char separator = path ? '\n' : ',';
    size_t cap = 1;
    for (size_t i = 0; i < len; i++)
        cap += text[i] == separator;
    vx_auth *auth = calloc(1, sizeof *auth + cap * sizeof *auth->keys);
    if (!auth)
        return VX_ERR_NOMEM;
    auth->cap = cap;
    vx_err err = add_keys(auth, text, len, separator, (place){path, 0, info});
    /* An empty file must not open the door. */
    if (!err && auth->n == 0)
        err = vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, path, -1, 0, SETTING ": the file holds no key");
    if (err)
        vx_auth_destroy(auth);
    else
        *ret_auth = auth;
    return err;
}

/* Against a slip of the operator, not an attack: who can swap the file after this look can also write keys into it.
 * The group may read, for containers get secrets that way. */
static vx_err check_mode(const char *path, vx_errinfo *info)
{
    struct stat st;
    if (stat(path, &st) != 0) /* reading it will say why */
        return VX_OK;
    if (!S_ISREG(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, path, -1, 0, SETTING ": not a regular file");
    if (st.st_mode & (S_IWGRP | S_IRWXO))
        return vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, path, -1, 0,
                                 SETTING ": others may read or change this file; run chmod 600 on it");
    return VX_OK;
}

static vx_err read_file(const char *path, vx_auth **ret_auth, vx_errinfo *info)
{
    vx_buf text = {0};
    vx_err err = check_mode(path, info);
    if (!err)
        err = vx_file_read(path, MAX_FILE, &text, info);
    if (!err)
        err = vx_buf_append(&text, "", 1);
    if (!err)
        err = parse((const char *)text.data, text.len - 1, path, ret_auth, info);
    vx_buf_wipe_done(&text);
    return err;
}

vx_err vx_auth_create(const char *setting, vx_auth **ret_auth, vx_errinfo *info)
{
    if (setting[0] == '@')
        return read_file(setting + 1, ret_auth, info);
    if (setting[0] != '\0')
        return parse(setting, strlen(setting), NULL, ret_auth, info);
    vx_auth *off = calloc(1, sizeof *off);
    if (!off)
        return VX_ERR_NOMEM;
    *ret_auth = off;
    return VX_OK;
}

void vx_auth_destroy(vx_auth *auth)
{
    if (!auth)
        return;
    vx_wipe(auth, sizeof *auth + auth->cap * sizeof *auth->keys);
    free(auth);
}

bool vx_auth_is_on(const vx_auth *auth)
{
    return auth->n > 0;
}

/* ---- checking -------------------------------------------------------------------------------------------------- */

/* Length of the token at the front, 0 if there is none. */
static size_t token_len(const char *text)
{
    size_t len = strspn(text, TOKEN_CHARS);
    return len > 0 ? len + strspn(text + len, "=") : 0;
}

static bool find_token(const char *authorization, const char **ret_token, size_t *ret_len)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *token = authorization + sizeof scheme - 1;
    token += strspn(token, " ");
    size_t len = token_len(token);
    if (len == 0 || token[len + strspn(token + len, " \t")] != '\0')
        return false;
    *ret_token = token;
    *ret_len = len;
    return true;
}

vx_err vx_auth_check(const vx_auth *auth, const char *authorization, const char **ret_name)
{
    const char *token;
    size_t len, found = 0; /* index + 1; at most one matches, as digests are distinct */
    uint8_t digest[VX_SHA256_BYTES];
    if (!vx_auth_is_on(auth)) {
        *ret_name = "";
        return VX_OK;
    }
    if (!find_token(authorization, &token, &len))
        return VX_ERR_AUTH_MISSING;
    vx_err err = vx_sha256_of(token, len, digest);
    if (err)
        return err;
    for (size_t i = 0; i < auth->n; i++) {
        size_t mask = (size_t)0 - (size_t)vx_equal_ct(digest, auth->keys[i].digest, sizeof digest);
        found |= (i + 1) & mask;
    }
    vx_wipe(digest, sizeof digest);
    if (found == 0)
        return VX_ERR_AUTH_DENIED;
    *ret_name = auth->keys[found - 1].name;
    return VX_OK;
}

/* RFC 6750, section 3.1: no error code for a request that did not try to authenticate. */
const char *vx_auth_challenge(vx_err err)
{
    switch (err) {
    case VX_ERR_AUTH_MISSING: return "Bearer realm=\"voxlock\"";
    case VX_ERR_AUTH_DENIED: return "Bearer realm=\"voxlock\", error=\"invalid_token\"";
    default: return NULL;
    }
}

vx_err vx_auth_pair(const char *name, const char *token, char ret_pair[VX_AUTH_PAIR_CAP], vx_errinfo *info)
{
    uint8_t digest[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX];
    size_t len = strlen(token);
    if (name_len(name, '\0') == 0)
        return vx_errinfo_set(info, VX_ERR_ARG, "a key's name is 1 to 64 letters, digits, '.', '_' or '-'");
    if (len < VX_AUTH_TOKEN_LEAST)
        return vx_errinfo_set(info, VX_ERR_ARG, "the token is shorter than %d characters; make one with: %s",
                              VX_AUTH_TOKEN_LEAST, "openssl rand -hex 32");
    if (token_len(token) != len)
        return vx_errinfo_set(info, VX_ERR_ARG,
                              "the token holds characters other than letters, digits, '-', '.', '_', '~', '+' and '/'");
    vx_err err = vx_sha256_of(token, len, digest);
    if (err)
        return err;
    vx_hex(digest, sizeof digest, hex);
    (void)snprintf(ret_pair, VX_AUTH_PAIR_CAP, "%s:%s", name, hex);
    vx_wipe(digest, sizeof digest);
    return VX_OK;
}
