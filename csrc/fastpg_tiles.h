/* A view as a few tiles: solid rectangles of lit pixels, 1 or 2 columns wide and 1, 2, 4 or 8 rows high.
 *
 * A paddle of Pong is one tile or two instead of sixteen pixels. With the sum of the first layer's rows for each
 * tile in a table, a frame costs as many rows as it has tiles; the network is the same up to rounding, and nothing
 * in here knows the game. */
#ifndef FASTPG_TILES_H
#define FASTPG_TILES_H

#include <stdint.h>
#include <string.h>

#define FASTPG_TILE_SIDE 80
#define FASTPG_TILE_PIXELS (FASTPG_TILE_SIDE * FASTPG_TILE_SIDE)
#define FASTPG_TILE_KINDS 8  /* 4 * (width - 1) + log2(height); kind 0 is a pixel */
#define FASTPG_TILE_HALF 40  /* columns that a word of bits holds; no tile reaches across */
#define FASTPG_TILES (FASTPG_TILE_KINDS * FASTPG_TILE_PIXELS)

/* Tile `kind` whose first pixel is (x, y): columns one after the other, so that a tall tile's rows of
 * weights lie together. */
static inline uint16_t fastpg_tile(int kind, int x, int y) {
    return (uint16_t)(kind * FASTPG_TILE_PIXELS + x * FASTPG_TILE_SIDE + y);
}

/* The bits of eight bytes of 0 and 1, the first lowest. */
static inline uint64_t fastpg_bits(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8); /* little endian, as all machines that this runs on */
    return word * 0x0102040810204080ull >> 56;
}

/* Bits of the view's rows, left and right half apart; rows below the last are empty. */
static void fastpg_view_bits(const uint8_t *view, uint64_t bits[2][FASTPG_TILE_SIDE + 8]) {
    memset(bits, 0, sizeof(uint64_t[2][FASTPG_TILE_SIDE + 8]));
    for (int y = 0; y < FASTPG_TILE_SIDE; y++) {
        const uint8_t *row = view + y * FASTPG_TILE_SIDE;
        uint64_t word[FASTPG_TILE_SIDE / 8], any = 0;
        memcpy(word, row, sizeof(word));
        for (int k = 0; k < FASTPG_TILE_SIDE / 8; k++) any |= word[k];
        if (!any) continue;
        for (int half = 0; half < 2; half++)
            for (int k = 0; k < FASTPG_TILE_HALF / 8; k++)
                bits[half][y] |= fastpg_bits(row + half * FASTPG_TILE_HALF + 8 * k) << 8 * k;
    }
}

/* Write the tiles of a view (6400 bytes of 0 and 1, row by row) in a fixed order; returns how many, at most
 * FASTPG_TILE_PIXELS. */
static int64_t fastpg_tile_view(const uint8_t *view, uint16_t *tiles) {
    uint64_t bits[2][FASTPG_TILE_SIDE + 8];
    int64_t count = 0;
    fastpg_view_bits(view, bits);
    for (int half = 0; half < 2; half++) {
        uint64_t *rows = bits[half];
        for (int y = 0; y < FASTPG_TILE_SIDE; y++)
            while (rows[y]) {
                int x = __builtin_ctzll(rows[y]), wide = (int)(rows[y] >> (x + 1) & 1), height = 1, steps = 0;
                uint64_t across = (1ull + 2ull * (uint64_t)wide) << x;
                while (height < 8 && (rows[y + height] & across) == across) height++;
                while (height >> (steps + 1)) steps++; /* down to a power of two */
                if (!wide && steps == 1) steps = 0; /* two pixels are hardly worth a sum of their own */
                for (int k = 0; k < 1 << steps; k++) rows[y + k] &= ~across;
                tiles[count++] = fastpg_tile(4 * wide + steps, half * FASTPG_TILE_HALF + x, y);
            }
    }
    return count;
}

#endif
