"""No statement that the adapters send scans a table that grows, on either engine."""

import pytest

from local.database import Engine
from tests.database import plans

pytestmark = pytest.mark.timeout(900)  # the first run fills 100,000 reservations


def test_no_statement_scans_a_growing_table(engine_name: Engine) -> None:
    found = plans.plans(engine_name)

    assert plans.declared() - found.keys() == set(), "add them to `everything`"
    assert plans.scans(found) == {}


def test_the_table_of_plans_has_every_statement() -> None:
    assert set(plans.named()) == plans.declared(), "run `make plans`"
