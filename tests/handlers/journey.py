"""A journey on a simulated clock: the real step functions and clients, the simulators' own code, no network.

The clock advances by the production durations: hours and days pass between two lines.
No webhook is ever sent, so each story also proves that losing all of them is harmless.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from local.simulators.provider import Provider, Times
from local.simulators.server import Desk
from local.simulators.storage import Storage
from reservations.adapters.aws.hint_codec import encode_hint
from reservations.adapters.providers.provider_http import ProviderHttp
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.operate import resolve_review
from reservations.application.poll_outbox import poll_outbox
from reservations.domain.facts import Decision, Operation, Status
from reservations.domain.messages import Hint, Queue
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus, Review
from tests.handlers.conftest import Surroundings
from tests.worlds.books import Books
from tests.worlds.builders import PRICE, a_customer, an_offer
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of
from tests.worlds.wire import OverHttpx

READ_LIMIT = timedelta(seconds=10)
_FUNCTION_OF = {
    Queue.PAYMENT: "process_payment",
    Queue.PAYMENT_LOOK: "process_payment",
    Queue.SUPPLIER: "confirm_supplier",
    Queue.SUPPLIER_LOOK: "confirm_supplier",
    Queue.VOUCHER: "issue_voucher",
    Queue.NOTIFICATION: "notify_customer",
}
_LONG = timedelta(days=10)  # longer than any wait of the saga, except for a person


class ProviderNextDoor(httpx.BaseTransport):
    """A simulator without its socket.

    `meanwhile` runs once, during the next request to its path. `mute` holds paths whose next request
    takes effect without an answer.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._desk = Desk(provider)
        self.meanwhile: tuple[str, Callable[[], object]] | None = None
        self.mute: list[str] = []
        self.on_silence: Callable[[], object] = lambda: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        place = f"{request.method} {request.url.path}"
        if self.meanwhile is not None and re.fullmatch(self.meanwhile[0], place):
            _, act = self.meanwhile
            self.meanwhile = None
            act()
        answer, _ = self._desk.answer(
            method=request.method,
            target=request.url.raw_path.decode(),
            headers=dict(request.headers),
            body=request.read(),
        )
        ignored = [pattern for pattern in self.mute if re.fullmatch(pattern, place)]
        self.mute = [pattern for pattern in self.mute if pattern not in ignored]
        if answer.silent or ignored:
            self.on_silence()
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(answer.status, json=answer.body, headers=dict(answer.headers))

    def close(self) -> None:
        self._provider.storage.close()

    def control(self, method: str, path: str, body: bytes = b"") -> dict[str, list[dict[str, Any]]]:
        answer, _ = self._desk.answer(method=method, target=path, headers={}, body=body)
        assert answer.status == httpx.codes.OK, answer.body
        return answer.body

    def faults(self, mode: str) -> None:
        self.control("POST", "/_sim/faults", f'{{"mode": "{mode}"}}'.encode())

    def client(self, *, read_limit: timedelta = READ_LIMIT) -> ProviderHttp:
        return ProviderHttp(
            base_url="http://provider.example",
            api_key="our-key",
            connect_seconds=2,
            read_seconds=read_limit.total_seconds(),
            now=lambda: datetime.now(UTC),  # the functions compute `not_after` by the real clock
            traceparent=lambda: None,
            wire=OverHttpx(self),
        )


@dataclass(slots=True)
class Journey:
    """One reservation, its queues, and both providers."""

    around: Surroundings
    payments: ProviderNextDoor
    supplier: ProviderNextDoor
    reservation_id: UUID
    _queue: list[Hint] = field(default_factory=list)

    # --- time ---

    @property
    def now(self) -> datetime:
        return self.around.database.now

    def wait(self, time: timedelta) -> None:
        self.around.database.now += time

    def travel(self, *, until: Callable[["Journey"], bool]) -> None:
        while not until(self):
            assert self._moves(before=self.now + _LONG), self.stored.facts

    def travel_to_the_end(self) -> None:
        """Advance until nothing is due, or only a person can continue."""
        end = self.now + _LONG
        while self._moves(before=end):
            pass

    def travel_for(self, time: timedelta) -> None:
        end = self.now + time
        while self._moves(before=end):
            pass
        self.around.database.now = max(self.now, end)

    def _moves(self, *, before: datetime) -> bool:
        """Deliver the next hint or advance to the next wake-up. Return `False` if there is neither."""
        hints = (row for row in self.around.database.outbox.values() if row.status == "pending")
        times = (
            self.stored.next_check_at,
            self.stored.next_look_at,
            *(row.available_at for row in hints),
        )
        due = min(filter(None, times), default=None)
        if self._next_hint():
            return True
        if due is None or due > before:
            return False
        self.around.database.now = max(self.now, due)
        return True

    def _next_hint(self) -> bool:
        if not self._queue:
            publisher = self.around.publisher
            poll_outbox(
                uow=self.around.unit_of_work(), publisher=publisher, policy=self.around.policy()
            )
            self._queue, publisher.hints = publisher.hints, []
        if not self._queue:
            return False
        self._deliver(self._queue.pop(0))
        return True

    def _deliver(self, hint: Hint) -> None:
        name = _FUNCTION_OF[hint.queue]
        event = an_event(f"{name}.due")
        event["Records"][0]["body"] = encode_hint(hint)
        verdict = handler_of(name, self.around)(event, a_context())
        assert verdict == {"batchItemFailures": []}, self.around.logs.text

    # --- the traveler ---

    def cancel(self) -> None:
        cases = self.around.prompt_cases()
        with cases.uow as uow:
            cancel_reservation(self.reservation_id, cases=cases)
            uow.commit()
        cases.send_hints()

    def decide(self, decision: Decision) -> None:
        """Resolve the review as an operator, with evidence."""
        resolve_review(
            self.stored.code,
            decision,
            cases=Cases(
                uow=self.around.unit_of_work(),
                policy=self.around.policy(),
                actor="operator:guardia",
            ),
            evidence="TICKET-1",
        )

    @property
    def word(self) -> PublicStatus:
        return self.stored.standing.public_status

    # --- observations ---

    @property
    def stored(self) -> Reservation:
        return self.around.database.reservations[self.reservation_id]

    @property
    def review(self) -> frozenset[Review]:
        return self.stored.standing.reviews(self.now)

    @property
    def events(self) -> list[str]:
        return [line.event for line in self.around.database.history[self.reservation_id]]

    def has(self, operation: Operation, *statuses: Status) -> bool:
        """Return whether the ledger has a row of the operation, in one of `statuses` if given."""
        rows = self.stored.facts.of(operation)
        return any(not statuses or row.status in statuses for row in rows)

    def times_of(self, verb: str) -> list[timedelta]:
        """Times of the requests of a verb, counted from the creation of the reservation."""
        attempts = self.around.database.attempts[self.reservation_id]
        began = self.stored.facts.created_at
        return [attempt.sent_at - began for attempt in attempts if attempt.verb == verb]

    def books(self) -> Books:
        return Books.of(
            str(self.reservation_id),
            payments=self.payments.control("GET", "/_sim/ledger"),
            supplier=self.supplier.control("GET", "/_sim/ledger"),
        )


def departed(
    around: Surroundings,
    payments: ProviderNextDoor,
    supplier: ProviderNextDoor,
    *,
    token: str = "tok_ok",
    offer: str = "HTL-MAD-001",
    days_ahead: int = 60,
) -> Journey:
    """A reservation that was just accepted; `token` and `offer` program the providers."""
    starts_on = around.database.now.date() + timedelta(days=days_ahead)
    command = CreateReservation(
        client_id="web",
        offer=an_offer(offer_id=offer, starts_on=starts_on, ends_on=starts_on + timedelta(days=3)),
        price=PRICE,
        customer=a_customer(payment_token=token),
    )
    cases = around.prompt_cases()
    with cases.uow as uow:
        reservation = create_reservation(command, cases=cases, token_kid="k1")
        uow.commit()
    cases.send_hints()
    return Journey(around, payments, supplier, reservation.reservation_id)


def next_door(
    provider: type[Provider],
    times: Times,
    around: Surroundings,
    *,
    read_limit: timedelta = READ_LIMIT,
) -> ProviderNextDoor:
    """A provider on the clock of the reservation's database. A silent answer takes `read_limit`."""
    storage = Storage(clock=lambda: around.database.now.timestamp())
    door = ProviderNextDoor(provider(times, storage))

    def time_passes() -> None:
        around.database.now += read_limit

    door.on_silence = time_passes
    return door


def times(*, pending: timedelta = timedelta(seconds=30), late: timedelta = timedelta()) -> Times:
    return Times(pending=pending.total_seconds(), late=late.total_seconds())
