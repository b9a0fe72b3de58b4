"""Checks that the database fits the code: its revision and its settings."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.err import ProgrammingError

from reservations.domain.errors import SchemaOutdatedError

# In order. Any other is newer: migrations expand before they contract, so this code runs on it.
REVISIONS: Final = tuple(f"{number:04}" for number in range(1, 12))
HEAD: Final = REVISIONS[-1]

_CURRENT = "SELECT version_num FROM alembic_version"
_SETTINGS = (
    "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation', 'time_zone',"
    " 'system_time_zone', 'sql_mode', 'innodb_lock_wait_timeout', 'wait_timeout')"
)

Settings = Mapping[str, str]

# The server must refuse a lock well before the driver stops listening (`engine.ANSWER_SECONDS`). A frozen Lambda keeps
# its socket, so its locks live up to wait_timeout. Under a minute, warm environments would reconnect.
_RULES: Final[tuple[tuple[str, Callable[[Settings], bool]], ...]] = (
    ("transaction_isolation must be READ-COMMITTED", lambda s: _isolation(s) == "READ-COMMITTED"),
    ("time_zone must be +00:00", lambda s: _time_zone(s) in {"+00:00", "UTC"}),
    ("sql_mode must contain STRICT_TRANS_TABLES", lambda s: "STRICT_TRANS_TABLES" in s["sql_mode"]),
    (
        "innodb_lock_wait_timeout must be at most 2",
        lambda s: int(s["innodb_lock_wait_timeout"]) <= 2,
    ),
    ("wait_timeout must be from 60 to 120", lambda s: 60 <= int(s["wait_timeout"]) <= 120),
)


def current(connection: "Connection[Any]") -> str | None:
    """Return the schema's revision; `None` before the first migration."""
    try:
        rows = _rows(connection, _CURRENT)
    except ProgrammingError as error:
        if error.args[0] != ER.NO_SUCH_TABLE:
            raise
        return None
    return str(rows[0][0]) if rows else None


def check(connection: "Connection[Any]") -> None:
    """Refuse a database that does not fit this code, naming all its faults at once.

    The settings are the server's: a SET in each session would pin the connections of RDS Proxy
    (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html).

    Raises:
        SchemaOutdatedError: with the remedies.
    """
    found = [*_schema_faults(current(connection)), *_setting_faults(connection)]
    if found:
        raise SchemaOutdatedError("; ".join(found))


def _schema_faults(revision: str | None) -> list[str]:
    if revision is None:
        return ["the schema has not been created: run the migrations"]
    if revision in REVISIONS[:-1]:
        return [f"the schema is at revision {revision}, not {HEAD}: run the migrations"]
    return []


def _setting_faults(connection: "Connection[Any]") -> list[str]:
    settings = {name.lower(): value for name, value in _rows(connection, _SETTINGS)}
    return [rule for rule, holds in _RULES if not holds(settings)]


def _rows(connection: "Connection[Any]", statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = list(cursor.fetchall())
    connection.rollback()
    return rows


def _isolation(settings: Settings) -> str:
    return settings.get("transaction_isolation") or settings["tx_isolation"]  # MySQL, else MariaDB


def _time_zone(settings: Settings) -> str:
    zone = settings["time_zone"]
    return settings["system_time_zone"] if zone == "SYSTEM" else zone
