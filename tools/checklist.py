"""The orchestrator's daily checklist on one screen: `make checklist`. Section 8 of the founding document.

The first three parts read the repository. The others read the running stack, if there is one.
"""

import json
import os
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import EndpointConnectionError

from local import deployment
from local.paths import ROOT, STATE
from local.progress import note
from tools import coverage_floors, documents, gates

BACKLOG = ROOT / "docs" / "backlog.md"
_DAY_MS = 24 * 60 * 60 * 1000
_MOST_EVENTS = 20_000
_SHOWN = 5
_RETRIES = ("ProviderNoAnswer", "ProviderNotSent", "HintFailed", "MailNotSent", "MailUnknown")
_BASE = ("ReservationAccepted", "VoucherIssued", "MailSent", "RequestUnavailable", "UnhandledError")
_PROOFS = re.compile(r"make (simulate|crash-matrix|mutation|chaos)")


def backlog(text: str) -> list[str]:
    """The open items of the backlog."""
    return re.findall(r"^- \[ \] (.+)$", text, re.MULTILINE)


def pending() -> Iterator[str]:
    """Gates and backlog."""
    rows, known = list(gates.criteria()), gates.results()
    waiting = [row.id for row in rows if row.is_pending]
    failed = [row.id for row in rows if row.check in known and not known[row.check].passed]
    yield f"{len(waiting)} criteria wait: {', '.join(waiting)}"
    yield f"failed at their last run: {', '.join(failed) or 'none'}"
    items = backlog(BACKLOG.read_text(encoding="utf-8"))
    yield f"{len(items)} items in docs/backlog.md; first: {items[0] if items else 'none'}"


def documented() -> Iterator[str]:
    """Documents against code."""
    stale = [str(path.relative_to(ROOT)) for path in documents.outdated()]
    yield f"generated parts that differ from the code: {', '.join(stale) or 'none'} (make docs)"


def proven() -> Iterator[str]:
    """Tests and coverage, by the last runs on this machine."""
    known = gates.results()
    tests = [each for check, each in known.items() if "pytest" in check]
    passed = sum(each.passed for each in tests)
    ran = f"{passed} of {len(tests)} passed" if tests else "none ran here"
    yield f"checks with tests: {ran} (make gates RUN=all)"
    yield from covered()
    for check, result in known.items():
        if _PROOFS.match(check):
            yield f"{check}: {'passed' if result.passed else 'FAILED'} at {result.commit}"


def covered(path: Path = coverage_floors.KEPT) -> Iterator[str]:
    """The last measure of coverage, by layer."""
    if not path.exists():
        yield "coverage: never measured here (make coverage)"
        return
    last = json.loads(path.read_text())
    yield f"coverage at {last['commit']}, {last['at']}:"
    yield from (" ".join(row.split()) for row in last["rows"])


def events() -> list[dict[str, Any]] | None:
    """The log lines of the functions in the last day; `None` without a running stack."""
    file = STATE / "stack.json"
    if not file.exists():
        return None
    endpoint = json.loads(file.read_text())["aws_endpoint_url"]
    try:
        logs = deployment.client("logs", endpoint)
        groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    except EndpointConnectionError:
        return None
    since = int(time.time() * 1000) - _DAY_MS
    found: list[dict[str, Any]] = []
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"], startTime=since
        )
        for page in pages:
            lines = (each["message"] for each in page["events"])
            found += [json.loads(line) for line in lines if line.startswith("{")]
            if len(found) > _MOST_EVENTS:
                return found
    return found


def counted(lines: list[dict[str, Any]]) -> Counter[str]:
    """How often each of our metrics was counted (CloudWatch embedded metric format)."""
    return Counter(
        metric["Name"]
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
    )


def errors(lines: list[dict[str, Any]]) -> Iterator[str]:
    """The last errors."""
    bad = [line for line in lines if line.get("level") in ("ERROR", "CRITICAL")]
    for line in bad[-_SHOWN:]:
        yield f"{line.get('timestamp')} {line.get('function_name')}: {line.get('message')}"
    yield f"{len(bad)} errors in the last day"


def of_metrics(lines: list[dict[str, Any]], names: tuple[str, ...]) -> Iterator[str]:
    counts = counted(lines)
    yield ", ".join(f"{name} {counts[name]}" for name in names)


def parts() -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each part, in the order of the founding document."""
    lines = events()
    down = ["the stack is down: make up"]
    yield "Gates and backlog", list(pending())
    yield "Documents against code", list(documented())
    yield "Last errors", down if lines is None else list(errors(lines))
    yield "Timeouts and retries", down if lines is None else list(of_metrics(lines, _RETRIES))
    yield "Base metrics", down if lines is None else list(of_metrics(lines, _BASE))
    yield "Tests and coverage", list(proven())


def main() -> int:
    now, commit = gates.now_and_commit()
    note(f"{now}, {commit}, load {os.getloadavg()[0]:.1f}")
    for number, (title, lines) in enumerate(parts(), start=1):
        note(f"{number}. {title}", style="bold")
        for line in lines:
            note(textwrap.fill(line, 80, initial_indent="   ", subsequent_indent="     "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
