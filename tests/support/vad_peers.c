/* vad_peers.c - see vad_peers.h. */
#include "tests/support/vad_peers.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fft.h"

enum { HOP = 160, WINDOW = 400, BINS = WINDOW / 2 + 1, FIRST_BIN = 2, LANES = 4 };

/* Minimum statistics: the minimum of the smoothed spectrum over eight blocks of 0.2 s, the oldest given up in turn. */
enum { BLOCK = 20, BLOCKS = 8 };

static const double PI = 3.14159265358979323846;

typedef struct {
    vx_fft *fft;
    float buffer[2][VX_FFT_BUFFER_FLOATS(WINDOW, LANES)];
    float shape[WINDOW], window[WINDOW];
    double smooth[BINS], minima[BLOCKS][BINS], noise[BINS],
        before[BINS]; /* before: speech power over noise, last frame */
    double log_ratio;
    size_t n_frames;
} sohn;

typedef struct {
    void *handle, *state;
    void *(*fresh)(void);
    void (*release)(void *), (*reset)(void *);
    int (*set_mode)(void *, int), (*set_rate)(void *, int);
    int (*process)(void *, const int16_t *, size_t);
    int mode;
} webrtc;

struct vad_peer {
    vad_peer_kind kind;
    double floor;
    sohn sohn;
    webrtc webrtc;
};

/* ---- Sohn ----------------------------------------------------------------------------------------------------------
 * J. Sohn, N. S. Kim, W. Sung, A statistical model-based voice activity detection, IEEE Signal Processing Letters, 1999;
 * a-priori SNR by Ephraim and Malah's decision-directed rule; noise by R. Martin's minimum statistics, simplified. */

static void track_noise(sohn *s, const double *power)
{
    double *current = s->minima[s->n_frames / BLOCK % BLOCKS];
    const bool first = s->n_frames == 0, opens = s->n_frames % BLOCK == 0;
    for (int k = FIRST_BIN; k < BINS; k++) {
        s->smooth[k] = first ? power[k] : 0.85 * s->smooth[k] + 0.15 * power[k];
        if (first)
            for (int b = 0; b < BLOCKS; b++)
                s->minima[b][k] = s->smooth[k];
        current[k] = opens ? s->smooth[k] : fmin(current[k], s->smooth[k]);
        double least = s->minima[0][k];
        for (int b = 1; b < BLOCKS; b++)
            least = fmin(least, s->minima[b][k]);
        s->noise[k] = 1.6 * least + 1e-12; /* the minimum of a smoothed spectrum lies below its mean */
    }
}

static double sohn_push(sohn *s, const float *samples)
{
    memmove(s->window, s->window + HOP, (WINDOW - HOP) * sizeof *s->window);
    memcpy(s->window + WINDOW - HOP, samples, HOP * sizeof *samples);
    for (int i = 0; i < WINDOW; i++)
        s->buffer[0][i * LANES] = s->window[i] * s->shape[i];
    const float *bins = vx_fft_scalar.forward(s->fft, s->buffer[0], s->buffer[1]);
    double power[BINS] = {0}, sum = 0;
    for (int k = FIRST_BIN; k < BINS; k++)
        power[k] =
            (double)(bins[2 * k * LANES] * bins[2 * k * LANES] + bins[(2 * k + 1) * LANES] * bins[(2 * k + 1) * LANES]);
    track_noise(s, power);
    for (int k = FIRST_BIN; k < BINS; k++) {
        const double posterior = fmin(power[k] / s->noise[k], 1e4);
        const double prior = fmax(0.98 * s->before[k] + 0.02 * fmax(posterior - 1, 0), 1e-3);
        sum += posterior * prior / (1 + prior) - log1p(prior);
        const double gain = prior / (1 + prior);
        s->before[k] = gain * gain * posterior;
    }
    s->n_frames++;
    /* Pause to speech 0.1, speech to pause 0.1, as its authors have it. */
    const double ratio = exp(fmin(fmax(s->log_ratio, -50), 50));
    s->log_ratio = sum / (BINS - FIRST_BIN) + log((0.1 + 0.9 * ratio) / (0.9 + 0.1 * ratio));
    return s->log_ratio;
}

/* ---- WebRTC, as libfvad has it ------------------------------------------------------------------------------------- */

static bool find(void *handle, const char *name, void *ret_function)
{
    void *symbol = dlsym(handle, name);
    memcpy(ret_function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool webrtc_open(webrtc *w, const char *library, int mode)
{
    w->mode = mode;
    w->handle = library != NULL ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : NULL;
    return w->handle != NULL && find(w->handle, "fvad_new", &w->fresh) && find(w->handle, "fvad_free", &w->release) &&
           find(w->handle, "fvad_reset", &w->reset) && find(w->handle, "fvad_set_mode", &w->set_mode) &&
           find(w->handle, "fvad_set_sample_rate", &w->set_rate) && find(w->handle, "fvad_process", &w->process) &&
           (w->state = w->fresh()) != NULL;
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

vad_peer *vad_peer_create(vad_peer_kind kind, int mode, const char *library)
{
    vad_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->kind = kind;
    if ((kind == VAD_PEER_SOHN && vx_fft_create(WINDOW, &peer->sohn.fft) != VX_OK) ||
        (kind == VAD_PEER_WEBRTC && !webrtc_open(&peer->webrtc, library, mode))) {
        vad_peer_destroy(peer);
        return NULL;
    }
    return peer;
}

void vad_peer_destroy(vad_peer *peer)
{
    if (peer == NULL)
        return;
    vx_fft_destroy(peer->sohn.fft);
    if (peer->webrtc.state != NULL)
        peer->webrtc.release(peer->webrtc.state);
    if (peer->webrtc.handle != NULL)
        dlclose(peer->webrtc.handle);
    free(peer);
}

static void reset(vad_peer *peer)
{
    peer->floor = 100;
    peer->sohn = (sohn){.fft = peer->sohn.fft};
    for (int i = 0; i < WINDOW; i++)
        peer->sohn.shape[i] = (float)(0.5 - 0.5 * cos(2 * PI * i / WINDOW));
    if (peer->kind == VAD_PEER_WEBRTC) {
        peer->webrtc.reset(peer->webrtc.state);
        (void)peer->webrtc.set_rate(peer->webrtc.state, 16000);
        (void)peer->webrtc.set_mode(peer->webrtc.state, peer->webrtc.mode);
    }
}

static double energy_push(vad_peer *peer, const float *samples)
{
    double power = 1e-12;
    for (int i = 0; i < HOP; i++)
        power += (double)(samples[i] * samples[i]) / HOP;
    const double level = 10 * log10(power);
    peer->floor = fmin(peer->floor + 0.04, level);
    return level - peer->floor;
}

static double push(vad_peer *peer, const int16_t *samples)
{
    if (peer->kind == VAD_PEER_WEBRTC)
        return peer->webrtc.process(peer->webrtc.state, samples, HOP) > 0;
    float block[HOP];
    for (int i = 0; i < HOP; i++)
        block[i] = (float)samples[i] / 32768.0F;
    return peer->kind == VAD_PEER_ENERGY ? energy_push(peer, block) : sohn_push(&peer->sohn, block);
}

void vad_peer_score(vad_peer *peer, const int16_t *samples, size_t n_frames, double *ret_scores)
{
    static const int16_t silence[HOP];
    /* A window of 400 samples lies around the frame before the one that it ends with. */
    const size_t delay = peer->kind == VAD_PEER_SOHN ? 1 : 0;
    reset(peer);
    for (size_t i = 0; i < n_frames + delay; i++) {
        const double score = push(peer, i < n_frames ? samples + i * HOP : silence);
        if (i >= delay)
            ret_scores[i - delay] = score;
    }
}
