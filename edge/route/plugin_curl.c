/* plugin_curl.c - HTTP through libcurl: a handle that is told everything anew for each exchange.
 * Owns:   libcurl's options, the signal that a closed connection may raise. Does not: what http_plugin.h leaves to
 *         http.c.
 */
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/route/http_plugin.h"

struct vx_http_wire {
    CURL *curl;
    char error[CURL_ERROR_SIZE]; /* libcurl's sentence about the exchange under way */
};

/* ---- URLs ------------------------------------------------------------------------------------------------------- */

/* True when the part is there and fits. */
static bool take_part(CURLU *url, CURLUPart part, char *ret, size_t cap)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, 0) != CURLUE_OK)
        return false;
    const int n = snprintf(ret, cap, "%s", text);
    curl_free(text);
    return n > 0 && (size_t)n < cap;
}

static vx_err take_apart(const char *text, vx_http_place *ret_place)
{
    char scheme[8] = "";
    vx_http_place p = {0};
    CURLU *url = curl_url();
    if (!url)
        return VX_ERR_NOMEM;
    p.is_url = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
               take_part(url, CURLUPART_SCHEME, scheme, sizeof scheme) &&
               take_part(url, CURLUPART_HOST, p.host, sizeof p.host);
    p.https = strcmp(scheme, "https") == 0;
    p.is_url = p.is_url && (p.https || strcmp(scheme, "http") == 0);
    char *user = NULL;
    p.has_user = curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK;
    curl_free(user);
    curl_url_cleanup(url);
    *ret_place = p;
    return VX_OK;
}

/* ---- one exchange ----------------------------------------------------------------------------------------------- */

/* libcurl takes any other count than it was offered for an error. */
static size_t on_head(char *data, size_t size, size_t n, void *arg)
{
    const vx_http_exchange *x = arg;
    return x->on_head(x->arg, data, size * n) ? size * n : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    const vx_http_exchange *x = arg;
    return x->on_body(x->arg, data, size * n) ? size * n : 0;
}

#define SET(option, value) code = code ? code : curl_easy_setopt(curl, option, value)

/* Who may be spoken to, and how it is verified. */
static CURLcode set_connection(CURL *curl, const vx_http_exchange *x)
{
    CURLcode code = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, x->https ? "https" : "http");
#else
    SET(CURLOPT_PROTOCOLS, x->https ? (long)CURLPROTO_HTTPS : (long)CURLPROTO_HTTP);
#endif
    if (!x->https)
        SET(CURLOPT_PROXY, ""); /* this computer or the metadata server: both are out of a proxy's reach */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (x->ca_file) { /* in the place of the system's, whose folder would still count beside it */
        SET(CURLOPT_CAINFO, x->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it an exchange whose time is over still waits for a name server that does not answer: 10 s and more. */
    SET(CURLOPT_QUICK_EXIT, 1L);
#endif
    return code;
}

static CURLcode set_exchange(vx_http_wire *wire, const vx_http_exchange *x, struct curl_slist *headers)
{
    CURL *curl = wire->curl;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_URL, x->url);
    SET(CURLOPT_USERAGENT, "voxlock/" VX_VERSION);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(CURLOPT_HTTPHEADER, headers);
    if (x->body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->len);
        SET(CURLOPT_POSTFIELDS, x->body);
    }
    SET(CURLOPT_TIMEOUT_MS, x->timeout_ms);
    SET(CURLOPT_ERRORBUFFER, wire->error);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    return code;
}
#undef SET

/* One of them may hold a token. */
static void wipe_headers(struct curl_slist *headers)
{
    for (struct curl_slist *node = headers; node; node = node->next)
        OPENSSL_cleanse(node->data, strlen(node->data));
    curl_slist_free_all(headers);
}

static vx_err make_headers(const char *const *lines, struct curl_slist **ret)
{
    /* "Expect:" takes away a header that would cost a round trip before a body over 1 MiB. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    for (; headers && lines && *lines; lines++) {
        struct curl_slist *longer = curl_slist_append(headers, *lines);
        if (!longer)
            wipe_headers(headers);
        headers = longer;
    }
    if (!headers)
        return VX_ERR_NOMEM;
    *ret = headers;
    return VX_OK;
}

/* Older libcurls write to TLS connections without MSG_NOSIGNAL, and one that the server closed must not end the program.
 * Whoever waits for a SIGPIPE of its own keeps it. */
static CURLcode perform_without_sigpipe(CURL *curl)
{
    sigset_t pipe_only, before, waiting;
    int number;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&waiting);
    sigpending(&waiting);
    const bool was_waiting = sigismember(&waiting, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    const CURLcode code = curl_easy_perform(curl);
    sigpending(&waiting);
    if (!was_waiting && sigismember(&waiting, SIGPIPE) == 1)
        sigwait(&pipe_only, &number);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static vx_err error_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK: return VX_OK;
    case CURLE_OUT_OF_MEMORY: return VX_ERR_NOMEM;
    case CURLE_OPERATION_TIMEDOUT: return VX_ERR_DEADLINE;
    case CURLE_WRITE_ERROR: return VX_ERR_RANGE;
    case CURLE_SSL_CACERT_BADFILE: return VX_ERR_OPTION_VALUE;
    default: return VX_ERR_NETWORK;
    }
}

static vx_err exchange(vx_http_wire *wire, const vx_http_exchange *x, int *ret_status, char *ret_text, size_t cap)
{
    struct curl_slist *headers = NULL;
    long status = 0;
    const vx_err err = make_headers(x->headers, &headers);
    if (err != VX_OK)
        return err;
    curl_easy_reset(wire->curl);
    wire->error[0] = '\0';
    CURLcode code = set_connection(wire->curl, x);
    if (code == CURLE_OK)
        code = set_exchange(wire, x, headers);
    if (code == CURLE_OK)
        code = perform_without_sigpipe(wire->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(wire->curl, CURLINFO_RESPONSE_CODE, &status);
    /* The handle must not keep pointers into what belongs to the caller. */
    curl_easy_reset(wire->curl);
    wipe_headers(headers);
    if (code == CURLE_OK)
        *ret_status = (int)status;
    else
        snprintf(ret_text, cap, "%s", wire->error[0] ? wire->error : curl_easy_strerror(code));
    return error_of(code);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void close_wire(vx_http_wire *wire)
{
    if (!wire)
        return;
    curl_easy_cleanup(wire->curl);
    free(wire);
}

/* libcurl prepares itself at the first handle, but not in every version safely for two threads at once. */
static void prepare(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static vx_err open_wire(vx_http_wire **ret_wire)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    vx_http_wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return VX_ERR_NOMEM;
    wire->curl = curl_easy_init();
    if (!wire->curl) {
        free(wire);
        return VX_ERR_NOMEM;
    }
    *ret_wire = wire;
    return VX_OK;
}

__attribute__((visibility("default"))) extern const vx_http_plugin vx_http_plugin_table;
const vx_http_plugin vx_http_plugin_table = {
    .abi = VX_HTTP_PLUGIN_ABI,
    .library = "libcurl " LIBCURL_VERSION,
    .take_apart = take_apart,
    .open = open_wire,
    .exchange = exchange,
    .close = close_wire,
};
