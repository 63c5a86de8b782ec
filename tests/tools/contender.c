/* contender.c - voxlock's engine as a contender of tests/bench/bench_engine.c, and the clips that all contenders get.
 * Usage:  contender clips FOLDER                  writes 1s.wav, 1s.f32, 3s..., 10s..., 30s... into FOLDER
 *         contender serve MODEL_FOLDER GEMM THREADS [--strategy NAME] [--precision f32|bf16|int8] [--isa NAME]
 * Owns:   one side of the protocol that bench_engine.c describes. Does not: compare.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "shared/audio/fbank.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/engine.h"
#include "tests/support/encode.h"

#define MAX_FILE_BYTES ((size_t)16 << 20)

static int complain(const char *what, vx_err err, const vx_errinfo *info)
{
    fprintf(stderr, "contender: %s: %s\n", what, vx_errinfo_text(info, err));
    return 1;
}

static int write_file(const char *folder, int seconds, const char *ending, const void *data, size_t len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%ds.%s", folder, seconds, ending);
    FILE *file = fopen(path, "wb");
    const bool ok = file && fwrite(data, 1, len, file) == len;
    if (file && fclose(file) == 0 && ok)
        return 0;
    fprintf(stderr, "contender: %s: cannot be written\n", path);
    return 1;
}

/* Features as [frames, bands], the other way round than the engine has them: what torch and ONNX models take. */
static int write_features(const char *folder, int seconds, const float *samples, size_t n)
{
    const vx_fbank_params params = vx_fbank_params_default();
    vx_fbank *fbank = NULL;
    vx_err err = vx_fbank_create(&params, vx_isa_best(), &fbank, NULL);
    if (err)
        return complain("features", err, NULL);
    const size_t frames = vx_fbank_frames(fbank, n), bands = (size_t)params.n_bands;
    float *by_band = calloc(frames * bands, sizeof *by_band), *by_frame = calloc(frames * bands, sizeof *by_frame);
    err = by_band && by_frame ? vx_fbank_compute(fbank, samples, n, by_band, frames) : VX_ERR_NOMEM;
    for (size_t t = 0; !err && t < frames; t++)
        for (size_t b = 0; b < bands; b++)
            by_frame[t * bands + b] = by_band[b * frames + t];
    int status = err ? complain("features", err, NULL)
                     : write_file(folder, seconds, "f32", by_frame, frames * bands * sizeof *by_frame);
    free(by_band);
    free(by_frame);
    vx_fbank_destroy(fbank);
    return status;
}

static vx_err load(const char *path, vx_audio *ret_audio, vx_errinfo *info)
{
    vx_buf file = {0};
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, info);
    if (!err)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, ret_audio, info);
    vx_buf_wipe_done(&file);
    return err;
}

/* Two utterances of read speech, 3.0 and 7.31 s, one behind the other, again and again, cut to length. */
static int clips(const char *folder)
{
    static const int lengths_s[] = {1, 3, 10, 30};
    enum { LONGEST = 30 * VX_AUDIO_RATE };
    vx_audio a = {0}, b = {0};
    vx_errinfo info = {0};
    int status = 0;
    vx_err err = load("tests/data/golden/a.wav", &a, &info);
    if (!err)
        err = load("tests/data/golden/c.wav", &b, &info);
    if (err)
        return complain("clips", err, &info);
    float *speech = calloc(LONGEST, sizeof *speech);
    for (size_t i = 0, period = a.n + b.n; speech && i < LONGEST; i++)
        speech[i] = i % period < a.n ? a.samples[i % period] : b.samples[i % period - a.n];
    for (size_t i = 0; status == 0 && i < sizeof lengths_s / sizeof *lengths_s; i++) {
        const size_t n = (size_t)lengths_s[i] * VX_AUDIO_RATE;
        vx_buf wav = {0};
        if (!speech || encode_audio(ENCODE_WAV16, speech, n, VX_AUDIO_RATE, 1, &wav) != 0)
            status = complain("clips", VX_ERR_NOMEM, NULL);
        else
            status = write_file(folder, lengths_s[i], "wav", wav.data, wav.len);
        if (status == 0)
            status = write_features(folder, lengths_s[i], speech, n);
        vx_buf_done(&wav);
    }
    free(speech);
    vx_audio_done(&a);
    vx_audio_done(&b);
    return status;
}

/* One request: the clip's bytes are in memory before the clock starts. */
static vx_err answer(vx_engine *engine, const char *clip, vx_errinfo *info)
{
    char path[512];
    vx_buf file = {0};
    vx_audio audio = {0};
    vx_embedding embedding = {0};
    vx_engine_timing timing = {0};
    snprintf(path, sizeof path, "%s.wav", clip);
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, info);
    if (err)
        return err;
    const uint64_t start = vx_now_ns(), cpu_start = vx_cpu_ns();
    err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, info);
    const double decode_ms = vx_ms_since(start);
    if (!err)
        err = vx_engine_embed(engine, audio.samples, audio.n, &embedding, &timing, NULL);
    const double cpu_ms = (double)(vx_cpu_ns() - cpu_start) / 1e6;
    if (!err) {
        json_t *line = json_pack("{s:f, s:f, s:f, s:f, s:o}", "decode_ms", decode_ms, "features_ms", timing.features_ms,
                                 "network_ms", timing.network_ms, "cpu_ms", cpu_ms, "embedding",
                                 vx_json_from_floats(embedding.values, (size_t)embedding.dim));
        err = json_dumpf(line, stdout, JSON_COMPACT) == 0 && putchar('\n') == '\n' && fflush(stdout) == 0 ? VX_OK
                                                                                                          : VX_ERR_IO;
        json_decref(line);
    }
    vx_audio_done(&audio);
    vx_buf_wipe_done(&file);
    return err;
}

/* The precision or the instruction set of this name. */
static bool read_option(const char *flag, const char *name, vx_engine_options *options)
{
    for (int p = VX_PRECISION_F32; p <= VX_PRECISION_INT8 && strcmp(flag, "--precision") == 0; p++)
        if (strcmp(name, vx_precision_name((vx_precision)p)) == 0) {
            options->precision = (vx_precision)p;
            return true;
        }
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST && strcmp(flag, "--isa") == 0; isa++)
        if (strcmp(name, vx_isa_name((vx_isa)isa)) == 0) {
            options->isa = (vx_isa)isa;
            return true;
        }
    return false;
}

/* What stands behind `serve MODEL_FOLDER`. False when it cannot be made sense of. */
static bool read_options(int argc, char **argv, vx_engine_options *ret_options)
{
    vx_engine_options options = vx_engine_options_default();
    if (argc < 2 || argc % 2 != 0)
        return false;
    options.gemm = argv[0];
    options.threads = atoi(argv[1]);
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--strategy") == 0)
            options.strategy = argv[i + 1];
        else if (!read_option(argv[i], argv[i + 1], &options))
            return false;
    }
    *ret_options = options;
    return true;
}

static int serve(const char *folder, const vx_engine_options *options)
{
    vx_engine *engine = NULL;
    vx_engine_info about;
    vx_errinfo info = {0};
    char clip[256];
    vx_err err = vx_engine_open(folder, options, &engine, &info);
    if (err)
        return complain(folder, err, &info);
    vx_engine_get_info(engine, &about);
    printf("{\"engine\":\"voxlock %s, %s\",\"precision\":\"%s\"}\n", VX_VERSION,
           strcmp(about.gemm, "simd") == 0 ? about.isa : about.gemm, about.precision);
    fflush(stdout);
    while (!err && fgets(clip, sizeof clip, stdin)) {
        clip[strcspn(clip, "\n")] = '\0';
        err = answer(engine, clip, &info);
    }
    vx_engine_close(engine);
    return err ? complain(clip, err, &info) : 0;
}

int main(int argc, char **argv)
{
    vx_engine_options options;
    if (argc == 3 && strcmp(argv[1], "clips") == 0)
        return clips(argv[2]);
    if (argc >= 3 && strcmp(argv[1], "serve") == 0 && read_options(argc - 3, argv + 3, &options))
        return serve(argv[2], &options);
    fputs("usage: contender clips FOLDER | contender serve MODEL_FOLDER GEMM THREADS [--strategy NAME] "
          "[--precision f32|bf16|int8] [--isa NAME]\n",
          stderr);
    return 2;
}
