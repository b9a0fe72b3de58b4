"""The places of jobs that go through a table in slices."""

from reservations.adapters.mysql.engine import Database, Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.application.ports import Checkpoint, Checkpoints

_BEGIN = Statement(
    "INSERT INTO checkpoint (job, began_at) VALUES (%(job)s, UTC_TIMESTAMP(6))"
    " ON DUPLICATE KEY UPDATE job = job"
)
_GET = Statement(
    "SELECT job, reservation_id, history_id, began_at, whole_at, UTC_TIMESTAMP(6) AS read_at"
    " FROM checkpoint WHERE job = %(job)s"
)
# Not moved if another run has done so: it then does what follows.
_MOVE = Statement(
    "UPDATE checkpoint SET reservation_id = %(reservation_id)s, history_id = %(history_id)s,"
    " began_at = %(began_at)s, whole_at = %(whole_at)s WHERE job = %(job)s"
    " AND reservation_id <=> %(reservation_before)s AND history_id <=> %(history_before)s"
    " AND began_at = %(began_before)s"
)


class MySqlCheckpoints(Checkpoints):
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job: str) -> Checkpoint:
        self._database.begin()
        try:
            [rows] = self._database.look(_GET(job=job))
            if not rows:
                self._database.later(_BEGIN(job=job))
                [rows] = self._database.fetch(_GET(job=job))
                self._database.commit()
        finally:
            self._database.rollback()
        [row] = rows
        return Checkpoint(
            job=row.job,
            read_at=row.read_at,
            began_at=row.began_at,
            whole_at=row.whole_at,
            reservation_id=row.reservation_id and identifier(row.reservation_id),
            history_id=row.history_id,
        )

    def move(self, before: Checkpoint, after: Checkpoint) -> bool:
        self._database.begin()
        try:
            moved = self._database.change(
                _MOVE(
                    job=after.job,
                    reservation_id=after.reservation_id,
                    history_id=after.history_id,
                    began_at=after.began_at,
                    whole_at=after.whole_at,
                    reservation_before=before.reservation_id,
                    history_before=before.history_id,
                    began_before=before.began_at,
                )
            )
            self._database.commit()
        finally:
            self._database.rollback()
        return moved > 0 or before == after
