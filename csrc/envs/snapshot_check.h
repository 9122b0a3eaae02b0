/* Validation of saved games that come from elsewhere.
 *
 *   a26_env_valid(e)  true if the state can be played */
#ifndef A26_SNAPSHOT_CHECK_H
#define A26_SNAPSHOT_CHECK_H

#include "envs/ale_game.h"

#define A26_LATEST_CYCLES (1 << 25) /* of a frame: above A2600_ENDLESS_CYCLES plus one frame */

A26_FN int a26_in_range(int64_t value, int64_t least, int64_t most) {
    return value >= least && value <= most;
}

/* A clock that is long past is no older than a2600_earlier_clock lets it be. */
A26_FN int a26_clock_valid(int32_t clock) {
    return a26_in_range(clock, A2600_LONG_AGO_CLOCKS - 3ll * A26_LATEST_CYCLES,
                        3ll * A26_LATEST_CYCLES);
}

A26_FN int a26_tia_valid(const tia_t *t) {
    int valid =
        a26_in_range(t->last_clock, TIA_WINDOW_BEGIN_CLOCKS, TIA_WINDOW_END_CLOCKS)
        && a26_clock_valid(t->touched_clock) && a26_clock_valid(t->hmove_clock)
        && (t->vsync_finish_clock == TIA_NEVER_CLOCKS || a26_clock_valid(t->vsync_finish_clock))
        && t->enabled < 1 << TIA_OBJECTS && t->cosmic_step < 4;
    for (int n = 0; n < 5; n++) valid = valid && t->pos[n] < A26_SCREEN_WIDTH && t->hm[n] < 16;
    return valid;
}

/* A valid state leads out of no picture and no table. It need not be one that a game can reach. No
 * value is wrong for the times that wrap: the timer's, a paddle's release and the start of an
 * endless frame. */
A26_SLOW int a26_env_valid(const a26_env_t *e) {
    const a2600_t *s = &e->console;
    uint8_t shift = s->riot.shift;
    int valid = a26_tia_valid(&s->tia) && (shift == 0 || shift == 3 || shift == 6 || shift == 10)
                && a26_in_range(s->cycle, 0, A26_LATEST_CYCLES) && s->error <= A2600_BAD_OPCODE
                && a26_in_range(e->score, -255, 255) && e->held < A26_ALE_ACTIONS
                && e->frame_number >= 0 && e->episode_frame_number >= 0;
    for (int n = 0; n < 2; n++)
        valid = valid && a26_in_range(e->ohms[n], A26_PADDLE_LEAST_OHMS, A26_PADDLE_MOST_OHMS);
    return valid;
}

#endif
