/* Playing with the two-layer policy: view, sparse pixels, forward, action, emulator, step after step. The
 * functions are those of the Cython backend and of the environments, so the bits are theirs. */
#ifndef FASTPG_PLAY_H
#define FASTPG_PLAY_H

#include <time.h>

#include "a26_gym.h"
#include "a26_view.h"
#include "fastpg_policy.h"
#include "fastpg_rows.h"

#define FASTPG_MOST_OUTPUTS 18

typedef struct {
    const a26_cartridge_t *cartridge;
    const a26_env_t *powered; /* what a26_power_on gives */
    a26_rules_t rules;
    const uint8_t *red;  /* of each palette index */
    int find_background; /* as preprocess_palette */
    int stacked;         /* the network sees two views instead of their difference */
    uint64_t seed;       /* of the actions */
    int64_t hidden, outputs;
    const float *w1, *w2; /* (D, hidden), (outputs, hidden) */
    uint8_t emulator_action[FASTPG_MOST_OUTPUTS]; /* of each action sampled */
} fastpg_player_t;

/* An episode's last two views, and which of them is the newer. */
typedef struct {
    uint8_t view[2][A26_VIEW_BYTES];
    uint8_t newer;
} fastpg_views_t;

/* What is kept of the steps that were played: arrays of `room` pixels and `most` steps. */
typedef struct {
    int64_t room, most;
    uint16_t *indices;
    int8_t *signs;
    int64_t *offsets; /* most + 1 */
    uint8_t *actions;
    float *rewards;
    int64_t steps;
    int over; /* the episode ended with the last of them */
    double seconds_forward; /* of them, choosing actions */
} fastpg_record_t;

static double fastpg_seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint8_t fastpg_sample(const float *probabilities, int64_t outputs, float uniform) {
    if (outputs == 1) return uniform < probabilities[0];
    float cumulative = 0;
    uint8_t action = 0;
    for (int64_t a = 0; a < outputs - 1; a++) {
        cumulative += probabilities[a];
        action += uniform >= cumulative;
    }
    return action;
}

/* Record what the network sees, and choose. */
static uint8_t fastpg_choose(const fastpg_player_t *p, const fastpg_views_t *views, uint64_t episode,
                             uint64_t step, float *hidden, fastpg_record_t *to) {
    int64_t begin = to->offsets[to->steps], ends[2];
    uint16_t *indices = to->indices + begin;
    int8_t *signs = to->signs + begin;
    const uint8_t *newer = views->view[views->newer & 1], *older = views->view[~views->newer & 1];
    if (p->stacked)
        fastpg_frame_stack(newer, older, 1, A26_VIEW_BYTES, indices, signs, to->room - begin, ends);
    else
        fastpg_frame_difference(newer, older, 1, A26_VIEW_BYTES, indices, signs, to->room - begin, ends);
    float probabilities[FASTPG_MOST_OUTPUTS], uniform;
    fastpg_forward(indices, signs, ends, p->w1, p->w2, 1, p->hidden, p->outputs, hidden, probabilities);
    fastpg_philox(&episode, &step, p->seed, 1, &uniform);
    to->offsets[to->steps + 1] = begin + ends[1];
    return to->actions[to->steps] = fastpg_sample(probabilities, p->outputs, uniform);
}

/* Play from an episode's step `first` (0: begin it) to its end, or until the record is full. `pixels`: a
 * picture's scratch memory; `hidden` numbers for the hidden layer. */
static void fastpg_play(const fastpg_player_t *p, a26_gym_t *g, uint64_t episode, uint64_t first,
                        fastpg_views_t *views, uint8_t *pixels, float *hidden, fastpg_record_t *to) {
    const int64_t most_pixels = (p->stacked ? 2 : 1) * A26_VIEW_BYTES;
    tia_picture_t picture;
    to->steps = to->over = 0;
    to->offsets[0] = 0;
    to->seconds_forward = 0;
    if (first == 0) {
        tia_begin_picture(&picture, pixels, 1);
        a26_gym_reset(g, p->cartridge, p->powered, &p->rules, 0, &picture);
        views->newer = 0;
        a26_view(&picture, p->red, p->find_background, views->view[0]);
        A26_COPY(views->view[1], views->view[0], A26_VIEW_BYTES); /* the first has itself before it */
    }
    while (!to->over && to->steps < to->most && to->room - to->offsets[to->steps] >= most_pixels) {
        double began = fastpg_seconds();
        uint8_t action = fastpg_choose(p, views, episode, first + (uint64_t)to->steps, hidden, to);
        to->seconds_forward += fastpg_seconds() - began;
        tia_begin_picture(&picture, pixels, 1);
        int32_t reward = a26_gym_step(g, p->cartridge, &p->rules, p->emulator_action[action], &picture);
        views->newer ^= 1;
        a26_view(&picture, p->red, p->find_background, views->view[views->newer & 1]);
        to->rewards[to->steps++] = (float)reward;
        to->over = a26_over(&g->env);
    }
}

#endif
