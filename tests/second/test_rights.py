"""Each function has only the rights of its own role, which LocalStack does not check."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from local.deployment import client, resources_of
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, a_request, cancel, depart, eventually
from tests.worlds.invocation import an_event

VOUCHER = "IssueVoucherFunctionRole"
STORE = "s3:PutObject"


@contextmanager
def without(action: str, *, role: str, stack: Json) -> Iterator[None]:
    """Take an action out of the inline policies of a role, and give it back."""
    iam = client("iam", stack["aws_endpoint_url"])
    name = resources_of(stack["aws_endpoint_url"])[role][1]
    policies = {
        each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"]
        for each in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    less = {each: _without(action, document) for each, document in policies.items()}
    assert less != policies, f"{role} has no {action}"

    def put(documents: dict[str, Any]) -> None:
        for each, document in documents.items():
            if not document["Statement"]:
                iam.delete_role_policy(RoleName=name, PolicyName=each)
                continue
            iam.put_role_policy(RoleName=name, PolicyName=each, PolicyDocument=json.dumps(document))

    put(less)
    try:
        yield
    finally:
        put(policies)


def _without(action: str, document: Json) -> Json:
    statements = [
        {**each, "Action": [one for one in _listed(each["Action"]) if one != action]}
        for each in document["Statement"]
    ]
    return {**document, "Statement": [each for each in statements if each["Action"]]}


def _listed(actions: str | list[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else actions


def confirmed(api: httpx.Client) -> Trip:
    trip = depart(api, a_request())
    wait_for(lambda: trip.read()["status"] == "CONFIRMADA", of="the confirmation")
    return trip


def wait_for(look: Callable[[], object], *, of: str) -> None:
    """Wait long: each function starts cold, and a saturated machine must not fail for that."""
    eventually(look, of=of, until=time.monotonic() + 400)


def mails(stack: Json) -> list[Json]:
    answer = httpx.get(f"{stack['aws_endpoint_url']}/_ministack/ses/messages", timeout=30)
    accounts: dict[str, list[Json]] = answer.raise_for_status().json()["messages"]
    return [message for messages in accounts.values() for message in messages]


def mails_to(trip: Trip, stack: Json) -> int:
    return sum(trip.email in each["To"] for each in mails(stack))


def test_a_trip_is_confirmed_with_voucher_and_mail_by_functions_that_have_only_their_rights(
    stack: Json, api: httpx.Client, backstage: Backstage
) -> None:
    trip = confirmed(api)

    wait_for(lambda: trip.read()["documents"], of="the voucher")
    wait_for(lambda: mails_to(trip, stack), of="the mail")
    assert backstage.money_kept(trip) == Decimal(trip.request["price"]["amount"])


def test_a_cancelled_trip_is_refunded_by_functions_that_have_only_their_rights(
    api: httpx.Client, backstage: Backstage
) -> None:
    trip = confirmed(api)

    assert cancel(trip).is_success

    wait_for(lambda: trip.read()["status"] == "CANCELADA", of="the cancellation")
    assert backstage.money_kept(trip) == 0


def test_a_bounce_reaches_the_timeline(
    stack: Json, api: httpx.Client, backstage: Backstage
) -> None:
    trip = confirmed(api)
    wait_for(lambda: mails_to(trip, stack), of="the mail")
    [record] = an_event("record_mail_event.bounced")["Records"]
    bounce: Json = json.loads(record["body"])
    bounce["mail"]["tags"]["reservation_id"] = [backstage.reference(trip)]
    topic = resources_of(stack["aws_endpoint_url"])["MailEventTopic"][1]

    backstage.aws("sns").publish(TopicArn=topic, Message=json.dumps(bounce))

    wait_for(
        lambda: "mail.bounced.confirmed" in [event["type"] for event in trip.events()],
        of="the bounce on the timeline",
    )


@pytest.mark.parametrize("task", ["retention", "invariants", "audit"])
def test_each_job_of_the_clock_has_the_rights_that_it_needs(stack: Json, task: str) -> None:
    answer = invoked("CleanUpFunction", {"task": task}, stack=stack)

    assert "FunctionError" not in answer


def invoked(function: str, event: Json, *, stack: Json) -> Json:
    """The answer of a direct invocation."""
    endpoint = stack["aws_endpoint_url"]
    name = resources_of(endpoint)[function][1]
    answer: Json = client("lambda", endpoint).invoke(FunctionName=name, Payload=json.dumps(event))
    return answer


def test_a_function_without_the_right_to_store_a_voucher_is_refused(
    stack: Json, api: httpx.Client, backstage: Backstage
) -> None:
    assert refusals(backstage) == []

    with without(STORE, role=VOUCHER, stack=stack):
        trip = confirmed(api)
        wait_for(lambda: refusals(backstage), of="a refusal by IAM")

    assert trip.read()["status"] == "CONFIRMADA"


def refusals(backstage: Backstage) -> list[str]:
    return backstage.logs(containing="AccessDenied", function="IssueVoucher")
