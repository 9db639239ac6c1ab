"""Runs over their steps: thin lines for seeds, a bold one for their median."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from coherence.figures.read import OK
from coherence.figures.style import DASHES, arm_looks, label_ends, running_median


def median_curve(data: pd.DataFrame, x: str, y: str, smooth: int = 1) -> "pd.Series[float]":
    """Median over seeds at each x that at least half of them reached, then the running median over `smooth` of them."""
    values = data.groupby(x)[y]
    median = values.median()[values.count() * 2 >= data["seed"].nunique()]
    return pd.Series(running_median(median, smooth), index=median.index)


def bold_curve(data: pd.DataFrame, x: str, y: str, smooth: int) -> "pd.Series[float]":
    """`median_curve` without its ends, where the running median has fewer than `smooth` values; all of a short one."""
    curve = median_curve(data, x, y, smooth)
    reach = smooth // 2 if len(curve) > smooth else 0
    return curve.iloc[reach : len(curve) - reach]


def draw_arms(ax: Axes, data: pd.DataFrame, x: str, y: str, smooth: int) -> dict[str, "pd.Series[float]"]:
    """Seeds and median of each arm from x = 0 to the last one; returns the bold lines."""
    bold = {}
    for arm, (colour, _) in arm_looks(data["arm"]).items():
        rows = data[data["arm"] == arm]
        draw_seeds(ax, rows, x, y, colour)
        bold[arm] = bold_curve(rows, x, y, smooth)
        ax.plot(bold[arm].index, bold[arm], color=colour)
    ax.set_xlim(0, float(data[x].max()))
    return bold


def name_arms(ax: Axes, bold: Mapping[str, "pd.Series[float]"], gap: float) -> None:
    """Each arm's name at the right, at the height of its bold line's end, `gap` (axis units) apart."""
    ends = {arm: (ax.get_xlim()[1], float(curve.iloc[-1])) for arm, curve in bold.items()}
    label_ends(ax, ends, {arm: colour for arm, (colour, _) in arm_looks(bold).items()}, gap)


def draw_seeds(ax: Axes, data: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """A thin line per seed, dashed where the run did not end `ok`."""
    for _, run in data.groupby("seed"):
        dashed = "-" if run["status"].iloc[0] == OK else DASHES
        ax.plot(run[x], run[y], color=colour, alpha=0.4, linewidth=0.6, linestyle=dashed)
