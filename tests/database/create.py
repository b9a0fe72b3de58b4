"""The create request as its function makes it: once per idempotency key, on a given connection.

As a program it kills itself at a chosen point: `create.py after-key|before-commit`. It reads the
database's URL from standard input, as any user may read its arguments.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database, Query
from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork
from reservations.application.cases import Cases
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.ports import ChargeClaim
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Offer
from reservations.entrypoints.idempotency import Answer, KeyScope, once
from tests.worlds.builders import PRICE, a_customer, an_offer

SCOPE = KeyScope(client_id="web", operation="POST /v1/reservations", key="0123456789abcdef")


class Context:
    """The part of a Lambda context that idempotency reads."""

    def __init__(self, remaining_ms: int) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


def _nothing() -> None: ...


def create(
    database: Database,
    *,
    scope: KeyScope = SCOPE,
    offer: Offer | None = None,
    claim: ChargeClaim | None = None,
    then: Callable[[], Any] = _nothing,
    remaining_ms: int = 10_000,
) -> tuple[Answer, bool]:
    """Return the answer and whether it was replayed; `then` runs before the answer is stored."""

    def accept(command: CreateReservation) -> Answer:
        with JoinedUnitOfWork(database) as uow:
            reservation = create_reservation(
                command, cases=Cases(uow=uow, policy=STANDARD), token_kid="k1"
            )
            extra = then()
            uow.commit()
        return {"status": 202, "body": {"reservation_code": reservation.code}, "extra": extra}

    app = APIGatewayRestResolver()
    app.lambda_context = cast(LambdaContext, Context(remaining_ms))
    command = CreateReservation(
        client_id=scope.client_id,
        offer=offer or an_offer(),
        price=PRICE,
        customer=a_customer(),
        claim=claim,
    )
    return once(
        accept,
        command,
        scope=scope,
        fingerprint={"operation": scope.operation, "offer": command.offer.offer_id},
        make_store=partial(MySqlIdempotencyStore, database),
        app=app,
    )


class DyingDatabase(Database):
    """Kills its process after the flight of the key, or before the one with the COMMIT."""

    def __init__(self, url: str, *, moment: str) -> None:
        super().__init__(connector(url))
        self._moment = moment

    def _fly(self, flight: Sequence[Query]) -> Any:
        if self._moment == "before-commit" and commits(flight):
            os.kill(os.getpid(), signal.SIGKILL)
        answers = super()._fly(flight)
        if self._moment == "after-key":
            os.kill(os.getpid(), signal.SIGKILL)
        return answers


def commits(flight: Sequence[Query]) -> bool:
    return flight[-1].statement.sql == "COMMIT"


if __name__ == "__main__":
    create(DyingDatabase(sys.stdin.read(), moment=sys.argv[1]))
