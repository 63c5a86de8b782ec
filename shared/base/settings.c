/* settings.c - the one table of settings of both programs.
 * Owns:   names, flags, ranges, defaults and help. Does not: read or act on a value (options.c reads, programs act).
 */
#include "shared/base/options.h"

#define KIB 1024.0
#define GIB (1024.0 * 1024.0 * 1024.0)

/* Name, flag, programs, type, unit, least, most, choices, default, secret; then what it does. */
static const vx_option settings[] = {
    {"PORT", "--port", VX_FOR_CLOUD, VX_OPT_INT, "", 0, 65535, NULL, "8010", false,
     "TCP port to listen on; 0 lets the system choose one."},
    {"VOXLOCK_BIND", "--bind", VX_FOR_CLOUD, VX_OPT_TEXT, "", 0, 0, NULL, "", false,
     "Address to listen on; empty means every interface, IPv6 and IPv4 where the system has both."},
    {"ECAPA_CACHE_DIR", "--model", VX_FOR_BOTH, VX_OPT_PATH, "", 0, 0, NULL, "", false,
     "Model folder; empty means /opt/ecapa_cache when it exists, else models/starter of the checkout that the "
     "program was built in."},
    {"ECAPA_PREFERRED_STRATEGY", "--strategy", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "auto|jit|native|quantized|onnx",
     "auto", false,
     "How embeddings are computed; auto takes the fastest way that the model folder's measurements allow."},
    {"ECAPA_USE_OPTIMIZED", NULL, VX_FOR_BOTH, VX_OPT_BOOL, "", 0, 0, NULL, "true", false,
     "Whether auto follows the measurements; false takes the f32 reference first."},
    {"ECAPA_DEVICE", "--device", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "cpu|cuda|mps", "cpu", false,
     "Kind of processor that computes embeddings; cuda and mps need strategy jit."},
    {"VOXLOCK_PRECISION", "--precision", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "auto|f32|bf16|int8", "auto", false,
     "Numbers that matrix products are computed in; auto takes what the model folder's measurements state."},
    {"ECAPA_STRICT_OFFLINE", NULL, VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "true", "true", false,
     "Neither program ever downloads a model, so false is refused rather than ignored."},
    {"ECAPA_WARMUP_ON_START", "--warmup", VX_FOR_CLOUD, VX_OPT_BOOL, "", 0, 0, NULL, "false", false,
     "Run a clip of usual length before the service calls itself ready; the self-test runs a short one in any case."},
    {"VOXLOCK_GEMM", "--gemm", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "auto|simd|onednn|blas", "auto", false,
     "Library for matrix products: built-in SIMD kernels, oneDNN, or BLAS (Accelerate on macOS)."},
    {"VOXLOCK_ISA", "--isa", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0,
     "auto|scalar|neon|neondot|avx2|avxvnni|avx512|avx512vnni|avx512bf16", "auto", false,
     "Instruction set that built-in kernels use; no extension beyond the one named."},
    {"VOXLOCK_THREADS", "--threads", VX_FOR_BOTH, VX_OPT_INT, "", 0, 256, NULL, "0", false,
     "Inference workers of the service, or cores for one clip on the device; 0 takes what the CPU quota gives."},
    {"VOXLOCK_LOG_FORMAT", "--log-format", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "auto|text|json", "auto", false,
     "Form of log lines; auto is text on a terminal and JSON otherwise."},
    {"VOXLOCK_LOG_LEVEL", "--log-level", VX_FOR_BOTH, VX_OPT_CHOICE, "", 0, 0, "debug|info|warning|error", "info",
     false, "Least severity that is logged."},
    {"VOXLOCK_MAX_BODY", NULL, VX_FOR_CLOUD, VX_OPT_INT, "bytes", 64 * KIB, GIB, NULL, "16MiB", false,
     "Largest request body, before and after decompression; a larger one is answered 413."},
    {"VOXLOCK_BODY_TIMEOUT_MS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "ms", 100, 600000, NULL, "20000", false,
     "Time for a request's body to arrive; a slower one is answered 408."},
    {"VOXLOCK_DEADLINE_MS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "ms", 100, 600000, NULL, "30000", false,
     "Time until a request is answered, queueing included; past it the answer is 504."},
    {"VOXLOCK_QUEUE", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 0, 100000, NULL, "64", false,
     "Requests that may wait for a worker; the next one is answered 429."},
    {"VOXLOCK_DRAIN_MS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "ms", 0, 600000, NULL, "8000", false,
     "Time for requests in flight to finish after SIGTERM."},
    {"ECAPA_CACHE_SIZE", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 0, 1000000, NULL, "1000", false,
     "Embeddings remembered; 0 remembers none."},
    {"ECAPA_CACHE_TTL", NULL, VX_FOR_CLOUD, VX_OPT_INT, "s", 1, 31536000, NULL, "3600", false,
     "How long an embedding is remembered."},
    {"VOXLOCK_CACHE_BYTES", NULL, VX_FOR_CLOUD, VX_OPT_INT, "bytes", 65536, 17179869184.0, NULL, "16MiB", false,
     "Memory that remembered embeddings may take."},
    {"VOXLOCK_BREAKER_FAILURES", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 1, 1000, NULL, "5", false,
     "Failures of the engine in a row after which the service answers 503 at once."},
    {"VOXLOCK_BREAKER_OPEN_MS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "ms", 1, 3600000, NULL, "30000", false,
     "How long it does so before one request is let through to try."},
    {"VOXLOCK_LOAD_ATTEMPTS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 1, 20, NULL, "5", false,
     "Tries to load the model before the service gives up."},
    {"VOXLOCK_LOAD_BACKOFF_MS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "ms", 1, 60000, NULL, "250", false,
     "Wait before the second try; doubles each time."},
    {"VOXLOCK_CLIENT_LIMIT", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 0, 100000, NULL, "0", false,
     "Requests that one client may have waiting or running; 0 sets no limit."},
    {"VOXLOCK_FORWARDED_HOPS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 0, 16, NULL, "0", false,
     "Proxies in front that add to X-Forwarded-For: the client is that many entries from its end; 0 ignores the "
     "header."},
    {"VOXLOCK_MAX_BUFFERED", NULL, VX_FOR_CLOUD, VX_OPT_INT, "bytes", 1048576, 68719476736.0, NULL, "256MiB", false,
     "Bodies held in memory by all requests together before 429."},
    {"VOXLOCK_CORS_ORIGINS", NULL, VX_FOR_CLOUD, VX_OPT_TEXT, "", 0, 0, NULL, "", false,
     "Web origins whose pages may call the service, separated by commas; empty allows none."},
#if defined(VX_FAULTS)
    {"VOXLOCK_TEST_FAULTS", NULL, VX_FOR_CLOUD, VX_OPT_PATH, "", 0, 0, NULL, "", false,
     "File that names the faults in force; only in a build for tests."},
#endif
    {"VOXLOCK_MAX_CONNECTIONS", NULL, VX_FOR_CLOUD, VX_OPT_INT, "", 1, 100000, NULL, "2000", false,
     "Open connections; further ones wait or are refused."},
    {"VOXLOCK_IDLE_TIMEOUT_S", NULL, VX_FOR_CLOUD, VX_OPT_INT, "s", 1, 3600, NULL, "75", false,
     "Time after which an idle connection is closed."},
    {"VOXLOCK_API_KEYS", NULL, VX_FOR_CLOUD, VX_OPT_TEXT, "", 0, 0, NULL, "", true,
     "Bearer tokens that may call the service, as name:sha256 pairs with commas between them, or @FILE with one pair a "
     "line; empty lets everybody in."},
    {"VOXLOCK_GCP_PROJECT", NULL, VX_FOR_CLOUD, VX_OPT_TEXT, "", 0, 0, NULL, "", false,
     "Google Cloud project that log lines name their trace in; empty writes the bare trace id."},
    {"VOICE_UNLOCK_MAX_MEMORY", NULL, VX_FOR_EDGE, VX_OPT_INT, "bytes", 0, 1099511627776.0, NULL, "400MB", false,
     "Memory that the agent may take with the model in it; a model that does not fit is not loaded. 0 sets no limit."},
    {"VOXLOCK_IDLE_UNLOAD_S", NULL, VX_FOR_EDGE, VX_OPT_INT, "s", 0, 604800, NULL, "900", false,
     "Time without use after which the agent unloads the model; 0 keeps it."},
    {"VOXLOCK_PRELOAD", NULL, VX_FOR_EDGE, VX_OPT_REAL, "", 0, 100, NULL, "0.1", false,
     "Unlocks to be expected within the idle time, by past habits, from which the agent loads the model ahead; 0 never "
     "does."},
    {"VOXLOCK_CONFIG", "--config", VX_FOR_BOTH, VX_OPT_PATH, "", 0, 0, NULL, "", false,
     "File of NAME = value lines to read settings from; flags and environment go before it."},
};

const vx_option *vx_settings_table(size_t *ret_count)
{
    *ret_count = sizeof settings / sizeof *settings;
    return settings;
}
