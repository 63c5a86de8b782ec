/* test_status.c - `voxlock status` tells what runs and why, in good and in bad states, for people and for programs; and
 * `embed` and `compare` say when they do not run the way that was asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/cli.h"
#include "tests/support/model_copy.h"

#define STARTER "models/starter"
#define CLIP    "tests/data/audio/reader1_a.flac"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* One line of JSON, and nothing else. */
static json_t *document_of(const cli_result *r)
{
    json_error_t error;
    assert_int_equal(cli_count_lines(&r->out), 1);
    json_t *root = json_loads(cli_text(&r->out), JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s in: %.300s", error.text, cli_text(&r->out));
    return root;
}

/* "ECAPA_CACHE_DIR=<copy>" */
static const char *setting_for(const model_copy *copy)
{
    static char setting[96];
    snprintf(setting, sizeof setting, "ECAPA_CACHE_DIR=%s", copy->path);
    return setting;
}

/* The starter with a faster artefact that is not there. */
static model_copy copy_with_missing_jit(void)
{
    model_copy copy = model_copy_of(STARTER);
    json_t *manifest = model_copy_manifest(&copy);
    json_object_set_new(json_object_get(manifest, "artefacts"), "jit",
                        json_pack("{s:s, s:i, s:s, s:s, s:f, s:f, s:f}", "file", "gone.pt", "bytes", 5, "sha256",
                                  "0000000000000000000000000000000000000000000000000000000000000000", "precision",
                                  "bf16", "cosine_min", 0.9995, "load_ms", 300.0, "inference_ms", 4.5));
    model_copy_set_manifest(&copy, manifest);
    return copy;
}

/* ---- as it should be -------------------------------------------------------------------------------------------- */

static void a_sound_model_is_described(void **state)
{
    (void)state;
    cli_result r = cli_run_with(CLI_ARGS("status", "--json", "--threads", "3"), "VOXLOCK_ISA=scalar", NULL, NULL);
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.err.len, 0);
    json_t *root = document_of(&r);
    static const struct {
        const char *section, *key, *value;
    } texts[] = {
        {"voxlock", "version", VX_VERSION},
        {"engine", "strategy", "native"},
        {"engine", "gemm", "simd"},
        {"engine", "isa", "scalar"},
        {"engine", "device", "cpu"},
        {"engine", "precision", "f32"},
        {"model", "name", "voxlock-starter-256"},
        {"model", "folder", STARTER},
        {"model", "licence", "CC-BY-SA-4.0"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(text_of(json_object_get(root, texts[i].section), texts[i].key), texts[i].value);
    const json_t *engine = json_object_get(root, "engine"), *model = json_object_get(root, "model");
    assert_int_equal(strncmp(text_of(engine, "reason"), "auto: ", 6), 0);
    assert_true(json_is_true(json_object_get(engine, "opened")) && json_is_false(json_object_get(engine, "degraded")));
    assert_int_equal(json_integer_value(json_object_get(engine, "threads_per_clip")), 3);
    assert_true(json_real_value(json_object_get(engine, "load_ms")) > 0);
    assert_true(json_real_value(json_object_get(engine, "self_test_cosine")) > 0.9999);
    /* It says itself that it is only a starter. */
    assert_non_null(strstr(text_of(model, "accuracy"), "starter"));
    assert_int_equal(strncmp(text_of(model, "digest"), "sha256:11835cd0", 15), 0);
    assert_int_equal(json_integer_value(json_object_get(model, "embedding_size")), 192);
    const json_t *artefacts = json_object_get(root, "artefacts"), *native = json_array_get(artefacts, 0);
    assert_int_equal(json_array_size(artefacts), 1);
    assert_string_equal(text_of(native, "file"), MODEL_WEIGHTS);
    assert_string_equal(text_of(native, "auto"), "allowed");
    assert_true(json_integer_value(json_object_get(native, "bytes")) > 8000000);
    const json_t *memory = json_object_get(root, "memory");
    assert_true(json_integer_value(json_object_get(memory, "weights_bytes")) > 8000000);
    const json_t *strategies = json_object_get(root, "strategies");
    assert_int_equal(json_array_size(strategies), 1);
    json_decref(root);
    cli_result_done(&r);
}

/* Only what somebody changed, with where it was changed. */
static void changed_settings_are_listed(void **state)
{
    (void)state;
    char config[] = "/tmp/voxlock-status-XXXXXX", flag[64], origin[96];
    const int fd = mkstemp(config);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "# mine\nVOXLOCK_THREADS = 2\n", 27), 27);
    close(fd);
    snprintf(flag, sizeof flag, "--config=%s", config);
    cli_result r =
        cli_run_with(CLI_ARGS("status", "--json", "--gemm", "simd", flag), "ECAPA_USE_OPTIMIZED=false", NULL, NULL);
    unlink(config);
    snprintf(origin, sizeof origin, "file %s:2", config);
    assert_int_equal(r.status, CLI_OK);
    json_t *root = document_of(&r);
    const json_t *settings = json_object_get(root, "settings");
    const struct {
        const char *name, *value, *origin;
    } cases[] = {
        {"ECAPA_CACHE_DIR", STARTER, "environment"}, {"ECAPA_USE_OPTIMIZED", "false", "environment"},
        {"VOXLOCK_GEMM", "simd", "flag --gemm"},     {"VOXLOCK_THREADS", "2", origin},
        {"VOXLOCK_CONFIG", config, "flag --config"},
    };
    assert_int_equal(json_array_size(settings), sizeof cases / sizeof *cases);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const json_t *row = json_array_get(settings, i);
        assert_string_equal(text_of(row, "name"), cases[i].name);
        assert_string_equal(text_of(row, "value"), cases[i].value);
        assert_string_equal(text_of(row, "origin"), cases[i].origin);
    }
    assert_non_null(strstr(text_of(json_object_get(root, "engine"), "reason"), "ECAPA_USE_OPTIMIZED is false"));
    json_decref(root);
    cli_result_done(&r);
}

static void people_read_sections_and_tables(void **state)
{
    (void)state;
    static const char *const says[] = {
        "voxlock\n  version  ",
        "\nengine\n  opened            yes\n  strategy          native\n  reason            auto: ",
        "\nmodel\n  folder          " STARTER "\n  name            voxlock-starter-256\n  accuracy        a starter: ",
        "\n  native    model.safetensors  8262184  auto       -           -        -             allowed\n",
        "\nmemory\n  resident bytes ",
        "\nsettings\n  name             value           origin\n  ECAPA_CACHE_DIR  models/starter  environment\n",
    };
    cli_result r = cli_run(CLI_ARGS("status"));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.err.len, 0);
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(cli_text(&r.out), says[i]))
            fail_msg("'%s' is not in:\n%s", says[i], cli_text(&r.out));
    for (size_t i = 0; i < r.out.len; i++)
        assert_true(r.out.data[i] == '\n' || r.out.data[i] >= 0x20);
    cli_result_done(&r);
}

/* A name from elsewhere could carry commands for the terminal. */
static void names_cannot_steer_the_terminal(void **state)
{
    (void)state;
    cli_result r = cli_run_with(CLI_ARGS("status"), "ECAPA_CACHE_DIR=/tmp/\x1b[2J\a\xc3\xa9\xc2\x9b", NULL, NULL);
    assert_int_equal(r.status, CLI_BAD_MODEL);
    assert_null(strchr(cli_text(&r.out), '\x1b'));
    assert_non_null(strstr(cli_text(&r.out), "/tmp/?[2J?\xc3\xa9??"));
    cli_result_done(&r);
    r = cli_run_with(CLI_ARGS("status"), "ECAPA_CACHE_DIR=/tmp/\xff\xfe", NULL, NULL);
    assert_int_equal(r.status, CLI_BAD_MODEL);
    assert_non_null(strstr(cli_text(&r.out), "(not UTF-8)"));
    cli_result_done(&r);
}

/* ---- not as it was asked for ------------------------------------------------------------------------------------ */

static void falling_down_the_list_is_told(void **state)
{
    (void)state;
    model_copy copy = copy_with_missing_jit();
    cli_result r = cli_run_with(CLI_ARGS("status", "--json"), setting_for(&copy), NULL, NULL);
    assert_int_equal(r.status, CLI_OK);
    json_t *root = document_of(&r);
    const json_t *engine = json_object_get(root, "engine"), *strategies = json_object_get(root, "strategies");
    assert_true(json_is_true(json_object_get(engine, "degraded")));
    assert_string_equal(text_of(engine, "strategy"), "native");
    assert_non_null(strstr(text_of(engine, "reason"), "/gone.pt: cannot open"));
    assert_int_equal(json_array_size(strategies), 2);
    const json_t *jit = json_array_get(strategies, 0), *native = json_array_get(strategies, 1);
    assert_string_equal(text_of(jit, "strategy"), "jit");
    assert_string_equal(text_of(jit, "code"), "model_missing");
    assert_non_null(strstr(text_of(jit, "reason"), "/gone.pt"));
    assert_true(json_is_false(json_object_get(jit, "opened")) && json_is_true(json_object_get(native, "opened")));
    assert_true(json_is_null(json_object_get(native, "code")));
    const json_t *artefact = json_array_get(json_object_get(root, "artefacts"), 1);
    assert_string_equal(text_of(artefact, "precision"), "bf16");
    assert_string_equal(text_of(artefact, "auto"), "allowed");
    assert_true(json_real_value(json_object_get(artefact, "inference_ms")) == 4.5);
    assert_true(json_real_value(json_object_get(artefact, "load_ms")) == 300);
    assert_true(json_real_value(json_object_get(artefact, "cosine_min")) == 0.9995);
    json_decref(root);
    cli_result_done(&r);
    model_copy_done(&copy);
}

/* The answer is right and the exit code 0; one line says that it came another way. */
static void embed_and_compare_warn(void **state)
{
    (void)state;
    model_copy copy = copy_with_missing_jit();
    const char *const commands[2][4] = {{"embed", CLIP, "--json", NULL}, {"compare", CLIP, CLIP, NULL}};
    for (int i = 0; i < 2; i++) {
        cli_result plain = cli_run(commands[i]);
        cli_result r = cli_run_with(commands[i], setting_for(&copy), NULL, NULL);
        assert_int_equal(plain.status, CLI_OK);
        assert_int_equal(plain.err.len, 0);
        assert_int_equal(r.status, CLI_OK);
        assert_string_equal(cli_text(&r.out), cli_text(&plain.out));
        assert_int_equal(cli_count_lines(&r.err), 1);
        assert_int_equal(strncmp(cli_text(&r.err), "voxlock: warning: fell back to native: ", 39), 0);
        assert_non_null(strstr(cli_text(&r.err), "/gone.pt"));
        cli_result_done(&plain);
        cli_result_done(&r);
    }
    model_copy_done(&copy);
}

/* ---- nothing opens ---------------------------------------------------------------------------------------------- */

/* What is known is still told, and the exit code says that there is no engine. */
static void without_an_engine_the_rest_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *env, *code, *says;
        bool knows_model;
    } cases[] = {
        {"ECAPA_CACHE_DIR=/nonexistent", "model_missing", "/nonexistent/", false},
        {"ECAPA_DEVICE=cuda", "bad_setting", "cuda", true},
        {"VOXLOCK_PRECISION=int8", "bad_setting", "int8", true},
        {"ECAPA_PREFERRED_STRATEGY=quantized", "model_missing", "'quantized'", true},
        {"ECAPA_PREFERRED_STRATEGY=jit", "model_missing", "'jit'", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_result r = cli_run_with(CLI_ARGS("status", "--json"), cases[i].env, NULL, NULL);
        assert_int_equal(r.status, CLI_BAD_MODEL);
        assert_int_equal(cli_count_lines(&r.err), 1);
        assert_non_null(strstr(cli_text(&r.err), cases[i].says));
        json_t *root = document_of(&r);
        const json_t *engine = json_object_get(root, "engine");
        assert_true(json_is_false(json_object_get(engine, "opened")));
        assert_string_equal(text_of(engine, "code"), cases[i].code);
        assert_non_null(strstr(text_of(engine, "reason"), cases[i].says));
        assert_int_equal(text_of(json_object_get(root, "model"), "digest")[0] != '\0', cases[i].knows_model);
        assert_int_equal(json_array_size(json_object_get(root, "artefacts")), cases[i].knows_model ? 1 : 0);
        json_decref(root);
        cli_result_done(&r);
        r = cli_run_with(CLI_ARGS("status"), cases[i].env, NULL, NULL);
        assert_int_equal(r.status, CLI_BAD_MODEL);
        assert_non_null(strstr(cli_text(&r.out), "\nengine\n  opened  no\n"));
        cli_result_done(&r);
    }
}

static void mistakes_of_usage(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("status", "now"));
    assert_int_equal(r.status, CLI_USAGE);
    assert_int_equal(r.out.len, 0);
    assert_non_null(strstr(cli_text(&r.err), "voxlock status [--json]"));
    cli_result_done(&r);
    r = cli_run_with(CLI_ARGS("status"), "ECAPA_STRICT_OFFLINE=false", NULL, NULL);
    assert_int_equal(r.status, CLI_USAGE);
    assert_non_null(strstr(cli_text(&r.err), "ECAPA_STRICT_OFFLINE"));
    cli_result_done(&r);
    if (access("/dev/full", W_OK) == 0) {
        r = cli_run_with(CLI_ARGS("status"), NULL, NULL, "/dev/full");
        assert_int_equal(r.status, CLI_BAD_FILE);
        cli_result_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_model_is_described),         cmocka_unit_test(changed_settings_are_listed),
        cmocka_unit_test(people_read_sections_and_tables),    cmocka_unit_test(names_cannot_steer_the_terminal),
        cmocka_unit_test(falling_down_the_list_is_told),      cmocka_unit_test(embed_and_compare_warn),
        cmocka_unit_test(without_an_engine_the_rest_is_told), cmocka_unit_test(mistakes_of_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
