# Learner of fastpg.network._network: gradients of a minibatch, Adam, RMSProp.

cdef class Learner:
    """Gradients of a network's weights, and optimizer steps along them."""

    cdef fastpg_learner_t l
    cdef fastpg_batch_t b
    cdef Network network
    cdef Pool pool
    cdef readonly object mean1, mean2, square1, square2, updated
    cdef readonly object gradient2  # (blocks, heads, units)
    cdef object touched    # (weight_rows,): listed rows, then listed sums
    cdef object gradients  # (blocks, weight_rows, units): of the listed ones, in that order
    cdef object arrays, list_spans, lists
    cdef int64_t most

    def __cinit__(
        self, Network network not None, Pool pool not None, int64_t most_samples,
        const int32_t[::1] mirror_rows=None,
    ):
        cdef int64_t blocks = network.n.blocks, heads = network.n.heads
        cdef int64_t rows = network.n.rows, weight_rows = network.n.weight_rows
        cdef int64_t chunks = chunks_of(most_samples, FASTPG_LOSS_SAMPLES)
        if most_samples < 1:
            raise ValueError(f"most_samples: expected at least 1, got {most_samples}")
        self.network, self.pool, self.most = network, pool, most_samples
        if mirror_rows is not None:
            check_mirror_rows(np.asarray(mirror_rows), rows, heads)
            self.l.mirror_rows = &mirror_rows[0]
        self.gradients = zeros((blocks, weight_rows, FASTPG_UNITS), np.float32)
        self.gradient2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.mean1 = zeros((blocks, rows, FASTPG_UNITS), np.float32)
        self.mean2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.square1 = zeros((blocks, rows, FASTPG_UNITS), np.float32)
        self.square2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.updated = zeros((blocks, rows), np.uint32)
        marks = zeros(weight_rows + 8, np.uint8)  # 8 more: they are read in words
        grad_slots, norms = zeros(weight_rows, np.int32), zeros(blocks, np.float64)
        self.touched = zeros(weight_rows, np.int32)
        hidden = zeros((blocks, most_samples, FASTPG_UNITS), np.float32)
        partial_heads = zeros((blocks, most_samples, heads), np.float32)
        gradients = zeros((most_samples, heads), np.float32)
        loss_sums = zeros((chunks, sizeof(fastpg_ppo_sums_t)), np.uint8)
        self.arrays = (
            mirror_rows, marks, grad_slots, norms, hidden, partial_heads, gradients, loss_sums)
        self.list_spans = zeros((1, sizeof(fastpg_list_span_t)), np.uint8)
        self.lists = zeros(1, np.int32)
        self.l.net = &network.n
        cdef float[:, :, ::1] g1 = self.gradients, g2 = self.gradient2
        cdef float[:, :, ::1] m1 = self.mean1, m2 = self.mean2, s1 = self.square1, s2 = self.square2
        cdef uint32_t[:, ::1] updated = self.updated
        cdef uint8_t[::1] marks_view = marks
        cdef int32_t[::1] touched_view = self.touched, grad_slots_view = grad_slots
        cdef double[::1] norms_view = norms
        cdef float[:, :, ::1] hidden_view = hidden, partial_heads_view = partial_heads
        cdef float[:, ::1] gradients_view = gradients
        cdef uint8_t[:, ::1] loss_view = loss_sums
        self.l.g1, self.l.g2 = &g1[0, 0, 0], &g2[0, 0, 0]
        self.l.mean1, self.l.mean2 = &m1[0, 0, 0], &m2[0, 0, 0]
        self.l.square1, self.l.square2 = &s1[0, 0, 0], &s2[0, 0, 0]
        self.l.updated, self.l.marks = &updated[0, 0], &marks_view[0]
        self.l.rows, self.l.sums = &touched_view[0], &touched_view[rows]
        self.l.grad_slots, self.l.norms = &grad_slots_view[0], &norms_view[0]
        self.b.learner = &self.l
        self.b.hidden = &hidden_view[0, 0, 0]
        self.b.partial_heads = &partial_heads_view[0, 0, 0]
        self.b.gradients = &gradients_view[0, 0]
        self.b.loss_sums = <fastpg_ppo_sums_t *>&loss_view[0, 0]

    @property
    def gradient1(self):
        """The last :meth:`gradient` of w1 (blocks, rows, units); 0 where no pixel lit."""
        count = self.l.row_count
        gradients = np.zeros_like(self.square1)
        gradients[:, self.touched[:count]] = self.gradients[:, :count]
        return gradients

    @property
    def updates(self):
        """Optimizer steps taken so far."""
        return self.l.updates

    @updates.setter
    def updates(self, uint32_t updates):
        self.l.updates = updates

    def gradient(
        self, RolloutBuffer buffer not None, const int32_t[::1] samples,
        const float[::1] advantages, const float[::1] returns, double clip, double entropy,
        double value, float scale,
    ):
        """Compute the gradient of the samples' objectives; see fastpg_batch_t.

        ``samples`` (B,): slots. ``advantages``, ``returns``: of all slots of the buffer.

        Returns:
            Sums over the samples: (entropy, divergence from the policy that played, clipped
            ratios, squared value errors).
        """
        cdef int64_t begin = 0, left = samples.shape[0], chunks, k
        cdef double[4] sums
        cdef fastpg_list_span_t *list_spans
        if advantages.shape[0] < buffer.slots or returns.shape[0] < buffer.slots:
            raise ValueError(
                f"advantages, returns: expected {buffer.slots}, one a slot, "
                f"got {advantages.shape[0]}, {returns.shape[0]}")
        for k in range(left):
            buffer.within(samples[k], self.network.lookback())
            if buffer.r.actions[samples[k]] >= self.network.n.actions:
                raise ValueError(
                    f"slot {samples[k]}: expected an action below {self.network.n.actions}, "
                    f"got {buffer.r.actions[samples[k]]}")
        memset(sums, 0, sizeof(sums))
        self.b.buffer, self.b.samples, self.b.count = &buffer.r, &samples[0], left
        self.plan()
        list_spans = self.b.list_spans
        self.pool.run(fastpg_prepare_task, &self.b, self.network.n.blocks)
        self.b.advantages, self.b.returns = &advantages[0], &returns[0]
        self.b.loss, self.b.scale = fastpg_ppo_t(clip, entropy, value), scale
        while left > 0:
            self.b.samples, self.b.count = &samples[begin], min(left, self.most)
            self.b.list_spans = list_spans + begin
            self.list_samples()
            chunks = chunks_of(self.b.count, FASTPG_LOSS_SAMPLES)
            self.pool.run(fastpg_forward_task, &self.b, self.network.n.blocks)
            self.pool.run(fastpg_loss_task, &self.b, chunks)
            self.pool.run(fastpg_backward_task, &self.b, self.network.n.blocks)
            for k in range(chunks):
                sums[0] += self.b.loss_sums[k].entropy
                sums[1] += self.b.loss_sums[k].divergence
                sums[2] += self.b.loss_sums[k].clipped
                sums[3] += self.b.loss_sums[k].value_error
            begin += self.b.count
            left -= self.b.count
        self.pool.run(fastpg_reduce_task, &self.b, self.network.n.blocks)
        return sums[0], sums[1], sums[2], sums[3]

    cdef int plan(self) except -1:
        """Mark and list the rows that a minibatch touches."""
        cdef uint8_t[:, ::1] list_spans
        if len(self.list_spans) < self.b.count:
            self.list_spans = zeros((self.b.count, sizeof(fastpg_list_span_t)), np.uint8)
        list_spans = self.list_spans
        self.b.list_spans = <fastpg_list_span_t *>&list_spans[0, 0]
        memset(self.l.marks, 0, self.network.n.weight_rows)
        self.pool.run(fastpg_mark_task, &self.b, chunks_of(self.b.count, FASTPG_LIST_SAMPLES))
        fastpg_plan(&self.l)
        return 0

    cdef int list_samples(self) except -1:
        """List the rows of each sample of the current part of the minibatch."""
        cdef int32_t[::1] lists
        cdef int64_t length
        if self.network.n.difference:
            return 0
        length = fastpg_lay_out_lists(&self.b)
        if len(self.lists) < length:
            self.lists = zeros(length + length // 2, np.int32)  # the next may need more
        lists = self.lists
        self.b.lists = &lists[0]
        self.pool.run(fastpg_list_task, &self.b, chunks_of(self.b.count, FASTPG_LIST_SAMPLES))
        return 0

    def norm(self):
        """Return the norm of the gradient of all weights."""
        cdef double total = 0
        cdef int64_t block
        for block in range(self.network.n.blocks):
            total += self.l.norms[block]
        return sqrt(total)  # not ** 0.5, which makes a complex number of NaN

    def adam(self, float learning_rate, float factor, float beta1, float beta2, float epsilon):
        """Take a step of Adam uphill, with the gradient times ``factor``."""
        self.b.learning_rate, self.b.factor = learning_rate, factor
        self.b.beta1, self.b.beta2, self.b.epsilon = beta1, beta2, epsilon
        self.step(fastpg_adam_task)

    def rmsprop(self, float learning_rate, float decay, float epsilon):
        """Take a step of RMSProp uphill."""
        self.b.learning_rate, self.b.factor = learning_rate, 1.0
        self.b.decay, self.b.epsilon = decay, epsilon
        self.step(fastpg_rmsprop_task)

    cdef int step(self, fastpg_task_t task) except -1:
        self.l.updates += 1
        try:
            self.pool.run(task, &self.b, self.network.n.blocks)
        finally:  # the step was taken even if threads are missing
            self.network.changed()
        return 0
