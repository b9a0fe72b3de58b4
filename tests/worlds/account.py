"""What a run used and how much it searched, told at its end."""

import pytest

_lines: dict[str, str] = {}


def tell(topic: str, line: str) -> None:
    """Have a line told at the end of the run; it takes the place of what was said of the topic."""
    _lines[topic] = line


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["account"] = _lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what one of pytest-xdist's processes had to tell."""
    _lines.update(getattr(node, "workeroutput", {}).get("account", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _lines.values():
        terminalreporter.write_line(line)
