"""The API of the template: its routes, its limits, and the gateway's own answers as our problems."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import yaml

from local import deployment
from local.events import names
from reservations.application.clean_up import DOCUMENTS_KEPT
from reservations.config import BrowserSettings, ClientSettings
from reservations.domain.clients import ClientModes, DuplicateCharge, QuoteMode
from reservations.domain.reservation import Language
from reservations.entrypoints.http import EXPOSED, METHOD_OF
from reservations.entrypoints.problems import CATALOGUE
from tests.template.resources import ROOT, functions, name_of, resources, template
from tests.worlds.invocation import an_event

[API] = resources("AWS::Serverless::Api").values()
RESPONSES: dict[str, dict[str, Any]] = API["GatewayResponses"]
DETAIL_CHARACTERS = 240
KEYS_OF_A_CLIENT = 2  # one is unused, except during a rotation

# Answers of the gateway itself, each with our problem for it.
PROBLEM_OF = {
    "INVALID_API_KEY": "unauthorized",
    "MISSING_AUTHENTICATION_TOKEN": "not_found",
    "RESOURCE_NOT_FOUND": "not_found",
    "REQUEST_TOO_LARGE": "body_too_large",
    "THROTTLED": "rate_limited",
    "QUOTA_EXCEEDED": "quota_exceeded",
    "DEFAULT_4XX": "unauthorized",
    "DEFAULT_5XX": "gateway_timeout",
}


every_response = pytest.mark.parametrize(("kind", "code"), PROBLEM_OF.items(), ids=PROBLEM_OF)


def routes() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (event["Properties"]["Method"], event["Properties"]["Path"]): event["Properties"]
        for function in functions().values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api"
    }


# --- the gateway's own answers ------------------------------------------------------------------------


def test_there_are_no_other_answers_of_the_gateway() -> None:
    assert set(RESPONSES) == set(PROBLEM_OF)


@every_response
def test_the_gateway_says_the_same_as_our_catalogue_in_both_languages(kind: str, code: str) -> None:
    problem, response = CATALOGUE[code], RESPONSES[kind]

    body = json.loads(response["ResponseTemplates"]["application/json"])

    assert response["StatusCode"] == problem.status
    assert body == {
        "type": problem.type,
        "title": " / ".join(map(problem.title, Language)),
        "status": problem.status,
        "detail": " / ".join(map(problem.detail, Language)),
        "instance": "urn:uuid:$context.requestId",
        "code": code,
        "request_id": "$context.requestId",
        "retryable": problem.retryable,
        "retry_after_s": problem.retry_after_s,
        "effect": problem.effect,
        "errors": [],
    }
    assert len(body["detail"]) <= DETAIL_CHARACTERS


@every_response
def test_the_gateway_sends_the_headers_of_a_problem(kind: str, code: str) -> None:
    seconds = CATALOGUE[code].retry_after_s
    expected = {
        "Content-Language": f"'{', '.join(language.value for language in Language)}'",
        "Cache-Control": "'no-store'",
        "Content-Type": "'application/problem+json'",
        "Access-Control-Allow-Origin": {"Fn::Sub": "'${AllowedOrigin}'"},
        "Access-Control-Expose-Headers": f"'{EXPOSED}'",
        "X-Request-Id": "context.requestId",
        **({} if seconds is None else {"Retry-After": f"'{seconds}'"}),
    }
    assert RESPONSES[kind]["ResponseParameters"] == {"Headers": expected}


# --- the routes -----------------------------------------------------------------------------------


def test_every_route_is_in_the_contract_and_the_other_way_round() -> None:
    contract = yaml.safe_load((ROOT / "docs/contratos/openapi.yaml").read_text(encoding="utf-8"))
    promised = {
        (method.upper(), unnamed(path))
        for path, item in contract["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post"} and operation.get("x-status") != "planned"
    }
    offered = {
        (method, unnamed(path)) for method, path in routes() if method not in ("ANY", "HEAD")
    }
    assert offered == promised


def test_head_has_a_route_with_the_key_of_its_get_and_with_its_rate() -> None:
    own, rates = routes(), limits()
    gets = {path: route for (method, path), route in own.items() if method == "GET"}
    heads = {path: route for (method, path), route in own.items() if method == "HEAD"}

    assert {path: route.get("Auth") for path, route in heads.items()} == {
        path: route.get("Auth") for path, route in gets.items()
    }
    assert all(rates["HEAD", path] == rates["GET", path] for path in gets)


def test_every_other_method_and_path_has_a_route() -> None:
    assert (
        METHOD_OF.items()
        == {path: method for method, path in routes() if method not in ("ANY", "HEAD")}.items()
    )
    anything = {path: route for (method, path), route in routes().items() if method == "ANY"}
    assert anything.keys() == {*METHOD_OF, "/{proxy+}"}
    assert all(route["Auth"] == {"ApiKeyRequired": False} for route in anything.values())


def unnamed(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", path)


def test_every_route_needs_an_api_key_except_health_and_webhooks() -> None:
    assert API["Auth"]["ApiKeyRequired"] is True
    open_to_all = {
        path
        for (method, path), route in routes().items()
        if method != "ANY" and not route.get("Auth", {}).get("ApiKeyRequired", True)
    }
    assert open_to_all == {"/v1/health", "/v1/webhooks/{provider}"}


def test_only_our_frontends_may_call_from_a_browser() -> None:
    cors = API["Cors"]
    assert cors["AllowOrigin"] == {"Fn::Sub": "'${AllowedOrigin}'"}
    headers = cors["AllowHeaders"].strip("'").split(",")
    assert {"x-api-key", "Authorization", "Content-Type", "Idempotency-Key"} <= set(headers)
    assert "*" not in cors["AllowHeaders"] + cors["AllowMethods"]


def test_an_origin_that_the_functions_would_refuse_is_refused_before_anything_changes() -> None:
    [constraint] = BrowserSettings.model_fields["allowed_origin"].metadata
    allowed = template()["Parameters"]["AllowedOrigin"]["AllowedPattern"]
    assert constraint.pattern == f"^{allowed}$"
    assert deployment.ORIGIN.pattern == allowed


def test_a_preflight_request_needs_no_api_key() -> None:
    """A preflight carries no header of the page, hence no key."""
    assert API["Auth"]["AddApiKeyRequiredToCorsPreflight"] is False


def test_requests_pass_through_no_other_region() -> None:
    assert API["EndpointConfiguration"] == {"Type": "REGIONAL"}


def test_the_gateway_logs_client_and_path_but_no_address_code_or_body() -> None:
    condition, log, otherwise = API["AccessLogSetting"]["Fn::If"]
    assert (condition, otherwise) == ("WithAccessLog", {"Ref": "AWS::NoValue"})
    assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    assert set(json.loads(log["Format"]).values()) == {
        "$context.requestId",
        "$context.identity.apiKeyId",
        "$context.httpMethod",
        "$context.resourcePath",
        "$context.status",
        "$context.error.responseType",
        "$context.responseLatency",
    }
    limits = {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    told = {name for setting in API["MethodSettings"] for name in setting}
    assert told == {"ResourcePath", "HttpMethod"} | limits  # LoggingLevel would log bodies


def limits() -> dict[tuple[str, str], tuple[int, int]]:
    """Rate (per second) and burst of each method with its own limits; the default is under `*`."""
    return {
        (
            setting["HttpMethod"],
            setting["ResourcePath"].removeprefix("/").replace("~1", "/"),
        ): (setting["ThrottlingRateLimit"], setting["ThrottlingBurstLimit"])
        for setting in API["MethodSettings"]
    }


def of_clients() -> set[tuple[str, str]]:
    """The methods that need a key, and the preflights of their paths."""
    asking = {
        (method, path)
        for (method, path), route in routes().items()
        if route.get("Auth", {}).get("ApiKeyRequired", True)
    }
    return asking | {("OPTIONS", path) for _, path in asking}


def test_routes_without_a_key_are_throttled_more_and_client_routes_with_their_preflights_less() -> (
    None
):
    """Limits are per method, or strangers could use up the readers' rate. AWS accepts none for ANY."""
    told = limits()
    little = told.pop(("*", "*"))
    assert told.pop(("POST", "/v1/reservations/lookup")) == little  # each guess may find a traveler
    [much] = {told.pop(method) for method in of_clients() if method in told}
    assert told.keys() == {
        ("POST", "/v1/webhooks/{provider}"),
        *((method, "/v1/health") for method in ("GET", "HEAD")),
    }
    for limit in told.values():
        assert all(low < own < high for low, own, high in zip(little, limit, much, strict=True))


def promised_rate() -> int:
    """The creations and reads per second of RNF-03, summed."""
    text = (ROOT / "docs/01-etapa-1-requerimientos.md").read_text(encoding="utf-8")
    threshold = text.split("### RNF-03 ")[1].split("**Umbral:**")[1].split(".")[0]
    return sum(map(int, re.findall(r"\d+", threshold)))


def test_all_clients_together_may_send_the_promised_rate_and_fit_through_each_method() -> None:
    [plan] = resources("AWS::ApiGateway::UsagePlan").values()
    rate, burst = limits()["GET", "/v1/reservations/{code}"]
    clients = len(resources("AWS::ApiGateway::ApiKey")) // KEYS_OF_A_CLIENT
    assert promised_rate() <= clients * plan["Throttle"]["RateLimit"] < rate
    assert clients * plan["Throttle"]["BurstLimit"] < burst
    sustained = plan["Throttle"]["RateLimit"] * timedelta(days=1).total_seconds()
    assert plan["Quota"]["Limit"] < sustained  # else no client could reach it


def test_each_client_has_two_optional_keys_of_its_own() -> None:
    keys, plans = (resources(f"AWS::ApiGateway::{kind}") for kind in ("ApiKey", "UsagePlanKey"))
    assert {name_of(plan["KeyId"]) for plan in plans.values()} == set(keys)
    for name in (*keys, *plans):
        key = name if name in keys else name_of(plans[name]["KeyId"])
        value = name_of(keys[key]["Value"])
        condition = template()["Conditions"][template()["Resources"][name]["Condition"]]
        assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": value}, ""]}]}
        assert template()["Parameters"][value]["NoEcho"] is True


def test_each_existing_key_is_mapped_to_its_client_in_the_settings() -> None:
    [(text, values)] = [
        parameter["Value"]["Fn::Sub"]
        for parameter in resources("AWS::SSM::Parameter").values()
        if isinstance(parameter["Value"]["Fn::Sub"], list)
    ]
    told = {}
    for condition, pair, otherwise in (each["Fn::If"] for each in values["Pairs"]["Fn::Join"][1]):
        assert otherwise == {"Ref": "AWS::NoValue"}
        [(key, client)] = json.loads(text.replace("${Pairs}", pair["Fn::Sub"])).items()
        told[key.strip("${}")] = client
        assert template()["Resources"][key.strip("${}")]["Condition"] == condition
    assert told == {
        "WebApiKey": "web",
        "WebSecondApiKey": "web",
        "PartnerApiKey": "partner",
        "PartnerSecondApiKey": "partner",
    }


def test_each_client_has_modes() -> None:
    text = resources("AWS::SSM::Parameter")["ClientModes"]["Value"]["Fn::Sub"]
    chosen = text.replace("${WebQuote}", "required").replace("${PartnerQuote}", "observe")
    settings = ClientSettings.model_validate({"client_modes": chosen})
    assert settings.of("web") == ClientModes(
        public=True, quote=QuoteMode.REQUIRED, duplicate_charge=DuplicateCharge.REFUSE
    )
    assert settings.of("partner") == ClientModes(
        public=False, quote=QuoteMode.OBSERVE, duplicate_charge=DuplicateCharge.ALLOW
    )


@pytest.mark.parametrize("name", [name for name in names() if "httpMethod" in an_event(name)])
def test_the_request_of_an_event_has_a_route(name: str) -> None:
    event = an_event(name)
    methods = {method for method, path in routes() if path == event["resource"]}
    assert methods & {event["httpMethod"], "ANY"}


# --- the bucket of the vouchers -------------------------------------------------------------------


def test_vouchers_are_private_encrypted_and_kept() -> None:
    [bucket] = resources("AWS::S3::Bucket").values()
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert "VersioningConfiguration" not in bucket  # erased files keep no old version


def test_a_forgotten_voucher_expires_but_not_before_its_retention_ends() -> None:
    [bucket] = resources("AWS::S3::Bucket").values()
    rules = bucket["LifecycleConfiguration"]["Rules"]
    [days] = [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule]
    two_years_ahead = timedelta(days=2 * 365)
    assert timedelta(days=days) > two_years_ahead + DOCUMENTS_KEPT
    assert {rule["Status"] for rule in rules} == {"Enabled"}
