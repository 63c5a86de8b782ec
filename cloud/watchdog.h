/* watchdog.h - ends connections whose client takes too long to send.
 * The HTTP library can time out silence, but not a client that sends one byte now and then, and it cannot answer in
 * the middle of a body. So its time-out stays off; every connection is on a list while the next move is its client's,
 * and one thread looks at whoever has been there longest.
 * Owns:   the lists and the thread. Does not: own sockets; an entry must be taken off before its socket is closed.
 */
#ifndef VX_CLOUD_WATCHDOG_H
#define VX_CLOUD_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/http.h"
#include "shared/base/err.h"

typedef struct vx_watchdog vx_watchdog;

typedef enum {
    VX_WATCH_NONE,
    VX_WATCH_QUIET,  /* between requests, in a request line, or while an answer is being sent: overdue is cut off */
    VX_WATCH_UPLOAD, /* from the request line to the end of the body: overdue is answered 408, then cut off */
    VX_WATCH_LISTS,
} vx_watch_list;

/* One connection. Lives at one place of the caller's memory; every field belongs to the watchdog and its lock. */
typedef struct vx_watch {
    struct vx_watch *prev, *next;
    vx_watch_list list;
    uint64_t since_ns;
    int fd;
    bool fired;                         /* cut off by the watchdog */
    char request_id[VX_REQUEST_ID_CAP]; /* told in the 408 */
} vx_watch;

/* Times in milliseconds per list; VX_WATCH_NONE's is ignored. Errors: NOMEM, INTERNAL (no thread). */
VX_MUST_CHECK vx_err vx_watchdog_create(const uint64_t limit_ms[VX_WATCH_LISTS], vx_watchdog **ret_dog);
/* Stops the thread. Every entry must be off the lists. NULL is fine. */
void vx_watchdog_destroy(vx_watchdog *dog);

/* A fresh entry for a socket, on no list. */
void vx_watch_init(vx_watch *watch, int fd);
/* Moves an entry to a list, where its time starts now; VX_WATCH_NONE takes it off, and the watchdog no longer knows
 * its socket when this returns. False when the watchdog has already cut the connection off. Threads: any. */
bool vx_watch_move(vx_watchdog *dog, vx_watch *watch, vx_watch_list list);
/* The id that a 408 would tell. Threads: any. */
void vx_watch_name(vx_watchdog *dog, vx_watch *watch, const char *request_id);

#endif
