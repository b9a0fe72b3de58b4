"""The saga against two plain ledgers of providers, with lost, late and refused requests.

A state machine interleaves requests, answers, time and actions of people. It compares the facts of
the saga with the ledgers of the providers. At the end all providers are reachable and honest, and
each promise is checked.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reservations.domain.actions import Action, Sent, Settled, Verb, Wait
from reservations.domain.codes import canonical
from reservations.domain.decisions import DecisionRefusedError, nudge, resolve
from reservations.domain.facts import (
    RANK,
    Call,
    Decision,
    Facts,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Provider,
    Reason,
    Status,
)
from reservations.domain.far_looks import take_far_look
from reservations.domain.fulfilment import IssueVoucher, SendMail, begin_send, fulfil, record_send
from reservations.domain.learning import begin, cancel, record, wake
from reservations.domain.money import Money
from reservations.domain.plan import plan, settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude
from reservations.domain.words import (
    FINAL,
    NEXT_PUBLIC_STATUSES,
    NEXT_STATES,
    PublicStatus,
    Review,
    State,
)
from tests.unit.domain.plain_providers import HONEST, Fate, PlainProviders, make, total
from tests.worlds.builders import HOUR, MINUTE, NOON, PRICE, SECOND, a_reservation, a_voucher

# Aftercare ends after 72 hours. Until then no webhook is needed to keep a promise.
END = NOON + timedelta(days=2)


class Wire(Enum):
    """The fate of a request and of its answer."""

    ANSWERED = auto()
    LOST_ON_THE_WAY_THERE = auto()
    LOST_ON_THE_WAY_BACK = auto()
    REFUSED = auto()  # the request surely did not arrive
    PUT_OFF = auto()  # the same, with a `Retry-After`
    LATE_THERE = auto()
    LATE_BACK = auto()
    NEVER_RECORDED = auto()  # the worker dies with the answer
    NEVER_SENT = auto()  # the worker dies before the request


# Most requests succeed, or no run would get far.
WIRES = st.sampled_from((*[Wire.ANSWERED] * 8, *Wire))
FATES = st.sampled_from(
    (
        *[HONEST] * 4,
        Fate(status=Status.DECLINED),
        Fate(status=Status.PENDING),
        Fate(status=Status.PENDING, ends_as=Status.DECLINED),
        Fate(listed_after=45 * SECOND),
        Fate(listed_after=STANDARD.visibility),
    )
)
SUMS = st.sampled_from(
    (*[PRICE] * 4, Money(PRICE.minor - 100, PRICE.currency), Money(PRICE.minor, "USD"))
)
UNDOES = st.sampled_from((*[Status.SUCCEEDED] * 3, Status.DECLINED, Status.PENDING))
FEW = st.sampled_from((False, False, True))
MAIL_ANSWERS = st.sampled_from(
    (MailStatus.SENT, MailStatus.UNKNOWN, MailStatus.NOT_SENT, MailStatus.REFUSED)
)
STEPS_OF_TIME = st.sampled_from((SECOND, 31 * SECOND, 2 * MINUTE, 8 * MINUTE, 2 * HOUR, 12 * HOUR))

ANSWERS = {
    Review.MONEY_MISMATCH: Decision.PAID,
    Review.REFUND_REFUSED: Decision.REFUNDED,
    Review.CANCEL_REFUSED: Decision.CANCELLED,
}
REPEATS = 2  # sends of a mail without an answer
UNSURE = (MailStatus.UNKNOWN, MailStatus.NOT_SENT)
OWED_MAIL = {
    PublicStatus.CONFIRMADA: MailKind.CONFIRMED,
    PublicStatus.RECHAZADA: MailKind.REJECTED,
    PublicStatus.EXPIRADA: MailKind.EXPIRED,
    PublicStatus.CANCELADA: MailKind.CANCELLED,
}


def settled(reservation: Reservation, now: datetime) -> Reservation:
    settlement = settle(reservation, Moment(now, STANDARD))
    return replace(settlement.reservation, next_check_at=settlement.next_check_at)


class OneReservation(RuleBasedStateMachine):
    """One reservation from its creation to its rest."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.providers = PlainProviders()
        self.under_way: list[Sent] = []  # requests that may still arrive
        self.unrecorded: list[tuple[Sent, Outcome]] = []  # answers that are not recorded yet
        self.on_the_voucher: Call | None = None
        self.mails: dict[MailKind, list[MailStatus]] = {}
        self.keys: dict[tuple[Operation, str | None], str] = {}
        self.sent_at: dict[tuple[Verb, str], datetime] = {}
        self.doubled = False  # a provider made a row unasked
        self.somebody_cancelled = False
        self.reservation = settled(a_reservation(), self.now)

    @property
    def facts(self) -> Facts:
        return self.reservation.facts

    @initialize(takes=SUMS, undoes=UNDOES, steps=st.sampled_from((0, 0, 1, 2)))
    def it_begins(self, takes: Money, undoes: Status, steps: int) -> None:
        """Choose the providers, and take up to two steps without a fault."""
        self.providers = PlainProviders(takes=takes, undoes=undoes)
        for _ in range(steps):
            self._work(Wire.ANSWERED, HONEST)

    # --- our side

    @rule(wire=WIRES, fate=FATES)
    def a_worker_is_woken_in_time(self, wire: Wire, fate: Fate) -> None:
        wakes_at = self.reservation.next_check_at
        if wakes_at is not None and wakes_at < END:
            self._advance_to(wakes_at)
        self._work(wire, fate)

    @rule(wire=WIRES, fate=FATES)
    def a_worker_comes_early(self, wire: Wire, fate: Fate) -> None:
        self._work(wire, fate)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 3), fate=FATES)
    def a_late_request_arrives(self, which: int, fate: Fate) -> None:
        sent = self.under_way.pop(which % len(self.under_way))
        self.unrecorded.append((sent, self._arrive(sent, fate)))

    @precondition(lambda self: self.unrecorded)
    @rule(which=st.integers(0, 3))
    def a_late_answer_is_recorded(self, which: int) -> None:
        self._record(*self.unrecorded.pop(which % len(self.unrecorded)))

    @precondition(lambda self: not self._all_handed_over())
    @rule(status=MAIL_ANSWERS, cut_off=FEW)
    def a_document_or_mail_is_handed_over(self, status: MailStatus, cut_off: bool) -> None:
        self._hand_over(MailStatus.UNKNOWN if cut_off else status, cut_off=cut_off)

    @rule(step=STEPS_OF_TIME)
    def time_passes(self, step: timedelta) -> None:
        self._advance_to(min(self.now + step, END))

    # --- people

    @rule(sure=FEW)
    def the_customer_cancels(self, sure: bool) -> None:
        if sure:
            self._cancel()

    @rule()
    def an_operator_nudges(self) -> None:
        self.sent_at.clear()  # a person may be impatient
        self._commit(nudge(self.facts, self.now))

    @precondition(lambda self: self._answerable())
    @rule()
    def an_operator_answers_a_review(self) -> None:
        self._answer(min(self._answerable()))

    # --- changes by providers

    @rule(provider=st.sampled_from(Provider))
    def a_webhook_comes(self, provider: Provider) -> None:
        self.sent_at.clear()
        self._commit(wake(self.facts, provider, self.now))

    @precondition(lambda self: self.providers.moving())
    @rule(which=st.integers(0, 3))
    def a_pending_row_ends(self, which: int) -> None:
        moving = self.providers.moving()
        moving[which % len(moving)].end()

    @precondition(lambda self: self.providers.alive())
    @rule(sure=FEW)
    def the_supplier_cancels(self, sure: bool) -> None:
        if sure:
            self.somebody_cancelled = True
            self.providers.booking(min(self.providers.alive())).status = Status.CANCELLED

    @precondition(lambda self: self.providers.payments and not self.doubled)
    @rule(fate=FATES, money=SUMS)
    def a_second_payment_appears(self, fate: Fate, money: Money) -> None:
        self.doubled = True
        make(self.providers.payments, self.now, fate, money=money)

    @precondition(lambda self: self.providers.bookings and not self.doubled)
    @rule(fate=FATES)
    def a_second_booking_appears(self, fate: Fate) -> None:
        self.doubled = True
        make(self.providers.bookings, self.now, fate)

    # --- invariants

    @invariant()
    def one_charge_of_ours_at_most_is_ever_taken(self) -> None:
        ours = [made for made in self.providers.payments if made.key is not None]
        assert len([made for made in ours if made.status is Status.SUCCEEDED]) <= 1
        assert len([made for made in self.providers.bookings if made.key is not None]) <= 1

    @invariant()
    def nothing_is_refunded_twice(self) -> None:
        targets = [made.target for made in self.providers.refunds]
        assert len(targets) == len(set(targets))
        assert all(minor > 0 for minor in self.providers.balance().values())

    @invariant()
    def confirmed_means_code_payment_and_confirmation(self) -> None:
        confirmed = self.reservation.standing.public_status is PublicStatus.CONFIRMADA
        assert confirmed == (self.reservation.standing.state is State.SUPPLIER_CONFIRMED)
        if not confirmed:
            return
        booking = self.reservation.standing.kept_booking
        assert booking is not None
        assert canonical(self.reservation.code) == self.reservation.code
        assert any(made.money in self._right_sums() for made in self.providers.kept())
        made = self.providers.booking(booking.provider_id)
        assert made.status in (Status.SUCCEEDED, Status.CANCELLED)  # its end may not be known

    @invariant()
    def a_mail_is_sent_again_only_while_its_answer_is_unknown(self) -> None:
        for answers in self.mails.values():
            assert all(answer in UNSURE for answer in answers[:-1])
            assert answers[:-1].count(MailStatus.UNKNOWN) < REPEATS

    @invariant()
    def an_open_call_is_inquired_about_again(self) -> None:
        unknown = any(call.open or call.check_at is not None for call in self.facts.calls)
        at_rest = self.reservation.standing.state in {*FINAL, State.SUPPLIER_CONFIRMED}
        if unknown or not at_rest or self._reviews() or not self._all_handed_over():
            assert self.reservation.next_check_at is not None

    # --- promises at the end

    def teardown(self) -> None:
        """Let providers be reachable, pending rows end, and time go on."""
        for sent, outcome in self.unrecorded:
            self._record(sent, outcome)
        self.under_way, self.unrecorded = [], []
        self._live_on()
        self._check_the_end()
        while decisions := self._answerable():
            self._answer(min(decisions))
            self._live_on()
        self._check_the_end()
        assert not self._reviews(), self.facts
        assert self.reservation.next_check_at is None

    def _live_on(self) -> None:
        """Take steps until rest, or until only a person can go on."""
        for _ in range(100):
            while not self._all_handed_over():
                self._hand_over(MailStatus.SENT)
            parked, wakes_at = self._only_a_person_can_go_on(), self.reservation.next_check_at
            if parked or wakes_at is None:
                if self.reservation.next_look_at is None:
                    return
                self._take_far_look()
                continue
            self.now = max(self.now, wakes_at)
            for made in self.providers.moving():
                made.end()
            self._work(Wire.ANSWERED, HONEST)
        raise AssertionError(f"no rest: {self.reservation}")

    def _take_far_look(self) -> None:
        assert self.reservation.next_look_at is not None
        self.now = max(self.now, self.reservation.next_look_at)
        self.reservation = take_far_look(self.reservation, Moment(self.now, STANDARD))
        self._commit(self.facts)

    def _only_a_person_can_go_on(self) -> bool:
        no_call_is_due = all(call.check_at is None for call in self.facts.calls)
        return bool(self._reviews()) and no_call_is_due and self._owes_no_mail()

    def _owes_no_mail(self) -> bool:
        return isinstance(fulfil(self.reservation, self.now), Settled)

    def _check_the_end(self) -> None:
        state, in_review = self.reservation.standing.state, self._reviews()
        assert Review.DEADLINE not in in_review
        assert state in {*FINAL, State.SUPPLIER_CONFIRMED} or in_review, state
        owed = total([(money, 1) for money in self._money_we_may_keep()])
        assert self.providers.balance() == owed, (state, in_review)
        confirmed, alive = state is State.SUPPLIER_CONFIRMED, self.providers.alive()
        if Review.CANCEL_REFUSED not in in_review:
            kept = self.reservation.standing.kept_booking
            assert alive == ({kept.provider_id} if confirmed and kept else set())
        assert self.reservation.voucher is not None or not confirmed
        self._check_mails()

    def _check_mails(self) -> None:
        word = self.reservation.standing.public_status
        owed = [OWED_MAIL[word]] if word in OWED_MAIL else []
        refused = word in (PublicStatus.RECHAZADA, PublicStatus.EXPIRADA)
        if refused and self.reservation.standing.state is State.REFUNDED:
            owed.append(MailKind.REFUNDED)
        for kind in owed:
            sure = self.mails[kind][-1] not in UNSURE
            assert sure or self.mails[kind].count(MailStatus.UNKNOWN) == REPEATS, kind

    def _money_we_may_keep(self) -> Iterator[Money | None]:
        """The price of a confirmed trip. Money kept beside it needs a review."""
        in_review, kept = self._reviews(), self.reservation.standing.kept_charge
        if self.reservation.standing.state is State.SUPPLIER_CONFIRMED:
            yield Money(self.facts.accepted_minor or PRICE.minor, PRICE.currency)
        elif kept is not None and Review.MONEY_MISMATCH in in_review:
            yield kept.money
        refused = self._refused(Operation.REFUND)
        others = [
            charge
            for charge in self.reservation.standing.held_charges
            if charge.provider_id not in refused
        ]
        for charge in self.reservation.standing.held_charges:
            if charge.provider_id in refused:
                yield charge.money
        if Review.CANCEL_REFUSED in in_review and self.facts.reason is not None:
            yield from (charge.money for charge in others[:1])  # it takes one payment, not all

    # --- steps and transactions

    def _work(self, wire: Wire, fate: Fate) -> None:
        """Do the action that is due as a step does: plan, write down, send, record."""
        before = self.facts
        at = Moment(self.now, STANDARD)
        concluded = conclude(self.reservation.standing, at)
        self.reservation = replace(self.reservation, facts=concluded.facts)
        self._check_growth(before, self.facts)
        action = plan(concluded, at)
        if isinstance(action, Action):
            self._check_begun(action)
            self._commit(begin(self.facts, action, at))
            attempt = self.facts.row(action.key).attempts
            self._travel(Sent(action=action, at=self.now, attempt=attempt), wire, fate)
        else:
            self._commit(self.facts)

    def _travel(self, sent: Sent, wire: Wire, fate: Fate) -> None:
        match wire:
            case Wire.ANSWERED:
                self._record(sent, self._arrive(sent, fate))
            case Wire.LOST_ON_THE_WAY_THERE:
                self._record(sent, NoAnswer())
            case Wire.LOST_ON_THE_WAY_BACK:
                self._arrive(sent, fate)
                self._record(sent, NoAnswer())
            case Wire.REFUSED:
                self._record(sent, NotSent())
            case Wire.PUT_OFF:
                self._record(sent, NotSent(retry_after_s=60))
            case Wire.LATE_THERE:
                self.under_way.append(sent)
            case Wire.LATE_BACK:
                self.unrecorded.append((sent, self._arrive(sent, fate)))
            case Wire.NEVER_RECORDED:
                self._arrive(sent, fate)
            case Wire.NEVER_SENT:
                pass

    def _arrive(self, sent: Sent, fate: Fate) -> Outcome:
        return self.providers.perform(sent.action, self.now, fate)

    def _record(self, sent: Sent, outcome: Outcome) -> None:
        self._commit(record(self.facts, sent, outcome, Moment(self.now, STANDARD)))

    def _advance_to(self, moment: datetime) -> None:
        """Drop the requests that are still on their way after their time limit."""
        self.now = max(self.now, moment)
        oldest = self.now - STANDARD.call_limit
        self.under_way = [sent for sent in self.under_way if sent.at >= oldest]

    def _all_handed_over(self) -> bool:
        return isinstance(fulfil(self.reservation, self.now), Wait | Settled)

    def _hand_over(self, status: MailStatus, *, cut_off: bool = False) -> None:
        match fulfil(self.reservation, self.now):
            case IssueVoucher():
                self.on_the_voucher = self.reservation.standing.kept_booking
                self._keep(replace(self.reservation, documents=(a_voucher(),)))
            case SendMail(kind):
                assert self.reservation.voucher or kind is not MailKind.CONFIRMED
                self.mails.setdefault(kind, []).append(status)
                begun = begin_send(self.reservation, kind, Moment(self.now, STANDARD))
                heard = record_send(begun, kind, status, Moment(self.now, STANDARD))
                self._keep(begun if cut_off else heard)

    def _commit(self, facts: Facts) -> None:
        self._keep(replace(self.reservation, facts=facts))

    def _keep(self, reservation: Reservation) -> None:
        """Settle and check the change, at the end of each transaction."""
        before = self.facts
        self.reservation = settled(reservation, self.now)
        self._check_growth(before, self.facts)
        self._check_timer()

    # --- operators

    def _reviews(self) -> frozenset[Review]:
        return self.reservation.standing.reviews(self.now)

    def _answerable(self) -> list[Decision]:
        """The decisions open to an operator. None while the provider may still answer."""
        in_review = self._reviews()
        if Review.DEADLINE in in_review:
            return []
        return [decision for review, decision in ANSWERS.items() if review in in_review]

    def _answer(self, decision: Decision) -> None:
        """Decide, and do by hand what the decision attests. Cancel if it cannot be accepted."""
        question = self._in_question(decision)
        target = question.provider_id if question else None
        try:
            facts = resolve(self.facts, decision, "E-1", Moment(self.now, STANDARD), target=target)
        except DecisionRefusedError:
            self._cancel()
            return
        if decision is Decision.REFUNDED and question and question.money:
            self.providers.by_hand.append(question.money)
        if decision is Decision.CANCELLED and target:
            self.providers.booking(target).status = Status.CANCELLED
        self._commit(facts)

    def _in_question(self, decision: Decision) -> Call | None:
        """The first payment or booking with a refused undoing."""
        match decision:
            case Decision.REFUNDED:
                standing, undoing = self.reservation.standing.held_charges, Operation.REFUND
            case Decision.CANCELLED:
                standing = self.reservation.standing.live_bookings
                undoing = Operation.CANCEL_BOOKING
            case _:
                return None
        refused = self._refused(undoing)
        return next((call for call in standing if call.provider_id in refused), None)

    def _cancel(self) -> None:
        self.somebody_cancelled = True
        self._commit(cancel(self.facts))

    def _refused(self, operation: Operation) -> set[str | None]:
        calls = self.facts.of(operation)
        return {call.target for call in calls if call.status is Status.DECLINED}

    # --- rules of a transaction

    def _check_growth(self, before: Facts, after: Facts) -> None:
        """Knowledge only grows. Statuses and states change only as declared."""
        for old in before.calls:
            new = after.row(old.key)
            _check_call(old, new)
            if new.status is Status.NOT_FOUND and old.status is not Status.NOT_FOUND:
                assert not self.providers.have(old.key), f"{old.key} is there"
        for once in ("reason", "confirmed_at", "ended_at"):
            assert getattr(before, once) in (None, getattr(after, once)), once
        was, now = Standing(before).state, Standing(after).state
        assert now is was or now in NEXT_STATES[was], f"{was} became {now}"
        said, says = Standing(before).public_status, Standing(after).public_status
        assert says is said or says in NEXT_PUBLIC_STATUSES[said], f"{said} became {says}"
        if says is not said and says in (PublicStatus.RECHAZADA, PublicStatus.EXPIRADA):
            self._check_refusal(after)
        unsaid = said is PublicStatus.CONFIRMADA and says is not said
        assert self.somebody_cancelled or not unsaid, "no longer confirmed without a cancellation"

    def _check_refusal(self, facts: Facts) -> None:
        """A reservation with a known payment or booking is not rejected and does not expire."""
        assert all(call.status is not Status.UNKNOWN for call in facts.of(Operation.CHARGE))
        rejected = facts.reason is Reason.SUPPLIER_REJECTED
        ledger = self.providers.bookings if rejected else self.providers.payments
        for made in ledger if not self.doubled else []:
            listed_long_ago = made.listed_from <= self.now - STANDARD.visibility
            assert made.status is not Status.SUCCEEDED or not listed_long_ago, made

    def _check_timer(self) -> None:
        wakes_at = self.reservation.next_check_at
        if wakes_at is None:
            return
        looks = [call.check_at for call in self.facts.calls if call.check_at is not None]
        latest = max(self.now + STANDARD.hint_lease, min(looks, default=wakes_at))
        assert self.now < wakes_at <= latest

    def _check_begun(self, action: Action) -> None:
        if action.verb is not Verb.INQUIRE:
            self._check_key(action)
        closed = self.facts.reason is not None
        match action.verb:
            case Verb.CHARGE:
                assert not closed
            case Verb.BOOK:
                assert not closed
                assert any(made.money in self._right_sums() for made in self.providers.kept())
            case Verb.REFUND if closed:
                known = {call.provider_id for call in self.facts.of(Operation.BOOK)}
                spared = {c.provider_id for c in self.reservation.standing.held_charges}
                spared -= {refund.target for refund in self.facts.of(Operation.REFUND)}
                assert spared or not known & self.providers.alive(), "refunds a live booking"
            case Verb.REFUND:
                self._check_surplus(action)
            case Verb.CANCEL_BOOKING if self.on_the_voucher is not None:
                assert closed or action.target != self.on_the_voucher.provider_id
            case Verb.VOID if not closed and self.reservation.standing.kept_charge is None:
                assert self.now >= self.facts.row(action.key).sent_at + STANDARD.hold

    def _check_key(self, action: Action) -> None:
        """Each operation has one key, and no request is repeated without a pause."""
        if action.verb is not Verb.VOID:
            assert action.key.endswith(f":{action.target or self.facts.reservation_id}")
        assert self.keys.setdefault((action.operation, action.target), action.key) == action.key
        before = self.sent_at.get((action.verb, action.key))
        assert before is None or self.now >= before + STANDARD.rung(0)
        self.sent_at[action.verb, action.key] = self.now

    def _check_surplus(self, action: Action) -> None:
        """While the trip is confirmed, the charge that pays for it is not refunded."""
        stays = [made for made in self.providers.kept() if made.provider_id != action.target]
        assert stays, "refunds all the money"
        if action.money in self._right_sums():
            assert any(made.money in self._right_sums() for made in stays)

    def _right_sums(self) -> set[Money]:
        """The price, and the amount that an operator accepted in its place."""
        return {PRICE, Money(self.facts.accepted_minor or PRICE.minor, PRICE.currency)}


def _check_call(old: Call, new: Call) -> None:
    sent_again = old.status is Status.NOT_FOUND and new.attempts == old.attempts + 1
    assert sent_again or RANK[new.status] >= RANK[old.status], f"{old} became {new}"
    assert old.provider_id in (None, new.provider_id), f"{old} became {new}"


TestOneReservation = OneReservation.TestCase
# Without shrinking: a run of thirty steps takes longer to shrink than a test may last.
TestOneReservation.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
