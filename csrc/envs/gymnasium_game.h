/* One game as Gymnasium's registered environments play it: frame skips drawn at random, starts of
 * up to so many idle frames, an episode's two ends. fastpg/envs/ale_game.py is the same on ale-py.
 */
#ifndef A26_GYM_H
#define A26_GYM_H

#include "envs/ale_game.h"

/* ---- NumPy's PCG64 and its bounded integers ------------------------------------------------- */

typedef struct {
    uint64_t state[2], increment[2]; /* high word first */
    uint32_t spare;                  /* the high half of the last output, if has_spare */
    uint32_t has_spare;
} a26_pcg_t;

/* Low 64 bits of a * b; the high ones into *high. */
A26_FN uint64_t a26_multiply(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t al = a & 0xFFFFFFFFu, ah = a >> 32, bl = b & 0xFFFFFFFFu, bh = b >> 32;
    uint64_t low = al * bl, mid = ah * bl + (low >> 32), other = al * bh + (mid & 0xFFFFFFFFu);
    *high = ah * bh + (mid >> 32) + (other >> 32);
    return other << 32 | (low & 0xFFFFFFFFu);
}

A26_FN uint64_t a26_pcg_next64(a26_pcg_t *g) {
    const uint64_t factor[2] = {2549297995355413924ull, 4865540595714422341ull};
    uint64_t high, low = a26_multiply(g->state[1], factor[1], &high);
    high += g->state[0] * factor[1] + g->state[1] * factor[0];
    g->state[1] = low + g->increment[1];
    g->state[0] = high + g->increment[0] + (g->state[1] < low);
    uint64_t x = g->state[0] ^ g->state[1];
    uint32_t turn = (uint32_t)(g->state[0] >> 58);
    return x >> turn | x << (-turn & 63u);
}

A26_FN uint32_t a26_pcg_next32(a26_pcg_t *g) {
    if (g->has_spare) {
        g->has_spare = 0;
        return g->spare;
    }
    uint64_t x = a26_pcg_next64(g);
    g->has_spare = 1;
    g->spare = (uint32_t)(x >> 32);
    return (uint32_t)x;
}

/* numpy.random.Generator.integers(low, high) of a range below 2**32: Lemire's rejection. */
A26_FN int32_t a26_pcg_integer(a26_pcg_t *g, int32_t low, int32_t high) {
    uint32_t count = (uint32_t)(high - low);
    if (count <= 1) return low; /* draws nothing */
    uint64_t scaled = (uint64_t)a26_pcg_next32(g) * count;
    if ((uint32_t)scaled < count) {
        uint32_t least = (0u - count) % count;
        while ((uint32_t)scaled < least) scaled = (uint64_t)a26_pcg_next32(g) * count;
    }
    return low + (int32_t)(scaled >> 32);
}

/* ---- the game -------------------------------------------------------------------------------- */

typedef struct {
    int32_t skip_low, skip_high; /* frames a step: skip_low <= n < skip_high */
    int32_t noop_max;            /* idle frames after a reset: 1..noop_max; 0 for none */
    int32_t most_frames;         /* of an episode; 0 for no limit */
    uint64_t sticky_least;       /* a26_sticky_least of the probability */
} a26_rules_t;

/* Where a seeded reset begins: from NumPy's SeedSequence. */
typedef struct {
    a26_pcg_t random;
    uint32_t sticky;
} a26_seed_t;

#define A26_GYM_LAYOUT_VERSION \
    2 /* to be raised with every change of a26_gym_t, but for A2600_LAYOUT_VERSION's */

typedef struct {
    a26_env_t env;
    a26_pcg_t random;
    int64_t past_frames; /* emulated before the last load */
} a26_gym_t;

/* Load the ROM anew; `powered` is what a26_power_on gives. */
A26_SLOW void a26_gym_load(a26_gym_t *g, const a26_cartridge_t *c, const a26_env_t *powered,
                           const a26_rules_t *rules, const a26_seed_t *seed) {
    g->past_frames += g->env.frame_number;
    A26_ASSIGN(g->env, *powered);
    g->env.sticky_least = rules->sticky_least;
    g->env.most_frames = rules->most_frames;
    a26_mt_seed(&g->env.sticky, seed->sticky);
    g->random = seed->random;
    a26_reset_game(&g->env, c, 0);
}

/* Begin an episode; with a seed, all random numbers anew. `picture`: of its last frame, or 0. */
A26_SLOW void a26_gym_reset(a26_gym_t *g, const a26_cartridge_t *c, const a26_env_t *powered,
                            const a26_rules_t *rules, const a26_seed_t *seed,
                            tia_picture_t *picture) {
    if (seed) a26_gym_load(g, c, powered, rules, seed);
    int idle = rules->noop_max > 0;
    a26_reset_onto(&g->env, c, idle ? 0 : picture);
    if (!idle) return;
    int32_t frames = a26_pcg_integer(&g->random, 1, rules->noop_max + 1);
    for (int32_t k = 0; k < frames; k++) {
        tia_picture_t *shown = k == frames - 1 ? picture : 0;
        a26_act_onto(&g->env, c, 0, 1, shown);
        if (a26_over(
                &g->env)) { /* as gymnasium.wrappers.AtariPreprocessing: begin anew, and go on */
            if (seed) a26_gym_load(g, c, powered, rules, seed);
            if (shown) tia_begin_picture(shown, shown->pixels, shown->sparse);
            a26_reset_onto(&g->env, c, shown);
        }
    }
}

/* One step; the picture of its last frame, if given. Returns the reward. */
A26_FN int32_t a26_gym_step(a26_gym_t *g, const a26_cartridge_t *c, const a26_rules_t *rules,
                            uint32_t action, tia_picture_t *picture) {
    int32_t frames = a26_pcg_integer(&g->random, rules->skip_low, rules->skip_high);
    return a26_act_onto(&g->env, c, action, frames, picture);
}

#endif
