"""Unpack a Debian or Ubuntu package and its dependencies into a folder of our own.

Nothing is installed on the machine, so root is not needed. A server may need a newer C library than the
machine's: Debian 12 has no MySQL, and unstable's needs glibc 2.38. So each brings its own loader. Containers
would do the same, but this stack is for machines without them.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from local.paths import STATE
from local.processes import StackError, exclusive

# Needed only by scripts that we do not run; perl alone is half of a server's download.
_SCRIPTS = r"perl|perl-base|perl-modules-.*|libperl.*|libdb5\.3.*|libgdbm.*|libc-gconv.*"
# Drivers of graphics cards. The machine's own C library must stay: another one does not fit its loader.
_GRAPHICS = (
    r"libc6|libc-bin|libllvm.*|libz3-.*|libgl1-mesa-dri|mesa-.*|libcap2-bin|xkb-data|debconf.*"
)
_UNNEEDED = {"chromium": re.compile(f"{_SCRIPTS}|{_GRAPHICS}")}
_UNNEEDED_BY_SERVERS = re.compile(_SCRIPTS)
_APT_TIMEOUT_SECONDS = 300
_PACKAGE = {
    ("mysql", "debian"): "mysql-server-core",
    ("mysql", "ubuntu"): "mysql-server-core-8.0",
    ("mariadb", "debian"): "mariadb-server-core",
    ("mariadb", "ubuntu"): "mariadb-server-core",
    ("compose", "debian"): "docker-compose",
    ("compose", "ubuntu"): "docker-compose-v2",
    ("chromium", "debian"): "chromium-headless-shell",  # Ubuntu's is a snap, which does not unpack
}
_IN_UNSTABLE_ONLY = {("mysql", "debian"), ("compose", "debian")}  # Debian 12 has Compose 1
_REMEDY = {
    "mysql": "Install MySQL 8.0 or newer.",
    "mariadb": "Install MariaDB.",
    "compose": "Install docker-compose-plugin (Compose 2).",
    "chromium": "Install Google Chrome, or put another Chromium than a snap in PATH.",
}


def distribution() -> str | None:
    """Return `debian` or `ubuntu` where packages can be fetched, else None."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    release = platform.freedesktop_os_release()
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in names if name in ("ubuntu", "debian")), None)


def unpack(program: str, prefix: Path) -> bool:
    """Fetch a program of `_PACKAGE` into `prefix`, at most 100 MB. Return whether it was missing.

    Raises:
        StackError: apt could not fetch it, or there is no apt or no package.
    """
    with exclusive(prefix.name):
        if prefix.exists():
            return False
        system = distribution()
        package = _PACKAGE.get((program, system or ""))
        if package is None:
            raise StackError(
                f"{program} is not in PATH, and this machine's apt-get cannot fetch it.",
                remedy=_REMEDY[program],
            )
        draft = prefix.with_name(f"{prefix.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        apt = _Apt(draft / ".apt", from_unstable=(program, system) in _IN_UNSTABLE_ONLY)
        for archive in apt.fetch(package, without=_UNNEEDED.get(program, _UNNEEDED_BY_SERVERS)):
            unpacking = ["dpkg-deb", "-x", str(archive), str(draft)]
            subprocess.run(unpacking, check=True, timeout=_APT_TIMEOUT_SECONDS)
        for unused in (".apt", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(draft / unused, ignore_errors=True)
        draft.rename(prefix)
    return True


def command(prefix: Path, program: str) -> list[str]:
    """Return the command of an unpacked program, with its own loader and libraries."""
    loader = next(iter(sorted(prefix.glob("**/ld-linux-*.so.*"))))
    triplet = f"{platform.machine()}-linux-gnu"
    folders = [
        f"{root}/{triplet}{leaf}" for root in ("usr/lib", "lib") for leaf in ("", "/private")
    ]
    libraries = [str(prefix / folder) for folder in [*folders, "usr/lib/mysql/private"]]
    binary = str(prefix / program)
    return [str(loader), "--library-path", ":".join(libraries), "--argv0", binary, binary]


class _Apt:
    """apt-get with lists, cache and status of its own; the empty status makes it plan every dependency."""

    def __init__(self, folder: Path, *, from_unstable: bool) -> None:
        self._archives = folder / "cache" / "archives"
        self._log = folder.parent.parent / f"{folder.parent.name}-apt.log"
        self._archives.mkdir(parents=True)
        (folder / "lists" / "partial").mkdir(parents=True)
        (folder / "status").touch()
        settings = {
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Debug::NoLocking": 1,
            "Acquire::Languages": "none",
            "Acquire::Retries": 3,
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "APT::Install-Recommends": 0,
        }
        if from_unstable:
            keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
            sources = folder / "sources.list"
            sources.write_text(f"deb [signed-by={keyring}] {_mirror()} sid main\n")
            settings |= {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-"}
        self._command = [
            "apt-get",
            "-q",
            *(f"-o{name}={value}" for name, value in settings.items()),
        ]

    def fetch(self, package: str, *, without: re.Pattern[str]) -> list[Path]:
        """Download a package and its dependencies without some, and return the archives."""
        self._run("update")
        plan = self._run("-y", "--print-uris", "install", package)
        names = {
            line.split()[1].partition("_")[0] for line in plan.splitlines() if line.startswith("'")
        }
        self._run("download", *sorted(name for name in names if not without.fullmatch(name)))
        return sorted(self._archives.glob("*.deb"))

    def _run(self, *arguments: str) -> str:
        result = subprocess.run(
            [*self._command, *arguments],
            cwd=self._archives,
            capture_output=True,
            text=True,
            timeout=_APT_TIMEOUT_SECONDS,
        )
        if result.returncode:
            self._log.write_text(result.stdout + result.stderr)
            raise StackError(
                f"`apt-get {' '.join(arguments)}` failed.",
                remedy=f"Check the network and /etc/apt, then see {self._log}.",
            )
        return result.stdout


def _mirror() -> str:
    """Return the mirror in this machine's apt settings."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=_APT_TIMEOUT_SECONDS,
    )
    mirrors = [target for target in listing.stdout.split() if "security" not in target]
    if not mirrors:
        raise StackError(
            f"The settings of apt name no Debian mirror. {listing.stderr.strip()}".strip(),
            remedy="Add one to /etc/apt/sources.list, or put mysqld in PATH.",
        )
    return mirrors[0]


def main(engine: str) -> int:
    """Fetch a server if apt can, before any Python package is installed."""
    began = time.monotonic()
    try:
        if distribution() and unpack(engine, STATE / f"{engine}-server"):
            print(f"✓ {engine} server unpacked ({time.monotonic() - began:.0f} s)")
    except StackError as error:
        print(f"\n✗ {error}\n  {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
