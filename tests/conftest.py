"""Rules of the whole suite."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.account", "tests.databases"]


def pytest_addoption(parser: pytest.Parser) -> None:
    witness = "hold the crossings of the deployed functions against the list of the crash matrix"
    parser.addoption("--witness", action="store_true", help=witness)


class _StackTogether(LoadScopeScheduling):
    """A module is never shared out, and the stack's tests are one process's.

    `--dist=loadgroup` does nothing under pytest 9.2: github.com/pytest-dev/pytest-xdist/issues/1386.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _StackTogether(config, log)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run of CI in which a test was skipped: what was not run was not shown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
