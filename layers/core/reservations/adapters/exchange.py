"""HTTP/1.1 exchanges, each within one deadline for all of it: connecting, TLS, sending and reading.

Clients limit each wait and never their sum. A thread that cuts them costs more than the exchange.
"""

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

LOST = (OSError, HTTPException)
"""Errors of an exchange that was begun: the other side may have acted or not."""


class NotReachedError(Exception):
    """No connection was made, so nothing was sent."""


class Deadline:
    """The end of an exchange, in `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, limit: float = float("inf")) -> float:
        """Seconds left, at most `limit`.

        Raises:
            TimeoutError: none is left.
        """
        left = min(limit, self._end - time.monotonic())
        if left <= 0:
            raise TimeoutError("the deadline is over")
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, where `target` is path and query. Headers and body are never logged."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


class Answer(Protocol):
    """A status, with a body that is read when it is asked for."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str:
        """The value of a header; `""` without one."""

    def read(self, limit: int) -> bytes:
        """Read at most `limit` bytes of the body.

        Raises:
            OSError: the connection was lost, or the deadline is over.
            HTTPException: the body ends too early.
        """

    def close(self) -> None: ...


class Wire(Protocol):
    """The way to one server."""

    def send(self, request: Request, deadline: Deadline) -> Answer:
        """Send a request, and return its answer once its headers are there.

        Raises:
            NotReachedError: nothing was sent.
            OSError: the connection was lost, or the deadline is over.
            HTTPException: the answer is not HTTP.
        """


Lookup = Callable[[str, int, Deadline], list[Any]]


def look_up(host: str, port: int, _: Deadline) -> list[Any]:
    """Look a name up as the system does, without a limit of ours."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class HttpWire:
    """One server, without proxies and redirects. A `kept` connection is used again; close it after a failure.

    `authorities` is a file of certificates to trust in place of the usual ones.

    Raises:
        ValueError: `url` is not an HTTP address.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_seconds: float,
        kept: bool = False,
        lookup: Lookup = look_up,
        authorities: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address begins with http:// or https://")
        self._host, self._secure = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._connect_seconds = connect_seconds
        self._lookup = lookup
        self._authorities = authorities
        self._kept = kept
        self._open: _Connection | None = None

    def send(self, request: Request, deadline: Deadline) -> Answer:
        if (connection := self._open) is None:
            connection = self._connected(deadline)
        connection.deadline = deadline
        self._open = connection if self._kept else None
        headers = request.headers if self._kept else {**request.headers, "Connection": "close"}
        try:
            connection.request(request.method, request.target, request.body, dict(headers))
            return _HttpAnswer(connection.getresponse(), connection, kept=self._kept)
        except LOST:
            self.close()
            connection.close()
            raise

    @property
    def is_open(self) -> bool:
        """`True` with a kept connection, which the server may have closed meanwhile."""
        return self._open is not None

    def close(self) -> None:
        """Drop a kept connection. The next request opens another."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    def _connected(self, deadline: Deadline) -> "_Connection":
        connection = _Connection(self._host, self._port, secure=self._secure)
        try:
            connection.use(self._socket(deadline))
        except (OSError, UnicodeError) as error:
            raise NotReachedError from error
        return connection

    def _socket(self, deadline: Deadline) -> socket.socket:
        error: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in self._lookup(self._host, self._port, deadline):
            open_socket = socket.socket(family, kind, protocol)
            try:
                open_socket.settimeout(deadline.left(self._connect_seconds))
                open_socket.connect(address)
                open_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._encrypted(open_socket, deadline) if self._secure else open_socket
            except OSError as failed:
                open_socket.close()
                error = failed
        raise error

    def _encrypted(self, plain: socket.socket, deadline: Deadline) -> socket.socket:
        plain.settimeout(deadline.left(self._connect_seconds))  # the limit of the whole handshake
        return self._trusted.wrap_socket(plain, server_hostname=self._host)

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        import certifi  # parsed with the first TLS connection, never at import

        return ssl.create_default_context(cafile=self._authorities or certifi.where())


class _Connection(HTTPConnection):
    """A connection whose socket waits no longer than its deadline."""

    deadline: Deadline

    def __init__(self, host: str, port: int, *, secure: bool) -> None:
        super().__init__(host, port)
        if secure:
            self.default_port = 443  # of the header Host
        self.auto_open = 0

    def use(self, plain: socket.socket) -> None:
        self.sock = cast(socket.socket, _TimedSocket(plain, self))


class _TimedSocket:
    """The part of a socket that `http.client` uses."""

    def __init__(self, plain: socket.socket, connection: _Connection) -> None:
        self._plain = plain
        self._connection = connection

    def sendall(self, content: bytes) -> None:
        self.wait_no_longer()
        self._plain.sendall(content)  # its timeout is of all of it

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self, self._plain.makefile("rb", buffering=0)))

    def wait_no_longer(self) -> None:
        self._plain.settimeout(self._connection.deadline.left())

    def close(self) -> None:
        self._plain.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket, plain: io.RawIOBase) -> None:
        self._timed = timed
        self._plain = plain

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._timed.wait_no_longer()
        return self._plain.readinto(buffer)

    def close(self) -> None:
        self._plain.close()
        super().close()


class _HttpAnswer:
    def __init__(self, response: HTTPResponse, connection: _Connection, *, kept: bool) -> None:
        self.status = response.status
        self._response = response
        self._connection = connection
        self._kept = kept

    def header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    def read(self, limit: int) -> bytes:
        body = self._response.read(limit)
        if len(body) < limit and self._response.length:
            raise IncompleteRead(body, self._response.length)
        return body

    def close(self) -> None:
        self._response.close()
        if not self._kept:
            self._connection.close()
