/* The 80 x 80 view of an environment's picture without the picture: only its rows are painted, and
 * rows that show the same are looked at once. Equal in every byte to preprocess_palette
 * (fastpg/kernels/reference.py) of the picture that a26_act would have drawn. */
#ifndef A26_VIEW_H
#define A26_VIEW_H

#include "envs/ale_game.h"

#define A26_VIEW_BYTES (TIA_VIEW_SIDE * TIA_VIEW_SIDE)

/* What the view of a later frame may need of an earlier one: a frame too short to reach all lines
 * shows old ones. All 0 to begin with; one an environment. */
typedef struct {
    uint8_t pixels[2][TIA_HEIGHT * TIA_WIDTH];
    uint8_t like[2][TIA_HEIGHT]; /* as in tia_picture_t */
    uint8_t latest;
} a26_canvas_t;

/* Rows of the view that show the same: `times` from row `first` on. */
typedef struct {
    uint8_t first, times;
} a26_rows_t;

/* 1 for each pixel of a view's row that is not `index`; returns how many are not. */
A26_FN uint32_t a26_mark_others(const uint8_t *row, uint8_t index, uint8_t *view) {
    uint8_t marks[TIA_VIEW_SIDE], others = 0; /* few enough for a byte to count */
    for (uint32_t j = 0; j < TIA_VIEW_SIDE; j++) marks[j] = row[2 * j] != index;
    for (uint32_t j = 0; j < TIA_VIEW_SIDE; j++) others = (uint8_t)(others + marks[j]);
    A26_COPY(view, marks, TIA_VIEW_SIDE);
    return others;
}

A26_FN const uint8_t *a26_view_source(const tia_picture_t *picture, uint32_t row) {
    return picture->pixels + picture->like[TIA_VIEW_FIRST_ROW + 2 * row] * TIA_WIDTH;
}

/* Mark what is not `index` in the first of equal rows; returns how many pixels all of them have. */
A26_FN uint32_t a26_mark_all(const tia_picture_t *picture, const a26_rows_t *rows, uint32_t groups,
                             uint8_t index, uint8_t *view) {
    uint32_t others = 0;
    for (uint32_t g = 0; g < groups; g++)
        others += rows[g].times
                  * a26_mark_others(a26_view_source(picture, rows[g].first), index,
                                    view + rows[g].first * TIA_VIEW_SIDE);
    return others;
}

/* The most frequent red value, of equals the lowest. */
A26_SLOW uint8_t a26_view_mode(const tia_picture_t *picture, const a26_rows_t *rows,
                               uint32_t groups, const uint8_t *red) {
    uint16_t counts[256] = {0};
    uint32_t best = 0;
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *row = a26_view_source(picture, rows[g].first);
        for (uint32_t j = 0; j < TIA_VIEW_SIDE; j++)
            counts[red[row[2 * j]]] = (uint16_t)(counts[red[row[2 * j]]] + rows[g].times);
    }
    for (uint32_t v = 1; v < 256; v++) best = counts[v] > counts[best] ? v : best;
    return (uint8_t)best;
}

A26_FN uint32_t a26_group_rows(const tia_picture_t *picture, a26_rows_t *rows) {
    const uint8_t *like = picture->like + TIA_VIEW_FIRST_ROW;
    uint32_t groups = 0;
    for (uint32_t v = 0, end; v < TIA_VIEW_SIDE; v = end) {
        for (end = v + 1; end < TIA_VIEW_SIDE && like[2 * end] == like[2 * v];) end++;
        rows[groups].first = (uint8_t)v;
        rows[groups++].times = (uint8_t)(end - v);
    }
    return groups;
}

/* The view of a picture, of rows that show the same the first only. `red`: the red value of each
 * palette index. Returns how many groups of rows there are; the first row of each is written at its
 * place in `view`. */
A26_CLONES A26_SLOW uint32_t a26_view_groups(const tia_picture_t *picture, const uint8_t *red,
                                             int find_background, a26_rows_t rows[TIA_VIEW_SIDE],
                                             uint8_t *view) {
    const uint32_t half = A26_VIEW_BYTES / 2;
    uint32_t groups = a26_group_rows(picture, rows);
    /* an index that more than half of the pixels have is the background, without a histogram */
    uint8_t common = a26_view_source(picture, 0)[0];
    uint32_t others = a26_mark_all(picture, rows, groups, common, view);
    if (others >= half) {
        common = a26_view_source(picture, TIA_VIEW_SIDE / 2)[TIA_VIEW_SIDE];
        others = a26_mark_all(picture, rows, groups, common, view);
    }
    uint8_t first = 144, second = 109, lit[256];
    if (find_background)
        first = second = others < half ? red[common] : a26_view_mode(picture, rows, groups, red);
    for (uint32_t v = 0; v < 256; v++)
        lit[v] = (red[v] != 0) & (red[v] != first) & (red[v] != second);
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *row = a26_view_source(picture, rows[g].first);
        uint8_t *to = view + rows[g].first * TIA_VIEW_SIDE;
        for (uint32_t j = 0; j < TIA_VIEW_SIDE; j += 8) {
            uint64_t marks;
            A26_COPY_WORD(&marks, to + j);
            if (marks || lit[common])
                for (uint32_t i = j; i < j + 8; i++) to[i] = lit[row[2 * i]];
        }
    }
    return groups;
}

/* Turn a picture into its view. */
A26_SLOW void a26_view(const tia_picture_t *picture, const uint8_t *red, int find_background,
                       uint8_t *view) {
    a26_rows_t rows[TIA_VIEW_SIDE];
    uint32_t groups = a26_view_groups(picture, red, find_background, rows, view);
    for (uint32_t g = 0; g < groups; g++) {
        uint8_t *first = view + rows[g].first * TIA_VIEW_SIDE, row[TIA_VIEW_SIDE];
        A26_COPY(row, first, TIA_VIEW_SIDE);
        for (uint32_t k = 1; k < rows[g].times; k++)
            A26_COPY(first + k * TIA_VIEW_SIDE, row, TIA_VIEW_SIDE);
    }
}

/* What a frame did not draw stays as it was. */
A26_SLOW void a26_keep_undrawn(const tia_picture_t *picture, const tia_picture_t *old,
                               int32_t end_clock) {
    tia_complete(picture);
    tia_complete(old);
    for (int32_t row = 0; row < TIA_HEIGHT; row++)
        for (int32_t p = 0; p < TIA_WIDTH; p++) {
            int32_t clock = (TIA_FIRST_LINE + row) * TIA_LINE_CLOCKS + TIA_BLANK_CLOCKS + p;
            if (clock < picture->begin_clock || clock >= end_clock)
                picture->pixels[row * TIA_WIDTH + p] = old->pixels[row * TIA_WIDTH + p];
        }
}

A26_FN tia_picture_t a26_canvas_picture(a26_canvas_t *canvas, uint32_t which) {
    tia_picture_t picture;
    tia_begin_picture(&picture, canvas->pixels[which], 1);
    A26_COPY(picture.like, canvas->like[which], TIA_HEIGHT);
    return picture;
}

/* The view of what was drawn onto the canvas' other picture. */
A26_SLOW void a26_view_canvas(const a26_env_t *e, tia_picture_t *picture, const uint8_t *red,
                              int find_background, a26_canvas_t *canvas, uint8_t *view) {
    int32_t end_clock = e->console.tia.last_clock;
    if (picture->begin_clock != TIA_WINDOW_BEGIN_CLOCKS || end_clock < TIA_WINDOW_END_CLOCKS) {
        tia_picture_t old = a26_canvas_picture(canvas, canvas->latest);
        a26_keep_undrawn(picture, &old, end_clock);
        tia_begin_picture(picture, picture->pixels, 1);
    }
    a26_view(picture, red, find_background, view);
    canvas->latest ^= 1;
    A26_COPY(canvas->like[canvas->latest], picture->like, TIA_HEIGHT);
}

/* a26_act, with the view of the last frame instead of its picture. `view`: A26_VIEW_BYTES of 0
 * and 1. `red`: 256 bytes, the red value of each palette index. The background is found, or is the
 * blog's two shades: see preprocess_palette. */
A26_SLOW int32_t a26_act_view(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                              const uint8_t *red, int find_background, a26_canvas_t *canvas,
                              uint8_t *view) {
    tia_picture_t picture;
    tia_begin_picture(&picture, canvas->pixels[canvas->latest ^ 1], 1);
    int32_t reward = a26_act_onto(e, c, action, skip, &picture);
    a26_view_canvas(e, &picture, red, find_background, canvas, view);
    return reward;
}

#endif
