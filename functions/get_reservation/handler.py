"""GET /v1/reservations/{code}, its timeline and voucher, GET /v1/health, and the 404 of every other route."""

import os
from functools import partial

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations import config
from reservations.application.read_reservation import (
    LINK_LIFETIME,
    glance_at,
    link_to_voucher,
    read_reservation,
    read_timeline,
)
from reservations.entrypoints import answers, dry_requests, http, observability
from reservations.entrypoints.access import access_of
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *answers.SETTINGS, config.IssuerSettings)
    app.get("/v1/reservations/<code>")(lambda code: get_reservation(app, services, code))
    app.get("/v1/reservations/<code>/timeline")(lambda code: get_timeline(app, services, code))
    app.get("/v1/reservations/<code>/voucher")(lambda code: get_voucher(app, services, code))
    app.get("/v1/health")(lambda: answers.health(services.unit_of_work()))
    return http.function(app, services, rehearse=partial(dry_requests.read_nothing, app, services))


def get_reservation(app: APIGatewayRestResolver, services: Services, code: str) -> Response[str]:
    event, path_code, now = app.current_event, http.path_text(code), services.now()
    access, if_none_match = access_of(event, services), http.header(event, "If-None-Match")
    if if_none_match:
        glance = glance_at(path_code, **access)
        same = answers.unchanged(glance, now=now, if_none_match=if_none_match)
        if same is not None:
            return same
    return answers.shown(
        read_reservation(path_code, **access),
        now=now,
        policy=services.durations(),
        base_url=services.public_base_url(),
        support_contact=services.support_contact(),
        if_none_match=if_none_match,
    )


def get_timeline(app: APIGatewayRestResolver, services: Services, code: str) -> Response[str]:
    reservation, history = read_timeline(
        http.path_text(code), **access_of(app.current_event, services)
    )
    return answers.timeline(reservation, history, language=http.language(app.current_event))


def get_voucher(app: APIGatewayRestResolver, services: Services, code: str) -> Response[str]:
    event, expires_at = app.current_event, services.now() + LINK_LIFETIME
    url = link_to_voucher(
        http.path_text(code),
        **access_of(event, services),
        store=services.brief_document_store,
        renderer=services.voucher_renderer,
        **services.letterhead(),
        head=http.is_head(event),
        inline=http.wants_inline(event),
    )
    return answers.voucher_link(url, expires_at=expires_at, as_json=http.wants_json(event))


lambda_handler = make_handler(Services(os.environ))
