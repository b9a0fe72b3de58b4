"""The operators' commands: their output and their exit status."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import click
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from ops.__main__ import ops
from ops.desk import ADVICE, SOURCES, Desk
from reservations.application.oversee import INVARIANTS
from reservations.application.ports import Attempt, DeadLetter, DeadLetters, Source
from reservations.domain.actions import Verb
from reservations.domain.errors import UnavailableError
from reservations.domain.facts import Contradiction, Decision, Kind, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.reservation import ERASED, Reservation
from reservations.domain.words import State
from tests.handlers.test_clean_up import BROKEN, Due, Found, Watch
from tests.template.resources import resources, stacks
from tests.unit.entrypoints.test_problems import leaves
from tests.worlds.builders import (
    MINUTE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_cancellation,
    a_charge,
    a_contradiction,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork
from tests.worlds.services import FakeServices, raising

SHOWN = "7KQ2M-XD4RT-S"
CUSTOMER = a_customer()
PERSONAL = (CUSTOMER.full_name, CUSTOMER.email, CUSTOMER.phone, CUSTOMER.payment_token)


class Looking(Watch):
    """Has the attempts of a test."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[Attempt] = []

    def attempts(self, reservation_id: object) -> list[Attempt]:
        return self.tried


class Letters(DeadLetters):
    """Each queue has one readable letter and one unreadable. Moved letters are gone."""

    def __init__(self) -> None:
        self.left = {queue: [a_letter(queue), a_letter(queue, of=None)] for queue in SOURCES}

    def count(self, queue: Source) -> int:
        return len(self.left[queue])

    def peek(self, queue: Source, *, limit: int) -> list[DeadLetter]:
        return self.left[queue][:limit]

    def redrive(self, queue: Source, *, rate: float, tell: Callable[[DeadLetter], None]) -> int:
        moved, self.left[queue] = self.left[queue], []
        for letter in moved:
            tell(letter)
        return len(moved)

    drop = redrive


def a_letter(queue: Source, *, of: UUID | None = RESERVATION_ID) -> DeadLetter:
    return DeadLetter(
        queue=queue,
        message_id="0001",
        reason=None if of else "not_json",
        reservation_id=of,
        type=f"{queue}.due" if of else None,
        sent_at=NOON,
    )


class Telling(Due):
    """Records the history lines written to each reservation."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[tuple[UUID, str, str]] = []

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        self.recorded.append((reservation_id, event, actor))


class Watched(FakeServices):
    """Services with the oversight and the retention of a test."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Looking()
        self.telling = Telling()
        self.checking = Found()

    def audit(self) -> Found:
        return self.checking

    def oversight(self) -> Looking:
        return self.watch

    def retention(self) -> Telling:
        return self.telling


class DeskOfFakes(Desk):
    """Reads no stack."""

    def __init__(self, services: Watched, letters: Letters) -> None:
        super().__init__(services, stack="none")
        self._letters = letters

    def dead_letters(self) -> Letters:
        return self._letters


@pytest.fixture
def services() -> Watched:
    return Watched()


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def desk(services: Watched, letters: Letters) -> Desk:
    return DeskOfFakes(services, letters)


@pytest.fixture
def database(services: Watched) -> InMemoryDatabase:
    return services.database


@pytest.fixture
def telling(services: Watched) -> Telling:
    return services.telling


def keep(database: InMemoryDatabase, reservation: Reservation) -> None:
    with InMemoryUnitOfWork(database) as uow:
        uow.add(a_creation(reservation), CUSTOMER)
        uow.commit()


def run(desk: Desk, *arguments: str) -> Result:
    return CliRunner().invoke(ops, ["--stage", "test", *arguments], obj=desk)


def page(desk: Desk, *arguments: str) -> dict[str, Any]:
    result = run(desk, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def confirmed() -> Reservation:
    return a_reservation(
        facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON),
        documents=(a_voucher(),),
        sends=(a_send(),),
    )


def every_command(
    command: click.Command = ops, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from every_command(child, (*path, name))
    else:
        yield path


def test_there_is_a_command_for_each_thing_operators_do() -> None:
    assert {" ".join(path) for path in every_command()} == {
        "find", "show", "watch", "logs", "trace", "timeline", "list", "nudge", "cancel", "erase",
        "reconcile", "invariants",
        "review resolve", "token reissue", "mail resend", "customer set-email",
        "outbox lag", "outbox revive", "outbox publish",
        "dlq list", "dlq redrive", "dlq drop",
    }  # fmt: skip


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(desk: Desk, path: tuple[str, ...]) -> None:
    result = run(desk, *path, "--help")

    assert result.exit_code == 0
    assert "--json" in result.stdout
    usage, explanation = result.stdout.split("\n\n")[:2]
    assert usage.startswith("Usage:")
    assert explanation.strip().endswith(".")


# --- looking


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("command", ["show", "timeline"])
def test_no_command_shows_personal_data(
    desk: Desk, database: InMemoryDatabase, command: str, form: tuple[str, ...]
) -> None:
    keep(database, confirmed())

    result = run(desk, command, SHOWN, *form)

    assert result.exit_code == 0
    assert SHOWN in result.stdout
    assert [personal for personal in PERSONAL if personal and personal in result.stdout] == []


def test_a_reservation_is_shown_with_its_ledger(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, confirmed())

    shown = page(desk, "show", SHOWN.lower())

    assert shown["reservation"]["state"] == "SUPPLIER_CONFIRMED"
    assert shown["reservation"]["charged_less_refunded_minor"] == 34250
    assert shown["reservation"]["personal_data"] == "kept"
    assert [call["status"] for call in shown["calls"]] == ["succeeded", "succeeded"]
    assert shown["calls"][0]["money"] == "342.50 EUR"


def an_attempt(minute: int, outcome: str, http_status: int | None = None) -> Attempt:
    return Attempt(
        call_key=a_charge().key,
        verb=Verb.CHARGE,
        sent_at=NOON + minute * MINUTE,
        outcome=outcome,
        http_status=http_status,
        elapsed_ms=1000 + minute,
    )


def test_requests_with_one_answer_in_a_row_are_one_line(
    desk: Desk, services: Watched, database: InMemoryDatabase
) -> None:
    keep(database, confirmed())
    services.watch.tried = [
        *(an_attempt(minute, "NotSent", 503) for minute in range(9)),
        an_attempt(9, "NoAnswer"),
        an_attempt(24 * 60, "NotSent", 503),
        an_attempt(48 * 60, "NotSent", 503),
        an_attempt(48 * 60 + 1, "Seen", 201),
    ]

    shown = [line.strip() for line in run(desk, "show", SHOWN).stdout.splitlines()]

    assert [line for line in shown if line.startswith("2027-") and "charge" in line] == [
        "2027-03-01 12:00Z to 12:08Z, 9 times: charge 503 not sent",
        "2027-03-01 12:09Z charge unknown 1009 ms",
        "2027-03-02 12:00Z to 2027-03-03 12:00Z, 2 times: charge 503 not sent",
        "2027-03-03 12:01Z charge 201 answered 3881 ms",
    ]
    assert len(page(desk, "show", SHOWN)["attempts"]) == len(services.watch.tried)


@pytest.mark.parametrize("locator", ["AB[/x]", "AB[x1]", "[bold]AB", "AB:bomb:", "\\[AB]"])
def test_a_locator_is_shown_as_the_supplier_wrote_it(
    desk: Desk, database: InMemoryDatabase, locator: str
) -> None:
    keep(database, a_reservation(a_charge(), a_booking(locator=locator)))

    result = run(desk, "show", SHOWN)

    assert result.exit_code == 0
    assert locator in result.stdout


@pytest.mark.parametrize("unprintable", ["\x1b[2J", "\r", "\n", "\x9b", "\u202e"])
def test_a_locator_cannot_command_the_terminal(
    desk: Desk, database: InMemoryDatabase, unprintable: str
) -> None:
    keep(database, a_reservation(a_charge(), a_booking(locator=f"AB{unprintable}C")))

    shown = run(desk, "show", SHOWN).stdout

    assert f"AB\ufffd{unprintable[1:]}C" in shown


@pytest.mark.parametrize("unprintable", ["\x1b[2J", "\r", "\n", "\x9b", "\u202e"])
def test_a_locator_in_json_is_escaped_and_complete(
    desk: Desk, database: InMemoryDatabase, unprintable: str
) -> None:
    keep(database, a_reservation(a_charge(), a_booking(locator=f"AB{unprintable}C")))

    shown = run(desk, "show", SHOWN, "--json").stdout

    assert shown.removesuffix("\n").isprintable()
    assert json.loads(shown)["calls"][1]["locator"] == f"AB{unprintable}C"


def test_an_erased_customer_is_shown_as_erased(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, confirmed())
    database.customers[RESERVATION_ID] = ERASED

    assert page(desk, "show", SHOWN)["reservation"]["personal_data"] == "erased"


def test_broken_invariants_exit_with_one_and_show_the_remedy(desk: Desk, services: Watched) -> None:
    services.checking.findings = {"two_kept": [BROKEN]}

    result, as_json = run(desk, "invariants"), run(desk, "invariants", "--json")

    assert result.exit_code == as_json.exit_code == 1
    for text in (SHOWN, "2 of book", INVARIANTS["two_kept"].remedy):
        assert text in result.stdout
    assert set(json.loads(as_json.stdout)) == set(INVARIANTS)


def test_sound_invariants_exit_with_zero(desk: Desk) -> None:
    assert run(desk, "invariants").exit_code == 0


def test_recent_invariants_leave_out_a_reservation_made_long_ago(
    desk: Desk, services: Watched
) -> None:
    services.checking.findings = {"two_kept": [BROKEN]}

    assert run(desk, "invariants", "--recent").exit_code == 0


# --- acting


def test_a_command_is_recorded_under_its_role(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, a_reservation(a_charge()))

    page(desk, "nudge", SHOWN, "--as", "night-shift")
    page(desk, "nudge", SHOWN)

    actors = [e.actor for e in database.history[RESERVATION_ID] if e.event == "operator.nudged"]
    assert actors == ["operator:night-shift", "operator:on-call"]


def test_a_script_cancels_by_an_explicit_yes(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, a_reservation(a_charge()))

    cancelled = page(desk, "cancel", SHOWN, "--yes")["cancelled"]

    assert cancelled["status"] in ("EN CANCELACION", "CANCELADA")


@pytest.mark.parametrize(
    "command",
    [("cancel", SHOWN), ("erase", SHOWN), ("dlq", "drop")],
    ids=lambda command: command[0],
)
def test_without_a_terminal_and_without_a_yes_nothing_is_done(
    desk: Desk, database: InMemoryDatabase, letters: Letters, command: tuple[str, ...]
) -> None:
    keep(database, a_reservation(a_charge()))
    before = database.reservations[RESERVATION_ID]

    refused = run(desk, *command)

    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert database.reservations[RESERVATION_ID] == before
    assert database.customers[RESERVATION_ID] == CUSTOMER
    assert letters.count(Queue.PAYMENT) == 2


def test_a_review_is_resolved_by_evidence(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, a_reservation(a_charge(money=Money(1, "EUR"))))

    resolved = page(desk, "review", "resolve", SHOWN, "--reason", "paid", "--evidence", "TICKET-5")

    assert resolved["resolved"]["review"] == ""
    assert database.reservations[RESERVATION_ID].facts.accepted_minor == 1


def contradicted(*rows: Contradiction, reason: Reason | None = None) -> Reservation:
    before = confirmed()
    facts = replace(before.facts, contradictions=rows, reason=reason)
    return replace(before, facts=facts)


@pytest.mark.parametrize(
    ("row", "decision", "evidence"),
    [
        (a_contradiction(Kind.BOOKING_ABSENT), Decision.STANDS, "TICKET-5"),
        (a_contradiction(Kind.BOOKING_ABSENT), Decision.GONE, "TICKET-5"),
        (a_contradiction(Kind.BOOKING_CHANGED), Decision.REBOOKED, "bkg_9"),
        (a_contradiction(Kind.PAYMENT_ABSENT, "pay_1"), Decision.HONOURED, "TICKET-5"),
        (
            a_contradiction(Kind.OTHER_SUM, "pay_1", money=Money(100, "EUR")),
            Decision.PAID,
            "TICKET-5",
        ),
        (a_contradiction(Kind.DISPUTE, "pay_1", seen="open"), Decision.HONOURED, "TICKET-5"),
    ],
)
def test_a_contradiction_is_decided_by_evidence(
    desk: Desk,
    database: InMemoryDatabase,
    row: Contradiction,
    decision: Decision,
    evidence: str,
) -> None:
    keep(database, contradicted(row))

    resolve = ("review", "resolve", SHOWN, "--reason", decision, "--evidence", evidence)
    resolved = page(desk, *resolve)

    assert resolved["resolved"]["review"] == ""
    [kept, *_] = page(desk, "show", SHOWN)["contradictions"]
    assert (kept["kind"], kept["decision"], kept["evidence"]) == (row.kind, decision, evidence)
    [line] = [e for e in database.history[RESERVATION_ID] if e.event == "review.resolved"]
    assert line.note == f"{decision} {evidence}"


def test_of_two_contradictions_the_target_says_which_is_decided(
    desk: Desk, database: InMemoryDatabase
) -> None:
    rows = [
        a_contradiction(Kind.FOREIGN_REFUND, ref, payment="pay_1", money=Money(100, "EUR"))
        for ref in ("re_1", "re_2")
    ]
    keep(database, contradicted(*rows))
    resolve = ("review", "resolve", SHOWN, "--reason", "honoured", "--evidence", "TICKET-5")

    vague = run(desk, *resolve)
    page(desk, *resolve, "--target", "re_2")

    assert vague.exit_code == 2
    assert all(name in vague.stderr for name in ("re_1", "re_2"))
    decided = {
        r.subject: r.decision for r in database.reservations[RESERVATION_ID].facts.contradictions
    }
    assert decided == {"re_1": None, "re_2": Decision.HONOURED}


@pytest.mark.parametrize("decision", [Decision.RETURNED, Decision.REFUND_AGAIN])
def test_a_refund_that_failed_late_is_decided(
    desk: Desk, database: InMemoryDatabase, decision: Decision
) -> None:
    failed = a_contradiction(Kind.REFUND_FAILED, "ref_pay_1", payment="pay_1", seen="absent")
    calls = (a_charge(), a_booking(Status.CANCELLED), a_cancellation(), a_refund())
    before = contradicted(failed, reason=Reason.CUSTOMER_CANCELLED)
    keep(database, replace(before, facts=replace(before.facts, calls=calls)))

    resolve = ("review", "resolve", SHOWN, "--reason", decision, "--evidence", "TICKET-5")
    page(desk, *resolve)

    keys = {call.key for call in database.reservations[RESERVATION_ID].facts.calls}
    assert ("refund:pay_1:2" in keys) == (decision is Decision.REFUND_AGAIN)


def test_an_open_contradiction_is_shown_with_its_looks_and_the_provider_s_word(
    desk: Desk, database: InMemoryDatabase
) -> None:
    keep(database, contradicted(a_contradiction(Kind.BOOKING_CHANGED, seen="other dates")))

    shown = page(desk, "show", SHOWN)

    assert shown["reservation"]["review"] == "booking_changed"
    [row] = shown["contradictions"]
    assert (row["subject"], row["seen"], row["looks"]) == ("bkg_1", "other dates", 3)
    assert row["decision"] is None


@pytest.mark.parametrize("unprintable", ["\x1b[2J", "\n", "\u202e"])
def test_the_word_of_a_provider_cannot_command_the_terminal(
    desk: Desk, database: InMemoryDatabase, unprintable: str
) -> None:
    keep(database, contradicted(a_contradiction(Kind.BOOKING_CHANGED, seen=f"BK{unprintable}1")))

    assert f"BK{unprintable}1" not in run(desk, "show", SHOWN).stdout


@pytest.mark.parametrize(
    ("command", "done"), [(("redrive",), "redriven"), (("drop", "--yes"), "dropped")]
)
def test_a_moved_message_is_recorded_in_the_history_of_its_reservation(
    desk: Desk, letters: Letters, telling: Telling, command: tuple[str, ...], done: str
) -> None:
    moved = page(desk, "dlq", *command, "--queue", "payment", "--as", "guardia")

    assert moved[done] == [{"queue": "payment", "messages": 2, "by": "operator:guardia"}]
    assert telling.recorded == [(RESERVATION_ID, f"operator.message_{done}", "operator:guardia")]
    assert letters.count(Queue.PAYMENT) == 0
    assert letters.count(Queue.SUPPLIER) == 2


def test_every_queue_of_dead_letters_has_its_commands(
    services: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Found(dict[str, str]):
        def __missing__(self, name: str) -> str:
            asked.append(name)
            return f"https://sqs.example/{name}"

    class Deployed(Desk):
        resources = Found()

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    Deployed(services, stack="any").dead_letters()

    late = {"PaymentLookQueue", "SupplierLookQueue"}  # dead-lettered beside those of their provider
    assert sorted(asked) == sorted(resources("AWS::SQS::Queue").keys() - late)


@pytest.mark.parametrize("command", ["redrive", "drop"])
def test_a_dry_run_counts_and_neither_moves_nor_records(
    desk: Desk, letters: Letters, telling: Telling, command: str
) -> None:
    counts = page(desk, "dlq", command, "--dry-run")[f"would {command}"]

    assert {row["queue"]: row["messages"] for row in counts} == dict.fromkeys(SOURCES, 2)
    assert letters.count(Queue.PAYMENT) == 2
    assert telling.recorded == []


# --- invalid commands


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", SHOWN], "no such reservation"),
        (["show", "nonsense"], "Read it again"),
        (["list"], "Choose one"),
        (["list", "--stuck", "--state", State.PAID], "Choose one"),
        (["nudge", SHOWN, "--as", "Ana Pérez"], "not a person"),
        (["reconcile", "--since", "1w"], "90m, 24h or 7d"),
        (["review", "resolve", SHOWN, "--reason", "lost", "--evidence", "R-1"], "is not one of"),
        (["dlq", "redrive", "--rate", "0"], "not in the range"),
    ],
)
def test_an_invalid_command_explains_the_alternative(
    desk: Desk, arguments: list[str], said: str
) -> None:
    result = run(desk, *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("evidence", ["ana@example.com", "paid by phone", "x", "R" * 101, "ñandú"])
def test_evidence_is_a_reference_and_never_prose(desk: Desk, evidence: str) -> None:
    arguments = ["review", "resolve", SHOWN, "--reason", Decision.PAID, "--evidence", evidence]

    assert "no personal data" in run(desk, *arguments).stderr


def test_a_refused_decision_shows_the_reviews(desk: Desk, database: InMemoryDatabase) -> None:
    keep(database, confirmed())

    result = run(desk, "review", "resolve", SHOWN, "--reason", "paid", "--evidence", "TICKET-5")

    assert result.exit_code == 2
    assert "not in review" in result.stderr


def test_every_outage_comes_with_advice(
    services: Watched, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in leaves(UnavailableError):
        if error.__name__ == "RequestInFlightError":  # raised by HTTP requests only
            continue

        monkeypatch.setattr(services, "unit_of_work", raising(error("it happened")))
        result = run(desk, "show", SHOWN)

        assert result.exit_code == 2
        assert ADVICE[error] in result.stderr
        assert "Traceback" not in result.stderr


def test_without_a_stage_nothing_is_done() -> None:
    result = CliRunner().invoke(ops, ["outbox", "lag"])

    assert result.exit_code == 2
    assert "--stage" in result.stderr


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield


def looked_for(*arguments: str) -> str:
    """The stack that a command looks up, from the error about its absence."""
    said = CliRunner().invoke(ops, [*arguments, "dlq", "list"]).stderr
    found = re.search(r"the resources of the stack (\S+) could not be read", said)
    assert found, said
    return found[1]


@pytest.mark.parametrize("stage", stacks())
def test_a_stage_uses_the_stack_of_its_deployment(aws: None, stage: str) -> None:
    assert looked_for("--stage", stage) == stacks()[stage]


def test_a_stack_may_be_chosen_by_name(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_for("--stage", "dev", "--stack", "mine") == "mine"
    monkeypatch.setenv("OPS_STACK", "ours")
    assert looked_for("--stage", "dev") == "ours"
