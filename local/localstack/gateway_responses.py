"""Add the gateway responses of API Gateway to LocalStack community.

LocalStack ignores those in SAM's OpenAPI body and applies no templates. These two patches add both, for
the plain `$context.x` substitutions of our template. AWS needs no patch.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from localstack.services.apigateway.legacy import provider as legacy
from localstack.services.apigateway.models import apigateway_stores
from localstack.services.apigateway.next_gen.execute_api.gateway_response import (
    build_gateway_response,
    get_gateway_response_or_default,
)
from localstack.services.apigateway.next_gen.execute_api.handlers.gateway_exception import (
    GatewayExceptionHandler,
)
from rolo import Response

_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")

_import_spec = legacy.import_api_from_openapi_spec
_create_response = GatewayExceptionHandler.create_exception_response


def _import_with_responses(rest_api: Any, context: Any, open_api_spec: Any, mode: Any) -> Any:
    result = _import_spec(rest_api, context=context, open_api_spec=open_api_spec, mode=mode)
    container = apigateway_stores[context.account_id][context.region].rest_apis[rest_api.id]
    for kind, value in open_api_spec.get("x-amazon-apigateway-gateway-responses", {}).items():
        status = value.get("statusCode")
        container.gateway_responses[kind] = build_gateway_response(
            kind,
            status_code=str(status) if status else None,
            response_parameters=value.get("responseParameters"),
            response_templates=value.get("responseTemplates"),
            default_response=False,
        )
    return result


def render(template: str, variables: Mapping[str, Any]) -> str:
    """Fill the `$context` variables of a response template; a missing one is empty, as on AWS."""

    def value(match: re.Match[str]) -> str:
        current: Any = variables
        for part in match.group(1).split("."):
            current = current.get(part) if isinstance(current, Mapping) else None
        if match.group(1) == "error.messageString":  # the one variable that brings its quotes
            return json.dumps(current)
        return "" if current is None else str(current)

    return _VARIABLE.sub(value, template)


def _create_from_template(self: Any, exception: Any, context: Any) -> Any:
    responses = context.deployment.rest_api.gateway_responses
    chosen = get_gateway_response_or_default(exception.type, responses)
    templates = chosen.get("responseTemplates") or {}
    if not templates:
        return _create_response(self, exception, context)
    content_type, template = next(iter(templates.items()))
    variables = context.context_variables
    headers = {**self._build_response_headers(exception), "Content-Type": content_type}
    for name, literal in (chosen.get("responseParameters") or {}).items():
        value = literal if literal.startswith("'") else render(f"${literal}", variables)
        headers[name.removeprefix("gatewayresponse.header.")] = value.strip("'")
    return Response(
        render(template, variables),
        headers=headers,
        status=int(chosen.get("statusCode") or exception.status_code or 500),
    )


def install() -> None:
    """Put both patches in place."""
    legacy.import_api_from_openapi_spec = _import_with_responses
    GatewayExceptionHandler.create_exception_response = _create_from_template
