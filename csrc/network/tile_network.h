/* The two-layer network on tiles: the hidden layer in blocks, each with the sums of its weights
 * over tiles.
 *
 * A block is FASTPG_UNITS hidden units: its rows of weights lie together, and in learning one
 * thread at a time has all of it, so that nothing has to be added up between threads. Every sum has
 * one order, whatever the number of threads and the machine's vectors. */
#ifndef FASTPG_NETWORK_H
#define FASTPG_NETWORK_H

#include <stdatomic.h>

#include "kernels/policy_network.h"
#include "network/tiles.h"

#define FASTPG_UNITS 64
#define FASTPG_MOST_OUTPUTS 18
#define FASTPG_MOST_HEADS (FASTPG_MOST_OUTPUTS + 1)
#define FASTPG_MOST_VIEWS 8
#define FASTPG_TILE_SUMS (FASTPG_TILES - FASTPG_TILE_PIXELS) /* tiles of more than a pixel */

#if defined(__GNUC__)
typedef fastpg_vector fastpg_piece_t;
#define FASTPG_PIECE FASTPG_VECTOR
#else
typedef float fastpg_piece_t;
#define FASTPG_PIECE 1
#endif
#define FASTPG_PIECES (FASTPG_UNITS / FASTPG_PIECE)

/* Numbers of one block's units, in registers. */
typedef struct {
    fastpg_piece_t piece[FASTPG_PIECES];
} fastpg_units_t;

/* What was played: an slot a step of each game, one row of slots after the other, and room before
 * and behind for what the first and the last step look at. Entry i shows the frame before action i.
 */
typedef struct {
    uint16_t *tiles;        /* of all frames */
    uint32_t *tile_offsets; /* of each slot's tiles */
    uint16_t *tile_counts;  /* of them */
    uint8_t *episode_steps; /* frames of the episode before this one, at most 255 */
    uint8_t *actions;
    uint8_t *dones;      /* 1: the episode is over after the action */
    float *rewards;      /* of the action */
    float *action_probs; /* the action's probability */
    float *values;       /* of the frame, if there is a value head */
} fastpg_record_t;

typedef struct {
    int64_t blocks;
    int64_t views;                   /* that it sees */
    int64_t lags[FASTPG_MOST_VIEWS]; /* steps before the slot's that each is of; the first is 0 */
    int difference;   /* of two views: one plane of weights, the earlier view subtracted */
    int64_t recalled; /* earlier actions that it sees */
    int64_t actions;  /* there are */
    int64_t outputs;  /* logits: 1 for two actions */
    int64_t heads;    /* outputs, and 1 more with a value */
    int64_t past;     /* first row of the recalled actions */
    int64_t cell;     /* side of the cells whose pixels share a part of their weights; 0: none */
    int64_t cells;    /* first row of the cells */
    int64_t across;   /* cells along a side of a plane */
    int16_t cell_of[FASTPG_TILE_PIXELS]; /* the number of each pixel's cell in its plane, column by
                                            column */
    int64_t rows;   /* of w1: planes of pixels, (recalled, actions), planes of cells */
    int64_t places; /* rows, then the sums, plane by plane, then one of zeros */
    float *w1;      /* (blocks, places, FASTPG_UNITS) */
    float *w2;      /* (blocks, heads, FASTPG_UNITS) */
    _Atomic uint32_t
        *stamps;      /* (blocks, places - rows): of which version a sum is; odd: being made */
    uint32_t version; /* even; raised by 2 when weights change */
} fastpg_network_t;

FASTPG_INLINE int64_t fastpg_planes(const fastpg_network_t *n) {
    return n->difference ? 1 : n->views;
}

/* Where the rows of w1 and the sums lie, from what the network sees and whether it has cells. */
static inline void fastpg_lay_out(fastpg_network_t *n) {
    const int64_t planes = fastpg_planes(n);
    n->across = n->cell ? (FASTPG_TILE_SIDE + n->cell - 1) / n->cell : 0;
    n->past = planes * FASTPG_TILE_PIXELS;
    n->cells = n->past + n->recalled * n->actions;
    n->rows = n->cells + planes * n->across * n->across;
    n->places = n->rows + planes * FASTPG_TILE_SUMS + 1;
    for (int64_t k = 0; n->cell && k < FASTPG_TILE_PIXELS; k++)
        n->cell_of[k] =
            (int16_t)(k / FASTPG_TILE_SIDE / n->cell * n->across + k % FASTPG_TILE_SIDE / n->cell);
}

/* ---- sums of weights over tiles ------------------------------------------------------------- */

FASTPG_INLINE void fastpg_add_row(fastpg_units_t *sums, const float *row) {
    const fastpg_piece_t *piece = (const fastpg_piece_t *)row;
    for (int k = 0; k < FASTPG_PIECES; k++) sums->piece[k] += piece[k];
}

FASTPG_INLINE void fastpg_store(const fastpg_units_t *sums, float *row) {
    fastpg_piece_t *piece = (fastpg_piece_t *)row;
    for (int k = 0; k < FASTPG_PIECES; k++) piece[k] = sums->piece[k];
}

/* What a place behind `rows` stands for: pixels of a plane, (x, y) and those to the right and
 * below. */
typedef struct {
    int64_t plane;
    int x, y, width, height;
} fastpg_patch_t;

FASTPG_INLINE fastpg_patch_t fastpg_patch(const fastpg_network_t *n, int64_t place) {
    const int64_t sum = place - n->rows;
    const int tile = (int)(sum % FASTPG_TILE_SUMS) + FASTPG_TILE_PIXELS,
              at = tile % FASTPG_TILE_PIXELS;
    const int kind = tile / FASTPG_TILE_PIXELS;
    fastpg_patch_t patch = {sum / FASTPG_TILE_SUMS, at / FASTPG_TILE_SIDE, at % FASTPG_TILE_SIDE,
                            kind / 4 ? 2 : 1, 1 << kind % 4};
    return patch;
}

/* How many of the numbers begin..begin+count-1 lie in the cell of that number. */
FASTPG_INLINE int fastpg_overlap(int begin, int count, int number, int side) {
    const int low = number * side, high = low + side, end = begin + count;
    return (high < end ? high : end) - (low > begin ? low : begin);
}

FASTPG_INLINE int64_t fastpg_pixel_row(int64_t plane, int x, int y) {
    return plane * FASTPG_TILE_PIXELS + x * FASTPG_TILE_SIDE + y;
}

/* The row of the cell that is number x of a plane across, number y down. */
FASTPG_INLINE int64_t fastpg_cell_row(const fastpg_network_t *n, int64_t plane, int x, int y) {
    return n->cells + (plane * n->across + x) * n->across + y;
}

FASTPG_INLINE void fastpg_add_cells(const fastpg_network_t *n, int64_t block, fastpg_patch_t p,
                                    fastpg_units_t *sums) {
    const int side = (int)n->cell;
    for (int x = p.x / side; x <= (p.x + p.width - 1) / side; x++)
        for (int y = p.y / side; y <= (p.y + p.height - 1) / side; y++) {
            const int pixels =
                fastpg_overlap(p.x, p.width, x, side) * fastpg_overlap(p.y, p.height, y, side);
            const int64_t row = block * n->places + fastpg_cell_row(n, p.plane, x, y);
            const fastpg_piece_t *cell = (const fastpg_piece_t *)(n->w1 + row * FASTPG_UNITS);
            for (int k = 0; k < FASTPG_PIECES; k++) sums->piece[k] += (float)pixels * cell[k];
        }
}

/* The weights of a tile's pixels, and those of their cells once for each. */
FASTPG_CLONES static void fastpg_make_sum(const fastpg_network_t *n, int64_t block, int64_t place,
                                          float *to) {
    const fastpg_patch_t p = fastpg_patch(n, place);
    fastpg_units_t sums = {0};
    for (int x = p.x; x < p.x + p.width; x++)
        for (int y = p.y; y < p.y + p.height; y++)
            fastpg_add_row(
                &sums,
                n->w1 + (block * n->places + fastpg_pixel_row(p.plane, x, y)) * FASTPG_UNITS);
    if (n->cell) fastpg_add_cells(n, block, p, &sums);
    fastpg_store(&sums, to);
}

/* A sum that is not of this version yet. Made where it belongs, unless another thread is about
 * that. */
static const float *fastpg_make_row(const fastpg_network_t *n, int64_t block, int64_t place,
                                    uint32_t seen, float *scratch) {
    _Atomic uint32_t *stamp = n->stamps + block * (n->places - n->rows) + place - n->rows;
    float *row = n->w1 + (block * n->places + place) * FASTPG_UNITS;
    if (seen == n->version + 1 || !atomic_compare_exchange_strong(stamp, &seen, n->version + 1)) {
        fastpg_make_sum(n, block, place, scratch);
        return scratch;
    }
    fastpg_make_sum(n, block, place, row);
    atomic_store_explicit(stamp, n->version, memory_order_release);
    return row;
}

FASTPG_INLINE const float *fastpg_row(const fastpg_network_t *n, int64_t block, int64_t place,
                                      float *scratch) {
    if (place >= n->rows) {
        _Atomic uint32_t *stamp = n->stamps + block * (n->places - n->rows) + place - n->rows;
        uint32_t seen = atomic_load_explicit(stamp, memory_order_acquire);
        if (seen != n->version) return fastpg_make_row(n, block, place, seen, scratch);
    }
    return n->w1 + (block * n->places + place) * FASTPG_UNITS;
}

/* Where a tile's sum lies, and its gradient. */
FASTPG_INLINE int64_t fastpg_place(const fastpg_network_t *n, int64_t plane, uint16_t tile) {
    return tile < FASTPG_TILE_PIXELS
               ? plane * FASTPG_TILE_PIXELS + tile
               : n->rows + plane * FASTPG_TILE_SUMS + tile - FASTPG_TILE_PIXELS;
}

/* The row of a pixel's cell. */
FASTPG_INLINE int64_t fastpg_row_of_cell(const fastpg_network_t *n, int64_t plane, int64_t pixel) {
    return n->cells + plane * n->across * n->across + n->cell_of[pixel];
}

/* What a tile adds besides its own place: a lone pixel its cell's row, others, whose sums have
 * their cells in them, zeros: which of them it is cannot be foretold, and a processor that guesses
 * wrong loses more than a row's time. */
FASTPG_INLINE int64_t fastpg_shared_place(const fastpg_network_t *n, int64_t plane, uint16_t tile) {
    const int64_t cell = fastpg_row_of_cell(n, plane, tile < FASTPG_TILE_PIXELS ? tile : 0);
    return tile < FASTPG_TILE_PIXELS ? cell : n->places - 1;
}

/* The place of the earlier action number k (0 the latest), or -1 at the episode's begin. */
FASTPG_INLINE int64_t fastpg_recalled_place(const fastpg_network_t *n, const fastpg_record_t *r,
                                            int64_t i, int64_t k) {
    if (k >= r->episode_steps[i]) return -1;
    return n->past + k * n->actions + r->actions[i - 1 - k];
}

/* The slot whose frame slot i sees as view k: an episode's first frame has itself before it. */
FASTPG_INLINE int64_t fastpg_seen(const fastpg_network_t *n, const fastpg_record_t *r, int64_t i,
                                  int64_t k) {
    return i - (n->lags[k] < r->episode_steps[i] ? n->lags[k] : r->episode_steps[i]);
}

/* ---- forward -------------------------------------------------------------------------------- */

/* `made`: all sums that it takes are of this version. */
FASTPG_INLINE void fastpg_add_frame(const fastpg_network_t *n, const fastpg_record_t *r,
                                    int64_t block, int64_t plane, int64_t frame, int made,
                                    fastpg_units_t *sums) {
    const float *rows = n->w1 + block * n->places * FASTPG_UNITS;
    float scratch[FASTPG_UNITS];
    const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
    for (int64_t k = 0; k < r->tile_counts[frame]; k++) {
        const int64_t place = fastpg_place(n, plane, tiles[k]);
        fastpg_add_row(sums,
                       made ? rows + place * FASTPG_UNITS : fastpg_row(n, block, place, scratch));
        if (n->cell)
            fastpg_add_row(sums, rows + fastpg_shared_place(n, plane, tiles[k]) * FASTPG_UNITS);
    }
}

/* max(0, x) of each; NaN stays NaN. */
FASTPG_INLINE void fastpg_rectify(fastpg_units_t *units) {
#if defined(__GNUC__)
    typedef int32_t mask_t __attribute__((vector_size(4 * FASTPG_VECTOR), aligned(4), may_alias));
    const fastpg_piece_t zero = {0};
    for (int k = 0; k < FASTPG_PIECES; k++)
        units->piece[k] =
            (fastpg_piece_t)((mask_t)units->piece[k] & ~(mask_t)(units->piece[k] < zero));
#else
    for (int k = 0; k < FASTPG_PIECES; k++)
        units->piece[k] = units->piece[k] < 0 ? 0 : units->piece[k];
#endif
}

/* A frame's sum in one block, kept since the next step's difference subtracts it. */
typedef struct {
    fastpg_units_t sums;
    int64_t slot; /* whose; -1: none */
} fastpg_latest_t;

/* The hidden units of a block at slot i; `made` as of fastpg_add_frame. `latest` is read and
 * written by differences only. */
FASTPG_INLINE fastpg_units_t fastpg_hidden(const fastpg_network_t *n, const fastpg_record_t *r,
                                           int64_t block, int64_t i, int made,
                                           fastpg_latest_t *latest) {
    fastpg_units_t sums = {0}, earlier = {0};
    fastpg_add_frame(n, r, block, 0, i, made, &sums);
    if (n->difference) {
        const int64_t before = fastpg_seen(n, r, i, 1);
        if (latest->slot == before)
            earlier = latest->sums;
        else
            fastpg_add_frame(n, r, block, 0, before, made, &earlier);
        latest->sums = sums;
        latest->slot = i;
        for (int k = 0; k < FASTPG_PIECES; k++) sums.piece[k] -= earlier.piece[k];
    } else {
        for (int64_t k = 1; k < n->views; k++)
            fastpg_add_frame(n, r, block, k, fastpg_seen(n, r, i, k), made, &sums);
    }
    for (int64_t k = 0; k < n->recalled; k++) {
        int64_t place = fastpg_recalled_place(n, r, i, k);
        if (place >= 0) fastpg_add_row(&sums, n->w1 + (block * n->places + place) * FASTPG_UNITS);
    }
    fastpg_rectify(&sums);
    return sums;
}

/* A block's part of a head: in eight lanes on every machine. */
FASTPG_INLINE float fastpg_head(const fastpg_units_t *hidden, const float *w2) {
    enum { ACROSS = FASTPG_LANES / FASTPG_PIECE };
    const fastpg_piece_t *weights = (const fastpg_piece_t *)w2;
    fastpg_piece_t products[ACROSS];
    for (int k = 0; k < ACROSS; k++) products[k] = hidden->piece[k] * weights[k];
    for (int k = ACROSS; k < FASTPG_PIECES; k++)
        products[k % ACROSS] += hidden->piece[k] * weights[k];
    float lane[FASTPG_LANES], sum = 0;
    memcpy(lane, products, sizeof(lane));
    for (int j = 0; j < FASTPG_LANES; j++) sum += lane[j];
    return sum;
}

FASTPG_INLINE float fastpg_chance(const float *probabilities, int64_t outputs, uint8_t action) {
    if (outputs > 1) return probabilities[action];
    return action ? probabilities[0] : 1.0f - probabilities[0];
}

/* Entry i's heads: logits, then the value if there is one. `latest`: of each block. */
FASTPG_CLONES static void fastpg_evaluate(const fastpg_network_t *n, const fastpg_record_t *r,
                                          int64_t i, fastpg_latest_t *latest, float *heads) {
    for (int64_t o = 0; o < n->heads; o++) heads[o] = 0;
    for (int64_t block = 0; block < n->blocks; block++) {
        fastpg_units_t hidden = fastpg_hidden(n, r, block, i, 0, latest + block);
        for (int64_t o = 0; o < n->heads; o++)
            heads[o] += fastpg_head(&hidden, n->w2 + (block * n->heads + o) * FASTPG_UNITS);
    }
}

/* To be called before slots of another buffer, or with other weights, are evaluated. */
static void fastpg_forget_latest(const fastpg_network_t *n, fastpg_latest_t *latest) {
    for (int64_t block = 0; block < n->blocks; block++) latest[block].slot = -1;
}

#endif
