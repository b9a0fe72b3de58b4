"""Say what this machine lacks for the stack, and how to get it: `python3 -m local.doctor`.

The standard library is enough, as nothing is set up yet.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # an older one may run this, and not the modules below
    sys.exit(
        f"✗ Python {sys.version.split()[0]}\n"
        "    Install Python 3.11 or newer, or: make run PYTHON=/path/to/python3.11"
    )

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local.paths import ROOT, STATE

_NEEDED_MB = 2500
_MEMORY_MB = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """A need of the stack. `remedy` is empty if it is met. Only `required` ones stop `make run`."""

    need: str
    remedy: str = ""
    required: bool = True


def findings() -> Iterator[Finding]:
    """Check each need of the stack on this machine."""
    yield _python()
    yield _program("git", "sudo apt-get install git")
    yield _program("make", "sudo apt-get install make")
    yield _system()
    yield _disk()
    yield _memory()
    yield _written()
    yield _set_up()
    yield _running()
    yield _compose()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        import ensurepip  # noqa: F401  # Debian packs it apart
        import venv  # noqa: F401
    except ImportError:
        major, minor = sys.version_info[:2]
        return Finding(
            f"Python {version} without venv", f"sudo apt-get install python{major}.{minor}-venv"
        )
    return Finding(f"Python {version}")


def _program(name: str, remedy: str) -> Finding:
    return Finding(name, "" if shutil.which(name) else remedy)


def _system() -> Finding:
    """MySQL comes from packages of Debian or Ubuntu, unpacked without root."""
    system = f"{platform.system()} {platform.machine()}"
    if platform.system() not in ("Linux", "Darwin"):
        return Finding(system, "Use Linux, macOS or WSL.")
    servers = [(STATE / f"{engine}-server").exists() for engine in ("mysql", "mariadb")]
    if any(servers) or shutil.which("apt-get") or shutil.which("mysqld"):
        return Finding(system)
    return Finding(f"{system} without apt-get", "Install mysqld, or use Docker: make compose-up")


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free // 2**20
    enough = free >= _NEEDED_MB or (STATE / "venvs").exists()
    return Finding(
        f"{free} MB free on the disk",
        "" if enough else f"Free {_NEEDED_MB} MB: the first run needs them.",
    )


def _memory() -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return Finding("memory not measured", required=False)
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    free = kilobytes // 1024
    return Finding(
        f"{free} MB of memory free",
        "" if free >= _MEMORY_MB else "Close other programs: the stack takes 2 GB.",
        required=False,
    )


def _written() -> Finding:
    """A run of another user leaves files that this one cannot write."""
    foreign = STATE.exists() and not os.access(STATE, os.W_OK)
    return Finding(
        ".local is ours",
        f"sudo chown -R {os.environ.get('USER', '$USER')} .local .venv" if foreign else "",
    )


def _set_up() -> Finding:
    environments = [
        ROOT / ".venv",
        *(STATE / "venvs" / name for name in ("localstack", "lambda", "sam")),
    ]
    lacking = [each.name for each in environments if not (each / "stamp").exists()]
    return Finding(
        "packages",
        f"make up installs them: {', '.join(lacking)}" if lacking else "",
        required=False,
    )


def _running() -> Finding:
    from local.processes import running

    parts = running()
    return Finding(
        f"running: {', '.join(parts) or 'nothing'}", "" if parts else "make up", required=False
    )


def _compose() -> Finding:
    """Only the targets with containers need it."""
    works = (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    )
    return Finding(
        "docker compose",
        "" if works else "Only for make compose-up: install docker-compose-plugin",
        required=False,
    )


def main(say: Callable[[str], object] = print) -> int:
    """Print each need. The exit status is 1 if a required one is not met."""
    found = list(findings())
    for each in found:
        mark = "✓" if not each.remedy else "✗" if each.required else "–"
        say(f"{mark} {each.need}" + (f"\n    {each.remedy}" if each.remedy else ""))
    return 1 if any(each.required and each.remedy for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
