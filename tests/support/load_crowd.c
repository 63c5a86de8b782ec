/* load_crowd.c - a ring of sockets, each looked at once in a period. */
#include "tests/support/load_crowd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/base/clock.h"
#include "tests/support/http_conn.h"

enum { PERIOD_MS = 500, MAX_PER_TURN = 64 };

#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0 /* macOS: http_open asks for it per socket */
#endif

static const char request_head[] = "POST /api/ml/speaker_embedding HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n";

typedef struct {
    http_conn conn;
    size_t sent;
    bool told;
} member;

struct load_crowd {
    int port;
    size_t n, n_silent; /* the silent ones come first */
    member *members;    /* [n] */
    uint64_t start_ns, turns;
    load_crowd_count silent, slow;
};

load_crowd *load_crowd_create(int port, size_t n_silent, size_t n_slow)
{
    load_crowd *crowd = calloc(1, sizeof *crowd);
    if (!crowd)
        return NULL;
    crowd->port = port;
    crowd->n_silent = n_silent;
    crowd->n = n_silent + n_slow;
    crowd->members = calloc(crowd->n + 1, sizeof *crowd->members);
    crowd->start_ns = vx_now_ns();
    if (crowd->members)
        return crowd;
    free(crowd);
    return NULL;
}

/* Half of the slow ones stall in the head, the other half in the body: a service has a timeout for each. */
static bool dribble(member *m, size_t index)
{
    const size_t head_len = sizeof request_head - 1;
    const bool head_at_once = index % 2 == 1 && m->sent == 0;
    const char *next = m->sent < head_len ? request_head + m->sent : " ";
    const ssize_t n = send(m->conn.fd, next, head_at_once ? head_len : 1, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    m->sent += (size_t)n;
    return true;
}

/* False at the end of the connection. */
static bool listen_to(member *m)
{
    char said[1024];
    ssize_t n;
    while ((n = recv(m->conn.fd, said, sizeof said, 0)) > 0)
        m->told |= n > 12 && memcmp(said, "HTTP/1.1 408", 12) == 0;
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void tend(load_crowd *crowd, size_t index)
{
    member *m = &crowd->members[index];
    const bool slow = index >= crowd->n_silent;
    load_crowd_count *count = slow ? &crowd->slow : &crowd->silent;
    if (m->conn.state == HTTP_CLOSED) {
        if (!http_open(&m->conn, crowd->port))
            return;
        m->sent = 0;
        m->told = false;
        count->open++;
    }
    if (listen_to(m) && (!slow || dribble(m, index)))
        return;
    http_close(&m->conn);
    count->open--;
    count->cut_off++;
    count->told += m->told;
}

void load_crowd_tend(load_crowd *crowd)
{
    const uint64_t period_ns = (uint64_t)PERIOD_MS * 1000000u;
    /* Spread over the period, and never many at once: the clients that are measured share this thread. */
    const uint64_t due = (vx_now_ns() - crowd->start_ns) * crowd->n / period_ns;
    for (int i = 0; i < MAX_PER_TURN && crowd->turns < due; i++)
        tend(crowd, (size_t)(crowd->turns++ % crowd->n));
}

void load_crowd_get(const load_crowd *crowd, load_crowd_count *ret_silent, load_crowd_count *ret_slow)
{
    *ret_silent = crowd->silent;
    *ret_slow = crowd->slow;
}

void load_crowd_destroy(load_crowd *crowd)
{
    if (!crowd)
        return;
    for (size_t i = 0; i < crowd->n; i++)
        http_done(&crowd->members[i].conn);
    free(crowd->members);
    free(crowd);
}
