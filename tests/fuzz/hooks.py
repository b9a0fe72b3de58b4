"""Give schemathesis the token of each reservation, which the contract cannot. Webhooks go unsigned."""

from random import choice
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

_TOKENS: dict[str, str] = {}
_CREATION = "POST /v1/reservations"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if case.operation.label == _CREATION and response.status_code == 202:
        created = response.json()
        _TOKENS[created["reservation_code"]] = created["access_token"]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if _is_about_the_missing(case, "x-api-key"):
        case.headers.pop("x-api-key", None)  # the configuration adds it to every request
    if case.headers.get("Content-Type") == "multipart/form-data":
        case.headers["Content-Type"] = "text/plain"  # LocalStack crashes on one without a boundary
    if case.operation.label == _CREATION and not _is_wrong(case, ParameterLocation.BODY):
        _leave_out_the_quote(case)
    if not _is_wrong(case, ParameterLocation.HEADER):
        _bring_the_token(case)


def _leave_out_the_quote(case: Any) -> None:
    if isinstance(case.body, dict):
        case.body.pop("quote", None)  # no schema can sign one


def _bring_the_token(case: Any) -> None:
    parameters = case.path_parameters or {}
    code = parameters.get("code")
    if code and code not in _TOKENS and _TOKENS and not _is_wrong(case, ParameterLocation.PATH):
        code = parameters["code"] = choice(list(_TOKENS))  # no schema can name an existing one
    if token := _TOKENS.get(code or ""):
        case.headers["Authorization"] = f"Bearer {token}"


def _is_about_the_missing(case: Any, header: str) -> bool:
    description = getattr(case.meta.phase.data, "description", None) if case.meta else None
    return f"Missing `{header}`" in (description or "")


def _is_wrong(case: Any, where: ParameterLocation) -> bool:
    """Return whether that part of a request is meant to be refused, and so must stay as it is."""
    return bool(case.meta and case.meta.is_negative_at(where))
