"""Rules of the whole suite."""

import os

import pytest

from local.paths import ROOT

pytest_plugins = ["tests.account", "tests.databases"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In two processes, the stack's tests are one's and a module is never shared out."""
    for item in items:
        of_the_stack = item.path.is_relative_to(ROOT / "tests" / "e2e")
        group = "stack" if of_the_stack else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run of CI in which a test was skipped: what was not run was not shown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
