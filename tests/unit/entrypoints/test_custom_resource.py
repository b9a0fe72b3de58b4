"""A custom resource: it always answers the waiting stack over HTTP, and never with a secret."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from reservations.entrypoints.custom_resource import Made, StackNotNotifiedError, make
from tests.worlds.providers import Receiver

SECRET = "CANARY-p4ssw0rd"
REVISION = {"revision": "0001"}


@pytest.fixture
def stack() -> Iterator[Receiver]:
    """The storage behind a signed URL, where CloudFormation waits for the answer."""
    with Receiver() as receiver:
        yield receiver


def answer_to(stack: Receiver) -> dict[str, Any]:
    [received] = stack.received
    answer: dict[str, Any] = json.loads(received.body)
    return answer


def a_request(kind: str, url: str) -> dict[str, Any]:
    request = {
        "RequestType": kind,
        "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:migrate",
        "ResponseURL": f"{url}?X-Amz-Signature={SECRET}",
        "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/reservations/1",
        "RequestId": "2f7a1c9e-1d1f-4c52-a1e5-6a2f1f0a9d11",
        "LogicalResourceId": "DatabaseMigration",
        "ResourceType": "Custom::DatabaseMigration",
        "ResourceProperties": {"Code": "arn:aws:lambda:eu-west-1:123456789012:layer:CoreLayer:1"},
    }
    return request if kind == "Create" else request | {"PhysicalResourceId": "DatabaseMigration"}


def migrate() -> Made:
    return dict(REVISION)


def fail() -> Made:
    raise ConnectionError(f"mysql://user:{SECRET}@db.example is not there")


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_stack_receives_the_result(stack: Receiver, kind: str) -> None:
    request = a_request(kind, stack.url)

    assert make(request, migrate) == REVISION

    answer = answer_to(stack)
    assert answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "DatabaseMigration",
        "StackId": request["StackId"],
        "RequestId": request["RequestId"],
        "LogicalResourceId": "DatabaseMigration",
        "Data": REVISION,
    }


def test_the_answer_has_the_empty_media_type_that_its_url_is_signed_for(stack: Receiver) -> None:
    make(a_request("Create", stack.url), migrate)
    assert stack.received[0].headers["content-type"] == ""


def test_deleting_succeeds_and_does_nothing(stack: Receiver) -> None:
    assert make(a_request("Delete", stack.url), fail) == {}

    answer = answer_to(stack)
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "DatabaseMigration"


def test_a_failure_is_reported_without_its_text(stack: Receiver) -> None:
    assert make(a_request("Create", stack.url), fail) == {}

    answer = answer_to(stack)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == "ConnectionError: see the logs"
    assert SECRET not in json.dumps(answer)
    assert "Data" not in answer


def test_an_update_keeps_the_name_of_the_resource(stack: Receiver) -> None:
    """Another name would be another resource: the stack would delete the old one."""
    request = a_request("Update", stack.url) | {"PhysicalResourceId": "an-older-name"}

    make(request, migrate)

    answer = answer_to(stack)
    assert answer["PhysicalResourceId"] == "an-older-name"


def test_a_refused_answer_fails_the_invocation_without_the_signed_url() -> None:
    with Receiver(refusals=1) as stack, pytest.raises(StackNotNotifiedError) as failure:
        make(a_request("Create", stack.url), migrate)

    assert str(failure.value) == "status 500"
    assert failure.value.__context__ is None


def test_an_unreachable_stack_fails_the_invocation() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound without listening: every connection is refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}/answer"

        with pytest.raises(StackNotNotifiedError, match="NotReachedError"):
            make(a_request("Create", url), migrate)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "ftp://stack.example/answer", "http://[", "answer"]
)
def test_an_invalid_or_unencrypted_answer_url_is_refused_before_any_work(
    url: str,
) -> None:
    done: list[str] = []

    def work() -> dict[str, str]:
        done.append("migrated")
        return {}

    with pytest.raises(StackNotNotifiedError, match="not "):
        make(a_request("Create", url), work)

    assert not done


def test_a_direct_call_returns_the_result() -> None:
    assert make({}, migrate) == REVISION


def test_a_direct_call_raises_the_error_of_its_action() -> None:
    with pytest.raises(ConnectionError):
        make({}, fail)
