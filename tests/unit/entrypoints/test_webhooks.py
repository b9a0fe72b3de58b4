"""Verification of a webhook: size, signature, clock and shape, in this order."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations.application.ports import WebhookEvent
from reservations.domain.facts import Provider
from reservations.entrypoints.http import MAX_BODY_BYTES
from reservations.entrypoints.problems import ProblemError
from reservations.entrypoints.webhooks import verified
from tests.worlds.signing import a_signature, signed_headers

SENT_AT = datetime(2027, 3, 1, 12, tzinfo=UTC)
TIMESTAMP = int(SENT_AT.timestamp())
SECRET, NEW_SECRET = b"0" * 32, b"1" * 32
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
REFERENCE = "0195511f-3c00-7abc-8def-0123456789ab"
NOTICE = {
    "type": "payment.succeeded",
    "timestamp": "2027-03-01T12:00:00Z",
    "data": {"reference": REFERENCE, "payment_id": "pay_1"},
}
BODY = json.dumps(NOTICE).encode()
TAKEN = WebhookEvent(
    provider=Provider.PAYMENTS, webhook_id=ID, type="payment.succeeded", reference=REFERENCE
)


def headers_for(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return signed_headers(secret, webhook_id=ID, timestamp=TIMESTAMP, body=body)


def signature_by(secret: bytes, body: bytes = BODY) -> str:
    return a_signature(secret, webhook_id=ID, timestamp=TIMESTAMP, body=body)


def receive(
    body: bytes = BODY,
    *,
    headers: Mapping[str, str] | None = None,
    secrets: tuple[bytes, ...] = (SECRET,),
    now: datetime = SENT_AT,
    in_base64: bool = False,
) -> WebhookEvent | None:
    event: dict[str, Any] = {
        "headers": headers_for(body) if headers is None else headers,
        "body": base64.b64encode(body).decode() if in_base64 else body.decode(),
        "isBase64Encoded": in_base64,
    }
    return verified(
        APIGatewayProxyEvent(event), provider=Provider.PAYMENTS, secrets=secrets, now=now
    )


def refusal(body: bytes = BODY, **given: Any) -> str:
    with pytest.raises(ProblemError) as refused:
        receive(body, **given)
    return refused.value.problem.code


def with_headers(**changes: str | None) -> dict[str, str]:
    """The headers of a valid webhook with changes. `None` removes a header."""
    changed = headers_for(BODY) | {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


# --- the signature --------------------------------------------------------------------------------


def test_a_webhook_signed_by_its_provider_is_read() -> None:
    assert receive() == TAKEN


def test_the_example_of_the_specification_has_a_valid_signature_and_an_invalid_body() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, as its reference libraries test it."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    then = datetime.fromtimestamp(1614265330, UTC)

    body = b'{"test": 2432232314}'

    assert receive(body, headers=headers, secrets=(secret,), now=then) is None
    assert refusal(body, headers=headers, now=then) == "webhook_signature_invalid"


def test_the_signed_bytes_are_those_of_the_decoded_body() -> None:
    accented = json.dumps({**NOTICE, "nota": "mañana"}, ensure_ascii=False).encode()
    assert receive(accented, in_base64=True) == receive(accented) == TAKEN


@pytest.mark.parametrize("signed_with", [SECRET, NEW_SECRET], ids=["old", "new"])
def test_both_secrets_are_valid_during_a_rotation(signed_with: bytes) -> None:
    headers = headers_for(BODY, signed_with)
    assert receive(headers=headers, secrets=(NEW_SECRET, SECRET)) == TAKEN


def test_a_removed_secret_is_invalid() -> None:
    assert refusal(secrets=(NEW_SECRET,)) == "webhook_signature_invalid"


@pytest.mark.parametrize("place", range(3))
def test_one_valid_signature_among_several_is_enough(place: int) -> None:
    given = [signature_by(b"2" * 32), signature_by(b"3" * 32)]
    given.insert(place, signature_by(SECRET))

    assert receive(headers=with_headers(webhook_signature=" ".join(given))) == TAKEN


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "v1,",
        "v1",
        signature_by(SECRET).removeprefix("v1,"),
        signature_by(SECRET).replace("v1,", "v1a,"),
        signature_by(SECRET).replace("v1,", "v2,"),
        signature_by(SECRET)[:-1],
        signature_by(SECRET)[:20],
        signature_by(SECRET) + "=",
        signature_by(SECRET).replace("v1,", "v1,v1,"),
        signature_by(SECRET).lower(),
        signature_by(NEW_SECRET),
        signature_by(b""),
        "v1,ñandú",
        f"{signature_by(NEW_SECRET)},{signature_by(SECRET)}",
        f"{signature_by(SECRET)} " + "v1, " * 250,
    ],
)
def test_any_other_signature_is_refused(signature: str | None) -> None:
    headers = with_headers(webhook_signature=signature)
    assert refusal(headers=headers) == "webhook_signature_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_id": None},
        {"webhook_id": ""},
        {"webhook_id": "msg_another"},
        {"webhook_id": ID[:-1]},
        {"webhook_timestamp": None},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": str(TIMESTAMP + 1)},
        {"webhook_timestamp": f" {TIMESTAMP}"},
        {"webhook_timestamp": f"{TIMESTAMP}.0"},
    ],
    ids=str,
)
def test_id_and_time_are_signed_too(changes: dict[str, str | None]) -> None:
    assert refusal(headers=with_headers(**changes)) == "webhook_signature_invalid"


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "٣", "now", "9" * 11, f"+{TIMESTAMP}", "0x1"])
def test_a_time_that_is_no_number_of_seconds_is_refused_even_if_signed(timestamp: str) -> None:
    signature = a_signature(SECRET, webhook_id=ID, timestamp=timestamp, body=BODY)
    headers = with_headers(webhook_timestamp=timestamp, webhook_signature=signature)
    assert refusal(headers=headers) == "webhook_signature_invalid"


@pytest.mark.parametrize(("length", "refused"), [(1, False), (128, False), (129, True)])
def test_an_id_is_at_most_as_long_as_its_column(length: int, refused: bool) -> None:
    webhook_id = "m" * length
    headers = signed_headers(SECRET, webhook_id=webhook_id, timestamp=TIMESTAMP, body=BODY)

    if refused:
        assert refusal(headers=headers) == "webhook_signature_invalid"
    else:
        assert receive(headers=headers) == replace(TAKEN, webhook_id=webhook_id)


@pytest.mark.parametrize("forged", [BODY.replace(b"pay_1", b"pay_2"), BODY + b" ", BODY[:-1], b""])
def test_a_changed_body_is_refused(forged: bytes) -> None:
    assert refusal(forged, headers=headers_for(BODY)) == "webhook_signature_invalid"


def test_header_names_are_case_insensitive() -> None:
    shouting = {name.title(): value for name, value in headers_for(BODY).items()}
    assert receive(headers=shouting) == TAKEN


# --- the clock ------------------------------------------------------------------------------------

LIMIT, A_MOMENT = timedelta(seconds=300), timedelta(microseconds=1)


@pytest.mark.parametrize("away", [LIMIT, -LIMIT], ids=["behind", "ahead"])
def test_a_clock_may_differ_by_five_minutes(away: timedelta) -> None:
    assert receive(now=SENT_AT + away) == TAKEN


@pytest.mark.parametrize("away", [LIMIT + A_MOMENT, -LIMIT - A_MOMENT], ids=["behind", "ahead"])
def test_a_webhook_beyond_five_minutes_is_stale(away: timedelta) -> None:
    assert refusal(now=SENT_AT + away) == "webhook_stale"


def test_only_a_signed_webhook_is_reported_as_stale() -> None:
    forged = with_headers(webhook_signature=signature_by(NEW_SECRET))
    assert refusal(headers=forged, now=SENT_AT + 2 * LIMIT) == "webhook_signature_invalid"


# --- the body -------------------------------------------------------------------------------------


def filled_up_to(size: int) -> bytes:
    empty = json.dumps({**NOTICE, "more": ""}).encode()
    return json.dumps({**NOTICE, "more": "x" * (size - len(empty))}).encode()


def test_a_body_may_be_as_large_as_the_limit() -> None:
    assert receive(filled_up_to(MAX_BODY_BYTES)) == TAKEN


@pytest.mark.parametrize("in_base64", [False, True])
def test_a_larger_body_is_refused_before_its_signature_is_checked(in_base64: bool) -> None:
    larger = filled_up_to(MAX_BODY_BYTES + 1)
    assert refusal(larger, headers={}, in_base64=in_base64) == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"payment.succeeded"',
        BODY[:-1] + b', "data": {"reference": "twice"}}',
        BODY[:-1] + b', "type": "payment.declined"}',
        BODY.replace(b'"payment_id"', b'"reference"'),
        b'{"data":' * 5_000,
    ],
)
def test_a_signed_body_that_is_no_json_object_is_malformed(body: bytes) -> None:
    assert refusal(body) == "malformed_json"


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b'"pay_1"', b"NaN"),
        BODY.replace(b'"pay_1"', b"-Infinity"),
        BODY.replace(b'"pay_1"', b"9" * 5_000),
        BODY.replace(b'"pay_1"', '"caf\ufffd"'.encode()),
        BODY.replace(b'"pay_1"', b'"\\ud800"'),
        BODY.replace(b'"pay_1"', b'1, "payment_id": 2'),
        BODY.replace(b'"pay_1"', b'{"reference": 1, "reference": 2}'),
        BODY[:-1] + b', "note": 1, "note": {"type": 1, "type": 2}}',
        b"\xef\xbb\xbf" + BODY,
        b" \n" + BODY + b"\n",
    ],
)
def test_a_signed_webhook_is_read_whatever_is_in_the_members_that_nobody_reads(body: bytes) -> None:
    assert receive(body) == TAKEN


def test_bytes_that_are_not_utf_8_are_no_fault_in_a_member_that_nobody_reads() -> None:
    assert receive(BODY.replace(b"pay_1", b"caf\xe9"), in_base64=True) == TAKEN


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data": []},
        {"data": {}},
        {"data": {"reference": ""}},
        {"data": {"reference": "r" * 65}},
        {"data": {"reference": 7}},
        {"data": {"reference": "\ud800"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["payment.succeeded", "ping", 7], ids=str)
def test_a_signed_webhook_without_a_usable_reference_is_ignored(
    changes: dict[str, Any], kind: object
) -> None:
    assert receive(json.dumps({**NOTICE, "type": kind, **changes}).encode()) is None


def test_a_webhook_without_reference_is_refused_without_a_good_signature() -> None:
    body = json.dumps({**NOTICE, "data": {}}).encode()
    assert refusal(body, headers=headers_for(body, NEW_SECRET)) == "webhook_signature_invalid"


@pytest.mark.parametrize(
    "kind",
    ["payment.succeeded", "refund.rejected", "dispute.created", "charge.refund.updated", "ping",
     "payment_intent.Succeeded", "x" * 64],
)  # fmt: skip
def test_a_reference_is_enough_whatever_the_type(kind: str) -> None:
    body = json.dumps(
        {"type": kind, "data": {"reference": "anything", "new": 1}, "version": 2}
    ).encode()
    assert receive(body) == replace(TAKEN, type=kind, reference="anything")


@pytest.mark.parametrize(
    "kind", ["", "Ana Pérez", "payment.succeeded\n", "x" * 65, None, 7, [], {}, "\ud800"], ids=ascii
)
def test_a_type_that_is_no_name_is_neither_stored_nor_refused(kind: object) -> None:
    body = json.dumps({**NOTICE, "type": kind}).encode()
    assert receive(body) == replace(TAKEN, type="unnamed")


def test_a_type_may_be_missing() -> None:
    body = json.dumps({"data": NOTICE["data"]}).encode()
    assert receive(body) == replace(TAKEN, type="unnamed")
