"""The network between our adapters and the providers: an httpx transport that loses what it carries."""

import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Protocol

import httpx

from tests.proofs.hostile.moods import Personality
from tests.proofs.hostile.rows import Kind
from tests.proofs.hostile.service import Answer, Outside, Service, as_json, failed

HTML = b"<!doctype html><title>Sorry</title><p>We will be back soon."


class Surroundings(Outside, Protocol):
    """The world around the wire."""

    def boundary(self, where: str, *, pause: float = 0) -> None: ...

    def is_down(self, service: Service) -> bool: ...

    def asked(self, service: Service, request: "Request") -> None:
        """Watch a request that reaches the provider."""

    def heard(self, service: Service, request: "Request", answer: Answer) -> None:
        """Watch an answer that comes back whole."""


class Request:
    """A request on the wire: target is path and query, headers have lower-case names."""

    def __init__(self, request: httpx.Request) -> None:
        self.method = request.method
        self.target = request.url.raw_path.decode()
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.body = request.read()

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")

    def reference(self, service: Service) -> str:
        """The reservation that the request is about."""
        path, _, query = self.target.partition("?")
        if query.startswith("reference="):
            return query.removeprefix("reference=")
        parts = path.split("/")
        if len(parts) > 2:
            kind = Kind.BOOKING if parts[1] == "bookings" else Kind.PAYMENT
            row = service.find(parts[2], kind)
            return row.reference if row else ""
        return str(json.loads(self.body)["reference"])

    def __str__(self) -> str:
        return f"{self.method} {self.target}{f' {self.key}' if self.key else ''}"


LONGEST_EXCHANGE = timedelta(seconds=66)


class Switchboard(httpx.BaseTransport):
    """A transport for one client per process; each world connects its own line."""

    def __init__(self) -> None:
        self.line: Callable[[httpx.Request], httpx.Response] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert self.line is not None, "no world is connected"
        return self.line(request)


class Wire:
    """The unreliable way to one provider and back."""

    def __init__(self, service: Service, world: Surroundings) -> None:
        self.service = service
        self._world = world
        self.carried = 0

    def carry(self, request: httpx.Request) -> httpx.Response:
        """Carry a request to its provider and the answer back. Either may be lost."""
        asked, world = Request(request), self._world
        mood = world.mood(asked.reference(self.service), self.service.name)
        began = world.now
        world.boundary(f"before {asked.method}", pause=mood.slow)
        self.carried += 1
        if world.now > began + LONGEST_EXCHANGE:  # a frozen process: its own deadline cuts it
            raise httpx.ReadTimeout("cut", request=request)
        try:
            answer = self._exchanged(asked, mood, request)
        except httpx.TransportError as error:
            world.say(f"{self.service.name}: {asked}: {type(error).__name__}")
            raise
        finally:
            world.boundary(f"after {asked.method}", pause=mood.slow)
        world.say(f"{self.service.name}: {asked}: {answer.status} {answer.body.decode()}")
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def _exchanged(self, asked: Request, mood: Personality, request: httpx.Request) -> Answer:
        world, service = self._world, self.service
        if world.is_down(service) or service.happens(mood.refuses):
            return self._refused(request)
        world.asked(service, asked)
        if service.happens(mood.drops):
            return self._lost(request)
        answer = service.handle(asked.method, asked.target, asked.headers, asked.body)
        if service.happens(mood.silences):
            return self._unreadable(answer, request)
        world.heard(service, asked, answer)
        return answer

    def _refused(self, request: httpx.Request) -> Answer:
        """Nothing reached it: no connection, or an answer that says so."""
        random = self._world.random
        pause = random.choice((None, None, "5", "900", self._a_date()))
        match random.randrange(4):
            case 0:
                raise httpx.ConnectError("refused", request=request)
            case 1:
                raise httpx.ConnectTimeout("no answer to SYN", request=request)
            case 2:
                return failed(429, "too_many", **({"Retry-After": pause} if pause else {}))
        return failed(503, "unavailable", **{"Retry-After": pause or "5"})

    def _a_date(self) -> str:
        """Two minutes ahead, on the provider's clock."""
        at = self._world.now + self.service.skew + timedelta(minutes=2)
        return format_datetime(at, usegmt=True)

    def _lost(self, request: httpx.Request) -> Answer:
        """It did not act, and we cannot know."""
        random = self._world.random
        match random.randrange(4):
            case 0 | 1:
                raise httpx.ReadTimeout("silence", request=request)
            case 2:
                raise httpx.WriteError("reset", request=request)
        return random.choice((failed(500, "failed"), failed(503, "unavailable"), failed(408, "slow"),
                              Answer(502, {"Content-Type": "text/html"}, HTML)))  # fmt: skip

    def _unreadable(self, answer: Answer, request: httpx.Request) -> Answer:
        """It acted, and its answer is lost, cut or nonsense."""
        random = self._world.random
        match random.randrange(6):
            case 0 | 1:
                raise httpx.ReadTimeout("silence", request=request)
            case 2:
                raise httpx.RemoteProtocolError("closed early", request=request)
            case 3:
                return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])
        return random.choice((
            failed(500, "failed"), as_json(200, {"error": {"code": "failed", "message": "no"}}),
            Answer(200, {"Content-Type": "text/html"}, HTML), Answer(504, {}, b""), Answer(204, {}, b""),
        ))  # fmt: skip
