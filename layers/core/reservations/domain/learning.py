"""Changes of the ledger: the row before a call, the answer after it, and news from outside.

Knowledge only grows. Every answer is filed under the provider's own id, a higher-ranked status
replaces a lower one, and nothing is withdrawn. Answers may come late, twice or out of order.
What contradicts the ledger is kept beside it: see `contradictions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.domain import comparison, contradictions
from reservations.domain.actions import Action, InquireRefunds, Send, Sent, Void
from reservations.domain.facts import (
    OF_BOOKINGS,
    OF_PAYMENTS,
    OPEN,
    PROVIDER_OF,
    RANK,
    Call,
    Facts,
    Kind,
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Provider,
    Reason,
    Seen,
    Status,
    rank_of,
)
from reservations.domain.policy import Moment, Policy
from reservations.domain.standing import Standing

# Inquired about long after they closed. They show the ends of refunds and cancellations too.
_LOOKED_AFTER = frozenset({Operation.CHARGE, Operation.BOOK})
_KINDS_AT = {
    Provider.PAYMENTS: OF_PAYMENTS,
    Provider.SUPPLIER: OF_BOOKINGS,
}


def begin(facts: Facts, action: Action, at: Moment) -> Facts:
    """Write down a call before it leaves, with the time to inquire if no answer comes."""
    if isinstance(action, Send):
        return facts.put(_sent(facts.find(action.key), action, at))
    call = facts.row(action.key)
    look_at = at.now + at.policy.rung(call.looks)
    if isinstance(action, InquireRefunds):
        return facts.put(replace(call, refunds_at=look_at))
    if isinstance(action, Void):
        return facts.put(replace(call, void_asked=True, check_at=look_at))
    facts = contradictions.ask_about(facts, call, look_at, at)
    return facts.put(replace(call, check_at=look_at))


def _sent(before: Call | None, action: Send, at: Moment) -> Call:
    """A new row, or the one that was not found, sent again under the same key.

    A booking that an older release began is sent again as it was, without the price: a key takes one body.

    A refund or a cancellation keeps its deadline when it is sent again: it is due since the first.
    The pause before the next inquiry goes on growing: it counts for the matter, not for the attempt.
    """
    deadline_at = at.now + _patience(action.operation, at.policy)
    looks = before.looks if before else 0
    priced = before.priced if before else action.operation is Operation.BOOK
    return Call(
        operation=action.operation,
        key=action.key,
        money=action.money,
        target=action.target,
        attempts=before.attempts + 1 if before else 1,
        looks=looks,
        started_at=before.started_at if before else at.now,
        sent_at=at.now,
        deadline_at=before.deadline_at if before and action.target else deadline_at,
        check_at=at.now + at.policy.rung(looks),
        doubted=before is not None,
        priced=priced,
    )


def _patience(operation: Operation, policy: Policy) -> timedelta:
    return policy.refund_deadline if operation is Operation.REFUND else policy.deadline


def record(facts: Facts, sent: Sent, outcome: Outcome, at: Moment) -> Facts:
    """Keep the outcome of a call as facts."""
    call = facts.row(sent.action.key)
    answer = _Answer(asked_at=sent.at, at=at)
    match outcome:
        case Listing() if sent.action.operation is Operation.REFUND:
            return answer.file_refunds(facts, call, outcome)
        case Listing():
            return answer.file_listing(facts, call, outcome)
        case Seen() if isinstance(sent.action, Send) and call.operation is Operation.REFUND:
            return answer.file_own_refund(facts, call, outcome)
        case Seen():
            return answer.file_answer(facts, call, outcome)
        case NotSent() | NoAnswer() if isinstance(sent.action, InquireRefunds):
            return facts.put(_not_listed(facts, call, at))
        case NotSent() | NoAnswer() if not isinstance(sent.action, Send):
            kinds = _KINDS_AT[PROVIDER_OF[call.operation]]
            facts = contradictions.look_later(facts, kinds, call, at)
            return facts.put(_not_asked(call, sent.action, outcome, at))
        case NotSent() if call.status is Status.STARTED and sent.attempt == call.attempts:
            return facts.put(_not_sent(call, outcome, at))
        case NotSent() | NoAnswer() if call.status is Status.STARTED:
            check_at = at.now + _pause(outcome, at.policy.rung(call.looks), at.policy)
            return facts.put(replace(call, status=Status.UNKNOWN, check_at=check_at, doubted=True))
        case _:
            return facts.put(answer.looked(call))


def _not_asked(call: Call, action: Action, outcome: NotSent | NoAnswer, at: Moment) -> Call:
    """An inquiry or a void without an answer shows nothing. It does not climb to the hourly rung.

    A void lets the ladder go on: between two voids is an inquiry, which may be answered.
    """
    if not call.open:
        return _look_given_up_or_later(call, at)
    low = min(call.looks + 1, at.policy.unasked_ladder_limit)
    looks = call.looks + 1 if isinstance(action, Void) else low
    return replace(
        call, looks=looks, check_at=at.now + _pause(outcome, at.policy.rung(low), at.policy)
    )


def _look_given_up_or_later(call: Call, at: Moment) -> Call:
    """A look that is not answered is repeated for some days, each time later."""
    looks = call.looks + 1
    pause = max(at.policy.aftercare[0], at.policy.resend_pause(looks))
    over = looks > at.policy.unanswered_looks or call.check_at is None
    return replace(call, looks=looks, check_at=None if over else at.now + pause)


def _not_listed(facts: Facts, charge: Call, at: Moment) -> Call:
    """List the refunds of a charge later, for as long as something about them is in doubt."""
    doubtful = any(row.payment == charge.provider_id for row in Standing(facts).lasting)
    return replace(charge, refunds_at=at.now + at.policy.ladder_end if doubtful else None)


def _not_sent(call: Call, outcome: NotSent, at: Moment) -> Call:
    """Let it be sent again after a pause that grows, but stays below an hour."""
    rung = at.policy.rung(min(call.attempts - 1, at.policy.unasked_ladder_limit))
    send_at = at.now + _pause(outcome, rung, at.policy)
    return replace(
        call,
        status=Status.NOT_FOUND,
        closed_at=at.now,
        quiet_from=at.now,
        missing_since=None,
        check_at=send_at,
        doubted=True,
    )


def _pause(outcome: NotSent | NoAnswer, rung: timedelta, policy: Policy) -> timedelta:
    """The provider's Retry-After (RFC 9110, section 10.2.3) within our bounds, else the rung."""
    if outcome.retry_after_s is None:
        return rung
    return max(
        policy.rung(0), min(timedelta(seconds=outcome.retry_after_s), policy.retry_after_limit)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The time of a request, and the moment at which its answer is recorded."""

    asked_at: datetime
    at: Moment

    def file_answer(self, facts: Facts, call: Call, seen: Seen) -> Facts:
        """File an answer. A cancellation that succeeded ends its booking too."""
        facts = self.file(facts, call.operation, call.target, seen)
        if (
            call.operation is Operation.CANCEL_BOOKING
            and call.target
            and seen.status is Status.SUCCEEDED
        ):
            cancelled = Seen(provider_id=call.target, status=Status.CANCELLED)
            facts = self.file(facts, Operation.BOOK, None, cancelled)
        if call.operation is Operation.BOOK:
            found = comparison.compare_answer(facts, seen, self.at.now)
            return contradictions.note(facts, found, self.at)
        return facts

    def file_own_refund(self, facts: Facts, call: Call, seen: Seen) -> Facts:
        """File the answer to a refund of ours. It is ours whatever its sum, and another sum is news.

        A second id under one key is a second refund: the provider has forgotten the first.
        """
        rows = facts.of(Operation.REFUND)
        if any(row.provider_id == seen.provider_id and row != call for row in rows):
            return self.file(facts, Operation.REFUND, call.target, seen)
        found = comparison.Comparison(self.asked_at)
        if call.provider_id not in (None, seen.provider_id):
            comparison.observe_foreign_refund(found, seen, call.target)
        else:
            facts = facts.put(self.learn(call, seen))
            if seen.money and call.money and seen.money != call.money:
                comparison.observe_other_sum(found, call, seen)
        facts = contradictions.note(facts, found, self.at)
        return self.settle_refunds(facts, call.target)

    def file_listing(self, facts: Facts, call: Call, listing: Listing) -> Facts:
        """File all payments or bookings that a provider lists, and what they contradict."""
        # A supplier lists bookings only: its booking shows whether a cancellation succeeded.
        operation = Operation.CHARGE if call.operation is Operation.CHARGE else Operation.BOOK
        known = comparison.as_known(facts, operation, listing)
        facts = self.file_all(facts, operation, None, known, asked_about=call.key)
        if operation is Operation.CHARGE:
            return self.contradict_payments(facts, call, listing)
        facts = self.conclude_cancellations(facts, asked_about=call.key)
        found = comparison.compare_bookings(facts, listing, self.asked_at)
        facts = contradictions.note(facts, found, self.at)
        return contradictions.look_later(facts, OF_BOOKINGS, call, self.at)

    def file_refunds(self, facts: Facts, call: Call, listing: Listing) -> Facts:
        """File the refunds of a payment. Those that are not ours stay out of the ledger."""
        target = call.target if call.operation is Operation.REFUND else call.provider_id
        known, before = comparison.as_known(facts, Operation.REFUND, listing), facts
        facts = self.file_all(facts, Operation.REFUND, target, known, asked_about=call.key)
        payment = next((c for c in facts.of(Operation.CHARGE) if c.provider_id == target), None)
        if payment is None:
            return facts
        if any(
            row.status is Status.NOT_FOUND and row != before.find(row.key) for row in facts.calls
        ):
            facts = facts.put(replace(payment, check_at=self.at.now))  # is there still a payment?
        just_told = call.operation is Operation.CHARGE
        found = comparison.compare_refunds(
            facts, payment, listing, self.asked_at, just_told=just_told
        )
        facts = contradictions.note(facts, found, self.at)
        facts = facts.put(replace(facts.row(payment.key), refunds_at=None))
        return self.settle_refunds(facts, target)

    def settle_refunds(self, facts: Facts, payment: str | None) -> Facts:
        """Look at a charge again once a refund of it has succeeded: a bank may send it back."""
        facts = contradictions.close_made_good(facts, self.at)
        for charge in facts.of(Operation.CHARGE):
            done = [
                refund.closed_at
                for refund in facts.of(Operation.REFUND)
                if refund.target == payment and refund.status is Status.SUCCEEDED
            ]
            if charge.provider_id == payment and self.at.now in done:
                again = replace(charge, quiet_from=self.at.now)
                again = replace(again, check_at=next_look(again, self.at.now, self.at))
                facts = facts.put(again)
        return facts

    def contradict_payments(self, facts: Facts, call: Call, listing: Listing) -> Facts:
        """Keep what each payment shows as refunded. List its refunds when that is news."""
        found = comparison.compare_payments(facts, listing, self.asked_at)
        doubtful = {
            row.payment
            for row in facts.contradictions
            if contradictions.is_asked_about(row, call, self.at)
        }
        known = comparison.as_known(facts, Operation.CHARGE, listing)
        told = {seen.provider_id: seen.refunded_minor for seen in known.seen}
        for charge in facts.of(Operation.CHARGE):
            about = charge.provider_id or ""
            refunded = told.get(about)
            news = found.contradicts(Kind.FOREIGN_REFUND, about) or about in doubtful
            facts = facts.put(
                replace(
                    charge,
                    refunded_minor=charge.refunded_minor if refunded is None else refunded,
                    refunds_at=self.at.now if news else charge.refunds_at,
                )
            )
        facts = contradictions.note(facts, found, self.at)
        return contradictions.look_later(facts, OF_PAYMENTS, call, self.at)

    def file_all(
        self,
        facts: Facts,
        operation: Operation,
        target: str | None,
        listing: Listing,
        *,
        asked_about: str,
    ) -> Facts:
        """File each entry. A row that is not listed gathers evidence of its absence."""
        known = {row.provider_id for row in _rows(facts, operation, target)}
        for seen in sorted(
            listing.seen, key=lambda seen: (seen.provider_id not in known, -RANK[seen.status])
        ):
            facts = self.file(facts, operation, target, seen)
        listed = {seen.provider_id for seen in listing.seen}
        for row in _rows(facts, operation, target):
            if row.provider_id not in listed:
                facts = facts.put(self.missing(row, asked_about=asked_about))
        return facts

    def conclude_cancellations(self, facts: Facts, *, asked_about: str) -> Facts:
        gone = {booking.provider_id for booking in facts.of(Operation.BOOK) if not booking.live}
        for row in facts.of(Operation.CANCEL_BOOKING):
            if row.status in (Status.SUCCEEDED, Status.DECLINED) or row.status not in RANK:
                continue
            done = replace(row, status=Status.SUCCEEDED, closed_at=self.at.now, check_at=None)
            missing = self.missing(row, asked_about=asked_about)
            facts = facts.put(done if row.target in gone else missing)
        return facts

    def file(self, facts: Facts, operation: Operation, target: str | None, seen: Seen) -> Facts:
        """Record the answer in the call with its id, else in our unidentified call, else in a new one."""
        rows = facts.of(operation)
        row = next((row for row in rows if row.provider_id == seen.provider_id), None)
        nameless = (
            row
            for row in rows
            if row.target == target and row.provider_id is None and _may_be(row, seen)
        )
        row = row or next(nameless, None)
        if row is None and operation is Operation.REFUND:
            return facts  # a refund that is not ours is no part of our ledger
        return facts.put(self.learn(row or self.found(operation, target, seen), seen))

    def found(self, operation: Operation, target: str | None, seen: Seen) -> Call:
        """A row for a call that is not in the ledger."""
        return Call(
            operation=operation,
            key=f"seen:{operation}:{seen.provider_id}",
            target=target,
            started_at=self.at.now,
            sent_at=self.at.now,
            deadline_at=self.at.now + _patience(operation, self.at.policy),
        )

    def learn(self, call: Call, seen: Seen) -> Call:
        """Take the provider's status, unless the known one ranks as high or higher.

        The first price of a booking stays: another one contradicts it.
        """
        if rank_of(seen.status) <= rank_of(call.status):
            return self.looked(_completed(call, seen))
        closed_at = None if seen.status in OPEN else self.at.now
        first, last = call.money or seen.money, seen.money or call.money
        changed = replace(
            call,
            status=seen.status,
            provider_id=seen.provider_id,
            money=first if call.operation is Operation.BOOK else last,
            locator=seen.locator or call.locator,
            closed_at=closed_at,
            quiet_from=closed_at,
            looks=0,
            missing_since=None,
        )
        return replace(changed, check_at=next_look(changed, self.at.now, self.at))

    def missing(self, call: Call, *, asked_about: str) -> Call:
        """Close a call that is not listed, but only when sure: providers list with a delay.

        That takes two listings after the last send, some time apart. The last one must come long
        after the call could still have been running. A call that was not found before may wait to
        be sent again: only an inquiry of its own moves that time.
        """
        own = call.key == asked_about and self.asked_at > (call.closed_at or self.asked_at)
        if call.status is Status.NOT_FOUND and not own:
            return call
        if call.status not in (Status.STARTED, Status.UNKNOWN) or self.asked_at < call.sent_at:
            return self.looked(call)
        since = call.missing_since or self.asked_at
        sent_long_ago = call.sent_at + self.at.policy.call_limit + self.at.policy.visibility
        sure_at = max(since + self.at.policy.not_found_gap, sent_long_ago)
        if self.asked_at >= sure_at:
            return self.absent(call)
        soon = max(sure_at, self.at.now + self.at.policy.rung(0))
        look_at = min(self.at.now + self.at.policy.rung(call.looks + 1), soon)
        return replace(call, looks=call.looks + 1, missing_since=since, check_at=look_at)

    def absent(self, call: Call) -> Call:
        """Send it again: at once the first time, then with the pauses of the ladder."""
        pause = self.at.policy.resend_pause(call.attempts)
        again = pause if call.attempts > 1 else timedelta(0)
        return replace(
            call,
            status=Status.NOT_FOUND,
            closed_at=self.at.now,
            quiet_from=self.at.now,
            check_at=self.at.now + again,
            doubted=True,
        )

    def looked(self, call: Call) -> Call:
        """Note an answer without news, and set the next inquiry."""
        answered = not call.open and call.status is not Status.NOT_FOUND
        seen = replace(call, looks=0 if answered else call.looks + call.open)
        return replace(seen, check_at=next_look(seen, self.asked_at, self.at))


def _completed(call: Call, seen: Seen) -> Call:
    """Add what the same status tells for the first time, as of a booking that a person has filed."""
    if seen.status is not call.status:
        return call
    return replace(call, money=call.money or seen.money, locator=call.locator or seen.locator)


def _may_be(call: Call, seen: Seen) -> bool:
    """Return `False` for a refund of another sum: somebody else made it.

    A charge of another sum is ours: the provider took more or less than we asked for.
    """
    sums_tell = call.operation is Operation.REFUND and call.money and seen.money
    return not sums_tell or seen.money == call.money


def _rows(facts: Facts, operation: Operation, target: str | None) -> list[Call]:
    return [call for call in facts.of(operation) if call.target == target]


def next_look(call: Call, asked_at: datetime, at: Moment) -> datetime | None:
    """The next rung while open. Once closed, the first late inquiry after `asked_at`."""
    if call.open:
        return at.now + at.policy.rung(call.looks)
    if call.operation not in _LOOKED_AFTER and call.status is not Status.NOT_FOUND:
        return None
    return next((time for time in _late_looks(call, at.policy) if time > asked_at), None)


def _late_looks(call: Call, policy: Policy) -> Iterator[datetime]:
    assert call.quiet_from is not None  # set whenever a call closes
    doubted = call.doubted or call.status is Status.NOT_FOUND
    for after in policy.aftercare if doubted else (policy.one_look,):
        yield call.quiet_from + after


def cancel(facts: Facts) -> Facts:
    """Close a reservation for its customer. The first reason stays for ever."""
    return replace(facts, reason=facts.reason or Reason.CUSTOMER_CANCELLED)


def wake(facts: Facts, provider: Provider, now: datetime) -> Facts:
    """Inquire about all calls of a provider now, and restart the ladder: its listing may lag.

    A call at rest is in doubt then: why would its provider speak of it? The refunds of a charge are
    listed too if there were any, as the charge may not show their end.
    """
    refunded = {refund.target for refund in facts.of(Operation.REFUND) if not refund.open}
    for call in facts.calls:
        if PROVIDER_OF[call.operation] is provider and (
            call.open or call.operation in _LOOKED_AFTER
        ):
            facts = facts.put(
                replace(
                    call,
                    check_at=now,
                    looks=0,
                    quiet_from=now if call.closed_at else None,
                    doubted=call.doubted or call.check_at is None,
                    refunds_at=now if call.provider_id in refunded - {None} else call.refunds_at,
                )
            )
    return facts


def make_due(facts: Facts, provider: Provider, now: datetime) -> Facts:
    """Inquire now about what a provider has given, long after: a far look."""
    for call in facts.calls:
        known = call.operation in _LOOKED_AFTER and not call.open and call.provider_id is not None
        if known and PROVIDER_OF[call.operation] is provider:
            facts = facts.put(replace(call, check_at=now))
    return facts
