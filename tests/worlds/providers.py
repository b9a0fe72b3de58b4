"""Simulator processes, a receiver of webhooks and the transport of our clients."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, seconds: float = 20) -> T:
    """Call `look` until it returns a result.

    Raises:
        AssertionError: nothing came within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.02)
    raise AssertionError(f"nothing came within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Simulator:
    """One simulator process. It may be killed and started again on its port and its ledger."""

    def __init__(
        self, provider: str, folder: Path, *, pending_seconds: float = 1, late_seconds: float = 3
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = folder / f"{provider}.sqlite"
        self._log = folder / f"{provider}.log"
        self._command = [
            *(sys.executable, "-m", "local.simulators", provider, "--port", str(self.port)),
            *("--state", str(self.state), "--pending-seconds", str(pending_seconds)),
            *("--late-seconds", str(late_seconds)),
        ]
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=10)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()
        self._http.close()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        try:
            eventually(self._healthy, seconds=60)
        except AssertionError:
            self.kill()
            raise

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return self._http.get("/_sim/health").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it. Return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(timeout=20)
        self._process = None
        return code

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        return self._http.post(path, json=body, headers=headers)

    def ledger(self, name: str, reference: object = None) -> list[dict[str, Any]]:
        """Its `charges`, `refunds` or `bookings`, all or under one reference."""
        rows: list[dict[str, Any]] = self.get("/_sim/ledger")[name]
        return [row for row in rows if reference is None or row["reference"] == str(reference)]

    def rows(self, reference: object) -> list[dict[str, Any]]:
        """All rows under a reference, also removed ones."""
        found: list[dict[str, Any]] = self.get(f"/_sim/rows?reference={reference}")["rows"]
        return found

    def set_row(self, kind: str, row_id: str, *, silent: bool = False, **members: object) -> None:
        """Change its word about a payment, a refund or a booking by hand."""
        change = {"kind": kind, "id": row_id, "set": members, "silent": silent}
        self.post("/_sim/rows", change).raise_for_status()

    def remove_row(self, kind: str, row_id: str, *, silent: bool = False) -> None:
        """Drop a row from listings and paths."""
        change = {"kind": kind, "id": row_id, "remove": True, "silent": silent}
        self.post("/_sim/rows", change).raise_for_status()

    def faults(self, mode: str, latency_ms: int = 0) -> None:
        self.post("/_sim/faults", {"mode": mode, "latency_ms": latency_ms}).raise_for_status()

    def tell(self, url: str, secret: str) -> None:
        self.post("/_sim/webhook", {"url": url, "secret": secret}).raise_for_status()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A received webhook."""

    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Listens for webhooks and refuses the first `refusals` of them."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(headers=headers, body=body))
                self.send_response(500 if len(receiver.received) <= refusals else 204)
                self.end_headers()

            def do_PUT(self) -> None:
                """Receive an answer to CloudFormation as a webhook."""
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
