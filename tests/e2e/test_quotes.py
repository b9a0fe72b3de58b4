"""The price is proved: the public web client books at a signed price only."""

from typing import Any

import httpx
import pytest

from local.journey import first_sale, quote_for
from tests.e2e.travel import a_request, depart, new_key, post, quoted

SUITE = {"offer_id": "HTL-SUITE-5STARS", "starts_on": "2027-05-01", "ends_on": "2027-06-01"}
CENT = {"amount": "0.01"}


def refused(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]


def test_a_month_in_a_suite_is_not_sold_for_a_cent(
    api: httpx.Client, steady_stack: dict[str, Any]
) -> None:
    wanted = a_request(offer=SUITE, price=CENT)
    headers = {"Idempotency-Key": new_key()}

    unsigned = api.post("/v1/reservations", json=wanted, headers=headers)
    assert refused(unsigned) == [("/quote", "quote_missing")]

    with pytest.raises(httpx.HTTPStatusError, match="422"):
        quote_for(steady_stack["offers_url"], offer=wanted["offer"], price=wanted["price"])

    sale = first_sale(steady_stack["offers_url"])
    signed = {**wanted, **sale, "quote": quote_for(steady_stack["offers_url"], **sale)}
    cheap = {**signed, "price": wanted["price"]}
    assert refused(post(api, cheap)) == [("/price/amount", "quote_mismatch")]


def test_a_quote_is_good_for_its_client_only(
    api: httpx.Client, partner: httpx.Client, steady_stack: dict[str, Any]
) -> None:
    sale = first_sale(steady_stack["offers_url"])
    signed = {**a_request(), **sale}
    signed["quote"] = quote_for(steady_stack["offers_url"], **sale, client_id="partner")

    assert refused(post(api, signed)) == [("/quote", "quote_invalid")]
    assert post(partner, signed).status_code == httpx.codes.ACCEPTED


def test_the_partner_is_observed_and_needs_no_quote(partner: httpx.Client) -> None:
    request = a_request()
    assert quoted(partner, request) == request

    depart(partner, request).ended("CONFIRMADA")
