/* arena.c - reserved memory on anonymous private mappings. */
#include "shared/base/arena.h"

#include <sys/mman.h>
#include <unistd.h>

vx_err vx_arena_reserve(size_t bytes, vx_arena *ret_arena)
{
    if (bytes == 0)
        return VX_ERR_ARG;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return VX_ERR_NOMEM;
    *ret_arena = (vx_arena){.data = data, .bytes = bytes};
    return VX_OK;
}

void vx_arena_trim(vx_arena *arena, size_t keep_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t keep = (keep_bytes + page - 1) / page * page;
    if (keep >= arena->bytes)
        return;
#if defined(__APPLE__)
    int advice = MADV_FREE; /* MADV_DONTNEED does not give memory back there */
#else
    int advice = MADV_DONTNEED;
#endif
    /* Advice: a refusal only means that the memory stays in use. */
    (void)madvise((char *)arena->data + keep, arena->bytes - keep, advice);
}

void vx_arena_release(vx_arena *arena)
{
    if (arena->data)
        munmap(arena->data, arena->bytes);
    *arena = (vx_arena){0};
}
