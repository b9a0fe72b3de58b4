"""Rules of the whole suite."""

import os

import pytest

pytest_plugins = ["tests.worlds.account", "tests.worlds.databases"]


def pytest_addoption(parser: pytest.Parser) -> None:
    witness = "hold the crossings of the deployed functions against the list of the crash matrix"
    parser.addoption("--witness", action="store_true", help=witness)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run of CI in which a test was skipped: what was not run was not shown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
