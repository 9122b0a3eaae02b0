"""C declarations of the emulator and the environments: csrc/envs/*.h."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "envs/vector_env.h" nogil:
    enum:
        A2600_LAYOUT_VERSION
        A26_GYM_LAYOUT_VERSION
        A26_RAM_BYTES
        A26_ROM_BYTES
        A26_SCREEN_BYTES
        FASTPG_MOST_THREADS

    ctypedef struct tia_picture_t:
        uint8_t same_as_row[210]
    ctypedef int32_t (*a2600_run_t)(a2600_t *, const uint8_t *, tia_picture_t *, uint32_t)
    ctypedef struct m6507_t:
        pass
    ctypedef struct a2600_t:
        uint8_t error
        uint8_t error_opcode
        uint8_t ram[128]
    ctypedef struct a26_mt_t:
        pass
    ctypedef struct a26_env_t:
        a2600_t console
        a26_mt_t sticky
        int32_t ohms[2]
        uint64_t sticky_threshold
        int64_t frame_number
        int64_t episode_frame_number
        int32_t max_frames
        int32_t score
        uint8_t held
        uint8_t terminal
    ctypedef struct a26_game_t:
        uint8_t paddles
        uint8_t swapped
        uint8_t reset_frames
        uint8_t pong
        uint8_t draws_all_lines
    ctypedef struct a26_cartridge_t:
        const uint8_t *rom
        a2600_run_t run
        uint32_t summaries
        a26_game_t game
        const a2600_t *post_reset_state
    ctypedef struct a26_pcg_t:
        uint64_t state[2]
        uint64_t increment[2]
        uint32_t spare
        uint32_t has_spare
    ctypedef struct a26_seed_t:
        a26_pcg_t random
        uint32_t sticky
    ctypedef struct a26_rules_t:
        int32_t skip_low
        int32_t skip_high
        int32_t noop_max
        int32_t max_frames
        uint64_t sticky_threshold
    ctypedef struct a26_gym_t:
        a26_env_t env
        a26_pcg_t random
        int64_t past_frames
    ctypedef struct fastpg_colours_t:
        uint8_t rgb[256][3]
        uint8_t gray[256]
        uint8_t red[256]
    ctypedef void (*fastpg_task_t)(void *, int64_t, int)
    ctypedef struct fastpg_dqn_game_t:
        pass
    ctypedef struct fastpg_pool_t:
        int threads
    ctypedef struct fastpg_vector_t:
        a26_cartridge_t cartridge
        const a26_env_t *power_on_state
        a26_rules_t rules
        const fastpg_colours_t *colours
        int64_t games
        a26_gym_t *game
        int kind
        int autoreset
        int64_t bytes
        const uint8_t *emulator_action
        uint8_t *scratch
        fastpg_dqn_game_t *dqn
        uint8_t *stacks
        const int64_t *actions
        uint8_t *observations
        uint8_t *final_observations
        double *rewards
        uint8_t *terminations
        uint8_t *truncations
        int64_t *infos
        int64_t *final_infos
        const uint8_t *chosen
        const uint8_t *seeded
        const a26_seed_t *seeds

    void a26_mt_seed(a26_mt_t *, uint32_t)
    uint64_t a26_sticky_threshold(float)
    void a26_power_on(a26_env_t *, const a26_cartridge_t *)
    int a26_over(const a26_env_t *)
    int a26_env_valid(const a26_env_t *)
    int a26_truncated(const a26_env_t *)
    void a26_gym_reset(
        a26_gym_t *, const a26_cartridge_t *, const a26_env_t *, const a26_rules_t *,
        const a26_seed_t *, tia_picture_t *)
    int32_t a26_act_onto(
        a26_env_t *, const a26_cartridge_t *, uint32_t, int32_t, tia_picture_t *)
    int32_t a26_gym_step(
        a26_gym_t *, const a26_cartridge_t *, const a26_rules_t *, uint32_t, tia_picture_t *)
    void tia_begin_picture(tia_picture_t *, uint8_t *, int)
    void tia_complete(const tia_picture_t *)
    void fastpg_find_same_rows(tia_picture_t *)
    void a26_reset_onto(a26_env_t *, const a26_cartridge_t *, tia_picture_t *)
    void a26_make_post_reset_state(a26_env_t *, const a26_cartridge_t *, a2600_t *)
    void fastpg_show_rgb(const fastpg_colours_t *, const tia_picture_t *, uint8_t *)
    void fastpg_show_gray(const fastpg_colours_t *, const tia_picture_t *, uint8_t *)
    int fastpg_pool_open(fastpg_pool_t *, int)
    void fastpg_pool_close(fastpg_pool_t *)
    int fastpg_pool_run(fastpg_pool_t *, fastpg_task_t, void *, int64_t)
    void fastpg_step_task(void *, int64_t, int)
    void fastpg_reset_task(void *, int64_t, int)


cdef extern from "envs/television.h" nogil:
    ctypedef struct a26_tv_t:
        uint8_t picture[2][33600]
        uint8_t pending[2]
        uint8_t front
    void a26_tv_reset(a26_tv_t *, a26_env_t *, const a26_cartridge_t *)
    int32_t a26_tv_act(a26_tv_t *, a26_env_t *, const a26_cartridge_t *, uint32_t, int32_t)
    const uint8_t *a26_tv_look(a26_tv_t *, const a26_cartridge_t *)
    void a26_tv_make_eager(a26_tv_t *, const a26_cartridge_t *)
