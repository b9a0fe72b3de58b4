"""The simulators as processes: their command line, their control, their end."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local.simulators.payments import TOKENS
from local.simulators.storage import Storage
from local.simulators.supplier import OFFERS
from local.simulators.webhooks import signed_headers
from tests.worlds.providers import ROOT, Simulator

COMMAND = [sys.executable, "-m", "local.simulators"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module", params=["payments", "supplier"])
def process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Simulator]:
    with Simulator(request.param, tmp_path_factory.mktemp("simulator")) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    process.post("/_sim/reset").raise_for_status()
    return process


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("place", ["--help", "README.md", "the contracts"])
def test_every_input_is_documented(place: str) -> None:
    if place == "--help":
        text = run("--help").stdout
        assert all(word in text for word in ("/_sim/faults", "--state"))
    elif place == "README.md":
        text = (ROOT / place).read_text("utf-8")
    else:
        contracts = (ROOT / "docs" / "contratos").glob("*-openapi.yaml")
        text = "".join(path.read_text("utf-8") for path in contracts)

    assert [name for name in (*TOKENS, *OFFERS) if name not in text] == []


def test_a_ledger_of_another_layout_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "payments.sqlite"
    with closing(sqlite3.connect(path)) as older:
        older.execute("CREATE TABLE item (payment_id TEXT PRIMARY KEY)")
        older.execute("INSERT INTO item VALUES ('pay_1')")
        older.commit()

    newer = Storage(path)
    settings = newer.table("setting", dict)
    with newer.transaction():
        assert settings == {}
        settings["webhook"] = {"url": "http://127.0.0.1"}
    newer.close()

    same = Storage(path)
    assert same.table("setting", dict) == {"webhook": {"url": "http://127.0.0.1"}}
    same.close()


def test_a_taken_port_is_reported_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("payments", "--port", port, "--state", str(tmp_path / "payments.sqlite"))

    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_health_names_the_simulator(simulator: Simulator) -> None:
    assert simulator.get("/_sim/health")["status"] == "ok"


def test_a_fresh_ledger_is_empty(simulator: Simulator) -> None:
    empty: dict[str, Any] = {"charges": [], "refunds": []}
    if simulator.state.stem == "supplier":
        empty = {"bookings": []}

    assert simulator.get("/_sim/ledger") == empty


def test_the_ledger_is_its_owners_alone(simulator: Simulator) -> None:
    assert simulator.state.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_sim/faults", {"mode": "explode"}),
        ("/_sim/faults", {"mode": "slow", "latency_ms": -1}),
        ("/_sim/webhook", {"url": "nowhere", "secret": SECRET}),
        ("/_sim/webhook", {"url": "http://127.0.0.1/x", "secret": "whsec_*"}),
        ("/_sim/webhook", {"url": "http://127.0.0.1/x", "secret": "plain"}),
    ],
)
def test_control_refuses_invalid_commands(
    simulator: Simulator, path: str, body: dict[str, object]
) -> None:
    assert simulator.post(path, body).status_code == 422


def test_an_unknown_path_and_a_wrong_method_are_distinguished(simulator: Simulator) -> None:
    assert simulator.post("/_sim/nothing").status_code == 404
    assert simulator.post("/_sim/health").status_code == 405


def test_control_says_which_mood_it_is_in(simulator: Simulator) -> None:
    before = simulator.get("/_sim/mood")
    simulator.faults("outage")
    simulator.post("/_sim/mood", {"mood": "hides_rows"})

    assert before == {"mood": None, "mode": "ok"}
    assert simulator.get("/_sim/mood") == {"mood": "hides_rows", "mode": "outage"}


def test_sigterm_ends_it_cleanly_and_a_fault_outlives_it(simulator: Simulator) -> None:
    simulator.faults("outage")

    code = simulator.stop()
    simulator.start()

    listing = {"payments": "/payments", "supplier": "/bookings"}[simulator.state.stem]
    assert code == 0
    assert simulator.post(listing).status_code == 503


def test_a_webhook_is_signed_as_specified() -> None:
    # The example of the Standard Webhooks specification's reference libraries.
    headers = signed_headers(
        secret=SECRET,
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body='{"test": 2432232314}',
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
