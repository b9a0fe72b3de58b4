"""Powertools' own circuit breaker before a provider, with its state in memory and its clock ours."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from unittest.mock import patch

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitInfo,
    base,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    base as persistence,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.record import CircuitStateRecord
from aws_lambda_powertools.utilities.circuit_breaker.states import CircuitState

from reservations.application.ports import PaymentRequest, Reply, SupplierRequest
from reservations.domain.facts import NoAnswer, NotSent

Request = PaymentRequest | SupplierRequest
Perform = Callable[[Request], Reply]

# Its defaults, but for what would need several processes: here all environments count failures
# together and see a change at once, and one good probe closes. That flatters the breaker.
CONFIG = CircuitBreakerConfig(
    failure_threshold=5, recovery_timeout=30, success_threshold=1, local_cache_max_age=0
)
_names = (f"circuit {number}" for number in itertools.count())


class _SickError(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__("no answer")
        self.reply = reply


def guarded(perform: Perform, *, now: Callable[[], datetime]) -> Perform:
    """Refuse calls, as surely not sent, while the circuit is open."""

    def refused(_: Request, *, circuit: CircuitInfo) -> Reply:
        return Reply(outcome=NotSent(), http_status=None, elapsed_ms=0)

    @circuit_breaker(
        name=next(_names), persistence_store=_Store(now), on_circuit_open=refused, config=CONFIG
    )
    def call(request: Request) -> Reply:
        reply = perform(request)
        if isinstance(reply.outcome, NotSent | NoAnswer):
            raise _SickError(reply)
        return reply

    def answered(request: Request) -> Reply:
        try:
            reply: Reply = call(request)
        except _SickError as failure:
            return failure.reply
        return reply

    return answered


@contextmanager
def clock(now: Callable[[], datetime]) -> Iterator[None]:
    """Let the breaker, which asks the machine for the time, live on another clock."""
    virtual = _Datetime(now)
    with patch.object(base, "dt", virtual), patch.object(persistence, "dt", virtual):
        yield


class _Datetime:
    """Stands for the module `datetime`, of which the breaker uses `datetime.now()`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.datetime = self
        self.now = now


class _Store(persistence.CircuitBreakerPersistenceLayer):
    """Elects one prober at a time, as the conditional write in DynamoDB does."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        self._records: dict[str, CircuitStateRecord] = {}

    def _get_record(self, name: str) -> CircuitStateRecord | None:
        return self._records.get(name)

    def _put_record(
        self,
        record: CircuitStateRecord,
        condition: str | None = None,
        expected_opened_at: int | None = None,
    ) -> None:
        if condition == "half_open" and not self._may_probe(record.name, expected_opened_at):
            raise persistence.CircuitBreakerExistingLockError
        self._records[record.name] = record

    def _may_probe(self, name: str, opened_at: int | None) -> bool:
        stored = self._records[name]
        lapsed = (stored.probe_lease_expiry or 0) <= self._now().timestamp()
        free = stored.state is CircuitState.OPEN or lapsed
        return free and stored.opened_at == opened_at

    def _update_record(self, record: CircuitStateRecord) -> None:
        self._records[record.name] = record
