/* Pong's reward and end, from the console's RAM.
 *
 * The reward of a step is the change of the score, agent minus computer. The game ends when one of
 * them has 21 points. */
#ifndef A26_PONG_REWARD_AND_END_H
#define A26_PONG_REWARD_AND_END_H

#include "console/portability.h"

#define A26_PONG_COMPUTER_SCORE 13 /* RAM address $8D */
#define A26_PONG_AGENT_SCORE 14    /* RAM address $8E */
#define A26_PONG_WINNING_SCORE 21

A26_FN int32_t a26_pong_score(const uint8_t *ram) {
    return ram[A26_PONG_AGENT_SCORE] - ram[A26_PONG_COMPUTER_SCORE];
}

A26_FN int a26_pong_over(const uint8_t *ram) {
    return ram[A26_PONG_AGENT_SCORE] == A26_PONG_WINNING_SCORE
           || ram[A26_PONG_COMPUTER_SCORE] == A26_PONG_WINNING_SCORE;
}

/* True if the next point may be the last. */
A26_FN int a26_pong_near_end(const uint8_t *ram) {
    return ram[A26_PONG_AGENT_SCORE] >= A26_PONG_WINNING_SCORE - 1
           || ram[A26_PONG_COMPUTER_SCORE] >= A26_PONG_WINNING_SCORE - 1;
}

#endif
