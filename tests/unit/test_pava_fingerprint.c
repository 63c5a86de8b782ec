/* test_pava_fingerprint.c - a recording is known again by its landmarks, another one is not; and their bytes are hostile.
 * Rates on hundreds of recordings are bench_fingerprint's to measure; here are a few that must hold on every machine.
 */
#include "edge/pava/fingerprint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/guard.h"
#include "tests/support/stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { RATE = 16000, SEED = 20260214, TIMES = VX_LANDMARK_STEPS * VX_LANDMARK_FRAMES };

static const double PI = 3.14159265358979323846;

/* Ten recordings of four readers; no two hold the same sound. */
static const char *const READINGS[] = {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac", "reader1_d.flac",
                                       "reader2_a.flac", "reader2_b.flac", "reader2_c.flac", "reader2_d.flac",
                                       "reader3_a.flac", "reader4_a.flac"};

static vx_err take(const float *samples, size_t n, vx_fingerprint *ret)
{
    vx_spectrogram s;
    vx_err err = vx_spectrogram_compute(samples, n, &s);
    if (err != VX_OK)
        return err;
    err = vx_fingerprint_take(&s, ret, NULL);
    vx_spectrogram_done(&s);
    return err;
}

static vx_fingerprint take_some(const float *samples, size_t n)
{
    vx_fingerprint f = {0};
    assert_int_equal(take(samples, n, &f), VX_OK);
    return f;
}

static vx_fingerprint take_file(const char *name)
{
    vx_audio audio = clip_audio(name);
    vx_fingerprint f = take_some(audio.samples, audio.n);
    vx_audio_done(&audio);
    return f;
}

static double evidence(const vx_fingerprint *a, const vx_fingerprint *b)
{
    vx_fingerprint_match match;
    vx_fingerprint_compare(a, b, &match);
    assert_true(match.evidence >= 0 && match.evidence < 100 && match.n_agreeing >= 0);
    return match.evidence;
}

static double uniform(uint64_t *seed)
{
    return (double)(stats_random(seed) >> 11) / 9007199254740992.0;
}

/* ---- the same recording -------------------------------------------------------------------------------------------- */

static void a_file_recoded_is_the_same_recording(void **state)
{
    (void)state;
    static const char *const files[] = {"reader1_a.wav",
                                        "reader1_a.mp3",
                                        "reader1_a.ogg",
                                        "reader1_a.opus",
                                        "reader1_a_44k_stereo.flac",
                                        "reader1_a_44k_stereo_vbr.mp3",
                                        "reader1_a_8k_ulaw.wav"};
    vx_fingerprint original = take_file("reader1_a.flac");
    for (size_t i = 0; i < COUNT(files); i++) {
        vx_fingerprint f = take_file(files[i]);
        if (evidence(&original, &f) < VX_FINGERPRINT_SAME)
            fail_msg("%s: evidence %.2f", files[i], evidence(&original, &f));
        vx_fingerprint_done(&f);
    }
    vx_fingerprint_done(&original);
}

/* All in place; *n may fall. */
typedef void change(float *samples, size_t *n);

static void softer(float *samples, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        samples[i] *= 0.1F;
}

static void clipped(float *samples, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        samples[i] = fmaxf(-1, fminf(1, 8 * samples[i]));
}

/* At 5 dB below the whole recording. */
static void noisy(float *samples, size_t *n)
{
    uint64_t seed = SEED;
    double power = 0;
    for (size_t i = 0; i < *n; i++)
        power += (double)samples[i] * (double)samples[i] / (double)*n;
    const double width = sqrt(12 * power * 0.316);
    for (size_t i = 0; i < *n; i++)
        samples[i] += (float)(width * (uniform(&seed) - 0.5));
}

/* 24 dB an octave below 300 Hz, and a mean of four samples. */
static void filtered(float *samples, size_t *n)
{
    const float keep = (float)exp(-2 * PI * 300 / RATE);
    for (int pass = 0; pass < 4; pass++) {
        float in = 0, out = 0;
        for (size_t i = 0; i < *n; i++) {
            out = keep * (out + samples[i] - in);
            in = samples[i];
            samples[i] = out;
        }
    }
    for (size_t i = *n - 1; i >= 3; i--)
        samples[i] = (samples[i] + samples[i - 1] + samples[i - 2] + samples[i - 3]) / 4;
}

static void cut_out(float *samples, size_t *n)
{
    const size_t keep = 3 * RATE / 2;
    memmove(samples, samples + (*n - keep) / 2, keep * sizeof *samples);
    *n = keep;
}

/* 77 ms and a bit, earlier. */
static void shifted(float *samples, size_t *n)
{
    memmove(samples, samples + 1237, (*n - 1237) * sizeof *samples);
    *n -= 1237;
}

static void opus(float *samples, size_t *n)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    assert_int_equal(encode_audio_at(ENCODE_OPUS, samples, *n, RATE, 1, 0.976, &file), 0);
    assert_int_equal(vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL), VX_OK);
    *n = audio.n < *n ? audio.n : *n;
    memcpy(samples, audio.samples, *n * sizeof *samples);
    vx_audio_done(&audio);
    vx_buf_done(&file);
}

static void what_was_done_to_it_does_not_hide_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        change *how;
    } changes[] = {{"softer", softer},   {"clipped", clipped}, {"noisy", noisy}, {"filtered", filtered},
                   {"cut out", cut_out}, {"shifted", shifted}, {"opus", opus}};
    double least = 100;
    for (size_t i = 0; i < COUNT(READINGS); i++)
        for (size_t k = 0; k < COUNT(changes); k++) {
            vx_audio audio = clip_audio(READINGS[i]);
            vx_fingerprint original = take_some(audio.samples, audio.n);
            changes[k].how(audio.samples, &audio.n);
            vx_fingerprint f = take_some(audio.samples, audio.n);
            if (evidence(&f, &original) < VX_FINGERPRINT_SAME)
                fail_msg("%s, %s: evidence %.2f", READINGS[i], changes[k].name, evidence(&f, &original));
            least = fmin(least, evidence(&f, &original));
            vx_fingerprint_done(&f);
            vx_fingerprint_done(&original);
            vx_audio_done(&audio);
        }
    print_message("# least evidence of a replay %.2f, noise of seed %d\n", least, SEED);
}

/* A gain that rounds nothing changes nothing: not one landmark. */
static void gain_moves_no_landmark(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader2_a.flac");
    vx_fingerprint loud = take_some(audio.samples, audio.n);
    for (size_t i = 0; i < audio.n; i++)
        audio.samples[i] /= 64;
    vx_fingerprint soft = take_some(audio.samples, audio.n);
    assert_int_equal(soft.n, loud.n);
    assert_memory_equal(soft.landmarks, loud.landmarks, loud.n * sizeof *loud.landmarks);
    vx_fingerprint_done(&loud);
    vx_fingerprint_done(&soft);
    vx_audio_done(&audio);
}

static void the_delay_is_told(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader3_a.flac");
    vx_fingerprint whole = take_some(audio.samples, audio.n);
    static const int frames[] = {0, 1, 7, 50};
    for (size_t i = 0; i < COUNT(frames); i++) {
        const size_t skip = (size_t)frames[i] * VX_PAVA_HOP;
        vx_fingerprint_match match;
        vx_fingerprint rest = take_some(audio.samples + skip, audio.n - skip);
        vx_fingerprint_compare(&whole, &rest, &match);
        assert_int_equal(match.delay_frames, -frames[i]);
        vx_fingerprint_compare(&rest, &whole, &match);
        assert_int_equal(match.delay_frames, frames[i]);
        vx_fingerprint_done(&rest);
    }
    vx_fingerprint_done(&whole);
    vx_audio_done(&audio);
}

/* By straight lines between samples: worse than any player does it. */
static vx_fingerprint take_faster(const vx_audio *audio, double speed)
{
    const size_t n = (size_t)((double)(audio->n - 1) / speed);
    float *samples = malloc(n * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < n; i++) {
        const double at = (double)i * speed;
        const size_t before = (size_t)at;
        const float part = (float)(at - (double)before);
        samples[i] = (1 - part) * audio->samples[before] + part * audio->samples[before + 1];
    }
    vx_fingerprint taken = take_some(samples, n);
    free(samples);
    return taken;
}

static void other_speeds_are_the_same_recording(void **state)
{
    (void)state;
    static const double speeds[] = {0.955, 0.96, 0.975, 0.98, 0.99, 0.998, 1.002, 1.01, 1.02, 1.025, 1.04, 1.045};
    double least = 9;
    for (size_t r = 0; r < COUNT(READINGS); r++) {
        vx_audio audio = clip_audio(READINGS[r]);
        vx_fingerprint as_recorded = take_some(audio.samples, audio.n);
        for (size_t i = 0; i < COUNT(speeds); i++) {
            vx_fingerprint faster = take_faster(&audio, speeds[i]);
            const double e = fmin(evidence(&as_recorded, &faster), evidence(&faster, &as_recorded));
            if (e < VX_FINGERPRINT_SAME + 0.01) /* what only just agrees is no full accusation (pava_weights.inc) */
                fail_msg("%s at %g: evidence %.2f", READINGS[r], speeds[i], e);
            least = fmin(least, e);
            vx_fingerprint_done(&faster);
        }
        vx_fingerprint_done(&as_recorded);
        vx_audio_done(&audio);
    }
    print_message("# least evidence of other speeds %.2f\n", least);
}

/* ---- other recordings ---------------------------------------------------------------------------------------------- */

static void other_recordings_are_others(void **state)
{
    (void)state;
    vx_fingerprint all[COUNT(READINGS)];
    double most = 0;
    for (size_t i = 0; i < COUNT(READINGS); i++)
        all[i] = take_file(READINGS[i]);
    for (size_t i = 0; i < COUNT(READINGS); i++)
        for (size_t j = 0; j < COUNT(READINGS); j++) {
            const double e = evidence(&all[i], &all[j]);
            if ((e >= VX_FINGERPRINT_SAME) != (i == j))
                fail_msg("%s and %s: evidence %.2f", READINGS[i], READINGS[j], e);
            most = i == j ? most : fmax(most, e);
        }
    print_message("# most evidence of two recordings %.2f\n", most);
    for (size_t i = 0; i < COUNT(READINGS); i++)
        vx_fingerprint_done(&all[i]);
}

static void the_best_of_many_is_found(void **state)
{
    (void)state;
    vx_fingerprint all[COUNT(READINGS)];
    vx_fingerprint_match best, one;
    size_t which = 9;
    for (size_t i = 0; i < COUNT(READINGS); i++)
        all[i] = take_file(READINGS[i]);
    for (size_t i = 0; i < COUNT(READINGS); i++) {
        /* With itself among them, and without. */
        vx_fingerprint_find(&all[i], all, COUNT(READINGS), &best, &which);
        assert_int_equal(which, i);
        vx_fingerprint_find(&all[i], all + i + 1, COUNT(READINGS) - i - 1, &best, &which);
        double most = 0;
        for (size_t j = i + 1; j < COUNT(READINGS); j++)
            most = fmax(most, evidence(&all[i], &all[j]));
        assert_true(fabs(best.evidence - most) < 1e-12);
        if (i + 1 < COUNT(READINGS)) {
            vx_fingerprint_compare(&all[i], &all[i + 1 + which], &one);
            assert_memory_equal(&one, &best, sizeof one);
        }
    }
    vx_fingerprint_find(&all[0], NULL, 0, &best, &which);
    assert_true(best.evidence <= 0 && which == 0);
    for (size_t i = 0; i < COUNT(READINGS); i++)
        vx_fingerprint_done(&all[i]);
}

/* Whenever the time is over: never more than all of it would have found, and that it was over is said. */
static void a_search_ends_with_its_time(void **state)
{
    (void)state;
    enum { N = 400, DEADLINES = 12 };
    vx_fingerprint own[COUNT(READINGS)], heard[N];
    vx_fingerprint_match all, some;
    size_t which, n_late = 0, n_between = 0;
    for (size_t i = 0; i < COUNT(READINGS); i++)
        own[i] = take_file(READINGS[i]);
    for (size_t repeated = 0; repeated < 2; repeated++) {
        for (size_t i = 0; i < N; i++)
            heard[i] = own[1 + i % (COUNT(READINGS) - 1)];
        if (repeated)
            heard[N - 1] = own[0];
        const uint64_t start_ns = vx_now_ns();
        assert_true(vx_fingerprint_search(&own[0], heard, N, 0, &all, &which));
        const uint64_t all_ns = vx_now_ns() - start_ns;
        assert_true((all.evidence >= VX_FINGERPRINT_SAME) == (repeated == 1));
        assert_false(vx_fingerprint_search(&own[0], heard, N, 1, &some, &which));
        assert_true(some.evidence <= 0 && which == 0);
        for (uint64_t d = 0; d <= DEADLINES; d++) {
            const bool done =
                vx_fingerprint_search(&own[0], heard, N, vx_now_ns() + all_ns * d / DEADLINES, &some, &which);
            assert_true(some.evidence <= all.evidence && (!done || some.evidence >= all.evidence));
            n_late += !done;
            /* What is found at its own speed is looked for once, so that only a look between comparisons can end it. */
            n_between += !done && repeated && d > 0;
        }
    }
    assert_true(n_late >= 2 && n_between >= 1);
    for (size_t i = 0; i < COUNT(READINGS); i++)
        vx_fingerprint_done(&own[i]);
}

/* ---- landmarks made by hand ---------------------------------------------------------------------------------------- */

static int in_order(const void *a, const void *b)
{
    const vx_landmark *x = a, *y = b;
    return x->frequency != y->frequency ? (int)x->frequency - y->frequency : (int)x->time - y->time;
}

/* 220 landmarks of 3 s, of which the first n are given. */
static vx_fingerprint scatter(uint64_t *seed, const vx_landmark *given, size_t n)
{
    vx_fingerprint f = {.landmarks = malloc(220 * sizeof(vx_landmark)), .n = 220, .end = 1200};
    assert_non_null(f.landmarks);
    for (size_t i = 0; i < f.n; i++)
        f.landmarks[i] =
            i < n ? given[i] : (vx_landmark){(uint16_t)(uniform(seed) * 1200), (uint16_t)(32 + uniform(seed) * 768)};
    qsort(f.landmarks, f.n, sizeof *f.landmarks, in_order);
    return f;
}

/* Landmarks that agree all over three seconds make a replay; as many in one moment, or of one frequency, do not: a click, a beep,
 * a tone that pulses. */
static void what_agrees_must_be_spread(void **state)
{
    (void)state;
    enum { AGREEING = 24, ROUNDS = 50 };
    uint64_t seed = SEED;
    for (int round = 0; round < ROUNDS; round++) {
        vx_landmark apart[AGREEING], moment[AGREEING], tone[AGREEING];
        for (int i = 0; i < AGREEING; i++) {
            apart[i] = (vx_landmark){(uint16_t)(uniform(&seed) * 1200), (uint16_t)(32 + uniform(&seed) * 768)};
            moment[i] = (vx_landmark){(uint16_t)(604 + i / 4), (uint16_t)(40 + 30 * i)};
            tone[i] = (vx_landmark){(uint16_t)(20 + 48 * i), 478};
        }
        const vx_landmark *const given[] = {apart, moment, tone};
        for (size_t k = 0; k < COUNT(given); k++) {
            vx_fingerprint a = scatter(&seed, given[k], AGREEING), b = scatter(&seed, given[k], AGREEING);
            if ((evidence(&a, &b) >= VX_FINGERPRINT_SAME) != (k == 0))
                fail_msg("kind %zu, round %d: evidence %.2f", k, round, evidence(&a, &b));
            vx_fingerprint_done(&a);
            vx_fingerprint_done(&b);
        }
    }
}

/* The ends of time and frequency, and as many as there may be, on a stack that ASan watches. */
static void the_ends_are_within(void **state)
{
    (void)state;
    vx_fingerprint f = {.landmarks = calloc(VX_FINGERPRINT_LANDMARKS, sizeof(vx_landmark)),
                        .n = VX_FINGERPRINT_LANDMARKS,
                        .end = TIMES};
    assert_non_null(f.landmarks);
    for (size_t i = 0; i < f.n; i++)
        f.landmarks[i] = (vx_landmark){(uint16_t)(i % 2 ? TIMES - 1 : 0),
                                       (uint16_t)(i < f.n / 2 ? 0 : VX_LANDMARK_STEPS * VX_PAVA_BINS - 1)};
    qsort(f.landmarks, f.n, sizeof *f.landmarks, in_order);
    vx_fingerprint last = {.landmarks = &f.landmarks[f.n - 1], .n = 1, .end = TIMES}, none = {0};
    (void)evidence(&f, &f);
    (void)evidence(&f, &last);
    (void)evidence(&last, &f);
    assert_true(evidence(&f, &none) <= 0);
    assert_true(evidence(&none, &f) <= 0);
    assert_true(evidence(&none, &none) <= 0);
    vx_fingerprint_done(&f);
    vx_fingerprint_done(&f);
}

/* ---- what is no recording of a voice -------------------------------------------------------------------------------- */

static float *make(size_t n, int what)
{
    uint64_t seed = SEED;
    float *samples = calloc(n, sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < n; i++)
        switch (what) {
        case 0: break;
        case 1: samples[i] = 0.5F; break;
        case 2: samples[i] = (float)(0.5 * sin(2 * PI * 440 * (double)i / RATE)); break;
        case 3: samples[i] = i == n / 2 ? 1 : 0; break;
        case 4: samples[i] = (float)(uniform(&seed) - 0.5); break;
        case 5: samples[i] = i / 40 % 2 ? 1 : -1; break;
        default: samples[i] = 1e18F * (float)(uniform(&seed) - 0.5); break;
        }
    return samples;
}

static void what_has_no_landmarks_says_so(void **state)
{
    (void)state;
    static const size_t lengths[] = {VX_PAVA_WINDOW, 4800, 3 * RATE, 60 * RATE};
    static const char *const names[] = {"silence", "a constant", "a tone",    "a click",
                                        "noise",   "a square",   "loud noise"};
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t k = 0; k < COUNT(names); k++) {
            float *samples = make(lengths[i], (int)k);
            vx_fingerprint f = {0};
            const vx_err err = take(samples, lengths[i], &f);
            const bool may = k >= 4; /* noise has peaks, if few */
            if (err != VX_ERR_NOT_FOUND && !(may && (err == VX_OK || err == VX_ERR_RANGE)))
                fail_msg("%s of %zu samples: %s, %zu landmarks", names[k], lengths[i], vx_err_code(err), f.n);
            assert_true(f.n <= VX_FINGERPRINT_LANDMARKS);
            vx_fingerprint_done(&f);
            free(samples);
        }
}

/* A minute has the strongest of its landmarks, and is still found in itself and in what was cut out of it. */
static void a_minute_has_its_strongest(void **state)
{
    (void)state;
    float *samples = calloc(60 * RATE, sizeof *samples);
    size_t n = 0;
    assert_non_null(samples);
    for (size_t i = 0; n < 60 * RATE; i++) {
        vx_audio audio = clip_audio(READINGS[i % COUNT(READINGS)]);
        const size_t more = audio.n < 60 * RATE - n ? audio.n : 60 * RATE - n;
        const float gain = (float)pow(0.9, (double)i); /* a second time is no copy */
        for (size_t k = 0; k < more; k++)
            samples[n + k] = gain * audio.samples[k];
        n += more;
        vx_audio_done(&audio);
    }
    vx_fingerprint minute = take_some(samples, n), part = take_some(samples + 20 * RATE + 77, 6 * RATE);
    assert_true(minute.n > VX_FINGERPRINT_LANDMARKS / 2 && minute.n <= VX_FINGERPRINT_LANDMARKS);
    assert_true(evidence(&minute, &minute) >= VX_FINGERPRINT_SAME);
    assert_true(evidence(&part, &minute) >= VX_FINGERPRINT_SAME);
    vx_fingerprint_done(&minute);
    vx_fingerprint_done(&part);
    free(samples);
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static void bytes_are_read_back(void **state)
{
    (void)state;
    vx_fingerprint f = take_file("reader4_a.flac"), back = {0};
    const size_t n = vx_fingerprint_size(&f);
    guard bytes = guard_alloc(n);
    vx_fingerprint_pack(&f, bytes.data);
    assert_int_equal(vx_fingerprint_unpack(bytes.data, n, &back), VX_OK);
    assert_int_equal(back.n, f.n);
    assert_int_equal(back.end, f.end);
    assert_memory_equal(back.landmarks, f.landmarks, f.n * sizeof *f.landmarks);
    vx_fingerprint_done(&back);
    vx_fingerprint_done(&f);
    guard_free(&bytes);
}

static void hostile_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t good[] = {'F', 'P', 1, 0, 1, 0, 2, 0, 3, 0, 4, 0, 9, 0, 4, 0};
    static const struct {
        const char *why;
        size_t n, at;
        uint16_t value;
    } cases[] = {
        {"other magic", sizeof good, 0, 'f'},  {"cut off", sizeof good - 1, 0, 'F' | 'P' << 8},
        {"no landmark", 4, 0, 'F' | 'P' << 8}, {"no head", 3, 0, 'F' | 'P' << 8},
        {"nothing", 0, 0, 'F' | 'P' << 8},     {"frequencies fall", sizeof good, 6, 5},
        {"times fall", sizeof good, 12, 2},    {"one is there twice", sizeof good, 12, 3},
        {"too late", sizeof good, 12, TIMES},  {"too high", sizeof good, 14, VX_LANDMARK_STEPS * VX_PAVA_BINS},
    };
    vx_fingerprint f = {0};
    assert_int_equal(vx_fingerprint_unpack(good, sizeof good, &f), VX_OK);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.end, 10);
    vx_fingerprint_done(&f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        guard bytes = guard_alloc(cases[i].n > 0 ? cases[i].n : 1);
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[cases[i].at] = (uint8_t)cases[i].value;
        if (cases[i].value > 255)
            bad[cases[i].at + 1] = (uint8_t)(cases[i].value >> 8);
        memcpy(bytes.data, bad, cases[i].n);
        if (vx_fingerprint_unpack(bytes.data, cases[i].n, &f) != VX_ERR_STORE_CORRUPT)
            fail_msg("%s: taken", cases[i].why);
        assert_null(f.landmarks);
        guard_free(&bytes);
    }
    /* Of another version nothing is read but that. */
    static const uint8_t others[][5] = {{'F', 'P', 0, 0}, {'F', 'P', 2, 0}, {'F', 'P', 1, 1}, {'F', 'P', 9, 0, 7}};
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(vx_fingerprint_unpack(others[i], 4 + i % 2, &f), VX_ERR_STORE_VERSION);
    assert_null(f.landmarks);
    const size_t many = 4 + 4 * (VX_FINGERPRINT_LANDMARKS + 1);
    uint8_t *bytes = calloc(many, 1);
    assert_non_null(bytes);
    memcpy(bytes, good, 4);
    for (size_t at = 4; at < many; at += 4) {
        bytes[at] = (uint8_t)(at / 4);
        bytes[at + 1] = (uint8_t)(at / 4 >> 8);
    }
    assert_int_equal(vx_fingerprint_unpack(bytes, many - 4, &f), VX_OK);
    vx_fingerprint_done(&f);
    assert_int_equal(vx_fingerprint_unpack(bytes, many, &f), VX_ERR_STORE_CORRUPT);
    free(bytes);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static vx_err take_and_unpack(void *ctx)
{
    vx_fingerprint f = {0}, back = {0};
    uint8_t bytes[4 + 4 * VX_FINGERPRINT_LANDMARKS];
    vx_err err = vx_fingerprint_take(ctx, &f, NULL);
    if (err == VX_OK) {
        vx_fingerprint_pack(&f, bytes);
        err = vx_fingerprint_unpack(bytes, vx_fingerprint_size(&f), &back);
    }
    vx_fingerprint_done(&f);
    vx_fingerprint_done(&back);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_spectrogram s;
    assert_int_equal(vx_spectrogram_compute(audio.samples, audio.n, &s), VX_OK);
    vx_alloc_fail_each(take_and_unpack, &s);
    vx_spectrogram_done(&s);
    vx_audio_done(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_recoded_is_the_same_recording),
        cmocka_unit_test(what_was_done_to_it_does_not_hide_it),
        cmocka_unit_test(gain_moves_no_landmark),
        cmocka_unit_test(the_delay_is_told),
        cmocka_unit_test(other_speeds_are_the_same_recording),
        cmocka_unit_test(other_recordings_are_others),
        cmocka_unit_test(the_best_of_many_is_found),
        cmocka_unit_test(a_search_ends_with_its_time),
        cmocka_unit_test(what_agrees_must_be_spread),
        cmocka_unit_test(the_ends_are_within),
        cmocka_unit_test(what_has_no_landmarks_says_so),
        cmocka_unit_test(a_minute_has_its_strongest),
        cmocka_unit_test(bytes_are_read_back),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
