"""Deliver webhooks, signed as Standard Webhooks says, until one is accepted or its retries end."""

import base64
import hashlib
import hmac
import threading
import time

import httpx

from local.simulators.ledger import Announcement, Ledger
from local.simulators.provider import Provider

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

    def __init__(self, *, ledger: Ledger, provider: Provider, stopping: threading.Event) -> None:
        super().__init__(name="clockwork", daemon=True)
        self._ledger = ledger
        self._provider = provider
        self._stopping = stopping
        self._http = httpx.Client(timeout=_TIMEOUT_S, trust_env=False)

    def run(self) -> None:
        while not self._stopping.wait(_TICK_S):
            self._tick()

    def _tick(self) -> None:
        with self._ledger.transaction() as transaction:
            if (transaction.setting("faults") or {}).get("mode") == "outage":
                return
            self._provider.settle(transaction)
            target = transaction.setting("webhook")
            due = transaction.due_announcements() if target else []
        for announcement in due:
            if self._stopping.is_set() or target is None:
                return
            self._conclude(announcement, heard=self._deliver(announcement, **target))

    def _deliver(self, announcement: Announcement, *, url: str, secret: str) -> bool:
        headers = signed_headers(
            secret=secret,
            webhook_id=announcement.id,
            timestamp=int(time.time()),
            body=announcement.body,
        )
        headers["Content-Type"] = "application/json"
        try:
            answer = self._http.post(url, content=announcement.body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _conclude(self, announcement: Announcement, *, heard: bool) -> None:
        with self._ledger.transaction() as transaction:
            if heard or announcement.attempts >= len(_PAUSES_S):
                transaction.announced(announcement)
            else:
                pause = _PAUSES_S[announcement.attempts]
                transaction.announce_again(announcement, after_seconds=pause)
