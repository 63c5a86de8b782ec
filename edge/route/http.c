/* http.c - judges addresses, bounds and times exchanges, reads heads; the plugin on libcurl does the talking.
 * The plugin is loaded when somebody is to be asked for the first time (http_plugin.h says why).
 */
#include "edge/route/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "edge/route/http_plugin.h"
#include "shared/base/clock.h"
#include "shared/base/plugin.h"

enum { MAX_HEAD = 32 * 1024, TEXT_CAP = 256, LONGEST_MS = 24 * 3600 * 1000 };

struct vx_http {
    const vx_http_plugin *plugin; /* NULL until the first exchange, like wire */
    vx_http_wire *wire;
    char *ca_file; /* NULL: the system's */
};

/* NULL: the plugin cannot be had, and info says why (UNSUPPORTED). */
static const vx_http_plugin *load(vx_errinfo *info)
{
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    const vx_err err = vx_plugin_load("vx_http_curl", VX_HTTP_PLUGIN_SYMBOL, &symbol, &cause);
    const vx_http_plugin *plugin = err == VX_OK ? symbol : NULL;
    if (!plugin)
        (void)vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, cause.path, -1, 0, "nobody can be asked over the network: %s",
                                vx_errinfo_text(&cause, err));
    if (!plugin || plugin->abi == VX_HTTP_PLUGIN_ABI)
        return plugin;
    (void)vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "vx_http_curl.so is of another version");
    return NULL;
}

/* ---- URLs ------------------------------------------------------------------------------------------------------- */

/* "localhost" is looked up nowhere: libcurl takes it for the loopback since 7.77. */
static bool is_loopback(const char *host)
{
    char bare[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    const size_t len = strlen(host);
    if (len < 3 || host[0] != '[' || len - 2 >= sizeof bare)
        return false;
    snprintf(bare, sizeof bare, "%.*s", (int)(len - 2), host + 1);
    return inet_pton(AF_INET6, bare, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static vx_err judge(const char *what, const vx_http_place *p, bool metadata, vx_errinfo *info)
{
    if (!p->is_url)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s is not a URL: it must start with https://", what);
    if (p->has_user)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s may not hold a user or a password", what);
    if (!p->https && !is_loopback(p->host) && !metadata)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "%s must start with https://; http is for this computer alone (127.0.0.1)", what);
    return VX_OK;
}

vx_err vx_http_check_url(const char *what, const char *url, vx_errinfo *info)
{
    vx_http_place p;
    const vx_http_plugin *plugin = load(info);
    const vx_err err = plugin ? plugin->take_apart(url, &p) : VX_ERR_UNSUPPORTED;
    return err == VX_OK ? judge(what, &p, false, info) : err;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

void vx_http_answer_done(vx_http_answer *answer)
{
    vx_buf_wipe_done(&answer->head);
    vx_buf_wipe_done(&answer->body);
    *answer = (vx_http_answer){0};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

bool vx_http_header(const vx_http_answer *answer, const char *name, char *ret_value, size_t cap)
{
    const size_t n_name = strlen(name);
    const char *line = answer->head.len ? (const char *)answer->head.data : "", *const end = line + answer->head.len;
    const char *value = NULL;
    size_t n = 0;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        if ((size_t)(stop - line) > n_name && strncasecmp(line, name, n_name) == 0 && line[n_name] == ':') {
            value = line + n_name + 1;
            n = (size_t)(stop - value);
        }
        line = stop + 1;
    }
    for (; n > 0 && is_blank(*value); value++)
        n--;
    while (n > 0 && is_blank(value[n - 1]))
        n--;
    if (!value || n >= cap || memchr(value, '\0', n))
        return false;
    memcpy(ret_value, value, n);
    ret_value[n] = '\0';
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", the only form that servers may send (RFC 9110, section 5.6.7). */
int64_t vx_http_date_s(const vx_http_answer *answer)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char date[64], month[4], end;
    struct tm tm = {0};
    if (!vx_http_header(answer, "Date", date, sizeof date))
        return -1;
    /* NOLINTNEXTLINE(cert-err34-c): no field has digits enough to overflow */
    const int n = sscanf(date, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GM%c", &tm.tm_mday, month, &tm.tm_year,
                         &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end);
    const char *at = n == 7 && strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!at || (at - months) % 3 != 0 || end != 'T' || tm.tm_year < 1970)
        return -1;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    return (int64_t)timegm(&tm);
}

/* ---- one exchange ----------------------------------------------------------------------------------------------- */

typedef struct {
    vx_http_answer answer;
    size_t max_bytes;
    vx_err err; /* why a callback stopped the exchange */
} exchange;

static bool keep(exchange *x, vx_buf *buf, size_t max, const char *data, size_t n)
{
    if (n > max - buf->len)
        x->err = VX_ERR_RANGE;
    else if (vx_buf_append(buf, data, n) != VX_OK)
        x->err = VX_ERR_NOMEM;
    return x->err == VX_OK;
}

static bool on_head(void *arg, const char *data, size_t n)
{
    exchange *x = arg;
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) /* another answer: what came before was a 100 */
        x->answer.head.len = 0;
    return keep(x, &x->answer.head, MAX_HEAD, data, n);
}

static bool on_body(void *arg, const char *data, size_t n)
{
    exchange *x = arg;
    return keep(x, &x->answer.body, x->max_bytes, data, n);
}

/* Milliseconds until deadline_ns, rounded up; 0 when it has passed. */
static long left_ms(uint64_t deadline_ns)
{
    const uint64_t now = vx_now_ns();
    if (now >= deadline_ns)
        return 0;
    const uint64_t ms = (deadline_ns - now - 1) / 1000000u + 1;
    return ms < LONGEST_MS ? (long)ms : LONGEST_MS;
}

static vx_err fail(const vx_http *http, const char *host, const exchange *x, vx_err err, const char *text,
                   vx_errinfo *info)
{
    switch (err) {
    case VX_ERR_NOMEM: return err;
    case VX_ERR_DEADLINE: return vx_errinfo_set(info, err, "%s did not answer in time", host);
    case VX_ERR_RANGE: /* a callback's doing, as a rule */
        if (x->err == VX_ERR_NOMEM)
            return x->err;
        if (x->err == VX_ERR_RANGE)
            return vx_errinfo_set(info, x->err, "%s sent more than an answer may hold", host);
        return vx_errinfo_set(info, VX_ERR_NETWORK, "%s: %s", host, text);
    case VX_ERR_OPTION_VALUE:
        return vx_errinfo_set_at(info, err, http->ca_file, -1, 0, "no certificates can be read from it");
    default: return vx_errinfo_set(info, err, "%s: %s", host, text);
    }
}

static vx_err exchange_once(vx_http *http, const vx_http_request *request, const vx_http_place *p, exchange *x,
                            vx_errinfo *info)
{
    char text[TEXT_CAP] = "";
    const vx_http_exchange asked = {
        .url = request->url,
        .https = p->https,
        .ca_file = http->ca_file,
        .headers = request->headers,
        .body = request->body,
        .len = request->len,
        .timeout_ms = left_ms(request->deadline_ns),
        .on_head = on_head,
        .on_body = on_body,
        .arg = x,
    };
    if (asked.timeout_ms == 0)
        return vx_errinfo_set(info, VX_ERR_DEADLINE, "no time was left to ask %s", p->host);
    vx_err err = http->plugin->exchange(http->wire, &asked, &x->answer.status, text, sizeof text);
    if (err != VX_OK)
        return fail(http, p->host, x, err, text, info);
    err = vx_buf_reserve(&x->answer.body, 1);
    if (err == VX_OK)
        x->answer.body.data[x->answer.body.len] = '\0';
    return err;
}

/* The plugin and a wire to speak on, at the first exchange. */
static vx_err get_ready(vx_http *http, vx_errinfo *info)
{
    if (!http->plugin)
        http->plugin = load(info);
    if (!http->plugin)
        return VX_ERR_UNSUPPORTED;
    return http->wire ? VX_OK : http->plugin->open(&http->wire);
}

vx_err vx_http_ask(vx_http *http, const vx_http_request *request, vx_http_answer *ret_answer, vx_errinfo *info)
{
    vx_http_place p;
    exchange x = {.max_bytes = request->max_bytes};
    vx_err err = get_ready(http, info);
    if (err == VX_OK)
        err = http->plugin->take_apart(request->url, &p);
    if (err == VX_OK)
        err = judge("the address", &p, request->metadata, info);
    if (err == VX_OK)
        err = exchange_once(http, request, &p, &x, info);
    if (err != VX_OK) {
        vx_http_answer_done(&x.answer);
        return err;
    }
    *ret_answer = x.answer;
    return VX_OK;
}

vx_err vx_http_create(const char *ca_file, vx_http **ret_http)
{
    vx_http *http = calloc(1, sizeof *http);
    if (!http)
        return VX_ERR_NOMEM;
    if (ca_file)
        http->ca_file = strdup(ca_file);
    if (ca_file && !http->ca_file) {
        vx_http_destroy(http);
        return VX_ERR_NOMEM;
    }
    *ret_http = http;
    return VX_OK;
}

void vx_http_destroy(vx_http *http)
{
    if (!http)
        return;
    if (http->plugin)
        http->plugin->close(http->wire);
    free(http->ca_file);
    free(http);
}
