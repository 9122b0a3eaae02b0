/* The console core at work, to be built with sanitizers: sanitize FRAMES IMAGES.
 *
 * Games by interpretation and by translation, drawn and not, which must agree. Then any bytes as a
 * ROM. Then what only a very old console meets. */
#include "games.h"

static uint8_t screens[3][A26_SCREEN_BYTES];
static a26_env_t envs[3];

/* The interpreter drawn, the translation drawn now and then, the translation undrawn. */
static int play_game(const game_t *game, float sticky, int frames) {
    const a26_cartridge_t by_hand = cartridge_of(game, 0, 0);
    const a26_cartridge_t translated = cartridge_of(game, game->run, ALL_SUMMARIES);
    uint32_t seed = 12345;
    for (int k = 0; k < 3; k++) {
        envs[k].sticky_threshold = a26_sticky_threshold(sticky);
        envs[k].max_frames = frames / 3;
        a26_load(&envs[k], k ? &translated : &by_hand, 7, k < 2 ? screens[k] : 0);
    }
    for (int frame = 0; frame < frames;) {
        uint32_t action = next_random(&seed) % A26_ALE_ACTIONS;
        int32_t skip = 1 + (int32_t)(next_random(&seed) % 4);
        int draw = next_random(&seed) % 4 == 0;
        int32_t reward = a26_act(&envs[0], &by_hand, action, skip, screens[0]);
        int different =
            differ("reward", a26_act(&envs[1], &translated, action, skip, draw ? screens[1] : 0),
                   reward)
            + differ("reward", a26_act(&envs[2], &translated, action, skip, 0), reward);
        int over = a26_over(&envs[0]);
        frame += skip;
        for (int k = 0; k < 3; k++) tia_catch_up(&envs[k].console.tia, TIA_WINDOW_END_CLOCKS, 0);
        for (int k = 1; k < 3; k++) different += differ_console(&envs[k].console, &envs[0].console);
        if (draw) different += differ_bytes("screen", screens[1], screens[0], A26_SCREEN_BYTES);
        if (different) {
            fprintf(stderr, "%s: frame %d\n", game->name, frame);
            return 1;
        }
        if (over || next_random(&seed) % 1000 == 0)
            for (int k = 0; k < 3; k++)
                a26_reset_game(&envs[k], k ? &translated : &by_hand, k < 2 ? screens[k] : 0);
    }
    return 0;
}

static void play_image(uint32_t number) {
    static uint8_t rom[A26_ROM_BYTES];
    uint32_t seed = number * 2654435761u | 1u;
    make_image(rom, &seed);
    const a26_cartridge_t cartridge = {
        rom, 0, 0, {seed & 1, seed >> 1 & 1, 8, seed >> 2 & 1, 0}, 0};
    envs[0].sticky_threshold = a26_sticky_threshold(seed & 8 ? 0.25f : 0.0f);
    envs[0].max_frames = 40;
    a26_load(&envs[0], &cartridge, number, number % 2 ? screens[0] : 0);
    for (int k = 0; k < 8; k++)
        a26_act(&envs[0], &cartridge, next_random(&seed) % A26_ALE_ACTIONS, 2,
                k % 2 ? screens[0] : 0);
}

/* Times that no write renews grow until a signed count would overflow. */
static void grow_old(void) {
    static uint8_t rom[A26_ROM_BYTES]; /* frames of 250 lines: no HMOVE, no timer, no paddle */
    static const uint8_t program[] = {0xA9, 2,    0x85, 0,    0xA2, 250,  0x85, 2,
                                      0xCA, 0xD0, 0xFB, 0xA9, 0,    0x85, 0, /* */
                                      0xAD, 0x84, 0x02, 0xA5, 8,    0x4C, 0,    0xF0};
    static const uint8_t endless[] = {0xAD, 0x84, 0x02, 0xA5, 8, 0x4C, 0, 0xF0};
    a2600_t s = {0};
    memcpy(rom, program, sizeof(program));
    rom[0xFFD] = 0xF0;
    a2600_reset(&s, rom, 25);
    for (int frame = 0; frame < 40000; frame++) a2600_frame_interpreted(&s, rom, 0);
    for (int step = 0; step < 5; step++) { /* ages that would take hours */
        int32_t age = 0x70000000;
        riot_rebase(&s.riot, age);
        s.tia.dump_release_cycle = (int32_t)((uint32_t)s.tia.dump_release_cycle - (uint32_t)age);
        a2600_frame_interpreted(&s, rom, 0);
    }
    memcpy(rom, endless, sizeof(endless));
    a2600_reset(&s, rom, 25);
    for (int frame = 0; frame < 10; frame++) {
        tia_picture_t picture;
        tia_begin_picture(&picture, screens[0], 0);
        a2600_frame_interpreted(&s, rom, frame % 2 ? &picture : 0);
        s.cycle += A2600_ENDLESS_CYCLES / 3; /* as if many more calls had been made */
    }
    if (s.cycle > 2 * A2600_ENDLESS_CYCLES || !s.unfinished) abort();
}

int main(int count, char **words) {
    int frames = count > 1 ? atoi(words[1]) : 3000, images = count > 2 ? atoi(words[2]) : 300,
        failed = 0;
    for (int k = 0; k < COUNT(GAMES); k++)
        for (int sticky = 0; sticky < 2; sticky++)
            failed += play_game(&GAMES[k], sticky ? 0.25f : 0.0f, k ? frames : 3 * frames);
    printf("%d games, %d frames and more of each, twice\n", COUNT(GAMES), frames);
    for (int k = 1; k <= images; k++) play_image((uint32_t)k);
    printf("%d images of other bytes\n", images);
    grow_old();
    printf("old age\n%s\n", failed ? "FAILED" : "passed");
    return failed != 0;
}
