"""Hooks of schemathesis: keys of this run only, and a file of the references used, with their answers."""

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import schemathesis

_MADE = Path(os.environ["CONFORMANCE_MADE"])
_RUN = f"Kit-{uuid.uuid4().hex[:12]}"
_KEY = "Idempotency-Key"
_VALID_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REFERENCE_LENGTH = 64


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Replace valid keys and references, which may be somebody else's."""
    if _VALID_KEY.fullmatch(str(case.headers.get(_KEY, ""))):
        case.headers[_KEY] = f"kit:{uuid.uuid4()}"
    reference = case.body.get("reference") if isinstance(case.body, dict) else None
    if isinstance(reference, str) and 0 < len(reference) <= _REFERENCE_LENGTH:
        case.body["reference"] = f"{_RUN}-{uuid.uuid4().hex[:8]}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    reference = case.body.get("reference") if isinstance(case.body, dict) else None
    if isinstance(reference, str) and response.status_code < 300:
        with _MADE.open("a", encoding="utf-8") as made:
            made.write(json.dumps([reference, _content(response)]) + "\n")


def _content(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
