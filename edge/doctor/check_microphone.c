/* check_microphone.c - whether the microphone opens, gives sound, and sound of a kind that voices can be told apart by.
 * Owns:   one second of listening, of which a level is kept. Does not: keep a sample.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "edge/doctor/doctor.h"
#include "edge/turn.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

/* Forced silence is told after a second of zeros; a device may take as long to start. */
#define HEAR_NS (UINT64_C(2500000000))
enum { HEAR_SAMPLES = VX_AUDIO_RATE * 5 / 4, PIECE = VX_AUDIO_RATE / 10 };
/* Telephone rate: half of the spectrum that the model was made for is missing. */
enum { LEAST_RATE = 16000 };
/* A quiet room lies at -60 dBFS and below; at -30 speech at -20 would miss the ratio that enrolment wants (10 dB). */
static const double LOUD_DBFS = -30;

/* Level of what is heard within the time. n = 0: nothing was. */
static vx_err hear(vx_capture *capture, size_t *ret_n, double *ret_dbfs, vx_errinfo *info)
{
    float samples[PIECE];
    size_t heard = 0;
    double power = 0;
    const uint64_t due_ns = vx_now_ns() + HEAR_NS;
    vx_err err = VX_OK;
    while (err == VX_OK && heard < HEAR_SAMPLES) {
        size_t n = 0;
        err = vx_capture_read(capture, samples, PIECE, due_ns, &n, info);
        for (size_t i = 0; i < n; i++)
            power += (double)samples[i] * samples[i];
        heard += n;
    }
    vx_wipe(samples, sizeof samples);
    *ret_n = heard;
    *ret_dbfs = heard > 0 && power > 0 ? 10 * log10(power / (double)heard) : -120;
    if (err == VX_OK || err == VX_ERR_DEADLINE || err == VX_ERR_CLOSED)
        return VX_OK;
    return err;
}

static void judge(const vx_capture_state *state, size_t n, double dbfs, vx_finding *finding)
{
    if (n == 0)
        vx_found(finding, VX_CHECK_FAILED, "unplug it and plug it in, or choose another one with --device",
                 "%s opens and gives no sound", state->device);
    else if (state->forced_silence || dbfs <= -120)
        vx_found(finding, VX_CHECK_FAILED, NULL, "%s",
                 state->advice[0] ? state->advice : "the microphone gives nothing but zeros");
    else if (state->native_rate > 0 && state->native_rate < LEAST_RATE)
        vx_found(finding, VX_CHECK_WARNING, "use another microphone, or the headset's mode without telephone quality",
                 "%s gives %d Hz: voices are told apart worse", state->device, state->native_rate);
    else if (dbfs > LOUD_DBFS)
        vx_found(finding, VX_CHECK_WARNING, "be silent while it is checked, turn it down, or find a quieter place",
                 "%s is at %.0f dBFS while nobody should speak", state->device, dbfs);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s (%s, %d Hz, %d channels) hears the room at %.0f dBFS", state->device,
                 state->source, state->native_rate, state->native_channels, dbfs);
}

/* A computer without a microphone can enrol and verify recordings, so that is a warning; one that gives nothing fails. */
static void listen(vx_patient *patient, vx_finding *finding)
{
    vx_capture *capture = NULL;
    vx_capture_state state;
    vx_errinfo info = {0};
    size_t n = 0;
    double dbfs = 0;
    vx_err err = vx_capture_open(&patient->microphone, &capture, &info);
    if (err != VX_OK) {
        vx_found_error(finding, err == VX_ERR_PERMISSION ? VX_CHECK_FAILED : VX_CHECK_WARNING,
                       "voxlock listen --devices lists what there is", err, &info);
        return;
    }
    err = hear(capture, &n, &dbfs, &info);
    vx_capture_get_state(capture, &state);
    vx_capture_close(capture);
    if (err == VX_OK)
        judge(&state, n, dbfs, finding);
    else
        vx_found_error(finding, VX_CHECK_FAILED, "voxlock listen --devices lists what there is", err, &info);
}

void vx_check_microphone(vx_patient *patient, vx_finding *finding)
{
    char folder[1024];
    vx_errinfo info = {0};
    int sign = -1;
    if (!patient->by_hand) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "only voxlock doctor listens: nobody asked the agent to");
        return;
    }
    /* Looking makes no folder: where there is none, there is no agent to be kept away. */
    if (patient->microphone.path == NULL &&
        vx_agent_folder(patient->environment, patient->data_folder, folder, sizeof folder, NULL) == VX_OK &&
        access(folder, F_OK) == 0 && vx_sign_hold(folder, &sign, &info) != VX_OK) {
        vx_found_error(finding, VX_CHECK_SKIPPED, NULL, VX_ERR_BUSY, &info);
        return;
    }
    listen(patient, finding);
    if (sign >= 0)
        (void)close(sign);
}
