"""Answers with a reservation: versions, `Retry-After`, links, and the stored answer of a replay."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response

from reservations.domain.access_token import KeyRing
from reservations.domain.facts import Reason, Status
from reservations.domain.history import ACCEPTED, HistoryEntry
from reservations.domain.history import CONFIRMED as CONFIRMED_EVENT
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Language, MailKind, MailStatus, Reservation
from reservations.entrypoints import answers
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    RESERVATION_ID,
    SECOND,
    a_booking,
    a_charge,
    a_customer,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
)
from tests.worlds.fakes import glance_of

BASE_URL = "https://api.reservations.example/live"
KEYS = KeyRing(current="k2", keys={"k1": bytes(32), "k2": b"2" * 32})
SUPPORT = "ayuda@reservations.example"
INSTANT = timedelta(milliseconds=1)
CONFIRMED = a_reservation(a_charge(), a_booking(), documents=(a_voucher(),))


def shown(
    reservation: Reservation, *, age: timedelta = SECOND, if_none_match: str | None = None
) -> Response[str]:
    return answers.shown(
        reservation,
        now=NOON + age,
        policy=STANDARD,
        base_url=BASE_URL,
        support_contact=SUPPORT,
        if_none_match=if_none_match,
    )


def unchanged(reservation: Reservation, *, age: timedelta, tag: str = "*") -> Response[str] | None:
    glance = glance_of(reservation, NOON)
    return answers.unchanged(glance, now=NOON + age, if_none_match=tag)


def body_of(response: Response[str]) -> Any:
    assert response.body is not None
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (timedelta(0), "2"),
        (30 * SECOND - INSTANT, "2"),
        (30 * SECOND, "5"),
        (2 * MINUTE - INSTANT, "5"),
        (2 * MINUTE, "15"),
        (10 * MINUTE - INSTANT, "15"),
        (10 * MINUTE, "60"),
        (24 * HOUR - INSTANT, "60"),
    ],
)
def test_retry_after_grows_with_the_age_of_the_reservation(age: timedelta, seconds: str) -> None:
    assert shown(a_reservation(), age=age).headers["Retry-After"] == seconds


def test_the_timeline_omits_events_unknown_to_this_release() -> None:
    events = [ACCEPTED, "loyalty.points_given", CONFIRMED_EVENT]
    history = [HistoryEntry(event=event, at=NOON, actor="system") for event in events]

    listed = body_of(answers.timeline(CONFIRMED, history, language=Language.ENGLISH))["events"]

    assert [event["type"] for event in listed] == [ACCEPTED, CONFIRMED_EVENT]


def test_retry_after_ends_with_the_mail_of_the_news() -> None:
    told = replace(CONFIRMED, sends=(a_send(),))

    assert "Retry-After" in shown(CONFIRMED).headers
    assert "Retry-After" not in shown(told).headers


def test_retry_after_stays_on_a_confirmed_trip_until_its_voucher_is_issued() -> None:
    answer = shown(a_reservation(a_charge(), a_booking(), sends=(a_send(),)))

    assert body_of(answer)["status"] == "CONFIRMADA"
    assert body_of(answer)["documents"] == []
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    "if_none_match", ['W/"3"', '"3"', '"1", W/"3"', ' W/"3" ,"9"', "*", '"2",*']
)
def test_a_reader_with_this_version_gets_no_body(if_none_match: str) -> None:
    response = shown(a_reservation(version=3), if_none_match=if_none_match)

    assert response.status_code == 304
    assert not response.body
    assert response.headers["ETag"] == 'W/"3"'
    assert "Vary" in response.headers


@pytest.mark.parametrize("if_none_match", [None, "", "3", 'W/"2"', '"33"', 'w/"3"'])
def test_a_reader_with_another_version_gets_the_body(if_none_match: str | None) -> None:
    response = shown(a_reservation(version=3), if_none_match=if_none_match)

    assert response.status_code == 200
    assert body_of(response)["version"] == 3


@pytest.mark.parametrize("age", [SECOND, MINUTE, HOUR, 24 * HOUR])
@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(),
        replace(CONFIRMED, sends=(a_send(),)),
        a_reservation(reason=Reason.EXPIRED, sends=(a_send(MailKind.EXPIRED),), next_check_at=None),
    ],
    ids=["in process", "served", "settled"],
)
def test_the_row_alone_gives_the_answer_of_the_whole(
    reservation: Reservation, age: timedelta
) -> None:
    of_the_row, whole = (
        unchanged(reservation, age=age),
        shown(reservation, age=age, if_none_match="*"),
    )

    assert of_the_row is not None
    assert (of_the_row.status_code, of_the_row.headers) == (304, whole.headers)


@pytest.mark.parametrize(
    ("reservation", "age", "tag"),
    [
        (a_reservation(), SECOND, 'W/"2"'),
        (a_reservation(a_charge(Status.PENDING, deadline_at=NOON)), SECOND, "*"),
        (a_reservation(sends=(a_send(status=MailStatus.NOT_SENT),)), SECOND, "*"),
        (CONFIRMED, SECOND, "*"),
        (CONFIRMED, timedelta(days=61), "*"),
    ],
    ids=["another version", "in review", "a mail under way", "not settled", "the trip began"],
)
def test_the_whole_is_read_where_the_row_does_not_decide(
    reservation: Reservation, age: timedelta, tag: str
) -> None:
    assert unchanged(reservation, age=age, tag=tag) is None


def test_links_lead_to_the_reservation_and_its_voucher() -> None:
    body = body_of(shown(CONFIRMED))

    itself = f"{BASE_URL}/v1/reservations/7KQ2M-XD4RT-S"
    assert body["_links"] == {
        "self": itself,
        "timeline": f"{itself}/timeline",
        "cancel": f"{itself}/cancel",
    }
    assert body["documents"] == [{"type": "voucher", "url": f"{itself}/voucher"}]


def test_the_link_to_cancel_ends_with_the_possibility() -> None:
    expired = a_reservation(reason=Reason.EXPIRED)
    assert "cancel" not in body_of(shown(expired))["_links"]


def test_a_reader_of_an_old_version_learns_that_its_link_to_cancel_has_ended() -> None:
    began = timedelta(days=61)

    assert shown(CONFIRMED, if_none_match="*").status_code == 304
    assert shown(CONFIRMED, age=began, if_none_match="*").status_code == 200


def test_a_reservation_without_a_voucher_shows_no_document() -> None:
    assert body_of(shown(a_reservation()))["documents"] == []


def test_no_answer_holds_personal_data() -> None:
    customer, text = a_customer(), str(shown(CONFIRMED).body)
    for personal in (customer.full_name, customer.email, customer.phone, customer.payment_token):
        assert personal is not None
        assert personal not in text


def test_a_confirmed_trip_shows_its_locator_its_time_limit_and_the_contact() -> None:
    body = body_of(shown(CONFIRMED))

    assert body["supplier_locator"] == CONFIRMED.standing.bookings[0].locator
    assert body["closed_reason"] is None
    assert body["cancellable_until"] == f"{CONFIRMED.offer.starts_on}T00:00:00.000Z"
    assert body["support_contact"] == SUPPORT


# --- the answer to a a_creation -----------------------------------------------------------------------


def stored(reservation: Reservation | None = None) -> dict[str, Any]:
    return answers.stored_answer(
        reservation or a_reservation(), policy=STANDARD, support_contact=SUPPORT
    )


def test_the_answer_stored_for_a_replay_holds_no_token_no_url_and_no_personal_data() -> None:
    kept = json.dumps(stored(), ensure_ascii=False)

    customer = a_customer()
    for word in ("access_token", "http", customer.full_name, customer.email, customer.phone):
        assert word is not None
        assert word not in kept


def test_a_creation_is_answered_with_the_token_and_the_location() -> None:
    response = answers.created(stored(), base_url=BASE_URL, keys=KEYS, replayed=False)

    body = body_of(response)
    assert response.status_code == 202
    assert response.headers["Location"] == body["_links"]["self"]
    assert response.headers["Retry-After"] == "2"
    assert response.headers["ETag"] == 'W/"1"'
    assert response.headers["Cache-Control"] == "no-store"
    assert KEYS.verify(body["access_token"], "k1", RESERVATION_ID)


def test_a_trip_that_begins_today_is_created_without_a_link_to_cancel() -> None:
    tonight = a_reservation(offer=an_offer(starts_on=NOON.date()))

    response = answers.created(stored(tonight), base_url=BASE_URL, keys=KEYS, replayed=False)

    body = body_of(response)
    assert "cancel" not in body["_links"]
    assert body["cancellable_until"] is None


def test_a_replay_differs_only_in_its_header() -> None:
    first = answers.created(stored(), base_url=BASE_URL, keys=KEYS, replayed=False)
    again = answers.created(
        json.loads(json.dumps(stored())), base_url=BASE_URL, keys=KEYS, replayed=True
    )

    assert again.body == first.body
    assert again.headers == first.headers | {"Idempotency-Replayed": "true"}


# --- the link to the voucher --------------------------------------------------------------------------


def test_a_browser_is_redirected_to_the_voucher_without_cache_or_referrer() -> None:
    url = "https://bucket.s3.example/vouchers/a?signature=s"
    response = answers.voucher_link(url, expires_at=NOON, as_json=False)

    assert (response.status_code, response.headers["Location"]) == (303, url)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert not response.body


def test_a_program_gets_the_link_and_its_expiry() -> None:
    url = "https://bucket.s3.example/vouchers/a?signature=s"
    response = answers.voucher_link(url, expires_at=NOON, as_json=True)

    assert response.status_code == 200
    assert body_of(response) == {"url": url, "expires_at": "2027-03-01T12:00:00.000Z"}
