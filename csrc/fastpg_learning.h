/* From rewards to weights: returns, advantages and steps of the optimiser. Rules of fastpg_rows.h. */
#ifndef FASTPG_LEARNING_H
#define FASTPG_LEARNING_H

#include "fastpg_rows.h"

/* ---- returns -------------------------------------------------------------------------------- */

#define FASTPG_ENVIRONMENTS 64 /* whose running sums are kept on the stack */

FASTPG_CLONES static void fastpg_returns(
    const float *FASTPG_RESTRICT rewards, const uint8_t *FASTPG_RESTRICT dones, double gamma,
    int cut_at_rewards, int64_t steps, int64_t environments, float *FASTPG_RESTRICT returns)
{
    double running[FASTPG_ENVIRONMENTS];
    for (int64_t first = 0; first < environments; first += FASTPG_ENVIRONMENTS) {
        const int64_t left = environments - first;
        const int64_t count = left < FASTPG_ENVIRONMENTS ? left : FASTPG_ENVIRONMENTS;
        for (int64_t i = 0; i < count; i++) running[i] = 0.0;
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

/* values has a row more than the others: the state after the last step. decay: gamma * lambda. */
FASTPG_CLONES static void fastpg_advantages(
    const float *FASTPG_RESTRICT rewards, const uint8_t *FASTPG_RESTRICT dones,
    const float *FASTPG_RESTRICT values, double gamma, double decay, int64_t steps,
    int64_t environments, float *FASTPG_RESTRICT advantages, float *FASTPG_RESTRICT returns)
{
    double running[FASTPG_ENVIRONMENTS];
    for (int64_t first = 0; first < environments; first += FASTPG_ENVIRONMENTS) {
        const int64_t left = environments - first;
        const int64_t count = left < FASTPG_ENVIRONMENTS ? left : FASTPG_ENVIRONMENTS;
        for (int64_t i = 0; i < count; i++) running[i] = 0.0;
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

/* Sum of the lanes, joined by halves. */
FASTPG_INLINE double fastpg_join(const double *lanes)
{
    const double even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6]);
    return even + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

FASTPG_INLINE double fastpg_mean(const float *values, int64_t size)
{
    double lanes[FASTPG_LANES] = {0};
    int64_t i = 0;
    for (; i + FASTPG_LANES <= size; i += FASTPG_LANES)
        for (int j = 0; j < FASTPG_LANES; j++) lanes[j] += values[i + j];
    for (int j = 0; i + j < size; j++) lanes[j] += values[i + j];
    return fastpg_join(lanes) / (double)size;
}

FASTPG_INLINE double fastpg_variance(const float *values, int64_t size, double mean)
{
    double lanes[FASTPG_LANES] = {0};
    int64_t i = 0;
    for (; i + FASTPG_LANES <= size; i += FASTPG_LANES)
        for (int j = 0; j < FASTPG_LANES; j++)
            lanes[j] += (values[i + j] - mean) * (values[i + j] - mean);
    for (int j = 0; i + j < size; j++) lanes[j] += (values[i + j] - mean) * (values[i + j] - mean);
    return fastpg_join(lanes) / (double)size;
}

/* One segment; nothing else tells equal values apart from a deviation that rounding left over. */
FASTPG_CLONES static void fastpg_standardize(
    const float *FASTPG_RESTRICT values, int64_t size, float *FASTPG_RESTRICT standardized)
{
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

/* ---- updates -------------------------------------------------------------------------------- */

FASTPG_CLONES static void fastpg_rmsprop(
    const float *FASTPG_RESTRICT gradient, float rate, float keep, float take, float epsilon,
    int64_t size, float *FASTPG_RESTRICT weights, float *FASTPG_RESTRICT cache)
{
    for (int64_t i = 0; i < size; i++) {
        const float g = gradient[i];
        const float square = keep * cache[i] + take * (g * g);
        cache[i] = square;
        weights[i] += rate * g / (sqrtf(square) + epsilon);
    }
}

#endif
