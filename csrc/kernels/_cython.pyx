# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.kernels._cython: the Cython backend's loops.

Each op is a pair: ``c_name``, declared in fastpg/kernels/_cython.pxd to cimport and to call without
the GIL; and ``name``, the same for Python, which releases the GIL. Nothing is checked here:
fastpg.kernels.ops.Backend does that. Loops that gain from a copy per instruction set are in
csrc/kernels/*.h, the others are below.
"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint64_t

cdef extern from "kernels/preprocess.h" nogil:
    void fastpg_view_rgb(const uint8_t *frame, int find, uint8_t *view)
    void fastpg_view_palette(const uint8_t *frame, const uint8_t *red, int find, uint8_t *view)

cdef extern from "kernels/frame_difference.h" nogil:
    int64_t fastpg_frame_difference(
        const uint8_t *current, const uint8_t *previous, int64_t frames, int64_t size,
        uint16_t *indices, int8_t *signs, int64_t capacity, int64_t *offsets)
    int64_t fastpg_frame_stack(
        const uint8_t *current, const uint8_t *previous, int64_t frames, int64_t size,
        uint16_t *indices, int8_t *signs, int64_t capacity, int64_t *offsets)
    void fastpg_subtract(const uint8_t *current, const uint8_t *previous, int64_t size, float *x)

cdef extern from "kernels/counter_uniforms.h" nogil:
    void fastpg_philox(
        const uint64_t *streams, const uint64_t *steps, uint64_t seed, int64_t size,
        float *uniforms)

cdef extern from "kernels/returns_advantages.h" nogil:
    void fastpg_returns(
        const float *rewards, const uint8_t *dones, double gamma, int cut_at_rewards,
        int64_t steps, int64_t environments, float *returns)
    void fastpg_advantages(
        const float *rewards, const uint8_t *dones, const float *values, double gamma,
        double decay, int64_t steps, int64_t environments, float *advantages, float *returns)
    void fastpg_standardize(const float *values, int64_t size, float *standardized)

cdef extern from "kernels/ppo_losses.h" nogil:
    ctypedef struct fastpg_ppo_t:
        double clip
        double entropy_weight
        double value_weight
    void fastpg_ppo(
        const float *probabilities, const float *values, const uint8_t *actions,
        const float *old_probabilities, const float *advantages, const float *returns,
        fastpg_ppo_t ppo, int64_t samples, int64_t outputs, float *d_logits, float *d_values)

cdef extern from "kernels/optimizers.h" nogil:
    void fastpg_rmsprop(
        const float *gradient, float rate, float keep, float take, float epsilon, int64_t size,
        float *weights, float *cache)
    ctypedef struct fastpg_adam_t:
        pass
    fastpg_adam_t fastpg_adam_step(
        int64_t step, double learning_rate, double beta1, double beta2, double epsilon)
    void fastpg_adam(
        const float *gradient, fastpg_adam_t adam, int64_t size, float *weights, float *means,
        float *squares)

cdef extern from "kernels/policy_network.h" nogil:
    void fastpg_forward(
        const uint16_t *indices, const int8_t *signs, const int64_t *offsets, const float *w1,
        const float *w2, int64_t samples, int64_t units, int64_t outputs, float *hidden,
        float *probabilities)
    void fastpg_forward_dense(
        const float *x, const float *w1, const float *w2, int64_t samples, int64_t inputs,
        int64_t units, int64_t outputs, float *hidden, float *probabilities)
    void fastpg_backward(
        const uint16_t *indices, const int8_t *signs, const int64_t *offsets,
        const float *hidden, const float *probabilities, const uint8_t *actions,
        const float *advantages, const float *w2, int64_t samples, int64_t units,
        int64_t outputs, float *dw1, float *dw2)
    void fastpg_backward_outputs(
        const uint16_t *indices, const int8_t *signs, const int64_t *offsets,
        const float *hidden, const float *d_outputs, const float *w2, int64_t samples,
        int64_t units, int64_t outputs, float *dw1, float *dw2)
    void fastpg_backward_dense(
        const float *x, const float *hidden, const float *probabilities, const uint8_t *actions,
        const float *advantages, const float *w2, int64_t samples, int64_t inputs,
        int64_t units, int64_t outputs, float *dw1, float *dw2)


cdef void c_preprocess(
    const uint8_t[:, :, :, ::1] frames, bint find_background, uint8_t[:, ::1] views
) noexcept nogil:
    cdef Py_ssize_t n
    for n in range(frames.shape[0]):
        fastpg_view_rgb(&frames[n, 0, 0, 0], find_background, &views[n, 0])


def preprocess(
    const uint8_t[:, :, :, ::1] frames, bint find_background, uint8_t[:, ::1] views
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.preprocess`."""
    with nogil:
        c_preprocess(frames, find_background, views)


cdef void c_preprocess_palette(
    const uint8_t[:, :, ::1] frames, const uint8_t[::1] red, bint find_background,
    uint8_t[:, ::1] views
) noexcept nogil:
    cdef Py_ssize_t n
    for n in range(frames.shape[0]):
        fastpg_view_palette(&frames[n, 0, 0], &red[0], find_background, &views[n, 0])


def preprocess_palette(
    const uint8_t[:, :, ::1] frames, const uint8_t[::1] red, bint find_background,
    uint8_t[:, ::1] views
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.preprocess_palette`."""
    with nogil:
        c_preprocess_palette(frames, red, find_background, views)


cdef int64_t c_frame_difference(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets
) noexcept nogil:
    return fastpg_frame_difference(
        &current[0, 0], &previous[0, 0], current.shape[0], current.shape[1],
        &indices[0], &signs[0], indices.shape[0], &offsets[0],
    )


def frame_difference(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.frame_difference`."""
    cdef int64_t needed
    with nogil:
        needed = c_frame_difference(current, previous, indices, signs, offsets)
    return needed


cdef int64_t c_frame_stack(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets
) noexcept nogil:
    return fastpg_frame_stack(
        &current[0, 0], &previous[0, 0], current.shape[0], current.shape[1],
        &indices[0], &signs[0], indices.shape[0], &offsets[0],
    )


def frame_stack(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.frame_stack`."""
    cdef int64_t needed
    with nogil:
        needed = c_frame_stack(current, previous, indices, signs, offsets)
    return needed


cdef void c_frame_difference_dense(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, float[:, ::1] x
) noexcept nogil:
    fastpg_subtract(&current[0, 0], &previous[0, 0], x.shape[0] * x.shape[1], &x[0, 0])


def frame_difference_dense(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, float[:, ::1] x
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.frame_difference_dense`."""
    with nogil:
        c_frame_difference_dense(current, previous, x)


cdef void c_discounted_returns(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, double gamma, bint cut_at_rewards,
    float[:, ::1] returns
) noexcept nogil:
    fastpg_returns(
        &rewards[0, 0], &dones[0, 0], gamma, cut_at_rewards,
        rewards.shape[0], rewards.shape[1], &returns[0, 0],
    )


def discounted_returns(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, double gamma, bint cut_at_rewards,
    float[:, ::1] returns
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.discounted_returns`."""
    with nogil:
        c_discounted_returns(rewards, dones, gamma, cut_at_rewards, returns)


cdef void c_generalized_advantages(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, const float[:, ::1] values,
    double gamma, double lam, float[:, ::1] advantages, float[:, ::1] returns
) noexcept nogil:
    fastpg_advantages(
        &rewards[0, 0], &dones[0, 0], &values[0, 0], gamma, gamma * lam,
        rewards.shape[0], rewards.shape[1], &advantages[0, 0], &returns[0, 0],
    )


def generalized_advantages(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, const float[:, ::1] values,
    double gamma, double lam, float[:, ::1] advantages, float[:, ::1] returns
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.generalized_advantages`."""
    with nogil:
        c_generalized_advantages(rewards, dones, values, gamma, lam, advantages, returns)


cdef void c_standardize(
    const float[::1] values, const int64_t[::1] offsets, float[::1] standardized
) noexcept nogil:
    cdef Py_ssize_t s
    for s in range(offsets.shape[0] - 1):
        fastpg_standardize(
            &values[0] + offsets[s], offsets[s + 1] - offsets[s], &standardized[0] + offsets[s],
        )


def standardize(
    const float[::1] values, const int64_t[::1] offsets, float[::1] standardized
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.standardize`."""
    with nogil:
        c_standardize(values, offsets, standardized)


include "policy_network.pxi"


cdef void c_ppo_gradient(
    const float[:, ::1] probabilities, const float[::1] values, const uint8_t[::1] actions,
    const float[::1] old_probabilities, const float[::1] advantages, const float[::1] returns,
    double clip, double entropy_weight, double value_weight, float[:, ::1] d_logits,
    float[::1] d_values
) noexcept nogil:
    fastpg_ppo(
        &probabilities[0, 0], &values[0], &actions[0], &old_probabilities[0], &advantages[0],
        &returns[0], fastpg_ppo_t(clip, entropy_weight, value_weight),
        probabilities.shape[0], probabilities.shape[1], &d_logits[0, 0], &d_values[0],
    )


def ppo_gradient(
    const float[:, ::1] probabilities, const float[::1] values, const uint8_t[::1] actions,
    const float[::1] old_probabilities, const float[::1] advantages, const float[::1] returns,
    double clip, double entropy_weight, double value_weight, float[:, ::1] d_logits,
    float[::1] d_values
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.ppo_gradient`."""
    with nogil:
        c_ppo_gradient(
            probabilities, values, actions, old_probabilities, advantages, returns, clip,
            entropy_weight, value_weight, d_logits, d_values,
        )


cdef void c_rmsprop_update(
    const float[::1] gradient, double learning_rate, double decay, double epsilon,
    float[::1] weights, float[::1] cache
) noexcept nogil:
    fastpg_rmsprop(
        &gradient[0], <float>learning_rate, <float>decay, <float>(1.0 - decay), <float>epsilon,
        gradient.shape[0], &weights[0], &cache[0],
    )


def rmsprop_update(
    const float[::1] gradient, double learning_rate, double decay, double epsilon,
    float[::1] weights, float[::1] cache
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.rmsprop_update`."""
    with nogil:
        c_rmsprop_update(gradient, learning_rate, decay, epsilon, weights, cache)


cdef void c_adam_update(
    const float[::1] gradient, int64_t step, double learning_rate, double beta1, double beta2,
    double epsilon, float[::1] weights, float[::1] mean, float[::1] square
) noexcept nogil:
    fastpg_adam(
        &gradient[0], fastpg_adam_step(step, learning_rate, beta1, beta2, epsilon),
        gradient.shape[0], &weights[0], &mean[0], &square[0],
    )


def adam_update(
    const float[::1] gradient, int64_t step, double learning_rate, double beta1, double beta2,
    double epsilon, float[::1] weights, float[::1] mean, float[::1] square
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.adam_update`."""
    with nogil:
        c_adam_update(
            gradient, step, learning_rate, beta1, beta2, epsilon, weights, mean, square,
        )


cdef void c_counter_uniforms(
    const uint64_t[::1] streams, const uint64_t[::1] steps, uint64_t seed, float[::1] uniforms
) noexcept nogil:
    fastpg_philox(&streams[0], &steps[0], seed, streams.shape[0], &uniforms[0])


def counter_uniforms(
    const uint64_t[::1] streams, const uint64_t[::1] steps, uint64_t seed, float[::1] uniforms
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.counter_uniforms`."""
    with nogil:
        c_counter_uniforms(streams, steps, seed, uniforms)


cdef void c_sample_actions(
    const float[:, ::1] probabilities, const float[::1] uniforms, uint8_t[::1] actions
) noexcept nogil:
    cdef Py_ssize_t n, a, outputs = probabilities.shape[1]
    cdef float cumulative
    cdef uint8_t action
    for n in range(probabilities.shape[0]):
        if outputs == 1:
            actions[n] = uniforms[n] < probabilities[n, 0]
            continue
        cumulative, action = 0, 0
        for a in range(outputs - 1):
            cumulative += probabilities[n, a]
            action += uniforms[n] >= cumulative
        actions[n] = action


def sample_actions(
    const float[:, ::1] probabilities, const float[::1] uniforms, uint8_t[::1] actions
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.sample_actions`."""
    with nogil:
        c_sample_actions(probabilities, uniforms, actions)
