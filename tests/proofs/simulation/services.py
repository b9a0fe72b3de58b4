"""The queues, the document store and the mail service, with their failures."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from reservations.application.ports import (
    Mail,
    MailAccepted,
    Mailer,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
    MessagePublisher,
    Notice,
    Published,
)
from reservations.domain.errors import DocumentStoreUnavailableError
from reservations.domain.messages import Hint, Queue
from reservations.domain.reservation import MailKind
from tests.proofs.hostile.service import Outside as Clocked
from tests.proofs.simulation.rules import ViolationError
from tests.worlds.fakes import InMemoryDocumentStore

VISIBILITY = {
    Queue.PAYMENT: timedelta(seconds=180),
    Queue.PAYMENT_LOOK: timedelta(seconds=180),
    Queue.SUPPLIER: timedelta(seconds=450),
    Queue.SUPPLIER_LOOK: timedelta(seconds=450),
    Queue.VOUCHER: timedelta(seconds=180),
    Queue.NOTIFICATION: timedelta(seconds=120),
}
MAX_RECEIVES = 20
DELAYS = tuple(timedelta(seconds=seconds) for seconds in (0, 0, 0, 5, 60, 900))


class Outside(Clocked, Protocol):
    """The world around our services."""

    trouble: float  # odds that a service of ours fails, in hostile times

    def boundary(self, where: str, *, pause: float = 0) -> None: ...

    def service_down(self, service: str) -> bool: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    hint: Hint
    visible_at: datetime
    receives: int = 0


class Queues(MessagePublisher):
    """SQS on a bad day. Messages come repeated, late, or not at all."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.messages: list[Message] = []

    def publish(self, hints: Sequence[Hint]) -> Published:
        world = self._outside
        world.boundary("before publish")
        fates = {hint.message_id: self._take(hint) for hint in hints}
        world.boundary("after publish")
        return Published(
            accepted=frozenset(key for key, fate in fates.items() if fate == "accepted"),
            refused=frozenset(key for key, fate in fates.items() if fate == "refused"),
        )

    def _take(self, hint: Hint) -> str:
        """The answer for a hint: accepted, refused or unanswered. An unanswered hint may be queued."""
        world = self._outside
        if not world.hostile:
            self.put(hint)
            return "accepted"
        if world.service_down("queues"):
            return "unanswered"
        if world.random.random() >= world.trouble:
            for _ in range(world.random.choice((1, 1, 1, 0, 2))):
                self.put(hint, delay=world.random.choice(DELAYS))
            return "accepted"
        if world.random.random() < 0.5:
            self.put(hint)
        return world.random.choice(("unanswered", "refused"))

    def put(self, hint: Hint, *, delay: timedelta = timedelta(0)) -> None:
        self.messages.append(Message(hint=hint, visible_at=self._outside.now + delay))

    def visible(self) -> list[Message]:
        now = self._outside.now
        return [message for message in self.messages if message.visible_at <= now]

    def receive(self, message: Message) -> None:
        """Hide a message during its processing. It comes back unless it is deleted."""
        message.receives += 1
        message.visible_at = self._outside.now + VISIBILITY[message.hint.queue]
        if message.receives >= MAX_RECEIVES:
            self.delete(message)

    def delete(self, message: Message) -> None:
        if message in self.messages:
            self.messages.remove(message)


class SimulatedStore(InMemoryDocumentStore):
    """S3 with outages and lost answers."""

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside

    def put(self, key: str, content: bytes) -> None:
        world = self._outside
        world.boundary("before put")
        if self.documents.get(key, content) != content:
            raise ViolationError("voucher", f"stored again with other content: {content!r}")
        super().put(key, content)
        world.say(f"store: {sha256(content).hexdigest()[:8]} is stored")
        self._lose_the_answer()
        world.boundary("after put")

    def get(self, key: str) -> bytes | None:
        self._outside.boundary("before get")
        return super().get(key)

    def _answer(self) -> None:
        if self._outside.service_down("store"):
            raise DocumentStoreUnavailableError
        self._lose_the_answer()

    def _lose_the_answer(self) -> None:
        world = self._outside
        if world.hostile and world.random.random() < world.trouble / 2:
            raise DocumentStoreUnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A mail in a traveler's inbox."""

    to: str
    kind: MailKind
    mail: Mail


class SimulatedMailer(Mailer):
    """SES, without idempotency and with lost answers."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._ids = itertools.count(1)
        self.delivered: list[Delivery] = []
        self.unsure: set[tuple[str, MailKind]] = set()  # the answer to one of its sends was lost
        self.refused: set[tuple[str, MailKind]] = set()

    def send(self, mail: Mail) -> MailOutcome:
        world = self._outside
        world.boundary("before send")
        outcome = self._outcome(mail)
        world.say(f"mail: {mail.kind} {type(outcome).__name__}")
        world.boundary("after send")
        return outcome

    def notify(self, notice: Notice) -> MailOutcome:
        raise NotImplementedError("no operator changes an address here")

    def _outcome(self, mail: Mail) -> MailOutcome:
        world, about = self._outside, (mail.to, mail.kind)
        if world.service_down("mail"):
            return MailNotSent()
        fate = world.random.random() / world.trouble if world.hostile else 1
        if fate < 0.2:
            self.refused.add(about)
            return MailRefused()
        if fate < 0.5:
            return MailNotSent()
        if fate < 1:
            self.unsure.add(about)
            if fate < 0.75:
                return MailUnknown()
        self.delivered.append(Delivery(to=mail.to, kind=mail.kind, mail=mail))
        if fate < 1:
            return MailUnknown()
        return MailAccepted(f"ses-{next(self._ids)}")
