"""Access: two clients and every kind of credential at every route of the contract, and key rotation."""

import json
from typing import Any
from uuid import UUID

import pytest
import yaml

from reservations.domain.access_token import KeyRing
from reservations.services import Services
from tests.handlers.conftest import Surroundings
from tests.template.resources import ROOT, functions
from tests.worlds.builders import (
    NOON,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import KEYS, handler_of

WEB, PARTNER = "l3pk9vw2d1", "q8zt4nf7s0"  # ids of API keys, as the gateway passes them
TOKEN = KEYS.issue("k1", RESERVATION_ID)
STRANGERS_TOKEN = KEYS.issue("k1", UUID(int=7))
CONFIRMED = a_reservation(
    facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON), documents=(a_voucher(),)
)
CODE = "7KQ2M-XD4RT-S"

Route = tuple[str, str]


def contract() -> dict[Route, set[str]]:
    """The routes of the contract, with their required credentials."""
    document = yaml.safe_load((ROOT / "docs/contratos/openapi.yaml").read_text(encoding="utf-8"))
    return {
        (method.upper(), path): {
            name for need in operation.get("security", document["security"]) for name in need
        }
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


CREDENTIALS = contract()
WITH_KEY = [route for route, needs in CREDENTIALS.items() if "ApiKey" in needs]
WITH_TOKEN = [route for route, needs in CREDENTIALS.items() if "AccessToken" in needs]
OPEN = [route for route, needs in CREDENTIALS.items() if not needs]


def folder_of(route: Route) -> str:
    [folder] = [
        folder
        for folder, properties in functions().items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "Api"
        and (event["Properties"]["Method"], event["Properties"]["Path"]) == route
    ]
    return folder


def knock(
    services: Services, route: Route, *, api_key_id: str | None, token: str | None = None
) -> dict[str, Any]:
    """Call the function behind a route, as the gateway does with an admitted request."""
    method, path = route
    event = an_event("get_reservation.shown")
    values = {"code": CODE, "provider": "payments"}
    event |= {"httpMethod": method, "resource": path, "path": path.format(**values)}
    headers = {"Idempotency-Key": "k" * 20, "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    event["headers"] = headers
    event["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    event["requestContext"]["identity"]["apiKeyId"] = api_key_id
    event["body"] = "{}" if method == "POST" else None
    return handler_of(folder_of(route), services)(event, a_context())


def outcome(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["statusCode"], json.loads(answer["body"])["code"]


def named(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=[" ".join(route) for route in routes])


def test_every_route_is_one_of_the_three_kinds() -> None:
    assert sorted(WITH_KEY + OPEN) == sorted(CREDENTIALS)
    assert set(WITH_TOKEN) == {route for route in CREDENTIALS if "{code}" in route[1]}
    assert {path for _, path in OPEN} == {"/v1/health", "/v1/webhooks/{provider}"}


@named(WITH_KEY)
@pytest.mark.parametrize("api_key_id", [None, "a-key-of-nobody"])
def test_a_request_without_a_client_s_key_is_unauthorized(
    around: Surroundings, route: Route, api_key_id: str | None
) -> None:
    around.keep(CONFIRMED)

    answer = knock(around, route, api_key_id=api_key_id, token=TOKEN)

    assert outcome(answer) == (401, "unauthorized")
    assert around.units == 0


@named(WITH_TOKEN)
def test_a_request_without_a_token_is_unauthorized(around: Surroundings, route: Route) -> None:
    around.keep(CONFIRMED)

    assert outcome(knock(around, route, api_key_id=WEB)) == (401, "unauthorized")
    assert around.units == 0


@named(WITH_TOKEN)
def test_the_owner_is_admitted(around: Surroundings, route: Route) -> None:
    around.keep(CONFIRMED)

    answer = knock(around, route, api_key_id=WEB, token=TOKEN)

    # A cancellation fails next: these surroundings have no idempotency store.
    assert answer["statusCode"] in ((503,) if route[0] == "POST" else (200, 303))


@named(WITH_TOKEN)
@pytest.mark.parametrize(
    ("api_key_id", "token"),
    [
        (PARTNER, TOKEN),
        (PARTNER, STRANGERS_TOKEN),
        (WEB, STRANGERS_TOKEN),
        (WEB, "k1.bm90LWEtdG9rZW4"),
        (WEB, TOKEN.replace("k1.", "k2.")),
        (WEB, TOKEN.removeprefix("k1.")),
    ],
    ids=["another client", "all of another", "another trip's", "made up", "other key", "no key"],
)
def test_a_stranger_cannot_distinguish_a_reservation_from_a_missing_one(
    around: Surroundings, route: Route, api_key_id: str, token: str
) -> None:
    nowhere = knock(around, route, api_key_id=WEB, token=TOKEN)
    around.keep(CONFIRMED)

    answer = knock(around, route, api_key_id=api_key_id, token=token)

    assert outcome(answer) == outcome(nowhere) == (404, "not_found")
    assert answer["multiValueHeaders"] == nowhere["multiValueHeaders"]
    assert around.stored == CONFIRMED


@named(OPEN)
def test_an_open_route_reveals_nothing(around: Surroundings, route: Route) -> None:
    answer = knock(around, route, api_key_id=None)

    if route[1] == "/v1/health":
        assert json.loads(answer["body"]) == {"status": "ok"}
    else:
        assert outcome(answer) == (401, "webhook_signature_invalid")
        assert around.units == 0


READING = ("GET", "/v1/reservations/{code}")


def test_a_client_s_key_is_replaced_without_a_gap(around: Surroundings) -> None:
    around.keep(CONFIRMED)
    seen = []
    for clients in ({"old": "web"}, {"old": "web", "new": "web"}, {"new": "web"}):
        around.clients = clients
        answers = [knock(around, READING, api_key_id=key, token=TOKEN) for key in ("old", "new")]
        seen.append([answer["statusCode"] for answer in answers])

    assert seen == [[200, 401], [200, 200], [401, 200]]


def test_a_retired_token_key_verifies_its_tokens_until_it_leaves_the_ring(
    around: Surroundings,
) -> None:
    around.keep(CONFIRMED)
    old, new = {"k1": bytes(32)}, {"k2": bytes(range(32))}
    seen = []
    for current, keys in (("k1", old), ("k2", old | new), ("k2", new)):
        around.ring = KeyRing(current=current, keys=keys)
        seen.append(knock(around, READING, api_key_id=WEB, token=TOKEN)["statusCode"])

    assert seen == [200, 200, 404]
