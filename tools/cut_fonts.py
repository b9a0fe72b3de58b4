"""Cut the voucher's fonts from their source packages: `PYTHONPATH=layers/core python -m tools.cut_fonts FOLDER`.

FOLDER holds the packages, unpacked: Debian `fonts-dejavu-core` 2.37-6, `fonts-noto-core` 20201225-1
and `fonts-wqy-microhei` 0.2.0-beta-3.1, and npm `@expo-google-fonts/noto-emoji` 0.4.7. Equal sources
give equal files. The licenses are `layers/pdf/voucher_fonts/LICENSE-*`.
"""

import sys
from pathlib import Path

from fontTools import subset

from reservations.adapters.papers import faces

TARGET = Path(__file__).parent.parent / "layers" / "pdf" / "voucher_fonts"


def _points(blocks: faces.Blocks) -> set[int]:
    return {point for first, last in blocks for point in range(first, last + 1)}


# Characters of nearly every voucher: Latin with Vietnamese, Greek, Cyrillic, punctuation, currencies.
TEXT: faces.Blocks = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x192, 0x192), (0x1A0, 0x1B0), (0x218, 0x21B), (0x2BB, 0x2BC),
    (0x370, 0x3FF), (0x400, 0x4FF), (0x1E80, 0x1E85), (0x1E9E, 0x1E9E), (0x1EA0, 0x1EF9),
    (0x2010, 0x2027), (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2116, 0x2116), (0x2122, 0x2122),
    (0x25A1, 0x25A1),
)  # fmt: skip
# Space, no-break space, joiners, and the circle that carries a mark without a letter.
SHARED = {0x20, 0xA0, 0x200C, 0x200D, 0x25CC}
# A face's source, where its name is not that of Noto Sans.
SOURCES = {
    faces.WIDE: "DejaVuSans",
    "latin": "NotoSans",
    "canadian": "NotoSansCanadianAboriginal",
    "cjk": "wqy-microhei",
    "nko": "NotoSansNKo",
    "odia": "NotoSansOriya",
    "rohingya": "NotoSansHanifiRohingya",
    "tibetan": "NotoSerifTibetan",
    faces.EMOJI: "NotoEmoji_400Regular",
}


def cut(folder: Path, original: str, name: str, points: set[int], features: list[str]) -> None:
    options = subset.Options(
        layout_features=features,
        glyph_names=False,
        hinting=False,
        notdef_outline=True,
        font_number=0,
    )
    options.drop_tables += ["FFTM", "vhea", "vmtx"]  # FontForge's time stamps; vertical text
    [source] = (
        each
        for ending in ("-Regular.ttf", ".ttf", ".ttc")
        for each in folder.rglob(original + ending)
    )
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=points)
    subsetter.subset(font)
    subset.save_font(font, str(TARGET / f"{name}.ttf"), options)
    print(f"{name}: {source.stat().st_size:,} -> {(TARGET / f'{name}.ttf').stat().st_size:,} bytes")


def main(folder: Path) -> None:
    cut(folder, "DejaVuSans", "text", _points(TEXT), [])
    cut(folder, "DejaVuSans-Bold", "text-bold", _points(TEXT), [])
    for face, blocks in faces.BLOCKS.items():
        source = SOURCES.get(face, "NotoSans" + face.title().replace("-", ""))
        cut(folder, source, face, _points(blocks) | SHARED, ["*"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
