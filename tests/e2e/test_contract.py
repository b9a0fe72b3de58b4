"""Successful answers of the API, header by header. `contract.judge` checks each one against its schema."""

import httpx
import pytest

from tests.e2e import contract
from tests.e2e.travel import Json, Trip, a_request, depart, eventually, post

pytestmark = pytest.mark.timeout(300)

VARY = "x-api-key, Authorization, Accept-Language"
_IDENTIFIERS = {"instance", "request_id"}


@pytest.fixture(scope="module")
def trip(api: httpx.Client) -> Trip:
    return depart(api, a_request())


def test_an_accepted_reservation_names_its_location_and_when_to_read_it(api: httpx.Client) -> None:
    request = a_request()

    answer = post(api, request)

    assert answer.status_code == httpx.codes.ACCEPTED
    body = answer.json()
    contract.obeys(contract.schema("CreatedReservation"), body)
    assert answer.headers["Location"] == body["_links"]["self"]
    assert answer.headers["Location"].startswith(f"{api.base_url}v1/reservations/")
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == VARY
    assert "Idempotency-Replayed" not in answer.headers
    assert body["status"] == "EN PROCESO"
    assert body["progress"] == {"code": "done", "payment": "pending", "supplier": "pending"}
    assert (body["offer"], body["price"]) == (request["offer"], request["price"])
    assert body["documents"] == []
    assert body["version"] == 1


def test_an_accepted_reservation_is_read_at_its_location_without_repeating_its_token(
    api: httpx.Client,
) -> None:
    created = post(api, a_request())
    body = created.json()

    answer = api.get(
        created.headers["Location"], headers={"Authorization": f"Bearer {body['access_token']}"}
    )

    assert answer.status_code == httpx.codes.OK
    reading = answer.json()
    contract.obeys(contract.schema("Reservation"), reading)
    assert reading["reservation_code"] == body["reservation_code"]
    assert "access_token" not in reading
    assert answer.headers["ETag"] == f'W/"{reading["version"]}"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == VARY


def test_retry_after_is_there_until_the_trip_is_at_rest(api: httpx.Client) -> None:
    trip = depart(api, a_request(payment_token="tok_pending"))

    on_its_way = trip.get()
    ended = trip.ended("CONFIRMADA")

    assert on_its_way.headers["Retry-After"] in ("2", "5")
    assert ended["status"] == "CONFIRMADA"
    assert [document["type"] for document in ended["documents"]] == ["voucher"]
    assert "Retry-After" not in trip.get().headers


def test_each_version_is_one_answer_and_versions_only_grow(api: httpx.Client) -> None:
    trip = depart(api, a_request())
    readings: list[Json] = []

    def documented() -> bool:
        readings.append(trip.read())
        return bool(readings[-1]["documents"])

    eventually(documented, of=f"the voucher of {trip.code}")

    versions = [reading["version"] for reading in readings]
    assert versions == sorted(versions)
    assert versions[-1] > 1
    for version in set(versions):
        same = [reading for reading in readings if reading["version"] == version]
        assert all(reading == same[0] for reading in same)


def test_a_reader_with_the_current_version_gets_not_modified(trip: Trip) -> None:
    trip.documented()
    etag = trip.get().headers["ETag"]

    for known in (etag, etag.removeprefix("W/"), f'W/"0", {etag}', "*"):
        answer = trip.get(if_none_match=known)
        assert answer.status_code == httpx.codes.NOT_MODIFIED, known
        assert answer.content == b""
        assert answer.headers["ETag"] == etag
        assert answer.headers["Vary"] == VARY


def test_a_reader_with_an_older_version_gets_the_new_one(trip: Trip) -> None:
    trip.documented()

    answer = trip.get(if_none_match='W/"1"')

    assert answer.status_code == httpx.codes.OK
    assert answer.json()["version"] > 1


def test_a_code_can_be_typed_as_people_type(trip: Trip) -> None:
    for typed in (
        trip.code.lower(),
        trip.code.replace("-", ""),
        trip.code.replace("-", " "),
        trip.code.replace("-", "\u2013"),
        trip.code.replace("-", "\u2011") + "%0A",
    ):
        answer = trip.api.get(f"/v1/reservations/{typed}", headers={"Authorization": trip.bearer})
        assert answer.status_code == httpx.codes.OK, typed
        assert answer.json()["reservation_code"] == trip.code


def test_a_document_s_address_serves_that_document(trip: Trip) -> None:
    [document] = trip.documented()["documents"]

    answer = trip.api.get(document["url"], headers={"Authorization": trip.bearer})

    assert document["type"] == "voucher"
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_each_link_leads_to_the_resource_that_it_names(trip: Trip) -> None:
    links = trip.created["_links"]

    answer = trip.api.get(links["timeline"], headers={"Authorization": trip.bearer})

    contract.obeys(contract.schema("Timeline"), answer.json())
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert links["cancel"] == f"{links['self']}/cancel"


def test_health_needs_no_key(api: httpx.Client) -> None:
    answer = httpx.get(f"{api.base_url}v1/health", timeout=30)

    contract.judge(answer)
    assert answer.json() == {"status": "ok"}


# --- who may read ---------------------------------------------------------------------------------


def test_both_clients_reserve_and_read_their_own(partner: httpx.Client) -> None:
    trip = depart(partner, a_request())

    assert trip.read()["reservation_code"] == trip.code


@pytest.mark.parametrize("part", ["", "/timeline", "/voucher"])
def test_without_a_token_no_code_is_looked_up(trip: Trip, part: str) -> None:
    for code in (trip.code, "33333-33333-T"):
        for authorization in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
            answer = trip.api.get(f"/v1/reservations/{code}{part}", headers=authorization)
            assert answer.status_code == httpx.codes.UNAUTHORIZED
            assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize("part", ["", "/timeline", "/voucher"])
def test_a_reservation_of_others_is_answered_like_a_missing_one(
    api: httpx.Client, partner: httpx.Client, trip: Trip, part: str
) -> None:
    other = depart(api, a_request())
    last = trip.code[-1]
    attempts = {
        "another client": (partner, trip.code, trip.bearer),
        "another trip's token": (api, trip.code, other.bearer),
        "no token of ours": (api, trip.code, "Bearer k1.bm90LWEtdG9rZW4"),
        "unknown key id": (api, trip.code, trip.bearer.replace("k1.", "k9.")),
        "wrong check symbol": (api, trip.code[:-1] + ("3" if last == "2" else "2"), trip.bearer),
        "unknown code": (api, "33333-33333-T", trip.bearer),
        "no code at all": (api, "hotel", trip.bearer),
    }

    answers = {
        name: client.get(f"/v1/reservations/{code}{part}", headers={"Authorization": bearer})
        for name, (client, code, bearer) in attempts.items()
    }

    seen = {name: but_for_ids(answer) for name, answer in answers.items()}
    assert all(answer.status_code == httpx.codes.NOT_FOUND for answer in answers.values()), seen
    assert all(what == seen["unknown code"] for what in seen.values()), seen


def but_for_ids(answer: httpx.Response) -> tuple[Json, dict[str, str]]:
    """Body and headers of an answer, without the identifiers of the request."""
    body = {name: value for name, value in answer.json().items() if name not in _IDENTIFIERS}
    ours = ("content-type", "content-language", "cache-control", "vary", "content-length")
    return body, {name: answer.headers[name] for name in ours}


def test_errors_are_in_the_reader_s_language(api: httpx.Client) -> None:
    titles = {
        language: api.get("/v1/nowhere", headers={"Accept-Language": language}).json()["title"]
        for language in ("es", "en", "en-US,en;q=0.8", "fr", "es;q=0.1,en;q=0.9", "en;q=0")
    }

    assert titles == {
        "es": "No encontrado",
        "en": "Not found",
        "en-US,en;q=0.8": "Not found",
        "fr": "No encontrado",
        "es;q=0.1,en;q=0.9": "Not found",
        "en;q=0": "No encontrado",
    }


def page_of(stack: Json) -> str:
    """The origin of a page that may call the stack, or a development server's if any page may."""
    origin = str(stack["web_origin"])
    return "http://127.0.0.1:5173" if origin == "*" else origin


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/health", None, 200),
        ("/v1/nowhere", None, 404),
        pytest.param("/v1/reservations/X", "wrong", 401, marks=pytest.mark.embedded),
    ],
)
def test_a_page_of_the_web_frontend_may_read_the_answer(
    api: httpx.Client, steady_stack: Json, path: str, key: str | None, status: int
) -> None:
    key_header = {"x-api-key": key} if key else {}
    answer = api.get(path, headers={"Origin": page_of(steady_stack), **key_header})

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == steady_stack["web_origin"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/reservations"),
        ("GET", "/v1/reservations/X"),
        ("POST", "/v1/reservations/X/cancel"),
        ("GET", "/v1/reservations/X/timeline"),
        ("GET", "/v1/reservations/X/voucher"),
    ],
)
def test_a_preflight_request_allows_the_method_and_its_headers(
    steady_stack: Json, method: str, path: str
) -> None:
    """The preflight of CORS carries no key and no credential (WHATWG Fetch, 3.3.2)."""
    needed = {"authorization", "content-type", "idempotency-key", "x-api-key"}
    answer = httpx.options(
        f"{steady_stack['api_url']}{path}",
        headers={
            "Origin": page_of(steady_stack),
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(sorted(needed)),
        },
    )

    def listed(name: str) -> set[str]:
        return {entry.strip() for entry in answer.headers[name].split(",")}

    assert answer.status_code in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] == steady_stack["web_origin"]
    assert method in listed("Access-Control-Allow-Methods")
    assert needed <= {name.lower() for name in listed("Access-Control-Allow-Headers")}
