/* test_decode_hostile.c - files that lie, end early or have flipped bits: refused where it can be known, never a crash,
 * never a sample that is not finite.
 */
#include "shared/audio/decode.h"

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
#include "tests/support/encode.h"

/* xorshift: the same numbers everywhere. */
static uint32_t next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* One second of a tone, 16 kHz mono. */
static vx_buf encode_second(encode_format format)
{
    vx_buf file = {0};
    float *x = encode_tone(VX_AUDIO_RATE, VX_AUDIO_RATE, 1, 440, 0.5);
    assert_non_null(x);
    assert_int_equal(encode_audio(format, x, VX_AUDIO_RATE, VX_AUDIO_RATE, 1, &file), 0);
    free(x);
    return file;
}

/* Decodes from a block of exactly n bytes, so that ASan sees any step past its end, and checks the promises. */
static vx_err decode(const uint8_t *data, size_t n, vx_audio_format format, size_t *ret_n, vx_errinfo *ret_info)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, data, n);
    vx_audio audio = {0};
    *ret_info = (vx_errinfo){0};
    vx_err err = vx_audio_decode(copy, n, format, VX_AUDIO_RATE, &audio, ret_info);
    assert_int_equal(ret_info->code, err);
    if (err == VX_OK) {
        assert_true(audio.n > 0 && audio.n <= VX_AUDIO_MAX_SAMPLES);
        assert_true(vx_audio_is_finite(audio.samples, audio.n));
        assert_true(audio.clipped_share >= 0 && audio.clipped_share <= 1);
    } else {
        assert_null(audio.samples);
    }
    *ret_n = audio.n;
    vx_audio_done(&audio);
    free(copy);
    return err;
}

static void expect(const vx_buf *file, vx_err want, const char *text, const char *what)
{
    size_t n;
    vx_errinfo info;
    vx_err err = decode(file->data, file->len, VX_FORMAT_AUTO, &n, &info);
    if (err != want || !strstr(info.text, text))
        fail_msg("%s: %s (%s) instead of %s (%s)", what, vx_err_code(err), info.text, vx_err_code(want), text);
}

static void cut_files_are_corrupt(void **state)
{
    (void)state;
    for (int f = 0; f < ENCODE_COUNT; f++) {
        vx_buf file = encode_second((encode_format)f);
        for (size_t k = 1; k <= 17; k++) {
            size_t n, len = k == 17 ? file.len - 1 : k == 16 ? 20 : file.len * k / 16;
            vx_errinfo info;
            vx_err err = decode(file.data, len, VX_FORMAT_AUTO, &n, &info);
            /* Less than two frames of MP3 are not recognised as one. */
            if (err != VX_ERR_AUDIO_CORRUPT && !(f == ENCODE_MP3 && len < 200 && err == VX_ERR_AUDIO_FORMAT))
                fail_msg("%s cut to %zu of %zu bytes: %s (%s)", encode_name((encode_format)f), len, file.len,
                         vx_err_code(err), info.text);
        }
        vx_buf_done(&file);
    }
}

/* Every length of the first 300 bytes: the header parsers' own ends. */
static void header_cut_anywhere(void **state)
{
    (void)state;
    for (int f = 0; f < ENCODE_COUNT; f++) {
        vx_buf file = encode_second((encode_format)f);
        for (size_t len = 1; len < 300; len++) {
            size_t n;
            vx_errinfo info;
            assert_int_not_equal(decode(file.data, len, VX_FORMAT_AUTO, &n, &info), VX_OK);
        }
        vx_buf_done(&file);
    }
}

static void flipped_bits(void **state)
{
    (void)state;
    uint32_t seed = 42;
    print_message("# seed %u\n", seed);
    for (int f = 0; f < ENCODE_COUNT; f++) {
        const int is_ogg = f == ENCODE_VORBIS || f == ENCODE_OPUS;
        const int is_flac = f == ENCODE_FLAC16 || f == ENCODE_FLAC24;
        vx_buf file = encode_second((encode_format)f);
        for (int k = 0; k < 200; k++) {
            /* A quarter of them in the first 64 bytes, where lengths and counts are. */
            size_t bit = next(&seed) % (k % 4 ? file.len * 8 : 512), n;
            vx_errinfo info;
            file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            vx_err err = decode(file.data, file.len, VX_FORMAT_AUTO, &n, &info);
            /* What has check sums must notice: an Ogg page all over, FLAC in its frames. */
            if (err == VX_OK && (is_ogg || (is_flac && bit / 8 > file.len / 8)))
                fail_msg("%s: bit %zu flipped without notice", encode_name((encode_format)f), bit);
            file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        vx_buf_done(&file);
    }
}

/* Any bytes behind any signature, and any bytes as raw samples. */
static void noise(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } heads[] = {{"RIFF\0\0\0\0WAVEfmt ", 16},
                 {"RF64\0\0\0\0WAVEds64", 16},
                 {"fLaC\0\0\0\x22", 8},
                 {"OggS\0\x02", 6},
                 {"ID3\4\0\0\0\0\0\1\0", 11},
                 {"\xff\xfb\x90\x64", 4},
                 {"", 0}};
    uint32_t seed = 99;
    print_message("# seed %u\n", seed);
    for (size_t k = 0; k < 700; k++) {
        uint8_t bytes[3000];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(next(&seed) >> 11);
        size_t h = k % (sizeof heads / sizeof *heads), n;
        memcpy(bytes, heads[h].bytes, heads[h].len);
        vx_errinfo info;
        assert_int_not_equal(decode(bytes, sizeof bytes, VX_FORMAT_AUTO, &n, &info), VX_OK);
        assert_int_not_equal(decode(bytes, sizeof bytes, VX_FORMAT_DROP_IN, &n, &info), VX_OK);
        assert_int_not_equal(decode(bytes, sizeof bytes, VX_FORMAT_F32LE, &n, &info), VX_OK);
        (void)decode(bytes, sizeof bytes, VX_FORMAT_S16LE, &n, &info);
    }
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

/* A WAV file of one second of square wave, whose header says what the test wants. */
typedef struct {
    uint32_t riff, tag, channels, rate, align, bits, data; /* 0 in the last: as it should be */
    uint32_t after;                                        /* bytes behind the data chunk */
} wav_header;

static vx_buf make_wav(wav_header h)
{
    const uint32_t n = 2 * VX_AUDIO_RATE;
    vx_buf file = {0};
    assert_int_equal(vx_buf_reserve(&file, 44 + n + h.after), VX_OK);
    uint8_t *p = file.data;
    memset(p, 0, 44 + n + h.after);
    memcpy(p, "RIFF____WAVEfmt \x10", 17);
    put32(p + 4, h.riff);
    put16(p + 20, h.tag);
    put16(p + 22, h.channels);
    put32(p + 24, h.rate);
    put32(p + 28, h.rate * h.align);
    put16(p + 32, h.align);
    put16(p + 34, h.bits);
    memcpy(p + 36, "data", 4);
    put32(p + 40, h.data);
    for (uint32_t i = 0; i < n; i += 2)
        put16(p + 44 + i, i / 64 % 2 ? 4096 : 0xF000);
    memcpy(p + 44 + n, "LIST", h.after < 4 ? h.after : 4);
    file.len = 44 + n + h.after;
    return file;
}

static void wav_headers_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        wav_header header;
        vx_err err;
        const char *text;
    } cases[] = {
        {"honest", {32036, 1, 1, 16000, 2, 16, 32000, 0}, VX_OK, ""},
        {"2^31 frames", {32036, 1, 1, 16000, 2, 16, 0x7FFFE000, 0}, VX_ERR_AUDIO_CORRUPT, "declares 2147475456 bytes"},
        {"one byte too many", {32037, 1, 1, 16000, 2, 16, 32001, 0}, VX_ERR_AUDIO_CORRUPT, "32000 are there"},
        {"0 channels", {32036, 1, 0, 16000, 2, 16, 32000, 0}, VX_ERR_AUDIO_CORRUPT, "0 channels"},
        {"65535 channels", {32036, 1, 65535, 16000, 2, 16, 32000, 0}, VX_ERR_AUDIO_CORRUPT, ""},
        {"1024 channels", {32036, 1, 1024, 16000, 2048, 16, 32000, 0}, VX_ERR_AUDIO_SHORT, "0.001 seconds"},
        {"rate 1", {32036, 1, 1, 1, 2, 16, 32000, 0}, VX_ERR_AUDIO_RATE, "is 1 Hz"},
        {"rate 7999", {32036, 1, 1, 7999, 2, 16, 32000, 0}, VX_ERR_AUDIO_RATE, "is 7999 Hz"},
        {"rate 192001", {32036, 1, 1, 192001, 2, 16, 32000, 0}, VX_ERR_AUDIO_RATE, "is 192001 Hz"},
        {"rate 4e9", {32036, 1, 1, 4000000000u, 2, 16, 32000, 0}, VX_ERR_AUDIO_RATE, "is 4000000000 Hz"},
        {"0 bits", {32036, 1, 1, 16000, 2, 0, 32000, 0}, VX_ERR_AUDIO_CORRUPT, ""},
        {"GSM", {32036, 0x31, 1, 16000, 65, 0, 32000, 0}, VX_ERR_AUDIO_FORMAT, "codec 0x0031"},
        {"MP3", {32036, 0x55, 1, 16000, 1, 0, 32000, 0}, VX_ERR_AUDIO_FORMAT, "codec 0x0055"},
        /* The conventions of writers to a pipe. */
        {"sox", {0x7FFFF024, 1, 1, 16000, 2, 16, 0x7FFFF000, 0}, VX_OK, ""},
        {"arecord", {0x80000024u, 1, 1, 16000, 2, 16, 0x80000000u, 0}, VX_OK, ""},
        {"ffmpeg", {0xFFFFFFFFu, 1, 1, 16000, 2, 16, 0xFFFFFFFFu, 0}, VX_OK, ""},
        {"never closed, all 0", {0, 1, 1, 16000, 2, 16, 0, 0}, VX_OK, ""},
        {"never closed, RIFF of 8", {8, 1, 1, 16000, 2, 16, 0, 0}, VX_OK, ""},
        {"never closed, empty", {36, 1, 1, 16000, 2, 16, 0, 0}, VX_OK, ""},
        {"closed and empty", {32044, 1, 1, 16000, 2, 16, 0, 8}, VX_ERR_AUDIO_EMPTY, "no samples"},
        {"something behind the data", {32046, 1, 1, 16000, 2, 16, 32000, 10}, VX_OK, ""},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_buf file = make_wav(cases[c].header);
        expect(&file, cases[c].err, cases[c].text, cases[c].what);
        size_t n;
        vx_errinfo info;
        if (cases[c].err == VX_OK && decode(file.data, file.len, VX_FORMAT_WAV, &n, &info) == VX_OK)
            assert_int_equal(n, VX_AUDIO_RATE);
        vx_buf_done(&file);
    }
}

static void wav_chunks_that_lie(void **state)
{
    (void)state;
    const wav_header honest = {32036, 1, 1, 16000, 2, 16, 32000, 0};
    static const struct {
        const char *what;
        size_t at;
        uint32_t value;
        vx_err err;
        const char *text;
    } cases[] = {
        {"no fmt", 12, 0x4b4e554a, VX_ERR_AUDIO_CORRUPT, "no fmt chunk"},
        {"no data", 36, 0x4b4e554a, VX_ERR_AUDIO_CORRUPT, "before its data chunk"},
        {"fmt past the end", 16, 0xFFFFFFF0u, VX_ERR_AUDIO_CORRUPT, "before its data chunk"},
        {"fmt too small", 16, 8, VX_ERR_AUDIO_CORRUPT, "fmt chunk has 8 bytes"},
        {"fmt too large", 16, 4000, VX_ERR_AUDIO_CORRUPT, "fmt chunk has 4000 bytes"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_buf file = make_wav(honest);
        put32(file.data + cases[c].at, cases[c].value);
        expect(&file, cases[c].err, cases[c].text, cases[c].what);
        vx_buf_done(&file);
    }
}

/* A chunk of odd length before the data is followed by a byte that belongs to nobody. */
static void wav_chunk_of_odd_length(void **state)
{
    (void)state;
    vx_buf plain = make_wav((wav_header){32036, 1, 1, 16000, 2, 16, 32000, 0}), file = {0};
    assert_int_equal(vx_buf_append(&file, plain.data, 36), VX_OK);
    assert_int_equal(vx_buf_append(&file, "LIST\5\0\0\0hello", 14), VX_OK);
    assert_int_equal(vx_buf_append(&file, plain.data + 36, plain.len - 36), VX_OK);
    expect(&file, VX_OK, "", "LIST of 5 bytes");
    vx_buf_done(&file);
    vx_buf_done(&plain);
}

/* STREAMINFO: rate in 20 bits at byte 18, number of samples in the low 36 bits of bytes 21 to 25. */
static void flac_headers_that_lie(void **state)
{
    (void)state;
    vx_buf file = encode_second(ENCODE_FLAC16), lie = {0};
    assert_int_equal(vx_buf_append(&lie, file.data, file.len), VX_OK);
    expect(&lie, VX_OK, "", "honest");
    lie.data[22] = 0x80; /* 2^31 and 16,000 */
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "announces", "2^31 samples");
    memset(lie.data + 22, 0, 4);
    expect(&lie, VX_OK, "", "unknown length");
    memcpy(lie.data, file.data, 42);
    lie.data[18] = 0, lie.data[19] = 0, lie.data[20] = (uint8_t)(0x10 | (lie.data[20] & 0x0f));
    expect(&lie, VX_ERR_AUDIO_RATE, "is 1 Hz", "rate 1");
    lie.data[18] = 0xff;
    expect(&lie, VX_ERR_AUDIO_RATE, "is 1044481 Hz", "rate 1e6");
    memcpy(lie.data, file.data, 42);
    lie.data[7] = 33;
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "STREAMINFO", "STREAMINFO of 33 bytes");
    memcpy(lie.data, file.data, 42);
    lie.data[43] = 0xff; /* the second block claims 16 MB */
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "metadata", "metadata past the end");
    vx_buf_done(&lie);
    vx_buf_done(&file);
}

/* Ogg pages are taken out, doubled, or followed by another stream. */
static void ogg_pages_that_lie(void **state)
{
    (void)state;
    vx_buf file = {0}, lie = {0};
    assert_int_equal(vx_file_read("tests/data/audio/reader1_a.ogg", 1 << 20, &file, NULL), VX_OK);
    size_t pages[64], n_pages = 0;
    for (size_t at = 0; at + 4 <= file.len; at++)
        if (memcmp(file.data + at, "OggS", 4) == 0 && n_pages < 63)
            pages[n_pages++] = at;
    pages[n_pages] = file.len;
    assert_true(n_pages >= 4);
    for (size_t gone = 2; gone < n_pages; gone++) {
        lie.len = 0;
        assert_int_equal(vx_buf_append(&lie, file.data, pages[gone]), VX_OK);
        assert_int_equal(vx_buf_append(&lie, file.data + pages[gone + 1], file.len - pages[gone + 1]), VX_OK);
        expect(&lie, VX_ERR_AUDIO_CORRUPT, gone + 1 == n_pages ? "its last page is missing" : "pages are missing",
               "page taken out");
    }
    lie.len = 0;
    assert_int_equal(vx_buf_append(&lie, file.data, file.len), VX_OK);
    assert_int_equal(vx_buf_append(&lie, file.data, file.len), VX_OK);
    expect(&lie, VX_ERR_AUDIO_FORMAT, "several streams", "two recordings");
    lie.len = file.len + 3;
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "damaged or cut off", "crumbs behind the end");
    vx_buf_done(&lie);
    vx_buf_done(&file);
}

/* Tags before and behind do not matter; frames that are missing do. */
static void mp3_and_its_tags(void **state)
{
    (void)state;
    vx_buf file = {0}, lie = {0};
    size_t n, n_tagged;
    vx_errinfo info;
    assert_int_equal(vx_file_read("tests/data/audio/reader1_a_44k_stereo_vbr.mp3", 1 << 20, &file, NULL), VX_OK);
    size_t tag = 10 + (size_t)(file.data[8] << 7 | file.data[9]); /* ID3v2 of less than 16 KiB */
    assert_int_equal(decode(file.data, file.len, VX_FORMAT_MP3, &n, &info), VX_OK);
    assert_int_equal(decode(file.data + tag, file.len - tag, VX_FORMAT_AUTO, &n_tagged, &info), VX_OK);
    assert_int_equal(n, n_tagged);
    /* Without the frame of information behind the tag the length is known all the same, though the rate varies. */
    size_t info_frame = 0;
    while (memcmp(file.data + tag + info_frame + 2, "\xff\xfb", 2) != 0)
        info_frame++;
    info_frame += 2;
    assert_true(memcmp(file.data + tag + 36, "Xing", 4) == 0);
    assert_int_equal(
        decode(file.data + tag + info_frame, file.len - tag - info_frame, VX_FORMAT_AUTO, &n_tagged, &info), VX_OK);
    assert_true(n_tagged >= n && n_tagged - n < 1100); /* the encoder's delay and padding are now in it */
    /* More frames announced than are there. */
    assert_int_equal(vx_buf_append(&lie, file.data, file.len), VX_OK);
    lie.data[tag + 36 + 9] = 0x80; /* the second byte of the frame count */
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "announces", "2^23 frames");
    memcpy(lie.data, file.data, file.len);
    lie.data[tag + info_frame] = 0;
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "no frame at byte", "broken header");
    memcpy(lie.data, file.data, file.len);
    lie.data[6] = 0x7f;
    expect(&lie, VX_ERR_AUDIO_CORRUPT, "before its first frame", "tag past the end");
    /* The file ends with an ID3v1 tag; without it, with another kind, or with zeros it sounds the same. */
    static const char tails[][13] = {"", "APETAGEX\xd0\7", "LYRICSBEGIN.", "\0\0\0\0\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        lie.len = 0;
        assert_int_equal(vx_buf_append(&lie, file.data, file.len - 128), VX_OK);
        assert_int_equal(vx_buf_append(&lie, tails[i], i ? 12 : 0), VX_OK);
        assert_int_equal(decode(lie.data, lie.len, VX_FORMAT_AUTO, &n_tagged, &info), VX_OK);
        assert_int_equal(n, n_tagged);
    }
    vx_buf_done(&lie);
    vx_buf_done(&file);
}

/* Frames of another rate behind the first ones; a frame count that counts itself; one frame alone. */
static void mp3_chains(void **state)
{
    (void)state;
    vx_buf one = {0}, other = {0}, made = {0};
    assert_int_equal(vx_file_read("tests/data/audio/reader1_a_44k_stereo_vbr.mp3", 1 << 20, &one, NULL), VX_OK);
    assert_int_equal(vx_file_read("tests/data/audio/reader1_a.mp3", 1 << 20, &other, NULL), VX_OK);
    size_t tag = 10 + (size_t)(other.data[8] << 7 | other.data[9]);
    assert_int_equal(vx_buf_append(&made, one.data, one.len), VX_OK);
    assert_int_equal(vx_buf_append(&made, other.data + tag, other.len - tag), VX_OK);
    expect(&made, VX_ERR_AUDIO_CORRUPT, "no frame at byte", "two rates");
    made.len = one.len;
    memset(made.data + one.len - 128, 0, 3); /* no ID3v1 tag between the two any more, but what is left of it */
    expect(&made, VX_ERR_AUDIO_CORRUPT, "no frame at byte", "a broken tag");
    made.len = one.len - 128;
    expect(&made, VX_OK, "", "no ID3v1 tag");
    assert_int_equal(vx_buf_append(&made, other.data + tag, other.len - tag), VX_OK);
    expect(&made, VX_ERR_AUDIO_CORRUPT, "no frame at byte", "two rates without a tag between");
    size_t one_tag = 10 + (size_t)(one.data[8] << 7 | one.data[9]);
    made.len = one.len - 128;
    assert_int_equal(vx_buf_append(&made, one.data + one_tag, one.len - one_tag), VX_OK);
    expect(&made, VX_ERR_AUDIO_CORRUPT, "announces", "twice the frames");
    made.len = one.len - 128;
    made.data[10 + (made.data[8] << 7 | made.data[9]) + 36 + 11]++; /* the lowest byte of the frame count */
    expect(&made, VX_OK, "", "a frame count that counts itself");
    made.data[10 + (made.data[8] << 7 | made.data[9]) + 36 + 8] = 0x80;
    expect(&made, VX_ERR_AUDIO_CORRUPT, "announces", "2^31 frames");
    made.data[10 + (made.data[8] << 7 | made.data[9]) + 36 + 7] &= 0xfe;
    expect(&made, VX_OK, "", "a frame count marked as absent");
    made.len = 0;
    assert_int_equal(vx_buf_append(&made, other.data + tag, 288), VX_OK); /* 72 * 64000 / 16000 bytes */
    expect(&made, VX_ERR_AUDIO_SHORT, "", "one whole frame");
    made.len = 287;
    expect(&made, VX_ERR_AUDIO_FORMAT, "no known format", "less than one frame");
    vx_buf_done(&made);
    vx_buf_done(&other);
    vx_buf_done(&one);
}

/* Samples whose first bytes look like an MPEG frame: the second frame is missing, so they stay samples. */
static void samples_that_look_like_mp3(void **state)
{
    (void)state;
    float *x = encode_tone(8000, VX_AUDIO_RATE, 1, 440, 0.5);
    assert_non_null(x);
    memcpy(x, "\xff\xfb\x90\x3e", 4); /* 0.283, or MPEG 1 layer III of 128 kbit/s */
    vx_audio audio = {0};
    assert_int_equal(vx_audio_decode(x, 32000, VX_FORMAT_DROP_IN, VX_AUDIO_RATE, &audio, NULL), VX_OK);
    assert_string_equal(audio.format, "pcm_f32le");
    vx_audio_done(&audio);
    free(x);
}

/* ID3v2 in front of FLAC: plain, with a footer, followed by padding, and twice. */
static void flac_behind_tags(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[70];
        size_t len;
    } cases[] = {
        {{'I', 'D', '3', 3, 0, 0, 0, 0, 0, 20}, 30},
        {{'I', 'D', '3', 4, 0, 0x10, 0, 0, 0, 20, [30] = '3', 'D', 'I', 4, 0, 0x10, 0, 0, 0, 20}, 40},
        {{'I', 'D', '3', 3, 0, 0, 0, 0, 0, 20}, 50},
        {{'I', 'D', '3', 3, 0, 0, 0, 0, 0, 20, [30] = 'I', 'D', '3', 3, 0, 0, 0, 0, 0, 30}, 70},
    };
    vx_buf file = encode_second(ENCODE_FLAC16);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_buf tagged = {0};
        assert_int_equal(vx_buf_append(&tagged, cases[c].bytes, cases[c].len), VX_OK);
        assert_int_equal(vx_buf_append(&tagged, file.data, file.len), VX_OK);
        expect(&tagged, VX_OK, "", "FLAC behind a tag");
        vx_buf_done(&tagged);
    }
    vx_buf_done(&file);
}

/* Samples that are no audio, at the ends and in the middle, raw and in WAV. */
static void not_finite_or_out_of_scale(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        vx_err err;
        const char *text;
    } cases[] = {
        {0x7fc00000u, VX_ERR_AUDIO_NOT_FINITE, "not a number"},
        {0xffffffffu, VX_ERR_AUDIO_NOT_FINITE, "not a number"},
        {0x7f800000u, VX_ERR_AUDIO_NOT_FINITE, "infinite"},
        {0xff800000u, VX_ERR_AUDIO_NOT_FINITE, "infinite"},
        {0x46fffe00u, VX_ERR_AUDIO_SCALE, "is 32767"},
        {0xc7000000u, VX_ERR_AUDIO_SCALE, "is -32768"},
        {0x41000001u, VX_ERR_AUDIO_SCALE, "full scale is 1.0"},
        {0x41000000u, VX_OK, ""}, /* 8.0 itself */
        {0xc0400000u, VX_OK, ""}, /* -3: an overshoot */
    };
    static const size_t places[] = {0, 5000, 4095, 4096, 15999};
    float *x = encode_tone(VX_AUDIO_RATE, VX_AUDIO_RATE, 1, 440, 0.5);
    assert_non_null(x);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            float saved = x[places[p]];
            memcpy(&x[places[p]], &cases[c].bits, sizeof *x);
            vx_buf raw = {.data = (uint8_t *)x, .len = VX_AUDIO_RATE * sizeof *x}, wav = {0};
            size_t n;
            vx_errinfo info;
            char where[32];
            snprintf(where, sizeof where, "sample %zu ", places[p]);
            assert_int_equal(decode(raw.data, raw.len, VX_FORMAT_F32LE, &n, &info), cases[c].err);
            assert_non_null(strstr(info.text, cases[c].text));
            assert_true(cases[c].err == VX_OK || strstr(info.text, where));
            assert_int_equal(encode_audio(ENCODE_WAV_FLOAT, x, VX_AUDIO_RATE, VX_AUDIO_RATE, 1, &wav), 0);
            expect(&wav, cases[c].err, cases[c].text, "float WAV");
            vx_buf_done(&wav);
            x[places[p]] = saved;
        }
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_files_are_corrupt),
        cmocka_unit_test(header_cut_anywhere),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(noise),
        cmocka_unit_test(wav_headers_that_lie),
        cmocka_unit_test(wav_chunks_that_lie),
        cmocka_unit_test(wav_chunk_of_odd_length),
        cmocka_unit_test(flac_headers_that_lie),
        cmocka_unit_test(ogg_pages_that_lie),
        cmocka_unit_test(mp3_and_its_tags),
        cmocka_unit_test(mp3_chains),
        cmocka_unit_test(samples_that_look_like_mp3),
        cmocka_unit_test(flac_behind_tags),
        cmocka_unit_test(not_finite_or_out_of_scale),
    };
    return cmocka_run_group_tests_name("decode_hostile", tests, NULL, NULL);
}
