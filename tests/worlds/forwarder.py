"""A TCP address on loopback that leads to a database server, as a DNS name or a proxy does.

A new connection goes to `target`. An open one stays with its server. The traffic is in the clear, so a test
can act at a statement: before the server gets it, or once the server has answered.
"""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from pymysql.constants.SERVER_STATUS import SERVER_MORE_RESULTS_EXISTS

_CHUNK = 65536
_SECONDS = 20
_OK_BYTES = 11

Act = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Stop:
    statement: bytes
    act: Act
    answered: bool


class Forwarder:
    def __init__(self, target: int) -> None:
        self.target = target
        self.stop: _Stop | None = None
        self._links: list[_Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept)
        self._thread.start()

    def before(self, statement: str, act: Act) -> None:
        """Call `act` once, when the next such statement was sent. The server gets it afterwards."""
        self.stop = _Stop(statement.encode(), act, answered=False)

    def after(self, statement: str, act: Act) -> None:
        """Call `act` once, when the server has answered a text that ends with a COMMIT. Drop the answer."""
        self.stop = _Stop(statement.encode(), act, answered=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_SECONDS)
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(("127.0.0.1", self.target), _SECONDS)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._links.append(_Link(self, client, server))


class _Link:
    """One connection: a thread for each direction."""

    def __init__(self, forwarder: Forwarder, client: socket.socket, server: socket.socket) -> None:
        self._forwarder = forwarder
        self._ends = (client, server)
        self._at_answer: Act | None = None
        self._threads = [Thread(target=self._statements), Thread(target=self._answers)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._hang_up()
        for thread in self._threads:
            thread.join(_SECONDS)
        for end in self._ends:
            end.close()

    def _statements(self) -> None:
        client, server = self._ends
        while chunk := _received(client):
            stop = self._forwarder.stop
            if stop and stop.statement in chunk:
                self._forwarder.stop = None
                if stop.answered:
                    self._at_answer = stop.act
                else:
                    stop.act()
            if not _sent(server, chunk):
                break
        self._hang_up()

    def _answers(self) -> None:
        client, server = self._ends
        seen = b""
        while chunk := _received(server):
            seen = (seen + chunk)[-_OK_BYTES:]
            if self._at_answer:
                if _is_last(seen):
                    self._at_answer()
                    break
            elif not _sent(client, chunk):
                break
        self._hang_up()

    def _hang_up(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _is_last(seen: bytes) -> bool:
    """True for the OK of a COMMIT: no answer to another statement of its text follows.

    The packet is 3 bytes of length, a number, a zero, two empty counts, 2 bytes of status and 2 of warnings
    (dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html).
    """
    status = int.from_bytes(seen[7:9], "little")
    return seen[:3] == b"\7\0\0" and seen[4] == 0 and not status & SERVER_MORE_RESULTS_EXISTS


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""


def _sent(end: socket.socket, chunk: bytes) -> bool:
    try:
        end.sendall(chunk)
    except OSError:
        return False
    return True
