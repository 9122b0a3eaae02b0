/* The "dqn" picture: the brightest of up to three frames in gray, shrunk from 160x210 to 84x84 by
 * area.
 *
 *   fastpg_gray84(frame_a, frame_b, gray, out)             of two frames; frame_b may be 0
 *   fastpg_gray84_of_three(frame_a, frame_b, frame_c, ..)  of three frames
 *
 * Frames: (210, 160) palette indices. `gray`: (256,). `out`: (84, 84).
 *
 * The result equals AtariVectorEnv's, and OpenCV's INTER_AREA, in every bit. A target pixel is the
 * mean of the source pixels under it, weighted by their overlap, in float32: summed along the row
 * from left to right, then over rows from top to bottom, then rounded to nearest, ties to even.
 * Ties are common in pictures of few colours, and float32 errors decide them. So the order of the
 * sums and the rounding of each product matter: compile with -ffp-contract=off (-fmad=false on a
 * GPU), without fast-math.
 *
 * Rows of Atari pictures mostly repeat the row above, or differ from it in few places. Only what
 * differs is summed again. That changes no bit: a sum depends on its terms alone. */
#ifndef FASTPG_DQN_PICTURE_H
#define FASTPG_DQN_PICTURE_H

#include "console/geometry.h"
#include "console/portability.h"

#define FASTPG_DQN_WORDS (A26_SCREEN_WIDTH / 8) /* words of a source row */

/* A target column covers 160/84 = 40/21 source columns: three from `first` on, the third perhaps
 * with weight 0. Weights are fortieths. */
typedef struct {
    uint32_t first;
    float weight[3];
} fastpg_dqn_column_t;

/* clang-format off */
#define FASTPG_DQN_BEFORE(d) (40 * (d) % 21) /* 21sts of the first source column that lie before */
#define FASTPG_DQN_COLUMN(d) \
    {40 * (d) / 21, \
     {(float)(21 - FASTPG_DQN_BEFORE(d)) / 40.0f, \
      (float)(FASTPG_DQN_BEFORE(d) > 2 ? 21 : 19 + FASTPG_DQN_BEFORE(d)) / 40.0f, \
      (float)(FASTPG_DQN_BEFORE(d) > 2 ? FASTPG_DQN_BEFORE(d) - 2 : 0) / 40.0f}}
#define FASTPG_DQN_7(d) \
    FASTPG_DQN_COLUMN(d), FASTPG_DQN_COLUMN(d + 1), FASTPG_DQN_COLUMN(d + 2), \
        FASTPG_DQN_COLUMN(d + 3), FASTPG_DQN_COLUMN(d + 4), FASTPG_DQN_COLUMN(d + 5), \
        FASTPG_DQN_COLUMN(d + 6)
#define FASTPG_DQN_28(d) \
    FASTPG_DQN_7(d), FASTPG_DQN_7(d + 7), FASTPG_DQN_7(d + 14), FASTPG_DQN_7(d + 21)

A26_TABLE fastpg_dqn_column_t fastpg_dqn_columns[A26_DQN_SIDE] = {
    FASTPG_DQN_28(0), FASTPG_DQN_28(28), FASTPG_DQN_28(56)};
/* clang-format on */

/* The newest distinct source row, and the last four distinct rows summed along the row. A target
 * row covers three source rows; the fourth sum is in the making. */
typedef struct {
    float gray[A26_SCREEN_WIDTH + 1]; /* the last column reads one more, with weight 0 */
    float sums[4][A26_DQN_SIDE];
} fastpg_dqn_rows_t;

/* Bits of the words of a source row that differ from the row above in any frame; returns 0 if none
 * do. */
A26_FN int fastpg_dqn_differs(const uint8_t *const *frames, int count, int at, uint64_t *differs) {
    uint64_t any = 0;
    for (int k = 0; k < FASTPG_DQN_WORDS; k++) {
        differs[k] = 0;
        for (int n = 0; n < count; n++) {
            uint64_t here, above;
            A26_COPY(&here, frames[n] + at + 8 * k, 8);
            A26_COPY(&above, frames[n] + at + 8 * k - A26_SCREEN_WIDTH, 8);
            differs[k] |= here ^ above;
        }
        any |= differs[k];
    }
    return any != 0;
}

/* Sum along a source row, where its words differ. */
A26_FN void fastpg_dqn_sum_row(const uint8_t *const *frames, int count, int at,
                               const uint64_t *differs, const uint8_t *gray, float *row,
                               float *sums) {
    for (int k = 0; k < FASTPG_DQN_WORDS; k++) {
        if (!differs[k]) continue;
        for (int x = 8 * k; x < 8 * k + 8; x++) {
            uint8_t most = gray[frames[0][at + x]];
            for (int n = 1; n < count; n++) {
                uint8_t other = gray[frames[n][at + x]];
                most = other > most ? other : most;
            }
            row[x] = (float)most;
        }
        /* The columns that touch these pixels: 8 pixels are 4 1/5 columns. A column that the next
         * word touches too is summed again if that word differs. */
        for (int d = 21 * k / 5; d < (21 * (k + 1) + 4) / 5; d++) {
            const fastpg_dqn_column_t *c = &fastpg_dqn_columns[d];
            const float *first = row + c->first;
            sums[d] = first[0] * c->weight[0] + first[1] * c->weight[1] + first[2] * c->weight[2];
        }
    }
}

/* A target row from the sums of its three source rows. */
A26_FN void fastpg_dqn_target_row(const float *top, float top_weight, const float *middle,
                                  const float *bottom, float bottom_weight, uint8_t *out) {
    for (int d = 0; d < A26_DQN_SIDE; d++) {
        float sum = top[d] * top_weight + middle[d] * 0.4f + bottom[d] * bottom_weight;
        float whole = sum + 12582912.0f; /* from 2^23 on floats are integers: the addition rounds */
        uint32_t bits;
        A26_COPY(&bits, &whole, 4);
        out[d] = (uint8_t)bits;
    }
}

/* Add a source row after `run` distinct rows; returns how many distinct rows there are then. */
A26_FN uint32_t fastpg_dqn_take_row(fastpg_dqn_rows_t *rows, uint32_t run,
                                    const uint8_t *const *frames, int count, int row,
                                    const uint8_t *gray) {
    const int at = row * A26_SCREEN_WIDTH;
    uint64_t differs[FASTPG_DQN_WORDS];
    if (row == 0) {
        for (int k = 0; k < FASTPG_DQN_WORDS; k++) differs[k] = 1;
    } else {
        if (!fastpg_dqn_differs(frames, count, at, differs)) return run;
        A26_COPY(rows->sums[(run + 1) & 3], rows->sums[run & 3], sizeof rows->sums[0]);
    }
    fastpg_dqn_sum_row(frames, count, at, differs, gray, rows->gray, rows->sums[(run + 1) & 3]);
    return run + 1;
}

A26_FN void fastpg_dqn_shrink(const uint8_t *const *frames, int count, const uint8_t *gray,
                              uint8_t *out) {
    fastpg_dqn_rows_t rows;
    uint32_t run = 0, run_of[4], begun[2] = {0, 0};
    int row = 0;
    for (int x = 0; x <= A26_SCREEN_WIDTH; x++) /* finite, also where the weight is 0 */
        rows.gray[x] = 0.0f;
    for (int d = 0; d < A26_DQN_SIDE; d++) {
        const int odd = d & 1,
                  top = 5 * (d >> 1) + 2 * odd; /* two target rows cover five source rows */
        for (; row < top + 3; row++)
            run_of[row & 3] = run = fastpg_dqn_take_row(&rows, run, frames, count, row, gray);
        const uint32_t first = run_of[top & 3], last = run_of[(top + 2) & 3];
        uint8_t *target = out + d * A26_DQN_SIDE;
        if (last == begun[odd]) { /* all equal since the target row two above began */
            A26_COPY(target, target - 2 * A26_DQN_SIDE, A26_DQN_SIDE);
            continue;
        }
        begun[odd] = first;
        fastpg_dqn_target_row(rows.sums[first & 3], odd ? 0.2f : 0.4f,
                              rows.sums[run_of[(top + 1) & 3] & 3], rows.sums[last & 3],
                              odd ? 0.4f : 0.2f, target);
    }
}

/* The ordinary observation: of the last two frames of a step, or of one frame after a reset. */
A26_SLOW void fastpg_gray84(const uint8_t *frame_a, const uint8_t *frame_b,
                            const uint8_t *gray_table256, uint8_t *out84x84) {
    const uint8_t *frames[2] = {frame_a, frame_b};
    if (frame_b)
        fastpg_dqn_shrink(frames, 2, gray_table256, out84x84);
    else
        fastpg_dqn_shrink(frames, 1, gray_table256, out84x84);
}

/* The observation of a step whose last frame ended the game. */
A26_SLOW void fastpg_gray84_of_three(const uint8_t *frame_a, const uint8_t *frame_b,
                                     const uint8_t *frame_c, const uint8_t *gray_table256,
                                     uint8_t *out84x84) {
    const uint8_t *frames[3] = {frame_a, frame_b, frame_c};
    fastpg_dqn_shrink(frames, 3, gray_table256, out84x84);
}

#endif
