"""A signer of quotes that shares no code with the library under test."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reservations.domain.clients import ClientModes, DuplicateCharge, QuoteMode
from reservations.domain.policy import STANDARD, Policy
from reservations.entrypoints.first_use import CheckQuote, FirstUse

TYPE = "reservation-quote+jwt"


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class Signer:
    """An Ed25519 key with its id, from a fixed seed."""

    def __init__(self, kid: str = "q1", *, seed: int = 1) -> None:
        self.kid = kid
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)

    @property
    def jwk(self) -> dict[str, str]:
        public = encoded(self._key.public_key().public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.kid, "x": public}

    def sign(self, claims: Mapping[str, Any] | bytes, **header: Any) -> str:
        """Return a compact JWS. A member of `header` replaces the usual one; `None` leaves it out."""
        members = {"alg": "EdDSA", "kid": self.kid, "typ": TYPE} | header
        head = json.dumps({name: value for name, value in members.items() if value is not None})
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        content = f"{encoded(head.encode())}.{encoded(payload)}"
        return f"{content}.{encoded(self._key.sign(content.encode()))}"


def claims_of(
    body: Mapping[str, Any],
    *,
    at: datetime,
    audience: str = "web",
    lasts: timedelta = timedelta(minutes=30),
    **changes: Any,
) -> dict[str, Any]:
    """The claims of a quote given at that time for the offer and price of a body."""
    issued = int(at.timestamp())
    expires = issued + int(lasts.total_seconds())
    offered = {"offer": body["offer"], "price": body["price"]}
    return {"aud": audience, "iat": issued, "exp": expires, **offered, **changes}


def unexpected(*_: object) -> None:
    raise AssertionError("a quote that no test expects")


def a_first_use(
    now: datetime,
    *,
    policy: Policy = STANDARD,
    audience: str = "web",
    mode: QuoteMode = QuoteMode.OFF,
    check: CheckQuote = unexpected,
) -> FirstUse:
    """The first use of a key at that time. Without `check`, the client gives no quote."""
    modes = ClientModes(public=True, quote=mode, duplicate_charge=DuplicateCharge.ALLOW)
    return FirstUse.at(now, policy=policy, modes=modes, check_quote=check)


SIGNER = Signer()
JWK_SET = {"keys": [SIGNER.jwk]}
