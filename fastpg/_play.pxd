"""temporary"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint64_t

from fastpg._core cimport a26_cartridge_t, a26_env_t, a26_gym_t, a26_rules_t

cdef extern from "fastpg_play.h" nogil:
    enum:
        FASTPG_MOST_OUTPUTS
        A26_VIEW_BYTES

    ctypedef struct fastpg_player_t:
        const a26_cartridge_t *cartridge
        const a26_env_t *powered
        a26_rules_t rules
        const uint8_t *red
        int find_background
        int stacked
        uint64_t seed
        int64_t hidden
        int64_t outputs
        const float *w1
        const float *w2
        uint8_t emulator_action[18]
    ctypedef struct fastpg_views_t:
        uint8_t view[2][6400]
        uint8_t newer
    ctypedef struct fastpg_record_t:
        int64_t room
        int64_t most
        uint16_t *indices
        int8_t *signs
        int64_t *offsets
        uint8_t *actions
        float *rewards
        int64_t steps
        int over
        double seconds_forward

    void fastpg_play(
        const fastpg_player_t *, a26_gym_t *, uint64_t, uint64_t, fastpg_views_t *, uint8_t *,
        float *, fastpg_record_t *)


