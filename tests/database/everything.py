"""All that the functions, the clock and the operators do on one database, with each statement that they send."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

from click.testing import CliRunner

from ops.__main__ import ops
from ops.desk import Alarm, Desk
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.audit import MySqlAudit
from reservations.adapters.mysql.engine import Database, Query, Statement
from reservations.adapters.mysql.retention import MySqlRetention
from reservations.adapters.mysql.search import MySqlSearch
from reservations.application.clean_up import READ, RETENTION
from reservations.application.poll_outbox import poll_outbox
from reservations.application.ports import Attempt, Finding, Quota
from reservations.domain.actions import Verb
from reservations.domain.facts import Seen, Status
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import MailStatus, Reservation
from reservations.domain.words import PublicStatus
from reservations.services import Services
from tests.worlds.builders import (
    CODE,
    NOON,
    PRICE,
    RESERVATION_ID,
    a_change,
    a_contradiction,
    a_creation,
    a_customer,
    a_reservation,
    a_send,
    a_voucher,
)
from tests.worlds.fakes import ScriptedPayments
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import OnDatabase, handler_of

AFTERWARDS = timedelta(hours=1)


class Recorded(Database):
    """Keeps the first query of each statement that was sent."""

    def __init__(self, url: str) -> None:
        super().__init__(connector(url, answer_seconds=60))
        self.sent: dict[Statement, Query] = {}

    def _fly(self, flight: Sequence[Query]) -> Any:
        for query in flight:
            self.sent.setdefault(query.statement, query)
        return super()._fly(flight)


class _Service(OnDatabase):
    """The service with providers, queue and store in memory."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._unhurried = database
        self.moment = NOON

    @property
    def _unhurried_database(self) -> Database:
        return self._unhurried

    oversight = Services.oversight
    search = Services.search
    audit = Services.audit
    checkpoints = Services.checkpoints
    retention = Services.retention

    def run(self, event: str) -> Any:
        return handler_of(event.partition(".")[0], self)(an_event(event), a_context())


def statements_of_everything(url: str) -> dict[Statement, Query]:
    """Do everything once, and return each statement with the values that it was first sent with."""
    database = Recorded(url)
    service = _Service(database)
    with redirect_stdout(StringIO()):
        _serve(service)
        _change(service)
        _look(service)
        _clean(service)
    database.close()
    return database.sent


def _serve(service: _Service) -> None:
    """The functions on their events."""
    for _ in range(2):
        service.run("create_reservation.accepted")
    run_sql(
        service,
        "UPDATE idempotency SET expires_at = '2001-05-04' WHERE response LIKE '%%reservation_code%%'",
    )
    service.run("create_reservation.accepted")
    _keep(service, a_reservation())
    service.payments = ScriptedPayments(
        Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
    )
    service.run("process_payment.due")
    for event in ("shown", "unchanged", "timeline"):
        service.run(f"get_reservation.{event}")
    service.run("look_up_reservation.sent")
    service.run("receive_webhook.payment_succeeded")
    service.run("record_mail_event.bounced")
    service.run("cancel_reservation.accepted")
    unit = service.unit_of_work()
    with unit as uow:
        messages = uow.outbox.claim(limit=2, lease=STANDARD.hint_lease)
        uow.commit()
    with unit as uow:
        uow.outbox.mark_refused(messages, dead_after=1)
        uow.commit()
    run_sql(
        service,
        "UPDATE reservation SET next_check_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND, settled = 0"
        f" WHERE id = X'{RESERVATION_ID.hex}'",
    )
    with service.unit_of_work() as uow:
        uow.reservations.lock_due_look(after=None)
    poll_outbox(uow=service.unit_of_work(), publisher=service.publisher, policy=STANDARD)


def run_sql(service: _Service, sql: str) -> None:
    with service._database._connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql.replace("%%", "%"))
        connection.commit()


def _keep(service: _Service, reservation: Reservation) -> None:
    with service.unit_of_work() as uow:
        uow.add(a_creation(reservation), a_customer())
        uow.commit()


def _change(service: _Service) -> None:
    """Each row that a reservation may have, new and changed, and what surrounds it."""
    row = a_contradiction(at=NOON)
    with service.unit_of_work() as uow:
        before = uow.open(RESERVATION_ID, customer=True).reservation
        charge = before.facts.calls[0]
        facts = replace(before.facts, contradictions=(row,))
        after = replace(
            before,
            facts=facts,
            documents=(a_voucher(),),
            sends=(a_send(status=MailStatus.STARTED),),
        )
        attempt = Attempt(
            call_key=charge.key,
            verb=Verb.INQUIRE,
            sent_at=NOON,
            outcome="Seen",
            http_status=200,
            elapsed_ms=1,
        )
        uow.store(a_change(before, after, now=NOON), attempts=[attempt])
        uow.commit()
    with service.unit_of_work() as uow:
        before = uow.open(RESERVATION_ID).reservation
        after = replace(
            before,
            facts=replace(
                before.facts,
                calls=tuple(replace(call, looks=call.looks + 1) for call in before.facts.calls),
                contradictions=(replace(before.facts.contradictions[0], looks=9),),
            ),
            documents=(a_voucher(s3_key="vouchers/b.pdf"),),
            sends=(a_send(),),
        )
        uow.store(a_change(before, after, now=NOON))
        uow.unpaid_mails.take([Quota(b"q" * 32, 3)], now=NOON, last=NOON + AFTERWARDS)
        uow.claims.free(RESERVATION_ID)
        uow.commit()


class _Desk(Desk):
    def alarms(self) -> list[Alarm]:
        return []


def _look(service: _Service) -> None:
    """The operators' commands, and the reads that none of them needs the stack for."""
    desk = _Desk(service, stack="none")

    def do(*arguments: str) -> None:
        result = CliRunner().invoke(ops, ["--stage", "test", *arguments], obj=desk)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output

    do("show", CODE)
    do("timeline", CODE)
    for arguments in (
        ("list", "--stuck"),
        ("list", "--review"),
        ("list", "--state", "PAID"),
        *(("list", "--status", status.replace(" ", "-")) for status in PublicStatus),
        ("invariants", "--recent"),
        ("outbox", "lag"),
        ("nudge", CODE),
        ("cancel", CODE, "--yes"),
        ("token", "reissue", CODE),
        ("reconcile", "--since", "1m"),
    ):
        do(*arguments)
    search = MySqlSearch(service._database)
    search.by_id(RESERVATION_ID)
    search.by_provider("pay_1", limit=50)
    search.by_address("ana@example.com", limit=50)
    search.counts()
    search.doubts()
    oversight = service.oversight()
    search.codes([RESERVATION_ID])
    oversight.silences(limit=5000)
    oversight.untaken_mails(since=NOON, limit=5000)
    retention = MySqlRetention(service._database)
    retention.tell(RESERVATION_ID, "x", actor="operator:on-call")
    retention.revive(queue=None, actor="operator:on-call")


def _clean(service: _Service) -> None:
    """The tasks of the clock."""
    audit = MySqlAudit(service._database)
    finding = Finding(invariant="overdue", reservation_id=RESERVATION_ID, code=CODE, detail="")
    audit.record([RESERVATION_ID], [finding])
    audit.projected_now(RESERVATION_ID)
    service.run("clean_up.invariants")
    retention, checkpoints = MySqlRetention(service._database), service.checkpoints()
    retention.delete_published_hints(older_than=AFTERWARDS, limit=1)
    retention.delete_webhooks(older_than=AFTERWARDS, limit=1)
    retention.delete_expired_keys(limit=1)
    retention.delete_claims(older_than=AFTERWARDS, limit=1)
    retention.delete_unpaid_mails(older_than=AFTERWARDS, limit=1)
    retention.expired(
        after=None,
        limit=READ,
        travelers_after=AFTERWARDS,
        documents_after=AFTERWARDS,
        removed_within=AFTERWARDS,
    )
    place = checkpoints.get(RETENTION)
    checkpoints.move(place, replace(place, reservation_id=RESERVATION_ID))
    with service.unit_of_work() as uow:
        uow.reservations.change_address(RESERVATION_ID, "otra@example.com", former=None)
        uow.reservations.erase_customer(RESERVATION_ID)
        uow.commit()
