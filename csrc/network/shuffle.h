/* A random order of the numbers 0..count-1. Each number is computed by itself, so threads of a CPU
 * and of a GPU shuffle alike, without memory and without sorting.
 *
 *   fastpg_shuffle(count, keys, numbers)  numbers (count,) in the order of keys (8,)
 *
 * A Feistel network on the fewest bits that hold the numbers permutes all values of these bits. A
 * result of `count` or more is permuted again until it is smaller. */
#ifndef FASTPG_SHUFFLE_H
#define FASTPG_SHUFFLE_H

#include "kernels/instruction_sets.h"

#define FASTPG_SHUFFLE_KEYS 8 /* rounds; even, as the halves may differ by a bit */

/* The finaliser of MurmurHash3: each bit of x changes about half of the result's. */
FASTPG_INLINE uint32_t fastpg_mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* One pass of the network, whose right half has `low` bits of `bits`. */
FASTPG_INLINE uint32_t fastpg_permuted(uint32_t at, int low, int bits,
                                       const uint32_t keys[FASTPG_SHUFFLE_KEYS]) {
    const uint32_t low_mask = (1u << low) - 1, high_mask = (1u << (bits - low)) - 1;
    uint32_t left = at >> low, right = at & low_mask;
    for (int k = 0; k < FASTPG_SHUFFLE_KEYS; k += 2) {
        left ^= fastpg_mix(right + keys[k]) & high_mask;
        right ^= fastpg_mix(left + keys[k + 1]) & low_mask;
    }
    return left << low | right;
}

FASTPG_CLONES static void fastpg_shuffle(uint32_t count, const uint32_t keys[FASTPG_SHUFFLE_KEYS],
                                         int32_t *FASTPG_RESTRICT numbers) {
    int bits = 2;
    while (bits < 32 && (count - 1) >> bits) bits++;
    const int low = bits / 2;
    for (uint32_t at = 0; at < count; at++)
        numbers[at] = (int32_t)fastpg_permuted(at, low, bits, keys); /* vectorised */
    for (uint32_t at = 0; at < count; at++)
        while ((uint32_t)numbers[at] >= count)
            numbers[at] = (int32_t)fastpg_permuted((uint32_t)numbers[at], low, bits, keys);
}

#endif
