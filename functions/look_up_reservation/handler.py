"""POST /v1/reservations/lookup: mail the link to a reservation, and never show whether there is one."""

import os
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations import config
from reservations.application.look_up_reservation import LookedUp, Lookup, look_up_reservation
from reservations.domain.codes import new_code
from reservations.domain.errors import DefectError
from reservations.entrypoints import http, observability, rehearsal
from reservations.entrypoints.bodies import parse_json, parse_lookup
from reservations.entrypoints.problems import ProblemError
from reservations.services import Services

SETTINGS = (config.AccessTokenSettings, config.ApiSettings, config.ManagePageSettings)


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *SETTINGS)
    app.post("/v1/reservations/lookup")(lambda: post_lookup(app, services))
    return http.function(app, services, rehearse=lambda _: look_up_nothing(services))


def post_lookup(app: APIGatewayRestResolver, services: Services) -> Response[str]:
    client_id = http.client_id(app.current_event, services.api_settings().api_clients)
    body = parse_lookup(parse_json(http.json_body(app.current_event)))
    if services.manage_page().url is None:
        raise ProblemError("not_found")
    looked_up = look_up_reservation(
        body.to_command(client_id=client_id),
        uow=services.unit_of_work(),
        keys=services.key_ring(),
    )
    observability.report(
        "reservation looked up", metric=observability.metric_of("Lookup", looked_up)
    )
    return Response(HTTPStatus.ACCEPTED, headers={"Vary": http.VARY, "Cache-Control": "no-store"})


def look_up_nothing(services: Services) -> dict[str, Any]:
    """Look up no reservation, and roll back the decoy that a miss leaves.

    Raises:
        DefectError: it matched.
    """
    services.prepare(*SETTINGS)
    looked_up = look_up_reservation(
        Lookup(client_id=rehearsal.CLIENT, code=new_code(), email="ensayo@example.com"),
        uow=rehearsal.uncommitted(services.unit_of_work()),
        keys=services.key_ring(),
    )
    if looked_up is not LookedUp.MISSED:
        raise DefectError("a lookup of no reservation matched")
    return rehearsal.DONE


lambda_handler = make_handler(Services(os.environ))
