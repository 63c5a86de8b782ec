/* load_crowd.h - connections that ask nothing: silent ones, and slow ones that send a request a byte at a time.
 * Owns:   their sockets, the dribble, the count of what the service cut off. Does not: judge; to be cut off is right.
 */
#ifndef VX_TESTS_LOAD_CROWD_H
#define VX_TESTS_LOAD_CROWD_H

#include <stddef.h>

typedef struct {
    size_t open;    /* connections now */
    size_t cut_off; /* closed by the service; each is opened anew, so that the crowd stays as large */
    size_t told;    /* of these, with an answer first: 408 */
} load_crowd_count;

typedef struct load_crowd load_crowd;

/* NULL when memory is out. The connections are opened by the first calls of load_crowd_tend. */
load_crowd *load_crowd_create(int port, size_t n_silent, size_t n_slow);
/* Call it often: it does what is due, which is each connection once in 500 ms, and does not wait. */
void load_crowd_tend(load_crowd *crowd);
void load_crowd_get(const load_crowd *crowd, load_crowd_count *ret_silent, load_crowd_count *ret_slow);
/* Closes all. NULL is fine. */
void load_crowd_destroy(load_crowd *crowd);

#endif
