/* source_stdin.c - standard input as a source: raw int16 at 16 kHz, or a WAV stream of any format and length.
 * Owns:   telling the two apart, what is read and not yet given. Does not: keep time, close standard input.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/capture/capture_private.h"
#include "edge/capture/wav_head.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

enum { BYTES_CAP = 8192, MAGIC_BYTES = 4 };

typedef struct {
    bool chosen, wav, has_format, ended;
    vx_wav_head head;
    uint64_t n_left;          /* bytes of sound still to come */
    uint8_t bytes[BYTES_CAP]; /* n_bytes, from `at` on not given */
    size_t at, n_bytes;
    float samples[BYTES_CAP]; /* one a byte is the most there can be */
} stream;

static vx_err open_stream(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    (void)wish;
    (void)info;
    *ret_self = calloc(1, sizeof(stream));
    return *ret_self != NULL ? VX_OK : VX_ERR_NOMEM;
}

static void close_stream(void *self)
{
    vx_wipe(self, sizeof(stream));
    free(self);
}

/* Waits for bytes, and takes what there are. Sets ended at the end. */
static vx_err take_bytes(stream *s, int timeout_ms, vx_errinfo *info)
{
    memmove(s->bytes, s->bytes + s->at, s->n_bytes - s->at);
    s->n_bytes -= s->at;
    s->at = 0;
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    const int ready = poll(&fd, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR))
        return VX_OK;
    const ssize_t n = ready < 0 ? -1 : read(STDIN_FILENO, s->bytes + s->n_bytes, sizeof s->bytes - s->n_bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return VX_OK;
    if (n < 0)
        return vx_errinfo_set(info, VX_ERR_IO, "standard input: %s", strerror(errno));
    s->ended = n == 0;
    s->n_bytes += (size_t)n;
    return VX_OK;
}

/* Files whose bytes would be noise if they were taken for samples. */
static vx_err choose(stream *s, vx_errinfo *info)
{
    static const char *const packed[] = {"fLaC", "OggS", "ID3", "\x1a\x45\xdf\xa3", "RIFX", "RF64"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (s->n_bytes >= MAGIC_BYTES && memcmp(s->bytes, packed[i], strlen(packed[i])) == 0)
            return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                                  "standard input takes WAV or raw int16 at 16 kHz; give other files by their name");
    s->chosen = true;
    s->wav = s->n_bytes >= MAGIC_BYTES && memcmp(s->bytes, "RIFF", MAGIC_BYTES) == 0;
    if (!s->wav) {
        s->head = (vx_wav_head){.pcm = VX_PCM_S16, .rate = VX_AUDIO_RATE, .channels = 1};
        s->n_left = UINT64_MAX;
        s->has_format = true;
    }
    return VX_OK;
}

static vx_err take_head(stream *s, vx_errinfo *info)
{
    size_t took = 0;
    bool done = false;
    const vx_err err = vx_wav_head_push(&s->head, s->bytes + s->at, s->n_bytes - s->at, &took, &done, info);
    if (err != VX_OK)
        return err;
    s->at += took;
    s->has_format = done;
    s->n_left = s->head.n_bytes;
    if (!done && s->ended)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV stream ends before its data chunk");
    return VX_OK;
}

static size_t frame_bytes(const stream *s)
{
    return vx_pcm_width(s->head.pcm) * (size_t)s->head.channels;
}

/* Whole frames of what is there. What a cut stream has of its last frame is dropped. */
static void give(stream *s, vx_capture_block *ret_block)
{
    const size_t width = vx_pcm_width(s->head.pcm), frame = frame_bytes(s);
    size_t n = s->n_bytes - s->at;
    n = n < s->n_left ? n : (size_t)s->n_left;
    n = n / frame * frame;
    vx_pcm_to_float(s->head.pcm, s->bytes + s->at, n / width, s->samples);
    s->at += n;
    if (s->n_left != UINT64_MAX)
        s->n_left -= n;
    *ret_block = (vx_capture_block){
        .rate = s->head.rate,
        .channels = s->head.channels,
        .device = "standard input",
        .samples = s->samples,
        .n_frames = n / frame,
    };
}

static vx_err read_stream(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    stream *s = self;
    vx_err err = VX_OK;
    vx_capture_block block = {0};
    if (!s->ended)
        err = take_bytes(s, timeout_ms, info);
    if (err == VX_OK && !s->chosen && (s->n_bytes >= MAGIC_BYTES || s->ended))
        err = choose(s, info);
    if (err == VX_OK && s->chosen && !s->has_format)
        err = take_head(s, info);
    if (err != VX_OK)
        return err;
    if (s->has_format)
        give(s, &block);
    /* A pipe may stay open behind the last sound. */
    if (block.n_frames == 0 && (s->ended || (s->has_format && s->n_left < frame_bytes(s))))
        return VX_ERR_CLOSED;
    *ret_block = block;
    return VX_OK;
}

const vx_capture_source vx_capture_stdin = {
    .abi = VX_CAPTURE_ABI,
    .name = "file",
    .open = open_stream,
    .close = close_stream,
    .read = read_stream,
};
