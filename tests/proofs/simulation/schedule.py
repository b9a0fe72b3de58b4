"""One schedule: hostile times, calm times until all rests, and an epilogue. The seed decides everything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

from local.simulators.ledger import CANCELLED, SUCCEEDED
from reservations.application.ports import WebhookEvent
from reservations.domain.codes import new_code
from reservations.domain.facts import Provider
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from tests.proofs.simulation.invocations import Invocations
from tests.proofs.simulation.providers import Party, money_of
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.world import World

LEAPS = tuple(timedelta(seconds=seconds) for seconds in (31, 200, 1000, 7300))
OUTAGES = tuple(timedelta(seconds=seconds) for seconds in (300, 1500, 9000))
DAY = timedelta(days=1)  # the last late inquiry might miss later changes
MOST_STEPS = 4000
MOST_REVIEWS = 3  # resolving one may lead to the next
MOST_CALLS = 400  # to providers, for one reservation


class Schedule:
    """All events of one seed."""

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed, tell=tell)
        self._random = self.world.random
        self._do = Invocations(self.world)
        self.world.deliver_webhook = self._do.webhook
        self._steps = 0

    def run(self) -> None:
        """Run a schedule: hostile times, calm times until all rests, and an epilogue.

        Raises:
            ViolationError: a promise was broken.
        """
        with self._seeded_identifiers():
            try:
                self._run()
            finally:
                self.world.end_workers()

    def _run(self) -> None:
        for number, party in enumerate(self.world.parties):
            self.world.say(f"{party.name} pays {party.price}, with {party.mood_names}")
            self.world.later(
                timedelta(seconds=number and self._random.choice((0, 20, 400))),
                partial(self._do.create, party),
            )
        self.world.pass_time(self.world.now)
        for _ in range(self._random.randrange(25, 75) * len(self.world.parties)):
            self._move()
        self.world.hostile = False
        self.world.say("calm times begin")
        self._drain()
        if self._random.random() < 0.7 and self._epilogue():
            self._drain()
        for _ in range(MOST_REVIEWS):
            if self._reviewed():
                self._drain()
        self.world.watch.nothing_in_review()

    def _drain(self) -> None:
        """Make fair moves until nothing is due any more, and check the promises."""
        while self._fair_move():
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise ViolationError("silence", "it does not end")
            if not self.world.workers:
                self._clean_up()
        if self.world.providers.calls > MOST_CALLS * len(self.world.parties):
            raise ViolationError("calls", f"{self.world.providers.calls} calls to providers")
        self.world.watch.at_end()

    def _clean_up(self) -> None:
        """Delete published hints, as `clean_up` does."""
        outbox = self.world.database.outbox
        for row_id in [key for key, row in outbox.items() if row.status == "published"]:
            del outbox[row_id]

    def _epilogue(self) -> bool:
        """Change something long after all rests, and announce it only by a webhook."""
        party = self._some_party()
        if party is None or party.reservation_id is None:
            return False
        change = self._random.choice((self._supplier_cancels, self._second_one_appears))
        provider = change(party)
        if provider is None:
            return False
        self.world.pass_time(self.world.now + timedelta(seconds=180))
        self._webhook_for_sure(provider, party.reservation_id)
        return True

    def _reviewed(self) -> bool:
        """Let operators resolve all reviews at the end. Return true if there was one."""
        answered = [self._do.review(party) for party in self.world.created]
        return any(answered)

    def _webhook_for_sure(self, provider: Provider, reference: UUID) -> None:
        self._do.webhook(
            WebhookEvent(
                provider=provider,
                webhook_id=f"wh_{self.world.number()}",
                type="changed",
                reference=str(reference),
            )
        )

    @contextmanager
    def _seeded_identifiers(self) -> Iterator[None]:
        """Draw ids and codes from the seed: their order decides the order of polling."""
        drawing = (uuid7.__defaults__, new_code.__kwdefaults__)
        uuid7.__defaults__ = (self._random.getrandbits,)
        new_code.__kwdefaults__ = {"choice": self._random.choice}
        try:
            yield
        finally:
            uuid7.__defaults__, new_code.__kwdefaults__ = drawing

    # --- moves

    def _fair_move(self) -> bool:
        """Make the move of a good day. Return false when nothing is left to do."""
        if self.world.workers:
            self.world.advance(self.world.workers[0])
        elif visible := self.world.queues.visible():
            self._do.deliver(visible[0])
        elif (moment := self.world.next_moment()) is None:
            return False
        elif moment <= self.world.now and not (
            self.world.events and self.world.events[0][0] <= self.world.now
        ):
            self._do.poll()
        else:
            self.world.pass_time(max(moment, self.world.now))
        return True

    def _move(self) -> None:
        if self._random.random() < self.world.calm:
            self._fair_move()
        else:
            self._random.choice(self._MOVES)(self)

    def _some_party(self) -> Party | None:
        return self._random.choice(self.world.created) if self.world.created else None

    def _move_worker(self) -> None:
        if self.world.workers:
            self.world.advance(self._random.choice(self.world.workers))

    def _move_message(self) -> None:
        if visible := self.world.queues.visible():
            self._do.deliver(self._random.choice(visible))

    def _move_stray_hint(self) -> None:
        """Queue a stray hint, as from a redrive, an operator or an old duplicate."""
        if party := self._some_party():
            assert party.reservation_id is not None
            self.world.queues.put(
                Hint(
                    message_id=uuid7(self.world.now),
                    queue=self._random.choice(tuple(Queue)),
                    reservation_id=party.reservation_id,
                    type="redriven",
                    occurred_at=self.world.now,
                )
            )

    def _move_cancel(self) -> None:
        party = self._some_party()
        if party and not party.asked_to_cancel and self._random.random() < 0.6:
            self._do.cancel(party)

    def _move_leap(self) -> None:
        leap = self._random.choice(LEAPS)
        self.world.say(f"{leap} pass")
        self.world.pass_time(self.world.now + leap)

    def _move_freeze(self) -> None:
        """Freeze the running workers, as SIGSTOP does, while the world goes on."""
        frozen, self.world.workers = self.world.workers, []
        for _ in range(self._random.choice((4, 12, 30))):
            self._fair_move()
        self.world.workers += frozen

    def _move_kill(self) -> None:
        if self.world.workers:
            self.world.kill(self._random.choice(self.world.workers))

    def _move_outage(self) -> None:
        service = self._random.choice((*Provider, "store", "mail", "queues"))
        outages = OUTAGES if service in tuple(Provider) else OUTAGES[:2]
        self.world.down[service] = self.world.now + self._random.choice(outages)
        self.world.say(f"{service} is down until {self.world.down[service] - self.world.began}")

    def _move_supplier_cancels(self) -> None:
        party = self._some_party()
        if party and self.world.now < self.world.began + DAY and self._random.random() < 0.4:
            self._supplier_cancels(party)

    def _move_second_one(self) -> None:
        party = self._some_party()
        if party and self.world.now < self.world.began + DAY and self._random.random() < 0.5:
            self._second_one_appears(party)

    def _move_operator(self) -> None:
        if party := self._some_party():
            if self._random.random() < 0.7:
                self._do.review(party)
            else:
                self._do.check_now(party)

    def _move_poll(self) -> None:
        self._do.poll()

    _MOVES = (
        _move_worker,
        _move_worker,
        _move_message,
        _move_message,
        _move_poll,
        _move_stray_hint,
        _move_cancel,
        _move_leap,
        _move_freeze,
        _move_freeze,
        _move_kill,
        _move_outage,
        _move_supplier_cancels,
        _move_second_one,
        _move_operator,
    )

    # --- changes from outside

    def _supplier_cancels(self, party: Party) -> Provider | None:
        """Cancel a booking. Return the provider, or `None` without a booking."""
        assert party.reservation_id is not None
        for booking in self.world.providers.bookings.of(party.reservation_id):
            if booking.status == SUCCEEDED:
                self.world.providers.bookings.end(booking, CANCELLED)
                party.supplier_cancelled = True
                self.world.say(f"the supplier cancels {booking.provider_id}")
                self.world.notify(Provider.SUPPLIER, party.reservation_id)
                return Provider.SUPPLIER
        return None

    def _second_one_appears(self, party: Party) -> Provider | None:
        """Make a second payment or booking under our reference. Return its provider, or `None`."""
        assert party.reservation_id is not None
        providers = self.world.providers
        ledgers = [providers.payments, providers.bookings]
        for ledger in self._random.sample(ledgers, k=2):
            made = ledger.of(party.reservation_id)
            if made and not party.repeated:
                party.repeated = True
                money = money_of(made[0])
                second = money and self._random.choice((money, party.price))
                providers.make(ledger, party.reservation_id, money=second)
                return providers.provider_of(ledger)
        return None
