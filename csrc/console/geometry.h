/* Sizes that the whole of csrc/ shares: screen, 80x80 view, memories.
 *
 * A picture is (210, 160) palette indices, row by row. The view is every second pixel of every
 * second row from row 35 on: pixel (y, x) of the view is pixel (35 + 2 y, 2 x) of the picture. */
#ifndef A26_GEOMETRY_H
#define A26_GEOMETRY_H

#define A26_SCREEN_WIDTH 160
#define A26_SCREEN_HEIGHT 210
#define A26_SCREEN_BYTES (A26_SCREEN_WIDTH * A26_SCREEN_HEIGHT)

#define A26_VIEW_SIDE 80
#define A26_VIEW_FIRST_ROW 35
#define A26_VIEW_PIXELS (A26_VIEW_SIDE * A26_VIEW_SIDE)
#define A26_VIEW_CENTRE (40 * A26_VIEW_SIDE + 40) /* pixel (40, 40) */

#define A26_DQN_SIDE 84 /* of AtariVectorEnv's pictures */

#define A26_RAM_BYTES 128
#define A26_ROM_BYTES 4096 /* a ROM of 2048 bytes stands twice */

#endif
