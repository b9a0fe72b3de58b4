"""Writes the measured part of docs/08-performance.md and its plots."""

import re
import subprocess

from local.paths import ROOT, VENVS
from tools.bench.report import DETAILS, Figures, markdown

DOCUMENT = ROOT / "docs" / "08-performance.md"
PLOTS = ROOT / "docs" / "graficas"
_PART = re.compile(r"(<!-- medido:banco -->\n).*?(<!-- /medido -->)", re.DOTALL)


def write(figures: Figures, conditions: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    plots = "\n".join(f"![{name}](graficas/{name}.svg)" for name in figures.charts)
    body = f"Orden: `make bench`. {conditions}.\n\n{markdown(figures.tables)}\n{plots}\n"
    DOCUMENT.write_text(_PART.sub(lambda found: found[1] + body + found[2], text), encoding="utf-8")
    python = VENVS / "load" / "bin" / "python"
    subprocess.run([python, "-m", "tools.charts", DETAILS, PLOTS], cwd=ROOT, check=True)
