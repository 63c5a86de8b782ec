/* test_watchdog.c - slow clients are answered and cut off, others never; and counting requests to the end. */
#include "cloud/watchdog.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cloud/flight.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"

#define MS        1000000u
#define NEVER_MS  3600000u
#define N_CLIENTS 200

static vx_watchdog *new_dog(uint64_t quiet_ms, uint64_t upload_ms)
{
    const uint64_t limits[VX_WATCH_LISTS] = {[VX_WATCH_QUIET] = quiet_ms, [VX_WATCH_UPLOAD] = upload_ms};
    vx_watchdog *dog = NULL;
    assert_int_equal(vx_watchdog_create(limits, &dog), VX_OK);
    return dog;
}

/* ret_ends[0] is the server's socket, [1] the client's. */
static void open_pair(int ret_ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ret_ends), 0);
}

/* Everything the client is sent until its connection ends. */
static size_t read_to_end(int fd, char *ret_text, size_t cap)
{
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fd, ret_text + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    ret_text[len] = '\0';
    return len;
}

static void a_slow_upload_is_answered_and_cut_off(void **state)
{
    (void)state;
    vx_watchdog *dog = new_dog(NEVER_MS, 20);
    char text[2048];
    int ends[2];
    vx_watch watch;
    open_pair(ends);
    vx_watch_init(&watch, ends[0]);
    vx_watch_name(dog, &watch, "slow-1");
    assert_true(vx_watch_move(dog, &watch, VX_WATCH_UPLOAD));
    read_to_end(ends[1], text, sizeof text);
    assert_memory_equal(text, "HTTP/1.1 408 ", 13);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(text, "\r\nX-Request-Id: slow-1\r\n"));
    const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    assert_non_null(body);
    assert_non_null(length);
    assert_int_equal(strlen(body + 4), atoi(length + 16));
    assert_non_null(strstr(body, "\"code\":\"body_timeout\""));
    assert_false(vx_watch_move(dog, &watch, VX_WATCH_NONE));
    assert_false(vx_watch_move(dog, &watch, VX_WATCH_QUIET));
    vx_watchdog_destroy(dog);
    close(ends[0]);
    close(ends[1]);
}

static void a_quiet_connection_is_cut_off_without_a_word(void **state)
{
    (void)state;
    vx_watchdog *dog = new_dog(20, NEVER_MS);
    char text[64];
    int ends[2];
    vx_watch watch;
    open_pair(ends);
    vx_watch_init(&watch, ends[0]);
    assert_true(vx_watch_move(dog, &watch, VX_WATCH_QUIET));
    assert_int_equal(read_to_end(ends[1], text, sizeof text), 0);
    assert_false(vx_watch_move(dog, &watch, VX_WATCH_NONE));
    vx_watchdog_destroy(dog);
    close(ends[0]);
    close(ends[1]);
}

/* One connection is overdue; the other has moved on before its time, and must outlive it. */
static void whoever_moves_on_is_left_alone(void **state)
{
    (void)state;
    vx_watchdog *dog = new_dog(NEVER_MS, 30);
    char text[2048];
    int slow_ends[2], fast_ends[2];
    vx_watch slow, fast;
    open_pair(slow_ends);
    open_pair(fast_ends);
    vx_watch_init(&slow, slow_ends[0]);
    vx_watch_init(&fast, fast_ends[0]);
    assert_true(vx_watch_move(dog, &fast, VX_WATCH_UPLOAD));
    assert_true(vx_watch_move(dog, &slow, VX_WATCH_UPLOAD));
    assert_true(vx_watch_move(dog, &fast, VX_WATCH_QUIET));
    assert_true(read_to_end(slow_ends[1], text, sizeof text) > 0);
    assert_true(vx_watch_move(dog, &fast, VX_WATCH_NONE));
    assert_int_equal(write(fast_ends[0], "x", 1), 1);
    assert_false(vx_watch_move(dog, &slow, VX_WATCH_NONE));
    vx_watchdog_destroy(dog);
    for (int i = 0; i < 2; i++) {
        close(slow_ends[i]);
        close(fast_ends[i]);
    }
}

/* A client that does not read either: the answer is dropped, not waited for. */
static void a_full_socket_blocks_nobody(void **state)
{
    (void)state;
    vx_watchdog *dog = new_dog(NEVER_MS, 1);
    char piece[4096] = {0};
    int ends[2], other_ends[2];
    vx_watch full, other;
    open_pair(ends);
    open_pair(other_ends);
    while (send(ends[0], piece, sizeof piece, MSG_DONTWAIT) > 0)
        ;
    vx_watch_init(&full, ends[0]);
    vx_watch_init(&other, other_ends[0]);
    assert_true(vx_watch_move(dog, &full, VX_WATCH_UPLOAD));
    vx_watch_move(dog, &other, VX_WATCH_UPLOAD);
    assert_true(read_to_end(other_ends[1], piece, sizeof piece) > 0);
    assert_false(vx_watch_move(dog, &full, VX_WATCH_NONE));
    vx_watchdog_destroy(dog);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(other_ends[i]);
    }
}

/* The I/O thread's part, racing the watchdog: after a move off the lists the socket is never touched again. */
static void *churn(void *arg)
{
    vx_watchdog *dog = arg;
    for (int i = 0; i < N_CLIENTS; i++) {
        int ends[2];
        vx_watch watch;
        open_pair(ends);
        vx_watch_init(&watch, ends[0]);
        vx_watch_move(dog, &watch, VX_WATCH_QUIET);
        vx_watch_name(dog, &watch, "churn");
        vx_watch_move(dog, &watch, VX_WATCH_UPLOAD);
        bool alive = vx_watch_move(dog, &watch, VX_WATCH_NONE);
        if (alive)
            assert_int_equal(write(ends[0], "x", 1), 1);
        close(ends[0]);
        close(ends[1]);
    }
    return NULL;
}

static void connections_come_and_go(void **state)
{
    (void)state;
    vx_watchdog *dog = new_dog(1, 1);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, dog), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    vx_watchdog_destroy(dog);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    const uint64_t limits[VX_WATCH_LISTS] = {0};
    vx_watchdog *dog = NULL;
    vx_err err = vx_watchdog_create(limits, &dog);
    vx_watchdog_destroy(dog);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

/* ---- flight ---------------------------------------------------------------------------------------------------- */

static void *leave_once(void *arg)
{
    vx_flight_leave(arg);
    return NULL;
}

static void draining_waits_for_the_last_request(void **state)
{
    (void)state;
    vx_flight flight;
    pthread_t thread;
    assert_int_equal(vx_flight_init(&flight, NULL), VX_OK);
    vx_flight_arrive(&flight);
    vx_flight_arrive(&flight);
    assert_false(vx_flight_draining(&flight));
    vx_flight_leave(&flight);
    assert_int_equal(pthread_create(&thread, NULL, leave_once, &flight), 0);
    vx_flight_drain(&flight, UINT64_MAX);
    assert_true(vx_flight_draining(&flight));
    assert_int_equal(flight.count, 0);
    pthread_join(thread, NULL);
    vx_flight_done(&flight);
}

static void draining_gives_up_in_time(void **state)
{
    (void)state;
    vx_flight flight;
    assert_int_equal(vx_flight_init(&flight, NULL), VX_OK);
    vx_flight_arrive(&flight);
    vx_flight_drain(&flight, vx_now_ns() + 5 * MS);
    assert_int_equal(flight.count, 1);
    vx_flight_drain(&flight, 0);
    vx_flight_done(&flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_upload_is_answered_and_cut_off),
        cmocka_unit_test(a_quiet_connection_is_cut_off_without_a_word),
        cmocka_unit_test(whoever_moves_on_is_left_alone),
        cmocka_unit_test(a_full_socket_blocks_nobody),
        cmocka_unit_test(connections_come_and_go),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(draining_waits_for_the_last_request),
        cmocka_unit_test(draining_gives_up_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
