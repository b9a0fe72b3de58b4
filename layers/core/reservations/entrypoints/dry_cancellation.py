"""The rehearsal of a cancellation, of a reservation that does not exist."""

from typing import Any, Protocol

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.domain.identifiers import uuid7
from reservations.entrypoints import dry_requests, rehearsal

RESOURCE = "/v1/reservations/{code}/cancel"


class Services(dry_requests.Services, Protocol):
    """The part of the composition root that this edge needs."""

    def cases(self) -> Cases: ...


def cancel_nothing(
    app: APIGatewayRestResolver, services: Services, context: LambdaContext
) -> dict[str, Any]:
    """Ask for the cancellation, then run its use case, which the request does not reach."""
    dry_requests.ask_for_nothing(app, services, context, method="POST", resources=(RESOURCE,))
    cases = services.cases()
    with cases.uow as uow:
        nobody = uuid7(uow.now())
        return rehearsal.find_nothing(lambda: cancel_reservation(nobody, cases=cases))
