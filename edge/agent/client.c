/* client.c - one question on one connection, in steps of at most 100 ms. */
#include "edge/agent/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "edge/agent/peer.h"
#include "edge/agent/request.h"
#include "shared/base/clock.h"

enum { STEP_MS = 100, RETRY_MS = 20, MARGIN_MS = 250, REQUEST_CAP = 160 };

typedef struct {
    const vx_agent_question *q;
    vx_errinfo *info;
    int fd;
    size_t len; /* of what has come and is no whole line yet */
    char line[VX_AGENT_LINE_CAP];
} talk;

/* Milliseconds until the deadline, rounded up, so that what is left is never waited for without waiting. */
static int left_ms(const talk *t)
{
    const uint64_t now = vx_now_ns(), due = t->q->deadline_ns;
    if (now >= due)
        return 0;
    const uint64_t ms = (due - now + 999999u) / 1000000u;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* Waits until the socket is ready or a step has passed. Errors: DEADLINE, CLOSED, IO. */
static vx_err wait_step(const talk *t, short events, int step_ms)
{
    const int left = left_ms(t);
    if (left == 0)
        return vx_errinfo_set(t->info, VX_ERR_DEADLINE, "the agent did not answer in time");
    if (t->q->give_up && t->q->give_up(t->q->arg))
        return vx_errinfo_set(t->info, VX_ERR_CLOSED, "nobody waits for the answer any more");
    struct pollfd p = {.fd = t->fd, .events = events};
    if (poll(&p, events ? 1 : 0, left < step_ms ? left : step_ms) < 0 && errno != EINTR)
        return vx_errinfo_set(t->info, VX_ERR_IO, "waiting for the agent failed: %s", strerror(errno));
    return VX_OK;
}

/* ---- the connection --------------------------------------------------------------------------------------------- */

static vx_err no_agent(const talk *t, int reason)
{
    switch (reason) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return vx_errinfo_set_at(t->info, VX_ERR_NOT_FOUND, t->q->socket_path, -1, 0,
                                 "no agent runs here; voxlock agent install starts one");
    case EACCES:
    case EPERM:
        return vx_errinfo_set_at(t->info, VX_ERR_PERMISSION, t->q->socket_path, -1, 0,
                                 "it is not for this user to ask this agent");
    default:
        return vx_errinfo_set_at(t->info, VX_ERR_IO, t->q->socket_path, -1, 0, "cannot connect: %s", strerror(reason));
    }
}

/* A socket of which the queue of waiting connections is full says EAGAIN and is never ready for poll. */
static vx_err connect_to(talk *t)
{
    struct sockaddr_un at;
    uid_t who;
    vx_err err = VX_OK;
    if (!vx_peer_address(t->q->socket_path, &at))
        return vx_errinfo_set_at(t->info, VX_ERR_RANGE, t->q->socket_path, -1, 0, "the path is too long for a socket");
    while (connect(t->fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        const int reason = errno;
        if (reason == EISCONN)
            break;
        if (reason != EAGAIN && reason != EINTR && reason != EINPROGRESS && reason != EALREADY)
            return no_agent(t, reason);
        err = wait_step(t, 0, RETRY_MS);
        if (err != VX_OK)
            return err;
    }
    /* Whoever could write to the folder could listen there: what counts is who does. */
    if (!vx_peer_uid(t->fd, &who) || who != t->q->owner)
        return vx_errinfo_set_at(t->info, VX_ERR_PERMISSION, t->q->socket_path, -1, 0,
                                 "the agent there is another user's");
    return VX_OK;
}

/* ---- question and answer ---------------------------------------------------------------------------------------- */

/* An agent that has hung up may have said why before: what it said is still to be heard, and its silence is the error. */
static vx_err send_all(const talk *t, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t n = send(t->fd, text, len, VX_PEER_SEND);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return VX_OK;
        const vx_err err = wait_step(t, POLLOUT, STEP_MS);
        if (err != VX_OK)
            return err;
    }
    return VX_OK;
}

/* The agent is given less, so that what it says at its own deadline still comes before ours; but no less, and no more,
 * than it takes. */
static int agents_ms(const talk *t)
{
    const int left = left_ms(t), margin = left / 4 < MARGIN_MS ? left / 4 : MARGIN_MS, ms = left - margin;
    return ms < VX_AGENT_LEAST_MS ? VX_AGENT_LEAST_MS : ms > VX_AGENT_MOST_MS ? VX_AGENT_MOST_MS : ms;
}

static vx_err send_question(const talk *t)
{
    char text[REQUEST_CAP];
    const int n = t->q->purpose ? snprintf(text, sizeof text, "{\"op\":\"%s\",\"purpose\":\"%s\",\"timeout_ms\":%d}\n",
                                           t->q->op, t->q->purpose, agents_ms(t))
                                : snprintf(text, sizeof text, "{\"op\":\"%s\"}\n", t->q->op);
    if (n < 0 || (size_t)n >= sizeof text)
        return VX_ERR_ARG;
    return send_all(t, text, (size_t)n);
}

/* The agent's code for the few that a caller treats in its own way. */
static vx_err told_error(const talk *t, const char *object, size_t len)
{
    static const vx_err known[] = {VX_ERR_BUSY,   VX_ERR_DEADLINE,   VX_ERR_PERMISSION,
                                   VX_ERR_CLOSED, VX_ERR_JSON_FIELD, VX_ERR_NOMEM};
    char code[64] = "", sentence[VX_AGENT_SENTENCE_CAP] = "";
    (void)vx_agent_reply_field(object, len, "code", code, sizeof code);
    (void)vx_agent_reply_field(object, len, "sentence", sentence, sizeof sentence);
    vx_err err = VX_ERR_INTERNAL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(code, vx_err_code(known[i])) == 0)
            err = known[i];
    return vx_errinfo_set(t->info, err, "%s", sentence[0] ? sentence : "the agent could not answer");
}

/* One line. *ret_done: it was the last, and ret is filled when it is an answer. */
static vx_err hear(const talk *t, const char *line, size_t len, bool *ret_done, vx_agent_answer *ret)
{
    char sentence[VX_AGENT_SENTENCE_CAP];
    const char *value = NULL;
    size_t n = 0;
    switch (vx_agent_reply_kind(line, len, &value, &n)) {
    case VX_REPLY_SAY:
        if (t->q->say && vx_agent_reply_text(value, n, sentence, sizeof sentence))
            t->q->say(t->q->arg, sentence);
        return VX_OK;
    case VX_REPLY_ANSWER:
        *ret_done = true;
        memcpy(ret->json, value, n);
        ret->json[n] = '\0';
        ret->len = n;
        return VX_OK;
    case VX_REPLY_ERROR: return told_error(t, value, n);
    default: return vx_errinfo_set(t->info, VX_ERR_JSON_SYNTAX, "the agent's answer cannot be understood");
    }
}

/* All whole lines that have come; what is left moves to the front. */
static vx_err hear_lines(talk *t, bool *ret_done, vx_agent_answer *ret)
{
    size_t from = 0;
    vx_err err = VX_OK;
    while (err == VX_OK && !*ret_done) {
        const char *stop = memchr(t->line + from, '\n', t->len - from);
        if (!stop)
            break;
        const size_t to = (size_t)(stop - t->line);
        err = hear(t, t->line + from, to - from, ret_done, ret);
        from = to + 1;
    }
    memmove(t->line, t->line + from, t->len - from);
    t->len -= from;
    if (err == VX_OK && t->len == sizeof t->line)
        err = vx_errinfo_set(t->info, VX_ERR_JSON_SYNTAX, "the agent's answer is too long");
    return err;
}

static vx_err hear_answer(talk *t, vx_agent_answer *ret)
{
    bool done = false;
    vx_err err = VX_OK;
    while (err == VX_OK && !done) {
        err = wait_step(t, POLLIN, STEP_MS);
        if (err != VX_OK)
            break;
        const ssize_t n = recv(t->fd, t->line + t->len, sizeof t->line - t->len, 0);
        if (n > 0) {
            t->len += (size_t)n;
            err = hear_lines(t, &done, ret);
        } else if (n == 0)
            err = vx_errinfo_set(t->info, VX_ERR_IO, "the agent hung up without an answer");
        else if (errno != EAGAIN && errno != EINTR)
            err = vx_errinfo_set(t->info, VX_ERR_IO, "the agent hung up: %s", strerror(errno));
    }
    return err;
}

vx_err vx_agent_ask(const vx_agent_question *question, vx_agent_answer *ret_answer, vx_errinfo *info)
{
    talk t = {.q = question, .info = info, .fd = socket(AF_UNIX, SOCK_STREAM, 0)};
    if (t.fd < 0)
        return vx_errinfo_set(info, VX_ERR_IO, "no socket can be had: %s", strerror(errno));
    vx_err err = vx_peer_prepare(t.fd) ? connect_to(&t) : vx_errinfo_set(info, VX_ERR_IO, "a socket cannot be set up");
    if (err == VX_OK)
        err = send_question(&t);
    if (err == VX_OK)
        err = hear_answer(&t, ret_answer);
    close(t.fd);
    return err;
}
