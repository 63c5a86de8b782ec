/* random.h - numbers that look random and are fixed by their seed, the same on every machine. Not for secrets: those come
 * from the system (store/vault.h).
 */
#ifndef VX_BASE_RANDOM_H
#define VX_BASE_RANDOM_H

#include <stdint.h>

/* splitmix64 (G. Steele, D. Lea, C. Flood, 2014). */
static inline uint64_t vx_random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
