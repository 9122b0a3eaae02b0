/* Learning of the network on tiles: gradients of policy gradient losses, RMSProp and Adam.
 *
 * A minibatch (network/minibatch.h) goes through passes. Each is shared out on threads:
 *
 *   fastpg_forward_task   per block: hidden units, and the block's part of the heads
 *   fastpg_loss_task      per chunk of samples: gradients of the heads, sums of the losses
 *   fastpg_backward_task  per block: gradients of rows and sums over tiles
 *   fastpg_reduce_task    per block: sums to pixels, pixels to cells, mirrored units, norms
 *   fastpg_adam_task, fastpg_rmsprop_task  per block: the optimizer step
 *
 * Only rows of weights whose pixels lit are touched. */
#ifndef FASTPG_LEARNER_H
#define FASTPG_LEARNER_H

#include "network/minibatch.h"

/* Flush denormals to zero while learning: moments of rows whose gradients stay 0 decay into the
 * denormal range, where many CPUs are 100 times slower. Returns the state to restore. */
static inline uint64_t fastpg_flush_denormals(void) {
    uint64_t before = 0;
#if defined(__SSE2__)
    before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((uint32_t)before | 0x8040u); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before | 1ull << 24));
#endif
    return before;
}

static inline void fastpg_restore_denormals(uint64_t before) {
#if defined(__SSE2__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* ---- forward and loss ------------------------------------------------------------------------ */

/* Prefetch rows of weights or gradients for the next sample, while this one is worked on. */
FASTPG_INLINE void fastpg_fetch_rows(const float *rows, const int32_t *weight_rows, int64_t count) {
#if defined(__GNUC__)
    for (int64_t k = 0; k < count; k++)
        for (int unit = 0; unit < FASTPG_UNITS; unit += 16)
            __builtin_prefetch(rows + weight_rows[k] * FASTPG_UNITS + unit);
#else
    (void)rows, (void)weight_rows, (void)count;
#endif
}

FASTPG_INLINE fastpg_units_t fastpg_sum_weight_rows(const float *rows, const int32_t *weight_rows,
                                                    int64_t count) {
    fastpg_units_t sums = {0};
    for (int64_t k = 0; k < count; k++) fastpg_add_row(&sums, rows + weight_rows[k] * FASTPG_UNITS);
    fastpg_rectify(&sums);
    return sums;
}

FASTPG_INLINE void fastpg_keep_hidden(const fastpg_batch_t *b, int64_t block, int64_t s,
                                      const fastpg_units_t *hidden) {
    const fastpg_network_t *n = b->learner->net;
    fastpg_store(hidden, b->hidden + (block * b->count + s) * FASTPG_UNITS);
    for (int64_t o = 0; o < n->heads; o++)
        b->partial_heads[(block * b->count + s) * n->heads + o] =
            fastpg_head(hidden, n->w2 + (block * n->heads + o) * FASTPG_UNITS);
}

FASTPG_CLONES static void fastpg_forward_block(const fastpg_batch_t *b, int64_t block) {
    const fastpg_network_t *n = b->learner->net;
    const float *rows = n->w1 + block * n->weight_rows * FASTPG_UNITS;
    if (n->difference) { /* mostly of the frame of the sample before */
        fastpg_frame_sums_t frame_sums = {.slot = -1};
        for (int64_t s = 0; s < b->count; s++) {
            const fastpg_units_t hidden =
                fastpg_hidden(n, b->buffer, block, b->samples[s], 1, &frame_sums);
            fastpg_keep_hidden(b, block, s, &hidden);
        }
        return;
    }
    for (int64_t s = 0; s < b->count; s++) {
        const fastpg_list_span_t *span = b->list_spans + s;
        const int32_t *weight_rows = b->lists + span->begin + span->grad_slots;
        if (s + 1 < b->count)
            fastpg_fetch_rows(rows, b->lists + span[1].begin + span[1].grad_slots,
                              span[1].weight_rows);
        const fastpg_units_t hidden = fastpg_sum_weight_rows(rows, weight_rows, span->weight_rows);
        fastpg_keep_hidden(b, block, s, &hidden);
    }
}

static void fastpg_loss_chunk(const fastpg_batch_t *b, int64_t chunk) {
    const fastpg_network_t *n = b->learner->net;
    const fastpg_buffer_t *r = b->buffer;
    fastpg_ppo_sums_t sums = {0};
    FASTPG_FOR_CHUNK (s, chunk, FASTPG_LOSS_SAMPLES, b->count) {
        float heads[FASTPG_MOST_HEADS] = {0}, d_heads[FASTPG_MOST_HEADS];
        for (int64_t block = 0; block < n->blocks; block++)
            for (int64_t o = 0; o < n->heads; o++)
                heads[o] += b->partial_heads[(block * b->count + s) * n->heads + o];
        const int64_t i = b->samples[s];
        const float value = n->heads > n->outputs ? heads[n->outputs] : b->returns[i];
        fastpg_probabilities(heads, n->outputs);
        fastpg_ppo_sample(heads, value, r->actions[i], r->action_probs[i], b->advantages[i],
                          b->returns[i], b->loss, n->outputs, d_heads, d_heads + n->outputs, &sums);
        for (int64_t o = 0; o < n->heads; o++)
            b->gradients[s * n->heads + o] = b->scale * d_heads[o];
    }
    b->loss_sums[chunk] = sums;
}

/* ---- backward -------------------------------------------------------------------------------- */

FASTPG_INLINE void fastpg_add_to_gradient(const fastpg_learner_t *l, int64_t block,
                                          int64_t grad_slot, const fastpg_units_t *what) {
    fastpg_unit_vector_t *vector = (fastpg_unit_vector_t *)fastpg_gradient_row(l, block, grad_slot);
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) vector[k] += what->vector[k];
}

FASTPG_INLINE void fastpg_scatter_frame(fastpg_learner_t *l, const fastpg_buffer_t *r,
                                        int64_t block, int64_t plane, int64_t frame,
                                        const fastpg_units_t *what) {
    const uint16_t *tiles = r->tiles + r->tile_offsets[frame];
    for (int64_t k = 0; k < r->tile_counts[frame]; k++)
        fastpg_add_to_gradient(l, block, l->grad_slots[fastpg_weight_row(l->net, plane, tiles[k])],
                               what);
}

/* Of a difference. The gradient of its frame waits for the next sample, which mostly subtracts the
 * same frame. */
FASTPG_INLINE void fastpg_scatter_difference(fastpg_learner_t *l, const fastpg_buffer_t *r,
                                             int64_t block, int64_t i, const fastpg_units_t *what,
                                             fastpg_frame_sums_t *waiting) {
    const int64_t before = fastpg_seen(l->net, r, i, 1);
    if (waiting->slot != before) {
        if (waiting->slot >= 0) fastpg_scatter_frame(l, r, block, 0, waiting->slot, &waiting->sums);
        memset(&waiting->sums, 0, sizeof(waiting->sums));
    }
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) waiting->sums.vector[k] -= what->vector[k];
    fastpg_scatter_frame(l, r, block, 0, before, &waiting->sums);
    waiting->sums = *what;
    waiting->slot = i;
    for (int64_t k = 0; k < l->net->past_actions; k++) {
        const int64_t weight_row = fastpg_past_action_row(l->net, r, i, k);
        if (weight_row >= 0) fastpg_add_to_gradient(l, block, l->grad_slots[weight_row], what);
    }
}

/* Gradients of the hidden units from those of the heads. */
FASTPG_INLINE fastpg_units_t fastpg_back_through_heads(const fastpg_network_t *n, int64_t block,
                                                       const float *gradients,
                                                       const float *hidden) {
    const fastpg_unit_vector_t *units = (const fastpg_unit_vector_t *)hidden, zero = {0};
    fastpg_units_t back = {0};
    for (int64_t o = 0; o < n->heads; o++) {
        const fastpg_unit_vector_t *weights =
            (const fastpg_unit_vector_t *)(n->w2 + (block * n->heads + o) * FASTPG_UNITS);
        for (int k = 0; k < FASTPG_UNIT_VECTORS; k++) back.vector[k] += gradients[o] * weights[k];
    }
#if defined(__GNUC__)
    typedef int32_t mask_t __attribute__((vector_size(4 * FASTPG_VECTOR), aligned(4), may_alias));
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
        back.vector[k] = (fastpg_unit_vector_t)((mask_t)back.vector[k] & (mask_t)(units[k] > zero));
#else
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
        back.vector[k] = units[k] > zero ? back.vector[k] : 0;
#endif
    return back;
}

/* Add the samples' gradients of w2, one head at a time: its sums stay in registers. */
FASTPG_INLINE void fastpg_heads_block(const fastpg_batch_t *b, int64_t block) {
    const int64_t heads = b->learner->net->heads;
    for (int64_t o = 0; o < heads; o++) {
        float *row = b->learner->g2 + (block * heads + o) * FASTPG_UNITS;
        const fastpg_unit_vector_t *hidden =
            (const fastpg_unit_vector_t *)(b->hidden + block * b->count * FASTPG_UNITS);
        fastpg_units_t sums;
        memcpy(&sums, row, sizeof(sums));
        for (int64_t s = 0; s < b->count; s++, hidden += FASTPG_UNIT_VECTORS)
            for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
                sums.vector[k] += b->gradients[s * heads + o] * hidden[k];
        memcpy(row, &sums, sizeof(sums));
    }
}

FASTPG_INLINE fastpg_units_t fastpg_back(const fastpg_batch_t *b, int64_t block, int64_t s) {
    const fastpg_network_t *n = b->learner->net;
    return fastpg_back_through_heads(n, block, b->gradients + s * n->heads,
                                     b->hidden + (block * b->count + s) * FASTPG_UNITS);
}

FASTPG_CLONES static void fastpg_backward_block(const fastpg_batch_t *b, int64_t block) {
    fastpg_learner_t *l = b->learner;
    const fastpg_network_t *n = l->net;
    fastpg_heads_block(b, block);
    if (n->difference) {
        fastpg_frame_sums_t waiting = {.slot = -1};
        for (int64_t s = 0; s < b->count; s++) {
            const fastpg_units_t back = fastpg_back(b, block, s);
            fastpg_scatter_difference(l, b->buffer, block, b->samples[s], &back, &waiting);
        }
        if (waiting.slot >= 0)
            fastpg_scatter_frame(l, b->buffer, block, 0, waiting.slot, &waiting.sums);
        return;
    }
    const float *rows = fastpg_gradient_row(l, block, 0);
    for (int64_t s = 0; s < b->count; s++) {
        const fastpg_list_span_t *span = b->list_spans + s;
        const int32_t *grad_slots = b->lists + span->begin;
        if (s + 1 < b->count) fastpg_fetch_rows(rows, b->lists + span[1].begin, span[1].grad_slots);
        const fastpg_units_t back = fastpg_back(b, block, s);
        for (int64_t k = 0; k < span->grad_slots; k++)
            fastpg_add_to_gradient(l, block, grad_slots[k], &back);
    }
}

/* ---- reduce ---------------------------------------------------------------------------------- */

FASTPG_INLINE fastpg_units_t fastpg_gradient_of(const fastpg_learner_t *l, int64_t block,
                                                int64_t grad_slot) {
    const fastpg_unit_vector_t *row =
        (const fastpg_unit_vector_t *)fastpg_gradient_row(l, block, grad_slot);
    fastpg_units_t gradient;
    for (int k = 0; k < FASTPG_UNIT_VECTORS; k++)
        gradient.vector[k] = row[k]; /* memcpy would go through the stack */
    return gradient;
}

/* Add the gradients of two rows that mirror each other. Both then have that of their shared
 * weights. */
FASTPG_INLINE void fastpg_tie_rows(float *row, float *mirror, float sign) {
    for (int k = 0; k < FASTPG_UNITS; k += 2) {
        const float even = row[k] + sign * mirror[k + 1], odd = row[k + 1] + sign * mirror[k];
        row[k] = even;
        row[k + 1] = odd;
        mirror[k + 1] = sign * even;
        mirror[k] = sign * odd;
    }
}

/* Tie all listed rows and the heads; returns the sum of squares of the first layer. */
FASTPG_INLINE double fastpg_tie_mirrored(fastpg_learner_t *l, int64_t block) {
    const fastpg_network_t *n = l->net;
    float *g2 = l->g2 + block * n->heads * FASTPG_UNITS;
    double squares = 0;
    for (int64_t k = 0; k < l->row_count; k++) {
        const int64_t row = l->rows[k], mirror = l->mirror_rows[row];
        if (row <= mirror)
            fastpg_tie_rows(fastpg_gradient_row(l, block, k),
                            fastpg_gradient_row(l, block, l->grad_slots[mirror]), 1);
    }
    for (int64_t k = 0; k < l->row_count; k++) {
        const fastpg_units_t what = fastpg_gradient_of(l, block, k);
        squares += fastpg_head(&what, (const float *)&what);
    }
    for (int64_t o = 0; o < n->heads; o++) {
        const int64_t given = l->mirror_rows[n->rows + o],
                      mirror = (given < 0 ? ~given : given) - n->rows;
        if (o <= mirror)
            fastpg_tie_rows(g2 + o * FASTPG_UNITS, g2 + mirror * FASTPG_UNITS, given < 0 ? -1 : 1);
    }
    return squares;
}

/* Add the gradients of sums to their pixels, those of pixels to their cells, and sum up the
 * squares. */
FASTPG_CLONES static void fastpg_reduce_block(fastpg_learner_t *l, int64_t block) {
    const fastpg_network_t *n = l->net;
    for (int64_t k = 0; k < l->sum_count; k++) {
        const fastpg_units_t what = fastpg_gradient_of(l, block, l->row_count + k);
        const fastpg_rect_t p = fastpg_rect(n, l->sums[k]);
        for (int x = p.x; x < p.x + p.width; x++)
            for (int y = p.y; y < p.y + p.height; y++)
                fastpg_add_to_gradient(l, block, l->grad_slots[fastpg_pixel_row(p.plane, x, y)],
                                       &what);
    }
    double norm = 0;
    for (int64_t k = 0; k < l->row_count; k++) {
        const int64_t row = l->rows[k];
        const fastpg_units_t what = fastpg_gradient_of(l, block, k);
        if (n->cell && row < n->first_action_row) {
            const int64_t cell =
                fastpg_cell_row_of(n, row / A26_VIEW_PIXELS, row % A26_VIEW_PIXELS);
            fastpg_add_to_gradient(l, block, l->grad_slots[cell], &what);
        }
        norm += fastpg_head(&what, (const float *)&what);
    }
    if (l->mirror_rows) norm = fastpg_tie_mirrored(l, block);
    for (int64_t o = 0; o < n->heads; o++) {
        const float *row = l->g2 + (block * n->heads + o) * FASTPG_UNITS;
        for (int k = 0; k < FASTPG_UNITS; k++) norm += (double)row[k] * row[k];
    }
    l->norms[block] = l->mirror_rows ? norm / 2 : norm; /* a pair of units counts once */
}

/* ---- optimizer steps (uphill) ---------------------------------------------------------------- */

/* `rate`: the learning rate with both bias corrections; `epsilon` is scaled to match. */
FASTPG_INLINE void fastpg_adam_row(const fastpg_batch_t *b, const float *FASTPG_RESTRICT g,
                                   float rate, float epsilon, float *FASTPG_RESTRICT w,
                                   float *FASTPG_RESTRICT mean, float *FASTPG_RESTRICT square) {
    for (int k = 0; k < FASTPG_UNITS; k++) {
        const float gradient = g[k] * b->factor;
        mean[k] = b->beta1 * mean[k] + (1 - b->beta1) * gradient;
        square[k] = b->beta2 * square[k] + (1 - b->beta2) * gradient * gradient;
        w[k] += rate * mean[k] / (sqrtf(square[k]) + epsilon);
    }
}

FASTPG_CLONES static void fastpg_adam_block(const fastpg_batch_t *b, int64_t block) {
    fastpg_learner_t *l = b->learner;
    const fastpg_network_t *n = l->net;
    const double second = sqrt(1 - pow(b->beta2, l->updates));
    const float rate = (float)(b->learning_rate * second / (1 - pow(b->beta1, l->updates)));
    const float epsilon = (float)(b->epsilon * second);
    for (int64_t k = 0; k < l->row_count; k++) {
        const int64_t row = l->rows[k];
        const int64_t at = (block * n->weight_rows + row) * FASTPG_UNITS,
                      own = (block * n->rows + row) * FASTPG_UNITS;
        fastpg_adam_row(b, fastpg_gradient_row(l, block, k), rate, epsilon, n->w1 + at,
                        l->mean1 + own, l->square1 + own);
    }
    for (int64_t o = 0; o < n->heads; o++) {
        const int64_t at = (block * n->heads + o) * FASTPG_UNITS;
        fastpg_adam_row(b, l->g2 + at, rate, epsilon, n->w2 + at, l->mean2 + at, l->square2 + at);
    }
}

FASTPG_INLINE void fastpg_rmsprop_row(const fastpg_batch_t *b, const float *FASTPG_RESTRICT g,
                                      float kept, float *FASTPG_RESTRICT w,
                                      float *FASTPG_RESTRICT square) {
    for (int k = 0; k < FASTPG_UNITS; k++) {
        const float gradient = g[k] * b->factor;
        square[k] = kept * square[k] + (1 - b->decay) * gradient * gradient;
        w[k] += b->learning_rate * gradient / (sqrtf(square[k]) + b->epsilon);
    }
}

/* A row that was left out of some updates, as its pixels did not light, decays as often. */
FASTPG_CLONES static void fastpg_rmsprop_block(const fastpg_batch_t *b, int64_t block) {
    fastpg_learner_t *l = b->learner;
    const fastpg_network_t *n = l->net;
    for (int64_t k = 0; k < l->row_count; k++) {
        const int64_t row = l->rows[k];
        const int64_t at = (block * n->weight_rows + row) * FASTPG_UNITS,
                      own = block * n->rows + row;
        const float kept = (float)pow(b->decay, l->updates - l->updated[own]);
        l->updated[own] = l->updates;
        fastpg_rmsprop_row(b, fastpg_gradient_row(l, block, k), kept, n->w1 + at,
                           l->square1 + own * FASTPG_UNITS);
    }
    for (int64_t o = 0; o < n->heads; o++) {
        const int64_t at = (block * n->heads + o) * FASTPG_UNITS;
        fastpg_rmsprop_row(b, l->g2 + at, b->decay, n->w2 + at, l->square2 + at);
    }
}

/* ---- tasks for the thread pool --------------------------------------------------------------- */

#define FASTPG_TASK(name, call) \
    static void name(void *context, int64_t i, int thread) { \
        const fastpg_batch_t *batch = context; \
        const uint64_t before = fastpg_flush_denormals(); \
        (void)thread; \
        call; \
        fastpg_restore_denormals(before); \
    }

FASTPG_TASK(fastpg_mark_task, fastpg_mark_chunk(batch, i))
FASTPG_TASK(fastpg_list_task, fastpg_list_chunk(batch, i))
FASTPG_TASK(fastpg_prepare_task, fastpg_prepare_block(batch->learner, i))
FASTPG_TASK(fastpg_forward_task, fastpg_forward_block(batch, i))
FASTPG_TASK(fastpg_loss_task, fastpg_loss_chunk(batch, i))
FASTPG_TASK(fastpg_backward_task, fastpg_backward_block(batch, i))
FASTPG_TASK(fastpg_reduce_task, fastpg_reduce_block(batch->learner, i))
FASTPG_TASK(fastpg_adam_task, fastpg_adam_block(batch, i))
FASTPG_TASK(fastpg_rmsprop_task, fastpg_rmsprop_block(batch, i))

#endif
