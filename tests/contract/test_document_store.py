"""Promises of every document store, and the meaning of S3's failures."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.stub import Stubber
from moto import mock_aws
from mypy_boto3_s3 import S3Client

from reservations.adapters.aws.s3 import S3_CONFIG, S3DocumentStore
from reservations.application.ports import DocumentStore
from reservations.domain.errors import DocumentStoreUnavailableError
from tests.worlds.fakes import InMemoryDocumentStore

BUCKET = "documents"
KEY = "vouchers/0195511f.pdf"
PDF = b"%PDF-1.7\r\n\x00\xff"
MINUTE = timedelta(minutes=1)


def a_client(*, config: Config = S3_CONFIG, endpoint_url: str | None = None) -> S3Client:
    return boto3.client(
        "s3",
        region_name="eu-west-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = a_client()
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield client


@pytest.fixture(params=["in_memory", "s3"])
def store(request: pytest.FixtureRequest) -> DocumentStore:
    if request.param == "in_memory":
        return InMemoryDocumentStore()
    return S3DocumentStore(request.getfixturevalue("s3"), bucket=BUCKET)


def test_a_stored_document_is_read_byte_for_byte(store: DocumentStore) -> None:
    store.put(KEY, PDF)

    assert store.get(KEY) == PDF
    assert store.exists(KEY)


def test_a_document_never_stored_is_absent(store: DocumentStore) -> None:
    store.put(KEY, PDF)

    assert store.get("vouchers/other.pdf") is None
    assert not store.exists("vouchers/other.pdf")


def test_a_deleted_document_is_absent_and_deleting_again_is_harmless(store: DocumentStore) -> None:
    store.put(KEY, PDF)
    store.put("vouchers/other.pdf", PDF)

    store.delete(KEY)
    store.delete(KEY)

    assert not store.exists(KEY)
    assert store.exists("vouchers/other.pdf")


def test_storing_a_document_again_replaces_it(store: DocumentStore) -> None:
    store.put(KEY, b"first")
    store.put(KEY, PDF)

    assert store.get(KEY) == PDF


def test_a_link_leads_to_its_document_whether_or_not_it_is_there(store: DocumentStore) -> None:
    link = urlsplit(store.link(KEY, filename="bono.pdf", lifetime=MINUTE))

    assert link.scheme == "https"
    assert link.path.endswith(KEY)


@pytest.fixture(params=["in_memory", "s3"])
def store_that_is_down(request: pytest.FixtureRequest, unused_port: int) -> DocumentStore:
    if request.param == "in_memory":
        fake = InMemoryDocumentStore()
        fake.down = True
        return fake
    client = a_client(
        endpoint_url=f"http://127.0.0.1:{unused_port}",
        config=S3_CONFIG.merge(Config(retries={"total_max_attempts": 1})),
    )
    return S3DocumentStore(client, bucket=BUCKET)


OPERATIONS: dict[str, Callable[[DocumentStore], object]] = {
    "put": lambda store: store.put(KEY, PDF),
    "get": lambda store: store.get(KEY),
    "exists": lambda store: store.exists(KEY),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_store_that_is_down_is_never_taken_for_an_empty_one(
    store_that_is_down: DocumentStore, operation: Callable[[DocumentStore], object]
) -> None:
    with pytest.raises(DocumentStoreUnavailableError):
        operation(store_that_is_down)


METHODS = {"put": "put_object", "get": "get_object", "exists": "head_object"}


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("403", 403), ("SlowDown", 503), ("500", 500)]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_of_s3_is_never_an_absent_document(name: str, code: str, status: int) -> None:
    client = a_client()
    with Stubber(client) as stubber:
        stubber.add_client_error(METHODS[name], code, http_status_code=status)

        with pytest.raises(DocumentStoreUnavailableError):
            OPERATIONS[name](S3DocumentStore(client, bucket=BUCKET))


def test_s3_serves_a_link_as_a_pdf_download_for_its_lifetime(s3: S3Client) -> None:
    store = S3DocumentStore(s3, bucket=BUCKET)
    store.put(KEY, PDF)

    link = store.link(KEY, filename='bono "ñ"; x=1.pdf', lifetime=MINUTE)
    answer = requests.get(link, timeout=5)

    assert answer.content == PDF
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''bono%20%22%C3%B1%22%3B%20x%3D1.pdf"
    )
    query = parse_qs(urlsplit(link).query)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_s3_shows_a_link_that_was_asked_for_inline(s3: S3Client) -> None:
    store = S3DocumentStore(s3, bucket=BUCKET)
    store.put(KEY, PDF)

    answer = requests.get(
        store.link(KEY, filename="bono.pdf", lifetime=MINUTE, inline=True), timeout=5
    )

    assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''bono.pdf"


def test_a_link_is_signed_for_the_method_of_its_request(s3: S3Client) -> None:
    store = S3DocumentStore(s3, bucket=BUCKET)

    def signed(*, head: bool) -> dict[str, list[str]]:
        link = store.link(KEY, filename="bono.pdf", lifetime=MINUTE, head=head)
        return parse_qs(urlsplit(link).query)

    get, other, head = signed(head=False), signed(head=False), signed(head=True)
    while get["X-Amz-Date"] != head["X-Amz-Date"]:  # the second changed between them
        get, other, head = signed(head=False), signed(head=False), signed(head=True)

    assert get == other
    assert get.pop("X-Amz-Signature") != head.pop("X-Amz-Signature")
    assert get == head


def test_an_object_is_stored_without_a_public_grant(s3: S3Client) -> None:
    S3DocumentStore(s3, bucket=BUCKET).put(KEY, PDF)

    [grant] = s3.get_object_acl(Bucket=BUCKET, Key=KEY)["Grants"]
    assert grant["Grantee"]["Type"] == "CanonicalUser"
