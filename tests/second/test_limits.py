"""The gateway's own limits, which LocalStack stores and does not apply: usage plan, quota and methods."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.deployment import client, resources_of
from local.template import resources
from tests.e2e.travel import Json, api_client, eventually, new_key

UNKNOWN = "/v1/reservations/XXXXX-XXXXX-X"
# It takes a day to refill a token: the next call is refused however slow the machine is.
ONE_CALL = {"rateLimit": "0.00001", "burstLimit": "1"}


@pytest.fixture
def gateway(stack: Json) -> Any:
    return client("apigateway", stack["aws_endpoint_url"])


@pytest.fixture
def ids(stack: Json) -> dict[str, str]:
    """Ids of the API and its usage plan."""
    made = resources_of(stack["aws_endpoint_url"])
    return {"api": made["Api"][1], "plan": made["UsagePlan"][1]}


@contextmanager
def changed(
    update: Callable[[list[dict[str, str]]], object], now: dict[str, str], before: dict[str, str]
) -> Iterator[None]:
    def patch(values: dict[str, str]) -> None:
        operations = [
            {"op": "replace", "path": path, "value": value} for path, value in values.items()
        ]
        update(operations)

    patch(now)
    try:
        yield
    finally:
        patch(before)


def is_refused_in_our_words(answer: httpx.Response, code: str = "rate_limited") -> bool:
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return False
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert problem["code"] == code
    assert "Idempotency-Key" in problem["detail"]
    return True


def method(key: str) -> str:
    """Path and verb of a limit, whether its slashes are escaped (`~1`) or not."""
    return key.replace("~1", "/").lstrip("/")


def read(api: httpx.Client) -> httpx.Response:
    return api.get(UNKNOWN, headers={"Authorization": "Bearer nobody"})


def test_the_deployed_limits_are_those_of_the_template(gateway: Any, ids: dict[str, str]) -> None:
    deployed = gateway.get_stage(restApiId=ids["api"], stageName="live")["methodSettings"]
    plan = gateway.get_usage_plan(usagePlanId=ids["plan"])
    [written] = resources("AWS::ApiGateway::UsagePlan").values()
    [api] = resources("AWS::Serverless::Api").values()

    limits = {
        method(key): (entry["throttlingRateLimit"], entry["throttlingBurstLimit"])
        for key, entry in deployed.items()
    }

    assert limits == {
        method(f"{each['ResourcePath']}/{each['HttpMethod']}"): (
            each["ThrottlingRateLimit"],
            each["ThrottlingBurstLimit"],
        )
        for each in api["MethodSettings"]
    }
    assert plan["throttle"]["rateLimit"] == written["Throttle"]["RateLimit"]
    assert plan["throttle"]["burstLimit"] == written["Throttle"]["BurstLimit"]
    assert plan["quota"]["limit"] == written["Quota"]["Limit"]


def test_a_client_beyond_its_usage_plan_is_refused_and_the_other_is_not(
    stack: Json, api: httpx.Client, gateway: Any, ids: dict[str, str]
) -> None:
    plan = gateway.get_usage_plan(usagePlanId=ids["plan"])["throttle"]
    before = {f"/throttle/{name}": str(plan[name]) for name in ONE_CALL}
    now = {f"/throttle/{name}": value for name, value in ONE_CALL.items()}

    def update(operations: list[dict[str, str]]) -> object:
        return gateway.update_usage_plan(usagePlanId=ids["plan"], patchOperations=operations)

    with changed(update, now, before), api_client(stack, "web") as web:
        refused = [is_refused_in_our_words(read(client)) for client in (api, api, web)]
        body = {"email": "ana@example.com"}
        written = api.post("/v1/reservations", json=body, headers={"Idempotency-Key": new_key()})

    assert refused[1:] == [True, False]
    assert is_refused_in_our_words(written)
    eventually(lambda: not is_refused_in_our_words(read(api)), of="a call within the plan again")


def test_a_client_beyond_its_quota_is_refused(
    api: httpx.Client, gateway: Any, ids: dict[str, str]
) -> None:
    before = {
        "/quota/limit": str(gateway.get_usage_plan(usagePlanId=ids["plan"])["quota"]["limit"])
    }

    def update(operations: list[dict[str, str]]) -> object:
        return gateway.update_usage_plan(usagePlanId=ids["plan"], patchOperations=operations)

    read(api)
    with changed(update, {"/quota/limit": "1"}, before):
        assert is_refused_in_our_words(read(api), "quota_exceeded")

    assert not is_refused_in_our_words(read(api))


def test_a_method_beyond_its_limit_is_refused_and_another_is_not(
    api: httpx.Client, gateway: Any, ids: dict[str, str]
) -> None:
    path = "/~1v1~1health/GET/throttling"
    [limits] = [
        entry
        for key, entry in gateway.get_stage(restApiId=ids["api"], stageName="live")[
            "methodSettings"
        ].items()
        if method(key) == "v1/health/GET"
    ]
    now = {f"{path}/rateLimit": "0.00001", f"{path}/burstLimit": "1"}
    before = {
        f"{path}/rateLimit": str(limits["throttlingRateLimit"]),
        f"{path}/burstLimit": str(limits["throttlingBurstLimit"]),
    }

    def update(operations: list[dict[str, str]]) -> object:
        return gateway.update_stage(
            restApiId=ids["api"], stageName="live", patchOperations=operations
        )

    with changed(update, now, before):
        answers = [api.get("/v1/health") for _ in range(2)]

        assert is_refused_in_our_words(answers[1])
        assert not is_refused_in_our_words(read(api))

    eventually(lambda: api.get("/v1/health").is_success, of="a call within the limit again")
