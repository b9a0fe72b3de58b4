"""A rehearsal: a new version proves that it starts, reads its settings, and runs its use cases.

Only a direct invocation can ask for one. API Gateway, SQS and EventBridge build their events themselves, so no caller
of theirs can send this event: a member of a body, a header or a message stays inside its own part of the event.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, Self, cast

from reservations.application.ports import UnitOfWork
from reservations.domain.codes import new_code
from reservations.domain.errors import DefectError, ReservationNotFoundError
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue

REQUEST: dict[str, Any] = {"rehearsal": True}
DONE: dict[str, Any] = {"rehearsed": True}
CLIENT = "rehearsal"

OnHint = Callable[[Hint, datetime], None]


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def unit_of_work(self) -> UnitOfWork: ...


class _Uncommitted:
    """A unit of work whose writes reach the database and are rolled back."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._uow, name)

    def __enter__(self) -> Self:
        self._uow.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._uow.__exit__(*raised)

    def commit(self) -> None:
        """Send the staged statements with a read, and leave the transaction open."""
        self._uow.reservations.find(new_code())


def uncommitted(uow: UnitOfWork) -> UnitOfWork:
    """A unit of work for a use case that commits. Nothing of it stays."""
    return cast(UnitOfWork, _Uncommitted(uow))


def is_asked(event: dict[str, Any]) -> bool:
    return event == REQUEST


def reach_database(services: Services) -> dict[str, Any]:
    """Read the server's clock, in a transaction of its own."""
    with services.unit_of_work() as uow:
        uow.now()
    return DONE


def hint_nothing(on_hint: OnHint, services: Services, *, source: Queue) -> dict[str, Any]:
    """Take a hint about a reservation that does not exist. No provider is called.

    Raises:
        DefectError: the step found the reservation.
    """
    with services.unit_of_work() as uow:
        now = uow.now()
    hint = Hint(
        message_id=uuid7(now),
        queue=source,
        reservation_id=uuid7(now),
        type=CLIENT,
        occurred_at=now,
    )
    return find_nothing(lambda: on_hint(hint, now))


def find_nothing(look: Callable[[], object]) -> dict[str, Any]:
    """Look for a reservation that does not exist.

    Raises:
        DefectError: it was found.
    """
    try:
        look()
    except ReservationNotFoundError:
        return DONE
    raise DefectError("a reservation that does not exist was found")


def request(
    method: str,
    resource: str,
    *,
    client: str | None = None,
    headers: dict[str, str] | None = None,
    **path: str,
) -> dict[str, Any]:
    """A request as API Gateway hands it over. `client` is the id of an API key."""
    headers = headers or {}
    return {
        "httpMethod": method,
        "resource": resource,
        "path": resource.format(**path),
        "pathParameters": path or None,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "requestId": "00000000-0000-0000-0000-000000000000",
            "identity": {"apiKeyId": client},
            "stage": "live",
        },
        "body": None,
        "isBase64Encoded": False,
    }
