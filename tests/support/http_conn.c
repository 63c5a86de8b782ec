/* http_conn.c - a socket, a request going out, an answer coming in. */
#include "tests/support/http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ANSWER ((size_t)16 << 20)
enum { CHUNK = 16384 };

/* Linux says per call that a broken connection shall not raise SIGPIPE, macOS per socket. */
#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0
#endif

bool http_open(http_conn *c, int port)
{
    const struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#if defined(SO_NOSIGPIPE)
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    /* Connecting blocks: on loopback it is over before it could be polled. */
    if (connect(fd, (const struct sockaddr *)&here, sizeof here) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        const int saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    c->fd = fd;
    c->state = HTTP_READY;
    return true;
}

void http_begin(http_conn *c)
{
    c->sent = 0;
    c->answer.len = 0;
    c->answer.limit = MAX_ANSWER;
    c->head_len = c->body_len = 0;
    c->status = 0;
    c->retry_after_s = -1;
    c->closes = false;
    c->state = HTTP_SENDING;
}

short http_events(const http_conn *c)
{
    /* An answer may come before the request is sent: 413, or a service that shuts down. */
    return (short)(c->state == HTTP_SENDING ? POLLIN | POLLOUT : POLLIN);
}

static void send_more(http_conn *c)
{
    while (c->sent < c->request.len) {
        const ssize_t n = send(c->fd, c->request.data + c->sent, c->request.len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            /* The rest is not wanted; what the service said about it may still be read. */
            if (errno != EAGAIN && errno != EINTR)
                c->state = HTTP_WAITING;
            return;
        }
        c->sent += (size_t)n;
    }
    c->state = HTTP_WAITING;
}

/* The value of a header line, or NULL when the line is of another header. */
static const char *value_of(const char *line, const char *name)
{
    const size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    return line + strspn(line, " \t");
}

/* Reads status and the headers that matter. The head ends with an empty line and is then zero-terminated in place. */
static bool read_head(http_conn *c)
{
    char *head = (char *)c->answer.data, *line = head, *value_end;
    bool has_length = false;
    head[c->head_len - 1] = '\0';
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        return false;
    c->status = atoi(head + 9);
    while ((line = strchr(line, '\n')) != NULL) {
        const char *value;
        line++;
        if ((value = value_of(line, "Content-Length"))) {
            c->body_len = strtoul(value, &value_end, 10);
            has_length = value_end != value && c->body_len <= MAX_ANSWER;
        } else if ((value = value_of(line, "Retry-After"))) {
            c->retry_after_s = atoi(value);
        } else if ((value = value_of(line, "Connection"))) {
            c->closes = strncasecmp(value, "close", 5) == 0;
        }
    }
    return has_length;
}

static size_t find_head_end(const vx_buf *answer)
{
    for (size_t i = 3; i < answer->len; i++)
        if (memcmp(answer->data + i - 3, "\r\n\r\n", 4) == 0)
            return i + 1;
    return 0;
}

static void read_more(http_conn *c)
{
    while (c->state == HTTP_SENDING || c->state == HTTP_WAITING) {
        if (vx_buf_reserve(&c->answer, CHUNK)) {
            c->state = HTTP_BROKEN;
            return;
        }
        const ssize_t n = recv(c->fd, c->answer.data + c->answer.len, CHUNK, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            c->state = HTTP_BROKEN;
            return;
        }
        c->answer.len += (size_t)n;
        if (c->head_len == 0 && (c->head_len = find_head_end(&c->answer)) > 0 && !read_head(c))
            c->state = HTTP_BROKEN;
        else if (c->head_len > 0 && c->answer.len >= c->head_len + c->body_len)
            c->state = c->answer.len == c->head_len + c->body_len ? HTTP_ANSWERED : HTTP_BROKEN;
    }
}

void http_advance(http_conn *c)
{
    if (c->state == HTTP_SENDING)
        send_more(c);
    read_more(c);
}

void http_next(http_conn *c)
{
    if (c->closes || c->sent < c->request.len)
        http_close(c);
    else
        c->state = HTTP_READY;
}

void http_close(http_conn *c)
{
    if (c->state != HTTP_CLOSED)
        close(c->fd);
    c->state = HTTP_CLOSED;
}

void http_done(http_conn *c)
{
    http_close(c);
    vx_buf_done(&c->request);
    vx_buf_wipe_done(&c->answer);
}
