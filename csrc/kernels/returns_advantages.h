/* Discounted returns and generalized advantages (GAE), and their standardization.
 *
 *   fastpg_returns, fastpg_advantages  from rewards (steps, environments)
 *   fastpg_standardize                 a segment to mean 0 and deviation 1
 *
 * Order of sums and -ffp-contract: see kernels/instruction_sets.h. */
#ifndef FASTPG_RETURNS_ADVANTAGES_H
#define FASTPG_RETURNS_ADVANTAGES_H

#include "kernels/instruction_sets.h"

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

#endif
