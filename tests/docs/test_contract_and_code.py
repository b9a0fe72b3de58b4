"""The committed contract and the code promise the same."""

import json
import re
from datetime import timedelta
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest
import yaml
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from local.events import names
from reservations.adapters.aws.hint_codec import PoisonMessageError, encode_hint
from reservations.adapters.aws.ses_events import decode_mail_event
from reservations.application.poll_outbox import poll_outbox
from reservations.config import KeyId, QuoteSettings
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import QuoteMode
from reservations.domain.facts import Reason, Status
from reservations.domain.history import HistoryEntry
from reservations.domain.messages import Hint
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Language, MailKind, MailStatus, Reservation
from reservations.domain.words import ClosedReason, PublicStatus
from reservations.entrypoints import answers, bodies, http, quotes
from reservations.entrypoints.faults import MAX_FAULTS
from reservations.entrypoints.problems import CATALOGUE, FieldError, Problem
from reservations.texts.compiled import TIMELINE
from tests.unit.adapters.test_ses_events import event_with
from tests.worlds.builders import (
    NOON,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)
from tests.worlds.contracts import closed
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork, RecordingPublisher
from tests.worlds.invocation import an_event as an_invocation
from tests.worlds.quotes import JWK_SET, a_first_use

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "docs" / "contratos"
BASE_URL = "https://api.reservations.example"
SUPPORT = "ayuda@reservations.example"
KEYS = KeyRing(current="k1", keys={"k1": bytes(32)})

RESERVATIONS = {
    "accepted": a_reservation(),
    "paying": a_reservation(a_charge(Status.UNKNOWN)),
    "paid": a_reservation(a_charge()),
    "without papers": a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON)),
    "confirmed": a_reservation(a_charge(), a_booking(), documents=(a_voucher(),)),
    "declined": a_reservation(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED),
    "rejected": a_reservation(
        a_charge(), a_booking(Status.DECLINED), reason=Reason.SUPPLIER_REJECTED
    ),
    "refunded": a_reservation(a_charge(), a_refund(), reason=Reason.CUSTOMER_CANCELLED),
    "expired": a_reservation(reason=Reason.EXPIRED),
    "to review": a_reservation(sends=(a_send(status=MailStatus.REFUSED),)),
}


@cache
def contract() -> dict[str, Any]:
    text = (CONTRACTS / "openapi.yaml").read_text(encoding="utf-8")
    return closed(yaml.safe_load(text))


def violations(name: str, value: object) -> list[str]:
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "unevaluatedProperties": False,
        "components": contract()["components"],
    }
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


def body_of(response: Response[str]) -> Any:
    assert response.body is not None
    return json.loads(response.body)


def an_event(**headers: str) -> APIGatewayProxyEvent:
    context = {"requestId": str(uuid4()), "identity": {}}
    return APIGatewayProxyEvent({"headers": headers, "requestContext": context})


def declared_headers(path: str, method: str, status: int) -> set[str]:
    """`Content-Type` is declared by the media type (OpenAPI 3.1, Response Object)."""
    response = contract()["paths"][path][method]["responses"][str(status)]
    return {"Content-Type", *response["headers"]}


def test_the_handlers_serve_every_operation_that_is_not_planned() -> None:
    handlers = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "functions").glob("*/handler.py")
    )
    offered = {
        (method, re.sub(r"<(\w+)>", r"{\1}", path))
        for method, path in re.findall(r"\bapp\.(\w+)\(\s*\"([^\"]+)\"", handlers)
    }
    promised = {
        (method, path)
        for path, item in contract()["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post"} and operation.get("x-status") != "planned"
    }
    assert offered == promised


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    """The bounds of a member, in one form for code and contract."""
    options = [schema, *schema.get("anyOf", [])]
    found = {
        bound: option[bound]
        for option in options
        for bound in ("maxLength", "minimum", "maximum", "pattern")
        if bound in option
    }
    if "pattern" in found:
        found["pattern"] = re.sub(r"^\\A|^\^|\\z$|\$$", "", found["pattern"])
    return found


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (bodies.ReservationBody, "CreateReservation"),
        (bodies.CustomerBody, "Customer"),
        (bodies.OfferBody, "Offer"),
        (bodies.PriceBody, "Money"),
    ],
)
def test_a_request_has_the_members_and_bounds_of_the_contract(
    model: type[BaseModel], name: str
) -> None:
    written = contract()["components"]["schemas"][name]
    coded = model.model_json_schema(mode="serialization")

    assert set(coded["required"]) <= set(coded["properties"])
    assert set(model.model_fields) == set(written["properties"])
    required = {key for key, field in model.model_fields.items() if field.is_required()}
    assert required == set(written["required"])
    for member, schema in coded["properties"].items():
        bounds = limits(schema)
        promised = limits(written["properties"][member])
        shared = bounds.keys() & promised.keys()
        assert {key: bounds[key] for key in shared} == {key: promised[key] for key in shared}, (
            member
        )


def test_a_problem_lists_as_many_errors_as_the_contract_allows() -> None:
    errors = contract()["components"]["schemas"]["Problem"]["properties"]["errors"]
    assert errors["maxItems"] == MAX_FAULTS


def test_the_example_of_the_contract_is_accepted_by_the_code() -> None:
    operation = contract()["paths"]["/v1/reservations"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["hotel"]["value"]

    keys = QuoteSettings.model_validate({"quote_keys": json.dumps(JWK_SET)}).keys
    check = partial(quotes.check, keys=keys, audience="web", now=NOON)

    judged = bodies.judge_first_use(
        example, context=a_first_use(NOON, mode=QuoteMode.REQUIRED, check=check)
    )

    assert judged.quote == example["quote"]


@pytest.mark.parametrize("reservation", RESERVATIONS.values(), ids=RESERVATIONS)
def test_a_read_reservation_obeys_the_contract(reservation: Reservation) -> None:
    response = answers.shown(
        reservation,
        now=NOON,
        policy=STANDARD,
        base_url=BASE_URL,
        support_contact=SUPPORT,
        if_none_match=None,
    )

    assert violations("Reservation", body_of(response)) == []
    declared = declared_headers("/v1/reservations/{code}", "get", 200)
    assert set(response.headers) <= declared


@pytest.mark.parametrize(
    ("name", "words"), [("Status", PublicStatus), ("ClosedReason", ClosedReason)]
)
def test_the_contract_lists_every_word_for_travelers(name: str, words: type[StrEnum]) -> None:
    listed = contract()["components"]["schemas"][name]["enum"]
    assert listed == [word.value for word in words]


@pytest.mark.parametrize("replayed", [False, True])
def test_the_answer_to_a_creation_obeys_the_contract(replayed: bool) -> None:
    stored = answers.stored_answer(a_reservation(), policy=STANDARD, support_contact=SUPPORT)
    response = answers.created(stored, base_url=BASE_URL, keys=KEYS, replayed=replayed)

    assert violations("CreatedReservation", body_of(response)) == []
    declared = declared_headers("/v1/reservations", "post", 202)
    assert set(response.headers) <= declared
    assert ("Idempotency-Replayed" in response.headers) is replayed


def test_every_key_that_the_settings_take_makes_tokens_that_the_contract_allows() -> None:
    schema = contract()["components"]["schemas"]["CreatedReservation"]
    token = schema["allOf"][1]["properties"]["access_token"]["pattern"]
    [key_id] = get_args(KeyId)[1].metadata
    assert token == rf"{key_id.pattern.rstrip('$')}\.[A-Za-z0-9_-]{{43}}$"


@pytest.mark.parametrize("language", Language)
def test_a_timeline_of_every_event_obeys_the_contract(language: Language) -> None:
    history = [HistoryEntry(event=event, at=NOON, actor="system") for event in TIMELINE[language]]
    response = answers.timeline(a_reservation(), history, language=language)

    assert violations("Timeline", body_of(response)) == []


def test_the_link_to_a_voucher_obeys_the_contract() -> None:
    response = answers.voucher_link(
        "https://bucket.s3.example/vouchers/a",
        expires_at=NOON + timedelta(minutes=1),
        as_json=True,
    )
    assert violations("VoucherLink", body_of(response)) == []


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("problem", CATALOGUE.values(), ids=CATALOGUE)
def test_every_problem_obeys_the_contract_in_both_languages(
    problem: Problem, language: str
) -> None:
    fault = FieldError("/customer/email", "malformed_email")
    event = an_event(**{"Accept-Language": language})
    response = http.problem_response(problem, event, errors=(fault,))

    assert violations("Problem", body_of(response)) == []
    assert response.headers["Content-Language"] == language


def message_schema(name: str) -> dict[str, Any]:
    text = (CONTRACTS / "mensajes" / f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def sent_about(reservation: Reservation) -> list[Hint]:
    """The hints that the poller publishes once a reservation is due."""
    unit, publisher = InMemoryUnitOfWork(InMemoryDatabase()), RecordingPublisher()
    with unit as uow:
        uow.add(a_creation(reservation), a_customer())
        uow.commit()
    poll_outbox(uow=unit, publisher=publisher, policy=STANDARD)
    return publisher.hints


def test_every_hint_that_is_sent_obeys_its_schema_and_the_schema_knows_no_other() -> None:
    schema = message_schema("hint")
    hints = [hint for each in RESERVATIONS.values() for hint in sent_about(each)]

    for hint in hints:
        Draft202012Validator(schema).validate(json.loads(encode_hint(hint)))
    assert {hint.type for hint in hints} == set(schema["properties"]["type"]["enum"])


def stored_mail_events() -> list[str]:
    """The bodies of every example delivery, except the greeting, which is no JSON."""
    events = [an_invocation(name) for name in names() if name.startswith("record_mail_event.")]
    bodies = [record["body"] for event in events for record in event["Records"]]
    return [body for body in bodies if body.startswith("{")]


def is_read(body: str) -> bool:
    try:
        return decode_mail_event(body) is not None
    except PoisonMessageError:
        return False


CHANGED = [
    *(
        event_with("bounced", bounce__bounceType=value)
        for value in ("Transient", "Undetermined", "Other")
    ),
    *(event_with("bounced", mail__tags__mail_kind=[kind]) for kind in [*MailKind, "newsletter"]),
    *(event_with("bounced", mail__tags__reservation_id=ids) for ids in ([], ["7KQ2M-XD4RT-H"])),
    event_with("bounced", mail__tags={}),
    event_with("bounced", eventType="Complaint"),
    event_with("complained", complaint={}),
    event_with("complained", complaint__complaintSubType="OnAccountSuppressionList"),
    event_with("complained", complaint__complaintSubType=1),
]


@pytest.mark.parametrize("body", [*stored_mail_events(), *CHANGED])
def test_a_mail_event_is_read_exactly_if_it_obeys_its_schema(body: str) -> None:
    obeys = Draft202012Validator(message_schema("mail-event")).is_valid(json.loads(body))

    assert is_read(body) is obeys


def test_only_the_delivery_among_the_example_mail_events_is_not_read() -> None:
    read = {json.loads(body)["eventType"]: is_read(body) for body in stored_mail_events()}

    assert read == {"Bounce": True, "Complaint": True, "Delivery": False}
