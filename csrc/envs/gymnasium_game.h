/* One game as Gymnasium's registered environments play it: random frame skips, starts of random
 * no-ops, and both ends of an episode. fastpg/envs/ale_game.py does the same on ale-py.
 *
 *   a26_gym_reset(g, cartridge, power_on_state, rules, seed, picture)  start an episode
 *   a26_gym_step(g, cartridge, rules, action, picture)                 one agent step: the reward
 *
 * `picture` gets the last frame, if it is not 0. */
#ifndef A26_GYMNASIUM_GAME_H
#define A26_GYMNASIUM_GAME_H

#include "envs/ale_game.h"
#include "envs/pcg64.h"
#include "envs/snapshot_check.h"

typedef struct {
    int32_t skip_low, skip_high; /* frames a step: skip_low <= n < skip_high */
    int32_t noop_max;            /* no-op frames after a reset: 1..noop_max; 0: none */
    int32_t max_frames;          /* of an episode; 0: no limit */
    uint64_t sticky_threshold;   /* a26_sticky_threshold of the probability */
} a26_rules_t;

/* Random states of a seeded reset: from NumPy's SeedSequence. */
typedef struct {
    a26_pcg_t random;
    uint32_t sticky;
} a26_seed_t;

#define A26_GYM_LAYOUT_VERSION 2 /* raise it with every change of a26_gym_t outside of a2600_t */

typedef struct {
    a26_env_t env;
    a26_pcg_t random;
    int64_t past_frames; /* emulated before the last load of the ROM */
} a26_gym_t;

A26_SLOW void a26_gym_reset(a26_gym_t *g, const a26_cartridge_t *c, const a26_env_t *power_on_state,
                            const a26_rules_t *rules, const a26_seed_t *seed,
                            tia_picture_t *picture);
A26_FN int32_t a26_gym_step(a26_gym_t *g, const a26_cartridge_t *c, const a26_rules_t *rules,
                            uint32_t action, tia_picture_t *picture);

/* Load the ROM again. `power_on_state`: from a26_power_on. */
A26_SLOW void a26_gym_load(a26_gym_t *g, const a26_cartridge_t *c, const a26_env_t *power_on_state,
                           const a26_rules_t *rules, const a26_seed_t *seed) {
    g->past_frames += g->env.frame_number;
    A26_ASSIGN(g->env, *power_on_state);
    g->env.sticky_threshold = rules->sticky_threshold;
    g->env.max_frames = rules->max_frames;
    a26_mt_seed(&g->env.sticky, seed->sticky);
    g->random = seed->random;
    a26_reset_game(&g->env, c, 0);
}

/* With a seed all random numbers start over; with 0 they go on. */
A26_SLOW void a26_gym_reset(a26_gym_t *g, const a26_cartridge_t *c, const a26_env_t *power_on_state,
                            const a26_rules_t *rules, const a26_seed_t *seed,
                            tia_picture_t *picture) {
    if (seed) a26_gym_load(g, c, power_on_state, rules, seed);
    int idle = rules->noop_max > 0;
    a26_reset_onto(&g->env, c, idle ? 0 : picture);
    if (!idle) return;
    int32_t frames = a26_pcg_integer(&g->random, 1, rules->noop_max + 1);
    for (int32_t k = 0; k < frames; k++) {
        tia_picture_t *shown = k == frames - 1 ? picture : 0;
        a26_act_onto(&g->env, c, 0, 1, shown);
        if (a26_over(&g->env)) { /* as gymnasium.wrappers.AtariPreprocessing: reset, and go on */
            if (seed) a26_gym_load(g, c, power_on_state, rules, seed);
            if (shown) tia_begin_picture(shown, shown->pixels, shown->sparse);
            a26_reset_onto(&g->env, c, shown);
        }
    }
}

A26_FN int32_t a26_gym_step(a26_gym_t *g, const a26_cartridge_t *c, const a26_rules_t *rules,
                            uint32_t action, tia_picture_t *picture) {
    int32_t frames = a26_pcg_integer(&g->random, rules->skip_low, rules->skip_high);
    return a26_act_onto(&g->env, c, action, frames, picture);
}

#endif
