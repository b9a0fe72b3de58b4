"""The circumstances of a request, by which its key's first use is judged."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from reservations import config
from reservations.domain.clients import ClientModes
from reservations.domain.policy import Policy
from reservations.entrypoints import quotes
from reservations.entrypoints.first_use import FirstUse

if TYPE_CHECKING:
    from jwt import PyJWK

SETTINGS = (config.ClientSettings, config.QuoteSettings)


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def now(self) -> datetime: ...
    def durations(self) -> Policy: ...
    def client_modes(self, client_id: str) -> ClientModes: ...
    def quote_keys(self) -> "Mapping[str, PyJWK]": ...


def first_use_by(client_id: str, services: Services) -> FirstUse:
    """
    Raises:
        SettingsError: see `SettingsReader.prepare`, or the client has no modes.
    """
    now = services.now()
    keys = services.quote_keys()
    return FirstUse.at(
        now,
        policy=services.durations(),
        modes=services.client_modes(client_id),
        check_quote=partial(quotes.check, keys=keys, audience=client_id, now=now),
    )
