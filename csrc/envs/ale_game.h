/* One game as ALE plays it: load, reset, act, reward, end. Facts from black-box comparison with
 * ale-py.
 *
 *   a26_power_on(e, cartridge)                           the console just switched on
 *   a26_reset_game(e, cartridge, screen)                  ALE's reset_game
 *   a26_act_onto(e, cartridge, action, skip, picture)     ALE's act; returns the reward
 *   a26_over(e), a26_truncated(e)                         the episode's ends
 *
 * `screen`: (210, 160) palette indices, or 0; `picture` may be 0 too. Sticky actions:
 * envs/sticky_actions.h. Actions as inputs: envs/controllers.h. Pong's reward and end:
 * games/pong_reward_and_end.h. */
#ifndef A26_ALE_GAME_H
#define A26_ALE_GAME_H

#include "envs/ale_state.h"
#include "envs/controllers.h"
#include "envs/sticky_actions.h"
#include "games/pong_reward_and_end.h"

#define A26_MACHINE_SEED 4753849u /* of the generator that fills RAM and timers: never changes */
#define A26_IDLE_FRAMES 60        /* without an action, after a system reset */

A26_SLOW void a26_power_on(a26_env_t *e, const a26_cartridge_t *c);
A26_SLOW void a26_reset_game(a26_env_t *e, const a26_cartridge_t *c, uint8_t *screen);
A26_SLOW int32_t a26_act_onto(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                              tia_picture_t *picture);

/* ---- frames ---------------------------------------------------------------------------------- */

A26_FN void a26_frame(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int reset_switch,
                      tia_picture_t *picture) {
    a26_press(e, &c->game, action, reset_switch);
    if (A26_RUN_OF(c))
        a2600_frame(&e->console, c->rom, picture, A26_RUN_OF(c), c->summaries);
    else
        a2600_frame_interpreted(&e->console, c->rom, picture);
}

A26_FN void a26_system_reset(a26_env_t *e, const a26_cartridge_t *c) {
    a2600_reset(&e->console, c->rom, (uint8_t)(25u + a26_mt_next(&e->machine) % 75u));
}

/* ---- reset ----------------------------------------------------------------------------------- */

/* Reset everything of the episode, before its first frames. */
A26_FN void a26_begin_game(a26_env_t *e, const a26_cartridge_t *c) {
    e->ohms[0] = e->ohms[1] = A26_PADDLE_CENTRE_OHMS;
    e->held = e->terminal = 0;
    e->score = 0;
    e->episode_frame_number = 0;
    a26_press(e, &c->game, 0, 0);
    a26_system_reset(e, c);
}

A26_FN int a26_reset_frames(const a26_cartridge_t *c) {
    return A26_IDLE_FRAMES + c->game.reset_frames;
}

/* ALE's reset sequence without its last frame. */
A26_SLOW void a26_reset_until_last(a26_env_t *e, const a26_cartridge_t *c) {
    a26_begin_game(e, c);
    for (int k = 0; k < a26_reset_frames(c) - 1; k++) a26_frame(e, c, 0, k >= A26_IDLE_FRAMES, 0);
}

/* Make the console state that resets may copy instead of emulating them. It is valid for all games
 * on a ROM whose reset always ends in the same state. Pong's does: its code clears all RAM and sets
 * the timer first. */
A26_SLOW void a26_make_post_reset_state(a26_env_t *e, const a26_cartridge_t *c,
                                        a2600_t *post_reset_state) {
    a26_reset_until_last(e, c);
    *post_reset_state = e->console;
}

A26_SLOW void a26_reset_onto(a26_env_t *e, const a26_cartridge_t *c, tia_picture_t *picture) {
    if (c->post_reset_state) {
        a26_begin_game(e, c);
        A26_ASSIGN(e->console, *c->post_reset_state);
    } else {
        a26_reset_until_last(e, c);
    }
    a26_frame(e, c, 0, c->game.reset_frames != 0, picture);
}

/* Start a new game; `screen` gets its first picture. */
A26_SLOW void a26_reset_game(a26_env_t *e, const a26_cartridge_t *c, uint8_t *screen) {
    tia_picture_t picture;
    if (!screen) {
        a26_reset_onto(e, c, 0);
        return;
    }
    tia_begin_picture(&picture, screen, 0);
    a26_reset_onto(e, c, &picture);
    tia_complete(&picture);
}

/* ---- power-on -------------------------------------------------------------------------------- */

/* The console just switched on, after ALE has found out its television standard. The same each
 * time. */
A26_SLOW void a26_power_on(a26_env_t *e, const a26_cartridge_t *c) {
    a2600_t blank = {0};
    e->console = blank;
    a26_mt_seed(&e->machine, A26_MACHINE_SEED);
    for (int k = 0; k < A26_RAM_BYTES; k++) e->console.ram[k] = (uint8_t)a26_mt_next(&e->machine);
    a26_mt_next(&e->machine); /* a first reset of the timer, without effect */
    e->ohms[0] = e->ohms[1] = A26_PADDLE_CENTRE_OHMS;
    a26_press(e, &c->game, 0, 0);
    a26_system_reset(e, c);
    for (int k = 0; k < A26_IDLE_FRAMES; k++) a26_frame(e, c, 0, 0, 0);
    a26_system_reset(e, c);
    e->frame_number = 0;
}

/* ---- ends ------------------------------------------------------------------------------------ */

A26_FN int a26_truncated(const a26_env_t *e) {
    return e->max_frames > 0 && e->episode_frame_number >= e->max_frames;
}

A26_FN int a26_over(const a26_env_t *e) { return e->terminal || a26_truncated(e); }

/* True if the next frame may be an episode's last. */
A26_FN int a26_may_end(const a26_env_t *e, const a26_cartridge_t *c) {
    return (c->game.pong && a26_pong_near_end(e->console.ram))
           || (e->max_frames > 0 && e->episode_frame_number + 1 >= e->max_frames);
}

/* ---- act ------------------------------------------------------------------------------------- */

/* Count the frame, and read score and end. */
A26_FN void a26_after_frame(a26_env_t *e, const a26_cartridge_t *c) {
    e->frame_number++;
    e->episode_frame_number++;
    if (c->game.pong) {
        e->score = a26_pong_score(e->console.ram);
        e->terminal = (uint8_t)a26_pong_over(e->console.ram);
    }
}

/* Play `skip` frames of an action, fewer if the episode ends. The picture gets the last one. */
A26_SLOW int32_t a26_act_onto(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                              tia_picture_t *picture) {
    int32_t before = e->score;
    for (int32_t k = 0; k < skip; k++) {
        uint32_t now = a26_sticky_action(e, action);
        if (a26_over(e)) continue;
        tia_picture_t *drawn = k == skip - 1 || a26_may_end(e, c) ? picture : 0;
        if (drawn) tia_begin_picture(drawn, drawn->pixels, drawn->sparse);
        a26_frame(e, c, now, 0, drawn);
        a26_after_frame(e, c);
    }
    return e->score - before;
}

#endif
