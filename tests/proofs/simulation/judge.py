"""The `never` and the `must` of a written schedule, told by the providers' own rows."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import Reservation
from reservations.domain.views import view
from tests.proofs.hostile.rows import GOOD, Kind, Row, hundredths
from tests.proofs.hostile.service import Service
from tests.proofs.hostile.wire import Request
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.script import Script
from tests.proofs.simulation.world import World

MOST_WRITES = 20


class Judge:
    """Raises a violation where the world is not as a schedule says."""

    def __init__(self, world: World, script: Script) -> None:
        self._world = world
        self._script = script
        self._writes: Counter[str] = Counter()
        self._turned_at = world.began
        self._reviewed_at: datetime | None = None  # the last time at which a review was open
        self._status: str | None = None  # since CONFIRMADA was read

    # --- events

    def turned(self, service: Service) -> None:
        """Note that a provider has changed its word."""
        self._turned_at = self._world.now
        for party in self._world.parties:
            self._world.turned[str(party.reservation_id), service.name] = self._world.now

    def decided(self, new: Reservation, decision: str) -> None:
        """Note the evidence that a person has before their eyes."""
        for one in self._world.promises.standing(new):
            self._world.decided[new.reservation_id, one.kind, one.subject.casefold()] = one.seen
        self._world.say(f"decides: {decision}")

    def asked(self, new: Reservation, service: Service, request: Request) -> None:
        """Judge a request that reaches its provider."""
        if request.method == "GET":
            return
        self._writes[request.key or request.target] += 1
        if self._writes[request.key or request.target] > MOST_WRITES:
            self._never("one matter causes a request without end (more than 20 writes)")
        match request.target.split("/")[1:]:
            case ["payments", an_id, "refunds"]:
                self._judge_refund(new, an_id, hundredths_of(request))
            case ["bookings", an_id, "cancel"]:
                self._judge_cancellation(an_id)

    def _judge_refund(self, new: Reservation, an_id: str, minor: int) -> None:
        payments = self._world.providers.payments
        payment = payments.find(an_id, Kind.PAYMENT)
        assert payment is not None  # `Requests` has checked it
        if minor > payments.left(payment) and self._was_told(new, payment, minor):
            self._never("a refund is requested for more than what is left of the payment")
        kept = new.standing.kept_booking
        confirmed = new.facts.confirmed_at is not None and new.facts.reason is None
        if confirmed and kept and self._nobody_cancelled and payment is self._kept_payment(new):
            self._never(
                "the kept payment is refunded by us while the booking lives and nobody cancelled"
            )

    def _was_told(self, new: Reservation, payment: Row, minor: int) -> bool:
        """`True` if the last word that we heard leaves less of a payment than `minor`."""
        said = self._world.answers.said(new.reservation_id, Kind.PAYMENT, payment.id)
        if not said:
            return False
        left = hundredths(said[-1]["amount"]) - hundredths(said[-1]["refunded_amount"])
        return minor > left and self._writes[f"refund:{payment.id}"] < 2

    def _kept_payment(self, new: Reservation) -> Row | None:
        kept = new.standing.kept_charge
        an_id = kept.provider_id if kept else None
        return self._world.providers.payments.find(an_id, Kind.PAYMENT)

    def _judge_cancellation(self, an_id: str) -> None:
        supplier = self._world.providers.supplier
        alive = [row for row in supplier.rows if row.alive]
        if self._nobody_cancelled and alive and all(row.is_called(an_id) for row in alive):
            self._never(
                "the service cancels the only living booking without the traveler or an operator having asked"
            )

    @property
    def _nobody_cancelled(self) -> bool:
        party = self._world.parties[0]
        cancelled = any(row.status == "cancelled" for row in self._world.providers.supplier.rows)
        return not (party.asked_to_cancel or party.let_go or cancelled)

    # --- time

    def watch(self, new: Reservation) -> None:
        """Judge a moment at which no invocation runs."""
        if new.standing.reviews(self._world.now):
            self._reviewed_at = self._world.now
        status = str(new.standing.public_status)
        if self._status not in (None, status):
            self._never("the status that the traveler reads changes")
        if status == "CONFIRMADA":
            self._status = status
        payments = self._world.providers.payments
        for payment in self._payments:
            ours = sum(row.minor for row in payments.refunds_of(payment) if row.good and row.key)
            if ours > payment.minor > 0:
                self._never("the money is refunded more than once")

    def by(self, new: Reservation, must: dict[str, Any]) -> None:
        """Judge a `must` at its time."""
        if "review" in must and not (self._reviewed_at and self._reviewed_at >= self._turned_at):
            self._must(f"no review by {must['by']}")
        if "status" in must and new.standing.public_status != must["status"]:
            self._must(f"{new.standing.public_status} by {must['by']}")

    def end(self, new: Reservation) -> None:
        """Judge the end, where all rests."""
        reviews = new.standing.reviews(self._world.now)
        self._world.promises.at_rest(new)
        alive = any(row.alive for row in self._world.providers.supplier.rows)
        if self._net > 0 and not alive and not reviews:
            self._never("at rest, paid without a living booking and no person called")
        if self._net <= 0 and alive and not reviews:
            self._never("at rest, a living booking without money and no person called")
        shown = view(new, Moment(self._world.now, STANDARD)).refund
        if self._net > 0 and shown is not None and str(shown.status) == "done":
            self._never(
                "the traveler reads that the refund is done while the provider says that it is not"
            )
        for must in self._script.must:
            if "end" in must:
                self._judge_end(new, must["end"], str(must["is"]))

    def _judge_end(self, new: Reservation, what: str, expected: str) -> None:
        reviews = new.standing.reviews(self._world.now)
        shown = view(new, Moment(self._world.now, STANDARD))
        found: object
        match what:
            case "status":
                found = new.standing.public_status
            case "net_paid":
                found, expected = self._net, str(hundredths(expected.split()[0].lstrip("-")))
                found = abs(self._net)
            case "review":
                found = "open" if reviews else "none"
            case "requires_support":
                found = str(shown.requires_support)
            case "refund_shown":
                found = shown.refund and shown.refund.status
            case _:
                self._judge_count(what, int(expected))
                return
        if str(found) not in expected.split("|"):
            self._must(f"{what} is {found}, not {expected}")

    def _judge_count(self, what: str, most: int) -> None:
        begins = {
            "refunds_requested_at_most": "refund:",
            "bookings_cancelled_by_us": "cancel:",
            "charges_requested_at_most": "charge:",
        }[what]
        # A refund that was refused for lack of money, of which nobody had told us, made nothing.
        made = {row.key for row in self._world.providers.payments.rows}
        keys = [key for key in self._writes if key.startswith(begins)]
        if begins == "refund:":
            keys = [key for key in keys if key in made]
        if len(keys) > most:
            self._must(f"{what} is {keys}, more than {most}")

    # --- the truth

    @property
    def _payments(self) -> list[Row]:
        return [row for row in self._world.providers.payments.rows if row.kind is Kind.PAYMENT]

    @property
    def _net(self) -> int:
        """Hundredths of succeeded payments, less those of succeeded refunds."""
        rows = self._world.providers.payments.rows
        sums = Counter[Kind]()
        for row in rows:
            sums[row.kind] += row.minor if row.status == GOOD[row.kind] else 0
        return sums[Kind.PAYMENT] - sums[Kind.REFUND]

    def _never(self, what: str) -> None:
        if what in self._script.never:
            raise ViolationError("never", what)

    def _must(self, what: str) -> None:
        if self._script.unsure is None:
            raise ViolationError("must", what)


def hundredths_of(request: Request) -> int:
    """The amount of a refund request."""
    return hundredths(json.loads(request.body)["amount"])
