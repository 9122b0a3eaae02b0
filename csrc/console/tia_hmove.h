/* TIA: horizontal positions. HMOVE moves all objects; RESP0, RESP1, RESM0, RESM1 and RESBL put an
 * object where the beam is; RESMP0 and RESMP1 lock a missile to its player.
 *
 * Facts from black-box comparison with ale-py, among them what HMOVE does at odd moments of a line
 * and the "Cosmic Ark" state, in which missile 0 moves at the end of every line. */
#ifndef TIA_HMOVE_H
#define TIA_HMOVE_H

#include "console/tia_catch_up.h"

A26_FN int32_t tia_line_clock(int32_t clock) { return clock % TIA_LINE_CLOCKS; }

/* End the stretched or hidden state of missile 0. */
A26_FN void tia_show_m0(tia_t *t) {
    t->m0_hidden = t->m0_stretched = 0;
    tia_update_enabled(t, 1u << TIA_M0);
}

/* ---- HMOVE ----------------------------------------------------------------------------------- */

A26_FN void tia_move(tia_t *t, int n, int32_t by) {
    int32_t p = t->pos[n] + by;
    t->pos[n] = (uint8_t)(p < 0                   ? p + A26_SCREEN_WIDTH
                          : p >= A26_SCREEN_WIDTH ? p - A26_SCREEN_WIDTH
                                                  : p);
}

/* Pixels to the right that HMOVE at cycle x of the line gives to a motion nibble. */
A26_FN int32_t tia_motion(uint32_t x, uint32_t nibble) {
    A26_TABLE int8_t at_least[21] = {-9, -9, -9, -9, -6, -5, -5, -4, -3, -2, -2,
                                     -1, 0,  1,  1,  2,  3,  4,  4,  5,  6};
    A26_TABLE int8_t shifted[20] = {6,  5,  4,  4,  3,  2,  1,  1,  0,  -1,
                                    -2, -2, -3, -4, -5, -5, -6, -7, -8, -8};
    int32_t wish = nibble < 8 ? -(int32_t)nibble : 16 - (int32_t)nibble;
    if (x <= 20) return wish > at_least[x] ? wish : at_least[x];
    if (x < 55) return 0;
    if (x < 75) return wish + shifted[x - 55] < 0 ? wish + shifted[x - 55] : 0;
    return wish;
}

A26_SLOW void tia_write_hmove(tia_t *t, int32_t clock, tia_picture_t *picture) {
    tia_catch_up(t, clock, picture);
    uint32_t x = (uint32_t)(clock / 3 % 76);
    t->hmove_clock = clock;
    for (int n = 0; n < 5; n++) tia_move(t, n, tia_motion(x, t->hm[n]));
    if (x <= 20 || x == 75) t->pending |= TIA_HMOVE_BLANK;
    t->pending &= (uint8_t) ~(3u * TIA_SUPPRESSED | TIA_COSMIC);
    tia_show_m0(t);
    t->dirty |= 0x1F | 3u * TIA_STALE_COVER;
}

/* HMM0. From 7 to 6 shortly after HMOVE starts the Cosmic Ark state. */
A26_SLOW void tia_write_hmm0(tia_t *t, uint8_t nibble, int32_t clock, tia_picture_t *picture) {
    if (clock == t->hmove_clock + 63 && t->hm[TIA_M0] == 7 && nibble == 6) {
        tia_catch_up(t, clock, picture);
        t->pending |= TIA_COSMIC;
        t->cosmic_step = 0;
    }
    t->hm[TIA_M0] = nibble;
}

/* ---- position resets ------------------------------------------------------------------------- */

A26_SLOW void tia_write_resp(tia_t *t, int n, int32_t clock, tia_picture_t *picture) {
    int32_t h = tia_line_clock(clock);
    int32_t at = h < TIA_BLANK_CLOCKS ? 3 : (h - TIA_BLANK_CLOCKS + 5) % A26_SCREEN_WIDTH;
    uint32_t size = t->nusiz[n] & 7;
    int32_t width = size == 5 ? 16 : size == 7 ? 32 : 8;
    int when = 0; /* 1: the strobe falls into a copy's start-up, 2: into its display */
    for (uint32_t k = 0; k < 3; k++) {
        int32_t offset = k ? (int32_t)tia_copy(size, k) : 0;
        if (k && !offset) continue;
        int32_t d = (at - t->pos[n] - offset + 2 * A26_SCREEN_WIDTH) % A26_SCREEN_WIDTH;
        if (d < 4)
            when = 1;
        else if (d < 4 + width)
            when = 2;
    }
    tia_catch_up(t, when == 2 ? clock + 11 : clock, picture);
    t->pos[n] = (uint8_t)at;
    t->pending =
        (uint8_t)((t->pending & ~(TIA_SUPPRESSED << n)) | (when != 1 ? TIA_SUPPRESSED << n : 0));
    t->dirty |= (uint8_t)(1u << (TIA_P0 + n) | TIA_STALE_COVER << n);
}

/* Where RESM0, RESM1 or RESBL puts the object. A few moments after HMOVE are special. */
A26_FN uint8_t tia_reset_position(const tia_t *t, int object, int32_t clock) {
    int32_t h = tia_line_clock(clock), q = clock - t->hmove_clock;
    if (object == TIA_M0 && q == 60 && h == 69) return 8;
    if (object == TIA_M1 && q == 9 && h == 18) return 3;
    if (object == TIA_BL) {
        if (q == 54 && (h == 60 || h == 69)) return 10;
        if (q == 9 && h == 18) return 3;
        if (q == 21 && h == 30) return 6;
        if (q == 18 && h == 27) return 5;
    }
    return (uint8_t)(h < TIA_BLANK_CLOCKS ? 2 : (h - TIA_BLANK_CLOCKS + 4) % A26_SCREEN_WIDTH);
}

A26_SLOW void tia_write_resm(tia_t *t, int n, int32_t clock, tia_picture_t *picture) {
    tia_catch_up(t, clock + 8, picture);
    t->pos[TIA_M0 + n] = tia_reset_position(t, TIA_M0 + n, clock);
    if (n == 0) tia_show_m0(t);
    t->dirty |= (uint8_t)(1u << (TIA_M0 + n));
}

A26_SLOW void tia_write_resbl(tia_t *t, int32_t clock, tia_picture_t *picture) {
    tia_catch_up(t, clock, picture);
    t->pos[TIA_BL] = tia_reset_position(t, TIA_BL, clock);
    t->dirty |= 1u << TIA_BL;
}

A26_SLOW void tia_write_resmp(tia_t *t, int n, uint8_t value, int32_t clock,
                              tia_picture_t *picture) {
    uint8_t locked = value & 2;
    if (locked == t->resmp[n]) return;
    tia_catch_up(t, clock, picture);
    if (!locked) {
        uint32_t size = t->nusiz[n] & 7;
        uint32_t middle = size == 5 ? 8 : size == 7 ? 16 : 4;
        t->pos[TIA_M0 + n] = (uint8_t)((t->pos[n] + middle) % A26_SCREEN_WIDTH);
        if (n == 0) tia_show_m0(t);
    }
    t->resmp[n] = locked;
    tia_update_enabled(t, 1u << (TIA_M0 + n));
    t->dirty |= (uint8_t)(1u << (TIA_M0 + n));
}

#endif
