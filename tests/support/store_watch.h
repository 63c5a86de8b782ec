/* store_watch.h - what a store does, counted where SQLite does it: rows read, and how long others are kept out.
 * Owns:   the connection's one trace. Does not: judge. A store is watched by one of these at a time.
 */
#ifndef VX_TESTS_STORE_WATCH_H
#define VX_TESTS_STORE_WATCH_H

#include <stdint.h>

#include "edge/store/store.h"

typedef struct {
    int n; /* rows that statements gave */
} store_rows;
/* Counts into *rows from now on; NULL: no more. */
void store_count(vx_store *store, store_rows *rows);

typedef struct {
    int n;            /* transactions that write */
    uint64_t most_ns; /* CPU time in the longest */
    uint64_t begun_ns;
} store_held;
/* Measures into *held from now on; NULL: no more. */
void store_watch(vx_store *store, store_held *held);

#endif
