"""The console in Chromium, on the running stack."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from local.browser import chromium, use_our_node
from local.paths import ROOT, VENVS
from tests.e2e.backstage import Backstage
from tests.e2e.operators import Operator
from tests.e2e.test_operators import history, operator, papers_sent
from tests.e2e.travel import Json, Trip, a_request, depart

__all__ = ["operator"]  # the fixture

pytestmark = pytest.mark.timeout(300)
_DRIVER = Path(__file__).with_name("browser") / "console.py"


@pytest.fixture
def trip(api: httpx.Client, backstage: Backstage) -> Trip:
    return papers_sent(depart(api, a_request()), backstage)


@pytest.fixture
def address(steady_stack: Json) -> Iterator[str]:
    """The address that `make console` prints."""
    command = [sys.executable, "-m", "local.console"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as console:
        assert console.stdout is not None
        yield console.stdout.readline().strip()
        console.terminate()


@pytest.fixture
def evil(address: str, trip: Trip) -> Iterator[str]:
    """A page of another site, whose button sends a forged act."""
    page = (
        f'<form method="post" action="{address.partition("/?")[0]}/act">'
        f'<input name="command" value="nudge {trip.code}"><button>Win</button></form>'
    ).encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_operator_finds_sees_and_acts_in_a_browser(
    address: str, evil: str, trip: Trip, operator: Operator, tmp_path: Path
) -> None:
    command = [
        VENVS / "browser/bin/python",
        _DRIVER,
        address,
        trip.code,
        evil,
        chromium(),
        tmp_path,
    ]

    use_our_node()
    output = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, timeout=200, check=True
    ).stdout

    seen = json.loads(output)
    assert "token" not in seen["address"]
    assert seen["heading"] == trip.code
    assert seen["drawn"]
    assert (seen["asked"], seen["done"]) == ("Are you sure?", "Done")
    assert seen["mail"]
    assert seen["elsewhere"] == []
    assert seen["complaints"] == []
    assert seen["forged"] == "Forbidden"
    nudges = [line for line in history(operator, trip) if line["event"] == "operator.nudged"]
    assert [line["actor"] for line in nudges] == ["operator:on-call"]
