/* source_file.c - a recording as a source.
 * Owns:   its samples. Does not: decode (shared/audio), keep time (capture.c does).
 */
#include <stdlib.h>

#include "edge/capture/capture_private.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"

/* A minute of 8-channel float audio at 192 kHz is 369 MB; nothing larger can be accepted anyway. */
#define MAX_FILE_BYTES ((size_t)384 << 20)

typedef struct {
    vx_audio audio;
    bool given;
} recording;

static void close_recording(void *self)
{
    recording *r = self;
    vx_audio_done(&r->audio);
    free(r);
}

static vx_err open_recording(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    vx_buf file = {0};
    recording *r = calloc(1, sizeof *r);
    if (r == NULL)
        return VX_ERR_NOMEM;
    vx_err err = vx_file_read(wish->path, MAX_FILE_BYTES, &file, info);
    if (err == VX_OK)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &r->audio, info);
    vx_buf_wipe_done(&file);
    if (err != VX_OK) {
        close_recording(r);
        return err;
    }
    *ret_self = r;
    return VX_OK;
}

static vx_err read_recording(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    recording *r = self;
    (void)timeout_ms;
    (void)info;
    if (r->given)
        return VX_ERR_CLOSED;
    r->given = true;
    *ret_block = (vx_capture_block){
        .rate = VX_AUDIO_RATE,
        .channels = 1,
        .native_rate = r->audio.source_rate,
        .native_channels = r->audio.source_channels,
        .device = r->audio.format,
        .samples = r->audio.samples,
        .n_frames = r->audio.n,
    };
    return VX_OK;
}

const vx_capture_source vx_capture_file = {
    .abi = VX_CAPTURE_ABI,
    .name = "file",
    .open = open_recording,
    .close = close_recording,
    .read = read_recording,
};
