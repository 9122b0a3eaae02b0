/* Pong's translation with each of its loop summaries, all and none, and the interpreter: drawn,
 * undrawn and as the 80x80 view, from states that the game may never reach: any RAM, registers,
 * moments.
 *
 * A libFuzzer target; with -DSTANDALONE a program: fuzz_pong_kernel CASES [FIRST_SEED]. */
#include "games.h"
#include "view_canvas.h"

#define BASES 4
#define INPUT_BYTES 320

static const uint8_t *const ROM = GAMES[0].rom;
static a2600_t bases[BASES]; /* from real games */

enum { DRAWN, UNDRAWN, VIEWED, WAYS };

static const char *const way_names[WAYS] = {"drawn", "undrawn", "viewed"};

typedef struct {
    const char *name;
    a2600_run_t run;
    uint32_t summaries;
} engine_t;

static const engine_t engines[] = {
    {"interpreter", 0, 0}, /* the reference */
    {"plain translation", a2600_run_pong, 0},
    {"kernel summary", a2600_run_pong, 1},
    {"score summary", a2600_run_pong, 2},
    {"empty lines' summary", a2600_run_pong, 4},
    {"all summaries", a2600_run_pong, 7},
};

/* What a case shows, with backgrounds found and with the fixed ones. */
typedef struct {
    uint8_t screen[A26_SCREEN_BYTES], view[2][A26_VIEW_PIXELS];
} shown_t;

static void make_bases(void) {
    static a26_env_t env;
    const a26_cartridge_t cartridge = cartridge_of(&GAMES[0], 0, 0);
    const int frames[BASES] = {0, 37, 200, 500};
    uint32_t seed = 1;
    a26_load(&env, &cartridge, 0, 0);
    for (int k = 0; k < BASES; k++) {
        for (int frame = 0; frame < frames[k]; frame++)
            a26_act(&env, &cartridge, next_random(&seed) % A26_ALE_ACTIONS, 1, 0);
        bases[k] = env.console;
    }
}

/* Change all of the RAM, or some bytes, half of them those that the display kernel reads. */
static void change_ram(a2600_t *s, bytes_t *in, uint32_t all) {
    static const uint8_t kernel[] = {0x80, 0x81, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA5,
                                     0xA6, 0xA7, 0xA8, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6};
    if (all)
        for (int k = 0; k < 128; k++) s->ram[k] = (uint8_t)take(in);
    for (uint32_t left = take(in) & 31; left; left--) {
        uint32_t at = take(in);
        at = at & 0x80 ? at : kernel[at % COUNT(kernel)];
        s->ram[at & 0x7F] = (uint8_t)take(in);
    }
}

/* Write to any registers, and set what only writes at rare moments leave behind. */
static void change_tia(a2600_t *s, bytes_t *in) {
    uint32_t marks = take(in);
    for (uint32_t left = take(in) & 31; left; left--) {
        uint32_t reg = take(in) & 0x3F, value = take(in);
        s->cycle += (int32_t)(take(in) & 31);
        if (reg != 2) a2600_write_tia(s, reg, (uint8_t)value, s->cycle, 0);
    }
    s->tia.pending |= (uint8_t)((marks & 1 ? TIA_COSMIC : 0) | (marks & 2 ? TIA_HMOVE_BLANK : 0)
                                | (marks & 4 ? 3u * TIA_SUPPRESSED : 0));
    if (marks & 8) {
        s->tia.reflected ^= 1;
        s->tia.pending ^= TIA_REFLECTION;
    }
    if (marks & 16) s->tia.vblank = 0;
    s->tia.dirty = 0xFF;
}

/* Make a state from any bytes: one that writes to the chips could have made. */
static a2600_t make_state(bytes_t *in, int *frames, int *at_once) {
    static const uint16_t starts[] = {0xF5D0, 0xF5D0, 0xF585, 0xF41B};
    uint32_t how = take(in);
    a2600_t s = bases[how & (BASES - 1)];
    a2600_begin_frame(&s);
    *frames = 1 + (how >> 2 & 1);
    *at_once = how >> 3 & 1; /* start within the frame */
    change_ram(&s, in, how & 0x10);
    if (how & 0x20) change_tia(&s, in);
    if (how & 0x40) {
        uint32_t flags = take(in);
        s.cpu.a = (uint8_t)take(in);
        s.cpu.x = (uint8_t)take(in);
        s.cpu.y = (uint8_t)take(in);
        s.cpu.sp = (uint8_t)take(in);
        m6507_set_flags(&s.cpu, (uint8_t)flags);
        for (int n = 0; n < 4; n++) {
            uint32_t charge = take(in);
            s.tia.paddle_cycles[n] = charge == 255   ? TIA_PADDLE_SHORTED
                                     : charge == 254 ? TIA_PADDLE_OPEN
                                                     : charge * 80;
        }
    }
    if (how & 0x80)
        s.cpu.pc = (uint16_t)(0xF000 | (take(in) << 8 & 0xF00) | take(in));
    else if (*at_once)
        s.cpu.pc = starts[take(in) & 3];
    s.frame_over = 0;
    if (*at_once) {
        s.cycle =
            (int32_t)((take(in) << 8 | take(in)) % (A2600_ORDINARY_LINES * A2600_LINE_CYCLES));
        s.tia.last_clock = s.tia.touched_clock = TIA_WINDOW_BEGIN_CLOCKS;
        tia_catch_up(&s.tia, 3 * s.cycle, 0);
    }
    return s;
}

/* Run the rest of a frame; a2600_frame would start one. */
static void rest_of_frame(a2600_t *s, tia_picture_t *picture, const engine_t *engine) {
    a2600_t before = *s;
    int32_t why;
    if (engine->run) {
        if (picture) picture->begin_clock = s->tia.last_clock;
        while ((why = engine->run(s, ROM, picture, engine->summaries)) == A2600_UNKNOWN_PC) {
            a2600_interpret(s, ROM, picture, 1);
            if (s->frame_over || s->cycle >= A2600_ORDINARY_LINES * A2600_LINE_CYCLES) break;
        }
        if (why == A2600_FRAME_OVER || (s->frame_over && !s->error)) return;
        *s = before;
        if (picture) tia_begin_picture(picture, picture->pixels, picture->sparse);
    }
    s->unfinished = 1;
    a2600_frame_interpreted(s, ROM, picture);
}

static uint8_t red[256]; /* of palette indices: some share a value */

static void make_red(void) {
    for (int k = 0; k < 256; k++) red[k] = (uint8_t)((k >> 3) * 9); /* 0 and 144 among them */
    red[138] = 109;
}

/* The view of a picture by its definition. */
static void view_of(const uint8_t *screen, int find_background, uint8_t *view) {
    int counts[256] = {0}, most = 0;
    for (int k = 0; k < A26_VIEW_PIXELS; k++)
        counts[red[screen[(35 + k / 80 * 2) * A26_SCREEN_WIDTH + k % 80 * 2]]]++;
    for (int value = 1; value < 256; value++) most = counts[value] > counts[most] ? value : most;
    for (int k = 0; k < A26_VIEW_PIXELS; k++) {
        int value = red[screen[(35 + k / 80 * 2) * A26_SCREEN_WIDTH + k % 80 * 2]];
        view[k] = value && (find_background ? value != most : value != 144 && value != 109);
    }
}

static void play_frame(a2600_t *s, const engine_t *engine, int from_the_middle,
                       tia_picture_t *picture) {
    if (from_the_middle)
        rest_of_frame(s, picture, engine);
    else if (engine->run)
        a2600_frame(s, ROM, picture, engine->run, engine->summaries);
    else
        a2600_frame_interpreted(s, ROM, picture);
}

static void play(a2600_t *s, const engine_t *engine, int way, int frames, int at_once,
                 shown_t *shown) {
    static a26_canvas_t canvas;
    static a26_env_t env;
    tia_picture_t picture;
    memset(&canvas, 0, sizeof(canvas));
    memset(shown, 0, sizeof(*shown));
    for (int frame = 0; frame < frames; frame++) {
        if (way == DRAWN)
            tia_begin_picture(&picture, shown->screen, 0);
        else if (way == VIEWED)
            tia_begin_picture(&picture, canvas.pixels[canvas.latest ^ 1], 1);
        play_frame(s, engine, at_once && frame == 0, way == UNDRAWN ? 0 : &picture);
        if (way == DRAWN) tia_complete(&picture);
        if (way != VIEWED) continue;
        env.console.tia.last_clock = s->tia.last_clock; /* the only field that is read */
        a26_view_canvas(&env, &picture, red, 1, &canvas, shown->view[1]);
        a26_view(&picture, red, 0, shown->view[0]);
    }
    if (way == DRAWN)
        for (int k = 0; k < 2; k++) view_of(shown->screen, k, shown->view[k]);
    tia_catch_up(&s->tia, TIA_WINDOW_END_CLOCKS, 0);
}

static void show(const a2600_t *s, int frames, int at_once) {
    fprintf(stderr, "from pc %04X a %02X x %02X y %02X sp %02X flags %02X, cycle %d, %d frames%s\n",
            s->cpu.pc, s->cpu.a, s->cpu.x, s->cpu.y, s->cpu.sp, m6507_flags(&s->cpu), s->cycle,
            frames, at_once ? ", the first from its middle" : "");
    const tia_t *t = &s->tia;
    fprintf(stderr,
            "vblank %02X nusiz %02X %02X ctrlpf %02X vdel %d %d %d resmp %d %d pending %02X "
            "latches %04X "
            "pos %d %d %d %d %d paddles %d %d %d %d",
            t->vblank, t->nusiz[0], t->nusiz[1], t->ctrlpf, t->vdelp[0], t->vdelp[1], t->vdelbl,
            t->resmp[0], t->resmp[1], t->pending, t->collisions, t->pos[0], t->pos[1], t->pos[2],
            t->pos[3], t->pos[4], (int)t->paddle_cycles[0], (int)t->paddle_cycles[1],
            (int)t->paddle_cycles[2], (int)t->paddle_cycles[3]);
    for (int k = 0; k < 128; k++) fprintf(stderr, "%s%02X", k % 16 ? " " : "\n", s->ram[k]);
    fprintf(stderr, "\n");
}

/* Returns how many ways to run a case differ from the first. */
static int run_case(const uint8_t *data, size_t size) {
    static shown_t shown, wanted;
    bytes_t in = {data, size};
    int frames, at_once, different = 0;
    const a2600_t start = make_state(&in, &frames, &at_once);
    a2600_t expected = start;
    play(&expected, &engines[0], DRAWN, frames, at_once, &wanted);
    for (int k = 1; k < WAYS * COUNT(engines); k++) {
        const engine_t *engine = &engines[k / WAYS];
        int way = k % WAYS;
        a2600_t got = start;
        play(&got, engine, way, frames, at_once, &shown);
        int found = differ_console(&got, &expected);
        if (way == DRAWN)
            found += differ_bytes("screen", shown.screen, wanted.screen, sizeof(wanted.screen));
        if (way != UNDRAWN)
            found += differ_bytes("view", shown.view[0], wanted.view[0], sizeof(wanted.view));
        if (found) fprintf(stderr, "^ %s, %s\n", engine->name, way_names[way]);
        different += found != 0;
    }
    if (different) show(&start, frames, at_once);
    return different;
}

#ifdef STANDALONE
int main(int count, char **words) {
    uint32_t cases = count > 1 ? (uint32_t)atol(words[1]) : 1000,
             first = count > 2 ? (uint32_t)atol(words[2]) : 1;
    uint32_t failed = 0;
    make_bases();
    make_red();
    for (uint32_t seed = first; seed < first + cases; seed++) {
        uint8_t data[INPUT_BYTES];
        uint32_t random = seed * 2654435761u | 1u;
        for (int k = 0; k < INPUT_BYTES; k++) data[k] = (uint8_t)next_random(&random);
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
    make_red();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (run_case(data, size)) abort();
    return 0;
}
#endif
