/* plugin_onnx.c - the network by ONNX Runtime, through its C API.
 * Owns:   one session for each opened network, and the proof that it is the network asked for. Does not: choose
 *         execution providers; it runs on the CPU.
 * The library's environment is one for the process; the library itself counts who holds it.
 */
#include <onnxruntime_c_api.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/engine/network_plugin.h"

/* Every function used here is in the C API of ONNX Runtime 1.11, and so in whatever library is newer. */
#define API_VERSION 11

enum {
    MAX_RANK = 8,
    PROOF_FRAMES = 31, /* 0.3 s, the shortest clip there is */
    /* Clips of a batch go through together up to this many frames: 15 % faster for clips of 0.3 s, no faster for 3 s,
     * while activations of the 20.8 M network take 80 kB a frame. */
    CHUNK_FRAMES = 512,
    KEPT_FRAMES = 1001, /* 10 s: memory of longer calls goes back to the system, as the native engine does it */
};

struct vx_network {
    const OrtApi *ort;
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory; /* "ordinary memory", for tensors over features of the caller's */
    char *input, *output;  /* the network's own names */
    size_t bands, dim;
    bool batches; /* any number of clips at once; else one */
};

/* The sentence of a failure: a plugin may not use errinfo, since it links nothing of the project. */
typedef struct {
    char *text;
    size_t cap;
} report;

/* ---- errors ---- */

/* One line: what the library quotes from a network may hold anything. Cut before a half character of UTF-8. */
static void clean(const report *to)
{
    size_t len = strlen(to->text);
    if (len + 1 == to->cap) {
        size_t start = len;
        while (start > 0 && ((unsigned char)to->text[start - 1] & 0xc0) == 0x80)
            start--;
        if (start > 0 && ((unsigned char)to->text[start - 1] & 0x80) != 0)
            to->text[start - 1] = '\0';
    }
    for (char *c = to->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    for (len = strlen(to->text); len > 0 && to->text[len - 1] == ' '; len--)
        to->text[len - 1] = '\0';
}

VX_PRINTF(3, 4) static vx_err fail(const report *to, vx_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (to->cap > 0) {
        vsnprintf(to->text, to->cap, format, args);
        clean(to);
    }
    va_end(args);
    return err;
}

/* "/src/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const TensorShape&, bool) ", which is for the
 * library's makers, stands before many a sentence and is longer than the room for it.
 * ret_start, ret_end [out] what to leave out; false, and untouched, when there is no such thing */
static bool find_location(const char *text, const char **ret_start, const char **ret_end)
{
    const char *file = strstr(text, ".h:");
    if (!file)
        file = strstr(text, ".cc:");
    const char *at = file ? strchr(file, '(') : NULL;
    if (!at || at[-1] == ' ') /* not a function's */
        return false;
    for (int depth = 0; *at; at++) {
        depth += (*at == '(') - (*at == ')');
        if (depth == 0)
            break;
    }
    if (*at == '\0')
        return false;
    at++;
    if (strncmp(at, " const", 6) == 0)
        at += 6;
    while (file > text && file[-1] != ' ')
        file--;
    *ret_start = file;
    *ret_end = at + strspn(at, " ");
    return true;
}

/* What the library says, and its code as one of ours. Takes the status; NULL is success. */
static vx_err check(const OrtApi *ort, OrtStatus *status, const report *to)
{
    if (!status)
        return VX_OK;
    const char *text = ort->GetErrorMessage(status), *rest = text, *start = text;
    vx_err err = VX_ERR_ENGINE;
    switch (ort->GetErrorCode(status)) {
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH:
    case ORT_NO_MODEL: err = VX_ERR_MODEL_CORRUPT; break;
    case ORT_NOT_IMPLEMENTED: err = VX_ERR_UNSUPPORTED; break;
    default:
        /* The library has no code for this. */
        if (strstr(text, "bad_alloc") || strstr(text, "Failed to allocate memory"))
            err = VX_ERR_NOMEM;
    }
    find_location(text, &start, &rest);
    fail(to, err, "%.*s%s", (int)(start - text), text, rest);
    ort->ReleaseStatus(status);
    return err;
}

/* ---- what the network takes and gives ---- */

typedef struct {
    ONNXTensorElementDataType type;
    size_t rank;
    int64_t dims[MAX_RANK]; /* -1: any */
} shape;

static vx_err read_shape(const vx_network *n, const OrtTensorTypeAndShapeInfo *info, shape *ret, const report *to)
{
    const OrtApi *ort = n->ort;
    shape s = {0};
    vx_err err = check(ort, ort->GetTensorElementType(info, &s.type), to);
    if (err == VX_OK)
        err = check(ort, ort->GetDimensionsCount(info, &s.rank), to);
    if (err == VX_OK && s.rank <= MAX_RANK)
        err = check(ort, ort->GetDimensions(info, s.dims, s.rank), to);
    if (err == VX_OK)
        *ret = s;
    return err;
}

/* The name and shape of the only input, or of the only output. ret_name [out] in the default allocator */
static vx_err read_side(const vx_network *n, bool in, char **ret_name, shape *ret_shape, const report *to)
{
    const OrtApi *ort = n->ort;
    const char *does = in ? "takes" : "gives", *what = in ? "input" : "output";
    OrtAllocator *allocator = NULL;
    OrtTypeInfo *type = NULL;
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    size_t count = 0;
    vx_err err = check(
        ort, in ? ort->SessionGetInputCount(n->session, &count) : ort->SessionGetOutputCount(n->session, &count), to);
    if (err == VX_OK && count != 1)
        return fail(to, VX_ERR_MODEL_SHAPE, "the network %s %zu %ss where one, %s alone, is wanted", does, count, what,
                    in ? "features" : "an embedding");
    if (err == VX_OK)
        err = check(ort, ort->GetAllocatorWithDefaultOptions(&allocator), to);
    if (err == VX_OK)
        err = check(ort,
                    in ? ort->SessionGetInputName(n->session, 0, allocator, ret_name)
                       : ort->SessionGetOutputName(n->session, 0, allocator, ret_name),
                    to);
    if (err == VX_OK)
        err = check(ort,
                    in ? ort->SessionGetInputTypeInfo(n->session, 0, &type)
                       : ort->SessionGetOutputTypeInfo(n->session, 0, &type),
                    to);
    if (err == VX_OK)
        err = check(ort, ort->CastTypeInfoToTensorInfo(type, &tensor), to);
    if (err == VX_OK && !tensor)
        err = fail(to, VX_ERR_MODEL_SHAPE, "the network's %s is not a tensor", what);
    if (err == VX_OK)
        err = read_shape(n, tensor, ret_shape, to);
    if (type)
        ort->ReleaseTypeInfo(type);
    return err;
}

/* "[?, ?, 80]" */
static const char *shape_text(const shape *s, char *ret_text, size_t cap)
{
    int len = snprintf(ret_text, cap, "[");
    for (size_t i = 0; i < s->rank && i < MAX_RANK && (size_t)len < cap; i++) {
        const char *between = i > 0 ? ", " : "";
        len += s->dims[i] < 0 ? snprintf(ret_text + len, cap - (size_t)len, "%s?", between)
                              : snprintf(ret_text + len, cap - (size_t)len, "%s%lld", between, (long long)s->dims[i]);
    }
    if ((size_t)len < cap)
        snprintf(ret_text + len, cap - (size_t)len, s->rank > MAX_RANK ? ", ...]" : "]");
    return ret_text;
}

static bool is_or_any(int64_t dim, size_t wanted)
{
    return dim < 0 || dim == (int64_t)wanted;
}

static vx_err check_input(vx_network *n, const report *to)
{
    char text[96];
    shape s;
    vx_err err = read_side(n, true, &n->input, &s, to);
    if (err != VX_OK)
        return err;
    if (s.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        return fail(to, VX_ERR_MODEL_SHAPE, "the network's input is not of float32");
    if (s.rank != 3 || !is_or_any(s.dims[2], n->bands))
        return fail(to, VX_ERR_MODEL_SHAPE, "the network takes %s where [clips, frames, %zu] is given",
                    shape_text(&s, text, sizeof text), n->bands);
    if (s.dims[1] >= 0)
        return fail(to, VX_ERR_MODEL_SHAPE, "the network takes clips of %lld frames only", (long long)s.dims[1]);
    if (!is_or_any(s.dims[0], 1))
        return fail(to, VX_ERR_MODEL_SHAPE, "the network takes %lld clips at once only", (long long)s.dims[0]);
    n->batches = s.dims[0] < 0;
    return VX_OK;
}

static vx_err check_output(vx_network *n, const report *to)
{
    char text[96];
    shape s;
    vx_err err = read_side(n, false, &n->output, &s, to);
    if (err != VX_OK)
        return err;
    if (s.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        return fail(to, VX_ERR_MODEL_SHAPE, "the network's output is not of float32");
    if (s.rank != 2 || !is_or_any(s.dims[1], n->dim))
        return fail(to, VX_ERR_MODEL_SHAPE, "the network gives %s where [clips, %zu] is wanted",
                    shape_text(&s, text, sizeof text), n->dim);
    return VX_OK;
}

/* ---- running ---- */

/* Embeddings do not stay behind. volatile: or the compiler leaves the writes out. */
static void wipe(volatile float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = 0;
}

/* Copies the result out, and wipes the library's copy before that goes back to its allocator. */
static vx_err take_result(const vx_network *n, OrtValue *value, size_t n_clips, float *ret_raw, const report *to)
{
    const OrtApi *ort = n->ort;
    OrtTensorTypeAndShapeInfo *info = NULL;
    char text[96];
    shape s;
    float *result = NULL;
    vx_err err = check(ort, ort->GetTensorTypeAndShape(value, &info), to);
    if (err == VX_OK)
        err = read_shape(n, info, &s, to);
    if (err == VX_OK && (s.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || s.rank != 2 ||
                         s.dims[0] != (int64_t)n_clips || s.dims[1] != (int64_t)n->dim))
        err = fail(to, VX_ERR_MODEL_SHAPE, "the network gave %s for %zu clips where [%zu, %zu] is wanted",
                   shape_text(&s, text, sizeof text), n_clips, n_clips, n->dim);
    if (err == VX_OK)
        err = check(ort, ort->GetTensorMutableData(value, (void **)&result), to);
    if (err == VX_OK) {
        memcpy(ret_raw, result, n_clips * n->dim * sizeof *ret_raw);
        wipe(result, n_clips * n->dim);
    }
    if (info)
        ort->ReleaseTensorTypeAndShapeInfo(info);
    return err;
}

/* The library's arena keeps the most it ever held, 600 MB after one clip of 60 s through the 20.8 M network; without
 * the arena every clip pays 10 % in page faults. So it gives back behind each call that was long. */
static vx_err prepare_call(const vx_network *n, size_t frames, OrtRunOptions **ret_options, const report *to)
{
    const OrtApi *ort = n->ort;
    OrtRunOptions *options = NULL;
    if (frames <= KEPT_FRAMES)
        return VX_OK;
    vx_err err = check(ort, ort->CreateRunOptions(&options), to);
    if (err == VX_OK)
        err = check(ort, ort->AddRunConfigEntry(options, "memory.enable_memory_arena_shrinkage", "cpu:0"), to);
    *ret_options = options;
    return err;
}

/* One call of the library. */
static vx_err run_chunk(const vx_network *n, const float *features, size_t n_clips, size_t n_frames, float *ret_raw,
                        const report *to)
{
    const OrtApi *ort = n->ort;
    const int64_t dims[] = {(int64_t)n_clips, (int64_t)n_frames, (int64_t)n->bands};
    OrtRunOptions *options = NULL;
    OrtValue *in = NULL, *out = NULL;
    vx_err err = prepare_call(n, n_clips * n_frames, &options, to);
    /* The tensor lies over the caller's features; the library does not write to inputs. */
    if (err == VX_OK)
        err = check(ort,
                    ort->CreateTensorWithDataAsOrtValue(n->memory, (void *)(uintptr_t)features,
                                                        n_clips * n_frames * n->bands * sizeof *features, dims, 3,
                                                        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in),
                    to);
    if (err == VX_OK)
        err = check(ort,
                    ort->Run(n->session, options, (const char *const *)&n->input, (const OrtValue *const *)&in, 1,
                             (const char *const *)&n->output, 1, &out),
                    to);
    if (err == VX_OK)
        err = take_result(n, out, n_clips, ret_raw, to);
    if (out)
        ort->ReleaseValue(out);
    if (in)
        ort->ReleaseValue(in);
    if (options)
        ort->ReleaseRunOptions(options);
    return err;
}

/* Chunk by chunk; the caller's memory is written when all went well. */
static vx_err onnx_run(vx_network *n, const float *features, size_t n_clips, size_t n_frames, float *ret_raw,
                       char *ret_text, size_t cap)
{
    const report to = {ret_text, cap};
    const size_t one = n_frames * n->bands, chunk = n->batches && n_frames < CHUNK_FRAMES ? CHUNK_FRAMES / n_frames : 1;
    float *raw = calloc(n_clips * n->dim, sizeof *raw);
    vx_err err = raw ? VX_OK : VX_ERR_NOMEM;
    for (size_t i = 0; i < n_clips && err == VX_OK; i += chunk)
        err = run_chunk(n, features + i * one, n_clips - i < chunk ? n_clips - i : chunk, n_frames, raw + i * n->dim,
                        &to);
    if (err == VX_OK)
        memcpy(ret_raw, raw, n_clips * n->dim * sizeof *raw);
    if (raw)
        wipe(raw, n_clips * n->dim);
    free(raw);
    /* Whatever it says now, it is no longer a question of which file was opened or what this library can do. */
    return err == VX_OK || err == VX_ERR_NOMEM ? err : VX_ERR_ENGINE;
}

/* ---- opening ---- */

/* The library logs to stderr by itself; what matters comes back as a status. */
static void ORT_API_CALL no_log(void *param, OrtLoggingLevel severity, const char *category, const char *id,
                                const char *location, const char *message)
{
    (void)param, (void)severity, (void)category, (void)id, (void)location, (void)message;
}

static vx_err configure(const OrtApi *ort, OrtSessionOptions *options, int threads, const report *to)
{
    static const char *const entries[][2] = {
        /* Threads that wait for work sleep: spinning takes whole cores from the callers beside this one. */
        {"session.intra_op.allow_spinning", "0"},
        /* Weights in a second file would be weights whose digest nobody has proven. Nothing lies below /dev/null. */
        {"session.model_external_initializers_file_folder_path", "/dev/null"},
    };
    vx_err err = check(ort, ort->SetIntraOpNumThreads(options, threads), to);
    if (err == VX_OK)
        err = check(ort, ort->SetInterOpNumThreads(options, 1), to);
    if (err == VX_OK)
        err = check(ort, ort->SetSessionExecutionMode(options, ORT_SEQUENTIAL), to);
    if (err == VX_OK)
        err = check(ort, ort->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL), to);
    /* A plan of memory is kept for each length ever seen, and there are thousands of lengths. */
    if (err == VX_OK)
        err = check(ort, ort->DisableMemPattern(options), to);
    for (size_t i = 0; i < sizeof entries / sizeof *entries && err == VX_OK; i++)
        err = check(ort, ort->AddSessionConfigEntry(options, entries[i][0], entries[i][1]), to);
    return err;
}

static vx_err create_session(vx_network *n, const vx_network_request *request, const report *to)
{
    const OrtApi *ort = n->ort;
    OrtSessionOptions *options = NULL;
    vx_err err =
        check(ort, ort->CreateEnvWithCustomLogger(no_log, NULL, ORT_LOGGING_LEVEL_FATAL, "voxlock", &n->env), to);
    if (err == VX_OK)
        err = check(ort, ort->DisableTelemetryEvents(n->env), to);
    if (err == VX_OK)
        err = check(ort, ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &n->memory), to);
    if (err == VX_OK)
        err = check(ort, ort->CreateSessionOptions(&options), to);
    if (err == VX_OK)
        err = configure(ort, options, request->threads, to);
    if (err == VX_OK) {
        err = check(ort, ort->CreateSessionFromArray(n->env, request->data, request->len, options, &n->session), to);
        /* Whatever the library calls it: what could not be made out of these bytes is these bytes' fault. */
        if (err == VX_ERR_ENGINE)
            err = VX_ERR_MODEL_CORRUPT;
    }
    if (options)
        ort->ReleaseSessionOptions(options);
    return err;
}

/* What a network says of itself is a claim; this runs it. Two clips where it claims to take any number: exporters write
 * the 1 of their example into the middle of a network easily. */
static vx_err prove(vx_network *n, const report *to)
{
    const size_t clips = n->batches ? 2 : 1;
    float *zeros = calloc(clips * PROOF_FRAMES * n->bands, sizeof *zeros), *raw = calloc(clips * n->dim, sizeof *raw);
    vx_err err = zeros && raw ? run_chunk(n, zeros, clips, PROOF_FRAMES, raw, to) : VX_ERR_NOMEM;
    free(zeros);
    free(raw);
    return err;
}

static void onnx_close(vx_network *n)
{
    if (!n)
        return;
    const OrtApi *ort = n->ort;
    OrtAllocator *allocator = NULL;
    char *const names[] = {n->input, n->output};
    for (int i = 0; i < 2; i++)
        if (names[i] && check(ort, ort->GetAllocatorWithDefaultOptions(&allocator), &(report){0}) == VX_OK)
            (void)check(ort, ort->AllocatorFree(allocator, names[i]), &(report){0});
    if (n->session)
        ort->ReleaseSession(n->session);
    if (n->memory)
        ort->ReleaseMemoryInfo(n->memory);
    if (n->env)
        ort->ReleaseEnv(n->env);
    free(n);
}

static vx_err onnx_open(const vx_network_request *request, vx_network **ret_network, char *ret_text, size_t cap)
{
    const report to = {ret_text, cap};
    if (strcmp(request->device, "cpu") != 0)
        return fail(&to, VX_ERR_UNSUPPORTED, "this plugin runs on the CPU only, not on %s", request->device);
    if (request->bf16)
        return fail(&to, VX_ERR_UNSUPPORTED, "ONNX Runtime has no bfloat16 on the CPU; use f32, or native or jit");
    const OrtApi *ort = OrtGetApiBase()->GetApi(API_VERSION);
    if (!ort)
        return fail(&to, VX_ERR_UNSUPPORTED, "the library is older than 1.%d", API_VERSION);
    vx_network *n = calloc(1, sizeof *n);
    if (!n)
        return VX_ERR_NOMEM;
    n->ort = ort;
    n->bands = request->bands;
    n->dim = request->dim;
    vx_err err = create_session(n, request, &to);
    if (err == VX_OK)
        err = check_input(n, &to);
    if (err == VX_OK)
        err = check_output(n, &to);
    if (err == VX_OK)
        err = prove(n, &to);
    if (err != VX_OK) {
        onnx_close(n);
        return err;
    }
    *ret_network = n;
    return VX_OK;
}

/* ---- the table ---- */

extern const vx_network_plugin vx_network_plugin_table __attribute__((visibility("default")));
static char library[48]; /* written once, by prepare */

const vx_network_plugin vx_network_plugin_table = {
    .abi = VX_NETWORK_PLUGIN_ABI,
    .library = library,
    .open = onnx_open,
    .run = onnx_run,
    .close = onnx_close,
};

/* Runs within dlopen, before anyone can call. The header knows only the version of the interface, so the library is
 * asked for its own. Official builds from 1.29 on write an identifier of the machine into the home folder and send
 * events to their maker as soon as there is an environment, whatever DisableTelemetryEvents says then; this variable
 * they obey. Programs with threads set it before they start any (mute.h), and then nothing changes here. */
__attribute__((constructor)) static void prepare(void)
{
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    snprintf(library, sizeof library, "ONNX Runtime %s", OrtGetApiBase()->GetVersionString());
}
