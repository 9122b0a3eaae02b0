"""C declarations of csrc/network and csrc/rollouts."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from c_emulator cimport (
    a26_cartridge_t, a26_env_t, a26_gym_t, a26_rules_t, a26_seed_t,
)

cdef extern from "rollouts/rollout.h" nogil:
    enum:
        FASTPG_UNITS
        FASTPG_TILES
        A26_VIEW_PIXELS
        A26_VIEW_SIDE
        FASTPG_MOST_VIEWS
        FASTPG_MOST_OUTPUTS
        A26_SCREEN_BYTES

    ctypedef struct fastpg_buffer_t:
        uint16_t *tiles
        uint32_t *tile_offsets
        uint16_t *tile_counts
        uint8_t *episode_steps
        uint8_t *actions
        uint8_t *dones
        float *rewards
        float *action_probs
        float *values
    ctypedef struct atomic_version_t "_Atomic uint32_t":
        pass
    ctypedef struct fastpg_network_t:
        int64_t blocks
        int64_t views
        int64_t lags[8]
        int difference
        int64_t past_actions
        int64_t actions
        int64_t outputs
        int64_t heads
        int64_t first_action_row
        int64_t cell
        int64_t first_cell_row
        int64_t rows
        int64_t weight_rows
        float *w1
        float *w2
        atomic_version_t *sum_versions
        uint32_t version
    ctypedef struct fastpg_frame_sums_t:
        int64_t slot
    ctypedef struct fastpg_game_t:
        a26_gym_t gym
        uint64_t stream
        uint64_t step
        int64_t begin
        int64_t end
        int64_t slot
        int64_t tile
        int64_t tiles_end
        int64_t episodes
        int64_t stride
        uint8_t between_episodes
        uint8_t busy
        double seconds_forward
        fastpg_frame_sums_t *frame_sums
    ctypedef struct atomic_flag:
        pass
    ctypedef struct fastpg_rollout_t:
        const a26_cartridge_t *cartridge
        const a26_env_t *power_on_state
        a26_rules_t rules
        const uint8_t *red
        int find_background
        int whole_episodes
        int greedy
        uint64_t seed
        uint8_t emulator_action[18]
        const fastpg_network_t *network
        const fastpg_buffer_t *buffer
        fastpg_game_t *game
        int64_t games
        uint8_t *pixels
        atomic_flag scheduler_lock

    void fastpg_lay_out_rows(fastpg_network_t *)
    int64_t fastpg_tile_view(const uint8_t *, uint16_t *)
    void fastpg_evaluate(
        const fastpg_network_t *, const fastpg_buffer_t *, int64_t, fastpg_frame_sums_t *, float *)
    void fastpg_probabilities(float *, int64_t)
    void fastpg_clear_frame_sums(const fastpg_network_t *, fastpg_frame_sums_t *)
    uint8_t fastpg_choose(
        const fastpg_network_t *, const fastpg_buffer_t *, int64_t, uint64_t, uint64_t, uint64_t,
        int, fastpg_frame_sums_t *)
    void fastpg_shift_lookback(fastpg_game_t *, const fastpg_buffer_t *, int64_t, int64_t)
    void fastpg_rollout_task(void *, int64_t, int)
    void fastpg_value_task(void *, int64_t, int)
    const char *fastpg_vectors()
    void atomic_flag_clear(atomic_flag *)


cdef extern from "network/shuffle.h" nogil:
    enum:
        FASTPG_SHUFFLE_KEYS
    void fastpg_shuffle(uint32_t count, const uint32_t *keys, int32_t *numbers)

cdef extern from "network/learner.h" nogil:
    enum:
        FASTPG_LIST_SAMPLES
        FASTPG_LOSS_SAMPLES

    ctypedef struct fastpg_ppo_t:
        double clip
        double entropy_weight
        double value_weight
    ctypedef struct fastpg_ppo_sums_t:
        double entropy
        double divergence
        double clipped
        double value_error
    ctypedef struct fastpg_learner_t:
        fastpg_network_t *net
        const int32_t *mirror_rows
        float *g1
        float *g2
        uint8_t *marks
        int32_t *rows
        int32_t *sums
        int64_t row_count
        int32_t *grad_slots
        double *norms
        float *mean1
        float *mean2
        float *square1
        float *square2
        uint32_t *updated
        uint32_t updates
    ctypedef struct fastpg_list_span_t:
        pass
    ctypedef struct fastpg_batch_t:
        fastpg_learner_t *learner
        const fastpg_buffer_t *buffer
        const int32_t *samples
        int64_t count
        const float *advantages
        const float *returns
        fastpg_ppo_t loss
        float scale
        float *hidden
        float *partial_heads
        float *gradients
        fastpg_list_span_t *list_spans
        int32_t *lists
        fastpg_ppo_sums_t *loss_sums
        float learning_rate
        float decay
        float beta1
        float beta2
        float epsilon
        float factor

    int64_t fastpg_lay_out_lists(const fastpg_batch_t *)
    void fastpg_plan(fastpg_learner_t *)
    void fastpg_mark_task(void *, int64_t, int)
    void fastpg_list_task(void *, int64_t, int)
    void fastpg_prepare_task(void *, int64_t, int)
    void fastpg_forward_task(void *, int64_t, int)
    void fastpg_loss_task(void *, int64_t, int)
    void fastpg_backward_task(void *, int64_t, int)
    void fastpg_reduce_task(void *, int64_t, int)
    void fastpg_adam_task(void *, int64_t, int)
    void fastpg_rmsprop_task(void *, int64_t, int)
