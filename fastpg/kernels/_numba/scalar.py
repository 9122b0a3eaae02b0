"""Formulas of one element, shared by the numba backends of CPU and GPU.

Every constant is cast: a Python float is float64 to numba, and signed with unsigned 64-bit
integers make a float64.
"""

import math

import numpy as np

from fastpg.kernels._numba.jit import jit

ZERO = np.float32(0)


@jit
def relu(value):
    """max(0, value); NaN stays NaN."""
    return ZERO if value < ZERO else value


@jit
def sigmoid(logit):
    """1 / (1 + exp(-logit)) in float64, rounded once."""
    return np.float32(1.0 / (1.0 + math.exp(-np.float64(logit))))


@jit
def dlogit(advantage, probability, action, a, outputs):
    """Derivative of advantage * log pi(action) by logit a; with one output, action 1 is its."""
    taken = action == 1 if outputs == 1 else action == a
    return advantage * ((np.float32(1) if taken else ZERO) - probability)


@jit
def return_step(reward, done, cut_at_rewards, discounted):
    """The return, in float64, at a step whose next one's, times gamma, is ``discounted``."""
    cut = done | (cut_at_rewards & (reward != ZERO))
    return np.float64(reward) + (0.0 if cut else discounted)


@jit
def advantage_step(reward, done, value, discounted_value, discounted):
    """The advantage, in float64, at a step, from the next one's value and advantage, discounted."""
    delta = np.float64(reward) + (0.0 if done else discounted_value) - np.float64(value)
    return delta + (0.0 if done else discounted)


@jit
def ppo_weight(ratio, advantage, clip):
    """The advantage times the ratio, or 0 where clipping takes hold; float64."""
    above = advantage > 0.0 and ratio > 1.0 + clip
    below = advantage < 0.0 and ratio < 1.0 - clip
    return 0.0 if above or below else advantage * ratio


@jit
def log_or_zero(p):
    """log(p), or 0 where p is 0, which it is multiplied by; float64."""
    return math.log(p) if p > 0.0 else 0.0


@jit
def mean_square(cache, gradient, keep, take):
    """RMSProp's cache, or Adam's, after a step: keep * cache + take * gradient^2, all float32."""
    return keep * cache + take * (gradient * gradient)


@jit
def rmsprop_weight(weight, cache, gradient, rate, epsilon):
    """A weight after a step of RMSProp, from the new cache, or of Adam; all float32."""
    return weight + rate * gradient / (np.float32(math.sqrt(cache)) + epsilon)


@jit
def philox_uniform(stream, step, seed):
    """Uniform float32 in [0, 1) from the first word of Philox 4x32, ten rounds; all uint64."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = step & low, step >> half, stream & low, stream >> half
    k0, k1 = seed & low, seed >> half
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0 = (product1 >> half) ^ c1 ^ k0
        c1 = product1 & low
        c2 = (product0 >> half) ^ c3 ^ k1
        c3 = product0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return np.float32(np.int32(c0 >> np.uint64(8))) * np.float32(2.0**-24)
