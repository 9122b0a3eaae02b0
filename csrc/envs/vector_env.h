/* A vector environment: one step or reset of many games, on a pool of threads, into arrays.
 *
 *   fastpg_step_task(v, i, thread)   step game i
 *   fastpg_reset_task(v, i, thread)  reset game i, if chosen
 *
 * Kinds of observations: rgb (210, 160, 3), grayscale and palette (210, 160), ram (128,), pong80
 * (80, 80) of 0 and 1, dqn (depth, 84, 84). */
#ifndef FASTPG_VECTOR_ENV_H
#define FASTPG_VECTOR_ENV_H

#include <string.h>

#include "envs/gymnasium_game.h"
#include "envs/view80.h"
#include "envs/dqn_stack.h"
#include "envs/thread_pool.h"

enum { FASTPG_RGB, FASTPG_GRAYSCALE, FASTPG_PALETTE, FASTPG_RAM, FASTPG_PONG80, FASTPG_DQN };
enum { FASTPG_NEXT_STEP, FASTPG_SAME_STEP, FASTPG_DISABLED };
enum { FASTPG_LIVES, FASTPG_EPISODE_FRAMES, FASTPG_FRAMES, FASTPG_INFOS };

typedef struct {
    uint8_t rgb[256][3], gray[256], red[256]; /* of each palette index */
} fastpg_colours_t;

typedef struct {
    a26_cartridge_t cartridge;
    const a26_env_t *power_on_state; /* from a26_power_on */
    a26_rules_t rules;
    const fastpg_colours_t *colours;
    int64_t games;
    a26_gym_t *game; /* (games,) */
    int kind, autoreset;
    int64_t bytes;                  /* of an observation */
    const uint8_t *emulator_action; /* (actions,): each action's number in the emulator */
    uint8_t *scratch;               /* (threads, 2, A26_SCREEN_BYTES) */
    fastpg_dqn_game_t *dqn;         /* (games,) for FASTPG_DQN; else 0 */
    uint8_t *stacks;                /* (games, bytes), likewise: the current observations */
    /* inputs and outputs: (games, ..); infos and final_infos: (FASTPG_INFOS, games) */
    const int64_t *actions;
    uint8_t *observations, *final_observations;
    double *rewards;
    uint8_t *terminations, *truncations;
    int64_t *infos, *final_infos;
    /* inputs of a reset: (games,) */
    const uint8_t *chosen, *seeded;
    const a26_seed_t *seeds;
} fastpg_vector_t;

/* ---- pictures -------------------------------------------------------------------------------- */

/* Rows that repeat another row are copied from its result. */
static void fastpg_show_rgb(const fastpg_colours_t *colours, const tia_picture_t *picture,
                            uint8_t *out) {
    const int64_t bytes = 3 * A26_SCREEN_WIDTH;
    for (int64_t y = 0; y < A26_SCREEN_HEIGHT; y++) {
        if (picture->same_as_row[y] != y) {
            memcpy(out + y * bytes, out + picture->same_as_row[y] * bytes, (size_t)bytes);
            continue;
        }
        const uint8_t *row = picture->pixels + y * A26_SCREEN_WIDTH;
        for (int x = 0; x < A26_SCREEN_WIDTH; x++)
            memcpy(out + y * bytes + 3 * x, colours->rgb[row[x]], 3);
    }
}

static void fastpg_show_gray(const fastpg_colours_t *colours, const tia_picture_t *picture,
                             uint8_t *out) {
    for (int64_t y = 0; y < A26_SCREEN_HEIGHT; y++) {
        if (picture->same_as_row[y] != y) {
            memcpy(out + y * A26_SCREEN_WIDTH, out + picture->same_as_row[y] * A26_SCREEN_WIDTH,
                   A26_SCREEN_WIDTH);
            continue;
        }
        const uint8_t *row = picture->pixels + y * A26_SCREEN_WIDTH;
        for (int x = 0; x < A26_SCREEN_WIDTH; x++)
            out[y * A26_SCREEN_WIDTH + x] = colours->gray[row[x]];
    }
}

/* Set same_as_row of a complete picture: a row that equals the row above repeats it. */
static void fastpg_find_same_rows(tia_picture_t *picture) {
    for (int64_t y = 1; y < A26_SCREEN_HEIGHT; y++) {
        const uint8_t *row = picture->pixels + y * A26_SCREEN_WIDTH;
        if (!memcmp(row, row - A26_SCREEN_WIDTH, A26_SCREEN_WIDTH))
            picture->same_as_row[y] = picture->same_as_row[y - 1];
    }
}

static uint8_t *fastpg_scratch(const fastpg_vector_t *v, int thread) {
    return v->scratch + 2 * (int64_t)thread * A26_SCREEN_BYTES;
}

/* Start the picture of an observation at `out`; returns 0 if none is needed. */
static tia_picture_t *fastpg_canvas(const fastpg_vector_t *v, int thread, uint8_t *out,
                                    tia_picture_t *canvas) {
    if (v->kind == FASTPG_RAM) return 0;
    tia_begin_picture(canvas, v->kind == FASTPG_PALETTE ? out : fastpg_scratch(v, thread),
                      v->kind == FASTPG_PONG80);
    return canvas;
}

static void fastpg_observe(const fastpg_vector_t *v, int64_t i, const tia_picture_t *canvas,
                           uint8_t *out) {
    switch (v->kind) {
    case FASTPG_RGB: fastpg_show_rgb(v->colours, canvas, out); break;
    case FASTPG_GRAYSCALE: fastpg_show_gray(v->colours, canvas, out); break;
    case FASTPG_RAM: memcpy(out, v->game[i].env.console.ram, A26_RAM_BYTES); break;
    case FASTPG_PONG80: a26_view(canvas, v->colours->red, 1, out); break;
    case FASTPG_DQN: memcpy(out, v->stacks + i * v->bytes, (size_t)v->bytes); break;
    default: /* palette: drawn in place, or in the place of the next episode's */
        tia_complete(canvas);
        if (out != canvas->pixels) memcpy(out, canvas->pixels, A26_SCREEN_BYTES);
    }
}

/* ---- games ----------------------------------------------------------------------------------- */

static void fastpg_inform(const fastpg_vector_t *v, int64_t i, int64_t *infos) {
    const a26_env_t *e = &v->game[i].env;
    infos[FASTPG_LIVES * v->games + i] = 0;
    infos[FASTPG_EPISODE_FRAMES * v->games + i] = e->episode_frame_number;
    infos[FASTPG_FRAMES * v->games + i] = e->frame_number;
}

static void fastpg_reset_one(const fastpg_vector_t *v, int64_t i, int thread,
                             const a26_seed_t *seed) {
    uint8_t *out = v->observations + i * v->bytes;
    tia_picture_t picture, *canvas = 0;
    if (v->kind == FASTPG_DQN) {
        fastpg_dqn_reset(&v->dqn[i], &v->game[i], &v->cartridge, v->power_on_state, &v->rules, seed,
                         v->colours->gray, fastpg_scratch(v, thread), v->bytes / FASTPG_DQN_BYTES,
                         v->stacks + i * v->bytes);
    } else {
        canvas = fastpg_canvas(v, thread, out, &picture);
        a26_gym_reset(&v->game[i], &v->cartridge, v->power_on_state, &v->rules, seed, canvas);
    }
    fastpg_observe(v, i, canvas, out);
    fastpg_inform(v, i, v->infos);
}

static void fastpg_clear_one(const fastpg_vector_t *v, int64_t i) {
    v->rewards[i] = 0;
    v->terminations[i] = v->truncations[i] = 0;
}

static void fastpg_step_task(void *context, int64_t i, int thread) {
    const fastpg_vector_t *v = context;
    if (v->autoreset == FASTPG_NEXT_STEP && (v->terminations[i] | v->truncations[i])) {
        fastpg_reset_one(v, i, thread, 0);
        fastpg_clear_one(v, i);
        return;
    }
    a26_env_t *e = &v->game[i].env;
    uint8_t *out = v->observations + i * v->bytes;
    const uint32_t action = v->emulator_action[v->actions[i]];
    tia_picture_t picture, *canvas = 0;
    if (v->kind == FASTPG_DQN) {
        uint8_t *stack = v->stacks + i * v->bytes, *newest = stack + v->bytes - FASTPG_DQN_BYTES;
        memmove(stack, stack + FASTPG_DQN_BYTES, (size_t)(v->bytes - FASTPG_DQN_BYTES));
        v->rewards[i] = fastpg_dqn_step(&v->dqn[i], &v->game[i], &v->cartridge, &v->rules, action,
                                        v->colours->gray, fastpg_scratch(v, thread), newest);
    } else {
        canvas = fastpg_canvas(v, thread, out, &picture);
        v->rewards[i] = a26_gym_step(&v->game[i], &v->cartridge, &v->rules, action, canvas);
    }
    v->terminations[i] = e->terminal;
    v->truncations[i] = (uint8_t)a26_truncated(e);
    if (a26_over(e) && v->autoreset == FASTPG_SAME_STEP) {
        fastpg_observe(v, i, canvas, v->final_observations + i * v->bytes);
        fastpg_inform(v, i, v->final_infos);
        fastpg_reset_one(v, i, thread, 0);
        return;
    }
    fastpg_observe(v, i, canvas, out);
    fastpg_inform(v, i, v->infos);
}

static void fastpg_reset_task(void *context, int64_t i, int thread) {
    const fastpg_vector_t *v = context;
    if (!v->chosen[i]) return;
    fastpg_reset_one(v, i, thread, v->seeded[i] ? &v->seeds[i] : 0);
    fastpg_clear_one(v, i);
}

#endif
