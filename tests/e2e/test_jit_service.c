/* test_jit_service.c - strategy jit in the programs that users run; and that who does not ask for it never maps libtorch.
 */
#include <errno.h>
#include <poll.h>
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

#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/forged.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

#define PROGRAM   VX_BUILD_DIR "/voxlock"
#define GOLDEN    "tests/data/golden"
#define EMBEDDING "/api/ml/speaker_embedding"
/* What the manifest says of a network that auto is meant to prefer. */
#define FAST_MS   1.0

/* The libraries that only jit and onnx bring. */
static const char *const libraries[] = {"libtorch", "libc10", "libonnxruntime", "vx_network_"};

/* ---- what a process has mapped ----------------------------------------------------------------------------------- */

#if defined(__linux__)
static bool maps(pid_t pid, const char *what)
{
    char path[64], line[1024];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file))
        found = strstr(line, what) != NULL;
    if (file)
        fclose(file);
    return found;
}

static void expect_no_library(pid_t pid)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (maps(pid, libraries[i]))
            fail_msg("a process that runs native has mapped %s", libraries[i]);
}

static bool comes_to_map(pid_t pid, const char *what)
{
    const uint64_t start = vx_now_ns();
    while (!maps(pid, what)) {
        if (vx_ms_since(start) > PATIENCE_MS)
            return false;
        poll(NULL, 0, 5);
    }
    return true;
}
#else
/* Elsewhere no file tells. */
static void expect_no_library(pid_t pid)
{
    (void)pid;
}
#endif

/* ---- the service ------------------------------------------------------------------------------------------------- */

static service *start(const forged_model *model, const char *strategy)
{
    char folder[96], preferred[64];
    snprintf(folder, sizeof folder, "ECAPA_CACHE_DIR=%s", model->folder.path);
    snprintf(preferred, sizeof preferred, "ECAPA_PREFERRED_STRATEGY=%s", strategy);
    const char *const settings[] = {folder, preferred, NULL};
    return service_start_ready(settings);
}

static json_t *status_of(const service *s)
{
    http_reply reply = http_get(s->port, "/status");
    assert_int_equal(reply.status, 200);
    json_t *root = http_json(&reply);
    http_reply_done(&reply);
    return root;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void embedding_of(const service *s, float ret_values[CLIP_DIM])
{
    vx_buf wav = {0};
    assert_int_equal(vx_file_read(GOLDEN "/a.wav", 1 << 24, &wav, NULL), VX_OK);
    char *body = clip_json(wav.data, wav.len, ",\"format\":\"wav\"");
    http_reply reply = http_post(s->port, EMBEDDING, body);
    assert_int_equal(reply.status, 200);
    json_t *root = http_json(&reply);
    clip_values(json_object_get(root, "embedding"), ret_values);
    json_decref(root);
    http_reply_done(&reply);
    free(body);
    vx_buf_done(&wav);
}

static void the_service_runs_jit(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    float by_jit[CLIP_DIM], by_native[CLIP_DIM];
    service *jit = start(&model, "jit"), *native = start(&model, "native");
    json_t *status = status_of(jit);
    const json_t *engine = json_object_get(status, "engine");
    assert_string_equal(text(status, "startup_state"), "READY");
    assert_string_equal(text(engine, "strategy"), "jit");
    assert_string_equal(text(engine, "device"), "cpu");
    assert_string_equal(text(engine, "precision"), "f32");
    assert_ptr_equal(strstr(text(engine, "gemm"), "libtorch "), text(engine, "gemm"));
    json_decref(status);
    embedding_of(jit, by_jit);
    embedding_of(native, by_native);
    assert_true(clip_cosine(by_jit, by_native) > 0.99999);
    expect_no_library(native->pid);
#if defined(__linux__)
    assert_true(maps(jit->pid, "libtorch"));
#endif
    /* Whatever libtorch would like to say, the log stays JSON. */
    assert_int_equal(service_stop(jit), 0);
    assert_int_equal(service_stop(native), 0);
    service_check_log(jit);
    forged_model_done(&model);
}

/* It answers, on the next strategy, and says what is wrong with the one that was asked for. */
static void a_bad_network_degrades_the_service(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_throws.pt", FAST_MS);
    static const char *const strategies[] = {"jit", "auto"};
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        float values[CLIP_DIM];
        service *s = start(&model, strategies[i]);
        json_t *status = status_of(s);
        const json_t *engine = json_object_get(status, "engine");
        assert_string_equal(text(status, "startup_state"), "DEGRADED");
        assert_string_equal(text(engine, "strategy"), "native");
        assert_non_null(strstr(text(engine, "reason"), ": this network always fails"));
        json_decref(status);
        embedding_of(s, values);
        assert_int_equal(service_stop(s), 0);
    }
    forged_model_done(&model);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

#if defined(__linux__)
/* A command that has opened its engine and waits for the recording: what it maps then is what the engine takes. */
static child start_command(const forged_model *model, const char *strategy, const char *opened)
{
    const char *const argv[] = {PROGRAM,      "embed",  "-", "--json", "--model", model->folder.path,
                                "--strategy", strategy, NULL};
    child c = {0};
    assert_true(child_start((char *const *)argv, CHILD_STDOUT, &c));
    if (!comes_to_map(c.pid, opened))
        fail_msg("voxlock embed --strategy %s never mapped %s", strategy, opened);
    return c;
}

static void finish_command(child *c)
{
    vx_buf wav = {0};
    const char *line = NULL;
    assert_int_equal(vx_file_read(GOLDEN "/a.wav", 1 << 24, &wav, NULL), VX_OK);
    for (size_t at = 0; at < wav.len;) {
        const ssize_t n = write(c->to, wav.data + at, wav.len - at);
        assert_true(n > 0 || errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
    close(c->to);
    c->to = -1;
    assert_true(child_hear(c, PATIENCE_MS, &line));
    assert_non_null(strstr(line, "\"embedding\""));
    assert_int_equal(child_end(c, PATIENCE_MS), 0);
    vx_buf_done(&wav);
}

static void the_command_maps_what_it_was_asked_for(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    child native = start_command(&model, "native", MODEL_WEIGHTS);
    expect_no_library(native.pid);
    finish_command(&native);
    child jit = start_command(&model, "jit", "libtorch_cpu");
    finish_command(&jit);
    forged_model_done(&model);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_service_runs_jit, service_reap),
        cmocka_unit_test_teardown(a_bad_network_degrades_the_service, service_reap),
#if defined(__linux__)
        cmocka_unit_test(the_command_maps_what_it_was_asked_for),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
