/* The interpreter of 6507 instructions. It has no include guard: console/a2600.h includes it once
 * for each variant. It defines one function and leaves nothing else defined:
 *
 *   int32_t NAME(a2600_t *s, const uint8_t *rom, tia_picture_t *picture, int32_t budget)
 *
 * The function runs up to `budget` instructions, or to the end of the frame. It returns what is
 * left of the budget.
 *
 * Parameters, undefined at the end:
 *
 *   A2600_INTERPRETER         the function's name
 *   A2600_INTERPRETER_IN_ROM  which variant:
 *
 *     0  runs any code, with one switch for all instructions. A fetch at the TIA's addresses sees
 *        the last byte on the data bus in its undriven bits, so every byte is kept in `bus`.
 *     1  is fast for code in the ROM. It needs GNU C's labels as values: each instruction jumps to
 *        the next by itself, which is predicted far better than one jump for all. Operands are
 *        fetched without decoding their address, up to the last bytes of the ROM. Only a write to a
 *        chip can end the frame, and it then ends the budget. Other instructions are handed to
 *        a2600_interpret_anywhere. `bus` is kept only where a jump may leave the ROM. */
#if !defined(A2600_INTERPRETER) || !defined(A2600_INTERPRETER_IN_ROM)
#error "console/interpreter.h: define A2600_INTERPRETER and A2600_INTERPRETER_IN_ROM"
#endif

/* clang-format off */

/* ---- what the variants differ in ------------------------------------------------------------- */

/* A2600_ON_BUS(value) a value that passes the data bus A2600_JUMPED(byte) a jump may leave the ROM;
 * `byte` is the last on the bus A2600_FETCH(k) byte k of the instruction, before A2600_ADVANCE(its
 * length) A2600_PC the address of the next fetch A2600_GO(to) jump A2600_WRITE_IO write to a chip
 * A2600_OPCODE(code), A2600_NEXT surround each instruction */
#if A2600_INTERPRETER_IN_ROM
#define A2600_ON_BUS(value) (value)
#define A2600_JUMPED(byte) s->bus = (uint8_t)(byte);
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
#else
#define A2600_ON_BUS(value) (bus = (value))
#define A2600_JUMPED(byte)
#define A2600_FETCH(k) A2600_READ((uint16_t)(r.pc + (k)), bus)
#define A2600_ADVANCE(bytes) r.pc += (bytes);
#define A2600_PC r.pc
#define A2600_GO(to) r.pc = (to);
#define A2600_WRITE_IO(to, byte) cycle = a2600_write(s, (to), (byte), cycle, picture);
#define A2600_OPCODE(code) case code:
#define A2600_NEXT break;
#endif

/* ---- memory ---------------------------------------------------------------------------------- */

#define A2600_READ(address, noise) A2600_ON_BUS(A2600_READ_ADDRESS(address, noise))
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

/* ---- addressing modes: set `address` and `noise`, and advance. `cross`: a page may be left --- */

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

/* ---- instructions by their access (console/m6507.h) ------------------------------------------ */

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
#define A2600_DO_RTS A2600_PULL_RTS A2600_JUMPED(value) A2600_GO(address)
#define A2600_DO_RTI A2600_PULL_RTI A2600_JUMPED(base >> 8) A2600_GO(base)
/* BRK reads the byte after it, which may be INTIM too. */
#define A2600_DO_BRK \
    (void)A2600_FETCH(1); address = (uint16_t)(A2600_PC + 2); \
    A2600_PUSH((uint8_t)(address >> 8)); A2600_PUSH_AGAIN((uint8_t)address); \
    A2600_PUSH_AGAIN(m6507_flags(&r)); r.i = 1; base = A2600_READ(0xFFFE, 0); \
    base |= (uint16_t)(A2600_READ(0xFFFF, 0) << 8); A2600_JUMPED(base >> 8) A2600_GO(base)

#define A2600_INSTRUCTION(code, op, mode, cycles, access) \
    A2600_OPCODE(code) \
    cycle += cycles; \
    A2600_##access(op, mode) \
    A2600_NEXT

/* ---- the function ---------------------------------------------------------------------------- */

#if A2600_INTERPRETER_IN_ROM
#define A2600_LABEL(code, op, mode, cycles, access) [code] = &&opcode_##code,
#define A2600_NO_LABEL(code) [code] = &&elsewhere,
A26_SLOW int32_t A2600_INTERPRETER(a2600_t *s, const uint8_t *rom, tia_picture_t *picture,
                                   int32_t budget) {
    static const void *const labels[256] = {
        M6507_OPCODES(A2600_LABEL) M6507_UNKNOWN(A2600_NO_LABEL)};
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
    M6507_OPCODES(A2600_INSTRUCTION)
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
#undef A2600_LABEL
#undef A2600_NO_LABEL
#else
A26_SLOW int32_t A2600_INTERPRETER(a2600_t *s, const uint8_t *rom, tia_picture_t *picture,
                                   int32_t budget) {
    m6507_t r = s->cpu;
    int32_t cycle = s->cycle;
    uint16_t address, base;
    uint8_t noise, value, bus = s->bus;
    while (budget > 0 && !s->frame_over) {
        uint8_t opcode = A2600_FETCH(0);
        budget--;
        switch (opcode) {
            M6507_OPCODES(A2600_INSTRUCTION)
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
#endif

/* ---- nothing stays defined ------------------------------------------------------------------- */

#undef A2600_ON_BUS
#undef A2600_JUMPED
#undef A2600_FETCH
#undef A2600_ADVANCE
#undef A2600_PC
#undef A2600_GO
#undef A2600_WRITE_IO
#undef A2600_OPCODE
#undef A2600_NEXT
#undef A2600_READ
#undef A2600_WRITE
#undef A2600_FETCH_WORD
#undef A2600_PUSH
#undef A2600_PUSH_AGAIN
#undef A2600_AT_ZP
#undef A2600_AT_ZPI
#undef A2600_AT_ZPX
#undef A2600_AT_ZPY
#undef A2600_AT_ABS
#undef A2600_AT_ABI
#undef A2600_AT_ABX
#undef A2600_AT_ABY
#undef A2600_POINTER
#undef A2600_AT_IZX
#undef A2600_AT_IZY
#undef A2600_AT_IMM
#undef A2600_LOAD_IMM
#undef A2600_LOAD_ZP
#undef A2600_LOAD_ZPX
#undef A2600_LOAD_ZPY
#undef A2600_LOAD_ABS
#undef A2600_LOAD_ABX
#undef A2600_LOAD_ABY
#undef A2600_LOAD_IZX
#undef A2600_LOAD_IZY
#undef A2600_R
#undef A2600_W
#undef A2600_M
#undef A2600_N
#undef A2600_S
#undef A2600_BRANCH
#undef A2600_DO_BCC
#undef A2600_DO_BCS
#undef A2600_DO_BEQ
#undef A2600_DO_BNE
#undef A2600_DO_BMI
#undef A2600_DO_BPL
#undef A2600_DO_BVC
#undef A2600_DO_BVS
#undef A2600_DO_ASL
#undef A2600_DO_LSR
#undef A2600_DO_ROL
#undef A2600_DO_ROR
#undef A2600_DO_PHA
#undef A2600_DO_PHP
#undef A2600_DO_PLA
#undef A2600_DO_PLP
#undef A2600_DO_JMP
#undef A2600_DO_JSR
#undef A2600_DO_RTS
#undef A2600_DO_RTI
#undef A2600_DO_BRK
#undef A2600_INSTRUCTION
#undef A2600_INTERPRETER
#undef A2600_INTERPRETER_IN_ROM
/* clang-format on */
