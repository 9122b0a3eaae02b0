/* Atari 2600 console: chips and RAM by value, address decoding, the interpreter, one frame.
 *
 * The state has no pointers: saving, restoring and resetting are copies of a2600_t. The ROM (4096
 * bytes, a 2 KB one twice) and the picture are given to each call. */
#ifndef A2600_H
#define A2600_H

#include "console/portability.h"
#include "console/m6507.h"
#include "console/riot.h"
#include "console/tia_registers.h"

#define A2600_LAYOUT_VERSION 2 /* to be raised with every change of a2600_t */

#define A2600_LINE_CYCLES 76
#define A2600_LAST_LINE 291            /* a TIA write from this line on ends the frame */
#define A2600_FRAME_INSTRUCTIONS 25000 /* a call's budget: then the frame stays unfinished */
#define A2600_ENDLESS_CYCLES (1 << 24)
#define A2600_LONG_AGO_CLOCKS (-(1 << 30))
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
    uint8_t error; /* A2600_OK, or why the console has stopped for good */
    uint8_t error_opcode;
    uint8_t
        bus; /* the last byte on the data bus, where the next fetch may read it (A2600_JUMPED) */
    uint8_t ram[128];
    uint8_t unused[7];
} a2600_t;

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
    if (t->touched_clock > clock) /* by another push of the same instruction: its delay counts */
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

/* ---- interpreter ----------------------------------------------------------------------------- */

/* clang-format off */
/* Within a2600_interpret: `r` registers, `cycle` the clock, A2600_FETCH(k) byte k of the instruction, before
 * A2600_ADVANCE(its length); A2600_PC where that leads, A2600_GO(where a jump leads). */
#define A2600_READ(address, noise) \
    A2600_ON_BUS(A26_LIKELY((address) & 0x1000) ? rom[(address) & 0xFFF] \
                 : ((address) & 0x280) == 0x80 ? s->ram[(address) & 0x7F] \
                 : a2600_read_io(s, (uint16_t)(address), (uint8_t)(noise), cycle, picture))
#define A2600_WRITE(address, value) \
    do { \
        uint16_t to_ = (uint16_t)(address); \
        uint8_t byte_ = A2600_ON_BUS(value); \
        if ((to_ & 0x1280) == 0x80) \
            s->ram[to_ & 0x7F] = byte_; \
        else \
            A2600_WRITE_IO(to_, byte_) \
    } while (0)
#define A2600_FETCH_WORD(word) word = A2600_FETCH(1); word |= (uint16_t)(A2600_FETCH(2) << 8);
#define A2600_PUSH(value) \
    do { \
        A2600_WRITE(0x100 | r.sp, (value)); \
        r.sp--; \
    } while (0)
/* The second or third push of JSR and BRK: there the oracle does not wait at WSYNC. */
#define A2600_PUSH_AGAIN(value) \
    do { \
        int32_t now_ = cycle; \
        A2600_PUSH(value); \
        cycle = now_; \
    } while (0)
/* Like the hardware the oracle reads at SP before SP moves on. That is seen only where SP wraps from
 * $FF, the last byte of RAM, to $00 in the TIA: it drives two bits, the others stay those of the RAM. */
#define A2600_PULL(noise) (r.sp++, A2600_READ(0x100 | r.sp, r.sp ? (noise) : s->ram[0x7F]))

/* Addressing modes set `address` and `noise` and move r.pc; CROSS tells those that may leave a page. */
#define A2600_AT_ZP(cross) address = A2600_FETCH(1); noise = (uint8_t)address; A2600_ADVANCE(2)
#define A2600_AT_ZPI(index) \
    noise = A2600_FETCH(1); address = (uint8_t)(noise + (index)); A2600_ADVANCE(2)
#define A2600_AT_ZPX(cross) A2600_AT_ZPI(r.x)
#define A2600_AT_ZPY(cross) A2600_AT_ZPI(r.y)
#define A2600_AT_ABS(cross) \
    A2600_FETCH_WORD(address) noise = (uint8_t)(address >> 8); A2600_ADVANCE(3)
#define A2600_AT_ABI(cross, index) \
    A2600_FETCH_WORD(base) noise = (uint8_t)(base >> 8); A2600_ADVANCE(3) \
    address = (uint16_t)(base + (index)); cycle += (cross) && ((base ^ address) & 0x100);
#define A2600_AT_ABX(cross) A2600_AT_ABI(cross, r.x)
#define A2600_AT_ABY(cross) A2600_AT_ABI(cross, r.y)
#define A2600_POINTER(zp, operand) \
    base = A2600_READ((uint8_t)(zp), (operand)); \
    base |= (uint16_t)(A2600_READ((uint8_t)((zp) + 1), base) << 8); noise = (uint8_t)(base >> 8);
#define A2600_AT_IZX(cross) \
    value = A2600_FETCH(1); noise = (uint8_t)(value + r.x); A2600_ADVANCE(2) \
    A2600_POINTER(noise, value) address = base;
#define A2600_AT_IZY(cross) \
    noise = A2600_FETCH(1); A2600_ADVANCE(2) A2600_POINTER(noise, noise) \
    address = (uint16_t)(base + r.y); cycle += (cross) && ((base ^ address) & 0x100);

#define A2600_AT_IMM(cross) value = A2600_FETCH(1); A2600_ADVANCE(2)
#define A2600_LOAD_IMM value
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
#define A2600_N(op, mode) A2600_ADVANCE(1) m6507_op_##op(&r);
#define A2600_S(op, mode) A2600_DO_##op

#define A2600_BRANCH(op) \
    if (M6507_TAKEN_##op(&r)) { \
        value = A2600_FETCH(1); \
        address = (uint16_t)(A2600_PC + 2); \
        base = (uint16_t)(address + (int8_t)value); \
        if (A26_UNLIKELY(!(base & 0x1000))) { \
            A2600_JUMPED(value) \
        } \
        cycle += 1 + (((base ^ address) & 0xFF00) != 0); \
        A2600_GO(base) \
    } else { \
        A2600_ADVANCE(2) \
    }
#define A2600_DO_BCC A2600_BRANCH(BCC)
#define A2600_DO_BCS A2600_BRANCH(BCS)
#define A2600_DO_BEQ A2600_BRANCH(BEQ)
#define A2600_DO_BNE A2600_BRANCH(BNE)
#define A2600_DO_BMI A2600_BRANCH(BMI)
#define A2600_DO_BPL A2600_BRANCH(BPL)
#define A2600_DO_BVC A2600_BRANCH(BVC)
#define A2600_DO_BVS A2600_BRANCH(BVS)
#define A2600_DO_ASL A2600_ADVANCE(1) r.a = m6507_op_ASL(&r, r.a);
#define A2600_DO_LSR A2600_ADVANCE(1) r.a = m6507_op_LSR(&r, r.a);
#define A2600_DO_ROL A2600_ADVANCE(1) r.a = m6507_op_ROL(&r, r.a);
#define A2600_DO_ROR A2600_ADVANCE(1) r.a = m6507_op_ROR(&r, r.a);
#define A2600_DO_PHA A2600_ADVANCE(1) A2600_PUSH(r.a);
#define A2600_DO_PHP A2600_ADVANCE(1) A2600_PUSH(m6507_flags(&r));
#define A2600_DO_PLA A2600_ADVANCE(1) m6507_op_LDA(&r, A2600_PULL(0x68));
#define A2600_DO_PLP A2600_ADVANCE(1) m6507_set_flags(&r, A2600_PULL(0x28));
#define A2600_DO_JMP \
    A2600_FETCH_WORD(base) \
    if (opcode == 0x6C) { /* the high byte does not leave the pointer's page */ \
        address = (uint16_t)((base & 0xFF00) | ((base + 1) & 0xFF)); \
        base = A2600_READ(base, base >> 8); \
        base |= (uint16_t)(A2600_READ(address, base) << 8); \
    } \
    A2600_JUMPED(base >> 8) A2600_GO(base)
#define A2600_DO_JSR \
    base = A2600_FETCH(1); address = (uint16_t)(A2600_PC + 2); \
    A2600_PUSH((uint8_t)(address >> 8)); A2600_PUSH_AGAIN((uint8_t)address); \
    base |= (uint16_t)(A2600_FETCH(2) << 8); /* fetched last */ \
    A2600_JUMPED(base >> 8) A2600_GO(base)
/* RTS reads at the address that it pulled before it goes on to the next. INTIM there keeps a mark. */
#define A2600_DO_RTS \
    base = A2600_PULL(0x60); base |= (uint16_t)(A2600_PULL(base) << 8); address = (uint16_t)(base + 1); \
    value = (uint8_t)(base >> 8); \
    if (A26_UNLIKELY(!(address & 0x1000))) \
        value = A2600_READ(base, value); \
    A2600_JUMPED(value) A2600_GO(address)
#define A2600_DO_RTI \
    value = A2600_PULL(0x40); m6507_set_flags(&r, value); base = A2600_PULL(value); \
    base |= (uint16_t)(A2600_PULL(base) << 8); A2600_JUMPED(base >> 8) A2600_GO(base)
/* BRK reads the byte after it, which may be INTIM too. */
#define A2600_DO_BRK \
    (void)A2600_FETCH(1); address = (uint16_t)(A2600_PC + 2); \
    A2600_PUSH((uint8_t)(address >> 8)); A2600_PUSH_AGAIN((uint8_t)address); \
    A2600_PUSH_AGAIN(m6507_flags(&r)); r.i = 1; base = A2600_READ(0xFFFE, 0); \
    base |= (uint16_t)(A2600_READ(0xFFFF, 0) << 8); A2600_JUMPED(base >> 8) A2600_GO(base)

#define X(code, op, mode, cycles, access) \
    A2600_OPCODE(code) \
    cycle += cycles; \
    A2600_##access(op, mode) \
    A2600_NEXT

/* Run up to `budget` instructions or to the end of the frame, wherever they lie; returns what is left of
 * the budget. Only code at the TIA's addresses can see the data bus: undriven bits of a fetch there read
 * as those of the last byte on it. So only here each byte is kept (`bus`). A fetch from the ROM is a byte
 * of its own; whoever runs code in the ROM alone keeps the last byte of what may lead away from there. */
#define A2600_ON_BUS(value) (bus = (value))
#define A2600_JUMPED(byte)
#define A2600_FETCH(k) A2600_READ((uint16_t)(r.pc + (k)), bus)
#define A2600_ADVANCE(bytes) r.pc += (bytes);
#define A2600_PC r.pc
#define A2600_GO(to) r.pc = (to);
#define A2600_WRITE_IO(to, byte) cycle = a2600_write(s, (to), (byte), cycle, picture);
#define A2600_OPCODE(code) case code:
#define A2600_NEXT break;
A26_SLOW int32_t a2600_interpret_anywhere(
    a2600_t *s, const uint8_t *rom, tia_picture_t *picture, int32_t budget) {
    m6507_t r = s->cpu;
    int32_t cycle = s->cycle;
    uint16_t address, base;
    uint8_t noise, value, bus = s->bus;
    while (budget > 0 && !s->frame_over) {
        uint8_t opcode = A2600_FETCH(0);
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
    s->bus = bus;
    return budget;
}

#undef A2600_ON_BUS
#undef A2600_JUMPED
#define A2600_ON_BUS(value) (value)
#define A2600_JUMPED(byte) s->bus = (uint8_t)(byte);

#ifdef A26_LABEL_VALUES
/* The same, faster where code lies in the ROM: a jump from each opcode to the next is predicted far better
 * than one jump for all, operands need no look at their address, and only a write to a chip can end the
 * frame: it ends the budget too. Up to the last bytes of the ROM, which must not be left but by a jump. */
#undef A2600_FETCH
#undef A2600_ADVANCE
#undef A2600_PC
#undef A2600_GO
#undef A2600_WRITE_IO
#undef A2600_OPCODE
#undef A2600_NEXT
#define A2600_FETCH(k) code[k]
#define A2600_ADVANCE(bytes) code += (bytes);
#define A2600_PC (uint16_t)((r.pc & 0xF000) | (code - rom)) /* r.pc tells the mirror of the ROM */
#define A2600_GO(to) \
    r.pc = (to); \
    code = rom + (r.pc & 0xFFF); \
    if (A26_UNLIKELY(!(r.pc & 0x1000))) \
        goto away;
#define A2600_WRITE_IO(to, byte) \
    { \
        cycle = a2600_write(s, (to), (byte), cycle, picture); \
        if (A26_UNLIKELY(s->frame_over)) \
            budget = 0; \
    }
#define A2600_OPCODE(code) opcode_##code:
#define A2600_NEXT \
    if (A26_UNLIKELY(--budget < 0)) \
        goto done; \
    if (A26_UNLIKELY(code > last)) \
        goto elsewhere; \
    opcode = *code; \
    goto *labels[opcode];
#define A2600_LABEL(code, op, mode, cycles, access) [code] = &&opcode_##code,
#define A2600_NO_LABEL(code) [code] = &&elsewhere,
A26_SLOW int32_t a2600_interpret(a2600_t *s, const uint8_t *rom, tia_picture_t *picture, int32_t budget) {
    static const void *const labels[256] = {M6507_OPCODES(A2600_LABEL) M6507_UNKNOWN(A2600_NO_LABEL)};
    m6507_t r = s->cpu;
    int32_t cycle = s->cycle;
    uint16_t address, base;
    uint8_t noise, value, opcode;
    const uint8_t *code, *const last = rom + 0xFFC;
    if (s->frame_over)
        return budget;
again:
    A2600_GO(r.pc)
    A2600_NEXT
    M6507_OPCODES(X)
away:
    if (--budget < 0)
        goto done;
elsewhere: /* this instruction is not in the ROM, at its end, or unknown */
    r.pc = A2600_PC;
    s->cpu = r;
    s->cycle = cycle;
    a2600_interpret_anywhere(s, rom, picture, 1);
    if (s->frame_over)
        budget = 0;
    r = s->cpu;
    cycle = s->cycle;
    goto again;
done:
    r.pc = A2600_PC;
    s->cpu = r;
    s->cycle = cycle;
    return 0;
}
#else
#define a2600_interpret a2600_interpret_anywhere
#endif
#undef X
/* clang-format on */

/* ---- frames ---------------------------------------------------------------------------------- */

A26_FN uint16_t a2600_vector(const uint8_t *rom, uint32_t at) {
    return (uint16_t)(rom[at & 0xFFF] | rom[(at + 1) & 0xFFF] << 8);
}

/* The reset switch of the hardware: RAM is kept. `timer` is what INTIM begins with. */
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

/* A clock that is only asked whether it is near: what is long past grows no older. */
A26_FN int32_t a2600_earlier(int32_t clock, int32_t by) {
    return clock < A2600_LONG_AGO_CLOCKS ? clock : clock - by;
}

/* Make the cycle counter smaller, and every time that is kept with it. A timer, a paddle's release
 * may be older than 31 bits of cycles: they wrap. */
A26_FN void a2600_rebase(a2600_t *s, int32_t cycles) {
    tia_t *t = &s->tia;
    s->cycle -= cycles;
    riot_rebase(&s->riot, cycles);
    t->dump_release_cycle = (int32_t)((uint32_t)t->dump_release_cycle - (uint32_t)cycles);
    t->hmove_clock = a2600_earlier(t->hmove_clock, 3 * cycles);
    if (t->vsync_finish_clock != TIA_NEVER_CLOCKS)
        t->vsync_finish_clock = a2600_earlier(t->vsync_finish_clock, 3 * cycles);
}

A26_FN void a2600_begin_frame(a2600_t *s) {
    a2600_rebase(s, s->cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES);
    s->frame_start_cycle = s->cycle;
    s->frame_over = 0;
    s->tia.last_clock = s->tia.touched_clock = TIA_WINDOW_BEGIN_CLOCKS;
}

/* A frame that goes on for ever must not run out of integers: keep it below the picture. */
A26_FN void a2600_continue_frame(a2600_t *s) {
    int32_t cycles =
        s->cycle / A2600_LINE_CYCLES * A2600_LINE_CYCLES - A2600_LAST_LINE * A2600_LINE_CYCLES;
    if (s->cycle > A2600_ENDLESS_CYCLES) {
        a2600_rebase(s, cycles);
        s->frame_start_cycle = (int32_t)((uint32_t)s->frame_start_cycle - (uint32_t)cycles);
    }
}

/* One frame, by interpretation alone. `picture` may be 0: none wanted. */
A26_SLOW void a2600_frame_interpreted(a2600_t *s, const uint8_t *rom, tia_picture_t *picture) {
    if (s->error) return;
    if (s->unfinished)
        a2600_continue_frame(s);
    else
        a2600_begin_frame(s);
    if (picture) picture->begin_clock = s->tia.last_clock;
    int32_t left = a2600_interpret(s, rom, picture, A2600_FRAME_INSTRUCTIONS);
    s->unfinished = left == 0 && !s->frame_over;
    tia_catch_up(&s->tia, s->tia.touched_clock, picture); /* writes of equal values were skipped */
}

#endif
