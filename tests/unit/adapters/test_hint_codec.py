"""A hint on the wire: written and read back unchanged; any other message is poison."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservations.adapters.aws.hint_codec import PoisonMessageError, decode_hint, encode_hint
from reservations.domain.messages import Hint, Queue

A_HINT = Hint(
    message_id=UUID("0195511f-3c00-7abc-8def-0123456789ab"),
    queue=Queue.SUPPLIER,
    reservation_id=UUID("0195511f-3c00-7abc-8def-ba9876543210"),
    type="payment.succeeded",
    occurred_at=datetime(2027, 3, 1, 12, 0, 0, 120000, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
THE_BODY = {
    "message_id": "0195511f-3c00-7abc-8def-0123456789ab",
    "schema_version": 1,
    "reservation_id": "0195511f-3c00-7abc-8def-ba9876543210",
    "type": "payment.succeeded",
    "occurred_at": "2027-03-01T12:00:00.120000Z",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def reason_of(body: str) -> str:
    with pytest.raises(PoisonMessageError) as poison:
        decode_hint(body, queue=Queue.SUPPLIER)
    return poison.value.reason


def test_a_hint_has_six_members_and_no_queue() -> None:
    assert json.loads(encode_hint(A_HINT)) == THE_BODY


_uuid7s = st.integers(0, 2**128 - 1).map(
    lambda n: UUID(int=n & ~(0xF << 76) & ~(0x3 << 62) | 7 << 76 | 2 << 62)
)


@given(
    message_id=_uuid7s,
    reservation_id=st.uuids(),
    occurred_at=st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    queue=st.sampled_from(Queue),
    traceparent=st.none() | st.just(A_HINT.traceparent),
)
def test_a_hint_is_read_back_as_written(**members: Any) -> None:
    hint = replace(A_HINT, **members)

    assert decode_hint(encode_hint(hint), queue=hint.queue) == hint


def test_a_local_time_is_written_in_utc() -> None:
    madrid = timezone(timedelta(hours=1))
    hint = replace(A_HINT, occurred_at=A_HINT.occurred_at.astimezone(madrid))

    assert encode_hint(hint) == encode_hint(A_HINT)


@pytest.mark.parametrize(
    "traceparent", ["", "x", f"00-{'0' * 32}-b7ad6b7169203331-01", f"{A_HINT.traceparent}\n"]
)
def test_a_malformed_trace_is_dropped_by_the_sender_and_refused_by_the_reader(
    traceparent: str,
) -> None:
    sent = encode_hint(replace(A_HINT, traceparent=traceparent))

    assert decode_hint(sent, queue=A_HINT.queue).traceparent is None
    assert reason_of(json.dumps({**THE_BODY, "traceparent": traceparent})) == "invalid_traceparent"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        ("[" * 100_000, "not_json"),
        ('{"schema_version": ' + "1" * 10_000 + "}", "not_json"),
        ("null", "not_an_object"),
        ("[]", "not_an_object"),
        ('"hint"', "not_an_object"),
        ('{"type": "a.b", "type": "a.b"}', "duplicate_member"),
        ("{}", "unknown_schema_version"),
    ],
)
def test_a_malformed_body_is_poison(body: str, reason: str) -> None:
    assert reason_of(body) == reason


@pytest.mark.parametrize("version", [0, 2, "1", None, True, [1]])
def test_an_unknown_version_is_refused_before_the_other_members(version: object) -> None:
    assert reason_of(json.dumps({"schema_version": version})) == "unknown_schema_version"


@pytest.mark.parametrize("name", sorted(THE_BODY.keys() - {"schema_version"}))
def test_every_member_is_required(name: str) -> None:
    body = {key: value for key, value in THE_BODY.items() if key != name}

    assert reason_of(json.dumps(body)) == "wrong_members"


def test_an_unknown_member_is_poison() -> None:
    assert reason_of(json.dumps({**THE_BODY, "email": "ana@example.com"})) == "wrong_members"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", "0195511f-3c00-4abc-8def-0123456789ab"),  # version 4
        ("message_id", "0195511f-3c00-7abc-0def-0123456789ab"),  # another variant
        ("message_id", "0195511F-3C00-7ABC-8DEF-0123456789AB"),
        ("message_id", "{0195511f-3c00-7abc-8def-0123456789ab}"),
        ("message_id", "0195511f3c007abc8def0123456789ab"),
        ("message_id", 7),
        ("reservation_id", "7KQ2M-XD4RT-S"),
        ("reservation_id", None),
        ("type", "accepted"),
        ("type", "Payment.succeeded"),
        ("type", "payment."),
        ("type", f"payment.{'x' * 100}"),
        ("type", None),
        ("occurred_at", "2027-03-01T12:00:00"),
        ("occurred_at", "2027-03-01 12:00:00Z"),
        ("occurred_at", "2027-13-01T12:00:00Z"),
        ("occurred_at", "2027-W09-1T12:00:00Z"),
        ("occurred_at", 1803902400),
        ("occurred_at", "0001-01-01T00:00:00+01:00"),  # before the first year, in UTC
        ("occurred_at", "٢٠٢٧-03-01T12:00:00Z"),
        ("traceparent", 0),
    ],
)
def test_a_malformed_member_is_poison(name: str, value: object) -> None:
    assert reason_of(json.dumps({**THE_BODY, name: value})) == f"invalid_{name}"


def test_the_reason_quotes_nothing_of_the_body() -> None:
    with pytest.raises(PoisonMessageError) as poison:
        decode_hint(json.dumps({**THE_BODY, "type": "ana@example.com"}), queue=Queue.PAYMENT)

    assert str(poison.value) == "invalid_type"
    assert poison.value.__suppress_context__
