/* For tests: the view of every frame, also of one that is too short to reach all lines. Such a
 * frame shows old pixels there, so each environment keeps its last picture. */
#ifndef FASTPG_TESTS_VIEW_CANVAS_H
#define FASTPG_TESTS_VIEW_CANVAS_H

#include "ale_calls.h"
#include "envs/view80.h"

/* The last two pictures of an environment. All 0 to begin with. */
typedef struct {
    uint8_t pixels[2][A26_SCREEN_BYTES];
    uint8_t same_as_row[2][A26_SCREEN_HEIGHT]; /* as in tia_picture_t */
    uint8_t latest;
} a26_canvas_t;

/* Copy what a frame did not draw from the picture before it. */
A26_SLOW void a26_keep_undrawn(const tia_picture_t *picture, const tia_picture_t *old,
                               int32_t end_clock) {
    tia_complete(picture);
    tia_complete(old);
    for (int32_t row = 0; row < A26_SCREEN_HEIGHT; row++)
        for (int32_t p = 0; p < A26_SCREEN_WIDTH; p++) {
            int32_t clock = (TIA_FIRST_LINE + row) * TIA_LINE_CLOCKS + TIA_BLANK_CLOCKS + p;
            if (clock < picture->begin_clock || clock >= end_clock)
                picture->pixels[row * A26_SCREEN_WIDTH + p] =
                    old->pixels[row * A26_SCREEN_WIDTH + p];
        }
}

A26_FN tia_picture_t a26_canvas_picture(a26_canvas_t *canvas, uint32_t which) {
    tia_picture_t picture;
    tia_begin_picture(&picture, canvas->pixels[which], 1);
    A26_COPY(picture.same_as_row, canvas->same_as_row[which], A26_SCREEN_HEIGHT);
    return picture;
}

/* The view of `picture`, which was drawn on the older pixels of the canvas. */
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
    A26_COPY(canvas->same_as_row[canvas->latest], picture->same_as_row, A26_SCREEN_HEIGHT);
}

/* a26_act, with the view (80, 80) of the last frame instead of its picture. */
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
