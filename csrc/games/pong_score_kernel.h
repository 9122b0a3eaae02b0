/* Pong's score ($F58B) in closed form: twenty lines, four for each row of the digits, that write
 * nothing but PF1, twice a line, from tables and at the same cycles. X is 1 to 20 and Y 0 to 4 at
 * the head.
 *
 * Where nothing but the playfield is on, no line can set a latch: without a picture only the last
 * one runs. With one, all of a row's four lines show what the first shows: the byte that stands in
 * PF1 when a line begins is replaced before the playfield's first pixel of it. */
#ifndef A26_PONG_SCORE_H
#define A26_PONG_SCORE_H

#include "games/pong_display_kernel.h"

#define PONG_SUMMARY_SCORE 2u /* bits of the translation's `summaries` */
#define PONG_SUMMARY_EMPTY_LINES 4u

#define PONG_EMPTY_WSYNC_CYCLES 29 /* up to the WSYNC, with it */
#define PONG_EMPTY_REST_CYCLES 5   /* after it */
#define PONG_SCORE_LAST_X 20
#define PONG_SCORE_LAST_Y 4

/* The cycle that a WSYNC write now would lead to. */
A26_FN int32_t pong_score_line(int32_t cycle) {
    return (cycle + 3 + A2600_LINE_CYCLES - 1) / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
}

A26_FN int pong_score_foreseen(const a2600_t *s) { /* the digits' pointers lead into the ROM */
    const uint8_t *high = s->ram + 0x46;           /* $C6, $C8, $CA, $CC */
    return high[0] & high[2] & high[4] & high[6] & 0x10 && !(s->tia.enabled & ~(1u << TIA_PF));
}

/* Whether nobody looks at the score, whose last line but 19 begins at this cycle. */
A26_FN int pong_score_unseen(const tia_picture_t *picture, int32_t cycle) {
    return !picture
           || (picture->sparse
               && cycle / A2600_LINE_CYCLES + PONG_SCORE_LAST_X - 1
                      < TIA_FIRST_LINE + TIA_VIEW_FIRST_ROW);
}

/* At the head of the second line of four: whether the first, which was quiet from its beginning, is
 * a picture of the others. Then that is noted. `cycle` is the second line's. */
A26_SLOW int pong_score_repeat(tia_t *t, int32_t cycle, tia_picture_t *picture) {
    int32_t clock = 3 * cycle;
    uint32_t row = (uint32_t)(cycle / A2600_LINE_CYCLES - 1 - TIA_FIRST_LINE);
    if (row >= TIA_HEIGHT - 3 || (picture->sparse && row + 3 >= TIA_VIEW_FIRST_ROW)) return 0;
    tia_catch_up(t, clock, picture);
    if (t->last_clock != clock || t->pending) return 0;
    for (uint32_t k = 1; k < 4; k++) picture->like[row + k] = picture->like[row];
    t->last_clock += 3 * TIA_LINE_CLOCKS;
    return 1;
}

/* The lines between the fields ($F5B8), Y of them: each writes 0 to the playfield, the players'
 * graphics and what switches missiles and ball on, then WSYNC. Where all are 0 that does nothing:
 * go to the last. */
#define A2600_SUMMARY_PONG_EMPTY_LINES \
    if (summaries & PONG_SUMMARY_EMPTY_LINES && r.y != 1 && pong_clear(&s->tia)) { \
        uint8_t turns_ = (uint8_t)(r.y - 1); \
        cycle += PONG_EMPTY_WSYNC_CYCLES; \
        A2600_WAIT_FOR_LINE \
        cycle += A2600_LINE_CYCLES * (turns_ - 1) + PONG_EMPTY_REST_CYCLES; \
        r.y = 1; \
        A2600_CHECK_LIMIT \
    }

/* At the loop's head, in translated code; `score_quiet`: the line that begins here began quietly.
 */
#define A2600_SUMMARY_PONG_SCORE \
    if (summaries & PONG_SUMMARY_SCORE && pong_score_foreseen(s)) { \
        int32_t line_ = pong_score_line(cycle); \
        if (r.x == 1 && r.y == 0 && pong_score_unseen(picture, line_)) { \
            r.x = PONG_SCORE_LAST_X; \
            r.y = PONG_SCORE_LAST_Y; \
            cycle = line_ + A2600_LINE_CYCLES * (PONG_SCORE_LAST_X - 1) - 3; \
        } else if (picture && (r.x & 3) == 1) { \
            tia_catch_up(&s->tia, 3 * line_, picture); \
            score_quiet = !s->tia.pending; \
        } else if (picture && (r.x & 3) == 2 && score_quiet \
                   && pong_score_repeat(&s->tia, line_, picture)) { \
            r.x += 2; \
            cycle = line_ + 2 * A2600_LINE_CYCLES - 3; \
        } \
        A2600_CHECK_LIMIT \
    } else { \
        score_quiet = 0; \
    }

#endif
