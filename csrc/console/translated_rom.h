/* The vocabulary of translated ROMs (translate/rom_to_c.py), and how a frame runs on a translation.
 *
 * A translation is one C function, a2600_run_t. It runs from the current PC to the end of the
 * frame, and returns early where it does not know the code. Loops that only wait or count are cut
 * short to their last turn. Loop summaries (games/) do the same for whole loops of one game.
 *
 *   a2600_frame(s, rom, picture, run, summaries)  one frame; picture may be 0 */
#ifndef A2600_TRANSLATED_ROM_H
#define A2600_TRANSLATED_ROM_H

#include "console/a2600.h"

/* Frames end before this line. One that does not is run again from its start by the interpreter,
 * which alone counts instructions and knows the exact limits. */
#define A2600_ORDINARY_LINES 272

/* Results of a translation: the frame is over; continue by the interpreter; run the frame again. */
enum { A2600_FRAME_OVER, A2600_UNKNOWN_PC, A2600_ABNORMAL };

/* `summaries`: a bit per loop summary of the ROM that may be used; 0 is the plain translation. */
typedef int32_t (*a2600_run_t)(a2600_t *, const uint8_t *, tia_picture_t *, uint32_t summaries);

A26_FN void a2600_frame(a2600_t *s, const uint8_t *rom, tia_picture_t *picture, a2600_run_t run,
                        uint32_t summaries);

/* ---- macros ---------------------------------------------------------------------------------- */

/* In a translation `r` are the registers and `cycle` is the clock; `address`, `base` and `value`
 * are scratch. The last byte on the bus is kept only where control may leave the ROM. */
#define A2600_READ(address, noise) A2600_READ_ADDRESS(address, noise)
#define A2600_JUMPED(byte) s->bus = (uint8_t)(byte);
#define A2600_LEAVE(why) \
    { \
        s->cpu = r; \
        s->cycle = cycle; \
        return (why); \
    }
#define A2600_CHECK_LIMIT \
    if (A26_UNLIKELY(cycle >= A2600_ORDINARY_LINES * A2600_LINE_CYCLES)) return A2600_ABNORMAL;
#define A2600_WAIT_FOR_LINE \
    cycle = (cycle + A2600_LINE_CYCLES - 1) / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
#define A2600_JUMP_INDIRECT \
    address = (uint16_t)((base & 0xFF00) | ((base + 1) & 0xFF)); \
    r.pc = A2600_READ(base, base >> 8); \
    r.pc |= (uint16_t)(A2600_READ(address, r.pc) << 8); \
    A2600_JUMPED(r.pc >> 8)
#define A2600_RETURN_FROM_SUBROUTINE \
    A2600_PULL_RTS \
    A2600_JUMPED(value) \
    r.pc = address;
#define A2600_RETURN_FROM_INTERRUPT \
    A2600_PULL_RTI \
    A2600_JUMPED(base >> 8) \
    r.pc = base;
/* An indexed read near the TIA's inputs, which display kernels read on every line: an input needs
 * no catching up. */
#define A2600_READ_NEAR_INPUTS(address, noise) \
    (((address) & 0x1088) == 0x08 \
         ? tia_read_input(&s->tia, (address) & 0x0F, (noise), cycle, s->frame_start_cycle) \
         : A2600_READ((address), (noise)))
#define A2600_POINTER_AT(zp, operand) \
    base = A2600_READ((zp), (operand)); \
    base |= (uint16_t)(A2600_READ((uint8_t)((zp) + 1), base) << 8);

/* Store `value` at an address that is not known ahead. It may be VSYNC and end the frame; the next
 * call then goes on at `following`. */
#define A2600_STORE(following) \
    if ((address & 0x1280) == 0x80) { \
        s->ram[address & 0x7F] = value; \
    } else { \
        cycle = a2600_write(s, address, value, cycle, picture); \
        if (A26_UNLIKELY(s->frame_over)) { \
            r.pc = (following); \
            A2600_LEAVE(A2600_FRAME_OVER) \
        } \
    }

/* True if `address` is ENAM0, ENAM1 or ENABL and already holds this value. */
A26_FN int a2600_is_enabled_alike(const tia_t *t, uint32_t address, uint8_t value) {
    uint32_t register_ = address - 0x11D;
    return register_ < 3 && (value & 2) == (register_ < 2 ? t->enam[register_] : t->enabl);
}

/* PHA. A display kernel that keeps its stack in the TIA mostly pushes what ENAM0, ENAM1 or ENABL
 * already hold. */
#define A2600_PUSH_VALUE(following) \
    address = 0x100 | r.sp; \
    r.sp--; \
    if (!a2600_is_enabled_alike(&s->tia, address, value)) { \
        A2600_STORE(following) \
    }

/* PHP. Of the flags, those three registers look at Z only. */
#define A2600_PUSH_FLAGS(following) \
    address = 0x100 | r.sp; \
    r.sp--; \
    if (!a2600_is_enabled_alike(&s->tia, address, M6507_TAKEN_BEQ(&r) ? 2 : 0)) { \
        value = m6507_flags(&r); \
        A2600_STORE(following) \
    }

/* JSR and BRK. A stack in the TIA is left to the interpreter. */
#define A2600_CALL(back) \
    if (A26_UNLIKELY(r.sp < 0x82)) return A2600_ABNORMAL; \
    s->ram[r.sp & 0x7F] = (uint8_t)((back) >> 8); \
    s->ram[(r.sp - 1) & 0x7F] = (uint8_t)(back); \
    r.sp -= 2;
/* The third byte of BRK. It is in the RAM too. */
#define A2600_CALL_PUSH(byte) s->ram[r.sp-- & 0x7F] = (byte);

/* ---- loops that only wait or count ----------------------------------------------------------- */

/* A loop that waits for INTIM to become 0: the cycle of the turn that reads 0 first. `turn`: cycles
 * a turn; it reads 4 cycles in. Reads before have no effect. */
A26_FN int32_t a2600_wait_for_timer(const riot_t *riot, int32_t cycle, int32_t turn) {
    int32_t elapsed = (int32_t)((uint32_t)cycle + 4u - 1u - (uint32_t)riot->set_cycle);
    int32_t wanted = ((int32_t)riot->value - 1) << riot->shift;
    if (elapsed < 0 || elapsed >= wanted || turn > 1 << riot->shift) return cycle;
    return cycle + (wanted - elapsed + turn - 1) / turn * turn;
}

/* A loop of DEX or DEY and BNE or BPL back to it: skip `turns` turns, up to the last. */
#define A2600_COUNT_DOWN(reg, turns, cycles) \
    { \
        uint8_t turns_ = (uint8_t)(turns); \
        cycle += (cycles) * turns_; \
        (reg) = (uint8_t)((reg) - turns_); \
    }

/* A loop that divides: SBC #by and BCS back to it, perhaps with INX, INY, DEX or DEY before
 * (`step`). Skip to its last turn, which borrows. */
#define A2600_DIVIDE(by, cycles, step) \
    if (A26_LIKELY(r.c && !r.d)) { \
        uint8_t turns_ = r.a / (by); \
        cycle += (cycles) * turns_; \
        r.a = (uint8_t)(r.a - (by) * turns_); \
        step \
    }

/* ---- a frame --------------------------------------------------------------------------------- */

A26_FN void a2600_frame(a2600_t *s, const uint8_t *rom, tia_picture_t *picture, a2600_run_t run,
                        uint32_t summaries) {
    if (s->error) return;
    if (s->unfinished) {
        a2600_frame_interpreted(s, rom, picture);
        return;
    }
    a2600_t before;
    A26_ASSIGN(before, *s);
    a2600_begin_frame(s);
    if (picture) picture->begin_clock = s->tia.last_clock;
    int32_t left;
    while ((left = run(s, rom, picture, summaries)) == A2600_UNKNOWN_PC) {
        a2600_interpret(s, rom, picture, 1);
        if (s->frame_over) {
            left = s->error ? A2600_ABNORMAL : A2600_FRAME_OVER;
            break;
        }
        if (s->cycle >= A2600_ORDINARY_LINES * A2600_LINE_CYCLES) {
            left = A2600_ABNORMAL;
            break;
        }
    }
    if (A26_UNLIKELY(left == A2600_ABNORMAL)) {
        A26_ASSIGN(*s, before);
        if (picture) tia_begin_picture(picture, picture->pixels, picture->sparse);
        a2600_frame_interpreted(s, rom, picture);
    }
}

#endif
