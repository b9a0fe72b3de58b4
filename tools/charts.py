"""Draws the plots of docs/07 and docs/08 as SVG: `python -m tools.charts DETAILS FOLDER`, in the environment `load`."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK, BRAND, ACCENT, MUTED = "#17252A", "#0B4F5C", "#C2571A", "#9FB3B8"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3EAEC",
    "svg.hashsalt": "reservations",  # equal figures give equal files
    "svg.fonttype": "none",
    "figure.constrained_layout.use": True,
}
_PALETTE = (BRAND, ACCENT, "#5B8C5A", "#7A5C99", MUTED, INK)


def bars(axes: Axes, chart: dict[str, Any]) -> None:
    """Horizontal bars: the median of each contestant, with its quartiles as a line."""
    names = list(chart["bars"])
    low, middle, high = zip(*(chart["bars"][name] for name in names), strict=True)
    errors = [
        [m - a for m, a in zip(middle, low, strict=True)],
        [b - m for m, b in zip(middle, high, strict=True)],
    ]
    colors = [ACCENT if name in chart.get("ours", ()) else MUTED for name in names]
    axes.barh(names, middle, xerr=errors, color=colors, ecolor=INK, capsize=3, height=0.6)
    for place, value in enumerate(middle):
        axes.annotate(
            f"{value:.3g}",
            (high[place], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def lines(axes: Axes, chart: dict[str, Any]) -> None:
    """Lines over a common axis. Spans mark times of a fault."""
    for color, (name, points) in zip(_PALETTE, chart["lines"].items(), strict=False):
        axes.plot(
            [x for x, _ in points], [y for _, y in points], label=name, color=color, linewidth=1.5
        )
    for name, began, ended in chart.get("spans", ()):
        axes.axvspan(began, ended, color=ACCENT, alpha=0.12, linewidth=0, label=name)
    if chart.get("log"):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))


def draw(charts: dict[str, Any], folder: Path) -> None:
    """Draw each chart into a file of its name. A chart has one part or several, one below the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in charts.items():
        parts = chart["parts"]
        height = sum(part.get("height", 2.4) for part in parts)
        figure, places = plt.subplots(len(parts), figsize=(8, height), squeeze=False)
        for axes, part in zip(places[:, 0], parts, strict=True):
            (bars if "bars" in part else lines)(axes, part)
            axes.set_title(part["title"], loc="left", fontsize=10, color=INK)
            axes.set_xlabel(part.get("x", ""))
            axes.set_ylabel(part.get("y", ""))
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def main(details: str, folder: str) -> None:
    mpl.use("svg")
    with mpl.rc_context(_STYLE):
        draw(json.loads(Path(details).read_text(encoding="utf-8"))["charts"], Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
