/* A minibatch under way, and what it touches: which rows of weights and sums over tiles, and each
 * sample's places.
 *
 * Samples mark what they stand for, shared out on threads; the marks become lists, with a slot in
 * the gradient for each that is on them; then each sample is told where its own lie. So the passes
 * over the samples, which go through them for each block of hidden units, neither look into the
 * buffer again nor ask who was first at a place. (But for differences: their samples are worked on
 * by the frames that they share, as the buffer has them.) */
#ifndef FASTPG_MINIBATCH_H
#define FASTPG_MINIBATCH_H

#include "kernels/returns_losses_optimizers.h"
#include "network/tile_network.h"

#define FASTPG_LIST_SAMPLES 64 /* of one piece of marking or listing */
#define FASTPG_LOSS_SAMPLES 128

/* For each sample `s` of a piece of `size`, of `count` in all. */
#define FASTPG_FOR_PIECE(s, piece, size, count) \
    for (int64_t s = (piece) * (size); s < ((piece) + 1) * (size) && s < (count); s++)

typedef struct {
    fastpg_network_t *net;
    const int32_t *mirror_rows; /* (rows + heads,), or NULL; else units are pairs: weight (r, h) is
                                 * weight (mirror_rows[r], h ^ 1), of the other sign where
                                 * ~mirror_rows[r] stands there; heads lie behind the rows */
    float *g1, *g2; /* (blocks, places, FASTPG_UNITS): of the listed rows, then sums; as net->w2 */
    uint8_t *marks; /* (places + 8,), looked through in words: whether this minibatch lights it */
    int32_t *rows, *sums; /* the rows and the sums that are marked, in their order */
    int64_t row_count, sum_count;
    int32_t *slots;       /* (places,): where in g1 those that are marked lie */
    double *norms;        /* (blocks,): sum of squares */
    float *mean1, *mean2; /* Adam's; (blocks, rows, FASTPG_UNITS), as net->w2 */
    float *square1, *square2;
    uint32_t
        *updated; /* (blocks, rows): RMSProp's number of updates when a row's square was right */
    uint32_t updates;
} fastpg_learner_t;

/* A sample's part of `lists`: the slots that its gradient goes to, then the places whose rows its
 * hidden units are the sum of, the cells of lone pixels among them. */
typedef struct {
    int64_t begin;
    int32_t slots, places; /* how many */
} fastpg_span_t;

/* A minibatch under way. */
typedef struct {
    fastpg_learner_t *learner;
    const fastpg_record_t *buffer;
    const int32_t *samples; /* slots */
    int64_t count;
    const float *advantages, *returns; /* of all slots */
    fastpg_ppo_t loss; /* maximised: min(ratio A, clip(ratio) A) + entropy H - value (V - R)^2 */
    float scale;       /* of all gradients */
    float *hidden;     /* (blocks, count, FASTPG_UNITS) */
    float *parts;      /* (blocks, count, heads) */
    float *gradients;  /* (count, heads): of the heads */
    fastpg_span_t *episode_slices;                             /* (count,) */
    int32_t *lists;                                            /* none of differences */
    fastpg_ppo_sums_t *loss_sums;                              /* a piece of work each */
    float learning_rate, decay, beta1, beta2, epsilon, factor; /* factor: of the gradients */
} fastpg_batch_t;

/* ---- marks ---------------------------------------------------------------------------------- */

/* Threads write the same there, and mostly find it written. */
FASTPG_INLINE void fastpg_mark(const fastpg_learner_t *l, int64_t place) {
    _Atomic uint8_t *mark = (_Atomic uint8_t *)l->marks + place;
    if (!atomic_load_explicit(mark, memory_order_relaxed))
        atomic_store_explicit(mark, 1, memory_order_relaxed);
}

/* Mark the places that a sample's tiles and past actions stand for; returns how many, one twice if
 * it comes twice. */
FASTPG_INLINE int64_t fastpg_mark_sample(const fastpg_learner_t *l, const fastpg_record_t *r,
                                         int64_t i) {
    const fastpg_network_t *n = l->net;
    int64_t count = 0;
    for (int64_t view = 0; view < n->views; view++) {
        const int64_t frame = fastpg_seen(n, r, i, view), plane = n->difference ? 0 : view;
        const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
        for (int64_t k = 0; k < r->tile_counts[frame]; k++)
            fastpg_mark(l, fastpg_place(n, plane, tiles[k]));
        count += r->tile_counts[frame];
    }
    for (int64_t k = 0; k < n->recalled; k++) {
        const int64_t place = fastpg_recalled_place(n, r, i, k);
        if (place < 0) continue;
        fastpg_mark(l, place);
        count++;
    }
    return count;
}

static void fastpg_mark_piece(const fastpg_batch_t *b, int64_t piece) {
    FASTPG_FOR_PIECE(s, piece, FASTPG_LIST_SAMPLES, b->count)
    b->episode_slices[s].slots = (int32_t)fastpg_mark_sample(b->learner, b->buffer, b->samples[s]);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* The first marked place from `place` on and below `end`, or `end`. */
FASTPG_INLINE int64_t fastpg_next_mark(const uint8_t *marks, int64_t place, int64_t end) {
    for (; place < end && place % 8; place++)
        if (marks[place]) return place;
    for (uint64_t word = 0; place < end; place += 8) {
        memcpy(&word, marks + place, 8);
        if (word) break;
    }
    for (; place < end; place++)
        if (marks[place]) return place;
    return end;
}

/* List what marked samples touch: sums over tiles, their pixels, the cells of these; each has a
 * slot in the gradient. */
static void fastpg_plan(fastpg_learner_t *l) {
    const fastpg_network_t *n = l->net;
    l->sum_count = l->row_count = 0;
    for (int64_t at = fastpg_next_mark(l->marks, n->rows, n->places); at < n->places;
         at = fastpg_next_mark(l->marks, at + 1, n->places)) {
        const fastpg_patch_t p = fastpg_patch(n, at);
        l->sums[l->sum_count++] = (int32_t)at;
        for (int x = p.x; x < p.x + p.width; x++)
            memset(l->marks + fastpg_pixel_row(p.plane, x, p.y), 1, (size_t)p.height);
    }
    if (l->mirror_rows)
        for (int64_t row = fastpg_next_mark(l->marks, 0, n->cells); row < n->cells;
             row = fastpg_next_mark(l->marks, row + 1, n->cells))
            l->marks[l->mirror_rows[row]] = 1;
    for (int64_t row = fastpg_next_mark(l->marks, 0, n->rows);
         row < n->rows; /* cells lie behind all pixels */
         row = fastpg_next_mark(l->marks, row + 1, n->rows)) {
        l->slots[row] = (int32_t)l->row_count;
        l->rows[l->row_count++] = (int32_t)row;
        if (n->cell && row < n->past)
            l->marks[fastpg_row_of_cell(n, row / FASTPG_TILE_PIXELS, row % FASTPG_TILE_PIXELS)] = 1;
    }
    for (int64_t k = 0; k < l->sum_count; k++) l->slots[l->sums[k]] = (int32_t)(l->row_count + k);
}

/* Lay out the episode_slices of samples that have been marked; returns how long they are together.
 */
static int64_t fastpg_lay_spans(const fastpg_batch_t *b) {
    const int64_t most = b->learner->net->cell ? 3 : 2; /* a slot, a place, a cell */
    int64_t end = 0;
    for (int64_t s = 0; s < b->count; s++) {
        b->episode_slices[s].begin = end;
        end += most * b->episode_slices[s].slots;
    }
    return end;
}

/* List what fastpg_mark_sample marked, in the same order. */
FASTPG_INLINE void fastpg_list_sample(const fastpg_batch_t *b, int64_t s) {
    const fastpg_learner_t *l = b->learner;
    const fastpg_network_t *n = l->net;
    const fastpg_record_t *r = b->buffer;
    const int64_t i = b->samples[s];
    int32_t *slot = b->lists + b->episode_slices[s].begin,
            *places = slot + b->episode_slices[s].slots;
    int64_t count = 0;
    for (int64_t view = 0; view < n->views; view++) {
        const int64_t frame = fastpg_seen(n, r, i, view);
        const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
        for (int64_t k = 0; k < r->tile_counts[frame]; k++) {
            const int64_t place = fastpg_place(n, view, tiles[k]);
            *slot++ = l->slots[place];
            places[count++] = (int32_t)place;
            if (!n->cell) continue;
            /* a lone pixel's cell, without a branch: which tile is one cannot be foretold */
            places[count] =
                (int32_t)fastpg_row_of_cell(n, view, tiles[k] < FASTPG_TILE_PIXELS ? tiles[k] : 0);
            count += tiles[k] < FASTPG_TILE_PIXELS;
        }
    }
    for (int64_t k = 0; k < n->recalled; k++) {
        const int64_t place = fastpg_recalled_place(n, r, i, k);
        if (place < 0) continue;
        *slot++ = l->slots[place];
        places[count++] = (int32_t)place;
    }
    b->episode_slices[s].places = (int32_t)count;
}

static void fastpg_list_piece(const fastpg_batch_t *b, int64_t piece) {
    FASTPG_FOR_PIECE(s, piece, FASTPG_LIST_SAMPLES, b->count) fastpg_list_sample(b, s);
}

FASTPG_INLINE float *fastpg_gradient_row(const fastpg_learner_t *l, int64_t block, int64_t slot) {
    return l->g1 + (block * l->net->places + slot) * FASTPG_UNITS;
}

/* ---- before the passes ---------------------------------------------------------------------- */

/* Make the block's sums over tiles that will be read, and clear what will be added to. */
FASTPG_CLONES static void fastpg_prepare_block(fastpg_learner_t *l, int64_t block) {
    const fastpg_network_t *n = l->net;
    for (int64_t k = 0; k < l->sum_count; k++) {
        const int64_t place = l->sums[k];
        _Atomic uint32_t *stamp = n->stamps + block * (n->places - n->rows) + place - n->rows;
        if (atomic_load_explicit(stamp, memory_order_relaxed) != n->version) {
            fastpg_make_sum(n, block, place, n->w1 + (block * n->places + place) * FASTPG_UNITS);
            atomic_store_explicit(stamp, n->version, memory_order_relaxed);
        }
    }
    const size_t touched = (size_t)((l->row_count + l->sum_count) * FASTPG_UNITS);
    memset(fastpg_gradient_row(l, block, 0), 0, touched * sizeof(float));
    memset(l->g2 + block * n->heads * FASTPG_UNITS, 0,
           (size_t)(n->heads * FASTPG_UNITS) * sizeof(float));
}

#endif
