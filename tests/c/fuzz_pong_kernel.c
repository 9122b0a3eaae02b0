/* Pong's summarised translation, its plain translation and the interpreter, drawn and undrawn, from
 * states that the game itself may never reach: any RAM, registers, moments.
 *
 * A libFuzzer target; with -DSTANDALONE a program: fuzz_pong_kernel CASES [FIRST_SEED]. */
#include "games.h"

#define BASES 4
#define INPUT_BYTES 320

static const uint8_t *const ROM = GAMES[0].rom;
static a2600_t bases[BASES]; /* of real play */

typedef struct {
    const char *name;
    a2600_run_t run;
    int draw;
} engine_t;

static const engine_t engines[] = {
    {"interpreter, drawn", 0, 1}, /* what the others are compared with */
    {"interpreter, undrawn", 0, 0},
    {"plain translation, drawn", a2600_run_pong_plain, 1},
    {"plain translation, undrawn", a2600_run_pong_plain, 0},
    {"summarised translation, drawn", a2600_run_pong, 1},
    {"summarised translation, undrawn", a2600_run_pong, 0},
};

static void make_bases(void) {
    static a26_env_t env;
    const a26_cartridge_t cartridge = {ROM, 0, GAMES[0].console, 0};
    const int frames[BASES] = {0, 37, 200, 500};
    uint32_t seed = 1;
    a26_load(&env, &cartridge, 0, 0);
    for (int k = 0; k < BASES; k++) {
        for (int frame = 0; frame < frames[k]; frame++)
            a26_act(&env, &cartridge, next_random(&seed) % A26_ALE_ACTIONS, 1, 0);
        bases[k] = env.console;
    }
}

/* All of the RAM, or some bytes of it: half of them those that the kernel works by. */
static void change_ram(a2600_t *s, bytes_t *in, uint32_t all) {
    static const uint8_t kernel[] = {0x80, 0x81, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA5, 0xA6, 0xA7, 0xA8,
                                     0xB2, 0xB3, 0xB4, 0xB5, 0xB6};
    if (all)
        for (int k = 0; k < 128; k++)
            s->ram[k] = (uint8_t)take(in);
    for (uint32_t left = take(in) & 31; left; left--) {
        uint32_t at = take(in);
        at = at & 0x80 ? at : kernel[at % COUNT(kernel)];
        s->ram[at & 0x7F] = (uint8_t)take(in);
    }
}

/* Writes to any registers, and what only writes at rare moments leave behind. */
static void change_tia(a2600_t *s, bytes_t *in) {
    uint32_t marks = take(in);
    for (uint32_t left = take(in) & 31; left; left--) {
        uint32_t reg = take(in) & 0x3F, value = take(in);
        s->cycle += (int32_t)(take(in) & 31);
        if (reg != 2)
            a2600_write_tia(s, reg, (uint8_t)value, s->cycle, 0);
    }
    if (marks & 1)
        s->tia.cosmic = 1;
    if (marks & 2)
        s->tia.hmove_blank = 1;
    if (marks & 4)
        s->tia.suppressed[0] = s->tia.suppressed[1] = 1;
    if (marks & 8)
        s->tia.reflected ^= 1;
    if (marks & 16)
        s->tia.vblank = 0;
    s->tia.dirty = 0x3F;
}

/* A state from bytes. Whatever they are, it is one that writes to the chips could have made. */
static a2600_t make_state(bytes_t *in, int *frames, int *at_once) {
    static const uint16_t starts[] = {0xF5D0, 0xF5D0, 0xF585, 0xF41B};
    uint32_t how = take(in);
    a2600_t s = bases[how & (BASES - 1)];
    a2600_begin_frame(&s);
    *frames = 1 + (how >> 2 & 1);
    *at_once = how >> 3 & 1; /* not from the frame's start: from some moment of it */
    change_ram(&s, in, how & 0x10);
    if (how & 0x20)
        change_tia(&s, in);
    if (how & 0x40) {
        uint32_t flags = take(in);
        s.cpu.a = (uint8_t)take(in);
        s.cpu.x = (uint8_t)take(in);
        s.cpu.y = (uint8_t)take(in);
        s.cpu.sp = (uint8_t)take(in);
        m6507_set_flags(&s.cpu, (uint8_t)flags);
        for (int n = 0; n < 4; n++) {
            uint32_t charge = take(in);
            s.tia.paddle_cycles[n] = charge == 255 ? TIA_PADDLE_SHORTED
                : charge == 254 ? TIA_PADDLE_OPEN : charge * 80;
        }
    }
    if (how & 0x80)
        s.cpu.pc = (uint16_t)(0xF000 | (take(in) << 8 & 0xF00) | take(in));
    else if (*at_once)
        s.cpu.pc = starts[take(in) & 3];
    s.frame_over = 0;
    if (*at_once) {
        s.cycle = (int32_t)((take(in) << 8 | take(in)) % (A2600_ORDINARY_LINES * A2600_LINE_CYCLES));
        s.tia.last_clock = s.tia.touched_clock = TIA_WINDOW_BEGIN_CLOCKS;
        tia_catch_up(&s.tia, 3 * s.cycle, 0);
    }
    return s;
}

/* The rest of a frame that is under way; a2600_frame begins one. */
static void rest_of_frame(a2600_t *s, uint8_t *screen, a2600_run_t run) {
    a2600_t before = *s;
    int32_t why;
    if (run) {
        while ((why = run(s, ROM, screen)) == A2600_UNKNOWN_PC) {
            a2600_interpret(s, ROM, screen, 1);
            if (s->frame_over || s->cycle >= A2600_ORDINARY_LINES * A2600_LINE_CYCLES)
                break;
        }
        if (why == A2600_FRAME_OVER || (s->frame_over && !s->error))
            return;
        *s = before;
    }
    s->unfinished = 1;
    a2600_frame_interpreted(s, ROM, screen);
}

static void play(a2600_t *s, const engine_t *engine, int frames, int at_once, uint8_t *screen) {
    screen = engine->draw ? screen : 0;
    for (int frame = 0; frame < frames; frame++) {
        if (at_once && frame == 0)
            rest_of_frame(s, screen, engine->run);
        else if (engine->run)
            a2600_frame(s, ROM, screen, engine->run);
        else
            a2600_frame_interpreted(s, ROM, screen);
    }
    tia_catch_up(&s->tia, TIA_WINDOW_END_CLOCKS, screen);
}

static void show(const a2600_t *s, int frames, int at_once) {
    fprintf(stderr, "from pc %04X a %02X x %02X y %02X sp %02X flags %02X, cycle %d, %d frames%s\n", s->cpu.pc,
            s->cpu.a, s->cpu.x, s->cpu.y, s->cpu.sp, m6507_flags(&s->cpu), s->cycle, frames,
            at_once ? ", the first from its middle" : "");
    const tia_t *t = &s->tia;
    fprintf(stderr, "vblank %02X nusiz %02X %02X ctrlpf %02X vdel %d %d %d resmp %d %d cosmic %d latches %04X "
            "pos %d %d %d %d %d paddles %d %d %d %d", t->vblank, t->nusiz[0], t->nusiz[1], t->ctrlpf, t->vdelp[0],
            t->vdelp[1], t->vdelbl, t->resmp[0], t->resmp[1], t->cosmic, t->collisions, t->pos[0], t->pos[1],
            t->pos[2], t->pos[3], t->pos[4], (int)t->paddle_cycles[0], (int)t->paddle_cycles[1],
            (int)t->paddle_cycles[2], (int)t->paddle_cycles[3]);
    for (int k = 0; k < 128; k++)
        fprintf(stderr, "%s%02X", k % 16 ? " " : "\n", s->ram[k]);
    fprintf(stderr, "\n");
}

/* Returns how many engines differ from the first. */
static int run_case(const uint8_t *data, size_t size) {
    static uint8_t screens[2][A2600_SCREEN_BYTES];
    bytes_t in = {data, size};
    int frames, at_once, different = 0;
    const a2600_t start = make_state(&in, &frames, &at_once);
    a2600_t expected = start;
    memset(screens, 0, sizeof(screens));
    play(&expected, &engines[0], frames, at_once, screens[0]);
    for (int k = 1; k < COUNT(engines); k++) {
        a2600_t got = start;
        memset(screens[1], 0, sizeof(screens[1]));
        play(&got, &engines[k], frames, at_once, screens[1]);
        int found = differ_console(&got, &expected);
        if (engines[k].draw)
            found += differ_bytes("screen", screens[1], screens[0], sizeof(screens[0]));
        if (found)
            fprintf(stderr, "^ %s\n", engines[k].name);
        different += found != 0;
    }
    if (different)
        show(&start, frames, at_once);
    return different;
}

#ifdef STANDALONE
int main(int count, char **words) {
    uint32_t cases = count > 1 ? (uint32_t)atol(words[1]) : 1000, first = count > 2 ? (uint32_t)atol(words[2]) : 1;
    uint32_t failed = 0;
    make_bases();
    for (uint32_t seed = first; seed < first + cases; seed++) {
        uint8_t data[INPUT_BYTES];
        uint32_t random = seed * 2654435761u | 1u;
        for (int k = 0; k < INPUT_BYTES; k++)
            data[k] = (uint8_t)next_random(&random);
        if (run_case(data, sizeof(data))) {
            fprintf(stderr, "^^ seed %u\n\n", seed);
            failed++;
        }
    }
    printf("%u cases of Pong's kernel, %u with differences\n", cases, failed);
    return failed != 0;
}
#else
int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***words) {
    (void)count, (void)words;
    make_bases();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (run_case(data, size))
        abort();
    return 0;
}
#endif
