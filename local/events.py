"""The events of `events/` as Lambda receives them: a base and the differences of each case.

`python -m local.events` writes one file per case to `.local/events/`, for `sam local invoke -e`.
"""

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from typing import Any

import yaml

from local.paths import ROOT, STATE
from local.processes import StackError

EVENTS = ROOT / "events"
WRITTEN = STATE / "events"
TODAY = datetime.now(UTC).date()
_DAYS_AHEAD = re.compile(r'"\+([0-9]+)d"')
_KEY_IDS = {
    "web-key-of-the-examples": "l3pk9vw2d1",
    "partner-key-of-the-examples": "q8zt4nf7s0",
    "a-key-of-nobody-we-know": "zzzzzzzzzz",
}

Json = dict[str, Any]


@cache
def _cases() -> dict[str, Any]:
    """Return the differences of every case, by `function.case`."""
    return {
        f"{path.stem}.{case}": differences
        for path in sorted(EVENTS.glob("*.yaml"))
        for case, differences in yaml.safe_load(path.read_text(encoding="utf-8")).items()
    }


def names() -> list[str]:
    return sorted(_cases())


def known(name: str) -> str:
    """
    Raises:
        StackError: no case has that name.
    """
    if name not in names():
        listed = "\n    ".join(names())
        raise StackError(f"There is no event {name!r}.", remedy=f"EVENT=… one of:\n    {listed}")
    return name


def function_of(event: str) -> str:
    """Return the logical id: `process_payment.due` is for ProcessPaymentFunction."""
    return "".join(word.title() for word in event.split(".")[0].split("_")) + "Function"


def event(name: str) -> Json:
    """Return a fresh copy of one event.

    Raises:
        KeyError: no case has that name.
    """
    differences = copy.deepcopy(_cases()[name])
    if "request" in differences:
        return _request(**differences["request"])
    if "records" in differences:
        return {"Records": [_record(**record) for record in differences["records"]]}
    return dict(differences["event"])


def write() -> None:
    WRITTEN.mkdir(parents=True, exist_ok=True)
    for name in names():
        text = json.dumps(event(name), indent=2, ensure_ascii=False)
        (WRITTEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _base(kind: str) -> Json:
    loaded: Json = json.loads((EVENTS / "base" / f"{kind}.json").read_text(encoding="utf-8"))
    return loaded


def _request(
    *,
    number: int,
    route: str,
    headers: dict[str, str],
    parameters: dict[str, str] | None = None,
    body: str | Json | None = None,
    base64: bool = False,
) -> Json:
    """API Gateway repeats method, path, headers and API key in several members."""
    built = _base("request")
    method, resource = route.split(" ")
    path = resource.replace("+}", "}").format(**parameters or {})
    built["headers"] |= headers
    context = built["requestContext"]
    for place in (built, context):
        place["httpMethod"] = method
    built |= {"resource": resource, "path": path, "pathParameters": parameters}
    context |= {
        "resourcePath": resource,
        "path": f"/{context['stage']}{path}",
        "extendedRequestId": f"Bq3ExampleExtended{number:04}=",
        "requestId": f"0f4c2a6e-8d1b-4e57-9a3c-{number:012}",
    }
    if "x-api-key" in headers:
        context["identity"] |= {
            "apiKey": headers["x-api-key"],
            "apiKeyId": _KEY_IDS[headers["x-api-key"]],
        }
    built["multiValueHeaders"] = {name: [value] for name, value in built["headers"].items()}
    return built | {"body": _text(body), "isBase64Encoded": base64}


def _record(*, number: int, queue: str, body: str | Json, sender: str | None = None) -> Json:
    built, text = _base("record"), _text(body)
    assert text is not None  # SQS has no message without a body
    if sender:
        built["attributes"]["SenderId"] = sender
    return built | {
        "messageId": f"19dd0b57-b21e-4ac1-bd88-{number:012}",
        "receiptHandle": f"AQEBExampleReceiptHandle{number:04}==",
        "body": text,
        "md5OfBody": md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:reservations-{queue}",
    }


def _text(body: str | Json | None) -> str | None:
    """Write the body, with the date that is 150 days ahead for "+150d"."""
    text = json.dumps(body, ensure_ascii=False) if isinstance(body, dict) else body
    return text and _DAYS_AHEAD.sub(lambda found: f'"{TODAY + timedelta(int(found[1]))}"', text)


if __name__ == "__main__":
    write()
