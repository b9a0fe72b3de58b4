"""Cut the voucher's fonts from their source packages: `python -m tools.cut_fonts FOLDER`.

FOLDER holds the packages, unpacked: Debian `fonts-dejavu-core` 2.37-6 and `fonts-wqy-microhei`
0.2.0-beta-3.1, and npm `@expo-google-fonts/noto-emoji` 0.4.7. Equal sources give equal files. The
licenses are `layers/pdf/voucher_fonts/LICENSE-*`.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset

TARGET = Path(__file__).parent.parent / "layers" / "pdf" / "voucher_fonts"


def _blocks(*ranges: tuple[int, int]) -> list[int]:
    return [point for first, last in ranges for point in range(first, last + 1)]


def _encodable(candidates: Iterable[int], codec: str, *, until: bytes) -> list[int]:
    """Return the characters of a national standard whose two bytes come before `until`."""
    return [
        point
        for point in candidates
        if len(coded := chr(point).encode(codec, "ignore")) == 2 and coded < until
    ]


# Characters of nearly every voucher: Latin with Vietnamese, Greek, Cyrillic, punctuation, currencies.
TEXT = _blocks(
    (0x20, 0x7E), (0xA0, 0x17F), (0x192, 0x192), (0x1A0, 0x1B0), (0x218, 0x21B), (0x2BB, 0x2BC),
    (0x370, 0x3FF), (0x400, 0x4FF), (0x1E80, 0x1E85), (0x1E9E, 0x1E9E), (0x1EA0, 0x1EF9),
    (0x2010, 0x2027), (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2116, 0x2116), (0x2122, 0x2122),
    (0x25A1, 0x25A1),
)  # fmt: skip
# Rare scripts and those that need shaping: combining marks, all of Latin, Armenian, Hebrew, Arabic and
# its forms, Georgian. TEXT is included so that a mixed name keeps one face.
WIDE = TEXT + _blocks(
    (0x180, 0x36F), (0x500, 0x6FF), (0x750, 0x77F), (0x10A0, 0x10FF), (0x1E00, 0x1FFF),
    (0x200C, 0x200C), (0xFB00, 0xFDFF), (0xFE70, 0xFEFF),
)  # fmt: skip
# Everyday Chinese (GB 2312 level 1), Japanese (JIS level 1, kana), Korean (KS X 1001 syllables).
_HAN = range(0x4E00, 0xA000)
CJK = [
    *_blocks((0x3000, 0x30FF), (0xFF01, 0xFF5E)),
    *_encodable(_HAN, "gb2312", until=b"\xd8"),
    *_encodable(_HAN, "shift_jis", until=b"\x98\x9f"),
    *_encodable(range(0xAC00, 0xD7A4), "euc_kr", until=b"\xff"),
]
# The joiner, the emoji selector, the flags' letters; people, nature, food, travel and hearts.
EMOJI = _blocks(
    (0x200D, 0x200D), (0xFE0F, 0xFE0F), (0x2600, 0x27BF), (0x2B50, 0x2B55),
    (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F3FF), (0x1F400, 0x1F49F), (0x1F5FA, 0x1F6D2),
    (0x1F6E0, 0x1F6FF), (0x1F900, 0x1F9FF),
)  # fmt: skip

CUTS: dict[str, tuple[str, list[int], list[str]]] = {
    "text.ttf": ("DejaVuSans.ttf", TEXT, []),
    "text-bold.ttf": ("DejaVuSans-Bold.ttf", TEXT, []),
    "wide.ttf": ("DejaVuSans.ttf", WIDE, ["*"]),
    "cjk.ttf": ("wqy-microhei.ttc", CJK, []),
    "emoji.ttf": ("NotoEmoji_400Regular.ttf", EMOJI, ["*"]),
}


def cut(source: Path, target: Path, *, points: list[int], layout_features: list[str]) -> None:
    options = subset.Options(
        layout_features=layout_features,
        glyph_names=False,
        hinting=False,
        notdef_outline=True,
        font_number=0,
    )
    options.drop_tables += ["FFTM", "vhea", "vmtx"]  # FontForge's time stamps; vertical text
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=points)
    subsetter.subset(font)
    subset.save_font(font, str(target), options)


def main(folder: Path) -> None:
    for name, (original, points, layout_features) in CUTS.items():
        [source] = folder.rglob(original)
        cut(source, TARGET / name, points=points, layout_features=layout_features)
        print(f"{name}: {source.stat().st_size:,} -> {(TARGET / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
