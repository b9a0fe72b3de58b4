"""Sets a text of any script in lines: grapheme clusters (UAX #29), a face for each, visual order (UAX #9)."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from itertools import groupby

import regex
import uharfbuzz as hb
from fontTools.unicodedata import script
from fpdf.bidi import BidiParagraph

from reservations.adapters.papers import faces

_SPACE = " "
_ELLIPSIS = "…"
# No face has the wave dash. Japanese systems write it or the full-width tilde for the same sign of JIS X 0208.
_DRAWN_AS = str.maketrans("\N{WAVE DASH}", "\N{FULLWIDTH TILDE}")
_EMOJI_SELECTOR = "\N{VARIATION SELECTOR-16}"

_CLUSTER = regex.compile(r"\X")
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
# Controls and formats leave the text, but for joiners, marks of direction, tags of flags, selectors
# and the signs that go before a number.
_CONTROL = regex.compile(
    r"[\p{Cc}\p{Cf}--\p{Prepended_Concatenation_Mark}"
    r"--[\u200C-\u200F\u061C\U000E0020-\U000E007F]]",
    flags=regex.VERSION1,
)
_ENDS_A_WORD = regex.compile(r"[\s\p{LB=HY}\p{LB=BA}\p{LB=ZW}]")
_IDEOGRAPH = regex.compile(r"[\p{LB=ID}\p{LB=EB}\p{LB=CJ}\p{LB=RI}]")
_OPENS = regex.compile(r"[\p{LB=OP}\p{LB=QU}\p{LB=PR}]")
_CLOSES = regex.compile(
    r"[\s\p{LB=CL}\p{LB=CP}\p{LB=EX}\p{LB=IS}\p{LB=NS}\p{LB=SY}\p{LB=QU}\p{LB=CJ}]"
)

_COMMON = "Zyyy"
_NEUTRAL = {_COMMON, "Zinh"}  # of the characters that many scripts share


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a reader takes for one character, in the face that has it. `level` is that of UAX #9."""

    text: str
    face: str
    script: str
    level: int


@dataclass(frozen=True, slots=True)
class Glyph:
    """A glyph of a face; lengths in thousandths of the type size. `text` is what it stands for."""

    number: int
    text: str
    advance: float
    right: float
    up: float


@dataclass(frozen=True, slots=True)
class Run:
    """Glyphs of one face, from left to right."""

    face: str
    glyphs: tuple[Glyph, ...]

    @property
    def width(self) -> float:
        return sum(glyph.advance for glyph in self.glyphs)


Line = Sequence[Run]


def printable(text: str) -> str:
    """Compose the characters on one line, without controls that could reorder the text around them.

    A single character stays as it is: NFC would replace some ideographs by others.
    """
    signs = _CONTROL.sub("", " ".join(text.split())).translate(_DRAWN_AS)
    return "".join(
        unicodedata.normalize("NFC", cluster) if len(cluster) > 1 else cluster
        for cluster in _CLUSTER.findall(signs)
    )


def visible(text: str) -> str:
    """Leave out the characters that are never drawn by themselves."""
    seen: str = _INVISIBLE.sub("", text)
    return seen


class Typesetter:
    """Sets texts in the faces that they need, each loaded once from the folder `fonts`."""

    def __init__(self, fonts: Traversable) -> None:
        self._fonts = fonts
        self._loaded: dict[str, hb.Font] = {}
        self._shown: dict[tuple[str, str], bool] = {}

    def lines(self, text: str, *, width: float, most: int) -> list[Line] | None:
        """Set `text` in lines of `width`, in thousandths of the type size. Return `None` beyond `most`."""
        lines = list(self._broken(self._clusters(printable(text)), width, most + 1))
        return None if len(lines) > most else lines

    def shortened(self, text: str, *, width: float, most: int) -> list[Line]:
        """Set as much of `text` as `most` lines of `width` hold, with an ellipsis."""
        clusters = _CLUSTER.findall(printable(text))

        def overflows(count: int) -> bool:
            short = "".join(clusters[:count]) + _ELLIPSIS
            return self.lines(short, width=width, most=most) is None

        kept = bisect_right(range(len(clusters)), False, key=overflows) - 1
        short = "".join(clusters[: max(kept, 0)]) + _ELLIPSIS
        return self.lines(short, width=width, most=most) or []

    def _clusters(self, text: str) -> list[Cluster]:
        placed: list[Cluster] = []
        for cluster, level in _levelled(text):
            before = placed[-1] if placed else None
            placed += self._placed(cluster, level, before)
        return placed

    def _placed(self, cluster: str, level: int, before: Cluster | None) -> Iterator[Cluster]:
        for text, found in self._parts(cluster, before):
            kind = script(visible(text)[0]) if found else _COMMON
            if kind in _NEUTRAL and before:
                kind = before.script
            yield Cluster(text if found else faces.BOX, found or faces.WIDE, kind, level)

    def _parts(self, cluster: str, before: Cluster | None = None) -> list[tuple[str, str | None]]:
        """Give a cluster one face, or draw its NFKC form, or give each of its characters its own face."""
        if face := self._face_of(cluster, before):
            return [(cluster, face)]
        alike = visible(unicodedata.normalize("NFKC", cluster))
        parts = [(part, self._face_of(part)) for part in _CLUSTER.findall(alike)]
        if all(face for _, face in parts):
            return parts
        chars = visible(cluster)
        return [part for c in chars for part in self._parts(c)] if chars[1:] else [(chars, None)]

    def _face_of(self, cluster: str, before: Cluster | None = None) -> str | None:
        candidates = list(faces.faces_of(visible(cluster)[0]))
        if cluster == _SPACE and before and before.face != faces.EMOJI:  # where it is very wide
            candidates.insert(0, before.face)
        if _EMOJI_SELECTOR in cluster:
            candidates.insert(0, faces.EMOJI)
        return next((face for face in candidates if self._shows(cluster, face)), None)

    def _shows(self, cluster: str, face: str) -> bool:
        if (cluster, face) not in self._shown:
            glyphs = self._shape(cluster, face, script(cluster[0]), level=0).glyphs
            self._shown[cluster, face] = bool(glyphs) and all(glyph.number for glyph in glyphs)
        return self._shown[cluster, face]

    def _font(self, face: str) -> hb.Font:
        if face not in self._loaded:
            blob = hb.Blob((self._fonts / f"{face}.ttf").read_bytes())
            self._loaded[face] = hb.Font(hb.Face(blob))
        return self._loaded[face]

    def _shape(self, text: str, face: str, kind: str, *, level: int) -> Run:
        font = self._font(face)
        buffer = hb.Buffer()
        buffer.flags = hb.BufferFlags.REMOVE_DEFAULT_IGNORABLES
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_GRAPHEMES
        buffer.add_str(text)
        buffer.direction = "rtl" if level % 2 else "ltr"
        buffer.script = kind
        hb.shape(font, buffer)
        return Run(face, tuple(_glyphs(buffer, text, 1000 / font.face.upem)))

    def _broken(self, clusters: list[Cluster], width: float, most: int) -> Iterator[Line]:
        """Yield at most `most` lines, each the most clusters that fit, up to the end of a word."""
        start = 0
        for _ in range(most):
            while start < len(clusters) and clusters[start].text == _SPACE:
                start += 1
            if start == len(clusters):
                return
            end = self._end(clusters, start, width)
            yield self._set(clusters[start:end])
            start = end

    def _end(self, clusters: list[Cluster], start: int, width: float) -> int:
        def overflows(end: int) -> bool:
            return sum(run.width for run in self._set(clusters[start:end])) > width

        ends = range(start + 1, len(clusters) + 1)
        end = ends[max(bisect_right(ends, False, key=overflows) - 1, 0)]
        if end == len(clusters):
            return end
        words = (at for at in range(end, start, -1) if _may_break(clusters[at - 1], clusters[at]))
        return next(words, end)

    def _set(self, clusters: list[Cluster]) -> Line:
        while clusters and clusters[-1].text == _SPACE:
            clusters = clusters[:-1]
        runs = [
            (level, self._shape("".join(each.text for each in same), face, kind, level=level))
            for (face, kind, level), same in groupby(
                clusters, key=lambda each: (each.face, each.script, each.level)
            )
        ]
        return [run for _, run in _reordered(runs)]


def _glyphs(buffer: hb.Buffer, text: str, scale: float) -> Iterator[Glyph]:
    """The glyphs of a shaped text. The first of a cluster stands for all of it, the others for nothing."""
    starts = sorted({info.cluster for info in buffer.glyph_infos})
    ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        yield Glyph(
            number=info.codepoint,
            text=text[info.cluster : ends.pop(info.cluster, 0)],
            advance=place.x_advance * scale,
            right=place.x_offset * scale,
            up=place.y_offset * scale,
        )


def _levelled(text: str) -> Iterator[tuple[str, int]]:
    """The visible clusters with their levels. Joiners and selectors have that of their base."""
    paragraph = BidiParagraph(text)
    levels = {each.character_index: each.embedding_level for each in paragraph.characters}
    level = paragraph.base_embedding_level
    for found in _CLUSTER.finditer(text):
        level = levels.get(found.start(), level)
        if seen := visible(found[0]):
            yield _SPACE if seen.isspace() else found[0], level


def _may_break(before: Cluster, after: Cluster) -> bool:
    if _ENDS_A_WORD.search(before.text[-1]):
        return True
    either = _IDEOGRAPH.match(before.text) or _IDEOGRAPH.match(after.text)
    return bool(either) and not _OPENS.match(before.text) and not _CLOSES.match(after.text)


def _reordered(runs: list[tuple[int, Run]]) -> list[tuple[int, Run]]:
    """Rule L2: from the highest level to 1, reverse the runs at that level or higher."""
    for limit in range(max((level for level, _ in runs), default=0), 0, -1):
        parts: Iterable[tuple[bool, Iterator[tuple[int, Run]]]] = groupby(
            runs, key=lambda run: run[0] >= limit
        )
        runs = [run for high, part in parts for run in (reversed([*part]) if high else part)]
    return runs
