/* The ops preprocess and preprocess_palette: pictures to 80x80 views of 0 and 1.
 *
 *   fastpg_view_rgb(frame, find, view)           frame (210, 160, 3) uint8
 *   fastpg_view_palette(frame, red, find, view)  frame (210, 160) palette indices, red (256,)
 *
 * A pixel is lit if its red value is neither 0 nor background. The background is the most frequent
 * value, or, without `find`, the values 144 and 109. */
#ifndef FASTPG_PREPROCESS_H
#define FASTPG_PREPROCESS_H

#include "console/geometry.h"
#include "kernels/instruction_sets.h"

/* Offset in a frame of pixel i of the view, with `channels` bytes a pixel. */
FASTPG_INLINE int64_t fastpg_source(int64_t i, int channels) {
    const int64_t row = A26_VIEW_FIRST_ROW + 2 * (i / A26_VIEW_SIDE);
    return (row * A26_SCREEN_WIDTH + 2 * (i % A26_VIEW_SIDE)) * channels;
}

/* The most frequent of the view's values; of equally frequent ones the lowest. */
static uint8_t fastpg_most_frequent(const uint8_t *values) {
    uint16_t counts[256] = {0};
    int best = 0;
    for (int i = 0; i < A26_VIEW_PIXELS; i++) counts[values[i]]++;
    for (int v = 1; v < 256; v++)
        if (counts[v] > counts[best]) best = v;
    return (uint8_t)best;
}

/* True if more than half of the values are `candidate`. It is then the most frequent: no
 * histogram. */
FASTPG_INLINE int fastpg_is_majority(const uint8_t *values, uint8_t candidate) {
    int equal = 0;
    for (int row = 0; row < A26_VIEW_SIDE; row++) {
        uint8_t n = 0; /* at most 80, so bytes can count */
        for (int j = 0; j < A26_VIEW_SIDE; j++) n += values[row * A26_VIEW_SIDE + j] == candidate;
        equal += n;
    }
    return equal > A26_VIEW_PIXELS / 2;
}

/* The two values that are background, besides 0. */
FASTPG_INLINE void fastpg_backgrounds(const uint8_t *values, int find, uint8_t found[2]) {
    found[0] = 144;
    found[1] = 109;
    if (!find) return;
    if (fastpg_is_majority(values, values[0]))
        found[0] = values[0];
    else if (fastpg_is_majority(values, values[A26_VIEW_CENTRE]))
        found[0] = values[A26_VIEW_CENTRE];
    else
        found[0] = fastpg_most_frequent(values);
    found[1] = found[0];
}

FASTPG_CLONES static void fastpg_view_rgb(const uint8_t *FASTPG_RESTRICT frame, int find,
                                          uint8_t *FASTPG_RESTRICT view) {
    uint8_t found[2];
    for (int row = 0; row < A26_VIEW_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * A26_VIEW_SIDE, 3);
        for (int j = 0; j < A26_VIEW_SIDE; j++) view[row * A26_VIEW_SIDE + j] = from[6 * j];
    }
    fastpg_backgrounds(view, find, found);
    const uint8_t first = found[0], second = found[1];
    for (int i = 0; i < A26_VIEW_PIXELS; i++) {
        const uint8_t v = view[i];
        view[i] = (uint8_t)((v != 0) & (v != first) & (v != second));
    }
}

/* view = whether each pixel differs from this palette index; returns how many do. */
FASTPG_INLINE int fastpg_mark_others(const uint8_t *FASTPG_RESTRICT frame, uint8_t index,
                                     uint8_t *FASTPG_RESTRICT view) {
    int others = 0;
    for (int row = 0; row < A26_VIEW_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * A26_VIEW_SIDE, 1);
        uint8_t n = 0;
        for (int j = 0; j < A26_VIEW_SIDE; j++) {
            const uint8_t differs = from[2 * j] != index;
            view[row * A26_VIEW_SIDE + j] = differs;
            n += differs;
        }
        others += n;
    }
    return others;
}

/* Replace each mark by `lit` of the pixel's palette index. */
FASTPG_INLINE void fastpg_look_up_marked(const uint8_t *FASTPG_RESTRICT frame, const uint8_t *lit,
                                         uint8_t *FASTPG_RESTRICT view) {
    for (int i = 0; i < A26_VIEW_PIXELS; i += 8) {
        uint64_t word;
        memcpy(&word, view + i, 8);
        if (word == 0) continue;
        const uint8_t *from = frame + fastpg_source(i, 1); /* 80 is a multiple of 8: one row */
        for (int j = 0; j < 8; j++) view[i + j] = lit[from[2 * j]];
    }
}

FASTPG_INLINE void fastpg_red_view(const uint8_t *FASTPG_RESTRICT frame, const uint8_t *red,
                                   uint8_t *FASTPG_RESTRICT view) {
    for (int row = 0; row < A26_VIEW_SIDE; row++) {
        const uint8_t *from = frame + fastpg_source((int64_t)row * A26_VIEW_SIDE, 1);
        for (int j = 0; j < A26_VIEW_SIDE; j++) view[row * A26_VIEW_SIDE + j] = red[from[2 * j]];
    }
}

/* A palette index that more than half of the pixels have settles the background without looking up
 * each pixel. Only the other pixels are then looked up. */
FASTPG_CLONES static void fastpg_view_palette(const uint8_t *FASTPG_RESTRICT frame,
                                              const uint8_t *red, int find,
                                              uint8_t *FASTPG_RESTRICT view) {
    uint8_t lit[256], found[2] = {144, 109};
    uint8_t common = frame[fastpg_source(0, 1)];
    int others = fastpg_mark_others(frame, common, view);
    if (others >= A26_VIEW_PIXELS / 2) {
        common = frame[fastpg_source(A26_VIEW_CENTRE, 1)];
        others = fastpg_mark_others(frame, common, view);
    }
    const int majority = others < A26_VIEW_PIXELS / 2;
    if (find && majority) found[0] = found[1] = red[common];
    if (find && !majority) {
        fastpg_red_view(frame, red, view);
        found[0] = found[1] = fastpg_most_frequent(view);
    }
    const uint8_t first = found[0], second = found[1];
    for (int v = 0; v < 256; v++)
        lit[v] = (uint8_t)((red[v] != 0) & (red[v] != first) & (red[v] != second));
    if (majority && !lit[common])
        fastpg_look_up_marked(frame, lit, view);
    else
        fastpg_red_view(frame, lit, view);
}

#endif
