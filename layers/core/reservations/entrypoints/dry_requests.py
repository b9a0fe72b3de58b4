"""The rehearsal of requests, about a reservation that does not exist."""

from http import HTTPStatus
from typing import Any, Protocol

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config
from reservations.domain.codes import display, new_code
from reservations.domain.errors import DefectError
from reservations.entrypoints.rehearsal import DONE, request

OF_A_RESERVATION = (
    "/v1/reservations/{code}",
    "/v1/reservations/{code}/timeline",
    "/v1/reservations/{code}/voucher",
)


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def prepare(self, *own: type[config.Settings]) -> None: ...
    def api_settings(self) -> config.ApiSettings: ...


def ask_for_nothing(
    app: APIGatewayRestResolver,
    services: Services,
    context: LambdaContext,
    *,
    method: str,
    resources: tuple[str, ...],
) -> dict[str, Any]:
    """Send requests about a reservation that does not exist, each with and without `If-None-Match`.

    Raises:
        DefectError: one was not answered 404.
    """
    services.prepare(config.ApiSettings)
    client, code = next(iter(services.api_settings().api_clients)), display(new_code())
    headers = {"Authorization": "Bearer rehearsal", "Idempotency-Key": "rehearsal-of-a-version"}
    for resource in resources:
        for more in ({}, {"If-None-Match": '"rehearsal"'}):
            event = request(method, resource, client=client, headers=headers | more, code=code)
            status = app.resolve(event, context)["statusCode"]
            if status != HTTPStatus.NOT_FOUND:
                raise DefectError(f"{method} {resource} about no reservation: {status}")
    return DONE


def read_nothing(
    app: APIGatewayRestResolver, services: Services, context: LambdaContext
) -> dict[str, Any]:
    """Ask for the reservation, its timeline and its voucher."""
    return ask_for_nothing(app, services, context, method="GET", resources=OF_A_RESERVATION)
