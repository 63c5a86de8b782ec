/* fbank.c - log-mel features from 16 kHz mono samples.
 * Owns:   the window, the filter bank and the walk over frames. Does not: compute (fbank_simd.h), resample, detect
 *         speech, allocate after create.
 * Source: SpeechBrain Fbank + sentence InputNormalization(std_norm=False); differs in nothing.
 */
#include "shared/audio/fbank.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/audio/fbank_kernel.h"
#include "shared/base/bytes.h"

#define N_FFT_MIN 64
#define N_FFT_MAX 4096
#define BANDS_MAX 256
#define NYQUIST   (VX_AUDIO_RATE / 2.0)

static const double PI = 3.14159265358979323846;

struct vx_fbank {
    vx_fbank_params params;
    const vx_fbank_kernel *kernel;
    vx_fft *fft;
    vx_fbank_tables tables;
    vx_fbank_filter filters[BANDS_MAX]; /* [n_bands] */
    float *weights;                     /* those of all filters */
    float *window;                      /* [n_fft] */
    float *scratch;                     /* all of the below; holds speech while computing */
    size_t scratch_bytes;
    float *data, *work; /* the transform's buffers */
    float *edges;       /* [lanes, n_fft] zero-padded frames */
};

vx_fbank_params vx_fbank_params_default(void)
{
    return (vx_fbank_params){
        .window_len = 400,
        .hop = 160,
        .n_fft = 400,
        .window = VX_WINDOW_HAMMING,
        .n_bands = 80,
        .f_min = 0,
        .f_max = 8000,
        .log_kind = VX_LOG_DB,
        .floor = 1e-10,
        .top_db = 80,
        .subtract_mean = 1,
    };
}

/* Comparisons are written so that NaN fails them. */
static vx_err check_params(const vx_fbank_params *p, vx_errinfo *info)
{
    if (p->n_fft < N_FFT_MIN || p->n_fft > N_FFT_MAX || !vx_fft_length_ok(p->n_fft))
        return vx_errinfo_set(info, VX_ERR_RANGE,
                              "n_fft is %d; it must be even, %d to %d, with factors 2, 3 and 5 only", p->n_fft,
                              N_FFT_MIN, N_FFT_MAX);
    if (p->window_len != p->n_fft)
        return vx_errinfo_set(info, VX_ERR_RANGE, "window_len is %d; it must equal n_fft, %d", p->window_len, p->n_fft);
    if (p->hop < 1 || p->hop > p->window_len)
        return vx_errinfo_set(info, VX_ERR_RANGE, "hop is %d; it must be 1 to window_len, %d", p->hop, p->window_len);
    if (p->window != VX_WINDOW_HAMMING && p->window != VX_WINDOW_HANN)
        return vx_errinfo_set(info, VX_ERR_RANGE, "window %d is not known", (int)p->window);
    if (p->n_bands < 1 || p->n_bands > BANDS_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "n_bands is %d; it must be 1 to %d", p->n_bands, BANDS_MAX);
    if (!(p->f_min >= 0 && p->f_max <= NYQUIST && p->f_max - p->f_min >= 1))
        return vx_errinfo_set(info, VX_ERR_RANGE,
                              "bands from %g to %g Hz; they must lie within 0 to %g, 1 Hz or more apart", p->f_min,
                              p->f_max, NYQUIST);
    if (p->log_kind != VX_LOG_DB && p->log_kind != VX_LOG_NATURAL)
        return vx_errinfo_set(info, VX_ERR_RANGE, "log_kind %d is not known", (int)p->log_kind);
    if (!(p->floor >= 1e-30 && p->floor <= 1))
        return vx_errinfo_set(info, VX_ERR_RANGE, "floor is %g; it must be 1e-30 to 1", p->floor);
    if (!(p->top_db >= 0 && p->top_db <= 1000))
        return vx_errinfo_set(info, VX_ERR_RANGE, "top_db is %g; it must be 0 (no limit) to 1000", p->top_db);
    if (p->top_db > 0 && p->log_kind != VX_LOG_DB)
        return vx_errinfo_set(info, VX_ERR_RANGE, "top_db is %g; natural logarithms take 0 only", p->top_db);
    return VX_OK;
}

/* Periodic: the period is n, so that the last sample is not the first again. */
static void fill_window(float *window, int n, vx_window kind)
{
    const double a = kind == VX_WINDOW_HAMMING ? 0.54 : 0.5;
    for (int i = 0; i < n; i++)
        window[i] = (float)(a - (1 - a) * cos(2 * PI * i / n));
}

/* ret_hz [out] n_bands + 2 frequencies, evenly spaced in mel: the lower foot of the first band, every band's centre,
 * and one more that only gives the spacing. */
static void fill_centres(const vx_fbank_params *p, double *ret_hz)
{
    const double low = 2595 * log10(1 + p->f_min / 700), high = 2595 * log10(1 + p->f_max / 700);
    for (int i = 0; i < p->n_bands + 2; i++)
        ret_hz[i] = 700 * (pow(10, (low + (high - low) * i / (p->n_bands + 1)) / 2595) - 1);
}

/* Weight of a DFT bin in the band around hz[1]. Both sides are as wide as the lower gap: SpeechBrain's triangles are
 * symmetric in Hz, where others' upper foot is the next centre. */
static float bin_weight(const vx_fbank_params *p, const double *hz, int bin)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): there is at least one band, so hz is filled */
    const double slope = ((double)bin * VX_AUDIO_RATE / p->n_fft - hz[1]) / (hz[1] - hz[0]);
    const double weight = fmin(slope + 1, 1 - slope);
    return weight > 0 ? (float)weight : 0;
}

static vx_err create_filters(vx_fbank *f)
{
    const vx_fbank_params *p = &f->params;
    double hz[BANDS_MAX + 2];
    size_t n_weights = 1; /* one too many: bands narrower than a bin may weigh none, and nothing is no allocation */
    fill_centres(p, hz);
    for (int b = 0; b < p->n_bands; b++)
        for (int bin = 0; bin <= p->n_fft / 2; bin++)
            n_weights += bin_weight(p, hz + b, bin) > 0;
    float *weights = f->weights = malloc(n_weights * sizeof *weights);
    if (weights == NULL)
        return VX_ERR_NOMEM;

    for (int b = 0; b < p->n_bands; b++) {
        vx_fbank_filter *filter = &f->filters[b];
        filter->weights = weights;
        for (int bin = 0; bin <= p->n_fft / 2; bin++) {
            const float weight = bin_weight(p, hz + b, bin);
            if (weight <= 0)
                continue;
            if (filter->count++ == 0)
                filter->first = bin;
            *weights++ = weight;
        }
    }
    return VX_OK;
}

/* Buffers start on cache lines: a misaligned 64-byte vector touches two. */
static vx_err create_scratch(vx_fbank *f)
{
    const size_t lanes = (size_t)f->kernel->fft->lanes, n_fft = (size_t)f->params.n_fft;
    const size_t buffer = (VX_FFT_BUFFER_FLOATS(n_fft, lanes) + 15) / 16 * 16;
    f->scratch_bytes = (2 * buffer + (lanes * n_fft + 15) / 16 * 16) * sizeof(float);
    f->scratch = aligned_alloc(VX_FFT_ALIGN, f->scratch_bytes);
    if (f->scratch == NULL)
        return VX_ERR_NOMEM;
    f->data = f->scratch;
    f->work = f->data + buffer;
    f->edges = f->work + buffer;
    return VX_OK;
}

vx_err vx_fbank_create(const vx_fbank_params *params, vx_isa isa, vx_fbank **ret_fbank, vx_errinfo *info)
{
    vx_err err = check_params(params, info);
    if (err != VX_OK)
        return err;
    const vx_fbank_kernel *kernel = vx_fbank_kernel_for(isa);
    if (kernel == NULL || !vx_isa_available(isa))
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "this machine cannot run %s kernels", vx_isa_name(isa));

    err = VX_ERR_NOMEM;
    vx_fbank *f = calloc(1, sizeof *f);
    if (f == NULL)
        goto out;
    f->params = *params;
    f->kernel = kernel;
    f->window = malloc((size_t)params->n_fft * sizeof *f->window);
    if (f->window == NULL)
        goto out;
    fill_window(f->window, params->n_fft, params->window);
    err = vx_fft_create(params->n_fft, &f->fft);
    if (err == VX_OK)
        err = create_filters(f);
    if (err == VX_OK)
        err = create_scratch(f);
    if (err != VX_OK)
        goto out;
    f->tables = (vx_fbank_tables){
        .fft = f->fft,
        .transform = kernel->fft,
        .window = f->window,
        .filters = f->filters,
        .n_bands = params->n_bands,
        .floor = (float)params->floor,
        .log_scale = (float)(params->log_kind == VX_LOG_DB ? 10 * log10(2) : log(2)),
    };
    *ret_fbank = f;
    return VX_OK;
out:
    vx_fbank_destroy(f);
    return vx_errinfo_set(info, err, "not enough memory for the front end");
}

void vx_fbank_destroy(vx_fbank *fbank)
{
    if (fbank == NULL)
        return;
    if (fbank->scratch != NULL)
        vx_wipe(fbank->scratch, fbank->scratch_bytes);
    free(fbank->scratch);
    free(fbank->window);
    free(fbank->weights);
    vx_fft_destroy(fbank->fft);
    free(fbank);
}

size_t vx_fbank_frames(const vx_fbank *fbank, size_t n)
{
    return 1 + n / (size_t)fbank->params.hop;
}

int vx_fbank_bands(const vx_fbank *fbank)
{
    return fbank->params.n_bands;
}

/* The n_fft samples around sample t * hop: where they lie, or a copy with zeros for what the signal does not have. */
static const float *frame_at(const vx_fbank *f, const float *pcm, size_t n, size_t t, float *copy)
{
    const size_t n_fft = (size_t)f->params.n_fft, half = n_fft / 2, centre = t * (size_t)f->params.hop;
    const size_t first = centre > half ? centre - half : 0; /* samples the frame shares with the signal */
    const size_t end = n - centre < half ? n : centre + half;
    if (end - first == n_fft)
        return pcm + first;
    const size_t lead = first + half - centre;
    memset(copy, 0, n_fft * sizeof *copy);
    memcpy(copy + lead, pcm + first, (end - first) * sizeof *copy);
    return copy;
}

/* All bands, before clipping and mean. Returns the largest feature. */
static float compute_frames(vx_fbank *f, const float *pcm, size_t n, float *ret_feat, size_t ld)
{
    const size_t lanes = (size_t)f->kernel->fft->lanes, n_frames = vx_fbank_frames(f, n);
    float max = -FLT_MAX;
    for (size_t t = 0; t < n_frames; t += lanes) {
        const size_t count = n_frames - t < lanes ? n_frames - t : lanes;
        const float *frame[VX_FBANK_MAX_LANES];
        for (size_t i = 0; i < lanes; i++) /* a lane past the end repeats the batch's first frame */
            frame[i] = i < count ? frame_at(f, pcm, n, t + i, f->edges + i * (size_t)f->params.n_fft) : frame[0];
        max = fmaxf(max, f->kernel->frames(&f->tables, frame, count, f->data, f->work, ret_feat + t, ld));
    }
    return max;
}

vx_err vx_fbank_compute(vx_fbank *fbank, const float *pcm, size_t n, float *ret_feat, size_t ld)
{
    const vx_fbank_params *p = &fbank->params;
    const size_t n_frames = vx_fbank_frames(fbank, n);
    if (n == 0)
        return VX_ERR_AUDIO_EMPTY;
    if (ld < n_frames)
        return VX_ERR_ARG;
    const uint32_t bits = fbank->kernel->peak_bits(pcm, n);
    float peak;
    memcpy(&peak, &bits, sizeof peak);
    if (!isfinite(peak))
        return VX_ERR_AUDIO_NOT_FINITE;
    if (peak > VX_FBANK_PEAK_MAX)
        return VX_ERR_AUDIO_SCALE;

    const float max = compute_frames(fbank, pcm, n, ret_feat, ld);
    const float low = p->top_db > 0 ? max - (float)p->top_db : -FLT_MAX;
    for (size_t b = 0; b < (size_t)p->n_bands; b++)
        fbank->kernel->finish(ret_feat + b * ld, n_frames, low, p->subtract_mean != 0);
    vx_wipe(fbank->scratch, fbank->scratch_bytes);
    return VX_OK;
}

const vx_fbank_kernel *vx_fbank_kernel_for(vx_isa isa)
{
    static const vx_fbank_kernel *const kernels[] = {
        &vx_fbank_scalar,
#if defined(__x86_64__)
        &vx_fbank_avx2,
        &vx_fbank_avx512,
#elif defined(__aarch64__)
        &vx_fbank_neon,
#endif
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (kernels[i]->fft->isa == vx_isa_base(isa))
            return kernels[i];
    return NULL;
}
