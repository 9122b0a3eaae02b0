/* Atari 2600 console: chips and RAM by value, address decoding, the interpreter, one frame.
 *
 * The state has no pointers: saving, restoring and resetting are copies of a2600_t. The ROM (4096
 * bytes, a 2 KB one twice) and the picture are given to each call. */
#ifndef A2600_H
#define A2600_H

#include "a26_port.h"
#include "m6507.h"
#include "riot.h"
#include "tia.h"

#define A2600_LAYOUT_VERSION 2 /* to be raised with every change of a2600_t */

#define A2600_LINE_CYCLES 76
#define A2600_LAST_LINE 291       /* a TIA write from this line on ends the frame */
#define A2600_FRAME_INSTRUCTIONS 25000 /* a call's budget: then the frame stays unfinished */
#define A2600_ROM_BYTES 4096
#define A2600_SCREEN_BYTES (TIA_WIDTH * TIA_HEIGHT)

enum { A2600_OK, A2600_BAD_OPCODE };

typedef struct {
    tia_t tia;
    riot_t riot;
    int32_t cycle; /* of the current frame, from frame_start_cycle (0..75) on */
    int32_t frame_start_cycle;
    m6507_t cpu;
    uint8_t unfinished; /* the next call continues this frame */
    uint8_t frame_over;
    uint8_t error;      /* A2600_OK, or why the console has stopped for good */
    uint8_t error_opcode;
    uint8_t ram[128];
} a2600_t;

/* ---- bus ------------------------------------------------------------------------------------- */

A26_SLOW uint8_t a2600_read_io(a2600_t *s, uint16_t address, uint8_t noise, int32_t cycle, tia_picture_t *picture) {
    if (!(address & 0x80))
        return tia_read(&s->tia, address & 0x0F, noise, cycle, s->frame_start_cycle, picture);
    if (!(address & 0x200))
        return s->ram[address & 0x7F];
    return riot_read(&s->riot, address, cycle);
}

/* Returns the cycle, which WSYNC moves on to the end of the line. */
A26_FN int32_t a2600_write_tia(a2600_t *s, uint32_t reg, uint8_t value, int32_t cycle, tia_picture_t *picture) {
    tia_t *t = &s->tia;
    int32_t clock = 3 * cycle;
    t->touched_clock = clock + tia_delay(reg, clock);
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
    if (clock >= 3 * A2600_LAST_LINE * A2600_LINE_CYCLES)
        s->frame_over = 1;
    return cycle;
}

A26_SLOW int32_t a2600_write(a2600_t *s, uint16_t address, uint8_t value, int32_t cycle, tia_picture_t *picture) {
    if (address & 0x1000)
        return cycle; /* the cartridge is ROM */
    if (!(address & 0x80))
        return a2600_write_tia(s, address & 0x3F, value, cycle, picture);
    if (!(address & 0x200))
        s->ram[address & 0x7F] = value;
    else
        riot_write(&s->riot, address, value, cycle);
    return cycle;
}

/* ---- interpreter ----------------------------------------------------------------------------- */

/* Within a2600_interpret: `r` registers, `cycle` the clock, `pc` of the instruction. */
#define A2600_READ(address, noise) \
    (A26_LIKELY((address) & 0x1000) ? rom[(address) & 0xFFF] \
     : ((address) & 0x280) == 0x80 ? s->ram[(address) & 0x7F] \
                                   : a2600_read_io(s, (uint16_t)(address), (uint8_t)(noise), cycle, picture))
#define A2600_WRITE(address, value) \
    do { \
        uint16_t to_ = (uint16_t)(address); \
        if ((to_ & 0x1280) == 0x80) \
            s->ram[to_ & 0x7F] = (value); \
        else \
            cycle = a2600_write(s, to_, (value), cycle, picture); \
    } while (0)
#define A2600_FETCH_WORD(at) ((uint16_t)(A2600_FETCH(at) | A2600_FETCH((at) + 1) << 8))
#define A2600_PUSH(value) \
    do { \
        A2600_WRITE(0x100 | r.sp, (value)); \
        r.sp--; \
    } while (0)
#define A2600_PULL() (r.sp++, A2600_READ(0x100 | r.sp, 0))

/* Addressing modes set `address` and `noise` and move r.pc; CROSS tells those that may leave a page. */
#define A2600_AT_ZP(cross) address = A2600_FETCH(r.pc + 1); noise = (uint8_t)address; r.pc += 2;
#define A2600_AT_ZPI(index) \
    noise = A2600_FETCH(r.pc + 1); address = (uint8_t)(noise + (index)); r.pc += 2;
#define A2600_AT_ZPX(cross) A2600_AT_ZPI(r.x)
#define A2600_AT_ZPY(cross) A2600_AT_ZPI(r.y)
#define A2600_AT_ABS(cross) \
    address = A2600_FETCH_WORD(r.pc + 1); noise = (uint8_t)(address >> 8); r.pc += 3;
#define A2600_AT_ABI(cross, index) \
    base = A2600_FETCH_WORD(r.pc + 1); noise = (uint8_t)(base >> 8); r.pc += 3; \
    address = (uint16_t)(base + (index)); cycle += (cross) && ((base ^ address) & 0x100);
#define A2600_AT_ABX(cross) A2600_AT_ABI(cross, r.x)
#define A2600_AT_ABY(cross) A2600_AT_ABI(cross, r.y)
#define A2600_POINTER(zp) \
    base = A2600_READ((uint8_t)(zp), (zp)); \
    base |= (uint16_t)(A2600_READ((uint8_t)((zp) + 1), base) << 8); noise = (uint8_t)(base >> 8);
#define A2600_AT_IZX(cross) \
    noise = (uint8_t)(A2600_FETCH(r.pc + 1) + r.x); A2600_POINTER(noise) address = base; r.pc += 2;
#define A2600_AT_IZY(cross) \
    noise = A2600_FETCH(r.pc + 1); A2600_POINTER(noise) r.pc += 2; \
    address = (uint16_t)(base + r.y); cycle += (cross) && ((base ^ address) & 0x100);

#define A2600_AT_IMM(cross) r.pc += 2;
#define A2600_LOAD_IMM A2600_FETCH(r.pc - 1)
#define A2600_LOAD_ZP A2600_READ(address, noise)
#define A2600_LOAD_ZPX A2600_LOAD_ZP
#define A2600_LOAD_ZPY A2600_LOAD_ZP
#define A2600_LOAD_ABS A2600_LOAD_ZP
#define A2600_LOAD_ABX A2600_LOAD_ZP
#define A2600_LOAD_ABY A2600_LOAD_ZP
#define A2600_LOAD_IZX A2600_LOAD_ZP
#define A2600_LOAD_IZY A2600_LOAD_ZP
#define A2600_R(op, mode) A2600_AT_##mode(1) m6507_op_##op(&r, A2600_LOAD_##mode);
#define A2600_W(op, mode) A2600_AT_##mode(0) A2600_WRITE(address, m6507_op_##op(&r));
#define A2600_M(op, mode) \
    A2600_AT_##mode(0) value = A2600_READ(address, noise); value = m6507_op_##op(&r, value); \
    A2600_WRITE(address, value);
#define A2600_N(op, mode) r.pc++; m6507_op_##op(&r);
#define A2600_S(op, mode) A2600_DO_##op


#define A2600_BRANCH(op) \
    r.pc += 2; \
    if (M6507_TAKEN_##op(&r)) { \
        base = (uint16_t)(r.pc + (int8_t)A2600_FETCH(r.pc - 1)); \
        cycle += 1 + (((base ^ r.pc) & 0xFF00) != 0); \
        r.pc = base; \
    }
#define A2600_DO_BCC A2600_BRANCH(BCC)
#define A2600_DO_BCS A2600_BRANCH(BCS)
#define A2600_DO_BEQ A2600_BRANCH(BEQ)
#define A2600_DO_BNE A2600_BRANCH(BNE)
#define A2600_DO_BMI A2600_BRANCH(BMI)
#define A2600_DO_BPL A2600_BRANCH(BPL)
#define A2600_DO_BVC A2600_BRANCH(BVC)
#define A2600_DO_BVS A2600_BRANCH(BVS)
#define A2600_DO_ASL r.pc++; r.a = m6507_op_ASL(&r, r.a);
#define A2600_DO_LSR r.pc++; r.a = m6507_op_LSR(&r, r.a);
#define A2600_DO_ROL r.pc++; r.a = m6507_op_ROL(&r, r.a);
#define A2600_DO_ROR r.pc++; r.a = m6507_op_ROR(&r, r.a);
#define A2600_DO_PHA r.pc++; A2600_PUSH(r.a);
#define A2600_DO_PHP r.pc++; A2600_PUSH(m6507_flags(&r));
#define A2600_DO_PLA r.pc++; m6507_op_LDA(&r, A2600_PULL());
#define A2600_DO_PLP r.pc++; m6507_set_flags(&r, A2600_PULL());
#define A2600_DO_JMP \
    base = A2600_FETCH_WORD(r.pc + 1); \
    if (opcode == 0x6C) { /* the high byte does not leave the pointer's page */ \
        uint16_t high = (uint16_t)((base & 0xFF00) | ((base + 1) & 0xFF)); \
        base = (uint16_t)(A2600_READ(base, base >> 8) | A2600_READ(high, base >> 8) << 8); \
    } \
    r.pc = base;
#define A2600_DO_JSR \
    base = A2600_FETCH_WORD(r.pc + 1); r.pc += 2; \
    A2600_PUSH((uint8_t)(r.pc >> 8)); A2600_PUSH((uint8_t)r.pc); r.pc = base;
#define A2600_DO_RTS \
    base = A2600_PULL(); base |= (uint16_t)(A2600_PULL() << 8); r.pc = (uint16_t)(base + 1);
#define A2600_DO_RTI \
    m6507_set_flags(&r, A2600_PULL()); base = A2600_PULL(); \
    base |= (uint16_t)(A2600_PULL() << 8); r.pc = base;
#define A2600_DO_BRK \
    r.pc += 2; A2600_PUSH((uint8_t)(r.pc >> 8)); A2600_PUSH((uint8_t)r.pc); \
    A2600_PUSH(m6507_flags(&r)); r.i = 1; r.pc = A2600_FETCH_WORD(0xFFFE);

#define X(code, op, mode, cycles, access) \
    A2600_OPCODE(code) \
    cycle += cycles; \
    A2600_##access(op, mode) \
    A2600_NEXT

/* Run up to `budget` instructions or to the end of the frame, wherever they lie; returns what is left of
 * the budget. */
#define A2600_FETCH(at) A2600_READ((uint16_t)(at), 0)
#define A2600_OPCODE(code) case code:
#define A2600_NEXT break;
A26_SLOW int32_t a2600_interpret_anywhere(
    a2600_t *s, const uint8_t *rom, tia_picture_t *picture, int32_t budget) {
    m6507_t r = s->cpu;
    int32_t cycle = s->cycle;
    uint16_t address, base;
    uint8_t noise, value;
    while (budget > 0 && !s->frame_over) {
        uint8_t opcode = A2600_FETCH(r.pc);
        budget--;
        switch (opcode) {
            M6507_OPCODES(X)
        default:
            s->error = A2600_BAD_OPCODE;
            s->error_opcode = opcode;
            s->frame_over = 1;
        }
    }
    s->cpu = r;
    s->cycle = cycle;
    return budget;
}

#ifdef A26_LABEL_VALUES
/* The same, faster where code lies in the ROM: a jump from each opcode to the next is predicted far better
 * than one jump for all, and operands need no look at their address. */
#undef A2600_FETCH
#undef A2600_OPCODE
#undef A2600_NEXT
#define A2600_FETCH(at) rom[(at) & 0xFFF]
#define A2600_OPCODE(code) opcode_##code:
#define A2600_NEXT \
    if (A26_UNLIKELY(budget <= 0 || s->frame_over)) \
        goto done; \
    if (A26_UNLIKELY((r.pc & 0x1FFFu) - 0x1000u > 0xFFDu || !labels[rom[r.pc & 0xFFF]])) \
        goto elsewhere; \
    budget--; \
    opcode = rom[r.pc & 0xFFF]; \
    goto *labels[opcode];
#define A2600_LABEL(code, op, mode, cycles, access) [code] = &&opcode_##code,
A26_SLOW int32_t a2600_interpret(a2600_t *s, const uint8_t *rom, tia_picture_t *picture, int32_t budget) {
    static const void *const labels[256] = {M6507_OPCODES(A2600_LABEL)};
    m6507_t r = s->cpu;
    int32_t cycle = s->cycle;
    uint16_t address, base;
    uint8_t noise, value, opcode;
again:
    A2600_NEXT
    M6507_OPCODES(X)
elsewhere: /* not in the ROM, at its end, or unknown */
    s->cpu = r;
    s->cycle = cycle;
    budget = a2600_interpret_anywhere(s, rom, picture, 1) + budget - 1;
    r = s->cpu;
    cycle = s->cycle;
    goto again;
done:
    s->cpu = r;
    s->cycle = cycle;
    return budget;
}
#else
#define a2600_interpret a2600_interpret_anywhere
#endif
#undef X

/* ---- frames ---------------------------------------------------------------------------------- */

A26_FN uint16_t a2600_vector(const uint8_t *rom, uint32_t at) {
    return (uint16_t)(rom[at & 0xFFF] | rom[(at + 1) & 0xFFF] << 8);
}

/* The reset switch of the hardware: RAM is kept. `timer` is what INTIM begins with. */
A26_FN void a2600_reset(a2600_t *s, const uint8_t *rom, uint8_t timer) {
    m6507_reset(&s->cpu, a2600_vector(rom, 0xFFC));
    tia_reset(&s->tia);
    s->riot.set_cycle = s->riot.mark_cycle = 0;
    s->riot.value = timer;
    s->riot.shift = 6;
    s->riot.marked = s->riot.swacnt = 0;
    s->cycle = s->frame_start_cycle = 0;
    s->unfinished = s->frame_over = 0;
    s->error = A2600_OK;
}

/* Make the cycle counter small again, and every time that is kept with it. */
A26_FN void a2600_begin_frame(a2600_t *s) {
    int32_t cycles = s->cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES;
    tia_t *t = &s->tia;
    s->cycle -= cycles;
    s->frame_start_cycle = s->cycle;
    s->frame_over = 0;
    riot_rebase(&s->riot, cycles);
    t->dump_release_cycle -= cycles;
    t->hmove_clock -= 3 * cycles;
    if (t->vsync_finish_clock != TIA_NEVER_CLOCKS)
        t->vsync_finish_clock -= 3 * cycles;
    t->last_clock = t->touched_clock = TIA_WINDOW_BEGIN_CLOCKS;
}

/* One frame, by interpretation alone. `picture` may be 0: none wanted. */
A26_SLOW void a2600_frame_interpreted(a2600_t *s, const uint8_t *rom, tia_picture_t *picture) {
    if (s->error)
        return;
    if (!s->unfinished)
        a2600_begin_frame(s);
    if (picture)
        picture->begin_clock = s->tia.last_clock;
    int32_t left = a2600_interpret(s, rom, picture, A2600_FRAME_INSTRUCTIONS);
    s->unfinished = left == 0 && !s->frame_over;
    tia_catch_up(&s->tia, s->tia.touched_clock, picture); /* writes of equal values were skipped */
}

#endif
