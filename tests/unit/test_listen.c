/* test_listen.c - one utterance out of a stream: found whole, with the room before it, ended when the speaker fell silent;
 * and every way in which there is none.
 */
#include "edge/capture/listen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/fake_source.h"
#include "tests/support/speech_mix.h"
#include "tests/support/stats.h"

#define SEED         9u
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { RATE = 16000 };

static const char *const CLIPS[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac",
                                    "reader3_a.flac", "reader3_b.flac", "reader4_a.flac", "reader4_b.flac"};

/* ---- sound ------------------------------------------------------------------------------------------------------ */

typedef struct {
    float *samples;
    size_t n;
} sound;

static float *more(sound *s, size_t n)
{
    s->samples = realloc(s->samples, (s->n + n) * sizeof *s->samples);
    assert_non_null(s->samples);
    s->n += n;
    memset(s->samples + s->n - n, 0, n * sizeof *s->samples);
    return s->samples + s->n - n;
}

/* Hiss at -66 dBFS, as a quiet room has. */
static void add_room(sound *s, double seconds)
{
    static uint64_t random = SEED;
    const size_t n = (size_t)(seconds * RATE);
    float *fresh = more(s, n);
    for (size_t i = 0; i < n; i++)
        fresh[i] = (float)(((double)(stats_random(&random) >> 11) * 0x1p-52 - 1) * 0.0009);
}

/* Where in a recording speech ends, in frames: by the rule of docs/vad.md, less what is too short for a word (100 ms): lips
 * that open or close. */
static size_t end_of_speech(const vx_audio *audio)
{
    const size_t n = audio->n / MIX_FRAME;
    double *powers = calloc(n, sizeof *powers);
    bool *speech = calloc(n, sizeof *speech);
    assert_true(powers != NULL && speech != NULL);
    mix_powers(audio->samples, n, powers);
    mix_label(powers, n, speech);
    size_t end = n, run = 0;
    while (end > 0 && run < 10) {
        for (end -= run; end > 0 && !speech[end - 1]; end--)
            ;
        for (run = 0; run < end && speech[end - 1 - run]; run++)
            ;
    }
    free(powers);
    free(speech);
    return end;
}

/* A second of speech without a pause, from 1.28 s of the recording on. */
static void add_words(sound *s, double seconds)
{
    vx_audio audio = clip_audio("reader1_a.flac");
    const size_t start = (size_t)(1.28 * RATE), n = (size_t)(seconds * RATE);
    assert_true(start + n <= audio.n);
    memcpy(more(s, n), audio.samples + start, n * sizeof *audio.samples);
    vx_audio_done(&audio);
}

/* ---- listening to it -------------------------------------------------------------------------------------------- */

typedef struct {
    fake_step steps[4];
    vx_capture *capture;
    vx_vad *vad;
} rig;

static void rig_begin(rig *r, const vx_capture_source *source, const sound *s)
{
    const vx_capture_options none = {0};
    const vx_vad_params params = vx_vad_params_default();
    r->steps[0] = (fake_step){.rate = RATE, .channels = 1, .device = "Mic", .samples = s->samples, .n_frames = s->n};
    fake_play(r->steps, 1, 333);
    assert_int_equal(vx_capture_open_on(source, &none, &r->capture, NULL), VX_OK);
    assert_int_equal(vx_vad_create(&params, &r->vad), VX_OK);
}

static void rig_end(rig *r, sound *s)
{
    vx_capture_close(r->capture);
    vx_vad_destroy(r->vad);
    free(s->samples);
}

static const vx_listen_options usual = {.wait_s = 5, .most_s = 10, .before_s = 0.5};

static void an_utterance_is_found_with_the_room_around(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard;
    add_room(&s, 2);
    add_words(&s, 1.6);
    add_room(&s, 2);
    rig_begin(&r, &fake_file, &s);
    assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_OK);
    /* The padding of the detector, 0.2 s, lies within begin and end. */
    const double before = (double)heard.begin / RATE, length = (double)(heard.end - heard.begin) / RATE;
    assert_true(fabs(before - 0.5) < 0.01);
    assert_true(length > 1.6 && length < 2.2);
    assert_true(heard.n >= heard.end);
    /* The samples are those of the source, in their order. */
    size_t at = 0;
    while (at + heard.n <= s.n && memcmp(heard.samples, s.samples + at, heard.n * sizeof(float)) != 0)
        at++;
    assert_true(at + heard.n <= s.n);
    assert_true(fabs((double)(at + heard.begin) / RATE - 1.8) < 0.1);
    vx_heard_done(&heard);
    assert_null(heard.samples);
    vx_heard_done(&heard);
    rig_end(&r, &s);
}

/* What was played while somebody seemed to speak is told, also where it has ended by the time that the end is noticed; what
 * ended before the first word is not. */
static void playback_during_the_words_is_told(void **state)
{
    (void)state;
    static const struct {
        double from_s, to_s;
        bool told;
    } cases[] = {{0, 0, false}, {0, 1.2, false}, {2, 3.6, true}, {2.8, 3, true}, {0, 5.6, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        sound s = {0};
        rig r;
        vx_heard heard;
        add_room(&s, 2);
        add_words(&s, 1.6);
        add_room(&s, 2);
        rig_begin(&r, &fake_file, &s);
        const size_t cuts[] = {0, (size_t)(cases[i].from_s * RATE), (size_t)(cases[i].to_s * RATE), s.n};
        for (int k = 0; k < 3; k++) {
            r.steps[k] = r.steps[0];
            r.steps[k].samples = s.samples + cuts[k];
            r.steps[k].n_frames = cuts[k + 1] - cuts[k];
            r.steps[k].playback = k == 1;
        }
        fake_play(r.steps, 3, 333);
        assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_OK);
        if (heard.playback != cases[i].told)
            fail_msg("%g to %g s: %d", cases[i].from_s, cases[i].to_s, heard.playback);
        vx_heard_done(&heard);
        rig_end(&r, &s);
    }
}

static void the_end_of_speech_is_known_to_30_ms(void **state)
{
    (void)state;
    double worst_ms = 0;
    for (size_t i = 0; i < COUNT(CLIPS); i++) {
        vx_audio audio = clip_audio(CLIPS[i]);
        /* Less what lies behind the last word: then the room behind it is ours. */
        const size_t end = end_of_speech(&audio);
        sound s = {0};
        rig r;
        vx_heard heard = {0};
        add_room(&s, 1);
        memcpy(more(&s, end * MIX_FRAME), audio.samples, end * MIX_FRAME * sizeof(float));
        const uint64_t last = s.n;
        add_room(&s, 1.5);
        rig_begin(&r, &fake_file, &s);
        vx_heard more_heard = {0};
        uint64_t ended_ns = 0, want_ns = 0;
        /* A recording may hold several utterances; the last one counts. Times are compared at one moment: of a file that
         * is not read in real time they move with the reading. */
        while (vx_hear(r.capture, r.vad, &usual, &more_heard, NULL) == VX_OK) {
            ended_ns = more_heard.ended_ns;
            want_ns = vx_capture_time_ns(r.capture, last);
            vx_heard_done(&heard);
            heard = more_heard;
        }
        const double off_ms = ((double)ended_ns - (double)want_ns) / 1e6;
        print_message("# %s: end of speech off by %+.0f ms\n", CLIPS[i], off_ms);
        worst_ms = fmax(worst_ms, fabs(off_ms));
        vx_heard_done(&heard);
        rig_end(&r, &s);
        vx_audio_done(&audio);
    }
    assert_true(worst_ms <= 30);
}

static void the_second_speaker_is_heard_after_the_first(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard;
    add_room(&s, 1);
    add_words(&s, 1);
    add_room(&s, 1.5);
    add_words(&s, 1.5);
    add_room(&s, 1.5);
    rig_begin(&r, &fake_file, &s);
    const double lengths[] = {1, 1.5};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_OK);
        const double length = (double)(heard.end - heard.begin) / RATE;
        assert_true(length > lengths[i] && length < lengths[i] + 0.6);
        vx_heard_done(&heard);
    }
    assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_ERR_CLOSED);
    rig_end(&r, &s);
}

static void speech_that_goes_on_is_cut_off(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard;
    const vx_listen_options shorter = {.wait_s = 5, .most_s = 1, .before_s = 0};
    add_room(&s, 1);
    for (int i = 0; i < 5; i++)
        add_words(&s, 1.6);
    rig_begin(&r, &fake_file, &s);
    assert_int_equal(vx_hear(r.capture, r.vad, &shorter, &heard, NULL), VX_OK);
    assert_int_equal(heard.begin, 0);
    assert_int_equal(heard.end, RATE);
    assert_true(heard.n >= heard.end && heard.n < heard.end + 2 * VX_VAD_FRAME);
    vx_heard_done(&heard);
    rig_end(&r, &s);
}

static void a_file_may_end_in_the_middle_of_a_word(void **state)
{
    (void)state;
    for (int odd = 0; odd < 2; odd++) {
        sound s = {0};
        rig r;
        vx_heard heard;
        add_room(&s, 1);
        add_words(&s, 1);
        s.n -= odd ? 77 : 0; /* no whole number of frames */
        rig_begin(&r, &fake_file, &s);
        assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_OK);
        assert_true(heard.end <= heard.n && heard.begin < heard.end);
        const size_t at = s.n - heard.n;
        assert_memory_equal(heard.samples, s.samples + at, heard.n * sizeof(float));
        vx_heard_done(&heard);
        rig_end(&r, &s);
    }
}

/* A device that stops in the middle ends an utterance within a second or so, and loses nothing. */
static void sound_that_stops_coming_ends_an_utterance(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard;
    add_room(&s, 1);
    add_words(&s, 1);
    rig_begin(&r, &fake_device, &s);
    assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_OK);
    assert_true(heard.end <= heard.n && heard.n <= s.n);
    vx_heard_done(&heard);
    rig_end(&r, &s);
}

static bool stop_at_once(void *arg, const vx_vad_frame *frame)
{
    (void)frame;
    return ++*(int *)arg < 20;
}

/* Every way to hear no utterance. */
static void nobody_speaks(void **state)
{
    (void)state;
    int n_metered = 0;
    const struct {
        const vx_capture_source *source;
        bool zeros;
        double seconds;
        vx_listen_options options;
        vx_err err;
        const char *word;
    } cases[] = {
        {&fake_file, false, 3, usual, VX_ERR_CLOSED, ""},
        {&fake_file, false, 7, usual, VX_ERR_DEADLINE, "within 5 seconds"},
        {&fake_device, false, 1, {.wait_s = 0.5, .most_s = 1}, VX_ERR_DEADLINE, "within 0.5 seconds"},
        {&fake_device, false, 0.1, {.wait_s = 0.2, .most_s = 1}, VX_ERR_DEADLINE, ""}, /* by the clock */
        {&fake_device, true, 2, {.wait_s = 1.2, .most_s = 1}, VX_ERR_AUDIO_SILENT, "Mic gives nothing but zeros"},
        {&fake_file, true, 2, usual, VX_ERR_AUDIO_SILENT, "recording"},
        {&fake_device,
         false,
         3,
         {.wait_s = 3, .most_s = 1, .meter = stop_at_once, .meter_arg = &n_metered},
         VX_ERR_CLOSED,
         "stopped"},
        {&fake_file,
         true,
         3,
         {.wait_s = 3, .most_s = 1, .meter = stop_at_once, .meter_arg = &n_metered},
         VX_ERR_CLOSED,
         "stopped"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        sound s = {0};
        rig r;
        vx_heard heard = {0};
        vx_errinfo info = {0};
        n_metered = 0;
        if (cases[i].zeros)
            (void)more(&s, (size_t)(cases[i].seconds * RATE));
        else
            add_room(&s, cases[i].seconds);
        rig_begin(&r, cases[i].source, &s);
        assert_int_equal(vx_hear(r.capture, r.vad, &cases[i].options, &heard, &info), cases[i].err);
        assert_int_equal(info.code, cases[i].err);
        assert_non_null(strstr(info.text, cases[i].word));
        assert_null(heard.samples);
        assert_int_equal(n_metered, cases[i].options.meter != NULL ? 20 : 0);
        rig_end(&r, &s);
    }
}

/* What a listener was told in pauses. */
typedef struct {
    int n_asked, ends_at; /* the first, second, ... pause ends it; 0: none does */
    size_t n[8];          /* samples so far */
    float begins_with;
} pauses;

static bool in_pause(void *arg, const float *samples, size_t n)
{
    pauses *p = arg;
    if (p->n_asked < (int)COUNT(p->n))
        p->n[p->n_asked] = n;
    p->begins_with = samples[0];
    return ++p->n_asked == p->ends_at;
}

/* Words, a pause of 0.3 s, words, silence: asked in both pauses, and ended where the listener says so. */
static void a_pause_may_end_it(void **state)
{
    (void)state;
    for (int ends_at = 0; ends_at <= 2; ends_at++) {
        sound s = {0};
        rig r;
        pauses p = {.ends_at = ends_at};
        vx_heard heard;
        add_room(&s, 1);
        add_words(&s, 0.6);
        add_room(&s, 0.3);
        add_words(&s, 0.6);
        add_room(&s, 2);
        rig_begin(&r, &fake_device, &s);
        vx_listen_options options = usual;
        options.pause = in_pause;
        options.pause_arg = &p;
        assert_int_equal(vx_hear(r.capture, r.vad, &options, &heard, NULL), VX_OK);
        assert_int_equal(p.n_asked, ends_at == 1 ? 1 : 2);
        assert_true(p.begins_with == heard.samples[heard.begin]); /* from the begin on */
        for (int i = 1; i < p.n_asked; i++)
            assert_true(p.n[i] > p.n[i - 1]);
        const size_t told = heard.begin + p.n[p.n_asked - 1];
        if (ends_at == 0) {
            assert_true(heard.n > told + RATE / 4); /* half a second of silence ended it */
        } else {
            assert_int_equal(heard.end, told);
            assert_int_equal(heard.n, told + RATE / 5); /* with the room that was heard meanwhile */
        }
        vx_heard_done(&heard);
        rig_end(&r, &s);
    }
}

static bool count_nothing(void *arg, const vx_vad_frame *frame)
{
    int *n = arg;
    assert_null(frame);
    return ++*n < 3;
}

/* A device that gives nothing at all: whoever listens is asked all the same. */
static void a_device_that_hangs_holds_nobody(void **state)
{
    (void)state;
    const vx_capture_options none = {0};
    const vx_vad_params params = vx_vad_params_default();
    /* It is lost, and does not come back. */
    static const fake_step steps[] = {{.rate = RATE, .channels = 1, .device = "Mic", .n_frames = 0},
                                      {.err = VX_ERR_IO, .n_no_opening = 1000}};
    vx_capture *capture = NULL;
    vx_vad *vad = NULL;
    vx_heard heard;
    int n = 0;
    const vx_listen_options options = {.wait_s = 60, .most_s = 5, .meter = count_nothing, .meter_arg = &n};
    fake_play(steps, COUNT(steps), 0);
    assert_int_equal(vx_capture_open_on(&fake_device, &none, &capture, NULL), VX_OK);
    assert_int_equal(vx_vad_create(&params, &vad), VX_OK);
    assert_int_equal(vx_hear(capture, vad, &options, &heard, NULL), VX_ERR_CLOSED);
    assert_int_equal(n, 3);
    vx_capture_close(capture);
    vx_vad_destroy(vad);
}

static void a_stopped_device_says_nothing_half(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard = {0};
    add_room(&s, 1);
    add_words(&s, 1);
    rig_begin(&r, &fake_device, &s);
    vx_capture_stop(r.capture);
    assert_int_equal(vx_hear(r.capture, r.vad, &usual, &heard, NULL), VX_ERR_CLOSED);
    assert_null(heard.samples);
    rig_end(&r, &s);
}

static void a_long_wait_keeps_little(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    vx_heard heard;
    const vx_listen_options patient = {.wait_s = INFINITY, .most_s = 1e9, .before_s = 1e9};
    add_room(&s, 200);
    add_words(&s, 1);
    add_room(&s, 1);
    rig_begin(&r, &fake_file, &s);
    assert_int_equal(vx_hear(r.capture, r.vad, &patient, &heard, NULL), VX_OK);
    assert_true(heard.n <= 60 * RATE);
    assert_int_equal(heard.begin, 30 * RATE);
    vx_heard_done(&heard);
    rig_end(&r, &s);
}

static vx_err try_hear(void *ctx)
{
    rig *r = ctx;
    vx_heard heard = {0};
    fake_play(r->steps, 1, 333);
    const vx_err err = vx_hear(r->capture, r->vad, &usual, &heard, NULL);
    vx_heard_done(&heard);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    sound s = {0};
    rig r;
    add_room(&s, 1);
    add_words(&s, 1);
    add_room(&s, 1);
    rig_begin(&r, &fake_file, &s);
    vx_alloc_fail_each(try_hear, &r);
    rig_end(&r, &s);
}

int main(void)
{
    print_message("# seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_utterance_is_found_with_the_room_around),
        cmocka_unit_test(playback_during_the_words_is_told),
        cmocka_unit_test(the_end_of_speech_is_known_to_30_ms),
        cmocka_unit_test(the_second_speaker_is_heard_after_the_first),
        cmocka_unit_test(speech_that_goes_on_is_cut_off),
        cmocka_unit_test(a_file_may_end_in_the_middle_of_a_word),
        cmocka_unit_test(sound_that_stops_coming_ends_an_utterance),
        cmocka_unit_test(nobody_speaks),
        cmocka_unit_test(a_pause_may_end_it),
        cmocka_unit_test(a_device_that_hangs_holds_nobody),
        cmocka_unit_test(a_stopped_device_says_nothing_half),
        cmocka_unit_test(a_long_wait_keeps_little),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
