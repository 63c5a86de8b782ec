/* codec.c - see codec.h. */
#include "tests/bench/spoof/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/support/encode.h"

enum {
    TELEPHONE_RATE = 8000,
    CVSD_RATE = 64000,
    LAME_DELAY = 576 /* where frames are too small for the tag that tells it */
};

/* ---- the telephone --------------------------------------------------------------------------------------------------- */

/* G.711, as its decoder hears its encoder: 8 segments of 16 steps on each side of zero. */
static float ulaw(float x)
{
    const int bias = 33, clip = 8158; /* of 14 bits */
    const int magnitude = (int)fminf(clip, rintf(fabsf(x) * 8192)) + bias;
    int segment = 0;
    while (magnitude >> (segment + 6) != 0)
        segment++;
    const int step = magnitude >> (segment + 1) & 0xF;
    const int heard = ((2 * step + 33) << segment) - bias;
    return copysignf((float)heard / 8192, x);
}

/* Continuously variable slope delta modulation: a bit a sample says up or down, and four of a kind widen the step.
 * Source: Bluetooth Core Specification, volume 2 part B, 9.2 (decay, accumulator and steps of its table). */
static void cvsd(float *samples, size_t n)
{
    const double decay = 1 - 1.0 / 1024, leak = 1 - 1.0 / 32, step_min = 10.0 / 32768, step_max = 1280.0 / 32768;
    double heard = 0, step = step_min;
    unsigned bits = 0x5;
    for (size_t i = 0; i < n; i++) {
        const bool up = (double)samples[i] >= heard;
        bits = (bits << 1 | up) & 0xF;
        step = bits == 0 || bits == 0xF ? fmin(step + step_min, step_max) : fmax(step * decay, step_min);
        heard = fmax(-1, fmin(1, heard + (up ? step : -step)));
        samples[i] = (float)heard;
        heard *= leak;
    }
}

static void copy_in_step(float *samples, size_t n, const float *from, size_t n_from)
{
    const size_t both = n < n_from ? n : n_from;
    memcpy(samples, from, both * sizeof *samples);
    memset(samples + both, 0, (n - both) * sizeof *samples);
}

void lab_telephone(lab_codec codec, float *samples, size_t n)
{
    size_t n_line = 0, n_back = 0;
    const double rate = codec == LAB_CODEC_CVSD ? CVSD_RATE : TELEPHONE_RATE;
    float *narrow = lab_resample(samples, n, LAB_RATE, TELEPHONE_RATE, &n_line);
    float *line = lab_resample(narrow, n_line, TELEPHONE_RATE, rate, &n_line);
    if (codec == LAB_CODEC_CVSD)
        cvsd(line, n_line);
    else
        for (size_t i = 0; i < n_line; i++)
            line[i] = ulaw(line[i]);
    free(narrow);
    narrow = lab_resample(line, n_line, rate, TELEPHONE_RATE, &n_line);
    float *back = lab_resample(narrow, n_line, TELEPHONE_RATE, LAB_RATE, &n_back);
    copy_in_step(samples, n, back, n_back);
    free(narrow);
    free(line);
    free(back);
}

/* ---- compressed files ------------------------------------------------------------------------------------------------ */

/* What libsndfile takes for these rates at 16 kHz mono; Vorbis has none, but a quality. */
static double compression_for(lab_codec codec, double kbps)
{
    const double c = codec == LAB_CODEC_OPUS  ? 1 - (kbps - 6) / 250
                     : codec == LAB_CODEC_MP3 ? (160 - kbps) / 152
                                              : (75 - kbps) / 47;
    return fmax(0, fmin(1, c));
}

bool lab_recode(lab_codec codec, double kbps, float *samples, size_t n)
{
    const encode_format format = codec == LAB_CODEC_OPUS  ? ENCODE_OPUS
                                 : codec == LAB_CODEC_MP3 ? ENCODE_MP3
                                                          : ENCODE_VORBIS;
    vx_buf file = {0};
    vx_audio audio = {0};
    const bool ok = encode_audio_at(format, samples, n, LAB_RATE, 1, compression_for(codec, kbps), &file) == 0 &&
                    vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL) == VX_OK;
    if (ok) {
        const size_t late = codec == LAB_CODEC_MP3 && audio.n > n ? LAME_DELAY : 0;
        copy_in_step(samples, n, audio.samples + late, audio.n - late);
    }
    vx_buf_done(&file);
    vx_audio_done(&audio);
    return ok;
}

bool lab_codec_ready(char ret_why[LAB_PARAMETERS])
{
    float tone[LAB_RATE];
    for (size_t i = 0; i < LAB_RATE; i++)
        tone[i] = 0.1F * (float)sin(0.2 * (double)i);
    for (lab_codec codec = LAB_CODEC_OPUS; codec <= LAB_CODEC_VORBIS; codec++)
        if (!lab_recode(codec, 32, tone, LAB_RATE)) {
            (void)snprintf(ret_why, LAB_PARAMETERS, "libsndfile was built without MP3, Opus or Vorbis");
            return false;
        }
    return true;
}

/* ---- narrow band ------------------------------------------------------------------------------------------------------ */

bool lab_narrow_band(uint64_t *seed, lab_clip *clip)
{
    static const char *const names[] = {"ulaw", "cvsd", "opus"};
    const lab_codec codec = (lab_codec)lab_pick(seed, 3);
    lab_note(clip, "band=300-3400 call=%s", names[codec]);
    lab_cut_below(300, 4, clip->samples, clip->n);
    lab_cut_above(3400, 8, clip->samples, clip->n);
    /* Codecs of the telephone have a fixed scale. */
    lab_scale(clip->samples, clip->n, lab_db_to_gain(-20 - lab_speech_db(clip->samples, clip->n)));
    if (codec == LAB_CODEC_OPUS)
        return lab_recode(codec, lab_uniform(seed, 8, 14), clip->samples, clip->n);
    lab_telephone(codec, clip->samples, clip->n);
    return true;
}
