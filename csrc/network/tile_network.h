/* The two-layer network on tiles: layout of its weights, and the forward pass.
 *
 * The hidden layer is split into blocks of FASTPG_UNITS units. A block's rows of weights lie
 * together, and in learning one thread at a time owns a block: nothing is added up between threads.
 * Every sum has one order, whatever the number of threads and the width of vectors.
 *
 * Rows of w1, per block: one per pixel of each plane, one per past action, one per cell; then sums
 * of rows over tiles (a cache, made when first needed after the weights changed); then zeros.
 *
 *   fastpg_lay_out_rows(n)                       row numbers from what the network sees
 *   fastpg_evaluate(n, buffer, slot, .., heads)  logits and value of a slot
 *   fastpg_hidden(..)                            one block's hidden units */
#ifndef FASTPG_TILE_NETWORK_H
#define FASTPG_TILE_NETWORK_H

#include <stdatomic.h>

#include "kernels/policy_network.h"
#include "network/tiles.h"

#define FASTPG_UNITS 64 /* of a block */
#define FASTPG_MOST_OUTPUTS 18
#define FASTPG_MOST_HEADS (FASTPG_MOST_OUTPUTS + 1)
#define FASTPG_MOST_VIEWS 8
#define FASTPG_TILE_SUMS (FASTPG_TILES - A26_VIEW_PIXELS) /* tiles of more than one pixel */

/* A vector of units. */
#if defined(__GNUC__)
typedef fastpg_vector fastpg_unit_vector_t;
#define FASTPG_UNIT_LANES FASTPG_VECTOR
#else
typedef float fastpg_unit_vector_t;
#define FASTPG_UNIT_LANES 1
#endif
#define FASTPG_UNIT_VECTORS (FASTPG_UNITS / FASTPG_UNIT_LANES)

/* A number for each unit of a block, in registers. */
typedef struct {
    fastpg_unit_vector_t vector[FASTPG_UNIT_VECTORS];
} fastpg_units_t;

/* The rollout buffer. A slot is one step of one game: the frame before the action, the action and
 * what it led to. Each game has a row of slots. A row starts with the look-back slots of its first
 * step. */
typedef struct {
    uint16_t *tiles;        /* (capacity,): of all frames */
    uint32_t *tile_offsets; /* (slots,): the first tile of the slot's frame */
    uint16_t *tile_counts;  /* (slots,) */
    uint8_t *episode_steps; /* (slots,): frames of the episode before this one, at most 255 */
    uint8_t *actions;       /* (slots,) */
    uint8_t *dones;         /* (slots,): 1: the action ends the episode */
    float *rewards;         /* (slots,): of the action */
    float *action_probs;    /* (slots,): the probability that the action had */
    float *values;          /* (slots,): of the frame, with a value head */
} fastpg_buffer_t;

typedef struct {
    int64_t blocks;
    int64_t views;                   /* views in the input */
    int64_t lags[FASTPG_MOST_VIEWS]; /* each view's age in steps; the first is 0 */
    int difference;                  /* of two views: one plane, the earlier view is subtracted */
    int64_t past_actions;            /* earlier actions in the input */
    int64_t actions;                 /* of the game */
    int64_t outputs;                 /* logits: 1 for two actions */
    int64_t heads;                   /* outputs, plus 1 with a value */
    int64_t first_action_row;
    int64_t cell; /* side of a cell, whose pixels share a part of their weights; 0: no cells */
    int64_t first_cell_row;
    int64_t cells_across;             /* cells along a side of a plane */
    int16_t cell_of[A26_VIEW_PIXELS]; /* each pixel's cell in its plane, column by column */
    int64_t rows; /* trained rows: planes of pixels, (past actions, actions), planes of cells */
    int64_t weight_rows; /* rows; then sums over tiles, plane by plane; then one row of zeros */
    float *w1;           /* (blocks, weight_rows, FASTPG_UNITS) */
    float *w2;           /* (blocks, heads, FASTPG_UNITS) */
    _Atomic uint32_t
        *sum_versions; /* (blocks, weight_rows - rows): a sum's version; odd: in work */
    uint32_t version;  /* even; raised by 2 when the weights change */
} fastpg_network_t;

/* ---- rows ------------------------------------------------------------------------------------ */

FASTPG_INLINE int64_t fastpg_planes(const fastpg_network_t *n) {
    return n->difference ? 1 : n->views;
}

/* Number the rows of w1. */
static inline void fastpg_lay_out_rows(fastpg_network_t *n) {
    const int64_t planes = fastpg_planes(n);
    n->cells_across = n->cell ? (A26_VIEW_SIDE + n->cell - 1) / n->cell : 0;
    n->first_action_row = planes * A26_VIEW_PIXELS;
    n->first_cell_row = n->first_action_row + n->past_actions * n->actions;
    n->rows = n->first_cell_row + planes * n->cells_across * n->cells_across;
    n->weight_rows = n->rows + planes * FASTPG_TILE_SUMS + 1;
    for (int64_t k = 0; n->cell && k < A26_VIEW_PIXELS; k++)
        n->cell_of[k] =
            (int16_t)(k / A26_VIEW_SIDE / n->cell * n->cells_across + k % A26_VIEW_SIDE / n->cell);
}

FASTPG_INLINE int64_t fastpg_pixel_row(int64_t plane, int x, int y) {
    return plane * A26_VIEW_PIXELS + x * A26_VIEW_SIDE + y;
}

/* The row of cell (x, y) of a plane. */
FASTPG_INLINE int64_t fastpg_cell_row(const fastpg_network_t *n, int64_t plane, int x, int y) {
    return n->first_cell_row + (plane * n->cells_across + x) * n->cells_across + y;
}

/* The row of a pixel's cell. */
FASTPG_INLINE int64_t fastpg_cell_row_of(const fastpg_network_t *n, int64_t plane, int64_t pixel) {
    return n->first_cell_row + plane * n->cells_across * n->cells_across + n->cell_of[pixel];
}

/* The row of a tile: its pixel's, or its sum's. */
FASTPG_INLINE int64_t fastpg_weight_row(const fastpg_network_t *n, int64_t plane, uint16_t tile) {
    return tile < A26_VIEW_PIXELS ? plane * A26_VIEW_PIXELS + tile
                                  : n->rows + plane * FASTPG_TILE_SUMS + tile - A26_VIEW_PIXELS;
}

/* The row that a tile adds besides its own: for a lone pixel its cell's row, for a sum, which
 * includes its cells, the row of zeros. Always adding a row is faster than a branch that cannot be
 * predicted. */
FASTPG_INLINE int64_t fastpg_shared_row(const fastpg_network_t *n, int64_t plane, uint16_t tile) {
    const int64_t cell = fastpg_cell_row_of(n, plane, tile < A26_VIEW_PIXELS ? tile : 0);
    return tile < A26_VIEW_PIXELS ? cell : n->weight_rows - 1;
}

/* The row of past action k (0: the last one), or -1 before the episode's start. */
FASTPG_INLINE int64_t fastpg_past_action_row(const fastpg_network_t *n, const fastpg_buffer_t *r,
                                             int64_t i, int64_t k) {
    if (k >= r->episode_steps[i]) return -1;
    return n->first_action_row + k * n->actions + r->actions[i - 1 - k];
}

/* The slot whose frame slot i sees as view k. An episode's first frame precedes itself. */
FASTPG_INLINE int64_t fastpg_seen(const fastpg_network_t *n, const fastpg_buffer_t *r, int64_t i,
                                  int64_t k) {
    return i - (n->lags[k] < r->episode_steps[i] ? n->lags[k] : r->episode_steps[i]);
}

/* ---- sums of weights over tiles -------------------------------------------------------------- */

FASTPG_INLINE void fastpg_add_row(fastpg_units_t *sums, const float *row) {
    const fastpg_unit_vector_t *vector = (const fastpg_unit_vector_t *)row;
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) sums->vector[k] += vector[k];
}

FASTPG_INLINE void fastpg_store(const fastpg_units_t *sums, float *row) {
    fastpg_unit_vector_t *vector = (fastpg_unit_vector_t *)row;
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) vector[k] = sums->vector[k];
}

/* The pixels of a tile: of a plane, from (x, y) on to the right and down. */
typedef struct {
    int64_t plane;
    int x, y, width, height;
} fastpg_rect_t;

/* The pixels that a sum's row stands for. */
FASTPG_INLINE fastpg_rect_t fastpg_rect(const fastpg_network_t *n, int64_t weight_row) {
    const int64_t sum = weight_row - n->rows;
    const int tile = (int)(sum % FASTPG_TILE_SUMS) + A26_VIEW_PIXELS, at = tile % A26_VIEW_PIXELS;
    const int kind = tile / A26_VIEW_PIXELS;
    fastpg_rect_t rect = {sum / FASTPG_TILE_SUMS, at / A26_VIEW_SIDE, at % A26_VIEW_SIDE,
                          kind / 4 ? 2 : 1, 1 << kind % 4};
    return rect;
}

/* How many of the numbers begin..begin+count-1 lie in cell `number` of a line of cells. */
FASTPG_INLINE int fastpg_overlap(int begin, int count, int number, int side) {
    const int low = number * side, high = low + side, end = begin + count;
    return (high < end ? high : end) - (low > begin ? low : begin);
}

/* Add the rows of the cells under a tile, once per pixel. */
FASTPG_INLINE void fastpg_add_cells(const fastpg_network_t *n, int64_t block, fastpg_rect_t p,
                                    fastpg_units_t *sums) {
    const int side = (int)n->cell;
    for (int x = p.x / side; x <= (p.x + p.width - 1) / side; x++)
        for (int y = p.y / side; y <= (p.y + p.height - 1) / side; y++) {
            const int pixels =
                fastpg_overlap(p.x, p.width, x, side) * fastpg_overlap(p.y, p.height, y, side);
            const int64_t row = block * n->weight_rows + fastpg_cell_row(n, p.plane, x, y);
            const fastpg_unit_vector_t *cell =
                (const fastpg_unit_vector_t *)(n->w1 + row * FASTPG_UNITS);
            for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
                sums->vector[k] += (float)pixels * cell[k];
        }
}

/* The rows of a tile's pixels, and of their cells once per pixel. */
FASTPG_CLONES static void fastpg_make_sum(const fastpg_network_t *n, int64_t block,
                                          int64_t weight_row, float *to) {
    const fastpg_rect_t p = fastpg_rect(n, weight_row);
    fastpg_units_t sums = {0};
    for (int x = p.x; x < p.x + p.width; x++)
        for (int y = p.y; y < p.y + p.height; y++)
            fastpg_add_row(
                &sums,
                n->w1 + (block * n->weight_rows + fastpg_pixel_row(p.plane, x, y)) * FASTPG_UNITS);
    if (n->cell) fastpg_add_cells(n, block, p, &sums);
    fastpg_store(&sums, to);
}

/* Bring a sum up to date, and return it. If another thread is making it, it is made in
 * `scratch`. */
static const float *fastpg_make_row(const fastpg_network_t *n, int64_t block, int64_t weight_row,
                                    uint32_t seen, float *scratch) {
    _Atomic uint32_t *sum_version =
        n->sum_versions + block * (n->weight_rows - n->rows) + weight_row - n->rows;
    float *row = n->w1 + (block * n->weight_rows + weight_row) * FASTPG_UNITS;
    if (seen == n->version + 1
        || !atomic_compare_exchange_strong(sum_version, &seen, n->version + 1)) {
        fastpg_make_sum(n, block, weight_row, scratch);
        return scratch;
    }
    fastpg_make_sum(n, block, weight_row, row);
    atomic_store_explicit(sum_version, n->version, memory_order_release);
    return row;
}

/* A row of w1; a sum is brought up to date first. */
FASTPG_INLINE const float *fastpg_row(const fastpg_network_t *n, int64_t block, int64_t weight_row,
                                      float *scratch) {
    if (weight_row >= n->rows) {
        _Atomic uint32_t *sum_version =
            n->sum_versions + block * (n->weight_rows - n->rows) + weight_row - n->rows;
        uint32_t seen = atomic_load_explicit(sum_version, memory_order_acquire);
        if (seen != n->version) return fastpg_make_row(n, block, weight_row, seen, scratch);
    }
    return n->w1 + (block * n->weight_rows + weight_row) * FASTPG_UNITS;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Add a frame's rows. `made`: all sums that it needs are up to date. */
FASTPG_INLINE void fastpg_add_frame(const fastpg_network_t *n, const fastpg_buffer_t *r,
                                    int64_t block, int64_t plane, int64_t frame, int made,
                                    fastpg_units_t *sums) {
    const float *rows = n->w1 + block * n->weight_rows * FASTPG_UNITS;
    float scratch[FASTPG_UNITS];
    const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
    for (int64_t k = 0; k < r->tile_counts[frame]; k++) {
        const int64_t weight_row = fastpg_weight_row(n, plane, tiles[k]);
        fastpg_add_row(sums, made ? rows + weight_row * FASTPG_UNITS
                                  : fastpg_row(n, block, weight_row, scratch));
        if (n->cell)
            fastpg_add_row(sums, rows + fastpg_shared_row(n, plane, tiles[k]) * FASTPG_UNITS);
    }
}

/* max(0, x) of each; NaN stays NaN. */
FASTPG_INLINE void fastpg_rectify(fastpg_units_t *units) {
#if defined(__GNUC__)
    typedef int32_t mask_t __attribute__((vector_size(4 * FASTPG_VECTOR), aligned(4), may_alias));
    const fastpg_unit_vector_t zero = {0};
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
        units->vector[k] =
            (fastpg_unit_vector_t)((mask_t)units->vector[k] & ~(mask_t)(units->vector[k] < zero));
#else
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
        units->vector[k] = units->vector[k] < 0 ? 0 : units->vector[k];
#endif
}

/* One frame's sum in one block. It is kept because the next step's difference subtracts it. */
typedef struct {
    fastpg_units_t sums;
    int64_t slot; /* of the frame; -1: none */
} fastpg_frame_sums_t;

/* The hidden units of a block at slot i. `made`: as in fastpg_add_frame. Only a network on
 * differences reads and writes `frame_sums`. */
FASTPG_INLINE fastpg_units_t fastpg_hidden(const fastpg_network_t *n, const fastpg_buffer_t *r,
                                           int64_t block, int64_t i, int made,
                                           fastpg_frame_sums_t *frame_sums) {
    fastpg_units_t sums = {0}, earlier = {0};
    fastpg_add_frame(n, r, block, 0, i, made, &sums);
    if (n->difference) {
        const int64_t before = fastpg_seen(n, r, i, 1);
        if (frame_sums->slot == before)
            earlier = frame_sums->sums;
        else
            fastpg_add_frame(n, r, block, 0, before, made, &earlier);
        frame_sums->sums = sums;
        frame_sums->slot = i;
        for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) sums.vector[k] -= earlier.vector[k];
    } else {
        for (int64_t k = 1; k < n->views; k++)
            fastpg_add_frame(n, r, block, k, fastpg_seen(n, r, i, k), made, &sums);
    }
    for (int64_t k = 0; k < n->past_actions; k++) {
        int64_t weight_row = fastpg_past_action_row(n, r, i, k);
        if (weight_row >= 0)
            fastpg_add_row(&sums, n->w1 + (block * n->weight_rows + weight_row) * FASTPG_UNITS);
    }
    fastpg_rectify(&sums);
    return sums;
}

/* A block's part of a head: eight partial sums on every machine. */
FASTPG_INLINE float fastpg_head(const fastpg_units_t *hidden, const float *w2) {
    enum { ACROSS = FASTPG_LANES / FASTPG_UNIT_LANES };
    const fastpg_unit_vector_t *weights = (const fastpg_unit_vector_t *)w2;
    fastpg_unit_vector_t products[ACROSS];
    for (int k = 0; k < ACROSS; k++) products[k] = hidden->vector[k] * weights[k];
    for (int k = ACROSS; k < FASTPG_UNIT_VECTORS; k++)
        products[k % ACROSS] += hidden->vector[k] * weights[k];
    float lane[FASTPG_LANES], sum = 0;
    memcpy(lane, products, sizeof(lane));
    for (int j = 0; j < FASTPG_LANES; j++) sum += lane[j];
    return sum;
}

FASTPG_INLINE float fastpg_action_prob(const float *probabilities, int64_t outputs,
                                       uint8_t action) {
    if (outputs > 1) return probabilities[action];
    return action ? probabilities[0] : 1.0f - probabilities[0];
}

/* The heads of slot i: logits, then the value if there is one. `frame_sums`: one per block. */
FASTPG_CLONES static void fastpg_evaluate(const fastpg_network_t *n, const fastpg_buffer_t *r,
                                          int64_t i, fastpg_frame_sums_t *frame_sums,
                                          float *heads) {
    for (int64_t o = 0; o < n->heads; o++) heads[o] = 0;
    for (int64_t block = 0; block < n->blocks; block++) {
        fastpg_units_t hidden = fastpg_hidden(n, r, block, i, 0, frame_sums + block);
        for (int64_t o = 0; o < n->heads; o++)
            heads[o] += fastpg_head(&hidden, n->w2 + (block * n->heads + o) * FASTPG_UNITS);
    }
}

/* Call it before slots of another buffer, or with other weights, are evaluated. */
static void fastpg_clear_frame_sums(const fastpg_network_t *n, fastpg_frame_sums_t *frame_sums) {
    for (int64_t block = 0; block < n->blocks; block++) frame_sums[block].slot = -1;
}

#endif
