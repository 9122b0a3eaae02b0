/* Atari 2600 console: CPU, RIOT, TIA and RAM, address decoding, the interpreter, one frame.
 *
 * The state is one struct by value without pointers: saving, restoring and resetting are copies of
 * a2600_t. The ROM (4096 bytes; one of 2048 bytes stands twice) and the picture are arguments.
 *
 * Address map, 13 bits: $1000 ROM; else with bit 7 clear the TIA, with bit 9 clear the RAM, else
 * the RIOT's timer and ports.
 *
 *   a2600_reset(s, rom, timer)                 the reset line; RAM is kept
 *   a2600_interpret(s, rom, picture, budget)   run instructions (console/interpreter.h)
 *   a2600_frame_interpreted(s, rom, picture)   run one frame; picture may be 0
 *   a2600_frame(..)                            the same by a translation (translated_rom.h) */
#ifndef A2600_H
#define A2600_H

#include "console/geometry.h"
#include "console/portability.h"
#include "console/m6507.h"
#include "console/riot.h"
#include "console/tia_registers.h"

#define A2600_LAYOUT_VERSION 2 /* raise it with every change of a2600_t */

#define A2600_LINE_CYCLES 76
#define A2600_LAST_LINE 291            /* a TIA write from this line on ends the frame */
#define A2600_FRAME_INSTRUCTIONS 25000 /* a call's budget; beyond it the frame stays unfinished */
#define A2600_ENDLESS_CYCLES (1 << 24)
#define A2600_LONG_AGO_CLOCKS (-(1 << 30))

enum { A2600_OK, A2600_BAD_OPCODE };

typedef struct {
    tia_t tia;
    riot_t riot;
    int32_t cycle; /* within the frame; a frame begins at frame_start_cycle (0..75) */
    int32_t frame_start_cycle;
    m6507_t cpu;
    uint8_t unfinished; /* the instruction budget ran out: the next call continues this frame */
    uint8_t frame_over;
    uint8_t error; /* A2600_OK, or why the console has stopped for good */
    uint8_t error_opcode;
    uint8_t bus; /* last byte on the data bus; kept only where a fetch may see it (A2600_JUMPED) */
    uint8_t ram[A26_RAM_BYTES];
    uint8_t unused[7];
} a2600_t;

A26_FN void a2600_reset(a2600_t *s, const uint8_t *rom, uint8_t timer);
A26_SLOW void a2600_frame_interpreted(a2600_t *s, const uint8_t *rom, tia_picture_t *picture);

/* ---- bus ------------------------------------------------------------------------------------- */

A26_SLOW uint8_t a2600_read_io(a2600_t *s, uint16_t address, uint8_t noise, int32_t cycle,
                               tia_picture_t *picture) {
    if (!(address & 0x80)) {
        if (s->tia.touched_clock < 3 * cycle) s->tia.touched_clock = 3 * cycle;
        return tia_read(&s->tia, address & 0x0F, noise, cycle, s->frame_start_cycle, picture);
    }
    if (!(address & 0x200)) return s->ram[address & 0x7F];
    return riot_read(&s->riot, address, cycle);
}

/* Returns the cycle, which WSYNC moves on to the end of the line. */
A26_FN int32_t a2600_write_tia(a2600_t *s, uint32_t reg, uint8_t value, int32_t cycle,
                               tia_picture_t *picture) {
    tia_t *t = &s->tia;
    int32_t clock = 3 * cycle;
    if (t->touched_clock > clock) /* an earlier push of this instruction; its delay counts */
        tia_catch_up(t, t->touched_clock, picture);
    t->touched_clock = clock + tia_delay(reg, cycle);
    if (reg == 0x00) {
        tia_catch_up(t, clock, picture);
        if (value & 2)
            t->vsync_finish_clock = clock + TIA_LINE_CLOCKS;
        else if (clock >= t->vsync_finish_clock) {
            t->vsync_finish_clock = TIA_NEVER_CLOCKS;
            s->frame_over = 1;
        }
    } else if (reg == 0x02) {
        cycle = (cycle + A2600_LINE_CYCLES - 1) / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
    } else {
        tia_write(t, reg, value, cycle, picture);
    }
    if (clock >= 3 * A2600_LAST_LINE * A2600_LINE_CYCLES) s->frame_over = 1;
    return cycle;
}

A26_SLOW int32_t a2600_write(a2600_t *s, uint16_t address, uint8_t value, int32_t cycle,
                             tia_picture_t *picture) {
    if (address & 0x1000) return cycle; /* the cartridge is ROM */
    if (!(address & 0x80)) return a2600_write_tia(s, address & 0x3F, value, cycle, picture);
    if (!(address & 0x200))
        s->ram[address & 0x7F] = value;
    else
        riot_write(&s->riot, address, value, cycle);
    return cycle;
}

/* ---- steps of instructions ------------------------------------------------------------------- */

/* For the interpreter and for translations: `s`, `rom`, `picture`, `r` (registers) and `cycle` are
 * in scope, as are the scratch variables `address`, `base` and `value`. A2600_READ is the
 * user's. */

/* Read any address. `noise` stands on the data bus and shows in the TIA's undriven bits. */
#define A2600_READ_ADDRESS(address, noise) \
    (A26_LIKELY((address) & 0x1000) ? rom[(address) & 0xFFF] \
     : ((address) & 0x280) == 0x80 \
         ? s->ram[(address) & 0x7F] \
         : a2600_read_io(s, (uint16_t)(address), (uint8_t)(noise), cycle, picture))

/* Pull a byte. Like the hardware the oracle reads at SP before it raises SP. That shows only where
 * SP wraps from $FF, the last byte of RAM, to $00 in the TIA, which drives two bits: the others
 * stay those of the RAM. */
#define A2600_PULL(noise) (r.sp++, A2600_READ(0x100 | r.sp, r.sp ? (noise) : s->ram[0x7F]))

/* RTS up to its jump: `address` is where it leads, `value` the last byte on the bus. It reads at
 * the pulled address before it goes on to the next one: INTIM there keeps a mark. */
#define A2600_PULL_RTS \
    base = A2600_PULL(0x60); \
    base |= (uint16_t)(A2600_PULL(base) << 8); \
    address = (uint16_t)(base + 1); \
    value = (uint8_t)(base >> 8); \
    if (A26_UNLIKELY(!(address & 0x1000))) value = A2600_READ(base, value);

/* RTI up to its jump to `base`. */
#define A2600_PULL_RTI \
    value = A2600_PULL(0x40); \
    m6507_set_flags(&r, value); \
    base = A2600_PULL(value); \
    base |= (uint16_t)(A2600_PULL(base) << 8);

/* ---- interpreter ----------------------------------------------------------------------------- */

/* Runs code at any address. */
#define A2600_INTERPRETER a2600_interpret_anywhere
#define A2600_INTERPRETER_IN_ROM 0
#include "console/interpreter.h"

/* Faster in the ROM; hands instructions elsewhere to the one above. */
#ifdef A26_LABEL_VALUES
#define A2600_INTERPRETER a2600_interpret
#define A2600_INTERPRETER_IN_ROM 1
#include "console/interpreter.h"
#else
#define a2600_interpret a2600_interpret_anywhere
#endif

/* ---- reset ----------------------------------------------------------------------------------- */

A26_FN uint16_t a2600_vector(const uint8_t *rom, uint32_t at) {
    return (uint16_t)(rom[at & 0xFFF] | rom[(at + 1) & 0xFFF] << 8);
}

/* `timer`: the first value of INTIM. */
A26_FN void a2600_reset(a2600_t *s, const uint8_t *rom, uint8_t timer) {
    m6507_reset(&s->cpu, a2600_vector(rom, 0xFFC));
    s->bus = rom[0xFFD];
    tia_reset(&s->tia);
    s->riot.set_cycle = s->riot.mark_cycle = 0;
    s->riot.value = timer;
    s->riot.shift = 6;
    s->riot.marked = s->riot.swacnt = 0;
    s->cycle = s->frame_start_cycle = 0;
    s->unfinished = s->frame_over = 0;
    s->error = A2600_OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A clock that matters only while it is near: one that is long past grows no older. */
A26_FN int32_t a2600_earlier_clock(int32_t clock, int32_t by) {
    return clock < A2600_LONG_AGO_CLOCKS ? clock : clock - by;
}

/* Lower the cycle counter, and every time that goes with it. The ages of a timer and of a paddle's
 * release may exceed 31 bits of cycles: they wrap. */
A26_FN void a2600_rebase(a2600_t *s, int32_t cycles) {
    tia_t *t = &s->tia;
    s->cycle -= cycles;
    riot_rebase(&s->riot, cycles);
    t->dump_release_cycle = (int32_t)((uint32_t)t->dump_release_cycle - (uint32_t)cycles);
    t->hmove_clock = a2600_earlier_clock(t->hmove_clock, 3 * cycles);
    if (t->vsync_finish_clock != TIA_NEVER_CLOCKS)
        t->vsync_finish_clock = a2600_earlier_clock(t->vsync_finish_clock, 3 * cycles);
}

A26_FN void a2600_begin_frame(a2600_t *s) {
    a2600_rebase(s, s->cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES);
    s->frame_start_cycle = s->cycle;
    s->frame_over = 0;
    s->tia.last_clock = s->tia.touched_clock = TIA_WINDOW_BEGIN_CLOCKS;
}

/* Keep the counters of a frame that never ends from overflowing. It stays below the picture. */
A26_FN void a2600_continue_frame(a2600_t *s) {
    int32_t cycles =
        s->cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES - A2600_LAST_LINE * A2600_LINE_CYCLES;
    if (s->cycle > A2600_ENDLESS_CYCLES) {
        a2600_rebase(s, cycles);
        s->frame_start_cycle = (int32_t)((uint32_t)s->frame_start_cycle - (uint32_t)cycles);
    }
}

A26_SLOW void a2600_frame_interpreted(a2600_t *s, const uint8_t *rom, tia_picture_t *picture) {
    if (s->error) return;
    if (s->unfinished)
        a2600_continue_frame(s);
    else
        a2600_begin_frame(s);
    if (picture) picture->begin_clock = s->tia.last_clock;
    int32_t left = a2600_interpret(s, rom, picture, A2600_FRAME_INSTRUCTIONS);
    s->unfinished = left == 0 && !s->frame_over;
    tia_catch_up(&s->tia, s->tia.touched_clock,
                 picture); /* skipped writes of equal values count too */
}

#endif
