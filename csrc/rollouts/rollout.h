/* Many games played by the network: emulator, view, tiles, forward, action, step after step, on a
 * pool of threads. The functions are those of the environments, so the games are theirs to the last
 * bit. */
#ifndef FASTPG_ROLLOUT_H
#define FASTPG_ROLLOUT_H

#include <float.h>
#include <time.h>

#include "envs/gymnasium_game.h"
#include "envs/view80.h"
#include "network/tile_network.h"
#include "envs/thread_pool.h"
#include "kernels/pictures_sampling.h"

#define FASTPG_FRAGMENT 512 /* steps of a game at a time: 3 ms */

/* A game, and its row of the buffer. Slots from `begin` to `end`, and tiles to `tiles_end`, are its
 * own. */
typedef struct {
    a26_gym_t gym;
    uint64_t stream, step;    /* of the next action's random number */
    int64_t begin, end, slot; /* slot: of the frame to act upon */
    int64_t tile, tiles_end;  /* tile: the first that is free */
    int64_t episodes,
        stride;      /* still to be played, this one among them; from one's number to the next */
    uint8_t between; /* two episodes: the next has to begin */
    uint8_t busy;
    double seconds_forward;
    fastpg_latest_t *latest; /* (blocks,) */
} fastpg_game_t;

typedef struct {
    const a26_cartridge_t *cartridge;
    const a26_env_t *powered; /* what a26_power_on gives */
    a26_rules_t rules;
    const uint8_t *red;  /* of each palette index */
    int find_background; /* as preprocess_palette */
    int whole;           /* episodes, each with a stream of its own, instead of steps */
    int greedy;          /* the likeliest action, instead of a drawn one */
    uint64_t seed;       /* of the actions */
    uint8_t emulator_action[FASTPG_MOST_OUTPUTS]; /* of each action */
    const fastpg_network_t *network;
    const fastpg_record_t *buffer;
    fastpg_game_t *game;
    int64_t games;
    uint8_t *pixels; /* a picture's scratch memory a thread */
    atomic_flag choosing;
} fastpg_rollout_t;

static double fastpg_seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint8_t fastpg_sample(const float *probabilities, int64_t outputs, float uniform) {
    if (outputs == 1) return uniform < probabilities[0];
    float cumulative = 0;
    uint8_t action = 0;
    for (int64_t a = 0; a < outputs - 1; a++) {
        cumulative += probabilities[a];
        action += uniform >= cumulative;
    }
    return action;
}

/* The likeliest action, of equals the first. */
static uint8_t fastpg_likeliest(const float *probabilities, int64_t outputs) {
    if (outputs == 1) return probabilities[0] > 1.0f - probabilities[0];
    uint8_t best = 0;
    for (int64_t a = 1; a < outputs; a++)
        if (probabilities[a] > probabilities[best]) best = (uint8_t)a;
    return best;
}

/* Whether another step fits into the game's row. */
static int fastpg_has_room(const fastpg_game_t *g) {
    return g->slot + 1 < g->end && g->tiles_end - g->tile >= FASTPG_TILE_PIXELS;
}

/* Write the picture's view down as the frame of the game's slot. */
static void fastpg_look(const fastpg_rollout_t *o, fastpg_game_t *g, const tia_picture_t *picture,
                        uint8_t age) {
    const fastpg_record_t *r = o->buffer;
    uint8_t view[A26_VIEW_BYTES];
    a26_rows_t rows[TIA_VIEW_SIDE];
    fastpg_view_bits_t bits;
    const uint32_t groups = a26_view_groups(picture, o->red, o->find_background, rows, view);
    for (uint32_t k = 0; k < groups; k++)
        fastpg_set_rows(&bits, view + rows[k].first * TIA_VIEW_SIDE, rows[k].first, rows[k].times);
    const int64_t count = fastpg_write_tiles(&bits, r->tiles + g->tile, g->tiles_end - g->tile);
    r->tile_offsets[g->slot] = (uint32_t)g->tile;
    r->tile_counts[g->slot] = (uint16_t)count;
    r->episode_steps[g->slot] = age;
    g->tile += count;
}

static void fastpg_begin_episode(const fastpg_rollout_t *o, fastpg_game_t *g, uint8_t *pixels) {
    tia_picture_t picture;
    tia_begin_picture(&picture, pixels, 1);
    a26_gym_reset(&g->gym, o->cartridge, o->powered, &o->rules, 0, &picture);
    fastpg_look(o, g, &picture, 0);
    g->between = 0;
    if (o->whole) g->step = 0;
}

/* Choose the slot's action, drawn or `greedy`, and write down how. */
static uint8_t fastpg_choose(const fastpg_network_t *n, const fastpg_record_t *r, int64_t slot,
                             uint64_t seed, uint64_t stream, uint64_t step, int greedy,
                             fastpg_latest_t *latest) {
    float heads[FASTPG_MOST_HEADS], uniform;
    fastpg_evaluate(n, r, slot, latest, heads);
    fastpg_probabilities(heads, n->outputs);
    fastpg_philox(&stream, &step, seed, 1, &uniform);
    uint8_t action =
        greedy ? fastpg_likeliest(heads, n->outputs) : fastpg_sample(heads, n->outputs, uniform);
    const float chance = fastpg_chance(heads, n->outputs, action);
    r->action_probs[slot] = chance < FLT_MIN
                                ? FLT_MIN
                                : chance; /* ratios divide by it; learning flushes what is less */
    if (n->heads > n->outputs) r->values[slot] = heads[n->outputs];
    return r->actions[slot] = action;
}

static void fastpg_play_step(const fastpg_rollout_t *o, fastpg_game_t *g, uint8_t *pixels) {
    tia_picture_t picture;
    const fastpg_record_t *r = o->buffer;
    double began = fastpg_seconds();
    uint8_t action =
        fastpg_choose(o->network, r, g->slot, o->seed, g->stream, g->step++, o->greedy, g->latest);
    g->seconds_forward += fastpg_seconds() - began;
    tia_begin_picture(&picture, pixels, 1);
    int32_t reward =
        a26_gym_step(&g->gym, o->cartridge, &o->rules, o->emulator_action[action], &picture);
    r->rewards[g->slot] = (float)reward;
    uint8_t over = r->dones[g->slot] = (uint8_t)a26_over(&g->gym.env),
            age = r->episode_steps[g->slot++];
    if (!over) {
        fastpg_look(o, g, &picture, age < 255 ? (uint8_t)(age + 1) : 255);
        return;
    }
    g->between = 1;
    if (o->whole) {
        g->stream += (uint64_t)g->stride;
        if (--g->episodes == 0) return;
    }
    fastpg_begin_episode(o, g, pixels);
}

/* Play some steps of a game; it stops by itself where its row, or its last episode, ends. */
static void fastpg_play(const fastpg_rollout_t *o, fastpg_game_t *g, int64_t steps,
                        uint8_t *pixels) {
    if (g->between && fastpg_has_room(g)) fastpg_begin_episode(o, g, pixels);
    while (steps-- > 0 && !g->between && fastpg_has_room(g)) fastpg_play_step(o, g, pixels);
}

static int fastpg_waits(const fastpg_rollout_t *o, const fastpg_game_t *g) {
    return !g->busy && fastpg_has_room(g) && (!o->whole || g->episodes > 0);
}

/* Of the games that can go on the one with the shortest row, so that all near their ends together
 * and no thread stands idle for long; -1 if there is none. */
static int64_t fastpg_next_game(fastpg_rollout_t *o, int64_t done) {
    int64_t best = -1;
    while (atomic_flag_test_and_set_explicit(&o->choosing, memory_order_acquire)) fastpg_relax();
    if (done >= 0) o->game[done].busy = 0;
    for (int64_t k = 0; k < o->games; k++) {
        const fastpg_game_t *g = &o->game[k];
        if (!fastpg_waits(o, g)) continue;
        if (best < 0 || g->slot - g->begin < o->game[best].slot - o->game[best].begin) best = k;
    }
    if (best >= 0) o->game[best].busy = 1;
    atomic_flag_clear_explicit(&o->choosing, memory_order_release);
    return best;
}

/* A thread's share of the playing. */
static void fastpg_rollout_task(void *context, int64_t piece, int thread) {
    fastpg_rollout_t *o = context;
    uint8_t *pixels = o->pixels + (int64_t)thread * A2600_SCREEN_BYTES;
    (void)piece;
    for (int64_t k = fastpg_next_game(o, -1); k >= 0; k = fastpg_next_game(o, k))
        fastpg_play(o, &o->game[k], FASTPG_FRAGMENT, pixels);
}

/* Begin a game's row anew with what its next steps look back at: its frame, and `lookback` slots
 * before it. */
static void fastpg_carry(fastpg_game_t *g, const fastpg_record_t *r, int64_t lookback,
                         int64_t first_tile) {
    g->tile = first_tile;
    for (int64_t k = 0; k <= lookback; k++) {
        const int64_t from = g->slot - lookback + k, to = g->begin + k;
        memmove(r->tiles + g->tile, r->tiles + r->tile_offsets[from],
                r->tile_counts[from] * sizeof(uint16_t));
        r->tile_counts[to] = r->tile_counts[from];
        r->episode_steps[to] = r->episode_steps[from];
        r->actions[to] = r->actions[from];
        r->tile_offsets[to] = (uint32_t)g->tile;
        g->tile += r->tile_counts[to];
    }
    g->slot = g->begin + lookback;
}

/* The value of the frame that a game has come to. */
static void fastpg_value_task(void *context, int64_t piece, int thread) {
    fastpg_rollout_t *o = context;
    const fastpg_game_t *g = &o->game[piece];
    float heads[FASTPG_MOST_HEADS];
    (void)thread;
    fastpg_evaluate(o->network, o->buffer, g->slot, g->latest, heads);
    o->buffer->values[g->slot] = heads[o->network->outputs];
}

#endif
