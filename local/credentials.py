"""Secrets of this machine's stack: made once, kept in `.local/secrets.json`, so that old tokens stay good."""

import base64
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from local.paths import STATE, read_json, write_json
from local.processes import StackError, exclusive

_FILE = STATE / "secrets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Every secret that the stack needs; those of AWS come from Parameter Store instead."""

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


def stack_secrets() -> Secrets:
    """Return the secrets of this machine, making those that are missing.

    Raises:
        StackError: the file holds something else; with new secrets every old access token would open nothing.
    """
    with exclusive("secrets"):
        kept: dict[str, Any] = read_json(_FILE)
        if _FILE.exists() and not kept:
            raise StackError(
                f"{_FILE} cannot be read, and what is stored is opened by the secrets in it.",
                remedy="Put it back; or delete all data of the stack, and it: make clean",
            )
        known = Secrets(
            **{name: kept.get(name) or _new(name) for name in Secrets.__dataclass_fields__}
        )
        if asdict(known) != kept:
            write_json(_FILE, asdict(known))
    return known


def _new(name: str) -> str:
    if name == "access_token_key":
        return _base64()
    if name.endswith("_webhook_secret"):
        return f"whsec_{_base64()}"  # the form that Standard Webhooks prescribes
    return secrets.token_hex(20)


def _base64() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
