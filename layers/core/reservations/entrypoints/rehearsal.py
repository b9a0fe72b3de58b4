"""A rehearsal: a new version proves that it starts, reads its settings and reaches the database.

Only a direct invocation can ask for one. API Gateway, SQS and EventBridge build their events themselves, so no caller
of theirs can send this event: a member of a body, a header or a message stays inside its own part of the event.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from reservations.application.ports import UnitOfWork
from reservations.domain.errors import DefectError, ReservationNotFoundError
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue

REQUEST: dict[str, Any] = {"rehearsal": True}
DONE: dict[str, Any] = {"rehearsed": True}

OnHint = Callable[[Hint, datetime], None]


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def unit_of_work(self) -> UnitOfWork: ...


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
        type="rehearsal",
        occurred_at=now,
    )
    try:
        on_hint(hint, now)
    except ReservationNotFoundError:
        return DONE
    raise DefectError("a hint about no reservation was handled")
