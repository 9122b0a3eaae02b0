/* The ops frame_difference, frame_stack and frame_difference_dense: the network's input from views.
 *
 *   fastpg_frame_difference(..)  pixels that differ between two views, with signs
 *   fastpg_frame_stack(..)       lit pixels of the current view, then of the previous one
 *   fastpg_subtract(..)          the difference as floats
 *
 * Sparse results: `indices` and `signs` of all pixels, one frame after the other; frame n has
 * entries offsets[n] to offsets[n + 1]. At most `capacity` entries are written; the return value is
 * how many there are. */
#ifndef FASTPG_FRAME_DIFFERENCE_H
#define FASTPG_FRAME_DIFFERENCE_H

#include "kernels/instruction_sets.h"

/* Append those of the pixels d .. d+count-1 that differ. `previous` may be NULL: all 0. Entries
 * between the appended ones and `capacity` may be overwritten. */
FASTPG_INLINE int64_t fastpg_append(const uint8_t *current, const uint8_t *previous, int64_t d,
                                    int64_t count, int64_t base, uint16_t *indices, int8_t *signs,
                                    int64_t capacity, int64_t used) {
    const int fits = used + count <= capacity;
    for (int64_t j = d; j < d + count; j++) {
        const int8_t sign = (int8_t)(current[j] - (previous ? previous[j] : 0));
        if (fits || (sign != 0 && used < capacity)) {
            indices[used] = (uint16_t)(base + j);
            signs[used] = sign;
        }
        used += sign != 0;
    }
    return used;
}

FASTPG_INLINE uint64_t fastpg_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* Append one row of `size` pixels. Most blocks of 64 are equal, and then most words of the
 * others. */
FASTPG_INLINE int64_t fastpg_compress(const uint8_t *current, const uint8_t *previous, int64_t size,
                                      int64_t base, uint16_t *indices, int8_t *signs,
                                      int64_t capacity, int64_t used) {
    int64_t d = 0;
    for (; d + 64 <= size; d += 64) {
        uint64_t words[8], any = 0;
        for (int i = 0; i < 8; i++) {
            const int64_t at = d + 8 * i;
            words[i] = fastpg_word(current + at) ^ (previous ? fastpg_word(previous + at) : 0);
            any |= words[i];
        }
        if (any == 0) continue;
        for (int i = 0; i < 8; i++)
            if (words[i])
                used = fastpg_append(current, previous, d + 8 * i, 8, base, indices, signs,
                                     capacity, used);
    }
    return fastpg_append(current, previous, d, size - d, base, indices, signs, capacity, used);
}

FASTPG_CLONES static int64_t fastpg_frame_difference(const uint8_t *current,
                                                     const uint8_t *previous, int64_t frames,
                                                     int64_t size, uint16_t *indices, int8_t *signs,
                                                     int64_t capacity, int64_t *offsets) {
    int64_t used = 0;
    offsets[0] = 0;
    for (int64_t n = 0; n < frames; n++) {
        used = fastpg_compress(current + n * size, previous + n * size, size, 0, indices, signs,
                               capacity, used);
        offsets[n + 1] = used;
    }
    return used;
}

FASTPG_CLONES static int64_t fastpg_frame_stack(const uint8_t *current, const uint8_t *previous,
                                                int64_t frames, int64_t size, uint16_t *indices,
                                                int8_t *signs, int64_t capacity, int64_t *offsets) {
    int64_t used = 0;
    offsets[0] = 0;
    for (int64_t n = 0; n < frames; n++) {
        used = fastpg_compress(current + n * size, NULL, size, 0, indices, signs, capacity, used);
        used =
            fastpg_compress(previous + n * size, NULL, size, size, indices, signs, capacity, used);
        offsets[n + 1] = used;
    }
    return used;
}

FASTPG_CLONES static void fastpg_subtract(const uint8_t *FASTPG_RESTRICT current,
                                          const uint8_t *FASTPG_RESTRICT previous, int64_t size,
                                          float *FASTPG_RESTRICT x) {
    for (int64_t i = 0; i < size; i++) x[i] = (float)(current[i] - previous[i]);
}

#endif
