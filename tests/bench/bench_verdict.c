/* bench_verdict.c - from an utterance to its recorded verdict, on the device: the whole attempt (quality, embedding, scores,
 * physics, other evidence, decision, two writes to the store that survive a power cut) beside its embedding and its physics
 * alone, the attempt without physics, and the command verify from the start of its process; by how much was heard before.
 * Usage:  bench_verdict [--runs N] NAME=FOLDER..., in the repository root
 * Owns:   one table on stdout and build/bench/verdict.json. Does not: judge; say what within physics takes how long
 *         (bench_pava, bench_fingerprint).
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
#include "edge/store/profiles.h"
#include "edge/store/utterances.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/desk.h"
#include "tests/support/model_copy.h"
#include "tests/support/stats.h"

enum { MAX_RUNS = 200, WARM_UP = 3, TRIES = 5 };
#define JSON_PATH  "build/bench/verdict.json"
#define OWNER      "anna"
#define OWNER_CLIP "reader1_d.flac"

/* Utterances that are known: those of the enrolment, a month of ten a day, as many of its own as a store keeps. */
static const size_t HEARD[] = {3, 300, VX_STORE_UTTERANCES_OWN};
enum { N_HEARD = sizeof HEARD / sizeof *HEARD };

typedef enum { EMBEDDING, PHYSICS, WITHOUT_PHYSICS, WHOLE, COMMAND, N_MEASURES } measure;
static const char *const names[N_MEASURES] = {"embedding alone", "physics alone", "the attempt without physics",
                                              "the whole attempt", "voxlock verify, from its start"};

static int runs = 40, n_late;
static double times[N_MEASURES][MAX_RUNS];

typedef struct {
    desk desk;
    const char *model; /* its folder */
    vx_audio audio;
    vx_span voice;
    int64_t speaker;
} place;

/* ---- a desk that has heard much ------------------------------------------------------------------------------------- */

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

/* As the programs judge, where a desk has a constant. */
static void judge_physics(void *arg, const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                          vx_pava_report *ret_report, vx_evidence *ret_evidence)
{
    (void)arg;
    vx_pava_judge(samples, n, known, deadline_ns, ret_report, ret_evidence);
}

static void open_place(place *p, const char *model, const char *setting)
{
    static const char *const files[] = {"reader1_a.flac", "reader1_b.flac", "reader1_c.flac", NULL};
    vx_quality quality;
    vx_speaker speaker;
    vx_errinfo info = {0};
    p->model = model;
    desk_open(&p->desk, model, setting);
    p->desk.runtime.physics = judge_physics;
    if (desk_enrol(&p->desk, OWNER, files, NULL, &info) != VX_OK)
        fail_msg("%s: %s", model, info.text);
    assert_int_equal(vx_store_speaker(p->desk.runtime.store, OWNER, &speaker, NULL), VX_OK);
    p->speaker = speaker.id;
    p->audio = clip_audio(OWNER_CLIP);
    assert_int_equal(vx_quality_measure(p->audio.samples, p->audio.n, &p->voice, &quality), VX_OK);
}

static void close_place(place *p)
{
    vx_audio_done(&p->audio);
    desk_close(&p->desk);
}

/* Fingerprints of stretches of other people's recordings, again and again: the search knows none of them, and takes as long
 * as if all were different. */
static void hear(const place *p, size_t n)
{
    static const char *const files[] = {"reader2_a.flac", "reader2_b.flac", "reader2_c.flac", "reader2_d.flac",
                                        "reader3_a.flac", "reader3_b.flac", "reader4_a.flac", "reader4_b.flac"};
    enum { FILES = sizeof files / sizeof *files, STRETCHES = 6, LENGTH = 3 * VX_AUDIO_RATE };
    vx_buf prints[FILES * STRETCHES] = {{0}};
    vx_store *store = p->desk.runtime.store;
    for (int i = 0; i < FILES; i++) {
        vx_audio audio = clip_audio(files[i]);
        assert_true(audio.n > LENGTH);
        for (size_t k = 0; k < STRETCHES; k++) {
            vx_fingerprint print;
            vx_buf *packed = &prints[STRETCHES * i + (int)k];
            const float *from = audio.samples + k * (audio.n - LENGTH) / STRETCHES;
            assert_int_equal(vx_pava_fingerprint(from, LENGTH, &print, NULL), VX_OK);
            packed->len = vx_fingerprint_size(&print);
            assert_int_equal(vx_buf_reserve(packed, packed->len), VX_OK);
            vx_fingerprint_pack(&print, packed->data);
            vx_fingerprint_done(&print);
        }
        vx_audio_done(&audio);
    }
    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    for (size_t i = 0; i < n; i++) {
        const vx_buf *print = &prints[i % (FILES * STRETCHES)];
        assert_int_equal(
            vx_store_remember(store, p->speaker, VX_UTTERANCE_OWN, vx_wall_ms(), print->data, print->len, NULL), VX_OK);
    }
    assert_int_equal(vx_store_end(store, VX_OK, NULL), VX_OK);
    for (int i = 0; i < FILES * STRETCHES; i++)
        vx_buf_done(&prints[i]);
}

/* ---- what is timed -------------------------------------------------------------------------------------------------- */

static double embed_once(place *p)
{
    vx_embedding embedding;
    vx_engine *engine;
    vx_keeper *keeper = p->desk.runtime.keeper;
    assert_int_equal(vx_keeper_acquire(keeper, UINT64_MAX, &engine, NULL), VX_OK);
    const uint64_t start_ns = vx_now_ns();
    const vx_err err = vx_engine_embed(engine, p->audio.samples + p->voice.begin, p->voice.end - p->voice.begin,
                                       &embedding, NULL, NULL);
    const double ms = vx_ms_since(start_ns);
    assert_int_equal(err, VX_OK);
    vx_keeper_release(keeper);
    return ms;
}

/* As the attempt does it, with what an agent keeps of the attempt before. */
static double judge_once(place *p, size_t heard)
{
    vx_lessons lessons;
    vx_pava_report report;
    vx_evidence evidence;
    vx_runtime *r = &p->desk.runtime;
    const uint64_t start_ns = vx_now_ns();
    vx_runtime_take_lessons(r, &lessons);
    assert_int_equal(vx_lessons_load(r->store, p->speaker, &lessons, NULL), VX_OK);
    const vx_pava_known known = vx_lessons_known(&lessons);
    vx_pava_judge(p->audio.samples, p->audio.n, &known, 0, &report, &evidence);
    const double ms = vx_ms_since(start_ns);
    assert_int_equal(known.n_heard, heard);
    assert_int_equal(evidence.status, VX_EVIDENCE_VALID);
    vx_pava_report_done(&report);
    vx_runtime_keep_lessons(r, &lessons);
    return ms;
}

/* On a busy machine a source may come later than its deadline: then the attempt is another one, and is made again. */
static double attempt_once(place *p, bool physics)
{
    vx_attempt_outcome out;
    const vx_attempt_request request = {
        .command = "verify", .speaker = OWNER, .samples = p->audio.samples, .n = p->audio.n, .clipped_share = -1};
    p->desk.runtime.physics_on = physics;
    for (int tries = 0; tries < TRIES; tries++) {
        const uint64_t start_ns = vx_now_ns();
        const vx_err err = vx_attempt_run(&p->desk.runtime, &request, &out, NULL);
        const double ms = vx_ms_since(start_ns);
        if (err == VX_OK && out.voice_compared && out.examined == physics)
            return ms;
        n_late++;
    }
    fail_msg("%s", out.sentence);
    return 0;
}

/* The command, from fork to its last word. */
static double verify_once(const place *p)
{
    char folder[128], clip[] = "tests/data/audio/" OWNER_CLIP;
    const char *line;
    child c = {0};
    bool answered = false;
    snprintf(folder, sizeof folder, "%s/data", p->desk.folder.path);
    char *const argv[] = {(char *)VX_BUILD_DIR "/voxlock",
                          (char *)"verify",
                          (char *)OWNER,
                          clip,
                          (char *)"--json",
                          (char *)"--data",
                          folder,
                          (char *)"--keyring",
                          (char *)"file",
                          (char *)"--model",
                          (char *)p->model,
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

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static json_t *row(const char *model, const char *precision, size_t heard, measure what, double beside)
{
    const spread s = stats_spread(times[what], (size_t)runs);
    printf("  %-10s %-5s %5zu  %-32s %8.1f  %6.1f .. %-6.1f %6.2f\n", model, precision, heard, names[what], s.median,
           s.p10, s.p90, s.median / beside);
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:f, s:f, s:f}", "model", model, "precision", precision, "heard",
                     (int)heard, "what", names[what], "runs", runs, "median_ms", s.median, "p10_ms", s.p10, "p90_ms",
                     s.p90);
}

/* In turns, so that what else the machine does meanwhile slows all of them alike. */
static void measure_all(place *p, const char *name, size_t heard, json_t *rows)
{
    vx_engine *engine;
    vx_engine_info about;
    for (int i = -WARM_UP; i < runs; i++) {
        double now[N_MEASURES];
        now[EMBEDDING] = embed_once(p);
        now[PHYSICS] = judge_once(p, heard);
        now[WITHOUT_PHYSICS] = attempt_once(p, false);
        now[WHOLE] = attempt_once(p, true);
        now[COMMAND] = verify_once(p);
        for (int m = 0; m < N_MEASURES && i >= 0; m++)
            times[m][i] = now[m];
    }
    assert_int_equal(vx_keeper_acquire(p->desk.runtime.keeper, UINT64_MAX, &engine, NULL), VX_OK);
    vx_engine_get_info(engine, &about);
    const double beside = stats_spread(times[EMBEDDING], (size_t)runs).median;
    for (int m = 0; m < N_MEASURES; m++)
        json_array_append_new(rows, row(name, about.precision, heard, (measure)m, beside));
    vx_keeper_release(p->desk.runtime.keeper);
}

static void measure_model(const char *name, const char *folder, const char *setting, json_t *rows)
{
    place p = {0};
    size_t heard = HEARD[0];
    model_copy copy = model_copy_of(folder);
    calibrate(&copy);
    open_place(&p, copy.path, setting);
    for (int i = 0; i < N_HEARD; i++) {
        hear(&p, HEARD[i] - heard);
        heard = HEARD[i];
        measure_all(&p, name, heard, rows);
    }
    close_place(&p);
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
    printf("  %-10s %-5s %5s  %-32s %8s  %-16s %6s\n", "model", "", "heard", "4.3 s clip, all cores", "ms",
           "p10 .. p90", "ratio");
    for (int i = first; i < argc; i++) {
        char *folder = strchr(argv[i], '=');
        if (!folder)
            return 2;
        *folder++ = '\0';
        measure_model(argv[i], folder, "VOXLOCK_THREADS=0", rows);
        measure_model(argv[i], folder, "VOXLOCK_PRECISION=bf16", rows);
    }
    if (n_late > 0)
        printf("  %d attempts were made again: voice or physics came too late, or not at all\n", n_late);
    const int status = json_dump_file(rows, JSON_PATH, JSON_INDENT(1)) == 0 ? 0 : 1;
    json_decref(rows);
    return status;
}
