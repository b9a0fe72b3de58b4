"""The tables of a run."""

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.conformance.orders import Orders
from tools.conformance.verdicts import Row, Verdict

_STYLE = {Verdict.HOLDS: "green", Verdict.BROKEN: "bold red", Verdict.NOT_OBSERVABLE: "yellow"}
_WIDTH = 160  # of a table in a file or a pipe
_SEEN_LIMIT = 300

progress_console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def progress(provider: str, number: int, count: int, row: Row) -> None:
    """Print one line for a promise that was tested."""
    line = Text(f"{provider} {number:>2}/{count} {row.promise.name}: ")
    progress_console.print(line.append(row.verdict, _STYLE[row.verdict]))


def note(text: str) -> None:
    progress_console.print(text)


def print_table(orders: Orders, rows: Sequence[Row], left: Sequence[str]) -> None:
    """Print the promises of one provider, the totals, and everything that could not be undone."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDTH)
    title = f"{orders.provider}: {orders.api.url}"
    table = Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD)
    table.add_column("Name", no_wrap=True)
    table.add_column("Promise", ratio=5)
    table.add_column("Result", no_wrap=True)
    table.add_column("Seen", ratio=4)
    table.add_column("We lose without it", ratio=4)
    for row in rows:
        promise = row.promise
        table.add_row(
            promise.name,
            promise.says.format(noun=orders.noun),
            Text(row.verdict, _STYLE[row.verdict]),
            printable(row.seen),
            promise.loss.format(noun=orders.noun),
        )
    console.print(table)
    totals = Counter(row.verdict for row in rows)
    console.print(", ".join(f"{totals[verdict]} {verdict}" for verdict in Verdict))
    count = f"{len(orders.answered)} {orders.noun}s made by {orders.api.requests} requests"
    console.print(f"{count}; {'not undone:' if left else 'all undone'}")
    for line in left:
        console.print(f"  {printable(line)}")


def printable(text: str) -> str:
    """Return a provider's words without control characters, cut at a limit."""
    plain = "".join(sign if sign.isprintable() else "�" for sign in text)
    return plain if len(plain) <= _SEEN_LIMIT else f"{plain[:_SEEN_LIMIT]}…"
