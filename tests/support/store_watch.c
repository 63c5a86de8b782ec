/* store_watch.c - by sqlite3_trace_v2. */
#include "tests/support/store_watch.h"

#include <string.h>

#include "edge/store/store_private.h"
#include "shared/base/clock.h"

static int see_row(unsigned what, void *ctx, void *statement, void *unused)
{
    (void)what, (void)statement, (void)unused;
    ((store_rows *)ctx)->n++;
    return 0;
}

void store_count(vx_store *store, store_rows *rows)
{
    (void)sqlite3_trace_v2(store->db, rows ? SQLITE_TRACE_ROW : 0, rows ? see_row : NULL, rows);
}

static int see_statement(unsigned what, void *ctx, void *statement, void *text)
{
    store_held *held = ctx;
    (void)what, (void)statement;
    if (strcmp(text, "BEGIN IMMEDIATE") == 0) {
        held->begun_ns = vx_cpu_ns();
    } else if (strcmp(text, "COMMIT") == 0 && held->begun_ns > 0) {
        const uint64_t took_ns = vx_cpu_ns() - held->begun_ns;
        held->most_ns = took_ns > held->most_ns ? took_ns : held->most_ns;
        held->begun_ns = 0;
        held->n++;
    }
    return 0;
}

void store_watch(vx_store *store, store_held *held)
{
    (void)sqlite3_trace_v2(store->db, held ? SQLITE_TRACE_STMT : 0, held ? see_statement : NULL, held);
}
