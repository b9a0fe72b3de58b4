"""GET /v1/reservations/{code}, its timeline and voucher, GET /v1/health; and the 404 for every other route."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.read_reservation import (
    LINK_LIFETIME,
    Reader,
    link_to_voucher,
    read_reservation,
    read_timeline,
)
from reservations.entrypoints import answers, http, observability

app = http.resolver(config.AccessTokenSettings, config.ApiSettings, config.ContactSettings)


@app.get("/v1/reservations/<code>")
def get_reservation(code: str) -> Response[str]:
    reservation = read_reservation(
        http.path_text(code), reader=_reader(), uow=wiring.unit_of_work(), keys=wiring.key_ring()
    )
    return answers.shown(
        reservation,
        now=datetime.now(UTC),
        policy=wiring.durations(),
        base_url=wiring.public_base_url(),
        if_none_match=http.header(app.current_event, "If-None-Match"),
    )


@app.get("/v1/reservations/<code>/timeline")
def get_timeline(code: str) -> Response[str]:
    reservation, history = read_timeline(
        http.path_text(code), reader=_reader(), uow=wiring.unit_of_work(), keys=wiring.key_ring()
    )
    return answers.timeline(reservation, history, language=http.language(app.current_event))


@app.get("/v1/reservations/<code>/voucher")
def get_voucher(code: str) -> Response[str]:
    expires_at = datetime.now(UTC) + LINK_LIFETIME
    url = link_to_voucher(
        http.path_text(code),
        reader=_reader(),
        uow=wiring.unit_of_work(),
        keys=wiring.key_ring(),
        store=wiring.document_store(patient=False),
        renderer=wiring.voucher_renderer(),
        support_contact=wiring.support_contact(),
    )
    return answers.voucher_link(
        url, expires_at=expires_at, as_json=http.wants_json(app.current_event)
    )


@app.get("/v1/health")
def get_health() -> Response[str]:
    with wiring.unit_of_work() as uow:
        uow.now()
    return http.json_response(HTTPStatus.OK, {"status": "ok"}, headers=answers.NO_STORE)


def _reader() -> Reader:
    return http.reader(app.current_event, wiring.api_settings().api_clients)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return http.resolve(app, event, context)
