"""The offers simulator: a catalogue, and quotes that the door accepts."""

import json
from base64 import b64encode
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.credentials import Secrets
from local.simulators.offers import CATALOGUE, Offers
from reservations.config import QuoteSettings
from reservations.domain.clients import QuoteMode
from reservations.entrypoints import quotes
from reservations.entrypoints.bodies import judge_first_use
from tests.worlds.builders import NOON
from tests.worlds.quotes import a_first_use

SEED = bytes(range(32))
SUITE = CATALOGUE["HTL-SUITE-5STARS"]
OFFER = SUITE.offer(NOON.date())
CHEAP = {"amount": "0.01", "currency": "EUR"}
TRAVELER = {
    "customer": {"full_name": "Ana Pérez", "email": "ana@example.com"},
    "payment_token": "tok_ok",
}


@pytest.fixture
def offers() -> Offers:
    return Offers(Ed25519PrivateKey.from_private_bytes(SEED), clock=NOON.timestamp)


def asked(offers: Offers, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    answer, _ = offers.answer(
        method=method, target=target, headers={}, body=json.dumps(body).encode()
    )
    return answer.status, answer.body


def quote_of(offers: Offers, offer: Any, price: Any, client_id: str = "web") -> tuple[int, Any]:
    return asked(
        offers, "POST", "/quotes", {"offer": offer, "price": price, "client_id": client_id}
    )


def test_each_offer_of_the_catalogue_can_be_booked_with_its_quote(offers: Offers) -> None:
    status, catalogue = asked(offers, "GET", "/offers")
    values = dict.fromkeys(Secrets.__dataclass_fields__, "")
    secrets = Secrets(**values | {"quote_signing_key": b64encode(SEED).decode()})
    keys = QuoteSettings.model_validate({"quote_keys": json.dumps(secrets.quote_keys)}).keys
    check = partial(quotes.check, keys=keys, audience="web", now=NOON)
    context = a_first_use(NOON, mode=QuoteMode.REQUIRED, check=check)

    assert (status, len(catalogue["offers"])) == (200, len(CATALOGUE))
    for sale in catalogue["offers"]:
        status, answer = quote_of(offers, **sale)
        assert status == 201
        judge_first_use({**TRAVELER, **sale, **answer}, context=context)


@pytest.mark.parametrize(
    ("offer", "price", "refused"),
    [
        (OFFER, CHEAP, (422, "not_our_price")),
        (OFFER | {"ends_on": "2029-01-01"}, SUITE.price, (422, "not_our_price")),
        (OFFER | {"description": "Pague en otra parte"}, SUITE.price, (422, "not_our_price")),
        (OFFER | {"starts_on": "pronto"}, SUITE.price, (422, "validation_failed")),
        (OFFER | {"guests": "2"}, SUITE.price, (422, "validation_failed")),
        (OFFER | {"offer_id": "SUITE"}, CHEAP, (404, "unknown_offer")),
        (OFFER | {"offer_id": "HTL-SUITE-5STAR"}, CHEAP, (404, "unknown_offer")),
        (OFFER | {"offer_id": "HTL-"}, CHEAP, (404, "unknown_offer")),
        (OFFER | {"offer_id": "rej-1"}, CHEAP, (404, "unknown_offer")),
    ],
)
def test_the_catalogue_is_signed_at_its_own_price_only(
    offers: Offers, offer: Any, price: Any, refused: tuple[int, str]
) -> None:
    status, answer = quote_of(offers, offer, price)

    assert (status, answer["error"]["code"]) == refused


@pytest.mark.parametrize("prefix", ["REJ-", "PEN-", "TMO-", "FLK-", "LAT-", "TWI-", "CXL-", "NOC-"])
def test_an_id_for_tests_is_signed_at_the_price_that_is_asked_for(
    offers: Offers, prefix: str
) -> None:
    assert quote_of(offers, OFFER | {"offer_id": f"{prefix}1"}, CHEAP)[0] == 201


def test_an_unknown_address_is_told(offers: Offers) -> None:
    assert asked(offers, "GET", "/prices")[0] == 404
    assert asked(offers, "DELETE", "/quotes")[0] == 405


def test_a_page_of_any_origin_may_ask(offers: Offers) -> None:
    preflight, _ = offers.answer(method="OPTIONS", target="/quotes", headers={}, body=b"")
    refusal, _ = offers.answer(method="GET", target="/nothing", headers={}, body=b"")

    assert (preflight.status, refusal.status) == (200, 404)
    assert preflight.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert refusal.headers["Access-Control-Allow-Origin"] == "*"
