"""An exchange over TLS."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reservations.adapters.exchange import Deadline, HttpWire, NotReachedError, Request

REQUEST = Request(method="GET", target="/payments", headers={"Authorization": "Bearer canary"})


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for `localhost` that only its own key vouches for, and the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted)
    path = tmp_path / "localhost.pem"
    path.write_bytes(secret + made.public_bytes(pem))
    return path


@pytest.fixture
def received() -> list[bytes]:
    return []


@pytest.fixture
def url(certificate: Path, received: list[bytes]) -> Iterator[str]:
    """A server that answers one request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError), context.wrap_socket(connection, True) as encrypted:
            received.append(encrypted.recv(65536))
            encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npaid")

    with create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        thread.join(timeout=20)


def test_nothing_is_sent_to_a_server_that_no_authority_vouches_for(
    url: str, received: list[bytes]
) -> None:
    with pytest.raises(NotReachedError):
        HttpWire(url, connect_seconds=5).send(REQUEST, Deadline(10))

    assert received == []


def test_a_request_reaches_a_server_with_a_trusted_certificate(
    url: str, certificate: Path, received: list[bytes]
) -> None:
    wire = HttpWire(url, connect_seconds=5, authorities=str(certificate))

    answer = wire.send(REQUEST, Deadline(10))

    assert (answer.status, answer.read(100)) == (200, b"paid")
    answer.close()
    assert received[0].startswith(b"GET /payments HTTP/1.1\r\n")
