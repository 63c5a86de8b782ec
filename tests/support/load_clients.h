/* load_clients.h - many clients at once: each asks, checks the answer, asks again.
 * Owns:   the clients, their requests, the check of every answer, the counts. Does not: start the service.
 */
#ifndef VX_TESTS_LOAD_CLIENTS_H
#define VX_TESTS_LOAD_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/engine/embedding.h"
#include "tests/support/child.h"

enum { LOAD_MAX_SAMPLES = 600 };

/* A recording that clients send, and what must come back. */
typedef struct {
    vx_buf pcm; /* little-endian int16, 16 kHz */
    vx_embedding expected;
} load_clip;

typedef struct {
    int port;
    child *service; /* its memory is watched and its log read; all-zero when it is not ours */
    const load_clip *clips;
    size_t n_clips;
    bool json;       /* base64 in JSON both ways; else bare samples in, bare float32 out */
    bool unique;     /* no two requests alike, so that nothing can come from a cache */
    int clients;     /* 1 .. */
    double until_s;  /* no new request after this; 0: no such limit */
    size_t requests; /* nor after so many; 0: no such limit */
    bool terminate;  /* at the end send SIGTERM to the service instead of waiting for the last answers first */
} load_plan;

typedef struct {
    size_t answered;                 /* 200, and the embedding was right */
    size_t busy;                     /* 429 with Retry-After, which the clients obey */
    size_t wrong;                    /* any other answer, or another embedding */
    size_t failed;                   /* no answer: refused, closed, or not HTTP */
    double seconds;                  /* from the first request to the last answer */
    double *latencies_ms;            /* [answered] in rising order; owned */
    double rss_mb[LOAD_MAX_SAMPLES]; /* of the service, every second; Linux only */
    size_t n_rss;
    char first_fault[160]; /* what the first wrong or failed one was */
    /* With terminate: what became of the requests that were complete on the wire when SIGTERM was sent. */
    size_t in_flight, in_flight_answered, in_flight_refused, in_flight_lost;
} load_result;

/* Resident memory of a process in MB; 0 where the system does not tell (only Linux's /proc is read). */
double load_rss_mb(pid_t pid);
/* Returns when every client has its last answer. False when memory is out; ret must be freed in any case. */
bool load_run(const load_plan *plan, load_result *ret);
void load_result_done(load_result *result);

#endif
