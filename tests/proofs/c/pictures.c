/* Print digests of what games, and any bytes as a ROM, show: pictures FRAMES IMAGES. Builds with
 * and without vector instructions, with and without labels as values, must print the same. */
#include "games.h"
#include "view_canvas.h"

static uint64_t digest(uint64_t hash, const uint8_t *data, size_t bytes) { /* FNV-1a */
    for (size_t k = 0; k < bytes; k++) hash = (hash ^ data[k]) * 0x100000001B3ull;
    return hash;
}

static uint64_t play(const a26_cartridge_t *cartridge, uint32_t seed, int frames) {
    static uint8_t screen[A26_SCREEN_BYTES], view[A26_VIEW_PIXELS], red[256];
    static a26_canvas_t canvas;
    static a26_env_t env;
    uint64_t hash = 0xCBF29CE484222325ull;
    for (int k = 0; k < 256; k++) red[k] = (uint8_t)((k >> 3) * 9); /* some share a value */
    memset(&canvas, 0, sizeof(canvas));
    memset(&env, 0, sizeof(env));
    env.sticky_threshold = a26_sticky_threshold(0.25f);
    a26_load(&env, cartridge, seed, screen);
    for (int frame = 0; frame < frames; frame++) {
        uint32_t action = next_random(&seed) % A26_ALE_ACTIONS;
        a26_env_t other = env;
        a26_act(&env, cartridge, action, 2, screen);
        a26_act_view(&other, cartridge, action, 2, red, frame & 1, &canvas, view);
        hash = digest(digest(hash, screen, sizeof(screen)), view, sizeof(view));
        hash = digest(hash, env.console.ram, sizeof(env.console.ram));
        hash = digest(hash, other.console.ram, sizeof(other.console.ram));
        if (a26_over(&env)) a26_reset_game(&env, cartridge, screen);
    }
    return hash;
}

int main(int count, char **words) {
    static uint8_t rom[A26_ROM_BYTES];
    int frames = count > 1 ? atoi(words[1]) : 300, images = count > 2 ? atoi(words[2]) : 200;
    for (int k = 0; k < COUNT(GAMES); k++)
        for (int by_hand = 0; by_hand < 2; by_hand++) {
            a26_cartridge_t cartridge =
                cartridge_of(&GAMES[k], by_hand ? 0 : GAMES[k].run, ALL_SUMMARIES);
            printf("%s %016llx\n", GAMES[k].name, (unsigned long long)play(&cartridge, 5, frames));
        }
    for (int k = 1; k <= images; k++) {
        uint32_t seed = (uint32_t)k * 2654435761u | 1u;
        make_image(rom, &seed);
        const a26_cartridge_t cartridge = {rom, 0, 0, {0, 0, 8, 0, 0}, 0};
        printf("image %d %016llx\n", k, (unsigned long long)play(&cartridge, seed, 8));
    }
    return 0;
}
