"""The fonts for texts that the voucher's plain font lacks, and the blocks each is cut to and asked for."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from fontTools.ttLib import TTFont

FONTS = files("voucher_fonts")  # a package of the PDF layer

Blocks = tuple[tuple[int, int], ...]

PLAIN = "text"  # enough for nearly every voucher
BOX = "\N{WHITE SQUARE}"  # stands for a character that no face has; the plain font has it
WIDE = "wide"
EMOJI = "emoji"

_BRAHMI = (0x964, 0x965)  # the stops that the scripts of India share

# In the order of preference. Scripts: those that UAX #31 recommends, and those in limited use.
BLOCKS: dict[str, Blocks] = {
    # Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Georgian, symbols. All of the plain font is in
    # it too, so that a mixed name keeps one face.
    WIDE: (
        (0x20, 0x7E), (0xA0, 0x6FF), (0x750, 0x77F), (0x10A0, 0x10FF), (0x1E00, 0x1FFF),
        (0x2000, 0x27BF), (0x2900, 0x2BFF), (0x2C60, 0x2C7F), (0xA640, 0xA69F), (0xA700, 0xA7FF),
        (0xFB00, 0xFDFF), (0xFE20, 0xFE2F), (0xFE70, 0xFEFF),
    ),
    "hebrew": ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
    "arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    "latin": (
        (0xA0, 0x36F), (0x1AB0, 0x1AFF), (0x1C80, 0x1C8F), (0x1D00, 0x1EFF), (0x2000, 0x214F),
        (0x2C60, 0x2C7F), (0x2DE0, 0x2E7F), (0xA640, 0xA69F), (0xA700, 0xA7FF), (0xAB30, 0xAB6F),
        (0xFE20, 0xFE2F),
    ),
    "armenian": ((0x530, 0x58F),),
    "georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "devanagari": ((0x900, 0x97F), (0x1CD0, 0x1CFF), (0xA830, 0xA83F), (0xA8E0, 0xA8FF)),
    "bengali": (_BRAHMI, (0x980, 0x9FF)),
    "gurmukhi": (_BRAHMI, (0xA00, 0xA7F)),
    "gujarati": (_BRAHMI, (0xA80, 0xAFF)),
    "odia": (_BRAHMI, (0xB00, 0xB7F)),
    "tamil": (_BRAHMI, (0xB80, 0xBFF)),
    "telugu": (_BRAHMI, (0xC00, 0xC7F)),
    "kannada": (_BRAHMI, (0xC80, 0xCFF)),
    "malayalam": (_BRAHMI, (0xD00, 0xD7F)),
    "sinhala": (_BRAHMI, (0xD80, 0xDFF)),
    "thai": ((0xE00, 0xE7F),),
    "lao": ((0xE80, 0xEFF),),
    "tibetan": ((0xF00, 0xFFF),),
    "myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "ethiopic": ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F)),
    "khmer": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "thaana": ((0x780, 0x7BF),),
    "adlam": ((0x1E900, 0x1E95F),),
    "balinese": ((0x1B00, 0x1B7F),),
    "bamum": ((0xA6A0, 0xA6FF),),
    "batak": ((0x1BC0, 0x1BFF),),
    "canadian": ((0x1400, 0x167F), (0x18B0, 0x18FF)),
    "chakma": ((0x11100, 0x1114F),),
    "cham": ((0xAA00, 0xAA5F),),
    "cherokee": ((0x13A0, 0x13FF), (0xAB70, 0xABBF)),
    "javanese": ((0xA980, 0xA9DF),),
    "kayah-li": ((0xA900, 0xA92F),),
    "lepcha": ((0x1C00, 0x1C4F),),
    "limbu": ((0x1900, 0x194F),),
    "lisu": ((0xA4D0, 0xA4FF),),
    "mandaic": ((0x840, 0x85F),),
    "meetei-mayek": ((0xAAE0, 0xAAFF), (0xABC0, 0xABFF)),
    "miao": ((0x16F00, 0x16F9F),),
    "mongolian": ((0x1800, 0x18AF),),
    "new-tai-lue": ((0x1980, 0x19DF),),
    "nko": ((0x7C0, 0x7FF),),
    "ol-chiki": ((0x1C50, 0x1C7F),),
    "osage": ((0x104B0, 0x104FF),),
    "rohingya": ((0x10D00, 0x10D3F),),
    "saurashtra": ((0xA880, 0xA8DF),),
    "sundanese": ((0x1B80, 0x1BBF), (0x1CC0, 0x1CCF)),
    "syloti-nagri": ((0xA800, 0xA82F),),
    "syriac": ((0x700, 0x74F), (0x860, 0x86F)),
    "tai-le": ((0x1950, 0x197F),),
    "tai-tham": ((0x1A20, 0x1AAF),),
    "tai-viet": ((0xAA80, 0xAADF),),
    "tifinagh": ((0x2D30, 0x2D7F),),
    "vai": ((0xA500, 0xA63F),),
    "wancho": ((0x1E2C0, 0x1E2FF),),
    "yi": ((0xA000, 0xA4CF),),
    # Chinese, Japanese and Korean: all of GBK, Big5, CP932 and CP949.
    "cjk": (
        (0x2000, 0x33FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE4F),
        (0xFF01, 0xFFEF),
    ),
    EMOJI: (
        (0x23, 0x23), (0x2A, 0x2A), (0x30, 0x39), (0xA9, 0xA9), (0xAE, 0xAE), (0x2000, 0x33FF),
        (0x1F000, 0x1FAFF), (0xE0020, 0xE007F), (0xFE0F, 0xFE0F),
    ),
}  # fmt: skip


def faces_of(char: str) -> Iterator[str]:
    """The fonts that may have a character, in the order of preference."""
    point = ord(char)
    return (
        face
        for face, blocks in BLOCKS.items()
        if any(first <= point <= last for first, last in blocks)
    )


@cache
def plain_points() -> frozenset[int]:
    """The characters that the plain font draws, without the soft hyphen, which is not to be seen."""
    with TTFont(str(FONTS / f"{PLAIN}.ttf")) as font:
        return frozenset(font.getBestCmap()) - {0xAD}
