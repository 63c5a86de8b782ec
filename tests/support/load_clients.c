/* load_clients.c - one thread, one poll, any number of connections. */
#include "tests/support/load_clients.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/base64.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"
#include "tests/support/http_conn.h"
#include "tests/support/stats.h"

/* The marked samples of a unique clip carry its number in their lowest bits. 24 samples are 48 bytes, whole groups of
 * base64. */
enum { MARK_SAMPLES = 24, MARK_BYTES = 2 * MARK_SAMPLES };
enum { POLL_MS = 20, PACED_POLL_MS = 1, RETRY_MS = 100, GRACE_S = 60 };
/* The same samples give the same embedding to rounding; marks are 90 dB below the voice. */
#define COSINE_EXACT  0.999999
#define COSINE_MARKED 0.9995

typedef struct {
    http_conn conn;
    const load_clip *clip;
    bool marked; /* its request is like no other */
    uint64_t begun_ns, resume_ns;
    bool was_in_flight; /* complete on the wire when the service got its signal */
} client;

typedef struct {
    const load_plan *plan;
    load_result *result;
    client *clients;
    struct pollfd *fds;
    load_crowd *crowd; /* NULL: none */
    uint64_t start_ns, next_rss_ns;
    bool ending, no_memory;
} load;

double load_rss_mb(pid_t pid)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void fault(load *l, size_t *count, const char *what, int status)
{
    if (l->result->first_fault[0] == '\0')
        snprintf(l->result->first_fault, sizeof l->result->first_fault, "%s (status %d)", what, status);
    ++*count;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static vx_err append_marked(vx_buf *out, const vx_buf *pcm, size_t number, bool base64)
{
    uint8_t marked[MARK_BYTES];
    memcpy(marked, pcm->data, sizeof marked);
    for (size_t i = 0; i < MARK_SAMPLES; i++)
        marked[2 * i] = (uint8_t)(marked[2 * i] ^ ((number >> i) & 1));
    if (!base64) {
        const vx_err err = vx_buf_append(out, marked, sizeof marked);
        return err ? err : vx_buf_append(out, pcm->data + MARK_BYTES, pcm->len - MARK_BYTES);
    }
    const size_t len = vx_base64_encoded_len(pcm->len);
    const vx_err err = vx_buf_reserve(out, len + 1);
    if (err)
        return err;
    char *text = (char *)out->data + out->len;
    vx_base64_encode(marked, MARK_BYTES, text);
    vx_base64_encode(pcm->data + MARK_BYTES, pcm->len - MARK_BYTES, text + vx_base64_encoded_len(MARK_BYTES));
    out->len += len;
    return VX_OK;
}

/* mark: 0 for the clip as it is, else a number that no other request carries. */
static vx_err compose(const load_plan *plan, const load_clip *clip, size_t mark, vx_buf *out)
{
    static const char before[] = "{\"audio_data\":\"", after[] = "\",\"format\":\"int16\",\"sample_rate\":16000}";
    vx_err err;
    out->len = 0;
    if (!plan->json) {
        err = vx_buf_printf(out,
                            "POST /api/ml/speaker_embedding?format=int16&sample_rate=16000 HTTP/1.1\r\n"
                            "Host: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
                            "Accept: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                            clip->pcm.len);
        return err ? err : append_marked(out, &clip->pcm, mark, false);
    }
    err = vx_buf_printf(out,
                        "POST /api/ml/speaker_embedding HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        sizeof before - 1 + vx_base64_encoded_len(clip->pcm.len) + sizeof after - 1, before);
    if (!err)
        err = append_marked(out, &clip->pcm, mark, true);
    return err ? err : vx_buf_append(out, after, sizeof after - 1);
}

static bool may_begin(const load *l)
{
    return !l->ending && !(l->plan->requests && l->result->begun >= l->plan->requests);
}

/* The pace counts from the start, so that what a stall held up is made up for: arrivals do not wait for the service. */
static bool is_early(const load *l, const client *c)
{
    return vx_now_ns() < c->resume_ns ||
           (l->plan->per_second > 0 &&
            (double)l->result->begun >= l->plan->per_second * vx_ms_since(l->start_ns) / 1e3);
}

/* So many of every hundred, spread evenly. */
static bool is_repeat(const load_plan *plan, size_t number)
{
    return number * (size_t)plan->repeated % 100 < (size_t)plan->repeated;
}

static void begin(load *l, client *c)
{
    const size_t number = l->result->begun;
    if (is_early(l, c))
        return;
    if (c->conn.state == HTTP_CLOSED && !http_open(&c->conn, l->plan->port)) {
        fault(l, &l->result->failed, "connection refused", 0);
        c->resume_ns = vx_now_ns() + RETRY_MS * 1000000ull;
        return;
    }
    c->clip = &l->plan->clips[number % l->plan->n_clips];
    c->marked = !is_repeat(l->plan, number);
    if (compose(l->plan, c->clip, c->marked ? number + 1 : 0, &c->conn.request)) {
        l->no_memory = true;
        return;
    }
    l->result->begun++;
    l->result->asking_s = vx_ms_since(l->start_ns) / 1e3;
    c->begun_ns = vx_now_ns();
    http_begin(&c->conn);
    http_advance(&c->conn);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static bool read_embedding(const load_plan *plan, const http_conn *conn, const vx_embedding *like, vx_embedding *ret)
{
    const size_t dim = (size_t)like->dim;
    *ret = (vx_embedding){.model = like->model, .dim = like->dim};
    if (!plan->json) {
        for (size_t i = 0; i < dim && conn->body_len == 4 * dim; i++) {
            const uint32_t bits = vx_le32((const uint8_t *)http_body(conn) + 4 * i);
            memcpy(&ret->values[i], &bits, sizeof bits);
        }
        return conn->body_len == 4 * dim;
    }
    const vx_json_limits limits = {.max_depth = 8, .max_values = 2 * VX_EMBEDDING_MAX_DIM};
    json_t *root = NULL;
    const bool ok = vx_json_parse(http_body(conn), conn->body_len, limits, &root, NULL) == VX_OK &&
                    vx_json_floats(json_object_get(root, "embedding"), "embedding", dim, ret->values, NULL) == VX_OK;
    json_decref(root);
    return ok;
}

static bool is_right(const load *l, const client *c)
{
    vx_embedding got;
    const double rounding = c->marked ? COSINE_MARKED : COSINE_EXACT;
    double cosine = -1;
    const bool right = read_embedding(l->plan, &c->conn, &c->clip->expected, &got) &&
                       vx_embedding_cosine(&got, &c->clip->expected, &cosine) == VX_OK &&
                       cosine >= (l->plan->cosine_min > 0 ? l->plan->cosine_min : rounding);
    vx_embedding_wipe(&got);
    return right;
}

static void note(load *l, load_times *times, double ms)
{
    if (times->n == times->cap) {
        const size_t cap = times->cap ? 2 * times->cap : 1024;
        double *grown = realloc(times->ms, cap * sizeof *grown);
        if (!grown) {
            l->no_memory = true;
            return;
        }
        times->ms = grown;
        times->cap = cap;
    }
    times->ms[times->n++] = ms;
}

static void take_answer(load *l, client *c)
{
    load_result *r = l->result;
    const double ms = vx_ms_since(c->begun_ns);
    const int status = c->conn.status;
    if (status == 200 && is_right(l, c)) {
        note(l, &r->answers, ms);
        r->seconds = vx_ms_since(l->start_ns) / 1e3;
        r->in_flight_answered += c->was_in_flight;
    } else if (status == 429 && c->conn.retry_after_s > 0) {
        note(l, &r->refusals, ms);
        if (!l->plan->impatient)
            c->resume_ns = vx_now_ns() + (uint64_t)c->conn.retry_after_s * 1000000000u;
        r->in_flight_refused += c->was_in_flight;
    } else if (status == 503 && l->ending && l->plan->end_signal) {
        r->in_flight_refused += c->was_in_flight;
    } else {
        fault(l, &r->wrong, status == 200 ? "another embedding than expected" : "unexpected status", status);
    }
    http_next(&c->conn);
}

static void take_break(load *l, client *c)
{
    load_result *r = l->result;
    const bool signalled = l->ending && l->plan->end_signal;
    if (c->was_in_flight)
        r->in_flight_lost++;
    /* A request that was still on its way when the service was told to stop may be refused by closing; killed, it
     * keeps none. */
    if (!signalled || (c->was_in_flight && l->plan->end_signal != SIGKILL))
        fault(l, &r->failed, "connection closed before the answer", c->conn.status);
    http_close(&c->conn);
}

static void settle(load *l, client *c)
{
    if (c->conn.state == HTTP_ANSWERED)
        take_answer(l, c);
    else if (c->conn.state == HTTP_BROKEN)
        take_break(l, c);
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static bool is_busy(const client *c)
{
    return c->conn.state == HTTP_SENDING || c->conn.state == HTTP_WAITING;
}

static void end(load *l)
{
    l->ending = true;
    if (!l->plan->end_signal || l->plan->service->pid == 0)
        return;
    for (int i = 0; i < l->plan->clients; i++) {
        client *c = &l->clients[i];
        /* What has come in the meantime is an answer, not in flight. */
        http_advance(&c->conn);
        settle(l, c);
        c->was_in_flight = c->conn.state == HTTP_WAITING;
        l->result->in_flight += c->was_in_flight;
    }
    kill(l->plan->service->pid, l->plan->end_signal);
}

static void watch(load *l)
{
    load_result *r = l->result;
    child *service = l->plan->service;
    if (service->pid == 0)
        return;
    child_ignore(service);
    const uint64_t now = vx_now_ns();
    if (now < l->next_rss_ns || l->ending || r->n_rss == LOAD_MAX_SAMPLES)
        return;
    r->rss_mb[r->n_rss++] = load_rss_mb(service->pid);
    l->next_rss_ns = now + 1000000000u;
}

/* One wait for whatever comes first. Returns how many clients wait for an answer. */
static int turn(load *l)
{
    const int n = l->plan->clients;
    int busy = 0;
    for (int i = 0; i < n; i++) {
        client *c = &l->clients[i];
        if (!is_busy(c) && may_begin(l))
            begin(l, c);
        settle(l, c);
        busy += is_busy(c);
        l->fds[i] = (struct pollfd){.fd = is_busy(c) ? c->conn.fd : -1, .events = http_events(&c->conn)};
    }
    if (busy == 0 && !may_begin(l))
        return 0;
    if (l->crowd)
        load_crowd_tend(l->crowd);
    /* The service's log, so that it never waits for its reader. */
    l->fds[n] = (struct pollfd){.fd = l->plan->service->pid ? l->plan->service->from : -1, .events = POLLIN};
    poll(l->fds, (nfds_t)n + 1, l->plan->per_second > 0 ? PACED_POLL_MS : POLL_MS);
    for (int i = 0; i < n; i++) {
        if (l->fds[i].revents == 0)
            continue;
        http_advance(&l->clients[i].conn);
        settle(l, &l->clients[i]);
    }
    return busy;
}

static bool create(load *l)
{
    const load_plan *plan = l->plan;
    const size_t n = (size_t)plan->clients;
    l->clients = calloc(n, sizeof *l->clients);
    l->fds = calloc(n + 1, sizeof *l->fds);
    if (plan->n_silent + plan->n_slow > 0)
        l->crowd = load_crowd_create(plan->port, plan->n_silent, plan->n_slow);
    return l->clients && l->fds && (l->crowd || plan->n_silent + plan->n_slow == 0);
}

static void destroy(load *l)
{
    for (int i = 0; l->clients && i < l->plan->clients; i++) {
        if (is_busy(&l->clients[i]))
            take_break(l, &l->clients[i]);
        http_done(&l->clients[i].conn);
    }
    if (l->crowd)
        load_crowd_get(l->crowd, &l->result->silent, &l->result->slow);
    load_crowd_destroy(l->crowd);
    free(l->clients);
    free(l->fds);
}

bool load_run(const load_plan *plan, load_result *ret)
{
    *ret = (load_result){0};
    load l = {.plan = plan, .result = ret};
    l.no_memory = !create(&l);
    l.start_ns = vx_now_ns();
    int busy = 1;
    while (!l.no_memory && (busy > 0 || may_begin(&l))) {
        const double seconds = vx_ms_since(l.start_ns) / 1e3;
        const bool is_over =
            (plan->until_s > 0 && seconds >= plan->until_s) || (plan->requests && ret->begun >= plan->requests);
        if (is_over && !l.ending)
            end(&l);
        if (seconds > plan->until_s + GRACE_S)
            break;
        busy = turn(&l);
        watch(&l);
    }
    destroy(&l);
    stats_sort(ret->answers.ms, ret->answers.n);
    stats_sort(ret->refusals.ms, ret->refusals.n);
    return !l.no_memory;
}

void load_result_done(load_result *result)
{
    free(result->answers.ms);
    free(result->refusals.ms);
    *result = (load_result){0};
}
