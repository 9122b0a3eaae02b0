"""The kernels of the cuda backend: which thread or block does which thing. No arithmetic.

All loop with the grid's stride, so that any grid does any size.
"""

import numpy as np

from fastpg.kernels import cuda_blocks as blocks
from fastpg.kernels import cuda_device as threads
from fastpg.kernels import cuda_gradients as gradients
from fastpg.kernels._cuda_jit import SCAN_THREADS, cuda, kernel


@kernel
def frame_difference_dense(current, previous, x):
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        threads.frame_difference_dense(i, current, previous, x)


@kernel
def discounted_returns(rewards, dones, gamma, cut_at_rewards, returns):
    for i in range(cuda.grid(1), rewards.shape[1], cuda.gridsize(1)):
        threads.discounted_returns(i, rewards, dones, gamma, cut_at_rewards, returns)


@kernel
def generalized_advantages(rewards, dones, values, gamma, decay, advantages, returns):
    for i in range(cuda.grid(1), rewards.shape[1], cuda.gridsize(1)):
        threads.generalized_advantages(i, rewards, dones, values, gamma, decay, advantages, returns)


@kernel
def ppo_gradient(
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
    for i in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        threads.ppo_gradient(
            i,
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
        )


@kernel
def rmsprop_update(gradient, rate, keep, take, epsilon, weights, cache):
    for i in range(cuda.grid(1), gradient.shape[0], cuda.gridsize(1)):
        threads.rmsprop_update(i, gradient, rate, keep, take, epsilon, weights, cache)


@kernel
def adam_update(gradient, rate, scale, keep1, take1, keep2, take2, epsilon, weights, mean, square):
    for i in range(cuda.grid(1), gradient.shape[0], cuda.gridsize(1)):
        threads.adam_update(
            i, gradient, rate, scale, keep1, take1, keep2, take2, epsilon, weights, mean, square
        )


@kernel
def counter_uniforms(streams, steps, seed, uniforms):
    for i in range(cuda.grid(1), uniforms.shape[0], cuda.gridsize(1)):
        threads.counter_uniforms(i, streams, steps, seed, uniforms)


@kernel
def sample_actions(probabilities, uniforms, actions):
    for i in range(cuda.grid(1), actions.shape[0], cuda.gridsize(1)):
        threads.sample_actions(i, probabilities, uniforms, actions)


@kernel
def preprocess(frames, find_background, views):
    for i in range(cuda.blockIdx.x, views.shape[0], cuda.gridDim.x):
        blocks.preprocess(i, frames, find_background, views)


@kernel
def preprocess_palette(frames, red, find_background, views):
    for i in range(cuda.blockIdx.x, views.shape[0], cuda.gridDim.x):
        blocks.preprocess_palette(i, frames, red, find_background, views)


@kernel
def standardize(values, offsets, standardized):
    for i in range(cuda.blockIdx.x, offsets.shape[0] - 1, cuda.gridDim.x):
        blocks.standardize(i, values, offsets, standardized)


@kernel
def policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities):
    for i in range(cuda.blockIdx.x, hidden.shape[0], cuda.gridDim.x):
        blocks.policy_forward(i, indices, signs, offsets, w1, w2, hidden, probabilities)


@kernel
def count_differences(current, previous, offsets):
    """offsets[n + 1] = size of row n of frame_difference."""
    for n in range(cuda.blockIdx.x, current.shape[0], cuda.gridDim.x):
        count = blocks.count_pixels(current[n], previous[n])
        if cuda.threadIdx.x == 0:
            offsets[n + 1] = count


@kernel
def count_stacks(current, previous, offsets):
    """offsets[n + 1] = size of row n of frame_stack."""
    for n in range(cuda.blockIdx.x, current.shape[0], cuda.gridDim.x):
        count = blocks.count_pixels(current[n], None) + blocks.count_pixels(previous[n], None)
        if cuda.threadIdx.x == 0:
            offsets[n + 1] = count


@kernel
def sum_up(offsets):
    """From the rows' sizes in offsets[1:] to where each ends, by one block."""
    sums = cuda.shared.array(SCAN_THREADS, np.int64)
    if cuda.threadIdx.x == 0:
        offsets[0] = 0
    begin = 0
    for first in range(1, offsets.shape[0], cuda.blockDim.x):
        i = first + cuda.threadIdx.x
        size = offsets[i] if i < offsets.shape[0] else 0
        before, total = blocks.sum_before(size, sums)
        if i < offsets.shape[0]:
            offsets[i] = begin + before + size
        begin += total


@kernel
def frame_difference(current, previous, indices, signs, offsets):
    for n in range(cuda.blockIdx.x, current.shape[0], cuda.gridDim.x):
        blocks.write_pixels(current[n], previous[n], 0, offsets[n], indices, signs)


@kernel
def frame_stack(current, previous, indices, signs, offsets):
    inputs = current.shape[1] * current.itemsize
    for n in range(cuda.blockIdx.x, current.shape[0], cuda.gridDim.x):
        start = blocks.write_pixels(current[n], None, 0, offsets[n], indices, signs)
        blocks.write_pixels(previous[n], None, inputs, start, indices, signs)


@kernel
def dense_hidden(tiles, x, w1, hidden):
    for i in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        gradients.dense_hidden(i, x, w1, hidden)


@kernel
def heads(hidden, w2, probabilities):
    for b in range(cuda.blockIdx.x, hidden.shape[0], cuda.gridDim.x):
        blocks.heads(hidden[b], w2, probabilities[b])


# Gradients: parts of dw1 first, then those of dw2, which have no pixels to look for.


@kernel
def policy_backward(
    parts1,
    parts2,
    indices,
    signs,
    offsets,
    hidden,
    probabilities,
    actions,
    advantages,
    w2,
    accumulate,
    dw1,
    dw2,
):
    sample = hidden, probabilities, actions, advantages
    for i in range(cuda.blockIdx.x, parts1 + parts2, cuda.gridDim.x):
        if i < parts1:
            gradients.first_layer(i, indices, signs, offsets, *sample, w2, accumulate, dw1)
        else:
            gradients.second_layer(i - parts1, *sample, accumulate, dw2)


@kernel
def policy_backward_outputs(
    parts1, parts2, indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2
):
    sample = hidden, d_outputs, None, None
    for i in range(cuda.blockIdx.x, parts1 + parts2, cuda.gridDim.x):
        if i < parts1:
            gradients.first_layer(i, indices, signs, offsets, *sample, w2, accumulate, dw1)
        else:
            gradients.second_layer(i - parts1, *sample, accumulate, dw2)


@kernel
def policy_backward_dense(
    tiles,
    parts2,
    x,
    hidden,
    probabilities,
    actions,
    advantages,
    w2,
    accumulate,
    dw1,
    dw2,
):
    sample = hidden, probabilities, actions, advantages
    for i in range(cuda.blockIdx.x, tiles + parts2, cuda.gridDim.x):
        if i < tiles:
            gradients.dense_first_layer(i, x, *sample, w2, accumulate, dw1)
        else:
            gradients.second_layer(i - tiles, *sample, accumulate, dw2)
