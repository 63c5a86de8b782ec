/* encode.c - test recordings: float samples to a file in memory, through libsndfile. */
#include "tests/support/encode.h"

#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int format;
} formats[ENCODE_COUNT] = {
    [ENCODE_WAV16] = {"wav16", SF_FORMAT_WAV | SF_FORMAT_PCM_16},
    [ENCODE_WAV24] = {"wav24", SF_FORMAT_WAV | SF_FORMAT_PCM_24},
    [ENCODE_WAV_FLOAT] = {"wav-float", SF_FORMAT_WAV | SF_FORMAT_FLOAT},
    [ENCODE_WAV_ULAW] = {"wav-ulaw", SF_FORMAT_WAV | SF_FORMAT_ULAW},
    [ENCODE_WAV_ADPCM] = {"wav-adpcm", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM},
    [ENCODE_RIFX16] = {"rifx16", SF_ENDIAN_BIG | SF_FORMAT_WAV | SF_FORMAT_PCM_16},
    [ENCODE_RF64] = {"rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16},
    [ENCODE_FLAC16] = {"flac16", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
    [ENCODE_FLAC24] = {"flac24", SF_FORMAT_FLAC | SF_FORMAT_PCM_24},
    [ENCODE_VORBIS] = {"vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS},
    [ENCODE_OPUS] = {"opus", SF_FORMAT_OGG | SF_FORMAT_OPUS},
    [ENCODE_MP3] = {"mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
};

typedef struct {
    vx_buf *buf;
    sf_count_t at;
} file;

static sf_count_t file_len(void *ctx)
{
    return (sf_count_t)((file *)ctx)->buf->len;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *ctx)
{
    file *f = ctx;
    f->at = offset + (whence == SEEK_CUR ? f->at : whence == SEEK_END ? file_len(ctx) : 0);
    return f->at;
}

static sf_count_t file_read(void *ret, sf_count_t count, void *ctx)
{
    file *f = ctx;
    sf_count_t rest = file_len(ctx) - f->at;
    sf_count_t got = rest < count ? rest : count;
    if (got <= 0)
        return 0;
    memcpy(ret, f->buf->data + f->at, (size_t)got);
    f->at += got;
    return got;
}

static sf_count_t file_write(const void *data, sf_count_t count, void *ctx)
{
    file *f = ctx;
    size_t at = (size_t)f->at, end = at + (size_t)count;
    if (end > f->buf->len) {
        if (vx_buf_reserve(f->buf, end - f->buf->len) != VX_OK)
            return 0;
        f->buf->len = end;
    }
    memcpy(f->buf->data + at, data, (size_t)count);
    f->at += count;
    return count;
}

static sf_count_t file_tell(void *ctx)
{
    return ((file *)ctx)->at;
}

const char *encode_name(encode_format format)
{
    return formats[format].name;
}

int encode_supports(encode_format format, int rate, int channels)
{
    if (format == ENCODE_OPUS)
        return rate == 8000 || rate == 12000 || rate == 16000 || rate == 24000 || rate == 48000;
    if (format == ENCODE_MP3)
        return channels <= 2 && rate <= 48000;
    if (format == ENCODE_WAV_ADPCM)
        return channels <= 2;
    /* libvorbisenc 1.3.7 leaks 2.8 kB for each 5.1 stream at these rates; ASan would put it down to us. */
    if (format == ENCODE_VORBIS)
        return channels <= 2 || rate < 44100;
    return 1;
}

int encode_audio_at(encode_format format, const float *samples, size_t n_frames, int rate, int channels,
                    double compression, vx_buf *ret_file)
{
    SF_VIRTUAL_IO io = {file_len, file_seek, file_read, file_write, file_tell};
    SF_INFO sf = {.samplerate = rate, .channels = channels, .format = formats[format].format};
    file f = {.buf = ret_file};
    SNDFILE *snd = sf_open_virtual(&io, SFM_WRITE, &sf, &f);
    if (!snd)
        return -1;
    /* Without this, 1.0 becomes the smallest integer instead of the largest. */
    sf_command(snd, SFC_SET_CLIPPING, NULL, SF_TRUE);
    if (compression >= 0) {
        int constant = SF_BITRATE_MODE_CONSTANT; /* of MP3: a level then means a rate whatever is encoded */
        if (format == ENCODE_MP3)
            sf_command(snd, SFC_SET_BITRATE_MODE, &constant, sizeof constant);
        sf_command(snd, SFC_SET_COMPRESSION_LEVEL, &compression, sizeof compression);
    }
    sf_count_t done = 0;
    /* In pieces: the Vorbis encoder keeps a whole write on the stack. */
    while (done < (sf_count_t)n_frames) {
        sf_count_t want = (sf_count_t)n_frames - done < 4096 ? (sf_count_t)n_frames - done : 4096;
        if (sf_writef_float(snd, samples + done * channels, want) != want)
            break;
        done += want;
    }
    int failed = sf_close(snd);
    return !failed && done == (sf_count_t)n_frames ? 0 : -1;
}

int encode_audio(encode_format format, const float *samples, size_t n_frames, int rate, int channels, vx_buf *ret_file)
{
    return encode_audio_at(format, samples, n_frames, rate, channels, -1, ret_file);
}

float *encode_tone(size_t n_frames, int rate, int channels, double hz, double level)
{
    const double two_pi = 6.283185307179586;
    float *samples = malloc((n_frames * (size_t)channels + 1) * sizeof *samples);
    for (size_t i = 0; samples && i < n_frames; i++)
        for (int c = 0; c < channels; c++)
            samples[i * (size_t)channels + (size_t)c] = (float)(level * sin(two_pi * hz * (double)i / rate));
    return samples;
}
