/* backoff.h - rejections in a row make the next attempt wait; the password always works.
 * Owns:   the rule. Does not: read a clock, or remember (the store has the attempts).
 */
#ifndef VX_EDGE_DECIDE_BACKOFF_H
#define VX_EDGE_DECIDE_BACKOFF_H

#include <stddef.h>
#include <stdint.h>

/* How long to wait from now on, in ms; 0: go on. After 3 rejections within 2 minutes 30 s, doubled by each further
 * rejection up to 15 minutes, counted from the last one. An acceptance ends the row. Times in the future (a clock that
 * was set back) count as now: setting the clock must not open the lock.
 * rejected_ms [in] wall times of the rejections (REJECT and ESCALATE) since the last acceptance, oldest first
 */
int64_t vx_backoff_wait_ms(const int64_t *rejected_ms, size_t n, int64_t now_ms);

#endif
