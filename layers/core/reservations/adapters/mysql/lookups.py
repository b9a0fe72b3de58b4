"""Finds the address of a reservation, and makes the mail with its link due."""

from datetime import datetime
from uuid import UUID

from reservations.adapters.mysql import mapping, statements
from reservations.adapters.mysql.engine import NOW, Database
from reservations.application.ports import Addressee, Lookups
from reservations.domain.fulfilment import ask_for
from reservations.domain.reservation import MailKind


class MySqlLookups(Lookups):
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, code: str) -> Addressee | None:
        rows, _ = self._database.fetch(statements.ADDRESS(code=code), NOW())
        if not rows:
            return None
        [row] = rows
        return Addressee(
            reservation_id=mapping.identifier(row.id), client_id=row.client_id, email=row.email
        )

    def ask(self, reservation_id: UUID, *, now: datetime) -> None:
        send = mapping.send_values(reservation_id, ask_for(MailKind.LINK, now))
        self._database.later(
            statements.WAKE(id=reservation_id, at=now), statements.ASK_FOR_MAIL(**send)
        )
