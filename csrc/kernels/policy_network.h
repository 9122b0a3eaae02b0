/* The two-layer policy network of the kernel table: sparse and dense, forward and backward.
 *
 *   fastpg_forward(..), fastpg_forward_dense(..)    hidden units and action probabilities
 *   fastpg_backward(..), fastpg_backward_dense(..)  gradients of the weights, from advantages
 *   fastpg_backward_outputs(..)                     the same from given gradients of the outputs
 *
 * Shapes (C-contiguous): x (samples, inputs); w1 (inputs, units); w2 (outputs, units); hidden
 * (samples, units); probabilities (samples, outputs). Sparse inputs as in
 * kernels/frame_difference.h.
 *
 * A sample's sum over its pixels keeps their order. Columns of hidden units stay in registers
 * meanwhile. Widths are compile-time constants in each inlined copy, so that compilers unroll and
 * vectorise: first FASTPG_COLUMNS at a time, then eight, then one. */
#ifndef FASTPG_POLICY_NETWORK_H
#define FASTPG_POLICY_NETWORK_H

#include "kernels/instruction_sets.h"

#define FASTPG_COLUMNS 64       /* hidden units at a time */
#define FASTPG_DENSE_COLUMNS 32 /* fewer, as several samples share the registers */
#define FASTPG_DENSE_SAMPLES 4
#define FASTPG_DENSE_DEPTH 128 /* rows of w1 at a time: 128 * 200 floats stay in the L2 cache */
#define FASTPG_SAMPLE_BLOCK 32 /* samples whose dhidden is held at a time in backward */
#define FASTPG_LINE 16         /* floats of a cache line */

/* Run `call(at, width)` over columns 0 .. size-1, `columns`, then 8, then 1 at a time. */
#define FASTPG_FOR_COLUMNS(size, columns, call) \
    do { \
        int64_t at_ = 0; \
        for (; at_ + (columns) <= (size); at_ += (columns)) call(at_, (columns)); \
        for (; at_ + 8 <= (size); at_ += 8) call(at_, 8); \
        for (; at_ < (size); at_++) call(at_, 1); \
    } while (0)

/* A vector of floats at any address. Vectorised by hand: GCC 12 unrolls short loops before it
 * vectorises them, and jams pairs of rows into loops that it leaves scalar. Eight floats where a
 * clone for AVX exists, else four: vectors wider than the machine's would go through memory. */
#if defined(FASTPG_HAS_CLONES) || defined(__AVX__)
#define FASTPG_VECTOR 8
#else
#define FASTPG_VECTOR 4
#endif
#if defined(__GNUC__)
typedef float fastpg_vector __attribute__((vector_size(4 * FASTPG_VECTOR), aligned(4), may_alias));
#define FASTPG_AT(at) (*(fastpg_vector *)(at))
#define FASTPG_CONST_AT(at) (*(const fastpg_vector *)(at))
#endif

/* sums[j] += scale * row[j] */
FASTPG_INLINE void fastpg_add_scaled(float *sums, float scale, const float *row, const int width) {
    int j = 0;
#if defined(__GNUC__)
    for (; j + FASTPG_VECTOR <= width; j += FASTPG_VECTOR)
        FASTPG_AT(sums + j) += scale * FASTPG_CONST_AT(row + j);
#endif
    for (; j < width; j++) sums[j] += scale * row[j];
}

/* lanes[j] += x[j] * y[j] for all lanes. */
FASTPG_INLINE void fastpg_add_products(float *lanes, const float *x, const float *y) {
    int j = 0;
#if defined(__GNUC__)
    for (; j < FASTPG_LANES; j += FASTPG_VECTOR)
        FASTPG_AT(lanes + j) += FASTPG_CONST_AT(x + j) * FASTPG_CONST_AT(y + j);
#endif
    for (; j < FASTPG_LANES; j++) lanes[j] += x[j] * y[j];
}

/* ---- forward --------------------------------------------------------------------------------- */

FASTPG_INLINE float fastpg_logit(const float *hidden, const float *w2, int64_t units) {
    float lanes[FASTPG_LANES] = {0};
    int64_t h = 0;
    for (; h + FASTPG_LANES <= units; h += FASTPG_LANES)
        fastpg_add_products(lanes, hidden + h, w2 + h);
    for (int j = 0; h + j < units; j++) lanes[j] += hidden[h + j] * w2[h + j];
    const float even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
    return even + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Logits to probabilities, in place: sigmoid or softmax in double, rounded once. */
FASTPG_INLINE void fastpg_probabilities(float *logits, int64_t outputs) {
    if (outputs == 1) {
        logits[0] = (float)(1.0 / (1.0 + exp(-(double)logits[0])));
        return;
    }
    double highest = -INFINITY, sum = 0.0, powers[FASTPG_CACHED_ACTIONS];
    for (int64_t a = 0; a < outputs; a++)
        if (logits[a] > highest) highest = logits[a];
    for (int64_t a = 0; a < outputs; a++) {
        const double power = exp(logits[a] - highest);
        if (a < FASTPG_CACHED_ACTIONS) powers[a] = power;
        sum += power;
    }
    for (int64_t a = 0; a < outputs; a++)
        logits[a] =
            (float)((a < FASTPG_CACHED_ACTIONS ? powers[a] : exp(logits[a] - highest)) / sum);
}

/* One sample's action probabilities. */
FASTPG_INLINE void fastpg_output_probabilities(const float *hidden, const float *w2, int64_t units,
                                               int64_t outputs, float *probabilities) {
    for (int64_t a = 0; a < outputs; a++)
        probabilities[a] = fastpg_logit(hidden, w2 + a * units, units);
    fastpg_probabilities(probabilities, outputs);
}

/* hidden[j] = max(0, sum_k signs[k] * w1[indices[k], j]) for some columns; NaN stays NaN. */
FASTPG_INLINE void fastpg_forward_columns(const uint16_t *indices, const int8_t *signs,
                                          int64_t count, const float *w1, int64_t units,
                                          float *hidden, const int width) {
    float sums[FASTPG_COLUMNS] = {0};
    for (int64_t k = 0; k < count; k++) {
        const float *row = w1 + indices[k] * units;
        fastpg_add_scaled(sums, signs[k], row, width);
    }
    for (int j = 0; j < width; j++) hidden[j] = sums[j] < 0.0f ? 0.0f : sums[j];
}

FASTPG_CLONES static void fastpg_forward(const uint16_t *indices, const int8_t *signs,
                                         const int64_t *offsets, const float *w1, const float *w2,
                                         int64_t samples, int64_t units, int64_t outputs,
                                         float *hidden, float *probabilities) {
    for (int64_t b = 0; b < samples; b++) {
        const int64_t begin = offsets[b], count = offsets[b + 1] - begin;
        float *sums = hidden + b * units;
#define FASTPG_CALL(at, width) \
    fastpg_forward_columns(indices + begin, signs + begin, count, w1 + (at), units, sums + (at), \
                           width)
        FASTPG_FOR_COLUMNS(units, FASTPG_COLUMNS, FASTPG_CALL);
#undef FASTPG_CALL
        fastpg_output_probabilities(sums, w2, units, outputs, probabilities + b * outputs);
    }
}

/* hidden[s, j] += sum_d x[s, d] * w1[d, j] over `depth` rows, for some samples and columns. */
FASTPG_INLINE void fastpg_dense_columns(const float *FASTPG_RESTRICT x, int64_t inputs,
                                        const float *FASTPG_RESTRICT w1, int64_t units,
                                        int64_t depth, float *FASTPG_RESTRICT hidden,
                                        const int samples, const int width) {
    float sums[FASTPG_DENSE_SAMPLES][FASTPG_DENSE_COLUMNS];
    for (int s = 0; s < samples; s++)
        for (int j = 0; j < width; j++) sums[s][j] = hidden[s * units + j];
    for (int64_t d = 0; d < depth; d++)
        for (int s = 0; s < samples; s++)
            fastpg_add_scaled(sums[s], x[s * inputs + d], w1 + d * units, width);
    for (int s = 0; s < samples; s++)
        for (int j = 0; j < width; j++) hidden[s * units + j] = sums[s][j];
}

FASTPG_INLINE void fastpg_dense_rows(const float *x, int64_t inputs, const float *w1, int64_t units,
                                     int64_t depth, float *hidden, const int samples) {
#define FASTPG_CALL(at, width) \
    fastpg_dense_columns(x, inputs, w1 + (at), units, depth, hidden + (at), samples, width)
    FASTPG_FOR_COLUMNS(units, FASTPG_DENSE_COLUMNS, FASTPG_CALL);
#undef FASTPG_CALL
}

/* Blocks of w1's rows in the outer loop, samples in the inner one: w1 is read from memory once. */
FASTPG_CLONES static void fastpg_forward_dense(const float *x, const float *w1, const float *w2,
                                               int64_t samples, int64_t inputs, int64_t units,
                                               int64_t outputs, float *hidden,
                                               float *probabilities) {
    const int group = FASTPG_DENSE_SAMPLES;
    memset(hidden, 0, (size_t)(samples * units) * sizeof(float));
    for (int64_t d = 0; d < inputs; d += FASTPG_DENSE_DEPTH) {
        const int64_t left = inputs - d;
        const int64_t depth = left < FASTPG_DENSE_DEPTH ? left : FASTPG_DENSE_DEPTH;
        const float *rows = w1 + d * units;
        int64_t b = 0;
        for (; b + group <= samples; b += group)
            fastpg_dense_rows(x + b * inputs + d, inputs, rows, units, depth, hidden + b * units,
                              4);
        for (; b < samples; b++)
            fastpg_dense_rows(x + b * inputs + d, inputs, rows, units, depth, hidden + b * units,
                              1);
    }
    for (int64_t b = 0; b < samples; b++) {
        float *sums = hidden + b * units;
        for (int64_t h = 0; h < units; h++) sums[h] = sums[h] < 0.0f ? 0.0f : sums[h];
        fastpg_output_probabilities(sums, w2, units, outputs, probabilities + b * outputs);
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Where the gradients of the outputs come from. */
typedef struct {
    const float *hidden;
    const float *rows; /* (samples, outputs): probabilities, or, if `given`, the gradients */
    const uint8_t *actions;
    const float *advantages;
    int64_t units, outputs;
    int given; /* a constant in each inlined copy */
} fastpg_d_outputs_t;

/* The gradient of output a of sample b. */
FASTPG_INLINE float fastpg_d_output(const fastpg_d_outputs_t *from, int64_t b, int64_t a) {
    const float value = from->rows[b * from->outputs + a];
    if (from->given) return value;
    const uint8_t action = from->actions[b];
    const int taken = from->outputs == 1 ? action : action == a;
    return from->advantages[b] * ((float)taken - value);
}

/* Sample b, columns at .. at+width-1: add to dw2 and compute dhidden. */
FASTPG_INLINE void fastpg_dhidden_columns(const fastpg_d_outputs_t *from, int64_t b,
                                          const float *w2, int64_t at, const int width,
                                          float *FASTPG_RESTRICT dw2,
                                          float *FASTPG_RESTRICT dhidden) {
    const float *hidden = from->hidden + b * from->units + at;
    for (int j = 0; j < width; j++) dhidden[j] = 0.0f;
    for (int64_t a = 0; a < from->outputs; a++) {
        const float d_output = fastpg_d_output(from, b, a);
        const float *weights = w2 + a * from->units + at;
        float *gradient = dw2 + a * from->units + at;
        for (int j = 0; j < width; j++) {
            gradient[j] += d_output * hidden[j];
            dhidden[j] += d_output * weights[j];
        }
    }
    for (int j = 0; j < width; j++) dhidden[j] = hidden[j] > 0.0f ? dhidden[j] : 0.0f;
}

FASTPG_INLINE void fastpg_backward_columns(const uint16_t *indices, const int8_t *signs,
                                           int64_t count, const fastpg_d_outputs_t *from, int64_t b,
                                           const float *w2, int64_t at, const int width, float *dw1,
                                           float *dw2) {
    float dhidden[FASTPG_COLUMNS];
    fastpg_dhidden_columns(from, b, w2, at, width, dw2, dhidden);
    for (int64_t k = 0; k < count; k++) {
        float *row = dw1 + indices[k] * from->units + at;
        fastpg_add_scaled(row, signs[k], dhidden, width);
    }
}

FASTPG_INLINE void fastpg_backward_rows(const uint16_t *indices, const int8_t *signs,
                                        const int64_t *offsets, const fastpg_d_outputs_t *from,
                                        const float *w2, int64_t samples, float *dw1, float *dw2) {
    for (int64_t b = 0; b < samples; b++) {
        const int64_t begin = offsets[b], count = offsets[b + 1] - begin;
#define FASTPG_CALL(at, width) \
    fastpg_backward_columns(indices + begin, signs + begin, count, from, b, w2, at, width, dw1, dw2)
        FASTPG_FOR_COLUMNS(from->units, FASTPG_COLUMNS, FASTPG_CALL);
#undef FASTPG_CALL
    }
}

FASTPG_CLONES static void fastpg_backward(const uint16_t *indices, const int8_t *signs,
                                          const int64_t *offsets, const float *hidden,
                                          const float *probabilities, const uint8_t *actions,
                                          const float *advantages, const float *w2, int64_t samples,
                                          int64_t units, int64_t outputs, float *dw1, float *dw2) {
    const fastpg_d_outputs_t from = {hidden, probabilities, actions, advantages, units, outputs, 0};
    fastpg_backward_rows(indices, signs, offsets, &from, w2, samples, dw1, dw2);
}

FASTPG_CLONES static void fastpg_backward_outputs(const uint16_t *indices, const int8_t *signs,
                                                  const int64_t *offsets, const float *hidden,
                                                  const float *d_outputs, const float *w2,
                                                  int64_t samples, int64_t units, int64_t outputs,
                                                  float *dw1, float *dw2) {
    const fastpg_d_outputs_t from = {hidden, d_outputs, NULL, NULL, units, outputs, 1};
    fastpg_backward_rows(indices, signs, offsets, &from, w2, samples, dw1, dw2);
}

/* dw1[d, columns] += sum_s x[s, d] * dhidden[s, columns] for a block of samples. A cache line of
 * each sample's inputs is copied at a time: a stride of D floats would evict it between uses. */
FASTPG_INLINE void fastpg_dense_dw1_columns(const float *x, int64_t inputs, int64_t samples,
                                            const float (*dhidden)[FASTPG_COLUMNS], int64_t units,
                                            const int width, float *dw1) {
    float lines[FASTPG_SAMPLE_BLOCK][FASTPG_LINE];
    for (int64_t d = 0; d < inputs; d += FASTPG_LINE) {
        const int64_t left = inputs - d;
        const int64_t count = left < FASTPG_LINE ? left : FASTPG_LINE;
        for (int64_t s = 0; s < samples; s++)
            memcpy(lines[s], x + s * inputs + d, (size_t)count * sizeof(float));
        for (int64_t i = 0; i < count; i++) {
            float sums[FASTPG_COLUMNS];
            float *row = dw1 + (d + i) * units;
            for (int j = 0; j < width; j++) sums[j] = row[j];
            for (int64_t s = 0; s < samples; s++)
                fastpg_add_scaled(sums, lines[s][i], dhidden[s], width);
            for (int j = 0; j < width; j++) row[j] = sums[j];
        }
    }
}

FASTPG_CLONES static void fastpg_backward_dense(const float *x, const float *hidden,
                                                const float *probabilities, const uint8_t *actions,
                                                const float *advantages, const float *w2,
                                                int64_t samples, int64_t inputs, int64_t units,
                                                int64_t outputs, float *dw1, float *dw2) {
    const fastpg_d_outputs_t from = {hidden, probabilities, actions, advantages, units, outputs, 0};
    float dhidden[FASTPG_SAMPLE_BLOCK][FASTPG_COLUMNS];
    for (int64_t b = 0; b < samples; b += FASTPG_SAMPLE_BLOCK) {
        const int64_t left = samples - b,
                      block = left < FASTPG_SAMPLE_BLOCK ? left : FASTPG_SAMPLE_BLOCK;
#define FASTPG_CALL(at, width) \
    do { \
        for (int64_t s = 0; s < block; s++) \
            fastpg_dhidden_columns(&from, b + s, w2, at, width, dw2, dhidden[s]); \
        fastpg_dense_dw1_columns(x + b * inputs, inputs, block, \
                                 (const float(*)[FASTPG_COLUMNS])dhidden, units, width, \
                                 dw1 + (at)); \
    } while (0)
        FASTPG_FOR_COLUMNS(units, FASTPG_COLUMNS, FASTPG_CALL);
#undef FASTPG_CALL
    }
}

#endif
