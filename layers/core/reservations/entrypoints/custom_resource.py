"""The deployment edge: CloudFormation asks a function to make a resource, and waits for its answer.

It replaces crhelper, which answers with the text of any failure and logs the event with its signed URL. Either may hold
a secret. Its polling needs rights and clients that a single call does not.
"""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent

from reservations.adapters.exchange import LOST, Deadline, HttpWire, NotReachedError, Request
from reservations.entrypoints.observability import logger

_CONNECT_SECONDS, _SECONDS = 3, 10  # Lambda retries a failed asynchronous invocation
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}

Made = dict[str, Any]


class StackNotNotifiedError(Exception):
    """The stack did not get the answer. The cause is left out, as it would hold the signed URL."""


def make(event: dict[str, Any], action: Callable[[], Made]) -> Made:
    """Run `action` and return its result. If a stack called, report success or failure to it.

    Deleting the resource needs no action: the result stays.

    Raises:
        StackNotNotifiedError: the stack did not get the answer, and still waits.
    """
    if "ResponseURL" not in event:
        return action()
    request = CloudFormationCustomResourceEvent(event)
    wire = _wire_to(request.response_url)
    made: Made = {}
    try:
        if request.request_type != "Delete":
            made = action()
    except Exception as error:  # without an answer the stack would wait until its timeout
        logger.exception("resource not made")
        _tell(
            wire, request, {"Status": "FAILED", "Reason": f"{type(error).__name__}: see the logs"}
        )
        return {}
    _tell(wire, request, {"Status": "SUCCESS", "Data": made})
    return made


def _wire_to(address: str) -> HttpWire:
    """Refuse an address without https: CloudFormation signs only https addresses of S3."""
    try:
        wire, url = HttpWire(address, connect_seconds=_CONNECT_SECONDS), urlsplit(address)
    except ValueError:
        raise StackNotNotifiedError("not an address") from None
    if url.scheme != "https" and url.hostname not in _THIS_MACHINE:
        raise StackNotNotifiedError("not https")
    return wire


def _tell(
    wire: HttpWire, request: CloudFormationCustomResourceEvent, verdict: dict[str, Any]
) -> None:
    """Put the answer at the signed URL (AWS CloudFormation, "Custom resource response objects")."""
    answer = {
        "PhysicalResourceId": _physical_id(request),
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
        **verdict,
    }
    url = urlsplit(request.response_url)
    put = Request(
        method="PUT",
        target=f"{url.path}?{url.query}",
        headers={"Content-Type": ""},  # the URL is signed for an empty one
        body=json.dumps(answer).encode(),
    )
    try:
        with closing(wire.send(put, Deadline(_SECONDS))) as received:
            status = received.status
    except (NotReachedError, *LOST) as error:
        raise StackNotNotifiedError(type(error).__name__) from None
    if not 200 <= status < 300:
        raise StackNotNotifiedError(f"status {status}")


def _physical_id(request: CloudFormationCustomResourceEvent) -> str:
    """Keep the id: a new one would make the stack delete the old resource after an update."""
    return request.physical_resource_id or request.logical_resource_id
