"""Bad input gets a clear problem without the input in it, and stores nothing.

The client is the partner: no test of another module stores anything for it at the same time.
"""

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from tests.e2e import contract
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, a_request, depart, new_key

pytestmark = pytest.mark.timeout(300)

REFUSED = httpx.codes.UNPROCESSABLE_ENTITY
TWO_DAYS_AGO = (datetime.now(UTC).date() - timedelta(days=2)).isoformat()
IN_FOUR_YEARS = (datetime.now(UTC).date() + timedelta(days=4 * 365)).isoformat()
ABSENT = object()
LONG = "x" * 10_000


def changed(path: str, value: Any) -> Json:
    """A request with one member changed. ABSENT removes it."""
    request = a_request()
    *parents, name = path.strip("/").split("/")
    place = request
    for parent in parents:
        place = place[parent]
    if value is ABSENT:
        del place[name]
    else:
        place[name] = value
    return request


def send(
    partner: httpx.Client,
    content: bytes,
    *,
    key: str | None = None,
    content_type: str | None = "application/json",
) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Content-Type": content_type}
    raw = [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]
    return partner.post("/v1/reservations", content=content, headers=raw)


def assert_problem(answer: httpx.Response, status: int, code: str) -> Json:
    """Assert that an answer is this problem, by RFC 9457 and the contract."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    problem: Json = answer.json()
    contract.obeys(contract.schema("Problem"), problem)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].endswith(f"/{code}")
    assert problem["instance"] == f"urn:uuid:{uuid.UUID(problem['request_id'])}"
    assert problem["effect"] == "none"
    assert answer.headers["Cache-Control"] == "no-store"
    return problem


# --- one member wrong -----------------------------------------------------------------------------

ONE_FAULT = [
    # id, pointer, value, code of the field error
    ("no_customer", "/customer", ABSENT, "missing"),
    ("no_offer", "/offer", ABSENT, "missing"),
    ("no_price", "/price", ABSENT, "missing"),
    ("no_token", "/payment_token", ABSENT, "missing"),
    ("no_name", "/customer/full_name", ABSENT, "missing"),
    ("no_email", "/customer/email", ABSENT, "missing"),
    ("no_guests", "/offer/guests", ABSENT, "missing"),
    ("no_currency", "/price/currency", ABSENT, "missing"),
    ("customer_is_null", "/customer", None, "wrong_type"),
    ("customer_is_a_list", "/customer", ["Ana"], "wrong_type"),
    ("offer_is_a_string", "/offer", "HTL-MAD-001", "wrong_type"),
    ("amount_is_a_float", "/price/amount", 342.5, "wrong_type"),
    ("amount_is_an_integer", "/price/amount", 342, "wrong_type"),
    ("guests_is_a_boolean", "/offer/guests", True, "wrong_type"),
    ("guests_is_a_string", "/offer/guests", "2", "wrong_type"),
    ("guests_is_a_fraction", "/offer/guests", 2.5, "wrong_type"),
    ("guests_is_null", "/offer/guests", None, "wrong_type"),
    ("name_is_a_number", "/customer/full_name", 7, "wrong_type"),
    ("name_is_null", "/customer/full_name", None, "wrong_type"),
    ("start_is_a_number", "/offer/starts_on", 20270501, "wrong_type"),
    ("no_guests_at_all", "/offer/guests", 0, "out_of_range"),
    ("negative_guests", "/offer/guests", -1, "out_of_range"),
    ("a_hundred_guests", "/offer/guests", 100, "out_of_range"),
    ("guests_beyond_any_integer", "/offer/guests", 10**400, "out_of_range"),
    ("ends_when_it_starts", "/offer/ends_on", a_request()["offer"]["starts_on"], "not_after_start"),
    ("ends_before_it_starts", "/offer/ends_on", "2020-01-01", "not_after_start"),
    ("starts_in_the_past", "/offer/starts_on", TWO_DAYS_AGO, "in_the_past"),
    ("a_stay_of_two_years", "/offer/ends_on", IN_FOUR_YEARS, "stay_too_long"),
    ("no_such_day", "/offer/starts_on", "2027-02-30", "malformed_date"),
    ("another_calendar_notation", "/offer/starts_on", "2027-W17-6", "malformed_date"),
    ("a_moment_for_a_day", "/offer/starts_on", "2027-05-01T00:00:00Z", "malformed_date"),
    ("foreign_digits_in_a_date", "/offer/starts_on", "２０２７-05-01", "malformed_date"),
    ("negative_amount", "/price/amount", "-342.50", "not_a_decimal"),
    ("amount_of_zero", "/price/amount", "0.00", "out_of_range"),
    ("too_many_decimals", "/price/amount", "342.505", "wrong_decimals"),
    ("too_few_decimals", "/price/amount", "342.5", "wrong_decimals"),
    ("exponent", "/price/amount", "3e2", "not_a_decimal"),
    ("comma", "/price/amount", "342,50", "not_a_decimal"),
    ("blank_around_amount", "/price/amount", " 342.50", "not_a_decimal"),
    ("not_a_number", "/price/amount", "NaN", "not_a_decimal"),
    ("endless_amount", "/price/amount", "Infinity", "not_a_decimal"),
    ("foreign_digits", "/price/amount", "٣٤٢.٥٠", "not_a_decimal"),
    ("wide_digits", "/price/amount", "３４２.５０", "not_a_decimal"),
    ("amount_beyond_any_trip", "/price/amount", "9999999999.00", "out_of_range"),
    ("unknown_currency", "/price/currency", "XXQ", "unknown_currency"),
    ("currency_in_lower_case", "/price/currency", "eur", "unknown_currency"),
    ("money_in_gold", "/price/currency", "XAU", "unknown_currency"),
    ("email_without_at", "/customer/email", "ana.example.com", "malformed_email"),
    ("email_without_domain", "/customer/email", "ana.perez@", "malformed_email"),
    ("email_with_a_name", "/customer/email", "Ana <ana@example.com>", "malformed_email"),
    ("two_emails", "/customer/email", "ana@example.com,eva@example.com", "malformed_email"),
    ("line_break_in_email", "/customer/email", "ana@example.com\r\nBcc: e@x.es", "malformed_email"),
    ("email_of_10_kb", "/customer/email", f"{LONG}@example.com", "too_long"),
    ("phone_without_plus", "/customer/phone", "0034600111222", "malformed_phone"),
    ("phone_with_letters", "/customer/phone", "+34 SIX HUNDRED", "malformed_phone"),
    ("line_break_in_phone", "/customer/phone", "+34600111222\n", "malformed_phone"),
    ("foreign_digits_in_phone", "/customer/phone", "+٣٤٦٠٠١١١٢٢٢", "malformed_phone"),
    ("phone_of_no_country", "/customer/phone", "+00000000", "unknown_country_code"),
    ("email_of_no_network", "/customer/email", "ana@127.0.0.1", "malformed_email"),
    ("empty_name", "/customer/full_name", "", "too_short"),
    ("blank_name", "/customer/full_name", "   ", "too_short"),
    ("invisible_name", "/customer/full_name", "\u200b\u200b", "too_short"),
    ("name_of_a_filler", "/customer/full_name", "\u3164", "too_short"),
    ("lost_letter_in_name", "/customer/full_name", "Caf\ufffd", "lost_character"),
    ("card_number", "/payment_token", "4111111111111111", "card_number"),
    ("card_number_in_name", "/customer/full_name", "4111 1111 1111 1111", "card_number"),
    ("card_number_in_email", "/customer/email", "4111-1111-1111-1111@example.com", "card_number"),
    ("card_number_in_description", "/offer/description", "4111111111111111 12/29", "card_number"),
    ("link_in_name", "/customer/full_name", "Pague en https://pago.example/x", "web_address"),
    ("link_in_description", "/offer/description", "Pague ya en pago-seguro.com", "web_address"),
    ("name_of_10_kb", "/customer/full_name", LONG, "too_long"),
    ("null_character_in_name", "/customer/full_name", "Ana\x00Pérez", "control_character"),
    ("line_break_in_name", "/customer/full_name", "Ana\nPérez", "control_character"),
    ("line_separator_in_name", "/customer/full_name", "Ana\u2028Pérez", "control_character"),
    ("reordering_in_name", "/customer/full_name", "Ana\u202ezerép", "control_character"),
    ("control_in_description", "/offer/description", "Hotel\x1b[2J", "control_character"),
    ("description_of_10_kb", "/offer/description", LONG, "too_long"),
    ("offer_with_a_path", "/offer/offer_id", "../../etc/passwd", "malformed"),
    ("offer_of_10_kb", "/offer/offer_id", LONG, "malformed"),
    ("token_with_blanks", "/payment_token", "4111 1111 1111 1111", "malformed"),
    ("token_of_10_kb", "/payment_token", LONG, "malformed"),
]


@pytest.mark.parametrize(
    ("where", "value", "fault"),
    [case[1:] for case in ONE_FAULT],
    ids=[case[0] for case in ONE_FAULT],
)
def test_the_member_at_fault_is_named(
    partner: httpx.Client, backstage: Backstage, where: str, value: Any, fault: str
) -> None:
    before = backstage.stored("partner")
    content = json.dumps(changed(where, value)).encode()

    answer = send(partner, content, key=new_key())

    problem = assert_problem(answer, REFUSED, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(where, fault)]
    assert backstage.stored("partner") == before
    if isinstance(value, str) and len(value.strip()) > 3:
        assert value not in answer.text


@pytest.mark.parametrize("where", ["/customer/{}", "/offer/{}", "/price/{}", "/{}"])
def test_an_unknown_member_is_refused_without_repeating_its_name(
    partner: httpx.Client, backstage: Backstage, where: str
) -> None:
    before = backstage.stored("partner")
    request = changed(where.format("card_number"), "4111111111111111")

    answer = send(partner, json.dumps(request).encode(), key=new_key())

    problem = assert_problem(answer, REFUSED, "validation_failed")
    [error] = problem["errors"]
    assert error["code"] == "unknown_member"
    assert error["pointer"] == where.removesuffix("/{}")
    assert "card_number" not in answer.text
    assert "41111111" not in answer.text  # four digits may be of an id
    assert backstage.stored("partner") == before


@pytest.mark.parametrize("amount", ["1000.00", "1000.0"])
def test_a_currency_without_minor_unit_takes_no_decimals(
    partner: httpx.Client, backstage: Backstage, amount: str
) -> None:
    before = backstage.stored("partner")
    request = a_request(price={"amount": amount, "currency": "JPY"})

    answer = send(partner, json.dumps(request).encode(), key=new_key())

    problem = assert_problem(answer, REFUSED, "validation_failed")
    assert [error["code"] for error in problem["errors"]] == ["wrong_decimals"]
    assert backstage.stored("partner") == before


def test_all_faults_are_reported_at_once(partner: httpx.Client) -> None:
    request = a_request(customer={"email": "ana"}, offer={"guests": 0}, price={"amount": "1"})

    problem = assert_problem(
        send(partner, json.dumps(request).encode(), key=new_key()), REFUSED, "validation_failed"
    )

    assert {error["pointer"] for error in problem["errors"]} == {
        "/customer/email",
        "/offer/guests",
        "/price/amount",
    }


# --- bodies that are no reservation at all --------------------------------------------------------

VALID = json.dumps(a_request(), ensure_ascii=False).encode()
MALFORMED = {
    "nothing": b"",
    "cut_short": VALID[:-1],
    "trailing_comma": VALID[:-1] + b",}",
    "two_objects": VALID + VALID,
    "single_quotes": VALID.replace(b'"', b"'"),
    "nan": VALID.replace(b'"guests": 2', b'"guests": NaN'),
    "infinity": VALID.replace(b'"guests": 2', b'"guests": -Infinity'),
    "too_many_digits": VALID.replace(b'"guests": 2', b'"guests": ' + b"9" * 5000),
    "member_twice": VALID.replace(b'"guests": 2', b'"guests": 1, "guests": 2'),
    "list": b"[" + VALID + b"]",
    "string": b'"reserve"',
    "number": b"7",
    "null": b"null",
    "latin_1": VALID.replace("é".encode(), b"\xe9"),
    "overlong_utf_8": VALID.replace("é".encode(), b"\xc1\xa9"),
    "utf_16": VALID.decode().encode("utf-16"),
    "brackets": b"[" * 60_000,
    "closed_brackets": b"[" * 32_000 + b"]" * 32_000,
    "braces": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "html": b"<script>alert(1)</script>",
}


def test_a_lost_letter_is_a_fault_of_its_member(partner: httpx.Client) -> None:
    """Gateways put U+FFFD in the place of bytes that are not UTF-8."""
    answer = send(partner, VALID.replace("é".encode(), "\ufffd".encode()), key=new_key())

    problem = assert_problem(answer, REFUSED, "validation_failed")
    assert {(error["pointer"], error["code"]) for error in problem["errors"]} == {
        ("/customer/full_name", "lost_character")
    }


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_no_json_object_is_malformed(
    partner: httpx.Client, backstage: Backstage, content: bytes
) -> None:
    before = backstage.stored("partner")

    answer = send(partner, content, key=new_key())

    assert_problem(answer, httpx.codes.BAD_REQUEST, "malformed_json")
    assert backstage.stored("partner") == before


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000])
def test_a_body_over_64_kib_is_too_large(
    partner: httpx.Client, backstage: Backstage, size: int
) -> None:
    before = backstage.stored("partner")

    answer = send(partner, VALID + b" " * (size - len(VALID)), key=new_key())

    assert_problem(answer, httpx.codes.REQUEST_ENTITY_TOO_LARGE, "body_too_large")
    assert backstage.stored("partner") == before


def test_a_body_of_64_kib_is_not_too_large(partner: httpx.Client) -> None:
    answer = send(partner, VALID + b" " * (64 * 1024 - len(VALID)), key=new_key())

    assert answer.status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
def test_only_json_is_read(
    partner: httpx.Client, backstage: Backstage, content_type: str | None
) -> None:
    before = backstage.stored("partner")

    answer = send(partner, VALID, key=new_key(), content_type=content_type)

    assert_problem(answer, httpx.codes.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
    assert backstage.stored("partner") == before


# --- the key --------------------------------------------------------------------------------------

BAD_KEYS = {
    "long": "a" * 256,
    "empty": "",
    "letters_with_accents": "ñandú-ñandú-ñandú",
    "only_one_quote": '"' + "a" * 16,
    "nothing_in_quotes": '""',
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_malformed_key_is_refused(partner: httpx.Client, backstage: Backstage, key: str) -> None:
    before = backstage.stored("partner")

    answer = send(partner, VALID, key=key)

    assert_problem(answer, httpx.codes.BAD_REQUEST, "idempotency_key_invalid")
    assert backstage.stored("partner") == before


def test_a_key_that_travelers_of_a_public_client_would_share_is_refused(web: httpx.Client) -> None:
    answer = send(web, VALID, key="1")

    assert_problem(answer, httpx.codes.BAD_REQUEST, "idempotency_key_invalid")


def test_two_idempotency_keys_in_one_request_are_refused(
    partner: httpx.Client, backstage: Backstage
) -> None:
    before = backstage.stored("partner")
    headers = [("Idempotency-Key", new_key()) for _ in range(2)]

    answer = partner.post(
        "/v1/reservations", content=VALID, headers=[*headers, ("Content-Type", "application/json")]
    )

    assert_problem(answer, httpx.codes.BAD_REQUEST, "idempotency_key_invalid")
    assert backstage.stored("partner") == before


def test_a_missing_key_is_explained(partner: httpx.Client, backstage: Backstage) -> None:
    before = backstage.stored("partner")

    answer = send(partner, VALID)

    assert_problem(answer, httpx.codes.BAD_REQUEST, "idempotency_key_missing")
    assert 'rel="describedby"' in answer.headers["Link"]
    assert backstage.stored("partner") == before


def test_a_refused_body_leaves_its_key_free(partner: httpx.Client) -> None:
    key = new_key()
    assert send(partner, b"{}", key=key).status_code == REFUSED

    assert send(partner, VALID, key=key).status_code == httpx.codes.ACCEPTED


# --- who asks, and where --------------------------------------------------------------------------


@pytest.mark.embedded
@pytest.mark.parametrize("api_key", [None, "z" * 40, ""])
@pytest.mark.parametrize("path", ["/v1/reservations", "/v1/reservations/33333-33333-T"])
def test_a_caller_without_a_valid_api_key_gets_the_unauthorized_problem(
    partner: httpx.Client, backstage: Backstage, api_key: str | None, path: str
) -> None:
    before = backstage.stored("partner")
    method = "POST" if path == "/v1/reservations" else "GET"
    headers = {"Idempotency-Key": new_key(), "Content-Type": "application/json"}
    if api_key is not None:
        headers["x-api-key"] = api_key

    answer = httpx.request(
        method, f"{partner.base_url}{path[1:]}", content=VALID, headers=headers, timeout=30
    )

    problem = assert_problem(answer, httpx.codes.UNAUTHORIZED, "unauthorized")
    assert answer.headers["Content-Language"] == "es, en"
    assert "Falta la credencial" in problem["title"]
    assert "Credentials are missing" in problem["title"]
    assert backstage.stored("partner") == before


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", marks=pytest.mark.embedded),  # the gateway's own answer
        *("/v1", "/v2/reservations", "/v1/reservations/a/b/c", "/x'--"),
    ],
)
def test_an_unknown_route_gets_the_not_found_problem(partner: httpx.Client, path: str) -> None:
    assert_problem(partner.get(path), httpx.codes.NOT_FOUND, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/reservations", "POST, OPTIONS"),
        ("PUT", "/v1/reservations", "POST, OPTIONS"),
        ("DELETE", "/v1/reservations", "POST, OPTIONS"),
        ("POST", "/v1/health", "GET, HEAD, OPTIONS"),
        ("PATCH", "/v1/reservations/33333-33333-T", "GET, HEAD, OPTIONS"),
        ("POST", "/v1/reservations/33333-33333-T/timeline", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/reservations/33333-33333-T/cancel", "POST, OPTIONS"),
        ("GET", "/v1/webhooks/payments", "POST, OPTIONS"),
    ],
)
def test_a_wrong_method_changes_nothing_and_the_answer_names_the_right_one(
    partner: httpx.Client, backstage: Backstage, method: str, path: str, allowed: str
) -> None:
    before = backstage.stored("partner")

    answer = partner.request(method, path, content=VALID, headers={"Idempotency-Key": new_key()})

    assert_problem(answer, httpx.codes.METHOD_NOT_ALLOWED, "method_not_allowed")
    assert answer.headers["Allow"] == allowed
    assert backstage.stored("partner") == before


@pytest.mark.parametrize("code", ["%FF%FE", "a%2Fb", "😀", "%00", "'%20OR%201=1", "x" * 2000])
def test_no_text_in_the_place_of_a_code_does_harm(partner: httpx.Client, code: str) -> None:
    answer = partner.get(f"/v1/reservations/{code}", headers={"Authorization": "Bearer k1.abc"})

    assert_problem(answer, httpx.codes.NOT_FOUND, "not_found")


# --- unusual but valid ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + VALID,
        json.dumps(a_request(offer={"guests": 2.0})).encode(),
        json.dumps(a_request(customer={"phone": "+34 600\u2011111 222"})).encode(),
        json.dumps(a_request(customer={"email": "ana@espa\u00f1a.example"})).encode(),
    ],
    ids=["byte order mark", "guests 2.0", "phone with spaces", "international domain"],
)
def test_a_body_as_people_and_programs_write_it_is_accepted(
    partner: httpx.Client, content: bytes
) -> None:
    assert send(partner, content, key=new_key()).status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize("key", ["order:2026:11:30:{}", "{}.MQ==", '"{} of the day"'])
def test_a_key_may_have_any_visible_sign(partner: httpx.Client, key: str) -> None:
    answer = send(partner, VALID, key=key.format(uuid.uuid4()))

    assert answer.status_code == httpx.codes.ACCEPTED


NAMES = {
    "emoji": "Ana 👩‍👩‍👧 Pérez",
    "right_to_left": "דנה כהן",
    "arabic": "ليلى حداد",
    "apostrophe_and_markup": "Seán O'Brien <b>&amp;</b>",
    "chinese": "王小明",
}


@pytest.fixture(scope="module")
def guests(partner: httpx.Client) -> dict[str, Trip]:
    return {
        name: depart(partner, a_request(customer={"full_name": full_name}))
        for name, full_name in NAMES.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_names_from_anywhere_reach_voucher_and_mail_as_they_were_written(
    guests: dict[str, Trip], backstage: Backstage, name: str
) -> None:
    trip = guests[name]
    trip.documented()

    voucher = httpx.get(trip.get("/voucher").headers["Location"], timeout=10).content
    [page] = PdfReader(io.BytesIO(voucher)).pages
    mail = backstage.mail(trip.email)

    body = mail.get_body(preferencelist=("plain",))
    assert body is not None
    assert NAMES[name] in body.get_content()
    assert NAMES[name] in page.extract_text()
