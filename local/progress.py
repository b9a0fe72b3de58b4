"""Terminal output: one line per step with its time."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from local.processes import StackError

# Texts may contain brackets, which rich must not take for markup.
_output = Console(markup=False, highlight=False, soft_wrap=True)
_errors = Console(markup=False, highlight=False, soft_wrap=True, stderr=True)


@dataclass(slots=True)
class Step:
    """A step under way; `text` may be extended with its result."""

    text: str


@contextlib.contextmanager
def step(text: str) -> Iterator[Step]:
    """Show a step under way, then its duration."""
    current, began = Step(text), time.monotonic()
    # In a log file a spinner is noise.
    spinner = _output.status(f"{text} …") if _output.is_terminal else contextlib.nullcontext()
    with spinner:
        yield current
    done(f"{current.text} ({time.monotonic() - began:.1f} s)")


def done(text: str) -> None:
    """Print a result."""
    _output.print(Text("✓ ", "green").append(text, "default"))


def note(text: str, *, style: str = "") -> None:
    """Print a line."""
    _output.print(text, style=style)


def complain(error: StackError) -> None:
    """Print an error and its remedy."""
    _errors.print(Text("✗ ", "red").append(str(error), "default"))
    _errors.print(f"  {error.remedy}")
