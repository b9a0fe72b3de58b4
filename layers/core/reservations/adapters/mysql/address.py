"""The database's address: a URL, a login and the proof of the server's identity."""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import conversions, convert_datetime

CONNECT_SECONDS = 1
ANSWER_SECONDS = 5  # above the server's lock wait, below an API function's time
PORT: Final = 3306

# RDS signs with a root of each region, RDS Proxy with those of Amazon Trust Services
# (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html and rds-proxy.howitworks.html).
AMAZON_ROOTS = Path(__file__).with_name("amazon-roots.pem")
THIS_MACHINE = frozenset({None, "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A database server, a login and a schema, as the URL of the settings names them.

    Without a `password`, each connect asks for a token.
    """

    host: str | None
    port: int
    user: str
    password: str | None
    database: str
    options: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read `mysql+pymysql://host:port/database?option=value`, with the login before the host."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname,
            port=parts.port or PORT,
            user=unquote(parts.username or ""),
            password=None if parts.password is None else unquote(parts.password),
            database=unquote(parts.path.lstrip("/")),
            options=dict(parse_qsl(parts.query)),
        )


Token = Callable[[Address], str]  # a password for one connect to that address
Connect = Callable[[], "Connection[Any]"]


def connector(
    url: str,
    *,
    answer_seconds: int = ANSWER_SECONDS,
    token: Token | None = None,
    tunnel: tuple[str, int] | None = None,
) -> Connect:
    """Return a function that opens a connection without autocommit.

    A server on another machine must prove its identity, to Amazon's roots or to those in the file
    `ssl_ca` of the URL. Only `ssl_disabled=true` leaves TLS out. If the URL has no password, each
    connect calls `token` for one. A `tunnel` is the near end of a port-forward to the server, which
    proves its own identity behind it.
    """
    address = Address.of(url)
    arguments: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "database": address.database or None,
        "charset": address.options.get("charset", "utf8mb4"),
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": answer_seconds,
        "write_timeout": answer_seconds,
        "client_flag": CLIENT.MULTI_STATEMENTS,
        "conv": _CONVERSIONS,
        "binary_prefix": True,  # bytes are no text of the connection's character set
        **_identity(address),
    }

    def connect() -> "Connection[Any]":
        password = address.password
        if password is None and token is not None:
            password = token(address)
        connection = pymysql.connect(**arguments, password=password or "", defer_connect=True)
        connection.connect(socket.create_connection(tunnel, CONNECT_SECONDS) if tunnel else None)
        return connection

    return connect


def _identity(address: Address) -> dict[str, Any]:
    if address.options.get("ssl_disabled") == "true":
        return {"ssl_disabled": True}
    if address.host in THIS_MACHINE:
        return {}
    context = ssl.create_default_context(cafile=address.options.get("ssl_ca") or str(AMAZON_ROOTS))
    # As PyMySQL does with its own contexts: Python 3.13 demands certificate extensions that
    # private authorities leave out. Chain, dates and host name are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return {"ssl": context}


def _utc(text: str | bytes) -> Any:
    """Read a DATETIME as an aware UTC time: the column has no zone of its own."""
    at = convert_datetime(text)
    return at.replace(tzinfo=UTC) if isinstance(at, datetime) else at


def _quoted_time(value: datetime, _: object = None) -> str:
    """Quote in UTC. A time without a zone is in UTC already, as the migrations write it."""
    return f"'{value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value}'"


def _quoted_id(value: UUID, _: object = None) -> str:
    """Quote sixteen bytes in the order of the text, so that UUIDv7 keys grow at the index's end."""
    return f"X'{value.hex}'"


_CONVERSIONS: dict[Any, Any] = {
    **conversions,
    datetime: _quoted_time,
    UUID: _quoted_id,
    FIELD_TYPE.DATETIME: _utc,
}
