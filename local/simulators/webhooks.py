"""Deliver webhooks, signed as Standard Webhooks says, until one is accepted or its retries end."""

import base64
import hashlib
import hmac
import threading
import time
from dataclasses import replace

import httpx

from local.simulators.provider import Provider
from local.simulators.storage import Owed

_PAUSES_S = (1, 2, 4, 8, 16)
_TICK_S = 0.1
_TIMEOUT_S = 5
_SECRET_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """
    Raises:
        ValueError: it is not `whsec_` and base64.
    """
    if not secret.startswith(_SECRET_PREFIX):
        raise ValueError("a secret begins with whsec_")
    return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)


def signed_headers(*, secret: str, webhook_id: str, timestamp: int, body: str) -> dict[str, str]:
    """Return the three headers of Standard Webhooks over `id.timestamp.body`."""
    content = f"{webhook_id}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


class Clockwork(threading.Thread):
    """Settle pending operations and deliver webhooks, except in an outage."""

    def __init__(self, provider: Provider, *, stopping: threading.Event) -> None:
        super().__init__(name="clockwork", daemon=True)
        self._provider = provider
        self._stopping = stopping
        self._http = httpx.Client(timeout=_TIMEOUT_S, trust_env=False)

    def run(self) -> None:
        while not self._stopping.wait(_TICK_S):
            self._tick()

    def _tick(self) -> None:
        provider = self._provider
        with provider.storage.transaction():
            if provider.settings.get("faults", {}).get("mode") == "outage":
                return
            provider.settle()
            target = provider.settings.get("webhook", {})
            now = provider.storage.clock()
            due = [owed for owed in provider.owed.values() if owed.due_at <= now]
        for owed in sorted(due, key=lambda owed: owed.due_at):
            if self._stopping.is_set():
                return
            self._conclude(owed, heard=self._deliver(owed, **target))

    def _deliver(self, owed: Owed, *, url: str, secret: str) -> bool:
        headers = signed_headers(
            secret=secret,
            webhook_id=owed.webhook_id,
            timestamp=int(time.time()),
            body=owed.body,
        )
        headers["Content-Type"] = "application/json"
        try:
            answer = self._http.post(url, content=owed.body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _conclude(self, owed: Owed, *, heard: bool) -> None:
        """Drop a webhook that was heard or tried often enough, unless a reset did; else postpone it."""
        provider = self._provider
        with provider.storage.transaction():
            if owed.webhook_id not in provider.owed:
                return
            if heard or owed.attempts >= len(_PAUSES_S):
                del provider.owed[owed.webhook_id]
            else:
                due_at = provider.storage.clock() + _PAUSES_S[owed.attempts]
                again = replace(owed, attempts=owed.attempts + 1, due_at=due_at)
                provider.owed[owed.webhook_id] = again
