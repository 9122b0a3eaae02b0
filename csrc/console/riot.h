/* MOS 6532 RIOT: interval timer and two ports. Its 128 bytes of RAM are in a2600_t.
 *
 * Registers: SWCHA $280, SWACNT $281, SWCHB $282, INTIM $284 (the timer's value), TIMINT $285 (its
 * flag); writes to $294..$297 start the timer with a divider of 1, 8, 64 or 1024.
 *
 * Times are CPU cycles of the current frame. They are subtracted without sign: a timer may be older
 * than a signed count holds.
 *
 *   riot_read(riot, address, cycle), riot_write(riot, address, value, cycle) */
#ifndef RIOT_H
#define RIOT_H

#include "console/portability.h"

typedef struct {
    int32_t set_cycle;  /* last write to the timer */
    int32_t mark_cycle; /* first read of INTIM after the timer ran out */
    uint8_t value;      /* as written */
    uint8_t shift;      /* log2 of the divider: 0, 3, 6, 10 */
    uint8_t marked;     /* mark_cycle is valid */
    uint8_t swacnt;     /* direction of port A: kept, without effect */
    uint8_t swcha;      /* joystick lines and paddle buttons, 0 is pressed */
    uint8_t swchb;      /* console switches */
    uint8_t unused[2];  /* 0; states are compared as bytes, so they have no padding */
} riot_t;

/* Lower all times by so many cycles. */
A26_FN void riot_rebase(riot_t *riot, int32_t cycles) {
    riot->set_cycle = (int32_t)((uint32_t)riot->set_cycle - (uint32_t)cycles);
    riot->mark_cycle = (int32_t)((uint32_t)riot->mark_cycle - (uint32_t)cycles);
}

A26_FN void riot_write(riot_t *riot, uint16_t address, uint8_t value, int32_t cycle) {
    if ((address & 0x14) == 0x14) {
        uint32_t divider = address & 3;
        riot->shift = (uint8_t)(divider == 0 ? 0 : divider == 1 ? 3 : divider == 2 ? 6 : 10);
        riot->value = value;
        riot->set_cycle = cycle;
        riot->marked = 0;
    } else if ((address & 0x07) == 1) {
        riot->swacnt = value;
    }
}

A26_FN uint8_t riot_timer(riot_t *riot, int32_t cycle) {
    uint32_t elapsed = (uint32_t)cycle - 1u - (uint32_t)riot->set_cycle;
    int32_t left = (int32_t)(riot->value - (elapsed >> riot->shift) - 1u);
    if (left >= 0) return (uint8_t)left;
    uint32_t run_out = (uint32_t)riot->value << riot->shift; /* cycles from the write to zero */
    uint32_t past = run_out - elapsed - 1u;
    if ((int32_t)past <= -2 && !riot->marked) {
        riot->marked = 1;
        riot->mark_cycle = cycle;
    }
    if (riot->marked)
        past = riot->value - (elapsed >> riot->shift)
               - ((uint32_t)riot->mark_cycle - (uint32_t)riot->set_cycle - run_out);
    return (uint8_t)past;
}

A26_FN uint8_t riot_timer_flag(const riot_t *riot, int32_t cycle) {
    uint32_t elapsed = (uint32_t)cycle - 1u - (uint32_t)riot->set_cycle;
    int32_t left = (int32_t)(riot->value - (elapsed >> riot->shift) - 1u);
    return left < 0 && !riot->marked ? 0x80 : 0;
}

A26_FN uint8_t riot_read(riot_t *riot, uint16_t address, int32_t cycle) {
    switch (address & 7) {
    case 0: return riot->swcha;
    case 1: return riot->swacnt;
    case 2: return riot->swchb;
    case 3: return 0;
    case 4:
    case 6: return riot_timer(riot, cycle);
    default: return riot_timer_flag(riot, cycle);
    }
}

#endif
