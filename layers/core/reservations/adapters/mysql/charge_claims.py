"""Claims of charges: a unique row for each key of the ring holds up a concurrent equal request."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from reservations.adapters.mysql.engine import DUPLICATE, Database, error_number
from reservations.adapters.mysql.tables import CHARGE_CLAIM, RESERVATION
from reservations.application.ports import ChargeClaim, ChargeClaims
from reservations.domain.errors import DatabaseBusyError

_ROW = CHARGE_CLAIM.c
_HOLDER = (
    select(RESERVATION.c.code)
    .select_from(CHARGE_CLAIM.join(RESERVATION))
    .where(
        _ROW.client_id == bindparam("client_id"),
        _ROW.digest.in_(bindparam("digests", expanding=True)),
    )
    .limit(1)
)
_FREE = delete(CHARGE_CLAIM).where(_ROW.reservation_id == bindparam("id"))


class MySqlChargeClaims(ChargeClaims):
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, claim: ChargeClaim, reservation_id: UUID, *, now: datetime) -> str | None:
        # Sorted, so that two requests never wait for each other.
        rows = [
            {
                "client_id": claim.client_id,
                "digest": digest,
                "reservation_id": reservation_id,
                "claimed_at": now,
            }
            for digest in sorted(claim.digests)
        ]
        try:
            # One statement: a refusal undoes all of it.
            self._database.execute(insert(CHARGE_CLAIM).values(rows))
        except IntegrityError as error:
            if error_number(error) != DUPLICATE:
                raise
            return self._holder(claim)
        return None

    def _holder(self, claim: ChargeClaim) -> str:
        values = {"client_id": claim.client_id, "digests": list(claim.digests)}
        code: str | None = self._database.execute(_HOLDER, values).scalar()
        if code is None:  # freed meanwhile: the whole request may run again
            raise DatabaseBusyError("a claim was freed during its refusal", deadlock=True)
        return code

    def free(self, reservation_id: UUID) -> None:
        self._database.execute(_FREE, {"id": reservation_id})
