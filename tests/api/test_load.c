/* test_load.c - a hundred clients at once: right answers only, memory that does not grow, and an end under load that
 * loses no request it has taken.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"

enum {
    CLIENTS = 100,
    SECONDS = 3,
    CLIP_FRAMES = VX_AUDIO_RATE, /* a second: short work, so that the paths around it are what is loaded */
    /* What the first second has not touched yet of stacks, arenas and connection buffers: 100 clients x 80 kB. A leak of
     * a body a request would be a hundred times that. */
    GROWTH_KIB = 8192,
};

/* The queue takes every client, and no answer comes from the cache. */
static const char *const settings[] = {"VOXLOCK_QUEUE=200", "VOXLOCK_DEADLINE_MS=600000", "ECAPA_CACHE_SIZE=0",
                                       "VOXLOCK_LOG_LEVEL=info", NULL};

/* What every client sends, and the part of the answer that must be the same every time. */
typedef struct {
    char *body, *embedding;
} request;

static request make_request(int port)
{
    vx_audio audio = clip_audio("reader4_a.flac");
    float expected[CLIP_DIM], got[CLIP_DIM];
    vx_buf raw = clip_s16(audio.samples + VX_AUDIO_RATE, CLIP_FRAMES);
    vx_audio clip = {.samples = audio.samples + VX_AUDIO_RATE, .n = CLIP_FRAMES};
    clip_expected(&clip, expected);
    request r = {.body = clip_json(raw.data, raw.len, ", \"format\": \"int16\"")};
    http_reply reply = http_post(port, EMBEDDING, r.body);
    json_t *root = http_json(&reply);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, expected, sizeof got);
    const char *start = strstr((const char *)reply.body.data, "\"embedding\":["), *end = strchr(start, ']');
    r.embedding = strndup(start, (size_t)(end - start) + 1);
    json_decref(root);
    http_reply_done(&reply);
    vx_buf_done(&raw);
    vx_audio_done(&audio);
    return r;
}

static void request_done(request *r)
{
    free(r->body);
    free(r->embedding);
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

typedef struct {
    CURL *curl;
    struct curl_slist *headers;
    http_reply reply;
    char id[32];
} client;

typedef struct {
    int port;
    const request *request;
    CURLM *multi;
    client clients[CLIENTS];
    int active, started, answered, wrong;
    /* Ids of requests without an answer. */
    char lost[CLIENTS][32];
    int n_lost;
} crowd;

static void send_next(crowd *c, client *who)
{
    char id_line[64];
    snprintf(who->id, sizeof who->id, "load-%d", c->started++);
    snprintf(id_line, sizeof id_line, "X-Request-Id: %s", who->id);
    const char *const headers[] = {"Content-Type: application/json", "Expect:", id_line, NULL};
    const http_request r = {
        .path = EMBEDDING, .headers = headers, .body = c->request->body, .len = strlen(c->request->body)};
    who->reply.head.len = who->reply.body.len = 0;
    http_prepare(who->curl, c->port, &r, &who->reply, &who->headers);
    curl_easy_setopt(who->curl, CURLOPT_PRIVATE, who);
    assert_int_equal(curl_multi_add_handle(c->multi, who->curl), CURLM_OK);
    c->active++;
}

static void take_answer(crowd *c, client *who, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(who->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(c->multi, who->curl);
    curl_slist_free_all(who->headers);
    who->headers = NULL;
    c->active--;
    if (code != CURLE_OK) {
        if (c->n_lost < CLIENTS)
            memcpy(c->lost[c->n_lost++], who->id, sizeof who->id);
        return;
    }
    c->answered++;
    if (status != 200 || !strstr((const char *)who->reply.body.data, c->request->embedding)) {
        if (c->wrong++ == 0)
            print_error("%s: status %ld: %.300s\n", who->id, status, (const char *)who->reply.body.data);
    }
}

/* Moves what can be moved; every client whose answer is there sends again if `again`. */
static void step(crowd *c, bool again)
{
    int left, running;
    CURLMsg *message;
    curl_multi_perform(c->multi, &running);
    while ((message = curl_multi_info_read(c->multi, &left))) {
        client *who = NULL;
        const CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&who);
        take_answer(c, who, code);
        if (again && code == CURLE_OK)
            send_next(c, who);
    }
    if (c->active > 0)
        curl_multi_poll(c->multi, NULL, 0, 50, NULL);
}

static crowd *gather(int port, const request *r)
{
    crowd *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->port = port;
    c->request = r;
    c->multi = curl_multi_init();
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        c->clients[i].curl = curl_easy_init();
        send_next(c, &c->clients[i]);
    }
    return c;
}

static void disperse(crowd *c)
{
    for (int i = 0; i < CLIENTS; i++) {
        http_reply_done(&c->clients[i].reply);
        curl_easy_cleanup(c->clients[i].curl);
    }
    curl_multi_cleanup(c->multi);
    free(c);
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void a_hundred_clients_get_right_answers_in_flat_memory(void **state)
{
    (void)state;
    service *s = service_start_ready(settings);
    request r = make_request(s->port);
    crowd *c = gather(s->port, &r);
    const uint64_t start = vx_now_ns();
    long after_a_second = 0, most = 0;
    while (vx_ms_since(start) < SECONDS * 1000) {
        step(c, true);
        const long rss = service_rss_kib(s);
        if (vx_ms_since(start) >= 1000 && after_a_second == 0)
            after_a_second = rss;
        most = rss > most ? rss : most;
    }
    while (c->active > 0)
        step(c, false);
    print_message("# %d answers, %ld KiB after a second, at most %ld KiB\n", c->answered, after_a_second, most);
    assert_int_equal(c->wrong, 0);
    assert_int_equal(c->n_lost, 0);
    assert_int_equal(c->answered, c->started);
    assert_true(c->answered > CLIENTS);
    if (!SANITIZED) /* their shadow memory grows as it likes */
        assert_true(most - after_a_second <= GROWTH_KIB);
    disperse(c);
    request_done(&r);
    assert_int_equal(service_stop(s), 0);
}

/* Under load each client either gets its answer or was never let in: the log knows no request that was not answered. */
static void a_signal_under_load_loses_no_accepted_request(void **state)
{
    (void)state;
    service *s = service_start_ready(settings);
    request r = make_request(s->port);
    crowd *c = gather(s->port, &r);
    while (c->answered < 3 * CLIENTS)
        step(c, true);
    const int before = c->answered;
    service_signal(s, SIGTERM);
    while (c->active > 0)
        step(c, true); /* they do not know, and go on until the door is shut */
    assert_int_equal(service_wait(s), 0);
    assert_int_equal(c->wrong, 0);
    char *log = service_log(s);
    for (int i = 0; i < c->n_lost; i++) {
        char mark[64];
        snprintf(mark, sizeof mark, "\"request_id\":\"%s\"", c->lost[i]);
        const char *line = strstr(log, mark);
        if (line)
            fail_msg("%s was taken and not answered: %.300s", c->lost[i], line - 250 > log ? line - 250 : log);
    }
    print_message("# %d answers after the signal, %d clients not let in\n", c->answered - before, c->n_lost);
    assert_int_equal(c->answered + c->n_lost, c->started);
    service_check_log(s);
    free(log);
    disperse(c);
    request_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_hundred_clients_get_right_answers_in_flat_memory, service_reap),
        cmocka_unit_test_teardown(a_signal_under_load_loses_no_accepted_request, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
