"""Rules of the whole suite."""

import os

import pytest

# Started last, the long ones would keep one process busy while the others idle.
FIRST = (
    "tests/proofs/",
    "tests/browser/test_inputs.py",
    "tests/e2e/test_failures.py",
    "tests/e2e/test_journey.py",
    "tests/handlers/test_failover.py",
)
# `ops reconcile` makes the functions inquire about every recent trip: late, few are recent.
LAST = ("tests/e2e/test_operators.py", "tests/e2e/test_runbooks.py", "tests/e2e/test_webhooks.py")

pytest_plugins = ["tests.worlds.account", "tests.worlds.databases"]


def pytest_addoption(parser: pytest.Parser) -> None:
    witness = "hold the crossings of the deployed functions against the list of the crash matrix"
    parser.addoption("--witness", action="store_true", help=witness)


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(LAST) - item.nodeid.startswith(FIRST))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run of CI in which a test was skipped: what was not run was not shown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
