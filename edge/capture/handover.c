/* handover.c - a ring of samples under one lock.
 * A lock, though one side is a thread of the system's: it is held for a copy of some 4 KiB, and the queue that is served is
 * not the real-time one.
 */
#include "edge/capture/handover.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/cond.h"

struct vx_handover {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t news;
    bool woken, lost;
    size_t cap, at, n; /* the ring's first sample and their number */
    float samples[];   /* [cap] */
};

vx_err vx_handover_create(size_t cap, vx_handover **ret_handover)
{
    size_t bytes;
    if (!vx_size_mul(cap, sizeof(float), &bytes) || !vx_size_add(bytes, sizeof(vx_handover), &bytes))
        return VX_ERR_NOMEM;
    vx_handover *h = calloc(1, bytes);
    if (h == NULL)
        return VX_ERR_NOMEM;
    h->cap = cap;
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        free(h);
        return VX_ERR_NOMEM;
    }
    if (!vx_cond_init(&h->news)) {
        pthread_mutex_destroy(&h->lock);
        free(h);
        return VX_ERR_NOMEM;
    }
    *ret_handover = h;
    return VX_OK;
}

void vx_handover_destroy(vx_handover *handover)
{
    if (handover == NULL)
        return;
    pthread_cond_destroy(&handover->news);
    pthread_mutex_destroy(&handover->lock);
    vx_wipe(handover->samples, handover->cap * sizeof *handover->samples);
    free(handover);
}

void vx_handover_put(vx_handover *handover, const float *samples, size_t n)
{
    vx_handover *h = handover;
    pthread_mutex_lock(&h->lock);
    /* All or nothing: half a block would tear a frame apart. */
    if (n > h->cap - h->n) {
        h->lost = true;
        n = 0;
    }
    if (n > 0) {
        const size_t at = (h->at + h->n) % h->cap, first = n < h->cap - at ? n : h->cap - at;
        memcpy(h->samples + at, samples, first * sizeof *samples);
        memcpy(h->samples, samples + first, (n - first) * sizeof *samples);
        h->n += n;
    }
    pthread_cond_signal(&h->news);
    pthread_mutex_unlock(&h->lock);
}

void vx_handover_wake(vx_handover *handover)
{
    pthread_mutex_lock(&handover->lock);
    handover->woken = true;
    pthread_cond_signal(&handover->news);
    pthread_mutex_unlock(&handover->lock);
}

size_t vx_handover_take(vx_handover *handover, float *ret_samples, size_t cap, size_t frame, uint64_t due_ns,
                        bool *ret_gap)
{
    vx_handover *h = handover;
    pthread_mutex_lock(&h->lock);
    while (h->n < frame && !h->woken && vx_cond_wait_until(&h->news, &h->lock, due_ns))
        ;
    h->woken = false;
    size_t n = h->n < cap ? h->n : cap;
    n -= n % frame;
    const size_t first = n < h->cap - h->at ? n : h->cap - h->at;
    memcpy(ret_samples, h->samples + h->at, first * sizeof *ret_samples);
    memcpy(ret_samples + first, h->samples, (n - first) * sizeof *ret_samples);
    h->at = (h->at + n) % h->cap;
    h->n -= n;
    *ret_gap = h->lost;
    h->lost = false;
    pthread_mutex_unlock(&h->lock);
    return n;
}
