/* For tests: ALE's loadROM and act, on a screen (210, 160) of palette indices or, with 0, on
 * none. */
#ifndef FASTPG_TESTS_ALE_CALLS_H
#define FASTPG_TESTS_ALE_CALLS_H

#include "envs/ale_game.h"

/* Start everything from the beginning. `seed`: of sticky actions. */
A26_SLOW void a26_load(a26_env_t *e, const a26_cartridge_t *c, uint32_t seed, uint8_t *screen) {
    a26_power_on(e, c);
    a26_mt_seed(&e->sticky, seed);
    a26_reset_game(e, c, screen);
}

/* Play `skip` frames of an action. The screen gets the last one that is played. Returns the
 * reward. */
A26_SLOW int32_t a26_act(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                         uint8_t *screen) {
    tia_picture_t picture;
    if (!screen) return a26_act_onto(e, c, action, skip, 0);
    tia_begin_picture(&picture, screen, 0);
    int32_t reward = a26_act_onto(e, c, action, skip, &picture);
    tia_complete(&picture);
    return reward;
}

#endif
