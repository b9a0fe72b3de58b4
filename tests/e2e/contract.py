"""Check any answer of the API against `docs/contratos/openapi.yaml`."""

from typing import Any

import httpx

from tests.worlds.contracts import Contract

_CONTRACT = Contract()
_STAGE = "/live"  # of the API; the contract's paths begin after it
_UNKNOWN_PATH = {"404": {"$ref": "#/components/responses/NotFound"}}
_ANOTHER_METHOD = {"405": {"$ref": "#/components/responses/MethodNotAllowed"}}

obeys = _CONTRACT.validate


def judge(response: httpx.Response) -> None:
    """Assert that the contract declares an answer: its status, headers, media type and body.

    HEAD is answered as GET.
    """
    response.read()
    operations = _CONTRACT.path(response.request.url.path.partition(_STAGE)[2])
    method = response.request.method.lower().replace("head", "get")
    operation = operations.get(method, {"responses": _ANOTHER_METHOD})
    _CONTRACT.check_response(operation["responses"] if operations else _UNKNOWN_PATH, response)


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
