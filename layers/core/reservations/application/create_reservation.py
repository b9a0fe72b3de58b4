"""Create a reservation."""

from dataclasses import dataclass, replace
from datetime import datetime

from reservations.application.cases import Cases
from reservations.application.ports import UnitOfWork
from reservations.domain.change import Change
from reservations.domain.codes import new_code
from reservations.domain.errors import DuplicateCodeError
from reservations.domain.facts import Facts
from reservations.domain.identifiers import uuid7
from reservations.domain.money import Money
from reservations.domain.plan import settle
from reservations.domain.policy import Moment
from reservations.domain.reservation import Customer, Offer, Reservation

CODE_DRAWS = 3  # 49.5 random bits: a second clash in a row is a broken random source, not bad luck


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateReservation:
    """The customer's request, already validated at the edge; `quoted` with a verified quote."""

    client_id: str
    offer: Offer
    price: Money
    customer: Customer
    quoted: bool = False


def create_reservation(command: CreateReservation, *, cases: Cases, token_kid: str) -> Reservation:
    """Store a reservation and its first hint, in the caller's transaction.

    `token_kid` names the secret of its access token.

    Raises:
        DuplicateCodeError: every code drawn was taken.
    """
    at = Moment(cases.uow.now(), cases.policy)
    accepted = _accepted(command, token_kid=token_kid, now=at.now)
    creation = Change.of(None, settle(accepted, at), at, actor=cases.actor)
    return _add_under_a_free_code(creation, command.customer, uow=cases.uow)


def _accepted(command: CreateReservation, *, token_kid: str, now: datetime) -> Reservation:
    reservation_id = uuid7(now)
    return Reservation(
        reservation_id=reservation_id,
        code=new_code(),
        client_id=command.client_id,
        token_kid=token_kid,
        quoted=command.quoted,
        offer=command.offer,
        facts=Facts(reservation_id=reservation_id, price=command.price, created_at=now),
        next_check_at=now,
        updated_at=now,
    )


def _add_under_a_free_code(creation: Change, customer: Customer, *, uow: UnitOfWork) -> Reservation:
    for _ in range(CODE_DRAWS - 1):
        try:
            uow.add(creation, customer)
            return creation.after
        except DuplicateCodeError:
            creation = replace(creation, after=replace(creation.after, code=new_code()))
    uow.add(creation, customer)
    return creation.after
