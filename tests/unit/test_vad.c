/* test_vad.c - the voice activity detector: the network against PyTorch, utterances where they are, at any level, and
 * nothing where nobody speaks. How well it does in noise is measured by tests/bench/bench_vad.c, not here.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/capture/vad.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/npy.h"
#include "tests/support/stats.h"

enum { RATE = 16000, MAX_EVENTS = 16 };
#define SEED 7u

static const double PI = 3.14159265358979323846;

/* ---- sound to push --------------------------------------------------------------------------------------------------- */

typedef struct {
    float *samples;
    size_t n;
} sound;

static float *more(sound *s, double seconds)
{
    const size_t n = (size_t)(seconds * RATE);
    s->samples = realloc(s->samples, (s->n + n) * sizeof *s->samples);
    assert_non_null(s->samples);
    float *fresh = s->samples + s->n;
    memset(fresh, 0, n * sizeof *fresh);
    s->n += n;
    return fresh;
}

static void add_silence(sound *s, double seconds)
{
    (void)more(s, seconds);
}

/* Words of a reader without a pause: they begin 1.28 s into the recording and go on for 1.6 s. */
static void add_speech(sound *s, double seconds, float gain)
{
    vx_audio audio = clip_audio("reader1_a.flac");
    const size_t start = (size_t)(1.28 * RATE), n = (size_t)(seconds * RATE);
    assert_true(start + n <= audio.n);
    float *fresh = more(s, seconds);
    for (size_t i = 0; i < n; i++)
        fresh[i] = gain * audio.samples[start + i];
    vx_audio_done(&audio);
}

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-52 - 1;
}

static void add_noise(sound *s, double seconds, float gain)
{
    uint64_t state = SEED;
    float *fresh = more(s, seconds);
    for (size_t i = 0; i < (size_t)(seconds * RATE); i++)
        fresh[i] = gain * (float)uniform(&state);
}

/* ---- what the detector says of it ------------------------------------------------------------------------------------ */

typedef struct {
    vx_vad_frame events[MAX_EVENTS]; /* START and END */
    size_t at[MAX_EVENTS];           /* the push that told them */
    size_t n_events;
    float *probabilities; /* [n / VX_VAD_FRAME] */
    double highest;
} told;

static vx_vad *create(const vx_vad_params *params)
{
    vx_vad *vad = NULL;
    const vx_vad_params usual = vx_vad_params_default();
    assert_int_equal(vx_vad_create(params != NULL ? params : &usual, &vad), VX_OK);
    return vad;
}

/* Pushes a sound and as much silence as it takes to hear its end. */
static told push_all(vx_vad *vad, const sound *s)
{
    told t = {.probabilities = calloc(s->n / VX_VAD_FRAME + 1, sizeof(float))};
    assert_non_null(t.probabilities);
    const size_t n_frames = s->n / VX_VAD_FRAME;
    bool inside = false;
    for (size_t i = 0; i < n_frames + VX_VAD_DELAY; i++) {
        static const float silence[VX_VAD_FRAME];
        vx_vad_frame frame;
        vx_vad_push(vad, i < n_frames ? s->samples + i * VX_VAD_FRAME : silence, &frame);
        assert_true(frame.probability >= 0 && frame.probability <= 1);
        assert_true(frame.level_dbfs >= -120 && frame.level_dbfs <= 20 && frame.noise_dbfs >= -120);
        if (i < VX_VAD_DELAY)
            assert_true(frame.event == VX_VAD_SILENCE && frame.probability <= 0);
        else
            t.probabilities[i - VX_VAD_DELAY] = (float)frame.probability;
        t.highest = fmax(t.highest, frame.probability);
        assert_int_equal(frame.event == VX_VAD_START || frame.event == VX_VAD_SPEECH, frame.speech);
        if (frame.event == VX_VAD_START || frame.event == VX_VAD_END) {
            assert_int_equal(inside, frame.event == VX_VAD_END);
            inside = !inside;
            assert_true(t.n_events < MAX_EVENTS);
            t.at[t.n_events] = i;
            t.events[t.n_events++] = frame;
        }
    }
    return t;
}

static told hear(const sound *s, const vx_vad_params *params)
{
    vx_vad *vad = create(params);
    const told t = push_all(vad, s);
    vx_vad_destroy(vad);
    return t;
}

static void near(size_t samples, double expected_s, double within_s)
{
    const double seconds = (double)samples / RATE;
    if (fabs(seconds - expected_s) > within_s)
        fail_msg("at %.3f s, expected %.3f s within %.3f s", seconds, expected_s, within_s);
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

/* The largest difference seen is 2e-4: two Fourier transforms, and sums in another order, over 350 steps of feedback. */
static void network_is_the_trained_one(void **state)
{
    (void)state;
    npy golden;
    assert_true(npy_load("tests/data/vad/reader1_a.npy", &golden));
    vx_audio audio = clip_audio("reader1_a.flac");
    const sound s = {audio.samples, audio.n};
    told t = hear(&s, NULL);
    assert_int_equal(golden.n_values, audio.n / VX_VAD_FRAME);
    double worst = 0;
    for (size_t i = 0; i < golden.n_values; i++)
        worst = fmax(worst, fabs((double)(t.probabilities[i] - golden.data[i])));
    if (worst > 2e-3)
        fail_msg("off by %g", worst);
    free(t.probabilities);
    npy_done(&golden);
    vx_audio_done(&audio);
}

static void one_utterance_with_padding(void **state)
{
    (void)state;
    sound s = {0};
    add_silence(&s, 1.0);
    add_speech(&s, 1.5, 1);
    add_silence(&s, 2.0);
    told t = hear(&s, NULL);
    const vx_vad_params usual = vx_vad_params_default();
    assert_int_equal(t.n_events, 2);
    assert_int_equal(t.events[0].begin, t.events[1].begin);
    near(t.events[1].begin, 1.0 - usual.padding_ms / 1e3, 0.06);
    near(t.events[1].end, 2.5 + usual.padding_ms / 1e3, 0.12);
    /* Told as soon as the look-ahead and the parameters allow. */
    near(t.at[0] * VX_VAD_FRAME, 1.0 + usual.start_ms / 1e3 + 0.01 * VX_VAD_DELAY, 0.06);
    near(t.at[1] * VX_VAD_FRAME, 2.5 + usual.hang_ms / 1e3 + 0.01 * VX_VAD_DELAY, 0.12);
    free(t.probabilities);

    /* The same utterance, cut closely. */
    vx_vad_params tight = usual;
    tight.padding_ms = 0;
    const told u = hear(&s, &tight);
    assert_int_equal(u.events[1].begin, t.events[1].begin + (size_t)usual.padding_ms * 16);
    assert_int_equal(u.events[1].end, t.events[1].end - (size_t)usual.padding_ms * 16);
    free(u.probabilities);
    free(s.samples);
}

static void pauses_join_or_part(void **state)
{
    (void)state;
    static const struct {
        double pause_s;
        int start_ms, hang_ms;
        size_t n_events;
    } cases[] = {{0.1, 100, 500, 2}, {0.3, 100, 500, 2}, {1.0, 100, 500, 4}, {2.0, 100, 500, 4}, {0.3, 300, 100, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sound s = {0};
        add_silence(&s, 0.5);
        add_speech(&s, 1.0, 1);
        add_silence(&s, cases[i].pause_s);
        add_speech(&s, 1.0, 1);
        add_silence(&s, 1.5);
        const vx_vad_params params = {0.5, cases[i].start_ms, cases[i].hang_ms, 0};
        const told t = hear(&s, &params);
        if (t.n_events != cases[i].n_events)
            fail_msg("a pause of %.1f s: %zu events", cases[i].pause_s, t.n_events);
        for (size_t k = 3; k < t.n_events; k += 2)
            assert_true(t.events[k - 2].end <= t.events[k].begin);
        if (t.n_events == 4)
            near(t.events[3].begin, 1.5 + cases[i].pause_s, 0.1);
        free(t.probabilities);
        free(s.samples);
    }
}

/* With long padding and little hang the padding ends at what has been heard, and never reaches into the one before. */
static void padding_stays_within(void **state)
{
    (void)state;
    const vx_vad_params params = {.threshold = 0.5, .start_ms = 50, .hang_ms = 100, .padding_ms = 2000};
    sound s = {0};
    for (int i = 0; i < 3; i++) {
        add_silence(&s, 0.4);
        add_speech(&s, 0.8, 1);
    }
    add_silence(&s, 0.5);
    const told t = hear(&s, &params);
    assert_true(t.n_events >= 4);
    assert_int_equal(t.events[0].begin, 0);
    for (size_t i = 1; i < t.n_events; i += 2) {
        assert_true(t.events[i].begin < t.events[i].end);
        assert_true(t.events[i].end <= (t.at[i] + 1) * VX_VAD_FRAME);
        if (i > 1)
            assert_true(t.events[i].begin >= t.events[i - 2].end);
    }
    free(t.probabilities);
    free(s.samples);
}

/* Speech of this reader lies near -20 dBFS: from -50 to 0 dBFS. */
static void level_changes_nothing(void **state)
{
    (void)state;
    sound s = {0};
    add_noise(&s, 0.5, 5e-3F);
    add_speech(&s, 1.6, 1);
    add_noise(&s, 1.0, 5e-3F);
    const told usual = hear(&s, NULL);
    assert_int_equal(usual.n_events, 2);
    for (double db = -30; db <= 20; db += 5) {
        sound other = {0};
        float *samples = more(&other, (double)s.n / RATE);
        for (size_t i = 0; i < s.n; i++)
            samples[i] = s.samples[i] * (float)pow(10, db / 20);
        const told t = hear(&other, NULL);
        double worst = 0;
        for (size_t i = 0; i < s.n / VX_VAD_FRAME; i++)
            worst = fmax(worst, fabs((double)(t.probabilities[i] - usual.probabilities[i])));
        if (t.n_events != 2 || t.events[1].begin != usual.events[1].begin || worst > 0.1)
            fail_msg("%+.0f dB: %zu events, probabilities off by %.3f", db, t.n_events, worst);
        near(t.events[1].end, (double)usual.events[1].end / RATE, 0.02);
        free(t.probabilities);
        free(other.samples);
    }
    free(usual.probabilities);
    free(s.samples);
}

/* What no voice is, for two seconds, then a voice. */
typedef enum { ZEROS, CONSTANT, STEPS, CLICKS, HISS, HUM, TONE, NOT_NUMBERS, ENDLESS, HUGE_NUMBERS, N_KINDS } kind;
static const char *const KINDS[N_KINDS] = {"zeros", "a constant",  "steps", "clicks",   "hiss",
                                           "hum",   "a pure tone", "NaN",   "infinity", "1e30"};

static float sample_of(kind what, size_t i, uint64_t *state)
{
    const double t = (double)i / RATE;
    switch (what) {
    case CONSTANT: return 0.5F;
    case STEPS: return i / 4000 % 2 != 0 ? 0.3F : -0.3F;
    case CLICKS: return i % 4000 == 0 ? 0.9F : 0;
    case HISS: return 0.02F * (float)uniform(state);
    case HUM: return (float)(0.1 * sin(2 * PI * 50 * t) + 0.05 * sin(2 * PI * 150 * t));
    case TONE: return (float)(0.1 * sin(2 * PI * 1000 * t));
    case NOT_NUMBERS: return NAN;
    case ENDLESS: return i % 2 != 0 ? INFINITY : -INFINITY;
    case HUGE_NUMBERS: return i / 4000 % 2 != 0 ? 1e30F : -1e30F;
    default: return 0;
    }
}

static void nothing_where_nobody_speaks(void **state)
{
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        sound s = {0};
        uint64_t seed = SEED;
        float *samples = more(&s, 2.0);
        for (size_t i = 0; i < 2 * RATE; i++)
            samples[i] = sample_of((kind)k, i, &seed);
        add_silence(&s, 1.0);
        add_speech(&s, 1.5, 1);
        add_silence(&s, 1.5);
        const told t = hear(&s, NULL);
        if (t.n_events != 2 || t.events[0].begin < (size_t)(2.5 * RATE))
            fail_msg("after %s: %zu events, the first from %.2f s", KINDS[k], t.n_events,
                     (double)t.events[0].begin / RATE);
        free(t.probabilities);
        free(s.samples);
    }
}

/* Levels are those above 80 Hz: a microphone's offset is no voice and no noise. */
static void levels_are_true(void **state)
{
    (void)state;
    sound s = {0};
    float *samples = more(&s, 1.0);
    for (size_t i = 0; i < RATE; i++)
        samples[i] = (float)(0.3 + 0.1 * sin(2 * PI * 1000 * (double)i / RATE));
    vx_vad *vad = create(NULL);
    vx_vad_frame frame;
    for (size_t i = 0; i < 80; i++)
        vx_vad_push(vad, s.samples + i * VX_VAD_FRAME, &frame);
    assert_true(fabs(frame.level_dbfs - 20 * log10(0.1 / sqrt(2))) < 0.01);
    vx_vad_destroy(vad);
    free(s.samples);
}

static void reset_is_a_fresh_start(void **state)
{
    (void)state;
    sound s = {0};
    add_noise(&s, 0.3, 0.01F);
    add_speech(&s, 1.5, 1);
    vx_vad *vad = create(NULL);
    const told first = push_all(vad, &s); /* ends within an utterance */
    vx_vad_frame frame;
    vx_vad_push(vad, s.samples + s.n - VX_VAD_FRAME, &frame);
    vx_vad_reset(vad);
    const told second = push_all(vad, &s);
    assert_memory_equal(first.probabilities, second.probabilities, s.n / VX_VAD_FRAME * sizeof(float));
    assert_int_equal(first.n_events, second.n_events);
    assert_int_equal(first.events[0].begin, second.events[0].begin);
    vx_vad_destroy(vad);
    free(first.probabilities);
    free(second.probabilities);
    free(s.samples);
}

static void parameters_have_bounds(void **state)
{
    (void)state;
    static const struct {
        vx_vad_params params;
        vx_err err;
    } cases[] = {
        {{0.5, 100, 500, 200}, VX_OK},          {{0.01, 10, 10, 0}, VX_OK},
        {{0.99, 10000, 10000, 10000}, VX_OK},   {{0, 100, 500, 200}, VX_ERR_RANGE},
        {{1, 100, 500, 200}, VX_ERR_RANGE},     {{NAN, 100, 500, 200}, VX_ERR_RANGE},
        {{0.5, 9, 500, 200}, VX_ERR_RANGE},     {{0.5, 100, 0, 200}, VX_ERR_RANGE},
        {{0.5, 100, 500, -1}, VX_ERR_RANGE},    {{0.5, 10001, 500, 200}, VX_ERR_RANGE},
        {{0.5, 100, 10001, 200}, VX_ERR_RANGE}, {{0.5, 100, 500, 10001}, VX_ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_vad *vad = NULL;
        if (vx_vad_create(&cases[i].params, &vad) != cases[i].err)
            fail_msg("case %zu", i);
        assert_int_equal(vad != NULL, cases[i].err == VX_OK);
        vx_vad_destroy(vad);
    }
    vx_vad_destroy(NULL);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    const vx_vad_params params = vx_vad_params_default();
    vx_vad *vad = NULL;
    const vx_err err = vx_vad_create(&params, &vad);
    vx_vad_destroy(vad);
    return err;
}

static void create_survives_failed_allocations(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

static void push_allocates_nothing(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_vad *vad = create(NULL);
    const float block[VX_VAD_FRAME] = {0.1F};
    vx_vad_frame frame;
    vx_alloc_fail_at(0);
    for (int i = 0; i < 100; i++)
        vx_vad_push(vad, block, &frame);
    vx_vad_reset(vad);
    assert_int_equal(vx_alloc_count(), 0);
    vx_vad_destroy(vad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(network_is_the_trained_one),
        cmocka_unit_test(one_utterance_with_padding),
        cmocka_unit_test(pauses_join_or_part),
        cmocka_unit_test(padding_stays_within),
        cmocka_unit_test(level_changes_nothing),
        cmocka_unit_test(nothing_where_nobody_speaks),
        cmocka_unit_test(levels_are_true),
        cmocka_unit_test(reset_is_a_fresh_start),
        cmocka_unit_test(parameters_have_bounds),
        cmocka_unit_test(create_survives_failed_allocations),
        cmocka_unit_test(push_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
