"""Run one function of the embedded stack on an event of `events/`, with the keys of that stack.

The reservation of the examples becomes the stack's newest one, so that its token and its hints are good.
"""

import base64
import json
from typing import Any
from uuid import UUID

import httpx

from local import deployment, events
from local.journey import quote_for
from local.paths import STACK_FILE, STAGE, read_json
from local.processes import StackError
from local.progress import done, note
from reservations.adapters.mysql.address import connector
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display

_CODE, _ID = "7KQ2M-XD4RT-S", "0195511f-3c00-7abc-8def-0123456789ab"
_TOKEN = "k1.zTg2JbtD9vwECrUhRC32xbstI1AvMNabDlYnyBOStak"
_NEWEST = (
    "SELECT id, code, token_kid, token_version FROM reservation WHERE client_id = 'web'"
    " ORDER BY id DESC LIMIT 1"
)


def invoke(name: str) -> int:
    """Print the answer and the log of one call. The exit status is 1 if the function failed.

    Raises:
        StackError: no such event, or the stack is down.
    """
    event, stack = events.event(events.known(name)), read_json(STACK_FILE)
    if "aws_endpoint_url" not in stack:
        raise StackError("The stack is not up.", remedy="Start it with: make up")
    endpoint = stack["aws_endpoint_url"]
    _, function = deployment.resources_of(endpoint)[events.function_of(name)]
    answer = deployment.client("lambda", endpoint).invoke(
        FunctionName=function, LogType="Tail", Payload=json.dumps(adapted(event, stack))
    )
    note(base64.b64decode(answer.get("LogResult", "")).decode(errors="replace"))
    body = json.loads(answer["Payload"].read() or "null")
    note(json.dumps(body, indent=2, ensure_ascii=False))
    done(f"{name} on {function}")
    return 1 if "FunctionError" in answer else 0


def adapted(event: dict[str, Any], stack: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the stack's API key, quote and reservation in place of the examples'."""
    parameters = _parameters(stack["aws_endpoint_url"])
    names = {name: key for key, name in json.loads(parameters["api-clients"]).items()}
    swaps = {
        f"{client}-key-of-the-examples": stack["api_keys"][client] for client in ("web", "partner")
    }
    swaps |= {"l3pk9vw2d1": names["web"], "q8zt4nf7s0": names["partner"]}
    swaps |= _newest(stack["database_url"], json.loads(parameters["access-token-keys"]))
    text = json.dumps(event)
    for old, new in swaps.items():
        text = text.replace(old, new)
    changed: dict[str, Any] = json.loads(text)
    if changed.get("httpMethod") == "POST" and changed.get("resource") == "/v1/reservations":
        changed["body"] = _quoted(changed.get("body"), stack["offers_url"])
    return changed


def _parameters(endpoint: str) -> dict[str, str]:
    names = {name: f"/reservations/{STAGE}/{name}" for name in ("api-clients", "access-token-keys")}
    found = deployment.client("ssm", endpoint).get_parameters(
        Names=list(names.values()), WithDecryption=True
    )
    values = {each["Name"]: each["Value"] for each in found["Parameters"]}
    return {name: values[path] for name, path in names.items()}


def _newest(database_url: str, ring: dict[str, Any]) -> dict[str, str]:
    with connector(database_url)() as connection, connection.cursor() as cursor:
        cursor.execute(_NEWEST)
        row = cursor.fetchone()
    if row is None:
        return {}
    identifier, code, kid, version = row
    keys = KeyRing(
        current=ring["current"], keys={k: base64.b64decode(v) for k, v in ring["keys"].items()}
    )
    token = keys.issue(kid, UUID(bytes=identifier), version)
    return {_CODE: display(code), _ID: str(UUID(bytes=identifier)), _TOKEN: token}


def _quoted(body: str | None, offers_url: str) -> str | None:
    """Add a quote for an offer with a price. A body that is wrong on purpose stays as it is."""
    try:
        content = json.loads(body or "")
        quote = quote_for(offers_url, offer=content["offer"], price=content["price"])
    except (ValueError, KeyError, TypeError, httpx.HTTPError):
        return body
    return json.dumps(content | {"quote": quote}, ensure_ascii=False)
