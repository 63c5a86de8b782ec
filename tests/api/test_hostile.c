/* test_hostile.c - clients that are broken or mean harm. Whatever they send: an answer of the contract or a closed
 * connection, soon; and the service goes on answering others with the right bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"

#define EMBEDDING "/api/ml/speaker_embedding"

enum { SEED = 20261, FLIPS = SANITIZED ? 12 : 60, VANISHERS = SANITIZED ? 20 : 60 };

typedef struct {
    service *s;
    json_t *document;
    char *body; /* a good request */
    float expected[CLIP_DIM];
} fixture;

static int set_up(void **state)
{
    static const char *const settings[] = {"VOXLOCK_BODY_TIMEOUT_MS=400", "VOXLOCK_IDLE_TIMEOUT_S=1", NULL};
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    f.document = openapi_load();
    f.body = clip_file_json("reader1_a.flac", "");
    vx_audio audio = clip_audio("reader1_a.flac");
    clip_expected(&audio, f.expected);
    vx_audio_done(&audio);
    f.s = service_start_ready(settings);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    free(f->body);
    return service_reap(state);
}

/* Not only alive: the engine still gives the same bits. */
static void check_alive(const fixture *f, const char *after)
{
    float got[CLIP_DIM];
    if (!service_running(f->s))
        fail_msg("after %s: the service has gone", after);
    http_reply reply = http_post(f->s->port, EMBEDDING, f->body);
    if (reply.status != 200)
        fail_msg("after %s: status %d", after, reply.status);
    json_t *root = http_json(&reply);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, f->expected, sizeof got);
    json_decref(root);
    http_reply_done(&reply);
}

/* ---- audio ------------------------------------------------------------------------------------------------------ */

static const char *const damaged_names[] = {"reader1_a.wav",  "reader1_a.flac",       "reader1_a.ogg",
                                            "reader1_a.opus", "reader1_a.mp3",        "reader1_a_44k_stereo_vbr.mp3",
                                            "raw float32",    "reader1_a_8k_ulaw.wav"};
enum { N_DAMAGED = sizeof damaged_names / sizeof *damaged_names };

static vx_buf good_bytes(const char *name)
{
    if (strncmp(name, "raw", 3) != 0)
        return clip_file(name);
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_buf raw = clip_f32(audio.samples, audio.n);
    vx_audio_done(&audio);
    return raw;
}

/* Heard as something else or refused as unusable: never a failure of the service. */
static void send_damaged(const fixture *f, const char *name, const char *damage, const void *data, size_t len)
{
    static const char *const headers[] = {"Content-Type: audio/x", "Expect:", NULL};
    const char *path = strncmp(name, "raw", 3) == 0 ? EMBEDDING "?format=float32" : EMBEDDING;
    http_reply reply =
        http_call(f->s->port, (http_request){.path = path, .headers = headers, .body = data, .len = len});
    if (reply.status != 200 && reply.status != 415 && reply.status != 422)
        fail_msg("%s, %s: status %d", name, damage, reply.status);
    openapi_check(f->document, EMBEDDING, "POST", &reply);
    http_reply_done(&reply);
}

static void cut_recordings(void **state)
{
    const fixture *f = *state;
    for (size_t i = 0; i < N_DAMAGED; i++) {
        vx_buf file = good_bytes(damaged_names[i]);
        for (size_t eighth = 0; eighth < 8; eighth++) {
            char damage[32];
            snprintf(damage, sizeof damage, "cut to %zu/8", eighth);
            send_damaged(f, damaged_names[i], damage, file.data, file.len * eighth / 8);
        }
        vx_buf_done(&file);
    }
    check_alive(f, "cut recordings");
}

static void recordings_with_flipped_bits(void **state)
{
    const fixture *f = *state;
    uint64_t random = SEED;
    print_message("# seed %d\n", SEED);
    for (size_t i = 0; i < N_DAMAGED; i++) {
        vx_buf file = good_bytes(damaged_names[i]);
        uint8_t *copy = malloc(file.len);
        assert_non_null(copy);
        for (int k = 0; k < FLIPS; k++) {
            char damage[64];
            memcpy(copy, file.data, file.len);
            /* Half of them in the headers, where they do most. */
            const size_t reach = k % 2 && file.len > 512 ? 512 : file.len;
            for (int flips = 0; flips < 1 + k % 5; flips++) {
                const uint64_t r = stats_random(&random);
                copy[(r >> 3) % reach] ^= (uint8_t)(1u << (r & 7));
            }
            snprintf(damage, sizeof damage, "flipped, number %d of seed %d", k, SEED);
            send_damaged(f, damaged_names[i], damage, copy, file.len);
        }
        free(copy);
        vx_buf_done(&file);
    }
    check_alive(f, "flipped bits");
}

static void noise_in_place_of_a_recording(void **state)
{
    static const char *const headers[] = {"RIFF\xff\xff\xff\xffWAVEfmt ",
                                          "fLaC",
                                          "OggS",
                                          "ID3\x04",
                                          "\xff\xfb\x90\x64",
                                          "RF64",
                                          "FORM",
                                          "ADIF",
                                          "caff",
                                          ""};
    const fixture *f = *state;
    uint64_t random = SEED + 1;
    uint8_t noise[8192];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (uint8_t)stats_random(&random);
        memcpy(noise, headers[i], strlen(headers[i]));
        send_damaged(f, headers[i], "noise", noise, sizeof noise);
        send_damaged(f, headers[i], "noise, short", noise, 64);
        char *body = clip_json(noise, sizeof noise, ""); /* the older form guesses float32 where nothing else fits */
        http_reply reply = http_post(f->s->port, EMBEDDING, body);
        assert_true(reply.status == 415 || reply.status == 422);
        openapi_check(f->document, EMBEDDING, "POST", &reply);
        http_reply_done(&reply);
        free(body);
    }
    check_alive(f, "noise");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* A good request with a few bytes changed, removed or repeated. */
static void json_with_damage(void **state)
{
    static const char *const good =
        "{\"audio_data\": \"AAAAAAAA\", \"format\": \"int16\", \"sample_rate\": 16000, \"test_mode\": false}";
    static const char *const paths[] = {EMBEDDING, "/api/ml/speaker_verify", "/api/ml/batch_embedding"};
    static const char junk[] = "{}[]\",:\\\x80\xff \n0-9eE.nulltrue";
    const fixture *f = *state;
    uint64_t random = SEED + 2;
    const size_t len = strlen(good);
    CURL *curl = curl_easy_init();
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    for (int k = 0; k < FLIPS * 8; k++) {
        char body[256];
        memcpy(body, good, len);
        for (int n = 0; n < 1 + k % 4; n++) {
            const uint64_t r = stats_random(&random);
            body[r % len] = k % 2 ? junk[(r >> 32) % (sizeof junk - 1)] : (char)(r >> 32);
        }
        const size_t cut = k % 3 == 0 ? (size_t)stats_random(&random) % len : len;
        http_reply reply = http_call_on(
            curl, f->s->port, (http_request){.path = paths[k % 3], .headers = headers, .body = body, .len = cut});
        assert_in_range(reply.status, 400, 422);
        openapi_check(f->document, paths[k % 3], "POST", &reply);
        http_reply_done(&reply);
    }
    curl_easy_cleanup(curl);
    check_alive(f, "damaged JSON");
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------- */

/* What follows the first message in the shapes below. It must never be taken for a request of its own. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
#define POST     "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\n"

typedef struct {
    const char *what, *bytes;
    size_t len;
} shape;

/* Zeros inside included. */
#define BYTES(text) (text), sizeof(text) - 1

/* Two programs in a row could disagree on where these messages end: refused, and the connection with them. */
static const shape unclear[] = {
    {"length and chunks", BYTES(POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"chunks and length", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"two lengths", BYTES(POST "Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}" SMUGGLED)},
    {"two lengths, the larger first", BYTES(POST "Content-Length: 60\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED)},
    {"a list of lengths", BYTES(POST "Content-Length: 2, 60\r\n\r\n{}" SMUGGLED)},
    {"negative length", BYTES(POST "Content-Length: -1\r\n\r\n" SMUGGLED)},
    {"signed length", BYTES(POST "Content-Length: +2\r\n\r\n{}" SMUGGLED)},
    {"hexadecimal length", BYTES(POST "Content-Length: 0x2\r\n\r\n{}" SMUGGLED)},
    {"length with a tail", BYTES(POST "Content-Length: 2abc\r\n\r\n{}" SMUGGLED)},
    {"no number at all", BYTES(POST "Content-Length: two\r\n\r\n{}" SMUGGLED)},
    {"empty length", BYTES(POST "Content-Length:\r\n\r\n" SMUGGLED)},
    {"length beyond 64 bits", BYTES(POST "Content-Length: 18446744073709551618\r\n\r\n{}" SMUGGLED)},
    {"two codings", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"two codings, other order",
     BYTES(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"list of codings", BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"chunked is not last", BYTES(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"unknown coding", BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"quoted coding", BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"coding with a tab inside", BYTES(POST "Transfer-Encoding: chun\tked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"coding behind a vertical tab", BYTES(POST "Transfer-Encoding: \x0b"
                                                "chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"blank before the colon", BYTES(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED)},
    {"blank before the length's colon", BYTES(POST "Content-Length : 2\r\n\r\n{}" SMUGGLED)},
    {"folded header", BYTES(POST "X: y\r\n Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" SMUGGLED)},
    {"bad chunk size", BYTES(POST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n" SMUGGLED)},
    {"negative chunk", BYTES(POST "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" SMUGGLED)},
    {"huge chunk", BYTES(POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n{}\r\n0\r\n\r\n" SMUGGLED)},
    {"hexadecimal chunk", BYTES(POST "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" SMUGGLED)},
    {"chunk longer than said", BYTES(POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n" SMUGGLED)},
};

/* Sends all of them, each on a connection of its own, and hands each answer to check: 0, or 1 when it is wrong. */
static int send_shapes(const fixture *f, const shape *shapes, size_t n, int (*check)(const shape *, const char *answer))
{
    int fds[64], bad = 0;
    assert_in_range(n, 1, 64);
    for (size_t i = 0; i < n; i++) {
        fds[i] = raw_open(f->s->port);
        /* The service may have closed before all was sent. */
        (void)raw_send(fds[i], shapes[i].bytes, shapes[i].len);
    }
    for (size_t i = 0; i < n; i++) {
        vx_buf answer = {0};
        if (!raw_ended(fds[i], &answer))
            fail_msg("%s: the connection stays open", shapes[i].what);
        bad += check(&shapes[i], answer.len ? (const char *)answer.data : "");
        raw_close(&fds[i]);
        vx_buf_done(&answer);
    }
    return bad;
}

/* No answer at all is a refusal too. */
static int check_refused(const shape *what, const char *answer)
{
    int status = 0;
    if (*answer && (sscanf(answer, "HTTP/1.1 %d", &status) != 1 || status < 400 || (status > 499 && status != 501))) {
        print_error("%s: %.40s\n", what->what, answer);
        return 1;
    }
    return 0;
}

static void messages_without_a_clear_end_are_refused(void **state)
{
    const fixture *f = *state;
    assert_int_equal(send_shapes(f, unclear, sizeof unclear / sizeof *unclear, check_refused), 0);
    char *log = service_log(f->s);
    const char *found = strstr(log, "smuggled");
    if (found)
        fail_msg("taken for a request: %.100s", found - 60);
    free(log);
    check_alive(f, "unclear messages");
}

/* Anything may happen to these except a hang, a crash, or an answer that is none. */
static const shape odd[] = {
    {"nothing but an end", BYTES("\r\n\r\n")},
    {"many empty lines", BYTES("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n")},
    {"HTTP/0.9", BYTES("GET /health\r\n\r\n")},
    {"HTTP/1.0 without Host", BYTES("GET /health HTTP/1.0\r\n\r\n")},
    {"HTTP/1.1 without Host", BYTES("GET /health HTTP/1.1\r\n\r\n")},
    {"two Hosts", BYTES("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")},
    {"HTTP/9.9", BYTES("GET /health HTTP/9.9\r\nHost: t\r\n\r\n")},
    {"HTTP/1.1 with a tail", BYTES("GET /health HTTP/1.1x\r\nHost: t\r\n\r\n")},
    {"HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00")},
    {"TLS hello", BYTES("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x00\x0a\x0d\x0a\x0d\x0a")},
    {"SSH banner", BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
    {"method only", BYTES("GET\r\n\r\n")},
    {"no method", BYTES(" /health HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"blanks in the path", BYTES("GET /hea lth HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"tabs for blanks", BYTES("GET\t/health\tHTTP/1.1\r\nHost: t\r\n\r\n")},
    {"absolute path", BYTES("GET http://elsewhere/health HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"tunnel", BYTES("CONNECT elsewhere:443 HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"asterisk", BYTES("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"zero in the method", BYTES("GE\0T /health HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"zero in the path", BYTES("GET /hea\0lth HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"zero in a header", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n")},
    {"high bytes in the path", BYTES("GET /\xff\xfe\x80 HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"bare line feeds", BYTES("GET /health HTTP/1.1\nHost: t\n\n")},
    {"bare carriage returns", BYTES("GET /health HTTP/1.1\rHost: t\r\r")},
    {"header without a colon", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nnocolon\r\n\r\n")},
    {"header without a name", BYTES("GET /health HTTP/1.1\r\nHost: t\r\n: x\r\n\r\n")},
    {"unknown Expect", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nExpect: the-unexpected\r\n\r\n")},
    {"Upgrade", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")},
    {"escapes that are none", BYTES("GET /health%zz%1?%%%=&=&&=% HTTP/1.1\r\nHost: t\r\n\r\n")},
    {"bad cookies", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nCookie: =;;\"=\\;a=\"\r\n\r\n")},
    {"form with a bad boundary",
     BYTES(POST "Content-Type: multipart/form-data; boundary=\r\nContent-Length: 2\r\n\r\n{}")},
    {"body of a GET", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello")},
    {"short body", BYTES(POST "Content-Length: 50\r\n\r\n{}")},
    {"unfinished chunk", BYTES(POST "Transfer-Encoding: chunked\r\n\r\n50\r\n{}")},
    {"unfinished header", BYTES("GET /health HTTP/1.1\r\nHost: t\r\nX-Unfinished: ")},
};

static int check_answer(const shape *what, const char *answer)
{
    int status = 0;
    const bool is_http = sscanf(answer, "HTTP/1.%*c %d", &status) == 1;
    const bool bad = *answer && (!is_http || (status >= 500 && status != 501 && status != 505));
    if (bad)
        print_error("%s: %.60s\n", what->what, answer);
    return bad;
}

static void odd_messages_are_survived(void **state)
{
    const fixture *f = *state;
    assert_int_equal(send_shapes(f, odd, sizeof odd / sizeof *odd, check_answer), 0);
    check_alive(f, "odd messages");
}

/* libmicrohttpd has its own words for what does not fit its buffer, and calls an endless chunk extension a failure. */
static int check_too_large(const shape *what, const char *answer)
{
    const bool bad = *answer && strncmp(answer, "HTTP/1.1 4", 10) != 0 &&
                     !(strstr(what->what, "chunk") && strncmp(answer, "HTTP/1.1 500", 12) == 0);
    if (bad)
        print_error("%s: %.60s\n", what->what, answer);
    return bad;
}

/* A part of a request, repeated until it is absurd. */
static void absurd_sizes_are_refused(void **state)
{
    static const struct {
        const char *what, *front, *unit, *back;
        size_t n;
    } cases[] = {
        {"a header of 64 KiB", "GET /health HTTP/1.1\r\nHost: t\r\nX: ", "a", "\r\n\r\n", 65536},
        {"1,000 headers", "GET /health HTTP/1.1\r\nHost: t\r\n", "Header-With-A-Name: and a value\r\n", "\r\n", 1000},
        {"100,000 empty headers", "GET /health HTTP/1.1\r\nHost: t\r\n", "a:\r\n", "\r\n", 100000},
        {"a path of 64 KiB", "GET /", "a", " HTTP/1.1\r\nHost: t\r\n\r\n", 65536},
        {"a query of 64 KiB", "GET /health?", "a=b&", " HTTP/1.1\r\nHost: t\r\n\r\n", 16384},
        {"a method of 64 KiB", "", "G", " / HTTP/1.1\r\nHost: t\r\n\r\n", 65536},
        {"a line without an end", "", "\xff", "", 1 << 20},
        {"a chunk extension of 1 MiB", POST "Transfer-Encoding: chunked\r\n\r\n2;", "x", "\r\n{}\r\n0\r\n\r\n",
         1 << 20},
        {"trailers of 1 MiB", POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X: y\r\n", "\r\n", 180000},
    };
    enum { N = sizeof cases / sizeof *cases };
    const fixture *f = *state;
    vx_buf all[N] = {{0}};
    shape shapes[N];
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(vx_buf_append(&all[i], cases[i].front, strlen(cases[i].front)), VX_OK);
        for (size_t k = 0; k < cases[i].n; k++)
            assert_int_equal(vx_buf_append(&all[i], cases[i].unit, strlen(cases[i].unit)), VX_OK);
        assert_int_equal(vx_buf_append(&all[i], cases[i].back, strlen(cases[i].back)), VX_OK);
        shapes[i] = (shape){cases[i].what, (const char *)all[i].data, all[i].len};
    }
    assert_int_equal(send_shapes(f, shapes, N, check_too_large), 0);
    for (size_t i = 0; i < N; i++)
        vx_buf_done(&all[i]);
    check_alive(f, "absurd sizes");
}

/* A path that is long but fits is a path like any other. */
static void long_paths_are_404(void **state)
{
    const fixture *f = *state;
    static char path[2000];
    for (size_t len = 900; len < sizeof path - 1; len += 33) {
        memset(path, 'a', len);
        path[0] = '/';
        path[len] = '\0';
        http_reply reply = http_get(f->s->port, path);
        assert_int_equal(reply.status, 404);
        http_reply_done(&reply);
    }
    service_check_log(f->s);
}

/* ---- clients that go, or stay ------------------------------------------------------------------------------------ */

/* With a reset instead of a farewell, as from a client that crashed. */
static void vanish(int *fd, bool reset)
{
    const struct linger now = {.l_onoff = 1};
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    raw_close(fd);
}

static double in_flight(const fixture *f)
{
    http_reply reply = http_get(f->s->port, "/metrics");
    const char *at = strstr((const char *)reply.body.data, "\nvoxlock_in_flight ");
    assert_non_null(at);
    const double value = strtod(at + strlen("\nvoxlock_in_flight "), NULL);
    http_reply_done(&reply);
    return value;
}

/* The gauge counts the request that asks. */
static void check_nothing_in_flight(const fixture *f)
{
    for (int tries = 0; in_flight(f) != 1; tries++) {
        if (tries > 10000)
            fail_msg("requests of clients that have gone stay in flight");
    }
}

static void clients_vanish_in_the_middle_of_a_body(void **state)
{
    const fixture *f = *state;
    for (int i = 0; i < VANISHERS; i++) {
        char head[256];
        int fd = raw_open(f->s->port);
        const size_t len = strlen(f->body), part = len * (size_t)i / (size_t)VANISHERS;
        snprintf(head, sizeof head, POST "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", len);
        assert_true(raw_say(fd, head) && raw_send(fd, f->body, part));
        vanish(&fd, i % 2);
    }
    check_alive(f, "clients that left while sending");
    check_nothing_in_flight(f);
}

static void clients_vanish_before_their_answer(void **state)
{
    const fixture *f = *state;
    for (int i = 0; i < VANISHERS; i++) {
        int fd = raw_post(f->s->port, EMBEDDING, f->body);
        if (i % 3 == 2)
            raw_readable(fd, 20); /* some leave as the answer comes */
        vanish(&fd, i % 2);
    }
    check_nothing_in_flight(f);
    check_alive(f, "clients that did not wait");
}

/* Answers that nobody reads fill the socket, and then nothing goes on: until the connection is cut. */
static void clients_that_never_read_are_cut_off(void **state)
{
    static const char ask[] = "GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n";
    const fixture *f = *state;
    enum { CLIENTS = 4, ASKED = 400 }; /* 400 times some 40 kB are more than both socket buffers hold */
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        const int small = 4096;
        fds[i] = raw_open(f->s->port);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (int k = 0; k < ASKED; k++)
            assert_true(raw_say(fds[i], ask));
    }
    check_alive(f, "clients that do not read");
    /* The idle time is one second here. Until then it is in the right to wait. */
    check_nothing_in_flight(f);
    for (int i = 0; i < CLIENTS; i++)
        raw_close(&fds[i]);
    check_alive(f, "clients that did not read");
}

/* One byte at a time, slower than the limits allow: in the request line, the headers, the body. */
static void slow_senders_are_cut_off(void **state)
{
    static const char *const fronts[] = {"", "GET /health HTTP/1.1\r\nHost: t\r\n",
                                         POST "Content-Length: 100000\r\n\r\n"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        int fd = raw_open(f->s->port), sent = 0;
        assert_true(raw_say(fd, fronts[i]));
        while (sent < 2000 && raw_say(fd, "X") && !raw_readable(fd, 20))
            sent++;
        if (sent == 2000 || !raw_ended(fd, NULL))
            fail_msg("who sends slowly behind '%.20s' is never cut off", fronts[i]);
        raw_close(&fd);
    }
    check_alive(f, "slow senders");
}

static void idle_connections_are_closed_and_bounded(void **state)
{
    static const char *const settings[] = {"VOXLOCK_MAX_CONNECTIONS=16", "VOXLOCK_IDLE_TIMEOUT_S=1", NULL};
    const fixture *f = *state;
    enum { N = 48 };
    int fds[N];
    service *s = service_start_ready(settings);
    for (int i = 0; i < N; i++)
        fds[i] = raw_open(s->port);
    /* Three times as many as it takes: they are refused or wait, and it serves again when the first ones time out. */
    http_reply reply = {0};
    int tries = 0;
    bool served = false;
    while (!served && tries++ < 1000) {
        int fd = raw_open(s->port);
        served = raw_say(fd, "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n") && raw_reply(fd, true, &reply);
        raw_close(&fd);
    }
    assert_true(served);
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    for (int i = 0; i < N; i++) {
        assert_true(raw_ended(fds[i], NULL));
        raw_close(&fds[i]);
    }
    assert_int_equal(service_stop(s), 0);
    check_alive(f, "idle connections");
}

/* ---- the log ---------------------------------------------------------------------------------------------------- */

/* Last: everything above has left its traces. */
static void the_log_is_whole_and_discreet(void **state)
{
    const fixture *f = *state;
    service_check_log(f->s);
    char *log = service_log(f->s);
    /* Pieces of the audio as it was sent. */
    for (size_t at = 20; at + 33 < strlen(f->body); at += strlen(f->body) / 50) {
        char piece[33];
        memcpy(piece, f->body + at, 32);
        piece[32] = '\0';
        assert_null(strstr(log, piece));
    }
    assert_null(strstr(log, "audio_data"));
    /* Numbers of the embedding, to more places than times have in the log. */
    for (int i = 0; i < CLIP_DIM; i++) {
        char number[32];
        snprintf(number, sizeof number, "%.8f", (double)f->expected[i]);
        number[strlen(number) - 1] = '\0'; /* not rounded, as the last place may be */
        assert_null(strstr(log, number));
    }
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_recordings),
        cmocka_unit_test(recordings_with_flipped_bits),
        cmocka_unit_test(noise_in_place_of_a_recording),
        cmocka_unit_test(json_with_damage),
        cmocka_unit_test(messages_without_a_clear_end_are_refused),
        cmocka_unit_test(odd_messages_are_survived),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(long_paths_are_404),
        cmocka_unit_test(clients_vanish_in_the_middle_of_a_body),
        cmocka_unit_test(clients_vanish_before_their_answer),
        cmocka_unit_test(clients_that_never_read_are_cut_off),
        cmocka_unit_test(slow_senders_are_cut_off),
        cmocka_unit_test(idle_connections_are_closed_and_bounded),
        cmocka_unit_test(the_log_is_whole_and_discreet),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
