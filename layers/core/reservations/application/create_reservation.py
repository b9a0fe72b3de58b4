"""Create a reservation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.ports import ChargeClaim, UnitOfWork
from reservations.domain.change import Change
from reservations.domain.codes import new_code
from reservations.domain.errors import PaymentInProgressError
from reservations.domain.facts import Facts
from reservations.domain.identifiers import uuid7
from reservations.domain.money import Money
from reservations.domain.plan import settle
from reservations.domain.policy import Moment
from reservations.domain.reservation import Customer, Offer, Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateReservation:
    """The customer's request, already validated at the edge; `quoted` with a verified quote.

    `claim` is `None` for a client that may charge a token twice for the same.
    """

    client_id: str
    offer: Offer
    price: Money
    customer: Customer
    quoted: bool = False
    claim: ChargeClaim | None = None


def create_reservation(command: CreateReservation, *, cases: Cases, token_kid: str) -> Reservation:
    """Store a reservation and its first hint, in the caller's transaction.

    `token_kid` names the secret of its access token.

    The code is drawn at random. Its clash with another's shows at the latest in the commit: repeat
    the whole then.

    Raises:
        DuplicateCodeError: the code is taken.
        PaymentInProgressError: another reservation charges the token for the same.
    """
    at = Moment(cases.uow.now(), cases.policy)
    accepted = _accepted(command, token_kid=token_kid, now=at.now)
    creation = Change.of(None, settle(accepted, at), at, actor=cases.actor)
    cases.uow.add(creation, command.customer)
    if command.claim is not None:
        _claim_charge(command.claim, accepted.reservation_id, uow=cases.uow, now=at.now)
    return creation.after


def _claim_charge(
    claim: ChargeClaim, reservation_id: UUID, *, uow: UnitOfWork, now: datetime
) -> None:
    code = uow.claims.take(claim, reservation_id, now=now)
    if code is None:
        return
    holder = uow.reservations.find(code)
    if holder is None or holder.standing.claims_its_charge(now):
        raise PaymentInProgressError(code)
    uow.claims.free(holder.reservation_id)
    if (other := uow.claims.take(claim, reservation_id, now=now)) is not None:
        raise PaymentInProgressError(other)


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
