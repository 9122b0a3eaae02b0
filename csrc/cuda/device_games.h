/* Games on a GPU: what one thread does with one game, and with one view. Plain C, which the CPU's
 * compiler takes too; the tests call the same functions there.
 *
 *   fastpg_device_begin(..)  start an episode
 *   fastpg_device_play(..)   play steps, through the ends of episodes
 *   fastpg_device_step(..)   play one step, and stop at an end
 *   fastpg_device_tiles(..)  a view's tiles
 *
 * The functions are those of the environments (envs/vector_env.h), so the games are equal to the
 * last bit. No pointer outlives a call: states, and what games share, travel between CPU and GPU as
 * bytes.
 *
 * A view is (400,) uint16: its bits row by row, the first pixel of each word lowest. */
#ifndef FASTPG_DEVICE_GAMES_H
#define FASTPG_DEVICE_GAMES_H

#include "envs/gymnasium_game.h"
#include "envs/view80.h"
#include "network/tiles.h"

/* A build names its ROM's translation here. Without it everything is interpreted. */
#ifndef FASTPG_DEVICE_RUN
#define FASTPG_DEVICE_RUN ((a2600_run_t)0)
#endif

#define FASTPG_DEVICE_WORDS (A26_VIEW_PIXELS / 16) /* of a view */
#define FASTPG_DEVICE_ROW_WORDS (A26_VIEW_SIDE / 16)
/* Scratch of a game: a picture, then its view's pixels as bytes. */
#define FASTPG_DEVICE_SCRATCH_BYTES (A26_SCREEN_BYTES + A26_VIEW_PIXELS)
#define FASTPG_DEVICE_ACTIONS 32

/* What all games share. */
typedef struct {
    a26_env_t power_on_state; /* from a26_power_on */
    a2600_t post_reset_state; /* from a26_make_post_reset_state, if has_post_reset_state */
    a26_rules_t rules;
    int32_t find_background; /* as in preprocess_palette */
    uint32_t summaries;
    a26_game_t game;
    uint8_t has_post_reset_state;
    uint8_t emulator_action[FASTPG_DEVICE_ACTIONS]; /* each action's number in the emulator */
    uint8_t red[256];                               /* of each palette index */
    uint8_t rom[A26_ROM_BYTES];
} fastpg_shared_t;

A26_FN a26_cartridge_t fastpg_device_cartridge(const fastpg_shared_t *shared) {
    const a26_cartridge_t cartridge = {
        shared->rom, FASTPG_DEVICE_RUN, shared->summaries, shared->game,
        shared->has_post_reset_state ? &shared->post_reset_state : 0};
    return cartridge;
}

/* Eight bytes of 0 and 1 as bits, the first lowest. */
A26_FN uint32_t fastpg_device_bits(const uint8_t *bytes) {
    uint64_t word;
    A26_COPY_WORD(&word, bytes);
    return (uint32_t)fastpg_bits(word);
}

/* Write a picture's view as bits. */
A26_SLOW void fastpg_device_write_view(const fastpg_shared_t *shared, const tia_picture_t *picture,
                                       uint16_t *view) {
    uint8_t *bytes = picture->pixels + A26_SCREEN_BYTES;
    a26_row_group_t rows[A26_VIEW_SIDE];
    const uint32_t groups =
        a26_view_groups(picture, shared->red, shared->find_background, rows, bytes);
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *row = bytes + rows[g].first * A26_VIEW_SIDE;
        for (uint32_t k = 0; k < FASTPG_DEVICE_ROW_WORDS; k++) {
            const uint32_t bits =
                fastpg_device_bits(row + 16 * k) | fastpg_device_bits(row + 16 * k + 8) << 8;
            for (uint32_t y = rows[g].first; y < (uint32_t)rows[g].first + rows[g].times; y++)
                view[y * FASTPG_DEVICE_ROW_WORDS + k] = (uint16_t)bits;
        }
    }
}

/* Start an episode of game `n`, with row `n` of `seeds`, or, if that is 0, with random numbers that
 * go on. Row `n` of `views`, if not 0, gets its first view. `scratch`: FASTPG_DEVICE_SCRATCH_BYTES
 * a game. */
A26_SLOW int32_t fastpg_device_begin(a26_gym_t *games, const fastpg_shared_t *shared,
                                     const a26_seed_t *seeds, uint8_t *scratch, uint16_t *views,
                                     int32_t n) {
    const a26_cartridge_t cartridge = fastpg_device_cartridge(shared);
    tia_picture_t picture;
    a26_gym_t *const game = games + n;
    if (views) tia_begin_picture(&picture, scratch + (int64_t)n * FASTPG_DEVICE_SCRATCH_BYTES, 1);
    a26_gym_reset(game, &cartridge, &shared->power_on_state, &shared->rules, seeds ? seeds + n : 0,
                  views ? &picture : 0);
    if (views) fastpg_device_write_view(shared, &picture, views + (int64_t)n * FASTPG_DEVICE_WORDS);
    return 1;
}

/* How the episode has ended: 0 not, 1 terminated, 2 truncated, 3 both. */
A26_FN uint8_t fastpg_device_end(const a26_env_t *env) {
    return (uint8_t)((env->terminal ? 1 : 0) | (a26_truncated(env) ? 2 : 0));
}

/* Play `steps` steps of game `n`. A step that ends an episode starts the next one. Arrays are
 * (steps, count): actions; rewards; ends, as of fastpg_device_end; views after the step, of a new
 * episode its first (or 0: nothing is drawn). Returns how many episodes ended. */
A26_SLOW int32_t fastpg_device_play(a26_gym_t *games, const fastpg_shared_t *shared,
                                    const uint8_t *actions, uint8_t *scratch, float *rewards,
                                    uint8_t *ends, uint16_t *views, int32_t n, int32_t count,
                                    int32_t steps) {
    const a26_cartridge_t cartridge = fastpg_device_cartridge(shared);
    uint8_t *pixels = views ? scratch + (int64_t)n * FASTPG_DEVICE_SCRATCH_BYTES : 0;
    tia_picture_t picture, *drawn = views ? &picture : 0;
    int32_t ended = 0;
    a26_gym_t *const game = games + n;
    for (int32_t t = 0; t < steps; t++) {
        const int64_t at = (int64_t)t * count + n;
        const uint32_t action =
            actions[at] < FASTPG_DEVICE_ACTIONS ? shared->emulator_action[actions[at]] : 0;
        if (drawn) tia_begin_picture(&picture, pixels, 1);
        rewards[at] = (float)a26_gym_step(game, &cartridge, &shared->rules, action, drawn);
        ends[at] = fastpg_device_end(&game->env);
        if (ends[at]) {
            ended++;
            if (drawn) tia_begin_picture(&picture, pixels, 1);
            a26_gym_reset(game, &cartridge, &shared->power_on_state, &shared->rules, 0, drawn);
        }
        if (drawn) fastpg_device_write_view(shared, &picture, views + at * FASTPG_DEVICE_WORDS);
    }
    return ended;
}

/* Play one step of game `n` and start no new episode. Arrays have a row per game, as those of
 * fastpg_device_play. No view is written at an episode's end. Returns the end. */
A26_SLOW int32_t fastpg_device_step(a26_gym_t *games, const fastpg_shared_t *shared,
                                    const uint8_t *actions, uint8_t *scratch, float *rewards,
                                    uint8_t *ends, uint16_t *views, int32_t n) {
    const a26_cartridge_t cartridge = fastpg_device_cartridge(shared);
    const uint32_t action =
        actions[n] < FASTPG_DEVICE_ACTIONS ? shared->emulator_action[actions[n]] : 0;
    tia_picture_t picture;
    a26_gym_t *const game = games + n;
    tia_begin_picture(&picture, scratch + (int64_t)n * FASTPG_DEVICE_SCRATCH_BYTES, 1);
    rewards[n] = (float)a26_gym_step(game, &cartridge, &shared->rules, action, &picture);
    ends[n] = fastpg_device_end(&game->env);
    if (!ends[n])
        fastpg_device_write_view(shared, &picture, views + (int64_t)n * FASTPG_DEVICE_WORDS);
    return ends[n];
}

/* A view's tiles (network/tiles.h). Writes at most `capacity`; returns how many there are. */
A26_SLOW int32_t fastpg_device_tiles(const uint16_t *view, uint16_t *tiles, int32_t capacity) {
    fastpg_view_bits_t bits;
    for (uint32_t y = 0; y < A26_VIEW_SIDE; y++) {
        const uint16_t *row = view + y * FASTPG_DEVICE_ROW_WORDS;
        const uint64_t left =
            (uint64_t)row[0] | (uint64_t)row[1] << 16 | (uint64_t)(row[2] & 255u) << 32;
        bits.row[0][y] = left;
        bits.row[1][y] = (uint64_t)row[2] >> 8 | (uint64_t)row[3] << 8 | (uint64_t)row[4] << 24;
    }
    return (int32_t)fastpg_write_tiles(&bits, tiles, capacity);
}

#endif
