/* The Mersenne Twister MT19937: the same numbers as std::mt19937. */
#ifndef A26_MT19937_H
#define A26_MT19937_H

#include "console/portability.h"

typedef struct {
    uint32_t word[624];
    uint32_t at; /* the next word; 624: twist first */
} a26_mt_t;

A26_SLOW void a26_mt_seed(a26_mt_t *g, uint32_t seed) {
    g->word[0] = seed;
    for (uint32_t k = 1; k < 624; k++)
        g->word[k] = 1812433253u * (g->word[k - 1] ^ g->word[k - 1] >> 30) + k;
    g->at = 624;
}

A26_SLOW void a26_mt_twist(a26_mt_t *g) {
    for (uint32_t k = 0; k < 624; k++) {
        uint32_t y = (g->word[k] & 0x80000000u) | (g->word[k == 623 ? 0 : k + 1] & 0x7FFFFFFFu);
        g->word[k] = g->word[k >= 227 ? k - 227 : k + 397] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    g->at = 0;
}

/* The next 32 random bits. */
A26_FN uint32_t a26_mt_next(a26_mt_t *g) {
    if (g->at >= 624) a26_mt_twist(g);
    uint32_t y = g->word[g->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

#endif
