/* TIA: the picture that is painted on, and how a span of a line is painted. */
#ifndef TIA_PAINT_H
#define TIA_PAINT_H

#include "tia_objects.h"

/* Most rows show what the row above them shows. Such a row is not painted: it names the row that is,
 * and whoever wants all rows copies them once, at the end (tia_complete). */
typedef struct {
    uint8_t *pixels;          /* TIA_HEIGHT rows of TIA_WIDTH palette indices */
    uint8_t like[TIA_HEIGHT]; /* the row whose pixels a row shows: itself, or a row above it */
    uint8_t sparse;           /* only the rows of the 80 x 80 view are wanted */
} tia_picture_t;

#define TIA_VIEW_SIDE 80
#define TIA_VIEW_FIRST_ROW 35

A26_FN int tia_row_wanted(const tia_picture_t *picture, uint32_t row) {
    return !picture->sparse || (row & 1 && row - TIA_VIEW_FIRST_ROW < 2 * TIA_VIEW_SIDE);
}

/* A picture on these pixels: rows that a frame does not reach keep what they show. */
A26_FN void tia_begin_picture(tia_picture_t *picture, uint8_t *pixels, int sparse) {
    picture->pixels = pixels;
    picture->sparse = (uint8_t)sparse;
    for (uint32_t row = 0; row < TIA_HEIGHT; row++)
        picture->like[row] = (uint8_t)row;
}

/* Give every row its pixels. */
A26_SLOW void tia_complete(const tia_picture_t *picture) {
    for (uint32_t row = 1; row < TIA_HEIGHT; row++) {
        const uint8_t *from = picture->pixels + picture->like[row] * TIA_WIDTH;
        uint8_t *to = picture->pixels + row * TIA_WIDTH;
        if (from != to)
            for (uint32_t p = 0; p < TIA_WIDTH; p += 8)
                A26_COPY(to + p, from + p, 8);
    }
}

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
            uint64_t colours = bk;
            if ((one | two | three) >> p & 255) {
                uint64_t b1 = tia_bytes((uint32_t)(one >> p)), b2 = tia_bytes((uint32_t)(two >> p));
                uint64_t b3 = tia_bytes((uint32_t)(three >> p));
                colours = (c0 & b1) | (c1 & b2) | (cf & b3) | (bk & ~(b1 | b2 | b3));
            }
            uint8_t *out = row + 64 * k + p;
            if (here != 255u) {
                uint64_t keep = ~tia_bytes(here), there;
                A26_COPY(&there, out, 8);
                colours = (colours & ~keep) | (there & keep);
            }
            A26_COPY(out, &colours, 8); /* little-endian: pixel p is byte p */
        }
    }
}

A26_FN void tia_paint_black(uint8_t *row, uint32_t begin, uint32_t end) {
    for (uint32_t p = begin; p < end; p++)
        row[p] = 0;
}

#endif
