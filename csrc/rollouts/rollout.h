/* Rollouts: many games played by the network, on a pool of threads. Per step: emulator, view,
 * tiles, forward pass, action. The functions are those of the environments, so the games are equal
 * to the last bit.
 *
 *   fastpg_rollout_task    play until all rows, or all planned episodes, are done
 *   fastpg_value_task      the value of the frame that a game has come to
 *   fastpg_shift_lookback  start a row over, with the frames that its next step looks back at
 *   fastpg_choose          one slot's action
 *
 * Each game writes into its own row of the buffer: slots begin..end-1, tiles up to tiles_end. */
#ifndef FASTPG_ROLLOUT_H
#define FASTPG_ROLLOUT_H

#include <float.h>
#include <time.h>

#include "envs/gymnasium_game.h"
#include "envs/view80.h"
#include "network/tile_network.h"
#include "envs/thread_pool.h"
#include "kernels/counter_uniforms.h"

#define FASTPG_FRAGMENT 512 /* steps of a game at a time: 3 ms */

typedef struct {
    a26_gym_t gym;
    uint64_t stream, step;    /* of the next action's random number */
    int64_t begin, end, slot; /* slot: of the frame to act upon */
    int64_t tile, tiles_end;  /* tile: the first free one */
    int64_t episodes, stride; /* episodes left, this one included; from one's number to the next */
    uint8_t between_episodes; /* the next episode has to be started */
    uint8_t busy;             /* a thread is playing it */
    double seconds_forward;
    fastpg_frame_sums_t *frame_sums; /* (blocks,) */
} fastpg_game_t;

typedef struct {
    const a26_cartridge_t *cartridge;
    const a26_env_t *power_on_state; /* from a26_power_on */
    a26_rules_t rules;
    const uint8_t *red;  /* (256,): of each palette index */
    int find_background; /* as in preprocess_palette */
    int whole_episodes;  /* instead of steps; each episode has a random stream of its own */
    int greedy;          /* the likeliest action instead of a drawn one */
    uint64_t seed;       /* of the actions */
    uint8_t emulator_action[FASTPG_MOST_OUTPUTS]; /* each action's number in the emulator */
    const fastpg_network_t *network;
    const fastpg_buffer_t *buffer;
    fastpg_game_t *game; /* (games,) */
    int64_t games;
    uint8_t *pixels; /* (threads, A26_SCREEN_BYTES): scratch */
    atomic_flag scheduler_lock;
} fastpg_rollout_t;

static double fastpg_seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- actions --------------------------------------------------------------------------------- */

/* Draw an action with a uniform number in [0, 1). */
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

/* The likeliest action; of equally likely ones the first. */
static uint8_t fastpg_likeliest(const float *probabilities, int64_t outputs) {
    if (outputs == 1) return probabilities[0] > 1.0f - probabilities[0];
    uint8_t best = 0;
    for (int64_t a = 1; a < outputs; a++)
        if (probabilities[a] > probabilities[best]) best = (uint8_t)a;
    return best;
}

/* Choose the slot's action, drawn or greedy. Write it, its probability and the value to the
 * buffer. */
static uint8_t fastpg_choose(const fastpg_network_t *n, const fastpg_buffer_t *r, int64_t slot,
                             uint64_t seed, uint64_t stream, uint64_t step, int greedy,
                             fastpg_frame_sums_t *frame_sums) {
    float heads[FASTPG_MOST_HEADS], uniform;
    fastpg_evaluate(n, r, slot, frame_sums, heads);
    fastpg_probabilities(heads, n->outputs);
    fastpg_philox(&stream, &step, seed, 1, &uniform);
    uint8_t action =
        greedy ? fastpg_likeliest(heads, n->outputs) : fastpg_sample(heads, n->outputs, uniform);
    const float action_prob = fastpg_action_prob(heads, n->outputs, action);
    /* ratios divide by it, and learning flushes denormals */
    r->action_probs[slot] = action_prob < FLT_MIN ? FLT_MIN : action_prob;
    if (n->heads > n->outputs) r->values[slot] = heads[n->outputs];
    return r->actions[slot] = action;
}

/* ---- playing --------------------------------------------------------------------------------- */

/* True if another step fits into the game's row. */
static int fastpg_row_has_capacity(const fastpg_game_t *g) {
    return g->slot + 1 < g->end && g->tiles_end - g->tile >= A26_VIEW_PIXELS;
}

/* Write the picture's view to the buffer, as the frame of the game's slot. */
static void fastpg_write_view(const fastpg_rollout_t *o, fastpg_game_t *g,
                              const tia_picture_t *picture, uint8_t episode_step) {
    const fastpg_buffer_t *r = o->buffer;
    uint8_t view[A26_VIEW_PIXELS];
    a26_row_group_t rows[A26_VIEW_SIDE];
    fastpg_view_bits_t bits;
    const uint32_t groups = a26_view_groups(picture, o->red, o->find_background, rows, view);
    for (uint32_t k = 0; k < groups; k++)
        fastpg_set_rows(&bits, view + rows[k].first * A26_VIEW_SIDE, rows[k].first, rows[k].times);
    const int64_t count = fastpg_write_tiles(&bits, r->tiles + g->tile, g->tiles_end - g->tile);
    r->tile_offsets[g->slot] = (uint32_t)g->tile;
    r->tile_counts[g->slot] = (uint16_t)count;
    r->episode_steps[g->slot] = episode_step;
    g->tile += count;
}

static void fastpg_begin_episode(const fastpg_rollout_t *o, fastpg_game_t *g, uint8_t *pixels) {
    tia_picture_t picture;
    tia_begin_picture(&picture, pixels, 1);
    a26_gym_reset(&g->gym, o->cartridge, o->power_on_state, &o->rules, 0, &picture);
    fastpg_write_view(o, g, &picture, 0);
    g->between_episodes = 0;
    if (o->whole_episodes) g->step = 0;
}

static void fastpg_play_step(const fastpg_rollout_t *o, fastpg_game_t *g, uint8_t *pixels) {
    tia_picture_t picture;
    const fastpg_buffer_t *r = o->buffer;
    double began = fastpg_seconds();
    uint8_t action = fastpg_choose(o->network, r, g->slot, o->seed, g->stream, g->step++, o->greedy,
                                   g->frame_sums);
    g->seconds_forward += fastpg_seconds() - began;
    tia_begin_picture(&picture, pixels, 1);
    int32_t reward =
        a26_gym_step(&g->gym, o->cartridge, &o->rules, o->emulator_action[action], &picture);
    r->rewards[g->slot] = (float)reward;
    uint8_t over = r->dones[g->slot] = (uint8_t)a26_over(&g->gym.env),
            episode_step = r->episode_steps[g->slot++];
    if (!over) {
        fastpg_write_view(o, g, &picture, episode_step < 255 ? (uint8_t)(episode_step + 1) : 255);
        return;
    }
    g->between_episodes = 1;
    if (o->whole_episodes) {
        g->stream += (uint64_t)g->stride;
        if (--g->episodes == 0) return;
    }
    fastpg_begin_episode(o, g, pixels);
}

/* Play up to `steps` steps of a game, or to the end of its row or of its last episode. */
static void fastpg_play(const fastpg_rollout_t *o, fastpg_game_t *g, int64_t steps,
                        uint8_t *pixels) {
    if (g->between_episodes && fastpg_row_has_capacity(g)) fastpg_begin_episode(o, g, pixels);
    while (steps-- > 0 && !g->between_episodes && fastpg_row_has_capacity(g))
        fastpg_play_step(o, g, pixels);
}

/* ---- scheduling ------------------------------------------------------------------------------ */

static int fastpg_can_play(const fastpg_rollout_t *o, const fastpg_game_t *g) {
    return !g->busy && fastpg_row_has_capacity(g) && (!o->whole_episodes || g->episodes > 0);
}

/* Hand back game `done` (-1: none), and take the playable game with the shortest row (-1: none
 * left). So all games near their ends together, and no thread stands idle for long. */
static int64_t fastpg_next_game(fastpg_rollout_t *o, int64_t done) {
    int64_t best = -1;
    while (atomic_flag_test_and_set_explicit(&o->scheduler_lock, memory_order_acquire))
        fastpg_relax();
    if (done >= 0) o->game[done].busy = 0;
    for (int64_t k = 0; k < o->games; k++) {
        const fastpg_game_t *g = &o->game[k];
        if (!fastpg_can_play(o, g)) continue;
        if (best < 0 || g->slot - g->begin < o->game[best].slot - o->game[best].begin) best = k;
    }
    if (best >= 0) o->game[best].busy = 1;
    atomic_flag_clear_explicit(&o->scheduler_lock, memory_order_release);
    return best;
}

/* One thread's share of a rollout. */
static void fastpg_rollout_task(void *context, int64_t i, int thread) {
    fastpg_rollout_t *o = context;
    uint8_t *pixels = o->pixels + (int64_t)thread * A26_SCREEN_BYTES;
    (void)i;
    for (int64_t k = fastpg_next_game(o, -1); k >= 0; k = fastpg_next_game(o, k))
        fastpg_play(o, &o->game[k], FASTPG_FRAGMENT, pixels);
}

/* ---- between rollouts ------------------------------------------------------------------------ */

/* Start a game's row over. Its frame and the `lookback` slots before it move to the row's begin. */
static void fastpg_shift_lookback(fastpg_game_t *g, const fastpg_buffer_t *r, int64_t lookback,
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

/* Write the value of the frame that game i has come to. */
static void fastpg_value_task(void *context, int64_t i, int thread) {
    fastpg_rollout_t *o = context;
    const fastpg_game_t *g = &o->game[i];
    float heads[FASTPG_MOST_HEADS];
    (void)thread;
    fastpg_evaluate(o->network, o->buffer, g->slot, g->frame_sums, heads);
    o->buffer->values[g->slot] = heads[o->network->outputs];
}

#endif
