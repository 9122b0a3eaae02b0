/* The PPO objective: clipped policy gradient, entropy bonus, value loss.
 *
 *   fastpg_ppo_sample  one sample's gradients by its logits and its value
 *   fastpg_ppo         those of many samples
 *
 * Order of sums and -ffp-contract: see kernels/instruction_sets.h. */
#ifndef FASTPG_PPO_LOSSES_H
#define FASTPG_PPO_LOSSES_H

#include "kernels/instruction_sets.h"

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

#endif
