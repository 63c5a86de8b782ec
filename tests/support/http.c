/* http.c - a test's client. */
#include "tests/support/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/service.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE instead */
#endif

enum { HEAD_MAX = 65536 };

/* ---- replies ---------------------------------------------------------------------------------------------------- */

static void add(vx_buf *buf, const void *data, size_t len)
{
    if (vx_buf_append(buf, data, len) || vx_buf_reserve(buf, 1))
        fail_msg("out of memory");
    else
        buf->data[buf->len] = '\0';
}

void http_reply_done(http_reply *reply)
{
    vx_buf_done(&reply->head);
    vx_buf_done(&reply->body);
    *reply = (http_reply){0};
}

bool http_header(const http_reply *reply, const char *name, char *ret, size_t cap)
{
    const size_t len = strlen(name);
    const char *line = reply->head.len ? (const char *)reply->head.data : "";
    while ((line = strchr(line, '\n'))) {
        line++;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        line += len + 1;
        line += strspn(line, " ");
        snprintf(ret, cap, "%.*s", (int)strcspn(line, "\r\n"), line);
        return true;
    }
    return false;
}

bool http_header_is(const http_reply *reply, const char *name, const char *value)
{
    char got[1024];
    return http_header(reply, name, got, sizeof got) && strncmp(got, value, strlen(value)) == 0;
}

json_t *http_json(const http_reply *reply)
{
    json_error_t error = {.text = "no body"};
    json_t *root = reply->body.len ? json_loadb((const char *)reply->body.data, reply->body.len,
                                                JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error)
                                   : NULL;
    if (!root)
        fail_msg("status %d, not JSON (%s): %.200s", reply->status, error.text,
                 reply->body.len ? (const char *)reply->body.data : "");
    return root;
}

/* ---- libcurl ---------------------------------------------------------------------------------------------------- */

static size_t on_head(char *data, size_t size, size_t n, void *arg)
{
    http_reply *reply = arg;
    /* "HTTP/1.1 100 Continue" comes before the answer that counts. */
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0)
        reply->head.len = 0;
    add(&reply->head, data, size * n);
    return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    add(&((http_reply *)arg)->body, data, size * n);
    return size * n;
}

void http_prepare(CURL *curl, int port, const http_request *request, http_reply *reply, struct curl_slist **ret_headers)
{
    char url[2048];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, request->path);
    struct curl_slist *headers = NULL;
    for (const char *const *line = request->headers; line && *line; line++)
        headers = curl_slist_append(headers, *line);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    *ret_headers = headers;
}

http_reply http_call_on(CURL *curl, int port, http_request request)
{
    http_reply reply = {0};
    struct curl_slist *headers;
    long status = 0;
    http_prepare(curl, port, &request, &reply, &headers);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", request.method ? request.method : "request", request.path, curl_easy_strerror(code));
    reply.status = (int)status;
    return reply;
}

http_reply http_call(int port, http_request request)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        fail_msg("libcurl cannot start");
    http_reply reply = http_call_on(curl, port, request);
    curl_easy_cleanup(curl);
    return reply;
}

http_reply http_get(int port, const char *path)
{
    return http_call(port, (http_request){.path = path});
}

http_reply http_post(int port, const char *path, const char *json)
{
    static const char *const headers[] = {"Content-Type: application/json", "Expect:", NULL};
    return http_call(port, (http_request){.path = path, .headers = headers, .body = json, .len = strlen(json)});
}

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

int raw_try(int port)
{
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        raw_close(&fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

int raw_open(int port)
{
    const int fd = raw_try(port);
    if (fd < 0)
        fail_msg("cannot connect");
    return fd;
}

void raw_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool raw_send(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        const ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool raw_say(int fd, const char *text)
{
    return raw_send(fd, text, strlen(text));
}

bool raw_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

int raw_finish(int fd)
{
    return shutdown(fd, SHUT_WR);
}

int raw_post_with(int port, const char *path, const char *lines, const void *body, size_t len)
{
    char head[1024];
    const int fd = raw_open(port);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n", path, lines, len);
    if (!raw_say(fd, head) || !raw_send(fd, body, len))
        fail_msg("the service does not take the request");
    return fd;
}

int raw_post(int port, const char *path, const char *json)
{
    return raw_post_with(port, path, "Content-Type: application/json\r\n", json, strlen(json));
}

/* Byte by byte: nothing of the next answer may be taken. */
static bool read_head(int fd, vx_buf *head)
{
    char c;
    while (head->len < HEAD_MAX && recv(fd, &c, 1, 0) == 1) {
        add(head, &c, 1);
        if (head->len >= 4 && memcmp(head->data + head->len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool read_body(int fd, size_t len, vx_buf *body)
{
    char piece[16384];
    while (body->len < len) {
        const size_t want = len - body->len < sizeof piece ? len - body->len : sizeof piece;
        const ssize_t n = recv(fd, piece, want, 0);
        if (n <= 0)
            return false;
        add(body, piece, (size_t)n);
    }
    return true;
}

bool raw_reply(int fd, bool has_body, http_reply *ret)
{
    http_reply reply = {0};
    char length[32];
    bool ok = read_head(fd, &reply.head) && sscanf((const char *)reply.head.data, "HTTP/%*s %d", &reply.status) == 1;
    if (ok && has_body && http_header(&reply, "Content-Length", length, sizeof length))
        ok = read_body(fd, (size_t)strtoull(length, NULL, 10), &reply.body);
    if (ok)
        *ret = reply;
    else
        http_reply_done(&reply);
    return ok;
}

bool raw_ended(int fd, vx_buf *ret_rest)
{
    char piece[16384];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0) {
        if (ret_rest)
            add(ret_rest, piece, (size_t)n);
    }
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}
