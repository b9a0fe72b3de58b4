"""Claims of charges: a unique row for each key of the ring holds up a concurrent equal request."""

from datetime import datetime
from uuid import UUID

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database
from reservations.application.ports import ChargeClaim, ChargeClaims


class MySqlChargeClaims(ChargeClaims):
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, claim: ChargeClaim, reservation_id: UUID, *, now: datetime) -> str | None:
        """Insert the rows that are free, and look for the others' holder in the same flight."""
        values = {"client_id": claim.client_id, "reservation_id": reservation_id}
        digests = sorted(claim.digests)  # so that two requests never wait for each other
        for digest in digests:
            self._database.later(statements.ADD_CLAIM(**values, digest=digest, claimed_at=now))
        [holders] = self._database.fetch(statements.OTHER_HOLDER(**values, digests=digests))
        return holders[0].code if holders else None

    def free(self, reservation_id: UUID) -> None:
        self._database.later(statements.FREE_CLAIMS(id=reservation_id))
