/* A view as a few tiles: solid rectangles of lit pixels, 1 or 2 columns wide and 1, 2, 4 or 8 rows
 * high.
 *
 * A paddle of Pong is one tile or two instead of sixteen pixels. With the sum of the first layer's
 * rows for each tile in a table, a frame costs as many rows as it has tiles; the network is the
 * same up to rounding, and nothing in here knows the game. */
#ifndef FASTPG_TILES_H
#define FASTPG_TILES_H

#include "console/portability.h"

#define FASTPG_TILE_SIDE 80
#define FASTPG_TILE_PIXELS (FASTPG_TILE_SIDE * FASTPG_TILE_SIDE)
#define FASTPG_TILE_KINDS 8 /* 4 * (width - 1) + log2(height); kind 0 is a pixel */
#define FASTPG_TILE_HALF 40 /* columns that a word of bits holds; no tile reaches across */
#define FASTPG_TILES (FASTPG_TILE_KINDS * FASTPG_TILE_PIXELS)

/* Tile `kind` whose first pixel is (x, y): columns one after the other, so that a tall tile's rows
 * of weights lie together. */
A26_FN uint16_t fastpg_tile(int kind, int x, int y) {
    return (uint16_t)(kind * FASTPG_TILE_PIXELS + x * FASTPG_TILE_SIDE + y);
}

/* The bits of eight bytes of 0 and 1, the first lowest: of a little endian machine's word. */
A26_FN uint64_t fastpg_bits(uint64_t bytes) { return bytes * 0x0102040810204080ull >> 56; }

/* Bits of a view's rows, left and right half apart; the rows below the last are empty. */
typedef struct {
    uint64_t row[2][FASTPG_TILE_SIDE + 8];
} fastpg_view_bits_t;

/* Write the bits of `times` equal rows from row `first` on, of 80 bytes of 0 and 1. */
A26_FN void fastpg_set_rows(fastpg_view_bits_t *bits, const uint8_t *bytes, int first, int times) {
    uint64_t word[FASTPG_TILE_SIDE / 8], any = 0, half[2] = {0, 0};
    A26_COPY(word, bytes, sizeof(word));
    for (int k = 0; k < FASTPG_TILE_SIDE / 8; k++) any |= word[k];
    if (any)
        for (int k = 0; k < FASTPG_TILE_SIDE / 8; k++)
            half[8 * k / FASTPG_TILE_HALF] |= fastpg_bits(word[k]) << 8 * k % FASTPG_TILE_HALF;
    for (int y = first; y < first + times; y++) {
        bits->row[0][y] = half[0];
        bits->row[1][y] = half[1];
    }
}

/* Write the tiles of a view in a fixed order, no more than there is room for; returns how many
 * there are, at most FASTPG_TILE_PIXELS. Clears the bits. */
A26_SLOW int64_t fastpg_write_tiles(fastpg_view_bits_t *bits, uint16_t *tiles, int64_t room) {
    int64_t count = 0;
    for (int half = 0; half < 2; half++) {
        uint64_t *rows = bits->row[half];
        for (int y = FASTPG_TILE_SIDE; y < FASTPG_TILE_SIDE + 8; y++) rows[y] = 0;
        for (int y = 0; y < FASTPG_TILE_SIDE; y++)
            while (rows[y]) {
                int x = (int)a26_lowest(rows[y]), wide = (int)(rows[y] >> (x + 1) & 1), height = 1,
                    steps = 0;
                uint64_t across = (1ull + 2ull * (uint64_t)wide) << x;
                while (height < 8 && (rows[y + height] & across) == across) height++;
                while (height >> (steps + 1)) steps++; /* down to a power of two */
                if (!wide && steps == 1)
                    steps = 0; /* two pixels are hardly worth a sum of their own */
                for (int k = 0; k < 1 << steps; k++) rows[y + k] &= ~across;
                if (count < room)
                    tiles[count] = fastpg_tile(4 * wide + steps, half * FASTPG_TILE_HALF + x, y);
                count++;
            }
    }
    return count;
}

/* The tiles of 6400 bytes of 0 and 1, row by row; see fastpg_write_tiles. */
A26_SLOW int64_t fastpg_tile_view(const uint8_t *view, uint16_t *tiles) {
    fastpg_view_bits_t bits;
    for (int y = 0; y < FASTPG_TILE_SIDE; y++)
        fastpg_set_rows(&bits, view + y * FASTPG_TILE_SIDE, y, 1);
    return fastpg_write_tiles(&bits, tiles, FASTPG_TILE_PIXELS);
}

#endif
