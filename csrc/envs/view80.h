/* The 80x80 view of a game's picture. Only the view's rows are painted, and rows that show the same
 * are computed once. Equal in every byte to preprocess_palette (fastpg/kernels/reference.py) of the
 * full picture.
 *
 *   a26_view(picture, red, find_background, view)  the view: (80, 80) of 0 and 1
 *   a26_view_groups(..)                            its distinct rows, and how often each repeats
 *
 * `red`: (256,), the red value of each palette index. A pixel is lit if its red value is neither 0
 * nor background. The background is the most frequent value, or, without find_background, 144 and
 * 109. */
#ifndef A26_VIEW80_H
#define A26_VIEW80_H

#include "envs/ale_game.h"

/* Equal rows of the view: `times` from row `first` on. */
typedef struct {
    uint8_t first, times;
} a26_row_group_t;

A26_SLOW void a26_view(const tia_picture_t *picture, const uint8_t *red, int find_background,
                       uint8_t *view);

/* Mark with 1 each pixel of a view's row that is not `index`; returns how many are marked. */
A26_FN uint32_t a26_mark_others(const uint8_t *row, uint8_t index, uint8_t *view) {
    uint8_t marks[A26_VIEW_SIDE], others = 0; /* at most 80: a byte can count them */
    for (uint32_t j = 0; j < A26_VIEW_SIDE; j++) marks[j] = row[2 * j] != index;
    for (uint32_t j = 0; j < A26_VIEW_SIDE; j++) others = (uint8_t)(others + marks[j]);
    A26_COPY(view, marks, A26_VIEW_SIDE);
    return others;
}

A26_FN const uint8_t *a26_view_source(const tia_picture_t *picture, uint32_t row) {
    return picture->pixels + picture->same_as_row[A26_VIEW_FIRST_ROW + 2 * row] * A26_SCREEN_WIDTH;
}

/* Mark the first row of each group; returns how many pixels of the whole view are marked. */
A26_FN uint32_t a26_mark_all(const tia_picture_t *picture, const a26_row_group_t *rows,
                             uint32_t groups, uint8_t index, uint8_t *view) {
    uint32_t others = 0;
    for (uint32_t g = 0; g < groups; g++)
        others += rows[g].times
                  * a26_mark_others(a26_view_source(picture, rows[g].first), index,
                                    view + rows[g].first * A26_VIEW_SIDE);
    return others;
}

/* The most frequent red value; of equally frequent ones the lowest. */
A26_SLOW uint8_t a26_view_mode(const tia_picture_t *picture, const a26_row_group_t *rows,
                               uint32_t groups, const uint8_t *red) {
    uint16_t counts[256] = {0};
    uint32_t best = 0;
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *row = a26_view_source(picture, rows[g].first);
        for (uint32_t j = 0; j < A26_VIEW_SIDE; j++)
            counts[red[row[2 * j]]] = (uint16_t)(counts[red[row[2 * j]]] + rows[g].times);
    }
    for (uint32_t v = 1; v < 256; v++) best = counts[v] > counts[best] ? v : best;
    return (uint8_t)best;
}

A26_FN uint32_t a26_group_rows(const tia_picture_t *picture, a26_row_group_t *rows) {
    const uint8_t *like = picture->same_as_row + A26_VIEW_FIRST_ROW;
    uint32_t groups = 0;
    for (uint32_t v = 0, end; v < A26_VIEW_SIDE; v = end) {
        for (end = v + 1; end < A26_VIEW_SIDE && like[2 * end] == like[2 * v];) end++;
        rows[groups].first = (uint8_t)v;
        rows[groups++].times = (uint8_t)(end - v);
    }
    return groups;
}

/* Write the first row of each group at its place in `view`; returns the number of groups. */
A26_CLONES A26_SLOW uint32_t a26_view_groups(const tia_picture_t *picture, const uint8_t *red,
                                             int find_background,
                                             a26_row_group_t rows[A26_VIEW_SIDE], uint8_t *view) {
    const uint32_t half = A26_VIEW_PIXELS / 2;
    uint32_t groups = a26_group_rows(picture, rows);
    /* An index that more than half of the pixels have is the background: no histogram needed. */
    uint8_t common = a26_view_source(picture, 0)[0];
    uint32_t others = a26_mark_all(picture, rows, groups, common, view);
    if (others >= half) {
        common = a26_view_source(picture, A26_VIEW_SIDE / 2)[A26_VIEW_SIDE];
        others = a26_mark_all(picture, rows, groups, common, view);
    }
    uint8_t first = 144, second = 109, lit[256];
    if (find_background)
        first = second = others < half ? red[common] : a26_view_mode(picture, rows, groups, red);
    for (uint32_t v = 0; v < 256; v++)
        lit[v] = (red[v] != 0) & (red[v] != first) & (red[v] != second);
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *row = a26_view_source(picture, rows[g].first);
        uint8_t *to = view + rows[g].first * A26_VIEW_SIDE;
        for (uint32_t j = 0; j < A26_VIEW_SIDE; j += 8) {
            uint64_t marks;
            A26_COPY_WORD(&marks, to + j);
            if (marks || lit[common])
                for (uint32_t i = j; i < j + 8; i++) to[i] = lit[row[2 * i]];
        }
    }
    return groups;
}

A26_SLOW void a26_view(const tia_picture_t *picture, const uint8_t *red, int find_background,
                       uint8_t *view) {
    a26_row_group_t rows[A26_VIEW_SIDE];
    uint32_t groups = a26_view_groups(picture, red, find_background, rows, view);
    for (uint32_t g = 0; g < groups; g++) {
        uint8_t *first = view + rows[g].first * A26_VIEW_SIDE, row[A26_VIEW_SIDE];
        A26_COPY(row, first, A26_VIEW_SIDE);
        for (uint32_t k = 1; k < rows[g].times; k++)
            A26_COPY(first + k * A26_VIEW_SIDE, row, A26_VIEW_SIDE);
    }
}

#endif
