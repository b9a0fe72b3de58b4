"""Cold starts: a fresh process per function, on the built code and layers, with everything else on loopback HTTP.

One round takes a reservation through all functions, each in a new process: every step does its whole work.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from local import deployment
from local.events import event
from local.paths import ROOT, VENVS
from reservations.adapters.mysql.address import Address
from tools.bench.floors import connection
from tools.bench.product import ENVIRONMENT, Json, Tally, a_webhook, about, at_code, creations

_PYTHON = VENVS / "lambda" / "bin" / "python"
_CHILD = ROOT / "tools" / "bench" / "cold_child.py"
_SECONDS = 60
RUNTIME = "runtime"
DRIVER = "driver + SELECT 1"


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of CPU for the imports and until the first answer, above the interpreter's and the runtime's."""

    imports: float
    first: float

    @property
    def cpu(self) -> float:
        return self.imports + self.first


def build() -> None:
    """Build functions and layers as for the embedded stack, unless they are built."""
    deployment.build(deployment.sources_fingerprint())


def a_round(database_url: str, world: str) -> dict[str, Start]:
    """Start each function once, on one reservation, and the driver alone."""
    start = _Starter(database_url, world)
    found = {DRIVER: start("", None)[0]}
    request = next(creations())
    created, answer = start("create_reservation", request)
    made = json.loads(answer["body"])
    code, token = made["reservation_code"], made["access_token"]
    reference = _reference(database_url, code)
    found["create_reservation"] = created
    for name, sent in _rest(reference, code, token).items():
        found[name], answer = start(name, sent)
        assert answer.get("statusCode", 200) in (200, 202), (name, answer)
        assert not answer.get("batchItemFailures"), (name, answer)
    return found


def _rest(reference: str, code: str, token: str) -> Mapping[str, Json]:
    """The events of the other functions, in the order of a journey that is cancelled at its end."""
    names = (
        "process_payment.due",
        "confirm_supplier.due",
        "issue_voucher.due",
        "notify_customer.due",
        "get_reservation.shown",
        "receive_webhook.payment_succeeded",
        "cancel_reservation.accepted",
        "record_mail_event.bounced",
        "poll_outbox.every_minute",
        "clean_up.invariants",
    )
    events = {name: about(event(name), reference) for name in names}
    key = {"Idempotency-Key": str(uuid.uuid4())}  # of the cancellation; a reading has none
    for name in ("get_reservation.shown", "cancel_reservation.accepted"):
        events[name] = at_code(events[name], code, token, **key)
    webhook = "receive_webhook.payment_succeeded"
    events[webhook] = a_webhook(events[webhook], reference)
    return {name.partition(".")[0]: sent for name, sent in events.items()}


def _reference(database_url: str, code: str) -> str:
    with connection(database_url, Tally()) as database, database.cursor() as cursor:
        canonical = (code.replace("-", ""),)
        cursor.execute("SELECT BIN_TO_UUID(id) FROM reservation WHERE code = %s", canonical)
        [(reference,)] = cursor.fetchall()
        return str(reference)


class _Starter:
    def __init__(self, database_url: str, world: str) -> None:
        address = Address.of(database_url)
        self._database = {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
            "database": address.database,
            "ssl_disabled": True,
        }
        self._environment = {
            **{
                name: value.replace("http://127.0.0.1", world)
                for name, value in ENVIRONMENT.items()
            },
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": world,
            "AWS_REGION": deployment.REGION,
            "AWS_DEFAULT_REGION": deployment.REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "POWERTOOLS_SERVICE_NAME": "reservations-bench",
        }

    def __call__(self, name: str, sent: Json | None) -> tuple[Start, Json]:
        folder = "".join(word.capitalize() for word in name.split("_")) + "Function"
        layers = ("PdfLayer", "CoreLayer", "DependenciesLayer")
        places = [*([folder] if name else []), *(f"{layer}/python" for layer in layers)]
        path = os.pathsep.join(str(deployment.BUILD / place) for place in places)
        given = json.dumps({"event": sent, "database": self._database})
        done = subprocess.run(
            [_PYTHON, "-P", _CHILD],
            input=given,
            env=self._environment | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        if done.returncode:
            raise ChildProcessError(f"{name or DRIVER}: {done.stderr[-2000:]}")
        answer = json.loads(done.stdout.splitlines()[-1])
        return Start(answer["imports"], answer["first"]), answer["answer"]
