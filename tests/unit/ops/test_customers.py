"""Another copy of a mail, and another address."""

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops.__main__ import ops
from ops.customers import masked
from ops.desk import Desk
from reservations.domain.fulfilment import SendMail, begin_send, fulfil, record_send, send_again
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import ERASED, MailKind, MailStatus
from tests.unit.ops.test_ops import SHOWN, Watched, confirmed, keep
from tests.worlds.builders import HOUR, NOON, RESERVATION_ID, a_send, a_voucher
from tests.worlds.fakes import InMemoryDatabase

NEW = "ana.lopez@example.com"


@pytest.fixture
def services() -> Watched:
    return Watched()


@pytest.fixture
def database(services: Watched) -> InMemoryDatabase:
    keep(services.database, confirmed())
    return services.database


def run(services: Watched, *arguments: str, typed: str = "") -> Result:
    desk = Desk(services, stack="none")
    return CliRunner().invoke(ops, ["--stage", "x", *arguments], obj=desk, input=typed)


SET_EMAIL = ("customer", "set-email", SHOWN, "--evidence", "TICKET-5")


def set_email(services: Watched, typed: str = NEW) -> Result:
    return run(services, *SET_EMAIL, "--yes", typed=f"{typed}\n")


def events(database: InMemoryDatabase) -> list[tuple[str, str | None]]:
    return [(line.event, line.note) for line in database.history[RESERVATION_ID]]


# --- another copy


def test_one_more_copy_of_the_last_mail_is_due(
    services: Watched, database: InMemoryDatabase
) -> None:
    said = run(services, "mail", "resend", SHOWN)

    assert said.exit_code == 0, said.stderr
    kept = database.reservations[RESERVATION_ID]
    assert fulfil(kept, database.now) == SendMail(MailKind.CONFIRMED)
    assert ("operator.mail_resent", "confirmed") in events(database)


def test_a_mail_that_does_not_fit_the_status_is_refused(
    services: Watched, database: InMemoryDatabase
) -> None:
    said = run(services, "mail", "resend", SHOWN, "--kind", "rejected")

    assert said.exit_code == 2
    assert "confirmed" in said.stderr
    assert fulfil(database.reservations[RESERVATION_ID], database.now) != SendMail(
        MailKind.CONFIRMED
    )


@pytest.mark.parametrize(
    ("status", "due"),
    [(MailStatus.SENT, False), (MailStatus.UNKNOWN, False), (MailStatus.NOT_SENT, True)],
)
def test_a_copy_is_repeated_only_if_it_surely_did_not_leave(status: MailStatus, due: bool) -> None:
    at = Moment(NOON, STANDARD)
    sent = replace(confirmed(), documents=(a_voucher(),), sends=(a_send(),))
    asked = send_again(sent, MailKind.CONFIRMED, at)

    ended = record_send(begin_send(asked, MailKind.CONFIRMED, at), MailKind.CONFIRMED, status, at)

    [send] = ended.sends
    assert (send.status, send.attempts) == (MailStatus.SENT, a_send().attempts + 1)
    assert (fulfil(ended, NOON + HOUR) == SendMail(MailKind.CONFIRMED)) is due


# --- another address


def test_a_new_address_kills_old_links_and_makes_the_notice_due(
    services: Watched, database: InMemoryDatabase
) -> None:
    old = database.customers[RESERVATION_ID].email

    said = set_email(services)

    assert said.exit_code == 0, said.stderr
    assert database.customers[RESERVATION_ID].email == NEW
    assert database.reservations[RESERVATION_ID].token_version == 1
    assert ("operator.address_changed", "TICKET-5") in events(database)
    assert database.customers[RESERVATION_ID].former_email == old
    kept = database.reservations[RESERVATION_ID]
    assert fulfil(kept, database.now) == SendMail(MailKind.ADDRESS_CHANGED)
    assert kept.next_check_at is not None
    assert old not in said.output
    assert NEW not in said.output
    assert masked(NEW) in said.stdout


def test_an_address_from_a_pipe_is_changed_by_an_explicit_yes_only(
    services: Watched, database: InMemoryDatabase
) -> None:
    old = database.customers[RESERVATION_ID]

    said = run(services, *SET_EMAIL, typed=f"{NEW}\n")

    assert said.exit_code == 2
    assert "--yes" in said.stderr
    assert NEW not in said.output
    assert database.customers[RESERVATION_ID] == old


def test_a_second_change_waits_for_the_notice_of_the_first(
    services: Watched, database: InMemoryDatabase
) -> None:
    old = database.customers[RESERVATION_ID].email
    set_email(services)

    said = set_email(services, "third@example.com")

    assert said.exit_code == 2
    customer = database.customers[RESERVATION_ID]
    assert (customer.email, customer.former_email) == (NEW, old)
    assert database.reservations[RESERVATION_ID].token_version == 1


@pytest.mark.parametrize("wrong", ["ana.lopez", "", "a@b@c"])
def test_what_is_no_address_changes_nothing(
    services: Watched, database: InMemoryDatabase, wrong: str
) -> None:
    before: Any = database.customers[RESERVATION_ID]

    assert set_email(services, wrong).exit_code == 2
    assert database.customers[RESERVATION_ID] == before


@pytest.mark.parametrize("erased", [True, False])
def test_an_erased_or_equal_address_is_refused(
    services: Watched, database: InMemoryDatabase, erased: bool
) -> None:
    before = database.customers[RESERVATION_ID]
    database.customers[RESERVATION_ID] = ERASED if erased else replace(before, email=NEW)

    assert set_email(services).exit_code == 2
    assert database.reservations[RESERVATION_ID].token_version == 0


def test_evidence_is_needed(services: Watched, database: InMemoryDatabase) -> None:
    assert "--evidence" in run(services, "customer", "set-email", SHOWN, typed=NEW).stderr
