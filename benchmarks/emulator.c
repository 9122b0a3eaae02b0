/* Games on the bare core, in one of several ways: prints frames a second. benchmarks/emulator.py
 * builds it with a ROM's translation as ROM_H and RUN. Arguments: ROM file, paddles, swapped,
 * scored, way, summaries, seconds. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "envs/view80.h"
#include ROM_H

enum { SKIP = 4, GAMES = 64 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t draw(uint32_t *state) {
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

/* An agent step with its full picture, as the vector environment takes it. */
static void act_and_draw(a26_env_t *e, const a26_cartridge_t *c, uint32_t action, uint8_t *screen) {
    tia_picture_t picture;
    tia_begin_picture(&picture, screen, 0);
    a26_act_onto(e, c, action, SKIP, &picture);
    tia_complete(&picture);
}

/* An agent step with its view, as the vector environment and the rollout take it. */
static void act_and_view(a26_env_t *e, const a26_cartridge_t *c, uint32_t action,
                         const uint8_t *red, uint8_t *screen, uint8_t *view) {
    tia_picture_t picture;
    tia_begin_picture(&picture, screen, 1);
    a26_act_onto(e, c, action, SKIP, &picture);
    a26_view(&picture, red, 1, view);
}

int main(int count, char **words) {
    static const uint8_t actions[6] = {0, 1, 3, 4, 11, 12};
    static uint8_t rom[A26_ROM_BYTES], red[256], screen[A26_SCREEN_BYTES], view[A26_VIEW_PIXELS];
    static a26_env_t game[GAMES];
    static a2600_t post_reset_state;
    static uint32_t action[GAMES], held[GAMES];
    if (count != 8) return 2;
    FILE *file = fopen(words[1], "rb");
    if (!file) return 2;
    size_t bytes = fread(rom, 1, sizeof rom, file);
    fclose(file);
    if (bytes == 2048) memcpy(rom + 2048, rom, 2048);
    const char *way = words[5];
    a26_cartridge_t c = {.rom = rom,
                         .run = strcmp(way, "interpreter") ? RUN : 0,
                         .summaries = (uint32_t)strtoul(words[6], 0, 0)};
    c.game.paddles = words[2][0] == '1', c.game.swapped = words[3][0] == '1';
    c.game.pong = words[4][0] == '1', c.game.reset_frames = 12;
    for (int k = 0; k < 256; k++) red[k] = (uint8_t)k;
    int games = !strcmp(way, "games") ? GAMES : 1;
    a26_power_on(&game[0], &c);
    a26_reset_game(&game[0], &c, 0);
    if (c.game.pong) {
        a26_env_t other = game[0];
        a26_make_post_reset_state(&other, &c, &post_reset_state);
        c.post_reset_state = &post_reset_state;
    }
    for (int k = 1; k < games; k++) game[k] = game[0];
    uint32_t state = 88172645u;
    double seconds = atof(words[7]), began = now(), took = 0;
    int64_t frames = 0;
    while (took < seconds) {
        for (int step = 0; step < 256; step += games)
            for (int k = 0; k < games; k++) {
                if (!held[k]) held[k] = 1 + draw(&state) % 8, action[k] = actions[draw(&state) % 6];
                held[k]--;
                if (!strcmp(way, "picture"))
                    act_and_draw(&game[k], &c, action[k], screen);
                else if (!strcmp(way, "view") || games > 1)
                    act_and_view(&game[k], &c, action[k], red, screen, view);
                else
                    a26_act_onto(&game[k], &c, action[k], SKIP, 0);
                if (a26_over(&game[k])) a26_reset_game(&game[k], &c, 0);
                frames += SKIP;
            }
        took = now() - began;
    }
    printf("%.0f\n", (double)frames / took);
    return 0;
}
