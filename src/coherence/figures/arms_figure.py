"""Draw the arms on the held-out split: accuracy per family, differences, and coherence against accuracy."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.arms import ALL, DIFFERENCE, both_modes, by_seed, pooled
from coherence.figures.strips import OFFSET, draw_pairs, unit_axis

OFFSETS = {"greedy": -OFFSET, "sampled": OFFSET}
MOST_PANELS = 2
"""Families drawn one by one; with more, only all items together."""


@style.paper_style()
def draw(data: pd.DataFrame, reference: str) -> Figure:
    """Strict accuracy per family, its difference to the reference, and CARL against accuracy."""
    shown = shown_families(data)
    figure = style.new_figure(style.DOUBLE, 2.35)
    axes = figure.subplots(1, len(shown) + 2, width_ratios=[1] * (len(shown) + 1) + [1.45])
    letters = iter("abcdef")
    for ax, family in zip(axes, shown, strict=False):
        draw_pairs(ax, both_modes(data, "strict", family), data["arm"], "mode", "greedy", "sampled")
        unit_axis(ax, "strict accuracy")
        style.title(ax, next(letters), "all items" if family == ALL else family)
    name_modes(axes[0], data, shown[0])
    draw_difference(axes[-2], data, reference)
    style.title(axes[-2], next(letters), f"minus {style.arm_name(reference)}")
    for ax in axes[1:-1]:
        ax.set_yticklabels([])
    draw_trap(axes[-1], data)
    style.title(axes[-1], next(letters), "coherence and accuracy")
    return figure


def shown_families(data: pd.DataFrame) -> list[str]:
    """The families that have a panel of their own, or all items."""
    own = [family for family in data["family"].unique() if family != ALL]
    return own if 0 < len(own) <= MOST_PANELS else [ALL]


def name_modes(ax: Axes, data: pd.DataFrame, family: str) -> Axes:
    """`greedy` and `sampled` beside the first arm's two marks, in place of a legend."""
    arm = next(iter(style.arm_looks(data["arm"])))
    for mode, offset in OFFSETS.items():
        values = pooled(data, arm, "strict", mode, family)
        if values["estimate"] > 0.5:
            style.beside(ax, mode, (values["low"], offset), "left", style.MUTED)
        else:
            style.beside(ax, mode, (values["high"], offset), "right", style.MUTED)
    return ax


def draw_difference(ax: Axes, data: pd.DataFrame, reference: str) -> Axes:
    """Paired differences of strict accuracy to the reference, all items."""
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    draw_pairs(ax, both_modes(data, DIFFERENCE), data["arm"], "mode", "greedy", "sampled")
    ax.xaxis.set_major_formatter("{x:g}")
    style.beside(ax, "reference", (0, style.arm_order(data["arm"]).index(reference)), "left", style.MUTED)
    ax.set_xlabel("paired difference")
    return ax


def draw_trap(ax: Axes, data: pd.DataFrame) -> Axes:
    """CARL against strict accuracy of the same greedy completions; arrows lead from the start to the arms."""
    looks = style.arm_looks(data["arm"])
    for arm, (colour, marker) in looks.items():
        ax.plot(by_seed(data, arm, "carl"), by_seed(data, arm, "strict"), ".", color=colour, markersize=3, alpha=0.7)
        _cross(ax, data, arm, colour)
        ax.plot(*_point(data, arm), marker=marker, color=colour, markersize=5, linestyle="none", zorder=3)
        if arm != style.START and style.START in looks:
            arrow = {"arrowstyle": "->", "color": colour, "shrinkB": 4, "lw": 0.8}
            ax.annotate("", _point(data, arm), xytext=_point(data, style.START), arrowprops=arrow)
    ax.margins(x=0.08)
    ax.set_ylim(-0.03, 1.03)
    ends = {arm: (pooled(data, arm, "carl"), _point(data, arm)[1]) for arm in looks}
    style.name_points(ax, {arm: (carl["low"], carl["high"], y) for arm, (carl, y) in ends.items()}, gap=0.085)
    ax.set_xlabel("CARL composite (greedy)")
    ax.set_ylabel("strict accuracy (greedy)")
    return ax


def _point(data: pd.DataFrame, arm: str) -> tuple[float, float]:
    return pooled(data, arm, "carl")["estimate"], pooled(data, arm, "strict")["estimate"]


def _cross(ax: Axes, data: pd.DataFrame, arm: str, colour: str) -> None:
    carl, strict = pooled(data, arm, "carl"), pooled(data, arm, "strict")
    ax.plot([carl["low"], carl["high"]], [strict["estimate"]] * 2, color=colour, linewidth=0.8)
    ax.plot([carl["estimate"]] * 2, [strict["low"], strict["high"]], color=colour, linewidth=0.8)
