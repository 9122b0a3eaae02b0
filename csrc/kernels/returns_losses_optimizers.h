/* From rewards to weights: returns, advantages, losses and optimizer steps.
 *
 *   fastpg_returns, fastpg_advantages, fastpg_standardize  rewards (steps, environments) to targets
 *   fastpg_ppo_sample, fastpg_ppo                          gradients of the PPO objective
 *   fastpg_rmsprop, fastpg_adam                            optimizer steps, uphill
 *
 * Order of sums and -ffp-contract: see kernels/instruction_sets.h. */
#ifndef FASTPG_RETURNS_LOSSES_OPTIMIZERS_H
#define FASTPG_RETURNS_LOSSES_OPTIMIZERS_H

#include "kernels/instruction_sets.h"

/* ---- returns --------------------------------------------------------------------------------- */

#define FASTPG_ENVIRONMENTS 64 /* at a time: their running sums are on the stack */

/* Clear the running sums of the next environments; returns how many those are. */
FASTPG_INLINE int64_t fastpg_first_sums(int64_t left, double running[FASTPG_ENVIRONMENTS]) {
    const int64_t count = left < FASTPG_ENVIRONMENTS ? left : FASTPG_ENVIRONMENTS;
    for (int64_t i = 0; i < count; i++) running[i] = 0.0;
    return count;
}

FASTPG_CLONES static void fastpg_returns(const float *FASTPG_RESTRICT rewards,
                                         const uint8_t *FASTPG_RESTRICT dones, double gamma,
                                         int cut_at_rewards, int64_t steps, int64_t environments,
                                         float *FASTPG_RESTRICT returns) {
    double running[FASTPG_ENVIRONMENTS];
    for (int64_t first = 0; first < environments; first += FASTPG_ENVIRONMENTS) {
        const int64_t count = fastpg_first_sums(environments - first, running);
        for (int64_t t = steps - 1; t >= 0; t--) {
            const int64_t at = t * environments + first;
            for (int64_t i = 0; i < count; i++) {
                const float reward = rewards[at + i];
                const int cut = (dones[at + i] != 0) | ((cut_at_rewards != 0) & (reward != 0.0f));
                running[i] = reward + (cut ? 0.0 : gamma * running[i]);
                returns[at + i] = (float)running[i];
            }
        }
    }
}

/* GAE. `values` has one row more than the others, for the state after the last step. `decay`: gamma
 * times lambda. */
FASTPG_CLONES static void fastpg_advantages(const float *FASTPG_RESTRICT rewards,
                                            const uint8_t *FASTPG_RESTRICT dones,
                                            const float *FASTPG_RESTRICT values, double gamma,
                                            double decay, int64_t steps, int64_t environments,
                                            float *FASTPG_RESTRICT advantages,
                                            float *FASTPG_RESTRICT returns) {
    double running[FASTPG_ENVIRONMENTS];
    for (int64_t first = 0; first < environments; first += FASTPG_ENVIRONMENTS) {
        const int64_t count = fastpg_first_sums(environments - first, running);
        for (int64_t t = steps - 1; t >= 0; t--) {
            const int64_t at = t * environments + first;
            for (int64_t i = 0; i < count; i++) {
                const double value = values[at + i], next = values[at + environments + i];
                const int done = dones[at + i] != 0;
                const double delta = rewards[at + i] + (done ? 0.0 : gamma * next) - value;
                running[i] = delta + (done ? 0.0 : decay * running[i]);
                advantages[at + i] = (float)running[i];
                returns[at + i] = (float)(running[i] + value);
            }
        }
    }
}

/* The sum of eight partial sums, by halves. */
FASTPG_INLINE double fastpg_add_lanes(const double *lanes) {
    const double even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
    return even + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

FASTPG_INLINE double fastpg_mean(const float *values, int64_t size) {
    double lanes[FASTPG_LANES] = {0};
    int64_t i = 0;
    for (; i + FASTPG_LANES <= size; i += FASTPG_LANES)
        for (int j = 0; j < FASTPG_LANES; j++) lanes[j] += values[i + j];
    for (int j = 0; i + j < size; j++) lanes[j] += values[i + j];
    return fastpg_add_lanes(lanes) / (double)size;
}

FASTPG_INLINE double fastpg_variance(const float *values, int64_t size, double mean) {
    double lanes[FASTPG_LANES] = {0};
    int64_t i = 0;
    for (; i + FASTPG_LANES <= size; i += FASTPG_LANES)
        for (int j = 0; j < FASTPG_LANES; j++)
            lanes[j] += (values[i + j] - mean) * (values[i + j] - mean);
    for (int j = 0; i + j < size; j++) lanes[j] += (values[i + j] - mean) * (values[i + j] - mean);
    return fastpg_add_lanes(lanes) / (double)size;
}

/* Standardize one segment. Equal values are tested for: rounding may leave them a deviation. */
FASTPG_CLONES static void fastpg_standardize(const float *FASTPG_RESTRICT values, int64_t size,
                                             float *FASTPG_RESTRICT standardized) {
    int different = 0;
    for (int64_t i = 0; i < size; i++) different |= values[i] != values[0];
    if (!different) {
        memset(standardized, 0, (size_t)size * sizeof(float));
        return;
    }
    const double mean = fastpg_mean(values, size);
    const double deviation = sqrt(fastpg_variance(values, size, mean));
    for (int64_t i = 0; i < size; i++) standardized[i] = (float)((values[i] - mean) / deviation);
}

/* ---- objectives ------------------------------------------------------------------------------ */

typedef struct {
    double clip, entropy_weight, value_weight;
} fastpg_ppo_t;

/* advantage * ratio, or 0 where the ratio is clipped. */
FASTPG_INLINE double fastpg_ppo_weight(double ratio, double advantage, double clip) {
    const int above = advantage > 0.0 && ratio > 1.0 + clip;
    const int below = advantage < 0.0 && ratio < 1.0 - clip;
    return above || below ? 0.0 : advantage * ratio;
}

/* log(p), or 0 for p = 0: it is multiplied by p. */
FASTPG_INLINE double fastpg_log_or_zero(double p) { return p > 0.0 ? log(p) : 0.0; }

/* weight * d log pi(action) + entropy_weight * d entropy, by the one logit of two actions. */
FASTPG_INLINE float fastpg_sigmoid_gradient(float probability, uint8_t action, double weight,
                                            double entropy_weight, double *entropy) {
    const double p = probability, q = 1.0 - p;
    const double log_p = fastpg_log_or_zero(p), log_q = fastpg_log_or_zero(q);
    *entropy = -(p * log_p + q * log_q);
    return (float)(weight * (action - p) + entropy_weight * (-p * q * (log_p - log_q)));
}

FASTPG_INLINE void fastpg_softmax_gradient(const float *probabilities, int64_t outputs,
                                           uint8_t action, double weight, double entropy_weight,
                                           float *d_logits, double *entropy) {
    double negentropy = 0.0, logs[FASTPG_CACHED_ACTIONS];
    for (int64_t a = 0; a < outputs; a++) {
        const double of_a = fastpg_log_or_zero(probabilities[a]);
        if (a < FASTPG_CACHED_ACTIONS) logs[a] = of_a;
        negentropy += probabilities[a] * of_a;
    }
    for (int64_t a = 0; a < outputs; a++) {
        const double p = probabilities[a],
                     of_a = a < FASTPG_CACHED_ACTIONS ? logs[a] : fastpg_log_or_zero(p);
        const double of_entropy = -p * (of_a - negentropy);
        d_logits[a] = (float)(weight * ((action == a) - p) + entropy_weight * of_entropy);
    }
    *entropy = -negentropy;
}

/* Sums over samples. */
typedef struct {
    double entropy;
    double divergence;  /* from the policy that played: ratio - 1 - log ratio */
    double clipped;     /* samples without gradient because their ratio is clipped */
    double value_error; /* squared */
} fastpg_ppo_sums_t;

/* One sample's gradients by its logits and its value. `wanted`: its return. */
FASTPG_INLINE void fastpg_ppo_sample(const float *probabilities, float value, uint8_t action,
                                     float old_probability, float advantage, float wanted,
                                     fastpg_ppo_t ppo, int64_t outputs, float *d_logits,
                                     float *d_value, fastpg_ppo_sums_t *sums) {
    float chosen = probabilities[outputs == 1 ? 0 : action];
    if (outputs == 1 && action == 0) chosen = 1.0f - chosen;
    const double ratio = (double)chosen / old_probability;
    const double weight = fastpg_ppo_weight(ratio, advantage, ppo.clip);
    const double error = (double)value - wanted;
    double entropy;
    if (outputs == 1)
        d_logits[0] =
            fastpg_sigmoid_gradient(probabilities[0], action, weight, ppo.entropy_weight, &entropy);
    else
        fastpg_softmax_gradient(probabilities, outputs, action, weight, ppo.entropy_weight,
                                d_logits, &entropy);
    *d_value = (float)(-2.0 * ppo.value_weight * error);
    sums->entropy += entropy;
    sums->divergence += ratio > 0.0 ? ratio - 1.0 - log(ratio) : 0.0;
    sums->clipped += weight == 0.0 && advantage != 0.0f && ratio > 0.0;
    sums->value_error += error * error;
}

/* Not cloned: most of the time goes into calls of log. */
static void fastpg_ppo(const float *probabilities, const float *values, const uint8_t *actions,
                       const float *old_probabilities, const float *advantages,
                       const float *returns, fastpg_ppo_t ppo, int64_t samples, int64_t outputs,
                       float *d_logits, float *d_values) {
    fastpg_ppo_sums_t unused = {0};
    for (int64_t b = 0; b < samples; b++)
        fastpg_ppo_sample(probabilities + b * outputs, values[b], actions[b], old_probabilities[b],
                          advantages[b], returns[b], ppo, outputs, d_logits + b * outputs,
                          d_values + b, &unused);
}

/* ---- updates --------------------------------------------------------------------------------- */

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
