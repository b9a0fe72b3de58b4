"""Serve the operators' console: `python -m local.console`. On the stack of this machine it has mails and moods."""

import contextlib
import email
import email.policy
import os
import sys
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

import httpx

from local.ops import prepare
from local.paths import STACK_FILE, read_json
from local.simulators.moods import MOODS

_FAULTS = ("ok", "outage", "slow")
_SLOW_MS = 5000
_SIMULATORS = ("payments", "supplier")


class StackBackstage:
    """The mails that LocalStack caught, and the simulators."""

    def __init__(self, stack: Mapping[str, Any]) -> None:
        self._stack = stack

    def mails(self) -> Sequence[EmailMessage]:
        caught = httpx.get(f"{self._stack['aws_endpoint_url']}/_aws/ses", timeout=10).json()
        return [
            email.message_from_string(raw, policy=email.policy.default)
            for message in caught["messages"]
            if (raw := message.get("RawData"))
        ]

    def moods(self) -> Mapping[str, Sequence[str]]:
        return dict.fromkeys(_SIMULATORS, (*_FAULTS, *MOODS))

    def mood(self, simulator: str) -> str:
        url = f"{self._stack[f'{simulator}_url']}/_sim/mood"
        now = httpx.get(url, timeout=10).raise_for_status().json()
        return str(now["mood"] or now["mode"])

    def set_mood(self, simulator: str, mood: str) -> None:
        """Set a fault, or a hostile mood. `ok` ends both."""
        url = f"{self._stack[f'{simulator}_url']}/_sim"
        hostile = mood if mood in MOODS else None
        faults = {"mode": mood if mood in _FAULTS else "ok", "latency_ms": _SLOW_MS}
        for path, setting in (("mood", {"mood": hostile}), ("faults", faults)):
            httpx.post(f"{url}/{path}", json=setting, timeout=10).raise_for_status()


def main(arguments: list[str]) -> None:
    prepare(arguments)
    from ops.__main__ import ops
    from ops.console.__main__ import serve
    from ops.desk import Desk

    stack = read_json(STACK_FILE)
    if os.environ.get("AWS_ENDPOINT_URL") != stack.get("aws_endpoint_url") or not stack:
        ops([*arguments, "console"], prog_name="ops")
        return
    from reservations.services import Services

    stage = os.environ["OPS_STAGE"]
    services = Services({**os.environ, "SETTINGS_PATH": f"/reservations/{stage}"})
    desk = Desk(services, stack=os.environ["OPS_STACK"], log_folder=os.environ.get("OPS_LOGS"))
    serve(desk, role=os.environ.get("OPS_ROLE", "on-call"), port=0, backstage=StackBackstage(stack))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
