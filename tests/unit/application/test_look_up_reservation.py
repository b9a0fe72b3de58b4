"""A lookup mails the link to the owner, and never shows whether there is a reservation."""

from dataclasses import replace
from typing import Any

import pytest

from reservations.application.look_up_reservation import LookedUp, Lookup, look_up_reservation
from reservations.domain.codes import new_code
from reservations.domain.reservation import ERASED, MailKind, MailStatus
from tests.worlds.application import KEYS, World
from tests.worlds.builders import CODE, HOUR, RESERVATION_ID, SECOND, a_reservation
from tests.worlds.fakes import RecordingMailer

OWNERS = Lookup(client_id="web", code=CODE, email="ana@example.com")


def look_up(world: World, **changes: Any) -> LookedUp:
    return look_up_reservation(replace(OWNERS, **changes), uow=world.unit_of_work(), keys=KEYS)


def links(world: World) -> list[str]:
    """Send what is due, and return the links of the mails that were asked for."""
    mailer = RecordingMailer()
    while world.notify(mailer):
        pass
    return [mail.manage_url or "" for mail in mailer.mails if mail.kind is MailKind.LINK]


@pytest.fixture
def world() -> World:
    return World(a_reservation(next_check_at=None))


@pytest.mark.parametrize("email", [OWNERS.email, "Ana@Example.com"])
def test_code_and_address_bring_a_mail_with_the_link(world: World, email: str) -> None:
    assert look_up(world, email=email) is LookedUp.MATCHED

    assert world.stored.next_check_at == world.now
    assert len(links(world)) == 1
    assert world.stored.send_of(MailKind.LINK).status is MailStatus.SENT  # type: ignore[union-attr]
    assert links(world) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": new_code()},
        {"email": "eva@example.com"},
        {"email": "an.a@example.com"},
        {"client_id": "partner"},
    ],
    ids=["another code", "another address", "an alias", "another client"],
)
def test_a_miss_sends_no_mail(world: World, wrong: dict[str, str]) -> None:
    before = world.stored

    assert look_up(world, **wrong) is LookedUp.MISSED

    assert world.stored == before
    assert links(world) == []


def test_an_erased_traveler_is_not_found(world: World) -> None:
    world.database.customers[RESERVATION_ID] = ERASED

    assert look_up(world) is LookedUp.MISSED
    assert look_up(world, email="") is LookedUp.MISSED


def test_three_matches_an_hour_count_and_misses_do_not(world: World) -> None:
    for _ in range(9):
        look_up(world, email="eva@example.com")

    first = [look_up(world) for _ in range(4)]
    world.wait(HOUR - SECOND)
    still = look_up(world)
    world.wait(SECOND)

    assert first == [*[LookedUp.MATCHED] * 3, LookedUp.TOO_OFTEN]
    assert still is LookedUp.TOO_OFTEN
    assert look_up(world) is LookedUp.MATCHED


def test_each_answered_lookup_brings_a_mail_of_its_own(world: World) -> None:
    sent = []
    for _ in range(2):
        look_up(world)
        sent += links(world)

    assert len(sent) == 2
    assert world.events.count("mail.sent.link") == 2
