#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

guard guard_alloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (bytes + page - 1) / page * page;
    guard g = {.map_bytes = usable + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect((char *)g.map + usable, page, PROT_NONE), 0);
    g.data = (char *)g.map + usable - bytes;
    return g;
}

void guard_free(guard *g)
{
    munmap(g->map, g->map_bytes);
    *g = (guard){0};
}
