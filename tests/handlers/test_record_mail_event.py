"""Mail events of SES: one line on the timeline, once, without personal data."""

import pytest

from reservations.domain.errors import DatabaseUnavailableError
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import RESERVATION_ID, a_reservation
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of, raising

NAME = "record_mail_event"


def run(around: Surroundings, case: str) -> list[str]:
    """Ids of the messages to return to the queue."""
    verdict = handler_of(NAME, around)(an_event(f"{NAME}.{case}"), a_context())
    assert set(verdict) == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in verdict["batchItemFailures"]]


def timeline(around: Surroundings) -> list[tuple[str, str]]:
    """Events about mails, with their actors."""
    with around.unit_of_work() as uow:
        history = uow.reservations.history(RESERVATION_ID)
    return [(entry.event, entry.actor) for entry in history if entry.event.startswith("mail.")]


@pytest.mark.parametrize(
    ("case", "metric"), [("bounced", "MailBounced"), ("complained", "MailComplained")]
)
def test_a_returned_mail_is_recorded_on_the_timeline(
    around: Surroundings, case: str, metric: str
) -> None:
    around.keep(a_reservation())

    assert run(around, case) == []

    assert timeline(around) == [(f"mail.{case}.confirmed", "ses")]
    assert around.logs.metrics == {metric}
    [line] = around.logs.saying("mail feedback received")
    assert (line["reservation_id"], line["kind"]) == (str(RESERVATION_ID), "confirmed")


def test_a_repeated_mail_event_is_recorded_once(around: Surroundings) -> None:
    around.keep(a_reservation())
    run(around, "bounced")
    run(around, "bounced")
    assert timeline(around) == [("mail.bounced.confirmed", "ses")]


def test_a_mail_event_changes_only_the_timeline(around: Surroundings) -> None:
    around.keep(a_reservation())
    before = around.stored
    run(around, "bounced")
    assert around.stored == before
    assert around.database.outbox == {}


def test_a_batch_drops_the_greeting_and_dead_letters_an_unexpected_event(
    around: Surroundings,
) -> None:
    around.keep(a_reservation())
    _, _, delivery = an_event(f"{NAME}.batch")["Records"]

    assert run(around, "batch") == []

    assert timeline(around) == [("mail.returned.confirmed", "ses")]
    assert around.dead_letters.dead_lettered == [(delivery["body"], "not_a_mail_event")]


def test_a_mail_event_of_an_unknown_reservation_is_dead_lettered(around: Surroundings) -> None:
    assert run(around, "bounced") == []
    [(_, reason)] = around.dead_letters.dead_lettered
    assert reason == "unknown_reservation"


@pytest.mark.parametrize(
    "error", [DatabaseUnavailableError("lost"), RuntimeError("a defect")], ids=["lost", "a defect"]
)
def test_a_failure_of_ours_returns_the_message_to_the_queue(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(around, "unit_of_work", raising(error))

    assert len(run(around, "bounced")) == 1

    assert around.dead_letters.dead_lettered == []
    assert "MailEventFailed" in around.logs.metrics
    [line] = around.logs.saying("mail event not handled")
    assert type(error).__name__ in line["exception"]
