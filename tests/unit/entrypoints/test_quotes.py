"""Quotes at the door: verified by their signer's key, and compared with the whole body."""

import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reservations.config import QuoteSettings
from reservations.domain.clients import QuoteMode
from reservations.domain.reservation import Language
from reservations.entrypoints import quotes
from reservations.entrypoints.bodies import ReservationBody, judge_first_use, parse_reservation
from reservations.entrypoints.first_use import FirstUse
from reservations.entrypoints.problems import ProblemError
from tests.worlds.quotes import JWK_SET, SIGNER, Signer, a_first_use, claims_of

NOW = datetime(2027, 3, 1, 10, 0, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OFFER = {
    "offer_id": "HTL-MAD-001",
    "description": "Hotel Sol, habitación doble",
    "starts_on": "2027-05-01",
    "ends_on": "2027-05-04",
    "guests": 2,
}
BODY: dict[str, Any] = {
    "customer": {"full_name": "Ana Pérez", "email": "ana@example.com"},
    "offer": OFFER,
    "price": {"amount": "342.50", "currency": "EUR"},
    "payment_token": "tok_ok",
}
CLAIMS = claims_of(BODY, at=NOW)
GOOD = SIGNER.sign(CLAIMS)


def keys_of(jwk_set: Mapping[str, Any]) -> quotes.Keys:
    return QuoteSettings.model_validate({"quote_keys": json.dumps(jwk_set)}).keys


KEYS = keys_of(JWK_SET)


def first_use(
    *,
    now: datetime = NOW,
    keys: quotes.Keys = KEYS,
    audience: str = "web",
    mode: QuoteMode = QuoteMode.REQUIRED,
) -> FirstUse:
    check = partial(quotes.check, keys=keys, audience=audience, now=now)
    return a_first_use(now, audience=audience, mode=mode, check=check)


def judged(
    quote: str | None, body: Mapping[str, Any] = BODY, **circumstances: Any
) -> ReservationBody:
    document = dict(body) if quote is None else {**body, "quote": quote}
    return judge_first_use(document, context=first_use(**circumstances))


def faults(
    quote: str | None, body: Mapping[str, Any] = BODY, **circumstances: Any
) -> list[tuple[str, str]]:
    with pytest.raises(ProblemError) as refused:
        judged(quote, body, **circumstances)
    assert refused.value.problem.code == "validation_failed"
    return [(fault.pointer, fault.code) for fault in refused.value.errors]


INVALID = [("/quote", "quote_invalid")]
EXPIRED = [("/quote", "quote_expired")]


def test_a_signed_offer_is_accepted_and_marked_as_signed() -> None:
    command = judged(GOOD).to_command(client_id="web", language=Language.SPANISH)

    assert command.quoted


@pytest.mark.parametrize("mode", [QuoteMode.OFF, QuoteMode.OBSERVE])
def test_a_missing_quote_is_refused_only_where_it_is_required(mode: QuoteMode) -> None:
    command = judged(None, mode=mode).to_command(client_id="web", language=Language.SPANISH)

    assert not command.quoted
    assert faults(None) == [("/quote", "quote_missing")]


@pytest.mark.parametrize("mode", QuoteMode)
def test_a_quote_that_is_present_is_verified_in_every_mode(mode: QuoteMode) -> None:
    assert faults("a.b.c", mode=mode) == INVALID


def test_the_faults_of_quote_and_body_are_told_at_once() -> None:
    body = {**BODY, "payment_token": "4111111111111111"}

    assert faults(None, body) == [
        ("/payment_token", "card_number"),
        ("/quote", "quote_missing"),
    ]
    assert faults("a.b.c", body) == [("/payment_token", "card_number"), *INVALID]


# --- comparison


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("offer_id", "HTL-MAD-002", "/offer/offer_id"),
        ("description", "Hotel Luna, habitación doble", "/offer/description"),
        ("starts_on", "2027-05-02", "/offer/starts_on"),
        ("ends_on", "2027-06-01", "/offer/ends_on"),
        ("guests", 3, "/offer/guests"),
    ],
)
def test_another_offer_than_the_signed_one_is_told_by_its_member(
    member: str, value: Any, pointer: str
) -> None:
    body = {**BODY, "offer": OFFER | {member: value}}

    assert faults(GOOD, body) == [(pointer, "quote_mismatch")]


@pytest.mark.parametrize(
    ("price", "pointer"),
    [
        ({"amount": "0.01", "currency": "EUR"}, "/price/amount"),
        ({"amount": "342.50", "currency": "SEK"}, "/price/currency"),
        ({"amount": "342", "currency": "JPY"}, "/price/currency"),
    ],
)
def test_another_price_than_the_signed_one_is_refused(price: dict[str, str], pointer: str) -> None:
    assert faults(GOOD, {**BODY, "price": price}) == [(pointer, "quote_mismatch")]


def test_all_members_that_differ_are_told() -> None:
    body = {
        **BODY,
        "offer": OFFER | {"offer_id": "HTL-SUITE", "guests": 9},
        "price": {"amount": "0.01", "currency": "EUR"},
    }

    assert faults(GOOD, body) == [
        (pointer, "quote_mismatch")
        for pointer in ("/offer/offer_id", "/offer/guests", "/price/amount")
    ]


def test_values_are_compared_as_they_are_read() -> None:
    decomposed = OFFER | {"description": " Hotel Sol, habitacio\u0301n doble"}

    assert judged(GOOD, {**BODY, "offer": decomposed}).quote == GOOD
    assert judged(SIGNER.sign(claims_of({**BODY, "offer": decomposed}, at=NOW))).quote


def test_an_invalid_member_has_its_own_fault_only() -> None:
    body = {**BODY, "price": {"amount": "1", "currency": "EUR"}}

    assert faults(GOOD, body) == [("/price/amount", "wrong_decimals")]


# --- time and audience


@pytest.mark.parametrize(
    ("passed", "found"),
    [
        (timedelta(0), []),
        (31 * MINUTE - SECOND, []),
        (31 * MINUTE, EXPIRED),
        (timedelta(days=30), EXPIRED),
        (-MINUTE, []),
        (-MINUTE - SECOND, INVALID),
    ],
)
def test_a_quote_is_good_from_its_issue_to_its_expiry_with_a_minute_of_leeway(
    passed: timedelta, found: list[tuple[str, str]]
) -> None:
    if found:
        assert faults(GOOD, now=NOW + passed) == found
    else:
        assert judged(GOOD, now=NOW + passed).quote


@pytest.mark.parametrize(
    "lasts", [-MINUTE, timedelta(0), 30 * MINUTE + SECOND, timedelta(days=36500)]
)
def test_a_quote_lasts_half_an_hour_at_most(lasts: timedelta) -> None:
    assert faults(SIGNER.sign(claims_of(BODY, at=NOW, lasts=lasts))) == INVALID


def test_a_quote_of_another_client_is_refused() -> None:
    assert faults(GOOD, audience="partner") == INVALID


# --- signature and shape


def without(claim: str) -> bytes:
    return json.dumps({name: value for name, value in CLAIMS.items() if name != claim}).encode()


def by_hmac_of_the_public_key() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.PyJWS().encode(
            json.dumps(CLAIMS).encode(),
            SIGNER.jwk["x"],
            algorithm="HS256",
            headers={"kid": "q1", "typ": quotes.TYPE},
        )


def unsigned() -> str:
    head, payload, _ = SIGNER.sign(CLAIMS, alg="none").split(".")
    return f"{head}.{payload}."


def changed_price() -> str:
    head, _, signature = GOOD.split(".")
    claims = json.dumps(CLAIMS | {"price": {"amount": "0.01", "currency": "EUR"}})
    return f"{head}.{urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.{signature}"


FORGED: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "no JWS": lambda: "not a quote",
    "two parts": lambda: GOOD.rpartition(".")[0],
    "cut": lambda: GOOD[:-4],
    "doubled": lambda: f"{GOOD}.{GOOD}",
    "not ASCII": lambda: GOOD[:-1] + "ñ",
    "another payload": changed_price,
    "no signature": unsigned,
    "signed with the public key": by_hmac_of_the_public_key,
    "signed by another": lambda: Signer(seed=2).sign(CLAIMS),
    "unknown key": lambda: Signer("q2").sign(CLAIMS),
    "no key id": lambda: SIGNER.sign(CLAIMS, kid=None),
    "key id is no text": lambda: SIGNER.sign(CLAIMS, kid=["q1"]),
    "another algorithm": lambda: SIGNER.sign(CLAIMS, alg="ES256"),
    "no type": lambda: SIGNER.sign(CLAIMS, typ=None),
    "a plain JWT": lambda: SIGNER.sign(CLAIMS, typ="JWT"),
    "critical header": lambda: SIGNER.sign(CLAIMS, crit=["exp"], exp=1),
    "unencoded payload": lambda: SIGNER.sign(CLAIMS, crit=["b64"], b64=False),
    "own key": lambda: Signer("q1", seed=3).sign(CLAIMS, jwk=Signer("q1", seed=3).jwk),
    "payload is no JSON": lambda: SIGNER.sign(b"claims"),
    "payload is no object": lambda: SIGNER.sign(b"[]"),
    "payload is nested": lambda: SIGNER.sign(b"[" * 1200),
    "claim twice": lambda: SIGNER.sign(b'{"aud": "partner", ' + json.dumps(CLAIMS).encode()[1:]),
    "number of 3,000 digits": lambda: SIGNER.sign(CLAIMS | {"exp": 10**2500}),
    **{
        f"{name} is {number}": partial(
            lambda name, number: SIGNER.sign(
                json.dumps(CLAIMS).replace(str(CLAIMS[name]), number).encode()
            ),
            name,
            number,
        )
        for name in ("iat", "exp")
        for number in ("1e400", "-1e400", "Infinity", "-Infinity", "NaN", "1.5")
    },
    "issued and expired long before all time": lambda: SIGNER.sign(
        CLAIMS | {"iat": -(10**400), "exp": 60 - 10**400}
    ),
    "issued and expired long after all time": lambda: SIGNER.sign(
        CLAIMS | {"iat": 10**400, "exp": 60 + 10**400}
    ),
    "time is a text": lambda: SIGNER.sign(CLAIMS | {"iat": str(CLAIMS["iat"])}),
    "several audiences": lambda: SIGNER.sign(CLAIMS | {"aud": ["web", "partner"]}),
    "amount is a number": lambda: SIGNER.sign(
        CLAIMS | {"price": {"amount": 342.5, "currency": "EUR"}}
    ),
    "unknown member of the offer": lambda: SIGNER.sign(
        CLAIMS | {"offer": OFFER | {"board": "half"}}
    ),
    **{f"no {claim}": partial(lambda name: SIGNER.sign(without(name)), claim) for claim in CLAIMS},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_or_strange_quote_is_invalid(forged: Callable[[], str]) -> None:
    assert faults(forged()) == INVALID


def test_claims_that_we_do_not_know_are_ignored() -> None:
    assert judged(SIGNER.sign(CLAIMS | {"iss": "offers", "jti": "1"})).quote


def test_a_longer_quote_than_4_kb_is_refused_before_any_work() -> None:
    padded = SIGNER.sign(CLAIMS | {"note": "x" * 4096})
    refuse = replace(first_use(), check_quote=lambda *_: pytest.fail("it was read"))

    with pytest.raises(ProblemError) as refused:
        judge_first_use({**BODY, "quote": padded}, context=refuse)

    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [
        ("/quote", "too_long")
    ]


# --- keys


def test_a_second_key_is_good_beside_the_first_and_the_first_until_it_is_taken_away() -> None:
    new = Signer("q2", seed=2)
    both = keys_of({"keys": [SIGNER.jwk, new.jwk]})

    assert judged(GOOD, keys=both).quote
    assert judged(new.sign(CLAIMS), keys=both).quote
    assert faults(GOOD, keys=keys_of({"keys": [new.jwk]})) == INVALID


def test_a_key_is_good_for_its_own_algorithm_only() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    keys = keys_of({"keys": [SIGNER.jwk, jwk | {"kid": "e1", "alg": "ES256"}]})
    headers = {"kid": "e1", "typ": quotes.TYPE}
    signed = jwt.PyJWS().encode(json.dumps(CLAIMS).encode(), private, "ES256", headers)

    assert judged(signed, keys=keys).quote
    assert faults(SIGNER.sign(CLAIMS, kid="e1"), keys=keys) == INVALID


# --- repeats


@pytest.mark.parametrize("quote", [None, GOOD, "a.b.c", SIGNER.sign(CLAIMS | {"iat": 1, "exp": 2})])
def test_a_repeat_is_the_same_request_whatever_its_quote(quote: str | None) -> None:
    document = BODY if quote is None else {**BODY, "quote": quote}
    read = parse_reservation(dict(document), context=first_use())

    plain = parse_reservation(BODY, context=first_use(mode=QuoteMode.OFF))
    assert read.fingerprint() == plain.fingerprint()
    assert "quote" not in read.fingerprint()


def test_the_dates_of_the_body_stay_the_first_to_be_judged() -> None:
    late = date(2027, 5, 3)

    assert faults(None, now=datetime(late.year, late.month, late.day, tzinfo=UTC)) == [
        ("/offer/starts_on", "in_the_past"),
        ("/quote", "quote_missing"),
    ]
