"""The promises of `make run` on a machine where any process can die."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import deployment, processes
from local.paths import ROOT, STACK_FILE, STATE, read_json
from tests.e2e.travel import eventually, quoted

pytestmark = [pytest.mark.disruptive, pytest.mark.timeout(300)]
_COMMAND_SECONDS = 240


def command(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "local.stack", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said_by(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=_COMMAND_SECONDS)
    assert process.returncode == 0, said
    return said


def kill(name: str) -> None:
    pid = processes.pid_of(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def taken(port: int) -> socket.socket | None:
    """Listen on a port, or return `None` while another process does."""
    with contextlib.suppress(OSError):
        return socket.create_server(("127.0.0.1", port))
    return None


def a_request(*, payment_token: str = "tok_ok") -> dict[str, Any]:
    starts_on = datetime.now(UTC).date() + timedelta(days=90)
    return {
        "customer": {"full_name": "Eva Ruiz", "email": "eva@example.com"},
        "offer": {
            "offer_id": "HTL-MAR-002",
            "description": "Hotel Mar, individual",
            "starts_on": starts_on.isoformat(),
            "ends_on": (starts_on + timedelta(days=1)).isoformat(),
            "guests": 1,
        },
        "price": {"amount": "80.00", "currency": "EUR"},
        "payment_token": f"{payment_token}-{uuid.uuid4().hex}",
    }


def reserve(web: httpx.Client, *, payment_token: str = "tok_ok") -> dict[str, Any]:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = quoted(web, a_request(payment_token=payment_token))
    answer = web.post("/v1/reservations", json=body, headers=headers)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def status_now(reservation: dict[str, Any]) -> str:
    """Read the status of a reservation at the stack's current address, with its first token."""
    stack = read_json(STACK_FILE)
    answer = httpx.get(
        f"{stack['api_url']}/v1/reservations/{reservation['reservation_code']}",
        headers={
            "x-api-key": stack["api_keys"]["web"],
            "Authorization": f"Bearer {reservation['access_token']}",
        },
        timeout=30,
    )
    return str(answer.json().get("status", answer.text))


def wait_for(expected: str, *, of: dict[str, Any]) -> None:
    what = f"{of['reservation_code']} on its way to {expected}"
    eventually(lambda: status_now(of) == expected, of=what)


def test_the_description_is_complete_and_for_its_owner_only(stack: dict[str, Any]) -> None:
    assert stat.S_IMODE(STACK_FILE.stat().st_mode) == 0o600
    servers = {"payments", "supplier", "offers", "web"}
    assert set(stack["pids"]) == {"database", "localstack"} | servers
    assert all(Path(f"/proc/{pid}").exists() for pid in stack["pids"].values())
    assert set(stack["api_keys"]) == {"web", "partner"}


def test_the_api_refuses_a_caller_without_a_key(web: httpx.Client) -> None:
    del web.headers["x-api-key"]

    answer = web.post("/v1/reservations", json=a_request())

    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthorized"


def test_a_second_run_reuses_everything_and_prints_a_summary(stack: dict[str, Any]) -> None:
    said = said_by(command("run"))

    assert read_json(STACK_FILE) == stack
    assert "CONFIRMADA" in said
    [voucher] = (Path(word) for word in said.split() if word.endswith("voucher.pdf"))
    [mail] = (Path(word) for word in said.split() if word.endswith(".eml"))
    assert voucher.read_bytes().startswith(b"%PDF-")
    assert b"Subject:" in mail.read_bytes()
    assert stack["api_keys"]["web"] in said


def test_two_runs_at_once_do_not_harm_each_other(stack: dict[str, Any]) -> None:
    both = [command("up"), command("up")]

    for process in both:
        said_by(process)

    assert read_json(STACK_FILE) == stack


def test_dead_processes_are_replaced_and_open_reservations_go_on(web: httpx.Client) -> None:
    """A process whose port was taken by another program gets a new port. The API keeps its address."""
    confirmed = reserve(web)
    wait_for("CONFIRMADA", of=confirmed)
    under_way = reserve(web)
    port = read_json(STATE / "ports.json")["supplier"]
    engine = "mysql" if processes.pid_of("mysql") else "mariadb"
    for name in ("localstack", "payments", "supplier", engine):
        kill(name)
    if engine == "mysql":  # as after a reboot, when another process has its old pid
        (STATE / "mysql" / "data" / "server.sock.lock").write_text(f"{os.getpid()}\n")

    with eventually(lambda: taken(port), of="the end of the supplier"):
        said_by(command("up"))

    assert read_json(STATE / "ports.json")["supplier"] != port
    assert status_now(confirmed) == "CONFIRMADA"
    wait_for("CONFIRMADA", of=under_way)
    wait_for("CONFIRMADA", of=reserve(web))


def test_an_interrupted_run_leaves_nothing_of_its_own_and_the_next_one_works(
    web: httpx.Client,
) -> None:
    reservation = reserve(web)
    wait_for("CONFIRMADA", of=reservation)
    payments, localstack = (processes.identity(name) for name in ("payments", "localstack"))
    kill("localstack")
    interrupted = command("up")
    eventually(
        lambda: processes.identity("localstack") not in (None, localstack),
        of="a LocalStack started by the run itself",
    )

    interrupted.send_signal(signal.SIGINT)
    said, _ = interrupted.communicate(timeout=_COMMAND_SECONDS)

    # A shell shows both as 130. Python dies of the signal itself if it comes during an `exec` of text.
    assert interrupted.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    assert not STACK_FILE.exists()
    assert processes.identity("localstack") is None
    assert processes.identity("payments") == payments  # it ran before this run
    said_by(command("up"))
    assert status_now(reservation) == "CONFIRMADA"


def test_an_interrupted_test_run_restores_the_hold_limit() -> None:
    tests = command("test", "tests/e2e/test_stack.py", "-k", "description_is_complete")
    eventually(
        lambda: saga_policy() == deployment.SAGA_POLICY_OF_TESTS,
        of="the hold limit of tests",
    )

    tests.send_signal(signal.SIGINT)
    tests.communicate(timeout=_COMMAND_SECONDS)

    assert saga_policy() == deployment.SAGA_POLICY


def saga_policy() -> str:
    stack = read_json(STACK_FILE)
    ssm = deployment.client("ssm", stack["aws_endpoint_url"])
    answer = ssm.get_parameter(Name=f"/reservations/{stack['stage']}/saga-policy")
    return str(answer["Parameter"]["Value"])
