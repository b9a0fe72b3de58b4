"""Facts about a test run, printed at its end: servers used, sinks searched."""

import pytest

_lines: dict[str, str] = {}


def tell(topic: str, line: str) -> None:
    """Print a line at the end of the run. A later line of the same topic replaces it."""
    _lines[topic] = line


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["account"] = _lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over the lines of one pytest-xdist worker."""
    _lines.update(getattr(node, "workeroutput", {}).get("account", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _lines.values():
        terminalreporter.write_line(line)
