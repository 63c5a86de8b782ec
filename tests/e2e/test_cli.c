/* test_cli.c - the program voxlock as a user runs it: what it prints where, and how it ends, as docs/cli.md says. */
#include <math.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "shared/base/file.h"
#include "tests/support/cli.h"
#include "tests/support/clip.h"
#include "tests/support/npy.h"

#define AUDIO "tests/data/audio/"

enum { MAX_ARGS = 12 };

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

typedef struct {
    char folder[64]; /* for files that a test makes */
} fixture;

static void expected_of(const char *name, float ret_values[CLIP_DIM])
{
    vx_audio audio = clip_audio(name);
    clip_expected(&audio, ret_values);
    vx_audio_done(&audio);
}

static int set_up(void **state)
{
    static fixture f = {.folder = "/tmp/voxlock-cli-XXXXXX"};
    *state = &f;
    return mkdtemp(f.folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    const fixture *f = *state;
    char command[64];
    snprintf(command, sizeof command, "%s", f->folder);
    pid_t pid;
    int status;
    char *const argv[] = {(char *)"rm", (char *)"-rf", command, NULL};
    return posix_spawnp(&pid, "rm", NULL, NULL, argv, environ) == 0 && waitpid(pid, &status, 0) == pid ? 0 : -1;
}

/* A file in the test's own folder. */
static const char *make_file(const fixture *f, const char *name, const void *data, size_t len)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- embed ------------------------------------------------------------------------------------------------------ */

/* The next line of JSON, and what is left behind it. */
static json_t *next_line(const char **rest)
{
    const char *end = strchr(*rest, '\n');
    assert_non_null(end);
    json_error_t error;
    json_t *root = json_loadb(*rest, (size_t)(end - *rest), JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s in: %.200s", error.text, *rest);
    *rest = end + 1;
    return root;
}

static void check_line(json_t *root, const char *file, const char *name)
{
    float expected[CLIP_DIM], got[CLIP_DIM];
    vx_audio audio = clip_audio(name);
    clip_expected(&audio, expected);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, expected, sizeof got);
    assert_string_equal(json_string_value(json_object_get(root, "file")), file);
    assert_int_equal(strlen(json_string_value(json_object_get(root, "model"))), strlen("sha256:") + 64);
    assert_true(fabs(json_number_value(json_object_get(root, "seconds")) - audio.seconds) < 1e-6);
    assert_true(fabs(json_number_value(json_object_get(root, "level_dbfs")) - audio.level_dbfs) < 1e-6);
    assert_true(fabs(json_number_value(json_object_get(root, "clipped_share")) - audio.clipped_share) < 1e-9);
    assert_int_equal(json_integer_value(json_object_get(root, "sample_rate")), audio.source_rate);
    vx_audio_done(&audio);
    json_decref(root);
}

static void embed_prints_a_line_of_json_for_each_file(void **state)
{
    (void)state;
    static const char *const names[] = {"reader1_a.flac", "reader1_a.wav",  "reader1_a.ogg",
                                        "reader1_a.mp3",  "reader1_a.opus", "reader1_a_44k_stereo.wav"};
    const char *args[MAX_ARGS] = {"embed", "--json"};
    char paths[6][64];
    for (size_t i = 0; i < 6; i++) {
        snprintf(paths[i], sizeof paths[i], AUDIO "%s", names[i]);
        args[i + 2] = paths[i];
    }
    cli_result r = cli_run(args);
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.err.len, 0);
    const char *rest = cli_text(&r.out);
    for (size_t i = 0; i < 6; i++)
        check_line(next_line(&rest), paths[i], names[i]);
    assert_string_equal(rest, "");
    cli_result_done(&r);
}

static void a_file_that_fails_does_not_stop_the_others(void **state)
{
    const fixture *f = *state;
    const char *bad = make_file(f, "notes.txt", "not audio at all", 16);
    cli_result r = cli_run(CLI_ARGS("embed", AUDIO "reader1_a.flac", bad, AUDIO "reader1_b.flac", "--json"));
    assert_int_equal(r.status, CLI_BAD_AUDIO);
    const char *rest = cli_text(&r.out);
    check_line(next_line(&rest), AUDIO "reader1_a.flac", "reader1_a.flac");
    json_t *line = next_line(&rest);
    assert_string_equal(json_string_value(json_object_get(line, "file")), bad);
    assert_string_equal(json_string_value(json_object_get(line, "code")), "unknown_audio_format");
    assert_true(strlen(json_string_value(json_object_get(line, "error"))) > 10);
    json_decref(line);
    check_line(next_line(&rest), AUDIO "reader1_b.flac", "reader1_b.flac");
    assert_int_equal(cli_count_lines(&r.err), 1);
    assert_non_null(strstr(cli_text(&r.err), bad));
    cli_result_done(&r);

    /* Of several failures the last one decides. */
    r = cli_run(CLI_ARGS("embed", bad, "/nonexistent.wav"));
    assert_int_equal(r.status, CLI_BAD_FILE);
    assert_int_equal(cli_count_lines(&r.err), 2);
    cli_result_done(&r);
    r = cli_run(CLI_ARGS("embed", "/nonexistent.wav", bad));
    assert_int_equal(r.status, CLI_BAD_AUDIO);
    cli_result_done(&r);
}

static void embed_reads_standard_input(void **state)
{
    (void)state;
    cli_result r = cli_run_with(CLI_ARGS("embed", "--json", "-"), NULL, AUDIO "reader2_a.flac", NULL);
    const char *rest = cli_text(&r.out);
    assert_int_equal(r.status, CLI_OK);
    check_line(next_line(&rest), "-", "reader2_a.flac");
    cli_result_done(&r);
    r = cli_run(CLI_ARGS("embed", "-")); /* from /dev/null */
    assert_int_equal(r.status, CLI_BAD_AUDIO);
    cli_result_done(&r);
}

static void embed_tells_a_person_what_it_found(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("embed", AUDIO "reader1_a.flac"));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(cli_count_lines(&r.out), 1);
    assert_non_null(strstr(cli_text(&r.out), "reader1_a.flac: 192 numbers from 3.5"));
    cli_result_done(&r);
}

static void npy_is_an_array_that_numpy_reads(void **state)
{
    const fixture *f = *state;
    static const char *const names[] = {"reader1_a.flac", "reader3_b.flac", "reader4_a.flac"};
    cli_result r =
        cli_run(CLI_ARGS("embed", AUDIO "reader1_a.flac", AUDIO "reader3_b.flac", AUDIO "reader4_a.flac", "--npy"));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.out.len, 128 + 3 * CLIP_DIM * sizeof(float));
    assert_memory_equal(r.out.data,
                        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 192), }", 67);
    assert_int_equal(r.out.data[127], '\n');
    npy array;
    assert_true(npy_load(make_file(f, "three.npy", r.out.data, r.out.len), &array));
    assert_int_equal(array.n_dims, 2);
    assert_int_equal(array.shape[0], 3);
    assert_int_equal(array.shape[1], CLIP_DIM);
    for (size_t i = 0; i < 3; i++) {
        float expected[CLIP_DIM];
        expected_of(names[i], expected);
        assert_memory_equal(array.data + i * CLIP_DIM, expected, sizeof expected);
    }
    npy_done(&array);
    cli_result_done(&r);

    /* All or nothing. */
    r = cli_run(CLI_ARGS("embed", "--npy", AUDIO "reader1_a.flac", AUDIO "README.md", AUDIO "reader1_b.flac"));
    assert_int_equal(r.status, CLI_BAD_AUDIO);
    assert_int_equal(r.out.len, 0);
    assert_int_equal(cli_count_lines(&r.err), 1);
    cli_result_done(&r);
}

/* ---- compare ---------------------------------------------------------------------------------------------------- */

static void compare_says_how_alike_two_voices_are(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"reader1_a.flac", "reader1_b.flac", true},
        {"reader2_a.flac", "reader2_b.flac", true},
        {"reader1_a.flac", "reader2_a.flac", false},
        {"reader1_a.flac", "reader1_a.wav", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char a[64], b[64], similarity[32];
        float va[CLIP_DIM], vb[CLIP_DIM];
        expected_of(cases[i].a, va);
        expected_of(cases[i].b, vb);
        snprintf(a, sizeof a, AUDIO "%s", cases[i].a);
        snprintf(b, sizeof b, AUDIO "%s", cases[i].b);
        cli_result r = cli_run(CLI_ARGS("compare", a, b, "--json"));
        assert_int_equal(r.status, CLI_OK); /* also when they differ */
        const char *rest = cli_text(&r.out);
        json_t *root = next_line(&rest);
        assert_string_equal(rest, "");
        const double cosine = json_number_value(json_object_get(root, "similarity"));
        const double threshold = json_number_value(json_object_get(root, "threshold"));
        const double probability = json_number_value(json_object_get(root, "probability"));
        assert_true(fabs(cosine - clip_cosine(va, vb)) < 1e-6);
        assert_int_equal(json_is_true(json_object_get(root, "same_speaker")), cases[i].same);
        assert_int_equal(cosine >= threshold, cases[i].same);
        assert_true(probability > 0 && probability < 1);
        json_decref(root);
        cli_result_done(&r);

        r = cli_run(CLI_ARGS("compare", a, b));
        assert_int_equal(r.status, CLI_OK);
        snprintf(similarity, sizeof similarity, "similarity %.3f: ", cosine);
        assert_int_equal(strncmp(cli_text(&r.out), similarity, strlen(similarity)), 0);
        assert_non_null(strstr(cli_text(&r.out), cases[i].same ? "same speaker" : "different speakers"));
        cli_result_done(&r);
    }
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *what;
    const char *args[4];
    const char *env;
    int status;
    const char *says; /* in the one line of standard error */
} failure;

static void check_failures(const failure *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *const args[] = {cases[i].args[0], cases[i].args[1], cases[i].args[2], cases[i].args[3], NULL};
        cli_result r = cli_run_with(args, cases[i].env, NULL, NULL);
        if (r.status != cases[i].status || r.out.len > 0 || cli_count_lines(&r.err) != 1 ||
            strncmp(cli_text(&r.err), "voxlock: ", 9) != 0 || !strstr(cli_text(&r.err), cases[i].says))
            fail_msg("%s: status %d, %zu bytes of output, said: %s", cases[i].what, r.status, r.out.len,
                     cli_text(&r.err));
        cli_result_done(&r);
    }
}

static void mistakes_of_usage_end_with_2(void **state)
{
    (void)state;
    static const failure cases[] = {
        {"unknown command", {"enbed", "x.wav"}, NULL, CLI_USAGE, "enbed"},
        {"no file", {"embed"}, NULL, CLI_USAGE, "embed FILE"},
        {"one file for compare", {"compare", "a.wav"}, NULL, CLI_USAGE, "compare FILE FILE"},
        {"three files for compare", {"compare", "a", "b", "c"}, NULL, CLI_USAGE, "compare FILE FILE"},
        {"unknown switch", {"embed", "--yaml", "x.wav"}, NULL, CLI_USAGE, "--yaml"},
        {"switch of another command", {"compare", "--npy", "a", "b"}, NULL, CLI_USAGE, "--npy"},
        {"both forms", {"embed", "--json", "--npy", "x.wav"}, NULL, CLI_USAGE, "--json or --npy"},
        {"bad value", {"embed", "x.wav"}, "VOXLOCK_THREADS=lots", CLI_USAGE, "VOXLOCK_THREADS"},
        {"bad flag value", {"embed", "--threads=-1", "x.wav"}, NULL, CLI_USAGE, "threads"},
        {"unknown setting", {"embed", "x.wav"}, "VOXLOCK_TREADS=1", CLI_USAGE, "VOXLOCK_TREADS"},
        {"unknown strategy",
         {"embed", "x.wav"},
         "ECAPA_PREFERRED_STRATEGY=hope",
         CLI_USAGE,
         "ECAPA_PREFERRED_STRATEGY"},
        {"no such instructions", {"embed", "x.wav"}, "VOXLOCK_ISA=neon512", CLI_USAGE, "VOXLOCK_ISA"},
        {"no config file", {"embed", "x.wav"}, "VOXLOCK_CONFIG=/nonexistent.conf", CLI_USAGE, "/nonexistent.conf"},
    };
    check_failures(cases, sizeof cases / sizeof *cases);
    cli_result r = cli_run((const char *const[]){NULL});
    assert_int_equal(r.status, CLI_USAGE);
    assert_int_equal(r.out.len, 0);
    assert_non_null(strstr(cli_text(&r.err), "usage: voxlock"));
    cli_result_done(&r);
}

static void files_and_models_that_fail_have_codes_of_their_own(void **state)
{
    const fixture *f = *state;
    static char silent[44 + 32000], model[128], weights[160];
    vx_buf flac = clip_file("reader1_a.flac");
    const char *const empty = strdup(make_file(f, "empty.wav", "", 0));
    const char *const cut = strdup(make_file(f, "cut.flac", flac.data, flac.len / 2));
    vx_buf raw = {0};
    assert_int_equal(vx_file_read(AUDIO "reader1_a.wav", 1 << 20, &raw, NULL), VX_OK);
    const char *const blip = strdup(make_file(f, "blip.wav", raw.data, 44 + 200));
    memcpy(silent, raw.data, 44);
    silent[4] = (char)0x24, silent[5] = 0x7d, silent[6] = silent[7] = 0; /* 36 + 32000 */
    silent[40] = 0, silent[41] = 0x7d, silent[42] = silent[43] = 0;      /* 32000 */
    const char *const still = strdup(make_file(f, "silent.wav", silent, sizeof silent));
    /* A model folder whose weights are one bit off: 8 MB, of which a copy is made. */
    vx_buf good = {0};
    snprintf(model, sizeof model, "ECAPA_CACHE_DIR=%s/model", f->folder);
    assert_int_equal(mkdir(model + strlen("ECAPA_CACHE_DIR="), 0700), 0);
    snprintf(weights, sizeof weights, "model/.optimization_manifest.json");
    assert_int_equal(vx_file_read("models/starter/.optimization_manifest.json", 1 << 20, &good, NULL), VX_OK);
    make_file(f, weights, good.data, good.len);
    vx_buf_done(&good);
    assert_int_equal(vx_file_read("models/starter/model.safetensors", 64 << 20, &good, NULL), VX_OK);
    good.data[good.len / 2] ^= 1;
    make_file(f, "model/model.safetensors", good.data, good.len);
    vx_buf_done(&good);

    const failure cases[] = {
        {"empty file", {"embed", empty}, NULL, CLI_BAD_AUDIO, "empty.wav"},
        {"cut off", {"embed", cut}, NULL, CLI_BAD_AUDIO, "cut.flac"},
        {"cut header", {"embed", blip}, NULL, CLI_BAD_AUDIO, "blip.wav"},
        {"silence", {"embed", still}, NULL, CLI_BAD_AUDIO, "silent"},
        {"no audio", {"embed", "Makefile"}, NULL, CLI_BAD_AUDIO, "Makefile"},
        {"second of compare", {"compare", AUDIO "reader1_a.flac", cut}, NULL, CLI_BAD_AUDIO, "cut.flac"},
        {"no model folder",
         {"embed", AUDIO "reader1_a.flac"},
         "ECAPA_CACHE_DIR=/nonexistent",
         CLI_BAD_MODEL,
         "/nonexistent"},
        {"no model in the folder", {"embed", AUDIO "reader1_a.flac"}, "ECAPA_CACHE_DIR=docs", CLI_BAD_MODEL, "docs"},
        {"a bit of the model",
         {"compare", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac"},
         model,
         CLI_BAD_MODEL,
         "model.safetensors"},
        {"no such file", {"embed", "/nonexistent.wav"}, NULL, CLI_BAD_FILE, "/nonexistent.wav"},
        {"a folder", {"embed", "docs"}, NULL, CLI_BAD_FILE, "docs"},
        {"a path through a file", {"compare", "Makefile/x", "Makefile"}, NULL, CLI_BAD_FILE, "Makefile/x"},
    };
    check_failures(cases, sizeof cases / sizeof *cases);
    free((char *)empty);
    free((char *)cut);
    free((char *)blip);
    free((char *)still);
    vx_buf_done(&raw);
    vx_buf_done(&flac);
}

/* A disk that is full must not look like success. */
static void output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip(); /* Linux only */
    static const char *const forms[] = {"--json", "--npy", "--"};
    for (size_t i = 0; i < 3; i++) {
        cli_result r = cli_run_with(CLI_ARGS("embed", forms[i], AUDIO "reader1_a.flac"), NULL, NULL, "/dev/full");
        assert_int_equal(r.status, CLI_BAD_FILE);
        assert_int_equal(cli_count_lines(&r.err), 1);
        cli_result_done(&r);
    }
}

static void a_double_dash_ends_the_switches(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("embed", "--", "--json"));
    assert_int_equal(r.status, CLI_BAD_FILE);
    assert_non_null(strstr(cli_text(&r.err), "--json"));
    cli_result_done(&r);
}

static void help_and_version_are_data(void **state)
{
    (void)state;
    static const struct {
        const char *args[3], *says;
    } cases[] = {
        {{"--version"}, "voxlock " VX_VERSION "\n"},
        {{"--help"}, "compare"},
        {{"-h"}, "embed"},
        {{"embed", "--help"}, "--npy"},
        {{"compare", "a", "--help"}, "ECAPA_CACHE_DIR"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const args[] = {cases[i].args[0], cases[i].args[1], cases[i].args[2], NULL};
        cli_result r = cli_run(args);
        assert_int_equal(r.status, CLI_OK);
        assert_int_equal(r.err.len, 0);
        assert_non_null(strstr(cli_text(&r.out), cases[i].says));
        cli_result_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_prints_a_line_of_json_for_each_file),
        cmocka_unit_test(a_file_that_fails_does_not_stop_the_others),
        cmocka_unit_test(embed_reads_standard_input),
        cmocka_unit_test(embed_tells_a_person_what_it_found),
        cmocka_unit_test(npy_is_an_array_that_numpy_reads),
        cmocka_unit_test(compare_says_how_alike_two_voices_are),
        cmocka_unit_test(mistakes_of_usage_end_with_2),
        cmocka_unit_test(files_and_models_that_fail_have_codes_of_their_own),
        cmocka_unit_test(output_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(a_double_dash_ends_the_switches),
        cmocka_unit_test(help_and_version_are_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
