/* Optimizer steps, uphill: RMSProp and Adam.
 *
 *   fastpg_rmsprop, fastpg_adam  update weights in place
 *   fastpg_adam_step             Adam's rate and scale, with both bias corrections
 *
 * These are the ops of the kernel table. The network on tiles has its own steps, on rows of
 * weights, in network/learner.h.
 *
 * Order of sums and -ffp-contract: see kernels/instruction_sets.h. */
#ifndef FASTPG_OPTIMIZERS_H
#define FASTPG_OPTIMIZERS_H

#include "kernels/instruction_sets.h"

FASTPG_CLONES static void fastpg_rmsprop(const float *FASTPG_RESTRICT gradient, float rate,
                                         float keep, float take, float epsilon, int64_t size,
                                         float *FASTPG_RESTRICT weights,
                                         float *FASTPG_RESTRICT cache) {
    for (int64_t i = 0; i < size; i++) {
        const float g = gradient[i];
        const float square = keep * cache[i] + take * (g * g);
        cache[i] = square;
        weights[i] += rate * g / (sqrtf(square) + epsilon);
    }
}

/* Adam with both bias corrections folded into `rate` and `scale`. */
typedef struct {
    float rate, scale, keep1, take1, keep2, take2, epsilon;
} fastpg_adam_t;

FASTPG_INLINE fastpg_adam_t fastpg_adam_step(int64_t step, double learning_rate, double beta1,
                                             double beta2, double epsilon) {
    fastpg_adam_t adam;
    adam.rate = (float)(learning_rate / (1.0 - pow(beta1, (double)step)));
    adam.scale = (float)(1.0 / (1.0 - pow(beta2, (double)step)));
    adam.keep1 = (float)beta1;
    adam.take1 = (float)(1.0 - beta1);
    adam.keep2 = (float)beta2;
    adam.take2 = (float)(1.0 - beta2);
    adam.epsilon = (float)epsilon;
    return adam;
}

FASTPG_CLONES static void fastpg_adam(const float *FASTPG_RESTRICT gradient, fastpg_adam_t adam,
                                      int64_t size, float *FASTPG_RESTRICT weights,
                                      float *FASTPG_RESTRICT means,
                                      float *FASTPG_RESTRICT squares) {
    for (int64_t i = 0; i < size; i++) {
        const float g = gradient[i];
        const float mean = adam.keep1 * means[i] + adam.take1 * g;
        const float square = adam.keep2 * squares[i] + adam.take2 * (g * g);
        means[i] = mean;
        squares[i] = square;
        weights[i] += adam.rate * mean / (sqrtf(adam.scale * square) + adam.epsilon);
    }
}

#endif
