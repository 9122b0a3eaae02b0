/* Compare the ways to paint, in words and with vector instructions, byte by byte: paint CASES. */
#include "games.h"

#define GUARD 64

static uint64_t random_word(uint32_t *seed) {
    uint64_t word =
        (uint64_t)next_random(seed) << 40 ^ (uint64_t)next_random(seed) << 20 ^ next_random(seed);
    return next_random(seed) % 4 ? word & ((uint64_t)next_random(seed) << 40 ^ next_random(seed))
                                 : word;
}

/* Random masks, colours and priorities. A disabled object may have any mask. */
static tia_t random_tia(uint32_t *seed) {
    tia_t t = {0};
    for (int o = 0; o < TIA_OBJECTS; o++)
        for (int k = 0; k < 3; k++)
            t.mask[o].w[k] = random_word(seed) & (k == 2 ? 0xFFFFFFFFull : ~0ull);
    t.colup[0] = (uint8_t)next_random(seed);
    t.colup[1] = (uint8_t)next_random(seed);
    t.colupf = (uint8_t)next_random(seed);
    t.colubk = (uint8_t)next_random(seed);
    t.ctrlpf = (uint8_t)(next_random(seed) & 0x37);
    t.enabled = (uint8_t)(next_random(seed) & 0x3F);
    return t;
}

/* Spans of a row between guard bytes. */
typedef void (*paint_t)(const tia_t *, uint32_t, uint32_t, uint32_t, uint8_t *);

static int check_paint(const char *name, paint_t paint, uint32_t cases) {
    uint8_t rows[2][GUARD + A26_SCREEN_WIDTH + GUARD];
    uint32_t seed = 2463534242u;
    for (uint32_t n = 0; n < cases; n++) {
        tia_t t = random_tia(&seed);
        uint32_t begin = next_random(&seed) % A26_SCREEN_WIDTH,
                 end = begin + 1 + next_random(&seed) % (A26_SCREEN_WIDTH - begin);
        if (next_random(&seed) % 4 == 0) begin = 0, end = A26_SCREEN_WIDTH;
        for (int k = 0; k < COUNT(rows[0]); k++)
            rows[0][k] = rows[1][k] = (uint8_t)next_random(&seed);
        tia_paint_words(&t, t.enabled, begin, end, rows[0] + GUARD);
        paint(&t, t.enabled, begin, end, rows[1] + GUARD);
        if (differ_bytes(name, rows[1], rows[0], sizeof(rows[0]))) {
            fprintf(stderr, "case %u: pixels %u to %u\n", n, begin, end);
            return 1;
        }
    }
    printf("%s: %u rows\n", name, cases);
    return 0;
}

/* Pictures with repeated rows. */
typedef void (*complete_t)(const tia_picture_t *);

static int check_complete(const char *name, complete_t complete, uint32_t cases) {
    static uint8_t pixels[2][A26_SCREEN_BYTES];
    tia_picture_t pictures[2];
    uint32_t seed = 362436069u;
    for (uint32_t n = 0; n < cases; n++) {
        for (int k = 0; k < 2; k++) tia_begin_picture(&pictures[k], pixels[k], 0);
        for (int k = 0; k < A26_SCREEN_BYTES; k++)
            pixels[0][k] = pixels[1][k] = (uint8_t)next_random(&seed);
        for (uint32_t row = 1; row < A26_SCREEN_HEIGHT; row++) {
            uint32_t how = next_random(&seed) % 4, above = next_random(&seed) % row;
            uint8_t like =
                how == 0 ? (uint8_t)row : pictures[0].same_as_row[how == 1 ? above : row - 1];
            pictures[0].same_as_row[row] = pictures[1].same_as_row[row] = like;
        }
        tia_complete_words(&pictures[0]);
        complete(&pictures[1]);
        if (differ_bytes(name, pixels[1], pixels[0], A26_SCREEN_BYTES)) return 1;
    }
    printf("%s: %u pictures\n", name, cases);
    return 0;
}

static void paint_best(const tia_t *t, uint32_t on, uint32_t begin, uint32_t end, uint8_t *row) {
    tia_paint(t, on, begin, end, row);
}

static void complete_best(const tia_picture_t *picture) { tia_complete(picture); }

int main(int count, char **words) {
    uint32_t cases = count > 1 ? (uint32_t)atol(words[1]) : 100000;
    int failed = check_paint("what this machine paints with", paint_best, cases)
                 + check_complete("what this machine completes with", complete_best, cases / 500);
#ifdef A26_X86_VECTORS
    if (__builtin_cpu_supports("avx2"))
        failed += check_paint("AVX2", tia_paint_avx2, cases)
                  + check_complete("AVX2", tia_complete_avx2, cases / 500);
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        failed += check_paint("AVX-512", tia_paint_avx512, cases);
#endif
    printf("%s\n", failed ? "FAILED" : "passed");
    return failed != 0;
}
