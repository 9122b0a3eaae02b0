/* What translated ROMs are made of, and how a frame runs on one. */
#ifndef A2600_TRANSLATED_H
#define A2600_TRANSLATED_H

#include "console/a2600.h"

/* Ordinary frames end before this line. One that does not is run again by the interpreter, which
 * alone counts instructions and knows the exact limits. */
#define A2600_ORDINARY_LINES 272

enum { A2600_FRAME_OVER, A2600_UNKNOWN_PC, A2600_ABNORMAL };

/* clang-format off */
#undef A2600_GO
#define A2600_GO(to) r.pc = (to);

/* Within a translation: `r` registers, `cycle` the clock, `address`, `base`, `value` scratch. */
#define A2600_LEAVE(why) \
    { \
        s->cpu = r; \
        s->cycle = cycle; \
        return (why); \
    }
#define A2600_CHECK_LIMIT \
    if (A26_UNLIKELY(cycle >= A2600_ORDINARY_LINES * A2600_LINE_CYCLES)) \
        return A2600_ABNORMAL;
#define A2600_WAIT_FOR_LINE \
    cycle = (cycle + A2600_LINE_CYCLES - 1) / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
#define A2600_JUMP_INDIRECT \
    address = (uint16_t)((base & 0xFF00) | ((base + 1) & 0xFF)); \
    r.pc = A2600_READ(base, base >> 8); \
    r.pc |= (uint16_t)(A2600_READ(address, r.pc) << 8); \
    A2600_JUMPED(r.pc >> 8)
/* Indexed reads near TIA's inputs, which kernels read on every line: their values need no catching up. */
#define A2600_READ_NEAR_INPUTS(address, noise) \
    (((address) & 0x1088) == 0x08 \
         ? tia_read_input(&s->tia, (address) & 0x0F, (noise), cycle, s->frame_start_cycle) \
         : A2600_READ((address), (noise)))
#define A2600_POINTER_AT(zp, operand) \
    base = A2600_READ((zp), (operand)); \
    base |= (uint16_t)(A2600_READ((uint8_t)((zp) + 1), base) << 8);

/* A store to an address that is not known ahead. It may be to VSYNC and end the frame. */
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

A26_FN int a2600_is_enabled_alike(const tia_t *t, uint32_t address, uint8_t value) {
    uint32_t register_ = address - 0x11D;
    return register_ < 3 && (value & 2) == (register_ < 2 ? t->enam[register_] : t->enabl);
}

/* PHA. A kernel that keeps its stack in the TIA mostly pushes what ENAM0, ENAM1, ENABL hold. */
#define A2600_PUSH_VALUE(following) \
    address = 0x100 | r.sp; \
    r.sp--; \
    if (!a2600_is_enabled_alike(&s->tia, address, value)) { \
        A2600_STORE(following) \
    }

/* PHP. Of the flags, Z is the bit that those three look at. */
#define A2600_PUSH_FLAGS(following) \
    address = 0x100 | r.sp; \
    r.sp--; \
    if (!a2600_is_enabled_alike(&s->tia, address, M6507_TAKEN_BEQ(&r) ? 2 : 0)) { \
        value = m6507_flags(&r); \
        A2600_STORE(following) \
    }

/* JSR, BRK. With a stack in the TIA, leave it to the interpreter. */
#define A2600_CALL(back) \
    if (A26_UNLIKELY(r.sp < 0x82)) \
        return A2600_ABNORMAL; \
    s->ram[r.sp & 0x7F] = (uint8_t)((back) >> 8); \
    s->ram[(r.sp - 1) & 0x7F] = (uint8_t)(back); \
    r.sp -= 2;
/* A third byte: that lies in the RAM too. */
#define A2600_CALL_PUSH(byte) s->ram[r.sp-- & 0x7F] = (byte);
/* clang-format on */

/* A loop that only waits for INTIM to become 0, `turn` cycles long with the read 4 cycles in: go to
 * the turn that reads 0 first. Reads before it change nothing. */
A26_FN int32_t a2600_idle(const riot_t *riot, int32_t cycle, int32_t turn) {
    int32_t elapsed = (int32_t)((uint32_t)cycle + 4u - 1u - (uint32_t)riot->set_cycle);
    int32_t wanted = ((int32_t)riot->value - 1) << riot->shift;
    if (elapsed < 0 || elapsed >= wanted || turn > 1 << riot->shift) return cycle;
    return cycle + (wanted - elapsed + turn - 1) / turn * turn;
}

/* A loop of DEX or DEY and BNE or BPL back to it: go to its last turn. */
#define A2600_COUNT_DOWN(reg, turns, cycles) \
    { \
        uint8_t turns_ = (uint8_t)(turns); \
        cycle += (cycles) * turns_; \
        (reg) = (uint8_t)((reg) - turns_); \
    }

/* A loop that divides: SBC #by, BCS back to it, maybe with an INX, INY, DEX or DEY before: go to
 * its last turn, which borrows. */
#define A2600_DIVIDE(by, cycles, step) \
    if (A26_LIKELY(r.c && !r.d)) { \
        uint8_t turns_ = r.a / (by); \
        cycle += (cycles) * turns_; \
        r.a = (uint8_t)(r.a - (by) * turns_); \
        step \
    }

/* `summaries`: bit per loop summary of the ROM that may be used; 0 is the plain translation. */
typedef int32_t (*a2600_run_t)(a2600_t *, const uint8_t *, tia_picture_t *, uint32_t summaries);

/* One frame by a ROM's translation, with the interpreter wherever that does not reach. */
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
