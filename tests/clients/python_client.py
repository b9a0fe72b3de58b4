"""Make a reservation with the client of openapi-python-client, and print its end."""

import json
import os
import time
import uuid

from reservations_client.api.reservations import create_reservation, get_reservation
from reservations_client.client import AuthenticatedClient, Client
from reservations_client.models import CreatedReservation, CreateReservation, Reservation

API, KEY = os.environ["API_URL"], {"x-api-key": os.environ["API_KEY"]}

created = create_reservation.sync(
    client=Client(base_url=API, headers=KEY),
    body=CreateReservation.from_dict(json.loads(os.environ["REQUEST"])),
    idempotency_key=str(uuid.uuid4()),
)
assert isinstance(created, CreatedReservation), created
reader = AuthenticatedClient(base_url=API, headers=KEY, token=created.access_token)
while True:
    answer = get_reservation.sync_detailed(created.reservation_code, client=reader)
    assert isinstance(answer.parsed, Reservation), answer
    if "Retry-After" not in answer.headers:
        break
    time.sleep(int(answer.headers["Retry-After"]) / 2)
end = answer.parsed.to_dict()
members = ("status", "supplier_locator", "closed_reason")
print(json.dumps({name: end[name] for name in members} | {"documents": len(end["documents"])}))
