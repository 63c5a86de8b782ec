/* clip.c - recordings for requests. */
#include "tests/support/clip.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/audio/decode.h"
#include "shared/base/base64.h"
#include "shared/base/file.h"
#include "shared/engine/engine.h"
#include "tests/support/encode.h"
#include "tests/support/stats.h"

#define FOLDER "tests/data/audio/"
enum { FILE_MAX = 4 << 20 };

vx_buf clip_file(const char *name)
{
    char path[256];
    vx_buf file = {0};
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (vx_file_read(path, FILE_MAX, &file, NULL))
        fail_msg("cannot read %s", path);
    return file;
}

vx_audio clip_audio(const char *name)
{
    vx_audio audio = {0};
    vx_buf file = clip_file(name);
    if (vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL))
        fail_msg("cannot decode %s", name);
    vx_buf_done(&file);
    return audio;
}

static uint8_t *extend(vx_buf *buf, size_t len)
{
    if (vx_buf_reserve(buf, len))
        fail_msg("out of memory");
    buf->len += len;
    return buf->data + buf->len - len;
}

vx_buf clip_s16(const float *samples, size_t n)
{
    vx_buf out = {0};
    uint8_t *p = extend(&out, 2 * n);
    for (size_t i = 0; i < n; i++, p += 2) {
        const unsigned v = (unsigned)lrintf(samples[i] * 32768);
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
    }
    return out;
}

vx_buf clip_f32(const float *samples, size_t n)
{
    vx_buf out = {0};
    uint8_t *p = extend(&out, 4 * n);
    for (size_t i = 0; i < n; i++, p += 4) {
        uint32_t bits;
        memcpy(&bits, &samples[i], sizeof bits);
        for (int k = 0; k < 4; k++)
            p[k] = (uint8_t)(bits >> 8 * k);
    }
    return out;
}

char *clip_base64(const void *data, size_t len)
{
    char *text = malloc(vx_base64_encoded_len(len) + 1);
    if (!text)
        fail_msg("out of memory");
    else
        vx_base64_encode(data, len, text);
    return text;
}

char *clip_json(const void *data, size_t len, const char *more)
{
    char *audio = clip_base64(data, len);
    const size_t cap = strlen(audio) + strlen(more) + 32;
    char *json = malloc(cap);
    if (!json)
        fail_msg("out of memory");
    else
        snprintf(json, cap, "{\"audio_data\": \"%s\"%s}", audio, more);
    free(audio);
    return json;
}

char *clip_file_json(const char *name, const char *more)
{
    vx_buf file = clip_file(name);
    char *json = clip_json(file.data, file.len, more);
    vx_buf_done(&file);
    return json;
}

char *clip_fill(const char *pattern, const char *replacement)
{
    vx_buf out = {0};
    assert_int_equal(vx_buf_printf(&out, "%s", ""), VX_OK); /* an empty pattern is an empty text */
    for (const char *c = pattern; *c; c++)
        assert_int_equal(vx_buf_printf(&out, *c == '%' ? "%s" : "%.1s", *c == '%' ? replacement : c), VX_OK);
    return (char *)out.data;
}

vx_buf clip_noise_flac(size_t n_frames, unsigned seed)
{
    uint64_t random = seed;
    vx_buf file = {0};
    float *samples = malloc(n_frames * sizeof *samples);
    for (size_t i = 0; samples && i < n_frames; i++)
        samples[i] = (float)(int)(stats_random(&random) & 63) / 1024;
    if (!samples || encode_audio(ENCODE_FLAC16, samples, n_frames, VX_AUDIO_RATE, 1, &file) != 0)
        fail_msg("cannot encode noise");
    free(samples);
    return file;
}

void clip_expected(const vx_audio *audio, float ret_values[CLIP_DIM])
{
    vx_engine *engine = NULL;
    vx_embedding embedding;
    const vx_engine_options options = vx_engine_options_default();
    if (vx_engine_open("models/starter", &options, &engine, NULL) ||
        vx_engine_embed(engine, audio->samples, audio->n, &embedding, NULL, NULL) || embedding.dim != CLIP_DIM)
        fail_msg("no embedding to compare with");
    memcpy(ret_values, embedding.values, CLIP_DIM * sizeof *ret_values);
    vx_engine_close(engine);
}

void clip_values(const json_t *array, float ret_values[CLIP_DIM])
{
    assert_int_equal(json_array_size(array), CLIP_DIM);
    for (size_t i = 0; i < CLIP_DIM; i++) {
        const json_t *number = json_array_get(array, i);
        assert_true(json_is_real(number));
        ret_values[i] = (float)json_real_value(number);
    }
}

double clip_cosine(const float a[CLIP_DIM], const float b[CLIP_DIM])
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < CLIP_DIM; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}
