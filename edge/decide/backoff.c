/* backoff.c - the pause after rejections in a row. */
#include "edge/decide/backoff.h"

#include <stdbool.h>

enum { ROW = 3, FIRST_WAIT_MS = 30 * 1000, LONGEST_WAIT_MS = 15 * 60 * 1000, WINDOW_MS = 2 * 60 * 1000 };

/* How long ago, in ms; 0 for the future. Unsigned, where the difference of any two int64_t fits. */
static uint64_t age(int64_t then_ms, int64_t now_ms)
{
    return then_ms < now_ms ? (uint64_t)now_ms - (uint64_t)then_ms : 0;
}

int64_t vx_backoff_wait_ms(const int64_t *rejected_ms, size_t n, int64_t now_ms)
{
    uint64_t wait_ms = 0;
    for (size_t i = ROW - 1; i < n; i++) {
        /* A clock set back between the two makes the older one the younger: then no time is known to have passed. */
        const uint64_t first = age(rejected_ms[i + 1 - ROW], now_ms), last = age(rejected_ms[i], now_ms);
        if (wait_ms > 0)
            wait_ms = wait_ms < LONGEST_WAIT_MS / 2 ? 2 * wait_ms : LONGEST_WAIT_MS;
        else if (first <= last || first - last <= WINDOW_MS)
            wait_ms = FIRST_WAIT_MS;
    }
    const uint64_t waited_ms = wait_ms > 0 ? age(rejected_ms[n - 1], now_ms) : 0;
    return waited_ms < wait_ms ? (int64_t)(wait_ms - waited_ms) : 0;
}
