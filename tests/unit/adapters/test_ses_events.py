"""Events of SES, and their decoding."""

import json
from typing import Any

import pytest

from reservations.adapters.aws.hint_codec import PoisonMessageError
from reservations.adapters.aws.ses_events import decode_mail_event
from reservations.application.record_mail_event import MailEvent
from reservations.domain.reservation import MailFeedback, MailKind
from tests.worlds.builders import RESERVATION_ID
from tests.worlds.invocation import an_event


def event_with(case: str, **changed: Any) -> str:
    """An example event with changed members, each named by its path joined with `__`."""
    [record] = an_event(f"record_mail_event.{case}")["Records"]
    event = json.loads(record["body"])
    for path, value in changed.items():
        *way, last = path.split("__")
        place = event
        for step in way:
            place = place[step]
        place[last] = value
    return json.dumps(event)


@pytest.mark.parametrize(
    ("body", "feedback"),
    [
        (event_with("bounced"), MailFeedback.BOUNCED),
        (event_with("bounced", bounce__bounceType="Undetermined"), MailFeedback.BOUNCED),
        (event_with("bounced", bounce__bounceType="Transient"), MailFeedback.RETURNED),
        (event_with("complained"), MailFeedback.COMPLAINED),
        (
            event_with("complained", complaint__complaintSubType="OnAccountSuppressionList"),
            MailFeedback.BOUNCED,
        ),
    ],
    ids=["permanent", "undetermined", "transient", "complaint", "suppressed"],
)
def test_the_feedback_of_each_ses_event(body: str, feedback: MailFeedback) -> None:
    assert decode_mail_event(body) == MailEvent(
        reservation_id=RESERVATION_ID, kind=MailKind.CONFIRMED, feedback=feedback
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        event_with("bounced", eventType="Delivery"),
        event_with("bounced", bounce__bounceType="Other"),
        event_with("bounced", mail__tags={}),
        event_with("bounced", mail__tags__reservation_id=["7KQ2M-XD4RT-H"]),
        event_with("bounced", mail__tags__reservation_id=[]),
        event_with("bounced", mail__tags__mail_kind=["newsletter"]),
    ],
)
def test_any_other_ses_event_is_poison_and_its_error_quotes_nothing(body: str) -> None:
    with pytest.raises(PoisonMessageError) as caught:
        decode_mail_event(body)
    assert caught.value.reason == str(caught.value) == "not_a_mail_event"
    assert caught.value.__cause__ is None


def test_the_greeting_of_ses_is_no_event() -> None:
    greeting = an_event("record_mail_event.batch")["Records"][0]["body"]
    assert decode_mail_event(greeting) is None
