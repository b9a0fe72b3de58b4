"""Plans of all statements on 100,000 reservations: `python -m tests.database.plans` writes docs/planes.md."""

import re
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql

from local.database import Engine
from reservations.adapters.mysql import schema
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from tests.database.everything import statements_of_everything
from tests.proofs.growth import fill as filling
from tests.proofs.growth import lives
from tests.worlds.databases import ENGINES, administrator, url_of
from tests.worlds.sql import constants, explained

ROWS = 100_000
FEW = 10_000  # rows that a statement without a limit may read, by the server's estimate
SMALL = frozenset({"alembic_version", "checkpoint", "finding"})  # do not grow with the reservations
DOCUMENT = Path(__file__).parents[2] / "docs" / "planes.md"
# Rows that are cloned have these digits in their ids; those of a run are removed after it.
_CLONED = "80000000"

_HEAD = """# Planes de las sentencias

Hecho por `make plans`, que lo escribe entero. Cada fila es una sentencia que enviaron las funciones, el reloj u
operación en una ejecución de todo, sobre {rows} reservas y tras `ANALYZE`. Falla si
alguna recorre una tabla que crece.

- **Acceso:** tabla, forma de leerla e índice, en el orden del plan. Las de una sola fila conocida son `const`.
- **Sin plan:** `INSERT` con sus valores, y lo que el servidor contesta sin leer.

"""


@dataclass(frozen=True, slots=True)
class Access:
    """A table of a plan, and how it is read."""

    table: str
    kind: str
    key: str | None
    rows: int
    extra: str

    @property
    def reads(self) -> str:
        return f"{self.table} {self.kind}" + (f" {self.key}" if self.key else "")

    def scans(self, sql: str) -> bool:
        """Whether it reads a growing table whole, or sorts much of it."""
        if self.table.startswith("<") or self.table in SMALL:
            return False
        sorts = "filesort" in self.extra or "temporary" in self.extra
        is_limited = "LIMIT" in sql and not sorts
        return self.kind == "ALL" or (self.rows > FEW and not is_limited)


def filled(engine: Engine) -> str:
    """Return the URL of the filled schema, which is kept for the next run."""
    recipe = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (filling, lives))
    name = f"plans_{schema.HEAD}_{zlib.crc32(recipe.encode()):08x}"
    with administrator(engine) as connection:
        names = set(connection.exec_driver_sql("SHOW DATABASES").scalars())
        for old in names - {name}:
            if old.startswith("plans_"):
                connection.exec_driver_sql(f"DROP DATABASE {old}")
    url = url_of(engine, name)
    if name not in names or not _is_whole(url):
        with administrator(engine) as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
            connection.exec_driver_sql(
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
        schema.upgrade(schema.engine_of(connector(url, answer_seconds=schema.STATEMENT_SECONDS)))
        filling.fill(url, ROWS, thin=True)
        with connector(url)() as connected, connected.cursor() as cursor:
            cursor.execute("CREATE TABLE whole (at DATETIME)")
    return url


def _is_whole(url: str) -> bool:
    try:
        with connector(url)() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT at FROM whole")
    except pymysql.Error:
        return False
    return True


def declared() -> set[str]:
    """Return the names of all statements but COMMIT and ROLLBACK: the first name of each."""
    first = {each: name for name, each in reversed(constants().items())}
    return {name for each, name in first.items() if each.sql not in {"COMMIT", "ROLLBACK"}}


def plans(engine: Engine) -> dict[str, tuple[str, list[Access]]]:
    """Return the SQL and the accesses of each statement, by its name."""
    url = filled(engine)
    names = {statement: name for name, statement in reversed(constants().items())}
    try:
        sent = statements_of_everything(url)
        database = Database(connector(url, answer_seconds=60))
        found = {}
        for statement, query in sent.items():
            if statement.sql not in {"COMMIT", "ROLLBACK"}:
                rows = [
                    Access(
                        table=row.table,
                        kind=str(row.type or ""),
                        key=row.key,
                        rows=int(row.rows or 0),
                        extra=str(row.Extra or ""),
                    )
                    for row in explained(database, query)
                    if row.select_type != "INSERT" and row.table
                ]
                found[names.get(statement, statement.sql)] = (statement.sql, rows)
        database.close()
        return found
    finally:
        _tidy(url)


def _tidy(url: str) -> None:
    """Delete what a run added, so that the next one meets the same rows."""
    made = "HEX(SUBSTR({}, 9, 4)) <> '" + _CLONED + "'"
    with connector(url, answer_seconds=600)() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION foreign_key_checks = 0")
        cursor.execute(f"SELECT id FROM reservation WHERE {made.format('id')}")
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "DELETE FROM idempotency WHERE client_id <> 'web' OR response NOT LIKE 'xxx%%'"
        )
        cursor.execute("DELETE FROM webhook WHERE webhook_id NOT LIKE 'evt!_%%' ESCAPE '!'")
        # Hints that a run stored for cloned reservations. Those of `fill` are of another type.
        cursor.execute("DELETE FROM outbox WHERE status = 'pending' AND type <> 'check.due'")
        cursor.execute("DELETE FROM checkpoint")
        cursor.execute("DELETE FROM finding")
        if ids:
            cursor.execute(
                "DELETE a FROM provider_attempt a JOIN provider_call c ON c.id = a.call_id"
                " WHERE c.reservation_id IN %s",
                (ids,),
            )
            for table in (
                "provider_call", "contradiction", "document", "mail_send", "history", "customer",
                "charge_claim", "outbox",
            ):  # fmt: skip
                cursor.execute(f"DELETE FROM {table} WHERE reservation_id IN %s", (ids,))
            cursor.execute("DELETE FROM reservation WHERE id IN %s", (ids,))
        connection.commit()


def scans(found: Mapping[str, tuple[str, list[Access]]]) -> dict[str, list[str]]:
    """The statements that scan, with the accesses that do."""
    faulty = {
        name: [f"{each.reads} {each.rows} {each.extra}" for each in accesses if each.scans(sql)]
        for name, (sql, accesses) in found.items()
    }
    return {name: each for name, each in faulty.items() if each}


def _told(accesses: list[Access]) -> str:
    read = [each.reads for each in accesses if not each.table.startswith("<")]
    return ", ".join(f"`{each}`" for each in dict.fromkeys(read)) or "sin plan"


def document(both: Mapping[Engine, Mapping[str, tuple[str, list[Access]]]]) -> str:
    first, second = ENGINES
    lines = ["| Sentencia | MySQL | MariaDB |", "| --- | --- | --- |"]
    for name in sorted(both[first]):
        ours, theirs = (_told(both[engine][name][1]) for engine in (first, second))
        lines.append(f"| `{name}` | {ours} | {'igual' if ours == theirs else theirs} |")
    return _HEAD.format(rows=f"{ROWS:,}".replace(",", ".")) + "\n".join(lines) + "\n"


def named() -> list[str]:
    """The statements in the document."""
    return re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)


def main() -> int:
    both = {engine: plans(engine) for engine in ENGINES}
    DOCUMENT.write_text(document(both), encoding="utf-8")
    found = [
        f"{engine} {name}: {each}"
        for engine in ENGINES
        for name, each in scans(both[engine]).items()
    ]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
