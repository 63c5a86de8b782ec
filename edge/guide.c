/* guide.c - opens what a speaker needs, prompts, hears. */
#include "edge/guide.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "edge/live.h"
#include "edge/runtime.h"
#include "edge/turn.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

/* As unlock listens: a template should be heard the way in which it will be compared. */
static const double WAIT_S = 10, MOST_S = 15, ROOM_BEFORE_S = 0.5;

/* A signal's handler has no other way to tell. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool vx_guide_interrupted(void)
{
    return interrupted != 0;
}

/* An agent that waits for a phrase closes its microphone for as long. */
static vx_err hold_sign(const vx_cmd_call *call, int *ret_fd, vx_errinfo *info)
{
    char data[1000], folder[1024];
    if (vx_runtime_data_folder(call->options, call->environment, data, sizeof data, NULL) != VX_OK ||
        vx_agent_folder(call->environment, data, folder, sizeof folder, NULL) != VX_OK)
        return VX_OK;
    return vx_sign_hold(folder, ret_fd, info);
}

static vx_err choose_microphone(const vx_cmd_call *call, int first_flag, vx_capture_options *ret, vx_errinfo *info)
{
    const char *const *values = call->values + first_flag;
    const char *path = values[VX_GUIDE_FILE], *source = values[VX_GUIDE_SOURCE];
    if (path && (source || values[VX_GUIDE_DEVICE]))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "--file takes the place of a microphone: leave %s out",
                              source ? "--source" : "--device");
    if (source && strcmp(source, "file") == 0)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "a recording is named by --file PATH");
    *ret = (vx_capture_options){.source = path ? "file" : source, .device = values[VX_GUIDE_DEVICE], .path = path};
    return VX_OK;
}

vx_err vx_guide_open(const vx_cmd_call *call, int first_flag, int hang_ms, vx_guide *ret_guide, vx_errinfo *info)
{
    vx_guide g = {.sign = -1, .meter = vx_meter_on(STDERR_FILENO)};
    vx_capture_options microphone = {0};
    vx_vad_params params = vx_vad_params_default();
    params.hang_ms = hang_ms > 0 ? hang_ms : params.hang_ms;
    vx_err err = choose_microphone(call, first_flag, &microphone, info);
    if (err != VX_OK)
        return err;
    g.a_file = microphone.path != NULL;
    g.aloud = !g.a_file && strcmp(vx_option_text(call->options, "VOXLOCK_SPEAK"), "on") == 0;
    err = g.a_file ? VX_OK : hold_sign(call, &g.sign, info);
    if (err == VX_OK)
        err = vx_vad_create(&params, &g.vad);
    if (err == VX_OK)
        err = vx_capture_open(&microphone, &g.capture, info);
    if (err != VX_OK) {
        vx_guide_close(&g);
        return err;
    }
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    *ret_guide = g;
    return VX_OK;
}

void vx_guide_close(vx_guide *guide)
{
    vx_meter_clear(&guide->meter);
    vx_capture_close(guide->capture);
    vx_vad_destroy(guide->vad);
    if (guide->sign >= 0)
        (void)close(guide->sign);
    *guide = (vx_guide){.sign = -1};
}

static bool gone(void *arg)
{
    (void)arg;
    return interrupted != 0;
}

/* What the microphone has heard up to now. */
static void forget(vx_guide *g)
{
    float samples[VX_AUDIO_RATE / 10];
    size_t n = 0;
    for (int i = 0; i < 200; i++) /* 20 s: more than any source keeps */
        if (vx_capture_read(g->capture, samples, sizeof samples / sizeof *samples, 0, &n, NULL) != VX_OK)
            break;
    vx_wipe(samples, sizeof samples);
}

void vx_guide_prompt(vx_guide *guide, const char *label, const char *text)
{
    dprintf(STDERR_FILENO, "%s%s\n", label, text);
    if (guide->a_file)
        return;
    if (guide->aloud) {
        const vx_live live = {.capture = guide->capture};
        const vx_live_asker asker = {.gone = gone};
        vx_errinfo info = {0};
        const vx_err err = vx_live_say(&live, text, &asker, &info);
        if (err != VX_OK && err != VX_ERR_CLOSED) {
            dprintf(STDERR_FILENO, "voxlock: prompts are not said aloud: %s\n", vx_errinfo_text(&info, err));
            guide->aloud = false;
        }
    }
    forget(guide);
}

static bool go_on(void *arg, const vx_vad_frame *frame)
{
    vx_meter_frame(arg, frame);
    return !interrupted;
}

vx_err vx_guide_hear(vx_guide *guide, vx_heard *ret_heard, char ret_microphone[VX_MICROPHONE_CAP], vx_errinfo *info)
{
    const vx_listen_options options = {
        .wait_s = WAIT_S, .most_s = MOST_S, .before_s = ROOM_BEFORE_S, .meter = go_on, .meter_arg = &guide->meter};
    vx_capture_state state;
    const vx_err err = vx_hear(guide->capture, guide->vad, &options, ret_heard, info);
    vx_meter_clear(&guide->meter);
    if (err != VX_OK)
        return err;
    vx_capture_get_state(guide->capture, &state);
    (void)snprintf(ret_microphone, VX_MICROPHONE_CAP, "%s", guide->a_file ? "" : state.device);
    return VX_OK;
}
