/* fuzz_audio.c - bytes as a recording: containers by their first bytes, and raw samples.
 * Property: no crash, no undefined behaviour; what decodes is finite and within the limits, what does not leaves the
 * result alone and gives the same error as code and in the info.
 */
#include <stdlib.h>

#include "shared/audio/decode.h"
#include "tests/fuzz/fuzz.h"

static void check(const uint8_t *data, size_t size, vx_audio_format format)
{
    vx_audio audio = {0};
    vx_errinfo info = {0};
    vx_err err = vx_audio_decode(data, size, format, VX_AUDIO_RATE, &audio, &info);
    if (info.code != VX_OK && info.code != err)
        abort();
    if (err != VX_OK) {
        if (audio.samples || audio.n)
            abort();
        return;
    }
    if (audio.n == 0 || audio.n > VX_AUDIO_MAX_SAMPLES || !vx_audio_is_finite(audio.samples, audio.n) ||
        audio.level_dbfs < VX_AUDIO_SILENT_DBFS || !(audio.clipped_share >= 0 && audio.clipped_share <= 1))
        abort();
    vx_audio_done(&audio);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, VX_FORMAT_DROP_IN);
    check(data, size, VX_FORMAT_S16LE);
    return 0;
}
