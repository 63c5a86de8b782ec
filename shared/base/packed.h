/* packed.h - little-endian numbers written to memory, for what the store keeps. Readers of integers are in bytes.h. */
#ifndef VX_BASE_PACKED_H
#define VX_BASE_PACKED_H

#include <stdint.h>
#include <string.h>

#include "shared/base/bytes.h"

/* Each returns where the next one goes. */
static inline uint8_t *vx_put_bytes(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}
static inline uint8_t *vx_put_le32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
    return p + 4;
}
static inline uint8_t *vx_put_le64(uint8_t *p, uint64_t value)
{
    return vx_put_le32(vx_put_le32(p, (uint32_t)value), (uint32_t)(value >> 32));
}
/* The bits of an IEEE 754 double. */
static inline uint8_t *vx_put_real(uint8_t *p, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return vx_put_le64(p, bits);
}
static inline double vx_get_real(const uint8_t *p)
{
    const uint64_t bits = vx_le64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
