"""Identity of the database and of its clients: TLS to other machines, and passwords signed by IAM."""

import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import URL, make_url, text

from local.database import Engine
from reservations.adapters.mysql import address, schema
from reservations.adapters.mysql.address import AMAZON_ROOTS, Address, connector
from reservations.adapters.mysql.engine import Database
from reservations.domain.errors import DatabaseUnavailableError
from tests.worlds.databases import administrator, url_of

pytestmark = pytest.mark.embedded  # the server reads its certificate from this machine's disk
HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.1"
_TLS = ("ssl_ca", "ssl_cert", "ssl_key")
Serve = Callable[[str], Path]


@pytest.fixture(autouse=True)
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the servers of this machine as those of any other."""
    monkeypatch.setattr(address, "THIS_MACHINE", frozenset())


def certificate(
    name: str,
    *,
    host: str | None = None,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the certificate and key of an authority, or of a host that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    authority, signing_key = issuer or (None, key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Yield a function that gives MySQL a host's certificate and returns the file of its root."""
    with administrator("mysql") as root:
        before = {n: root.execute(text(f"SELECT @@{n}")).scalar_one() for n in _TLS}

    def present(values: dict[str, str]) -> None:
        with administrator("mysql") as root:
            for name, value in values.items():
                root.execute(text(f"SET GLOBAL {name} = :value"), {"value": value})
            root.execute(text("ALTER INSTANCE RELOAD TLS"))

    def serve(host: str) -> Path:
        authority = certificate("An authority of this test")
        own, key = certificate("database", host=host, issuer=authority)
        files = {name: tmp_path / f"{name}.pem" for name in _TLS}
        files["ssl_ca"].write_bytes(authority[0].public_bytes(Encoding.PEM))
        files["ssl_cert"].write_bytes(own.public_bytes(Encoding.PEM))
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files["ssl_key"].write_bytes(key.private_bytes(*form))
        present({name: str(path) for name, path in files.items()})
        return files["ssl_ca"]

    yield serve
    present(before)


def refusal(url: str) -> BaseException:
    """Return the driver's error about a refused server."""
    with pytest.raises(DatabaseUnavailableError) as caught:
        Database(connector(url)).now()
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


@pytest.mark.mysql
def test_a_server_that_proves_its_identity_is_used_over_tls(serve: Serve) -> None:
    roots = serve(HERE)

    with schema.engine_of(
        connector(f"{url_of('mysql', tls=True)}&ssl_ca={roots}")
    ).connect() as connection:
        row = connection.execute(text("SHOW STATUS LIKE 'Ssl_version'")).one()

    assert row[1] in {"TLSv1.2", "TLSv1.3"}


@pytest.mark.mysql
def test_a_server_with_an_untrusted_certificate_is_refused(serve: Serve) -> None:
    serve(HERE)
    assert "certificate verify failed" in str(refusal(url_of("mysql", tls=True)))


@pytest.mark.mysql
@pytest.mark.parametrize("attempt", ["", "&ssl_verify_identity=", "&ssl_verify_cert=false"])
def test_a_server_with_another_host_s_certificate_is_always_refused(
    serve: Serve, attempt: str
) -> None:
    roots = serve(ELSEWHERE)
    assert "IP address mismatch" in str(
        refusal(f"{url_of('mysql', tls=True)}&ssl_ca={roots}{attempt}")
    )


@pytest.mark.mysql
def test_a_server_that_speaks_no_tls_is_refused_unless_the_url_allows_it() -> None:
    assert "SSL" in str(refusal(url_of("mariadb", tls=True)))

    with schema.engine_of(connector(url_of("mariadb"))).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.mysql
@pytest.mark.parametrize("behind", [ELSEWHERE, "192.0.2.2"])
def test_behind_a_tunnel_the_server_proves_the_name_of_the_url(serve: Serve, behind: str) -> None:
    roots = serve(ELSEWHERE)
    url = make_url(url_of("mysql", tls=True))
    far = url.set(host=behind, port=3306).render_as_string(hide_password=False)
    connect = connector(f"{far}&ssl_ca={roots}", tunnel=(HERE, url.port or 0))

    if behind == ELSEWHERE:
        with schema.engine_of(connect).connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    else:
        with pytest.raises(DatabaseUnavailableError) as caught:
            Database(connect).now()
        assert "IP address mismatch" in str(caught.value.__cause__)


@pytest.mark.mysql
def test_this_machine_needs_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with schema.engine_of(connector(url_of("mariadb", tls=True))).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_the_roots_are_amazon_s_own_and_outlive_this_code() -> None:
    roots = x509.load_pem_x509_certificates(AMAZON_ROOTS.read_bytes())
    owners = {
        str(root.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value)
        for root in roots
    }

    assert owners == {"Amazon", "Amazon Web Services, Inc."}
    assert all(root.subject == root.issuer for root in roots)
    assert min(root.not_valid_after_utc for root in roots).year >= 2037
    assert len(ssl.create_default_context(cafile=str(AMAZON_ROOTS)).get_ca_certs()) == len(roots)


@pytest.mark.mysql
def test_without_a_password_each_connect_signs_in_with_a_token_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    whole = make_url(url_of("mysql"))
    asked: list[Address] = []

    def token(to: Address) -> str:
        asked.append(to)
        return str(whole.password)

    bare = URL.create(**{**whole._asdict(), "password": None})
    engine = schema.engine_of(connector(bare.render_as_string(), token=token))
    for _ in range(2):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    assert [(to.host, to.user) for to in asked] == [(HERE, "root")] * 2


@pytest.mark.mysql
def test_a_password_in_the_url_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def token(_: Address) -> str:
        raise AssertionError("no token is needed")

    with schema.engine_of(connector(url_of("mysql"), token=token)).connect() as connection:
        connection.execute(text("SELECT 1"))


def test_the_application_s_account_may_do_nothing_outside_its_schema(engine_name: Engine) -> None:
    """On the server of the stack. On AWS the account's creator ensures it (docs/despliegue-aws.md)."""
    with administrator(engine_name) as root:
        grants = root.execute(text(f"SHOW GRANTS FOR 'reservations'@'{HERE}'")).scalars().all()

    rights = [re.match(r"GRANT (.+) ON (\S+) TO ", grant) for grant in grants]
    assert [right and right.groups() for right in rights] == [
        ("USAGE", "*.*"),  # to sign in, and no more
        ("ALL PRIVILEGES", "`reservations`.*"),
    ]
