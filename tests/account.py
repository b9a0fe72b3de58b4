"""What a run used and how much it searched, told at its end, from each of its processes."""

from typing import Any

import pytest

_lines: dict[str, str] = {}
_of_other_processes: list[str] = []


def tell(topic: str, line: str) -> None:
    """Have a line told at the end of the run; it takes the place of what was said of the topic."""
    _lines[topic] = line


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["account"] = list(_lines.values())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _of_other_processes.extend(getattr(node, "workeroutput", {}).get("account", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in sorted({*_lines.values(), *_of_other_processes}):
        terminalreporter.write_line(line)
