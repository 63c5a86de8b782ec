/* test_packed.c - bodies and answers under gzip: the same bits as without, and no more memory than the limit allows,
 * whatever a small body would grow to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/gzip.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"

#define EMBEDDING "/api/ml/speaker_embedding"

enum { SEED = 4242, MIB = 1 << 20, KEPT_KIB = 24 * 1024 };

static const char *const packed_json[] = {"Content-Type: application/json", "Content-Encoding: gzip", "Expect:", NULL};

typedef struct {
    service *s;
    json_t *document;
    char *body;
    float expected[CLIP_DIM];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    vx_audio audio = clip_audio("reader3_a.flac");
    clip_expected(&audio, f.expected);
    vx_audio_done(&audio);
    f.document = openapi_load();
    f.body = clip_file_json("reader3_a.flac", "");
    f.s = service_start_ready(NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    free(f->body);
    return service_reap(state);
}

static vx_buf pack(const void *data, size_t len)
{
    vx_buf out = {0};
    assert_int_equal(vx_gzip_deflate(data, len, 6, &out), VX_OK);
    return out;
}

static http_reply post(const fixture *f, const char *const headers[], const void *data, size_t len)
{
    return http_call(f->s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = data, .len = len});
}

static void check_embedding(const fixture *f, const char *json, size_t len)
{
    float got[CLIP_DIM];
    json_t *root = json_loadb(json, len, 0, NULL);
    assert_non_null(root);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, f->expected, sizeof got);
    json_decref(root);
}

static void packed_requests_give_the_same_bits(void **state)
{
    const fixture *f = *state;
    static const char *const chunked[] = {"Content-Type: application/json", "Content-Encoding: GZIP",
                                          "Transfer-Encoding: chunked", "Expect:", NULL};
    static const char *const audio[] = {"Content-Type: audio/wav", "Content-Encoding: x-gzip", "Expect:", NULL};
    vx_buf json = pack(f->body, strlen(f->body)), file = clip_file("reader3_a.flac"), bare = pack(file.data, file.len);
    const struct {
        const char *const *headers;
        const vx_buf *body;
    } cases[] = {{packed_json, &json}, {chunked, &json}, {audio, &bare}};
    for (size_t i = 0; i < 3; i++) {
        http_reply reply = post(f, cases[i].headers, cases[i].body->data, cases[i].body->len);
        openapi_check(f->document, EMBEDDING, "POST", &reply);
        assert_int_equal(reply.status, 200);
        check_embedding(f, (const char *)reply.body.data, reply.body.len);
        http_reply_done(&reply);
    }
    vx_buf_done(&json);
    vx_buf_done(&bare);
    vx_buf_done(&file);
}

static void answers_are_packed_for_who_asks(void **state)
{
    static const struct {
        const char *accept;
        bool packed;
    } cases[] = {
        {"Accept-Encoding: gzip", true},
        {"Accept-Encoding: deflate, gzip;q=1.0, *;q=0.5", true},
        {"Accept-Encoding:", false},
        {"Accept-Encoding: identity", false},
        {"Accept-Encoding: gzip;q=0", false},
        {"Accept-Encoding: br", false},
        {"Accept-Encoding: gzip;q=banana", false},
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const headers[] = {"Content-Type: application/json", "Expect:", cases[i].accept, NULL};
        http_reply reply = post(f, headers, f->body, strlen(f->body));
        assert_int_equal(reply.status, 200);
        const bool packed = http_header_is(&reply, "Content-Encoding", "gzip");
        if (packed != cases[i].packed)
            fail_msg("%s: %s", cases[i].accept, packed ? "packed" : "not packed");
        vx_buf plain = {0};
        if (packed) {
            /* Caches on the way must know that another client would get other bytes. */
            assert_true(http_header_is(&reply, "Vary", "Accept-Encoding"));
            assert_int_equal(vx_gzip_inflate(reply.body.data, reply.body.len, MIB, &plain, NULL), VX_OK);
            assert_true(plain.len > reply.body.len);
        } else {
            assert_int_equal(vx_buf_append(&plain, reply.body.data, reply.body.len), VX_OK);
        }
        check_embedding(f, (const char *)plain.data, plain.len);
        vx_buf_done(&plain);
        http_reply_done(&reply);
    }
}

/* zeros of a size, and their packed form, a thousandth of it. */
static vx_buf bomb(size_t size)
{
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    vx_buf packed = pack(zeros, size);
    free(zeros);
    return packed;
}

static void bombs_are_413_and_cost_nothing(void **state)
{
    const fixture *f = *state;
    const long before = service_rss_kib(f->s);
    vx_buf small = bomb(16 * MIB + 1), members = {0};
    /* 512 MiB as many members behind each other, of which each is small. */
    vx_buf one = bomb(8 * MIB);
    for (int i = 0; i < 64; i++)
        assert_int_equal(vx_buf_append(&members, one.data, one.len), VX_OK);
    const vx_buf *const bombs[] = {&small, &members};
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < 2; i++) {
            http_reply reply = post(f, packed_json, bombs[i]->data, bombs[i]->len);
            openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
        }
    }
    /* Up to the limit it is a body like any other. */
    vx_buf full = bomb(16 * MIB);
    http_reply reply = post(f, packed_json, full.data, full.len);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_json");
    vx_buf_done(&full);
    vx_buf_done(&small);
    vx_buf_done(&members);
    vx_buf_done(&one);
    const long after = service_rss_kib(f->s);
    print_message("# %ld KiB before, %ld KiB after\n", before, after);
    /* Room for one body at the limit; one that is never freed shows as 16 MiB a time. */
    if (!SANITIZED)
        assert_true(after - before < KEPT_KIB);
}

static void damaged_gzip_is_400(void **state)
{
    const fixture *f = *state;
    vx_buf good = pack(f->body, strlen(f->body));
    const struct {
        const char *data;
        size_t len;
    } cases[] = {{"", 0},
                 {"\x1f\x8b", 2},
                 {"{}", 2},
                 {(const char *)good.data, good.len - 1},
                 {(const char *)good.data, good.len / 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply reply = post(f, packed_json, cases[i].data, cases[i].len);
        openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_gzip");
    }
    assert_int_equal(vx_buf_append(&good, "tail", 4), VX_OK);
    http_reply reply = post(f, packed_json, good.data, good.len);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_gzip");
    good.len -= 4;

    uint64_t random = SEED;
    print_message("# seed %d\n", SEED);
    for (int i = 0; i < (SANITIZED ? 20 : 100); i++) {
        const uint64_t r = stats_random(&random);
        const size_t at = (size_t)(r >> 3) % good.len;
        good.data[at] ^= (uint8_t)(1u << (r & 7));
        reply = post(f, packed_json, good.data, good.len);
        /* A bit of the header's time or system says nothing about the content. */
        if (reply.status != 400 && !(at < 10 && reply.status == 200))
            fail_msg("bit %zu of seed %d: status %d", 8 * at + (size_t)(r & 7), SEED, reply.status);
        http_reply_done(&reply);
        good.data[at] ^= (uint8_t)(1u << (r & 7));
    }
    reply = post(f, packed_json, good.data, good.len);
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    vx_buf_done(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_requests_give_the_same_bits),
        cmocka_unit_test(answers_are_packed_for_who_asks),
        cmocka_unit_test(bombs_are_413_and_cost_nothing),
        cmocka_unit_test(damaged_gzip_is_400),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
