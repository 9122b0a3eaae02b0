/* One game as AtariVectorEnv shows it: a stack of the newest 84x84 pictures, each the brightest of
 * a step's last two frames.
 *
 *   fastpg_dqn_reset(..)  start an episode; `stack` (depth, 84, 84), newest last
 *   fastpg_dqn_step(..)   one step; returns the reward
 *
 * The rules were found by comparison; tests/support/dqn_model.py states them all. The odd ones: the
 * frame that ends an episode is never looked at, and the step that it ends shows older frames. */
#ifndef FASTPG_DQN_STACK_H
#define FASTPG_DQN_STACK_H

#include <string.h>

#include "envs/gymnasium_game.h"
#include "envs/dqn_picture.h"

#define FASTPG_DQN_BYTES (A26_DQN_SIDE * A26_DQN_SIDE)

typedef struct {
    uint8_t kept[2][A26_SCREEN_BYTES]; /* the last step's two frames, if needed */
    uint8_t frames;                    /* how many are valid: 1 (the second) or 2 */
} fastpg_dqn_game_t;

/* Two pictures on a thread's scratch memory: of a step's last frame, and of the one before. */
typedef struct {
    tia_picture_t before, last;
} fastpg_dqn_canvas_t;

static void fastpg_dqn_canvas(fastpg_dqn_canvas_t *canvas, uint8_t *scratch) {
    tia_begin_picture(&canvas->before, scratch, 0);
    tia_begin_picture(&canvas->last, scratch + A26_SCREEN_BYTES, 0);
}

/* No step shorter than this leads from 19 points to the end. */
#define FASTPG_DQN_SHORT_SKIP 16

/* Keep the frames of this step if the next step may end the episode with its last frame: it then
 * shows them once more. */
static void fastpg_dqn_keep(fastpg_dqn_game_t *d, const a26_env_t *e, const a26_cartridge_t *c,
                            int32_t most_skip, const fastpg_dqn_canvas_t *canvas, int frames) {
    int near_limit = e->max_frames > 0 && e->episode_frame_number + most_skip >= e->max_frames;
    if (!near_limit && !a26_may_end(e, c) && most_skip <= FASTPG_DQN_SHORT_SKIP) return;
    d->frames = (uint8_t)frames;
    if (frames == 2) memcpy(d->kept[0], canvas->before.pixels, A26_SCREEN_BYTES);
    memcpy(d->kept[1], canvas->last.pixels, A26_SCREEN_BYTES);
}

/* The stack: black pictures, then the picture after the reset. */
static void fastpg_dqn_reset(fastpg_dqn_game_t *d, a26_gym_t *g, const a26_cartridge_t *c,
                             const a26_env_t *power_on_state, const a26_rules_t *rules,
                             const a26_seed_t *seed, const uint8_t *gray, uint8_t *scratch,
                             int64_t depth, uint8_t *stack) {
    fastpg_dqn_canvas_t canvas;
    fastpg_dqn_canvas(&canvas, scratch);
    a26_gym_reset(g, c, power_on_state, rules, seed, &canvas.last);
    tia_complete(&canvas.last);
    memset(stack, 0, (size_t)((depth - 1) * FASTPG_DQN_BYTES));
    fastpg_gray84(canvas.last.pixels, 0, gray, stack + (depth - 1) * FASTPG_DQN_BYTES);
    fastpg_dqn_keep(d, &g->env, c, rules->skip_high, &canvas, 1);
}

/* `newest`: the last step's newest picture, overwritten by this step's. Returns the reward. */
static int32_t fastpg_dqn_step(fastpg_dqn_game_t *d, a26_gym_t *g, const a26_cartridge_t *c,
                               const a26_rules_t *rules, uint32_t action, const uint8_t *gray,
                               uint8_t *scratch, uint8_t *newest) {
    fastpg_dqn_canvas_t canvas;
    a26_env_t *e = &g->env;
    int32_t frames = a26_pcg_integer(&g->random, rules->skip_low, rules->skip_high);
    int32_t reward = 0, ended = -1;
    fastpg_dqn_canvas(&canvas, scratch);
    for (int32_t k = 0; k < frames; k++) {
        tia_picture_t *shown = k == frames - 1   ? &canvas.last
                               : k == frames - 2 ? &canvas.before
                                                 : 0;
        reward += a26_act_onto(e, c, action, 1, shown);
        if (ended < 0 && a26_over(e)) ended = k;
    }
    if (frames == 1) { /* no maximum */
        tia_complete(&canvas.last);
        if (ended < 0) fastpg_gray84(canvas.last.pixels, 0, gray, newest);
    } else if (ended < 0) {
        tia_complete(&canvas.before);
        tia_complete(&canvas.last);
        fastpg_gray84(canvas.before.pixels, canvas.last.pixels, gray, newest);
    } else if (ended == frames - 1) {
        tia_complete(&canvas.before);
        if (d->frames == 2)
            fastpg_gray84_of_three(d->kept[0], d->kept[1], canvas.before.pixels, gray, newest);
        else
            fastpg_gray84(d->kept[1], canvas.before.pixels, gray, newest);
    }
    if (ended < 0) fastpg_dqn_keep(d, e, c, rules->skip_high, &canvas, frames == 1 ? 1 : 2);
    return reward;
}

#endif
