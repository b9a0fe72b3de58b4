"""The outside world, as the use cases see it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeAlias, TypedDict
from uuid import UUID

from reservations.domain.actions import Action, Verb
from reservations.domain.change import Change
from reservations.domain.facts import Outcome, Provider
from reservations.domain.history import HistoryEntry
from reservations.domain.messages import Hint, Queue
from reservations.domain.money import Money
from reservations.domain.reservation import Customer, Language, MailKind, Offer, Reservation
from reservations.domain.views import Glance
from reservations.domain.words import ClosedReason, PublicStatus, State

# --- the database -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Evidence of one request to a provider; `elapsed_ms` is its whole duration in milliseconds.

    `code` is the word by which the provider refused it.
    """

    call_key: str
    verb: Verb
    sent_at: datetime
    outcome: str
    http_status: int | None
    elapsed_ms: int
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A reservation under its row lock, at a time of the database's clock after the lock."""

    reservation: Reservation
    now: datetime
    customer: Customer | None = None  # unless it was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLook:
    """A far look that is due: its time and its reservation."""

    at: datetime
    reservation_id: UUID


class Reservations(Protocol):
    """The reservations of one unit of work, beside the one that it opens."""

    def find(self, code: str) -> Reservation | None:
        """Read by canonical code, without a lock."""

    def glance(self, code: str) -> Glance | None:
        """Read by canonical code the members that decide most polls, in one statement."""

    def customer(self, reservation_id: UUID) -> Customer:
        """Read the personal data, or `ERASED`. Only the step that needs them reads them.

        Raises:
            ReservationNotFoundError: there is no such reservation.
        """

    def change_address(self, reservation_id: UUID, email: str, *, former: str | None) -> None:
        """Stage the mail address of a customer who is not erased, and the one before if it is kept."""

    def erase_customer(self, reservation_id: UUID) -> bool:
        """Delete the personal data. Return `False` if they were deleted before."""

    def history(self, reservation_id: UUID) -> list[HistoryEntry]: ...

    def add_history(self, reservation_id: UUID, entry: HistoryEntry) -> None:
        """Stage a history line without a change of the reservation."""

    def claim_due(self, *, limit: int, lease: timedelta) -> list[Reservation]:
        """Claim up to `limit` due reservations, and move their `next_check_at` on by `lease`.

        Skip the rows that another worker has locked.
        """

    def lock_due_look(self, *, after: DueLook | None) -> DueLook | None:
        """Lock the reservation of the oldest far look that is due, or of the first `after` another.

        Skip the rows that another worker has locked.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A stored hint under a lease; `row_id` is its id in the outbox."""

    row_id: int
    lease: UUID
    hint: Hint


class Outbox(Protocol):
    """Hints stored with the change that caused them, published at least once.

    `stored` are those of the unit's last transaction. Before its commit, some may be missing.
    """

    stored: Sequence[OutboxMessage]

    def add(self, hint: Hint, *, lease: timedelta) -> None:
        """Stage a hint under a lease, in which only its sender publishes it."""

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        """Claim up to `limit` due messages, without rows that another worker has locked.

        A message that is not marked is due again when its lease ends.
        """

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        """Mark the messages that are still under their lease. Another unit may have claimed them."""

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        """Count a refusal that is the sender's fault. At the `dead_after`th a message is dead.

        Return the number of messages that are dead now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """A webhook of a provider. `webhook_id` is the same on each of its deliveries."""

    provider: Provider
    webhook_id: str
    type: str
    reference: str


class Webhooks(Protocol):
    """Received webhooks, once each."""

    def add(self, event: WebhookEvent) -> bool:
        """Stage a webhook. Return `False` and stage nothing if it is known."""


@dataclass(frozen=True, slots=True)
class ChargeClaim:
    """A client's payment token and parsed body, as keyed hashes: one under each key of the ring."""

    client_id: str
    digests: tuple[bytes, ...]


class ChargeClaims(Protocol):
    """The reservation that charges a payment token for a body: one at a time."""

    def take(self, claim: ChargeClaim, reservation_id: UUID, *, now: datetime) -> str | None:
        """Stage a claim, unless another reservation has it. Return the code of that one, else `None`.

        Wait for another transaction that stages the same claim.

        Raises:
            DatabaseBusyError: the other did not end within the server's lock wait.
        """

    def free(self, reservation_id: UUID) -> None:
        """Stage the end of a reservation's claim."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The mails that may leave in an hour for one keyed hash, of an address or of a client."""

    digest: bytes
    limit: int


class UnpaidMails(Protocol):
    """The mails about what was never paid: their times of the last hour and of the hours to come."""

    def take(self, quotas: Sequence[Quota], *, now: datetime, last: datetime) -> datetime | None:
        """Stage the first place that all quotas have from `now` to `last`, and return its time.

        Return `None`, and stage nothing, if there is no such place.

        Callers name their quotas in the same order, as their rows stay locked until the unit ends.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """The client and the address of a reservation."""

    reservation_id: UUID
    client_id: str
    email: str = field(repr=False)


class Lookups(Protocol):
    """The way back to a reservation whose token was lost."""

    def find(self, code: str) -> Addressee | None:
        """Read the address of the reservation with this canonical code. `None` once it was erased."""

    def ask(self, reservation_id: UUID, *, now: datetime) -> None:
        """Stage that the mail with the link is due.

        For an id that no reservation has, the same statements change nothing.
        """


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction: leaving the block without `commit` stores nothing."""

    reservations: Reservations
    outbox: Outbox
    webhooks: Webhooks
    claims: ChargeClaims
    unpaid_mails: UnpaidMails
    lookups: Lookups
    traceparent: str | None  # W3C Trace Context of this invocation; hints carry it on

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def open(self, reservation_id: UUID, *, customer: bool = False) -> Opened:
        """Read a reservation whole, with the time and the personal data if asked for.

        Its row lock is held until the unit of work ends.

        Raises:
            ReservationNotFoundError: there is no such reservation.
            DatabaseBusyError: the lock was not granted within the server's lock wait.
        """

    def store(self, change: Change, *, attempts: Sequence[Attempt] = ()) -> None:
        """Stage the difference, the history and the hints of a change, and its evidence.

        The reservation was opened, claimed or added by this unit of work. A spent payment token is
        forgotten. A closed reservation that has given back its charge loses its claim.

        Raises:
            KnowledgeLostError: it would lower a call's status, or change a provider id or a timestamp.
        """

    def add(self, creation: Change, customer: Customer) -> None:
        """Stage a new reservation with its first history line and its hints.

        Raises:
            DuplicateCodeError: another reservation has this code. It may show only in the commit.
        """

    def now(self) -> datetime:
        """The database's clock, aware UTC."""

    def commit(self) -> None:
        """
        Raises:
            DatabaseUnavailableError: with `effect_unknown`, as the server may have committed.
        """


# --- providers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """One request to the payments API. Its key is the same on every attempt of an operation.

    A request whose time limit would end after `not_after` is not sent.
    """

    action: Action
    reference: UUID
    money: Money
    payment_token: str | None = field(default=None, repr=False)
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierRequest:
    """One request to the supplier's API; see `PaymentRequest`. A booking tells its `price`, if any."""

    action: Action
    reference: UUID
    offer: Offer
    lead_guest: str | None = field(default=None, repr=False)
    price: Money | None = None
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The outcome of a request, with its evidence. `alarm` names a defect for a person.

    `code` is the provider's word for a refusal. No decision depends on it.
    """

    outcome: Outcome
    http_status: int | None
    elapsed_ms: int
    alarm: str | None = None
    code: str | None = None


class PaymentsApi(Protocol):
    def perform(self, request: PaymentRequest) -> Reply:
        """Carry out one request. No answer and no silence of the provider raises."""


class SupplierApi(Protocol):
    def perform(self, request: SupplierRequest) -> Reply:
        """Carry out one request. No answer and no silence of the provider raises."""


# --- operators --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A reservation in a list of operators."""

    code: str
    status: PublicStatus
    state: State
    review: str
    next_check_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLag:
    """Stored hints of one queue and status; `oldest_s` counts the seconds since the first was due."""

    queue: str  # a release beside this one may have one more
    status: str
    hints: int
    oldest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadHint:
    """A stored hint that its queue refused for good."""

    queue: str  # a release beside this one may have one more
    type: str
    reservation_id: UUID
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that breaks an invariant; `code` is the reservation's, `detail` has no personal data."""

    invariant: str
    reservation_id: UUID
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """A reservation beside its stored projections."""

    reservation: Reservation
    state: str
    review: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Mails that the mail service does not take, and the longest waits in seconds; 0 without one."""

    mails: int
    voucher_s: float
    contradiction_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Calls of one operation under way whose last requests got no usable answer.

    `since` is the first of these requests, `last_at` the newest.
    """

    operation: str  # a release beside this one may have one more
    calls: int
    since: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UntakenMails:
    """Mails of one status that the mail service did not take, by their last try.

    `code` is the reservation of the newest of them.
    """

    status: str
    mails: int
    first_at: datetime
    last_at: datetime
    code: str


class Oversight(Protocol):
    """Reads across reservations; each method is a transaction of its own."""

    def stuck(self, *, limit: int) -> list[Overview]:
        """Reservations due for 10 minutes, unchanged under way for 30, or with a finding.

        The longest unchanged come first.
        """

    def in_review(self, *, limit: int) -> list[Overview]:
        """Reservations that wait for a person, by kind of review."""

    def in_state(self, state: State, *, limit: int) -> list[Overview]:
        """Reservations in a state, the longest unchanged first."""

    def attempts(self, reservation_id: UUID) -> list[Attempt]:
        """The evidence of every request to a provider, oldest first."""

    def with_open_call(self, *, after: UUID | None, limit: int) -> list[UUID]:
        """A page of reservations with an open call, by id."""

    def with_closed_call(
        self, *, since: datetime, after: UUID | None, limit: int
    ) -> list[tuple[datetime, UUID]]:
        """A page of reservations with a call closed `since`, by that time and by id.

        The next page begins at the last time and `after` the last id.
        """

    def waiting_for_a_person(self, *, limit: int) -> int:
        """The number of reservations in review, counted up to `limit`."""

    def outbox(self) -> list[QueueLag]: ...

    def dead_hints(self, *, limit: int) -> list[DeadHint]:
        """The hints that were refused for good, the oldest first."""

    def oldest_due_s(self) -> float:
        """The seconds since the longest overdue reservation was due."""

    def waits(self) -> Waits:
        """Counts and ages of the work that travelers and operators wait for."""

    def silences(self, *, limit: int) -> list[Silence]:
        """The silence of each operation, in the reservations due first, up to `limit` of them."""

    def untaken_mails(self, *, since: datetime, limit: int) -> list[UntakenMails]:
        """Mails refused, in doubt or not sent, tried `since`, among the newest up to `limit`."""

    def now(self) -> datetime:
        """The database's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Reservations of one status. Those of `age` "older" are not settled."""

    status: PublicStatus
    age: Literal["hour", "day", "older"]
    reservations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Contradictions of one kind. `opened` ones wait for a person, the others for more looks."""

    kind: str
    opened: int
    suspected: int


class Search(Protocol):
    """Finds reservations, the newest first. Each method is a transaction of its own."""

    def by_id(self, reservation_id: UUID) -> list[Overview]: ...

    def codes(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """The codes of those that exist."""

    def by_provider(self, name: str, *, limit: int) -> list[Overview]:
        """Reservations with this locator, or with this id of a payment, refund or booking."""

    def by_address(self, address: str, *, limit: int) -> list[Overview]:
        """Reservations of this mail address, in any case of its letters."""

    def by_status(self, status: PublicStatus, *, since: datetime, limit: int) -> list[Overview]: ...

    def counts(self) -> list[Count]:
        """Reservations made in the last day, and older ones that are not settled."""

    def doubts(self) -> list[Doubt]:
        """The contradictions of reservations that are not settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The place of a job in its pass over a table: the last row that is done, as read at `read_at`.

    Between two passes both ids are `None`. `whole_at` is the beginning of the last whole pass.
    """

    job: str
    read_at: datetime
    began_at: datetime
    whole_at: datetime | None
    reservation_id: UUID | None = None
    history_id: int | None = None

    @property
    def age(self) -> timedelta:
        """Time since the beginning of the last whole pass, which saw every older row."""
        return self.read_at - (self.whole_at or self.began_at)


class Checkpoints(Protocol):
    """Each method is a transaction of its own."""

    def get(self, job: str) -> Checkpoint:
        """Read the place of a job. A job without one begins now."""

    def move(self, before: Checkpoint, after: Checkpoint) -> bool:
        """Store the next place. Return `False` and store nothing if another run has moved it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """The place of a history line in the order of all changes."""

    history_id: int
    reservation_id: UUID
    at: datetime


class Audit(Protocol):
    """Reads for the invariants, each of a few hundred rows at most and a transaction of its own."""

    def page(self, *, after: UUID | None, limit: int) -> list[UUID]:
        """A page of all reservations, by id."""

    def lines(self, *, after: int | None, limit: int) -> list[HistoryLine]:
        """A page of the history of all reservations. It begins with the newest if `after` is `None`."""

    def broken(self, ids: Sequence[UUID]) -> list[Finding]:
        """The violations that queries can see, in these reservations."""

    def projected(self, ids: Sequence[UUID]) -> list[Projected]:
        """These reservations. A step may change one of them during the read."""

    def projected_now(self, reservation_id: UUID) -> Projected:
        """One reservation, read under a shared lock."""

    def overdue(self, *, limit: int) -> list[Finding]:
        """The reservations and far looks that are overdue, the longest first."""

    def found(self, *, after: UUID | None, limit: int) -> list[UUID]:
        """A page of the reservations with a stored finding, by id."""

    def record(self, ids: Sequence[UUID], findings: Sequence[Finding]) -> None:
        """Store these findings in place of all that these reservations had."""

    def now(self) -> datetime:
        """The database's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The expired data of a page of reservations. `last` is its last id, `None` at the end."""

    last: UUID | None
    travelers: list[UUID]
    documents: list[UUID]
    removed: list[str]


class Retention(Protocol):
    """Deletes in bounded batches. Each method is a transaction of its own."""

    def delete_published_hints(self, *, older_than: timedelta, limit: int) -> int: ...

    def delete_webhooks(self, *, older_than: timedelta, limit: int) -> int: ...

    def delete_expired_keys(self, *, limit: int) -> int: ...

    def delete_claims(self, *, older_than: timedelta, limit: int) -> int:
        """Delete claims of that age whose reservation stands paid, or holds no money."""

    def delete_unpaid_mails(self, *, older_than: timedelta, limit: int) -> int:
        """Forget when mails about what was never paid were sent."""

    def expired(
        self,
        *,
        after: UUID | None,
        limit: int,
        travelers_after: timedelta,
        documents_after: timedelta,
        removed_within: timedelta,
    ) -> Expired:
        """Read the next `limit` reservations by id.

        `travelers`: settled, with personal data, and a trip that ended `travelers_after` ago.
        `documents`: with documents, and a trip that ended `documents_after` ago. `removed`: keys of
        documents that were removed `removed_within` that time.
        """

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        """Revive dead hints, with a line in the history of each reservation. Return their number."""

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        """Add a line to a reservation's history, if it exists. It is not read: it may be unreadable."""


# The queues with a dead-letter queue of their own: one for each step, and one for the mail events of SES.
MAIL_EVENT: Final = "mail-event"
Source: TypeAlias = Queue | Literal["mail-event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead-lettered message. Unreadable fields are `None`."""

    queue: Source
    message_id: str
    reason: str | None
    reservation_id: UUID | None
    type: str | None
    sent_at: datetime


class DeadLetters(Protocol):
    """The dead-letter queues. The address in a mail event is never shown."""

    def count(self, queue: Source) -> int: ...

    def peek(self, queue: Source, *, limit: int) -> list[DeadLetter]:
        """Read letters without removing them."""

    def redrive(self, queue: Source, *, rate: float, tell: Callable[[DeadLetter], None]) -> int:
        """Send each letter to its queue again, at most `rate` a second. A copy does no harm.

        `tell` is called with each letter before it moves. A crash in between leaves a history line
        too many, never one too few.
        """

    def drop(self, queue: Source, *, rate: float, tell: Callable[[DeadLetter], None]) -> int:
        """Delete each letter, at most `rate` a second; for `tell` see `redrive`.

        The reservation of a hint is due again at its `next_check_at`. A mail event is lost.
        """


# --- queues, documents, mail ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Published:
    """The queue's answer to a batch. A hint in neither set got no answer and stays pending."""

    accepted: frozenset[UUID]
    refused: frozenset[UUID]  # the sender's fault: a retry cannot help


class MessagePublisher(Protocol):
    def publish(self, hints: Sequence[Hint]) -> Published:
        """Send each hint to its queue. An unreachable queue leaves its hints in neither set."""


class DocumentStore(Protocol):
    """Private objects, reached by links that expire."""

    def put(self, key: str, content: bytes) -> None:
        """
        Raises:
            DocumentStoreUnavailableError: not stored, or not known to be.
        """

    def get(self, key: str) -> bytes | None: ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Delete for good; one that is absent stays absent.

        Raises:
            DocumentStoreUnavailableError: not deleted, or not known to be.
        """

    def link(
        self,
        key: str,
        *,
        filename: str,
        lifetime: timedelta,
        head: bool = False,
        inline: bool = False,
    ) -> str:
        """A URL that serves the object for `lifetime`, named `filename`: to show if `inline`, else to download.

        It takes one method: HEAD if `head`, else GET.
        """


class Letterhead(TypedDict):
    """The words of the seller on papers and mails."""

    support_contact: str
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """The content of the PDF. Equal content gives equal bytes."""

    code: str
    language: Language
    guest: str = field(repr=False)
    offer: Offer
    price: Money
    supplier_locator: str
    issued_on: date
    confirmed_at: datetime
    support_contact: str
    issuer: str | None = None


class VoucherRenderer(Protocol):
    def render(self, voucher: Voucher) -> bytes:
        """Draw one A4 page, as PDF: equal bytes for equal vouchers.

        Raises:
            VoucherNotDrawnError: the same voucher would fail again.
        """

    def filename(self, code: str, language: Language) -> str:
        """Name the file in the traveler's language, with the reservation's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The content of a mail. `refund` is the sum of all refunds, done or on their way.

    `quoted` says that whoever priced the offer signed it.
    """

    reservation_id: UUID
    kind: MailKind
    language: Language
    to: str = field(repr=False)
    guest: str = field(repr=False)
    code: str
    offer: Offer
    quoted: bool
    price: Money
    supplier_locator: str | None
    refund: Money | None
    refund_done: bool
    support_contact: str
    at: datetime
    issuer: str | None = None
    closed_reason: ClosedReason | None = None
    was_confirmed: bool = False
    cancellable_until: datetime | None = None
    manage_url: str | None = field(default=None, repr=False)  # with the access token
    voucher_pdf: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MailAccepted:
    """The mail service took it under this id of its own."""

    message_id: str


@dataclass(frozen=True, slots=True)
class MailRefused:
    """It will never take this mail: a repeat cannot help."""


@dataclass(frozen=True, slots=True)
class MailNotSent:
    """Surely not sent: connection refused, throttled, sending paused."""


@dataclass(frozen=True, slots=True)
class MailUnknown:
    """The request left and no answer came."""


MailOutcome = MailAccepted | MailRefused | MailNotSent | MailUnknown


class ReleasedVersions(Protocol):
    """The new version of each function of a release."""

    def answer(self, name: str, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Invoke a version directly. `None` if it failed, timed out or was not reached."""


class Release(Protocol):
    """A deployment that waits for a verdict before it moves traffic."""

    def conclude(self, *, passed: bool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A mail to the old address: mails go to another one from now on."""

    to: str = field(repr=False)
    language: Language
    code: str
    support_contact: str
    issuer: str | None = None


class Mailer(Protocol):
    """No answer and no silence of the mail service raises."""

    def send(self, mail: Mail) -> MailOutcome: ...

    def notify(self, notice: Notice) -> MailOutcome: ...
