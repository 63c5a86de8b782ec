/* scene.c - what can be judged, and the analyses in the order in which they need each other. */
#include "edge/pava/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/base/clock.h"

/* Less speech than this says nothing of how it was made; more than the other is no command, and would take longer than
 * somebody at a lock waits. */
static const double SPEECH_MIN_S = 0.8, LONGEST_S = 30;
/* Of the samples clipped: beyond, every measure is of the clipping. */
static const double CLIPPED_MAX = 0.01, FULL = 0.998;
/* Clipped and then turned down: flat, to a step and a half of the quantisation (of which a dither is one), within half a
 * percent of the recording's own extremes. Below so many steps from the lowest sample to the highest, silence is flat too. */
static const float EXTREME = 0.005F, FLAT_STEPS = 1.5F, STEPS_MIN = 32;
/* Share of a frame's power in its five strongest neighbouring bins, as wide as the window makes a tone. */
static const double TONE_SHARE = 0.99;
enum { VOICED_MIN = 30 /* frames that a median pitch rests on */ };

typedef struct {
    float low, high, step; /* step: the smallest that a sample is from the one before; INFINITY of a constant */
} extent;

static extent extent_of(const float *samples, size_t n)
{
    extent e = {samples[0], samples[0], INFINITY};
    for (size_t i = 1; i < n; i++) {
        const float step = fabsf(samples[i] - samples[i - 1]);
        e.low = fminf(e.low, samples[i]);
        e.high = fmaxf(e.high, samples[i]);
        if (step > 0)
            e.step = fminf(e.step, step);
    }
    return e;
}

static double clipped_share(const float *samples, size_t n)
{
    const extent e = extent_of(samples, n);
    const float range = e.high - e.low, near = EXTREME * range;
    const float flat = range >= STEPS_MIN * e.step ? FLAT_STEPS * e.step : -1;
    size_t n_clipped = 0;
    for (size_t i = 0; i < n; i++) {
        const float x = samples[i], before = i > 0 ? samples[i - 1] : INFINITY;
        const bool extreme = fmaxf(x, before) <= e.low + near || fminf(x, before) >= e.high - near;
        n_clipped += fabsf(x) >= (float)FULL || (extreme && fabsf(x - before) <= flat);
    }
    return (double)n_clipped / (double)n;
}

/* Most frames of the sound are one tone. */
static bool is_tone(const vx_spectrogram *s)
{
    size_t n_tones = 0;
    for (size_t i = 0; i < s->n_frames; i++) {
        const float *power = s->power + i * VX_PAVA_BINS;
        double sum = 0, best = 0;
        if (!s->speech[i])
            continue;
        for (int k = 2; k < VX_PAVA_BINS - 2; k++) {
            const double peak = (double)power[k - 2] + (double)power[k - 1] + (double)power[k] + (double)power[k + 1] +
                                (double)power[k + 2];
            sum += (double)power[k];
            best = fmax(best, peak);
        }
        n_tones += best > TONE_SHARE * sum;
    }
    return 2 * n_tones > s->n_speech;
}

static vx_err refuse(const float *samples, size_t n, vx_errinfo *info)
{
    if (!samples || n < VX_PAVA_WINDOW)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording is empty");
    if (!vx_audio_is_finite(samples, n))
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording holds numbers that are no sound");
    if ((double)n > LONGEST_S * VX_AUDIO_RATE)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording is longer than %.0f s", LONGEST_S);
    if (clipped_share(samples, n) > CLIPPED_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording is clipped");
    return VX_OK;
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Errors: NOMEM. */
static vx_err find_median_pitch(vx_scene *s)
{
    size_t n = 0;
    if (s->pitch.n_voiced < VOICED_MIN)
        return VX_OK;
    float *f0 = malloc(s->pitch.n_frames * sizeof *f0);
    if (!f0)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < s->pitch.n_frames; i++)
        if (s->pitch.f0_hz[i] > 0)
            f0[n++] = s->pitch.f0_hz[i];
    qsort(f0, n, sizeof *f0, by_value);
    s->has_pitch = n >= VOICED_MIN;
    s->pitch_ln_hz = s->has_pitch ? log((double)f0[n / 2]) : 0;
    free(f0);
    return VX_OK;
}

typedef vx_err analysis_fn(vx_scene *s, vx_errinfo *info);

static vx_err track_pitch(vx_scene *s, vx_errinfo *info)
{
    (void)info;
    const vx_err err = vx_pitch_track(s->samples, s->n, &s->spectrogram, &s->pitch);
    return err == VX_OK ? find_median_pitch(s) : err;
}
static vx_err measure_cycles(vx_scene *s, vx_errinfo *info)
{
    (void)info;
    return vx_cycles_measure(s->samples, s->n, &s->pitch, &s->cycles);
}
static vx_err track_formants(vx_scene *s, vx_errinfo *info)
{
    (void)info;
    return vx_formants_track(&s->spectrogram, &s->pitch, &s->formants);
}
static vx_err take_fingerprint(vx_scene *s, vx_errinfo *info)
{
    return vx_fingerprint_take(&s->spectrogram, &s->fingerprint, info);
}
static vx_err look_for_repetition(vx_scene *s, vx_errinfo *info)
{
    size_t which;
    if (s->has_fingerprint.err != VX_OK) {
        *info = s->has_fingerprint.info;
        return s->has_fingerprint.err;
    }
    if (vx_fingerprint_search(&s->fingerprint, s->known->heard, s->known->n_heard, s->deadline_ns, &s->repetition,
                              &which))
        return VX_OK;
    return vx_errinfo_set(info, VX_ERR_DEADLINE, "comparing with what was heard before took too long");
}
static vx_err run_network(vx_scene *s, vx_errinfo *info)
{
    (void)info;
    return vx_countermeasure_run(s->samples, s->n, &s->spectrogram, s->traces);
}
static vx_err measure_channel(vx_scene *s, vx_errinfo *info)
{
    return vx_channel_measure(&s->spectrogram, &s->pitch, &s->channel, info);
}
static vx_err measure_modulation(vx_scene *s, vx_errinfo *info)
{
    return vx_modulation_measure(&s->spectrogram, &s->modulation, info);
}
static vx_err measure_phase(vx_scene *s, vx_errinfo *info)
{
    return vx_phase_measure(s->samples, s->n, &s->pitch, &s->phase, info);
}
static vx_err measure_joints(vx_scene *s, vx_errinfo *info)
{
    return vx_joints_measure(&s->spectrogram, &s->pitch, &s->joints, info);
}
static vx_err measure_reverb(vx_scene *s, vx_errinfo *info)
{
    return vx_reverb_measure(&s->spectrogram, &s->reverb, info);
}
static vx_err measure_breath(vx_scene *s, vx_errinfo *info)
{
    return vx_breath_measure(&s->spectrogram, &s->pitch, &s->breath, info);
}
static vx_err measure_movement(vx_scene *s, vx_errinfo *info)
{
    return vx_movement_measure(&s->spectrogram, &s->movement, info);
}
static vx_err measure_coupling(vx_scene *s, vx_errinfo *info)
{
    return vx_coupling_measure(&s->pitch, &s->formants, &s->coupling, info);
}
static vx_err measure_tract(vx_scene *s, vx_errinfo *info)
{
    return vx_tract_measure(&s->formants, &s->tract, info);
}

/* One that is late or has failed says so in its place; only lack of memory ends them all. */
static vx_err analyse(vx_scene *s, analysis_fn *run, vx_analysis *a)
{
    s->late = s->late || (s->deadline_ns != 0 && vx_now_ns() >= s->deadline_ns);
    if (s->late)
        a->err = vx_errinfo_set(&a->info, VX_ERR_DEADLINE, "it took too long");
    else
        a->err = run(s, &a->info);
    return a->err == VX_ERR_NOMEM ? VX_ERR_NOMEM : VX_OK;
}

vx_err vx_scene_analyse(const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                        vx_scene *ret_scene, vx_errinfo *info)
{
    vx_scene *s = ret_scene;
    memset(s, 0, sizeof *s);
    vx_err err = refuse(samples, n, info);
    if (err != VX_OK)
        return err;
    s->samples = samples, s->n = n, s->known = known, s->deadline_ns = deadline_ns;
    err = vx_spectrogram_compute(samples, n, &s->spectrogram);
    if (err != VX_OK)
        return err;
    if ((double)(s->spectrogram.n_speech * VX_PAVA_HOP) < SPEECH_MIN_S * VX_AUDIO_RATE)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording holds less than %.1f s of speech", SPEECH_MIN_S);
    if (is_tone(&s->spectrogram))
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording is a tone, not speech");

    /* What others need, then what tells most. */
    const struct {
        analysis_fn *run;
        vx_analysis *analysis;
    } analyses[] = {{track_pitch, &s->has_pitch_track},       {measure_cycles, &s->has_cycles},
                    {track_formants, &s->has_formants},       {take_fingerprint, &s->has_fingerprint},
                    {look_for_repetition, &s->has_search},    {run_network, &s->has_traces},
                    {measure_channel, &s->has_channel},       {measure_phase, &s->has_phase},
                    {measure_tract, &s->has_tract},           {measure_coupling, &s->has_coupling},
                    {measure_reverb, &s->has_reverb},         {measure_breath, &s->has_breath},
                    {measure_modulation, &s->has_modulation}, {measure_joints, &s->has_joints},
                    {measure_movement, &s->has_movement}};
    for (size_t i = 0; err == VX_OK && i < sizeof analyses / sizeof *analyses; i++)
        err = analyse(s, analyses[i].run, analyses[i].analysis);
    return err;
}

void vx_scene_done(vx_scene *scene)
{
    vx_spectrogram_done(&scene->spectrogram);
    vx_pitch_done(&scene->pitch);
    vx_formants_done(&scene->formants);
    vx_fingerprint_done(&scene->fingerprint);
    memset(scene, 0, sizeof *scene);
}
