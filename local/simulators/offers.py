"""The offers service: a catalogue with prices, and signed quotes for them.

A quote is a compact JWS, as docs/contratos/cotizacion.md has it. Offers of the catalogue are signed at their own price
only. Ids with a prefix that makes the supplier's simulator misbehave are signed at the price that a test asks for.
"""

import argparse
import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from local.simulators.provider import Answer, Body, RefusedError, Request, Route, failure
from local.simulators.server import Server, routed
from local.simulators.supplier import OFFERS, SOLD

KEY_ID = "q1"
_LASTS_SECONDS = 30 * 60
_TEST_PREFIXES = tuple(prefix for prefix in OFFERS if prefix != SOLD)
_STARTS_IN = timedelta(days=60)
# Any page may ask: the service knows no cookie and no credential.
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An offer of the catalogue: any first day, a fixed number of nights."""

    offer_id: str
    description: str
    nights: int
    guests: int
    amount: str
    currency: str = "EUR"

    @property
    def price(self) -> dict[str, str]:
        return {"amount": self.amount, "currency": self.currency}

    def offer(self, starts_on: date) -> dict[str, Any]:
        return {
            "offer_id": self.offer_id,
            "description": self.description,
            "starts_on": starts_on.isoformat(),
            "ends_on": (starts_on + timedelta(days=self.nights)).isoformat(),
            "guests": self.guests,
        }


CATALOGUE = {
    sale.offer_id: sale
    for sale in (
        Sale(
            offer_id="HTL-MAD-001",
            description="Hotel Sol, doble",
            nights=3,
            guests=2,
            amount="342.50",
        ),
        Sale(
            offer_id="HTL-MAR-002",
            description="Hotel Mar, individual",
            nights=1,
            guests=1,
            amount="80.00",
        ),
        Sale(
            offer_id="HTL-SUITE-5STARS",
            description="Gran Hotel ★★★★★, suite",
            nights=7,
            guests=2,
            amount="4900.00",
        ),
    )
}


class Offer(Body):
    offer_id: str
    description: str
    starts_on: str
    ends_on: str
    guests: int


class Price(Body):
    amount: str
    currency: str


class QuoteRequest(Body):
    """`client_id` is the API client that may use the quote."""

    offer: Offer
    price: Price
    client_id: str = Field(min_length=1, max_length=64)


class Offers:
    """Answers for the offers service. `clock` gives seconds since 1970."""

    def __init__(self, key: Ed25519PrivateKey, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._routes = (
            Route("GET", "/_sim/health", Offers._health),
            Route("GET", "/offers", Offers._offers),
            Route("POST", "/quotes", Offers._quote),
        )

    def answer(
        self,
        *,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        gone: Callable[[], bool] = lambda: False,
    ) -> tuple[Answer, float]:
        """Return the answer, and no delay before it."""
        answer = (
            Answer(status=200, body={})
            if method == "OPTIONS"
            else self._plainly(method, target, body)
        )
        return replace(answer, headers={**answer.headers, **_CORS}), 0

    def _plainly(self, method: str, target: str, body: bytes) -> Answer:
        try:
            route, request = routed(self._routes, method, target, body, key="")
            return route.act(self, request)
        except RefusedError as refusal:
            return failure(refusal.status, refusal.code, str(refusal))

    def _health(self, _: Request) -> Answer:
        return Answer(status=200, body={"status": "ok", "simulator": "offers"})

    def _offers(self, _: Request) -> Answer:
        starts_on = datetime.fromtimestamp(self._clock(), UTC).date() + _STARTS_IN
        sales = [
            {"offer": sale.offer(starts_on), "price": sale.price} for sale in CATALOGUE.values()
        ]
        return Answer(status=200, body={"offers": sales})

    def _quote(self, request: Request) -> Answer:
        asked = request.parse(QuoteRequest)
        offer, price = asked.offer.model_dump(), asked.price.model_dump()
        _check_price(offer, price)
        issued = int(self._clock())
        claims = {"aud": asked.client_id, "iat": issued, "exp": issued + _LASTS_SECONDS}
        return Answer(
            status=201, body={"quote": self._signed(claims | {"offer": offer, "price": price})}
        )

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": "EdDSA", "kid": KEY_ID, "typ": "reservation-quote+jwt"}
        content = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{content}.{_encoded(self._key.sign(content.encode()))}"


def _check_price(offer: dict[str, Any], price: dict[str, str]) -> None:
    """
    Raises:
        RefusedError: the offer is not ours, or not at that price.
    """
    sale = CATALOGUE.get(offer["offer_id"])
    if sale is None:
        if not offer["offer_id"].startswith(_TEST_PREFIXES):
            raise RefusedError(404, "unknown_offer", "we have no such offer")
        return
    try:
        starts_on = date.fromisoformat(offer["starts_on"])
    except ValueError:
        raise RefusedError(422, "validation_failed", "starts_on: not a date") from None
    if (offer, price) != (sale.offer(starts_on), sale.price):
        raise RefusedError(422, "not_our_price", "we do not sell that offer at that price")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m local.simulators.offers",
        description=__doc__,
        epilog="GET /offers; POST /quotes {offer, price, client_id}; GET /_sim/health. Environment:"
        " QUOTE_SIGNING_KEY, an Ed25519 seed in base64.",
    )
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and prints it")
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    seed = base64.b64decode(os.environ["QUOTE_SIGNING_KEY"])
    stopping = threading.Event()
    try:
        server = Server(
            (arguments.host, arguments.port),
            desk=Offers(Ed25519PrivateKey.from_private_bytes(seed)),
            silence_seconds=0,
            stopping=stopping,
        )
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 1

    def stop(*_: object) -> None:
        stopping.set()
        threading.Thread(target=server.shutdown).start()  # it waits for the loop of this thread

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"offers simulator on http://{arguments.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
