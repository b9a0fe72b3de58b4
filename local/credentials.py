"""Secrets of this machine's stack, made once and kept in `.local/secrets.json` so that old tokens stay valid."""

import base64
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.paths import STATE, read_json, write_json
from local.processes import StackError, exclusive

_FILE = STATE / "secrets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Every secret of the local stack. On AWS they come from Parameter Store instead."""

    database_root_password: str
    database_password: str
    web_api_key: str
    web_second_api_key: str
    partner_api_key: str
    access_token_key: str
    payments_api_key: str
    supplier_api_key: str
    payments_webhook_secret: str
    supplier_webhook_secret: str
    quote_signing_key: str  # of the offers simulator: an Ed25519 seed in base64

    @property
    def quote_keys(self) -> dict[str, Any]:
        """The JWK Set that verifies the simulator's quotes."""
        seed = base64.b64decode(self.quote_signing_key)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(public).decode().rstrip("=")
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "q1", "x": x}
        return {"keys": [key]}


def stack_secrets() -> Secrets:
    """Return the secrets of this machine, and make missing ones.

    Raises:
        StackError: the file is unreadable. New secrets would invalidate every old access token.
    """
    with exclusive("secrets"):
        kept: dict[str, Any] = read_json(_FILE)
        if _FILE.exists() and not kept:
            raise StackError(
                f"{_FILE} cannot be read, and stored data needs its secrets.",
                remedy="Restore the file, or delete it with all data of the stack: make clean",
            )
        known = Secrets(
            **{name: kept.get(name) or _new(name) for name in Secrets.__dataclass_fields__}
        )
        if asdict(known) != kept:
            write_json(_FILE, asdict(known))
    return known


def _new(name: str) -> str:
    if name in ("access_token_key", "quote_signing_key"):
        return _base64()
    if name.endswith("_webhook_secret"):
        return f"whsec_{_base64()}"  # the form that Standard Webhooks prescribes
    return secrets.token_hex(20)


def _base64() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
