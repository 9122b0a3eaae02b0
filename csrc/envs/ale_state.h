/* The state of one game under ALE's conventions, and the cartridge it is played on.
 *
 * a26_env_t is a struct by value without pointers: a copy of it is a saved game. a26_cartridge_t is
 * shared by all games of a ROM and never written by them. */
#ifndef A26_ALE_STATE_H
#define A26_ALE_STATE_H

#include "console/translated_rom.h"
#include "envs/mt19937.h"

#define A26_ALE_ACTIONS 18

/* What is known of a game. */
typedef struct {
    uint8_t paddles;         /* two paddles instead of two joysticks */
    uint8_t swapped;         /* player A's paddle is the second */
    uint8_t reset_frames;    /* frames with the reset switch held */
    uint8_t pong;            /* reward and end are known (games/pong_reward_and_end.h) */
    uint8_t draws_all_lines; /* in every frame */
} a26_game_t;

typedef struct {
    a2600_t console;
    a26_mt_t machine; /* RAM at power-on, timers at resets */
    a26_mt_t sticky;
    int32_t ohms[2];           /* of the paddles of players A and B */
    uint64_t sticky_threshold; /* a random word from here on takes the new action */
    int64_t frame_number, episode_frame_number;
    int32_t max_frames; /* an episode is truncated there; 0: never */
    int32_t score;
    uint8_t held; /* the action of the last frame */
    uint8_t terminal;
    uint8_t unused[6];
} a26_env_t;

typedef struct {
    const uint8_t *rom; /* (A26_ROM_BYTES,) */
    a2600_run_t run;    /* its translation, or 0: interpret */
    uint32_t summaries; /* bit per loop summary that the translation may use */
    a26_game_t game;
    const a2600_t *post_reset_state; /* from a26_make_post_reset_state, or 0: emulate each reset */
} a26_cartridge_t;

/* A build for one game may define this as its translation, or 0. The call is then direct: on a GPU
 * a call by pointer hides its callers' registers from the compiler. */
#ifndef A26_RUN_OF
#define A26_RUN_OF(cartridge) ((cartridge)->run)
#endif

#endif
