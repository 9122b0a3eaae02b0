"""The Cython backend's loops, to cimport: C-contiguous memoryviews in, no GIL, nothing checked.

Each is named c_ and an op of fastpg.kernels.ops.Backend, whose parameters it has, outputs last.
Give fastpg.kernels.get_include() to cythonize as ``include_path``.
"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint64_t

cdef void c_preprocess(
    const uint8_t[:, :, :, ::1] frames, bint find_background, uint8_t[:, ::1] views) noexcept nogil
cdef void c_preprocess_palette(
    const uint8_t[:, :, ::1] frames, const uint8_t[::1] red, bint find_background,
    uint8_t[:, ::1] views) noexcept nogil
cdef int64_t c_frame_difference(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets) noexcept nogil
cdef int64_t c_frame_stack(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, uint16_t[::1] indices,
    int8_t[::1] signs, int64_t[::1] offsets) noexcept nogil
cdef void c_frame_difference_dense(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, float[:, ::1] x) noexcept nogil

cdef void c_discounted_returns(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, double gamma, bint cut_at_rewards,
    float[:, ::1] returns) noexcept nogil
cdef void c_generalized_advantages(
    const float[:, ::1] rewards, const uint8_t[:, ::1] dones, const float[:, ::1] values,
    double gamma, double lam, float[:, ::1] advantages, float[:, ::1] returns) noexcept nogil
cdef void c_standardize(
    const float[::1] values, const int64_t[::1] offsets, float[::1] standardized) noexcept nogil

cdef void c_policy_forward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities) noexcept nogil
cdef void c_policy_forward_dense(
    const float[:, ::1] x, const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities) noexcept nogil
cdef void c_policy_backward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] probabilities, const uint8_t[::1] actions,
    const float[::1] advantages, const float[:, ::1] w2, bint accumulate, float[:, ::1] dw1,
    float[:, ::1] dw2) noexcept nogil
cdef void c_policy_backward_dense(
    const float[:, ::1] x, const float[:, ::1] hidden, const float[:, ::1] probabilities,
    const uint8_t[::1] actions, const float[::1] advantages, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2) noexcept nogil
cdef void c_policy_backward_outputs(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] d_outputs, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2) noexcept nogil

cdef void c_ppo_gradient(
    const float[:, ::1] probabilities, const float[::1] values, const uint8_t[::1] actions,
    const float[::1] old_probabilities, const float[::1] advantages, const float[::1] returns,
    double clip, double entropy_weight, double value_weight, float[:, ::1] d_logits,
    float[::1] d_values) noexcept nogil
cdef void c_rmsprop_update(
    const float[::1] gradient, double learning_rate, double decay, double epsilon,
    float[::1] weights, float[::1] cache) noexcept nogil
cdef void c_adam_update(
    const float[::1] gradient, int64_t step, double learning_rate, double beta1, double beta2,
    double epsilon, float[::1] weights, float[::1] mean, float[::1] square) noexcept nogil

cdef void c_counter_uniforms(
    const uint64_t[::1] streams, const uint64_t[::1] steps, uint64_t seed,
    float[::1] uniforms) noexcept nogil
cdef void c_sample_actions(
    const float[:, ::1] probabilities, const float[::1] uniforms,
    uint8_t[::1] actions) noexcept nogil
