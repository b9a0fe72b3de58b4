"""The slices that are timed: each reads or changes a limited number of rows, at every size."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.audit import MySqlAudit
from reservations.adapters.mysql.checkpoints import MySqlCheckpoints
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.oversight import MySqlOversight
from reservations.adapters.mysql.retention import MySqlRetention
from reservations.adapters.mysql.search import MySqlSearch
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application import oversee
from reservations.application.clean_up import (
    BATCH,
    CLAIMS_KEPT,
    DOCUMENTS_KEPT,
    HINTS_KEPT,
    PERSONAL_DATA_KEPT,
    READ,
    REMOVED_AGAIN,
    UNPAID_MAILS_KEPT,
    WEBHOOKS_KEPT,
)
from reservations.domain.identifiers import uuid7
from reservations.domain.policy import STANDARD
from reservations.domain.words import PublicStatus, State
from tests.proofs.growth.fill import add_due_rows

REPEATED = 5
_READS = "SHOW SESSION STATUS WHERE variable_name LIKE 'Handler_read%'"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one slice: CPU of this process and of the server, wall time, rows read."""

    own_ms: float
    server_ms: float
    wall_ms: float
    rows: int

    @property
    def cpu_ms(self) -> float:
        return self.own_ms + self.server_ms


class Site:
    """A filled schema and the adapters on it, with the limits that the functions use."""

    def __init__(self, url: str, server: int) -> None:
        self._server = server
        self.database = Database(connector(url, answer_seconds=600))
        self._other = connector(url, answer_seconds=600)()
        with self._other.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = 28800")
        self.oversight = MySqlOversight(self.database)
        self.search = MySqlSearch(self.database)
        self.retention = MySqlRetention(self.database)
        self.audit = MySqlAudit(self.database)
        self.checkpoints = MySqlCheckpoints(self.database)
        self.uow = MySqlUnitOfWork(self.database)
        now = self.audit.now()
        self.day_ago = now - timedelta(days=1)
        self.middle = uuid7(now - timedelta(days=150), random_bits=lambda _: 0)
        [some] = self._rows(
            "SELECT code, id FROM reservation WHERE id > %s LIMIT 1", self.middle.bytes
        )
        self.code, self.id = some[0], UUID(bytes=some[1])
        [self.line] = self._rows("SELECT MAX(id) DIV 2 FROM history")[0]

    def close(self) -> None:
        self.database.close()
        self._other.close()

    def _rows(self, sql: str, *values: Any) -> Sequence[Any]:
        with self._other.cursor() as cursor:
            cursor.execute(sql, values or None)
            rows = list(cursor.fetchall())
        self._other.rollback()
        return rows

    def make_due(self) -> None:
        with self._other.cursor() as cursor:
            add_due_rows(cursor)
        self._other.commit()

    def forget_checkpoints(self) -> None:
        with self._other.cursor() as cursor:
            cursor.execute("DELETE FROM checkpoint")
        self._other.commit()

    def cost_of(self, work: Callable[["Site"], object]) -> Cost:
        before_rows = self._reads()
        before, own, wall = self._server_ns(), time.process_time_ns(), time.perf_counter_ns()
        work(self)
        wall, own = time.perf_counter_ns() - wall, time.process_time_ns() - own
        server = max(now - before.get(task, 0) for task, now in self._server_ns().items())
        return Cost(own / 1e6, server / 1e6, wall / 1e6, self._reads() - before_rows)

    def _server_ns(self) -> dict[str, int]:
        """The CPU time of each thread of the server. The busiest one served this connection."""
        tasks = Path(f"/proc/{self._server}/task").iterdir()
        return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}

    def _reads(self) -> int:
        self.database.begin()
        connection = self.database._connected()
        with connection.cursor() as cursor:
            cursor.execute(_READS)
            return sum(int(value) for _, value in cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Slice:
    """A whole slice of the audit, with the peak of this process's memory until then."""

    checked: int
    cost: Cost
    peak_mb: float


def audit_slice(site: Site) -> Slice:
    """Run the slice of one invocation, from the first reservation on."""
    site.forget_checkpoints()
    checked: list[int] = []

    def work(site: Site) -> None:
        done = oversee.audit_slice(
            lambda: False, audit=site.audit, checkpoints=site.checkpoints, policy=STANDARD
        )
        checked.append(done.checked)

    cost = site.cost_of(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Slice(checked=checked[0], cost=cost, peak_mb=peak)


def _delete(name: str, **options: Any) -> Callable[[Site], object]:
    return lambda site: getattr(site.retention, name)(limit=BATCH, **options)


def _audit_page(site: Site) -> None:
    page = site.audit.page(after=site.middle, limit=oversee.PAGE)
    assert len(page) == oversee.PAGE
    assert oversee._violations(page, audit=site.audit, policy=STANDARD) == []
    site.audit.record(page, [])


def _changes(site: Site) -> None:
    lines = site.audit.lines(after=site.line, limit=oversee.LINES)
    assert len(lines) == oversee.LINES


def _expired(site: Site) -> None:
    page = site.retention.expired(
        after=site.middle,
        limit=READ,
        travelers_after=PERSONAL_DATA_KEPT,
        documents_after=DOCUMENTS_KEPT,
        removed_within=REMOVED_AGAIN,
    )
    assert page.last is not None


def _claim(site: Site) -> None:
    with site.uow as uow:
        assert len(uow.outbox.claim(limit=100, lease=STANDARD.hint_lease)) == 100


def _claim_due(site: Site) -> None:
    with site.uow as uow:
        assert len(uow.reservations.claim_due(limit=100, lease=STANDARD.hint_lease)) == 100


def _find(site: Site) -> None:
    with site.uow as uow:
        assert uow.reservations.find(site.code)


def _open(site: Site) -> None:
    with site.uow as uow:
        uow.open(site.id, customer=True)


def _full(found: Sequence[object], size: int) -> None:
    assert len(found) == size, f"{len(found)} of {size}"


SLICES: Mapping[str, Callable[[Site], object]] = {
    "read one by code": _find,
    "open one for a step": _open,
    "poller: claim 100 hints": _claim,
    "poller: claim 100 due": _claim_due,
    "audit: page of 200": _audit_page,
    "invariants: 1,000 lines of history": _changes,
    "invariants: overdue": lambda site: _full(site.audit.overdue(limit=50), 50),
    "invariants: reviews waiting": lambda site: site.oversight.waiting_for_a_person(limit=1000),
    "invariants: oldest due": lambda site: site.oversight.oldest_due_s(),
    "invariants: outbox": lambda site: site.oversight.outbox(),
    "retention: page of 2,000": _expired,
    "retention: hints": _delete("delete_published_hints", older_than=HINTS_KEPT),
    "retention: webhooks": _delete("delete_webhooks", older_than=WEBHOOKS_KEPT),
    "retention: keys": _delete("delete_expired_keys"),
    "retention: claims": _delete("delete_claims", older_than=CLAIMS_KEPT),
    "retention: unpaid mails": _delete("delete_unpaid_mails", older_than=UNPAID_MAILS_KEPT),
    "ops reconcile: 100 open": lambda site: _full(
        site.oversight.with_open_call(after=None, limit=100), 100
    ),
    "ops reconcile: 100 closed": lambda site: _full(
        site.oversight.with_closed_call(since=site.day_ago, after=None, limit=100), 100
    ),
    "ops list --stuck": lambda site: _full(site.oversight.stuck(limit=50), 50),
    "ops list --review": lambda site: _full(site.oversight.in_review(limit=50), 50),
    "ops list --state, common": lambda site: _full(
        site.oversight.in_state(State.SUPPLIER_CONFIRMED, limit=50), 50
    ),
    "ops list --state, none": lambda site: _full(
        site.oversight.in_state(State.EXPIRED, limit=50), 0
    ),
    "ops list --status, 7 days": lambda site: site.search.by_status(
        PublicStatus.CONFIRMADA, since=site.day_ago, limit=50
    ),
    "ops: counts": lambda site: site.search.counts(),
    "ops: doubts": lambda site: site.search.doubts(),
}


def measured(sites: Mapping[int, Site]) -> Iterator[tuple[str, dict[int, Cost]]]:
    """Time each slice at all sizes in turn, warm, and yield the least of each."""
    for name, work in SLICES.items():
        costs: dict[int, list[Cost]] = {size: [] for size in sites}
        for round_ in range(REPEATED + 1):
            for size, site in sites.items():
                if name.startswith(("retention", "poller")):
                    site.make_due()
                cost = site.cost_of(work)
                if round_:  # the first one warms up
                    costs[size].append(cost)
        yield name, {size: min(each, key=_cpu) for size, each in costs.items()}


def _cpu(cost: Cost) -> float:
    """The least is the one that the rest of the machine disturbed least."""
    return cost.cpu_ms
