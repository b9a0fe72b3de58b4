"""The scheduled function: retention, and the invariants of recent and of all reservations."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.clean_up.handler import CLOSING_MS
from reservations.application.oversee import INVARIANTS, RECENT
from reservations.application.ports import (
    Attempt,
    Finding,
    Oversight,
    Overview,
    Projected,
    QueueLag,
    Retention,
    Waits,
)
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.messages import Queue
from reservations.domain.words import PublicStatus, State
from reservations.entrypoints.observability import FunctionFailedError
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import CODE, NOON, RESERVATION_ID, a_reservation, a_voucher, an_offer
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of


class Watch(Oversight):
    """Returns the findings of the test, and records the `since` of each query."""

    def __init__(self) -> None:
        self.findings: dict[str, list[Finding]] = {}
        self.since: set[datetime | None] = set()
        self.waiting = 0

    def stuck(self, *, limit: int) -> list[Overview]:
        raise AssertionError("not asked for on a schedule")

    def in_state(self, state: State, *, limit: int) -> list[Overview]:
        raise AssertionError("not asked for on a schedule")

    def attempts(self, reservation_id: UUID) -> list[Attempt]:
        raise AssertionError("not asked for on a schedule")

    def to_reconcile(self, *, since: datetime, after: UUID | None, limit: int) -> list[UUID]:
        raise AssertionError("not asked for on a schedule")

    def projected_now(self, reservation_id: UUID) -> Projected:
        raise AssertionError("nothing differs")

    def in_review(self, *, limit: int) -> list[Overview]:
        one = Overview(
            code=CODE,
            status=PublicStatus.EN_PROCESO,
            state=State.PAID,
            review="deadline",
            next_check_at=NOON,
            created_at=NOON,
            updated_at=NOON,
        )
        return [one] * self.waiting

    def broken(self, invariant: str, *, since: datetime | None) -> list[Finding]:
        self.since.add(since)
        return self.findings.get(invariant, [])

    def projected(
        self, *, since: datetime | None, after: UUID | None, limit: int
    ) -> list[Projected]:
        self.since.add(since)
        return []

    def outbox(self) -> list[QueueLag]:
        return [
            QueueLag(queue=Queue.PAYMENT, status="pending", hints=2, oldest_s=3.5),
            QueueLag(queue=Queue.SUPPLIER, status="dead", hints=1, oldest_s=99.0),
        ]

    def oldest_due_s(self) -> float:
        return 41.5

    def waits(self) -> Waits:
        return Waits(mails=2, voucher_s=7.5, contradiction_s=90.0)

    def now(self) -> datetime:
        return NOON


class Due(Retention):
    def __init__(self) -> None:
        self.hints = 3

    def delete_published_hints(self, *, older_than: timedelta, limit: int) -> int:
        hints, self.hints = self.hints, 0
        return hints

    def delete_webhooks(self, *, older_than: timedelta, limit: int) -> int:
        return 0

    def delete_expired_keys(self, *, limit: int) -> int:
        return 0

    def delete_claims(self, *, older_than: timedelta, limit: int) -> int:
        return 0

    def delete_unpaid_mails(self, *, older_than: timedelta, limit: int) -> int:
        return 0

    def travelers_to_forget(self, *, older_than: timedelta, limit: int) -> list[UUID]:
        return []

    def documents_to_remove(self, *, older_than: timedelta, limit: int) -> list[UUID]:
        return []

    def removed_documents(
        self, *, within: timedelta, after: int, limit: int
    ) -> list[tuple[int, str]]:
        return []

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        raise AssertionError("retention revives nothing")

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        raise AssertionError("retention changes no message")


class Removing(Due):
    def __init__(self) -> None:
        super().__init__()
        self.documents = [RESERVATION_ID]

    def documents_to_remove(self, *, older_than: timedelta, limit: int) -> list[UUID]:
        due, self.documents = self.documents, []
        return due


@pytest.fixture
def watch(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(around, "oversight", lambda: watch)
    return watch


@pytest.fixture
def due(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Due], None]:
    def wire(due: Due) -> None:
        monkeypatch.setattr(around, "retention", lambda: due)

    return wire


def clean(around: Surroundings, task: str, *, remaining_ms: int = 60_000) -> dict[str, Any]:
    return clean_event(around, an_event(f"clean_up.{task}"), remaining_ms=remaining_ms)


def clean_event(
    around: Surroundings, event: dict[str, Any], *, remaining_ms: int = 60_000
) -> dict[str, Any]:
    return handler_of("clean_up", around)(event, a_context(remaining_ms=remaining_ms))


def test_each_invariant_is_measured_by_name_and_in_total(
    around: Surroundings, watch: Watch
) -> None:
    broken = Finding(invariant="overdue", code=CODE, detail="due 2027-03-01")
    watch.findings = {"overdue": [broken, broken]}

    counts = clean(around, "invariants")

    assert counts == dict.fromkeys(INVARIANTS, 0) | {"overdue": 2}
    each: dict[str | None, float] = dict.fromkeys(INVARIANTS, 0.0)
    expected = each | {"overdue": 2.0, None: 2.0}
    assert around.logs.measured("InvariantBroken") == expected


def test_a_broken_invariant_is_logged_with_its_reservation_and_remedy(
    around: Surroundings, watch: Watch
) -> None:
    watch.findings = {"overdue": [Finding(invariant="overdue", code=CODE, detail="due")]}

    clean(around, "invariants")

    [line] = around.logs.saying("invariant broken")
    assert line["invariant"] == "overdue"
    assert line["reservation_code"] == "7KQ2M-XD4RT-S"
    assert line["remedy"] == INVARIANTS["overdue"].remedy


def test_the_longest_waits_are_measured_without_dead_hints(
    around: Surroundings, watch: Watch
) -> None:
    watch.waiting = 2

    clean(around, "invariants")

    assert around.logs.measured("OldestDueAge") == {None: 41.5}
    assert around.logs.measured("OutboxLag") == {None: 3.5}
    assert around.logs.measured("ReviewsWaiting") == {None: 2.0}
    assert around.logs.measured("MailsWaiting") == {None: 2.0}
    assert around.logs.measured("OldestVoucherWait") == {None: 7.5}
    assert around.logs.measured("OldestContradiction") == {None: 90.0}


@pytest.mark.parametrize(("task", "since"), [("invariants", NOON - RECENT), ("audit", None)])
def test_the_nightly_audit_checks_every_reservation(
    around: Surroundings, watch: Watch, task: str, since: datetime | None
) -> None:
    clean(around, task)
    assert watch.since == {since}


def test_retention_logs_its_deletions_in_one_line(
    around: Surroundings, due: Callable[[Due], None]
) -> None:
    due(Due())

    counts = clean(around, "retention")

    assert counts["hints"] == 3
    [line] = around.logs.saying("retention done")
    assert (line["hints"], line["travelers"]) == (3, 0)


def test_retention_removes_documents_from_the_store(
    around: Surroundings, due: Callable[[Due], None]
) -> None:
    due(Removing())
    around.keep(a_reservation(documents=(a_voucher(),), offer=an_offer()))
    around.store.put("vouchers/a.pdf", b"%PDF")

    assert clean(around, "retention")["documents"] == 1

    assert around.store.documents == {}
    assert around.stored.documents == (a_voucher(removed_at=NOON),)


def test_no_batch_begins_without_time_to_end(
    around: Surroundings, due: Callable[[Due], None]
) -> None:
    due(Due())

    assert clean(around, "retention", remaining_ms=CLOSING_MS - 1)["hints"] == 0


def test_an_unknown_task_fails_loudly(around: Surroundings) -> None:
    with pytest.raises(FunctionFailedError, match="ValueError"):
        clean_event(around, {"task": "tidy"})


def test_a_database_outage_fails_the_run(
    around: Surroundings, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> float:
        raise DatabaseUnavailableError("no connection to the database")

    monkeypatch.setattr(watch, "oldest_due_s", fail)

    with pytest.raises(DatabaseUnavailableError):
        clean(around, "invariants")
