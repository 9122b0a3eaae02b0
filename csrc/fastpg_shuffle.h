/* The numbers 0..count-1 in an order that keys fix, each found without the others: so that threads of a CPU and of a
 * GPU shuffle alike, with no memory and no sorting.
 *
 * A Feistel network on the fewest bits that hold the numbers is a permutation of all that they hold; what falls beyond
 * `count` goes through again until it does not. */
#ifndef FASTPG_SHUFFLE_H
#define FASTPG_SHUFFLE_H

#include <stdint.h>

#define FASTPG_SHUFFLE_KEYS 8 /* rounds, an even number: of a Feistel network on halves that may differ by a bit */

/* The finaliser of MurmurHash3: each bit of x changes about half of the result's. */
static inline uint32_t fastpg_mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* The number at place `at` of 0..count-1 in the keys' order. */
static inline uint32_t fastpg_shuffled(uint32_t at, uint32_t count, const uint32_t keys[FASTPG_SHUFFLE_KEYS]) {
    int bits = 2;
    while (bits < 32 && (count - 1) >> bits) bits++;
    const int low = bits / 2;
    const uint32_t low_mask = (1u << low) - 1, high_mask = (1u << (bits - low)) - 1;
    do {
        uint32_t left = at >> low, right = at & low_mask;
        for (int k = 0; k < FASTPG_SHUFFLE_KEYS; k += 2) {
            left ^= fastpg_mix(right + keys[k]) & high_mask;
            right ^= fastpg_mix(left + keys[k + 1]) & low_mask;
        }
        at = left << low | right;
    } while (at >= count);
    return at;
}

#endif
