/* A loop summary: Pong's display kernel ($F5E0), the ROM's drawing loop, in closed form.
 *
 * The kernel has 91 iterations of two lines, most of which change nothing. Only those run that
 * change the picture or can make two objects touch. Only this file and the table of summaries in
 * translate/rom_to_c.py know of it; without them the translation runs every iteration, with the
 * same result.
 *
 * One iteration, for X = 38, 40, .., 218 at its head (zero-page names are RAM addresses):
 *
 *   GRP1 := X in rows of $B3      ENAM0 := X in rows of $B4        PF0-2 := tables at (X + 1) / 8
 *   X += 2, WSYNC                 GRP0  := X in rows of $B2        ENABL := X in rows of $B6
 *   ENAM1 := X in rows of $B5     $84 := X unless paddle $80 is charged, $85 likewise
 *
 * where "in rows of p" is ((X - p) AND size) = 0, with sizes $A6, $A7, $A5, $FC and $A8.
 *
 *   A2600_SUMMARY_PONG_KERNEL  the code at the loop's head, in the translation
 *   pong_plan, pong_next, pong_skip: which iterations run, the next one, and the state in between
 */
#ifndef A26_PONG_DISPLAY_KERNEL_H
#define A26_PONG_DISPLAY_KERNEL_H

#include "console/translated_rom.h"

/* Bits of the translation's `summaries`. */
#define PONG_SUMMARY_KERNEL 1u

#define PONG_ITERATIONS 91
#define PONG_FIRST_X 38
#define PONG_ITERATION_CYCLES 152
#define PONG_HEAD_CYCLES 39        /* phase of the loop's head in its line, paddle charged */
#define PONG_UNCHARGED_CYCLES 2    /* storing X takes so much longer */
#define PONG_PADDLE_READ_CYCLES 23 /* after the WSYNC */

#define PONG_PLAYFIELD_LATCHES \
    (1u << 4 | 1u << 6 | 1u << 8 | 1u << 10 | 1u << 12) /* of TIA_LATCHES: those with PF */

typedef struct {
    uint64_t run[2]; /* bit per iteration that has to run */
} pong_plan_t;

A26_FN uint8_t pong_ram(const a2600_t *s, uint32_t address) { return s->ram[address - 0x80]; }

/* True if iteration k >= 0 enables the object. Before iteration 0 the registers decide. */
A26_FN int pong_rows(uint32_t x, uint8_t at, uint8_t size) { return ((x - at) & size) == 0; }
A26_FN int pong_p1(const a2600_t *s, int32_t k) {
    return pong_rows(PONG_FIRST_X + 2u * (uint32_t)k, pong_ram(s, 0xB3), pong_ram(s, 0xA6));
}
A26_FN int pong_m0(const a2600_t *s, int32_t k) {
    return pong_rows(PONG_FIRST_X + 2u * (uint32_t)k, pong_ram(s, 0xB4), pong_ram(s, 0xA7));
}
A26_FN int pong_p0(const a2600_t *s, int32_t k) {
    return pong_rows(PONG_FIRST_X + 2 + 2u * (uint32_t)k, pong_ram(s, 0xB2), pong_ram(s, 0xA5));
}
A26_FN int pong_bl(const a2600_t *s, int32_t k) {
    return pong_rows(PONG_FIRST_X + 2 + 2u * (uint32_t)k, pong_ram(s, 0xB6), 0xFC);
}
A26_FN int pong_m1(const a2600_t *s, int32_t k) {
    return pong_rows(PONG_FIRST_X + 2 + 2u * (uint32_t)k, pong_ram(s, 0xB5), pong_ram(s, 0xA8));
}

/* ---- sets of the 91 iterations ------------------------------------------------------------------
 */
typedef struct {
    uint64_t w[2];
} pong_set_t;

/* [begin, end), cut to 0..90. */
A26_FN pong_set_t pong_range(int32_t begin, int32_t end) {
    pong_set_t set;
    begin = begin < 0 ? 0 : begin;
    end = end > PONG_ITERATIONS ? PONG_ITERATIONS : end;
    for (int32_t k = 0; k < 2; k++) {
        int32_t from = begin - 64 * k, upto = end - 64 * k;
        from = from < 0 ? 0 : from;
        upto = upto > 64 ? 64 : upto;
        set.w[k] =
            from >= upto ? 0 : (upto - from == 64 ? ~0ull : (1ull << (upto - from)) - 1ull) << from;
    }
    return set;
}

A26_FN pong_set_t pong_or(pong_set_t a, pong_set_t b) {
    a.w[0] |= b.w[0];
    a.w[1] |= b.w[1];
    return a;
}

A26_FN pong_set_t pong_and(pong_set_t a, pong_set_t b) {
    a.w[0] &= b.w[0];
    a.w[1] &= b.w[1];
    return a;
}

/* Each iteration `by` later, 0 < by < 64. */
A26_FN pong_set_t pong_later(pong_set_t a, uint32_t by) {
    a.w[1] = (a.w[1] << by | a.w[0] >> (64 - by)) & ((1ull << (PONG_ITERATIONS - 64)) - 1ull);
    a.w[0] <<= by;
    return a;
}

/* Iterations whose X (plus 2 if `after`) is in the rows [at, at + rows) modulo 256. rows is a power
 * of 2, given as the size mask 256 - rows. X is even, `at` may be odd. */
A26_FN pong_set_t pong_on(uint8_t at, uint8_t size, int32_t after) {
    int32_t rows = 256 - size, first = PONG_FIRST_X + 2 * after;
    pong_set_t set = pong_range((at - first + 1) >> 1, (at + rows - first + 1) >> 1);
    if (at + rows > 256) /* wrapped around to the top */
        set = pong_or(set,
                      pong_range((at - 256 - first + 1) >> 1, (at + rows - 256 - first + 1) >> 1));
    return set;
}

/* The size mask of the shortest interval that holds the rows of `size`: its leading ones. */
A26_FN uint8_t pong_hull(uint8_t size) {
    uint32_t zeros = (uint8_t)~size;
    zeros |= zeros >> 1;
    zeros |= zeros >> 2;
    zeros |= zeros >> 4;
    return (uint8_t)~zeros;
}

A26_FN uint32_t pong_pointer(const a2600_t *s, uint32_t at) {
    return (uint32_t)pong_ram(s, at) | (uint32_t)pong_ram(s, at + 1) << 8;
}

A26_FN uint32_t pong_field_row(int32_t k) { return (uint32_t)(PONG_FIRST_X + 1 + 2 * k) >> 3; }

/* True if all rows of a playfield table are in the ROM: beyond its end is the TIA. */
A26_FN int pong_field_in_rom(const a2600_t *s, uint32_t at) {
    uint32_t pointer = pong_pointer(s, at);
    return pointer & 0x1000
           && (pointer & 0xFFF) + pong_field_row(PONG_ITERATIONS - 1) < A26_ROM_BYTES;
}

/* Bit i of `rows` becomes iteration 4 i - 3, the first of four that read row i + 4 of the
 * tables. */
A26_FN pong_set_t pong_row_starts(uint32_t rows) {
    uint64_t low = tia_spread4(rows & 255) | (uint64_t)tia_spread4(rows >> 8 & 255) << 32;
    uint64_t high = tia_spread4(rows >> 16);
    const pong_set_t starts = {{low >> 3 | high << 61, high >> 3}};
    return starts;
}

/* Rows 4 + 8 k to 11 + 8 k of a playfield table, a byte each; or the rows `back` above them. */
A26_FN uint64_t pong_field_rows(const uint8_t *rom, uint32_t pointer, uint32_t k, uint32_t back) {
    uint64_t rows;
    A26_COPY(&rows, rom + (pointer & 0xFFF) + pong_field_row(0) + 8 * k - back, 8);
    return rows;
}

/* Bit i is set if byte i is not 0. */
A26_FN uint32_t pong_bytes_set(uint64_t bytes) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7Full;
    uint64_t tops = (((bytes & low) + low) | bytes) & ~low;
    return (uint32_t)((tops >> 7) * 0x0102040810204080ull >> 56);
}

/* A bit per row of the playfield, from the first that the kernel reads on: it shows something, or,
 * with `changes`, something else than the row above. */
A26_FN uint32_t pong_field_bits(const a2600_t *s, const uint8_t *rom, int changes) {
    const uint64_t pf0_bits = 0xF0F0F0F0F0F0F0F0ull;
    uint32_t pf0 = pong_pointer(s, 0x9B), pf1 = pong_pointer(s, 0x9D), pf2 = pong_pointer(s, 0x9F),
             found = 0;
    for (uint32_t k = 0; k < 3; k++) {
        uint64_t a = pong_field_rows(rom, pf0, k, 0) & pf0_bits;
        uint64_t b = pong_field_rows(rom, pf1, k, 0), c = pong_field_rows(rom, pf2, k, 0);
        if (changes) {
            uint64_t above_a = pong_field_rows(rom, pf0, k, 1) & pf0_bits;
            uint64_t above_b = pong_field_rows(rom, pf1, k, 1),
                     above_c = pong_field_rows(rom, pf2, k, 1);
            if (k == 0) { /* above the first row: what the registers hold */
                above_a = (above_a & ~255ull) | s->tia.pf[0];
                above_b = (above_b & ~255ull) | s->tia.pf[1];
                above_c = (above_c & ~255ull) | s->tia.pf[2];
            }
            a ^= above_a;
            b ^= above_b;
            c ^= above_c;
        }
        found |= pong_bytes_set(a | b | c) << 8 * k;
    }
    return found;
}

/* Iterations that change the playfield, if it is drawn; else those in which it is on. */
A26_FN pong_set_t pong_playfield(const a2600_t *s, const uint8_t *rom, int draw) {
    uint32_t rows = pong_field_bits(s, rom, draw);
    pong_set_t set = pong_row_starts(rows);
    if (!draw) { /* all four iterations of a row */
        set = pong_row_starts(rows & ~1u);
        set = pong_or(set, pong_later(set, 1));
        set = pong_or(set, pong_later(set, 2));
    }
    set.w[0] |= rows & 1; /* the kernel has only the last iteration of the first row */
    return set;
}

A26_FN pong_plan_t pong_run_all(void) {
    const pong_plan_t all = {{~0ull, ~0ull}};
    return all;
}

/* True if the registers that the kernel writes are all 0, as its caller leaves them. */
A26_FN int pong_clear(const tia_t *t) {
    return !(t->enabled | t->grp[0] | t->grp[1] | t->grp_delayed[0] | t->grp_delayed[1] | t->enam[0]
             | t->enam[1] | t->enabl | t->enabl_delayed | t->pf[0] | t->pf[1] | t->pf[2]);
}

/* What the closed form assumes: the paddle's input is charged at most once, nothing is blanked,
 * subtraction is binary, and the playfield's pointers lead into the ROM. */
A26_FN int pong_foreseen(const a2600_t *s) {
    const tia_t *t = &s->tia;
    uint8_t paddle = pong_ram(s, 0x80);
    return paddle <= 1 && t->paddle_cycles[2 + paddle] == TIA_PADDLE_SHORTED
           && t->paddle_cycles[paddle] < TIA_PADDLE_OPEN && !t->vblank && !s->cpu.d
           && !(t->pending & TIA_COSMIC) /* moves a missile at the end of each line */
           && s->cycle
                  >= TIA_FIRST_LINE * A2600_LINE_CYCLES /* ends of lines have no effect above */
           && pong_field_in_rom(s, 0x9B) && pong_field_in_rom(s, 0x9D)
           && pong_field_in_rom(s, 0x9F);
}

/* Iterations in which each object may be on. A missile locked to its player never is. */
A26_FN void pong_objects(const a2600_t *s, pong_set_t *on) {
    const pong_set_t never = {{0, 0}};
    const uint8_t *locked = s->tia.resmp;
    on[TIA_P0] = pong_on(pong_ram(s, 0xB2), pong_hull(pong_ram(s, 0xA5)), 1);
    on[TIA_P1] = pong_on(pong_ram(s, 0xB3), pong_hull(pong_ram(s, 0xA6)), 0);
    on[TIA_M0] = locked[0] ? never : pong_on(pong_ram(s, 0xB4), pong_hull(pong_ram(s, 0xA7)), 0);
    on[TIA_M1] = locked[1] ? never : pong_on(pong_ram(s, 0xB5), pong_hull(pong_ram(s, 0xA8)), 1);
    on[TIA_BL] = pong_on(pong_ram(s, 0xB6), 0xFC, 1);
}

/* With a picture: iterations that change a register, and the ones after in which its delayed copy
 * changes, if the copy is shown. on[TIA_PF]: iterations that change the playfield. */
A26_FN pong_set_t pong_run_drawn(const a2600_t *s, const pong_set_t *on) {
    const tia_t *t = &s->tia;
    const uint8_t delays[TIA_PF] = {t->vdelp[0], t->vdelp[1], 0, 0, t->vdelbl};
    pong_set_t changes = on[TIA_PF];
    A26_TABLE uint8_t sizes[4] = {0xA5, 0xA6, 0xA7, 0xA8};
    for (int o = 0; o < TIA_PF; o++) {
        pong_set_t was = pong_later(on[o], 1);
        int gaps = o < TIA_BL && pong_hull(pong_ram(s, sizes[o])) != pong_ram(s, sizes[o]);
        if (gaps) { /* any of its rows may change */
            was = pong_or(was, on[o]);
        } else {
            was.w[0] ^= on[o].w[0];
            was.w[1] ^= on[o].w[1];
        }
        changes = pong_or(changes, was);
        if (delays[o]) changes = pong_or(changes, pong_later(was, 1));
    }
    return changes;
}

/* Without a picture: iterations in which two objects that may still collide, and share a pixel
 * column, are on together. With delays an object stays on for two more iterations. Players are
 * taken with all pixels that they could have, and the playfield, which changes on the way, with
 * every pixel. */
A26_FN pong_set_t pong_run_undrawn(tia_t *t, pong_set_t *on) {
    const tia_mask_t line = {{~0ull, ~0ull, ~0ull}};
    pong_set_t run = {{0, 0}}, both[15];
    uint32_t open = 0, wanted = 0;
    for (int o = 0; o < TIA_OBJECTS; o++)
        on[o] = pong_or(on[o], pong_or(pong_later(on[o], 1), pong_later(on[o], 2)));
#define X(with, bit, a, b) \
    both[bit] = pong_and(on[TIA_##a], on[TIA_##b]); \
    if (both[bit].w[0] | both[bit].w[1] && !(t->collisions >> bit & 1)) { \
        open |= 1u << bit; \
        wanted |= 1u << TIA_##a | 1u << TIA_##b; \
    }
    TIA_LATCHES(X, 0)
#undef X
    if (!open) return run;
    tia_build(t, wanted & (1u << TIA_M0 | 1u << TIA_M1 | 1u << TIA_BL));
    if (t->dirty & 3u * TIA_STALE_COVER) tia_build_covers(t);
    open = (open & PONG_PLAYFIELD_LATCHES)
           | tia_collide(t, t->cover, open & ~PONG_PLAYFIELD_LATCHES, &line);
    for (uint32_t bit = 0; bit < 15; bit++)
        if (open >> bit & 1) run = pong_or(run, both[bit]);
    return run;
}

/* Which iterations have to run. Always among them: the first, which finds the line's phase, and the
 * last, which leaves the CPU's registers. */
A26_SLOW pong_plan_t pong_plan(a2600_t *s, const uint8_t *rom, int draw) {
    if (!pong_foreseen(s)) return pong_run_all();
    pong_set_t on[TIA_OBJECTS];
    on[TIA_PF] = pong_playfield(s, rom, draw);
    pong_objects(s, on);
    /* what the registers held before the kernel is gone after three iterations */
    pong_set_t run = pong_range(0, pong_clear(&s->tia) ? 1 : 3);
    run = pong_or(run, pong_range(PONG_ITERATIONS - 1, PONG_ITERATIONS));
    run = pong_or(run, draw ? pong_run_drawn(s, on) : pong_run_undrawn(&s->tia, on));
    const pong_plan_t plan = {{run.w[0], run.w[1]}};
    return plan;
}

/* The first iteration from k on that runs. The last one does. */
A26_FN uint32_t pong_next(const pong_plan_t *plan, uint32_t k) {
    uint64_t here = plan->run[k >> 6] >> (k & 63);
    return here ? k + a26_lowest_bit(here) : 64 + a26_lowest_bit(plan->run[1]);
}

/* How many of `reads` reads, one per iteration and the first at `cycle`, find the paddle
 * uncharged. */
A26_FN uint32_t pong_uncharged_reads(const a2600_t *s, int32_t cycle, uint32_t reads) {
    uint8_t paddle = pong_ram(s, 0x80);
    if (tia_read_paddle(&s->tia, paddle, cycle, s->frame_start_cycle))
        return 0; /* it stays charged */
    uint32_t left =
        (uint32_t)s->tia.dump_release_cycle - (uint32_t)cycle + s->tia.paddle_cycles[paddle];
    return left / PONG_ITERATION_CYCLES < reads ? left / PONG_ITERATION_CYCLES + 1 : reads;
}

/* True if no end of a line would change anything. With a picture it does not matter: skipped lines
 * are evaluated like any others. */
A26_FN int pong_settled(tia_t *t, int32_t cycle, tia_picture_t *picture) {
    if (!picture) tia_catch_up(t, 3 * cycle, 0);
    return picture || !t->pending;
}

/* Skip iterations i..j-1; returns the cycle at the head of iteration j. */
A26_SLOW int32_t pong_skip(a2600_t *s, const uint8_t *rom, uint32_t i, uint32_t j, int32_t cycle,
                           int draw) {
    tia_t *t = &s->tia;
    int32_t line = cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
    uint32_t reads =
        pong_uncharged_reads(s, line + PONG_ITERATION_CYCLES + PONG_PADDLE_READ_CYCLES, j - i);
    int uncharged = reads == j - i; /* at the last of them */
    if (reads) s->ram[0x04] = (uint8_t)(PONG_FIRST_X + 2 * (i + reads));
    cycle = line + PONG_ITERATION_CYCLES * (int32_t)(j - i) + PONG_HEAD_CYCLES
            + (uncharged ? PONG_UNCHARGED_CYCLES : 0);
    int32_t last = (int32_t)j - 1;
    t->enam[0] = pong_m0(s, last) ? 2 : 0;
    t->enam[1] = pong_m1(s, last) ? 2 : 0;
    if (draw) { /* what is shown stays; delayed copies catch up */
        t->grp_delayed[0] = t->grp[0];
        t->grp_delayed[1] = t->grp[1];
        t->enabl_delayed = t->enabl;
        tia_update_enabled(t, 1u << TIA_M0 | 1u << TIA_M1);
    } else {
        uint32_t y = pong_field_row(last);
        t->grp[0] = pong_p0(s, last) ? 0xF0 : 0;
        t->grp[1] = pong_p1(s, last) ? 0xF0 : 0;
        t->grp_delayed[1] = t->grp[1]; /* by the GRP0 write of the same iteration */
        t->grp_delayed[0] = pong_p0(s, last - 1) ? 0xF0 : 0; /* by its GRP1 write, before */
        t->enabl = pong_bl(s, last) ? 2 : 0;
        t->enabl_delayed = pong_bl(s, last - 1) ? 2 : 0;
        t->pf[0] = rom[(pong_pointer(s, 0x9B) + y) & 0xFFF] & 0xF0;
        t->pf[1] = rom[(pong_pointer(s, 0x9D) + y) & 0xFFF];
        t->pf[2] = rom[(pong_pointer(s, 0x9F) + y) & 0xFFF];
        t->dirty |= 1u << TIA_P0 | 1u << TIA_P1 | 1u << TIA_PF;
        tia_update_enabled(t, 0x3F);
        if (t->last_clock < 3 * cycle)
            t->last_clock = 3 * cycle > TIA_WINDOW_END_CLOCKS ? TIA_WINDOW_END_CLOCKS : 3 * cycle;
    }
    return cycle;
}

/* The code at the loop's head. */
#define A2600_SUMMARY_PONG_KERNEL \
    { \
        uint32_t k_ = (uint8_t)(r.x - PONG_FIRST_X) >> 1; \
        if (r.x == PONG_FIRST_X) { \
            s->cpu.d = r.d; \
            s->cycle = cycle; \
            plan = summaries & PONG_SUMMARY_KERNEL ? pong_plan(s, rom, picture != 0) \
                                                   : pong_run_all(); \
        } \
        if (k_ < PONG_ITERATIONS && !(plan.run[k_ >> 6] >> (k_ & 63) & 1) \
            && (uint32_t)(cycle % A2600_LINE_CYCLES - PONG_HEAD_CYCLES) <= PONG_UNCHARGED_CYCLES \
            && pong_settled(&s->tia, cycle, picture)) { \
            uint32_t j_ = pong_next(&plan, k_); \
            cycle = pong_skip(s, rom, k_, j_, cycle, picture != 0); \
            A2600_CHECK_LIMIT \
            r.x = (uint8_t)(PONG_FIRST_X + 2 * j_); \
        } \
    }

#endif
