/* json_wipe.c - an allocator that knows how much to wipe. */
#include "cloud/json_wipe.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

/* jansson frees without telling the size, so each block carries it in front. */
typedef union {
    size_t size;
    max_align_t align;
} block_head;

static void *allocate(size_t size)
{
    if (size > SIZE_MAX - sizeof(block_head))
        return NULL;
    block_head *head = malloc(sizeof *head + size);
    if (!head)
        return NULL;
    head->size = size;
    return head + 1;
}

static void release(void *data)
{
    if (!data)
        return;
    block_head *head = (block_head *)data - 1;
    vx_wipe(data, head->size);
    free(head);
}

void vx_json_wipe_install(void)
{
    json_set_alloc_funcs(allocate, release);
}
