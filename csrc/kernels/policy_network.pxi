# Ops of the two-layer policy network, of fastpg.kernels._cython.

cdef void c_policy_forward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities
) noexcept nogil:
    fastpg_forward(
        &indices[0], &signs[0], &offsets[0], &w1[0, 0], &w2[0, 0],
        hidden.shape[0], hidden.shape[1], w2.shape[0], &hidden[0, 0], &probabilities[0, 0],
    )


def policy_forward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_forward`."""
    with nogil:
        c_policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities)


cdef void c_policy_forward_dense(
    const float[:, ::1] x, const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities
) noexcept nogil:
    fastpg_forward_dense(
        &x[0, 0], &w1[0, 0], &w2[0, 0],
        x.shape[0], x.shape[1], w1.shape[1], w2.shape[0], &hidden[0, 0], &probabilities[0, 0],
    )


def policy_forward_dense(
    const float[:, ::1] x, const float[:, ::1] w1, const float[:, ::1] w2, float[:, ::1] hidden,
    float[:, ::1] probabilities
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_forward_dense`."""
    with nogil:
        c_policy_forward_dense(x, w1, w2, hidden, probabilities)


cdef inline void clear_unless(
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2
) noexcept nogil:
    if not accumulate:
        dw1[:, :] = 0
        dw2[:, :] = 0


cdef void c_policy_backward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] probabilities, const uint8_t[::1] actions,
    const float[::1] advantages, const float[:, ::1] w2, bint accumulate, float[:, ::1] dw1,
    float[:, ::1] dw2
) noexcept nogil:
    clear_unless(accumulate, dw1, dw2)
    fastpg_backward(
        &indices[0], &signs[0], &offsets[0], &hidden[0, 0], &probabilities[0, 0],
        &actions[0], &advantages[0], &w2[0, 0],
        hidden.shape[0], hidden.shape[1], w2.shape[0], &dw1[0, 0], &dw2[0, 0],
    )


def policy_backward(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] probabilities, const uint8_t[::1] actions,
    const float[::1] advantages, const float[:, ::1] w2, bint accumulate, float[:, ::1] dw1,
    float[:, ::1] dw2
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward`."""
    with nogil:
        c_policy_backward(
            indices, signs, offsets, hidden, probabilities, actions, advantages, w2, accumulate,
            dw1, dw2,
        )


cdef void c_policy_backward_dense(
    const float[:, ::1] x, const float[:, ::1] hidden, const float[:, ::1] probabilities,
    const uint8_t[::1] actions, const float[::1] advantages, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2
) noexcept nogil:
    clear_unless(accumulate, dw1, dw2)
    fastpg_backward_dense(
        &x[0, 0], &hidden[0, 0], &probabilities[0, 0], &actions[0], &advantages[0], &w2[0, 0],
        x.shape[0], x.shape[1], hidden.shape[1], w2.shape[0], &dw1[0, 0], &dw2[0, 0],
    )


def policy_backward_dense(
    const float[:, ::1] x, const float[:, ::1] hidden, const float[:, ::1] probabilities,
    const uint8_t[::1] actions, const float[::1] advantages, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward_dense`."""
    with nogil:
        c_policy_backward_dense(
            x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2,
        )


cdef void c_policy_backward_outputs(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] d_outputs, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2
) noexcept nogil:
    clear_unless(accumulate, dw1, dw2)
    fastpg_backward_outputs(
        &indices[0], &signs[0], &offsets[0], &hidden[0, 0], &d_outputs[0, 0], &w2[0, 0],
        hidden.shape[0], hidden.shape[1], w2.shape[0], &dw1[0, 0], &dw2[0, 0],
    )


def policy_backward_outputs(
    const uint16_t[::1] indices, const int8_t[::1] signs, const int64_t[::1] offsets,
    const float[:, ::1] hidden, const float[:, ::1] d_outputs, const float[:, ::1] w2,
    bint accumulate, float[:, ::1] dw1, float[:, ::1] dw2
):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward_outputs`."""
    with nogil:
        c_policy_backward_outputs(
            indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2,
        )
