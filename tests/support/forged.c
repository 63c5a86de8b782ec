/* forged.c - model folders with forged networks. */
#include "tests/support/forged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/file.h"
#include "shared/base/sha256.h"

#define FORGED "build/forged"

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

void forged_need(const char *plugin)
{
    char path[256];
    snprintf(path, sizeof path, "%s/vx_network_%s.so", VX_BUILD_DIR, plugin);
    if (!is_there(path)) {
        print_message("# this build has no vx_network_%s.so (docs/models.md says what it needs)\n", plugin);
        skip();
    }
    if (!is_there(FORGED "/made")) {
        print_message("# no " FORGED ": it takes a Python with PyTorch to make it\n");
        skip();
    }
}

static vx_buf read_forged(const char *name)
{
    char path[256];
    vx_buf file = {0};
    if (vx_path_join(FORGED, name, path, sizeof path) || vx_file_read(path, 64 << 20, &file, NULL))
        fail_msg("cannot read %s/%s", FORGED, name);
    return file;
}

/* The entry of the network in artefacts, as bake writes it. */
static json_t *entry_of(const char *file, const vx_buf *content, double inference_ms)
{
    uint8_t digest[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX];
    assert_int_equal(vx_sha256_of(content->data, content->len, digest), VX_OK);
    vx_hex(digest, sizeof digest, hex);
    json_t *entry = json_pack("{s:s, s:I, s:s, s:f, s:f, s:f}", "file", file, "bytes", (json_int_t)content->len,
                              "sha256", hex, "cosine_min", 1.0, "load_ms", 1.0, "inference_ms", inference_ms);
    assert_non_null(entry);
    return entry;
}

forged_model forged_model_of(const char *strategy, const char *network, double inference_ms)
{
    forged_model model = {.folder = model_copy_of(FORGED_GOLDEN),
                          .strategy = strategy,
                          .file = strcmp(strategy, "jit") == 0 ? "ecapa_jit_traced.pt" : "ecapa_model.onnx"};
    vx_buf content = read_forged(network);
    model_copy_put(&model.folder, model.file, content.data, content.len);
    json_t *manifest = model_copy_manifest(&model.folder), *artefacts = json_object_get(manifest, "artefacts");
    json_object_set_new(artefacts, strategy, entry_of(model.file, &content, inference_ms));
    vx_buf_done(&content);
    json_t *native = json_object_get(artefacts, "native");
    json_object_set_new(native, "cosine_min", json_real(1));
    json_object_set_new(native, "inference_ms", json_real(FORGED_NATIVE_MS));
    json_t *self_test = json_load_file(FORGED "/self_test.json", 0, NULL);
    assert_non_null(self_test);
    json_object_set_new(manifest, "self_test", json_pack("{s:s, s:o}", "signal", "voxlock-1", "embedding", self_test));
    model_copy_set_manifest(&model.folder, manifest);
    return model;
}

void forged_state(const forged_model *model, const char *key, json_t *value)
{
    json_t *manifest = model_copy_manifest(&model->folder);
    json_object_set_new(json_object_get(json_object_get(manifest, "artefacts"), model->strategy), key, value);
    model_copy_set_manifest(&model->folder, manifest);
}

void forged_model_done(forged_model *model)
{
    model_copy_drop(&model->folder, model->file);
    model_copy_done(&model->folder);
}
