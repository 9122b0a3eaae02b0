/* TIA: lazy evaluation. Collisions and picture stay behind until a write is about to change what is
 * shown, or somebody reads. Then everything before that clock is evaluated at once.
 *
 *   tia_catch_up(t, clock, picture)  evaluate everything before `clock`; picture may be 0 */
#ifndef TIA_CATCH_UP_H
#define TIA_CATCH_UP_H

#include "console/tia_collisions.h"
#include "console/tia_painter.h"

A26_FN void tia_catch_up(tia_t *t, int32_t to, tia_picture_t *picture);

/* Effects that are due when a line ends. */
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
        t->pos[TIA_M0] =
            (uint8_t)(t->pos[TIA_M0] >= step ? t->pos[TIA_M0] - step
                                             : t->pos[TIA_M0] + A26_SCREEN_WIDTH - step);
        t->m0_stretched = t->cosmic_step == 1;
        t->m0_hidden = t->cosmic_step == 2;
        t->dirty |= 1u << TIA_M0;
        tia_update_enabled(t, 1u << TIA_M0);
    }
}

/* Evaluate pixels [begin, end) of a line: collisions, and pixels if `row` is not 0. */
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
            at = to; /* nothing to paint, nothing new to collide */
            break;
        }
        int32_t line = at / TIA_LINE_CLOCKS, begin = at - line * TIA_LINE_CLOCKS;
        int32_t line_clock = at - begin;
        if (begin == 0 && at != TIA_WINDOW_BEGIN_CLOCKS && !plain)
            tia_end_of_line(t); /* of the line above: due once the clock has passed it */
        int32_t end = to - line_clock;
        end = end > TIA_LINE_CLOCKS ? TIA_LINE_CLOCKS : end;
        int32_t repeats = 0; /* whole lines that repeat this whole line */
        if (plain && begin <= TIA_BLANK_CLOCKS && end == TIA_LINE_CLOCKS)
            repeats = (to - line_clock) / TIA_LINE_CLOCKS - 1;
        uint32_t row = (uint32_t)(line - TIA_FIRST_LINE);
        if (end > TIA_BLANK_CLOCKS) {
            uint32_t from = begin > TIA_BLANK_CLOCKS ? (uint32_t)(begin - TIA_BLANK_CLOCKS) : 0;
            int paint = picture && (repeats || tia_row_wanted(picture, row));
            tia_evaluate(t, from, (uint32_t)(end - TIA_BLANK_CLOCKS),
                         paint ? picture->pixels + row * A26_SCREEN_WIDTH : 0);
        }
        for (uint32_t k = 1; picture && k <= (uint32_t)repeats; k++)
            picture->same_as_row[row + k] = (uint8_t)row;
        at = line_clock + end + repeats * TIA_LINE_CLOCKS;
    }
    t->last_clock = at;
}

A26_FN void tia_catch_up(tia_t *t, int32_t to, tia_picture_t *picture) {
    if (to <= t->last_clock || t->last_clock == TIA_WINDOW_END_CLOCKS) return;
    if (!picture && !t->pending && !tia_open(t)) /* shortcut: tia_run would do the same */
        t->last_clock = to < TIA_WINDOW_END_CLOCKS ? to : TIA_WINDOW_END_CLOCKS;
    else
        tia_run(t, to, picture);
}

#endif
