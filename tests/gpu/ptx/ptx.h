/* PTX instructions as C functions, see ptx_to_c.py. Integers are passed as C integers,
 * floating-point numbers as their bits. Approximate instructions are as exact as C's functions
 * here. Source: PTX ISA 8.8, section "Instruction Set". */
#include "gpu.h"

#include <math.h>
#include <string.h>

#define OP static inline __attribute__((always_inline))

#ifdef GPU_CHECK
/* A value in memory that other threads see, after a check of the access; how: 0 read, 1 write, 2
 * atomic. */
#define GPU_AT(type, address, how, line) \
    (*({ \
        const uint64_t where = (address); \
        gpu_check(thread, where, sizeof(type), how, UNIT, line); \
        (type *)where; \
    }))
#elif defined GPU_COUNT
#define GPU_AT(type, address, how, line) \
    (*({ \
        const uint64_t where = (address); \
        gpu_access(thread, where, sizeof(type), how); \
        (type *)where; \
    }))
#else
#define GPU_AT(type, address, how, line) (*(type *)(address))
#endif
#ifdef GPU_COUNT
static uint32_t counted;
#define GPU_COUNT_INSTRUCTION(line, cost) gpu_count(thread, &counted, line, cost);
#else
#define GPU_COUNT_INSTRUCTION(line, cost)
#endif
#define GPU_ALIGNED(address, bytes, line) \
    if ((address) % (bytes)) \
    gpu_stop(thread, "a vector at an address that is no multiple of its size", UNIT, line)
#define GPU_ATOMIC(type, place, taken, operation, given) \
    { \
        type *cell = &place, old = *cell; \
        *cell = operation(old, given); \
        taken = old; \
    }
/* A function's local memory has undefined contents at first. */
#define GPU_POISON(bytes) memset(bytes, 0xA5, sizeof bytes)

OP float f32_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
OP double f64_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}
OP uint32_t of_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
OP uint64_t of_f64(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

/* ---- moves and bits
 * ---------------------------------------------------------------------------------------------- */

#define MOVES(name, type) \
    OP type mov_##name(type a) { return a; } \
    OP type selp_##name(type a, type b, uint8_t p) { return p ? a : b; }
MOVES(b16, uint16_t)
MOVES(u16, uint16_t)
MOVES(s16, int16_t)
MOVES(b32, uint32_t)
MOVES(u32, uint32_t)
MOVES(s32, int32_t)
MOVES(f32, uint32_t)
MOVES(b64, uint64_t)
MOVES(u64, uint64_t)
MOVES(s64, int64_t)
MOVES(f64, uint64_t)
OP uint8_t mov_pred(uint64_t a) { return a != 0; }
OP uint64_t cvta_local_u64(uint64_t a) { return a; }
OP uint64_t cvta_shared_u64(uint64_t a) { return a; }
OP uint64_t cvta_to_local_u64(uint64_t a) { return a; }
OP uint64_t cvta_to_global_u64(uint64_t a) { return a; }

#define BITWISE(name, type) \
    OP type and_##name(type a, type b) { return a & b; } \
    OP type or_##name(type a, type b) { return a | b; } \
    OP type xor_##name(type a, type b) { return a ^ b; } \
    OP type not_##name(type a) { return (type)~a; }
BITWISE(b16, uint16_t)
BITWISE(b32, uint32_t)
BITWISE(b64, uint64_t)
OP uint8_t and_pred(uint8_t a, uint8_t b) { return a & b; }
OP uint8_t or_pred(uint8_t a, uint8_t b) { return a | b; }
OP uint8_t xor_pred(uint8_t a, uint8_t b) { return a ^ b; }
OP uint8_t not_pred(uint8_t a) { return !a; }

/* Shifts by the register's size or more give 0, or the sign. */
#define SHIFT_LEFT(name, type) \
    OP type shl_##name(type a, uint32_t n) { return n < 8 * sizeof a ? (type)(a << n) : 0; }
#define SHIFT_RIGHT(name, type) \
    OP type shr_##name(type a, uint32_t n) { return n < 8 * sizeof a ? a >> n : 0; }
#define SHIFT_SIGNED(name, type) \
    OP type shr_##name(type a, uint32_t n) { \
        return (type)(a >> (n < 8 * sizeof a ? n : 8 * sizeof a - 1)); \
    }
SHIFT_LEFT(b16, uint16_t)
SHIFT_LEFT(b32, uint32_t)
SHIFT_LEFT(b64, uint64_t)
SHIFT_RIGHT(u16, uint16_t)
SHIFT_RIGHT(u32, uint32_t)
SHIFT_RIGHT(u64, uint64_t)
SHIFT_RIGHT(b64, uint64_t)
SHIFT_SIGNED(s16, int16_t)
SHIFT_SIGNED(s32, int32_t)
SHIFT_SIGNED(s64, int64_t)
OP uint32_t shf_l_wrap_b32(uint32_t low, uint32_t high, uint32_t n) {
    return (uint32_t)(((uint64_t)high << 32 | low) << (n & 31) >> 32);
}
OP uint32_t popc_b32(uint32_t a) { return (uint32_t)__builtin_popcount(a); }
OP uint32_t popc_b64(uint64_t a) { return (uint32_t)__builtin_popcountll(a); }
OP uint32_t clz_b32(uint32_t a) { return a ? (uint32_t)__builtin_clz(a) : 32; }
OP uint32_t clz_b64(uint64_t a) { return a ? (uint32_t)__builtin_clzll(a) : 64; }
/* Insert the n lowest bits of a into b, at bit `at`. */
OP uint64_t bfi_b64(uint64_t a, uint64_t b, uint32_t at, uint32_t n) {
    at &= 255, n &= 255;
    if (!n || at > 63) return b;
    const uint64_t mask = (n > 63 ? ~0ull : (1ull << n) - 1) << at;
    return (b & ~mask) | (a << at & mask);
}
OP uint32_t bfi_b32(uint32_t a, uint32_t b, uint32_t at, uint32_t n) {
    return (uint32_t)bfi_b64(a, b, at, n);
}
/* Select four of the eight bytes of b and a, by four bits each; the highest of those: replicate the
 * byte's sign. */
OP uint32_t prmt_b32(uint32_t a, uint32_t b, uint32_t names) {
    const uint64_t from = (uint64_t)b << 32 | a;
    uint32_t made = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t name = names >> 4 * i & 15, byte = from >> 8 * (name & 7) & 255;
        made |= (name & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return made;
}

/* ---- integers ------------------------------------------------------------------------------- */

#define INTEGERS(name, type, unsigned_type, wide) \
    OP type add_##name(type a, type b) { return (type)((unsigned_type)a + (unsigned_type)b); } \
    OP type sub_##name(type a, type b) { return (type)((unsigned_type)a - (unsigned_type)b); } \
    OP type mul_lo_##name(type a, type b) { return (type)((wide)a * (wide)b); } \
    OP type mul_hi_##name(type a, type b) { return (type)((wide)a * (wide)b >> 8 * sizeof a); } \
    OP type mad_lo_##name(type a, type b, type c) { return add_##name(mul_lo_##name(a, b), c); } \
    OP type min_##name(type a, type b) { return a < b ? a : b; } \
    OP type max_##name(type a, type b) { return a > b ? a : b; } \
    /* by 0: undefined; the most negative number by -1 would overflow in C */ \
    OP type div_##name(type a, type b) { \
        return !b ? (type) - 1 : (type) - 1 < 0 && b == (type) - 1 ? sub_##name(0, a) : a / b; \
    } \
    OP type rem_##name(type a, type b) { \
        return !b ? a : (type) - 1 < 0 && b == (type) - 1 ? 0 : a % b; \
    }
INTEGERS(u16, uint16_t, uint16_t, uint32_t)
INTEGERS(s16, int16_t, uint16_t, int32_t)
INTEGERS(u32, uint32_t, uint32_t, uint64_t)
INTEGERS(s32, int32_t, uint32_t, int64_t)
INTEGERS(u64, uint64_t, uint64_t, unsigned __int128)
INTEGERS(s64, int64_t, uint64_t, __int128)
OP uint32_t mul_wide_u16(uint16_t a, uint16_t b) { return (uint32_t)a * b; }
OP int32_t mul_wide_s16(int16_t a, int16_t b) { return (int32_t)a * b; }
OP uint64_t mul_wide_u32(uint32_t a, uint32_t b) { return (uint64_t)a * b; }
OP int64_t mul_wide_s32(int32_t a, int32_t b) { return (int64_t)a * b; }
OP int16_t neg_s16(int16_t a) { return sub_s16(0, a); }
OP int32_t neg_s32(int32_t a) { return sub_s32(0, a); }
OP int64_t neg_s64(int64_t a) { return sub_s64(0, a); }

#define COMPARED(name, type, read) \
    OP uint8_t setp_eq_##name(type a, type b) { return read(a) == read(b); } \
    OP uint8_t setp_lt_##name(type a, type b) { return read(a) < read(b); } \
    OP uint8_t setp_le_##name(type a, type b) { return read(a) <= read(b); } \
    OP uint8_t setp_gt_##name(type a, type b) { return read(a) > read(b); } \
    OP uint8_t setp_ge_##name(type a, type b) { return read(a) >= read(b); }
#define COMPARED_INTEGERS(name, type) \
    COMPARED(name, type, ) \
    OP uint8_t setp_ne_##name(type a, type b) { return a != b; }
COMPARED_INTEGERS(b16, uint16_t)
COMPARED_INTEGERS(u16, uint16_t)
COMPARED_INTEGERS(s16, int16_t)
COMPARED_INTEGERS(b32, uint32_t)
COMPARED_INTEGERS(u32, uint32_t)
COMPARED_INTEGERS(s32, int32_t)
COMPARED_INTEGERS(b64, uint64_t)
COMPARED_INTEGERS(u64, uint64_t)
COMPARED_INTEGERS(s64, int64_t)

/* ---- floating point
 * ---------------------------------------------------------------------------------------------- */

#define FLOATS(name, type, bits, read, made, suffix) \
    OP bits add_##name(bits a, bits b) { return made(read(a) + read(b)); } \
    OP bits add_rn_##name(bits a, bits b) { return made(read(a) + read(b)); } \
    OP bits sub_##name(bits a, bits b) { return made(read(a) - read(b)); } \
    OP bits sub_rn_##name(bits a, bits b) { return made(read(a) - read(b)); } \
    OP bits mul_##name(bits a, bits b) { return made(read(a) * read(b)); } \
    OP bits mul_rn_##name(bits a, bits b) { return made(read(a) * read(b)); } \
    OP bits div_rn_##name(bits a, bits b) { return made(read(a) / read(b)); } \
    OP bits rcp_rn_##name(bits a) { return made(1 / read(a)); } \
    OP bits rcp_approx_ftz_##name(bits a) { return made(1 / read(a)); } \
    OP bits sqrt_rn_##name(bits a) { return made(sqrt##suffix(read(a))); } \
    OP bits fma_rn_##name(bits a, bits b, bits c) { \
        return made(fma##suffix(read(a), read(b), read(c))); \
    } \
    OP bits min_##name(bits a, bits b) { return made(fmin##suffix(read(a), read(b))); } \
    OP bits max_##name(bits a, bits b) { return made(fmax##suffix(read(a), read(b))); } \
    OP bits neg_##name(bits a) { return made(-read(a)); } \
    OP bits abs_##name(bits a) { return made(fabs##suffix(read(a))); } \
    COMPARED(name, bits, read) \
    OP uint8_t setp_neu_##name(bits a, bits b) { return read(a) != read(b); } \
    OP uint8_t setp_ltu_##name(bits a, bits b) { return !(read(a) >= read(b)); } \
    OP uint8_t setp_leu_##name(bits a, bits b) { return !(read(a) > read(b)); } \
    OP uint8_t setp_gtu_##name(bits a, bits b) { return !(read(a) <= read(b)); } \
    OP uint8_t setp_geu_##name(bits a, bits b) { return !(read(a) < read(b)); }
FLOATS(f32, float, uint32_t, f32_of, of_f32, f)
FLOATS(f64, double, uint64_t, f64_of, of_f64, )
OP uint32_t ex2_approx_ftz_f32(uint32_t a) { return of_f32(exp2f(f32_of(a))); }

/* ---- conversions ---------------------------------------------------------------------------- */

#define FROM_INTEGER(from, type) \
    OP uint16_t cvt_u16_##from(type a) { return (uint16_t)a; } \
    OP int16_t cvt_s16_##from(type a) { return (int16_t)a; } \
    OP uint32_t cvt_u32_##from(type a) { return (uint32_t)a; } \
    OP int32_t cvt_s32_##from(type a) { return (int32_t)a; } \
    OP uint64_t cvt_u64_##from(type a) { return (uint64_t)a; } \
    OP int64_t cvt_s64_##from(type a) { return (int64_t)a; } \
    OP uint32_t cvt_rn_f32_##from(type a) { return of_f32((float)a); } \
    OP uint64_t cvt_rn_f64_##from(type a) { return of_f64((double)a); }
FROM_INTEGER(u8, uint8_t)
FROM_INTEGER(s8, int8_t)
FROM_INTEGER(u16, uint16_t)
FROM_INTEGER(s16, int16_t)
FROM_INTEGER(u32, uint32_t)
FROM_INTEGER(s32, int32_t)
FROM_INTEGER(u64, uint64_t)
FROM_INTEGER(s64, int64_t)
/* Out of range: the nearest integer; NaN: only the highest bit set. */
#define TO_INTEGER(name, type, least, most) \
    OP type cvt_rzi_##name##_f64(uint64_t a) { \
        const double value = trunc(f64_of(a)); \
        if (isnan(value)) return (type)1 << (8 * sizeof(type) - 1); \
        return value <= (double)least ? least : value >= (double)most ? most : (type)value; \
    }
TO_INTEGER(u32, uint32_t, 0, UINT32_MAX)
TO_INTEGER(s32, int32_t, INT32_MIN, INT32_MAX)
TO_INTEGER(u64, uint64_t, 0, UINT64_MAX)
TO_INTEGER(s64, int64_t, INT64_MIN, INT64_MAX)
OP uint64_t cvt_f64_f32(uint32_t a) { return of_f64(f32_of(a)); }
OP uint32_t cvt_rn_f32_f64(uint64_t a) { return of_f32((float)f64_of(a)); }
OP uint64_t cvt_rmi_f64_f64(uint64_t a) { return of_f64(floor(f64_of(a))); }
OP uint64_t cvt_rzi_f64_f64(uint64_t a) { return of_f64(trunc(f64_of(a))); }

/* ---- the threads of a block
 * -------------------------------------------------------------------------------------- */

OP void bar_sync(gpu_thread_t *thread, uint32_t number) { gpu_barrier(thread, number, 0); }
OP uint8_t bar_red_or_pred(gpu_thread_t *thread, uint32_t number, uint8_t p) {
    return gpu_barrier(thread, number, p) > 0;
}
OP uint32_t bar_red_popc_u32(gpu_thread_t *thread, uint32_t number, uint8_t p) {
    return gpu_barrier(thread, number, p);
}
