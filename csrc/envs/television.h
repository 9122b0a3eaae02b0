/* The television: the picture of one game for those who look at it now and then.
 *
 * The hardware's two pictures take turns, one a frame. Lines that a frame does not reach show what
 * was there two frames ago. A game that draws all lines in every frame (a26_game_t.draws_all_lines)
 * is drawn only when somebody looks: the state before the frame is kept, and the frame is run
 * again.
 *
 *   a26_tv_reset(tv, e, cartridge)              a26_reset_game, shown
 *   a26_tv_act(tv, e, cartridge, action, skip)  ALE's act, shown; returns the reward
 *   a26_tv_look(tv, cartridge)                  the picture: (210, 160) palette indices */
#ifndef A26_TELEVISION_H
#define A26_TELEVISION_H

#include "envs/ale_game.h"

/* Everything that a frame's picture depends on. */
typedef struct {
    a2600_t console;
    int32_t ohms[2];
    uint32_t action;
} a26_frame_start_t;

typedef struct {
    uint8_t picture[2][A26_SCREEN_BYTES];
    a26_frame_start_t before[2]; /* what a pending picture is made from */
    uint8_t pending[2];          /* not drawn yet */
    uint8_t front;               /* the picture that is shown */
    uint8_t lazy;                /* pictures may wait until somebody looks */
    uint8_t looked;              /* somebody has looked since the last action */
} a26_tv_t;

A26_FN void a26_tv_onto(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int reset_switch,
                        uint8_t *pixels) {
    tia_picture_t picture;
    if (!pixels) {
        a26_frame(e, c, action, reset_switch, 0);
        return;
    }
    tia_begin_picture(&picture, pixels, 0);
    a26_frame(e, c, action, reset_switch, &picture);
    tia_complete(&picture);
}

A26_SLOW void a26_tv_draw(a26_tv_t *tv, const a26_cartridge_t *c, uint32_t which) {
    if (!tv->pending[which]) return;
    const a26_frame_start_t *m = &tv->before[which];
    a26_env_t again;
    again.console = m->console;
    again.ohms[0] = m->ohms[0];
    again.ohms[1] = m->ohms[1];
    a26_tv_onto(&again, c, m->action, 0, tv->picture[which]);
    tv->pending[which] = 0;
}

/* Draw every frame from now on: the state was changed from outside, so a frame may no longer draw
 * all lines. */
A26_FN void a26_tv_make_eager(a26_tv_t *tv, const a26_cartridge_t *c) {
    a26_tv_draw(tv, c, 0);
    a26_tv_draw(tv, c, 1);
    tv->lazy = 0;
}

A26_FN const uint8_t *a26_tv_look(a26_tv_t *tv, const a26_cartridge_t *c) {
    a26_tv_draw(tv, c, tv->front);
    tv->looked = 1;
    return tv->picture[tv->front];
}

A26_FN void a26_tv_frame(a26_tv_t *tv, a26_env_t *e, const a26_cartridge_t *c, uint32_t action,
                         int reset_switch, int draw) {
    if (e->console.unfinished)
        a26_tv_make_eager(tv, c); /* the frame goes on in the same picture */
    else
        tv->front ^= 1;
    uint32_t which = tv->front;
    tv->pending[which] = tv->lazy && !draw;
    if (tv->pending[which]) {
        a26_frame_start_t *m = &tv->before[which];
        m->console = e->console;
        m->ohms[0] = e->ohms[0];
        m->ohms[1] = e->ohms[1];
        m->action = action;
    }
    a26_tv_onto(e, c, action, reset_switch, tv->pending[which] ? 0 : tv->picture[which]);
}

A26_SLOW void a26_tv_reset(a26_tv_t *tv, a26_env_t *e, const a26_cartridge_t *c) {
    tv->lazy = c->game.draws_all_lines;
    tv->pending[0] = tv->pending[1] = 0;
    if (tv->lazy) {
        a26_reset_game(e, c, tv->picture[tv->front]);
        return;
    }
    a26_begin_game(e, c);
    for (uint32_t k = 0; k < 2; k++)
        for (int32_t p = 0; p < A26_SCREEN_BYTES; p++) tv->picture[k][p] = 0;
    for (int k = 0; k < a26_reset_frames(c); k++)
        a26_tv_frame(tv, e, c, 0, k >= A26_IDLE_FRAMES, 1);
}

A26_SLOW int32_t a26_tv_act(a26_tv_t *tv, a26_env_t *e, const a26_cartridge_t *c, uint32_t action,
                            int32_t skip) {
    int32_t before = e->score;
    for (int32_t k = 0; k < skip; k++) {
        uint32_t now = a26_sticky_action(e, action);
        if (a26_over(e)) continue;
        a26_tv_frame(tv, e, c, now, 0, tv->looked && k == skip - 1);
        a26_after_frame(e, c);
    }
    tv->looked = 0;
    return e->score - before;
}

#endif
