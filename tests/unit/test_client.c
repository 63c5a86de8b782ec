/* test_client.c - which entry of X-Forwarded-For is believed, and what keeps clients apart. */
#include "cloud/client.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/guard.h"
#include "tests/support/stats.h"

#define PEER  "192.0.2.1" /* whoever connected */
#define V6_39 "2001:0db8:0000:0000:0000:ff00:0042:8329"

static void the_entry_that_the_outermost_proxy_wrote(void **state)
{
    (void)state;
    /* 63 characters fit, 64 do not. */
    static const char longest[] = "1111111111222222222233333333334444444444555555555566666666667777";
    static const struct {
        const char *header;
        int hops;
        const char *ip;
    } rows[] = {
        /* nobody is to be believed, or there is nothing to believe */
        {NULL, 0, PEER},
        {NULL, 2, PEER},
        {"203.0.113.9", 0, PEER},
        {"203.0.113.9", -1, PEER},
        {"", 1, PEER},
        /* as many entries from the end as there are proxies */
        {"203.0.113.9", 1, "203.0.113.9"},
        {"203.0.113.9", 2, PEER},
        {"198.51.100.7, 203.0.113.9", 1, "203.0.113.9"},
        {"198.51.100.7, 203.0.113.9", 2, "198.51.100.7"},
        {"198.51.100.7, 203.0.113.9", 3, PEER},
        {"6.6.6.6, 7.7.7.7, 198.51.100.7, 203.0.113.9", 2, "198.51.100.7"},
        {"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", 16, "2"},
        {"198.51.100.7,203.0.113.9", 2, "198.51.100.7"},
        {"\t198.51.100.7 \t,  203.0.113.9\t", 1, "203.0.113.9"},
        {"\t198.51.100.7 \t,  203.0.113.9\t", 2, "198.51.100.7"},
        {"2001:db8::1", 1, "2001:db8::1"},
        {"[2001:DB8::1]:4711", 1, "[2001:DB8::1]:4711"},
        {"203.0.113.9:55123", 1, "203.0.113.9:55123"},
        {V6_39, 1, V6_39},
        /* what is no address by its characters is not passed on to the log */
        {"unknown", 1, PEER},
        {"_hidden", 1, PEER},
        {"203.0.113.9 evil", 1, PEER},
        {"\"203.0.113.9\"", 1, PEER},
        {"203.0.113.9\x1b[31m", 1, PEER},
        {"203.0.113.9\n", 1, PEER},
        {"203.0.113.9,", 1, PEER},
        {"203.0.113.9,", 2, "203.0.113.9"},
        {",,,", 1, PEER},
        {",,,", 4, PEER},
        {",,,", 5, PEER},
        {", ,203.0.113.9", 1, "203.0.113.9"},
        {" ", 1, PEER},
        {"unknown, 203.0.113.9", 2, PEER},
        {"\xff\xfe", 1, PEER},
        {longest + 1, 1, longest + 1},
        {longest, 1, PEER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char ip[VX_CLIENT_IP_CAP] = PEER;
        vx_client_forwarded(rows[i].header, rows[i].hops, ip);
        if (strcmp(ip, rows[i].ip) != 0)
            fail_msg("'%s', %d hops: %s", rows[i].header ? rows[i].header : "(none)", rows[i].hops, ip);
    }
}

/* Whatever a client writes, nothing is read outside the header, and the result is an address by its characters. */
static void hostile_headers_stay_inside(void **state)
{
    (void)state;
    static const char pieces[] = ",, \t:.0123456789abcdefABCDEF[]xZ\"\x01\x7f\xc3";
    const uint64_t seed = vx_now_ns();
    print_message("# seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    for (int round = 0; round < 20000; round++) {
        const size_t len = stats_random(&random) % 90;
        guard g = guard_alloc(len + 1);
        char *header = g.data;
        for (size_t i = 0; i < len; i++)
            header[i] = pieces[stats_random(&random) % (sizeof pieces - 1)];
        header[len] = '\0';
        char ip[VX_CLIENT_IP_CAP] = PEER;
        vx_client_forwarded(header, (int)(stats_random(&random) % 5), ip);
        assert_true(ip[0] != '\0');
        assert_int_equal(strspn(ip, "0123456789abcdefABCDEF.:[]"), strlen(ip));
        assert_true(strcmp(ip, PEER) == 0 || strstr(header, ip) != NULL);
        guard_free(&g);
    }
}

/* FNV-1a of the two texts one after the other: the numbers are those of its authors' test vectors. */
static void hashes_are_fnv_1a(void **state)
{
    (void)state;
    assert_true(vx_client_hash("", "") == 0xcbf29ce484222325u);
    assert_true(vx_client_hash("", "a") == 0xaf63dc4c8601ec8cu);
    assert_true(vx_client_hash("foo", "bar") == 0x85944171f73967e8u);
    assert_true(vx_client_hash("foobar", "") == 0x85944171f73967e8u);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A key that is called like an address is not that address; and all of a /16 are apart. */
static void clients_are_told_apart(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    assert_true(vx_client_hash("key ", "10.0.0.1") != vx_client_hash("address ", "10.0.0.1"));
    assert_true(vx_client_hash("key ", "a") == vx_client_hash("key ", "a"));
    const char same[] = "same"; /* one text in both places is still hashed twice */
    assert_true(vx_client_hash(same, same) == vx_client_hash("same", "sa"
                                                                     "me"));
    assert_true(vx_client_hash(same, same) == vx_client_hash("", "samesame"));
    uint64_t *hashes = malloc(N * sizeof *hashes);
    assert_non_null(hashes);
    for (int i = 0; i < N; i++) {
        char ip[VX_CLIENT_IP_CAP];
        snprintf(ip, sizeof ip, "10.20.%d.%d", i >> 8, i & 255);
        hashes[i] = vx_client_hash("address ", ip);
    }
    qsort(hashes, N, sizeof *hashes, by_value);
    for (int i = 1; i < N; i++)
        assert_true(hashes[i] != hashes[i - 1]);
    free(hashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entry_that_the_outermost_proxy_wrote),
        cmocka_unit_test(hostile_headers_stay_inside),
        cmocka_unit_test(hashes_are_fnv_1a),
        cmocka_unit_test(clients_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
