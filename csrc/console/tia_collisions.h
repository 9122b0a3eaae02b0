/* TIA: collisions and picture, evaluated up to a moment when something is to change. Times are
 * colour clocks of the current frame (3 a CPU cycle, 228 a line). */
#ifndef TIA_PICTURE_H
#define TIA_PICTURE_H

#include "console/tia_painter.h"

/* ---- collisions ------------------------------------------------------------------------------ */

/* Latch numbers: two a read register, bit 7 first: M0-P1, M0-P0, M1-P0, M1-P1, P0-PF, P0-BL, P1-PF,
 * P1-BL, M0-PF, M0-BL, M1-PF, M1-BL, BL-PF, P0-P1, M0-M1. `with` is handed on to X. */
/* clang-format off */
#define TIA_LATCHES(X, with) \
    X(with, 0, M0, P1) X(with, 1, M0, P0) X(with, 2, M1, P0) X(with, 3, M1, P1) X(with, 4, P0, PF) \
    X(with, 5, P0, BL) X(with, 6, P1, PF) X(with, 7, P1, BL) X(with, 8, M0, PF) X(with, 9, M0, BL) \
    X(with, 10, M1, PF) X(with, 11, M1, BL) X(with, 12, BL, PF) X(with, 13, P0, P1) X(with, 14, M0, M1)
/* clang-format on */

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

A26_FN tia_mask_t tia_span(uint32_t begin, uint32_t end) { /* begin < end <= 160 */
    tia_mask_t span;
    for (uint32_t k = 0; k < 3; k++) span.w[k] = tia_word_span(begin, end, k);
    return span;
}

/* Of these latches, those whose objects share a pixel in the span, with the players' pixels given.
 */
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

/* Clear latches that what is on now could set, wherever it stands. */
A26_FN uint32_t tia_open(const tia_t *t) {
    return t->vblank & 2 ? 0 : tia_latches_possible[t->enabled] & ~(uint32_t)t->collisions;
}

/* Of them, those that it would set somewhere in a whole line. Graphics change far more often than
 * positions: players that could not touch whatever they show need not be drawn out. */
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

/* ---- evaluation ------------------------------------------------------------------------------ */

A26_SLOW void tia_end_of_line(tia_t *t) {
    if (t->pending & TIA_REFLECTION) {
        t->reflected = t->ctrlpf & 1;
        t->dirty |= 1u << TIA_PF;
    }
    for (int n = 0; n < 2; n++)
        if (t->pending & TIA_SUPPRESSED << n) t->dirty |= (uint8_t)(1u << (TIA_P0 + n));
    t->pending &= (uint8_t) ~(3u * TIA_SUPPRESSED | TIA_REFLECTION);
    if (t->pending & TIA_COSMIC) {
        A26_TABLE uint8_t steps[4] = {18, 33, 0, 17};
        t->cosmic_step = (t->cosmic_step + 1) & 3;
        uint8_t step = steps[t->cosmic_step];
        t->pos[TIA_M0] = (uint8_t)(t->pos[TIA_M0] >= step ? t->pos[TIA_M0] - step
                                                          : t->pos[TIA_M0] + TIA_WIDTH - step);
        t->m0_stretched = t->cosmic_step == 1;
        t->m0_hidden = t->cosmic_step == 2;
        t->dirty |= 1u << TIA_M0;
        tia_update_enabled(t, 1u << TIA_M0);
    }
}

/* Evaluate [begin, end) of a line: collisions, and pixels if there is a row to paint. */
A26_SLOW void tia_evaluate(tia_t *t, uint32_t begin, uint32_t end, uint8_t *row) {
    if (t->vblank & 2) {
        if (row) tia_fill(row, begin, end, 0);
    } else {
        uint32_t on = t->enabled;
        uint32_t latches = tia_latches_possible[on] & ~(uint32_t)t->collisions;
        if (latches || row) tia_build(t, on);
        if (latches) {
            tia_mask_t span = tia_span(begin, end);
            t->collisions |= (uint16_t)tia_collide(t, t->mask, latches, &span);
        }
        if (row) tia_paint(t, on, begin, end, row);
    }
    if (A26_UNLIKELY(t->pending & TIA_HMOVE_BLANK) && begin < 8) {
        if (row) tia_fill(row, begin, end < 8 ? end : 8, 0);
        if (end > 7) t->pending &= (uint8_t)~TIA_HMOVE_BLANK;
    }
}

A26_SLOW void tia_run(tia_t *t, int32_t to, tia_picture_t *picture) {
    if (to > TIA_WINDOW_END_CLOCKS) to = TIA_WINDOW_END_CLOCKS;
    int32_t at = t->last_clock;
    while (at < to) {
        int plain = !t->pending;
        if (plain && !picture && !tia_touching(t)) {
            at = to; /* nothing to see and nothing new to collide */
            break;
        }
        int32_t line = at / TIA_LINE_CLOCKS, begin = at - line * TIA_LINE_CLOCKS;
        int32_t line_clock = at - begin;
        if (begin == 0 && at != TIA_WINDOW_BEGIN_CLOCKS && !plain)
            tia_end_of_line(t); /* of the line above: due once the clock passes beyond it */
        int32_t end = to - line_clock;
        end = end > TIA_LINE_CLOCKS ? TIA_LINE_CLOCKS : end;
        int32_t repeats = 0; /* whole lines after a whole line with nothing changed */
        if (plain && begin <= TIA_BLANK_CLOCKS && end == TIA_LINE_CLOCKS)
            repeats = (to - line_clock) / TIA_LINE_CLOCKS - 1;
        uint32_t row = (uint32_t)(line - TIA_FIRST_LINE);
        if (end > TIA_BLANK_CLOCKS) {
            uint32_t from = begin > TIA_BLANK_CLOCKS ? (uint32_t)(begin - TIA_BLANK_CLOCKS) : 0;
            int paint = picture && (repeats || tia_row_wanted(picture, row));
            tia_evaluate(t, from, (uint32_t)(end - TIA_BLANK_CLOCKS),
                         paint ? picture->pixels + row * TIA_WIDTH : 0);
        }
        for (uint32_t k = 1; picture && k <= (uint32_t)repeats; k++)
            picture->like[row + k] = (uint8_t)row;
        at = line_clock + end + repeats * TIA_LINE_CLOCKS;
    }
    t->last_clock = at;
}

/* Evaluate everything before the clock `to`. */
A26_FN void tia_catch_up(tia_t *t, int32_t to, tia_picture_t *picture) {
    if (to <= t->last_clock || t->last_clock == TIA_WINDOW_END_CLOCKS) return;
    if (!picture && !t->pending && !tia_open(t)) /* tia_run would find the same */
        t->last_clock = to < TIA_WINDOW_END_CLOCKS ? to : TIA_WINDOW_END_CLOCKS;
    else
        tia_run(t, to, picture);
}

#endif
