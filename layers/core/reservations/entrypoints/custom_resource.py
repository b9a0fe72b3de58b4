"""The deployment edge: CloudFormation asks a function to make a resource, and waits for its answer.

It replaces crhelper, which answers with the text of any failure and logs the event with its signed URL. Either may hold
a secret. Its polling needs rights and clients that a single call does not.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent

from reservations.entrypoints.observability import logger

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_RETRIES = 2  # of the connection only; Lambda retries a failed asynchronous invocation

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
    _refuse_plain(request.response_url)
    made: Made = {}
    try:
        if request.request_type != "Delete":
            made = action()
    except Exception as error:  # without an answer the stack would wait until its timeout
        logger.exception("resource not made")
        _tell(request, {"Status": "FAILED", "Reason": f"{type(error).__name__}: see the logs"})
        return {}
    _tell(request, {"Status": "SUCCESS", "Data": made})
    return made


def _refuse_plain(address: str) -> None:
    """Refuse an address without https: CloudFormation signs only https addresses of S3."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise StackNotNotifiedError("not an address") from None
    if url.scheme != "https" and url.host not in _THIS_MACHINE:
        raise StackNotNotifiedError("not https")


def _tell(request: CloudFormationCustomResourceEvent, verdict: dict[str, Any]) -> None:
    """Put the answer at the signed URL (AWS CloudFormation, "Custom resource response objects")."""
    answer = {
        "PhysicalResourceId": _physical_id(request),
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
        **verdict,
    }
    transport = httpx.HTTPTransport(retries=_RETRIES)
    try:
        with httpx.Client(timeout=_TIMEOUT, transport=transport, trust_env=False) as client:
            client.put(
                request.response_url,
                content=json.dumps(answer),
                headers={"Content-Type": ""},  # the URL is signed for an empty one
            ).raise_for_status()
    except httpx.HTTPError as error:
        raise StackNotNotifiedError(type(error).__name__) from None


def _physical_id(request: CloudFormationCustomResourceEvent) -> str:
    """Keep the id: a new one would make the stack delete the old resource after an update."""
    return request.physical_resource_id or request.logical_resource_id
