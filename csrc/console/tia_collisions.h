/* TIA: collision latches. A latch is set when two objects share a lit pixel, and stays set until
 * CXCLR. Only latches that are still clear are computed.
 *
 *   tia_open(t)      clear latches that the enabled objects could set, wherever they stand
 *   tia_touching(t)  clear latches that they would set somewhere in a whole line
 *   tia_collide(..)  latches that they set in a given span */
#ifndef TIA_COLLISIONS_H
#define TIA_COLLISIONS_H

#include "console/tia_objects.h"

/* X(with, latch, object, object): 15 latches, two per read register (bit 7 first). `with` is passed
 * through to X. */
/* clang-format off */
#define TIA_LATCHES(X, with) \
    X(with, 0, M0, P1) X(with, 1, M0, P0) X(with, 2, M1, P0) X(with, 3, M1, P1) X(with, 4, P0, PF) \
    X(with, 5, P0, BL) X(with, 6, P1, PF) X(with, 7, P1, BL) X(with, 8, M0, PF) X(with, 9, M0, BL) \
    X(with, 10, M1, PF) X(with, 11, M1, BL) X(with, 12, BL, PF) X(with, 13, P0, P1) \
    X(with, 14, M0, M1)
/* clang-format on */

A26_FN uint32_t tia_open(const tia_t *t);
A26_FN uint32_t tia_touching(tia_t *t);
A26_FN uint32_t tia_collide(const tia_t *t, const tia_mask_t *players, uint32_t latches,
                            const tia_mask_t *span);

/* Latches that a set of objects (bit TIA_P0 and so on) could set. */
#define TIA_PAIR(set, bit, a, b) | ((set) >> TIA_##a & (set) >> TIA_##b & 1) << bit
#define TIA_POSSIBLE(set) (uint16_t)(0 TIA_LATCHES(TIA_PAIR, set))
#define TIA_POSSIBLE_4(set) \
    TIA_POSSIBLE(set), TIA_POSSIBLE((set) + 1), TIA_POSSIBLE((set) + 2), TIA_POSSIBLE((set) + 3)
#define TIA_POSSIBLE_16(set) \
    TIA_POSSIBLE_4(set), TIA_POSSIBLE_4((set) + 4), TIA_POSSIBLE_4((set) + 8), \
        TIA_POSSIBLE_4((set) + 12)
A26_TABLE uint16_t tia_latches_possible[1 << TIA_OBJECTS] = {
    TIA_POSSIBLE_16(0), TIA_POSSIBLE_16(16), TIA_POSSIBLE_16(32), TIA_POSSIBLE_16(48)};

A26_FN uint64_t tia_overlap(const tia_mask_t *a, const tia_mask_t *b, const tia_mask_t *span) {
    return (a->w[0] & b->w[0] & span->w[0]) | (a->w[1] & b->w[1] & span->w[1])
           | (a->w[2] & b->w[2] & span->w[2]);
}

/* The mask of pixels [begin, end), begin < end <= 160. */
A26_FN tia_mask_t tia_span(uint32_t begin, uint32_t end) {
    tia_mask_t span;
    for (uint32_t k = 0; k < 3; k++) span.w[k] = tia_word_span(begin, end, k);
    return span;
}

/* Those of `latches` whose objects share a pixel in the span. `players`: masks to use for P0,
 * P1. */
A26_FN uint32_t tia_collide(const tia_t *t, const tia_mask_t *players, uint32_t latches,
                            const tia_mask_t *span) {
    uint32_t set = 0;
#define TIA_PIXELS(object) (object <= TIA_P1 ? players + object : t->mask + object)
#define X(with, bit, a, b) \
    if (latches & 1u << bit && tia_overlap(TIA_PIXELS(TIA_##a), TIA_PIXELS(TIA_##b), span)) \
        set |= 1u << bit;
    TIA_LATCHES(X, 0)
#undef X
#undef TIA_PIXELS
    return set;
}

A26_FN uint32_t tia_open(const tia_t *t) {
    return t->vblank & 2 ? 0 : tia_latches_possible[t->enabled] & ~(uint32_t)t->collisions;
}

/* Graphics change far more often than positions. So players are first taken as their covers: if
 * those do not touch anything, their masks need not be built. */
A26_FN uint32_t tia_touching(tia_t *t) {
    const tia_mask_t line = {{~0ull, ~0ull, ~0ull}};
    uint32_t latches = tia_open(t);
    if (!latches) return 0;
    tia_build(t, t->enabled & ~(1u << TIA_P0 | 1u << TIA_P1));
    if (t->dirty & 3u * TIA_STALE_COVER) tia_build_covers(t);
    latches = tia_collide(t, t->cover, latches, &line);
    if (!latches) return 0;
    tia_build(t, t->enabled);
    return tia_collide(t, t->mask, latches, &line);
}

#endif
