"""Quotes: offers signed by whoever priced them, as compact JWS (RFC 7515) with claims of RFC 7519.

A quote is no secret and no credential: it may be used again until it expires. Its size is bounded by the body's rules.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from reservations.domain.money import Money
from reservations.entrypoints.bodies import OfferBody, PriceBody
from reservations.entrypoints.faults import fault
from reservations.entrypoints.observability import count
from reservations.strict_json import without_duplicates

if TYPE_CHECKING:
    from jwt import PyJWK

TYPE = "reservation-quote+jwt"
LIFETIME = timedelta(minutes=30)  # at most
LEEWAY = timedelta(seconds=60)  # between two clocks

Keys = Mapping[str, "PyJWK"]  # by key id, each with its only algorithm

_Seconds = Annotated[int, Field(ge=0, lt=2**53)]  # since 1970, exact as a float


class _Header(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    kid: str
    typ: Literal["reservation-quote+jwt"]


class _Claims(BaseModel):
    """Claims that we do not know are ignored. `offer` and `price` have no other members than a body's."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    aud: str
    iat: _Seconds
    exp: _Seconds
    offer: OfferBody
    price: PriceBody


def check(quote: str, body: Mapping[str, Any], *, keys: Keys, audience: str, now: datetime) -> None:
    """Compare a quote with the valid members of a body, as parsed values.

    `audience` is the client's id. Refusals are counted: a wrong key ring would refuse all.

    Raises:
        PydanticCustomError: the fault `quote_invalid`, `quote_expired` or `quote_mismatch`.
    """
    try:
        claims = _verified(quote, keys=keys)
        _check_time_and_audience(claims, audience=audience, now=now.timestamp())
        if different := tuple(_differences(claims, body)):
            raise fault("quote_mismatch", pointers=different)
    except PydanticCustomError:
        count("QuoteRefused")
        raise


def _verified(quote: str, *, keys: Keys) -> _Claims:
    from jwt import PyJWS, PyJWTError

    signatures = PyJWS()
    try:
        header = _Header.model_validate(signatures.get_unverified_header(quote))
        key = keys[header.kid]
        payload = signatures.decode(quote, key=key, algorithms=[key.algorithm_name])
        return _Claims.model_validate(json.loads(payload, object_pairs_hook=without_duplicates))
    except (PyJWTError, ValidationError, KeyError, ValueError, RecursionError):
        # The cause would hold the input.
        raise fault("quote_invalid") from None


def _check_time_and_audience(claims: _Claims, *, audience: str, now: float) -> None:
    leeway, lasts = LEEWAY.total_seconds(), claims.exp - claims.iat
    if (
        claims.aud != audience
        or not 0 < lasts <= LIFETIME.total_seconds()
        or claims.iat > now + leeway
    ):
        raise fault("quote_invalid")
    if claims.exp + leeway <= now:
        raise fault("quote_expired")


def _differences(claims: _Claims, body: Mapping[str, Any]) -> Iterator[str]:
    """The pointers of the members that differ. An invalid member is missing from `body`, and has its own fault."""
    if offer := body.get("offer"):
        for member in OfferBody.model_fields:
            if getattr(offer, member) != getattr(claims.offer, member):
                yield f"/offer/{member}"
    if price := body.get("price"):
        asked, signed = (Money.parse(each.amount, each.currency) for each in (price, claims.price))
        if asked.currency != signed.currency:
            yield "/price/currency"
        elif asked != signed:
            yield "/price/amount"
