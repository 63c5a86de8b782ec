/* load_clients.h - many clients at once: each asks, checks the answer, asks again.
 * Owns:   the clients, their requests, the check of every answer, the counts. Does not: start the service.
 */
#ifndef VX_TESTS_LOAD_CLIENTS_H
#define VX_TESTS_LOAD_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/engine/embedding.h"
#include "tests/support/child.h"
#include "tests/support/load_crowd.h"

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
    bool json;               /* base64 in JSON both ways; else bare samples in, bare float32 out */
    int repeated;            /* percent of the requests that ask for one of the clips; no two of the others alike */
    int clients;             /* 1 .. */
    double per_second;       /* requests that all clients together may begin; 0: each as soon as it can */
    bool impatient;          /* do not wait as long as Retry-After says */
    size_t n_silent, n_slow; /* the crowd beside the clients */
    double cosine_min;       /* that an embedding must have with the expected one; 0: what rounding leaves */
    double until_s;          /* no new request after this; 0: no such limit */
    size_t requests;         /* nor after so many; 0: no such limit */
    /* SIGTERM or SIGKILL: sent to the service at the end, instead of waiting for the last answers first; 0: none. */
    int end_signal;
} load_plan;

/* Milliseconds; in rising order once load_run has returned. */
typedef struct {
    double *ms; /* [n], owned */
    size_t n, cap;
} load_times;

typedef struct {
    load_times answers;              /* 200, and the embedding was right */
    load_times refusals;             /* 429 with Retry-After */
    size_t begun;                    /* requests */
    size_t wrong;                    /* any other answer, or another embedding */
    size_t failed;                   /* no answer: refused, closed, or not HTTP */
    double seconds;                  /* from the first request to the last answer */
    double asking_s;                 /* from the first request to when the last one began */
    double rss_mb[LOAD_MAX_SAMPLES]; /* of the service, every second; Linux only */
    size_t n_rss;
    load_crowd_count silent, slow; /* at the end */
    char first_fault[160];         /* what the first wrong or failed one was */
    /* With a signal: what became of the requests that were complete on the wire when it was sent. */
    size_t in_flight, in_flight_answered, in_flight_refused, in_flight_lost;
} load_result;

/* Resident memory of a process in MB; 0 where the system does not tell (only Linux's /proc is read). */
double load_rss_mb(pid_t pid);
/* Returns when every client has its last answer. False when memory is out; ret must be freed in any case. */
bool load_run(const load_plan *plan, load_result *ret);
void load_result_done(load_result *result);

#endif
