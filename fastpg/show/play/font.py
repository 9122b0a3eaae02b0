"""A pixel font of 5 by 7 pixels a letter, so text in pictures needs no library."""

from functools import cache

import numpy as np

WIDTH, HEIGHT, ADVANCE = 5, 7, 6

# A letter has seven rows. Each is a digit in base 32: five bits, the left pixel the highest.
_GLYPHS = {
    "A": "ehhvhhh", "B": "uhhuhhu", "C": "ehggghe", "D": "uhhhhhu", "E": "vgguggv",
    "F": "vgguggg", "G": "ehgnhhf", "H": "hhhvhhh", "I": "e44444e",
    "J": "72222ic", "K": "hikokih", "L": "ggggggv", "M": "hrllhhh", "N": "hhpljhh",
    "O": "ehhhhhe", "P": "uhhuggg", "Q": "ehhhlid", "R": "uhhukih", "S": "fgge11u",
    "T": "v444444", "U": "hhhhhhe", "V": "hhhhha4", "W": "hhhllla", "X": "hha4ahh",
    "Y": "hha4444", "Z": "v1248gv", "0": "ehjlphe", "1": "4c4444e", "2": "eh1248v",
    "3": "v2421he", "4": "26aiv22", "5": "vgu11he", "6": "68guhhe", "7": "v124888",
    "8": "ehhehhe", "9": "ehhf12c", "+": "044v440", "-": "000v000", ".": "00000cc",
    ",": "00000c8", ":": "0cc0cc0", "%": "op248j3", "/": "01248g0",
    "=": "00v0v00", "(": "2488842", ")": "8422248", "?": "eh12404", "'": "c480000",
    "_": "000000v", "*": "04lel40", "!": "4444404", ">": "8421248", "<": "248g842",
}  # fmt: skip


@cache
def glyph(letter: str) -> np.ndarray:
    """Return the lit pixels of a letter, (7, 5) bool; none are lit if the font does not have it."""
    rows = [int(row, 32) for row in _GLYPHS.get(letter.upper(), "0000000")]
    return np.array([[bool(row >> (4 - x) & 1) for x in range(WIDTH)] for row in rows])


def text_mask(text: str) -> np.ndarray:
    """Return the lit pixels of a line of n letters, (7, 6 n - 1) bool."""
    mask = np.zeros((HEIGHT, max(ADVANCE * len(text) - 1, 0)), bool)
    for k, letter in enumerate(text):
        mask[:, ADVANCE * k : ADVANCE * k + WIDTH] = glyph(letter)
    return mask
