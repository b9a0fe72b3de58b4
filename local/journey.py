"""Make one reservation and show each step from the request to CONFIRMADA."""

import email
import email.policy
import json
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from local.paths import STATE
from local.processes import StackError
from local.progress import note, step

_DEADLINE_SECONDS = 60
_POLL_SECONDS = 0.1
_AT_REST = {"CONFIRMADA", "CANCELADA", "RECHAZADA", "EXPIRADA"}


def travel(stack: dict[str, Any]) -> None:
    """Make a reservation, follow it until it has its voucher and its mail, and print a summary.

    Raises:
        StackError: the API refused it, or it was not confirmed in a minute.
    """
    with httpx.Client(base_url=stack["api_url"], timeout=30) as api:
        api.headers["x-api-key"] = stack["api_keys"]["web"]
        request = _request(stack["offers_url"])
        with step("Reservation accepted") as current:
            created = _accepted(api, request)
            code = created["reservation_code"]
            current.text += f": {code}, {created['status']}"
        api.headers["authorization"] = f"Bearer {created['access_token']}"
        with step("Journey") as current:
            final = _followed(api, code)
            current.text = f"Payment taken, supplier booked: {final['status']}"
        folder = STATE / "journey" / code
        with step("Voucher and mail fetched"):
            papers = [_voucher(api, final, folder), _mail(stack, request, code, folder)]
        _account(stack, request, created, papers, _timeline(api, code))


def _request(offers_url: str) -> dict[str, Any]:
    sale = first_sale(offers_url)
    return {
        "customer": {
            "full_name": "Ana Pérez",
            # A unique address separates its mail from those of earlier runs.
            "email": f"ana.{uuid.uuid4().hex[:8]}@example.com",
            "phone": "+34600111222",
        },
        **sale,
        "payment_token": "tok_ok",
        "quote": quote_for(offers_url, **sale),
    }


def first_sale(offers_url: str) -> dict[str, Any]:
    """The first `offer` of the catalogue, with its `price`."""
    answer = httpx.get(f"{offers_url}/offers", timeout=30).raise_for_status()
    sale: dict[str, Any] = answer.json()["offers"][0]
    return sale


def quote_for(
    offers_url: str, *, offer: dict[str, Any], price: dict[str, str], client_id: str = "web"
) -> str:
    """Have an offer and its price signed for a client of the API.

    Raises:
        httpx.HTTPStatusError: the offers service does not sell it at that price.
    """
    asked = {"offer": offer, "price": price, "client_id": client_id}
    answer = httpx.post(f"{offers_url}/quotes", json=asked, timeout=30)
    return str(answer.raise_for_status().json()["quote"])


def _accepted(api: httpx.Client, request: dict[str, Any]) -> dict[str, Any]:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    answer = api.post("/v1/reservations", json=request, headers=headers)
    if answer.status_code != httpx.codes.ACCEPTED:
        raise StackError(
            f"The API answered {answer.status_code} instead of 202: {answer.text[:500]}",
            remedy="`make logs` shows the log of the function create_reservation.",
        )
    return _object(answer)


def _object(answer: httpx.Response) -> dict[str, Any]:
    content = answer.json()
    return content if isinstance(content, dict) else {}


def _until(what: str) -> Iterator[None]:
    """Yield repeatedly for a minute, then fail with the missing event."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL_SECONDS)
    raise StackError(
        f"{what} within {_DEADLINE_SECONDS} s.",
        remedy="`make logs` shows the log of each function; the reservation goes on meanwhile.",
    )


def _followed(api: httpx.Client, code: str) -> dict[str, Any]:
    """Read the reservation until it is at rest and its voucher is there."""
    reading: dict[str, Any] = {}
    for _ in _until(f"{code} did not come to CONFIRMADA with its voucher"):
        answer = api.get(f"/v1/reservations/{code}")
        if answer.status_code != httpx.codes.OK:
            continue  # a 503 means "try again"
        reading = _object(answer)
        if reading["status"] in _AT_REST - {"CONFIRMADA"}:
            raise StackError(
                f"{code} ended {reading['status']}.",
                remedy="`make logs` shows the log of each function.",
            )
        if reading["status"] == "CONFIRMADA" and reading["documents"]:
            break
    return reading


def _link(api: httpx.Client, url: str) -> str:
    for _ in _until("The link to the voucher did not come"):
        answer = api.get(url, headers={"accept": "application/json"})
        if answer.status_code == httpx.codes.OK:  # a 503 means "try again"
            break
    return str(_object(answer)["url"])


def _voucher(api: httpx.Client, reservation: dict[str, Any], folder: Path) -> Path:
    # Without our Authorization header, as S3 refuses it beside a presigned URL.
    url = reservation["documents"][0]["url"]
    link = _link(api, url)
    pdf = httpx.get(link, timeout=30).raise_for_status()
    return _kept(folder / "voucher.pdf", pdf.content)


def _mail(stack: dict[str, Any], request: dict[str, Any], code: str, folder: Path) -> Path:
    """Find the confirmation among the mails that LocalStack caught instead of sending."""
    recipient = request["customer"]["email"]
    for _ in _until(f"No mail about {code} was sent"):
        caught = httpx.get(f"{stack['aws_endpoint_url']}/_aws/ses", timeout=30).json()["messages"]
        for message in caught:
            raw = str(message.get("RawData") or "")
            if recipient in json.dumps(message) and raw:
                return _kept(folder / "confirmation.eml", raw.encode())
    raise AssertionError("unreachable: the wait ends with an error")


def _kept(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(content)
    return path


def _timeline(api: httpx.Client, code: str) -> list[dict[str, Any]]:
    answer = api.get(f"/v1/reservations/{code}/timeline", headers={"accept-language": "en"})
    events = _object(answer.raise_for_status()).get("events", [])
    return events if isinstance(events, list) else []


def _account(
    stack: dict[str, Any],
    request: dict[str, Any],
    created: dict[str, Any],
    papers: list[Path],
    timeline: list[dict[str, Any]],
) -> None:
    # The same body with the same token would be refused as the second tab of one payment.
    other = request | {"payment_token": f"tok_ok-{uuid.uuid4().hex[:8]}"}
    code, api, key = created["reservation_code"], stack["api_url"], stack["api_keys"]["web"]
    voucher, mail = papers
    subject = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)["subject"]
    note(f"\n{code} is CONFIRMADA (times are UTC)", style="bold")
    for event in timeline:
        note(f"  {_clock(event)}  {event['message']}")
    note(f"""
  Voucher   {voucher}
  Mail      {mail}
            {subject}

  Page      {stack["web_url"]}
  Contract  {stack["web_url"]}docs/referencia/ (?en in English); guide: docs/integration-guide.md
  API       {api}
  API key   {key}

Try it within half an hour, as long as its quote lasts. Sent again with the same Idempotency-Key, it returns the same
reservation:
  curl -i {api}/v1/reservations \\
    -H 'x-api-key: {key}' -H 'Idempotency-Key: {uuid.uuid4()}' \\
    -H 'Content-Type: application/json' \\
    -d '{json.dumps(other, ensure_ascii=False)}'
Get a fresh quote for it:
  curl {stack["offers_url"]}/quotes -d '{json.dumps(_asked(request), ensure_ascii=False)}'
Read this one:
  curl -i {created["_links"]["self"]} \\
    -H 'x-api-key: {key}' \\
    -H 'Authorization: Bearer {created["access_token"]}'

The stack stays up. make logs: follow it; make down: stop it; make clean: delete its data.""")


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    return {"offer": request["offer"], "price": request["price"], "client_id": "web"}


def _clock(event: dict[str, Any]) -> str:
    """Return the time of day of an event, in UTC to the millisecond."""
    return datetime.fromisoformat(event["occurred_at"]).strftime("%H:%M:%S.%f")[:-3]
