/* gate.h - a door that tasks wait behind, so that a test can look at a pool while its workers are busy. */
#ifndef VX_TESTS_GATE_H
#define VX_TESTS_GATE_H

#include <pthread.h>
#include <stdbool.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool open;
    int n_inside; /* tasks that have arrived */
} gate;

#define GATE_CLOSED                                                                                                    \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER                                           \
    }

/* A task: arg is the gate. */
void wait_at_gate(void *arg, int worker);
/* Returns when n tasks have arrived. */
void await_inside(gate *g, int n);
void open_gate(gate *g);

#endif
