/* TIA: its registers. A write that changes what is shown first catches up the picture and the
 * collisions to its moment (console/tia_catch_up.h). A write of the same value does nothing.
 *
 *   tia_write(t, reg, value, cycle, picture)  registers $00..$2C but VSYNC and WSYNC
 *   tia_read(t, reg, noise, cycle, ..)        registers $00..$0D: collisions, paddles, buttons
 *   tia_reset(t)                              the state after a system reset
 *
 * HMOVE and position resets: console/tia_hmove.h. */
#ifndef TIA_REGISTERS_H
#define TIA_REGISTERS_H

#include "console/tia_hmove.h"

A26_FN void tia_write(tia_t *t, uint32_t reg, uint8_t value, int32_t cycle, tia_picture_t *picture);
A26_FN uint8_t tia_read(tia_t *t, uint32_t reg, uint8_t noise, int32_t cycle, int32_t frame_start,
                        tia_picture_t *picture);
A26_FN void tia_reset(tia_t *t);

/* ---- writes ---------------------------------------------------------------------------------- */

/* Set a field that changes what is shown from clock + delay on. `moved`: objects whose masks become
 * stale. `switched`: objects that it may enable or disable. */
#define TIA_CHANGE(field, new_value, delay, moved, switched) \
    do { \
        uint8_t changed_ = (uint8_t)(new_value); \
        if ((field) != changed_) { \
            tia_catch_up(t, clock + (delay), picture); \
            (field) = changed_; \
            t->dirty |= (uint8_t)(moved); \
            tia_update_enabled(t, (switched)); \
        } \
    } while (0)

A26_SLOW void tia_write_nusiz(tia_t *t, int n, uint8_t value, int32_t clock,
                              tia_picture_t *picture) {
    value &= 0x37;
    /* An equal value also ends the stretched or hidden state of missile 0. In the Cosmic Ark state
     * it may be in one: that is known only after the ends of lines up to here are evaluated. */
    if (value == t->nusiz[n] && !(t->pending & TIA_SUPPRESSED << n)
        && !(n == 0 && t->pending & TIA_COSMIC))
        return;
    tia_catch_up(t, clock + 8, picture);
    t->nusiz[n] = value;
    t->pending &= (uint8_t) ~(TIA_SUPPRESSED << n);
    if (n == 0) tia_show_m0(t);
    t->dirty |= (uint8_t)(1u << (TIA_P0 + n) | 1u << (TIA_M0 + n) | TIA_STALE_COVER << n);
}

A26_SLOW void tia_write_ctrlpf(tia_t *t, uint8_t value, int32_t clock, tia_picture_t *picture) {
    int at_once = tia_line_clock(clock) < 147; /* else reflection changes at the end of the line */
    value &= 0x37;
    if (value == t->ctrlpf && !(at_once && t->reflected != (value & 1))) return;
    tia_catch_up(t, clock, picture);
    t->ctrlpf = value;
    if (at_once) t->reflected = value & 1;
    t->pending &= (uint8_t)~TIA_REFLECTION;
    t->pending |= t->reflected != (value & 1) ? TIA_REFLECTION : 0;
    t->dirty |= 1u << TIA_BL | 1u << TIA_PF;
}

/* Colour clocks from a write to its effect. */
A26_FN int32_t tia_delay(uint32_t reg, int32_t cycle) {
    switch (reg) {
    case 0x01:
    case 0x0B:
    case 0x0C:
    case 0x1B:
    case 0x1C: return 1;
    case 0x04:
    case 0x05:
    case 0x12:
    case 0x13: return 8;
    case 0x0D:
    case 0x0E:
    case 0x0F: { /* playfield: by the cycle's phase of 4 */
        uint32_t phase = (uint32_t)cycle & 3;
        return phase == 0 ? 4 : phase == 1 ? 5 : phase == 2 ? 2 : 3;
    }
    default: return 0;
    }
}

A26_FN void tia_write_pf(tia_t *t, int n, uint8_t value, int32_t cycle, tia_picture_t *picture) {
    int32_t clock = 3 * cycle;
    TIA_CHANGE(t->pf[n], value, tia_delay(0x0D, cycle), 1u << TIA_PF, 1u << TIA_PF);
}

A26_FN void tia_write_grp0(tia_t *t, uint8_t value, int32_t clock, tia_picture_t *picture) {
    if (value == t->grp[0] && t->grp_delayed[1] == t->grp[1]) return;
    tia_catch_up(t, clock + 1, picture);
    t->grp[0] = value;
    t->grp_delayed[1] = t->grp[1];
    t->dirty |= 1u << TIA_P0 | 1u << TIA_P1;
    tia_update_enabled(t, 1u << TIA_P0 | 1u << TIA_P1);
}

A26_FN void tia_write_grp1(tia_t *t, uint8_t value, int32_t clock, tia_picture_t *picture) {
    if (value == t->grp[1] && t->grp_delayed[0] == t->grp[0] && t->enabl_delayed == t->enabl)
        return;
    tia_catch_up(t, clock + 1, picture);
    t->grp[1] = value;
    t->grp_delayed[0] = t->grp[0];
    t->enabl_delayed = t->enabl;
    t->dirty |= 1u << TIA_P0 | 1u << TIA_P1;
    tia_update_enabled(t, 1u << TIA_P0 | 1u << TIA_P1 | 1u << TIA_BL);
}

A26_SLOW void tia_write_vblank(tia_t *t, uint8_t value, int32_t cycle, tia_picture_t *picture) {
    int32_t clock = 3 * cycle;
    if (value == t->vblank) return;
    tia_catch_up(t, clock + 1, picture);
    if (t->vblank & 0x80 && !(value & 0x80)) t->dump_release_cycle = cycle;
    t->vblank = value;
}

/* The console itself handles VSYNC and WSYNC. */
A26_FN void tia_write(tia_t *t, uint32_t reg, uint8_t value, int32_t cycle,
                      tia_picture_t *picture) {
    int32_t clock = 3 * cycle;
    switch (reg) {
    case 0x01: tia_write_vblank(t, value, cycle, picture); break;
    case 0x04: tia_write_nusiz(t, 0, value, clock, picture); break;
    case 0x05: tia_write_nusiz(t, 1, value, clock, picture); break;
    case 0x06: TIA_CHANGE(t->colup[0], value & 0xFE, 0, 0, 0); break;
    case 0x07: TIA_CHANGE(t->colup[1], value & 0xFE, 0, 0, 0); break;
    case 0x08: TIA_CHANGE(t->colupf, value & 0xFE, 0, 0, 0); break;
    case 0x09: TIA_CHANGE(t->colubk, value & 0xFE, 0, 0, 0); break;
    case 0x0A: tia_write_ctrlpf(t, value, clock, picture); break;
    case 0x0B: TIA_CHANGE(t->refp[0], value >> 3 & 1, 1, 1u << TIA_P0, 0); break;
    case 0x0C: TIA_CHANGE(t->refp[1], value >> 3 & 1, 1, 1u << TIA_P1, 0); break;
    case 0x0D: tia_write_pf(t, 0, value & 0xF0, cycle, picture); break;
    case 0x0E: tia_write_pf(t, 1, value, cycle, picture); break;
    case 0x0F: tia_write_pf(t, 2, value, cycle, picture); break;
    case 0x10: tia_write_resp(t, 0, clock, picture); break;
    case 0x11: tia_write_resp(t, 1, clock, picture); break;
    case 0x12: tia_write_resm(t, 0, clock, picture); break;
    case 0x13: tia_write_resm(t, 1, clock, picture); break;
    case 0x14: tia_write_resbl(t, clock, picture); break;
    case 0x1B: tia_write_grp0(t, value, clock, picture); break;
    case 0x1C: tia_write_grp1(t, value, clock, picture); break;
    case 0x1D: TIA_CHANGE(t->enam[0], value & 2, 0, 0, 1u << TIA_M0); break;
    case 0x1E: TIA_CHANGE(t->enam[1], value & 2, 0, 0, 1u << TIA_M1); break;
    case 0x1F: TIA_CHANGE(t->enabl, value & 2, 0, 0, 1u << TIA_BL); break;
    case 0x20: t->hm[TIA_P0] = value >> 4; break;
    case 0x21: t->hm[TIA_P1] = value >> 4; break;
    case 0x22: tia_write_hmm0(t, value >> 4, clock, picture); break;
    case 0x23: t->hm[TIA_M1] = value >> 4; break;
    case 0x24: t->hm[TIA_BL] = value >> 4; break;
    case 0x25: TIA_CHANGE(t->vdelp[0], value & 1, 0, 1u << TIA_P0, 1u << TIA_P0); break;
    case 0x26: TIA_CHANGE(t->vdelp[1], value & 1, 0, 1u << TIA_P1, 1u << TIA_P1); break;
    case 0x27: TIA_CHANGE(t->vdelbl, value & 1, 0, 0, 1u << TIA_BL); break;
    case 0x28: tia_write_resmp(t, 0, value, clock, picture); break;
    case 0x29: tia_write_resmp(t, 1, value, clock, picture); break;
    case 0x2A: tia_write_hmove(t, clock, picture); break;
    case 0x2B:
        for (int n = 0; n < 5; n++) t->hm[n] = 0;
        break;
    case 0x2C:
        tia_catch_up(t, clock, picture);
        t->collisions = 0;
        break;
    default: break; /* RSYNC, audio and the rest do nothing here */
    }
}

/* ---- reads ----------------------------------------------------------------------------------- */

A26_FN uint8_t tia_read_paddle(const tia_t *t, int n, int32_t cycle, int32_t frame_start_cycle) {
    uint32_t charge = t->paddle_cycles[n];
    if (charge == TIA_PADDLE_SHORTED) return 0x80;
    if (charge == TIA_PADDLE_OPEN || t->vblank & 0x80) return 0;
    /* unsigned: a release in an earlier frame lies below zero and may wrap, as in the oracle */
    uint32_t now = (uint32_t)cycle - (uint32_t)frame_start_cycle;
    uint32_t due = (uint32_t)t->dump_release_cycle - (uint32_t)frame_start_cycle + charge;
    return now > due ? 0x80 : 0;
}

A26_FN uint8_t tia_read_input(const tia_t *t, uint32_t reg, uint8_t noise, int32_t cycle,
                              int32_t frame_start) {
    uint8_t driven = 0;
    if (reg < 12)
        driven = tia_read_paddle(t, (int)reg - 8, cycle, frame_start);
    else if (reg < 14)
        driven = t->fire[reg - 12];
    return driven | (noise & 0x3F);
}

/* `noise`: what stands on the data bus; it shows in the undriven bits. */
A26_FN uint8_t tia_read(tia_t *t, uint32_t reg, uint8_t noise, int32_t cycle, int32_t frame_start,
                        tia_picture_t *picture) {
    if (reg >= 8) return tia_read_input(t, reg, noise, cycle, frame_start);
    tia_catch_up(t, 3 * cycle, picture);
    uint32_t two = (uint32_t)t->collisions >> (2 * reg) & 3;
    if (reg == 6) /* one latch, BL-PF */
        two &= 1;
    else if (reg == 7)
        two = (uint32_t)t->collisions >> 13 & 3;
    return (uint8_t)((two & 1) << 7 | (two & 2) << 5 | (noise & 0x3F));
}

A26_FN void tia_reset(tia_t *t) {
    tia_t blank = {0};
    for (int n = 0; n < 4; n++) blank.paddle_cycles[n] = t->paddle_cycles[n];
    blank.fire[0] = t->fire[0];
    blank.fire[1] = t->fire[1];
    blank.dirty = 0xFF;
    blank.last_clock = TIA_WINDOW_BEGIN_CLOCKS;
    blank.vsync_finish_clock = TIA_NEVER_CLOCKS;
    *t = blank;
}

#endif
