"""Files by which tools of this machine talk to the executor of the functions."""

from pathlib import Path

MARK = ".edited"  # in the folder of a function or a layer: its processes start again
DEBUGGED = "debug"  # folder with a file for each function that waits for a debugger


def edited_at(folders: list[Path]) -> tuple[int, ...]:
    """Return the time of the mark in each folder, 0 where there is none."""
    marks = (folder / MARK for folder in folders)
    return tuple(mark.stat().st_mtime_ns if mark.exists() else 0 for mark in marks)
