"""Measure a traveler's wait on this machine: `python -m tools.bench`, on a running stack.

Reservations are made one after the other, and providers answer at once. The figures show latency, not
throughput, and only of this machine.
"""

import os
import platform
import statistics
import sys
import time
import uuid
from datetime import datetime
from typing import Any

import httpx

from local.journey import first_sale, quote_for
from local.paths import STACK_FILE, read_json
from local.processes import StackError
from local.progress import complain, note

_RESERVATIONS = 50
_WARM_UP = 2  # the first ones wait for functions to start
_PATIENCE_SECONDS = 60  # for one reservation
_PAUSE_SECONDS = 0.2


def main() -> int:
    """Measure and print; fail if a reservation is not confirmed in time."""
    stack = read_json(STACK_FILE)
    if not stack:
        complain(StackError("The stack is not up.", remedy="Start it: make up"))
        return 1
    _let_providers_answer_at_once(stack)
    headers = {"x-api-key": stack["api_keys"]["web"]}
    with httpx.Client(base_url=stack["api_url"], headers=headers, timeout=30) as api:
        for _ in range(_WARM_UP):
            _measured(api, stack["offers_url"])
        pairs = [_measured(api, stack["offers_url"]) for _ in range(_RESERVATIONS)]
    posts, confirmations = zip(*pairs, strict=True)
    note(
        f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f},"
        f" Python {platform.python_version()}, n = {_RESERVATIONS}"
    )
    note(_line("POST /v1/reservations", posts))
    note(_line("accepted to CONFIRMADA", confirmations))
    return 0


def _let_providers_answer_at_once(stack: dict[str, Any]) -> None:
    for provider in ("payments", "supplier"):
        url = f"{stack[f'{provider}_url']}/_sim/faults"
        httpx.post(url, json={"mode": "ok"}, timeout=10).raise_for_status()


def _measured(api: httpx.Client, offers_url: str) -> tuple[float, float]:
    """Return the seconds of the request, and those from acceptance to confirmation."""
    answer = api.post(
        "/v1/reservations",
        json=_request(offers_url),
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    created = answer.raise_for_status().json()
    api_path = f"/v1/reservations/{created['reservation_code']}"
    bearer = {"authorization": f"Bearer {created['access_token']}"}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        # Times come from the history, in the database's clock: polling more often would slow the stack down.
        events = api.get(f"{api_path}/timeline", headers=bearer).raise_for_status().json()["events"]
        moments = {event["type"]: datetime.fromisoformat(event["occurred_at"]) for event in events}
        if "reservation.confirmed" in moments:
            waited = moments["reservation.confirmed"] - moments["reservation.accepted"]
            return answer.elapsed.total_seconds(), waited.total_seconds()
        time.sleep(_PAUSE_SECONDS)
    raise TimeoutError(f"a reservation was not confirmed in {_PATIENCE_SECONDS} s")


def _request(offers_url: str) -> dict[str, Any]:
    sale = first_sale(offers_url)
    return {
        "customer": {"full_name": "Ana Pérez", "email": "ana@example.com"},
        **sale,
        "payment_token": f"tok_ok-{uuid.uuid4().hex}",
        "quote": quote_for(offers_url, **sale),
    }


def _line(what: str, seconds: tuple[float, ...]) -> str:
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return f"{what:<24} p50 {statistics.median(seconds):6.3f} s   p95 {p95:6.3f} s"


if __name__ == "__main__":
    sys.exit(main())
