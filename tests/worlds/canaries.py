"""Search for marked values in everything that is logged, stored or sent."""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from tests.worlds.account import tell

_looked: Counter[str] = Counter()
_sought: set[str] = set()


def forms(value: str) -> set[str]:
    """The forms of a value in a text: plain, JSON, URL, hex, and Base64 at any offset."""
    raw = value.encode()
    encoded = {base64.b64encode(b"\0" * pad + raw)[2 * bool(pad) + pad :] for pad in range(3)}
    inner = {
        text.decode().rstrip("=")[:-1] for text in encoded
    }  # the last symbol depends on the next byte
    return {
        value.casefold(),
        json.dumps(value)[1:-1].casefold(),
        quote(value).casefold(),
        quote_plus(value).casefold(),
        raw.hex(),
        *(text.casefold() for text in inner if len(text) >= 8),
    }


@dataclass(slots=True)
class Search:
    """Searches sinks for `values`. `allowed` has the names that may appear in each sink."""

    values: Mapping[str, str]
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    found: set[tuple[str, str]] = field(default_factory=set)
    looked: Counter[str] = field(default_factory=Counter)

    def look(self, sink: str, records: Iterable[object]) -> None:
        sought = {
            name: forms(value)
            for name, value in self.values.items()
            if name not in self.allowed.get(sink, ())
        }
        written = [str(record) for record in records]
        content = "\n".join(written).casefold()
        self.looked[sink] += len(written)
        self.found |= {
            (sink, name) for name, ways in sought.items() if any(way in content for way in ways)
        }

    def conclude(self) -> None:
        """Report the search at the end of the run.

        Raises:
            AssertionError: a value was found in a sink that does not allow it.
        """
        _looked.update(self.looked)
        _sought.update(self.values)
        sinks = ", ".join(f"{name} {count}" for name, count in sorted(_looked.items()))
        tell(
            "canaries",  # an empty search would find nothing either
            f"canaries: {len(_sought)} values in {len(_looked)} sinks,"
            f" {_looked.total()} records ({sinks})",
        )
        assert self.found == set()
