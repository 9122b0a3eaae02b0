/* A minibatch under way: which rows of weights and which sums over tiles it touches.
 *
 * Samples mark their rows, shared out on threads. The marks become ascending lists, and each listed
 * row gets a slot in the gradient. Then each sample lists its own rows and slots. So the passes
 * over the samples, one per block of hidden units, neither read the buffer nor look up slots.
 * (Networks on differences have no lists: their samples share frames, which they read from the
 * buffer.)
 *
 *   fastpg_mark_chunk, fastpg_plan, fastpg_lay_out_lists, fastpg_list_chunk, fastpg_prepare_block
 *
 * in this order, then the passes of network/learner.h.
 *
 * mirror_rows: hidden units come in pairs whose weights are mirror images. Weight (r, h) then
 * equals weight (mirror_rows[r], h ^ 1), or is its negative where ~mirror_rows[r] is stored. Heads
 * come after the rows. */
#ifndef FASTPG_MINIBATCH_H
#define FASTPG_MINIBATCH_H

#include "kernels/ppo_losses.h"
#include "network/tile_network.h"

#define FASTPG_LIST_SAMPLES 64  /* of one chunk of marking or listing */
#define FASTPG_LOSS_SAMPLES 128 /* of one chunk of the loss */

/* For each sample `s` of chunk number `chunk`, of `size` samples; there are `count` in all. */
#define FASTPG_FOR_CHUNK(s, chunk, size, count) \
    for (int64_t s = (chunk) * (size); s < ((chunk) + 1) * (size) && s < (count); s++)

typedef struct {
    fastpg_network_t *net;
    const int32_t *mirror_rows; /* (rows + heads,), or NULL; see above */
    float *g1; /* (blocks, weight_rows, FASTPG_UNITS): gradients of the listed rows, then sums */
    float *g2; /* (blocks, heads, FASTPG_UNITS) */
    uint8_t *marks; /* (weight_rows + 8,), read in words: whether this minibatch lights the row */
    int32_t *rows, *sums; /* the marked rows and sums, ascending */
    int64_t row_count, sum_count;
    int32_t *grad_slots;  /* (weight_rows,): where in g1 the marked ones are */
    double *norms;        /* (blocks,): sums of squares */
    float *mean1, *mean2; /* Adam's: (blocks, rows, FASTPG_UNITS), (blocks, heads, FASTPG_UNITS) */
    float *square1, *square2; /* of Adam and RMSProp, likewise */
    uint32_t *updated;        /* (blocks, rows): RMSProp's update that last decayed the square */
    uint32_t updates;
} fastpg_learner_t;

/* A sample's part of `lists`: the gradient slots of its rows, then the rows whose sum its hidden
 * units are, the cells of lone pixels among them. */
typedef struct {
    int64_t begin;
    int32_t grad_slots, weight_rows; /* how many */
} fastpg_list_span_t;

typedef struct {
    fastpg_learner_t *learner;
    const fastpg_buffer_t *buffer;
    const int32_t *samples; /* (count,): slots of the buffer */
    int64_t count;
    const float *advantages, *returns; /* (slots,): of the whole buffer */
    fastpg_ppo_t loss;    /* maximised: min(ratio A, clip(ratio) A) + entropy H - value (V - R)^2 */
    float scale;          /* of all gradients */
    float *hidden;        /* (blocks, count, FASTPG_UNITS) */
    float *partial_heads; /* (blocks, count, heads) */
    float *gradients;     /* (count, heads): of the heads */
    fastpg_list_span_t *list_spans;                            /* (count,) */
    int32_t *lists;                                            /* unused with differences */
    fastpg_ppo_sums_t *loss_sums;                              /* one per chunk of samples */
    float learning_rate, decay, beta1, beta2, epsilon, factor; /* factor: of the gradients */
} fastpg_batch_t;

FASTPG_INLINE float *fastpg_gradient_row(const fastpg_learner_t *l, int64_t block,
                                         int64_t grad_slot) {
    return l->g1 + (block * l->net->weight_rows + grad_slot) * FASTPG_UNITS;
}

/* ---- marks ----------------------------------------------------------------------------------- */

/* Threads write the same value, and mostly find it written: a test saves the store. */
FASTPG_INLINE void fastpg_mark(const fastpg_learner_t *l, int64_t weight_row) {
    _Atomic uint8_t *mark = (_Atomic uint8_t *)l->marks + weight_row;
    if (!atomic_load_explicit(mark, memory_order_relaxed))
        atomic_store_explicit(mark, 1, memory_order_relaxed);
}

/* Mark the rows of a sample's tiles and past actions. Returns their number, repeated ones
 * included. */
FASTPG_INLINE int64_t fastpg_mark_sample(const fastpg_learner_t *l, const fastpg_buffer_t *r,
                                         int64_t i) {
    const fastpg_network_t *n = l->net;
    int64_t count = 0;
    for (int64_t view = 0; view < n->views; view++) {
        const int64_t frame = fastpg_seen(n, r, i, view), plane = n->difference ? 0 : view;
        const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
        for (int64_t k = 0; k < r->tile_counts[frame]; k++)
            fastpg_mark(l, fastpg_weight_row(n, plane, tiles[k]));
        count += r->tile_counts[frame];
    }
    for (int64_t k = 0; k < n->past_actions; k++) {
        const int64_t weight_row = fastpg_past_action_row(n, r, i, k);
        if (weight_row < 0) continue;
        fastpg_mark(l, weight_row);
        count++;
    }
    return count;
}

static void fastpg_mark_chunk(const fastpg_batch_t *b, int64_t chunk) {
    FASTPG_FOR_CHUNK (s, chunk, FASTPG_LIST_SAMPLES, b->count)
        b->list_spans[s].grad_slots =
            (int32_t)fastpg_mark_sample(b->learner, b->buffer, b->samples[s]);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* The first marked row in [weight_row, end), or `end`. */
FASTPG_INLINE int64_t fastpg_next_mark(const uint8_t *marks, int64_t weight_row, int64_t end) {
    for (; weight_row < end && weight_row % 8; weight_row++)
        if (marks[weight_row]) return weight_row;
    for (uint64_t word = 0; weight_row < end; weight_row += 8) {
        memcpy(&word, marks + weight_row, 8);
        if (word) break;
    }
    for (; weight_row < end; weight_row++)
        if (marks[weight_row]) return weight_row;
    return end;
}

/* List what the samples touch: sums over tiles, their pixels, the cells of these. Give each a slot
 * in the gradient. */
static void fastpg_plan(fastpg_learner_t *l) {
    const fastpg_network_t *n = l->net;
    l->sum_count = l->row_count = 0;
    for (int64_t at = fastpg_next_mark(l->marks, n->rows, n->weight_rows); at < n->weight_rows;
         at = fastpg_next_mark(l->marks, at + 1, n->weight_rows)) {
        const fastpg_rect_t p = fastpg_rect(n, at);
        l->sums[l->sum_count++] = (int32_t)at;
        for (int x = p.x; x < p.x + p.width; x++)
            memset(l->marks + fastpg_pixel_row(p.plane, x, p.y), 1, (size_t)p.height);
    }
    if (l->mirror_rows)
        for (int64_t row = fastpg_next_mark(l->marks, 0, n->first_cell_row);
             row < n->first_cell_row; row = fastpg_next_mark(l->marks, row + 1, n->first_cell_row))
            l->marks[l->mirror_rows[row]] = 1;
    for (int64_t row = fastpg_next_mark(l->marks, 0, n->rows);
         row < n->rows; /* cells come after all pixels */
         row = fastpg_next_mark(l->marks, row + 1, n->rows)) {
        l->grad_slots[row] = (int32_t)l->row_count;
        l->rows[l->row_count++] = (int32_t)row;
        if (n->cell && row < n->first_action_row)
            l->marks[fastpg_cell_row_of(n, row / A26_VIEW_PIXELS, row % A26_VIEW_PIXELS)] = 1;
    }
    for (int64_t k = 0; k < l->sum_count; k++)
        l->grad_slots[l->sums[k]] = (int32_t)(l->row_count + k);
}

/* Place the lists of marked samples one after the other; returns their total length. */
static int64_t fastpg_lay_out_lists(const fastpg_batch_t *b) {
    const int64_t most = b->learner->net->cell ? 3 : 2; /* a gradient slot, a row, a cell's row */
    int64_t end = 0;
    for (int64_t s = 0; s < b->count; s++) {
        b->list_spans[s].begin = end;
        end += most * b->list_spans[s].grad_slots;
    }
    return end;
}

/* List what fastpg_mark_sample marked, in the same order. */
FASTPG_INLINE void fastpg_list_sample(const fastpg_batch_t *b, int64_t s) {
    const fastpg_learner_t *l = b->learner;
    const fastpg_network_t *n = l->net;
    const fastpg_buffer_t *r = b->buffer;
    const int64_t i = b->samples[s];
    int32_t *grad_slot = b->lists + b->list_spans[s].begin,
            *weight_rows = grad_slot + b->list_spans[s].grad_slots;
    int64_t count = 0;
    for (int64_t view = 0; view < n->views; view++) {
        const int64_t frame = fastpg_seen(n, r, i, view);
        const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
        for (int64_t k = 0; k < r->tile_counts[frame]; k++) {
            const int64_t weight_row = fastpg_weight_row(n, view, tiles[k]);
            *grad_slot++ = l->grad_slots[weight_row];
            weight_rows[count++] = (int32_t)weight_row;
            if (!n->cell) continue;
            /* a lone pixel's cell; no branch, as it could not be predicted */
            weight_rows[count] =
                (int32_t)fastpg_cell_row_of(n, view, tiles[k] < A26_VIEW_PIXELS ? tiles[k] : 0);
            count += tiles[k] < A26_VIEW_PIXELS;
        }
    }
    for (int64_t k = 0; k < n->past_actions; k++) {
        const int64_t weight_row = fastpg_past_action_row(n, r, i, k);
        if (weight_row < 0) continue;
        *grad_slot++ = l->grad_slots[weight_row];
        weight_rows[count++] = (int32_t)weight_row;
    }
    b->list_spans[s].weight_rows = (int32_t)count;
}

static void fastpg_list_chunk(const fastpg_batch_t *b, int64_t chunk) {
    FASTPG_FOR_CHUNK (s, chunk, FASTPG_LIST_SAMPLES, b->count) fastpg_list_sample(b, s);
}

/* ---- before the passes ----------------------------------------------------------------------- */

/* Make the sums over tiles that the block's passes read, and clear its gradients. */
FASTPG_CLONES static void fastpg_prepare_block(fastpg_learner_t *l, int64_t block) {
    const fastpg_network_t *n = l->net;
    for (int64_t k = 0; k < l->sum_count; k++) {
        const int64_t weight_row = l->sums[k];
        _Atomic uint32_t *sum_version =
            n->sum_versions + block * (n->weight_rows - n->rows) + weight_row - n->rows;
        if (atomic_load_explicit(sum_version, memory_order_relaxed) != n->version) {
            fastpg_make_sum(n, block, weight_row,
                            n->w1 + (block * n->weight_rows + weight_row) * FASTPG_UNITS);
            atomic_store_explicit(sum_version, n->version, memory_order_relaxed);
        }
    }
    const size_t touched = (size_t)((l->row_count + l->sum_count) * FASTPG_UNITS);
    memset(fastpg_gradient_row(l, block, 0), 0, touched * sizeof(float));
    memset(l->g2 + block * n->heads * FASTPG_UNITS, 0,
           (size_t)(n->heads * FASTPG_UNITS) * sizeof(float));
}

#endif
