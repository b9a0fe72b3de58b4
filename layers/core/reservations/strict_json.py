"""JSON objects without duplicate members, which parsers read in different ways (RFC 8259, section 4)."""

from collections.abc import Sequence
from typing import Any


class DuplicateMemberError(ValueError):
    """Two members of an object have the same name."""


def without_duplicates(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` of `json.loads`.

    Raises:
        DuplicateMemberError: see there.
    """
    parsed = dict(members)
    if len(parsed) != len(members):
        raise DuplicateMemberError
    return parsed
