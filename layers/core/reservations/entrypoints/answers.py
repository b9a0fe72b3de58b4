"""Answers about a reservation. Stored answers hold no token and no address: each replay renders both."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations import config
from reservations.application.ports import UnitOfWork
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display
from reservations.domain.history import HistoryEntry
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Language, Offer, Reservation
from reservations.domain.views import (
    Glance,
    View,
    at_rest,
    cancellable_until,
    is_cancellable,
    view,
)
from reservations.domain.words import PublicStatus
from reservations.entrypoints import http
from reservations.entrypoints.problems import CATALOGUE
from reservations.texts.compiled import TIMELINE

# Settings of every function that answers about a reservation.
SETTINGS = (config.AccessTokenSettings, config.ApiSettings, config.ContactSettings)

# Seconds between polls, by the reservation's age: short while most journeys end, then longer.
_POLL_EVERY_S = (
    (timedelta(seconds=30), 2),
    (timedelta(minutes=2), 5),
    (timedelta(minutes=10), 15),
)
_POLL_AT_LAST_S = 60

_OFFER = [field.name for field in fields(Offer)]

_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def stored_answer(
    reservation: Reservation, *, policy: Policy, support_contact: str
) -> dict[str, Any]:
    """The answer to a creation, as the idempotency store keeps it."""
    now = reservation.updated_at
    return {
        "status": int(HTTPStatus.ACCEPTED),
        "retry_after_s": poll_after_s(reservation.facts.created_at, now=now),
        "reservation_id": str(reservation.reservation_id),
        "token_kid": reservation.token_kid,
        "cancellable": is_cancellable(reservation, now),
        "body": _body(
            reservation,
            view(reservation, Moment(now, policy)),
            now=now,
            support_contact=support_contact,
        ),
    }


def created(
    stored: Mapping[str, Any], *, base_url: str, keys: KeyRing, replayed: bool
) -> Response[str]:
    """Render a stored answer. A replay differs from the first answer only in `Idempotency-Replayed`."""
    body = _stored_body(stored, base_url=base_url)
    token = keys.issue(stored["token_kid"], UUID(stored["reservation_id"]))
    headers = {
        "Location": body["_links"]["self"],
        "Retry-After": str(stored["retry_after_s"]),
        "ETag": etag(body["version"]),
        "Cache-Control": "no-store",  # the answer carries the access token
        **_replay_mark(replayed=replayed),
    }
    return http.json_response(
        HTTPStatus(stored["status"]), body | {"access_token": token}, headers=headers
    )


def stored_cancellation(
    reservation: Reservation, *, now: datetime, policy: Policy, support_contact: str
) -> dict[str, Any]:
    """The answer to a cancellation, as the idempotency store keeps it: 202 until the reservation is CANCELADA.

    A CANCELADA that still owes a mail has a `Retry-After` too.
    """
    seen = view(reservation, Moment(now, policy))
    done = seen.status is PublicStatus.CANCELADA
    return {
        "status": int(HTTPStatus.OK if done else HTTPStatus.ACCEPTED),
        "retry_after_s": None
        if at_rest(reservation, now)
        else poll_after_s(reservation.facts.created_at, now=now),
        "cancellable": is_cancellable(reservation, now),
        "body": _body(reservation, seen, now=now, support_contact=support_contact),
    }


def stored_refusal(code: str, event: APIGatewayProxyEvent) -> dict[str, Any]:
    """A refusal, stored like any answer, in the language of the refused request."""
    problem = CATALOGUE[code]
    body, headers = http.problem_parts(problem, event)
    return {"status": int(problem.status), "problem": body, "headers": headers}


def is_refusal(stored: Mapping[str, Any]) -> bool:
    """Recognize an answer of `stored_refusal`."""
    return "problem" in stored


def cancelled(stored: Mapping[str, Any], *, base_url: str, replayed: bool) -> Response[str]:
    """Render an answer of `stored_cancellation` or `stored_refusal`."""
    status, mark = HTTPStatus(stored["status"]), _replay_mark(replayed=replayed)
    if is_refusal(stored):
        content = http.to_json(stored["problem"])
        return Response(status, http.PROBLEM_JSON, content, headers=stored["headers"] | mark)
    body = _stored_body(stored, base_url=base_url)
    headers = _headers(body["version"]) | mark
    if status is HTTPStatus.ACCEPTED:
        headers["Location"] = body["_links"]["self"]
    if stored["retry_after_s"] is not None:
        headers["Retry-After"] = str(stored["retry_after_s"])
    return http.json_response(status, body, headers=headers)


def _stored_body(stored: Mapping[str, Any], *, base_url: str) -> dict[str, Any]:
    # An answer stored by 0.1.0 lacks the member, and had the link in any state.
    cancellable = stored.get("cancellable", True)
    return _with_links(stored["body"], base_url=base_url, cancellable=cancellable)


def _replay_mark(*, replayed: bool) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if replayed else {}


def shown(
    reservation: Reservation,
    *,
    now: datetime,
    policy: Policy,
    base_url: str,
    support_contact: str,
    if_none_match: str | None,
) -> Response[str]:
    """The current reservation; 304 when the caller has this version already (RFC 9110, section 13.1.2)."""
    headers = _headers(reservation.version)
    if not at_rest(reservation, now):
        headers["Retry-After"] = str(poll_after_s(reservation.facts.created_at, now=now))
    cancellable = is_cancellable(reservation, now)
    # The day of the start takes the link away, and leaves the version.
    same = cancellable == is_cancellable(reservation, reservation.updated_at)
    if same and _matches(if_none_match, reservation.version):
        return _not_modified(headers)
    # As of the last change: effects of time alone raise the version at the next check.
    seen = view(reservation, Moment(reservation.updated_at, policy))
    body = _body(reservation, seen, now=now, support_contact=support_contact)
    body = _with_links(body, base_url=base_url, cancellable=cancellable)
    return http.json_response(HTTPStatus.OK, body, headers=headers)


def unchanged(glance: Glance, *, now: datetime, if_none_match: str) -> Response[str] | None:
    """Answer 304 as `shown` does. `None` if the whole reservation has to be read for an answer."""
    rests = glance.at_rest(now)
    current = _matches(if_none_match, glance.version) and not glance.may_lose_cancel_link(now)
    if rests is None or not current:
        return None
    headers = _headers(glance.version)
    if not rests:
        headers["Retry-After"] = str(poll_after_s(glance.created_at, now=now))
    return _not_modified(headers)


def _headers(version: int) -> dict[str, str]:
    return {"ETag": etag(version), "Cache-Control": "private, no-cache"}


def _not_modified(headers: dict[str, str]) -> Response[str]:
    return Response(HTTPStatus.NOT_MODIFIED, headers=headers | {"Vary": http.VARY})


def timeline(
    reservation: Reservation, history: list[HistoryEntry], *, language: Language
) -> Response[str]:
    """The events that this release knows, in the caller's language and without personal data."""
    texts = TIMELINE[language]
    events = [
        {
            "type": entry.event,
            "occurred_at": http.rfc3339(entry.at),
            "message": texts[entry.event],
        }
        for entry in history
        if entry.event in texts
    ]
    body = {"reservation_code": display(reservation.code), "events": events}
    return http.json_response(
        HTTPStatus.OK, body, headers={"Cache-Control": "private, no-cache"}, language=language
    )


def voucher_link(url: str, *, expires_at: datetime, as_json: bool) -> Response[str]:
    """A redirect, or for browsers a body: S3 refuses a signed link that arrives with an Authorization header."""
    if as_json:
        return http.json_response(
            HTTPStatus.OK, {"url": url, "expires_at": http.rfc3339(expires_at)}, headers=_NO_STORE
        )
    return Response(HTTPStatus.SEE_OTHER, headers={"Location": url, "Vary": http.VARY, **_NO_STORE})


def health(uow: UnitOfWork) -> Response[str]:
    """OK once the database has answered."""
    with uow:
        uow.now()
    return http.json_response(HTTPStatus.OK, {"status": "ok"}, headers=_NO_STORE)


def etag(version: int) -> str:
    return f'W/"{version}"'


def poll_after_s(created_at: datetime, *, now: datetime) -> int:
    age = now - created_at
    return next((seconds for limit, seconds in _POLL_EVERY_S if age < limit), _POLL_AT_LAST_S)


def _matches(if_none_match: str | None, version: int) -> bool:
    """Compare weakly: W/"3" equals "3"."""
    candidates = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in candidates or f'"{version}"' in candidates


def _body(
    reservation: Reservation, seen: View, *, now: datetime, support_contact: str
) -> dict[str, Any]:
    """`now` decides only whether the traveler can still cancel."""
    price, refund, until = reservation.facts.price, seen.refund, cancellable_until(reservation, now)
    return {
        "reservation_code": display(reservation.code),
        "status": seen.status.value,
        "progress": {
            "code": seen.progress.code.value,
            "payment": seen.progress.payment.value,
            "supplier": seen.progress.supplier.value,
        },
        "offer": {name: _plain(getattr(reservation.offer, name)) for name in _OFFER},
        "price": {"amount": price.amount, "currency": price.currency},
        "refund": refund
        and {
            "status": refund.status.value,
            "amount": refund.money.amount,
            "currency": refund.money.currency,
        },
        "documents": [document.value for document in seen.documents],
        "created_at": http.rfc3339(reservation.facts.created_at),
        "updated_at": http.rfc3339(reservation.updated_at),
        "expires_at": seen.expires_at and http.rfc3339(seen.expires_at),
        "version": reservation.version,
        "requires_support": seen.requires_support,
        "supplier_locator": seen.supplier_locator,
        "closed_reason": seen.closed_reason and seen.closed_reason.value,
        "cancellable_until": until and http.rfc3339(until),
        "support_contact": support_contact,
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _with_links(body: Mapping[str, Any], *, base_url: str, cancellable: bool) -> dict[str, Any]:
    itself = f"{base_url}/v1/reservations/{body['reservation_code']}"
    links = {"self": itself, "timeline": f"{itself}/timeline"}
    if cancellable:
        links["cancel"] = f"{itself}/cancel"
    return {
        **body,
        "documents": [{"type": name, "url": f"{itself}/{name}"} for name in body["documents"]],
        "_links": links,
    }
