"""The deployment edge: a function that CloudFormation asks to make a resource, and waits for.

Stands in for crhelper: it answers with the text of whatever failed and logs the event with its signed URL, and either
may hold a secret; its polling needs rights and clients that a job of one call has no use for.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
from aws_lambda_powertools.utilities.data_classes import CloudFormationCustomResourceEvent

from reservations.entrypoints.observability import logger

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_RETRIES = 2  # of the connection only; for the rest Lambda runs an asynchronous invocation again

Made = dict[str, Any]


class StackNotToldError(Exception):
    """The answer was not taken; its cause is left out, as it would hold the signed URL."""


def make(event: dict[str, Any], action: Callable[[], Made]) -> Made:
    """Run `action` and return what it made; called by a stack, tell the stack too, success or failure.

    A resource that is deleted needs no action: what it made stays.

    Raises:
        StackNotToldError: the stack could not be told, and waits.
    """
    if "ResponseURL" not in event:
        return action()
    request = CloudFormationCustomResourceEvent(event)
    _refuse_plain(request.response_url)
    made: Made = {}
    try:
        if request.request_type != "Delete":
            made = action()
    except Exception as error:  # an answer that never came would hold the stack until its time-out
        logger.exception("resource not made")
        _tell(request, {"Status": "FAILED", "Reason": f"{type(error).__name__}: see the logs"})
        return {}
    _tell(request, {"Status": "SUCCESS", "Data": made})
    return made


def _refuse_plain(address: str) -> None:
    """CloudFormation signs addresses of S3, all of them https; who asks for another is not it."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise StackNotToldError("not an address") from None
    if url.scheme != "https" and url.host not in _THIS_MACHINE:
        raise StackNotToldError("not https")


def _tell(request: CloudFormationCustomResourceEvent, verdict: dict[str, Any]) -> None:
    """Put the answer where the stack looks for it (AWS CloudFormation, "Custom resource response objects")."""
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
        raise StackNotToldError(type(error).__name__) from None


def _physical_id(request: CloudFormationCustomResourceEvent) -> str:
    """Always the same: another one would make the stack delete the old resource after an update."""
    return request.physical_resource_id or request.logical_resource_id
