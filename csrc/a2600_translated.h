/* What translated ROMs are made of, and how a frame runs on one. */
#ifndef A2600_TRANSLATED_H
#define A2600_TRANSLATED_H

#include "a2600.h"

/* Ordinary frames end before this line. One that does not is run again by the interpreter, which
 * alone counts instructions and knows the exact limits. */
#define A2600_ORDINARY_LINES 272

enum { A2600_FRAME_OVER, A2600_UNKNOWN_PC, A2600_ABNORMAL };

#define A2600_LEAVE(why) \
    { \
        s->cpu = r; \
        s->cycle = cycle; \
        s->bus = bus; \
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
    r.pc |= (uint16_t)(A2600_READ(address, r.pc) << 8);
#define A2600_POINTER_AT(zp, operand) \
    base = A2600_READ((zp), (operand)); \
    base |= (uint16_t)(A2600_READ((uint8_t)((zp) + 1), base) << 8);

typedef int32_t (*a2600_run_t)(a2600_t *, const uint8_t *, uint8_t *);

/* One frame by a ROM's translation, with the interpreter wherever that does not reach. */
A26_FN void a2600_frame(a2600_t *s, const uint8_t *rom, uint8_t *screen, a2600_run_t run) {
    if (s->error)
        return;
    if (s->unfinished) {
        a2600_frame_interpreted(s, rom, screen);
        return;
    }
    a2600_t before = *s;
    a2600_begin_frame(s);
    int32_t left;
    while ((left = run(s, rom, screen)) == A2600_UNKNOWN_PC) {
        a2600_interpret(s, rom, screen, 1);
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
        *s = before;
        a2600_frame_interpreted(s, rom, screen);
    }
}

#endif
