"""Formulas of one element, shared by the numba and the cuda backend.

Every constant is cast: numba takes a Python float as float64, and makes a float64 of a signed and
an unsigned 64-bit integer.
"""

import math

import numpy as np

from fastpg.kernels._numba.jit import jit

ZERO = np.float32(0)


@jit
def relu(value):
    """max(0, value), where NaN stays NaN."""
    return ZERO if value < ZERO else value


@jit
def sigmoid(logit):
    """1 / (1 + exp(-logit)) in float64, rounded once."""
    return np.float32(1.0 / (1.0 + math.exp(-np.float64(logit))))


@jit
def d_logit(advantage, probability, action, a, outputs):
    """Derivative of advantage * log pi(action) by logit a; a single output is action 1's."""
    taken = action == 1 if outputs == 1 else action == a
    return advantage * ((np.float32(1) if taken else ZERO) - probability)


@jit
def return_step(reward, done, cut_at_rewards, discounted):
    """The float64 return of a step; ``discounted`` is gamma times the next step's return."""
    cut = done | (cut_at_rewards & (reward != ZERO))
    return np.float64(reward) + (0.0 if cut else discounted)


@jit
def advantage_step(reward, done, value, discounted_value, discounted):
    """The float64 advantage (GAE) of a step.

    ``discounted_value`` is gamma times the next step's value, ``discounted`` is gamma * lambda
    times its advantage.
    """
    delta = np.float64(reward) + (0.0 if done else discounted_value) - np.float64(value)
    return delta + (0.0 if done else discounted)


@jit
def ppo_weight(ratio, advantage, clip):
    """Advantage times ratio, or 0 where clipping stops PPO's gradient; float64."""
    above = advantage > 0.0 and ratio > 1.0 + clip
    below = advantage < 0.0 and ratio < 1.0 - clip
    return 0.0 if above or below else advantage * ratio


@jit
def log_or_zero(p):
    """log(p), or 0 where p is 0, as 0 * log 0 is 0; float64."""
    return math.log(p) if p > 0.0 else 0.0


@jit
def mean_square(cache, gradient, keep, take):
    """The moving average of squared gradients after a step of RMSProp or Adam; all float32."""
    return keep * cache + take * (gradient * gradient)


@jit
def rmsprop_weight(weight, cache, gradient, rate, epsilon):
    """A weight after a step of RMSProp or Adam, from the updated ``cache``; all float32."""
    return weight + rate * gradient / (np.float32(math.sqrt(cache)) + epsilon)


@jit
def philox_uniform(stream, step, seed):
    """Uniform float32 in [0, 1): the first word of Philox 4x32, 10 rounds. Arguments are uint64."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = step & low, step >> half, stream & low, stream >> half
    k0, k1 = seed & low, seed >> half
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1 = (product1 >> half) ^ c1 ^ k0, product1 & low
        c2, c3 = (product0 >> half) ^ c3 ^ k1, product0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.float32(np.int32(c0 >> np.uint64(8))) * np.float32(2.0**-24)
