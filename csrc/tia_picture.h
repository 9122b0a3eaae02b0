/* TIA: collisions and picture, evaluated up to a moment when something is to change. Times are
 * colour clocks of the current frame (3 a CPU cycle, 228 a line). */
#ifndef TIA_PICTURE_H
#define TIA_PICTURE_H

#include "tia_objects.h"

/* ---- collisions ------------------------------------------------------------------------------ */

/* Latch numbers: two a read register, bit 7 first: M0-P1, M0-P0, M1-P0, M1-P1, P0-PF, P0-BL, P1-PF,
 * P1-BL, M0-PF, M0-BL, M1-PF, M1-BL, BL-PF, P0-P1, M0-M1. */
#define TIA_LATCHES(X) \
    X(0, M0, P1) X(1, M0, P0) X(2, M1, P0) X(3, M1, P1) X(4, P0, PF) X(5, P0, BL) X(6, P1, PF) \
    X(7, P1, BL) X(8, M0, PF) X(9, M0, BL) X(10, M1, PF) X(11, M1, BL) X(12, BL, PF) X(13, P0, P1) \
    X(14, M0, M1)

/* Latches that the enabled objects could set. */
A26_FN uint32_t tia_latches_possible(uint32_t enabled) {
    uint32_t latches = 0;
#define X(bit, a, b) latches |= ((enabled >> TIA_##a & enabled >> TIA_##b) & 1u) << bit;
    TIA_LATCHES(X)
#undef X
    return latches;
}

A26_FN uint64_t tia_overlap(const tia_mask_t *a, const tia_mask_t *b, const tia_mask_t *span) {
    return (a->w[0] & b->w[0] & span->w[0]) | (a->w[1] & b->w[1] & span->w[1])
         | (a->w[2] & b->w[2] & span->w[2]);
}

A26_FN tia_mask_t tia_span(uint32_t begin, uint32_t end) { /* begin < end <= 160 */
    tia_mask_t span;
    for (uint32_t k = 0; k < 3; k++) {
        uint32_t base = 64 * k;
        uint64_t from = begin <= base ? ~0ull : begin >= base + 64 ? 0 : ~0ull << (begin - base);
        uint64_t upto = end <= base ? 0 : end >= base + 64 ? ~0ull : ~(~0ull << (end - base));
        span.w[k] = from & upto;
    }
    return span;
}

/* ---- picture --------------------------------------------------------------------------------- */

/* Eight pixels' bits as eight bytes, 0xFF for each set one. */
A26_FN uint64_t tia_bytes(uint32_t bits) {
    uint64_t spread = (uint64_t)(bits & 255) * 0x0101010101010101ull & 0x8040201008040201ull;
    return ((spread + 0x00406070787C7E7Full) >> 7 & 0x0101010101010101ull) * 255u;
}

/* Paint the span of one line. `row` has 160 bytes, `on` the enabled objects. */
A26_SLOW void tia_paint(const tia_t *t, uint32_t on, const tia_mask_t *span, uint8_t *row) {
    const uint64_t left[3] = {~0ull, 0xFFFFull, 0};
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t c0 = t->colup[0] * ones, c1 = t->colup[1] * ones, cf = t->colupf * ones, bk = t->colubk * ones;
    int priority = t->ctrlpf & 4, score = t->ctrlpf & 2;
    int split = score && (!priority || on == 1u << TIA_PF); /* playfield in the players' colours */
    for (uint32_t k = 0; k < 3; k++) {
        uint64_t wanted = span->w[k], one = 0, two = 0, three = 0, field = 0;
        if (!wanted)
            continue;
        if (on & 1u << TIA_P0)
            one |= t->mask[TIA_P0].w[k];
        if (on & 1u << TIA_M0)
            one |= t->mask[TIA_M0].w[k];
        if (on & 1u << TIA_P1)
            two |= t->mask[TIA_P1].w[k];
        if (on & 1u << TIA_M1)
            two |= t->mask[TIA_M1].w[k];
        if (on & 1u << TIA_BL)
            three |= t->mask[TIA_BL].w[k];
        if (on & 1u << TIA_PF)
            field = t->mask[TIA_PF].w[k];
        if (split) {
            one |= field & left[k];
            two |= field & ~left[k];
        } else {
            three |= field;
        }
        if (priority && !split) {
            one &= ~three;
            two &= ~(three | one);
        } else {
            two &= ~one;
            three &= ~(one | two);
        }
        for (uint32_t p = 0; p < (k == 2 ? 32u : 64u); p += 8) {
            uint32_t here = (uint32_t)(wanted >> p) & 255u;
            if (!here)
                continue;
            uint64_t b1 = tia_bytes((uint32_t)(one >> p)), b2 = tia_bytes((uint32_t)(two >> p));
            uint64_t b3 = tia_bytes((uint32_t)(three >> p));
            uint64_t colours = (c0 & b1) | (c1 & b2) | (cf & b3) | (bk & ~(b1 | b2 | b3));
            uint8_t *out = row + 64 * k + p;
            if (here != 255u) {
                uint64_t keep = ~tia_bytes(here);
                uint64_t there;
                A26_COPY(&there, out, 8);
                colours = (colours & ~keep) | (there & keep);
            }
            A26_COPY(out, &colours, 8); /* little-endian: pixel p is byte p */
        }
    }
}

/* ---- evaluation ------------------------------------------------------------------------------ */

A26_SLOW void tia_end_of_line(tia_t *t) {
    uint8_t reflect = t->ctrlpf & 1;
    if (t->reflected != reflect) {
        t->reflected = reflect;
        t->dirty |= 1u << TIA_PF;
    }
    for (int n = 0; n < 2; n++) {
        if (t->suppressed[n]) {
            t->suppressed[n] = 0;
            t->dirty |= (uint8_t)(1u << (TIA_P0 + n));
        }
    }
    if (t->cosmic) {
        A26_TABLE uint8_t steps[4] = {18, 33, 0, 17};
        t->cosmic_step = (t->cosmic_step + 1) & 3;
        uint8_t step = steps[t->cosmic_step];
        t->pos[TIA_M0] = (uint8_t)(t->pos[TIA_M0] >= step ? t->pos[TIA_M0] - step : t->pos[TIA_M0] + TIA_WIDTH - step);
        t->m0_stretched = t->cosmic_step == 1;
        t->m0_hidden = t->cosmic_step == 2;
        t->dirty |= 1u << TIA_M0;
    }
}

/* Whether the end of a line would change something, or a blank is to be painted. */
A26_FN int tia_pending(const tia_t *t) {
    return t->suppressed[0] | t->suppressed[1] | t->cosmic | (t->reflected ^ (t->ctrlpf & 1)) | t->hmove_blank;
}

/* Evaluate [begin, end) of a line: collisions, and pixels if there is a picture. */
A26_SLOW void tia_evaluate(tia_t *t, uint32_t line, uint32_t begin, uint32_t end, uint8_t *screen) {
    tia_mask_t span = tia_span(begin, end);
    uint8_t *row = screen ? screen + line * TIA_WIDTH : 0;
    if (t->vblank & 2) {
        if (row)
            for (uint32_t p = begin; p < end; p++)
                row[p] = 0;
    } else {
        uint32_t on = tia_enabled(t);
        uint32_t latches = tia_latches_possible(on) & ~(uint32_t)t->collisions;
        if (latches || row)
            tia_build(t, on);
        if (latches) {
#define X(bit, a, b) \
    if (latches & 1u << bit && tia_overlap(&t->mask[TIA_##a], &t->mask[TIA_##b], &span)) \
        t->collisions |= 1u << bit;
            TIA_LATCHES(X)
#undef X
        }
        if (row)
            tia_paint(t, on, &span, row);
    }
    if (t->hmove_blank && begin < 8) {
        if (row)
            for (uint32_t p = begin; p < end && p < 8; p++)
                row[p] = 0;
        if (end > 7)
            t->hmove_blank = 0;
    }
}

/* The lines after `first` and before `end` show what `first` shows. */
A26_FN void tia_repeat_line(uint8_t *screen, uint32_t first, uint32_t end) {
    for (uint32_t line = first + 1; line < end; line++)
        A26_COPY(screen + line * TIA_WIDTH, screen + first * TIA_WIDTH, TIA_WIDTH);
}

A26_SLOW void tia_run(tia_t *t, int32_t to, uint8_t *screen) {
    if (to > TIA_WINDOW_END_CLOCKS)
        to = TIA_WINDOW_END_CLOCKS;
    int32_t at = t->last_clock;
    while (at < to) {
        int plain = !tia_pending(t);
        if (plain && !screen
            && (t->vblank & 2 || !(tia_latches_possible(tia_enabled(t)) & ~(uint32_t)t->collisions))) {
            at = to; /* nothing to see and nothing new to collide */
            break;
        }
        int32_t line = at / TIA_LINE_CLOCKS, begin = at - line * TIA_LINE_CLOCKS;
        int32_t line_clock = at - begin;
        if (begin == 0 && at != TIA_WINDOW_BEGIN_CLOCKS && !plain)
            tia_end_of_line(t); /* of the line above: due once the clock passes beyond it */
        int32_t end = to - line_clock;
        end = end > TIA_LINE_CLOCKS ? TIA_LINE_CLOCKS : end;
        if (end > TIA_BLANK_CLOCKS) {
            uint32_t from = begin > TIA_BLANK_CLOCKS ? (uint32_t)(begin - TIA_BLANK_CLOCKS) : 0;
            tia_evaluate(t, (uint32_t)(line - TIA_FIRST_LINE), from, (uint32_t)(end - TIA_BLANK_CLOCKS), screen);
        }
        at = line_clock + end;
        if (plain && begin <= TIA_BLANK_CLOCKS && end == TIA_LINE_CLOCKS && to - at >= TIA_LINE_CLOCKS) {
            /* a whole line, and whole lines after it with nothing changed */
            int32_t more = (to - at) / TIA_LINE_CLOCKS;
            if (screen)
                tia_repeat_line(screen, (uint32_t)(line - TIA_FIRST_LINE), (uint32_t)(line - TIA_FIRST_LINE + 1 + more));
            at += more * TIA_LINE_CLOCKS;
        }
    }
    t->last_clock = at;
}

/* Evaluate everything before the clock `to`. */
A26_FN void tia_catch_up(tia_t *t, int32_t to, uint8_t *screen) {
    if (to > t->last_clock)
        tia_run(t, to, screen);
}

#endif
