"""The way to a provider that a test answers for."""

from dataclasses import dataclass

import httpx

from reservations.adapters.exchange import Answer, Deadline, HttpWire, NotReachedError, Request

_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that is there already."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    def header(self, name: str) -> str:
        value: str = self.response.headers.get(name, "")
        return value

    def read(self, limit: int) -> bytes:
        try:
            return self.response.read()[:limit]
        except httpx.HTTPError as error:
            raise ConnectionResetError from error

    def close(self) -> None:
        self.response.close()


@dataclass(frozen=True, slots=True)
class OverHttpx:
    """A wire through a transport of httpx, as its mock is one."""

    transport: httpx.BaseTransport
    url: str = "http://provider.example"

    def send(self, request: Request, deadline: Deadline) -> Answer:
        try:
            return Given(self.transport.handle_request(as_httpx(request, url=self.url)))
        except _NOT_REACHED as error:
            raise NotReachedError from error
        except httpx.HTTPError as error:
            raise ConnectionResetError from error


class Recorder:
    """The wire of our clients. It keeps requests and answers."""

    def __init__(self, url: str) -> None:
        self.exchanges: list[tuple[httpx.Request, httpx.Response]] = []
        self._url = url
        self._wire = HttpWire(url, connect_seconds=1)

    def send(self, request: Request, deadline: Deadline) -> Answer:
        answer = self._wire.send(request, deadline)
        headers = {name: answer.header(name) for name in ("Content-Type", "Retry-After")}
        content = answer.read(1 << 20)
        answer.close()
        told = {name: value for name, value in headers.items() if value}
        sent = as_httpx(request, url=self._url)
        seen = httpx.Response(answer.status, headers=told, content=content, request=sent)
        self.exchanges.append((sent, seen))
        return Given(seen)


def as_httpx(request: Request, *, url: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        httpx.URL(url).copy_with(raw_path=request.target.encode()),
        headers=request.headers,
        content=request.body,
    )
