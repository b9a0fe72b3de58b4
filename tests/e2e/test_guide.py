"""The `js` blocks and the outages of the integration guide, and every example, word for word, on the running stack."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.paths import ROOT, STATE, VENVS
from tests.e2e.travel import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)

GUIDES = [ROOT / "docs" / "guia-integracion.md", ROOT / "docs" / "integration-guide.md"]
EXAMPLES = ROOT / "docs" / "ejemplos"
NODE = str(VENVS / "node" / "bin" / "node")
EXPECTED = re.compile(r"^(?:.*console\.log\(.*\);)? ?// (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\{\{([^}]+)\}\}")
OUTAGE = re.compile(r"""^\$ curl -X POST "\$PAYMENTS(\S+)" -d '(.+)'$""", re.MULTILINE)


def program(guide: Path) -> str:
    return "\n".join(re.findall(r"^```js\n(.*?)^```$", guide.read_text("utf-8"), re.S | re.M))


def printed_by(*command: str | Path) -> list[str]:
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.splitlines()


@pytest.mark.usefixtures("steady_stack")
def test_the_program_of_the_guide_prints_its_comments(tmp_path: Path) -> None:
    spanish, english = map(program, GUIDES)
    calls = "\n".join(re.findall(r"^.*console\.log.*(?:\n// /.*)*", spanish, re.MULTILINE))
    expected = EXPECTED.findall(calls)
    file = tmp_path / "guide.mjs"
    file.write_text(spanish)

    assert printed_by(NODE, file) == expected
    assert len(expected) >= 10
    assert english == spanish


@pytest.mark.alone  # payments is down for a moment
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_an_outage_of_the_guide_begins_and_ends(steady_stack: dict[str, Any], guide: Path) -> None:
    requests = OUTAGE.findall(guide.read_text("utf-8"))

    answers = [
        httpx.post(steady_stack["payments_url"] + path, content=body) for path, body in requests
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [json.loads(body)["mode"] for _, body in requests] == ["outage", "ok"]


@pytest.mark.usefixtures("steady_stack")
@pytest.mark.parametrize(
    "command", [(NODE, "reservar.mjs"), (sys.executable, "reservar.py")], ids=["node", "python"]
)
def test_an_example_makes_a_reservation_and_stores_its_voucher(command: tuple[str, str]) -> None:
    interpreter, example = command
    voucher = STATE / "voucher.pdf"
    voucher.unlink(missing_ok=True)

    *statuses, _ = printed_by(interpreter, EXAMPLES / example)

    assert statuses[-1].endswith(" CONFIRMADA")
    assert voucher.read_bytes().startswith(b"%PDF-")


def found(answers: dict[str, httpx.Response], path: str) -> str:
    """Follow a reference such as `quote.response.body.$.offers[0].price` of the REST Client."""
    name, _, members = path.partition(".response.body.$.")
    value: Any = answers[name].json()
    for member, index in re.findall(r"(\w+)|\[(\d+)\]", members):
        value = value[member] if member else value[int(index)]
    return value if isinstance(value, str) else json.dumps(value)


def send(text: str) -> httpx.Response:
    """Send a request as written in an `.http` file. Repeat it while it asks for that."""
    head, _, body = text.strip().partition("\n\n")
    (method, url), *headers = [line.split(" ", 1) for line in head.splitlines()]
    named = {name.rstrip(":"): value for name, value in headers}

    def answered() -> httpx.Response | None:
        answer = httpx.request(method, url, headers=named, content=body or None, timeout=30)
        return None if method == "GET" and "Retry-After" in answer.headers else answer

    return eventually(answered, of=url)


def test_every_request_of_the_http_file_gets_the_status_in_its_title(
    steady_stack: dict[str, Any],
) -> None:
    variables, *requests = re.split(r"^### ?", (EXAMPLES / "reservas.http").read_text(), flags=re.M)
    names = re.findall(r"^@(\w+) = [A-Z_]+$", variables, re.MULTILINE)
    values = ("api_url", "api_keys", "offers_url")
    known = dict(zip(names, (steady_stack[value] for value in values), strict=True))
    known["key"] = known["key"]["web"]
    answers: dict[str, httpx.Response] = {}

    def value_of(variable: re.Match[str]) -> str:
        name = variable[1]
        return str(uuid.uuid4()) if name == "$guid" else known.get(name) or found(answers, name)

    for request in requests:
        title, _, text = request.partition("\n")
        comment = re.match(r"# @name (\w+)\n", text)
        text = VARIABLE.sub(value_of, text[comment.end() :] if comment else text)
        answer = send(text)
        assert title.endswith(f": {answer.status_code}"), answer.text
        answers[comment[1] if comment else title] = answer

    assert {"catalogue", "quote", "created"} <= answers.keys()
