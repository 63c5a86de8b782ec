/* product_float.h - what f32 and bf16 products have in common: their sums are floats, and are outputs as they are. */
#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

typedef vf vsum;

/* What makes numbers of a row's sums: nothing, which no struct may hold. */
typedef struct {
    char nothing;
} row_sum;
INLINE row_sum sum_of(const vx_conv *c, size_t row)
{
    (void)c;
    (void)row;
    return (row_sum){0};
}
INLINE vf value(const row_sum *s, vsum sum)
{
    (void)s;
    return sum;
}
