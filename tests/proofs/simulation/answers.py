"""Operators who answer the reviews of contradictions, after a telephone call to the provider."""

from collections.abc import Callable

from reservations.application import operate
from reservations.domain.decisions import ANSWERS, DecisionRefusedError
from reservations.domain.errors import UnavailableError
from reservations.domain.facts import OF_BOOKINGS, Contradiction, Decision
from reservations.domain.reservation import Reservation
from reservations.domain.words import Review
from tests.proofs.hostile.rows import GOOD, PENDING, Kind, Row
from tests.proofs.simulation.providers import Party
from tests.proofs.simulation.world import World

CANCELS = 0.25  # of the answers, where the reservation still stands
RASH = 0.2  # of the bookings that live and are said to be gone


class Answers:
    """Draws one decision among those that are true and that the table allows."""

    def __init__(self, world: World, cancel: Callable[[Party], None]) -> None:
        self._world = world
        self._cancel = cancel

    def answer(self, party: Party, reason: Review) -> None:
        """Answer the first open contradiction of that kind, or cancel the reservation."""
        before = self._stored(party)
        open_rows = [r for r in before.facts.contradictions if r.open and r.kind == str(reason)]
        may_cancel = before.facts.reason is None
        if may_cancel and self._world.random.random() < CANCELS:
            self._cancel(party)
            return
        if open_rows and reason is Review.PAYMENT_ABSENT:
            self._tell_new_id(before, open_rows[0])
        options = [decision for decision in Decision if reason in ANSWERS[decision]]
        self._world.random.shuffle(options)
        for row in open_rows[:1]:
            if any(self._decides(party, row, decision) for decision in options):
                return
        if not open_rows and self._settles_account(party, reason):
            return
        if may_cancel:
            self._cancel(party)

    def _tell_new_id(self, before: Reservation, row: Contradiction) -> None:
        """Say of a payment under a new id that its money was returned under the old one."""
        providers, payment = self._world.providers, self._row(row)
        if payment is None or not providers.was_transferred(payment):
            return
        held = {charge.provider_id for charge in before.standing.held_charges}
        if payment.id in held - {row.subject} and before.facts.reason is not None:
            self._resolves(before, Decision.RETURNED, f"E-{self._world.number()}", payment.id)

    def _settles_account(self, party: Party, reason: Review) -> bool:
        """Answer a review that no open contradiction is about: too little or too much was returned."""
        before = self._stored(party)
        if reason is Review.FOREIGN_REFUND:
            party.loss_accepted = True
            return self._resolves(before, Decision.HONOURED, "E-loss", None)
        for charge in before.standing.short_refunded:
            if self._resolves(before, Decision.REFUND_AGAIN, "E-again", charge.provider_id):
                return True
            if self._resolves(before, Decision.RETURNED, "E-transfer", charge.provider_id):
                payments = self._world.providers.payments
                self._world.providers.transfer(payments.find(charge.provider_id, Kind.PAYMENT))
                return True
        return False

    def _resolves(
        self, before: Reservation, decision: Decision, evidence: str, target: str | None
    ) -> bool:
        try:
            operate.resolve_review(
                before.code, decision, evidence=evidence, target=target,
                cases=self._world.cases(actor="operator"),
            )  # fmt: skip
        except (DecisionRefusedError, UnavailableError) as refusal:
            self._world.say(f"{decision} {target}: {refusal}")
            return False
        self._world.say(f"decides: {decision} {target}")
        return True

    def _decides(self, party: Party, row: Contradiction, decision: Decision) -> bool:
        before = self._stored(party)
        if (evidence := self._evidence(before, row, decision)) is None:
            return False
        if decision is Decision.GONE:
            party.let_go = True
        elif decision is Decision.REBOOKED:
            party.moved_from = row.subject
            self._world.attested.add(evidence)
        seen = [one for one in self._world.promises.standing(before) if one.kind == row.kind]
        if not self._resolves(before, decision, evidence, f"{row.kind}:{row.subject}"):
            return False
        answered = {row.subject: _told(row)} | {one.subject: one.seen for one in seen}
        subject = self._row(row)
        if row.kind == "foreign_refund" and subject is not None:
            told = self._world.providers.payments.members(subject)
            answered[subject.id] = told["refunded_amount"]
        if row.kind == "booking_alive" and subject is not None and subject.alive:
            answered[subject.id] = subject.status
        for an_id, word in answered.items():
            self._world.decided[before.reservation_id, str(row.kind), an_id.casefold()] = word
        self._do_by_hand(party, before, row, decision)
        return True

    def _evidence(self, before: Reservation, row: Contradiction, decision: Decision) -> str | None:
        """The evidence of a true decision; `None` for a false one."""
        reference = f"E-{self._world.number()}"
        subject = self._row(row)
        match decision:
            case Decision.STANDS:
                return reference if subject is not None and subject.good else None
            case Decision.GONE:
                rash = self._world.random.random() < RASH
                return reference if rash or subject is None or not subject.alive else None
            case Decision.REBOOKED:
                return self._new_id(before, row, subject)
            case Decision.RETURNED:
                return None if self._is_refund_under_way(subject) else reference
            case _:
                return reference

    def _is_refund_under_way(self, payment: Row | None) -> bool:
        """`True` while payments may still return money by itself: nobody transfers it as well."""
        refunds = self._world.providers.payments.refunds_of(payment) if payment else []
        return any(refund.status == PENDING for refund in refunds)

    def _new_id(self, before: Reservation, row: Contradiction, subject: Row | None) -> str | None:
        """The id that a booking has now: of itself, or of another that the operator has made."""
        if subject is not None and subject.alive:
            return subject.id if subject.good and subject.id != row.subject else None
        supplier = self._world.providers.supplier
        asked = subject.asked if subject is not None else {}
        made = supplier.make_booking(str(before.reservation_id), asked, key=None)
        if not made.good:
            supplier.change(made, GOOD[Kind.BOOKING])
        return made.id

    def _row(self, row: Contradiction) -> Row | None:
        """The provider's row in question: the booking, or the payment."""
        if row.kind in OF_BOOKINGS:
            return self._world.providers.supplier.find(row.subject, Kind.BOOKING)
        return self._world.providers.payments.find(row.payment or row.subject, Kind.PAYMENT)

    def _do_by_hand(
        self, party: Party, before: Reservation, row: Contradiction, decision: Decision
    ) -> None:
        """Refund by transfer what is left, or note that the loss is accepted.

        A sum that changes after all was returned is accepted with its loss.
        """
        closed = before.facts.reason is not None
        if decision is Decision.HONOURED or (decision is Decision.PAID and closed):
            party.loss_accepted = True
        if decision is Decision.RETURNED:
            self._world.providers.transfer(self._row(row))

    def _stored(self, party: Party) -> Reservation:
        assert party.reservation_id is not None
        return self._world.database.reservations[party.reservation_id]


def _told(row: Contradiction) -> str:
    """The provider's own word for what is in question: of a refund, our `declined` is its `rejected`.

    Only the word tells that a person has answered it, once the payment says that nothing is left.
    """
    rejected = row.kind == "refund_failed" and row.seen == "declined"
    return "rejected" if rejected else row.seen
