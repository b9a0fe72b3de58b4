"""One reservation on a clock of its own, and providers whose rows a test changes by hand.

The story does what the functions do: plan, write down, ask, record, settle. Requests take a second.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reservations.domain.actions import Action, Send, Sent, Settled, Verb, Wait
from reservations.domain.decisions import resolve
from reservations.domain.facts import (
    Contradiction,
    Decision,
    Facts,
    Kind,
    Listing,
    Operation,
    Outcome,
    Provider,
    Seen,
    Status,
)
from reservations.domain.fulfilment import IssueVoucher, SendMail, begin_send, fulfil, record_send
from reservations.domain.history import changes
from reservations.domain.learning import begin, cancel, record, wake
from reservations.domain.money import Money
from reservations.domain.plan import plan, settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.views import View, view
from reservations.domain.words import PublicStatus, Review, State
from tests.worlds.builders import NOON, PRICE, SECOND, a_reservation, a_voucher

REFUSED = Status.DECLINED
Answer = Callable[[Action], Outcome | None]


def _perform_all(_: Action) -> None:
    return None


@dataclass(slots=True)
class ChangingProviders:
    """Payments, refunds by payment, and bookings as their providers list them.

    `instead` may give another outcome of a request: the request has no effect then.
    """

    payments: list[Seen] = field(default_factory=list)
    refunds: dict[str, list[Seen]] = field(default_factory=dict)
    bookings: list[Seen] = field(default_factory=list)
    instead: Answer = _perform_all

    def answer(self, action: Action) -> Outcome:
        scripted = self.instead(action)
        if scripted is not None:
            return scripted
        match action.verb:
            case Verb.CHARGE:
                return self._charge(action.money or PRICE)
            case Verb.REFUND:
                return self.refund(str(action.target), action.money or PRICE)
            case Verb.BOOK:
                return self._book()
            case Verb.CANCEL_BOOKING:
                return self._cancel(str(action.target))
            case _:
                return self._listing(action)

    def _charge(self, money: Money) -> Seen:
        made = Seen(
            provider_id=f"pay_{len(self.payments) + 1}", status=Status.SUCCEEDED, money=money
        )
        self.payments.append(made)
        return replace(made, refunded_minor=0)

    def refund(self, payment: str, money: Money) -> Seen:
        """Refund a payment, for us or by hand."""
        count = sum(map(len, self.refunds.values()))
        made = Seen(provider_id=f"re_{count + 1}", status=Status.SUCCEEDED, money=money)
        self.refunds.setdefault(payment, []).append(made)
        return made

    def _book(self) -> Seen:
        made = Seen(
            provider_id=f"bk_{len(self.bookings) + 1}",
            status=Status.SUCCEEDED,
            money=PRICE,
            locator="HOTEL-77",
        )
        self.bookings.append(made)
        return made

    def _cancel(self, booking: str) -> Seen:
        self.set_booking(booking, status=Status.CANCELLED)
        return Seen(provider_id=booking, status=Status.SUCCEEDED)

    def _listing(self, action: Action) -> Listing:
        match action.operation:
            case Operation.REFUND:
                return Listing.of(self.refunds.get(str(action.target), []))
            case Operation.CHARGE:
                return Listing.of(map(self._with_its_refunds, self.payments))
            case _:
                return Listing.of(self.bookings)

    def _with_its_refunds(self, payment: Seen) -> Seen:
        """A payment that tells the total of its refunds, unless the test made it tell another."""
        if payment.refunded_minor is not None:
            return payment
        done = [
            r for r in self.refunds.get(payment.provider_id, []) if r.status is Status.SUCCEEDED
        ]
        return replace(payment, refunded_minor=sum(r.money.minor for r in done if r.money))

    # --- changes by hand

    def set_payment(self, subject: str, /, **changes: object) -> None:
        self.payments = _changed(self.payments, subject, changes)

    def set_booking(self, subject: str, /, **changes: object) -> None:
        self.bookings = _changed(self.bookings, subject, changes)

    def set_refund(self, subject: str, /, **changes: object) -> None:
        self.refunds = {
            payment: _changed(rows, subject, changes) for payment, rows in self.refunds.items()
        }


def _changed(rows: list[Seen], subject: str, changes: dict[str, object]) -> list[Seen]:
    return [
        replace(row, **changes) if row.provider_id == subject else row  # type: ignore[arg-type]
        for row in rows
    ]


@dataclass(slots=True)
class Story:
    """A reservation from its creation on. `sends`, `events` and `mails` hold what has happened."""

    providers: ChangingProviders = field(default_factory=ChangingProviders)
    now: datetime = NOON
    reservation: Reservation = field(default_factory=a_reservation)
    asked: list[tuple[datetime, Action]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    mails: list[MailKind] = field(default_factory=list)

    # --- what has happened

    @property
    def facts(self) -> Facts:
        return self.reservation.facts

    @property
    def at(self) -> Moment:
        return Moment(self.now, STANDARD)

    @property
    def view(self) -> View:
        return view(self.reservation, self.at)

    @property
    def status(self) -> PublicStatus:
        return self.reservation.standing.public_status

    @property
    def state(self) -> State:
        return self.reservation.standing.state

    @property
    def reviews(self) -> frozenset[Review]:
        return self.reservation.standing.reviews(self.now)

    @property
    def sends(self) -> list[Send]:
        return [action for _, action in self.asked if isinstance(action, Send)]

    @property
    def verbs(self) -> list[Verb]:
        """The requests that may move money or a booking."""
        return [send.verb for send in self.sends]

    @property
    def last(self) -> Contradiction:
        return self.facts.contradictions[-1]

    def opened(self, kind: Kind) -> list[Contradiction]:
        rows = self.facts.contradictions
        return [row for row in rows if row.kind is kind and row.opened_at is not None]

    def forget(self) -> None:
        """Forget what has happened, so that a test sees only what follows."""
        self.asked, self.events, self.mails = [], [], []

    # --- time

    def run(self, time: timedelta) -> None:
        """Do all that comes due within `time`."""
        end = self.now + time
        while self._moves(before=end):
            pass
        self.now = max(self.now, end)

    def _moves(self, *, before: datetime) -> bool:
        settlement = settle(self.reservation, self.at)
        self._put(settlement.reservation)
        if settlement.hints:
            self._act()
            return True
        due = settlement.next_check_at
        if due is None or due > before:
            return False
        assert due > self.now, "no hint, and no time to wait for"
        self.now = due
        return True

    def _act(self) -> None:
        action = plan(self.reservation.standing, self.at)
        if not isinstance(action, Wait | Settled):
            self._ask(action)
        match fulfil(self.reservation, self.now):
            case IssueVoucher():
                voucher = a_voucher(issued_at=self.now)
                self._put(replace(self.reservation, documents=(voucher,)))
            case SendMail(kind):
                self.mails.append(kind)
                begun = begin_send(self.reservation, kind, self.at)
                self._put(record_send(begun, kind, MailStatus.SENT, self.at))

    def _ask(self, action: Action) -> None:
        self.asked.append((self.now, action))
        self._put_facts(begin(self.facts, action, self.at))
        attempt = self.facts.row(action.key).attempts
        sent = Sent(action=action, at=self.now, attempt=attempt)
        outcome = self.providers.answer(action)
        self.now += SECOND
        self._put_facts(record(self.facts, sent, outcome, self.at))

    def _put_facts(self, facts: Facts) -> None:
        self._put(replace(self.reservation, facts=facts))

    def _put(self, after: Reservation) -> None:
        after = settle(after, self.at).reservation
        self.events += changes(self.reservation, after)
        self.reservation = after

    # --- news from outside

    def webhook(self) -> None:
        """Both providers say that something happened; all that is due then follows."""
        for provider in Provider:
            self._put_facts(wake(self.facts, provider, self.now))
        self.run(timedelta(0))

    def cancel(self) -> None:
        self._put_facts(cancel(self.facts))

    def decide(
        self, decision: Decision, evidence: str = "TICKET-1", *, target: str | None = None
    ) -> None:
        self._put_facts(resolve(self.facts, decision, evidence, self.at, target=target))
