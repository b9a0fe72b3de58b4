"""The account of one charge: what was taken, what went back, and the refund that is due."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from reservations.domain.facts import (
    ATTESTED_BY_EVIDENCE,
    Call,
    Contradiction,
    Decision,
    DisputeStatus,
    Facts,
    Kind,
    Operation,
    Status,
)
from reservations.domain.money import Money

OF_CHARGE = frozenset({Kind.PAYMENT_ABSENT, Kind.PAYMENT_CHANGED, Kind.OTHER_SUM})
"""Contradictions about a charge itself."""


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund to send: its idempotency key and its amount."""

    key: str
    money: Money


@dataclass(frozen=True)  # no slots: a cached property keeps its answer in `__dict__`
class Account:
    """A charge and all that its ledger and its contradictions say about its money."""

    facts: Facts
    charge: Call

    @property
    def closed(self) -> bool:
        return self.facts.reason is not None

    @cached_property
    def taken(self) -> Money:
        """The amount of the charge, or the price if none was told.

        It is the last amount that was told, once a person accepted it or the reservation is closed.
        """
        at_first = self.charge.money or self.facts.price
        told = self.facts.last(Kind.OTHER_SUM, self.charge.provider_id)
        if told is not None and told.over_at is None and told.money is not None:
            accepted = told.decision is Decision.PAID or (self.closed and told.lasts)
            if accepted and told.money.currency == at_first.currency:
                return told.money
        return at_first

    # --- what went back

    @cached_property
    def refunds(self) -> tuple[Call, ...]:
        """Our refunds of the charge, whatever became of them."""
        refunds = self.facts.of(Operation.REFUND)
        return tuple(refund for refund in refunds if refund.target == self.charge.provider_id)

    @cached_property
    def sent(self) -> tuple[Call, ...]:
        """The refunds under a key of ours. Others were found, or attested by a person."""
        return tuple(refund for refund in self.refunds if refund.key.startswith("refund:"))

    @property
    def refunding(self) -> bool:
        """`True` while a refund of ours is open."""
        return any(refund.open for refund in self.refunds)

    @cached_property
    def left(self) -> int:
        """Amount not yet returned, in minor units; negative if more was returned than was taken.

        What others returned counts only once the reservation is closed: before, it stands.
        """
        if self.closed:
            return self.to_refund
        returned = [refund.money or self.taken for refund in self._good_refunds]
        returned += [row.money for row in self._settled if row.money is not None]
        return self.taken.minor - self._sum(returned)

    @cached_property
    def to_refund(self) -> int:
        """Amount to refund of a charge that the reservation does not stand on, in minor units."""
        returned = [refund.money or self.taken for refund in self._good_refunds]
        returned += [*self._foreign_refunds, *self._returned_by_decision]
        left = self._without_accepted_loss(self.taken.minor - self._sum(returned))
        if not self._write_offs:
            return left
        since = self._without_accepted_loss(self._moved_since)
        return since if since <= 0 else max(0, min(left, since))

    @property
    def _moved_since(self) -> int:
        """The part of a charge that came back after it was written off, in minor units.

        A refund that failed brings money back. A later one of ours has made it good. One that others
        made, of what a person had returned by another way, is too much.
        """
        since = max(row.closed_at for row in self._write_offs if row.closed_at is not None)
        failed = [refund for refund in self.refunds if self._failed_after(refund, since)]
        again = [refund for refund in self._good_refunds if refund.started_at > since]
        gone = [refund.money or self.taken for refund in again] + self._returned_twice(since)
        return self._sum([refund.money or self.taken for refund in failed]) - self._sum(gone)

    def _returned_twice(self, since: datetime) -> list[Money]:
        """What others refunded for the first time after a person had returned it by another way."""
        if all(row.decision is not Decision.RETURNED for row in self._write_offs):
            return []
        seen_before = {row.subject for row in self.facts.contradictions if row.first_at <= since}
        rows = self._foreign_rows
        return [row.money for row in rows if row.money and row.subject not in seen_before]

    def _failed_after(self, refund: Call, since: datetime) -> bool:
        row = self.facts.last(Kind.REFUND_FAILED, refund.provider_id, opened=True)
        return self.has_failed(refund) and row is not None and row.first_at > since

    @property
    def is_returned_by_others(self) -> bool:
        """`True` if refunds that we did not ask for amount to all that was taken."""
        return self._sum(self._foreign_refunds) >= self.taken.minor

    @property
    def explained(self) -> int:
        """The refunded amount that we can explain, in minor units: our refunds and foreign ones."""
        doubtful = {
            row.subject
            for row in self.facts.contradictions
            if row.kind is Kind.REFUND_FAILED and row.lasts and row.seen == Status.DECLINED
        }
        sure = [refund for refund in self._good_refunds if refund.provider_id not in doubtful]
        return self._sum([*(refund.money or self.taken for refund in sure), *self._foreign_refunds])

    def has_failed(self, refund: Call) -> bool:
        """`True` if what had succeeded is believed to be rejected or pending, or a person says so.

        A refund that is only absent may come back.
        """
        row = self.facts.last(Kind.REFUND_FAILED, refund.provider_id, opened=True)
        if row is None or row.over_at is not None or row.decision is Decision.RETURNED:
            return False
        undone = row.seen in (Status.DECLINED, Status.PENDING)
        return undone or row.decision is Decision.REFUND_AGAIN

    @cached_property
    def _good_refunds(self) -> list[Call]:
        """Our refunds that succeeded and did not fail later."""
        return [
            refund
            for refund in self.refunds
            if refund.status is Status.SUCCEEDED and not self.has_failed(refund)
        ]

    @property
    def _foreign_refunds(self) -> list[Money]:
        return [row.money for row in self._foreign_rows if row.money is not None]

    @property
    def _foreign_rows(self) -> list[Contradiction]:
        """The refunds of others: of each the last word, as a pending one that succeeds is still one."""
        last_words = {
            row.subject: row
            for row in self.facts.contradictions
            if row.kind is Kind.FOREIGN_REFUND
            and row.payment == self.charge.provider_id
            and not row.passed
        }
        rows = last_words.values()
        return [row for row in rows if row.over_at is None and not is_unexplained(row)]

    @property
    def _returned_by_decision(self) -> list[Money]:
        """What a lost dispute took back, and what a person said was returned or is lost."""
        rows = [row for row in (self._lost_dispute, *self._answered) if row is not None]
        return [row.money for row in rows if row.money is not None]

    @property
    def _lost_dispute(self) -> Contradiction | None:
        """The dispute whose sum is with the traveler. A person's transfer counts, whatever follows."""
        matter = (Kind.DISPUTE, self.charge.provider_id)
        disputes = [row for row in self.facts.contradictions if row.matter == matter]
        returned = [row for row in disputes if row.decision is Decision.RETURNED]
        last = [row for row in disputes[-1:] if _is_lost(row)]
        return next(iter((*returned, *last)), None)

    @property
    def answered(self) -> int:
        """The refunded amount that a person answered for although no refund explains it."""
        return self._sum([row.money for row in self._answered if row.money is not None])

    @property
    def _answered(self) -> list[Contradiction]:
        """The sums that a person returned, and the last amount they decided: each amount is a total."""
        told = [row for row in self._about_refunded_amount if row.decision and not row.by_person]
        last = [
            row
            for row in told[-1:]
            if row.decision is Decision.RETURNED
            or (row.decision is Decision.HONOURED and row.over_at is None)
        ]
        return [*self._settled, *last]

    @property
    def _settled(self) -> list[Contradiction]:
        """What a person said was returned, beside any word of a provider."""
        rows = self._about_refunded_amount
        return [row for row in rows if row.decision is Decision.RETURNED and row.by_person]

    def _without_accepted_loss(self, left: int) -> int:
        """Leave out what was returned beyond what was taken, if a person lets the traveler keep it."""
        accepted = [
            row.money
            for row in self._about_refunded_amount
            if row.decision is Decision.HONOURED and row.by_person and row.money is not None
        ]
        return left if left >= 0 else min(0, left + self._sum(accepted))

    @property
    def _about_refunded_amount(self) -> list[Contradiction]:
        about = (Kind.FOREIGN_REFUND, self.charge.provider_id)
        return [row for row in self.facts.contradictions if row.matter == about]

    @property
    def disputed(self) -> bool:
        """`True` until the dispute is won, whatever a person decided: the bank may pay it back."""
        return bool(self._disputes)

    @property
    def _disputes(self) -> list[Contradiction]:
        about = (Kind.DISPUTE, self.charge.provider_id)
        rows = self.facts.contradictions
        return [row for row in rows if row.matter == about and row.over_at is None]

    @property
    def returned_by_hand(self) -> bool:
        """`True` if a person returned money of the charge by a way that payments does not know."""
        about = self.charge.provider_id
        return any(
            str(refund.provider_id).startswith(ATTESTED_BY_EVIDENCE) for refund in self.refunds
        ) or any(
            row.decision is Decision.RETURNED and about in (row.subject, row.payment)
            for row in self.facts.contradictions
        )

    @property
    def stands_lost(self) -> bool:
        """`True` if a person accepted the loss of a charge of a reservation that stands."""
        return not self.closed and bool(self._write_offs)

    @property
    def _write_offs(self) -> list[Contradiction]:
        """The decisions by which no money of the charge is ours any more.

        What was returned by another way stays returned. A loss ends when the provider agrees again.
        """
        return [
            row
            for row in self.facts.contradictions
            if row.kind in OF_CHARGE
            and self.charge.provider_id in (row.subject, row.payment)
            and (
                row.decision is Decision.RETURNED
                or (row.decision is Decision.HONOURED and row.over_at is None)
            )
        ]

    def _sum(self, amounts: list[Money]) -> int:
        return sum(money.minor for money in amounts if money.currency == self.taken.currency)

    # --- what is due

    @property
    def next_refund(self) -> Refund | None:
        """The refund of what is left. `None` while one is under way, or when a person must decide.

        A refund that did not arrive goes again as it was. A second one leaves only when the first
        failed later, or when others left too little for it. There is no third.
        """
        if self.to_refund <= 0:
            return None
        left = Money(self.to_refund, self.taken.currency)
        for refund in self.sent:
            if refund.status is Status.NOT_FOUND and not self._is_too_large(refund):
                return Refund(refund.key, refund.money or left)
        match self.sent:
            case ():
                return Refund(self.refund_key(1), left)
            case (only,) if self._is_rejected_later(only) or self._is_too_large(only):
                return Refund(self.refund_key(2), left)
        return None

    def has_turned_up(self, since: datetime) -> bool:
        """`True` for a refund of unknown origin that was first seen after `since`.

        It may be a part of one of ours that got no answer: the rest may be listed later.
        """
        return any(row.first_at > since for row in self._foreign_rows)

    def refund_key(self, number: int) -> str:
        """The idempotency key of the first, the second... refund."""
        key = f"refund:{self.charge.provider_id}"
        return key if number == 1 else f"{key}:{number}"

    def _is_too_large(self, refund: Call) -> bool:
        """`True` for a refund that never arrived, and no longer fits."""
        asked = refund.money or self.taken
        return refund.status is Status.NOT_FOUND and asked.minor > self.to_refund

    def _is_rejected_later(self, refund: Call) -> bool:
        """`True` if both looks at a refund, and the payment's refunded amount, show its failure."""
        row = self.facts.last(Kind.REFUND_FAILED, refund.provider_id)
        rejected = row is not None and row.open and is_rejected(row)
        return rejected and self.charge.refunded_minor == self.explained


def _is_lost(dispute: Contradiction) -> bool:
    """Return `True` for a dispute that the bank decided for the traveler, or a person gave up."""
    given_up = dispute.seen == DisputeStatus.LOST or dispute.decision is not None
    return given_up and dispute.over_at is None


def is_unexplained(row: Contradiction) -> bool:
    """Return `True` for a refunded amount without the refunds that make it up."""
    return row.kind is Kind.FOREIGN_REFUND and row.subject == row.payment


def is_rejected(row: Contradiction) -> bool:
    """Return `True` for a refund that failed later, as two looks some time apart showed."""
    rejected = row.kind is Kind.REFUND_FAILED and row.seen == Status.DECLINED
    return rejected and row.opened_at is not None and row.looks > 1
