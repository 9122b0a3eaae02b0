/* Sticky actions: with some probability a frame repeats the action of the frame before.
 *
 *   a26_sticky_threshold(probability)  the probability as a bound for 32 random bits
 *   a26_sticky_action(e, action)       the action that the next frame gets */
#ifndef A26_STICKY_ACTIONS_H
#define A26_STICKY_ACTIONS_H

#include "envs/ale_state.h"

/* Random words below this keep the held action. */
A26_FN uint64_t a26_sticky_threshold(float probability) {
    if (!(probability > 0.0f)) /* NaN too */
        return 0;
    double words = (double)probability * 4294967296.0;
    uint64_t whole = (uint64_t)words;
    return whole + ((double)whole < words);
}

/* ALE draws two words a frame, one a player, whether or not the frame is emulated. */
A26_FN uint32_t a26_sticky_action(a26_env_t *e, uint32_t action) {
    if (!e->sticky_threshold) return action;
    if (a26_mt_next(&e->sticky) >= e->sticky_threshold) e->held = (uint8_t)action;
    a26_mt_next(&e->sticky);
    return e->held;
}

#endif
