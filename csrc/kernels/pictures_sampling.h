/* The vectorised row loops behind fastpg.kernels._cython: plain C, no Python, no allocation.
 *
 * Arrays are C-contiguous; letters as in fastpg/kernels/spec.py, meanings as in
 * fastpg/kernels/reference.py. Where that table asks for the same bits, every sum keeps the order
 * that README.md states, and the file is compiled with -ffp-contract=off.
 */
#ifndef FASTPG_ROWS_H
#define FASTPG_ROWS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* One copy of a loop per instruction set, picked when the module loads: needs ifunc, hence glibc.
 * CFLAGS=-DFASTPG_CLONES= builds a single copy, as other systems have. */
#if !defined(FASTPG_CLONES) && defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) \
    && defined(__has_attribute)
#if __has_attribute(target_clones) && (!defined(__clang__) || __clang_major__ >= 14)
#define FASTPG_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define FASTPG_HAS_CLONES
#endif
#endif
#ifndef FASTPG_CLONES
#define FASTPG_CLONES
#endif

/* Which copy that is, in words. */
static inline const char *fastpg_vectors(void) {
#ifdef FASTPG_HAS_CLONES
    if (__builtin_cpu_supports("avx512f")) return "AVX-512";
    if (__builtin_cpu_supports("avx2")) return "AVX2";
#endif
    return "plain";
}

/* Helpers must be inlined into each clone, or they would run with the default instruction set. */
#if defined(__GNUC__)
#define FASTPG_INLINE static inline __attribute__((always_inline))
#define FASTPG_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define FASTPG_INLINE static __forceinline
#define FASTPG_RESTRICT __restrict
#else
#define FASTPG_INLINE static inline
#define FASTPG_RESTRICT restrict
#endif

#define FASTPG_LANES 8 /* spec.SUM_LANES */
#define FASTPG_KEPT \
    18 /* of a sample's exponentials or logarithms, for Atari's most actions; more are computed \
          twice */

/* ---- pictures ------------------------------------------------------------------------------- */

#define FASTPG_SIDE 80
#define FASTPG_PIXELS 6400
#define FASTPG_FIRST_ROW 35
#define FASTPG_WIDTH 160
#define FASTPG_HEIGHT 210
#define FASTPG_CENTRE 3240 /* the view's pixel (40, 40) */

/* Where pixel i of the view lies in a frame with `channels` bytes a pixel. */
FASTPG_INLINE int64_t fastpg_source(int64_t i, int channels) {
    const int64_t row = FASTPG_FIRST_ROW + 2 * (i / FASTPG_SIDE);
    return (row * FASTPG_WIDTH + 2 * (i % FASTPG_SIDE)) * channels;
}

/* The most frequent of the values, of equals the lowest. */
static uint8_t fastpg_mode(const uint8_t *values) {
    uint16_t counts[256] = {0};
    int best = 0;
    for (int i = 0; i < FASTPG_PIXELS; i++) counts[values[i]]++;
    for (int v = 1; v < 256; v++)
        if (counts[v] > counts[best]) best = v;
    return (uint8_t)best;
}

/* Whether more than half of the values are this one: then it is the mode, with no histogram. */
FASTPG_INLINE int fastpg_is_majority(const uint8_t *values, uint8_t candidate) {
    int equal = 0;
    for (int row = 0; row < FASTPG_SIDE; row++) {
        uint8_t n = 0; /* at most 80, so bytes can count */
        for (int j = 0; j < FASTPG_SIDE; j++) n += values[row * FASTPG_SIDE + j] == candidate;
        equal += n;
    }
    return equal > FASTPG_PIXELS / 2;
}

/* The two values, beside 0, that are background. */
FASTPG_INLINE void fastpg_backgrounds(const uint8_t *values, int find, uint8_t found[2]) {
    found[0] = 144;
    found[1] = 109;
    if (!find) return;
    if (fastpg_is_majority(values, values[0]))
        found[0] = values[0];
    else if (fastpg_is_majority(values, values[FASTPG_CENTRE]))
        found[0] = values[FASTPG_CENTRE];
    else
        found[0] = fastpg_mode(values);
    found[1] = found[0];
}

FASTPG_CLONES static void fastpg_view_rgb(const uint8_t *FASTPG_RESTRICT frame, int find,
                                          uint8_t *FASTPG_RESTRICT view) {
    uint8_t found[2];
    for (int row = 0; row < FASTPG_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * FASTPG_SIDE, 3);
        for (int j = 0; j < FASTPG_SIDE; j++) view[row * FASTPG_SIDE + j] = from[6 * j];
    }
    fastpg_backgrounds(view, find, found);
    const uint8_t first = found[0], second = found[1];
    for (int i = 0; i < FASTPG_PIXELS; i++) {
        const uint8_t v = view[i];
        view[i] = (uint8_t)((v != 0) & (v != first) & (v != second));
    }
}

/* view = whether each pixel differs from this palette index; returns how many do. */
FASTPG_INLINE int fastpg_mark_others(const uint8_t *FASTPG_RESTRICT frame, uint8_t index,
                                     uint8_t *FASTPG_RESTRICT view) {
    int others = 0;
    for (int row = 0; row < FASTPG_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * FASTPG_SIDE, 1);
        uint8_t n = 0;
        for (int j = 0; j < FASTPG_SIDE; j++) {
            const uint8_t differs = from[2 * j] != index;
            view[row * FASTPG_SIDE + j] = differs;
            n += differs;
        }
        others += n;
    }
    return others;
}

/* Replace the marks by what `lit` says of the marked pixels' palette index. */
FASTPG_INLINE void fastpg_look_up_marked(const uint8_t *FASTPG_RESTRICT frame, const uint8_t *lit,
                                         uint8_t *FASTPG_RESTRICT view) {
    for (int i = 0; i < FASTPG_PIXELS; i += 8) {
        uint64_t word;
        memcpy(&word, view + i, 8);
        if (word == 0) continue;
        const uint8_t *from = frame + fastpg_source(i, 1); /* 80 is a multiple of 8: one row */
        for (int j = 0; j < 8; j++) view[i + j] = lit[from[2 * j]];
    }
}

FASTPG_INLINE void fastpg_red_view(const uint8_t *FASTPG_RESTRICT frame, const uint8_t *red,
                                   uint8_t *FASTPG_RESTRICT view) {
    for (int row = 0; row < FASTPG_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * FASTPG_SIDE, 1);
        for (int j = 0; j < FASTPG_SIDE; j++) view[row * FASTPG_SIDE + j] = red[from[2 * j]];
    }
}

/* A palette index that more than half of the pixels have settles the background without a look-up
 * of each pixel, and leaves only the other pixels to look up. */
FASTPG_CLONES static void fastpg_view_palette(const uint8_t *FASTPG_RESTRICT frame,
                                              const uint8_t *red, int find,
                                              uint8_t *FASTPG_RESTRICT view) {
    uint8_t lit[256], found[2] = {144, 109};
    uint8_t common = frame[fastpg_source(0, 1)];
    int others = fastpg_mark_others(frame, common, view);
    if (others >= FASTPG_PIXELS / 2) {
        common = frame[fastpg_source(FASTPG_CENTRE, 1)];
        others = fastpg_mark_others(frame, common, view);
    }
    const int majority = others < FASTPG_PIXELS / 2;
    if (find && majority) found[0] = found[1] = red[common];
    if (find && !majority) {
        fastpg_red_view(frame, red, view);
        found[0] = found[1] = fastpg_mode(view);
    }
    const uint8_t first = found[0], second = found[1];
    for (int v = 0; v < 256; v++)
        lit[v] = (uint8_t)((red[v] != 0) & (red[v] != first) & (red[v] != second));
    if (majority && !lit[common])
        fastpg_look_up_marked(frame, lit, view);
    else
        fastpg_red_view(frame, lit, view);
}

/* Append the pixels d .. d+count-1 that differ; writes nothing at `room` or beyond, and may leave
 * anything between the pixels appended and `room`. previous may be NULL: all 0. */
FASTPG_INLINE int64_t fastpg_append(const uint8_t *current, const uint8_t *previous, int64_t d,
                                    int64_t count, int64_t base, uint16_t *indices, int8_t *signs,
                                    int64_t room, int64_t used) {
    const int fits = used + count <= room;
    for (int64_t j = d; j < d + count; j++) {
        const int8_t sign = (int8_t)(current[j] - (previous ? previous[j] : 0));
        if (fits || (sign != 0 && used < room)) {
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

/* Compress one row of `size` pixels: most blocks of 64 are equal, then most words of the others. */
FASTPG_INLINE int64_t fastpg_compress(const uint8_t *current, const uint8_t *previous, int64_t size,
                                      int64_t base, uint16_t *indices, int8_t *signs, int64_t room,
                                      int64_t used) {
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
                used = fastpg_append(current, previous, d + 8 * i, 8, base, indices, signs, room,
                                     used);
    }
    return fastpg_append(current, previous, d, size - d, base, indices, signs, room, used);
}

FASTPG_CLONES static int64_t fastpg_frame_difference(const uint8_t *current,
                                                     const uint8_t *previous, int64_t frames,
                                                     int64_t size, uint16_t *indices, int8_t *signs,
                                                     int64_t room, int64_t *offsets) {
    int64_t used = 0;
    offsets[0] = 0;
    for (int64_t n = 0; n < frames; n++) {
        used = fastpg_compress(current + n * size, previous + n * size, size, 0, indices, signs,
                               room, used);
        offsets[n + 1] = used;
    }
    return used;
}

FASTPG_CLONES static int64_t fastpg_frame_stack(const uint8_t *current, const uint8_t *previous,
                                                int64_t frames, int64_t size, uint16_t *indices,
                                                int8_t *signs, int64_t room, int64_t *offsets) {
    int64_t used = 0;
    offsets[0] = 0;
    for (int64_t n = 0; n < frames; n++) {
        used = fastpg_compress(current + n * size, NULL, size, 0, indices, signs, room, used);
        used = fastpg_compress(previous + n * size, NULL, size, size, indices, signs, room, used);
        offsets[n + 1] = used;
    }
    return used;
}

FASTPG_CLONES static void fastpg_subtract(const uint8_t *FASTPG_RESTRICT current,
                                          const uint8_t *FASTPG_RESTRICT previous, int64_t size,
                                          float *FASTPG_RESTRICT x) {
    for (int64_t i = 0; i < size; i++) x[i] = (float)(current[i] - previous[i]);
}

/* ---- random numbers -------------------------------------------------------------------------- */

/* Philox 4x32, ten rounds: first output word, upper 24 bits. */
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
