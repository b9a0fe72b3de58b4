"""Commands of `ops`, run for the console with their own checks, words and history lines."""

import io
import shlex
from contextlib import redirect_stdout
from dataclasses import dataclass

import click

from ops.desk import Desk

# Every command that a page may run. Each asks on a page before it acts.
ALLOWED = ("nudge", "cancel", "review resolve", "mail resend", "token reissue")


@dataclass(frozen=True, slots=True)
class Done:
    """The output of a command, or the reason of its refusal."""

    refused: bool
    text: str


def allowed(command: str) -> list[str] | None:
    """Return the words of a command that a page may run, else `None`."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    known = any(words[: len(name.split())] == name.split() for name in ALLOWED)
    return words if known and not {"--as", "--yes"} & set(words) else None


def run(desk: Desk, words: list[str], *, role: str) -> Done:
    from ops.__main__ import ops

    output = io.StringIO()
    sure = ["--yes"] if words[0] == "cancel" else []  # a page has asked
    try:
        with redirect_stdout(output):
            ops.main(
                ["--stage", "of-the-console", *words, *sure, "--as", role],
                prog_name="ops",
                standalone_mode=False,
                obj=desk,
            )
    except click.ClickException as error:
        return Done(refused=True, text=error.format_message())
    return Done(refused=False, text=output.getvalue())
