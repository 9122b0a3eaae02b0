/* What the checks of the C core share: games, a source of bytes, comparison of states.
 *
 * tests/proofs/check_core.py generates "games.inc": the translations, and the table GAMES of {name,
 * {console}, translation, bytes of the ROM}, Pong first. */
#ifndef FASTPG_TESTS_GAMES_H
#define FASTPG_TESTS_GAMES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ale_calls.h"

#define ALL_SUMMARIES 0xFFFFFFFFu

typedef struct {
    const char *name;
    a26_game_t console;
    a2600_run_t run;
    uint8_t rom[A26_ROM_BYTES];
} game_t;

#include "games.inc"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static inline a26_cartridge_t cartridge_of(const game_t *game, a2600_run_t run,
                                           uint32_t summaries) {
    const a26_cartridge_t cartridge = {game->rom, run, summaries, game->console, 0};
    return cartridge;
}

/* ---- bytes that decide what a case does -------------------------------------------------------
 */

typedef struct {
    const uint8_t *data;
    size_t left;
} bytes_t;

/* The next byte, or 0 when there are no more. */
static inline uint32_t take(bytes_t *from) {
    if (!from->left) return 0;
    from->left--;
    return *from->data++;
}

static inline uint32_t next_random(uint32_t *seed) { /* xorshift */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed >> 8;
}

/* Random bytes of 4 KB and 2 KB, and Pong's ROM with some bytes changed. */
static inline void make_image(uint8_t *rom, uint32_t *seed) {
    uint32_t kind = next_random(seed) % 4;
    for (int k = 0; k < A26_ROM_BYTES; k++)
        rom[k] = kind < 2 ? (uint8_t)next_random(seed) : GAMES[0].rom[k];
    for (uint32_t left = kind < 2 ? 0 : 1 + next_random(seed) % 40; left; left--)
        rom[next_random(seed) % A26_ROM_BYTES] = (uint8_t)next_random(seed);
    if (kind % 2) memcpy(rom + A26_ROM_BYTES / 2, rom, A26_ROM_BYTES / 2);
    rom[0xFFD] |= 0x10; /* start in the ROM */
}

/* ---- comparison -------------------------------------------------------------------------------
 */

static inline int differ(const char *what, long got, long expected) {
    if (got == expected) return 0;
    fprintf(stderr, "%s: %ld (0x%lX) instead of %ld (0x%lX)\n", what, got, got, expected, expected);
    return 1;
}

#define DIFFER(field) differ(#field, (long)a->field, (long)b->field)

static inline int differ_bytes(const char *what, const uint8_t *a, const uint8_t *b, size_t count) {
    int different = 0;
    for (size_t k = 0; k < count && different < 8; k++)
        if (a[k] != b[k]) {
            fprintf(stderr, "%s[0x%zX]: 0x%02X instead of 0x%02X\n", what, k, a[k], b[k]);
            different++;
        }
    return different;
}

/* Compare everything that later frames depend on. Both are caught up to the end of the picture. */
static inline int differ_tia(const tia_t *a, const tia_t *b) {
    int different = DIFFER(collisions) + DIFFER(vsync_finish_clock) + DIFFER(hmove_clock)
                    + DIFFER(dump_release_cycle) + DIFFER(vblank) + DIFFER(colupf) + DIFFER(colubk)
                    + DIFFER(ctrlpf) + DIFFER(enabl) + DIFFER(enabl_delayed) + DIFFER(vdelbl)
                    + DIFFER(pending) + DIFFER(reflected) + DIFFER(cosmic_step) + DIFFER(m0_hidden)
                    + DIFFER(m0_stretched) + DIFFER(enabled);
    for (int n = 0; n < 2; n++)
        different += DIFFER(nusiz[n]) + DIFFER(colup[n]) + DIFFER(refp[n]) + DIFFER(grp[n])
                     + DIFFER(grp_delayed[n]) + DIFFER(enam[n]) + DIFFER(vdelp[n])
                     + DIFFER(resmp[n]);
    different += differ_bytes("pf", a->pf, b->pf, sizeof(a->pf));
    different += differ_bytes("hm", a->hm, b->hm, sizeof(a->hm));
    return different + differ_bytes("pos", a->pos, b->pos, sizeof(a->pos));
}

static inline int differ_console(const a2600_t *a, const a2600_t *b) {
    int different = DIFFER(cycle) + DIFFER(frame_start_cycle) + DIFFER(unfinished)
                    + DIFFER(frame_over) + DIFFER(error) + DIFFER(cpu.pc) + DIFFER(cpu.a)
                    + DIFFER(cpu.x) + DIFFER(cpu.y) + DIFFER(cpu.sp)
                    + differ("flags", m6507_flags(&a->cpu), m6507_flags(&b->cpu))
                    + DIFFER(riot.set_cycle) + DIFFER(riot.value) + DIFFER(riot.shift)
                    + DIFFER(riot.marked) + DIFFER(riot.swacnt);
    if (!(a->cpu.pc & 0x1080)) /* at the TIA's addresses fetches see the data bus */
        different += DIFFER(bus);
    if (a->riot.marked) different += DIFFER(riot.mark_cycle);
    different += differ_bytes("ram - 0x80", a->ram, b->ram, sizeof(a->ram));
    return different + differ_tia(&a->tia, &b->tia);
}

#endif
