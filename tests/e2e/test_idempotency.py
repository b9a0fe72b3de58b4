"""One key, one reservation: replays, impostors, stampedes and outages, over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.credentials import stack_secrets
from tests.e2e import contract
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, a_request, depart, eventually, new_key, post, quoted

pytestmark = pytest.mark.timeout(300)

STAMPEDE = 50
WAKING = 10  # so many functions start at once


def reservations_of(backstage: Backstage, request: Json) -> int:
    """Number of reservations of the customer of a request."""
    [row] = backstage.rows(
        "SELECT COUNT(*) n FROM customer WHERE email = :email", email=request["customer"]["email"]
    )
    return int(row["n"])


def assert_replays(answer: httpx.Response, first: httpx.Response) -> None:
    """Assert that an answer is the first one again, byte for byte."""
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.status_code == first.status_code
    assert answer.content == first.content
    for name in ("Location", "Retry-After", "ETag", "Cache-Control", "Vary", "Content-Type"):
        assert answer.headers[name] == first.headers[name]


def test_a_repeated_request_gets_the_first_answer_again(
    api: httpx.Client, backstage: Backstage
) -> None:
    request, key = a_request(), new_key()
    first = post(api, request, key=key)
    assert "Idempotency-Replayed" not in first.headers

    again = post(api, request, key=key)

    assert_replays(again, first)
    assert reservations_of(backstage, request) == 1


def test_the_first_answer_is_repeated_even_after_the_reservation_moved_on(
    api: httpx.Client, backstage: Backstage
) -> None:
    request, key = a_request(), new_key()
    first = post(api, request, key=key)
    trip = Trip(api=api, request=request, created=first.json())
    trip.ended("CONFIRMADA")

    again = post(api, request, key=key)

    assert_replays(again, first)
    assert again.json()["status"] == "EN PROCESO"
    assert len(backstage.charges(trip)) == 1


def test_the_same_request_in_another_spelling_is_the_same_request(api: httpx.Client) -> None:
    request, key = a_request(), new_key()
    first = post(api, request, key=key)
    respelled = dict(reversed(request.items()))
    respelled["customer"] = request["customer"] | {"full_name": "  Ana Pe\u0301rez "}

    assert_replays(post(api, respelled, key=key), first)
    assert_replays(post(api, request, key=f'"{key}"'), first)


@pytest.mark.parametrize(
    "other",
    [
        {"price": {"amount": "342.51"}},
        {"offer": {"guests": 3}},
        {"customer": {"full_name": "Eva Pérez"}},
    ],
    ids=["price", "guests", "name"],
)
def test_a_key_with_another_request_is_refused(
    api: httpx.Client, backstage: Backstage, other: Json
) -> None:
    request, key = quoted(api, a_request()), new_key()
    first = post(api, request, key=key)
    changed = {name: {**request[name], **other.get(name, {})} for name in other}

    answer = post(api, request | changed, key=key)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["code"] == "idempotency_key_reused"
    assert reservations_of(backstage, request) == 1
    assert_replays(post(api, request, key=key), first)


def test_the_same_key_of_another_client_is_another_key(
    api: httpx.Client, partner: httpx.Client, backstage: Backstage
) -> None:
    request, key = a_request(), new_key()

    ours, theirs = post(api, request, key=key), post(partner, request, key=key)

    assert theirs.status_code == httpx.codes.ACCEPTED
    assert "Idempotency-Replayed" not in theirs.headers
    assert theirs.json()["reservation_code"] != ours.json()["reservation_code"]
    assert reservations_of(backstage, request) == 2


def test_a_second_tab_is_refused_with_the_code_of_the_first(
    api: httpx.Client, partner: httpx.Client, backstage: Backstage
) -> None:
    request = a_request()
    first = post(api, request)

    second = post(api, request)

    assert second.status_code == httpx.codes.CONFLICT
    refusal = second.json()
    contract.obeys(contract.schema("Problem"), refusal)
    assert refusal["code"] == "payment_in_progress"
    assert refusal["reservation_code"] == first.json()["reservation_code"]
    assert reservations_of(backstage, request) == 1
    assert post(partner, request).status_code == httpx.codes.ACCEPTED


def test_both_api_keys_of_a_client_are_the_same_client(
    api: httpx.Client, backstage: Backstage
) -> None:
    request, key = a_request(), new_key()
    first = post(api, request, key=key)
    second = httpx.Request(
        "POST",
        first.request.url,
        content=first.request.content,
        headers=dict(first.request.headers) | {"x-api-key": stack_secrets().web_second_api_key},
    )

    assert_replays(api.send(second), first)

    assert reservations_of(backstage, request) == 1


def test_a_new_key_is_a_new_reservation(partner: httpx.Client, backstage: Backstage) -> None:
    request = a_request()

    codes = {post(partner, request).json()["reservation_code"] for _ in range(2)}

    assert len(codes) == 2
    assert reservations_of(backstage, request) == 2


@pytest.mark.alone  # fifty functions that start at once leave no core to other trips
@pytest.mark.embedded  # the gateway answers 503 for a function that is late, where it has our answers
def test_fifty_requests_at_once_with_one_key_make_one_reservation(
    api: httpx.Client, backstage: Backstage
) -> None:
    # Few functions are warm at first. Fifty cold starts at once on a small machine end in time-outs.
    for crowd in range(WAKING, STAMPEDE + 1, WAKING):
        stampede(api, a_request(), key=new_key(), crowd=crowd)
    request, key = a_request(), new_key()

    answers = stampede(api, request, key=key)

    accepted = [answer for answer in answers if answer.status_code == httpx.codes.ACCEPTED]
    others = [answer for answer in answers if answer not in accepted]
    assert len({answer.content for answer in accepted}) == 1
    firsts = [answer for answer in accepted if "Idempotency-Replayed" not in answer.headers]
    assert len(firsts) <= 1
    assert reservations_of(backstage, request) == 1
    for answer in others:
        # 409 is the rule, and tests/database proves it strictly. A machine too slow to start fifty functions may
        # answer 503 instead, from the gateway or for lack of a connection. A client retries both.
        assert answer.status_code in {409, 503}, answer.text
        assert answer.json()["retryable"]
        assert int(answer.headers["Retry-After"]) > 0
    assert_replays(post(api, request, key=key), accepted[0])


def stampede(
    api: httpx.Client, request: Json, *, key: str, crowd: int = STAMPEDE
) -> list[httpx.Response]:
    with ThreadPoolExecutor(crowd) as pool:
        return list(pool.map(lambda _: post(api, request, key=key), range(crowd)))


@pytest.mark.alone  # no provider answers anybody meanwhile
def test_a_reservation_is_accepted_while_both_providers_are_down_and_goes_on_when_they_return(
    api: httpx.Client, backstage: Backstage
) -> None:
    backstage.faults("payments", "outage")
    backstage.faults("supplier", "outage")
    try:
        trip = depart(api, a_request())
        eventually(
            lambda: any(charge["attempts"] > 1 for charge in backstage.calls(trip, "charge")),
            of=f"two attempts to charge {trip.code}",
        )
        waiting = trip.read()
    finally:
        backstage.faults("payments", "ok")
        backstage.faults("supplier", "ok")

    assert waiting["status"] == "EN PROCESO"
    assert waiting["progress"]["payment"] == "pending"
    eventually(lambda: trip.read()["status"] == "CONFIRMADA", of=f"the recovery of {trip.code}")
    assert len(backstage.charges(trip)) == 1
    assert len(backstage.live_bookings(trip)) == 1
