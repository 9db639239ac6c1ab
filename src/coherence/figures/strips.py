"""A line per arm, and on it two kinds of marks: one filled, one open; bars for intervals, small dots for seeds."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from coherence.figures.read import OK
from coherence.figures.style import arm_looks, arm_name

OFFSET = 0.18
"""Of the filled marks above the middle of a line, and of the open ones below it (lines are 1 apart)."""


def draw_pairs(ax: Axes, data: pd.DataFrame, arms: Iterable[str], column: str, filled: str, hollow: str) -> Axes:
    """Estimates with intervals (rows without a seed) and each seed's own, for two values of a column.

    Arms without rows keep their line empty. A seed whose run did not end `ok` is a cross.
    """
    looks = arm_looks(arms)
    for y, (arm, (colour, marker)) in enumerate(looks.items()):
        for value, offset, face in ((filled, -OFFSET, colour), (hollow, OFFSET, "white")):
            rows = data[(data["arm"] == arm) & (data[column] == value)]
            if len(rows):
                _interval(ax, rows, y + offset, colour, marker, face)
    name_rows(ax, [arm_name(arm) for arm in looks])
    return ax


def _interval(ax: Axes, rows: pd.DataFrame, y: float, colour: str, marker: str, face: str) -> None:
    whole, seeds = rows[rows["seed"].isna()].iloc[0], rows[rows["seed"].notna()]
    ax.plot([whole["low"], whole["high"]], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
    for value, is_odd in zip(seeds["estimate"], seeds["status"] != OK, strict=True):
        ax.plot(value, y + 0.13, "x" if is_odd else ".", color=colour, markersize=3 if is_odd else 2, clip_on=False)
    ax.plot(whole["estimate"], y, marker=marker, color=colour, markerfacecolor=face, markersize=4, clip_on=False)


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """A named line for each name, the first on top, faint rules between them."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for y in range(len(names) - 1):
        ax.axhline(y + 0.5, color="#eeeeee", linewidth=0.6, zorder=0)


def unit_axis(ax: Axes, label: str) -> None:
    """An x axis from 0 to 1."""
    ax.set_xlim(-0.03, 1.03)
    ax.set_xticks([0, 0.5, 1])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel(label)
