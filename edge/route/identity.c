/* identity.c - one token for everybody who asks, fetched by one of them.
 * Owns:   when a token is fetched and how long it is used. Does not: read keys, tokens and answers (identity_key.c,
 *         identity_token.c) or run programs (identity_command.c).
 */
#include "edge/route/identity.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "edge/route/http.h"
#include "edge/route/identity_private.h"
#include "shared/base/clock.h"
#include "shared/base/cond.h"

#define NS_PER_S        UINT64_C(1000000000)
#define METADATA_URL    "http://metadata.google.internal"
#define METADATA_PATH   "/computeMetadata/v1/instance/service-accounts/default/identity"
#define METADATA_FLAVOR "Metadata-Flavor: Google"

/* MARGIN_S: a token is renewed so long before it expires, as Google's own libraries do. LONGEST_S: whatever a token
 * says of itself. SKEW_S: a difference of clocks that Google still takes. */
enum { MARGIN_S = 300, LONGEST_S = 24 * 3600, SKEW_S = 60, MAX_ANSWER = 16 * 1024, MAX_AUDIENCE = 512 };
/* However many callers have a token refused, or fail to get one: so often is anybody asked for another. */
#define PAUSE_NS    NS_PER_S
#define METADATA_NS NS_PER_S

struct vx_identity {
    vx_identity_kind kind;
    char *audience, *api_key, *key_file, *command, *metadata_url; /* NULL where the kind needs none */
    vx_http *http;                                                /* used by who fetches */
    int64_t skew_s;                                               /* the server's clock less ours; of who fetches */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    bool fetching;
    uint64_t n_fetches; /* that have ended */
    vx_err err;         /* of the last one, and why */
    vx_errinfo info;
    vx_buf token;        /* of the last one that succeeded */
    uint64_t fetched_ns; /* when the last one ended */
    uint64_t until_ns;   /* the token is used until then */
};

/* A token as it came, and for how long it is good. */
typedef struct {
    vx_buf token;
    int64_t left_s; /* before it expires; 0 when nobody knows: it is used once */
} fresh_token;

/* ---- fetching: a service account's key -------------------------------------------------------------------------- */

static int64_t wall_s(void)
{
    return vx_wall_ms() / 1000;
}

/* How long a token is good by the clock of the server that sent it. */
static vx_err measure(fresh_token *t, int64_t server_s, vx_errinfo *info)
{
    int64_t expiry_s;
    const char *token = (const char *)t->token.data;
    if (!vx_token_expiry(token, t->token.len, &expiry_s))
        return VX_OK;
    if (expiry_s <= server_s)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "the identity token that came had expired already");
    t->left_s = expiry_s - server_s < LONGEST_S ? expiry_s - server_s : LONGEST_S;
    return VX_OK;
}

/* An answer too large is no answer with a token. */
static vx_err ask(vx_identity *id, const vx_http_request *request, vx_http_answer *ret_answer, vx_errinfo *info)
{
    vx_errinfo why = {0};
    const vx_err err = vx_http_ask(id->http, request, ret_answer, &why);
    if (err == VX_ERR_RANGE)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "asked for an identity token, %s", why.text);
    return err == VX_OK ? err : vx_errinfo_set(info, err, "%s", vx_errinfo_text(&why, err));
}

static vx_err post_assertion(vx_identity *id, const vx_service_key *key, uint64_t deadline_ns,
                             vx_http_answer *ret_answer, vx_errinfo *info)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    static const char form[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    vx_buf body = {0};
    vx_err err = vx_buf_append(&body, form, sizeof form - 1);
    if (err == VX_OK)
        err = vx_service_key_sign(key, id->audience, wall_s() + id->skew_s, &body);
    if (err == VX_OK) {
        const vx_http_request request = {.url = key->token_uri,
                                         .headers = headers,
                                         .body = body.data,
                                         .len = body.len,
                                         .deadline_ns = deadline_ns,
                                         .max_bytes = MAX_ANSWER};
        err = ask(id, &request, ret_answer, info);
    }
    vx_buf_wipe_done(&body);
    return err;
}

static vx_err judge_exchange(const vx_service_key *key, const vx_http_answer *answer, fresh_token *ret,
                             vx_errinfo *info)
{
    const char *body = (const char *)answer->body.data;
    char why[VX_IDENTITY_SHOWN_CAP];
    const int64_t date_s = vx_http_date_s(answer);
    if (answer->status == 200) {
        vx_err err = vx_token_from_answer(body, answer->body.len, &ret->token, info);
        return err == VX_OK ? measure(ret, date_s >= 0 ? date_s : wall_s(), info) : err;
    }
    vx_token_refusal(body, answer->body.len, why);
    if (answer->status >= 500 || answer->status == 429)
        return vx_errinfo_set(info, VX_ERR_NETWORK, "the token endpoint answered %d%s%s", answer->status,
                              why[0] ? ": " : "", why);
    return vx_errinfo_set(info, VX_ERR_TOKEN, "the key of %.80s was refused (%d%s%s); make a new one if it was revoked",
                          key->email, answer->status, why[0] ? ", " : "", why);
}

/* A refusal may be about our clock: where it differs from the server's, the assertion is signed anew by theirs. */
static bool learn_skew(vx_identity *id, const vx_http_answer *answer)
{
    const int64_t date_s = vx_http_date_s(answer);
    if (answer->status != 400 || date_s < 0)
        return false;
    const int64_t off_s = date_s - (wall_s() + id->skew_s);
    if (off_s >= -SKEW_S && off_s <= SKEW_S)
        return false;
    id->skew_s += off_s;
    return true;
}

/* The key is read each time: it does not stay in memory, and one that was replaced is noticed. */
static vx_err fetch_by_key(vx_identity *id, uint64_t deadline_ns, fresh_token *ret, vx_errinfo *info)
{
    vx_service_key key;
    vx_http_answer answer = {0};
    vx_err err = vx_service_key_read(id->key_file, &key, info);
    if (err != VX_OK)
        return err;
    err = post_assertion(id, &key, deadline_ns, &answer, info);
    if (err == VX_OK && learn_skew(id, &answer)) {
        vx_http_answer_done(&answer);
        err = post_assertion(id, &key, deadline_ns, &answer, info);
    }
    if (err == VX_OK)
        err = judge_exchange(&key, &answer, ret, info);
    vx_http_answer_done(&answer);
    vx_service_key_done(&key);
    return err;
}

/* ---- fetching: the metadata server ------------------------------------------------------------------------------ */

/* base/identity?audience=...&format=full, every character escaped that has a meaning in a URL. */
static vx_err metadata_url(const vx_identity *id, vx_buf *ret_url)
{
    vx_err err = vx_buf_printf(ret_url, "%s" METADATA_PATH "?format=full&audience=", id->metadata_url);
    for (const char *c = id->audience; *c && err == VX_OK; c++) {
        const bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-._~", *c);
        err = vx_buf_printf(ret_url, plain ? "%c" : "%%%02X", *c);
    }
    return err;
}

static vx_err judge_metadata(const vx_http_answer *answer, fresh_token *ret, vx_errinfo *info)
{
    char flavor[16] = "";
    const char *token = (const char *)answer->body.data;
    const int64_t date_s = vx_http_date_s(answer);
    if (!vx_http_header(answer, "Metadata-Flavor", flavor, sizeof flavor) || strcmp(flavor, "Google") != 0)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "what answers in the metadata server's place is not Google's");
    if (answer->status >= 500 || answer->status == 429)
        return vx_errinfo_set(info, VX_ERR_NETWORK, "the metadata server answered %d", answer->status);
    if (answer->status != 200)
        return vx_errinfo_set(info, VX_ERR_TOKEN,
                              "the metadata server answered %d: give this machine a service account", answer->status);
    if (!vx_token_well_formed(token, answer->body.len))
        return vx_errinfo_set(info, VX_ERR_TOKEN, "the metadata server sent no token");
    const vx_err err = vx_buf_append(&ret->token, token, answer->body.len);
    return err == VX_OK ? measure(ret, date_s >= 0 ? date_s : wall_s(), info) : err;
}

/* It is inside the machine: whoever waits longer than a second waits for a server that is not there. */
static vx_err fetch_by_metadata(vx_identity *id, uint64_t deadline_ns, fresh_token *ret, vx_errinfo *info)
{
    static const char *const headers[] = {METADATA_FLAVOR, NULL};
    const uint64_t soon_ns = vx_now_ns() + METADATA_NS;
    vx_errinfo why = {0};
    vx_buf url = {0};
    vx_http_answer answer = {0};
    vx_err err = metadata_url(id, &url);
    if (err == VX_OK) {
        const vx_http_request request = {.url = (const char *)url.data,
                                         .headers = headers,
                                         .deadline_ns = soon_ns < deadline_ns ? soon_ns : deadline_ns,
                                         .max_bytes = MAX_ANSWER,
                                         .metadata = true};
        err = ask(id, &request, &answer, &why);
    }
    if (err == VX_OK)
        err = judge_metadata(&answer, ret, info);
    else if (err == VX_ERR_NETWORK || (err == VX_ERR_DEADLINE && soon_ns < deadline_ns))
        err = vx_errinfo_set(info, VX_ERR_NETWORK, "VOXLOCK_CLOUD_AUTH=metadata works on Google Cloud alone: %.120s",
                             why.text);
    else
        (void)vx_errinfo_set(info, err, "%s", vx_errinfo_text(&why, err));
    vx_http_answer_done(&answer);
    vx_buf_done(&url);
    return err;
}

/* ---- fetching: any way ------------------------------------------------------------------------------------------ */

/* Programs keep tokens too and print one that is about to expire, and no server's clock comes with it. One that is over
 * by our clock is used once: the service knows better. */
static vx_err fetch_by_command(vx_identity *id, uint64_t deadline_ns, fresh_token *ret, vx_errinfo *info)
{
    const vx_err err = vx_identity_run(id->command, deadline_ns, &ret->token, info);
    if (err == VX_OK && measure(ret, wall_s(), NULL) != VX_OK)
        ret->left_s = 0;
    return err;
}

static vx_err fetch(vx_identity *id, uint64_t deadline_ns, fresh_token *ret, vx_errinfo *info)
{
    switch (id->kind) {
    case VX_IDENTITY_KEY_FILE: return fetch_by_key(id, deadline_ns, ret, info);
    case VX_IDENTITY_METADATA: return fetch_by_metadata(id, deadline_ns, ret, info);
    case VX_IDENTITY_COMMAND: return fetch_by_command(id, deadline_ns, ret, info);
    default: return VX_ERR_ARG;
    }
}

/* ---- one token for all ------------------------------------------------------------------------------------------ */

/* Another caller may have more time, or more luck with memory: these two are not the others' failure. */
static bool concerns_all(vx_err err)
{
    return err != VX_OK && err != VX_ERR_DEADLINE && err != VX_ERR_NOMEM;
}

static vx_err tell(const vx_identity *id, vx_errinfo *info)
{
    if (id->err != VX_OK && info && info->code == VX_OK)
        *info = id->info;
    return id->err;
}

/* With the lock held, which is given up meanwhile. */
static vx_err fetch_for_all(vx_identity *id, uint64_t deadline_ns, vx_errinfo *info)
{
    fresh_token t = {0};
    vx_errinfo why = {0};
    id->fetching = true;
    vx_buf_wipe_done(&id->token);
    pthread_mutex_unlock(&id->lock);
    const vx_err err = fetch(id, deadline_ns, &t, &why);
    if (err != VX_OK)
        vx_buf_wipe_done(&t.token);
    pthread_mutex_lock(&id->lock);
    id->fetching = false;
    id->n_fetches++;
    id->err = err;
    id->info = why;
    id->token = t.token;
    id->fetched_ns = vx_now_ns();
    id->until_ns = t.left_s > MARGIN_S ? id->fetched_ns + (uint64_t)(t.left_s - MARGIN_S) * NS_PER_S : 0;
    pthread_cond_broadcast(&id->moved);
    return tell(id, info);
}

/* With the lock held; on VX_OK id->token is the one to use. */
static vx_err get_token(vx_identity *id, bool fresh, uint64_t deadline_ns, vx_errinfo *info)
{
    const uint64_t n_before = id->n_fetches;
    for (;;) {
        const uint64_t now = vx_now_ns();
        const bool came = id->n_fetches != n_before; /* while this caller waited: meant for it too */
        const bool recent = came || (id->n_fetches > 0 && now - id->fetched_ns < PAUSE_NS);
        if (id->token.len > 0 && (came || (fresh ? recent : now < id->until_ns)))
            return VX_OK;
        if (!id->fetching && recent && concerns_all(id->err))
            return tell(id, info);
        if (!id->fetching)
            return fetch_for_all(id, deadline_ns, info);
        if (now >= deadline_ns)
            return vx_errinfo_set(info, VX_ERR_DEADLINE, "the identity token did not come in time");
        (void)vx_cond_wait_until(&id->moved, &id->lock, deadline_ns);
    }
}

static vx_err write_header(const char *token, size_t len, vx_buf *ret_header)
{
    vx_buf header = {0};
    vx_err err = vx_buf_append(&header, "Bearer ", 7);
    if (err == VX_OK)
        err = vx_buf_append(&header, token, len);
    if (err == VX_OK)
        err = vx_buf_append(&header, "", 1);
    if (err != VX_OK) {
        vx_buf_wipe_done(&header);
        return err;
    }
    header.len--; /* the zero behind it */
    vx_buf_wipe_done(ret_header);
    *ret_header = header;
    return VX_OK;
}

vx_err vx_identity_header(vx_identity *identity, bool fresh, uint64_t deadline_ns, vx_buf *ret_header, vx_errinfo *info)
{
    vx_identity *id = identity;
    if (id->kind == VX_IDENTITY_NONE) {
        vx_buf_wipe_done(ret_header);
        return VX_OK;
    }
    if (id->kind == VX_IDENTITY_API_KEY)
        return write_header(id->api_key, strlen(id->api_key), ret_header);
    pthread_mutex_lock(&id->lock);
    vx_err err = get_token(id, fresh, deadline_ns, info);
    if (err == VX_OK)
        err = write_header((const char *)id->token.data, id->token.len, ret_header);
    pthread_mutex_unlock(&id->lock);
    return err;
}

/* ---- create, destroy -------------------------------------------------------------------------------------------- */

static bool is_given(const char *text)
{
    return text && text[0] != '\0';
}

/* It goes into a URL and a signed claim. */
static bool is_audience(const char *text)
{
    if (!is_given(text) || strlen(text) > MAX_AUDIENCE)
        return false;
    while (*text > ' ' && *text < 0x7f)
        text++;
    return *text == '\0';
}

static vx_err check(const vx_identity_options *o, vx_errinfo *info)
{
    if ((o->kind == VX_IDENTITY_KEY_FILE || o->kind == VX_IDENTITY_METADATA) && !is_audience(o->audience))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "VOXLOCK_CLOUD_AUDIENCE must be the service's URL, without blanks");
    if (o->kind == VX_IDENTITY_API_KEY && !(o->api_key && vx_token_well_formed(o->api_key, strlen(o->api_key))))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "VOXLOCK_CLOUD_AUTH=api-key needs a bearer token in VOXLOCK_CLOUD_API_KEY");
    if (o->kind == VX_IDENTITY_KEY_FILE && !is_given(o->key_file))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_CLOUD_AUTH=key-file needs VOXLOCK_CLOUD_KEY_FILE");
    if (o->kind == VX_IDENTITY_COMMAND && !is_given(o->command))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_CLOUD_AUTH=command needs VOXLOCK_CLOUD_COMMAND");
    return VX_OK;
}

static bool copy(const char *text, char **ret)
{
    if (!text)
        return true;
    *ret = strdup(text);
    return *ret != NULL;
}

static vx_err fill(vx_identity *id, const vx_identity_options *o)
{
    const bool by_key = o->kind == VX_IDENTITY_API_KEY;
    if (!copy(o->audience, &id->audience) || !copy(by_key ? o->api_key : NULL, &id->api_key) ||
        !copy(o->key_file, &id->key_file) || !copy(o->command, &id->command) ||
        !copy(o->metadata_url ? o->metadata_url : METADATA_URL, &id->metadata_url))
        return VX_ERR_NOMEM;
    const bool asks = o->kind == VX_IDENTITY_KEY_FILE || o->kind == VX_IDENTITY_METADATA;
    return asks ? vx_http_create(o->ca_file, &id->http) : VX_OK;
}

vx_err vx_identity_create(const vx_identity_options *options, vx_identity **ret_identity, vx_errinfo *info)
{
    vx_err err = check(options, info);
    if (err != VX_OK)
        return err;
    vx_identity *id = calloc(1, sizeof *id);
    if (!id)
        return VX_ERR_NOMEM;
    id->kind = options->kind;
    if (pthread_mutex_init(&id->lock, NULL) != 0) {
        free(id);
        return VX_ERR_NOMEM;
    }
    if (!vx_cond_init(&id->moved)) {
        pthread_mutex_destroy(&id->lock);
        free(id);
        return VX_ERR_NOMEM;
    }
    err = fill(id, options);
    if (err != VX_OK)
        vx_identity_destroy(id);
    else
        *ret_identity = id;
    return err;
}

static void wipe_free(char *text)
{
    if (text)
        vx_wipe(text, strlen(text));
    free(text);
}

void vx_identity_destroy(vx_identity *identity)
{
    if (!identity)
        return;
    vx_http_destroy(identity->http);
    vx_buf_wipe_done(&identity->token);
    wipe_free(identity->api_key);
    wipe_free(identity->command); /* people put secrets into arguments */
    free(identity->audience);
    free(identity->key_file);
    free(identity->metadata_url);
    pthread_cond_destroy(&identity->moved);
    pthread_mutex_destroy(&identity->lock);
    free(identity);
}
