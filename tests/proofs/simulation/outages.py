"""A provider that is ill for half an hour under load, with and without a circuit breaker.

`make outages` prints the table of ADR-012. The use cases, the poller and its pauses are the real ones and the durations
those of production; time is virtual, so no figure depends on the machine.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from random import Random
from uuid import UUID

from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.issue_voucher import issue_voucher
from reservations.application.notify_customer import Vouchers, notify_customer
from reservations.application.poll_outbox import poll_until
from reservations.application.ports import (
    Mail,
    MailAccepted,
    Mailer,
    MessagePublisher,
    PaymentRequest,
    PaymentsApi,
    Published,
    Reply,
    SupplierApi,
)
from reservations.application.process_payment import process_payment
from reservations.config import Timeouts
from reservations.domain.access_token import KeyRing
from reservations.domain.facts import Listing, NoAnswer, NotSent, Outcome, Provider, Seen, Status
from reservations.domain.messages import Hint, Queue
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Policy
from reservations.domain.reservation import Customer, Language, Offer
from reservations.domain.saga import QUEUE_OF, PublicStatus, Verb, public_status
from tests.proofs.simulation.breaker import Perform, Request, clock, guarded
from tests.proofs.simulation.timeline import Lane, Timeline
from tests.template.resources import functions
from tests.worlds.fakes import InMemoryDocumentStore, InMemoryUnitOfWork, PlainRenderer

MINUTE = 60
ILL_S = 30 * MINUTE
FLAP_S = MINUTE
PATIENCE_S = 4 * 60 * MINUTE
CROWD = 300  # reservations in the first minute, and as many in the 29 after it
WELL_S = 0.3  # what a healthy provider takes to answer
READ_S = {
    Provider.PAYMENTS: Timeouts().payments_read,
    Provider.SUPPLIER: Timeouts().supplier_read,
}
STEPS = {
    Queue.PAYMENT: "process_payment",
    Queue.SUPPLIER: "confirm_supplier",
    Queue.VOUCHER: "issue_voucher",
    Queue.NOTIFICATION: "notify_customer",
}
REQUEST = CreateReservation(
    client_id="web",
    offer=Offer(
        offer_id="HTL-MAD-001",
        description="Hotel Sol, doble",
        starts_on=date(2027, 5, 1),
        ends_on=date(2027, 5, 4),
        guests=2,
    ),
    price=Money(34250, "EUR"),
    customer=Customer(
        full_name="Ana Pérez",
        email="ana@example.com",
        phone=None,
        payment_token="tok_ok",
        language=Language.SPANISH,
    ),
)


class Illness(StrEnum):
    """How a provider is ill, as the table says it."""

    REFUSES = "rechaza conexiones"
    SILENT = "no contesta"
    FLAPS = "no contesta un minuto sí y otro no"
    SLOW = "lento, al 80 % del límite"


class Patient:
    """A provider that is ill at first; what it is asked while silent is lost, the worst case for us."""

    def __init__(self, timeline: Timeline, illness: Illness | None, *, read_s: float) -> None:
        self._timeline = timeline
        self._illness = illness
        self._read_s = read_s
        self._rows: dict[UUID, Seen] = {}
        self._busy = 0
        self.calls: list[float] = []
        self.most_at_once = 0

    def perform(self, request: Request) -> Reply:
        self.calls.append(self._timeline.now_s)
        seconds, failure = self._symptom(self._timeline.now_s)
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        self._timeline.sleep(seconds)
        self._busy -= 1
        outcome = failure or self._answer(request)
        return Reply(outcome=outcome, http_status=None, elapsed_ms=round(seconds * 1000))

    def _symptom(self, now_s: float) -> tuple[float, Outcome | None]:
        well = now_s >= ILL_S or (self._illness is Illness.FLAPS and now_s // FLAP_S % 2 == 1)
        match None if well else self._illness:
            case Illness.REFUSES:
                return 0.01, NotSent()
            case Illness.SILENT | Illness.FLAPS:
                return self._read_s, NoAnswer()
            case Illness.SLOW:
                return 0.8 * self._read_s, None
        return WELL_S, None

    def _answer(self, request: Request) -> Outcome:
        made = self._rows.get(request.reference)
        if request.verb is Verb.INQUIRE:
            return Listing.of([made] if made else [])
        money = request.money if isinstance(request, PaymentRequest) else None
        made = made or Seen(provider_id=request.key, status=Status.SUCCEEDED, money=money)
        self._rows[request.reference] = made
        return made


class Api(PaymentsApi, SupplierApi):
    """Either provider, as the steps call it."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def perform(self, request: Request) -> Reply:
        return self._perform(request)


class Post(Mailer):
    def send(self, mail: Mail) -> MailAccepted:
        return MailAccepted(mail.code)


class Outage(MessagePublisher):
    """All that is accepted while a provider is ill, until none of it is on its way any more."""

    def __init__(self, sick: Provider, illness: Illness, *, breaker: bool, crowd: int) -> None:
        self._arrivals = [MINUTE * n / crowd for n in range(crowd)]
        self._arrivals += [MINUTE + (ILL_S - MINUTE) * n / crowd for n in range(crowd)]
        self.timeline = Timeline()
        self.patient = Patient(self.timeline, illness, read_s=READ_S[sick])
        self.accepted: dict[UUID, float] = {}
        self.ended: dict[UUID, tuple[float, PublicStatus]] = {}
        self.lanes = {queue: self._lane(queue) for queue in Queue}
        perform: Perform = self.patient.perform
        if breaker:
            perform = guarded(perform, now=self._now)
        healthy = Patient(self.timeline, None, read_s=0)
        self._apis = {provider: Api(healthy.perform) for provider in Provider} | {
            sick: Api(perform)
        }
        self._store, self._renderer = InMemoryDocumentStore(), PlainRenderer()
        self._mailer = Post()
        self._random = Random(0)

    def _lane(self, queue: Queue) -> Lane:
        event = functions()[STEPS[queue]]["Events"]
        [source] = (e["Properties"] for e in event.values() if e["Type"] == "SQS")
        return Lane(self.timeline, self._step, slots=source["ScalingConfig"]["MaximumConcurrency"])

    def run(self) -> None:
        for at in self._arrivals:
            self.timeline.later(at, lambda: self.timeline.start("create", self._create))
        self.timeline.start("poller", self._poll)
        with clock(self._now):
            self.timeline.run(self._over)

    def _now(self) -> datetime:
        return self.timeline.database.now

    def _over(self) -> bool:
        return len(self.ended) == len(self._arrivals) or self.timeline.now_s > PATIENCE_S

    # --- what invocations do

    def _unit(self) -> tuple[InMemoryUnitOfWork, Policy]:
        policy = STANDARD.jittered(self._random.uniform(0.8, 1.2))
        return InMemoryUnitOfWork(self.timeline.database, policy=policy), policy

    def _create(self) -> None:
        uow, policy = self._unit()
        with uow:
            made = create_reservation(REQUEST, uow=uow, policy=policy, token_kid="k1")
            uow.commit()
        self.accepted[made.reservation_id] = self.timeline.now_s

    def _poll(self) -> None:
        uow, _ = self._unit()
        poll_until(lambda: False, uow=uow, publisher=self, policy=STANDARD, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        """Between rounds; what was published is deleted, as `clean_up` does."""
        outbox = self.timeline.database.outbox
        for row_id in [row_id for row_id, row in outbox.items() if row.status == "published"]:
            del outbox[row_id]
        self.timeline.sleep(seconds)

    def publish(self, hints: Sequence[Hint]) -> Published:
        for hint in hints:
            self.lanes[hint.queue].put(hint)
        return Published(accepted=frozenset(hint.message_id for hint in hints), refused=frozenset())

    def _step(self, hint: Hint) -> None:
        self._take(hint.queue, hint.reservation_id)
        facts = self.timeline.database.reservations[hint.reservation_id].facts
        word = public_status(facts)
        if word is not PublicStatus.EN_PROCESO:
            self.ended.setdefault(hint.reservation_id, (self.timeline.now_s, word))

    def _take(self, queue: Queue, reservation_id: UUID) -> None:
        uow, policy = self._unit()
        not_after = self._now() + timedelta(days=1)
        match queue:
            case Queue.PAYMENT:
                process_payment(
                    reservation_id, uow=uow, payments=self._apis[Provider.PAYMENTS],
                    policy=policy, not_after=not_after,
                )  # fmt: skip
            case Queue.SUPPLIER:
                confirm_supplier(
                    reservation_id, uow=uow, supplier=self._apis[Provider.SUPPLIER],
                    policy=policy, not_after=not_after,
                )  # fmt: skip
            case Queue.VOUCHER:
                issue_voucher(
                    reservation_id, uow=uow, renderer=self._renderer, store=self._store,
                    policy=policy, keys=KeyRing(current="k1", keys={"k1": bytes(32)}),
                    support_contact="soporte@example.com",
                )  # fmt: skip
            case Queue.NOTIFICATION:
                notify_customer(
                    reservation_id, uow=uow, mailer=self._mailer, policy=policy,
                    vouchers=Vouchers(store=self._store, renderer=self._renderer),
                    support_contact="soporte@example.com",
                )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run cost and how fast it was over."""

    calls_per_minute: float  # to the provider, while it is ill
    busy_s: float  # of functions, meanwhile
    first_minute: int  # calls to the provider once it is well
    most_per_second: int
    most_at_once: int  # calls that the provider held at the same time
    confirmed_after_min: tuple[float, ...]  # minutes from recovery to 50, 95 and 100 %
    waited_min: float  # from 202 to CONFIRMADA, the 95th percentile in minutes
    lost: int  # accepted, and not CONFIRMADA in the end
    most_waiting: int  # messages in its queue


def measure(sick: Provider, illness: Illness, *, breaker: bool, crowd: int = CROWD) -> Figures:
    outage = Outage(sick, illness, breaker=breaker, crowd=crowd)
    outage.run()
    calls, lane = outage.patient.calls, outage.lanes[QUEUE_OF[sick]]
    confirmed = {
        key: at for key, (at, word) in outage.ended.items() if word is PublicStatus.CONFIRMADA
    }
    total, times = len(outage.accepted), sorted(confirmed.values())
    waits = sorted(at - outage.accepted[key] for key, at in confirmed.items())
    after = [at for at in calls if ILL_S <= at < ILL_S + MINUTE]
    return Figures(
        calls_per_minute=sum(at < ILL_S for at in calls) / (ILL_S / MINUTE),
        busy_s=sum(max(0, min(to, ILL_S) - since) for since, to in lane.spans),
        first_minute=len(after),
        most_per_second=max(Counter(map(int, after)).values(), default=0),
        most_at_once=outage.patient.most_at_once,
        confirmed_after_min=tuple(
            _after_recovery(times, round(total * share)) for share in (0.5, 0.95, 1)
        ),
        waited_min=waits[int(len(waits) * 0.95) - 1] / MINUTE if waits else float("inf"),
        lost=total - len(confirmed),
        most_waiting=lane.most_waiting,
    )


def _after_recovery(times: Sequence[float], count: int) -> float:
    """Minutes; 0 when they were confirmed while it was ill."""
    return max(0, times[count - 1] - ILL_S) / MINUTE if count <= len(times) else float("inf")


HEAD = (
    "Enfermo", "Cómo", "Cortacircuitos", "Llamadas/min", "s de función", "1.er min sano",
    "Máx/s", "A la vez", "50/95/100 % (min)", "Espera p95 (min)", "No confirmadas", "Cola máx.",
)  # fmt: skip


def main() -> None:
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for sick in map(Provider, sys.argv[1:] or Provider):
        for illness in Illness:
            for breaker in (False, True):
                row = _row(measure(sick, illness, breaker=breaker))
                print(f"| {sick} | {illness} | {'sí' if breaker else 'no'} | {row} |", flush=True)


def _row(figures: Figures) -> str:
    done = "/".join(f"{minutes:.1f}" for minutes in figures.confirmed_after_min)
    return (
        f"{figures.calls_per_minute:.1f} | {figures.busy_s:.0f} | {figures.first_minute} | "
        f"{figures.most_per_second} | {figures.most_at_once} | {done} | {figures.waited_min:.1f} | {figures.lost} | "
        f"{figures.most_waiting}"
    )


if __name__ == "__main__":
    main()
