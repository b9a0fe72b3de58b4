"""Sends the arrivals of a plan at their times: `locust -f`, in the environment `load`.

Locust's users are a closed model. So one user spawns each arrival by itself, whatever the earlier ones still wait for.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, task

PLAN = json.loads(Path(os.environ["STRESS_PLAN"]).read_text(encoding="utf-8"))
ANSWERS = Path(os.environ["STRESS_ANSWERS"])
PATIENCE_SECONDS = 30.0


class Schedule(FastHttpUser):
    host = PLAN["url"]
    concurrency = 2000  # connections: no arrival may wait for one
    network_timeout = connection_timeout = PATIENCE_SECONDS

    @task
    def arrive(self) -> None:
        """Send everything, wait for the last answers, and end the run."""
        self.accepted: list[dict[str, str]] = []
        self.rows: list[dict[str, Any]] = []
        began, sent = time.time(), Pool()
        for arrival in PLAN["arrivals"]:
            intended = began + arrival["at"]
            gevent.sleep(max(0.0, intended - time.time()))
            sent.spawn(self._send, arrival, intended, began)
        sent.join(timeout=PATIENCE_SECONDS)
        ANSWERS.write_text("\n".join(map(json.dumps, self.rows)), encoding="utf-8")
        self.environment.runner.quit()

    def _send(self, arrival: dict[str, Any], intended: float, began: float) -> None:
        started = time.time()
        row = {"kind": arrival["kind"], "at": arrival["at"], "late": started - intended}
        if arrival["kind"] == "create":
            answer = self._create(arrival, row)
        elif self.accepted:
            answer = self._read()
        else:
            return
        row |= {"seconds": time.time() - intended, "status": answer.status_code}
        if answer.status_code >= 500 or answer.status_code == 0:
            row["text"] = (answer.text or "")[:300]
        self.rows.append(row)

    def _create(self, arrival: dict[str, Any], row: dict[str, Any]) -> Any:
        headers = PLAN["headers"] | {"Idempotency-Key": arrival["key"]}
        answer = self.client.post(
            "/v1/reservations", json=arrival["body"], headers=headers, name="create"
        )
        row["key"] = arrival["key"]
        if answer.status_code == 202:
            made = json.loads(answer.text)
            row["code"] = made["reservation_code"]
            token = f"Bearer {made['access_token']}"
            self.accepted.append({"code": made["reservation_code"], "token": token, "tag": ""})
        return answer

    def _read(self) -> Any:
        one = random.choice(self.accepted)  # noqa: S311  no secret
        headers = PLAN["headers"] | {"Authorization": one["token"]}
        if one["tag"]:
            headers["If-None-Match"] = one["tag"]
        answer = self.client.get(f"/v1/reservations/{one['code']}", headers=headers, name="read")
        one["tag"] = (answer.headers or {}).get("ETag") or one["tag"]
        return answer
