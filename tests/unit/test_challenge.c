/* test_challenge.c - digits that cannot be known beforehand, answered once, in time, in few tries. */
#define OPENSSL_SUPPRESS_DEPRECATED /* the one way to put random numbers of our own in place is an older one */
#include <openssl/rand.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/challenge/challenge.h"
#include "tests/support/alloc_fail.h"

enum { N = VX_CHALLENGE_DIGITS };
#define SECOND_NS UINT64_C(1000000000)

static uint64_t read_time(void *ctx)
{
    return *(const uint64_t *)ctx;
}

static vx_challenge *make(uint64_t expires_ns, uint64_t *now_ns)
{
    vx_challenge *c = NULL;
    assert_int_equal(vx_challenge_create(expires_ns, (vx_clock){read_time, now_ns}, &c), VX_OK);
    return c;
}

/* What is asked for, without spaces. */
static void asked(const vx_challenge *c, char ret_digits[N + 1])
{
    char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT];
    vx_challenge_text(c, digits, words);
    for (size_t i = 0; i < N; i++)
        ret_digits[i] = digits[2 * i];
    ret_digits[N] = '\0';
}

static void test_text(void **state)
{
    (void)state;
    static const char *const names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
    uint64_t now = 0;
    for (int round = 0; round < 200; round++) {
        char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT];
        vx_challenge *c = make(0, &now);
        vx_challenge_text(c, digits, words);
        assert_int_equal(strlen(digits), 2 * N - 1);
        const char *at = words;
        for (size_t i = 0; i < N; i++) {
            const char digit = digits[2 * i];
            assert_in_range(digit, '0', '9');
            if (i > 0) {
                assert_int_equal(digits[2 * i - 1], ' ');
                assert_int_not_equal(digit, digits[2 * i - 2]); /* no digit twice in a row */
                assert_int_equal(*at++, ' ');
            }
            const char *name = names[digit - '0'];
            assert_int_equal(strncmp(at, name, strlen(name)), 0);
            at += strlen(name);
        }
        assert_int_equal(*at, '\0');
        vx_challenge_destroy(c);
    }
}

/* Chi-square of the first digit, of each later digit given the one before it, with bounds that fair digits pass in all but
 * 1 of 10^9 runs: 9 degrees of freedom 58, and 4 * 80 of them 500 (Wilson-Hilferty). */
static void test_digits_are_uniform(void **state)
{
    (void)state;
    enum { ROUNDS = 40000 };
    static double first[10], pairs[N][10][10];
    uint64_t now = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char d[N + 1];
        vx_challenge *c = make(0, &now);
        asked(c, d);
        vx_challenge_destroy(c);
        first[d[0] - '0']++;
        for (size_t i = 1; i < N; i++)
            pairs[i][d[i - 1] - '0'][d[i] - '0']++;
    }
    double chi_first = 0, chi_pairs = 0;
    for (int a = 0; a < 10; a++) {
        chi_first += (first[a] - ROUNDS / 10.0) * (first[a] - ROUNDS / 10.0) / (ROUNDS / 10.0);
        for (size_t i = 1; i < N; i++) {
            double row = 0;
            for (int b = 0; b < 10; b++)
                row += pairs[i][a][b];
            for (int b = 0; b < 10; b++)
                if (b != a)
                    chi_pairs += (pairs[i][a][b] - row / 9) * (pairs[i][a][b] - row / 9) / (row / 9);
        }
    }
    printf("# %d challenges: chi-square %.1f of 9, %.1f of 320 degrees of freedom\n", ROUNDS, chi_first, chi_pairs);
    assert_true(chi_first < 58);
    assert_true(chi_pairs < 500);
}

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

static void test_passes_once(void **state)
{
    (void)state;
    uint64_t now = 0;
    char d[N + 1];
    vx_challenge *c = make(0, &now);
    asked(c, d);
    assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_PASSED);
    assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_EXPIRED);
    vx_challenge_destroy(c);
}

static void test_tries(void **state)
{
    (void)state;
    uint64_t now = 0;
    char d[N + 1];
    vx_challenge *c = make(0, &now);
    asked(c, d);
    assert_int_equal(vx_challenge_answer(c, ""), VX_CHALLENGE_WRONG);
    assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_PASSED);
    vx_challenge_destroy(c);

    c = make(0, &now);
    asked(c, d);
    for (int i = 0; i < VX_CHALLENGE_TRIES; i++)
        assert_int_equal(vx_challenge_answer(c, "00000"), VX_CHALLENGE_WRONG); /* never asked for: 0 follows 0 */
    assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_EXPIRED);
    vx_challenge_destroy(c);
}

/* Whatever is near the answer and is not it. */
static void test_exactly(void **state)
{
    (void)state;
    uint64_t now = 0;
    for (int kind = 0; kind < 9; kind++) {
        char d[N + 1], heard[64];
        vx_challenge *c = make(0, &now);
        asked(c, d);
        switch (kind) {
        case 0: snprintf(heard, sizeof heard, "%.4s", d); break;
        case 1: snprintf(heard, sizeof heard, "%s", d + 1); break;
        case 2: snprintf(heard, sizeof heard, "%s%c", d, d[N - 1]); break;
        case 3: snprintf(heard, sizeof heard, "7%s", d); break;
        case 4: snprintf(heard, sizeof heard, "%s%s%s", d, d, d); break;
        case 5: snprintf(heard, sizeof heard, "%c%c%.3s", d[1], d[0], d + 2); break;
        case 6: snprintf(heard, sizeof heard, "%.4s%c", d, d[4] == '9' ? '0' : d[4] + 1); break;
        case 7: snprintf(heard, sizeof heard, "%c%s", d[0] == '9' ? '0' : d[0] + 1, d + 1); break;
        default: snprintf(heard, sizeof heard, "%s ", d); break;
        }
        assert_int_equal(vx_challenge_answer(c, heard), VX_CHALLENGE_WRONG);
        assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_PASSED);
        vx_challenge_destroy(c);
    }
}

static void test_expires(void **state)
{
    (void)state;
    static const struct {
        uint64_t start_ns, expires_ns, last_ns; /* last: the latest time at which it can still be answered */
    } cases[] = {
        {5, 0, 5 + 20 * SECOND_NS - 1},
        {5, SECOND_NS, 5 + SECOND_NS - 1},
        {7, 1, 7},
        {UINT64_MAX - 10, SECOND_NS, UINT64_MAX - 1}, /* past the end of time */
        {0, UINT64_MAX, UINT64_MAX - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int late = 0; late < 2; late++) {
            uint64_t now = cases[i].start_ns;
            char d[N + 1];
            vx_challenge *c = make(cases[i].expires_ns, &now);
            asked(c, d);
            now = cases[i].last_ns + (uint64_t)late;
            assert_int_equal(vx_challenge_answer(c, d), late ? VX_CHALLENGE_EXPIRED : VX_CHALLENGE_PASSED);
            now = cases[i].start_ns; /* a clock turned back helps nobody */
            assert_int_equal(vx_challenge_answer(c, d), VX_CHALLENGE_EXPIRED);
            vx_challenge_destroy(c);
        }
}

/* ---- many at once ------------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_challenge *challenge;
    char digits[N + 1];
    vx_challenge_result result;
} answerer;

static void *answer(void *arg)
{
    answerer *a = arg;
    a->result = vx_challenge_answer(a->challenge, a->digits);
    return NULL;
}

static void test_one_of_many_passes(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    uint64_t now = 0;
    for (int round = 0; round < 50; round++) {
        answerer a[THREADS];
        pthread_t threads[THREADS];
        vx_challenge *c = make(0, &now);
        for (int i = 0; i < THREADS; i++) {
            a[i] = (answerer){.challenge = c};
            asked(c, a[i].digits);
            assert_int_equal(pthread_create(&threads[i], NULL, answer, &a[i]), 0);
        }
        int passed = 0;
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            passed += a[i].result == VX_CHALLENGE_PASSED;
            assert_int_not_equal(a[i].result, VX_CHALLENGE_WRONG);
        }
        assert_int_equal(passed, 1);
        vx_challenge_destroy(c);
    }
}

/* ---- random numbers and memory that fail -------------------------------------------------------------------------------- */

static int no_bytes(unsigned char *buf, int n)
{
    (void)buf, (void)n;
    return 0;
}
static int stuck_bytes(unsigned char *buf, int n)
{
    memset(buf, 0xff, (size_t)n);
    return 1;
}
/* 0, 1, 2, ...: what each byte makes can be said beforehand. */
static int rising_bytes(unsigned char *buf, int n)
{
    for (int i = 0; i < n; i++)
        buf[i] = (unsigned char)i;
    return 1;
}
/* Bytes that would favour low digits come first. */
static int high_bytes(unsigned char *buf, int n)
{
    for (int i = 0; i < n; i++)
        buf[i] = (unsigned char)(255 - i);
    return 1;
}

static vx_err create_with(int (*bytes)(unsigned char *buf, int n), vx_challenge **ret_challenge)
{
    static uint64_t now;
    const RAND_METHOD *usual = RAND_get_rand_method();
    const RAND_METHOD method = {.bytes = bytes, .pseudorand = bytes};
    assert_int_equal(RAND_set_rand_method(&method), 1);
    const vx_err err = vx_challenge_create(0, (vx_clock){read_time, &now}, ret_challenge);
    assert_int_equal(RAND_set_rand_method(usual), 1);
    return err;
}

static void test_random_numbers(void **state)
{
    (void)state;
    static const struct {
        int (*bytes)(unsigned char *buf, int n);
        const char *digits; /* NULL: INTERNAL */
    } cases[] = {
        {no_bytes, NULL},
        {stuck_bytes, NULL},
        {rising_bytes, "02345"}, /* 1 is the second of the nine that are not 0, and so on */
        {high_bytes, "95432"},   /* 249 is the first byte below 250: 9; then 248 % 9 = 5, and so on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_challenge *c = NULL;
        assert_int_equal(create_with(cases[i].bytes, &c), cases[i].digits ? VX_OK : VX_ERR_INTERNAL);
        if (cases[i].digits) {
            char d[N + 1];
            asked(c, d);
            assert_string_equal(d, cases[i].digits);
        } else {
            assert_null(c);
        }
        vx_challenge_destroy(c);
    }
}

static vx_err make_and_destroy(void *ctx)
{
    vx_challenge *c = NULL;
    const vx_err err = vx_challenge_create(0, (vx_clock){read_time, ctx}, &c);
    vx_challenge_destroy(c);
    return err;
}

static void test_memory(void **state)
{
    (void)state;
    uint64_t now = 0;
    vx_challenge_destroy(NULL);
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(make_and_destroy, &now);
}

/* ---- what forgiving a digit would cost ---------------------------------------------------------------------------------- */

/* Whether heard is said with at most one digit more or less. */
static bool nearly(const char *said, const char *heard)
{
    const size_t n_said = strlen(said), n_heard = strlen(heard);
    const char *longer = n_said > n_heard ? said : heard, *shorter = n_said > n_heard ? heard : said;
    if (n_said == n_heard)
        return strcmp(said, heard) == 0;
    if (strlen(longer) - strlen(shorter) != 1)
        return false;
    size_t i = 0;
    while (shorter[i] && shorter[i] == longer[i])
        i++;
    return strcmp(shorter + i, longer + i + 1) == 0;
}

/* Digits renamed in the order in which they come: one guess of each kind, for a name does not matter. */
static bool is_first_of_kind(const char *guess)
{
    char next = '0';
    for (; *guess; guess++) {
        if (*guess > next)
            return false;
        next = (char)(next + (*guess == next));
    }
    return true;
}

static int count_answered(const char *guess, int *ret_challenges)
{
    int n = 0, n_challenges = 0;
    for (int value = 0; value < 100000; value++) {
        char said[N + 1];
        bool repeats = false;
        for (int i = N, rest = value; i-- > 0; rest /= 10)
            said[i] = (char)('0' + rest % 10);
        said[N] = '\0';
        for (size_t i = 1; i < N; i++)
            repeats = repeats || said[i] == said[i - 1];
        n_challenges += !repeats;
        n += !repeats && nearly(said, guess);
    }
    *ret_challenges = n_challenges;
    return n;
}

/* The numbers of docs/challenge.md: of how many challenges the best guess of a length is nearly the answer. */
static void test_what_forgiving_costs(void **state)
{
    (void)state;
    static const struct {
        int length, most, answered;
    } cases[] = {{4, 10000, 42}, {5, 100000, 1}, {6, 1000000, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int best = 0, n_challenges = 0;
        for (int value = 0; value < cases[i].most; value++) {
            char guess[16];
            (void)snprintf(guess, sizeof guess, "%0*d", cases[i].length, value);
            if (is_first_of_kind(guess)) {
                const int n = count_answered(guess, &n_challenges);
                best = n > best ? n : best;
            }
        }
        printf("# the best guess of %d digits answers %d of %d challenges\n", cases[i].length, best, n_challenges);
        assert_int_equal(n_challenges, 65610);
        assert_int_equal(best, cases[i].answered);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_digits_are_uniform),
        cmocka_unit_test(test_passes_once),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_exactly),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_one_of_many_passes),
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_what_forgiving_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
