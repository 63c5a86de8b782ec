/* alloc_fail.c - allocation functions that fail on demand, put in place by the linker's --wrap. */
#include "tests/support/alloc_fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

/* Statics, for the wrapped functions have no room for a context. Atomic: code under test may have threads. */
static atomic_size_t n_allocations;
static atomic_size_t failing; /* number of the allocation that fails, 0 for none */

void vx_alloc_fail_at(size_t k)
{
    atomic_store(&failing, k);
    atomic_store(&n_allocations, 0);
}

size_t vx_alloc_count(void)
{
    return atomic_load(&n_allocations);
}

#if defined(__linux__)

/* Weak, because programs without UNIT_WRAP link this file too; the names then stay NULL and nothing calls them. */
#define WRAP(ret, name, ...)                                                                                           \
    ret __real_##name(__VA_ARGS__) __attribute__((weak));                                                              \
    ret __wrap_##name(__VA_ARGS__)

/* NOLINTBEGIN(bugprone-reserved-identifier): --wrap fixes these names. */
WRAP(void *, malloc, size_t size);
WRAP(void *, calloc, size_t n, size_t size);
WRAP(void *, realloc, void *old, size_t size);
WRAP(int, posix_memalign, void **ret, size_t align, size_t size);
WRAP(void *, aligned_alloc, size_t align, size_t size);
WRAP(char *, strdup, const char *text);
WRAP(char *, strndup, const char *text, size_t n);

bool vx_alloc_fail_works(void)
{
    return __real_malloc != NULL;
}

/* Counts an allocation; true if it is the one to fail. */
static bool fails_now(void)
{
    bool fails = atomic_fetch_add(&n_allocations, 1) + 1 == atomic_load(&failing);
    if (fails)
        errno = ENOMEM;
    return fails;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
    return fails_now() ? ENOMEM : __real_posix_memalign(ret, align, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails_now() ? NULL : __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails_now() ? NULL : __real_strndup(text, n);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#else

bool vx_alloc_fail_works(void)
{
    return false;
}

#endif

void vx_alloc_fail_each(vx_alloc_attempt *attempt, void *ctx)
{
    if (!vx_alloc_fail_works())
        skip();
    for (size_t k = 1;; k++) {
        vx_alloc_fail_at(k);
        vx_err err = attempt(ctx);
        size_t n = vx_alloc_count();
        vx_alloc_fail_at(0);
        if (n < k) {
            if (err != VX_OK)
                fail_msg("no allocation failed, yet the result is %s", vx_err_code(err));
            if (n == 0)
                fail_msg("nothing was allocated, so nothing was tested");
            return;
        }
        if (err != VX_ERR_NOMEM)
            fail_msg("allocation %zu failed, and the result is %s", k, vx_err_code(err));
    }
}
