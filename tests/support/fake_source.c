/* fake_source.c - plays a script. */
#include "tests/support/fake_source.h"

#include <time.h>

static struct {
    const fake_step *steps;
    size_t n_steps, at, frame, piece;
    int n_opened, n_closed, n_no_opening;
} script;

void fake_play(const fake_step *steps, size_t n_steps, size_t piece)
{
    script.steps = steps;
    script.n_steps = n_steps;
    script.piece = piece;
    script.at = script.frame = 0;
    script.n_opened = script.n_closed = script.n_no_opening = 0;
}

int fake_n_opened(void)
{
    return script.n_opened;
}

int fake_n_closed(void)
{
    return script.n_closed;
}

static vx_err open_fake(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    (void)wish;
    if (script.n_no_opening > 0) {
        script.n_no_opening--;
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "it is gone");
    }
    script.n_opened++;
    *ret_self = &script;
    return VX_OK;
}

static void close_fake(void *self)
{
    (void)self;
    script.n_closed++;
}

static vx_err read_fake(int timeout_ms, bool live, vx_capture_block *ret_block, vx_errinfo *info)
{
    if (script.at == script.n_steps) {
        if (!live)
            return VX_ERR_CLOSED;
        nanosleep(&(struct timespec){.tv_nsec = timeout_ms * 1000000L}, NULL);
        *ret_block = (vx_capture_block){0};
        return VX_OK;
    }
    const fake_step *step = &script.steps[script.at];
    if (step->err != VX_OK) {
        script.at++;
        script.n_no_opening = step->n_no_opening;
        return vx_errinfo_set(info, step->err, "the script says so");
    }
    const size_t left = step->n_frames - script.frame;
    const size_t n = script.piece > 0 && left > script.piece ? script.piece : left;
    *ret_block = (vx_capture_block){
        .rate = step->rate,
        .channels = step->channels,
        .device = step->device,
        .samples = step->samples != NULL ? step->samples + script.frame * (size_t)step->channels : NULL,
        .n_frames = n,
        .gap = step->gap && script.frame == 0,
        .muted = step->muted,
        .has_playback = true,
        .playback = step->playback,
    };
    script.frame += n;
    if (script.frame == step->n_frames) {
        script.at++;
        script.frame = 0;
    }
    return VX_OK;
}

static vx_err read_device(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    (void)self;
    return read_fake(timeout_ms, true, ret_block, info);
}

static vx_err read_file(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    (void)self;
    return read_fake(timeout_ms, false, ret_block, info);
}

const vx_capture_source fake_device = {
    .abi = VX_CAPTURE_ABI,
    .name = "fake",
    .live = true,
    .open = open_fake,
    .close = close_fake,
    .read = read_device,
};
const vx_capture_source fake_file = {
    .abi = VX_CAPTURE_ABI,
    .name = "file",
    .open = open_fake,
    .close = close_fake,
    .read = read_file,
};
