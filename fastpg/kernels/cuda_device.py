"""Device functions of the kernel table, for your own ``@cuda.jit`` kernels.

There is one for each op that a thread can do alone. It has the op's name and, after the number of
an environment, sample or element, the op's arguments. Ops that need a whole block are in
:mod:`fastpg.kernels._cuda.blocks`. Nothing is checked, as in the loops of the CPU backends. ::

    from numba import cuda
    from fastpg.kernels import cuda_device

    @cuda.jit
    def act(probabilities, streams, steps, seed, uniforms, actions):
        n = cuda.grid(1)
        if n < actions.shape[0]:
            cuda_device.counter_uniforms(n, streams, steps, seed, uniforms)
            cuda_device.sample_actions(n, probabilities, uniforms, actions)

A slice such as ``views[n]`` is no copy, so the functions work on slices too. Functions with other
names than the ops' are formulas that kernels of ``fastpg.cuda`` use, too.
"""

import numpy as np

from fastpg.kernels._cuda.jit import cuda, device, index, times32, times64
from fastpg.kernels._numba.scalar import (
    ZERO,
    advantage_step,
    log_or_zero,
    philox_uniform,
    ppo_weight,
    return_step,
    rmsprop_weight,
)

# Steps of an environment that a thread reads before it uses any. With few environments, reading one
# at a time would leave the memory idle.
AHEAD = 16


@device
def frame_difference_dense(i, current, previous, x):
    """Element i of :meth:`fastpg.kernels.ops.Backend.frame_difference_dense`, all arrays flat."""
    x[index(i)] = difference(i, current, previous)


@device
def difference(i, current, previous):
    """Element i of ``current - previous``, float32."""
    return np.float32(np.int32(np.int32(current[index(i)]) - np.int32(previous[index(i)])))


@device
def discounted_returns(n, rewards, dones, gamma, cut_at_rewards, returns):
    """Environment n of :meth:`fastpg.kernels.ops.Backend.discounted_returns`."""
    reward, done = cuda.local.array(AHEAD, np.float32), cuda.local.array(AHEAD, np.bool_)
    running, t = 0.0, rewards.shape[0]
    while t > 0:
        steps = min(t, AHEAD)
        t -= steps
        for i in range(AHEAD):
            if i < steps:
                reward[i], done[i] = rewards[index(t + i), index(n)], dones[index(t + i), index(n)]
        for i in range(AHEAD - 1, -1, -1):
            if i < steps:
                discounted = times64(gamma, running)
                running = return_step(reward[i], done[i], cut_at_rewards, discounted)
                returns[index(t + i), index(n)] = running


@device
def generalized_advantages(n, rewards, dones, values, gamma, decay, advantages, returns):
    """Environment n of :meth:`fastpg.kernels.ops.Backend.generalized_advantages`.

    ``decay`` is gamma * lam.
    """
    reward, done = cuda.local.array(AHEAD, np.float32), cuda.local.array(AHEAD, np.bool_)
    value = cuda.local.array(AHEAD, np.float32)
    running, t = 0.0, rewards.shape[0]
    next_value = np.float64(values[t, n])
    while t > 0:
        steps = min(t, AHEAD)
        t -= steps
        for i in range(AHEAD):
            if i < steps:
                reward[i], done[i] = rewards[index(t + i), index(n)], dones[index(t + i), index(n)]
                value[i] = values[index(t + i), index(n)]
        for i in range(AHEAD - 1, -1, -1):
            if i < steps:
                discounted, decayed = times64(gamma, next_value), times64(decay, running)
                running = advantage_step(reward[i], done[i], value[i], discounted, decayed)
                next_value = np.float64(value[i])
                advantages[index(t + i), index(n)] = running
                returns[index(t + i), index(n)] = running + next_value


@device
def ppo_gradient(
    b,
    probabilities,
    values,
    actions,
    old_probabilities,
    advantages,
    returns,
    clip,
    entropy_weight,
    value_weight,
    d_logits,
    d_values,
):
    """Sample b of :meth:`fastpg.kernels.ops.Backend.ppo_gradient`."""
    outputs, action = probabilities.shape[1], actions[b]
    probability = np.float64(probability_of(action, probabilities[b], outputs))
    ratio = probability / np.float64(old_probabilities[b])
    weight = ppo_weight(ratio, np.float64(advantages[b]), clip)
    error = np.float64(values[b]) - np.float64(returns[b])
    d_values[b] = -2.0 * value_weight * error
    logit_derivatives(probabilities[b], outputs, action, weight, entropy_weight, d_logits[b])


@device
def probability_of(action, probabilities, outputs):
    """Probability of an action; a single output is action 1's."""
    if outputs > 1:
        return probabilities[action]
    return probabilities[0] if action else np.float32(1) - probabilities[0]


@device
def logit_derivatives(probabilities, outputs, action, weight, entropy_weight, derivatives):
    """Write the derivatives of PPO's objective by a sample's logits; returns the entropy.

    Args:
        probabilities: (outputs,) float32, or longer.
        outputs: number of logits; a single one is action 1's.
        action: the sample's action.
        weight: of log pi(action) in the objective, float64.
        entropy_weight: float64.
        derivatives: float32, written like ``probabilities``; may be the same array.
    """
    if outputs == 1:
        p = np.float64(probabilities[0])
        log_p, log_q = log_or_zero(p), log_or_zero(1.0 - p)
        of_entropy = -p * (1.0 - p) * (log_p - log_q)
        taken = np.float64(action)
        derivatives[0] = times64(weight, taken - p) + times64(entropy_weight, of_entropy)
        return -(times64(p, log_p) + times64(1.0 - p, log_q))
    negentropy = 0.0
    for a in range(outputs):
        p = np.float64(probabilities[a])
        negentropy += times64(p, log_or_zero(p))
    for a in range(outputs):
        p = np.float64(probabilities[a])
        of_entropy = -p * (log_or_zero(p) - negentropy)
        taken = np.float64(1 if action == a else 0)
        derivatives[a] = times64(weight, taken - p) + times64(entropy_weight, of_entropy)
    return -negentropy


@device
def moving_average(mean, keep, value, take):
    """``keep * mean + take * value``, float32, not fused."""
    return times32(keep, mean) + times32(take, value)


@device
def rmsprop_update(i, gradient, rate, keep, take, epsilon, weights, cache):
    """Element i of :meth:`fastpg.kernels.ops.Backend.rmsprop_update`.

    Scalars are float32: learning_rate, decay, 1 - decay (rounded once) and epsilon.
    """
    i = index(i)
    slope = gradient[i]
    square = moving_average(cache[i], keep, slope * slope, take)
    cache[i] = square
    weights[i] = rmsprop_weight(weights[i], square, slope, rate, epsilon)


@device
def adam_update(
    i, gradient, rate, scale, keep1, take1, keep2, take2, epsilon, weights, mean, square
):
    """Element i of :meth:`fastpg.kernels.ops.Backend.adam_update`.

    Scalars are float32, each computed in float64 and rounded once: learning_rate / (1 -
    beta1^step), 1 / (1 - beta2^step), beta1, 1 - beta1, beta2, 1 - beta2 and epsilon.
    """
    i = index(i)
    slope = gradient[i]
    first = moving_average(mean[i], keep1, slope, take1)
    second = moving_average(square[i], keep2, slope * slope, take2)
    mean[i], square[i] = first, second
    weights[i] = rmsprop_weight(weights[i], scale * second, first, rate, epsilon)


@device
def counter_uniforms(n, streams, steps, seed, uniforms):
    """Uniform n of :meth:`fastpg.kernels.ops.Backend.counter_uniforms`; the seed is a uint64."""
    n = index(n)
    uniforms[n] = philox_uniform(streams[n], steps[n], seed)


@device
def sample_actions(n, probabilities, uniforms, actions):
    """Action n of :meth:`fastpg.kernels.ops.Backend.sample_actions`."""
    actions[n] = sample_action(probabilities[n], probabilities.shape[1], uniforms[n])


@device
def sample_action(probabilities, outputs, uniform):
    """Action that a uniform random number selects; a single output is action 1's probability."""
    if outputs == 1:
        return 1 if uniform < probabilities[0] else 0
    cumulative, action = ZERO, 0
    for a in range(outputs - 1):
        cumulative += probabilities[a]
        action += uniform >= cumulative
    return action
