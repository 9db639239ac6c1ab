"""Draw every arm against its control: accuracy, coherence, and what became of the groups."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.contrasts import GREEDY, HELDOUT_PHI, SAMPLED, by_seed, pick
from coherence.figures.strips import name_rows

PANELS = {
    GREEDY: "right: greedy",
    SAMPLED: "sampled",
    HELDOUT_PHI: r"$\Phi$",
    "distinct": "distinct",
    "zero_variance": "none/all right",
}
"""Differences that are drawn, and what they are of."""


@style.paper_style()
def draw(data: pd.DataFrame, against: Mapping[str, str]) -> Figure:
    """One line per arm, one panel per quantity: the paired difference to its control with interval, seeds as dots."""
    arms = ordered(data, against)
    figure = style.new_figure(style.DOUBLE, 0.75 + 0.19 * len(arms))
    axes = figure.subplots(1, len(PANELS))
    for letter, ax, (quantity, title) in zip("abcde", axes, PANELS.items(), strict=True):
        draw_differences(ax, data, arms, against, quantity)
        style.title(ax, letter, title)
        name_rows(ax, [rf"{arm} $-$ {against[arm]}" for arm in arms] if ax is axes[0] else [""] * len(arms))
    return figure


def ordered(data: pd.DataFrame, against: Mapping[str, str]) -> list[str]:
    """The arms that have a control, in the order in which the config names them."""
    present = set(data.loc[data["group"] == "arm", "arm"])
    return [arm for arm in against if arm in present]


def draw_differences(ax: Axes, data: pd.DataFrame, arms: list[str], against: Mapping[str, str], quantity: str) -> Axes:
    """Differences of one quantity; an interval that holds no zero is drawn dark. An arm without a run to average: a
    cross at zero."""
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    for y, arm in enumerate(arms):
        row = pick(data, arm, quantity, against[arm])
        if row is None:
            ax.plot(0, y, "x", color=style.MUTED, markersize=4)
            continue
        colour = style.INK if row["low"] > 0 or row["high"] < 0 else style.MUTED
        dots = by_seed(data, arm, quantity, against[arm])
        ax.plot(dots, [y + 0.28] * len(dots), ".", color=colour, markersize=2)
        ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
        ax.plot(row["estimate"], y, "o", color=colour, markersize=3.5)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.locator_params(axis="x", nbins=4)
    return ax
