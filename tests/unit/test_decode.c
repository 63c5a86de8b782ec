/* test_decode.c - recordings that must decode, and the rules of what is accepted.
 * Damaged and hostile files are test_decode_hostile.c.
 */
#include "shared/audio/decode.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/encode.h"

#define TWO_PI 6.283185307179586
#define TONE   440.0

/* Decodes, and insists on the result. */
static vx_audio decode_ok(const void *data, size_t n, vx_audio_format format, int rate, const char *what)
{
    vx_audio audio = {0};
    vx_errinfo info = {0};
    vx_err err = vx_audio_decode(data, n, format, rate, &audio, &info);
    if (err != VX_OK)
        fail_msg("%s: %s: %s", what, vx_err_code(err), info.text);
    assert_int_equal(info.code, VX_OK);
    assert_true(audio.n <= VX_AUDIO_MAX_SAMPLES);
    assert_true(audio.seconds == (double)audio.n / VX_AUDIO_RATE);
    return audio;
}

/* Decodes, and insists on the error, its sentence, and an untouched result. */
static void decode_fails(const void *data, size_t n, vx_audio_format format, int rate, vx_err want, const char *text)
{
    vx_audio audio = {.n = 12345}, before = audio;
    vx_errinfo info = {0};
    vx_err err = vx_audio_decode(data, n, format, rate, &audio, &info);
    if (err != want || !strstr(info.text, text))
        fail_msg("%s (%s) instead of %s (%s)", vx_err_code(err), info.text, vx_err_code(want), text);
    assert_int_equal(info.code, want);
    assert_memory_equal(&audio, &before, sizeof audio);
    assert_int_equal(vx_audio_decode(data, n, format, rate, &audio, NULL), want);
}

static vx_buf encode(encode_format format, const float *x, size_t n_frames, int rate, int channels)
{
    vx_buf buf = {0};
    assert_int_equal(encode_audio(format, x, n_frames, rate, channels, &buf), 0);
    return buf;
}

static vx_buf read_file(const char *path)
{
    vx_buf buf = {0};
    assert_int_equal(vx_file_read(path, 1 << 24, &buf, NULL), VX_OK);
    return buf;
}

/* Amplitude and phase of the tone in the middle of x, and what is left beside it, RMS. */
static void fit(const float *x, size_t n, double *ret_level, double *ret_phase, double *ret_rest)
{
    const double w = TWO_PI * TONE / VX_AUDIO_RATE;
    double a = 0, b = 0, sum = 0;
    size_t from = n / 4, count = n / 2 / 400 * 400; /* whole periods: 400 samples hold 11 */
    for (size_t i = from; i < from + count; i++) {
        a += (double)x[i] * cos(w * (double)i);
        b += (double)x[i] * sin(w * (double)i);
        sum += (double)x[i] * (double)x[i];
    }
    a *= 2 / (double)count, b *= 2 / (double)count;
    *ret_level = sqrt(a * a + b * b);
    *ret_phase = atan2(a, b);
    *ret_rest = sqrt(fmax(sum / (double)count - (a * a + b * b) / 2, 0));
}

/* Every format at every rate and channel count: same tone, same level, same place, same length. */
static void every_format_rate_and_channel_count(void **state)
{
    (void)state;
    static const int rates[] = {8000, 11025, 16000, 22050, 24000, 44100, 48000}, channels[] = {1, 2, 6};
    for (int f = 0; f < ENCODE_COUNT; f++) {
        const encode_format format = (encode_format)f;
        const int lossy = format == ENCODE_VORBIS || format == ENCODE_OPUS || format == ENCODE_MP3 ||
                          format == ENCODE_WAV_ULAW || format == ENCODE_WAV_ADPCM;
        for (size_t i = 0; i < 3 * sizeof rates / sizeof *rates; i++) {
            int rate = rates[i / 3], ch = channels[i % 3];
            if (!encode_supports(format, rate, ch))
                continue;
            char what[64];
            snprintf(what, sizeof what, "%s %d Hz %d channels", encode_name(format), rate, ch);
            float *x = encode_tone((size_t)rate, rate, ch, TONE, 0.5);
            assert_non_null(x);
            vx_buf file = encode(format, x, (size_t)rate, rate, ch);
            vx_audio audio = decode_ok(file.data, file.len, VX_FORMAT_AUTO, 0, what);
            double level, phase, rest;
            fit(audio.samples, audio.n, &level, &phase, &rest);
            /* ADPCM fills its last block. In 5.1, codecs give the sixth channel to the subwoofer: 5/6 of the tone. */
            double slack = format == ENCODE_WAV_ADPCM ? 400 : 1;
            double least = lossy && ch == 6 && format != ENCODE_WAV_ULAW ? 0.40 : 0.485;
            if (fabs((double)audio.n - VX_AUDIO_RATE) > slack || level < least || level > 0.515 ||
                fabs(phase) > (lossy ? 0.05 : 1e-3) || rest > (lossy ? 0.05 : 1e-4))
                fail_msg("%s: n %zu, level %.4f, phase %.5f, rest %.6f", what, audio.n, level, phase, rest);
            assert_int_equal(audio.source_rate, rate);
            assert_int_equal(audio.source_channels, ch);
            vx_audio_done(&audio);
            vx_buf_done(&file);
            free(x);
        }
    }
}

/* One 16-bit signal in every lossless wrapping: x / 32768 to the bit. */
static void lossless_means_identical(void **state)
{
    (void)state;
    static const encode_format formats[] = {ENCODE_WAV16, ENCODE_WAV24,  ENCODE_WAV_FLOAT, ENCODE_RIFX16,
                                            ENCODE_RF64,  ENCODE_FLAC16, ENCODE_FLAC24};
    enum { N = 16000 };
    static float x[N];
    static uint8_t s16[2 * N], f32[4 * N];
    uint32_t seed = 7;
    for (int i = 0; i < N; i++) {
        seed = seed * 1664525u + 1013904223u;
        int16_t v = i < 4 ? (int16_t)(i - 2) : i == 4 ? INT16_MIN : i == 5 ? INT16_MAX : (int16_t)(seed >> 16);
        x[i] = (float)v / 32768;
        s16[2 * i] = (uint8_t)v, s16[2 * i + 1] = (uint8_t)((uint16_t)v >> 8);
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (int b = 0; b < 4; b++)
            f32[4 * i + b] = (uint8_t)(bits >> 8 * b);
    }
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        vx_buf file = encode(formats[f], x, N, VX_AUDIO_RATE, 1);
        vx_audio audio = decode_ok(file.data, file.len, VX_FORMAT_AUTO, 0, encode_name(formats[f]));
        assert_int_equal(audio.n, N);
        if (memcmp(audio.samples, x, sizeof x) != 0)
            fail_msg("%s: samples differ", encode_name(formats[f]));
        vx_audio_done(&audio);
        vx_buf_done(&file);
    }
    vx_audio audio = decode_ok(s16, sizeof s16, VX_FORMAT_S16LE, VX_AUDIO_RATE, "int16");
    assert_memory_equal(audio.samples, x, sizeof x);
    assert_string_equal(audio.format, "pcm_s16le");
    vx_audio_done(&audio);
    audio = decode_ok(f32, sizeof f32, VX_FORMAT_F32LE, VX_AUDIO_RATE, "float32");
    assert_memory_equal(audio.samples, x, sizeof x);
    assert_string_equal(audio.format, "pcm_f32le");
    vx_audio_done(&audio);
    /* Odd addresses: bytes of a request body lie anywhere. */
    static uint8_t odd[2 * N + 1];
    memcpy(odd + 1, s16, sizeof s16);
    audio = decode_ok(odd + 1, sizeof s16, VX_FORMAT_S16LE, VX_AUDIO_RATE, "int16 at an odd address");
    assert_memory_equal(audio.samples, x, sizeof x);
    vx_audio_done(&audio);
}

/* Recordings written by other encoders. similar: least correlation with the original. */
static void bundled_recordings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *format;
        int rate, channels;
        double similar;
    } cases[] = {
        {"reader1_a.wav", "wav", 16000, 1, 1.0},
        {"reader1_a_44k_stereo.wav", "wav", 44100, 2, 0.999},
        {"reader1_a_44k_stereo.flac", "flac", 44100, 2, 0.999},
        {"reader1_a_8k_ulaw.wav", "wav", 8000, 1, 0.98},
        {"reader1_a.ogg", "ogg", 16000, 1, 0.98},
        {"reader1_a.opus", "ogg", 16000, 1, 0.9},
        {"reader1_a.mp3", "mp3", 16000, 1, 0.98},
        {"reader1_a_44k_stereo_vbr.mp3", "mp3", 44100, 2, 0.98},
    };
    vx_buf file = read_file("tests/data/audio/reader1_a.flac");
    vx_audio original = decode_ok(file.data, file.len, VX_FORMAT_FLAC, 0, "original");
    vx_buf_done(&file);
    assert_int_equal(original.n, 56560);
    assert_true(fabs(original.level_dbfs + 22.31) < 0.01);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char path[128];
        snprintf(path, sizeof path, "tests/data/audio/%s", cases[c].name);
        file = read_file(path);
        vx_audio audio = decode_ok(file.data, file.len, VX_FORMAT_AUTO, 0, path);
        assert_string_equal(audio.format, cases[c].format);
        assert_int_equal(audio.source_rate, cases[c].rate);
        assert_int_equal(audio.source_channels, cases[c].channels);
        /* MP3 without an Info frame begins with the encoder's own delay: look for the best place. */
        double best = 0;
        for (size_t shift = 0; shift < 1200 && shift + original.n <= audio.n; shift++) {
            double xy = 0, xx = 0, yy = 0;
            for (size_t i = 0; i < original.n; i += 3) {
                double x = (double)original.samples[i], y = (double)audio.samples[i + shift];
                xy += x * y, xx += x * x, yy += y * y;
            }
            best = fmax(best, xy / sqrt(xx * yy));
        }
        if (best < cases[c].similar - 1e-12 || audio.n - original.n > 1152)
            fail_msg("%s: correlation %.5f, %zu samples", path, best, audio.n);
        vx_audio_done(&audio);
        vx_buf_done(&file);
    }
    vx_audio_done(&original);
}

static void channels_are_averaged_and_clipping_counted(void **state)
{
    (void)state;
    enum { N = 8000 };
    static float x[2 * N];
    for (int i = 0; i < N; i++) {
        x[2 * i] = i % 10 == 0 ? 1.0f : 0.5f;                     /* a tenth of the left clips, upwards */
        x[2 * i + 1] = i % 5 == 0 ? -1.0f : 32766.0f / 32768 - 1; /* a fifth of the right, downwards */
    }
    vx_buf file = encode(ENCODE_WAV_FLOAT, x, N, VX_AUDIO_RATE, 2);
    vx_audio audio = decode_ok(file.data, file.len, VX_FORMAT_WAV, 0, "stereo");
    for (int i = 0; i < N; i++)
        if (audio.samples[i] != (x[2 * i] + x[2 * i + 1]) / 2)
            fail_msg("frame %d: %g", i, (double)audio.samples[i]);
    assert_true(fabs(audio.clipped_share - 0.15) < 1e-12);
    vx_audio_done(&audio);
    vx_buf_done(&file);
    /* The border is the largest 16-bit number. */
    static const int16_t values[] = {32767, 32766, -32767, -32768, -32766, 0, 0, 0};
    static uint8_t raw[2 * N];
    for (int i = 0; i < N; i++) {
        raw[2 * i] = (uint8_t)values[i % 8];
        raw[2 * i + 1] = (uint8_t)((uint16_t)values[i % 8] >> 8);
    }
    audio = decode_ok(raw, sizeof raw, VX_FORMAT_S16LE, VX_AUDIO_RATE, "clipped int16");
    assert_true(fabs(audio.clipped_share - 3.0 / 8) < 1e-12);
    vx_audio_done(&audio);
}

/* Shortest and longest, to the sample, raw and in files. */
static void limits_of_length(void **state)
{
    (void)state;
    static const int rates[] = {8000, 11025, 16000, 48000};
    static const struct {
        double seconds;
        vx_err err;
    } cases[] = {{0.29, VX_ERR_AUDIO_SHORT}, {0.3, VX_OK}, {60.0, VX_OK}, {60.1, VX_ERR_AUDIO_LONG}};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        size_t room = (size_t)(61 * rates[r]);
        float *x = encode_tone(room, rates[r], 1, TONE, 0.5);
        uint8_t *raw = malloc(2 * room);
        assert_non_null(x);
        assert_non_null(raw);
        for (size_t i = 0; i < room; i++) {
            int16_t v = (int16_t)lrintf(x[i] * 32767);
            raw[2 * i] = (uint8_t)v, raw[2 * i + 1] = (uint8_t)((uint16_t)v >> 8);
        }
        const size_t least = (size_t)ceil(VX_AUDIO_MIN_S * rates[r]), most = (size_t)(VX_AUDIO_MAX_S * rates[r]);
        decode_fails(raw, 2, VX_FORMAT_S16LE, rates[r], VX_ERR_AUDIO_SHORT, "at least 0.3");
        decode_fails(raw, 2 * (least - 1), VX_FORMAT_S16LE, rates[r], VX_ERR_AUDIO_SHORT, "at least 0.3");
        decode_fails(raw, 2 * (most + 1), VX_FORMAT_S16LE, rates[r], VX_ERR_AUDIO_LONG, "60.0 seconds");
        vx_audio audio = decode_ok(raw, 2 * least, VX_FORMAT_S16LE, rates[r], "shortest");
        assert_true(audio.n >= 4800 && audio.n <= 4801);
        vx_audio_done(&audio);
        audio = decode_ok(raw, 2 * most, VX_FORMAT_S16LE, rates[r], "longest");
        assert_int_equal(audio.n, VX_AUDIO_MAX_SAMPLES);
        vx_audio_done(&audio);
        static const encode_format formats[] = {ENCODE_WAV16, ENCODE_FLAC16, ENCODE_MP3};
        for (size_t i = 0; i < 12; i++) {
            size_t n = (size_t)(cases[i % 4].seconds * rates[r] + 0.5);
            vx_buf file = encode(formats[i / 4], x, n, rates[r], 1);
            if (cases[i % 4].err == VX_OK) {
                audio = decode_ok(file.data, file.len, VX_FORMAT_AUTO, 0, encode_name(formats[i / 4]));
                vx_audio_done(&audio);
            } else {
                decode_fails(file.data, file.len, VX_FORMAT_AUTO, 0, cases[i % 4].err, "");
            }
            vx_buf_done(&file);
        }
        free(raw);
        free(x);
    }
}

static void rates_and_emptiness(void **state)
{
    (void)state;
    static const int bad[] = {-16000, 0, 1, 7999, 192001, 2147483647};
    static uint8_t raw[200000];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i * 37 % 61);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        decode_fails(raw, 20000, VX_FORMAT_S16LE, bad[i], VX_ERR_AUDIO_RATE, "8000 to 192000");
        decode_fails(raw, 0, VX_FORMAT_S16LE, bad[i], VX_ERR_AUDIO_RATE, "8000 to 192000");
    }
    for (vx_audio_format f = VX_FORMAT_AUTO; f <= VX_FORMAT_F32LE; f++)
        decode_fails(raw, 0, f, 16000, VX_ERR_AUDIO_EMPTY, "no bytes");
    decode_fails(NULL, 0, VX_FORMAT_AUTO, 16000, VX_ERR_AUDIO_EMPTY, "no bytes");
    decode_fails(raw, 20001, VX_FORMAT_S16LE, 16000, VX_ERR_AUDIO_CORRUPT, "20001 bytes are no whole number");
    decode_fails(raw, 20002, VX_FORMAT_F32LE, 16000, VX_ERR_AUDIO_CORRUPT, "20002 bytes are no whole number");
    vx_audio audio = decode_ok(raw, sizeof raw, VX_FORMAT_S16LE, 192000, "192 kHz");
    assert_int_equal(audio.n, 8333);
    vx_audio_done(&audio);
    static const encode_format containers[] = {ENCODE_WAV16, ENCODE_WAV_FLOAT, ENCODE_RIFX16, ENCODE_RF64};
    for (size_t f = 0; f < sizeof containers / sizeof *containers; f++) {
        vx_buf file = encode(containers[f], (const float[]){0}, 0, 16000, 1);
        decode_fails(file.data, file.len, VX_FORMAT_AUTO, 0, VX_ERR_AUDIO_EMPTY, "no samples");
        vx_buf_done(&file);
    }
}

static void silence_is_told_from_a_whisper(void **state)
{
    (void)state;
    enum { N = 16000 };
    static const struct {
        double dbfs;
        vx_err err;
    } cases[] = {{-200, VX_ERR_AUDIO_SILENT}, {-76, VX_ERR_AUDIO_SILENT}, {-74, VX_OK}, {-55, VX_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *x = encode_tone(N, VX_AUDIO_RATE, 1, TONE, sqrt(2) * pow(10, cases[i].dbfs / 20));
        assert_non_null(x);
        if (cases[i].err == VX_OK) {
            vx_audio audio = decode_ok(x, N * sizeof *x, VX_FORMAT_F32LE, VX_AUDIO_RATE, "quiet");
            assert_true(fabs(audio.level_dbfs - cases[i].dbfs) < 0.01);
            vx_audio_done(&audio);
        } else {
            decode_fails(x, N * sizeof *x, VX_FORMAT_F32LE, VX_AUDIO_RATE, cases[i].err, "muted");
            decode_fails(x, 100 * sizeof *x, VX_FORMAT_F32LE, VX_AUDIO_RATE, VX_ERR_AUDIO_SHORT, ""); /* first */
        }
        free(x);
    }
}

/* What a caller declares, against what the bytes are. */
static void declared_and_found(void **state)
{
    (void)state;
    static const struct {
        encode_format file;
        vx_audio_format format;
        const char *name, *result;
    } cases[] = {
        {ENCODE_WAV16, VX_FORMAT_WAV, "bytes are WAV", "wav"},
        {ENCODE_RF64, VX_FORMAT_WAV, "bytes are WAV", "wav"},
        {ENCODE_FLAC16, VX_FORMAT_FLAC, "bytes are FLAC", "flac"},
        {ENCODE_VORBIS, VX_FORMAT_OGG, "bytes are Ogg", "ogg"},
        {ENCODE_OPUS, VX_FORMAT_OGG, "bytes are Ogg", "ogg"},
        {ENCODE_MP3, VX_FORMAT_MP3, "bytes are MP3", "mp3"},
    };
    float *x = encode_tone(8000, VX_AUDIO_RATE, 1, TONE, 0.5);
    assert_non_null(x);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_buf file = encode(cases[c].file, x, 8000, VX_AUDIO_RATE, 1);
        for (vx_audio_format f = VX_FORMAT_AUTO; f <= VX_FORMAT_MP3; f++) {
            if (f > VX_FORMAT_DROP_IN && f != cases[c].format) {
                decode_fails(file.data, file.len, f, 0, VX_ERR_AUDIO_FORMAT, cases[c].name);
                continue;
            }
            vx_audio audio = decode_ok(file.data, file.len, f, 0, cases[c].name);
            assert_string_equal(audio.format, cases[c].result);
            vx_audio_done(&audio);
        }
        vx_buf_done(&file);
    }
    /* Raw samples are raw only if somebody says so, or says nothing at all. */
    vx_audio audio = decode_ok(x, 32000, VX_FORMAT_DROP_IN, VX_AUDIO_RATE, "raw, nothing declared");
    assert_string_equal(audio.format, "pcm_f32le");
    assert_int_equal(audio.n, 8000);
    vx_audio_done(&audio);
    decode_fails(x, 31998, VX_FORMAT_DROP_IN, VX_AUDIO_RATE, VX_ERR_AUDIO_CORRUPT, "31998 bytes are no whole number");
    decode_fails(x, 32000, VX_FORMAT_DROP_IN, 0, VX_ERR_AUDIO_RATE, "0 Hz");
    for (vx_audio_format f = VX_FORMAT_AUTO; f <= VX_FORMAT_MP3; f++)
        if (f != VX_FORMAT_DROP_IN)
            decode_fails(x, 32000, f, VX_AUDIO_RATE, VX_ERR_AUDIO_FORMAT, "no known format");
    /* Formats known by sight are never taken for samples. */
    static const struct {
        const char *head, *name;
    } foreign[] = {{"\x1a\x45\xdf\xa3", "WebM"}, {"....ftypM4A ", "MP4"}, {"FORM....AIFF", "AIFF"}, {"#!AMR\n", "AMR"}};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        uint8_t *bytes = calloc(1, 32000);
        assert_non_null(bytes);
        memcpy(bytes, foreign[i].head, strlen(foreign[i].head));
        decode_fails(bytes, 32000, VX_FORMAT_AUTO, VX_AUDIO_RATE, VX_ERR_AUDIO_FORMAT, foreign[i].name);
        decode_fails(bytes, 32000, VX_FORMAT_DROP_IN, VX_AUDIO_RATE, VX_ERR_AUDIO_FORMAT, foreign[i].name);
        free(bytes);
    }
    free(x);
}

static void format_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        vx_audio_format format;
    } good[] = {{"auto", VX_FORMAT_AUTO},       {"wav", VX_FORMAT_WAV},       {"flac", VX_FORMAT_FLAC},
                {"ogg", VX_FORMAT_OGG},         {"mp3", VX_FORMAT_MP3},       {"int16", VX_FORMAT_S16LE},
                {"pcm_s16le", VX_FORMAT_S16LE}, {"float32", VX_FORMAT_F32LE}, {"pcm_f32le", VX_FORMAT_F32LE}};
    static const char *const bad[] = {"", "WAV", "wav ", "opus", "float", "pcm", "drop_in", "s16le", "auto\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        vx_audio_format format = VX_FORMAT_DROP_IN;
        assert_int_equal(vx_audio_format_parse(good[i].name, &format, NULL), VX_OK);
        assert_int_equal(format, good[i].format);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vx_audio_format format = VX_FORMAT_DROP_IN;
        vx_errinfo info = {0};
        assert_int_equal(vx_audio_format_parse(bad[i], &format, &info), VX_ERR_AUDIO_FORMAT);
        assert_int_equal(format, VX_FORMAT_DROP_IN);
        assert_non_null(strstr(info.text, "pcm_f32le"));
    }
}

/* Several threads at once, good files and bad ones: libsndfile keeps errors in globals. */
enum { N_FILES = 5 };

static void *decode_many(void *arg)
{
    const vx_buf *files = arg; /* [N_FILES], the last one broken */
    for (int i = 0; i < 40; i++) {
        vx_audio audio = {0};
        vx_errinfo info = {0};
        const vx_buf *file = &files[i % N_FILES];
        vx_err err = vx_audio_decode(file->data, file->len, VX_FORMAT_AUTO, 0, &audio, &info);
        int wrong = i % N_FILES == N_FILES - 1 ? err != VX_ERR_AUDIO_CORRUPT
                                               : err != VX_OK || fabs(audio.level_dbfs + 9.03) > 0.2;
        vx_audio_done(&audio);
        if (wrong)
            return arg;
    }
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    static const encode_format formats[N_FILES] = {ENCODE_FLAC16, ENCODE_MP3, ENCODE_VORBIS, ENCODE_OPUS,
                                                   ENCODE_FLAC16};
    float *x = encode_tone(24000, 48000, 2, TONE, 0.5);
    assert_non_null(x);
    vx_buf files[N_FILES];
    for (int i = 0; i < N_FILES; i++)
        files[i] = encode(formats[i], x, 24000, 48000, 2);
    vx_buf *broken = &files[N_FILES - 1];
    memset(broken->data + 42, 0, broken->len - 42); /* STREAMINFO, and nothing that decodes */
    pthread_attr_t attr;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 1 << 20), 0); /* what the pool gives its workers */
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], &attr, decode_many, files), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    pthread_attr_destroy(&attr);
    for (int i = 0; i < N_FILES; i++)
        vx_buf_done(&files[i]);
    free(x);
}

typedef struct {
    const void *data;
    size_t n;
    vx_audio_format format;
    int rate;
} input;

static vx_err attempt(void *ctx)
{
    const input *in = ctx;
    vx_audio audio = {0};
    vx_err err = vx_audio_decode(in->data, in->n, in->format, in->rate, &audio, NULL);
    assert_true(err == VX_OK || !audio.samples);
    vx_audio_done(&audio);
    return err;
}

static void decode_survives_lack_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    float *x = encode_tone(44100, 44100, 1, TONE, 0.5);
    assert_non_null(x);
    vx_buf flac = encode(ENCODE_FLAC16, x, 44100, 44100, 1), wav = encode(ENCODE_WAV16, x, 16000, VX_AUDIO_RATE, 1);
    vx_alloc_fail_each(attempt, &(input){flac.data, flac.len, VX_FORMAT_AUTO, 0});
    vx_alloc_fail_each(attempt, &(input){wav.data, wav.len, VX_FORMAT_AUTO, 0});
    vx_alloc_fail_each(attempt, &(input){x, 40000, VX_FORMAT_F32LE, 8000});
    vx_alloc_fail_each(attempt, &(input){x, 40000, VX_FORMAT_F32LE, VX_AUDIO_RATE});
    vx_buf_done(&flac);
    vx_buf_done(&wav);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_rate_and_channel_count),
        cmocka_unit_test(lossless_means_identical),
        cmocka_unit_test(bundled_recordings),
        cmocka_unit_test(channels_are_averaged_and_clipping_counted),
        cmocka_unit_test(limits_of_length),
        cmocka_unit_test(rates_and_emptiness),
        cmocka_unit_test(silence_is_told_from_a_whisper),
        cmocka_unit_test(declared_and_found),
        cmocka_unit_test(format_names),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(decode_survives_lack_of_memory),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
