/* TIA (Television Interface Adaptor): its state, and which pixels of a line its objects cover.
 *
 * The six objects are two players, two missiles, the ball and the playfield. Each has a mask of 160
 * bits. Masks are rebuilt only when they are needed and stale.
 *
 * Times are colour clocks of the current frame: 3 per CPU cycle, 228 per line. Only the window of
 * lines 34..243 and pixels 0..159 is evaluated.
 *
 *   tia_build(t, objects)          bring the masks of these objects up to date
 *   tia_update_enabled(t, objects) recompute which of these objects could show a pixel */
#ifndef TIA_OBJECTS_H
#define TIA_OBJECTS_H

#include "console/geometry.h"
#include "console/portability.h"

#define TIA_LINE_CLOCKS 228
#define TIA_BLANK_CLOCKS 68 /* horizontal blank, at the start of a line */
#define TIA_FIRST_LINE 34
#define TIA_WINDOW_BEGIN_CLOCKS (TIA_FIRST_LINE * TIA_LINE_CLOCKS)
#define TIA_WINDOW_END_CLOCKS ((TIA_FIRST_LINE + A26_SCREEN_HEIGHT) * TIA_LINE_CLOCKS)
#define TIA_NEVER_CLOCKS 0x7FFFFFFF

enum { TIA_P0, TIA_P1, TIA_M0, TIA_M1, TIA_BL, TIA_PF, TIA_OBJECTS };

typedef struct {
    uint64_t w[3]; /* pixel p is bit p % 64 of word p / 64 */
} tia_mask_t;

typedef struct {
    tia_mask_t
        mask[TIA_OBJECTS]; /* pixels of each object; valid unless its bit in `dirty` is set */
    tia_mask_t cover[2];   /* pixels that a player could show with any graphics; likewise */
    int32_t last_clock;    /* evaluated up to here, exclusive */
    int32_t touched_clock; /* last access; an unfinished frame is shown up to here */
    int32_t vsync_finish_clock;
    int32_t hmove_clock; /* last HMOVE */
    int32_t dump_release_cycle;
    uint32_t paddle_cycles[4]; /* charge times of INPT0-3, or TIA_PADDLE_SHORTED or _OPEN */
    uint16_t collisions;       /* 15 latches, numbered as in TIA_LATCHES */
    uint8_t dirty;             /* bit per object: its mask is stale; TIA_STALE_COVER << player */
    uint8_t vblank;            /* as written */
    uint8_t nusiz[2], colup[2], colupf, colubk, ctrlpf, refp[2], pf[3];
    uint8_t grp[2], grp_delayed[2], enam[2], enabl, enabl_delayed, vdelp[2], vdelbl, resmp[2];
    uint8_t hm[5];     /* high nibbles of HMP0, HMP1, HMM0, HMM1, HMBL */
    uint8_t pos[5];    /* first pixel of P0, P1, M0, M1, BL: 0..159 */
    uint8_t enabled;   /* bit per object: it could show a pixel somewhere (tia_update_enabled) */
    uint8_t pending;   /* effects due at the end of a line or the start of the next: bits below */
    uint8_t reflected; /* the playfield reflection in use */
    uint8_t cosmic_step, m0_hidden, m0_stretched;
    uint8_t fire[2]; /* INPT4, INPT5: 0x80 is not pressed */
    uint8_t unused[5];
} tia_t;

#define TIA_STALE_COVER 64u /* in `dirty`, << player */

/* Bits of `pending`. */
#define TIA_SUPPRESSED 1u  /* << player: its first copy is not shown in this line */
#define TIA_HMOVE_BLANK 4u /* the next pixels below 8 are black */
#define TIA_COSMIC 8u      /* missile 0 moves at the end of each line (Cosmic Ark's star field) */
#define TIA_REFLECTION 16u /* CTRLPF's reflection is not in use yet */

#define TIA_PADDLE_SHORTED 0xFFFFFFFFu /* no resistance: always charged */
#define TIA_PADDLE_OPEN 0xFFFFFFFEu    /* infinite resistance: never charged */

A26_FN void tia_build(tia_t *t, uint32_t wanted);
A26_FN void tia_update_enabled(tia_t *t, uint32_t objects);

/* ---- bits ------------------------------------------------------------------------------------ */

/* Set pixels [begin, begin + width) modulo 160, width <= 32. Bit k of `bits` is pixel begin + k. */
A26_FN void tia_mask_put(tia_mask_t *m, uint32_t begin, uint64_t bits) {
    begin = begin >= A26_SCREEN_WIDTH ? begin - A26_SCREEN_WIDTH : begin;
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

/* Word k of the mask of pixels [begin, end). */
A26_FN uint64_t tia_word_span(uint32_t begin, uint32_t end, uint32_t k) {
    uint32_t base = 64 * k;
    uint64_t from = begin <= base ? ~0ull : begin >= base + 64 ? 0 : ~0ull << (begin - base);
    uint64_t upto = end <= base ? 0 : end >= base + 64 ? ~0ull : ~(~0ull << (end - base));
    return from & upto;
}

A26_FN uint8_t tia_reverse(uint8_t v) {
    v = (uint8_t)((v & 0xF0) >> 4 | (v & 0x0F) << 4);
    v = (uint8_t)((v & 0xCC) >> 2 | (v & 0x33) << 2);
    return (uint8_t)((v & 0xAA) >> 1 | (v & 0x55) << 1);
}

/* Repeat each of 8 bits twice. */
A26_FN uint32_t tia_widen2(uint32_t v) {
    v = (v | v << 4) & 0x0F0Fu;
    v = (v | v << 2) & 0x3333u;
    v = (v | v << 1) & 0x5555u;
    return v * 3u;
}

/* Move bit k to bit 4 k. */
A26_FN uint32_t tia_spread4(uint32_t v) { /* bit k to bit 4 k */
    v = (v | v << 12) & 0x000F000Fu;
    v = (v | v << 6) & 0x03030303u;
    return (v | v << 3) & 0x11111111u;
}

/* Repeat each of 8 bits four times. */
A26_FN uint32_t tia_widen4(uint32_t v) { return tia_spread4(v) * 15u; }

/* ---- players and missiles -------------------------------------------------------------------- */

/* Offset of copy n (1 or 2) for each NUSIZ size, or 0 if there is none. */
A26_FN uint32_t tia_copy(uint32_t size, uint32_t n) {
    /* size:          0  1   2   3           4   5  6           7 */
    uint32_t second = size == 1 || size == 3   ? 16u
                      : size == 2 || size == 6 ? 32u
                      : size == 4              ? 64u
                                               : 0u;
    uint32_t third = size == 3 ? 32u : size == 6 ? 64u : 0u;
    return n == 1 ? second : third;
}

A26_FN uint8_t tia_player_graphics(const tia_t *t, int n) {
    return t->vdelp[n] ? t->grp_delayed[n] : t->grp[n];
}

/* Pixels of player n with graphics `g`, whose bit 0 is leftmost. */
A26_FN tia_mask_t tia_player_pixels(const tia_t *t, int n, uint8_t g, int first_copy) {
    tia_mask_t m = {{0, 0, 0}};
    uint32_t size = t->nusiz[n] & 7, at = t->pos[n];
    if (size == 5 || size == 7) {
        if (first_copy) tia_mask_put(&m, at + 1, size == 5 ? tia_widen2(g) : tia_widen4(g));
        return m;
    }
    uint32_t second = tia_copy(size, 1), third = tia_copy(size, 2);
    if (first_copy) tia_mask_put(&m, at, g);
    if (second) tia_mask_put(&m, at + second, g);
    if (third) tia_mask_put(&m, at + third, g);
    return m;
}

A26_SLOW void tia_build_player(tia_t *t, int n) {
    uint8_t g = tia_player_graphics(t, n);
    if (!t->refp[n]) /* bit 7 is leftmost; masks count pixels from bit 0 */
        g = tia_reverse(g);
    t->mask[TIA_P0 + n] = tia_player_pixels(t, n, g, !(t->pending & TIA_SUPPRESSED << n));
}

A26_SLOW void tia_build_covers(tia_t *t) {
    for (int n = 0; n < 2; n++)
        if (t->dirty & TIA_STALE_COVER << n) t->cover[n] = tia_player_pixels(t, n, 0xFF, 1);
    t->dirty &= (uint8_t) ~(3u * TIA_STALE_COVER);
}

A26_FN int tia_missile_on(const tia_t *t, int n) {
    return t->enam[n] && !t->resmp[n] && !(n == 0 && t->m0_hidden);
}

A26_SLOW void tia_build_missile(tia_t *t, int n) {
    tia_mask_t m = {{0, 0, 0}};
    uint32_t size = t->nusiz[n] & 7, at = t->pos[2 + n], width = t->nusiz[n] >> 4 & 3;
    if (n == 0 && t->m0_stretched) width |= 1;
    uint64_t bits = (1u << (1u << width)) - 1u;
    uint32_t second = tia_copy(size, 1), third = tia_copy(size, 2);
    tia_mask_put(&m, at, bits);
    if (second) tia_mask_put(&m, at + second, bits);
    if (third) tia_mask_put(&m, at + third, bits);
    t->mask[TIA_M0 + n] = m;
}

/* ---- ball and playfield ---------------------------------------------------------------------- */

A26_SLOW void tia_build_ball(tia_t *t) {
    tia_mask_t m = {{0, 0, 0}};
    tia_mask_put(&m, t->pos[TIA_BL], (1u << (1u << (t->ctrlpf >> 4 & 3))) - 1u);
    t->mask[TIA_BL] = m;
}

A26_SLOW void tia_build_playfield(tia_t *t) {
    /* 20 bits from left to right: PF0 bits 4..7, PF1 bits 7..0, PF2 bits 0..7 */
    uint32_t bits =
        (uint32_t)t->pf[0] >> 4 | (uint32_t)tia_reverse(t->pf[1]) << 4 | (uint32_t)t->pf[2] << 12;
    uint64_t left = (uint64_t)tia_widen4(bits & 255) | (uint64_t)tia_widen4(bits >> 8 & 255) << 32;
    uint64_t left_end = tia_widen4(bits >> 16) & 0xFFFFu; /* pixels 64..79 */
    uint64_t low = left, right_end = left_end; /* right half: pixels 80..159; 80 = 64 + 16 */
    if (t->reflected) {
        uint32_t right = (uint32_t)tia_reverse((uint8_t)bits) << 12
                         | (uint32_t)tia_reverse((uint8_t)(bits >> 8)) << 4
                         | (uint32_t)tia_reverse((uint8_t)(bits >> 16)) >> 4;
        low = (uint64_t)tia_widen4(right & 255) | (uint64_t)tia_widen4(right >> 8 & 255) << 32;
        right_end = tia_widen4(right >> 16) & 0xFFFFu;
    }
    t->mask[TIA_PF].w[0] = left;
    t->mask[TIA_PF].w[1] = left_end | low << 16;
    t->mask[TIA_PF].w[2] = low >> 48 | right_end << 16;
}

/* ---- all objects ----------------------------------------------------------------------------- */

A26_FN void tia_update_enabled(tia_t *t, uint32_t objects) {
    uint32_t on = 0;
    if (objects & 1u << TIA_P0) on |= (uint32_t)(tia_player_graphics(t, 0) != 0) << TIA_P0;
    if (objects & 1u << TIA_P1) on |= (uint32_t)(tia_player_graphics(t, 1) != 0) << TIA_P1;
    if (objects & 1u << TIA_M0) on |= (uint32_t)tia_missile_on(t, 0) << TIA_M0;
    if (objects & 1u << TIA_M1) on |= (uint32_t)tia_missile_on(t, 1) << TIA_M1;
    if (objects & 1u << TIA_BL)
        on |= (uint32_t)((t->vdelbl ? t->enabl_delayed : t->enabl) != 0) << TIA_BL;
    if (objects & 1u << TIA_PF) on |= (uint32_t)((t->pf[0] | t->pf[1] | t->pf[2]) != 0) << TIA_PF;
    t->enabled = (uint8_t)((t->enabled & ~objects) | on);
}

A26_FN void tia_build(tia_t *t, uint32_t wanted) {
    uint32_t stale = t->dirty & wanted;
    if (A26_LIKELY(!stale)) return;
    if (stale & 1u << TIA_P0) tia_build_player(t, 0);
    if (stale & 1u << TIA_P1) tia_build_player(t, 1);
    if (stale & 1u << TIA_M0) tia_build_missile(t, 0);
    if (stale & 1u << TIA_M1) tia_build_missile(t, 1);
    if (stale & 1u << TIA_BL) tia_build_ball(t);
    if (stale & 1u << TIA_PF) tia_build_playfield(t);
    t->dirty &= (uint8_t)~stale;
}

#endif
