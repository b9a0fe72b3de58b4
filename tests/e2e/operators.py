"""The operators' commands on the running stack, and changes to rows for them to fix."""

import json
import os
import subprocess
from dataclasses import dataclass
from uuid import UUID

from click.testing import CliRunner
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from local.ops import environment
from local.paths import ROOT
from ops.__main__ import ops
from ops.desk import Desk
from reservations.services import Services
from tests.e2e.travel import Json, Trip

_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The output of a command, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def page(self) -> Json:
        assert self.status == 0, self.err
        page: Json = json.loads(self.out)
        return page


class Operator:
    """Runs commands on one stage in this process, since a process per command is slow."""

    def __init__(self, stack: Json) -> None:
        stage = stack["stage"]
        self._environment = environment(stack) | {"OPS_STAGE": stage}
        self._services = Services(self._environment | {"SETTINGS_PATH": f"/reservations/{stage}"})

    def ops(self, *arguments: str) -> Said:
        desk = Desk(self._services, stack=self._environment["OPS_STACK"])
        result = CliRunner().invoke(ops, arguments, env=self._environment, obj=desk)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(status=result.exit_code, out=result.stdout, err=result.stderr)

    def page(self, *arguments: str) -> Json:
        return self.ops(*arguments, "--json").page


def shell(line: str, names: dict[str, str]) -> Said:
    """Run a line as a person types it, with `names` as variables, and without those of an outer `make`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=ROOT,
        env=environment | names,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return Said(status=done.returncode, out=done.stdout, err=done.stderr)


class Hand:
    """Changes rows as no code in production does."""

    def __init__(self, stack: Json) -> None:
        self._engine = create_engine(stack["database_url"], poolclass=NullPool)

    def change(self, sql: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(sql), values)

    def postpone(self, reference: str, *, only: str = "%") -> bool:
        """Postpone by a day every inquiry that is not due yet. Return true if one now waits that long."""
        values = {"id": UUID(reference).bytes, "only": only}
        self.change(
            "UPDATE provider_call SET check_at = check_at + INTERVAL 1 DAY"
            " WHERE reservation_id = :id AND status LIKE :only AND check_at > UTC_TIMESTAMP(6)",
            **values,
        )
        self.change(
            "UPDATE reservation SET next_check_at = next_check_at + INTERVAL 1 DAY"
            " WHERE id = :id AND next_check_at > UTC_TIMESTAMP(6)",
            id=values["id"],
        )
        put_off = text(
            "SELECT 1 FROM provider_call WHERE reservation_id = :id AND status LIKE :only"
            " AND check_at > UTC_TIMESTAMP(6) + INTERVAL 12 HOUR"
        )
        with self._engine.connect() as connection:
            return connection.execute(put_off, values).first() is not None

    def change_trip(self, trip: Trip, assignment: str) -> None:
        self.change(
            f"UPDATE reservation SET {assignment} WHERE code = :code",
            code=trip.code.replace("-", ""),
        )
