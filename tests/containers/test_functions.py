"""Every function in a container like Lambda's, on its events, with a real database and real providers beside it."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local import containers, events
from local.events import WRITTEN, write
from local.paths import ROOT
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from tests.containers.conftest import Invoke, served
from tests.containers.expected import COUNTS, EVERY_RECORD_HANDLED, NO_STACK, OTHERS, STATUS
from tests.worlds.builders import (
    CODE,
    NOON,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.invocation import an_event

pytestmark = pytest.mark.timeout(900)  # the first call of each function makes its container

JOURNEY = ("process_payment", "confirm_supplier", "issue_voucher", "notify_customer")


def keep(database: Database, *calls: Any, **changes: Any) -> None:
    """Store the reservation of the events, its trip sixty days ahead."""
    starts_on = datetime.now(UTC).date() + timedelta(days=60)
    offer = an_offer(starts_on=starts_on, ends_on=starts_on + timedelta(days=3))
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(a_reservation(*calls, **{"offer": offer, **changes})), a_customer())
        uow.commit()


def confirmed(database: Database) -> None:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    keep(database, facts=facts, documents=(a_voucher(),))


@pytest.mark.parametrize("event", STATUS)
def test_a_request_is_answered(invoke: Invoke, database: Database, event: str) -> None:
    confirmed(database)

    assert invoke(event)["statusCode"] == STATUS[event]


@pytest.mark.parametrize("event", OTHERS)
def test_a_message_or_a_deployment_is_handled(
    invoke: Invoke, database: Database, event: str
) -> None:
    confirmed(database)

    assert invoke(event) == OTHERS[event]


@pytest.mark.parametrize("event", sorted(COUNTS))
def test_scheduled_work_is_counted(invoke: Invoke, database: Database, event: str) -> None:
    counts = invoke(event)

    assert counts
    assert all(isinstance(count, int) for count in counts.values()), counts


@pytest.mark.parametrize("event", sorted(NO_STACK))
def test_a_stack_that_cannot_be_notified_is_an_error(invoke: Invoke, event: str) -> None:
    failed = invoke(event)

    assert (failed["errorType"], failed["errorMessage"]) == (
        "FunctionFailedError",
        "StackNotNotifiedError",
    )


def test_the_events_of_the_steps_carry_a_reservation_to_its_mail(
    invoke: Invoke, database: Database
) -> None:
    keep(database, facts=some_facts(created_at=datetime.now(UTC)))

    for step in JOURNEY:
        assert invoke(f"{step}.due") == EVERY_RECORD_HANDLED

    shown = json.loads(invoke("get_reservation.shown")["body"])
    assert (shown["reservation_code"].replace("-", ""), shown["status"]) == (
        CODE.replace("-", ""),
        "CONFIRMADA",
    )
    assert [document["type"] for document in shown["documents"]] == ["voucher"]
    mails = httpx.get(f"{containers.AWS_ON_THIS_MACHINE}/_aws/ses", timeout=30).json()["messages"]
    assert any(shown["reservation_code"] in json.dumps(mail) for mail in mails)


def test_one_function_is_invoked_by_name(invoke: Invoke, database: Database) -> None:
    event = "create_reservation.accepted"
    write()
    command = containers.sam_local(
        "invoke", events.function_of(event), f"--event={WRITTEN / event}.json"
    )

    result = subprocess.run(
        command, cwd=ROOT, env=containers.sam_environment(), capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr[-2000:]
    answer = json.loads(result.stdout)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (202, "EN PROCESO")


def test_the_http_functions_are_served(invoke: Invoke, database: Database) -> None:
    body = an_event("create_reservation.accepted")["body"]
    with served("start-api", containers.API_PORT, "--warm-containers=LAZY") as address:
        health = httpx.get(f"{address}/v1/health", timeout=120)
        # sam local knows no API keys, and a request without one has no client.
        refused = httpx.post(f"{address}/v1/reservations", content=body, timeout=120)

    assert (health.status_code, refused.status_code) == (200, 401)
    assert refused.json()["code"] == "unauthorized"
