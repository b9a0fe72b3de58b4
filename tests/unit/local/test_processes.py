"""The supervisor of the local stack: it must never lose, confuse or leave behind a process."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import processes
from local.paths import read_json, write_json
from local.processes import Service, StackError


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(processes, "STATE", tmp_path)
    monkeypatch.setattr(processes, "LOGS", tmp_path / "logs")
    yield
    processes.stop("thing", seconds=0)


def a_service(program: str, healthy: Callable[[], bool] = lambda: True) -> Service:
    command = [sys.executable, "-c", program]
    return Service(name="thing", command=command, healthy=healthy, start_seconds=10)


def a_running_service(program: str, ready: Path) -> int:
    """Start a service that creates the file `ready`, and return its pid."""
    service = a_service(program.format(ready=repr(str(ready))), healthy=ready.exists)
    processes.start(service)
    processes.wait_until_healthy(service)
    pid = processes.pid_of("thing")
    assert pid is not None
    return pid


_WAIT_FOR_A_SIGNAL = "import pathlib, signal; pathlib.Path({ready}).touch(); signal.pause()"
_IGNORE_SIGTERM = (
    "import pathlib, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path({ready}).touch(); [signal.pause() for _ in iter(int, 1)]"
)


def test_a_started_service_is_found_again_and_stopped(tmp_path: Path) -> None:
    pid = a_running_service(_WAIT_FOR_A_SIGNAL, tmp_path / "ready")

    assert processes.running() == ["thing"]
    assert processes.stop("thing")
    assert processes.running() == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_service_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    pid = a_running_service(_IGNORE_SIGTERM, tmp_path / "ready")

    processes.stop("thing", seconds=0.2)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_service_that_ends_at_once_shows_its_last_log_lines() -> None:
    service = a_service("raise SystemExit('no room on the disk')", healthy=lambda: False)
    processes.start(service)

    with pytest.raises(StackError, match="no room on the disk"):
        processes.wait_until_healthy(service)
    assert processes.running() == []


def test_health_is_not_believed_when_our_process_is_gone() -> None:
    service = a_service("pass", healthy=lambda: True)  # a stranger answers on its port

    assert not processes.is_healthy(service)


def test_a_reused_pid_is_not_taken_for_the_service(tmp_path: Path) -> None:
    write_json(tmp_path / "run" / "thing.json", {"pid": os.getpid(), "birth": "1"})

    assert processes.pid_of("thing") is None
    assert not processes.stop("thing")


def test_a_zombie_process_counts_as_dead(tmp_path: Path) -> None:
    pid = a_running_service(_WAIT_FOR_A_SIGNAL, tmp_path / "ready")

    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert processes.pid_of("thing") is None


def test_a_port_is_kept_until_a_foreign_process_takes_it(tmp_path: Path) -> None:
    first = processes.port_of("thing")
    assert processes.port_of("thing") == first

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first))
        stranger.listen()
        second = processes.port_of("thing")

    assert second != first
    assert read_json(tmp_path / "ports.json") == {"thing": second}


def test_a_port_that_our_own_process_has_is_kept(tmp_path: Path) -> None:
    port = processes.port_of("thing")
    a_running_service(_WAIT_FOR_A_SIGNAL, tmp_path / "ready")

    with socket.socket() as ours:
        ours.bind(("127.0.0.1", port))
        ours.listen()
        assert processes.port_of("thing") == port


def test_the_second_of_two_runs_waits_and_is_notified() -> None:
    order: list[str] = []
    notified = threading.Event()

    def second() -> None:
        with processes.exclusive("stack", when_waiting=notified.set):
            order.append("second")

    with processes.exclusive("stack"):
        thread = threading.Thread(target=second)
        thread.start()
        assert notified.wait(10)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, signal; from local import processes;"
        f"processes.STATE = pathlib.Path({str(tmp_path)!r})\n"
        "with processes.exclusive('stack'): print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()

        with processes.exclusive("stack"):
            assert holder.wait(10) == -signal.SIGKILL
