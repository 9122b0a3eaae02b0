/* The op counter_uniforms: random numbers in [0, 1) from counters.
 *
 *   fastpg_philox(streams, steps, seed, size, uniforms)  number steps[n] of stream streams[n]
 *
 * Philox 4x32 with ten rounds; the upper 24 bits of its first output word. */
#ifndef FASTPG_COUNTER_UNIFORMS_H
#define FASTPG_COUNTER_UNIFORMS_H

#include "kernels/instruction_sets.h"

FASTPG_CLONES static void fastpg_philox(const uint64_t *FASTPG_RESTRICT streams,
                                        const uint64_t *FASTPG_RESTRICT steps, uint64_t seed,
                                        int64_t size, float *FASTPG_RESTRICT uniforms) {
    for (int64_t n = 0; n < size; n++) {
        uint32_t c0 = (uint32_t)steps[n], c1 = (uint32_t)(steps[n] >> 32);
        uint32_t c2 = (uint32_t)streams[n], c3 = (uint32_t)(streams[n] >> 32);
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++) {
            const uint64_t product0 = UINT64_C(0xD2511F53) * c0;
            const uint64_t product1 = UINT64_C(0xCD9E8D57) * c2;
            c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)product1;
            c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)product0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        uniforms[n] = (float)(int32_t)(c0 >> 8) * (1.0f / 16777216.0f);
    }
}

#endif
