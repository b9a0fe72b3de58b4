"""The table of plans is complete. `make plans` fails on a statement that scans a growing table."""

from tests.database import plans


def test_the_table_of_plans_has_every_statement() -> None:
    assert set(plans.named()) == plans.declared(), "run `make plans`"
