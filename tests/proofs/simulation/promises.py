"""Two promises about providers that change their word.

No contradiction is silent. No money and no booking moves on absence alone.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from reservations.domain.facts import Call, Operation, Status
from reservations.domain.reservation import Reservation
from reservations.domain.words import Review
from tests.proofs.hostile.rows import Kind
from tests.proofs.simulation.contradictions import MONEY, SERVICE, Contradiction, found
from tests.proofs.simulation.heard import Heard, Members, is_usable
from tests.proofs.simulation.providers import Party, Providers
from tests.proofs.simulation.rules import ViolationError

UNDOES = {
    Operation.CANCEL_BOOKING: {"booking_absent", "booking_changed"},
    Operation.REFUND: {"payment_absent", "payment_changed", "other_sum"},
}
"""The contradictions that freeze the undoing of what stands beside the kept row."""


class World(Protocol):
    """The parts of the world that the promises are about."""

    providers: Providers
    answers: Heard
    attested: set[str]
    decided: dict[tuple[UUID, str, str], str]
    turned: dict[tuple[str, str], datetime]
    announced: dict[tuple[str, str], datetime]

    @property
    def now(self) -> datetime: ...


class Promises:
    """Raises a violation at the first broken one."""

    def __init__(self, world: World) -> None:
        self._world = world

    # --- the contradictions of a reservation

    def heard(self, new: Reservation) -> list[Contradiction]:
        """The contradictions in the last listings that we stored."""
        listed = self._world.answers.listed
        keys = {kind: (str(new.reservation_id), kind) for kind in Kind}
        rows = {kind: listed[key].rows for kind, key in keys.items() if key in listed}
        return list(found(new, self._world.answers, rows))

    def standing(self, new: Reservation) -> list[Contradiction]:
        """The contradictions that its providers would tell now."""
        return list(found(new, self._world.answers, self._told(new)))

    def _told(self, new: Reservation) -> dict[Kind, list[Members]]:
        providers, reference = self._world.providers, new.reservation_id
        return {
            Kind.PAYMENT: providers.payments.tells(reference, Kind.PAYMENT),
            Kind.REFUND: providers.payments.tells(reference, Kind.REFUND),
            Kind.BOOKING: providers.supplier.tells(reference, Kind.BOOKING),
        }

    def is_decided(self, new: Reservation, one: Contradiction) -> bool:
        """`True` if a person answered this very evidence."""
        matter = (new.reservation_id, one.kind, one.subject.casefold())
        return self._world.decided.get(matter) == one.seen

    def excuses(self, new: Reservation, reasons: frozenset[Review]) -> tuple[bool, bool]:
        """Whether a contradiction explains other money, and another service, than we believe."""
        kinds = {one.kind for one in (*self.standing(new), *self.heard(new))}
        kinds |= {str(reason) for reason in reasons}
        decided = [row for row in new.facts.contradictions if row.decision and not row.over_at]
        kinds |= {str(row.kind) for row in decided if row.kind == "payment_absent"}
        late = Review.DEADLINE in reasons  # a person is asked about what does not arrive
        return late or bool(kinds & MONEY), late or bool(kinds & SERVICE)

    # --- after every commit

    def committed(self, party: Party, old: Reservation | None, new: Reservation) -> None:
        """Check a reservation that a transaction has just written."""
        if old is None:
            return
        before = old.standing
        if old.facts.confirmed_at is not None and old.facts.reason is None and new.facts.reason:
            kept = before.kept_booking.provider_id if before.kept_booking else None
            self._check_closing(party, new, kept)
        for call in _begun(old, new):
            self._check_begun(new, call)

    def _check_closing(self, party: Party, new: Reservation, kept: str | None) -> None:
        said = self._world.answers.statuses(new.reservation_id, Kind.BOOKING, kept)
        if not (party.asked_to_cancel or party.let_go or "cancelled" in said):
            raise ViolationError("absence", f"closed by {new.facts.reason}, which nobody said")

    def _check_begun(self, new: Reservation, call: Call) -> None:
        kinds = {
            one.kind
            for one in self.heard(new)
            if not self.is_decided(new, one) and one.subject not in self._world.attested
        }
        frozen = UNDOES.get(call.operation, set()) & kinds
        if new.facts.reason is None and frozen:
            raise ViolationError("absence", f"{call.key} begun under {sorted(frozen)}")
        if call.operation is Operation.CHARGE and self._was_paid(new):
            raise ViolationError("twice", "charged again after a payment that was told")
        if call.operation is Operation.REFUND and self._is_disputed(new, call.target):
            raise ViolationError("money", f"{call.key} begun beside an open dispute")

    def _was_paid(self, new: Reservation) -> bool:
        return any(
            "succeeded" in self._world.answers.statuses(new.reservation_id, Kind.PAYMENT, row.id)
            for row in self._world.providers.payments.of(new.reservation_id, Kind.PAYMENT)
            if row.key
        )

    def _is_disputed(self, new: Reservation, payment: str | None) -> bool:
        return any(
            one.kind == "dispute" and one.seen == "open" and one.subject == payment
            for one in self.heard(new)
        )

    # --- at rest

    def at_rest(self, new: Reservation) -> None:
        """Check that each contradiction that still stands is visible, or was answered."""
        reviews = {str(review) for review in new.standing.reviews(self._world.now)}
        heard = {(one.kind, one.subject): one for one in self.heard(new)}
        for one in self.standing(new) if self._is_usable(new) else ():
            known = heard.get((one.kind, one.subject))
            if known is None and not self._was_announced(new, one):
                continue
            if one.kind not in reviews and not self.is_decided(new, one):
                told = "told" if known else "announced, and not asked about"
                raise ViolationError("silent", f"{' '.join(one)}: {told}; {sorted(reviews)}")

    def _is_usable(self, new: Reservation) -> bool:
        """`False` while a listing breaks the contract, which rings an alarm of its own."""
        return all(is_usable(kind, row) for kind, rows in self._told(new).items() for row in rows)

    def _was_announced(self, new: Reservation, one: Contradiction) -> bool:
        """`True` if a webhook was taken after the provider last changed its word."""
        service = "supplier" if one.kind in SERVICE else "payments"
        key = str(new.reservation_id), service
        turned, announced = self._world.turned.get(key), self._world.announced.get(key)
        return turned is not None and announced is not None and turned <= announced


def _begun(old: Reservation, new: Reservation) -> Iterator[Call]:
    """The calls that this transaction recorded before sending them."""
    for call in new.facts.calls:
        before = old.facts.find(call.key)
        if call.status is Status.STARTED and (before is None or call.attempts > before.attempts):
            yield call
