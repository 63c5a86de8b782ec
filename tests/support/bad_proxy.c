/* bad_proxy.c - reads one request, decides by its number whether to spoil it, passes it on and spoils the answer.
 * Its threads never call cmocka, whose failures jump out of the test's own thread.
 */
#include "tests/support/bad_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/http.h"
#include "tests/support/stats.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE instead */
#endif

enum { MAX_CONNECTIONS = 512, MAX_HEAD = 65536, MAX_BODY = 4 << 20, FOR_EVER = -1, SLICES_PER_S = 20 };

struct bad_proxy {
    int listener, port, to_port;
    int stop_pipe[2]; /* readable once the proxy is to stop */
    uint64_t seed;
    pthread_t acceptor;
    pthread_t threads[MAX_CONNECTIONS]; /* the acceptor's, until it has ended */
    int n_threads;

    pthread_mutex_t lock; /* guards the rest */
    bad_fault fault;
    vx_buf answer; /* the fault's own, copied */
    bad_counts count;
    vx_buf last_head, last_body;
};

/* One connection, owned by its thread. */
typedef struct {
    bad_proxy *proxy;
    int client, service; /* service: -1 until the first request is passed */
    int n_answered;
} link_state;

/* A request or an answer. */
typedef struct {
    vx_buf head, body;
} message;

static void message_done(message *m)
{
    vx_buf_done(&m->head);
    vx_buf_done(&m->body);
}

/* ---- sockets that know when to stop ------------------------------------------------------------------------------ */

/* False when the time is over, or the proxy stops (at once). */
static bool await(const bad_proxy *proxy, int fd, short events, int timeout_ms)
{
    struct pollfd polled[] = {{.fd = proxy->stop_pipe[0], .events = POLLIN}, {.fd = fd, .events = events}};
    return poll(polled, 2, timeout_ms) > 0 && polled[0].revents == 0;
}

/* Waits; false when the proxy stops before. */
static bool pause_ms(const bad_proxy *proxy, int ms)
{
    struct pollfd polled = {.fd = proxy->stop_pipe[0], .events = POLLIN};
    return poll(&polled, 1, ms) == 0;
}

/* At most `most` bytes behind the buffer's content. False at the end of the stream. */
static bool receive(const bad_proxy *proxy, int fd, vx_buf *buf, size_t most)
{
    if (vx_buf_reserve(buf, most + 1) || !await(proxy, fd, POLLIN, FOR_EVER))
        return false;
    const ssize_t n = recv(fd, buf->data + buf->len, most, 0);
    if (n <= 0)
        return false;
    buf->len += (size_t)n;
    buf->data[buf->len] = '\0';
    return true;
}

static bool send_all(const bad_proxy *proxy, int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        if (!await(proxy, fd, POLLOUT, FOR_EVER))
            return false;
        const ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Closing with unread or unsent data and no lingering sends RST. */
static void close_with_reset(int *fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    raw_close(fd);
}

static bool read_message(const bad_proxy *proxy, int fd, message *ret)
{
    char length[24] = "0";
    while (ret->head.len < 4 || memcmp(ret->head.data + ret->head.len - 4, "\r\n\r\n", 4) != 0) {
        if (ret->head.len >= MAX_HEAD || !receive(proxy, fd, &ret->head, 1)) /* nothing of the body may be taken */
            return false;
    }
    const http_reply head = {.head = ret->head};
    (void)http_header(&head, "Content-Length", length, sizeof length);
    const size_t want = (size_t)strtoull(length, NULL, 10);
    if (want > MAX_BODY)
        return false;
    while (ret->body.len < want) {
        if (!receive(proxy, fd, &ret->body, want - ret->body.len))
            return false;
    }
    return true;
}

static bool send_message(const bad_proxy *proxy, int fd, const message *m)
{
    return send_all(proxy, fd, m->head.data, m->head.len) && send_all(proxy, fd, m->body.data, m->body.len);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* What strikes this request, with a copy of the answer that it gives. Counts it. */
static bad_fault draw(bad_proxy *proxy, const message *request, vx_buf *ret_answer)
{
    pthread_mutex_lock(&proxy->lock);
    uint64_t state = proxy->seed + (uint64_t)proxy->count.requests++;
    bad_fault fault = proxy->fault;
    if (fault.share > 0 && (int)(stats_random(&state) % 100) >= fault.share)
        fault = (bad_fault){0};
    if (fault.kind != BAD_NOTHING)
        proxy->count.struck++;
    if (fault.kind == BAD_ANSWER || fault.kind == BAD_ANSWER_ONCE)
        (void)!vx_buf_append(ret_answer, proxy->answer.data, proxy->answer.len);
    if (fault.kind == BAD_ANSWER_ONCE)
        proxy->fault = (bad_fault){0};
    proxy->last_head.len = proxy->last_body.len = 0;
    (void)!vx_buf_append(&proxy->last_head, request->head.data, request->head.len);
    (void)!vx_buf_append(&proxy->last_body, request->body.data, request->body.len);
    pthread_mutex_unlock(&proxy->lock);
    return fault;
}

/* The request to the service and its answer back. */
static bool pass(link_state *l, const message *request, message *ret_answer)
{
    bad_proxy *proxy = l->proxy;
    if (l->service < 0)
        l->service = proxy->to_port ? raw_try(proxy->to_port) : -1;
    if (l->service < 0 || !send_message(proxy, l->service, request))
        return false;
    pthread_mutex_lock(&proxy->lock);
    proxy->count.passed++;
    pthread_mutex_unlock(&proxy->lock);
    return read_message(proxy, l->service, ret_answer);
}

static bool send_slowly(const link_state *l, const message *answer, int bytes_per_s)
{
    const vx_buf *const parts[] = {&answer->head, &answer->body};
    const size_t slice = (size_t)(bytes_per_s / SLICES_PER_S) + 1;
    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < parts[i]->len; at += slice) {
            const size_t n = parts[i]->len - at < slice ? parts[i]->len - at : slice;
            if (!send_all(l->proxy, l->client, parts[i]->data + at, n) || !pause_ms(l->proxy, 1000 / SLICES_PER_S))
                return false;
        }
    }
    return true;
}

/* Sends the answer as the fault wants it. False: the connection is over. */
static bool answer_with(link_state *l, message *answer, bad_fault fault)
{
    const bad_proxy *proxy = l->proxy;
    const size_t whole = answer->body.len;
    switch (fault.kind) {
    case BAD_LATENCY: return pause_ms(proxy, fault.ms) && send_message(proxy, l->client, answer);
    case BAD_THROTTLE: return send_slowly(l, answer, fault.bytes_per_s);
    case BAD_CORRUPT:
        for (size_t i = 3; i < whole; i += 16)
            answer->body.data[i] ^= 0x40;
        return send_message(proxy, l->client, answer);
    case BAD_RESET_BODY:
    case BAD_TRUNCATE:
    case BAD_STALL_BODY:
        answer->body.len = whole / 2;
        if (send_message(proxy, l->client, answer) && fault.kind == BAD_STALL_BODY)
            (void)pause_ms(proxy, FOR_EVER);
        if (fault.kind == BAD_RESET_BODY) {
            (void)pause_ms(proxy, 20); /* a reset overtakes what was sent just before */
            close_with_reset(&l->client);
        }
        return false;
    default: return send_message(proxy, l->client, answer);
    }
}

/* One request. False: the connection is over. */
static bool serve_one(link_state *l)
{
    bad_proxy *proxy = l->proxy;
    message request = {0}, answer = {0};
    vx_buf own = {0};
    bool goes_on = false;
    if (read_message(proxy, l->client, &request)) {
        const bad_fault fault = draw(proxy, &request, &own);
        const bool resets = fault.kind == BAD_RESET_KEPT && l->n_answered > 0;
        if (fault.kind == BAD_STALL)
            (void)pause_ms(proxy, FOR_EVER);
        else if (fault.kind == BAD_ANSWER || fault.kind == BAD_ANSWER_ONCE)
            goes_on = send_all(proxy, l->client, own.data, own.len);
        else if (resets)
            close_with_reset(&l->client);
        else if (fault.kind != BAD_DROP && pass(l, &request, &answer))
            goes_on = answer_with(l, &answer, fault);
    }
    l->n_answered++;
    message_done(&request);
    message_done(&answer);
    vx_buf_done(&own);
    return goes_on;
}

static void *serve_connection(void *arg)
{
    link_state *l = arg;
    while (serve_one(l))
        continue;
    raw_close(&l->client);
    raw_close(&l->service);
    free(l);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Counts a connection; true if the fault in force takes none. */
static bool is_refused(bad_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->count.connections++;
    const bool refused = proxy->fault.kind == BAD_REFUSE;
    if (refused)
        proxy->count.struck++;
    pthread_mutex_unlock(&proxy->lock);
    return refused;
}

static void take(bad_proxy *proxy, int client)
{
    link_state *l = proxy->n_threads < MAX_CONNECTIONS ? malloc(sizeof *l) : NULL;
    if (!l || is_refused(proxy)) {
        free(l);
        close_with_reset(&client);
        return;
    }
#ifdef SO_NOSIGPIPE
    setsockopt(client, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    *l = (link_state){.proxy = proxy, .client = client, .service = -1};
    if (pthread_create(&proxy->threads[proxy->n_threads], NULL, serve_connection, l) == 0) {
        proxy->n_threads++;
    } else {
        free(l);
        close_with_reset(&client);
    }
}

static void *take_connections(void *arg)
{
    bad_proxy *proxy = arg;
    while (await(proxy, proxy->listener, POLLIN, FOR_EVER)) {
        const int client = accept(proxy->listener, NULL, NULL);
        if (client >= 0)
            take(proxy, client);
    }
    return NULL;
}

bad_proxy *bad_proxy_start(int to_port, uint64_t seed)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    bad_proxy *proxy = calloc(1, sizeof *proxy);
    if (!proxy)
        fail_msg("out of memory");
    else {
        proxy->to_port = to_port;
        proxy->seed = seed;
        proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
        pthread_mutex_init(&proxy->lock, NULL);
        if (pipe(proxy->stop_pipe) != 0 || proxy->listener < 0 ||
            bind(proxy->listener, (const struct sockaddr *)&at, sizeof at) != 0 || listen(proxy->listener, 128) != 0 ||
            getsockname(proxy->listener, (struct sockaddr *)&at, &len) != 0)
            fail_msg("the proxy cannot listen: %s", strerror(errno));
        proxy->port = ntohs(at.sin_port);
        if (pthread_create(&proxy->acceptor, NULL, take_connections, proxy) != 0)
            fail_msg("no thread for the proxy");
    }
    return proxy;
}

int bad_proxy_port(const bad_proxy *proxy)
{
    return proxy->port;
}

void bad_proxy_set(bad_proxy *proxy, bad_fault fault)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->fault = fault;
    proxy->answer.len = 0;
    const bool ok = !vx_buf_append(&proxy->answer, fault.answer, fault.len);
    pthread_mutex_unlock(&proxy->lock);
    if (!ok)
        fail_msg("out of memory");
}

bad_counts bad_proxy_count(bad_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    const bad_counts count = proxy->count;
    pthread_mutex_unlock(&proxy->lock);
    return count;
}

static vx_buf copy_of(bad_proxy *proxy, const vx_buf *last)
{
    vx_buf copy = {0};
    pthread_mutex_lock(&proxy->lock);
    const bool ok = !vx_buf_append(&copy, last->data, last->len) && !vx_buf_reserve(&copy, 1);
    pthread_mutex_unlock(&proxy->lock);
    if (!ok)
        fail_msg("out of memory");
    else
        copy.data[copy.len] = '\0';
    return copy;
}

vx_buf bad_proxy_last_head(bad_proxy *proxy)
{
    return copy_of(proxy, &proxy->last_head);
}

vx_buf bad_proxy_last_body(bad_proxy *proxy)
{
    return copy_of(proxy, &proxy->last_body);
}

void bad_proxy_stop(bad_proxy *proxy)
{
    if (!proxy)
        return;
    (void)!write(proxy->stop_pipe[1], "", 1); /* never read, so that everybody sees it */
    pthread_join(proxy->acceptor, NULL);
    for (int i = 0; i < proxy->n_threads; i++)
        pthread_join(proxy->threads[i], NULL);
    raw_close(&proxy->listener);
    raw_close(&proxy->stop_pipe[0]);
    raw_close(&proxy->stop_pipe[1]);
    vx_buf_done(&proxy->answer);
    vx_buf_done(&proxy->last_head);
    vx_buf_done(&proxy->last_body);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy);
}

void bad_proxy_make(vx_buf *ret, const char *status, const char *lines, const void *body, size_t len)
{
    if (vx_buf_printf(ret, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, lines, len) ||
        vx_buf_append(ret, body, len))
        fail_msg("out of memory");
}
