"""The scheduled function: retention, the check of what changed, and the audit of all reservations."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.clean_up.handler import CLOSING_MS
from reservations.application.clean_up import RETENTION
from reservations.application.oversee import INVARIANTS
from reservations.application.ports import (
    Attempt,
    Audit,
    Checkpoint,
    Checkpoints,
    DeadHint,
    Expired,
    Finding,
    HistoryLine,
    Oversight,
    Overview,
    Projected,
    QueueLag,
    Retention,
    Silence,
    UntakenMails,
    Waits,
)
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.messages import Queue
from reservations.domain.words import State
from reservations.entrypoints.observability import FunctionFailedError
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import CODE, NOON, RESERVATION_ID, a_reservation, a_voucher, an_offer
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of

BROKEN = Finding(invariant="two_kept", reservation_id=RESERVATION_ID, code=CODE, detail="2 of book")


class Watch(Oversight):
    """The waits of the test."""

    def __init__(self) -> None:
        self.waiting = 0

    def stuck(self, *, limit: int) -> list[Overview]:
        raise AssertionError("not asked for on a schedule")

    def in_review(self, *, limit: int) -> list[Overview]:
        raise AssertionError("not asked for on a schedule")

    def in_state(self, state: State, *, limit: int) -> list[Overview]:
        raise AssertionError("not asked for on a schedule")

    def attempts(self, reservation_id: UUID) -> list[Attempt]:
        raise AssertionError("not asked for on a schedule")

    def with_open_call(self, *, after: UUID | None, limit: int) -> list[UUID]:
        raise AssertionError("not asked for on a schedule")

    def with_closed_call(
        self, *, since: datetime, after: UUID | None, limit: int
    ) -> list[tuple[datetime, UUID]]:
        raise AssertionError("not asked for on a schedule")

    def waiting_for_a_person(self, *, limit: int) -> int:
        return min(self.waiting, limit)

    def outbox(self) -> list[QueueLag]:
        return [
            QueueLag(queue=Queue.PAYMENT, status="pending", hints=2, oldest_s=3.5),
            QueueLag(queue=Queue.SUPPLIER, status="dead", hints=1, oldest_s=99.0),
        ]

    def dead_hints(self, *, limit: int) -> list[DeadHint]:
        raise AssertionError("not asked for on a schedule")

    def oldest_due_s(self) -> float:
        return 41.5

    def waits(self) -> Waits:
        return Waits(mails=2, voucher_s=7.5, contradiction_s=90.0)

    def silences(self, *, limit: int) -> list[Silence]:
        raise AssertionError("not asked for on a schedule")

    def untaken_mails(self, *, since: datetime, limit: int) -> list[UntakenMails]:
        raise AssertionError("not asked for on a schedule")

    def now(self) -> datetime:
        return NOON


class Found(Audit):
    """Finds what the test says of one reservation, whose last change is the only history line."""

    def __init__(self) -> None:
        self.findings: dict[str, list[Finding]] = {}
        self.recorded: set[UUID] = set()

    def page(self, *, after: UUID | None, limit: int) -> list[UUID]:
        return [RESERVATION_ID] if after is None or after < RESERVATION_ID else []

    def lines(self, *, after: int | None, limit: int) -> list[HistoryLine]:
        line = HistoryLine(history_id=1, reservation_id=RESERVATION_ID, at=NOON)
        return [line] if not after else []

    def broken(self, ids: Sequence[UUID]) -> list[Finding]:
        return [each for found in self.findings.values() for each in found if ids]

    def projected(self, ids: Sequence[UUID]) -> list[Projected]:
        return []

    def projected_now(self, reservation_id: UUID) -> Projected:
        raise AssertionError("nothing differs")

    def overdue(self, *, limit: int) -> list[Finding]:
        return []

    def found(self, *, after: UUID | None, limit: int) -> list[UUID]:
        return sorted(each for each in self.recorded if after is None or each > after)

    def record(self, ids: Sequence[UUID], findings: Sequence[Finding]) -> None:
        self.recorded |= {each.reservation_id for each in findings}

    def now(self) -> datetime:
        return NOON


class Places(Checkpoints):
    """Places in memory."""

    def __init__(self) -> None:
        self.now = NOON
        self.stored: dict[str, Checkpoint] = {}

    def get(self, job: str) -> Checkpoint:
        new = Checkpoint(job=job, read_at=self.now, began_at=self.now, whole_at=None)
        return replace(self.stored.setdefault(job, new), read_at=self.now)

    def move(self, before: Checkpoint, after: Checkpoint) -> bool:
        self.stored[after.job] = after
        return True


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

    def expired(
        self,
        *,
        after: UUID | None,
        limit: int,
        travelers_after: timedelta,
        documents_after: timedelta,
        removed_within: timedelta,
    ) -> Expired:
        return Expired(last=None, travelers=[], documents=[], removed=[])

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        raise AssertionError("retention revives nothing")

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        raise AssertionError("retention changes no message")


class Removing(Due):
    """Three pages of one document each. The last one was removed not long ago."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = [
            Expired(last=RESERVATION_ID, travelers=[], documents=[], removed=[]),
            Expired(last=RESERVATION_ID, travelers=[], documents=[RESERVATION_ID], removed=[]),
            Expired(
                last=RESERVATION_ID, travelers=[], documents=[], removed=["vouchers/again.pdf"]
            ),
        ]
        self.read_after: list[UUID | None] = []

    def expired(self, *, after: UUID | None, **_: object) -> Expired:
        self.read_after.append(after)
        if self.pages:
            return self.pages.pop(0)
        return Expired(last=None, travelers=[], documents=[], removed=[])


@pytest.fixture(autouse=True)
def places(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Places:
    places = Places()
    monkeypatch.setattr(around, "checkpoints", lambda: places)
    return places


@pytest.fixture
def watch(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(around, "oversight", lambda: watch)
    return watch


@pytest.fixture
def found(around: Surroundings, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Found:
    found = Found()
    monkeypatch.setattr(around, "audit", lambda: found)
    return found


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
    around: Surroundings, found: Found
) -> None:
    found.findings = {"two_kept": [BROKEN, replace(BROKEN, detail="2 of charge")]}

    counts = clean(around, "invariants")

    assert counts == dict.fromkeys(INVARIANTS, 0) | {"two_kept": 2}
    each: dict[str | None, float] = dict.fromkeys(INVARIANTS, 0.0)
    expected = each | {"two_kept": 2.0, None: 2.0}
    assert around.logs.measured("InvariantBroken") == expected


def test_a_broken_invariant_is_logged_with_its_reservation_and_remedy(
    around: Surroundings, found: Found
) -> None:
    found.findings = {"two_kept": [BROKEN]}

    clean(around, "invariants")

    [line] = around.logs.saying("invariant broken")
    assert line["invariant"] == "two_kept"
    assert line["reservation_code"] == "7KQ2M-XD4RT-S"
    assert line["remedy"] == INVARIANTS["two_kept"].remedy


def test_the_longest_waits_are_measured_without_dead_hints(
    around: Surroundings, found: Found, watch: Watch
) -> None:
    watch.waiting = 2

    clean(around, "invariants")

    assert around.logs.measured("OldestDueAge") == {None: 41.5}
    assert around.logs.measured("OutboxLag") == {None: 3.5}
    assert around.logs.measured("ReviewsWaiting") == {None: 2.0}
    assert around.logs.measured("MailsWaiting") == {None: 2.0}
    assert around.logs.measured("OldestVoucherWait") == {None: 7.5}
    assert around.logs.measured("OldestContradiction") == {None: 90.0}


def test_a_finding_of_the_audit_is_measured_by_the_next_check(
    around: Surroundings, found: Found
) -> None:
    found.findings = {"two_kept": [BROKEN]}

    counts = clean(around, "audit")

    assert counts == {"checked": 1, "broken": 1}
    assert around.logs.measured("InvariantBroken") == {}
    assert clean(around, "invariants")["two_kept"] == 1


def test_the_age_of_the_audit_is_measured(
    around: Surroundings, found: Found, places: Places
) -> None:
    clean(around, "audit")
    places.now += timedelta(hours=30)

    clean(around, "audit", remaining_ms=CLOSING_MS - 1)

    [line] = around.logs.saying("audit slice done")[1:]
    assert (line["checked"], line["broken"]) == (0, 0)
    assert around.logs.measured("AuditAge") == {None: 30 * 3600.0}


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
    pages = Removing()
    due(pages)
    around.keep(a_reservation(documents=(a_voucher(),), offer=an_offer()))
    around.store.put("vouchers/a.pdf", b"%PDF")
    around.store.put("vouchers/again.pdf", b"%PDF")

    assert clean(around, "retention")["documents"] == 1

    assert around.store.documents == {}
    assert around.stored.documents == (a_voucher(removed_at=NOON),)
    assert pages.read_after == [None, RESERVATION_ID, RESERVATION_ID, RESERVATION_ID]


def test_retention_goes_on_at_the_page_that_it_had_no_time_for(
    around: Surroundings, due: Callable[[Due], None], places: Places
) -> None:
    pages = Removing()
    pages.pages = pages.pages[:1]
    due(pages)
    place = places.get(RETENTION)
    places.move(place, replace(place, reservation_id=UUID(int=7)))

    clean(around, "retention")

    assert pages.read_after[0] == UUID(int=7)
    assert places.get(RETENTION).reservation_id is None


def test_no_batch_begins_without_time_to_end(
    around: Surroundings, due: Callable[[Due], None]
) -> None:
    due(Due())

    assert clean(around, "retention", remaining_ms=CLOSING_MS - 1)["hints"] == 0


def test_an_unknown_task_fails_loudly(around: Surroundings) -> None:
    with pytest.raises(FunctionFailedError, match="ValueError"):
        clean_event(around, {"task": "tidy"})


def test_a_database_outage_fails_the_run(
    around: Surroundings, found: Found, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> float:
        raise DatabaseUnavailableError("no connection to the database")

    monkeypatch.setattr(watch, "oldest_due_s", fail)

    with pytest.raises(DatabaseUnavailableError):
        clean(around, "invariants")
