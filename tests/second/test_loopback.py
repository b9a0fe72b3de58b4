"""The second emulator takes no connection from another machine."""

import contextlib
import re
from pathlib import Path

from local import processes
from tests.e2e.travel import Json

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def listening(pid: int) -> set[str]:
    """Addresses on which a process listens, as the kernel writes them."""
    links = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(file.readlink()))
    own = {found[1] for each in links if (found := re.fullmatch(r"socket:\[(\d+)\]", each))}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == LISTENING and row[9] in own}


def test_the_emulator_listens_on_loopback_only(stack: Json) -> None:
    pid = processes.pid_of("ministack")
    assert pid

    addresses = listening(pid)

    assert addresses
    assert addresses <= LOOPBACK
