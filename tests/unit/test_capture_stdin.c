/* test_capture_stdin.c - standard input as a source: raw samples and WAV streams in pieces of any size, and damaged ones. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/capture/capture.h"
#include "edge/capture/wav_head.h"
#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"

#define SEED         5u
#define NS_PER_MS    1000000u
#define LONG_MS      20000 /* of a deadline that is never reached */
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { RATE = 16000 };

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * NS_PER_MS;
}

static vx_capture_state state_of(vx_capture *capture)
{
    vx_capture_state state;
    vx_capture_get_state(capture, &state);
    return state;
}

/* Reads to the end in pieces of random size; the number of samples. Freed by the caller. */
static float *read_all(vx_capture *capture, size_t cap, size_t *ret_n)
{
    uint64_t random = SEED;
    float *samples = calloc(cap, sizeof *samples);
    assert_non_null(samples);
    size_t n = 0, got = 0;
    vx_err err;
    do {
        const size_t want = 1 + stats_random(&random) % 1000;
        assert_true(cap - n >= want);
        got = 0;
        err = vx_capture_read(capture, samples + n, want, in_ms(LONG_MS), &got, NULL);
        n += got;
    } while (err == VX_OK);
    assert_int_equal(err, VX_ERR_CLOSED);
    assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(LONG_MS), &got, NULL), VX_ERR_CLOSED);
    *ret_n = n;
    return samples;
}

static vx_capture *open_path(const char *path)
{
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "file", .path = path};
    if (vx_capture_open(&options, &capture, &info) != VX_OK)
        fail_msg("%s: %s", path, info.text);
    return capture;
}

typedef struct {
    int to;
    const uint8_t *bytes;
    size_t n, piece;
} writer;

static void *write_all(void *arg)
{
    const writer *w = arg;
    for (size_t at = 0; at < w->n;) {
        const size_t m = w->n - at < w->piece ? w->n - at : w->piece;
        const ssize_t n = write(w->to, w->bytes + at, m);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(w->to);
    return NULL;
}

/* Opens a capture of standard input, into which a thread writes; whole_read ends both. */
typedef struct {
    int saved, from;
    writer w;
    pthread_t thread;
    vx_capture *capture;
} piped;

static piped pipe_begin(const void *bytes, size_t n, size_t piece)
{
    piped p = {.saved = dup(STDIN_FILENO)};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_true(dup2(fds[0], STDIN_FILENO) >= 0);
    close(fds[0]);
    p.w = (writer){.to = fds[1], .bytes = bytes, .n = n, .piece = piece};
    p.capture = open_path("-");
    return p;
}

static void pipe_end(piped *p)
{
    vx_capture_close(p->capture);
    assert_true(dup2(p->saved, STDIN_FILENO) >= 0); /* the writer, if it still writes, gets an error */
    close(p->saved);
    pthread_join(p->thread, NULL);
}

static void raw_bytes_are_int16_at_16_khz(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_buf raw = clip_s16(audio.samples, audio.n);
    static const size_t pieces[] = {1777, 1 << 16};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        piped p = pipe_begin(raw.data, raw.len - (i == 0), pieces[i]); /* once with half a sample at the end */
        assert_int_equal(pthread_create(&p.thread, NULL, write_all, &p.w), 0);
        size_t n = 0;
        float *samples = read_all(p.capture, audio.n + 1000, &n);
        assert_int_equal(n, audio.n - (i == 0));
        assert_memory_equal(samples, audio.samples, n * sizeof *samples);
        free(samples);
        pipe_end(&p);
    }
    vx_buf_done(&raw);
    vx_audio_done(&audio);
}

static void put_le(uint8_t *p, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

/* A WAV stream of a ramp in two channels, with a chunk before the sound that says nothing of it.
 * size: what the data chunk claims */
static size_t make_wav(uint8_t *out, unsigned tag, unsigned bits, uint32_t rate, uint32_t size, size_t n_frames)
{
    const unsigned width = bits / 8, channels = 2;
    size_t at = 0;
    memcpy(out, "RIFF\xff\xff\xff\xffWAVEJUNK\x03\0\0\0abc\0fmt ", 28);
    at = 28;
    put_le(out + at, 16, 4);
    put_le(out + at + 4, tag, 2);
    put_le(out + at + 6, channels, 2);
    put_le(out + at + 8, rate, 4);
    put_le(out + at + 12, rate * channels * width, 4);
    put_le(out + at + 16, channels * width, 2);
    put_le(out + at + 18, bits, 2);
    at += 20;
    memcpy(out + at, "data", 4);
    put_le(out + at + 4, size, 4);
    at += 8;
    for (size_t i = 0; i < n_frames * channels; i++, at += width) {
        const double x = ((double)(i / channels % 200) - 100) / 128; /* a multiple of 1/128: exact in every format */
        const float f = (float)x;
        uint32_t float_bits;
        memcpy(&float_bits, &f, sizeof float_bits);
        const int64_t whole = bits == 8 ? (int64_t)(x * 128) + 128 : (int64_t)(x * ldexp(1, (int)bits - 1));
        put_le(out + at, tag == 3 ? float_bits : (uint64_t)whole, width);
    }
    return at;
}

static void a_wav_stream_has_any_format_and_no_end(void **state)
{
    (void)state;
    static const struct {
        unsigned tag, bits;
        uint32_t claims;
        size_t n_read;
    } cases[] = {
        {1, 16, 0xffffffff, 4000}, {1, 24, 0, 4000},
        {1, 32, 0x7ffff000, 4000}, {3, 32, 0x80000000, 4000},
        {1, 8, 0xffffffff, 4000},  {1, 16, 1000 * 4 + 3, 1000}, /* what lies behind is no sound */
    };
    static uint8_t bytes[64 + 4000 * 8];
    for (size_t i = 0; i < COUNT(cases); i++) {
        const size_t len = make_wav(bytes, cases[i].tag, cases[i].bits, RATE, cases[i].claims, 4000);
        static const size_t pieces[] = {1, 7, 1 << 16};
        for (size_t k = i == 0 ? 0 : 1; k < COUNT(pieces); k++) {
            piped p = pipe_begin(bytes, len, pieces[k]);
            assert_int_equal(pthread_create(&p.thread, NULL, write_all, &p.w), 0);
            size_t n = 0;
            float *samples = read_all(p.capture, 6000, &n);
            assert_int_equal(n, cases[i].n_read);
            for (size_t s = 0; s < n; s++)
                assert_true(samples[s] == (float)((double)(s % 200) - 100) / 128);
            free(samples);
            assert_int_equal(state_of(p.capture).native_channels, 2);
            pipe_end(&p);
        }
    }
}

static void a_damaged_stream_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *bytes;
        size_t n, cut;
        vx_err err;
    } cases[] = {
        {0, "fLaC", 4, 0, VX_ERR_AUDIO_FORMAT},
        {0, "OggS", 4, 0, VX_ERR_AUDIO_FORMAT},
        {8, "AVI ", 4, 0, VX_ERR_AUDIO_FORMAT},
        {16, "\xff\xff\xff\xff", 4, 0, VX_ERR_AUDIO_CORRUPT}, /* a chunk without end */
        {24, "data", 4, 0, VX_ERR_AUDIO_CORRUPT},             /* no fmt */
        {28, "\x0f\0\0\0", 4, 0, VX_ERR_AUDIO_CORRUPT},       /* fmt too short */
        {32, "\x55\0", 2, 0, VX_ERR_AUDIO_FORMAT},            /* MP3 */
        {34, "\0\0", 2, 0, VX_ERR_AUDIO_CORRUPT},             /* no channels */
        {34, "\xff\xff", 2, 0, VX_ERR_AUDIO_CORRUPT},         /* 65,535 */
        {36, "\0\0\0\0", 4, 0, VX_ERR_AUDIO_RATE},
        {36, "\xff\xff\xff\xff", 4, 0, VX_ERR_AUDIO_RATE},
        {46, "\x0c\0", 2, 0, VX_ERR_AUDIO_FORMAT}, /* 12 bits */
        {0, "RIFF", 4, 20, VX_ERR_AUDIO_CORRUPT},  /* ends in its head */
    };
    static uint8_t bytes[8000];
    for (size_t i = 0; i < COUNT(cases); i++) {
        float samples[100];
        size_t n = 0;
        vx_errinfo info = {0};
        size_t len = make_wav(bytes, 1, 16, RATE, 0, 1000);
        memcpy(bytes + cases[i].at, cases[i].bytes, cases[i].n);
        if (cases[i].cut > 0)
            len = cases[i].cut;
        piped p = pipe_begin(bytes, len, 1 << 16);
        assert_int_equal(pthread_create(&p.thread, NULL, write_all, &p.w), 0);
        assert_int_equal(vx_capture_read(p.capture, samples, 100, in_ms(LONG_MS), &n, &info), cases[i].err);
        assert_true(info.text[0] != '\0');
        pipe_end(&p);
    }
}

/* Every head, cut and damaged at random, ends: no crash, and the same verdict in pieces as whole. */
static void a_head_is_the_same_in_pieces(void **state)
{
    (void)state;
    uint64_t random = SEED;
    print_message("# seed %u\n", SEED);
    static uint8_t bytes[400];
    for (int round = 0; round < 20000; round++) {
        const size_t len = make_wav(bytes, 1, 16, RATE, 0, 80);
        for (uint64_t k = stats_random(&random) % 4; k > 0; k--)
            bytes[stats_random(&random) % 60] = (uint8_t)stats_random(&random);
        vx_wav_head whole = {0}, pieces = {0};
        size_t took = 0, at = 0;
        bool done = false, done_in_pieces = false;
        const vx_err err = vx_wav_head_push(&whole, bytes, len, &took, &done, NULL);
        vx_err err_in_pieces = VX_OK;
        while (err_in_pieces == VX_OK && !done_in_pieces && at < len) {
            size_t m = 1 + stats_random(&random) % 9, n = 0;
            m = m < len - at ? m : len - at;
            err_in_pieces = vx_wav_head_push(&pieces, bytes + at, m, &n, &done_in_pieces, NULL);
            at += n;
        }
        assert_int_equal(err, err_in_pieces);
        assert_int_equal(done, done_in_pieces);
        if (err == VX_OK)
            assert_int_equal(took, at);
        if (done)
            assert_true(whole.rate == pieces.rate && whole.channels == pieces.channels && whole.pcm == pieces.pcm &&
                        whole.n_bytes == pieces.n_bytes);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* who writes into a stream that was refused only gets an error */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_bytes_are_int16_at_16_khz),
        cmocka_unit_test(a_wav_stream_has_any_format_and_no_end),
        cmocka_unit_test(a_damaged_stream_is_refused),
        cmocka_unit_test(a_head_is_the_same_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
