/* Controllers: ALE's 18 actions as joystick lines, or as turns of a paddle.
 *
 *   a26_press(e, game, action, reset_switch)  set the console's inputs for the next frame */
#ifndef A26_CONTROLLERS_H
#define A26_CONTROLLERS_H

#include "envs/ale_state.h"

#define A26_PADDLE_CENTRE_OHMS 408823
#define A26_PADDLE_LEAST_OHMS 27450
#define A26_PADDLE_MOST_OHMS 790196
#define A26_PADDLE_STEP_OHMS 23000

/* Sets of actions, a bit each: those with a direction, or with the button. */
#define A26_WITH_UP (1u << 2 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 15)
#define A26_WITH_RIGHT (1u << 3 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 14 | 1u << 16)
#define A26_WITH_LEFT (1u << 4 | 1u << 7 | 1u << 9 | 1u << 12 | 1u << 15 | 1u << 17)
#define A26_WITH_DOWN (1u << 5 | 1u << 8 | 1u << 9 | 1u << 13 | 1u << 16 | 1u << 17)
#define A26_WITH_FIRE (1u << 1 | 0x3FC00u)

A26_FN int a26_action_has(uint32_t action, uint32_t set) {
    return (int)(set >> (action & 31u) & 1u);
}

/* Cycles until a paddle input reads as charged. */
A26_FN uint32_t a26_charge_cycles(int32_t ohms) {
    return (uint32_t)((1.6 * ohms * 0.01e-6) * 1.19e6);
}

A26_FN void a26_press(a26_env_t *e, const a26_game_t *game, uint32_t action, int reset_switch) {
    tia_t *t = &e->console.tia;
    riot_t *riot = &e->console.riot;
    riot->swchb = reset_switch ? 0x3E : 0x3F;
    riot->swcha = 0xFF;
    t->fire[0] = t->fire[1] = 0x80;
    int fire = a26_action_has(action, A26_WITH_FIRE);
    if (game->paddles) {
        int32_t by =
            A26_PADDLE_STEP_OHMS
            * (a26_action_has(action, A26_WITH_LEFT) - a26_action_has(action, A26_WITH_RIGHT));
        int32_t ohms = e->ohms[0] + by;
        ohms = ohms < A26_PADDLE_LEAST_OHMS ? A26_PADDLE_LEAST_OHMS : ohms;
        e->ohms[0] = ohms > A26_PADDLE_MOST_OHMS ? A26_PADDLE_MOST_OHMS : ohms;
        t->paddle_cycles[game->swapped] = a26_charge_cycles(e->ohms[0]);
        t->paddle_cycles[!game->swapped] = a26_charge_cycles(e->ohms[1]);
        t->paddle_cycles[2] = t->paddle_cycles[3] = TIA_PADDLE_SHORTED;
        if (fire) riot->swcha = game->swapped ? 0xBF : 0x7F;
        return;
    }
    for (int n = 0; n < 4; n++) t->paddle_cycles[n] = TIA_PADDLE_OPEN;
    riot->swcha ^= (uint8_t)(a26_action_has(action, A26_WITH_UP) << 4
                             | a26_action_has(action, A26_WITH_DOWN) << 5
                             | a26_action_has(action, A26_WITH_LEFT) << 6
                             | a26_action_has(action, A26_WITH_RIGHT) << 7);
    t->fire[0] = fire ? 0 : 0x80;
}

#endif
