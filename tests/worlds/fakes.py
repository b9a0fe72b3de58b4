"""The ports in memory. `tests/contract` holds them to the promises of the real adapters."""

from collections import ChainMap
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count, islice
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import UUID, uuid4

from reservations.adapters.papers.mail_content import compose, compose_notice
from reservations.adapters.papers.recipient import UnmailableAddressError
from reservations.adapters.papers.wording import voucher_filename
from reservations.application.ports import (
    Addressee,
    Attempt,
    ChargeClaim,
    ChargeClaims,
    DocumentStore,
    DueLook,
    Lookups,
    Mail,
    MailAccepted,
    Mailer,
    MailOutcome,
    MailRefused,
    MessagePublisher,
    Notice,
    Opened,
    Outbox,
    OutboxMessage,
    PaymentRequest,
    PaymentsApi,
    Published,
    Quota,
    Reply,
    Reservations,
    SupplierApi,
    SupplierRequest,
    UnitOfWork,
    UnpaidMails,
    Voucher,
    VoucherRenderer,
    WebhookEvent,
    Webhooks,
)
from reservations.domain.change import Change
from reservations.domain.errors import (
    DatabaseBusyError,
    DocumentStoreUnavailableError,
    DuplicateCodeError,
    KnowledgeLostError,
    ReservationNotFoundError,
    VoucherNotDrawnError,
)
from reservations.domain.facts import RANK, Call, Contradiction, Facts, Outcome, Provider, Status
from reservations.domain.fulfilment import ask_for
from reservations.domain.history import HistoryEntry
from reservations.domain.messages import Hint, Queue
from reservations.domain.quotas import WINDOW, first_place
from reservations.domain.reservation import (
    ERASED,
    Customer,
    Language,
    MailKind,
    MailSend,
    MailStatus,
    Reservation,
)
from reservations.domain.views import Glance
from tests.worlds.builders import NOON

RequestT = TypeVar("RequestT")


class InMemoryDocumentStore(DocumentStore):
    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.down = False

    def put(self, key: str, content: bytes) -> None:
        self._answer()
        self.documents[key] = content

    def get(self, key: str) -> bytes | None:
        self._answer()
        return self.documents.get(key)

    def exists(self, key: str) -> bool:
        self._answer()
        return key in self.documents

    def delete(self, key: str) -> None:
        self._answer()
        self.documents.pop(key, None)

    def link(
        self,
        key: str,
        *,
        filename: str,
        lifetime: timedelta,
        head: bool = False,
        inline: bool = False,
    ) -> str:
        seconds = int(lifetime.total_seconds())
        query = f"filename={filename}&lifetime={seconds}"
        query += ("&method=HEAD" if head else "") + ("&inline" if inline else "")
        return f"https://documents.example/{key}?{query}"

    def _answer(self) -> None:
        if self.down:
            raise DocumentStoreUnavailableError


class RecordingMailer(Mailer):
    """Accepts every mail that can be composed, unless `outcome` is set."""

    def __init__(self, outcome: MailOutcome | None = None) -> None:
        self.outcome = outcome
        self.mails: list[Mail] = []
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> MailOutcome:
        try:
            compose_notice(notice, sender="reservas@viajes.example")
        except UnmailableAddressError:
            return MailRefused()
        self.notices.append(notice)
        return self.outcome or MailAccepted(str(uuid4()))

    def send(self, mail: Mail) -> MailOutcome:
        try:
            compose(mail, sender="reservas@viajes.example")
        except UnmailableAddressError:
            return MailRefused()
        self.mails.append(mail)
        return self.outcome or MailAccepted(str(uuid4()))


class _Scripted(Generic[RequestT]):
    """Gives scripted answers in order. A request too many fails the test.

    An exception among them is raised after the request: the process died before the answer.
    """

    def __init__(self, *answers: Outcome | Reply | BaseException) -> None:
        self.requests: list[RequestT] = []
        self._answers = iter(answers)

    def perform(self, request: RequestT) -> Reply:
        self.requests.append(request)
        answer = next(self._answers, None)
        assert answer is not None, "a request that the test did not expect"
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Reply):
            return answer
        return Reply(outcome=answer, http_status=200, elapsed_ms=12)


class ScriptedPayments(_Scripted[PaymentRequest], PaymentsApi):
    """The payments API with scripted answers."""


class ScriptedSupplier(_Scripted[SupplierRequest], SupplierApi):
    """The supplier's API with scripted answers."""


class PlainRenderer(VoucherRenderer):
    """Renders a voucher's content as text, for tests that need no real PDF."""

    def render(self, voucher: Voucher) -> bytes:
        return f"{voucher.code} {voucher.guest} {voucher.supplier_locator}".encode()

    def filename(self, code: str, language: Language) -> str:
        return voucher_filename(code, language)


class FailingRenderer(PlainRenderer):
    """Fails, as for a text that no library can draw."""

    def render(self, voucher: Voucher) -> bytes:
        raise VoucherNotDrawnError


class RecordingDeadLetters:
    """Keeps the dead-lettered messages with their reasons."""

    def __init__(self) -> None:
        self.dead_lettered: list[tuple[str, str]] = []

    def dead_letter(self, body: str, *, reason: str) -> None:
        self.dead_lettered.append((body, reason))


class RecordingPublisher(MessagePublisher):
    """Accepts every hint, except for queues in `unreachable` or hints set to be refused."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.unreachable: set[Queue] = set()
        self.refusing: set[UUID] = set()

    def publish(self, hints: Sequence[Hint]) -> Published:
        reached = [hint for hint in hints if hint.queue not in self.unreachable]
        accepted = [hint for hint in reached if hint.message_id not in self.refusing]
        self.hints += accepted
        taken = frozenset(hint.message_id for hint in accepted)
        return Published(
            accepted=taken, refused=frozenset(hint.message_id for hint in reached) - taken
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHint:
    """An outbox row."""

    hint: Hint
    available_at: datetime
    lease: UUID | None = None
    refusals: int = 0
    status: str = "pending"


@dataclass(slots=True)
class InMemoryDatabase:
    """The committed rows and the holders of their locks; `now` is its clock."""

    now: datetime = NOON
    reservations: MutableMapping[UUID, Reservation] = field(default_factory=dict)
    customers: MutableMapping[UUID, Customer] = field(default_factory=dict)
    history: MutableMapping[UUID, tuple[HistoryEntry, ...]] = field(default_factory=dict)
    attempts: MutableMapping[UUID, tuple[Attempt, ...]] = field(default_factory=dict)
    outbox: MutableMapping[int, StoredHint] = field(default_factory=dict)
    webhooks: MutableMapping[tuple[Provider, str], WebhookEvent] = field(default_factory=dict)
    claims: MutableMapping[tuple[str, bytes], UUID | None] = field(default_factory=dict)
    unpaid_mails: MutableMapping[bytes, tuple[datetime, ...]] = field(default_factory=dict)
    held: dict[object, object] = field(default_factory=dict)
    row_ids: Iterator[int] = field(default_factory=lambda: count(1))

    def hold(self, row: object, holder: object) -> bool:
        """Lock a row, unless another transaction holds it."""
        return self.held.setdefault(row, holder) is holder


class InMemoryUnitOfWork(UnitOfWork):
    """A transaction in memory. Its writes cover the committed rows until it commits."""

    def __init__(
        self,
        database: InMemoryDatabase | None = None,
        *,
        traceparent: str | None = None,
    ) -> None:
        self.database = database or InMemoryDatabase()
        self.traceparent = traceparent
        self.reservations: InMemoryReservations = InMemoryReservations(self)
        self.outbox: InMemoryOutbox = InMemoryOutbox(self)
        self.webhooks: InMemoryWebhooks = InMemoryWebhooks(self)
        self.claims: InMemoryChargeClaims = InMemoryChargeClaims(self)
        self.unpaid_mails: InMemoryUnpaidMails = InMemoryUnpaidMails(self)
        self.lookups: InMemoryLookups = InMemoryLookups(self)
        self._begin()

    def _begin(self) -> None:
        committed = self.database
        self.rows: ChainMap[UUID, Reservation] = ChainMap({}, committed.reservations)
        self.customers: ChainMap[UUID, Customer] = ChainMap({}, committed.customers)
        self.lines: ChainMap[UUID, tuple[HistoryEntry, ...]] = ChainMap({}, committed.history)
        self.evidence: ChainMap[UUID, tuple[Attempt, ...]] = ChainMap({}, committed.attempts)
        self.hints: ChainMap[int, StoredHint] = ChainMap({}, committed.outbox)
        self.notices: ChainMap[tuple[Provider, str], WebhookEvent] = ChainMap(
            {}, committed.webhooks
        )
        self.claimed: ChainMap[tuple[str, bytes], UUID | None] = ChainMap({}, committed.claims)
        self.counted: ChainMap[bytes, tuple[datetime, ...]] = ChainMap({}, committed.unpaid_mails)
        self.reservations.locked.clear()

    def __enter__(self) -> Self:
        self._begin()
        self.outbox.stored.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._begin()
        self._release()

    def open(self, reservation_id: UUID, *, customer: bool = False) -> Opened:
        return Opened(
            reservation=self.reservations.lock(reservation_id),
            now=self.now(),
            customer=self.reservations.customer(reservation_id) if customer else None,
        )

    def store(self, change: Change, *, attempts: Sequence[Attempt] = ()) -> None:
        self.reservations.save(change)
        if change.frees_claim:
            self.claims.free(change.after.reservation_id)
        self._add_hints(change)
        for attempt in attempts:
            self.reservations.add_attempt(change.after.reservation_id, attempt)

    def add(self, creation: Change, customer: Customer) -> None:
        self.reservations.add(creation, customer)
        self._add_hints(creation)

    def _add_hints(self, change: Change) -> None:
        for hint in change.messages(traceparent=self.traceparent):
            self.outbox.add(hint, lease=change.hint_grace)

    def now(self) -> datetime:
        return self.database.now

    def commit(self) -> None:
        layers: tuple[ChainMap[Any, Any], ...] = (
            self.rows,
            self.customers,
            self.lines,
            self.evidence,
            self.hints,
            self.notices,
            self.claimed,
            self.counted,
        )
        for layer in layers:
            written, committed = layer.maps
            committed.update(written)
            written.clear()
        self._release()

    def _release(self) -> None:
        held = self.database.held
        for row in [row for row, holder in held.items() if holder is self]:
            del held[row]


class InMemoryChargeClaims(ChargeClaims):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self._unit = unit

    def take(self, claim: ChargeClaim, reservation_id: UUID, *, now: datetime) -> str | None:
        rows = [(claim.client_id, digest) for digest in claim.digests]
        if not all(self._unit.database.hold(row, self._unit) for row in rows):
            raise DatabaseBusyError("a lock was not granted in time")
        holder = next((other for row in rows if (other := self._unit.claimed.get(row))), None)
        if holder is not None:
            return self._unit.rows[holder].code
        self._unit.claimed.update(dict.fromkeys(rows, reservation_id))
        return None

    def free(self, reservation_id: UUID) -> None:
        mine = [row for row, holder in self._unit.claimed.items() if holder == reservation_id]
        self._unit.claimed.update(dict.fromkeys(mine))


class InMemoryUnpaidMails(UnpaidMails):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self._unit = unit

    def take(self, quotas: Sequence[Quota], *, now: datetime, last: datetime) -> datetime | None:
        taken = []
        for quota in quotas:
            if not self._unit.database.hold(quota.digest, self._unit):
                raise DatabaseBusyError("a lock was not granted in time")
            times = self._unit.counted.get(quota.digest, ())
            taken.append(([at for at in times if at > now - WINDOW], quota.limit))
        place = first_place(taken, now)
        if place > last:
            return None
        for quota in quotas:
            times = self._unit.counted.get(quota.digest, ())
            self._unit.counted[quota.digest] = tuple(sorted((*times, place)))
        return place


class InMemoryLookups(Lookups):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self._unit = unit

    def find(self, code: str) -> Addressee | None:
        found = self._unit.reservations.find(code)
        if found is None or self._unit.customers[found.reservation_id] == ERASED:
            return None
        return Addressee(
            reservation_id=found.reservation_id,
            client_id=found.client_id,
            email=self._unit.customers[found.reservation_id].email,
        )

    def ask(self, reservation_id: UUID, *, now: datetime) -> None:
        if reservation_id in self._unit.rows:
            asked = self._unit.reservations.lock(reservation_id).put_send(
                ask_for(MailKind.LINK, now)
            )
            due = min(asked.next_check_at or now, now)
            self._unit.rows[reservation_id] = replace(asked, next_check_at=due)


def glance_of(reservation: Reservation, now: datetime) -> Glance:
    """The members of a row that was last written at `now`."""
    facts, sends = reservation.facts, reservation.sends
    voucher, told = reservation.voucher, reservation.send_of(MailKind.CONFIRMED)
    succeeded = all(call.status is Status.SUCCEEDED for call in facts.calls)
    return Glance(
        reservation_id=reservation.reservation_id,
        client_id=reservation.client_id,
        token_kid=reservation.token_kid,
        token_version=reservation.token_version,
        starts_on=reservation.offer.starts_on,
        created_at=reservation.facts.created_at,
        state=reservation.standing.state,
        reviewed=bool(reservation.standing.reviews(now)),
        mailing=any(send.status is not MailStatus.SENT or send.check_at for send in sends),
        served=not facts.contradictions
        and succeeded
        and voucher is not None
        and told is not None
        and voucher.issued_at <= told.sent_at,
        next_check_at=reservation.next_check_at,
        version=reservation.version,
        updated_at=reservation.updated_at,
    )


class InMemoryReservations(Reservations):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self.locked: set[UUID] = set()
        self._unit = unit

    def add(self, a_creation: Change, customer: Customer) -> None:
        reservation = a_creation.after
        if any(other.code == reservation.code for other in self._unit.rows.values()):
            raise DuplicateCodeError("the code is taken")
        reservation_id = reservation.reservation_id
        self._unit.database.hold(reservation_id, self._unit)
        self._unit.customers[reservation_id] = customer
        self._write(a_creation)
        self.locked.add(reservation_id)

    def lock(self, reservation_id: UUID) -> Reservation:
        if not self._unit.database.hold(reservation_id, self._unit):
            raise DatabaseBusyError("a lock was not granted in time")
        reservation = self._unit.rows.get(reservation_id)
        if reservation is None:
            raise ReservationNotFoundError
        self.locked.add(reservation_id)
        return reservation

    def find(self, code: str) -> Reservation | None:
        return next((r for r in self._unit.rows.values() if r.code == code), None)

    def glance(self, code: str) -> Glance | None:
        found = self.find(code)
        return glance_of(found, self._unit.now()) if found else None

    def save(self, change: Change) -> None:
        before, reservation_id = change.before, change.after.reservation_id
        if before is None or reservation_id not in self.locked:
            raise LookupError("only what this unit of work locked or added can be saved")
        _refuse_to_forget(before, change.after)
        if change.token_spent:
            customer = self._unit.customers[reservation_id]
            self._unit.customers[reservation_id] = replace(customer, payment_token=None)
        self._write(change)

    def customer(self, reservation_id: UUID) -> Customer:
        if reservation_id not in self._unit.rows:
            raise ReservationNotFoundError
        return self._unit.customers[reservation_id]

    def change_address(self, reservation_id: UUID, email: str, *, former: str | None) -> None:
        customer = self._unit.customers[reservation_id]
        changed = replace(customer, email=email, former_email=former)
        self._unit.customers[reservation_id] = changed

    def erase_customer(self, reservation_id: UUID) -> bool:
        erased = self._unit.customers[reservation_id] != ERASED
        self._unit.customers[reservation_id] = ERASED
        return erased

    def add_attempt(self, reservation_id: UUID, attempt: Attempt) -> None:
        if self._unit.rows[reservation_id].facts.find(attempt.call_key) is None:
            raise KnowledgeLostError("an attempt belongs to a call")
        evidence = self._unit.evidence
        evidence[reservation_id] = (*evidence.get(reservation_id, ()), attempt)

    def history(self, reservation_id: UUID) -> list[HistoryEntry]:
        return list(self._unit.lines.get(reservation_id, ()))

    def add_history(self, reservation_id: UUID, entry: HistoryEntry) -> None:
        self._unit.lines[reservation_id] = (*self.history(reservation_id), entry)

    def claim_due(self, *, limit: int, lease: timedelta) -> list[Reservation]:
        now, rows = self._unit.now(), self._unit.rows
        written, committed = rows.maps
        seen = {**committed, **written}  # a ChainMap takes many times longer to walk
        waiting = [(r.next_check_at, key) for key, r in seen.items() if r.next_check_at is not None]
        due = [key for at, key in sorted(waiting) if at <= now]
        free = islice((key for key in due if self._unit.database.hold(key, self._unit)), limit)
        claimed = [replace(rows[key], next_check_at=now + lease) for key in free]
        for reservation in claimed:
            rows[reservation.reservation_id] = reservation
            self.locked.add(reservation.reservation_id)
        return claimed

    def lock_due_look(self, *, after: DueLook | None) -> DueLook | None:
        now, (written, committed) = self._unit.now(), self._unit.rows.maps
        waiting = [(r.next_look_at, key) for key, r in {**committed, **written}.items()]
        due = sorted((at, key) for at, key in waiting if at is not None and at <= now)
        later = (it for it in due if after is None or it > (after.at, after.reservation_id))
        free = (it for it in later if self._unit.database.hold(it[1], self._unit))
        found = next(free, None)
        return DueLook(at=found[0], reservation_id=found[1]) if found else None

    def _write(self, change: Change) -> None:
        reservation_id = change.after.reservation_id
        self._unit.lines[reservation_id] = (*self.history(reservation_id), *change.history)
        self._unit.rows[reservation_id] = change.after


def _refuse_to_forget(before: Reservation, after: Reservation) -> None:
    old, new = before.facts, after.facts
    kept = (
        all(_grew(call, new.find(call.key)) for call in old.calls)
        and all(_is_kept(row, new) for row in old.contradictions)
        and all(_stamped_once(old, new, stamp) for stamp in ("reason", "confirmed_at", "ended_at"))
        and all(_stays_sent(send, after) for send in before.sends)
    )
    if not kept:
        raise KnowledgeLostError("a status, a provider's id or a stamp")


def _stays_sent(send: MailSend, after: Reservation) -> bool:
    now = after.send_of(send.kind)
    if send.status is not MailStatus.SENT:
        return True
    return now is not None and (now.status is send.status or now.attempts == 0)


def _grew(old: Call, new: Call | None) -> bool:
    if new is None:
        return False
    grown = RANK[old.status] < RANK[new.status] or old.status is new.status
    sent_again = (
        old.status is Status.NOT_FOUND
        and new.status is Status.STARTED
        and old.attempts < new.attempts
    )
    identified = old.provider_id in (None, new.provider_id)
    return (grown or sent_again) and identified and old.attempts <= new.attempts


def _is_kept(old: Contradiction, facts: Facts) -> bool:
    """Return `True` unless the row was taken away, or its opening or its decision changed."""
    same = (row for row in facts.contradictions if row.matter == old.matter)
    new = next((row for row in same if row.number == old.number), None)
    return (
        new is not None
        and old.opened_at in (None, new.opened_at)
        and old.decision in (None, new.decision)
    )


def _stamped_once(old: Facts, new: Facts, stamp: str) -> bool:
    return getattr(old, stamp) in (None, getattr(new, stamp))


class InMemoryOutbox(Outbox):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self._unit = unit
        self._token = uuid4()
        self.stored: list[OutboxMessage] = []

    def add(self, hint: Hint, *, lease: timedelta) -> None:
        row_id = next(self._unit.database.row_ids)
        self._unit.database.hold(row_id, self._unit)
        until = self._unit.now() + lease
        self._unit.hints[row_id] = StoredHint(hint=hint, available_at=until, lease=self._token)
        self.stored.append(self._message(row_id))

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        now, hints = self._unit.now(), self._unit.hints
        due = sorted(
            (row.available_at, row_id)
            for row_id, row in hints.items()
            if row.status == "pending" and row.available_at <= now
        )
        free = (row_id for _, row_id in due if self._unit.database.hold(row_id, self._unit))
        claimed = list(islice(free, limit))
        for row_id in claimed:
            until = now + lease
            hints[row_id] = replace(hints[row_id], available_at=until, lease=self._token)
        return [self._message(row_id) for row_id in claimed]

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        for row_id, row in self._leased(messages):
            self._unit.hints[row_id] = replace(row, status="published", lease=None)

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        dead = 0
        for row_id, row in self._leased(messages):
            counted = replace(row, refusals=row.refusals + 1)
            if counted.refusals >= dead_after:
                counted = replace(counted, status="dead", lease=None)
                dead += 1
            self._unit.hints[row_id] = counted
        return dead

    def _leased(self, messages: Collection[OutboxMessage]) -> list[tuple[int, StoredHint]]:
        rows = [(m, self._unit.hints[m.row_id]) for m in messages]
        return [(m.row_id, row) for m, row in rows if row.lease == m.lease]

    def _message(self, row_id: int) -> OutboxMessage:
        return OutboxMessage(row_id=row_id, lease=self._token, hint=self._unit.hints[row_id].hint)


class InMemoryWebhooks(Webhooks):
    def __init__(self, unit: InMemoryUnitOfWork) -> None:
        self._unit = unit

    def add(self, event: WebhookEvent) -> bool:
        key = (event.provider, event.webhook_id)
        if key in self._unit.notices:
            return False
        self._unit.notices[key] = event
        return True
