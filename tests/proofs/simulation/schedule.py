"""One schedule: hostile times, calm times until all rests, and an epilogue. The seed decides everything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

from reservations.domain.codes import new_code
from reservations.domain.facts import Provider
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from tests.proofs.hostile.rows import Kind, Row
from tests.proofs.hostile.service import Service
from tests.proofs.hostile.turns import TURNS, Both
from tests.proofs.hostile.webhooks import Webhook
from tests.proofs.simulation.invocations import Invocations
from tests.proofs.simulation.providers import Party
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.world import World

LEAPS = tuple(timedelta(seconds=seconds) for seconds in (31, 200, 1000, 7300))
OUTAGES = tuple(timedelta(seconds=seconds) for seconds in (300, 1500, 9000))
LONG_AFTER = tuple(timedelta(days=days) for days in (0.01, 0.2, 3, 3, 25, 70))
SOON_DECIDED = 0.3  # of the changes: a person decides before the provider has said its last word
DAY = timedelta(days=1)  # the last late inquiry might miss later changes
MOST_STEPS = 4000
MOST_REVIEWS = 3  # resolving one may lead to the next
MOST_CALLS = 400  # to providers, for one reservation


Changed = tuple[Service, Row]


class Schedule:
    """All events of one seed."""

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed, tell=tell)
        self._random = self.world.random
        self.do = Invocations(self.world)
        self.world.deliver_webhook = self.do.webhook
        self._steps = 0

    def run(self) -> None:
        """Run a schedule: hostile times, calm times until all rests, and an epilogue.

        Raises:
            ViolationError: a promise was broken.
        """
        with self.seeded_identifiers():
            try:
                self._run()
            finally:
                self.world.end_workers()

    def _run(self) -> None:
        for number, party in enumerate(self.world.parties):
            self.world.say(f"{party.name} pays {party.price}, with {party.mood_names}")
            self.world.later(
                timedelta(seconds=number and self._random.choice((0, 20, 400))),
                partial(self.do.create, party),
            )
        self.world.pass_time(self.world.now)
        for _ in range(self._random.randrange(25, 75) * len(self.world.parties)):
            self._move()
        self.world.hostile = False
        self.world.say("calm times begin")
        self._drain(far=False)
        if self._random.random() < 0.7 and self._epilogue():
            self._drain(far=False)
        self._review_all()
        if self._random.random() < 0.4 and self._epilogue():
            self._drain(far=False)  # after decisions of persons, which answer no news
            self._review_all()
        self._drain(far=True)
        self._review_all()
        self.world.watch.nothing_in_review()

    def _review_all(self) -> None:
        for _ in range(MOST_REVIEWS):
            if self._reviewed():
                self._drain(far=False)

    def _drain(self, *, far: bool) -> None:
        """Make fair moves until nothing is due any more, and check the promises.

        Looks shortly before the trips are taken too if they are `far`.
        """
        while self.fair_move(far=far):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise ViolationError("silence", "it does not end")
            if not self.world.workers:
                self._clean_up()
        if self.world.providers.calls > MOST_CALLS * len(self.world.parties):
            raise ViolationError("calls", f"{self.world.providers.calls} calls to providers")
        self.world.watch.at_end(far=far)

    def _clean_up(self) -> None:
        """Delete published hints, as `clean_up` does."""
        outbox = self.world.database.outbox
        for row_id in [key for key, row in outbox.items() if row.status == "published"]:
            del outbox[row_id]

    def _epilogue(self) -> bool:
        """Change something long after all rests, and announce it only by a webhook."""
        changed = False
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._live_until(self.world.now + self._random.choice(LONG_AFTER))
            party = self._some_party()
            if party is None or party.reservation_id is None:
                break
            if news := self._random.choice(self._CHANGES)(self, party):
                changed = True
                self.world.pass_time(self.world.now + timedelta(seconds=180))
                self._webhook_for_sure(*news)
                if self._random.random() < SOON_DECIDED:
                    self._live_until(self.world.now + timedelta(hours=1))
                    self._reviewed()
        return changed

    def _live_until(self, at: datetime) -> None:
        """Make fair moves until then, whatever waits for a person."""
        while (
            moment := self.world.next_moment(parked=True, far=True)
        ) is not None and moment <= at:
            self.fair_move(parked=True, far=True)
        self.world.pass_time(at)

    def _reviewed(self) -> bool:
        """Let operators resolve all reviews at the end. Return true if there was one."""
        answered = [self.do.review(party) for party in self.world.created]
        return any(answered)

    def _webhook_for_sure(self, service: Service, row: Row) -> None:
        webhook = Webhook(service, row, "changed", number=self.world.number(), sure=True)
        self.do.webhook(webhook)

    @contextmanager
    def seeded_identifiers(self) -> Iterator[None]:
        """Draw ids and codes from the seed: their order decides the order of polling."""
        drawing = (uuid7.__defaults__, new_code.__kwdefaults__)
        uuid7.__defaults__ = (self._random.getrandbits,)
        new_code.__kwdefaults__ = {"choice": self._random.choice}
        try:
            yield
        finally:
            uuid7.__defaults__, new_code.__kwdefaults__ = drawing

    # --- moves

    def fair_move(self, *, parked: bool = False, far: bool = False) -> bool:
        """Make the move of a good day. Return false when nothing is left to do."""
        if self.world.workers:
            self.world.advance(self.world.workers[0])
        elif visible := self.world.queues.visible():
            self.do.deliver(visible[0])
        elif (moment := self.world.next_moment(parked=parked, far=far)) is None:
            return False
        elif moment <= self.world.now and not (
            self.world.events and self.world.events[0][0] <= self.world.now
        ):
            self.do.poll()
        else:
            self.world.pass_time(max(moment, self.world.now))
        return True

    def _move(self) -> None:
        if self._random.random() < self.world.calm:
            self.fair_move()
        else:
            self._random.choice(self._MOVES)(self)

    def _some_party(self) -> Party | None:
        return self._random.choice(self.world.created) if self.world.created else None

    def _move_worker(self) -> None:
        if self.world.workers:
            self.world.advance(self._random.choice(self.world.workers))

    def _move_message(self) -> None:
        if visible := self.world.queues.visible():
            self.do.deliver(self._random.choice(visible))

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
            self.do.cancel(party)

    def _move_leap(self) -> None:
        leap = self._random.choice(LEAPS)
        self.world.say(f"{leap} pass")
        self.world.pass_time(self.world.now + leap)

    def _move_freeze(self) -> None:
        """Freeze the running workers, as SIGSTOP does, while the world goes on."""
        frozen, self.world.workers = self.world.workers, []
        for _ in range(self._random.choice((4, 12, 30))):
            self.fair_move()
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
        if not party or self.world.now >= self.world.began + DAY or self._random.random() < 0.5:
            return
        if news := self._second_one_appears(party):
            delay = self._random.choice(LEAPS)
            self.world.later(delay, lambda: self._webhook_for_sure(*news))

    def _move_turn(self) -> None:
        party = self._some_party()
        if party and self._random.random() < 0.5:
            self._turn(party)

    def _move_operator(self) -> None:
        if party := self._some_party():
            if self._random.random() < 0.7:
                self.do.review(party)
            else:
                self.do.check_now(party)

    def _move_poll(self) -> None:
        self.do.poll()

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
        _move_turn,
        _move_operator,
    )

    # --- changes from outside

    def _turn(self, party: Party) -> Changed | None:
        """Let a provider change its word. Return `None` where it has none to change."""
        providers, reference = self.world.providers, str(party.reservation_id)
        turn = self._random.choice(TURNS)
        changed = turn(Both(providers.payments, providers.supplier, self._random), reference)
        if changed is not None:
            service, row = changed
            self.world.say(f"  truth: {turn.__name__}: {row}")
            self.world.owe_webhook(service, row, "updated")
        return changed

    def _supplier_cancels(self, party: Party) -> Changed | None:
        """Cancel a booking. Return `None` without a booking."""
        supplier = self.world.providers.supplier
        for booking in supplier.of(party.reservation_id, Kind.BOOKING):
            if booking.good:
                supplier.change(booking, "cancelled")
                supplier.outside.owe_webhook(supplier, booking, "cancelled")
                return supplier, booking
        return None

    def _second_one_appears(self, party: Party) -> Changed | None:
        """Make a second payment or booking under our reference. Return `None` without a first."""
        repeated, reference = self.world.providers.repeated, str(party.reservation_id)
        if reference in repeated:
            return None
        for second in self._random.sample((self._second_payment, self._second_booking), k=2):
            if made := second(reference, party):
                repeated.add(reference)
                return made
        return None

    def _second_payment(self, reference: str, party: Party) -> Changed | None:
        payments = self.world.providers.payments
        if not (made := payments.of(reference, Kind.PAYMENT)):
            return None
        minor = self._random.choice((made[0].minor, party.price.minor))
        currency = made[0].currency
        return payments, payments.make(Kind.PAYMENT, reference, minor=minor, currency=currency)

    def _second_booking(self, reference: str, party: Party) -> Changed | None:
        supplier = self.world.providers.supplier
        if not (made := supplier.of(reference, Kind.BOOKING)):
            return None
        return supplier, supplier.make_booking(reference, made[0].asked, key=None)

    _CHANGES = (_supplier_cancels, _second_one_appears, *[_turn] * 6)
