/* engine_rate.c - the work of a service's workers, and nothing else. */
#include "tests/support/engine_rate.h"

#include <pthread.h>

#include "shared/audio/decode.h"
#include "shared/base/clock.h"

enum { MAX_THREADS = 64 };

typedef struct {
    pthread_t thread;
    vx_engine *engine;
    const load_clip *clips;
    size_t n_clips;
    uint64_t until_ns;
    double rate; /* embeddings a second, by its own clock: the last one may end after the others' */
    vx_err err;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    size_t done = 0;
    const uint64_t start = vx_now_ns();
    while (!w->err && vx_now_ns() < w->until_ns) {
        const vx_buf *pcm = &w->clips[done++ % w->n_clips].pcm;
        vx_audio audio = {0};
        vx_embedding embedding;
        w->err = vx_audio_decode(pcm->data, pcm->len, VX_FORMAT_S16LE, VX_AUDIO_RATE, &audio, NULL);
        if (!w->err)
            w->err = vx_engine_embed(w->engine, audio.samples, audio.n, &embedding, NULL, NULL);
        vx_audio_done(&audio);
        vx_embedding_wipe(&embedding);
    }
    w->rate = (double)done / (vx_ms_since(start) / 1e3);
    return NULL;
}

vx_err engine_rate(vx_engine *engine, const load_clip *clips, size_t n_clips, int threads, double seconds,
                   double *ret_per_second)
{
    worker workers[MAX_THREADS];
    const uint64_t until_ns = vx_now_ns() + (uint64_t)(seconds * 1e9);
    vx_err err = threads > 0 && threads <= MAX_THREADS ? VX_OK : VX_ERR_INTERNAL;
    double sum = 0;
    int started = 0;
    while (!err && started < threads) {
        worker *w = &workers[started];
        *w = (worker){.engine = engine, .clips = clips, .n_clips = n_clips, .until_ns = until_ns};
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            err = VX_ERR_INTERNAL;
        else
            started++;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        sum += workers[i].rate;
        err = err ? err : workers[i].err;
    }
    if (!err)
        *ret_per_second = sum;
    return err;
}
