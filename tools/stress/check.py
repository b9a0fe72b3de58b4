"""The promises after a load: nothing lost, nothing doubled, no 500, books that balance, invariants that hold."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from local.paths import ROOT
from reservations.domain.words import State
from tests.e2e.ledgers import EMULATOR_FAULT, ProvidersBooks
from tools.bench.product import Json
from tools.stress.target import Target
from tools.stress.watch import RESTING, Database

Findings = Mapping[str, Sequence[Mapping[str, str]]]

PATIENCE_SECONDS = 900.0  # for accepted reservations to come to rest, and queues to empty
_COMMAND_SECONDS = 240
_NO_GATEWAY = "deployed API Gateway API"


@dataclass(slots=True)
class Promises:
    """Counts of broken promises. Faults of the emulator and of the sender are counted apart."""

    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    http_500: int = 0
    unfinished: int = 0
    emulator_faults: int = 0
    unanswered: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not (self.lost or self.doubled or self.http_500 or self.complaints)


def rest(database: Database, since: object) -> float | None:
    """Wait until every reservation since then is at rest. Return the seconds, or `None` if some are not."""
    began = time.monotonic()
    while database.unfinished(since):
        if time.monotonic() - began > PATIENCE_SECONDS:
            return None
        time.sleep(0.5)
    return time.monotonic() - began


def judge(target: Target, run: str, since: object, answers: Sequence[Json]) -> Promises:
    """Compare the answers of a run with the tables and with both providers' ledgers."""
    found, database = Promises(), Database(target.database_url)
    count_failures(found, answers)
    accepted = {row["key"]: row["code"] for row in answers if "code" in row}
    rows: dict[str, list[Json]] = {}
    for row in database.rows(
        "SELECT c.email, r.id, r.code, r.state, r.price_minor FROM reservation r"
        " JOIN customer c ON c.reservation_id = r.id WHERE r.created_at >= %s AND c.email LIKE %s",
        (since, f"{run}.%"),
    ):
        rows.setdefault(row["email"].partition(".")[2].partition("@")[0], []).append(row)
    found.accepted = len(accepted)
    found.lost = sum(code.replace("-", "") not in _codes(rows, k) for k, code in accepted.items())
    found.doubled = sum(len(stored) - 1 for stored in rows.values())
    found.unfinished = database.unfinished(since)
    _judge_books(found, target, rows)
    if target.name.startswith("pila"):
        count_broken(found, _invariants(), unanswered=_unanswered_mails(database))
    database.close()
    return found


def _codes(rows: dict[str, list[Json]], key: str) -> list[str]:
    return [row["code"] for row in rows.get(key, ())]


def count_failures(found: Promises, answers: Sequence[Json]) -> None:
    for row in answers:
        text = row.get("text", "")
        if row["status"] == 0 or _NO_GATEWAY in text:
            found.unanswered += 1
        elif row["status"] in (500, 502, 504):
            if EMULATOR_FAULT in text or row["status"] != 500:
                found.emulator_faults += 1
            else:
                found.http_500 += 1


def _judge_books(found: Promises, target: Target, rows: dict[str, list[Json]]) -> None:
    books = ProvidersBooks(target.stack)
    for stored in rows.values():
        for row in stored:
            if row["state"] in RESTING:
                confirmed = row["state"] == State.SUPPLIER_CONFIRMED
                complaints = list(books.differences(row["code"], row, confirmed=confirmed))
                found.complaints += complaints
                found.doubled += any("was charged" in each for each in complaints)


def _invariants() -> Findings:
    audit = subprocess.run(
        [sys.executable, "-m", "local.ops", "invariants", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
    )
    if not audit.stdout:
        return {"no answer": [{"code": "-", "detail": audit.stderr[-1500:]}]}
    findings: Findings = json.loads(audit.stdout)
    return findings


def count_broken(found: Promises, findings: Findings, *, unanswered: Collection[str]) -> None:
    """Complain of broken invariants. A mail that the emulator left without an answer is its own fault.

    The product gives such a mail up in doubt: a third copy may be one too many. It shows the
    reservation to a person, which is what the invariant is for.
    """
    for name, rows in findings.items():
        for row in rows:
            if name == "confirmed_without_papers" and row["code"].replace("-", "") in unanswered:
                found.emulator_faults += 1
            else:
                found.complaints.append(f"ops invariants: {name} {row['code']}: {row['detail']}")


def _unanswered_mails(database: Database) -> set[str]:
    """Codes of reservations with a voucher, whose mail was given up as none of its sends had an answer."""
    rows = database.rows(
        "SELECT r.code FROM reservation r JOIN mail_send m ON m.reservation_id = r.id"
        " JOIN document d ON d.reservation_id = r.id WHERE m.kind = 'confirmed'"
        " AND m.status IN ('started', 'unknown') AND m.check_at IS NULL",
        (),
    )
    return {row["code"] for row in rows}


def statuses(answers: Sequence[Json]) -> dict[str, int]:
    return dict(sorted(Counter(str(row["status"]) for row in answers).items()))
