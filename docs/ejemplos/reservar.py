"""Make a reservation on the local stack and store its voucher: python3 docs/ejemplos/reservar.py"""

import json
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

STACK = json.loads(Path(".local/stack.json").read_text())


def send(url: str, body: object = None, **headers: str) -> tuple[Any, int]:
    """Return the body of the answer, and the seconds until the next poll."""
    data = json.dumps(body).encode() if body is not None else None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    basic = {"Content-Type": "application/json", "x-api-key": STACK["api_keys"]["web"]}
    with urlopen(Request(url, data, basic | named), timeout=30) as answer:  # noqa: S310  # an address of the stack
        return json.load(answer), int(answer.headers.get("Retry-After", 0))


sale = send(f"{STACK['offers_url']}/offers")[0]["offers"][0]
quote = send(f"{STACK['offers_url']}/quotes", {**sale, "client_id": "web"})[0]["quote"]
request = {
    **sale,
    "quote": quote,
    "customer": {"full_name": "Ana Pérez", "email": "ana@example.com"},
    "payment_token": f"tok_ok-{uuid.uuid4()}",
}
key = str(uuid.uuid4())  # one per attempt of the traveler; a retry uses it again
created, _ = send(f"{STACK['api_url']}/v1/reservations", request, Idempotency_Key=key)
bearer = f"Bearer {created['access_token']}"

seconds = 1
while seconds:
    reservation, seconds = send(created["_links"]["self"], Authorization=bearer)
    print(reservation["reservation_code"], reservation["status"])
    time.sleep(seconds)

address = f"{created['_links']['self']}/voucher"
link, _ = send(address, Authorization=bearer, Accept="application/json")
with urlopen(link["url"], timeout=30) as voucher:  # noqa: S310  # an address of the stack
    size = Path(".local/voucher.pdf").write_bytes(voucher.read())
print(".local/voucher.pdf", size, "bytes")
