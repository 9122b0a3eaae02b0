/* The functions of a GPU's thread (cuda/device_games.h) on the CPU, to be built with sanitizers:
 * device STEPS.
 *
 * Arrays have exactly the needed length, so that an access beyond them is seen. One launch of many
 * steps must equal many launches. "games.inc" as in games.h. */
#include "games.h"

#define FASTPG_DEVICE_RUN GAMES[0].run
#include "cuda/device_games.h"

#define GAMES_AT_ONCE 3

static const uint8_t minimal_actions[6] = {0, 1, 3, 4, 11, 12};

/* A set of games, with inputs and outputs of `steps` steps. */
typedef struct {
    a26_gym_t *games;
    uint8_t *actions, *scratch, *ends;
    float *rewards;
    uint16_t *views;
    int32_t steps;
} set_t;

static void *allocate(size_t bytes) {
    void *made = calloc(1, bytes);
    if (!made) abort();
    return made;
}

static set_t make_set(int32_t steps) {
    const size_t all = (size_t)steps * GAMES_AT_ONCE;
    const set_t set = {allocate(GAMES_AT_ONCE * sizeof(a26_gym_t)),
                       allocate(all),
                       allocate(GAMES_AT_ONCE * FASTPG_DEVICE_SCRATCH_BYTES),
                       allocate(all),
                       allocate(all * sizeof(float)),
                       allocate(all * FASTPG_DEVICE_WORDS * sizeof(uint16_t)),
                       steps};
    return set;
}

static void free_set(set_t *set) {
    void *all[] = {set->games, set->actions, set->scratch, set->ends, set->rewards, set->views};
    for (size_t k = 0; k < sizeof(all) / sizeof(*all); k++) free(all[k]);
}

static void make_shared(fastpg_shared_t *shared) {
    static a26_env_t played;
    a26_cartridge_t cartridge = cartridge_of(&GAMES[0], GAMES[0].run, ALL_SUMMARIES);
    const a26_rules_t rules = {2, 5, 7, 90, a26_sticky_threshold(0.25f)};
    memset(shared, 0, sizeof(*shared));
    a26_power_on(&shared->power_on_state, &cartridge);
    played = shared->power_on_state;
    a26_make_post_reset_state(&played, &cartridge, &shared->post_reset_state);
    shared->has_post_reset_state = 1;
    shared->rules = rules;
    shared->find_background = 1;
    shared->summaries = ALL_SUMMARIES;
    shared->game = cartridge.game;
    memcpy(shared->emulator_action, minimal_actions, sizeof(minimal_actions));
    memcpy(shared->rom, cartridge.rom, sizeof(shared->rom));
    for (uint32_t k = 0; k < 256; k++) shared->red[k] = (uint8_t)(k * 37);
}

/* Play a set in launches of `launch` steps, like a kernel. Returns how many episodes ended. */
static int32_t play(set_t *set, const fastpg_shared_t *shared, int32_t launch) {
    a26_seed_t seeds[GAMES_AT_ONCE];
    uint32_t random = 5;
    int32_t ended = 0;
    memset(seeds, 0, sizeof(seeds));
    for (uint32_t n = 0; n < GAMES_AT_ONCE; n++) {
        seeds[n].random.state[1] = seeds[n].sticky = n + 3;
        seeds[n].random.increment[1] = 2 * n + 1;
    }
    for (int32_t k = 0; k < set->steps * GAMES_AT_ONCE; k++)
        set->actions[k] = (uint8_t)(next_random(&random) % 40); /* some are invalid */
    for (int32_t n = 0; n < GAMES_AT_ONCE; n++) {
        fastpg_device_begin(set->games, shared, seeds, set->scratch, set->views, n);
        fastpg_device_begin(set->games, shared, 0, 0, 0, n);
        for (int32_t t = 0; t < set->steps; t += launch) {
            const int64_t from = (int64_t)t * GAMES_AT_ONCE;
            ended += fastpg_device_play(set->games, shared, set->actions + from, set->scratch,
                                        set->rewards + from, set->ends + from,
                                        set->views + from * FASTPG_DEVICE_WORDS, n, GAMES_AT_ONCE,
                                        launch);
        }
    }
    return ended;
}

/* A view has no more tiles than lit pixels. No more than the capacity is written. */
static void check_tiles(const uint16_t *view) {
    const int32_t needed = fastpg_device_tiles(view, 0, 0);
    int32_t lit = 0;
    for (uint32_t k = 0; k < FASTPG_DEVICE_WORDS; k++)
        for (uint32_t bits = view[k]; bits; bits &= bits - 1) lit++;
    for (int32_t capacity = needed; capacity >= 0; capacity -= needed / 2 + 1) {
        uint16_t *tiles = allocate((size_t)capacity * sizeof(*tiles) + 1);
        if (needed > lit || fastpg_device_tiles(view, tiles, capacity) != needed) abort();
        free(tiles);
    }
}

int main(int count, char **words) {
    const int32_t steps = count > 1 ? atoi(words[1]) / 6 * 6 : 60;
    static fastpg_shared_t shared;
    make_shared(&shared);
    set_t one = make_set(steps), many = make_set(steps);
    const int32_t ended = play(&one, &shared, steps);
    if (!ended || play(&many, &shared, 6) != ended) abort();
    const size_t all = (size_t)steps * GAMES_AT_ONCE;
    if (memcmp(one.games, many.games, GAMES_AT_ONCE * sizeof(a26_gym_t))
        || memcmp(one.ends, many.ends, all)
        || memcmp(one.rewards, many.rewards, all * sizeof(float))
        || memcmp(one.views, many.views, all * FASTPG_DEVICE_WORDS * sizeof(uint16_t)))
        abort();
    for (size_t k = 0; k < all; k++) check_tiles(one.views + k * FASTPG_DEVICE_WORDS);
    printf("%d steps of %d games, %d episodes\n", steps, GAMES_AT_ONCE, ended);
    free_set(&one);
    free_set(&many);
    return 0;
}
