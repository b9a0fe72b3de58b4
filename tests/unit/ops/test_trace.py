"""One reservation on one time axis."""

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from ops.trace import Trace, as_svg, as_text, trace_of
from reservations.application.ports import Attempt
from reservations.domain.actions import Verb
from reservations.domain.facts import Kind, Status
from reservations.domain.history import CONTRADICTIONS, FEEDBACK, MAILS, OVER, HistoryEntry
from reservations.domain.identifiers import uuid7
from reservations.domain.reservation import MailFeedback, MailKind, MailStatus
from tests.worlds.builders import NOON, a_booking, a_charge, a_customer, a_reservation

SECOND = timedelta(seconds=1)
SVG = "{http://www.w3.org/2000/svg}"


def an_attempt(key: str, at: int, outcome: str, ms: int = 2000) -> Attempt:
    return Attempt(
        call_key=key,
        verb=Verb.CHARGE,
        sent_at=NOON + at * SECOND,
        outcome=outcome,
        http_status=201 if outcome == "Seen" else 500,
        elapsed_ms=ms,
        code=None if outcome == "Seen" else "internal_error",
    )


def a_hint(made: int, outbox_ms: int, queue_ms: int) -> dict[str, Any]:
    handled = NOON + made * SECOND + timedelta(milliseconds=outbox_ms + queue_ms)
    return {
        "message_id": str(uuid7(NOON + made * SECOND)),
        "outbox_ms": outbox_ms,
        "queue_ms": queue_ms,
        "timestamp": handled.isoformat(),
        "function_name": "reservations-ProcessPaymentFunction-1",
    }


@pytest.fixture
def trace() -> Trace:
    charge = a_charge(Status.UNKNOWN)
    reservation = a_reservation(charge, a_booking(), next_check_at=NOON + 7222 * SECOND)
    hint = a_hint(0, 500, 400)
    return trace_of(
        reservation,
        history=[
            HistoryEntry(event="reservation.accepted", at=NOON, actor="system"),
            HistoryEntry(
                event="operator.nudged", at=NOON + 7200 * SECOND, actor="operator:guardia"
            ),
        ],
        attempts=[an_attempt(charge.key, 1, "NoAnswer"), an_attempt(charge.key, 7200, "Seen")],
        lines=[hint, {**hint, "message": "another line of this work"}],
        now=NOON + 7210 * SECOND,
    )


def bars(trace: Trace) -> list[tuple[float, float, str]]:
    """Begin, width and colour of each mark of the drawing."""
    root = ElementTree.fromstring(as_svg(trace))  # noqa: S314  # our own text
    rects = [each for each in root.iter(f"{SVG}rect") if each.get("rx")]
    return [(float(r.get("x", 0)), float(r.get("width", 0)), r.get("fill", "")) for r in rects]


def test_marks_are_in_the_order_of_time_with_each_hint_once(trace: Trace) -> None:
    assert [mark.lane for mark in trace.marks] == [
        "history", "hint", "payments", "history", "payments",
    ]  # fmt: skip
    assert "0.5+0.4 s" in trace.marks[1].label


def test_a_bar_is_as_long_as_its_request(trace: Trace) -> None:
    _, hint, silent, _, answered = bars(trace)

    assert silent[1] == pytest.approx(answered[1], rel=0.01)
    assert silent[1] > 2 * hint[1]


GREEN, RED, AMBER, GREY = "#1a7f37", "#cf222e", "#9a6700", "#57606a"


@pytest.mark.parametrize(
    ("status", "outcome", "word", "colour"),
    [
        (Status.SUCCEEDED, "Seen", "answered: succeeded", GREEN),
        (Status.SUCCEEDED, "Listing", "listed: succeeded", GREEN),
        (Status.DECLINED, "Seen", "answered: declined", RED),
        (Status.VOIDED, "Seen", "answered: voided", RED),
        (Status.PENDING, "Seen", "answered: pending", AMBER),
        (Status.NOT_FOUND, "NotSent", "not sent", RED),
        (Status.UNKNOWN, "NoAnswer", "unknown", AMBER),
    ],
)
def test_the_colour_and_the_words_of_a_request_are_its_outcome(
    status: Status, outcome: str, word: str, colour: str
) -> None:
    charge = a_charge(status)

    drawn = trace_of(
        a_reservation(charge),
        history=[],
        attempts=[an_attempt(charge.key, 1, outcome)],
        lines=[],
        now=NOON,
    )

    [(_, _, drawn_colour)] = bars(drawn)
    assert drawn_colour == colour
    assert word in as_svg(drawn)


def test_only_the_last_answer_about_a_call_has_its_end() -> None:
    charge = a_charge(Status.SUCCEEDED)

    drawn = trace_of(
        a_reservation(charge),
        history=[],
        attempts=[an_attempt(charge.key, at, "Seen") for at in (1, 20)],
        lines=[],
        now=NOON,
    )

    assert [colour for _, _, colour in bars(drawn)] == [GREY, GREEN]


@pytest.mark.parametrize(
    ("event", "lane", "colour"),
    [
        (MAILS[MailKind.REFUND_FAILED, MailStatus.SENT], "mail", GREY),
        (MAILS[MailKind.CONFIRMED, MailStatus.REFUSED], "mail", RED),
        (MAILS[MailKind.CONFIRMED, MailStatus.UNKNOWN], "mail", AMBER),
        (FEEDBACK[MailKind.CONFIRMED, MailFeedback.BOUNCED], "mail", RED),
        (CONTRADICTIONS[Kind.BOOKING_ABSENT], "history", AMBER),
        (OVER[Kind.REFUND_FAILED], "history", GREY),
        ("reservation.accepted", "history", GREY),
    ],
)
def test_a_mail_has_a_lane_of_its_own_and_an_event_its_colour(
    event: str, lane: str, colour: str
) -> None:
    entry = HistoryEntry(event=event, at=NOON, actor="system")

    drawn = trace_of(a_reservation(), history=[entry], attempts=[], lines=[], now=NOON)

    [mark] = drawn.marks
    assert (mark.lane, mark.label, mark.colour) == (lane, event, colour)


def test_a_pause_of_two_hours_is_shortened(trace: Trace) -> None:
    assert trace.length < timedelta(seconds=30)
    assert any("⋯" in line for line in as_text(trace))


def test_the_next_check_is_a_countdown(trace: Trace) -> None:
    assert "next check in 12 s" in list(as_text(trace))[-1]


def test_the_text_fits_a_terminal_and_has_no_personal_data(trace: Trace) -> None:
    lines = list(as_text(trace))
    customer = a_customer()

    assert max(map(len, lines)) <= 80
    for personal in (customer.full_name, customer.email, customer.payment_token):
        assert personal
        assert personal not in "\n".join(lines) + as_svg(trace)


@pytest.mark.parametrize("text", ["<script>", 'a"b', "a&b"])
def test_the_word_of_a_provider_is_text_in_the_drawing(trace: Trace, text: str) -> None:
    entry = HistoryEntry(event=text, at=NOON, actor="system")
    drawn = as_svg(trace_of(a_reservation(), history=[entry], attempts=[], lines=[], now=NOON))

    root = ElementTree.fromstring(drawn)  # noqa: S314  # our own text
    assert text in [each.text for each in root.iter(f"{SVG}text")]
    assert not re.search("<script", drawn)


def test_a_refused_request_has_the_providers_word(trace: Trace) -> None:
    labels = [mark.label for mark in trace.marks if mark.lane == "payments"]

    assert labels[0] == "charge 500 internal_error unknown, 2000 ms"


@pytest.mark.parametrize(
    ("outcomes", "labels"),
    [
        (4 * ["NoAnswer"], ["charge", "2 more alike", "charge"]),
        (3 * ["NoAnswer"], 3 * ["charge"]),
        ([*2 * ["NoAnswer"], "Seen", *2 * ["NoAnswer"]], 5 * ["charge"]),
    ],
)
def test_equal_answers_in_a_row_are_one_bar(outcomes: list[str], labels: list[str]) -> None:
    charge = a_charge(Status.UNKNOWN)
    drawn = trace_of(
        a_reservation(charge),
        history=[HistoryEntry(event="reservation.accepted", at=NOON, actor="system")],
        attempts=[an_attempt(charge.key, 10 * n, each) for n, each in enumerate(outcomes)],
        lines=[a_hint(10 * n, 100, 100) for n in range(1, len(outcomes) - 1)],
        now=NOON + 60 * SECOND,
    )

    requests = [mark.label for mark in drawn.marks if mark.lane == "payments"]

    assert [label.partition(" ")[0] if "ms" in label else label for label in requests] == labels
