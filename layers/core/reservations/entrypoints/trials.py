"""The trial of each function in a rehearsal of a release: an event, and the answer that it must give."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reservations.application.rehearse_release import Trial
from reservations.entrypoints import rehearsal


def _request(method: str, resource: str, **path: str) -> dict[str, Any]:
    """A request as API Gateway hands it over, without credentials."""
    return {
        "httpMethod": method,
        "resource": resource,
        "path": resource.format(**path),
        "pathParameters": path or None,
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "requestId": "00000000-0000-0000-0000-000000000000",
            "identity": {},
            "stage": "live",
        },
        "body": None,
        "isBase64Encoded": False,
    }


# Requests without credentials have no effect, and are refused only after the settings were read.
TRIALS: Mapping[str, Trial] = {
    "get_reservation": Trial(event=_request("GET", "/v1/health"), status=HTTPStatus.OK),
    "create_reservation": Trial(event=rehearsal.REQUEST),
    "cancel_reservation": Trial(
        event=_request("POST", "/v1/reservations/{code}/cancel", code="22222-22222-2"),
        status=HTTPStatus.UNAUTHORIZED,
    ),
    "look_up_reservation": Trial(
        event=_request("POST", "/v1/reservations/lookup"), status=HTTPStatus.UNAUTHORIZED
    ),
    "receive_webhook": Trial(
        event=_request("POST", "/v1/webhooks/{provider}", provider="payments"),
        status=HTTPStatus.UNAUTHORIZED,
    ),
    **{
        name: Trial(event=rehearsal.REQUEST)
        for name in (
            "poll_outbox",
            "process_payment",
            "confirm_supplier",
            "issue_voucher",
            "notify_customer",
            "record_mail_event",
            "clean_up",
        )
    },
}
