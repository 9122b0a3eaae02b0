/* Loop summaries: Pong's score ($F58B), and the empty lines around score and field ($F5B8).
 *
 * The score is twenty lines, four for each row of digits. They write nothing but PF1, twice a line,
 * from tables and at the same cycles. At the head X is 1 to 20 and Y is 0 to 4.
 *
 * If only the playfield is on, no line can set a latch: without a picture only the last line runs.
 * With a picture, all four lines of a row show what the first shows: the byte that is in PF1 when a
 * line begins is replaced before the playfield's first pixel of it.
 *
 *   A2600_SUMMARY_PONG_SCORE, A2600_SUMMARY_PONG_EMPTY_LINES  the code at each loop's head */
#ifndef A26_PONG_SCORE_DISPLAY_KERNEL_H
#define A26_PONG_SCORE_DISPLAY_KERNEL_H

#include "games/pong_display_kernel.h"

#define PONG_SUMMARY_SCORE 2u /* bits of the translation's `summaries` */
#define PONG_SUMMARY_EMPTY_LINES 4u

#define PONG_EMPTY_WSYNC_CYCLES 29 /* up to and including WSYNC */
#define PONG_EMPTY_REST_CYCLES 5   /* after it */
#define PONG_SCORE_LAST_X 20
#define PONG_SCORE_LAST_Y 4

/* The cycle to which a WSYNC write would lead now. */
A26_FN int32_t pong_score_line(int32_t cycle) {
    return (cycle + 3 + A2600_LINE_CYCLES - 1) / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
}

/* True if the digits' pointers lead into the ROM and nothing but the playfield is on. */
A26_FN int pong_score_foreseen(const a2600_t *s) {
    const uint8_t *high = s->ram + 0x46; /* $C6, $C8, $CA, $CC */
    return high[0] & high[2] & high[4] & high[6] & 0x10 && !(s->tia.enabled & ~(1u << TIA_PF));
}

/* True if nobody looks at the score, the 20th line of which begins 19 lines after `cycle`. */
A26_FN int pong_score_unseen(const tia_picture_t *picture, int32_t cycle) {
    return !picture
           || (picture->sparse
               && cycle / A2600_LINE_CYCLES + PONG_SCORE_LAST_X - 1
                      < TIA_FIRST_LINE + A26_VIEW_FIRST_ROW);
}

/* At the head of the second line of four, which begins at `cycle`: if the first line was quiet from
 * its begin, note that the other three repeat it, and return 1. */
A26_SLOW int pong_score_repeat(tia_t *t, int32_t cycle, tia_picture_t *picture) {
    int32_t clock = 3 * cycle;
    uint32_t row = (uint32_t)(cycle / A2600_LINE_CYCLES - 1 - TIA_FIRST_LINE);
    if (row >= A26_SCREEN_HEIGHT - 3 || (picture->sparse && row + 3 >= A26_VIEW_FIRST_ROW))
        return 0;
    tia_catch_up(t, clock, picture);
    if (t->last_clock != clock || t->pending) return 0;
    for (uint32_t k = 1; k < 4; k++) picture->same_as_row[row + k] = picture->same_as_row[row];
    t->last_clock += 3 * TIA_LINE_CLOCKS;
    return 1;
}

/* Y empty lines. Each writes 0 to the playfield, to the players' graphics and to what enables
 * missiles and ball, then WSYNC. If all are 0 that does nothing: go to the last. */
#define A2600_SUMMARY_PONG_EMPTY_LINES \
    if (summaries & PONG_SUMMARY_EMPTY_LINES && r.y != 1 && pong_clear(&s->tia)) { \
        uint8_t turns_ = (uint8_t)(r.y - 1); \
        cycle += PONG_EMPTY_WSYNC_CYCLES; \
        A2600_WAIT_FOR_LINE \
        cycle += A2600_LINE_CYCLES * (turns_ - 1) + PONG_EMPTY_REST_CYCLES; \
        r.y = 1; \
        A2600_CHECK_LIMIT \
    }

/* `score_quiet`: the line that begins here began quietly. */
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
