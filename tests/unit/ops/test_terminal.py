"""At a terminal, a command that changes much asks first, and an address is typed."""

import os
import sys
from collections.abc import Callable, Iterator

import click
import pytest

from ops.__main__ import ops
from ops.desk import Desk
from reservations.domain.facts import Reason
from reservations.domain.messages import Queue
from tests.unit.ops.test_ops import SHOWN, DeskOfFakes, Letters, Watched, keep
from tests.worlds.builders import RESERVATION_ID, a_charge, a_reservation
from tests.worlds.fakes import InMemoryDatabase

NEW = "ana.nueva@example.com"
SET_EMAIL = ("customer", "set-email", SHOWN, "--evidence", "TICKET-5")
Run = Callable[..., None]


@pytest.fixture
def services() -> Watched:
    services = Watched()
    keep(services.database, a_reservation(a_charge()))
    return services


@pytest.fixture
def database(services: Watched) -> InMemoryDatabase:
    return services.database


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def run(services: Watched, letters: Letters, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command at a terminal where a person types."""
    person, terminal = os.openpty()
    with os.fdopen(terminal) as typed, os.fdopen(person, "wb", buffering=0) as keys:
        monkeypatch.setattr(sys, "stdin", typed)

        def run(*command: str, keyed: str) -> None:
            keys.write(keyed.encode())
            desk = DeskOfFakes(services, letters)
            ops.main(["--stage", "test", *command], standalone_mode=False, obj=desk)

        yield run


@pytest.mark.parametrize("keyed", ["n\n", "\n", "\x04"], ids=["no", "nothing", "end of input"])
@pytest.mark.parametrize(
    ("command", "question"),
    [
        (("cancel", SHOWN), f"Cancel {SHOWN}?"),
        (("erase", SHOWN), f"Delete the personal data of {SHOWN} for good?"),
        (("dlq", "drop"), "Delete the messages for good?"),
        (SET_EMAIL, f"Change the address of {SHOWN} from a…@e….com to a…@e….com?"),
    ],
    ids=["cancel", "erase", "dlq drop", "set-email"],
)
def test_without_a_yes_nothing_is_done(
    run: Run,
    database: InMemoryDatabase,
    letters: Letters,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    question: str,
    keyed: str,
) -> None:
    before = database.reservations[RESERVATION_ID], database.customers[RESERVATION_ID]
    address = f"{NEW}\n" if command == SET_EMAIL else ""

    with pytest.raises(click.Abort):
        run(*command, keyed=address + keyed)

    assert f"{question} [y/N]" in capsys.readouterr().out
    assert (database.reservations[RESERVATION_ID], database.customers[RESERVATION_ID]) == before
    assert letters.count(Queue.PAYMENT) == 2


def test_a_yes_cancels(run: Run, database: InMemoryDatabase) -> None:
    run("cancel", SHOWN, keyed="y\n")

    reason = database.reservations[RESERVATION_ID].facts.reason
    assert reason is Reason.CUSTOMER_CANCELLED


def test_a_yes_changes_the_typed_address(run: Run, database: InMemoryDatabase) -> None:
    run(*SET_EMAIL, keyed=f"{NEW}\ny\n")

    assert database.customers[RESERVATION_ID].email == NEW


# --- a tunnel to a private database


def desk_of(*arguments: str) -> Desk:
    """The deployment that `ops` opens for these arguments."""
    with ops.make_context("ops", ["--stage", "dev", *arguments, "find"]) as context:
        context.invoked_subcommand = "find"
        context.invoke(ops.callback, **context.params)  # type: ignore[arg-type]
        desk = context.obj
        assert isinstance(desk, Desk)
        return desk


def test_the_tunnel_is_the_near_end_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk_of().services.tunnel is None
    assert desk_of("--tunnel", "127.0.0.1:3307").services.tunnel == ("127.0.0.1", 3307)
    monkeypatch.setenv("OPS_TUNNEL", "localhost:3308")
    assert desk_of().services.tunnel == ("localhost", 3308)


@pytest.mark.parametrize("wrong", ["127.0.0.1", ":3307", "127.0.0.1:", "127.0.0.1:mysql", ""])
def test_a_tunnel_without_host_or_port_is_refused(wrong: str) -> None:
    with pytest.raises(click.BadParameter, match=r"as in 127\.0\.0\.1:3307"):
        desk_of("--tunnel", wrong)
