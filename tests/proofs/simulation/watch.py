"""The promises after every commit and at the end, written independently of the code."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NoReturn, Protocol

from reservations.domain.facts import Call, Decision, Operation, Reason, Status
from reservations.domain.messages import Hint
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import Customer, MailKind, MailSend, MailStatus, Reservation
from reservations.domain.standing import Standing
from reservations.domain.views import at_rest, view
from reservations.domain.words import Review, State
from tests.proofs.hostile.rows import Kind, Row
from tests.proofs.simulation.heard import Heard
from tests.proofs.simulation.promises import Promises
from tests.proofs.simulation.providers import Party, Providers, money_of
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.services import Queues, SimulatedMailer, SimulatedStore
from tests.worlds.fakes import InMemoryDatabase, glance_of

MAY_BECOME = {
    "EN PROCESO": {"CONFIRMADA", "RECHAZADA", "EXPIRADA", "EN CANCELACION", "CANCELADA"},
    "CONFIRMADA": {"EN CANCELACION", "CANCELADA"},
    "EN CANCELACION": {"CANCELADA"},
}
ENDED = {
    State.PAYMENT_FAILED,
    State.EXPIRED,
    State.CANCELLED,
    State.REFUNDED,
}
OWED = {
    "CONFIRMADA": MailKind.CONFIRMED,
    "RECHAZADA": MailKind.REJECTED,
    "EXPIRADA": MailKind.EXPIRED,
    "CANCELADA": MailKind.CANCELLED,
}
ENDINGS = ("RECHAZADA", "EXPIRADA", "CANCELADA")
KNOWN_SENDS = (MailStatus.SENT, MailStatus.REFUSED)
FORWARD = (Operation.CHARGE, Operation.BOOK)
LISTED_LONG_AGO = timedelta(minutes=5)
LEASE = timedelta(seconds=30)
LONGEST_LEASE = timedelta(minutes=5)  # while no worker has taken the hint
LEASE_OF_A_LOOK = timedelta(hours=1)  # at what is closed
A_WEEK = timedelta(days=7)
QUARTER_OF_AN_HOUR = timedelta(minutes=15)


class World(Protocol):
    """The parts of the world that are watched."""

    database: InMemoryDatabase
    providers: Providers
    answers: Heard
    promises: Promises
    queues: Queues
    store: SimulatedStore
    mailer: SimulatedMailer
    interrupted: set[str]  # addresses that may get a mail twice: a crash fell inside a send
    attested: set[str]  # bookings that an operator attested
    turned: dict[tuple[str, str], datetime]  # last changes of word, by reference and service
    nudged: Counter[str]  # nudges by address: each allows one more copy

    @property
    def now(self) -> datetime: ...

    @property
    def created(self) -> list[Party]: ...


class Watch:
    """Raises a violation at the first broken promise."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shown: dict[str, str] = {}  # the booking on the voucher

    # --- after every commit

    def committed(
        self,
        party: Party,
        old: Reservation | None,
        new: Reservation,
        *,
        saved_at: datetime | None,
    ) -> None:
        """Check a reservation that a transaction has just written. `saved_at` is `None` for a lease."""
        if old is not None:
            self._check_word(party, old, new)
        self._check_confirmation(party, new)
        self._check_own_charges(new)
        if old is None or saved_at is None:
            return
        _check_version(old, new, saved_at)
        nothing_new = (old.facts, old.documents, old.sends) == (new.facts, new.documents, new.sends)
        _check_rest(new, saved_at, lease=_longest_lease(new, saved_at) if nothing_new else LEASE)
        for now in (saved_at, self._world.now, saved_at + timedelta(days=1)):
            _check_glance(new, now, written_at=saved_at)
        _check_token(new, self._world.database.customers[new.reservation_id])
        for call in _begun(old, new):
            self._check_begun(party, call, new)
        self._check_voids(old, new)
        confirmed = new.standing.state is State.SUPPLIER_CONFIRMED
        first = not old.documents or party.moved_from is not None
        if len(new.documents) > len(old.documents) and not (confirmed and first):
            fail("voucher", f"issued in {new.standing.state}, beside {len(old.documents)}")

    def hinted(self, party: Party, hints: Iterable[Hint]) -> None:
        """Check hints that a transaction has just stored."""
        for hint in hints:
            if hint.reservation_id != party.reservation_id:
                fail("privacy", "a hint about another reservation")
            _check_privacy(f"{hint.type} {hint.traceparent}", party)

    def _check_word(self, party: Party, old: Reservation, new: Reservation) -> None:
        before, after = old.standing.public_status, new.standing.public_status
        if before == after:
            return
        if after not in MAY_BECOME.get(before, ()):
            fail("words", f"{before} became {after}")
        asked = party.asked_to_cancel or party.let_go or self._supplier_cancelled(new)
        if before == "CONFIRMADA" and not asked:
            fail("words", "no longer CONFIRMADA without a cancellation")
        if after == "EN CANCELACION" and not asked:
            fail("words", "EN CANCELACION without a cancellation")
        if after in ("RECHAZADA", "EXPIRADA"):
            self._check_refusal(party, new)

    def _supplier_cancelled(self, new: Reservation) -> bool:
        """`True` if the supplier told of a booking that it is cancelled."""
        heard, reference = self._world.answers, new.reservation_id
        bookings = new.standing.bookings
        ids = (booking.provider_id for booking in bookings)
        return any("cancelled" in heard.statuses(reference, Kind.BOOKING, an_id) for an_id in ids)

    def _check_refusal(self, party: Party, new: Reservation) -> None:
        """Check that no reservation with a listed payment or booking is refused."""
        if any(c.status is Status.UNKNOWN for c in new.facts.of(Operation.CHARGE)):
            fail("words", "refused with an unknown charge")
        rejected = new.facts.reason is Reason.SUPPLIER_REJECTED
        rows = self._bookings(new) if rejected else self._payments(new)
        known_by = self._world.now - LISTED_LONG_AGO
        wrong = [
            row for row in rows if row.good and row.listed_from <= known_by and not row.misreported
        ]
        if wrong and str(new.reservation_id) not in self._world.providers.repeated:
            fail("words", f"refused although {wrong[0]}")

    def _check_confirmation(self, party: Party, new: Reservation) -> None:
        """Check: CONFIRMADA if and only if we have the money and a booking, always the same one."""
        confirmed = new.standing.public_status == "CONFIRMADA"
        if confirmed != (new.standing.state is State.SUPPLIER_CONFIRMED):
            fail("confirmed", f"{new.standing.public_status} in {new.standing.state}")
        paid = _not_given_back(new, Operation.CHARGE, Operation.REFUND)
        booked = _not_given_back(new, Operation.BOOK, Operation.CANCEL_BOOKING)
        if confirmed != (new.facts.reason is None and bool(paid) and bool(booked)):
            fail("confirmed", f"{new.standing.public_status} with {paid} and {booked}")
        if confirmed:
            self._check_truth(party, new)

    def _check_truth(self, party: Party, new: Reservation) -> None:
        if not any(self._was_paid(new, row) for row in self._payments(new)):
            fail("confirmed", "without a payment")
        booking = new.standing.kept_booking
        shown = booking.provider_id if booking and booking.provider_id else ""
        before = self._shown.get(party.name)
        moved = before in (None, shown, party.moved_from) or before in self._world.attested
        if not moved and self._booking(before).good:
            fail("confirmed", f"the voucher has {before}, which is alive, but we show {shown}")
        self._shown[party.name] = shown
        if shown in self._world.attested:
            return
        told = self._told_in_any_case(new, shown)
        if not told & {"confirmed", "cancelled"}:
            fail("confirmed", f"by {self._booking(shown)}, told as {sorted(told)}")

    def _told_in_any_case(self, new: Reservation, shown: str) -> set[str]:
        """Every status that we heard of a booking: its id in another case is the same id."""
        booking, heard = self._booking(shown), self._world.answers
        ids = {shown} | {i for i in [*booking.former_ids, booking.id] if i.lower() == shown.lower()}
        return set().union(*(heard.statuses(new.reservation_id, Kind.BOOKING, i) for i in ids))

    def _was_paid(self, new: Reservation, row: Row) -> bool:
        """`True` if payments told of that row that it succeeded."""
        return "succeeded" in self._was_told(new, row)

    def _was_told(self, new: Reservation, row: Row) -> set[str]:
        """Every status that we heard of a row, under each of its ids."""
        heard, reference = self._world.answers, new.reservation_id
        ids = (row.id, *row.former_ids)
        return set().union(*(heard.statuses(reference, row.kind, an_id) for an_id in ids))

    def _booking(self, provider_id: str | None) -> Row:
        booking = self._world.providers.supplier.find(provider_id, Kind.BOOKING)
        if booking is None:
            fail("confirmed", f"by {provider_id}, which never was")
        return booking

    def _payments(self, new: Reservation) -> list[Row]:
        rows = self._world.providers.payments.of(new.reservation_id, Kind.PAYMENT)
        return [row for row in rows if self._discoverable(new, row)]

    def _discoverable(self, new: Reservation, row: Row) -> bool:
        """`False` for a row that its provider kept from us, and no person attested."""
        known = not row.misreported or row.id in self._world.attested
        return known or bool(self._was_told(new, row) & {"succeeded", "confirmed"})

    def _refunds(self, new: Reservation) -> list[Row]:
        """The refunds, but of a payment that was kept from us."""
        rows = self._world.providers.payments.of(new.reservation_id, Kind.REFUND)
        return [row for row in rows if row.payment and self._discoverable(new, row.payment)]

    def _bookings(self, new: Reservation) -> list[Row]:
        rows = self._world.providers.supplier.of(new.reservation_id, Kind.BOOKING)
        return [row for row in rows if self._discoverable(new, row)]

    def _check_own_charges(self, new: Reservation) -> None:
        ours = [row for row in self._payments(new) if row.key and row.good]
        if len(ours) > 1:
            fail("twice", f"{len(ours)} charges of ours succeeded")

    def _check_begun(self, party: Party, call: Call, new: Reservation) -> None:
        closed = new.facts.reason is not None
        if closed and call.operation in FORWARD:
            fail("closing", f"{call.key} started after {new.facts.reason}")
        if call.operation is Operation.BOOK and not self._paid_in_full(new):
            fail("money", "booked without the money")
        if call.operation is Operation.REFUND and closed and self._known_alive(new):
            given_back = {refund.target for refund in new.facts.of(Operation.REFUND)}
            if all(charge.provider_id in given_back for charge in new.standing.held_charges):
                fail("money", "all is refunded while a known booking is alive")
        kept = new.standing.kept_charge
        right = _right_sums(new)
        gives_back = call.operation is Operation.REFUND and call.money in right
        if gives_back and kept is not None and kept.money not in right:
            fail("money", f"refunds the price and keeps {kept.money}")
        confirmed = new.standing.state is State.SUPPLIER_CONFIRMED
        if (
            call.operation is Operation.CANCEL_BOOKING
            and confirmed
            and call.target == self._shown.get(party.name)
        ):
            fail("service", "cancels the booking on the voucher")

    def _paid_in_full(self, new: Reservation) -> bool:
        right = _right_sums(new)
        said = (
            told
            for row in self._payments(new)
            for an_id in (row.id, *row.former_ids)
            for told in self._world.answers.said(new.reservation_id, Kind.PAYMENT, an_id)
        )
        sums = {
            (told["amount"], told["currency"]) for told in said if told["status"] == "succeeded"
        }
        return any(money and (money.amount, money.currency) in sums for money in right)

    def _known_alive(self, new: Reservation) -> bool:
        known = {booking.provider_id for booking in new.facts.of(Operation.BOOK)}
        return any(
            row.good and row.id in known and "cancelled" not in self._was_told(new, row)
            for row in self._bookings(new)
        )

    def _check_voids(self, old: Reservation, new: Reservation) -> None:
        for call in new.facts.calls:
            before = old.facts.find(call.key)
            asked_now = call.void_asked and not (before and before.void_asked)
            wanted = new.facts.reason is None and new.standing.kept_charge is None
            if asked_now and wanted and self._world.now < call.sent_at + QUARTER_OF_AN_HOUR:
                fail("hold", "voided before its quarter of an hour ended")

    # --- at the end

    def at_end(self, *, far: bool) -> None:
        """Check the whole world once nothing is due any more, the `far` looks perhaps apart."""
        database = self._world.database
        if any(row.status == "pending" for row in database.outbox.values()):
            fail("silence", "a hint is still in the outbox")
        if database.held:
            fail("silence", "a lock is still held")
        for party in self._world.created:
            assert party.reservation_id is not None
            reservation = database.reservations[party.reservation_id]
            self._check_end_of(party, reservation, far=far)

    def nothing_in_review(self) -> None:
        """Check that operators could resolve every review."""
        for new in self._world.database.reservations.values():
            if reasons := new.standing.reviews(self._world.now):
                fail("review", f"{sorted(reasons)} could not be resolved")

    def _check_end_of(self, party: Party, new: Reservation, *, far: bool) -> None:
        state, reasons = new.standing.state, new.standing.reviews(self._world.now)
        doubted = any(row.open for row in new.facts.contradictions)
        overdue = [c for c in new.standing.awaited if c.deadline_at <= self._world.now]
        untold = all(self._is_untold(call) or self._is_to_be_told(new, call) for call in overdue)
        if Review.DEADLINE in reasons and not (doubted or untold):
            fail("silence", "a call is still open at the end")
        if new.next_check_at is None:
            _check_rest(new, self._world.now)
        elif not reasons:
            fail("silence", f"ends unsettled in {state}")
        if state is not State.SUPPLIER_CONFIRMED and state not in ENDED and not reasons:
            fail("silence", f"ends in {state}")
        self._world.promises.at_rest(new)
        other_money, other_service = self._world.promises.excuses(new, reasons)
        # Only a far look finds what nobody announced.
        if far and not (other_money or party.loss_accepted):
            self._check_money(new, reasons)
        if far and not (other_service or party.loss_accepted):
            self._check_service(new, reasons)
        self._check_voucher(party, new)
        self._check_mails(party, new)
        self._check_history(party, new)

    def _is_untold(self, call: Call) -> bool:
        """`True` for a call whose end its provider never tells, so that a person has to ask.

        Its row is gone, hidden or has another id. Or it is a cancellation that was pending with its
        booking, which is confirmed now: that refuses it, but not in so many words.
        """
        providers, charge = self._world.providers, call.operation is Operation.CHARGE
        an_id = call.target or call.provider_id
        service, kind = (
            (providers.payments, Kind.PAYMENT) if charge else (providers.supplier, Kind.BOOKING)
        )
        row = service.find(an_id, kind)
        if row is None or call.status is Status.SUCCEEDED or call.operation is Operation.REFUND:
            return False
        refused = call.operation is Operation.CANCEL_BOOKING and row.good
        return refused or row.id != an_id or not row.shown(self._world.now)

    def _is_to_be_told(self, new: Reservation, call: Call) -> bool:
        """`True` if the supplier answered a pending booking after our last inquiry, and another is due."""
        key = str(new.reservation_id)
        turned = self._world.turned.get((key, "supplier"))
        told = self._world.answers.listed.get((key, Kind.BOOKING))
        later = turned is not None and (told is None or told.at < turned)
        return call.operation is Operation.BOOK and call.check_at is not None and later

    def _check_money(self, new: Reservation, reasons: frozenset[Review]) -> None:
        """Check that charges minus refunds equal the price due, unless a review explains the rest."""
        kept: Counter[str] = Counter()
        for row in self._payments(new):
            _count(kept, money_of(row) if row.good else None, 1)
        for row in self._refunds(new):
            _count(kept, money_of(row) if row.good else None, -1)
        for reservation_id, money in self._world.providers.by_hand:
            if reservation_id == new.reservation_id:
                _count(kept, money, -1)
        expected: Counter[str] = Counter()
        for owed in _owed_money(new, reasons):
            _count(expected, owed, 1)
        if {k: v for k, v in kept.items() if v} != dict(expected):
            fail(
                "money", f"{new.standing.state}: we keep {kept}, not {expected}; {sorted(reasons)}"
            )

    def _check_service(self, new: Reservation, reasons: frozenset[Review]) -> None:
        now = self._world.now
        attested = self._world.attested  # they stand, listed or not
        alive = {
            row.id
            for row in self._bookings(new)
            if row.alive and (row.shown(now) or row.id in attested)
        }
        kept = new.standing.kept_booking
        confirmed = new.standing.state is State.SUPPLIER_CONFIRMED
        if len(alive) != confirmed and Review.CANCEL_REFUSED not in reasons:
            fail("service", f"{new.standing.state} with {alive} alive")
        if confirmed and (kept is None or kept.provider_id not in alive):
            fail("service", f"the booking we show is not among {alive}")

    def _check_voucher(self, party: Party, new: Reservation) -> None:
        documents = new.documents
        if len(documents) > 1 and party.moved_from is None:
            fail("voucher", "more than one")
        if new.standing.state is not State.SUPPLIER_CONFIRMED:
            return
        if not documents and new.standing.rivals and new.standing.lasting:
            return  # a person decides first which booking it names
        if not documents:
            fail("voucher", "missing for a confirmed reservation")
        content = self._world.store.documents.get(documents[-1].s3_key, b"")
        _check_privacy(documents[-1].s3_key, party)
        booking = new.standing.kept_booking
        known = booking.provider_id if booking else None
        # The locator of an attested booking may come between the voucher's registration and its file.
        same = sha256(content).hexdigest() == documents[-1].sha256
        if not same and known not in self._world.attested:
            fail("voucher", "the store has another")
        row = self._world.providers.supplier.find(known, Kind.BOOKING)
        names = {(row and row.locator) or known}  # a person may mistype an id that never was
        said = self._world.answers.said(new.reservation_id, Kind.BOOKING, known)
        late = any(row["status"] == "confirmed" and not row.get("locator") for row in said)
        if known in self._world.attested or late:  # an operator knows only the supplier's id
            names.add(str(known))
        right = {f"{new.code} {party.customer.full_name} {name}" for name in names}
        if content.decode() not in right:
            fail("voucher", f"its text is {content.decode()}, not {sorted(right)}")

    def _check_mails(self, party: Party, new: Reservation) -> None:
        mailer, to = self._world.mailer, party.customer.email
        copies = Counter(d.kind for d in mailer.delivered if d.to == to)
        for kind, times in copies.items():
            in_doubt = to in self._world.interrupted or (to, kind) in mailer.unsure
            if times > (2 + self._world.nudged[to] if in_doubt else 1):
                fail("mail", f"{times} copies of {kind}")
        waits = bool(new.standing.rivals and new.standing.lasting)  # as its voucher does
        for kind in mails_owed(new) if not waits else ():
            send = new.send_of(kind)
            if send is None or send.check_at is not None:
                fail("mail", f"{kind} is owed, and its send is {send}")
            elif send.status not in KNOWN_SENDS and send.attempts < 2:
                fail("mail", f"{kind} is in doubt and was not retried")
            told = copies[kind] or (to, kind) in mailer.refused | mailer.unsure
            if not told and to not in self._world.interrupted:
                fail("mail", f"{kind} never left")
        for delivery in mailer.delivered:
            if delivery.to == to and delivery.mail.code != new.code:
                fail("mail", "about the reservation of another")
            brings = delivery.kind in (MailKind.CONFIRMED, MailKind.VOUCHER)
            if delivery.to == to and brings != bool(delivery.mail.voucher_pdf):
                fail("mail", f"{delivery.kind} with or without a voucher")

    def _check_history(self, party: Party, new: Reservation) -> None:
        told = Counter(line.event for line in self._world.database.history[new.reservation_id])
        facts = new.facts
        expected = {
            "reservation.accepted": 1,
            "reservation.confirmed": int(facts.confirmed_at is not None),
            "reservation.ended": int(facts.ended_at is not None),
            "voucher.issued": told["voucher.issued"] if party.moved_from else len(new.documents),
            **{f"reservation.closed.{r}": int(r is facts.reason) for r in Reason},
        }
        for event, times in expected.items():
            if told[event] != times:
                fail("history", f"{event} is recorded {told[event]} times, not {times}")


def fail(rule: str, detail: str) -> NoReturn:
    """
    Raises:
        ViolationError: always.
    """
    raise ViolationError(rule, detail)


def _check_version(old: Reservation, new: Reservation, now: datetime) -> None:
    differs = view(old, Moment(old.updated_at, STANDARD)) != view(new, Moment(now, STANDARD))
    if new.version != old.version + differs:
        fail("version", f"{old.version} became {new.version}, the answer differs: {differs}")


def _check_rest(new: Reservation, now: datetime, *, lease: timedelta = LEASE) -> None:
    """Check: settled if and only if nothing is due, and never woken late."""
    rests = _rests(new, now)
    if rests != (new.next_check_at is None):
        fail("silence", f"wakes at {new.next_check_at} in {new.standing.state}")
    if new.next_check_at is None:
        return
    latest = max(now + lease, min(_timers(new), default=now + A_WEEK))
    if not now < new.next_check_at <= latest:
        fail("silence", f"wakes at {new.next_check_at}, not between {now} and {latest}")


def _check_glance(new: Reservation, now: datetime, *, written_at: datetime) -> None:
    """Check that the row alone gives the answer of the whole reservation, or `None`."""
    told = glance_of(new, written_at).at_rest(now)
    if told not in (None, at_rest(new, now)):
        fail("poll", f"the row says {told} at {now} in {new.standing.state}")


def _longest_lease(new: Reservation, now: datetime) -> timedelta:
    """An hour while a look at what is closed is due: it may wait."""
    looks = [call.check_at for call in new.facts.calls if not call.open]
    looks += [call.refunds_at for call in new.facts.calls]
    looks += [row.check_at for row in new.facts.contradictions]
    due = any(at is not None and at <= now for at in looks)
    return LEASE_OF_A_LOOK if due else LONGEST_LEASE


def _timers(new: Reservation) -> list[datetime]:
    """The times of all looks."""
    times = [time for call in new.facts.calls for time in (call.check_at, call.refunds_at)]
    times += [row.check_at for row in new.facts.contradictions]
    return [time for time in times if time is not None]


def _check_token(new: Reservation, customer: Customer) -> None:
    """Check that the payment token is kept exactly as long as a charge can need it."""
    over = {Status.SUCCEEDED, Status.DECLINED, Status.VOIDED}
    spent = new.facts.reason is not None or any(
        call.status in over for call in new.facts.of(Operation.CHARGE)
    )
    if spent != (customer.payment_token is None):
        fail("token", "kept too long" if spent else "removed too early")


def _begun(old: Reservation, new: Reservation) -> Iterator[Call]:
    """The calls that this transaction recorded before sending them."""
    for call in new.facts.calls:
        before = old.facts.find(call.key)
        if call.status is Status.STARTED and (before is None or call.attempts > before.attempts):
            yield call


def _not_given_back(new: Reservation, what: Operation, back: Operation) -> set[str | None]:
    given_back = {call.target for call in new.facts.of(back)}
    done = (call for call in new.facts.of(what) if call.status is Status.SUCCEEDED)
    return {call.provider_id for call in done} - given_back


def _rests(new: Reservation, now: datetime) -> bool:
    state = new.standing.state
    quiet = not any(call.open for call in new.facts.calls) and not _timers(new)
    over = state in ENDED or state is State.SUPPLIER_CONFIRMED
    handed_over = state is not State.SUPPLIER_CONFIRMED or _has_its_voucher(new)
    sends = [new.send_of(kind) for kind in mails_owed(new)]
    told = all(send is not None and send.check_at is None for send in sends)
    kept = new.standing.kept_charge
    undone = not new.standing.rivals and all(
        charge is kept or charge.provider_id in _refunded(new) | _decided(new)
        for charge in new.standing.held_charges
    )
    return undone and quiet and over and handed_over and told and not new.standing.reviews(now)


def _refunded(new: Reservation) -> set[str | None]:
    return {refund.target for refund in new.standing.refunds}


def _decided(new: Reservation) -> set[str | None]:
    """The payments that a person has written off. After any other decision the saga goes on."""
    rows = (
        row
        for row in new.facts.contradictions
        if row.decision is Decision.RETURNED
        or (row.decision is Decision.HONOURED and row.over_at is None)
    )
    return {row.payment or row.subject for row in rows}


def _has_its_voucher(new: Reservation) -> bool:
    """`True` with a voucher that was issued after the last change of the booking's id."""
    moved_at = [r.closed_at for r in new.facts.contradictions if r.decision == "rebooked"]
    issued_at = [document.issued_at for document in new.documents]
    return bool(issued_at) and all(at is None or at <= max(issued_at) for at in moved_at)


def mails_owed(new: Reservation) -> Iterator[MailKind]:
    word = str(new.standing.public_status)
    if word in OWED:
        yield OWED[word]
    told, voucher = new.send_of(MailKind.CONFIRMED), new.voucher
    delivered = told is not None and str(told.status) != "refused"
    if word == "CONFIRMADA" and told and delivered and voucher and voucher.issued_at > told.sent_at:
        yield MailKind.VOUCHER
    told_of_all = word == "CANCELADA" and not _paid_after(new.send_of(MailKind.CANCELLED), new)
    if word in ENDINGS and new.standing.state is State.REFUNDED and not told_of_all:
        yield MailKind.REFUNDED
    failed = any(
        row.kind == "refund_failed" and row.opened_at and row.looks > 1 and row.seen == "declined"
        for row in new.facts.contradictions
    )
    if word in ENDINGS and failed:
        yield MailKind.REFUND_FAILED


def _paid_after(told: MailSend | None, new: Reservation) -> bool:
    known_at = [c.closed_at for c in new.facts.of(Operation.CHARGE) if c.status is Status.SUCCEEDED]
    return told is not None and any(at is not None and at > told.sent_at for at in known_at)


def _right_sums(new: Reservation) -> set[Money | None]:
    """The price, and the sum that an operator accepted instead."""
    price, accepted = new.facts.price, new.facts.accepted_minor
    return {price, Money(accepted or price.minor, price.currency)}


def _owed_money(new: Reservation, reasons: frozenset[Review]) -> Iterator[Money | None]:
    """Sums that we may keep: the price of a confirmed reservation, and those that a review explains."""
    facts, kept = new.facts, new.standing.kept_charge
    if Standing(facts).state is State.SUPPLIER_CONFIRMED:
        yield Money(facts.accepted_minor or facts.price.minor, facts.price.currency)
    elif kept is not None and Review.MONEY_MISMATCH in reasons:
        yield kept.money
    refused = {r.target for r in facts.of(Operation.REFUND) if r.status is Status.DECLINED}
    for charge in Standing(facts).held_charges:
        if charge.provider_id in refused and charge.money is not None:
            left = Standing(facts).left_of(charge)
            yield Money(left, charge.money.currency)
    if (
        Review.CANCEL_REFUSED in reasons and facts.reason is not None
    ):  # it takes one payment, not all
        others = [
            charge for charge in Standing(facts).held_charges if charge.provider_id not in refused
        ]
        yield from (charge.money for charge in others[:1])


def _count(sums: Counter[str], money: Money | None, sign: int) -> None:
    if money is not None:
        sums[money.currency] += sign * money.minor


def _check_privacy(text: str, party: Party) -> None:
    customer = party.customer
    for secret in (customer.full_name, customer.email, customer.phone, f"token of {party.name}"):
        if secret and secret in text:
            fail("privacy", "personal data in a message or a key")
