/* What surrounds the core on a CPU, to be built with sanitizers: host STEPS ROUNDS.
 *
 * Vectors of games of every kind must not depend on the number of threads, nor on a fork. Pools are
 * opened, used and closed. The television must show what a picture of every frame shows.
 * "games.inc" as in games.h. */
#include <sys/wait.h>

#include "games.h"

#include "envs/television.h"
#include "envs/vector_env.h"

#define GAMES_AT_ONCE 5
#define MOST_THREADS 4
#define MOST_BYTES (3 * A26_SCREEN_BYTES)
#define DQN_DEPTH 2

static const int64_t bytes_of_kind[] = {3 * A26_SCREEN_BYTES, A26_SCREEN_BYTES,
                                        A26_SCREEN_BYTES,     128,
                                        A26_VIEW_PIXELS,      DQN_DEPTH *FASTPG_DQN_BYTES};
static const uint8_t minimal_actions[6] = {0, 1, 3, 4, 11, 12};

static a26_cartridge_t cartridge; /* Pong */
static a2600_t post_reset_state;
static a26_env_t power_on_state;
static fastpg_colours_t colours;

/* The arrays of a vector, shared by all checks. */
static struct {
    a26_gym_t game[GAMES_AT_ONCE];
    fastpg_dqn_game_t dqn[GAMES_AT_ONCE];
    uint8_t scratch[2 * MOST_THREADS * A26_SCREEN_BYTES],
        stacks[GAMES_AT_ONCE * DQN_DEPTH * FASTPG_DQN_BYTES];
    int64_t actions[GAMES_AT_ONCE], infos[FASTPG_INFOS * GAMES_AT_ONCE],
        final_infos[FASTPG_INFOS * GAMES_AT_ONCE];
    uint8_t observations[GAMES_AT_ONCE * MOST_BYTES],
        final_observations[GAMES_AT_ONCE * MOST_BYTES];
    double rewards[GAMES_AT_ONCE];
    uint8_t terminations[GAMES_AT_ONCE], truncations[GAMES_AT_ONCE], chosen[GAMES_AT_ONCE],
        seeded[GAMES_AT_ONCE];
    a26_seed_t seeds[GAMES_AT_ONCE];
} at;

static void prepare(void) {
    static a26_env_t env;
    uint32_t seed = 99;
    cartridge = cartridge_of(&GAMES[0], GAMES[0].run, ALL_SUMMARIES);
    a26_power_on(&power_on_state, &cartridge);
    env = power_on_state;
    a26_make_post_reset_state(&env, &cartridge, &post_reset_state);
    cartridge.post_reset_state = &post_reset_state;
    for (int k = 0; k < 256; k++) {
        for (int c = 0; c < 3; c++) colours.rgb[k][c] = (uint8_t)next_random(&seed);
        colours.gray[k] = (uint8_t)next_random(&seed);
        colours.red[k] = colours.rgb[k][0];
    }
}

static fastpg_vector_t make_vector(int kind, int autoreset) {
    memset(&at, 0, sizeof(at));
    const fastpg_vector_t vector = {.cartridge = cartridge,
                                    .power_on_state = &power_on_state,
                                    .rules = {kind % 2 ? 2 : 1, kind % 2 ? 5 : 2 + kind / 2,
                                              kind % 3 ? 7 : 0, 60, a26_sticky_threshold(0.25f)},
                                    .colours = &colours,
                                    .games = GAMES_AT_ONCE,
                                    .game = at.game,
                                    .kind = kind,
                                    .autoreset = autoreset,
                                    .bytes = bytes_of_kind[kind],
                                    .emulator_action = minimal_actions,
                                    .scratch = at.scratch,
                                    .dqn = at.dqn,
                                    .stacks = at.stacks,
                                    .actions = at.actions,
                                    .observations = at.observations,
                                    .final_observations = at.final_observations,
                                    .rewards = at.rewards,
                                    .terminations = at.terminations,
                                    .truncations = at.truncations,
                                    .infos = at.infos,
                                    .final_infos = at.final_infos,
                                    .chosen = at.chosen,
                                    .seeded = at.seeded,
                                    .seeds = at.seeds};
    return vector;
}

static uint64_t digest(uint64_t hash, const void *data, size_t bytes) { /* FNV-1a */
    for (size_t k = 0; k < bytes; k++)
        hash = (hash ^ ((const uint8_t *)data)[k]) * 0x100000001B3ull;
    return hash;
}

static uint64_t digest_of_vector(uint64_t hash, const fastpg_vector_t *v) {
    hash = digest(hash, at.observations, (size_t)(GAMES_AT_ONCE * v->bytes));
    hash = digest(hash, at.final_observations, (size_t)(GAMES_AT_ONCE * v->bytes));
    hash = digest(hash, at.rewards, sizeof(at.rewards));
    hash = digest(hash, at.terminations, sizeof(at.terminations));
    hash = digest(hash, at.truncations, sizeof(at.truncations));
    hash = digest(hash, at.infos, sizeof(at.infos));
    return digest(hash, at.final_infos, sizeof(at.final_infos));
}

/* Reset some games; some of those with a seed. */
static void reset_games(fastpg_pool_t *pool, fastpg_vector_t *v, uint32_t which, uint32_t seeded,
                        uint32_t seed) {
    for (int k = 0; k < GAMES_AT_ONCE; k++) {
        const a26_seed_t from = {{{seed, seed + (uint32_t)k}, {7, 2u * (uint32_t)k + 1}, 0, 0},
                                 seed + (uint32_t)k};
        at.chosen[k] = which >> k & 1;
        at.seeded[k] = seeded >> k & 1;
        at.seeds[k] = from;
    }
    fastpg_pool_run(pool, fastpg_reset_task, v, GAMES_AT_ONCE);
}

static uint64_t step_games(fastpg_pool_t *pool, fastpg_vector_t *v, uint64_t hash, int from, int to,
                           uint32_t *seed) {
    for (int step = from; step < to; step++) {
        for (int k = 0; k < GAMES_AT_ONCE; k++) at.actions[k] = next_random(seed) % 6;
        if (step % 16 == 5) /* one point from the end */
            at.game[step % GAMES_AT_ONCE].env.console.ram[A26_PONG_COMPUTER_SCORE] =
                A26_PONG_WINNING_SCORE - 1;
        if (step % 16 == 9)
            at.game[step % GAMES_AT_ONCE].env.console.ram[A26_PONG_COMPUTER_SCORE] =
                A26_PONG_WINNING_SCORE;
        fastpg_pool_run(pool, fastpg_step_task, v, GAMES_AT_ONCE);
        hash = digest_of_vector(hash, v);
        if (step % 40 == 20 || v->autoreset == FASTPG_DISABLED) {
            uint32_t over = 0;
            for (int k = 0; k < GAMES_AT_ONCE; k++)
                over |= (uint32_t)(at.terminations[k] | at.truncations[k]) << k;
            reset_games(pool, v, over | (step % 40 == 20 ? 2u : 0u), next_random(seed), *seed);
            hash = digest_of_vector(hash, v);
        }
    }
    return hash;
}

/* Steps of a vector. With several threads a forked child plays the second half too. */
static uint64_t play_vector(int kind, int autoreset, int threads, int steps) {
    static fastpg_pool_t pool;
    fastpg_vector_t v = make_vector(kind, autoreset);
    uint32_t seed = 4711u + (uint32_t)kind;
    memset(&pool, 0, sizeof(pool));
    if (fastpg_pool_open(&pool, threads)) abort();
    reset_games(&pool, &v, ~0u, ~0u, 17);
    uint64_t hash = step_games(&pool, &v, digest_of_vector(0xCBF29CE484222325ull, &v), 0, steps / 2,
                               &seed),
             child = 0;
    int ends[2] = {-1, -1}, status = 0;
    pid_t process = 0;
    if (threads > 1) {
        if (pipe(ends) || (process = fork()) < 0) abort();
        if (process == 0) {
            hash = step_games(&pool, &v, hash, steps / 2, steps, &seed);
            fastpg_pool_close(&pool);
            _exit(write(ends[1], &hash, sizeof(hash)) != sizeof(hash));
        }
    }
    hash = step_games(&pool, &v, hash, steps / 2, steps, &seed);
    fastpg_pool_close(&pool);
    if (threads > 1) {
        if (read(ends[0], &child, sizeof(child)) != sizeof(child)
            || waitpid(process, &status, 0) < 0 || status)
            abort();
        close(ends[0]);
        close(ends[1]);
        if (child != hash) abort();
    }
    return hash;
}

static int check_vectors(int steps) {
    int failed = 0;
    for (int kind = 0; kind <= FASTPG_DQN; kind++)
        for (int autoreset = 0; autoreset <= FASTPG_DISABLED; autoreset++) {
            uint64_t alone = play_vector(kind, autoreset, 1, steps);
            for (int threads = 2; threads <= MOST_THREADS; threads += 2)
                if (play_vector(kind, autoreset, threads, steps) != alone) {
                    fprintf(stderr, "kind %d, autoreset %d: %d threads differ from one\n", kind,
                            autoreset, threads);
                    failed++;
                }
        }
    return failed;
}

static void count_task(void *context, int64_t i, int thread) {
    ((int *)context)[i] += 1 + 0 * thread;
}

/* Pools of 1 to 4 threads: opened, used at once, after a rest or never, and closed. */
static void check_pools(int rounds) {
    static fastpg_pool_t pool;
    for (int round = 0; round < rounds; round++) {
        int counts[50] = {0}, runs = round / 4 % 4;
        memset(&pool, 0, sizeof(pool));
        if (fastpg_pool_open(&pool, 1 + round % 4)) abort();
        if (round % 3 == 0) usleep(300); /* its threads are asleep */
        for (int run = 0; run < runs; run++) {
            fastpg_pool_run(&pool, count_task, counts, run == 2 ? 1 : 50);
            if (round % 5 == run) usleep(700); /* they spin for the long wait, then sleep */
        }
        for (int k = 0; k < 50; k++)
            if (counts[k] != (runs < 3 ? runs : k ? 2 : 3)) abort();
        fastpg_pool_close(&pool);
        fastpg_pool_close(&pool); /* nothing is left to close */
    }
}

/* Compare the television with a picture of every frame by the interpreter. */
static int check_television(const game_t *game, int steps) {
    static a26_tv_t tv;
    static a26_env_t seen, other;
    static uint8_t screens[2][A26_SCREEN_BYTES];
    const a26_cartridge_t by_hand = cartridge_of(game, 0, 0);
    const a26_cartridge_t translated = cartridge_of(game, game->run, ALL_SUMMARIES);
    uint32_t seed = 3;
    int front = 0;
    memset(&tv, 0, sizeof(tv));
    a26_power_on(&other, &by_hand);
    a26_mt_seed(&other.sticky, 1);
    seen = other;
    a26_tv_reset(&tv, &seen, &translated);
    a26_reset_game(&other, &by_hand, screens[front]);
    for (int step = 0; step < steps; step++) {
        uint32_t action = next_random(&seed) % A26_ALE_ACTIONS;
        if (step == steps / 2) a26_tv_make_eager(&tv, &translated);
        int32_t skip = 1 + (int32_t)(next_random(&seed) % 4);
        int32_t reward = a26_tv_act(&tv, &seen, &translated, action, skip), expected = 0;
        for (int32_t k = 0; k < skip; k++)
            expected += a26_act(&other, &by_hand, action, 1, screens[front ^= 1]);
        if (differ("reward", reward, expected)) return 1;
        if (step > 1 && next_random(&seed) % 3 == 0
            && differ_bytes("television", a26_tv_look(&tv, &translated), screens[front],
                            A26_SCREEN_BYTES)) {
            fprintf(stderr, "%s: step %d\n", game->name, step);
            return 1;
        }
    }
    return 0;
}

int main(int count, char **words) {
    int steps = count > 1 ? atoi(words[1]) : 100, rounds = count > 2 ? atoi(words[2]) : 200;
    prepare();
    check_pools(rounds);
    printf("%d pools\n", rounds);
    int failed = check_vectors(steps);
    printf("vectors of 6 kinds, 3 ways to reset, 1, 2 and 4 threads, forked: %d steps of each\n",
           steps);
    for (int k = 0; k < COUNT(GAMES); k++) failed += check_television(&GAMES[k], 2 * steps);
    printf("television: %d steps\n", 2 * steps);
    printf("%s\n", failed ? "FAILED" : "passed");
    return failed != 0;
}
