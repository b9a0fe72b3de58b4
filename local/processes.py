"""Start, find again and stop the processes of the stack, across runs of the command.

A service is a detached process and a file with its pid. `make run` must do its work and leave, while
supervisor, circus and honcho stay in the foreground or bring a daemon.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.paths import LOGS, STATE, read_json, write_json

_POLL_SECONDS = 0.05
_ASKED_TIMES = 3
_LOG_LINES_SHOWN = 12
_children: dict[str, subprocess.Popen[bytes]] = {}  # of this run, reaped when they end


class StackError(Exception):
    """A failure that the user can act on, with its remedy."""

    def __init__(self, happened: str, *, remedy: str) -> None:
        super().__init__(happened)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A long-running process of the stack."""

    name: str
    command: Sequence[str]
    healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 60

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"


def _birth(pid: int) -> str | None:
    """Return the time at which the kernel started a process. With the pid it identifies the process for ever.

    Return `None` if the process is gone or a zombie.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(  # no /proc: macOS
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10
    ).stdout.strip()
    return None if not listed or listed.startswith("Z") else listed.partition(" ")[2].strip()


def _pid_file(name: str) -> Path:
    return STATE / "run" / f"{name}.json"


def identity(name: str) -> str | None:
    """Return an identifier of the running process of a service, else `None`."""
    known = read_json(_pid_file(name))
    pid, birth = known.get("pid"), known.get("birth")
    return f"{pid}@{birth}" if pid and birth and _birth(pid) == birth else None


def pid_of(name: str) -> int | None:
    """Return the pid of a running service, else `None`."""
    running = identity(name)
    return int(running.partition("@")[0]) if running else None


def running() -> list[str]:
    """Return the names of the running services."""
    return sorted(path.stem for path in _pid_file("*").parent.glob("*.json") if pid_of(path.stem))


def start(service: Service) -> None:
    """Stop an earlier process of a service, then start it without waiting for it."""
    stop(service.name)
    LOGS.mkdir(parents=True, exist_ok=True)
    with service.log.open("wb") as log:
        process = _children[service.name] = subprocess.Popen(
            service.command,
            env={**os.environ, **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # the Ctrl-C of `make logs` or `make run` must not reach it
        )
    write_json(_pid_file(service.name), {"pid": process.pid, "birth": _birth(process.pid)})


def wait_until_healthy(service: Service) -> None:
    """Wait for a started service.

    Raises:
        StackError: it ended, or was not healthy in time; its last log lines are in the message.
    """
    deadline = time.monotonic() + service.start_seconds
    while time.monotonic() < deadline:
        alive = _reap(service.name)
        if alive and service.healthy():
            return
        if not alive:
            break
        time.sleep(_POLL_SECONDS)
    lines = service.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    stop(service.name)
    raise StackError(
        "\n    ".join([f"{service.name} did not start. Its last log lines:", *lines]),
        remedy=f"Read {service.log}, then run the command again.",
    )


def _reap(name: str) -> bool:
    """Return whether a service runs, and reap it if it is our child and ended."""
    if name in _children and _children[name].poll() is not None:
        del _children[name]
    return identity(name) is not None


def is_healthy(service: Service) -> bool:
    """Return whether the service runs as the process we started and answers. Try a busy one again."""
    alive = identity(service.name) is not None
    return alive and any(service.healthy() for _ in range(_ASKED_TIMES))


def stop(name: str, *, seconds: float = 20) -> bool:
    """End a service: SIGTERM, then SIGKILL to its whole group after `seconds`. Return whether it ran."""
    pid = pid_of(name)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while _reap(name) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if identity(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            while _reap(name):
                time.sleep(_POLL_SECONDS)
    if child := _children.pop(name, None):
        child.wait()
    _pid_file(name).unlink(missing_ok=True)
    return pid is not None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _choose_port(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def port_of(name: str) -> int:
    """Return the port of a service; choose another if a foreign process has taken it."""
    with exclusive("ports"):
        path = STATE / "ports.json"
        ports = read_json(path)
        port = ports.get(name)
        if port is None or (identity(name) is None and not _is_free(port)):
            ports[name] = _choose_port(set(ports.values()))
            write_json(path, ports)
        return int(ports[name])


@contextlib.contextmanager
def exclusive(name: str, *, when_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock that one process of this stack can have; it ends with the process."""
    path = STATE / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if when_waiting:
                when_waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
