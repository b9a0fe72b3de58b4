"""A written schedule on the virtual clock: the real use cases, and providers that follow the script."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx

from reservations.application import operate
from reservations.domain.decisions import DecisionRefusedError
from reservations.domain.facts import Decision, Provider
from reservations.domain.money import Money
from reservations.domain.reservation import Customer, Language, Offer, Reservation
from tests.proofs.hostile.moods import Personality
from tests.proofs.hostile.rows import Row
from tests.proofs.hostile.service import Answer, Service, as_json
from tests.proofs.hostile.webhooks import Webhook
from tests.proofs.hostile.wire import HTML, Request, Wire
from tests.proofs.simulation.judge import Judge
from tests.proofs.simulation.providers import Party
from tests.proofs.simulation.rules import ViolationError
from tests.proofs.simulation.schedule import Schedule
from tests.proofs.simulation.script import FIRST, Rows, Script, span
from tests.proofs.simulation.world import World

PLAIN = Personality(pends=0, declines=0)
AFTERWARDS = timedelta(days=10)
MOST_CALLS = 600  # to providers


class Stage:
    """One script in a world without chance."""

    def __init__(self, script: Script, *, tell: Callable[[str], None] | None = None) -> None:
        self.script = script
        self._schedule = Schedule(0, tell=tell)
        self.world = world = self._schedule.world
        world.hostile = False
        self._party = _party(script, world)
        world.parties = [self._party]
        self.judge = Judge(world, script)
        world.asked = self._asked  # type: ignore[method-assign]
        self._lines = {s.name: _Line(s, world) for s in world.providers.services}
        for line in self._lines.values():
            world.providers.connect(line)
        self._rows: Rows | None = None

    def play(self) -> None:
        """Run the script to its end.

        Raises:
            ViolationError: a `never` happened, or a `must` did not.
        """
        with self._schedule.seeded_identifiers():
            self._play()

    def _play(self) -> None:
        schedule, world = self._schedule, self.world
        self._first_answers()
        schedule.do.create(self._party)
        self._live_until(world.began + FIRST)
        self._rows = Rows(*world.providers.services, str(self._party.reservation_id))
        for at, what in sorted(self._moments(), key=lambda moment: moment[0]):
            self._live_until(world.began + at)
            what()
        self._live_until(max(world.now, self._trip_ends) + AFTERWARDS)
        self.judge.end(self._stored)

    def _moments(self) -> Iterator[tuple[timedelta, Callable[[], None]]]:
        """The events in their order, then what must be so by a time."""
        for event in self.script.events:
            if not self._is_first(event):
                yield span(event["at"]), partial(self._happens, event)
        for must in self.script.must:
            if "by" in must:
                yield span(must["by"]), partial(self._judge_by, must)

    def _judge_by(self, must: dict[str, Any]) -> None:
        self.judge.by(self._stored, must)

    def _live_until(self, at: datetime) -> None:
        while (
            moment := self.world.next_moment(parked=True, far=True)
        ) is not None and moment <= at:
            self._schedule.fair_move(parked=True, far=True)
            self.judge.watch(self._stored)
            if self.world.providers.calls > MOST_CALLS:
                raise ViolationError("calls", "requests without end")
        self.world.pass_time(at)

    @property
    def _trip_ends(self) -> datetime:
        return self.world.began + timedelta(days=self.script.starts_in_days)

    @property
    def _stored(self) -> Reservation:
        assert self._party.reservation_id is not None
        return self.world.database.reservations[self._party.reservation_id]

    # --- events

    def _is_first(self, event: dict[str, Any]) -> bool:
        return span(event["at"]) <= FIRST and event.get("row") == "ours"

    def _first_answers(self) -> None:
        for event in self.script.events:
            if not self._is_first(event):
                continue
            service = next(s for s in self.world.providers.services if s.name == event["provider"])
            if event.get("remove"):
                self._lines[service.name].loses = True
            else:
                service.first[service.main] = event["set"]["status"]

    def _happens(self, event: dict[str, Any]) -> None:
        self.world.say(f"  script: {event}")
        if "traveler" in event:
            self._cancel()
        elif "person" in event:
            self._decide(*event["person"].split())
        elif "answers" in event:
            self._lines[event["provider"]].answers(event["answers"].split(","), self._until(event))
        else:
            self._provider_acts(event)

    def _until(self, event: dict[str, Any]) -> datetime:
        return self.world.began + span(event["until"])

    def _provider_acts(self, event: dict[str, Any]) -> None:
        assert self._rows is not None
        service = self._rows.service(event["provider"])
        line = self._lines[service.name]
        line.loses = False
        for row in self._rows.apply(event):
            self.judge.turned(service)
            announced = event.get("webhook", True)
            if announced:
                webhook = Webhook(service, row, "updated", number=self.world.number(), sure=True)
                late = span(announced) if isinstance(announced, str) else timedelta(0)
                self.world.later(late, partial(self._schedule.do.webhook, webhook))

    def _cancel(self) -> None:
        self._party.asked_to_cancel = True
        self._schedule.do.cancel(self._party)

    def _decide(self, decision: str, evidence: str = "E-1") -> None:
        """Let a person answer the open review that the decision can answer."""
        if decision == "cancel":
            self._party.let_go = True
            operate.cancel(self._stored.code, cases=self.world.cases(actor="operator"))
            return
        if decision in ("gone", "rebooked", "cancelled"):
            self._party.let_go = True
        if evidence == "ours" and self._rows is not None:
            evidence = self._rows.our_booking
        self.world.attested.add(evidence)
        self.judge.decided(self._stored, decision)
        for target in (None, *self._subjects()):
            try:
                operate.resolve_review(
                    self._stored.code, Decision(decision), evidence=evidence, target=target,
                    cases=self.world.cases(actor="operator"),
                )  # fmt: skip
            except DecisionRefusedError as refusal:
                self.world.say(f"refused: {refusal}")
            else:
                return

    def _subjects(self) -> list[str]:
        return [one.subject for one in getattr(self._stored.facts, "contradictions", ())]

    def _asked(self, service: Service, request: Request) -> None:
        self.world.requests.check(service, request)
        self.judge.asked(self._stored, service, request)


def _party(script: Script, world: World) -> Party:
    amount, _, currency = script.price.partition(" ")
    starts_on = world.began.date() + timedelta(days=script.starts_in_days)
    return Party(
        name="R1",
        customer=Customer(
            full_name="Traveler R1",
            email="r1@example.com",
            phone="+34600111220",
            payment_token="token of R1",
            language=Language.SPANISH,
        ),
        offer=Offer(
            offer_id="HTL-R1",
            description="Hotel Sol, doble",
            starts_on=starts_on,
            ends_on=starts_on + timedelta(days=3),
            guests=2,
        ),
        price=Money.parse(amount, currency),
        moods=dict.fromkeys(Provider, PLAIN),
        mood_names="plain providers",
    )


class _Line(Wire):
    """The way to one provider, with the ways of answering that a script asks for."""

    def __init__(self, service: Service, world: World) -> None:
        super().__init__(service, world)
        self.loses = False  # its rows are made, and neither answered nor listed
        self._ways: list[str] = []
        self._until: datetime = world.began
        self._answered: set[str] = set()

    def answers(self, ways: list[str], until: datetime) -> None:
        self._ways, self._until = ways, until

    def _exchanged(self, asked: Request, mood: Personality, request: httpx.Request) -> Answer:
        ways = self._ways if self._world.now < self._until else []
        if asked.key is not None and "500_sticky_per_key" in ways:
            return as_json(500, {"error": {"code": "failed", "message": "kept"}})
        if asked.key in self._answered and "409_on_repeat" in ways:
            return as_json(409, {"error": {"code": "in_progress", "message": "in use"}})
        before = {id(row) for row in self.service.rows}
        answer = super()._exchanged(asked, mood, request)
        made = [row for row in self.service.rows if id(row) not in before]
        if self.loses and made:
            _lose(made)
            raise httpx.ReadTimeout("silence", request=request)
        return self._changed(answer, ways, asked, request)

    def _changed(
        self, answer: Answer, ways: list[str], asked: Request, request: httpx.Request
    ) -> Answer:
        if asked.key is not None and "act_then_timeout" in ways:
            self._answered.add(asked.key)
            raise httpx.ReadTimeout("silence", request=request)
        if "html_200" in ways:
            return Answer(200, {"Content-Type": "text/html"}, HTML)
        if "error_inside_200" in ways:
            return as_json(200, {"error": {"code": "failed", "message": "no"}})
        if asked.method == "GET" and "listing_stale" in ways and "/refunds" in asked.target:
            return as_json(200, {"refunds": []})
        if asked.method == "GET" and "first_page_without_ours" in ways:
            return as_json(200, {"bookings": [], "next": "/bookings?after=10"})
        return answer


def _lose(rows: list[Row]) -> None:
    for row in rows:
        row.gone = True
