"""The HTTP side of the simulators: routes, credentials, keys, faults, silence and control."""

import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, HttpUrl, TypeAdapter, ValidationError

from local.simulators.ledger import NoSuchEntryError
from local.simulators.moods import MOODS, Asked, Mood, kind
from local.simulators.provider import (
    Answer,
    Body,
    Provider,
    RefusedError,
    Request,
    Route,
    failure,
)
from local.simulators.rows import change_row, rows_of
from local.simulators.storage import Kept
from local.simulators.webhooks import key_of

_BODY_LIMIT = 64 * 1024
_DRAIN_LIMIT = 1024 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OUTAGE = failure(503, "unavailable", "nothing was done, come back", Retry_After="2")
_URL = TypeAdapter(HttpUrl)


class Faults(Body):
    """`outage` does nothing and says so; `slow` acts at once and answers after `latency_ms`."""

    mode: Literal["ok", "outage", "slow"]
    latency_ms: int = Field(default=0, ge=0, le=120_000)


class WebhookTarget(Body):
    url: str = Field(min_length=1, max_length=2048)
    secret: str = Field(min_length=1, max_length=255)


class MoodSetting(Body):
    """A hostile mood of `moods.py`, or `None`: keep every promise."""

    mood: str | None


class Answering(Protocol):
    """Answers requests for a service."""

    def answer(
        self,
        *,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        gone: Callable[[], bool],
    ) -> tuple[Answer, float]:
        """Return the answer, and the seconds to wait before giving it. `gone`: the caller has hung up."""


class Desk:
    """Answers requests for one provider. Without an `api_key` any key is right."""

    def __init__(self, provider: Provider, *, api_key: str | None = None) -> None:
        self._provider = provider
        self._api_key = api_key
        self._mood = _mood_of(provider.settings.get("mood", {}).get("mood"))
        self._control = (
            Route("GET", "/_sim/health", Desk._health),
            Route("GET", "/_sim/ledger", Desk._books),
            Route("GET", "/_sim/rows", Desk._rows),
            Route("POST", "/_sim/rows", Desk._change_row),
            Route("GET", "/_sim/mood", Desk._current),
            Route("POST", "/_sim/faults", Desk._set_faults),
            Route("POST", "/_sim/mood", Desk._set_mood),
            Route("POST", "/_sim/webhook", Desk._set_webhook),
            Route("POST", "/_sim/reset", Desk._reset),
        )

    def answer(
        self,
        *,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        gone: Callable[[], bool] = lambda: False,
    ) -> tuple[Answer, float]:
        """Return the answer, and the seconds to wait before giving it. `gone`: the caller has hung up."""
        delay = 0.0

        def act(asked: Asked) -> Answer:
            nonlocal delay
            answer, delay = self._plainly(
                asked.method, asked.target, dict(asked.headers), asked.body
            )
            return answer

        mood = kind if target.startswith("/_sim/") else self._mood
        asked = Asked(method=method, target=target, headers=headers, body=body, gone=gone)
        return mood(asked, act), delay

    def _plainly(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[Answer, float]:
        try:
            if urlsplit(target).path.startswith("/_sim/"):
                return self._controlled(method, target, body), 0
            return self._provided(method, target, headers, body)
        except RefusedError as refusal:
            return failure(refusal.status, refusal.code, str(refusal)), 0
        except NoSuchEntryError as unknown:
            return failure(404, "not_found", str(unknown)), 0

    def _controlled(self, method: str, target: str, body: bytes) -> Answer:
        route, request = routed(self._control, method, target, body, key="")
        with self._provider.storage.transaction():
            return route.act(self, request)

    def _provided(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[Answer, float]:
        with self._provider.storage.transaction():
            faults = Faults(**self._provider.settings.get("faults", {"mode": "ok"}))
            if faults.mode == "outage":
                return _OUTAGE, 0
            expected = re.escape(self._api_key) if self._api_key else r"\S+"
            if not re.fullmatch(f"Bearer {expected}", headers.get("authorization", "")):
                raise RefusedError(401, "unauthorized", "Authorization: Bearer is required")
            key = headers.get("idempotency-key", "")
            route, request = routed(self._provider.routes, method, target, body, key=key)
            self._provider.settle()
            answer = _once(route, request, self._provider)
        return answer, faults.latency_ms / 1000 if faults.mode == "slow" else 0

    def _health(self, _: Request) -> Answer:
        return Answer(status=200, body={"status": "ok", "simulator": self._provider.name})

    def _books(self, _: Request) -> Answer:
        return Answer(status=200, body=self._provider.books())

    def _rows(self, request: Request) -> Answer:
        return Answer(status=200, body={"rows": rows_of(self._provider, request.reference())})

    def _change_row(self, request: Request) -> Answer:
        return Answer(status=200, body=change_row(self._provider, request))

    def _set_faults(self, request: Request) -> Answer:
        faults = request.parse(Faults).model_dump()
        self._provider.settings["faults"] = faults
        return Answer(status=200, body=faults)

    def _set_mood(self, request: Request) -> Answer:
        setting = request.parse(MoodSetting).model_dump()
        if setting["mood"] not in (None, *MOODS):
            raise RefusedError(422, "validation_failed", f"mood: one of {', '.join(MOODS)}")
        self._provider.settings["mood"] = setting
        self._mood = _mood_of(setting["mood"])
        return Answer(status=200, body=setting)

    def _current(self, _: Request) -> Answer:
        settings = self._provider.settings
        mood = settings.get("mood", {"mood": None})["mood"]
        return Answer(
            status=200, body={"mood": mood, "mode": settings.get("faults", {"mode": "ok"})["mode"]}
        )

    def _set_webhook(self, request: Request) -> Answer:
        webhook = request.parse(WebhookTarget)
        try:
            _URL.validate_python(webhook.url)
            key_of(webhook.secret)
        except ValidationError:
            raise RefusedError(422, "validation_failed", "url: not an HTTP address") from None
        except ValueError:
            raise RefusedError(422, "validation_failed", "secret: not whsec_ and base64") from None
        self._provider.settings["webhook"] = webhook.model_dump()
        return Answer(status=200, body={"url": webhook.url})

    def _reset(self, _: Request) -> Answer:
        self._provider.reset()
        self._mood = kind
        return Answer(status=200, body={"status": "ok"})


def _mood_of(name: str | None) -> Mood:
    return MOODS[name]() if name and name in MOODS else kind


def routed(
    routes: tuple[Route, ...], method: str, target: str, body: bytes, *, key: str
) -> tuple[Route, Request]:
    """
    Raises:
        RefusedError: 404 or 405.
    """
    parts = urlsplit(target)
    matching = [(route, ids) for route in routes if (ids := route.match(parts.path)) is not None]
    if not matching:
        raise RefusedError(404, "not_found", "there is nothing here")
    for route, ids in matching:
        if route.method == method:
            query = dict(parse_qsl(parts.query))
            return route, Request(
                method=method, path=parts.path, query=query, ids=ids, body=body, key=key
            )
    raise RefusedError(405, "method_not_allowed", "not that method")


def _once(route: Route, request: Request, provider: Provider) -> Answer:
    """Act once per key: an answer below 500 is stored and repeated, a failure never is."""
    if not route.keyed:
        return route.act(provider, request)
    if not _KEY.fullmatch(request.key):
        raise RefusedError(400, "idempotency_key_missing", "Idempotency-Key is required")
    try:
        fingerprint = request.fingerprint()
    except (ValueError, RecursionError):
        raise RefusedError(400, "malformed_json", "the body is not JSON") from None
    if kept := provider.answers.get(request.key):
        if kept.fingerprint != fingerprint:
            raise RefusedError(422, "idempotency_key_reused", "the key belongs to another request")
        replayed = {"Idempotency-Replayed": "true"}
        return Answer(status=kept.status, body=kept.body, headers=replayed, silent=kept.silent)
    answer = route.act(provider, request)
    if answer.status < 500:
        provider.answers[request.key] = Kept(
            fingerprint=fingerprint, status=answer.status, body=answer.body, silent=answer.silent
        )
    return answer


class Server(ThreadingHTTPServer):
    """Serve a desk. The caller of a silent answer waits `silence_seconds`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        *,
        desk: Answering,
        silence_seconds: float,
        stopping: threading.Event,
    ) -> None:
        self.desk = desk
        self.silence_seconds = silence_seconds
        self.stopping = stopping
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that hung up; show any other error as a defect."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # One write for the head and the body: two would wait for each other's acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_OPTIONS(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = cast(Server, self.server)
        began = time.monotonic()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            self.close_connection = True
            # Closing on unread bytes would reset the connection under the answer.
            self.rfile.read(min(int(length), _DRAIN_LIMIT) if length.isdecimal() else 0)
            return self._send(failure(413, "body_too_large", "at most 64 KiB"), began)
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer, delay = server.desk.answer(
            method=self.command, target=self.path, headers=headers, body=body, gone=self._gone
        )
        if answer.silent:
            server.stopping.wait(server.silence_seconds)
            self.close_connection = True
            return self._record("no answer", began)
        if delay:
            server.stopping.wait(delay)
        return self._send(answer, began)

    def _gone(self) -> bool:
        """Return whether the caller has hung up: its connection is readable, and at its end."""
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _send(self, answer: Answer, began: float) -> None:
        content = (answer.page or json.dumps(answer.body)).encode()
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", "text/html" if answer.page else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self._record(str(answer.status), began)

    def _record(self, result: str, began: float) -> None:
        elapsed_ms = (time.monotonic() - began) * 1000
        if self.path != "/_sim/health":
            print(f"{self.command} {self.path} {result} {elapsed_ms:.0f} ms", flush=True)
