/* bench_verdict.c - from an utterance to its recorded verdict, on the device: the whole attempt (quality, embedding, scores,
 * evidence, decision, two writes to the store that survive a power cut) beside its embedding alone, and the command verify
 * from the start of its process.
 * Usage:  bench_verdict [--runs N] NAME=FOLDER..., in the repository root
 * Owns:   one table on stdout and build/bench/verdict.json. Does not: judge. The physics are a constant here; bench_pava
 *         has their time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/attempt.h"
#include "edge/capture/quality.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/desk.h"
#include "tests/support/model_copy.h"
#include "tests/support/stats.h"

enum { MAX_RUNS = 200, WARM_UP = 3 };
#define JSON_PATH  "build/bench/verdict.json"
#define OWNER_CLIP "reader1_d.flac"

static int runs = 40;

/* Random weights have no calibration, without which nothing is decided; any will do for the time it takes. */
static void calibrate(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_t *scores = json_object_get(manifest, "scores");
    if (!json_object_get(scores, "voiceprint"))
        json_object_set_new(scores, "voiceprint",
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "offset", -5.0, "slope", 11.0,
                                      "enrolled_speech", 0.0, "utterance_speech", 0.0, "snr", 0.0, "threshold", 0.5,
                                      "same", 1, "other", 1));
    model_copy_set_manifest(copy, manifest);
}

static double attempt_once(desk *d, const vx_audio *audio)
{
    vx_attempt_outcome out;
    const vx_attempt_request request = {
        .command = "verify", .speaker = "anna", .samples = audio->samples, .n = audio->n, .clipped_share = -1};
    const uint64_t start_ns = vx_now_ns();
    if (vx_attempt_run(&d->runtime, &request, &out, NULL) != VX_OK || !out.voice_compared)
        fail_msg("%s", out.sentence);
    return vx_ms_since(start_ns);
}

static double embed_once(desk *d, const vx_audio *audio, vx_span voice)
{
    vx_embedding embedding;
    vx_engine *engine;
    assert_int_equal(vx_keeper_acquire(d->runtime.keeper, UINT64_MAX, &engine, NULL), VX_OK);
    const uint64_t start_ns = vx_now_ns();
    assert_int_equal(
        vx_engine_embed(engine, audio->samples + voice.begin, voice.end - voice.begin, &embedding, NULL, NULL), VX_OK);
    const double ms = vx_ms_since(start_ns);
    vx_keeper_release(d->runtime.keeper);
    return ms;
}

/* The command, from fork to its last word. */
static double verify_once(const desk *d, const char *model)
{
    char folder[128], clip[] = "tests/data/audio/" OWNER_CLIP;
    const char *line;
    child c = {0};
    bool answered = false;
    snprintf(folder, sizeof folder, "%s/data", d->folder.path);
    char *const argv[] = {(char *)VX_BUILD_DIR "/voxlock",
                          (char *)"verify",
                          (char *)"anna",
                          clip,
                          (char *)"--json",
                          (char *)"--data",
                          folder,
                          (char *)"--keyring",
                          (char *)"file",
                          (char *)"--model",
                          (char *)model,
                          NULL};
    const uint64_t start_ns = vx_now_ns();
    assert_true(child_start(argv, CHILD_STDOUT, &c));
    while (child_hear(&c, 30000, &line))
        answered = answered || strstr(line, "\"verdict\"");
    const double ms = vx_ms_since(start_ns);
    (void)child_end(&c, 10000);
    assert_true(answered);
    return ms;
}

static json_t *row(const char *model, const char *precision, const char *what, double *ms, double beside)
{
    const spread s = stats_spread(ms, (size_t)runs);
    printf("  %-10s %-5s %-34s %8.1f  %6.1f .. %-6.1f %6.2f\n", model, precision, what, s.median, s.p10, s.p90,
           s.median / beside);
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f}", "model", model, "precision", precision, "what", what,
                     "runs", runs, "median_ms", s.median, "p10_ms", s.p10, "p90_ms", s.p90);
}

static void measure(const char *name, const char *folder, const char *setting, json_t *rows)
{
    static const char *const files[] = {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac", NULL};
    static double embedding[MAX_RUNS], whole[MAX_RUNS], process[MAX_RUNS];
    desk d;
    vx_span voice;
    vx_quality quality;
    vx_errinfo info = {0};
    vx_engine *engine;
    vx_engine_info about;
    model_copy copy = model_copy_of(folder);
    calibrate(&copy);
    desk_open(&d, copy.path, setting);
    if (desk_enrol(&d, "anna", files, NULL, &info) != VX_OK)
        fail_msg("%s: %s", name, info.text);
    vx_audio audio = clip_audio(OWNER_CLIP);
    assert_int_equal(vx_quality_measure(audio.samples, audio.n, &voice, &quality), VX_OK);
    for (int i = -WARM_UP; i < runs; i++) {
        const double alone = embed_once(&d, &audio, voice), all = attempt_once(&d, &audio),
                     start = verify_once(&d, copy.path);
        if (i >= 0)
            embedding[i] = alone, whole[i] = all, process[i] = start;
    }
    assert_int_equal(vx_keeper_acquire(d.runtime.keeper, UINT64_MAX, &engine, NULL), VX_OK);
    vx_engine_get_info(engine, &about);
    const double beside = stats_spread(embedding, (size_t)runs).median;
    json_array_append_new(rows, row(name, about.precision, "embedding alone", embedding, beside));
    json_array_append_new(rows, row(name, about.precision, "utterance to recorded verdict", whole, beside));
    json_array_append_new(rows, row(name, about.precision, "voxlock verify, from its start", process, beside));
    vx_keeper_release(d.runtime.keeper);
    vx_audio_done(&audio);
    desk_close(&d);
    model_copy_done(&copy);
}

int main(int argc, char **argv)
{
    json_t *rows = json_array();
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--runs") == 0) {
        runs = atoi(argv[2]);
        first = 3;
    }
    if (runs < 1 || runs > MAX_RUNS || first >= argc) {
        fprintf(stderr, "usage: bench_verdict [--runs 1..%d] NAME=FOLDER...\n", MAX_RUNS);
        return 2;
    }
    printf("  %-10s %-5s %-34s %8s  %-16s %6s\n", "model", "", "4.3 s clip, all cores", "ms", "p10 .. p90", "ratio");
    for (int i = first; i < argc; i++) {
        char *folder = strchr(argv[i], '=');
        if (!folder)
            return 2;
        *folder++ = '\0';
        measure(argv[i], folder, "VOXLOCK_THREADS=0", rows);
        measure(argv[i], folder, "VOXLOCK_PRECISION=bf16", rows);
    }
    const int status = json_dump_file(rows, JSON_PATH, JSON_INDENT(1)) == 0 ? 0 : 1;
    json_decref(rows);
    return status;
}
