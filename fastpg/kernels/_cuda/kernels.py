"""Grid-stride kernels that distribute environments, samples or elements over threads or blocks.

A thread calls a function of :mod:`fastpg.kernels.cuda_device`, a block one of
:mod:`fastpg.kernels._cuda.blocks` or :mod:`fastpg.kernels._cuda.gradients`. A grid of any
size computes arrays of any size.
"""

import numpy as np

from fastpg.kernels import cuda_device as threads
from fastpg.kernels._cuda import blocks, gradients
from fastpg.kernels._cuda.jit import SCAN_THREADS, cuda, device, index, kernel

SCAN_EACH = 8  # row sizes summed by each thread


@kernel
def frame_difference_dense(current, previous, x):
    i, step = cuda.grid(1), cuda.gridsize(1)
    while i + 3 * step < x.shape[0]:  # four loads in flight
        x0 = threads.difference(i, current, previous)
        x1 = threads.difference(i + step, current, previous)
        x2 = threads.difference(i + 2 * step, current, previous)
        x3 = threads.difference(i + 3 * step, current, previous)
        x[index(i)], x[index(i + step)] = x0, x1
        x[index(i + 2 * step)], x[index(i + 3 * step)] = x2, x3
        i += 4 * step
    while i < x.shape[0]:
        threads.frame_difference_dense(i, current, previous, x)
        i += step


@kernel
def discounted_returns(rewards, dones, gamma, cut_at_rewards, returns):
    i = cuda.grid(1)
    while i < rewards.shape[1]:
        threads.discounted_returns(i, rewards, dones, gamma, cut_at_rewards, returns)
        i += cuda.gridsize(1)


@kernel
def generalized_advantages(rewards, dones, values, gamma, decay, advantages, returns):
    i = cuda.grid(1)
    while i < rewards.shape[1]:
        threads.generalized_advantages(i, rewards, dones, values, gamma, decay, advantages, returns)
        i += cuda.gridsize(1)


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
    inputs = probabilities, values, actions, old_probabilities, advantages, returns
    weights = clip, entropy_weight, value_weight
    i = cuda.grid(1)
    while i < values.shape[0]:
        threads.ppo_gradient(i, *inputs, *weights, d_logits, d_values)
        i += cuda.gridsize(1)


@kernel
def rmsprop_update(gradient, rate, keep, take, epsilon, weights, cache):
    i = cuda.grid(1)
    while i < gradient.shape[0]:
        threads.rmsprop_update(i, gradient, rate, keep, take, epsilon, weights, cache)
        i += cuda.gridsize(1)


@kernel
def adam_update(gradient, rate, scale, keep1, take1, keep2, take2, epsilon, weights, mean, square):
    i = cuda.grid(1)
    while i < gradient.shape[0]:
        threads.adam_update(
            i, gradient, rate, scale, keep1, take1, keep2, take2, epsilon, weights, mean, square
        )
        i += cuda.gridsize(1)


@kernel
def counter_uniforms(streams, steps, seed, uniforms):
    i = cuda.grid(1)
    while i < uniforms.shape[0]:
        threads.counter_uniforms(i, streams, steps, seed, uniforms)
        i += cuda.gridsize(1)


@kernel
def sample_actions(probabilities, uniforms, actions):
    i = cuda.grid(1)
    while i < actions.shape[0]:
        threads.sample_actions(i, probabilities, uniforms, actions)
        i += cuda.gridsize(1)


@kernel
def preprocess(frames, find_background, aligned, views):
    i = cuda.blockIdx.x
    while i < views.shape[0]:
        blocks.preprocess(i, frames, find_background, views, aligned)
        i += cuda.gridDim.x


@kernel
def preprocess_palette(frames, red, find_background, aligned, views):
    i = cuda.blockIdx.x
    while i < views.shape[0]:
        blocks.preprocess_palette(i, frames, red, find_background, views, aligned)
        i += cuda.gridDim.x


@kernel
def standardize(values, offsets, standardized):
    i = cuda.blockIdx.x
    while i < offsets.shape[0] - 1:
        blocks.standardize(i, values, offsets, standardized)
        i += cuda.gridDim.x


@kernel
def policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities):
    i = cuda.blockIdx.x
    while i < hidden.shape[0]:
        blocks.policy_forward(i, indices, signs, offsets, w1, w2, hidden, probabilities)
        i += cuda.gridDim.x


@kernel
def mark(current, previous, stacked, aligned, marks, words, offsets):
    """Mark the non-zero pixels of all rows, of frame_stack or of frame_difference.

    A row has ``words`` words of ``marks``. offsets[n + 1] becomes the number of row n's pixels.
    ``aligned``: pixels can be read eight at a time.
    """
    count, bits = cuda.shared.array(1, np.int32), marks.view(np.uint8)
    if aligned:
        now, before = current.view(np.uint64), previous.view(np.uint64)
        _mark_rows(now, before, stacked, bits, 8 * words, count, offsets)
    else:
        _mark_rows(current, previous, stacked, bits, 8 * words, count, offsets)


@device
def _mark_rows(current, previous, stacked, bits, size, count, offsets):
    n = cuda.blockIdx.x
    while n < current.shape[0]:
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            count[0] = 0
        cuda.syncthreads()
        first, last = n * size, (n + 1) * size
        if stacked:
            middle = first + size // 2
            marked = blocks.mark_pixels(current[n], None, bits, first, middle)
            marked += blocks.mark_pixels(previous[n], None, bits, middle, last)
        else:
            marked = blocks.mark_pixels(current[n], previous[n], bits, first, last)
        if marked:
            cuda.atomic.add(count, 0, marked)
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            offsets[n + 1] = count[0]
        n += cuda.gridDim.x


@kernel
def sum_up(offsets):
    """Turn the rows' sizes in offsets[1:] into their ends; one block."""
    sums = cuda.shared.array(SCAN_THREADS, np.int64)
    if cuda.threadIdx.x == 0:
        offsets[0] = 0
    begin, first = 0, 1
    while first < offsets.shape[0]:
        low = first + cuda.threadIdx.x * SCAN_EACH
        high = min(low + SCAN_EACH, offsets.shape[0])
        size, i = 0, low
        while i < high:
            size += offsets[index(i)]
            i += 1
        before, total = blocks.sum_before(size, sums)
        end, i = begin + before, low
        while i < high:
            end += offsets[index(i)]
            offsets[index(i)] = end
            i += 1
        begin += total
        first += cuda.blockDim.x * SCAN_EACH


@kernel
def frame_difference(marks, words, current, indices, signs, offsets):
    second = words, 0
    n = cuda.blockIdx.x
    while n < current.shape[0]:
        row = marks, n * words, (n + 1) * words
        blocks.write_pixels(*row, second, current[n], offsets[n], indices, signs)
        n += cuda.gridDim.x


@kernel
def frame_stack(marks, words, current, indices, signs, offsets):
    second = words // 2, current.shape[1]
    n = cuda.blockIdx.x
    while n < current.shape[0]:
        row = marks, n * words, (n + 1) * words
        blocks.write_pixels(*row, second, None, offsets[n], indices, signs)
        n += cuda.gridDim.x


@kernel
def dense_hidden(blocks1, x, w1, hidden):
    i = cuda.blockIdx.x
    while i < blocks1:
        gradients.dense_hidden(i, x, w1, hidden)
        i += cuda.gridDim.x


@kernel
def heads(hidden, w2, probabilities):
    b = cuda.blockIdx.x
    while b < hidden.shape[0]:
        blocks.heads(hidden[b], w2, probabilities[b])
        b += cuda.gridDim.x


# Gradients: blocks of dw1 first, then those of dw2, which take less time as they search no pixels.


@kernel
def policy_backward(
    blocks1,
    blocks2,
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
    pixels, sample = (indices, signs, offsets), (hidden, probabilities, actions, advantages)
    _sparse_backward(blocks1, blocks2, pixels, sample, w2, accumulate, dw1, dw2)


@kernel
def policy_backward_outputs(
    blocks1, blocks2, indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2
):
    pixels, sample = (indices, signs, offsets), (hidden, d_outputs, None, None)
    _sparse_backward(blocks1, blocks2, pixels, sample, w2, accumulate, dw1, dw2)


@device
def _sparse_backward(blocks1, blocks2, pixels, sample, w2, accumulate, dw1, dw2):
    i = cuda.blockIdx.x
    while i < blocks1 + blocks2:
        if i < blocks1:
            gradients.first_layer(i, *pixels, *sample, w2, accumulate, dw1)
        else:
            gradients.second_layer(i - blocks1, *sample, accumulate, dw2)
        i += cuda.gridDim.x


@kernel
def policy_backward_dense(
    blocks1, blocks2, x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2
):
    sample = hidden, probabilities, actions, advantages
    i = cuda.blockIdx.x
    while i < blocks1 + blocks2:
        if i < blocks1:
            gradients.dense_first_layer(i, x, *sample, w2, accumulate, dw1)
        else:
            gradients.second_layer(i - blocks1, *sample, accumulate, dw2)
        i += cuda.gridDim.x
