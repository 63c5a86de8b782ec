/* keyring_call.c - one question to a keyring that may never answer.
 * Owns:   the thread that asks, and what becomes of a late answer. Does not: know keyrings.
 *
 * A bus that accepts and stays silent, a daemon that waits for a window nobody sees: neither libsecret nor Keychain can be
 * relied on to give up. So the caller does, and the thread, detached, frees what it holds whenever it comes back.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/store/keyring_private.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/cond.h"

typedef struct {
    const vx_keyring_backend *backend;
    vx_keyring_verb verb;
    char key_id[VX_KEY_ID_CAP];
    char secret[VX_KEYRING_TEXT_CAP]; /* the thread's alone until done */
    char why[VX_KEYRING_WHY_CAP];
    vx_err err;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;      /* by lock */
    bool abandoned; /* by lock: nobody waits; the thread frees */
} question;

static void question_free(question *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    vx_wipe(q, sizeof *q);
    free(q);
}

static void *ask(void *arg)
{
    question *q = arg;
    switch (q->verb) {
    case VX_KEYRING_GET: q->err = q->backend->get(q->key_id, q->secret, q->why); break;
    case VX_KEYRING_PUT: q->err = q->backend->put(q->key_id, q->secret, q->why); break;
    case VX_KEYRING_DROP: q->err = q->backend->drop(q->key_id, q->why); break;
    }
    pthread_mutex_lock(&q->lock);
    q->done = true;
    bool abandoned = q->abandoned;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (abandoned)
        question_free(q);
    return NULL;
}

/* Signals are the program's: none is to be handled on a thread that may hang in a library. */
static int start_thread(question *q)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&thread, NULL, ask, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0)
        pthread_detach(thread);
    return status;
}

/* False when the time is over; the question then belongs to its thread. */
static bool await(question *q, uint64_t due_ns)
{
    pthread_mutex_lock(&q->lock);
    bool in_time = true;
    while (!q->done && in_time)
        in_time = vx_cond_wait_until(&q->changed, &q->lock, due_ns);
    bool done = q->done;
    q->abandoned = !done;
    pthread_mutex_unlock(&q->lock);
    return done;
}

vx_err vx_keyring_call(const vx_keyring_backend *backend, vx_keyring_verb verb, const char *key_id, uint64_t due_ns,
                       char *secret, size_t cap, char ret_why[VX_KEYRING_WHY_CAP])
{
    question *q = calloc(1, sizeof *q);
    if (!q)
        return VX_ERR_NOMEM;
    if (!vx_cond_init(&q->changed)) {
        free(q);
        return VX_ERR_NOMEM;
    }
    pthread_mutex_init(&q->lock, NULL);
    q->backend = backend;
    q->verb = verb;
    snprintf(q->key_id, sizeof q->key_id, "%s", key_id);
    if (verb == VX_KEYRING_PUT)
        snprintf(q->secret, sizeof q->secret, "%s", secret);

    if (start_thread(q) != 0) {
        question_free(q);
        return VX_ERR_NOMEM;
    }
    if (!await(q, due_ns)) {
        snprintf(ret_why, VX_KEYRING_WHY_CAP, "it does not answer");
        return VX_ERR_DEADLINE;
    }
    vx_err err = q->err;
    if (err == VX_OK && verb == VX_KEYRING_GET)
        snprintf(secret, cap, "%s", strlen(q->secret) < cap ? q->secret : "");
    if (err != VX_OK)
        memcpy(ret_why, q->why, sizeof q->why);
    question_free(q);
    return err;
}
