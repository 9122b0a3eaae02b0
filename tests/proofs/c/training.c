/* The network on tiles, playing and learning, to be built with sanitizers: training STEPS ROUNDS.
 *
 * Views of any kind become tiles. Networks of every shape play games into rows that are just long
 * enough, and learn from them. The results must not depend on the number of threads. "games.inc" as
 * in games.h. */
#include "games.h"

#include "network/learner.h"
#include "rollouts/rollout.h"

#define GAMES_AT_ONCE 5
#define MOST_THREADS 3
#define MOST_SAMPLES 150 /* more than one chunk of the loss, fewer than there are */

static a26_cartridge_t cartridge; /* Pong */
static a2600_t post_reset_state;
static a26_env_t power_on_state;
static uint8_t red[2][256]; /* random; or all equal: nearly everything is lit */

static void *allocate(int64_t count, size_t size) { /* exact, so that an access beyond it is seen */
    void *memory = calloc((size_t)count, size);
    if (!memory) abort();
    return memory;
}

static int64_t chunks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

static uint64_t digest(uint64_t hash, const void *data, size_t bytes) { /* FNV-1a */
    for (size_t k = 0; k < bytes; k++)
        hash = (hash ^ ((const uint8_t *)data)[k]) * 0x100000001B3ull;
    return hash;
}

static void prepare(void) {
    static a26_env_t env;
    uint32_t seed = 99;
    cartridge = cartridge_of(&GAMES[0], GAMES[0].run, ALL_SUMMARIES);
    a26_power_on(&power_on_state, &cartridge);
    env = power_on_state;
    a26_make_post_reset_state(&env, &cartridge, &post_reset_state);
    cartridge.post_reset_state = &post_reset_state;
    for (int k = 0; k < 256; k++) {
        red[0][k] = (uint8_t)next_random(&seed);
        red[1][k] = 7;
    }
}

/* ---- tiles --------------------------------------------------------------------------------------
 */

static int check_tiles(int rounds) {
    uint32_t seed = 1;
    int failed = 0;
    uint8_t *view = allocate(A26_VIEW_PIXELS, 1), *seen = allocate(A26_VIEW_PIXELS, 1);
    uint16_t *tiles = allocate(A26_VIEW_PIXELS, sizeof(uint16_t));
    for (int round = 0; round < rounds; round++) {
        for (int p = 0; p < A26_VIEW_PIXELS; p++)
            view[p] = round % 5 == 4 ? (uint8_t)((p + p / A26_VIEW_SIDE) & 1)
                                     : next_random(&seed) % 5 <= (uint32_t)round % 5;
        const int64_t count = fastpg_tile_view(view, tiles);
        memset(seen, 0, A26_VIEW_PIXELS);
        for (int64_t k = 0; k < count; k++) {
            const int kind = tiles[k] / A26_VIEW_PIXELS, at = tiles[k] % A26_VIEW_PIXELS;
            for (int x = 0; x <= kind / 4; x++)
                for (int y = 0; y < 1 << kind % 4; y++)
                    seen[(at % A26_VIEW_SIDE + y) * A26_VIEW_SIDE + at / A26_VIEW_SIDE + x]++;
        }
        failed += differ_bytes("view", seen, view, A26_VIEW_PIXELS) > 0;
    }
    free(view);
    free(seen);
    free(tiles);
    return failed;
}

/* ---- a run --------------------------------------------------------------------------------------
 */

typedef struct {
    int64_t blocks, views, last_view, past_actions, actions, outputs,
        cell; /* views: 0, 1, .. and the last */
    int difference, value, whole_episodes, everything_lit, greedy, paired;
} shape_t;

static const shape_t shapes[] = {
    {1, 2, 1, 0, 2, 1, 0, 1, 0, 1, 0, 0, 0}, /* REINFORCE */
    {2, 2, 1, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0}, /* PPO */
    {1, 3, 4, 4, 3, 3, 5, 0, 1, 0, 1, 0, 1}, /* with cells, and views of other ages */
    {1, 1, 0, 2, 18, 18, 0, 0, 0, 1, 0, 1, 0}, {3, 2, 6, 5, 2, 1, 0, 1, 1, 0, 1, 0, 1},
    {1, 2, 3, 1, 2, 1, 7, 1, 0, 1, 1, 0, 0},   {1, 4, 7, 0, 3, 3, 80, 0, 1, 0, 0, 1, 1},
};

typedef struct {
    fastpg_network_t network;
    fastpg_buffer_t buffer;
    fastpg_learner_t learner;
    fastpg_batch_t batch;
    fastpg_rollout_t rollout;
    int32_t *mirror_rows;
    int64_t slots, tiles, lookback; /* of a row */
} run_t;

static void open_network(run_t *r, const shape_t *s) {
    fastpg_network_t *n = &r->network;
    const int64_t heads = s->outputs + s->value;
    const fastpg_network_t network = {.blocks = s->blocks,
                                      .views = s->views,
                                      .difference = s->difference,
                                      .past_actions = s->past_actions,
                                      .actions = s->actions,
                                      .outputs = s->outputs,
                                      .heads = heads,
                                      .cell = s->cell,
                                      .version = 2};
    uint32_t seed = 7;
    *n = network;
    for (int64_t k = 0; k < s->views; k++) n->lags[k] = k < s->views - 1 ? k : s->last_view;
    fastpg_lay_out_rows(n);
    n->w1 = allocate(s->blocks * n->weight_rows * FASTPG_UNITS, 4);
    n->w2 = allocate(s->blocks * heads * FASTPG_UNITS, 4);
    n->sum_versions = allocate(s->blocks * (n->weight_rows - n->rows), sizeof(*n->sum_versions));
    for (int64_t b = 0; b < s->blocks; b++)
        for (int64_t k = 0; k < n->rows * FASTPG_UNITS; k++)
            n->w1[b * n->weight_rows * FASTPG_UNITS + k] =
                (float)(next_random(&seed) % 200) / 1000.0f - 0.1f;
    for (int64_t k = 0; k < s->blocks * heads * FASTPG_UNITS; k++)
        n->w2[k] = (float)(next_random(&seed) % 200) / 1000.0f - 0.1f;
}

static void open_record(run_t *r, int64_t slots, int64_t tiles) {
    const int64_t all = GAMES_AT_ONCE * slots;
    const fastpg_buffer_t buffer = {allocate(GAMES_AT_ONCE * tiles, 2),
                                    allocate(all, 4),
                                    allocate(all, 2),
                                    allocate(all, 1),
                                    allocate(all, 1),
                                    allocate(all, 1),
                                    allocate(all, 4),
                                    allocate(all, 4),
                                    allocate(all, 4)};
    r->buffer = buffer;
    r->slots = slots;
    r->tiles = tiles;
}

/* Mirror each line of `length` rows; returns `end`. */
static int64_t turn_lines(int32_t *mirror_rows, int64_t first, int64_t end, int64_t length) {
    for (int64_t row = first; row < end; row++) {
        const int64_t line = (row - first) / length * length;
        mirror_rows[row] = (int32_t)(first + line + length - 1 - (row - first - line));
    }
    return end;
}

/* Mirror each column of pixels and of cells, whose length divides the side in all mirrored shapes.
 * Also mirror the heads; the last one mirrors itself with the other sign. */
static int32_t *make_mirror_rows(const fastpg_network_t *n) {
    int32_t *mirror_rows = allocate(n->rows + n->heads, 4);
    int64_t row = turn_lines(mirror_rows, 0, n->first_action_row, A26_VIEW_SIDE);
    row = turn_lines(mirror_rows, row, n->first_cell_row, n->actions);
    if (n->cell) turn_lines(mirror_rows, row, n->rows, n->cells_across);
    for (int64_t o = 0; o < n->heads - 1; o++)
        mirror_rows[n->rows + o] = (int32_t)(n->rows + n->heads - 2 - o);
    mirror_rows[n->rows + n->heads - 1] = ~(int32_t)(n->rows + n->heads - 1);
    return mirror_rows;
}

static void open_learner(run_t *r, int paired) {
    const fastpg_network_t *n = &r->network;
    const int64_t own = n->blocks * n->rows, heads = n->blocks * n->heads,
                  all = n->blocks * n->weight_rows;
    const fastpg_learner_t learner = {.net = &r->network,
                                      .mirror_rows = r->mirror_rows =
                                          paired ? make_mirror_rows(n) : NULL,
                                      .g1 = allocate(all * FASTPG_UNITS, 4),
                                      .g2 = allocate(heads * FASTPG_UNITS, 4),
                                      .marks = allocate(n->weight_rows + 8, 1),
                                      .rows = allocate(n->rows, 4),
                                      .sums = allocate(n->weight_rows - n->rows, 4),
                                      .grad_slots = allocate(n->weight_rows, 4),
                                      .norms = allocate(n->blocks, 8),
                                      .mean1 = allocate(own * FASTPG_UNITS, 4),
                                      .mean2 = allocate(heads * FASTPG_UNITS, 4),
                                      .square1 = allocate(own * FASTPG_UNITS, 4),
                                      .square2 = allocate(heads * FASTPG_UNITS, 4),
                                      .updated = allocate(own, 4)};
    const int64_t chunks = chunks_of(MOST_SAMPLES, FASTPG_LOSS_SAMPLES);
    const fastpg_batch_t batch = {.learner = &r->learner,
                                  .buffer = &r->buffer,
                                  .loss = {0.2, 0.01, 0.5},
                                  .scale = 0.01f,
                                  .hidden = allocate(n->blocks * MOST_SAMPLES * FASTPG_UNITS, 4),
                                  .partial_heads = allocate(n->blocks * MOST_SAMPLES * n->heads, 4),
                                  .gradients = allocate(MOST_SAMPLES * n->heads, 4),
                                  .loss_sums = allocate(chunks, sizeof(fastpg_ppo_sums_t)),
                                  .learning_rate = 1e-3f,
                                  .decay = 0.9f,
                                  .beta1 = 0.9f,
                                  .beta2 = 0.999f,
                                  .epsilon = 1e-5f,
                                  .factor = 0.5f};
    r->learner = learner;
    r->batch = batch;
}

static void open_rollout(run_t *r, const shape_t *s, int threads) {
    const a26_rules_t rules = {2, 5, 7, 60, a26_sticky_threshold(0.25f)};
    const fastpg_rollout_t rollout = {.cartridge = &cartridge,
                                      .power_on_state = &power_on_state,
                                      .rules = rules,
                                      .red = red[s->everything_lit],
                                      .find_background = !s->everything_lit,
                                      .whole_episodes = s->whole_episodes,
                                      .greedy = s->greedy,
                                      .seed = 3,
                                      .network = &r->network,
                                      .buffer = &r->buffer,
                                      .game = allocate(GAMES_AT_ONCE, sizeof(fastpg_game_t)),
                                      .games = GAMES_AT_ONCE,
                                      .pixels = allocate(threads, A26_SCREEN_BYTES)};
    r->rollout = rollout;
    r->lookback = s->last_view > s->past_actions ? s->last_view : s->past_actions;
    for (int a = 0; a < (int)s->actions; a++) r->rollout.emulator_action[a] = (uint8_t)a;
    atomic_flag_clear(&r->rollout.scheduler_lock);
    for (int k = 0; k < GAMES_AT_ONCE; k++) {
        const a26_seed_t seed = {{{17, 18 + (uint64_t)k}, {7, 2u * (uint64_t)k + 1}, 0, 0},
                                 (uint32_t)k};
        fastpg_game_t *g = &r->rollout.game[k];
        a26_gym_reset(&g->gym, &cartridge, &power_on_state, &rules, &seed, 0);
        g->between_episodes = 1;
        g->frame_sums = allocate(r->network.blocks, sizeof(fastpg_frame_sums_t));
        g->stream = (uint64_t)k;
        g->begin = g->slot = k * r->slots;
        g->end = g->begin + r->slots;
        g->tile = k * r->tiles;
        g->tiles_end = g->tile + r->tiles;
    }
}

static void close_run(run_t *r) {
    for (int k = 0; k < GAMES_AT_ONCE; k++) free(r->rollout.game[k].frame_sums);
    void *all[] = {
        r->network.w1,          r->network.w2,         r->network.sum_versions, r->buffer.tiles,
        r->buffer.tile_offsets, r->buffer.tile_counts, r->buffer.episode_steps, r->buffer.actions,
        r->buffer.dones,        r->buffer.rewards,     r->buffer.action_probs,  r->buffer.values,
        r->mirror_rows,         r->learner.g1,         r->learner.g2,           r->learner.marks,
        r->learner.rows,        r->learner.sums,       r->learner.grad_slots,   r->learner.norms,
        r->learner.mean1,       r->learner.mean2,      r->learner.square1,      r->learner.square2,
        r->learner.updated,     r->batch.hidden,       r->batch.partial_heads,  r->batch.gradients,
        r->batch.loss_sums,     r->rollout.game,       r->rollout.pixels};
    for (int k = 0; k < COUNT(all); k++) free(all[k]);
}

/* Play until rows or episodes end; returns a digest of the buffer. */
static uint64_t play(run_t *r, fastpg_pool_t *pool, uint64_t hash, int round) {
    for (int k = 0; k < GAMES_AT_ONCE; k++) {
        fastpg_game_t *g = &r->rollout.game[k];
        fastpg_clear_frame_sums(&r->network, g->frame_sums);
        if (r->rollout.whole_episodes) {
            g->episodes = 1 + k % 2;
            g->stream = (uint64_t)(10 * round + k);
            g->stride = GAMES_AT_ONCE;
        }
        if (r->rollout.whole_episodes || g->between_episodes) {
            g->between_episodes = 1;
            g->slot = g->begin + (r->rollout.whole_episodes ? 0 : r->lookback);
            g->tile = k * r->tiles;
        } else {
            fastpg_shift_lookback(g, &r->buffer, r->lookback, k * r->tiles);
        }
    }
    fastpg_pool_run(pool, fastpg_rollout_task, &r->rollout, pool->threads);
    if (r->network.heads > r->network.outputs && !r->rollout.whole_episodes)
        fastpg_pool_run(pool, fastpg_value_task, &r->rollout, GAMES_AT_ONCE);
    for (int k = 0; k < GAMES_AT_ONCE; k++) {
        const fastpg_game_t *g = &r->rollout.game[k];
        const size_t used = (size_t)(g->slot - g->begin);
        hash = digest(hash, r->buffer.tiles + k * r->tiles, (size_t)(g->tile - k * r->tiles) * 2);
        hash = digest(hash, r->buffer.actions + g->begin, used);
        hash = digest(hash, r->buffer.rewards + g->begin, 4 * used);
        hash = digest(hash, r->buffer.action_probs + g->begin, 4 * used);
        hash = digest(hash, r->buffer.values + g->begin, 4 * used);
    }
    return hash;
}

/* Learn from all that was played, the first slots of each row twice, by Adam or RMSProp. */
static uint64_t learn(run_t *r, fastpg_pool_t *pool, uint64_t hash, int round) {
    const fastpg_network_t *n = &r->network;
    int64_t count = 0, all = GAMES_AT_ONCE * r->slots;
    int32_t *samples = allocate(2 * all, 4);
    float *advantages = allocate(all, 4);
    for (int64_t i = 0; i < all; i++) advantages[i] = (float)(i % 7) - 3.0f;
    for (int k = 0; k < GAMES_AT_ONCE; k++) {
        const fastpg_game_t *g = &r->rollout.game[k];
        for (int64_t i = g->begin + (r->rollout.whole_episodes ? 0 : r->lookback); i < g->slot;
             i++) {
            samples[count++] = (int32_t)i;
            if (i < g->begin + 9) samples[count++] = (int32_t)i;
        }
    }
    r->batch.advantages = r->batch.returns = advantages;
    fastpg_list_span_t *list_spans = allocate(count, sizeof(fastpg_list_span_t));
    r->batch.samples = samples;
    r->batch.count = count;
    r->batch.list_spans = list_spans;
    memset(r->learner.marks, 0, (size_t)n->weight_rows);
    fastpg_pool_run(pool, fastpg_mark_task, &r->batch, chunks_of(count, FASTPG_LIST_SAMPLES));
    fastpg_plan(&r->learner);
    fastpg_pool_run(pool, fastpg_prepare_task, &r->batch, n->blocks);
    for (int64_t begin = 0; begin < count; begin += MOST_SAMPLES) {
        const int64_t left = count - begin;
        r->batch.samples = samples + begin;
        r->batch.count = left < MOST_SAMPLES ? left : MOST_SAMPLES;
        r->batch.list_spans = list_spans + begin;
        r->batch.lists = allocate(fastpg_lay_out_lists(&r->batch), 4);
        if (!n->difference)
            fastpg_pool_run(pool, fastpg_list_task, &r->batch,
                            chunks_of(r->batch.count, FASTPG_LIST_SAMPLES));
        fastpg_pool_run(pool, fastpg_forward_task, &r->batch, n->blocks);
        fastpg_pool_run(pool, fastpg_loss_task, &r->batch,
                        chunks_of(r->batch.count, FASTPG_LOSS_SAMPLES));
        fastpg_pool_run(pool, fastpg_backward_task, &r->batch, n->blocks);
        free(r->batch.lists);
    }
    fastpg_pool_run(pool, fastpg_reduce_task, &r->batch, n->blocks);
    hash = digest(hash, r->learner.norms, (size_t)n->blocks * 8);
    r->learner.updates++;
    fastpg_pool_run(pool, round % 2 ? fastpg_adam_task : fastpg_rmsprop_task, &r->batch, n->blocks);
    r->network.version += 2;
    free(samples);
    free(list_spans);
    free(advantages);
    for (int64_t b = 0; b < n->blocks; b++)
        hash = digest(hash, n->w1 + b * n->weight_rows * FASTPG_UNITS,
                      (size_t)(n->rows * FASTPG_UNITS) * 4);
    return digest(hash, n->w2, (size_t)(n->blocks * n->heads * FASTPG_UNITS) * 4);
}

static uint64_t play_and_learn(const shape_t *shape, int threads, int steps, int rounds) {
    static fastpg_pool_t pool;
    static run_t run;
    uint64_t hash = 0xCBF29CE484222325ull;
    memset(&pool, 0, sizeof(pool));
    memset(&run, 0, sizeof(run));
    if (fastpg_pool_open(&pool, threads)) abort();
    open_network(&run, shape);
    /* rows end by their slots or, where everything is lit, by their tiles */
    open_record(&run, steps + 9, A26_VIEW_PIXELS * (shape->everything_lit ? 2 : 2 + steps / 40));
    open_learner(&run, shape->paired);
    open_rollout(&run, shape, threads);
    for (int round = 0; round < rounds; round++) {
        hash = play(&run, &pool, hash, round);
        hash = learn(&run, &pool, hash, round);
    }
    fastpg_pool_close(&pool);
    close_run(&run);
    return hash;
}

int main(int count, char **words) {
    int steps = count > 1 ? atoi(words[1]) : 60, rounds = count > 2 ? atoi(words[2]) : 4;
    prepare();
    uint64_t all = 0;
    int failed = check_tiles(5 * rounds);
    printf("%d views\n", 5 * rounds);
    for (int k = 0; k < COUNT(shapes); k++) {
        const uint64_t alone = play_and_learn(&shapes[k], 1, steps, rounds);
        all = digest(all, &alone, sizeof(alone));
        for (int threads = 2; threads <= MOST_THREADS; threads++)
            if (play_and_learn(&shapes[k], threads, steps, rounds) != alone) {
                fprintf(stderr, "shape %d: %d threads differ from one\n", k, threads);
                failed++;
            }
    }
    printf("%d networks, 1 to %d threads: %d rounds of %d steps, %d games: %016llx\n%s\n",
           COUNT(shapes), MOST_THREADS, rounds, steps, GAMES_AT_ONCE, (unsigned long long)all,
           failed ? "FAILED" : "passed");
    return failed != 0;
}
