"""The fingerprints that released code gave to the bodies that it accepted, so that each stored key still replays.

A line of `fingerprints/accepted.jsonl` is a body: the members that differ from `A_BODY`, or its whole text. Beside them
are the values of its fingerprint that differ from that of `A_BODY`. A release may add lines. No line ever changes.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reservations.domain.policy import STANDARD
from reservations.entrypoints.bodies import parse_json, parse_reservation
from tests.worlds.quotes import a_first_use

RECORDED = Path(__file__).parent / "fingerprints" / "accepted.jsonl"
# A first use refuses every trip of that day.
NEVER = a_first_use(datetime.max.replace(tzinfo=UTC), policy=replace(STANDARD, horizon=timedelta()))

A_BODY: dict[str, Any] = {
    "customer": {"full_name": "Ana Pérez", "email": "ana@example.com", "phone": "+34600111222"},
    "offer": {
        "offer_id": "HTL-MAD-001",
        "description": "Hotel Sol, doble",
        "starts_on": "2027-05-01",
        "ends_on": "2027-05-04",
        "guests": 2,
    },
    "price": {"amount": "342.50", "currency": "EUR"},
    "payment_token": "tok_ok",
}
A_FINGERPRINT = A_BODY | {"price": [34250, "EUR"]}


def recorded() -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the number of a line, the body as it was sent, and its fingerprint."""
    for number, line in enumerate(RECORDED.read_text(encoding="utf-8").splitlines(), start=1):
        vector = json.loads(line)
        typed = vector["typed"]
        body = typed if isinstance(typed, str) else json.dumps(changed(A_BODY, typed))
        yield number, body.encode(), changed(A_FINGERPRINT, vector["read"])


def changed(values: dict[str, Any], differences: dict[str, Any]) -> dict[str, Any]:
    result = deepcopy(values)
    for pointer, value in differences.items():
        *path, member = pointer.removeprefix("/").split("/")
        place = result
        for step in path:
            place = place[step]
        place[member] = value
    return result


def test_every_body_that_a_release_accepted_has_the_fingerprint_of_that_release() -> None:
    count, different = 0, []
    for number, body, fingerprint in recorded():
        count += 1
        found = parse_reservation(parse_json(body), context=NEVER).fingerprint()
        if json.dumps(found, sort_keys=True) != json.dumps(fingerprint, sort_keys=True):
            different.append(number)

    assert count > 1000
    assert different == []
