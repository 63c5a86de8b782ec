/* watchdog.c - slow clients. */
#include "cloud/watchdog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "cloud/problem.h"
#include "shared/base/clock.h"
#include "shared/base/cond.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: the program ignores SIGPIPE */
#endif

/* Lock order: this lock is taken last, and nothing is called under it but send and shutdown on sockets that never
 * block. The I/O thread takes it for a moment per request. */
struct vx_watchdog {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    uint64_t limit_ns[VX_WATCH_LISTS];
    /* All entries of a list have the same time limit, so that order of entry is order of expiry and only the first
     * needs a look. head.next is the oldest. Guarded by lock. */
    vx_watch head[VX_WATCH_LISTS];
    uint64_t wakes_ns; /* until when the thread sleeps; guarded by lock */
    bool stop;         /* guarded by lock */
};

/* An entry on no list is a ring of its own, so that taking it off again changes nothing. */
static void unlink_watch(vx_watch *watch)
{
    watch->prev->next = watch->next;
    watch->next->prev = watch->prev;
    watch->prev = watch->next = watch;
    watch->list = VX_WATCH_NONE;
}

/* The library sits in the middle of reading a body and has nothing to send, so the whole answer can be written past
 * it. If the socket buffer is full, the client is not reading either, and is cut off without an answer. */
static void answer_slow(const vx_watch *watch)
{
    vx_reply reply = {0};
    vx_problem_fault(&reply, watch->request_id, VX_FAULT_SLOW_BODY, NULL);
    vx_buf out = {0};
    vx_err err = vx_buf_printf(&out,
                               "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\n"
                               "Content-Length: %zu\r\nX-Request-Id: %s\r\nCache-Control: no-store\r\n"
                               "Connection: close\r\n\r\n",
                               reply.body.len, watch->request_id);
    if (!err && reply.body.len > 0)
        err = vx_buf_append(&out, reply.body.data, reply.body.len);
    if (!err)
        (void)!send(watch->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    vx_buf_done(&out);
    vx_reply_done(&reply);
}

/* Both directions: the library then reads an end of file and gives the connection up on its own thread. */
static void cut_off(vx_watch *watch)
{
    if (watch->list == VX_WATCH_UPLOAD)
        answer_slow(watch);
    shutdown(watch->fd, SHUT_RDWR);
    watch->fired = true;
    unlink_watch(watch);
}

/* Cuts off what is overdue, and returns when the next may be. */
static uint64_t sweep(vx_watchdog *dog, uint64_t now)
{
    uint64_t next_due = UINT64_MAX;
    for (int list = VX_WATCH_QUIET; list < VX_WATCH_LISTS; list++) {
        vx_watch *head = &dog->head[list];
        while (head->next != head && now - head->next->since_ns >= dog->limit_ns[list])
            cut_off(head->next);
        if (head->next != head && head->next->since_ns + dog->limit_ns[list] < next_due)
            next_due = head->next->since_ns + dog->limit_ns[list];
    }
    return next_due;
}

static void *run(void *arg)
{
    vx_watchdog *dog = arg;
    pthread_mutex_lock(&dog->lock);
    while (!dog->stop) {
        dog->wakes_ns = sweep(dog, vx_now_ns());
        vx_cond_wait_until(&dog->changed, &dog->lock, dog->wakes_ns);
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

vx_err vx_watchdog_create(const uint64_t limit_ms[VX_WATCH_LISTS], vx_watchdog **ret_dog)
{
    vx_watchdog *dog = calloc(1, sizeof *dog);
    if (!dog)
        return VX_ERR_NOMEM;
    for (int list = 0; list < VX_WATCH_LISTS; list++) {
        dog->limit_ns[list] = limit_ms[list] * 1000000u;
        dog->head[list].prev = dog->head[list].next = &dog->head[list];
    }
    if (pthread_mutex_init(&dog->lock, NULL) != 0) {
        free(dog);
        return VX_ERR_INTERNAL;
    }
    if (!vx_cond_init(&dog->changed)) {
        pthread_mutex_destroy(&dog->lock);
        free(dog);
        return VX_ERR_INTERNAL;
    }
    if (pthread_create(&dog->thread, NULL, run, dog) != 0) {
        pthread_cond_destroy(&dog->changed);
        pthread_mutex_destroy(&dog->lock);
        free(dog);
        return VX_ERR_INTERNAL;
    }
    *ret_dog = dog;
    return VX_OK;
}

void vx_watchdog_destroy(vx_watchdog *dog)
{
    if (!dog)
        return;
    pthread_mutex_lock(&dog->lock);
    dog->stop = true;
    pthread_cond_signal(&dog->changed);
    pthread_mutex_unlock(&dog->lock);
    pthread_join(dog->thread, NULL);
    pthread_cond_destroy(&dog->changed);
    pthread_mutex_destroy(&dog->lock);
    free(dog);
}

void vx_watch_init(vx_watch *watch, int fd)
{
    *watch = (vx_watch){.prev = watch, .next = watch, .fd = fd};
}

bool vx_watch_move(vx_watchdog *dog, vx_watch *watch, vx_watch_list list)
{
    pthread_mutex_lock(&dog->lock);
    unlink_watch(watch);
    bool alive = !watch->fired;
    if (alive && list != VX_WATCH_NONE) {
        vx_watch *head = &dog->head[list];
        watch->since_ns = vx_now_ns();
        watch->list = list;
        watch->next = head;
        watch->prev = head->prev;
        watch->prev->next = head->prev = watch;
        /* Nearly never true, since the thread sleeps until some earlier entry's time whether or not that entry is
         * still there: a request then costs no switch to this thread. */
        if (watch->since_ns + dog->limit_ns[list] < dog->wakes_ns)
            pthread_cond_signal(&dog->changed);
    }
    pthread_mutex_unlock(&dog->lock);
    return alive;
}

void vx_watch_name(vx_watchdog *dog, vx_watch *watch, const char *request_id)
{
    pthread_mutex_lock(&dog->lock);
    snprintf(watch->request_id, sizeof watch->request_id, "%s", request_id);
    pthread_mutex_unlock(&dog->lock);
}
