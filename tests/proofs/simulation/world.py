"""A hostile world on a virtual clock: it decides which worker runs or dies, and when events come."""

import contextlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from random import Random
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.hint_sender import HintSender
from reservations.domain.errors import UnavailableError
from reservations.domain.facts import Call, Provider, Status
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Customer, Language, Offer, Reservation
from reservations.domain.standing import Standing
from reservations.domain.words import Review
from tests.proofs.hostile.moods import PERSONALITIES, Personality
from tests.proofs.hostile.rows import Row
from tests.proofs.hostile.service import Answer, Service
from tests.proofs.hostile.webhooks import Webhook
from tests.proofs.hostile.wire import Request
from tests.proofs.simulation.database import SimulatedUnitOfWork
from tests.proofs.simulation.heard import Heard
from tests.proofs.simulation.promises import Promises
from tests.proofs.simulation.providers import Party, Providers
from tests.proofs.simulation.requests import Requests
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.services import Queues, SimulatedMailer, SimulatedStore
from tests.proofs.simulation.watch import Watch, mails_owed
from tests.proofs.simulation.workers import CrashError, Worker
from tests.worlds.fakes import InMemoryDatabase

POLICIES = tuple(STANDARD.jittered(factor) for factor in (0.8, 0.9, 1.0, 1.1, 1.2))
PRICES = (Money(34250, "EUR"), Money(18000, "EUR"), Money(99500, "EUR"))

SECOND, NOW = timedelta(seconds=1), timedelta(0)
VERY_LATE = 0.03  # of the webhooks
NEARLY_A_DAY = timedelta(hours=20)
MONTHS = tuple(timedelta(days=days) for days in (2, 45, 110))

Event = tuple[datetime, int, Callable[[], None]]


class World:
    """Everything outside the use cases, and the scheduling of workers."""

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.random = Random(seed)
        self.database = InMemoryDatabase()
        self.open_units: set[SimulatedUnitOfWork] = set()
        self.hostile = True
        self.calm = self.random.choice((0.3, 0.5, 0.7, 0.85))  # odds of the fair move
        self.restless = self.random.choice((0.02, 0.08, 0.2, 0.4))  # odds to pause at a port
        self.deadly = self.random.choice((0, 0.002, 0.01, 0.03))  # odds to die at a port
        self.trouble = self.random.choice((0.02, 0.1, 0.3))  # odds that a service of ours fails
        self.interrupted: set[str] = set()  # addresses with a send that was cut off
        self.attested: set[str] = set()
        self.nudged: Counter[str] = Counter()  # nudges by address
        self.providers = Providers(self)
        self.requests = Requests(self)
        self.answers = Heard()
        self.decided: dict[tuple[UUID, str, str], str] = {}  # contradictions that a person answered
        self.turned: dict[tuple[str, str], datetime] = {}  # last turns, by reference and service
        self.announced: dict[tuple[str, str], datetime] = {}  # last webhooks taken
        self.queues = Queues(self)
        self.store = SimulatedStore(self)
        self.mailer = SimulatedMailer(self)
        self.watch = Watch(self)
        self.promises = Promises(self)
        self.parties = [self._party(number) for number in range(self.random.choice((1, 2, 2, 3)))]
        self._by_id: dict[UUID, Party] = {}
        self._tell = tell
        self.began = self.database.now
        self._actor = "world"
        self._running: Worker | None = None
        self.workers: list[Worker] = []
        self.events: list[Event] = []
        self.down: dict[str, datetime] = {}
        self._told: dict[UUID, int] = {}  # lines of each history that the story has shown
        self.deliver_webhook: Callable[[Webhook], None]
        self._numbers = itertools.count(1)

    def _party(self, number: int) -> Party:
        names = list(PERSONALITIES)
        names += ["moody"] * 4 + ["fast"] * 4 + ["slow"] * 2
        moods = {provider: self.random.choice(names) for provider in Provider}
        name = f"R{number + 1}"
        return Party(
            name=name,
            customer=Customer(
                full_name=f"Traveler {name}",
                email=f"{name.lower()}@example.com",
                phone=f"+3460011122{number}",
                payment_token=f"token of {name}",
                language=Language.SPANISH,
            ),
            offer=Offer(
                offer_id=f"HTL-{name}",
                description="Hotel Sol, doble",
                starts_on=date(2027, 5, 1),
                ends_on=date(2027, 5, 4),
                guests=2,
            ),
            price=PRICES[number],
            moods={provider: PERSONALITIES[mood] for provider, mood in moods.items()},
            mood_names=", ".join(f"{mood} {provider}" for provider, mood in moods.items()),
        )

    # --- the ports' view

    @property
    def now(self) -> datetime:
        return self.database.now

    @property
    def created(self) -> list[Party]:
        return list(self._by_id.values())

    def say(self, text: str) -> None:
        if self._tell is None:
            return
        for reservation_id, party in self._by_id.items():
            text = text.replace(str(reservation_id), party.name)
        since = timedelta(seconds=(self.now - self.began) // timedelta(seconds=1))
        self._tell(f"{since!s:>16}  {self._actor:<20} {text}")

    def party(self, reservation_id: UUID) -> Party:
        if reservation_id not in self._by_id:
            raise ViolationError("key", f"no reservation {reservation_id}")
        return self._by_id[reservation_id]

    def name_of(self, reservation_id: UUID) -> str:
        return self.party(reservation_id).name

    def boundary(self, where: str, *, pause: float = 0) -> None:
        """Pass a port, where another worker may run and this one may die."""
        worker = self._running
        if worker is None or not self.hostile:
            return
        chance = self.random.random()
        if chance < self.deadly:
            self.say(f"dies at: {where}")
            raise CrashError
        if chance < self.deadly + max(self.restless, pause):
            self._pause(worker)

    def wait_for_a_lock(self) -> None:
        if self._running is not None:
            self.say("waits for a row")
            self._pause(self._running)

    def _pause(self, worker: Worker) -> None:
        worker.pause()
        self._running, self._actor = worker, worker.name

    def commit_fate(self) -> str:
        """Draw the fate of a commit. After a broken connection the client cannot know it."""
        chance = self.random.random() if self.hostile else 1
        if chance >= self.deadly:
            return "done"
        self.say("the connection breaks in the commit")
        return "lost" if chance < self.deadly / 2 else "unsure"

    def committed(self, unit: SimulatedUnitOfWork, before: dict[UUID, Reservation | None]) -> None:
        self.answers.store(self._actor)
        for reservation_id, old in before.items():
            new = self.database.reservations[reservation_id]
            if old is None:
                self._register(new)
            party = self.party(reservation_id)
            if self._tell is not None:
                self._tell_commit(new)
            self.watch.committed(
                party,
                old,
                new,
                saved_at=unit.saved.get(reservation_id),
            )
            self.promises.committed(party, old, new)
            self.watch.hinted(party, unit.staged)

    def _register(self, new: Reservation) -> None:
        email = self.database.customers[new.reservation_id].email
        party = next(party for party in self.parties if party.customer.email == email)
        party.reservation_id = new.reservation_id
        self._by_id[new.reservation_id] = party

    def _tell_commit(self, new: Reservation) -> None:
        lines = self.database.history[new.reservation_id]
        news = [line.event for line in lines[self._told.get(new.reservation_id, 0) :]]
        self._told[new.reservation_id] = len(lines)
        wakes = new.next_check_at - self.now if new.next_check_at else "never"
        self.say(
            f"{self.name_of(new.reservation_id)} is {new.standing.state}, "
            f"{new.standing.public_status}, v{new.version}; wakes in {wakes}; {', '.join(news)}"
        )

    def number(self) -> int:
        return next(self._numbers)

    def later(self, delay: timedelta, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + delay, self.number(), event))

    def is_down(self, service: Service) -> bool:
        return self.service_down(service.name)

    def mood(self, reference: str, service: str) -> Personality:
        """The character of a provider towards a reservation."""
        if not reference:
            return PERSONALITIES["fast"]
        return self.party(UUID(reference)).moods[Provider(service)]

    def asked(self, service: Service, request: Request) -> None:
        self.requests.check(service, request)

    def heard(self, service: Service, request: Request, answer: Answer) -> None:
        self.answers.take(self._actor, service, request, answer, self.now)

    def told_by_webhook(self, webhook: Webhook) -> None:
        """Note a webhook that was taken: from now on nobody can say that we were not told.

        While a row is hidden, its notice leads to a listing without it.
        """
        if webhook.row.gone or webhook.row.shown(self.now):
            self.announced[webhook.reference, webhook.service.name] = self.now

    def service_down(self, service: str) -> bool:
        return self.now < self.down.get(service, self.began)

    # --- workers

    def cases(self, *, actor: str = "system") -> Cases:
        """Reservations for one invocation. Functions send their hints at once, operators do not."""
        policy, uow = self.random.choice(POLICIES), SimulatedUnitOfWork(self)
        sender = HintSender(uow=uow, publisher=self.queues) if actor == "system" else None
        return Cases(uow=uow, policy=policy, actor=actor, sender=sender)

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run an invocation: in hostile times as a worker that others may overtake, else at once."""
        name = f"{name} #{self.number()}"
        if self.hostile:
            worker = Worker(name, lambda: self._survive(body))
            self.workers.append(worker)
            self.advance(worker)
        else:
            self._actor = name
            self._survive(body)
            self._actor = "world"

    def _survive(self, body: Callable[[], None]) -> None:
        """Run an invocation. A crash or an outage ends it, not the world."""
        try:
            body()
        except CrashError:
            pass
        except UnavailableError as error:
            self.say(f"fails: {error.code}")

    def advance(self, worker: Worker) -> None:
        self._running, self._actor = worker, worker.name
        try:
            worker.advance()
        finally:
            self._running, self._actor = None, "world"
            if worker.ended:
                self.workers.remove(worker)

    def kill(self, worker: Worker) -> None:
        self.say(f"{worker.name} is killed")
        self._running = None
        self.workers.remove(worker)
        worker.kill()

    @contextlib.contextmanager
    def at_once(self, name: str) -> Iterator[None]:
        """Run the block without crashes and without other workers between its steps."""
        hostile, self.hostile, self._actor = self.hostile, False, name
        try:
            yield
        finally:
            self.hostile, self._actor = hostile, "world"

    def owe_webhook(self, service: Service, row: Row, kind: str) -> None:
        """Announce a change of a provider's word. The webhook may be lost, late or sent twice, with the same id."""
        self.turned[row.reference, service.name] = self.now
        webhook = Webhook(service, row, kind, number=self.number())
        for _ in range(self.random.choice((1, 1, 0, 2))):
            late = self.random.random() < VERY_LATE
            delay = self.random.choice(MONTHS if late else (NOW, NOW, 3 * SECOND, 700 * SECOND))
            self.later(delay, lambda: self.deliver_webhook(webhook))

    def end_workers(self) -> None:
        """Kill all workers, so that no thread outlives its schedule."""
        self.hostile = False
        for worker in [*self.workers]:
            with contextlib.suppress(Exception):  # the schedule has failed already
                worker.kill()

    # --- time

    def next_moment(self, *, parked: bool = False, far: bool = False) -> datetime | None:
        """The next due time. Reservations that only wait for a person count if `parked`.

        Looks shortly before a trip count if they are `far`.
        """
        times = [event[0] for event in self.events[:1]]
        times += [message.visible_at for message in self.queues.messages]
        times += [
            row.available_at for row in self.database.outbox.values() if row.status == "pending"
        ]
        for r in self.database.reservations.values():
            if r.next_check_at is not None and (parked or not self._parked(r)):
                times.append(r.next_check_at)
            if r.next_look_at is not None and (far or r.next_look_at <= self.now):
                times.append(r.next_look_at)
        return min(times, default=None)

    def _parked(self, reservation: Reservation) -> bool:
        """True if only the daily reminder for a person is left, or the daily look at a contradiction."""
        facts, at = reservation.facts, reservation.next_check_at
        waits = timedelta(0) if at is None else at - self.now
        busy = any(_is_busy(call, self.now) for call in facts.calls)
        doubtful = any(row.lasts and not row.open for row in facts.contradictions)
        answers = Standing(facts).reviews(self.now)
        watched = Review.DEADLINE in answers or any(row.open for row in facts.contradictions)
        sends = [reservation.send_of(kind) for kind in mails_owed(reservation)]
        # Beside a second booking that is frozen, voucher and mail wait for the person too.
        held_back = bool(Standing(facts).rivals)
        told = held_back or all(send is not None and send.check_at is None for send in sends)
        # What never arrives is sent again, ever later, until a person decides.
        idle = waits > (NEARLY_A_DAY if watched and busy else STANDARD.hint_lease)
        return told and idle and not doubtful and (watched or not busy) and bool(answers)

    def pass_time(self, until: datetime) -> None:
        """Move the clock, stopping at every event from outside."""
        while self.events and self.events[0][0] <= until:
            at, _, event = heapq.heappop(self.events)
            self._set_clock(at)
            event()
        self._set_clock(until)

    def _set_clock(self, at: datetime) -> None:
        self.database.now = max(self.now, at)
        for unit in [*self.open_units]:
            unit.hang_up_if_idle(self.now)


def _is_busy(call: Call, now: datetime) -> bool:
    """`True` for a call with a timer, unless that comes once a day or more seldom.

    What could not be sent is sent again soon, however often: only what never arrives waits longer.
    """
    pause = STANDARD.rung(call.looks) if call.open else timedelta(0)
    if call.status is Status.NOT_FOUND and call.check_at:
        pause = call.check_at - now
    timer = call.open or call.check_at or call.refunds_at
    return bool(timer) and pause < NEARLY_A_DAY
