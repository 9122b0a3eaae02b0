/* MOS 6507: registers, flags, arithmetic, and the table of opcodes.
 *
 * The registers are those of the 6502: A, X, Y, SP, PC and the flags N V D I Z C. One thing is
 * particular: all cycles of an instruction are counted before its data access, as in the oracle.
 *
 *   M6507_OPCODES(X)    every instruction: the interpreter expands it (console/interpreter.h), and
 *                       translate/rom_disassembler.py reads it as text
 *   m6507_op_ADC(r, m)  and its kin: one operation on the registers
 *   m6507_flags, m6507_set_flags, M6507_TAKEN_BCC and its kin: the flags */
#ifndef M6507_H
#define M6507_H

#include "console/portability.h"

typedef struct {
    uint16_t pc;
    uint8_t a, x, y, sp;
    uint8_t n;          /* bit 7 is the N flag */
    uint8_t z;          /* the Z flag is set iff this is 0 */
    uint8_t c, v, d, i; /* 0 or 1 */
} m6507_t;

/* Addressing modes: IMP, ACC, IMM, ZP, ZPX, ZPY, ABS, ABX, ABY, IZX (zp,X), IZY (zp),Y, REL, IND.
 * Access: R read, W write, M read-modify-write, N none, S special.
 *
 * X(code, operation, mode, cycles, access) */
/* clang-format off */
#define M6507_OPCODES(X) \
    X(0x69, ADC, IMM, 2, R) X(0x65, ADC, ZP, 3, R) X(0x75, ADC, ZPX, 4, R) \
    X(0x6D, ADC, ABS, 4, R) X(0x7D, ADC, ABX, 4, R) X(0x79, ADC, ABY, 4, R) \
    X(0x61, ADC, IZX, 6, R) X(0x71, ADC, IZY, 5, R) \
    X(0x29, AND, IMM, 2, R) X(0x25, AND, ZP, 3, R) X(0x35, AND, ZPX, 4, R) \
    X(0x2D, AND, ABS, 4, R) X(0x3D, AND, ABX, 4, R) X(0x39, AND, ABY, 4, R) \
    X(0x21, AND, IZX, 6, R) X(0x31, AND, IZY, 5, R) \
    X(0x0A, ASL, ACC, 2, S) X(0x06, ASL, ZP, 5, M) X(0x16, ASL, ZPX, 6, M) \
    X(0x0E, ASL, ABS, 6, M) X(0x1E, ASL, ABX, 7, M) \
    X(0x90, BCC, REL, 2, S) X(0xB0, BCS, REL, 2, S) X(0xF0, BEQ, REL, 2, S) \
    X(0x30, BMI, REL, 2, S) X(0xD0, BNE, REL, 2, S) X(0x10, BPL, REL, 2, S) \
    X(0x50, BVC, REL, 2, S) X(0x70, BVS, REL, 2, S) \
    X(0x24, BIT, ZP, 3, R) X(0x2C, BIT, ABS, 4, R) \
    X(0x00, BRK, IMP, 7, S) \
    X(0x18, CLC, IMP, 2, N) X(0xD8, CLD, IMP, 2, N) X(0x58, CLI, IMP, 2, N) \
    X(0xB8, CLV, IMP, 2, N) \
    X(0xC9, CMP, IMM, 2, R) X(0xC5, CMP, ZP, 3, R) X(0xD5, CMP, ZPX, 4, R) \
    X(0xCD, CMP, ABS, 4, R) X(0xDD, CMP, ABX, 4, R) X(0xD9, CMP, ABY, 4, R) \
    X(0xC1, CMP, IZX, 6, R) X(0xD1, CMP, IZY, 5, R) \
    X(0xE0, CPX, IMM, 2, R) X(0xE4, CPX, ZP, 3, R) X(0xEC, CPX, ABS, 4, R) \
    X(0xC0, CPY, IMM, 2, R) X(0xC4, CPY, ZP, 3, R) X(0xCC, CPY, ABS, 4, R) \
    X(0xC6, DEC, ZP, 5, M) X(0xD6, DEC, ZPX, 6, M) X(0xCE, DEC, ABS, 6, M) X(0xDE, DEC, ABX, 7, M) \
    X(0xCA, DEX, IMP, 2, N) X(0x88, DEY, IMP, 2, N) \
    X(0x49, EOR, IMM, 2, R) X(0x45, EOR, ZP, 3, R) X(0x55, EOR, ZPX, 4, R) \
    X(0x4D, EOR, ABS, 4, R) X(0x5D, EOR, ABX, 4, R) X(0x59, EOR, ABY, 4, R) \
    X(0x41, EOR, IZX, 6, R) X(0x51, EOR, IZY, 5, R) \
    X(0xE6, INC, ZP, 5, M) X(0xF6, INC, ZPX, 6, M) X(0xEE, INC, ABS, 6, M) X(0xFE, INC, ABX, 7, M) \
    X(0xE8, INX, IMP, 2, N) X(0xC8, INY, IMP, 2, N) \
    X(0x4C, JMP, ABS, 3, S) X(0x6C, JMP, IND, 5, S) X(0x20, JSR, ABS, 6, S) \
    X(0xA9, LDA, IMM, 2, R) X(0xA5, LDA, ZP, 3, R) X(0xB5, LDA, ZPX, 4, R) \
    X(0xAD, LDA, ABS, 4, R) X(0xBD, LDA, ABX, 4, R) X(0xB9, LDA, ABY, 4, R) \
    X(0xA1, LDA, IZX, 6, R) X(0xB1, LDA, IZY, 5, R) \
    X(0xA2, LDX, IMM, 2, R) X(0xA6, LDX, ZP, 3, R) X(0xB6, LDX, ZPY, 4, R) \
    X(0xAE, LDX, ABS, 4, R) X(0xBE, LDX, ABY, 4, R) \
    X(0xA0, LDY, IMM, 2, R) X(0xA4, LDY, ZP, 3, R) X(0xB4, LDY, ZPX, 4, R) \
    X(0xAC, LDY, ABS, 4, R) X(0xBC, LDY, ABX, 4, R) \
    X(0x4A, LSR, ACC, 2, S) X(0x46, LSR, ZP, 5, M) X(0x56, LSR, ZPX, 6, M) \
    X(0x4E, LSR, ABS, 6, M) X(0x5E, LSR, ABX, 7, M) \
    X(0xEA, NOP, IMP, 2, N) \
    X(0x09, ORA, IMM, 2, R) X(0x05, ORA, ZP, 3, R) X(0x15, ORA, ZPX, 4, R) \
    X(0x0D, ORA, ABS, 4, R) X(0x1D, ORA, ABX, 4, R) X(0x19, ORA, ABY, 4, R) \
    X(0x01, ORA, IZX, 6, R) X(0x11, ORA, IZY, 5, R) \
    X(0x48, PHA, IMP, 3, S) X(0x08, PHP, IMP, 3, S) X(0x68, PLA, IMP, 4, S) \
    X(0x28, PLP, IMP, 4, S) \
    X(0x2A, ROL, ACC, 2, S) X(0x26, ROL, ZP, 5, M) X(0x36, ROL, ZPX, 6, M) \
    X(0x2E, ROL, ABS, 6, M) X(0x3E, ROL, ABX, 7, M) \
    X(0x6A, ROR, ACC, 2, S) X(0x66, ROR, ZP, 5, M) X(0x76, ROR, ZPX, 6, M) \
    X(0x6E, ROR, ABS, 6, M) X(0x7E, ROR, ABX, 7, M) \
    X(0x40, RTI, IMP, 6, S) X(0x60, RTS, IMP, 6, S) \
    X(0xE9, SBC, IMM, 2, R) X(0xE5, SBC, ZP, 3, R) X(0xF5, SBC, ZPX, 4, R) \
    X(0xED, SBC, ABS, 4, R) X(0xFD, SBC, ABX, 4, R) X(0xF9, SBC, ABY, 4, R) \
    X(0xE1, SBC, IZX, 6, R) X(0xF1, SBC, IZY, 5, R) \
    X(0x38, SEC, IMP, 2, N) X(0xF8, SED, IMP, 2, N) X(0x78, SEI, IMP, 2, N) \
    X(0x85, STA, ZP, 3, W) X(0x95, STA, ZPX, 4, W) X(0x8D, STA, ABS, 4, W) \
    X(0x9D, STA, ABX, 5, W) X(0x99, STA, ABY, 5, W) X(0x81, STA, IZX, 6, W) \
    X(0x91, STA, IZY, 6, W) \
    X(0x86, STX, ZP, 3, W) X(0x96, STX, ZPY, 4, W) X(0x8E, STX, ABS, 4, W) \
    X(0x84, STY, ZP, 3, W) X(0x94, STY, ZPX, 4, W) X(0x8C, STY, ABS, 4, W) \
    X(0xAA, TAX, IMP, 2, N) X(0xA8, TAY, IMP, 2, N) X(0xBA, TSX, IMP, 2, N) \
    X(0x8A, TXA, IMP, 2, N) X(0x9A, TXS, IMP, 2, N) X(0x98, TYA, IMP, 2, N) \
    /* undocumented, compared with the oracle; it counts 4 cycles for LAX zp, the hardware 3 */ \
    X(0x1A, NOP, IMP, 2, N) X(0x3A, NOP, IMP, 2, N) X(0x5A, NOP, IMP, 2, N) \
    X(0x7A, NOP, IMP, 2, N) \
    X(0xDA, NOP, IMP, 2, N) X(0xFA, NOP, IMP, 2, N) \
    X(0x80, NOR, IMM, 2, R) X(0x82, NOR, IMM, 2, R) X(0x89, NOR, IMM, 2, R) \
    X(0xC2, NOR, IMM, 2, R) X(0xE2, NOR, IMM, 2, R) \
    X(0x04, NOR, ZP, 3, R) X(0x44, NOR, ZP, 3, R) X(0x64, NOR, ZP, 3, R) \
    X(0x14, NOR, ZPX, 4, R) X(0x34, NOR, ZPX, 4, R) X(0x54, NOR, ZPX, 4, R) \
    X(0x74, NOR, ZPX, 4, R) X(0xD4, NOR, ZPX, 4, R) X(0xF4, NOR, ZPX, 4, R) \
    X(0x0C, NOR, ABS, 4, R) X(0x1C, NOR, ABX, 4, R) X(0x3C, NOR, ABX, 4, R) \
    X(0x5C, NOR, ABX, 4, R) X(0x7C, NOR, ABX, 4, R) X(0xDC, NOR, ABX, 4, R) \
    X(0xFC, NOR, ABX, 4, R) \
    X(0xA7, LAX, ZP, 4, R) X(0xB7, LAX, ZPY, 4, R) X(0xAF, LAX, ABS, 4, R) \
    X(0xBF, LAX, ABY, 4, R) X(0xA3, LAX, IZX, 6, R) X(0xB3, LAX, IZY, 5, R) \
    X(0x87, SAX, ZP, 3, W) X(0x97, SAX, ZPY, 4, W) X(0x8F, SAX, ABS, 4, W) X(0x83, SAX, IZX, 6, W) \
    X(0xC7, DCP, ZP, 5, M) X(0xD7, DCP, ZPX, 6, M) X(0xCF, DCP, ABS, 6, M) X(0xDF, DCP, ABX, 7, M) \
    X(0xDB, DCP, ABY, 7, M) X(0xC3, DCP, IZX, 8, M) X(0xD3, DCP, IZY, 8, M) \
    X(0xE7, ISC, ZP, 5, M) X(0xF7, ISC, ZPX, 6, M) X(0xEF, ISC, ABS, 6, M) X(0xFF, ISC, ABX, 7, M) \
    X(0xFB, ISC, ABY, 7, M) X(0xE3, ISC, IZX, 8, M) X(0xF3, ISC, IZY, 8, M) \
    X(0x07, SLO, ZP, 5, M) X(0x17, SLO, ZPX, 6, M) X(0x0F, SLO, ABS, 6, M) X(0x1F, SLO, ABX, 7, M) \
    X(0x1B, SLO, ABY, 7, M) X(0x03, SLO, IZX, 8, M) X(0x13, SLO, IZY, 8, M) \
    X(0x27, RLA, ZP, 5, M) X(0x37, RLA, ZPX, 6, M) X(0x2F, RLA, ABS, 6, M) X(0x3F, RLA, ABX, 7, M) \
    X(0x3B, RLA, ABY, 7, M) X(0x23, RLA, IZX, 8, M) X(0x33, RLA, IZY, 8, M) \
    X(0x47, SRE, ZP, 5, M) X(0x57, SRE, ZPX, 6, M) X(0x4F, SRE, ABS, 6, M) X(0x5F, SRE, ABX, 7, M) \
    X(0x5B, SRE, ABY, 7, M) X(0x43, SRE, IZX, 8, M) X(0x53, SRE, IZY, 8, M) \
    X(0x67, RRA, ZP, 5, M) X(0x77, RRA, ZPX, 6, M) X(0x6F, RRA, ABS, 6, M) X(0x7F, RRA, ABX, 7, M) \
    X(0x7B, RRA, ABY, 7, M) X(0x63, RRA, IZX, 8, M) X(0x73, RRA, IZY, 8, M) \
    X(0x0B, ANC, IMM, 2, R) X(0x2B, ANC, IMM, 2, R) X(0x4B, ALR, IMM, 2, R) \
    X(0xCB, AXS, IMM, 2, R) X(0xEB, SBC, IMM, 2, R)

/* Codes that are not in the table. The oracle stops there. */
#define M6507_UNKNOWN(X) \
    X(0x02) X(0x12) X(0x22) X(0x32) X(0x42) X(0x52) X(0x62) X(0x6B) X(0x72) X(0x8B) X(0x92) \
    X(0x93) X(0x9B) X(0x9C) X(0x9E) X(0x9F) X(0xAB) X(0xB2) X(0xBB) X(0xD2) X(0xF2)
/* clang-format on */

/* ---- operations on the registers ------------------------------------------------------------- */

A26_FN void m6507_nz(m6507_t *r, uint8_t value) { r->n = r->z = value; }

/* The digits may be invalid. */
A26_FN int32_t m6507_bin(int32_t bcd) { return (10 * (bcd >> 4) + (bcd & 15)) & 255; }

A26_FN uint8_t m6507_bcd(int32_t value) { return (uint8_t)((value % 100 / 10) << 4 | value % 10); }

/* Decimal arithmetic is rare, so it is not inlined. The carry is bit 8 of the sum. */
A26_SLOW uint32_t m6507_decimal_sum(uint32_t a, uint32_t m, uint32_t carry) {
    int32_t sum = m6507_bin((int32_t)a) + m6507_bin((int32_t)m) + (int32_t)carry;
    return m6507_bcd(sum & 255) | (uint32_t)(sum > 99) << 8;
}

A26_SLOW uint32_t m6507_decimal_difference(uint32_t a, uint32_t m, uint32_t borrow) {
    int32_t difference = m6507_bin((int32_t)a) - m6507_bin((int32_t)m) - (int32_t)borrow;
    if (difference < 0) difference += 100;
    return difference < 0 ? (uint8_t)m6507_bin(256 + difference) : m6507_bcd(difference);
}

A26_FN void m6507_op_ADC(m6507_t *r, uint8_t m) {
    uint32_t sum = (uint32_t)r->a + m + r->c;
    if (A26_UNLIKELY(r->d)) sum = m6507_decimal_sum(r->a, m, r->c);
    uint8_t a = r->a, result = (uint8_t)sum;
    r->c = (uint8_t)(sum >> 8);
    r->v = (uint8_t)((a ^ result) & (m ^ result)) >> 7;
    r->a = result;
    m6507_nz(r, result);
}

A26_FN void m6507_op_SBC(m6507_t *r, uint8_t m) {
    uint8_t a = r->a, borrow = 1 - r->c, result;
    uint8_t enough = a >= m + borrow;
    if (A26_UNLIKELY(r->d)) {
        result = (uint8_t)m6507_decimal_difference(a, m, borrow);
        r->v = (uint8_t)((a ^ result) & (m ^ result)) >> 7;
    } else {
        result = (uint8_t)(a - m - borrow);
        r->v = (uint8_t)((a ^ result) & (a ^ m)) >> 7;
    }
    r->c = enough;
    r->a = result;
    m6507_nz(r, result);
}

A26_FN void m6507_compare(m6507_t *r, uint8_t reg, uint8_t m) {
    r->c = reg >= m;
    m6507_nz(r, (uint8_t)(reg - m));
}

A26_FN void m6507_op_CMP(m6507_t *r, uint8_t m) { m6507_compare(r, r->a, m); }
A26_FN void m6507_op_CPX(m6507_t *r, uint8_t m) { m6507_compare(r, r->x, m); }
A26_FN void m6507_op_CPY(m6507_t *r, uint8_t m) { m6507_compare(r, r->y, m); }
A26_FN void m6507_op_AND(m6507_t *r, uint8_t m) { m6507_nz(r, r->a &= m); }
A26_FN void m6507_op_ORA(m6507_t *r, uint8_t m) { m6507_nz(r, r->a |= m); }
A26_FN void m6507_op_EOR(m6507_t *r, uint8_t m) { m6507_nz(r, r->a ^= m); }
A26_FN void m6507_op_LDA(m6507_t *r, uint8_t m) { m6507_nz(r, r->a = m); }
A26_FN void m6507_op_LDX(m6507_t *r, uint8_t m) { m6507_nz(r, r->x = m); }
A26_FN void m6507_op_LDY(m6507_t *r, uint8_t m) { m6507_nz(r, r->y = m); }
A26_FN void m6507_op_LAX(m6507_t *r, uint8_t m) { m6507_nz(r, r->a = r->x = m); }
A26_FN void m6507_op_NOR(m6507_t *r, uint8_t m) { (void)r, (void)m; } /* a NOP that reads */

A26_FN void m6507_op_BIT(m6507_t *r, uint8_t m) {
    r->n = m;
    r->v = m >> 6 & 1;
    r->z = r->a & m;
}

A26_FN void m6507_op_ANC(m6507_t *r, uint8_t m) {
    m6507_op_AND(r, m);
    r->c = r->a >> 7;
}

A26_FN void m6507_op_AXS(m6507_t *r, uint8_t m) {
    uint8_t both = r->a & r->x;
    r->c = both >= m;
    m6507_nz(r, r->x = (uint8_t)(both - m));
}

A26_FN uint8_t m6507_op_ASL(m6507_t *r, uint8_t m) {
    r->c = m >> 7;
    m6507_nz(r, m = (uint8_t)(m << 1));
    return m;
}

A26_FN uint8_t m6507_op_LSR(m6507_t *r, uint8_t m) {
    r->c = m & 1;
    m6507_nz(r, m >>= 1);
    return m;
}

A26_FN uint8_t m6507_op_ROL(m6507_t *r, uint8_t m) {
    uint8_t in = r->c;
    r->c = m >> 7;
    m6507_nz(r, m = (uint8_t)(m << 1 | in));
    return m;
}

A26_FN uint8_t m6507_op_ROR(m6507_t *r, uint8_t m) {
    uint8_t in = (uint8_t)(r->c << 7);
    r->c = m & 1;
    m6507_nz(r, m = (uint8_t)(m >> 1 | in));
    return m;
}

A26_FN void m6507_op_ALR(m6507_t *r, uint8_t m) { r->a = m6507_op_LSR(r, r->a & m); }

A26_FN uint8_t m6507_op_INC(m6507_t *r, uint8_t m) {
    m6507_nz(r, ++m);
    return m;
}

A26_FN uint8_t m6507_op_DEC(m6507_t *r, uint8_t m) {
    m6507_nz(r, --m);
    return m;
}

A26_FN uint8_t m6507_op_DCP(m6507_t *r, uint8_t m) {
    m6507_compare(r, r->a, --m);
    return m;
}

A26_FN uint8_t m6507_op_ISC(m6507_t *r, uint8_t m) {
    m6507_op_SBC(r, ++m);
    return m;
}

A26_FN uint8_t m6507_op_SLO(m6507_t *r, uint8_t m) {
    m = m6507_op_ASL(r, m);
    m6507_op_ORA(r, m);
    return m;
}

A26_FN uint8_t m6507_op_RLA(m6507_t *r, uint8_t m) {
    m = m6507_op_ROL(r, m);
    m6507_op_AND(r, m);
    return m;
}

A26_FN uint8_t m6507_op_SRE(m6507_t *r, uint8_t m) {
    m = m6507_op_LSR(r, m);
    m6507_op_EOR(r, m);
    return m;
}

A26_FN uint8_t m6507_op_RRA(m6507_t *r, uint8_t m) {
    m = m6507_op_ROR(r, m);
    m6507_op_ADC(r, m);
    return m;
}

A26_FN uint8_t m6507_op_STA(const m6507_t *r) { return r->a; }
A26_FN uint8_t m6507_op_STX(const m6507_t *r) { return r->x; }
A26_FN uint8_t m6507_op_STY(const m6507_t *r) { return r->y; }
A26_FN uint8_t m6507_op_SAX(const m6507_t *r) { return r->a & r->x; }

A26_FN void m6507_op_NOP(m6507_t *r) { (void)r; }
A26_FN void m6507_op_CLC(m6507_t *r) { r->c = 0; }
A26_FN void m6507_op_SEC(m6507_t *r) { r->c = 1; }
A26_FN void m6507_op_CLD(m6507_t *r) { r->d = 0; }
A26_FN void m6507_op_SED(m6507_t *r) { r->d = 1; }
A26_FN void m6507_op_CLI(m6507_t *r) { r->i = 0; }
A26_FN void m6507_op_SEI(m6507_t *r) { r->i = 1; }
A26_FN void m6507_op_CLV(m6507_t *r) { r->v = 0; }
A26_FN void m6507_op_INX(m6507_t *r) { m6507_nz(r, ++r->x); }
A26_FN void m6507_op_INY(m6507_t *r) { m6507_nz(r, ++r->y); }
A26_FN void m6507_op_DEX(m6507_t *r) { m6507_nz(r, --r->x); }
A26_FN void m6507_op_DEY(m6507_t *r) { m6507_nz(r, --r->y); }
A26_FN void m6507_op_TAX(m6507_t *r) { m6507_nz(r, r->x = r->a); }
A26_FN void m6507_op_TAY(m6507_t *r) { m6507_nz(r, r->y = r->a); }
A26_FN void m6507_op_TXA(m6507_t *r) { m6507_nz(r, r->a = r->x); }
A26_FN void m6507_op_TYA(m6507_t *r) { m6507_nz(r, r->a = r->y); }
A26_FN void m6507_op_TSX(m6507_t *r) { m6507_nz(r, r->x = r->sp); }
A26_FN void m6507_op_TXS(m6507_t *r) { r->sp = r->x; }

/* The flags as PHP and BRK push them: NV11DIZC. */
A26_FN uint8_t m6507_flags(const m6507_t *r) {
    return (uint8_t)((r->n & 0x80) | r->v << 6 | 0x30 | r->d << 3 | r->i << 2 | (r->z == 0) << 1
                     | r->c);
}

A26_FN void m6507_set_flags(m6507_t *r, uint8_t flags) {
    r->n = flags;
    r->v = flags >> 6 & 1;
    r->d = flags >> 3 & 1;
    r->i = flags >> 2 & 1;
    r->z = !(flags >> 1 & 1);
    r->c = flags & 1;
}

#define M6507_TAKEN_BCC(r) (!(r)->c)
#define M6507_TAKEN_BCS(r) ((r)->c)
#define M6507_TAKEN_BEQ(r) ((r)->z == 0)
#define M6507_TAKEN_BNE(r) ((r)->z != 0)
#define M6507_TAKEN_BMI(r) ((r)->n & 0x80)
#define M6507_TAKEN_BPL(r) (!((r)->n & 0x80))
#define M6507_TAKEN_BVC(r) (!(r)->v)
#define M6507_TAKEN_BVS(r) ((r)->v)

A26_FN void m6507_reset(m6507_t *r, uint16_t vector) {
    r->a = r->x = r->y = r->n = r->c = r->v = r->d = r->i = 0;
    r->z = 1;
    r->sp = 0xFF;
    r->pc = vector;
}

#endif
