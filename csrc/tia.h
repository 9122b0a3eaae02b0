/* TIA: objects, picture, collisions. Evaluated lazily: a write that changes something first catches
 * the picture up to its moment. Times are colour clocks of the current frame (3 a CPU cycle, 228 a
 * line); the window is lines 34..243, pixels 0..159. */
#ifndef TIA_H
#define TIA_H

#include "a26_port.h"

#define TIA_LINE_CLOCKS 228
#define TIA_BLANK_CLOCKS 68
#define TIA_WIDTH 160
#define TIA_HEIGHT 210
#define TIA_FIRST_LINE 34
#define TIA_WINDOW_BEGIN_CLOCKS (TIA_FIRST_LINE * TIA_LINE_CLOCKS)
#define TIA_WINDOW_END_CLOCKS ((TIA_FIRST_LINE + TIA_HEIGHT) * TIA_LINE_CLOCKS)
#define TIA_NEVER_CLOCKS 0x7FFFFFFF

enum { TIA_P0, TIA_P1, TIA_M0, TIA_M1, TIA_BL, TIA_PF, TIA_OBJECTS };

typedef struct {
    uint64_t w[3]; /* pixel p is bit p % 64 of word p / 64 */
} tia_mask_t;

typedef struct {
    tia_mask_t mask[TIA_OBJECTS]; /* where each object's graphics lie; right unless dirty */
    int32_t last_clock;           /* evaluated up to here, exclusive */
    int32_t touched_clock;        /* of the last write: what an unfinished frame shows */
    int32_t vsync_finish_clock;
    int32_t hmove_clock;
    int32_t dump_release_cycle;
    uint32_t paddle_cycles[4]; /* charge time of INPT0-3, or one of the two below */
    uint16_t collisions;       /* 15 latches, in the order of their read registers */
    uint8_t dirty;             /* bit per object: its mask is stale */
    uint8_t vblank;            /* as written */
    uint8_t nusiz[2], colup[2], colupf, colubk, ctrlpf, refp[2], pf[3];
    uint8_t grp[2], grp_delayed[2], enam[2], enabl, enabl_delayed, vdelp[2], vdelbl, resmp[2];
    uint8_t hm[5]; /* high nibbles of HMP0, HMP1, HMM0, HMM1, HMBL */
    uint8_t pos[5];
    uint8_t suppressed[2];  /* the first copy of a player is not shown */
    uint8_t hmove_blank;    /* the next pixels below 8 are black */
    uint8_t reflected;      /* the playfield's reflection in use */
    uint8_t cosmic, cosmic_step, m0_hidden, m0_stretched;
    uint8_t fire[2]; /* INPT4, INPT5: 0x80 is not pressed */
} tia_t;

#define TIA_PADDLE_SHORTED 0xFFFFFFFFu /* no resistance: always charged */
#define TIA_PADDLE_OPEN 0xFFFFFFFEu    /* infinite resistance: never charged */

/* ---- masks ----------------------------------------------------------------------------------- */

/* Pixels [begin, begin + width) modulo 160 for width <= 32; bits 0.. of `bits` are pixels. */
A26_FN void tia_mask_put(tia_mask_t *m, uint32_t begin, uint64_t bits) {
    begin = begin >= TIA_WIDTH ? begin - TIA_WIDTH : begin;
    uint32_t word = begin >> 6, shift = begin & 63;
    m->w[word] |= bits << shift;
    uint64_t over = shift ? bits >> (64 - shift) : 0;
    if (word < 2) {
        m->w[word + 1] |= over;
    } else {
        /* pixels from 160 on wrap to the left edge */
        m->w[0] |= m->w[2] >> 32 | over << 32;
        m->w[2] &= 0xFFFFFFFFu;
    }
    if (word == 1) {
        m->w[0] |= m->w[2] >> 32;
        m->w[2] &= 0xFFFFFFFFu;
    }
}

A26_FN uint8_t tia_reverse(uint8_t v) {
    v = (uint8_t)((v & 0xF0) >> 4 | (v & 0x0F) << 4);
    v = (uint8_t)((v & 0xCC) >> 2 | (v & 0x33) << 2);
    return (uint8_t)((v & 0xAA) >> 1 | (v & 0x55) << 1);
}

/* Each of 8 bits repeated 2 or 4 times. */
A26_FN uint32_t tia_widen2(uint32_t v) {
    v = (v | v << 4) & 0x0F0Fu;
    v = (v | v << 2) & 0x3333u;
    v = (v | v << 1) & 0x5555u;
    return v * 3u;
}

A26_FN uint32_t tia_widen4(uint32_t v) {
    v = (v | v << 12) & 0x000F000Fu;
    v = (v | v << 6) & 0x03030303u;
    v = (v | v << 3) & 0x11111111u;
    return v * 15u;
}

/* Offsets of the copies 2 and 3 for each NUSIZ, 0 for none. */
A26_FN uint32_t tia_copy(uint32_t size, uint32_t n) {
    /* size:          0  1   2   3           4   5  6           7 */
    uint32_t second = size == 1 || size == 3 ? 16u : size == 2 || size == 6 ? 32u : size == 4 ? 64u : 0u;
    uint32_t third = size == 3 ? 32u : size == 6 ? 64u : 0u;
    return n == 1 ? second : third;
}

A26_FN uint8_t tia_player_graphics(const tia_t *t, int n) {
    uint8_t g = t->vdelp[n] ? t->grp_delayed[n] : t->grp[n];
    return g;
}

A26_SLOW void tia_build_player(tia_t *t, int n) {
    tia_mask_t m = {{0, 0, 0}};
    uint8_t g = tia_player_graphics(t, n);
    uint32_t size = t->nusiz[n] & 7, at = t->pos[n];
    if (g) {
        if (!t->refp[n]) /* bit 7 is leftmost, pixel order is rising bits */
            g = tia_reverse(g);
        if (size == 5 || size == 7) {
            if (!t->suppressed[n])
                tia_mask_put(&m, at + 1, size == 5 ? tia_widen2(g) : tia_widen4(g));
        } else {
            uint32_t second = tia_copy(size, 1), third = tia_copy(size, 2);
            if (!t->suppressed[n])
                tia_mask_put(&m, at, g);
            if (second)
                tia_mask_put(&m, at + second, g);
            if (third)
                tia_mask_put(&m, at + third, g);
        }
    }
    t->mask[TIA_P0 + n] = m;
}

A26_FN int tia_missile_on(const tia_t *t, int n) {
    return t->enam[n] && !t->resmp[n] && !(n == 0 && t->m0_hidden);
}

A26_SLOW void tia_build_missile(tia_t *t, int n) {
    tia_mask_t m = {{0, 0, 0}};
    uint32_t size = t->nusiz[n] & 7, at = t->pos[2 + n], width = t->nusiz[n] >> 4 & 3;
    if (n == 0 && t->m0_stretched)
        width |= 1;
    uint64_t bits = (1u << (1u << width)) - 1u;
    uint32_t second = tia_copy(size, 1), third = tia_copy(size, 2);
    tia_mask_put(&m, at, bits);
    if (second)
        tia_mask_put(&m, at + second, bits);
    if (third)
        tia_mask_put(&m, at + third, bits);
    t->mask[TIA_M0 + n] = m;
}

A26_SLOW void tia_build_ball(tia_t *t) {
    tia_mask_t m = {{0, 0, 0}};
    tia_mask_put(&m, t->pos[TIA_BL], (1u << (1u << (t->ctrlpf >> 4 & 3))) - 1u);
    t->mask[TIA_BL] = m;
}

A26_SLOW void tia_build_playfield(tia_t *t) {
    /* 20 bits from left to right: PF0 bits 4..7, PF1 bits 7..0, PF2 bits 0..7 */
    uint32_t bits = (uint32_t)t->pf[0] >> 4 | (uint32_t)tia_reverse(t->pf[1]) << 4 | (uint32_t)t->pf[2] << 12;
    uint64_t left = (uint64_t)tia_widen4(bits & 255) | (uint64_t)tia_widen4(bits >> 8 & 255) << 32;
    uint64_t left_end = tia_widen4(bits >> 16) & 0xFFFFu; /* pixels 64..79 */
    uint32_t right = bits;
    if (t->reflected) {
        right = 0;
        for (int k = 0; k < 20; k++)
            right |= (bits >> k & 1u) << (19 - k);
    }
    uint64_t r0 = tia_widen4(right & 255), r1 = tia_widen4(right >> 8 & 255), r2 = tia_widen4(right >> 16) & 0xFFFFu;
    /* right half: pixels 80..159; 80 = 64 + 16 */
    uint64_t low = r0 | r1 << 32;
    t->mask[TIA_PF].w[0] = left;
    t->mask[TIA_PF].w[1] = left_end | low << 16;
    t->mask[TIA_PF].w[2] = low >> 48 | r2 << 16;
}

/* Objects that could show a pixel somewhere: bit per object. */
A26_FN uint32_t tia_enabled(const tia_t *t) {
    return (uint32_t)(tia_player_graphics(t, 0) != 0) << TIA_P0
         | (uint32_t)(tia_player_graphics(t, 1) != 0) << TIA_P1
         | (uint32_t)tia_missile_on(t, 0) << TIA_M0
         | (uint32_t)tia_missile_on(t, 1) << TIA_M1
         | (uint32_t)((t->vdelbl ? t->enabl_delayed : t->enabl) != 0) << TIA_BL
         | (uint32_t)((t->pf[0] | t->pf[1] | t->pf[2]) != 0) << TIA_PF;
}

A26_FN void tia_build(tia_t *t, uint32_t wanted) {
    uint32_t stale = t->dirty & wanted;
    if (A26_LIKELY(!stale))
        return;
    if (stale & 1u << TIA_P0)
        tia_build_player(t, 0);
    if (stale & 1u << TIA_P1)
        tia_build_player(t, 1);
    if (stale & 1u << TIA_M0)
        tia_build_missile(t, 0);
    if (stale & 1u << TIA_M1)
        tia_build_missile(t, 1);
    if (stale & 1u << TIA_BL)
        tia_build_ball(t);
    if (stale & 1u << TIA_PF)
        tia_build_playfield(t);
    t->dirty &= (uint8_t)~stale;
}

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
    }
    if (t->hmove_blank && end > 7)
        t->hmove_blank = 0;
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

/* ---- registers ------------------------------------------------------------------------------- */

A26_FN int32_t tia_line_clock(int32_t clock) { return clock % TIA_LINE_CLOCKS; }

A26_FN void tia_move(tia_t *t, int n, int32_t by) {
    int32_t p = t->pos[n] + by;
    t->pos[n] = (uint8_t)(p < 0 ? p + TIA_WIDTH : p >= TIA_WIDTH ? p - TIA_WIDTH : p);
}

/* Pixels to the right that HMOVE at cycle x of the line gives to motion nibble n. */
A26_FN int32_t tia_motion(uint32_t x, uint32_t nibble) {
    A26_TABLE int8_t at_least[21] = {-9, -9, -9, -9, -6, -5, -5, -4, -3, -2, -2, -1, 0, 1, 1, 2, 3, 4, 4, 5, 6};
    A26_TABLE int8_t shifted[20] = {6, 5, 4, 4, 3, 2, 1, 1, 0, -1, -2, -2, -3, -4, -5, -5, -6, -7, -8, -8};
    int32_t wish = nibble < 8 ? -(int32_t)nibble : 16 - (int32_t)nibble;
    if (x <= 20)
        return wish > at_least[x] ? wish : at_least[x];
    if (x < 55)
        return 0;
    if (x < 75)
        return wish + shifted[x - 55] < 0 ? wish + shifted[x - 55] : 0;
    return wish;
}

A26_SLOW void tia_write_hmove(tia_t *t, int32_t clock, uint8_t *screen) {
    tia_catch_up(t, clock, screen);
    uint32_t x = (uint32_t)(clock / 3 % 76);
    t->hmove_clock = clock;
    for (int n = 0; n < 5; n++)
        tia_move(t, n, tia_motion(x, t->hm[n]));
    if (x <= 20 || x == 75)
        t->hmove_blank = 1;
    t->suppressed[0] = t->suppressed[1] = 0;
    t->m0_hidden = t->m0_stretched = t->cosmic = 0;
    t->dirty |= 0x1F;
}

A26_SLOW void tia_write_resp(tia_t *t, int n, int32_t clock, uint8_t *screen) {
    int32_t h = tia_line_clock(clock);
    int32_t at = h < TIA_BLANK_CLOCKS ? 3 : (h - TIA_BLANK_CLOCKS + 5) % TIA_WIDTH;
    uint32_t size = t->nusiz[n] & 7;
    int32_t width = size == 5 ? 16 : size == 7 ? 32 : 8;
    int when = 0; /* 1: the strobe falls into a copy's start-up, 2: into its display */
    for (uint32_t k = 0; k < 3; k++) {
        int32_t offset = k ? (int32_t)tia_copy(size, k) : 0;
        if (k && !offset)
            continue;
        int32_t d = (at - t->pos[n] - offset + 2 * TIA_WIDTH) % TIA_WIDTH;
        if (d < 4)
            when = 1;
        else if (d < 4 + width)
            when = 2;
    }
    tia_catch_up(t, when == 2 ? clock + 11 : clock, screen);
    t->pos[n] = (uint8_t)at;
    t->suppressed[n] = when != 1;
    t->dirty |= (uint8_t)(1u << (TIA_P0 + n));
}

/* Where RESM0, RESM1, RESBL at this clock put the object: a few moments after HMOVE are special. */
A26_FN uint8_t tia_reset_position(const tia_t *t, int object, int32_t clock) {
    int32_t h = tia_line_clock(clock), q = clock - t->hmove_clock;
    if (object == TIA_M0 && q == 60 && h == 69)
        return 8;
    if (object == TIA_M1 && q == 9 && h == 18)
        return 3;
    if (object == TIA_BL) {
        if (q == 54 && (h == 60 || h == 69))
            return 10;
        if (q == 9 && h == 18)
            return 3;
        if (q == 21 && h == 30)
            return 6;
        if (q == 18 && h == 27)
            return 5;
    }
    return (uint8_t)(h < TIA_BLANK_CLOCKS ? 2 : (h - TIA_BLANK_CLOCKS + 4) % TIA_WIDTH);
}

A26_SLOW void tia_write_resm(tia_t *t, int n, int32_t clock, uint8_t *screen) {
    tia_catch_up(t, clock + 8, screen);
    t->pos[TIA_M0 + n] = tia_reset_position(t, TIA_M0 + n, clock);
    if (n == 0)
        t->m0_hidden = t->m0_stretched = 0;
    t->dirty |= (uint8_t)(1u << (TIA_M0 + n));
}

A26_SLOW void tia_write_resbl(tia_t *t, int32_t clock, uint8_t *screen) {
    tia_catch_up(t, clock, screen);
    t->pos[TIA_BL] = tia_reset_position(t, TIA_BL, clock);
    t->dirty |= 1u << TIA_BL;
}

A26_SLOW void tia_write_resmp(tia_t *t, int n, uint8_t value, int32_t clock, uint8_t *screen) {
    uint8_t locked = value & 2;
    if (locked == t->resmp[n])
        return;
    tia_catch_up(t, clock, screen);
    if (!locked) {
        uint32_t size = t->nusiz[n] & 7;
        uint32_t middle = size == 5 ? 8 : size == 7 ? 16 : 4;
        t->pos[TIA_M0 + n] = (uint8_t)((t->pos[n] + middle) % TIA_WIDTH);
        if (n == 0)
            t->m0_hidden = t->m0_stretched = 0;
    }
    t->resmp[n] = locked;
    t->dirty |= (uint8_t)(1u << (TIA_M0 + n));
}

A26_SLOW void tia_write_hmm0(tia_t *t, uint8_t nibble, int32_t clock, uint8_t *screen) {
    if (clock == t->hmove_clock + 63 && t->hm[TIA_M0] == 7 && nibble == 6) {
        tia_catch_up(t, clock, screen);
        t->cosmic = 1;
        t->cosmic_step = 0;
    }
    t->hm[TIA_M0] = nibble;
}

/* A register that changes what is shown from clock + delay on. Equal values need nothing. */
#define TIA_CHANGE(field, new_value, delay, objects) \
    do { \
        uint8_t changed_ = (uint8_t)(new_value); \
        if ((field) != changed_) { \
            tia_catch_up(t, clock + (delay), screen); \
            (field) = changed_; \
            t->dirty |= (uint8_t)(objects); \
        } \
    } while (0)

A26_FN void tia_write_nusiz(tia_t *t, int n, uint8_t value, int32_t clock, uint8_t *screen) {
    value &= 0x37;
    if (value == t->nusiz[n] && !t->suppressed[n] && !(n == 0 && (t->m0_hidden | t->m0_stretched)))
        return;
    tia_catch_up(t, clock + 8, screen);
    t->nusiz[n] = value;
    t->suppressed[n] = 0;
    if (n == 0)
        t->m0_hidden = t->m0_stretched = 0;
    t->dirty |= (uint8_t)(1u << (TIA_P0 + n) | 1u << (TIA_M0 + n));
}

A26_FN void tia_write_ctrlpf(tia_t *t, uint8_t value, int32_t clock, uint8_t *screen) {
    int at_once = tia_line_clock(clock) < 147; /* else reflection changes at the end of the line */
    value &= 0x37;
    if (value == t->ctrlpf && !(at_once && t->reflected != (value & 1)))
        return;
    tia_catch_up(t, clock, screen);
    t->ctrlpf = value;
    if (at_once)
        t->reflected = value & 1;
    t->dirty |= 1u << TIA_BL | 1u << TIA_PF;
}

/* Colour clocks from a write to its effect. */
A26_FN int32_t tia_delay(uint32_t reg, int32_t clock) {
    switch (reg) {
    case 0x01: case 0x0B: case 0x0C: case 0x1B: case 0x1C: return 1;
    case 0x04: case 0x05: case 0x12: case 0x13: return 8;
    case 0x0D: case 0x0E: case 0x0F: { /* playfield: by the cycle's phase of 4 */
        uint32_t phase = (uint32_t)clock / 3 & 3;
        return phase == 0 ? 4 : phase == 1 ? 5 : phase == 2 ? 2 : 3;
    }
    default: return 0;
    }
}

A26_FN void tia_write_pf(tia_t *t, int n, uint8_t value, int32_t clock, uint8_t *screen) {
    TIA_CHANGE(t->pf[n], value, tia_delay(0x0D, clock), 1u << TIA_PF);
}

A26_FN void tia_write_grp0(tia_t *t, uint8_t value, int32_t clock, uint8_t *screen) {
    if (value == t->grp[0] && t->grp_delayed[1] == t->grp[1])
        return;
    tia_catch_up(t, clock + 1, screen);
    t->grp[0] = value;
    t->grp_delayed[1] = t->grp[1];
    t->dirty |= 1u << TIA_P0 | 1u << TIA_P1;
}

A26_FN void tia_write_grp1(tia_t *t, uint8_t value, int32_t clock, uint8_t *screen) {
    if (value == t->grp[1] && t->grp_delayed[0] == t->grp[0] && t->enabl_delayed == t->enabl)
        return;
    tia_catch_up(t, clock + 1, screen);
    t->grp[1] = value;
    t->grp_delayed[0] = t->grp[0];
    t->enabl_delayed = t->enabl;
    t->dirty |= 1u << TIA_P0 | 1u << TIA_P1;
}

A26_FN void tia_write_vblank(tia_t *t, uint8_t value, int32_t cycle, uint8_t *screen) {
    int32_t clock = 3 * cycle;
    if (value == t->vblank)
        return;
    tia_catch_up(t, clock + 1, screen);
    if (t->vblank & 0x80 && !(value & 0x80))
        t->dump_release_cycle = cycle;
    t->vblank = value;
}

/* Every write register but VSYNC and WSYNC, which are the console's. */
A26_FN void tia_write(tia_t *t, uint32_t reg, uint8_t value, int32_t cycle, uint8_t *screen) {
    int32_t clock = 3 * cycle;
    switch (reg) {
    case 0x01: tia_write_vblank(t, value, cycle, screen); break;
    case 0x04: tia_write_nusiz(t, 0, value, clock, screen); break;
    case 0x05: tia_write_nusiz(t, 1, value, clock, screen); break;
    case 0x06: TIA_CHANGE(t->colup[0], value & 0xFE, 0, 0); break;
    case 0x07: TIA_CHANGE(t->colup[1], value & 0xFE, 0, 0); break;
    case 0x08: TIA_CHANGE(t->colupf, value & 0xFE, 0, 0); break;
    case 0x09: TIA_CHANGE(t->colubk, value & 0xFE, 0, 0); break;
    case 0x0A: tia_write_ctrlpf(t, value, clock, screen); break;
    case 0x0B: TIA_CHANGE(t->refp[0], value >> 3 & 1, 1, 1u << TIA_P0); break;
    case 0x0C: TIA_CHANGE(t->refp[1], value >> 3 & 1, 1, 1u << TIA_P1); break;
    case 0x0D: tia_write_pf(t, 0, value & 0xF0, clock, screen); break;
    case 0x0E: tia_write_pf(t, 1, value, clock, screen); break;
    case 0x0F: tia_write_pf(t, 2, value, clock, screen); break;
    case 0x10: tia_write_resp(t, 0, clock, screen); break;
    case 0x11: tia_write_resp(t, 1, clock, screen); break;
    case 0x12: tia_write_resm(t, 0, clock, screen); break;
    case 0x13: tia_write_resm(t, 1, clock, screen); break;
    case 0x14: tia_write_resbl(t, clock, screen); break;
    case 0x1B: tia_write_grp0(t, value, clock, screen); break;
    case 0x1C: tia_write_grp1(t, value, clock, screen); break;
    case 0x1D: TIA_CHANGE(t->enam[0], value & 2, 0, 0); break;
    case 0x1E: TIA_CHANGE(t->enam[1], value & 2, 0, 0); break;
    case 0x1F: TIA_CHANGE(t->enabl, value & 2, 0, 0); break;
    case 0x20: t->hm[TIA_P0] = value >> 4; break;
    case 0x21: t->hm[TIA_P1] = value >> 4; break;
    case 0x22: tia_write_hmm0(t, value >> 4, clock, screen); break;
    case 0x23: t->hm[TIA_M1] = value >> 4; break;
    case 0x24: t->hm[TIA_BL] = value >> 4; break;
    case 0x25: TIA_CHANGE(t->vdelp[0], value & 1, 0, 1u << TIA_P0); break;
    case 0x26: TIA_CHANGE(t->vdelp[1], value & 1, 0, 1u << TIA_P1); break;
    case 0x27: TIA_CHANGE(t->vdelbl, value & 1, 0, 0); break;
    case 0x28: tia_write_resmp(t, 0, value, clock, screen); break;
    case 0x29: tia_write_resmp(t, 1, value, clock, screen); break;
    case 0x2A: tia_write_hmove(t, clock, screen); break;
    case 0x2B:
        for (int n = 0; n < 5; n++)
            t->hm[n] = 0;
        break;
    case 0x2C:
        tia_catch_up(t, clock, screen);
        t->collisions = 0;
        break;
    default: break; /* RSYNC, audio and the rest do nothing here */
    }
}

/* ---- reads ----------------------------------------------------------------------------------- */

A26_FN uint8_t tia_read_paddle(const tia_t *t, int n, int32_t cycle, int32_t frame_start_cycle) {
    uint32_t charge = t->paddle_cycles[n];
    if (charge == TIA_PADDLE_SHORTED)
        return 0x80;
    if (charge == TIA_PADDLE_OPEN || t->vblank & 0x80)
        return 0;
    /* unsigned: a release in an earlier frame lies below zero and may wrap, as in the oracle */
    uint32_t now = (uint32_t)(cycle - frame_start_cycle);
    uint32_t due = (uint32_t)(t->dump_release_cycle - frame_start_cycle) + charge;
    return now > due ? 0x80 : 0;
}

A26_FN uint8_t tia_read(tia_t *t, uint32_t reg, uint8_t noise, int32_t cycle, int32_t frame_start, uint8_t *screen) {
    uint8_t driven = 0;
    if (reg < 8) {
        tia_catch_up(t, 3 * cycle, screen);
        uint32_t two = (uint32_t)t->collisions >> (2 * reg) & 3;
        if (reg == 6) /* one latch, BL-PF */
            two &= 1;
        else if (reg == 7)
            two = (uint32_t)t->collisions >> 13 & 3;
        driven = (uint8_t)((two & 1) << 7 | (two & 2) << 5);
    } else if (reg < 12) {
        driven = tia_read_paddle(t, (int)reg - 8, cycle, frame_start);
    } else if (reg < 14) {
        driven = t->fire[reg - 12];
    }
    return driven | (noise & 0x3F);
}

/* All registers as after a system reset. */
A26_FN void tia_reset(tia_t *t) {
    tia_t blank = {0};
    for (int n = 0; n < 4; n++)
        blank.paddle_cycles[n] = t->paddle_cycles[n];
    blank.fire[0] = t->fire[0];
    blank.fire[1] = t->fire[1];
    blank.dirty = 0x3F;
    blank.last_clock = TIA_WINDOW_BEGIN_CLOCKS;
    blank.vsync_finish_clock = TIA_NEVER_CLOCKS;
    *t = blank;
}

#endif
