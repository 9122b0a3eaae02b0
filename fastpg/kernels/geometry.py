"""Sizes of the console's screen and memory, and of the view that the network sees.

A view has every second pixel of every second screen line, from line ``FIRST_ROW`` on.
csrc/console/geometry.h has the same numbers for C.
"""

SCREEN = (210, 160)  # lines and pixels of a line
RAM_SIZE = 128  # bytes
FIRST_ROW = 35  # screen line of the view's first row: below the score
VIEW_SIDE = 80  # rows, and pixels of a row
VIEW_PIXELS = VIEW_SIDE * VIEW_SIDE
DQN_SIDE = 84  # rows, and pixels of a row, of AtariVectorEnv's pictures
