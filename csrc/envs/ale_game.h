/* The game as an environment, with ALE's conventions: actions, sticky actions, reward, the end, and
 * what happens at load and reset. Facts from black-box comparison with ale-py (README.md). */
#ifndef A26_ALE_H
#define A26_ALE_H

#include "console/translated.h"
#include "games/pong_rules.h"

#define A26_ALE_ACTIONS 18
#define A26_PADDLE_CENTRE_OHMS 408823
#define A26_PADDLE_LEAST_OHMS 27450
#define A26_PADDLE_MOST_OHMS 790196
#define A26_PADDLE_STEP_OHMS 23000
#define A26_MACHINE_SEED 4753849u /* of the generator that fills RAM and timers: never changes */
#define A26_IDLE_FRAMES 60        /* without action after a system reset */
#define A26_LATEST_CYCLES \
    (1 << 25) /* of a frame: above A2600_ENDLESS_CYCLES, and what one frame adds */

/* ---- MT19937, as std::mt19937 ---------------------------------------------------------------- */

typedef struct {
    uint32_t word[624];
    uint32_t at;
} a26_mt_t;

A26_SLOW void a26_mt_seed(a26_mt_t *g, uint32_t seed) {
    g->word[0] = seed;
    for (uint32_t k = 1; k < 624; k++)
        g->word[k] = 1812433253u * (g->word[k - 1] ^ g->word[k - 1] >> 30) + k;
    g->at = 624;
}

A26_SLOW void a26_mt_twist(a26_mt_t *g) {
    for (uint32_t k = 0; k < 624; k++) {
        uint32_t y = (g->word[k] & 0x80000000u) | (g->word[k == 623 ? 0 : k + 1] & 0x7FFFFFFFu);
        g->word[k] = g->word[k >= 227 ? k - 227 : k + 397] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    g->at = 0;
}

A26_FN uint32_t a26_mt_next(a26_mt_t *g) {
    if (g->at >= 624) a26_mt_twist(g);
    uint32_t y = g->word[g->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

/* ---- the environment ------------------------------------------------------------------------- */

typedef struct {
    uint8_t paddles;      /* two paddles instead of two joysticks */
    uint8_t swapped;      /* player A's paddle is the second */
    uint8_t reset_frames; /* with the reset switch held */
    uint8_t pong;         /* reward and end are known */
    uint8_t whole;        /* every frame draws all lines */
} a26_game_t;

typedef struct {
    a2600_t console;
    a26_mt_t machine; /* RAM at power-on, timers at resets */
    a26_mt_t sticky;
    int32_t ohms[2];       /* of the paddles of players A and B */
    uint64_t sticky_least; /* a raw 32-bit word from here on takes the new action */
    int64_t frame_number, episode_frame_number;
    int32_t most_frames; /* an episode is cut off there; 0 never */
    int32_t score;
    uint8_t held;
    uint8_t terminal;
    uint8_t unused[6];
} a26_env_t;

A26_FN int a26_pressed(uint32_t action, uint32_t set) { return (int)(set >> (action & 31u) & 1u); }

/* Actions with each direction or the button in them, as sets of bits. */
#define A26_WITH_UP (1u << 2 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 | 1u << 15)
#define A26_WITH_RIGHT (1u << 3 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 14 | 1u << 16)
#define A26_WITH_LEFT (1u << 4 | 1u << 7 | 1u << 9 | 1u << 12 | 1u << 15 | 1u << 17)
#define A26_WITH_DOWN (1u << 5 | 1u << 8 | 1u << 9 | 1u << 13 | 1u << 16 | 1u << 17)
#define A26_WITH_FIRE (1u << 1 | 0x3FC00u)

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
    int fire = a26_pressed(action, A26_WITH_FIRE);
    if (game->paddles) {
        int32_t by = A26_PADDLE_STEP_OHMS
                     * (a26_pressed(action, A26_WITH_LEFT) - a26_pressed(action, A26_WITH_RIGHT));
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
    riot->swcha ^=
        (uint8_t)(a26_pressed(action, A26_WITH_UP) << 4 | a26_pressed(action, A26_WITH_DOWN) << 5
                  | a26_pressed(action, A26_WITH_LEFT) << 6
                  | a26_pressed(action, A26_WITH_RIGHT) << 7);
    t->fire[0] = fire ? 0 : 0x80;
}

/* What a game is played on: shared by all its environments, never written by them. */
typedef struct {
    const uint8_t *rom; /* A2600_ROM_BYTES */
    a2600_run_t run;    /* its translation, or 0: interpret */
    uint32_t summaries; /* bit per loop summary that the translation may use */
    a26_game_t game;
    const a2600_t *fresh; /* from a26_make_fresh, where reset_game always ends alike; or 0 */
} a26_cartridge_t;

/* A build for one game may name its translation here, or 0. The call is direct then: on a GPU,
 * calls by pointer keep their callers' registers out of the compiler's input_spec. */
#ifndef A26_RUN_OF
#define A26_RUN_OF(cartridge) ((cartridge)->run)
#endif

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

/* The reset of a new game, before its first frames. */
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

/* The beginning of a new game, up to the last frame of ALE's sequence. */
A26_SLOW void a26_reset_until_last(a26_env_t *e, const a26_cartridge_t *c) {
    a26_begin_game(e, c);
    for (int k = 0; k < a26_reset_frames(c) - 1; k++) a26_frame(e, c, 0, k >= A26_IDLE_FRAMES, 0);
}

/* What reset_game may copy instead of emulating it: valid for all environments of a game whose
 * reset always ends in the same state, as Pong's does (its code clears all RAM and sets the timer
 * first). */
A26_SLOW void a26_make_fresh(a26_env_t *e, const a26_cartridge_t *c, a2600_t *fresh) {
    a26_reset_until_last(e, c);
    *fresh = e->console;
}

A26_SLOW void a26_reset_onto(a26_env_t *e, const a26_cartridge_t *c, tia_picture_t *picture) {
    if (c->fresh) {
        a26_begin_game(e, c);
        A26_ASSIGN(e->console, *c->fresh);
    } else {
        a26_reset_until_last(e, c);
    }
    a26_frame(e, c, 0, c->game.reset_frames != 0, picture);
}

/* A new game. `screen` shows its first picture then, if given. */
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

/* The console as it is switched on, its television standard found out: what a load begins with. The
 * same each time. */
A26_SLOW void a26_power_on(a26_env_t *e, const a26_cartridge_t *c) {
    a2600_t blank = {0};
    e->console = blank;
    a26_mt_seed(&e->machine, A26_MACHINE_SEED);
    for (int k = 0; k < 128; k++) e->console.ram[k] = (uint8_t)a26_mt_next(&e->machine);
    a26_mt_next(&e->machine); /* a first reset of the timer, which nothing sees */
    e->ohms[0] = e->ohms[1] = A26_PADDLE_CENTRE_OHMS;
    a26_press(e, &c->game, 0, 0);
    a26_system_reset(e, c);
    for (int k = 0; k < A26_IDLE_FRAMES; k++) a26_frame(e, c, 0, 0, 0);
    a26_system_reset(e, c);
    e->frame_number = 0;
}

/* As ALE's loadROM: everything from the beginning. */
A26_SLOW void a26_load(a26_env_t *e, const a26_cartridge_t *c, uint32_t seed, uint8_t *screen) {
    a26_power_on(e, c);
    a26_mt_seed(&e->sticky, seed);
    a26_reset_game(e, c, screen);
}

/* Raw 32-bit words below this keep the action held. */
A26_FN uint64_t a26_sticky_least(float probability) {
    if (!(probability > 0.0f)) /* NaN too */
        return 0;
    double words = (double)probability * 4294967296.0;
    uint64_t whole = (uint64_t)words;
    return whole + ((double)whole < words);
}

A26_FN int a26_truncated(const a26_env_t *e) {
    return e->most_frames > 0 && e->episode_frame_number >= e->most_frames;
}

A26_FN int a26_over(const a26_env_t *e) { return e->terminal || a26_truncated(e); }

/* Whether the next frame may be an episode's last. */
A26_FN int a26_may_end(const a26_env_t *e, const a26_cartridge_t *c) {
    return (c->game.pong && a26_pong_near_end(e->console.ram))
           || (e->most_frames > 0 && e->episode_frame_number + 1 >= e->most_frames);
}

/* What the next frame gets of the action that is asked for: sticky actions draw two words a frame,
 * one a player, whether or not it is emulated. */
A26_FN uint32_t a26_stick(a26_env_t *e, uint32_t action) {
    if (!e->sticky_least) return action;
    if (a26_mt_next(&e->sticky) >= e->sticky_least) e->held = (uint8_t)action;
    a26_mt_next(&e->sticky);
    return e->held;
}

A26_FN void a26_after_frame(a26_env_t *e, const a26_cartridge_t *c) {
    e->frame_number++;
    e->episode_frame_number++;
    if (c->game.pong) {
        e->score = a26_pong_score(e->console.ram);
        e->terminal = (uint8_t)a26_pong_over(e->console.ram);
    }
}

A26_SLOW int32_t a26_act_onto(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                              tia_picture_t *picture) {
    int32_t before = e->score;
    for (int32_t k = 0; k < skip; k++) {
        uint32_t now = a26_stick(e, action);
        if (a26_over(e)) continue;
        tia_picture_t *drawn = k == skip - 1 || a26_may_end(e, c) ? picture : 0;
        if (drawn) tia_begin_picture(drawn, drawn->pixels, drawn->sparse);
        a26_frame(e, c, now, 0, drawn);
        a26_after_frame(e, c);
    }
    return e->score - before;
}

/* ALE's act: `skip` frames of an action, the last one that is played drawn if `screen` is given.
 * Returns the reward. */
A26_SLOW int32_t a26_act(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, int32_t skip,
                         uint8_t *screen) {
    tia_picture_t picture;
    if (!screen) return a26_act_onto(e, c, action, skip, 0);
    tia_begin_picture(&picture, screen, 0);
    int32_t reward = a26_act_onto(e, c, action, skip, &picture);
    tia_complete(&picture);
    return reward;
}

/* ---- states from elsewhere --------------------------------------------------------------------
 */

A26_FN int a26_within(int64_t value, int64_t least, int64_t most) {
    return value >= least && value <= most;
}

/* What is long past grows no older than a2600_earlier lets it. */
A26_FN int a26_clock_valid(int32_t clock) {
    return a26_within(clock, A2600_LONG_AGO_CLOCKS - 3ll * A26_LATEST_CYCLES,
                      3ll * A26_LATEST_CYCLES);
}

A26_FN int a26_tia_valid(const tia_t *t) {
    int valid =
        a26_within(t->last_clock, TIA_WINDOW_BEGIN_CLOCKS, TIA_WINDOW_END_CLOCKS)
        && a26_clock_valid(t->touched_clock) && a26_clock_valid(t->hmove_clock)
        && (t->vsync_finish_clock == TIA_NEVER_CLOCKS || a26_clock_valid(t->vsync_finish_clock))
        && t->enabled < 1 << TIA_OBJECTS && t->cosmic_step < 4;
    for (int n = 0; n < 5; n++) valid = valid && t->pos[n] < TIA_WIDTH && t->hm[n] < 16;
    return valid;
}

/* Whether a state that was not made here can be played: nothing in it leads out of the picture or
 * the tables. It need not be one that a game can reach. Of the times that wrap, the timer's, a
 * paddle's release and an endless frame's start, none is wrong. */
A26_SLOW int a26_env_valid(const a26_env_t *e) {
    const a2600_t *s = &e->console;
    uint8_t shift = s->riot.shift;
    int valid = a26_tia_valid(&s->tia) && (shift == 0 || shift == 3 || shift == 6 || shift == 10)
                && a26_within(s->cycle, 0, A26_LATEST_CYCLES) && s->error <= A2600_BAD_OPCODE
                && a26_within(e->score, -255, 255) && e->held < A26_ALE_ACTIONS
                && e->frame_number >= 0 && e->episode_frame_number >= 0;
    for (int n = 0; n < 2; n++)
        valid = valid && a26_within(e->ohms[n], A26_PADDLE_LEAST_OHMS, A26_PADDLE_MOST_OHMS);
    return valid;
}

#endif
