"""Reading of requests: languages, keys, bearers, media types. Responses of problems."""

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations.domain.reservation import Language
from reservations.entrypoints import http
from reservations.entrypoints.problems import CATALOGUE, ProblemError

CLIENTS = {"key-id-web": "web"}
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def an_event(*, api_key_id: str | None = "key-id-web", **members: Any) -> APIGatewayProxyEvent:
    context = {"requestId": REQUEST_ID, "identity": {"apiKeyId": api_key_id}}
    return APIGatewayProxyEvent({"headers": {}, "requestContext": context, **members})


def with_headers(**headers: str) -> APIGatewayProxyEvent:
    return an_event(headers={name.replace("_", "-"): value for name, value in headers.items()})


def code_of(error: pytest.ExceptionInfo[ProblemError]) -> str:
    return error.value.problem.code


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (None, Language.SPANISH),
        ("", Language.SPANISH),
        ("en", Language.ENGLISH),
        ("EN-gb", Language.ENGLISH),
        ("es-MX, en;q=0.8", Language.SPANISH),
        ("en, es", Language.SPANISH),
        ("en;q=0.9, es;q=0.1", Language.ENGLISH),
        ("en;q=0", Language.SPANISH),
        ("es;q=0", Language.ENGLISH),
        ("es;q=0, *", Language.ENGLISH),
        ("es;q=0, en;q=0.0", Language.SPANISH),
        ("en;Q=0.9", Language.ENGLISH),
        ("en ; q=0.9", Language.ENGLISH),
        ("EN;Q=0.9, ES;q=0.8", Language.ENGLISH),
        ("en;q=0.5,*;q=0.8", Language.SPANISH),
        ("es;q=0.5,*;q=0.8", Language.ENGLISH),
        ("*;q=0", Language.SPANISH),
        ("en, *;q=0", Language.ENGLISH),
        ("es;q=banana", Language.SPANISH),
        ("es-MX;q=0, es;q=0.5, en;q=0.4", Language.SPANISH),
        ("en;q=0.001", Language.ENGLISH),
        ("fr, de;q=0.9", Language.SPANISH),
        ("fr, en;q=0.2", Language.ENGLISH),
        ("en;q=2", Language.SPANISH),
        ("en;q=banana", Language.SPANISH),
        ("*", Language.SPANISH),
        ("english", Language.SPANISH),
        (", ,;;q=,", Language.SPANISH),
    ],
)
def test_the_language_is_spanish_unless_english_is_preferred(
    accepted: str | None, expected: Language
) -> None:
    event = an_event() if accepted is None else with_headers(Accept_Language=accepted)
    assert http.language(event) is expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("application/json", True),
        ("text/html, Application/JSON;q=0.5", True),
        ("application/json;charset=utf-8", True),
        ("application/json;q=0, */*", False),
        ("application/json; Q=0.0, */*", False),
        ("application/json;charset=utf-8;q=0", False),
        ("application/json;q=0.5", True),
        ("application/json-seq", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_json_is_chosen_only_when_accept_names_it(accepted: str, expected: bool) -> None:
    assert http.wants_json(with_headers(Accept=accepted)) is expected


@pytest.mark.parametrize(
    "key",
    [
        "0123456789abcdef",
        "A-Z_" * 4,
        "k" * 255,
        "order:2026:11:30:0001",
        "cmVzZXJ2YS0wMDAx.MQ==",
        "a key of several words",
        'in "quotes" or \\ not',
    ],
)
@pytest.mark.parametrize("public", [True, False])
def test_an_idempotency_key_is_the_same_quoted_and_unquoted(key: str, public: bool) -> None:
    quoted = '"{}"'.format(key.replace("\\", "\\\\").replace('"', '\\"'))

    for value in (key, quoted):
        event = with_headers(Idempotency_Key=value)
        assert http.idempotency_key(event, public=public) == key


@pytest.mark.parametrize("key", ["1", "k" * 15, '"1"'])
def test_a_short_idempotency_key_is_for_clients_that_are_not_public(key: str) -> None:
    event = with_headers(Idempotency_Key=key)

    assert http.idempotency_key(event, public=False) == key.strip('"')
    with pytest.raises(ProblemError) as refused:
        http.idempotency_key(event, public=True)
    assert code_of(refused) == "idempotency_key_invalid"


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        "k" * 256,
        f'"{"k" * 256}"',
        "0123456789abcdef ",
        '" 0123456789abcdef"',
        '"0123456789abcdef',
        '"0123456789"abcdef"',
        '"0123456789\\abcdef"',
        '"0123456789abcdef";a=1',
        "0123456789abcdeñ",
        "0123456789\tabcdef",
        "0123456789\x7fabcdef",
    ],
)
@pytest.mark.parametrize("public", [True, False])
def test_a_malformed_idempotency_key_is_refused(key: str, public: bool) -> None:
    with pytest.raises(ProblemError) as refused:
        http.idempotency_key(with_headers(Idempotency_Key=key), public=public)
    assert code_of(refused) == "idempotency_key_invalid"


def repeated(name: str, *values: str) -> APIGatewayProxyEvent:
    return an_event(headers={name: values[-1]}, multiValueHeaders={name: list(values)})


def test_two_idempotency_keys_are_refused() -> None:
    with pytest.raises(ProblemError) as refused:
        http.idempotency_key(repeated("Idempotency-Key", "k" * 16, "l" * 16), public=False)
    assert code_of(refused) == "idempotency_key_invalid"


def test_two_bearer_tokens_are_refused() -> None:
    with pytest.raises(ProblemError) as refused:
        http.reader(repeated("authorization", "Bearer a", "Bearer b"), CLIENTS)
    assert code_of(refused) == "unauthorized"


def test_a_missing_idempotency_key_is_refused_with_a_link_to_its_description() -> None:
    with pytest.raises(ProblemError) as refused:
        http.idempotency_key(an_event(), public=True)
    assert code_of(refused) == "idempotency_key_missing"

    response = http.problem_response(refused.value.problem, an_event())
    assert 'rel="describedby"' in str(response.headers["Link"])


def test_the_client_is_found_by_the_gateway_s_api_key() -> None:
    assert http.client_id(an_event(), CLIENTS) == "web"


@pytest.mark.parametrize("api_key_id", [None, "", "web", "key-id-of-nobody"])
def test_an_unknown_api_key_is_refused(api_key_id: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        http.client_id(an_event(api_key_id=api_key_id), CLIENTS)
    assert code_of(refused) == "unauthorized"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_a_reader_brings_a_bearer_token(scheme: str) -> None:
    reader = http.reader(with_headers(Authorization=f"{scheme} k1.abc-_"), CLIENTS)
    assert (reader.client_id, reader.access_token) == ("web", "k1.abc-_")
    assert "k1.abc" not in repr(reader)


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "k1.abc", "Basic k1.abc", "Bearer a b", "Bearer ñ"]
)
def test_a_request_without_a_bearer_token_is_unauthorized(value: str | None) -> None:
    event = an_event() if value is None else with_headers(Authorization=value)
    with pytest.raises(ProblemError) as refused:
        http.reader(event, CLIENTS)
    assert code_of(refused) == "unauthorized"


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;a=b"]
)
def test_a_json_body_is_returned_unchanged(media_type: str) -> None:
    event = an_event(headers={"content-type": media_type}, body='{"a": "ñ"}')
    assert http.json_body(event) == '{"a": "ñ"}'.encode()


def test_a_body_in_base64_is_decoded() -> None:
    encoded = base64.b64encode('{"a": "ñ"}'.encode()).decode()
    event = an_event(
        headers={"Content-Type": "application/json"}, body=encoded, isBase64Encoded=True
    )
    assert http.json_body(event) == '{"a": "ñ"}'.encode()


@pytest.mark.parametrize("encoded", ["no base64!", "abc", "ñ"])
def test_a_body_that_contradicts_its_encoding_is_malformed(encoded: str) -> None:
    event = an_event(
        headers={"Content-Type": "application/json"}, body=encoded, isBase64Encoded=True
    )
    with pytest.raises(ProblemError) as refused:
        http.json_body(event)
    assert code_of(refused) == "malformed_json"


@pytest.mark.parametrize("in_base64", [True, False])
def test_a_body_has_at_most_64_kib(in_base64: bool) -> None:
    def sent(content: bytes) -> APIGatewayProxyEvent:
        body = base64.b64encode(content) if in_base64 else content
        return an_event(body=body.decode(), isBase64Encoded=in_base64)

    largest = b"x" * http.MAX_BODY_BYTES
    assert http.raw_body(sent(largest)) == largest
    for larger in (largest + b"x", 100 * largest):
        with pytest.raises(ProblemError) as refused:
            http.raw_body(sent(larger))
        assert code_of(refused) == "body_too_large"


def test_a_body_is_measured_in_bytes() -> None:
    with pytest.raises(ProblemError) as refused:
        http.raw_body(an_event(body="ñ" * (http.MAX_BODY_BYTES // 2 + 1)))
    assert code_of(refused) == "body_too_large"


@pytest.mark.parametrize("media_type", [None, "", "text/plain", "application/jsonp", "json"])
def test_another_media_type_is_refused(media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    with pytest.raises(ProblemError) as refused:
        http.json_body(an_event(headers=headers, body="{}"))
    assert code_of(refused) == "unsupported_media_type"


def test_a_request_without_a_body_has_an_empty_one() -> None:
    assert http.json_body(an_event(headers={"Content-Type": "application/json"}, body=None)) == b""


@pytest.mark.parametrize("problem", CATALOGUE.values(), ids=CATALOGUE)
def test_a_problem_names_the_request_and_its_retry_after(problem: Any) -> None:
    response = http.problem_response(problem, an_event())

    assert response.body is not None
    body = json.loads(response.body)
    assert response.status_code == body["status"] == problem.status
    assert body["instance"] == f"urn:uuid:{REQUEST_ID}"
    assert response.headers["Cache-Control"] == "no-store"
    seconds = response.headers.get("Retry-After")
    assert seconds == (None if body["retry_after_s"] is None else str(body["retry_after_s"]))


def test_members_are_ordered_so_that_a_replay_is_equal_byte_for_byte() -> None:
    assert http.to_json({"b": 1, "a": {"d": "ñ", "c": 2}}) == '{"a":{"c":2,"d":"ñ"},"b":1}'
