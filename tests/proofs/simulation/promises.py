"""Two promises about providers that change their word.

No contradiction is silent. No money and no booking moves on absence alone.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from reservations.domain.facts import Call, Operation, Status
from reservations.domain.reservation import Reservation
from reservations.domain.words import Review
from tests.proofs.hostile.rows import Kind, hundredths
from tests.proofs.simulation.contradictions import MONEY, SERVICE, Contradiction, found, lost
from tests.proofs.simulation.heard import ID, Heard, Members, is_usable
from tests.proofs.simulation.providers import Party, Providers
from tests.proofs.simulation.rules import ViolationError

UNDOES = {
    Operation.CANCEL_BOOKING: {"booking_absent", "booking_changed"},
    Operation.REFUND: {"payment_absent", "payment_changed", "other_sum"},
}
"""The contradictions that freeze the undoing of what stands beside the kept row."""
ABSENCES = {"booking_absent": Kind.BOOKING, "payment_absent": Kind.PAYMENT}
LOOKS, QUARTER_OF_AN_HOUR = 3, timedelta(minutes=15)
CALL_LIMIT = timedelta(minutes=2)
MOST_REFUNDS = 2  # of one payment, without a person


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
        """The contradictions in the last listings that we stored, but not in those older than what we know."""
        kept = {Kind.PAYMENT: new.standing.kept_charge, Kind.BOOKING: new.standing.kept_booking}
        rows = {}
        for kind in Kind:
            listed = self._world.answers.listed.get((str(new.reservation_id), kind))
            row = kept.get(kind)
            known_at = row.closed_at if row is not None else None
            if listed is not None and (known_at is None or known_at <= listed.at):
                rows[kind] = listed.rows
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
        known = {(row.matter, row.number) for row in old.facts.contradictions if row.opened_at}
        for row in new.facts.contradictions:
            if row.opened_at and (row.matter, row.number) not in known:
                self._check_opened(new, str(row.kind), row.subject, row.seen)

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
        if call.operation is Operation.REFUND:
            self._check_refund(new, call)

    def _check_refund(self, new: Reservation, call: Call) -> None:
        if self._is_disputed(new, call.target):
            raise ViolationError("money", f"{call.key} begun beside a dispute")
        if any(self._lives_again(new, one) for one in self.heard(new)):
            raise ViolationError("money", f"{call.key} begun while a cancelled booking lives")
        ours = [row for row in new.standing.refunds if row.target == call.target and row.attempts]
        by_a_person = any(row.decision == "refund_again" for row in new.facts.contradictions)
        if len(ours) > MOST_REFUNDS and not by_a_person:
            raise ViolationError("twice", f"{call.key} is refund number {len(ours)}")
        told = self._world.answers.listed.get((str(new.reservation_id), Kind.PAYMENT))
        about = (call.target or "").lower()
        for row in told.rows if told and len(ours) > 1 else ():
            is_it = row["payment_id"].lower() == about
            if is_it and call.money and call.money.minor > _left(row):
                raise ViolationError("twice", f"{call.key} begun, and {_left(row)} is left")

    def _lives_again(self, new: Reservation, one: Contradiction) -> bool:
        """`True` for a booking that was listed alive long after it was told to be cancelled."""
        if one.kind != "booking_alive" or self.is_decided(new, one):
            return False
        key, answers = (str(new.reservation_id), Kind.BOOKING), self._world.answers
        cancelled_at = answers.first_told[*key, one.subject, "cancelled"]
        return cancelled_at + CALL_LIMIT < answers.listed[key].at

    def _check_opened(self, new: Reservation, kind: str, subject: str, seen: str) -> None:
        """Check that an absence was listed three times over a quarter of an hour.

        A payment that is listed as voided is as good as absent.
        """
        if kind not in ABSENCES or seen != "absent" or new.facts.reason is not None:
            return
        key = str(new.reservation_id), ABSENCES[kind]
        times = [
            told.at
            for told in self._world.answers.listings.get(key, [])
            if all(row[ID[told.kind]] != subject or row["status"] == "voided" for row in told.rows)
        ]
        if not times:
            return  # its listings were no usable ones: the last usable one showed it
        if len(times) < LOOKS or times[-1] - times[0] < QUARTER_OF_AN_HOUR - CALL_LIMIT:
            raise ViolationError("absence", f"{kind} {subject} believed after {len(times)} looks")

    def _was_paid(self, new: Reservation) -> bool:
        return any(
            "succeeded" in self._world.answers.statuses(new.reservation_id, Kind.PAYMENT, row.id)
            for row in self._world.providers.payments.of(new.reservation_id, Kind.PAYMENT)
            if row.key
        )

    def _is_disputed(self, new: Reservation, payment: str | None) -> bool:
        return any(one.kind == "dispute" and one.subject == payment for one in self.heard(new))

    # --- at rest

    def at_rest(self, new: Reservation) -> None:
        """Check that each contradiction that still stands is visible, or was answered.

        A word that nobody announced and that we have not heard is unknown: the one before it counts.
        """
        reviews = {str(review) for review in new.standing.reviews(self._world.now)}
        heard = {(one.kind, one.subject): one for one in self.heard(new)}
        for one in self.standing(new) if self._is_usable(new) else ():
            announced = self._was_announced(new, one)
            known = one if announced else heard.get((one.kind, one.subject))
            if known is None:
                continue
            if known.kind not in reviews and not self.is_decided(new, known):
                told = "announced" if announced else "told"
                raise ViolationError("silent", f"{' '.join(known)}: {told}; {sorted(reviews)}")
        self._check_disputes(new)

    def _check_disputes(self, new: Reservation) -> None:
        """Check that a lost dispute took the payment of a closed reservation, and that a won one is over."""
        told = self._world.answers.listed.get((str(new.reservation_id), Kind.PAYMENT))
        held = {charge.provider_id for charge in new.standing.held_charges}
        disputed = {
            row.subject
            for row in new.facts.contradictions
            if row.kind == "dispute" and row.open and not row.sticky
        }
        for row in told.rows if told else ():
            about, status = row["payment_id"], (row.get("dispute") or {}).get("status")
            taken_back = status == "lost" and lost(row) >= _left(row)
            if taken_back and about in held and new.facts.reason is not None:
                raise ViolationError("money", f"{about} is lost, and counts as held")
            if status == "won" and about in disputed:
                raise ViolationError("latched", f"the dispute of {about} is won")

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


def _left(payment: Members) -> int:
    """Hundredths of a payment that were not refunded, as it is told."""
    return hundredths(payment["amount"]) - hundredths(payment["refunded_amount"])
