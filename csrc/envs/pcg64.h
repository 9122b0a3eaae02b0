/* NumPy's PCG64 generator and its bounded integers. */
#ifndef A26_PCG64_H
#define A26_PCG64_H

#include "console/portability.h"

typedef struct {
    uint64_t state[2], increment[2]; /* high word first */
    uint32_t spare;                  /* the high half of the last output, if has_spare */
    uint32_t has_spare;
} a26_pcg_t;

/* Low 64 bits of a * b; the high ones go to *high. */
A26_FN uint64_t a26_multiply(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t al = a & 0xFFFFFFFFu, ah = a >> 32, bl = b & 0xFFFFFFFFu, bh = b >> 32;
    uint64_t low = al * bl, mid = ah * bl + (low >> 32), other = al * bh + (mid & 0xFFFFFFFFu);
    *high = ah * bh + (mid >> 32) + (other >> 32);
    return other << 32 | (low & 0xFFFFFFFFu);
}

A26_FN uint64_t a26_pcg_next64(a26_pcg_t *g) {
    const uint64_t factor[2] = {2549297995355413924ull, 4865540595714422341ull};
    uint64_t high, low = a26_multiply(g->state[1], factor[1], &high);
    high += g->state[0] * factor[1] + g->state[1] * factor[0];
    g->state[1] = low + g->increment[1];
    g->state[0] = high + g->increment[0] + (g->state[1] < low);
    uint64_t x = g->state[0] ^ g->state[1];
    uint32_t turn = (uint32_t)(g->state[0] >> 58);
    return x >> turn | x << (-turn & 63u);
}

A26_FN uint32_t a26_pcg_next32(a26_pcg_t *g) {
    if (g->has_spare) {
        g->has_spare = 0;
        return g->spare;
    }
    uint64_t x = a26_pcg_next64(g);
    g->has_spare = 1;
    g->spare = (uint32_t)(x >> 32);
    return (uint32_t)x;
}

/* numpy.random.Generator.integers(low, high) for a range below 2**32: Lemire's rejection. */
A26_FN int32_t a26_pcg_integer(a26_pcg_t *g, int32_t low, int32_t high) {
    uint32_t count = (uint32_t)(high - low);
    if (count <= 1) return low; /* draws nothing */
    uint64_t scaled = (uint64_t)a26_pcg_next32(g) * count;
    if ((uint32_t)scaled < count) {
        uint32_t least = (0u - count) % count;
        while ((uint32_t)scaled < least) scaled = (uint64_t)a26_pcg_next32(g) * count;
    }
    return low + (int32_t)(scaled >> 32);
}

#endif
