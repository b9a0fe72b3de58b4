"""Find a headless Chromium, or unpack Debian's into `.local/`: `python -m local.browser` prints its path.

Playwright, which drives it, has an environment of its own: `make run` needs neither.
"""

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from local.paths import STATE, VENVS
from local.private_packages import unpack
from local.processes import StackError

_NAMES = ("chromium-headless-shell", "google-chrome", "google-chrome-stable", "chromium")
_PREFIX = STATE / "chromium"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{prefix}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{prefix}/font-cache</cachedir>
</fontconfig>
"""
_LAUNCHER = """#!/bin/sh
export LD_LIBRARY_PATH='{libraries}' FONTCONFIG_FILE='{prefix}/fonts.conf'
exec '{binary}' "$@"
"""


def chromium() -> Path:
    """Return a command that starts Chromium, the machine's or our own.

    Raises:
        StackError: there is none, and apt cannot fetch one.
    """
    for found in filter(None, map(shutil.which, _NAMES)):
        if "snap" not in Path(found).resolve().parts:  # a snap cannot read `.local/`
            return Path(found)
    launcher = _PREFIX / "headless-chromium"
    unpack("chromium", _PREFIX)
    if not launcher.exists():
        _prepare(launcher)
    return launcher


def use_our_node() -> None:
    """Let Playwright run on the Node of `make node-tools`: its own needs libraries that a bare machine lacks."""
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(VENVS / "node" / "bin" / "node")


def playwright() -> Any:
    """Return Playwright's synchronous API.

    Raises:
        StackError: it is not installed.
    """
    packages = next(VENVS.glob("browser/lib/python*/site-packages"), None)
    if packages is None:
        raise StackError("Playwright is not installed.", remedy="Run: make browser-tools")
    use_our_node()
    if str(packages) not in sys.path:
        sys.path.append(str(packages))
    return importlib.import_module("playwright.sync_api")


def _prepare(launcher: Path) -> None:
    """Write a launcher that gives an unpacked Chromium its libraries and fonts."""
    binary = next(_PREFIX.glob("usr/lib/chromium/chromium-headless-shell"))
    folders = sorted({path.parent for path in _PREFIX.glob("**/*.so*") if path.is_file()})
    (_PREFIX / "fonts.conf").write_text(_FONTS.format(prefix=_PREFIX))
    text = _LAUNCHER.format(libraries=":".join(map(str, folders)), prefix=_PREFIX, binary=binary)
    draft = launcher.with_suffix(f".{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(launcher)


if __name__ == "__main__":
    try:
        print(chromium())
    except StackError as error:
        print(f"✗ {error}\n  {error.remedy}", file=sys.stderr)
        sys.exit(1)
