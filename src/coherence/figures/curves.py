"""Runs over their steps: thin lines for seeds, a bold one for their median."""

import pandas as pd
from matplotlib.axes import Axes

from coherence.figures.read import OK
from coherence.figures.style import DASHES, arm_looks, running_median


def median_curve(data: pd.DataFrame, x: str, y: str, smooth: int = 1) -> "pd.Series[float]":
    """Median over seeds at each x that at least half of them reached, then the running median over `smooth` of them."""
    values = data.groupby(x)[y]
    median = values.median()[values.count() * 2 >= data["seed"].nunique()]
    return pd.Series(running_median(median, smooth), index=median.index)


def settled(curve: "pd.Series[float]", smooth: int) -> "pd.Series[float]":
    """The curve without its ends, where the running median has fewer than `smooth` values; all of a short curve."""
    reach = smooth // 2 if len(curve) > smooth else 0
    return curve.iloc[reach : len(curve) - reach]


def draw_arms(ax: Axes, data: pd.DataFrame, x: str, y: str, smooth: int) -> dict[str, "pd.Series[float]"]:
    """Seeds and median of each arm; returns the bold lines."""
    bold = {}
    for arm, (colour, _) in arm_looks(data["arm"]).items():
        rows = data[data["arm"] == arm]
        draw_seeds(ax, rows, x, y, colour)
        bold[arm] = settled(median_curve(rows, x, y, smooth), smooth)
        ax.plot(bold[arm].index, bold[arm], color=colour)
    return bold


def draw_seeds(ax: Axes, data: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """A thin line per seed, dashed where the run did not end `ok`."""
    for _, run in data.groupby("seed"):
        dashed = "-" if run["status"].iloc[0] == OK else DASHES
        ax.plot(run[x], run[y], color=colour, alpha=0.4, linewidth=0.6, linestyle=dashed)
