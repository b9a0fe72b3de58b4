"""Answers that 0.1.0 stored are repeated byte for byte: a key is kept for 30 days, beyond a deployment.

`answers/stored_by_0.1.0.json` was written by the code of 0.1.0: an answer in its store, and its replay. A release may
add records of its own. No record ever changes.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response

from reservations.domain.access_token import KeyRing
from reservations.entrypoints import answers

RECORDED = Path(__file__).parent / "answers" / "stored_by_0.1.0.json"
KEYS = KeyRing(current="k2", keys={"k1": bytes(32), "k2": b"2" * 32})
RENDER: dict[str, Callable[..., Response[str]]] = {
    "created": partial(answers.created, keys=KEYS),
    "cancelled": answers.cancelled,
}


@pytest.mark.parametrize("record", json.loads(RECORDED.read_text(encoding="utf-8")))
def test_an_answer_that_0_1_0_stored_is_repeated_byte_for_byte(record: dict[str, Any]) -> None:
    replay = RENDER[record["render"]](
        record["stored"], base_url="https://api.reservations.example/live", replayed=True
    )

    assert replay.body == record["body"]
    assert (replay.status_code, replay.content_type) == (record["status"], record["content_type"])
    assert replay.headers == record["headers"]
