/* A libFuzzer target: the input is a ROM's image, actions and switches. The core must neither crash
 * nor hang, and a console that draws must equal one that does not. */
#include "games.h"

#define MOST_FRAMES 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void play(a2600_t *s, const uint8_t *rom, uint32_t actions, int frames, uint8_t *screen) {
    tia_picture_t canvas, *picture = screen ? &canvas : 0;
    for (int frame = 0; frame < frames; frame++) {
        s->riot.swcha = (uint8_t)(actions >> frame);
        s->tia.fire[0] = (uint8_t)(actions >> frame << 7);
        if (picture) tia_begin_picture(picture, screen, 0);
        a2600_frame_interpreted(s, rom, picture);
        if (picture) tia_complete(picture);
    }
    tia_catch_up(&s->tia, TIA_WINDOW_END_CLOCKS, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t rom[A26_ROM_BYTES], screen[A26_SCREEN_BYTES];
    bytes_t in = {data, size};
    uint32_t how = take(&in), actions = take(&in) << 8 | take(&in);
    a2600_t drawn = {0}, undrawn;
    /* bytes from the input, over zeros or over Pong */
    for (int k = 0; k < A26_ROM_BYTES; k++) rom[k] = how & 1 ? GAMES[0].rom[k] : 0;
    if (how & 2) { /* at addresses from the input */
        while (in.left >= 3) {
            uint32_t at = take(&in) << 8 | take(&in);
            rom[at & 0xFFF] = (uint8_t)take(&in);
        }
    } else {
        for (int k = 0; in.left && k < A26_ROM_BYTES; k++) rom[k] = (uint8_t)take(&in);
    }
    if (how & 4) memcpy(rom + A26_ROM_BYTES / 2, rom, A26_ROM_BYTES / 2);
    if (!(how & 1)) {
        rom[0xFFC] = 0; /* the image is code from its first byte on, and what BRK leads to */
        rom[0xFFD] = rom[0xFFF] = 0xF0;
        rom[0xFFE] = (uint8_t)actions;
    }
    for (int n = 0; n < 4; n++)
        drawn.tia.paddle_cycles[n] = how & 8 ? 7783 : n == 0 ? TIA_PADDLE_OPEN : TIA_PADDLE_SHORTED;
    a2600_reset(&drawn, rom, (uint8_t)(25 + (how >> 4)));
    undrawn = drawn;
    play(&drawn, rom, actions, MOST_FRAMES, screen);
    play(&undrawn, rom, actions, MOST_FRAMES, 0);
    if (differ_console(&undrawn, &drawn)) abort();
    return 0;
}
