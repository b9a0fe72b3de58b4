"""What the person at the keyboard sees: one line per step with its time."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from local.processes import StackError

console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Step:
    """A step under way; `text` may be made more telling when its result is known."""

    text: str


@contextlib.contextmanager
def step(text: str) -> Iterator[Step]:
    """Show what is under way, and how long it took when it is done."""
    current, began = Step(text), time.monotonic()
    # In a log file a spinner is noise.
    spinner = console.status(f"{text} …") if console.is_terminal else contextlib.nullcontext()
    with spinner:
        yield current
    note(f"[green]✓[/green] {current.text} ({time.monotonic() - began:.1f} s)")


def note(text: str) -> None:
    """Print a line."""
    console.print(text)


def complain(error: StackError) -> None:
    """Print what happened and what to do."""
    _errors.print(f"[red]✗[/red] {error}", markup=True)
    _errors.print(f"  {error.remedy}", markup=False)
