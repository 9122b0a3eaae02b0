/* A view as a few tiles: solid rectangles of lit pixels, 1 or 2 columns wide and 1, 2, 4 or 8 rows
 * high.
 *
 * A paddle of Pong is one or two tiles instead of sixteen pixels. With the sum of the first layer's
 * rows for each tile in a table, a frame costs as many rows as it has tiles. The network is the
 * same up to rounding. Nothing here knows the game.
 *
 *   fastpg_tile_view(view, tiles)              the tiles of (6400,) bytes of 0 and 1
 *   fastpg_set_rows(bits, bytes, first, times)  set equal rows of a view, and
 *   fastpg_write_tiles(bits, tiles, capacity)   its tiles
 *
 * A tile is a uint16: kind * 6400 + 80 * x + y, its first pixel in column x and row y. */
#ifndef FASTPG_TILES_H
#define FASTPG_TILES_H

#include "console/geometry.h"
#include "console/portability.h"

#define FASTPG_TILE_KINDS 8 /* 4 * (width - 1) + log2(height); kind 0 is a pixel */
#define FASTPG_TILE_HALF 40 /* columns in a word of bits; no tile reaches across */
#define FASTPG_TILES (FASTPG_TILE_KINDS * A26_VIEW_PIXELS)

/* Columns are numbered one after the other, so the rows of weights of a tall tile are adjacent. */
A26_FN uint16_t fastpg_tile(int kind, int x, int y) {
    return (uint16_t)(kind * A26_VIEW_PIXELS + x * A26_VIEW_SIDE + y);
}

/* The bits of eight bytes of 0 and 1 in a little-endian word, the first lowest. */
A26_FN uint64_t fastpg_bits(uint64_t bytes) { return bytes * 0x0102040810204080ull >> 56; }

/* A view's rows as bits, left and right half apart. The rows below the last are empty. */
typedef struct {
    uint64_t row[2][A26_VIEW_SIDE + 8];
} fastpg_view_bits_t;

/* Set `times` rows from row `first` on, all equal to 80 bytes of 0 and 1. */
A26_FN void fastpg_set_rows(fastpg_view_bits_t *bits, const uint8_t *bytes, int first, int times) {
    uint64_t word[A26_VIEW_SIDE / 8], any = 0, half[2] = {0, 0};
    A26_COPY(word, bytes, sizeof(word));
    for (int k = 0; k < A26_VIEW_SIDE / 8; k++) any |= word[k];
    if (any)
        for (int k = 0; k < A26_VIEW_SIDE / 8; k++)
            half[8 * k / FASTPG_TILE_HALF] |= fastpg_bits(word[k]) << 8 * k % FASTPG_TILE_HALF;
    for (int y = first; y < first + times; y++) {
        bits->row[0][y] = half[0];
        bits->row[1][y] = half[1];
    }
}

/* Write the view's tiles in a fixed order, at most `capacity`. Returns how many there are, at most
 * 6400. Clears the bits. */
A26_SLOW int64_t fastpg_write_tiles(fastpg_view_bits_t *bits, uint16_t *tiles, int64_t capacity) {
    int64_t count = 0;
    for (int half = 0; half < 2; half++) {
        uint64_t *rows = bits->row[half];
        for (int y = A26_VIEW_SIDE; y < A26_VIEW_SIDE + 8; y++) rows[y] = 0;
        for (int y = 0; y < A26_VIEW_SIDE; y++)
            while (rows[y]) {
                int x = (int)a26_lowest_bit(rows[y]), wide = (int)(rows[y] >> (x + 1) & 1),
                    height = 1, steps = 0;
                uint64_t across = (1ull + 2ull * (uint64_t)wide) << x;
                while (height < 8 && (rows[y + height] & across) == across) height++;
                while (height >> (steps + 1)) steps++; /* round down to a power of two */
                if (!wide && steps == 1) steps = 0;    /* a sum of two pixels saves too little */
                for (int k = 0; k < 1 << steps; k++) rows[y + k] &= ~across;
                if (count < capacity)
                    tiles[count] = fastpg_tile(4 * wide + steps, half * FASTPG_TILE_HALF + x, y);
                count++;
            }
    }
    return count;
}

A26_SLOW int64_t fastpg_tile_view(const uint8_t *view, uint16_t *tiles) {
    fastpg_view_bits_t bits;
    for (int y = 0; y < A26_VIEW_SIDE; y++) fastpg_set_rows(&bits, view + y * A26_VIEW_SIDE, y, 1);
    return fastpg_write_tiles(&bits, tiles, A26_VIEW_PIXELS);
}

#endif
