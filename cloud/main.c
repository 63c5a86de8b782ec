/* main.c - voxlock-cloud: settings, start, wait for a signal, drain, end; and the commands an operator needs beside it.
 * Exit status: 0 after a drain, 1 when the service cannot run (port in use, no memory), 2 for unusable settings. Of a
 * command: 0 done, 1 failed, or the folder does not hold, 2 usage.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cloud/auth.h"
#include "cloud/bake_check.h"
#include "cloud/json_wipe.h"
#include "cloud/server.h"
#include "cloud/service.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "shared/base/log.h"
#include "shared/base/mute.h"
#include "shared/base/options.h"

enum { EXIT_CANNOT_RUN = 1, EXIT_SETTINGS = 2, LARGE_BLOCK = 1 << 20, LAST_ANSWERS_MS = 300 };
/* A minute of 8-channel float audio at 192 kHz is 369 MB; nothing larger can be accepted anyway. */
#define MAX_RECORDING ((size_t)384 << 20)

#ifdef __APPLE__
extern char **environ; /* no header declares it there */
#endif

static int fail(int status, const vx_errinfo *info, vx_err err)
{
    char line[VX_ERRINFO_LINE];
    vx_errinfo_line(info, err, line, sizeof line);
    dprintf(STDERR_FILENO, "voxlock-cloud: %s\n", line);
    return status;
}

/* The first large block that is freed makes glibc keep those of its size in the heap: after a few bodies at the limit
 * 99 MB stayed resident, with this 23 MB. Ordinary requests stay below it. */
static void give_large_blocks_back(void)
{
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

static int print_help(void)
{
    vx_buf text = {0};
    vx_err err = vx_options_help(VX_FOR_CLOUD, &text);
    if (!err) {
        printf("voxlock-cloud " VX_VERSION " - speaker embeddings over HTTP\n\n"
               "usage: voxlock-cloud [settings]\n"
               "       voxlock-cloud hash-key NAME   a token on standard input to an entry of VOXLOCK_API_KEYS\n"
               "       voxlock-cloud bake-check FOLDER [--json] [settings]   verifies a baked model folder again\n"
               "       voxlock-cloud decode FILE   a recording to 16 kHz mono, raw little-endian float32\n\n"
               "Every setting is a flag, an environment variable, or a line of the file that --config names.\n"
               "GET /openapi.json describes the interface.\n\n%.*s",
               (int)text.len, (const char *)text.data);
    }
    vx_buf_done(&text);
    return err ? EXIT_CANNOT_RUN : 0;
}

/* True when the command line asked for information only. */
static bool is_asking(int argc, char **argv, int *ret_status)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_status = print_help();
            return true;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("voxlock-cloud " VX_VERSION);
            *ret_status = 0;
            return true;
        }
    }
    return false;
}

/* The token comes by standard input: an argument would stay in the shell's history and show in ps. */
static int hash_key(const char *name)
{
    char token[512] = "", pair[VX_AUTH_PAIR_CAP];
    vx_errinfo info = {0};
    if (!fgets(token, sizeof token, stdin))
        token[0] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    vx_err err = vx_auth_pair(name, token, pair, &info);
    vx_wipe(token, sizeof token);
    if (err)
        return fail(EXIT_SETTINGS, &info, err);
    puts(pair);
    return 0;
}

/* Verifies on one core with the settings given; what the service would listen to and remember has no meaning here. */
static int bake_check(int argc, char **argv)
{
    bool json = false, has_held = false;
    int n_kept = 0, n_operands = 0;
    vx_options *options = NULL;
    vx_errinfo info = {0};
    const char **operands = calloc((size_t)argc + 1, sizeof *operands);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else
            argv[n_kept++] = argv[i];
    }
    vx_err err =
        operands ? vx_options_load(VX_FOR_CLOUD, environ, n_kept, argv, NULL, operands, &n_operands, &options, &info)
                 : VX_ERR_NOMEM;
    if (!err && n_operands != 1)
        err = vx_errinfo_set(&info, VX_ERR_OPTION_VALUE, "usage: voxlock-cloud bake-check FOLDER [--json] [settings]");
    if (!err) {
        vx_mute_stderr_stream();
        err = vx_bake_check(options, operands[0], json, &has_held, &info);
    }
    vx_options_destroy(options);
    free(operands);
    if (err)
        return fail(err == VX_ERR_OPTION_VALUE || err == VX_ERR_OPTION_UNKNOWN ? EXIT_SETTINGS : EXIT_CANNOT_RUN, &info,
                    err);
    return has_held ? 0 : EXIT_CANNOT_RUN;
}

/* What the engine would hear of a recording: for models/bake.py, which has no decoder of its own. */
static int decode(const char *path)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    vx_errinfo info = {0};
    vx_mute_stderr_stream();
    vx_err err = vx_file_read(path, MAX_RECORDING, &file, &info);
    if (!err) {
        vx_errinfo cause = {0};
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, &cause);
        if (err)
            vx_errinfo_set_at(&info, err, path, -1, 0, "%s", vx_errinfo_text(&cause, err));
    }
    if (!err && (fwrite(audio.samples, sizeof *audio.samples, audio.n, stdout) != audio.n || fflush(stdout) != 0))
        err = vx_errinfo_set(&info, VX_ERR_IO, "standard output cannot be written");
    vx_audio_done(&audio);
    vx_buf_wipe_done(&file);
    return err ? fail(EXIT_CANNOT_RUN, &info, err) : 0;
}

static vx_err open_log(const vx_options *options, vx_log **ret_log)
{
    const char *format = vx_option_text(options, "VOXLOCK_LOG_FORMAT");
    const char *level = vx_option_text(options, "VOXLOCK_LOG_LEVEL");
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    vx_log_level least = VX_LOG_INFO;
    for (int i = 0; i < 4; i++) {
        if (strcmp(level, levels[i]) == 0)
            least = (vx_log_level)i;
    }
    bool text = strcmp(format, "text") == 0 || (strcmp(format, "auto") == 0 && isatty(STDERR_FILENO));
    return vx_log_create(STDERR_FILENO, text ? VX_LOG_TEXT : VX_LOG_JSON, least, ret_log);
}

/* The order of the end: answer what is in flight, fail what is left, join the workers, send their last answers, close
 * the connections. A worker resumes the connection it works for, so no connection may be closed before; and an answer
 * that was just handed over is not on the wire yet. */
static void end(vx_service *service, vx_server *server, uint64_t drain_ms)
{
    vx_server_drain(server, drain_ms > 2 * LAST_ANSWERS_MS ? drain_ms - LAST_ANSWERS_MS : drain_ms);
    vx_service_close(service);
    vx_server_drain(server, LAST_ANSWERS_MS);
    vx_server_destroy(server);
}

/* A connection is a file descriptor, and the usual soft limit of 1,024 is below the default number of connections. */
static void raise_file_limit(const vx_options *options, vx_log *log)
{
    const rlim_t wanted = (rlim_t)vx_option_int(options, "VOXLOCK_MAX_CONNECTIONS") + 64;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        VX_LOG(log, VX_LOG_WARNING, "fewer connections than VOXLOCK_MAX_CONNECTIONS: raise the limit of open files",
               vx_f_int("open_files", (int64_t)limit.rlim_cur));
}

static int serve(const vx_options *options, vx_log *log, const sigset_t *signals)
{
    vx_service *service = NULL;
    vx_server *server = NULL;
    vx_errinfo info = {0};
    int port, signal_no = 0, status = 0;
    vx_err err = vx_service_create(options, log, &service, &info);
    if (err)
        return fail(err == VX_ERR_OPTION_VALUE ? EXIT_SETTINGS : EXIT_CANNOT_RUN, &info, err);
    err = vx_server_start(service, &server, &port, &info);
    if (err) {
        status = fail(err == VX_ERR_OPTION_VALUE ? EXIT_SETTINGS : EXIT_CANNOT_RUN, &info, err);
        goto out;
    }
    VX_LOG(log, VX_LOG_INFO, "listening", vx_f_int("port", port), vx_f_str("version", VX_VERSION));
    err = vx_service_start(service);
    if (err) {
        status = fail(EXIT_CANNOT_RUN, &info, err);
    } else {
        sigwait(signals, &signal_no);
        VX_LOG(log, VX_LOG_INFO, "draining", vx_f_int("signal", signal_no));
    }
    end(service, server, (uint64_t)vx_option_int(options, "VOXLOCK_DRAIN_MS"));
    VX_LOG(log, VX_LOG_INFO, "stopped", vx_f_int("status", status));
out:
    vx_service_destroy(service);
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
    vx_mute_telemetry();
    if (is_asking(argc, argv, &status))
        return status;
    if (argc == 3 && strcmp(argv[1], "hash-key") == 0)
        return hash_key(argv[2]);
    if (argc >= 2 && strcmp(argv[1], "bake-check") == 0)
        return bake_check(argc - 2, argv + 2);
    if (argc == 3 && strcmp(argv[1], "decode") == 0)
        return decode(argv[2]);
    vx_json_wipe_install();

    /* Blocked before any thread exists, so that every thread inherits it and only sigwait takes them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    vx_options *options = NULL;
    vx_log *log = NULL;
    vx_errinfo info = {0};
    int n_operands = 0;
    const char **operands = calloc((size_t)argc, sizeof *operands);
    vx_err err = operands ? vx_options_load(VX_FOR_CLOUD, environ, argc - 1, argv + 1, NULL, operands, &n_operands,
                                            &options, &info)
                          : VX_ERR_NOMEM;
    if (!err && n_operands > 0)
        err = vx_errinfo_set(&info, VX_ERR_OPTION_UNKNOWN, "unexpected argument '%s'; see --help", operands[0]);
    if (err) {
        status = fail(err == VX_ERR_NOMEM ? EXIT_CANNOT_RUN : EXIT_SETTINGS, &info, err);
        goto out;
    }
    err = open_log(options, &log);
    if (err) {
        status = fail(EXIT_CANNOT_RUN, &info, err);
        goto out;
    }
    raise_file_limit(options, log);
    vx_mute_stderr_stream();
    give_large_blocks_back();
    status = serve(options, log, &signals);
out:
    vx_log_destroy(log);
    vx_options_destroy(options);
    free(operands);
    return status;
}
